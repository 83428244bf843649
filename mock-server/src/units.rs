//! Quantities as people write them: `250ms`, `60/min`, `5%`, `16KiB`.
//!
//! Each type parses from text, prints the shortest text that parses back, and refuses a bare number
//! with a repair, because a number without its unit is how outages get written down wrong.

use std::{fmt, str::FromStr, time::Duration};

use crate::draw::scale;

/// Why a text is no quantity, and what would be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnitMistake {
    /// What is wrong, as a phrase that follows the text or its key: `has no unit`.
    pub message: &'static str,
    /// What to write instead.
    pub help: String,
}

/// The longest span that may be written: a wait beyond it is a mistake, not a wish.
pub const SPAN_MAX: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// A length of time, such as `250ms`, `2s`, `1.5s`, `3min`, `2h`; at most seven days.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub Duration);

/// How often something happens, such as `60/min`, `20/s` or `10_000/day`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many in each period, at least 1.
    pub count: u64,
    /// The period.
    pub per: Period,
}

/// The period of a [`Rate`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Period {
    /// One second.
    Second,
    /// Sixty seconds.
    Minute,
    /// 3,600 seconds.
    Hour,
    /// 86,400 seconds.
    Day,
}

/// A span to draw, such as `300ms` (always the same), `200ms..2s` (each as likely as the other) or
/// `400ms p99 2s` (a long tail).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delay {
    /// A uniform draw.
    Between {
        /// The shortest.
        least: Span,
        /// The longest, not below `least`.
        most: Span,
    },
    /// A log-normal draw, the usual form of response times: many near the median, few far above.
    LongTail {
        /// Half of the draws are below it; above zero.
        median: Span,
        /// One in a hundred is above it; above the median.
        p99: Span,
    },
}

/// How many tokens an answer has, such as `200` or `50..400`, from 1 to 100,000.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Length {
    /// The fewest.
    pub least: u32,
    /// The most, not below `least`.
    pub most: u32,
}

/// One turn of an agent's task: `answer`, `call search`, or `call search and fetch`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TaskStep {
    /// A text, which ends the task's loop.
    Answer,
    /// Calls of these tools, at least one, side by side.
    Call(Vec<String>),
}

/// A share in parts per million, such as `5%` or `0.1%`; from `0%` to `100%`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Share {
    /// Parts per million, 0 to 1,000,000.
    pub ppm: u32,
}

/// A number of bytes, such as `512B`, `16KiB` or `2MiB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size {
    /// The number of bytes.
    pub bytes: u64,
}

/// How many of how many, such as `3 of 10`: a shuffled deck instead of dice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Portion {
    /// How many, at least 1 and at most `of`.
    pub count: u32,
    /// Of how many, at most 1,000.
    pub of: u32,
}

/// A range of ordinals counted from 1, such as `2`, `1..3` (one to three) or `4..` (from four on).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ordinals {
    /// The first, at least 1.
    pub first: u64,
    /// The last, included; none means without end.
    pub last: Option<u64>,
}

/// What a token costs, such as `$2.50/M` (a million of them) or `$0.0025/K`; at most a dollar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Price {
    /// What one token costs, in picodollars: a millionth of a dollar for a million tokens.
    pub picodollars: u64,
}

/// An amount of money, exact to the price of any token.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    serde::Serialize,
    serde::Deserialize,
)]
#[serde(transparent)]
pub struct Money {
    /// Picodollars; what is more than 18 million dollars is counted as that.
    pub picodollars: u64,
}

impl Span {
    /// The span as whole nanoseconds.
    pub fn nanos(self) -> u64 {
        u64::try_from(self.0.as_nanos()).unwrap_or(u64::MAX)
    }
}

impl FromStr for Span {
    type Err = UnitMistake;

    fn from_str(text: &str) -> Result<Self, UnitMistake> {
        let (number, unit) = split(text);
        let scale: u64 = match unit {
            "ns" => 1,
            "us" | "µs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "min" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            "d" => 86_400_000_000_000,
            "" if is_decimal(number) => {
                return Err(UnitMistake {
                    message: "has no unit",
                    help: format!("write `{number}s` for seconds, or `{number}ms`, `{number}min`"),
                });
            }
            "m" if is_decimal(number) => {
                return Err(UnitMistake {
                    message: "could be minutes or milliseconds",
                    help: format!("write `{number}min` or `{number}ms`"),
                });
            }
            _ => return Err(not_a("is no length of time", "`250ms`, `2s`, `3min`")),
        };
        let too_long = || UnitMistake {
            message: "is longer than seven days",
            help: "a span may be at most `7d`".to_owned(),
        };
        let nanos = decimal(number).and_then(|number| number.times(scale));
        let span = nanos.map(Duration::from_nanos).map_err(|misfit| match misfit {
            Misfit::Fine => UnitMistake {
                message: "is finer than a nanosecond",
                help: "a span is a whole number of nanoseconds".to_owned(),
            },
            Misfit::Large => too_long(),
            Misfit::Shape => not_a("is no length of time", "`250ms`, `2s`, `3min`"),
        })?;
        if span > SPAN_MAX { Err(too_long()) } else { Ok(Self(span)) }
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.nanos();
        let units = [
            (86_400_000_000_000, "d"),
            (3_600_000_000_000, "h"),
            (60_000_000_000, "min"),
            (1_000_000_000, "s"),
            (1_000_000, "ms"),
            (1_000, "us"),
        ];
        if nanos == 0 {
            return f.write_str("0s");
        }
        match units.iter().find(|(scale, _)| nanos.is_multiple_of(*scale)) {
            Some((scale, unit)) => write!(f, "{}{unit}", nanos / scale),
            None => write!(f, "{nanos}ns"),
        }
    }
}

