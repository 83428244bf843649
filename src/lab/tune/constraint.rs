//! What settings must keep to, and whether runs prove that they do.

use std::{fmt, str::FromStr};

use crate::lab::{
    metric::{Figures, Metric, Unit, summary},
    results::CONFIDENCE,
};

/// A bound of a metric, such as `success >= 99%`, in every world.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Constraint {
    /// What is bounded.
    pub metric: Metric,
    /// On which side values must be.
    pub side: Bound,
    /// The bound, in the metric's unit; shares from 0 to 1.
    pub bound: f64,
}

/// The side of a bound on which values must be; the bound itself is on either.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// `>=`
    AtLeast,
    /// `<=`
    AtMost,
}

/// What runs say of a constraint, from the worst to the best.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// The whole interval is on the wrong side.
    Broken,
    /// The interval holds the bound, or there was nothing to measure.
    NotProven,
    /// The whole interval is on the right side.
    Holds,
}

impl Constraint {
    /// What some runs of one world say of it, by the interval of their mean.
    ///
    /// A run without a value, such as one that never recovered, leaves it unproven: what is left would be a selection.
    pub fn standing(&self, runs: &[Figures]) -> Standing {
        let Some(summary) = summary(runs, self.metric) else { return Standing::NotProven };
        let Some(half) = summary.half_width(CONFIDENCE) else { return Standing::NotProven };
        let (low, high) = (summary.mean - half, summary.mean + half);
        let (worst, best) = match self.side {
            Bound::AtLeast => (low, high),
            Bound::AtMost => (high, low),
        };
        match (self.excess(worst) <= 0.0, self.excess(best) <= 0.0) {
            (_, false) => Standing::Broken,
            (true, true) if summary.count == runs.len() => Standing::Holds,
            _ => Standing::NotProven,
        }
    }

    /// By how much the mean of some runs of one world is on the wrong side, as a part of the bound; 0 on the right one.
    ///
    /// With `proven` it is the unfavourable end of the interval that counts.
    pub(super) fn shortfall(&self, runs: &[Figures], proven: bool) -> f64 {
        let Some(summary) = summary(runs, self.metric) else { return NOTHING_MEASURED };
        let half = if proven { summary.half_width(CONFIDENCE).unwrap_or(0.0) } else { 0.0 };
        let missing = if summary.count < runs.len() { NOTHING_MEASURED } else { 0.0 };
        let worst = match self.side {
            Bound::AtLeast => summary.mean - half,
            Bound::AtMost => summary.mean + half,
        };
        missing + self.excess(worst).max(0.0) / self.bound.abs().max(LEAST_SCALE)
    }

    /// By how much a value is on the wrong side; negative on the right one.
    pub(super) fn excess(&self, value: f64) -> f64 {
        match self.side {
            Bound::AtLeast => self.bound - value,
            Bound::AtMost => value - self.bound,
        }
    }
}

impl FromStr for Constraint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let sides = [
            (">=", Bound::AtLeast),
            ("≥", Bound::AtLeast),
            ("<=", Bound::AtMost),
            ("≤", Bound::AtMost),
        ];
        let found = sides.into_iter().find_map(|(sign, side)| {
            let (name, bound) = text.split_once(sign)?;
            Some((name.trim(), side, bound.trim()))
        });
        let Some((name, side, bound)) = found else {
            return Err("a constraint is a metric, `>=` or `<=`, and a bound, such as \
                        `success >= 99%`"
                .to_owned());
        };
        let metric = metric(name)?;
        let bound = value(metric.unit(), bound).ok_or_else(|| {
            let example = match metric.unit() {
                Unit::Dollars => "$0.5/1k",
                Unit::Factor => "1.2x",
                Unit::PerSecond => "9.5/s",
                Unit::Seconds => "20s",
                Unit::Share => "99%",
                Unit::Tokens => "50",
            };
            format!("`{bound}` is no bound for `{metric}`; write one such as `{example}`")
        })?;
        Ok(Self { metric, side, bound })
    }
}

impl fmt::Display for Constraint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { metric, side, bound } = self;
        let sign = match side {
            Bound::AtLeast => ">=",
            Bound::AtMost => "<=",
        };
        write!(f, "{metric} {sign} ")?;
        match metric.unit() {
            // Of a thousand calls, as the tables have it.
            Unit::Dollars => write!(f, "${}/1k", (bound * 1e9).round() / 1e6),
            Unit::Factor => write!(f, "{bound}x"),
            Unit::PerSecond => write!(f, "{bound}/s"),
            Unit::Seconds => write!(f, "{bound}s"),
            // Without the noise of a product such as 0.29 × 100.
            Unit::Share => write!(f, "{}%", (bound * 1e8).round() / 1e6),
            Unit::Tokens => write!(f, "{bound}"),
        }
    }
}

impl Standing {
    /// Its name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Broken => "broken",
            Self::NotProven => "not proven",
            Self::Holds => "holds",
        }
    }
}

