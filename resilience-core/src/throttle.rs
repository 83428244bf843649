//! A quota to wait for, by itself: the async shell of a [`Queue`].

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::clock::Clock;
use crate::limiter::{Cost, Quota, QuotaMistake, Refusal};
use crate::queue::{Claim, Queue, Ticket};
use crate::time::Nanos;

/// A quota that tasks share and wait for, first come, first served.
///
/// Only the front of the line holds a timer.
/// Dropping a waiting future leaves the line and gives back whatever was granted meanwhile.
///
/// A [`crate::Client`] keeps the quotas of its targets itself; this is for requests that go another way.
#[derive(Debug)]
pub struct Throttle {
    line: Mutex<Line>,
    clock: OnceLock<Clock>,
}

#[derive(Debug)]
struct Line {
    queue: Queue,
    waiting: BTreeMap<Ticket, Arc<Notify>>,
}

impl Throttle {
    /// A rested quota, or everything that is wrong with it.
    pub fn new(quota: &Quota) -> Result<Self, Vec<QuotaMistake>> {
        let line = Line { queue: Queue::new(quota)?, waiting: BTreeMap::new() };
        Ok(Self { line: Mutex::new(line), clock: OnceLock::new() })
    }

    /// Waits for the turn and takes `cost`; fails only if it can never fit.
    pub async fn acquire(&self, cost: Cost) -> Result<(), Refusal> {
        self.acquire_until(cost, Nanos::MAX).await
    }

    /// As [`Throttle::acquire`], but fails at once if the turn would come only after `patience`.
    ///
    /// A pause that comes during the wait may still carry the turn past it; the wait then ends with the patience.
    pub async fn acquire_within(&self, cost: Cost, patience: Duration) -> Result<(), Refusal> {
        self.acquire_until(cost, self.clock().now() + patience).await
    }

    /// Admits nobody for so long; of several pauses the one that ends last holds.
    pub fn pause(&self, span: Duration) {
        self.lock().queue.pause_until(self.clock().now() + span);
    }

    async fn acquire_until(&self, cost: Cost, deadline: Nanos) -> Result<(), Refusal> {
        let clock = self.clock();
        let notify = Arc::new(Notify::new());
        let place = {
            let mut line = self.lock();
            let ticket = line.queue.enqueue(cost, deadline, clock.now())?;
            line.waiting.insert(ticket, Arc::clone(&notify));
            line.tell();
            Place { throttle: self, ticket }
        };
        loop {
            let now = clock.now();
            let claim = {
                let mut line = self.lock();
                let claim = line.queue.claim(place.ticket, now);
                line.tell();
                claim
            };
            let until = match claim {
                Claim::Granted => return Ok(()),
                Claim::Behind => deadline,
                Claim::Front { until } if now >= deadline => {
                    return Err(Refusal::TooLate { ready_at: until });
                }
                Claim::Front { until } => until.min(deadline),
                Claim::Unknown => unreachable!("a place is claimed once and cancelled by its drop"),
            };
            if until == Nanos::MAX {
                notify.notified().await;
            } else {
                tokio::select! {
                    () = notify.notified() => {}
                    () = clock.sleep_until(until) => {}
                }
            }
            if claim == Claim::Behind && clock.now() >= deadline {
                return Err(Refusal::TooLate { ready_at: deadline });
            }
        }
    }

    fn clock(&self) -> Clock {
        *self.clock.get_or_init(Clock::start)
    }

    fn lock(&self) -> MutexGuard<'_, Line> {
        // A panic elsewhere left the line between two of its methods, where it is whole.
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Line {
    /// Wakes those whom the last step concerns.
    fn tell(&mut self) {
        while let Some(ticket) = self.queue.pop_news() {
            if let Some(notify) = self.waiting.get(&ticket) {
                notify.notify_one();
            }
        }
    }
}

/// A place in the line; dropped, it is left, and an unclaimed grant goes back.
struct Place<'a> {
    throttle: &'a Throttle,
    ticket: Ticket,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let now = self.throttle.clock().now();
        let mut line = self.throttle.lock();
        line.waiting.remove(&self.ticket);
        line.queue.cancel(self.ticket, now);
        line.tell();
    }
}
