//! A request as the engine sees it, whatever dialect it was spoken in.

use std::{fmt, hash::Hasher, sync::Arc};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    draw::StableHasher,
    plan::{Route, When, matches},
};

/// One request that a dialect understood.
#[derive(Clone, Debug)]
pub struct Request {
    /// The route it was sent to.
    pub route: Route,
    /// The model it asks for.
    pub model: String,
    /// The key it was sent with; never journalled, only its fingerprint is.
    pub key: String,
    /// Its headers, names in lower case.
    pub headers: Headers,
    /// Its body.
    pub body: Value,
    /// Whether it asks for a stream.
    pub streaming: bool,
    /// What it says, without the dialect.
    pub conversation: Conversation,
    /// The tokens of its input, counted by the provider's rule.
    pub input_tokens: u64,
    /// The most output tokens it asks for.
    pub output_tokens_max: Option<u64>,
    /// What else it wants of its answer.
    pub wishes: Wishes,
    /// The connection it came on, counted from 1; 0 until the server says so.
    pub connection: u64,
}

/// What a request wants of its answer, beyond its length; the same in every dialect.
#[derive(Clone, Debug, PartialEq)]
pub struct Wishes {
    /// How many answers beside each other, at least 1.
    pub choices: u32,
    /// The texts at which the answer ends.
    pub stops: Vec<String>,
    /// The tools that may be called.
    pub tools: Vec<Tool>,
    /// Whether tools may, must or must not be called.
    pub tool_choice: ToolChoice,
    /// Whether one answer may call several tools.
    pub parallel_tools: bool,
    /// The form of the text.
    pub format: Format,
    /// Whether the model is to think, and to show that it does.
    pub reasons: bool,
}

/// A tool that the client offers.
#[derive(Clone, Debug, PartialEq)]
pub struct Tool {
    /// Its name.
    pub name: String,
    /// The JSON schema of its arguments; null if there is none.
    pub schema: Value,
}

/// Whether tools may, must or must not be called.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ToolChoice {
    /// As the model likes.
    #[default]
    Auto,
    /// This one must be called.
    Named(String),
    /// None may be called.
    None,
    /// Any one must be called.
    Required,
}

/// The form of a text that a request asks for.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Format {
    /// Any JSON object.
    Json,
    /// JSON that satisfies a schema.
    Schema(Value),
    /// Plain text.
    #[default]
    Text,
}

/// Header names in lower case with their values, in the order of arrival; clones share them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers(Arc<Fields>);

/// Names and values in one text, for there are many of them and most are short.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Fields {
    text: String,
    /// Where each name ends, and the value behind it.
    ends: Vec<(usize, usize)>,
}

/// The turns of a conversation, normalised so that the same one looks the same to every provider.
///
/// Only roles and texts count: model, key, temperature and metadata may differ between two attempts
/// of one call. Clones share what they have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conversation {
    /// A hash of each turn, the system turns first.
    turns: Arc<[u64]>,
    /// The text of the last user turn.
    pub last_user: Arc<str>,
    /// The hash of that text.
    anchor: u64,
    /// How many turns of the assistant called tools since then: how far an agent's task got.
    pub tool_turns: u64,
}

/// The role of an assistant's turn that calls tools.
///
/// A turn that brings back what they returned has the role `tool`, whoever its provider says spoke.
pub const TOOL_CALLS: &str = "tool-calls";

/// What stands for a key in a journal: enough to tell keys apart, too little to use them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Fingerprint {
    /// A key, by half of its hash.
    Key(u32),
    /// There was no key.
    None,
}

/// A text that is no fingerprint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a key's fingerprint is `key-` with eight hexadecimal digits, or `none`, and not `{0}`")]
pub struct NoFingerprint(pub String);

impl Request {
    /// A request of which nothing but its headers is known.
    pub(crate) fn unknown(route: Route, headers: Headers) -> Self {
        let names = ["authorization", "x-api-key", "api-key", "x-goog-api-key"];
        let key = names.iter().find_map(|name| headers.get(name));
        Self {
            route,
            model: String::new(),
            key: key.unwrap_or_default().to_owned(),
            headers,
            body: Value::Null,
            streaming: false,
            conversation: Conversation::default(),
            input_tokens: 0,
            output_tokens_max: None,
            wishes: Wishes::default(),
            connection: 0,
        }
    }

    /// Whether the conditions of a rule that speak of the request hold; time is the engine's.
    pub fn meets(&self, when: &When) -> bool {
        let holds = |pattern: &Option<String>, text: &str| {
            pattern.as_deref().is_none_or(|pattern| matches(pattern, text))
        };
        when.route.is_none_or(|route| route == self.route)
            && when.provider.is_none_or(|provider| provider == self.route.provider())
            && holds(&when.model, &self.model)
            && holds(&when.key, &self.key)
            && when.streaming.is_none_or(|streaming| streaming == self.streaming)
            && when
                .header
                .iter()
                .all(|(name, pattern)| self.headers.all(name).any(|value| matches(pattern, value)))
            && when.body.iter().all(|(path, pattern)| {
                at(&self.body, path).is_some_and(|value| matches(pattern, &as_text(value)))
            })
    }
}

