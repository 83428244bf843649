//! Wording OpenAI's errors; texts and layers as quoted in public recordings and issues.

use bytes::Bytes;
use serde_json::{Value, json};

use super::{application_headers, edge_headers, go_duration, limit_headers};
use crate::{
    action::{Dimension, ErrorKind, HintForm, StreamErrorKind},
    dialect::{Exchange, Head, Moment, Reply, cloudflare_page, indented, retry_after},
    quota::{Level, Limited, whole_millis},
};

/// The four fields of every error object.
struct Fault<'a> {
    message: String,
    kind: &'a str,
    param: Option<&'a str>,
    code: Option<&'a str>,
}

/// The error response of a kind.
pub(super) fn reply(exchange: &Exchange<'_>, kind: ErrorKind) -> Reply {
    let moment = &exchange.moment;
    let mut reply = match kind {
        ErrorKind::Authentication => gateway(moment, 401, &invalid_key(&exchange.request.key)),
        ErrorKind::BadGateway => bad_gateway(moment),
        ErrorKind::BadRequest => application(
            moment,
            400,
            &Fault {
                message:
                    "Invalid 'temperature': decimal above maximum value. Expected a value <= 2, \
                      but got 3 instead."
                        .to_owned(),
                kind: "invalid_request_error",
                param: Some("temperature"),
                code: Some("decimal_above_max_value"),
            },
        ),
        ErrorKind::ContentPolicy => application(
            moment,
            400,
            &Fault {
                message:
                    "Invalid prompt: your prompt was flagged as potentially violating our usage \
                      policy. Please try again with a different prompt: \
                      https://platform.openai.com/docs/guides/reasoning#advice-on-prompting"
                        .to_owned(),
                kind: "invalid_request_error",
                param: None,
                code: Some("invalid_prompt"),
            },
        ),
        ErrorKind::ContextLength => context_length(exchange),
        ErrorKind::GatewayTimeout => cloudflare_page(moment, 504, "504 Gateway Time-out"),
        ErrorKind::InsufficientQuota => gateway(
            moment,
            429,
            &Fault {
                message: "You exceeded your current quota, please check your plan and billing \
                      details. For more information on this error, read the docs: \
                      https://platform.openai.com/docs/guides/error-codes/api-errors."
                    .to_owned(),
                kind: "insufficient_quota",
                param: None,
                code: Some("insufficient_quota"),
            },
        ),
        ErrorKind::Overloaded => application(moment, 503, &overloaded()),
        ErrorKind::RateLimited => rate_limited(exchange),
        ErrorKind::ServerError => application(moment, 500, &server_error(moment)),
        ErrorKind::Unavailable => application(
            moment,
            503,
            &Fault {
                message: "The engine is currently overloaded, please try again later".to_owned(),
                kind: "server_error",
                param: None,
                code: None,
            },
        ),
    };
    reply.headers.extend(retry_after(exchange.decision, moment.wall));
    // Both, as OpenAI's SDKs expect: the exact one for those who read it.
    if let Some((after, HintForm::Seconds)) = exchange.decision.action.hint()
        && after.0.subsec_nanos() > 0
    {
        reply.headers.push(("retry-after-ms", whole_millis(after.0).to_string()));
    }
    reply
}

/// The error event inside a stream; the stream ends after it without `[DONE]`.
pub(super) fn event(exchange: &Exchange<'_>, kind: StreamErrorKind) -> Bytes {
    let fault = match kind {
        StreamErrorKind::Overloaded => overloaded(),
        StreamErrorKind::RateLimited => limit_fault(exchange, &scripted(exchange)),
        StreamErrorKind::ServerError => server_error(&exchange.moment),
    };
    Bytes::from(format!("data: {}\n\n", fault.body()))
}

pub(super) fn unknown_model(exchange: &Exchange<'_>) -> Reply {
    let model = &exchange.request.model;
    gateway(
        &exchange.moment,
        404,
        &Fault {
            message: format!("The model `{model}` does not exist or you do not have access to it."),
            kind: "invalid_request_error",
            param: None,
            code: Some("model_not_found"),
        },
    )
}

pub(super) fn invalid_url(head: &Head<'_>, moment: &Moment) -> Reply {
    let fault = invalid(format!("Invalid URL ({} {})", head.method, head.path), None, None);
    let mut reply = gateway(moment, 404, &fault);
    // The gateway words this one in the application's style.
    reply.body = crate::dialect::ReplyBody::Whole(Bytes::from(indented(&fault.body(), b"  ")));
    reply
}

pub(super) fn method(moment: &Moment) -> Reply {
    let message = "Only POST requests are accepted.".to_owned();
    gateway(moment, 405, &invalid(message, None, Some("method_not_supported")))
}

pub(super) fn missing_key(moment: &Moment) -> Reply {
    let message = "You didn't provide an API key. You need to provide your API key in an \
                   Authorization header using Bearer auth (i.e. Authorization: Bearer YOUR_KEY), \
                   or as the password field (with blank username) if you're accessing the API \
                   from your browser and are prompted for a username and password. You can obtain \
                   an API key from https://platform.openai.com/account/api-keys.";
    let mut reply = gateway(moment, 401, &invalid(message.to_owned(), None, None));
    reply.headers.push(("www-authenticate", "Basic realm=\"OpenAI API\"".to_owned()));
    reply
}

