//! A scenario as it is written: the types that define the language.
//!
//! Keys, settings, units and their texts come from here; the schema that checks a file is made
//! from these types, and so is what an editor shows.

use std::{fmt, str::FromStr, time::Duration};

use indexmap::IndexMap;
use mock_server::{
    action::{Action, ErrorKind},
    plan::{ConnectionAct, LaneKey, Provider, ProviderName, Scope, Then, When},
    units::{Delay, Ordinals, Portion, Rate, Share, Span, UnitMistake},
    written_as_text,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::strategy::{
    AdaptiveConcurrency, Backoff, Breaker, Budget, Hedge, HedgeAfter, HintSpread, Hints, Limits,
    State, Throttle, Timeouts, with_strategy,
};

/// One scenario file.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Document {
    /// The version of the language: 1.
    #[schemars(range(min = 1))]
    pub brownout: u32,
    /// What the scenario claims, in one line.
    pub name: String,
    /// Why it matters.
    #[serde(default)]
    pub about: Option<String>,
    /// The seed of its draws, unless the run is given one.
    #[serde(default)]
    pub seed: Option<u64>,
    /// How long the client may take; 60 s for a command and 24 h of virtual time if left out.
    #[serde(default)]
    pub time_limit: Option<Span>,
    /// The provider in health.
    #[serde(default)]
    pub provider: Provider,
    /// What tells lanes apart where a request names none: nothing if left out, or its key.
    #[serde(default)]
    pub lanes: LaneKey,
    /// What happens to connections before any request.
    #[serde(default)]
    pub connections: Vec<ConnectionEntry>,
    /// What the provider does to requests; the first rule that acts decides.
    #[serde(default)]
    pub rules: Vec<RuleEntry>,
    /// The built-in client's work; a command replaces it.
    #[serde(default)]
    pub client: Client,
    /// What should hold; the house rules if left out.
    #[serde(default)]
    pub expect: Option<Vec<Expectation>>,
    /// Built-in findings that this scenario means to happen.
    #[serde(default)]
    pub allow: Vec<BuiltIn>,
}

/// What happens to connections before any request.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ConnectionEntry {
    /// Which connections; all of them if left out.
    #[serde(default)]
    pub when: ConnectionWhen,
    /// What happens to them.
    pub fault: ConnectionAct,
}

/// Which connections an entry means.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct ConnectionWhen {
    /// From when on, counted from the first request.
    pub from: Option<Span>,
    /// Until when, not included.
    pub until: Option<Span>,
    /// Which connections, counted from 1.
    pub nth: Option<Ordinals>,
}

/// "When this request, do that."
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
#[derive(Default)]
pub struct RuleEntry {
    /// Which requests match; a match is a hit.
    pub when: When,
    /// Acts on these hits.
    pub hits: Option<Ordinals>,
    /// Acts on every n-th hit.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub every: Option<u64>,
    /// Acts on exactly k of every n hits, in a drawn order.
    pub exactly: Option<Portion>,
    /// Acts on each hit with this chance.
    pub chance: Option<Share>,
    /// Draws together with the other rules that name the same draw.
    pub draw: Option<String>,
    /// Where hits are counted: by default in the call for a script, in the lane for a fault.
    pub per: Option<Scope>,
    /// One fault, each time.
    pub fault: Option<Action>,
    /// Steps in order, one for each request.
    pub script: Option<Vec<Action>>,
    /// What follows the last step of the script; the healthy answer if left out.
    pub then: Option<Then>,
}

with_strategy! {
    /// The built-in client's work and settings.
    #[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
    #[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
    pub struct Client {
        /// Whether the scenario judges this client's settings, and means nothing for a command.
        pub only: bool,
        /// How many calls it makes; one if left out.
        #[schemars(range(min = 1, max = 1_000_000))]
        pub calls: Option<u32>,
        /// How many calls are under way at a time; one if left out.
        #[schemars(range(min = 1, max = 10_000))]
        pub concurrency: Option<u32>,
        /// How long it thinks after a call before the next one begins; not at all if left out.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub think: Option<Delay>,
        /// Calls that come at a rate, whether or not earlier ones have ended.
        pub arrivals: Option<Arrivals>,
        /// How many clients make the calls, in turn; one if left out.
        #[schemars(range(min = 1, max = 100_000))]
        pub clients: Option<u32>,
        /// Whether it asks for streams.
        pub streaming: bool,
        /// What it asks.
        pub prompt: Prompt,
        /// The most output tokens it asks for; 500 if left out.
        #[schemars(range(min = 1, max = 1_000_000))]
        pub output_tokens: Option<u64>,
    }
}

