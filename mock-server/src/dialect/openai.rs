//! OpenAI's Chat Completions, as recorded from `api.openai.com` in 2026.
//!
//! Two layers answer there. A gateway refuses keys, broken JSON, unknown models and spent quotas,
//! in JSON indented by four; the application behind it does everything else, in JSON indented by
//! two, and shows its processing time.

mod error;
mod read;
mod success;

use serde_json::Value;

use super::{
    Case, Dialect, Exchange, Fields, Head, Moment, Place, Provider, Refusal, Reply, unserved,
};
use crate::{
    action::ErrorKind,
    answer::Answer,
    plan::{ProviderName, Route},
    quota::Level,
    request::Request,
};

/// OpenAI.
#[derive(Debug)]
pub(crate) struct OpenAi;

impl Provider for OpenAi {
    fn name(&self) -> ProviderName {
        ProviderName::OpenAi
    }

    fn recognises(&self, head: &Head<'_>) -> bool {
        head.headers.get("authorization").is_some()
    }

    fn not_found(&self, head: &Head<'_>, moment: &Moment) -> Reply {
        unserved(self, head, moment, "url")
    }
}

impl Dialect for OpenAi {
    fn route(&self, head: &Head<'_>) -> Option<Route> {
        head.path.ends_with("/chat/completions").then_some(Route::OpenAiChat)
    }

    fn main_route(&self) -> Route {
        Route::OpenAiChat
    }

    fn example_model(&self, _: Route) -> &'static str {
        "gpt-4o-mini"
    }

    fn read(&self, route: Route, head: &Head<'_>, body: &[u8]) -> Result<Request, Refusal> {
        read::request(route, head, body)
    }

    fn answer(&self, exchange: &Exchange<'_>, answer: &Answer) -> Reply {
        success::reply(exchange, answer)
    }

    fn shares_window(&self) -> bool {
        true
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

    fn hint(&self, exchange: &Exchange<'_>) -> Fields {
        error::hint(exchange)
    }
}

/// The headers that the edge puts on everything.
fn edge_headers(moment: &Moment, content_type: &str) -> Fields {
    vec![
        ("content-type", content_type.to_owned()),
        ("server", "cloudflare".to_owned()),
        ("cf-ray", moment.cf_ray()),
        ("cf-cache-status", "DYNAMIC".to_owned()),
        ("strict-transport-security", "max-age=31536000; includeSubDomains; preload".to_owned()),
        ("x-content-type-options", "nosniff".to_owned()),
        ("alt-svc", "h3=\":443\"; ma=86400".to_owned()),
        ("x-request-id", format!("req_{}", moment.hex("request", 32))),
    ]
}

/// The headers of an answer from the application behind the gateway.
fn application_headers(moment: &Moment, content_type: &str) -> Fields {
    let mut headers = edge_headers(moment, content_type);
    headers.extend([
        ("access-control-expose-headers", "X-Request-ID".to_owned()),
        ("openai-organization", "user-ab12cd34ef56gh78ij90kl12".to_owned()),
        ("openai-project", "proj_Ab12Cd34Ef56Gh78Ij90Kl12".to_owned()),
        ("openai-processing-ms", processing_ms(moment)),
        ("openai-version", "2020-10-01".to_owned()),
    ]);
    headers
}

fn processing_ms(moment: &Moment) -> String {
    let draw = moment.draws.draw("processing", crate::draw::Purpose::Id, moment.attempt, 0);
    (90 + crate::draw::scale(draw, 600)).to_string()
}

/// The limit headers; `reset` is the time until the bucket is full, printed like Go prints it.
fn limit_headers(levels: &[Level]) -> Fields {
    use crate::action::Dimension;

    let mut headers = Vec::new();
    for (dimension, names) in [
        (
            Dimension::Requests,
            [
                "x-ratelimit-limit-requests",
                "x-ratelimit-remaining-requests",
                "x-ratelimit-reset-requests",
            ],
        ),
        (
            Dimension::Tokens,
            [
                "x-ratelimit-limit-tokens",
                "x-ratelimit-remaining-tokens",
                "x-ratelimit-reset-tokens",
            ],
        ),
    ] {
        if let Some(level) = levels.iter().find(|level| level.dimension == dimension) {
            let [limit, remaining, reset] = names;
            headers.push((limit, level.limit.to_string()));
            headers.push((remaining, level.remaining.to_string()));
            headers.push((reset, go_duration(level.reset)));
        }
    }
    headers
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
    body.pointer(path).and_then(Value::as_bool).unwrap_or(false)
}

/// Whether a model belongs to the families that think first.
fn reasons(model: &str) -> bool {
    ["o1", "o3", "o4", "gpt-5"].iter().any(|family| model.starts_with(family))
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
