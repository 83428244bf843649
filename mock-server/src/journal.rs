//! The append-only record of a run: what every report is made from.
//!
//! An attempt is recorded twice: when it is claimed, before its first byte goes out, and when it
//! has ended, with what was really sent. Nothing is ever dropped: at its limit the journal says so,
//! and a verdict on it is inconclusive.

use serde::{Deserialize, Serialize};

use crate::{
    action::{ErrorKind, HintForm},
    bill::Billed,
    identity::Evidence,
    plan::{ProviderName, Route},
    request::Fingerprint,
};

/// One line of the journal. Times are nanoseconds since the server began to listen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "entry", rename_all = "kebab-case")]
pub enum Entry {
    /// A request was read and its fate decided; nothing has been answered yet.
    Claimed(Box<Claimed>),
    /// An attempt is over.
    Ended(Ended),
    /// The application told how a call ended for it.
    Outcome(PostedOutcome),
    /// A connection was refused or accepted late on purpose.
    Connection(ConnectionEvent),
}

/// A request was read and its fate decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claimed {
    /// The attempt, counted from 1 in its lane.
    pub attempt: u64,
    /// When its fate was decided.
    pub at: u64,
    /// When its first byte was read.
    pub first_byte_at: u64,
    /// The connection it came on, counted from 1.
    pub connection: u64,
    /// The call it belongs to; none if no dialect serves it.
    pub call: Option<u64>,
    /// Why it belongs to that call.
    pub evidence: Option<Evidence>,
    /// What its conversation has in common with truncated and retried versions of it.
    #[serde(default)]
    pub conversation: u64,
    /// The call's name, if its header gives one.
    pub call_name: Option<String>,
    /// The HTTP method.
    pub method: String,
    /// The path without its query.
    pub path: String,
    /// Whose path it is, as far as it can be told.
    pub provider: ProviderName,
    /// The route; none if no dialect serves it.
    pub route: Option<Route>,
    /// The model asked for.
    pub model: String,
    /// The key's fingerprint.
    pub key: Fingerprint,
    /// Whether a stream is asked for.
    pub streaming: bool,
    /// The input's tokens, counted or estimated.
    pub input_tokens: u64,
    /// The most output tokens it asks for.
    #[serde(default)]
    pub output_tokens_max: Option<u64>,
    /// The rule that acted, and where in it.
    pub rule: Option<RuleHit>,
    /// The action's name; `answer` for the healthy answer.
    pub action: String,
    /// The error it is served, if it is one.
    pub error: Option<ErrorKind>,
    /// The wait that a header announces, in nanoseconds, and how it is written.
    pub retry_after: Option<(u64, HintForm)>,
    /// The mark that its answer carries.
    pub mark: Option<String>,
}

/// Which rule acted, on which hit, with which step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleHit {
    /// The rule, counted from 0 in its plan.
    pub rule: usize,
    /// The how-manieth match of the rule in its scope, from 1.
    pub hit: u64,
    /// The step of its script, counted from 0; none for a fault.
    pub step: Option<usize>,
    /// Whether the script was over and says `then: fail`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub beyond: bool,
}

/// An attempt is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// The attempt.
    pub attempt: u64,
    /// When it was over.
    pub at: u64,
    /// Stamped before the first byte of the answer was written; none if there was none.
    pub head_at: Option<u64>,
    /// The status that was sent; none if no head was.
    pub status: Option<u16>,
    /// The body bytes that were sent.
    pub body_bytes: u64,
    /// The events that were sent, if it was a stream.
    pub events: u64,
    /// Who ended it, and how.
    pub end: EndKind,
    /// What it was billed.
    #[serde(default, skip_serializing_if = "Billed::is_nothing")]
    pub billed: Billed,
}

/// Who ended an attempt, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EndKind {
    /// The client closed the connection first.
    ClientLeft,
    /// We closed it on purpose, inside the answer.
    Closed,
    /// The answer was sent to its end.
    Complete,
    /// We reset it on purpose.
    Reset,
    /// The server was stopped.
    Stopped,
}

/// The application told how a call ended for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PostedOutcome {
    /// When it told.
    pub at: u64,
    /// The call's name in its header; none means the run as a whole.
    pub call: Option<String>,
    /// When the call began for the application, if it told.
    pub began: Option<u64>,
    /// Whether the application got what it wanted.
    pub success: bool,
}

/// A connection met a rule before any request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectionEvent {
    /// When.
    pub at: u64,
    /// The connection, counted from 1; none while nothing listened.
    pub connection: Option<u64>,
    /// The rule, counted from 0 in its plan.
    pub rule: usize,
}

/// The entries of one lane.
#[derive(Clone, Debug)]
pub struct Journal {
    entries: Vec<Entry>,
    entries_max: usize,
    full: bool,
}

impl Journal {
    /// An empty journal that ends at a number of entries.
    pub fn new(entries_max: usize) -> Self {
        Self { entries: Vec::new(), entries_max, full: false }
    }

    /// Appends an entry, or notes that there was no room.
    pub fn record(&mut self, entry: Entry) {
        if self.entries.len() < self.entries_max {
            self.entries.push(entry);
        } else {
            self.full = true;
        }
    }

    /// The entries so far, in the order in which they happened.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Whether the limit was reached: something happened that is not in it.
    pub fn is_full(&self) -> bool {
        self.full
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_journal_keeps_what_it_has_and_says_so() {
        let entry =
            |at| Entry::Outcome(PostedOutcome { at, call: None, began: None, success: true });
        let mut journal = Journal::new(2);
        for at in 0..3 {
            journal.record(entry(at));
        }
        assert_eq!(journal.entries(), [entry(0), entry(1)]);
        assert!(journal.is_full());
    }
}
