//! OpenAI: chats, responses, legacy completions, embeddings and models, as recorded from
//! `api.openai.com` in 2026.
//!
//! Two layers answer there. A gateway refuses keys, broken JSON, unknown models and spent quotas,
//! in JSON indented by four; the application behind it does everything else, in JSON indented by
//! two, and shows its processing time. The Responses API has no gateway before it.
//!
//! What does not depend on who serves the models is open to the other dialect that serves them.

mod cases;
pub(in crate::dialect) mod chat;
pub(in crate::dialect) mod completions;
mod count;
pub(in crate::dialect) mod embeddings;
mod error;
mod models;
mod read;
pub(in crate::dialect) mod responses;

use serde::Serialize;
use serde_json::Value;

use super::{
    Case, Dialect, Exchange, Fields, HEX, Head, Moment, Place, Refusal, Reply, ReplyBody, field,
    has,
};
use crate::{
    action::{Dimension, ErrorKind},
    answer::Answer,
    plan::{ProviderName, Route},
    quota::Level,
    request::Request,
};

pub(in crate::dialect) use cases::{CHECKS, CONTEXT, EVENTS};
pub(in crate::dialect) use chat::{filtered, filtered_event};
pub(in crate::dialect) use count::longest;
pub(in crate::dialect) use error::{usual, word};
pub(in crate::dialect) use read::{Asked, json, understand};

/// OpenAI.
#[derive(Debug)]
pub(crate) struct OpenAi;

/// What OpenAI's models are asked in, whoever serves them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::dialect) enum Api {
    /// Chat Completions.
    Chat,
    /// The Completions before them.
    Completions,
    /// Embeddings.
    Embeddings,
    /// The list of models, or one of them.
    Models,
    /// Responses.
    Responses,
}

impl Dialect for OpenAi {
    fn name(&self) -> ProviderName {
        ProviderName::OpenAi
    }

    fn recognises(&self, head: &Head<'_>) -> bool {
        head.headers.get("authorization").is_some()
    }

    fn not_found(&self, _: &Head<'_>) -> &'static str {
        "url"
    }

    fn route(&self, head: &Head<'_>) -> Option<Route> {
        // Azure's paths end like these.
        if has(head.path, b"/openai/") {
            return None;
        }
        let mut ends = head.path.rsplit('/');
        let (last, before) = (ends.next()?, ends.next().unwrap_or_default());
        match (before, last) {
            ("chat", "completions") => Some(Route::OpenAiChat),
            (_, "completions") => Some(Route::OpenAiCompletions),
            (_, "embeddings") => Some(Route::OpenAiEmbeddings),
            (_, "models") => Some(Route::OpenAiModels),
            (_, "responses") => Some(Route::OpenAiResponses),
            // Google's models have paths like these, and methods behind a colon.
            ("models", id) if !id.contains(':') || id.starts_with("ft:") => {
                (!head.path.contains("/v1beta/")).then_some(Route::OpenAiModels)
            }
            _ => None,
        }
    }

    fn claims(&self, head: &Head<'_>) -> bool {
        // Google's imitation of OpenAI.
        !has(head.path, b"/v1beta/openai/")
    }

    fn main_route(&self) -> Route {
        Route::OpenAiChat
    }

    fn example_model(&self, route: Route) -> &'static str {
        match Api::of(route) {
            Api::Completions => "gpt-3.5-turbo-instruct",
            Api::Embeddings => "text-embedding-3-small",
            Api::Chat | Api::Models | Api::Responses => "gpt-4o-mini",
        }
    }

    fn read(&self, route: Route, head: &Head<'_>, body: &[u8]) -> Result<Request, Refusal> {
        read::request(route, head, body)
    }

    fn answer(&self, exchange: &Exchange<'_>, answer: &Answer) -> Reply {
        let model = exchange.request.model.as_str();
        let body = match Api::of(exchange.request.route) {
            Api::Chat => chat::body(exchange, answer, model),
            Api::Completions => completions::body(exchange, answer, model),
            Api::Embeddings => embeddings::body(exchange, model),
            Api::Models => models::body(model),
            Api::Responses => responses::body(exchange, answer, model),
        };
        Reply { status: 200, headers: success_headers(exchange), body }
    }

    fn shares_window(&self) -> bool {
        true
    }

