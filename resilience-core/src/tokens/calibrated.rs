//! An estimate that learns from what providers charge.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::TokenCounter;
use crate::backoff::PPM;

/// Another counter, times the ratio between what providers charged and what it had counted.
///
/// For models whose tokenizer is not public: Claude, Gemini, Mistral, Cohere.
/// It starts at one to one; each observation weighs as much as it has tokens, and halves in weight as newer ones come in.
/// The same observations in the same order give the same ratio.
///
/// # Examples
///
/// ```
/// use std::sync::Arc;
///
/// use resilience_core::{Calibrated, Estimate, TokenCounter};
///
/// let counter = Calibrated::new(Arc::new(Estimate));
/// assert_eq!(counter.count(&"x".repeat(4_000)), 1_000);
/// // The estimate said 100,000, the bill says 140,000.
/// counter.observe(100_000, 140_000);
/// assert_eq!(counter.count(&"x".repeat(4_000)), 1_397);
/// ```
#[derive(Debug)]
pub struct Calibrated {
    beneath: Arc<dyn TokenCounter>,
    ratio_ppm: AtomicU64,
    sums: Mutex<Sums>,
}

/// What has been observed, older observations at less than their weight.
#[derive(Clone, Copy, Debug)]
struct Sums {
    estimated: u64,
    actual: u64,
}

impl Calibrated {
    /// The counter as it is, until something is observed.
    pub fn new(beneath: Arc<dyn TokenCounter>) -> Self {
        Self {
            beneath,
            ratio_ppm: AtomicU64::new(PPM),
            sums: Mutex::new(Sums { estimated: PRIOR_TOKENS, actual: PRIOR_TOKENS }),
        }
    }

    /// The counter that is corrected.
    pub fn beneath(&self) -> &dyn TokenCounter {
        &*self.beneath
    }

    /// The ratio at the moment, in millionths; between a half and four.
    pub fn ratio_ppm(&self) -> u64 {
        self.ratio_ppm.load(Ordering::Relaxed)
    }

    /// Takes note of a request for which the counter [`beneath`](Self::beneath) said `estimated` and the provider charged `actual`.
    ///
    /// Never pass what this counter said itself: its correction would be corrected again.
    pub fn observe(&self, estimated: u64, actual: u64) {
        if estimated == 0 || actual == 0 {
            return;
        }
        let mut sums = self.sums.lock().unwrap_or_else(PoisonError::into_inner);
        // One request beyond any window weighs no more than the memory holds.
        sums.estimated += estimated.min(MEMORY_TOKENS);
        sums.actual += scaled_up(estimated.min(MEMORY_TOKENS), actual, estimated)
            .clamp(1, RATIO_MAX * MEMORY_TOKENS);
        while sums.estimated > MEMORY_TOKENS {
            sums.estimated /= 2;
            sums.actual = sums.actual.div_ceil(2);
        }
        let ratio = scaled_up(PPM, sums.actual, sums.estimated);
        self.ratio_ppm.store(ratio.clamp(PPM / RATIO_DIVISOR, RATIO_MAX * PPM), Ordering::Relaxed);
    }
}

impl TokenCounter for Calibrated {
    fn count(&self, text: &str) -> u64 {
        scaled_up(self.beneath.count(text), self.ratio_ppm(), PPM)
    }

    fn exact(&self) -> bool {
        false
    }

    fn count_up_to(&self, text: &str, limit: u64) -> Option<u64> {
        let ratio = self.ratio_ppm();
        // Rounding up, so that nothing within the limit is missed; what is beyond it is caught afterwards.
        let beneath = self.beneath.count_up_to(text, scaled_up(limit, PPM, ratio))?;
        Some(scaled_up(beneath, ratio, PPM)).filter(|tokens| *tokens <= limit)
    }

    fn key(&self) -> Option<u64> {
        let mut hasher = DefaultHasher::new();
        (self.beneath.key()?, self.ratio_ppm()).hash(&mut hasher);
        Some(hasher.finish())
    }

    fn calibrated(&self) -> Option<&Calibrated> {
        Some(self)
    }
}

/// `number · part / whole`, rounded up.
fn scaled_up(number: u64, part: u64, whole: u64) -> u64 {
    let scaled = (u128::from(number) * u128::from(part)).div_ceil(u128::from(whole));
    u64::try_from(scaled).unwrap_or(u64::MAX)
}

/// The weight of the first guess: a short request should not turn it over.
const PRIOR_TOKENS: u64 = 1_000;
/// How much is remembered: some ten long requests.
const MEMORY_TOKENS: u64 = 1_000_000;
/// No text has four times the tokens of its estimate for long; a bill that says so counts something else.
const RATIO_MAX: u64 = 4;
/// And none has less than half.
const RATIO_DIVISOR: u64 = 2;

#[cfg(test)]
mod tests {
    use super::super::Estimate;
    use super::*;

    fn calibrated() -> Calibrated {
        Calibrated::new(Arc::new(Estimate))
    }

    #[test]
    fn the_ratio_goes_to_what_is_observed_and_no_further() {
        for (estimated, actual, ratio) in [
            (10_000, 13_000, 1_300_000),
            (10_000, 9_000, 900_000),
            (10_000, 90_000, 4_000_000),
            (10_000, 1, 500_000),
            (u64::MAX, u64::MAX, 1_000_000),
            (1, u64::MAX, 4_000_000),
        ] {
            let counter = calibrated();
            for _ in 0..2_000 {
                counter.observe(estimated, actual);
            }
            let off = counter.ratio_ppm().abs_diff(ratio);
            assert!(off <= 1_000, "{estimated} {actual}: {}", counter.ratio_ppm());
        }
    }

    #[test]
    fn nothing_is_learnt_from_nothing() {
        let counter = calibrated();
        counter.observe(0, 10);
        counter.observe(10, 0);
        assert_eq!(counter.ratio_ppm(), 1_000_000);
    }

    #[test]
    fn counts_round_up_and_stop_at_the_same_limit() {
        let counter = calibrated();
        counter.observe(1_000_000, 1_234_567);
        for length in 0..200 {
            let text = "x".repeat(length);
            let tokens = counter.count(&text);
            assert!(tokens * 1_000_000 >= Estimate.count(&text) * counter.ratio_ppm());
            for limit in 0..80 {
                let within = (tokens <= limit).then_some(tokens);
                assert_eq!(counter.count_up_to(&text, limit), within);
            }
        }
    }
}
