//! The one place where the server reads a clock.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::{Instant, Sleep};

/// Time since the server began to listen, and the wall time that its headers show.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    origin: Instant,
    wall_at_origin: Duration,
}

/// Where virtual wall time begins: 2026-01-01 00:00:00 UTC, so that every run shows the same dates.
pub const VIRTUAL_EPOCH: Duration = Duration::from_secs(1_767_225_600);

#[expect(
    clippy::disallowed_methods,
    reason = "the shell's clock; every core is handed its reading"
)]
impl Clock {
    /// A clock that starts now and shows the machine's date.
    pub fn real() -> Self {
        let wall_at_origin = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { origin: Instant::now(), wall_at_origin }
    }

    /// A clock that starts now, on a runtime whose time is paused, and shows a fixed date.
    pub fn simulated() -> Self {
        Self { origin: Instant::now(), wall_at_origin: VIRTUAL_EPOCH }
    }

    /// The time since the clock started.
    pub fn now(&self) -> Duration {
        Instant::now().saturating_duration_since(self.origin)
    }

    /// The wall time since 1970 that belongs to a reading; it never jumps.
    pub fn wall(&self, now: Duration) -> Duration {
        self.wall_at_origin + now
    }

    /// Waits until a reading.
    pub fn sleep_until(&self, at: Duration) -> Sleep {
        tokio::time::sleep_until(self.origin + at)
    }
}
