//! A limit that refills continuously and holds one period's worth.
//!
//! OpenAI's headers show exactly this: `reset = used / limit × period`. All arithmetic is in
//! integers: one unit of a limit is as many parts as its period has nanoseconds, so that refilling
//! in one step or in a thousand gives the same level.

use std::time::Duration;

use super::level::nanos;

/// A bucket, full at first.
#[derive(Clone, Debug)]
pub(super) struct Bucket {
    limit: u64,
    /// The parts of one unit: the period's nanoseconds.
    unit: i128,
    /// What is left; less than nothing if an answer was longer than there was room for.
    parts: i128,
    at: Duration,
}

impl Bucket {
    /// A full bucket.
    pub(super) fn new(limit: u64, period: Duration, now: Duration) -> Self {
        let unit = i128::try_from(period.as_nanos()).unwrap_or(i128::MAX).max(1);
        let mut bucket = Self { limit, unit, parts: 0, at: now };
        bucket.parts = bucket.full();
        bucket
    }

    /// Lets time go on; it never goes back.
    pub(super) fn advance(&mut self, now: Duration) {
        let added = self.refill(now.saturating_sub(self.at));
        self.parts = self.parts.saturating_add(added).min(self.full());
        self.at = self.at.max(now);
    }

    /// How long until so many are left, if nothing else comes; at most as many as it holds.
    pub(super) fn wait(&self, need: u64) -> Duration {
        let missing = self.worth(need).saturating_sub(self.parts);
        nanos(u128::try_from(missing).unwrap_or(0).div_ceil(u128::from(self.limit).max(1)))
    }

    /// Takes so many, also when there are fewer.
    pub(super) fn charge(&mut self, amount: u64) {
        self.parts = self.parts.saturating_sub(self.worth(amount));
    }

    /// Takes one, or what is left of it.
    pub(super) fn drain(&mut self) {
        let less = self.parts.saturating_sub(self.unit).max(0);
        self.parts = self.parts.min(less);
    }

    /// Puts so many back that were taken at a time, but for what has refilled since: a bucket that
    /// was full in between would have lost it.
    pub(super) fn refund(&mut self, amount: u64, taken: Duration) {
        let refilled = self.refill(self.at.saturating_sub(taken));
        let back = self.worth(amount).saturating_sub(refilled).max(0);
        self.parts = self.parts.saturating_add(back).min(self.full());
    }

    /// How many are left.
    pub(super) fn remaining(&self) -> u64 {
        u64::try_from(self.parts.max(0) / self.unit).unwrap_or(u64::MAX)
    }

    /// How many are used, more than there are if an answer took them.
    pub(super) fn used(&self) -> u64 {
        let used = u128::try_from(self.full().saturating_sub(self.parts)).unwrap_or(0);
        let unit = u128::try_from(self.unit).unwrap_or(1);
        u64::try_from(used.div_ceil(unit)).unwrap_or(u64::MAX)
    }

    /// How long until it is full.
    pub(super) fn reset(&self) -> Duration {
        self.wait(self.limit)
    }

    /// The parts that refill in a time.
    fn refill(&self, elapsed: Duration) -> i128 {
        let added = elapsed.as_nanos().saturating_mul(u128::from(self.limit));
        i128::try_from(added).unwrap_or(i128::MAX)
    }

    fn full(&self) -> i128 {
        self.worth(self.limit)
    }

    fn worth(&self, amount: u64) -> i128 {
        i128::from(amount).saturating_mul(self.unit)
    }
}
