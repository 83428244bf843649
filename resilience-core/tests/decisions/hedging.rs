//! Hedges of whole calls: a second attempt beside a late one, on another target.

use std::time::Duration;

use proptest::prelude::*;
use resilience_core::{
    Action, Bill, Call, Class, Draws, Event, Failure, Finish, HedgeDelay, HedgeSettings, Nanos,
    Policy, Pool, Quota, Trace, Usage, What,
};

use crate::play::{LIMITED, at, exact, failing, hello, hinted, secs, target};

/// One hedge after two seconds, and enough budget for each call.
pub(crate) fn hedging() -> Policy {
    let hedge = HedgeSettings {
        delay: HedgeDelay::Fixed(secs(2)),
        hedges_max: 1,
        budget_ppm: 1_000_000,
        saved_max: 10,
    };
    Policy { hedge: Some(hedge), breaker: None, ..exact() }
}

pub(crate) fn pool(policy: &Policy, names: &[&str]) -> Pool {
    let targets: Vec<_> = names.iter().map(|name| target(name, name)).collect();
    Pool::new(policy, targets, Draws::new(1)).unwrap()
}

/// Plays a call whose attempts take the time and the end that `fate` gives them, and says when each was sent where.
pub(crate) fn play(
    policy: &Policy,
    pool: &mut Pool,
    begun: Nanos,
    mut fate: impl FnMut(u32, usize) -> (Duration, Event),
) -> (Finish, Trace, Vec<(Nanos, usize)>) {
    let mut call = Call::new(1, hello(), policy.clone(), begun);
    let mut pending: Vec<(Nanos, u32, Event)> = Vec::new();
    let mut sends = Vec::new();
    let mut now = begun;
    for _ in 0..10_000 {
        let until = match call.poll(pool, now) {
            Action::Acquire { until, .. }
            | Action::Attend { until }
            | Action::Wait { until, .. } => until,
            Action::Done(finish) => {
                assert!(pending.is_empty(), "losers are cancelled before the call returns");
                return (finish, call.take_trace(), sends);
            }
            Action::Drop { attempt } => {
                pending.retain(|(_, of, _)| *of != attempt);
                continue;
            }
            Action::Send { attempt, target, .. } => {
                sends.push((now, target));
                let (after, event) = fate(attempt, target);
                pending.push((now + after, attempt, event));
                continue;
            }
        };
        pending.sort_by_key(|(at, attempt, _)| (*at, *attempt));
        if pending.first().is_some_and(|(at, ..)| *at <= until) {
            let (at, attempt, event) = pending.remove(0);
            now = at;
            call.handle(attempt, event, pool, now);
        } else {
            now = until;
        }
    }
    panic!("a call that does not end");
}

fn classes(trace: &Trace) -> Vec<(u32, Option<Class>)> {
    trace
        .attempts()
        .map(|(attempt, _, failure)| (attempt, failure.map(|failure| failure.class)))
        .collect()
}

/// P47: whoever loses is in the trace too, because it is billed.
#[test]
fn property_49_the_first_success_wins_and_the_other_is_cancelled_first() {
    let policy = hedging();
    for (first, second, winner) in [(10, 1, 2), (3, 5, 1)] {
        let (finish, trace, sends) =
            play(&policy, &mut pool(&policy, &["a", "b"]), at(0), |attempt, _| {
                (secs(if attempt == 1 { first } else { second }), Event::Answered { usage: None })
            });
        let target = usize::try_from(winner).unwrap() - 1;
        assert_eq!(finish, Finish::Served { target, attempt: winner });
        assert_eq!(sends, [(at(0), 0), (at(2), 1)]);
        let mut ends = classes(&trace);
        ends.sort_by_key(|(attempt, _)| *attempt);
        let end = |attempt| (attempt, (attempt != winner).then_some(Class::Cancelled));
        assert_eq!(ends, [end(1), end(2)]);
        let hedges = trace
            .entries
            .iter()
            .filter(|entry| matches!(entry.what, What::AttemptStarted { hedge: true, .. }));
        assert_eq!(hedges.count(), 1);
    }
}

/// P47: a hedge that lost may be billed, and a refusal is not.
#[test]
fn the_bill_counts_those_that_lost() {
    let usage = Usage { input: 10, output: 20 };
    let policy = hedging();
    let (_, trace, _) = play(&policy, &mut pool(&policy, &["a", "b"]), at(0), |attempt, _| {
        let (seconds, event) = match attempt {
            1 => {
                let mut refused = Failure::new(LIMITED, "slow down");
                refused.status = Some(429);
                (1, Event::Failed(refused))
            }
            2 => (10, Event::Answered { usage: None }),
            _ => (1, Event::Answered { usage: Some(usage) }),
        };
        (secs(seconds), event)
    });
    assert_eq!(trace.attempts().count(), 3);
    assert_eq!(trace.bill(), Bill { usage, unknown: 1 });
}

