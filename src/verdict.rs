//! What a run shows about its client: findings, each with its evidence.
//!
//! Judging is a plain function of the journal and of what is known about the application.
//! It looks at nothing else, so the same evidence gives the same verdict, whenever and wherever.

mod calls;
mod house;
mod judge;
mod likelihood;
mod outcome;
mod spending;
mod waits;

use std::time::Duration;

use mock_server::{
    action::ErrorKind, engine::RuleReport, journal::Entry, lanes::LaneRefusal, plan::ProviderName,
};

pub use calls::{Attempt, Call, calls};
pub use judge::judge;
pub use outcome::MarkCount;
pub use spending::{Spending, Spent};

use crate::scenario::{self, BuiltIn, Formula, Scenario};

/// Everything that is known about a run.
#[derive(Clone, Copy, Debug)]
pub struct Evidence<'a> {
    /// What was to happen.
    pub scenario: &'a Scenario,
    /// What happened.
    pub entries: &'a [Entry],
    /// How far each rule got.
    pub rules: &'a [RuleReport],
    /// Whether something happened that is not in the entries.
    pub journal_full: bool,
    /// How often the server had no room for a connection.
    pub connection_limit_hits: u64,
    /// Why requests got no lane, and how many did not.
    pub lane_refusals: Option<(LaneRefusal, u64)>,
    /// Who made the requests.
    pub application: &'a Application,
    /// How well times were measured.
    pub precision: Precision,
}

/// Who made the requests, and what is known of its end.
#[derive(Clone, Debug)]
pub enum Application {
    /// The built-in client; its outcomes are in the journal.
    BuiltIn {
        /// Whether it was stopped at the time limit.
        over_time: bool,
    },
    /// A command.
    Command(CommandEnd),
    /// Somebody whose end is not seen; what they post is in the journal.
    Unseen,
}

/// How a command ended.
#[derive(Clone, Debug)]
pub struct CommandEnd {
    /// What it ended with.
    pub exit: Exit,
    /// The marks of answers that stood in its output.
    pub marks: Vec<MarkCount>,
}

/// What a command ended with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// An exit code.
    Code(i32),
    /// It was ended at the time limit.
    OverTime,
    /// A signal.
    Signal(i32),
}

/// How well times were measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Precision {
    /// What a lower bound may be missed by: the clock's own error.
    pub error: Duration,
    /// What an upper bound may be missed by: everything that a busy machine adds.
    pub slack: Duration,
    /// Whether the machine was too busy for upper bounds to mean anything.
    pub starved: bool,
}

/// All findings of a run.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// The findings: built-in ones that were made, then one for each expectation.
    pub findings: Vec<Finding>,
    /// The attempts of the run.
    pub attempts: u64,
    /// The calls of the run.
    pub calls: u64,
    /// From the first request to the last end.
    pub elapsed: Duration,
    /// What its attempts were billed.
    pub spending: Spending,
}

/// What a claim came to; a greater one outweighs a lesser.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Status {
    /// It held, and there is evidence for it.
    Pass,
    /// The evidence does not decide.
    Inconclusive,
    /// It is broken.
    Fail,
}

/// One claim with what it came to.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// What kind of finding it is: stable, and the same in every report.
    pub code: &'static str,
    /// What it came to.
    pub status: Status,
    /// Where the claim is written.
    pub place: Place,
    /// How many times there was something to judge.
    pub exercised: u64,
    /// What went against it, in the order in which it happened.
    pub violations: Vec<Violation>,
    /// Whether the scenario allows it: then it is told, and counts for nothing.
    pub allowed: bool,
}

/// Where a claim is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// A connection entry, counted from 0.
    Connection(usize),
    /// An expectation, counted from 0.
    Expectation(usize),
    /// A house rule, which no line of the file states.
    House,
    /// A rule, counted from 0.
    Rule(usize),
    /// The scenario as a whole.
    Scenario,
}

