//! Cohere's Chat and Embed, version 2 as recorded from `api.cohere.com` in 2026, and version 1 as
//! documented.
//!
//! The SDK's `ClientV2` speaks version 2, its `Client` version 1.

mod embed;
mod error;
mod list;
mod read;
mod success;

use std::borrow::Cow;

use super::{Case, Dialect, Exchange, Fields, Head, Moment, Place, Refusal, Reply, retry_after};
use crate::{
    action::{Dimension, ErrorKind},
    answer::Answer,
    draw::{Purpose, scale},
    plan::{ProviderName, Route, Service},
    quota::Level,
    request::Request,
};

/// Cohere.
#[derive(Debug)]
pub(crate) struct Cohere;

impl Dialect for Cohere {
    fn name(&self) -> ProviderName {
        ProviderName::Cohere
    }

    fn recognises(&self, head: &Head<'_>) -> bool {
        is_sdk(head) || head.path.starts_with("/v2/")
    }

    fn not_found(&self, _: &Head<'_>) -> &'static str {
        "route"
    }

    fn route(&self, head: &Head<'_>) -> Option<Route> {
        let ends = |end: &str| head.path.ends_with(end);
        Some(match () {
            () if ends("/v2/chat") => Route::CohereChat,
            () if ends("/v1/chat") => Route::CohereChatV1,
            () if ends("/v2/embed") => Route::CohereEmbed,
            () if ends("/v1/embed") => Route::CohereEmbedV1,
            () if list::model(head.path).is_some() => Route::CohereModels,
            () => return None,
        })
    }

    /// Others list their models under the same path.
    fn claims(&self, head: &Head<'_>) -> bool {
        list::model(head.path).is_none() || is_sdk(head)
    }

    fn main_route(&self) -> Route {
        Route::CohereChat
    }

    fn example_model(&self, route: Route) -> &'static str {
        match route.service() {
            Service::Embed => "embed-v4.0",
            Service::Count | Service::Generate | Service::List => "command-a-03-2025",
        }
    }

    fn read(&self, route: Route, head: &Head<'_>, body: &[u8]) -> Result<Request, Refusal> {
        read::request(route, head, body)
    }

    fn answer(&self, exchange: &Exchange<'_>, answer: &Answer) -> Reply {
        match exchange.request.route.service() {
            Service::Embed => embed::reply(exchange),
            Service::List => list::reply(exchange),
            Service::Count | Service::Generate => success::reply(exchange, answer),
        }
    }

    fn cases(&self) -> &'static [Case] {
        error::CASES
    }

    fn usual(
        &self,
        kind: ErrorKind,
        place: Place,
        exchange: &Exchange<'_>,
    ) -> Option<&'static str> {
        error::usual(kind, place, exchange)
    }

    fn word(&self, name: &str, exchange: &Exchange<'_>) -> Option<String> {
        error::word(name, exchange)
    }

    fn needed(&self, request: &Request) -> u64 {
        match request.route.service() {
            Service::Embed => embed::needed(request),
            _ => request.input_tokens,
        }
    }

    /// Cohere announces no wait by itself.
    fn hint(&self, exchange: &Exchange<'_>) -> Fields {
        match exchange.decision.rule {
            Some(_) => retry_after(exchange.decision, exchange.moment.wall),
            None => Fields::new(),
        }
    }
}

/// Whether a request comes from an SDK of Cohere's.
fn is_sdk(head: &Head<'_>) -> bool {
    let name = head.headers.get("x-fern-sdk-name").unwrap_or_default();
    name == "cohere" || name == "cohere-ai"
}

/// The headers of everything that Cohere answers.
fn edge_headers(exchange: &Exchange<'_>, content_type: &'static str, vary: &str) -> Fields {
    let moment = &exchange.moment;
    let draw = moment.draws.draw("processing", Purpose::Id, moment.attempt, 0);
    vec![
        (
            "cache-control",
            "no-cache, no-store, no-transform, must-revalidate, private, max-age=0".into(),
        ),
        ("content-type", content_type.into()),
        ("expires", "Thu, 01 Jan 1970 00:00:00 GMT".into()),
        ("pragma", "no-cache".into()),
        ("vary", vary.to_owned().into()),
        ("x-accel-expires", "0".into()),
        ("x-envoy-upstream-service-time", (20 + scale(draw, 200)).to_string().into()),
        ("server", "envoy".into()),
        ("via", "1.1 google".into()),
        ("alt-svc", "h3=\":443\"; ma=2592000".into()),
    ]
}

/// The headers of what the application behind the edge answers, with the limits of a trial key.
fn application_headers(exchange: &Exchange<'_>, content_type: &'static str) -> Fields {
    let streaming = exchange.request.streaming;
    let vary = if streaming { "Origin" } else { "Origin,Accept-Encoding" };
    let mut headers = edge_headers(exchange, content_type, vary);
    headers.insert(0, ("access-control-expose-headers", "X-Debug-Trace-ID".into()));
    headers.push(trace_id(&exchange.moment));
    let requests = exchange.decision.levels.iter().find(|level| is_per_minute(level));
    if let Some(level) = requests {
        headers.extend(limit_headers(level, level.remaining));
    }
    headers
}

/// The id of a request in a header.
fn trace_id(moment: &Moment) -> (&'static str, Cow<'static, str>) {
    ("x-debug-trace-id", moment.hex("trace", 32).into())
}

/// The limits of a trial key; a month's calls are the same for all.
fn limit_headers(level: &Level, remaining: u64) -> Fields {
    vec![
        ("x-endpoint-monthly-call-limit", "1000".into()),
        ("x-trial-endpoint-call-limit", level.limit.to_string().into()),
        ("x-trial-endpoint-call-remaining", remaining.to_string().into()),
    ]
}

/// Whether a limit is one of requests a minute.
fn is_per_minute(level: &Level) -> bool {
    level.dimension == Dimension::Requests && level.period_name() == "minute"
}
