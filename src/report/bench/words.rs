//! What a comparison has found, in sentences.

use super::number::with_unit;
use crate::{
    lab::{
        comparison::{Axis, Comparison, Difference, Flip, Pair, Side},
        metric::Metric,
        results::{Cell, Results},
    },
    report::words::counted,
};

/// How many metrics of a victory are told.
const METRICS_MAX: usize = 3;

/// How many names of a list are told before the rest is counted.
const NAMES_MAX: usize = 4;

/// What was played: version, seed, and how much.
pub(super) fn head(results: &Results) -> String {
    let sum = |of: fn(&Cell) -> u64| results.cells.iter().map(of).sum();
    let length = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
    let strategies = match results.strategies.len() {
        1 => "1 strategy".to_owned(),
        count => format!("{count} strategies"),
    };
    format!(
        "brownout {}  seed {:#x}  {strategies} × {} × {}  {}, {}",
        env!("CARGO_PKG_VERSION"),
        results.seed,
        counted(length(results.worlds.len()), "world"),
        counted(results.runs.into(), "run"),
        counted(sum(|cell| cell.calls), "call"),
        counted(sum(|cell| cell.attempts), "attempt"),
    )
}

/// What there is to say about a world: who beats whom, and who is beaten by nobody.
///
/// Each strategy that is beaten is told once, with the one that beats most others of those that beat it.
pub(super) fn victories(results: &Results, comparison: &Comparison, world: usize) -> Vec<String> {
    if results.strategies.len() < 2 {
        return Vec::new();
    }
    if results.runs < 2 {
        return vec!["one run shows no differences: nothing is compared".to_owned()];
    }
    let all: Vec<(&Pair, Side)> = comparison.victories(world).collect();
    let beaten_by =
        |strategy: usize| all.iter().filter(move |(pair, side)| pair.on(side.other()) == strategy);
    let beats = |strategy: usize| all.iter().filter(|(p, side)| p.on(*side) == strategy).count();
    let mut lines = Vec::new();
    let mut unbeaten = Vec::new();
    for strategy in 0..results.strategies.len() {
        let by = beaten_by(strategy).max_by_key(|(pair, side)| {
            let winner = pair.on(*side);
            let is_beaten = beaten_by(winner).next().is_some();
            (!is_beaten, beats(winner), std::cmp::Reverse(winner))
        });
        match by {
            Some((pair, side)) => {
                let others = beaten_by(strategy).count() - 1;
                lines.push(victory(results, pair, *side, others));
            }
            None => unbeaten.push(strategy),
        }
    }
    let told = match unbeaten.len() {
        0 => "each is beaten by another".to_owned(),
        _ if lines.is_empty() => "no strategy beats another".to_owned(),
        _ => format!("unbeaten: {}", names(results, &unbeaten)),
    };
    lines.insert(0, told);
    lines
}

/// Who beats whom, and by what.
fn victory(results: &Results, pair: &Pair, side: Side, others: usize) -> String {
    let name = |strategy: usize| &results.strategies[strategy].name;
    let mut better: Vec<&Difference> =
        pair.counted().filter(|difference| difference.better == Some(side)).collect();
    // Success first, whatever else there is.
    better.sort_by(|one, other| {
        let order = (one.metric != Metric::Success).cmp(&(other.metric != Metric::Success));
        order.then(other.effect().total_cmp(&one.effect()))
    });
    let told = better.iter().take(METRICS_MAX);
    let mut parts: Vec<String> = told
        .map(|difference| format!("{} {}", difference.metric, values(difference, side)))
        .collect();
    if better.len() > METRICS_MAX {
        parts.push(format!("{} more", better.len() - METRICS_MAX));
    }
    let is_better_in = |metric| better.iter().any(|difference| difference.metric == metric);
    if pair.difference(Metric::Success).is_some() && !is_better_in(Metric::Success) {
        parts.push("success no worse".to_owned());
    }
    let also = match others {
        0 => String::new(),
        1 => " (as does one other)".to_owned(),
        _ => format!(" (as do {others} others)"),
    };
    let (winner, loser) = (name(pair.on(side)), name(pair.on(side.other())));
    format!("{winner} beats {loser}{also}: {}", parts.join(", "))
}

/// Where an order turns round.
pub(super) fn flip(results: &Results, comparison: &Comparison, flip: &Flip) -> String {
    let (here, there) = (&results.worlds[flip.here], &results.worlds[flip.there]);
    let is = if flip.better.len() == 1 { "is" } else { "are" };
    let (better, worse) = (names(results, &flip.better), names(results, &flip.worse));
    // Values only where there is one pair that they can belong to.
    let shown = |world: usize| match (flip.better.as_slice(), flip.worse.as_slice()) {
        (&[one], &[other]) => {
            let pair = comparison.pair(world, one, other);
            let side = if one < other { Side::First } else { Side::Second };
            let difference = pair.and_then(|pair| pair.difference(flip.metric));
            let values = difference.map(|difference| format!(" ({})", values(difference, side)));
            values.unwrap_or_default()
        }
        _ => String::new(),
    };
    let (first, then) = (shown(flip.here), shown(flip.there));
    match flip.axis {
        Axis::Load => format!(
            "{}, with the load of {}: {better} {is} better than {worse} at {}x{first}, \
             and worse at {}x{then}",
            flip.metric, here.scenario, here.load, there.load,
        ),
        Axis::Scenario => format!(
            "{}, between scenarios: {better} {is} better than {worse} in {}{first}, \
             and worse in {}{then}",
            flip.metric, here.name, there.name,
        ),
    }
}

/// Both values, that of a side first: `1.31x < 1.62x`.
fn values(difference: &Difference, side: Side) -> String {
    let (mut one, mut other) = (difference.first, difference.second);
    if side == Side::Second {
        (one, other) = (other, one);
    }
    let sign = if one < other { '<' } else { '>' };
    let unit = difference.metric.unit();
    format!("{} {sign} {}", with_unit(unit, one), with_unit(unit, other))
}

/// A list such as `full, equal and 3 more`.
fn names(results: &Results, strategies: &[usize]) -> String {
    let shown = strategies.iter().take(NAMES_MAX);
    let mut names: Vec<String> =
        shown.map(|&strategy| results.strategies[strategy].name.clone()).collect();
    if strategies.len() > NAMES_MAX {
        names.push(format!("{} more", strategies.len() - NAMES_MAX));
    }
    match names.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        _ => names.concat(),
    }
}
