//! The tokenizers that OpenAI has published.

use super::{TokenCounter, bare, whole};

/// The tokenizer of an OpenAI model.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum OpenAiTokens {
    /// GPT-4, GPT-3.5 and the embedding models.
    Cl100k,
    /// GPT-4o and everything since.
    O200k,
}

impl OpenAiTokens {
    /// The tokenizer of a model, or `None` if the model is not one of OpenAI's.
    pub fn of_model(model: &str) -> Option<Self> {
        let model = bare(model);
        MODELS.iter().find(|(prefix, _)| model.starts_with(prefix)).map(|(_, tokens)| *tokens)
    }

    fn tokenizer(self) -> &'static bpe_openai::Tokenizer {
        match self {
            Self::Cl100k => bpe_openai::cl100k_base(),
            Self::O200k => bpe_openai::o200k_base(),
        }
    }
}

impl TokenCounter for OpenAiTokens {
    fn count(&self, text: &str) -> u64 {
        whole(self.tokenizer().count(text))
    }

    fn exact(&self) -> bool {
        true
    }

    fn count_up_to(&self, text: &str, limit: u64) -> Option<u64> {
        let Ok(limit) = usize::try_from(limit) else { return Some(self.count(text)) };
        let tokenizer = self.tokenizer();
        tokenizer.count_till_limit(&tokenizer.normalize(text), limit).map(whole)
    }

    fn key(&self) -> Option<u64> {
        // The names of the encodings.
        Some(match self {
            Self::Cl100k => u64::from_be_bytes(*b"cl100k_b"),
            Self::O200k => u64::from_be_bytes(*b"o200k_ba"),
        })
    }
}

/// Longer prefixes first.
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

    #[test]
    fn known_counts_are_met() {
        // Both from OpenAI's cookbook on counting tokens.
        assert_eq!(OpenAiTokens::Cl100k.count("antidisestablishmentarianism"), 6);
        assert_eq!(OpenAiTokens::O200k.count("antidisestablishmentarianism"), 6);
        assert!(OpenAiTokens::O200k.exact());
    }

    #[test]
    fn a_count_that_may_stop_agrees_with_one_that_may_not() {
        let many = "漢字 and words, ".repeat(50);
        for text in ["", "a", "hello world", "--------------------", &many] {
            let tokens = OpenAiTokens::O200k.count(text);
            for limit in 0..2 * tokens + 2 {
                let within = (tokens <= limit).then_some(tokens);
                assert_eq!(OpenAiTokens::O200k.count_up_to(text, limit), within, "{text} {limit}");
            }
        }
    }
}
