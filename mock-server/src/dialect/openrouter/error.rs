//! OpenRouter's failures: its own, and those of who stands behind it.

use super::{generation, headers, resolved, upstream};
use crate::{
    action::{Dimension, ErrorKind},
    dialect::{Body, Case, Exchange, Fields, Place, Provenance},
    plan::Route,
};

use ErrorKind::{
    Authentication, BadGateway, BadRequest, ContentPolicy, ContextLength, GatewayTimeout,
    InsufficientQuota, NotFound, Overloaded, Permission, RateLimited, RequestTimeout,
    RequestTooLarge, ServerError, Unavailable,
};
use Provenance::{Documented, Quoted, Recorded};

/// An error of somebody that is known: it names the user.
macro_rules! error {
    ($message:expr, $code:literal) => {
        error!($message, $code, "")
    };
    ($message:expr, $code:literal, $metadata:expr) => {
        Body::Json(concat!(
            "{\"error\":{\"message\":\"",
            $message,
            "\",\"code\":",
            $code,
            $metadata,
            "},\"user_id\":\"user_2abcDEFghiJKLmnoPQRstuVWXyz\"}"
        ))
    };
}

/// An error of somebody that is not known.
macro_rules! stranger {
    ($message:expr, $code:literal) => {
        Body::Json(concat!("{\"error\":{\"message\":\"", $message, "\",\"code\":", $code, "}}"))
    };
}

/// The last chunk of a stream that breaks off.
macro_rules! event {
    ($code:literal, $message:expr) => {
        Body::Json(concat!(
            "data: {\"id\":\"{{id}}\",\"object\":\"chat.completion.chunk\",\"created\":{{created}},\
             \"model\":\"{{resolved}}\",\"provider\":\"{{upstream}}\",\"error\":{\"code\":",
            $code,
            ",\"message\":\"",
            $message,
            "\"},\"choices\":[{\"index\":0,\"delta\":{\"content\":\"\"},\"finish_reason\":\"error\",\
             \"native_finish_reason\":\"error\"}]}\n\n"
        ))
    };
}

/// What somebody behind it said.
macro_rules! provider {
    ($raw:expr, $code:literal) => {
        error!(
            "Provider returned error",
            $code,
            concat!(",\"metadata\":{\"raw\":\"", $raw, "\",\"provider_name\":\"{{upstream}}\"}")
        )
    };
}

const TOO_LONG: &str = "This endpoint's maximum context length is {{window}} tokens. However, you \
                        requested about {{total}} tokens ({{parts}}). Please reduce the length of \
                        either one, or use the context-compression plugin to compress your prompt \
                        automatically.";

const ERRORS_GUIDE: &str = "https://openrouter.ai/docs/api-reference/errors";

/// The routes that write a text.
const WRITING: &[Route] = &[Route::OpenRouterChat, Route::OpenRouterCompletions];