impl Delay {
    /// The span, if it is always the same.
    pub fn fixed(self) -> Option<Duration> {
        match self {
            Self::Between { least, most } if least == most => Some(least.0),
            Self::Between { .. } | Self::LongTail { .. } => None,
        }
    }

    /// The span that a uniform draw falls on.
    pub fn pick(self, draw: u64) -> Duration {
        match self {
            Self::Between { least, most } => {
                let width = most.nanos().saturating_sub(least.nanos());
                least.0 + Duration::from_nanos(scale(draw, width))
            }
            Self::LongTail { median, p99 } => long_tail(median.0, p99.0, draw),
        }
    }
}

impl Default for Delay {
    fn default() -> Self {
        Self::from(Span::default())
    }
}

impl From<Span> for Delay {
    fn from(span: Span) -> Self {
        Self::Between { least: span, most: span }
    }
}

impl FromStr for Delay {
    type Err = UnitMistake;

    fn from_str(text: &str) -> Result<Self, UnitMistake> {
        if let Some((median, p99)) = text.split_once("p99") {
            let (median, p99): (Span, Span) = (median.trim().parse()?, p99.trim().parse()?);
            if median.0.is_zero() || p99 <= median {
                return Err(UnitMistake {
                    message: "has no tail",
                    help: "the span before `p99` is the median: let it be above 0s, and below the \
                           one behind"
                        .to_owned(),
                });
            }
            return Ok(Self::LongTail { median, p99 });
        }
        let Some((least, most)) = text.split_once("..") else {
            return text.parse().map(Span::into);
        };
        let (least, most): (Span, Span) = (least.trim().parse()?, most.trim().parse()?);
        if most < least {
            return Err(UnitMistake {
                message: "ends before it begins",
                help: format!("write `{most}..{least}`"),
            });
        }
        Ok(Self::Between { least, most })
    }
}

impl fmt::Display for Delay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Between { least, most } if least == most => least.fmt(f),
            Self::Between { least, most } => write!(f, "{least}..{most}"),
            Self::LongTail { median, p99 } => write!(f, "{median} p99 {p99}"),
        }
    }
}

/// A log-normal span: median × (p99 ÷ median)^(z ÷ z₉₉), where z is the normal quantile of the draw.
///
/// The functions come from `libm`, which gives the same bits on every machine. Beyond the thousandth
/// of the shortest and the hundredfold of the longest nothing is drawn.
fn long_tail(median: Duration, p99: Duration, draw: u64) -> Duration {
    // The quantile of 99 %.
    const Z99: f64 = 2.326_347_874_040_841;
    let (median, p99) = (median.as_secs_f64(), p99.as_secs_f64());
    // The upper 52 bits, in the middle of their interval, so that neither 0 nor 1 is drawn.
    let chance = (f64_of(draw >> 12) + 0.5) / 4_503_599_627_370_496.0;
    let exponent = normal_quantile(chance) / Z99;
    let span = median * libm::pow(p99 / median, exponent);
    Duration::from_secs_f64(span.clamp(median / 1_000.0, p99 * 100.0).min(SPAN_MAX.as_secs_f64()))
}

/// A number of at most 52 bits as a float, exactly.
fn f64_of(bits: u64) -> f64 {
    let (high, low) = (bits >> 32, bits & 0xffff_ffff);
    let part = |part: u64| f64::from(u32::try_from(part).unwrap_or(u32::MAX));
    part(high) * 4_294_967_296.0 + part(low)
}

