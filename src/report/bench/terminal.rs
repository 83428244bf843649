//! The tables that a person reads, with what follows from them.

use std::io;

use super::{
    number::{Estimate, estimate, unit_sign},
    words,
};
use crate::{
    lab::{
        comparison::Comparison,
        metric::Metric,
        results::{CONFIDENCE, Results},
    },
    report::printable,
};

/// Writes every world's table and verdicts, the turns, and what the headings mean.
///
/// The best of a column is marked with a star, and bold; whoever writes to no terminal strips the latter.
/// What no run has a value for has no column.
/// A table that is wider than `columns` goes on below itself once; what does not fit then is left to the files.
/// Without a width nothing is wrapped.
pub fn write(
    results: &Results,
    comparison: &Comparison,
    columns: Option<usize>,
    out: &mut dyn io::Write,
) -> io::Result<()> {
    let width = columns.unwrap_or(usize::MAX);
    wrapped(&words::head(results), "", "", width, out)?;
    let mut shown = Vec::new();
    let mut left_out = Vec::new();
    for (place, world) in results.worlds.iter().enumerate() {
        writeln!(out, "\n{BOLD}{}{RESET}", printable(&world.name))?;
        if !world.about.is_empty() {
            wrapped(&printable(&world.about), "  ", "  ", width, out)?;
        }
        writeln!(out)?;
        let table = Table::of(results, comparison, place, width);
        table.write(out)?;
        shown.extend(table.blocks.iter().flatten().map(|column| column.metric));
        left_out.extend(table.left_out);
        for line in words::victories(results, comparison, place) {
            wrapped(&printable(&line), "  ", "    ", width, out)?;
        }
    }
    turns(results, comparison, width, out)?;
    shown.sort();
    shown.dedup();
    left_out.sort();
    left_out.dedup();
    legend(&shown, &left_out, width, out)
}

/// One world's figures, cut into blocks that fit.
struct Table {
    /// The strategies' names, and how wide they are.
    names: (Vec<String>, usize),
    blocks: Vec<Vec<Column>>,
    left_out: Vec<Metric>,
}

/// One metric of all strategies in a world.
struct Column {
    metric: Metric,
    /// For each strategy, with whether every run has a value; none if no run has one.
    estimates: Vec<Option<(Estimate, bool)>>,
    /// Who is best; nobody if all are.
    best: Vec<usize>,
}

impl Table {
    fn of(results: &Results, comparison: &Comparison, world: usize, width: usize) -> Self {
        let strategies = results.strategies.iter();
        let names: Vec<String> =
            strategies.map(|strategy| shortened(&printable(&strategy.name))).collect();
        let widest = names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
        let mut columns: Vec<Column> = Metric::ALL
            .into_iter()
            .filter_map(|metric| Column::of(results, comparison, world, metric))
            .collect();
        let mut left_out = Vec::new();
        loop {
            let widths: Vec<usize> = columns.iter().map(Column::width).collect();
            let lengths = lengths(&widths, width.saturating_sub(INDENT + widest));
            let least = LEAVE_OUT
                .into_iter()
                .find_map(|metric| columns.iter().position(|column| column.metric == metric));
            if let (true, Some(least)) = (lengths.len() > BLOCKS_MAX, least) {
                left_out.push(columns.remove(least).metric);
                continue;
            }
            let mut rest = columns.into_iter();
            let blocks = lengths.into_iter().map(|length| rest.by_ref().take(length).collect());
            return Self { names: (names, widest), blocks: blocks.collect(), left_out };
        }
    }

    fn write(&self, out: &mut dyn io::Write) -> io::Result<()> {
        let (names, widest) = &self.names;
        for block in &self.blocks {
            let headings = block
                .iter()
                .map(|column| format!("{:>1$} ", heading(column.metric), column.width() - 1));
            let head = " ".repeat(INDENT + widest) + &headings.collect::<String>();
            writeln!(out, "{DIM}{}{RESET}", head.trim_end())?;
            for (strategy, name) in names.iter().enumerate() {
                let mut row = format!("{:INDENT$}{name:widest$}", "");
                for column in block {
                    row += &column.cell(strategy);
                }
                writeln!(out, "{}", row.trim_end())?;
            }
            writeln!(out)?;
        }
        Ok(())
    }
}

impl Column {
    fn of(
        results: &Results,
        comparison: &Comparison,
        world: usize,
        metric: Metric,
    ) -> Option<Self> {
        let strategies = 0..results.strategies.len();
        let estimates = strategies.map(|strategy| {
            let cell = results.cell(strategy, world)?;
            let summary = cell.summary(metric)?;
            let half_width = summary.half_width(CONFIDENCE);
            let shown = estimate(metric.unit(), summary.mean, half_width);
            Some((shown, summary.count == cell.runs.len()))
        });
        let estimates: Vec<Option<(Estimate, bool)>> = estimates.collect();
        let count = estimates.iter().flatten().count();
        let mut best = comparison.best(results, world, metric);
        if best.len() == count {
            best.clear();
        }
        (count > 0).then_some(Self { metric, estimates, best })
    }

    /// With the space before it and the sign behind it.
    fn width(&self) -> usize {
        let (mean, margin) = self.widths();
        let cell = mean + if margin > 0 { margin + 2 } else { 0 };
        2 + (heading(self.metric).chars().count() + 1).max(cell + 1)
    }

