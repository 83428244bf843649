//! What an experiment has shown: data first, text and pictures later.

use super::{
    metric::{Figures, Metric, summary},
    statistics::Summary,
};

/// Every strategy in every world, with everything that was measured.
#[derive(Clone, Debug, PartialEq)]
pub struct Results {
    /// The seed of the experiment.
    pub seed: u64,
    /// How many seeds each combination was played with, derived from it; the same for all strategies, so that they meet the same arrivals.
    pub runs: u32,
    /// The strategies, in the order in which they were named.
    pub strategies: Vec<Named>,
    /// The worlds, in the order in which they were named.
    pub worlds: Vec<World>,
    /// One for each strategy in each world: worlds one after the other, strategies inside them.
    pub cells: Vec<Cell>,
}

/// Something with a name and a sentence about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// Its name, unique among its like.
    pub name: String,
    /// What it is or does.
    pub about: String,
}

/// A world at one load.
#[derive(Clone, Debug, PartialEq)]
pub struct World {
    /// Its name, such as `quota-below-demand ×1.5`; unique.
    pub name: String,
    /// The scenario that it is made of.
    pub scenario: String,
    /// What it is.
    pub about: String,
    /// By how much the scenario's load is multiplied.
    pub load: f64,
    /// For how long calls arrive, in seconds.
    pub span: f64,
    /// When the provider is in trouble, in seconds: from, until.
    pub outages: Vec<(f64, f64)>,
}

/// One strategy in one world.
#[derive(Clone, Debug, PartialEq)]
pub struct Cell {
    /// The strategy, by its place in the list.
    pub strategy: usize,
    /// The world, by its place in the list.
    pub world: usize,
    /// The figures of each run.
    pub runs: Vec<Figures>,
    /// How the load went over time, as the mean of all runs.
    pub course: Vec<Moment>,
    /// How long successes took, over all runs: the shares of [`SHARES`], each with its latency in seconds; empty if nothing succeeded.
    pub latencies: Vec<(f64, f64)>,
    /// How many calls and attempts were simulated in all runs.
    pub calls: u64,
    /// See `calls`.
    pub attempts: u64,
}

/// What happened in one span of time, per second of it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Moment {
    /// When it begins, in seconds from the first arrival.
    pub at: f64,
    /// Calls that arrived.
    pub calls: f64,
    /// Attempts that reached the provider.
    pub attempts: f64,
    /// Calls that succeeded, counted when they did.
    pub successes: f64,
    /// Attempts that were refused for a rate limit.
    pub limited: f64,
}

/// At which shares a distribution of latencies is told.
pub const SHARES: [f64; 25] = [
    0.01, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8,
    0.85, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999, 1.0,
];

/// The confidence of every interval that is shown.
pub const CONFIDENCE: f64 = 0.95;

impl Results {
    /// What a strategy showed in a world.
    pub fn cell(&self, strategy: usize, world: usize) -> Option<&Cell> {
        self.cells.iter().find(|cell| cell.strategy == strategy && cell.world == world)
    }
}

impl Cell {
    /// What its runs come to; none if no run has a value for the metric.
    pub fn summary(&self, metric: Metric) -> Option<Summary> {
        summary(&self.runs, metric)
    }
}
