//! OpenAI's failures; texts and layers as quoted in public recordings and issues.

use super::{application_headers, edge_headers, go_duration, limit_headers};
use crate::{
    action::{Dimension, ErrorKind},
    dialect::{Body, CLOUDFLARE_PAGE, Case, Exchange, Fields, Place, Provenance, cloudflare_page},
    quota::{Level, Limited, whole_millis},
};

use ErrorKind::{
    Authentication, BadGateway, BadRequest, ContentPolicy, ContextLength, GatewayTimeout,
    InsufficientQuota, NotFound, Overloaded, RateLimited, RequestTooLarge, ServerError,
    Unavailable,
};
use Provenance::{Documented, Quoted, Recorded};

/// An error of the gateway: four spaces, a newline at the end.
macro_rules! gateway {
    ($message:expr, $kind:literal, $code:literal) => {
        Body::Json(concat!(
            "{\n    \"error\": {\n        \"message\": \"",
            $message,
            "\",\n        \"type\": \"",
            $kind,
            "\",\n        \"param\": null,\n        \"code\": ",
            $code,
            "\n    }\n}\n"
        ))
    };
}

/// An error of the application: two spaces, no newline.
macro_rules! application {
    ($message:expr, $kind:literal, $param:literal, $code:literal) => {
        Body::Json(concat!(
            "{\n  \"error\": {\n    \"message\": \"",
            $message,
            "\",\n    \"type\": \"",
            $kind,
            "\",\n    \"param\": ",
            $param,
            ",\n    \"code\": ",
            $code,
            "\n  }\n}"
        ))
    };
}

/// An error of the application in one line, as an event of a stream.
macro_rules! event {
    ($message:expr, $kind:literal, $param:literal, $code:literal) => {
        Body::Json(concat!(
            "data: {\"error\":{\"message\":\"",
            $message,
            "\",\"type\":\"",
            $kind,
            "\",\"param\":",
            $param,
            ",\"code\":",
            $code,
            "}}\n\n"
        ))
    };
}

