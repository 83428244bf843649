//! Making a conversation fit: the oldest messages go, whole.
//!
//! System messages, pinned messages and the last turn of the person always stay.
//! An assistant's tool calls and the tools' answers stay or go together: half a pair is a request that every provider refuses, again and again.
//! What is dropped is said, never hidden.

use std::collections::HashMap;

use thiserror::Error;

use crate::message::{Message, Role};
use crate::target::Window;
use crate::tokens::TokenCounter;

/// Which messages of a conversation are kept.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Fit {
    /// The kept messages, by index, in order.
    pub kept: Vec<usize>,
    /// The dropped messages, by index, in order.
    pub dropped: Vec<usize>,
    /// The tokens of the whole conversation.
    pub tokens_before: u64,
    /// The tokens of what is kept.
    pub tokens: u64,
}

impl Fit {
    /// The messages that are kept.
    pub fn of(&self, messages: &[Message]) -> Vec<Message> {
        self.kept.iter().filter_map(|index| messages.get(*index).cloned()).collect()
    }
}

/// What must be kept is longer than what there is room for.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("the messages that must stay have {needed} tokens, and there is room for {budget}")]
pub struct CannotFit {
    /// The tokens of what must be kept.
    pub needed: u64,
    /// The tokens there is room for.
    pub budget: u64,
}

/// Chooses what to keep so that a conversation leaves its window room for the answer.
///
/// A conversation that fits is kept whole; fitting what was fitted changes nothing; a larger window never keeps less.
/// Each message is counted once, so the time is linear in the text.
///
/// # Examples
///
/// ```
/// use resilience_core::{Estimate, Message, Window, truncate};
///
/// let messages = [
///     Message::system("be brief"),
///     Message::user("a".repeat(400)),
///     Message::user("and now?"),
/// ];
/// let window = Window { tokens: 60, output: 10, buffer: 0, ..Window::default() };
/// let fit = truncate::fit(&messages, &window, &Estimate)?;
///
/// assert_eq!(fit.dropped, [1]);
/// assert_eq!(fit.tokens, 12);
/// # Ok::<(), truncate::CannotFit>(())
/// ```
pub fn fit(
    messages: &[Message],
    window: &Window,
    counter: &dyn TokenCounter,
) -> Result<Fit, CannotFit> {
    fit_counted(messages, &counts(messages, window, counter), window, window.budget())
}

/// The tokens of each message.
pub(crate) fn counts(
    messages: &[Message],
    window: &Window,
    counter: &dyn TokenCounter,
) -> Vec<u64> {
    messages.iter().map(|message| message.tokens(counter, window.per_message)).collect()
}

/// As [`fit`], for messages that have been counted.
pub(crate) fn fit_counted(
    messages: &[Message],
    counts: &[u64],
    window: &Window,
    budget: u64,
) -> Result<Fit, CannotFit> {
    let tokens_before = counts.iter().copied().fold(0, u64::saturating_add);
    let groups = groups(messages);
    // Groups are named after their first message, so that a newer group has a larger name.
    let group_count = messages.len();
    let mut sizes = vec![0_u64; group_count];
    let mut pinned = vec![false; group_count];
    for (index, message) in messages.iter().enumerate() {
        let group = groups[index];
        sizes[group] = sizes[group].saturating_add(counts[index]);
        pinned[group] |= message.pinned || message.role == Role::System;
    }
    // A tool's answer may travel under the person's role; it is not the person's turn.
    let is_turn = |message: &Message| message.role == Role::User && message.answers.is_none();
    if let Some(last_user) = messages.iter().rposition(is_turn) {
        pinned[groups[last_user]] = true;
    }
    let needed = sizes
        .iter()
        .zip(&pinned)
        .filter(|(_, pinned)| **pinned)
        .fold(0_u64, |sum, (size, _)| sum.saturating_add(*size));
    if needed > budget {
        return Err(CannotFit { needed, budget });
    }
    // From the newest to the oldest, until the first that does not fit: a gap in the middle would change what is said.
    let mut tokens = needed;
    let mut kept = pinned.clone();
    for group in (0..group_count).rev() {
        if kept[group] {
            continue;
        }
        let longer = tokens.saturating_add(sizes[group]);
        if longer > budget {
            break;
        }
        kept[group] = true;
        tokens = longer;
    }
    if window.user_first && tokens < tokens_before {
        for (index, message) in messages.iter().enumerate() {
            let group = groups[index];
            match message.role {
                _ if !kept[group] => {}
                Role::System => {}
                Role::User => break,
                Role::Assistant | Role::Tool if pinned[group] => break,
                Role::Assistant | Role::Tool => {
                    kept[group] = false;
                    tokens -= sizes[group];
                }
            }
        }
    }
    let (kept, dropped) = (0..messages.len()).partition(|index| kept[groups[*index]]);
    Ok(Fit { kept, dropped, tokens_before, tokens })
}

/// For each message the number of its group; a group is dropped or kept as a whole.
///
/// An assistant's message and the answers to its tool calls are one group; every other message is a group of its own.
fn groups(messages: &[Message]) -> Vec<usize> {
    let mut groups = Vec::with_capacity(messages.len());
    let mut calls: HashMap<&str, usize> = HashMap::new();
    // The group that an answer without an id belongs to.
    let mut open = None;
    for (next, message) in messages.iter().enumerate() {
        let answers = message.answers.as_deref();
        let asked_by = answers.and_then(|id| calls.get(id).copied());
        let group = match message.role {
            Role::Tool => asked_by.or(open).unwrap_or(next),
            Role::Assistant | Role::System | Role::User => asked_by.unwrap_or(next),
        };
        if message.role != Role::Tool {
            open = (!message.calls.is_empty()).then_some(group);
        }
        calls.extend(message.calls.iter().map(|call| (call.id.as_str(), group)));
        groups.push(group);
    }
    groups
}
