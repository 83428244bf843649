//! Which strategies are better than which, and where that turns round.
//!
//! Runs of the same number meet the same arrivals, so two strategies are compared run by run: what an unlucky run does to both cancels out, and what is left has an interval by Student's t.
//! In each world every two strategies are compared on every metric, and of so many differences some would seem real by luck.
//! Holm's method ([1979](https://www.jstor.org/stable/4615733)) over all pairs and metrics of a world keeps the chance that even one of the world's differences is none below 1 − [`CONFIDENCE`].

use std::collections::{BTreeMap, BTreeSet};

use statrs::distribution::{ContinuousCDF as _, StudentsT};

use super::{
    metric::{Better, Figures, Metric, Unit},
    results::{CONFIDENCE, Results},
    statistics::{Summary, number},
};

/// Everything that can be said of one strategy against another.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Comparison {
    /// Every two strategies in every world: worlds one after the other, pairs inside them.
    pub pairs: Vec<Pair>,
    /// Where an order of strategies turns round: the greatest turn on each metric and axis, the greatest of these first, then each one's next.
    pub flips: Vec<Flip>,
}

/// Two strategies in one world.
#[derive(Clone, Debug, PartialEq)]
pub struct Pair {
    /// The world, by its place in the list.
    pub world: usize,
    /// The strategy that was named first, by its place in the list.
    pub first: usize,
    /// The other one.
    pub second: usize,
    /// How they differ, on each metric that every run has for both of them or for neither.
    ///
    /// If only one of the two has a value in some run, the rest would be a selection, and nothing is said.
    /// One run alone says nothing either.
    pub differences: Vec<Difference>,
}

/// How two strategies differ on a metric.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Difference {
    /// The metric.
    pub metric: Metric,
    /// The mean of the first one.
    pub first: f64,
    /// The mean of the second one.
    pub second: f64,
    /// The first less the second, run by run.
    pub paired: Summary,
    /// Half the width of the interval of the paired difference, at the confidence that Holm's method asks for.
    pub half_width: f64,
    /// Which of the two is better; none if the interval holds 0, or they differ by no more than a millionth.
    pub better: Option<Side>,
}

/// One of two strategies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The one that was named first.
    First,
    /// The other one.
    Second,
}

/// Strategies that are better than others in one world, and worse than the same others in another.
#[derive(Clone, Debug, PartialEq)]
pub struct Flip {
    /// On what.
    pub metric: Metric,
    /// What the two worlds differ in.
    pub axis: Axis,
    /// The first world: at the lower load, or the one that was named first.
    pub here: usize,
    /// The second world.
    pub there: usize,
    /// Who is better in the first world, each of them than all of `worse`.
    pub better: Vec<usize>,
    /// Who is better in the second world.
    pub worse: Vec<usize>,
    /// How great the smaller of the two advantages is, see [`Difference::effect`]; of several pairs the greatest.
    pub strength: f64,
}

/// What two worlds differ in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Axis {
    /// The same scenario at different loads: the order turns round between the two.
    Load,
    /// Different scenarios, in each of which the order is the same at every load.
    Scenario,
}

/// What counts when one strategy is said to beat another.
///
/// Each is a good of somebody's that cannot be had back by another one: the application's answers, on the whole and when it matters; its time; the money; what the provider bears, on average and when it comes back; the neighbours.
/// Left out is what these say already: goodput is success in other units, wasted tokens are the cost before prices, other quantiles go with the 99th, and a slow recovery is success that is missing.
pub const AXES: [Metric; 8] = [
    Metric::Success,
    Metric::SuccessInOutage,
    Metric::P99,
    Metric::Amplification,
    Metric::Limited,
    Metric::WastedCost,
    Metric::Peak,
    Metric::Fairness,
];

/// How far two shares of success may be apart for their latencies to be compared.
///
/// Only successes have a latency, so whoever gives up early has short ones.
/// The 99th percentile looks at one success in a hundred: where more calls than that are successes of one strategy only, it tells of different calls.
const ALIKE: f64 = 0.01;

/// The least strength of a flip that is told: a hundredth, below which nobody would choose differently.
const WORTH_TELLING: f64 = 0.01;