/// Everything that OpenRouter refuses or fails with.
pub(super) static CASES: &[Case] = &[
    Case::new(Authentication, "missing-header", 401, json, stranger!("Missing Authentication header", "401"))
        .known(
            Recorded,
            "crmne/ruby_llm, spec/fixtures/vcr_cassettes/\
             chat_error_handling_with_openrouter_claude-haiku-4-5_raises_appropriate_\
             auth_error.yml",
        ),
    Case::new(Authentication, "no-credentials", 401, json, stranger!("No auth credentials found", "401"))
        .known(Quoted, "public issues"),
    Case::new(Authentication, "user", 401, json, stranger!("User not found.", "401"))
        .known(Quoted, "public issues"),
    Case::new(BadGateway, "provider", 502, json, provider!("upstream connect error", "502"))
        .known(Documented, ERRORS_GUIDE),
    Case::new(
        BadRequest,
        "invalid-input",
        400,
        json,
        error!("{{param}}: Invalid input: expected {{expected}}, received {{found}}", "400"),
    )
    .such_as(&[("param", "max_tokens"), ("expected", "number"), ("found", "string")]),
    Case::new(BadRequest, "malformed-json", 400, json, error!("Invalid JSON body", "400")),
    Case::new(BadRequest, "no-model", 400, json, error!("No models provided", "400")),
    Case::new(
        BadRequest,
        "no-input",
        400,
        json,
        error!(r#"Input required: specify \"prompt\" or \"messages\""#, "400"),
    ),
    Case::new(
        BadRequest,
        "provider",
        400,
        json,
        provider!(
            r#"{\"object\":\"error\",\"message\":\"Unexpected role 'tool' after role 'user'\",\"type\":\"invalid_request_message_order\",\"param\":null,\"code\":\"3230\"}"#,
            "400"
        ),
    )
    .known(Quoted, "https://github.com/charmbracelet/crush/issues/279"),
    Case::new(BadRequest, "method", 405, json, stranger!("Method Not Allowed", "405")),
    Case::new(
        ContentPolicy,
        "moderation",
        403,
        json,
        error!(
            "Your chosen model requires moderation and your input was flagged",
            "403",
            ",\"metadata\":{\"reasons\":[\"violence\"],\"flagged_input\":\"{{flagged}}\",\
             \"provider_name\":\"{{upstream}}\",\"model_slug\":\"{{model}}\"}"
        ),
    )
    .on(WRITING)
    .known(Documented, ERRORS_GUIDE),
    Case::new(ContextLength, "endpoint", 400, json, Body::Made(too_long))
        .known(
            Recorded,
            "crmne/ruby_llm, spec/fixtures/vcr_cassettes/\
             chat_real_error_scenarios_openrouter_claude-haiku-4-5_handles_context_\
             length_exceeded_errors.yml",
        ),
    Case::new(GatewayTimeout, "aborted", 504, json, error!("The operation was aborted", "504")),
    Case::new(
        InsufficientQuota,
        "credits",
        402,
        json,
        error!(
            "Insufficient credits. Add more using https://openrouter.ai/settings/credits",
            "402"
        ),
    )
    .known(Quoted, "public issues"),
    Case::new(
        InsufficientQuota,
        "max-tokens",
        402,
        json,
        error!(
            "This request requires more credits, or fewer max_tokens. You requested up to \
             {{wanted}} tokens, but can only afford {{affordable}}. To increase, visit \
             https://openrouter.ai/settings/credits and upgrade to a paid account",
            "402",
            ",\"metadata\":{\"provider_name\":null,\"previous_errors\":[]}"
        ),
    )
    .known(Quoted, "public issues, 2025 and 2026"),
    Case::new(
        InsufficientQuota,
        "key-limit",
        403,
        json,
        error!(
            "Key limit exceeded (total limit). Manage it using https://openrouter.ai/settings/keys",
            "403"
        ),
    )
    .known(Quoted, "https://github.com/MCPJam/inspector/issues/1287"),
    Case::new(NotFound, "endpoints", 404, json, error!("No endpoints found for {{model}}.", "404"))
        .known(Quoted, "public issues"),
    Case::new(NotFound, "model-id", 400, json, error!("{{model}} is not a valid model ID", "400"))
        .known(Quoted, "public issues"),
    Case::new(
        NotFound,
        "tool-use",
        404,
        json,
        error!(
            "No endpoints found that support tool use. To learn more about provider routing, \
             visit: https://openrouter.ai/docs/provider-routing",
            "404"
        ),
    )
    .on(&[Route::OpenRouterChat])
    .known(Quoted, "https://github.com/evalstate/fast-agent/issues/122"),
    Case::new(NotFound, "path", 404, json, stranger!("Not Found", "404")),
    Case::new(
        Overloaded,
        "provider",
        503,
        json,
        provider!(
            r#"{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}"#,
            "503"
        ),
    ),
    Case::event(Overloaded, "provider", event!("\"server_error\"", "Overloaded")).on(WRITING),
    Case::new(
        Permission,
        "own-key",
        403,
        json,
        error!(
            "OpenAI is requiring a key to access this model, which you can add in \
             https://openrouter.ai/settings/integrations - you can also switch to gpt-5-chat or \
             gpt-5-mini.",
            "403"
        ),
    )
    .known(Quoted, "https://github.com/open-webui/open-webui/issues/16817"),
    Case::new(
        RateLimited,
        "provider",
        429,
        json,
        provider!(
            "{{model}} is temporarily rate-limited upstream. Please retry shortly, or add your own \
             key to accumulate your rate limits: https://openrouter.ai/settings/integrations",
            "429"
        ),
    )
    .known(
        Recorded,
        "pydantic/pydantic-ai, tests/models/cassettes/test_openrouter/\
         test_openrouter_errors_raised.yaml",
    ),
    Case::new(RateLimited, "free-per-minute", 429, limited, error!(
        "Rate limit exceeded: free-models-per-min. ",
        "429",
        ",\"metadata\":{\"headers\":{\"X-RateLimit-Limit\":\"{{limit}}\",\
             \"X-RateLimit-Remaining\":\"{{remaining}}\",\"X-RateLimit-Reset\":\"{{reset-at}}\"},\
             \"provider_name\":null}"
    ))
    .known(Quoted, "public issues"),
    Case::new(RateLimited, "free-per-day", 429, limited, error!(
        "Rate limit exceeded: free-models-per-day. Add 10 credits to unlock 1000 free model \
         requests per day",
        "429",
        ",\"metadata\":{\"headers\":{\"X-RateLimit-Limit\":\"{{limit}}\",\
             \"X-RateLimit-Remaining\":\"{{remaining}}\",\"X-RateLimit-Reset\":\"{{reset-at}}\"},\
             \"provider_name\":null}"
    ))
    .known(Quoted, "public issues"),
    Case::event(RateLimited, "provider", event!("429", "Provider returned error")).on(WRITING),
    Case::new(RequestTimeout, "timeout", 408, json, error!("Your request timed out", "408"))
        .known(Documented, ERRORS_GUIDE),
    Case::new(RequestTooLarge, "body", 413, json, error!("Request Entity Too Large", "413")),
    Case::new(ServerError, "internal", 500, json, error!("Internal Server Error", "500")),
    Case::event(
        ServerError,
        "disconnected",
        event!("\"server_error\"", "Provider disconnected unexpectedly"),
    )
    .on(WRITING)
    .known(Documented, ERRORS_GUIDE),
    Case::new(
        Unavailable,
        "no-provider",
        503,
        json,
        error!(
            "There is no available model provider that meets your routing requirements",
            "503"
        ),
    )
    .known(Documented, ERRORS_GUIDE),
    Case::event(Unavailable, "provider", event!("502", "Provider returned error")).on(WRITING),
];

/// The usual failure where it depends on the numbers: its own limits are in requests, those of
/// others are not told.
pub(super) fn usual(
    kind: ErrorKind,
    place: Place,
    exchange: &Exchange<'_>,
) -> Option<&'static str> {
    let level = exchange.decision.limited?.level;
    let own = (kind, place) == (RateLimited, Place::Answer)
        && level.dimension == Dimension::Requests
        // Without a wait nothing tells whose limit it is.
        && exchange.decision.action.hint().is_some();
    let name = if level.period_name() == "day" { "free-per-day" } else { "free-per-minute" };
    own.then_some(name)
}

