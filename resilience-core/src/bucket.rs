//! One token bucket, exact to the nanosecond.
//!
//! A token is worth as many units as the period has nanoseconds, so that a limit of *L* per period refills exactly *L* units each nanosecond.
//! Nothing is ever rounded: refilling often or seldom comes to the same, and a wait is never a nanosecond too short.

use std::time::Duration;

use crate::time::{Nanos, whole_nanos};

/// A bucket that refills continuously up to its burst.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Bucket {
    /// Units in one token: the period in nanoseconds.
    token: i128,
    /// Units that flow in per nanosecond: the limit.
    rate: i128,
    /// Units at which it is full.
    full: i128,
    level: i128,
    at: Nanos,
}

impl Bucket {
    /// A full bucket that admits `limit` tokens per `period`, and `burst` of them at once.
    ///
    /// The caller has checked that no number is zero or above [`TOKENS_MAX`].
    pub(crate) fn full(limit: u64, period: Duration, burst: u64) -> Self {
        let token = i128::from(whole_nanos(period));
        let full = i128::from(burst) * token;
        Self { token, rate: i128::from(limit), full, level: full, at: Nanos::ZERO }
    }

    /// Brings the level up to `now`; an earlier instant changes nothing.
    pub fn advance(&mut self, now: Nanos) {
        let Some(elapsed) = now.checked_since(self.at) else { return };
        let room = self.full - self.level;
        // Only as much time as it takes to fill is multiplied, which keeps the product small.
        let useful = i128::from(whole_nanos(elapsed)).min(div_up(room, self.rate));
        self.level = self.full.min(self.level + useful * self.rate);
        self.at = now;
    }

    /// How long from the last [`Bucket::advance`] until `cost` tokens are there; zero if they are.
    pub fn wait(&self, cost: u64) -> Duration {
        let short = self.needs(cost) - self.level;
        if short <= 0 {
            return Duration::ZERO;
        }
        let nanos = div_up(short, self.rate);
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// Takes `cost` tokens, which the caller knows to be there.
    pub(crate) fn take(&mut self, cost: u64) {
        self.level -= self.needs(cost);
    }

    /// Gives back tokens that were taken; what does not fit is lost, as if it had never been taken.
    pub(crate) fn give_back(&mut self, cost: u64) {
        self.level = self.full.min(self.level + self.needs(cost));
    }

    /// Whole tokens that are there.
    pub fn available(&self) -> u64 {
        u64::try_from(self.level.max(0) / self.token).unwrap_or(u64::MAX)
    }

    fn needs(&self, cost: u64) -> i128 {
        i128::from(cost) * self.token
    }
}

/// `a / b`, rounded up, for `a` of zero or more and `b` above zero.
fn div_up(a: i128, b: i128) -> i128 {
    (a + b - 1) / b
}

/// The largest limit, burst or cost, and the longest period in nanoseconds (104 days).
/// Below it, every product of two stays inside 128 bits.
pub const TOKENS_MAX: u64 = 1 << 53;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

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

    #[test]
    fn an_idle_bucket_does_not_overflow_its_burst() {
        let mut bucket = Bucket::full(60, MINUTE, 5);
        bucket.advance(Nanos::MAX);
        assert_eq!(bucket.available(), 5);
    }

    #[test]
    fn the_largest_numbers_do_not_overflow() {
        let period = Duration::from_nanos(TOKENS_MAX);
        let mut bucket = Bucket::full(TOKENS_MAX, period, TOKENS_MAX);
        bucket.take(TOKENS_MAX);
        assert_eq!(bucket.wait(TOKENS_MAX), period);
        bucket.advance(Nanos::MAX);
        assert_eq!(bucket.available(), TOKENS_MAX);
    }

    proptest! {
        #[test]
        fn splitting_an_interval_changes_nothing(
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

        #[test]
        fn a_clock_that_goes_back_is_ignored(at in 1..u64::MAX, back in 1..u64::MAX) {
            let mut bucket = Bucket::full(60, MINUTE, 60);
            bucket.take(60);
            bucket.advance(Nanos::new(at));
            let before = bucket;
            bucket.advance(Nanos::new(at.saturating_sub(back)));
            prop_assert_eq!(bucket, before);
        }
    }
}
