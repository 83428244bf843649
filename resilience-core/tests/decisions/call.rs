//! One call as a machine, driven without a runtime: what it does next, in virtual time.

use std::time::Duration;

use resilience_core::hint::{Hint, Source};
use resilience_core::{
    Action, Backoff, Call, Class, CoolReason, Draws, Event, Failure, Finish, Jitter, Leave,
    Message, Missing, Nanos, Phase, Policy, PolicyMistake, Pool, Provider, Quota, Request, Retry,
    Skip, Spread, StopReason, Target, Timeouts, Trace, Wait, What, Window,
};

pub(crate) fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

pub(crate) fn at(after: u64) -> Nanos {
    Nanos::from(secs(after))
}

/// Delays at the envelope and no spread, so that every instant is known.
fn exact() -> Policy {
    let backoff = Backoff { jitter: Jitter::None, ..Backoff::default() };
    Policy {
        retry: Retry { backoff, spread: Spread::NONE, ..Retry::default() },
        ..Policy::default()
    }
}

pub(crate) fn target(name: &str, credential: &str) -> Target {
    Target {
        name: name.to_owned(),
        credential: credential.to_owned(),
        counter: std::sync::Arc::new(resilience_core::Estimate),
        ..Target::new(Provider::OpenAi, name)
    }
}

fn chain(names: &[&str]) -> Pool {
    Pool::new(names.iter().map(|name| target(name, name)).collect::<Vec<_>>()).unwrap()
}

fn hello() -> Request {
    Request::new([Message::user("hello")])
}

fn failing(class: Class) -> Event {
    Event::Failed(Failure::new(class, "no"))
}

fn hinted(class: Class, after: Duration) -> Event {
    let mut failure = Failure::new(class, "no");
    failure.hint = Some(Hint { after, source: Source::RetryAfter });
    Event::Failed(failure)
}

pub(crate) const LIMITED: Class = Class::RateLimited { dimension: None };
pub(crate) const TOO_LONG: Class = Class::ContextOverflow { limit: None, requested: None };

/// An attempt, as the driver's script sees it.
struct Sent<'a> {
    target: usize,
    attempt: u32,
    messages: &'a [Message],
}

/// Plays one call to its end; the script answers each attempt at once.
fn play(
    policy: Policy,
    pool: &mut Pool,
    begun: Nanos,
    request: Request,
    mut script: impl FnMut(&Sent<'_>) -> Event,
) -> (Finish, Trace) {
    let mut call = Call::new(1, request, policy, begun);
    let mut now = begun;
    let draws = Draws::new(1);
    for _ in 0..10_000 {
        match call.poll(pool, &draws, now) {
            Action::Acquire { until, .. }
            | Action::Attend { until, .. }
            | Action::Wait { until, .. } => {
                assert!(until > now, "a wait of nothing");
                now = until;
            }
            Action::Done(finish) => return (finish, call.take_trace()),
            Action::Send { attempt, target, messages, .. } => {
                let event = script(&Sent { target, attempt, messages: &messages });
                call.handle(event, pool, now);
            }
        }
    }
    panic!("a call that does not end");
}

/// The targets that were asked, in order.
fn asked(trace: &Trace) -> Vec<usize> {
    trace.attempts().map(|(_, target, _)| target).collect()
}

/// When each attempt began.
fn starts(trace: &Trace) -> Vec<Nanos> {
    let starts = |entry: &resilience_core::Entry| {
        matches!(entry.what, What::AttemptStarted { .. }).then_some(entry.at)
    };
    trace.entries.iter().filter_map(starts).collect()
}

fn stopped(finish: Finish) -> (StopReason, Option<Duration>) {
    match finish {
        Finish::Stopped { why, retry_in } => (why, retry_in),
        served @ Finish::Served { .. } => panic!("{served:?}"),
    }
}

#[test]
fn five_retries_follow_the_backoff_and_then_the_call_ends() {
    let mut pool = chain(&["a"]);
    let (finish, trace) =
        play(exact(), &mut pool, Nanos::ZERO, hello(), |_| failing(Class::Server));
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
        let (finish, trace) = play(exact(), &mut pool, Nanos::ZERO, hello(), |_| failing(class));
        assert_eq!(stopped(finish).0, StopReason::Final, "{class}");
        assert_eq!(asked(&trace), [0], "{class}");
    }
}

