//! Everything that an experiment has shown, for programs; `brownout.bench/1`.
//!
//! The same results give the same bytes.
//! Strategies and worlds are named where they stand in another list; what is no finite number is `null`.

use std::io;

use serde_json::{Map, Value, json};

use super::number::{six_digits, unit_name};
use crate::lab::{
    comparison::{Axis, Comparison, Flip, Pair, Side},
    metric::{Better, Metric},
    results::{CONFIDENCE, Cell, Moment, Results},
};

/// The name and version of the format; a change that breaks a reader changes it.
const SCHEMA: &str = "brownout.bench/1";

/// Writes the whole experiment.
pub fn write(
    results: &Results,
    comparison: &Comparison,
    out: &mut dyn io::Write,
) -> io::Result<()> {
    let strategies = results.strategies.iter();
    let strategies = strategies.map(|named| json!({ "name": named.name, "about": named.about }));
    let worlds = results.worlds.iter().map(|world| {
        json!({
            "name": world.name,
            "scenario": world.scenario,
            "about": world.about,
            "load": world.load,
            "span": world.span,
            "outages": world.outages,
        })
    });
    let metrics = Metric::ALL.into_iter().map(|metric| {
        let better = match metric.better() {
            Better::High => "high",
            Better::Low => "low",
        };
        let unit = unit_name(metric.unit());
        json!({ "name": metric.name(), "about": metric.about(), "unit": unit, "better": better })
    });
    let whole = json!({
        "schema": SCHEMA,
        "brownout": env!("CARGO_PKG_VERSION"),
        "seed": format!("{:#x}", results.seed),
        "runs": results.runs,
        "confidence": CONFIDENCE,
        "strategies": strategies.collect::<Vec<Value>>(),
        "worlds": worlds.collect::<Vec<Value>>(),
        "metrics": metrics.collect::<Vec<Value>>(),
        "cells": list(&results.cells, |of| cell(results, of)),
        "comparisons": list(&comparison.pairs, |of| pair(results, of)),
        "flips": list(&comparison.flips, |of| flip(results, of)),
    });
    serde_json::to_writer(&mut *out, &whole)?;
    writeln!(out)
}

fn list<T>(of: &[T], each: impl Fn(&T) -> Value) -> Vec<Value> {
    of.iter().map(each).collect()
}

fn cell(results: &Results, cell: &Cell) -> Value {
    let summaries = Metric::ALL.into_iter().filter_map(|metric| {
        let summary = cell.summary(metric)?;
        let told = json!({
            "n": summary.count,
            "mean": summary.mean,
            "sd": summary.deviation,
            "half-width": summary.half_width(CONFIDENCE).map(six_digits),
        });
        Some((metric.name().to_owned(), told))
    });
    let runs = cell.runs.iter().map(|run| {
        let figures = Metric::ALL.into_iter();
        figures
            .filter_map(|metric| Some((metric.name().to_owned(), run.get(metric)?.into())))
            .collect::<Map<String, Value>>()
    });
    let over_time = |what: fn(&Moment) -> f64| list(&cell.course, |moment| what(moment).into());
    json!({
        "strategy": strategy(results, cell.strategy),
        "world": world(results, cell.world),
        "calls": cell.calls,
        "attempts": cell.attempts,
        "summaries": summaries.collect::<Map<String, Value>>(),
        "runs": runs.collect::<Vec<_>>(),
        "course": {
            "at": over_time(|moment| moment.at),
            "calls": over_time(|moment| moment.calls),
            "attempts": over_time(|moment| moment.attempts),
            "successes": over_time(|moment| moment.successes),
            "limited": over_time(|moment| moment.limited),
        },
        "latencies": cell.latencies,
    })
}

fn pair(results: &Results, pair: &Pair) -> Value {
    let named = |side: Side| strategy(results, pair.on(side));
    let differences = pair.differences.iter().map(|difference| {
        json!({
            "metric": difference.metric.name(),
            "n": difference.paired.count,
            "mean": difference.paired.mean,
            "half-width": six_digits(difference.half_width),
            "better": difference.better.map(named),
        })
    });
    json!({
        "world": world(results, pair.world),
        "first": named(Side::First),
        "second": named(Side::Second),
        "beats": pair.winner().map(named),
        "differences": differences.collect::<Vec<Value>>(),
    })
}

fn flip(results: &Results, flip: &Flip) -> Value {
    let axis = match flip.axis {
        Axis::Load => "load",
        Axis::Scenario => "scenario",
    };
    json!({
        "metric": flip.metric.name(),
        "axis": axis,
        "here": world(results, flip.here),
        "there": world(results, flip.there),
        "better-here": list(&flip.better, |of| strategy(results, *of).into()),
        "better-there": list(&flip.worse, |of| strategy(results, *of).into()),
        "strength": flip.strength,
    })
}

fn strategy(results: &Results, place: usize) -> &str {
    &results.strategies[place].name
}

fn world(results: &Results, place: usize) -> &str {
    &results.worlds[place].name
}
