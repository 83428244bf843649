//! What reproducing published results has shown, for people and for programs; `brownout.reproduction/1`.
//!
//! The same seed gives the same bytes: neither the number of threads nor the time it took is in it.

use std::io;

use serde_json::{Map, Value, json};

use super::{
    csv::field,
    table::{Align, Table},
    words::counted,
};
use crate::lab::{
    reproduce::{Anchor, Cell, Claim, Reproduction, Settings, Tolerance},
    statistics::Summary,
};

/// The name and version of the format; a change that breaks a reader changes it.
const SCHEMA: &str = "brownout.reproduction/1";

/// A published result with what our runs of it have shown.
#[derive(Clone, Debug)]
pub struct Reproduced {
    /// What was published.
    pub anchor: &'static Anchor,
    /// The seed of all chance.
    pub seed: u64,
    /// How many runs each figure is made of.
    pub runs: u32,
    /// The parameters that were used.
    pub settings: Settings,
    /// What they gave.
    pub shown: Reproduction,
}

impl Reproduced {
    /// Writes what a person reads: the published figures beside ours, or what was measured where nothing is published.
    ///
    /// A table that is wider than so many columns becomes a list.
    pub fn write_text(&self, columns: Option<usize>, out: &mut dyn io::Write) -> io::Result<()> {
        let Self { anchor, seed, runs, settings, shown } = self;
        writeln!(out, "{BOLD}{}: {}{RESET}", anchor.name, anchor.title)?;
        writeln!(out, "  {}", anchor.source)?;
        let runs = counted(u64::from(*runs), "run");
        write!(out, "  seed {seed:#x}, {runs}")?;
        for (name, values) in settings.iter() {
            write!(out, ", {name}={}", listed(values))?;
        }
        writeln!(out, "\n")?;
        if shown.claims.is_empty() {
            let why = if settings.are_changed() { "for these settings" } else { "in figures" };
            writeln!(out, "  Nothing is published {why}. This was measured:\n")?;
            measured(&shown.cells).write(columns, out)?;
        } else {
            compared(&shown.claims).write(columns, out)?;
        }
        for (index, note) in shown.notes.iter().enumerate() {
            let gap = if index > 0 { "" } else { "\n" };
            writeln!(out, "{gap}  note: {note}")?;
        }
        writeln!(out)
    }
}

/// Writes the last line of a report: how many of the published figures were found.
pub fn write_sum(results: &[Reproduced], out: &mut dyn io::Write) -> io::Result<()> {
    let claims = || results.iter().flat_map(|result| &result.shown.claims);
    let (all, held) = (claims().count(), claims().filter(|claim| claim.holds()).count());
    if all == 0 {
        return writeln!(out, "nothing to compare with");
    }
    let colour = if held == all { GREEN } else { RED };
    writeln!(out, "{colour}{held} of {all} within tolerance{RESET}")
}

/// Writes the names of published results, with their parameters.
pub fn list_anchors(anchors: &[&Anchor], out: &mut dyn io::Write) -> io::Result<()> {
    for (index, anchor) in anchors.iter().enumerate() {
        let gap = if index > 0 { "\n" } else { "" };
        writeln!(out, "{gap}{BOLD}{}: {}{RESET}", anchor.name, anchor.title)?;
        writeln!(out, "  {}", anchor.source)?;
        let mut table = Table::new([("", Align::Left), ("", Align::Left)]);
        table.row([format!("--runs {}", anchor.runs), "independent runs of each case".to_owned()]);
        for parameter in anchor.parameters {
            let setting = format!("--set {}={}", parameter.name, listed(parameter.default));
            table.row([setting, parameter.about.to_owned()]);
        }
        table.write(None, out)?;
    }
    Ok(())
}

/// Writes results for programs: claims, and every value of every run.
pub fn write_json(seed: u64, results: &[Reproduced], out: &mut dyn io::Write) -> io::Result<()> {
    let whole = json!({
        "schema": SCHEMA,
        "brownout": env!("CARGO_PKG_VERSION"),
        "seed": format!("{seed:#x}"),
        "results": results.iter().map(for_programs).collect::<Vec<_>>(),
    });
    serde_json::to_writer_pretty(&mut *out, &whole)?;
    writeln!(out)
}

