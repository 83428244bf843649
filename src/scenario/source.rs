//! The text of one document, and where its lines begin.
//!
//! Everything after reading a file speaks in byte offsets; only a renderer needs lines and columns.
//! The limits of a document stand here, because they are limits of the text and of nothing else.

/// A document as the author wrote it.
#[derive(Clone, Debug)]
pub struct Source {
    name: String,
    text: String,
    /// Where the bytes stop being UTF-8, if they do.
    not_utf8: Option<usize>,
    /// The offset of each line's first byte; never empty.
    line_starts: Vec<usize>,
}

impl Source {
    /// Longest document, in bytes: a suite is many small files, and a megabyte is a generator's slip.
    pub const BYTES_MAX: usize = 1024 * 1024;
    /// Deepest nesting of lists and maps: three times what the language can use.
    pub const NESTING_MAX: usize = 32;
    /// Most values in one document, so that a small file cannot become a large tree.
    pub const NODES_MAX: usize = 100_000;

    /// A document under the name (a path, usually) that its author knows it by.
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        let text = text.into();
        let line_starts =
            std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { name: name.into(), text, not_utf8: None, line_starts }
    }

    /// A document from a file's bytes.
    ///
    /// Bytes that are not UTF-8 are replaced, so that the rest can still be shown; parsing refuses
    /// the document and points at the first of them.
    pub fn from_bytes(name: impl Into<String>, bytes: &[u8]) -> Self {
        let not_utf8 = std::str::from_utf8(bytes).err().map(|error| error.valid_up_to());
        Self { not_utf8, ..Self::new(name, String::from_utf8_lossy(bytes)) }
    }

    /// The name as the user wrote it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The whole text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The offset of the first byte that is not UTF-8.
    pub fn not_utf8(&self) -> Option<usize> {
        self.not_utf8
    }

    /// Line and column of a byte.
    ///
    /// An offset inside a character or behind the end counts as the nearest position before it.
    pub fn position(&self, offset: usize) -> Position {
        let offset = self.text.floor_char_boundary(offset);
        let line = self.line_starts.partition_point(|&start| start <= offset);
        let start = self.line_starts[line - 1];
        Position { line, column: 1 + self.text[start..offset].chars().count() }
    }

    /// The bytes of the line that an offset is on, without its line break.
    pub fn line_at(&self, offset: usize) -> std::ops::Range<usize> {
        let line = self.line_starts.partition_point(|&start| start <= offset);
        let start = self.line_starts[line - 1];
        let end = self.line_starts.get(line).copied().unwrap_or(self.text.len());
        start..start + self.text[start..end].trim_end_matches(['\n', '\r']).len()
    }
}

/// A place as people count: both numbers begin at 1, columns are characters.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Position {
    /// The line, from 1.
    pub line: usize,
    /// The character in the line, from 1.
    pub column: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_lines_and_characters() {
        let source = Source::new("s.yaml", "a: 1\r\nbé: ü\n\nlast");
        for (offset, line, column) in [
            (0, 1, 1),
            (3, 1, 4),
            (6, 2, 1),
            (7, 2, 2),
            (8, 2, 2), // inside `é`
            (9, 2, 3),
            (14, 3, 1),
            (15, 4, 1),
            (19, 4, 5),
            (usize::MAX, 4, 5),
        ] {
            assert_eq!(source.position(offset), Position { line, column }, "{offset}");
        }
    }

    #[test]
    fn a_line_ends_before_its_break() {
        let source = Source::new("s.yaml", "a: 1\r\nbb\n");
        for (offset, line) in [(0, "a: 1"), (5, "a: 1"), (6, "bb"), (8, "bb"), (9, ""), (99, "")] {
            assert_eq!(&source.text()[source.line_at(offset)], line, "{offset}");
        }
    }

    #[test]
    fn bytes_that_are_not_utf8_are_remembered() {
        let source = Source::from_bytes("s.yaml", b"a: \xff1");
        assert_eq!(source.not_utf8(), Some(3));
        assert_eq!(source.text(), "a: \u{fffd}1");
        assert_eq!(Source::from_bytes("s.yaml", "ü".as_bytes()).not_utf8(), None);
    }
}
