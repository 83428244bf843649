//! A limit in whole numbers that a script's doubles hold exactly.
//!
//! Time is in microseconds, because that is what the server's `TIME` has.
//! A token is so many units that a whole number of them flows in each microsecond; where the exact fraction would need numbers that are too large, the rate is rounded down.

use std::time::Duration;

use crate::limiter::Limit;
use crate::time::Nanos;

use super::settings::Guarantee;

/// One limit of a fleet, in units.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Shape {
    /// Units in a token.
    pub(crate) unit: u64,
    /// Units that flow in per microsecond.
    pub(crate) rate: u64,
    /// Units at which it is full.
    pub(crate) full: u64,
}

impl Shape {
    /// The shape of `limit` if uses may come `slack` after they were granted, or `None` if it cannot be said in whole numbers.
    ///
    /// The refill is spread over the period and the slack, and over what two clocks may differ by.
    /// The caller has checked that no number of `limit` is zero or above [`crate::TOKENS_MAX`].
    pub(crate) fn new(limit: &Limit, guarantee: Guarantee, slack: Duration) -> Option<Self> {
        let refill = match guarantee {
            Guarantee::Nominal => limit.tokens,
            Guarantee::Strict => limit.tokens.checked_sub(limit.burst)?,
        };
        let span = spread_micros(limit.period.checked_add(slack)?);
        if refill == 0 {
            return None;
        }
        let common = gcd(u128::from(refill), span);
        let (rate, unit) = (u128::from(refill) / common, span / common);
        let exact = unit * u128::from(limit.burst);
        let (rate, unit) = if exact <= UNITS_MAX && rate <= UNITS_MAX {
            (rate, unit)
        } else {
            let unit = UNITS_MAX / u128::from(limit.burst);
            (unit * u128::from(refill) / span, unit)
        };
        // A rate of fewer steps than this would be rounded by more than a thousandth.
        let coarse = exact > UNITS_MAX && rate < RATE_STEPS_MIN;
        if unit == 0 || rate == 0 || rate > UNITS_MAX || coarse {
            return None;
        }
        let full = unit * u128::from(limit.burst);
        let narrow = |number| u64::try_from(number).expect("it was compared to `UNITS_MAX`");
        Some(Self { unit: narrow(unit), rate: narrow(rate), full: narrow(full) })
    }
}

/// One member's part of a limit, for the time when the server cannot be asked.
///
/// It starts empty: the burst that was there belongs to those who could still ask.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Share {
    unit: i128,
    rate: i128,
    full: i128,
    level: i128,
    at: Nanos,
}

impl Share {
    /// An empty bucket of `ppm` millionths of `shape`.
    pub(crate) fn empty(shape: Shape, ppm: u32, now: Nanos) -> Self {
        let ppm = i128::from(ppm);
        Self {
            // Per nanosecond instead of microsecond, and in millionths.
            unit: i128::from(shape.unit) * MILLION * 1_000,
            rate: i128::from(shape.rate) * ppm,
            full: i128::from(shape.full) * ppm * 1_000,
            level: 0,
            at: now,
        }
    }

    /// Brings the level up to `now`.
    pub(crate) fn advance(&mut self, now: Nanos) {
        let Some(elapsed) = now.checked_since(self.at) else { return };
        // Only as much time as it takes to fill is multiplied, which keeps the product small.
        let useful =
            i128::from(Nanos::from(elapsed).get()).min((self.full - self.level) / self.rate + 1);
        self.level = self.full.min(self.level + useful * self.rate);
        self.at = now;
    }

    /// How long from the last [`Share::advance`] until `tokens` are there, or `None` if they never are.
    pub(crate) fn wait(&self, tokens: u64) -> Option<Duration> {
        let need = i128::from(tokens) * self.unit;
        if need > self.full {
            return None;
        }
        let short = (need - self.level).max(0);
        let nanos = u64::try_from((short + self.rate - 1) / self.rate).unwrap_or(u64::MAX);
        Some(Duration::from_nanos(nanos))
    }

    /// Takes `tokens`, which the caller knows to be there.
    pub(crate) fn take(&mut self, tokens: u64) {
        self.level -= i128::from(tokens) * self.unit;
    }
}

/// `span` in microseconds on a clock that may be too slow by [`DRIFT_PPM`], rounded up.
pub(crate) fn spread_micros(span: Duration) -> u128 {
    let micros = span.as_nanos().div_ceil(1_000);
    // One more, because `TIME` tells whole microseconds.
    micros + (micros * DRIFT_PPM).div_ceil(1_000_000) + 1
}

fn gcd(mut a: u128, mut b: u128) -> u128 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

