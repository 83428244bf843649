//! A rate that was halved and grows back, and a rate that somebody else adapts.

use std::time::Duration;

use super::meter::SHARE_FULL;
use crate::bucket::{Bucket, TOKENS_MAX};
use crate::time::Nanos;

/// The share of all rates that is granted after the provider asked for less.
///
/// OpenAI's rule of thumb for traffic that it asked to slow down is at most half as much again every fifteen minutes (`slow_down` in its [error guide](https://platform.openai.com/docs/guides/error-codes)).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Ramp {
    pub(super) share: u64,
    /// When the share grows next.
    pub(super) grows_at: Nanos,
    /// When it was last halved.
    pub(super) halved_at: Nanos,
}

impl Ramp {
    /// Half of what `before` grants, or of everything.
    pub(super) fn halved(before: Option<Self>, now: Nanos) -> Self {
        let share = before.map_or(SHARE_FULL, |ramp| ramp.share);
        Self { share: (share / 2).max(SHARE_MIN), grows_at: now + GROWS_EVERY, halved_at: now }
    }

    /// What follows when it has grown once more; `None` if that is everything.
    pub(super) fn grown(self) -> Option<Self> {
        let share = self.share + self.share / 2;
        let grows_at = self.grows_at + GROWS_EVERY;
        (share < SHARE_FULL && grows_at < Nanos::MAX).then_some(Self { share, grows_at, ..self })
    }
}

/// A rate in thousandths of a request per second, for a controller whose rate is no whole number.
///
/// Every admission costs a thousand of it, whatever else it costs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Pace {
    /// Thousandths of a request that a second adds; zero counts as one.
    pub milli_per_second: u64,
    /// Thousandths that may gather; less than a whole request counts as one, since otherwise nothing could ever pass.
    pub burst_milli: u64,
}

impl Pace {
    pub(super) fn bucket(self) -> Bucket {
        let [refill, burst] = self.sound();
        Bucket::full(refill, SECOND, burst)
    }

    pub(super) fn reshape(self, bucket: &mut Bucket) {
        let [refill, burst] = self.sound();
        bucket.reshape(refill, SECOND, burst);
    }

    fn sound(self) -> [u64; 2] {
        let Self { milli_per_second, burst_milli } = self;
        [milli_per_second.clamp(1, TOKENS_MAX), burst_milli.clamp(REQUEST_MILLI, TOKENS_MAX)]
    }
}

/// What one admission costs of a pace.
pub(super) const REQUEST_MILLI: u64 = 1_000;

const SECOND: u64 = 1_000_000_000;

const GROWS_EVERY: Duration = Duration::from_secs(15 * 60);

/// A thousandth: ten halvings in a row, from which seventeen steps lead back.
const SHARE_MIN: u64 = SHARE_FULL / 1_000;
