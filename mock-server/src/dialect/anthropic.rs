//! Anthropic's Messages, as recorded from `api.anthropic.com` in 2026.
//!
//! Both client generations are understood: `x-api-key` with version `2023-06-01`, and a Bearer
//! token with version `2026-10-21`.

mod error;
mod read;
mod success;

use std::time::Duration;

use super::{
    Case, Dialect, Exchange, Fields, Head, Moment, Place, Provider, Refusal, Reply, unserved,
};
use crate::{
    action::{Dimension, ErrorKind},
    answer::Answer,
    plan::{ProviderName, Route},
    quota::Level,
    request::Request,
};

/// Anthropic.
#[derive(Debug)]
pub(crate) struct Anthropic;

impl Provider for Anthropic {
    fn name(&self) -> ProviderName {
        ProviderName::Anthropic
    }

    fn recognises(&self, head: &Head<'_>) -> bool {
        head.headers.get("x-api-key").is_some() || head.headers.get("anthropic-version").is_some()
    }

    fn not_found(&self, head: &Head<'_>, moment: &Moment) -> Reply {
        unserved(self, head, moment, "route")
    }
}

impl Dialect for Anthropic {
    fn route(&self, head: &Head<'_>) -> Option<Route> {
        // Some SDKs take the version for a part of the base URL. Other providers have messages too,
        // further down.
        let served = head.path.ends_with("/v1/messages") || head.path == "/messages";
        served.then_some(Route::AnthropicMessages)
    }

    fn main_route(&self) -> Route {
        Route::AnthropicMessages
    }

    fn example_model(&self, _: Route) -> &'static str {
        "claude-haiku-4-5"
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
}

/// The id that stands in a header and in the body of every error.
fn request_id(moment: &Moment) -> String {
    format!("req_011C{}", moment.alphanumeric("request", 20))
}

/// The headers that the edge puts on everything.
fn edge_headers(moment: &Moment, content_type: &str) -> Fields {
    vec![
        ("content-type", content_type.to_owned()),
        ("request-id", request_id(moment)),
        ("strict-transport-security", "max-age=31536000; includeSubDomains; preload".to_owned()),
        ("anthropic-organization-id", ORGANIZATION.to_owned()),
        ("server", "cloudflare".to_owned()),
        ("vary", "Accept-Encoding".to_owned()),
        ("content-security-policy", "default-src 'none'; frame-ancestors 'none'".to_owned()),
        ("cf-cache-status", "DYNAMIC".to_owned()),
        ("x-robots-tag", "none".to_owned()),
        ("cf-ray", moment.cf_ray()),
    ]
}

/// The limit headers: all four limits, or none if nothing is limited; `reset` is the instant at
/// which the bucket is full, in whole seconds.
///
/// What a scenario leaves unlimited is shown as a large account has it, and unused.
fn limit_headers(levels: &[Level], exhausted: Option<&Level>, moment: &Moment) -> Fields {
    if levels.is_empty() && exhausted.is_none() {
        return Vec::new();
    }
    let shown = |dimension: Dimension, usual: u64| {
        let exhausted = exhausted.filter(|level| level.dimension == dimension);
        let level = exhausted.or_else(|| levels.iter().find(|level| level.dimension == dimension));
        match (level, exhausted) {
            (Some(level), Some(_)) => Shown { limit: level.limit, left: 0, reset: level.reset },
            (Some(level), None) => {
                Shown { limit: level.limit, left: level.remaining, reset: level.reset }
            }
            (None, _) => Shown { limit: usual, left: usual, reset: Duration::ZERO },
        }
    };
    let requests = shown(Dimension::Requests, 4_000);
    let input = shown(Dimension::Tokens, 4_000_000);
    // Recorded: an account has one output token for five of input.
    let output = input.limit.div_ceil(5);
    let output = Shown { limit: output, left: output, reset: Duration::ZERO };
    let tokens = Shown {
        limit: input.limit.saturating_add(output.limit),
        left: input.left.saturating_add(output.left),
        reset: input.reset,
    };
    // Token counts are rounded to thousands, down: what is announced can be used. A small limit
    // would look used up from the start.
    let rounded = |left: u64, limit: u64| if limit < 1_000 { left } else { left / 1_000 * 1_000 };
    let mut headers = Vec::new();
    for (names, shown, left) in [
        (REQUESTS, &requests, requests.left),
        (INPUT_TOKENS, &input, rounded(input.left, input.limit)),
        (OUTPUT_TOKENS, &output, rounded(output.left, output.limit)),
        (TOKENS, &tokens, rounded(tokens.left, tokens.limit)),
    ] {
        let [limit, remaining, reset] = names;
        headers.push((limit, shown.limit.to_string()));
        headers.push((remaining, left.to_string()));
        headers.push((reset, rfc3339(moment.wall + shown.reset)));
    }
    headers
}

/// One limit as its headers show it.
struct Shown {
    limit: u64,
    left: u64,
    reset: Duration,
}

/// An instant as Anthropic prints it, rounded up to a second: `2026-08-19T14:35:02Z`.
fn rfc3339(wall: Duration) -> String {
    let seconds = wall.as_nanos().div_ceil(1_000_000_000);
    let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
    jiff::Timestamp::from_second(seconds).unwrap_or(jiff::Timestamp::MAX).to_string()
}

const REQUESTS: [&str; 3] = [
    "anthropic-ratelimit-requests-limit",
    "anthropic-ratelimit-requests-remaining",
    "anthropic-ratelimit-requests-reset",
];
const INPUT_TOKENS: [&str; 3] = [
    "anthropic-ratelimit-input-tokens-limit",
    "anthropic-ratelimit-input-tokens-remaining",
    "anthropic-ratelimit-input-tokens-reset",
];
const OUTPUT_TOKENS: [&str; 3] = [
    "anthropic-ratelimit-output-tokens-limit",
    "anthropic-ratelimit-output-tokens-remaining",
    "anthropic-ratelimit-output-tokens-reset",
];
const TOKENS: [&str; 3] = [
    "anthropic-ratelimit-tokens-limit",
    "anthropic-ratelimit-tokens-remaining",
    "anthropic-ratelimit-tokens-reset",
];

const ORGANIZATION: &str = "00000000-0000-4000-8000-000000000000";
