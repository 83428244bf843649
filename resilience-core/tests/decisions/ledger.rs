//! What a reservation charges, gives back and learns, and what changes while it is under way.

use std::collections::VecDeque;
use std::time::Duration;

use proptest::prelude::*;
use resilience_core::parts::{Queue, Reservation, Taken, Ticket};
use resilience_core::{Cost, Dimension, Guarantee, Limit, Nanos, Pace, Quota, Refusal};

fn at(secs: u64) -> Nanos {
    Nanos::from(Duration::from_secs(secs))
}

fn tokens(count: u64) -> Cost {
    Cost::request(count, 0)
}

fn one() -> Cost {
    tokens(0)
}

/// So many tokens a minute, with a burst of all of them, and nothing else.
fn tpm(limit: u64) -> Quota {
    Quota { limits: vec![Limit::per_minute(Dimension::Tpm, limit)], ..Quota::default() }
}

fn queue(quota: &Quota) -> Queue {
    Queue::new(quota).unwrap()
}

fn take(queue: &mut Queue, cost: Cost, now: Nanos) -> Reservation {
    queue.try_take(cost, now).unwrap()
}

fn left(queue: &mut Queue, now: Nanos) -> u64 {
    queue.available(Dimension::Tpm, now).unwrap()
}

fn join(queue: &mut Queue, cost: Cost, now: Nanos) -> Ticket {
    queue.enqueue(cost, Nanos::MAX, now).unwrap()
}

/// P6, P16: the tokens are taken before the request is sent, so that a hundred at once cannot all look first.
#[test]
fn a_hundred_at_once_share_one_limit() {
    let mut queue = queue(&tpm(100));
    let taken: Vec<_> =
        (0..100).filter_map(|_| queue.try_take(tokens(7), Nanos::ZERO).ok()).collect();
    assert_eq!(taken.len(), 14);
    assert_eq!(left(&mut queue, Nanos::ZERO), 2);
}

#[test]
fn property_32_an_under_estimate_is_charged_even_into_debt() {
    let mut queue = queue(&tpm(60));
    let reservation = take(&mut queue, tokens(50), Nanos::ZERO);
    queue.settle(reservation, tokens(80), Nanos::ZERO);
    // Twenty are owed, and one a second flows in.
    let refusal = queue.try_take(tokens(1), Nanos::ZERO).unwrap_err();
    assert_eq!(refusal, Refusal::Wait { until: at(21) });
    assert_eq!(left(&mut queue, at(20)), 0);
}

/// P45: a header that is missing says nothing, and one that comes late opens nothing.
#[test]
fn headers_that_are_missing_or_late_open_nothing() {
    let mut queue = queue(&tpm(1_000));
    let first = take(&mut queue, tokens(100), Nanos::ZERO);
    let second = take(&mut queue, tokens(100), Nanos::ZERO);
    queue.observe(Dimension::Tpm, None, first.mark(), Nanos::ZERO);
    assert_eq!(left(&mut queue, Nanos::ZERO), 800);
    // The provider saw less room than we did after the second.
    queue.observe(Dimension::Tpm, Some(300), second.mark(), Nanos::ZERO);
    assert_eq!(left(&mut queue, Nanos::ZERO), 300);
    // The first's answer comes in late; of its 450, the second has used 100 since.
    queue.observe(Dimension::Tpm, Some(450), first.mark(), Nanos::ZERO);
    assert_eq!(left(&mut queue, Nanos::ZERO), 300);
    queue.observe(Dimension::Tpm, Some(350), first.mark(), Nanos::ZERO);
    assert_eq!(left(&mut queue, Nanos::ZERO), 250);
    queue.observe(Dimension::Itpm, Some(0), first.mark(), Nanos::ZERO);
    assert_eq!(left(&mut queue, Nanos::ZERO), 250);
    queue.keep(first, Nanos::ZERO);
    queue.keep(second, Nanos::ZERO);
}

