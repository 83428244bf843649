//! The shared line in every interleaving that threads can bring about.
//!
//! Without the model checker there is nothing here; with it:
//! `RUSTFLAGS="--cfg loom" cargo test -p resilience-core --no-default-features --test loom --release --target-dir target/loom`.
#![cfg(loom)]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on may say so")]

use std::future::poll_fn;
use std::task::Poll;

use loom::future::block_on;
use loom::sync::Arc;
use loom::thread;
use resilience_core::parts::{Line, Reservation, Taken, Ticket};
use resilience_core::{Cost, Dimension, Nanos, Quota, Refusal};

fn one() -> Cost {
    Cost::request(0, 0)
}

/// Plenty of requests, of which one may be under way at a time.
fn one_at_a_time() -> Quota {
    Quota { concurrency: Some(1), ..Quota::per_minute(1_000, 1_000) }
}

fn line(quota: &Quota) -> Arc<Line> {
    Arc::new(Line::new(quota).unwrap())
}

fn join(line: &Line, now: Nanos) -> Ticket {
    line.with(|queue| queue.enqueue(one(), Nanos::MAX, now)).unwrap()
}

/// Waits as a task does: polled when woken, and only then.
fn turn(line: &Line, ticket: Ticket, now: Nanos) -> Result<Reservation, Refusal> {
    block_on(poll_fn(|cx| match line.poll(ticket, cx.waker(), now) {
        Taken::Behind | Taken::Front { .. } => Poll::Pending,
        Taken::Granted(reservation) => Poll::Ready(Ok(reservation)),
        Taken::Refused(refusal) => Poll::Ready(Err(refusal)),
        Taken::Unknown => panic!("a ticket is settled once"),
    }))
}

fn available(line: &Line, now: Nanos) -> u64 {
    line.with(|queue| queue.available(Dimension::Rpm, now)).unwrap()
}

/// A release reaches whoever waits, whenever it comes; a wake-up that is lost would hang the model.
#[test]
fn property_29_no_wake_up_is_lost() {
    loom::model(|| {
        let line = line(&one_at_a_time());
        let others = (0..2).map(|_| {
            let line = Arc::clone(&line);
            thread::spawn(move || {
                let ticket = join(&line, Nanos::ZERO);
                let reservation = turn(&line, ticket, Nanos::ZERO).unwrap();
                assert_eq!(line.with(|queue| queue.in_flight()), 1);
                line.with(|queue| queue.keep(reservation, Nanos::ZERO));
            })
        });
        let others: Vec<_> = others.collect();
        others.into_iter().for_each(|other| other.join().unwrap());
        assert_eq!(line.with(|queue| queue.in_flight()), 0);
        assert_eq!(available(&line, Nanos::ZERO), 998);
    });
}

/// P17, P18: a grant that meets a cancellation passes on to the next, and costs nothing.
#[test]
fn property_29_who_leaves_while_it_is_granted_takes_nothing_along() {
    loom::model(|| {
        let line = line(&one_at_a_time());
        let first = line.with(|queue| queue.try_take(one(), Nanos::ZERO)).unwrap();
        let (leaving, staying) = (join(&line, Nanos::ZERO), join(&line, Nanos::ZERO));
        let leaves = {
            let line = Arc::clone(&line);
            thread::spawn(move || line.leave(leaving, Nanos::ZERO))
        };
        let ends = {
            let line = Arc::clone(&line);
            thread::spawn(move || line.with(|queue| queue.keep(first, Nanos::ZERO)))
        };
        let reservation = turn(&line, staying, Nanos::ZERO).unwrap();
        leaves.join().unwrap();
        ends.join().unwrap();
        assert_eq!(line.with(|queue| queue.in_flight()), 1);
        // As if whoever left had never come.
        assert_eq!(available(&line, Nanos::ZERO), 998);
        line.with(|queue| queue.refund(reservation, Nanos::ZERO));
        assert_eq!(line.with(|queue| queue.in_flight()), 0);
        assert_eq!(available(&line, Nanos::ZERO), 999);
    });
}

/// P19: each settlement releases exactly one permit, whichever way it settles and whoever does so at the same time.
#[test]
fn property_39_settlements_release_exactly_once() {
    loom::model(|| {
        let line = line(&Quota { concurrency: Some(2), ..Quota::per_minute(1_000, 1_000) });
        let take = || line.with(|queue| queue.try_take(one(), Nanos::ZERO)).unwrap();
        let (first, second) = (take(), take());
        let refunds = {
            let line = Arc::clone(&line);
            thread::spawn(move || line.with(|queue| queue.refund(first, Nanos::ZERO)))
        };
        let settles = {
            let line = Arc::clone(&line);
            thread::spawn(move || line.with(|queue| queue.settle(second, one(), Nanos::ZERO)))
        };
        let ticket = join(&line, Nanos::ZERO);
        let third = turn(&line, ticket, Nanos::ZERO).unwrap();
        refunds.join().unwrap();
        settles.join().unwrap();
        assert_eq!(line.with(|queue| queue.in_flight()), 1);
        line.with(|queue| queue.keep(third, Nanos::ZERO));
        assert_eq!(line.with(|queue| queue.in_flight()), 0);
    });
}

/// A raised limit wakes whoever it lets pass; nobody else will.
#[test]
fn property_35_a_change_reaches_whoever_waits() {
    loom::model(|| {
        let line = line(&one_at_a_time());
        let first = line.with(|queue| queue.try_take(one(), Nanos::ZERO)).unwrap();
        let changes = {
            let line = Arc::clone(&line);
            thread::spawn(move || line.with(|queue| queue.set_concurrency(Some(2), Nanos::ZERO)))
        };
        let ticket = join(&line, Nanos::ZERO);
        let second = turn(&line, ticket, Nanos::ZERO).unwrap();
        changes.join().unwrap();
        line.with(|queue| queue.keep(first, Nanos::ZERO));
        line.with(|queue| queue.keep(second, Nanos::ZERO));
        assert_eq!(line.with(|queue| queue.in_flight()), 0);
    });
}
