//! What truncation keeps, cuts and drops.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use proptest::prelude::*;
use resilience_core::truncate::{self, CUT_MARK, CannotFit, Fit};
use resilience_core::{
    Cut, Estimate, Framing, Message, Part, Request, Role, TokenCounter, ToolSchema, Window,
};

/// A window with room for so many tokens of conversation, at one token a message and one for four characters.
fn room(tokens: u64) -> Window {
    let framing = Framing { per_message: 1, per_call: 0, per_request: 0, ..Framing::default() };
    Window { tokens, output: 0, buffer: 0, framing, ..Window::default() }
}

fn tokens(messages: &[Message], window: &Window) -> u64 {
    messages.iter().map(|message| message.tokens(&Estimate, &window.framing)).sum()
}

#[test]
fn the_default_window_leaves_room_for_the_answer() {
    assert_eq!(Window::default().budget(), 128_000 - 2_000 - 100);
    assert_eq!(Message::user("").tokens(&Estimate, &Framing::default()), 4);
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

/// P50: tool pair split by truncation.
#[test]
fn a_tool_call_and_its_answers_go_together() {
    let messages = [
        Message::user("abcd"),
        Message::assistant("").with_call("a", "abcd", "").with_call("b", "", "abcd"),
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

/// Providers refuse half a pair, so that it is the first to go; what needs no truncation is none of our business.
#[test]
fn halves_of_pairs_go_first_and_are_named() {
    let messages = [
        Message::user("abcd"),
        Message::tool("nobody", "abcd").pinned(),
        Message::assistant("").with_call("a", "", "").with_call("b", "", ""),
        Message::tool("a", "abcd"),
        Message::assistant("abcd"),
        Message::user("abcd"),
    ];
    let fit = truncate::fit(&messages, &room(11), &Estimate).unwrap();
    assert!(fit.is_whole() && fit.orphans.is_empty());
    let fit = truncate::fit(&messages, &room(10), &Estimate).unwrap();
    assert_eq!((fit.kept, fit.orphans), (vec![0, 4, 5], vec![1, 2, 3]));
    // An answer further down is none to this call; one without an id is to whichever is open.
    let messages = [
        Message::assistant("").with_call("a", "", ""),
        Message::user("abcd"),
        Message::tool("a", "abcd"),
        Message::assistant("").with_call("a", "", ""),
        Message::new(Role::Tool, "abcd"),
        Message::tool("a", "twice"),
    ];
    let fit = truncate::fit(&messages, &room(9), &Estimate).unwrap();
    assert_eq!((fit.kept, fit.orphans), (vec![1, 3, 4], vec![0, 2, 5]));
}

/// An agent works on the person's last turn; its newest steps outlive the older ones, the turn outlives all.
#[test]
fn the_last_turn_of_the_person_stays_before_a_long_tail() {
    let mut messages = vec![Message::user("abcd")];
    for step in 0..10 {
        messages.push(Message::assistant("").with_call(format!("{step}"), "abcd", ""));
        messages.push(Message::tool(format!("{step}"), "abcd"));
    }
    let fit = truncate::fit(&messages, &room(10), &Estimate).unwrap();
    assert_eq!(fit.kept, [0, 17, 18, 19, 20]);
}

#[test]
fn a_provider_that_wants_the_person_first_gets_the_person_first() {
    let mut messages = vec![
        Message::system("abcd"),
        Message::user("abcd"),
        Message::assistant("abcd"),
        Message::user("abcd"),
    ];
    let window = Window { user_first: true, ..room(7) };
    assert_eq!(truncate::fit(&messages, &window, &Estimate).unwrap().kept, [0, 3]);
    // A pinned answer brings its question with it.
    messages.insert(1, Message::user("abcd"));
    messages[3].pinned = true;
    let window = Window { user_first: true, ..room(8) };
    assert_eq!(truncate::fit(&messages, &window, &Estimate).unwrap().kept, [0, 2, 3, 4]);
    // Nothing is dropped from what fits, even if it begins with the model.
    let window = Window { user_first: true, ..room(100) };
    assert_eq!(truncate::fit(&messages[3..], &window, &Estimate).unwrap().kept, [0, 1]);
}

#[test]
fn where_roles_alternate_whole_exchanges_go() {
    let messages = [
        Message::user("abcd").pinned(),
        Message::assistant("abcd"),
        Message::user("abcd"),
        Message::assistant("abcd"),
        Message::user("abcd"),
        Message::assistant("abcd"),
        Message::user("abcd"),
    ];
    for (budget, kept) in [(13, vec![0, 1, 4, 5, 6]), (9, vec![0, 1, 6])] {
        let window = Window { alternates: true, ..room(budget) };
        assert_eq!(truncate::fit(&messages, &window, &Estimate).unwrap().kept, kept);
    }
    let window = Window { alternates: true, ..room(5) };
    let error = truncate::fit(&messages, &window, &Estimate).unwrap_err();
    assert_eq!(error, CannotFit { needed: 6, budget: 5 });
}

#[test]
fn tools_and_pictures_need_room_too() {
    let messages = [
        Message::user("abcd").with_part(Part::image(10, 10)),
        Message::user("abcd").with_part(Part::Other { tokens: 30, bytes: 0 }),
    ];
    let window = Window { tokens: 150, output: 0, buffer: 0, ..Window::default() };
    let fit = truncate::fit(&messages, &window, &Estimate).unwrap();
    assert_eq!((fit.tokens_before, fit.tokens, fit.kept), (3 + 1_605 + 35, 38, vec![1]));
    let tool = ToolSchema {
        name: "find".to_owned(),
        description: "Find it.".to_owned(),
        parameters: serde_json::json!({ "type": "object" }),
    };
    let request = Request::new(messages).with_tools([tool]);
    let fit = truncate::fit_request(&request, &window, &Estimate).unwrap();
    assert_eq!(fit.tokens, 38 + 12 + 10 + 1 + 2 + 5);
    let request = Request { output_max: Some(100), ..request };
    let error = truncate::fit_request(&request, &window, &Estimate).unwrap_err();
    assert_eq!(error, CannotFit { needed: 68, budget: 50 });
}

#[test]
fn a_marked_text_is_cut_where_nothing_else_helps() {
    let long = "word ".repeat(100);
    let messages = [
        Message::user("abcd"),
        Message::assistant("abcd"),
        Message::user(long.clone()).cuttable(Cut::Tail),
    ];
    let fit = truncate::fit(&messages, &room(51), &Estimate).unwrap();
    assert_eq!((&*fit.kept, fit.tokens), (&[2][..], 51));
    let [cut] = &*fit.shortened else { panic!("{fit:?}") };
    assert_eq!(fit.of(&messages)[0].text, cut.text);
    assert_eq!(cut.text, format!("{}{CUT_MARK}", &long[..long.len() - cut.bytes_cut]));
    // A mark is no wish: what fits without a cut is not cut.
    let fit = truncate::fit(&messages, &room(126), &Estimate).unwrap();
    assert_eq!((fit.kept, fit.shortened.len()), (vec![2], 0));
    // Something of it is left in any case.
    let error = truncate::fit(&messages, &room(16), &Estimate).unwrap_err();
    assert_eq!(error, CannotFit { needed: 17, budget: 16 });
}

#[test]
fn the_newest_step_is_cut_rather_than_dropped() {
    let messages = [
        Message::user("abcd"),
        Message::assistant("abcd"),
        Message::user("abcd"),
        Message::assistant("").with_call("a", "abcd", ""),
        Message::tool("a", "word ".repeat(100)).cuttable(Cut::Middle),
    ];
    let fit = truncate::fit(&messages, &room(45), &Estimate).unwrap();
    assert_eq!((&*fit.kept, fit.shortened.len()), (&[2, 3, 4][..], 1));
    assert!(fit.tokens <= 45);
    // Unless next to nothing of it would be left.
    let fit = truncate::fit(&messages, &room(20), &Estimate).unwrap();
    assert_eq!((&*fit.kept, fit.shortened.len()), (&[2][..], 0));
}

/// An estimate that counts how many bytes it has been made to read.
#[derive(Debug, Default)]
struct Reading(AtomicUsize);

impl Reading {
    fn take(&self) -> usize {
        self.0.swap(0, Ordering::Relaxed)
    }
}

impl TokenCounter for Reading {
    fn count(&self, text: &str) -> u64 {
        self.0.fetch_add(text.len(), Ordering::Relaxed);
        Estimate.count(text)
    }

    fn exact(&self) -> bool {
        false
    }

    fn count_up_to(&self, text: &str, limit: u64) -> Option<u64> {
        let limit_bytes = usize::try_from(limit * 4).unwrap() + 1;
        self.0.fetch_add(text.len().min(limit_bytes), Ordering::Relaxed);
        Estimate.count_up_to(text, limit)
    }

    fn key(&self) -> Option<u64> {
        Some(1)
    }
}

#[test]
fn property_62_each_byte_is_counted_once_however_often_it_is_fitted() {
    for turns in [10, 100, 1_000] {
        let counter = Reading::default();
        let messages: Vec<_> = (0..turns).map(|_| Message::user("漢字-- aaaa")).collect();
        let bytes = turns * messages[0].text.len();
        for budget in [1_000_000, 200, 100, 50, 20] {
            drop(truncate::fit(&messages, &room(budget), &counter));
        }
        assert_eq!(counter.take(), bytes);
        // Clones know what was counted; what has changed since is counted anew.
        let mut longer = messages.clone();
        longer.push(Message::user("new"));
        longer[0].text.push('!');
        let changed = longer[0].text.len();
        truncate::fit(&longer, &room(20), &counter).unwrap();
        assert_eq!(counter.take(), "new".len() + changed);
    }
}

/// P51: tokenization `DoS`.
#[test]
fn a_cut_reads_no_more_than_a_few_times_what_it_keeps() {
    for letter in ["a", "-", "漢", " a", "\n"] {
        for at in [Cut::Tail, Cut::Middle] {
            for megabytes in [1, 2] {
                let text = letter.repeat(megabytes * 1_000_000 / letter.len());
                let counter = Reading::default();
                let kept = truncate::cut(&text, 100, at, &counter);
                assert!(Estimate.count(&kept) >= 98, "{} of 100 tokens", Estimate.count(&kept));
                let read = counter.take();
                assert!(read < 24 * 4 * 100, "{read} bytes for a hundred tokens of {letter:?}");
            }
        }
    }
}

/// Long runs made tokenizers quadratic; a quadratic count of so many letters would not end today.
#[cfg(feature = "tokens")]
#[test]
fn hostile_text_is_counted_before_the_day_is_over() {
    use resilience_core::OpenAiTokens;

    for (letter, length) in
        [("a", 1_000_000), ("-", 100_000), ("漢", 30_000), (" ", 300_000), ("\r\n ", 100_000)]
    {
        let text = letter.repeat(length);
        let tokens = OpenAiTokens::O200k.count(&text);
        assert!(tokens > 0, "{letter:?}");
        assert_eq!(OpenAiTokens::O200k.count_up_to(&text, tokens / 2), None, "{letter:?}");
    }
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![3 => "x{0,60}", 1 => "\\PC{0,40}", 1 => "[漢字äö🦀 -]{0,40}"]
}

fn marked(message: Message) -> impl Strategy<Value = Message> {
    let parts = prop_oneof![
        6 => Just(None),
        1 => (1..40u64).prop_map(|tokens| Some(Part::Other { tokens, bytes: 0 })),
        1 => Just(Some(Part::image(640, 480))),
    ];
    let cuttable = prop::sample::select(vec![None, None, None, Some(Cut::Tail), Some(Cut::Middle)]);
    (prop::bool::weighted(0.1), parts, cuttable, prop::option::weighted(0.1, "[a-z]{1,8}"))
        .prop_map(move |(pinned, part, cuttable, name)| {
            let mut message = message.clone();
            message.pinned = pinned;
            message.cuttable = cuttable;
            message.name = name;
            message.parts.extend(part);
            message
        })
}

/// A step of the model's: calls of several tools and their answers, in any order; names of calls repeat.
fn step() -> impl Strategy<Value = Vec<Message>> {
    let ids = prop::sample::select(vec![vec!["a"], vec!["a", "b"], vec!["b", "a", "c"]]);
    (text(), ids, text(), any::<bool>(), any::<bool>()).prop_flat_map(
        |(said, ids, found, reversed, as_user)| {
            let calls = ids.iter().fold(Message::assistant(said), |message, id| {
                message.with_call(*id, "find", "{\"it\": 1}")
            });
            let mut answers: Vec<_> =
                ids.iter().map(|id| Message::tool(*id, found.clone())).collect();
            if reversed {
                answers.reverse();
            }
            if as_user {
                for answer in &mut answers {
                    answer.role = Role::User;
                }
            }
            answers.insert(0, calls);
            answers.into_iter().map(marked).collect::<Vec<_>>()
        },
    )
}

/// A turn of the person's, the model's steps, and its answer.
fn exchange() -> impl Strategy<Value = Vec<Message>> {
    let user = text().prop_flat_map(|text| marked(Message::user(text)));
    let answer = text().prop_flat_map(|text| marked(Message::assistant(text)));
    (user, prop::collection::vec(step(), 0..3), answer)
        .prop_map(|(user, steps, answer)| [vec![user], steps.concat(), vec![answer]].concat())
}

/// What any provider would accept; it may end with the person, amid the steps, or with the model.
fn sound() -> impl Strategy<Value = Vec<Message>> {
    let system = prop::option::of(text()).prop_map(|text| text.map(Message::system));
    let last = text().prop_flat_map(|text| marked(Message::user(text)));
    let steps = prop::collection::vec(step(), 0..4);
    (system, prop::collection::vec(exchange(), 0..5), prop::option::of((last, steps))).prop_map(
        |(system, exchanges, last)| {
            let mut messages: Vec<_> = system.into_iter().collect();
            messages.extend(exchanges.concat());
            if let Some((last, steps)) = last {
                messages.push(last);
                messages.extend(steps.concat());
            }
            messages
        },
    )
}

/// What may come from a store that has lost something: messages are missing, and out of order.
fn damaged() -> impl Strategy<Value = Vec<Message>> {
    let index = any::<prop::sample::Index>;
    (sound(), prop::collection::vec((index(), index()), 0..4)).prop_map(|(mut messages, losses)| {
        for (from, to) in losses {
            if !messages.is_empty() {
                let message = messages.remove(from.index(messages.len()));
                let to = to.index(messages.len() + 4);
                if to <= messages.len() {
                    messages.insert(to, message);
                }
            }
        }
        messages
    })
}

fn windows() -> impl Strategy<Value = Window> {
    let framing = prop_oneof![
        Just(room(0).framing),
        Just(Framing { per_message: 0, ..room(0).framing }),
        Just(Framing::default()),
    ];
    (framing, any::<bool>(), any::<bool>()).prop_map(|(framing, user_first, alternates)| Window {
        framing,
        user_first,
        alternates,
        ..room(0)
    })
}

/// A budget somewhere between nothing and all of it.
fn budget_of(messages: &[Message], window: &Window, share: u64) -> u64 {
    (tokens(messages, window) + window.framing.per_request) * share / 100
}

fn fit(messages: &[Message], window: &Window, budget: u64) -> Result<Fit, CannotFit> {
    truncate::fit(messages, &Window { tokens: budget, ..*window }, &Estimate)
}

/// The turns of the person's, told apart from answers under their role.
fn is_turn(message: &Message) -> bool {
    message.role == Role::User && message.answers.is_none()
}

/// The first message, if any, that a provider would refuse: an answer that nothing right before it asks for, or a call that is not answered right behind.
fn unpaired(messages: &[Message]) -> Option<usize> {
    let mut open: Vec<&str> = Vec::new();
    let mut asked = 0;
    for (index, message) in messages.iter().enumerate() {
        if let Some(id) = &message.answers {
            let Some(place) = open.iter().position(|call| call == id) else { return Some(index) };
            open.remove(place);
            continue;
        }
        if !open.is_empty() {
            return Some(asked);
        }
        asked = index;
        open.extend(message.calls.iter().map(|call| &*call.id));
    }
    (!open.is_empty()).then_some(asked)
}

proptest! {
    #[test]
    fn property_55_what_is_kept_fits_or_cannot(
        messages in damaged(), window in windows(), share in 0..110u64,
    ) {
        let budget = budget_of(&messages, &window, share);
        match fit(&messages, &window, budget) {
            Ok(fit) => {
                let kept = fit.of(&messages);
                prop_assert!(fit.tokens <= budget);
                let fixed = window.framing.per_request;
                prop_assert_eq!(fit.tokens, tokens(&kept, &window) + fixed);
                prop_assert_eq!(fit.tokens_before, tokens(&messages, &window) + fixed);
            }
            Err(error) => {
                prop_assert!(error.needed > budget);
                // What is needed is no guess: with so much room it fits, with less it does not.
                prop_assert!(fit(&messages, &window, error.needed).is_ok());
                prop_assert!(fit(&messages, &window, error.needed - 1).is_err());
            }
        }
    }

    /// P50: tool pair split by truncation.
    #[test]
    fn property_56_no_answer_without_its_call_and_no_call_without_its_answers(
        messages in damaged(), window in windows(), share in 0..110u64,
    ) {
        if let Ok(fit) = fit(&messages, &window, budget_of(&messages, &window, share))
            && !fit.dropped.is_empty()
        {
            prop_assert_eq!(unpaired(&fit.of(&messages)), None);
            prop_assert!(fit.orphans.iter().all(|orphan| fit.dropped.contains(orphan)));
            prop_assert_eq!(fit.orphans.is_empty(), unpaired(&messages).is_none());
        }
    }

    #[test]
    fn property_57_roles_stay_valid(
        messages in sound(), window in windows(), share in 0..110u64,
    ) {
        prop_assume!(messages.iter().any(is_turn));
        if let Ok(fit) = fit(&messages, &window, budget_of(&messages, &window, share)) {
            let kept = fit.of(&messages);
            let mut spoken = kept.iter().filter(|message| message.role != Role::System).peekable();
            if window.user_first || window.alternates {
                prop_assert!(spoken.peek().is_none_or(|first| is_turn(first)));
            }
            let mut before: Option<&Message> = None;
            for message in spoken {
                if let Some(before) = before.filter(|_| window.alternates) {
                    let again = is_turn(before) && is_turn(message);
                    let twice = before.role == Role::Assistant && message.role == Role::Assistant;
                    prop_assert!(!again && !twice, "{before:?} {message:?}");
                }
                before = Some(message);
            }
        }
    }

    #[test]
    fn property_58_what_is_kept_is_in_order_and_what_must_stay_stays(
        messages in sound(), window in windows(), share in 0..110u64,
    ) {
        if let Ok(fit) = fit(&messages, &window, budget_of(&messages, &window, share)) {
            prop_assert!(fit.kept.is_sorted_by(|one, next| one < next));
            let mut all: Vec<_> = fit.kept.iter().chain(&fit.dropped).copied().collect();
            all.sort_unstable();
            prop_assert!(all.into_iter().eq(0..messages.len()));
            for index in &fit.dropped {
                prop_assert!(!messages[*index].pinned && messages[*index].role != Role::System);
            }
            let last = messages.iter().rposition(is_turn);
            prop_assert!(last.is_none_or(|last| fit.kept.contains(&last)));
            // Nothing but a marked text is changed.
            for (index, message) in fit.kept.iter().zip(fit.of(&messages)) {
                let cut = fit.shortened.iter().any(|cut| cut.message == *index);
                prop_assert_eq!(message == messages[*index], !cut);
                prop_assert!(!cut || message.cuttable.is_some());
            }
        }
    }

    #[test]
    fn property_59_fitting_twice_changes_nothing_and_more_room_keeps_no_less(
        messages in damaged(), window in windows(), share in 0..110u64, more in 1..100u64,
    ) {
        let budget = budget_of(&messages, &window, share);
        if let Ok(small) = fit(&messages, &window, budget) {
            let once = small.of(&messages);
            prop_assert!(fit(&once, &window, budget).unwrap().is_whole());
            let large = fit(&messages, &window, budget + more).unwrap();
            prop_assert!(small.kept.iter().all(|index| large.kept.contains(index)));
        }
    }

    #[test]
    fn property_60_what_fits_is_left_as_it_is(
        messages in damaged(), window in windows(), spare in 0..10u64,
    ) {
        let budget = budget_of(&messages, &window, 100) + spare;
        let fit = fit(&messages, &window, budget).unwrap();
        prop_assert!(fit.is_whole());
        prop_assert_eq!(fit.of(&messages), messages);
    }

    #[test]
    fn property_61_a_cut_text_is_within_its_limit_as_it_stands(
        text in prop_oneof!["\\PC{0,200}", "[漢字äö🦀 -]{0,200}", "(ab|[0-9]{3}|-----| a){0,80}"],
        limit in 0..60u64, middle: bool,
    ) {
        let at = if middle { Cut::Middle } else { Cut::Tail };
        for counter in counters() {
            let cut = truncate::cut(&text, limit, at, &*counter);
            prop_assert!(counter.count(&cut) <= limit, "{cut:?}");
            if cut != text && !cut.is_empty() {
                let whole = |(head, tail): (&str, &str)| {
                    text.starts_with(head) && text.ends_with(tail) && (middle || tail.is_empty())
                };
                let marks = cut.match_indices(CUT_MARK);
                let mut splits = marks.map(|(at, _)| (&cut[..at], &cut[at + CUT_MARK.len()..]));
                prop_assert!(splits.any(whole), "{cut:?} of {text:?}");
            }
        }
    }
}

fn counters() -> Vec<Arc<dyn TokenCounter>> {
    vec![
        Arc::new(Estimate),
        #[cfg(feature = "tokens")]
        Arc::new(resilience_core::OpenAiTokens::O200k),
        #[cfg(feature = "tokens")]
        Arc::new(resilience_core::OpenAiTokens::Cl100k),
    ]
}