/// The quantile of the normal distribution for a chance between 0 and 1, by
/// [Acklam's approximation](https://web.archive.org/web/20151030215612/http://home.online.no/~pjacklam/notes/invnorm/),
/// whose relative error is below 1.2 × 10⁻⁹.
fn normal_quantile(chance: f64) -> f64 {
    const A: [f64; 6] = [
        -3.969_683_028_665_376e1,
        2.209_460_984_245_205e2,
        -2.759_285_104_469_687e2,
        1.383_577_518_672_69e2,
        -3.066_479_806_614_716e1,
        2.506_628_277_459_239,
    ];
    const B: [f64; 6] = [
        -5.447_609_879_822_406e1,
        1.615_858_368_580_409e2,
        -1.556_989_798_598_866e2,
        6.680_131_188_771_972e1,
        -1.328_068_155_288_572e1,
        1.0,
    ];
    const C: [f64; 6] = [
        -7.784_894_002_430_293e-3,
        -3.223_964_580_411_365e-1,
        -2.400_758_277_161_838,
        -2.549_732_539_343_734,
        4.374_664_141_464_968,
        2.938_163_982_698_783,
    ];
    const D: [f64; 5] = [
        7.784_695_709_041_462e-3,
        3.224_671_290_700_398e-1,
        2.445_134_137_142_996,
        3.754_408_661_907_416,
        1.0,
    ];
    let polynomial =
        |factors: &[f64], x: f64| factors.iter().fold(0.0, |sum, factor| sum * x + factor);
    let tail = |chance: f64| {
        let q = libm::sqrt(-2.0 * libm::log(chance));
        polynomial(&C, q) / polynomial(&D, q)
    };
    if chance < 0.024_25 {
        tail(chance)
    } else if chance > 1.0 - 0.024_25 {
        -tail(1.0 - chance)
    } else {
        let q = chance - 0.5;
        polynomial(&A, q * q) * q / polynomial(&B, q * q)
    }
}

impl Length {
    /// The most tokens that may be asked for.
    const MAX: u64 = 100_000;

    /// The number that a uniform draw falls on.
    pub fn pick(self, draw: u64) -> u64 {
        let width = u64::from(self.most.saturating_sub(self.least));
        u64::from(self.least) + scale(draw, width)
    }
}

impl FromStr for Length {
    type Err = UnitMistake;

    fn from_str(text: &str) -> Result<Self, UnitMistake> {
        let mistake = || not_a("is no number of tokens", "`200` or `50..400`");
        let (least, most) = text.split_once("..").unwrap_or((text, text));
        let number = |text: &str| whole(text.trim()).ok_or_else(mistake);
        let (least, most) = (number(least)?, number(most)?);
        let outside = |number: u64| !(1..=Self::MAX).contains(&number);
        if outside(least) || outside(most) || most < least {
            return Err(UnitMistake {
                message: "is no length that an answer can have",
                help: format!("write one from 1 to {}, or a range such as `50..400`", Self::MAX),
            });
        }
        let number = |number: u64| u32::try_from(number).map_err(|_| mistake());
        Ok(Self { least: number(least)?, most: number(most)? })
    }
}

impl fmt::Display for Length {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.least == self.most {
            return self.least.fmt(f);
        }
        write!(f, "{}..{}", self.least, self.most)
    }
}

impl FromStr for TaskStep {
    type Err = UnitMistake;

    fn from_str(text: &str) -> Result<Self, UnitMistake> {
        let mistake =
            || not_a("is no step of a task", "`answer`, `call search`, `call search and fetch`");
        let text = text.trim();
        if text == "answer" {
            return Ok(Self::Answer);
        }
        let tools = text.strip_prefix("call ").ok_or_else(mistake)?;
        let tools: Vec<String> = tools.split(" and ").map(|tool| tool.trim().to_owned()).collect();
        // What providers take as the name of a tool.
        let is_name = |tool: &String| {
            (1..=128).contains(&tool.len())
                && tool.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.:".contains(&b))
        };
        if tools.iter().all(is_name) { Ok(Self::Call(tools)) } else { Err(mistake()) }
    }
}

impl fmt::Display for TaskStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answer => f.write_str("answer"),
            Self::Call(tools) => write!(f, "call {}", tools.join(" and ")),
        }
    }
}

impl Rate {
    /// The period as a span.
    pub fn period(self) -> Duration {
        Duration::from_secs(match self.per {
            Period::Second => 1,
            Period::Minute => 60,
            Period::Hour => 3_600,
            Period::Day => 86_400,
        })
    }

    /// The time between two events at this rate, rounded down to a nanosecond.
    pub fn interval(self) -> Duration {
        let period = u64::try_from(self.period().as_nanos()).unwrap_or(u64::MAX);
        Duration::from_nanos(period / self.count.max(1))
    }
}

impl FromStr for Rate {
    type Err = UnitMistake;

