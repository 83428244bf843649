//! Does `bench tune` find what is best, prove it, and say so in every form?

use std::fs;

use brownout::{
    lab::{
        Crew, Experiment, Progress, World, library,
        metric::Better,
        tune::{Advice, Constraint, Goal, Space, Standing, Tune, Vary},
    },
    scenario::{Factor, Scenario, Source},
};
use serde_json::Value;

use crate::program::{brownout, root, scratch};

/// Half a minute in which every fifth attempt fails at once: whoever retries soon and often enough succeeds.
const FLAKY: &str = "
brownout: 1
name: every fifth attempt fails
provider: { latency: { first-token: 100ms..200ms } }
rules: [{ chance: 20%, fault: server-error }]
client: { clients: 2, arrivals: { rate: 5/s, for: 30s, spread: random }, timeouts: { call: 60s } }
";

fn flaky() -> World {
    let source = Source::from_bytes("flaky.yaml".to_owned(), FLAKY.as_bytes());
    let scenario = Scenario::read("flaky", "flaky", source).unwrap();
    World::new(&scenario, Factor { millis: 1_000 }).unwrap()
}

/// The retries and first waits of `full-jitter`, from hopeless to wasteful.
fn tune(constraints: &[&str], metric: &str, seed: u64) -> Tune {
    let strategy = library::strategies()["full-jitter"].clone();
    let varied = ["retries=0,1,2,4,6", "backoff.base=20ms,200ms,2s,8s"];
    // All others are held where they do not matter.
    let held = ["attempts=18", "backoff.cap=10s", "backoff.multiplier=2x", "backoff.jitter=full"];
    let vary: Vec<Vary> =
        varied.iter().chain(&held).map(|text| Vary::read(text).unwrap()).collect();
    let worlds = vec![flaky()];
    let metric = brownout::lab::metric::Metric::named(metric).unwrap();
    Tune {
        space: Space::new(&strategy, &worlds, &vary).unwrap(),
        worlds,
        constraints: constraints.iter().map(|text| text.parse::<Constraint>().unwrap()).collect(),
        goal: Goal { metric, better: Better::Low },
        seed,
        runs: 8,
        budget: 400,
    }
}

fn advice(tune: &Tune) -> Advice {
    tune.perform(Crew::of_this_machine(), &Progress::default())
}

fn word<'a>(advice: &'a Advice, path: &str) -> Option<&'a str> {
    let changes = &advice.settings().changes;
    changes.iter().find(|(word, _)| word == path).map(|(_, value)| value.as_str())
}

#[test]
fn the_best_settings_are_found_where_they_are_known() {
    let tune = tune(&["success >= 98%", "amplification <= 1.4x"], "p99", 7);
    tune.check().unwrap();
    let advice = advice(&tune);
    assert!(advice.recommended.is_some(), "{advice:?}");
    // One retry in five fails again, and two are not enough for 98 % to be proven beyond doubt;
    // the shortest waits are the fastest, and nothing here is worse for them.
    assert_eq!(word(&advice, "backoff.base"), Some("20ms"), "{:?}", advice.settings().changes);
    let retries = advice.settings().strategy.retries.unwrap_or(5);
    assert!(retries >= 2, "{retries}");
    assert!(advice.spent <= tune.budget, "{}", advice.spent);
}

#[test]
fn what_is_recommended_keeps_to_its_constraints_with_other_seeds() {
    let tune = tune(&["success >= 98%", "amplification <= 1.4x"], "p99", 11);
    let advice = advice(&tune);
    let settings = advice.settings();
    assert!(settings.holds(), "{settings:?}");
    for seed in [1, 0xfeed, 424_242] {
        let again = Experiment {
            strategies: vec![("tuned".to_owned(), settings.strategy.clone())],
            worlds: tune.worlds.clone(),
            seed,
            runs: 20,
        };
        let results = again.perform(Crew::of_this_machine(), &Progress::default());
        for constraint in &tune.constraints {
            let standing = constraint.standing(&results.cells[0].runs);
            assert_ne!(standing, Standing::Broken, "{constraint} with seed {seed}");
        }
    }
}

