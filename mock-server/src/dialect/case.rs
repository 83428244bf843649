//! One failure in a provider's own words: text, status, headers, and how well it is known.
//!
//! A dialect keeps its failures in a table. The catalogue prints the table, a fault plays a row of
//! it, and what the provider refuses by itself is a row of it too: nothing is worded anywhere else.

use std::{borrow::Cow, time::Duration};

use bytes::Bytes;

use super::{Dialect, Exchange, Fields, Reply, ReplyBody};
use crate::{action::ErrorKind, plan::Route};

/// A row of a dialect's table of failures.
///
/// Of the rows for one kind, place and route, the first is the usual one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Case {
    /// What it means.
    pub(crate) kind: ErrorKind,
    /// Its name, unique among the rows of its kind and place for a route.
    pub(crate) name: &'static str,
    /// Where it is sent.
    pub(crate) place: Place,
    /// The routes that answer with it; none means all of the provider's.
    pub(crate) routes: &'static [Route],
    /// The HTTP status.
    pub(crate) status: u16,
    /// The headers that it shares with others.
    pub(crate) style: fn(&Exchange<'_>) -> Fields,
    /// Its own headers, after the shared ones; values may have placeholders.
    pub(crate) fields: &'static [(&'static str, &'static str)],
    /// The body, or the event.
    pub(crate) body: Body,
    /// The silence before the event.
    pub(crate) after: Duration,
    /// Words for placeholders that no request of ours gives.
    pub(crate) examples: &'static [(&'static str, &'static str)],
    /// How well it is known.
    pub(crate) provenance: Provenance,
    /// Where it is known from: an address, or the name of a recording.
    pub(crate) source: &'static str,
}

/// Where a failure is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// Instead of the answer.
    Answer,
    /// Inside a stream that began as a healthy one; nothing follows it.
    Stream,
}

/// How well the words of a failure are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Provenance {
    /// The provider's documentation or the source of its client says so.
    Documented,
    /// Nobody published it: it is worded after its neighbours.
    Inferred,
    /// Somebody who got it quoted it whole, in public.
    Quoted,
    /// The bytes of a real exchange, recorded in public.
    Recorded,
}

