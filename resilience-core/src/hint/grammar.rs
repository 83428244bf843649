//! The small languages that waits are written in.
//!
//! Every parser here is total: any string gives a value or `None`, at worst a saturated one.

use std::time::{Duration, SystemTime};

use crate::class::Dimension;

/// A number without sign, in units of `unit_nanos`: the value of `Retry-After` and its kin.
pub(super) fn delta(text: &str, unit_nanos: u128) -> Option<Duration> {
    let text = text.trim_ascii().as_bytes();
    if !text.first()?.is_ascii_digit() {
        return None;
    }
    let number = number(text)?;
    (number.len == text.len()).then(|| duration(number.nanos(unit_nanos)))
}

/// A span as Go prints it: `6m0s`, `17ms`, `2m59.56s`.
pub(super) fn go_duration(text: &str) -> Option<Duration> {
    let text = text.trim_ascii().as_bytes();
    let text = text.strip_prefix(b"+").unwrap_or(text);
    if text == b"0" {
        return Some(Duration::ZERO);
    }
    let (nanos, len, _) = go_prefix(text)?;
    (len == text.len()).then(|| duration(nanos))
}

/// An instant of [RFC 3339](https://www.rfc-editor.org/rfc/rfc3339#section-5.6); one before 1970 is 1970.
pub(super) fn instant(text: &str) -> Option<SystemTime> {
    let text = text.trim_ascii().as_bytes();
    let field = |from: usize, to: usize| -> Option<i64> {
        let digits = text.get(from..to)?;
        digits.iter().try_fold(0, |value, byte| {
            byte.is_ascii_digit().then(|| value * 10 + i64::from(byte - b'0'))
        })
    };
    let is = |at: usize, bytes: &[u8]| text.get(at).is_some_and(|byte| bytes.contains(byte));
    if !(is(4, b"-") && is(7, b"-") && is(10, b"Tt ") && is(13, b":") && is(16, b":")) {
        return None;
    }
    let (year, month, day) = (field(0, 4)?, field(5, 7)?, field(8, 10)?);
    let (hour, minute, second) = (field(11, 13)?, field(14, 16)?, field(17, 19)?);
    if !(1..=12).contains(&month)
        || !(1..=31).contains(&day)
        || hour > 23
        || minute > 59
        || second > 60
    {
        return None;
    }
    let mut at = 19;
    let mut nanos = 0;
    if is(at, b".") {
        let fraction = number(text.get(at..)?)?;
        nanos = fraction.nanos(1_000_000_000);
        at += fraction.len;
    }
    let offset = if is(at, b"Zz") {
        at += 1;
        0
    } else if is(at, b"+-") && is(at + 3, b":") {
        let span = field(at + 1, at + 3)? * 3600 + field(at + 4, at + 6)? * 60;
        let span = if is(at, b"-") { -span } else { span };
        at += 6;
        span
    } else {
        return None;
    };
    if at != text.len() {
        return None;
    }
    let seconds = days_from_1970(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second;
    let since = match u64::try_from(seconds - offset) {
        Ok(seconds) => Duration::from_secs(seconds) + duration(nanos),
        Err(_) => Duration::ZERO,
    };
    SystemTime::UNIX_EPOCH.checked_add(since)
}

/// The span in a sentence: "Please try again in 634ms", "Please retry after 9 seconds".
///
/// Servers cut the span they announce to whole milliseconds, and Go drops trailing zeros, so one unit of the last digit, but at most a millisecond, is added to be never early.
/// A number of whole units in words is taken at its word.
pub(super) fn text_hint(message: &str) -> Option<Duration> {
    let text = message.to_ascii_lowercase();
    let mut rest = text.as_str();
    loop {
        let (at, opening) = ["try again", "retry", "reset"]
            .into_iter()
            .filter_map(|opening| Some((rest.find(opening)?, opening)))
            .min_by_key(|(at, _)| *at)?;
        rest = &rest[at + opening.len()..];
        if let Some(span) = after_opening(rest) {
            return Some(span);
        }
    }
}

fn after_opening(text: &str) -> Option<Duration> {
    let text = spaces(text)?;
    let text = text.strip_prefix("in").or_else(|| text.strip_prefix("after"))?;
    let text = spaces(text)?.as_bytes();
    if let Some((nanos, len, finest)) = go_prefix(text)
        && ends_word(text, len)
    {
        let allowance = finest.min(1_000_000);
        return Some(duration(nanos.saturating_add(allowance)));
    }
    let number = number(text)?;
    // A point after the last digit ends the sentence.
    let len = if text.get(number.len - 1) == Some(&b'.') { number.len - 1 } else { number.len };
    let after = std::str::from_utf8(text.get(len..)?).ok()?;
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

/// The more specific words first: an input token is a token.
const DIMENSIONS: [(&str, Dimension); 13] = [
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
];

/// The longest run of numbers with units: its nanoseconds, its length, and one unit of its last digit.
fn go_prefix(text: &[u8]) -> Option<(u128, usize, u128)> {
    let mut nanos = 0_u128;
    let mut at = 0;
    let mut finest = None;
    while let Some(number) = text.get(at..).and_then(number) {
        let Some((unit, len)) = text.get(at + number.len..).and_then(go_unit) else { break };
        nanos = nanos.saturating_add(number.nanos(unit));
        finest = Some(number.finest(unit));
        at += number.len + len;
    }
    Some((nanos, at, finest?))
}

/// A unit of a Go duration in nanoseconds, and its length; `d` is an extension that does no harm.
fn go_unit(text: &[u8]) -> Option<(u128, usize)> {
    // `ms` stands before `m` and `s`.
    const UNITS: [(&[u8], u128); 9] = [
        (b"ns", 1),
        (b"us", 1_000),
        (b"\xc2\xb5s", 1_000),
        (b"\xce\xbcs", 1_000),
        (b"ms", 1_000_000),
        (b"s", SECOND),
        (b"m", 60 * SECOND),
        (b"h", 3600 * SECOND),
        (b"d", 86_400 * SECOND),
    ];
    UNITS.iter().find(|(unit, _)| text.starts_with(unit)).map(|(unit, nanos)| (*nanos, unit.len()))
}

/// A decimal number as written.
struct Number {
    whole: u128,
    fraction: u128,
    /// Ten to the number of digits after the point.
    scale: u128,
    len: usize,
}

impl Number {
    /// In nanoseconds, when it counts units of so many; digits beyond the nanosecond are cut off.
    fn nanos(&self, unit: u128) -> u128 {
        self.whole.saturating_mul(unit).saturating_add(self.fraction * unit / self.scale)
    }

    /// One unit of its last digit, in nanoseconds.
    fn finest(&self, unit: u128) -> u128 {
        (unit / self.scale).max(1)
    }
}

/// A number at the start of the text: `12`, `12.`, `12.5` or `.5`.
fn number(text: &[u8]) -> Option<Number> {
    let mut number = Number { whole: 0, fraction: 0, scale: 1, len: 0 };
    let mut digits = 0;
    let mut past_point = false;
    for byte in text {
        match byte {
            b'0'..=b'9' => {
                digits += 1;
                let digit = u128::from(byte - b'0');
                if !past_point {
                    number.whole = number.whole.saturating_mul(10).saturating_add(digit);
                } else if number.scale < MAX_SCALE {
                    number.fraction = number.fraction * 10 + digit;
                    number.scale *= 10;
                }
            }
            b'.' if !past_point => past_point = true,
            _ => break,
        }
        number.len += 1;
    }
    (digits > 0).then_some(number)
}

/// At least one space, taken off.
fn spaces(text: &str) -> Option<&str> {
    let rest = text.trim_start();
    (rest.len() < text.len()).then_some(rest)
}

fn ends_word(text: &[u8], at: usize) -> bool {
    !text.get(at).is_some_and(u8::is_ascii_alphanumeric)
}

fn duration(nanos: u128) -> Duration {
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

/// Days from 1 January 1970 in the proleptic Gregorian calendar ([Hinnant](https://howardhinnant.github.io/date_algorithms.html#days_from_civil)).
fn days_from_1970(year: i64, month: i64, day: i64) -> i64 {
    // Years begin in March, so that the leap day comes last.
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// In nanoseconds.
const SECOND: u128 = 1_000_000_000;
/// More digits after the point than this are finer than a nanosecond in any unit.
const MAX_SCALE: u128 = 100_000_000_000_000_000_000;
