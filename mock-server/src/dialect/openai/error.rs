//! What OpenAI's errors have in common: their headers, and what the placeholders of their texts
//! stand for.

use super::{
    ORGANIZATION, application_headers, count, edge_headers, go_duration, push_limits,
    success_headers,
};
use crate::{
    action::{Dimension, ErrorKind},
    dialect::{Exchange, Fields, Place, case::fill},
    quota::{Level, Limited, whole_millis},
};

/// The usual failure, where the numbers say which it is.
pub(in crate::dialect) fn usual(
    kind: ErrorKind,
    place: Place,
    exchange: &Exchange<'_>,
    model: &str,
) -> Option<&'static str> {
    use ErrorKind::{ContextLength, RateLimited};

    if place == Place::Stream {
        return None;
    }
    let asks = |name: &str| exchange.request.body.get(name).is_some();
    match kind {
        ContextLength if model.starts_with("gpt-5") => Some("input-tokens"),
        ContextLength if exchange.request.output_tokens_max.is_some() && asks("functions") => {
            Some("functions")
        }
        ContextLength if exchange.request.output_tokens_max.is_some() => {
            Some("messages-and-completion")
        }
        // A bucket that refuses always knows how long; only a script may leave it out.
        RateLimited
            if exchange.decision.rule.is_some() && exchange.decision.action.hint().is_none() =>
        {
            Some("slow-down")
        }
        RateLimited if exchange.decision.limited.is_some_and(|limited| limited.never_fits()) => {
            Some("request-too-large")
        }
        _ => None,
    }
}

/// What the placeholders of OpenAI's texts stand for.
pub(in crate::dialect) fn word(name: &str, exchange: &Exchange<'_>) -> Option<String> {
    let request = exchange.request;
    let limited = || exchange.decision.limited.unwrap_or_else(|| scripted(exchange));
    let output = request.output_tokens_max.unwrap_or(0);
    Some(match name {
        "allowed" => "POST".to_owned(),
        "dimension" => dimension(&limited().level).to_owned(),
        "functions" => count::tools(&request.model, &request.body).to_string(),
        "limit" => limited().level.limit.to_string(),
        "longest" => count::longest(request).to_string(),
        "masked-key" => masked(&request.key),
        "messages" => {
            let functions = count::tools(&request.model, &request.body);
            request.input_tokens.saturating_sub(functions).to_string()
        }
        "needed" => count::longest(request).saturating_add(output).to_string(),
        "organization" => "org-Ab12Cd34Ef56Gh78Ij90Kl12".to_owned(),
        "project" => "proj_Ab12Cd34Ef56Gh78Ij90Kl12".to_owned(),
        "request-id" => exchange.moment.hex("request", 32),
        "requested" => limited().requested.to_string(),
        "unit" => unit(&limited().level).to_owned(),
        "used" => limited().used.to_string(),
        "wait" => go_duration(limited().printed_wait()?),
        _ => return None,
    })
}

/// A text with its placeholders filled in, for what is no row of a table.
pub(super) fn said(exchange: &Exchange<'_>, text: &str) -> String {
    fill(text, |name| {
        let known = word(name, exchange).or_else(|| exchange.word(name));
        known.unwrap_or_default().into()
    })
}

/// The headers in which a wait is announced. Of a broken number of seconds also the milliseconds,
/// as OpenAI's SDKs expect: the exact one for those who read it.
pub(super) fn hint(exchange: &Exchange<'_>) -> Fields {
    let mut fields = crate::dialect::retry_after(exchange.decision, exchange.moment.wall);
    if let Some((after, crate::action::HintForm::Seconds)) = exchange.decision.action.hint()
        && after.0.subsec_nanos() > 0
    {
        fields.push(("retry-after-ms", whole_millis(after.0).to_string().into()));
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
pub(super) fn gateway(exchange: &Exchange<'_>) -> Fields {
    let mut headers = edge_headers(&exchange.moment, "application/json; charset=utf-8");
    headers.push(("vary", "Origin".into()));
    headers.push(("x-openai-proxy-wasm", "v0.1".into()));
    headers
}

/// The headers of the gateway when it knows who asks, but not what for.
pub(super) fn identified(exchange: &Exchange<'_>) -> Fields {
    let mut headers = gateway(exchange);
    headers.push(("openai-organization", ORGANIZATION.into()));
    headers
}

/// The headers of the gateway when it was shown no key; the value is not recorded.
pub(super) fn missing_key(exchange: &Exchange<'_>) -> Fields {
    let mut headers = gateway(exchange);
    headers.push(("www-authenticate", "Basic realm=\"OpenAI API\"".into()));
    headers
}

/// The headers of the Responses API when it does not know who asks: it names no organization.
pub(super) fn challenged(exchange: &Exchange<'_>) -> Fields {
    let mut headers = application(exchange);
    headers.retain(|(name, _)| !matches!(*name, "openai-organization" | "openai-project"));
    headers.push(("www-authenticate", "Bearer realm=\"OpenAI API\"".into()));
    headers
}

/// The headers of the application.
pub(super) fn application(exchange: &Exchange<'_>) -> Fields {
    application_headers(&exchange.moment, "application/json")
}

/// The headers of the application when it has counted the request, but refuses what it says.
pub(super) fn policy(exchange: &Exchange<'_>) -> Fields {
    let mut headers = application(exchange);
    push_limits(&mut headers, &exchange.decision.levels);
    headers
}

/// The headers of the application when a limit is hit. A dump of one from the Responses API has
/// no limits: <https://github.com/openai/openai-node/issues/1477>.
pub(super) fn limited(exchange: &Exchange<'_>) -> Fields {
    let mut headers = application(exchange);
    if exchange.request.route == crate::plan::Route::OpenAiResponses {
        return headers;
    }
    let limited = exchange.decision.limited.unwrap_or_else(|| scripted(exchange));
    let others = exchange.decision.levels.iter().copied();
    let others = others.filter(|level| level.dimension != limited.level.dimension);
    let levels: Vec<Level> = others.chain([limited.level]).collect();
    push_limits(&mut headers, &levels);
    headers
}

/// The headers of an answer that was written, and refuses.
pub(super) fn written(exchange: &Exchange<'_>) -> Fields {
    success_headers(exchange)
}

/// The headers of the edge, which refuses whole countries.
pub(super) fn edge(exchange: &Exchange<'_>) -> Fields {
    edge_headers(&exchange.moment, "application/json")
}

/// The headers of Cloudflare's own JSON.
pub(super) fn bad_gateway(exchange: &Exchange<'_>) -> Fields {
    let mut headers = edge_headers(&exchange.moment, "application/json");
    headers.extend([
        ("x-frame-options", "SAMEORIGIN".into()),
        ("referrer-policy", "same-origin".into()),
        (
            "cache-control",
            "private, max-age=0, no-store, no-cache, must-revalidate, post-check=0, pre-check=0"
                .to_owned()
                .into(),
        ),
        ("expires", "Thu, 01 Jan 1970 00:00:01 GMT".into()),
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
