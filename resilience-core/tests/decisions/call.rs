//! One call on one target: retries, hints, time limits.

use std::time::Duration;

use resilience_core::{
    Action, Backoff, Call, Class, Event, Failure, Finish, Jitter, Missing, Nanos, Phase, Policy,
    PolicyMistake, Retry, Spread, StopReason, Timeouts,
};

use crate::play::{
    LIMITED, Sent, asked, at, chain, exact, failing, hello, hinted, play, pool_of, secs, starts,
    stopped, target,
};

#[test]
fn five_retries_follow_the_backoff_and_then_the_call_ends() {
    let mut pool = chain(&["a"]);
    let (finish, trace) =
        play(&exact(), &mut pool, Nanos::ZERO, hello(), |_| failing(Class::Server));
    assert_eq!(stopped(finish), (StopReason::Exhausted, None));
    assert_eq!(starts(&trace), [0, 1, 3, 7, 15, 31].map(at));
}

#[test]
fn what_is_final_gets_one_attempt() {
    for class in [
        Class::InvalidRequest,
        Class::ContentPolicy,
        Class::NotFound(Missing::Resource),
        Class::Auth,
        Class::QuotaExhausted,
        Class::Permission,
        Class::RequestTooLarge,
        Class::Cancelled,
    ] {
        let mut pool = chain(&["a"]);
        let (finish, trace) = play(&exact(), &mut pool, Nanos::ZERO, hello(), |_| failing(class));
        assert_eq!(stopped(finish).0, StopReason::Final, "{class}");
        assert_eq!(asked(&trace), [0], "{class}");
    }
}

/// A hint above the cap must neither be cut short nor waited out.
#[test]
fn a_hint_is_kept_or_the_call_ends() {
    for (hint, kept) in [(20, true), (60, true), (61, false), (86_400 * 30, false)] {
        let mut pool = chain(&["a"]);
        let (finish, trace) = play(&exact(), &mut pool, Nanos::ZERO, hello(), |sent| {
            if sent.attempt == 1 {
                hinted(LIMITED, secs(hint))
            } else {
                Event::Answered { usage: None }
            }
        });
        if kept {
            assert_eq!(finish, Finish::Served { target: 0, attempt: 2 });
            assert_eq!(starts(&trace), [at(0), at(hint)]);
        } else {
            assert_eq!(stopped(finish), (StopReason::HintBeyondCap, Some(secs(hint))));
            assert_eq!(asked(&trace), [0]);
        }
    }
}

#[test]
fn the_spread_gives_way_to_the_deadline_and_the_hint_does_not() {
    let timeouts = Timeouts { call: Duration::from_millis(3_001), ..Timeouts::default() };
    let retry = Retry { spread: Spread::default(), ..exact().retry };
    let policy = Policy { timeouts, retry, ..exact() };
    let mut pool = chain(&["a"]);
    let (finish, trace) = play(&policy, &mut pool, Nanos::ZERO, hello(), |sent| {
        if sent.attempt == 1 { hinted(LIMITED, secs(3)) } else { Event::Answered { usage: None } }
    });
    assert_eq!(finish, Finish::Served { target: 0, attempt: 2 });
    assert_eq!(starts(&trace), [0, 3].map(at));
}

#[test]
fn a_hint_replaces_the_backoff_and_a_zero_does_not() {
    let mut pool = chain(&["a"]);
    let (_, trace) = play(&exact(), &mut pool, Nanos::ZERO, hello(), |sent| match sent.attempt {
        1 => hinted(LIMITED, Duration::from_millis(10)),
        2 => hinted(LIMITED, Duration::ZERO),
        _ => Event::Answered { usage: None },
    });
    let waits: Vec<_> = trace.waits().map(|(wait, _)| wait).collect();
    // The second retry has its own place in the envelope.
    assert_eq!(waits, [Duration::from_millis(10), secs(2)]);
}

