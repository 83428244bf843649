//! Making a conversation fit: the oldest messages go, whole.
//!
//! System messages, pinned messages and the last turn of the person always stay.
//! An assistant's tool calls and the tools' answers stay or go together: half a pair is a request that every provider refuses, again and again.
//! A conversation that fits is left as it is, whatever it is; once something has to go, halves of pairs go first, even pinned ones.
//! What is dropped is said, never hidden.
//!
//! Nothing is cut inside, unless a message is marked [`cuttable`](Message::cuttable): then, as a last resort, its text is.

use thiserror::Error;

use self::cut::Cuts;
use self::groups::Groups;
use crate::message::{Message, Request, Role};
use crate::target::Window;
use crate::tokens::TokenCounter;

mod cut;
mod groups;

pub use cut::{CUT_MARK, cut};

/// Which messages of a conversation are kept.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Fit {
    /// The kept messages, by index, in order.
    pub kept: Vec<usize>,
    /// The dropped messages, by index, in order.
    pub dropped: Vec<usize>,
    /// Those of the dropped that were halves of pairs: tool calls without all their answers, answers without their call.
    pub orphans: Vec<usize>,
    /// The kept messages whose text was cut, in order.
    pub shortened: Vec<Shortened>,
    /// The tokens of the whole request.
    pub tokens_before: u64,
    /// The tokens of the request with what is kept.
    pub tokens: u64,
}

impl Fit {
    /// The messages that are kept, cut where they had to be.
    pub fn of(&self, messages: &[Message]) -> Vec<Message> {
        let mut shortened = self.shortened.iter().peekable();
        let kept =
            self.kept.iter().filter_map(|index| Some((*index, messages.get(*index)?.clone())));
        kept.map(|(index, mut message)| {
            if let Some(cut) = shortened.next_if(|cut| cut.message == index) {
                message.shorten(&cut.text);
            }
            message
        })
        .collect()
    }

    /// Whether nothing had to be done.
    pub fn is_whole(&self) -> bool {
        self.dropped.is_empty() && self.shortened.is_empty()
    }
}

/// A kept message whose text was cut.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Shortened {
    /// The message, by index.
    pub message: usize,
    /// What is left of its text, with [`CUT_MARK`] where the rest was.
    pub text: String,
    /// How many bytes of the text are gone.
    pub bytes_cut: usize,
}

/// What must be kept is longer than what there is room for.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("the messages that must stay have {needed} tokens, and there is room for {budget}")]
pub struct CannotFit {
    /// The tokens of what must be kept, with all cuts that are allowed.
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
/// // Twice two tokens of text and four of frame, and three that begin the answer.
/// assert_eq!(fit.tokens, 15);
/// # Ok::<(), truncate::CannotFit>(())
/// ```
pub fn fit(
    messages: &[Message],
    window: &Window,
    counter: &dyn TokenCounter,
) -> Result<Fit, CannotFit> {
    let fixed = window.framing.fixed(&[], counter);
    choose(messages, &Sizes::of(messages, fixed, window, counter), window, window.budget(), counter)
}

/// As [`fit`], for a request with its tools and its own reserve for the answer.
pub fn fit_request(
    request: &Request,
    window: &Window,
    counter: &dyn TokenCounter,
) -> Result<Fit, CannotFit> {
    let window = request.window_in(*window);
    let messages = &request.messages;
    let fixed = window.framing.fixed(&request.tools, counter);
    let sizes = Sizes::of(messages, fixed, &window, counter);
    choose(messages, &sizes, &window, window.budget(), counter)
}

/// How large a request is: in tokens, or in bytes.
#[derive(Clone, Debug)]
pub(crate) struct Sizes {
    /// What does not depend on the messages.
    fixed: u64,
    each: Vec<u64>,
}

impl Sizes {
    pub(crate) fn of(
        messages: &[Message],
        fixed: u64,
        window: &Window,
        counter: &dyn TokenCounter,
    ) -> Self {
        let tokens = |message: &Message| message.tokens(counter, &window.framing);
        Self { fixed, each: messages.iter().map(tokens).collect() }
    }

