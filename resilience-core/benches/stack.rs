//! What the whole stack costs a call, beside backon and tower's retry.
//!
//! `stack` is there to catch a lock, an allocation or a clock reading that creeps into the way of every call; `retried` one that creeps into the way of a failure.
//! A call of ours counts its tokens, holds its place in the line, keeps time limits and writes its trace, none of which the others do: they are the least that retrying costs.
//! Waits pass in virtual time, so that only the work counts.

#![expect(clippy::disallowed_methods, reason = "a bench reads the clock")]

use std::cell::Cell;
use std::hint::black_box;
use std::time::{Duration, Instant};

use backon::{ExponentialBuilder, Retryable as _};
use criterion::{Criterion, Throughput};
use resilience_core::{
    Answer, Attempt, Backoff, Class, Client, Failure, Message, Policy, Provider, Quota, Request,
    Target,
};
use tokio::runtime::Runtime;
use tower::retry::backoff::{
    Backoff as _, ExponentialBackoff, ExponentialBackoffMaker, MakeBackoff as _,
};
use tower::util::rng::HasherRng;
use tower::{Service as _, ServiceExt as _};

#[path = "../../benches/shared/rounds.rs"]
mod rounds;

/// How often a call fails before it succeeds.
#[derive(Clone, Copy)]
struct Failing {
    times: u32,
}

impl Failing {
    /// The answer to an attempt, counted from 1.
    fn attempt(self, number: u32) -> Result<u32, Unavailable> {
        if number > self.times { Ok(black_box(number)) } else { Err(Unavailable) }
    }
}

#[derive(Debug)]
struct Unavailable;

/// Tower's retries, with the bounds of our backoff.
#[derive(Clone)]
struct Retries {
    left: u32,
    backoff: ExponentialBackoff,
}

impl tower::retry::Policy<(), u32, Unavailable> for Retries {
    type Future = tokio::time::Sleep;

    fn retry(
        &mut self,
        _request: &mut (),
        result: &mut Result<u32, Unavailable>,
    ) -> Option<Self::Future> {
        if result.is_ok() || self.left == 0 {
            return None;
        }
        self.left -= 1;
        Some(self.backoff.next_backoff())
    }

    fn clone_request(&mut self, _request: &()) -> Option<()> {
        Some(())
    }
}

fn runtime() -> Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_time().start_paused(true).build().expect("a runtime needs nothing")
}

fn target() -> Target {
    Target::new(Provider::OpenAi, "gpt-4o-mini")
}

/// How long so many calls take with our client.
fn ours(runtime: &Runtime, calls: u64, client: &Client, failing: Failing) -> Duration {
    let request = Request::new([Message::user("hello")]);
    let send = async |attempt: Attempt| {
        let answered = failing.attempt(attempt.number);
        answered.map(Answer::new).map_err(|_| Failure::new(Class::Server, "unavailable"))
    };
    runtime.block_on(async {
        let begun = Instant::now();
        for _ in 0..calls {
            let success = client.call(black_box(&request), send).await;
            black_box(success).expect("it succeeds in the end");
        }
        begun.elapsed()
    })
}

fn of_backon(runtime: &Runtime, calls: u64, failing: Failing) -> Duration {
    let Backoff { base, cap, .. } = Backoff::default();
    let builder = ExponentialBuilder::new().with_min_delay(base).with_max_delay(cap);
    let builder = builder.with_max_times(5).with_jitter();
    runtime.block_on(async {
        let begun = Instant::now();
        for _ in 0..calls {
            let number = Cell::new(0);
            let send = async || {
                number.set(number.get() + 1);
                failing.attempt(number.get())
            };
            black_box(send.retry(builder).await).expect("it succeeds in the end");
        }
        begun.elapsed()
    })
}

fn of_tower(runtime: &Runtime, calls: u64, failing: Failing) -> Duration {
    let Backoff { base, cap, .. } = Backoff::default();
    let maker = ExponentialBackoffMaker::new(base, cap, 1.0, HasherRng::default());
    let backoff = maker.expect("the bounds are in order").make_backoff();
    let number = Cell::new(0);
    let service = tower::service_fn(async |()| {
        number.set(number.get() + 1);
        failing.attempt(number.get())
    });
    let mut stack = tower::retry::Retry::new(Retries { left: 5, backoff }, service);
    runtime.block_on(async {
        let begun = Instant::now();
        for _ in 0..calls {
            number.set(0);
            let service = stack.ready().await.expect("it is always ready");
            black_box(service.call(()).await).expect("it succeeds in the end");
        }
        begun.elapsed()
    })
}

fn stacks(c: &mut Criterion) {
    let runtime = runtime();
    let client = |policy: Policy, target: Target| {
        Client::new(policy, [target], 1).expect("the policy is sound")
    };
    let mut group = c.benchmark_group("stack");
    group.throughput(Throughput::Elements(1));
    let well = Failing { times: 0 };
    let plain = client(Policy::default(), target());
    let limited = Target { quota: Some(Quota::per_minute(1 << 40, 1 << 50)), ..target() };
    let limited = client(Policy::default(), limited);
    group.bench_function("ours", |b| b.iter_custom(|n| ours(&runtime, n, &plain, well)));
    group.bench_function("ours with a quota", |b| {
        b.iter_custom(|n| ours(&runtime, n, &limited, well));
    });
    group.bench_function("backon", |b| b.iter_custom(|n| of_backon(&runtime, n, well)));
    group.bench_function("tower", |b| b.iter_custom(|n| of_tower(&runtime, n, well)));
    group.finish();

    let mut group = c.benchmark_group("retried");
    group.throughput(Throughput::Elements(1));
    let ill = Failing { times: 2 };
    // Every call fails twice, for which no budget and no breaker would stand.
    let patient = Policy { budget: None, breaker: None, ..Policy::default() };
    let patient = client(patient, target());
    group.bench_function("ours", |b| b.iter_custom(|n| ours(&runtime, n, &patient, ill)));
    group.bench_function("backon", |b| b.iter_custom(|n| of_backon(&runtime, n, ill)));
    group.bench_function("tower", |b| b.iter_custom(|n| of_tower(&runtime, n, ill)));
    group.finish();
}

/// A call that succeeds, by rounds that take turns.
fn compare() {
    let runtime = runtime();
    let client = Client::new(Policy::default(), [target()], 1).expect("the policy is sound");
    let well = Failing { times: 0 };
    rounds::compare(
        "stack/a call that succeeds",
        ROUNDS,
        CALLS,
        |calls| ours(&runtime, calls.into(), &client, well),
        |calls| of_tower(&runtime, calls.into(), well),
    );
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    stacks(&mut criterion);
    criterion.final_summary();
    // With `--test`, each bench runs once; a comparison of single runs says nothing.
    if std::env::args().any(|argument| argument == "--bench") {
        compare();
    }
}

const ROUNDS: usize = 21;

const CALLS: u32 = 20_000;
