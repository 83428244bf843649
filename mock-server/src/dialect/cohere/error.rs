//! Cohere's failures: an id and a message in JSON.

use std::time::Duration;

use serde_json::json;

use super::{
    Cohere, edge_headers, is_per_minute, limit_headers,
    success::{event, line},
    trace_id,
};
use crate::{
    action::{Dimension, ErrorKind},
    dialect::{Body, Case, Dialect as _, Exchange, Fields, Place, Provenance, ReplyBody},
    plan::{Route, Service},
    quota::Level,
};

use ErrorKind::{
    Authentication, BadGateway, BadRequest, Cancelled, ContentPolicy, ContextLength,
    GatewayTimeout, InsufficientQuota, NotFound, Overloaded, Permission, RateLimited,
    RequestTooLarge, ServerError, Unavailable,
};
use Provenance::{Documented, Quoted, Recorded};

/// An error with its id.
macro_rules! refusal {
    ($kind:ident, $name:literal, $status:literal, $message:expr) => {
        Case::new(
            $kind,
            $name,
            $status,
            refused,
            Body::Json(concat!("{\"id\":\"{{id}}\",\"message\":\"", $message, "\"}")),
        )
    };
}

/// The words for a trial key that has called too often.
macro_rules! trial {
    ($calls:literal) => {
        concat!(
            "You are using a Trial key, which is limited to ",
            $calls,
            ". You can continue to use the Trial key for free or upgrade to a Production key with \
             higher rate limits at 'https://dashboard.cohere.com/api-keys'. Contact us on \
             'https://discord.gg/XW44jPfYJu' or email us at support@cohere.com with any questions"
        )
    };
}

/// The end of a stream that failed, in either version.
macro_rules! broken {
    ($kind:ident, $name:literal, $reason:literal, $message:literal) => {
        Case::event($kind, $name, Body::Made(|exchange| end(exchange, $reason, $message)))
            .on(CHAT)
            .known(Documented, SDK)
    };
}