    /// In bytes, for a limit on the body; what is not of the messages never made one too large.
    pub(crate) fn in_bytes(messages: &[Message]) -> Self {
        Self { fixed: 0, each: messages.iter().map(Message::bytes).collect() }
    }

    pub(crate) fn total(&self) -> u64 {
        self.each.iter().copied().fold(self.fixed, u64::saturating_add)
    }
}

/// As [`fit`], for messages that have been measured; `counter` measures again what is cut.
pub(crate) fn choose(
    messages: &[Message],
    sizes: &Sizes,
    window: &Window,
    budget: u64,
    counter: &dyn TokenCounter,
) -> Result<Fit, CannotFit> {
    let tokens_before = sizes.total();
    if tokens_before <= budget {
        return Ok(Fit {
            kept: (0..messages.len()).collect(),
            dropped: Vec::new(),
            orphans: Vec::new(),
            shortened: Vec::new(),
            tokens_before,
            tokens: tokens_before,
        });
    }
    let groups = Groups::of(messages, window.alternates);
    let pinned = groups.pinned(messages, window.user_first);
    let mut group_sizes = groups.sizes(&sizes.each);
    let mut kept = pinned.clone();
    let needed = kept.iter().zip(&group_sizes).filter(|(kept, _)| **kept);
    let mut tokens = needed.fold(sizes.fixed, |sum, (_, size)| sum.saturating_add(*size));
    let mut cuts = Cuts::default();
    if let Some(excess) = tokens.checked_sub(budget).filter(|excess| *excess > 0) {
        let whole = tokens;
        let saved = cuts.save(excess, messages, |index| kept[groups.group(index)], counter);
        tokens = whole - saved.map_err(|most| CannotFit { needed: whole - most, budget })?;
        // Nothing else is kept: what a cut leaves over by chance is no reason to keep more than a larger window would.
    } else {
        // From the newest to the oldest, until the first that does not fit: a gap in the middle would change what is said.
        let newest = groups.sound().rfind(|group| !pinned[*group]);
        for group in groups.sound().rev().filter(|group| !pinned[*group]) {
            let longer = tokens.saturating_add(group_sizes[group]);
            if longer <= budget {
                kept[group] = true;
                tokens = longer;
                continue;
            }
            if newest == Some(group)
                && let Ok(saved) = cuts.save(
                    longer - budget,
                    messages,
                    |index| groups.group(index) == group,
                    counter,
                )
            {
                kept[group] = true;
                group_sizes[group] -= saved;
                tokens = longer - saved;
            }
            break;
        }
        if window.user_first {
            tokens -= drop_head(messages, &groups, &pinned, &group_sizes, &mut kept);
        }
    }
    let (kept, dropped): (Vec<_>, _) =
        (0..messages.len()).partition(|index| kept[groups.group(*index)]);
    let mut shortened = cuts.shortened;
    shortened.retain(|cut| kept.binary_search(&cut.message).is_ok());
    let orphans = groups.orphans().collect();
    Ok(Fit { kept, dropped, orphans, shortened, tokens_before, tokens })
}

/// Drops what stands before the first turn of the person's, unless it must stay, and says how many tokens that saves.
fn drop_head(
    messages: &[Message],
    groups: &Groups,
    pinned: &[bool],
    group_sizes: &[u64],
    kept: &mut [bool],
) -> u64 {
    let mut saved = 0;
    for (index, message) in messages.iter().enumerate() {
        let group = groups.group(index);
        if !kept[group] || message.role == Role::System {
            continue;
        }
        if message.is_turn() || pinned[group] {
            break;
        }
        kept[group] = false;
        saved += group_sizes[group];
    }
    saved
}
