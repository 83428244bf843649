//! Mistakes that were made once, one test for each.

use std::time::Duration;

use resilience_core::{
    Action, Call, Class, Dimension, Draws, Event, Failure, Fallback, Finish, HedgeSettings, Leave,
    Limit, Nanos, Policy, Pool, Quota, Retry, ShedSettings, Skip, StopReason, Target, What,
};

use crate::hedging::{self, hedging, pool};
use crate::play::{
    LIMITED, TOO_LONG, asked, at, exact, failing, hello, hinted, long_request, play, secs, stopped,
    target,
};

/// A target that takes so many requests at a time.
fn narrow(name: &str, permits: u32) -> Target {
    let quota = Some(Quota { concurrency: Some(permits), ..Quota::default() });
    Target { quota, ..target(name, name) }
}

/// A target that takes a request every hundred seconds.
fn slow(name: &str) -> Target {
    let limit = Limit { dimension: Dimension::Rpm, tokens: 1, burst: 1, period: secs(100) };
    let quota = Some(Quota { limits: vec![limit], ..Quota::default() });
    Target { quota, ..target(name, name) }
}

fn shared(policy: &Policy, targets: impl Into<std::sync::Arc<[Target]>>) -> Pool {
    Pool::new(policy, targets, Draws::new(1)).unwrap()
}

fn forbidden(class: Class) -> Event {
    let mut failure = Failure::new(class, "no");
    failure.should_retry = Some(false);
    Event::Failed(failure)
}

const ANSWERED: Event = Event::Answered { usage: None };

/// P4: the permit of a refused attempt freed the next in line before the pause was known.
#[test]
fn a_refused_attempt_frees_nobody_into_the_pause_that_it_was_told_of() {
    let policy = exact();
    for (permits, answered_before) in [(1, false), (2, true)] {
        let mut pool = shared(&policy, [narrow("a", permits)]);
        let mut calls: Vec<_> = (0..=u64::from(permits))
            .map(|id| Call::new(id, hello(), policy.clone(), at(0)))
            .collect();
        let (last, sent) = calls.split_last_mut().unwrap();
        for call in &mut *sent {
            assert!(matches!(call.poll(&mut pool, at(0)), Action::Send { .. }));
        }
        assert!(matches!(last.poll(&mut pool, at(0)), Action::Acquire { .. }));
        let (refused, others) = sent.split_last_mut().unwrap();
        if answered_before {
            others[0].handle(1, ANSWERED, &mut pool, at(1));
        }
        refused.handle(1, hinted(LIMITED, secs(30)), &mut pool, at(1));
        let next = last.poll(&mut pool, at(1));
        assert!(!matches!(next, Action::Send { .. }), "sent into the pause: {next:?}");
    }
}

/// Two places judged a target's rest by different limits, and a call went to and fro between them.
#[test]
fn a_call_in_line_does_not_change_its_mind_for_ever() {
    let policy = Policy { retry: Retry { hint_max: secs(1), ..exact().retry }, ..exact() };
    let mut pool = shared(&policy, [narrow("a", 1), target("b", "b")]);
    assert!(matches!(
        Call::new(1, hello(), policy.clone(), at(0)).poll(&mut pool, at(0)),
        Action::Send { target: 0, .. }
    ));
    pool.pause(1, at(3));
    let waits = Call::new(2, hello(), policy, at(0)).poll(&mut pool, at(0));
    assert!(matches!(waits, Action::Acquire { .. }), "{waits:?}");
}

/// A quota's turn was compared with the longest hint.
#[test]
fn our_own_quota_is_no_hint_of_the_servers() {
    let mut pool = shared(&exact(), [slow("a")]);
    play(&exact(), &mut pool, at(0), hello(), |_| ANSWERED);
    pool.pause(0, at(3));
    let (finish, _) = play(&exact(), &mut pool, at(0), hello(), |_| ANSWERED);
    assert_eq!(finish, Finish::Served { target: 0, attempt: 1 });
}

#[test]
fn a_target_beyond_the_hint_cap_hides_no_other() {
    let mut pool = shared(&exact(), [target("a", "a"), slow("b")]);
    pool.pause(0, at(90));
    for _ in 0..2 {
        let (finish, _) = play(&exact(), &mut pool, at(0), hello(), |_| ANSWERED);
        assert_eq!(finish, Finish::Served { target: 1, attempt: 1 });
    }
}

/// A later hedge went to the target that had just refused this very request.
#[test]
fn a_hedge_asks_nobody_who_has_failed() {
    let mut policy = hedging();
    policy.hedge = Some(HedgeSettings { hedges_max: 2, ..policy.hedge.unwrap() });
    for event in [
        failing(Class::Permission),
        failing(TOO_LONG),
        forbidden(Class::Server),
        failing(Class::Server),
    ] {
        let mut pool = pool(&policy, &["a", "b"]);
        // The calls that began on the second target have earned it hedges too.
        pool.pause(0, at(50));
        for n in 0..3 {
            hedging::play(&policy, &mut pool, at(n), |_, _| (Duration::from_millis(1), ANSWERED));
        }
        let (_, _, sends) =
            hedging::play(&policy, &mut pool, at(100), |attempt, _| match attempt {
                1 => (secs(3), event.clone()),
                _ => (secs(20), ANSWERED),
            });
        assert!(sends[1..].iter().all(|(_, target)| *target != 0), "{event:?}: {sends:?}");
    }
}

