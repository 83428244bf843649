//! A text that is always the same but for a few words.

use std::ops::Range;

/// A text with gaps for words that change.
#[derive(Clone, Debug)]
pub(crate) struct Template<const GAPS: usize> {
    text: Box<str>,
    /// Where the gaps are, in the order of the text, and which word each is for.
    gaps: [(Range<usize>, usize); GAPS],
}

impl<const GAPS: usize> Template<GAPS> {
    /// Finds the gaps by writing the text with other words and looking at what changes.
    ///
    /// The two words for a gap must differ in their first and last letters, and from the letters
    /// around them: `x` and nothing between quotes, or two digits of a number.
    pub(crate) fn new(words: [[&str; 2]; GAPS], write: impl Fn(&[&str; GAPS]) -> String) -> Self {
        let plain = words.map(|[plain, _]| plain);
        let text = write(&plain);
        let mut gaps = std::array::from_fn(|gap| {
            let mut words_of_one = plain;
            words_of_one[gap] = words[gap][1];
            let other = write(&words_of_one);
            let (left, right) = (text.bytes(), other.bytes());
            let start = left.clone().zip(right.clone()).take_while(|(a, b)| a == b).count();
            let behind = left.rev().zip(right.rev()).take_while(|(a, b)| a == b).count();
            (start..text.len().saturating_sub(behind).max(start), gap)
        });
        gaps.sort_by_key(|(place, _)| place.start);
        Self { text: text.into(), gaps }
    }

    /// The text with these words.
    pub(crate) fn filled(&self, words: [&str; GAPS]) -> String {
        let length = self.text.len() + words.iter().map(|word| word.len()).sum::<usize>();
        let mut filled = String::with_capacity(length);
        let mut from = 0;
        for (place, word) in &self.gaps {
            filled.push_str(&self.text[from..place.start]);
            filled.push_str(words[*word]);
            from = place.end;
        }
        filled.push_str(&self.text[from..]);
        filled
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::dialect::case::escaped;

    #[test]
    fn a_filled_template_is_what_would_have_been_written() {
        // Words of the text that are like those for the gaps do not mislead it.
        for model in ["", "x", "1", "x\"x", "\u{0}"] {
            let write = |[text, padding, number]: &[&str; 3]| {
                let number: u64 = number.parse().unwrap();
                let value = json!({ "m": model, "d": text, "n": number, "e": model, "p": padding });
                format!("data: {value}\n\n")
            };
            let template = Template::new([["", "x"], ["", "x"], ["0", "1"]], write);
            for (text, padding, number) in
                [("", "", "0"), ("x", "", "1"), ("a \"b\" \\ \n é", "xx", "17")]
            {
                let filled = template.filled([&escaped(text), padding, number]);
                assert_eq!(filled, write(&[text, padding, number]), "{model}");
            }
        }
    }
}
