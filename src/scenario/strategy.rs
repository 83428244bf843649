//! How a client copes, as it is written: the words that `client:` and the strategies of the lab share.

use std::{fmt, str::FromStr};

use indexmap::IndexMap;
use mock_server::units::{Rate, Share, Span, UnitMistake};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Diagnostic, Source, compile,
    document::{Client, Factor, TargetName},
};

/// Makes a type with the words of a strategy behind its own.
macro_rules! with_strategy {
    ($(#[$meta:meta])* pub struct $name:ident { $($own:tt)* }) => {
        $(#[$meta])*
        pub struct $name {
            $($own)*
            /// Where calls are sent, in order of preference; `openai/gpt-4o-mini` if left out.
            pub targets: Vec<TargetName>,
            /// How many times a target is tried again; 5 if left out.
            #[schemars(range(min = 0, max = 100))]
            pub retries: Option<u32>,
            /// The most attempts of a call, over all targets; 18 if left out.
            #[schemars(range(min = 1, max = 10_000))]
            pub attempts: Option<u32>,
            /// How long it waits between attempts.
            pub backoff: Backoff,
            /// What it makes of a Retry-After.
            pub hints: Hints,
            /// The longest Retry-After that it obeys; 60 s if left out.
            pub hint_max: Option<Span>,
            /// How far beyond a Retry-After it waits, so that not everybody comes back at once.
            pub hint_spread: HintSpread,
            /// Its timeouts.
            pub timeouts: Timeouts,
            /// How long a target that failed is left alone; 30 s if left out.
            pub cooldown: Option<Span>,
            /// The longest Retry-After that it waits for while another target is free; 5 s if left
            /// out.
            pub fall_back_beyond: Option<Span>,
            /// The limits that it keeps by itself, for each target.
            pub limits: Limits,
            /// Whether its clients, where there are several, share what they keep and learn.
            pub state: State,
            /// What the retries of all calls may use up together; nothing bounds them if left out.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub budget: Option<Budget>,
            /// When a target is too ill to be asked; it is always asked if left out.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub breaker: Option<Breaker>,
            /// When a second attempt is sent beside one that is late; never if left out.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub hedge: Option<Hedge>,
            /// When attempts are not even sent because the target refuses most; always sent if
            /// left out.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub throttle: Option<Throttle>,
            /// How many attempts may be under way at a time, learnt from refusals; as many as come
            /// if left out.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub adaptive_concurrency: Option<AdaptiveConcurrency>,
            /// Whether its rate follows refusals, as in the adaptive mode of the AWS SDKs.
            pub adaptive_rate: bool,
        }
    };
}

pub(crate) use with_strategy;

with_strategy! {
    /// A client's way to cope, and nothing of its work.
    #[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
    #[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
    pub struct Strategy {
        /// What it is, in one line.
        pub about: String,
    }
}

/// Strategies, as a file of the lab has them.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct StrategyFile {
    /// The version of the language: 1.
    #[schemars(range(min = 1))]
    pub brownout: u32,
    /// The strategies, each under its name.
    pub strategies: IndexMap<String, Strategy>,
}

impl Strategy {
    /// Reads a file of strategies, or tells everything that is wrong with it.
    pub fn read(source: &Source) -> Result<IndexMap<String, Self>, Vec<Diagnostic>> {
        compile::strategies(source)
    }
}

/// What a client makes of a Retry-After, in whatever form it comes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Hints {
    /// It does not read them.
    Ignore,
    /// It waits for them; one that is longer than `hint-max` ends the call, or moves it on.
    #[default]
    Obey,
    /// It waits for those up to `hint-max`, and backs off as if the longer ones were not there.
    ObeyShort,
}

/// How far beyond a Retry-After a client waits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct HintSpread {
    /// At most this share of it, from `0%` to `100%`; 10% if left out.
    pub share: Option<Share>,
    /// Never less room than this; 100 ms if left out.
    pub at_least: Option<Span>,
    /// Never more than this; 5 s if left out.
    pub at_most: Option<Span>,
}

/// How a client waits between attempts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Backoff {
    /// The longest first wait; 1 s if left out.
    pub base: Option<Span>,
    /// The longest wait; 60 s if left out.
    pub cap: Option<Span>,
    /// By how much the longest wait grows from retry to retry; `2x` if left out.
    pub multiplier: Option<Factor>,
    /// How the wait is drawn; full jitter if left out.
    pub jitter: Option<Jitter>,
}

/// How a wait is drawn from its envelope.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Jitter {
    /// From the base to three times the wait before it, whichever retry it is.
    Decorrelated,
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

