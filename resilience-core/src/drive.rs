//! One call under way: its machine, its attempts in flight, and the one timer they need.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use tokio::time::Sleep;

use crate::attempt::{Attempt, Progress};
use crate::call::{Action, Call, Event};
use crate::client::{Client, Shared};
use crate::clock::Clock;
use crate::failure::Failure;
use crate::message::Request;
use crate::observe::Ended;
use crate::outcome::{CallError, Success, Usage};
use crate::pool::Seat;
use crate::telemetry::{InSpan, Spans};
use crate::time::Nanos;
use crate::trace::{Finish, Trace};

/// A call under way; dropped, it leaves the lines it stands in.
pub(crate) struct Drive {
    client: Client,
    call: Call,
    clock: Clock,
    progress: Arc<Progress>,
    seat: Option<Seat>,
    timer: Option<(Nanos, Pin<Box<Sleep>>)>,
    /// How much of the trace the observers know.
    told: usize,
    /// Set while observers are called, and left so by one that panics.
    telling: bool,
    ended: bool,
    usage: Option<Usage>,
    spans: Spans,
}

/// What a successful attempt means for its call.
pub(crate) enum Landed {
    /// It is the answer.
    Answered(Option<Usage>),
    /// It is the beginning of the answer: content that goes to the caller at once.
    Opened,
}

/// An attempt that is with its transport.
struct Flight<F> {
    attempt: u32,
    future: Pin<Box<InSpan<F>>>,
}

impl Drive {
    /// A call that begins now.
    pub(crate) fn new(client: &Client, id: u64, request: &Request) -> Self {
        let clock = client.clock();
        Self {
            client: client.clone(),
            call: Call::new(id, request.clone(), Arc::clone(client.policy()), clock.now()),
            clock,
            progress: Arc::new(Progress::default()),
            seat: None,
            timer: None,
            told: 0,
            telling: false,
            ended: false,
            usage: None,
            spans: Spans::new(id),
        }
    }

    /// Makes attempts until one succeeds or the call gives up, and answers with that attempt's number and value.
    pub(crate) async fn run<T, F>(
        &mut self,
        mut send: impl FnMut(Attempt) -> F,
        landed: impl Fn(&T) -> Landed,
    ) -> Result<(u32, T), CallError>
    where
        F: Future<Output = Result<T, Failure>>,
    {
        // Given up before the call returns: a loser must not outlive the answer.
        let mut flights: Vec<Flight<F>> = Vec::new();
        poll_fn(|cx| self.poll_run(&mut flights, &mut send, &landed, cx)).await
    }

