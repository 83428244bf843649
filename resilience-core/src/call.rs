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
use crate::class::{Class, Cools, MovesOn, Phase, Retries, Sent};
use crate::classify::{Transport, transport};
use crate::draw::Purpose;
use crate::failure::Failure;
use crate::hint::{Hint, Observed};
use crate::limiter::{Cost, Refusal};
use crate::message::{Message, Request};
use crate::outcome::Usage;
use crate::policy::Policy;
use crate::pool::{Departure, Ledger, Pool, Refused, Seat};
use crate::queue::Taken;
use crate::race::Race;
use crate::reservation::Reservation;
use crate::time::Nanos;
use crate::trace::{Finish, Leave, Skip, StopReason, Trace, Wait, What};

mod fallback;
mod fitting;
mod hedge;
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

/// An attempt that is with a transport.
#[derive(Debug)]
struct Out {
    attempt: u32,
    target: usize,
    /// The phase that runs, if the transport reports phases, and when it is over.
    phase: Option<(Phase, Nanos)>,
    /// When the attempt as a whole is over.
    ends: Nanos,
    token: bool,
    committed: bool,
    ledger: Ledger,
    /// Its place in the race; the first one is the original, the others are hedges.
    place: Option<usize>,
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

    /// Ends every attempt that is still out, because its answer is not wanted any more.
    fn drop_outs(&mut self, why: &str, pool: &mut Pool, now: Nanos) {
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

    /// An attempt has failed: books it, and tells everybody whom it concerns.
    fn fail(&mut self, index: usize, failure: Failure, pool: &mut Pool, now: Nanos) {
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

    /// Sends, unless a breaker or the budget has changed its mind since the target was chosen.
    fn send(
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
    fn go_out(
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

    fn wait(&mut self, target: usize, until: Nanos, why: Wait, now: Nanos) {
        self.trace.push(What::WaitBegun { target, until, why }, now);
        self.state = State::Waiting { until, why };
    }

    /// Looked up for every send, whether anything is shed or not.
    fn shed_draw(&self, target: usize, pool: &Pool) -> u64 {
        let target = u64::try_from(target).unwrap_or(u64::MAX);
        let index = (u64::from(self.attempts) << 32) | target;
        pool.draws().draw(self.id, Purpose::Shed, index)
    }

    fn draw(&mut self, pool: &Pool, purpose: Purpose) -> u64 {
        self.draws += 1;
        pool.draws().draw(self.id, purpose, self.draws)
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
