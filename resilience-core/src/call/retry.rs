//! After a failed attempt: again here, elsewhere, or not at all.

use std::sync::Arc;
use std::time::Duration;

use super::{Call, Failed, State};
use crate::budget::Empty;
use crate::class::{Cools, MovesOn, Retries};
use crate::draw::Purpose;
use crate::hint::Hint;
use crate::pool::Pool;
use crate::time::Nanos;
use crate::trace::{Leave, Skip, StopReason, Wait, What};

impl Call {
    /// After a failure: again here, elsewhere, or not at all.
    pub(super) fn decide(&mut self, failed: Failed, pool: &mut Pool, now: Nanos) {
        let Failed { target, class, retries, hint, committed, held, .. } = failed;
        self.tries[target].undecided = None;
        let hinted = hint.filter(|hint| hint.after > Duration::ZERO);
        // While a hedge was still out, a part of it may have passed.
        let left = |hint: Hint| hint.after.saturating_sub(held);
        let retry_in = hinted.map(left);
        if committed {
            return self.stop(StopReason::Committed, retry_in, now);
        }
        if now >= self.deadline {
            return self.stop(StopReason::Deadline, retry_in, now);
        }
        if self.is_final(class) {
            return self.stop(StopReason::Final, retry_in, now);
        }
        if self.attempts >= self.policy.attempts_max {
            return self.stop(StopReason::AttemptsMax, retry_in, now);
        }
        if class.truncates() && self.shorten(target, class, pool, now) {
            self.tries[target].retry_of = None;
            self.state = State::Ready;
            return;
        }
        if retries == Retries::AtOnce && self.resends < RESENDS_MAX {
            self.resends += 1;
            self.tries[target].retry_of = None;
            self.state = State::Ready;
            return;
        }
        let tried = &mut self.tries[target];
        let permitted = retries != Retries::No;
        if !permitted {
            return self.leave(failed, Leave::Final, pool, now);
        }
        if tried.retries >= self.policy.retry.retries_max || tried.once && retries == Retries::Once
        {
            return self.leave(failed, Leave::Exhausted, pool, now);
        }
        tried.once |= retries == Retries::Once;
        tried.retries += 1;
        let retry = tried.retries;
        let previous = tried.previous;
        let moves_on = self.moves_on(class) == MovesOn::Next;
        if self.moves_on(class) == MovesOn::Never {
            // Whoever is asked next, it is this one: the others have nothing to do with it.
            for (other, tried) in self.tries.iter_mut().enumerate() {
                tried.closed |= other != target;
            }
        }
        let next_is_ready = moves_on && self.elsewhere(target, pool, now).is_some();

        let (least, wait, why) = if let Some(hint) = hinted {
            let draw = self.draw(pool, Purpose::Spread);
            let spread = self.policy.retry.spread.draw(hint.after, draw);
            (left(hint), left(hint).saturating_add(spread), Wait::Hint { retry, hint })
        } else {
            let draw = self.draw(pool, Purpose::Backoff);
            let wait = self.policy.retry.backoff.delay(retry, previous, draw);
            (wait, wait, Wait::Backoff { retry })
        };
        self.tries[target].previous = Some(wait);
        let too_long = hinted.is_some() && least > self.policy.fallback.wait_max;
        let beyond_cap = hinted.is_some_and(|hint| hint.after > self.policy.retry.hint_max);
        let too_late = now + least >= self.too_late();
        if next_is_ready && (too_long || beyond_cap || too_late) {
            // What cannot be in time now will not be later; what was asked to rest may be asked again.
            self.tries[target].closed = too_late;
            self.leaving = if too_late { Leave::TooLate } else { Leave::HintTooLong };
            self.state = State::Ready;
        } else if beyond_cap && moves_on && self.open() > 1 {
            // The target rests as asked; whichever is ready first, even if only later, goes on.
            self.leaving = Leave::HintTooLong;
            self.state = State::Ready;
        } else if beyond_cap {
            self.stop(StopReason::HintBeyondCap, Some(least), now);
        } else if too_late {
            self.stop(StopReason::Deadline, Some(least), now);
        } else if let Err(Empty { retry_in }) = pool.check_retry(class, now)
            && retry_in.is_none_or(|retry_in| retry_in > wait)
        {
            self.leave(failed, Leave::Budget, pool, now);
        } else {
            // The spread gives way to the deadline, the hint does not.
            let until = now + wait;
            let until = if until < self.too_late() { until } else { now + least };
            self.wait(target, until, why, now);
        }
    }

    /// Done with a target: rules out those that would answer the same, and goes on with what is left.
    pub(super) fn leave(&mut self, failed: Failed, leaving: Leave, pool: &mut Pool, now: Nanos) {
        let Failed { target, class, hint, .. } = failed;
        let treatment = class.treatment();
        let moves_on = self.moves_on(class);
        // A call that may not retry has not found out whether the target is well.
        if treatment.cools == Cools::Outage && leaving != Leave::Budget {
            pool.rest(target, now + self.policy.fallback.cooldown);
        }
        self.tries[target].closed = true;
        self.leaving = leaving;
        let targets = Arc::clone(pool.targets());
        let left = &targets[target];
        for (index, other) in targets.iter().enumerate() {
            let skip = match moves_on {
                MovesOn::Never => break,
                MovesOn::OtherCredential if other.credential == left.credential => {
                    Skip::SameCredential
                }
                MovesOn::LargerWindow if other.window.tokens <= left.window.tokens => {
                    Skip::SameWindow
                }
                MovesOn::LargerWindow | MovesOn::Next | MovesOn::OtherCredential => continue,
            };
            if !self.tries[index].closed {
                self.tries[index].closed = true;
                self.trace.push(What::Skipped { target: index, why: skip }, now);
            }
        }
        if moves_on == MovesOn::Never || self.tries.iter().all(|tried| tried.closed) {
            let why = match leaving {
                Leave::Budget => StopReason::Budget,
                Leave::Final => StopReason::Final,
                _ => StopReason::Exhausted,
            };
            return self.stop(why, hint.map(|hint| hint.after), now);
        }
        self.state = State::Ready;
    }
}

/// How often a call sends again, without a wait, what a server says it did not process.
const RESENDS_MAX: u32 = 2;
