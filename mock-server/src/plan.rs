//! The provider part of a scenario, compiled: nothing left to parse, nothing that can be wrong.
//!
//! The plan knows what the provider does and when, and refuses to know where that was written;
//! whoever compiles a plan keeps the table from a rule or step to its place in the file.

use std::time::Duration;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    action::Action,
    units::{Delay, Ordinals, Portion, Rate, Share, Span},
};

/// What one lane's provider does.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// The provider in health.
    pub provider: Provider,
    /// What happens before any request.
    pub connections: Vec<ConnectionRule>,
    /// What it does to requests, tried in order.
    pub rules: Vec<Rule>,
    /// Where it stops.
    pub limits: Limits,
}

/// "When this request, do that."
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Rule {
    /// Which requests match; a match is a hit.
    pub when: When,
    /// Which hits the rule acts on.
    pub pick: Pick,
    /// Where hits are counted and where a script's position is kept.
    pub per: Scope,
    /// What it does.
    pub act: Act,
    /// The name of a draw shared with other rules; by default the rule draws for itself.
    pub draw: Option<String>,
}

/// What a rule does when it acts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum Act {
    /// One action, each time.
    Fault(Action),
    /// Actions in order; `times` is unrolled by the reader.
    Script {
        /// The steps, at least one.
        steps: Vec<Action>,
        /// What follows the last step.
        then: Then,
    },
}

/// Which hits of a rule it acts on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Pick {
    /// Every one.
    Always,
    /// Each with this chance.
    Chance(Share),
    /// The n-th, 2n-th, 3n-th and so on; n is at least 1.
    Every(u64),
    /// k of every n, in a drawn order.
    Exactly(Portion),
    /// Those in a range.
    Hits(Ordinals),
}

/// The conditions of a rule; all of them must hold, and none means every request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct When {
    /// The route, such as `openai.chat` or `anthropic.messages`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route: Option<Route>,
    /// The provider, such as `openai`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider: Option<ProviderName>,
    /// The model asked for; `*` stands for any text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The key used; `*` stands for any text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Header values by header name; `*` stands for any text.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub header: IndexMap<String, String>,
    /// Body values by path, such as `messages.0.role`; `*` stands for any text.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub body: IndexMap<String, String>,
    /// Whether the request asks for a stream.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub streaming: Option<bool>,
    /// From when on, counted from the lane's first request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<Span>,
    /// Until when, not included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Span>,
}

/// The routes that are served.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
pub enum Route {
    /// Anthropic's Messages.
    #[serde(rename = "anthropic.messages")]
    AnthropicMessages,
    /// OpenAI's Chat Completions.
    #[serde(rename = "openai.chat")]
    OpenAiChat,
}

/// The providers that are spoken or recognised.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum ProviderName {
    /// Anthropic.
    Anthropic,
    /// Azure OpenAI.
    Azure,
    /// Google Gemini.
    Google,
    /// OpenAI.
    OpenAi,
}

/// Where a rule's hits are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// Each call meets the rule afresh.
    Call,
    /// All requests of the lane share it.
    Lane,
}

/// What follows the last step of a script.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Then {
    /// The script starts over.
    Cycle,
    /// A further request is a finding; it is refused as invalid, which no client should repeat.
    Fail,
    /// The script is over: the healthy answer, unless a later rule acts.
    #[default]
    Healthy,
    /// The last step again.
    RepeatLast,
}

/// The provider in health.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Provider {
    /// The limits it enforces, for each key and model.
    pub quota: Quota,
    /// How long its answers take.
    pub latency: Latency,
    /// The models it knows, by name or pattern; if any are listed, all others are unknown.
    pub models: IndexMap<String, Model>,
    /// What it answers.
    pub answers: Answers,
    /// How many requests it works on at a time; one more is answered as overloaded.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100_000))]
    pub capacity: Option<u32>,
}

/// The limits that the provider enforces, for each key and model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Quota {
    /// Requests, such as `60/min`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests: Option<Rate>,
    /// Tokens, such as `90_000/min`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens: Option<Rate>,
}

/// How long the provider's healthy answers take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Latency {
    /// The time before the answer, or before the first token of a stream.
    pub first_token: Delay,
    /// The time between two tokens.
    pub between_tokens: Delay,
}

/// What the provider knows of one model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Model {
    /// The window in tokens; the model's real one if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100_000_000))]
    pub window: Option<u64>,
}

/// What the provider answers in health.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Answers {
    /// A fixed text, between the marks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// About how many tokens an answer has.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100_000))]
    pub tokens: Option<u32>,
    /// Whether the answer repeats the last user message.
    pub echo: bool,
}

/// What happens to connections, before any request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ConnectionRule {
    /// From when on, counted from the lane's first request.
    pub from: Option<Duration>,
    /// Until when, not included.
    pub until: Option<Duration>,
    /// Which connections of the lane, counted from 1.
    pub nth: Option<Ordinals>,
    /// What happens to them.
    pub act: ConnectionAct,
}

/// What happens to a connection before any request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ConnectionAct {
    /// It is accepted, but nothing is read from it for a while.
    AcceptLate(AcceptLate),
    /// It is refused: nothing listens.
    Refuse,
}

/// Settings of `accept-late`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct AcceptLate {
    /// How late.
    pub after: Span,
}

/// Where a server stops; reaching a limit is reported by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Limits {
    /// The longest request body, in bytes.
    pub body_bytes_max: usize,
    /// The most connections at a time.
    pub connections_max: usize,
    /// The most journal entries of a run.
    pub journal_entries_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            // Anthropic's limit for a Messages body, the largest documented one that we serve.
            body_bytes_max: 32 << 20,
            connections_max: 4_096,
            // About a gigabyte of journal in memory.
            journal_entries_max: 1_000_000,
        }
    }
}

impl Route {
    /// Whose route it is.
    pub fn provider(self) -> ProviderName {
        match self {
            Self::AnthropicMessages => ProviderName::Anthropic,
            Self::OpenAiChat => ProviderName::OpenAi,
        }
    }

    /// The route's name in the scenario language.
    pub fn name(self) -> &'static str {
        match self {
            Self::AnthropicMessages => "anthropic.messages",
            Self::OpenAiChat => "openai.chat",
        }
    }
}

impl ProviderName {
    /// The provider's name in the scenario language.
    pub fn name(self) -> &'static str {
        match self {
            Self::Anthropic => "anthropic",
            Self::Azure => "azure",
            Self::Google => "google",
            Self::OpenAi => "openai",
        }
    }
}

/// Whether a text matches a pattern in which `*` stands for any text, also none.
pub fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        match rest.find(part) {
            Some(start) => rest = &rest[start + part.len()..],
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_text() {
        for (pattern, text, expected) in [
            ("gpt-4o", "gpt-4o", true),
            ("gpt-4o", "gpt-4o-mini", false),
            ("gpt-4o*", "gpt-4o-mini", true),
            ("*", "", true),
            ("*mini", "gpt-4o-mini", true),
            ("a*a", "a", false),
            ("a*b*c", "a--b--c", true),
            ("a*b*c", "a--c--b", false),
            ("", "", true),
            ("", "x", false),
            ("*é*", "café au lait", true),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} on {text}");
        }
    }
}
