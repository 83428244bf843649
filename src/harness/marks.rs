//! Finds the marks of answers in a command's output, as it comes.

use std::collections::BTreeMap;

use crate::verdict::MarkCount;

/// Counts marks in text that comes in parts.
#[derive(Debug, Default)]
pub(super) struct MarkScanner {
    /// The end of the text so far: what may be the beginning of a mark.
    tail: Vec<u8>,
    counts: BTreeMap<String, (u64, u64)>,
}

/// `Ax` or `Zx`, and six syllables of two letters.
const WORD_BYTES: usize = 14;

impl MarkScanner {
    /// Scans a part of the output.
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        self.tail.extend_from_slice(bytes);
        let mut start = 0;
        while let Some(window) = self.tail.get(start..start + WORD_BYTES) {
            let (kind, word) = window.split_at(2);
            let is_mark = matches!(kind, b"Ax" | b"Zx") && word.iter().all(u8::is_ascii_lowercase);
            if is_mark {
                let word = String::from_utf8_lossy(word).into_owned();
                let (begins, ends) = self.counts.entry(word).or_default();
                *if kind == b"Ax" { begins } else { ends } += 1;
                start += WORD_BYTES;
            } else {
                start += 1;
            }
        }
        self.tail.drain(..start);
    }

    /// Everything that was found.
    pub(super) fn finish(self) -> Vec<MarkCount> {
        let counts = self.counts.into_iter();
        counts.map(|(mark, (begins, ends))| MarkCount { mark, begins, ends }).collect()
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
            scanner.feed(&text.as_bytes()[..cut]);
            scanner.feed(&text.as_bytes()[cut..]);
            let expected = MarkCount { mark: mark.0.clone(), begins: 2, ends: 1 };
            assert_eq!(scanner.finish(), [expected], "cut at {cut}");
        }
    }
}
