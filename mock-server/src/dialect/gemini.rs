//! Google's Gemini, as recorded from `generativelanguage.googleapis.com` in 2026.
//!
//! The model and the method stand in the path, and so does the version: some clients say `v1`, some
//! `v1beta`, some none.

mod embed;
mod error;
mod field;
mod imitation;
mod models;
mod read;
mod success;

use std::time::Duration;

use super::{Case, Dialect, Exchange, Fields, Head, Place, Refusal, Reply, retry_after};
use crate::{
    action::{Action, ErrorKind, HintForm},
    answer::Answer,
    plan::{ProviderName, Route},
    request::{Headers, Request},
    units::Span,
};

/// Google's Gemini.
#[derive(Debug)]
pub(crate) struct Gemini;

impl Dialect for Gemini {
    fn name(&self) -> ProviderName {
        ProviderName::Gemini
    }

    fn recognises(&self, head: &Head<'_>) -> bool {
        head.headers.get("x-goog-api-key").is_some()
            || head.path.starts_with("/v1beta")
            || head.path.contains("Content") && head.path.contains(':')
    }

    fn not_found(&self, head: &Head<'_>) -> &'static str {
        // Of Google's imitation of OpenAI only the chat is served; it speaks JSON throughout.
        if head.path.contains("/openai/") { "imitation" } else { "route" }
    }

    fn route(&self, head: &Head<'_>) -> Option<Route> {
        let mut ends = head.path.rsplit('/');
        let (last, before) = (ends.next()?, ends.next().unwrap_or_default());
        // A glance rules out most paths of others.
        let lists = [before, last].contains(&"models");
        if !lists && !last.contains(':') && !head.path.ends_with(IMITATION) {
            return None;
        }
        let target = Target::read(head.path);
        match target.method {
            Some(method) => Some(method.route()),
            None if target.imitates => Some(Route::GeminiGenerate),
            None => {
                // OpenAI's and Anthropic's lists have the same paths, and no such key.
                let keyed = || {
                    head.headers.get("x-goog-api-key").is_some()
                        || head.query.split('&').any(|pair| pair.starts_with("key="))
                };
                let ours = || head.path.contains("/v1beta/models") || keyed();
                let is_list = target.lists && !head.path.contains(':');
                (is_list && ours()).then_some(Route::GeminiModels)
            }
        }
    }

    fn main_route(&self) -> Route {
        Route::GeminiGenerate
    }

    fn example_model(&self, route: Route) -> &'static str {
        match route {
            Route::GeminiEmbed => "gemini-embedding-001",
            _ => "gemini-2.5-flash",
        }
    }

    fn read(&self, route: Route, head: &Head<'_>, body: &[u8]) -> Result<Request, Refusal> {
        if Target::of(head.headers).imitates {
            return imitation::read(head, body);
        }
        read::request(route, head, body)
    }

    fn answer(&self, exchange: &Exchange<'_>, answer: &Answer) -> Reply {
        match exchange.request.route {
            Route::GeminiCountTokens => success::count(exchange),
            Route::GeminiEmbed => embed::reply(exchange),
            Route::GeminiModels => models::reply(exchange),
            _ if Target::of(&exchange.request.headers).imitates => {
                imitation::reply(exchange, answer)
            }
            _ => success::reply(exchange, answer),
        }
    }

    fn cases(&self) -> &'static [Case] {
        error::CASES
    }

    fn usual(
        &self,
        kind: ErrorKind,
        place: Place,
        exchange: &Exchange<'_>,
    ) -> Option<&'static str> {
        error::usual(kind, place, exchange)
    }

    fn word(&self, name: &str, exchange: &Exchange<'_>) -> Option<String> {
        error::word(name, exchange)
    }

    /// Nothing for a limit: the wait stands in the body. What else announces one is Google's front
    /// end, which has the header.
    fn hint(&self, exchange: &Exchange<'_>) -> Fields {
        let in_body = matches!(&exchange.decision.action, Action::RateLimited(_))
            && !exchange.decision.action.case().is_some_and(|case| error::MUTE.contains(&case));
        if in_body { Fields::new() } else { retry_after(exchange.decision, exchange.moment.wall) }
    }

    fn announced(&self, exchange: &Exchange<'_>) -> Option<(Span, HintForm)> {
        let (wait, form) = exchange.decision.action.hint()?;
        if !self.hint(exchange).is_empty() {
            return Some((wait, form));
        }
        // Recorded: `retryDelay` has the whole seconds of the wait, and clients read nothing else.
        let whole = Span(Duration::from_secs(wait.0.as_secs()));
        (!whole.0.is_zero()).then_some((whole, HintForm::Seconds))
    }

    fn unknown_model(&self, exchange: &Exchange<'_>) -> Refusal {
        let lists = exchange.request.route == Route::GeminiModels;
        Refusal::new(ErrorKind::NotFound, if lists { "get-model" } else { "model" })
    }
}

