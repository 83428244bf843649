//! Does the lab tell where reality agrees with its simulation, and where not?
//!
//! A machine that is too busy makes a run inconclusive, and then only what was counted is looked at.

use std::{fs, path::PathBuf};

use serde_json::Value;

use crate::program::{Ran, brownout, scratch, sdk_clients};

/// A world of a few seconds in which one attempt in four is refused; each of its calls is a client's of its own.
fn world(folder: &str) -> PathBuf {
    let text = "
brownout: 1
name: one in four is refused
provider: { latency: { first-token: 100ms..300ms }, answers: { text: fine } }
rules: [{ chance: 25%, fault: { rate-limited: { retry-after: 500ms } } }]
client: { clients: 50, arrivals: { rate: 10/s, for: 5s } }
";
    scratch(&format!("bench-real-{folder}"), "world.yaml", text)
}

/// Plays the world of a test, and answers what was told to people and to programs.
fn played(folder: &str, how: &[&str]) -> (Ran, Value) {
    let world = world(folder);
    let json = world.with_extension("json");
    let (json, world) = (json.to_str().unwrap(), world.to_str().unwrap());
    let ran = brownout(&[&["bench", world, "--runs", "3", "--json", json], how].concat());
    let text = fs::read_to_string(json).expect(&ran.stderr);
    let told: Value = serde_json::from_str(&text).expect(&ran.stderr);
    assert_eq!(told["schema"], "brownout.bench-real/1");
    let code = match told["agrees"].as_bool() {
        Some(true) => 0,
        Some(false) => 1,
        None => 3,
    };
    assert_eq!(ran.code, Some(code), "{}\n{}", ran.stdout, ran.stderr);
    let doubts = told["worlds"][0]["doubts"].as_array().unwrap();
    for doubt in doubts {
        let doubt = doubt.as_str().unwrap();
        assert!(doubt.starts_with("the machine was too busy in run "), "{doubt}");
        assert!(ran.stdout.contains(&format!("inconclusive: {doubt}")), "{}", ran.stdout);
    }
    assert_eq!(doubts.is_empty(), told["agrees"].is_boolean());
    (ran, told)
}

fn metric<'a>(told: &'a Value, name: &str) -> &'a Value {
    let metrics = told["worlds"][0]["metrics"].as_array().unwrap();
    metrics.iter().find(|metric| metric["name"] == name).unwrap()
}

/// What does not depend on how fast this machine is.
const COUNTED: [&str; 5] = ["amplification", "success", "limited", "wasted-tokens", "wasted-cost"];

#[track_caller]
fn counts_agree(ran: &Ran, told: &Value) {
    for name in COUNTED {
        assert_eq!(metric(told, name)["agrees"], true, "{name}: {}\n{}", ran.stdout, ran.stderr);
    }
    let latency = |share| metric(told, share)["real"]["mean"].as_f64().unwrap();
    // No answer is there before its first token, and no retry before its hint.
    assert!(latency("p50") >= 0.1 && latency("p99") >= 0.6, "{}", ran.stdout);
    let runs = &told["worlds"][0]["runs"];
    assert_eq!(runs["real"].as_array().unwrap().len(), 3);
    assert_eq!(runs["simulated"].as_array().unwrap().len(), 40);
}

#[test]
fn the_built_in_client_does_in_real_time_what_it_does_in_the_simulation() {
    let (ran, told) = played("built-in", &["--strategy", "openai-python", "--real-time"]);
    counts_agree(&ran, &told);
    assert!(ran.stdout.starts_with("the built-in client as openai-python, seed 0x5eed\n"));
    assert!(ran.stdout.contains("  3 runs over sockets, 40 simulated\n"), "{}", ran.stdout);
    assert!(ran.stdout.contains(" of 10 figures agree"), "{}", ran.stdout);
    assert!(ran.stderr.is_empty(), "{}", ran.stderr);
}

