//! What several runs say together, and how sure that is.

use statrs::distribution::{ContinuousCDF as _, StudentsT};

/// The mean of independent values, with its uncertainty.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Summary {
    /// How many values.
    pub count: usize,
    /// Their mean; NaN if there are none.
    pub mean: f64,
    /// Their standard deviation, as an estimate for what they are drawn from; 0 below two values.
    pub deviation: f64,
    /// The standard error of the mean; 0 below two values.
    pub error: f64,
}

impl Summary {
    /// What some values come to.
    pub fn of(values: &[f64]) -> Self {
        let count = values.len();
        let n = number(count);
        let mean = values.iter().sum::<f64>() / n;
        if count < 2 {
            return Self { count, mean, deviation: 0.0, error: 0.0 };
        }
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        let deviation = (squares / (n - 1.0)).sqrt();
        Self { count, mean, deviation, error: deviation / n.sqrt() }
    }

    /// Half the width of the interval that holds the true mean with this confidence, such as 0.95; none below two values.
    ///
    /// By Student's t distribution, which is exact for values that are normally distributed.
    pub fn half_width(&self, confidence: f64) -> Option<f64> {
        let freedom = number(self.count.checked_sub(1).filter(|&freedom| freedom > 0)?);
        let student = StudentsT::new(0.0, 1.0, freedom).ok()?;
        Some(self.error * student.inverse_cdf(f64::midpoint(1.0, confidence)))
    }

    /// Half the width of the interval that holds the difference between the two true means with this confidence; none where either has fewer than two values.
    ///
    /// The two may be drawn from different distributions ([Welch 1947](https://doi.org/10.1093/biomet/34.1-2.28)).
    pub fn difference_half_width(&self, other: &Self, confidence: f64) -> Option<f64> {
        let freedom =
            |of: &Self| Some(number(of.count.checked_sub(1).filter(|&freedom| freedom > 0)?));
        let (ours, theirs) = (freedom(self)?, freedom(other)?);
        let error = self.error.hypot(other.error);
        if error == 0.0 {
            return Some(0.0);
        }
        let part = |of: &Self, freedom: f64| (of.error / error).powi(4) / freedom;
        let freedom = 1.0 / (part(self, ours) + part(other, theirs));
        let student = StudentsT::new(0.0, 1.0, freedom).ok()?;
        Some(error * student.inverse_cdf(f64::midpoint(1.0, confidence)))
    }

    /// By how many standard errors this mean is above another one; where neither has any, 0 if the two agree to a millionth and infinite if not.
    pub fn z(&self, other: &Self) -> f64 {
        let error = self.error.hypot(other.error);
        let difference = self.mean - other.mean;
        if error > 0.0 {
            return difference / error;
        }
        let scale = self.mean.abs().max(other.mean.abs()).max(1.0);
        if difference.abs() <= 1e-6 * scale { 0.0 } else { f64::INFINITY.copysign(difference) }
    }

    /// How large this mean is as a share of another one that is independent of it, with the error to first order.
    #[must_use]
    pub fn share_of(&self, whole: &Self) -> Self {
        let count = self.count.min(whole.count);
        let mean = self.mean / whole.mean;
        let error = mean.abs() * (self.error / self.mean).hypot(whole.error / whole.mean);
        Self { count, mean, deviation: error * number(count).sqrt(), error }
    }

    /// A mean that is known without values, such as a published one: from so many runs with this deviation.
    pub fn published(mean: f64, deviation: f64, count: usize) -> Self {
        Self { count, mean, deviation, error: deviation / number(count).sqrt() }
    }
}

/// The nearest-rank quantile of values in ascending order, for a share such as 0.99; none if there are no values.
pub fn quantile(ascending: &[f64], share: f64) -> Option<f64> {
    // A product that ought to be whole may come out a little above it.
    let rank = share * number(ascending.len()) - 1e-9;
    let (mut index, mut last) = (0, ascending.len().checked_sub(1)?);
    while index < last {
        let middle = usize::midpoint(index, last);
        if number(middle + 1) >= rank {
            last = middle;
        } else {
            index = middle + 1;
        }
    }
    ascending.get(index).copied()
}

