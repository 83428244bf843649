//! The limits that the provider enforces, as real buckets.
//!
//! A bucket refills continuously and holds one period's worth
//! (OpenAI's headers show exactly this: `reset = used / limit × period`).
//! All arithmetic is in integers: one unit of a limit is as many parts as its period has
//! nanoseconds, so that refilling in one step or in a thousand gives the same level.

use std::{collections::BTreeMap, time::Duration};

use crate::{action::Dimension, plan::Quota, request::Fingerprint, units::Rate};

/// The buckets of a lane, one set for each key and model.
#[derive(Debug)]
pub struct Quotas {
    quota: Quota,
    buckets: BTreeMap<(Fingerprint, String), Vec<Bucket>>,
}

/// What one limit looks like at one moment; the numbers of headers and texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level {
    /// What it counts.
    pub dimension: Dimension,
    /// How many in each period.
    pub limit: u64,
    /// The period.
    pub period: Duration,
    /// How many are left.
    pub remaining: u64,
    /// When the bucket is full again, from now.
    pub reset: Duration,
}

/// A request that a limit refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limited {
    /// The limit as it stands.
    pub level: Level,
    /// How many are used; of a scripted refusal it may be more than there are.
    pub used: u64,
    /// What the request would have cost.
    pub requested: u64,
    /// When it would be admitted, if nothing else came; none if it never fits.
    pub wait: Option<Duration>,
}

#[derive(Clone, Debug)]
struct Bucket {
    dimension: Dimension,
    rate: Rate,
    /// Units left, each worth a period's nanoseconds.
    parts: u128,
    at: Duration,
}

impl Quotas {
    /// Full buckets for everybody.
    pub fn new(quota: Quota) -> Self {
        Self { quota, buckets: BTreeMap::new() }
    }

    /// Charges a request to all limits or to none, and tells the levels after it.
    pub fn admit(
        &mut self,
        key: &Fingerprint,
        model: &str,
        tokens: u64,
        now: Duration,
    ) -> Result<Vec<Level>, Limited> {
        let quota = self.quota;
        let buckets = self.buckets.entry((key.clone(), model.to_owned())).or_insert_with(|| {
            let limits = [(Dimension::Requests, quota.requests), (Dimension::Tokens, quota.tokens)];
            let limits = limits.into_iter();
            limits
                .filter_map(|(dimension, rate)| Some(Bucket::new(dimension, rate?, now)))
                .collect()
        });
        let cost = |bucket: &Bucket| match bucket.dimension {
            Dimension::Concurrency | Dimension::Requests => 1,
            Dimension::InputTokens | Dimension::OutputTokens | Dimension::Tokens => tokens,
        };
        for bucket in &mut *buckets {
            bucket.refill(now);
        }
        let refusals = buckets.iter().filter_map(|bucket| bucket.refuse(cost(bucket)));
        // The limit that takes longest is the one worth telling; one that never fits most of all.
        match refusals.max_by_key(|limited| limited.wait.unwrap_or(Duration::MAX)) {
            Some(limited) => Err(limited),
            None => Ok(buckets
                .iter_mut()
                .map(|bucket| {
                    bucket.charge(cost(bucket));
                    bucket.level()
                })
                .collect()),
        }
    }

    /// The levels of a key and model at the last request.
    pub fn levels(&self, key: &Fingerprint, model: &str) -> Vec<Level> {
        let buckets = self.buckets.get(&(key.clone(), model.to_owned()));
        buckets.into_iter().flatten().map(Bucket::level).collect()
    }
}

impl Level {
    /// The period in a word.
    pub fn period_name(&self) -> &'static str {
        match self.period.as_secs() {
            0..60 => "second",
            60..3_600 => "minute",
            3_600..86_400 => "hour",
            86_400.. => "day",
        }
    }
}

impl Limited {
    /// The wait as it is printed: in whole milliseconds, and never less than what it stands for.
    pub fn printed_wait(&self) -> Option<Duration> {
        self.wait.map(|wait| Duration::from_millis(whole_millis(wait)))
    }

