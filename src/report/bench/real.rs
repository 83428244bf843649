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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::lab::agreement::Doubt;

    fn runs(values: &[(Metric, [f64; 3])]) -> Vec<Figures> {
        let run = |index: usize| {
            let mut figures = Figures::default();
            for (metric, values) in values {
                figures.set(*metric, values[index]);
            }
            figures
        };
        (0..3).map(run).collect()
    }

    fn agreement(doubts: Vec<Doubt>) -> Agreement {
        let never = [f64::NAN; 3];
        let trial = Trial {
            world: "a\u{1b}[2Jworld".to_owned(),
            simulated: runs(&[
                (Metric::Amplification, [1.25; 3]),
                (Metric::Success, [0.98, 1.0, 0.99]),
                (Metric::P50, [0.5; 3]),
                (Metric::P99, [2.0; 3]),
            ]),
            real: runs(&[
                (Metric::Amplification, [1.0; 3]),
                (Metric::Success, [0.99, 0.97, 0.98]),
                (Metric::P50, [0.5625; 3]),
                (Metric::P99, never),
            ]),
            slack: Duration::from_millis(75),
            doubts,
        };
        let command = Some("python load.py".to_owned());
        Agreement::of("openai-python".to_owned(), command, 7, vec![trial])
    }

    fn written(write: impl FnOnce(&mut Vec<u8>) -> io::Result<()>) -> String {
        let mut out = Vec::new();
        write(&mut out).unwrap();
        anstream::adapter::strip_str(&String::from_utf8(out).unwrap()).to_string()
    }

    #[test]
    fn a_table_tells_what_agrees_and_how_much_may_differ() {
        let text = written(|out| write_terminal(&agreement(Vec::new()), None, out));
        let expected = "
`python load.py` as openai-python, seed 0x7

a\u{fffd}[2Jworld  3 runs over sockets, 3 simulated

                   simulated       real  may differ by  agree?
  amplification x    1.25 ±0    1.00 ±0        0.0250x  NO
  success %        99.0 ±2.5  98.0 ±2.5          4.52%  yes
  p50 s             0.500 ±0   0.562 ±0       0.0750 s  yes
  p99 s              2.00 ±0          –              –  NO

±: half the width of the mean's 95% interval
may differ by: what luck may do (Welch's interval, 95% for all figures together), and for what a simulation leaves out
  amplification: 2% (a little later may meet another fault)
  success: 1.00% (a little later may meet another fault)
  p50, p99: 0.0750 s or 5% (connections are set up, and processes take time)

2 of 4 figures agree
";
        assert_eq!(format!("\n{text}"), expected);
    }

    #[test]
    fn doubts_stand_where_their_world_does() {
        let text =
            written(|out| write_terminal(&agreement(vec![Doubt::Starved { run: 2 }]), None, out));
        assert!(text.contains("\n  inconclusive: the machine was too busy in run 2 "), "{text}");
        assert!(text.ends_with("\n2 of 4 figures agree, and nothing follows\n"), "{text}");
    }

    #[test]
    fn programs_get_every_run_and_what_follows() {
        let text = written(|out| write_json(&agreement(Vec::new()), out));
        let told: Value = serde_json::from_str(&text).unwrap();
        assert_eq!((&told["schema"], &told["agrees"]), (&json!(SCHEMA), &json!(false)));
        assert_eq!((&told["command"], &told["seed"]), (&json!("python load.py"), &json!("0x7")));
        let world = &told["worlds"][0];
        assert_eq!(world["runs"]["real"][1]["success"], 0.97);
        assert_eq!(world["runs"]["simulated"].as_array().unwrap().len(), 3);
        let [amplification, .., p99] = world["metrics"].as_array().unwrap().as_slice() else {
            panic!("four metrics: {world}")
        };
        assert_eq!(amplification["agrees"], false);
        assert_eq!(amplification["tolerance"], json!({ "least": 0.0, "share": 0.02 }));
        assert_eq!((&p99["real"], &p99["may-differ-by"]), (&Value::Null, &Value::Null));
    }
}
