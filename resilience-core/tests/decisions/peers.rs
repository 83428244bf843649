//! Beside other people's limiters: the same admissions where they are right, and where they are not.

use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use governor::RateLimiter;
use governor::clock::FakeRelativeClock;
use proptest::prelude::*;
use resilience_core::parts::Limiter;
use resilience_core::{Cost, Dimension, Limit, Nanos, NoRoom, Quota, Throttle};

fn tokens(count: u64) -> Cost {
    Cost::request(count, 0)
}

fn limits(limits: &[Limit]) -> Quota {
    Quota { limits: limits.to_vec(), ..Quota::default() }
}

/// Governor admits 119 of 60 in the first minute, as does every bucket that holds a whole window; ours does so only where it is told to.
#[test]
fn governor_doubles_the_first_minute() {
    let clock = FakeRelativeClock::default();
    let quota = governor::Quota::per_minute(NonZeroU32::new(60).unwrap());
    let theirs = RateLimiter::direct_with_clock(quota, clock.clone());
    let minute = Limit::per_minute(Dimension::Rpm, 60);
    let mut classic = Limiter::new(&limits(&[minute])).unwrap();
    let mut strict = Limiter::new(&limits(&[minute]).strict(tokens(0))).unwrap();
    let mut admitted = [0; 3];
    for millis in 0..60_000 {
        let now = Nanos::from(Duration::from_millis(millis));
        while theirs.check().is_ok() {
            admitted[0] += 1;
        }
        for (limiter, count) in [&mut classic, &mut strict].into_iter().zip(&mut admitted[1..]) {
            while limiter.admit(tokens(0), now).is_ok() {
                *count += 1;
            }
        }
        clock.advance(Duration::from_millis(1));
    }
    assert_eq!(admitted, [119, 119, 60]);
}

/// leaky-bucket lets a request through that is ten times its bucket, a part at a time; ours says at once that it never fits.
#[tokio::test(start_paused = true)]
async fn leaky_bucket_lets_a_giant_through() {
    let theirs = leaky_bucket::RateLimiter::builder()
        .max(10)
        .initial(10)
        .refill(10)
        .interval(Duration::from_secs(1))
        .build();
    theirs.acquire(100).await;
    let limit =
        Limit { dimension: Dimension::Tpm, tokens: 10, burst: 10, period: Duration::from_secs(1) };
    let ours = Throttle::new(&limits(&[limit])).unwrap();
    let never = NoRoom::Never { dimension: Dimension::Tpm, cost: 100, capacity: 10 };
    assert_eq!(ours.acquire(tokens(100)).await.unwrap_err(), never);
}

/// Both serve in the order of asking, whatever was asked.
#[tokio::test(start_paused = true)]
async fn leaky_bucket_keeps_the_same_order() {
    let costs = [3, 1, 5, 2, 8, 1, 1, 4];
    let theirs = Arc::new(
        leaky_bucket::RateLimiter::builder()
            .max(10)
            .initial(0)
            .refill(1)
            .interval(Duration::from_secs(1))
            .fair(true)
            .build(),
    );
    let limit =
        Limit { dimension: Dimension::Tpm, tokens: 10, burst: 10, period: Duration::from_secs(10) };
    let ours = Arc::new(Throttle::new(&limits(&[limit])).unwrap());
    ours.acquire(tokens(10)).await.unwrap().keep();
    let served = Arc::new(Mutex::new([Vec::new(), Vec::new()]));
    let mut tasks = Vec::new();
    for (number, cost) in costs.into_iter().enumerate() {
        let (theirs, ours) = (Arc::clone(&theirs), Arc::clone(&ours));
        let (left, right) = (Arc::clone(&served), Arc::clone(&served));
        tasks.push(tokio::spawn(async move {
            theirs.acquire(cost).await;
            left.lock().unwrap()[0].push(number);
        }));
        tasks.push(tokio::spawn(async move {
            let cost = u64::try_from(cost).unwrap();
            ours.acquire(tokens(cost)).await.unwrap().keep();
            right.lock().unwrap()[1].push(number);
        }));
        tokio::task::yield_now().await;
    }
    for task in tasks {
        task.await.unwrap();
    }
    let [theirs, ours] = &*served.lock().unwrap();
    assert_eq!(theirs, ours);
    assert_eq!(*ours, (0..costs.len()).collect::<Vec<_>>());
}

proptest! {
    /// Where a token takes a whole number of nanoseconds, governor's arithmetic is exact too, and both admit alike.
    #[test]
    fn governor_admits_the_same_on_one_dimension(
        (per_second, burst) in prop_oneof![Just(1u32), Just(2), Just(5), Just(8), Just(100)]
            .prop_flat_map(|rate| (Just(rate), 1..=rate)),
        asks in prop::collection::vec((1..20u32, 0..2_000_000_000u64), 1..100),
    ) {
        let clock = FakeRelativeClock::default();
        let quota = governor::Quota::per_second(NonZeroU32::new(per_second).unwrap())
            .allow_burst(NonZeroU32::new(burst).unwrap());
        let theirs = RateLimiter::direct_with_clock(quota, clock.clone());
        let mut ours = Limiter::new(&limits(&[Limit {
            dimension: Dimension::Tpm,
            tokens: u64::from(per_second),
            burst: u64::from(burst),
            period: Duration::from_secs(1),
        }])).unwrap();
        let mut now = Nanos::ZERO;
        for (cost, pass) in asks {
            clock.advance(Duration::from_nanos(pass));
            now = now + Duration::from_nanos(pass);
            let cost = cost.min(burst);
            let theirs = theirs.check_n(NonZeroU32::new(cost).unwrap()).unwrap().is_ok();
            prop_assert_eq!(theirs, ours.admit(tokens(u64::from(cost)), now).is_ok());
        }
    }
}
