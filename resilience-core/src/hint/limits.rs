//! How long until there is room again, from what a provider says about its limits.
//!
//! The printed *reset* is not that wait: it is the time until the bucket is full.
//! Room for this request comes sooner, after `(cost − remaining) · period / limit`, and the dimension that takes longest decides.

use std::time::Duration;

use super::grammar::{self, dimension, limit_text};
use super::{Hint, Signals, Source};
use crate::class::Dimension;
use crate::provider::Provider;
use crate::time::whole_nanos;

/// The wait on the binding dimension of a rate limit.
pub(super) fn wait(signals: &Signals<'_>) -> Option<Hint> {
    if !signals.limited {
        return None;
    }
    let mut known = match signals.provider {
        Provider::Anthropic => anthropic(signals),
        Provider::Azure => azure(signals),
        Provider::Generic | Provider::OpenAi => openai(signals),
    };
    let named = dimension(signals.message);
    // The message speaks of one dimension, with the numbers of this very request.
    if let (Some(numbers), Some(dimension)) = (limit_text(signals.message), named) {
        known.retain(|room| room.dimension != dimension);
        known.push(Room {
            dimension,
            limit: numbers.limit,
            remaining: numbers.limit.saturating_sub(numbers.used),
            requested: Some(numbers.requested),
            reset: None,
            period: usual_period(dimension),
        });
    }
    let longest = known
        .into_iter()
        .filter_map(|room| Some((room.wait(signals, named)?, room.dimension)))
        .max_by_key(|(after, _)| *after)?;
    let (after, dimension) = longest;
    (after > Duration::ZERO).then_some(Hint { after, source: Source::Limits(dimension) })
}

/// What is left in one dimension.
struct Room {
    dimension: Dimension,
    limit: u64,
    remaining: u64,
    /// What this request asks for, if the answer says so.
    requested: Option<u64>,
    /// Until the bucket is full, with the resolution of the printed value added.
    reset: Option<Duration>,
    period: Duration,
}

impl Room {
    /// How long until the request fits, or `None` if it never does.
    fn wait(&self, signals: &Signals<'_>, named: Option<Dimension>) -> Option<Duration> {
        let cost = self.requested.or_else(|| match self.dimension {
            Dimension::Rpd | Dimension::Rpm => Some(1),
            tokens => signals.cost.map(|cost| cost.on(tokens)),
        });
        let Some(cost) = cost else {
            // Nobody counted. If this is the limit that was hit, a full bucket is late but never too early.
            let hit = named == Some(self.dimension) || (named.is_none() && self.remaining == 0);
            return Some(if hit { self.reset.unwrap_or_default() } else { Duration::ZERO });
        };
        if cost > self.limit || self.limit == 0 {
            return None;
        }
        let missing = cost.saturating_sub(self.remaining);
        let nanos = (u128::from(missing) * u128::from(whole_nanos(self.period)))
            .div_ceil(u128::from(self.limit));
        let wait = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        Some(self.reset.map_or(wait, |reset| wait.min(reset)))
    }
}

