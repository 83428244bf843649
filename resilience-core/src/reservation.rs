//! What a request holds of a quota while it is under way.

use crate::limiter::{Cost, SendMark};
use crate::time::Nanos;

/// A charge that has been made and is not settled yet, with the permit that came with it.
///
/// It is settled once, by being handed to [`Queue::settle`](crate::parts::Queue::settle), [`Queue::refund`](crate::parts::Queue::refund) or [`Queue::keep`](crate::parts::Queue::keep); it cannot be copied, so there is no second time.
/// One that is dropped stays charged and keeps its permit for ever; the shells settle theirs when they are dropped.
#[derive(Debug, Eq, PartialEq)]
#[must_use = "a reservation that is never settled keeps its permit"]
pub struct Reservation {
    cost: Cost,
    at: Nanos,
    mark: SendMark,
}

impl Reservation {
    pub(crate) const fn new(cost: Cost, at: Nanos, mark: SendMark) -> Self {
        Self { cost, at, mark }
    }

    /// What was charged.
    pub const fn cost(&self) -> Cost {
        self.cost
    }

    /// When it was charged.
    pub const fn at(&self) -> Nanos {
        self.at
    }

    /// Its place among all that was admitted, for [`Queue::observe`](crate::parts::Queue::observe).
    pub const fn mark(&self) -> SendMark {
        self.mark
    }
}