pub(super) fn malformed_json(moment: &Moment) -> Reply {
    let message = "We could not parse the JSON body of your request. (HINT: This likely means \
                   you aren't using your HTTP library correctly. The OpenAI API expects a JSON \
                   payload, but what was sent was not valid JSON. If you have trouble figuring \
                   out how to fix this, please contact us through our help center at \
                   help.openai.com.)";
    gateway(moment, 400, &invalid(message.to_owned(), None, None))
}

pub(super) fn missing_model(moment: &Moment) -> Reply {
    gateway(moment, 400, &invalid("you must provide a model parameter".to_owned(), None, None))
}

pub(super) fn missing_parameter(moment: &Moment, name: &str) -> Reply {
    let message = format!("Missing required parameter: '{name}'.");
    application(moment, 400, &invalid(message, Some(name), Some("missing_required_parameter")))
}

pub(super) fn not_an_array(moment: &Moment, name: &str, found: &Value) -> Reply {
    invalid_type(moment, name, "an array of objects", found)
}

pub(super) fn not_an_object(moment: &Moment, name: &str, found: &Value) -> Reply {
    invalid_type(moment, name, "an object", found)
}

pub(super) fn not_a_boolean(moment: &Moment, name: &str, found: &Value) -> Reply {
    invalid_type(moment, name, "a boolean", found)
}

pub(super) fn not_an_integer(moment: &Moment, name: &str, found: &Value) -> Reply {
    invalid_type(moment, name, "an integer", found)
}

fn invalid_type(moment: &Moment, name: &str, expected: &str, found: &Value) -> Reply {
    let found = match found {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(number) if number.is_f64() => "a decimal number",
        Value::Number(_) => "an integer",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    };
    let message =
        format!("Invalid type for '{name}': expected {expected}, but got {found} instead.");
    application(moment, 400, &invalid(message, Some(name), Some("invalid_type")))
}

pub(super) fn below_one(moment: &Moment, name: &str, found: &Value) -> Reply {
    let message = format!(
        "Invalid '{name}': integer below minimum value. Expected a value >= 1, but got {found} \
         instead."
    );
    application(moment, 400, &invalid(message, Some(name), Some("integer_below_min_value")))
}

pub(super) fn unsupported_max_tokens(moment: &Moment) -> Reply {
    let message = "Unsupported parameter: 'max_tokens' is not supported with this model. Use \
                   'max_completion_tokens' instead.";
    let fault = invalid(message.to_owned(), Some("max_tokens"), Some("unsupported_parameter"));
    application(moment, 400, &fault)
}

pub(super) fn empty_array(moment: &Moment, name: &str) -> Reply {
    let message = format!(
        "Invalid '{name}': empty array. Expected an array with minimum length 1, but got an empty \
         array instead."
    );
    application(moment, 400, &invalid(message, Some(name), Some("empty_array")))
}

pub(super) fn too_large(moment: &Moment) -> Reply {
    cloudflare_page(moment, 413, "413 Request Entity Too Large")
}

fn rate_limited(exchange: &Exchange<'_>) -> Reply {
    // A bucket that refuses always knows how long; only a script may leave it out.
    if exchange.decision.rule.is_some() && exchange.decision.action.hint().is_none() {
        return application(
            &exchange.moment,
            429,
            &Fault {
                message:
                    "Your request rate has increased too quickly. Please slow down and gradually \
                      increase your traffic."
                        .to_owned(),
                kind: "rate_limit_error",
                param: None,
                code: Some("slow_down"),
            },
        );
    }
    let limited = exchange.decision.limited.unwrap_or_else(|| scripted(exchange));
    let mut reply = application(&exchange.moment, 429, &limit_fault(exchange, &limited));
    let others = exchange.decision.levels.iter().copied();
    let others = others.filter(|level| level.dimension != limited.level.dimension);
    let levels: Vec<Level> = others.chain([limited.level]).collect();
    reply.headers.extend(limit_headers(&levels));
    reply
}

fn scripted(exchange: &Exchange<'_>) -> Limited {
    Limited::scripted(Dimension::Requests, None, exchange.request.input_tokens)
}

