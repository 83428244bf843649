//! Mistral's failures: Kong's, the schema's, and those of the models.

use super::{correlation_id, edge_headers, latency, limit_headers, served_headers, success};
use crate::{
    action::ErrorKind,
    dialect::{Body, CLOUDFLARE_PAGE, Case, Exchange, Fields, Provenance, cloudflare_page},
    plan::Route,
    quota::Level,
};

use ErrorKind::{
    Authentication, BadGateway, BadRequest, ContentPolicy, ContextLength, GatewayTimeout,
    InsufficientQuota, NotFound, Overloaded, Permission, RateLimited, RequestTooLarge, ServerError,
    Unavailable,
};
use Provenance::{Documented, Quoted, Recorded};

/// An error of a model or of what serves it.
macro_rules! model {
    ($message:expr, $kind:literal, $code:literal $(, $status:literal)?) => {
        Body::Json(model!(@text $message, $kind, $code $(, $status)?))
    };
    (@text $message:expr, $kind:literal, $code:literal $(, $status:literal)?) => {
        concat!(
            r#"{"object":"error","message":""#,
            $message,
            r#"","type":""#,
            $kind,
            r#"","param":null,"code":""#,
            $code,
            "\"",
            $(",\"raw_status_code\":", $status,)?
            "}"
        )
    };
}

/// The same as an event of a stream.
macro_rules! event {
    ($message:expr, $kind:literal, $code:literal) => {
        Body::Json(concat!("data: ", model!(@text $message, $kind, $code), "\n\n"))
    };
}

