//! The command line: what is typed, what it means, and how it ends.

mod bench;
mod catalog;
mod check;
mod files;
mod run;
mod serve;

use std::{io, path::PathBuf};

use clap::{Args, Parser, Subcommand, builder::PossibleValuesParser};
use mock_server::{action::ErrorKind, plan::ProviderName};

use self::bench::{Bench, Unplayable};
use crate::{
    harness::{CommandError, PlayError},
    lab::{
        NoWorld,
        reproduce::SettingMistake,
        tune::{TuneMistake, VaryMistake},
    },
    scenario::{Style, SuiteError, render},
};

/// A mock LLM provider that fails on cue, and a harness that judges how a client copes.
#[derive(Debug, Parser)]
#[command(name = "brownout", version, max_term_width = 100, subcommand_required = true)]
#[command(
    after_help = "Exit codes: 0 held · 1 broken · 3 inconclusive · 2 input or environment · \
                        70 a bug of ours · 130 Ctrl-C (129, 131, 143: another signal)"
)]
pub struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Tries strategies in simulated worlds, thousands of clients in virtual time
    Bench(Box<Bench>),
    /// Prints what each provider fails with, and how well it is known
    Catalog(Catalog),
    /// Reads scenarios and tells every mistake in them
    Check(Check),
    /// Plays scenarios and judges the client: the built-in one, or a command of yours
    Run(Run),
    /// Serves one scenario on a loopback port until Ctrl-C
    Serve(Serve),
}

#[derive(Debug, Args)]
#[command(after_help = "Without a fault it lists them; with a fault it prints the bytes of each \
                        case, and with a case nothing else.")]
struct Catalog {
    /// The provider
    #[arg(value_parser = PossibleValuesParser::new(ProviderName::ALL.map(ProviderName::name)))]
    provider: Option<String>,
    /// The error, by the name of the fault that plays it
    #[arg(value_parser = PossibleValuesParser::new(ErrorKind::ALL.map(ErrorKind::name)))]
    fault: Option<String>,
    /// The case of the fault, such as slow-down
    case: Option<String>,
    /// How it is printed
    #[arg(long, value_enum, default_value_t)]
    format: CatalogFormat,
}

/// How the catalogue is printed.
#[derive(Clone, Copy, Debug, Default, clap::ValueEnum)]
enum CatalogFormat {
    /// A list with all bytes, for programs (brownout.catalog/1)
    Json,
    /// For people
    #[default]
    Text,
}

#[derive(Debug, Args)]
struct Check {
    /// Scenario files, and folders of them
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
}

#[derive(Debug, Args)]
struct Run {
    /// Scenario files, and folders of them
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Play only scenarios whose id holds this text; may be given again
    #[arg(long, value_name = "TEXT")]
    only: Vec<String>,
    /// List the scenarios and play none
    #[arg(long)]
    list: bool,
    /// Stop at the first scenario that does not hold
    #[arg(long)]
    fail_fast: bool,
    /// The seed of every draw, such as 7 or 0x5eed
    #[arg(long, value_name = "SEED", value_parser = seed)]
    seed: Option<u64>,
    /// Let the built-in client run over sockets, by the wall clock
    #[arg(long)]
    real_time: bool,
    /// Write a JUnit report
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Write a report for programs (brownout.report/1)
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write the journal (JSON Lines, brownout.journal/1)
    #[arg(long, value_name = "FILE")]
    journal: Option<PathBuf>,
    /// The client to judge; every scenario runs it once
    #[arg(last = true, value_name = "COMMAND", conflicts_with = "real_time")]
    command: Vec<String>,
}

#[derive(Debug, Args)]
struct Serve {
    /// The scenario; a healthy provider if left out
    #[arg(value_name = "SCENARIO")]
    scenario: Option<PathBuf>,
    /// The port; a free one if left out
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// The seed of every draw, such as 7 or 0x5eed
    #[arg(long, value_name = "SEED", value_parser = seed)]
    seed: Option<u64>,
}

/// How a program ended; its code is the process's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// A claim is broken.
    Broken,
    /// Everything held.
    Held,
    /// The evidence did not decide.
    Inconclusive,
    /// The input or the environment is wrong; it has been said how.
    Refused,
}

