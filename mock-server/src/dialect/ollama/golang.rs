//! How Go reads and writes JSON, as far as it shows: its complaints, and what it escapes.
//!
//! The texts are those of the package [`encoding/json`](https://pkg.go.dev/encoding/json).

use serde_json::Value;

/// Reads one value, and lets alone what follows it, as Go's decoder does.
///
/// None if there is nothing at all; otherwise what Go complains of.
pub(super) fn parsed(text: &[u8]) -> Result<Option<Value>, String> {
    match serde_json::Deserializer::from_slice(text).into_iter::<Value>().next() {
        None => Ok(None),
        Some(Ok(value)) => Ok(Some(value)),
        Some(Err(_)) => {
            let mut scanner = Scanner { text, at: 0, open: Vec::new() };
            match scanner.value() {
                Err(complaint) => Err(complaint),
                // Not more than is read here goes as deep as that.
                Ok(()) => Err("exceeded max depth".to_owned()),
            }
        }
    }
}

/// What a value is called that stands where another was expected.
pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// JSON as Go writes it: what could end a script in a page is escaped.
pub(super) fn written(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for letter in json.chars() {
        match letter {
            '<' => text.push_str("\\u003c"),
            '>' => text.push_str("\\u003e"),
            '&' => text.push_str("\\u0026"),
            '\u{2028}' => text.push_str("\\u2028"),
            '\u{2029}' => text.push_str("\\u2029"),
            other => text.push(other),
        }
    }
    text
}

/// Where a reader stands in a text, and what is open there.
struct Scanner<'a> {
    text: &'a [u8],
    at: usize,
    open: Vec<u8>,
}

impl Scanner<'_> {
    /// Reads one value with all that is in it.
    fn value(&mut self) -> Result<(), String> {
        loop {
            // A value begins here.
            match self.spaced()? {
                b'{' => {
                    self.enter(b'{')?;
                    if self.spaced()? == b'}' {
                        self.at += 1;
                        self.open.pop();
                    } else {
                        self.key("looking for beginning of object key string")?;
                        continue;
                    }
                }
                b'[' => {
                    self.enter(b'[')?;
                    if self.spaced()? != b']' {
                        continue;
                    }
                    self.at += 1;
                    self.open.pop();
                }
                b'"' => self.string()?,
                b'-' | b'0'..=b'9' => self.number()?,
                b't' => self.literal("true")?,
                b'f' => self.literal("false")?,
                b'n' => self.literal("null")?,
                other => return Err(invalid(other, "looking for beginning of value")),
            }
            // A value has ended: so may all that it stands in.
            loop {
                let Some(&open) = self.open.last() else { return Ok(()) };
                match (open, self.spaced()?) {
                    (b'{', b',') => {
                        self.at += 1;
                        self.spaced()?;
                        self.key("looking for beginning of object key string")?;
                        break;
                    }
                    (b'[', b',') => {
                        self.at += 1;
                        break;
                    }
                    (b'{', b'}') | (b'[', b']') => {
                        self.at += 1;
                        self.open.pop();
                    }
                    (b'{', other) => return Err(invalid(other, "after object key:value pair")),
                    (_, other) => return Err(invalid(other, "after array element")),
                }
            }
        }
    }

    fn enter(&mut self, bracket: u8) -> Result<(), String> {
        self.at += 1;
        self.open.push(bracket);
        // Go's own limit.
        if self.open.len() > 10_000 { Err("exceeded max depth".to_owned()) } else { Ok(()) }
    }

    fn key(&mut self, expected: &str) -> Result<(), String> {
        match self.peek()? {
            b'"' => self.string()?,
            other => return Err(invalid(other, expected)),
        }
        match self.spaced()? {
            b':' => self.at += 1,
            other => return Err(invalid(other, "after object key")),
        }
        Ok(())
    }

    fn string(&mut self) -> Result<(), String> {
        self.at += 1;
        loop {
            match self.next()? {
                b'"' => return Ok(()),
                b'\\' => match self.next()? {
                    b'b' | b'f' | b'n' | b'r' | b't' | b'\\' | b'/' | b'"' => {}
                    b'u' => {
                        for _ in 0..4 {
                            let digit = self.next()?;
                            if !digit.is_ascii_hexdigit() {
                                let place = "in \\u hexadecimal character escape";
                                return Err(invalid(digit, place));
                            }
                        }
                    }
                    other => return Err(invalid(other, "in string escape code")),
                },
                control @ 0..0x20 => return Err(invalid(control, "in string literal")),
                _ => {}
            }
        }
    }

    fn number(&mut self) -> Result<(), String> {
        if self.peek()? == b'-' {
            self.at += 1;
        }
        match self.next()? {
            b'0' => {}
            b'1'..=b'9' => self.digits(),
            other => return Err(invalid(other, "in numeric literal")),
        }
        if self.text.get(self.at) == Some(&b'.') {
            self.at += 1;
            let digit = self.next()?;
            if !digit.is_ascii_digit() {
                return Err(invalid(digit, "after decimal point in numeric literal"));
            }
            self.digits();
        }
        if matches!(self.text.get(self.at), Some(b'e' | b'E')) {
            self.at += 1;
            let mut digit = self.next()?;
            if matches!(digit, b'+' | b'-') {
                digit = self.next()?;
            }
            if !digit.is_ascii_digit() {
                return Err(invalid(digit, "in exponent of numeric literal"));
            }
            self.digits();
        }
        Ok(())
    }

    fn digits(&mut self) {
        while self.text.get(self.at).is_some_and(u8::is_ascii_digit) {
            self.at += 1;
        }
    }

    fn literal(&mut self, word: &str) -> Result<(), String> {
        for expected in word.bytes() {
            let found = self.next()?;
            if found != expected {
                let place = format!("in literal {word} (expecting '{}')", char::from(expected));
                return Err(invalid(found, &place));
            }
        }
        Ok(())
    }

    /// The next letter that is no space.
    fn spaced(&mut self) -> Result<u8, String> {
        while matches!(self.text.get(self.at), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
        self.peek()
    }

    fn peek(&self) -> Result<u8, String> {
        self.text.get(self.at).copied().ok_or_else(|| "unexpected EOF".to_owned())
    }

    fn next(&mut self) -> Result<u8, String> {
        let letter = self.peek()?;
        self.at += 1;
        Ok(letter)
    }
}

