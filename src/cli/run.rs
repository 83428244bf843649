//! `brownout run`.

use std::{
    io::{self, IsTerminal as _, Write as _},
    path::PathBuf,
    time::Duration,
};

use indicatif::ProgressBar;

use super::{CliError, Ending, Run, SEED, files, print};
use crate::{
    harness::{self, CommandLine, Mode},
    report::{
        ScenarioReport, SuiteReport, Terminal, printable, write_journal, write_json, write_junit,
    },
    scenario::{Scenario, Suite},
    verdict::Status,
};

/// Where a report is written, and by whom.
type Writer = fn(&SuiteReport, &mut dyn io::Write) -> io::Result<()>;

pub(super) async fn execute(run: Run) -> Result<Ending, CliError> {
    // Everything that can be wrong is found before anything runs.
    let scenarios = selected(Suite::read(&run.paths)?, &run)?;
    if run.list {
        return list(&scenarios);
    }
    let mode = match (run.command.is_empty(), run.real_time) {
        (false, _) => Mode::Command(CommandLine::find(&run.command)?),
        (true, true) => Mode::BuiltInRealTime,
        (true, false) => Mode::BuiltInVirtual,
    };
    if !scenarios.iter().any(|scenario| mode.suits(scenario)) {
        let why = "every scenario judges the built-in client's own settings";
        return Err(CliError::NothingToRun(why.to_owned()));
    }
    let reports: [(&Option<PathBuf>, Writer); 3] =
        [(&run.junit, write_junit), (&run.json, write_json), (&run.journal, write_journal)];
    let paths: Vec<&PathBuf> = reports.iter().filter_map(|(path, _)| path.as_ref()).collect();
    files::open(&paths)?;
    let report = play(scenarios, mode, &run).await?;
    for (path, writer) in reports {
        if let Some(path) = path {
            files::save(path, |out| writer(&report, out))?;
        }
    }
    let summary = report.summary();
    Ok(match (summary.failed, summary.inconclusive) {
        (0, 0) => Ending::Held,
        (0, _) => Ending::Inconclusive,
        _ => Ending::Broken,
    })
}

/// Plays the scenarios, and tells each as it ends.
async fn play(scenarios: Vec<Scenario>, mode: Mode, run: &Run) -> Result<SuiteReport, CliError> {
    let seed = run.seed.unwrap_or(SEED);
    let terminal =
        Terminal::new(scenarios.iter().map(|scenario| scenario.id.as_str()), &run.command);
    print(|out| terminal.begin(scenarios.len(), seed, &mode, out))?;
    let progress = progress(&mode);
    let mut reports = Vec::new();
    let mut took = Duration::ZERO;
    for scenario in scenarios {
        let played = if mode.suits(&scenario) {
            progress.set_message(printable(&scenario.id));
            if matches!(mode, Mode::Command(_)) {
                heading(&scenario);
            }
            // A file's own seed holds unless the run is given one.
            let seed = run.seed.or(scenario.document.seed).unwrap_or(SEED);
            let records = harness::play(&scenario, &mode, seed).await?;
            took += records.first().map(|record| record.took).unwrap_or_default();
            let judged = records.into_iter().map(|record| {
                let verdict = record.judge(&scenario);
                Some((record, verdict))
            });
            judged.collect()
        } else {
            vec![None]
        };
        let mut stop = false;
        for judged in played {
            let report = ScenarioReport { scenario: scenario.clone(), judged };
            progress.suspend(|| print(|out| terminal.line(&report, out)))?;
            stop |= run.fail_fast && report.status().is_some_and(|status| status != Status::Pass);
            reports.push(report);
        }
        if stop {
            break;
        }
    }
    progress.finish_and_clear();
    let report = SuiteReport { seed, mode, scenarios: reports, took };
    print(|out| terminal.end(&report, out))?;
    Ok(report)
}

/// The scenarios that `--only` leaves.
fn selected(suite: Suite, run: &Run) -> Result<Vec<Scenario>, CliError> {
    let wanted = |scenario: &Scenario| {
        run.only.is_empty() || run.only.iter().any(|text| scenario.id.contains(text.as_str()))
    };
    let scenarios: Vec<Scenario> = suite.scenarios.into_iter().filter(wanted).collect();
    if scenarios.is_empty() {
        let why = format!("no scenario's id holds `{}`", run.only.join("` or `"));
        return Err(CliError::NothingToRun(why));
    }
    Ok(scenarios)
}

fn list(scenarios: &[Scenario]) -> Result<Ending, CliError> {
    let width = scenarios.iter().map(|scenario| scenario.id.len()).max().unwrap_or(0);
    print(|out| {
        for scenario in scenarios {
            let (id, name) = (printable(&scenario.id), printable(&scenario.document.name));
            writeln!(out, "{id:<width$}  {name}")?;
        }
        Ok(())
    })?;
    Ok(Ending::Held)
}

/// Says whose output comes next; with stderr closed there is nobody to tell.
fn heading(scenario: &Scenario) {
    let mut stderr = anstream::stderr().lock();
    let _closed = writeln!(stderr, "--- {}", printable(&scenario.id)).is_err();
}

/// A line that says what is being played; a command's own output would break it.
fn progress(mode: &Mode) -> ProgressBar {
    if matches!(mode, Mode::Command(_)) || !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let progress = ProgressBar::new_spinner();
    progress.enable_steady_tick(Duration::from_millis(120));
    progress
}
