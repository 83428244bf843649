//! Which target is asked next.

use super::{Call, Failed, State};
use crate::draw::Purpose;
use crate::limiter::Refusal;
use crate::pool::{CoolReason, Cooling, Pool};
use crate::queue::Taken;
use crate::reservation::Reservation;
use crate::time::Nanos;
use crate::trace::{Leave, Skip, StopReason, Wait, What};

impl Call {
    /// Picks the target of the next attempt; `None` means that something else comes first.
    pub(super) fn choose(
        &mut self,
        pool: &mut Pool,
        now: Nanos,
    ) -> Option<(usize, Option<Reservation>)> {
        if self.attempts >= self.policy.attempts_max {
            self.stop(StopReason::AttemptsMax, None, now);
            return None;
        }
        let mut passed = Vec::new();
        let mut soonest: Option<(Nanos, usize, Option<Cooling>)> = None;
        let mut beyond_cap: Option<(Nanos, usize, Option<Cooling>)> = None;
        let mut refused_key = None;
        let mut chosen = None;
        for target in self.order() {
            if self.tries[target].closed {
                continue;
            }
            if let Err(cannot_fit) = self.fit_in(target, pool, now) {
                self.tries[target].closed = true;
                passed.push((target, Skip::CannotFit(cannot_fit)));
                continue;
            }
            let cost = self.cost(target, pool);
            let turn = match pool.turn_at(target, cost, now) {
                Ok(turn) => turn,
                Err(refusal) => {
                    self.tries[target].closed = true;
                    passed.push((target, Skip::Quota(refusal)));
                    continue;
                }
            };
            let (rested, why) = pool.resting(target, now);
            let cooling = (rested > now).then_some(Cooling { until: rested, why });
            let ready = turn.max(rested).max(now);
            if let Some(key) = pool.key_rests(target, now) {
                refused_key.get_or_insert((ready, target, cooling));
                passed.push((target, Skip::Cooling(key)));
                continue;
            }
            let wait = ready.since(now);
            let granted = cooling.is_none_or(|cooling| {
                cooling.why == CoolReason::Hint
                    && cooling.until.since(now) <= self.policy.retry.hint_max
            });
            // Nobody knows when a permit is released.
            let granted = granted && !pool.is_occupied(target);
            let passes_soon =
                granted && wait <= self.policy.fallback.wait_max && ready < self.too_late();
            if ready == now || passes_soon {
                chosen = Some((ready, target, cooling));
                break;
            }
            let skip = match cooling {
                Some(cooling) if cooling.until >= turn => Skip::Cooling(cooling),
                _ => Skip::Quota(Refusal::Wait { until: turn }),
            };
            passed.push((target, skip));
            // A target that asks for a longer wait than is granted is no way on while there is another.
            let asks_too_long = cooling.is_some_and(|cooling| {
                cooling.why == CoolReason::Hint
                    && cooling.until.since(now) > self.policy.retry.hint_max
            });
            let best = if asks_too_long { &mut beyond_cap } else { &mut soonest };
            if best.is_none_or(|(at, ..)| ready < at) {
                *best = Some((ready, target, cooling));
            }
        }
        // A key may have been paid for or replaced: with nothing else left, one attempt finds out.
        let chosen = chosen.or(soonest).or(beyond_cap).or(refused_key);
        for (target, skip) in passed {
            if chosen.is_none_or(|(_, chosen, _)| chosen != target) {
                self.skip(target, skip, now);
            }
        }
        let Some((ready, target, cooling)) = chosen else {
            let why = match self.leaving {
                Leave::Shed => StopReason::Shed,
                _ if self.attempts == 0 => StopReason::Unservable,
                Leave::Budget => StopReason::Budget,
                Leave::Final => StopReason::Final,
                _ => StopReason::Exhausted,
            };
            self.stop(why, None, now);
            return None;
        };
        if let Some(undecided) = self.tries[target].undecided.take() {
            self.state = State::Failed(Failed { held: now.since(undecided.at), ..undecided });
            return None;
        }
        let wait = ready.since(now);
        let asked = cooling.filter(|cooling| cooling.why == CoolReason::Hint);
        if asked.is_some_and(|asked| asked.until.since(now) > self.policy.retry.hint_max) {
            self.stop(StopReason::HintBeyondCap, Some(wait), now);
            None
        } else if ready >= self.too_late() {
            self.stop(StopReason::Deadline, Some(wait), now);
            None
        } else {
            self.go(target, cooling, pool, now)
        }
    }