/// A count as a number to reckon with; exact below 2⁵³.
pub fn number(count: impl TryInto<u64>) -> f64 {
    let count = count.try_into().unwrap_or(u64::MAX);
    let (high, low) = (count >> 32, count & 0xffff_ffff);
    let part = |half: u64| f64::from(u32::try_from(half).expect("half of 64 bits"));
    part(high) * 4_294_967_296.0 + part(low)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_has_mean_deviation_and_error() {
        let summary = Summary::of(&[2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0]);
        assert_eq!((summary.count, summary.mean), (8, 5.0));
        assert!((summary.deviation - (32.0_f64 / 7.0).sqrt()).abs() < 1e-12);
        assert!((summary.error - (32.0_f64 / 56.0).sqrt()).abs() < 1e-12);
        assert!(Summary::of(&[]).mean.is_nan());
        assert_eq!(Summary::of(&[3.0]).half_width(0.95), None);
    }

    /// From tables of Student's t: 2.262 for nine degrees of freedom, 12.706 for one.
    #[test]
    fn an_interval_is_as_wide_as_students_table_says() {
        for (count, factor) in [(10, 2.262_157), (2, 12.706_205), (40, 2.022_691)] {
            let summary = Summary { count, mean: 0.0, deviation: 0.0, error: 1.0 };
            let half = summary.half_width(0.95).unwrap();
            assert!((half - factor).abs() < 1e-5, "{count}: {half}");
        }
    }

    /// With as many values and as much deviation on both sides there are twice as many degrees of freedom; with none on one side, only those of the other (2.101 for 18 of them, 2.262 for 9).
    #[test]
    fn an_interval_of_a_difference_is_as_wide_as_welch_says() {
        let summary = |count, error| Summary { count, mean: 0.0, deviation: 0.0, error };
        for (one, other, half) in [
            (summary(10, 1.0), summary(10, 1.0), 2.100_922 * 2.0_f64.sqrt()),
            (summary(10, 2.0), summary(40, 0.0), 2.262_157 * 2.0),
            (summary(3, 0.0), summary(40, 0.0), 0.0),
        ] {
            let ours = one.difference_half_width(&other, 0.95).unwrap();
            assert!((ours - half).abs() < 1e-5, "{ours} is not {half}");
            assert_eq!(other.difference_half_width(&one, 0.95), Some(ours));
        }
        assert_eq!(summary(1, 0.0).difference_half_width(&summary(9, 1.0), 0.95), None);
    }

    #[test]
    fn means_without_errors_must_agree() {
        let exact = |mean| Summary::published(mean, 0.0, 1);
        assert!(exact(1.0).z(&exact(1.0 + 1e-9)).abs() < f64::EPSILON);
        assert!(exact(1.1).z(&exact(1.0)).is_infinite());
        let z = Summary::published(12.0, 3.0, 9).z(&Summary::published(10.0, 0.0, 9));
        assert!((z - 2.0).abs() < 1e-12);
    }

    #[test]
    fn a_share_has_the_errors_of_both_means() {
        let summary = |mean, error| Summary { count: 100, mean, deviation: error * 10.0, error };
        let share = summary(30.0, 0.9).share_of(&summary(100.0, 4.0));
        assert_eq!((share.count, share.mean), (100, 0.3));
        // 3 % and 4 % at right angles.
        assert!((share.error - 0.3 * 0.05).abs() < 1e-12, "{share:?}");
        assert!((share.deviation - 0.15).abs() < 1e-12, "{share:?}");
    }

    #[test]
    fn a_quantile_is_the_nearest_rank() {
        let values: Vec<f64> = (1..=100).map(f64::from).collect();
        for (share, expected) in
            [(0.0, 1.0), (0.5, 50.0), (0.501, 51.0), (0.99, 99.0), (1.0, 100.0)]
        {
            assert_eq!(quantile(&values, share), Some(expected), "{share}");
        }
        assert_eq!(quantile(&[], 0.5), None);
    }

    #[test]
    fn counts_are_exact() {
        for count in [0_u64, 1, 4_294_967_296, 9_007_199_254_740_991] {
            assert_eq!(format!("{:.0}", number(count)), count.to_string());
        }
    }
}
