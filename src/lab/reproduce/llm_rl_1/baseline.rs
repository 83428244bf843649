//! What an independent program found, and how far our figures are from its.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::play::Case;
use crate::lab::{
    reproduce::Claim,
    statistics::{Summary, number},
};

/// The figures of `tests/lab/llm_rl_1.py`, which was written from the description of the model alone, in another language.
#[derive(Debug, Deserialize)]
pub(super) struct Baseline {
    cells: Vec<Reference>,
}

/// One case of the baseline.
#[derive(Debug, Deserialize)]
struct Reference {
    strategy: String,
    load: f64,
    outage: u8,
    pen: u8,
    /// Mean, standard deviation, standard error and number of seeds.
    metrics: BTreeMap<String, (f64, f64, f64, usize)>,
}

/// How many figures agree with the baseline, and which don't.
#[derive(Debug, Default)]
pub(super) struct Agreement {
    /// Figures that could be compared.
    pub(super) compared: usize,
    /// Those more than two standard errors away.
    pub(super) doubtful: usize,
    /// Those more than four standard errors away.
    pub(super) apart: usize,
    /// By how many standard errors each is above the baseline.
    pub(super) distances: Vec<(f64, String)>,
}

impl Baseline {
    /// The one that is kept beside this file.
    pub(super) fn kept() -> Self {
        serde_json::from_str(include_str!("baseline.json")).expect("the script writes this form")
    }

