//! Mistral's La Plateforme, as recorded from `api.mistral.ai` until August 2026.
//!
//! Kong stands in front: it refuses keys and paths. A schema behind it refuses what it does not
//! know, each complaint with its place; the models' own errors have a form and codes of their
//! own.

mod error;
mod read;
mod schema;
mod success;

use super::{Case, Dialect, Exchange, Fields, Head, Moment, Place, Refusal, Reply};
use crate::{
    action::{Dimension, ErrorKind},
    answer::Answer,
    draw::{Purpose, scale},
    plan::{ProviderName, Route},
    quota::Level,
    request::Request,
};

/// Mistral.
#[derive(Debug)]
pub(crate) struct Mistral;

impl Dialect for Mistral {
    fn name(&self) -> ProviderName {
        ProviderName::Mistral
    }

    fn recognises(&self, head: &Head<'_>) -> bool {
        // `mistral-client-python/3.7.0`, and its sister in TypeScript.
        let agent = head.headers.get("user-agent").unwrap_or_default();
        agent.starts_with("mistral-client-")
    }

    fn not_found(&self, _: &Head<'_>) -> &'static str {
        "route"
    }

    fn route(&self, head: &Head<'_>) -> Option<Route> {
        let path = head.path;
        if path.ends_with("/chat/completions") {
            Some(Route::MistralChat)
        } else if path.ends_with("/fim/completions") {
            Some(Route::MistralFim)
        } else if path.ends_with("/embeddings") {
            Some(Route::MistralEmbeddings)
        } else {
            read::model_of(path).map(|_| Route::MistralModels)
        }
    }

    fn claims(&self, head: &Head<'_>) -> bool {
        self.recognises(head)
    }

    fn main_route(&self) -> Route {
        Route::MistralChat
    }

    fn example_model(&self, route: Route) -> &'static str {
        match route {
            Route::MistralEmbeddings => "mistral-embed",
            Route::MistralFim => "codestral-latest",
            _ => "mistral-small-latest",
        }
    }

    fn read(&self, route: Route, head: &Head<'_>, body: &[u8]) -> Result<Request, Refusal> {
        read::request(route, head, body)
    }

    fn answer(&self, exchange: &Exchange<'_>, answer: &Answer) -> Reply {
        success::reply(exchange, answer)
    }

    fn cases(&self) -> &'static [Case] {
        error::CASES
    }

    fn usual(&self, _: ErrorKind, _: Place, _: &Exchange<'_>) -> Option<&'static str> {
        None
    }

    fn word(&self, name: &str, exchange: &Exchange<'_>) -> Option<String> {
        (name == "request-id").then(|| correlation_id(&exchange.moment))
    }
}

/// The id that Kong gives a request: a UUID of version 7, whose first 48 bits are the time.
fn correlation_id(moment: &Moment) -> String {
    let millis = format!("{:012x}", moment.wall.as_millis());
    let rest = moment.hex("correlation", 18);
    let variant = moment.id("correlation variant", b"89ab", 1);
    format!(
        "{}-{}-7{}-{variant}{}-{}",
        &millis[..8],
        &millis[8..12],
        &rest[..3],
        &rest[3..6],
        &rest[6..18]
    )
}

/// A latency of the gateway's, in milliseconds.
fn latency(moment: &Moment, what: &str, least: u64, more: u64) -> u64 {
    least + scale(moment.draws.draw(what, Purpose::Id, moment.attempt, 0), more)
}

/// The limit headers, tokens first.
fn limit_headers(levels: &[Level]) -> Fields {
    let mut headers = Vec::new();
    for tokens in [true, false] {
        for level in levels {
            let Some([limit, remaining]) = limit_names(level) else { continue };
            if tokens != matches!(level.dimension, Dimension::Requests) {
                headers.push((limit, level.limit.to_string().into()));
                headers.push((remaining, level.remaining.to_string().into()));
            }
        }
    }
    headers
}

/// The headers of a limit; those of minutes are recorded, the others are named after them.
fn limit_names(level: &Level) -> Option<[&'static str; 2]> {
    Some(match (level.dimension, level.period_name()) {
        (Dimension::Requests, "second") => {
            ["x-ratelimit-limit-req-second", "x-ratelimit-remaining-req-second"]
        }
        (Dimension::Requests, "minute") => {
            ["x-ratelimit-limit-req-minute", "x-ratelimit-remaining-req-minute"]
        }
        (Dimension::Requests, "hour") => {
            ["x-ratelimit-limit-req-hour", "x-ratelimit-remaining-req-hour"]
        }
        (Dimension::Requests, _) => ["x-ratelimit-limit-req-day", "x-ratelimit-remaining-req-day"],
        (Dimension::Tokens | Dimension::InputTokens, "second") => {
            ["x-ratelimit-limit-tokens-second", "x-ratelimit-remaining-tokens-second"]
        }
        (Dimension::Tokens | Dimension::InputTokens, "minute") => {
            ["x-ratelimit-limit-tokens-minute", "x-ratelimit-remaining-tokens-minute"]
        }
        (Dimension::Tokens | Dimension::InputTokens, "hour") => {
            ["x-ratelimit-limit-tokens-hour", "x-ratelimit-remaining-tokens-hour"]
        }
        (Dimension::Tokens | Dimension::InputTokens, _) => {
            ["x-ratelimit-limit-tokens-day", "x-ratelimit-remaining-tokens-day"]
        }
        (Dimension::Concurrency | Dimension::OutputTokens, _) => return None,
    })
}

/// The headers of Cloudflare's, which stand at the end of every answer.
fn edge_headers(moment: &Moment) -> Fields {
    vec![
        ("cf-cache-status", "DYNAMIC".into()),
        ("strict-transport-security", "max-age=15552000; includeSubDomains; preload".into()),
        ("x-content-type-options", "nosniff".into()),
        ("cf-ray", moment.cf_ray().into()),
        ("alt-svc", "h3=\":443\"; ma=86400".into()),
    ]
}

/// The headers of what comes from behind the gateway; `limits` stand in their middle.
fn served_headers(moment: &Moment, content_type: &'static str, limits: Fields) -> Fields {
    let id = correlation_id(moment);
    let upstream = latency(moment, "upstream", 60, 600);
    let mut headers = vec![
        ("content-type", content_type.into()),
        ("mistral-correlation-id", id.clone().into()),
        ("x-kong-request-id", id.into()),
    ];
    headers.extend(limits);
    headers.extend([
        ("x-envoy-upstream-service-time", upstream.to_string().into()),
        ("server", "cloudflare".into()),
        ("access-control-allow-origin", "*".into()),
        ("x-kong-upstream-latency", (upstream + 1).to_string().into()),
        ("x-kong-proxy-latency", latency(moment, "proxy", 5, 45).to_string().into()),
    ]);
    headers.extend(edge_headers(moment));
    headers
}
