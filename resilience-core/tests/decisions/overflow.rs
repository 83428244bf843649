//! Conversations that are too long for a target.

use std::sync::Arc;

use resilience_core::{
    Calibrated, Call, Class, Cut, Entry, Estimate, Event, Finish, Message, Missing, Nanos, Part,
    Request, Skip, StopReason, TokenCounter, Usage, What, Window,
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
            Event::Answered { usage: None }
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
            if sent.attempt == 1 { failing(overflow) } else { Event::Answered { usage: None } }
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
        if sent.target == 2 { Event::Answered { usage: None } } else { failing(TOO_LONG) }
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
        assert_eq!(sent.messages.len(), 6);
        Event::Answered { usage: None }
    });
    assert_eq!(finish, Finish::Served { target: 2, attempt: 2 });
    let cannot =
        |entry: &Entry| matches!(entry.what, What::Skipped { target: 1, why: Skip::CannotFit(_) });
    assert!(trace.entries.iter().any(cannot));
}

/// An answer's limit is lowered before anything is forgotten if half of it remains, and further if nothing else helps.
#[test]
fn an_answer_that_asks_for_too_much_is_limited_and_the_conversation_stays_whole() {
    for (limit, lowered) in [(1_200, Some(912)), (1_288, None), (800, Some(512)), (700, Some(412))]
    {
        let mut pool = chain(&["a"]);
        // By the provider's count, 288 in the messages and 1,000 for the answer.
        let request = Request { output_max: Some(1_000), ..long_request() };
        let mut sent_with = Vec::new();
        let (finish, trace) = play(&exact(), &mut pool, Nanos::ZERO, request, |sent| {
            sent_with.push((sent.messages.len(), sent.output_max));
            if sent.attempt == 1 {
                failing(Class::ContextOverflow { limit: Some(limit), requested: Some(1_288) })
            } else {
                Event::Answered { usage: None }
            }
        });
        assert_eq!(finish, Finish::Served { target: 0, attempt: 2 });
        assert_eq!(sent_with[0], (21, Some(1_000)));
        let said = trace.entries.iter().find_map(|entry| match entry.what {
            What::OutputLowered { output_max, .. } => Some(output_max),
            _ => None,
        });
        assert_eq!(said, lowered, "{limit}");
        if lowered.is_some() {
            assert_eq!(sent_with[1], (21, lowered));
        } else {
            assert!(sent_with[1].0 < 21);
            assert_eq!(sent_with[1].1, Some(1_000));
        }
    }
}

/// A limit per minute that one request exceeds is met by a shorter one, not by a wait.
#[test]
fn a_request_beyond_a_whole_minutes_limit_is_shortened_once() {
    let mut pool = chain(&["a"]);
    let mut sizes = Vec::new();
    let refusal = Class::RequestExceedsLimit { limit: Some(200), requested: Some(290) };
    let (finish, trace) = play(&exact(), &mut pool, Nanos::ZERO, long_request(), |sent| {
        sizes.push(sent.messages.len());
        failing(refusal)
    });
    assert_eq!(stopped(finish).0, StopReason::Final);
    assert_eq!(starts(&trace), [at(0), at(0)]);
    assert!(sizes[1] < sizes[0], "{sizes:?}");
}

