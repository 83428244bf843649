//! What is recommended, as a person reads it.

use std::io;

use super::{clients::exports, policy::code};
use crate::{
    lab::{
        metric::{Better, Metric},
        results::CONFIDENCE,
        statistics::Summary,
        tune::{Advice, Finalist, Standing},
    },
    report::{
        bench::number::{estimate, unit_sign, with_unit},
        printable,
        table::{Align, Table},
    },
};

/// Writes the front, the settings and the reasons; with settings in every form that they have.
///
/// `name` is the strategy's; a table that is wider than `width` columns becomes a list.
pub fn write(
    advice: &Advice,
    name: &str,
    width: Option<usize>,
    out: &mut dyn io::Write,
) -> io::Result<()> {
    let name = printable(name);
    writeln!(
        out,
        "brownout {}  seed {:#x}  {}",
        env!("CARGO_PKG_VERSION"),
        advice.seed,
        asked(advice)
    )?;
    let contradictory = match advice.contradictory {
        0 => String::new(),
        count => format!(", and {count} left out since they contradict themselves"),
    };
    writeln!(
        out,
        "{} candidates in {}, {} runs{contradictory}; the figures are those of {} more seeds \
         in each world, with {:.0}% intervals\n",
        advice.candidates,
        worlds(advice),
        advice.spent,
        advice.runs,
        CONFIDENCE * 100.0,
    )?;
    let rows = rows(advice);
    table(advice, &name, &rows).write(width, out)?;
    writeln!(out)?;
    for &place in &rows {
        let changes = &advice.finalists[place].changes;
        if !changes.is_empty() {
            writeln!(out, "  {}  {}", label(advice, &name, place), printable(&words(changes)))?;
        }
    }
    writeln!(out)?;
    for line in reasons(advice, &name) {
        writeln!(out, "{}", printable(&line))?;
    }
    let title = if advice.recommended.is_some() { "recommended" } else { "the nearest" };
    heading(&format!("{title}, for `brownout bench --strategies`"), out)?;
    write!(out, "{}", advice.file(&format!("{name}-tuned")))?;
    let strategy = &advice.settings().strategy;
    heading("resilience-core", out)?;
    write!(out, "{}", code(strategy))?;
    for export in exports(strategy) {
        heading(export.client, out)?;
        write!(out, "{}", export.code)?;
    }
    Ok(())
}

/// The goal and the constraints in words.
fn asked(advice: &Advice) -> String {
    let verb = match advice.goal.better {
        Better::High => "maximise",
        Better::Low => "minimise",
    };
    let constraints = advice.constraints.iter().map(ToString::to_string);
    let constraints = constraints.collect::<Vec<_>>().join(", ");
    format!("{verb} {} with {constraints}", advice.goal.metric)
}

fn worlds(advice: &Advice) -> String {
    match advice.worlds.as_slice() {
        [world] => printable(world),
        worlds => format!("{} worlds", worlds.len()),
    }
}

/// The front, with what is recommended or nearest and the strategy as it is.
fn rows(advice: &Advice) -> Vec<usize> {
    let mut rows = advice.front.clone();
    for place in [advice.recommended.unwrap_or(advice.nearest), 0] {
        if !rows.contains(&place) {
            rows.push(place);
        }
    }
    rows
}

fn table(advice: &Advice, name: &str, rows: &[usize]) -> Table {
    let of = advice.goal.metric;
    let constraints: Vec<String> = advice.constraints.iter().map(ToString::to_string).collect();
    let head = heading_of(of);
    let columns = [("", Align::Left), ("", Align::Left), (head.as_str(), Align::Right)];
    let constraints = constraints.iter().map(|text| (text.as_str(), Align::Left));
    let mut table = Table::new(columns.into_iter().chain(constraints));
    for &place in rows {
        let finalist = &advice.finalists[place];
        let mark = match advice.recommended {
            Some(best) if best == place => "*",
            _ if advice.front.contains(&place) => "",
            _ => "not on the front:",
        };
        let goal = finalist.goal.map_or_else(|| "–".to_owned(), |goal| figure(of, &goal));
        let claims = advice.constraints.iter().enumerate().map(|(index, constraint)| {
            let worst = finalist.worst(index, constraint);
            let shown = worst.and_then(|(_, claim)| claim.summary);
            let shown =
                shown.map_or_else(|| "–".to_owned(), |shown| figure(constraint.metric, &shown));
            format!("{shown} {}", finalist.standing(index).name())
        });
        let cells = [mark.to_owned(), label(advice, name, place), goal];
        table.row(cells.into_iter().chain(claims));
    }
    table
}

