//! The rate limiter of the AWS SDKs' adaptive retry mode, whose rate regrows along a cubic curve.
//!
//! Every figure but those of the variant comes out of the shipped [`Cubic`], which is told of answers and asked for its rate.

use std::time::Duration;

use resilience_core::{
    Class, Nanos,
    parts::{Cubic, CubicSettings},
};

use super::{Anchor, Cell, Claim, Parameter, Reproduction, Settings};
use crate::lab::span;

/// The vectors of the limiter.
pub(super) const ANCHOR: Anchor = Anchor {
    name: "cubic",
    title: "the rate limiter of the AWS SDKs' adaptive mode",
    source: "AWS SDKs, retry behavior, adaptive mode (botocore, retries/throttling.py and its test vectors); RFC 9438 for the curve",
    parameters: &[
        Parameter {
            name: "beta",
            about: "what a refusal leaves of the rate",
            default: &[0.7],
            least: 0.0,
            most: 1.0,
            whole: false,
        },
        Parameter {
            name: "scale",
            about: "how fast the curve grows, in attempts per second to the fourth",
            default: &[0.4],
            least: 1e-3,
            most: 1e3,
            whole: false,
        },
        Parameter {
            name: "smoothing",
            about: "how much the latest half second weighs in the measured rate",
            default: &[0.8],
            least: 0.0,
            most: 1.0,
            whole: false,
        },
        Parameter {
            name: "reach",
            about: "how far the rate may be above the measured one, as a factor",
            default: &[2.0],
            least: 1.0,
            most: 1e3,
            whole: false,
        },
        Parameter {
            name: "rate-min",
            about: "attempts per second below which the rate never falls",
            default: &[0.5],
            least: 1e-3,
            most: 1e3,
            whole: false,
        },
    ],
    runs: 1,
    run: |setup| {
        let settings = settings(setup.settings);
        let variant = variant(settings);
        reproduce(setup.settings, settings, &variant)
    },
};

fn settings(settings: &Settings) -> CubicSettings {
    CubicSettings {
        beta: settings.one("beta"),
        scale: settings.one("scale"),
        smoothing: settings.one("smoothing"),
        reach: settings.one("reach"),
        rate_min: settings.one("rate-min"),
    }
}

/// Every row of every vector; figures are compared only under the published constants.
fn reproduce(published: &Settings, settings: CubicSettings, variant: &[f64]) -> Reproduction {
    let mut shown = Reproduction { notes: vec![NOTE.to_owned()], ..Reproduction::default() };
    let mut row = |vector: &'static str, seconds: f64, metric: &'static str, figure, ours| {
        let labels = vec![("vector", vector.to_owned()), ("s", seconds.to_string())];
        shown.cells.push(Cell { labels, metric, values: vec![ours] });
        if !published.are_changed() {
            let what = format!("{vector}: {metric} at {seconds} s");
            shown.claims.push(Claim::exact(what, figure, ours));
        }
    };
    let mut busy = Busy::refused(settings, 25, 2.0);
    for (seconds, rate) in CURVE {
        row("refused at 10/s", seconds, "rate per s", rate, busy.rate_at(at(seconds)));
    }
    for (vector, answers, after, knee) in KNEES {
        let busy = Busy::refused(settings, answers, after);
        row(vector, REFUSED_AT, "seconds until it is back there", knee, busy.knee(settings.beta));
    }
    let mut cubic = Cubic::with(settings, Nanos::ZERO);
    for (seconds, refused, measured, rate) in MIXED {
        cubic.ended(if refused { Err(REFUSED) } else { Ok(()) }, at(seconds));
        row("mixed answers", seconds, "measured per s", measured, cubic.measured());
        row("mixed answers", seconds, "rate per s", rate, cubic.rate());
    }
    for ((seconds, _, rate), ours) in VARIANT.into_iter().zip(variant) {
        row("variant, peak after the cut", seconds, "rate per s", rate, *ours);
    }
    shown
}

/// A limiter that is refused once, and from then on answered so often that nothing but its curve holds it back.
#[derive(Clone, Debug)]
struct Busy {
    cubic: Cubic,
    now: Nanos,
}

impl Busy {
    /// After so many answers in so many seconds, the last of which is a refusal at [`REFUSED_AT`].
    fn refused(settings: CubicSettings, answers: u32, seconds: f64) -> Self {
        let (start, now) = (at(REFUSED_AT - seconds), at(REFUSED_AT));
        let mut cubic = Cubic::with(settings, start);
        for _ in 1..answers {
            cubic.ended(Ok(()), start);
        }
        cubic.ended(Err(REFUSED), now);
        Self { cubic, now }
    }

    /// What it admits per second at a time, answered every hundredth of a second until then.
    fn rate_at(&mut self, until: Nanos) -> f64 {
        while self.now + BEAT < until {
            self.now = self.now + BEAT;
            self.cubic.ended(Ok(()), self.now);
        }
        self.now = until;
        self.cubic.ended(Ok(()), until);
        self.cubic.rate()
    }

    /// How many seconds it takes to be back at the rate of the refusal.
    ///
    /// There the curve is flat, and the instant hard to see; twice as late it is as far above that rate as it began below, which is sharp.
    fn knee(&self, beta: f64) -> f64 {
        let peak = self.cubic.rate() / beta;
        let wanted = peak + (peak - self.cubic.rate());
        let (mut least, mut most) = (0, at(60.0).get());
        while most - least > 1 {
            let middle = u64::midpoint(least, most);
            let after = Duration::from_nanos(middle);
            if self.clone().rate_at(self.now + after) < wanted {
                least = middle;
            } else {
                most = middle;
            }
        }
        Duration::from_nanos(most).as_secs_f64() / 2.0
    }
}

