//! What a credential may use of a model, and how strictly we keep to it.

use std::time::Duration;

use thiserror::Error;

use super::log::TOKENS_LOGGED_MAX;
use crate::bucket::TOKENS_MAX;
use crate::class::Dimension;
use crate::time::whole_nanos;

/// The limits that one credential has on one model.
///
/// Several limits may count the same dimension over different periods: a provider that keeps 60,000 a minute by 1,000 a second is met by a second [`Limit`] with a period of a second.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Quota {
    /// Each limit, in the order in which refusals name them.
    pub limits: Vec<Limit>,
    /// What is promised about any window of a period.
    pub guarantee: Guarantee,
    /// What becomes of a request that costs more than a burst.
    pub oversize: Oversize,
    /// How many requests may be under way at once, if that is limited.
    ///
    /// A permit is taken with the admission and held until the reservation is settled.
    pub concurrency: Option<u32>,
    /// Whether the provider charges what was used in the end, so that the unused part of a reservation may be used again.
    ///
    /// Off for a provider that admits by `max_tokens`, as OpenAI does: it keeps the unused part charged, and so must we.
    pub charges_actual: bool,
    /// How many smaller requests may overtake a request that has come to the front and does not fit yet; none by default.
    pub overtakes_max: u32,
}

impl Quota {
    /// The usual pair, OpenAI's: requests and tokens per minute, with a burst of a whole minute.
    ///
    /// Anthropic counts the tokens of questions and answers apart: [`Tier::Anthropic`](crate::Tier::Anthropic) has its quotas, and [`Dimension::Itpm`] and [`Dimension::Otpm`] make others.
    /// A full minute's burst plus the refill lets almost twice the limit through in the first minute; see [`Guarantee`].
    pub fn per_minute(requests: u64, tokens: u64) -> Self {
        Self {
            limits: vec![
                Limit::per_minute(Dimension::Rpm, requests),
                Limit::per_minute(Dimension::Tpm, tokens),
            ],
            ..Self::default()
        }
    }

    /// The same limits, so that no window of a period ever holds more than they say.
    ///
    /// Each burst becomes two seconds' worth, or `largest`, the largest cost of one request, where that is more.
    /// Up to half of a limit is a fair price for the promise; a `largest` above that is better met by [`Oversize::Debt`].
    #[must_use]
    pub fn strict(self, largest: Cost) -> Self {
        let limits = self
            .limits
            .iter()
            .map(|limit| limit.with_smooth_burst(largest.on(limit.dimension)))
            .collect();
        Self { limits, guarantee: Guarantee::STRICT, ..self }
    }

    /// Whether an answer depends on the number of tokens, so that they must be counted.
    pub fn counts_tokens(&self) -> bool {
        self.limits.iter().any(|limit| !matches!(limit.dimension, Dimension::Rpm | Dimension::Rpd))
    }

    /// Everything that is wrong with the limits.
    pub fn mistakes(&self) -> Vec<QuotaMistake> {
        let mut mistakes: Vec<_> =
            self.limits.iter().filter_map(|limit| limit.mistake(self.guarantee)).collect();
        if self.concurrency == Some(0) {
            mistakes.push(QuotaMistake::NoPermits);
        }
        mistakes
    }
}

/// One limit of a [`Quota`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limit {
    /// What it counts.
    pub dimension: Dimension,
    /// How many tokens, or requests, a period admits.
    pub tokens: u64,
    /// How many may pass at once after a rest.
    ///
    /// Under [`Guarantee::Strict`] a limit of at most 64 needs none: it is kept by remembering each charge, and the whole of it may pass at once.
    pub burst: u64,
    /// The period.
    pub period: Duration,
}

impl Limit {
    /// A limit per minute, with a burst of the whole minute.
    pub const fn per_minute(dimension: Dimension, tokens: u64) -> Self {
        Self { dimension, tokens, burst: tokens, period: Duration::from_secs(60) }
    }

    /// A limit per day, with a burst of the whole day.
    pub const fn per_day(dimension: Dimension, tokens: u64) -> Self {
        Self { dimension, tokens, burst: tokens, period: Duration::from_secs(86_400) }
    }

    /// The same limit with the burst that we advise: two seconds of its rate, or `largest`, the largest cost of one request, where that is more; never more than the limit.
    #[must_use]
    pub fn with_smooth_burst(self, largest: u64) -> Self {
        let period = u128::from(whole_nanos(self.period)).max(1);
        let smooth = u128::from(self.tokens) * SMOOTH.as_nanos() / period;
        let smooth = u64::try_from(smooth).unwrap_or(u64::MAX);
        Self { burst: smooth.max(largest).max(1).min(self.tokens), ..self }
    }

