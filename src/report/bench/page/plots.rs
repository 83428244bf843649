//! The pictures: what is traded for what, how long calls take, how a run goes, what the load does.

use std::io;

use super::{
    chart::{Axis, Chart},
    markup::{Pixel, Text},
    scale::Scale,
};
use crate::{
    lab::{
        metric::{Metric, Unit},
        results::{CONFIDENCE, Cell, Moment, Results},
        statistics::{Summary, number},
    },
    report::bench::number::with_unit,
};

/// A picture in a row of pictures.
pub(super) const SMALL: (f64, f64) = (340.0, 260.0);

/// A picture beside another one.
pub(super) const LARGE: (f64, f64) = (560.0, 360.0);

/// What happens in a second.
type Rate = fn(&Moment) -> f64;

/// The rates that are drawn over time, and whether the calls that arrive are drawn beside them: refusals are rare beside calls.
const RATES: [(&str, Rate, bool); 3] = [
    ("Attempts that reach the provider", |moment| moment.attempts, true),
    ("Calls that succeed", |moment| moment.successes, true),
    ("Attempts refused for a rate limit", |moment| moment.limited, false),
];

/// How many points a line over time has at most; each is the mean until the next one, and more would be noise.
const POINTS_MAX: usize = 120;

/// How wide a letter of a name is at most, on average.
const GLYPH: f64 = 7.0;

/// Amplification against success in some worlds: one picture each, all with the same axes.
pub(super) fn trade_offs(
    results: &Results,
    worlds: &[usize],
    size: (f64, f64),
    out: &mut dyn io::Write,
) -> io::Result<()> {
    let points: Vec<Vec<Point>> = worlds.iter().map(|world| points(results, *world)).collect();
    let all = points.iter().flatten();
    let axis =
        |unit: f64, ends: fn(&Point) -> [f64; 2]| Scale::linear(all.clone().flat_map(ends), unit);
    let x = Axis { scale: axis(1.0, Point::across), title: "attempts for each call" };
    let y = Axis { scale: axis(100.0, Point::up), title: "calls that succeed, %" };
    for (world, points) in worlds.iter().zip(&points) {
        if points.is_empty() {
            continue;
        }
        let is_alone = worlds.len() == 1;
        let title =
            if is_alone { "What success costs the provider" } else { &results.worlds[*world].name };
        let chart = Chart { title, size, x: x.clone(), y: y.clone() };
        chart.draw(out, |out| {
            front(&chart, points, is_alone, out)?;
            for point in points {
                point.draw(results, &chart, out)?;
            }
            names(results, &chart, points, out)
        })?;
    }
    Ok(())
}

/// How long calls take until they succeed, as shares of all calls: a strategy that gives up early stays low.
pub(super) fn latencies(
    results: &Results,
    world: usize,
    out: &mut dyn io::Write,
) -> io::Result<()> {
    let curves = each(results, world).filter_map(|cell| {
        let success = cell.summary(Metric::Success).map_or(1.0, |success| success.mean);
        let timed = cell.latencies.iter().filter(|(_, latency)| *latency > 0.0);
        let points: Vec<(f64, f64)> =
            timed.map(|(share, latency)| (*latency, share * success)).collect();
        (!points.is_empty()).then_some((cell.strategy, points))
    });
    let curves: Vec<(usize, Vec<(f64, f64)>)> = curves.collect();
    if curves.is_empty() {
        return Ok(());
    }
    let all = curves.iter().flat_map(|(_, points)| points);
    let chart = Chart {
        title: "How soon calls succeed",
        size: LARGE,
        x: Axis { scale: Scale::log(all.map(|point| point.0)), title: "seconds since the call" },
        y: Axis {
            scale: Scale::linear([0.0, 1.0].into_iter(), 100.0),
            title: "calls that have succeeded, %",
        },
    };
    chart.draw(out, |out| curved(results, &chart, &curves, out))
}

