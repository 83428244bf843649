//! An isolated world inside a server: engine, journal and clock behind one lock.
//!
//! Nothing waits while it holds the lock: lock, decide, record, unlock, and only then wait.

use std::{
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::Poll,
    time::Duration,
};

use tokio::sync::Notify;

use crate::{
    bill::{Bill, Billed},
    clock::Clock,
    draw::Draws,
    engine::{Decision, Engine, RuleReport},
    identity::Served,
    journal::{Claimed, ConnectionEvent, EndKind, Ended, Entry, Journal, PostedOutcome},
    lanes::{LaneCount, LaneName, LaneRefusal},
    plan::{ConnectionAct, Plan},
    request::Request,
    timeline::Timeline,
};

/// One lane of a server; clones share it.
#[derive(Clone, Debug)]
pub struct Lane {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    plan: Arc<Plan>,
    draws: Draws,
    clock: Clock,
    state: Mutex<State>,
    /// Told when the first request starts the lane's time, and when a reset takes it back.
    started: Notify,
}

#[derive(Debug)]
struct State {
    engine: Engine,
    journal: Journal,
    connections: u64,
    /// How often all connections that there may be were open.
    limit_hits: u64,
    /// Why the last request got no lane, and how many did not.
    refused: Option<(LaneRefusal, u64)>,
    attempts: u64,
    stopping: bool,
    /// Attempts of an earlier generation belong to no entry of the journal.
    generation: u64,
}

/// Records how one attempt ends; dropped without being told, the client has left.
#[derive(Debug)]
pub(crate) struct Recorder {
    lane: Lane,
    generation: u64,
    attempt: u64,
    call: Option<u64>,
    served: Served,
    status: Option<u16>,
    head_at: Option<Duration>,
    body_bytes: u64,
    events: u64,
    bill: Bill,
    claimed_at: Duration,
    ended: bool,
}

impl Lane {
    /// A lane at the start of its run.
    pub fn new(plan: Arc<Plan>, draws: Draws, clock: Clock) -> Self {
        let state = State {
            engine: Engine::new(Arc::clone(&plan), draws).with_wall(clock.wall(Duration::ZERO)),
            journal: Journal::new(plan.limits.journal_entries_max),
            connections: 0,
            limit_hits: 0,
            refused: None,
            attempts: 0,
            stopping: false,
            generation: 0,
        };
        let started = Notify::new();
        Self { shared: Arc::new(Shared { plan, draws, clock, state: Mutex::new(state), started }) }
    }

    /// The plan that it follows.
    pub fn plan(&self) -> &Plan {
        &self.shared.plan
    }

    /// Its clock.
    pub fn clock(&self) -> Clock {
        self.shared.clock
    }

    /// A copy of the journal as it stands.
    pub fn journal(&self) -> Journal {
        self.state().journal.clone()
    }

    /// How far each rule got, in their order.
    pub fn rule_reports(&self) -> Vec<RuleReport> {
        self.state().engine.reports()
    }

    /// Starts over: rules, quotas, calls and journal are as at the beginning.
    ///
    /// Attempts that are under way are played to their end, and appear in no journal.
    pub fn reset(&self) {
        let mut state = self.state();
        let engine = Engine::new(Arc::clone(&self.shared.plan), self.shared.draws);
        state.engine = engine.with_wall(self.shared.clock.wall(Duration::ZERO));
        state.journal = Journal::new(self.shared.plan.limits.journal_entries_max);
        state.generation += 1;
        state.limit_hits = 0;
        state.refused = None;
        state.attempts = 0;
        drop(state);
        self.shared.started.notify_waiters();
    }

    /// How often a connection had to wait because [`connections_max`] were open.
    ///
    /// [`connections_max`]: crate::plan::Limits::connections_max
    pub fn connection_limit_hits(&self) -> u64 {
        self.state().limit_hits
    }

    /// Why requests to its server got no lane of their own, and how many did not; the default
    /// lane keeps count.
    pub fn lane_refusals(&self) -> Option<(LaneRefusal, u64)> {
        self.state().refused
    }

    /// Notes that a request got no lane.
    pub(crate) fn refuse_lane(&self, refusal: LaneRefusal) {
        let mut state = self.state();
        let before = state.refused.map_or(0, |(_, count)| count);
        state.refused = Some((refusal, before + 1));
    }

    /// How it stands, under its name.
    pub(crate) fn count(&self, lane: LaneName) -> LaneCount {
        let state = self.state();
        LaneCount {
            lane,
            attempts: state.attempts,
            entries: state.journal.entries().len(),
            journal_full: state.journal.is_full(),
        }
    }

    /// The plan that it follows, to be shared.
    pub(crate) fn shared_plan(&self) -> Arc<Plan> {
        Arc::clone(&self.shared.plan)
    }

