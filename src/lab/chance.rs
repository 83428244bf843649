//! The luck of one simulated run.

use std::time::Duration;

use rand_distr::{Distribution as _, Exp1, StandardNormal, StandardUniform};
use rand_xoshiro::{
    Xoshiro256PlusPlus,
    rand_core::{Rng as _, SeedableRng as _},
};

/// A generator that belongs to one run, and to one subject in it.
///
/// A simulation takes its events in one order, so that a generator repeats itself as surely as an address does; runs and subjects have one each, and the number of threads changes nothing.
#[derive(Clone, Debug)]
pub struct Chance {
    generator: Xoshiro256PlusPlus,
}

impl Chance {
    /// The luck of `subject` in the run-th run of `seed`.
    pub fn new(seed: u64, run: u64, subject: u64) -> Self {
        let address = [run, subject].into_iter().fold(seed, |hash, part| {
            // SplitMix64's increment and multiplier keep neighbouring addresses far apart.
            (hash ^ part.wrapping_mul(0xbf58_476d_1ce4_e5b9))
                .wrapping_add(0x9e37_79b9_7f4a_7c15)
                .rotate_left(29)
                .wrapping_mul(0x94d0_49bb_1331_11eb)
        });
        Self { generator: Xoshiro256PlusPlus::seed_from_u64(address) }
    }

    /// A draw for a decision: uniform over all 64-bit numbers.
    pub fn draw(&mut self) -> u64 {
        self.generator.next_u64()
    }

    /// Uniform in `0.0..1.0`.
    pub fn unit(&mut self) -> f64 {
        StandardUniform.sample(&mut self.generator)
    }

    /// Uniform between two numbers.
    pub fn uniform(&mut self, from: f64, to: f64) -> f64 {
        from + (to - from) * self.unit()
    }

    /// A whole number from `0..count`; 0 if there is none.
    pub fn below(&mut self, count: u64) -> u64 {
        mock_server::draw::scale(self.draw(), count.saturating_sub(1))
    }

    /// Whether something happens that has this chance.
    pub fn happens(&mut self, chance: f64) -> bool {
        self.unit() < chance
    }

    /// Exponentially distributed with this mean.
    pub fn exponential(&mut self, mean: f64) -> f64 {
        let unit: f64 = Exp1.sample(&mut self.generator);
        mean * unit
    }

    /// Normally distributed with mean 0 and standard deviation 1.
    pub fn normal(&mut self) -> f64 {
        StandardNormal.sample(&mut self.generator)
    }

    /// Exponentially distributed with this mean.
    pub fn exponential_span(&mut self, mean: Duration) -> Duration {
        span(self.exponential(mean.as_secs_f64()))
    }

    /// Uniform between two spans.
    pub fn uniform_span(&mut self, from: Duration, to: Duration) -> Duration {
        span(self.uniform(from.as_secs_f64(), to.as_secs_f64()))
    }

    /// Log-normally distributed with this median, and this standard deviation of the logarithm.
    pub fn log_normal(&mut self, median: f64, sigma: f64) -> f64 {
        median * (sigma * self.normal()).exp()
    }
}

/// A number of seconds as a span: never negative, and never longer than there are nanoseconds in 64 bits.
pub fn span(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds.clamp(0.0, SECONDS_MAX)).unwrap_or_default()
}

/// Some five hundred years, which 64 bits of nanoseconds can hold.
const SECONDS_MAX: f64 = 1.6e10;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::statistics::Summary;

    #[test]
    fn runs_and_subjects_have_their_own_luck_and_repeat_it() {
        let first = |seed, run, subject| Chance::new(seed, run, subject).draw();
        let luck = [(1, 1, 1), (2, 1, 1), (1, 2, 1), (1, 1, 2), (1, 2, 2)];
        for (index, &(seed, run, subject)) in luck.iter().enumerate() {
            assert_eq!(first(seed, run, subject), first(seed, run, subject));
            for &(other, other_run, other_subject) in &luck[..index] {
                assert_ne!(first(seed, run, subject), first(other, other_run, other_subject));
            }
        }
    }

    #[test]
    fn distributions_have_the_mean_that_they_are_asked_for() {
        let mut chance = Chance::new(7, 0, 0);
        let mut check = |name: &str, mean: f64, mut sample: Box<dyn FnMut(&mut Chance) -> f64>| {
            let samples: Vec<f64> = (0..20_000).map(|_| sample(&mut chance)).collect();
            let seen = Summary::of(&samples);
            assert!((seen.mean - mean).abs() < 4.5 * seen.error, "{name}: {seen:?}, not {mean}");
        };
        check("unit", 0.5, Box::new(Chance::unit));
        check("uniform", 5.0, Box::new(|chance| chance.uniform(2.0, 8.0)));
        check("exponential", 3.0, Box::new(|chance| chance.exponential(3.0)));
        check("normal", 0.0, Box::new(Chance::normal));
        let mean = 2.0 * (0.5_f64 * 0.5 / 2.0).exp();
        check("log-normal", mean, Box::new(|chance| chance.log_normal(2.0, 0.5)));
        check("happens", 0.3, Box::new(|chance| f64::from(u8::from(chance.happens(0.3)))));
    }

    #[test]
    fn a_span_is_never_negative_and_never_too_long() {
        assert_eq!(span(1.5), Duration::from_millis(1_500));
        for odd in [-1.0, f64::NAN, f64::NEG_INFINITY] {
            assert_eq!(span(odd), Duration::ZERO);
        }
        assert!(span(f64::INFINITY) > Duration::from_hours(1_000_000));
    }
}