    fn cases(&self) -> &'static [Case] {
        &cases::CASES
    }

    fn usual(
        &self,
        kind: ErrorKind,
        place: Place,
        exchange: &Exchange<'_>,
    ) -> Option<&'static str> {
        usual(kind, place, exchange, &exchange.request.model)
    }

    fn word(&self, name: &str, exchange: &Exchange<'_>) -> Option<String> {
        word(name, exchange)
    }

    fn hint(&self, exchange: &Exchange<'_>) -> Fields {
        error::hint(exchange)
    }

    fn needed(&self, request: &Request) -> u64 {
        longest(request)
    }
}

impl Api {
    /// What a route asks in.
    pub(in crate::dialect) fn of(route: Route) -> Self {
        match route {
            Route::AzureCompletions | Route::OpenAiCompletions => Self::Completions,
            Route::AzureEmbeddings | Route::OpenAiEmbeddings => Self::Embeddings,
            Route::OpenAiModels => Self::Models,
            Route::AzureResponses | Route::OpenAiResponses => Self::Responses,
            _ => Self::Chat,
        }
    }
}

/// The headers that the edge puts on everything.
fn edge_headers(moment: &Moment, content_type: &'static str) -> Fields {
    let mut headers = Vec::with_capacity(HEADERS);
    headers.extend([
        ("content-type", content_type.into()),
        ("server", "cloudflare".into()),
        ("cf-ray", moment.cf_ray().into()),
        ("cf-cache-status", "DYNAMIC".into()),
        ("strict-transport-security", "max-age=31536000; includeSubDomains; preload".into()),
        ("x-content-type-options", "nosniff".into()),
        ("alt-svc", "h3=\":443\"; ma=86400".into()),
        ("x-request-id", moment.tagged("req_", "request", HEX, 32).into()),
    ]);
    headers
}

/// About as many headers as a success has.
const HEADERS: usize = 24;

/// The headers of an answer from the application behind the gateway.
fn application_headers(moment: &Moment, content_type: &'static str) -> Fields {
    let mut headers = edge_headers(moment, content_type);
    headers.extend([
        ("access-control-expose-headers", "X-Request-ID".into()),
        ("openai-organization", ORGANIZATION.into()),
        ("openai-project", "proj_Ab12Cd34Ef56Gh78Ij90Kl12".into()),
        ("openai-processing-ms", processing_ms(moment).into()),
        ("openai-version", "2020-10-01".into()),
    ]);
    headers
}

/// Who asks, in the form in which headers name it.
const ORGANIZATION: &str = "user-ab12cd34ef56gh78ij90kl12";

fn processing_ms(moment: &Moment) -> String {
    let draw = moment.draws.draw("processing", crate::draw::Purpose::Id, moment.attempt, 0);
    (90 + crate::draw::scale(draw, 600)).to_string()
}

/// The headers of a 200.
fn success_headers(exchange: &Exchange<'_>) -> Fields {
    let Exchange { request, decision, moment, .. } = exchange;
    let api = Api::of(request.route);
    let content_type = match (request.streaming, api) {
        (false, _) => "application/json",
        (true, Api::Completions) => "text/event-stream",
        (true, _) => "text/event-stream; charset=utf-8",
    };
    let mut headers = application_headers(moment, content_type);
    if matches!(api, Api::Completions | Api::Embeddings) {
        let router = format!("envoy-router-{}-{}", moment.hex("router", 10), moment.hex("pod", 5));
        headers.extend([
            ("access-control-allow-origin", "*".into()),
            ("via", router.into()),
            ("openai-model", dated(&request.model).into()),
        ]);
    }
    if api == Api::Completions {
        headers.push(("cache-control", "no-cache, must-revalidate".into()));
    }
    if api != Api::Responses {
        headers.push(("x-openai-proxy-wasm", "v0.1".into()));
    }
    // Streams of the Responses API have none in two of three recordings.
    if !(api == Api::Responses && request.streaming) {
        push_limits(&mut headers, &decision.levels);
    }
    headers
}

/// Adds the limit headers; `reset` is the time until the bucket is full, printed like Go prints it. Of
/// several limits on the same the tightest is shown: the daily one, if it is that.
fn push_limits(headers: &mut Fields, levels: &[Level]) {
    for (counts, names) in [
        (
            &[Dimension::Requests][..],
            [
                "x-ratelimit-limit-requests",
                "x-ratelimit-remaining-requests",
                "x-ratelimit-reset-requests",
            ],
        ),
        (
            &[Dimension::Tokens, Dimension::InputTokens, Dimension::OutputTokens],
            [
                "x-ratelimit-limit-tokens",
                "x-ratelimit-remaining-tokens",
                "x-ratelimit-reset-tokens",
            ],
        ),
    ] {
        let of_these = levels.iter().filter(|level| counts.contains(&level.dimension));
        if let Some(level) = tightest(of_these) {
            let [limit, remaining, reset] = names;
            headers.push((limit, level.limit.to_string().into()));
            headers.push((remaining, level.remaining.to_string().into()));
            headers.push((reset, go_duration(level.reset).into()));
        }
    }
}

