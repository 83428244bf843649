//! `brownout bench`: strategies against worlds.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use clap::Args;
use tokio::task;

use super::{
    Hands,
    real::{self, OverSockets},
    shown, width,
};
use crate::{
    cli::{CliError, Ending, SEED, files, print},
    lab::{
        Experiment, NoWorld, World,
        comparison::{Comparison, compare},
        library,
        results::Results,
    },
    report::bench as report,
    scenario::{Broken, Factor, Scenario, Source, Strategy, Suite, SuiteError},
};

/// What strategies are played in.
#[derive(Debug, Args)]
pub(super) struct Play {
    /// Worlds: names of built-in ones, scenario files, and folders of them; all built-in ones if
    /// left out
    #[arg(value_name = "WORLD")]
    pub(super) worlds: Vec<String>,
    #[command(flatten)]
    pub(super) chosen: Chosen,
    /// By how much the worlds' load is multiplied, such as 0.8x,1.2x; where a world has a quota
    /// 0.8x,1.2x,1.5x,2x if left out, and 1x elsewhere and over sockets
    #[arg(long, value_name = "FACTOR", value_delimiter = ',', value_parser = factor)]
    pub(super) load: Vec<Factor>,
    #[command(flatten)]
    pub(super) hands: Hands,
    /// Write a page with tables and pictures
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Write a report for programs (brownout.bench/1, and brownout.bench-real/1 over sockets)
    #[arg(long, value_name = "FILE")]
    pub(super) json: Option<PathBuf>,
    /// Write the summaries, a line for each strategy, world and metric
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// Write the figures of every run, a line each
    #[arg(long, value_name = "FILE")]
    csv_runs: Option<PathBuf>,
    /// List the built-in worlds and strategies, and play none
    #[arg(long)]
    list: bool,
    /// Print the built-in strategies as they are written, to be copied and changed
    #[arg(long, conflicts_with = "list")]
    print_strategies: bool,
    #[command(flatten)]
    pub(super) over_sockets: OverSockets,
}

/// Which strategies are meant.
#[derive(Clone, Debug, Args)]
pub(super) struct Chosen {
    /// Strategies by name, with commas between them, or `all`; a choice of them if left out, and
    /// those of your file if there is one
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub(super) strategy: Vec<String>,
    /// A file with strategies of your own; they stand beside the built-in ones
    #[arg(long, value_name = "FILE")]
    pub(super) strategies: Option<PathBuf>,
}

/// Where a report is written, and by whom.
type Writer = fn(&Results, &Comparison, &mut dyn Write) -> io::Result<()>;

pub(super) async fn execute(play: Play) -> Result<Ending, CliError> {
    if play.list {
        return list();
    }
    if play.print_strategies {
        print(|out| out.write_all(library::STRATEGIES_TEXT.as_bytes()))?;
        return Ok(Ending::Held);
    }
    if play.over_sockets.is_asked_for() {
        return real::execute(play).await;
    }
    // Everything that can be wrong is found before anything runs.
    let strategies = play.chosen.strategies()?;
    let worlds = worlds(&scenarios(&play.worlds)?, &play.load)?;
    let reports: [(&Option<PathBuf>, Writer); 4] = [
        (&play.html, report::write_html),
        (&play.json, report::write_json),
        (&play.csv, |results, _, out| report::write_csv(results, out)),
        (&play.csv_runs, |results, _, out| report::write_csv_runs(results, out)),
    ];
    let paths: Vec<&PathBuf> = reports.iter().filter_map(|(path, _)| path.as_ref()).collect();
    files::open(&paths)?;
    let experiment = Experiment {
        strategies,
        worlds,
        seed: play.hands.seed.unwrap_or(SEED),
        runs: play.hands.runs.unwrap_or(RUNS),
    };
    let crew = play.hands.crew();
    // On a thread of its own, so that Ctrl-C is heard meanwhile.
    let work = task::spawn_blocking(move || {
        let results = shown("bench", |progress| experiment.perform(crew, progress));
        let comparison = compare(&results);
        (results, comparison)
    });
    let (results, comparison) = match work.await {
        Ok(both) => both,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    };
    let width = width();
    print(|out| report::write_terminal(&results, &comparison, width, out))?;
    for (path, writer) in reports {
        if let Some(path) = path {
            files::save(path, |out| writer(&results, &comparison, out))?;
        }
    }
    Ok(Ending::Held)
}

impl Chosen {
    /// One strategy by its name, with those of a file beside the built-in ones.
    pub(super) fn one(
        name: &str,
        strategies: Option<PathBuf>,
    ) -> Result<(String, Strategy), CliError> {
        let chosen = Self { strategy: vec![name.to_owned()], strategies }.strategies()?;
        Ok(chosen.into_iter().next().expect("a name that is known gives its strategy"))
    }

