//! What an attempt pays and takes before it is sent, and what becomes of it afterwards.

use std::time::Duration;

use super::{Pool, Seat, permits};
use crate::breaker::Pass;
use crate::budget::{Empty, Withdrawal};
use crate::class::{Class, Sent};
use crate::draw::Purpose;
use crate::failure::Failure;
use crate::hint::{self, Observed};
use crate::limiter::{Cost, Pace, Refusal};
use crate::outcome::Usage;
use crate::queue::{Queue, Taken};
use crate::reservation::Reservation;
use crate::time::Nanos;

impl Pool {
    /// When a target's quota would have room for a newcomer; `now` if it has no quota.
    ///
    /// Whoever has to wait for a permit waits for somebody else's end, of which nobody knows when it comes: that is later than now, and no more is known.
    pub(crate) fn turn_at(
        &mut self,
        target: usize,
        cost: Cost,
        now: Nanos,
    ) -> Result<Nanos, Refusal> {
        let occupied = self.is_occupied(target);
        let Some(queue) = self.queue_mut(target) else { return Ok(now) };
        let turn = queue.turn_at(cost, now)?;
        Ok(if occupied { turn.max(now + NEXT) } else { turn })
    }

    /// Whether all permits of a target are taken.
    pub(crate) fn is_occupied(&self, target: usize) -> bool {
        let queue = self.states.get(target).and_then(|state| state.queue.as_ref());
        queue.is_some_and(Queue::is_occupied)
    }

    /// Joins the line in front of a target; `None` if there is none.
    pub(crate) fn enqueue(
        &mut self,
        target: usize,
        cost: Cost,
        deadline: Nanos,
        now: Nanos,
    ) -> Result<Option<Seat>, Refusal> {
        let Some(queue) = self.queue_mut(target) else { return Ok(None) };
        let ticket = queue.enqueue(cost, deadline, now)?;
        Ok(Some(Seat { target, ticket }))
    }

    /// Whether a seat's turn has come, and what it then holds.
    pub(crate) fn take(&mut self, seat: Seat, now: Nanos) -> Taken {
        self.queue_mut(seat.target).map_or(Taken::Unknown, |queue| queue.take(seat.ticket, now))
    }

    /// Takes from a target's quota at once, or not at all.
    pub(crate) fn try_take(
        &mut self,
        target: usize,
        cost: Cost,
        now: Nanos,
    ) -> Result<Option<Reservation>, Refusal> {
        self.queue_mut(target).map(|queue| queue.try_take(cost, now)).transpose()
    }

    /// Leaves a line.
    pub(crate) fn cancel(&mut self, seat: Seat, now: Nanos) {
        if let Some(queue) = self.queue_mut(seat.target) {
            queue.cancel(seat.ticket, now);
        }
    }

    /// Whether the retries of all calls leave room for one more after such a failure, or when they may.
    pub(crate) fn check_retry(&mut self, class: Class, now: Nanos) -> Result<(), Empty> {
        self.budget.as_mut().map_or(Ok(()), |budget| budget.check(class, now))
    }

    /// An attempt is to be sent: asks the breaker, and pays for it if it is a retry.
    ///
    /// Refused, nothing is taken, and what was reserved is given back.
    pub(crate) fn depart(
        &mut self,
        target: usize,
        departure: Departure,
        reservation: Option<Reservation>,
        draw: u64,
        now: Nanos,
    ) -> Result<Ledger, Refused> {
        match self.pay(target, departure, draw, now) {
            Ok((pass, withdrawal)) => Ok(Ledger { pass, withdrawal, reservation, began: now }),
            Err(refused) => {
                self.settle(target, reservation, Settlement::Refund, now);
                Err(refused)
            }
        }
    }

    fn pay(
        &mut self,
        target: usize,
        departure: Departure,
        draw: u64,
        now: Nanos,
    ) -> Result<(Option<Pass>, Option<Withdrawal>), Refused> {
        if let (Some(budget), Departure::Retry(class)) = (&mut self.budget, departure) {
            budget.check(class, now).map_err(|_| Refused::Budget)?;
        }
        let state = &mut self.states[target];
        if state.paused > now
            || state.breaker.as_ref().is_some_and(|breaker| breaker.ready_at(now) > now)
        {
            return Err(Refused::Resting);
        }
        if let Some(shed) = &mut state.shed {
            shed.admit(draw, now).map_err(|_| Refused::Shed)?;
        }
        let pass = state.breaker.as_mut().and_then(|breaker| breaker.admit(now).ok());
        let withdrawal = match (&mut self.budget, departure) {
            (None, _) | (_, Departure::Free) => None,
            (Some(budget), Departure::First) => {
                budget.began(now);
                None
            }
            (Some(budget), Departure::Retry(class)) => {
                Some(budget.withdraw(class, now).expect("it was asked in this very step"))
            }
        };
        Ok((pass, withdrawal))
    }

    /// An attempt was answered: settles what was taken for it.
    pub(crate) fn answered(
        &mut self,
        target: usize,
        ledger: Ledger,
        usage: Option<Usage>,
        now: Nanos,
    ) {
        self.redeem(target, ledger.began);
        let settlement = usage.map_or(Settlement::Keep, |usage| {
            Settlement::Used(Cost::request(usage.input, usage.output))
        });
        self.arrive(target, ledger, Ok(()), settlement, now);
    }

