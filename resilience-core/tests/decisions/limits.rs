//! What a quota admits, to the nanosecond, and who goes next.

use std::time::Duration;

use proptest::prelude::*;
use resilience_core::parts::{Limiter, Queue, Taken, Ticket};
use resilience_core::{
    Cost, Dimension, Guarantee, Limit, Nanos, Priority, Quota, QuotaMistake, Refusal,
};

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
        *Limiter::new(&quota).unwrap_err(),
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

/// Whether its turn has come; what it holds stays charged.
fn granted(queue: &mut Queue, ticket: Ticket, now: Nanos) -> bool {
    matches!(queue.take(ticket, now), Taken::Granted(_))
}

fn line(requests: u64) -> Queue {
    let mut queue = Queue::new(&Quota::per_minute(requests, 1_000)).unwrap();
    for _ in 0..requests {
        let ticket = queue.enqueue(one(), Nanos::MAX, Nanos::ZERO).unwrap();
        assert!(granted(&mut queue, ticket, Nanos::ZERO));
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

/// P1, P4: a computed wait is no grant, and a pause that came meanwhile is kept.
#[test]
fn who_waits_checks_again_and_goes_in_turn() {
    let mut queue = line(60);
    let first = queue.enqueue(one(), Nanos::MAX, Nanos::ZERO).unwrap();
    let second = queue.enqueue(one(), Nanos::MAX, Nanos::ZERO).unwrap();
    assert_eq!(queue.take(second, Nanos::ZERO), Taken::Behind);
    assert_eq!(queue.take(first, Nanos::ZERO), Taken::Front { until: at(1) });
    // A pause that came while it slept: the wait that was computed is no grant.
    queue.pause_until(at(10));
    assert_eq!(queue.take(first, at(1)), Taken::Front { until: at(10) });
    assert_eq!(queue.poll(at(10)), None);
    assert!(granted(&mut queue, second, at(10)));
    assert!(granted(&mut queue, first, at(10)));
    assert_eq!(queue.take(first, at(10)), Taken::Unknown);
}

/// P17, P18, P43: a grant that was never taken must not leak.
#[test]
fn a_cancelled_grant_goes_to_the_next() {
    let mut queue = line(60);
    let first = queue.enqueue(one(), Nanos::MAX, Nanos::ZERO).unwrap();
    let second = queue.enqueue(one(), Nanos::MAX, Nanos::ZERO).unwrap();
    assert_eq!(queue.poll(at(1)), Some(at(2)));
    queue.cancel(first, at(1));
    assert!(granted(&mut queue, second, at(1)));
}

#[test]
fn property_30_only_those_concerned_get_news() {
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
            if granted(&mut queue, ticket, now) {
                served.push(ticket);
            }
        }
    }
    assert_eq!(served, tickets);
    assert!(told <= 200, "{told} for 100 tickets");
}

/// P42: a turn that a change has carried past the deadline is refused at once, not slept for.
#[test]
fn nobody_sleeps_for_a_turn_that_comes_too_late() {
    let mut queue = line(60);
    let first = queue.enqueue(one(), at(30), Nanos::ZERO).unwrap();
    let second = queue.enqueue(one(), at(100), Nanos::ZERO).unwrap();
    let third = queue.enqueue(one(), Nanos::MAX, Nanos::ZERO).unwrap();
    queue.pause_until(at(50));
    // Only the first cannot wait that long; it and the new front are told.
    assert_eq!(queue.pop_news(), Some(first));
    assert_eq!(queue.pop_news(), Some(second));
    assert_eq!(queue.pop_news(), None);
    assert_eq!(queue.take(first, at(1)), Taken::Refused(Refusal::TooLate { ready_at: at(50) }));
    assert_eq!(queue.take(second, at(1)), Taken::Front { until: at(50) });
    // A debt carries the turn still further.
    let limits = vec![Limit::per_minute(Dimension::Tpm, 60)];
    let mut queue = Queue::new(&Quota { limits, ..Quota::default() }).unwrap();
    let spent = queue.try_take(Cost::request(60, 0), Nanos::ZERO).unwrap();
    let ticket = queue.enqueue(Cost::request(1, 0), at(10), Nanos::ZERO).unwrap();
    queue.settle(spent, Cost::request(80, 0), Nanos::ZERO);
    let late = Refusal::TooLate { ready_at: at(21) };
    assert_eq!(queue.take(ticket, Nanos::ZERO), Taken::Refused(late));
    assert!(queue.is_empty());
    assert_ne!(third, ticket);
}

#[derive(Clone, Debug)]
enum Step {
    Cancel(usize),
    Limit(u64),
    Pass(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        any::<usize>().prop_map(Step::Cancel),
        (0..100u64).prop_map(Step::Limit),
        (0..10_000u64).prop_map(Step::Pass),
    ]
}

