//! What an admission costs, beside governor's check of a single dimension.
//!
//! The caller supplies the time on both sides, a microsecond later with each step; nothing here reads a clock to decide.
//! `idle` is there to catch a bucket that divides or allocates on its way, `saturated` a refusal that computes its instant anew each time, `two threads` work that is done under the lock.
//! The last lines compare rounds that take turns, which is fairer than two means on a busy machine.

#![expect(clippy::disallowed_methods, reason = "a bench reads the clock")]

use std::{
    cell::Cell,
    hint::black_box,
    num::NonZeroU32,
    sync::{Barrier, Mutex},
    thread,
    time::{Duration, Instant},
};

use criterion::{Criterion, Throughput, criterion_group};
use governor::{
    RateLimiter,
    clock::Clock,
    middleware::NoOpMiddleware,
    nanos::Nanos as GovernorNanos,
    state::{InMemoryState, NotKeyed},
};
use resilience_core::parts::Limiter;
use resilience_core::{Cost, Dimension, Limit, Nanos, Quota};

#[path = "../../benches/shared/rounds.rs"]
mod rounds;

thread_local! {
    static NOW: Cell<u64> = const { Cell::new(0) };
}

/// Shows what the caller has set.
#[derive(Clone, Debug)]
struct Told;

impl Clock for Told {
    type Instant = GovernorNanos;

    fn now(&self) -> Self::Instant {
        GovernorNanos::new(NOW.get())
    }
}

type Governor = RateLimiter<NotKeyed, InMemoryState, Told, NoOpMiddleware<GovernorNanos>>;

/// Governor with a single dimension.
fn governor(quota: governor::Quota) -> Governor {
    RateLimiter::direct_with_clock(quota, Told)
}

fn idle_governor() -> Governor {
    governor(governor::Quota::per_second(NonZeroU32::new(8_000_000).expect("it is not zero")))
}

fn saturated_governor() -> Governor {
    let quota = governor::Quota::with_period(DAY).expect("it is not zero");
    let governor = governor(quota);
    while governor.check().is_ok() {}
    governor
}

/// Ours with two dimensions.
fn limiter(requests: Limit, tokens: Limit) -> Mutex<Limiter> {
    let quota = Quota { limits: vec![requests, tokens], ..Quota::default() };
    Mutex::new(Limiter::new(&quota).expect("the quota is sound"))
}

fn idle_limiter() -> Mutex<Limiter> {
    limiter(
        Limit::per_minute(Dimension::Rpm, 8_000_000 * 60),
        Limit::per_minute(Dimension::Tpm, 8_000_000 * 60 * TOKENS),
    )
}

fn saturated_limiter() -> Mutex<Limiter> {
    let limiter =
        limiter(Limit::per_day(Dimension::Rpd, 1), Limit::per_day(Dimension::Tpd, TOKENS));
    while admit(&limiter, 0) {}
    limiter
}

fn check(governor: &Governor, now: u64) -> bool {
    NOW.set(now);
    black_box(governor.check()).is_ok()
}

fn admit(limiter: &Mutex<Limiter>, now: u64) -> bool {
    let admitted = limiter
        .lock()
        .expect("nobody panics")
        .admit(black_box(Cost::request(TOKENS, 0)), Nanos::new(now));
    black_box(admitted).is_ok()
}

fn admit_alone(limiter: &mut Limiter, now: u64) -> bool {
    black_box(limiter.admit(black_box(Cost::request(TOKENS, 0)), Nanos::new(now))).is_ok()
}

/// How long `steps` steps take on one thread.
fn on_one(steps: u64, mut step: impl FnMut(u64) -> bool) -> Duration {
    let begun = Instant::now();
    for number in 0..steps {
        black_box(step(number * STEP));
    }
    begun.elapsed()
}

