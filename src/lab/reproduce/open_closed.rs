//! The same server under clients that wait for their answers, and under clients that do not.
//!
//! Whoever waits for an answer before asking again never sees a queue, and measures a service that nobody else gets: coordinated omission.
//! Whoever asks once more for each answer that came late makes a queue that never ends.

use std::{collections::VecDeque, fmt};

use super::{Anchor, Cell, Claim, Parameter, Reproduction, Setup, Tolerance};
use crate::lab::{
    Chance,
    statistics::{Summary, number, quantile},
};

/// Open, closed, and open with replacement.
pub(super) const ANCHOR: Anchor = Anchor {
    name: "open-closed",
    title: "a closed client sees no queue, an open one does, and replacing late work never ends",
    source: "Marc Brooker, Open and Closed, Omission and Collapse, 2023, https://brooker.co.za/blog/2023/05/10/open-closed.html; the mean by Pollaczek and Khinchine",
    parameters: &[
        Parameter {
            name: "utilisation",
            about: "which share of the time the server works under open load",
            default: &[0.8],
            least: 0.01,
            most: 0.99,
            whole: false,
        },
        Parameter {
            name: "usual-ms",
            about: "mean size of a usual job in ms",
            default: &[0.1],
            least: 1e-3,
            most: 1e3,
            whole: false,
        },
        Parameter {
            name: "rare-ms",
            about: "mean size of a rare job in ms",
            default: &[10.0],
            least: 1e-3,
            most: 1e5,
            whole: false,
        },
        Parameter {
            name: "rare-share",
            about: "which share of the jobs is rare",
            default: &[0.001],
            least: 0.0,
            most: 1.0,
            whole: false,
        },
        Parameter {
            name: "late-ms",
            about: "a response that took longer than this many ms is asked for again, with replacement",
            default: &[15.0],
            least: 0.0,
            most: 1e9,
            whole: false,
        },
        Parameter {
            name: "jobs",
            about: "jobs in each run of the open and the closed client",
            default: &[1e6],
            least: 100.0,
            most: 1e7,
            whole: true,
        },
        Parameter {
            name: "growth-ms",
            about: "how many ms the queue is watched, in four quarters, from empty",
            default: &[5_000.0],
            least: 1.0,
            most: 1e6,
            whole: false,
        },
    ],
    runs: 20,
    run: |setup| compare(setup, !setup.settings.are_changed()),
};

/// One server that takes the jobs in their order; everything is in ms.
#[derive(Clone, Copy, Debug)]
struct World {
    utilisation: f64,
    usual: f64,
    rare: f64,
    rare_share: f64,
    late: f64,
    jobs: u32,
    growth: f64,
}

impl World {
    fn of(setup: &Setup<'_>) -> Self {
        let settings = setup.settings;
        Self {
            utilisation: settings.one("utilisation"),
            usual: settings.one("usual-ms"),
            rare: settings.one("rare-ms"),
            rare_share: settings.one("rare-share"),
            late: settings.one("late-ms"),
            jobs: settings.whole("jobs"),
            growth: settings.one("growth-ms"),
        }
    }

    /// Serves jobs as long as whoever is told when each came and when it was done wants more.
    fn serve(&self, clients: Clients, luck: Luck, mut more: impl FnMut(f64, f64) -> bool) {
        let Luck { mut arrivals, mut sizes } = luck;
        let pause = match clients {
            Clients::Closed => (1.0 - self.utilisation) * self.size_mean(),
            Clients::Open | Clients::Replacing => self.size_mean() / self.utilisation,
        };
        let mut next = arrivals.exponential(pause);
        let mut again = VecDeque::new();
        let mut idle_at = 0.0_f64;
        loop {
            let came = match again.front() {
                Some(&at) if at < next => {
                    again.pop_front();
                    at
                }
                _ => {
                    let came = next;
                    next += arrivals.exponential(pause);
                    came
                }
            };
            let rare = sizes.happens(self.rare_share);
            let done =
                came.max(idle_at) + sizes.exponential(if rare { self.rare } else { self.usual });
            idle_at = done;
            match clients {
                // The pause begins with the answer.
                Clients::Closed => next += done - came,
                Clients::Replacing if done - came > self.late => again.push_back(done),
                Clients::Open | Clients::Replacing => {}
            }
            if !more(came, done) {
                return;
            }
        }
    }