    /// What is wrong with it, the first thing found.
    pub(super) fn mistake(self, guarantee: Guarantee) -> Option<QuotaMistake> {
        let Self { dimension, tokens, burst, period } = self;
        let jitter = match guarantee {
            Guarantee::Burst => 0,
            Guarantee::Strict { jitter } => whole_nanos(jitter),
        };
        let period = whole_nanos(period);
        if tokens == 0 || burst == 0 || period == 0 {
            Some(QuotaMistake::Zero { dimension })
        } else if [tokens, burst, period, jitter].into_iter().any(|number| number > TOKENS_MAX) {
            Some(QuotaMistake::TooLarge { dimension })
        } else if burst > tokens {
            Some(QuotaMistake::BurstAboveLimit { dimension, burst, tokens })
        } else if guarantee != Guarantee::Burst && burst == tokens && tokens > TOKENS_LOGGED_MAX {
            Some(QuotaMistake::BurstIsLimit { dimension, tokens })
        } else {
            None
        }
    }
}

/// What a [`Quota`] promises about its limits.
///
/// Choose [`Guarantee::Burst`] where the provider keeps a bucket itself, as OpenAI and Anthropic do: it wastes nothing.
/// Choose [`Guarantee::Strict`] where windows are counted (Azure, Gemini, gateways), where a refusal is dear, or where nobody knows; it costs the burst's share of the throughput, so keep bursts small ([`Limit::with_smooth_burst`]).
/// Both bounds hold for what is charged net: a refund, or a credit of [`Quota::charges_actual`], makes room in the windows it falls into.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Guarantee {
    /// The classic bucket: a burst, and the limit's full rate; from a rest, the first period admits up to burst and limit together.
    #[default]
    Burst,
    /// No window of a period, wherever it begins, holds more than the limit.
    ///
    /// The bucket refills with limit less burst; a limit of at most 64 is kept by a sliding log, which loses nothing.
    /// With [`Oversize::Debt`] a window may hold as much more as a request exceeds the burst.
    Strict {
        /// By how much the network may push together what left us further apart.
        jitter: Duration,
    },
}

impl Guarantee {
    /// Strict windows, where the network keeps the distances between requests.
    pub const STRICT: Self = Self::Strict { jitter: Duration::ZERO };
}

/// What becomes of a request that costs more than a [`Limit::burst`]; one above the limit itself is always refused at once.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Oversize {
    /// It waits until the bucket is full and is then admitted; the bucket owes the rest, and admits nobody until that is paid.
    Debt,
    /// It is refused at once.
    #[default]
    Reject,
}

/// What one request uses up.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Cost {
    /// Requests, normally one.
    pub requests: u64,
    /// Tokens sent.
    pub input: u64,
    /// Tokens that may come back.
    pub output: u64,
}

impl Cost {
    /// One request of so many tokens.
    pub const fn request(input: u64, output: u64) -> Self {
        Self { requests: 1, input, output }
    }

    /// The part that a dimension counts.
    #[inline]
    pub const fn on(&self, dimension: Dimension) -> u64 {
        match dimension {
            Dimension::Itpm => self.input,
            Dimension::Otpm => self.output,
            Dimension::Rpd | Dimension::Rpm => self.requests,
            Dimension::Tpd | Dimension::Tpm => self.input.saturating_add(self.output),
        }
    }
}

/// What is wrong with a [`Quota`].
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum QuotaMistake {
    /// More at once than in a whole period.
    #[error("a burst of {burst} is above the limit of {tokens} {dimension}")]
    BurstAboveLimit {
        /// The dimension.
        dimension: Dimension,
        /// The burst.
        burst: u64,
        /// The limit.
        tokens: u64,
    },
    /// A strict limit whose burst leaves nothing to refill; see [`Limit::with_smooth_burst`].
    #[error("a strict limit of {tokens} {dimension} needs a burst below it")]
    BurstIsLimit {
        /// The dimension.
        dimension: Dimension,
        /// The limit, and the burst.
        tokens: u64,
    },
    /// A concurrency of nobody, under which no request could ever pass.
    #[error("a concurrency of 0 admits nobody")]
    NoPermits,
    /// A limit, burst or period beyond [`TOKENS_MAX`].
    #[error("the limit on {dimension} has a number above {TOKENS_MAX}")]
    TooLarge {
        /// The dimension.
        dimension: Dimension,
    },
    /// A limit, burst or period of nothing, under which no request could ever pass.
    #[error("the limit on {dimension} has a limit, burst or period of zero")]
    Zero {
        /// The dimension.
        dimension: Dimension,
    },
}

/// How much of a limit may pass at once where nothing else was said: two seconds of its rate.
const SMOOTH: Duration = Duration::from_secs(2);