/// How a run goes, rate by rate; rates that are 0 throughout have no picture.
pub(super) fn course(results: &Results, world: usize, out: &mut dyn io::Write) -> io::Result<()> {
    let times = each(results, world).flat_map(|cell| &cell.course).map(|moment| moment.at);
    let times = Scale::linear(times.chain([0.0]), 1.0);
    for (title, rate, beside_calls) in RATES {
        let curves = each(results, world).map(|cell| (cell.strategy, thinned(&cell.course, rate)));
        let curves: Vec<(usize, Vec<(f64, f64)>)> =
            curves.filter(|(_, points)| !points.is_empty()).collect();
        let highest = curves.iter().flat_map(|(_, points)| points).map(|point| point.1);
        if highest.clone().fold(0.0, f64::max) <= 0.0 {
            continue;
        }
        // The calls are the same for all strategies.
        let calls = each(results, world).filter(|_| beside_calls);
        let calls = calls.map(|cell| thinned(&cell.course, |moment| moment.calls));
        let calls = calls.max_by_key(Vec::len).unwrap_or_default();
        let values = highest.chain(calls.iter().map(|point| point.1)).chain([0.0]);
        let chart = Chart {
            title,
            size: SMALL,
            x: Axis { scale: times.clone(), title: "seconds since the first call" },
            y: Axis { scale: Scale::linear(values, 1.0), title: "per second" },
        };
        chart.draw(out, |out| {
            for &(from, until) in &results.worlds[world].outages {
                let [from_text, until_text] = [from, until].map(|at| with_unit(Unit::Seconds, at));
                let title = format!("the provider is in trouble from {from_text} to {until_text}");
                chart.shade((from, until), &title, out)?;
            }
            if beside_calls {
                write!(out, "<g class=\"calls\"><title>calls that arrive</title>")?;
                chart.line("line", &calls, out)?;
                writeln!(out, "</g>")?;
            }
            curved(results, &chart, &curves, out)
        })?;
    }
    Ok(())
}

/// What the load of a scenario does to each strategy: worlds in the order of their loads.
pub(super) fn by_load(
    results: &Results,
    worlds: &[usize],
    metric: Metric,
    out: &mut dyn io::Write,
) -> io::Result<()> {
    let curves = (0..results.strategies.len()).map(|strategy| {
        let at = worlds.iter().filter_map(|&world| {
            let summary = results.cell(strategy, world)?.summary(metric)?;
            Some((results.worlds[world].load, summary))
        });
        (strategy, at.collect())
    });
    let curves: Vec<(usize, Vec<(f64, Summary)>)> = curves.collect();
    let summaries = || curves.iter().flat_map(|(_, points)| points);
    if summaries().next().is_none() {
        return Ok(());
    }
    let per_unit = if metric.unit() == Unit::Share { 100.0 } else { 1.0 };
    let values = summaries().flat_map(|(_, summary)| interval(summary, metric.unit()));
    let title = match metric.unit() {
        Unit::Share => format!("{metric}, %"),
        Unit::Seconds => format!("{metric}, seconds"),
        _ => metric.about().to_owned(),
    };
    let chart = Chart {
        title: metric.name(),
        size: SMALL,
        x: Axis {
            scale: Scale::linear(summaries().map(|(load, _)| *load), 1.0),
            title: "load, as a multiple of the scenario's",
        },
        y: Axis { scale: Scale::linear(values, per_unit), title: &title },
    };
    chart.draw(out, |out| {
        for (strategy, points) in &curves {
            begin_strategy(results, *strategy, out)?;
            let line: Vec<(f64, f64)> = points.iter().map(|(load, of)| (*load, of.mean)).collect();
            chart.line("line", &line, out)?;
            for (load, summary) in points {
                let [low, high] = interval(summary, metric.unit());
                chart.line("margin", &[(*load, low), (*load, high)], out)?;
                let name = Text(&results.strategies[*strategy].name);
                let value = with_unit(metric.unit(), summary.mean);
                write!(out, "<g><title>{name} at {load}x: {value}</title>")?;
                chart.mark(*strategy, (*load, summary.mean), out)?;
                writeln!(out, "</g>")?;
            }
            writeln!(out, "</g>")?;
        }
        Ok(())
    })
}

/// What a strategy pays for its success.
struct Point {
    strategy: usize,
    amplification: Summary,
    success: Summary,
}

impl Point {
    /// The ends of its interval from left to right.
    fn across(&self) -> [f64; 2] {
        interval(&self.amplification, Unit::Factor)
    }

    /// The ends of its interval from bottom to top.
    fn up(&self) -> [f64; 2] {
        interval(&self.success, Unit::Share)
    }

    /// Whether another one succeeds as often with as few attempts, and is better in one of the two.
    fn is_dominated(&self, others: &[Self]) -> bool {
        let (attempts, success) = (self.amplification.mean, self.success.mean);
        others.iter().any(|other| {
            let (other_attempts, other_success) = (other.amplification.mean, other.success.mean);
            other_attempts <= attempts
                && other_success >= success
                && (other_attempts < attempts || other_success > success)
        })
    }

