//! The report that a program reads; `brownout.report/1`.
//!
//! In virtual time the same seed gives the same bytes: nothing by the wall is in it.

use std::io;

use serde_json::{Value, json};

use super::{SuiteReport, words};
use crate::{
    harness::{Mode, Record},
    scenario::Scenario,
    verdict::{Place, Spending, Spent, Status, Verdict},
};

/// The name and version of the format; a change that breaks a reader changes it.
const SCHEMA: &str = "brownout.report/1";

/// Writes the report on a suite.
pub fn write(report: &SuiteReport, out: &mut dyn io::Write) -> io::Result<()> {
    let summary = report.summary();
    let mode = match report.mode {
        Mode::BuiltInRealTime => "built-in, real time",
        Mode::BuiltInVirtual => "built-in, virtual time",
        Mode::Command(_) => "command",
    };
    let scenarios: Vec<Value> = report
        .scenarios
        .iter()
        .map(|report| match &report.judged {
            Some((record, verdict)) => scenario(&report.scenario, record, verdict),
            None => json!({
                "id": report.scenario.id,
                "name": report.scenario.document.name,
                "file": report.scenario.source.name(),
                "status": "not-applicable",
            }),
        })
        .collect();
    let whole = json!({
        "schema": SCHEMA,
        "brownout": env!("CARGO_PKG_VERSION"),
        "seed": format!("{:#x}", report.seed),
        "mode": mode,
        "summary": {
            "failed": summary.failed,
            "inconclusive": summary.inconclusive,
            "passed": summary.passed,
            "not-applicable": summary.skipped,
        },
        "spending": spending(report.spending()),
        "scenarios": scenarios,
    });
    serde_json::to_writer_pretty(&mut *out, &whole)?;
    writeln!(out)
}

/// The report on one scenario.
pub fn scenario(scenario: &Scenario, record: &Record, verdict: &Verdict) -> Value {
    let findings: Vec<Value> = verdict
        .findings
        .iter()
        .map(|finding| {
            let (kind, index, place) = match finding.place {
                Place::Connection(index) => {
                    ("connection", Some(index), scenario.connection_place(index))
                }
                Place::Expectation(index) => {
                    ("expectation", Some(index), scenario.expectation_place(index))
                }
                Place::House => ("house-rule", None, scenario.name_place()),
                Place::Rule(index) => ("rule", Some(index), scenario.rule_place(index)),
                Place::Scenario => ("scenario", None, scenario.name_place()),
            };
            let position = scenario.source.position(place.start);
            json!({
                "code": finding.code,
                "status": status(finding.status),
                "about": kind,
                "index": index,
                "line": position.line,
                "column": position.column,
                "exercised": finding.exercised,
                "allowed": finding.allowed,
                "violations": finding.violations.iter().map(ToString::to_string).collect::<Vec<_>>(),
                "message": words::finding(finding),
            })
        })
        .collect();
    json!({
        "id": scenario.id,
        "name": scenario.document.name,
        "file": scenario.source.name(),
        "lane": record.lane,
        "seed": format!("{:#x}", record.seed),
        "status": status(verdict.status()),
        "attempts": verdict.attempts,
        "calls": verdict.calls,
        "elapsed-ns": u64::try_from(verdict.elapsed.as_nanos()).unwrap_or(u64::MAX),
        "precision": {
            "error-ns": u64::try_from(record.precision.error.as_nanos()).unwrap_or(u64::MAX),
            "slack-ns": u64::try_from(record.precision.slack.as_nanos()).unwrap_or(u64::MAX),
            "starved": record.precision.starved,
        },
        "spending": spending(verdict.spending),
        "findings": findings,
    })
}

/// What was billed, and how much of it for answers that were sent whole.
fn spending(spending: Spending) -> Value {
    let spent = |spent: Spent| {
        json!({
            "attempts": spent.attempts,
            "input-tokens": spent.input_tokens,
            "output-tokens": spent.output_tokens,
            "cost": spent.cost.map(|cost| cost.to_string()),
            "cost-picodollars": spent.cost.map(|cost| cost.picodollars),
            "attempts-without-price": spent.unpriced,
        })
    };
    json!({ "billed": spent(spending.billed), "delivered": spent(spending.delivered) })
}

fn status(status: Status) -> &'static str {
    match status {
        Status::Fail => "fail",
        Status::Inconclusive => "inconclusive",
        Status::Pass => "pass",
    }
}
