//! What all calls of a client share: the targets, how rested they are, and the lines in front of them.

use std::sync::Arc;
use std::time::Duration;

use crate::breaker::{Breaker, BreakerState, Pass};
use crate::budget::{Budget, Empty, Withdrawal};
use crate::class::Class;
use crate::draw::{Draws, Purpose};
use crate::hedge::{Hedge, Hedger, Hindrance};
use crate::limiter::{Cost, Refusal};
use crate::policy::{Policy, PolicyMistake, target_mistakes};
use crate::queue::{Claim, Queue, Ticket};
use crate::race::{Observation, Race};
use crate::target::Target;
use crate::time::Nanos;

/// The targets of a client, in order of preference, with what its calls have learnt about them.
///
/// A [`crate::Call`] borrows the pool for each step and keeps nothing of it.
#[derive(Debug)]
pub struct Pool {
    targets: Arc<[Target]>,
    states: Vec<State>,
    /// One for all targets: what retries add together is the client's doing.
    budget: Option<Budget>,
    draws: Draws,
}

#[derive(Debug, Default)]
struct State {
    queue: Option<Queue>,
    breaker: Option<Breaker>,
    hedger: Option<Hedger>,
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
    /// Rested targets and a fresh budget, or everything that is wrong with the policy and the targets.
    pub fn new(
        policy: &Policy,
        targets: impl Into<Arc<[Target]>>,
        draws: Draws,
    ) -> Result<Self, Vec<PolicyMistake>> {
        let targets = targets.into();
        let mut mistakes = policy.validate().err().unwrap_or_default();
        mistakes.extend(target_mistakes(&targets));
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        let breaker = policy.breaker.and_then(|settings| Breaker::new(settings).ok());
        let hedger = policy.hedge.and_then(|settings| Hedger::new(settings).ok());
        let states = targets
            .iter()
            .map(|target| State {
                queue: target.quota.as_ref().and_then(|quota| Queue::new(quota).ok()),
                breaker: breaker.clone(),
                hedger: hedger.clone(),
                ..State::default()
            })
            .collect();
        let budget = policy.budget.and_then(|settings| Budget::new(settings).ok());
        Ok(Self { targets, states, budget, draws })
    }

