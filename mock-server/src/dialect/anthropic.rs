//! Anthropic's Messages, as recorded from `api.anthropic.com` in 2026.
//!
//! Both client generations are understood: `x-api-key` with version `2023-06-01`, and a Bearer
//! token with version `2026-10-21`.

mod content;
mod error;
mod models;
mod read;
mod success;

use std::time::Duration;

use super::{Case, Dialect, Exchange, Fields, Head, Moment, Place, Refusal, Reply};
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

impl Dialect for Anthropic {
    fn name(&self) -> ProviderName {
        ProviderName::Anthropic
    }

    fn recognises(&self, head: &Head<'_>) -> bool {
        head.headers.get("x-api-key").is_some() || head.headers.get("anthropic-version").is_some()
    }

    fn not_found(&self, _: &Head<'_>) -> &'static str {
        "route"
    }

    fn route(&self, head: &Head<'_>) -> Option<Route> {
        // Some SDKs take the version for a part of the base URL, some leave it out. Other providers
        // have messages too, further down.
        let path = head.path;
        if path.ends_with("/v1/messages") || path == "/messages" {
            return Some(Route::AnthropicMessages);
        }
        if path.ends_with("/v1/messages/count_tokens") || path == "/messages/count_tokens" {
            return Some(Route::AnthropicCountTokens);
        }
        // OpenAI's list has the same path, and no such header.
        let is_list = |path: &str| path == "/models" || path.ends_with("/v1/models");
        let list = is_list(path)
            || path.rsplit_once('/').is_some_and(|(before, model)| {
                is_list(before) && !model.is_empty() && !model.contains(':')
            });
        (list && self.recognises(head)).then_some(Route::AnthropicModels)
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
        match exchange.request.route {
            Route::AnthropicCountTokens => success::count(exchange),
            Route::AnthropicModels => models::reply(exchange),
            _ => success::reply(exchange, answer),
        }
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

/// The headers of an answer to somebody who is not known.
fn edge_headers(moment: &Moment, content_type: &'static str) -> Fields {
    vec![
        ("content-type", content_type.into()),
        ("request-id", request_id(moment).into()),
        ("strict-transport-security", "max-age=31536000; includeSubDomains; preload".into()),
        ("server", "cloudflare".into()),
        ("vary", "Accept-Encoding".into()),
        ("content-security-policy", "default-src 'none'; frame-ancestors 'none'".into()),
        ("cf-cache-status", "DYNAMIC".into()),
        ("x-robots-tag", "none".into()),
        ("cf-ray", moment.cf_ray().into()),
    ]
}

/// The headers of an answer to a known organization.
fn known_headers(moment: &Moment, content_type: &'static str) -> Fields {
    let mut headers = edge_headers(moment, content_type);
    headers.insert(3, ("anthropic-organization-id", ORGANIZATION.into()));
    headers.insert(4, ("anthropic-workspace-id", WORKSPACE.into()));
    let trace = format!("00-{}-{}-01", moment.hex("trace", 32), moment.hex("span", 16));
    headers.insert(5, ("traceresponse", trace.into()));
    headers
}

/// The headers of a success.
fn healthy_headers(moment: &Moment, content_type: &'static str) -> Fields {
    let mut headers = known_headers(moment, content_type);
    headers.push(("server-timing", "x-originResponse;dur=457".into()));
    headers.push(("x-envoy-upstream-service-time", "456".into()));
    headers
}

/// The limit headers: all four limits, or none if nothing is limited; `reset` is the instant at
/// which the bucket is full, in whole seconds.
///
/// What a scenario leaves unlimited is shown as a large account has it, and unused. A scenario's
/// limit for all tokens stands for input tokens, unless it has limits for those too.
fn limit_headers(levels: &[Level], exhausted: Option<&Level>, moment: &Moment) -> Fields {
    if levels.is_empty() && exhausted.is_none() {
        return Vec::new();
    }
    let of = |dimension: Dimension| {
        let used_up = exhausted.filter(|level| level.dimension == dimension);
        let used_up =
            used_up.map(|level| Shown { limit: level.limit, left: 0, reset: level.reset });
        // Of several periods the one that binds is shown.
        let level = levels.iter().filter(|level| level.dimension == dimension);
        let level = level.min_by_key(|level| level.remaining);
        used_up.or_else(|| {
            level.map(|level| Shown {
                limit: level.limit,
                left: level.remaining,
                reset: level.reset,
            })
        })
    };
    let unused = |limit| Shown { limit, left: limit, reset: Duration::ZERO };
    let (given_input, given_output) = (of(Dimension::InputTokens), of(Dimension::OutputTokens));
    let apart = given_input.is_some() || given_output.is_some();
    let given_tokens = of(Dimension::Tokens);
    let requests = of(Dimension::Requests).unwrap_or(unused(4_000));
    let input = given_input.or(given_tokens.filter(|_| !apart)).unwrap_or(unused(4_000_000));
    // Recorded: an account has one output token for five of input.
    let output = given_output.unwrap_or(unused(input.limit.div_ceil(5)));
    let sum = Shown {
        limit: input.limit.saturating_add(output.limit),
        left: input.left.saturating_add(output.left),
        reset: input.reset.max(output.reset),
    };
    let tokens = given_tokens.filter(|_| apart).unwrap_or(sum);
    // Token counts are rounded to thousands, down: what is announced can be used. A small limit
    // would look used up from the start.
    let rounded = |shown: Shown| match shown.limit {
        0..1_000 => shown.left,
        _ => shown.left / 1_000 * 1_000,
    };
    let mut headers = Vec::new();
    for (names, shown, left) in [
        (REQUESTS, requests, requests.left),
        (INPUT_TOKENS, input, rounded(input)),
        (OUTPUT_TOKENS, output, rounded(output)),
        (TOKENS, tokens, rounded(tokens)),
    ] {
        let [limit, remaining, reset] = names;
        headers.push((limit, shown.limit.to_string().into()));
        headers.push((remaining, left.to_string().into()));
        headers.push((reset, rfc3339(moment.wall + shown.reset).into()));
    }
    headers
}

/// One limit as its headers show it.
#[derive(Clone, Copy)]
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
const WORKSPACE: &str = "wrkspc_01Ab12Cd34Ef56Gh78Ij90";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draw::Draws;

    const MINUTE: Duration = Duration::from_secs(60);

    /// Limit and remaining of each header group, in order.
    fn shown(levels: &[(Dimension, u64, u64)], exhausted: Option<usize>) -> Vec<(String, String)> {
        let levels: Vec<Level> = levels
            .iter()
            .map(|&(dimension, limit, remaining)| Level {
                dimension,
                limit,
                period: MINUTE,
                remaining,
                reset: Duration::from_millis(1_500),
            })
            .collect();
        let exhausted = exhausted.map(|index| levels[index]);
        let moment = Moment { attempt: 1, draws: Draws::new(1), wall: Duration::ZERO };
        let headers = limit_headers(&levels, exhausted.as_ref(), &moment);
        let values: Vec<String> =
            headers.into_iter().map(|(_, value)| value.into_owned()).collect();
        values.chunks(3).map(|three| (three[0].clone(), three[1].clone())).collect()
    }

    #[test]
    fn each_limit_is_shown_and_the_sum_of_the_tokens() {
        use Dimension::{InputTokens, OutputTokens, Requests, Tokens};

        let pairs = |pairs: [(u64, u64); 4]| {
            pairs.map(|(limit, left)| (limit.to_string(), left.to_string())).to_vec()
        };
        let unused = (4_000, 4_000);
        for (levels, exhausted, expected) in [
            (
                vec![(InputTokens, 30_000, 29_871), (OutputTokens, 8_000, 8_000)],
                None,
                pairs([unused, (30_000, 29_000), (8_000, 8_000), (38_000, 37_000)]),
            ),
            // A limit of its own for all tokens takes the place of their sum.
            (
                vec![(InputTokens, 30_000, 29_871), (Tokens, 20_000, 100)],
                None,
                pairs([unused, (30_000, 29_000), (6_000, 6_000), (20_000, 0)]),
            ),
            (
                vec![(Requests, 50, 49), (OutputTokens, 8_000, 7_000)],
                Some(1),
                pairs([(50, 49), (4_000_000, 4_000_000), (8_000, 0), (4_008_000, 4_000_000)]),
            ),
            // Of two periods the one that binds.
            (
                vec![(Requests, 50, 49), (Requests, 1_000, 7)],
                None,
                pairs([
                    (1_000, 7),
                    (4_000_000, 4_000_000),
                    (800_000, 800_000),
                    (4_800_000, 4_800_000),
                ]),
            ),
        ] {
            assert_eq!(shown(&levels, exhausted), expected, "{levels:?}");
        }
    }

    #[test]
    fn an_instant_is_rounded_up_to_a_second() {
        assert_eq!(rfc3339(Duration::from_millis(1_500)), "1970-01-01T00:00:02Z");
        assert_eq!(rfc3339(Duration::from_secs(1)), "1970-01-01T00:00:01Z");
    }
}
