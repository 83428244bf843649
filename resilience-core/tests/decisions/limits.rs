//! What a quota admits, to the nanosecond, and who goes next.

use std::time::Duration;

use proptest::prelude::*;
use resilience_core::{
    Claim, Cost, Dimension, Limit, Limiter, Nanos, Queue, Quota, QuotaMistake, Refusal,
};

const MINUTE: Duration = Duration::from_secs(60);

fn at(secs: u64) -> Nanos {
    Nanos::from(Duration::from_secs(secs))
}

fn until(refusal: Refusal) -> Nanos {
    match refusal {
        Refusal::Wait { until } => until,
        other => panic!("{other}"),
    }
}

#[test]
fn both_buckets_or_neither() {
    let mut limiter = Limiter::new(&Quota::per_minute(2, 1_000)).unwrap();
    limiter.admit(Cost::request(900, 0), Nanos::ZERO).unwrap();
    let refusal = limiter.admit(Cost::request(200, 0), Nanos::ZERO).unwrap_err();
    // 100 tokens are missing, at 1000 a minute.
    assert_eq!(until(refusal), at(6));
    assert_eq!(limiter.available(Dimension::Rpm, Nanos::ZERO), Some(1));
    assert_eq!(limiter.available(Dimension::Tpm, Nanos::ZERO), Some(100));
}

/// The longest wait of all dimensions is the wait.
#[test]
fn the_slowest_dimension_decides() {
    let mut limiter = Limiter::new(&Quota::per_minute(1, 1_000)).unwrap();
    limiter.admit(Cost::request(1_000, 0), Nanos::ZERO).unwrap();
    assert_eq!(until(limiter.admit(Cost::request(1, 0), Nanos::ZERO).unwrap_err()), at(60));
}

/// The cookbook's limiter waits for such a request forever, and everybody else behind it.
#[test]
fn what_never_fits_is_refused_at_once() {
    let mut queue = Queue::new(&Quota::per_minute(10, 1_000)).unwrap();
    let refusal = queue.enqueue(Cost::request(1_001, 0), Nanos::MAX, Nanos::ZERO).unwrap_err();
    let never = Refusal::NeverFits { dimension: Dimension::Tpm, cost: 1_001, capacity: 1_000 };
    assert_eq!(refusal, never);
    assert!(queue.is_empty());
    queue.enqueue(Cost::request(1_000, 0), Nanos::MAX, Nanos::ZERO).unwrap();
}

#[test]
fn anthropics_dimensions_are_counted_apart() {
    let quota = Quota {
        limits: vec![
            Limit::per_minute(Dimension::Itpm, 100),
            Limit::per_minute(Dimension::Otpm, 10),
        ],
        ..Quota::default()
    };
    let mut limiter = Limiter::new(&quota).unwrap();
    limiter.admit(Cost::request(100, 5), Nanos::ZERO).unwrap();
    assert_eq!(limiter.available(Dimension::Itpm, Nanos::ZERO), Some(0));
    assert_eq!(limiter.available(Dimension::Otpm, Nanos::ZERO), Some(5));
    assert_eq!(limiter.available(Dimension::Tpm, Nanos::ZERO), None);
}

#[test]
fn every_mistake_in_a_quota_is_told() {
    let limit = Limit::per_minute(Dimension::Rpm, 60);
    let quota = Quota {
        limits: vec![
            Limit { tokens: 0, ..limit },
            Limit { burst: 61, ..limit },
            Limit { period: Duration::from_secs(1 << 30), ..limit },
            limit,
        ],
        ..Quota::default()
    };
    assert_eq!(
        Limiter::new(&quota).unwrap_err(),
        [
            QuotaMistake::Zero { dimension: Dimension::Rpm },
            QuotaMistake::BurstAboveLimit { dimension: Dimension::Rpm, burst: 61, tokens: 60 },
            QuotaMistake::TooLarge { dimension: Dimension::Rpm },
        ]
    );
}

/// A pause that was prolonged meanwhile holds for those who already wait, and a shorter one changes nothing.
#[test]
fn a_pause_is_only_prolonged() {
    let mut limiter = Limiter::new(&Quota::per_minute(60, 1_000)).unwrap();
    limiter.pause_until(at(20));
    limiter.pause_until(at(10));
    assert_eq!(until(limiter.admit(Cost::request(1, 0), at(1)).unwrap_err()), at(20));
    limiter.pause_until(at(30));
    assert_eq!(until(limiter.admit(Cost::request(1, 0), at(20)).unwrap_err()), at(30));
    limiter.admit(Cost::request(1, 0), at(30)).unwrap();
}

fn one() -> Cost {
    Cost::request(0, 0)
}

fn line(requests: u64) -> Queue {
    let mut queue = Queue::new(&Quota::per_minute(requests, 1_000)).unwrap();
    for _ in 0..requests {
        let ticket = queue.enqueue(one(), Nanos::MAX, Nanos::ZERO).unwrap();
        assert_eq!(queue.claim(ticket, Nanos::ZERO), Claim::Granted);
    }
    queue
}

