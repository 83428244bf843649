//! An amount that refills continuously up to what it holds, without any rounding.

use resilience_core::Nanos;

/// A full bucket at first; what is taken may leave it in debt, unless one asks before.
///
/// A unit of the bucket is so small that a millionth of a token per second is one unit per nanosecond: levels are exact at every instant.
#[derive(Clone, Debug)]
pub(super) struct Bucket {
    /// Units in a token.
    token: i128,
    /// Units that flow in per nanosecond.
    flow: i128,
    full: i128,
    level: i128,
    at: Nanos,
}

impl Bucket {
    /// One that refills `micros_per_s` millionths of a token per second and holds `capacity`; all of it divided among `parts`.
    pub(super) fn full(micros_per_s: u64, capacity: u64, parts: u64) -> Self {
        let full = i128::from(capacity) * TOKEN;
        // A token that is dearer by the number of parts is the same as a bucket that is smaller.
        let token = TOKEN * i128::from(parts);
        Self { token, flow: i128::from(micros_per_s), full, level: full, at: Nanos::ZERO }
    }

    /// Lets in what has flowed until `now`; an earlier instant changes nothing.
    pub(super) fn advance(&mut self, now: Nanos) {
        let elapsed = i128::from(now.get().saturating_sub(self.at.get()));
        self.level = self.full.min(self.level + self.flow * elapsed);
        self.at = self.at.max(now);
    }

    /// Whether so many tokens are there.
    pub(super) fn has(&self, tokens: u64) -> bool {
        self.short(tokens) <= 0
    }

    /// Takes so many tokens, whether they are there or not.
    pub(super) fn take(&mut self, tokens: u64) {
        self.level -= i128::from(tokens) * self.token;
    }

    /// Takes so many tokens, or all that are there.
    pub(super) fn drain(&mut self, tokens: u64) {
        self.level = (self.level - i128::from(tokens) * self.token).max(0);
    }

    /// Whole seconds until so many tokens could be there, rounded up; it is not asked whether they fit.
    pub(super) fn seconds_until(&self, tokens: u64) -> u64 {
        let second = self.flow * SECOND;
        u64::try_from((self.short(tokens).max(0) + second - 1) / second).unwrap_or(u64::MAX)
    }

    /// Whether more has been taken than was ever there.
    pub(super) fn is_overdrawn(&self) -> bool {
        self.level < 0
    }

    /// Whether so many tokens can be taken at once, after a rest.
    pub(super) fn holds(&self, tokens: u64) -> bool {
        i128::from(tokens) * self.token <= self.full
    }

    /// Whether so many tokens in all could have been taken since the beginning.
    pub(super) fn has_given(&self, tokens: u64) -> bool {
        i128::from(tokens) * self.token <= self.full + self.flow * i128::from(self.at.get())
    }

    fn short(&self, tokens: u64) -> i128 {
        i128::from(tokens) * self.token - self.level
    }
}

/// Units in a token of a bucket that is not divided.
const TOKEN: i128 = SECOND * 1_000_000;

/// Nanoseconds in a second.
const SECOND: i128 = 1_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_refills_to_the_nanosecond_and_no_further() {
        let mut bucket = Bucket::full(10_000_000, 100, 1);
        bucket.take(100);
        bucket.advance(Nanos::new(99_999_999));
        assert!(!bucket.has(1) && bucket.seconds_until(1) == 1);
        bucket.advance(Nanos::new(100_000_000));
        assert!(bucket.has(1) && bucket.seconds_until(1) == 0);
        assert_eq!((bucket.seconds_until(11), bucket.seconds_until(12)), (1, 2));
        bucket.advance(Nanos::new(1_000_000_000_000));
        assert!(bucket.has(100) && !bucket.has(101));
        assert!(bucket.has_given(10_100) && !bucket.has_given(10_101));
    }

    #[test]
    fn a_fiftieth_of_a_bucket_holds_a_fiftieth() {
        let mut bucket = Bucket::full(9_000_000_000, 90_000, 50);
        assert!(bucket.holds(1_800) && !bucket.holds(1_801));
        bucket.take(1_800);
        assert!(!bucket.is_overdrawn());
        bucket.advance(Nanos::new(1_000_000_000));
        assert!(bucket.has(180) && !bucket.has(181));
        bucket.take(181);
        assert!(bucket.is_overdrawn());
        bucket.advance(Nanos::new(11_000_000_000));
        bucket.drain(5_000);
        assert!(!bucket.has(1) && !bucket.is_overdrawn());
    }
}
