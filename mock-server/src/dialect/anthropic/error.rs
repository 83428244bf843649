//! Anthropic's failures; texts as quoted in public recordings and issues.

use bytes::Bytes;
use serde_json::{Value, json};

use super::{
    ORGANIZATION, edge_headers, known_headers, limit_headers, request_id,
    success::{self, Sse},
};
use crate::{
    action::{Dimension, ErrorKind},
    dialect::{
        Body, CLOUDFLARE_PAGE, Case, Exchange, Fields, Place, Provenance, ReplyBody,
        cloudflare_page,
    },
    plan::Route,
    quota::Limited,
};

use ErrorKind::{
    Authentication, BadGateway, BadRequest, Conflict, ContentPolicy, ContextLength, GatewayTimeout,
    InsufficientQuota, NotFound, Overloaded, Permission, RateLimited, RequestTooLarge, ServerError,
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

/// An error with its wrapper, a code for programs and the request id.
macro_rules! coded {
    ($kind:literal, $message:expr, $details:literal) => {
        Body::Json(concat!(
            "{\"type\":\"error\",\"error\":{\"type\":\"",
            $kind,
            "\",\"message\":\"",
            $message,
            "\",\"details\":{",
            $details,
            "}},\"request_id\":\"{{request-id}}\"}"
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
        unknown,
        envelope!("authentication_error", "invalid x-api-key"),
    )
    .known(
        Recorded,
        "crmne/ruby_llm, spec/fixtures/vcr_cassettes/\
         chat_error_handling_with_anthropic_claude-haiku-4-5_raises_appropriate_\
         auth_error.yml",
    ),
    Case::new(
        Authentication,
        "missing-key",
        401,
        unknown,
        envelope!("authentication_error", "x-api-key header is required"),
    )
    .known(Quoted, "https://github.com/n8n-io/n8n/issues/37930"),
    Case::new(
        Authentication,
        "oauth",
        401,
        unknown,
        envelope!(
            "authentication_error",
            "OAuth authentication is currently not allowed for this organization."
        ),
    )
    .known(Quoted, "https://github.com/anthropics/claude-code/issues/6752"),
    Case::new(
        Authentication,
        "browser",
        401,
        unknown,
        envelope!(
            "authentication_error",
            "CORS requests must set 'anthropic-dangerous-direct-browser-access' header"
        ),
    )
    .known(Quoted, "https://github.com/ChatGPTNextWeb/NextChat/issues/5429"),
    Case::new(
        Authentication,
        "browser-organization",
        401,
        unknown,
        envelope!(
            "authentication_error",
            "CORS requests are not allowed for this Organization because of its settings. If you \
             believe this in error, contact support at https://support.anthropic.com/."
        ),
    )
    .known(Quoted, "https://github.com/anthropics/anthropic-sdk-typescript/issues/741"),
    // The page of any site behind Cloudflare.
    Case::new(BadGateway, "cloudflare", 502, cloudflare_page, CLOUDFLARE_PAGE)
        .such_as(&[("title", "502 Bad Gateway")]),
    Case::new(
        BadRequest,
        "invalid",
        400,
        refused,
        envelope!("invalid_request_error", "{{message}}"),
    )
    .such_as(&[("message", "messages: text content blocks must be non-empty")])
    .known(Quoted, "public issues"),
    Case::new(
        BadRequest,
        "version",
        400,
        unknown,
        envelope!("invalid_request_error", "anthropic-version: {{message}}"),
    )
    .such_as(&[("message", "header is required")])
    .known(Quoted, "https://github.com/envoyproxy/ai-gateway/issues/1909"),
    Case::new(
        BadRequest,
        "malformed-json",
        400,
        refused,
        envelope!(
            "invalid_request_error",
            "The request body is not valid JSON: {{reason}}: line {{line}} column {{column}} \
             (char {{char}})"
        ),
    )
    .such_as(&[("reason", "expected value"), ("line", "1"), ("column", "10"), ("char", "9")])
    .known(Quoted, "https://github.com/anthropics/claude-code/issues/1832"),
    Case::new(
        BadRequest,
        "effort",
        400,
        refused,
        envelope!(
            "invalid_request_error",
            "This model does not support effort level '{{effort}}'. Supported levels: high, low, \
             max, medium."
        ),
    )
    .such_as(&[("effort", "xhigh")])
    .known(
        Recorded,
        "pydantic/pydantic-ai, tests/models/cassettes/test_anthropic/\
         test_anthropic_explicit_effort_xhigh_unsupported_model_errors.yaml",
    ),
    Case::new(
        BadRequest,
        "image-dimensions",
        400,
        refused,
        coded!(
            "invalid_request_error",
            "messages.0.content.1.image.source.base64.data: At least one of the image dimensions \
             exceed max allowed size: 8000 pixels",
            "\"error_code\":\"image_dimensions_too_large\",\"max_side_length_pixels\":8000,\
             \"paths\":[\"messages.0.content.1\"]"
        ),
    )
    .known(Documented, "anthropic 2.12.0, _error_classes.py"),
    Case::new(
        BadRequest,
        "shape-2024",
        400,
        early,
        Body::Json(
            "{\"type\":\"error\",\"error\":{\"type\":\"invalid_request_error\",\"message\":\
             \"messages.0: Input does not match the expected shape.\"}}",
        ),
    )
    .with(&[("x-should-retry", "false")])
    .known(
        Recorded,
        "DataDog/dd-trace-py, tests/contrib/anthropic/cassettes/\
         anthropic_completion_error.yaml",
    ),
    Case::new(
        BadRequest,
        "method",
        405,
        unknown,
        envelope!("invalid_request_error", "Method Not Allowed"),
    ),
    Case::new(
        Conflict,
        "conflict",
        409,
        refused,
        envelope!(
            "conflict_error",
            "The request conflicts with the current state of the resource."
        ),
    )
    .known(Documented, "anthropic 2.12.0, _error_classes.py"),
    Case::new(
        ContentPolicy,
        "output",
        400,
        refused,
        envelope!("invalid_request_error", "Output blocked by content filtering policy"),
    )
    .known(Quoted, "public issues"),
    // The model itself refuses: to HTTP that is a success.
    Case::new(ContentPolicy, "refusal", 200, success::headers, Body::Made(refusal))
        .on(&[Route::AnthropicMessages])
        .known(Documented, "anthropic 2.12.0, types/refusal_stop_details.py"),
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
    .known(
        Recorded,
        "crmne/ruby_llm, spec/fixtures/vcr_cassettes/\
         chat_real_error_scenarios_anthropic_claude-haiku-4-5_handles_context_\
         length_exceeded_errors.yml",
    ),
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
    .known(Quoted, "https://github.com/continuedev/continue/issues/8454"),
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
    .known(Quoted, "https://github.com/anthropics/claude-code/issues/66314"),
    Case::new(
        InsufficientQuota,
        "billing",
        402,
        refused,
        envelope!("billing_error", "Billing error"),
    )
    .known(Documented, "https://docs.claude.com/en/api/errors"),
    // No wait helps against the limits of a month, and none is announced.
    Case::new(
        InsufficientQuota,
        "spend-limit",
        429,
        retried,
        coded!(
            "rate_limit_error",
            "Your organization has reached its monthly API usage threshold.",
            "\"error_code\":\"enforced_spend_limit_reached\""
        ),
    )
    .known(Documented, "anthropic 2.12.0, _error_classes.py"),
    Case::new(
        InsufficientQuota,
        "contract-spend-limit",
        429,
        retried,
        coded!(
            "rate_limit_error",
            "Your organization has reached its monthly API usage threshold.",
            "\"error_code\":\"contract_spend_limit_reached\""
        ),
    )
    .known(Documented, "anthropic 2.12.0, _error_classes.py"),
    Case::new(NotFound, "model", 404, refused, envelope!("not_found_error", "model: {{model}}"))
        .known(
            Recorded,
            "pydantic/pydantic-ai, tests/cassettes/test_model_name_suggestions/\
             test_model_name_suggestion[anthropic].yaml",
        ),
    Case::new(NotFound, "route", 404, unknown, envelope!("not_found_error", "Not found"))
        .known(Quoted, "public repositories"),
    Case::new(Overloaded, "overloaded", 529, retried, envelope!("overloaded_error", "Overloaded"))
        .known(Quoted, "https://github.com/anthropics/claude-code/issues/45063"),
    Case::new(
        Overloaded,
        "overloaded-with-address",
        529,
        retried,
        envelope!("overloaded_error", "Overloaded. https://docs.claude.com/en/api/errors"),
    )
    .known(Quoted, "https://github.com/anthropics/claude-code/issues/39757"),
    Case::new(
        Overloaded,
        "overloaded-2024",
        529,
        early,
        Body::Json(
            r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#,
        ),
    )
    .with(&[("cache-control", "no-store, no-cache"), ("x-should-retry", "true")])
    .known(Quoted, "https://github.com/anthropics/anthropic-sdk-typescript/issues/616"),
    Case::new(
        Overloaded,
        "compaction",
        529,
        retried,
        coded!("overloaded_error", "Overloaded", "\"error_code\":\"compaction_unavailable\""),
    )
    .known(Documented, "anthropic 2.12.0, _error_classes.py"),
    // A stream that is only an error.
    Case::new(Overloaded, "first-event", 200, success::headers, Body::Made(first_event))
        .on(&[Route::AnthropicMessages])
        .known(Quoted, "https://github.com/anthropics/anthropic-sdk-go/issues/200"),
    Case::new(
        Permission,
        "permission",
        403,
        refused,
        envelope!(
            "permission_error",
            "Your API key does not have permission to use the specified resource."
        ),
    )
    .known(Documented, "https://docs.claude.com/en/api/errors"),
    Case::new(
        Permission,
        "scope",
        403,
        refused,
        coded!(
            "permission_error",
            "OAuth token does not meet scope requirement {{scope}}",
            "\"error_visibility\":\"user_facing\""
        ),
    )
    .such_as(&[("scope", "user:profile")])
    .known(Quoted, "https://github.com/can1357/oh-my-pi/issues/38"),
    // The edge's answer to a blocked region, without wrapper and request id.
    Case::new(
        Permission,
        "region",
        403,
        edge,
        Body::Json(r#"{"error":{"type":"forbidden","message":"Request not allowed"}}"#),
    )
    .known(Quoted, "public repositories"),
    Case::new(
        Permission,
        "organization-disabled",
        400,
        refused,
        envelope!("invalid_request_error", "This organization has been disabled."),
    )
    .known(Quoted, "public repositories, status 400 or 403"),
    Case::new(
        Permission,
        "organization-on-hold",
        400,
        refused,
        coded!(
            "invalid_request_error",
            "This organization is on hold.",
            "\"error_code\":\"organization_on_hold\""
        ),
    )
    .known(Documented, "anthropic 2.12.0, _error_classes.py"),
    Case::new(RateLimited, "limit", 429, limited, envelope!("rate_limit_error", limit_text!()))
        .known(Quoted, "https://github.com/stagewise-io/stagewise/issues/927"),
    Case::new(
        RateLimited,
        "limit-2025",
        429,
        limited,
        envelope!(
            "rate_limit_error",
            "This request would exceed the rate limit for your organization ({{organization}}) of \
             {{grouped-limit}} {{unit}} per {{period}}. For details, refer to: \
             https://docs.anthropic.com/en/api/rate-limits. You can see the response headers for \
             current usage. Please reduce the prompt length or the maximum tokens requested, or \
             try again later. You may also contact sales at \
             https://www.anthropic.com/contact-sales to discuss your options for a rate limit \
             increase."
        ),
    )
    .known(Quoted, "public issues of 2024 and 2025"),
    Case::new(
        RateLimited,
        "limit-2024",
        429,
        limited,
        envelope!(
            "rate_limit_error",
            "Number of {{unit-2024}} has exceeded your per-{{period}} rate limit \
             (https://docs.anthropic.com/claude/reference/rate-limits); see the response headers \
             for current usage. Please reduce the prompt length or the maximum tokens requested, \
             or try again later. You may also contact sales at \
             https://www.anthropic.com/contact-sales to discuss your options for a rate limit \
             increase."
        ),
    )
    .known(Quoted, "public issues of 2024"),
    Case::new(
        RateLimited,
        "concurrency",
        429,
        limited,
        envelope!(
            "rate_limit_error",
            "Number of concurrent connections has exceeded your rate limit. Please try again \
             later or contact sales at https://www.anthropic.com/contact-sales to discuss your \
             options for a rate limit increase."
        ),
    )
    .known(Quoted, "https://github.com/cline/cline/issues/4351"),
    Case::new(
        RateLimited,
        "account",
        429,
        limited,
        envelope!(
            "rate_limit_error",
            "This request would exceed your account's rate limit. Please try again later."
        ),
    )
    .known(Quoted, "https://github.com/anthropics/claude-code/issues/18078"),
    Case::new(
        RateLimited,
        "acceleration",
        429,
        retried,
        envelope!(
            "rate_limit_error",
            "This request would exceed your organization's maximum usage increase rate for input \
             tokens per minute (org: {{organization}}, model: {{model}}). Your current limit is \
             {{rate}} input tokens per minute, and will increase to {{next-rate}} at the next \
             minute boundary. Please scale up your input tokens usage more gradually to stay \
             within the acceleration limit. For details, refer to: \
             https://docs.claude.com/en/api/rate-limits."
        ),
    )
    .such_as(&[("rate", "58,276"), ("next-rate", "68,276")])
    .known(Quoted, "public run reports of 2026"),
    Case::new(
        RateLimited,
        "ramp",
        429,
        retried,
        coded!("rate_limit_error", limit_text!(), "\"error_code\":\"ramp_limit_exceeded\""),
    )
    .known(Documented, "anthropic 2.12.0, _error_classes.py"),
    // The edge's answer, without the wrapper and the request id of the application.
    Case::new(
        RequestTooLarge,
        "body",
        413,
        edge,
        Body::Json(
            "{\"error\":{\"type\":\"request_too_large\",\"message\":\"Request exceeds the maximum \
             size\"}}",
        ),
    )
    .known(Quoted, "https://github.com/anthropics/claude-code/issues/14567"),
    Case::new(
        RequestTooLarge,
        "request",
        413,
        refused,
        envelope!("request_too_large", "Request exceeds the maximum allowed number of bytes."),
    )
    .known(Documented, "https://docs.claude.com/en/api/errors"),
    Case::new(
        RequestTooLarge,
        "decoded",
        413,
        refused,
        coded!(
            "request_too_large",
            "Request exceeds the maximum allowed number of bytes.",
            "\"error_code\":\"request_body_too_large_after_decoding\""
        ),
    )
    .known(Documented, "anthropic 2.12.0, _error_classes.py"),
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
    ),
    Case::event(ContentPolicy, "refusal", Body::Made(refused_event))
        .known(Documented, "https://docs.claude.com, handle-streaming-refusals"),
    Case::event(GatewayTimeout, "timeout", event!("timeout_error", "Request timeout")),
    Case::event(Overloaded, "overloaded", event!("overloaded_error", "Overloaded"))
        .known(Quoted, "https://github.com/anthropics/anthropic-sdk-go/issues/200"),
    Case::event(RateLimited, "limit", event!("rate_limit_error", limit_text!())),
    Case::event(ServerError, "internal", event!("api_error", "Internal server error"))
        .known(Documented, "https://docs.claude.com/en/docs/build-with-claude/streaming"),
];

/// The usual failure, where the numbers say which it is.
pub(super) fn usual(
    kind: ErrorKind,
    place: Place,
    exchange: &Exchange<'_>,
) -> Option<&'static str> {
    if place == Place::Stream {
        return None;
    }
    let Exchange { request, decision, .. } = exchange;
    let fits = request.output_tokens_max.is_some() && request.input_tokens <= decision.window;
    let crowded =
        decision.limited.is_some_and(|limited| limited.level.dimension == Dimension::Concurrency);
    match kind {
        ContextLength if fits => Some("input-and-max-tokens"),
        RateLimited if crowded => Some("concurrency"),
        _ => None,
    }
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
        "unit-2024" => match level().dimension {
            Dimension::Concurrency => "concurrent connections",
            Dimension::Requests => "requests",
            _ => "request tokens",
        }
        .to_owned(),
        _ => return None,
    })
}

