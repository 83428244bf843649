//! A quota by itself, under a paused clock.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use resilience_core::{Cost, Dimension, Limit, NoRoom, Priority, Quota, Throttle, Unsettled};
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
    assert_eq!(refusal, NoRoom::NotYet { retry_in: Some(Duration::from_secs(30)) });
    assert_eq!(begun.elapsed(), Duration::ZERO);
    throttle.acquire_within(one(), Duration::from_secs(31)).await.unwrap().keep();
    assert_eq!(begun.elapsed(), Duration::from_secs(30));
}

/// Whoever left the line is no longer waited for.
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
    assert!(matches!(within, Err(NoRoom::NotYet { retry_in: Some(_) })));
    assert_eq!(begun.elapsed(), Duration::from_secs(45));
}

fn one_at_a_time() -> Throttle {
    Throttle::new(&Quota { concurrency: Some(1), ..Quota::per_minute(100, 1_000) }).unwrap()
}

fn tokens(count: u64) -> Cost {
    Cost::request(count, 0)
}

#[tokio::test(start_paused = true)]
async fn property_33_a_dropped_permit_is_settled_by_the_policy() {
    for (unsettled, left) in [(Unsettled::Keep, 900), (Unsettled::Refund, 1_000)] {
        let throttle = one_at_a_time().with_unsettled(unsettled);
        let permit = throttle.try_acquire(tokens(100)).unwrap();
        assert_eq!(throttle.available(Dimension::Tpm), Some(900));
        drop(permit);
        assert_eq!(throttle.available(Dimension::Tpm), Some(left), "{unsettled:?}");
        assert_eq!(throttle.in_flight(), 0);
        // What was settled is not settled again by the drop that follows.
        throttle.try_acquire(tokens(100)).unwrap().refund();
        assert_eq!(throttle.available(Dimension::Tpm), Some(left));
        throttle.try_acquire(tokens(100)).unwrap().settle(tokens(150));
        assert_eq!(throttle.available(Dimension::Tpm), Some(left - 150));
    }
}

/// P11: the wait for a retry is no payment; each attempt acquires for itself.
#[tokio::test(start_paused = true)]
async fn property_37_every_attempt_pays() {
    let throttle = two_a_minute();
    let begun = clock();
    for attempt in 1..=4 {
        throttle.acquire(one()).await.unwrap().keep();
        assert_eq!(begun.elapsed(), Duration::from_secs(30 * (attempt - 1)));
        throttle.pause(Duration::from_secs(1));
    }
}

/// P19: whatever ends a request, its permit comes back once: settled, dropped, cancelled, or lost in a panic.
#[tokio::test(start_paused = true)]
async fn property_39_every_end_releases_once() {
    let throttle = Arc::new(one_at_a_time());
    for end in ["settle", "refund", "keep", "drop", "panic", "cancel", "stream"] {
        let held = Arc::clone(&throttle);
        let task = tokio::spawn(async move {
            let permit = held.acquire(one()).await.unwrap();
            assert_eq!(held.in_flight(), 1);
            match end {
                "settle" => permit.settle(one()),
                "refund" => permit.refund(),
                "keep" => permit.keep(),
                "drop" => drop(permit),
                "panic" => panic!("while {permit:?} is held"),
                "cancel" => std::future::pending().await,
                // The permit lives in what is returned, beyond the task.
                _ => return Some(permit),
            }
            None
        });
        tokio::task::yield_now().await;
        if end == "cancel" {
            task.abort();
        }
        let streaming = task.await.ok().flatten();
        assert_eq!(throttle.in_flight(), u32::from(end == "stream"), "{end}");
        drop(streaming);
        assert_eq!(throttle.in_flight(), 0, "{end}");
    }
    assert_eq!(throttle.waiting(), 0);
}

/// Nobody polls for a permit: the one who releases it wakes the next, in turn.
#[tokio::test(start_paused = true)]
async fn a_permit_is_handed_from_one_to_the_next() {
    let throttle = Arc::new(one_at_a_time());
    let first = throttle.acquire(one()).await.unwrap();
    let refusal = throttle.try_acquire(one()).unwrap_err();
    assert_eq!(refusal, NoRoom::NotYet { retry_in: None });
    let order = Arc::new(Mutex::new(Vec::new()));
    let tasks: Vec<_> = (0..5)
        .map(|number| {
            let (throttle, order) = (Arc::clone(&throttle), Arc::clone(&order));
            tokio::spawn(async move {
                let permit = throttle.acquire(one()).await.unwrap();
                order.lock().unwrap().push(number);
                tokio::task::yield_now().await;
                permit.keep();
            })
        })
        .collect();
    tokio::task::yield_now().await;
    assert_eq!(throttle.waiting(), 5);
    let begun = clock();
    drop(first);
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(*order.lock().unwrap(), [0, 1, 2, 3, 4]);
    assert_eq!(begun.elapsed(), Duration::ZERO);
}

/// The urgent go first, whoever came first.
#[tokio::test(start_paused = true)]
async fn a_higher_priority_goes_before_a_lower_one() {
    let throttle = Arc::new(one_at_a_time());
    let first = throttle.acquire(one()).await.unwrap();
    let order = Arc::new(Mutex::new(Vec::new()));
    let tasks = [200, 128, 0].map(|priority| {
        let (throttle, order) = (Arc::clone(&throttle), Arc::clone(&order));
        tokio::spawn(async move {
            let permit = match priority {
                128 => throttle.acquire(one()).await,
                _ => throttle.acquire_as(Priority(priority), one()).await,
            };
            order.lock().unwrap().push(priority);
            permit.unwrap().keep();
        })
    });
    tokio::task::yield_now().await;
    drop(first);
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(*order.lock().unwrap(), [0, 128, 200]);
}

/// P42: patience that a pause has made pointless ends with the pause's news.
#[tokio::test(start_paused = true)]
async fn a_wait_that_has_become_pointless_ends_at_once() {
    let throttle = two_a_minute();
    let begun = clock();
    throttle.acquire(one()).await.unwrap().keep();
    let waiting = {
        let throttle = Arc::clone(&throttle);
        tokio::spawn(async move {
            throttle.acquire_within(one(), Duration::from_secs(60)).await.map(drop)
        })
    };
    tokio::task::yield_now().await;
    throttle.pause(Duration::from_secs(3_600));
    assert!(matches!(waiting.await.unwrap(), Err(NoRoom::NotYet { retry_in: Some(_) })));
    assert_eq!(begun.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn answers_and_raised_limits_reach_whoever_waits() {
    let throttle = Arc::new(one_at_a_time());
    let permit = throttle.acquire(one()).await.unwrap();
    permit.observe(Dimension::Tpm, Some(100));
    permit.observe(Dimension::Rpm, None);
    assert_eq!(throttle.available(Dimension::Tpm), Some(100));
    assert_eq!(throttle.available(Dimension::Rpm), Some(99));
    permit.keep();
    let begun = clock();
    let waiting = {
        let throttle = Arc::clone(&throttle);
        tokio::spawn(async move { throttle.acquire(tokens(200)).await.map(drop) })
    };
    tokio::task::yield_now().await;
    // A hundred are missing: six seconds, and six tenths of a second at ten times the rate.
    throttle.set_limit(Dimension::Tpm, 10_000);
    waiting.await.unwrap().unwrap();
    assert_eq!(begun.elapsed().as_millis(), 600);
}