/// `x-ratelimit-{limit,remaining,reset}-{requests,tokens}`, where reset is a Go duration cut to milliseconds.
fn openai(signals: &Signals<'_>) -> Vec<Room> {
    let room = |what: &str, minute: Dimension, day: Dimension| {
        let (limit, remaining) = pair(signals, "x-ratelimit", what)?;
        let reset = signals
            .header(&format!("x-ratelimit-reset-{what}"))
            .and_then(|value| reset_span(signals, value));
        let daily = reset.is_some_and(|reset| is_daily(reset, limit, remaining));
        let dimension = if daily { day } else { minute };
        Some(Room {
            dimension,
            limit,
            remaining,
            requested: None,
            reset: reset.map(|reset| reset.saturating_add(Duration::from_millis(1))),
            period: usual_period(dimension),
        })
    };
    [
        room("requests", Dimension::Rpm, Dimension::Rpd),
        room("tokens", Dimension::Tpm, Dimension::Tpd),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// As OpenAI, but the reset is of no use: on a 200 it is the time until full in milliseconds, on a 429 `Retry-After` in seconds, and nothing tells them apart.
fn azure(signals: &Signals<'_>) -> Vec<Room> {
    let room = |what: &str, dimension: Dimension| {
        let (limit, remaining) = pair(signals, "x-ratelimit", what)?;
        let period = signals
            .header(&format!("x-ratelimit-renewalperiod-{what}"))
            .and_then(|value| value.parse().ok())
            .map_or(usual_period(dimension), Duration::from_secs);
        Some(Room { dimension, limit, remaining, requested: None, reset: None, period })
    };
    [room("requests", Dimension::Rpm), room("tokens", Dimension::Tpm)]
        .into_iter()
        .flatten()
        .collect()
}

/// `anthropic-ratelimit-{requests,tokens,input-tokens,output-tokens}-{limit,remaining,reset}`, where reset is an instant.
fn anthropic(signals: &Signals<'_>) -> Vec<Room> {
    let room = |what: &str, dimension: Dimension| {
        let number = |part: &str| {
            signals.header(&format!("anthropic-ratelimit-{what}-{part}"))?.parse().ok()
        };
        let (limit, mut remaining): (u64, u64) = (number("limit")?, number("remaining")?);
        if dimension != Dimension::Rpm {
            // Printed to the nearest thousand.
            remaining = remaining.saturating_sub(500);
        }
        let reset = signals
            .header(&format!("anthropic-ratelimit-{what}-reset"))
            .and_then(grammar::instant)
            .zip(signals.clock())
            .map(|(at, now)| at.duration_since(now).unwrap_or_default())
            .map(|reset| reset.saturating_add(Duration::from_secs(1)));
        let period = usual_period(dimension);
        Some(Room { dimension, limit, remaining, requested: None, reset, period })
    };
    [
        room("requests", Dimension::Rpm),
        room("tokens", Dimension::Tpm),
        room("input-tokens", Dimension::Itpm),
        room("output-tokens", Dimension::Otpm),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn pair(signals: &Signals<'_>, family: &str, what: &str) -> Option<(u64, u64)> {
    let number =
        |part: &str| signals.header(&format!("{family}-{part}-{what}"))?.parse::<i64>().ok();
    let limit = u64::try_from(number("limit")?).ok()?;
    // An overdrawn bucket has been seen to report a negative rest.
    Some((limit, u64::try_from(number("remaining")?).unwrap_or(0)))
}

/// A reset in any of its spellings: a Go duration, seconds, or an instant in seconds or milliseconds since 1970.
fn reset_span(signals: &Signals<'_>, value: &str) -> Option<Duration> {
    if let Some(span) = grammar::go_duration(value) {
        return Some(span);
    }
    let number: u64 = value.parse().ok()?;
    let at = match number {
        ..100_000 => return Some(Duration::from_secs(number)),
        100_000..100_000_000_000 => Duration::from_secs(number),
        _ => Duration::from_millis(number),
    };
    let now = signals.clock()?.duration_since(std::time::UNIX_EPOCH).ok()?;
    Some(at.saturating_sub(now))
}

/// Whether a reset belongs to a bucket that takes a day to fill rather than a minute.
fn is_daily(reset: Duration, limit: u64, remaining: u64) -> bool {
    // The bucket refills `limit − remaining` in `reset`; an hour is far from either period.
    let Some(used) = limit.checked_sub(remaining).filter(|used| *used > 0) else { return false };
    reset.as_nanos().saturating_mul(u128::from(limit)) / u128::from(used)
        > Duration::from_secs(3600).as_nanos()
}

fn usual_period(dimension: Dimension) -> Duration {
    match dimension {
        Dimension::Itpm | Dimension::Otpm | Dimension::Rpm | Dimension::Tpm => {
            Duration::from_secs(60)
        }
        Dimension::Rpd | Dimension::Tpd => Duration::from_secs(86_400),
    }
}
