//! Whatever the provider does, what must always hold? Random scenarios in virtual time.

use std::collections::BTreeMap;

use brownout::{
    harness::{Mode, Record, play},
    scenario::{Scenario, Source},
    verdict::{Application, Status, calls},
};
use mock_server::journal::Entry;
use proptest::prelude::*;

/// One action of the language, with settings.
fn action() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("authentication".to_owned()),
        Just("bad-gateway".to_owned()),
        Just("bad-request".to_owned()),
        Just("content-policy".to_owned()),
        Just("context-length".to_owned()),
        Just("gateway-timeout".to_owned()),
        Just("hang".to_owned()),
        Just("insufficient-quota".to_owned()),
        Just("overloaded".to_owned()),
        Just("reset".to_owned()),
        Just("server-error".to_owned()),
        Just("truncated".to_owned()),
        (2..90_u32, prop::sample::select(vec!["seconds", "milliseconds", "date"])).prop_map(
            |(wait, form)| format!("rate-limited: {{ retry-after: {wait}s, hint: {form} }}")
        ),
        (1..30_u32).prop_map(|wait| format!("unavailable: {{ retry-after: {wait}s }}")),
        (0..200_u32)
            .prop_map(|wait| format!("slow: {{ first-token: {wait}s, between-tokens: 90ms }}")),
        (0..9_u32, prop::sample::select(vec!["close", "quietly", "reset"]))
            .prop_map(|(after, end)| format!("cut-stream: {{ after: {after}, end: {end} }}")),
        (0..9_u32).prop_map(|after| format!("stream-error: {{ after: {after} }}")),
    ]
}

fn rule() -> impl Strategy<Value = String> {
    let provider = prop::sample::select(vec!["", "provider: openai, ", "provider: anthropic, "]);
    let pick = prop::sample::select(vec![
        "",
        "    chance: 40%\n",
        "    every: 3\n",
        "    exactly: 2 of 5\n",
        "    hits: 2..9\n",
    ]);
    let per = prop::sample::select(vec!["call", "lane"]);
    let then = prop::sample::select(vec!["healthy", "cycle", "repeat-last"]);
    let steps = prop::collection::vec(action(), 1..5);
    (provider, 0..40_u32, pick, per, then, steps, any::<bool>()).prop_map(
        |(provider, from, pick, per, then, steps, fault)| {
            let head = format!("  - when: {{ {provider}from: {from}s }}\n{pick}    per: {per}\n");
            if fault {
                return format!("{head}    fault: {{ {} }}\n", mapped(&steps[0]));
            }
            let steps: Vec<String> =
                steps.iter().map(|step| format!("{{ {} }}", mapped(step))).collect();
            format!("{head}    then: {then}\n    script: [{}]\n", steps.join(", "))
        },
    )
}

/// A name alone, as a map.
fn mapped(action: &str) -> String {
    if action.contains(':') { action.to_owned() } else { format!("{action}: {{}}") }
}

fn scenario() -> impl Strategy<Value = Scenario> {
    let targets = prop::sample::select(vec![
        "openai/gpt-4o-mini",
        "anthropic/claude-haiku-4-5",
        "openai/gpt-4o-mini, anthropic/claude-haiku-4-5",
    ]);
    (prop::collection::vec(rule(), 0..4), targets, any::<bool>(), 1..12_u32, 1..5_u32, prop::option::of(5..200_u32)).prop_filter_map(
        "a rule that takes every request leaves the later ones nothing",
        |(rules, targets, streaming, calls, concurrency, quota)| {
            let quota = quota.map_or_else(String::new, |quota| format!("provider: {{ quota: {{ requests: {quota}/min }} }}\n"));
            let rules = if rules.is_empty() { "[]".to_owned() } else { format!("\n{}", rules.concat()) };
            let text = format!(
                "brownout: 1\nname: anything\nallow: [rule-never-acted, script-unfinished]\n{quota}rules: {rules}\nclient:\n  calls: {calls}\n  concurrency: {concurrency}\n  streaming: {streaming}\n  targets: [{targets}]\n"
            );
            Scenario::read("anything", "anything", Source::new("anything.yaml", text)).ok()
        },
    )
}

fn played(scenario: &Scenario, seed: u64) -> Record {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(play(scenario, &Mode::BuiltInVirtual, seed)).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// The built-in client keeps the house rules, ends every call, and leaves nothing under way;
    /// the same seed gives the same journal.
    #[test]
    fn a_client_that_copes_keeps_the_house_rules(scenario in scenario(), seed: u64) {
        let text = scenario.source.text().to_owned();
        let record = played(&scenario, seed);
        prop_assert_eq!(&record.entries, &played(&scenario, seed).entries, "{}", text);

        let ended = matches!(record.application, Application::BuiltIn { over_time: false });
        prop_assert!(ended, "not every call ended in\n{}", text);
        let verdict = record.judge(&scenario);
        prop_assert!(verdict.status() == Status::Pass, "{:?} in\n{}", verdict.findings, text);

        // One outcome for each call, told once.
        let mut told = BTreeMap::new();
        for entry in &record.entries {
            if let Entry::Outcome(outcome) = entry {
                *told.entry(outcome.call.clone().unwrap()).or_insert(0) += 1;
            }
        }
        let asked = scenario.document.client.calls.unwrap();
        prop_assert_eq!(told.len(), usize::try_from(asked).unwrap());
        prop_assert!(told.values().all(|&times| times == 1));

        // Every attempt that was claimed has ended, later than it began, and numbers have no gap.
        let (calls, strays) = calls(&record.entries);
        prop_assert!(strays.is_empty());
        let mut numbers = Vec::new();
        for call in &calls {
            for attempt in &call.attempts {
                let ended = attempt.ended;
                prop_assert!(ended.is_some_and(|ended| attempt.claimed.at <= ended.at), "{:?}", attempt);
                numbers.push(attempt.claimed.attempt);
            }
        }
        numbers.sort_unstable();
        let expected: Vec<u64> = (1..=u64::try_from(numbers.len()).unwrap()).collect();
        prop_assert_eq!(numbers, expected);
    }
}