    fn draw(
        &self,
        results: &Results,
        chart: &Chart<'_>,
        out: &mut dyn io::Write,
    ) -> io::Result<()> {
        let (x, y) = (self.amplification.mean, self.success.mean);
        begin_strategy(results, self.strategy, out)?;
        let ([left, right], [low, high]) = (self.across(), self.up());
        chart.line("margin", &[(left, y), (right, y)], out)?;
        chart.line("margin", &[(x, low), (x, high)], out)?;
        let (attempts, success) = (with_unit(Unit::Factor, x), with_unit(Unit::Share, y));
        let name = Text(&results.strategies[self.strategy].name);
        write!(out, "<g><title>{name}: {success} succeed, {attempts} the attempts</title>")?;
        chart.mark(self.strategy, (x, y), out)?;
        writeln!(out, "</g></g>")
    }
}

fn points(results: &Results, world: usize) -> Vec<Point> {
    let points = each(results, world).filter_map(|cell| {
        Some(Point {
            strategy: cell.strategy,
            amplification: cell.summary(Metric::Amplification)?,
            success: cell.summary(Metric::Success)?,
        })
    });
    points.collect()
}

/// The line along the points that no other is better than: whoever is below it to the right pays more for less.
fn front(
    chart: &Chart<'_>,
    points: &[Point],
    is_labelled: bool,
    out: &mut dyn io::Write,
) -> io::Result<()> {
    let best = points.iter().filter(|point| !point.is_dominated(points));
    let mut best: Vec<(f64, f64)> =
        best.map(|point| (point.amplification.mean, point.success.mean)).collect();
    best.sort_by(|one, other| one.0.total_cmp(&other.0));
    let mut steps: Vec<(f64, f64)> = Vec::new();
    for point in best {
        if let Some(last) = steps.last() {
            steps.push((point.0, last.1));
        }
        steps.push(point);
    }
    // From the bottom, and on to the right: the end of an axis is where values beyond it stand.
    if let (Some(first), Some(last)) = (steps.first().copied(), steps.last().copied()) {
        steps.insert(0, (first.0, f64::MIN));
        steps.push((f64::MAX, last.1));
    }
    write!(
        out,
        "<g class=\"front\"><title>Pareto front: nobody has more success with fewer attempts</title>"
    )?;
    chart.line("line", &steps, out)?;
    if let (true, Some(last)) = (is_labelled, steps.last()) {
        // Nobody is above the line.
        let (x, y) = (Pixel(chart.across(last.0)), Pixel(chart.up(last.1) - 5.0));
        write!(out, "<text x=\"{x}\" y=\"{y}\" text-anchor=\"end\">Pareto front</text>")?;
    }
    writeln!(out, "</g>")
}

/// The names beside the points, those on the front first; a name that finds no free place is in the tooltip and the legend alone.
fn names(
    results: &Results,
    chart: &Chart<'_>,
    points: &[Point],
    out: &mut dyn io::Write,
) -> io::Result<()> {
    let place =
        |point: &Point| (chart.across(point.amplification.mean), chart.up(point.success.mean));
    // Boxes that are taken: left, top, right, bottom.
    let mut taken: Vec<[f64; 4]> =
        points.iter().map(&place).map(|(x, y)| [x - 5.0, y - 5.0, x + 5.0, y + 5.0]).collect();
    let mut order: Vec<&Point> = points.iter().collect();
    order.sort_by_key(|point| (point.is_dominated(points), point.strategy));
    for point in order {
        let name = &results.strategies[point.strategy].name;
        let wide = GLYPH * number(name.chars().count());
        let (x, y) = place(point);
        // Where the text is anchored, by which of its ends, and what part of it lies before that.
        let places = [
            (x + 8.0, y + 4.0, "start", 0.0),
            (x - 8.0, y + 4.0, "end", 1.0),
            (x, y - 9.0, "middle", 0.5),
            (x, y + 16.0, "middle", 0.5),
            (x + 6.0, y - 7.0, "start", 0.0),
            (x + 6.0, y + 14.0, "start", 0.0),
        ];
        let free = places.into_iter().find_map(|(at, base, anchor, before)| {
            let left = at - before * wide;
            let own = [left, base - 10.0, left + wide, base + 3.0];
            let overlaps = |other: &[f64; 4]| {
                own[0] < other[2] && other[0] < own[2] && own[1] < other[3] && other[1] < own[3]
            };
            (chart.holds(own) && !taken.iter().any(overlaps)).then_some((at, base, anchor, own))
        });
        if let Some((at, base, anchor, own)) = free {
            taken.push(own);
            let class = if point.is_dominated(points) { "name" } else { "name best" };
            writeln!(
                out,
                "<text class=\"s{} {class}\" x=\"{}\" y=\"{}\" text-anchor=\"{anchor}\">{}</text>",
                point.strategy,
                Pixel(at),
                Pixel(base),
                Text(name)
            )?;
        }
    }
    Ok(())
}