/// How long `steps` steps on each of two threads take.
fn on_two(steps: u64, step: impl Fn(u64) -> bool + Sync) -> Duration {
    let start = Barrier::new(3);
    thread::scope(|scope| {
        let threads = [(); 2].map(|()| {
            scope.spawn(|| {
                start.wait();
                on_one(steps, &step)
            })
        });
        start.wait();
        threads.into_iter().map(|thread| thread.join().expect("nobody panics")).max()
    })
    .expect("there are two")
}

/// A situation, measured for so many steps on fresh limiters.
type Measured = fn(u64) -> Duration;

const SITUATIONS: [(&str, Measured, Measured, Measured); 2] = [
    (
        "idle",
        |steps| {
            let mut limiter = idle_limiter().into_inner().expect("nobody panicked");
            on_one(steps, |now| admit_alone(&mut limiter, now))
        },
        |steps| {
            let limiter = idle_limiter();
            on_one(steps, |now| admit(&limiter, now))
        },
        |steps| {
            let governor = idle_governor();
            on_one(steps, |now| check(&governor, now))
        },
    ),
    (
        "saturated",
        |steps| {
            let mut limiter = saturated_limiter().into_inner().expect("nobody panicked");
            on_one(steps, |now| admit_alone(&mut limiter, now))
        },
        |steps| {
            let limiter = saturated_limiter();
            on_one(steps, |now| admit(&limiter, now))
        },
        |steps| {
            let governor = saturated_governor();
            on_one(steps, |now| check(&governor, now))
        },
    ),
];

const ON_TWO: [(&str, Measured, Measured); 2] = [
    (
        "idle",
        |steps| {
            let limiter = idle_limiter();
            on_two(steps, |now| admit(&limiter, now))
        },
        |steps| {
            let governor = idle_governor();
            on_two(steps, |now| check(&governor, now))
        },
    ),
    (
        "saturated",
        |steps| {
            let limiter = saturated_limiter();
            on_two(steps, |now| admit(&limiter, now))
        },
        |steps| {
            let governor = saturated_governor();
            on_two(steps, |now| check(&governor, now))
        },
    ),
];

fn admissions(c: &mut Criterion) {
    let mut group = c.benchmark_group("limiter");
    group.throughput(Throughput::Elements(1));
    let mut bench = |name: String, measured: Measured| {
        group.bench_function(name, |b| b.iter_custom(measured));
    };
    for (name, alone, locked, governor) in SITUATIONS {
        bench(format!("{name}, two dimensions"), alone);
        bench(format!("{name}, two dimensions behind a mutex"), locked);
        bench(format!("{name}, governor"), governor);
    }
    for (name, ours, governor) in ON_TWO {
        bench(format!("{name}, two dimensions behind a mutex, two threads"), ours);
        bench(format!("{name}, governor, two threads"), governor);
    }
}

/// The situations again, by rounds that take turns.
fn compare() {
    let rounds = |name: &str, ours: Measured, governor: Measured| {
        let name = format!("limiter/{name}");
        let run = |measured: Measured| move |steps: u32| measured(steps.into());
        rounds::compare(&name, ROUNDS, STEPS, run(ours), run(governor));
    };
    for (name, alone, locked, governor) in SITUATIONS {
        rounds(&format!("{name}, one thread"), alone, governor);
        rounds(&format!("{name}, one thread, behind a mutex"), locked, governor);
    }
    for (name, ours, governor) in ON_TWO {
        rounds(&format!("{name}, two threads, behind a mutex"), ours, governor);
    }
}

criterion_group!(benches, admissions);

fn main() {
    benches();
    Criterion::default().configure_from_args().final_summary();
    // With `--test`, each bench runs once; a comparison of single runs says nothing.
    if std::env::args().any(|argument| argument == "--bench") {
        compare();
    }
}

const DAY: Duration = Duration::from_secs(86_400);

/// How far the time moves between two steps, in nanoseconds.
const STEP: u64 = 1_000;

const TOKENS: u64 = 1_000;

const ROUNDS: usize = 21;

const STEPS: u32 = 500_000;
