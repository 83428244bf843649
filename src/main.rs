//! The `brownout` binary: reads the command line, runs it, and chooses the exit code.

use std::{io, process::ExitCode, time::Duration};

use brownout::cli::CommandLine;
use clap::Parser as _;
use tokio::signal::unix::{SignalKind, signal};

/// The exit code of a bug of ours: `EX_SOFTWARE` of sysexits.
const BUG: u8 = 70;

fn main() -> ExitCode {
    let line = match CommandLine::try_parse() {
        Ok(line) => line,
        Err(error) => {
            // Help and version are what was asked for; everything else is a mistake in the input.
            let code = if error.use_stderr() { 2 } else { 0 };
            let _closed = error.print().is_err();
            return ExitCode::from(code);
        }
    };
    match std::panic::catch_unwind(|| execute(line)) {
        Ok(Ok(code)) => ExitCode::from(code),
        Ok(Err(_)) | Err(_) => ExitCode::from(BUG),
    }
}

/// Runs to the end, or to the signal that ends us.
fn execute(line: CommandLine) -> io::Result<u8> {
    // One thread serves: what happens first on the wire is seen first. It is enough: thousands of
    // streams take a third of it, three quarters of which is the system's own sending.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let code = runtime.block_on(async {
        let mut interrupted = signal(SignalKind::interrupt())?;
        let mut terminated = signal(SignalKind::terminate())?;
        let mut hung_up = signal(SignalKind::hangup())?;
        let mut quit = signal(SignalKind::quit())?;
        // Dropping the work ends its process group and closes its port.
        Ok(tokio::select! {
            biased;
            _ = interrupted.recv() => 130,
            _ = terminated.recv() => 143,
            _ = hung_up.recv() => 129,
            _ = quit.recv() => 131,
            ending = line.execute() => ending.code(),
        })
    });
    // A scenario in virtual time knows no signal; it is left where it is.
    runtime.shutdown_timeout(Duration::ZERO);
    code
}
