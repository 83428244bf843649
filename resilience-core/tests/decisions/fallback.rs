//! One call on a chain of targets, and what the next call learns from it.

use std::time::Duration;

use resilience_core::{
    Action, Call, Class, CoolReason, Event, Failure, Fallback, Finish, Leave, Missing, Nanos,
    Policy, Retry, Skip, Spread, StopReason, Timeouts, Wait, What,
};

use crate::play::{
    LIMITED, Sent, asked, at, chain, exact, failing, hello, hinted, play, pool_of, secs, starts,
    stopped, target,
};

#[test]
fn a_callers_mistake_never_falls_back() {
    for class in [Class::InvalidRequest, Class::ContentPolicy, Class::NotFound(Missing::Resource)] {
        let mut pool = chain(&["a", "b"]);
        let (finish, trace) = play(&exact(), &mut pool, Nanos::ZERO, hello(), |_| failing(class));
        assert_eq!(stopped(finish).0, StopReason::Final, "{class}");
        assert_eq!(asked(&trace), [0], "{class}");
    }
}

/// What one provider's policy forbids reaches another only if somebody said so.
#[test]
fn content_is_offered_elsewhere_only_when_asked_to() {
    for (asked_to, asked_of) in [(false, vec![0]), (true, vec![0, 1])] {
        let fallback = Fallback { on_content_policy: asked_to, ..Fallback::default() };
        let policy = Policy { fallback, ..exact() };
        let mut pool = chain(&["a", "b"]);
        let (_, trace) = play(&policy, &mut pool, Nanos::ZERO, hello(), |sent| {
            if sent.target == 0 {
                failing(Class::ContentPolicy)
            } else {
                Event::Answered { usage: None }
            }
        });
        assert_eq!(asked(&trace), asked_of);
    }
}

#[test]
fn a_servers_no_ends_the_retries_there_and_the_next_is_asked() {
    let mut pool = chain(&["a", "b"]);
    let (finish, trace) = play(&exact(), &mut pool, Nanos::ZERO, hello(), |sent| {
        if sent.target == 1 {
            return Event::Answered { usage: None };
        }
        let mut failure = Failure::new(Class::Server, "no");
        failure.should_retry = Some(false);
        Event::Failed(failure)
    });
    assert_eq!(finish, Finish::Served { target: 1, attempt: 2 });
    assert_eq!(asked(&trace), [0, 1]);
}

#[test]
fn an_outage_exhausts_its_retries_and_moves_on() {
    let mut pool = chain(&["a", "b"]);
    let (finish, trace) = play(&exact(), &mut pool, Nanos::ZERO, hello(), |sent| {
        if sent.target == 0 { failing(Class::Server) } else { Event::Answered { usage: None } }
    });
    assert_eq!(finish, Finish::Served { target: 1, attempt: 7 });
    assert_eq!(asked(&trace), [0, 0, 0, 0, 0, 0, 1]);
    let fell = What::FellBack { from: 0, to: 1, why: Leave::Exhausted };
    assert!(trace.entries.iter().any(|entry| entry.what == fell));
}

#[test]
fn a_spent_quota_moves_on_at_once_and_only_to_another_key() {
    let targets = vec![target("a", "shared"), target("b", "shared"), target("c", "own")];
    let mut pool = pool_of(targets).unwrap();
    let (finish, trace) = play(&exact(), &mut pool, Nanos::ZERO, hello(), |sent| {
        if sent.target == 0 {
            failing(Class::QuotaExhausted)
        } else {
            Event::Answered { usage: None }
        }
    });
    assert_eq!(finish, Finish::Served { target: 2, attempt: 2 });
    let skipped = What::Skipped { target: 1, why: Skip::SameCredential };
    assert!(trace.entries.iter().any(|entry| entry.what == skipped));
    assert_eq!(starts(&trace), [at(0), at(0)]);
}

/// What one call has learnt about a key, the next need not learn again.
#[test]
fn the_next_call_skips_a_refused_key() {
    let mut pool = chain(&["a", "b"]);
    let script = |sent: &Sent<'_>| {
        if sent.target == 0 { failing(Class::Auth) } else { Event::Answered { usage: None } }
    };
    let (_, trace) = play(&exact(), &mut pool, Nanos::ZERO, hello(), script);
    assert_eq!(asked(&trace), [0, 1]);
    let (_, trace) = play(&exact(), &mut pool, at(299), hello(), script);
    assert_eq!(asked(&trace), [1]);
    let (_, trace) = play(&exact(), &mut pool, at(300), hello(), script);
    assert_eq!(asked(&trace), [0, 1]);
}

