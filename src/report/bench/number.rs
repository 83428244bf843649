//! Figures as a person reads them.

use crate::lab::metric::Unit;

/// A mean, and half the width of its interval in the same unit and with as many decimals.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::report) struct Estimate {
    /// The mean, without its unit.
    pub mean: String,
    /// Half the width; none below two runs.
    pub margin: Option<String>,
}

/// What a unit is called in a file.
pub(in crate::report) const fn unit_name(unit: Unit) -> &'static str {
    match unit {
        Unit::Dollars => "dollars-per-call",
        Unit::Factor => "factor",
        Unit::PerSecond => "per-second",
        Unit::Seconds => "seconds",
        Unit::Share => "share",
        Unit::Tokens => "tokens-per-call",
    }
}

/// How a unit is written beside a heading; dollars are those for a thousand calls, since one costs next to nothing.
pub(in crate::report) const fn unit_sign(unit: Unit) -> &'static str {
    match unit {
        Unit::Dollars => "$/1k",
        Unit::Factor => "x",
        Unit::PerSecond => "/s",
        Unit::Seconds => "s",
        Unit::Share => "%",
        Unit::Tokens => "tok",
    }
}

/// A value with its unit, to three significant digits, and a share to a hundredth of a percent at least.
///
/// A space between the two is one at which no line is broken.
pub(in crate::report) fn with_unit(unit: Unit, value: f64) -> String {
    let number = plain(unit, value);
    match unit {
        Unit::Dollars => format!("${number}/1k"),
        Unit::Factor | Unit::PerSecond | Unit::Share => format!("{number}{}", unit_sign(unit)),
        Unit::Seconds => format!("{number}\u{a0}s"),
        Unit::Tokens => format!("{number}\u{a0}tokens"),
    }
}

/// A mean with its margin: the margin to its first two digits, the mean to the same place.
///
/// A margin that is tiny beside its mean does not add digits beyond the mean's fourth; it is then shown as one unit of the last place, never as none.
pub(in crate::report) fn estimate(unit: Unit, mean: f64, half_width: Option<f64>) -> Estimate {
    let (scaled, Some(half)) = (scaled(unit, mean), half_width.map(|half| scaled(unit, half)))
    else {
        return Estimate { mean: plain(unit, mean), margin: None };
    };
    if half == 0.0 || !half.is_finite() {
        let margin = half.is_finite().then(|| "0".to_owned());
        return Estimate { mean: plain(unit, mean), margin };
    }
    let places = places(half, 2).min(least_places(unit, scaled, 4));
    let unit_of_last = 10_f64.powi(-places);
    Estimate { mean: fixed(scaled, places), margin: Some(fixed(half.max(unit_of_last), places)) }
}

/// A value to so many significant digits, such as `1230`, `12.3` or `1.2e-9`.
pub(super) fn significant(value: f64, digits: i32) -> String {
    fixed(value, places(value, digits))
}

/// A value with as many decimals as a step has that it is counted in.
pub(super) fn decimals(value: f64, step: f64) -> String {
    fixed(value, places(step, 1).max(0))
}

/// Half a width as files have it: to six digits, because further ones depend on the platform's logarithms.
pub(super) fn six_digits(half_width: f64) -> f64 {
    format!("{half_width:.5e}").parse().unwrap_or(half_width)
}

fn plain(unit: Unit, value: f64) -> String {
    let scaled = scaled(unit, value);
    fixed(scaled, least_places(unit, scaled, 3))
}

/// Shares are told in hundredths, and dollars for a thousand calls.
fn scaled(unit: Unit, value: f64) -> f64 {
    match unit {
        Unit::Dollars => value * 1000.0,
        Unit::Share => value * 100.0,
        Unit::Factor | Unit::PerSecond | Unit::Seconds | Unit::Tokens => value,
    }
}

/// How many decimals show so many digits of a value; of a share two at least, since 99.96% is not 100%.
fn least_places(unit: Unit, value: f64, digits: i32) -> i32 {
    let least = if unit == Unit::Share { 2 } else { i32::MIN };
    places(value, digits).max(least)
}

