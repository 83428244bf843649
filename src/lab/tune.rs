//! Settings that keep to constraints, and of those the best.
//!
//! The method, in three steps, each with a part of the [budget](Tune::budget) of runs:
//!
//! 1. **Sieve.** Candidates are drawn from the [space](Space), the strategy as it is among them, and halved again and again: those that are left are played twice as often ([successive halving](https://arxiv.org/abs/1502.07943)).
//!    All meet the same luck, so that a difference between them is theirs.
//!    Whoever misses a constraint ranks behind everybody who misses it by less, and the [goal](Goal) decides among those who miss none (the rule of [Deb, 2000](https://doi.org/10.1016/S0045-7825(99)00389-8)).
//! 2. **Climb.** The best one's neighbours, which differ in one word, are sieved against it until none is better or the runs are spent.
//!    What changes nothing is taken back.
//! 3. **Trial.** A few finalists, among them the strategy as it is, are played with luck that none has met before: whoever was chosen for its luck shows it here.
//!    Only these figures are told, and a constraint [holds](Standing::Holds) only if the whole 95 % interval of each world is on the right side.
//!
//! The limits of the method: a good candidate may be dropped by bad luck in its first runs; words whose values help only together are found by luck alone; values between those of the space are not tried; the choice among finalists is itself by luck where they are alike; a share that no run misses has an interval of no width, however rare misses are.
//! Above all, the settings are the best for these worlds: choose worlds that resemble what you fear.

mod advice;
mod constraint;
mod search;
mod sheet;
mod space;

pub use advice::{Advice, Claim, Finalist};
pub use constraint::{Bound, Constraint, Standing, metric};
pub use sheet::file;
pub use space::{Dial, Space, Vary, VaryMistake};

use thiserror::Error;

use super::{
    Crew, Progress, World,
    metric::{Better, Metric},
};

/// What is to be found out.
#[derive(Clone, Debug)]
pub struct Tune {
    /// What may be set to what.
    pub space: Space,
    /// The worlds, in each of which every constraint must hold.
    pub worlds: Vec<World>,
    /// What must hold; at least one.
    pub constraints: Vec<Constraint>,
    /// What is best.
    pub goal: Goal,
    /// The seed.
    pub seed: u64,
    /// How often a candidate is played in each world before it is believed.
    pub runs: u32,
    /// How many runs may be played in all: one candidate in one world with one seed is one.
    pub budget: u64,
}

/// The metric that is to be as good as it can be; the mean of all worlds counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Goal {
    /// The metric.
    pub metric: Metric,
    /// Which values are better.
    pub better: Better,
}

/// Why nothing can be tuned.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum TuneMistake {
    /// Nobody would be played often enough.
    #[error(
        "a budget of {budget} is too small for candidates of {runs} runs in {worlds} worlds; \
         {least} is the least"
    )]
    Budget {
        /// How many runs were allowed.
        budget: u64,
        /// How many runs each candidate is to have.
        runs: u32,
        /// In how many worlds.
        worlds: usize,
        /// How many would do.
        least: u64,
    },
    /// No world has what a metric measures.
    #[error("none of the worlds has an outage that ends, so that there is no `{metric}` in them")]
    NoOutage {
        /// The metric.
        metric: Metric,
    },
}

impl Tune {
    /// Finds what can be asked for and not be answered.
    pub fn check(&self) -> Result<(), TuneMistake> {
        let metrics = self.constraints.iter().map(|constraint| constraint.metric);
        for metric in metrics.chain([self.goal.metric]) {
            if !self.worlds.iter().any(|world| applies(metric, world)) {
                return Err(TuneMistake::NoOutage { metric });
            }
        }
        let worlds = self.worlds.len();
        let least = u64::from(self.runs) * u64::try_from(worlds).unwrap_or(u64::MAX) * LEAST_PLAYED;
        if self.budget < least {
            let Self { budget, runs, .. } = *self;
            return Err(TuneMistake::Budget { budget, runs, worlds, least });
        }
        Ok(())
    }

    /// Searches; the same seed gives the same advice, whatever the crew.
    pub fn perform(&self, crew: Crew, progress: &Progress) -> Advice {
        search::search(self, crew, progress)
    }
}

/// Whether a world has what a metric measures.
fn applies(metric: Metric, world: &World) -> bool {
    let of_outages = [Metric::SuccessInOutage, Metric::Recovery, Metric::Peak].contains(&metric);
    !of_outages || !world.outages().is_empty()
}

/// How many candidates a budget must let be played to the end: some to sieve, and two to try.
const LEAST_PLAYED: u64 = 8;