/// Everything that Cohere refuses or fails with.
pub(super) static CASES: &[Case] = &[
    Case::new(
        Authentication,
        "invalid-key",
        401,
        edge,
        Body::Json(
            "{\"id\":\"{{id}}\",\"message\":\"Incorrect API key provided: {{masked-key}}. You can \
             find your API key at https://dashboard.cohere.com/api-keys.\"}",
        ),
    )
    .known(
        Recorded,
        "crmne/ruby_llm, spec/fixtures/vcr_cassettes/\
         chat_error_handling_with_cohere_command-a-03-2025_raises_appropriate_\
         auth_error.yml",
    ),
    refusal!(Authentication, "missing-key", 401, "no api key supplied").known(Documented, DOCS),
    refusal!(Authentication, "invalid-token", 401, "invalid api token").known(Documented, DOCS),
    refusal!(
        Authentication,
        "expired-key",
        401,
        "Your API key has expired. Please create a production key at dashboard.cohere.com or reach \
         out to your contact at Cohere to continue usage."
    )
    .known(Documented, DOCS),
    Case::new(BadGateway, "load-balancer", 502, page, GOOGLE_PAGE),
    refusal!(BadRequest, "invalid", 400, "{{message}}")
        .such_as(&[(
            "message",
            "invalid request: temperature must be between 0 and 1.0 inclusive.",
        )])
        .known(Documented, DOCS),
    refusal!(
        BadRequest,
        "empty-message",
        400,
        "invalid request: message must be at least 1 token long or tool results must be specified."
    )
    .known(Documented, DOCS),
    refusal!(BadRequest, "missing-model", 400, "a model parameter is required for this endpoint.")
        .known(Documented, DOCS),
    refusal!(BadRequest, "malformed-json", 400, "invalid json syntax: {{reason}}")
        .such_as(&[("reason", "unexpected end of JSON input")])
        .known(Documented, DOCS),
    // Since version 2 the answer is cut instead.
    refusal!(
        BadRequest,
        "max-tokens",
        400,
        "too many tokens: max tokens must be less than or equal to {{most}}, the maximum output \
         for this model - received {{received}}."
    )
    .on(CHAT)
    .such_as(&[("most", "4096"), ("received", "8192")])
    .known(Documented, DOCS),
    refusal!(
        BadRequest,
        "unprocessable",
        422,
        "invalid type: parameter {{param}} is of type {{found}} but should be of type {{expected}}"
    )
    .such_as(&[("param", "messages"), ("found", "string"), ("expected", "array")]),
    refusal!(BadRequest, "method", 405, "Method Not Allowed"),
    refusal!(Cancelled, "cancelled", 499, "request cancelled").known(Documented, DOCS),
    refusal!(Cancelled, "by-user", 499, "request cancelled by user").known(Documented, DOCS),
    refusal!(
        ContentPolicy,
        "blocked",
        498,
        "invalid request: your request was blocked because it may violate our Usage Guidelines"
    ),
    Case::new(
        ContextLength,
        "too-many-tokens",
        400,
        application,
        Body::Json(
            "{\"error_type\":\"TOO_MANY_TOKENS\",\"id\":\"{{id}}\",\"message\":\"too many tokens: \
             size limit exceeded by {{excess}} tokens. Try using shorter or fewer inputs. The \
             limit for this model is {{window}} tokens.\"}",
        ),
    )
    .known(
        Recorded,
        "crmne/ruby_llm, spec/fixtures/vcr_cassettes/\
         chat_real_error_scenarios_cohere_command-a-03-2025_handles_context_\
         length_exceeded_errors.yml",
    ),
    refusal!(GatewayTimeout, "timeout", 504, "gateway timeout"),
    Case::new(GatewayTimeout, "proxy", 504, plain, Body::Text("upstream request timeout")),
    refusal!(
        InsufficientQuota,
        "payment-method",
        402,
        "Please add or update your payment method at \
         https://dashboard.cohere.com/billing?tab=payment to continue"
    )
    .known(Documented, DOCS),
    refusal!(
        InsufficientQuota,
        "billing-limit",
        402,
        "Maximum billing reached for this API key as set in your dashboard, please go to \
         https://dashboard.cohere.com/billing?tab=payment to increase your maximum amount to \
         continue using this API key. Your billing capacity will reset at the beginning of next \
         month."
    )
    .known(Documented, DOCS),
    refusal!(InsufficientQuota, "trial-month", 429, trial!("1000 API calls / month"))
        .known(Quoted, ISSUES),
    refusal!(
        NotFound,
        "model",
        404,
        "model '{{model}}' not found, make sure the correct model ID was used and that you have \
         access to the model."
    )
    .known(
        Recorded,
        "pydantic/pydantic-ai, tests/cassettes/test_embeddings/\
         TestCohere.test_embed_error.yaml",
    ),
    refusal!(
        NotFound,
        "model-removed",
        404,
        "model '{{model}}' was removed on {{date}}. See \
         https://docs.cohere.com/docs/models#command for a list of models you can use instead."
    )
    .such_as(&[("date", "September 15, 2025")])
    .known(
        Recorded,
        "traceloop/openllmetry, packages/\
         opentelemetry-instrumentation-llamaindex/tests/cassettes/test_agents/\
         test_agent_with_multiple_tools.yaml",
    ),
    // The answer of Go's own server to a path that it does not have.
    Case::new(NotFound, "route", 404, plain, Body::Text("404 page not found\n")),
    refusal!(Overloaded, "overloaded", 503, "service unavailable"),
    refusal!(Overloaded, "try-later", 429, "Please wait and try again later")
        .known(Documented, DOCS),
    refusal!(Permission, "forbidden", 403, "you do not have permission to access this resource"),
    Case::new(
        Permission,
        "page",
        403,
        page,
        Body::Text(
            "<!doctype html><meta charset=\"utf-8\"><meta name=viewport \
             content=\"width=device-width, initial-scale=1\"><title>403</title>403 Forbidden",
        ),
    )
    .known(Quoted, "https://github.com/langgenius/dify/issues/2506"),
    Case::new(
        RateLimited,
        "trial-minute",
        429,
        limited,
        Body::Json(concat!(
            "{\"id\":\"{{id}}\",\"message\":\"",
            trial!("{{limit}} API calls / {{period}}"),
            "\"}"
        )),
    )
    .known(Quoted, ISSUES),
    refusal!(
        RateLimited,
        "production-minute",
        429,
        "You are past the per minute request limit, please wait and try again later."
    )
    .known(Documented, DOCS),
    refusal!(RateLimited, "trial-month", 429, trial!("1000 API calls / month"))
        .known(Quoted, ISSUES),
    refusal!(
        RateLimited,
        "trial-tokens",
        429,
        "trial token rate limit exceeded, limit is {{limit}} tokens per {{period}}"
    )
    .known(Quoted, ISSUES),
    Case::new(RequestTooLarge, "body", 413, plain, Body::Text("Payload Too Large")),
    refusal!(
        ServerError,
        "internal",
        500,
        "internal server error, this has been reported to our developers. id {{id}}"
    )
    .known(Documented, DOCS),
    refusal!(ServerError, "not-implemented", 501, "not implemented"),
    refusal!(Unavailable, "unavailable", 503, "service unavailable"),
    // What Envoy says when the application behind it is gone.
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
    broken!(GatewayTimeout, "timeout", "TIMEOUT", "timed out"),
    broken!(Overloaded, "error", "ERROR", "service unavailable"),
    broken!(RateLimited, "error", "ERROR", "Please wait and try again later"),
    broken!(ServerError, "error", "ERROR", "internal server error"),
    broken!(Unavailable, "error", "ERROR", "service unavailable"),
];

/// The usual failure, where the limit says which it is.
pub(super) fn usual(
    kind: ErrorKind,
    place: Place,
    exchange: &Exchange<'_>,
) -> Option<&'static str> {
    let name = || match level(exchange).dimension {
        Dimension::InputTokens | Dimension::OutputTokens | Dimension::Tokens => "trial-tokens",
        Dimension::Concurrency | Dimension::Requests => "trial-minute",
    };
    (kind == RateLimited && place == Place::Answer).then(name)
}

