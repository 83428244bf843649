//! What a call takes of a quota, how it is settled, and what is learnt on the way.

use proptest::prelude::*;
use resilience_core::hint::Observed;
use resilience_core::{
    Action, AimdSettings, Call, Class, Dimension, Draws, Event, Failure, Finish, Limit, Message,
    Nanos, Policy, Pool, Provider, Quota, Request, Retry, Sent, ShedSettings, StopReason, Usage,
    What, Window, classify,
};

use crate::play::{
    LIMITED, at, exact, failing, hello, hinted, play, pool_of, secs, starts, stopped, target,
};

/// So many requests, and next to nothing that time brings back.
fn stock(requests: u64, tokens: u64) -> Quota {
    let period = secs(100 * 86_400);
    let limit = |dimension, tokens| Limit { dimension, tokens, burst: tokens, period };
    Quota {
        limits: vec![limit(Dimension::Rpm, requests), limit(Dimension::Tpm, tokens)],
        ..Quota::default()
    }
}

fn left(pool: &mut Pool, dimension: Dimension, now: Nanos) -> u64 {
    pool.queue_mut(0).unwrap().available(dimension, now).unwrap()
}

proptest! {
    /// P11: a retry that sleeps and does not pay is one that the quota does not know of.
    #[test]
    fn property_37_every_attempt_that_is_sent_is_charged_once(
        calls in prop::collection::vec(prop::collection::vec(0..6usize, 1..8), 1..8),
    ) {
        let mut limited = target("a", "a");
        limited.quota = Some(stock(1_000, 1_000_000));
        let mut pool = pool_of([limited]).unwrap();
        let mut expected = 1_000;
        let mut now = Nanos::ZERO;
        for answers in calls {
            let (_, trace) = play(&exact(), &mut pool, now, hello(), |sent| {
                let index = usize::try_from(sent.attempt).unwrap() - 1;
                match answers[index.min(answers.len() - 1)] {
                    0 => Event::Answered { usage: None },
                    1 => failing(Class::Connect),
                    2 => failing(Class::NotProcessed),
                    3 => hinted(LIMITED, secs(2)),
                    4 => failing(Class::InvalidRequest),
                    _ => failing(Class::Server),
                }
            });
            // What never reached the server is given back.
            let unsent = |failure: Option<&Failure>| failure.is_some_and(|failure| failure.sent == Sent::No);
            expected -= trace.attempts().filter(|(.., failure)| !unsent(*failure)).count();
            now = trace.entries.last().unwrap().at;
            prop_assert_eq!(left(&mut pool, Dimension::Rpm, now), u64::try_from(expected).unwrap());
        }
    }
}

/// P6: what is added only afterwards, many have passed before.
#[test]
fn an_answer_settles_what_it_was_thought_to_cost() {
    for (charges_actual, usage, tokens) in [
        (true, Some(Usage { input: 5, output: 10 }), 985),
        (false, Some(Usage { input: 5, output: 10 }), 880),
        (true, Some(Usage { input: 5, output: 400 }), 595),
        (false, Some(Usage { input: 5, output: 400 }), 595),
        (true, None, 880),
    ] {
        let mut limited = target("a", "a");
        limited.quota = Some(Quota { charges_actual, ..stock(100, 1_000) });
        let window = Window { output: 100, ..limited.window };
        limited.window = window;
        let request = Request::new([Message::user("x".repeat(4 * 11))]);
        let mut pool = pool_of([limited]).unwrap();
        let (finish, _) =
            play(&exact(), &mut pool, Nanos::ZERO, request, |_| Event::Answered { usage });
        assert_eq!(finish, Finish::Served { target: 0, attempt: 1 });
        let left = left(&mut pool, Dimension::Tpm, Nanos::ZERO);
        let slack = 20; // What the framing adds to a message is another test's business.
        assert!(left.abs_diff(tokens) <= slack, "{left} for {charges_actual} {usage:?}");
    }
}

