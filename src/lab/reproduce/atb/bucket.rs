//! The bucket that a client adapts to what it is answered.

use std::time::Duration;

use resilience_core::Nanos;

use crate::lab::{reproduce::Settings, span};

/// ATB: every attempt takes a token, and answers move the rate at which they come.
#[derive(Clone, Debug)]
pub(super) struct Bucket {
    rules: Rules,
    /// Tokens per second.
    rate: f64,
    tokens: f64,
    at: Nanos,
}

/// Its constants.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    size: f64,
    rise: f64,
    step: f64,
    fall: f64,
    floor: f64,
}

impl Bucket {
    /// One that has heard nothing.
    pub(super) fn new(rules: Rules, settings: &Settings, now: Nanos) -> Self {
        let rate = settings.one("rate") / 60.0;
        Self { rules, rate, tokens: settings.one("tokens").min(rules.size), at: now }
    }

    /// Takes a token, or says when there is one.
    pub(super) fn take(&mut self, now: Nanos) -> Result<(), Duration> {
        self.advance(now);
        let short = 1.0 - self.tokens;
        if short > ROUNDING {
            // A nanosecond more than rounding may have lost.
            return Err(span(short / self.rate) + Duration::from_nanos(1));
        }
        self.tokens -= 1.0;
        Ok(())
    }

    /// Hears whether an attempt was admitted.
    pub(super) fn learn(&mut self, admitted: bool, now: Nanos) {
        self.advance(now);
        let Rules { rise, step, fall, floor, .. } = self.rules;
        if admitted {
            self.rate = (self.rate * rise).max(self.rate + step);
        } else {
            self.rate = (self.rate / fall).max(floor);
            self.tokens = 0.0;
        }
    }

    fn advance(&mut self, now: Nanos) {
        let earned = now.since(self.at).as_secs_f64() * self.rate;
        self.tokens = (self.tokens + earned).min(self.rules.size);
        self.at = now;
    }
}

impl Rules {
    /// Those of the parameters.
    pub(super) fn of(settings: &Settings) -> Self {
        let [size, rise, step, fall, floor] =
            ["size", "rise", "step", "fall", "floor"].map(|name| settings.one(name));
        Self { size, rise, step, fall, floor }
    }
}

/// So little is missing of a token only by rounding.
const ROUNDING: f64 = 1e-9;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::reproduce::Anchor;

    fn at(seconds: f64) -> Nanos {
        Nanos::from(span(seconds))
    }

    /// By hand: a token at first, the next after 1.5 s at 40 a minute, and after a refusal after 3 s at half of that.
    #[test]
    fn a_success_raises_the_rate_and_a_refusal_halves_it() {
        let settings = Anchor::named("atb").unwrap().settings(&[]).unwrap();
        let mut bucket = Bucket::new(Rules::of(&settings), &settings, at(0.0));
        let close = |wait: Result<(), Duration>, seconds: f64| {
            let wait = wait.unwrap_err().as_secs_f64();
            assert!((wait - seconds).abs() < 1e-6, "{wait} s, not {seconds} s");
        };
        assert_eq!(bucket.take(at(0.0)), Ok(()));
        close(bucket.take(at(0.0)), 1.5);
        bucket.learn(false, at(1.0));
        close(bucket.take(at(1.0)), 3.0);
        bucket.learn(true, at(1.0));
        close(bucket.take(at(1.0)), 2.5);
        for _ in 0..20 {
            bucket.learn(false, at(1.0));
        }
        close(bucket.take(at(1.0)), 100.0);
        // From the floor a fifth would be less than the smallest step.
        bucket.learn(true, at(1.0));
        close(bucket.take(at(1.0)), 50.0);
        assert_eq!(bucket.take(at(51.000_1)), Ok(()));
    }
}
