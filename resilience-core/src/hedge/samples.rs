//! The latest first tokens, and the quantile of those that were seen and those that were not waited for.

use std::collections::VecDeque;
use std::time::Duration;

use crate::backoff::PPM;
use crate::race::Sample;

/// The latest observations, at most [`SAMPLES_MAX`].
#[derive(Clone, Debug, Default)]
pub(super) struct Samples {
    latest: VecDeque<Sample>,
    exact: u64,
    /// The last answer, until there is another sample.
    cached: Option<(u32, Option<Duration>)>,
}

impl Samples {
    pub(super) fn push(&mut self, sample: Sample) {
        if self.latest.len() == SAMPLES_MAX
            && let Some(Sample::Exactly(_)) = self.latest.pop_front()
        {
            self.exact -= 1;
        }
        if let Sample::Exactly(_) = sample {
            self.exact += 1;
        }
        self.latest.push_back(sample);
        self.cached = None;
    }

    /// How many of the samples are first tokens that were seen.
    pub(super) const fn exact(&self) -> u64 {
        self.exact
    }

    /// How long that share of first tokens took at most; `None` without samples.
    ///
    /// Nearest rank, after [Kaplan and Meier](https://en.wikipedia.org/wiki/Kaplan%E2%80%93Meier_estimator): one that was given up at some age is spread over those that took longer.
    /// If so many were given up that the quantile is beyond all that is known, the longest known.
    pub(super) fn quantile(&mut self, ppm: u32) -> Option<Duration> {
        if let Some((of, quantile)) = self.cached
            && of == ppm
        {
            return quantile;
        }
        let mut sorted: Vec<_> = self.latest.iter().copied().collect();
        // At the same length those that were seen come first: the others took at least as long.
        sorted.sort_unstable();
        let quantile = quantile(&sorted, ppm);
        self.cached = Some((ppm, quantile));
        quantile
    }
}

fn quantile(sorted: &[Sample], ppm: u32) -> Option<Duration> {
    let mut left = u128::try_from(sorted.len()).unwrap_or(u128::MAX);
    let wanted = (left * WEIGHT * u128::from(ppm)).div_ceil(u128::from(PPM));
    let (mut weight, mut seen) = (WEIGHT, 0);
    for sample in sorted {
        left -= 1;
        match sample {
            Sample::Exactly(took) => {
                seen += weight;
                if seen >= wanted {
                    return Some(*took);
                }
            }
            // Rounded down, so that the quantile is never too short.
            Sample::AtLeast(_) => weight += weight.checked_div(left).unwrap_or_default(),
        }
    }
    sorted.last().map(|longest| longest.length())
}

/// How many samples are kept: enough for a 99th percentile, and few enough to sort.
pub(super) const SAMPLES_MAX: usize = 512;

/// The weight of one sample; so large that what rounding loses does not matter.
const WEIGHT: u128 = 1 << 64;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn exactly(millis: u64) -> Sample {
        Sample::Exactly(Duration::from_millis(millis))
    }

    const fn at_least(millis: u64) -> Sample {
        Sample::AtLeast(Duration::from_millis(millis))
    }

    fn of(observations: impl IntoIterator<Item = Sample>, ppm: u32) -> Option<u128> {
        let mut samples = Samples::default();
        observations.into_iter().for_each(|sample| samples.push(sample));
        samples.quantile(ppm).map(|quantile| quantile.as_millis())
    }

    #[test]
    fn a_quantile_is_the_nearest_rank() {
        for (ppm, quantile) in
            [(1, 1), (500_000, 50), (950_000, 95), (950_001, 96), (1_000_000, 100)]
        {
            assert_eq!(of((1..=100).rev().map(exactly), ppm), Some(quantile), "{ppm} ppm");
        }
        assert_eq!(of([], 500_000), None);
    }

    /// Kaplan and Meier by hand: 1 and 3 seen, 2 given up; half of what is left after it is 3 and 4.
    #[test]
    fn one_that_was_given_up_counts_for_those_that_took_longer() {
        let samples = [exactly(1), at_least(2), exactly(3), exactly(4)];
        // 1/4 up to 1, 5/8 up to 3, all up to 4.
        for (ppm, quantile) in [(250_000, 1), (250_001, 3), (625_000, 3), (625_001, 4)] {
            assert_eq!(of(samples, ppm), Some(quantile), "{ppm} ppm");
        }
    }

    #[test]
    fn beyond_what_is_known_the_longest_known_holds() {
        assert_eq!(of([exactly(1), at_least(9)], 900_000), Some(9));
        assert_eq!(of([at_least(7)], 10), Some(7));
    }

    #[test]
    fn only_the_latest_are_remembered() {
        let mut samples = Samples::default();
        for millis in 0..2_000 {
            samples.push(exactly(millis));
            samples.push(at_least(millis));
        }
        assert_eq!((samples.latest.len(), samples.exact()), (512, 256));
        assert_eq!(samples.quantile(1), Some(Duration::from_millis(1_744)));
    }

    proptest! {
        #[test]
        fn giving_up_never_makes_a_quantile_shorter(
            millis in prop::collection::vec((0..100u64, any::<bool>()), 1..80),
            ppm in 1..=1_000_000u32,
        ) {
            let seen = of(millis.iter().map(|(millis, _)| exactly(*millis)), ppm);
            let given_up = millis.iter().map(|(millis, seen)| {
                if *seen { exactly(*millis) } else { at_least(*millis) }
            });
            prop_assert!(of(given_up, ppm) >= seen);
        }
    }
}
