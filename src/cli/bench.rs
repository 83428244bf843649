//! `brownout bench`.

mod play;
mod real;
mod reproduce;
mod tune;

use std::{
    io::{self, IsTerminal as _},
    num::NonZeroUsize,
    sync::mpsc,
    thread,
    time::Duration,
};

use clap::{Args, Subcommand, builder::RangedU64ValueParser};
use indicatif::{ProgressBar, ProgressStyle};

pub(super) use self::real::Unplayable;
use self::{play::Play, reproduce::Reproduce, tune::Tune};
use super::{CliError, Ending, seed};
use crate::lab::{Crew, Progress};

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, after_help = real::ENVIRONMENT)]
pub(super) struct Bench {
    #[command(subcommand)]
    command: Option<BenchCommand>,
    #[command(flatten)]
    play: Play,
}

#[derive(Debug, Subcommand)]
enum BenchCommand {
    /// Repeats published results, and says how far off ours are
    Reproduce(Reproduce),
    /// Searches for the best settings of a strategy that keep to constraints
    Tune(Box<Tune>),
}

/// How often something is played, with which luck, and by how many.
#[derive(Clone, Copy, Debug, Args)]
struct Hands {
    /// How many independent runs each figure is made of
    #[arg(long, value_name = "N", value_parser = RangedU64ValueParser::<u32>::new().range(1..=100_000))]
    pub(super) runs: Option<u32>,
    /// The seed of every draw, such as 7 or 0x5eed
    #[arg(long, value_name = "SEED", value_parser = seed)]
    pub(super) seed: Option<u64>,
    /// How many threads share the runs; as many as the machine has, if left out
    #[arg(long, value_name = "N", value_parser = RangedU64ValueParser::<usize>::new().range(1..=1_024))]
    threads: Option<usize>,
}

/// Does what was asked of the lab.
pub(super) async fn execute(bench: Bench) -> Result<Ending, CliError> {
    match bench.command {
        None => play::execute(bench.play).await,
        Some(BenchCommand::Reproduce(reproduce)) => reproduce::execute(reproduce).await,
        Some(BenchCommand::Tune(tune)) => tune::execute(*tune).await,
    }
}

impl Hands {
    /// Who plays it.
    fn crew(&self) -> Crew {
        let threads = self.threads.and_then(NonZeroUsize::new);
        threads.map_or_else(Crew::of_this_machine, Crew::new)
    }
}

/// Does some work, and shows on stderr how far it is, if that is a terminal.
fn shown<T>(name: &'static str, work: impl FnOnce(&Progress) -> T) -> T {
    let progress = Progress::default();
    if !io::stderr().is_terminal() {
        return work(&progress);
    }
    let template = "{msg}  {wide_bar} {pos}/{len} runs, {eta} left";
    let style = ProgressStyle::with_template(template).expect("a template that indicatif knows");
    let bar = ProgressBar::new(0).with_style(style).with_message(name);
    thread::scope(|scope| {
        let (done, is_done) = mpsc::channel::<()>();
        let (bar, progress) = (&bar, &progress);
        scope.spawn(move || {
            while is_done.recv_timeout(TICK) == Err(mpsc::RecvTimeoutError::Timeout) {
                let (done, planned) = progress.counts();
                bar.set_length(planned);
                bar.set_position(done);
            }
            bar.finish_and_clear();
        });
        // Dropped even by a panic: then the other thread ends, too.
        let _done = done;
        work(progress)
    })
}

/// How many columns stdout has; `None` if it is no terminal.
fn width() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(io::stdout()).ok()?;
    Some(usize::from(size.ws_col)).filter(|&columns| columns > 0)
}

/// How often the progress is looked at.
const TICK: Duration = Duration::from_millis(100);