impl Default for Wishes {
    fn default() -> Self {
        Self {
            choices: 1,
            stops: Vec::new(),
            tools: Vec::new(),
            tool_choice: ToolChoice::default(),
            parallel_tools: true,
            format: Format::default(),
            reasons: false,
        }
    }
}

impl Headers {
    /// The name under which the target stands, path and query: that of HTTP/2's pseudo-header,
    /// which no header can have.
    pub const TARGET: &str = ":path";

    /// The target of the request, as far as it is known.
    ///
    /// Some providers say in it which model is asked, and in which form it is to answer.
    pub fn target(&self) -> &str {
        self.get(Self::TARGET).unwrap_or_default()
    }

    /// The first value of a header.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// Every value of a header, in order.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        let Fields { text, ends } = &*self.0;
        let mut start = 0;
        ends.iter().filter_map(move |&(end, value)| {
            let field = start..end;
            start = value;
            // Most names are ruled out by their length.
            let found = field.len() == name.len() && text[field].eq_ignore_ascii_case(name);
            found.then(|| &text[end..value])
        })
    }

    /// Every header, its name in lower case, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let Fields { text, ends } = &*self.0;
        let mut start = 0;
        ends.iter().map(move |&(name, value)| {
            let field = (&text[start..name], &text[name..value]);
            start = value;
            field
        })
    }

    /// Adds a header behind the others.
    pub fn push(&mut self, name: &str, value: &str) {
        Arc::make_mut(&mut self.0).push(name, value);
    }
}

impl Fields {
    fn push(&mut self, name: &str, value: &str) {
        let start = self.text.len();
        self.text.push_str(name);
        self.text[start..].make_ascii_lowercase();
        let end = self.text.len();
        self.text.push_str(value);
        self.ends.push((end, self.text.len()));
    }
}

impl<N: AsRef<str>, V: AsRef<str>> FromIterator<(N, V)> for Headers {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(headers: I) -> Self {
        let headers = headers.into_iter();
        let ends = Vec::with_capacity(headers.size_hint().0 + 1);
        let mut fields = Fields { text: String::with_capacity(HEADER_BYTES), ends };
        for (name, value) in headers {
            fields.push(name.as_ref(), value.as_ref());
        }
        Self(Arc::new(fields))
    }
}

/// About as many bytes as the headers of a request have; the text grows if they have more.
const HEADER_BYTES: usize = 512;

impl Conversation {
    /// Collects turns of (role, text); a provider's names for the same role are made one.
    pub fn new<'a, T: AsRef<str>>(turns: impl IntoIterator<Item = (&'a str, T)>) -> Self {
        let (mut system, mut spoken) = (Vec::new(), Vec::new());
        let mut last_user = None;
        let mut tool_turns = 0;
        let mut anchor = StableHasher::new(0);
        for (role, text) in turns {
            let role = match role {
                "system" | "developer" => "system",
                "model" => "assistant",
                other => other,
            };
            let speaker = if role == TOOL_CALLS { "assistant" } else { role };
            let mut hash = StableHasher::new(0);
            hash.write(speaker.as_bytes());
            hash.write_u8(0);
            let said = text.as_ref().trim().as_bytes();
            if role == "user" {
                anchor = StableHasher::new(0);
                hash.write_beside(&mut anchor, said);
            } else {
                hash.write(said);
            }
            if role == "system" {
                system.push(hash.finish());
            } else {
                spoken.push(hash.finish());
            }
            if role == "user" {
                last_user = Some(text);
                tool_turns = 0;
            } else if role == TOOL_CALLS {
                tool_turns += 1;
            }
        }
        system.append(&mut spoken);
        let last_user = last_user.as_ref().map_or("", AsRef::as_ref);
        let (last_user, anchor) = (last_user.into(), anchor.finish());
        Self { turns: system.into(), last_user, anchor, tool_turns }
    }

    /// What two versions of one conversation, truncated or not, have in common.
    pub fn anchor(&self) -> u64 {
        self.anchor
    }

    /// Whether this is the other with turns left out of its middle or beginning.
    pub fn shortens(&self, other: &Self) -> bool {
        let mut rest = other.turns.iter();
        self.turns.len() < other.turns.len()
            && self.turns.last() == other.turns.last()
            && self.turns.iter().all(|turn| rest.any(|other| other == turn))
    }
}

impl Default for Conversation {
    fn default() -> Self {
        Self::new::<&str>([])
    }
}