#[test]
fn a_turn_past_the_deadline_is_refused_at_once() {
    let mut queue = line(60);
    let first = queue.enqueue(one(), at(2), Nanos::ZERO).unwrap();
    // The first has the refill of the first second, so the turn of the next comes after two.
    let refusal = queue.enqueue(one(), at(2), Nanos::ZERO).unwrap_err();
    assert_eq!(refusal, Refusal::TooLate { ready_at: at(2) });
    queue.cancel(first, Nanos::ZERO);
    queue.enqueue(one(), at(2), Nanos::ZERO).unwrap();
}

#[test]
fn who_waits_checks_again_and_goes_in_turn() {
    let mut queue = line(60);
    let first = queue.enqueue(one(), Nanos::MAX, Nanos::ZERO).unwrap();
    let second = queue.enqueue(one(), Nanos::MAX, Nanos::ZERO).unwrap();
    assert_eq!(queue.claim(second, Nanos::ZERO), Claim::Behind);
    assert_eq!(queue.claim(first, Nanos::ZERO), Claim::Front { until: at(1) });
    // A pause that came while it slept: the wait that was computed is no grant.
    queue.pause_until(at(10));
    assert_eq!(queue.claim(first, at(1)), Claim::Front { until: at(10) });
    assert_eq!(queue.poll(at(10)), None);
    assert_eq!(queue.claim(second, at(10)), Claim::Granted);
    assert_eq!(queue.claim(first, at(10)), Claim::Granted);
    assert_eq!(queue.claim(first, at(10)), Claim::Unknown);
}

/// A permit that was granted and never taken must not leak.
#[test]
fn a_cancelled_grant_goes_to_the_next() {
    let mut queue = line(60);
    let first = queue.enqueue(one(), Nanos::MAX, Nanos::ZERO).unwrap();
    let second = queue.enqueue(one(), Nanos::MAX, Nanos::ZERO).unwrap();
    assert_eq!(queue.poll(at(1)), Some(at(2)));
    queue.cancel(first, at(1));
    assert_eq!(queue.claim(second, at(1)), Claim::Granted);
}

#[test]
fn only_those_concerned_get_news() {
    let mut queue = line(60);
    let tickets: Vec<_> =
        (0..100).map(|_| queue.enqueue(one(), Nanos::MAX, Nanos::ZERO).unwrap()).collect();
    let mut told = 0;
    // The front holds the only timer; everybody else sleeps until there is news.
    let mut now = Nanos::ZERO;
    let mut served = Vec::new();
    while let Some(wake) = queue.poll(now) {
        now = wake;
        queue.poll(now);
        while let Some(ticket) = queue.pop_news() {
            told += 1;
            if queue.claim(ticket, now) == Claim::Granted {
                served.push(ticket);
            }
        }
    }
    assert_eq!(served, tickets);
    assert!(told <= 200, "{told} for 100 tickets");
}

#[derive(Clone, Debug)]
enum Step {
    Cancel(usize),
    Enqueue { input: u64, patience: u64 },
    GiveBack(usize),
    Pass(u64),
    Pause(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..500u64, prop_oneof![Just(u64::MAX), 1..120_000u64])
            .prop_map(|(input, patience)| Step::Enqueue { input, patience }),
        4 => (0..10_000u64).prop_map(Step::Pass),
        1 => any::<usize>().prop_map(Step::Cancel),
        1 => any::<usize>().prop_map(Step::GiveBack),
        1 => (0..5_000u64).prop_map(Step::Pause),
    ]
}

