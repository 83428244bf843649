//! Finds the marks of answers in a command's output, as it comes.

use std::collections::BTreeMap;

use crate::verdict::MarkCount;

/// Finds marks in a text that comes in parts.
#[derive(Debug, Default)]
pub(super) struct MarkScanner {
    /// The end of the text so far: what may be the beginning of a mark.
    tail: Vec<u8>,
}

/// A word of a mark that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    mark: String,
    /// Whether it is the word before the answer, and not the one after it.
    begins: bool,
}

/// How often each mark was found, in all of a command's output.
#[derive(Debug, Default)]
pub(super) struct MarkCounts {
    counts: BTreeMap<String, (u64, u64)>,
}

/// `Ax` or `Zx`, and six syllables of two letters, the odd ones with a capital.
const WORD_BYTES: usize = 14;

impl MarkScanner {
    /// The words that a part of the output completes.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Vec<Found> {
        self.tail.extend_from_slice(bytes);
        let mut found = Vec::new();
        let mut start = 0;
        while let Some(window) = self.tail.get(start..start + WORD_BYTES) {
            let (kind, word) = window.split_at(2);
            let is_part = |part: &[u8]| {
                part[0].is_ascii_uppercase() && part[1..].iter().all(u8::is_ascii_lowercase)
            };
            let is_mark = matches!(kind, b"Ax" | b"Zx") && word.chunks(4).all(is_part);
            if is_mark {
                let mark = String::from_utf8_lossy(word).into_owned();
                found.push(Found { mark, begins: kind == b"Ax" });
            }
            start += if is_mark { WORD_BYTES } else { 1 };
        }
        self.tail.drain(..start);
        found
    }
}

impl MarkCounts {
    /// Counts words.
    pub(super) fn add(&mut self, found: Vec<Found>) {
        for word in found {
            let (begins, ends) = self.counts.entry(word.mark).or_default();
            *if word.begins { begins } else { ends } += 1;
        }
    }

    /// Everything that was counted.
    pub(super) fn counts(&self) -> Vec<MarkCount> {
        let counts = self.counts.iter();
        let count = |(mark, &(begins, ends)): (&String, &(u64, u64))| MarkCount {
            mark: mark.clone(),
            begins,
            ends,
        };
        counts.map(count).collect()
    }
}

#[cfg(test)]
mod tests {
    use mock_server::{answer::Mark, draw::Draws};

    use super::*;

    #[test]
    fn marks_are_found_however_the_output_is_cut() {
        let mark = Mark::new(1, Draws::new(1));
        let text = format!("<b>{}</b> it\\n{}{}", mark.begin(), mark.end(), mark.begin());
        for cut in 0..text.len() {
            let mut scanner = MarkScanner::default();
            let mut counts = MarkCounts::default();
            counts.add(scanner.feed(&text.as_bytes()[..cut]));
            counts.add(scanner.feed(&text.as_bytes()[cut..]));
            let expected = MarkCount { mark: mark.0.clone(), begins: 2, ends: 1 };
            assert_eq!(counts.counts(), [expected], "cut at {cut}");
        }
    }
}
