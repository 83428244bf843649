//! No spans: what [`crate::drive`] asks of them, at no cost.

use crate::target::Target;
use crate::trace::Entry;

/// The spans of a call, of which there are none.
pub(crate) struct Spans;

/// A future that is polled where it is.
pub(crate) type InSpan<F> = F;

impl Spans {
    pub(crate) fn new(_call: u64) -> Self {
        Self
    }

    pub(crate) fn wanted() -> bool {
        false
    }

    #[expect(clippy::unused_self, reason = "the same as with spans")]
    pub(crate) fn carry<F>(&self, _attempt: u32, send: impl FnOnce() -> F) -> InSpan<F> {
        send()
    }

    #[expect(clippy::unused_self, reason = "the same as with spans")]
    pub(crate) fn within<T>(&self, _attempt: u32, step: impl FnOnce() -> T) -> T {
        step()
    }

    #[expect(clippy::unused_self, reason = "the same as with spans")]
    pub(crate) fn tell(&mut self, _entry: &Entry, _targets: &[Target]) {}
}
