//! The tables that other programs read: one figure a row.

use std::{fmt, io};

use super::number::{six_digits, unit_name};
use crate::{
    lab::{
        metric::Metric,
        results::{CONFIDENCE, Results},
    },
    report::csv::field,
};

/// Writes what the runs of each strategy in each world come to, metric by metric.
pub fn write(results: &Results, out: &mut dyn io::Write) -> io::Result<()> {
    writeln!(out, "strategy,world,scenario,load,metric,unit,n,mean,sd,half_width_95")?;
    for cell in &results.cells {
        for metric in Metric::ALL {
            let Some(summary) = cell.summary(metric) else { continue };
            let half_width =
                summary.half_width(CONFIDENCE).map(|half| six_digits(half).to_string());
            writeln!(
                out,
                "{},{},{},{},{},{}",
                Place { results, strategy: cell.strategy, world: cell.world },
                Labels(metric),
                summary.count,
                summary.mean,
                summary.deviation,
                half_width.unwrap_or_default(),
            )?;
        }
    }
    Ok(())
}

/// Writes every figure of every run; runs are counted from 1, and those of the same number met the same arrivals.
pub fn write_runs(results: &Results, out: &mut dyn io::Write) -> io::Result<()> {
    writeln!(out, "strategy,world,scenario,load,metric,unit,run,value")?;
    for cell in &results.cells {
        let place = Place { results, strategy: cell.strategy, world: cell.world };
        for (index, run) in cell.runs.iter().enumerate() {
            for metric in Metric::ALL {
                if let Some(value) = run.get(metric) {
                    writeln!(out, "{place},{},{},{value}", Labels(metric), index + 1)?;
                }
            }
        }
    }
    Ok(())
}

/// The columns that say where a figure belongs.
#[derive(Clone, Copy)]
struct Place<'a> {
    results: &'a Results,
    strategy: usize,
    world: usize,
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let strategy = &self.results.strategies[self.strategy];
        let world = &self.results.worlds[self.world];
        let names = [&strategy.name, &world.name, &world.scenario];
        let [strategy, name, scenario] = names.map(|name| field(name));
        write!(f, "{strategy},{name},{scenario},{}", world.load)
    }
}

/// The columns that say what a figure is.
struct Labels(Metric);

impl fmt::Display for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{},{}", self.0, unit_name(self.0.unit()))
    }
}
