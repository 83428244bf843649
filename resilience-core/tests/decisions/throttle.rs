//! A quota by itself, under a paused clock.

use std::sync::Arc;
use std::time::Duration;

use resilience_core::{Cost, Dimension, Limit, Quota, Refusal, Throttle};
use tokio::time::Instant;

#[expect(clippy::disallowed_methods, reason = "a test measures what the shell waited")]
fn clock() -> Instant {
    Instant::now()
}

fn one() -> Cost {
    Cost::request(0, 0)
}

fn two_a_minute() -> Arc<Throttle> {
    let limits = vec![Limit { burst: 1, ..Limit::per_minute(Dimension::Rpm, 2) }];
    Arc::new(Throttle::new(&Quota { limits, ..Quota::default() }).unwrap())
}

#[tokio::test(start_paused = true)]
async fn turns_come_in_order_and_on_time() {
    let throttle = two_a_minute();
    let begun = clock();
    let tasks: Vec<_> = (0..4)
        .map(|_| {
            let throttle = Arc::clone(&throttle);
            tokio::spawn(async move {
                throttle.acquire(one()).await.unwrap().keep();
                begun.elapsed().as_secs()
            })
        })
        .collect();
    let mut turns = Vec::new();
    for task in tasks {
        turns.push(task.await.unwrap());
    }
    assert_eq!(turns, [0, 30, 60, 90]);
}

#[tokio::test(start_paused = true)]
async fn impatience_fails_at_once_and_takes_nothing() {
    let throttle = two_a_minute();
    let begun = clock();
    throttle.acquire(one()).await.unwrap().keep();
    let refusal = throttle.acquire_within(one(), Duration::from_secs(30)).await.unwrap_err();
    assert!(matches!(refusal, Refusal::TooLate { .. }));
    assert_eq!(begun.elapsed(), Duration::ZERO);
    throttle.acquire_within(one(), Duration::from_secs(31)).await.unwrap().keep();
    assert_eq!(begun.elapsed(), Duration::from_secs(30));
}

/// A permit that was granted to a waiter who left must reach the next.
#[tokio::test(start_paused = true)]
async fn whoever_leaves_the_line_holds_nobody_up() {
    let throttle = two_a_minute();
    let begun = clock();
    throttle.acquire(one()).await.unwrap().keep();
    let join = |throttle: &Arc<Throttle>| {
        let throttle = Arc::clone(throttle);
        tokio::spawn(async move {
            throttle.acquire(one()).await.unwrap().keep();
            begun.elapsed().as_secs()
        })
    };
    let (first, second, third) = (join(&throttle), join(&throttle), join(&throttle));
    tokio::task::yield_now().await;
    first.abort();
    third.abort();
    assert_eq!(second.await.unwrap(), 30);
    let fourth = join(&throttle);
    assert_eq!(fourth.await.unwrap(), 60);
}

#[tokio::test(start_paused = true)]
async fn a_pause_during_the_wait_is_kept() {
    let throttle = two_a_minute();
    let begun = clock();
    throttle.acquire(one()).await.unwrap().keep();
    let waiting = {
        let throttle = Arc::clone(&throttle);
        tokio::spawn(async move { throttle.acquire(one()).await })
    };
    tokio::task::yield_now().await;
    throttle.pause(Duration::from_secs(45));
    waiting.await.unwrap().unwrap().keep();
    assert_eq!(begun.elapsed(), Duration::from_secs(45));
    throttle.pause(Duration::from_secs(500));
    let within = throttle.acquire_within(one(), Duration::from_secs(100)).await;
    assert!(matches!(within, Err(Refusal::TooLate { .. })));
    assert_eq!(begun.elapsed(), Duration::from_secs(45));
}
