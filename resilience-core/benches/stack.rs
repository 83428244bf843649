//! What the whole stack adds to a call that succeeds, and what one backoff costs.
//!
//! Here to catch a lock, an allocation or a clock reading that creeps into the way of every call.

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group};
use resilience_core::{
    Answer, Attempt, Backoff, Client, Message, Policy, Provider, Quota, Request, Target,
};

fn stack(c: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let runtime = runtime.expect("a runtime needs nothing");
    let mut group = c.benchmark_group("stack");
    let request = Request::new([Message::user("hello")]);
    let bare = async |number: u32| Ok::<_, ()>(Answer::new(black_box(number)));
    group.bench_function("a bare future", |b| {
        b.iter(|| runtime.block_on(async { bare(black_box(1)).await }));
    });
    let target = Target::new(Provider::OpenAi, "gpt-4o-mini");
    let limited = Target { quota: Some(Quota::per_minute(1 << 40, 1 << 50)), ..target.clone() };
    for (name, target) in [("the whole stack", target), ("the whole stack with a quota", limited)] {
        let client = Client::new(Policy::default(), [target], 1).expect("the policy is sound");
        let send = async |attempt: Attempt| Ok(Answer::new(black_box(attempt.number)));
        group.bench_function(name, |b| {
            b.iter(|| runtime.block_on(client.call(black_box(&request), send)));
        });
    }
    group.finish();
    c.bench_function("backoff with full jitter", |b| {
        let backoff = Backoff::default();
        b.iter(|| backoff.delay(black_box(3), None, black_box(0x5eed_5eed_5eed_5eed)));
    });
}

/// What the stack adds to a bare future: the median of several interleaved rounds.
#[expect(clippy::print_stdout, reason = "the comparison is what this is for")]
#[expect(clippy::disallowed_methods, reason = "a bench reads the clock")]
fn compare() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let runtime = runtime.expect("a runtime needs nothing");
    let request = Request::new([Message::user("hello")]);
    let client = Client::new(Policy::default(), [Target::new(Provider::OpenAi, "gpt-4o-mini")], 1);
    let client = client.expect("the policy is sound");
    let bare = async |number: u32| Ok::<_, ()>(Answer::new(black_box(number)));
    let send = async |attempt: Attempt| Ok(Answer::new(black_box(attempt.number)));
    let mut rounds = [Vec::new(), Vec::new()];
    for _ in 0..ROUNDS {
        let began = Instant::now();
        for _ in 0..CALLS {
            black_box(runtime.block_on(async { bare(black_box(1)).await })).ok();
        }
        rounds[0].push(began.elapsed() / CALLS);
        let began = Instant::now();
        for _ in 0..CALLS {
            black_box(runtime.block_on(client.call(black_box(&request), send))).ok();
        }
        rounds[1].push(began.elapsed() / CALLS);
    }
    let [bare, stack] = rounds.map(|mut round| {
        round.sort_unstable();
        round[ROUNDS / 2]
    });
    let added = stack.saturating_sub(bare);
    let judged = if added < Duration::from_micros(1) { "met" } else { "missed" };
    println!("the stack adds {added:?} to a bare future of {bare:?} (under 1 µs: {judged})");
}

criterion_group!(benches, stack);

fn main() {
    benches();
    Criterion::default().configure_from_args().final_summary();
    // With `--test`, each bench runs once; a comparison of single runs says nothing.
    if std::env::args().any(|argument| argument == "--bench") {
        compare();
    }
}

const ROUNDS: usize = 21;

const CALLS: u32 = 20_000;