#[test]
fn property_35_a_raised_limit_wakes_the_front_at_its_new_instant() {
    let mut queue = queue(&tpm(60));
    let spent = take(&mut queue, tokens(60), Nanos::ZERO);
    queue.keep(spent, Nanos::ZERO);
    let ticket = join(&mut queue, tokens(30), Nanos::ZERO);
    assert_eq!(queue.take(ticket, Nanos::ZERO), Taken::Front { until: at(30) });
    assert_eq!(queue.pop_news(), None);
    queue.set_limit(Dimension::Tpm, 600, at(1));
    // 29 are missing, at ten a second.
    assert_eq!(queue.pop_news(), Some(ticket));
    let until = at(1) + Duration::from_millis(2_900);
    assert_eq!(queue.take(ticket, at(1)), Taken::Front { until });
    assert!(matches!(queue.take(ticket, until), Taken::Granted(_)));
}

/// A request that no longer fits would otherwise block everybody behind it for ever.
#[test]
fn property_35_a_lowered_limit_clips_at_once_and_turns_away_what_cannot_fit() {
    let mut queue = queue(&tpm(60));
    let spent = take(&mut queue, tokens(10), Nanos::ZERO);
    let (large, small) = (join(&mut queue, tokens(55), at(0)), join(&mut queue, tokens(5), at(0)));
    queue.set_limit(Dimension::Tpm, 20, Nanos::ZERO);
    assert_eq!(left(&mut queue, Nanos::ZERO), 15);
    assert_eq!(queue.pop_news(), Some(large));
    let never = Refusal::NeverFits { dimension: Dimension::Tpm, cost: 55, capacity: 20 };
    assert_eq!(queue.take(large, Nanos::ZERO), Taken::Refused(never));
    assert!(matches!(queue.take(small, Nanos::ZERO), Taken::Granted(_)));
    queue.refund(spent, Nanos::ZERO);
    assert_eq!(left(&mut queue, at(1_000)), 20);
}

#[test]
fn a_strict_limit_may_shrink_to_a_log_and_grow_again() {
    let quota = Quota {
        guarantee: Guarantee::Strict { jitter: Duration::ZERO },
        limits: vec![Limit { burst: 10, ..Limit::per_minute(Dimension::Tpm, 100) }],
        ..Quota::default()
    };
    let mut queue = queue(&quota);
    let spent = take(&mut queue, tokens(4), Nanos::ZERO);
    queue.keep(spent, Nanos::ZERO);
    for (limit, most) in [(20, 6), (1, 1), (2, 2), (100, 6), (50, 6)] {
        queue.set_limit(Dimension::Tpm, limit, Nanos::ZERO);
        let left = left(&mut queue, Nanos::ZERO);
        assert!(left <= most, "{left} of {limit}");
    }
    let limit = Limit { period: Duration::from_secs(3_600), ..quota.limits[0] };
    queue.replace_limit(limit, Nanos::ZERO).unwrap();
    assert!(left(&mut queue, Nanos::ZERO) <= 6);
    assert_eq!(left(&mut queue, at(7_200)), 10);
    queue.replace_limit(Limit { burst: 100, ..limit }, Nanos::ZERO).unwrap_err();
}

/// A pace of half a request a second, from a controller whose rates are no whole numbers.
#[test]
fn a_pace_costs_a_thousand_a_request_and_never_locks() {
    let mut queue = queue(&Quota::default());
    queue.set_pace(Some(Pace { milli_per_second: 500, burst_milli: 0 }), Nanos::ZERO);
    let first = take(&mut queue, one(), Nanos::ZERO);
    queue.keep(first, Nanos::ZERO);
    let ticket = join(&mut queue, one(), Nanos::ZERO);
    assert_eq!(queue.poll(Nanos::ZERO), Some(at(2)));
    queue.set_pace(Some(Pace { milli_per_second: 2_000, burst_milli: 1_500 }), Nanos::ZERO);
    assert_eq!(queue.pop_news(), Some(ticket));
    assert_eq!(queue.poll(Nanos::ZERO), Some(Nanos::from(Duration::from_millis(500))));
    queue.set_pace(Some(Pace { milli_per_second: 0, burst_milli: 0 }), Nanos::ZERO);
    assert_eq!(queue.poll(Nanos::ZERO), Some(at(1_000)));
    queue.set_pace(None, Nanos::ZERO);
    assert!(matches!(queue.take(ticket, Nanos::ZERO), Taken::Granted(_)));
}

