//! Plays scenarios: starts the provider, lets a client loose on it, and keeps what happened.
//!
//! Without a command the built-in client runs against the server in one process, in virtual time.
//! With one, each scenario gets a fresh server on a free port, and one run of the command.

mod command;
mod environment;
mod marks;
mod probe;
mod socket;
mod virtual_time;

use std::{collections::BTreeSet, time::Duration};

use mock_server::{
    draw::Draws,
    engine::RuleReport,
    journal::Entry,
    lane::Lane,
    lanes::{LaneName, LaneRefusal, Lanes},
};
use resilience_core::{Mistakes, PolicyMistake};

pub use command::{CommandError, CommandLine};
pub use environment::{Variable, provider_urls, variables, work_variables};

pub(crate) use virtual_time::client_seed;

use crate::{
    client::CallReport,
    scenario::Scenario,
    verdict::{Application, Evidence, Precision, Verdict, judge},
};

/// What is played.
#[derive(Clone, Debug)]
pub enum Mode {
    /// The built-in client over sockets, by the wall clock.
    BuiltInRealTime,
    /// The built-in client in virtual time.
    BuiltInVirtual,
    /// A command.
    Command(CommandLine),
}

/// Everything that is known about one lane's run of a scenario.
#[derive(Clone, Debug)]
pub struct Record {
    /// The lane.
    pub lane: LaneName,
    /// The seed of the run.
    pub seed: u64,
    /// What happened.
    pub entries: Vec<Entry>,
    /// How far each rule got.
    pub rules: Vec<RuleReport>,
    /// Whether something happened that is not in the entries.
    pub journal_full: bool,
    /// How often the server had no room for a connection.
    pub connection_limit_hits: u64,
    /// Why requests got no lane, and how many did not.
    pub lane_refusals: Option<(LaneRefusal, u64)>,
    /// Who made the requests.
    pub application: Application,
    /// How well times were measured.
    pub precision: Precision,
    /// How long it took by the wall.
    pub took: Duration,
}

/// Why a scenario could not be played.
#[derive(Debug, thiserror::Error)]
pub enum PlayError {
    /// The command could not be run.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// No loopback port could be had, or one was lost.
    #[error("cannot listen on a loopback port")]
    Listen(#[source] std::io::Error),
    /// The client's settings contradict each other.
    #[error("the client's settings contradict each other: {0}")]
    Settings(Mistakes<PolicyMistake>),
}

impl Mode {
    /// Whether a scenario means anything for it.
    pub fn suits(&self, scenario: &Scenario) -> bool {
        !(matches!(self, Self::Command(_)) && scenario.document.client.only)
    }
}

impl Record {
    /// What a lane knows of a run.
    pub fn of(
        name: LaneName,
        lane: &Lane,
        seed: u64,
        application: Application,
        precision: Precision,
        took: Duration,
    ) -> Self {
        let journal = lane.journal();
        Self {
            lane: name,
            seed,
            entries: journal.entries().to_vec(),
            rules: lane.rule_reports(),
            journal_full: journal.is_full(),
            connection_limit_hits: lane.connection_limit_hits(),
            lane_refusals: lane.lane_refusals(),
            application,
            precision,
            took,
        }
    }

    /// What the lanes of a server know of a run, one after the other.
    fn of_all(
        lanes: &Lanes,
        seed: u64,
        application: &Application,
        precision: Precision,
        took: Duration,
    ) -> Vec<Self> {
        let records = lanes
            .all()
            .into_iter()
            .map(|(name, lane)| Self::of(name, &lane, seed, application.clone(), precision, took));
        let mut records: Vec<Self> = records.collect();
        // Nobody went to the default lane, and nothing is told of it: the others are the run.
        let unused = |record: &Self| {
            record.entries.is_empty()
                && record.connection_limit_hits == 0
                && record.lane_refusals.is_none()
        };
        if records.len() > 1 && records.first().is_some_and(unused) {
            records.remove(0);
        }
        records
    }

    /// Judges the run.
    pub fn judge(&self, scenario: &Scenario) -> Verdict {
        judge(&Evidence {
            scenario,
            entries: &self.entries,
            rules: &self.rules,
            journal_full: self.journal_full,
            connection_limit_hits: self.connection_limit_hits,
            lane_refusals: self.lane_refusals,
            application: &self.application,
            precision: self.precision,
        })
    }
}

/// Plays a scenario once: a record for each lane that was used, and at least one.
///
/// Must be awaited on a runtime whose clock runs; virtual time gets a runtime of its own.
pub async fn play(scenario: &Scenario, mode: &Mode, seed: u64) -> Result<Vec<Record>, PlayError> {
    match mode {
        Mode::BuiltInRealTime => socket::built_in(scenario, seed).await,
        Mode::BuiltInVirtual => {
            let scenario = scenario.clone();
            let played = tokio::task::spawn_blocking(move || virtual_time::play(&scenario, seed));
            match played.await {
                Ok(records) => records,
                Err(error) => std::panic::resume_unwind(error.into_panic()),
            }
        }
        Mode::Command(line) => socket::command(scenario, line, seed).await,
    }
}

/// The draws of a scenario in a run.
pub fn draws(scenario: &Scenario, seed: u64) -> Draws {
    Draws::new(seed).of(&scenario.address)
}

/// Records how the built-in client's calls went, as an application would post them, in the lanes
/// that they came to.
fn post(lanes: &Lanes, reports: &[CallReport]) {
    let others = lanes.all().into_iter().skip(1);
    let others: Vec<(Lane, BTreeSet<String>)> =
        others.map(|(_, lane)| (lane.clone(), called(&lane))).collect();
    for report in reports {
        let mut heard = others.iter().filter(|(_, calls)| calls.contains(&report.name)).peekable();
        // A call that came to nobody is the default lane's.
        let default = heard.peek().is_none().then(|| lanes.default_lane());
        for lane in heard.map(|(lane, _)| lane).chain(default) {
            lane.post_outcome(Some(report.name.clone()), report.result.is_ok(), Some(report.began));
        }
    }
}

/// The names of the calls that came to a lane.
fn called(lane: &Lane) -> BTreeSet<String> {
    let journal = lane.journal();
    let names = journal.entries().iter().filter_map(|entry| match entry {
        Entry::Claimed(claimed) => claimed.call_name.clone(),
        Entry::Connection(_) | Entry::Ended(_) | Entry::Outcome(_) => None,
    });
    names.collect()
}
