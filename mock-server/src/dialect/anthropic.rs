//! Anthropic's Messages, as recorded from `api.anthropic.com` in 2026.
//!
//! Both client generations are understood: `x-api-key` with version `2023-06-01`, and a Bearer
//! token with version `2026-10-21`.

mod error;
mod read;
mod success;

use bytes::Bytes;

use super::{Dialect, Exchange, Head, Moment, Provider, Reply};
use crate::{
    action::{ErrorKind, StreamErrorKind},
    answer::Answer,
    plan::{ProviderName, Route},
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

    fn not_found(&self, _: &Head<'_>, moment: &Moment) -> Reply {
        error::not_found(moment)
    }
}

impl Dialect for Anthropic {
    fn route(&self, head: &Head<'_>) -> Option<Route> {
        head.path.ends_with("/messages").then_some(Route::AnthropicMessages)
    }

    fn read(
        &self,
        route: Route,
        head: &Head<'_>,
        body: &[u8],
        moment: &Moment,
    ) -> Result<Request, Reply> {
        read::request(route, head, body, moment)
    }

    fn answer(&self, exchange: &Exchange<'_>, answer: &Answer) -> Reply {
        success::reply(exchange, answer)
    }

    fn error(&self, exchange: &Exchange<'_>, kind: ErrorKind) -> Reply {
        error::reply(exchange, kind)
    }

    fn stream_error(&self, exchange: &Exchange<'_>, kind: StreamErrorKind) -> Bytes {
        error::event(exchange, kind)
    }

    fn unknown_model(&self, exchange: &Exchange<'_>) -> Reply {
        error::unknown_model(exchange)
    }

    fn too_large(&self, moment: &Moment) -> Reply {
        error::too_large(moment)
    }
}

/// The id that stands in a header and in the body of every error.
fn request_id(moment: &Moment) -> String {
    format!("req_011C{}", moment.alphanumeric("request", 20))
}

/// The headers that the edge puts on everything.
fn edge_headers(moment: &Moment, content_type: &str) -> Vec<(&'static str, String)> {
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

/// The limit headers; `reset` is the instant at which the bucket is full, in whole seconds.
fn limit_headers(levels: &[crate::quota::Level], moment: &Moment) -> Vec<(&'static str, String)> {
    use crate::action::Dimension;

    let mut headers = Vec::new();
    for (dimension, names) in [
        (
            Dimension::Requests,
            [
                "anthropic-ratelimit-requests-limit",
                "anthropic-ratelimit-requests-remaining",
                "anthropic-ratelimit-requests-reset",
            ],
        ),
        (
            Dimension::Tokens,
            [
                "anthropic-ratelimit-tokens-limit",
                "anthropic-ratelimit-tokens-remaining",
                "anthropic-ratelimit-tokens-reset",
            ],
        ),
    ] {
        if let Some(level) = levels.iter().find(|level| level.dimension == dimension) {
            let [limit, remaining, reset] = names;
            // Token counts are rounded to thousands, down: what is announced can be used.
            let left = match dimension {
                Dimension::Requests => level.remaining,
                Dimension::Tokens => level.remaining / 1_000 * 1_000,
            };
            headers.push((limit, level.limit.to_string()));
            headers.push((remaining, left.to_string()));
            headers.push((reset, rfc3339(moment.wall + level.reset)));
        }
    }
    headers
}

/// An instant as Anthropic prints it, rounded up to a second: `2026-08-19T14:35:02Z`.
fn rfc3339(wall: std::time::Duration) -> String {
    let seconds = wall.as_nanos().div_ceil(1_000_000_000);
    let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
    jiff::Timestamp::from_second(seconds).unwrap_or(jiff::Timestamp::MAX).to_string()
}

const ORGANIZATION: &str = "00000000-0000-4000-8000-000000000000";
