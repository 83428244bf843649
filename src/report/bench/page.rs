//! A page for a browser: tables, pictures, and what follows from them.
//!
//! It is one file that asks for nothing: styles and pictures are in it, and there is no script.
//! It is well-formed XML too.

mod chart;
mod markup;
mod plots;
mod scale;

use std::{collections::BTreeMap, io};

use self::{
    chart::{MARKS, mark},
    markup::Text,
    plots::{LARGE, SMALL},
};
use super::{
    number::{estimate, unit_sign, with_unit},
    words,
};
use crate::lab::{
    comparison::Comparison,
    metric::{Better, Metric},
    results::{CONFIDENCE, Results},
};

/// Writes the page.
pub fn write(
    results: &Results,
    comparison: &Comparison,
    out: &mut dyn io::Write,
) -> io::Result<()> {
    let page = Page { results, comparison };
    writeln!(out, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>")?;
    writeln!(out, "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>")?;
    writeln!(out, "<title>brownout bench, seed {:#x}</title>", results.seed)?;
    writeln!(out, "<style>\n{}", include_str!("page/style.css"))?;
    page.strategy_styles(out)?;
    writeln!(out, "</style>\n</head>\n<body>")?;
    page.head(out)?;
    page.legend(out)?;
    writeln!(out, "<main>")?;
    if results.worlds.len() > 1 {
        page.overview(out)?;
        page.flips(out)?;
        page.loads(out)?;
    }
    for world in 0..results.worlds.len() {
        page.world(world, out)?;
    }
    writeln!(out, "</main>")?;
    page.foot(out)?;
    writeln!(out, "</body>\n</html>")
}

/// What the page is about.
struct Page<'a> {
    results: &'a Results,
    comparison: &'a Comparison,
}