/// What the target of a request says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Target<'a> {
    /// The version, without which `v1beta` is meant.
    version: &'a str,
    /// The model; empty if the path names none.
    model: &'a str,
    /// What the model is to do; none if only the model is asked about.
    method: Option<Method>,
    /// Whether the path is that of the models, or of one.
    lists: bool,
    /// Whether OpenAI's chat is spoken.
    imitates: bool,
    /// Whether a stream is wanted as events; otherwise it is a list, and so are errors.
    events: bool,
}

/// The end of the path on which OpenAI's chat is spoken.
const IMITATION: &str = "/v1beta/openai/chat/completions";

/// What a model can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Method {
    BatchEmbed,
    Count,
    Embed,
    Generate,
    Stream,
}

impl<'a> Target<'a> {
    /// The target of a request that was sent with these headers.
    fn of(headers: &'a Headers) -> Self {
        Self::read(headers.target())
    }

    /// Reads a target: path and query.
    fn read(target: &'a str) -> Self {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let mut segments = path.rsplit('/');
        let last = segments.next().unwrap_or_default();
        let before = segments.next().unwrap_or_default();
        let (model, method) = match last.split_once(':') {
            Some((model, method)) => (model, Method::named(method)),
            None if last == "models" => ("", None),
            None => (last, None),
        };
        let version = path.split('/').find(|segment| segment.starts_with("v1"));
        Self {
            version: version.unwrap_or("v1beta"),
            model,
            method,
            lists: last == "models" || before == "models",
            imitates: path.ends_with(IMITATION),
            events: query.split('&').any(|pair| pair == "alt=sse"),
        }
    }

    /// Whether a stream is a list.
    fn is_list(&self) -> bool {
        self.method == Some(Method::Stream) && !self.events
    }

    /// Whether errors are lists of one.
    fn lists_errors(&self) -> bool {
        self.is_list() || self.imitates
    }
}

impl Method {
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "batchEmbedContents" => Self::BatchEmbed,
            "countTokens" => Self::Count,
            "embedContent" => Self::Embed,
            "generateContent" => Self::Generate,
            "streamGenerateContent" => Self::Stream,
            _ => return None,
        })
    }

    /// The name that errors call it by: a batch is checked one by one.
    fn name(self) -> &'static str {
        match self {
            Self::BatchEmbed | Self::Embed => "embedContent",
            Self::Count => "countTokens",
            Self::Generate => "generateContent",
            Self::Stream => "streamGenerateContent",
        }
    }

    fn route(self) -> Route {
        match self {
            Self::BatchEmbed | Self::Embed => Route::GeminiEmbed,
            Self::Count => Route::GeminiCountTokens,
            Self::Generate | Self::Stream => Route::GeminiGenerate,
        }
    }
}

/// The headers of every answer; there is no id of the request among them.
fn headers(content_type: &'static str) -> Fields {
    let field = |name, value: &'static str| (name, value.into());
    vec![
        field("content-type", content_type),
        field("vary", "Origin"),
        field("server", "scaffolding on HTTPServer2"),
        field("x-xss-protection", "0"),
        field("x-frame-options", "SAMEORIGIN"),
        field("x-content-type-options", "nosniff"),
        field("server-timing", "gfet4t7; dur=51"),
        field("alt-svc", "h3=\":443\"; ma=2592000,h3-29=\":443\"; ma=2592000"),
    ]
}

/// The media type of everything but events.
const JSON: &str = "application/json; charset=UTF-8";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_says_version_model_and_method() {
        let told = |target| {
            let Target { version, model, method, events, .. } = Target::read(target);
            (version, model, method, events)
        };
        let model = "gemini-2.5-flash";
        for (target, expected) in [
            (
                "/v1beta/models/gemini-2.5-flash:generateContent",
                ("v1beta", model, Some(Method::Generate), false),
            ),
            (
                "/v1/models/gemini-2.5-flash:streamGenerateContent?key=k&alt=sse",
                ("v1", model, Some(Method::Stream), true),
            ),
            ("/models/gemini-2.5-flash:countTokens", ("v1beta", model, Some(Method::Count), false)),
            ("/v1beta/models", ("v1beta", "", None, false)),
            ("/v1beta/models/gemini-2.5-flash", ("v1beta", model, None, false)),
            ("/v1beta/models/gemini-2.5-flash:sing", ("v1beta", model, None, false)),
            ("", ("v1beta", "", None, false)),
        ] {
            assert_eq!(told(target), expected, "{target}");
        }
    }
}
