//! Whether reality agrees with the simulation.
//!
//! Two things may set the mean of some runs over sockets apart from that of simulated ones although the simulation is right: luck, which Welch's interval of their difference allows for, and what no simulation plays, for which every metric has a tolerance that is stated.

use std::{fmt, time::Duration};

use super::{
    metric::{Figures, Metric, summary},
    results::CONFIDENCE,
    statistics::{Summary, number},
};
use crate::verdict::Exit;

/// A strategy's worlds, each of which was both simulated and played.
#[derive(Clone, Debug)]
pub struct Agreement {
    /// The strategy.
    pub strategy: String,
    /// The command that was to cope like it; none if the built-in client did.
    pub command: Option<String>,
    /// The seed.
    pub seed: u64,
    /// What was seen in each world, and what follows: the metrics in the order of [`Metric::ALL`].
    pub worlds: Vec<(Trial, Vec<Row>)>,
}

/// A world that was both simulated and played.
#[derive(Clone, Debug)]
pub struct Trial {
    /// The world's name.
    pub world: String,
    /// The figures of each simulated run.
    pub simulated: Vec<Figures>,
    /// Those of each run over sockets.
    pub real: Vec<Figures>,
    /// What the machine may add to a wait, seen in the worst of these runs.
    pub slack: Duration,
    /// Why nothing follows from these runs.
    pub doubts: Vec<Doubt>,
}

/// A metric, simulated and measured.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// The metric.
    pub metric: Metric,
    /// The simulated runs; none if none has a value.
    pub simulated: Option<Summary>,
    /// The runs over sockets; none if none has a value.
    pub real: Option<Summary>,
    /// By how much the two means may differ, by luck and by tolerance; none where only one side has enough values.
    pub allowance: Option<f64>,
    /// Whether the two agree; none if fewer than two runs of a side have a value, and that cannot be told.
    pub agrees: Option<bool>,
}

/// Why a run over sockets shows nothing about a strategy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// The command did not end well in a run.
    Exit {
        /// The run, counted from 1.
        run: u32,
        /// How it ended.
        exit: Exit,
    },
    /// The server had no room for all connections of a run.
    Connections {
        /// The run, counted from 1.
        run: u32,
    },
    /// The journal had no room for all of a run.
    JournalFull {
        /// The run, counted from 1.
        run: u32,
    },
    /// The client was stopped at the time limit.
    OverTime {
        /// The run, counted from 1.
        run: u32,
    },
    /// The machine was too busy in a run for its times to mean anything.
    Starved {
        /// The run, counted from 1.
        run: u32,
    },
}

/// By how much a metric may differ for what a simulation leaves out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tolerance {
    /// So much in any case, in the metric's unit.
    pub least: f64,
    /// So much of the simulated mean, if that is more.
    pub share: f64,
    /// What is left out.
    pub why: &'static str,
}

impl Agreement {
    /// What follows from some trials of a strategy.
    pub fn of(strategy: String, command: Option<String>, seed: u64, trials: Vec<Trial>) -> Self {
        let rows = compare(&trials);
        Self { strategy, command, seed, worlds: trials.into_iter().zip(rows).collect() }
    }

    /// Whether everything agrees that can be told; none where there are doubts.
    pub fn holds(&self) -> Option<bool> {
        if self.worlds.iter().any(|(trial, _)| !trial.doubts.is_empty()) {
            return None;
        }
        let mut rows = self.worlds.iter().flat_map(|(_, rows)| rows);
        Some(rows.all(|row| row.agrees != Some(false)))
    }
}

impl Tolerance {
    /// The tolerance of a metric on a machine that adds so much to a wait.
    pub fn of(metric: Metric, slack: Duration) -> Self {
        let (least, share, why) = match metric {
            Metric::P50 | Metric::P90 | Metric::P99 | Metric::P999 => {
                (slack.as_secs_f64(), 0.05, "connections are set up, and processes take time")
            }
            Metric::Recovery => (1.0, 0.0, "a little later is another second"),
            Metric::Peak => (0.0, 0.05, "a little later is another second"),
            Metric::Amplification => (0.0, 0.02, "a little later may meet another fault"),
            Metric::Goodput => (0.0, 0.02, "calls come and end a little later"),
            Metric::Success | Metric::SuccessInOutage | Metric::Limited => {
                (0.01, 0.0, "a little later may meet another fault")
            }
            Metric::WastedTokens | Metric::WastedCost => {
                (0.0, 0.05, "an answer's own mark has about as many tokens")
            }
            Metric::Fairness => (0.01, 0.0, "a journal does not tell clients apart"),
        };
        Self { least, share, why }
    }

    /// What it comes to beside a simulated mean.
    fn beside(self, simulated: f64) -> f64 {
        self.least.max(self.share * simulated.abs())
    }
}