/// What part of the greatest strength a place must show of a turn to stand for it; half is our choice, and lets many pairs be told of the same worlds.
const SHOWS_WELL: f64 = 0.5;

/// What share of a value two equal ones may differ by: what adding up in another order may cost.
const EQUAL: f64 = 1e-6;

/// Compares every two strategies in every world.
pub fn compare(results: &Results) -> Comparison {
    let mut pairs = Vec::new();
    for world in 0..results.worlds.len() {
        let mut here = Vec::new();
        for first in 0..results.strategies.len() {
            for second in first + 1..results.strategies.len() {
                let cells = results.cell(first, world).zip(results.cell(second, world));
                let differences = cells.map_or_else(Vec::new, |(one, other)| {
                    let each = Metric::ALL.into_iter();
                    each.filter_map(|metric| Difference::of(metric, &one.runs, &other.runs))
                        .collect()
                });
                here.push(Pair { world, first, second, differences });
            }
        }
        judge(&mut here);
        pairs.append(&mut here);
    }
    let flips = flips(results, &pairs);
    Comparison { pairs, flips }
}

impl Comparison {
    /// Two strategies in a world, in the order in which they were named.
    pub fn pair(&self, world: usize, one: usize, other: usize) -> Option<&Pair> {
        let (first, second) = (one.min(other), one.max(other));
        self.pairs
            .iter()
            .find(|pair| (pair.world, pair.first, pair.second) == (world, first, second))
    }

    /// The strategies that are best in a world on a metric: the one with the best mean, and whoever cannot be told apart from it.
    ///
    /// Nobody is best by some runs alone: who recovers in one run of ten has recovered late.
    pub fn best(&self, results: &Results, world: usize, metric: Metric) -> Vec<usize> {
        let mean = |strategy: usize| {
            let cell = results.cell(strategy, world)?;
            let summary = cell.summary(metric).filter(|of| of.count == cell.runs.len())?;
            Some(if metric.better() == Better::High { -summary.mean } else { summary.mean })
        };
        let strategies = 0..results.strategies.len();
        let means = strategies.clone().filter_map(|strategy| Some((mean(strategy)?, strategy)));
        let Some((_, best)) = means.min_by(|(one, _), (other, _)| one.total_cmp(other)) else {
            return Vec::new();
        };
        let as_good = |strategy: usize| {
            let difference = self.pair(world, strategy, best)?.difference(metric)?;
            Some(difference.better.is_none())
        };
        strategies
            .filter(|&strategy| strategy == best || as_good(strategy).unwrap_or(false))
            .collect()
    }

    /// The pairs of a world in which one strategy beats the other.
    pub fn victories(&self, world: usize) -> impl Iterator<Item = (&Pair, Side)> {
        let here = self.pairs.iter().filter(move |pair| pair.world == world);
        here.filter_map(|pair| pair.winner().map(|side| (pair, side)))
    }
}

impl Pair {
    /// How the two differ on a metric, if they can be compared on it.
    pub fn difference(&self, metric: Metric) -> Option<&Difference> {
        self.differences.iter().find(|difference| difference.metric == metric)
    }

    /// The differences that count: those on [`AXES`], latencies only where success is alike.
    pub fn counted(&self) -> impl Iterator<Item = &Difference> {
        let success = self.difference(Metric::Success);
        let alike = success.is_some_and(|success| success.paired.mean.abs() <= ALIKE);
        let counts = move |metric: &Metric| *metric != Metric::P99 || alike;
        AXES.into_iter().filter(counts).filter_map(|metric| self.difference(metric))
    }

    /// Who beats the other: is better in something that counts, and worse in nothing.
    pub fn winner(&self) -> Option<Side> {
        let mut sides = self.counted().filter_map(|difference| difference.better);
        let side = sides.next()?;
        sides.all(|other| other == side).then_some(side)
    }

    /// The strategy on a side.
    pub fn on(&self, side: Side) -> usize {
        match side {
            Side::First => self.first,
            Side::Second => self.second,
        }
    }
}

impl Side {
    /// The opposite one.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::First => Self::Second,
            Self::Second => Self::First,
        }
    }
}

