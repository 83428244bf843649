//! What a decision costs, without clock or socket.
//!
//! Each group is there to catch one regression: `engine` a rule that is matched too often or an
//! answer composed under the lock, `limiter` a bucket that loops, `backoff` a power or a float.

use std::{hint::black_box, sync::Arc, time::Duration};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use mock_server::{
    action::{Action, Hinted, Plain},
    draw::Draws,
    engine::Engine,
    identity::Served,
    plan::{Act, Pick, Plan, Route, Rule, Scope, When},
    request::{Conversation, Headers, Request, Wishes},
};
use resilience_core::parts::Limiter;
use resilience_core::{Backoff, Cost, Nanos, Quota};

fn request() -> Request {
    Request {
        route: Route::OpenAiChat,
        model: "gpt-4o-mini".to_owned(),
        key: "sk-bench".to_owned(),
        headers: Headers(vec![("x-brownout-call".to_owned(), "1".to_owned())]),
        body: serde_json::Value::Null,
        streaming: false,
        conversation: Conversation::new([("user", "hello".to_owned())]),
        input_tokens: 10,
        output_tokens_max: None,
        wishes: Wishes::default(),
        connection: 0,
    }
}

/// An engine whose last rule acts, and all before it match another model.
fn engine(rules: usize) -> Engine {
    let rule = |model: &str| Rule {
        when: When { model: Some(model.to_owned()), ..When::default() },
        pick: Pick::Always,
        per: Scope::Lane,
        act: Act::Fault(Action::ServerError(Hinted::default())),
        draw: None,
    };
    let mut all = vec![rule("another-model"); rules - 1];
    all.push(rule("gpt-4o*"));
    Engine::new(Arc::new(Plan { rules: all, ..Plan::default() }), Draws::new(1))
}

fn decide(c: &mut Criterion) {
    let mut group = c.benchmark_group("engine");
    group.throughput(Throughput::Elements(1));
    let request = request();
    for rules in [1, 100, 10_000] {
        let mut engine = engine(rules);
        group.bench_function(format!("decide with {rules} rules"), |b| {
            b.iter(|| {
                let decision = engine.decide(black_box(&request), Duration::ZERO);
                engine.ended(decision.attempt, decision.call, Served::Broken, 0, Duration::ZERO);
                decision
            });
        });
    }
    let plan = Plan {
        rules: vec![Rule {
            when: When::default(),
            pick: Pick::Always,
            per: Scope::Lane,
            act: Act::Fault(Action::Hang(Plain::default())),
            draw: None,
        }],
        ..Plan::default()
    };
    let mut engine = Engine::new(Arc::new(plan), Draws::new(1));
    let nameless = Request { headers: Headers::default(), ..request };
    group.bench_function("decide by conversation", |b| {
        b.iter(|| {
            let decision = engine.decide(black_box(&nameless), Duration::ZERO);
            engine.ended(decision.attempt, decision.call, Served::Broken, 0, Duration::ZERO);
            decision
        });
    });
    group.finish();
}

fn admit(c: &mut Criterion) {
    let mut group = c.benchmark_group("limiter");
    group.throughput(Throughput::Elements(1));
    let quota = Quota::per_minute(1_000_000, 1_000_000_000);
    let mut idle = Limiter::new(&quota).expect("the quota is valid");
    let mut now = Nanos::ZERO;
    group.bench_function("admit on two dimensions, idle", |b| {
        b.iter(|| {
            now = now + Duration::from_millis(1);
            idle.admit(black_box(Cost::request(100, 100)), now)
        });
    });
    let mut saturated = Limiter::new(&Quota::per_minute(1, 1_000)).expect("the quota is valid");
    group.bench_function("admit on two dimensions, saturated", |b| {
        b.iter(|| saturated.admit(black_box(Cost::request(100, 100)), Nanos::ZERO));
    });
    group.finish();
}

fn delay(c: &mut Criterion) {
    let mut group = c.benchmark_group("backoff");
    group.throughput(Throughput::Elements(1));
    let backoff = Backoff::default();
    let mut draw = 1_u64;
    group.bench_function("full jitter", |b| {
        b.iter(|| {
            draw = draw.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            backoff.delay(black_box(7), None, draw)
        });
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(50).measurement_time(Duration::from_secs(2));
    targets = decide, admit, delay
}
criterion_main!(benches);
