//! Characters that cannot be seen: to an author they are a space or nothing, to YAML a letter.

/// An invisible character in a text, and where it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Invisible {
    /// Its first byte.
    pub(super) at: usize,
    /// The character.
    pub(super) character: char,
}

impl Invisible {
    /// The first one in a text.
    pub(super) fn find(text: &str) -> Option<Self> {
        let mut chars = text.char_indices();
        chars.find(|(_, c)| is_invisible(*c)).map(|(at, character)| Self { at, character })
    }

    /// The first one that stands where YAML has its signs: before the first word of a line, or
    /// next to the `:` or `-` that the word ends with.
    pub(super) fn find_at_sign(text: &str) -> Option<Self> {
        let mut chars = text.char_indices().peekable();
        let mut before = '\n';
        while let Some((at, c)) = chars.next() {
            let next = chars.peek().map(|(_, next)| *next);
            if is_invisible(c) && (matches!(before, '\n' | ':' | '-') || next == Some(':')) {
                return Some(Self { at, character: c });
            }
            // The spaces that indent a line leave its first word the first.
            if !(c == ' ' && before == '\n') {
                before = c;
            }
        }
        None
    }

    /// What it is called, with an article.
    pub(super) fn name(self) -> String {
        let name = match self.character {
            '\u{a0}' | '\u{202f}' => "a no-break space",
            '\u{ad}' => "a soft hyphen",
            '\u{2000}'..='\u{200a}' | '\u{205f}' | '\u{1680}' => "a typographic space",
            '\u{200b}' => "a zero-width space",
            '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                "a mark of the writing direction"
            }
            '\u{3000}' => "an ideographic space",
            _ => "an invisible character",
        };
        format!("{name} (U+{:04X})", u32::from(self.character))
    }

    /// The way out.
    pub(super) fn help(self) -> &'static str {
        if self.character.is_whitespace() {
            "write a plain space, or nothing"
        } else {
            "remove it; it cannot be seen"
        }
    }

    /// Its bytes in a text that begins at an offset of the document.
    pub(super) fn place(self, start: usize) -> std::ops::Range<usize> {
        start + self.at..start + self.at + self.character.len_utf8()
    }
}

fn is_invisible(c: char) -> bool {
    (c.is_whitespace() && !c.is_ascii())
        || matches!(
            c,
            '\u{ad}'
                | '\u{180e}'
                | '\u{200b}'..='\u{200f}'
                | '\u{202a}'..='\u{202e}'
                | '\u{2060}'..='\u{2064}'
                | '\u{2066}'..='\u{2069}'
                | '\u{feff}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invisible_characters_are_found_at_signs_and_named() {
        for (text, found) in [
            ("name:\u{a0}x", Some((5, "a no-break space (U+00A0)"))),
            ("a: 1\n \u{200b}b: 2", Some((6, "a zero-width space (U+200B)"))),
            ("b\u{3000}: 2", Some((1, "an ideographic space (U+3000)"))),
            ("-\u{2060}b", Some((1, "an invisible character (U+2060)"))),
            ("a: x\u{a0}y", None),
            ("a: é", None),
        ] {
            let invisible = Invisible::find_at_sign(text);
            let found = found.map(|(at, name)| (at, name.to_owned()));
            assert_eq!(invisible.map(|one| (one.at, one.name())), found, "{text:?}");
        }
        assert!(Invisible::find("a: x\u{a0}y").is_some());
    }
}
