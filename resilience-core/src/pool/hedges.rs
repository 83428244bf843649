//! What a call asks about a second attempt beside a late one.

use super::Pool;
use crate::budget::Withdrawal;
use crate::hedge::{Hedge, Hindrance};
use crate::race::{Race, Sample};
use crate::time::Nanos;

impl Pool {
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
    pub(crate) fn observe_first_token(&mut self, target: usize, sample: Sample) {
        if let Some(hedger) = &mut self.states[target].hedger {
            hedger.observe(sample);
        }
    }
}
