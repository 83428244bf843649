//! How many tokens a text has.
//!
//! Exact for the models whose tokenizer is public (OpenAI's), an estimate for the others:
//! characters ÷ 4 is within about 15 % for English, and whoever shows such a number calls it
//! an estimate.

use std::{cell::RefCell, ops::Range};

use crate::models;

/// Counts tokens the way one model does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tokenizer {
    /// `cl100k_base`: GPT-4, GPT-4 Turbo, GPT-3.5.
    Cl100k,
    /// A quarter of the characters, rounded up; there is no public tokenizer.
    Estimate,
    /// Words, digits and signs: an estimate too, and exact for what was recorded of Gemini.
    Gemini,
    /// `o200k_base`: GPT-4o and everything of OpenAI's since.
    O200k,
}

impl Tokenizer {
    /// The tokenizer of a model; unknown models are estimated.
    pub fn of(model: &str) -> Self {
        match models::facts(model).and_then(|facts| facts.encoding.as_deref()) {
            Some("cl100k_base") => Self::Cl100k,
            Some("o200k_base" | "o200k_harmony") => Self::O200k,
            _ if model.starts_with("gemini-") => Self::Gemini,
            _ => Self::Estimate,
        }
    }

    /// The number of tokens in a text.
    pub fn count(self, text: &str) -> u64 {
        let count = match self {
            Self::Cl100k | Self::O200k => {
                let plain = REMEMBERED.with_borrow_mut(|remembered| {
                    self.count_plain(
                        text,
                        if self == Self::O200k { &mut remembered.1 } else { &mut remembered.0 },
                    )
                });
                plain.unwrap_or_else(|| self.exactly(text))
            }
            Self::Estimate => text.chars().count().div_ceil(4),
            Self::Gemini => pieces(text),
        };
        u64::try_from(count).unwrap_or(u64::MAX)
    }

    /// The tokens of a text, by their bytes: a letter may be spread over several.
    pub fn tokens(self, text: &str) -> Vec<Vec<u8>> {
        let tokenizer = match self {
            Self::Cl100k => bpe_openai::cl100k_base(),
            Self::O200k => bpe_openai::o200k_base(),
            Self::Estimate | Self::Gemini => {
                let letters: Vec<char> = text.chars().collect();
                let fours = letters.chunks(4).map(|four| four.iter().collect::<String>());
                return fours.map(String::into_bytes).collect();
            }
        };
        let tokens = tokenizer.encode(text);
        tokens.iter().map(|token| tokenizer.bpe.token_bytes(*token).to_vec()).collect()
    }

    /// By the tokenizer itself, which takes a regular expression and several allocations.
    fn exactly(self, text: &str) -> usize {
        match self {
            Self::Cl100k | Self::Estimate | Self::Gemini => bpe_openai::cl100k_base().count(text),
            Self::O200k => bpe_openai::o200k_base().count(text),
        }
    }

    /// The same for plain English, word by word, from what is remembered; none for other texts.
    ///
    /// Both tokenizers split such a text before each word with the space in front of it, and at
    /// punctuation, and count each part by itself. Most requests and all of our own answers are
    /// plain, and the same words come again and again.
    fn count_plain(self, text: &str, remembered: &mut Remembered) -> Option<usize> {
        let bytes = text.as_bytes();
        let at = |index: usize| bytes.get(index).copied();
        let mut total = 0;
        let mut start = 0;
        while start < bytes.len() {
            let first = if at(start) == Some(b' ') { start + 1 } else { start };
            let mut end = first;
            match at(first)? {
                b'A'..=b'Z' | b'a'..=b'z' => {
                    end += 1;
                    while at(end).is_some_and(|byte| byte.is_ascii_lowercase()) {
                        end += 1;
                    }
                    // One capital is a word, and so is `Word`; `WORD` and `don't` are for the
                    // tokenizer. Of `camelCase` the newer one makes two parts.
                    let is_word = end > first + 1 || bytes[first].is_ascii_lowercase();
                    match at(end) {
                        None | Some(b' ' | b'.' | b',' | b'?' | b'!' | b':') => {}
                        Some(b'A'..=b'Z') if is_word && self == Self::O200k => {}
                        _ => return None,
                    }
                }
                b'.' | b',' | b'?' | b'!' | b':' if first == start => {
                    end += 1;
                    let word_follows = matches!(at(end), Some(b' '))
                        && at(end + 1).is_some_and(|byte| byte.is_ascii_alphabetic());
                    if !(word_follows || at(end).is_none()) {
                        return None;
                    }
                }
                _ => return None,
            }
            total += self.count_part(text, start..end, remembered);
            start = end;
        }
        Some(total)
    }

    /// A part of a plain text: a word with the space before it, or punctuation.
    fn count_part(self, text: &str, range: Range<usize>, remembered: &mut Remembered) -> usize {
        let packed = packed(text.as_bytes(), range.clone());
        let part = &text[range];
        let counted = || match self {
            Self::Cl100k | Self::Estimate | Self::Gemini => {
                bpe_openai::cl100k_base().bpe.count(part.as_bytes())
            }
            Self::O200k => bpe_openai::o200k_base().bpe.count(part.as_bytes()),
        };
        // Longer ones seldom come again.
        let Some(packed) = packed else { return counted() };
        let (known, count) = remembered.place(packed);
        if *known != packed {
            (*known, *count) = (packed, counted());
        }
        *count
    }
}

