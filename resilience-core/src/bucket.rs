//! One token bucket, exact to the nanosecond.
//!
//! A token is worth as many units as the period has nanoseconds, so that a limit of *L* per period refills exactly *L* units each nanosecond.
//! Nothing is ever rounded: refilling often or seldom comes to the same, and a wait is never a nanosecond too short.

use std::time::Duration;

use crate::time::Nanos;

/// A bucket that refills continuously up to its burst.
///
/// The level may be below zero: a debt, which the refill pays off before anything else is admitted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Bucket {
    /// Units in one token: the period in nanoseconds.
    token: u64,
    /// Units that flow in per nanosecond: the limit.
    rate: u64,
    /// Units at which it is full.
    full: i128,
    level: i128,
    at: Nanos,
}

impl Bucket {
    /// A full bucket that refills `refill` tokens per `period` nanoseconds, and holds `burst` of them.
    ///
    /// The caller has checked that no number is zero or above [`TOKENS_MAX`] (the period: twice that).
    pub(crate) fn full(refill: u64, period: u64, burst: u64) -> Self {
        let full = units(burst, period);
        Self { token: period, rate: refill, full, level: full, at: Nanos::ZERO }
    }

    /// Brings the level up to `now`; an earlier instant changes nothing.
    #[inline]
    pub(crate) fn advance(&mut self, now: Nanos) {
        let elapsed = now.get().saturating_sub(self.at.get());
        // 64 bits times 53 bits and a level of at most 2^120: far inside 128 bits.
        self.level = self.full.min(self.level + units(elapsed, self.rate));
        self.at = self.at.max(now);
    }

    /// How long from the last [`Bucket::advance`] until `cost` tokens are there, or the bucket is full if it holds fewer; zero if that is so.
    #[inline]
    pub(crate) fn wait(&self, cost: u64) -> Duration {
        let short = self.short(cost);
        if short <= 0 {
            return Duration::ZERO;
        }
        // The usual shortfall fits 64 bits, whose division is many times faster.
        let nanos = match u64::try_from(short) {
            Ok(short) => short.div_ceil(self.rate),
            Err(_) => u64::try_from(div_up(short, i128::from(self.rate))).unwrap_or(u64::MAX),
        };
        Duration::from_nanos(nanos)
    }

    /// The earliest instant, not before the last [`Bucket::advance`], at which `cost` could be taken.
    pub(crate) fn ready_at(&self, cost: u64) -> Nanos {
        self.at + self.wait(cost)
    }

    /// Whether `cost` tokens are there, or as many as it holds.
    #[inline]
    pub(crate) fn has(&self, cost: u64) -> bool {
        self.short(cost) <= 0
    }

    /// Takes `cost` tokens, whether they are there or not.
    #[inline]
    pub(crate) fn take(&mut self, cost: u64) {
        self.level = (self.level - units(cost, self.token)).max(DEBT_MAX);
    }

    /// Gives back tokens that were taken; what does not fit is lost, as if it had never been taken.
    pub(crate) fn give_back(&mut self, cost: u64) {
        self.level = self.full.min(self.level + units(cost, self.token));
    }

    /// Leaves no more than so many tokens.
    pub(crate) fn tighten(&mut self, tokens: u64) {
        self.level = self.level.min(units(tokens, self.token));
    }

    /// Refills so many tokens per period from the last [`Bucket::advance`] on.
    pub(crate) fn set_refill(&mut self, refill: u64) {
        self.rate = refill;
    }

    /// Becomes a bucket of other numbers that holds the same tokens, rounded down, as far as they fit.
    pub(crate) fn reshape(&mut self, refill: u64, period: u64, burst: u64) {
        if period != self.token {
            let (old, new) = (i128::from(self.token), i128::from(period));
            // Whole tokens and the rest apart, so that no product leaves 128 bits.
            let whole = self.level.div_euclid(old) * new;
            self.level = whole + self.level.rem_euclid(old) * new / old;
        }
        self.token = period;
        self.rate = refill;
        self.full = units(burst, period);
        self.level = self.level.min(self.full).max(DEBT_MAX);
    }

    /// The instant of the last [`Bucket::advance`].
    pub(crate) const fn at(&self) -> Nanos {
        self.at
    }

    /// Whole tokens that are there.
    pub(crate) fn available(&self) -> u64 {
        u64::try_from(self.level.max(0) / i128::from(self.token)).unwrap_or(u64::MAX)
    }