/// A metric by its name, or which there are.
pub fn metric(name: &str) -> Result<Metric, String> {
    Metric::named(name).ok_or_else(|| {
        let known = Metric::ALL.map(|metric| format!("`{metric}`"));
        format!("there is no metric `{name}`; there is {}", known.join(", "))
    })
}

/// A value with the sign of its unit; spans and tokens may stand without.
fn value(unit: Unit, text: &str) -> Option<f64> {
    let number = |text: &str| {
        let number: f64 = text.trim().parse().ok()?;
        (number.is_finite() && number >= 0.0).then_some(number)
    };
    match unit {
        Unit::Dollars => {
            let text = text.strip_prefix('$')?;
            match text.strip_suffix("/1k") {
                Some(thousand) => number(thousand).map(|dollars| dollars / 1_000.0),
                None => number(text),
            }
        }
        Unit::Factor => number(text.strip_suffix('x').unwrap_or(text)),
        Unit::PerSecond => number(text.strip_suffix("/s").unwrap_or(text)),
        Unit::Seconds => match text.strip_suffix("ms") {
            Some(millis) => number(millis).map(|millis| millis / 1_000.0),
            None => number(text.strip_suffix('s').unwrap_or(text)),
        },
        Unit::Share => match text.strip_suffix('%') {
            Some(percent) => number(percent).map(|percent| percent / 100.0),
            None => number(text),
        }
        .filter(|share| *share <= 1.0),
        Unit::Tokens => number(text),
    }
}

/// What a world counts in which some run has no value: more than any bound that is missed by little.
const NOTHING_MEASURED: f64 = 10.0;

/// The least bound that a shortfall is divided by: a bound of 0 has no parts.
const LEAST_SCALE: f64 = 1e-3;

#[cfg(test)]
mod tests {
    use super::*;

    fn runs(metric: Metric, values: &[Option<f64>]) -> Vec<Figures> {
        let run = |value: &Option<f64>| {
            let mut figures = Figures::default();
            figures.set(metric, value.unwrap_or(f64::NAN));
            figures
        };
        values.iter().map(run).collect()
    }

    #[test]
    fn a_constraint_is_read_as_it_is_written() {
        for (text, metric, side, bound, shown) in [
            ("success >= 99%", Metric::Success, Bound::AtLeast, 0.99, "success >= 99%"),
            ("success≥0.29", Metric::Success, Bound::AtLeast, 0.29, "success >= 29%"),
            (
                "amplification <= 1.2x",
                Metric::Amplification,
                Bound::AtMost,
                1.2,
                "amplification <= 1.2x",
            ),
            ("p99.9 <= 1500ms", Metric::P999, Bound::AtMost, 1.5, "p99.9 <= 1.5s"),
            (
                "wasted-cost<=$0.002",
                Metric::WastedCost,
                Bound::AtMost,
                0.002,
                "wasted-cost <= $2/1k",
            ),
            (
                "wasted-cost <= $0.5/1k",
                Metric::WastedCost,
                Bound::AtMost,
                0.000_5,
                "wasted-cost <= $0.5/1k",
            ),
            ("goodput >= 9.5/s", Metric::Goodput, Bound::AtLeast, 9.5, "goodput >= 9.5/s"),
            (
                "wasted-tokens <= 50",
                Metric::WastedTokens,
                Bound::AtMost,
                50.0,
                "wasted-tokens <= 50",
            ),
        ] {
            let constraint: Constraint = text.parse().unwrap();
            assert_eq!(constraint, Constraint { metric, side, bound }, "{text}");
            assert_eq!(constraint.to_string(), shown);
        }
    }

    #[test]
    fn what_is_no_constraint_is_told_with_the_way_out() {
        for (text, message) in [
            (
                "success",
                "a constraint is a metric, `>=` or `<=`, and a bound, such as `success >= 99%`",
            ),
            ("success >= 101%", "`101%` is no bound for `success`; write one such as `99%`"),
            ("p99 <= soon", "`soon` is no bound for `p99`; write one such as `20s`"),
            (
                "amplification <= -1",
                "`-1` is no bound for `amplification`; write one such as `1.2x`",
            ),
        ] {
            assert_eq!(text.parse::<Constraint>().unwrap_err(), message);
        }
        let unknown = "sucess >= 99%".parse::<Constraint>().unwrap_err();
        assert!(
            unknown.starts_with("there is no metric `sucess`; there is `amplification`, "),
            "{unknown}"
        );
    }

    #[test]
    fn only_a_whole_interval_proves() {
        let constraint: Constraint = "success >= 90%".parse().unwrap();
        for (values, standing) in [
            (&[Some(0.95), Some(0.96), Some(0.95)][..], Standing::Holds),
            (&[Some(0.99), Some(0.90), Some(0.89)], Standing::NotProven),
            (&[Some(0.80), Some(0.81), Some(0.80)], Standing::Broken),
            (&[Some(0.95), Some(0.96), None], Standing::NotProven),
            (&[Some(0.95)], Standing::NotProven),
            (&[], Standing::NotProven),
        ] {
            assert_eq!(constraint.standing(&runs(Metric::Success, values)), standing, "{values:?}");
        }
    }
}
