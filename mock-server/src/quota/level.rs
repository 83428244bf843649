//! What a limit looks like at one moment.

use std::time::Duration;

use crate::action::Dimension;

/// What one limit looks like at one moment; the numbers of headers and texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level {
    /// What it counts.
    pub dimension: Dimension,
    /// How many in each period; of requests at the same time, how many there may be.
    pub limit: u64,
    /// The period; none, which is zero, of requests at the same time.
    pub period: Duration,
    /// How many are left.
    pub remaining: u64,
    /// When nothing of it is used any more, from now.
    pub reset: Duration,
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

/// A span in milliseconds, rounded up.
pub(crate) fn whole_millis(span: Duration) -> u64 {
    u64::try_from(span.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}

/// A span of so many nanoseconds, or the longest there is.
pub(super) fn nanos(nanos: u128) -> Duration {
    let (secs, rest) = (nanos / NANOS, nanos % NANOS);
    match (u64::try_from(secs), u32::try_from(rest)) {
        (Ok(secs), Ok(rest)) => Duration::new(secs, rest),
        _ => Duration::MAX,
    }
}

const NANOS: u128 = 1_000_000_000;