/// Calls that come at a rate.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Arrivals {
    /// How many, such as `20/s`.
    pub rate: Rate,
    /// For how long.
    pub r#for: Span,
    /// How they are spread over that time; evenly if left out.
    #[serde(default)]
    pub spread: ArrivalSpread,
}

/// How calls that come at a rate are spread over time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ArrivalSpread {
    /// One after the other, at equal distances.
    #[default]
    Even,
    /// Each on its own, as those of many independent users (a Poisson process).
    Random,
}

/// What the built-in client asks.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Prompt {
    /// About how many tokens the whole conversation has, such as `600` or `200..1800`.
    pub tokens: Option<PromptTokens>,
    /// How many turns it has; one question if left out.
    #[schemars(range(min = 1, max = 10_000))]
    pub turns: Option<u32>,
}

/// Something that should hold.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(title = "expectation")]
pub enum Expectation {
    /// All attempts over all calls.
    Amplification(Amplification),
    /// Attempts of each call, over all targets.
    Attempts(Count),
    /// This error is not answered by the same request with the same key.
    NotRetried(ErrorKind),
    /// Each call tries providers in this order.
    Order(Vec<ProviderName>),
    /// What the application gets in the end.
    Outcome(Outcome),
    /// The busiest second of a window, against the mean of the run.
    Peak(Peak),
    /// The share of answers that came from a provider.
    ServedBy(IndexMap<ProviderName, ShareIn>),
    /// The share of calls that succeed.
    Success(ShareIn),
    /// Attempts of the whole run.
    TotalAttempts(Count),
    /// From the first request to the end.
    TotalTime(Bounds),
    /// The waits between the attempts of a call.
    Waits(Waits),
}

/// How many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Count {
    /// Just so many.
    pub exactly: Option<u64>,
    /// So many or more.
    pub at_least: Option<u64>,
    /// So many or fewer.
    pub at_most: Option<u64>,
}

/// How much more is sent than asked for.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Amplification {
    /// Such as `1.2x`.
    pub at_most: Factor,
}

/// What the application gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// An error, and knows it.
    Failure,
    /// The whole answer.
    Success,
}

/// A share in a window of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ShareIn {
    /// From when on, counted from the first request.
    #[serde(default)]
    pub from: Option<Span>,
    /// Until when, not included.
    #[serde(default)]
    pub until: Option<Span>,
    /// Such as `99%`.
    pub at_least: Share,
}

/// The busiest second of a window.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Peak {
    /// From when on, counted from the first request.
    pub from: Span,
    /// For how long.
    pub r#for: Span,
    /// Such as `1.5x mean`.
    pub at_most: TimesMean,
}

/// Bounds of a span; at least one must be given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Bounds {
    /// So long or longer.
    pub at_least: Option<Span>,
    /// So long or shorter.
    pub at_most: Option<Span>,
}

/// What the waits between the attempts of a call should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Waits {
    /// Never shorter than the server asked.
    AtLeastRetryAfter,
    /// Drawn from this formula, where the server asked for nothing.
    Backoff(Formula),
}

/// An exponential backoff: `min(cap, base × 2ⁿ)` is the envelope of the wait before retry n + 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Formula {
    /// The envelope of the first wait.
    pub base: Span,
    /// The envelope's end.
    pub cap: Span,
    /// How a wait is drawn from its envelope.
    #[serde(default)]
    pub jitter: FormulaJitter,
}

