//! What all calls of a client share: the targets, how rested they are, and the lines in front of them.

use std::sync::Arc;
use std::time::Duration;

use crate::adaptive::aimd::Aimd;
use crate::adaptive::cubic::Cubic;
use crate::adaptive::shed::Shedder;
use crate::breaker::{Breaker, BreakerState};
use crate::budget::Budget;
use crate::draw::Draws;
use crate::hedge::Hedger;
use crate::limiter::Quota;
use crate::mistake::Mistakes;
use crate::policy::{Policy, PolicyMistake, target_mistakes};
use crate::queue::{Queue, Ticket};
use crate::target::Target;
use crate::time::Nanos;

mod hedges;
mod passage;

pub(crate) use passage::{Departure, Ledger, Refused};

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
    aimd: Option<Aimd>,
    cubic: Option<Cubic>,
    shed: Option<Shedder>,
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
    ) -> Result<Self, Mistakes<PolicyMistake>> {
        let targets = targets.into();
        let mut mistakes = policy.mistakes();
        mistakes.extend(target_mistakes(&targets));
        Mistakes::none_in(mistakes)?;
        let states = targets.iter().map(|target| State::new(policy, target)).collect();
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
    pub fn redeem(&mut self, target: usize, began: Nanos) {
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
}

impl State {
    /// A rested target; what the policy says has been found to be sound.
    fn new(policy: &Policy, target: &Target) -> Self {
        let aimd = policy.adaptive_concurrency.and_then(|settings| Aimd::new(settings).ok());
        let cubic = policy.adaptive_rate.then(|| Cubic::new(Nanos::ZERO));
        // Whoever adapts needs a line, if only for its permits and its pace.
        let quota = target
            .quota
            .clone()
            .or_else(|| (aimd.is_some() || cubic.is_some()).then(Quota::default));
        let mut queue = quota.and_then(|quota| Queue::new(&quota).ok());
        if let (Some(queue), Some(aimd)) = (&mut queue, &aimd) {
            queue.set_concurrency(Some(permits(target, aimd.limit())), Nanos::ZERO);
        }
        Self {
            queue,
            breaker: policy.breaker.and_then(|settings| Breaker::new(settings).ok()),
            hedger: policy.hedge.and_then(|settings| Hedger::new(settings).ok()),
            aimd,
            cubic,
            shed: policy.shed.and_then(|settings| Shedder::new(settings).ok()),
            ..Self::default()
        }
    }

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

/// What an adaptive limit may grant on a target that has a fixed one too.
fn permits(target: &Target, adaptive: u32) -> u32 {
    let fixed = target.quota.as_ref().and_then(|quota| quota.concurrency);
    fixed.map_or(adaptive, |fixed| fixed.min(adaptive))
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