/// The complaints of the schema about what was sent, as `FastAPI` words them.
const COMPLAINTS: Body = Body::Text(r#"{"detail":[{{complaints}}]}"#);

/// The routes that write a text.
const WRITING: &[Route] = &[Route::MistralChat, Route::MistralFim];

/// Everything that Mistral refuses or fails with.
pub(super) static CASES: &[Case] = &[
    Case::new(
        Authentication,
        "invalid-key",
        401,
        kong,
        Body::Json("{\"detail\":\"Invalid API Key\"}\n"),
    )
    .known(
        Recorded,
        "crmne/ruby_llm, spec/fixtures/vcr_cassettes/\
         chat_error_handling_with_mistral_mistral-small-latest_raises_\
         appropriate_auth_error.yml",
    ),
    Case::new(
        Authentication,
        "unauthorized",
        401,
        kong,
        Body::Json(r#"{"message":"Unauthorized","request_id":"{{request-id}}"}"#),
    ),
    Case::new(
        BadGateway,
        "upstream",
        502,
        kong,
        Body::Json(
            r#"{"message":"An invalid response was received from the upstream server","request_id":"{{request-id}}"}"#,
        ),
    ),
    Case::new(BadGateway, "cloudflare", 502, cloudflare_page, CLOUDFLARE_PAGE)
        .such_as(&[("title", "502 Bad Gateway")]),
    Case::new(BadRequest, "extra-field", 422, kong, COMPLAINTS)
        .such_as(&[(
            "complaints",
            r#"{"type":"extra_forbidden","loc":["body","store"],"msg":"Extra inputs are not permitted","input":false}"#,
        )])
        .known(Quoted, "https://github.com/Gitlawb/openclaude/issues/739"),
    Case::new(
        BadRequest,
        "extra-field-wrapped",
        422,
        served,
        Body::Text(
            r#"{"object":"error","message":{"detail":[{{complaints}}]},"type":"invalid_request_error","param":null,"code":null}"#,
        ),
    )
    .such_as(&[(
        "complaints",
        r#"{"type":"extra_forbidden","loc":["body","max_completion_tokens"],"msg":"Extra inputs are not permitted","input":32000}"#,
    )])
    .known(Quoted, "https://github.com/editor-code-assistant/eca/issues/231"),
    Case::new(BadRequest, "missing-field", 422, kong, COMPLAINTS).such_as(&[(
        "complaints",
        r#"{"type":"missing","loc":["body","messages"],"msg":"Field required","input":{"model":"mistral-small-latest"}}"#,
    )]),
    Case::new(BadRequest, "invalid-field", 422, kong, COMPLAINTS).such_as(&[(
        "complaints",
        r#"{"type":"less_than_equal","loc":["body","temperature"],"msg":"Input should be less than or equal to 1.5","input":3,"ctx":{"le":1.5}}"#,
    )]),
    Case::new(BadRequest, "malformed-json", 422, kong, COMPLAINTS).such_as(&[(
        "complaints",
        r#"{"type":"json_invalid","loc":["body",0],"msg":"JSON decode error","input":{},"ctx":{"error":"Expecting value"}}"#,
    )]),
    Case::new(
        BadRequest,
        "message-order",
        400,
        served,
        model!("{{complaint}}", "invalid_request_message_order", "3230"),
    )
    .on(&[Route::MistralChat])
    .such_as(&[("complaint", "Unexpected role 'user' after role 'tool'")])
    .known(Quoted, "https://github.com/onyx-dot-app/onyx/issues/6458"),
    Case::new(
        BadRequest,
        "tool-call-id",
        400,
        served,
        model!(
            "Tool call id was {{tool-call-id}} but must be a-z, A-Z, 0-9, with a length of 9.",
            "invalid_function_call",
            "3280",
            "400"
        ),
    )
    .on(&[Route::MistralChat])
    .such_as(&[("tool-call-id", "call_0fypS1hVX")])
    .known(Quoted, "https://github.com/nearai/ironclaw/issues/1241"),
    Case::new(BadRequest, "method", 405, kong, Body::Json(r#"{"detail":"Method Not Allowed"}"#)),
    Case::new(ContentPolicy, "filtered", 200, filtered, Body::Made(success::filtered)).on(WRITING),
    Case::new(
        ContextLength,
        "too-large",
        400,
        kong,
        model!(
            "Prompt contains {{input}} tokens and 0 draft tokens, too large for model with \
             {{window}} maximum context length",
            "invalid_request_invalid_args",
            "3051",
            "400"
        ),
    )
    .known(Quoted, "a public repository of 2026"),
    Case::new(
        GatewayTimeout,
        "upstream",
        504,
        kong,
        Body::Json(
            r#"{"message":"The upstream server is timing out","request_id":"{{request-id}}"}"#,
        ),
    ),
    Case::new(
        InsufficientQuota,
        "usage-limit",
        429,
        kong,
        Body::Json(r#"{"message":"Inactive subscription or usage limit reached"}"#),
    ),
    Case::new(
        NotFound,
        "model",
        400,
        kong,
        model!("Invalid model: {{model}}", "invalid_model", "1500", "400"),
    )
    .known(Quoted, "https://github.com/mistralai/mistral-vibe/issues/617"),
    Case::new(
        NotFound,
        "route",
        404,
        kong,
        Body::Json(
            r#"{"message":"no Route matched with those values","request_id":"{{request-id}}"}"#,
        ),
    )
    .known(Quoted, "codestral.mistral.ai, quoted in a public repository"),
    Case::new(
        Overloaded,
        "capacity",
        429,
        kong,
        model!(
            "Service tier capacity exceeded for this model.",
            "service_tier_capacity_exceeded",
            "3505"
        ),
    )
    .known(Quoted, "public issues"),
    Case::event(
        Overloaded,
        "capacity",
        event!(
            "Service tier capacity exceeded for this model.",
            "service_tier_capacity_exceeded",
            "3505"
        ),
    ),
    Case::new(
        Permission,
        "consumer",
        403,
        kong,
        Body::Json(
            r#"{"message":"You cannot consume this service","request_id":"{{request-id}}"}"#,
        ),
    ),
    Case::new(
        RateLimited,
        "rate-limit",
        429,
        limited,
        model!("Rate limit exceeded", "rate_limited", "1300", "429"),
    )
    .known(Quoted, "https://github.com/raycast/extensions/issues/31107"),
    Case::new(
        RateLimited,
        "requests",
        429,
        legacy_limited,
        Body::Json(r#"{"message":"Requests rate limit exceeded"}"#),
    )
    .known(Quoted, "public issues, 2024 and 2025"),
    Case::new(
        RequestTooLarge,
        "body",
        413,
        kong,
        Body::Json(r#"{"message":"Request size limit exceeded","request_id":"{{request-id}}"}"#),
    ),
    Case::new(
        ServerError,
        "internal",
        500,
        kong,
        model!("Service unavailable.", "internal_server_error", "1000"),
    )
    .known(Documented, "https://docs.mistral.ai, error format"),
    Case::event(
        ServerError,
        "internal",
        event!("Service unavailable.", "internal_server_error", "1000"),
    ),
    Case::new(
        Unavailable,
        "overflow",
        503,
        envoy,
        Body::Text(
            "upstream connect error or disconnect/reset before headers. reset reason: overflow",
        ),
    ),
    Case::event(
        Unavailable,
        "unavailable",
        event!("Service unavailable.", "service_unavailable", "3000"),
    ),
];

/// The headers of Kong's own answers.
fn kong(exchange: &Exchange<'_>) -> Fields {
    answered(exchange, "application/json")
}

fn answered(exchange: &Exchange<'_>, content_type: &'static str) -> Fields {
    let moment = &exchange.moment;
    let id = correlation_id(moment);
    let mut headers = vec![
        ("content-type", content_type.into()),
        ("mistral-correlation-id", id.clone().into()),
        ("x-kong-request-id", id.into()),
        ("access-control-allow-origin", "*".into()),
        ("x-kong-response-latency", latency(moment, "response", 5, 45).to_string().into()),
    ];
    headers.extend(edge_headers(moment));
    headers.insert(headers.len() - 2, ("server", "cloudflare".into()));
    headers
}

/// The headers of an error from behind the gateway.
fn served(exchange: &Exchange<'_>) -> Fields {
    served_headers(&exchange.moment, "application/json", Fields::new())
}

/// The headers of an answer that was filtered.
fn filtered(exchange: &Exchange<'_>) -> Fields {
    let streaming = exchange.request.streaming;
    let content_type =
        if streaming { "text/event-stream; charset=utf-8" } else { "application/json" };
    served_headers(&exchange.moment, content_type, Fields::new())
}

/// The headers of Envoy's plain text.
fn envoy(exchange: &Exchange<'_>) -> Fields {
    answered(exchange, "text/plain")
}

/// Every limit, the one that was hit among them.
fn limited(exchange: &Exchange<'_>) -> Fields {
    let mut headers = kong(exchange);
    let hit = exchange.decision.limited.map(|limited| limited.level);
    let others = exchange.decision.levels.iter().copied().filter(|level| {
        hit.is_none_or(|hit| (level.dimension, level.period) != (hit.dimension, hit.period))
    });
    headers.extend(limit_headers(&others.chain(hit).collect::<Vec<Level>>()));
    headers
}

/// The headers of Kong's own limits, before 2026.
fn legacy_limited(exchange: &Exchange<'_>) -> Fields {
    let mut headers = kong(exchange);
    if let Some(limited) = exchange.decision.limited {
        let (limit, level) = (limited.level.limit.to_string(), limited.level);
        let name = match level.period_name() {
            "second" => "x-ratelimit-limit-second",
            "minute" => "x-ratelimit-limit-minute",
            "hour" => "x-ratelimit-limit-hour",
            _ => "x-ratelimit-limit-day",
        };
        let reset = limited.wait.unwrap_or(level.reset).as_nanos().div_ceil(1_000_000_000);
        headers.extend([
            (name, limit.clone().into()),
            ("ratelimit-limit", limit.into()),
            ("ratelimit-remaining", level.remaining.to_string().into()),
            ("ratelimit-reset", reset.to_string().into()),
        ]);
    }
    headers
}