/// Everything that OpenAI refuses or fails with.
pub(super) static CASES: &[Case] = &[
    Case::new(
        Authentication,
        "invalid-key",
        401,
        gateway,
        gateway!(
            "Incorrect API key provided: {{masked-key}}. You can find your API key at \
             https://platform.openai.com/account/api-keys.",
            "invalid_request_error",
            "\"invalid_api_key\""
        ),
    )
    .known(Recorded, "crmne/ruby_llm, spec/fixtures/vcr_cassettes"),
    Case::new(
        Authentication,
        "missing-key",
        401,
        gateway,
        gateway!(
            "You didn't provide an API key. You need to provide your API key in an Authorization \
             header using Bearer auth (i.e. Authorization: Bearer YOUR_KEY), or as the password \
             field (with blank username) if you're accessing the API from your browser and are \
             prompted for a username and password. You can obtain an API key from \
             https://platform.openai.com/account/api-keys.",
            "invalid_request_error",
            "null"
        ),
    )
    .with(&[("www-authenticate", "Basic realm=\"OpenAI API\"")])
    .known(Quoted, "https://github.com/openai/openai-node/issues/1477"),
    Case::new(
        BadGateway,
        "cloudflare",
        502,
        bad_gateway,
        Body::Json(
            r#"{"error":{"code":502,"message":"Bad gateway.","param":null,"type":"cf_bad_gateway"}}"#,
        ),
    )
    .known(Quoted, "https://github.com/openai/openai-python/issues/937"),
    Case::new(
        BadRequest,
        "decimal-above-max-value",
        400,
        application,
        application!(
            "Invalid 'temperature': decimal above maximum value. Expected a value <= 2, but got 3 \
             instead.",
            "invalid_request_error",
            "\"temperature\"",
            "\"decimal_above_max_value\""
        ),
    ),
    Case::new(
        BadRequest,
        "malformed-json",
        400,
        gateway,
        gateway!(
            "We could not parse the JSON body of your request. (HINT: This likely means you aren't \
             using your HTTP library correctly. The OpenAI API expects a JSON payload, but what was \
             sent was not valid JSON. If you have trouble figuring out how to fix this, please \
             contact us through our help center at help.openai.com.)",
            "invalid_request_error",
            "null"
        ),
    )
    .known(Quoted, "https://github.com/langchain-ai/langchain/issues/3861"),
    Case::new(
        BadRequest,
        "missing-model",
        400,
        gateway,
        gateway!("you must provide a model parameter", "invalid_request_error", "null"),
    ),
    Case::new(
        BadRequest,
        "missing-parameter",
        400,
        application,
        application!(
            "Missing required parameter: '{{param}}'.",
            "invalid_request_error",
            "\"{{param}}\"",
            "\"missing_required_parameter\""
        ),
    )
    .such_as(&[("param", "messages")])
    .known(Quoted, "https://github.com/continuedev/continue/issues/8454"),
    Case::new(
        BadRequest,
        "wrong-type",
        400,
        application,
        application!(
            "Invalid type for '{{param}}': expected {{expected}}, but got {{found}} instead.",
            "invalid_request_error",
            "\"{{param}}\"",
            "\"invalid_type\""
        ),
    )
    .such_as(&[("param", "stream"), ("expected", "a boolean"), ("found", "a string")]),
    Case::new(
        BadRequest,
        "below-minimum",
        400,
        application,
        application!(
            "Invalid '{{param}}': integer below minimum value. Expected a value >= 1, but got \
             {{found}} instead.",
            "invalid_request_error",
            "\"{{param}}\"",
            "\"integer_below_min_value\""
        ),
    )
    .such_as(&[("param", "max_tokens"), ("found", "0")]),
    Case::new(
        BadRequest,
        "unsupported-max-tokens",
        400,
        application,
        application!(
            "Unsupported parameter: 'max_tokens' is not supported with this model. Use \
             'max_completion_tokens' instead.",
            "invalid_request_error",
            "\"max_tokens\"",
            "\"unsupported_parameter\""
        ),
    )
    .known(Quoted, "https://github.com/continuedev/continue/issues/10502"),
    Case::new(
        BadRequest,
        "empty-array",
        400,
        application,
        application!(
            "Invalid '{{param}}': empty array. Expected an array with minimum length 1, but got an \
             empty array instead.",
            "invalid_request_error",
            "\"{{param}}\"",
            "\"empty_array\""
        ),
    )
    .such_as(&[("param", "messages")]),
    Case::new(
        BadRequest,
        "method",
        405,
        gateway,
        gateway!("Only POST requests are accepted.", "invalid_request_error", "\"method_not_supported\""),
    )
    .known(Quoted, "https://github.com/openai/openai-python/issues/271"),
    Case::new(
        ContentPolicy,
        "invalid-prompt",
        400,
        application,
        application!(
            "Invalid prompt: your prompt was flagged as potentially violating our usage policy. \
             Please try again with a different prompt: \
             https://platform.openai.com/docs/guides/reasoning#advice-on-prompting",
            "invalid_request_error",
            "null",
            "\"invalid_prompt\""
        ),
    )
    .known(Quoted, "https://github.com/openai/codex/issues/6725"),
    Case::new(
        ContextLength,
        "messages",
        400,
        application,
        application!(
            "This model's maximum context length is {{window}} tokens. However, your messages \
             resulted in {{input}} tokens. Please reduce the length of the messages.",
            "invalid_request_error",
            "\"messages\"",
            "\"context_length_exceeded\""
        ),
    )
    .known(Quoted, "https://github.com/sashabaranov/go-openai/issues/69"),
    Case::new(
        ContextLength,
        "messages-and-completion",
        400,
        application,
        application!(
            "This model's maximum context length is {{window}} tokens. However, you requested \
             {{total}} tokens ({{input}} in the messages, {{output}} in the completion). Please \
             reduce the length of the messages or completion.",
            "invalid_request_error",
            "\"messages\"",
            "\"context_length_exceeded\""
        ),
    )
    .known(Quoted, "https://github.com/run-llama/llama_index/issues/9373"),
    Case::new(
        ContextLength,
        "input-tokens",
        400,
        application,
        application!(
            "Input tokens exceed the configured limit of {{window}} tokens. Your messages resulted \
             in {{input}} tokens. Please reduce the length of the messages.",
            "invalid_request_error",
            "\"messages\"",
            "\"context_length_exceeded\""
        ),
    )
    .known(Quoted, "https://github.com/continuedev/continue/issues/11472"),
    Case::new(GatewayTimeout, "cloudflare", 504, cloudflare_page, CLOUDFLARE_PAGE)
        .such_as(&[("title", "504 Gateway Time-out")]),
    Case::new(
        InsufficientQuota,
        "quota",
        429,
        gateway,
        gateway!(
            "You exceeded your current quota, please check your plan and billing details. For more \
             information on this error, read the docs: \
             https://platform.openai.com/docs/guides/error-codes/api-errors.",
            "insufficient_quota",
            "\"insufficient_quota\""
        ),
    )
    .known(Quoted, "https://github.com/openai/openai-python/issues/937"),
    Case::new(
        NotFound,
        "model",
        404,
        gateway,
        gateway!(
            "The model `{{model}}` does not exist or you do not have access to it.",
            "invalid_request_error",
            "\"model_not_found\""
        ),
    )
    .known(Recorded, "crmne/ruby_llm, spec/fixtures/vcr_cassettes"),
    // The gateway words this one in the application's style.
    Case::new(
        NotFound,
        "url",
        404,
        gateway,
        application!("Invalid URL ({{method}} {{path}})", "invalid_request_error", "null", "null"),
    )
    .such_as(&[("method", "POST"), ("path", "/v1/chat/completion")])
    .known(Quoted, "https://github.com/home-assistant/core/issues/120072"),
    Case::new(
        Overloaded,
        "servers",
        503,
        application,
        application!(
            "Our servers are currently overloaded. Please try again later.",
            "service_unavailable_error",
            "null",
            "\"server_is_overloaded\""
        ),
    )
    .known(Quoted, "https://github.com/openai/codex/issues/6725"),
    Case::new(
        RateLimited,
        "limit",
        429,
        limited,
        application!(
            "Rate limit reached for {{model}} in organization {{organization}} on {{unit}}: Limit \
             {{limit}}, Used {{used}}, Requested {{requested}}. Please try again in {{wait}}. Visit \
             https://platform.openai.com/account/rate-limits to learn more.",
            "{{dimension}}",
            "null",
            "\"rate_limit_exceeded\""
        ),
    )
    .known(Quoted, "https://github.com/openai/openai-python/issues/937"),
    Case::new(
        RateLimited,
        "request-too-large",
        429,
        limited,
        application!(
            "Request too large for {{model}} in organization {{organization}} on {{unit}}: Limit \
             {{limit}}, Requested {{requested}}. The input or output tokens must be reduced in \
             order to run successfully. Visit https://platform.openai.com/account/rate-limits to \
             learn more.",
            "{{dimension}}",
            "null",
            "\"rate_limit_exceeded\""
        ),
    )
    .known(Quoted, "https://github.com/microsoft/autogen/issues/6465"),
    Case::new(
        RateLimited,
        "slow-down",
        429,
        application,
        application!(
            "Your request rate has increased too quickly. Please slow down and gradually increase \
             your traffic.",
            "rate_limit_error",
            "null",
            "\"slow_down\""
        ),
    )
    .known(Documented, "https://platform.openai.com/docs/guides/error-codes"),
    Case::new(RequestTooLarge, "body", 413, cloudflare_page, CLOUDFLARE_PAGE)
        .such_as(&[("title", "413 Request Entity Too Large")]),
    Case::new(
        ServerError,
        "request-id",
        500,
        application,
        application!(
            "The server had an error processing your request. Sorry about that! You can retry your \
             request, or contact us through our help center at help.openai.com if you keep seeing \
             this error. (Please include the request ID {{request-id}} in your email.)",
            "server_error",
            "null",
            "null"
        ),
    )
    .known(Quoted, "https://github.com/openai/openai-python/issues/2703"),
    Case::new(
        Unavailable,
        "engine",
        503,
        application,
        application!(
            "The engine is currently overloaded, please try again later",
            "server_error",
            "null",
            "null"
        ),
    )
    .known(Documented, "https://platform.openai.com/docs/guides/error-codes"),
    Case::event(
        Overloaded,
        "servers",
        event!(
            "Our servers are currently overloaded. Please try again later.",
            "service_unavailable_error",
            "null",
            "\"server_is_overloaded\""
        ),
    ),
    Case::event(
        RateLimited,
        "limit",
        event!(
            "Rate limit reached for {{model}} in organization {{organization}} on {{unit}}: Limit \
             {{limit}}, Used {{used}}, Requested {{requested}}. Please try again in {{wait}}. Visit \
             https://platform.openai.com/account/rate-limits to learn more.",
            "{{dimension}}",
            "null",
            "\"rate_limit_exceeded\""
        ),
    ),
    Case::event(
        ServerError,
        "request-id",
        event!(
            "The server had an error processing your request. Sorry about that! You can retry your \
             request, or contact us through our help center at help.openai.com if you keep seeing \
             this error. (Please include the request ID {{request-id}} in your email.)",
            "server_error",
            "null",
            "null"
        ),
    )
    .known(Quoted, "https://github.com/openai/openai-python/issues/2703"),
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
    match kind {
        ContextLength if exchange.request.model.starts_with("gpt-5") => Some("input-tokens"),
        ContextLength if exchange.request.output_tokens_max.is_some() => {
            Some("messages-and-completion")
        }
        // A bucket that refuses always knows how long; only a script may leave it out.
        RateLimited
            if exchange.decision.rule.is_some() && exchange.decision.action.hint().is_none() =>
        {
            Some("slow-down")
        }
        RateLimited if exchange.decision.limited.is_some_and(|limited| limited.wait.is_none()) => {
            Some("request-too-large")
        }
        _ => None,
    }
}