impl Difference {
    /// What paired runs show, not yet judged.
    fn of(metric: Metric, one: &[Figures], other: &[Figures]) -> Option<Self> {
        let mut values = (Vec::new(), Vec::new());
        for (one, other) in one.iter().zip(other) {
            match (one.get(metric), other.get(metric)) {
                (Some(one), Some(other)) => {
                    values.0.push(one);
                    values.1.push(other);
                }
                (None, None) => {}
                _ => return None,
            }
        }
        if values.0.len() < 2 {
            return None;
        }
        let paired: Vec<f64> = values.0.iter().zip(&values.1).map(|(a, b)| a - b).collect();
        Some(Self {
            metric,
            first: Summary::of(&values.0).mean,
            second: Summary::of(&values.1).mean,
            paired: Summary::of(&paired),
            half_width: 0.0,
            better: None,
        })
    }

    /// How great it is, from 0 to 1: of shares the difference itself, of anything else its part of the greater value.
    pub fn effect(&self) -> f64 {
        match self.metric.unit() {
            Unit::Share => self.paired.mean.abs().min(1.0),
            _ if self.scale() > 0.0 => (self.paired.mean.abs() / self.scale()).min(1.0),
            _ => 0.0,
        }
    }

    /// The greater of the two means.
    fn scale(&self) -> f64 {
        self.first.abs().max(self.second.abs())
    }

    /// How likely luck makes a difference as great as this one where there is none.
    fn by_luck(&self) -> f64 {
        let Summary { count, mean, error, .. } = self.paired;
        if mean.abs() <= EQUAL * self.scale() {
            return 1.0;
        }
        if error <= EQUAL * EQUAL * self.scale() {
            return 0.0;
        }
        let student = StudentsT::new(0.0, 1.0, number(count - 1)).expect("two runs at least");
        2.0 * student.sf(mean.abs() / error)
    }

    /// The side that its sign speaks for.
    fn side(&self) -> Side {
        match (self.paired.mean > 0.0, self.metric.better()) {
            (true, Better::High) | (false, Better::Low) => Side::First,
            (true, Better::Low) | (false, Better::High) => Side::Second,
        }
    }
}

/// Decides which of a world's differences are real, by Holm's method.
fn judge(pairs: &mut [Pair]) {
    let all = pairs.iter_mut().flat_map(|pair| &mut pair.differences);
    let mut all: Vec<(f64, &mut Difference)> =
        all.map(|difference| (difference.by_luck(), difference)).collect();
    all.sort_by(|(one, _), (other, _)| one.total_cmp(other));
    let mut left = all.len();
    for (by_luck, difference) in all {
        let alpha = (1.0 - CONFIDENCE) / number(left);
        difference.half_width = difference.paired.half_width(1.0 - alpha).unwrap_or(0.0);
        if by_luck <= alpha {
            difference.better = Some(difference.side());
            left -= 1;
        }
        // From the first that may be luck on, all are asked for the same confidence and fail it:
        // they are even more likely to be luck.
    }
}

/// Who is better on some metric in a world.
#[derive(Clone, Copy, Debug)]
struct Order {
    world: usize,
    side: Side,
    effect: f64,
}

/// Where the order of one pair turns round.
#[derive(Clone, Copy, Debug)]
struct Turn {
    here: usize,
    there: usize,
    /// The pair, first who is better `here`.
    pair: (usize, usize),
    strength: f64,
}

/// Where the orders of strategies turn round.
fn flips(results: &Results, pairs: &[Pair]) -> Vec<Flip> {
    let mut orders: BTreeMap<(Metric, usize, usize), Vec<Order>> = BTreeMap::new();
    for pair in pairs {
        for difference in pair.counted() {
            if let Some(side) = difference.better {
                let order = Order { world: pair.world, side, effect: difference.effect() };
                orders.entry((difference.metric, pair.first, pair.second)).or_default().push(order);
            }
        }
    }
    let mut turns: BTreeMap<(Metric, Axis), Vec<Vec<Turn>>> = BTreeMap::new();
    for ((metric, first, second), orders) in orders {
        for (axis, places) in turns_of(results, &orders) {
            let places = places.into_iter().map(|(here, there)| Turn {
                here: here.world,
                there: there.world,
                pair: if here.side == Side::First { (first, second) } else { (second, first) },
                strength: here.effect.min(there.effect),
            });
            let places: Vec<Turn> = places.filter(|turn| turn.strength >= WORTH_TELLING).collect();
            if !places.is_empty() {
                turns.entry((metric, axis)).or_default().push(places);
            }
        }
    }
    let mut flips = Vec::new();
    for ((metric, axis), turns) in turns {
        let mut told = together(metric, axis, turns);
        told.sort_by(|one, other| other.strength.total_cmp(&one.strength));
        flips.extend(told.into_iter().enumerate());
    }
    flips.sort_by(|(one_rank, one), (other_rank, other)| {
        one_rank.cmp(other_rank).then(other.strength.total_cmp(&one.strength))
    });
    flips.into_iter().map(|(_, flip)| flip).collect()
}