/// The limit that lets the least through in the long run.
pub(in crate::dialect) fn tightest<'a>(
    levels: impl Iterator<Item = &'a Level>,
) -> Option<&'a Level> {
    levels.min_by(|a, b| {
        let a_over_b = u128::from(a.limit) * b.period.as_nanos();
        a_over_b.cmp(&(u128::from(b.limit) * a.period.as_nanos()))
    })
}

/// A span as Go's `time.Duration` prints it, cut to whole milliseconds: `6m0s`, `1.5s`, `17ms`.
fn go_duration(span: std::time::Duration) -> String {
    let millis = span.as_millis();
    if millis < 1_000 {
        return if millis == 0 { "0s".to_owned() } else { format!("{millis}ms") };
    }
    let (hours, minutes) = (millis / 3_600_000, millis / 60_000 % 60);
    let (seconds, rest) = (millis / 1_000 % 60, millis % 1_000);
    let decimals = if rest > 0 { format!(".{rest:03}") } else { String::new() };
    let seconds = format!("{seconds}{}s", decimals.trim_end_matches('0'));
    match (hours, minutes) {
        (0, 0) => seconds,
        (0, minutes) => format!("{minutes}m{seconds}"),
        (hours, minutes) => format!("{hours}h{minutes}m{seconds}"),
    }
}

/// Whether the body asks for something.
fn flag(body: &Value, path: &str) -> bool {
    let mut steps = path.split('/').skip(1);
    let value = steps.try_fold(body, |value, step| field(value, step));
    value.and_then(Value::as_bool).unwrap_or(false)
}

/// Whether a model belongs to the families that think first.
fn reasons(model: &str) -> bool {
    let thinks = ["o1", "o3", "o4", "gpt-5"].iter().any(|family| model.starts_with(family));
    thinks && !model.contains("-chat")
}

/// The dated name that an answer carries when its alias was asked for; a dated name is echoed.
pub(in crate::dialect) fn dated(model: &str) -> String {
    let exact = crate::models::facts(model).and_then(|facts| facts.resolved_model.as_deref());
    if let Some(dated) = exact.filter(|dated| dated.starts_with(model)) {
        return dated.to_owned();
    }
    let date = match model {
        "davinci-002" => return "davinci:2023-07-21-v2".to_owned(),
        "babbage-002" => return "babbage:2023-07-21-v2".to_owned(),
        "gpt-3.5-turbo-instruct" => return "gpt-3.5-turbo-instruct:20230824-v2".to_owned(),
        "gpt-4-turbo" => "2024-04-09",
        "gpt-4o" => "2024-08-06",
        "gpt-4o-mini" => "2024-07-18",
        "gpt-5-mini" => "2025-08-07",
        "gpt-5.1" => "2025-11-13",
        "gpt-5.2" => "2025-12-11",
        "gpt-5.4" => "2026-03-05",
        "o1" => "2024-12-17",
        "o3" | "o4-mini" => "2025-04-16",
        "o3-mini" => "2025-01-31",
        other => return other.to_owned(),
    };
    [model, "-", date].concat()
}

/// An event of a stream, as `text/event-stream` frames it.
fn framed(event: &impl Serialize) -> String {
    let event = serde_json::to_string(event).expect("an event is writable to memory");
    format!("data: {event}\n\n")
}

/// What ends a stream.
const DONE: &str = "data: [DONE]\n\n";

/// A JSON answer as the application writes it.
fn pretty(value: &impl Serialize, end: &str) -> ReplyBody {
    ReplyBody::Whole((super::indented(value, b"  ") + end).into())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn durations_are_printed_as_openai_prints_them() {
        for (nanos, text) in [
            (0, "0s"),
            (6_900_000, "6ms"),
            (120_000_000, "120ms"),
            (8_640_000_000, "8.64s"),
            (20_000_000_000, "20s"),
            (63_570_000_000, "1m3.57s"),
            (360_000_000_000, "6m0s"),
            (4_105_745_000_000, "1h8m25.745s"),
            (299_439_057_000_000, "83h10m39.057s"),
        ] {
            assert_eq!(go_duration(Duration::from_nanos(nanos)), text);
        }
    }
}
