//! Plays one call to its end, in virtual time and without a runtime.

use std::sync::Arc;
use std::time::Duration;

use resilience_core::hint::{Hint, Source};
use resilience_core::{
    Action, Backoff, Call, Class, Draws, Entry, Event, Failure, Finish, Jitter, Message, Mistakes,
    Nanos, Policy, PolicyMistake, Pool, Provider, Request, Retry, Spread, StopReason, Target,
    Trace, What,
};

pub(crate) fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

pub(crate) fn at(after: u64) -> Nanos {
    Nanos::from(secs(after))
}

/// Delays at the envelope and no spread, so that every instant is known.
pub(crate) fn exact() -> Policy {
    let backoff = Backoff { jitter: Jitter::None, ..Backoff::default() };
    Policy {
        retry: Retry { backoff, spread: Spread::NONE, ..Retry::default() },
        ..Policy::default()
    }
}

pub(crate) fn target(name: &str, credential: &str) -> Target {
    Target {
        name: name.to_owned(),
        credential: credential.to_owned(),
        counter: Arc::new(resilience_core::Estimate),
        ..Target::new(Provider::OpenAi, name)
    }
}

/// A pool of these targets, under [`exact`].
pub(crate) fn pool_of(targets: impl Into<Arc<[Target]>>) -> Result<Pool, Mistakes<PolicyMistake>> {
    Pool::new(&exact(), targets, Draws::new(1))
}

pub(crate) fn chain(names: &[&str]) -> Pool {
    pool_of(names.iter().map(|name| target(name, name)).collect::<Vec<_>>()).unwrap()
}

pub(crate) fn hello() -> Request {
    Request::new([Message::user("hello")])
}

pub(crate) fn failing(class: Class) -> Event {
    Event::Failed(Failure::new(class, "no"))
}

pub(crate) fn hinted(class: Class, after: Duration) -> Event {
    let mut failure = Failure::new(class, "no");
    failure.hint = Some(Hint { after, source: Source::RetryAfter });
    Event::Failed(failure)
}

pub(crate) const LIMITED: Class = Class::RateLimited { dimension: None };
pub(crate) const TOO_LONG: Class = Class::ContextOverflow { limit: None, requested: None };

/// An attempt, as the driver's script sees it.
pub(crate) struct Sent<'a> {
    pub(crate) target: usize,
    pub(crate) attempt: u32,
    pub(crate) messages: &'a [Message],
    pub(crate) output_max: Option<u64>,
}

/// Plays one call to its end; the script answers each attempt at once.
pub(crate) fn play(
    policy: &Policy,
    pool: &mut Pool,
    begun: Nanos,
    request: Request,
    mut script: impl FnMut(&Sent<'_>) -> Event,
) -> (Finish, Trace) {
    let mut call = Call::new(1, request, policy.clone(), begun);
    let mut now = begun;
    for _ in 0..10_000 {
        match call.poll(pool, now) {
            Action::Acquire { until, .. }
            | Action::Attend { until, .. }
            | Action::Wait { until, .. } => {
                assert!(until > now, "a wait of nothing");
                now = until;
            }
            Action::Done(finish) => return (finish, call.take_trace()),
            Action::Drop { attempt } => assert!(!call.is_out(attempt), "dropped and still out"),
            Action::Send { attempt, target, messages, output_max, .. } => {
                let event = script(&Sent { target, attempt, messages: &messages, output_max });
                call.handle(attempt, event, pool, now);
            }
        }
    }
    panic!("a call that does not end");
}

/// The targets that were asked, in order.
pub(crate) fn asked(trace: &Trace) -> Vec<usize> {
    trace.attempts().map(|(_, target, _)| target).collect()
}

/// When each attempt began.
pub(crate) fn starts(trace: &Trace) -> Vec<Nanos> {
    let starts =
        |entry: &Entry| matches!(entry.what, What::AttemptStarted { .. }).then_some(entry.at);
    trace.entries.iter().filter_map(starts).collect()
}

pub(crate) fn stopped(finish: Finish) -> (StopReason, Option<Duration>) {
    match finish {
        Finish::Stopped { why, retry_in } => (why, retry_in),
        served @ Finish::Served { .. } => panic!("{served:?}"),
    }
}

pub(crate) fn long_request() -> Request {
    let mut messages = vec![Message::system("sys")];
    messages.extend((0..20).map(|turn| Message::user(format!("{turn:>40}"))));
    Request::new(messages)
}
