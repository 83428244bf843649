//! One logical call as a state machine: what to do next, given what has happened.
//!
//! A driver asks [`Call::poll`] what to do, does it, and tells [`Call::handle`] what came of it.
//! The machine never waits, sends or reads a clock, so the same machine runs under tokio and, by the thousand, in a simulation.
//!
//! The order of calls:
//!
//! 1. `poll` *must* be called first, after every `handle`, at the instant an action names, and when [`Pool::pop_news`] tells of the call's seat.
//! 2. After [`Action::Send`] the driver hands the attempt to a transport and *may* report [`Event::Connecting`], [`Event::Connected`], [`Event::Token`] and [`Event::Committed`]; it *must* report [`Event::Answered`] or [`Event::Failed`], unless a poll says that the attempt is over.
//! 3. An action other than [`Action::Attend`] means that no attempt is out; whatever the transport still does is to be dropped.
//! 4. After [`Action::Done`] nothing changes any more. A call that is dropped before it *must* be abandoned, so that it leaves the lines it stands in.

use std::sync::Arc;
use std::time::Duration;

use self::fitting::Fitting;
use crate::class::{Class, Cools, Phase, Retries, Sent};
use crate::classify::{Transport, transport};
use crate::draw::{Draws, Purpose};
use crate::failure::Failure;
use crate::hint::Hint;
use crate::limiter::Cost;
use crate::message::{Message, Request};
use crate::policy::Policy;
use crate::pool::{Pool, Seat};
use crate::queue::Claim;
use crate::time::Nanos;
use crate::trace::{Finish, Leave, Skip, StopReason, Trace, Wait, What};

mod fallback;
mod fitting;
mod retry;

/// One logical call: all its attempts, on all targets.
#[derive(Debug)]
pub struct Call {
    id: u64,
    request: Request,
    policy: Policy,
    deadline: Nanos,
    state: State,
    /// One for each target of the pool.
    tries: Vec<Try>,
    /// Where the last attempt went, or the next one should go first.
    current: Option<usize>,
    leaving: Leave,
    attempts: u32,
    resends: u32,
    draws: u64,
    trace: Trace,
}

#[derive(Debug)]
enum State {
    Done(Finish),
    /// An attempt has failed and nothing is decided yet.
    Failed(Failed),
    Out(Out),
    Queued {
        seat: Seat,
        cost: Cost,
    },
    Ready,
    Waiting {
        until: Nanos,
        why: Wait,
    },
}

/// What is known about one target, in this call.
#[derive(Debug, Default)]
struct Try {
    /// Not to be asked again.
    closed: bool,
    retries: u32,
    /// The single retry of [`Retries::Once`] is used up.
    once: bool,
    fitting: Fitting,
    previous: Option<Duration>,
    /// The shortened conversation, if it had to be shortened.
    messages: Option<Arc<[Message]>>,
    /// For each kept message its index in the caller's conversation.
    kept: Option<Vec<usize>>,
    /// The answer's limit, if it had to be lowered.
    output_max: Option<u64>,
    cost: Option<Cost>,
    skipped: Option<Skip>,
}

/// An attempt that is with the transport.
#[derive(Clone, Copy, Debug)]
struct Out {
    attempt: u32,
    target: usize,
    cost: Cost,
    began: Nanos,
    /// The phase that runs, if the transport reports phases, and when it is over.
    phase: Option<(Phase, Nanos)>,
    /// When the attempt as a whole is over.
    ends: Nanos,
    token: bool,
    committed: bool,
}

#[derive(Clone, Copy, Debug)]
struct Failed {
    target: usize,
    class: Class,
    retries: Retries,
    hint: Option<Hint>,
    committed: bool,
}

/// What the driver should do.
#[derive(Clone, Debug)]
pub enum Action {
    /// Wait in line for a target's quota: poll at `until`, or when the pool has news of `seat`.
    Acquire {
        /// The place in the line.
        seat: Seat,
        /// When to poll at the latest; far away for all but the front of the line.
        until: Nanos,
    },
    /// An attempt is out: poll at `until` if nothing has happened before.
    Attend {
        /// When the phase is over.
        until: Nanos,
        /// The phase.
        phase: Phase,
    },
    /// The call has ended.
    Done(Finish),
    /// Send this, then poll.
    Send {
        /// The attempt's number, from 1.
        attempt: u32,
        /// Where to, by its place in the pool.
        target: usize,
        /// The conversation, shortened if it had to be.
        messages: Arc<[Message]>,
        /// The most tokens that the answer may have: the request's own limit, or less if the target has no room for it.
        output_max: Option<u64>,
        /// When the attempt as a whole is over.
        ends: Nanos,
    },
    /// Do nothing until then.
    Wait {
        /// When to poll.
        until: Nanos,
        /// Why.
        why: Wait,
    },
}