/// The tokens of short parts. Each has one place, which it shares with few others, and whichever
/// came last is there.
#[derive(Debug, Default)]
struct Remembered(Vec<(u128, usize)>);

impl Remembered {
    /// The place of a part.
    fn place(&mut self, packed: u128) -> &mut (u128, usize) {
        if self.0.is_empty() {
            self.0 = vec![(0, 0); PARTS];
        }
        let place = usize::try_from(packed.wrapping_mul(SPREAD) >> 113);
        &mut self.0[place.unwrap_or(0)]
    }
}

/// A part as a number, its bytes and then its length; none if it is too long for that.
fn packed(text: &[u8], part: Range<usize>) -> Option<u128> {
    let length = part.len();
    if length > 15 {
        return None;
    }
    let letters = if let Some(sixteen) = text.get(part.start..part.start + 16) {
        // What follows the part is masked, which takes less than to copy what does not.
        u128::from_le_bytes(sixteen.try_into().ok()?) & !(u128::MAX << (8 * length))
    } else {
        let mut bytes = [0; 16];
        bytes[..length].copy_from_slice(&text[part]);
        u128::from_le_bytes(bytes)
    };
    Some(letters | u128::try_from(length).ok()? << 120)
}

thread_local! {
    static REMEMBERED: RefCell<(Remembered, Remembered)> = RefCell::default();
}

/// How many places there are: as many as fifteen bits tell apart, and several times the parts
/// that marks are made of.
const PARTS: usize = 1 << 15;

/// An odd number without a pattern, by which a multiplication spreads all bits into the highest:
/// the fraction of the golden ratio.
const SPREAD: u128 = 0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835;

/// The pieces of a text as Gemini's tokenizer makes them: a word with the space before it, each
/// digit by itself and so the space before it, a run of the same sign.
fn pieces(text: &str) -> usize {
    let mut count = 0;
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        if letter.is_ascii_digit() {
            count += 1;
        } else if letter == ' ' && letters.peek().is_some_and(|next| !next.is_ascii_digit()) {
            // The space belongs to what follows.
        } else if letter.is_alphabetic() {
            let mut length = 1_usize;
            while letters.next_if(|next| next.is_alphabetic()).is_some() {
                length += 1;
            }
            // Long words are made of several, and those of other alphabets of more.
            count += length.div_ceil(if letter.is_ascii() { 10 } else { 2 });
        } else {
            while letters.next_if_eq(&letter).is_some() {}
            count += 1;
        }
    }
    count
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
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn plain_texts_are_counted_without_the_regular_expression() {
        for (text, plain) in [
            ("", true),
            ("a", true),
            ("Hello world. How are you?", true),
            ("One, two: three!", true),
            (" leading", true),
            ("trailing ", false),
            ("two  spaces", false),
            ("don't", false),
            ("WORD", false),
            ("ABc", false),
            ("a.b", false),
            ("wait...", false),
            ("a .", false),
            ("12", false),
            ("née", false),
            ("line\nbreak", false),
        ] {
            for tokenizer in [Tokenizer::Cl100k, Tokenizer::O200k] {
                let counted = tokenizer.count_plain(text, &mut Remembered::default());
                assert_eq!(counted, plain.then(|| tokenizer.exactly(text)), "{text:?}");
            }
        }
    }

    #[test]
    fn a_capital_begins_a_part_for_the_newer_tokenizer_only() {
        for text in ["camelCase", "AxBadoBimeLuna and so on", "aB"] {
            let remembered = &mut Remembered::default();
            assert_eq!(Tokenizer::Cl100k.count_plain(text, remembered), None);
            let exact = Tokenizer::O200k.exactly(text);
            let remembered = &mut Remembered::default();
            assert_eq!(Tokenizer::O200k.count_plain(text, remembered), Some(exact), "{text}");
        }
    }

    proptest! {
        /// What is remembered never changes a count, whatever the text.
        #[test]
        fn counts_are_the_tokenizers_own(
            texts in prop::collection::vec("[A-Ca-c .,?!:'0é\n]{0,24}|( ?[A-Z]?[a-z]{1,9}[.,]?){0,12}|([A-Z]{0,2}[a-z]{0,3} ?){0,9}", 1..8),
        ) {
            for text in texts {
                for tokenizer in [Tokenizer::Cl100k, Tokenizer::O200k] {
                    let exact = u64::try_from(tokenizer.exactly(&text)).unwrap();
                    prop_assert_eq!(tokenizer.count(&text), exact, "{:?}", text);
                }
            }
        }
    }

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
            // Recorded by crmne/ruby_llm, as answers.
            ("gemini-2.5-flash", "2 + 2 = **4**", 8),
            ("gemini-2.5-flash", "1, 2, 3", 7),
            ("gemini-2.0-flash", "What is the capital of France?", 7),
            ("gemini-2.5-flash", "", 0),
        ] {
            assert_eq!(Tokenizer::of(model).count(text), count, "{model}: {text}");
        }
    }
}
