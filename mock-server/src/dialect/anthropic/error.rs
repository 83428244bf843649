//! Anthropic's failures; texts as quoted in public recordings and issues.

use super::{ORGANIZATION, edge_headers, limit_headers, request_id};
use crate::{
    action::{Dimension, ErrorKind},
    dialect::{Body, CLOUDFLARE_PAGE, Case, Exchange, Fields, Place, Provenance, cloudflare_page},
    quota::Limited,
};

use ErrorKind::{
    Authentication, BadGateway, BadRequest, ContentPolicy, ContextLength, GatewayTimeout,
    InsufficientQuota, NotFound, Overloaded, RateLimited, RequestTooLarge, ServerError,
    Unavailable,
};
use Provenance::{Documented, Quoted, Recorded};

/// An error with its wrapper and the request id.
macro_rules! envelope {
    ($kind:literal, $message:expr) => {
        Body::Json(concat!(
            "{\"type\":\"error\",\"error\":{\"type\":\"",
            $kind,
            "\",\"message\":\"",
            $message,
            "\"},\"request_id\":\"{{request-id}}\"}"
        ))
    };
}

/// The same as an event of a stream.
macro_rules! event {
    ($kind:literal, $message:expr) => {
        Body::Json(concat!(
            "event: error\ndata: {\"type\":\"error\",\"error\":{\"details\":null,\"type\":\"",
            $kind,
            "\",\"message\":\"",
            $message,
            "\"},\"request_id\":\"{{request-id}}\"}\n\n"
        ))
    };
}

/// The words for a limit that is hit, since 2026.
macro_rules! limit_text {
    () => {
        "This request would exceed your organization's rate limit of {{grouped-limit}} {{unit}} per \
         {{period}} (org: {{organization}}, model: {{model}}). For details, refer to: \
         https://docs.claude.com/en/api/rate-limits. You can see the response headers for current \
         usage. Please reduce the prompt length or the maximum tokens requested, or try again \
         later. You may also contact sales at https://claude.com/contact-sales to discuss your \
         options for a rate limit increase."
    };
}

/// Everything that Anthropic refuses or fails with.
pub(super) static CASES: &[Case] = &[
    Case::new(
        Authentication,
        "invalid-key",
        401,
        refused,
        envelope!("authentication_error", "invalid x-api-key"),
    )
    .known(Recorded, "simonw/llm-anthropic, tests/cassettes"),
    Case::new(
        Authentication,
        "missing-key",
        401,
        refused,
        envelope!("authentication_error", "x-api-key header is required"),
    )
    .known(Quoted, "https://github.com/anthropics/claude-code/issues/66314"),
    Case::new(BadGateway, "cloudflare", 502, cloudflare_page, CLOUDFLARE_PAGE)
        .such_as(&[("title", "502 Bad Gateway")])
        .known(Quoted, "https://github.com/anthropics/claude-code/issues/35508"),
    Case::new(
        BadRequest,
        "invalid",
        400,
        refused,
        envelope!("invalid_request_error", "{{message}}"),
    )
    .such_as(&[("message", "messages: text content blocks must be non-empty")])
    .known(Quoted, "https://github.com/anthropics/anthropic-sdk-python/issues/938"),
    Case::new(
        BadRequest,
        "malformed-json",
        400,
        refused,
        envelope!(
            "invalid_request_error",
            "The request body is not valid JSON: {{reason}}: line {{line}} column {{column}} (char \
             {{char}})"
        ),
    )
    .such_as(&[("reason", "expected value"), ("line", "1"), ("column", "10"), ("char", "9")])
    .known(Quoted, "https://github.com/anthropics/claude-code/issues/14567"),
    Case::new(
        BadRequest,
        "method",
        405,
        refused,
        envelope!("invalid_request_error", "Method Not Allowed"),
    ),
    Case::new(
        ContentPolicy,
        "output",
        400,
        refused,
        envelope!("invalid_request_error", "Output blocked by content filtering policy"),
    )
    .known(Quoted, "https://github.com/anthropics/claude-code/issues/6752"),
    Case::new(
        ContextLength,
        "prompt",
        400,
        refused,
        envelope!(
            "invalid_request_error",
            "prompt is too long: {{input}} tokens > {{window}} maximum"
        ),
    )
    .known(Recorded, "pydantic/pydantic-ai, tests/models/cassettes"),
    Case::new(
        ContextLength,
        "input-and-max-tokens",
        400,
        refused,
        envelope!(
            "invalid_request_error",
            "input length and `max_tokens` exceed context limit: {{input}} + {{output}} > \
             {{window}}, decrease input length or `max_tokens` and try again"
        ),
    )
    .known(Quoted, "https://github.com/anthropics/claude-code/issues/39757"),
    Case::new(
        GatewayTimeout,
        "timeout",
        504,
        retried,
        envelope!("timeout_error", "Request timeout"),
    )
    .known(Documented, "https://docs.claude.com/en/api/errors"),
    // A spent balance is a 400 here, not a 402.
    Case::new(
        InsufficientQuota,
        "credit-balance",
        400,
        refused,
        envelope!(
            "invalid_request_error",
            "Your credit balance is too low to access the Anthropic API. Please go to Plans & \
             Billing to upgrade or purchase credits."
        ),
    )
    .known(Quoted, "https://github.com/zed-industries/zed/issues/44875"),
    Case::new(
        NotFound,
        "model",
        404,
        refused,
        envelope!("not_found_error", "model: {{model}}"),
    )
    .known(Recorded, "crmne/ruby_llm, spec/fixtures/vcr_cassettes"),
    Case::new(NotFound, "route", 404, refused, envelope!("not_found_error", "Not found"))
        .known(Quoted, "https://github.com/anthropics/anthropic-sdk-typescript/issues/616"),
    Case::new(
        Overloaded,
        "overloaded",
        529,
        retried,
        envelope!("overloaded_error", "Overloaded"),
    )
    .known(Quoted, "https://github.com/anthropics/anthropic-sdk-typescript/issues/357"),
    Case::new(
        RateLimited,
        "limit",
        429,
        limited,
        envelope!("rate_limit_error", limit_text!()),
    )
    .known(Quoted, "https://github.com/anthropics/claude-code/issues/45063"),
    // The edge's answer, without the wrapper and the request id of the application.
    Case::new(
        RequestTooLarge,
        "body",
        413,
        edge,
        Body::Json(
            r#"{"error":{"type":"request_too_large","message":"Request exceeds the maximum size"}}"#,
        ),
    )
    .with(&[("x-should-retry", "false")])
    .known(Quoted, "https://github.com/can1357/oh-my-pi/issues/38"),
    Case::new(
        ServerError,
        "internal",
        500,
        retried,
        envelope!("api_error", "Internal server error"),
    )
    .known(Quoted, "https://github.com/anthropics/claude-code/issues/35508"),
    // Envoy's plain text, when the proxy finds nobody behind it.
    Case::new(
        Unavailable,
        "upstream",
        503,
        plain,
        Body::Text(
            "upstream connect error or disconnect/reset before headers. reset reason: connection \
             termination",
        ),
    )
    .known(Quoted, "https://github.com/anthropics/claude-code/issues/35508"),
    Case::event(Overloaded, "overloaded", event!("overloaded_error", "Overloaded"))
        .known(Quoted, "https://github.com/anthropics/anthropic-sdk-typescript/issues/357"),
    Case::event(RateLimited, "limit", event!("rate_limit_error", limit_text!())),
    Case::event(ServerError, "internal", event!("api_error", "Internal server error"))
        .known(Quoted, "https://github.com/karthink/gptel/issues/1512"),
];

