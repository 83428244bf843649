//! Conversations that are too long for a target.

use resilience_core::{
    Class, Entry, Event, Finish, Missing, Nanos, Skip, StopReason, What, Window,
};

use crate::play::{
    TOO_LONG, asked, at, chain, exact, failing, hello, long_request, play, pool_of, starts,
    stopped, target,
};

#[test]
fn an_overflow_is_truncated_and_sent_once_more() {
    let mut pool = chain(&["a"]);
    let mut sizes = Vec::new();
    let (finish, trace) = play(&exact(), &mut pool, Nanos::ZERO, long_request(), |sent| {
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
        let (finish, _) = play(&exact(), &mut pool, Nanos::ZERO, long_request(), |sent| {
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
        play(&exact(), &mut pool, Nanos::ZERO, long_request(), |_| failing(TOO_LONG));
    assert_eq!(stopped(finish).0, StopReason::Final);
    assert_eq!(asked(&trace), [0, 0]);
}

#[test]
fn what_cannot_be_shortened_is_not_sent_again() {
    let mut pool = chain(&["a"]);
    let (finish, trace) = play(&exact(), &mut pool, Nanos::ZERO, hello(), |_| failing(TOO_LONG));
    assert_eq!(stopped(finish).0, StopReason::Final);
    assert_eq!(asked(&trace), [0]);
}

#[test]
fn an_overflow_moves_on_to_a_larger_window_only() {
    let window = |tokens| Window { tokens, ..Window::default() };
    let mut targets = vec![target("a", "a"), target("b", "b"), target("c", "c")];
    targets[1].window = window(64_000);
    targets[2].window = window(1_000_000);
    let mut pool = pool_of(targets).unwrap();
    let (finish, trace) = play(&exact(), &mut pool, Nanos::ZERO, long_request(), |sent| {
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
    let mut pool = pool_of(targets).unwrap();
    let (finish, trace) = play(&exact(), &mut pool, Nanos::ZERO, long_request(), |sent| {
        if sent.target == 0 {
            return failing(Class::NotFound(Missing::Model));
        }
        assert_eq!(sent.messages.len(), 7);
        Event::Answered
    });
    assert_eq!(finish, Finish::Served { target: 2, attempt: 2 });
    let cannot =
        |entry: &Entry| matches!(entry.what, What::Skipped { target: 1, why: Skip::CannotFit(_) });
    assert!(trace.entries.iter().any(cannot));
}