    /// Units that are missing until `cost` can be taken.
    #[inline]
    fn short(&self, cost: u64) -> i128 {
        units(cost, self.token).min(self.full) - self.level
    }
}

#[inline]
fn units(a: u64, b: u64) -> i128 {
    i128::from(a) * i128::from(b)
}

/// `a / b`, rounded up, for `a` of zero or more and `b` above zero.
fn div_up(a: i128, b: i128) -> i128 {
    (a + b - 1) / b
}

/// The largest limit, burst or cost, and the longest period in nanoseconds (104 days).
/// Below it, every product of two stays inside 128 bits.
pub const TOKENS_MAX: u64 = 1 << 53;

/// No debt is deeper than this, so that no sum of debts leaves 128 bits.
const DEBT_MAX: i128 = -(1 << 120);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MINUTE: u64 = 60_000_000_000;

    #[test]
    fn a_shortfall_below_a_nanosecond_still_waits_one() {
        // 7 per minute: one token takes 8 571 428 571.43 ns.
        let mut bucket = Bucket::full(7, MINUTE, 1);
        bucket.take(1);
        let wait = bucket.wait(1);
        assert_eq!(wait, Duration::from_nanos(8_571_428_572));
        bucket.advance(Nanos::from(wait).saturating_sub(Duration::from_nanos(1)));
        assert_eq!(bucket.wait(1), Duration::from_nanos(1));
        bucket.advance(Nanos::from(wait));
        assert_eq!(bucket.wait(1), Duration::ZERO);
    }

    /// P8: an idle bucket that grows beyond its burst.
    #[test]
    fn an_idle_bucket_does_not_overflow_its_burst() {
        let mut bucket = Bucket::full(60, MINUTE, 5);
        bucket.advance(Nanos::MAX);
        assert_eq!(bucket.available(), 5);
    }

    #[test]
    fn the_largest_numbers_do_not_overflow() {
        let mut bucket = Bucket::full(TOKENS_MAX, TOKENS_MAX, TOKENS_MAX);
        bucket.take(TOKENS_MAX);
        assert_eq!(bucket.wait(TOKENS_MAX), Duration::from_nanos(TOKENS_MAX));
        bucket.advance(Nanos::MAX);
        assert_eq!(bucket.available(), TOKENS_MAX);
        for _ in 0..100_000 {
            bucket.take(u64::MAX);
        }
        assert_eq!(bucket.wait(u64::MAX), Duration::from_nanos(u64::MAX));
        bucket.advance(Nanos::MAX);
        bucket.reshape(1, 1, 1);
        assert_eq!(bucket.available(), 0);
    }

    #[test]
    fn another_period_keeps_the_tokens_and_rounds_down() {
        let mut bucket = Bucket::full(60, MINUTE, 10);
        bucket.take(3);
        bucket.reshape(1, 1_000_000_007, 10);
        assert_eq!(bucket.available(), 7);
        bucket.take(8);
        bucket.reshape(60, 7, 10);
        bucket.give_back(8);
        assert_eq!(bucket.available(), 7);
        // 59 999 999 999 of 60 000 000 000 units are less than a token of one unit.
        let mut bucket = Bucket::full(1, MINUTE, 1);
        bucket.take(1);
        bucket.advance(Nanos::new(MINUTE - 1));
        bucket.reshape(1, 1, 1);
        assert_eq!(bucket.available(), 0);
    }

    proptest! {
        #[test]
        fn property_22_splitting_an_interval_changes_nothing(
            limit in 1..=1_000_000u64,
            steps in prop::collection::vec(0..10_000_000_000u64, 1..20),
        ) {
            let mut whole = Bucket::full(limit, MINUTE, limit);
            whole.take(limit);
            let mut split = whole;
            let mut at = Nanos::ZERO;
            for step in steps {
                at = at + Duration::from_nanos(step);
                split.advance(at);
            }
            whole.advance(at);
            prop_assert_eq!(whole, split);
        }

        /// P41: a clock that jumps back.
        #[test]
        fn property_23_a_clock_that_goes_back_is_ignored(
            at in 1..50_000_000_000u64,
            back in prop_oneof![1..50_000_000_000u64, any::<u64>()],
        ) {
            let mut bucket = Bucket::full(60, MINUTE, 60);
            bucket.take(60);
            bucket.advance(Nanos::new(at));
            let before = bucket;
            bucket.advance(Nanos::new(at.saturating_sub(back)));
            prop_assert_eq!(bucket, before);
        }
    }
}
