//! Wording Anthropic's errors; texts as quoted in public recordings and issues.

use bytes::Bytes;
use serde_json::json;

use super::{ORGANIZATION, edge_headers, limit_headers, request_id};
use crate::{
    action::{Dimension, ErrorKind, StreamErrorKind},
    dialect::{Exchange, Moment, Reply, cloudflare_page, retry_after},
    quota::Limited,
};

/// The error response of a kind.
pub(super) fn reply(exchange: &Exchange<'_>, kind: ErrorKind) -> Reply {
    let moment = &exchange.moment;
    let mut reply = match kind {
        ErrorKind::Authentication => {
            envelope(moment, 401, "authentication_error", "invalid x-api-key")
        }
        ErrorKind::BadGateway => cloudflare_page(moment, 502, "502 Bad Gateway"),
        ErrorKind::BadRequest => invalid(moment, "messages: text content blocks must be non-empty"),
        ErrorKind::ContentPolicy => invalid(moment, "Output blocked by content filtering policy"),
        ErrorKind::ContextLength => context_length(exchange),
        ErrorKind::GatewayTimeout => envelope(moment, 504, "timeout_error", "Request timeout"),
        // A spent balance is a 400 here, not a 402.
        ErrorKind::InsufficientQuota => invalid(
            moment,
            "Your credit balance is too low to access the Anthropic API. Please go to Plans & \
             Billing to upgrade or purchase credits.",
        ),
        ErrorKind::Overloaded => envelope(moment, 529, "overloaded_error", "Overloaded"),
        ErrorKind::RateLimited => rate_limited(exchange),
        ErrorKind::ServerError => envelope(moment, 500, "api_error", "Internal server error"),
        ErrorKind::Unavailable => unavailable(moment),
    };
    reply.headers.extend(retry_after(exchange.decision, moment.wall));
    reply
}

/// The error event inside a stream; the stream ends after it without `message_stop`.
pub(super) fn event(exchange: &Exchange<'_>, kind: StreamErrorKind) -> Bytes {
    let (kind, message) = match kind {
        StreamErrorKind::Overloaded => ("overloaded_error", "Overloaded".to_owned()),
        StreamErrorKind::RateLimited => {
            ("rate_limit_error", limit_text(exchange, &scripted(exchange)))
        }
        StreamErrorKind::ServerError => ("api_error", "Internal server error".to_owned()),
    };
    let data = json!({
        "type": "error",
        "error": { "details": null, "type": kind, "message": message },
        "request_id": request_id(&exchange.moment),
    });
    Bytes::from(format!("event: error\ndata: {data}\n\n"))
}

pub(super) fn invalid(moment: &Moment, message: &str) -> Reply {
    envelope(moment, 400, "invalid_request_error", message)
}

pub(super) fn missing_key(moment: &Moment) -> Reply {
    envelope(moment, 401, "authentication_error", "x-api-key header is required")
}

pub(super) fn method(moment: &Moment) -> Reply {
    envelope(moment, 405, "invalid_request_error", "Method Not Allowed")
}

pub(super) fn not_found(moment: &Moment) -> Reply {
    envelope(moment, 404, "not_found_error", "Not found")
}

pub(super) fn unknown_model(exchange: &Exchange<'_>) -> Reply {
    let message = format!("model: {}", exchange.request.model);
    envelope(&exchange.moment, 404, "not_found_error", &message)
}

pub(super) fn malformed_json(moment: &Moment, mistake: &serde_json::Error) -> Reply {
    let reason = mistake.to_string();
    let reason = reason.split(" at line ").next().unwrap_or(&reason);
    let (line, column) = (mistake.line(), mistake.column());
    let message = format!(
        "The request body is not valid JSON: {reason}: line {line} column {column} (char {})",
        column.saturating_sub(1)
    );
    invalid(moment, &message)
}

/// The edge's answer, without the wrapper and the request id of the application.
pub(super) fn too_large(moment: &Moment) -> Reply {
    let headers = vec![
        ("content-type", "application/json".to_owned()),
        ("server", "cloudflare".to_owned()),
        ("cf-ray", moment.cf_ray()),
        ("x-should-retry", "false".to_owned()),
    ];
    let body = json!({
        "error": { "type": "request_too_large", "message": "Request exceeds the maximum size" }
    });
    Reply::whole(413, headers, body.to_string())
}

fn rate_limited(exchange: &Exchange<'_>) -> Reply {
    let limited = exchange.decision.limited.unwrap_or_else(|| scripted(exchange));
    let text = limit_text(exchange, &limited);
    let mut reply = envelope(&exchange.moment, 429, "rate_limit_error", &text);
    let levels = &exchange.decision.levels;
    reply.headers.extend(limit_headers(levels, Some(&limited.level), &exchange.moment));
    reply
}

fn scripted(exchange: &Exchange<'_>) -> Limited {
    Limited::scripted(Dimension::Requests, None, exchange.request.input_tokens)
}

fn limit_text(exchange: &Exchange<'_>, limited: &Limited) -> String {
    let unit = match limited.level.dimension {
        Dimension::Requests => "requests",
        Dimension::Tokens => "input tokens",
    };
    format!(
        "This request would exceed your organization's rate limit of {limit} {unit} per {period} \
         (org: {ORGANIZATION}, model: {model}). For details, refer to: \
         https://docs.claude.com/en/api/rate-limits. You can see the response headers for current \
         usage. Please reduce the prompt length or the maximum tokens requested, or try again \
         later. You may also contact sales at https://claude.com/contact-sales to discuss your \
         options for a rate limit increase.",
        limit = grouped(limited.level.limit),
        period = limited.level.period_name(),
        model = exchange.request.model,
    )
}

fn context_length(exchange: &Exchange<'_>) -> Reply {
    let (input, window) = (exchange.request.input_tokens, exchange.decision.window);
    let message = match exchange.request.output_tokens_max {
        Some(output) if input <= window => format!(
            "input length and `max_tokens` exceed context limit: {input} + {output} > {window}, \
             decrease input length or `max_tokens` and try again"
        ),
        _ => format!("prompt is too long: {input} tokens > {window} maximum"),
    };
    invalid(&exchange.moment, &message)
}

/// Envoy's plain text, when the proxy finds nobody behind it.
fn unavailable(moment: &Moment) -> Reply {
    let headers = vec![
        ("content-type", "text/plain".to_owned()),
        ("server", "cloudflare".to_owned()),
        ("cf-ray", moment.cf_ray()),
    ];
    let body = "upstream connect error or disconnect/reset before headers. reset reason: \
                connection termination";
    Reply::whole(503, headers, body)
}

/// An error with the wrapper and the request id, and the word on retrying that goes with its
/// status.
fn envelope(moment: &Moment, status: u16, kind: &str, message: &str) -> Reply {
    let mut headers = edge_headers(moment, "application/json");
    let retry = status == 429 || status >= 500;
    headers.push(("x-should-retry", retry.to_string()));
    let body = json!({
        "type": "error",
        "error": { "type": kind, "message": message },
        "request_id": request_id(moment),
    });
    Reply::whole(status, headers, body.to_string())
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