    fn from_str(text: &str) -> Result<Self, UnitMistake> {
        let example = "`60/min`, `20/s`, `10_000/day`";
        let Some((number, per)) = text.split_once('/') else {
            return Err(match whole(text.trim()) {
                Some(_) => UnitMistake {
                    message: "has no unit",
                    help: format!("write `{text}/min` or `{text}/s`"),
                },
                None => not_a("is no rate", example),
            });
        };
        let per = match per.trim() {
            "s" | "sec" | "second" => Period::Second,
            "min" | "minute" => Period::Minute,
            "h" | "hour" => Period::Hour,
            "day" | "d" => Period::Day,
            _ => return Err(not_a("is no rate", example)),
        };
        let count = whole(number.trim()).ok_or_else(|| not_a("is no rate", example))?;
        if count == 0 {
            return Err(UnitMistake {
                message: "never happens",
                help: "a rate is at least 1".to_owned(),
            });
        }
        Ok(Self { count, per })
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let per = match self.per {
            Period::Second => "s",
            Period::Minute => "min",
            Period::Hour => "h",
            Period::Day => "day",
        };
        write!(f, "{}/{per}", self.count)
    }
}

impl Share {
    /// The whole.
    pub const ALL: Self = Self { ppm: 1_000_000 };

    /// Whether a uniform draw falls inside the share.
    pub fn takes(self, draw: u64) -> bool {
        // Exact: the draw is scaled onto 0..1,000,000 without a float.
        (u128::from(draw) * 1_000_000) >> 64 < u128::from(self.ppm)
    }

    /// This share of a number, rounded down.
    pub fn of(self, whole: usize) -> usize {
        let part = u128::try_from(whole).unwrap_or(u128::MAX) * u128::from(self.ppm) / 1_000_000;
        usize::try_from(part).unwrap_or(whole)
    }
}

impl FromStr for Share {
    type Err = UnitMistake;

    fn from_str(text: &str) -> Result<Self, UnitMistake> {
        let Some(number) = text.strip_suffix('%') else {
            if !is_decimal(text) {
                return Err(not_a("is no share", "`5%`, `0.1%`"));
            }
            // A number up to 1 can be meant as a fraction of the whole as well as in percent.
            let fraction = decimal(text).and_then(|number| number.times(1_000_000));
            let fraction = fraction.ok().and_then(|ppm| u32::try_from(ppm).ok());
            let help = match fraction.map(|ppm| Self { ppm }) {
                Some(share) if 0 < share.ppm && share <= Self::ALL => {
                    format!("write `{share}` for that part of the whole, or `{text}%`")
                }
                _ => format!("write `{text}%`"),
            };
            return Err(UnitMistake { message: "has no unit", help });
        };
        let too_large = || UnitMistake {
            message: "is more than the whole",
            help: "a share lies between `0%` and `100%`".to_owned(),
        };
        let ppm = decimal(number.trim()).and_then(|number| number.times(10_000));
        let ppm = ppm.map_err(|misfit| match misfit {
            Misfit::Fine => UnitMistake {
                message: "is finer than 0.0001%",
                help: "a share has at most four decimals".to_owned(),
            },
            Misfit::Large => too_large(),
            Misfit::Shape => not_a("is no share", "`5%`, `0.1%`"),
        })?;
        match u32::try_from(ppm) {
            Ok(ppm) if ppm <= Self::ALL.ppm => Ok(Self { ppm }),
            _ => Err(too_large()),
        }
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (percent, rest) = (self.ppm / 10_000, self.ppm % 10_000);
        if rest == 0 {
            write!(f, "{percent}%")
        } else {
            let rest = format!("{rest:04}");
            write!(f, "{percent}.{}%", rest.trim_end_matches('0'))
        }
    }
}

impl FromStr for Size {
    type Err = UnitMistake;

    fn from_str(text: &str) -> Result<Self, UnitMistake> {
        let (number, unit) = split(text);
        let scale = match unit {
            "B" => 1,
            "KiB" => 1 << 10,
            "MiB" => 1 << 20,
            "GiB" => 1 << 30,
            "" if is_decimal(number) => {
                return Err(UnitMistake {
                    message: "has no unit",
                    help: format!("write `{number}B`, `{number}KiB` or `{number}MiB`"),
                });
            }
            _ => return Err(not_a("is no size", "`512B`, `16KiB`, `2MiB`")),
        };
        decimal(number)
            .and_then(|number| number.times(scale))
            .map(|bytes| Self { bytes })
            .map_err(|_| not_a("is no size", "`512B`, `16KiB`, `2MiB`"))
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (scale, unit) in [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")] {
            if self.bytes >= scale && self.bytes.is_multiple_of(scale) {
                return write!(f, "{}{unit}", self.bytes / scale);
            }
        }
        write!(f, "{}B", self.bytes)
    }
}

impl FromStr for Portion {
    type Err = UnitMistake;