/// What happened to the attempt that is out.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Event {
    /// It was answered in full.
    Answered,
    /// Content of it has reached the caller and cannot be taken back.
    Committed,
    /// It has its connection.
    Connected,
    /// It begins to look for a connection; without this report, no connect timeout applies.
    Connecting,
    /// It failed.
    Failed(Failure),
    /// A piece of content arrived.
    Token,
}

impl Call {
    /// A call that begins now.
    ///
    /// `id` is the address of its draws: two calls with the same id and seed meet the same luck.
    pub fn new(id: u64, request: Request, policy: Policy, now: Nanos) -> Self {
        Self {
            id,
            request,
            policy,
            deadline: now + policy.timeouts.call,
            state: State::Ready,
            tries: Vec::new(),
            current: None,
            leaving: Leave::Busy,
            attempts: 0,
            resends: 0,
            draws: 0,
            trace: Trace::new(id, now),
        }
    }

    /// The instant at which the call ends in any case.
    pub fn deadline(&self) -> Nanos {
        self.deadline
    }

    /// How many attempts were sent.
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// What happened so far.
    pub fn trace(&self) -> &Trace {
        &self.trace
    }

    /// What happened so far, taken out.
    pub fn take_trace(&mut self) -> Trace {
        let Trace { call, begun, .. } = self.trace;
        std::mem::replace(&mut self.trace, Trace::new(call, begun))
    }

    /// What to do now.
    pub fn poll(&mut self, pool: &mut Pool, draws: &Draws, now: Nanos) -> Action {
        self.tries.resize_with(pool.targets().len(), Try::default);
        loop {
            match &self.state {
                State::Done(finish) => return Action::Done(*finish),
                State::Out(out) => {
                    let (phase, until) = out.alarm(self.deadline);
                    if now < until {
                        return Action::Attend { until, phase };
                    }
                    let overdue = self.overdue(phase);
                    self.fail(overdue, pool, now);
                }
                State::Failed(failed) => {
                    let failed = *failed;
                    self.decide(failed, pool, *draws, now);
                }
                State::Queued { seat, .. } if now >= self.deadline => {
                    pool.cancel(*seat, now);
                    self.stop(StopReason::Deadline, None, now);
                }
                _ if now >= self.deadline => self.stop(StopReason::Deadline, None, now),
                State::Queued { seat, cost } => {
                    let (seat, cost) = (*seat, *cost);
                    match pool.claim(seat, now) {
                        Claim::Granted => return self.send(seat.target, cost, pool, now),
                        Claim::Front { until } => {
                            // A pause has come while we stood here, and somebody else is ready.
                            if until.since(now) > self.policy.fallback.wait_max
                                && self.elsewhere(seat.target, pool, now).is_some()
                            {
                                pool.cancel(seat, now);
                                self.state = State::Ready;
                                continue;
                            }
                            return Action::Acquire { seat, until: until.min(self.deadline) };
                        }
                        Claim::Behind => return Action::Acquire { seat, until: self.deadline },
                        Claim::Unknown => self.state = State::Ready,
                    }
                }
                State::Waiting { until, why } if now < *until => {
                    return Action::Wait { until: *until, why: *why };
                }
                State::Waiting { .. } => self.state = State::Ready,
                State::Ready => {
                    if let Some((target, cost)) = self.choose(pool, *draws, now) {
                        return self.send(target, cost, pool, now);
                    }
                }
            }
        }
    }

