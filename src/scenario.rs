//! The scenario language: from text to something that cannot be wrong.
//!
//! Text becomes a tree of nodes with places; the tree is checked against the schema of the
//! [`Document`]; only a tree without a structural mistake is decoded; and what the types cannot
//! say is checked last. Every stage reports all that it finds.

mod compile;
mod decode;
mod diagnostic;
mod document;
mod invisible;
mod shape;
mod source;
mod strategy;
mod suite;
mod tree;

use std::{ops::Range, sync::Arc, time::Duration};

use mock_server::plan::Plan;

pub use diagnostic::{Diagnostic, Label, Style, render};
pub use document::{
    Amplification, ArrivalSpread, Arrivals, Bounds, BuiltIn, Client, ConnectionEntry,
    ConnectionWhen, Count, Document, Expectation, Factor, Formula, FormulaJitter, Outcome, Peak,
    Prompt, PromptTokens, RuleEntry, ShareIn, TargetName, TimesMean, Waits,
};
pub use source::{Position, Source};
pub use strategy::{
    AdaptiveConcurrency, AwsBudget, Backoff, Breaker, Budget, ConcurrentBudget, GrpcBudget, Hedge,
    HedgeAfter, HintSpread, Hints, Jitter, Limits, RatioBudget, State, Strategy, Throttle,
    Timeouts,
};
pub use suite::{Broken, Suite, SuiteError};

use tree::{Node, Step};

/// How long a command may take, unless its scenario says otherwise: SDKs need up to 15 s to start
/// on a busy machine, and the waits of a scenario are seconds.
const COMMAND_LIMIT: Duration = Duration::from_secs(60);

/// How long the built-in client may take in virtual time, where a day costs nothing.
const VIRTUAL_LIMIT: Duration = Duration::from_secs(86_400);

/// A scenario that cannot be wrong, with the table from its parts to their places in the file.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Its path inside the suite, without the extension.
    pub id: String,
    /// Its folder and file name, without the extension: the address of its draws. It does not
    /// depend on how the file was named, or a replay by file would meet other luck than the suite.
    pub address: String,
    /// The file.
    pub source: Arc<Source>,
    /// What it says.
    pub document: Document,
    /// What the provider does.
    pub plan: Arc<Plan>,
    tree: Arc<Node>,
}

impl Scenario {
    /// Reads a scenario, or tells everything that is wrong with it.
    pub fn read(id: &str, address: &str, source: Source) -> Result<Self, Vec<Diagnostic>> {
        compile::scenario(id, address, source)
    }

    /// How long the client may take, by the wall for a command and in virtual time without one.
    pub fn time_limit(&self, command: bool) -> Duration {
        let default = if command { COMMAND_LIMIT } else { VIRTUAL_LIMIT };
        self.document.time_limit.map_or(default, |limit| limit.0)
    }

    /// Where an expectation is written.
    pub fn expectation_place(&self, index: usize) -> Range<usize> {
        let name = self.document.expect.iter().flatten().nth(index).map(Expectation::name);
        let list = [Step::Key("expect"), Step::Index(index)];
        match name {
            Some(name) => self.tree.key_place(&[list[0], list[1], Step::Key(name)]),
            None => self.tree.key_place(&list[..1]),
        }
    }

    /// Where a rule is written.
    pub fn rule_place(&self, index: usize) -> Range<usize> {
        let keys = ["script", "fault"].iter();
        let paths = keys.map(|key| [Step::Key("rules"), Step::Index(index), Step::Key(key)]);
        let mut paths = paths.filter(|path| self.tree.at(path).is_some());
        match paths.next() {
            Some(path) => self.tree.key_place(&path),
            None => self.tree.key_place(&[Step::Key("rules"), Step::Index(index)]),
        }
    }

    /// Where a connection entry is written.
    pub fn connection_place(&self, index: usize) -> Range<usize> {
        self.tree.key_place(&[Step::Key("connections"), Step::Index(index), Step::Key("fault")])
    }

    /// Where its name is written: the place of whatever has no other.
    pub fn name_place(&self) -> Range<usize> {
        self.tree.place(&[Step::Key("name")])
    }
}
