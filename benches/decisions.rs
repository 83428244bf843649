//! What a decision of the engine costs, without clock or socket, beside a bare scan of its rules.
//!
//! `engine` is there to catch a rule that is matched more than once, or an answer composed under
//! the lock. The scan is the least that finding the first rule of a list can cost.

use std::{hint::black_box, sync::Arc, time::Duration};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use mock_server::{
    action::{Action, Hinted, Plain},
    draw::Draws,
    engine::Engine,
    identity::Served,
    plan::{Act, Pick, Plan, Route, Rule, Scope, When, matches},
    request::{Conversation, Headers, Request, Wishes},
};

fn request() -> Request {
    Request {
        route: Route::OpenAiChat,
        model: "gpt-4o-mini".to_owned(),
        key: "sk-bench".to_owned(),
        headers: [("x-brownout-call".to_owned(), "1".to_owned())].into_iter().collect(),
        body: serde_json::Value::Null,
        streaming: false,
        conversation: Conversation::new([("user", "hello".to_owned())]),
        input_tokens: 10,
        output_tokens_max: None,
        wishes: Wishes::default(),
        connection: 0,
    }
}

/// A plan whose last rule acts, and all before it match another model.
fn plan(rules: usize) -> Plan {
    let rule = |model: &str| Rule {
        when: When { model: Some(model.to_owned()), ..When::default() },
        pick: Pick::Always,
        per: Scope::Lane,
        act: Act::Fault(Action::ServerError(Hinted::default())),
        draw: None,
    };
    let mut all = vec![rule("another-model"); rules - 1];
    all.push(rule("gpt-4o*"));
    Plan { rules: all, ..Plan::default() }
}

fn decide(c: &mut Criterion) {
    let mut group = c.benchmark_group("engine");
    group.throughput(Throughput::Elements(1));
    let request = request();
    for rules in [1, 100, 10_000] {
        let plan = Arc::new(plan(rules));
        let mut engine = Engine::new(Arc::clone(&plan), Draws::new(1));
        group.bench_function(format!("decide with {rules} rules"), |b| {
            b.iter(|| {
                let decision = engine.decide(black_box(&request), Duration::ZERO);
                engine.ended(decision.attempt, decision.call, Served::Broken, 0, Duration::ZERO);
                decision
            });
        });
        group.bench_function(format!("scan {rules} rules"), |b| {
            b.iter(|| {
                let model = black_box(&request).model.as_str();
                let when =
                    |rule: &&Rule| rule.when.model.as_deref().is_none_or(|m| matches(m, model));
                plan.rules.iter().find(when)
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

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(50).measurement_time(Duration::from_secs(2));
    targets = decide
}
criterion_main!(benches);
