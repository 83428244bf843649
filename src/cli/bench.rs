//! `brownout bench`.

mod reproduce;

use clap::{Args, Subcommand};

use self::reproduce::Reproduce;
use super::{CliError, Ending};

#[derive(Debug, Args)]
pub(super) struct Bench {
    #[command(subcommand)]
    command: BenchCommand,
}

#[derive(Debug, Subcommand)]
enum BenchCommand {
    /// Repeats published results, and says how far off ours are
    Reproduce(Reproduce),
}

/// Does what was asked of the lab.
pub(super) async fn execute(bench: Bench) -> Result<Ending, CliError> {
    match bench.command {
        BenchCommand::Reproduce(reproduce) => reproduce::execute(reproduce).await,
    }
}
