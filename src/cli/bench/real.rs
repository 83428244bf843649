//! `brownout bench` over sockets, by the wall clock: does the simulation tell the truth?

use std::{
    future::Future,
    io::{self, IsTerminal as _, Write as _},
    pin::pin,
    time::Duration,
};

use clap::Args;
use indicatif::{HumanDuration, ProgressBar};
use tokio::task;

use super::{
    play::{Chosen, Play, scenarios, worlds},
    shown, width,
};
use crate::{
    cli::{CliError, Ending, SEED, files, print},
    harness::{self, CommandLine, Mode, Record, work_variables},
    lab::{
        Experiment, World,
        agreement::{Agreement, Doubt, Trial},
        real_figures,
        results::Results,
    },
    report::{
        bench::{write_real_json, write_real_terminal},
        printable,
    },
    scenario::{Factor, Strategy},
    verdict::{Application, Exit},
};

/// Whether worlds are played over sockets, and by whom.
#[derive(Debug, Args)]
pub(super) struct OverSockets {
    /// Play over sockets, too, by the wall clock, and tell whether that agrees with the simulation
    #[arg(long, conflicts_with_all = ["html", "csv", "csv_runs"])]
    real_time: bool,
    /// The strategy that the command should cope like, such as openai-python
    #[arg(
        long = "as",
        value_name = "STRATEGY",
        conflicts_with_all = ["real_time", "strategy", "html", "csv", "csv_runs"]
    )]
    like: Option<String>,
    /// A load generator of yours that makes a world's calls; each run starts it once
    #[arg(
        last = true,
        value_name = "COMMAND",
        conflicts_with_all = ["real_time", "strategy", "html", "csv", "csv_runs"]
    )]
    command: Vec<String>,
}

/// What cannot be played over sockets.
#[derive(Debug, thiserror::Error)]
pub(in crate::cli) enum Unplayable {
    #[error(
        "nobody says which strategy the command should cope like; `--as` does, such as `--as openai-python`"
    )]
    Unlike,
    #[error(
        "`--as {0}` says what a command should cope like, and there is no command; put it behind `--`"
    )]
    NoCommand(String),
    #[error("{given} strategies in real time would take too long; name one with `--strategy`")]
    Strategies { given: usize },
    #[error("no world is named, and all of them in real time would take too long; name some")]
    NoWorld,
    #[error("{given} is too few runs to tell luck from a difference; `--runs` needs {RUNS_MIN}")]
    Runs { given: u32 },
    #[error(
        "no call came to the provider of `{world}` in run {run}; the command finds it by OPENAI_BASE_URL, BROWNOUT_URL and their like"
    )]
    NoCalls { world: String, run: u32 },
}

impl OverSockets {
    /// Whether anything of it is.
    pub(super) fn is_asked_for(&self) -> bool {
        self.real_time || self.like.is_some() || !self.command.is_empty()
    }
}

/// What is to be played.
struct Asked {
    strategy: (String, Strategy),
    command: Option<CommandLine>,
    worlds: Vec<World>,
    runs: u32,
}

pub(super) async fn execute(play: Play) -> Result<Ending, CliError> {
    // Everything that can be wrong is found before anything runs.
    let asked = Asked::of(&play)?;
    files::open(&play.json.iter().collect::<Vec<_>>())?;
    let seed = play.hands.seed.unwrap_or(SEED);
    let experiment = Experiment {
        strategies: vec![asked.strategy.clone()],
        worlds: asked.worlds.clone(),
        seed,
        runs: SIMULATED,
    };
    let crew = play.hands.crew();
    // On a thread of its own, so that Ctrl-C is heard meanwhile.
    let work = task::spawn_blocking(move || {
        let results = shown("simulation", |progress| experiment.perform(crew, progress));
        (experiment, results)
    });
    let (experiment, results) = match work.await {
        Ok(both) => both,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    };
    let trials = asked.play(&experiment, &results).await?;
    let words = play.over_sockets.command;
    let command = (!words.is_empty()).then(|| words.join(" "));
    let agreement = Agreement::of(asked.strategy.0, command, seed, trials);
    print(|out| write_real_terminal(&agreement, width(), out))?;
    if let Some(path) = &play.json {
        files::save(path, |out| write_real_json(&agreement, out))?;
    }
    Ok(match agreement.holds() {
        Some(true) => Ending::Held,
        Some(false) => Ending::Broken,
        None => Ending::Inconclusive,
    })
}