    /// Mean and 99th percentile of the response.
    fn responses(&self, clients: Clients, luck: Luck) -> [f64; 2] {
        let jobs = usize::try_from(self.jobs).unwrap_or(usize::MAX);
        let mut responses = Vec::with_capacity(jobs);
        self.serve(clients, luck, |came, done| {
            responses.push(done - came);
            responses.len() < jobs
        });
        let mean = responses.iter().sum::<f64>() / number(jobs);
        responses.sort_unstable_by(f64::total_cmp);
        [mean, quantile(&responses, 0.99).unwrap_or(f64::NAN)]
    }

    /// How many jobs are there on average, in each quarter of the time.
    fn lengths(&self, clients: Clients, luck: Luck) -> [f64; QUARTERS] {
        let quarter = self.growth / number(QUARTERS);
        let mut lengths = [0.0; QUARTERS];
        self.serve(clients, luck, |came, done| {
            let mut from = 0.0;
            for length in &mut lengths {
                let until = from + quarter;
                *length += (done.min(until) - came.max(from)).max(0.0) / quarter;
                from = until;
            }
            came < self.growth
        });
        lengths
    }

    fn size_mean(&self) -> f64 {
        (1.0 - self.rare_share) * self.usual + self.rare_share * self.rare
    }

    /// The mean response under open load: Pollaczek's and Khinchine's formula.
    fn response_mean(&self) -> f64 {
        let squares = 2.0
            * ((1.0 - self.rare_share) * self.usual.powi(2) + self.rare_share * self.rare.powi(2));
        let rate = self.utilisation / self.size_mean();
        self.size_mean() + rate * squares / (2.0 * (1.0 - self.utilisation))
    }

    /// The size that one job in a hundred exceeds, by bisection.
    fn size_p99(&self) -> f64 {
        let exceed = |size: f64| {
            (1.0 - self.rare_share) * (-size / self.usual).exp()
                + self.rare_share * (-size / self.rare).exp()
        };
        let (mut low, mut high) = (0.0, 100.0 * self.usual.max(self.rare));
        for _ in 0..200 {
            let middle = f64::midpoint(low, high);
            if exceed(middle) > 0.01 { low = middle } else { high = middle }
        }
        low
    }
}

/// Who asks.
#[derive(Clone, Copy, Debug)]
enum Clients {
    /// One client that waits for its answer, and then thinks for a while.
    Closed,
    /// Many that know nothing of each other.
    Open,
    /// The same, and each late answer is followed by one more job.
    Replacing,
}

impl fmt::Display for Clients {
    fn fmt(&self, text: &mut fmt::Formatter<'_>) -> fmt::Result {
        text.write_str(match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::Replacing => "open with replacement",
        })
    }
}

/// The luck of a run: jobs and their sizes apart, so that all clients meet the same.
#[derive(Clone, Debug)]
struct Luck {
    arrivals: Chance,
    sizes: Chance,
}

impl Luck {
    fn of(setup: &Setup<'_>, run: u64) -> Self {
        let of = |subject| Chance::new(setup.seed, run, subject);
        Self { arrivals: of(0), sizes: of(1) }
    }
}