/// A line for each strategy, with its mark at another place on each, so that lines are told apart without colours.
fn curved(
    results: &Results,
    chart: &Chart<'_>,
    curves: &[(usize, Vec<(f64, f64)>)],
    out: &mut dyn io::Write,
) -> io::Result<()> {
    for (strategy, points) in curves {
        begin_strategy(results, *strategy, out)?;
        chart.line("line", points, out)?;
        // Where nothing happens all lines are one.
        let busy = points.iter().filter(|point| point.1 > 0.0).count();
        let place = busy * (strategy + 1) / (results.strategies.len() + 1);
        if let Some(point) = points.get(place) {
            chart.mark(*strategy, *point, out)?;
        }
        writeln!(out, "</g>")?;
    }
    Ok(())
}

/// The beginning of what belongs to a strategy: its colour, and its name for the pointer.
fn begin_strategy(results: &Results, strategy: usize, out: &mut dyn io::Write) -> io::Result<()> {
    let name = Text(&results.strategies[strategy].name);
    write!(out, "<g class=\"s{strategy}\"><title>{name}</title>")
}

/// The strategies in a world.
fn each(results: &Results, world: usize) -> impl Iterator<Item = &Cell> {
    (0..results.strategies.len()).filter_map(move |strategy| results.cell(strategy, world))
}

/// The ends of the interval of a mean; of a share not beyond 0 and 1.
fn interval(summary: &Summary, unit: Unit) -> [f64; 2] {
    let half = summary.half_width(CONFIDENCE).unwrap_or(0.0);
    let ends = [summary.mean - half, summary.mean + half];
    match unit {
        Unit::Share => ends.map(|end| end.clamp(0.0, 1.0)),
        _ => ends.map(|end| end.max(0.0)),
    }
}

/// A rate over time, in no more points than a picture can show.
fn thinned(course: &[Moment], rate: Rate) -> Vec<(f64, f64)> {
    let each = course.len().div_ceil(POINTS_MAX).max(1);
    let together = course.chunks(each).map(|moments| {
        let sum: f64 = moments.iter().map(rate).sum();
        (moments[0].at, sum / number(moments.len()))
    });
    together.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_is_nowhere_worse_and_somewhere_better_dominates() {
        let exact = |mean: f64| Summary::published(mean, 0.0, 1);
        let point = |strategy: usize, attempts: f64, success: f64| Point {
            strategy,
            amplification: exact(attempts),
            success: exact(success),
        };
        let points = [
            point(0, 1.0, 0.5),
            point(1, 1.5, 0.9),
            point(2, 1.5, 0.8),
            point(3, 2.0, 0.9),
            point(4, 3.0, 1.0),
            point(5, 3.0, 1.0),
        ];
        let front = points.iter().filter(|point| !point.is_dominated(&points));
        let front: Vec<usize> = front.map(|point| point.strategy).collect();
        assert_eq!(front, [0, 1, 4, 5]);
    }

    #[test]
    fn a_long_course_keeps_its_mean_in_few_points() {
        let moments = (0_u32..1_000).map(|second| Moment {
            at: second.into(),
            attempts: f64::from(second % 10),
            ..Moment::default()
        });
        let points = thinned(&moments.collect::<Vec<_>>(), |moment| moment.attempts);
        // Nine seconds each, and the last one alone.
        assert_eq!(points.len(), 112);
        assert_eq!((points[0], points[1].0), ((0.0, 4.0), 9.0));
        let sum: f64 = points[..111].iter().map(|point| 9.0 * point.1).sum();
        assert!((sum + points[111].1 - 4_500.0).abs() < 1e-6);
    }
}
