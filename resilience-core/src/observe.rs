//! Watching calls from outside: what happened, as it happens, and how each ended.

use crate::outcome::Usage;
use crate::target::Target;
use crate::trace::{Entry, Finish, Trace};

/// Is told what the calls of a [`crate::Client`] do.
///
/// Observers are called without any lock, on the task of the call; a slow one delays that call and no other.
/// For each call, [`Observer::entry`] is told of every entry of its trace in order, and then [`Observer::ended`] exactly once, whether the call was served, stopped or dropped.
pub trait Observer: Send + Sync {
    /// Something happened in a call.
    fn entry(&self, call: u64, entry: &Entry, targets: &[Target]) {
        let _ = (call, entry, targets);
    }

    /// A call has ended.
    fn ended(&self, ended: &Ended<'_>) {
        let _ = ended;
    }
}

/// A call that has ended, and everything about it.
#[derive(Clone, Copy, Debug)]
pub struct Ended<'a> {
    /// The call's id.
    pub call: u64,
    /// How it ended.
    pub finish: Finish,
    /// Everything that happened.
    pub trace: &'a Trace,
    /// What the trace's targets are.
    pub targets: &'a [Target],
    /// What the answer cost, if there was one and its provider said so.
    pub usage: Option<Usage>,
}