/// The usual failure, where the numbers say which it is.
pub(super) fn usual(
    kind: ErrorKind,
    place: Place,
    exchange: &Exchange<'_>,
) -> Option<&'static str> {
    let (request, window) = (exchange.request, exchange.decision.window);
    let fits = request.output_tokens_max.is_some() && request.input_tokens <= window;
    (kind == ContextLength && place == Place::Answer && fits).then_some("input-and-max-tokens")
}

/// What the placeholders of Anthropic's texts stand for.
pub(super) fn word(name: &str, exchange: &Exchange<'_>) -> Option<String> {
    let level = || exchange.decision.limited.unwrap_or_else(|| scripted(exchange)).level;
    Some(match name {
        "grouped-limit" => grouped(level().limit),
        "organization" => ORGANIZATION.to_owned(),
        "period" => level().period_name().to_owned(),
        "request-id" => request_id(&exchange.moment),
        "unit" => match level().dimension {
            Dimension::Concurrency => "concurrent requests",
            Dimension::InputTokens | Dimension::Tokens => "input tokens",
            Dimension::OutputTokens => "output tokens",
            Dimension::Requests => "requests",
        }
        .to_owned(),
        _ => return None,
    })
}

fn scripted(exchange: &Exchange<'_>) -> Limited {
    Limited::scripted(Dimension::Requests, None, exchange.request.input_tokens)
}

/// The headers of an error that stays one however often it is asked for.
fn refused(exchange: &Exchange<'_>) -> Fields {
    let mut headers = edge_headers(&exchange.moment, "application/json");
    headers.push(("x-should-retry", "false".to_owned()));
    headers
}

/// The headers of an error that may be over the next time.
fn retried(exchange: &Exchange<'_>) -> Fields {
    let mut headers = edge_headers(&exchange.moment, "application/json");
    headers.push(("x-should-retry", "true".to_owned()));
    headers
}

/// The headers of an error for a limit that is hit.
fn limited(exchange: &Exchange<'_>) -> Fields {
    let limited = exchange.decision.limited.unwrap_or_else(|| scripted(exchange));
    let mut headers = retried(exchange);
    let levels = &exchange.decision.levels;
    headers.extend(limit_headers(levels, Some(&limited.level), &exchange.moment));
    headers
}

/// The headers of the edge's own JSON.
fn edge(exchange: &Exchange<'_>) -> Fields {
    vec![
        ("content-type", "application/json".to_owned()),
        ("server", "cloudflare".to_owned()),
        ("cf-ray", exchange.moment.cf_ray()),
    ]
}

/// The headers of a proxy's plain text.
fn plain(exchange: &Exchange<'_>) -> Fields {
    vec![
        ("content-type", "text/plain".to_owned()),
        ("server", "cloudflare".to_owned()),
        ("cf-ray", exchange.moment.cf_ray()),
    ]
}

/// A number with its thousands apart: `30,000`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_set_apart() {
        for (number, text) in [(5, "5"), (50_000, "50,000"), (1_234_567, "1,234,567")] {
            assert_eq!(grouped(number), text);
        }
    }
}