/// A client's timeouts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Timeouts {
    /// Until connected; 5 s if left out.
    pub connect: Option<Span>,
    /// Until the first token; 60 s if left out.
    pub first_token: Option<Span>,
    /// Between two tokens; 30 s if left out.
    pub idle: Option<Span>,
    /// For an attempt; 120 s if left out.
    pub attempt: Option<Span>,
    /// For a call with all its attempts; 600 s if left out.
    pub call: Option<Span>,
}

/// The limits that a client keeps by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Limits {
    /// The provider's own limits, where the scenario gives it some: so much of each, such as
    /// `95%`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub as_provider: Option<Share>,
    /// Requests, such as `60/min`.
    pub requests: Option<Rate>,
    /// Tokens, such as `90_000/min`.
    pub tokens: Option<Rate>,
    /// Attempts under way at the same time.
    #[schemars(range(min = 1, max = 100_000))]
    pub concurrency: Option<u32>,
    /// The longest wait in the client's own line; who would wait longer is turned away at once.
    /// As long as the call may take if left out.
    pub queue: Option<Span>,
}

/// Whether the clients of a scenario share limits, budget and what they learn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Each has its own, and an equal part of the limits, as separate processes have.
    Own,
    /// All share it, as within one process.
    #[default]
    Shared,
}

/// What the retries of all calls may use up together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(title = "budget")]
pub enum Budget {
    /// Tokens that retries cost and successes give back, as in the AWS SDKs.
    Aws(AwsBudget),
    /// So many retries at a time, in proportion to the calls under way, as in Envoy.
    Concurrent(ConcurrentBudget),
    /// Tokens that failures cost and successes earn, as in gRPC.
    Grpc(GrpcBudget),
    /// A share of the calls.
    Ratio(RatioBudget),
}

/// Settings of `aws`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct AwsBudget {
    /// The most tokens, and the first; 500 if left out.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub capacity: Option<u32>,
    /// What a retry costs; 5 if left out.
    #[schemars(range(min = 0, max = 1_000_000))]
    pub cost: Option<u32>,
    /// What a retry after a timeout costs; 10 if left out.
    #[schemars(range(min = 0, max = 1_000_000))]
    pub timeout_cost: Option<u32>,
    /// What a retry after a rate limit costs; 5 if left out.
    #[schemars(range(min = 0, max = 1_000_000))]
    pub limited_cost: Option<u32>,
}

/// Settings of `concurrent`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct ConcurrentBudget {
    /// Retries for each call under way; 20% if left out.
    pub share: Option<Share>,
    /// So many are always allowed; 3 if left out.
    #[schemars(range(min = 0, max = 1_000_000))]
    pub at_least: Option<u32>,
}

/// Settings of `grpc`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct GrpcBudget {
    /// The most tokens, and the first; 10 if left out.
    #[schemars(range(min = 1, max = 1_000))]
    pub tokens: Option<u32>,
    /// The part of a token that a success earns; 10% if left out.
    pub ratio: Option<Share>,
}

/// Settings of `ratio`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct RatioBudget {
    /// Retries that each call earns; 10% if left out.
    pub share: Option<Share>,
    /// Retries that each second earns; 1 if left out.
    #[schemars(range(min = 0, max = 1_000_000))]
    pub per_second: Option<u32>,
    /// The most that can be saved up; 100 if left out.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub saved: Option<u32>,
    /// How many there are at the start; as many as can be saved up if left out.
    #[schemars(range(min = 0, max = 1_000_000))]
    pub initial: Option<u32>,
}

/// When a target is too ill to be asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Breaker {
    /// The share of failures at which it opens; 50% if left out.
    pub failures: Option<Share>,
    /// The fewest attempts to judge by; 20 if left out.
    #[schemars(range(min = 1, max = 100_000))]
    pub of: Option<u32>,
    /// For how long an attempt is remembered; 60 s if left out.
    pub within: Option<Span>,
    /// How long it stays open the first time, and each time twice as long; 10 s if left out.
    pub open: Option<Span>,
    /// The longest that it stays open; 120 s if left out.
    pub open_max: Option<Span>,
    /// How many attempts must succeed to close it; 3 if left out.
    #[schemars(range(min = 1, max = 1_000))]
    pub trials: Option<u32>,
}

/// When a second attempt is sent beside one that is late.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Hedge {
    /// How late it must be: a span, or a percentile of what was seen, such as `p95`, which it is
    /// if left out.
    pub after: Option<HedgeAfter>,
    /// The most hedges of a call; 1 if left out.
    #[schemars(range(min = 1, max = 10))]
    pub at_most: Option<u32>,
    /// The most hedges in proportion to calls; 5% if left out.
    pub share: Option<Share>,
}