/// What one SDK's unit test has instead: the rate that a refusal leaves is taken for the one at which it was refused.
fn variant(settings: CubicSettings) -> Vec<f64> {
    let CubicSettings { beta, scale, .. } = settings;
    let curve = |peak: f64, seconds: f64| {
        let knee = (peak * (1.0 - beta) / scale).cbrt();
        scale * (seconds - knee).powi(3) + peak
    };
    let (mut peak, mut from, mut rate) = (10.0, REFUSED_AT, 0.0);
    let rates = VARIANT.into_iter().map(|(seconds, refused, _)| {
        if refused {
            rate *= beta;
            (peak, from) = (rate, seconds);
        } else {
            rate = curve(peak, seconds - from);
        }
        rate
    });
    rates.collect()
}

fn at(seconds: f64) -> Nanos {
    Nanos::from(span(seconds))
}

/// A refusal.
const REFUSED: Class = Class::RateLimited { dimension: None };

/// When a busy limiter is refused, in seconds.
const REFUSED_AT: f64 = 5.0;

/// How often it is answered.
const BEAT: Duration = Duration::from_millis(10);

/// Seconds, and the rate of the curve after a refusal at ten per second.
const CURVE: [(f64, f64); 7] = [
    (5.0, 7.0),
    (6.0, 9.648_936_009_66),
    (7.0, 10.000_030_849_917_364),
    (8.0, 10.453_284_520_772_092),
    (9.0, 13.408_697_022_224_185),
    (10.0, 21.266_268_354_273_64),
    (11.0, 36.425_998_516_920_465),
];

/// So many answers in so many seconds measure ten and eight per second; and how long it then takes to be back there.
const KNEES: [(&str, u32, f64, f64); 2] = [
    ("refused at 10/s", 25, 2.0, 1.957_433_820_584_431_7),
    ("refused at 8/s", 10, 1.0, 1.817_120_592_832_139_7),
];

/// Seconds, whether the answer is a refusal, the measured rate, and the rate that is admitted.
const MIXED: [(f64, bool, f64, f64); 17] = [
    (0.2, false, 0.0, 0.5),
    (0.4, false, 0.0, 0.5),
    (0.6, false, 4.8, 0.5),
    (0.8, false, 4.8, 0.5),
    (1.0, false, 4.16, 0.5),
    (1.2, false, 4.16, 0.6912),
    (1.4, false, 4.16, 1.0976),
    (1.6, false, 5.632, 1.6384),
    (1.8, false, 5.632, 2.3328),
    (2.0, true, 4.3264, 3.02848),
    (2.2, false, 4.3264, 3.486_639_173_470_26),
    (2.4, false, 4.3264, 3.821_874_416_040_255),
    (2.6, false, 5.665_28, 4.053_385_727_709_987),
    (2.8, false, 5.665_28, 4.200_373_108_479_454),
    (3.0, false, 4.333_056, 4.282_036_558_348_658),
    (3.2, true, 4.333_056, 2.997_425_590_844_06),
    (3.4, false, 4.333_056, 3.452_226_394_386_346_3),
];

/// Seconds, whether the answer is a refusal, and the rate of the variant.
const VARIANT: [(f64, bool, f64); 8] = [
    (5.0, false, 7.0),
    (6.0, false, 9.648_936_009_66),
    (7.0, true, 6.754_255_206_761_999),
    (8.0, true, 4.727_978_644_733_399),
    (9.0, false, 4.670_125_557_970_046),
    (10.0, false, 4.770_870_456_867_401),
    (11.0, false, 6.011_819_748_005_445),
    (12.0, false, 10.792_973_431_384_178),
];

/// Which of the two definitions ships.
const NOTE: &str = "The variant is a unit vector of one SDK that contradicts the others; it is computed here, and does not ship. The shipped limiter takes the rate at which it was refused for the peak.";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::reproduce::shown;

    #[test]
    fn the_shipped_limiter_meets_every_vector() {
        let shown = shown(&ANCHOR, 1, 1, &[]);
        let broken: Vec<_> = shown.claims.iter().filter(|claim| !claim.holds()).collect();
        assert!(broken.is_empty(), "{broken:#?}");
        assert_eq!(shown.claims.len(), 7 + 2 + 2 * 17 + 8);
    }

    /// Each constant but the reach matters to a vector, and the two definitions of the peak are not the same.
    #[test]
    fn other_constants_are_noticed() {
        let published = ANCHOR.settings(&[]).unwrap();
        let aws = CubicSettings::default();
        assert_eq!(settings(&published), aws);
        for wrong in [
            CubicSettings { beta: 0.700_001, ..aws },
            CubicSettings { scale: 0.400_001, ..aws },
            CubicSettings { smoothing: 0.800_001, ..aws },
            CubicSettings { rate_min: 0.500_001, ..aws },
        ] {
            assert!(!reproduce(&published, wrong, &variant(aws)).holds(), "{wrong:?}");
        }
        let shipped = [7.0, 9.648_936, 6.754_255, 4.727_979, 6.0, 6.9, 7.2, 7.4];
        assert!(!reproduce(&published, aws, &shipped).holds());
    }

    #[test]
    fn changed_constants_have_nothing_to_compare() {
        let shown = shown(&ANCHOR, 1, 1, &[("beta", "0.5")]);
        assert!(shown.claims.is_empty() && shown.cells.len() == 7 + 2 + 2 * 17 + 8);
        // Half of ten is left.
        assert!((shown.cells[0].values[0] - 5.0).abs() < 1e-9);
    }

    #[test]
    fn the_number_of_threads_changes_nothing() {
        assert_eq!(shown(&ANCHOR, 2, 1, &[]), shown(&ANCHOR, 2, 3, &[]));
    }
}
