//! What a run is judged by.

use std::fmt;

use super::statistics::Summary;

/// One figure of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Metric {
    /// Attempts for each call.
    Amplification,
    /// Calls that succeeded in a second of load.
    Goodput,
    /// The share of calls that succeeded.
    Success,
    /// The same, of calls that came during the outage.
    SuccessInOutage,
    /// The share of attempts that were refused for a rate limit.
    Limited,
    /// How long half of the calls that succeeded took.
    P50,
    /// How long nine in ten of them took.
    P90,
    /// How long 99 in a hundred of them took.
    P99,
    /// How long 999 in a thousand of them took.
    P999,
    /// The tokens that were billed for attempts whose answer nobody got, for each call.
    WastedTokens,
    /// What these cost, for each call.
    WastedCost,
    /// How long after the outage calls succeeded as often as before it.
    Recovery,
    /// The busiest second after the outage, against the mean before it.
    Peak,
    /// How evenly clients were served: Jain's index of their shares of success.
    Fairness,
}

/// Which values of a metric are better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Better {
    /// High ones.
    High,
    /// Low ones.
    Low,
}

/// What a metric is counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// US dollars for each call.
    Dollars,
    /// How many times something.
    Factor,
    /// Calls in a second.
    PerSecond,
    /// Seconds.
    Seconds,
    /// A share of a whole, from 0 to 1.
    Share,
    /// Tokens for each call.
    Tokens,
}

impl Metric {
    /// Every metric, in the order of a table's columns.
    pub const ALL: [Self; 14] = [
        Self::Amplification,
        Self::Goodput,
        Self::Success,
        Self::SuccessInOutage,
        Self::Limited,
        Self::P50,
        Self::P90,
        Self::P99,
        Self::P999,
        Self::WastedTokens,
        Self::WastedCost,
        Self::Recovery,
        Self::Peak,
        Self::Fairness,
    ];

    /// Its name in files and in conditions such as `success ≥ 99%`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Amplification => "amplification",
            Self::Goodput => "goodput",
            Self::Success => "success",
            Self::SuccessInOutage => "success-in-outage",
            Self::Limited => "limited",
            Self::P50 => "p50",
            Self::P90 => "p90",
            Self::P99 => "p99",
            Self::P999 => "p99.9",
            Self::WastedTokens => "wasted-tokens",
            Self::WastedCost => "wasted-cost",
            Self::Recovery => "recovery",
            Self::Peak => "peak",
            Self::Fairness => "fairness",
        }
    }

    /// The one with this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|metric| metric.name() == name)
    }

    /// What it is, in a few words.
    pub const fn about(self) -> &'static str {
        match self {
            Self::Amplification => "attempts for each call",
            Self::Goodput => "calls that succeed in a second of load",
            Self::Success => "share of calls that succeed",
            Self::SuccessInOutage => {
                "share of calls that succeed of those that come during the outage"
            }
            Self::Limited => "share of attempts refused for a rate limit",
            Self::P50 => "how long half of the successes take at most",
            Self::P90 => "how long 90% of the successes take at most",
            Self::P99 => "how long 99% of the successes take at most",
            Self::P999 => "how long 99.9% of the successes take at most",
            Self::WastedTokens => "tokens billed for answers that nobody got, for each call",
            Self::WastedCost => "what is billed for answers that nobody got, for each call",
            Self::Recovery => "time after the outage until calls succeed as before it",
            Self::Peak => "busiest second after the outage, against the mean before it",
            Self::Fairness => "how evenly clients are served (Jain's index)",
        }
    }

    /// Which values are better.
    pub const fn better(self) -> Better {
        match self {
            Self::Goodput | Self::Success | Self::SuccessInOutage | Self::Fairness => Better::High,
            _ => Better::Low,
        }
    }

    /// What it is counted in.
    pub const fn unit(self) -> Unit {
        match self {
            Self::Amplification | Self::Peak => Unit::Factor,
            Self::Goodput => Unit::PerSecond,
            Self::Success | Self::SuccessInOutage | Self::Limited | Self::Fairness => Unit::Share,
            Self::P50 | Self::P90 | Self::P99 | Self::P999 | Self::Recovery => Unit::Seconds,
            Self::WastedTokens => Unit::Tokens,
            Self::WastedCost => Unit::Dollars,
        }
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The figures of one run; what a run has no value for, such as the recovery from an outage that there was not, it has none of.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Figures {
    values: [Option<f64>; Metric::ALL.len()],
}

impl Figures {
    /// A figure.
    pub fn get(&self, metric: Metric) -> Option<f64> {
        self.values[position(metric)]
    }

    /// Notes a figure; one that is no finite number is none.
    pub fn set(&mut self, metric: Metric, value: f64) {
        self.values[position(metric)] = value.is_finite().then_some(value);
    }
}

/// What the runs that have a value for a metric come to; none if no run has one.
pub fn summary(runs: &[Figures], metric: Metric) -> Option<Summary> {
    let values: Vec<f64> = runs.iter().filter_map(|run| run.get(metric)).collect();
    (!values.is_empty()).then(|| Summary::of(&values))
}

fn position(metric: Metric) -> usize {
    Metric::ALL.iter().position(|other| *other == metric).expect("every metric is listed")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_is_found_by_its_name_and_kept_apart() {
        let mut figures = Figures::default();
        for (value, metric) in (0_u32..).zip(Metric::ALL) {
            assert_eq!(Metric::named(metric.name()), Some(metric));
            assert_eq!(figures.get(metric), None);
            figures.set(metric, f64::from(value));
        }
        for (value, metric) in (0_u32..).zip(Metric::ALL) {
            assert_eq!(figures.get(metric), Some(f64::from(value)));
        }
        figures.set(Metric::Peak, f64::NAN);
        assert_eq!(figures.get(Metric::Peak), None);
    }
}