fn invalid(letter: u8, place: &str) -> String {
    let letter = match letter {
        b'\'' => "\\'".to_owned(),
        b'\\' => "\\\\".to_owned(),
        b'\n' => "\\n".to_owned(),
        b'\r' => "\\r".to_owned(),
        b'\t' => "\\t".to_owned(),
        control @ (0..0x20 | 0x7f) => format!("\\x{control:02x}"),
        other => char::from(other).to_string(),
    };
    format!("invalid character '{letter}' {place}")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// As Go 1.22 says it.
    #[test]
    fn complaints_are_those_of_go() {
        for (text, complaint) in [
            ("{}}", None),
            ("{", Some("unexpected EOF")),
            ("{,}", Some("invalid character ',' looking for beginning of object key string")),
            (
                "{\"a\":1,}",
                Some("invalid character '}' looking for beginning of object key string"),
            ),
            ("{\"a\" 1}", Some("invalid character '1' after object key")),
            ("{\"a\":1 \"b\"}", Some("invalid character '\"' after object key:value pair")),
            ("[1 2]", Some("invalid character '2' after array element")),
            ("[1,]", Some("invalid character ']' looking for beginning of value")),
            ("hello", Some("invalid character 'h' looking for beginning of value")),
            ("trux", Some("invalid character 'x' in literal true (expecting 'e')")),
            ("nul", Some("unexpected EOF")),
            ("\"a\nb\"", Some("invalid character '\\n' in string literal")),
            ("\"\\x\"", Some("invalid character 'x' in string escape code")),
            ("\"\\u12g4\"", Some("invalid character 'g' in \\u hexadecimal character escape")),
            ("-x", Some("invalid character 'x' in numeric literal")),
            ("[1.]", Some("invalid character ']' after decimal point in numeric literal")),
            ("[1e]", Some("invalid character ']' in exponent of numeric literal")),
            ("'a'", Some("invalid character '\\'' looking for beginning of value")),
        ] {
            let found = parsed(text.as_bytes()).err();
            assert_eq!(found.as_deref(), complaint, "{text}");
        }
        assert_eq!(parsed(b" \n"), Ok(None));
        let deep = "[".repeat(20_000);
        assert_eq!(parsed(deep.as_bytes()), Err("exceeded max depth".to_owned()));
    }

    proptest! {
        /// What is no JSON is complained of, and nothing panics.
        #[test]
        fn every_text_is_a_value_or_a_complaint(text in r#"[\[\]{}",:0-9a-z\\ \n.+-]{0,40}"#) {
            let read = serde_json::from_str::<Value>(&text);
            let parsed = parsed(text.as_bytes());
            prop_assert!(read.is_err() || parsed.is_ok());
        }
    }

    #[test]
    fn what_could_end_a_script_is_escaped() {
        assert_eq!(written("\"<b>&\u{2028}\""), "\"\\u003cb\\u003e\\u0026\\u2028\"");
    }
}