#[test]
fn a_hedge_that_was_told_not_to_retry_is_not_retried() {
    let policy = hedging();
    let (_, _, sends) = hedging::play(
        &policy,
        &mut pool(&policy, &["a", "b"]),
        at(0),
        |attempt, _| match attempt {
            1 => (secs(3), failing(Class::Permission)),
            2 => (secs(2), forbidden(Class::Server)),
            _ => (secs(1), ANSWERED),
        },
    );
    assert_eq!(sends, [(at(0), 0), (at(2), 1)]);
}

#[test]
fn a_failed_hedge_is_retried_after_a_backoff_like_anybody() {
    let policy = hedging();
    let (finish, _, sends) = hedging::play(
        &policy,
        &mut pool(&policy, &["a", "b"]),
        at(0),
        |attempt, _| match attempt {
            1 => (secs(3), failing(Class::Permission)),
            2 => (secs(2), failing(Class::Server)),
            _ => (secs(1), ANSWERED),
        },
    );
    assert_eq!(sends, [(at(0), 0), (at(2), 1), (at(5), 1)], "{finish:?}");
}

#[test]
fn a_hint_counts_from_its_own_failure_and_not_from_the_hedges() {
    let mut policy = hedging();
    policy.timeouts.call = secs(60);
    let (finish, _, sends) = hedging::play(
        &policy,
        &mut pool(&policy, &["a", "b"]),
        at(0),
        |attempt, _| match attempt {
            1 => (secs(3), hinted(LIMITED, secs(40))),
            2 => (secs(28), failing(Class::Permission)),
            _ => (secs(1), ANSWERED),
        },
    );
    assert_eq!(finish, Finish::Served { target: 0, attempt: 3 });
    assert_eq!(sends[2], (at(43), 0));
}

#[test]
fn a_hedge_that_was_too_long_is_shortened_for_the_next_time() {
    let policy = Policy { retry: Retry { retries_max: 0, ..exact().retry }, ..hedging() };
    let mut pool = pool(&policy, &["a", "b"]);
    let mut call = Call::new(1, long_request(), policy, at(0));
    assert!(matches!(call.poll(&mut pool, at(0)), Action::Send { target: 0, .. }));
    assert!(matches!(call.poll(&mut pool, at(2)), Action::Send { target: 1, .. }));
    call.handle(2, failing(TOO_LONG), &mut pool, at(3));
    call.handle(1, failing(Class::Server), &mut pool, at(3));
    assert!(matches!(call.poll(&mut pool, at(3)), Action::Send { target: 1, attempt: 3, .. }));
    assert!(
        call.trace()
            .entries
            .iter()
            .any(|entry| matches!(entry.what, What::Truncated { target: 1, .. }))
    );
}

#[test]
fn a_conflict_stays_with_its_target() {
    let mut pool = shared(&exact(), [slow("a"), target("b", "b")]);
    let (_, trace) = play(&exact(), &mut pool, at(0), hello(), |sent| {
        if sent.attempt == 1 { failing(Class::Conflict) } else { ANSWERED }
    });
    assert_eq!(asked(&trace), [0, 0]);
}

#[test]
fn nobody_is_sent_from_the_line_to_a_key_that_was_refused_meanwhile() {
    let policy = exact();
    let mut pool = shared(&policy, [narrow("a", 1), target("b", "b")]);
    let mut refused = Call::new(1, hello(), policy.clone(), at(0));
    assert!(matches!(refused.poll(&mut pool, at(0)), Action::Send { target: 0, .. }));
    pool.pause(1, at(10));
    let mut waits = Call::new(2, hello(), policy, at(0));
    assert!(matches!(waits.poll(&mut pool, at(0)), Action::Acquire { .. }));
    refused.handle(1, failing(Class::Auth), &mut pool, at(11));
    assert!(matches!(waits.poll(&mut pool, at(11)), Action::Send { target: 1, .. }));
    assert_eq!(pool.queue_mut(0).unwrap().in_flight(), 0);
}

/// Who stood in one line waited on while the other target had nothing to do.
#[test]
fn a_target_that_is_free_again_serves_who_waits_for_another() {
    let policy = exact();
    let mut pool = shared(&policy, [narrow("a", 1), narrow("b", 1)]);
    let mut calls: Vec<_> =
        (0..3).map(|id| Call::new(id, hello(), policy.clone(), at(0))).collect();
    assert!(matches!(calls[0].poll(&mut pool, at(0)), Action::Send { target: 0, .. }));
    assert!(matches!(calls[1].poll(&mut pool, at(0)), Action::Send { target: 1, .. }));
    let Action::Acquire { seat, .. } = calls[2].poll(&mut pool, at(0)) else { panic!("no line") };
    assert_eq!(seat.target, 0);
    calls[1].handle(1, ANSWERED, &mut pool, at(1));
    assert_eq!(pool.pop_news(), Some(seat));
    assert!(matches!(calls[2].poll(&mut pool, at(1)), Action::Send { target: 1, .. }));
}