/// Where the order of one pair on one metric turns round: every turn with the load inside a scenario, and the one between scenarios that are settled.
///
/// Each turn comes with the places that show it well, which are several between scenarios.
fn turns_of(results: &Results, orders: &[Order]) -> Vec<(Axis, Vec<(Order, Order)>)> {
    let mut by_scenario: BTreeMap<&str, Vec<Order>> = BTreeMap::new();
    for &order in orders {
        by_scenario.entry(&results.worlds[order.world].scenario).or_default().push(order);
    }
    let mut turns = Vec::new();
    let mut settled: Vec<Order> = Vec::new();
    for orders in by_scenario.values_mut() {
        let load = |order: &Order| results.worlds[order.world].load;
        orders.sort_by(|one, other| load(one).total_cmp(&load(other)));
        if orders.iter().all(|order| order.side == orders[0].side) {
            settled.extend(orders.iter());
        }
        let turned = orders.windows(2).filter(|two| two[0].side != two[1].side);
        turns.extend(turned.map(|two| (Axis::Load, vec![(two[0], two[1])])));
    }
    settled.sort_by_key(|order| order.world);
    let mut places = Vec::new();
    for (number, one) in settled.iter().enumerate() {
        let later = settled[number + 1..].iter().filter(|other| other.side != one.side);
        places.extend(later.map(|other| (*one, *other)));
    }
    let strength = |(here, there): &(Order, Order)| here.effect.min(there.effect);
    let greatest = places.iter().map(strength).fold(0.0, f64::max);
    places.retain(|place| strength(place) >= SHOWS_WELL * greatest);
    turns.push((Axis::Scenario, places));
    turns
}

/// Turns on one metric and axis, told by few flips: again and again by the place that shows most of what is left.
fn together(metric: Metric, axis: Axis, mut turns: Vec<Vec<Turn>>) -> Vec<Flip> {
    let mut flips = Vec::new();
    while !turns.is_empty() {
        let mut shown: BTreeMap<(usize, usize), f64> = BTreeMap::new();
        for turn in turns.iter().flatten() {
            *shown.entry((turn.here, turn.there)).or_default() += turn.strength;
        }
        // Of equal ones the first.
        let most = shown.into_iter().rev().max_by(|(_, one), (_, other)| one.total_cmp(other));
        let Some(((here, there), _)) = most else { break };
        let is_here = |turn: &&Turn| (turn.here, turn.there) == (here, there);
        let told: Vec<Turn> =
            turns.iter().filter_map(|places| places.iter().find(is_here).copied()).collect();
        turns.retain(|places| !places.iter().any(|turn| is_here(&turn)));
        for (better, worse) in bundles(told.iter().map(|turn| turn.pair)) {
            let own = told
                .iter()
                .filter(|turn| better.contains(&turn.pair.0) && worse.contains(&turn.pair.1));
            let strength = own.map(|turn| turn.strength).fold(0.0, f64::max);
            flips.push(Flip { metric, axis, here, there, better, worse, strength });
        }
    }
    flips
}