    /// The numbers of a scripted refusal: a limit that is used up and asks for this wait.
    ///
    /// The wait is what the provider's own arithmetic makes of them,
    /// `(used + requested - limit) / limit × period`, so that text, headers and Retry-After agree:
    /// 2 s is what a limit of 30 requests a minute asks for when it is used up. A wait that no
    /// limit asks for after one request too many is told by several too many.
    pub fn scripted(dimension: Dimension, wait: Option<Duration>, tokens: u64) -> Self {
        // What the smallest paid accounts have; 500 requests a minute ask for 120 ms.
        let (requests, paid) = (500, 30_000);
        let wait = wait.unwrap_or(Duration::from_millis(120));
        let minute = Duration::from_secs(60);
        let period = if wait <= minute { minute } else { Duration::from_secs(86_400) };
        let (millis, whole) = (whole_millis(wait), whole_millis(period));
        // What is missing, as a part of the limit, in lowest terms.
        let common = common_divisor(millis, whole);
        let (missing, of) = (millis / common, whole / common);
        let least = match dimension {
            Dimension::Concurrency | Dimension::Requests if missing == 0 => requests,
            Dimension::Concurrency | Dimension::Requests => 1,
            Dimension::InputTokens | Dimension::OutputTokens | Dimension::Tokens => {
                tokens.max(paid)
            }
        };
        let times = least.div_ceil(of);
        let (missing, limit) = (missing.saturating_mul(times), of.saturating_mul(times));
        let requested = match dimension {
            Dimension::Concurrency | Dimension::Requests => 1,
            Dimension::InputTokens | Dimension::OutputTokens | Dimension::Tokens => {
                tokens.max(missing).clamp(1, limit)
            }
        };
        let used = limit.saturating_add(missing).saturating_sub(requested);
        // Fewer are left than were asked for, or nothing would be refused.
        let remaining = limit.saturating_sub(used).min(requested - 1);
        let filled = u128::from(used) * period.as_nanos() / u128::from(limit);
        let level = Level { dimension, limit, period, remaining, reset: nanos(filled) };
        Self { level, used, requested, wait: Some(wait) }
    }
}

impl Bucket {
    fn new(dimension: Dimension, rate: Rate, now: Duration) -> Self {
        let full = u128::from(rate.count) * rate.period().as_nanos();
        Self { dimension, rate, parts: full, at: now }
    }

    fn full(&self) -> u128 {
        u128::from(self.rate.count) * self.unit()
    }

    fn unit(&self) -> u128 {
        self.rate.period().as_nanos()
    }

    fn refill(&mut self, now: Duration) {
        // A clock that goes back refills nothing, and takes nothing away.
        let Some(elapsed) = now.checked_sub(self.at) else { return };
        let added = elapsed.as_nanos().saturating_mul(u128::from(self.rate.count));
        self.parts = self.parts.saturating_add(added).min(self.full());
        self.at = now;
    }

    fn refuse(&self, cost: u64) -> Option<Limited> {
        let need = u128::from(cost) * self.unit();
        if need <= self.parts {
            return None;
        }
        let wait = (cost <= self.rate.count)
            .then(|| nanos((need - self.parts).div_ceil(u128::from(self.rate.count))));
        let level = self.level();
        let used = level.limit.saturating_sub(level.remaining);
        Some(Limited { level, used, requested: cost, wait })
    }

    fn charge(&mut self, cost: u64) {
        self.parts = self.parts.saturating_sub(u128::from(cost) * self.unit());
    }

    fn level(&self) -> Level {
        let remaining = u64::try_from(self.parts / self.unit()).unwrap_or(u64::MAX);
        Level {
            dimension: self.dimension,
            limit: self.rate.count,
            period: self.rate.period(),
            remaining,
            reset: nanos((self.full() - self.parts).div_ceil(u128::from(self.rate.count))),
        }
    }
}

