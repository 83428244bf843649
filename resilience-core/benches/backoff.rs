//! What a delay costs and how far it reaches, beside the backoffs of backon and tower.
//!
//! `backoff` is there to catch a power, a division or a float on the way to a delay; the line after it a delay beyond its cap.
//! A call's eight retries are one iteration, from 1 s to 60 s: three below the cap and two at it would hide which is dear.
//! Ours pays for its addressed draws here, as the others pay for their generators.

use std::hint::black_box;
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use criterion::{Criterion, Throughput};
use resilience_core::{Backoff, Draws, Jitter, Purpose};
use tower::retry::backoff::{Backoff as _, ExponentialBackoffMaker, MakeBackoff};
use tower::util::rng::HasherRng;

#[path = "../../benches/shared/figure.rs"]
mod figure;

const RETRIES: u32 = 8;

/// The delays of a call's retries.
fn delays(backoff: &Backoff, draws: Draws, call: u64) -> [Duration; 8] {
    let mut previous = None;
    let mut retry = 0;
    [(); 8].map(|()| {
        retry += 1;
        let delay =
            backoff.delay(retry, previous, draws.draw(call, Purpose::Backoff, retry.into()));
        previous = Some(delay);
        delay
    })
}

fn of_backon(jitter: bool) -> ExponentialBuilder {
    let builder = ExponentialBuilder::new().without_max_times().with_jitter_seed(1);
    let Backoff { base, cap, .. } = Backoff::default();
    let builder = builder.with_min_delay(base).with_max_delay(cap);
    if jitter { builder.with_jitter() } else { builder }
}

fn costs(c: &mut Criterion) {
    let mut group = c.benchmark_group("backoff");
    group.throughput(Throughput::Elements(RETRIES.into()));
    let draws = Draws::new(1);
    for (name, jitter) in [
        ("no jitter", Jitter::None),
        ("full", Jitter::Full),
        ("equal", Jitter::Equal),
        ("quarter", Jitter::Quarter),
        ("decorrelated", Jitter::Decorrelated),
    ] {
        let backoff = Backoff { jitter, ..Backoff::default() };
        let mut call = 0;
        group.bench_function(name, |b| {
            b.iter(|| {
                call += 1;
                delays(black_box(&backoff), draws, call)
            });
        });
    }
    let backoff = Backoff::default();
    group.bench_function("bounds", |b| {
        b.iter(|| [1, 2, 3, 4, 5, 6, 7, 8].map(|retry| black_box(&backoff).bounds(retry, None)));
    });
    for (name, jitter) in [("backon", true), ("backon without jitter", false)] {
        let builder = of_backon(jitter);
        group.bench_function(name, |b| {
            b.iter(|| {
                let mut delays = black_box(builder).build();
                [(); 8].map(|()| delays.next())
            });
        });
    }
    // Tower hands out its delays only as sleeps, which need a runtime.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let runtime = runtime.expect("a runtime needs nothing");
    let entered = runtime.enter();
    let Backoff { base, cap, .. } = backoff;
    let mut maker = ExponentialBackoffMaker::new(base, cap, 1.0, HasherRng::default())
        .expect("the bounds are in order");
    group.bench_function("tower", |b| {
        b.iter(|| {
            let mut delays = black_box(&mut maker).make_backoff();
            [(); 8].map(|()| drop(black_box(delays.next_backoff())))
        });
    });
    drop(entered);
    group.finish();
}

/// Tells the longest delays of many calls, which are no matter of time.
fn reaches() {
    let longest = |delays: &mut dyn Iterator<Item = Duration>| {
        delays.map(|delay| delay.as_secs_f64()).fold(0.0, f64::max)
    };
    let theirs = longest(&mut of_backon(true).build().take(10_000));
    let backoff = Backoff::default();
    let draws = Draws::new(1);
    let ours = longest(&mut (0..10_000).flat_map(|call| delays(&backoff, draws, call)));
    figure::tell("backoff/the longest delay", [ours, theirs], "s", ours / theirs, None);
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    costs(&mut criterion);
    criterion.final_summary();
    reaches();
}