#[test]
fn a_callers_mistake_never_falls_back() {
    for class in [Class::InvalidRequest, Class::ContentPolicy, Class::NotFound(Missing::Resource)] {
        let mut pool = chain(&["a", "b"]);
        let (finish, trace) = play(exact(), &mut pool, Nanos::ZERO, hello(), |_| failing(class));
        assert_eq!(stopped(finish).0, StopReason::Final, "{class}");
        assert_eq!(asked(&trace), [0], "{class}");
    }
}

/// A hint above the cap must neither be cut short nor waited out.
#[test]
fn a_hint_is_kept_or_the_call_ends() {
    for (hint, kept) in [(20, true), (60, true), (61, false), (86_400 * 30, false)] {
        let mut pool = chain(&["a"]);
        let (finish, trace) = play(exact(), &mut pool, Nanos::ZERO, hello(), |sent| {
            if sent.attempt == 1 { hinted(LIMITED, secs(hint)) } else { Event::Answered }
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
fn a_hint_replaces_the_backoff_and_a_zero_does_not() {
    let mut pool = chain(&["a"]);
    let (_, trace) = play(exact(), &mut pool, Nanos::ZERO, hello(), |sent| match sent.attempt {
        1 => hinted(LIMITED, Duration::from_millis(10)),
        2 => hinted(LIMITED, Duration::ZERO),
        _ => Event::Answered,
    });
    let waits: Vec<_> = trace.waits().map(|(wait, _)| wait).collect();
    // The second retry has its own place in the envelope.
    assert_eq!(waits, [Duration::from_millis(10), secs(2)]);
}

#[test]
fn a_servers_no_ends_the_retries_there_and_the_next_is_asked() {
    let mut pool = chain(&["a", "b"]);
    let (finish, trace) = play(exact(), &mut pool, Nanos::ZERO, hello(), |sent| {
        if sent.target == 1 {
            return Event::Answered;
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
    let (finish, trace) = play(exact(), &mut pool, Nanos::ZERO, hello(), |sent| {
        if sent.target == 0 { failing(Class::Server) } else { Event::Answered }
    });
    assert_eq!(finish, Finish::Served { target: 1, attempt: 7 });
    assert_eq!(asked(&trace), [0, 0, 0, 0, 0, 0, 1]);
    let fell = What::FellBack { from: 0, to: 1, why: Leave::Exhausted };
    assert!(trace.entries.iter().any(|entry| entry.what == fell));
}

#[test]
fn a_spent_quota_moves_on_at_once_and_only_to_another_key() {
    let targets = vec![target("a", "shared"), target("b", "shared"), target("c", "own")];
    let mut pool = Pool::new(targets).unwrap();
    let (finish, trace) = play(exact(), &mut pool, Nanos::ZERO, hello(), |sent| {
        if sent.target == 0 { failing(Class::QuotaExhausted) } else { Event::Answered }
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
        if sent.target == 0 { failing(Class::Auth) } else { Event::Answered }
    };
    let (_, trace) = play(exact(), &mut pool, Nanos::ZERO, hello(), script);
    assert_eq!(asked(&trace), [0, 1]);
    let (_, trace) = play(exact(), &mut pool, at(299), hello(), script);
    assert_eq!(asked(&trace), [1]);
    let (_, trace) = play(exact(), &mut pool, at(300), hello(), script);
    assert_eq!(asked(&trace), [0, 1]);
}

/// Nobody should wait for a key that may never work; one attempt tells whether it does.
#[test]
fn a_refused_key_without_alternative_is_asked_once_a_call() {
    let mut pool = chain(&["a"]);
    for begun in [0, 1, 2] {
        let (finish, trace) =
            play(exact(), &mut pool, at(begun), hello(), |_| failing(Class::Auth));
        assert_eq!(stopped(finish).0, StopReason::Final);
        assert_eq!(starts(&trace), [at(begun)]);
    }
}

#[test]
fn a_refused_key_does_not_undo_a_pause() {
    let mut pool = chain(&["a"]);
    pool.pause(0, at(10));
    pool.rest_credential(0, at(300), Nanos::ZERO);
    let (_, trace) = play(exact(), &mut pool, at(1), hello(), |_| Event::Answered);
    assert_eq!(starts(&trace), [at(10)]);
}

#[test]
fn a_long_hint_falls_back_and_a_short_one_waits() {
    for (hint, expected) in [(5, vec![0, 0]), (6, vec![0, 1])] {
        let mut pool = chain(&["a", "b"]);
        let (_, trace) = play(exact(), &mut pool, Nanos::ZERO, hello(), |sent| {
            if sent.attempt == 1 { hinted(LIMITED, secs(hint)) } else { Event::Answered }
        });
        assert_eq!(asked(&trace), expected, "{hint}");
    }
}

/// One call found the limit; the others must neither find it again nor all come back in the same instant.
#[test]
fn a_hint_pauses_every_call_on_the_same_key_and_model() {
    let mut pool = chain(&["a"]);
    let policy = Policy { retry: Retry { spread: Spread::default(), ..exact().retry }, ..exact() };
    let mut first = true;
    let (_, trace) = play(policy, &mut pool, Nanos::ZERO, hello(), |_| {
        if std::mem::take(&mut first) { hinted(LIMITED, secs(20)) } else { Event::Answered }
    });
    assert!(starts(&trace)[1] >= at(20));
    let mut starting = Vec::new();
    for id in 0..20 {
        let mut call = Call::new(id, hello(), policy, at(4));
        let Action::Wait { until, why } = call.poll(&mut pool, &Draws::new(1), at(4)) else {
            panic!("not paused")
        };
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
    let draws = Draws::new(1);
    let mut call = Call::new(1, hello(), exact(), Nanos::ZERO);
    assert!(matches!(call.poll(&mut pool, &draws, Nanos::ZERO), Action::Send { .. }));
    call.handle(hinted(LIMITED, secs(2)), &mut pool, Nanos::ZERO);
    assert!(matches!(
        call.poll(&mut pool, &draws, Nanos::ZERO),
        Action::Wait { until, .. } if until == at(2)
    ));
    pool.pause(0, at(9));
    // A shorter pause afterwards must not cut it.
    pool.pause(0, at(3));
    assert!(matches!(
        call.poll(&mut pool, &draws, at(2)),
        Action::Wait { until, .. } if until == at(9)
    ));
    assert!(matches!(call.poll(&mut pool, &draws, at(9)), Action::Send { attempt: 2, .. }));
}

#[test]
fn an_exhausted_target_rests_and_is_tried_again() {
    let mut pool = chain(&["a", "b"]);
    let down = |sent: &Sent<'_>| {
        if sent.target == 0 { failing(Class::Server) } else { Event::Answered }
    };
    let (_, trace) = play(exact(), &mut pool, Nanos::ZERO, hello(), down);
    // It gave up on the first target after 31 s, which rests it until 61 s.
    assert_eq!(starts(&trace)[6], at(31));
    let (_, trace) = play(exact(), &mut pool, at(60), hello(), down);
    assert_eq!(asked(&trace), [1]);
    let skipped = trace.entries.iter().find_map(|entry| match entry.what {
        What::Skipped { target: 0, why: Skip::Cooling(cooling) } => Some(cooling),
        _ => None,
    });
    assert_eq!(
        skipped.map(|cooling| (cooling.until, cooling.why)),
        Some((at(61), CoolReason::Outage))
    );
    let (_, trace) = play(exact(), &mut pool, at(61), hello(), |_| Event::Answered);
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
    let (finish, trace) = play(exact(), &mut pool, Nanos::ZERO, hello(), |_| Event::Answered);
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
    let (finish, trace) = play(policy, &mut pool, Nanos::ZERO, hello(), |_| Event::Answered);
    assert_eq!(stopped(finish), (StopReason::Deadline, Some(secs(10))));
    assert_eq!(trace.entries.last().unwrap().at, Nanos::ZERO);
}

/// There is nowhere else to go, so the retries' own pace has to do.
#[test]
fn a_lone_target_never_rests_for_an_outage() {
    let mut pool = chain(&["a"]);
    play(exact(), &mut pool, Nanos::ZERO, hello(), |_| failing(Class::Server));
    let (_, trace) = play(exact(), &mut pool, at(31), hello(), |_| Event::Answered);
    assert_eq!(starts(&trace), [at(31)]);
}

/// An answer that was under way when the key was refused proves nothing.
#[test]
fn only_a_later_answer_redeems_a_key() {
    let mut pool = Pool::new([target("a", "shared"), target("b", "shared")]).unwrap();
    pool.rest_credential(0, at(100), at(10));
    pool.answered(1, at(9));
    assert!(pool.cooling(0, at(11)).is_some());
    pool.answered(1, at(10));
    assert_eq!(pool.cooling(0, at(11)), None);
}

/// What was left because its retry would come too late must not be asked sooner than that retry.
#[test]
fn a_target_that_was_left_for_time_is_not_asked_again() {
    let timeouts = Timeouts { call: secs(2), ..Timeouts::default() };
    let policy = Policy { timeouts, ..exact() };
    let (_, trace) = play(policy, &mut chain(&["a", "b"]), Nanos::ZERO, hello(), |sent| {
        if sent.target == 0 {
            failing(Class::Server)
        } else {
            failing(Class::NotFound(Missing::Model))
        }
    });
    assert_eq!(asked(&trace), [0, 0, 1]);
}

#[test]
fn a_servers_no_without_alternative_is_final() {
    let mut pool = chain(&["a"]);
    let (finish, _) = play(exact(), &mut pool, Nanos::ZERO, hello(), |_| {
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
    let (finish, trace) = play(policy, &mut pool, Nanos::ZERO, hello(), |_| failing(Class::Server));
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
        if sent.target == 0 { hinted(LIMITED, secs(4)) } else { Event::Answered }
    };
    let (finish, _) = play(policy, &mut chain(&["a"]), Nanos::ZERO, hello(), script);
    assert_eq!(stopped(finish), (StopReason::Deadline, Some(secs(4))));
    let (finish, _) = play(policy, &mut chain(&["a", "b"]), Nanos::ZERO, hello(), script);
    assert_eq!(finish, Finish::Served { target: 1, attempt: 2 });
}

/// A fallback must not begin the count anew.
#[test]
fn attempts_are_capped_over_all_targets() {
    let mut pool = chain(&["a", "b", "c", "d"]);
    let policy = Policy { attempts_max: 8, ..exact() };
    let (finish, trace) = play(policy, &mut pool, Nanos::ZERO, hello(), |_| failing(Class::Server));
    assert_eq!(stopped(finish).0, StopReason::AttemptsMax);
    assert_eq!(asked(&trace), [0, 0, 0, 0, 0, 0, 1, 1]);
    // The last backoff would be for nothing, so it is not begun.
    let last = starts(&trace)[7];
    assert_eq!(trace.entries.last().unwrap().at, last);
}

pub(crate) fn long_request() -> Request {
    let mut messages = vec![Message::system("sys")];
    messages.extend((0..20).map(|turn| Message::user(format!("{turn:>40}"))));
    Request::new(messages)
}

#[test]
fn an_overflow_is_truncated_and_sent_once_more() {
    let mut pool = chain(&["a"]);
    let mut sizes = Vec::new();
    let (finish, trace) = play(exact(), &mut pool, Nanos::ZERO, long_request(), |sent| {
        sizes.push(sent.messages.len());
        if sent.attempt == 1 {
            // The server's window leaves 150 tokens beside the answer and the buffer; it counts 300 where we count 285.
            failing(Class::ContextOverflow { limit: Some(2_250), requested: Some(2_300) })
        } else {
            Event::Answered
        }
    });
    assert_eq!(finish, Finish::Served { target: 0, attempt: 2 });
    assert_eq!(sizes[0], 21);
    assert!(sizes[1] < 21);
    let dropped = trace.entries.iter().find_map(|entry| match &entry.what {
        What::Truncated { dropped, .. } => Some(dropped.clone()),
        _ => None,
    });
    assert_eq!(dropped.unwrap(), (1..=21 - sizes[1]).collect::<Vec<_>>());
    assert_eq!(starts(&trace), [at(0), at(0)]);
}

/// The reserve for an answer is meant for the window we thought it was.
#[test]
fn a_window_much_smaller_than_expected_still_holds_a_conversation() {
    for overflow in [
        Class::ContextOverflow { limit: Some(200), requested: Some(290) },
        Class::ContextOverflow { limit: Some(200), requested: None },
    ] {
        let mut pool = chain(&["a"]);
        let mut kept = 0;
        let (finish, _) = play(exact(), &mut pool, Nanos::ZERO, long_request(), |sent| {
            kept = sent.messages.len();
            if sent.attempt == 1 { failing(overflow) } else { Event::Answered }
        });
        assert_eq!(finish, Finish::Served { target: 0, attempt: 2 });
        // 14 tokens each, beside the 5 of the system message.
        assert!((13..=14).contains(&kept), "{kept}");
    }
}

#[test]
fn a_second_overflow_ends_the_call() {
    let mut pool = chain(&["a"]);
    let (finish, trace) =
        play(exact(), &mut pool, Nanos::ZERO, long_request(), |_| failing(TOO_LONG));
    assert_eq!(stopped(finish).0, StopReason::Final);
    assert_eq!(asked(&trace), [0, 0]);
}

#[test]
fn what_cannot_be_shortened_is_not_sent_again() {
    let mut pool = chain(&["a"]);
    let (finish, trace) = play(exact(), &mut pool, Nanos::ZERO, hello(), |_| failing(TOO_LONG));
    assert_eq!(stopped(finish).0, StopReason::Final);
    assert_eq!(asked(&trace), [0]);
}

#[test]
fn an_overflow_moves_on_to_a_larger_window_only() {
    let window = |tokens| Window { tokens, ..Window::default() };
    let mut targets = vec![target("a", "a"), target("b", "b"), target("c", "c")];
    targets[1].window = window(64_000);
    targets[2].window = window(1_000_000);
    let mut pool = Pool::new(targets).unwrap();
    let (finish, trace) = play(exact(), &mut pool, Nanos::ZERO, long_request(), |sent| {
        if sent.target == 2 { Event::Answered } else { failing(TOO_LONG) }
    });
    assert_eq!(finish, Finish::Served { target: 2, attempt: 3 });
    assert_eq!(asked(&trace), [0, 0, 2]);
    let skipped = What::Skipped { target: 1, why: Skip::SameWindow };
    assert!(trace.entries.iter().any(|entry| entry.what == skipped));
}

/// Each target has its own window and its own count.
#[test]
fn a_fallback_with_a_smaller_window_gets_a_shorter_conversation() {
    let mut targets = vec![target("a", "a"), target("b", "b"), target("c", "c")];
    targets[1].window = Window { tokens: 10, output: 2, buffer: 0, ..Window::default() };
    targets[2].window = Window { tokens: 100, output: 10, buffer: 0, ..Window::default() };
    let mut pool = Pool::new(targets).unwrap();
    let (finish, trace) = play(exact(), &mut pool, Nanos::ZERO, long_request(), |sent| {
        if sent.target == 0 {
            return failing(Class::NotFound(Missing::Model));
        }
        assert_eq!(sent.messages.len(), 7);
        Event::Answered
    });
    assert_eq!(finish, Finish::Served { target: 2, attempt: 2 });
    let cannot = |entry: &resilience_core::Entry| {
        matches!(entry.what, What::Skipped { target: 1, why: Skip::CannotFit(_) })
    };
    assert!(trace.entries.iter().any(cannot));
}

#[test]
fn nothing_is_repeated_once_the_caller_has_seen_content() {
    let mut pool = chain(&["a", "b"]);
    let draws = Draws::new(1);
    let mut call = Call::new(1, hello().streaming(), exact(), Nanos::ZERO);
    assert!(matches!(call.poll(&mut pool, &draws, Nanos::ZERO), Action::Send { .. }));
    for event in [Event::Connected, Event::Token, Event::Committed] {
        call.handle(event, &mut pool, Nanos::ZERO);
    }
    call.handle(failing(Class::Overloaded), &mut pool, at(1));
    let Action::Done(finish) = call.poll(&mut pool, &draws, at(1)) else { panic!("goes on") };
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
        let draws = Draws::new(1);
        let mut call = Call::new(1, hello().streaming(), policy, Nanos::ZERO);
        assert!(matches!(call.poll(&mut pool, &draws, Nanos::ZERO), Action::Send { .. }));
        let mut now = Nanos::ZERO;
        for (when, event) in events {
            now = at(when);
            call.handle(event, &mut pool, now);
        }
        let action = call.poll(&mut pool, &draws, now);
        let Action::Attend { until: alarm, phase: ticking } = action else { panic!("{action:?}") };
        assert_eq!((ticking, alarm), (phase, at(until)));
        assert!(matches!(call.poll(&mut pool, &draws, at(until)), Action::Done(_)));
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
    let draws = Draws::new(1);
    let mut call = Call::new(1, hello(), exact(), Nanos::ZERO);
    call.poll(&mut pool, &draws, Nanos::ZERO);
    call.handle(Event::Connecting, &mut pool, Nanos::ZERO);
    call.handle(Event::Connected, &mut pool, at(1));
    assert!(matches!(
        call.poll(&mut pool, &draws, at(1)),
        Action::Attend { phase: Phase::Attempt, until } if until == at(120)
    ));
}

/// The caller's own deadline is no fault of the target.
#[test]
fn a_call_that_runs_out_of_time_blames_nobody() {
    let timeouts = Timeouts { call: secs(50), ..Timeouts::default() };
    let mut pool = chain(&["a", "b"]);
    let draws = Draws::new(1);
    let mut call = Call::new(1, hello(), Policy { timeouts, ..exact() }, Nanos::ZERO);
    call.poll(&mut pool, &draws, Nanos::ZERO);
    let Action::Done(finish) = call.poll(&mut pool, &draws, at(50)) else { panic!("goes on") };
    assert_eq!(stopped(finish).0, StopReason::Deadline);
    let (_, _, failure) = call.trace().attempts().next().unwrap();
    assert_eq!(failure.unwrap().class, Class::Cancelled);
    assert_eq!(pool.cooling(0, at(50)), None);
}

#[test]
fn what_was_not_processed_is_sent_again_at_once_but_not_for_ever() {
    let mut pool = chain(&["a"]);
    let (_, trace) =
        play(exact(), &mut pool, Nanos::ZERO, hello(), |_| failing(Class::NotProcessed));
    assert_eq!(starts(&trace)[..4], [0, 0, 0, 1].map(at));
    assert_eq!(asked(&trace).len(), 8);
}

#[test]
fn an_unreadable_answer_is_retried_once() {
    let mut pool = chain(&["a"]);
    let (finish, trace) =
        play(exact(), &mut pool, Nanos::ZERO, hello(), |_| failing(Class::Decode));
    assert_eq!(stopped(finish).0, StopReason::Exhausted);
    assert_eq!(asked(&trace), [0, 0]);
}

fn limited(requests: u64) -> Pool {
    let mut target = target("a", "a");
    target.quota = Some(Quota::per_minute(requests, 1_000_000));
    Pool::new([target]).unwrap()
}

/// Every attempt pays, a retry too: a limiter that only the first attempt passes is none.
#[test]
fn a_retry_pays_the_quota_again() {
    let mut pool = limited(2);
    let (_, trace) = play(exact(), &mut pool, Nanos::ZERO, hello(), |sent| {
        if sent.attempt < 3 { failing(Class::Server) } else { Event::Answered }
    });
    // The third has its backoff behind it at 3 s, and its quota at 30 s.
    assert_eq!(starts(&trace), [0, 1, 30].map(at));
    assert!(trace.entries.iter().any(|entry| entry.what == What::Queued { target: 0 }));
}

#[test]
fn what_was_never_sent_is_given_back() {
    let mut pool = limited(1);
    let (_, trace) = play(exact(), &mut pool, Nanos::ZERO, hello(), |sent| {
        if sent.attempt == 1 { failing(Class::Connect) } else { Event::Answered }
    });
    assert_eq!(starts(&trace), [0, 1].map(at));
}

#[test]
fn a_request_beyond_the_quota_is_never_sent() {
    let mut first = target("a", "a");
    first.quota = Some(Quota::per_minute(10, 1_000));
    let mut pool = Pool::new([first.clone()]).unwrap();
    // 2000 tokens are set aside for the answer alone.
    let (finish, trace) = play(exact(), &mut pool, Nanos::ZERO, hello(), |_| Event::Answered);
    assert_eq!(stopped(finish).0, StopReason::Unservable);
    assert_eq!(asked(&trace), Vec::<usize>::new());
    let mut pool = Pool::new([first, target("b", "b")]).unwrap();
    let (finish, _) = play(exact(), &mut pool, Nanos::ZERO, hello(), |_| Event::Answered);
    assert_eq!(finish, Finish::Served { target: 1, attempt: 1 });
}

#[test]
fn a_long_line_is_left_to_a_target_that_is_ready() {
    let mut first = target("a", "a");
    first.quota = Some(Quota::per_minute(2, 1_000_000));
    let mut pool = Pool::new([first, target("b", "b")]).unwrap();
    for expected in [0, 0, 1] {
        let (_, trace) = play(exact(), &mut pool, Nanos::ZERO, hello(), |_| Event::Answered);
        assert_eq!(asked(&trace), [expected]);
    }
    // Four seconds before there is room again, it is worth the wait.
    let (_, trace) = play(exact(), &mut pool, at(26), hello(), |_| Event::Answered);
    assert_eq!((asked(&trace), starts(&trace)), (vec![0], vec![at(30)]));
}

#[test]
fn a_pause_moves_the_front_of_the_line_elsewhere() {
    let mut first = target("a", "a");
    first.quota = Some(Quota::per_minute(20, 1_000_000));
    let mut pool = Pool::new([first, target("b", "b")]).unwrap();
    let draws = Draws::new(1);
    for id in 0..20 {
        let mut call = Call::new(id, hello(), exact(), Nanos::ZERO);
        assert!(matches!(
            call.poll(&mut pool, &draws, Nanos::ZERO),
            Action::Send { target: 0, .. }
        ));
    }
    let mut call = Call::new(20, hello(), exact(), Nanos::ZERO);
    assert!(matches!(
        call.poll(&mut pool, &draws, Nanos::ZERO),
        Action::Acquire { until, .. } if until == at(3)
    ));
    pool.pause(0, at(30));
    assert!(matches!(call.poll(&mut pool, &draws, at(3)), Action::Send { target: 1, .. }));
}

#[test]
fn an_absurd_hint_does_not_close_a_target_for_ever() {
    let mut pool = chain(&["a"]);
    let (finish, _) =
        play(exact(), &mut pool, Nanos::ZERO, hello(), |_| hinted(LIMITED, Duration::MAX));
    assert_eq!(stopped(finish), (StopReason::HintBeyondCap, Some(Duration::MAX)));
    let (finish, trace) = play(exact(), &mut pool, at(3_539), hello(), |_| Event::Answered);
    assert_eq!(stopped(finish), (StopReason::HintBeyondCap, Some(secs(61))));
    assert!(trace.attempts().next().is_none());
    let (finish, _) = play(exact(), &mut pool, at(3_540), hello(), |_| Event::Answered);
    assert_eq!(finish, Finish::Served { target: 0, attempt: 1 });
}

#[test]
fn an_abandoned_call_leaves_its_line() {
    let mut pool = limited(1);
    let draws = Draws::new(1);
    let mut calls: Vec<_> = (0..3).map(|id| Call::new(id, hello(), exact(), Nanos::ZERO)).collect();
    assert!(matches!(calls[0].poll(&mut pool, &draws, Nanos::ZERO), Action::Send { .. }));
    assert!(matches!(calls[1].poll(&mut pool, &draws, Nanos::ZERO), Action::Acquire { .. }));
    let Action::Acquire { seat, .. } = calls[2].poll(&mut pool, &draws, Nanos::ZERO) else {
        panic!("the quota is used up")
    };
    calls[1].abandon(&mut pool, at(1));
    calls[1].abandon(&mut pool, at(2));
    assert_eq!(pool.pop_news(), Some(seat));
    assert!(matches!(
        calls[2].poll(&mut pool, &draws, at(2)),
        Action::Acquire { until, .. } if until == at(60)
    ));
    let finishes =
        calls[1].trace().entries.iter().filter(|entry| matches!(entry.what, What::Finished(_)));
    assert_eq!(finishes.count(), 1);
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
    let mistakes = policy.validate().unwrap_err();
    assert_eq!(mistakes.len(), 5);
    assert_eq!(mistakes[0].to_string(), "backoff base 5s is longer than its cap 1s");
    let mut cramped = target("a", "a");
    cramped.window.tokens = 10;
    let mistakes = Pool::new([target("a", "a"), cramped]).unwrap_err();
    assert_eq!(
        mistakes,
        [
            PolicyMistake::DuplicateTarget { name: "a".to_owned() },
            PolicyMistake::WindowTooSmall { target: "a".to_owned() },
        ]
    );
    assert_eq!(Pool::new(Vec::new()).unwrap_err(), [PolicyMistake::NoTargets]);
}
