//! What the whole stack adds to a call that succeeds, and what one backoff costs.
//!
//! Here to catch a lock, an allocation or a clock reading that creeps into the way of every call.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
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

criterion_group!(benches, stack);
criterion_main!(benches);
