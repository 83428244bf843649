//! What measures one limit: a bucket, or for small strict limits a log.

use super::Refusal;
use super::log::{Log, TOKENS_LOGGED_MAX};
use super::quota::{Cost, Guarantee, Limit, Oversize};
use crate::bucket::Bucket;
use crate::class::Dimension;
use crate::time::{Nanos, whole_nanos};

/// A limit with its measure.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Meter {
    pub(super) limit: Limit,
    /// The largest single cost that can ever pass.
    pub(super) cost_max: u64,
    /// Which part of a cost it counts.
    pub(super) column: usize,
    guarantee: Guarantee,
    measure: Measure,
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum Measure {
    Bucket(Bucket),
    Log(Log),
}

impl Meter {
    /// A rested meter of a limit that was found sound.
    pub(super) fn new(limit: Limit, guarantee: Guarantee, oversize: Oversize) -> Self {
        let span = span(limit, guarantee);
        let logs = logs(limit, guarantee);
        let measure = if logs {
            Measure::Log(Log::new(limit.tokens, span))
        } else {
            Measure::Bucket(Bucket::full(refill(limit, guarantee, SHARE_FULL), span, limit.burst))
        };
        let cost_max = if logs || oversize == Oversize::Debt { limit.tokens } else { limit.burst };
        Self { limit, cost_max, column: Columns::of_dimension(limit.dimension), guarantee, measure }
    }

    #[inline]
    pub(super) fn advance(&mut self, now: Nanos) {
        match &mut self.measure {
            Measure::Bucket(bucket) => bucket.advance(now),
            Measure::Log(log) => log.advance(now),
        }
    }

    #[inline]
    pub(super) fn has(&self, cost: u64) -> bool {
        match &self.measure {
            Measure::Bucket(bucket) => bucket.has(cost),
            Measure::Log(log) => log.has(cost),
        }
    }

    pub(super) fn ready_at(&self, cost: u64) -> Nanos {
        match &self.measure {
            Measure::Bucket(bucket) => bucket.ready_at(cost),
            Measure::Log(log) => log.ready_at(cost),
        }
    }

    #[inline]
    pub(super) fn take(&mut self, cost: u64) {
        match &mut self.measure {
            Measure::Bucket(bucket) => bucket.take(cost),
            Measure::Log(log) => log.take(cost),
        }
    }

    pub(super) fn give_back(&mut self, cost: u64, charged_at: Option<Nanos>) {
        match &mut self.measure {
            Measure::Bucket(bucket) => bucket.give_back(cost),
            Measure::Log(log) => log.give_back(cost, charged_at),
        }
    }

    pub(super) fn tighten(&mut self, tokens: u64) {
        match &mut self.measure {
            Measure::Bucket(bucket) => bucket.tighten(tokens),
            Measure::Log(log) => log.tighten(tokens),
        }
    }

    pub(super) fn available(&self) -> u64 {
        match &self.measure {
            Measure::Bucket(bucket) => bucket.available(),
            Measure::Log(log) => log.available(),
        }
    }

    #[cold]
    pub(super) fn never_fits(&self, cost: u64) -> Refusal {
        Refusal::NeverFits { dimension: self.limit.dimension, cost, capacity: self.cost_max }
    }

    pub(super) const fn guarantee(&self) -> Guarantee {
        self.guarantee
    }

    /// Grants only a share of the limit's rate, from the last [`Meter::advance`] on.
    pub(super) fn set_share(&mut self, share: u64) {
        let Self { limit, guarantee, .. } = *self;
        match &mut self.measure {
            Measure::Bucket(bucket) => bucket.set_refill(refill(limit, guarantee, share)),
            Measure::Log(log) => log.set_tokens(part(limit.tokens, share)),
        }
    }

    /// Measures another limit from the last [`Meter::advance`] on; what is available stays so, as far as it fits.
    pub(super) fn reshape(&mut self, limit: Limit, oversize: Oversize, share: u64) {
        let mut fresh = Self::new(limit, self.guarantee, oversize);
        match (&mut self.measure, &mut fresh.measure) {
            (Measure::Bucket(bucket), Measure::Bucket(_)) => {
                let refill = refill(limit, self.guarantee, share);
                bucket.reshape(refill, span(limit, self.guarantee), limit.burst);
                fresh.measure = Measure::Bucket(*bucket);
            }
            (Measure::Log(log), Measure::Log(_)) => {
                log.set_tokens(part(limit.tokens, share));
                log.set_span(span(limit, self.guarantee));
                fresh.measure = Measure::Log(log.clone());
            }
            (Measure::Bucket(bucket), Measure::Log(log)) => {
                log.advance(bucket.at());
                log.tighten(bucket.available());
            }
            (Measure::Log(log), Measure::Bucket(bucket)) => {
                bucket.advance(log.at());
                bucket.tighten(log.available());
            }
        }
        fresh.set_share(share);
        *self = fresh;
    }
}

/// A cost, laid out so that a meter finds its part without asking what it counts.
pub(super) struct Columns([u64; 4]);

impl Columns {
    #[inline]
    pub(super) const fn of(cost: Cost) -> Self {
        let Cost { requests, input, output } = cost;
        Self([requests, input, output, input.saturating_add(output)])
    }

    /// The part in a column; there are four.
    #[inline]
    pub(super) const fn on(&self, column: usize) -> u64 {
        self.0[column & 3]
    }

    const fn of_dimension(dimension: Dimension) -> usize {
        match dimension {
            Dimension::Rpd | Dimension::Rpm => 0,
            Dimension::Itpm => 1,
            Dimension::Otpm => 2,
            Dimension::Tpd | Dimension::Tpm => 3,
        }
    }
}

fn logs(limit: Limit, guarantee: Guarantee) -> bool {
    matches!(guarantee, Guarantee::Strict { .. }) && limit.tokens <= TOKENS_LOGGED_MAX
}

/// How long a charge counts, in nanoseconds: the period, and the margin for what the network compresses.
fn span(limit: Limit, guarantee: Guarantee) -> u64 {
    let margin = match guarantee {
        Guarantee::Burst => 0,
        Guarantee::Strict { jitter } => whole_nanos(jitter),
    };
    whole_nanos(limit.period).saturating_add(margin)
}

/// Tokens that flow in per span: a strict limit keeps its burst back, so that a window that begins with it still holds no more than the limit.
fn refill(limit: Limit, guarantee: Guarantee, share: u64) -> u64 {
    let refill = match guarantee {
        Guarantee::Burst => limit.tokens,
        Guarantee::Strict { .. } => limit.tokens.saturating_sub(limit.burst),
    };
    part(refill, share)
}

/// A share of a number, rounded down, but at least one: nothing stands still for ever.
fn part(number: u64, share: u64) -> u64 {
    let part = u128::from(number) * u128::from(share) / u128::from(SHARE_FULL);
    u64::try_from(part).unwrap_or(u64::MAX).max(1)
}

/// The whole of a limit, in the parts in which shares are counted.
pub(super) const SHARE_FULL: u64 = 1_000_000;
