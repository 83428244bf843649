//! The attempts of a call that are with a transport: how each begins, how long it may take, and how it ends.

use std::time::Duration;

use super::{Action, Call, Failed, State};
use crate::class::{Cools, Phase, Retries, Sent};
use crate::classify::{Transport, transport};
use crate::draw::Purpose;
use crate::failure::Failure;
use crate::pool::{Departure, Ledger, Pool, Refused};
use crate::reservation::Reservation;
use crate::time::Nanos;
use crate::trace::{Leave, Skip, What};

/// An attempt that is with a transport.
#[derive(Debug)]
pub(super) struct Out {
    pub(super) attempt: u32,
    pub(super) target: usize,
    /// The phase that runs, if the transport reports phases, and when it is over.
    pub(super) phase: Option<(Phase, Nanos)>,
    /// When the attempt as a whole is over.
    pub(super) ends: Nanos,
    pub(super) token: bool,
    pub(super) committed: bool,
    pub(super) ledger: Ledger,
    /// Its place in the race; the first one is the original, the others are hedges.
    pub(super) place: Option<usize>,
}

impl Out {
    /// The phase that is over next, and when.
    pub(super) fn alarm(&self, deadline: Nanos) -> (Phase, Nanos) {
        let whole = if self.ends < deadline { Phase::Attempt } else { Phase::Call };
        match self.phase {
            Some((phase, until)) if until < self.ends => (phase, until),
            _ => (whole, self.ends),
        }
    }
}

impl Call {
    /// Sends, unless a breaker or the budget has changed its mind since the target was chosen.
    pub(super) fn send(
        &mut self,
        target: usize,
        reservation: Option<Reservation>,
        pool: &mut Pool,
        now: Nanos,
    ) -> Option<Action> {
        let retry_of = self.tries[target].retry_of;
        let departure = match retry_of {
            _ if self.attempts == 0 => Departure::First,
            None => Departure::Free,
            Some(failed) => Departure::Retry(failed.class),
        };
        let draw = self.shed_draw(target, pool);
        match (pool.depart(target, departure, reservation, draw, now), retry_of) {
            (Ok(ledger), _) => {
                self.current = Some(target);
                self.leaving = Leave::Busy;
                let place = self.begin_race(target, pool, now);
                self.state = State::Out;
                Some(self.go_out(target, ledger, place, now))
            }
            (Err(refused), retry_of) => {
                self.state = State::Ready;
                match (refused, retry_of) {
                    (Refused::Budget, Some(failed)) => {
                        self.leave(failed, Leave::Budget, pool, now);
                    }
                    (Refused::Shed, _) => {
                        self.tries[target].closed = true;
                        self.leaving = Leave::Shed;
                        self.skip(target, Skip::Shed, now);
                    }
                    (Refused::Budget, None) | (Refused::Resting, _) => {}
                }
                None
            }
        }
    }

    /// Hands an attempt to a transport, with everything paid.
    pub(super) fn go_out(
        &mut self,
        target: usize,
        ledger: Ledger,
        place: Option<usize>,
        now: Nanos,
    ) -> Action {
        self.attempts += 1;
        let attempt = self.attempts;
        let messages = self.messages(target);
        let ends = (now + self.policy.timeouts.attempt).min(self.deadline);
        self.outs.push(Out {
            attempt,
            target,
            phase: None,
            ends,
            token: false,
            committed: false,
            ledger,
            place,
        });
        let hedge = place.is_some_and(|place| place > 0);
        let messages_count = messages.len();
        let started = What::AttemptStarted { attempt, target, messages: messages_count, hedge };
        self.trace.push(started, now);
        let output_max = self.output_max(target);
        Action::Send { attempt, target, messages, output_max, ends }
    }

    /// An attempt has failed: books it, and tells everybody whom it concerns.
    pub(super) fn fail(&mut self, index: usize, failure: Failure, pool: &mut Pool, now: Nanos) {
        let Out { attempt, target, committed, ledger, place, .. } = self.outs.remove(index);
        let Failure { class, hint, .. } = failure;
        if let Some(hint) = hint
            && hint.after > Duration::ZERO
            && class.retryable()
        {
            pool.pause(target, now + hint.after.min(PAUSE_MAX));
        }
        if class.treatment().cools == Cools::Key {
            pool.rest_credential(target, now + self.policy.fallback.cooldown_credential, now);
        }
        // After the pause: what is released goes to the next in line at once.
        pool.failed(target, ledger, &failure, now);
        let retries = failure.retries();
        let held = Duration::ZERO;
        let failed = Failed { target, class, retries, hint, committed, at: now, held };
        self.tries[target].retry_of = Some(failed);
        let failure = Some(failure);
        self.trace.push(What::AttemptEnded { attempt, target, failure, usage: None }, now);
        if let Some(place) = place {
            self.loses(place, target, class, pool, now);
        }
        if committed || self.is_final(class) {
            self.drop_outs("the call is over", pool, now);
            self.state = State::Failed(failed);
            return;
        }
        // A hedge is a bet on the side: what comes after it is the first attempt's question.
        if place.is_some_and(|place| place > 0) {
            if class.truncates() && self.shorten(target, class, pool, now) {
                self.tries[target].retry_of = None;
            } else if retries == Retries::No {
                self.tries[target].closed = true;
            } else {
                self.tries[target].undecided = Some(failed);
            }
        } else {
            self.first = Some(failed);
        }
        if self.outs.is_empty() {
            let first = self.first.take().unwrap_or(failed);
            self.state = State::Failed(Failed { held: now.since(first.at), ..first });
        }
    }

    /// Ends every attempt that is still out, because its answer is not wanted any more.
    pub(super) fn drop_outs(&mut self, why: &str, pool: &mut Pool, now: Nanos) {
        for Out { attempt, target, ledger, place, phase, .. } in std::mem::take(&mut self.outs) {
            let mut failure = transport(Transport::Cancelled, why);
            if matches!(phase, Some((Phase::Connect, _))) {
                // Without a connection nothing can have been sent.
                failure.sent = Sent::No;
            }
            pool.failed(target, ledger, &failure, now);
            if let (Some(race), Some(place)) = (&mut self.race, place)
                && let Some(observation) = race.cancelled(place, None, now)
            {
                pool.observe_first_token(target, observation);
            }
            let failure = Some(failure);
            self.trace.push(What::AttemptEnded { attempt, target, failure, usage: None }, now);
            self.dooms.push_back(attempt);
        }
    }

    pub(super) fn overdue(&self, phase: Phase) -> Failure {
        let timeouts = self.policy.timeouts;
        let (what, span) = match phase {
            Phase::Attempt => ("no whole answer", timeouts.attempt),
            Phase::Call => ("the call was not over", timeouts.call),
            Phase::Connect => ("no connection", timeouts.connect),
            Phase::FirstToken => ("no content", timeouts.first_token),
            Phase::Idle => ("no further content", timeouts.idle),
        };
        transport(Transport::Timeout(phase), &format!("{what} within {span:?}"))
    }

    /// Looked up for every send, whether anything is shed or not.
    pub(super) fn shed_draw(&self, target: usize, pool: &Pool) -> u64 {
        let target = u64::try_from(target).unwrap_or(u64::MAX);
        let index = (u64::from(self.attempts) << 32) | target;
        pool.draws().draw(self.id, Purpose::Shed, index)
    }
}

/// The longest that one hint keeps all calls from a target.
/// A server that asks for a month, by mistake or in earnest, is asked again after an hour, by a call that never heard it.
const PAUSE_MAX: Duration = Duration::from_secs(3_600);