    fn from_str(text: &str) -> Result<Self, UnitMistake> {
        let parsed = text.split_once(" of ").and_then(|(count, of)| {
            let count = u32::try_from(whole(count.trim())?).ok()?;
            let of = u32::try_from(whole(of.trim())?).ok()?;
            Some((count, of))
        });
        match parsed {
            Some((count, of)) if 1 <= count && count <= of && of <= 1_000 => Ok(Self { count, of }),
            Some(_) => Err(UnitMistake {
                message: "cannot be dealt",
                help: "write `k of n` with 1 ≤ k ≤ n ≤ 1000".to_owned(),
            }),
            None => Err(not_a("is no portion", "`3 of 10`")),
        }
    }
}

impl fmt::Display for Portion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.count, self.of)
    }
}

impl Ordinals {
    /// Whether an ordinal, counted from 1, lies in the range.
    pub fn contains(self, ordinal: u64) -> bool {
        self.first <= ordinal && self.last.is_none_or(|last| ordinal <= last)
    }
}

impl FromStr for Ordinals {
    type Err = UnitMistake;

    fn from_str(text: &str) -> Result<Self, UnitMistake> {
        let mistake = || not_a("is no range of hits", "`1`, `2..4`, `3..`");
        let (first, last) = match text.split_once("..") {
            None => {
                let only = whole(text.trim()).ok_or_else(mistake)?;
                (only, Some(only))
            }
            Some((first, "")) => (whole(first.trim()).ok_or_else(mistake)?, None),
            Some((first, last)) => (
                whole(first.trim()).ok_or_else(mistake)?,
                Some(whole(last.trim()).ok_or_else(mistake)?),
            ),
        };
        if first == 0 || last.is_some_and(|last| last < first) {
            return Err(UnitMistake {
                message: "holds no hit",
                help: "hits count from 1, and `a..b` includes both ends".to_owned(),
            });
        }
        Ok(Self { first, last })
    }
}

impl fmt::Display for Ordinals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.last {
            Some(last) if last == self.first => write!(f, "{last}"),
            Some(last) => write!(f, "{}..{last}", self.first),
            None => write!(f, "{}..", self.first),
        }
    }
}

impl FromStr for Price {
    type Err = UnitMistake;

    fn from_str(text: &str) -> Result<Self, UnitMistake> {
        let no_price = || not_a("is no price", "`$2.50/M`, `$0.0025/K`");
        let (amount, tokens) = match text.split_once('/') {
            Some((amount, tokens)) => (amount.trim(), Some(tokens.trim())),
            None => (text.trim(), None),
        };
        let number = amount.strip_prefix('$').map(str::trim_start);
        if !is_decimal(number.unwrap_or(amount)) {
            return Err(no_price());
        }
        let scale = match (number, tokens) {
            (Some(_), Some("M")) => 1_000_000,
            (Some(_), Some("K")) => 1_000_000_000,
            (Some(_), Some(_)) => return Err(no_price()),
            (None, Some(tokens)) => {
                let help = format!("write `${amount}/{tokens}`");
                return Err(UnitMistake { message: "has no currency", help });
            }
            (Some(number), None) => {
                let help = format!("write `${number}/M` for a million tokens");
                return Err(UnitMistake { message: "does not say for how many tokens", help });
            }
            (None, None) => {
                let help = format!("write `${amount}/M` for a million tokens");
                return Err(UnitMistake { message: "has no unit", help });
            }
        };
        let too_high = || UnitMistake {
            message: "is more than a dollar for a token",
            help: "write the price of a million tokens, such as `$2.50/M`".to_owned(),
        };
        let price = decimal(number.unwrap_or(amount)).and_then(|number| number.times(scale));
        match price {
            Ok(picodollars) if picodollars <= PRICE_MAX => Ok(Self { picodollars }),
            Ok(_) | Err(Misfit::Large) => Err(too_high()),
            Err(Misfit::Fine) => Err(UnitMistake {
                message: "is finer than a millionth of a dollar for a million tokens",
                help: "a price has at most six decimals".to_owned(),
            }),
            Err(Misfit::Shape) => Err(no_price()),
        }
    }
}

impl fmt::Display for Price {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (dollars, rest) = (self.picodollars / 1_000_000, self.picodollars % 1_000_000);
        match format!("{rest:06}").trim_end_matches('0') {
            "" => write!(f, "${dollars}/M"),
            decimals => write!(f, "${dollars}.{decimals}/M"),
        }
    }
}

/// A dollar for a token; the dearest model costs a fraction of a cent.
const PRICE_MAX: u64 = 1_000_000_000_000;

impl Money {
    /// What is left of it without another amount; never less than nothing.
    #[must_use]
    pub fn minus(self, other: Self) -> Self {
        Self { picodollars: self.picodollars.saturating_sub(other.picodollars) }
    }

    /// The sum of two amounts.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self { picodollars: self.picodollars.saturating_add(other.picodollars) }
    }
}