/// Plays everything; what is only said of the published parameters is claimed only with `statements`.
fn compare(setup: &Setup<'_>, statements: bool) -> Reproduction {
    let world = World::of(setup);
    let mut shown = Reproduction::default();
    let responding = [Clients::Open, Clients::Closed];
    let responses =
        setup.runs(&responding, |clients, run| world.responses(*clients, Luck::of(setup, run)));
    let growing = [Clients::Open, Clients::Replacing];
    let lengths =
        setup.runs(&growing, |clients, run| world.lengths(*clients, Luck::of(setup, run)));

    for (clients, runs) in responding.into_iter().zip(&responses) {
        let means: Vec<f64> = runs.iter().map(|[mean, _]| *mean).collect();
        let tails: Vec<f64> = runs.iter().map(|[_, p99]| *p99).collect();
        let expected = match clients {
            Clients::Closed => world.size_mean(),
            Clients::Open | Clients::Replacing => world.response_mean(),
        };
        let errors = Tolerance::Errors { most: 3.0, published: 0.0 };
        let what = |metric| format!("{metric} of the response in ms, {clients}");
        shown.claims.push(Claim::of_runs(what("mean"), expected, &means, errors));
        if let Clients::Closed = clients {
            let (root, near) = (world.size_p99(), Tolerance::Relative(0.02));
            shown.claims.push(Claim::of_runs(what("p99"), root, &tails, near));
        }
        if statements {
            let (bound, side) = match clients {
                Clients::Closed => (1.0, Tolerance::Below),
                Clients::Open | Clients::Replacing => (25.0, Tolerance::Above),
            };
            shown.claims.push(Claim::of_runs(what("p99"), bound, &tails, side));
        }
        let cell = |metric, values| Cell {
            labels: vec![("clients", clients.to_string()), ("quarter", "all".to_owned())],
            metric,
            values,
        };
        shown.cells.extend([cell("response_mean_ms", means), cell("response_p99_ms", tails)]);
    }
    if statements {
        let mean = Claim::exact(
            "mean of the response in ms, by the formula",
            4.113,
            world.response_mean(),
        );
        shown.claims.push(Claim { tolerance: Tolerance::Absolute(0.0005), ..mean });
    }

    for (clients, runs) in growing.into_iter().zip(&lengths) {
        for quarter in 0..QUARTERS {
            let values: Vec<f64> = runs.iter().map(|lengths| lengths[quarter]).collect();
            let ordinal = quarter + 1;
            match clients {
                Clients::Replacing if quarter > 0 && statements => {
                    let rise = |lengths: &[f64; QUARTERS]| lengths[quarter] - lengths[quarter - 1];
                    let rises: Vec<f64> = runs.iter().map(rise).collect();
                    let rise = Summary::of(&rises).z(&Summary::published(0.0, 0.0, 1));
                    let what = format!(
                        "rise of the mean length from quarter {quarter} to {ordinal} in standard errors, {clients}"
                    );
                    shown.claims.push(Claim::above(what, 3.0, rise));
                }
                Clients::Open if statements => {
                    let what = format!("mean length in quarter {ordinal}, {clients}");
                    shown.claims.push(Claim::of_runs(what, FEW_HUNDRED, &values, Tolerance::Below));
                }
                Clients::Closed | Clients::Open | Clients::Replacing => {}
            }
            let labels = vec![("clients", clients.to_string()), ("quarter", ordinal.to_string())];
            shown.cells.push(Cell { labels, metric: "length_mean", values });
        }
    }
    shown.notes.push(format!(
        "with a single client no queue can form, so that its response is the size of its job: that of the open clients is {:.0} times as long on average",
        world.response_mean() / world.size_mean(),
    ));
    shown.notes.push(format!(
        "by Little's law the open queue has {:.1} jobs on average; every run begins with none",
        world.utilisation / world.size_mean() * world.response_mean(),
    ));
    shown
}

const QUARTERS: usize = 4;

/// What "tens to a few hundred" is taken to mean.
const FEW_HUNDRED: f64 = 300.0;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::reproduce::{broken, shown};

    /// Makes all claims, although there are fewer jobs than published.
    const REDUCED: Anchor = Anchor { run: |setup| compare(setup, true), ..ANCHOR };

    const FEW: (&str, &str) = ("jobs", "100000");

    #[test]
    fn every_claim_holds() {
        let shown = shown(&REDUCED, 12, 2, &[FEW]);
        assert_eq!(shown.claims.len(), 13);
        assert_eq!(broken(&shown), [""; 0]);
    }

    #[test]
    fn a_replacement_that_never_comes_is_noticed() {
        let shown = shown(&REDUCED, 12, 2, &[FEW, ("late-ms", "1e9")]);
        let broken = broken(&shown);
        assert!(broken.iter().any(|what| what.starts_with("rise")), "{broken:?}");
        assert!(broken.iter().all(|what| what.starts_with("rise")), "{broken:?}");
    }

    #[test]
    fn a_server_that_is_less_busy_is_noticed() {
        let shown = shown(&REDUCED, 12, 2, &[FEW, ("utilisation", "0.5")]);
        assert!(!shown.holds());
    }

    /// 0.999·e^(−10t) + 0.001·e^(−t/10) is 0.01 there.
    #[test]
    fn formulas_give_the_published_figures() {
        let settings = ANCHOR.settings(&[]).unwrap();
        let (crew, progress) =
            (crate::lab::Crew::of_this_machine(), crate::lab::Progress::default());
        let setup = Setup { seed: 1, runs: 1, crew, settings: &settings, progress: &progress };
        let world = World::of(&setup);
        assert!((world.size_mean() - 0.1099).abs() < 1e-12);
        assert!((world.response_mean() - 4.113).abs() < 0.0005);
        let root = world.size_p99();
        let exceed = 0.999 * (-10.0 * root).exp() + 0.001 * (-root / 10.0).exp();
        assert!((exceed - 0.01).abs() < 1e-12, "{root}");
    }

    #[test]
    fn the_number_of_threads_changes_nothing() {
        let few = [("jobs", "2000"), ("growth-ms", "500")];
        assert_eq!(shown(&REDUCED, 4, 1, &few), shown(&REDUCED, 4, 3, &few));
    }
}
