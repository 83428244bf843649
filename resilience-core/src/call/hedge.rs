//! A second attempt beside one that is late.

use super::{Action, Call};
use crate::class::Class;
use crate::hedge::{Hedge, Hindrance, NoHedge};
use crate::limiter::Cost;
use crate::pool::{Departure, Pool};
use crate::race::Race;
use crate::time::Nanos;

/// What there is to do about a hedge.
pub(super) enum Hedging {
    /// None is due, and none will be unless something happens.
    Not,
    /// Send this.
    Send(Action),
    /// One may be due then.
    Until(Nanos),
}

impl Call {
    /// Sends a hedge if it is time for one.
    ///
    /// It goes to another target, at once or not at all: whoever would have to wait is no faster way to an answer.
    pub(super) fn hedge(&mut self, pool: &mut Pool, now: Nanos) -> Hedging {
        let Some(race) = &self.race else { return Hedging::Not };
        let began = self.outs.iter().any(|out| out.token || out.committed);
        if began || self.attempts >= self.policy.attempts_max || now >= self.too_late() {
            return Hedging::Not;
        }
        let Some(first) = self.outs.first().map(|out| out.target) else { return Hedging::Not };
        // Nothing is looked for or paid as long as it is too early.
        match pool.hedge(first, race, Some(Hindrance::LimiterWaits), now) {
            Some(Hedge::Wait { until }) => return Hedging::Until(until),
            Some(Hedge::Withhold(NoHedge::Hindered(_))) => {}
            Some(Hedge::Send(_) | Hedge::Withhold(_)) | None => return Hedging::Not,
        }
        let asked: Vec<_> = self.outs.iter().map(|out| out.target).collect();
        for target in self.order() {
            if !asked.contains(&target)
                && !self.tries[target].closed
                && self.tries[target].retry_of.is_none()
                && let Some(cost) = self.cost_at_once(target, pool, now)
            {
                return self.send_hedge(first, target, cost, pool, now);
            }
        }
        Hedging::Not
    }

    fn send_hedge(
        &mut self,
        first: usize,
        target: usize,
        cost: Cost,
        pool: &mut Pool,
        now: Nanos,
    ) -> Hedging {
        let Some(race) = &self.race else { return Hedging::Not };
        let Some(Hedge::Send(paid)) = pool.hedge(first, race, None, now) else {
            return Hedging::Not;
        };
        let draw = self.shed_draw(target, pool);
        let ledger = pool.try_take(target, cost, now).ok().and_then(|reservation| {
            pool.depart(target, Departure::Free, reservation, draw, now).ok()
        });
        let Some(ledger) = ledger else {
            pool.refund_hedge(first, paid, now);
            return Hedging::Not;
        };
        let place = self.race.as_mut().map(|race| pool.hedge_sent(first, race, paid, now));
        Hedging::Send(self.go_out(target, ledger, place, now))
    }

    /// What an attempt on a target costs, if it could be sent this instant.
    fn cost_at_once(&mut self, target: usize, pool: &mut Pool, now: Nanos) -> Option<Cost> {
        let (rested, _) = pool.resting(target, now);
        if rested > now || pool.key_rests(target, now).is_some() {
            return None;
        }
        if self.fit_in(target, pool, now).is_err() {
            self.tries[target].closed = true;
            return None;
        }
        let cost = self.cost(target, pool);
        pool.turn_at(target, cost, now).is_ok_and(|turn| turn <= now).then_some(cost)
    }

    /// An attempt has its first content or its answer: the others have lost.
    pub(super) fn wins(&mut self, index: usize, pool: &mut Pool, now: Nanos) {
        let winner = self.outs.remove(index);
        if let (Some(race), Some(place)) = (&mut self.race, winner.place)
            && let Some(observation) = race.succeeded(place, None, now)
        {
            pool.observe_first_token(winner.target, observation);
        }
        self.drop_outs("another attempt was first", pool, now);
        self.outs.push(winner);
    }

    /// An attempt has failed; of those that run side by side it is one less.
    pub(super) fn loses(
        &mut self,
        place: usize,
        target: usize,
        class: Class,
        pool: &mut Pool,
        now: Nanos,
    ) {
        let observation = self.race.as_mut().and_then(|race| race.failed(place, class, now));
        if let Some(observation) = observation {
            pool.observe_first_token(target, observation);
        }
    }

    /// Begins a race with its first attempt, if the policy hedges.
    pub(super) fn begin_race(
        &mut self,
        target: usize,
        pool: &mut Pool,
        now: Nanos,
    ) -> Option<usize> {
        self.policy.hedge?;
        debug_assert!(self.outs.is_empty(), "a race begins with one attempt");
        let race = self.race.insert(Race::default());
        let place = race.sent(now);
        if self.attempts == 0 {
            pool.hedge_began(target, now);
        }
        Some(place)
    }
}
