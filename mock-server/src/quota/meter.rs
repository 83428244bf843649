//! One limit of a quota, with what is used of it.

use std::time::Duration;

use super::{Level, Limited, bucket::Bucket, fixed::Fixed, sliding::Sliding};
use crate::action::Dimension;

/// One limit and what is used of it.
#[derive(Clone, Debug)]
pub(super) struct Meter {
    pub(super) dimension: Dimension,
    limit: u64,
    period: Duration,
    count: Count,
}

/// How a limit is counted.
#[derive(Clone, Debug)]
pub(super) enum Count {
    /// It refills continuously.
    Bucket(Bucket),
    /// Windows follow each other.
    Fixed(Fixed),
    /// Every span of a period is a window.
    Sliding(Sliding),
}

/// A moment, by the engine's clock and by the wall's.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    /// The time since the server began to listen.
    pub(super) now: Duration,
    /// The time since 1970-01-01 UTC.
    pub(super) wall: Duration,
}

impl Meter {
    /// A limit of which nothing is used.
    pub(super) fn new(dimension: Dimension, limit: u64, period: Duration, count: Count) -> Self {
        Self { dimension, limit, period, count }
    }

    /// Lets time go on.
    pub(super) fn advance(&mut self, moment: Moment) {
        match &mut self.count {
            Count::Bucket(bucket) => bucket.advance(moment.now),
            Count::Fixed(fixed) => fixed.advance(moment.wall),
            Count::Sliding(sliding) => sliding.advance(moment.now),
        }
    }

    /// The refusal of a request that needs so many, if there are fewer.
    pub(super) fn refuse(&self, need: u64) -> Option<Limited> {
        // What needs nothing is not this limit's business, whatever is owed.
        if need == 0 {
            return None;
        }
        let wait = (need <= self.limit).then(|| match &self.count {
            Count::Bucket(bucket) => bucket.wait(need),
            Count::Fixed(fixed) => fixed.wait(need),
            Count::Sliding(sliding) => sliding.wait(need),
        });
        if wait == Some(Duration::ZERO) {
            return None;
        }
        Some(Limited { level: self.level(), used: self.used(), requested: need, wait })
    }

    /// Takes so many, also when there are fewer: what an answer took is gone.
    pub(super) fn charge(&mut self, amount: u64) {
        match &mut self.count {
            Count::Bucket(bucket) => bucket.charge(amount),
            Count::Fixed(fixed) => fixed.charge(amount),
            Count::Sliding(sliding) => sliding.charge(amount),
        }
    }

    /// Counts a request that was refused. A bucket loses what is left of one and owes nothing, so
    /// that no wait is longer than what one request takes to refill.
    pub(super) fn charge_refused(&mut self) {
        match &mut self.count {
            Count::Bucket(bucket) => bucket.drain(),
            Count::Fixed(fixed) => fixed.charge(1),
            Count::Sliding(sliding) => sliding.charge(1),
        }
    }

    /// Puts so many back that were taken at a moment.
    pub(super) fn refund(&mut self, amount: u64, taken: Moment) {
        match &mut self.count {
            Count::Bucket(bucket) => bucket.refund(amount, taken.now),
            Count::Fixed(fixed) => fixed.refund(amount, taken.wall),
            Count::Sliding(sliding) => sliding.refund(amount, taken.now),
        }
    }

    /// How it stands.
    pub(super) fn level(&self) -> Level {
        let (remaining, reset) = match &self.count {
            Count::Bucket(bucket) => (bucket.remaining(), bucket.reset()),
            Count::Fixed(fixed) => (fixed.remaining(), fixed.reset()),
            Count::Sliding(sliding) => (sliding.remaining(), sliding.reset()),
        };
        let Self { dimension, limit, period, .. } = *self;
        Level { dimension, limit, period, remaining, reset }
    }

    fn used(&self) -> u64 {
        match &self.count {
            Count::Bucket(bucket) => bucket.used(),
            Count::Fixed(fixed) => fixed.used(),
            Count::Sliding(sliding) => sliding.used(),
        }
    }
}
