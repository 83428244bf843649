//! What lines of CSV are made of.

use std::borrow::Cow;

/// A field, in quotes where [RFC 4180](https://www.rfc-editor.org/rfc/rfc4180#section-2) asks for them.
pub(super) fn field(text: &str) -> Cow<'_, str> {
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\"")).into()
    } else {
        text.into()
    }
}
