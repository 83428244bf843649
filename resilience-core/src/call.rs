//! One logical call as a state machine: what to do next, given what has happened.
//!
//! A driver asks [`Call::poll`] what to do, does it, and tells [`Call::handle`] what came of it.
//! The machine never waits, sends or reads a clock, so the same machine runs under tokio and, by the thousand, in a simulation.
//!
//! The order of calls:
//!
//! 1. `poll` *must* be called first, after every action that is carried out, after every `handle`, at the instant an action names, and when [`Pool::pop_news`] tells of the call's seat.
//! 2. After [`Action::Send`] the driver hands the attempt to a transport and *may* report [`Event::Connecting`], [`Event::Connected`], [`Event::Token`] and [`Event::Committed`]; it *must* report [`Event::Answered`] or [`Event::Failed`], unless it is told to drop the attempt.
//! 3. After [`Action::Drop`] whatever the transport still does is to be dropped; a report that comes late changes nothing.
//! 4. After [`Action::Done`] no attempt is out and nothing changes any more. A call that is dropped before it *must* be abandoned, so that it leaves the lines it stands in.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use self::fitting::Fitting;
use self::hedge::Hedging;
use self::out::Out;
use crate::class::{Class, MovesOn, Phase, Retries};
use crate::draw::Purpose;
use crate::failure::Failure;
use crate::hint::{Hint, Observed};
use crate::limiter::{Cost, Refusal};
use crate::message::{Message, Request};
use crate::outcome::Usage;
use crate::policy::Policy;
use crate::pool::{Pool, Seat};
use crate::queue::Taken;
use crate::race::Race;
use crate::time::Nanos;
use crate::trace::{Finish, Leave, Skip, StopReason, Trace, Wait, What};

mod fallback;
mod fitting;
mod hedge;
mod out;
mod retry;

/// One logical call: all its attempts, on all targets.
#[derive(Debug)]
pub struct Call {
    id: u64,
    request: Request,
    policy: Arc<Policy>,
    deadline: Nanos,
    state: State,
    /// The attempts that are with a transport, oldest first.
    outs: Vec<Out>,
    /// The attempts that run side by side, if the policy hedges.
    race: Option<Race>,
    /// How the original failed, while a hedge of it is still out.
    first: Option<Failed>,
    /// Attempts that are over, and whose transports do not know it yet.
    dooms: VecDeque<u32>,
    /// One for each target of the pool.
    tries: Vec<Try>,
    /// Where the last attempt went, or the next one should go first.
    current: Option<usize>,
    leaving: Leave,
    attempts: u32,
    resends: u32,
    draws: u64,
    /// The pool knows that it is over.
    parted: bool,
    trace: Trace,
}

#[derive(Debug)]
enum State {
    Done(Finish),
    /// An attempt has failed and nothing is decided yet.
    Failed(Failed),
    /// At least one attempt is out.
    Out,
    Queued {
        seat: Seat,
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
    /// The failure that a further attempt would be a retry of.
    retry_of: Option<Failed>,
    /// How a hedge failed here: if it is this target's turn again, that failure is decided first.
    undecided: Option<Failed>,
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

#[derive(Clone, Copy, Debug)]
struct Failed {
    target: usize,
    class: Class,
    retries: Retries,
    hint: Option<Hint>,
    committed: bool,
    at: Nanos,
    /// How long a hedge kept the decision waiting.
    held: Duration,
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
        /// When the first of the running phases is over.
        until: Nanos,
    },
    /// The call has ended.
    Done(Finish),
    /// This attempt is over: drop it, whatever its transport is doing, then poll.
    Drop {
        /// Its number.
        attempt: u32,
    },
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

/// What happened to an attempt that is out.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Event {
    /// It was answered in full.
    Answered {
        /// What it cost, if the provider said so.
        usage: Option<Usage>,
    },
    /// Content of it has reached the caller and cannot be taken back.
    Committed,
    /// It has its connection.
    Connected,
    /// It begins to look for a connection; without this report, no connect timeout applies.
    Connecting,
    /// It failed.
    Failed(Failure),
    /// The headers of its answer tell what is left of the provider's limits; see [`crate::hint::observed`].
    Limits(Vec<Observed>),
    /// A piece of content arrived.
    Token,
}

impl Call {
    /// A call that begins now.
    ///
    /// `id` is the address of its draws: two calls with the same id and seed meet the same luck.
    pub fn new(id: u64, request: Request, policy: impl Into<Arc<Policy>>, now: Nanos) -> Self {
        let policy = policy.into();
        Self {
            id,
            request,
            deadline: now + policy.timeouts.call,
            policy,
            state: State::Ready,
            outs: Vec::new(),
            race: None,
            first: None,
            dooms: VecDeque::new(),
            tries: Vec::new(),
            current: None,
            leaving: Leave::Busy,
            attempts: 0,
            resends: 0,
            draws: 0,
            parted: false,
            trace: Trace::new(id, now),
        }
    }

