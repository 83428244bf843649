//! Where a value stands on an axis, and which values are written beside it.

use crate::report::bench::number::{decimals, significant};

/// The values that an axis shows, from a round one to a round one.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Scale {
    is_log: bool,
    low: f64,
    high: f64,
    /// The values that are written, with their texts.
    pub ticks: Vec<(f64, String)>,
}

impl Scale {
    /// Equal steps of 1, 2 or 5 times a power of ten, five or so; each value is written `per_unit` times as great, such as 100 for a percentage.
    pub(super) fn linear(values: impl Iterator<Item = f64>, per_unit: f64) -> Self {
        let (mut low, mut high) = extremes(values).unwrap_or((0.0, 1.0));
        if high - low <= 1e-9 * high.abs().max(low.abs()) {
            let around = if high == 0.0 { 1.0 } else { 0.05 * high.abs() };
            (low, high) = (low - around, high + around);
        }
        let step = round_step((high - low) / 5.0);
        let (first, last) = ((low / step).floor(), (high / step + -1e-9).ceil());
        let mut ticks = Vec::new();
        let mut count = first;
        while count <= last {
            let value = count * step;
            ticks.push((value, decimals(value * per_unit, step * per_unit)));
            count += 1.0;
        }
        Self { is_log: false, low: first * step, high: last * step, ticks }
    }

    /// Equal steps for equal factors; only what is above 0 has a place.
    pub(super) fn log(values: impl Iterator<Item = f64>) -> Self {
        let (low, high) = extremes(values.filter(|value| *value > 0.0)).unwrap_or((1.0, 10.0));
        let mut round = Vec::new();
        let mut decade = 10_f64.powf(low.log10().floor());
        while round.last().is_none_or(|last| *last <= high) {
            round.extend([decade, 2.0 * decade, 5.0 * decade]);
            decade *= 10.0;
        }
        let first = round.iter().rposition(|value| *value <= low * (1.0 + 1e-9)).unwrap_or(0);
        let last = round.iter().position(|value| *value >= high * (1.0 - 1e-9));
        let mut shown = round[first..=last.unwrap_or(first).max(first + 1)].to_vec();
        let (low, high) = (shown[0], shown[shown.len() - 1]);
        if shown.len() > LOG_TICKS_MAX {
            // Powers of ten alone.
            shown.retain(|value| significant(*value, 1).replace(['0', '.'], "").starts_with('1'));
        }
        let ticks = shown.into_iter().map(|value| (value, significant(value, 1))).collect();
        Self { is_log: true, low, high, ticks }
    }

    /// Where a value stands: 0 at the low end, 1 at the high one; beyond them, at the end.
    pub(super) fn place(&self, value: f64) -> f64 {
        let place = if self.is_log {
            (value.max(self.low) / self.low).ln() / (self.high / self.low).ln()
        } else {
            (value - self.low) / (self.high - self.low)
        };
        place.clamp(0.0, 1.0)
    }
}

/// More written values than these on a logarithmic axis stand too close.
const LOG_TICKS_MAX: usize = 8;

fn extremes(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    values.filter(|value| value.is_finite()).fold(None, |found, value| {
        let (low, high) = found.unwrap_or((value, value));
        Some((low.min(value), high.max(value)))
    })
}

/// The next 1, 2 or 5 times a power of ten.
fn round_step(least: f64) -> f64 {
    let decade = 10_f64.powf(least.log10().floor());
    let factor = [1.0, 2.0, 5.0].into_iter().find(|factor| factor * decade >= least * (1.0 - 1e-9));
    factor.unwrap_or(10.0) * decade
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(scale: &Scale) -> Vec<&str> {
        scale.ticks.iter().map(|(_, text)| text.as_str()).collect()
    }

    #[test]
    fn linear_axes_go_in_steps_of_1_2_or_5_from_round_to_round() {
        for (low, high, per_unit, expected) in [
            (0.0, 10.0, 1.0, vec!["0", "2", "4", "6", "8", "10"]),
            (0.92, 0.9993, 100.0, vec!["92", "94", "96", "98", "100"]),
            (1.02, 1.63, 1.0, vec!["1.0", "1.2", "1.4", "1.6", "1.8"]),
            (3.0, 3.0, 1.0, vec!["2.8", "2.9", "3.0", "3.1", "3.2"]),
            (0.0, 0.0, 1.0, vec!["-1.0", "-0.5", "0.0", "0.5", "1.0"]),
        ] {
            let scale = Scale::linear([low, high].into_iter(), per_unit);
            assert_eq!(texts(&scale), expected, "{low}..{high}");
            assert!(scale.place(low) >= 0.0 && scale.place(high) <= 1.0);
        }
    }

    #[test]
    fn logarithmic_axes_go_by_factors() {
        for (low, high, expected) in [
            (0.3, 12.0, vec!["0.2", "0.5", "1", "2", "5", "10", "20"]),
            (0.001, 900.0, vec!["0.001", "0.01", "0.1", "1", "10", "100", "1000"]),
            (1.0, 1.0, vec!["1", "2"]),
        ] {
            assert_eq!(texts(&Scale::log([low, high].into_iter())), expected, "{low}..{high}");
        }
        let scale = Scale::log([0.1, 10.0].into_iter());
        assert!((scale.place(1.0) - 0.5).abs() < 1e-9);
    }

    /// Whatever is measured, an axis has an end and every value a place on it.
    #[test]
    fn every_axis_is_finite() {
        for values in [
            vec![],
            vec![f64::NAN],
            vec![f64::INFINITY, 1.0],
            vec![-5.0, 5.0],
            vec![1e300, -1e300],
            vec![1e-300, 2e-300],
            vec![1.0, 1.0 + 1e-15],
        ] {
            for scale in
                [Scale::linear(values.iter().copied(), 100.0), Scale::log(values.iter().copied())]
            {
                assert!((2..40).contains(&scale.ticks.len()), "{values:?}: {scale:?}");
                for value in values.iter().chain(&[0.0]).filter(|value| value.is_finite()) {
                    assert!((0.0..=1.0).contains(&scale.place(*value)), "{values:?}: {scale:?}");
                }
            }
        }
    }
}