/// What the placeholders of Cohere's texts stand for.
pub(super) fn word(name: &str, exchange: &Exchange<'_>) -> Option<String> {
    let (request, window) = (exchange.request, exchange.decision.window);
    Some(match name {
        // What fits is refused only by a script.
        "excess" => Cohere.needed(request).saturating_sub(window).max(1).to_string(),
        "id" => exchange.moment.uuid("error"),
        "limit" => level(exchange).limit.to_string(),
        "masked-key" => "*".repeat(request.key.chars().count()),
        "period" => level(exchange).period_name().to_owned(),
        _ => return None,
    })
}

/// The limit that is hit; if a script tells no numbers, that of a trial key.
fn level(exchange: &Exchange<'_>) -> Level {
    let minute = Duration::from_secs(60);
    let requests = match exchange.request.route.service() {
        Service::Embed => 100,
        Service::Count | Service::Generate | Service::List => 40,
    };
    let trial = Level {
        dimension: Dimension::Requests,
        limit: requests,
        period: minute,
        remaining: 0,
        reset: minute,
    };
    let decision = exchange.decision;
    let has_numbers = decision.rule.is_none() || decision.action.hint().is_some();
    match decision.limited.map(|limited| limited.level) {
        Some(level) if has_numbers => level,
        None | Some(Level { dimension: Dimension::Concurrency | Dimension::Requests, .. }) => trial,
        Some(level) => Level { dimension: level.dimension, limit: 100_000, ..trial },
    }
}

/// The headers of an error of the edge.
fn edge(exchange: &Exchange<'_>) -> Fields {
    edge_headers(exchange, "application/json", "Origin,Accept-Encoding")
}

/// The headers of almost every error.
fn refused(exchange: &Exchange<'_>) -> Fields {
    let mut headers = edge(exchange);
    headers.push(trace_id(&exchange.moment));
    headers
}

/// The headers of an error of the model's.
fn application(exchange: &Exchange<'_>) -> Fields {
    let mut headers = refused(exchange);
    headers.push(("access-control-expose-headers", "X-Debug-Trace-ID".into()));
    headers
}

/// The headers of an error for a limit that is hit.
fn limited(exchange: &Exchange<'_>) -> Fields {
    let mut headers = refused(exchange);
    let level = level(exchange);
    if is_per_minute(&level) {
        headers.extend(limit_headers(&level, 0));
    }
    headers
}

/// The headers of a page of Google's load balancer.
fn page(_: &Exchange<'_>) -> Fields {
    vec![
        ("content-type", "text/html; charset=UTF-8".into()),
        ("referrer-policy", "no-referrer".into()),
        ("alt-svc", "h3=\":443\"; ma=2592000".into()),
    ]
}

/// The headers of a proxy's plain text.
fn plain(_: &Exchange<'_>) -> Fields {
    vec![
        ("content-type", "text/plain".into()),
        ("server", "envoy".into()),
        ("via", "1.1 google".into()),
        ("alt-svc", "h3=\":443\"; ma=2592000".into()),
    ]
}

/// The last event of a stream that failed.
fn end(exchange: &Exchange<'_>, reason: &str, message: &str) -> ReplyBody {
    if exchange.request.route == Route::CohereChatV1 {
        let moment = &exchange.moment;
        let response = json!({
            "response_id": moment.uuid("response"),
            "text": "",
            "generation_id": moment.uuid("answer"),
            "finish_reason": reason,
        });
        let end = json!({
            "event_type": "stream-end",
            "response": response,
            "finish_reason": reason,
            "error": message,
        });
        return ReplyBody::Whole(line(true, &end).into());
    }
    let delta = json!({ "error": message, "finish_reason": reason });
    ReplyBody::Whole(event(&json!({ "type": "message-end", "delta": delta })).into())
}

/// The page that Google's load balancer shows when nobody behind it answers.
const GOOGLE_PAGE: Body = Body::Text(
    "\n<html><head>\n<meta http-equiv=\"content-type\" content=\"text/html;charset=utf-8\">\n\
     <title>502 Server Error</title>\n</head>\n<body text=#000000 bgcolor=#ffffff>\n<h1>Error: \
     Server Error</h1>\n<h2>The server encountered a temporary error and could not complete your \
     request.<p>Please try again in 30 seconds.</h2>\n<h2></h2>\n</body></html>\n",
);

/// The routes that write.
const CHAT: &[Route] = &[Route::CohereChat, Route::CohereChatV1];

/// Where Cohere lists its errors.
const DOCS: &str = "cohere-ai/cohere-developer-experience, errors.mdx";

/// Where nobody keeps a recording.
const ISSUES: &str = "quoted in public issues of several clients";

/// What the SDK is ready to read.
const SDK: &str = "cohere-python 7.3.1, ChatMessageEndEventDelta";
