//! What truncation keeps and drops.

use proptest::prelude::*;
use resilience_core::truncate::{self, CannotFit};
use resilience_core::{Estimate, Message, Role, Window};

/// A window with room for so many tokens of conversation, at one token a message and one for four characters.
fn room(tokens: u64) -> Window {
    Window { tokens, output: 0, buffer: 0, per_message: 1, user_first: false }
}

fn tokens(messages: &[Message], window: &Window) -> u64 {
    messages.iter().map(|message| message.tokens(&Estimate, window.per_message)).sum()
}

#[test]
fn the_default_window_leaves_room_for_the_answer() {
    assert_eq!(Window::default().budget(), 128_000 - 2_000 - 100);
    assert_eq!(Message::user("").tokens(&Estimate, Window::default().per_message), 4);
}

#[test]
fn the_oldest_go_first_and_the_system_stays() {
    let messages = [
        Message::system("abcd"),
        Message::user("abcd"),
        Message::assistant("abcd"),
        Message::user("abcd"),
    ];
    for (budget, kept) in
        [(8, vec![0, 1, 2, 3]), (7, vec![0, 2, 3]), (5, vec![0, 3]), (4, vec![0, 3])]
    {
        let fit = truncate::fit(&messages, &room(budget), &Estimate).unwrap();
        assert_eq!(fit.kept, kept, "{budget}");
        assert_eq!(fit.kept.len() + fit.dropped.len(), messages.len());
        assert_eq!(fit.tokens_before, 8);
        assert_eq!(fit.tokens, 2 * u64::try_from(kept.len()).unwrap());
    }
    let error = truncate::fit(&messages, &room(3), &Estimate).unwrap_err();
    assert_eq!(error, CannotFit { needed: 4, budget: 3 });
}

/// The most frequent bug of truncation in the wild: half a pair, which every provider refuses.
#[test]
fn a_tool_call_and_its_answers_go_together() {
    let messages = [
        Message::user("abcd"),
        Message::assistant("").with_call("a", "abcd").with_call("b", "abcd"),
        Message::tool("b", "abcd"),
        Message::tool("a", "abcd"),
        Message::assistant("abcd"),
        Message::user("abcd"),
    ];
    // The group costs 3 + 2 + 2; with one token too few, all of it goes.
    let fit = truncate::fit(&messages, &room(11), &Estimate).unwrap();
    assert_eq!(fit.dropped, [0]);
    let fit = truncate::fit(&messages, &room(10), &Estimate).unwrap();
    assert_eq!(fit.dropped, [0, 1, 2, 3]);
}

/// An agent works on the person's last turn; its newest steps outlive the older ones, the turn outlives all.
#[test]
fn the_last_turn_of_the_person_stays_before_a_long_tail() {
    let mut messages = vec![Message::user("abcd")];
    for step in 0..10 {
        messages.push(Message::assistant("").with_call(format!("{step}"), "abcd"));
        messages.push(Message::tool(format!("{step}"), "abcd"));
    }
    let fit = truncate::fit(&messages, &room(10), &Estimate).unwrap();
    assert_eq!(fit.kept, [0, 17, 18, 19, 20]);
}

#[test]
fn a_provider_that_wants_the_person_first_gets_the_person_first() {
    let messages = [
        Message::system("abcd"),
        Message::user("abcd"),
        Message::assistant("abcd"),
        Message::user("abcd"),
    ];
    let window = Window { user_first: true, ..room(7) };
    assert_eq!(truncate::fit(&messages, &window, &Estimate).unwrap().kept, [0, 3]);
    // Nothing is dropped from what fits, even if it begins with the model.
    let window = Window { user_first: true, ..room(100) };
    assert_eq!(truncate::fit(&messages[2..], &window, &Estimate).unwrap().kept, [0, 1]);
}

/// Long runs made tokenizers quadratic; a quadratic count of so many letters would not end today.
#[cfg(feature = "tokens")]
#[test]
fn hostile_text_is_counted_before_the_day_is_over() {
    use resilience_core::{OpenAiTokens, TokenCounter};

    for (letter, length) in [("a", 300_000), ("-", 100_000), ("漢", 30_000), (" ", 300_000)] {
        assert!(OpenAiTokens::O200k.count(&letter.repeat(length)) > 0, "{letter:?}");
    }
}