/// A span in milliseconds, rounded up.
pub(crate) fn whole_millis(span: Duration) -> u64 {
    u64::try_from(span.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}

/// The greatest number that divides both; the second is not zero.
fn common_divisor(mut a: u64, mut b: u64) -> u64 {
    while a != 0 {
        (a, b) = (b % a, a);
    }
    b
}

fn nanos(nanos: u128) -> Duration {
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::units::Period;

    fn quotas(requests: u64, tokens: u64) -> Quotas {
        let per_minute = |count| Some(Rate { count, per: Period::Minute });
        Quotas::new(Quota { requests: per_minute(requests), tokens: per_minute(tokens) })
    }

    fn key() -> Fingerprint {
        Fingerprint::of("k")
    }

    #[test]
    fn the_announced_wait_is_the_providers_own_arithmetic() {
        // Recorded: 3 requests a minute, all used, ask for 20 s.
        let mut quotas = quotas(3, 1_000);
        for _ in 0..3 {
            quotas.admit(&key(), "m", 1, Duration::ZERO).unwrap();
        }
        let limited = quotas.admit(&key(), "m", 1, Duration::ZERO).unwrap_err();
        assert_eq!(limited.wait, Some(Duration::from_secs(20)));
        assert_eq!(limited.level.remaining, 0);
        assert_eq!(limited.level.reset, Duration::from_secs(60));
    }

    #[test]
    fn a_refused_request_costs_no_dimension() {
        let mut quotas = quotas(10, 100);
        let levels = quotas.admit(&key(), "m", 80, Duration::ZERO).unwrap();
        assert_eq!(levels.iter().map(|level| level.remaining).collect::<Vec<_>>(), [9, 20]);
        let limited = quotas.admit(&key(), "m", 50, Duration::ZERO).unwrap_err();
        assert_eq!(limited.level.dimension, Dimension::Tokens);
        assert_eq!(limited.wait, Some(Duration::from_secs(18)));
        let levels = quotas.admit(&key(), "m", 20, Duration::ZERO).unwrap();
        assert_eq!(levels.iter().map(|level| level.remaining).collect::<Vec<_>>(), [8, 0]);
    }

    #[test]
    fn what_never_fits_has_no_wait() {
        let limited = quotas(10, 100).admit(&key(), "m", 101, Duration::ZERO).unwrap_err();
        assert_eq!(limited.wait, None);
    }

    #[test]
    fn keys_and_models_do_not_share_a_bucket() {
        let mut quotas = quotas(1, 100);
        quotas.admit(&key(), "m", 1, Duration::ZERO).unwrap();
        assert!(quotas.admit(&key(), "m", 1, Duration::ZERO).is_err());
        assert!(quotas.admit(&key(), "n", 1, Duration::ZERO).is_ok());
        assert!(quotas.admit(&Fingerprint::of("other"), "m", 1, Duration::ZERO).is_ok());
    }

    #[test]
    fn a_scripted_refusal_agrees_with_itself() {
        let two = Limited::scripted(Dimension::Requests, Some(Duration::from_secs(2)), 9);
        assert_eq!((two.level.limit, two.level.remaining, two.requested), (30, 0, 1));
        assert_eq!(two.level.period, Duration::from_secs(60));
        let tokens = Limited::scripted(Dimension::Tokens, Some(Duration::from_secs(2)), 9);
        assert_eq!(
            (tokens.level.limit, tokens.level.remaining, tokens.requested),
            (30_000, 0, 1_000)
        );
        let days = Limited::scripted(Dimension::Requests, Some(Duration::from_secs(432)), 9);
        assert_eq!((days.level.limit, days.level.period), (200, Duration::from_secs(86_400)));
    }

    /// As OpenAI computes it: what is announced is what the printed numbers give.
    #[test]
    fn a_scripted_wait_is_the_arithmetic_of_its_numbers() {
        let waits = [0, 1, 120, 643, 644, 1_500, 7_000, 13_001, 59_999, 60_000, 61_000, 5_400_000];
        let days = [86_400_000, 129_600_000, 259_200_000, 604_800_000];
        for millis in waits.into_iter().chain(days) {
            for dimension in [Dimension::Requests, Dimension::Tokens] {
                for tokens in [0, 9, 29_999, 70_000] {
                    let wait = Duration::from_millis(millis);
                    let limited = Limited::scripted(dimension, Some(wait), tokens);
                    let Limited { level, used, requested, .. } = limited;
                    let missing = u128::from(used + requested - level.limit);
                    let wait = missing * level.period.as_nanos();
                    assert_eq!(wait % u128::from(level.limit), 0, "{limited:?}");
                    let printed = limited.printed_wait().unwrap();
                    assert_eq!(wait / u128::from(level.limit), printed.as_nanos(), "{limited:?}");
                    assert!(level.remaining < requested && requested <= level.limit);
                }
            }
        }
        let odd = Limited::scripted(Dimension::Requests, Some(Duration::from_nanos(1)), 9);
        assert_eq!(odd.printed_wait(), Some(Duration::from_millis(1)));
    }

    proptest! {
        /// A client that waits exactly as announced is admitted, and not a nanosecond earlier.
        #[test]
        fn the_announced_wait_is_exact(
            limit in 1..10_000_u64,
            costs in prop::collection::vec((1..5_000_u64, 0..30_000_000_000_u64), 1..40),
        ) {
            let mut quotas = quotas(1_000_000, limit);
            let mut now = Duration::ZERO;
            for (cost, pause) in costs {
                now += Duration::from_nanos(pause);
                if let Err(limited) = quotas.admit(&key(), "m", cost, now) {
                    let Some(wait) = limited.wait else {
                        prop_assert!(cost > limit);
                        continue;
                    };
                    let early = wait.saturating_sub(Duration::from_nanos(1));
                    prop_assert!(quotas.admit(&key(), "m", cost, now + early).is_err());
                    now += wait;
                    prop_assert!(quotas.admit(&key(), "m", cost, now).is_ok());
                }
            }
        }

        /// No window of a period admits more than the capacity and what refilled in it.
        #[test]
        fn no_window_admits_more_than_the_quota(
            limit in 1..100_u64,
            pauses in prop::collection::vec(0..3_000_000_000_u64, 1..300),
        ) {
            let mut quotas = quotas(limit, 1_000_000_000);
            let mut admitted = Vec::new();
            let mut now = Duration::ZERO;
            for pause in pauses {
                now += Duration::from_nanos(pause);
                if quotas.admit(&key(), "m", 1, now).is_ok() {
                    admitted.push(now);
                }
            }
            for (first, &start) in admitted.iter().enumerate() {
                for (last, &end) in admitted.iter().enumerate().skip(first) {
                    let count = u128::try_from(last - first + 1).unwrap();
                    let refilled = u128::from(limit) * end.saturating_sub(start).as_nanos() / 60_000_000_000;
                    prop_assert!(count <= u128::from(limit) + refilled);
                }
            }
        }
    }
}