fn scripted(exchange: &Exchange<'_>) -> Limited {
    Limited::scripted(Dimension::Requests, None, exchange.request.input_tokens)
}

/// A refusal by the model: an answer that says nothing, for a reason.
fn refusal(exchange: &Exchange<'_>) -> ReplyBody {
    let stop = refusal_stop();
    if exchange.request.streaming {
        let mut sse = Sse::new(exchange);
        sse.start(0);
        sse.finish(stop, [1, 0]);
        return ReplyBody::Stream(sse.script);
    }
    let message = success::message(exchange, &json!([]), stop, [1, 0]);
    ReplyBody::Whole(Bytes::from(message.to_string()))
}

/// A refusal in the middle of an answer.
fn refused_event(exchange: &Exchange<'_>) -> ReplyBody {
    let mut sse = Sse::new(exchange);
    // Which block is open is certain only where nothing is thought before the text.
    if !exchange.request.wishes.reasons {
        sse.end();
    }
    let sent = exchange.words.iter().find(|(name, _)| *name == "events");
    let sent = sent.and_then(|(_, sent)| sent.parse::<u64>().ok()).unwrap_or(3);
    sse.finish(refusal_stop(), [sent.saturating_sub(2).max(1), 0]);
    ReplyBody::Stream(sse.script)
}