/// Nobody should wait for a key that may never work; one attempt tells whether it does.
#[test]
fn a_refused_key_without_alternative_is_asked_once_a_call() {
    let mut pool = chain(&["a"]);
    for begun in [0, 1, 2] {
        let (finish, trace) =
            play(&exact(), &mut pool, at(begun), hello(), |_| failing(Class::Auth));
        assert_eq!(stopped(finish).0, StopReason::Final);
        assert_eq!(starts(&trace), [at(begun)]);
    }
}

#[test]
fn a_refused_key_does_not_undo_a_pause() {
    let mut pool = chain(&["a"]);
    pool.pause(0, at(10));
    pool.rest_credential(0, at(300), Nanos::ZERO);
    let (_, trace) = play(&exact(), &mut pool, at(1), hello(), |_| Event::Answered { usage: None });
    assert_eq!(starts(&trace), [at(10)]);
}

#[test]
fn a_long_hint_falls_back_and_a_short_one_waits() {
    for (hint, expected) in [(5, vec![0, 0]), (6, vec![0, 1])] {
        let mut pool = chain(&["a", "b"]);
        let (_, trace) = play(&exact(), &mut pool, Nanos::ZERO, hello(), |sent| {
            if sent.attempt == 1 {
                hinted(LIMITED, secs(hint))
            } else {
                Event::Answered { usage: None }
            }
        });
        assert_eq!(asked(&trace), expected, "{hint}");
    }
}

/// Two caps of the policy, the smaller of them first.
#[test]
fn a_hint_within_patience_but_beyond_the_cap_falls_back() {
    let policy = Policy { retry: Retry { hint_max: secs(2), ..exact().retry }, ..exact() };
    let mut pool = chain(&["a", "b"]);
    let (finish, trace) = play(&policy, &mut pool, Nanos::ZERO, hello(), |sent| {
        if sent.target == 0 { hinted(LIMITED, secs(3)) } else { Event::Answered { usage: None } }
    });
    assert_eq!(finish, Finish::Served { target: 1, attempt: 2 });
    assert_eq!(starts(&trace), [at(0), at(0)]);
}

/// One call found the limit; the others must neither find it again nor all come back in the same instant.
#[test]
fn a_hint_pauses_every_call_on_the_same_key_and_model() {
    let mut pool = chain(&["a"]);
    let policy = Policy { retry: Retry { spread: Spread::default(), ..exact().retry }, ..exact() };
    let mut first = true;
    let (_, trace) = play(&policy, &mut pool, Nanos::ZERO, hello(), |_| {
        if std::mem::take(&mut first) {
            hinted(LIMITED, secs(20))
        } else {
            Event::Answered { usage: None }
        }
    });
    assert!(starts(&trace)[1] >= at(20));
    let mut starting = Vec::new();
    for id in 0..20 {
        let mut call = Call::new(id, hello(), policy.clone(), at(4));
        let Action::Wait { until, why } = call.poll(&mut pool, at(4)) else { panic!("not paused") };
        assert!(matches!(why, Wait::Cooling(cooling) if cooling.why == CoolReason::Hint));
        assert!(at(20) <= until && until <= at(20) + Duration::from_millis(1_600));
        starting.push(until);
    }
    starting.sort_unstable();
    starting.dedup();
    assert!(starting.len() > 15, "{starting:?}");
}

/// A pause that was prolonged while a call slept holds for that call.
#[test]
fn a_pause_that_grows_during_a_wait_is_seen_after_it() {
    let mut pool = chain(&["a"]);
    let mut call = Call::new(1, hello(), exact(), Nanos::ZERO);
    assert!(matches!(call.poll(&mut pool, Nanos::ZERO), Action::Send { .. }));
    call.handle(1, hinted(LIMITED, secs(2)), &mut pool, Nanos::ZERO);
    assert!(matches!(
        call.poll(&mut pool, Nanos::ZERO),
        Action::Wait { until, .. } if until == at(2)
    ));
    pool.pause(0, at(9));
    // A shorter pause afterwards must not cut it.
    pool.pause(0, at(3));
    assert!(matches!(
        call.poll(&mut pool, at(2)),
        Action::Wait { until, .. } if until == at(9)
    ));
    assert!(matches!(call.poll(&mut pool, at(9)), Action::Send { attempt: 2, .. }));
}

#[test]
fn an_exhausted_target_rests_and_is_tried_again() {
    let mut pool = chain(&["a", "b"]);
    let down = |sent: &Sent<'_>| {
        if sent.target == 0 { failing(Class::Server) } else { Event::Answered { usage: None } }
    };
    let (_, trace) = play(&exact(), &mut pool, Nanos::ZERO, hello(), down);
    // It gave up on the first target after 31 s, which rests it until 61 s.
    assert_eq!(starts(&trace)[6], at(31));
    let (_, trace) = play(&exact(), &mut pool, at(60), hello(), down);
    assert_eq!(asked(&trace), [1]);
    let skipped = trace.entries.iter().find_map(|entry| match entry.what {
        What::Skipped { target: 0, why: Skip::Cooling(cooling) } => Some(cooling),
        _ => None,
    });
    assert_eq!(
        skipped.map(|cooling| (cooling.until, cooling.why)),
        Some((at(61), CoolReason::Outage))
    );
    let (_, trace) =
        play(&exact(), &mut pool, at(61), hello(), |_| Event::Answered { usage: None });
    assert_eq!(asked(&trace), [0]);
}