fn message() -> impl Strategy<Value = Message> {
    let role = prop_oneof![
        1 => Just(Role::System), 4 => Just(Role::User), 4 => Just(Role::Assistant), 3 => Just(Role::Tool),
    ];
    (role, 0..60usize, 0..3usize, 0..6u8, prop::bool::weighted(0.1)).prop_map(
        |(role, length, calls, answers, pinned)| {
            let mut message = Message::new(role, "x".repeat(length));
            message.pinned = pinned;
            if role == Role::Assistant {
                for call in 0..calls {
                    message = message.with_call(call.to_string(), "call");
                }
            }
            if role == Role::Tool {
                message.answers = (answers < 5).then(|| (answers % 3).to_string());
            }
            message
        },
    )
}

fn conversation() -> impl Strategy<Value = Vec<Message>> {
    prop::collection::vec(message(), 0..24)
}

/// For each answer whose call is in the list before it, the call; names repeat, the latest call counts.
fn pairs(messages: &[Message]) -> Vec<(usize, usize)> {
    let mut pairs = Vec::new();
    for (index, message) in messages.iter().enumerate() {
        let Some(id) = &message.answers else { continue };
        let calls = |other: &Message| other.calls.iter().any(|call| call.id == *id);
        if let Some(call) = messages[..index].iter().rposition(calls) {
            pairs.push((call, index));
        }
    }
    pairs
}

proptest! {
    #[test]
    fn what_is_kept_fits_or_cannot(messages in conversation(), budget in 0..200u64, user_first: bool) {
        let window = Window { user_first, ..room(budget) };
        match truncate::fit(&messages, &window, &Estimate) {
            Ok(fit) => {
                let kept = fit.of(&messages);
                prop_assert!(fit.tokens <= budget);
                prop_assert_eq!(fit.tokens, tokens(&kept, &window));
                prop_assert_eq!(fit.tokens_before, tokens(&messages, &window));
                prop_assert!(fit.kept.is_sorted() && fit.dropped.is_sorted());
                for (index, message) in messages.iter().enumerate() {
                    let must = message.pinned || message.role == Role::System;
                    prop_assert!(!must || fit.kept.contains(&index));
                }
                let last_user = messages.iter().rposition(|message| message.role == Role::User);
                prop_assert!(last_user.is_none_or(|last| fit.kept.contains(&last)));
            }
            Err(error) => prop_assert!(error.needed > budget),
        }
    }

    #[test]
    fn what_fits_is_kept_whole(messages in conversation(), spare in 0..10u64, user_first: bool) {
        let window = Window { user_first, ..room(tokens(&messages, &room(0)) + spare) };
        let fit = truncate::fit(&messages, &window, &Estimate).unwrap();
        prop_assert!(fit.dropped.is_empty());
    }

    #[test]
    fn no_pair_is_split(messages in conversation(), budget in 0..200u64, user_first: bool) {
        let window = Window { user_first, ..room(budget) };
        if let Ok(fit) = truncate::fit(&messages, &window, &Estimate) {
            for (call, answer) in pairs(&messages) {
                prop_assert_eq!(fit.kept.contains(&call), fit.kept.contains(&answer));
            }
        }
    }

    #[test]
    fn fitting_twice_changes_nothing(messages in conversation(), budget in 0..200u64, user_first: bool) {
        let window = Window { user_first, ..room(budget) };
        if let Ok(fit) = truncate::fit(&messages, &window, &Estimate) {
            let once = fit.of(&messages);
            let again = truncate::fit(&once, &window, &Estimate).unwrap();
            prop_assert!(again.dropped.is_empty());
        }
    }

    #[test]
    fn more_room_never_keeps_less(messages in conversation(), budget in 0..200u64, more in 1..50u64, user_first: bool) {
        let small = Window { user_first, ..room(budget) };
        let large = Window { user_first, ..room(budget + more) };
        if let Ok(small) = truncate::fit(&messages, &small, &Estimate) {
            let large = truncate::fit(&messages, &large, &Estimate).unwrap();
            prop_assert!(small.kept.iter().all(|index| large.kept.contains(index)));
        }
    }
}
