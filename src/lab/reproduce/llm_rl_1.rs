//! LLM-RL-1: fourteen client strategies under a request quota, a token quota and a short outage.
//!
//! A synthetic model, which is not fitted to any provider and published nowhere: what it is compared with is a second implementation of the same description.

mod baseline;
mod bucket;
mod constants;
mod gate;
mod metrics;
mod play;
mod provider;
mod strategy;

use self::{
    baseline::{Agreement, Baseline},
    constants::{Constants, PARAMETERS},
    metrics::metrics,
    play::{Case, play},
    strategy::STRATEGIES,
};
use super::{Anchor, Cell, Claim, Reproduction, Settings, Setup};
use crate::lab::{Chance, statistics::number};

/// The model, beside its baseline.
pub(super) const ANCHOR: Anchor = Anchor {
    name: "llm-rl-1",
    title: "client strategies under request and token quotas, with an outage",
    source: "this project's own model; its baseline is a second implementation, tests/lab/llm_rl_1.py",
    parameters: PARAMETERS,
    runs: 40,
    run,
};

fn run(setup: &Setup<'_>) -> Reproduction {
    let constants = Constants::of(setup.settings);
    let cases = cases(setup.settings);
    let (cells, broken) = measure(setup, &constants, &cases);
    let mut claims = vec![Claim::exact("runs that break an invariant", 0.0, number(broken.len()))];
    let mut notes: Vec<_> =
        broken.first().map(|what| format!("Broken: {what}.")).into_iter().collect();
    if is_comparable(setup.settings) {
        let agreement = agreement(&cases, &cells);
        claims.extend(agreement.claims());
        notes.extend(agreement.notes());
    }
    Reproduction { claims, cells: cells.into_iter().flatten().collect(), notes }
}

/// The figures of each case, and for each run that breaks an invariant the first that it breaks.
fn measure(
    setup: &Setup<'_>,
    constants: &Constants,
    cases: &[Case],
) -> (Vec<Vec<Cell>>, Vec<&'static str>) {
    let results = setup.runs(cases, |case, run| {
        let record = play(constants, case, Chance::new(setup.seed, run, subject(case)));
        (metrics(&record, constants, case.outage), record.broken.first().copied())
    });
    let (mut cells, mut broken) = (Vec::new(), Vec::new());
    for (case, runs) in cases.iter().zip(results) {
        let (metrics, broken_here): (Vec<_>, Vec<_>) = runs.into_iter().unzip();
        cells.push(cells_of(case, &metrics));
        broken.extend(broken_here.into_iter().flatten());
    }
    (cells, broken)
}

