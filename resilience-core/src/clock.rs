//! The one bridge from tokio's clock to the core's.
//!
//! Through tokio's clock, so that a paused one governs everything that waits.

use std::time::Duration;

use tokio::time::{Instant, Sleep};

use crate::time::Nanos;

/// A clock that starts at zero.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    origin: Instant,
}

impl Clock {
    /// A clock that starts now.
    pub(crate) fn start() -> Self {
        Self { origin: read() }
    }

    /// The time on this clock.
    pub(crate) fn now(self) -> Nanos {
        Nanos::from(read().saturating_duration_since(self.origin))
    }

    /// The instant at which this clock shows `at`, for those who have no part in it.
    #[cfg(feature = "redis")]
    pub(crate) fn instant(self, at: Nanos) -> std::time::Instant {
        (self.origin + Duration::from(at)).into_std()
    }

    /// Sleeps until this clock shows `at`.
    pub(crate) fn sleep_until(self, at: Nanos) -> Sleep {
        // Tokio cannot add every duration; thirty years are as good as never.
        let after = Duration::from(at).min(Duration::from_secs(30 * 365 * 86_400));
        #[expect(
            clippy::disallowed_methods,
            reason = "the shell carries out the waits of the core"
        )]
        tokio::time::sleep_until(self.origin + after)
    }
}

fn read() -> Instant {
    #[expect(clippy::disallowed_methods, reason = "the shell reads the clock for the core")]
    Instant::now()
}