/// Writes every value of every run on a line of its own, quoted by [RFC 4180](https://www.rfc-editor.org/rfc/rfc4180).
///
/// Whatever tells cells apart has a column, which is empty for cells that are not told apart by it.
pub fn write_csv(results: &[Reproduced], out: &mut dyn io::Write) -> io::Result<()> {
    let columns = label_columns(results.iter().flat_map(|result| &result.shown.cells));
    let mut line = |fields: &mut dyn Iterator<Item = &str>| {
        writeln!(out, "{}", fields.map(field).collect::<Vec<_>>().join(","))
    };
    let ends = ["metric", "ordinal", "value"];
    line(&mut ["result"].into_iter().chain(columns.iter().copied()).chain(ends))?;
    for result in results {
        for cell in &result.shown.cells {
            let labels = labels(cell, &columns);
            for (index, value) in cell.values.iter().enumerate() {
                let (ordinal, value) = ((index + 1).to_string(), value.to_string());
                let front = [result.anchor.name].into_iter().chain(labels.iter().copied());
                line(&mut front.chain([cell.metric, &ordinal, &value]))?;
            }
        }
    }
    Ok(())
}

/// The claims as a table.
fn compared(claims: &[Claim]) -> Table {
    let mut table = Table::new([
        ("what", Align::Left),
        ("published", Align::Right),
        ("ours (95 % interval)", Align::Right),
        ("difference", Align::Right),
        ("allowed", Align::Right),
        ("", Align::Left),
    ]);
    for claim in claims {
        let (difference, allowed) = distance(claim);
        let (colour, held) = if claim.holds() { (GREEN, "ok") } else { (RED, "OFF") };
        table.row([
            claim.what.clone(),
            rounded(claim.published, 9),
            with_interval(&claim.ours),
            difference,
            allowed,
            format!("{colour}{held}{RESET}"),
        ]);
    }
    table
}

/// What was measured, as a table.
fn measured(cells: &[Cell]) -> Table {
    let columns = label_columns(cells);
    let texts = columns.iter().copied().chain(["metric"]).map(|name| (name, Align::Left));
    let figures = ["mean", "sd", "se", "n"].map(|name| (name, Align::Right));
    let mut table = Table::new(texts.chain(figures));
    for cell in cells {
        let Summary { count, mean, deviation, error } = cell.summary();
        let texts = labels(cell, &columns).into_iter().chain([cell.metric]).map(str::to_owned);
        let figures = [mean, deviation, error].map(figure);
        table.row(texts.chain(figures).chain([count.to_string()]));
    }
    table
}

/// What tells some cells apart, in the order in which it is met.
fn label_columns<'a>(cells: impl IntoIterator<Item = &'a Cell>) -> Vec<&'static str> {
    let mut columns = Vec::new();
    for (label, _) in cells.into_iter().flat_map(|cell| &cell.labels) {
        if !columns.contains(label) {
            columns.push(*label);
        }
    }
    columns
}

/// What a cell has in these columns.
fn labels<'a>(cell: &'a Cell, columns: &[&str]) -> Vec<&'a str> {
    let value = |column: &&str| {
        let label = cell.labels.iter().find(|(label, _)| label == column);
        label.map_or("", |(_, value)| value.as_str())
    };
    columns.iter().map(value).collect()
}

fn for_programs(result: &Reproduced) -> Value {
    let Reproduced { anchor, seed: _, runs, settings, shown } = result;
    let parameters: Map<String, Value> =
        settings.iter().map(|(name, values)| (name.to_owned(), json!(values))).collect();
    let claims = shown.claims.iter().map(|claim| {
        let (tolerance, most) = match claim.tolerance {
            Tolerance::Above => ("above", None),
            Tolerance::Absolute(most) => ("absolute", Some(most)),
            Tolerance::Below => ("below", None),
            Tolerance::Errors { most, .. } => ("standard-errors", Some(most)),
            Tolerance::Relative(most) => ("relative", Some(most)),
        };
        json!({
            "what": claim.what,
            "published": claim.published,
            "n": claim.ours.count,
            "mean": claim.ours.mean,
            "sd": claim.ours.deviation,
            "se": claim.ours.error,
            "difference": claim.difference(),
            "tolerance": tolerance,
            "most": most,
            "holds": claim.holds(),
        })
    });
    let cells = shown.cells.iter().map(|cell| {
        let labels: Map<String, Value> =
            cell.labels.iter().map(|(label, value)| ((*label).to_owned(), json!(value))).collect();
        let Summary { count, mean, deviation, error } = cell.summary();
        json!({
            "labels": labels,
            "metric": cell.metric,
            "n": count,
            "mean": mean,
            "sd": deviation,
            "se": error,
            "values": cell.values,
        })
    });
    json!({
        "name": anchor.name,
        "title": anchor.title,
        "source": anchor.source,
        "runs": runs,
        "parameters": parameters,
        "changed": settings.are_changed(),
        "holds": shown.holds(),
        "claims": claims.collect::<Vec<_>>(),
        "cells": cells.collect::<Vec<_>>(),
        "notes": shown.notes,
    })
}