/// Nobody knows when a permit is released, so the front waits for news of it.
#[test]
fn a_released_permit_is_news_for_the_front() {
    let mut queue = queue(&Quota { concurrency: Some(1), ..tpm(1_000) });
    let first = take(&mut queue, tokens(1), Nanos::ZERO);
    let refusal = queue.try_take(tokens(1), Nanos::ZERO).unwrap_err();
    assert_eq!(refusal, Refusal::Wait { until: Nanos::MAX });
    // What it waits for may come in time, for all anybody knows.
    let second = queue.enqueue(tokens(1), at(60), Nanos::ZERO).unwrap();
    assert_eq!(queue.take(second, Nanos::ZERO), Taken::Front { until: Nanos::MAX });
    queue.settle(first, tokens(1), at(5));
    assert_eq!(queue.pop_news(), Some(second));
    let Taken::Granted(second) = queue.take(second, at(5)) else { panic!("it is its turn") };
    queue.keep(second, at(6));
    assert_eq!(queue.in_flight(), 0);
}

#[derive(Clone, Debug)]
enum Step {
    Keep(usize),
    Observe(usize, u64),
    Pass(u64),
    Pause(u64),
    Permits(u32),
    Refund(usize),
    Reserve(u64),
    Settle(usize, u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..200u64).prop_map(Step::Reserve),
        3 => (any::<usize>(), 0..400u64).prop_map(|(pick, actual)| Step::Settle(pick, actual)),
        2 => any::<usize>().prop_map(Step::Refund),
        2 => any::<usize>().prop_map(Step::Keep),
        4 => (0..20_000u64).prop_map(Step::Pass),
        1 => (any::<usize>(), 0..600u64).prop_map(|(pick, left)| Step::Observe(pick, left)),
        1 => (0..10_000u64).prop_map(Step::Pause),
        1 => (1..6u32).prop_map(Step::Permits),
    ]
}