/// How a wait is drawn from its envelope, which depends on nothing else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FormulaJitter {
    /// From half of the envelope to the whole.
    Equal,
    /// From nothing to the whole envelope.
    #[default]
    Full,
    /// The whole envelope.
    None,
    /// From three quarters of the envelope to the whole, as OpenAI's and Anthropic's SDKs do it.
    Quarter,
}

/// The findings that are made without being asked for.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
#[schemars(title = "built-in finding")]
pub enum BuiltIn {
    /// A request came after a script that says `then: fail`.
    BeyondScript,
    /// The command ended with an error.
    CommandFailed,
    /// The server had no room for a connection.
    ConnectionLimit,
    /// The journal reached its limit.
    JournalFull,
    /// A request asked for a lane that it could not have.
    LaneRefused,
    /// No request came.
    NoRequest,
    /// An expectation had nothing to judge.
    NotExercised,
    /// A rule never acted.
    RuleNeverActed,
    /// No call came to the end of a script.
    ScriptUnfinished,
    /// The machine was too busy to measure.
    Starved,
    /// The client was still running at the time limit.
    TimeLimit,
    /// A request that no dialect serves.
    UnservedRequest,
}

/// How many tokens a conversation has, such as `600` or `200..1800`, from 1 to 2,000,000.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PromptTokens {
    /// The fewest.
    pub least: u64,
    /// The most, not below `least`.
    pub most: u64,
}

/// A multiple, such as `1.5x`, in thousandths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Factor {
    /// Thousandths.
    pub millis: u32,
}

/// A multiple of the mean, such as `1.5x mean`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimesMean(pub Factor);

/// A provider and a model, such as `openai/gpt-4o-mini`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetName {
    /// The provider, one that the built-in client speaks.
    pub provider: ProviderName,
    /// The model.
    pub model: String,
}

impl BuiltIn {
    /// The finding's name in the scenario language and in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::BeyondScript => "beyond-script",
            Self::CommandFailed => "command-failed",
            Self::ConnectionLimit => "connection-limit",
            Self::JournalFull => "journal-full",
            Self::LaneRefused => "lane-refused",
            Self::NoRequest => "no-request",
            Self::NotExercised => "not-exercised",
            Self::RuleNeverActed => "rule-never-acted",
            Self::ScriptUnfinished => "script-unfinished",
            Self::Starved => "starved",
            Self::TimeLimit => "time-limit",
            Self::UnservedRequest => "unserved-request",
        }
    }
}

impl Expectation {
    /// The expectation's key in the scenario language.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Amplification(_) => "amplification",
            Self::Attempts(_) => "attempts",
            Self::NotRetried(_) => "not-retried",
            Self::Order(_) => "order",
            Self::Outcome(_) => "outcome",
            Self::Peak(_) => "peak",
            Self::ServedBy(_) => "served-by",
            Self::Success(_) => "success",
            Self::TotalAttempts(_) => "total-attempts",
            Self::TotalTime(_) => "total-time",
            Self::Waits(_) => "waits",
        }
    }
}

impl Factor {
    /// The multiple as a number.
    pub fn value(self) -> f64 {
        f64::from(self.millis) / 1_000.0
    }
}

impl ShareIn {
    /// Whether a time since the first request lies in the window.
    pub fn contains(&self, elapsed: Duration) -> bool {
        self.from.is_none_or(|from| from.0 <= elapsed)
            && self.until.is_none_or(|until| elapsed < until.0)
    }
}

impl FromStr for Factor {
    type Err = UnitMistake;

    fn from_str(text: &str) -> Result<Self, UnitMistake> {
        let no_factor =
            || UnitMistake { message: "is no multiple", help: "write it like `1.5x`".to_owned() };
        let Some(number) = text.strip_suffix('x') else {
            return Err(match text.parse::<f64>() {
                Ok(_) => UnitMistake { message: "has no unit", help: format!("write `{text}x`") },
                Err(_) => no_factor(),
            });
        };
        let (whole, decimals) = number.split_once('.').unwrap_or((number, ""));
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || decimals.len() > 3 || !digits(whole) || !digits(decimals) {
            return Err(no_factor());
        }
        let millis = format!("{whole}{decimals:0<3}").parse().map_err(|_| no_factor())?;
        Ok(Self { millis })
    }
}

