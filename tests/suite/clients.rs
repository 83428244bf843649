//! Is every wrong client found out, and every right one left alone?

use crate::program::{Ran, brownout, scratch, sdk_clients};

/// Judges a client of ours by a bundled scenario.
fn judge(scenario: &str, python: &str, client: &str, options: &[&str]) -> Ran {
    let scenario = format!("scenarios/{scenario}.yaml");
    let client = format!("tests/clients/{client}.py");
    let arguments = ["run", &scenario, "--", python, &client];
    brownout(&[&arguments, options].concat())
}

#[track_caller]
fn is_found_out(scenario: &str, client: &str, code: &str, evidence: &str) {
    let ran = judge(scenario, "python3", client, &[]);
    assert_eq!(ran.code, Some(1), "{}\n{}", ran.stdout, ran.stderr);
    let headline = ran.stdout.lines().find(|line| line.starts_with("FAIL ")).unwrap_or_default();
    assert!(headline.ends_with(code), "{}", ran.stdout);
    assert!(ran.stdout.contains(evidence), "{}", ran.stdout);
}

#[test]
fn a_client_that_ignores_retry_after_is_found_out() {
    is_found_out(
        "limits/two-429s-then-fine",
        "ignores_retry_after",
        "early-retry",
        "asked to wait 1.00 s",
    );
}

#[test]
fn a_client_that_retries_a_401_is_found_out() {
    is_found_out(
        "auth/a-401-is-never-retried",
        "retries_a_401",
        "retried-final",
        "call 1 was sent 5 times",
    );
}

#[test]
fn a_client_that_falls_back_in_the_wrong_order_is_found_out() {
    let scenario = "fallback/the-second-provider-serves-when-the-first-is-down";
    let evidence = "openai → anthropic was expected";
    is_found_out(scenario, "falls_back_in_the_wrong_order", "wrong-order", evidence);
}

#[test]
fn a_client_that_takes_a_cut_stream_for_an_answer_is_found_out() {
    let evidence = "took it for a whole one";
    is_found_out(
        "streams/a-cut-stream-is-no-answer",
        "takes_a_cut_stream",
        "wrong-outcome",
        evidence,
    );
}

#[test]
fn a_client_that_never_backs_off_is_found_out_by_the_house_rules() {
    let text = "brownout: 1\nname: a provider in trouble\nrules:\n  - script:\n      - unavailable: { times: 7 }\n";
    let scenario = scratch("house-rules", "trouble.yaml", text);
    let scenario = scenario.to_str().unwrap();
    let ran = brownout(&["run", scenario, "--", "python3", "tests/clients/never_backs_off.py"]);
    assert_eq!(ran.code, Some(1), "{}\n{}", ran.stdout, ran.stderr);
    assert!(ran.stdout.contains("no-backoff"), "{}", ran.stdout);
    assert!(ran.stdout.contains("the waits neither grow nor vary"), "{}", ran.stdout);
}

#[test]
fn a_careful_client_of_few_lines_passes() {
    for scenario in
        ["limits/two-429s-then-fine", "auth/a-401-is-never-retried", "errors/a-503-is-waited-out"]
    {
        let ran = judge(scenario, "python3", "waits_as_asked", &[]);
        assert_eq!(ran.code, Some(0), "{}\n{}", ran.stdout, ran.stderr);
    }
}

#[test]
fn the_official_sdks_pass() {
    for (program, client) in sdk_clients() {
        for scenario in ["limits/two-429s-then-fine", "auth/a-401-is-never-retried"] {
            let scenario = format!("scenarios/{scenario}.yaml");
            let ran = brownout(&["run", &scenario, "--", &program, client]);
            assert_eq!(ran.code, Some(0), "{client}: {}\n{}", ran.stdout, ran.stderr);
        }
    }
}

#[test]
fn the_official_sdks_read_our_streams() {
    let text = "brownout: 1\nname: a healthy stream\nexpect:\n  - attempts: { exactly: 1 }\n  - outcome: success\n";
    let scenario = scratch("healthy-stream", "healthy.yaml", text);
    for (program, client) in sdk_clients() {
        let arguments = ["run", scenario.to_str().unwrap(), "--", &program, client, "--stream"];
        let ran = brownout(&arguments);
        assert_eq!(ran.code, Some(0), "{client}: {}\n{}", ran.stdout, ran.stderr);
        // The whole answer arrived, with the marks at both of its ends.
        assert!(ran.stderr.contains("Ax") && ran.stderr.contains("Zx"), "{}", ran.stderr);
    }
}

/// A scenario for the built-in client says nothing about a command, and is never counted as held.
#[test]
fn what_judges_the_built_in_client_is_not_applicable_to_a_command() {
    let ran = judge("limits/own-limits-keep-the-provider-quiet", "python3", "waits_as_asked", &[]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.stderr.contains("there is nothing to run"), "{}", ran.stderr);
}

/// Everything but the times is as the README shows it.
#[test]
fn the_readme_shows_real_output() {
    let ran =
        brownout(&["run", "scenarios/auth", "--", "python3", "tests/clients/retries_a_401.py"]);
    let readme = std::fs::read_to_string(crate::program::root().join("README.md")).unwrap();
    let shown = readme.split("```text\n").nth(1).unwrap().split("```").next().unwrap();
    let timeless = |text: &str| -> Vec<String> {
        let words = |line: &str| {
            let words = line.split_whitespace().map(|word| {
                match word.trim_start_matches('+').parse::<f64>() {
                    Ok(_) if word.contains('.') => "TIME",
                    _ => word,
                }
            });
            words.collect::<Vec<_>>().join(" ").replace("python3", "python")
        };
        text.lines().map(words).filter(|line| !line.is_empty()).collect()
    };
    // The first line tells version and seed, which the README leaves out.
    assert_eq!(timeless(&ran.stdout)[1..], timeless(shown));
}
