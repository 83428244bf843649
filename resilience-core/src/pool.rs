//! What all calls of a client share: the targets, how rested they are, and the lines in front of them.

use std::sync::Arc;

use crate::limiter::{Cost, Refusal};
use crate::policy::{PolicyMistake, target_mistakes};
use crate::queue::{Claim, Queue, Ticket};
use crate::target::Target;
use crate::time::Nanos;

/// The targets of a client, in order of preference, with what its calls have learnt about them.
///
/// A [`crate::Call`] borrows the pool for each step and keeps nothing of it.
#[derive(Debug)]
pub struct Pool {
    targets: Arc<[Target]>,
    states: Vec<State>,
}

#[derive(Debug, Default)]
struct State {
    queue: Option<Queue>,
    /// Set by a server's hint.
    paused: Nanos,
    /// Set when retries did not help.
    outage: Nanos,
    /// Set when the key was refused or its quota spent.
    key: Nanos,
    /// When that was last.
    key_since: Nanos,
}

impl Pool {
    /// Rested targets, or everything that is wrong with them.
    pub fn new(targets: impl Into<Arc<[Target]>>) -> Result<Self, Vec<PolicyMistake>> {
        let targets = targets.into();
        let mistakes = target_mistakes(&targets);
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        let states = targets
            .iter()
            .map(|target| State {
                queue: target.quota.as_ref().and_then(|quota| Queue::new(quota).ok()),
                ..State::default()
            })
            .collect();
        Ok(Self { targets, states })
    }

    /// The targets, in order of preference.
    pub fn targets(&self) -> &Arc<[Target]> {
        &self.targets
    }

    /// Until when a target rests, and why; `None` if it is ready at `now`.
    ///
    /// Of several reasons, the one that holds longest.
    pub fn cooling(&self, target: usize, now: Nanos) -> Option<Cooling> {
        let state = self.states.get(target)?;
        [
            (state.paused, CoolReason::Hint),
            (state.outage, CoolReason::Outage),
            (state.key, CoolReason::Credential),
        ]
        .into_iter()
        .filter(|(until, _)| *until > now)
        .max_by_key(|(until, _)| *until)
        .map(|(until, why)| Cooling { until, why })
    }

    /// Until when a target rests for a reason that passes by itself, and which.
    pub(crate) fn resting(&self, target: usize) -> (Nanos, CoolReason) {
        let state = &self.states[target];
        if state.outage > state.paused {
            (state.outage, CoolReason::Outage)
        } else {
            (state.paused, CoolReason::Hint)
        }
    }

    /// Whether a target's key was refused or spent a short while ago.
    pub(crate) fn key_rests(&self, target: usize, now: Nanos) -> Option<Cooling> {
        let until = self.states[target].key;
        (until > now).then_some(Cooling { until, why: CoolReason::Credential })
    }

    /// Rests whatever has the same model and credential: the server asked for it.
    ///
    /// Like every rest, it can be prolonged but not cut short by a later, shorter one.
    pub fn pause(&mut self, target: usize, until: Nanos) {
        let Some(asked) = self.targets.get(target) else { return };
        for (other, state) in self.targets.iter().zip(&mut self.states) {
            if other.credential == asked.credential && other.model == asked.model {
                state.paused = state.paused.max(until);
                if let Some(queue) = &mut state.queue {
                    queue.pause_until(until);
                }
            }
        }
    }

    /// Rests a target that retries did not help, unless there is no other.
    pub fn rest(&mut self, target: usize, until: Nanos) {
        if self.targets.len() < 2 {
            return;
        }
        if let Some(state) = self.states.get_mut(target) {
            state.outage = state.outage.max(until);
        }
    }

    /// Rests every target that uses the same credential.
    pub fn rest_credential(&mut self, target: usize, until: Nanos, now: Nanos) {
        let Some(refused) = self.targets.get(target) else { return };
        for (other, state) in self.targets.iter().zip(&mut self.states) {
            if other.credential == refused.credential {
                state.key = state.key.max(until);
                state.key_since = state.key_since.max(now);
            }
        }
    }

    /// Tells that a target has answered an attempt that began at `began`: its key is good again, if that was later than its refusal.
    ///
    /// An answer that was long under way proves nothing about a key that was refused meanwhile.
    pub fn answered(&mut self, target: usize, began: Nanos) {
        let Some(answered) = self.targets.get(target) else { return };
        for (other, state) in self.targets.iter().zip(&mut self.states) {
            if other.credential == answered.credential && began >= state.key_since {
                state.key = Nanos::ZERO;
            }
        }
    }

    /// A seat of somebody whose turn has come, or who has moved to the front of a line, through another call's doing.
    ///
    /// A driver polls the call that holds the seat; each change is told once.
    pub fn pop_news(&mut self) -> Option<Seat> {
        self.states.iter_mut().enumerate().find_map(|(target, state)| {
            let ticket = state.queue.as_mut()?.pop_news()?;
            Some(Seat { target, ticket })
        })
    }

    /// The line in front of a target, if it has a quota.
    pub fn queue_mut(&mut self, target: usize) -> Option<&mut Queue> {
        self.states.get_mut(target)?.queue.as_mut()
    }

    /// When a target's quota would have room for a newcomer; `now` if it has no quota.
    pub(crate) fn turn_at(
        &mut self,
        target: usize,
        cost: Cost,
        now: Nanos,
    ) -> Result<Nanos, Refusal> {
        self.queue_mut(target).map_or(Ok(now), |queue| queue.turn_at(cost, now))
    }

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

    pub(crate) fn claim(&mut self, seat: Seat, now: Nanos) -> Claim {
        self.queue_mut(seat.target).map_or(Claim::Granted, |queue| queue.claim(seat.ticket, now))
    }

    pub(crate) fn cancel(&mut self, seat: Seat, now: Nanos) {
        if let Some(queue) = self.queue_mut(seat.target) {
            queue.cancel(seat.ticket, now);
        }
    }

    pub(crate) fn give_back(&mut self, target: usize, cost: Cost, now: Nanos) {
        if let Some(queue) = self.queue_mut(target) {
            queue.give_back(cost, now);
        }
    }
}

/// A place in the line of one target.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Seat {
    /// The target, by its place in the pool.
    pub target: usize,
    /// The place in its line.
    pub ticket: Ticket,
}

/// A target's rest.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Cooling {
    /// When it ends.
    pub until: Nanos,
    /// What caused it.
    pub why: CoolReason,
}

/// Why a target rests.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum CoolReason {
    /// Its key was refused or is spent.
    Credential,
    /// The server asked for it.
    Hint,
    /// A call's retries did not help.
    Outage,
}
