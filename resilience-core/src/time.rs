//! Points in time, as the machines of this crate see them.
//!
//! Nothing here reads a clock: an origin is chosen by whoever drives the machines, and every instant is an offset from it.

use std::ops::Add;
use std::time::Duration;

/// A point in time: nanoseconds since an origin of the driver's choosing.
///
/// All arithmetic saturates at both ends, 584 years apart, so that no hint or deadline from outside can overflow it.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Nanos(u64);

impl Nanos {
    /// The latest instant there is; as a deadline, never.
    pub const MAX: Self = Self(u64::MAX);
    /// The origin.
    pub const ZERO: Self = Self(0);

    /// The instant `nanos` after the origin.
    pub const fn new(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the origin.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// How long ago `earlier` was, or `None` if it is still to come.
    pub fn checked_since(self, earlier: Self) -> Option<Duration> {
        self.0.checked_sub(earlier.0).map(Duration::from_nanos)
    }

    /// How long ago `earlier` was; zero if it is still to come.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// The instant `earlier_by` before this one, but not before the origin.
    #[must_use]
    pub fn saturating_sub(self, earlier_by: Duration) -> Self {
        Self(self.0.saturating_sub(whole_nanos(earlier_by)))
    }
}

impl Add<Duration> for Nanos {
    type Output = Self;

    fn add(self, later_by: Duration) -> Self {
        Self(self.0.saturating_add(whole_nanos(later_by)))
    }
}

impl From<Duration> for Nanos {
    fn from(since_origin: Duration) -> Self {
        Self(whole_nanos(since_origin))
    }
}

impl From<Nanos> for Duration {
    fn from(at: Nanos) -> Self {
        Self::from_nanos(at.0)
    }
}

/// A span in whole nanoseconds; one that is too long for 64 bits is as long as they hold.
pub(crate) fn whole_nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_saturates_at_both_ends() {
        let at = Nanos::new(5);
        assert_eq!(at + Duration::MAX, Nanos::MAX);
        assert_eq!(Nanos::MAX + Duration::from_nanos(1), Nanos::MAX);
        assert_eq!(at.saturating_sub(Duration::from_nanos(6)), Nanos::ZERO);
        assert_eq!(at.since(Nanos::new(9)), Duration::ZERO);
        assert_eq!(at.checked_since(Nanos::new(9)), None);
        assert_eq!(at.checked_since(Nanos::new(2)), Some(Duration::from_nanos(3)));
    }

    #[test]
    fn a_span_since_the_origin_survives_the_round_trip() {
        let span = Duration::new(3, 141_592_653);
        assert_eq!(Duration::from(Nanos::from(span)), span);
    }
}