/// What the placeholders of these texts stand for.
pub(super) fn word(name: &str, exchange: &Exchange<'_>) -> Option<String> {
    let request = exchange.request;
    let wanted = request.output_tokens_max.unwrap_or(65_536);
    Some(match name {
        "affordable" => wanted.saturating_sub(1).min(3_395).to_string(),
        "created" => exchange.moment.wall.as_secs().to_string(),
        "flagged" => flagged(&request.conversation.last_user),
        "id" => generation(&exchange.moment),
        "reset-at" => reset_at(exchange)?,
        "resolved" => resolved(&request.model).to_owned(),
        "upstream" => upstream(&request.model).to_owned(),
        "wanted" => wanted.to_string(),
        _ => return None,
    })
}

/// When the limit lets one in again, in milliseconds since 1970.
fn reset_at(exchange: &Exchange<'_>) -> Option<String> {
    let limited = exchange.decision.limited?;
    let wait = limited.printed_wait().unwrap_or(limited.level.reset);
    Some((exchange.moment.wall + wait).as_millis().to_string())
}

/// What was flagged, its middle left out if it is longer than a hundred letters.
fn flagged(said: &str) -> String {
    let letters: Vec<char> = said.chars().collect();
    match letters.len() {
        0..=100 => said.to_owned(),
        length => {
            let (head, tail) = (&letters[..49], &letters[length - 48..]);
            head.iter().collect::<String>() + "..." + &tail.iter().collect::<String>()
        }
    }
}

/// The message stands there for each endpoint that was tried, and once for all.
fn too_long(exchange: &Exchange<'_>) -> crate::dialect::ReplyBody {
    use serde_json::json;

    let request = exchange.request;
    let input = request.input_tokens;
    let output = request.output_tokens_max.unwrap_or(0);
    let parts = match output {
        0 => format!("{input} of text input"),
        output => format!("{input} of text input, {output} in the output"),
    };
    let words = [
        ("{{window}}", exchange.decision.window.to_string()),
        ("{{total}}", input.saturating_add(output).to_string()),
        ("{{parts}}", parts),
    ];
    let message =
        words.iter().fold(TOO_LONG.to_owned(), |text, (word, value)| text.replace(word, value));
    let tried = json!({ "code": 400, "message": message });
    let body = json!({
        "error": {
            "message": message,
            "code": 400,
            "metadata": { "provider_name": null, "previous_errors": [tried, tried] },
        },
        "user_id": "user_2abcDEFghiJKLmnoPQRstuVWXyz",
    });
    crate::dialect::ReplyBody::Whole(body.to_string().into())
}

/// The headers of an error.
fn json(exchange: &Exchange<'_>) -> Fields {
    headers(exchange, "application/json", None)
}

/// The headers of its own limits.
fn limited(exchange: &Exchange<'_>) -> Fields {
    let mut headers = json(exchange);
    if let (Some(limited), Some(reset)) = (exchange.decision.limited, reset_at(exchange)) {
        headers.extend([
            ("x-ratelimit-limit", limited.level.limit.to_string().into()),
            ("x-ratelimit-remaining", limited.level.remaining.to_string().into()),
            ("x-ratelimit-reset", reset.into()),
        ]);
    }
    headers
}
