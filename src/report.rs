//! Verdicts and measurements, rendered: for a terminal, for a CI server, for programs.
//!
//! A report is a function of the verdict. It looks at nothing else, and writing it changes nothing.

pub mod bench;
mod csv;
mod journal;
mod json;
mod junit;
mod reproduction;
mod table;
mod terminal;
pub mod tune;
mod words;

use std::time::Duration;

use mock_server::lanes::LaneName;

pub use journal::write as write_journal;
pub use json::{scenario as scenario_json, write as write_json};
pub use junit::write as write_junit;
pub use reproduction::{
    Reproduced, list_anchors, write_csv as reproductions_csv, write_json as reproductions_json,
    write_sum as reproductions_sum,
};
pub use terminal::{Terminal, printable};

use crate::{
    harness::{Mode, Record},
    scenario::Scenario,
    verdict::{Spending, Status, Verdict},
};

/// What became of a suite.
#[derive(Clone, Debug)]
pub struct SuiteReport {
    /// The seed of the run.
    pub seed: u64,
    /// What was played.
    pub mode: Mode,
    /// The scenarios, in their order.
    pub scenarios: Vec<ScenarioReport>,
    /// How long it took by the wall.
    pub took: Duration,
}

/// What became of one scenario, in one lane.
#[derive(Clone, Debug)]
pub struct ScenarioReport {
    /// The scenario.
    pub scenario: Scenario,
    /// The run and its verdict; none if the scenario means nothing for a command.
    pub judged: Option<(Record, Verdict)>,
}

/// How many scenarios came to what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Broken.
    pub failed: usize,
    /// Undecided.
    pub inconclusive: usize,
    /// Held.
    pub passed: usize,
    /// Not applicable to what was run.
    pub skipped: usize,
}

impl SuiteReport {
    /// How many scenarios came to what.
    pub fn summary(&self) -> Summary {
        let mut summary = Summary::default();
        for report in &self.scenarios {
            match report.status() {
                None => summary.skipped += 1,
                Some(Status::Fail) => summary.failed += 1,
                Some(Status::Inconclusive) => summary.inconclusive += 1,
                Some(Status::Pass) => summary.passed += 1,
            }
        }
        summary
    }

    /// What all of them were billed.
    pub fn spending(&self) -> Spending {
        let judged = self.scenarios.iter().filter_map(|scenario| scenario.judged.as_ref());
        judged.fold(Spending::default(), |sum, (_, verdict)| sum.plus(verdict.spending))
    }
}

impl ScenarioReport {
    /// What tells it from the others: the scenario's id, with the lane if it is not the default one.
    pub fn title(&self) -> String {
        let id = printable(&self.scenario.id);
        match &self.judged {
            Some((record, _)) if record.lane != LaneName::default() => {
                format!("{id} [{}]", record.lane)
            }
            _ => id,
        }
    }

    /// What it came to; none if it was not applicable.
    pub fn status(&self) -> Option<Status> {
        self.judged.as_ref().map(|(_, verdict)| verdict.status())
    }
}
