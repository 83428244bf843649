//! How many tokens a text has.
//!
//! Exact for the models whose tokenizer is public (OpenAI's), an estimate for the others:
//! characters ÷ 4 is within about 15 % for English, and whoever shows such a number calls it
//! an estimate.

use crate::models;

/// Counts tokens the way one model does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tokenizer {
    /// `cl100k_base`: GPT-4, GPT-4 Turbo, GPT-3.5.
    Cl100k,
    /// A quarter of the characters, rounded up; there is no public tokenizer.
    Estimate,
    /// `o200k_base`: GPT-4o and everything of OpenAI's since.
    O200k,
}

impl Tokenizer {
    /// The tokenizer of a model; unknown models are estimated.
    pub fn of(model: &str) -> Self {
        match models::facts(model).and_then(|facts| facts.encoding.as_deref()) {
            Some("cl100k_base") => Self::Cl100k,
            Some("o200k_base" | "o200k_harmony") => Self::O200k,
            _ => Self::Estimate,
        }
    }

    /// The number of tokens in a text.
    pub fn count(self, text: &str) -> u64 {
        let count = match self {
            Self::Cl100k => bpe_openai::cl100k_base().count(text),
            Self::Estimate => text.chars().count().div_ceil(4),
            Self::O200k => bpe_openai::o200k_base().count(text),
        };
        u64::try_from(count).unwrap_or(u64::MAX)
    }

    /// The tokens of a text, by their bytes: a letter may be spread over several.
    pub fn tokens(self, text: &str) -> Vec<Vec<u8>> {
        let tokenizer = match self {
            Self::Cl100k => bpe_openai::cl100k_base(),
            Self::O200k => bpe_openai::o200k_base(),
            Self::Estimate => {
                let letters: Vec<char> = text.chars().collect();
                let fours = letters.chunks(4).map(|four| four.iter().collect::<String>());
                return fours.map(String::into_bytes).collect();
            }
        };
        let tokens = tokenizer.encode(text);
        tokens.iter().map(|token| tokenizer.bpe.token_bytes(*token).to_vec()).collect()
    }
}

/// Loads the tokenizers, which takes longer than any answer, so that the first request does not
/// wait for them.
pub fn warm_up() {
    for tokenizer in [bpe_openai::cl100k_base(), bpe_openai::o200k_base()] {
        let _loaded = tokenizer.count("warm");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Nothing to see but that it may be done at any time, and more than once.
    #[test]
    fn warming_up_changes_no_count() {
        let before = Tokenizer::Cl100k.count("tiktoken is great!");
        warm_up();
        warm_up();
        assert_eq!(Tokenizer::Cl100k.count("tiktoken is great!"), before);
    }

    #[test]
    fn counts_are_those_of_the_public_tokenizers() {
        for (model, text, count) in [
            ("gpt-4o-mini", "Hello!", 2),
            ("gpt-4", "tiktoken is great!", 6),
            ("gpt-4o", "", 0),
            ("claude-haiku-4-5", "Hello!", 2),
            ("somebody's-model", "12345", 2),
        ] {
            assert_eq!(Tokenizer::of(model).count(text), count, "{model}: {text}");
        }
    }
}
