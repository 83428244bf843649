//! `brownout check`.

use std::io::Write as _;

use super::{Check, CliError, Ending};
use crate::scenario::Suite;

pub(super) fn execute(check: &Check) -> Result<Ending, CliError> {
    let suite = Suite::read(&check.paths)?;
    let count = suite.scenarios.len();
    let scenarios = if count == 1 { "scenario" } else { "scenarios" };
    let mut stdout = anstream::stdout().lock();
    writeln!(stdout, "{count} {scenarios} without a mistake").map_err(CliError::Output)?;
    Ok(Ending::Held)
}
