//! What one call promises, whatever the servers answer.

use std::time::Duration;

use proptest::prelude::*;
use resilience_core::{
    Class, Event, Failure, Finish, Missing, Nanos, Phase, Policy, Retries, Retry, StopReason,
    Timeouts, What,
};

use crate::play::{
    LIMITED, Sent, TOO_LONG, asked, chain, exact, failing, hello, hinted, long_request, play, secs,
    starts, stopped,
};

/// Every class that an answer can have, except those that only our own side has.
fn class() -> impl Strategy<Value = Class> {
    prop::sample::select(vec![
        Class::Auth,
        Class::Conflict,
        Class::Connect,
        Class::ContentPolicy,
        TOO_LONG,
        Class::Decode,
        Class::InvalidRequest,
        Class::Network,
        Class::NotFound(Missing::Model),
        Class::NotFound(Missing::Resource),
        Class::NotProcessed,
        Class::Overloaded,
        Class::Permission,
        Class::QuotaExhausted,
        Class::RampLimited,
        LIMITED,
        Class::RequestExceedsLimit { limit: None, requested: None },
        Class::RequestTooLarge,
        Class::Server,
        Class::StreamInterrupted { committed: false },
        Class::Timeout { phase: Phase::Attempt },
        Class::TooEarly,
    ])
}

/// What the servers answer, attempt by attempt; the last answer is repeated.
fn answers() -> impl Strategy<Value = Vec<(Class, Option<u64>)>> {
    let hint = prop_oneof![3 => Just(None), 1 => (0..200_000u64).prop_map(Some)];
    prop::collection::vec((class(), hint), 1..30)
}

fn answer(answers: &[(Class, Option<u64>)], sent: &Sent<'_>) -> Event {
    let index = usize::try_from(sent.attempt).unwrap() - 1;
    match answers[index.min(answers.len() - 1)] {
        (class, Some(ms)) => hinted(class, Duration::from_millis(ms)),
        (class, None) => failing(class),
    }
}

/// An answer that no call survives, from bad to worse.
const TERMINAL: [Option<Class>; 5] = [
    None,
    Some(Class::ContentPolicy),
    Some(Class::InvalidRequest),
    Some(Class::NotFound(Missing::Resource)),
    Some(Class::StreamInterrupted { committed: true }),
];