    fn poll_run<T, F>(
        &mut self,
        flights: &mut Vec<Flight<F>>,
        send: &mut impl FnMut(Attempt) -> F,
        landed: &impl Fn(&T) -> Landed,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(u32, T), CallError>>
    where
        F: Future<Output = Result<T, Failure>>,
    {
        // A flight is polled once each time the task is, and once when it begins: before the machine is asked, so that no hedge goes out, and nothing times out, beside an answer that is there.
        let mut polled = false;
        loop {
            if !polled {
                polled = true;
                let mut index = 0;
                while let Some(flight) = flights.get_mut(index) {
                    let Poll::Ready(result) = flight.future.as_mut().poll(cx) else {
                        index += 1;
                        continue;
                    };
                    let attempt = flights.remove(index).attempt;
                    match result {
                        Ok(value) => {
                            if self.land(attempt, &landed(&value)) {
                                return Poll::Ready(Ok((attempt, value)));
                            }
                        }
                        Err(failure) => self.handle(attempt, Event::Failed(failure)),
                    }
                }
            }
            let action = self.step(cx.waker());
            self.tell();
            let until = match action {
                Action::Acquire { until, .. }
                | Action::Attend { until }
                | Action::Wait { until, .. } => until,
                Action::Done(finish) => return Poll::Ready(Err(self.error(finish))),
                Action::Drop { attempt } => {
                    flights.retain(|flight| flight.attempt != attempt);
                    continue;
                }
                Action::Send { attempt, target, messages, output_max, ends } => {
                    let outgoing = Attempt {
                        call: self.call.id(),
                        number: attempt,
                        messages,
                        output_max,
                        time_left: ends.since(self.clock.now()),
                        target,
                        targets: Arc::clone(self.client.targets()),
                        progress: Arc::clone(&self.progress),
                        clock: self.clock,
                    };
                    let future = self.spans.carry(attempt, || send(outgoing));
                    flights.push(Flight { attempt, future: Box::pin(future) });
                    polled = false;
                    continue;
                }
            };
            if self.hears(cx.waker()) {
                continue;
            }
            if self.poll_timer(until, cx).is_pending() {
                return Poll::Pending;
            }
        }
    }

    /// Asks the machine what to do.
    pub(crate) fn step(&mut self, waker: &Waker) -> Action {
        let seat_before = self.seat;
        let (action, seat) = self.with(|call, shared, now| {
            let action = call.poll(&mut shared.pool, now);
            let seat = match action {
                Action::Acquire { seat, .. } => Some(seat),
                _ => None,
            };
            if let Some(left) = seat_before.filter(|left| Some(*left) != seat) {
                shared.seats.remove(&left);
            }
            // The seat is known before the lock is released, so that no news can miss it.
            if let Some(seat) = seat {
                shared.seats.insert(seat, waker.clone());
            }
            (action, seat)
        });
        self.seat = seat;
        action
    }

    /// Takes an attempt's success; `false` if the call had given up on the attempt.
    fn land(&mut self, attempt: u32, landed: &Landed) -> bool {
        let landed_usage = match landed {
            Landed::Answered(usage) => *usage,
            Landed::Opened => None,
        };
        let wanted = self.with(|call, shared, now| {
            // Another attempt may have committed a moment ago.
            let wanted = call.is_out(attempt);
            let events = match landed {
                Landed::Answered(usage) => [Some(Event::Answered { usage: *usage }), None],
                Landed::Opened => [Some(Event::Token), Some(Event::Committed)],
            };
            for event in events.into_iter().flatten() {
                call.handle(attempt, event, &mut shared.pool, now);
            }
            wanted
        });
        if wanted {
            self.usage = landed_usage;
        }
        self.tell();
        wanted
    }

    /// Tells the machine what happened to an attempt.
    pub(crate) fn handle(&mut self, attempt: u32, event: Event) {
        self.with(|call, shared, now| call.handle(attempt, event, &mut shared.pool, now));
    }

    /// Hands on what was reported, lets the machine take a step, and passes on what follows from it.
    fn with<T>(&mut self, step: impl FnOnce(&mut Call, &mut Shared, Nanos) -> T) -> T {
        let (result, woken) = {
            let mut reports = self.progress.lock();
            let mut shared = self.client.lock();
            for (attempt, at, event) in reports.unheard.drain(..) {
                self.call.handle(attempt, event, &mut shared.pool, at);
            }
            let result = step(&mut self.call, &mut shared, self.clock.now());
            // While the lock is held: whoever is given up on may no longer commit.
            reports.out.clear();
            reports.out.extend(self.call.out());
            (result, shared.news())
        };
        woken.into_iter().for_each(Waker::wake);
        result
    }

    /// The answer is whole.
    pub(crate) fn answered(&mut self, attempt: u32, usage: Option<Usage>) {
        self.land(attempt, &Landed::Answered(usage));
    }

    /// Whether something was reported; if not, the next report wakes this task.
    fn hears(&self, waker: &Waker) -> bool {
        let mut reports = self.progress.lock();
        if reports.unheard.is_empty() {
            if !reports.waker.as_ref().is_some_and(|known| known.will_wake(waker)) {
                reports.waker = Some(waker.clone());
            }
            return false;
        }
        true
    }

    /// Ready at `until`, or earlier: a timer that was set for an earlier instant is left to run, because limits that move back with every token would otherwise set it anew with every token.
    pub(crate) fn poll_timer(&mut self, until: Nanos, cx: &mut Context<'_>) -> Poll<()> {
        let clock = self.clock;
        let (at, sleep) =
            self.timer.get_or_insert_with(|| (until, Box::pin(clock.sleep_until(until))));
        if *at > until || sleep.is_elapsed() {
            sleep.set(clock.sleep_until(until));
            *at = until;
        }
        sleep.as_mut().poll(cx)
    }

    /// Tells the observers what they do not know yet.
    ///
    /// An observer that panics is told nothing more: a second panic, while the first one unwinds, would end the process.
    pub(crate) fn tell(&mut self) {
        if self.ended || self.telling {
            return;
        }
        let observers = self.client.observers();
        let trace = self.call.trace();
        let targets = self.client.targets();
        if observers.is_empty() && !Spans::wanted() {
            return;
        }
        self.telling = true;
        while let Some(entry) = trace.entries.get(self.told) {
            self.told += 1;
            self.spans.tell(entry, targets);
            for observer in observers {
                observer.entry(trace.call, entry, targets);
            }
        }
        if let Some(finish) = trace.finish() {
            self.ended = true;
            let ended = Ended { call: trace.call, finish, trace, targets, usage: self.usage };
            for observer in observers {
                observer.ended(&ended);
            }
        }
        self.telling = false;
    }

    /// Takes a step of an attempt's transport where whatever it logs belongs.
    pub(crate) fn within<T>(&self, attempt: u32, step: impl FnOnce() -> T) -> T {
        self.spans.within(attempt, step)
    }

    /// What happened so far.
    pub(crate) fn trace(&self) -> &Trace {
        self.call.trace()
    }

    /// What the answer cost, once it is whole.
    pub(crate) fn usage(&self) -> Option<Usage> {
        self.usage
    }

    /// The target of the last attempt, by its place in the list of targets.
    pub(crate) fn served_by(&self) -> usize {
        self.call.target().expect("an attempt was made")
    }

    /// What a served call hands back.
    pub(crate) fn success<T>(mut self, value: T) -> Success<T> {
        let Some(Finish::Served { target, .. }) = self.call.trace().finish() else {
            unreachable!("an attempt that landed has served the call");
        };
        let attempts = self.call.attempts();
        Success { value, usage: self.usage, target, attempts, trace: self.call.take_trace() }
    }

    /// What a stopped call hands back.
    pub(crate) fn error(&mut self, finish: Finish) -> CallError {
        let Finish::Stopped { why, retry_in } = finish else {
            unreachable!("whoever drives a call leaves it when it is served");
        };
        let targets = Arc::clone(self.client.targets());
        CallError { why, retry_in, trace: self.call.take_trace(), targets }
    }
}

impl Drop for Drive {
    fn drop(&mut self) {
        let seat = self.seat.take();
        self.with(|call, shared, now| {
            call.abandon(&mut shared.pool, now);
            if let Some(seat) = seat {
                shared.seats.remove(&seat);
            }
        });
        self.tell();
    }
}