    /// The strategies by their names, in the order in which they are asked for.
    pub(super) fn strategies(&self) -> Result<Vec<(String, Strategy)>, CliError> {
        let mut known = library::strategies().clone();
        let mut own = Vec::new();
        if let Some(path) = &self.strategies {
            for (name, strategy) in read(path)? {
                own.push(name.clone());
                known.insert(name, strategy);
            }
        }
        if self.strategy.iter().any(|name| name == "all") {
            return Ok(known.into_iter().collect());
        }
        if self.strategy.is_empty() {
            // Whoever brings strategies wants to see these.
            let usual = |name: &String| match own.as_slice() {
                [] => USUAL.contains(&name.as_str()),
                own => own.contains(name),
            };
            return Ok(known.into_iter().filter(|(name, _)| usual(name)).collect());
        }
        let mut chosen: Vec<(String, Strategy)> = Vec::new();
        for name in &self.strategy {
            let Some(strategy) = known.get(name) else {
                return Err(CliError::NoStrategy {
                    name: name.clone(),
                    known: known
                        .keys()
                        .map(|name| format!("`{name}`"))
                        .collect::<Vec<_>>()
                        .join(", "),
                });
            };
            if chosen.iter().all(|(other, _)| other != name) {
                chosen.push((name.clone(), strategy.clone()));
            }
        }
        Ok(chosen)
    }
}

/// Reads a file of strategies.
fn read(path: &Path) -> Result<indexmap::IndexMap<String, Strategy>, CliError> {
    let unreadable = |source| SuiteError::Unreadable { path: path.to_owned(), source };
    let bytes = fs::read(path).map_err(unreadable)?;
    let source = Source::from_bytes(path.display().to_string(), &bytes);
    Strategy::read(&source).map_err(|diagnostics| {
        CliError::Suite(SuiteError::Broken(vec![Broken { source, diagnostics }]))
    })
}

/// The scenarios of some names and paths; all built-in ones if there are none.
pub(super) fn scenarios(asked: &[String]) -> Result<Vec<Scenario>, CliError> {
    if asked.is_empty() {
        return Ok(library::worlds().to_vec());
    }
    let mut scenarios: Vec<Scenario> = Vec::new();
    for name in asked {
        let found = match library::worlds().iter().find(|world| world.id == *name) {
            Some(world) => vec![world.clone()],
            None if !Path::new(name).exists() => {
                let known = library::worlds().iter().map(|world| format!("`{}`", world.id));
                let known = known.collect::<Vec<_>>().join(", ");
                return Err(CliError::NoWorldNamed { name: name.clone(), known });
            }
            None => Suite::read(&[PathBuf::from(name)])?.scenarios,
        };
        for scenario in found {
            if scenarios.iter().all(|other| other.id != scenario.id) {
                scenarios.push(scenario);
            }
        }
    }
    Ok(scenarios)
}

/// Worlds of scenarios at some loads.
pub(super) fn worlds(scenarios: &[Scenario], loads: &[Factor]) -> Result<Vec<World>, NoWorld> {
    let mut worlds = Vec::new();
    for scenario in scenarios {
        let limited = scenario.plan.provider.quota.limits_something();
        let own: &[Factor] = match loads {
            [] if limited && scenario.document.client.arrivals.is_some() => &LOADS,
            [] => &[Factor { millis: 1_000 }],
            loads => loads,
        };
        for load in own {
            worlds.push(World::new(scenario, *load)?);
        }
    }
    Ok(worlds)
}

fn list() -> Result<Ending, CliError> {
    print(|out| {
        writeln!(out, "worlds")?;
        for world in library::worlds() {
            writeln!(out, "  {:<24} {}", world.id, world.document.name)?;
        }
        writeln!(out, "\nstrategies")?;
        for (name, strategy) in library::strategies() {
            writeln!(out, "  {name:<24} {}", strategy.about)?;
        }
        Ok(())
    })?;
    Ok(Ending::Held)
}

/// A load, which is not nothing.
pub(super) fn factor(text: &str) -> Result<Factor, String> {
    match text.parse::<Factor>() {
        Ok(factor) if factor.millis > 0 => Ok(factor),
        Ok(_) => Err("a load of 0x has no calls".to_owned()),
        Err(mistake) => Err(format!("it {}; {}", mistake.message, mistake.help)),
    }
}

/// At which loads worlds with a quota are played: below what it admits, and above.
const LOADS: [Factor; 4] = [
    Factor { millis: 800 },
    Factor { millis: 1_200 },
    Factor { millis: 1_500 },
    Factor { millis: 2_000 },
];

/// The strategies that are played if none is named: one of each kind, few enough to be told apart.
const USUAL: [&str; 9] = [
    "none",
    "exponential-deaf",
    "full-jitter",
    "retry-budget",
    "breaker",
    "limiter-shared-bounded",
    "fallback-breaker",
    "openai-python",
    "resilience-core",
];

/// With how many seeds each strategy meets each world, unless told otherwise.
const RUNS: u32 = 10;