/// How far a claim's figures are apart, and how far they may be, in the measure of its tolerance.
fn distance(claim: &Claim) -> (String, String) {
    let difference = claim.difference();
    let signed = |value: f64| {
        let sign = if value.is_sign_negative() { "-" } else { "+" };
        format!("{sign}{}", figure(value.abs()))
    };
    match claim.tolerance {
        Tolerance::Above => (signed(difference), "above".to_owned()),
        Tolerance::Absolute(most) => (signed(difference), format!("± {most}")),
        Tolerance::Below => (signed(difference), "below".to_owned()),
        Tolerance::Errors { most, .. } => (format!("{difference:+.1} se"), format!("± {most} se")),
        // What is agreed to so many digits would be all zeros as a percentage.
        Tolerance::Relative(most) if most < 1e-6 => {
            (format!("{:+.0e} %", 100.0 * difference), format!("± {:.0e} %", 100.0 * most))
        }
        Tolerance::Relative(most) => {
            (format!("{:+.2} %", 100.0 * difference), format!("± {} %", figure(100.0 * most)))
        }
    }
}

/// A mean with the interval that holds the true one, with as many digits as that has two.
fn with_interval(ours: &Summary) -> String {
    match ours.half_width(0.95).filter(|half| *half > 0.0) {
        Some(half) => {
            let digits = decimals(half, 2);
            format!("{:.digits$} ± {half:.digits$}", ours.mean)
        }
        None => figure(ours.mean),
    }
}

/// A figure of ours.
fn figure(value: f64) -> String {
    rounded(value, 5)
}