proptest! {
    /// P24: a hint is never undercut.
    #[test]
    fn property_06_a_wait_is_as_long_as_the_hint_and_no_longer_than_its_spread(
        hint in 1..=60_000u64, draw: u64,
    ) {
        let hint = Duration::from_millis(hint);
        let mut pool = chain(&["a"]);
        let (finish, trace) = play(&Policy::default(), &mut pool, Nanos::new(draw >> 1), hello(), |sent| {
            if sent.attempt == 1 { hinted(LIMITED, hint) } else { Event::Answered { usage: None } }
        });
        prop_assert_eq!(finish, Finish::Served { target: 0, attempt: 2 });
        let starts = starts(&trace);
        let waited = starts[1].since(starts[0]);
        let spread = (hint / 10).clamp(Duration::from_millis(100), Duration::from_secs(5));
        prop_assert!(hint <= waited && waited <= hint + spread, "{waited:?} after {hint:?}");
    }

    /// P24, P25: a hint beyond the cap is neither cut short nor waited out.
    #[test]
    fn property_07_a_hint_beyond_the_cap_stops_or_moves_on(
        hint_ms in 60_001..u64::MAX / 2_000_000, alone: bool,
    ) {
        let hint = Duration::from_millis(hint_ms);
        let mut pool = if alone { chain(&["a"]) } else { chain(&["a", "b"]) };
        let (finish, trace) = play(&Policy::default(), &mut pool, Nanos::ZERO, hello(), |sent| {
            if sent.target == 0 { hinted(LIMITED, hint) } else { Event::Answered { usage: None } }
        });
        if alone {
            let (why, retry_in) = stopped(finish);
            prop_assert_eq!((why, retry_in), (StopReason::HintBeyondCap, Some(hint)));
            prop_assert_eq!(asked(&trace), [0]);
        } else {
            prop_assert_eq!(finish, Finish::Served { target: 1, attempt: 2 });
            prop_assert_eq!(starts(&trace)[1], Nanos::ZERO, "another target need not wait");
        }
    }

    /// P29, P30: a fallback begins no new count.
    #[test]
    fn property_10_attempts_are_capped_on_each_target_and_in_all(
        answers in answers(), targets in 1..5usize, retries_max in 0..8u32, attempts_max in 1..30u32,
    ) {
        let names = ["a", "b", "c", "d"];
        let policy = Policy {
            attempts_max,
            retry: Retry { retries_max, ..exact().retry },
            ..exact()
        };
        let mut pool = chain(&names[..targets]);
        let (_, trace) = play(&policy, &mut pool, Nanos::ZERO, long_request(), |sent| answer(&answers, sent));
        let asked = asked(&trace);
        prop_assert!(asked.len() <= usize::try_from(attempts_max).unwrap());
        for target in 0..targets {
            let sends = asked.iter().filter(|sent| **sent == target).count();
            // Beside the retries: one after shortening, and two that a server did not look at.
            prop_assert!(sends <= 1 + usize::try_from(retries_max).unwrap() + 3, "{sends} on {target}");
        }
    }

    /// P42: no wait is begun that the deadline would cut.
    #[test]
    fn property_11_nothing_begins_past_the_deadline_and_the_last_error_is_kept(
        answers in answers(), targets in 1..4usize, call_ms in 1..100_000u64, least_ms in 0..5_000u64,
    ) {
        let call = Duration::from_millis(call_ms);
        let attempt_min = Duration::from_millis(least_ms).min(call);
        let timeouts = Timeouts { call, attempt_min, ..Timeouts::default() };
        let policy = Policy { timeouts, ..Policy::default() };
        let mut pool = chain(&["a", "b", "c"][..targets]);
        let (finish, trace) = play(&policy, &mut pool, Nanos::ZERO, hello(), |sent| answer(&answers, sent));
        let deadline = Nanos::from(call);
        for start in starts(&trace) {
            prop_assert!(start + attempt_min <= deadline, "{start:?}");
        }
        for entry in &trace.entries {
            prop_assert!(entry.at <= deadline);
            if let What::WaitBegun { until, .. } = entry.what {
                prop_assert!(until + attempt_min <= deadline, "a wait that the deadline cuts");
            }
        }
        if let Finish::Stopped { why: StopReason::Deadline, .. } = finish {
            let last: Option<&Failure> = trace.attempts().next_back().and_then(|(.., failure)| failure);
            prop_assert!(last.is_some(), "the error behind the deadline is lost");
        }
    }

    /// P28: what is final is asked once.
    #[test]
    fn property_12_a_class_that_is_not_retryable_gets_one_attempt_on_its_target(
        class in class(), targets in 1..4usize,
    ) {
        let mut pool = chain(&["a", "b", "c"][..targets]);
        let (_, trace) = play(&Policy::default(), &mut pool, Nanos::ZERO, hello(), |_| failing(class));
        if !class.retryable() {
            for target in 0..targets {
                let sends = asked(&trace).iter().filter(|sent| **sent == target).count();
                prop_assert!(sends <= 1, "{class} sent {sends} times");
            }
        }
    }

    #[test]
    fn property_17_a_worse_end_never_costs_more_attempts(
        answers in answers(), end in 0..20usize, better in 0..TERMINAL.len(), worse in 0..TERMINAL.len(),
    ) {
        prop_assume!(better < worse);
        let sends = |terminal: Option<Class>| {
            let mut pool = chain(&["a", "b"]);
            let (_, trace) = play(&exact(), &mut pool, Nanos::ZERO, hello(), |sent| {
                if usize::try_from(sent.attempt).unwrap() <= end {
                    answer(&answers, sent)
                } else {
                    terminal.map_or(Event::Answered { usage: None }, failing)
                }
            });
            trace.attempts().count()
        };
        prop_assert!(sends(TERMINAL[worse]) <= sends(TERMINAL[better]));
    }

    /// P33: an error of the caller's stays where it is, and all others move on in order.
    #[test]
    fn property_50_fallbacks_keep_the_order_and_a_callers_fault_never_advances(
        answers in answers(), targets in 2..5usize,
    ) {
        let mut pool = chain(&["a", "b", "c", "d"][..targets]);
        let (finish, trace) = play(&Policy::default(), &mut pool, Nanos::ZERO, hello(), |sent| answer(&answers, sent));
        let attempts: Vec<_> = trace.attempts().collect();
        for pair in attempts.windows(2) {
            let ((_, from, failure), (_, to, _)) = (pair[0], pair[1]);
            let failure = failure.expect("an answer is the last");
            prop_assert!(!failure.class.ends_the_call());
            if from == to {
                let again = failure.retries() != Retries::No || failure.class.truncates();
                prop_assert!(again, "{failure} retried");
            }
            // Every target before the one that is asked was asked or passed over.
            for better in 0..to {
                let asked = attempts.iter().any(|(_, target, _)| *target == better);
                let skipped = trace.entries.iter().any(|entry| {
                    matches!(entry.what, What::Skipped { target, .. } if target == better)
                });
                prop_assert!(asked || skipped, "{better} was passed over without a word");
            }
        }
        if let Finish::Stopped { why: StopReason::Final, .. } = finish {
            let (.., failure) = attempts.last().unwrap();
            prop_assert!(failure.unwrap().retries() == Retries::No);
        }
    }

    #[test]
    fn property_51_deadline_and_attempts_are_shared_by_all_hops(
        targets in 1..5usize, call in 1..200u64, attempts_max in 1..12u32, hint in 0..20u64,
    ) {
        let timeouts = Timeouts { call: secs(call), ..Timeouts::default() };
        let policy = Policy { timeouts, attempts_max, ..Policy::default() };
        let mut pool = chain(&["a", "b", "c", "d"][..targets]);
        let (_, trace) = play(&policy, &mut pool, Nanos::ZERO, hello(), |_| hinted(LIMITED, secs(hint)));
        prop_assert!(trace.attempts().count() <= usize::try_from(attempts_max).unwrap());
        prop_assert!(trace.entries.last().unwrap().at <= Nanos::from(secs(call)));
    }

    /// P5: a later, shorter rest must not cut an earlier, longer one.
    #[test]
    fn property_52_rests_only_grow_and_the_soonest_is_waited_for(
        rests in prop::collection::vec((0..2usize, 0..500u64), 1..12), call in 1..600u64,
    ) {
        let mut pool = chain(&["a", "b"]);
        let mut until = [0, 0];
        for (target, rest) in rests {
            pool.rest(target, Nanos::from(secs(rest)));
            until[target] = until[target].max(rest);
            let cooling = pool.cooling(target, Nanos::ZERO).map(|cooling| cooling.until);
            prop_assert_eq!(cooling, (until[target] > 0).then(|| Nanos::from(secs(until[target]))));
        }
        let soonest = until[0].min(until[1]);
        let timeouts = Timeouts { call: secs(call), ..Timeouts::default() };
        let policy = Policy { timeouts, ..exact() };
        let (finish, trace) = play(&policy, &mut pool, Nanos::ZERO, hello(), |_| Event::Answered { usage: None });
        if soonest < call {
            prop_assert_eq!(finish, Finish::Served { target: usize::from(until[1] < until[0]), attempt: 1 });
            prop_assert_eq!(&starts(&trace)[..], &[Nanos::from(secs(soonest))]);
        } else {
            prop_assert_eq!(stopped(finish), (StopReason::Deadline, Some(secs(soonest))));
            prop_assert_eq!(trace.attempts().count(), 0);
        }
    }
}