/// An error in place of a wait is what one well-known router does here.
#[test]
fn when_all_rest_the_soonest_is_waited_for() {
    let mut pool = chain(&["a", "b"]);
    pool.rest(0, at(20));
    // A shorter rest does not cut a longer one.
    pool.rest(0, at(5));
    pool.rest(1, at(10));
    let (finish, trace) =
        play(&exact(), &mut pool, Nanos::ZERO, hello(), |_| Event::Answered { usage: None });
    assert_eq!(finish, Finish::Served { target: 1, attempt: 1 });
    assert_eq!(starts(&trace), [at(10)]);
}

#[test]
fn when_the_soonest_is_past_the_deadline_the_call_ends_at_once() {
    let mut pool = chain(&["a", "b"]);
    pool.rest(0, at(20));
    pool.rest(1, at(10));
    let timeouts = Timeouts { call: secs(10), ..Timeouts::default() };
    let policy = Policy { timeouts, ..exact() };
    let (finish, trace) =
        play(&policy, &mut pool, Nanos::ZERO, hello(), |_| Event::Answered { usage: None });
    assert_eq!(stopped(finish), (StopReason::Deadline, Some(secs(10))));
    assert_eq!(trace.entries.last().unwrap().at, Nanos::ZERO);
}

/// There is nowhere else to go, so the retries' own pace has to do.
#[test]
fn a_lone_target_never_rests_for_an_outage() {
    let mut pool = chain(&["a"]);
    play(&exact(), &mut pool, Nanos::ZERO, hello(), |_| failing(Class::Server));
    let (_, trace) =
        play(&exact(), &mut pool, at(31), hello(), |_| Event::Answered { usage: None });
    assert_eq!(starts(&trace), [at(31)]);
}

/// An answer that was under way when the key was refused proves nothing.
#[test]
fn only_a_later_answer_redeems_a_key() {
    let mut pool = pool_of([target("a", "shared"), target("b", "shared")]).unwrap();
    pool.rest_credential(0, at(100), at(10));
    pool.redeem(1, at(9));
    assert!(pool.cooling(0, at(11)).is_some());
    pool.redeem(1, at(10));
    assert_eq!(pool.cooling(0, at(11)), None);
}

/// What was left because its retry would come too late must not be asked sooner than that retry.
#[test]
fn a_target_that_was_left_for_time_is_not_asked_again() {
    let timeouts = Timeouts { call: secs(2), ..Timeouts::default() };
    let policy = Policy { timeouts, ..exact() };
    let (_, trace) = play(&policy, &mut chain(&["a", "b"]), Nanos::ZERO, hello(), |sent| {
        if sent.target == 0 {
            failing(Class::Server)
        } else {
            failing(Class::NotFound(Missing::Model))
        }
    });
    assert_eq!(asked(&trace), [0, 0, 1]);
}

/// A fallback must not begin the count anew.
#[test]
fn attempts_are_capped_over_all_targets() {
    let mut pool = chain(&["a", "b", "c", "d"]);
    let policy = Policy { attempts_max: 8, ..exact() };
    let (finish, trace) =
        play(&policy, &mut pool, Nanos::ZERO, hello(), |_| failing(Class::Server));
    assert_eq!(stopped(finish).0, StopReason::AttemptsMax);
    assert_eq!(asked(&trace), [0, 0, 0, 0, 0, 0, 1, 1]);
    // The last backoff would be for nothing, so it is not begun.
    let last = starts(&trace)[7];
    assert_eq!(trace.entries.last().unwrap().at, last);
}

#[test]
fn an_absurd_hint_does_not_close_a_target_for_ever() {
    let mut pool = chain(&["a"]);
    let (finish, _) =
        play(&exact(), &mut pool, Nanos::ZERO, hello(), |_| hinted(LIMITED, Duration::MAX));
    assert_eq!(stopped(finish), (StopReason::HintBeyondCap, Some(Duration::MAX)));
    let (finish, trace) =
        play(&exact(), &mut pool, at(3_539), hello(), |_| Event::Answered { usage: None });
    assert_eq!(stopped(finish), (StopReason::HintBeyondCap, Some(secs(61))));
    assert!(trace.attempts().next().is_none());
    let (finish, _) =
        play(&exact(), &mut pool, at(3_540), hello(), |_| Event::Answered { usage: None });
    assert_eq!(finish, Finish::Served { target: 0, attempt: 1 });
}