impl Page<'_> {
    /// A colour for each strategy, a pattern of dashes for each round of colours, and how it is hidden.
    fn strategy_styles(&self, out: &mut dyn io::Write) -> io::Result<()> {
        for strategy in 0..self.results.strategies.len() {
            let colour = strategy % MARKS.len();
            let dashes = DASHES[strategy / MARKS.len() % DASHES.len()];
            writeln!(out, ".s{strategy} {{ --c: var(--p{colour}); --d: {dashes}; }}")?;
            writeln!(
                out,
                "body:has(#k{strategy}:not(:checked)) main .s{strategy} {{ display: none; }}"
            )?;
        }
        Ok(())
    }

    fn head(&self, out: &mut dyn io::Write) -> io::Result<()> {
        let results = self.results;
        writeln!(out, "<h1>Strategies in trouble</h1>")?;
        writeln!(out, "<p class=\"faint\">{}</p>", words::head(results).replace("  ", " · "))
    }

    fn legend(&self, out: &mut dyn io::Write) -> io::Result<()> {
        writeln!(out, "<nav class=\"legend\" aria-label=\"strategies\">")?;
        for (strategy, named) in self.results.strategies.iter().enumerate() {
            writeln!(
                out,
                "<label title=\"{}\"><input type=\"checkbox\" id=\"k{strategy}\" \
                 checked=\"checked\"/>{}{}</label>",
                Text(&named.about),
                Key(strategy),
                Text(&named.name)
            )?;
        }
        writeln!(out, "</nav>")
    }

    /// Every world in a line, and in a picture.
    fn overview(&self, out: &mut dyn io::Write) -> io::Result<()> {
        let results = self.results;
        writeln!(out, "<h2>At a glance</h2>")?;
        writeln!(
            out,
            "<p>Calls that succeed, and the attempts that each call takes. \
             Whoever is not beaten in a world is bold, with a star.</p>"
        )?;
        writeln!(out, "<div class=\"scroll\"><table>\n<thead><tr><th>world</th>")?;
        for (strategy, named) in results.strategies.iter().enumerate() {
            writeln!(out, "<th class=\"s{strategy}\">{}</th>", Text(&named.name))?;
        }
        writeln!(out, "</tr></thead>\n<tbody>")?;
        for (place, world) in results.worlds.iter().enumerate() {
            let name = Text(&world.name);
            let about = Text(&world.about);
            writeln!(
                out,
                "<tr><th scope=\"row\"><a href=\"#w{place}\" title=\"{about}\">{name}</a></th>"
            )?;
            let losers: Vec<usize> = self
                .comparison
                .victories(place)
                .map(|(pair, side)| pair.on(side.other()))
                .collect();
            for strategy in 0..results.strategies.len() {
                let show = |metric: Metric| {
                    let summary = results.cell(strategy, place)?.summary(metric)?;
                    Some(with_unit(metric.unit(), summary.mean))
                };
                let show = |metric: Metric| show(metric).unwrap_or_else(|| "–".to_owned());
                let is_best = !losers.is_empty() && !losers.contains(&strategy);
                let best = if is_best { " best" } else { "" };
                let (success, attempts) = (show(Metric::Success), show(Metric::Amplification));
                writeln!(
                    out,
                    "<td class=\"s{strategy}{best}\">{success} <small>{attempts}</small></td>"
                )?;
            }
            writeln!(out, "</tr>")?;
        }
        writeln!(out, "</tbody></table></div>")?;
        writeln!(
            out,
            "<h3>What success costs the provider</h3>\n<p>Up is better, left is better, and the \
             axes are the same in all worlds. The dashed line is the Pareto front: nobody has more \
             success with fewer attempts.</p>\n<div class=\"plots\">"
        )?;
        let worlds: Vec<usize> = (0..results.worlds.len()).collect();
        plots::trade_offs(results, &worlds, SMALL, out)?;
        writeln!(out, "</div>")
    }

    /// Where the order of strategies turns round.
    fn flips(&self, out: &mut dyn io::Write) -> io::Result<()> {
        let flips = &self.comparison.flips;
        if flips.is_empty() {
            return Ok(());
        }
        let told = flips.iter().map(|flip| words::flip(self.results, self.comparison, flip));
        let told: Vec<String> = told.collect();
        let (first, rest) = told.split_at(told.len().min(FLIPS_OPEN));
        let list = |lines: &[String], out: &mut dyn io::Write| {
            writeln!(out, "<ul>")?;
            for line in lines {
                writeln!(out, "<li>{}</li>", Text(line))?;
            }
            writeln!(out, "</ul>")
        };
        writeln!(out, "<h2>Where the order turns round</h2>")?;
        writeln!(out, "<p class=\"faint\">The greatest turn on each metric first.</p>")?;
        list(first, out)?;
        if !rest.is_empty() {
            writeln!(out, "<details><summary>{} lesser ones</summary>", rest.len())?;
            list(rest, out)?;
            writeln!(out, "</details>")?;
        }
        Ok(())
    }

    /// What the load does, for each scenario that is played at several.
    fn loads(&self, out: &mut dyn io::Write) -> io::Result<()> {
        let mut scenarios: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (place, world) in self.results.worlds.iter().enumerate() {
            scenarios.entry(&world.scenario).or_default().push(place);
        }
        scenarios.retain(|_, worlds| worlds.len() > 1);
        if scenarios.is_empty() {
            return Ok(());
        }
        writeln!(out, "<h2>What the load does</h2>")?;
        for (scenario, mut worlds) in scenarios {
            let load = |world: &usize| self.results.worlds[*world].load;
            worlds.sort_by(|one, other| load(one).total_cmp(&load(other)));
            writeln!(out, "<h3>{}</h3>\n<div class=\"plots\">", Text(scenario))?;
            for metric in [Metric::Success, Metric::Amplification, Metric::P99] {
                plots::by_load(self.results, &worlds, metric, out)?;
            }
            writeln!(out, "</div>")?;
        }
        Ok(())
    }

    /// Everything about one world.
    fn world(&self, place: usize, out: &mut dyn io::Write) -> io::Result<()> {
        let (results, world) = (self.results, &self.results.worlds[place]);
        writeln!(out, "<h2 id=\"w{place}\">{}</h2>", Text(&world.name))?;
        writeln!(out, "<p>{}</p>", Text(&world.about))?;
        self.table(place, out)?;
        let told = words::victories(results, self.comparison, place);
        if !told.is_empty() {
            writeln!(out, "<ul>")?;
            for line in told {
                writeln!(out, "<li>{}</li>", Text(&line))?;
            }
            writeln!(out, "</ul>")?;
        }
        writeln!(out, "<div class=\"plots large\">")?;
        plots::trade_offs(results, &[place], LARGE, out)?;
        plots::latencies(results, place, out)?;
        writeln!(out, "</div>")?;
        writeln!(
            out,
            "<p class=\"faint\">Over time, as means of all runs; dotted: calls that arrive{}.</p>",
            if world.outages.is_empty() { "" } else { "; shaded: the provider is in trouble" }
        )?;
        writeln!(out, "<div class=\"plots\">")?;
        plots::course(results, place, out)?;
        writeln!(out, "</div>")
    }

    /// Strategies in rows, metrics in columns; what no run has a value for has no column.
    fn table(&self, world: usize, out: &mut dyn io::Write) -> io::Result<()> {
        let results = self.results;
        let strategies = 0..results.strategies.len();
        let summary = |strategy: usize, metric: Metric| {
            let cell = results.cell(strategy, world)?;
            cell.summary(metric).map(|summary| (summary, summary.count == cell.runs.len()))
        };
        let has_values = |metric: &Metric| {
            strategies.clone().any(|strategy| summary(strategy, *metric).is_some())
        };
        let metrics: Vec<Metric> = Metric::ALL.into_iter().filter(has_values).collect();
        let best: Vec<Vec<usize>> = metrics
            .iter()
            .map(|metric| self.comparison.best(results, world, *metric))
            .map(|best| if best.len() < strategies.len() { best } else { Vec::new() })
            .collect();
        writeln!(out, "<div class=\"scroll\"><table>\n<thead><tr><th>strategy</th>")?;
        for metric in &metrics {
            let (about, unit) = (metric.about(), unit_sign(metric.unit()));
            writeln!(out, "<th title=\"{about}\">{metric}<small>{unit}</small></th>")?;
        }
        writeln!(out, "</tr></thead>\n<tbody>")?;
        for (strategy, named) in results.strategies.iter().enumerate() {
            let (about, name) = (Text(&named.about), Text(&named.name));
            writeln!(
                out,
                "<tr class=\"s{strategy}\"><th scope=\"row\" title=\"{about}\">{} {name}</th>",
                Key(strategy)
            )?;
            for (metric, best) in metrics.iter().zip(&best) {
                let Some((summary, is_whole)) = summary(strategy, *metric) else {
                    writeln!(out, "<td>–</td>")?;
                    continue;
                };
                let half_width = summary.half_width(CONFIDENCE);
                let shown = estimate(metric.unit(), summary.mean, half_width);
                let class = match (best.contains(&strategy), is_whole) {
                    (true, _) => " class=\"best\"",
                    (false, true) => "",
                    (false, false) => " class=\"part\"",
                };
                let margin = shown.margin.map(|margin| format!(" <small>±{margin}</small>"));
                writeln!(out, "<td{class}>{}{}</td>", shown.mean, margin.unwrap_or_default())?;
            }
            writeln!(out, "</tr>")?;
        }
        writeln!(out, "</tbody></table></div>")
    }

    /// What everything means.
    fn foot(&self, out: &mut dyn io::Write) -> io::Result<()> {
        writeln!(out, "<footer>\n<h2>What this means</h2>\n<h3>Strategies</h3>\n<dl>")?;
        for named in &self.results.strategies {
            writeln!(out, "<dt>{}</dt><dd>{}</dd>", Text(&named.name), Text(&named.about))?;
        }
        writeln!(out, "</dl>\n<h3>Metrics</h3>\n<dl>")?;
        for metric in Metric::ALL {
            let better = match metric.better() {
                Better::High => "more is better",
                Better::Low => "less is better",
            };
            writeln!(out, "<dt>{metric}</dt><dd>{}; {better}</dd>", metric.about())?;
        }
        writeln!(
            out,
            "</dl>\n<h3>How sure it is</h3>\n<p>± is half the width of the 95% interval of a mean \
             over the runs, by Student's t. A star marks the best of a column, and whoever cannot \
             be told apart from it; a dagger marks a mean of some runs, where others have no value. \
             The runs of all strategies meet the same arrivals, so two strategies are compared run \
             by run: one is better where the interval of the difference does not hold 0, at a \
             confidence that Holm's method sets for all pairs and metrics of a world together. \
             One beats another if it is better in something that counts and worse in nothing. \
             Latencies are those of successes, and count only where success is alike.</p>\n</footer>"
        )
    }
}

/// A strategy's line and mark, as in the pictures.
struct Key(usize);

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self(strategy) = *self;
        write!(
            f,
            "<svg class=\"key s{strategy}\" viewBox=\"-15 -6 30 12\" aria-hidden=\"true\">\
             <path class=\"line\" d=\"M-14 0H14\"/><path class=\"mark\" d=\"{}\"/></svg>",
            mark(strategy)
        )
    }
}

/// A pattern for each round of colours.
const DASHES: [&str; 4] = ["none", "7 3", "2 3", "9 3 2 3"];

/// How many turns are told without being asked.
const FLIPS_OPEN: usize = 12;
