//! Does the claim in each bundled file's name hold?

use std::{collections::BTreeSet, fs};

use brownout::scenario::Suite;

use crate::program::{brownout, root, scratch};

#[test]
fn the_bundled_suite_holds() {
    let ran = brownout(&["run", "scenarios"]);
    assert_eq!(ran.code, Some(0), "{}\n{}", ran.stdout, ran.stderr);
    assert!(ran.stderr.is_empty(), "{}", ran.stderr);
}

/// A claim that holds by luck is none.
#[test]
fn the_bundled_suite_holds_whatever_the_seed() {
    for seed in ["1", "2", "3"] {
        let ran = brownout(&["run", "scenarios", "--seed", seed]);
        assert_eq!(ran.code, Some(0), "seed {seed}\n{}", ran.stdout);
    }
}

/// However a scenario is named, its seed is the same: the line that replays it names its file.
#[test]
fn a_scenario_replays_by_its_file() {
    let journal = |name: &str, arguments: &[&str]| {
        let path = scratch("replay", name, "");
        let path = path.to_str().unwrap();
        assert_eq!(brownout(&[&["run", "--journal", path], arguments].concat()).code, Some(0));
        let text = fs::read_to_string(path).unwrap();
        text.lines().skip(2).map(str::to_owned).collect::<Vec<_>>()
    };
    let in_suite = journal("suite.jsonl", &["scenarios", "--only", "errors/a-500"]);
    assert!(in_suite.len() > 6);
    assert_eq!(in_suite, journal("folder.jsonl", &["scenarios/errors", "--only", "a-500"]));
    assert_eq!(in_suite, journal("file.jsonl", &["./scenarios/errors/a-500-is-retried.yaml"]));
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let play = |name: &str, seed: &str| {
        let report = scratch("same-seed", &format!("{name}.json"), "");
        let journal = scratch("same-seed", &format!("{name}.jsonl"), "");
        let (report, journal) = (report.to_str().unwrap(), journal.to_str().unwrap());
        let arguments =
            ["run", "scenarios", "--seed", seed, "--json", report, "--journal", journal];
        assert_eq!(brownout(&arguments).code, Some(0), "seed {seed}");
        (fs::read(report).unwrap(), fs::read(journal).unwrap())
    };
    let first = play("first", "0x7");
    assert!(first == play("second", "7"), "two runs of one seed differ");
    assert!(first.1 != play("third", "8").1, "two seeds give one journal");
}

/// File names are claims, and no two scenarios claim the same.
#[test]
fn every_bundled_scenario_says_what_it_claims_and_why() {
    let suite = Suite::read(&[root().join("scenarios")]).unwrap();
    assert!(suite.scenarios.len() >= 16);
    let names: BTreeSet<&str> =
        suite.scenarios.iter().map(|scenario| scenario.document.name.as_str()).collect();
    assert_eq!(names.len(), suite.scenarios.len());
    for scenario in &suite.scenarios {
        assert!(scenario.document.about.is_some(), "{} says no why", scenario.id);
    }
}

/// What holds in virtual time holds by the wall clock: only the connector differs.
#[test]
fn short_scenarios_hold_over_sockets_too() {
    for id in [
        "auth",
        "requests",
        "errors/a-504",
        "network/a-reset",
        "network/a-truncated",
        "streams/a-cut",
        "streams/an-error",
        "fallback/a-refused-key",
    ] {
        let ran = brownout(&["run", "scenarios", "--real-time", "--only", id]);
        assert_eq!(ran.code, Some(0), "{id}: {}\n{}", ran.stdout, ran.stderr);
    }
}