impl fmt::Display for Money {
    /// All of its digits, and the cents in any case.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (dollars, rest) = (self.picodollars / PRICE_MAX, self.picodollars % PRICE_MAX);
        let rest = format!("{rest:012}");
        let (cents, finer) = rest.split_at(2);
        write!(f, "${dollars}.{cents}{}", finer.trim_end_matches('0'))
    }
}

/// Lets types that parse from text, and print as it, stand in a scenario: serde and schemars speak of
/// them as strings of a format, and a function checks a text against a format by its name.
///
/// The crate that calls it depends on serde and schemars.
#[macro_export]
macro_rules! written_as_text {
    (
        $(#[$doc:meta])*
        $visible:vis fn $check:ident, otherwise $otherwise:expr;
        $($type:ident, $format:literal;)*
    ) => {
        $(
            impl<'de> ::serde::Deserialize<'de> for $type {
                fn deserialize<D: ::serde::Deserializer<'de>>(
                    deserializer: D,
                ) -> Result<Self, D::Error> {
                    let text = <::std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                    text.parse().map_err(|mistake: $crate::units::UnitMistake| {
                        let message = format!("`{text}` {}; {}", mistake.message, mistake.help);
                        ::serde::de::Error::custom(message)
                    })
                }
            }

            impl ::serde::Serialize for $type {
                fn serialize<S: ::serde::Serializer>(
                    &self,
                    serializer: S,
                ) -> Result<S::Ok, S::Error> {
                    serializer.collect_str(self)
                }
            }

            impl ::schemars::JsonSchema for $type {
                fn schema_name() -> ::std::borrow::Cow<'static, str> {
                    stringify!($type).into()
                }

                fn json_schema(_: &mut ::schemars::SchemaGenerator) -> ::schemars::Schema {
                    ::schemars::json_schema!({ "type": "string", "format": $format })
                }
            }
        )*

        $(#[$doc])*
        $visible fn $check(
            format: &str,
            text: &str,
        ) -> Option<Result<(), $crate::units::UnitMistake>> {
            match format {
                $($format => Some(text.parse::<$type>().map(|_| ())),)*
                _ => {
                    let otherwise: fn(&str, &str) -> Option<Result<(), $crate::units::UnitMistake>> = $otherwise;
                    otherwise(format, text)
                }
            }
        }
    };
}

written_as_text! {
    /// Checks a text against a schema format of this module; `None` if the format is not ours.
    pub fn check, otherwise |_, _| None;
    Span, "span";
    Delay, "delay";
    Rate, "rate";
    Share, "share";
    Size, "size";
    Portion, "portion";
    Ordinals, "ordinals";
    Length, "length";
    TaskStep, "task step";
    Price, "price";
}

/// A non-negative decimal number, kept exact as digits and a number of decimals.
struct Decimal {
    digits: u64,
    decimals: u32,
}

impl Decimal {
    /// The number times an integer scale, if it is a whole number that fits.
    fn times(&self, scale: u64) -> Result<u64, Misfit> {
        let divisor = 10_u128.pow(self.decimals);
        let product = u128::from(self.digits) * u128::from(scale);
        if product % divisor != 0 {
            return Err(Misfit::Fine);
        }
        u64::try_from(product / divisor).map_err(|_| Misfit::Large)
    }
}

/// Why a text is no number that can be counted with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Misfit {
    /// It has a fraction that cannot be counted.
    Fine,
    /// It is too large.
    Large,
    /// It is not written like a number.
    Shape,
}

fn decimal(text: &str) -> Result<Decimal, Misfit> {
    if !is_decimal(text) {
        return Err(Misfit::Shape);
    }
    let (whole_part, fraction) = text.split_once('.').unwrap_or((text, ""));
    let whole_part = whole(whole_part).ok_or(Misfit::Large)?;
    let fraction = fraction.trim_end_matches('0');
    let decimals = u32::try_from(fraction.len()).ok().filter(|&decimals| decimals <= DECIMALS_MAX);
    let decimals = decimals.ok_or(Misfit::Fine)?;
    let fraction: u64 = if fraction.is_empty() { 0 } else { fraction.parse().unwrap_or_default() };
    let digits = whole_part.checked_mul(10_u64.pow(decimals));
    let digits = digits.and_then(|digits| digits.checked_add(fraction)).ok_or(Misfit::Large)?;
    Ok(Decimal { digits, decimals })
}

/// Whether a text is written like a number, of whatever size.
fn is_decimal(text: &str) -> bool {
    let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    match text.split_once('.') {
        Some((_, "")) => false,
        Some((whole_part, fraction)) => is_whole(whole_part) && all_digits(fraction),
        None => is_whole(text),
    }
}