proptest! {
    /// In the order of joining within a priority, whoever leaves in between.
    #[test]
    fn property_27_each_priority_is_first_come_first_served(
        joins in prop::collection::vec((0..3u8, 0..400u64, 0..4_000u64, any::<bool>()), 1..60),
    ) {
        let mut queue = Queue::new(&Quota::per_minute(30, 500)).unwrap();
        let mut now = Nanos::ZERO;
        let mut waiting: Vec<(u8, usize, Ticket)> = Vec::new();
        for (number, (priority, input, pass, leaves)) in joins.into_iter().enumerate() {
            let cost = Cost::request(input, 0);
            let ticket = queue.enqueue_as(Priority(priority), cost, Nanos::MAX, now).unwrap();
            waiting.push((priority, number, ticket));
            // The model is a sorted list.
            waiting.sort_unstable();
            if leaves {
                let (_, _, ticket) = waiting.remove(number % waiting.len());
                queue.cancel(ticket, now);
            }
            now = now + Duration::from_millis(pass);
            queue.poll(now);
            let went = waiting.iter().take_while(|(.., ticket)| granted(&mut queue, *ticket, now)).count();
            waiting.drain(..went);
            for (.., ticket) in &waiting {
                prop_assert!(!granted(&mut queue, *ticket, now), "overtaken");
            }
        }
    }

    /// P44: a large request at the front is passed by as many as were allowed, and no more.
    #[test]
    fn property_27_a_large_front_is_overtaken_a_bounded_number_of_times(
        overtakes_max in 0..4u32,
        small in prop::collection::vec(1..20u64, 1..40),
    ) {
        let limits = vec![Limit::per_minute(Dimension::Tpm, 600)];
        let quota = Quota { limits, overtakes_max, ..Quota::default() };
        let mut queue = Queue::new(&quota).unwrap();
        let spent = queue.try_take(Cost::request(600, 0), Nanos::ZERO).unwrap();
        queue.keep(spent, Nanos::ZERO);
        let large = queue.enqueue(Cost::request(600, 0), Nanos::MAX, Nanos::ZERO).unwrap();
        let mut behind = Vec::new();
        for input in small {
            behind.push(queue.enqueue(Cost::request(input, 0), Nanos::MAX, Nanos::ZERO).unwrap());
        }
        let mut now = Nanos::ZERO;
        let mut overtook = 0;
        while !granted(&mut queue, large, now) {
            overtook += behind.iter().filter(|ticket| granted(&mut queue, **ticket, now)).count();
            prop_assert!(now < Nanos::from(Duration::from_secs(200)), "it starves");
            now = queue.poll(now).unwrap();
        }
        prop_assert_eq!(overtook, behind.len().min(usize::try_from(overtakes_max).unwrap()));
    }

    /// Whoever fits is served after the costs before it and its own have flowed in, at the latest.
    #[test]
    fn property_28_nobody_starves(
        strict in any::<bool>(),
        costs in prop::collection::vec(1..100u64, 1..40),
    ) {
        let limits = vec![Limit { burst: 100, ..Limit::per_minute(Dimension::Tpm, 500) }];
        let guarantee = if strict { Guarantee::Strict { jitter: Duration::ZERO } } else { Guarantee::Burst };
        let rate = if strict { 400 } else { 500 };
        let mut queue = Queue::new(&Quota { limits, guarantee, ..Quota::default() }).unwrap();
        let spent = queue.try_take(Cost::request(100, 0), Nanos::ZERO).unwrap();
        queue.keep(spent, Nanos::ZERO);
        let mut ahead = 0;
        let line: Vec<_> = costs.into_iter().map(|input| {
            ahead += input;
            let latest = Nanos::new((ahead * 60_000_000_000).div_ceil(rate));
            (queue.enqueue(Cost::request(input, 0), Nanos::MAX, Nanos::ZERO).unwrap(), latest)
        }).collect();
        let mut now = Nanos::ZERO;
        for (ticket, latest) in line {
            while !granted(&mut queue, ticket, now) {
                now = queue.poll(now).unwrap();
            }
            prop_assert!(now <= latest);
        }
    }

    /// However many leave and whatever changes: a bounded number of wake-ups for each, never one for everybody.
    #[test]
    fn property_30_wake_ups_follow_what_happened(steps in prop::collection::vec(step(), 1..120)) {
        let mut queue = Queue::new(&Quota::per_minute(30, 500)).unwrap();
        let mut now = Nanos::ZERO;
        let mut waiting = Vec::new();
        let (mut happened, mut told) = (0, 0);
        for _ in 0..100 {
            waiting.push(queue.enqueue(one(), Nanos::MAX, now).unwrap());
        }
        for step in steps {
            match step {
                Step::Cancel(pick) if !waiting.is_empty() => {
                    queue.cancel(waiting.remove(pick % waiting.len()), now);
                    happened += 1;
                }
                Step::Limit(requests) => {
                    queue.set_limit(Dimension::Rpm, requests, now);
                    happened += 1;
                }
                Step::Pass(millis) => now = now + Duration::from_millis(millis),
                Step::Cancel(_) => {}
            }
            let before = queue.len();
            queue.poll(now);
            let mut went = 0;
            while let Some(ticket) = queue.pop_news() {
                told += 1;
                if granted(&mut queue, ticket, now) {
                    waiting.retain(|other| *other != ticket);
                    went += 1;
                }
            }
            prop_assert!(went >= before - queue.len());
            happened += went;
        }
        prop_assert!(told <= 2 * happened, "{told} for {happened}");
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
                let early = queue.take(ticket, turn.saturating_sub(Duration::from_nanos(1)));
                prop_assert_eq!(early, Taken::Front { until: turn });
            }
            prop_assert!(granted(&mut queue, ticket, turn));
        }
    }
}
