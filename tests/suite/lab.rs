//! Does the lab tell people and programs what it measured, and the same on any machine?

use serde_json::Value;

use crate::program::brownout;

const FEW_RUNS: [&str; 5] = ["bench", "reproduce", "aws-jitter", "--runs", "3"];

#[test]
fn the_same_seed_gives_the_same_bytes_on_any_number_of_threads() {
    for format in ["csv", "json", "text"] {
        let ran = |threads, seed| {
            let more = ["--format", format, "--threads", threads, "--seed", seed];
            brownout(&[&FEW_RUNS[..], &more].concat()).stdout
        };
        let alone = ran("1", "7");
        assert!(alone.len() > 1_000, "{alone}");
        assert_eq!(ran("2", "7"), alone);
        assert_eq!(ran("3", "7"), alone);
        assert_ne!(ran("3", "8"), alone);
    }
}

#[test]
fn the_exit_code_says_whether_the_figures_are_the_published_ones() {
    // Three runs cannot tell times apart, and the report does not pretend that they could.
    let ran = brownout(&FEW_RUNS);
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    assert!(ran.stdout.contains("OFF\n"), "{}", ran.stdout);
    assert!(ran.stdout.ends_with(" within tolerance\n"), "{}", ran.stdout);
    assert!(ran.stderr.is_empty(), "{}", ran.stderr);
    let ran = brownout(&["bench", "reproduce", "aws-jitter", "--runs", "300", "--seed", "1"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stdout);
    assert!(ran.stdout.ends_with("\n41 of 41 within tolerance\n"), "{}", ran.stdout);
}

#[test]
fn other_settings_are_measured_and_compared_with_nothing() {
    let other = ["--clients", "4, 8", "--set", "base=2.5", "--format"];
    let ran = brownout(&[&FEW_RUNS[..], &other, &["text"]].concat());
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(ran.stdout.contains("Nothing is published for these settings."), "{}", ran.stdout);
    assert!(ran.stdout.contains("from 4 to 8 clients, calls grow"), "{}", ran.stdout);
    let ran = brownout(&[&FEW_RUNS[..], &other, &["json"]].concat());
    let whole: Value = serde_json::from_str(&ran.stdout).unwrap();
    let result = &whole["results"][0];
    assert_eq!(result["parameters"]["base"], serde_json::json!([2.5]));
    assert_eq!(result["claims"], serde_json::json!([]));
    assert_eq!(result["cells"][0]["values"].as_array().unwrap().len(), 3);
}

#[test]
fn what_cannot_be_run_is_refused_with_the_way_out() {
    for (arguments, message) in [
        (&["aws-jiter"][..], "a similar value exists: 'aws-jitter'"),
        (&["aws-jitter", "--clients", "0"], "`clients` is 0, and must be between 1 and 2000"),
        (&["aws-jitter", "--set", "bse=1"], "there is no parameter `bse`; there is `clients`"),
        (&["--set", "bse"], "a setting is a name with its values, such as clients=50,100"),
        (&["--runs", "0"], "0 is not in 1..=100000"),
    ] {
        let ran = brownout(&[&["bench", "reproduce"], arguments].concat());
        assert_eq!(ran.code, Some(2), "{}", ran.stdout);
        assert!(ran.stderr.contains(message), "{}", ran.stderr);
        assert!(ran.stdout.is_empty(), "{}", ran.stdout);
    }
}

#[test]
fn the_list_names_everything_that_can_be_set() {
    let ran = brownout(&["bench", "reproduce", "--list"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    for line in ["aws-jitter: ", "  --runs 1000 ", "  --set clients=50,100 "] {
        assert!(ran.stdout.lines().any(|found| found.starts_with(line)), "{}", ran.stdout);
    }
}