#[test]
fn a_servers_no_without_alternative_is_final() {
    let mut pool = chain(&["a"]);
    let (finish, _) = play(&exact(), &mut pool, Nanos::ZERO, hello(), |_| {
        let mut failure = Failure::new(Class::Server, "no");
        failure.should_retry = Some(false);
        Event::Failed(failure)
    });
    assert_eq!(stopped(finish).0, StopReason::Final);
}

#[test]
fn no_wait_is_begun_that_the_deadline_would_cut() {
    let mut pool = chain(&["a"]);
    let timeouts = Timeouts { call: secs(7), ..Timeouts::default() };
    let policy = Policy { timeouts, ..exact() };
    let (finish, trace) =
        play(&policy, &mut pool, Nanos::ZERO, hello(), |_| failing(Class::Server));
    // The third retry would begin at seven seconds; the call ends at three, with its last error.
    assert_eq!(stopped(finish), (StopReason::Deadline, Some(secs(4))));
    assert_eq!(starts(&trace), [0, 1, 3].map(at));
    assert_eq!(trace.entries.last().unwrap().at, at(3));
    let (_, _, last) = trace.attempts().next_back().unwrap();
    assert_eq!(last.unwrap().class, Class::Server);
}

#[test]
fn a_hint_past_the_deadline_falls_back_or_ends() {
    let timeouts = Timeouts { call: secs(3), ..Timeouts::default() };
    let policy = Policy { timeouts, ..exact() };
    let script = |sent: &Sent<'_>| {
        if sent.target == 0 { hinted(LIMITED, secs(4)) } else { Event::Answered { usage: None } }
    };
    let (finish, _) = play(&policy, &mut chain(&["a"]), Nanos::ZERO, hello(), script);
    assert_eq!(stopped(finish), (StopReason::Deadline, Some(secs(4))));
    let (finish, _) = play(&policy, &mut chain(&["a", "b"]), Nanos::ZERO, hello(), script);
    assert_eq!(finish, Finish::Served { target: 1, attempt: 2 });
}

#[test]
fn nothing_is_repeated_once_the_caller_has_seen_content() {
    let mut pool = chain(&["a", "b"]);
    let mut call = Call::new(1, hello().streaming(), exact(), Nanos::ZERO);
    assert!(matches!(call.poll(&mut pool, Nanos::ZERO), Action::Send { .. }));
    for event in [Event::Connected, Event::Token, Event::Committed] {
        call.handle(1, event, &mut pool, Nanos::ZERO);
    }
    call.handle(1, failing(Class::Overloaded), &mut pool, at(1));
    let Action::Done(finish) = call.poll(&mut pool, at(1)) else { panic!("goes on") };
    assert_eq!(stopped(finish).0, StopReason::Committed);
}

#[test]
fn each_phase_has_its_own_limit() {
    let policy = Policy { retry: Retry { retries_max: 0, ..Retry::default() }, ..exact() };
    for (events, phase, until) in [
        (vec![], Phase::Attempt, 120),
        (vec![(0, Event::Connecting)], Phase::Connect, 5),
        (vec![(0, Event::Connecting), (3, Event::Connected)], Phase::FirstToken, 63),
        (vec![(3, Event::Connected), (10, Event::Token)], Phase::Idle, 40),
        (vec![(3, Event::Connected), (10, Event::Token), (30, Event::Token)], Phase::Idle, 60),
        (vec![(1, Event::Token), (100, Event::Token)], Phase::Attempt, 120),
    ] {
        let mut pool = chain(&["a"]);
        let mut call = Call::new(1, hello().streaming(), policy.clone(), Nanos::ZERO);
        assert!(matches!(call.poll(&mut pool, Nanos::ZERO), Action::Send { .. }));
        let mut now = Nanos::ZERO;
        for (when, event) in events {
            now = at(when);
            call.handle(1, event, &mut pool, now);
        }
        let action = call.poll(&mut pool, now);
        let Action::Attend { until: alarm } = action else { panic!("{action:?}") };
        assert_eq!(alarm, at(until), "{phase}");
        let overdue = call.poll(&mut pool, at(until));
        assert!(matches!(overdue, Action::Drop { attempt: 1 }), "{overdue:?}");
        assert!(matches!(call.poll(&mut pool, at(until)), Action::Done(_)));
        let (_, _, failure) = call.trace().attempts().next().unwrap();
        let class = failure.unwrap().class;
        match phase {
            Phase::Connect => assert_eq!(class, Class::Connect),
            phase => assert_eq!(class, Class::Timeout { phase }),
        }
    }
}

