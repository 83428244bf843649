//! How many attempts per second to send.
//!
//! This is the only file of the crate that decides with floating-point numbers, because its model does.
//! It uses nothing but the four operations, which every platform rounds alike, so that its results are the same everywhere.

use std::time::Duration;

use crate::class::Class;
use crate::time::{Nanos, whole_nanos};

/// The [adaptive retry mode of the AWS SDKs](https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html): a rate that is cut at each refusal and regrows along a cubic curve ([RFC 9438](https://www.rfc-editor.org/rfc/rfc9438)).
///
/// Until the first refusal it measures and limits nothing.
/// It is shared by all calls: AWS's own Java SDK kept one for each call, which therefore never learnt anything.
///
/// # Order of calls
///
/// [`Cubic::admit`] before each send, retries included, and again after each wait; [`Cubic::ended`] for each attempt.
/// Who has a limiter of their own asks for [`Cubic::rate_milli`] after each [`Cubic::ended`] instead.
#[derive(Clone, Debug, PartialEq)]
pub struct Cubic {
    settings: CubicSettings,
    curve: Curve,
    /// Attempts per second, smoothed.
    measured: f64,
    /// Attempts per second that are admitted, or would be before the first refusal.
    rate: f64,
    /// The half second in which the rate was last measured, and answers since.
    bucket: u64,
    answers: u32,
    /// None before the first refusal.
    tokens: Option<Tokens>,
}

impl Cubic {
    /// One that has seen nothing, with AWS's constants.
    pub fn new(now: Nanos) -> Self {
        Self::with(CubicSettings::default(), now)
    }

    /// One that has seen nothing; constants out of their range count as the nearest in range.
    pub fn with(settings: CubicSettings, now: Nanos) -> Self {
        let settings = settings.sound();
        Self {
            settings,
            curve: Curve { scale: settings.scale, peak: 0.0, knee: 0.0, from: now },
            measured: 0.0,
            rate: settings.rate_min,
            bucket: half_seconds(now),
            answers: 0,
            tokens: None,
        }
    }

    /// Takes a token for one send, or says how long to wait before asking again and takes nothing.
    ///
    /// A send costs one token, and there is always room for one: a cost above the capacity would wait for ever, as [AWS's Rust SDK](https://github.com/smithy-lang/smithy-rs/pull/4749) did.
    pub fn admit(&mut self, now: Nanos) -> Result<(), Duration> {
        self.tokens.as_mut().map_or(Ok(()), |tokens| tokens.take(self.rate, now))
    }

    /// An attempt is over.
    ///
    /// Anything but a refusal counts as a success here, as it does in the SDKs.
    pub fn ended(&mut self, result: Result<(), Class>, now: Nanos) {
        self.measure(now);
        let refused = result.is_err_and(Class::slows_down);
        let rate = if refused {
            let limits = self.tokens.is_some();
            let peak = if limits { self.measured.min(self.rate) } else { self.measured };
            self.curve = Curve::new(self.settings, peak, now);
            self.tokens.get_or_insert(Tokens { level: 0.0, at: now });
            self.settings.beta * peak
        } else {
            self.curve.at(now)
        };
        if let Some(tokens) = &mut self.tokens {
            // What has passed was earned at the old rate.
            tokens.advance(self.rate, now);
        }
        let CubicSettings { reach, rate_min, .. } = self.settings;
        self.rate = rate.min(reach * self.measured).max(rate_min);
        if let Some(tokens) = &mut self.tokens {
            tokens.level = tokens.level.min(capacity(self.rate));
        }
    }

    /// Attempts per second that have ended lately, smoothed.
    pub const fn measured(&self) -> f64 {
        self.measured
    }

    /// Attempts per second that are admitted, or that would be if there had been a refusal.
    pub const fn rate(&self) -> f64 {
        self.rate
    }

    /// Thousandths of an attempt per second, rounded down; `None` before the first refusal.
    ///
    /// Never less than [`CubicSettings::rate_min`].
    pub fn rate_milli(&self) -> Option<u64> {
        self.tokens.as_ref().map(|_| milli(self.rate))
    }

    /// How many attempts may be sent at once after a rest, in thousandths; `None` before the first refusal.
    ///
    /// Never less than 1000, so that one attempt always fits.
    pub fn burst_milli(&self) -> Option<u64> {
        self.tokens.as_ref().map(|_| milli(capacity(self.rate)))
    }

