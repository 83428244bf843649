//! Strategies that meet worlds, seed by seed, on all cores.

use std::{collections::BTreeMap, time::Duration};

use mock_server::draw::{Draws, Purpose};

use super::{
    Crew, Progress, World,
    metric::Figures,
    results::{Cell, Moment, Named, Results, World as Shown},
    simulation::{Run, simulate},
    statistics::number,
    tally,
};
use crate::scenario::Strategy;

/// What is to be found out.
#[derive(Clone, Debug)]
pub struct Experiment {
    /// The strategies, by name; each name once.
    pub strategies: Vec<(String, Strategy)>,
    /// The worlds, each once.
    pub worlds: Vec<World>,
    /// The seed.
    pub seed: u64,
    /// How many seeds, derived from it, each strategy meets each world with.
    pub runs: u32,
}

/// What is kept of one run.
struct Kept {
    figures: Figures,
    course: Vec<Moment>,
    latencies: hdrhistogram::Histogram<u64>,
    calls: u64,
    attempts: u64,
}

impl Experiment {
    /// Plays everything; the same seed gives the same results, whatever the crew.
    pub fn perform(&self, crew: Crew, progress: &Progress) -> Results {
        let runs = usize::try_from(self.runs).unwrap_or(usize::MAX);
        let cells: Vec<(usize, usize)> = (0..self.worlds.len())
            .flat_map(|world| (0..self.strategies.len()).map(move |strategy| (world, strategy)))
            .collect();
        let job = |job: usize| {
            let (world, strategy) = cells[job / runs];
            let seed = self.seed_of(u64::try_from(job % runs).unwrap_or(u64::MAX));
            let (world, (_, strategy)) = (&self.worlds[world], &self.strategies[strategy]);
            keep(world, strategy, &simulate(world, strategy, seed, false))
        };
        let mut all = crew.work(cells.len() * runs, job, progress).into_iter();
        let cells = cells.into_iter().map(|(world, strategy)| {
            let kept: Vec<Kept> = all.by_ref().take(runs).collect();
            Cell {
                strategy,
                world,
                course: mean(&kept),
                latencies: tally::latencies(kept.iter().map(|run| &run.latencies)),
                calls: kept.iter().map(|run| run.calls).sum(),
                attempts: kept.iter().map(|run| run.attempts).sum(),
                runs: kept.into_iter().map(|run| run.figures).collect(),
            }
        });
        Results {
            seed: self.seed,
            runs: self.runs,
            strategies: self
                .strategies
                .iter()
                .map(|(name, strategy)| Named { name: name.clone(), about: strategy.about.clone() })
                .collect(),
            worlds: self.worlds.iter().map(shown).collect(),
            cells: cells.collect(),
        }
    }

    /// The seed of one of its runs: the first is the experiment's own.
    pub fn seed_of(&self, run: u64) -> u64 {
        seed_of(self.seed, run)
    }
}

/// The seed of one run: the first is the experiment's own, so that `brownout run --seed` meets the same luck.
pub(super) fn seed_of(seed: u64, run: u64) -> u64 {
    if run == 0 {
        return seed;
    }
    Draws::new(seed).draw("run", Purpose::Id, run, 0)
}

/// What a strategy comes to in one run of a world.
pub(super) fn figures(world: &World, strategy: &Strategy, seed: u64) -> Figures {
    keep(world, strategy, &simulate(world, strategy, seed, false)).figures
}

fn keep(world: &World, strategy: &Strategy, run: &Run) -> Kept {
    let client = world.client(strategy);
    let span = world.workload(&client, 0).span();
    let (calls, attempts) = run.tally.counts();
    let seconds = seconds(world);
    Kept {
        figures: run.tally.figures(span, world.outages()),
        course: run.tally.course(seconds, seconds.div_ceil(MOMENTS_MAX)),
        latencies: run.tally.latencies().clone(),
        calls,
        attempts,
    }
}

/// For how many seconds a world's course is shown: while calls arrive, and a tenth of that longer.
fn seconds(world: &World) -> usize {
    let span = span(world);
    let shown = span + span / 10;
    usize::try_from(shown.as_secs() + 1).unwrap_or(usize::MAX)
}