/// Pairs told together: lists such that each strategy of the left one goes with each of the right one, as few as come of grouping by either.
fn bundles(pairs: impl Iterator<Item = (usize, usize)> + Clone) -> Vec<(Vec<usize>, Vec<usize>)> {
    let group = |edges: Vec<(usize, usize)>| {
        let mut stars: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
        for (centre, leaf) in edges {
            stars.entry(centre).or_default().insert(leaf);
        }
        let mut alike: BTreeMap<Vec<usize>, Vec<usize>> = BTreeMap::new();
        for (centre, leaves) in stars {
            alike.entry(leaves.into_iter().collect()).or_default().push(centre);
        }
        alike
    };
    let by_better = group(pairs.clone().collect());
    let by_worse = group(pairs.map(|(better, worse)| (worse, better)).collect());
    if by_better.len() <= by_worse.len() {
        by_better.into_iter().map(|(worse, better)| (better, worse)).collect()
    } else {
        by_worse.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use rand_xoshiro::{
        Xoshiro256PlusPlus,
        rand_core::{Rng as _, SeedableRng as _},
    };

    use super::*;
    use crate::lab::results::{Cell, Named, World};

    /// What a strategy shows in a world: metric by metric, run by run.
    type Row = Vec<(Metric, Vec<f64>)>;

    /// Worlds of a scenario at a load, each with a row for each strategy.
    fn results(worlds: &[(&str, f64, Vec<Row>)]) -> Results {
        let mut cells = Vec::new();
        for (world, (.., rows)) in worlds.iter().enumerate() {
            for (strategy, row) in rows.iter().enumerate() {
                let longest = row.iter().map(|(_, values)| values.len()).max().unwrap();
                let mut runs = vec![Figures::default(); longest];
                for (metric, values) in row {
                    for (run, value) in runs.iter_mut().zip(values) {
                        run.set(*metric, *value);
                    }
                }
                let (course, latencies) = (Vec::new(), Vec::new());
                cells.push(Cell {
                    strategy,
                    world,
                    runs,
                    course,
                    latencies,
                    calls: 0,
                    attempts: 0,
                });
            }
        }
        let strategies = 0..worlds[0].2.len();
        let strategies =
            strategies.map(|place| Named { name: format!("s{place}"), about: String::new() });
        let worlds = worlds.iter().map(|(scenario, load, _)| World {
            name: format!("{scenario} ×{load}"),
            scenario: (*scenario).to_owned(),
            about: String::new(),
            load: *load,
            span: 60.0,
            outages: Vec::new(),
        });
        let worlds = worlds.collect();
        Results { seed: 1, runs: 4, strategies: strategies.collect(), worlds, cells }
    }

    /// One world, in which each strategy has these values of one metric.
    fn compared(metric: Metric, rows: &[&[f64]]) -> Comparison {
        let rows = rows.iter().map(|values| vec![(metric, values.to_vec())]);
        compare(&results(&[("w", 1.0, rows.collect())]))
    }

    /// The same in every run.
    fn steady(figures: &[(Metric, f64)]) -> Row {
        figures.iter().map(|&(metric, value)| (metric, vec![value; 3])).collect()
    }

    /// Runs vary by far more than the strategies differ; in each of them the same one is better.
    #[test]
    fn what_a_run_does_to_both_cancels_out() {
        let one = [0.50, 0.70, 0.90, 0.60];
        let same_runs = compared(Metric::Success, &[&one, &[0.489, 0.691, 0.890, 0.590]]);
        assert_eq!(same_runs.pairs[0].winner(), Some(Side::First));
        let other_runs = compared(Metric::Success, &[&one, &[0.691, 0.489, 0.590, 0.890]]);
        assert_eq!(other_runs.pairs[0].winner(), None);
    }

    #[test]
    fn the_interval_holds_0_exactly_where_nobody_is_better() {
        let rows: [&[f64]; 4] =
            [&[0.9, 0.8, 0.7], &[0.8, 0.71, 0.6], &[0.9, 0.8, 0.7], &[0.2, 0.101, 0.0]];
        let comparison = compared(Metric::Success, &rows);
        let mut found = BTreeSet::new();
        for difference in comparison.pairs.iter().flat_map(|pair| &pair.differences) {
            let excluded = difference.paired.mean.abs() > difference.half_width;
            assert_eq!(excluded, difference.better.is_some(), "{difference:?}");
            found.insert(excluded);
        }
        assert_eq!(found.len(), 2, "both are seen");
    }

    /// Without a spread there is no interval: whatever is more than rounding is a difference.
    #[test]
    fn equal_differences_in_every_run_are_beyond_doubt() {
        for (other, expected) in [
            (0.5, None),
            (0.5 + 1e-9, None),
            (0.500_01, Some(Side::Second)),
            (0.4, Some(Side::First)),
        ] {
            let comparison = compared(Metric::Success, &[&[0.5; 3], &[other; 3]]);
            assert_eq!(comparison.pairs[0].winner(), expected, "{other}");
        }
    }

    /// A difference of 2.6 standard errors in 16 runs has p = 0.02: enough for one comparison, not for one of 28.
    #[test]
    fn the_more_is_compared_the_more_is_asked() {
        let plain = [0.5; 16];
        let lifted: Vec<f64> =
            (0..16).map(|run| if run % 2 == 0 { 0.516_8 } else { 0.496_8 }).collect();
        let few = compared(Metric::Success, &[&lifted, &plain]);
        assert_eq!(few.pairs[0].winner(), Some(Side::First));
        let mut rows = vec![&plain[..]; 8];
        rows[0] = &lifted;
        let many = compared(Metric::Success, &rows);
        assert_eq!(many.pairs[0].winner(), None);
    }

    /// Normal values without any difference: a difference in at most one world in twenty is promised.
    #[test]
    fn luck_is_seldom_called_a_difference() {
        let mut generator = Xoshiro256PlusPlus::seed_from_u64(7);
        let mut wrong = 0;
        for _ in 0..400 {
            // Sums of uniform values are normal enough.
            let mut draw = || (0..8).map(|_| f64::from(generator.next_u32())).sum::<f64>();
            let mut row = |_| -> Vec<f64> { (0..10).map(|_| draw()).collect() };
            let rows: Vec<Vec<f64>> = (0..4).map(&mut row).collect();
            let rows: Vec<&[f64]> = rows.iter().map(Vec::as_slice).collect();
            let comparison = compared(Metric::Amplification, &rows);
            wrong += u32::from(comparison.victories(0).count() > 0);
        }
        // 20 are expected at most; 38 are four standard errors more.
        assert!((1..=38).contains(&wrong), "{wrong} of 400");
    }

    #[test]
    fn what_one_lacks_in_some_run_is_not_compared() {
        let rows = vec![
            vec![(Metric::Success, vec![0.9; 2]), (Metric::Recovery, vec![1.0; 2])],
            vec![(Metric::Success, vec![0.5; 2]), (Metric::Recovery, vec![9.0])],
        ];
        let comparison = compare(&results(&[("w", 1.0, rows)]));
        assert_eq!(comparison.pairs[0].difference(Metric::Recovery), None);
        assert!(comparison.pairs[0].difference(Metric::Success).is_some());
        let once = compared(Metric::Success, &[&[0.9], &[0.5]]);
        assert_eq!(once.pairs[0].differences, [], "one run has no spread");
    }

    #[test]
    fn who_is_better_in_something_and_worse_in_nothing_beats_the_other() {
        use Metric::{Amplification, Goodput, P99, Success};
        for (what, one, other, expected) in [
            (
                "more success",
                [(Success, 0.9)].as_slice(),
                [(Success, 0.8)].as_slice(),
                Some(Side::First),
            ),
            ("all the same", &[(Success, 0.9)], &[(Success, 0.9)], None),
            (
                "a trade-off",
                &[(Success, 0.9), (Amplification, 2.0)],
                &[(Success, 0.8), (Amplification, 1.0)],
                None,
            ),
            (
                "less load for the same success",
                &[(Success, 0.9), (Amplification, 2.0)],
                &[(Success, 0.9), (Amplification, 1.0)],
                Some(Side::Second),
            ),
            (
                "giving up early is no speed",
                &[(Success, 0.9), (P99, 9.0)],
                &[(Success, 0.8), (P99, 1.0)],
                Some(Side::First),
            ),
            (
                "speed counts where success is alike",
                &[(Success, 0.905), (P99, 9.0)],
                &[(Success, 0.9), (P99, 1.0)],
                None,
            ),
            (
                "goodput is no axis of its own",
                &[(Success, 0.9), (Goodput, 9.0)],
                &[(Success, 0.9), (Goodput, 8.0)],
                None,
            ),
        ] {
            let rows = vec![steady(one), steady(other)];
            let comparison = compare(&results(&[("w", 1.0, rows)]));
            assert_eq!(comparison.pairs[0].winner(), expected, "{what}");
            assert_eq!(comparison.victories(0).count(), usize::from(expected.is_some()), "{what}");
        }
    }

    #[test]
    fn the_best_are_those_that_cannot_be_told_apart_and_have_every_run() {
        let rows = [
            (Metric::Recovery, vec![3.0, 3.1, 3.2]),
            (Metric::Recovery, vec![3.01, 3.09, 3.2]),
            (Metric::Recovery, vec![9.0, 9.0, 9.0]),
            (Metric::Recovery, vec![1.0]),
        ];
        let mut rows = rows.map(|row| vec![row]);
        rows[3].push((Metric::Success, vec![0.5; 3]));
        let results = results(&[("w", 1.0, rows.to_vec())]);
        assert_eq!(compare(&results).best(&results, 0, Metric::Recovery), [0, 1]);
        assert_eq!(compare(&results).best(&results, 0, Metric::Success), [3]);
        assert_eq!(compare(&results).best(&results, 0, Metric::Peak), [0; 0]);
    }

    /// Success of each strategy, world by world.
    fn turning(worlds: &[(&str, f64, &[f64])]) -> Vec<Flip> {
        let worlds = worlds.iter().map(|(scenario, load, successes)| {
            let rows = successes.iter().map(|&success| steady(&[(Metric::Success, success)]));
            (*scenario, *load, rows.collect())
        });
        compare(&results(&worlds.collect::<Vec<_>>())).flips
    }

    #[test]
    fn an_order_that_turns_with_the_load_turns_between_two_loads() {
        // Worlds need not be named in the order of their loads.
        let flips = turning(&[
            ("q", 4.0, &[0.2, 0.5]),
            ("q", 0.5, &[0.9, 0.8]),
            ("q", 1.0, &[0.9, 0.85]),
            ("q", 2.0, &[0.6, 0.6]),
        ]);
        let [flip] = flips.as_slice() else { panic!("{flips:?}") };
        assert_eq!((flip.metric, flip.axis), (Metric::Success, Axis::Load));
        assert_eq!((flip.here, flip.there), (2, 0), "between ×1 and ×4, at ×2 they are even");
        assert_eq!((flip.better.as_slice(), flip.worse.as_slice()), (&[0][..], &[1][..]));
        assert!((flip.strength - 0.05).abs() < 1e-9, "{}", flip.strength);
    }

    #[test]
    fn an_order_that_turns_between_scenarios_is_told_of_the_clearest_ones() {
        let flips = turning(&[
            ("calm", 1.0, &[0.9, 0.8]),
            ("calm", 2.0, &[0.9, 0.7]),
            ("storm", 1.0, &[0.1, 0.5]),
            ("even", 1.0, &[0.3, 0.3]),
        ]);
        let [flip] = flips.as_slice() else { panic!("{flips:?}") };
        assert_eq!((flip.axis, flip.here, flip.there), (Axis::Scenario, 1, 2));
        assert_eq!((flip.better.as_slice(), flip.worse.as_slice()), (&[0][..], &[1][..]));
    }

    #[test]
    fn strategies_that_turn_alike_are_told_together_and_the_greatest_turn_first() {
        let flips = turning(&[
            ("a", 1.0, &[0.9, 0.9, 0.5, 0.5, 0.7]),
            ("b", 1.0, &[0.3, 0.3, 0.8, 0.8, 0.33]),
        ]);
        let told: Vec<(Vec<usize>, Vec<usize>)> =
            flips.iter().map(|flip| (flip.better.clone(), flip.worse.clone())).collect();
        assert_eq!(told, [(vec![0, 1], vec![2, 3, 4]), (vec![4], vec![2, 3])]);
        assert!(flips[0].strength > flips[1].strength, "{flips:?}");
    }

    #[test]
    fn what_nobody_would_choose_by_is_not_told() {
        assert_eq!(turning(&[("a", 1.0, &[0.9, 0.895]), ("b", 1.0, &[0.1, 0.5])]), []);
    }
}