/// Whether a text is written like a whole number, of whatever size.
fn is_whole(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'_')
        && text.starts_with(|first: char| first.is_ascii_digit())
        && text.ends_with(|last: char| last.is_ascii_digit())
}

/// Most decimals that are counted: with nine, a second has its nanoseconds.
const DECIMALS_MAX: u32 = 9;

/// A whole number with optional underscores between digits.
fn whole(text: &str) -> Option<u64> {
    if is_whole(text) { text.replace('_', "").parse().ok() } else { None }
}

/// The number in front and the unit behind it.
fn split(text: &str) -> (&str, &str) {
    let end =
        text.find(|c: char| !(c.is_ascii_digit() || c == '.' || c == '_')).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    (number, unit.trim_start())
}

fn not_a(message: &'static str, example: &str) -> UnitMistake {
    UnitMistake { message, help: format!("write it like {example}") }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn spans_are_read_exactly_or_refused_with_a_repair() {
        let read = |text: &str| text.parse::<Span>().map(|span| span.0);
        for (text, nanos) in [
            ("0s", 0),
            ("250ms", 250_000_000),
            ("1.5s", 1_500_000_000),
            ("3min", 180_000_000_000),
            ("2h", 7_200_000_000_000),
            ("1_000 ms", 1_000_000_000),
        ] {
            assert_eq!(read(text), Ok(Duration::from_nanos(nanos)), "{text}");
        }
        for (text, message, help) in [
            ("2", "has no unit", "write `2s` for seconds, or `2ms`, `2min`"),
            ("2m", "could be minutes or milliseconds", "write `2min` or `2ms`"),
            ("soon", "is no length of time", "write it like `250ms`, `2s`, `3min`"),
            ("-1s", "is no length of time", "write it like `250ms`, `2s`, `3min`"),
            ("8d", "is longer than seven days", "a span may be at most `7d`"),
            ("99999999999999999999d", "is longer than seven days", "a span may be at most `7d`"),
            ("9999999999999.5d", "is longer than seven days", "a span may be at most `7d`"),
            ("0.5ns", "is finer than a nanosecond", "a span is a whole number of nanoseconds"),
            ("0.5.1s", "is no length of time", "write it like `250ms`, `2s`, `3min`"),
        ] {
            let mistake = read(text).unwrap_err();
            assert_eq!((mistake.message, mistake.help.as_str()), (message, help));
        }
    }

    #[test]
    fn the_other_units_refuse_bare_numbers_too() {
        assert_eq!("60".parse::<Rate>().unwrap_err().help, "write `60/min` or `60/s`");
        assert_eq!("5".parse::<Share>().unwrap_err().help, "write `5%`");
        assert_eq!("0".parse::<Share>().unwrap_err().help, "write `0%`");
        for (text, share) in [("0.5", "50%"), ("1", "100%"), ("0.0001", "0.01%")] {
            let help = format!("write `{share}` for that part of the whole, or `{text}%`");
            assert_eq!(text.parse::<Share>().unwrap_err().help, help);
        }
        for fine in ["0.00001%", "0.00000000001%"] {
            assert_eq!(fine.parse::<Share>().unwrap_err().message, "is finer than 0.0001%");
        }
        assert_eq!("0.10000000000000%".parse(), Ok(Share { ppm: 1_000 }));
        let large = "99999999999999999999%".parse::<Share>();
        assert_eq!(large.unwrap_err().message, "is more than the whole");
        assert_eq!("16".parse::<Size>().unwrap_err().help, "write `16B`, `16KiB` or `16MiB`");
        assert_eq!("0/min".parse::<Rate>().unwrap_err().message, "never happens");
        assert_eq!("101%".parse::<Share>().unwrap_err().message, "is more than the whole");
        assert_eq!("4 of 3".parse::<Portion>().unwrap_err().message, "cannot be dealt");
        assert_eq!("3..1".parse::<Ordinals>().unwrap_err().message, "holds no hit");
    }

    #[test]
    fn a_long_tail_has_its_median_and_its_hundredth() {
        let delay: Delay = "400ms p99 2s".parse().unwrap();
        assert_eq!(delay.to_string(), "400ms p99 2s");
        let at = |share: f64| {
            // The draw at which this share of all draws is below.
            let bits = format!("{:.0}", share * 18_446_744_073_709_552_000.0);
            delay.pick(bits.parse().unwrap()).as_secs_f64()
        };
        for (share, seconds) in [(0.5, 0.4), (0.99, 2.0), (0.01, 0.08), (0.158_655_25, 0.2002)] {
            let drawn = at(share);
            assert!((drawn / seconds - 1.0).abs() < 1e-3, "{share}: {drawn}");
        }
        // The ends are drawn too, and are no infinity.
        assert!(delay.pick(0) >= Duration::from_micros(400));
        assert!(delay.pick(u64::MAX) <= Duration::from_secs(200));
        for (text, message) in [
            ("0s p99 1s", "has no tail"),
            ("2s p99 2s", "has no tail"),
            ("2s p99", "is no length of time"),
            ("2s p95 3s", "is no length of time"),
        ] {
            assert_eq!(text.parse::<Delay>().unwrap_err().message, message, "{text}");
        }
    }

    #[test]
    fn lengths_and_steps_of_a_task_are_read_or_refused() {
        let length: Length = "50..400".parse().unwrap();
        assert_eq!((length.pick(0), length.pick(u64::MAX)), (50, 400));
        assert_eq!("200".parse::<Length>().map(|length| length.pick(7)), Ok(200));
        for text in ["0", "100_001", "5..4", "lots", "1e3", "", "5.."] {
            assert!(text.parse::<Length>().is_err(), "{text}");
        }
        let step = |text: &str| text.parse::<TaskStep>().map(|step| step.to_string());
        for text in ["answer", "call search", "call search and fetch-page"] {
            assert_eq!(step(text).as_deref(), Ok(text));
        }
        for text in ["call", "call ", "search", "call a b", "call a and ", "answer twice"] {
            assert!(step(text).is_err(), "{text}");
        }
    }

    #[test]
    fn prices_are_read_to_the_picodollar_or_refused_with_a_repair() {
        for (text, picodollars, printed) in [
            ("$2.50/M", 2_500_000, "$2.5/M"),
            ("$0.0025/K", 2_500_000, "$2.5/M"),
            ("$ 10 / M", 10_000_000, "$10/M"),
            ("$0.0375/M", 37_500, "$0.0375/M"),
            ("$0/M", 0, "$0/M"),
        ] {
            let price: Price = text.parse().unwrap();
            assert_eq!((price.picodollars, price.to_string().as_str()), (picodollars, printed));
        }
        let million = "write the price of a million tokens, such as `$2.50/M`";
        for (text, message, help) in [
            ("2.50", "has no unit", "write `$2.50/M` for a million tokens"),
            ("$2.50", "does not say for how many tokens", "write `$2.50/M` for a million tokens"),
            ("2.50/M", "has no currency", "write `$2.50/M`"),
            ("$2.50/m", "is no price", "write it like `$2.50/M`, `$0.0025/K`"),
            ("cheap", "is no price", "write it like `$2.50/M`, `$0.0025/K`"),
            ("$-1/M", "is no price", "write it like `$2.50/M`, `$0.0025/K`"),
            ("$1001/K", "is more than a dollar for a token", million),
            ("$99999999999999999999/M", "is more than a dollar for a token", million),
            (
                "$0.0000001/M",
                "is finer than a millionth of a dollar for a million tokens",
                "a price has at most six decimals",
            ),
        ] {
            let mistake = text.parse::<Price>().unwrap_err();
            assert_eq!((mistake.message, mistake.help.as_str()), (message, help), "{text}");
        }
    }

    #[test]
    fn money_is_printed_with_all_of_its_digits() {
        for (picodollars, text) in [
            (0, "$0.00"),
            (1, "$0.000000000001"),
            (37_500_000, "$0.0000375"),
            (1_500_000_000_000, "$1.50"),
            (u64::MAX, "$18446744.073709551615"),
        ] {
            assert_eq!(Money { picodollars }.to_string(), text);
        }
    }

    #[test]
    fn a_share_of_a_half_takes_half_of_the_draws() {
        let half = Share { ppm: 500_000 };
        assert!(half.takes(0) && half.takes((1 << 63) - 1));
        assert!(!half.takes(1 << 63) && !half.takes(u64::MAX));
        assert!(Share::ALL.takes(u64::MAX));
        assert!(!Share { ppm: 0 }.takes(0));
    }

    proptest! {
        #[test]
        fn printing_and_reading_is_the_identity(
            nanos in 0..=604_800_000_000_000_u64, count in 1..u64::MAX, ppm in 0..=1_000_000_u32,
            picodollars in 0..=1_000_000_000_000_u64,
        ) {
            let span = Span(Duration::from_nanos(nanos));
            prop_assert_eq!(span.to_string().parse(), Ok(span));
            let rate = Rate { count, per: Period::Hour };
            prop_assert_eq!(rate.to_string().parse(), Ok(rate));
            let share = Share { ppm };
            prop_assert_eq!(share.to_string().parse(), Ok(share));
            let price = Price { picodollars };
            prop_assert_eq!(price.to_string().parse(), Ok(price));
        }

        #[test]
        fn no_text_makes_a_parser_panic(text in ".{0,40}") {
            for format in [
                "span", "delay", "rate", "share", "size", "portion", "ordinals", "price", "length",
                "task step",
            ] {
                let _answer = check(format, &text);
            }
        }
    }
}
