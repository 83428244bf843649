//! How many tokens a request has, exactly where the rules are public, otherwise by an estimate that says so.
//!
//! A [`TokenCounter`] counts texts, a [`Framing`] what a provider puts around them.

use std::fmt;
use std::sync::Arc;

use crate::provider::Provider;

mod calibrated;
mod framing;
mod image;
#[cfg(feature = "tokens")]
mod openai;
mod tools;

pub use calibrated::Calibrated;
pub use framing::Framing;
pub use image::ImageRule;
#[cfg(feature = "tokens")]
pub use openai::OpenAiTokens;
pub use tools::ToolRule;

/// Counts the tokens of a text.
///
/// A count must take time in proportion to the text, whatever the text: conversations contain what strangers wrote.
pub trait TokenCounter: fmt::Debug + Send + Sync {
    /// The number of tokens in `text`, taken by itself.
    fn count(&self, text: &str) -> u64;

    /// Whether this is the provider's own count and no estimate.
    fn exact(&self) -> bool;

    /// The number of tokens in `text` if it is at most `limit`, else `None`.
    ///
    /// A counter that can, stops at the limit: a megabyte of junk need not be read to be too long.
    fn count_up_to(&self, text: &str, limit: u64) -> Option<u64> {
        Some(self.count(text)).filter(|tokens| *tokens <= limit)
    }

    /// What tells this counter from others, so that messages remember its counts; counters with the same key count the same.
    ///
    /// `None`, if counting again is as cheap as remembering.
    fn key(&self) -> Option<u64> {
        None
    }

    /// The part of it that learns from what providers charge, if it has one.
    fn calibrated(&self) -> Option<&Calibrated> {
        None
    }
}

/// A quarter of the characters, rounded up: right within a third for English prose, too low for code and most other scripts.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Estimate;

impl TokenCounter for Estimate {
    fn count(&self, text: &str) -> u64 {
        whole(text.chars().count().div_ceil(4))
    }

    fn exact(&self) -> bool {
        false
    }

    fn count_up_to(&self, text: &str, limit: u64) -> Option<u64> {
        // Of the characters beyond the limit only one is looked at.
        let chars_max = limit.saturating_mul(4);
        let chars = match usize::try_from(chars_max) {
            Ok(most) => text.chars().take(most.saturating_add(1)).count(),
            Err(_) => text.chars().count(),
        };
        (whole(chars) <= chars_max).then(|| whole(chars.div_ceil(4)))
    }
}

/// One for each byte: for limits on a request's body.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bytes;

impl TokenCounter for Bytes {
    fn count(&self, text: &str) -> u64 {
        whole(text.len())
    }

    fn exact(&self) -> bool {
        true
    }
}

/// The best counter for a model: its own where it is public, else an [`Estimate`] that is [`Calibrated`] as usage becomes known.
#[cfg_attr(not(feature = "tokens"), expect(unused_variables, reason = "no tokenizer to choose"))]
pub fn counter(provider: Provider, model: &str) -> Arc<dyn TokenCounter> {
    #[cfg(feature = "tokens")]
    if provider != Provider::Anthropic
        && let Some(tokens) = OpenAiTokens::of_model(model)
    {
        return Arc::new(tokens);
    }
    Arc::new(Calibrated::new(Arc::new(Estimate)))
}

/// The model's own name, without the maker before it (`openai/gpt-4o`) and the mark of a fine-tuned one (`ft:gpt-4o:me`).
fn bare(model: &str) -> &str {
    let model = model.rsplit('/').next().unwrap_or(model);
    model.strip_prefix("ft:").unwrap_or(model)
}

fn whole(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_estimate_rounds_up_and_says_what_it_is() {
        for (text, tokens) in [("", 0), ("a", 1), ("four", 1), ("fives", 2), ("äöüß", 1)] {
            assert_eq!(Estimate.count(text), tokens, "{text}");
            assert_eq!(Estimate.count_up_to(text, tokens), Some(tokens), "{text}");
            assert_eq!(
                tokens.checked_sub(1).and_then(|less| Estimate.count_up_to(text, less)),
                None
            );
        }
        assert_eq!(Estimate.count_up_to("any", u64::MAX), Some(1));
        assert!(!Estimate.exact());
        assert!(!counter(Provider::Anthropic, "claude-haiku-4-5").exact());
    }
}