    /// The widest mean and the widest margin.
    fn widths(&self) -> (usize, usize) {
        let shown = self.estimates.iter().flatten().map(|(shown, _)| shown);
        let mean = shown.clone().map(|shown| shown.mean.chars().count()).max();
        let margin = shown.filter_map(|shown| shown.margin.as_ref().map(String::len)).max();
        (mean.unwrap_or(0), margin.unwrap_or(0))
    }

    fn cell(&self, strategy: usize) -> String {
        let (mean, margin) = self.widths();
        let behind = if margin > 0 { margin + 2 } else { 0 };
        let before = self.width() - behind - 1;
        let Some(Some((shown, is_whole))) = self.estimates.get(strategy) else {
            return format!("{:>before$}{:behind$} ", "–", "");
        };
        let is_best = self.best.contains(&strategy);
        let (on, off, sign) = match (is_best, is_whole) {
            (true, _) => (BOLD, RESET, "*"),
            (false, true) => ("", "", ""),
            (false, false) => ("", "", "†"),
        };
        let pad = before - mean;
        // The sign follows the digits, so that it is not lost behind the padding.
        let tail = match &shown.margin {
            Some(margin) => format!(" ±{margin}{sign}"),
            None => sign.to_owned(),
        };
        format!("{:pad$}{on}{:>mean$}{off}{tail:<width$}", "", shown.mean, width = behind + 1)
    }
}

/// How many columns of these widths go into each block of this width, one at least.
fn lengths(widths: &[usize], room: usize) -> Vec<usize> {
    let mut lengths = Vec::new();
    let mut used = 0;
    for &width in widths {
        match lengths.last_mut() {
            Some(length) if used + width <= room => {
                *length += 1;
                used += width;
            }
            _ => {
                lengths.push(1);
                used = width;
            }
        }
    }
    lengths
}

/// Where orders turn round, the greatest turns first.
fn turns(
    results: &Results,
    comparison: &Comparison,
    width: usize,
    out: &mut dyn io::Write,
) -> io::Result<()> {
    if comparison.flips.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n{BOLD}Where the order turns round{RESET}\n")?;
    for flip in comparison.flips.iter().take(FLIPS_MAX) {
        let line = words::flip(results, comparison, flip);
        wrapped(&printable(&line), "  ", "    ", width, out)?;
    }
    match comparison.flips.len().saturating_sub(FLIPS_MAX) {
        0 => Ok(()),
        more => writeln!(out, "  … and {more} lesser ones, which the JSON and HTML reports tell"),
    }
}

/// What the headings and signs mean.
fn legend(
    shown: &[Metric],
    left_out: &[Metric],
    width: usize,
    out: &mut dyn io::Write,
) -> io::Result<()> {
    let told = shown.iter().map(|metric| format!("{}: {}", heading(*metric), metric.about()));
    let told: Vec<String> = told.collect();
    writeln!(out)?;
    wrapped(&told.join("; "), "", "", width, out)?;
    wrapped(
        "±: half the width of the mean's 95% interval; *: best, or not to be told apart from it; \
         †: not every run has a value; $/1k: dollars for a thousand calls",
        "",
        "",
        width,
        out,
    )?;
    if left_out.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = left_out.iter().map(|metric| metric.name()).collect();
    let line = format!("left out where there was no room: {}", names.join(", "));
    wrapped(&line, "", "", width, out)
}

/// Words in lines of a width, the first line behind one indent and the others behind another.
fn wrapped(
    text: &str,
    first: &str,
    other: &str,
    width: usize,
    out: &mut dyn io::Write,
) -> io::Result<()> {
    let mut line = first.to_owned();
    let mut is_empty = true;
    for word in text.split(' ') {
        if !is_empty && line.chars().count() + 1 + word.chars().count() > width {
            writeln!(out, "{}", line.replace('\u{a0}', " "))?;
            other.clone_into(&mut line);
            is_empty = true;
        }
        if !is_empty {
            line.push(' ');
        }
        line.push_str(word);
        is_empty = false;
    }
    writeln!(out, "{}", line.replace('\u{a0}', " "))
}

/// A metric with its unit, at the head of a column.
fn heading(metric: Metric) -> String {
    let name = match metric {
        Metric::Amplification => "ampl.",
        Metric::SuccessInOutage => "outage",
        Metric::WastedTokens | Metric::WastedCost => "wasted",
        metric => metric.name(),
    };
    format!("{name} {}", unit_sign(metric.unit()))
}

/// A name that leaves room for figures.
fn shortened(name: &str) -> String {
    if name.chars().count() <= NAME_MAX {
        return name.to_owned();
    }
    name.chars().take(NAME_MAX - 1).chain(['…']).collect()
}

/// The most columns of a name.
const NAME_MAX: usize = 28;

/// The space before a row.
const INDENT: usize = 2;

/// Into how many blocks a table may be cut before it loses columns.
const BLOCKS_MAX: usize = 2;

/// What is left out first where there is no room: what other columns tell too.
const LEAVE_OUT: [Metric; 6] = [
    Metric::P90,
    Metric::Goodput,
    Metric::WastedTokens,
    Metric::P999,
    Metric::P50,
    Metric::Recovery,
];

/// How many turns are told.
const FLIPS_MAX: usize = 8;

const BOLD: &str = "\u{1b}[1m";

const DIM: &str = "\u{1b}[2m";

const RESET: &str = "\u{1b}[0m";