/// The server knows what others with the same key have used.
#[test]
fn limit_headers_make_the_quota_more_careful_and_never_less() {
    let mut limited = target("a", "a");
    limited.quota = Some(stock(100, 1_000_000));
    let mut pool = pool_of([limited]).unwrap();
    let mut call = Call::new(1, hello(), exact(), Nanos::ZERO);
    assert!(matches!(call.poll(&mut pool, Nanos::ZERO), Action::Send { .. }));
    for (remaining, available) in [(40, 40), (70, 40), (7, 7), (500, 7)] {
        let seen = Observed { dimension: Dimension::Rpm, limit: Some(100), remaining };
        call.handle(1, Event::Limits(vec![seen]), &mut pool, Nanos::ZERO);
        assert_eq!(left(&mut pool, Dimension::Rpm, Nanos::ZERO), available);
    }
}

/// A larger limit that we had believed in is corrected by the refusal that names it.
#[test]
fn a_refusal_teaches_the_limit() {
    let mut limited = target("a", "a");
    limited.quota = Some(Quota::per_minute(100, 90_000));
    let mut pool = pool_of([limited]).unwrap();
    let body = br#"{"error":{"message":"Request too large for gpt-4o on tokens per min (TPM): Limit 30000, Requested 31538.","type":"tokens","param":null,"code":"rate_limit_exceeded"}}"#;
    let failure = classify::response(Provider::OpenAi, 429, &[], body, None);
    play(&exact(), &mut pool, Nanos::ZERO, hello(), |_| Event::Failed(failure.clone()));
    let learnt = pool.queue_mut(0).unwrap().limit(Dimension::Tpm);
    assert_eq!(learnt.unwrap().tokens, 30_000);
}

#[test]
fn a_ramp_limit_halves_the_rates() {
    let mut limited = target("a", "a");
    limited.quota = Some(Quota {
        limits: vec![Limit { burst: 1, ..Limit::per_minute(Dimension::Rpm, 60) }],
        ..Quota::default()
    });
    let mut pool = pool_of([limited]).unwrap();
    let (_, trace) = play(&exact(), &mut pool, at(1), hello(), |sent| {
        if sent.attempt < 3 { failing(Class::RampLimited) } else { Event::Answered { usage: None } }
    });
    // Backoffs of 1 s and 2 s would do; a token takes 2 s, and then 4 s.
    assert_eq!(starts(&trace), [at(1), at(3), at(7)]);
}

/// P19: a permit that is returned by hand is not returned by whoever is dropped.
#[test]
fn property_39_however_an_attempt_ends_its_permit_comes_back() {
    for end in [
        Some(Event::Answered { usage: None }),
        Some(failing(Class::Server)),
        Some(failing(Class::Connect)),
        Some(failing(Class::InvalidRequest)),
        None,
    ] {
        let mut limited = target("a", "a");
        limited.quota = Some(Quota { concurrency: Some(1), ..Quota::default() });
        let mut pool = pool_of([limited]).unwrap();
        let mut call = Call::new(1, hello(), exact(), Nanos::ZERO);
        assert!(matches!(call.poll(&mut pool, Nanos::ZERO), Action::Send { .. }));
        assert_eq!(pool.queue_mut(0).unwrap().in_flight(), 1);
        let mut next = Call::new(2, hello(), exact(), Nanos::ZERO);
        let Action::Acquire { seat, .. } = next.poll(&mut pool, Nanos::ZERO) else {
            panic!("no line")
        };
        match end {
            Some(event) => call.handle(1, event, &mut pool, at(1)),
            None => call.abandon(&mut pool, at(1)),
        }
        assert_eq!(pool.pop_news(), Some(seat), "the next in line is told");
        assert!(matches!(next.poll(&mut pool, at(1)), Action::Send { .. }));
        next.abandon(&mut pool, at(1));
        call.abandon(&mut pool, at(1));
        assert_eq!(pool.queue_mut(0).unwrap().in_flight(), 0);
    }
}

