//! The end of the line: when a newcomer's turn would come.

use crate::limiter::{Cost, Limiter, Refusal};
use crate::time::Nanos;

/// The limiter as it will be when all who wait have been admitted, and when that is.
#[derive(Clone, Debug)]
pub(super) struct Tail {
    limiter: Limiter,
    at: Nanos,
    /// Whether nobody has left since; otherwise it is the latest that can be.
    pub(super) exact: bool,
}

impl Tail {
    /// Lets everybody in line through, one after the other.
    pub(super) fn new(limiter: &Limiter, ahead: impl Iterator<Item = Cost>, now: Nanos) -> Self {
        let mut tail = Self { limiter: limiter.without_permits(), at: now, exact: true };
        ahead.for_each(|cost| tail.join(cost, now));
        tail
    }

    /// Lets one more through.
    pub(super) fn join(&mut self, cost: Cost, now: Nanos) {
        let ready_at = self.ready_at(cost, now).expect("whoever waits fits");
        self.at = ready_at;
        // At the end of time nothing is ready any more, and nobody lives to see it.
        let admitted = self.limiter.admit(cost, ready_at);
        debug_assert!(admitted.is_ok() || ready_at == Nanos::MAX, "ready, and yet not admitted");
    }

    /// When `cost` would be let through after all of them.
    pub(super) fn ready_at(&mut self, cost: Cost, now: Nanos) -> Result<Nanos, Refusal> {
        self.limiter.ready_at(cost, now.max(self.at))
    }
}