    /// Takes a chosen target as far as it goes: waits for its rest or its quota, or sends.
    fn go(
        &mut self,
        target: usize,
        cooling: Option<Cooling>,
        pool: &mut Pool,
        now: Nanos,
    ) -> Option<(usize, Option<Reservation>)> {
        if let Some(cooling) = cooling {
            let draw = self.draw(pool, Purpose::Spread);
            let spread = self.policy.retry.spread.draw(cooling.until.since(now), draw);
            // The spread gives way to the deadline, the rest does not.
            let until = cooling.until + spread;
            let until = if until < self.too_late() { until } else { cooling.until };
            self.wait(target, until, Wait::Cooling(cooling), now);
            return None;
        }
        if let Some(from) = self.current {
            self.fall_back(from, target, now);
        }
        let cost = self.cost(target, pool);
        let deadline = self.too_late().min(now + self.policy.timeouts.queue);
        match pool.enqueue(target, cost, deadline, now) {
            Ok(None) => Some((target, None)),
            Ok(Some(seat)) => {
                if let Taken::Granted(reservation) = pool.take(seat, now) {
                    return Some((target, Some(reservation)));
                }
                self.trace.push(What::Queued { target }, now);
                self.state = State::Queued { seat };
                None
            }
            Err(refusal) => {
                self.tries[target].closed = true;
                self.skip(target, Skip::Quota(refusal), now);
                None
            }
        }
    }

    /// All targets, the current one first and then in order of preference; whoever asks them leaves out those that are closed.
    pub(super) fn order(&self) -> impl Iterator<Item = usize> + use<> {
        let current = self.current;
        let rest = (0..self.tries.len()).filter(move |target| Some(*target) != current);
        current.into_iter().chain(rest)
    }

    /// How many targets may still be asked.
    pub(super) fn open(&self) -> usize {
        self.tries.iter().filter(|tried| !tried.closed).count()
    }

    /// Another target that could be asked within the fallback's patience.
    pub(super) fn elsewhere(&mut self, not: usize, pool: &mut Pool, now: Nanos) -> Option<usize> {
        let patience = (now + self.policy.fallback.wait_max).min(self.too_late());
        let open = |call: &Self, target: usize| !call.tries[target].closed && target != not;
        self.order().find(|target| {
            if !open(self, *target) {
                return false;
            }
            let cost = self.cost(*target, pool);
            let (rested, why) = pool.resting(*target, now);
            let rests = rested > now
                && (why != CoolReason::Hint
                    || rested >= patience
                    || rested.since(now) > self.policy.retry.hint_max);
            !rests
                && pool.key_rests(*target, now).is_none()
                && !pool.is_occupied(*target)
                && pool.turn_at(*target, cost, now).is_ok_and(|turn| turn < patience)
        })
    }

    pub(super) fn skip(&mut self, target: usize, why: Skip, now: Nanos) {
        // A call that looks around often says the same thing once.
        if self.tries[target].skipped.replace(why) != Some(why) {
            self.trace.push(What::Skipped { target, why }, now);
        }
    }

    fn fall_back(&mut self, from: usize, to: usize, now: Nanos) {
        if from != to {
            self.trace.push(What::FellBack { from, to, why: self.leaving }, now);
        }
        self.current = Some(to);
        self.leaving = Leave::Busy;
    }
}