proptest! {
    /// A ledger by hand, in units: clamped after each refill, else every charge and credit counts.
    #[test]
    fn property_31_the_balance_is_what_the_ledger_says(
        credits in any::<bool>(),
        steps in prop::collection::vec(step(), 1..80),
    ) {
        const LIMIT: i128 = 500;
        const TOKEN: i128 = 60_000_000_000;
        let mut queue = queue(&Quota { charges_actual: credits, ..tpm(500) });
        let mut balance = LIMIT * TOKEN;
        let mut now = Nanos::ZERO;
        let mut held: Vec<Reservation> = Vec::new();
        for step in steps {
            let full = LIMIT * TOKEN;
            match step {
                Step::Reserve(cost) => {
                    if let Ok(reservation) = queue.try_take(tokens(cost), now) {
                        balance -= i128::from(cost) * TOKEN;
                        prop_assert!(balance >= 0);
                        held.push(reservation);
                    } else {
                        prop_assert!(balance < i128::from(cost) * TOKEN);
                    }
                }
                Step::Settle(pick, actual) if !held.is_empty() => {
                    let reservation = held.swap_remove(pick % held.len());
                    let (actual, reserved) = (i128::from(actual), i128::from(reservation.cost().input));
                    let unused = (reserved - actual).max(0);
                    balance -= (actual - reserved).max(0) * TOKEN;
                    if credits {
                        balance = full.min(balance + unused * TOKEN);
                    }
                    queue.settle(reservation, tokens(u64::try_from(actual).unwrap()), now);
                }
                Step::Refund(pick) if !held.is_empty() => {
                    let reservation = held.swap_remove(pick % held.len());
                    balance = full.min(balance + i128::from(reservation.cost().input) * TOKEN);
                    queue.refund(reservation, now);
                }
                Step::Keep(pick) if !held.is_empty() => {
                    queue.keep(held.swap_remove(pick % held.len()), now);
                }
                Step::Pass(millis) => {
                    now = now + Duration::from_millis(millis);
                    balance = full.min(balance + i128::from(millis) * 1_000_000 * LIMIT);
                }
                _ => {}
            }
            let whole = u64::try_from(balance.max(0) / TOKEN).unwrap();
            prop_assert_eq!(left(&mut queue, now), whole);
            prop_assert_eq!(usize::try_from(queue.in_flight()).unwrap(), held.len());
        }
    }

    #[test]
    fn property_34_an_observation_only_tightens(steps in prop::collection::vec(step(), 1..80)) {
        let mut queue = queue(&tpm(500));
        let mut now = Nanos::ZERO;
        // Everything that was admitted, in order.
        let mut sent: Vec<Reservation> = Vec::new();
        for step in steps {
            match step {
                Step::Reserve(cost) => sent.extend(queue.try_take(tokens(cost), now)),
                Step::Pass(millis) => now = now + Duration::from_millis(millis),
                Step::Observe(pick, remaining) if !sent.is_empty() => {
                    let pick = pick % sent.len();
                    let after: u64 = sent[pick + 1..].iter().map(|later| later.cost().input).sum();
                    let before = left(&mut queue, now);
                    queue.observe(Dimension::Tpm, None, sent[pick].mark(), now);
                    prop_assert_eq!(left(&mut queue, now), before);
                    queue.observe(Dimension::Tpm, Some(remaining), sent[pick].mark(), now);
                    let most = before.min(remaining.saturating_sub(after));
                    prop_assert_eq!(left(&mut queue, now), most);
                }
                _ => {}
            }
        }
    }

    /// P4, P5: a pause that was prolonged meanwhile is kept by those who already sleep, and a shorter one cuts nothing short.
    #[test]
    fn property_36_nobody_passes_during_a_pause(steps in prop::collection::vec(step(), 1..80)) {
        let mut queue = queue(&Quota { limits: vec![Limit {
            burst: 300,
            ..Limit::per_minute(Dimension::Tpm, 500)
        }], ..Quota::default() });
        let mut now = Nanos::ZERO;
        let mut paused = Nanos::ZERO;
        let mut waiting = VecDeque::new();
        let mut admitted: Vec<(Nanos, u64)> = Vec::new();
        for step in steps {
            match step {
                Step::Reserve(cost) => waiting.push_back((join(&mut queue, tokens(cost), now), cost)),
                Step::Pass(millis) => now = now + Duration::from_millis(millis),
                Step::Pause(millis) => {
                    queue.pause_until(now + Duration::from_millis(millis));
                    paused = paused.max(now + Duration::from_millis(millis));
                }
                _ => {}
            }
            let was_granted_before = queue.in_flight();
            queue.poll(now);
            if now < paused {
                prop_assert_eq!(queue.in_flight(), was_granted_before);
            }
            while let Some((ticket, cost)) = waiting.front().copied() {
                match queue.take(ticket, now) {
                    Taken::Granted(reservation) => {
                        admitted.push((reservation.at(), cost));
                        waiting.pop_front();
                    }
                    Taken::Front { until } => {
                        prop_assert!(until >= paused);
                        break;
                    }
                    other => prop_assert!(false, "{other:?}"),
                }
            }
        }
        // No stampede afterwards: the bound of any window holds.
        for (first, (from, _)) in admitted.iter().enumerate() {
            let mut sum = 0;
            for (to, cost) in &admitted[first..] {
                sum += u128::from(*cost);
                prop_assert!(sum <= 300 + to.since(*from).as_nanos() * 500 / 60_000_000_000);
            }
        }
    }

    #[test]
    fn property_38_no_more_are_under_way_than_permits(steps in prop::collection::vec(step(), 1..120)) {
        let mut permits = 3;
        let mut queue = queue(&Quota { concurrency: Some(permits), ..tpm(1_000_000) });
        let mut waiting = VecDeque::new();
        let mut held: Vec<Reservation> = Vec::new();
        for step in steps {
            let before = queue.in_flight();
            match step {
                Step::Reserve(cost) => waiting.push_back(join(&mut queue, tokens(cost), Nanos::ZERO)),
                Step::Settle(pick, _) if !held.is_empty() => {
                    let reservation = held.swap_remove(pick % held.len());
                    queue.settle(reservation, tokens(1), Nanos::ZERO);
                }
                Step::Refund(pick) if !held.is_empty() => {
                    queue.refund(held.swap_remove(pick % held.len()), Nanos::ZERO);
                }
                Step::Permits(count) => {
                    permits = count;
                    queue.set_concurrency(Some(count), Nanos::ZERO);
                }
                _ => {}
            }
            while let Some(ticket) = waiting.front() {
                let Taken::Granted(reservation) = queue.take(*ticket, Nanos::ZERO) else { break };
                held.push(reservation);
                waiting.pop_front();
            }
            // Lowered below what is under way, it is reached as requests end.
            prop_assert!(queue.in_flight() <= permits.max(before));
            prop_assert!(queue.in_flight() >= permits || waiting.is_empty(), "a permit lies idle");
            prop_assert_eq!(usize::try_from(queue.in_flight()).unwrap(), held.len());
        }
    }
}
