//! What the calls of a client share: one retry budget, and a breaker for each target.

use proptest::prelude::*;
use resilience_core::parts::BreakerState;
use resilience_core::{
    BreakerSettings, BudgetSettings, Class, Draws, Event, Finish, Leave, Nanos, Phase, Policy,
    Pool, StopReason, Timeouts, What,
};

use crate::play::{LIMITED, asked, at, exact, failing, hello, hinted, play, secs, stopped, target};

/// So many retries, and next to nothing for a call.
fn purse(retries: u32) -> Policy {
    let budget = BudgetSettings::Ratio {
        ratio_ppm: 1,
        retries_per_sec_min: 0,
        retries_max: 1_000,
        retries_initial: retries,
    };
    Policy { budget: Some(budget), breaker: None, ..exact() }
}

fn pool(policy: &Policy, names: &[&str]) -> Pool {
    let targets: Vec<_> = names.iter().map(|name| target(name, name)).collect();
    Pool::new(policy, targets, Draws::new(1)).unwrap()
}

/// The units of one retry, and what a call earns here.
const RETRY: u64 = 1_000_000_000;
const EARNED: u64 = 1_000;

proptest! {
    /// P11, P13: a retry is paid for when it is sent, and not when it is only planned.
    #[test]
    fn property_15_a_retry_is_paid_for_exactly_when_it_is_sent(
        calls in prop::collection::vec((prop::collection::vec(0..7usize, 1..8), 1..100u64), 1..30),
    ) {
        let policy = purse(500);
        let mut pool = pool(&policy, &["a", "b"]);
        let mut balance = 500 * RETRY;
        for (answers, call) in calls {
            let timeouts = Timeouts { call: secs(call), ..Timeouts::default() };
            let policy = Policy { timeouts, ..policy.clone() };
            let (_, trace) = play(&policy, &mut pool, Nanos::ZERO, hello(), |sent| {
                let index = usize::try_from(sent.attempt).unwrap() - 1;
                match answers[index.min(answers.len() - 1)] {
                    0 => Event::Answered { usage: None },
                    1 => failing(Class::InvalidRequest),
                    2 => failing(Class::StreamInterrupted { committed: true }),
                    3 => hinted(LIMITED, secs(3)),
                    4 => hinted(LIMITED, secs(300)),
                    5 => failing(Class::Auth),
                    _ => failing(Class::Server),
                }
            });
            let asked = asked(&trace);
            let again = |target| asked.iter().filter(|sent| **sent == target).skip(1).count();
            let retries = u64::try_from(again(0) + again(1)).unwrap();
            balance = balance + EARNED * u64::from(!asked.is_empty()) - RETRY * retries;
            prop_assert_eq!(pool.budget_mut().unwrap().balance(Nanos::ZERO), balance);
        }
    }

    /// P12: what one call has spent, no other call has.
    #[test]
    fn property_64_a_total_outage_multiplies_nothing(calls in 1..400u64, retries in 0..50u32) {
        let policy = purse(retries);
        let mut pool = pool(&policy, &["a"]);
        let mut sends = 0;
        for _ in 0..calls {
            let (_, trace) = play(&policy, &mut pool, Nanos::ZERO, hello(), |_| failing(Class::Server));
            sends += u64::try_from(trace.attempts().count()).unwrap();
        }
        prop_assert_eq!(sends, calls + u64::from(retries).min(5 * calls));
    }
}

#[test]
fn a_call_without_budget_says_so_or_goes_elsewhere() {
    let policy = purse(1);
    let (finish, trace) =
        play(&policy, &mut pool(&policy, &["a"]), Nanos::ZERO, hello(), |_| failing(Class::Server));
    assert_eq!(stopped(finish), (StopReason::Budget, None));
    assert_eq!(asked(&trace), [0, 0]);
    let mut pool = pool(&policy, &["a", "b"]);
    let (finish, trace) = play(&policy, &mut pool, Nanos::ZERO, hello(), |sent| {
        if sent.target == 0 { failing(Class::Server) } else { Event::Answered { usage: None } }
    });
    assert_eq!(finish, Finish::Served { target: 1, attempt: 3 });
    let left = trace.entries.iter().find_map(|entry| match entry.what {
        What::FellBack { why, .. } => Some(why),
        _ => None,
    });
    assert_eq!(left, Some(Leave::Budget));
    assert_eq!(pool.cooling(0, Nanos::ZERO), None, "nobody has found out whether it is well");
}

/// A budget that time refills is waited for as long as the backoff lasts anyway.
#[test]
fn a_budget_that_refills_during_the_backoff_is_good_enough() {
    let budget = BudgetSettings::Ratio {
        ratio_ppm: 0,
        retries_per_sec_min: 1,
        retries_max: 1,
        retries_initial: 0,
    };
    let policy = Policy { budget: Some(budget), ..exact() };
    let (finish, trace) =
        play(&policy, &mut pool(&policy, &["a"]), Nanos::ZERO, hello(), |_| failing(Class::Server));
    assert_eq!(stopped(finish).0, StopReason::Exhausted);
    assert_eq!(trace.attempts().count(), 6);
}

/// Ten failures in a row open it for ten seconds.
fn fragile() -> Policy {
    let breaker = BreakerSettings {
        outcomes_min: 10,
        jitter_ppm: 0,
        trials: 1,
        ..BreakerSettings::default()
    };
    Policy { breaker: Some(breaker), budget: None, ..exact() }
}

#[test]
fn an_open_breaker_is_not_asked_and_the_next_target_is() {
    let policy = fragile();
    let mut pool = pool(&policy, &["a", "b"]);
    let mut asked_first = 0;
    for call in 0..30 {
        let (finish, trace) = play(&policy, &mut pool, at(call / 10), hello(), |sent| {
            if sent.target == 0 {
                failing(Class::Timeout { phase: Phase::Attempt })
            } else {
                Event::Answered { usage: None }
            }
        });
        assert!(matches!(finish, Finish::Served { target: 1, .. }));
        asked_first += asked(&trace).iter().filter(|target| **target == 0).count();
    }
    // The first call finds out in six attempts and lets the target rest; nobody needs the breaker yet.
    assert_eq!(asked_first, 6);
}

#[test]
fn a_lone_target_is_left_alone_while_its_breaker_is_open_and_asked_again_after() {
    let policy = fragile();
    let mut pool = pool(&policy, &["a"]);
    let open = |pool: &Pool, now| pool.breaker(0).unwrap().state(now);
    // Two calls of six attempts: the tenth failure opens it.
    let mut sends = 0;
    for begun in [0, 5] {
        let (_, trace) = play(&policy, &mut pool, at(begun), hello(), |_| failing(Class::Server));
        sends += trace.attempts().count();
    }
    assert!(sends >= 10);
    let BreakerState::Open { until } = open(&pool, at(8)) else {
        panic!("{:?}", open(&pool, at(8)))
    };
    // A call that comes meanwhile waits for the trial, and closes it.
    let (finish, trace) =
        play(&policy, &mut pool, at(8), hello(), |_| Event::Answered { usage: None });
    assert_eq!(finish, Finish::Served { target: 0, attempt: 1 });
    let sent = crate::play::starts(&trace)[0];
    assert!(sent >= until, "{sent:?} before {until:?}");
    assert_eq!(open(&pool, sent), BreakerState::Closed);
}