impl Asked {
    fn of(play: &Play) -> Result<Self, CliError> {
        let OverSockets { like, command, .. } = &play.over_sockets;
        let chosen = match (like, command.is_empty()) {
            (None, false) => return Err(Unplayable::Unlike.into()),
            (Some(like), true) => return Err(Unplayable::NoCommand(like.clone()).into()),
            (Some(like), false) => {
                Chosen { strategy: vec![like.clone()], ..play.chosen.clone() }.strategies()?
            }
            (None, true) => play.chosen.strategies()?,
        };
        let given = chosen.len();
        let [strategy] =
            <[_; 1]>::try_from(chosen).map_err(|_| Unplayable::Strategies { given })?;
        if play.worlds.is_empty() {
            return Err(Unplayable::NoWorld.into());
        }
        let runs = play.hands.runs.unwrap_or(RUNS);
        if runs < RUNS_MIN {
            return Err(Unplayable::Runs { given: runs }.into());
        }
        let as_written = [Factor { millis: 1_000 }];
        let loads = if play.load.is_empty() { &as_written } else { play.load.as_slice() };
        let worlds = worlds(&scenarios(&play.worlds)?, loads)?;
        let command = match command.as_slice() {
            [] => None,
            typed => Some(CommandLine::find(typed)?),
        };
        Ok(Self { strategy, command, worlds, runs })
    }

    /// Plays every world, as often as was asked for.
    async fn play(
        &self,
        experiment: &Experiment,
        results: &Results,
    ) -> Result<Vec<Trial>, CliError> {
        let mut watch = Watch::new(&self.worlds, self.runs, self.command.is_some());
        let mut trials = Vec::new();
        for (place, world) in self.worlds.iter().enumerate() {
            let scenario = world.played(&self.strategy.1);
            let mode = match &self.command {
                Some(line) => Mode::Command(
                    line.clone().with_variables(work_variables(&scenario.document.client)),
                ),
                None => Mode::BuiltInRealTime,
            };
            let simulated = results.cell(0, place).map(|cell| cell.runs.clone());
            let mut trial = Trial {
                world: world.name(),
                simulated: simulated.unwrap_or_default(),
                real: Vec::new(),
                slack: Duration::ZERO,
                doubts: Vec::new(),
            };
            for run in 1..=self.runs {
                let what = format!("{}, run {run} of {}", printable(&world.name()), self.runs);
                let seed = experiment.seed_of(u64::from(run - 1));
                let records = watch.over(&what, harness::play(&scenario, &mode, seed)).await?;
                let lanes = records.iter().map(|record| record.entries.as_slice());
                let figures = real_figures(world, lanes)
                    .ok_or_else(|| Unplayable::NoCalls { world: world.name(), run })?;
                trial.real.push(figures);
                let slack = records.iter().map(|record| record.precision.slack).max();
                trial.slack = trial.slack.max(slack.unwrap_or_default());
                trial.doubts.extend(doubts(&records, run));
            }
            trials.push(trial);
        }
        watch.bar.finish_and_clear();
        Ok(trials)
    }
}

