//! Do the benches say what they measured, and does everything have its place in their report?

use std::{collections::BTreeSet, fs, process::Command};

use serde_json::Value;

use crate::program::{Ran, root, scratch};

fn python(arguments: &[&str]) -> Ran {
    let mut command = Command::new("python3");
    Ran::from(command.args(arguments).current_dir(root()).output().unwrap())
}

/// Reports on the results in a folder, by the pairs in a file.
fn report(folder: &str, pairs: &str, more: &[&str]) -> Ran {
    python(&[&["benches/report", "--from", folder, "--pairs", pairs], more].concat())
}

/// Results that were made up, of a bench of each kind: criterion's, one that tells figures, and one that was skipped.
const FOLDER: &str = "tests/benches/criterion";
const PAIRS: &str = "tests/benches/pairs.toml";

#[test]
fn a_report_sets_what_was_measured_beside_its_baseline() {
    let ran = report(FOLDER, PAIRS, &[]);
    let table = "
                            ours                  baseline              ratio                 target
race
  a step, by far too dear   20.0 ns [19.0, 21.0]  10.0 ns   the others  2.00 [1.85, 2.15]     at most 1.5: MISSED
  a step, perhaps too dear  20.0 ns [19.0, 21.0]  10.0 ns   the others  2.00 [1.85, 2.15]     at most 2: unclear
  a step of theirs          10.0 ns [9.75, 10.2]  20.0 ns   ours        0.500 [0.464, 0.539]  at most 1: met
walk
  uphill                    1.50 ms               3.00 ms   a bus       0.501 [0.450, 0.550]
  luggage                   128 KiB               2.00 KiB  a bus       64.0                  at most 80: met
swim
  a lane                    skipped                         a boat                            no water was found

targets: 2 met, 1 missed, 1 unclear
";
    assert_eq!(format!("\n{}", ran.stdout), table, "{}", ran.stderr);
    assert_eq!(ran.code, Some(0), "a missed target is told, and fails nothing");
}

#[test]
fn a_report_on_some_benches_leaves_out_the_others() {
    let ran = report(FOLDER, PAIRS, &["walk"]);
    assert!(ran.stdout.contains("luggage"), "{}{}", ran.stdout, ran.stderr);
    assert!(!ran.stdout.contains("a step"), "{}", ran.stdout);
}

