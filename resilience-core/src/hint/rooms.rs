//! What is left of each limit, from the headers of whichever provider.
//!
//! A new provider's headers are one function here, and one line in [`of`].

use std::time::{Duration, UNIX_EPOCH};

use super::{Observed, Signals, grammar};
use crate::class::Dimension;
use crate::limiter::Cost;
use crate::provider::Provider;
use crate::time::whole_nanos;

/// What is left in one dimension.
#[derive(Debug)]
pub(super) struct Room {
    pub(super) dimension: Dimension,
    pub(super) limit: Option<u64>,
    pub(super) remaining: u64,
    /// What this request asks for, if the answer says so.
    pub(super) requested: Option<u64>,
    /// Until the bucket is full, with the resolution of the printed value added.
    pub(super) reset: Option<Duration>,
    pub(super) period: Duration,
    /// Whether everything comes back at the reset, instead of bit by bit.
    pub(super) at_once: bool,
}

impl Room {
    fn new(dimension: Dimension, limit: Option<u64>, remaining: u64) -> Self {
        Self {
            dimension,
            limit,
            remaining,
            requested: None,
            reset: None,
            period: usual_period(dimension),
            at_once: false,
        }
    }

    /// How long until the request fits, or `None` if it never does.
    pub(super) fn wait(&self, cost: Option<Cost>, named: Option<Dimension>) -> Option<Duration> {
        let cost = self.requested.or_else(|| match self.dimension {
            Dimension::Rpd | Dimension::Rpm => Some(1),
            tokens => cost.map(|cost| cost.on(tokens)),
        });
        let (Some(cost), Some(limit)) = (cost, self.limit) else {
            // Nobody counted. If this is the limit that was hit, a full bucket is late but never too early.
            let hit = named == Some(self.dimension) || (named.is_none() && self.remaining == 0);
            return Some(if hit { self.reset.unwrap_or_default() } else { Duration::ZERO });
        };
        if cost > limit || limit == 0 {
            return None;
        }
        let missing = cost.saturating_sub(self.remaining);
        let nanos = (u128::from(missing) * u128::from(whole_nanos(self.period)))
            .div_ceil(u128::from(limit));
        let wait = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        Some(match self.reset {
            Some(reset) if self.at_once && missing > 0 => reset,
            Some(reset) => wait.min(reset),
            None => wait,
        })
    }

    /// The same for a limiter, unless its period is not the dimension's.
    pub(super) fn observed(&self) -> Option<Observed> {
        let Self { dimension, limit, remaining, .. } = *self;
        // A limit of zero is nobody's limit, and would block a limiter for ever.
        (self.period == usual_period(dimension) && limit != Some(0)).then_some(Observed {
            dimension,
            limit,
            remaining,
        })
    }
}

/// What the headers of the provider say is left.
pub(super) fn of(signals: &Signals<'_>) -> Vec<Room> {
    match signals.provider {
        Provider::Anthropic => anthropic(signals),
        Provider::Azure => azure(signals),
        // Neither says anything about its limits.
        Provider::Bedrock | Provider::Gemini => Vec::new(),
        Provider::Cohere => cohere(signals),
        Provider::Generic | Provider::Ollama | Provider::OpenAi => openai(signals),
        Provider::Mistral => mistral(signals),
        Provider::OpenRouter => openrouter(signals),
    }
}

