//! The small languages that single values are written in.
//!
//! Every parser here is total: any string gives a value or `None`, at worst a saturated one.

use std::time::{Duration, SystemTime};

/// A number without sign, in units of `unit_nanos`: the value of `Retry-After` and its kin.
pub(super) fn delta(text: &str, unit_nanos: u128) -> Option<Duration> {
    let text = text.trim_ascii().as_bytes();
    if !text.first()?.is_ascii_digit() {
        return None;
    }
    let number = number(text)?;
    (number.len == text.len()).then(|| duration(number.nanos(unit_nanos)))
}

/// What a server that speaks gRPC says about the next attempt: milliseconds, or `None` if there should be none.
///
/// A negative number says so by intent, an unreadable one by [the specification](https://github.com/grpc/proposal/blob/master/A6-client-retries.md#pushback).
pub(super) fn pushback(text: &str) -> Option<Duration> {
    let millis: i32 = text.trim_ascii().parse().ok()?;
    u64::try_from(millis).ok().map(Duration::from_millis)
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

/// The longest run of numbers with units: its nanoseconds, its length, and one unit of its last digit.
pub(super) fn go_prefix(text: &[u8]) -> Option<(u128, usize, u128)> {
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
pub(super) struct Number {
    whole: u128,
    fraction: u128,
    /// Ten to the number of digits after the point.
    scale: u128,
    pub(super) len: usize,
}

impl Number {
    /// In nanoseconds, when it counts units of so many; digits beyond the nanosecond are cut off.
    pub(super) fn nanos(&self, unit: u128) -> u128 {
        self.whole.saturating_mul(unit).saturating_add(self.fraction * unit / self.scale)
    }

    /// One unit of its last digit, in nanoseconds.
    fn finest(&self, unit: u128) -> u128 {
        (unit / self.scale).max(1)
    }
}

/// A number at the start of the text: `12`, `12.`, `12.5` or `.5`.
pub(super) fn number(text: &[u8]) -> Option<Number> {
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

pub(super) fn duration(nanos: u128) -> Duration {
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
pub(super) const SECOND: u128 = 1_000_000_000;
/// More digits after the point than this are finer than a nanosecond in any unit.
const MAX_SCALE: u128 = 100_000_000_000_000_000_000;