    fn measure(&mut self, now: Nanos) {
        self.answers = self.answers.saturating_add(1);
        let bucket = half_seconds(now);
        if let Some(passed) = bucket.checked_sub(self.bucket).filter(|passed| *passed > 0) {
            // Beyond 2^32 half seconds, 68 years, the rate is as good as zero.
            let passed = f64::from(u32::try_from(passed).unwrap_or(u32::MAX)) / 2.0;
            let rate = f64::from(self.answers) / passed;
            let smoothing = self.settings.smoothing;
            self.measured = rate * smoothing + self.measured * (1.0 - smoothing);
            self.answers = 0;
            self.bucket = bucket;
        }
    }
}

/// The constants of a [`Cubic`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CubicSettings {
    /// What a refusal leaves of the rate, between 0 and 1.
    pub beta: f64,
    /// How fast the curve grows, in attempts per second to the fourth; between a millionth and a million.
    pub scale: f64,
    /// How much the latest half second weighs in the measured rate, between 0 and 1.
    pub smoothing: f64,
    /// How far the rate may be above the measured one, as a factor between 1 and a million.
    pub reach: f64,
    /// Below how many attempts per second the rate never falls, between a thousandth and a million.
    pub rate_min: f64,
}

impl CubicSettings {
    fn sound(self) -> Self {
        // Unlike `clamp`, these make the least of what is no number.
        let within = |number: f64, least: f64, most: f64| number.max(least).min(most);
        Self {
            beta: within(self.beta, 0.0, 1.0),
            scale: within(self.scale, 1e-6, 1e6),
            smoothing: within(self.smoothing, 0.0, 1.0),
            reach: within(self.reach, 1.0, 1e6),
            rate_min: within(self.rate_min, RATE_MIN_LEAST, 1e6),
        }
    }
}

impl Default for CubicSettings {
    /// Those of all the AWS SDKs.
    fn default() -> Self {
        Self { beta: 0.7, scale: 0.4, smoothing: 0.8, reach: 2.0, rate_min: 0.5 }
    }
}

/// How the rate regrows after a refusal: slowly around the rate at which it was refused, faster below and above.
#[derive(Clone, Debug, PartialEq)]
struct Curve {
    scale: f64,
    /// The rate at which it was refused.
    peak: f64,
    /// How many seconds it takes to be back there.
    knee: f64,
    from: Nanos,
}

impl Curve {
    fn new(settings: CubicSettings, peak: f64, from: Nanos) -> Self {
        let CubicSettings { beta, scale, .. } = settings;
        Self { scale, peak, knee: cube_root(peak * (1.0 - beta) / scale), from }
    }

    fn at(&self, now: Nanos) -> f64 {
        let beyond = now.since(self.from).as_secs_f64() - self.knee;
        self.scale * (beyond * beyond * beyond) + self.peak
    }
}

/// What a bucket holds whose rate changes, and since when.
#[derive(Clone, Debug, PartialEq)]
struct Tokens {
    level: f64,
    at: Nanos,
}

impl Tokens {
    fn advance(&mut self, rate: f64, now: Nanos) {
        let Some(elapsed) = now.checked_since(self.at) else { return };
        self.level = capacity(rate).min(self.level + elapsed.as_secs_f64() * rate);
        self.at = now;
    }

    fn take(&mut self, rate: f64, now: Nanos) -> Result<(), Duration> {
        self.advance(rate, now);
        let short = 1.0 - self.level;
        if short > 0.0 {
            let wait = Duration::try_from_secs_f64(short / rate).unwrap_or(WAIT_MAX);
            // Rounding must not say zero to somebody who is refused.
            return Err(wait + Duration::from_nanos(1));
        }
        self.level -= 1.0;
        Ok(())
    }
}

/// How many tokens gather at a rate: a second's worth, and never less than one send needs.
const fn capacity(rate: f64) -> f64 {
    rate.max(1.0)
}

/// Half seconds since the origin.
fn half_seconds(now: Nanos) -> u64 {
    now.get() / whole_nanos(HALF_SECOND)
}

/// Thousandths, rounded down.
///
/// A span is the one type of the standard library that turns a float into whole numbers without a cast.
fn milli(rate: f64) -> u64 {
    let seconds = Duration::try_from_secs_f64(rate).unwrap_or(Duration::MAX);
    u64::try_from(seconds.as_millis()).unwrap_or(u64::MAX)
}