/// An error is no win, and only if both fail there is a failure.
#[test]
fn property_49_an_error_ends_one_attempt_and_not_the_race() {
    let policy = hedging();
    for failing_first in [1, 2] {
        let (finish, ..) = play(&policy, &mut pool(&policy, &["a", "b"]), at(0), |attempt, _| {
            if attempt == failing_first {
                (secs(3), failing(Class::Server))
            } else {
                (secs(6), Event::Answered { usage: None })
            }
        });
        let winner = 3 - failing_first;
        assert_eq!(
            finish,
            Finish::Served { target: usize::try_from(winner).unwrap() - 1, attempt: winner }
        );
    }
    // Both fail: the first one is retried after its backoff, which begins when the second has failed too.
    let (finish, trace, sends) =
        play(&policy, &mut pool(&policy, &["a", "b"]), at(0), |attempt, _| {
            if attempt < 3 {
                (secs(3), failing(Class::Server))
            } else {
                (secs(1), Event::Answered { usage: None })
            }
        });
    assert_eq!(finish, Finish::Served { target: 0, attempt: 3 });
    assert_eq!(sends, [(at(0), 0), (at(2), 1), (at(6), 0)]);
    assert_eq!(classes(&trace).len(), 3);
    // What is wrong with the request is wrong everywhere.
    let (_, trace, _) = play(&policy, &mut pool(&policy, &["a", "b"]), at(0), |attempt, _| {
        if attempt == 2 {
            (secs(1), failing(Class::InvalidRequest))
        } else {
            (secs(60), Event::Answered { usage: None })
        }
    });
    assert_eq!(classes(&trace), [(2, Some(Class::InvalidRequest)), (1, Some(Class::Cancelled))]);
}

#[test]
fn property_48_a_hedge_goes_to_another_target_that_is_ready_or_is_not_sent() {
    let policy = hedging();
    let slow = |_: u32, _: usize| (secs(10), Event::Answered { usage: None });
    let (_, _, sends) = play(&policy, &mut pool(&policy, &["a"]), at(0), slow);
    assert_eq!(sends, [(at(0), 0)], "there is no other target");
    // The other one was asked to be left alone.
    let mut paused = pool(&policy, &["a", "b"]);
    paused.pause(1, at(60));
    let (_, _, sends) = play(&policy, &mut paused, at(0), slow);
    assert_eq!(sends, [(at(0), 0)]);
    // Its quota would make it wait.
    let mut limited = target("b", "b");
    limited.quota = Some(Quota::per_minute(1, 1_000_000));
    let mut short = Pool::new(&policy, [target("a", "a"), limited], Draws::new(1)).unwrap();
    let (_, _, sends) = play(&policy, &mut short, at(0), slow);
    assert_eq!(sends, [(at(0), 0), (at(2), 1)]);
    let (_, _, sends) = play(&policy, &mut short, at(20), slow);
    assert_eq!(sends, [(at(20), 0)]);
}

proptest! {
    #[test]
    fn property_48_hedges_are_few_and_never_early(
        calls in prop::collection::vec(prop::collection::vec((0..8_000u64, 0..4usize), 1..10), 1..40),
        budget_ppm in 1..=1_000_000u32, hedges_max in 1..3u32,
    ) {
        let hedge = HedgeSettings {
            delay: HedgeDelay::Fixed(secs(2)),
            hedges_max,
            budget_ppm,
            saved_max: 3,
        };
        let policy = Policy { hedge: Some(hedge), ..hedging() };
        let mut pool = pool(&policy, &["a", "b", "c"]);
        let mut hedges = 0;
        let mut begun = Nanos::ZERO;
        for (count, fates) in calls.iter().enumerate() {
            let (_, trace, _) = play(&policy, &mut pool, begun, |attempt, _| {
                let (ms, kind) = fates[usize::try_from(attempt).unwrap() % fates.len()];
                let event = match kind {
                    0 => failing(Class::Server),
                    1 => hinted(LIMITED, secs(1)),
                    _ => Event::Answered { usage: None },
                };
                (Duration::from_millis(ms), event)
            });
            let mut latest = begun;
            let mut in_round = 0;
            for entry in &trace.entries {
                let What::AttemptStarted { hedge, .. } = entry.what else { continue };
                if hedge {
                    in_round += 1;
                    hedges += 1;
                    prop_assert!(entry.at >= latest + secs(2), "before the delay");
                    prop_assert!(in_round <= hedges_max);
                } else {
                    in_round = 0;
                }
                latest = entry.at;
            }
            // Three may have been saved up, and none was there at the start.
            let earned = u64::try_from(count + 1).unwrap() * u64::from(budget_ppm);
            prop_assert!(hedges * 1_000_000 <= earned, "{hedges} hedges of {count} calls");
            begun = trace.entries.last().unwrap().at;
        }
    }
}
