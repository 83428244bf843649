//! What waiting for a quota costs tasks, beside leaky-bucket and governor.
//!
//! `alone` is there to catch a timer, an allocation or a second lock on the way of a permit that is free; `two threads` work under the lock; `a line` a queue whose costs grow with its length.
//! The quota of the first two is never short. The line stands in virtual time, so that only the work counts.

#![expect(clippy::disallowed_methods, reason = "a bench reads the clock")]

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput};
use leaky_bucket::RateLimiter;
use resilience_core::{Cost, Dimension, Limit, Quota, Throttle};
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;

/// What asks for permits, one after the other.
trait Limited: Send + Sync + 'static {
    /// Waits for one permit, and lets go of it.
    fn acquire(&self) -> impl Future<Output = ()> + Send;
}

impl Limited for Throttle {
    async fn acquire(&self) {
        let permit = Self::acquire(self, Cost::request(0, 0)).await;
        permit.expect("one request fits").keep();
    }
}

impl Limited for RateLimiter {
    async fn acquire(&self) {
        self.acquire_one().await;
    }
}

impl Limited for governor::DefaultDirectRateLimiter {
    async fn acquire(&self) {
        self.until_ready().await;
    }
}

fn throttle(limit: Limit) -> Arc<Throttle> {
    let quota = Quota { limits: vec![limit], ..Quota::default() };
    Arc::new(Throttle::new(&quota).expect("the quota is sound"))
}

/// Never short.
fn ample_throttle() -> Arc<Throttle> {
    throttle(Limit::per_minute(Dimension::Rpm, 1 << 50))
}

fn ample_bucket() -> Arc<RateLimiter> {
    let most = usize::MAX / 2;
    Arc::new(RateLimiter::builder().max(most).initial(most).build())
}

fn ample_governor() -> Arc<governor::DefaultDirectRateLimiter> {
    Arc::new(governor::RateLimiter::direct(governor::Quota::per_second(NonZeroU32::MAX)))
}

/// How long so many permits take one task.
fn one(runtime: &Runtime, permits: u64, limited: &impl Limited) -> Duration {
    runtime.block_on(async {
        let begun = Instant::now();
        for _ in 0..permits {
            limited.acquire().await;
        }
        begun.elapsed()
    })
}

/// How long so many permits take tasks that ask at the same time.
fn many(runtime: &Runtime, permits: u64, limited: &Arc<impl Limited>) -> Duration {
    runtime.block_on(async {
        let begun = Instant::now();
        let mut tasks = JoinSet::new();
        for task in 0..TASKS {
            let limited = Arc::clone(limited);
            let share = permits / TASKS + u64::from(task < permits % TASKS);
            tasks.spawn(async move {
                for _ in 0..share {
                    limited.acquire().await;
                }
            });
        }
        tasks.join_all().await;
        begun.elapsed()
    })
}

fn permits(c: &mut Criterion) {
    let mut group = c.benchmark_group("throttle");
    group.throughput(Throughput::Elements(1));
    let alone = Builder::new_current_thread().enable_time().build();
    let alone = alone.expect("a runtime needs nothing");
    let (ours, bucket, governor) = (ample_throttle(), ample_bucket(), ample_governor());
    group.bench_function("alone", |b| b.iter_custom(|n| one(&alone, n, &*ours)));
    group.bench_function("alone, leaky-bucket", |b| b.iter_custom(|n| one(&alone, n, &*bucket)));
    group.bench_function("alone, governor", |b| b.iter_custom(|n| one(&alone, n, &*governor)));

    let two = Builder::new_multi_thread().worker_threads(2).enable_time().build();
    let two = two.expect("a runtime needs two threads");
    let (ours, bucket, governor) = (ample_throttle(), ample_bucket(), ample_governor());
    group.bench_function("two threads", |b| b.iter_custom(|n| many(&two, n, &ours)));
    group
        .bench_function("two threads, leaky-bucket", |b| b.iter_custom(|n| many(&two, n, &bucket)));
    group.bench_function("two threads, governor", |b| b.iter_custom(|n| many(&two, n, &governor)));

    let paused = Builder::new_current_thread().enable_time().start_paused(true).build();
    let paused = paused.expect("a runtime needs nothing");
    let ours = throttle(Limit { burst: 1, ..Limit::per_minute(Dimension::Rpm, PER_SECOND * 60) });
    let bucket = RateLimiter::builder()
        .max(1)
        .initial(1)
        .interval(Duration::from_secs(1) / u32::try_from(PER_SECOND).expect("it is small"))
        .build();
    let bucket = Arc::new(bucket);
    group.bench_function("a line", |b| b.iter_custom(|n| many(&paused, n, &ours)));
    group.bench_function("a line, leaky-bucket", |b| b.iter_custom(|n| many(&paused, n, &bucket)));
    group.finish();
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    permits(&mut criterion);
    criterion.final_summary();
}

/// How many tasks ask at the same time.
const TASKS: u64 = 64;

/// How many permits the line gets; tokio's timers know milliseconds.
const PER_SECOND: u64 = 500;
