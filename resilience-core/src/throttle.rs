//! A quota to wait for, by itself: the async shell of a [`Line`].

use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::task::Poll;
use std::time::Duration;

use crate::class::Dimension;
use crate::clock::Clock;
use crate::limiter::{Cost, Limit, NoRoom, Pace, Quota, QuotaMistake, SendMark};
use crate::line::Line;
use crate::mistake::Mistakes;
use crate::queue::{Priority, Queue, Taken, Ticket};
use crate::reservation::Reservation;
use crate::time::Nanos;

/// A quota that tasks share and wait for, first come, first served.
///
/// Only the front of the line holds a timer.
/// Dropping a waiting future leaves the line and gives back whatever was granted meanwhile.
/// What is acquired is a [`Permit`] that borrows nothing, so that it can live as long as the stream that it was acquired for.
///
/// A [`crate::Client`] keeps the quotas of its targets itself; this is for requests that go another way.
///
/// ```
/// use resilience_core::{Cost, Quota, Throttle};
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?.block_on(async {
/// let throttle = Throttle::new(&Quota::per_minute(500, 30_000))?;
/// let permit = throttle.acquire(Cost::request(1_000, 500)).await?;
/// // … the request is sent, and answered to the end …
/// permit.settle(Cost::request(1_000, 320));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Throttle {
    line: Arc<Line>,
    clock: OnceLock<Clock>,
    unsettled: Unsettled,
}

impl Throttle {
    /// A rested quota, or everything that is wrong with it.
    pub fn new(quota: &Quota) -> Result<Self, Mistakes<QuotaMistake>> {
        let line = Arc::new(Line::new(quota)?);
        Ok(Self { line, clock: OnceLock::new(), unsettled: Unsettled::default() })
    }

    /// The same throttle with another fate for permits that are dropped.
    #[must_use]
    pub fn with_unsettled(self, unsettled: Unsettled) -> Self {
        Self { unsettled, ..self }
    }

    /// Waits for the turn and takes `cost`; fails only if it can never fit.
    pub async fn acquire(&self, cost: Cost) -> Result<Permit, NoRoom> {
        self.acquire_until(Priority::default(), cost, Nanos::MAX).await
    }

    /// As [`Throttle::acquire`], before everybody of a lower priority.
    pub async fn acquire_as(&self, priority: Priority, cost: Cost) -> Result<Permit, NoRoom> {
        self.acquire_until(priority, cost, Nanos::MAX).await
    }

    /// As [`Throttle::acquire`], but fails at once if the turn would come only after `patience`, and as soon as a change carries it there.
    pub async fn acquire_within(&self, cost: Cost, patience: Duration) -> Result<Permit, NoRoom> {
        self.acquire_until(Priority::default(), cost, self.now() + patience).await
    }

    /// Takes `cost` if that is possible at once, or says when it would be.
    pub fn try_acquire(&self, cost: Cost) -> Result<Permit, NoRoom> {
        let now = self.now();
        let taken = self.line.with(|queue| queue.try_take(cost, now));
        let reservation = taken.map_err(|refusal| NoRoom::of(refusal, now))?;
        Ok(self.permit(reservation))
    }

    /// Admits nobody for so long; of several pauses the one that ends last holds.
    pub fn pause(&self, span: Duration) {
        let until = self.now() + span;
        self.line.with(|queue| queue.pause_until(until));
    }

    /// Learns from an answer how much the provider has left; see [`crate::parts::Limiter::observe`] and [`Permit::mark`].
    pub fn observe(&self, dimension: Dimension, remaining: Option<u64>, sent: SendMark) {
        self.with(|queue, now| queue.observe(dimension, remaining, sent, now));
    }

    /// Changes a limit; see [`crate::parts::Limiter::set_limit`].
    pub fn set_limit(&self, dimension: Dimension, tokens: u64) {
        self.with(|queue, now| queue.set_limit(dimension, tokens, now));
    }

    /// Replaces a limit; see [`crate::parts::Limiter::replace_limit`].
    pub fn replace_limit(&self, limit: Limit) -> Result<(), QuotaMistake> {
        self.with(|queue, now| queue.replace_limit(limit, now))
    }

    /// Changes how many requests may be under way; see [`crate::parts::Limiter::set_concurrency`].
    pub fn set_concurrency(&self, permits: Option<u32>) {
        self.with(|queue, now| queue.set_concurrency(permits, now));
    }

    /// Keeps to a further rate; see [`crate::parts::Limiter::set_pace`].
    pub fn set_pace(&self, pace: Option<Pace>) {
        self.with(|queue, now| queue.set_pace(pace, now));
    }

    /// How many tokens or requests of a dimension could pass now, or `None` if it is not limited.
    pub fn available(&self, dimension: Dimension) -> Option<u64> {
        self.with(|queue, now| queue.available(dimension, now))
    }

    /// How many requests are under way.
    pub fn in_flight(&self) -> u32 {
        self.line.with(|queue| queue.in_flight())
    }

    /// How many wait.
    pub fn waiting(&self) -> usize {
        self.line.with(|queue| queue.len())
    }

    async fn acquire_until(
        &self,
        priority: Priority,
        cost: Cost,
        deadline: Nanos,
    ) -> Result<Permit, NoRoom> {
        let clock = self.clock();
        let joined = clock.now();
        let ticket = self.line.with(|queue| queue.enqueue_as(priority, cost, deadline, joined));
        let ticket = ticket.map_err(|refusal| NoRoom::of(refusal, joined))?;
        let place = Place { line: &self.line, clock, ticket };
        // The first look is due at once; each look names the instant of the next.
        let mut until = joined;
        loop {
            let mut alarm = pin!(clock.sleep_until(until));
            let looked =
                poll_fn(|cx| match self.line.poll(place.ticket, cx.waker(), clock.now()) {
                    Taken::Granted(reservation) => Poll::Ready(Ok(Ok(reservation))),
                    Taken::Refused(refusal) => {
                        Poll::Ready(Ok(Err(NoRoom::of(refusal, clock.now()))))
                    }
                    Taken::Unknown => unreachable!("a place is left only by its drop"),
                    taken @ (Taken::Behind | Taken::Front { .. }) => {
                        let next = match taken {
                            Taken::Front { until } => until.min(deadline),
                            _ => deadline,
                        };
                        if next != until {
                            return Poll::Ready(Err(next));
                        }
                        if until == Nanos::MAX {
                            return Poll::Pending;
                        }
                        // An alarm that has rung is followed by another look.
                        alarm.as_mut().poll(cx).map(|()| Err(next))
                    }
                })
                .await;
            match looked {
                Ok(settled) => return settled.map(|reservation| self.permit(reservation)),
                Err(next) => until = next,
            }
        }
    }

    fn permit(&self, reservation: Reservation) -> Permit {
        Permit {
            line: Arc::clone(&self.line),
            clock: self.clock(),
            unsettled: self.unsettled,
            reservation: Some(reservation),
        }
    }

    fn with<T>(&self, step: impl FnOnce(&mut Queue, Nanos) -> T) -> T {
        let now = self.now();
        self.line.with(|queue| step(queue, now))
    }

    fn now(&self) -> Nanos {
        self.clock().now()
    }

    /// The clock starts with the first request, inside the runtime that governs it.
    fn clock(&self) -> Clock {
        *self.clock.get_or_init(Clock::start)
    }
}

/// The right to send one request, and what it has been charged; it holds one of [`Quota::concurrency`]'s permits for as long as it lives.
///
/// It is settled once, by [`Permit::settle`], [`Permit::refund`] or its drop, which also comes with a panic or a cancelled task.
#[derive(Debug)]
#[must_use = "a permit that is dropped is settled"]
pub struct Permit {
    line: Arc<Line>,
    clock: Clock,
    unsettled: Unsettled,
    reservation: Option<Reservation>,
}

impl Permit {
    /// Settles it with what the request used in the end; see [`Queue::settle`].
    pub fn settle(mut self, actual: Cost) {
        self.end(|queue, reservation, now| queue.settle(reservation, actual, now));
    }

    /// Settles it as never sent: the charge is given back.
    pub fn refund(mut self) {
        self.end(Queue::refund);
    }

    /// Settles it with its charge, because nobody knows what was used.
    pub fn keep(mut self) {
        self.end(Queue::keep);
    }

    /// What was charged.
    pub fn cost(&self) -> Cost {
        self.reservation().cost()
    }

    /// Its place among all that was admitted, for [`Throttle::observe`].
    pub fn mark(&self) -> SendMark {
        self.reservation().mark()
    }

    /// Learns from this request's answer how much the provider has left; see [`crate::parts::Limiter::observe`].
    pub fn observe(&self, dimension: Dimension, remaining: Option<u64>) {
        let (mark, now) = (self.mark(), self.clock.now());
        self.line.with(|queue| queue.observe(dimension, remaining, mark, now));
    }

    /// Halves all rates because this request's answer asked for less traffic; see [`crate::parts::Limiter::slow_down`].
    pub fn slow_down(&self) {
        let (sent_at, now) = (self.reservation().at(), self.clock.now());
        self.line.with(|queue| queue.slow_down(sent_at, now));
    }

    fn reservation(&self) -> &Reservation {
        self.reservation.as_ref().expect("only the last step of a permit takes its reservation")
    }

    fn end(&mut self, how: impl FnOnce(&mut Queue, Reservation, Nanos)) {
        if let Some(reservation) = self.reservation.take() {
            let now = self.clock.now();
            self.line.with(|queue| how(queue, reservation, now));
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        match self.unsettled {
            Unsettled::Keep => self.end(Queue::keep),
            Unsettled::Refund => self.end(Queue::refund),
        }
    }
}

/// What becomes of the charge of a [`Permit`] that is dropped; its place among the concurrent requests is free either way.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Unsettled {
    /// It stays: the request may have used it.
    #[default]
    Keep,
    /// It is given back: whoever drops a permit has not sent.
    Refund,
}

/// A place in the line; dropped, it is left, and an unclaimed grant goes back.
struct Place<'a> {
    line: &'a Line,
    clock: Clock,
    ticket: Ticket,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.line.leave(self.ticket, self.clock.now());
    }
}
