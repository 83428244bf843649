//! Quotas that the client keeps by itself.

use resilience_core::{
    Action, Call, Class, Dimension, Event, Finish, Nanos, Pool, Quota, StopReason, What,
};

use crate::play::{
    asked, at, exact, failing, hello, long_request, play, pool_of, starts, stopped, target,
};

fn limited(requests: u64) -> Pool {
    let mut target = target("a", "a");
    target.quota = Some(Quota::per_minute(requests, 1_000_000));
    pool_of([target]).unwrap()
}

/// Every attempt pays, a retry too: a limiter that only the first attempt passes is none.
#[test]
fn a_retry_pays_the_quota_again() {
    let mut pool = limited(2);
    let (_, trace) = play(&exact(), &mut pool, Nanos::ZERO, hello(), |sent| {
        if sent.attempt < 3 { failing(Class::Server) } else { Event::Answered { usage: None } }
    });
    // The third has its backoff behind it at 3 s, and its quota at 30 s.
    assert_eq!(starts(&trace), [0, 1, 30].map(at));
    assert!(trace.entries.iter().any(|entry| entry.what == What::Queued { target: 0 }));
}

#[test]
fn what_was_never_sent_is_given_back() {
    let mut pool = limited(1);
    let (_, trace) = play(&exact(), &mut pool, Nanos::ZERO, hello(), |sent| {
        if sent.attempt == 1 { failing(Class::Connect) } else { Event::Answered { usage: None } }
    });
    assert_eq!(starts(&trace), [0, 1].map(at));
}

#[test]
fn a_request_beyond_the_quota_is_never_sent() {
    let mut first = target("a", "a");
    first.quota = Some(Quota::per_minute(10, 1_000));
    let mut pool = pool_of([first.clone()]).unwrap();
    // 2000 tokens are set aside for the answer alone.
    let (finish, trace) =
        play(&exact(), &mut pool, Nanos::ZERO, hello(), |_| Event::Answered { usage: None });
    assert_eq!(stopped(finish).0, StopReason::Unservable);
    assert_eq!(asked(&trace), Vec::<usize>::new());
    let mut pool = pool_of([first, target("b", "b")]).unwrap();
    let (finish, _) =
        play(&exact(), &mut pool, Nanos::ZERO, hello(), |_| Event::Answered { usage: None });
    assert_eq!(finish, Finish::Served { target: 1, attempt: 1 });
}

#[test]
fn a_long_line_is_left_to_a_target_that_is_ready() {
    let mut first = target("a", "a");
    first.quota = Some(Quota::per_minute(2, 1_000_000));
    let mut pool = pool_of([first, target("b", "b")]).unwrap();
    for expected in [0, 0, 1] {
        let (_, trace) =
            play(&exact(), &mut pool, Nanos::ZERO, hello(), |_| Event::Answered { usage: None });
        assert_eq!(asked(&trace), [expected]);
    }
    // Four seconds before there is room again, it is worth the wait.
    let (_, trace) =
        play(&exact(), &mut pool, at(26), hello(), |_| Event::Answered { usage: None });
    assert_eq!((asked(&trace), starts(&trace)), (vec![0], vec![at(30)]));
}

#[test]
fn a_pause_moves_the_front_of_the_line_elsewhere() {
    let mut first = target("a", "a");
    first.quota = Some(Quota::per_minute(20, 1_000_000));
    let mut pool = pool_of([first, target("b", "b")]).unwrap();
    for id in 0..20 {
        let mut call = Call::new(id, hello(), exact(), Nanos::ZERO);
        assert!(matches!(call.poll(&mut pool, Nanos::ZERO), Action::Send { target: 0, .. }));
    }
    let mut call = Call::new(20, hello(), exact(), Nanos::ZERO);
    assert!(matches!(
        call.poll(&mut pool, Nanos::ZERO),
        Action::Acquire { until, .. } if until == at(3)
    ));
    pool.pause(0, at(30));
    assert!(matches!(call.poll(&mut pool, at(3)), Action::Send { target: 1, .. }));
}

#[test]
fn an_abandoned_call_leaves_its_line() {
    let mut pool = limited(1);
    let mut calls: Vec<_> = (0..3).map(|id| Call::new(id, hello(), exact(), Nanos::ZERO)).collect();
    assert!(matches!(calls[0].poll(&mut pool, Nanos::ZERO), Action::Send { .. }));
    assert!(matches!(calls[1].poll(&mut pool, Nanos::ZERO), Action::Acquire { .. }));
    let Action::Acquire { seat, .. } = calls[2].poll(&mut pool, Nanos::ZERO) else {
        panic!("the quota is used up")
    };
    calls[1].abandon(&mut pool, at(1));
    calls[1].abandon(&mut pool, at(2));
    assert_eq!(pool.pop_news(), Some(seat));
    assert!(matches!(
        calls[2].poll(&mut pool, at(2)),
        Action::Acquire { until, .. } if until == at(60)
    ));
    let finishes =
        calls[1].trace().entries.iter().filter(|entry| matches!(entry.what, What::Finished(_)));
    assert_eq!(finishes.count(), 1);
}

/// Each attempt pays for what it carries, not for what was first asked for.
#[test]
fn a_shortened_conversation_pays_for_what_is_left() {
    let mut target = target("a", "a");
    target.quota = Some(Quota::per_minute(10, 100_000));
    let mut pool = pool_of([target]).unwrap();
    let overflow = Class::ContextOverflow { limit: Some(200), requested: Some(290) };
    let (_, trace) = play(&exact(), &mut pool, Nanos::ZERO, long_request(), |sent| {
        if sent.attempt == 1 { failing(overflow) } else { Event::Answered { usage: None } }
    });
    let (before, after) = trace
        .entries
        .iter()
        .find_map(|entry| match entry.what {
            What::Truncated { tokens_before, tokens, .. } => Some((tokens_before, tokens)),
            _ => None,
        })
        .unwrap();
    assert!(after < before);
    let queue = pool.queue_mut(0).unwrap();
    // Both attempts set aside what their answers may have.
    let left = queue.available(Dimension::Tpm, Nanos::ZERO);
    assert_eq!(left, Some(100_000 - before - after - 2 * 2_000));
}
