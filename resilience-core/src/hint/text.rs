//! What sentences say about waits and limits.
//!
//! Every parser here is total, and looks at each byte of a message a fixed number of times.

use std::time::Duration;

use super::grammar::{SECOND, duration, go_prefix, number};
use crate::class::Dimension;

/// The span in a sentence: "Please try again in 634ms", "Please retry after 9 seconds".
///
/// Servers cut the span they announce to whole milliseconds, and Go drops trailing zeros, so one unit of the last digit, but at most a millisecond, is added to be never early.
/// A number of whole units in words is taken at its word.
pub(super) fn text_hint(message: &str) -> Option<Duration> {
    let text = message.to_ascii_lowercase();
    let mut rest = text.as_str();
    // One look at each letter: a body of a million openings must not cost a million searches.
    while let Some(at) = rest.find(['r', 't']) {
        let from = &rest[at..];
        let opening = OPENINGS.iter().find(|opening| from.starts_with(**opening));
        rest = &from[opening.map_or(1, |opening| opening.len())..];
        if opening.is_some()
            && let Some(span) = after_opening(rest)
        {
            return Some(span);
        }
    }
    None
}

fn after_opening(text: &str) -> Option<Duration> {
    let text = spaces(text)?;
    let text = text.strip_prefix("in").or_else(|| text.strip_prefix("after"))?;
    let text = spaces(text)?;
    let bytes = text.as_bytes();
    if let Some((nanos, len, finest)) = go_prefix(bytes)
        && ends_word(bytes, len)
    {
        let allowance = finest.min(1_000_000);
        return Some(duration(nanos.saturating_add(allowance)));
    }
    let number = number(bytes)?;
    // A point after the last digit ends the sentence.
    let len = if bytes.get(number.len - 1) == Some(&b'.') { number.len - 1 } else { number.len };
    let after = &text[len..];
    let word = after.trim_start();
    let len = word.bytes().take_while(u8::is_ascii_alphanumeric).count();
    let unit = match &word[..len] {
        "ms" | "millisecond" | "milliseconds" => 1_000_000,
        "s" | "sec" | "secs" | "second" | "seconds" => SECOND,
        "m" | "min" | "mins" | "minute" | "minutes" => 60 * SECOND,
        "h" | "hour" | "hours" => 3600 * SECOND,
        // A bare number is in seconds, but only where the clause ends: not in "retry after 2 attempts".
        "" if !after.starts_with(char::is_whitespace) || word.is_empty() => SECOND,
        _ => return None,
    };
    Some(duration(number.nanos(unit)))
}

/// The numbers of an OpenAI rate limit: `Limit 30000, Used 29937, Requested 385`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct LimitText {
    pub(crate) limit: u64,
    pub(crate) used: u64,
    pub(crate) requested: u64,
}

/// The numbers of a rate limit's message, if it gives them.
pub(crate) fn limit_text(message: &str) -> Option<LimitText> {
    let text = message.to_ascii_lowercase();
    let mut rest = text.as_str();
    loop {
        rest = &rest[rest.find("limit ")? + "limit ".len()..];
        if let Some(numbers) = after_limit(rest) {
            return Some(numbers);
        }
    }
}

fn after_limit(text: &str) -> Option<LimitText> {
    let (limit, text) = integer(text)?;
    let text = text.strip_prefix(',')?.trim_start();
    let (used, text) = match text.strip_prefix("used ") {
        Some(text) => {
            let (used, text) = integer(text)?;
            (used, text.strip_prefix(',')?.trim_start())
        }
        None => (0, text),
    };
    let (requested, _) = integer(text.strip_prefix("requested ")?)?;
    Some(LimitText { limit, used, requested })
}

/// A whole number that may have thousands separators, and what follows it.
pub(crate) fn integer(text: &str) -> Option<(u64, &str)> {
    let bytes = text.as_bytes();
    let digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    let mut value = 0_u64;
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        if byte.is_ascii_digit() {
            value = value.saturating_mul(10).saturating_add(u64::from(byte - b'0'));
        } else if !(*byte == b','
            && at > 0
            && digit(at + 1)
            && digit(at + 2)
            && digit(at + 3)
            && !digit(at + 4))
        {
            break;
        }
        at += 1;
    }
    (at > 0).then(|| (value, &text[at..]))
}

/// The limit that a message speaks of.
pub(crate) fn dimension(message: &str) -> Option<Dimension> {
    let text = message.to_ascii_lowercase();
    DIMENSIONS.iter().find(|(words, _)| text.contains(words)).map(|(_, dimension)| *dimension)
}

/// At least one space, taken off.
fn spaces(text: &str) -> Option<&str> {
    let rest = text.trim_start();
    (rest.len() < text.len()).then_some(rest)
}

fn ends_word(text: &[u8], at: usize) -> bool {
    !text.get(at).is_some_and(u8::is_ascii_alphanumeric)
}

/// What stands before "in" or "after" and a span.
const OPENINGS: [&str; 3] = ["try again", "retry", "reset"];

/// The more specific words first: an input token is a token.
const DIMENSIONS: [(&str, Dimension); 18] = [
    ("(rpm)", Dimension::Rpm),
    ("(tpm)", Dimension::Tpm),
    ("(rpd)", Dimension::Rpd),
    ("(tpd)", Dimension::Tpd),
    ("input tokens per minute", Dimension::Itpm),
    ("output tokens per minute", Dimension::Otpm),
    ("tokens per min", Dimension::Tpm),
    ("tokens per day", Dimension::Tpd),
    ("requests per min", Dimension::Rpm),
    ("requests per day", Dimension::Rpd),
    ("call rate limit", Dimension::Rpm),
    ("token rate limit", Dimension::Tpm),
    ("requests / minute", Dimension::Rpm),
    ("calls / minute", Dimension::Rpm),
    ("free-models-per-min", Dimension::Rpm),
    ("requests rate limit exceeded", Dimension::Rpm),
    ("too many requests, please wait before", Dimension::Rpm),
    ("too many tokens, please wait before", Dimension::Tpm),
];
