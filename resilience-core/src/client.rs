//! The async shell: carries out what a [`Call`] decides.
//!
//! This is the only part of the crate that reads a clock or waits, and it does both through tokio, so that a paused clock governs it.
//! What is locked is unlocked before anything waits.

use std::collections::BTreeMap;
use std::fmt;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use tokio::sync::Notify;

use crate::attempt::{Attempt, Progress};
use crate::call::{Action, Call, Event};
use crate::clock::Clock;
use crate::draw::Draws;
use crate::failure::Failure;
use crate::message::Request;
use crate::outcome::{Answer, CallError, Success};
use crate::policy::{Policy, PolicyMistake};
use crate::pool::{Pool, Seat};
use crate::target::Target;
use crate::time::Nanos;
use crate::trace::Finish;

/// Sends calls to targets by a policy; all calls of a client share its limits and what it has learnt.
///
/// Calls may run at the same time; put the client in an [`Arc`] to share it among tasks.
/// Dropping the future of a call ends the call and gives back its place in any line.
pub struct Client {
    policy: Policy,
    targets: Arc<[Target]>,
    draws: Draws,
    shared: Mutex<Shared>,
    clock: OnceLock<Clock>,
    calls: AtomicU64,
}

struct Shared {
    pool: Pool,
    /// Who is to be woken when the pool has news of a seat.
    seats: BTreeMap<Seat, Arc<Notify>>,
}

impl Client {
    /// A client with rested targets, or everything that is wrong with its policy and targets.
    ///
    /// The seed fixes every draw; a client that need not be reproduced takes any number that others don't.
    pub fn new(
        policy: Policy,
        targets: impl Into<Arc<[Target]>>,
        seed: u64,
    ) -> Result<Self, Vec<PolicyMistake>> {
        let policy_mistakes = policy.validate().err().unwrap_or_default();
        match Pool::new(targets) {
            Ok(pool) if policy_mistakes.is_empty() => Ok(Self {
                policy,
                targets: Arc::clone(pool.targets()),
                draws: Draws::new(seed),
                shared: Mutex::new(Shared { pool, seats: BTreeMap::new() }),
                clock: OnceLock::new(),
                calls: AtomicU64::new(0),
            }),
            Ok(_) => Err(policy_mistakes),
            Err(mistakes) => Err([policy_mistakes, mistakes].concat()),
        }
    }

    /// The policy.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// The targets, in order of preference.
    pub fn targets(&self) -> &Arc<[Target]> {
        &self.targets
    }

    /// Makes a call, with the next free number as its id.
    ///
    /// `send` makes one attempt: it turns [`Attempt::messages`] into a request to [`Attempt::target`], and the answer into a value or a [`Failure`] (see [`crate::classify`]).
    /// Its future is dropped when the attempt takes too long.
    pub async fn call<T, F>(
        &self,
        request: &Request,
        send: impl FnMut(Attempt) -> F,
    ) -> Result<Success<T>, CallError>
    where
        F: Future<Output = Result<Answer<T>, Failure>>,
    {
        let id = self.calls.fetch_add(1, Ordering::Relaxed);
        self.call_at(id, request, send).await
    }

    /// Makes a call under an id of the caller's choosing, which is the address of its draws: the same seed and id meet the same luck, whatever runs beside them.
    pub async fn call_at<T, F>(
        &self,
        id: u64,
        request: &Request,
        mut send: impl FnMut(Attempt) -> F,
    ) -> Result<Success<T>, CallError>
    where
        F: Future<Output = Result<Answer<T>, Failure>>,
    {
        let clock = self.clock();
        let call = Call::new(id, request.clone(), self.policy, clock.now());
        let mut running = Running { client: self, call, seat: None };
        let mut served = None;
        let mut action = running.poll();
        loop {
            action = match action {
                Action::Acquire { until, .. } => {
                    let notify = running.notify();
                    tokio::select! {
                        () = notify.notified() => {}
                        () = clock.sleep_until(until) => {}
                    }
                    running.poll()
                }
                Action::Attend { until, .. } | Action::Wait { until, .. } => {
                    clock.sleep_until(until).await;
                    running.poll()
                }
                Action::Done(finish) => return self.outcome(finish, served, running),
                Action::Send { attempt, target, messages, output_max, ends } => {
                    let progress = Arc::new(Progress::default());
                    let attempt = Attempt {
                        call: id,
                        number: attempt,
                        messages,
                        output_max,
                        time_left: ends.since(clock.now()),
                        target,
                        targets: Arc::clone(&self.targets),
                        progress: Arc::clone(&progress),
                        clock,
                    };
                    let (answer, next) = running.attend(send(attempt), &progress).await;
                    served = answer;
                    next
                }
            };
        }
    }

