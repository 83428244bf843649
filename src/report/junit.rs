//! The report that a CI server reads: a suite for each scenario, a case for each claim.
//!
//! What is broken is a failure. What is undecided is an error: no server knows the difference
//! between that and a pass otherwise.

use std::io;

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use super::{SuiteReport, words};
use crate::{
    scenario::Scenario,
    verdict::{Finding, Place, Spending, Status},
};

/// Writes the report on a suite.
pub fn write(report: &SuiteReport, out: &mut dyn io::Write) -> io::Result<()> {
    let mut whole = Report::new("brownout");
    for scenario in &report.scenarios {
        let mut suite = TestSuite::new(scenario.title());
        match &scenario.judged {
            None => {
                let mut status = TestCaseStatus::skipped();
                status.set_message("it judges the built-in client's own settings");
                suite.add_test_case(case(&scenario.scenario, "not applicable", status));
            }
            Some((_, verdict)) => {
                for (name, value) in spending(&verdict.spending) {
                    suite.add_property((name, value.as_str()));
                }
                for finding in &verdict.findings {
                    let name = name(&scenario.scenario, finding);
                    suite.add_test_case(case(&scenario.scenario, &name, outcome(finding)));
                }
                if verdict.findings.is_empty() {
                    let status = TestCaseStatus::success();
                    suite.add_test_case(case(&scenario.scenario, "house rules", status));
                }
            }
        }
        whole.add_test_suite(suite);
    }
    whole.serialize(&mut *out).map_err(io::Error::other)
}

/// What was billed, as properties of a suite; none if nothing was.
fn spending(spending: &Spending) -> Vec<(&'static str, String)> {
    if spending.is_nothing() {
        return Vec::new();
    }
    let Spending { billed, delivered } = spending;
    let mut properties = vec![
        ("attempts", billed.attempts.to_string()),
        ("billed-input-tokens", billed.input_tokens.to_string()),
        ("billed-output-tokens", billed.output_tokens.to_string()),
        ("delivered-input-tokens", delivered.input_tokens.to_string()),
        ("delivered-output-tokens", delivered.output_tokens.to_string()),
    ];
    properties.extend(billed.cost.map(|cost| ("billed-cost", cost.to_string())));
    properties.extend(delivered.cost.map(|cost| ("delivered-cost", cost.to_string())));
    properties
}

fn case(scenario: &Scenario, name: &str, status: TestCaseStatus) -> TestCase {
    let mut case = TestCase::new(name, status);
    case.set_classname(scenario.id.as_str());
    case.extra.insert("file".into(), scenario.source.name().into());
    case
}

/// What a claim is called: the author's key, with its place among the expectations.
fn name(scenario: &Scenario, finding: &Finding) -> String {
    let expectations = scenario.document.expect.iter().flatten();
    match finding.place {
        Place::Expectation(index) => {
            let name =
                expectations.into_iter().nth(index).map_or("?", |expectation| expectation.name());
            format!("{}: {name}", index + 1)
        }
        Place::Connection(index) => format!("connection {}: {}", index + 1, finding.code),
        Place::House => format!("house rule: {}", finding.code),
        Place::Rule(index) => format!("rule {}: {}", index + 1, finding.code),
        Place::Scenario => finding.code.to_owned(),
    }
}

fn outcome(finding: &Finding) -> TestCaseStatus {
    let kind = match finding.status {
        _ if finding.allowed => return TestCaseStatus::success(),
        Status::Pass => return TestCaseStatus::success(),
        Status::Fail => NonSuccessKind::Failure,
        Status::Inconclusive => NonSuccessKind::Error,
    };
    let mut status = TestCaseStatus::non_success(kind);
    status.set_type(finding.code);
    status.set_message(words::finding(finding));
    status
}
