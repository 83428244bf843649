//! Several limits at once: a request is admitted by all of them, or changes none.
//!
//! The limiter decides and never waits; who must wait, and in which order, is [`crate::queue`]'s business.

use std::time::Duration;

use thiserror::Error;

use crate::bucket::{Bucket, TOKENS_MAX};
use crate::class::Dimension;
use crate::time::{Nanos, whole_nanos};

/// The limits that one credential has on one model.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Quota {
    /// Each limit, in the order in which refusals name them.
    pub limits: Vec<Limit>,
}

impl Quota {
    /// The usual pair: requests and tokens per minute, with a burst of a whole minute.
    ///
    /// A full minute's burst plus the refill lets almost twice the limit through in the first minute; lower [`Limit::burst`] where the provider counts in strict windows.
    pub fn per_minute(requests: u64, tokens: u64) -> Self {
        Self {
            limits: vec![
                Limit::per_minute(Dimension::Rpm, requests),
                Limit::per_minute(Dimension::Tpm, tokens),
            ],
        }
    }

    /// Whether an answer depends on the number of tokens, so that they must be counted.
    pub fn counts_tokens(&self) -> bool {
        self.limits.iter().any(|limit| !matches!(limit.dimension, Dimension::Rpm | Dimension::Rpd))
    }

    /// Everything that is wrong with the limits.
    pub fn mistakes(&self) -> Vec<QuotaMistake> {
        let mut mistakes = Vec::new();
        for limit in &self.limits {
            let Limit { dimension, tokens, burst, period } = *limit;
            let period = whole_nanos(period);
            if tokens == 0 || burst == 0 || period == 0 {
                mistakes.push(QuotaMistake::Zero { dimension });
            } else if [tokens, burst, period].into_iter().any(|number| number > TOKENS_MAX) {
                mistakes.push(QuotaMistake::TooLarge { dimension });
            } else if burst > tokens {
                mistakes.push(QuotaMistake::BurstAboveLimit { dimension, burst, tokens });
            }
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
    pub burst: u64,
    /// The period.
    pub period: Duration,
}

impl Limit {
    /// A limit per minute, with a burst of the whole minute.
    pub const fn per_minute(dimension: Dimension, tokens: u64) -> Self {
        Self { dimension, tokens, burst: tokens, period: Duration::from_secs(60) }
    }
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
    pub const fn on(&self, dimension: Dimension) -> u64 {
        match dimension {
            Dimension::Itpm => self.input,
            Dimension::Otpm => self.output,
            Dimension::Rpd | Dimension::Rpm => self.requests,
            Dimension::Tpd | Dimension::Tpm => self.input.saturating_add(self.output),
        }
    }
}

/// The buckets of a [`Quota`], and the pause that a server may have asked for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Limiter {
    buckets: Vec<(Limit, Bucket)>,
    paused_until: Nanos,
}

impl Limiter {
    /// A rested limiter.
    pub fn new(quota: &Quota) -> Result<Self, Vec<QuotaMistake>> {
        let mistakes = quota.mistakes();
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        let buckets = quota
            .limits
            .iter()
            .map(|limit| (*limit, Bucket::full(limit.tokens, limit.period, limit.burst)))
            .collect();
        Ok(Self { buckets, paused_until: Nanos::ZERO })
    }

    /// Takes `cost` from every dimension, or says when that could succeed and takes nothing.
    ///
    /// The instant in [`Refusal::Wait`] is exact: absent other calls, the same cost is refused one nanosecond before it and admitted at it.
    /// It is not a reservation; whoever has slept until then asks again.
    pub fn admit(&mut self, cost: Cost, now: Nanos) -> Result<(), Refusal> {
        let until = self.ready_at(cost, now)?;
        if until > now {
            return Err(Refusal::Wait { until });
        }
        for (limit, bucket) in &mut self.buckets {
            bucket.take(cost.on(limit.dimension));
        }
        Ok(())
    }

    /// The earliest instant, `now` or later, at which `cost` would be admitted if nobody else asked.
    pub fn ready_at(&mut self, cost: Cost, now: Nanos) -> Result<Nanos, Refusal> {
        let mut until = now.max(self.paused_until);
        for (limit, bucket) in &mut self.buckets {
            let dimension = limit.dimension;
            let cost = cost.on(dimension);
            if cost > limit.burst {
                return Err(Refusal::NeverFits { dimension, cost, capacity: limit.burst });
            }
            bucket.advance(now);
            until = until.max(now + bucket.wait(cost));
        }
        Ok(until)
    }

    /// Gives back what was admitted for a request that was never sent.
    pub fn give_back(&mut self, cost: Cost, now: Nanos) {
        for (limit, bucket) in &mut self.buckets {
            bucket.advance(now);
            bucket.give_back(cost.on(limit.dimension));
        }
    }

    /// Admits nobody before `until`; of several pauses the latest holds.
    pub fn pause_until(&mut self, until: Nanos) {
        self.paused_until = self.paused_until.max(until);
    }

    /// How many tokens or requests of a dimension could pass at `now`, or `None` if it is not limited.
    pub fn available(&mut self, dimension: Dimension, now: Nanos) -> Option<u64> {
        let (_, bucket) =
            self.buckets.iter_mut().find(|(limit, _)| limit.dimension == dimension)?;
        bucket.advance(now);
        Some(bucket.available())
    }
}

/// Why a request is not admitted now.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum Refusal {
    /// Waiting does not help: one request is larger than the burst.
    #[error("{cost} exceeds the burst of {capacity} {dimension}")]
    NeverFits {
        /// The dimension that is too small.
        dimension: Dimension,
        /// What the request asks of it.
        cost: u64,
        /// The most that it admits at once.
        capacity: u64,
    },
    /// The request would be admitted only after its deadline.
    #[error("the quota has room only {} ns after the origin, past the deadline", ready_at.get())]
    TooLate {
        /// When it would have been admitted.
        ready_at: Nanos,
    },
    /// There is not enough room yet.
    #[error("the quota has room {} ns after the origin", until.get())]
    Wait {
        /// When to ask again.
        until: Nanos,
    },
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