/// A figure with so many digits, or in scientific notation where these would be mostly zeros.
fn rounded(value: f64, digits: usize) -> String {
    let size = value.abs();
    if size != 0.0 && !(1e-4..1e9).contains(&size) && value.is_finite() {
        return format!("{value:.2e}");
    }
    let text = format!("{value:.*}", decimals(value, digits));
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

/// How many digits behind the point give a value so many of its digits.
fn decimals(value: f64, digits: usize) -> usize {
    let mut bound = 10.0_f64.powi(i32::try_from(digits).unwrap_or(i32::MAX) - 1);
    let mut decimals = 0;
    while value.abs() < bound && decimals < DECIMALS_MAX {
        bound /= 10.0;
        decimals += 1;
    }
    decimals
}

/// Values as `--set` reads them.
fn listed(values: &[f64]) -> String {
    values.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

/// The most digits behind the point.
const DECIMALS_MAX: usize = 9;

const BOLD: &str = "\u{1b}[1m";
const GREEN: &str = "\u{1b}[32m";
const RED: &str = "\u{1b}[1;31m";
const RESET: &str = "\u{1b}[0m";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::reproduce::Parameter;

    const ANCHOR: Anchor = Anchor {
        name: "coin",
        title: "a coin is fair",
        source: "Nobody, 1900",
        parameters: &[Parameter {
            name: "coins",
            about: "how many are tossed",
            default: &[10.0, 20.0],
            least: 1.0,
            most: 1e6,
            whole: true,
        }],
        runs: 4,
        run: |_| Reproduction::default(),
    };

    fn reproduced(set: &[(&str, &str)]) -> Reproduced {
        let set: Vec<(String, String)> =
            set.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let settings = ANCHOR.settings(&set).unwrap();
        let heads = vec![4.0, 5.0, 5.0, 7.0];
        let ours = Summary::of(&heads);
        let errors = Tolerance::Errors { most: 4.0, published: 0.5 };
        let claim = |what: &str, published, tolerance| Claim {
            what: what.to_owned(),
            published,
            ours,
            tolerance,
        };
        let claims = vec![
            claim("heads, 10 coins", 5.0, errors),
            claim("heads, by share", 5.5, Tolerance::Relative(0.02)),
            claim("heads, by number", 5.5, Tolerance::Absolute(0.25)),
            Claim::above("more than tails", 5.0, 7.25),
            Claim::below("less than all", 0.001, 0.000_25),
            Claim::exact("the constant", 9.648_936_009_66, 9.648_936_009_66),
        ];
        let cell = |coins: &str, metric, values| Cell {
            labels: vec![("coins", coins.to_owned())],
            metric,
            values,
        };
        let cells = vec![
            cell("10", "heads", heads),
            Cell {
                labels: vec![("hand", "left, \"bad\"".to_owned())],
                ..cell("", "edges", vec![0.125])
            },
        ];
        let claims = if settings.are_changed() { Vec::new() } else { claims };
        let notes = vec!["a coin is round".to_owned(), "and flat".to_owned()];
        let shown = Reproduction { claims, cells, notes };
        Reproduced { anchor: &ANCHOR, seed: 7, runs: 4, settings, shown }
    }

    #[track_caller]
    fn assert_written(write: impl Fn(&mut dyn io::Write) -> io::Result<()>, expected: &str) {
        let mut bytes = Vec::new();
        write(&mut bytes).unwrap();
        let text = String::from_utf8(bytes).unwrap();
        let plain = anstream::adapter::strip_str(&text).to_string();
        assert_eq!(plain, expected, "\n{plain}");
    }

    #[test]
    fn published_figures_stand_beside_ours_with_what_is_allowed() {
        let result = reproduced(&[]);
        let expected = "\
coin: a coin is fair
  Nobody, 1900
  seed 0x7, 4 runs, coins=10,20

  what               published  ours (95 % interval)  difference   allowed
  heads, 10 coins            5             5.2 ± 2.0     +0.3 se    ± 4 se  ok
  heads, by share          5.5             5.2 ± 2.0     -4.55 %     ± 2 %  OFF
  heads, by number         5.5             5.2 ± 2.0       -0.25    ± 0.25  ok
  more than tails            5                  7.25       +2.25     above  ok
  less than all          0.001               0.00025    -0.00075     below  ok
  the constant      9.64893601                9.6489      +0e0 %  ± 1e-7 %  ok

  note: a coin is round
  note: and flat

";
        assert_written(|out| result.write_text(None, out), expected);
        assert_written(
            |out| write_sum(std::slice::from_ref(&result), out),
            "5 of 6 within tolerance\n",
        );
    }

    #[test]
    fn without_anything_to_compare_with_it_shows_what_was_measured() {
        let result = reproduced(&[("coins", "10")]);
        let expected = "\
coin: a coin is fair
  Nobody, 1900
  seed 0x7, 4 runs, coins=10

  Nothing is published for these settings. This was measured:

  coins  hand         metric   mean      sd       se  n
  10                  heads    5.25  1.2583  0.62915  4
         left, \"bad\"  edges   0.125       0        0  1

  note: a coin is round
  note: and flat

";
        assert_written(|out| result.write_text(None, out), expected);
        assert_written(
            |out| write_sum(std::slice::from_ref(&result), out),
            "nothing to compare with\n",
        );
    }

    #[test]
    fn the_list_shows_how_parameters_are_set() {
        let expected = "\
coin: a coin is fair
  Nobody, 1900
  --runs 4           independent runs of each case
  --set coins=10,20  how many are tossed
";
        assert_written(|out| list_anchors(&[&ANCHOR], out), expected);
    }

    #[test]
    fn every_value_has_a_line_with_its_labels() {
        let expected = "\
result,coins,hand,metric,ordinal,value
coin,10,,heads,1,4
coin,10,,heads,2,5
coin,10,,heads,3,5
coin,10,,heads,4,7
coin,,\"left, \"\"bad\"\"\",edges,1,0.125
";
        assert_written(|out| write_csv(&[reproduced(&[])], out), expected);
    }

    #[test]
    fn programs_get_claims_with_cells_and_all_their_values() {
        let mut bytes = Vec::new();
        write_json(7, &[reproduced(&[])], &mut bytes).unwrap();
        let whole: Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!((&whole["schema"], &whole["seed"]), (&json!(SCHEMA), &json!("0x7")));
        let result = &whole["results"][0];
        assert_eq!(result["parameters"], json!({ "coins": [10.0, 20.0] }));
        assert_eq!((&result["changed"], &result["holds"]), (&json!(false), &json!(false)));
        let claim = &result["claims"][1];
        assert_eq!((&claim["tolerance"], &claim["most"]), (&json!("relative"), &json!(0.02)));
        assert_eq!((&claim["n"], &claim["holds"]), (&json!(4), &json!(false)));
        assert_eq!(result["cells"][0]["labels"], json!({ "coins": "10" }));
        assert_eq!(result["cells"][0]["values"], json!([4.0, 5.0, 5.0, 7.0]));
        assert_eq!(result["cells"][0]["mean"], json!(5.25));
    }

    #[test]
    fn figures_have_the_digits_that_matter() {
        for (value, expected) in [
            (0.0, "0"),
            (1.0, "1"),
            (2422.424, "2422.4"),
            (63438.81, "63439"),
            (0.32861, "0.32861"),
            (0.000_031_234, "3.12e-5"),
            (-12.3456, "-12.346"),
            (2e12, "2.00e12"),
            (f64::INFINITY, "inf"),
            (f64::NAN, "NaN"),
        ] {
            assert_eq!(figure(value), expected);
        }
        let ours = Summary { count: 1000, mean: 2422.424, deviation: 0.0, error: 1.0163 };
        assert_eq!(with_interval(&ours), "2422.4 ± 2.0");
    }
}