    /// Where chance is looked up.
    pub fn draws(&self) -> Draws {
        self.draws
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
            (state.open_until(now), CoolReason::Breaker),
            (state.key, CoolReason::Credential),
        ]
        .into_iter()
        .filter(|(until, _)| *until > now)
        .max_by_key(|(until, _)| *until)
        .map(|(until, why)| Cooling { until, why })
    }

    /// Until when a target rests for a reason that passes by itself, and which.
    pub(crate) fn resting(&self, target: usize, now: Nanos) -> (Nanos, CoolReason) {
        let state = &self.states[target];
        let open = state.open_until(now);
        let (until, why) = if open > state.outage {
            (open, CoolReason::Breaker)
        } else {
            (state.outage, CoolReason::Outage)
        };
        if until > state.paused { (until, why) } else { (state.paused, CoolReason::Hint) }
    }

    /// Whether the retries of all calls leave room for one more after such a failure, or when they may.
    pub(crate) fn check_retry(&mut self, class: Class, now: Nanos) -> Result<(), Empty> {
        self.budget.as_mut().map_or(Ok(()), |budget| budget.check(class, now))
    }

    /// An attempt is to be sent: asks the breaker, and pays for it if it is a retry; refused, nothing is taken.
    pub(crate) fn depart(
        &mut self,
        target: usize,
        departure: Departure,
        now: Nanos,
    ) -> Result<Ledger, Refused> {
        if let (Some(budget), Departure::Retry(class)) = (&mut self.budget, departure) {
            budget.check(class, now).map_err(|_| Refused::Budget)?;
        }
        let breaker = self.states[target].breaker.as_mut();
        let pass = breaker.map(|breaker| breaker.admit(now)).transpose();
        let pass = pass.map_err(|_| Refused::Breaker)?;
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
        Ok(Ledger { pass, withdrawal })
    }

    /// An attempt is over: settles what was taken for it.
    pub(crate) fn arrive(
        &mut self,
        target: usize,
        ledger: Ledger,
        result: Result<(), Class>,
        now: Nanos,
    ) {
        let Ledger { pass, withdrawal } = ledger;
        if let (Some(breaker), Some(pass)) = (&mut self.states[target].breaker, pass) {
            let subject = u64::try_from(target).unwrap_or(u64::MAX);
            let draw = self.draws.draw(subject, Purpose::Breaker, breaker.generation());
            breaker.settle(pass, result, draw, now);
        }
        if let Some(budget) = &mut self.budget {
            budget.ended(result, withdrawal, now);
        }
    }

    /// The first attempt of a call went to this target.
    pub(crate) fn hedge_began(&mut self, target: usize, now: Nanos) {
        if let Some(hedger) = &mut self.states[target].hedger {
            hedger.began(now);
        }
    }

    /// Whether a race that began on this target gets a hedge; `None` if the policy has none.
    pub(crate) fn hedge(
        &mut self,
        target: usize,
        race: &Race,
        hindrance: Option<Hindrance>,
        now: Nanos,
    ) -> Option<Hedge> {
        let hedger = self.states[target].hedger.as_mut()?;
        Some(hedger.decide(race, hindrance, now))
    }

    /// A hedge that was paid for is sent; this is its place in the race.
    pub(crate) fn hedge_sent(
        &mut self,
        target: usize,
        race: &mut Race,
        paid: Withdrawal,
        now: Nanos,
    ) -> usize {
        let hedger = self.states[target].hedger.as_mut().expect("it has decided for this hedge");
        hedger.send(race, paid, now)
    }

    /// A hedge that was paid for is not sent after all.
    pub(crate) fn refund_hedge(&mut self, target: usize, paid: Withdrawal, now: Nanos) {
        if let Some(hedger) = &mut self.states[target].hedger {
            hedger.refund(paid, now);
        }
    }

    /// How long a target's first token took.
    pub(crate) fn observe_first_token(&mut self, target: usize, observation: Observation) {
        if let Some(hedger) = &mut self.states[target].hedger {
            hedger.observe(observation);
        }
    }

    /// A call that had an attempt is over.
    pub(crate) fn call_ended(&mut self) {
        if let Some(budget) = &mut self.budget {
            budget.call_ended();
        }
    }

    /// The breaker of a target, if the policy has one.
    pub fn breaker(&self, target: usize) -> Option<&Breaker> {
        self.states.get(target)?.breaker.as_ref()
    }

    /// The retry budget, if the policy has one.
    pub fn budget_mut(&mut self) -> Option<&mut Budget> {
        self.budget.as_mut()
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

impl State {
    /// Until when the breaker lets nobody pass, as far as is known now.
    fn open_until(&self, now: Nanos) -> Nanos {
        let ready_at = self.breaker.as_ref().map_or(Nanos::ZERO, |breaker| breaker.ready_at(now));
        // A trial's result may free the way long before its time is over, and nobody tells those who wait.
        let trying = self
            .breaker
            .as_ref()
            .is_some_and(|breaker| breaker.state(now) == BreakerState::HalfOpen);
        if trying { ready_at.min(now + TRIAL_PATIENCE) } else { ready_at }
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

/// What was taken for an attempt that is out; settled by [`Pool::arrive`].
#[derive(Debug)]
pub(crate) struct Ledger {
    pass: Option<Pass>,
    withdrawal: Option<Withdrawal>,
}

/// Why an attempt may not be sent after all.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Refused {
    /// Another call has opened the breaker.
    Breaker,
    /// Other calls have spent the budget.
    Budget,
}

/// How long those wait who find all trials of a breaker under way.
const TRIAL_PATIENCE: Duration = Duration::from_secs(1);

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
    /// Too many attempts of all calls failed there.
    Breaker,
    /// Its key was refused or is spent.
    Credential,
    /// The server asked for it.
    Hint,
    /// A call's retries did not help.
    Outage,
}

impl CoolReason {
    /// A name in kebab case, fit for a report.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Breaker => "breaker",
            Self::Credential => "credential",
            Self::Hint => "hint",
            Self::Outage => "outage",
        }
    }
}
