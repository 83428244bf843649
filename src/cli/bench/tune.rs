//! `brownout bench tune`.

use std::path::PathBuf;

use clap::{Args, builder::RangedU64ValueParser};
use tokio::task;

use super::{
    Hands,
    play::{Chosen, factor, scenarios, worlds},
    shown, width,
};
use crate::{
    cli::{CliError, Ending, SEED, files, print},
    lab::{
        metric::{Better, Metric},
        tune::{self, Constraint, Goal, Space, Vary},
    },
    report::tune as report,
    scenario::Factor,
};

#[derive(Debug, Args)]
#[command(after_help = "It tries values of the strategy's words around and beyond what popular \
                        clients do, and ends with 1 if nothing is proven to keep to every \
                        constraint. What it recommends is the best for these worlds: choose \
                        worlds that resemble what you fear.")]
pub(super) struct Tune {
    /// The strategy to begin with, by its name
    #[arg(value_name = "STRATEGY")]
    strategy: String,
    /// Worlds: names of built-in ones, scenario files, and folders of them; all built-in ones if
    /// left out
    #[arg(value_name = "WORLD")]
    worlds: Vec<String>,
    /// What must hold in each world, such as 'success >= 99%'; may be given again
    #[arg(long, required = true, value_name = "CONSTRAINT")]
    constraint: Vec<Constraint>,
    /// The metric that is to be as low as it can be; p99 if left out
    #[arg(long, value_name = "METRIC", value_parser = tune::metric, conflicts_with = "maximise")]
    minimise: Option<Metric>,
    /// The metric that is to be as high as it can be
    #[arg(long, value_name = "METRIC", value_parser = tune::metric)]
    maximise: Option<Metric>,
    /// By how much the worlds' load is multiplied, such as 0.8x,1.2x; where a world has a quota
    /// 0.8x,1.2x,1.5x,2x if left out, and 1x elsewhere
    #[arg(long, value_name = "FACTOR", value_delimiter = ',', value_parser = factor)]
    load: Vec<Factor>,
    /// The values that are tried of one word, such as backoff.base=250ms,1s; may be given again
    #[arg(long, value_name = "WORD=VALUE,VALUE", value_parser = Vary::read)]
    vary: Vec<Vary>,
    /// How many runs may be played in all; 2000 for each world if left out
    #[arg(long, value_name = "N", value_parser = RangedU64ValueParser::<u64>::new().range(1..=1_000_000_000))]
    budget: Option<u64>,
    /// A file with strategies of your own; they stand beside the built-in ones
    #[arg(long, value_name = "FILE")]
    strategies: Option<PathBuf>,
    #[command(flatten)]
    hands: Hands,
    /// Write a report for programs (brownout.tune/1)
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

pub(super) async fn execute(asked: Tune) -> Result<Ending, CliError> {
    // Everything that can be wrong is found before anything runs.
    let (name, strategy) = Chosen::one(&asked.strategy, asked.strategies.clone())?;
    let worlds = worlds(&scenarios(&asked.worlds)?, &asked.load)?;
    let goal = match (asked.minimise, asked.maximise) {
        (_, Some(metric)) => Goal { metric, better: Better::High },
        (metric, None) => Goal { metric: metric.unwrap_or(Metric::P99), better: Better::Low },
    };
    let budget = asked
        .budget
        .unwrap_or_else(|| u64::try_from(worlds.len()).unwrap_or(u64::MAX).saturating_mul(BUDGET));
    let tune = tune::Tune {
        space: Space::new(&strategy, &worlds, &asked.vary)?,
        worlds,
        constraints: asked.constraint,
        goal,
        seed: asked.hands.seed.unwrap_or(SEED),
        runs: asked.hands.runs.unwrap_or(RUNS),
        budget,
    };
    tune.check()?;
    files::open(&asked.json.iter().collect::<Vec<_>>())?;
    let crew = asked.hands.crew();
    // On a thread of its own, so that Ctrl-C is heard meanwhile.
    let work = task::spawn_blocking(move || shown("tune", |progress| tune.perform(crew, progress)));
    let advice = match work.await {
        Ok(advice) => advice,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    };
    print(|out| report::write_terminal(&advice, &name, width(), out))?;
    if let Some(path) = &asked.json {
        files::save(path, |out| report::write_json(&advice, &name, out))?;
    }
    Ok(if advice.recommended.is_some() { Ending::Held } else { Ending::Broken })
}

/// How many runs are played for each world, unless told otherwise: about a minute of one core.
const BUDGET: u64 = 2_000;

/// How often a candidate is played before it is believed, unless told otherwise.
const RUNS: u32 = 20;