    /// Records what the application says of a call.
    pub fn post_outcome(&self, call: Option<String>, success: bool, began: Option<Duration>) {
        let (at, began) = (nanos(self.shared.clock.now()), began.map(nanos));
        let outcome = PostedOutcome { at, call, began, success };
        self.state().journal.record(Entry::Outcome(outcome));
    }

    /// Tells that attempts from now on end because the server does.
    pub(crate) fn stop(&self) {
        self.state().stopping = true;
    }

    /// Tells that a connection is closed.
    pub(crate) fn disconnect(&self, connection: u64) {
        self.state().engine.disconnected(connection);
    }

    /// Counts a connection, and tells how late it is served.
    pub(crate) fn connect(&self) -> (u64, Duration) {
        let now = self.shared.clock.now();
        let mut state = self.state();
        state.connections += 1;
        let connection = state.connections;
        let elapsed = state.engine.started().map_or(Duration::ZERO, |at| now.saturating_sub(at));
        for (rule, late) in self.shared.plan.connections.iter().enumerate() {
            let ConnectionAct::AcceptLate(settings) = late.act else { continue };
            let in_time = late.from.is_none_or(|from| from <= elapsed)
                && late.until.is_none_or(|until| elapsed < until);
            if in_time && late.nth.is_none_or(|nth| nth.contains(connection)) {
                let connection = Some(connection);
                let event = ConnectionEvent { at: nanos(now), connection, rule };
                state.journal.record(Entry::Connection(event));
                return (state.connections, settings.after.0);
            }
        }
        (connection, Duration::ZERO)
    }

    /// Records that nothing listens from now on.
    pub(crate) fn refuse(&self, rule: usize) {
        let at = nanos(self.shared.clock.now());
        let event = ConnectionEvent { at, connection: None, rule };
        self.state().journal.record(Entry::Connection(event));
    }

    /// Whether new connections are refused now, by which rule, and when that may change.
    pub(crate) fn refusing(&self) -> (Option<usize>, Option<Duration>) {
        let now = self.shared.clock.now();
        let started = self.state().engine.started();
        let elapsed = started.map(|at| now.saturating_sub(at));
        let refusals = || {
            let rules = self.shared.plan.connections.iter().enumerate();
            rules.filter(|(_, rule)| rule.act == ConnectionAct::Refuse)
        };
        // Before the first request there is no time yet: only a rule without a beginning holds.
        let holds = |from: Option<Duration>, until: Option<Duration>| match elapsed {
            None => from.is_none_or(|from| from.is_zero()),
            Some(elapsed) => {
                from.is_none_or(|from| from <= elapsed) && until.is_none_or(|until| elapsed < until)
            }
        };
        let by = refusals().find(|(_, rule)| holds(rule.from, rule.until)).map(|(index, _)| index);
        let edges = refusals().flat_map(|(_, rule)| [rule.from, rule.until]).flatten();
        let next = elapsed.and_then(|elapsed| edges.filter(|&edge| elapsed < edge).min());
        (by, next.zip(started).map(|(edge, started)| started + edge))
    }

    /// Notes that no further connection is accepted until one has ended.
    pub(crate) fn hit_connection_limit(&self) {
        self.state().limit_hits += 1;
    }

    /// When its first request came, from which the plan's times are counted.
    pub(crate) fn started(&self) -> Option<Duration> {
        self.state().engine.started()
    }

    /// Waits until its first request is another one than it was: it has come, or a reset has taken
    /// it back.
    pub(crate) async fn started_anew(&self, seen: Option<Duration>) {
        loop {
            // Made before the look, so that a change in between is not missed.
            let notified = self.shared.started.notified();
            if self.started() != seen {
                return;
            }
            notified.await;
        }
    }

    /// Decides what happens to a request, and records the claim before anything is answered.
    ///
    /// `compose` words the answer and must not wait: it runs under the lock.
    pub(crate) fn claim(
        &self,
        request: &Request,
        compose: impl FnOnce(&Decision, Duration) -> Timeline,
        claim: impl FnOnce(&Decision, &Timeline, Duration) -> Claimed,
    ) -> (Timeline, Recorder) {
        self.record(|engine, now| engine.decide(request, now), compose, claim)
    }

    fn record(
        &self,
        decide: impl FnOnce(&mut Engine, Duration) -> Decision,
        compose: impl FnOnce(&Decision, Duration) -> Timeline,
        claim: impl FnOnce(&Decision, &Timeline, Duration) -> Claimed,
    ) -> (Timeline, Recorder) {
        let now = self.shared.clock.now();
        let mut state = self.state();
        let first = state.engine.started().is_none();
        let decision = decide(&mut state.engine, now);
        let mut timeline = compose(&decision, now);
        if let Some(service) = timeline.service() {
            timeline.delay(state.engine.accept(service, now));
        }
        state.journal.record(Entry::Claimed(Box::new(claim(&decision, &timeline, now))));
        let (attempt, call) = (decision.attempt, Some(decision.call));
        let recorder = self.recorder(&mut state, attempt, call, &mut timeline, now);
        drop(state);
        if first {
            self.shared.started.notify_waiters();
        }
        (timeline, recorder)
    }