proptest! {
    /// Refused one nanosecond before, admitted at.
    #[test]
    fn a_wait_is_exact(
        limit in 1..5_000u64,
        costs in prop::collection::vec(1..500u64, 1..30),
    ) {
        let quota = Quota { limits: vec![
            Limit::per_minute(Dimension::Tpm, limit.max(500)),
            Limit { burst: 1, ..Limit::per_minute(Dimension::Rpm, limit) },
        ], ..Quota::default() };
        let mut limiter = Limiter::new(&quota).unwrap();
        let mut now = Nanos::ZERO;
        for cost in costs {
            let cost = Cost::request(cost, 0);
            if let Err(refusal) = limiter.admit(cost, now) {
                let until = until(refusal);
                prop_assert!(until > now);
                let just_before = until.saturating_sub(Duration::from_nanos(1));
                prop_assert_eq!(limiter.clone().admit(cost, just_before), Err(Refusal::Wait { until }));
                now = until;
                prop_assert_eq!(limiter.admit(cost, now), Ok(()));
            }
        }
    }

    /// Never more than burst and refill in any window, whatever is asked when.
    #[test]
    fn no_window_admits_more_than_burst_and_refill(
        limit in 1..200u64,
        burst in 1..200u64,
        asks in prop::collection::vec((1..20u64, 0..3_000u64), 1..60),
    ) {
        let burst = burst.min(limit);
        let quota = Quota { limits: vec![Limit { burst, ..Limit::per_minute(Dimension::Tpm, limit) }], ..Quota::default() };
        let mut limiter = Limiter::new(&quota).unwrap();
        let mut now = Nanos::ZERO;
        let mut admitted: Vec<(Nanos, u64)> = Vec::new();
        for (cost, pass) in asks {
            now = now + Duration::from_millis(pass);
            if limiter.admit(Cost::request(cost, 0), now).is_ok() {
                admitted.push((now, cost));
            }
        }
        for (first, (from, _)) in admitted.iter().enumerate() {
            let mut sum = 0;
            for (to, cost) in &admitted[first..] {
                sum += cost;
                let refill = to.since(*from).as_nanos() * u128::from(limit) / MINUTE.as_nanos();
                prop_assert!(u128::from(sum) <= u128::from(burst) + refill);
            }
        }
    }

    /// First come, first served; nobody who could go is kept; nothing is lost to those who leave.
    #[test]
    fn a_line_is_fair_and_leaks_nothing(steps in prop::collection::vec(step(), 1..80)) {
        let quota = Quota::per_minute(30, 500);
        let mut queue = Queue::new(&quota).unwrap();
        // The same admissions on a bare limiter: what the line costs, and nothing else.
        let mut bare = Limiter::new(&quota).unwrap();
        let mut now = Nanos::ZERO;
        let mut waiting: Vec<(resilience_core::Ticket, Cost)> = Vec::new();
        let mut taken: Vec<Cost> = Vec::new();
        for step in steps {
            match step {
                Step::Enqueue { input, patience } => {
                    let cost = Cost::request(input, 0);
                    let deadline = now + Duration::from_millis(patience);
                    let turn = queue.turn_at(cost, now).unwrap();
                    match queue.enqueue(cost, deadline, now) {
                        Ok(ticket) => {
                            prop_assert!(turn == now || turn < deadline);
                            waiting.push((ticket, cost));
                        }
                        Err(refusal) => {
                            prop_assert_eq!(refusal, Refusal::TooLate { ready_at: turn });
                            prop_assert!(turn >= deadline);
                        }
                    }
                }
                Step::Cancel(pick) if !waiting.is_empty() => {
                    let (ticket, _) = waiting.remove(pick % waiting.len());
                    queue.cancel(ticket, now);
                }
                Step::GiveBack(pick) if !taken.is_empty() => {
                    let cost = taken.remove(pick % taken.len());
                    queue.give_back(cost, now);
                    bare.give_back(cost, now);
                }
                Step::Pass(millis) => now = now + Duration::from_millis(millis),
                Step::Pause(millis) => {
                    queue.pause_until(now + Duration::from_millis(millis));
                    bare.pause_until(now + Duration::from_millis(millis));
                }
                Step::Cancel(_) | Step::GiveBack(_) => {}
            }
            // Serve whoever can go at this instant, in the order of the line.
            let mut blocked = false;
            let mut still = Vec::new();
            for (ticket, cost) in waiting {
                match queue.claim(ticket, now) {
                    Claim::Granted => {
                        prop_assert!(!blocked, "overtaken");
                        prop_assert_eq!(bare.admit(cost, now), Ok(()));
                        taken.push(cost);
                    }
                    Claim::Front { until } => {
                        blocked = true;
                        prop_assert_eq!(bare.ready_at(cost, now), Ok(until));
                        prop_assert!(until > now);
                        still.push((ticket, cost));
                    }
                    Claim::Behind => {
                        prop_assert!(blocked, "kept without reason");
                        still.push((ticket, cost));
                    }
                    Claim::Unknown => prop_assert!(false, "lost"),
                }
            }
            waiting = still;
            // Both are brought to the same instant before they are compared.
            let _ = (bare.ready_at(one(), now), queue.limiter_mut().ready_at(one(), now));
            prop_assert_eq!(queue.limiter_mut(), &mut bare);
        }
    }

    /// The instant that a newcomer is told is the instant at which the line serves it.
    #[test]
    fn a_predicted_turn_is_kept(costs in prop::collection::vec(0..500u64, 1..30)) {
        let mut queue = Queue::new(&Quota::per_minute(30, 500)).unwrap();
        let mut promised = Vec::new();
        for input in costs {
            let cost = Cost::request(input, 0);
            let turn = queue.turn_at(cost, Nanos::ZERO).unwrap();
            promised.push((queue.enqueue(cost, Nanos::MAX, Nanos::ZERO).unwrap(), turn));
        }
        let mut before = Nanos::ZERO;
        for (ticket, turn) in promised {
            if turn > std::mem::replace(&mut before, turn) {
                let early = queue.claim(ticket, turn.saturating_sub(Duration::from_nanos(1)));
                prop_assert_eq!(early, Claim::Front { until: turn });
            }
            prop_assert_eq!(queue.claim(ticket, turn), Claim::Granted);
        }
    }
}