/// How many decimals show so many significant digits of a value; negative if not even all of those before the point are.
fn places(value: f64, digits: i32) -> i32 {
    if value == 0.0 {
        return 0;
    }
    let precision = usize::try_from(digits - 1).unwrap_or(0);
    // The exponent after rounding: 9.996 to three digits is 1.00e1.
    let rounded = format!("{value:.precision$e}");
    let exponent = rounded.split_once('e').and_then(|(_, exponent)| exponent.parse().ok());
    digits - 1 - exponent.unwrap_or(0)
}

/// A value with so many decimals; negative ones round before the point.
fn fixed(value: f64, places: i32) -> String {
    if !value.is_finite() {
        return "–".to_owned();
    }
    if places > DECIMALS_MAX || value.abs() >= LARGE {
        return format!("{value:.1e}");
    }
    let text = if let Ok(decimals) = usize::try_from(places) {
        format!("{value:.decimals$}")
    } else {
        let unit = 10_f64.powi(-places);
        format!("{:.0}", (value / unit).round() * unit)
    };
    let is_zero = !text.contains(|c: char| ('1'..='9').contains(&c));
    if is_zero { text.trim_start_matches('-').to_owned() } else { text }
}

/// More decimals than these are no easier to read than a power of ten.
const DECIMALS_MAX: i32 = 8;

/// From here on a value is written with a power of ten.
const LARGE: f64 = 1e9;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_digits_are_shown_with_the_unit() {
        for (unit, value, expected) in [
            (Unit::Factor, 1.3124, "1.31x"),
            (Unit::Factor, 9.996, "10.0x"),
            (Unit::Factor, 0.0, "0x"),
            (Unit::Seconds, 0.123_45, "0.123\u{a0}s"),
            (Unit::Seconds, 1234.5, "1230\u{a0}s"),
            (Unit::Seconds, 3e12, "3.0e12\u{a0}s"),
            (Unit::Share, 0.999_63, "99.96%"),
            (Unit::Share, 1.0, "100.00%"),
            (Unit::Share, 0.000_012_34, "0.00123%"),
            (Unit::Share, -0.000_000_000_1, "-1.0e-8%"),
            (Unit::Dollars, 0.000_213_4, "$0.213/1k"),
            (Unit::Tokens, 17.0, "17.0\u{a0}tokens"),
            (Unit::PerSecond, 4.5, "4.50/s"),
            (Unit::Seconds, f64::NAN, "–\u{a0}s"),
        ] {
            assert_eq!(with_unit(unit, value), expected, "{value}");
        }
    }

    #[test]
    fn a_margin_has_two_digits_and_its_mean_as_many_decimals() {
        for (unit, mean, half, expected) in [
            (Unit::Factor, 1.312_44, 0.013_2, ("1.312", "0.013")),
            (Unit::Factor, 1.312_44, 0.099_6, ("1.31", "0.10")),
            (Unit::Factor, 1.312_44, 0.25, ("1.31", "0.25")),
            (Unit::Seconds, 1234.0, 345.0, ("1230", "350")),
            (Unit::Seconds, 12.3, 57.3, ("12", "57")),
            (Unit::Seconds, 0.3, 5731.0, ("0", "5700")),
            (Unit::Share, 0.991_234, 0.001_32, ("99.12", "0.13")),
            (Unit::Share, 0.991_234, 0.000_001, ("99.12", "0.01")),
            (Unit::Factor, 1.312_44, 0.000_000_1, ("1.312", "0.001")),
            (Unit::Factor, 1.0, 0.0, ("1.00", "0")),
            (Unit::Dollars, 0.000_213_4, 0.000_004_56, ("0.2134", "0.0046")),
        ] {
            let shown = estimate(unit, mean, Some(half));
            let margin = shown.margin.as_deref().unwrap();
            assert_eq!((shown.mean.as_str(), margin), expected, "{mean} ±{half}");
        }
        let alone = estimate(Unit::Factor, 1.312_44, None);
        assert_eq!(alone, Estimate { mean: "1.31".to_owned(), margin: None });
    }
}
