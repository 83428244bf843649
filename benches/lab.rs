//! How fast the lab is: attempts in a second of one core, whether that holds for many clients, and
//! the same published model beside plain Python.
//!
//! It is there to catch a simulation that allocates, that searches lists which grow with its
//! clients, or that words answers which nobody reads.

#[path = "shared/figure.rs"]
mod figure;

use std::{num::NonZeroUsize, process::Command, time::Duration};

use brownout::{
    lab::{
        Crew, Experiment, Progress, World,
        reproduce::{Anchor, Setup},
        statistics::number,
    },
    scenario::{Factor, Scenario, Source},
};
use rustix::time::{ClockId, clock_gettime};

/// What a run came to.
struct Played {
    calls: u64,
    attempts: u64,
    took: Duration,
}

#[expect(clippy::print_stdout, reason = "the figures are what this is for")]
fn main() {
    // The reference load: a thousand clients, a call a second each, an hour with an outage in it.
    let Played { calls, attempts, took } = play(1_000, "1h");
    let rate = number(attempts) / took.as_secs_f64();
    println!(
        "lab: 1000 clients for an hour: {calls} calls and {attempts} attempts in {:.2} s of one \
         core, {rate:.0} attempts a second",
        took.as_secs_f64(),
    );
    let sizes = [(100, "10min"), (1_000, "10min"), (10_000, "10min")];
    let costs = sizes.map(|(clients, span)| {
        let Played { attempts, took, .. } = play(clients, span);
        took.as_secs_f64() * 1e9 / number(attempts)
    });
    for ((clients, _), cost) in sizes.into_iter().zip(costs).skip(1) {
        let name = format!("lab/an attempt of {clients} clients");
        figure::tell(&name, [cost, costs[0]], "ns", cost / costs[0], None);
    }
    let ours = aws();
    match python() {
        Some(theirs) => figure::tell("lab/AWS model", [ours, theirs], "ns", ours / theirs, None),
        None => println!("skipped: python3 could not play benches/aws_model.py"),
    }
}

/// Plays so many clients with a call a second each, for so long.
fn play(clients: u32, span: &str) -> Played {
    let text = format!(
        "
brownout: 1
name: a call a second from each client, and a twelfth of the time without answers
provider: {{ latency: {{ first-token: 400ms p99 2s }}, answers: {{ tokens: 20 }} }}
rules: [{{ when: {{ from: 5min, until: 350s }}, fault: unavailable }}]
client:
  clients: {clients}
  arrivals: {{ rate: {clients}/s, for: {span}, spread: random }}
  timeouts: {{ call: 60s }}
"
    );
    let source = Source::from_bytes("reference.yaml".to_owned(), text.as_bytes());
    let scenario = Scenario::read("reference", "reference", source);
    let scenario = scenario.expect("the reference load has no mistake");
    let load = Factor { millis: 1_000 };
    let experiment = Experiment {
        strategies: vec![("resilience".to_owned(), brownout::scenario::Strategy::default())],
        worlds: vec![World::new(&scenario, load).expect("the reference load can be played")],
        seed: 1,
        runs: 1,
    };
    let before = spent();
    let results = experiment.perform(Crew::new(NonZeroUsize::MIN), &Progress::default());
    let took = spent().saturating_sub(before);
    let cell = &results.cells[0];
    Played { calls: cell.calls, attempts: cell.attempts, took }
}

/// What a write of the AWS model costs us, in nanoseconds: a hundred clients, every strategy.
fn aws() -> f64 {
    let anchor = Anchor::named("aws-jitter").expect("it is one of ours");
    let settings = [("clients".to_owned(), "100".to_owned())];
    let settings = anchor.settings(&settings).expect("a hundred clients are in its range");
    let (crew, progress) = (Crew::new(NonZeroUsize::MIN), Progress::default());
    let setup = Setup { seed: 1, runs: RUNS, crew, settings: &settings, progress: &progress };
    let before = spent();
    let shown = (anchor.run)(&setup);
    let took = spent().saturating_sub(before);
    let calls = shown.cells.iter().filter(|cell| cell.metric == "calls");
    let writes: f64 = calls.flat_map(|cell| &cell.values).sum();
    took.as_secs_f64() * 1e9 / writes
}

/// What a write of the same model costs plain Python, in nanoseconds of its processor time.
fn python() -> Option<f64> {
    let strategies = ["none", "expo", "full", "equal", "decorr"];
    let (mut writes, mut seconds) = (0.0, 0.0);
    for strategy in strategies {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/aws_model.py");
        let arguments = ["--clients", "100", "--runs", "20", "--strategy", strategy];
        let output = Command::new("python3").arg(script).args(arguments).output().ok()?;
        let told: serde_json::Value = serde_json::from_slice(&output.stdout).ok()?;
        let of_this = told["calls"]["mean"].as_f64().or(told["calls"].as_f64())? * 20.0;
        writes += of_this;
        seconds += of_this / told["writes_per_second"].as_f64()?;
    }
    Some(seconds * 1e9 / writes)
}

/// The processor time of this thread so far.
fn spent() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::try_from(time).expect("processor time only grows")
}

/// How many runs of the AWS model are timed.
const RUNS: u32 = 200;
