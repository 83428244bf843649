//! Cutting inside a text: the last resort.

use super::Shortened;
use crate::message::{Cut, Message};
use crate::tokens::TokenCounter;

/// What stands where a text was cut, so that the model can tell.
pub const CUT_MARK: &str = "[…]";

/// Cuts a text until it has at most `limit` tokens; [`CUT_MARK`] stands where the rest was.
///
/// It is cut between characters, and what is left is counted as it stands: tokens merge and split at a cut.
/// A text that fits is left as it is; where not even the mark fits, nothing is left.
///
/// The time is that of a few dozen counts of what is left, by a counter that stops at a limit.
///
/// # Examples
///
/// ```
/// use resilience_core::{Cut, Estimate, truncate};
///
/// let log = format!("started {} exit status 3", "progress ".repeat(1_000));
/// let short = truncate::cut(&log, 10, Cut::Middle, &Estimate);
/// assert_eq!(short, "started progress pr[…]ess  exit status 3");
/// ```
pub fn cut(text: &str, limit: u64, at: Cut, counter: &dyn TokenCounter) -> String {
    if counter.count_up_to(text, limit).is_some() {
        return text.to_owned();
    }
    let fits = |bytes: usize| {
        let rest = rest(text, bytes, at);
        counter.count_up_to(&rest, limit).is_some().then_some(rest)
    };
    // By doubling, what the limit holds is found without looking at a whole text that is far longer.
    let mut best = String::new();
    let (mut low, mut high) = (0, 1);
    while high < text.len() {
        let Some(rest) = fits(high) else { break };
        best = rest;
        (low, high) = (high, high * 2);
    }
    high = high.min(text.len());
    while high - low > low / CLOSENESS + 1 {
        let middle = low.midpoint(high);
        match fits(middle) {
            Some(rest) => {
                best = rest;
                low = middle;
            }
            None => high = middle,
        }
    }
    best
}

/// About so many bytes of a text, with the mark.
fn rest(text: &str, bytes: usize, at: Cut) -> String {
    let (head, tail) = match at {
        Cut::Middle => (bytes.div_ceil(2), bytes / 2),
        Cut::Tail => (bytes, 0),
    };
    let head = &text[..text.floor_char_boundary(head)];
    let tail = &text[text.ceil_char_boundary(text.len() - tail)..];
    [head, CUT_MARK, tail].concat()
}

/// The cuts of one fit.
#[derive(Debug, Default)]
pub(super) struct Cuts {
    pub(super) shortened: Vec<Shortened>,
}

impl Cuts {
    /// Cuts marked texts, the longest first, until `excess` tokens are saved, and says how many were; or, cutting nothing, the most that could be.
    pub(super) fn save(
        &mut self,
        excess: u64,
        messages: &[Message],
        of_those: impl Fn(usize) -> bool,
        counter: &dyn TokenCounter,
    ) -> Result<u64, u64> {
        let marked = messages.iter().enumerate().filter(|(index, _)| of_those(*index));
        let mut marked: Vec<_> = marked
            .filter_map(|(index, message)| {
                let tokens = counter.count(&message.text);
                Some((tokens, index, message.cuttable?)).filter(|_| tokens > KEPT_TOKENS_MIN)
            })
            .collect();
        let most = marked
            .iter()
            .fold(0_u64, |sum, (tokens, ..)| sum.saturating_add(tokens - KEPT_TOKENS_MIN));
        if most < excess {
            return Err(most);
        }
        marked.sort_by_key(|(tokens, index, _)| (std::cmp::Reverse(*tokens), *index));
        let mut saved = 0;
        for (tokens, message, at) in marked {
            let Some(missing) = excess.checked_sub(saved).filter(|missing| *missing > 0) else {
                break;
            };
            let limit = tokens - missing.min(tokens - KEPT_TOKENS_MIN);
            let whole = &messages[message].text;
            let text = cut(whole, limit, at, counter);
            saved += tokens - counter.count(&text);
            let bytes_cut = whole.len() - text.len().saturating_sub(CUT_MARK.len());
            self.shortened.push(Shortened { message, text, bytes_cut });
        }
        self.shortened.sort_by_key(|cut| cut.message);
        Ok(saved)
    }
}

/// A text is never cut to less than this: what is left should still tell what it was. A choice of ours.
const KEPT_TOKENS_MIN: u64 = 16;
/// A cut may leave this part of the room unused; finding the last token would take twice as long.
const CLOSENESS: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokens::Estimate;

    #[test]
    fn a_text_is_cut_where_it_may_be_and_between_characters() {
        for (text, limit, at, left) in [
            ("abcdefghijkl", 3, Cut::Tail, "abcdefghijkl"),
            ("abcdefghijkl", 2, Cut::Tail, "abcde[…]"),
            ("abcdefghijkl", 2, Cut::Middle, "abc[…]kl"),
            ("ääääääääääää", 2, Cut::Tail, "äääää[…]"),
            ("abcdefgh", 0, Cut::Tail, ""),
            ("", 0, Cut::Middle, ""),
        ] {
            assert_eq!(cut(text, limit, at, &Estimate), left);
        }
    }
}