/// What the placeholders of OpenAI's texts stand for.
pub(super) fn word(name: &str, exchange: &Exchange<'_>) -> Option<String> {
    let limited = || exchange.decision.limited.unwrap_or_else(|| scripted(exchange));
    Some(match name {
        "dimension" => dimension(&limited().level).to_owned(),
        "limit" => limited().level.limit.to_string(),
        "masked-key" => masked(&exchange.request.key),
        "organization" => "org-Ab12Cd34Ef56Gh78Ij90Kl12".to_owned(),
        "request-id" => exchange.moment.hex("request", 32),
        "requested" => limited().requested.to_string(),
        "unit" => unit(&limited().level).to_owned(),
        "used" => limited().used.to_string(),
        "wait" => go_duration(limited().printed_wait()?),
        _ => return None,
    })
}

/// The headers in which a wait is announced. Of a broken number of seconds also the milliseconds,
/// as OpenAI's SDKs expect: the exact one for those who read it.
pub(super) fn hint(exchange: &Exchange<'_>) -> Fields {
    let mut fields = crate::dialect::retry_after(exchange.decision, exchange.moment.wall);
    if let Some((after, crate::action::HintForm::Seconds)) = exchange.decision.action.hint()
        && after.0.subsec_nanos() > 0
    {
        fields.push(("retry-after-ms", whole_millis(after.0).to_string()));
    }
    fields
}