/// The cube root of a number of zero or more, by Newton's method.
///
/// The standard library does not promise that its own is the same on every platform.
fn cube_root(of: f64) -> f64 {
    if of <= 0.0 {
        return 0.0;
    }
    // From above the root every step goes down, until rounding stops it.
    let mut root = of.max(1.0);
    loop {
        let next = root - (root - of / (root * root)) / 3.0;
        if next < root {
            root = next;
        } else {
            return root;
        }
    }
}

/// Over which time attempts are counted.
const HALF_SECOND: Duration = Duration::from_millis(500);

/// The lowest rate that a floor can be set to, in attempts per second.
const RATE_MIN_LEAST: f64 = 1e-3;

/// A token at the lowest rate of all takes no longer.
const WAIT_MAX: Duration = Duration::from_secs(1_000);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    const THROTTLED: Class = Class::RateLimited { dimension: None };

    fn at(seconds: f64) -> Nanos {
        Nanos::from(Duration::from_secs_f64(seconds))
    }

    fn close(actual: f64, expected: f64) -> bool {
        (actual - expected).abs() <= 1e-9 * expected.abs()
    }

    fn refused(seconds: f64, peak: f64) -> Curve {
        Curve::new(CubicSettings::default(), peak, at(seconds))
    }

    #[test]
    fn the_curve_meets_its_vectors() {
        let curve = refused(5.0, 10.0);
        assert!(close(curve.knee, 1.957_433_820_584_431_7), "{}", curve.knee);
        assert!(close(refused(0.0, 8.0).knee, 1.817_120_592_832_139_7));
        for (seconds, rate) in [
            (5.0, 7.0),
            (6.0, 9.648_936_009_66),
            (7.0, 10.000_030_849_917_364),
            (8.0, 10.453_284_520_772_092),
            (9.0, 13.408_697_022_224_185),
            (10.0, 21.266_268_354_273_64),
            (11.0, 36.425_998_516_920_465),
        ] {
            assert!(close(curve.at(at(seconds)), rate), "{seconds} s: {}", curve.at(at(seconds)));
        }
    }

    /// A variant of one SDK, which takes the reduced rate for the peak; ours takes the rate that was refused.
    #[test]
    fn the_variant_with_the_reduced_peak_meets_its_vectors() {
        let (mut curve, mut rate) = (refused(5.0, 10.0), 0.0);
        for (seconds, throttled, expected) in [
            (5.0, false, 7.0),
            (6.0, false, 9.648_936_009_66),
            (7.0, true, 6.754_255_206_761_999),
            (8.0, true, 4.727_978_644_733_399),
            (9.0, false, 4.670_125_557_970_046),
            (10.0, false, 4.770_870_456_867_401),
            (11.0, false, 6.011_819_748_005_445),
            (12.0, false, 10.792_973_431_384_178),
        ] {
            if throttled {
                rate *= CubicSettings::default().beta;
                curve = refused(seconds, rate);
            } else {
                rate = curve.at(at(seconds));
            }
            assert!(close(rate, expected), "{seconds} s: {rate}");
        }
    }

    /// Time, refused, measured rate, fill rate: computed from the definition, to be met in every digit.
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

    #[test]
    fn the_whole_path_meets_its_vectors() {
        let mut cubic = Cubic::new(Nanos::ZERO);
        for (seconds, throttled, measured, fill) in MIXED {
            let result = if throttled { Err(THROTTLED) } else { Ok(()) };
            cubic.ended(result, at(seconds));
            assert!(close(cubic.measured, measured), "{seconds} s: {}", cubic.measured);
            assert!(close(cubic.rate, fill), "{seconds} s: {}", cubic.rate);
            assert_eq!(cubic.tokens.is_some(), seconds >= 2.0);
        }
        assert_eq!(cubic.rate_milli(), Some(3_452));
        assert_eq!(cubic.burst_milli(), Some(3_452));
    }

    /// AWS's own vectors, as its SDKs carry them: rounded or cut to one or two digits.
    #[test]
    fn the_sdks_vectors_are_met_as_far_as_they_are_exact() {
        let vectors: Value =
            serde_json::from_str(include_str!("../../tests/fixtures/retry_vectors.json")).unwrap();
        let vectors = &vectors["aws_adaptive"];
        let number = |value: &Value| value.as_f64().unwrap();
        let success = &vectors["cubic_success"];
        let curve =
            refused(number(&success["last_throttle_time"]), number(&success["last_max_rate"]));
        for (seconds, rate) in success["t_to_calculated_rate"].as_object().unwrap() {
            let actual = curve.at(at(seconds.parse().unwrap()));
            assert!((actual - number(rate)).abs() < 0.1, "{seconds} s: {actual}");
        }
        let mut cubic = Cubic::new(Nanos::ZERO);
        for row in vectors["mixed"].as_array().unwrap() {
            let result = if row[0] == "throttle" { Err(THROTTLED) } else { Ok(()) };
            cubic.ended(result, at(number(&row[1])));
            assert!((cubic.measured - number(&row[2])).abs() < 0.02, "{row}: {}", cubic.measured);
            assert!((cubic.rate - number(&row[3])).abs() < 0.02, "{row}: {}", cubic.rate);
        }
    }

    #[test]
    fn cube_roots_are_exact_to_the_last_digits() {
        for root in [1e-9, 0.3, 1.0, 1.5, 7.0, 1_234.5, 1e12] {
            assert!(close(cube_root(root * root * root), root), "{root}");
        }
        assert!(cube_root(0.0).abs() < f64::MIN_POSITIVE);
    }

    proptest! {
        /// The curve only rises, and begins at what a refusal leaves.
        #[test]
        fn property_41_between_refusals_the_rate_never_falls(
            peak in 0.0..10_000.0f64,
            from in 0..1_000_000u64,
            steps in prop::collection::vec(0..5_000u64, 1..50),
        ) {
            let mut now = Nanos::from(Duration::from_millis(from));
            let settings = CubicSettings::default();
            let curve = Curve::new(settings, peak, now);
            let mut rate = curve.at(now);
            prop_assert!((rate - settings.beta * peak).abs() <= 1e-9 * peak);
            for step in steps {
                now = now + Duration::from_millis(step);
                prop_assert!(curve.at(now) >= rate);
                rate = curve.at(now);
            }
        }

        /// A refusal leaves 0.7 of what was sent; the rate stays above its floor and below twice of what is measured; and one send always fits.
        #[test]
        fn property_41_a_refusal_cuts_the_rate_but_not_below_its_floor(
            answers in prop::collection::vec((0..3_000u64, prop::bool::weighted(0.3)), 1..200),
        ) {
            let (mut cubic, mut now) = (Cubic::new(Nanos::ZERO), Nanos::ZERO);
            let CubicSettings { beta, reach, rate_min, .. } = cubic.settings;
            for (wait, throttled) in answers {
                now = now + Duration::from_millis(wait);
                let before = cubic.tokens.as_ref().map(|_| cubic.rate);
                cubic.ended(if throttled { Err(THROTTLED) } else { Ok(()) }, now);
                prop_assert!(cubic.rate >= rate_min);
                prop_assert!(cubic.rate <= rate_min.max(reach * cubic.measured));
                let Some(tokens) = cubic.tokens.clone() else { continue };
                prop_assert!(capacity(cubic.rate) >= 1.0 && tokens.level <= capacity(cubic.rate));
                if throttled {
                    let peak = before.map_or(cubic.measured, |rate| rate.min(cubic.measured));
                    prop_assert!(close(cubic.rate, (beta * peak).max(rate_min)));
                }
            }
        }

        /// Odd constants make no odd limiter: it always says how long to wait, and waiting so long is enough.
        #[test]
        fn whatever_the_constants_a_wait_ends(
            constants in prop::array::uniform5(prop::num::f64::ANY),
            refusals in 1..20u64,
        ) {
            let [beta, scale, smoothing, reach, rate_min] = constants;
            let settings = CubicSettings { beta, scale, smoothing, reach, rate_min };
            let mut cubic = Cubic::with(settings, Nanos::ZERO);
            let mut now = Nanos::ZERO;
            for _ in 0..refusals {
                now = now + Duration::from_millis(300);
                cubic.ended(Err(THROTTLED), now);
            }
            let wait = (0..1_000).find_map(|_| cubic.admit(now).err()).unwrap_or_default();
            prop_assert_eq!(cubic.admit(now + wait), Ok(()));
        }
    }
}