/// Whoever was shed on one target was shed on all.
#[test]
fn each_target_sheds_by_its_own_draw() {
    let policy = Policy {
        shed: Some(ShedSettings::default()),
        breaker: None,
        budget: None,
        retry: Retry { retries_max: 0, ..exact().retry },
        fallback: Fallback { cooldown: Duration::ZERO, ..Fallback::default() },
        ..exact()
    };
    let mut pool = pool(&policy, &["a", "b"]);
    let (mut by_one, mut by_both) = (0, 0);
    for id in 0..500 {
        let mut call = Call::new(id, hello(), policy.clone(), at(0));
        loop {
            match call.poll(&mut pool, at(0)) {
                Action::Send { attempt, .. } => {
                    call.handle(attempt, failing(Class::Overloaded), &mut pool, at(0));
                }
                Action::Done(_) => break,
                other => panic!("{other:?}"),
            }
        }
        let shed = |of: usize| {
            let by = |what: &What| matches!(what, What::Skipped { target, why: Skip::Shed } if *target == of);
            call.trace().entries.iter().any(|entry| by(&entry.what))
        };
        by_one += u32::from(shed(0));
        by_both += u32::from(shed(0) && shed(1));
    }
    assert!(by_one > 400 && by_both < by_one, "{by_both} of {by_one}");
}

#[test]
fn a_pause_past_the_deadline_is_a_matter_of_time_for_those_in_line_too() {
    let mut policy = exact();
    policy.timeouts.call = secs(20);
    let mut pool = shared(&policy, [narrow("a", 1)]);
    let mut calls: Vec<_> =
        (0..3).map(|id| Call::new(id, hello(), policy.clone(), at(0))).collect();
    assert!(matches!(calls[0].poll(&mut pool, at(0)), Action::Send { .. }));
    assert!(matches!(calls[1].poll(&mut pool, at(0)), Action::Acquire { .. }));
    pool.pause(0, at(50));
    for call in &mut calls[1..] {
        let Action::Done(finish) = call.poll(&mut pool, at(0)) else { panic!("goes on") };
        assert_eq!(stopped(finish), (StopReason::Deadline, Some(secs(50))));
    }
}

/// What was shed at first was given as the reason for leaving another target later.
#[test]
fn the_reason_for_leaving_is_of_the_target_that_is_left() {
    let policy =
        Policy { shed: Some(ShedSettings::default()), breaker: None, budget: None, ..exact() };
    let mut pool = pool(&policy, &["a", "b", "c"]);
    let single = Policy { retry: Retry { retries_max: 0, ..exact().retry }, ..policy.clone() };
    for id in 0..300 {
        let mut call = Call::new(id, hello(), single.clone(), at(0));
        if let Action::Send { attempt, target: 0, .. } = call.poll(&mut pool, at(0)) {
            call.handle(attempt, failing(LIMITED), &mut pool, at(0));
        }
        call.abandon(&mut pool, at(0));
    }
    let mut shed = (1_000..1_300).map(|id| Call::new(id, hello(), policy.clone(), at(60)));
    let mut call = shed
        .find_map(|mut call| {
            if let Action::Send { target: 1, .. } = call.poll(&mut pool, at(60)) {
                return Some(call);
            }
            call.abandon(&mut pool, at(60));
            None
        })
        .unwrap();
    call.handle(1, failing(Class::Server), &mut pool, at(60));
    let Action::Wait { until, .. } = call.poll(&mut pool, at(60)) else { panic!("no backoff") };
    pool.pause(1, at(100));
    call.poll(&mut pool, until);
    let left: Vec<_> = call
        .trace()
        .entries
        .iter()
        .filter_map(|entry| match entry.what {
            What::FellBack { from, to, why } => Some((from, to, why)),
            _ => None,
        })
        .collect();
    assert_eq!(left, [(1, 2, Leave::Busy)]);
}

/// The trace is the caller's; nothing is decided by it.
#[test]
fn a_trace_that_is_taken_out_changes_no_reason() {
    let policy = Policy { retry: Retry { retries_max: 0, ..exact().retry }, ..exact() };
    let stops = [false, true].map(|take| {
        let mut second = slow("b");
        second.quota = Some(Quota::per_minute(1, 1));
        let mut pool = shared(&policy, [target("a", "a"), second]);
        let mut call = Call::new(1, long_request(), policy.clone(), Nanos::ZERO);
        assert!(matches!(call.poll(&mut pool, Nanos::ZERO), Action::Send { target: 0, .. }));
        call.handle(1, failing(Class::Server), &mut pool, Nanos::ZERO);
        if take {
            call.take_trace();
        }
        let Action::Done(finish) = call.poll(&mut pool, Nanos::ZERO) else { panic!("goes on") };
        stopped(finish).0
    });
    assert_eq!(stops, [StopReason::Exhausted; 2]);
}