impl Fingerprint {
    /// The fingerprint of a key.
    pub fn of(key: &str) -> Self {
        if key.is_empty() {
            return Self::None;
        }
        let mut hash = StableHasher::new(0);
        hash.write(key.as_bytes());
        let [.., a, b, c, d] = hash.finish().to_le_bytes();
        Self::Key(u32::from_le_bytes([a, b, c, d]))
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(half) => write!(f, "key-{half:08x}"),
            Self::None => f.write_str("none"),
        }
    }
}

impl TryFrom<String> for Fingerprint {
    type Error = NoFingerprint;

    fn try_from(text: String) -> Result<Self, NoFingerprint> {
        let digits = text.strip_prefix("key-").filter(|digits| digits.len() == 8);
        match digits.map(|digits| u32::from_str_radix(digits, 16)) {
            Some(Ok(half)) => Ok(Self::Key(half)),
            None if text == "none" => Ok(Self::None),
            None | Some(Err(_)) => Err(NoFingerprint(text)),
        }
    }
}

impl From<Fingerprint> for String {
    fn from(fingerprint: Fingerprint) -> Self {
        fingerprint.to_string()
    }
}

/// The value at a dotted path, in which list elements are named by number.
fn at<'a>(body: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').try_fold(body, |value, step| match value {
        Value::Array(items) => items.get(step.parse::<usize>().ok()?),
        Value::Object(fields) => fields.get(step),
        _ => None,
    })
}

fn as_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn conversation(turns: &[(&str, &str)]) -> Conversation {
        Conversation::new(turns.iter().map(|&(role, text)| (role, text.to_owned())))
    }

    #[test]
    fn a_conversation_is_the_same_in_every_dialect() {
        // OpenAI keeps the system turn among the messages, Anthropic beside them.
        let openai = conversation(&[("developer", "be brief"), ("user", "hi")]);
        let anthropic = conversation(&[("system", "be brief "), ("user", "hi")]);
        assert_eq!(openai, anthropic);
        assert_ne!(openai, conversation(&[("user", "hi")]));
    }

    #[test]
    fn a_truncated_conversation_is_recognised() {
        let long =
            conversation(&[("system", "s"), ("user", "1"), ("assistant", "2"), ("user", "3")]);
        let short = conversation(&[("system", "s"), ("user", "3")]);
        assert!(short.shortens(&long));
        assert!(!long.shortens(&short));
        assert!(!long.shortens(&long));
        assert!(!conversation(&[("user", "1")]).shortens(&long));
        assert_eq!(short.anchor(), long.anchor());
    }

    #[test]
    fn every_condition_must_hold() {
        let request = Request {
            route: Route::OpenAiChat,
            model: "gpt-4o-mini".to_owned(),
            key: "sk-one".to_owned(),
            headers: Headers::from_iter([("x-team", "blue")]),
            body: json!({"messages": [{"role": "system"}], "temperature": 0}),
            streaming: false,
            conversation: Conversation::default(),
            input_tokens: 1,
            output_tokens_max: None,
            wishes: Wishes::default(),
            connection: 0,
        };
        let when = |json: Value| serde_json::from_value::<When>(json).unwrap();
        for (conditions, expected) in [
            (json!({}), true),
            (json!({"route": "openai.chat"}), true),
            (json!({"route": "anthropic.messages"}), false),
            (json!({"provider": "openai", "model": "gpt-4o*"}), true),
            (json!({"model": "gpt-4o"}), false),
            (json!({"key": "sk-two"}), false),
            (json!({"header": {"X-Team": "b*"}}), true),
            (json!({"header": {"x-team": "red"}}), false),
            (json!({"body": {"messages.0.role": "system", "temperature": "0"}}), true),
            (json!({"body": {"messages.1.role": "*"}}), false),
            (json!({"streaming": true}), false),
        ] {
            assert_eq!(request.meets(&when(conditions.clone())), expected, "{conditions}");
        }
    }

    #[test]
    fn a_fingerprint_does_not_hold_the_key() {
        let fingerprint = Fingerprint::of("sk-live-verysecret");
        assert_eq!(fingerprint.to_string(), "key-f6b7631e");
        assert_ne!(fingerprint, Fingerprint::of("sk-live-verysecreT"));
    }

    #[test]
    fn a_fingerprint_is_read_as_it_was_written() {
        for fingerprint in [Fingerprint::of("sk-1"), Fingerprint::Key(7), Fingerprint::None] {
            let text = String::from(fingerprint);
            assert_eq!(Fingerprint::try_from(text), Ok(fingerprint));
        }
        for text in ["", "sk-1", "key-7", "key-0000000g", "key-000000007"] {
            assert!(Fingerprint::try_from(text.to_owned()).is_err(), "{text}");
        }
    }
}