fn limit_fault<'a>(exchange: &Exchange<'_>, limited: &Limited) -> Fault<'a> {
    let level = &limited.level;
    let kind = match level.dimension {
        Dimension::Requests => "requests",
        Dimension::Tokens => "tokens",
    };
    // Minutes and days are recorded; seconds and hours are worded after them.
    let unit = match (level.dimension, level.period_name()) {
        (Dimension::Requests, "second") => "requests per second (RPS)",
        (Dimension::Requests, "minute") => "requests per min (RPM)",
        (Dimension::Requests, "hour") => "requests per hour (RPH)",
        (Dimension::Requests, _) => "requests per day (RPD)",
        (Dimension::Tokens, "second") => "tokens per second (TPS)",
        (Dimension::Tokens, "minute") => "tokens per min (TPM)",
        (Dimension::Tokens, "hour") => "tokens per hour (TPH)",
        (Dimension::Tokens, _) => "tokens per day (TPD)",
    };
    let (model, limit, requested) = (&exchange.request.model, level.limit, limited.requested);
    let organization = "org-Ab12Cd34Ef56Gh78Ij90Kl12";
    let message = match limited.printed_wait() {
        Some(wait) => format!(
            "Rate limit reached for {model} in organization {organization} on {unit}: Limit \
             {limit}, Used {used}, Requested {requested}. Please try again in {wait}. Visit \
             https://platform.openai.com/account/rate-limits to learn more.",
            used = limited.used,
            wait = go_duration(wait),
        ),
        None => format!(
            "Request too large for {model} in organization {organization} on {unit}: Limit \
             {limit}, Requested {requested}. The input or output tokens must be reduced in order \
             to run successfully. Visit https://platform.openai.com/account/rate-limits to learn \
             more."
        ),
    };
    Fault { message, kind, param: None, code: Some("rate_limit_exceeded") }
}

fn context_length(exchange: &Exchange<'_>) -> Reply {
    let window = exchange.decision.window;
    let input = exchange.request.input_tokens;
    let message = match exchange.request.output_tokens_max {
        _ if exchange.request.model.starts_with("gpt-5") => format!(
            "Input tokens exceed the configured limit of {window} tokens. Your messages resulted \
             in {input} tokens. Please reduce the length of the messages."
        ),
        Some(output) => format!(
            "This model's maximum context length is {window} tokens. However, you requested \
             {total} tokens ({input} in the messages, {output} in the completion). Please reduce \
             the length of the messages or completion.",
            total = input.saturating_add(output),
        ),
        None => format!(
            "This model's maximum context length is {window} tokens. However, your messages \
             resulted in {input} tokens. Please reduce the length of the messages."
        ),
    };
    let fault = invalid(message, Some("messages"), Some("context_length_exceeded"));
    let mut reply = application(&exchange.moment, 400, &fault);
    reply.headers.extend(limit_headers(&exchange.decision.levels));
    reply
}

fn invalid_key<'a>(key: &str) -> Fault<'a> {
    let message = format!(
        "Incorrect API key provided: {}. You can find your API key at \
         https://platform.openai.com/account/api-keys.",
        masked(key)
    );
    invalid(message, None, Some("invalid_api_key"))
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

fn overloaded<'a>() -> Fault<'a> {
    Fault {
        message: "Our servers are currently overloaded. Please try again later.".to_owned(),
        kind: "service_unavailable_error",
        param: None,
        code: Some("server_is_overloaded"),
    }
}

fn server_error<'a>(moment: &Moment) -> Fault<'a> {
    let message = format!(
        "The server had an error processing your request. Sorry about that! You can retry your \
         request, or contact us through our help center at help.openai.com if you keep seeing \
         this error. (Please include the request ID {} in your email.)",
        moment.hex("request", 32)
    );
    Fault { message, kind: "server_error", param: None, code: None }
}

fn invalid<'a>(message: String, param: Option<&'a str>, code: Option<&'a str>) -> Fault<'a> {
    Fault { message, kind: "invalid_request_error", param, code }
}

/// An error of the gateway: four spaces, a newline at the end, no processing time.
fn gateway(moment: &Moment, status: u16, fault: &Fault<'_>) -> Reply {
    let mut headers = edge_headers(moment, "application/json; charset=utf-8");
    headers.push(("vary", "Origin".to_owned()));
    headers.push(("x-openai-proxy-wasm", "v0.1".to_owned()));
    Reply::whole(status, headers, indented(&fault.body(), b"    ") + "\n")
}

/// An error of the application: two spaces, no newline.
fn application(moment: &Moment, status: u16, fault: &Fault<'_>) -> Reply {
    let headers = application_headers(moment, "application/json");
    Reply::whole(status, headers, indented(&fault.body(), b"  "))
}

/// Cloudflare's own JSON, in which the code is a number.
fn bad_gateway(moment: &Moment) -> Reply {
    let mut headers = edge_headers(moment, "application/json; charset=UTF-8");
    headers.push(("x-frame-options", "SAMEORIGIN".to_owned()));
    headers.push(("referrer-policy", "same-origin".to_owned()));
    headers.push((
        "cache-control",
        "private, max-age=0, no-store, no-cache, must-revalidate, post-check=0, pre-check=0"
            .to_owned(),
    ));
    headers.push(("expires", "Thu, 01 Jan 1970 00:00:01 GMT".to_owned()));
    let body = json!({ "error": {
        "code": 502, "message": "Bad gateway.", "param": null, "type": "cf_bad_gateway",
    }});
    Reply::whole(502, headers, body.to_string())
}

impl Fault<'_> {
    fn body(&self) -> Value {
        json!({ "error": {
            "message": self.message, "type": self.kind, "param": self.param, "code": self.code,
        }})
    }
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
