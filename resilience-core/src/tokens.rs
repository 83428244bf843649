//! How many tokens a text has, exactly where the tokenizer is public, otherwise by an estimate that says so.

use std::fmt;
use std::sync::Arc;

use crate::provider::Provider;

/// Counts the tokens of a text.
///
/// A count must take time in proportion to the text, whatever the text: conversations contain what strangers wrote.
pub trait TokenCounter: fmt::Debug + Send + Sync {
    /// The number of tokens in `text`, taken by itself.
    fn count(&self, text: &str) -> u64;

    /// Whether this is the provider's own count and no estimate.
    fn exact(&self) -> bool;
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
}

/// The tokenizer of an OpenAI model.
#[cfg(feature = "tokens")]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum OpenAiTokens {
    /// GPT-4, GPT-3.5 and the embedding models.
    Cl100k,
    /// GPT-4o and everything since.
    O200k,
}

#[cfg(feature = "tokens")]
impl OpenAiTokens {
    /// The tokenizer of a model, or `None` if the model is not one of OpenAI's.
    pub fn of_model(model: &str) -> Option<Self> {
        let model = model.rsplit('/').next().unwrap_or(model);
        let model = model.strip_prefix("ft:").unwrap_or(model);
        MODELS.iter().find(|(prefix, _)| model.starts_with(prefix)).map(|(_, tokens)| *tokens)
    }
}

#[cfg(feature = "tokens")]
impl TokenCounter for OpenAiTokens {
    fn count(&self, text: &str) -> u64 {
        let tokenizer = match self {
            Self::Cl100k => bpe_openai::cl100k_base(),
            Self::O200k => bpe_openai::o200k_base(),
        };
        whole(tokenizer.count(text))
    }

    fn exact(&self) -> bool {
        true
    }
}

/// The best counter for a model: its own where it is public, else [`Estimate`].
#[cfg_attr(not(feature = "tokens"), expect(unused_variables, reason = "no tokenizer to choose"))]
pub fn counter(provider: Provider, model: &str) -> Arc<dyn TokenCounter> {
    #[cfg(feature = "tokens")]
    if provider != Provider::Anthropic
        && let Some(tokens) = OpenAiTokens::of_model(model)
    {
        return Arc::new(tokens);
    }
    Arc::new(Estimate)
}

fn whole(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

/// Longer prefixes first.
#[cfg(feature = "tokens")]
const MODELS: [(&str, OpenAiTokens); 13] = [
    ("gpt-35-turbo", OpenAiTokens::Cl100k), // Azure writes no points.
    ("gpt-3.5", OpenAiTokens::Cl100k),
    ("gpt-4o", OpenAiTokens::O200k),
    ("gpt-4.1", OpenAiTokens::O200k),
    ("gpt-4.5", OpenAiTokens::O200k),
    ("gpt-4", OpenAiTokens::Cl100k),
    ("gpt-", OpenAiTokens::O200k),
    ("chatgpt-", OpenAiTokens::O200k),
    ("codex-", OpenAiTokens::O200k),
    ("o1", OpenAiTokens::O200k),
    ("o3", OpenAiTokens::O200k),
    ("o4", OpenAiTokens::O200k),
    ("text-embedding-", OpenAiTokens::Cl100k),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_estimate_rounds_up_and_says_what_it_is() {
        for (text, tokens) in [("", 0), ("a", 1), ("four", 1), ("fives", 2), ("äöüß", 1)] {
            assert_eq!(Estimate.count(text), tokens, "{text}");
        }
        assert!(!Estimate.exact());
        assert!(!counter(Provider::Anthropic, "claude-haiku-4-5").exact());
    }

    #[cfg(feature = "tokens")]
    #[test]
    fn each_openai_model_gets_its_own_tokenizer() {
        for (model, tokens) in [
            ("gpt-4o-mini", Some(OpenAiTokens::O200k)),
            ("openai/gpt-5-nano", Some(OpenAiTokens::O200k)),
            ("gpt-4-turbo", Some(OpenAiTokens::Cl100k)),
            ("gpt-35-turbo", Some(OpenAiTokens::Cl100k)),
            ("ft:gpt-3.5-turbo-0613:me", Some(OpenAiTokens::Cl100k)),
            ("o3-mini", Some(OpenAiTokens::O200k)),
            ("claude-opus-4-6", None),
            ("llama-3.1-8b", None),
        ] {
            assert_eq!(OpenAiTokens::of_model(model), tokens, "{model}");
        }
    }

    #[cfg(feature = "tokens")]
    #[test]
    fn known_counts_are_met() {
        // Both from OpenAI's cookbook on counting tokens.
        assert_eq!(OpenAiTokens::Cl100k.count("antidisestablishmentarianism"), 6);
        assert_eq!(OpenAiTokens::O200k.count("antidisestablishmentarianism"), 6);
        assert!(OpenAiTokens::O200k.exact());
    }
}