/// How late an attempt must be for a hedge: `2s`, or `p95`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HedgeAfter {
    /// Later than so many in a hundred of those that were seen.
    Percentile(u32),
    /// So late.
    Span(Span),
}

/// When attempts are not even sent, as the SRE book does it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Throttle {
    /// How many times as much as is accepted may be asked for; `2x` if left out.
    pub beyond: Option<Factor>,
    /// Over which time attempts are counted; 120 s if left out.
    pub within: Option<Span>,
}

/// How many attempts may be under way at a time: one more while nothing is refused, fewer after a refusal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct AdaptiveConcurrency {
    /// How many at first; 8 if left out.
    #[schemars(range(min = 1, max = 100_000))]
    pub initial: Option<u32>,
    /// The fewest; 4 if left out.
    #[schemars(range(min = 1, max = 100_000))]
    pub at_least: Option<u32>,
    /// The most; 64 if left out.
    #[schemars(range(min = 1, max = 100_000))]
    pub at_most: Option<u32>,
    /// What a refusal leaves of it; 70% if left out.
    pub keep: Option<Share>,
}

impl Client {
    /// Its way to cope, and nothing of its work.
    pub fn strategy(&self) -> Strategy {
        Strategy {
            about: String::new(),
            targets: self.targets.clone(),
            retries: self.retries,
            attempts: self.attempts,
            backoff: self.backoff,
            hints: self.hints,
            hint_max: self.hint_max,
            hint_spread: self.hint_spread,
            timeouts: self.timeouts,
            cooldown: self.cooldown,
            fall_back_beyond: self.fall_back_beyond,
            limits: self.limits,
            state: self.state,
            budget: self.budget,
            breaker: self.breaker,
            hedge: self.hedge,
            throttle: self.throttle,
            adaptive_concurrency: self.adaptive_concurrency,
            adaptive_rate: self.adaptive_rate,
        }
    }

    /// The same work, coped with in another way; targets and timeouts that a strategy does not name stay as they are, since they are the application's.
    pub fn set_strategy(&mut self, strategy: &Strategy) {
        if !strategy.targets.is_empty() {
            self.targets.clone_from(&strategy.targets);
        }
        self.retries = strategy.retries;
        self.attempts = strategy.attempts;
        self.backoff = strategy.backoff;
        self.hints = strategy.hints;
        self.hint_max = strategy.hint_max;
        self.hint_spread = strategy.hint_spread;
        self.timeouts = strategy.timeouts.or(self.timeouts);
        self.cooldown = strategy.cooldown;
        self.fall_back_beyond = strategy.fall_back_beyond;
        self.limits = strategy.limits;
        self.state = strategy.state;
        self.budget = strategy.budget;
        self.breaker = strategy.breaker;
        self.hedge = strategy.hedge;
        self.throttle = strategy.throttle;
        self.adaptive_concurrency = strategy.adaptive_concurrency;
        self.adaptive_rate = strategy.adaptive_rate;
    }
}

impl Timeouts {
    /// These, and others where they say nothing.
    fn or(self, others: Self) -> Self {
        Self {
            connect: self.connect.or(others.connect),
            first_token: self.first_token.or(others.first_token),
            idle: self.idle.or(others.idle),
            attempt: self.attempt.or(others.attempt),
            call: self.call.or(others.call),
        }
    }
}

impl FromStr for HedgeAfter {
    type Err = UnitMistake;

    fn from_str(text: &str) -> Result<Self, UnitMistake> {
        let Some(percent) = text.strip_prefix('p') else { return text.parse().map(Self::Span) };
        match percent.parse() {
            Ok(percent @ 1..=99) => Ok(Self::Percentile(percent)),
            _ => Err(UnitMistake {
                message: "is no percentile",
                help: "write one from `p1` to `p99`, or a span such as `2s`".to_owned(),
            }),
        }
    }
}

impl fmt::Display for HedgeAfter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Percentile(percent) => write!(f, "p{percent}"),
            Self::Span(span) => span.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_hedge_comes_after_a_span_or_a_percentile() {
        for (text, after) in [
            ("2s", HedgeAfter::Span(Span(Duration::from_secs(2)))),
            ("p95", HedgeAfter::Percentile(95)),
        ] {
            assert_eq!(text.parse(), Ok(after));
            assert_eq!(after.to_string(), text);
        }
        for wrong in ["p0", "p100", "p", "p9.5"] {
            assert_eq!(wrong.parse::<HedgeAfter>().unwrap_err().message, "is no percentile");
        }
        assert!("2".parse::<HedgeAfter>().is_err());
    }
}