/// `x-ratelimit-{limit,remaining,reset}-{requests,tokens}`, where reset is a Go duration cut to milliseconds.
fn openai(signals: &Signals<'_>) -> Vec<Room> {
    let room = |what: &str, minute: Dimension, day: Dimension| {
        let (limit, remaining) = pair(signals, &format!("x-ratelimit-{{}}-{what}"))?;
        let reset = signals
            .header(&format!("x-ratelimit-reset-{what}"))
            .and_then(|value| reset_span(signals, value));
        let daily = reset.is_some_and(|reset| is_daily(reset, limit, remaining));
        let dimension = if daily { day } else { minute };
        Some(Room {
            reset: reset.map(|reset| reset.saturating_add(Duration::from_millis(1))),
            ..Room::new(dimension, limit, remaining)
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
        let (limit, remaining) = pair(signals, &format!("x-ratelimit-{{}}-{what}"))?;
        let period = signals
            .header(&format!("x-ratelimit-renewalperiod-{what}"))
            .and_then(|value| value.parse().ok())
            .map_or(usual_period(dimension), Duration::from_secs);
        Some(Room { period, ..Room::new(dimension, limit, remaining) })
    };
    [room("requests", Dimension::Rpm), room("tokens", Dimension::Tpm)]
        .into_iter()
        .flatten()
        .collect()
}

/// `anthropic-ratelimit-{requests,tokens,input-tokens,output-tokens}-{limit,remaining,reset}`, where reset is an instant.
fn anthropic(signals: &Signals<'_>) -> Vec<Room> {
    let room = |what: &str, dimension: Dimension| {
        let (limit, mut remaining) = pair(signals, &format!("anthropic-ratelimit-{what}-{{}}"))?;
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
        Some(Room { reset, ..Room::new(dimension, limit, remaining) })
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

/// `x-trial-endpoint-call-{limit,remaining}`, of a minute.
fn cohere(signals: &Signals<'_>) -> Vec<Room> {
    let calls = pair(signals, "x-trial-endpoint-call-{}");
    calls
        .map(|(limit, remaining)| Room::new(Dimension::Rpm, limit, remaining))
        .into_iter()
        .collect()
}

/// `x-ratelimit-{limit,remaining}-{req,tokens}-minute` with `x-ratelimit-tokens-query-cost`, and what came before them: `ratelimit-*` for requests, `ratelimitbysize-*` for tokens, both windows that end at once.
fn mistral(signals: &Signals<'_>) -> Vec<Room> {
    let number = |name: &str| signals.header(name).and_then(|value| value.parse().ok());
    let now = |what: &str, dimension: Dimension| {
        let (limit, remaining) = pair(signals, &format!("x-ratelimit-{{}}-{what}-minute"))?;
        Some(Room::new(dimension, limit, remaining))
    };
    let before = |family: &str, dimension: Dimension| {
        let (limit, remaining) = pair(signals, &format!("{family}-{{}}"))?;
        let reset = signals
            .header(&format!("{family}-reset"))
            .and_then(|value| reset_span(signals, value))
            .map(|reset| reset.saturating_add(Duration::from_millis(1)));
        let a_second =
            dimension == Dimension::Rpm && signals.header("x-ratelimit-limit-second").is_some();
        let period = if a_second { Duration::from_secs(1) } else { usual_period(dimension) };
        Some(Room { reset, period, at_once: true, ..Room::new(dimension, limit, remaining) })
    };
    let requests = now("req", Dimension::Rpm).or_else(|| before("ratelimit", Dimension::Rpm));
    let tokens = now("tokens", Dimension::Tpm)
        .map(|room| Room { requested: number("x-ratelimit-tokens-query-cost"), ..room })
        .or_else(|| {
            let room = before("ratelimitbysize", Dimension::Tpm)?;
            Some(Room { requested: number("ratelimitbysize-query-cost"), ..room })
        });
    requests.into_iter().chain(tokens).collect()
}

/// `x-ratelimit-{limit,remaining,reset}`, where the window ends at the reset, an instant in milliseconds.
fn openrouter(signals: &Signals<'_>) -> Vec<Room> {
    let Some((limit, remaining)) = pair(signals, "x-ratelimit-{}") else {
        return openai(signals);
    };
    let reset = signals.header("x-ratelimit-reset").and_then(|value| reset_span(signals, value));
    // The window of a minute ends within a minute, give or take a clock; the day's ends at midnight.
    let daily = reset.is_some_and(|reset| reset > Duration::from_secs(120));
    let dimension = if daily { Dimension::Rpd } else { Dimension::Rpm };
    let reset = reset.map(|reset| reset.saturating_add(Duration::from_millis(1)));
    vec![Room { reset, at_once: true, ..Room::new(dimension, limit, remaining) }]
}

/// The limit, if there is one, and what is left of it; `{}` in the pattern stands for either word.
fn pair(signals: &Signals<'_>, pattern: &str) -> Option<(Option<u64>, u64)> {
    let number = |word: &str| signals.header(&pattern.replace("{}", word))?.parse::<i64>().ok();
    let limit = number("limit").and_then(|limit| u64::try_from(limit).ok());
    // An overdrawn bucket has been seen to report a negative rest.
    Some((limit, u64::try_from(number("remaining")?).unwrap_or(0)))
}

/// A reset in any of its spellings: a Go duration, seconds, or an instant in seconds or milliseconds since 1970.
fn reset_span(signals: &Signals<'_>, value: &str) -> Option<Duration> {
    if let Some(span) = grammar::go_duration(value) {
        return Some(span);
    }
    let Ok(number) = value.parse::<u64>() else {
        return grammar::delta(value, grammar::SECOND);
    };
    let at = match number {
        ..100_000 => return Some(Duration::from_secs(number)),
        100_000..100_000_000_000 => Duration::from_secs(number),
        _ => Duration::from_millis(number),
    };
    let now = signals.clock()?.duration_since(UNIX_EPOCH).ok()?;
    Some(at.saturating_sub(now))
}

/// Whether a reset belongs to a bucket that takes a day to fill rather than a minute.
fn is_daily(reset: Duration, limit: Option<u64>, remaining: u64) -> bool {
    // The bucket refills `limit − remaining` in `reset`; an hour is far from either period.
    let Some(limit) = limit else { return false };
    let Some(used) = limit.checked_sub(remaining).filter(|used| *used > 0) else { return false };
    reset.as_nanos().saturating_mul(u128::from(limit)) / u128::from(used)
        > Duration::from_secs(3600).as_nanos()
}

/// The period that the dimension's name tells.
pub(super) fn usual_period(dimension: Dimension) -> Duration {
    match dimension {
        Dimension::Itpm | Dimension::Otpm | Dimension::Rpm | Dimension::Tpm => {
            Duration::from_secs(60)
        }
        Dimension::Rpd | Dimension::Tpd => Duration::from_secs(86_400),
    }
}
