//! How busy the machine is: what times measured on it are worth.

use std::time::Duration;

use tokio::{task::JoinHandle, time::Instant};

use crate::verdict::Precision;

/// A stopwatch by the wall.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stopwatch {
    started: std::time::Instant,
}

/// A task that finds out how late it is woken.
#[derive(Debug)]
pub(super) struct LagProbe {
    task: JoinHandle<()>,
    worst: std::sync::Arc<std::sync::atomic::AtomicU64>,
}

/// How often the probe asks to be woken.
const PERIOD: Duration = Duration::from_millis(10);

/// What a clean measurement over loopback can be off by, for the kernel's timers and ours.
const ERROR: Duration = Duration::from_millis(1);

/// What clients on a quiet machine add to a wait: 70 ms at most were seen.
const SLACK: Duration = Duration::from_millis(75);

/// A machine that wakes a task half a second late measures nothing.
const STARVED: Duration = Duration::from_millis(500);

#[expect(clippy::disallowed_methods, reason = "measures the clock itself")]
impl Stopwatch {
    pub(super) fn start() -> Self {
        Self { started: std::time::Instant::now() }
    }

    pub(super) fn elapsed(self) -> Duration {
        self.started.elapsed()
    }
}

#[expect(clippy::disallowed_methods, reason = "measures the clock itself")]
impl LagProbe {
    /// Begins to probe.
    pub(super) fn start() -> Self {
        use std::sync::atomic::{AtomicU64, Ordering};

        let worst = std::sync::Arc::new(AtomicU64::new(0));
        let shared = std::sync::Arc::clone(&worst);
        let task = tokio::spawn(async move {
            loop {
                let due = Instant::now() + PERIOD;
                tokio::time::sleep_until(due).await;
                let late = Instant::now().saturating_duration_since(due);
                let late = u64::try_from(late.as_nanos()).unwrap_or(u64::MAX);
                shared.fetch_max(late, Ordering::Relaxed);
            }
        });
        Self { task, worst }
    }

    /// Ends the probe, and tells what times are worth.
    pub(super) fn finish(self) -> Precision {
        self.task.abort();
        let late = Duration::from_nanos(self.worst.load(std::sync::atomic::Ordering::Relaxed));
        Precision { error: ERROR, slack: SLACK + late, starved: late > STARVED }
    }
}