/// What a limit counts, as the error's `type`.
fn dimension(level: &Level) -> &'static str {
    match level.dimension {
        Dimension::Concurrency | Dimension::Requests => "requests",
        Dimension::InputTokens | Dimension::OutputTokens | Dimension::Tokens => "tokens",
    }
}

/// What a limit counts, in the text. Minutes and days are recorded; seconds and hours are worded
/// after them.
fn unit(level: &Level) -> &'static str {
    match (dimension(level), level.period_name()) {
        ("requests", "second") => "requests per second (RPS)",
        ("requests", "minute") => "requests per min (RPM)",
        ("requests", "hour") => "requests per hour (RPH)",
        ("requests", _) => "requests per day (RPD)",
        (_, "second") => "tokens per second (TPS)",
        (_, "minute") => "tokens per min (TPM)",
        (_, "hour") => "tokens per hour (TPH)",
        (_, _) => "tokens per day (TPD)",
    }
}

fn scripted(exchange: &Exchange<'_>) -> Limited {
    Limited::scripted(Dimension::Requests, None, exchange.request.input_tokens)
}

/// A key as OpenAI shows it: eight letters, stars, the last four; short ones whole.
fn masked(key: &str) -> String {
    let letters: Vec<char> = key.chars().collect();
    let Some(hidden) = letters.len().checked_sub(12).filter(|&hidden| hidden > 0) else {
        return key.to_owned();
    };
    let first: String = letters[..8].iter().collect();
    let last: String = letters[8 + hidden..].iter().collect();
    format!("{first}{}{last}", "*".repeat(hidden))
}

/// The headers of the gateway.
fn gateway(exchange: &Exchange<'_>) -> Fields {
    let mut headers = edge_headers(&exchange.moment, "application/json; charset=utf-8");
    headers.push(("vary", "Origin".to_owned()));
    headers.push(("x-openai-proxy-wasm", "v0.1".to_owned()));
    headers
}

/// The headers of the application.
fn application(exchange: &Exchange<'_>) -> Fields {
    application_headers(&exchange.moment, "application/json")
}

/// The headers of the application when a limit is hit.
fn limited(exchange: &Exchange<'_>) -> Fields {
    let mut headers = application(exchange);
    let limited = exchange.decision.limited.unwrap_or_else(|| scripted(exchange));
    let others = exchange.decision.levels.iter().copied();
    let others = others.filter(|level| level.dimension != limited.level.dimension);
    let levels: Vec<Level> = others.chain([limited.level]).collect();
    headers.extend(limit_headers(&levels));
    headers
}

/// The headers of Cloudflare's own JSON.
fn bad_gateway(exchange: &Exchange<'_>) -> Fields {
    let mut headers = edge_headers(&exchange.moment, "application/json; charset=UTF-8");
    headers.extend([
        ("x-frame-options", "SAMEORIGIN".to_owned()),
        ("referrer-policy", "same-origin".to_owned()),
        (
            "cache-control",
            "private, max-age=0, no-store, no-cache, must-revalidate, post-check=0, pre-check=0"
                .to_owned(),
        ),
        ("expires", "Thu, 01 Jan 1970 00:00:01 GMT".to_owned()),
    ]);
    headers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_masked_as_openai_masks_them() {
        for (key, shown) in [
            ("bad-key-0123456789test", "bad-key-**********test"),
            ("sk-fake-key", "sk-fake-key"),
            ("invalid-key", "invalid-key"),
            ("ключ-0123456789", "ключ-012***6789"),
        ] {
            assert_eq!(masked(key), shown);
        }
    }
}
