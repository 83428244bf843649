//! Is what an application says of itself heard, and held against it?
//!
//! The judged commands are this very binary, called with the name of a test that is a program.
//! Cargo tells a test where the binaries of its package are, but not the examples; one that is looked for by its path may be missing or stale, and building it would wait for whoever else is building.

use std::env;
use std::process::ExitCode;

use crate::program::{Ran, brownout};

#[path = "../../examples/outcome.rs"]
mod outcome;

/// Judges one of the programs below.
fn judge(scenario: &str, program: &str) -> Ran {
    let this = env::current_exe().unwrap();
    let program = format!("outcomes::{program}");
    let command = [this.to_str().unwrap(), &program, "--exact", "--nocapture"];
    let scenario = format!("scenarios/{scenario}.yaml");
    brownout(&[&["run", &scenario, "--"][..], &command].concat())
}

/// Not a claim but a program: the example.
#[test]
fn as_the_example() {
    if is_judged() {
        assert_eq!(outcome::main(), ExitCode::SUCCESS, "the call was not served");
    }
}

/// Not a claim but a program: asks once, and says that it was answered.
#[test]
fn as_a_liar() {
    if is_judged() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let http = resilience_core::reqwest::client().build().unwrap();
            let url = format!("{}/chat/completions", env::var("OPENAI_BASE_URL").unwrap());
            let asked = http.post(url).bearer_auth(env::var("OPENAI_API_KEY").unwrap());
            let body = serde_json::json!({ "model": "gpt-4o-mini", "messages": [{ "role": "user", "content": "Hi" }] });
            let named = asked.header("x-brownout-call", "7").json(&body);
            assert!(!named.send().await.unwrap().status().is_success());
            let url = format!("{}/_brownout/outcome", env::var("BROWNOUT_URL").unwrap());
            let lie = serde_json::json!({ "call": "7", "success": true });
            http.post(url).json(&lie).send().await.unwrap().error_for_status().unwrap();
        });
    }
}

/// Whether the harness runs this, and not the test command.
fn is_judged() -> bool {
    env::var_os("BROWNOUT_URL").is_some()
}

#[test]
fn a_client_that_posts_how_its_calls_end_passes() {
    let served = judge("limits/two-429s-then-fine", "as_the_example");
    assert_eq!(served.code, Some(0), "{}\n{}", served.stdout, served.stderr);
    // The answer arrived, with the marks at both of its ends.
    assert!(served.stderr.contains("Ax") && served.stderr.contains("Zx"), "{}", served.stderr);
    let refused = judge("auth/a-401-is-never-retried", "as_the_example");
    assert_eq!(refused.code, Some(0), "{}\n{}", refused.stdout, refused.stderr);
}

#[test]
fn a_client_that_posts_a_success_it_never_had_is_found_out() {
    // Whichever was expected: after the first 429 it claims what it should have got, and never did.
    for scenario in ["auth/a-401-is-never-retried", "limits/two-429s-then-fine"] {
        let ran = judge(scenario, "as_a_liar");
        assert_eq!(ran.code, Some(1), "{}\n{}", ran.stdout, ran.stderr);
        assert!(ran.stdout.contains("wrong-outcome"), "{}", ran.stdout);
        assert!(ran.stdout.contains("was never sent an answer"), "{}", ran.stdout);
    }
}