    /// Takes note of what happened to the attempt that is out; without one, of nothing.
    pub fn handle(&mut self, event: Event, pool: &mut Pool, now: Nanos) {
        let timeouts = self.policy.timeouts;
        let State::Out(out) = &mut self.state else { return };
        let attempt = out.attempt;
        match event {
            Event::Answered => {
                let Out { target, began, .. } = *out;
                pool.answered(target, began);
                self.trace.push(What::AttemptEnded { attempt, target, failure: None }, now);
                self.finish(Finish::Served { target, attempt }, now);
            }
            Event::Committed => {
                if !out.committed {
                    out.committed = true;
                    self.trace.push(What::Committed { attempt }, now);
                }
            }
            Event::Connected => {
                // Only a stream has a first token to wait for.
                out.phase =
                    self.request.stream.then(|| (Phase::FirstToken, now + timeouts.first_token));
                self.trace.push(What::Connected { attempt }, now);
            }
            Event::Connecting => out.phase = Some((Phase::Connect, now + timeouts.connect)),
            Event::Failed(failure) => self.fail(failure, pool, now),
            Event::Token => {
                out.phase = Some((Phase::Idle, now + timeouts.idle));
                if !out.token {
                    out.token = true;
                    self.trace.push(What::FirstToken { attempt }, now);
                }
            }
        }
    }

    /// Ends the call because nobody wants its answer any more; an ended call stays as it ended.
    pub fn abandon(&mut self, pool: &mut Pool, now: Nanos) {
        match self.state {
            State::Done(_) => return,
            State::Queued { seat, .. } => pool.cancel(seat, now),
            State::Out(Out { attempt, target, .. }) => {
                let failure = Some(transport(Transport::Cancelled, "the caller dropped the call"));
                self.trace.push(What::AttemptEnded { attempt, target, failure }, now);
            }
            State::Failed(_) | State::Ready | State::Waiting { .. } => {}
        }
        self.stop(StopReason::Abandoned, None, now);
    }

    /// The attempt has failed: books it, and tells everybody whom it concerns.
    fn fail(&mut self, failure: Failure, pool: &mut Pool, now: Nanos) {
        let State::Out(out) = self.state else { return };
        let Out { attempt, target, cost, committed, .. } = out;
        if failure.sent == Sent::No {
            pool.give_back(target, cost, now);
        }
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
        let retries = failure.retries();
        self.state = State::Failed(Failed { target, class, retries, hint, committed });
        self.trace.push(What::AttemptEnded { attempt, target, failure: Some(failure) }, now);
    }

    fn send(&mut self, target: usize, cost: Cost, pool: &Pool, now: Nanos) -> Action {
        self.attempts += 1;
        let attempt = self.attempts;
        self.current = Some(target);
        let messages = self.messages(target);
        let ends = (now + self.policy.timeouts.attempt).min(self.deadline);
        debug_assert!(target < pool.targets().len(), "a seat belongs to a target of this pool");
        self.state = State::Out(Out {
            attempt,
            target,
            cost,
            began: now,
            phase: None,
            ends,
            token: false,
            committed: false,
        });
        self.trace.push(What::AttemptStarted { attempt, target, messages: messages.len() }, now);
        let output_max = self.output_max(target);
        Action::Send { attempt, target, messages, output_max, ends }
    }

    fn wait(&mut self, target: usize, until: Nanos, why: Wait, now: Nanos) {
        self.trace.push(What::WaitBegun { target, until, why }, now);
        self.state = State::Waiting { until, why };
    }

    fn draw(&mut self, draws: Draws, purpose: Purpose) -> u64 {
        self.draws += 1;
        draws.draw(self.id, purpose, self.draws)
    }

    fn overdue(&self, phase: Phase) -> Failure {
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

    fn stop(&mut self, why: StopReason, retry_in: Option<Duration>, now: Nanos) {
        self.finish(Finish::Stopped { why, retry_in }, now);
    }

    fn finish(&mut self, finish: Finish, now: Nanos) {
        self.trace.push(What::Finished(finish), now);
        self.state = State::Done(finish);
    }
}

impl Out {
    /// The phase that is over next, and when.
    fn alarm(&self, deadline: Nanos) -> (Phase, Nanos) {
        let whole = if self.ends < deadline { Phase::Attempt } else { Phase::Call };
        match self.phase {
            Some((phase, until)) if until < self.ends => (phase, until),
            _ => (whole, self.ends),
        }
    }
}

/// The longest that one hint keeps all calls from a target.
/// A server that asks for a month, by mistake or in earnest, is asked again after an hour, by a call that never heard it.
const PAUSE_MAX: Duration = Duration::from_secs(3_600);