    /// Compares what the runs of a case gave; a case that the baseline does not have says nothing.
    pub(super) fn compare(
        &self,
        case: &Case,
        measured: &[(&'static str, Summary)],
        agreement: &mut Agreement,
    ) {
        let Some(reference) = self.cells.iter().find(|cell| cell.is_of(case)) else { return };
        // Where nearly nothing succeeds, the successes are too few to compare anything of them.
        let failed = reference.mean("success") < SUCCESS_LEAST;
        for (metric, ours) in measured {
            let Some(&(mean, deviation, _, count)) = reference.metrics.get(*metric) else {
                continue;
            };
            if failed && *metric != "success" {
                continue;
            }
            let theirs = Summary::published(mean, deviation, count);
            let z = if failed && ours.mean < SUCCESS_LEAST { 0.0 } else { distance(ours, &theirs) };
            agreement.compared += 1;
            agreement.doubtful += usize::from(z.abs() > 2.0);
            agreement.apart += usize::from(z.abs() > 4.0);
            let Case { strategy, load, outage, penalty } = case;
            let (outage, pen) = (u8::from(*outage), u8::from(*penalty));
            let what =
                format!("{metric} of {}, load {load}, outage {outage}, pen {pen}", strategy.name);
            agreement.distances.push((z, what));
        }
    }
}

impl Reference {
    fn is_of(&self, case: &Case) -> bool {
        self.strategy == case.strategy.name
            && (self.load - case.load).abs() < 1e-9
            && (self.outage == 1, self.pen == 1) == (case.outage, case.penalty)
    }

    fn mean(&self, metric: &str) -> f64 {
        self.metrics.get(metric).map_or(f64::NAN, |(mean, ..)| *mean)
    }
}

impl Agreement {
    /// What must hold of all figures together.
    pub(super) fn claims(&self) -> [Claim; 2] {
        let apart = "figures more than 4 standard errors from the baseline";
        // Independent normal errors give 4.6 %.
        let doubtful = "share of figures more than 2 standard errors from it";
        [
            Claim::exact(apart, 0.0, number(self.apart)),
            Claim::below(doubtful, 0.08, number(self.doubtful) / number(self.compared)),
        ]
    }

    /// How many figures there are, and the worst of them.
    pub(super) fn notes(mut self) -> Vec<String> {
        let counts = format!(
            "Of {} figures that the baseline has, {} are more than two standard errors from it.",
            self.compared, self.doubtful
        );
        self.distances.sort_by(|(a, _), (b, _)| b.abs().total_cmp(&a.abs()));
        let worst = self.distances.iter().take(WORST);
        let worst = worst.map(|(z, what)| format!("{what}: {z:+.2} standard errors."));
        [counts].into_iter().filter(|_| self.compared > 0).chain(worst).collect()
    }
}

/// By how many standard errors of both ours is above theirs; infinitely many if ours is missing.
fn distance(ours: &Summary, theirs: &Summary) -> f64 {
    if ours.mean.is_nan() {
        return f64::INFINITY;
    }
    // Seeds that differ a lot, such as those of a load at which some collapse and some don't, make a standard error doubtful.
    let differing = theirs.deviation > DEVIATION_LARGE * theirs.mean.abs();
    if differing && (ours.mean - theirs.mean).abs() <= 0.15 * theirs.mean.abs() {
        return 0.0;
    }
    if ours.count >= RUNS_LEAST {
        return ours.z(theirs);
    }
    // So few runs don't know their own error; if they are of the same kind, it is that of theirs.
    Summary::published(ours.mean, theirs.deviation, ours.count).z(theirs)
}

/// A reference with less success is only compared by that.
const SUCCESS_LEAST: f64 = 0.03;

/// Above this share of the mean a standard deviation between seeds is very large.
const DEVIATION_LARGE: f64 = 0.5;

/// From so many runs on, their standard error is reliable.
const RUNS_LEAST: usize = 20;

/// So many of the figures that are furthest from the baseline are shown.
const WORST: usize = 5;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::reproduce::llm_rl_1::strategy::STRATEGIES;

    fn agreement(reference: (f64, f64), ours: Summary, success: f64) -> (usize, usize, usize) {
        let entry = |(mean, deviation)| (mean, deviation, deviation / 40_f64.sqrt(), 40);
        let metrics = [("p99", entry(reference)), ("success", entry((success, 0.0)))];
        let metrics = metrics.map(|(name, entry)| (name.to_owned(), entry)).into();
        let strategy = STRATEGIES[3];
        let cell =
            Reference { strategy: strategy.name.to_owned(), load: 1.2, outage: 0, pen: 1, metrics };
        let case = Case { strategy, load: 1.2, outage: false, penalty: true };
        let mut agreement = Agreement::default();
        let baseline = Baseline { cells: vec![cell] };
        baseline.compare(&case, &[("p99", ours)], &mut agreement);
        baseline.compare(&Case { load: 1.3, ..case }, &[("p99", ours)], &mut agreement);
        (agreement.compared, agreement.doubtful, agreement.apart)
    }

    #[test]
    fn figures_are_compared_by_both_errors() {
        let ours = |mean| Summary::published(mean, 1.0, 40);
        // The error of the difference is 0.2236.
        for (mean, expected) in [
            (10.44, (1, 0, 0)),
            (10.46, (1, 1, 0)),
            (9.11, (1, 1, 0)),
            (9.1, (1, 1, 1)),
            (f64::NAN, (1, 1, 1)),
        ] {
            assert_eq!(agreement((10.0, 1.0), ours(mean), 0.9), expected, "{mean}");
        }
        // Few runs that agree by chance are given the error of the baseline's.
        let few = Summary::published(11.0, 0.01, 4);
        assert_eq!(agreement((10.0, 1.0), few, 0.9), (1, 0, 0));
        assert_eq!(agreement((10.0, 0.0), Summary::published(10.0, 0.0, 40), 0.9), (1, 0, 0));
        assert_eq!(agreement((10.0, 0.0), Summary::published(10.1, 0.0, 40), 0.9), (1, 1, 1));
    }

    #[test]
    fn where_seeds_differ_much_or_nearly_all_fails_less_is_asked() {
        let exact = |mean| Summary::published(mean, 0.001, 400);
        assert_eq!(agreement((10.0, 6.0), exact(11.5), 0.9), (1, 0, 0));
        assert_eq!(agreement((10.0, 4.0), exact(12.9), 0.9), (1, 1, 1));
        assert_eq!(agreement((10.0, 1.0), exact(99.0), 0.02), (0, 0, 0));
    }
}