/// The reason, the sequence and the details of a refusal.
fn refusal_stop() -> [Value; 3] {
    let details = json!({ "type": "refusal", "category": "cyber", "explanation": null });
    [json!("refusal"), Value::Null, details]
}

/// An error in place of a stream; who asked for no stream gets it whole.
fn first_event(exchange: &Exchange<'_>) -> ReplyBody {
    let data = format!(
        "{{\"type\":\"error\",\"error\":{{\"details\":null,\"type\":\"overloaded_error\",\
         \"message\":\"Overloaded\"}},\"request_id\":\"{}\"}}",
        request_id(&exchange.moment)
    );
    let streaming = exchange.request.streaming;
    ReplyBody::Whole(Bytes::from(if streaming {
        format!("event: error\ndata: {data}\n\n")
    } else {
        data
    }))
}

/// The headers of a refusal of somebody who is not known.
fn unknown(exchange: &Exchange<'_>) -> Fields {
    let mut headers = edge_headers(&exchange.moment, "application/json");
    headers.push(("x-should-retry", "false".into()));
    headers
}

/// The headers of an error that stays one however often it is asked for.
fn refused(exchange: &Exchange<'_>) -> Fields {
    let mut headers = known_headers(&exchange.moment, "application/json");
    headers.push(("x-should-retry", "false".into()));
    headers
}