/// The seed of a run that is given none.
const SEED: u64 = 0x5eed;

/// Why nothing could be run, or not to its end.
#[derive(Debug, thiserror::Error)]
enum CliError {
    #[error(transparent)]
    Command(#[from] CommandError),
    #[error("cannot listen on 127.0.0.1:{port}")]
    Listen { port: u16, source: io::Error },
    #[error("there is nothing to run: {0}")]
    NothingToRun(String),
    #[error("there is no strategy `{name}`; there is {known}")]
    NoStrategy { name: String, known: String },
    #[error(transparent)]
    NoWorld(#[from] NoWorld),
    #[error("there is no world `{name}`, and no file or folder of that name; built in are {known}")]
    NoWorldNamed { name: String, known: String },
    #[error("cannot write to the terminal or pipe")]
    Output(#[source] io::Error),
    #[error(transparent)]
    Play(#[from] PlayError),
    #[error("{0}")]
    NotInCatalog(String),
    #[error("`{}` is given for two reports", .0.display())]
    ReportTwice(PathBuf),
    #[error("cannot write `{}`", path.display())]
    Report { path: PathBuf, source: io::Error },
    #[error("wrong setting for `{anchor}`")]
    Setting { anchor: &'static str, source: SettingMistake },
    #[error(transparent)]
    Suite(#[from] SuiteError),
    #[error(transparent)]
    Tune(#[from] TuneMistake),
    #[error(transparent)]
    Unplayable(#[from] Unplayable),
    #[error(transparent)]
    Vary(#[from] VaryMistake),
}

impl Ending {
    /// The exit code.
    pub fn code(self) -> u8 {
        match self {
            Self::Broken => 1,
            Self::Held => 0,
            Self::Inconclusive => 3,
            Self::Refused => 2,
        }
    }
}

impl CommandLine {
    /// Does what was typed, and says on stderr what went wrong.
    pub async fn execute(self) -> Ending {
        let done = match self.command {
            Command::Bench(bench) => bench::execute(*bench).await,
            Command::Catalog(catalog) => catalog::execute(&catalog),
            Command::Check(check) => check::execute(&check),
            Command::Run(run) => run::execute(run).await,
            Command::Serve(serve) => serve::execute(&serve).await,
        };
        match done {
            Ok(ending) => ending,
            // Whoever closed the pipe has read enough.
            Err(CliError::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
                Ending::Held
            }
            Err(error) => {
                // With stderr closed there is nobody left to tell.
                let _closed = tell(&error).is_err();
                Ending::Refused
            }
        }
    }
}

/// Says what went wrong, with its causes.
fn tell(error: &CliError) -> io::Result<()> {
    use io::Write as _;

    let mut stderr = anstream::stderr().lock();
    if let CliError::Suite(SuiteError::Broken(broken)) = error {
        for file in broken {
            render(&file.diagnostics, &file.source, style(), &mut stderr)?;
        }
    }
    write!(stderr, "error: {error}")?;
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        write!(stderr, ": {cause}")?;
        source = cause.source();
    }
    writeln!(stderr)?;
    match error {
        CliError::Command(CommandError::NotFound(_)) => {
            writeln!(stderr, "\nhint: it is looked for in PATH, without a shell")
        }
        CliError::Listen { source, .. } if source.kind() == io::ErrorKind::AddrInUse => {
            writeln!(stderr, "\nhint: leave `--port` out for a free one")
        }
        _ => Ok(()),
    }
}

/// Writes to stdout. Whoever closed the pipe has read enough, but the run is not over, and its exit
/// code is still to come.
fn print(text: impl FnOnce(&mut dyn io::Write) -> io::Result<()>) -> Result<(), CliError> {
    use io::Write as _;

    let mut stdout = anstream::stdout().lock();
    match text(&mut stdout).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(CliError::Output(error)),
        _ => Ok(()),
    }
}

/// How diagnostics are shown; what is no terminal gets its colours stripped.
fn style() -> Style {
    Style { colour: true, width: 100 }
}

fn seed(text: &str) -> Result<u64, String> {
    let digits = text.replace('_', "");
    let parsed = match digits.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16),
        None => digits.parse(),
    };
    parsed.map_err(|_| "a seed is a whole number below 2^64, such as 7 or 0x5eed".to_owned())
}
