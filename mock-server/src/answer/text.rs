//! A text that a stream sends in pieces.

use std::{
    ops::{Deref, Range},
    sync::Arc,
};

/// A text in the pieces in which a stream sends it: about a token each, nothing lost. Clones share
/// it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Text(Arc<str>);

impl Text {
    /// All of it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The pieces in their order.
    pub fn pieces(&self) -> impl Iterator<Item = &str> {
        self.0.split_inclusive(' ')
    }

    /// Where the pieces stand.
    pub(crate) fn ranges(&self) -> impl Iterator<Item = Range<usize>> {
        self.ranges_in(0..self.len())
    }

    /// Where the pieces stand in a part of it, which begins and ends as pieces do.
    pub(crate) fn ranges_in(&self, part: Range<usize>) -> impl Iterator<Item = Range<usize>> {
        let mut end = part.start;
        self.0[part].split_inclusive(' ').map(move |piece| {
            let start = end;
            end += piece.len();
            start..end
        })
    }

    /// Whether both are the same text, not only equal ones.
    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}
