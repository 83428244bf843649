//! How long to wait before a retry when the server did not say.
//!
//! Delays grow geometrically to a cap and are drawn at random below that envelope, so that clients which failed together do not come back together ([Exponential Backoff And Jitter](https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/)).
//! Everything is whole nanoseconds: no step overflows, and the cap holds after jitter too.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::draw::scale;
use crate::time::whole_nanos;

/// A geometric backoff with jitter.
///
/// Retries count from 1: retry *n* precedes attempt *n* + 1.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Backoff {
    /// The envelope of the first retry.
    pub base: Duration,
    /// What no delay exceeds.
    pub cap: Duration,
    /// By how much the envelope grows from retry to retry, in millionths; at least 1,000,000.
    pub multiplier_ppm: u64,
    /// Where below the envelope a delay falls.
    pub jitter: Jitter,
}

impl Backoff {
    /// What the official OpenAI and Anthropic SDKs do: 0.5 s to 8 s, doubling, jittered down by up to a quarter.
    pub const fn sdk() -> Self {
        Self {
            base: Duration::from_millis(500),
            cap: Duration::from_secs(8),
            multiplier_ppm: 2 * PPM,
            jitter: Jitter::Quarter,
        }
    }

    /// The same delay before every retry.
    pub const fn fixed(delay: Duration) -> Self {
        Self { base: delay, cap: delay, multiplier_ppm: PPM, jitter: Jitter::None }
    }

    /// The longest delay of a retry before jitter: `min(cap, base · multiplier^(retry − 1))`.
    pub fn envelope(&self, retry: u32) -> Duration {
        Duration::from_nanos(self.envelope_nanos(retry))
    }

    /// Between which lengths the delay of a retry falls.
    ///
    /// `previous` is the delay before this one on the same target; only [`Jitter::Decorrelated`] looks at it.
    pub fn bounds(&self, retry: u32, previous: Option<Duration>) -> RangeInclusive<Duration> {
        let (least, most) = self.bounds_nanos(retry, previous);
        Duration::from_nanos(least)..=Duration::from_nanos(most)
    }

    /// The delay before a retry.
    ///
    /// Always inside [`Backoff::bounds`], and never above the cap.
    pub fn delay(&self, retry: u32, previous: Option<Duration>, draw: u64) -> Duration {
        let cap = whole_nanos(self.cap);
        let nanos = match self.jitter {
            Jitter::Decorrelated => {
                // Drawn before the cap applies, so that the cap collects the upper draws.
                let base = whole_nanos(self.base).min(cap);
                let most = triple(previous.map_or(base, whole_nanos)).max(base);
                cap.min(base.saturating_add(scale(draw, most - base)))
            }
            Jitter::Equal | Jitter::Full | Jitter::None | Jitter::Quarter => {
                let (least, most) = self.bounds_nanos(retry, previous);
                least + scale(draw, most - least)
            }
        };
        Duration::from_nanos(nanos)
    }

    fn bounds_nanos(&self, retry: u32, previous: Option<Duration>) -> (u64, u64) {
        let envelope = self.envelope_nanos(retry);
        match self.jitter {
            Jitter::Decorrelated => {
                let cap = whole_nanos(self.cap);
                let base = whole_nanos(self.base).min(cap);
                (base, triple(previous.map_or(base, whole_nanos)).clamp(base, cap))
            }
            Jitter::Equal => (envelope - envelope / 2, envelope),
            Jitter::Full => (0, envelope),
            Jitter::None => (envelope, envelope),
            Jitter::Quarter => (envelope - envelope / 4, envelope),
        }
    }

    fn envelope_nanos(&self, retry: u32) -> u64 {
        let (base, cap) = (whole_nanos(self.base), whole_nanos(self.cap));
        let steps = retry.saturating_sub(1);
        if base >= cap {
            return cap;
        }
        if base == 0 || self.multiplier_ppm <= PPM {
            return base;
        }
        if self.multiplier_ppm == 2 * PPM {
            // The power is never computed by itself: it would overflow long before the delay does.
            return if steps >= 64 || base > (cap >> steps) { cap } else { base << steps };
        }
        let mut envelope = u128::from(base) * u128::from(PPM);
        let cap_scaled = u128::from(cap) * u128::from(PPM);
        for _ in 0..steps {
            let grown = envelope.saturating_mul(u128::from(self.multiplier_ppm)) / u128::from(PPM);
            // A multiplier so close to one that rounding swallows it would never reach the cap.
            if grown >= cap_scaled {
                return cap;
            }
            if grown == envelope {
                break;
            }
            envelope = grown;
        }
        u64::try_from(envelope / u128::from(PPM)).unwrap_or(cap)
    }
}

impl Default for Backoff {
    /// Full jitter from 1 s to 60 s, doubling: five retries outlast an outage of a minute about as often as not.
    fn default() -> Self {
        Self {
            base: Duration::from_secs(1),
            cap: Duration::from_secs(60),
            multiplier_ppm: 2 * PPM,
            jitter: Jitter::Full,
        }
    }
}

/// Where below its envelope a delay falls.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Jitter {
    /// Between the base and three times the previous delay, whichever retry it is.
    Decorrelated,
    /// Anywhere in the upper half.
    Equal,
    /// Anywhere from zero to the envelope: the best spread for the same total work.
    #[default]
    Full,
    /// At the envelope exactly.
    None,
    /// Anywhere in the upper quarter, as the official SDKs do.
    Quarter,
}

fn triple(nanos: u64) -> u64 {
    nanos.saturating_mul(3)
}

/// One whole, in millionths.
pub(crate) const PPM: u64 = 1_000_000;