/// Why these settings, and not others.
fn reasons(advice: &Advice, name: &str) -> Vec<String> {
    let mut reasons = Vec::new();
    let metric = advice.goal.metric;
    if let Some(best) = advice.recommended {
        let shown = label(advice, name, best);
        reasons.push(format!(
            "recommended: {shown}, whose {metric} is best of those that prove every constraint"
        ));
        reasons.push(match advice.binding {
            Some(constraint) => format!(
                "`{}` binds: without it another finalist would be better",
                advice.constraints[constraint]
            ),
            None => "no single constraint binds: without any one of them it would still be the best finalist".to_owned(),
        });
        if let Some(next) = advice.runner_up {
            let shown = label(advice, name, next);
            reasons.push(format!("runner-up: {shown}: {}", lacks(advice, best, next)));
        }
    } else {
        reasons.push("nothing that was played is proven to keep to every constraint".to_owned());
        reasons.push(format!(
            "nearest: {}: {}",
            label(advice, name, advice.nearest),
            missed(advice, advice.nearest)
        ));
        if let Some(next) = advice.runner_up {
            reasons.push(format!("next: {}: {}", label(advice, name, next), missed(advice, next)));
        }
        reasons.push(
            "more runs (--runs) narrow intervals, a larger budget (--budget) looks further, and \
             --vary tries other values"
                .to_owned(),
        );
    }
    reasons
}

/// What a runner-up has not that the best one has.
fn lacks(advice: &Advice, best: usize, next: usize) -> String {
    let (best, other) = (&advice.finalists[best], &advice.finalists[next]);
    if !other.holds() {
        return missed(advice, next);
    }
    let metric = advice.goal.metric;
    match (best.goal, other.goal) {
        (Some(best), Some(other)) if best.mean.total_cmp(&other.mean).is_eq() => {
            format!("its {metric} is the same, and it changes no less")
        }
        (Some(best), Some(other)) => format!(
            "its {metric} is {}, and not {}",
            with_unit(metric.unit(), other.mean),
            with_unit(metric.unit(), best.mean)
        ),
        _ => format!("some of its runs have no {metric}"),
    }
}

/// Which constraints somebody does not prove, and where.
fn missed(advice: &Advice, place: usize) -> String {
    let finalist = &advice.finalists[place];
    let missed = (0..advice.constraints.len())
        .filter(|&index| finalist.standing(index) != Standing::Holds)
        .map(|index| missed_one(advice, finalist, index));
    missed.collect::<Vec<_>>().join("; ")
}

fn missed_one(advice: &Advice, finalist: &Finalist, index: usize) -> String {
    let constraint = &advice.constraints[index];
    let standing = match finalist.standing(index) {
        Standing::Broken => "is broken",
        Standing::NotProven => "is not proven",
        Standing::Holds => "holds",
    };
    let worst = finalist.worst(index, constraint);
    let shown = worst.and_then(|(world, claim)| Some((world, claim.summary?)));
    match shown {
        Some((world, summary)) => format!(
            "`{constraint}` {standing}, with {} in {}",
            figure(constraint.metric, &summary),
            advice.worlds[world],
        ),
        None => format!("`{constraint}` {standing}: there was nothing to measure"),
    }
}

/// A mean with its margin and unit.
fn figure(metric: Metric, summary: &Summary) -> String {
    let shown = estimate(metric.unit(), summary.mean, summary.half_width(CONFIDENCE));
    let margin = shown.margin.map(|margin| format!(" ±{margin}")).unwrap_or_default();
    format!("{}{margin} {}", shown.mean, unit_sign(metric.unit()))
}

fn heading_of(metric: Metric) -> String {
    format!("{} {}", metric.name(), unit_sign(metric.unit()))
}

/// A finalist's letter, or what the strategy is called as it is.
fn label(advice: &Advice, name: &str, place: usize) -> String {
    if advice.finalists[place].changes.is_empty() {
        return name.to_owned();
    }
    let letter = u8::try_from(place).ok().and_then(|place| b'A'.checked_add(place.checked_sub(1)?));
    letter.map_or_else(|| place.to_string(), |letter| char::from(letter).to_string())
}

/// Settings on one line.
fn words(changes: &[(String, String)]) -> String {
    let words = changes.iter().map(|(path, value)| format!("{path}={value}"));
    words.collect::<Vec<_>>().join(" ")
}

fn heading(text: &str, out: &mut dyn io::Write) -> io::Result<()> {
    writeln!(out, "\n\u{1b}[1m== {text}\u{1b}[0m\n")
}