#[test]
fn constraints_that_nobody_can_keep_to_are_told_with_who_comes_nearest() {
    let tune = tune(&["success >= 98%", "amplification <= 1.1x"], "p99", 7);
    let advice = advice(&tune);
    assert_eq!(advice.recommended, None);
    let nearest = &advice.finalists[advice.nearest];
    assert!(!nearest.holds());
    // One retry is too few for the one, and too many for the other.
    assert!((0..2).any(|place| nearest.standing(place) == Standing::Broken), "{nearest:?}");
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_the_settings_are_read_back() {
    let world = scratch("tune", "flaky.yaml", FLAKY);
    let world = world.to_str().unwrap();
    let json = |threads: &str, seed: &str| {
        let path = scratch("tune", &format!("advice-{threads}-{seed}.json"), "");
        let ran = brownout(&[
            "bench",
            "tune",
            "full-jitter",
            world,
            "--constraint",
            "success >= 98%",
            "--budget",
            "150",
            "--runs",
            "6",
            "--threads",
            threads,
            "--seed",
            seed,
            "--json",
            path.to_str().unwrap(),
        ]);
        assert_eq!(ran.code, Some(0), "{}{}", ran.stdout, ran.stderr);
        assert!(ran.stderr.is_empty(), "{}", ran.stderr);
        (ran.stdout, fs::read_to_string(path).unwrap())
    };
    let alone = json("1", "7");
    assert_eq!(json("3", "7"), alone);
    assert_ne!(json("3", "8").1, alone.1);
    for part in
        ["recommended: ", "binds", "== tenacity", "== resilience-core", "full-jitter-tuned:"]
    {
        assert!(alone.0.contains(part), "{part}\n{}", alone.0);
    }
    let whole: Value = serde_json::from_str(&alone.1).unwrap();
    assert_eq!(whole["schema"], "brownout.tune/1");
    let file = scratch("tune", "tuned.yaml", whole["settings"]["strategies"].as_str().unwrap());
    let ran = brownout(&["bench", "--strategies", file.to_str().unwrap(), world, "--runs", "2"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(ran.stdout.contains("full-jitter-tuned"), "{}", ran.stdout);
}

#[test]
fn nothing_proven_ends_with_one() {
    let world = scratch("tune-nothing", "flaky.yaml", FLAKY);
    let ran = brownout(&[
        "bench",
        "tune",
        "none",
        world.to_str().unwrap(),
        "--constraint",
        "amplification <= 0.5x",
        "--budget",
        "100",
        "--runs",
        "4",
    ]);
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    assert!(ran.stdout.contains("nothing that was played is proven"), "{}", ran.stdout);
    assert!(ran.stdout.contains("`amplification <= 0.5x` is broken, with 1"), "{}", ran.stdout);
}

#[test]
fn every_wrong_input_is_told_as_it_was_meant_to() {
    let mut said = String::new();
    for arguments in [
        &["none", "outage"][..],
        &["none", "outage", "--constraint", "sucess >= 99%"],
        &["none", "outage", "--constraint", "success > 99%"],
        &["none", "outage", "--constraint", "success >= 990%"],
        &["none", "quota", "--constraint", "recovery <= 5s"],
        &["none", "outage", "--constraint", "success >= 9%", "--minimise", "speed"],
        &["none", "outage", "--constraint", "success >= 9%", "--budget", "100"],
        &["none", "outage", "--constraint", "success >= 9%", "--vary", "retries"],
        &["none", "outage", "--constraint", "success >= 9%", "--vary", "retrys=1"],
        &[
            "none",
            "outage",
            "--constraint",
            "success >= 9%",
            "--vary",
            "retries=1",
            "--vary",
            "retries=2",
        ],
        &["none", "outage", "--constraint", "success >= 9%", "--vary", "retries=1,101"],
        &["none", "outage", "--constraint", "success >= 9%", "--vary", "backoff.base=250"],
        &["none", "outage", "--constraint", "success >= 9%", "--vary", "backoff.base=2m"],
        &["nobody", "outage", "--constraint", "success >= 9%"],
    ] {
        let ran = brownout(&[&["bench", "tune"], arguments].concat());
        assert_eq!(ran.code, Some(2), "{arguments:?}: {}", ran.stdout);
        assert!(ran.stdout.is_empty(), "{}", ran.stdout);
        said.extend(["$ brownout bench tune ", &arguments.join(" "), "\n", &ran.stderr, "\n"]);
    }
    let path = root().join("tests/reports/tune-mistakes.txt");
    if std::env::var_os("BROWNOUT_BLESS").is_some() {
        fs::write(&path, &said).unwrap();
    }
    assert_eq!(fs::read_to_string(&path).unwrap_or_default(), said);
}