/// With every permit taken, another target that is free is the faster way.
#[test]
fn property_38_no_more_are_under_way_than_there_are_permits() {
    let mut limited = target("a", "a");
    limited.quota = Some(Quota { concurrency: Some(2), ..Quota::default() });
    let mut pool = pool_of([limited, target("b", "b")]).unwrap();
    let mut calls: Vec<_> = (0..5).map(|id| Call::new(id, hello(), exact(), Nanos::ZERO)).collect();
    let sent: Vec<_> = calls
        .iter_mut()
        .map(|call| match call.poll(&mut pool, Nanos::ZERO) {
            Action::Send { target, .. } => target,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(sent, [0, 0, 1, 1, 1]);
    assert_eq!(pool.queue_mut(0).unwrap().in_flight(), 2);
}

#[test]
fn refusals_lower_the_concurrency_and_clean_windows_raise_it() {
    let concurrency = AimdSettings { limit_initial: 8, limit_min: 2, ..AimdSettings::default() };
    let policy = Policy { adaptive_concurrency: Some(concurrency), ..exact() };
    let mut pool = Pool::new(&policy, [target("a", "a")], Draws::new(1)).unwrap();
    let under_way = |pool: &mut Pool, now| {
        let mut calls: Vec<_> =
            (0..20).map(|id| Call::new(id, hello(), policy.clone(), now)).collect();
        let mut sent = 0;
        for call in &mut calls {
            sent += usize::from(matches!(call.poll(pool, now), Action::Send { .. }));
        }
        for call in &mut calls {
            call.abandon(pool, now);
        }
        sent
    };
    assert_eq!(under_way(&mut pool, at(0)), 8);
    play(&policy, &mut pool, at(1), hello(), |sent| {
        if sent.attempt == 1 { failing(LIMITED) } else { Event::Answered { usage: None } }
    });
    assert_eq!(under_way(&mut pool, at(10)), 6);
}

/// P48: what is refused is not asked for again and again, and nothing at all is not the answer either.
#[test]
fn a_target_that_refuses_everything_is_asked_less_and_less() {
    let policy = Policy {
        shed: Some(ShedSettings::default()),
        breaker: None,
        budget: None,
        retry: Retry { retries_max: 0, ..exact().retry },
        ..exact()
    };
    let mut pool = Pool::new(&policy, [target("a", "a")], Draws::new(1)).unwrap();
    let mut stops = Vec::new();
    for id in 0..400 {
        let mut call = Call::new(id, hello(), policy.clone(), at(0));
        let mut action = call.poll(&mut pool, at(0));
        if let Action::Send { attempt, .. } = action {
            call.handle(attempt, failing(Class::Overloaded), &mut pool, at(0));
            action = call.poll(&mut pool, at(0));
        }
        let Action::Done(finish) = action else { panic!("{action:?}") };
        stops.push(stopped(finish).0);
    }
    let shed = stops.iter().filter(|why| **why == StopReason::Shed).count();
    assert!(shed > 300, "{shed} of 400 were not sent");
    assert!(
        stops[300..].contains(&StopReason::Final) || stops[300..].contains(&StopReason::Exhausted)
    );
}

#[test]
fn an_adaptive_rate_makes_calls_wait_after_a_refusal() {
    let policy = Policy { adaptive_rate: true, ..exact() };
    let mut pool = Pool::new(&policy, [target("a", "a")], Draws::new(1)).unwrap();
    let mut queued = Vec::new();
    for id in 0..20 {
        let (_, trace) = play(&policy, &mut pool, at(10 + id), hello(), |sent| {
            if id == 10 && sent.attempt == 1 {
                failing(LIMITED)
            } else {
                Event::Answered { usage: None }
            }
        });
        if trace.entries.iter().any(|entry| matches!(entry.what, What::Queued { .. })) {
            queued.push(id);
        }
    }
    // Nobody waits before the first refusal, and soon after it nobody does not.
    assert_eq!(queued.first(), Some(&11));
}