/// The headers of an error that may be over the next time.
fn retried(exchange: &Exchange<'_>) -> Fields {
    let mut headers = known_headers(&exchange.moment, "application/json");
    headers.push(("x-should-retry", "true".into()));
    headers
}

/// The headers of 2024.
fn early(exchange: &Exchange<'_>) -> Fields {
    let moment = &exchange.moment;
    let trace = format!("{}/0;o=1", moment.hex("trace", 32));
    vec![
        ("content-type", "application/json".into()),
        ("request-id", request_id(moment).into()),
        ("via", "1.1 google".into()),
        ("x-cloud-trace-context", trace.into()),
        ("server", "cloudflare".into()),
        ("cf-cache-status", "DYNAMIC".into()),
        ("x-robots-tag", "none".into()),
        ("cf-ray", moment.cf_ray().into()),
    ]
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
        ("content-type", "application/json".into()),
        ("server", "cloudflare".into()),
        ("cf-ray", exchange.moment.cf_ray().into()),
        ("x-should-retry", "false".into()),
    ]
}

/// The headers of a proxy's plain text.
fn plain(exchange: &Exchange<'_>) -> Fields {
    vec![
        ("content-type", "text/plain".into()),
        ("server", "cloudflare".into()),
        ("cf-ray", exchange.moment.cf_ray().into()),
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