    fn outcome<T>(
        &self,
        finish: Finish,
        served: Option<Answer<T>>,
        mut running: Running<'_>,
    ) -> Result<Success<T>, CallError> {
        let attempts = running.call.attempts();
        let trace = running.call.take_trace();
        match finish {
            Finish::Served { target, .. } => {
                let Answer { value, usage } =
                    served.expect("a call is served by the answer of its last attempt");
                Ok(Success { value, usage, target, attempts, trace })
            }
            Finish::Stopped { why, retry_in } => {
                Err(CallError { why, retry_in, trace, targets: Arc::clone(&self.targets) })
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        // A panic elsewhere left the pool between two of its methods, where it is whole.
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The clock starts with the first call, inside the runtime that governs it.
    fn clock(&self) -> Clock {
        *self.clock.get_or_init(Clock::start)
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { policy, targets, draws, .. } = self;
        f.debug_struct("Client")
            .field("policy", policy)
            .field("targets", targets)
            .field("draws", draws)
            .finish_non_exhaustive()
    }
}

impl Shared {
    /// Wakes those whom the last step concerns.
    fn tell(&mut self) {
        while let Some(seat) = self.pool.pop_news() {
            if let Some(notify) = self.seats.get(&seat) {
                notify.notify_one();
            }
        }
    }
}

/// A call under way; dropped, it leaves the lines it stands in.
struct Running<'a> {
    client: &'a Client,
    call: Call,
    seat: Option<(Seat, Arc<Notify>)>,
}

impl Running<'_> {
    fn poll(&mut self) -> Action {
        let now = self.client.clock().now();
        let mut shared = self.client.lock();
        let action = self.call.poll(&mut shared.pool, &self.client.draws, now);
        // The seat is known before the lock is released, so that no news can miss it.
        let seat = match action {
            Action::Acquire { seat, .. } => Some(seat),
            _ => None,
        };
        if self.seat.as_ref().map(|(seat, _)| *seat) != seat {
            if let Some((old, _)) = self.seat.take() {
                shared.seats.remove(&old);
            }
            if let Some(seat) = seat {
                let notify = Arc::new(Notify::new());
                shared.seats.insert(seat, Arc::clone(&notify));
                self.seat = Some((seat, notify));
            }
        }
        shared.tell();
        action
    }

    fn notify(&self) -> Arc<Notify> {
        let (_, notify) = self.seat.as_ref().expect("whoever waits in line has a seat");
        Arc::clone(notify)
    }

    fn handle(&mut self, event: Event, at: Nanos) {
        let mut shared = self.client.lock();
        self.call.handle(event, &mut shared.pool, at);
        shared.tell();
    }

    /// Runs one attempt against the clock, until it is over one way or the other.
    async fn attend<T, F>(&mut self, attempt: F, progress: &Progress) -> (Option<Answer<T>>, Action)
    where
        F: Future<Output = Result<Answer<T>, Failure>>,
    {
        let clock = self.client.clock();
        let mut attempt = pin!(attempt);
        loop {
            self.note(progress);
            let until = match self.poll() {
                Action::Attend { until, .. } => until,
                over => return (None, over),
            };
            let result = tokio::select! {
                biased;
                result = &mut attempt => result,
                () = progress.reported() => continue,
                () = clock.sleep_until(until) => continue,
            };
            self.note(progress);
            let now = clock.now();
            let answer = match result {
                Ok(answer) => {
                    self.handle(Event::Answered, now);
                    Some(answer)
                }
                Err(failure) => {
                    self.handle(Event::Failed(failure), now);
                    None
                }
            };
            return (answer, self.poll());
        }
    }

    /// Hands on what the transport has reported.
    fn note(&mut self, progress: &Progress) {
        for (at, event) in progress.take() {
            self.handle(event, at);
        }
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let now = self.client.clock().now();
        let mut shared = self.client.lock();
        self.call.abandon(&mut shared.pool, now);
        if let Some((seat, _)) = self.seat.take() {
            shared.seats.remove(&seat);
        }
        shared.tell();
    }
}