/// What casts doubt on a run.
fn doubts(records: &[Record], run: u32) -> Vec<Doubt> {
    let any = |what: fn(&Record) -> bool| records.iter().any(what);
    let ended = match records.first().map(|record| &record.application) {
        Some(Application::Command(end)) if end.exit != Exit::Code(0) => {
            Some(Doubt::Exit { run, exit: end.exit })
        }
        Some(Application::BuiltIn { over_time: true }) => Some(Doubt::OverTime { run }),
        _ => None,
    };
    let others = [
        (any(|record| record.connection_limit_hits > 0), Doubt::Connections { run }),
        (any(|record| record.journal_full), Doubt::JournalFull { run }),
        (any(|record| record.precision.starved), Doubt::Starved { run }),
    ];
    let others = others.into_iter().filter_map(|(holds, doubt)| holds.then_some(doubt));
    ended.into_iter().chain(others).collect()
}

/// Says on stderr what is played, and how long it is still going to take.
struct Watch {
    bar: ProgressBar,
    /// Whether the command's output stands between the lines, so that each is written once.
    is_shared: bool,
    /// How long each run that is left is known to take; in the order of the runs, the last first.
    left: Vec<Option<Duration>>,
    /// How long the last run took, which is the best guess for those of which nothing is known.
    took: Duration,
}

impl Watch {
    fn new(worlds: &[World], runs: u32, is_shared: bool) -> Self {
        let span = |world: &World| {
            let arrivals = world.scenario().document.client.arrivals;
            (0..runs).map(move |_| arrivals.map(|arrivals| arrivals.r#for.0))
        };
        let bar = if is_shared || !io::stderr().is_terminal() {
            ProgressBar::hidden()
        } else {
            ProgressBar::new_spinner()
        };
        let left = worlds.iter().rev().flat_map(span).collect();
        Self { bar, is_shared, left, took: Duration::ZERO }
    }

    /// Watches one run to its end.
    async fn over<T>(&mut self, what: &str, run: impl Future<Output = T>) -> T {
        let known = |span: &Option<Duration>| span.unwrap_or(self.took);
        let left: Duration = self.left.iter().map(known).sum();
        let words = |left: Duration| match left.as_secs() {
            0 => what.to_owned(),
            _ => format!("{what}, about {} left", HumanDuration(left)),
        };
        if self.is_shared {
            // With stderr closed there is nobody to tell.
            let _closed = writeln!(anstream::stderr().lock(), "--- {}", words(left)).is_err();
        }
        let began = self.bar.elapsed();
        let mut ticks = tokio::time::interval(TICK);
        let mut run = pin!(run);
        let done = loop {
            tokio::select! {
                done = &mut run => break done,
                _ = ticks.tick() => {
                    let gone = self.bar.elapsed().saturating_sub(began);
                    self.bar.set_message(words(left.saturating_sub(gone)));
                    self.bar.tick();
                }
            }
        };
        self.took = self.bar.elapsed().saturating_sub(began);
        self.left.pop();
        done
    }
}

/// What a load generator is told.
pub(super) const ENVIRONMENT: &str = "\
A COMMAND is started once for each run, beside a fresh server of the world, and makes the world's \
calls. Its environment is that of `brownout run`, with BROWNOUT_RATE (calls in a second), \
BROWNOUT_SECONDS and BROWNOUT_SPREAD (even, random) where calls come at a rate; BROWNOUT_CALLS \
and BROWNOUT_CONCURRENCY where each waits for an earlier one; BROWNOUT_PROMPT_TOKENS (600, \
20..900) and BROWNOUT_OUTPUT_TOKENS where the world says so; and BROWNOUT_SEED. No two calls \
should ask the same, and it should end with 0 whatever becomes of them. What it comes to is set \
beside the simulation of the strategy that `--as` names.";

/// How often each world is played over sockets, unless told otherwise.
const RUNS: u32 = 5;

/// With fewer runs nobody can tell luck from a difference.
const RUNS_MIN: u32 = 3;

/// How often each world is simulated: often enough that luck in the simulation hardly matters.
const SIMULATED: u32 = 40;

/// How often the line that tells how far it is changes.
const TICK: Duration = Duration::from_millis(200);