    /// An attempt failed, or was given up: settles what was taken for it.
    pub(crate) fn failed(&mut self, target: usize, ledger: Ledger, failure: &Failure, now: Nanos) {
        self.observe(target, &ledger, &failure.observed, now);
        if let Some(queue) = self.queue_mut(target) {
            match failure.class {
                Class::RampLimited => queue.slow_down(ledger.began, now),
                Class::RequestExceedsLimit { limit: Some(limit), .. } => {
                    let named = hint::dimension(&failure.message);
                    let known = named.and_then(|named| queue.limit(named));
                    // The provider's own word on a limit that we had thought to be higher.
                    if let (Some(named), Some(known)) = (named, known)
                        && (1..known.tokens).contains(&limit)
                    {
                        queue.set_limit(named, limit, now);
                    }
                }
                _ => {}
            }
        }
        let settlement = match failure.sent {
            Sent::No => Settlement::Refund,
            Sent::Maybe | Sent::Yes => Settlement::Keep,
        };
        self.arrive(target, ledger, Err(failure.class), settlement, now);
    }

    /// Learns from an answer's headers how much the provider has left.
    pub(crate) fn observe(
        &mut self,
        target: usize,
        ledger: &Ledger,
        observed: &[Observed],
        now: Nanos,
    ) {
        let Some(mark) = ledger.reservation.as_ref().map(Reservation::mark) else { return };
        if let Some(queue) = self.queue_mut(target) {
            for Observed { dimension, remaining, .. } in observed {
                queue.observe(*dimension, Some(*remaining), mark, now);
            }
        }
    }

    fn arrive(
        &mut self,
        target: usize,
        ledger: Ledger,
        result: Result<(), Class>,
        settlement: Settlement,
        now: Nanos,
    ) {
        let Ledger { pass, withdrawal, reservation, began } = ledger;
        let state = &mut self.states[target];
        if let (Some(breaker), Some(pass)) = (&mut state.breaker, pass) {
            let subject = u64::try_from(target).unwrap_or(u64::MAX);
            let draw = self.draws.draw(subject, Purpose::Breaker, breaker.generation());
            breaker.settle(pass, result, draw, now);
        }
        if let Some(budget) = &mut self.budget {
            budget.ended(result, withdrawal, now);
        }
        if let Some(shed) = &mut state.shed {
            shed.ended(result, now);
        }
        if let Some(queue) = &mut state.queue {
            if let Some(aimd) = &mut state.aimd {
                aimd.ended(result, queue.in_flight(), began, now);
                queue.set_concurrency(Some(permits(&self.targets[target], aimd.limit())), now);
            }
            if let Some(cubic) = &mut state.cubic {
                cubic.ended(result, now);
                let pace = cubic.rate_milli().zip(cubic.burst_milli());
                let pace = pace
                    .map(|(milli_per_second, burst_milli)| Pace { milli_per_second, burst_milli });
                queue.set_pace(pace, now);
            }
        }
        self.settle(target, reservation, settlement, now);
    }

    /// Gives back what a call had taken of a target's quota and does not use.
    pub(crate) fn give_back(&mut self, target: usize, reservation: Reservation, now: Nanos) {
        self.settle(target, Some(reservation), Settlement::Refund, now);
    }

    fn settle(
        &mut self,
        target: usize,
        reservation: Option<Reservation>,
        settlement: Settlement,
        now: Nanos,
    ) {
        if let (Some(queue), Some(reservation)) = (self.queue_mut(target), reservation) {
            match settlement {
                Settlement::Used(actual) => queue.settle(reservation, actual, now),
                Settlement::Keep => queue.keep(reservation, now),
                Settlement::Refund => queue.refund(reservation, now),
            }
            if queue.is_empty() && !queue.is_occupied() {
                self.tell_others(target);
            }
        }
    }

    /// There is room on a target that nobody waits for: who waits for another may come here.
    fn tell_others(&mut self, free: usize) {
        let others = self.states.iter_mut().enumerate().filter(|(other, _)| *other != free);
        for queue in others.filter_map(|(_, state)| state.queue.as_mut()) {
            queue.tell_front();
        }
    }

    /// A call that had an attempt is over.
    pub(crate) fn call_ended(&mut self) {
        if let Some(budget) = &mut self.budget {
            budget.call_ended();
        }
    }
}

/// What an attempt is to those who count.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Departure {
    /// The first of its call.
    First,
    /// Neither the first nor a retry: to another target, or of something that was not processed, or shortened.
    Free,
    /// A retry after such a failure.
    Retry(Class),
}

/// What was taken for an attempt that is out; settled by [`Pool::answered`] or [`Pool::failed`].
#[derive(Debug)]
pub(crate) struct Ledger {
    pass: Option<Pass>,
    withdrawal: Option<Withdrawal>,
    reservation: Option<Reservation>,
    began: Nanos,
}

/// What becomes of a reservation.
#[derive(Clone, Copy, Debug)]
enum Settlement {
    /// Nobody knows what was used.
    Keep,
    /// Nothing was used.
    Refund,
    /// So much was used.
    Used(Cost),
}

/// Why an attempt may not be sent after all.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Refused {
    /// Other calls have spent the budget.
    Budget,
    /// Another call has opened the breaker, or was asked for a pause.
    Resting,
    /// The target refuses too much of what it is sent.
    Shed,
}

/// The next instant there is.
const NEXT: Duration = Duration::from_nanos(1);