/// An answer in one piece has no first token and no gaps, however long it takes.
#[test]
fn an_unstreamed_answer_has_only_the_attempts_limit() {
    let mut pool = chain(&["a"]);
    let mut call = Call::new(1, hello(), exact(), Nanos::ZERO);
    call.poll(&mut pool, Nanos::ZERO);
    call.handle(1, Event::Connecting, &mut pool, Nanos::ZERO);
    call.handle(1, Event::Connected, &mut pool, at(1));
    assert!(matches!(
        call.poll(&mut pool, at(1)),
        Action::Attend { until } if until == at(120)
    ));
}

/// The caller's own deadline is no fault of the target.
#[test]
fn a_call_that_runs_out_of_time_blames_nobody() {
    let timeouts = Timeouts { call: secs(50), ..Timeouts::default() };
    let mut pool = chain(&["a", "b"]);
    let mut call = Call::new(1, hello(), Policy { timeouts, ..exact() }, Nanos::ZERO);
    call.poll(&mut pool, Nanos::ZERO);
    assert!(matches!(call.poll(&mut pool, at(50)), Action::Drop { attempt: 1 }));
    let Action::Done(finish) = call.poll(&mut pool, at(50)) else { panic!("goes on") };
    assert_eq!(stopped(finish).0, StopReason::Deadline);
    let (_, _, failure) = call.trace().attempts().next().unwrap();
    assert_eq!(failure.unwrap().class, Class::Cancelled);
    assert_eq!(pool.cooling(0, at(50)), None);
}

#[test]
fn what_was_not_processed_is_sent_again_at_once_but_not_for_ever() {
    let mut pool = chain(&["a"]);
    let (_, trace) =
        play(&exact(), &mut pool, Nanos::ZERO, hello(), |_| failing(Class::NotProcessed));
    assert_eq!(starts(&trace)[..4], [0, 0, 0, 1].map(at));
    assert_eq!(asked(&trace).len(), 8);
}

#[test]
fn an_unreadable_answer_is_retried_once() {
    let mut pool = chain(&["a"]);
    let (finish, trace) =
        play(&exact(), &mut pool, Nanos::ZERO, hello(), |_| failing(Class::Decode));
    assert_eq!(stopped(finish).0, StopReason::Exhausted);
    assert_eq!(asked(&trace), [0, 0]);
}

#[test]
fn every_mistake_in_a_policy_is_told() {
    let policy = Policy {
        retry: Retry {
            backoff: Backoff {
                base: secs(5),
                cap: secs(1),
                multiplier_ppm: 500_000,
                jitter: Jitter::Full,
            },
            spread: Spread { divisor: 10, least: secs(2), most: secs(1) },
            ..Retry::default()
        },
        timeouts: Timeouts { idle: Duration::ZERO, ..Timeouts::default() },
        attempts_max: 0,
        ..Policy::default()
    };
    let mistakes = policy.mistakes();
    assert_eq!(mistakes.len(), 5);
    assert_eq!(mistakes[0].to_string(), "backoff base 5s is longer than its cap 1s");
    let mut cramped = target("a", "a");
    cramped.window.tokens = 10;
    let mistakes = pool_of([target("a", "a"), cramped]).unwrap_err();
    assert_eq!(
        *mistakes,
        [
            PolicyMistake::DuplicateTarget { name: "a".to_owned() },
            PolicyMistake::WindowTooSmall { target: "a".to_owned() },
        ]
    );
    assert_eq!(*pool_of(Vec::new()).unwrap_err(), [PolicyMistake::NoTargets]);
}