/// By how much a body is too large, nobody says; what is shown weighs in bytes what it does not weigh in tokens.
#[test]
fn a_body_that_is_too_large_loses_half_its_bytes() {
    let picture = Part::Other { tokens: 1, bytes: 10_000 };
    let messages = [
        Message::user("first").with_part(picture),
        Message::user("second").with_part(picture),
        Message::user("word ".repeat(1_000)),
        Message::user("last"),
    ];
    let mut pool = chain(&["a"]);
    let mut kept = Vec::new();
    let (finish, trace) = play(&exact(), &mut pool, Nanos::ZERO, Request::new(messages), |sent| {
        kept.push(sent.messages.iter().map(|message| message.parts.len()).collect::<Vec<_>>());
        if sent.attempt == 1 {
            failing(Class::RequestTooLarge)
        } else {
            Event::Answered { usage: None }
        }
    });
    assert_eq!(finish, Finish::Served { target: 0, attempt: 2 });
    assert_eq!(kept, [vec![1, 1, 0, 0], vec![0, 0]]);
    let truncated = |entry: &Entry| match &entry.what {
        What::Truncated { tokens_before, tokens, .. } => Some((*tokens_before, *tokens)),
        _ => None,
    };
    // The trace speaks of tokens all the same.
    let (before, after) = trace.entries.iter().find_map(truncated).unwrap();
    assert!(after < before && before < 10_000, "{before} {after}");
}

#[test]
fn a_cut_is_told_with_its_bytes() {
    let log = Message::user("word ".repeat(1_000)).cuttable(Cut::Middle);
    let mut pool = chain(&["a"]);
    let mut sent_bytes = Vec::new();
    let overflow = Class::ContextOverflow { limit: Some(3_000), requested: Some(1_300) };
    let request = Request { output_max: Some(2_000), ..Request::new([log]) };
    let (finish, trace) = play(&exact(), &mut pool, Nanos::ZERO, request, |sent| {
        sent_bytes.push(sent.messages[0].text.len());
        if sent.attempt == 1 { failing(overflow) } else { Event::Answered { usage: None } }
    });
    assert_eq!(finish, Finish::Served { target: 0, attempt: 2 });
    let cut = trace.entries.iter().find_map(|entry| match &entry.what {
        What::Truncated { cut, .. } => Some(cut.clone()),
        _ => None,
    });
    let gone = sent_bytes[0] - (sent_bytes[1] - resilience_core::truncate::CUT_MARK.len());
    assert_eq!(cut.unwrap(), [(0, gone)]);
}

/// What a provider counted teaches the estimate, for the calls that come after.
#[test]
fn a_refusal_that_names_its_count_corrects_the_estimate() {
    let counter = Arc::new(Calibrated::new(Arc::new(Estimate)));
    let mut described = target("a", "a");
    let shared: Arc<Calibrated> = Arc::clone(&counter);
    described.counter = shared;
    let mut pool = pool_of([described]).unwrap();
    let messages: Vec<_> = (0..20).map(|_| Message::user("word ".repeat(4_000))).collect();
    let before = counter.count("word word word");
    let overflow = Class::ContextOverflow { limit: Some(128_000), requested: Some(152_000) };
    play(&exact(), &mut pool, Nanos::ZERO, Request::new(messages), |_| failing(overflow));
    // The answer's 2,000 are no part of it; 150,000 are half as much again as the estimate, less what the first guess weighs.
    assert!((1_490_000..1_500_000).contains(&counter.ratio_ppm()), "{}", counter.ratio_ppm());
    assert!(counter.count("word word word") > before);
}

#[test]
fn a_bill_corrects_the_estimate_too() {
    let counter = Arc::new(Calibrated::new(Arc::new(Estimate)));
    let mut described = target("a", "a");
    let shared: Arc<Calibrated> = Arc::clone(&counter);
    described.counter = shared;
    let mut pool = pool_of([described]).unwrap();
    let request = Request::new([Message::user("word ".repeat(79_993))]);
    let mut call = Call::new(1, request, exact(), Nanos::ZERO);
    call.poll(&mut pool, Nanos::ZERO);
    // 99,999 by the estimate, with the frame.
    let usage = Some(Usage { input: 130_000, output: 7 });
    call.handle(1, Event::Answered { usage }, &mut pool, Nanos::ZERO);
    assert_eq!(counter.ratio_ppm(), 1_297_043);
    assert_eq!(Estimate.count("word word word"), 4);
    assert_eq!(counter.count("word word word"), 6);
}