/// How much faster the server's clock may run than a member's, in millionths: clocks are slewed by at most 500 each, see [`adjtimex(2)`](https://man7.org/linux/man-pages/man2/adjtimex.2.html).
const DRIFT_PPM: u128 = 1_000;

/// The most units of anything.
///
/// The script adds at most a bucket that is as deep in debt as it can be full, and a step of its rate: below 2^53 together, where doubles are exact.
pub(crate) const UNITS_MAX: u128 = 1 << 51;

/// The smallest rate that may be rounded.
const RATE_STEPS_MIN: u128 = 1_000;

const MILLION: i128 = 1_000_000;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::bucket::TOKENS_MAX;
    use crate::class::Dimension;

    fn limit(tokens: u64, burst: u64, period: Duration) -> Limit {
        Limit { dimension: Dimension::Tpm, tokens, burst, period }
    }

    #[test]
    fn everyday_limits_have_a_shape() {
        let (minute, day) = (Duration::from_secs(60), Duration::from_secs(86_400));
        for (tokens, burst, period) in [
            (3, 1, minute),
            (60, 2, minute),
            (30_000_000, 3_000_000, minute),
            (1_000, 10, day),
            (5_000_000_000, 100_000_000, day),
            (1_000_000, 500_000, Duration::from_secs(1)),
        ] {
            let limit = limit(tokens, burst, period);
            for guarantee in [Guarantee::Nominal, Guarantee::Strict] {
                let shape = Shape::new(&limit, guarantee, Duration::from_secs(1));
                assert!(shape.is_some(), "{limit:?}");
            }
        }
    }

    #[test]
    fn a_strict_limit_that_is_all_burst_has_none() {
        let all = limit(60, 60, Duration::from_secs(60));
        assert_eq!(Shape::new(&all, Guarantee::Strict, Duration::ZERO), None);
        assert!(Shape::new(&all, Guarantee::Nominal, Duration::ZERO).is_some());
    }

    proptest! {
        /// The script's numbers stay exact, and the rate is never above the one that the proof needs.
        #[test]
        fn no_shape_exceeds_its_bound_or_its_rate(
            tokens in 1..=TOKENS_MAX,
            part in 1..=1_000_000u64,
            period in 1..=TOKENS_MAX,
            slack in 0..10_000_000_000u64,
        ) {
            let burst = (tokens / part).max(1);
            let (period, slack) = (Duration::from_nanos(period), Duration::from_nanos(slack));
            let limit = limit(tokens, burst, period);
            if let Some(shape) = Shape::new(&limit, Guarantee::Strict, slack) {
                prop_assert!(u128::from(shape.full) <= UNITS_MAX);
                prop_assert!(u128::from(shape.rate) <= UNITS_MAX);
                prop_assert_eq!(shape.full, shape.unit * burst);
                // rate / unit <= (tokens - burst) / (period + slack)
                let span = (period + slack).as_nanos();
                let flows = u128::from(shape.rate) * span;
                let may = u128::from(tokens - burst) * u128::from(shape.unit) * 1_000;
                prop_assert!(flows <= may);
            }
        }

        /// All members' shares together are no more than the limit.
        #[test]
        fn shares_add_up_to_no_more_than_the_whole(
            shares in prop::collection::vec(1..=250_000u32, 1..=4),
            nanos in 0..100_000_000_000u64,
        ) {
            let whole = limit(600, 20, Duration::from_secs(60));
            let shape = Shape::new(&whole, Guarantee::Strict, Duration::from_secs(1)).unwrap();
            let at = Nanos::new(nanos);
            let mut taken = 0_u64;
            for share in shares {
                let mut bucket = Share::empty(shape, share, Nanos::ZERO);
                bucket.advance(at);
                while bucket.wait(1) == Some(Duration::ZERO) {
                    bucket.take(1);
                    taken += 1;
                }
            }
            let refilled = u128::from(nanos) * 580 / Duration::from_secs(61).as_nanos();
            prop_assert!(taken <= 20 && u128::from(taken) <= refilled);
        }

        /// Exact: refused a nanosecond before the instant that was named, admitted at it.
        #[test]
        fn a_share_names_the_exact_wait(share in 100_000..=1_000_000u32, taken in 1..=2u64) {
            let whole = limit(600, 20, Duration::from_secs(60));
            let shape = Shape::new(&whole, Guarantee::Strict, Duration::from_secs(1)).unwrap();
            let mut bucket = Share::empty(shape, share, Nanos::ZERO);
            let ready = Nanos::ZERO + bucket.wait(taken).unwrap();
            bucket.advance(ready.saturating_sub(Duration::from_nanos(1)));
            prop_assert_eq!(bucket.wait(taken), Some(Duration::from_nanos(1)));
            bucket.advance(ready);
            prop_assert_eq!(bucket.wait(taken), Some(Duration::ZERO));
        }
    }
}