/// A cell for each metric of a case, from the metrics of its runs.
fn cells_of(case: &Case, runs: &[Vec<(&'static str, Option<f64>)>]) -> Vec<Cell> {
    let metrics = runs.first().into_iter().flatten().enumerate();
    let cell = |(index, (metric, _)): (usize, &(&'static str, _))| {
        let values = runs.iter().filter_map(|metrics| metrics[index].1).collect();
        Cell { labels: labels(case), metric, values }
    };
    metrics.map(cell).collect()
}

/// How well the figures of some cases agree with the baseline.
fn agreement(cases: &[Case], cells: &[Vec<Cell>]) -> Agreement {
    let (baseline, mut agreement) = (Baseline::kept(), Agreement::default());
    for (case, cells) in cases.iter().zip(cells) {
        let measured: Vec<_> = cells.iter().map(|cell| (cell.metric, cell.summary())).collect();
        baseline.compare(case, &measured, &mut agreement);
    }
    agreement
}

/// The cases that are run: the grid of the description, or all combinations of what is asked for instead.
fn cases(settings: &Settings) -> Vec<Case> {
    let published = is_default(settings, &["load", "outage", "pen"]);
    let mut cases = Vec::new();
    for number in settings.all_whole("strategies") {
        let strategy = usize::try_from(number - 1).map(|index| STRATEGIES[index]);
        let strategy = strategy.expect("its range ends with the table");
        for &load in settings.all("load") {
            for (penalty, outage) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
                let asked = |name, value| settings.all_whole(name).contains(&value);
                // A penalty is interesting where there is no other reason to fail.
                let left_out = published && penalty == 1 && (outage == 1) != (load < 1.0);
                if asked("pen", penalty) && asked("outage", outage) && !left_out {
                    let (outage, penalty) = (outage == 1, penalty == 1);
                    cases.push(Case { strategy, load, outage, penalty });
                }
            }
        }
    }
    cases
}

/// Whose luck it is: the same for a case, whichever others are run beside it.
fn subject(case: &Case) -> u64 {
    let Case { strategy, load, outage, penalty } = case;
    let name = strategy
        .name
        .bytes()
        .fold(0, |hash: u64, byte| hash.wrapping_mul(257).wrapping_add(u64::from(byte)));
    let kind = u64::from(*outage) | u64::from(*penalty) << 1;
    name.wrapping_mul(4).wrapping_add(kind) ^ load.to_bits().rotate_left(17)
}

fn labels(case: &Case) -> Vec<(&'static str, String)> {
    let flag = |set: bool| u8::from(set).to_string();
    vec![
        ("strategy", case.strategy.name.to_owned()),
        ("load", case.load.to_string()),
        ("outage", flag(case.outage)),
        ("pen", flag(case.penalty)),
    ]
}

/// Whether all constants are those of the baseline; the grid may be another.
fn is_comparable(settings: &Settings) -> bool {
    let grid = ["strategies", "load", "outage", "pen"];
    let names = PARAMETERS.iter().map(|parameter| parameter.name);
    let constants: Vec<_> = names.filter(|name| !grid.contains(name)).collect();
    is_default(settings, &constants)
}

fn is_default(settings: &Settings, names: &[&str]) -> bool {
    let mut asked = PARAMETERS.iter().filter(|parameter| names.contains(&parameter.name));
    asked.all(|parameter| settings.all(parameter.name) == parameter.default)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::lab::{
        Crew, Progress,
        reproduce::{broken, shown},
        statistics::Summary,
    };

    fn own(name: &str, text: &str) -> (String, String) {
        (name.to_owned(), text.to_owned())
    }

    fn mean(shown: &Reproduction, strategy: &str, metric: &str) -> f64 {
        let mut cells = shown.cells.iter();
        let cell = cells.find(|cell| cell.metric == metric && cell.labels[0].1 == strategy);
        cell.expect("a cell of this name").summary().mean
    }

    #[test]
    fn the_grid_is_that_of_the_description() {
        let settings = ANCHOR.settings(&[]).unwrap();
        let cases = cases(&settings);
        assert_eq!(cases.len(), 14 * 12);
        let subjects: BTreeSet<u64> = cases.iter().map(subject).collect();
        assert_eq!(subjects.len(), cases.len(), "each case has its own luck");
        let mut compared = Agreement::default();
        let baseline = Baseline::kept();
        let one = [("success", Summary::published(0.5, 0.1, 40))];
        for case in &cases {
            baseline.compare(case, &one, &mut compared);
        }
        assert_eq!(compared.compared, cases.len(), "the baseline has every case");
        let both = [own("load", "1.2,0.8"), own("pen", "1")];
        assert_eq!(super::cases(&ANCHOR.settings(&both).unwrap()).len(), 14 * 4);
    }

    #[test]
    fn every_strategy_does_what_the_baseline_says() {
        let shown = shown(&ANCHOR, 6, 2, &[]);
        assert_eq!(broken(&shown), [""; 0], "{:#?}", shown.notes);
        assert_eq!(shown.claims.len(), 3);
    }

    #[test]
    fn a_run_repeats_itself_on_any_number_of_threads() {
        let grid = [("load", "2"), ("strategies", "6,10,14"), ("duration", "200")];
        let first = shown(&ANCHOR, 3, 1, &grid);
        assert_eq!(first, shown(&ANCHOR, 3, 1, &grid));
        assert_eq!(first, shown(&ANCHOR, 3, 3, &grid));
        // Nor does it matter what is run beside it.
        let alone =
            shown(&ANCHOR, 3, 1, &[("load", "2"), ("strategies", "10"), ("duration", "200")]);
        assert_eq!(alone.cells[0], first.cells[first.cells.len() / 3]);
    }

    #[test]
    fn without_retries_each_request_is_one_call() {
        let shown =
            shown(&ANCHOR, 2, 2, &[("strategies", "1"), ("load", "2"), ("duration", "300")]);
        for cell in shown.cells.iter().filter(|cell| cell.metric == "amplification") {
            assert_eq!(cell.values, [1.0, 1.0]);
        }
        assert!((shown.claims[0].ours.mean).abs() < f64::EPSILON, "{:?}", shown.notes);
    }

    #[test]
    fn a_burst_meets_the_full_quota_and_attempts_may_be_without_limit() {
        let burst = [
            ("strategies", "1,2"),
            ("burst", "200"),
            ("cost-least", "500"),
            ("cost-most", "500"),
            ("cohort-from", "0"),
            ("outage", "0"),
            ("pen", "0"),
            ("load", "1"),
            ("attempts", "0"),
            ("network-delay", "0"),
            ("requests-per-second", "1"),
        ];
        let shown = shown(&ANCHOR, 2, 1, &burst);
        // A hundred at once; without a retry that is all, with one more each second the deadline comes first.
        assert!((mean(&shown, "none", "success") - 0.5).abs() < f64::EPSILON);
        let (success, calls) =
            (mean(&shown, "fixed", "success"), mean(&shown, "fixed", "amplification"));
        assert!((0.76..=0.8).contains(&success) && calls > 10.0, "{success} {calls}");
        assert!((shown.claims[0].ours.mean).abs() < f64::EPSILON && shown.claims.len() == 1);
    }

    #[test]
    fn wrong_constants_are_noticed() {
        let grid = [own("load", "1.2"), own("outage", "1"), own("pen", "0")];
        let settings = ANCHOR.settings(&grid).unwrap();
        let (crew, progress) = (Crew::of_this_machine(), Progress::default());
        let setup = Setup { seed: 1, runs: 3, crew, settings: &settings, progress: &progress };
        let check = |strategy: &str, change: fn(&mut Constants)| {
            let mut cases = cases(&settings);
            cases.retain(|case| case.strategy.name == strategy);
            let apart = |constants: &Constants| {
                agreement(&cases, &measure(&setup, constants, &cases).0).apart
            };
            let mut constants = Constants::of(&settings);
            assert_eq!(apart(&constants), 0, "{strategy}");
            change(&mut constants);
            assert_ne!(apart(&constants), 0, "{strategy}");
        };
        check("full", |constants| constants.attempts = Some(5));
        check("none", |constants| constants.latency.1 = 0.55);
        check("budget10", |constants| constants.budget.ratio_ppm = 110_000);
        check("limiter_shared_w10", |constants| constants.limiter.wait *= 2);
    }
}