#[test]
fn a_report_for_programs_has_the_numbers_of_the_table() {
    let file = scratch("bench-report", "rows.json", "");
    let ran = report(FOLDER, PAIRS, &["--json", file.to_str().unwrap()]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let document: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    assert_eq!(document["schema"], "brownout.benches/1");
    let rows = document["rows"].as_array().unwrap();
    let verdicts: Vec<_> = rows.iter().map(|row| row["verdict"].as_str()).collect();
    let expected = [Some("missed"), Some("unclear"), Some("met"), None, Some("met"), None];
    assert_eq!(verdicts, expected);
    // Eight steps to an iteration.
    assert_eq!(rows[0]["ours"]["value"], 20.0);
    assert_eq!(rows[0]["ratio"]["value"], 2.0);
    assert_eq!(rows[0]["ratio"]["high"], 21.0 / 9.75);
    assert_eq!(rows[5]["skipped"], "no water was found");
}

#[test]
fn what_cannot_be_reported_is_told_with_a_way_out() {
    let pairs = |name: &str, text: &str| {
        let file = scratch("bench-report", name, text);
        file.to_str().unwrap().to_owned()
    };
    let one = |pair: &str| {
        format!(
            "[[bench]]\nname = \"race\"\npackage = \"x\"\n[[bench.pair]]\nwhat = \"x\"\nbeside = \"x\"\n{pair}\n"
        )
    };
    let lost = pairs("lost.toml", &one("ours = \"race/ours\"\nbaseline = \"race/nobody\""));
    let untold = pairs("untold.toml", &one("figure = \"race/untold\""));
    let alone = pairs("alone.toml", &one("ours = \"race/ours\""));
    let wordy = pairs(
        "wordy.toml",
        &one("ours = \"race/ours\"\nbaseline = \"race/theirs\"\nat-most = \"low\""),
    );
    let garbled = pairs("garbled.toml", "[[bench]");
    for (case, benchmark, estimates) in [
        ("cut", r#"{"full_id": "race/ours"}"#, "{"),
        ("empty", r#"{"full_id": "race/ours"}"#, "{}"),
        ("zero", r#"{"full_id": "race/ours", "throughput": {"Elements": 0}}"#, MEAN),
    ] {
        let folder = format!("bench-report-{case}");
        let results = format!("{folder}/race/ours/new");
        scratch(&results, "benchmark.json", benchmark);
        let file = scratch(&results, "estimates.json", estimates);
        let ran = report(file.ancestors().nth(4).unwrap().to_str().unwrap(), PAIRS, &["race"]);
        is_refused(&ran, "estimates.json`", "hint: remove its folder and run");
    }
    for (folder, pairs, more, message, hint) in [
        ("tests/no-such", PAIRS, "race", "no folder `tests/no-such`", "run `benches/report`"),
        (FOLDER, PAIRS, "rase", "no bench is called `rase`", "did you mean `race`?"),
        (FOLDER, PAIRS, "zoology", "is called `zoology`", "there are race, walk, swim"),
        (FOLDER, PAIRS, "--json=tests", "cannot write `tests`", "name a file"),
        (FOLDER, PAIRS, "--json=no/such", "cannot write `no/such`", "name a file"),
        (FOLDER, "no.toml", "race", "cannot read `no.toml`", "name a file of pairs"),
        (FOLDER, &lost, "race", "no result of `race/nobody`", "run `benches/report race`"),
        (FOLDER, &untold, "race", "no result of `race/untold`", "run `benches/report race`"),
        (FOLDER, &alone, "race", "lacks 'baseline'", "benches/pairs.toml says"),
        (FOLDER, &wordy, "race", "is no table of pairs", "benches/pairs.toml shows one"),
        (FOLDER, &garbled, "race", "is no table of pairs", "benches/pairs.toml shows one"),
    ] {
        is_refused(&report(folder, pairs, &[more]), message, hint);
    }
    let ran = report(FOLDER, PAIRS, &["--quick"]);
    is_refused(&ran, "--quick: not allowed with argument --from", "usage: benches/report");
}

#[track_caller]
fn is_refused(ran: &Ran, message: &str, hint: &str) {
    assert_eq!(ran.code, Some(2), "{}{}", ran.stdout, ran.stderr);
    assert_eq!(ran.stdout, "");
    for told in [message, hint] {
        assert!(ran.stderr.contains(told), "`{told}` is not in: {}", ran.stderr);
    }
    assert!(!ran.stderr.contains("Traceback"), "{}", ran.stderr);
}

const MEAN: &str = r#"{"mean": {"point_estimate": 1.0, "confidence_interval": {"lower_bound": 1.0, "upper_bound": 1.0}}}"#;

#[test]
fn every_bench_has_its_place_in_the_report() {
    let text = fs::read_to_string(root().join("benches/pairs.toml")).unwrap();
    let named: BTreeSet<_> =
        text.lines().filter_map(|line| line.strip_prefix("name = ")).map(str::to_owned).collect();
    let mut found = BTreeSet::new();
    for folder in ["benches", "mock-server/benches", "resilience-core/benches"] {
        for entry in fs::read_dir(root().join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "rs") {
                found.insert(format!("\"{}\"", path.file_stem().unwrap().to_str().unwrap()));
            }
        }
    }
    assert_eq!(named, found, "name each bench in benches/pairs.toml, and no other");
}

/// Means of 2,000 runs with their standard deviations, of 50 clients: calls, then times.
///
/// They are those of the program that the [post](https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/) was written with.
const PUBLISHED: [(&str, [[f64; 2]; 2]); 5] = [
    ("none", [[689.906, 17.417], [1_140.12, 43.60]]),
    ("expo", [[623.255, 29.698], [36_416.44, 3_299.75]]),
    ("full", [[332.577, 4.768], [2_890.49, 556.56]]),
    ("equal", [[347.379, 6.226], [4_243.33, 551.57]]),
    ("decorr", [[374.629, 12.643], [2_204.90, 509.15]]),
];

#[test]
fn the_python_that_the_lab_is_measured_against_plays_the_published_model() {
    for (strategy, published) in PUBLISHED {
        let ran = python(&[
            "benches/aws_model.py",
            "--clients=50",
            "--runs=40",
            "--seed=1",
            "--strategy",
            strategy,
        ]);
        let played: Value = serde_json::from_str(&ran.stdout).expect(&ran.stderr);
        for (name, [mean, sd]) in ["calls", "time"].into_iter().zip(published) {
            let (ours, se) = (&played[name]["mean"], &played[name]["se"]);
            let (ours, se) = (ours.as_f64().unwrap(), se.as_f64().unwrap());
            let z = (ours - mean) / se.hypot(sd / 2_000_f64.sqrt());
            assert!(z.abs() <= 4.0, "{strategy}: {name} {ours} is {z} standard errors off");
        }
    }
}
