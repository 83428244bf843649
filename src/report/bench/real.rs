//! Whether reality agrees with the simulation, for people and for programs; `brownout.bench-real/1`.

use std::io;

use serde_json::{Map, Value, json};

use super::number::{decimals, estimate, unit_name, unit_sign, with_unit};
use crate::{
    lab::{
        agreement::{Agreement, Row, Tolerance, Trial},
        metric::{Figures, Metric, Unit},
        results::CONFIDENCE,
        statistics::Summary,
    },
    report::{
        printable,
        table::{Align, Table},
        words::counted,
    },
};

/// The name and version of the format; a change that breaks a reader changes it.
const SCHEMA: &str = "brownout.bench-real/1";

/// Writes a table for each world, what the runs are worth, and what the words mean.
///
/// A table that is wider than so many columns becomes a list.
pub fn write_terminal(
    agreement: &Agreement,
    columns: Option<usize>,
    out: &mut dyn io::Write,
) -> io::Result<()> {
    let Agreement { strategy, command, seed, worlds } = agreement;
    let client = command
        .as_ref()
        .map_or("the built-in client".to_owned(), |command| format!("`{}`", printable(command)));
    writeln!(out, "{client} as {}, seed {seed:#x}", printable(strategy))?;
    for (trial, rows) in worlds {
        let runs = counted(u64::try_from(trial.real.len()).unwrap_or(u64::MAX), "run");
        let simulated = trial.simulated.len();
        let name = printable(&trial.world);
        writeln!(out, "\n{BOLD}{name}{RESET}  {runs} over sockets, {simulated} simulated\n")?;
        table(rows).write(columns, out)?;
        for doubt in &trial.doubts {
            writeln!(out, "\n  {YELLOW}inconclusive{RESET}: {doubt}")?;
        }
    }
    let rows = || worlds.iter().flat_map(|(_, rows)| rows);
    legend(worlds, out)?;
    let (all, held) = (rows().count(), rows().filter(|row| row.agrees == Some(true)).count());
    let (colour, end) = match agreement.holds() {
        Some(true) => (GREEN, ""),
        Some(false) => (RED, ""),
        None => (YELLOW, ", and nothing follows"),
    };
    writeln!(out, "\n{colour}{held} of {all} figures agree{end}{RESET}")
}

/// Writes everything, with the figures of every run.
pub fn write_json(agreement: &Agreement, out: &mut dyn io::Write) -> io::Result<()> {
    let worlds = agreement.worlds.iter().map(|(trial, rows)| {
        let metrics = rows.iter().map(|row| {
            let tolerance = Tolerance::of(row.metric, trial.slack);
            json!({
                "name": row.metric.name(),
                "unit": unit_name(row.metric.unit()),
                "simulated": row.simulated.map(summary),
                "real": row.real.map(summary),
                "may-differ-by": row.allowance,
                "tolerance": { "least": tolerance.least, "share": tolerance.share },
                "agrees": row.agrees,
            })
        });
        json!({
            "name": trial.world,
            "metrics": metrics.collect::<Vec<Value>>(),
            "doubts": trial.doubts.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "runs": {
                "simulated": trial.simulated.iter().map(figures).collect::<Vec<_>>(),
                "real": trial.real.iter().map(figures).collect::<Vec<_>>(),
            },
        })
    });
    let whole = json!({
        "schema": SCHEMA,
        "brownout": env!("CARGO_PKG_VERSION"),
        "strategy": agreement.strategy,
        "command": agreement.command,
        "seed": format!("{:#x}", agreement.seed),
        "confidence": CONFIDENCE,
        "agrees": agreement.holds(),
        "worlds": worlds.collect::<Vec<Value>>(),
    });
    serde_json::to_writer(&mut *out, &whole)?;
    writeln!(out)
}

fn table(rows: &[Row]) -> Table {
    let mut table = Table::new([
        ("", Align::Left),
        ("simulated", Align::Right),
        ("real", Align::Right),
        ("may differ by", Align::Right),
        ("agree?", Align::Left),
    ]);
    for row in rows {
        let unit = row.metric.unit();
        let side = |summary: &Option<Summary>| {
            let Some(summary) = summary else { return "–".to_owned() };
            let shown = estimate(unit, summary.mean, summary.half_width(CONFIDENCE));
            match shown.margin {
                Some(margin) => format!("{} ±{margin}", shown.mean),
                None => shown.mean,
            }
        };
        let allowance = row.allowance.map_or("–".to_owned(), |most| with_unit(unit, most));
        let verdict = match row.agrees {
            Some(true) => format!("{GREEN}yes{RESET}"),
            Some(false) => format!("{RED}NO{RESET}"),
            None => "too few runs have it".to_owned(),
        };
        table.row([
            format!("{} {}", row.metric.name(), unit_sign(unit)),
            side(&row.simulated),
            side(&row.real),
            allowance.replace('\u{a0}', " "),
            verdict,
        ]);
    }
    table
}

/// Why means may differ that ought to be the same.
fn legend(worlds: &[(Trial, Vec<Row>)], out: &mut dyn io::Write) -> io::Result<()> {
    writeln!(
        out,
        "\n±: half the width of the mean's 95% interval\n\
         may differ by: what luck may do (Welch's interval, 95% for all figures together), and for what a simulation leaves out"
    )?;
    let slack = worlds.iter().map(|(trial, _)| trial.slack).max().unwrap_or_default();
    let mut told: Vec<(Tolerance, Unit, Vec<&str>)> = Vec::new();
    for metric in Metric::ALL {
        if !worlds.iter().any(|(_, rows)| rows.iter().any(|row| row.metric == metric)) {
            continue;
        }
        let tolerance = Tolerance::of(metric, slack);
        match told.iter_mut().find(|(other, ..)| *other == tolerance) {
            Some((.., names)) => names.push(metric.name()),
            None => told.push((tolerance, metric.unit(), vec![metric.name()])),
        }
    }
    for (Tolerance { least, share, why }, unit, names) in told {
        let least = (least > 0.0).then(|| with_unit(unit, least).replace('\u{a0}', " "));
        let share = (share > 0.0).then(|| format!("{}%", decimals(share * 100.0, 1.0)));
        let most: Vec<String> = least.into_iter().chain(share).collect();
        writeln!(out, "  {}: {} ({why})", names.join(", "), most.join(" or "))?;
    }
    Ok(())
}

fn summary(summary: Summary) -> Value {
    json!({
        "n": summary.count,
        "mean": summary.mean,
        "sd": summary.deviation,
        "half-width": summary.half_width(CONFIDENCE),
    })
}

fn figures(run: &Figures) -> Map<String, Value> {
    let told = Metric::ALL.into_iter();
    told.filter_map(|metric| Some((metric.name().to_owned(), run.get(metric)?.into()))).collect()
}

const BOLD: &str = "\u{1b}[1m";

const GREEN: &str = "\u{1b}[32m";

const RED: &str = "\u{1b}[1;31m";

const RESET: &str = "\u{1b}[0m";

const YELLOW: &str = "\u{1b}[33m";