    /// The same call, which notes of its trace nothing but its end: for simulations of millions.
    #[must_use]
    pub fn untraced(mut self) -> Self {
        self.trace.mute();
        self
    }

    /// The instant at which the call ends in any case.
    pub fn deadline(&self) -> Nanos {
        self.deadline
    }

    /// From when on an attempt may not begin any more.
    fn too_late(&self) -> Nanos {
        let least = self.policy.timeouts.attempt_min;
        // An attempt that fills the time that is left may still begin; one without any time may not.
        let begins = Duration::from_nanos(u64::from(!least.is_zero()));
        self.deadline.saturating_sub(least) + begins
    }

    /// How many attempts were sent.
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// The number that is the address of its draws.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// The target of the last attempt, by its place in the pool; `None` before the first.
    pub fn target(&self) -> Option<usize> {
        self.current
    }

    /// The attempts that are with their transports.
    pub fn out(&self) -> impl Iterator<Item = u32> {
        self.outs.iter().map(|out| out.attempt)
    }

    /// Whether an attempt is still with its transport.
    pub fn is_out(&self, attempt: u32) -> bool {
        self.outs.iter().any(|out| out.attempt == attempt)
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
    pub fn poll(&mut self, pool: &mut Pool, now: Nanos) -> Action {
        self.tries.resize_with(pool.targets().len(), Try::default);
        loop {
            if let Some(attempt) = self.dooms.pop_front() {
                return Action::Drop { attempt };
            }
            match &self.state {
                State::Done(finish) => {
                    let finish = *finish;
                    self.part(pool);
                    return Action::Done(finish);
                }
                State::Out => {
                    let alarms = self.outs.iter().enumerate();
                    let (until, phase, out) = alarms
                        .map(|(index, out)| {
                            let (phase, until) = out.alarm(self.deadline);
                            (until, phase, index)
                        })
                        .min_by_key(|(until, ..)| *until)
                        .expect("in this state an attempt is out");
                    if now < until {
                        match self.hedge(pool, now) {
                            Hedging::Not => return Action::Attend { until },
                            Hedging::Send(action) => return action,
                            Hedging::Until(hedge) => {
                                return Action::Attend { until: until.min(hedge) };
                            }
                        }
                    }
                    self.dooms.push_back(self.outs[out].attempt);
                    let overdue = self.overdue(phase);
                    self.fail(out, overdue, pool, now);
                }
                State::Failed(failed) => {
                    let failed = *failed;
                    self.decide(failed, pool, now);
                }
                State::Queued { seat, .. } if now >= self.too_late() => {
                    pool.cancel(*seat, now);
                    self.stop(StopReason::Deadline, None, now);
                }
                _ if now >= self.too_late() => self.stop(StopReason::Deadline, None, now),
                State::Queued { seat } => {
                    let seat = *seat;
                    match pool.take(seat, now) {
                        Taken::Granted(reservation)
                            if pool.key_rests(seat.target, now).is_some()
                                && self.elsewhere(seat.target, pool, now).is_some() =>
                        {
                            // The key was refused while we stood here, and somebody else is ready.
                            pool.give_back(seat.target, reservation, now);
                            self.state = State::Ready;
                        }
                        Taken::Granted(reservation) => {
                            let reservation = Some(reservation);
                            if let Some(send) = self.send(seat.target, reservation, pool, now) {
                                return send;
                            }
                        }
                        // Whether anybody is in time is seen anew.
                        Taken::Refused(Refusal::TooLate { .. }) | Taken::Unknown => {
                            self.state = State::Ready;
                        }
                        Taken::Refused(refusal) => {
                            self.tries[seat.target].closed = true;
                            self.skip(seat.target, Skip::Quota(refusal), now);
                            self.state = State::Ready;
                        }
                        Taken::Front { until } => {
                            // A pause has come while we stood here, and somebody else is ready.
                            if until.since(now) > self.policy.fallback.wait_max
                                && self.elsewhere(seat.target, pool, now).is_some()
                            {
                                pool.cancel(seat, now);
                                self.state = State::Ready;
                                continue;
                            }
                            return Action::Acquire { seat, until: until.min(self.too_late()) };
                        }
                        Taken::Behind => return Action::Acquire { seat, until: self.too_late() },
                    }
                }
                State::Waiting { until, why } if now < *until => {
                    return Action::Wait { until: *until, why: *why };
                }
                State::Waiting { .. } => self.state = State::Ready,
                State::Ready => {
                    if let Some((target, reservation)) = self.choose(pool, now)
                        && let Some(send) = self.send(target, reservation, pool, now)
                    {
                        return send;
                    }
                }
            }
        }
    }

    /// Takes note of what happened to an attempt; of one that is over, of nothing.
    pub fn handle(&mut self, attempt: u32, event: Event, pool: &mut Pool, now: Nanos) {
        let timeouts = self.policy.timeouts;
        let Some(index) = self.outs.iter().position(|out| out.attempt == attempt) else { return };
        let out = &mut self.outs[index];
        match event {
            Event::Answered { usage } => {
                self.wins(index, pool, now);
                let Some(Out { target, ledger, .. }) = self.outs.pop() else { return };
                pool.answered(target, ledger, usage, now);
                if let Some(usage) = usage {
                    self.learn(target, usage, pool);
                }
                self.current = Some(target);
                let ended = What::AttemptEnded { attempt, target, failure: None, usage };
                self.trace.push(ended, now);
                self.finish(Finish::Served { target, attempt }, now);
            }
            Event::Committed => {
                if !out.committed {
                    out.committed = true;
                    // A stream that goes on is limited by its gaps and by the call; to cut it at an attempt's length would help nobody.
                    out.ends = self.deadline;
                    self.current = Some(out.target);
                    self.trace.push(What::Committed { attempt }, now);
                    self.wins(index, pool, now);
                }
            }
            // A second report of the same would begin the phase anew.
            Event::Connected if !matches!(out.phase, None | Some((Phase::Connect, _))) => {}
            Event::Connected => {
                // Only a stream has a first token to wait for.
                out.phase =
                    self.request.stream.then(|| (Phase::FirstToken, now + timeouts.first_token));
                self.trace.push(What::Connected { attempt }, now);
            }
            Event::Connecting => out.phase = Some((Phase::Connect, now + timeouts.connect)),
            Event::Failed(failure) => self.fail(index, failure, pool, now),
            Event::Limits(observed) => pool.observe(out.target, &out.ledger, &observed, now),
            Event::Token => {
                out.phase = Some((Phase::Idle, now + timeouts.idle));
                if !out.token {
                    out.token = true;
                    self.trace.push(What::FirstToken { attempt }, now);
                    self.wins(index, pool, now);
                }
            }
        }
    }

    /// Ends the call because nobody wants its answer any more; an ended call stays as it ended.
    pub fn abandon(&mut self, pool: &mut Pool, now: Nanos) {
        match self.state {
            State::Done(_) => return self.part(pool),
            State::Queued { seat, .. } => pool.cancel(seat, now),
            State::Failed(_) | State::Out | State::Ready | State::Waiting { .. } => {}
        }
        self.drop_outs("the caller dropped the call", pool, now);
        self.stop(StopReason::Abandoned, None, now);
        self.part(pool);
    }

    /// Where a call may turn after such a failure.
    fn moves_on(&self, class: Class) -> MovesOn {
        if class == Class::ContentPolicy && self.policy.fallback.on_content_policy {
            return MovesOn::Next;
        }
        class.moves_on()
    }

    /// Whether no further attempt can help, here or elsewhere.
    fn is_final(&self, class: Class) -> bool {
        class.ends_the_call() && self.moves_on(class) == MovesOn::Never
    }

    /// Tells the pool, once, that a call which had an attempt is over.
    fn part(&mut self, pool: &mut Pool) {
        if self.attempts > 0 && !self.parted {
            self.parted = true;
            pool.call_ended();
        }
    }

    fn wait(&mut self, target: usize, until: Nanos, why: Wait, now: Nanos) {
        self.trace.push(What::WaitBegun { target, until, why }, now);
        self.state = State::Waiting { until, why };
    }

    fn draw(&mut self, pool: &Pool, purpose: Purpose) -> u64 {
        self.draws += 1;
        pool.draws().draw(self.id, purpose, self.draws)
    }

    fn stop(&mut self, why: StopReason, retry_in: Option<Duration>, now: Nanos) {
        self.finish(Finish::Stopped { why, retry_in }, now);
    }

    fn finish(&mut self, finish: Finish, now: Nanos) {
        self.trace.push(What::Finished(finish), now);
        self.state = State::Done(finish);
    }
}