#[test]
fn a_client_that_does_something_else_is_found_out() {
    let how = ["--as", "full-jitter", "--", "python3", "tests/clients/plain_load.py"];
    let (ran, told) = played("plain", &how);
    let amplification = metric(&told, "amplification");
    assert_eq!(amplification["agrees"], false, "{}", ran.stdout);
    assert_eq!(amplification["real"]["mean"], 1.0, "it sends each call once");
    assert_ne!(ran.code, Some(0));
    let rows = ran.stdout.lines().filter(|line| line.ends_with("  NO"));
    assert!(rows.count() >= 1, "{}", ran.stdout);
    assert!(ran.stderr.contains("world, run 1 of 3, about 15 seconds left\n"), "{}", ran.stderr);
}

#[test]
fn the_official_sdk_does_what_is_said_of_it() {
    let python = sdk_clients().into_iter().find(|(_, client)| client.ends_with("openai_chat.py"));
    let Some((python, _)) = python else { return };
    let how = ["--as", "openai-python", "--", &python, "tests/clients/openai_load.py"];
    let (ran, told) = played("sdk", &how);
    counts_agree(&ran, &told);
    assert_eq!(told["command"], format!("{python} tests/clients/openai_load.py"));
}

#[test]
fn a_command_that_fails_or_calls_nobody_shows_nothing() {
    let world = world("failing");
    let world = world.to_str().unwrap();
    let bench = |script: &str| {
        let how = ["--runs", "3", "--as", "none", "--", "sh", "-c", script];
        brownout(&[&["bench", world], &how[..]].concat())
    };
    let ran = bench("true");
    assert_eq!(ran.code, Some(2), "{}", ran.stdout);
    assert!(ran.stderr.contains("no call came to the provider of `"), "{}", ran.stderr);
    assert!(ran.stderr.contains("in run 1; the command finds it by OPENAI_BASE_URL"));
    // Its environment says what the world's work is; what the world does not say is not there.
    let script = "echo $BROWNOUT_RATE $BROWNOUT_SECONDS $BROWNOUT_SPREAD ${BROWNOUT_CALLS-none}; \
                  cd tests/clients; python3 -c 'import plain; plain.openai()'; exit 7";
    let ran = bench(script);
    assert_eq!(ran.code, Some(3), "{}\n{}", ran.stdout, ran.stderr);
    assert!(ran.stderr.contains("10 5 even none\n"), "{}", ran.stderr);
    let doubt = "inconclusive: the command ended with exit code 7 in run 2; it is to end with 0";
    assert!(ran.stdout.contains(doubt), "{}", ran.stdout);
    assert!(ran.stdout.ends_with(" figures agree, and nothing follows\n"), "{}", ran.stdout);
}

#[test]
fn what_cannot_be_played_over_sockets_is_refused_with_the_way_out() {
    let world = world("refused");
    let world = world.to_str().unwrap();
    for (arguments, message) in [
        (&[world, "--", "true"][..], "nobody says which strategy the command should cope like"),
        (&[world, "--as", "openai-python"], "there is no command; put it behind `--`"),
        (&[world, "--as", "openai-pyton", "--", "true"], "there is no strategy `openai-pyton`"),
        (&[world, "--as", "none", "--", "no-such-program"], "`no-such-program` was not found"),
        (&[world, "--as", "none", "--runs", "2", "--", "true"], "`--runs` needs 3"),
        (&[world, "--real-time", "--strategy", "none,fixed"], "2 strategies in real time"),
        (&["--real-time", "--strategy", "none"], "no world is named"),
        (&[world, "--real-time", "--", "true"], "'--real-time' cannot be used with"),
        (&[world, "--real-time", "--html", "x"], "'--real-time' cannot be used with"),
    ] {
        let ran = brownout(&[&["bench"], arguments].concat());
        assert_eq!(ran.code, Some(2), "{}", ran.stdout);
        assert!(ran.stderr.contains(message), "{}", ran.stderr);
        assert!(ran.stdout.is_empty(), "{}", ran.stdout);
    }
    let help = brownout(&["bench", "--help"]).stdout;
    for told in ["--as <STRATEGY>", "--real-time", "BROWNOUT_RATE", "BROWNOUT_CONCURRENCY"] {
        assert!(help.contains(told), "{help}");
    }
}