/// Something that went against a claim, with the numbers that show it.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "the fields are the numbers of the variant's own sentence")]
pub enum Violation {
    /// The attempts may be different calls'.
    Ambiguous,
    /// So much more was sent than asked for.
    Amplified { attempts: u64, calls: u64, at_most: scenario::Factor },
    /// A call, or the run, has another number of attempts.
    Attempts { call: Option<u64>, seen: u64, asked: scenario::Count },
    /// A cut answer was taken for a whole one.
    CutAccepted { call: u64, attempt: u64 },
    /// A wait was shorter than the server asked.
    Early { call: u64, attempt: u64, waited: Duration, asked: Duration, error: Duration },
    /// A request came after a script that was to be the end.
    BeyondScript { call: u64, attempt: u64 },
    /// The command ended with an error.
    CommandFailed { exit: Exit },
    /// The server had no room for connections.
    ConnectionLimit { most: usize, hits: u64 },
    /// The journal reached its limit.
    JournalFull { entries: usize },
    /// Requests asked for lanes that they could not have.
    LaneRefused { why: LaneRefusal, requests: u64 },
    /// A call waited the same again and again.
    NoBackoff { call: u64, waits: Vec<Duration> },
    /// No request came.
    NoRequest,
    /// There was nothing to judge.
    NotExercised { what: &'static str },
    /// A wait lies outside of its formula's envelope.
    OffEnvelope { call: u64, attempt: u64, waited: Duration, least: Duration, most: Duration },
    /// The application got another outcome.
    Outcome { call: Option<u64>, asked: scenario::Outcome, seen: SeenOutcome },
    /// Providers were tried in another order.
    Order { call: u64, seen: Vec<ProviderName>, asked: Vec<ProviderName> },
    /// The client was still running at the time limit.
    OverTime { limit: Duration },
    /// The busiest second was too busy.
    Peak { at: Duration, seen: u64, mean_millis: u64, asked: scenario::TimesMean },
    /// A final error was answered by the same request.
    Retried { call: u64, error: ErrorKind, attempt: u64, times: u64 },
    /// A rule never acted.
    RuleNeverActed { hits: u64 },
    /// No call came to the end of a script.
    ScriptUnfinished { acted: u64 },
    /// A share of calls or answers is too small.
    Share { of: SharedThing, seen: u64, all: u64, asked: scenario::ShareIn },
    /// The machine was too busy to measure.
    Starved { slack: Duration },
    /// The run was too short or too long.
    Time { seen: Duration, asked: scenario::Bounds, slack: Duration },
    /// A call has too many attempts for any purpose.
    Unbounded { call: u64, provider: ProviderName, seen: u64 },
    /// The waits are all but impossible under their formula.
    Unlikely { formula: Formula, samples: usize, one_in: f64 },
    /// A request that no dialect serves.
    Unserved { attempt: u64, method: String, path: String, provider: ProviderName },
}

/// What a share is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SharedThing {
    /// Answers that came from a provider.
    ServedBy(ProviderName),
    /// Calls that succeeded.
    Success,
}

/// What is known of an application's outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SeenOutcome {
    /// It failed, or could not have succeeded.
    Failure,
    /// It got a whole answer.
    Success,
    /// The evidence does not tell.
    Unknown,
    /// It says that it got an answer, and none was sent.
    Untrue,
}

impl Violation {
    /// The call that it speaks of, if it is one call's doing.
    pub fn call(&self) -> Option<u64> {
        match *self {
            Self::Attempts { call, .. } | Self::Outcome { call, .. } => call,
            Self::BeyondScript { call, .. }
            | Self::CutAccepted { call, .. }
            | Self::Early { call, .. }
            | Self::NoBackoff { call, .. }
            | Self::OffEnvelope { call, .. }
            | Self::Order { call, .. }
            | Self::Retried { call, .. }
            | Self::Unbounded { call, .. } => Some(call),
            Self::Ambiguous
            | Self::Amplified { .. }
            | Self::CommandFailed { .. }
            | Self::ConnectionLimit { .. }
            | Self::JournalFull { .. }
            | Self::LaneRefused { .. }
            | Self::NoRequest
            | Self::NotExercised { .. }
            | Self::OverTime { .. }
            | Self::Peak { .. }
            | Self::RuleNeverActed { .. }
            | Self::ScriptUnfinished { .. }
            | Self::Share { .. }
            | Self::Starved { .. }
            | Self::Time { .. }
            | Self::Unlikely { .. }
            | Self::Unserved { .. } => None,
        }
    }
}

impl Verdict {
    /// What the run came to: its worst finding that is not allowed.
    pub fn status(&self) -> Status {
        let counted = self.findings.iter().filter(|finding| !finding.allowed);
        counted.map(|finding| finding.status).max().unwrap_or(Status::Pass)
    }
}

impl Finding {
    /// A built-in finding.
    fn built_in(kind: BuiltIn, status: Status, place: Place, violation: Violation) -> Self {
        let violations = vec![violation];
        Self { code: kind.name(), status, place, exercised: 1, violations, allowed: false }
    }

    /// The finding about a claim: broken if anything went against it, undecided if there was
    /// nothing to judge.
    fn of(code: &'static str, place: Place, exercised: u64, violations: Vec<Violation>) -> Self {
        let status = if violations.is_empty() { Status::Pass } else { Status::Fail };
        Self { code, status, place, exercised, violations, allowed: false }
    }
}