/// The body of a failure.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Body {
    /// JSON, letter by letter, with placeholders such as `{{model}}`; what they stand for is
    /// escaped.
    Json(&'static str),
    /// Any other text, with placeholders; nothing is escaped.
    Text(&'static str),
    /// What no text with placeholders can say.
    Made(fn(&Exchange<'_>) -> ReplyBody),
}

/// Why a provider refuses a request as it stands: a row of its table, and the words for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// What it means.
    pub(crate) kind: ErrorKind,
    /// The row.
    pub(crate) case: &'static str,
    /// What its placeholders stand for.
    pub(crate) words: Vec<(&'static str, String)>,
}

impl Case {
    /// A failure that every route of the provider answers with; how well it is known is still to
    /// be said.
    pub(crate) const fn new(
        kind: ErrorKind,
        name: &'static str,
        status: u16,
        style: fn(&Exchange<'_>) -> Fields,
        body: Body,
    ) -> Self {
        Self {
            kind,
            name,
            place: Place::Answer,
            routes: &[],
            status,
            style,
            fields: &[],
            body,
            after: Duration::ZERO,
            examples: &[],
            provenance: Provenance::Inferred,
            source: "worded after its neighbours",
        }
    }

    /// A failure inside a stream.
    pub(crate) const fn event(kind: ErrorKind, name: &'static str, body: Body) -> Self {
        let mut case = Self::new(kind, name, 200, |_| Fields::new(), body);
        case.place = Place::Stream;
        case
    }

    /// The event comes apart from the one before it, in a read of its own.
    pub(crate) const fn later(mut self, after: Duration) -> Self {
        self.after = after;
        self
    }

    /// Only some routes answer with it.
    pub(crate) const fn on(mut self, routes: &'static [Route]) -> Self {
        self.routes = routes;
        self
    }

    /// It has headers of its own.
    pub(crate) const fn with(mut self, fields: &'static [(&'static str, &'static str)]) -> Self {
        self.fields = fields;
        self
    }

    /// What its placeholders stand for when no request says so.
    pub(crate) const fn such_as(
        mut self,
        examples: &'static [(&'static str, &'static str)],
    ) -> Self {
        self.examples = examples;
        self
    }

    /// How well it is known, and from where.
    pub(crate) const fn known(mut self, provenance: Provenance, source: &'static str) -> Self {
        self.provenance = provenance;
        self.source = source;
        self
    }

    /// Whether a route answers with it.
    pub(crate) fn serves(&self, route: Route) -> bool {
        self.routes.is_empty() || self.routes.contains(&route)
    }

    /// The answer that it is.
    pub(crate) fn reply(&self, dialect: &dyn Dialect, exchange: &Exchange<'_>) -> Reply {
        let mut headers = (self.style)(exchange);
        let fields = self.fields.iter();
        headers.extend(fields.map(|&(name, text)| {
            (name, fill(text, |word| self.word(dialect, exchange, word).into()).into())
        }));
        Reply { status: self.status, headers, body: self.body(dialect, exchange) }
    }

    /// The bytes of the event that it is inside a stream.
    pub(crate) fn frame(&self, dialect: &dyn Dialect, exchange: &Exchange<'_>) -> Bytes {
        match self.body(dialect, exchange) {
            ReplyBody::Whole(bytes) => bytes,
            ReplyBody::Stream(script) => script.bytes(),
        }
    }

    fn body(&self, dialect: &dyn Dialect, exchange: &Exchange<'_>) -> ReplyBody {
        let word = |word: &str| self.word(dialect, exchange, word);
        ReplyBody::Whole(match self.body {
            Body::Json(text) => fill(text, |name| escaped(&word(name)).into_owned().into()).into(),
            Body::Text(text) => fill(text, |name| word(name).into()).into(),
            Body::Made(make) => return make(exchange),
        })
    }

    /// What a placeholder stands for: the refusal says so, the dialect, the request, or an example.
    fn word(&self, dialect: &dyn Dialect, exchange: &Exchange<'_>, word: &str) -> String {
        let given = exchange.words.iter().find(|(name, _)| *name == word);
        given
            .map(|(_, text)| text.clone())
            .or_else(|| dialect.word(word, exchange))
            .or_else(|| exchange.word(word))
            .or_else(|| {
                let example = self.examples.iter().find(|(name, _)| *name == word);
                example.map(|(_, text)| (*text).to_owned())
            })
            // A test words every row, and finds those that stand for nothing.
            .unwrap_or_else(|| format!("{{{{{word}}}}}"))
    }
}

impl Refusal {
    /// A refusal whose text says nothing of the request.
    pub(crate) fn new(kind: ErrorKind, case: &'static str) -> Self {
        Self { kind, case, words: Vec::new() }
    }

    /// What a placeholder of its text stands for.
    pub(crate) fn word(mut self, name: &'static str, text: impl Into<String>) -> Self {
        self.words.push((name, text.into()));
        self
    }
}

impl Place {
    /// The place in a word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Answer => "answer",
            Self::Stream => "stream",
        }
    }
}

impl Provenance {
    /// The provenance in a word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Documented => "documented",
            Self::Inferred => "inferred",
            Self::Quoted => "quoted",
            Self::Recorded => "recorded",
        }
    }
}

/// A text with its placeholders replaced.
pub(crate) fn fill<'a>(text: &'a str, word: impl Fn(&str) -> Cow<'a, str>) -> String {
    let mut filled = String::with_capacity(text.len() + 64);
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        filled.push_str(before);
        let Some((name, after)) = after.split_once("}}") else {
            filled.push_str("{{");
            rest = after;
            continue;
        };
        filled.push_str(&word(name));
        rest = after;
    }
    filled.push_str(rest);
    filled
}

/// A text as it stands between the quotes of a JSON string.
pub(crate) fn escaped(text: &str) -> Cow<'_, str> {
    // Without an early end, so that many bytes are looked at together.
    let odd = text.bytes().filter(|byte| matches!(byte, ..b' ' | b'"' | b'\\'));
    if odd.count() == 0 {
        return text.into();
    }
    let quoted = serde_json::Value::from(text).to_string();
    quoted[1..quoted.len() - 1].to_owned().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_filled_and_braces_are_left_alone() {
        let word = |name: &str| Cow::Owned(format!("<{name}>"));
        for (text, filled) in [
            ("", ""),
            ("no placeholder", "no placeholder"),
            ("model: {{model}}", "model: <model>"),
            (r#"{"a":{"b":"{{x}}"}}"#, r#"{"a":{"b":"<x>"}}"#),
            ("{{a}}{{b}}", "<a><b>"),
            ("{{ never closed", "{{ never closed"),
        ] {
            assert_eq!(fill(text, word), filled);
        }
    }

    #[test]
    fn what_a_client_sent_cannot_break_out_of_a_string() {
        assert_eq!(escaped("a\"b\\c\nd\u{1}é"), "a\\\"b\\\\c\\nd\\u0001é");
    }
}
