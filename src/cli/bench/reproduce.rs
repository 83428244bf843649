//! `brownout bench reproduce`.

use std::{
    io::{self, IsTerminal as _},
    num::NonZeroUsize,
    sync::mpsc,
    thread,
    time::Duration,
};

use clap::{
    Args, ValueEnum,
    builder::{PossibleValuesParser, RangedU64ValueParser},
};
use indicatif::{ProgressBar, ProgressStyle};
use tokio::task;

use crate::{
    cli::{CliError, Ending, SEED, print, seed},
    lab::{
        Crew, Progress,
        reproduce::{ANCHORS, Anchor, Setup},
    },
    report::{self, Reproduced},
};

#[derive(Debug, Args)]
#[command(after_help = "Without a name it repeats all of them. With other settings than the \
                        published ones there is nothing to compare with: it prints what it \
                        measured.")]
pub(super) struct Reproduce {
    /// The results to repeat
    #[arg(value_name = "NAME", value_parser = names())]
    names: Vec<String>,
    /// How many independent runs each figure is made of
    #[arg(long, value_name = "N", value_parser = RangedU64ValueParser::<u32>::new().range(1..=100_000))]
    runs: Option<u32>,
    /// The seed of every draw, such as 7 or 0x5eed
    #[arg(long, value_name = "SEED", value_parser = seed)]
    seed: Option<u64>,
    /// How many threads share the runs; as many as the machine has, if left out
    #[arg(long, value_name = "N", value_parser = RangedU64ValueParser::<usize>::new().range(1..=1_024))]
    threads: Option<usize>,
    /// Another value of a parameter, or several; may be given again
    #[arg(long, value_name = "NAME=VALUE[,VALUE]", value_parser = setting)]
    set: Vec<(String, String)>,
    /// How many clients there are: `--set clients=N,N`
    #[arg(long, value_name = "N,N")]
    clients: Option<String>,
    /// How it is printed
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// List the results with their parameters, and repeat none
    #[arg(long)]
    list: bool,
}

/// How the report is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, ValueEnum)]
enum Format {
    /// Every value of every run, a line each
    Csv,
    /// Everything, for programs (brownout.reproduction/1)
    Json,
    /// For people
    #[default]
    Text,
}

pub(super) async fn execute(asked: Reproduce) -> Result<Ending, CliError> {
    let anchors: Vec<&'static Anchor> = ANCHORS
        .iter()
        .filter(|anchor| {
            asked.names.is_empty() || asked.names.iter().any(|name| name == anchor.name)
        })
        .collect();
    if asked.list {
        print(|out| report::list_anchors(&anchors, out))?;
        return Ok(Ending::Held);
    }
    let mut given = asked.set.clone();
    given.extend(asked.clients.clone().map(|clients| ("clients".to_owned(), clients)));
    // Everything that can be wrong is found before anything runs.
    let mut planned = Vec::new();
    for anchor in anchors {
        let settings = anchor
            .settings(&given)
            .map_err(|source| CliError::Setting { anchor: anchor.name, source })?;
        planned.push((anchor, settings));
    }
    let seed = asked.seed.unwrap_or(SEED);
    let threads = asked.threads.and_then(NonZeroUsize::new);
    let crew = threads.map_or_else(Crew::of_this_machine, Crew::new);
    let mut results = Vec::new();
    for (anchor, settings) in planned {
        let runs = asked.runs.unwrap_or(anchor.runs);
        // On a thread of its own, so that Ctrl-C is heard meanwhile.
        let work = task::spawn_blocking(move || {
            let shown = shown(anchor.name, |progress| {
                let settings = &settings;
                (anchor.run)(&Setup { seed, runs, crew, settings, progress })
            });
            Reproduced { anchor, seed, runs, settings, shown }
        });
        let result = match work.await {
            Ok(result) => result,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        };
        if asked.format == Format::Text {
            print(|out| result.write_text(width(), out))?;
        }
        results.push(result);
    }
    match asked.format {
        Format::Csv => print(|out| report::reproductions_csv(&results, out))?,
        Format::Json => print(|out| report::reproductions_json(seed, &results, out))?,
        Format::Text => print(|out| report::reproductions_sum(&results, out))?,
    }
    let holds = results.iter().all(|result| result.shown.holds());
    Ok(if holds { Ending::Held } else { Ending::Broken })
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

fn names() -> PossibleValuesParser {
    PossibleValuesParser::new(ANCHORS.iter().map(|anchor| anchor.name))
}

fn setting(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, values)) if !name.is_empty() => Ok((name.to_owned(), values.to_owned())),
        _ => Err("a setting is a name with its values, such as clients=50,100".to_owned()),
    }
}

/// How often the progress is looked at.
const TICK: Duration = Duration::from_millis(100);
