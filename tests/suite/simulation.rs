//! Whatever the provider does, what must always hold? Random scenarios in virtual time.

use std::{collections::BTreeMap, fmt::Write as _, thread};

use brownout::{
    client,
    harness::{Mode, Record, play},
    report::{ScenarioReport, SuiteReport, write_journal, write_json},
    scenario::{Scenario, Source},
    verdict::{Application, Status, calls},
};
use mock_server::journal::{EndKind, Entry};
use proptest::prelude::*;
use resilience_core::{Trace, What};

use crate::world::{World, attempts, in_virtual_time};

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
    // Most of them act from the beginning: calls that nothing delays are over at once.
    let from = prop_oneof![3 => Just(0), 1 => 1..40_u32];
    (provider, from, pick, per, then, steps, any::<bool>()).prop_map(
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
    (prop::collection::vec(rule(), 0..4), targets, any::<bool>(), 1..12_u32, 1..5_u32, prop::option::of(5..200_u32), prop::option::of(1..5_u32)).prop_filter_map(
        "a rule that takes every request leaves the later ones nothing",
        |(rules, targets, streaming, calls, concurrency, quota, latency)| {
            let quota = quota.map_or_else(String::new, |quota| format!("quota: {{ requests: {quota}/min }}, "));
            let latency = latency.map_or_else(String::new, |secs| format!("latency: {{ first-token: {secs}s }}, "));
            let rules = if rules.is_empty() { "[]".to_owned() } else { format!("\n{}", rules.concat()) };
            let text = format!(
                "brownout: 1\nname: anything\nallow: [rule-never-acted, script-unfinished]\nprovider: {{ {quota}{latency}}}\nrules: {rules}\nclient:\n  calls: {calls}\n  concurrency: {concurrency}\n  streaming: {streaming}\n  targets: [{targets}]\n"
            );
            Scenario::read("anything", "anything", Source::new("anything.yaml", text)).ok()
        },
    )
}

fn played(scenario: &Scenario, seed: u64) -> Record {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(play(scenario, &Mode::BuiltInVirtual, seed)).unwrap().remove(0)
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

/// What one side knows of an attempt: the model that was asked, and how it went where both can tell.
#[derive(Debug, PartialEq)]
struct Line {
    model: String,
    served: bool,
    status: Option<u16>,
}

/// The attempts of a call that reached the provider, as the client has noted them.
fn noted(trace: &Trace, models: &[&str]) -> Vec<Line> {
    let connected = |number| {
        trace.entries.iter().any(|entry| entry.what == What::Connected { attempt: number })
    };
    trace
        .attempts()
        .filter(|(number, ..)| connected(*number))
        .map(|(_, target, failure)| Line {
            model: models[target].to_owned(),
            served: failure.is_none(),
            status: failure.map_or(Some(200), |failure| failure.status),
        })
        .collect()
}

/// Bytes by which two runs can be told apart: the journal, and the report on it.
fn written(scenario: &Scenario, record: Record) -> (Vec<u8>, Vec<u8>) {
    let (seed, took) = (record.seed, record.took);
    let verdict = record.judge(scenario);
    let scenarios =
        vec![ScenarioReport { scenario: scenario.clone(), judged: Some((record, verdict)) }];
    let report = SuiteReport { seed, mode: Mode::BuiltInVirtual, scenarios, took };
    let (mut journal, mut json) = (Vec::new(), Vec::new());
    write_journal(&report, &mut journal).unwrap();
    write_json(&report, &mut json).unwrap();
    (journal, json)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// What the client says it did is what the provider saw: the same attempts of the same calls, in the same order and with the same end, but for those that found no connection.
    #[test]
    fn property_65_the_clients_trace_is_the_providers_journal(
        scenario in scenario(),
        refused in prop::option::of((1..30u32, 1..30u32)),
        seed: u64,
    ) {
        let mut text = scenario.source.text().to_owned();
        if let Some((from, lasts)) = refused {
            let until = from + lasts;
            writeln!(text, "connections:\n  - when: {{ from: {from}s, until: {until}s }}").unwrap();
            writeln!(text, "    fault: refuse").unwrap();
        }
        let scenario = crate::world::scenario(&text);
        let settings = scenario.document.client.clone();
        let models: Vec<_> = settings.targets.iter().map(|target| target.model.as_str()).collect();
        let (reports, journal) = in_virtual_time(&scenario, seed, async |world| {
            let World { connector, clock } = world;
            client::play(&settings, seed, connector, move || clock.now()).await.unwrap()
        });
        let mut seen: BTreeMap<String, Vec<Line>> = BTreeMap::new();
        let mut marks: BTreeMap<String, String> = BTreeMap::new();
        for (claimed, ended) in attempts(&journal) {
            let name = claimed.call_name.clone().unwrap();
            let served = ["answer", "slow"].contains(&claimed.action.as_str())
                && ended.end == EndKind::Complete;
            marks.insert(name.clone(), claimed.mark.clone().unwrap_or_default());
            seen.entry(name).or_default().push(Line {
                model: claimed.model.clone(),
                served,
                // A client whose answer broke off after a good head has nothing to show for it.
                status: ended.status.filter(|status| served || *status != 200),
            });
        }
        for report in reports {
            let trace = match &report.result {
                Ok(success) => &success.trace,
                Err(error) => &error.trace,
            };
            let noted = noted(trace, &models);
            prop_assert_eq!(trace.call.to_string(), report.name.clone());
            let seen = seen.remove(&report.name).unwrap_or_default();
            prop_assert_eq!(&seen, &noted, "call {} in\n{}", report.name, text);
            if let Ok(success) = &report.result {
                let mark = &marks[&report.name];
                prop_assert!(success.value.contains(mark.as_str()), "{} in {}", mark, success.value);
            }
        }
        prop_assert!(seen.is_empty(), "calls that nobody made: {:?} in\n{}", seen, text);
    }

    /// The same seed writes the same journal and the same report, byte for byte, whatever else the process does and on however many threads.
    #[test]
    fn property_67_the_same_seed_writes_the_same_bytes(
        scenarios in prop::collection::vec(scenario(), 3),
        seed: u64,
    ) {
        let alone: Vec<_> =
            scenarios.iter().map(|scenario| written(scenario, played(scenario, seed))).collect();
        // One after another once more, and then all at the same time.
        for threads in [1, scenarios.len()] {
            let share = scenarios.len().div_ceil(threads);
            let together: Vec<_> = thread::scope(|scope| {
                let threads: Vec<_> = scenarios
                    .chunks(share)
                    .map(|scenarios| {
                        let run = |scenario| written(scenario, played(scenario, seed));
                        scope.spawn(move || scenarios.iter().map(run).collect::<Vec<_>>())
                    })
                    .collect();
                threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
            });
            prop_assert!(alone == together, "{} threads, seed {}", threads, seed);
        }
    }
}