    /// Records a request that its provider refuses as it stands.
    pub(crate) fn claim_refused(
        &self,
        request: &Request,
        compose: impl FnOnce(&Decision, Duration) -> Timeline,
        claim: impl FnOnce(&Decision, &Timeline, Duration) -> Claimed,
    ) -> (Timeline, Recorder) {
        self.record(|engine, now| engine.refuse(request, now), compose, claim)
    }

    /// Records a request that no dialect serves.
    pub(crate) fn claim_unserved(
        &self,
        compose: impl FnOnce(u64, Duration) -> Timeline,
        claim: impl FnOnce(u64, &Timeline, Duration) -> Claimed,
    ) -> (Timeline, Recorder) {
        let now = self.shared.clock.now();
        let mut state = self.state();
        let attempt = state.engine.count_unserved(now);
        let mut timeline = compose(attempt, now);
        state.journal.record(Entry::Claimed(Box::new(claim(attempt, &timeline, now))));
        let recorder = self.recorder(&mut state, attempt, None, &mut timeline, now);
        drop(state);
        self.shared.started.notify_waiters();
        (timeline, recorder)
    }

    /// The draws of this lane.
    pub(crate) fn draws(&self) -> Draws {
        self.shared.draws
    }

    /// Counts an attempt, and takes its bill into keeping.
    fn recorder(
        &self,
        state: &mut State,
        attempt: u64,
        call: Option<u64>,
        timeline: &mut Timeline,
        now: Duration,
    ) -> Recorder {
        state.attempts += 1;
        Recorder {
            lane: self.clone(),
            generation: state.generation,
            attempt,
            call,
            served: timeline.served,
            status: None,
            head_at: None,
            body_bytes: 0,
            events: 0,
            bill: std::mem::take(&mut timeline.bill),
            claimed_at: now,
            ended: false,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic under the lock is our bug and ends the run; the journal is still worth showing.
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Recorder {
    /// When the attempt was claimed.
    pub(crate) fn claimed_at(&self) -> Duration {
        self.claimed_at
    }

    /// The head is about to be written.
    pub(crate) fn head(&mut self, status: u16, now: Duration) {
        self.status = Some(status);
        self.head_at = Some(now);
    }

    /// So much more of the body was taken by the system, and so many events are whole with it.
    pub(crate) fn sent(&mut self, body_bytes: u64, events: u64) {
        self.body_bytes = self.body_bytes.saturating_add(body_bytes);
        self.events = self.events.saturating_add(events);
    }

    /// Writes the last bytes of a whole answer, and records the end with them.
    ///
    /// The attempt is over when they are taken, not before: a client that leaves earlier did not
    /// get the answer. And it must be over before the client's next request is claimed. So the
    /// bytes are written under the lock, which is possible because a write does not wait.
    pub(crate) fn finish(
        &mut self,
        write: impl FnOnce() -> Poll<io::Result<usize>>,
        length: usize,
        body_bytes: u64,
        events: u64,
    ) -> Poll<io::Result<usize>> {
        let lane = self.lane.clone();
        let billed = self.billed();
        let mut state = lane.state();
        let written = write();
        if matches!(written, Poll::Ready(Ok(count)) if count == length) {
            self.sent(body_bytes, events);
            self.end_in(&mut state, EndKind::Complete, billed);
        }
        written
    }

    /// The attempt is over. It must be told before the end of the connection can reach the client,
    /// or the client's next request would be read before this one ended.
    pub(crate) fn end(&mut self, end: EndKind) {
        if self.ended {
            return;
        }
        let lane = self.lane.clone();
        let billed = self.billed();
        self.end_in(&mut lane.state(), end, billed);
    }

    /// What is to be paid if it ends now. To count the tokens of half an answer takes its time, and
    /// is not for whoever holds the lock.
    fn billed(&self) -> Billed {
        self.bill.at(self.lane.shared.clock.now().saturating_sub(self.claimed_at))
    }

    fn end_in(&mut self, state: &mut State, end: EndKind, billed: Billed) {
        if std::mem::replace(&mut self.ended, true) || state.generation != self.generation {
            return;
        }
        let now = self.lane.shared.clock.now();
        let end = match end {
            EndKind::ClientLeft if state.stopping => EndKind::Stopped,
            end => end,
        };
        state.journal.record(Entry::Ended(Ended {
            attempt: self.attempt,
            at: nanos(now),
            head_at: self.head_at.map(nanos),
            status: self.status,
            body_bytes: self.body_bytes,
            events: self.events,
            end,
            billed,
        }));
        if let Some(call) = self.call {
            let served = if end == EndKind::Complete { self.served } else { Served::Broken };
            state.engine.ended(self.attempt, call, served, billed.output_tokens, now);
        }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.end(EndKind::ClientLeft);
    }
}

pub(crate) fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}