impl fmt::Display for Factor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, rest) = (self.millis / 1_000, self.millis % 1_000);
        let rest = format!("{rest:03}");
        match rest.trim_end_matches('0') {
            "" => write!(f, "{whole}x"),
            rest => write!(f, "{whole}.{rest}x"),
        }
    }
}

impl FromStr for PromptTokens {
    type Err = UnitMistake;

    fn from_str(text: &str) -> Result<Self, UnitMistake> {
        let (least, most) = text.split_once("..").unwrap_or((text, text));
        let number = |text: &str| {
            let digits = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'_');
            digits.then(|| text.replace('_', "")).and_then(|text| text.parse::<u64>().ok())
        };
        match (number(least), number(most)) {
            (Some(least @ 1..), Some(most @ ..=PROMPT_TOKENS_MAX)) if least <= most => {
                Ok(Self { least, most })
            }
            _ => Err(UnitMistake {
                message: "is no number of tokens",
                help: "write one from 1 to 2000000 such as `600`, or a range such as `200..1800`"
                    .to_owned(),
            }),
        }
    }
}

impl fmt::Display for PromptTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.least == self.most {
            return self.least.fmt(f);
        }
        write!(f, "{}..{}", self.least, self.most)
    }
}

/// The longest prompt, longer than any window.
const PROMPT_TOKENS_MAX: u64 = 2_000_000;

impl FromStr for TimesMean {
    type Err = UnitMistake;

    fn from_str(text: &str) -> Result<Self, UnitMistake> {
        let Some(factor) = text.strip_suffix("mean") else {
            let help = "write it like `1.5x mean`".to_owned();
            return Err(UnitMistake { message: "says no multiple of what", help });
        };
        factor.trim_end().parse().map(Self)
    }
}

impl fmt::Display for TimesMean {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} mean", self.0)
    }
}

impl FromStr for TargetName {
    type Err = UnitMistake;

    fn from_str(text: &str) -> Result<Self, UnitMistake> {
        let mistake = |message| UnitMistake {
            message,
            help: "write it like `openai/gpt-4o-mini` or `anthropic/claude-haiku-4-5`".to_owned(),
        };
        let (provider, model) = text.split_once('/').ok_or(mistake("names no target"))?;
        let provider = match provider {
            "openai" => ProviderName::OpenAi,
            "anthropic" => ProviderName::Anthropic,
            _ => return Err(mistake("names a provider that the built-in client does not speak")),
        };
        if model.is_empty() {
            return Err(mistake("names no model"));
        }
        Ok(Self { provider, model: model.to_owned() })
    }
}

impl fmt::Display for TargetName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.provider.name(), self.model)
    }
}

written_as_text! {
    /// Checks a text against a format of the language; `None` if there is no such format.
    pub(super) fn check_format, otherwise mock_server::quota::check;
    Factor, "multiple";
    HedgeAfter, "hedge delay";
    PromptTokens, "prompt length";
    TargetName, "target";
    TimesMean, "multiple of the mean";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn multiples_and_targets_are_read_or_refused_with_a_repair() {
        for (text, millis) in [("1x", 1_000), ("1.5x", 1_500), ("0.125x", 125), ("10x", 10_000)] {
            let factor: Factor = text.parse().unwrap();
            assert_eq!((factor.millis, factor.to_string().as_str()), (millis, text));
        }
        let help = |mistake: UnitMistake| mistake.help;
        assert_eq!("1.5".parse::<Factor>().map_err(help), Err("write `1.5x`".to_owned()));
        assert_eq!("1.5x".parse::<TimesMean>().unwrap_err().message, "says no multiple of what");
        assert_eq!(
            "google/gemini".parse::<TargetName>().unwrap_err().message,
            "names a provider that the built-in client does not speak"
        );
        let target: TargetName = "openai/ft:gpt-4o/7".parse().unwrap();
        assert_eq!(target.to_string(), "openai/ft:gpt-4o/7");
    }
}