/// How long calls arrive in a world; of calls in turn nobody knows, and a time is shown that many of them need.
fn span(world: &World) -> Duration {
    let client = &world.scenario().document.client;
    client.arrivals.map_or(Duration::from_secs(300), |arrivals| arrivals.r#for.0)
}

fn shown(world: &World) -> Shown {
    let scenario = world.scenario();
    let seconds = |(from, until): &(Duration, Duration)| (from.as_secs_f64(), until.as_secs_f64());
    Shown {
        name: world.name(),
        scenario: scenario.id.clone(),
        about: scenario.document.name.clone(),
        load: world.load().value(),
        span: span(world).as_secs_f64(),
        outages: world.outages().iter().map(seconds).collect(),
    }
}

/// The mean of the runs' courses, moment by moment.
fn mean(kept: &[Kept]) -> Vec<Moment> {
    let mut sums: BTreeMap<usize, Moment> = BTreeMap::new();
    let runs = number(kept.len());
    for run in kept {
        for (index, moment) in run.course.iter().enumerate() {
            let sum = sums.entry(index).or_insert(Moment { at: moment.at, ..Moment::default() });
            sum.calls += moment.calls / runs;
            sum.attempts += moment.attempts / runs;
            sum.successes += moment.successes / runs;
            sum.limited += moment.limited / runs;
        }
    }
    sums.into_values().collect()
}

/// The most moments of a course: more would not be seen in a picture.
const MOMENTS_MAX: usize = 240;

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use super::*;
    use crate::{
        lab::metric::Metric,
        scenario::{Factor, Scenario, Source},
    };

    fn experiment(runs: u32) -> Experiment {
        let text = "
brownout: 1
name: a minute without answers
provider: { latency: { first-token: 300ms..900ms }, prices: { '*': { input: $1/M, output: $2/M } } }
rules: [{ when: { from: 60s, until: 90s }, fault: unavailable }]
client: { clients: 5, arrivals: { rate: 10/s, for: 180s, spread: random }, timeouts: { call: 20s } }
";
        let source = Source::from_bytes("world.yaml".to_owned(), text.as_bytes());
        let scenario = Scenario::read("worlds/dark", "world", source).unwrap();
        let world = |millis| World::new(&scenario, Factor { millis }).unwrap();
        let strategy = |json| serde_json::from_str(json).unwrap();
        Experiment {
            strategies: vec![
                ("none".to_owned(), strategy(r#"{ "retries": 0 }"#)),
                (
                    "at once".to_owned(),
                    strategy(r#"{ "backoff": { "base": "1ms", "cap": "1ms" } }"#),
                ),
            ],
            worlds: vec![world(1_000), world(2_000)],
            seed: 7,
            runs,
        }
    }

    #[test]
    fn the_crew_changes_nothing() {
        let experiment = experiment(3);
        let perform = |threads| {
            let crew = Crew::new(NonZeroUsize::new(threads).unwrap());
            experiment.perform(crew, &Progress::default())
        };
        let alone = perform(1);
        assert_eq!(alone, perform(2));
        assert_eq!(alone, perform(5));
    }

    #[test]
    fn figures_are_what_the_world_does_to_a_strategy() {
        let progress = Progress::default();
        let results = experiment(4).perform(Crew::of_this_machine(), &progress);
        assert_eq!(progress.counts(), (16, 16));
        let names: Vec<&str> = results.worlds.iter().map(|world| world.name.as_str()).collect();
        assert_eq!(names, ["worlds/dark", "worlds/dark at 2x"]);
        assert_eq!(results.worlds[0].outages, [(60.0, 90.0)]);
        let mean = |strategy, world, metric| {
            results.cell(strategy, world).unwrap().summary(metric).unwrap().mean
        };
        for world in 0..2 {
            assert!((mean(0, world, Metric::Amplification) - 1.0).abs() < 1e-12);
            // Without retries, what comes in the outage is lost: a sixth of all calls.
            assert!((mean(0, world, Metric::Success) - 5.0 / 6.0).abs() < 0.03);
            assert!(mean(0, world, Metric::SuccessInOutage).abs() < 1e-12);
            assert!(mean(0, world, Metric::Recovery).abs() < 1e-12);
            // Retries at once do not outlast it, and cost five attempts for each call in it.
            assert!((mean(1, world, Metric::Amplification) - (1.0 + 5.0 / 6.0)).abs() < 0.15);
            assert!(mean(1, world, Metric::SuccessInOutage) < 0.01);
            assert!((mean(0, world, Metric::P50) - 0.6).abs() < 0.02);
            assert!(mean(0, world, Metric::Fairness) > 0.99);
            assert!(mean(0, world, Metric::WastedCost).abs() < 1e-12);
        }
        let goodput = |world| mean(0, world, Metric::Goodput);
        assert!((goodput(0) - 10.0 * 5.0 / 6.0).abs() < 0.5, "{}", goodput(0));
        assert!((goodput(1) - 20.0 * 5.0 / 6.0).abs() < 0.7, "{}", goodput(1));
        let cell = results.cell(1, 0).unwrap();
        let during: f64 =
            cell.course.iter().filter(|m| (60.0..90.0).contains(&m.at)).map(|m| m.attempts).sum();
        assert!(during / 30.0 > 50.0, "six attempts for each of ten calls a second: {during}");
        assert!(
            cell.latencies
                .iter()
                .any(|(share, latency)| *share > 0.49 && *share < 0.51 && *latency < 1.0)
        );
    }
}