/// Sets what was simulated beside what was measured: for each trial its rows.
///
/// All of them together are wrong about luck once in twenty times at most: each interval is as much wider as there are more of them (Bonferroni).
fn compare(trials: &[Trial]) -> Vec<Vec<Row>> {
    let pairs = trials.iter().map(|trial| {
        let both = |metric| {
            let sides = (summary(&trial.simulated, metric), summary(&trial.real, metric));
            // Of fairness a journal shows nothing.
            let told = metric != Metric::Fairness && sides != (None, None);
            told.then_some((metric, sides))
        };
        (trial, Metric::ALL.into_iter().filter_map(both).collect::<Vec<_>>())
    });
    let pairs: Vec<_> = pairs.collect();
    let judged: usize = pairs.iter().map(|(_, pairs)| pairs.len()).sum();
    let confidence = 1.0 - (1.0 - CONFIDENCE) / number(judged.max(1));
    let rows = pairs.into_iter().map(|(trial, pairs)| {
        let rows = pairs.into_iter().map(|(metric, (simulated, real))| {
            let (Some(ours), Some(theirs)) = (simulated, real) else {
                return Row { metric, simulated, real, allowance: None, agrees: Some(false) };
            };
            let tolerance = Tolerance::of(metric, trial.slack).beside(ours.mean);
            let luck = ours.difference_half_width(&theirs, confidence);
            let allowance = luck.map(|luck| luck + tolerance);
            let difference = (ours.mean - theirs.mean).abs();
            let agrees = allowance.map(|allowance| difference <= allowance + EXACT);
            Row { metric, simulated, real, allowance, agrees }
        });
        rows.collect()
    });
    rows.collect()
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exit { run, exit: Exit::OverTime } | Self::OverTime { run } => write!(
                f,
                "run {run} was stopped at the time limit; `time-limit` in the world gives it more"
            ),
            Self::Exit { run, exit: Exit::Code(code) } => write!(
                f,
                "the command ended with exit code {code} in run {run}; it is to end with 0 once its calls are made, whatever becomes of them"
            ),
            Self::Exit { run, exit: Exit::Signal(signal) } => {
                write!(f, "the command was ended by signal {signal} in run {run}")
            }
            Self::Connections { run } => write!(
                f,
                "the server had no room for all connections of run {run}; a lighter `--load` leaves some"
            ),
            Self::JournalFull { run } => write!(
                f,
                "the journal had no room for all of run {run}; a lighter `--load` leaves some"
            ),
            Self::Starved { run } => write!(
                f,
                "the machine was too busy in run {run} for its times to mean anything; try again when it is idle"
            ),
        }
    }
}

/// By how much means may differ that are the same but for the rounding of sums.
const EXACT: f64 = 1e-9;

#[cfg(test)]
mod tests {
    use super::*;

    fn runs(metric: Metric, values: &[f64]) -> Vec<Figures> {
        let figures = |value: &f64| {
            let mut figures = Figures::default();
            figures.set(metric, *value);
            figures
        };
        values.iter().map(figures).collect()
    }

    fn trial(metric: Metric, simulated: &[f64], real: &[f64]) -> Trial {
        Trial {
            world: "world".to_owned(),
            simulated: runs(metric, simulated),
            real: runs(metric, real),
            slack: Duration::from_millis(75),
            doubts: Vec::new(),
        }
    }

    #[track_caller]
    fn judges(metric: Metric, simulated: &[f64], real: &[f64], expected: Option<bool>) -> Row {
        let rows = compare(&[trial(metric, simulated, real)]).remove(0);
        let [row] = rows.as_slice() else { panic!("one metric: {rows:?}") };
        assert_eq!(row.agrees, expected, "{row:?}");
        row.clone()
    }

    #[test]
    fn without_luck_the_tolerance_decides() {
        for (metric, simulated, inside, outside) in [
            (Metric::P50, 0.4, 0.474, 0.476),
            (Metric::P99, 10.0, 10.49, 10.51),
            (Metric::Recovery, 3.0, 4.0, 4.1),
            (Metric::Amplification, 2.0, 1.961, 1.959),
            (Metric::Success, 1.0, 0.991, 0.989),
            (Metric::WastedTokens, 100.0, 104.9, 105.1),
        ] {
            judges(metric, &[simulated; 3], &[inside; 3], Some(true));
            judges(metric, &[simulated; 3], &[outside; 3], Some(false));
        }
    }

    #[test]
    fn luck_widens_what_is_allowed() {
        let simulated = [0.90, 0.94, 0.92, 0.91, 0.93];
        judges(Metric::Success, &simulated, &[0.89, 0.95, 0.90], Some(true));
        judges(Metric::Success, &simulated, &[0.71, 0.73, 0.72], Some(false));
    }

    /// Of two metrics each is asked for 97.5 %: with twice 10 values and equal errors the factor is 2.445 instead of 2.101.
    #[test]
    fn the_more_is_compared_the_more_luck_is_allowed() {
        let spread: Vec<f64> = (0..10).map(f64::from).collect();
        let alone = trial(Metric::Recovery, &spread, &spread);
        let luck = |trials: &[Trial]| compare(trials)[0][0].allowance.unwrap() - 1.0;
        let factor = luck(&[alone.clone(), alone.clone()]) / luck(&[alone]);
        assert!((factor - 2.445_006 / 2.100_922).abs() < 1e-5, "{factor}");
    }

    #[test]
    fn doubts_outweigh_what_agrees_and_what_does_not() {
        let holds = |real: f64, doubts: &[Doubt]| {
            let trial = trial(Metric::Success, &[0.9; 3], &[real; 3]);
            let trial = Trial { doubts: doubts.to_vec(), ..trial };
            Agreement::of("none".to_owned(), None, 7, vec![trial]).holds()
        };
        assert_eq!(holds(0.9, &[]), Some(true));
        assert_eq!(holds(0.8, &[]), Some(false));
        assert_eq!(holds(0.9, &[Doubt::Starved { run: 2 }]), None);
        assert_eq!(holds(0.8, &[Doubt::Starved { run: 2 }]), None);
    }

    #[test]
    fn what_only_one_side_has_disagrees_and_a_single_value_says_nothing() {
        let row = judges(Metric::P50, &[1.0; 3], &[f64::NAN; 3], Some(false));
        assert_eq!((row.real, row.allowance), (None, None));
        judges(Metric::P50, &[1.0; 3], &[1.0, f64::NAN, f64::NAN], None);
        let rows = compare(&[trial(Metric::Fairness, &[1.0; 3], &[f64::NAN; 3])]);
        assert_eq!(rows, [Vec::<Row>::new()]);
    }
}
