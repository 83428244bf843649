//! How each provider speaks: routes, bodies, headers, events, errors.
//!
//! A dialect reads a request into what the engine understands, and words what the engine decided.
//! It decides nothing itself. Adding one is a folder, a line in [`SERVED`], and its routes in
//! [`Route`].

pub(crate) mod anthropic;
pub(crate) mod openai;
pub(crate) mod unserved;

use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;

use crate::{
    action::{ErrorKind, StreamErrorKind},
    answer::Answer,
    draw::{Draws, Purpose},
    engine::Decision,
    plan::{ProviderName, Route},
    quota::whole_millis,
    request::{Headers, Request},
};

/// A provider that is at least recognised.
pub(crate) trait Provider: Sync {
    /// Whose it is.
    fn name(&self) -> ProviderName;

    /// Whether a request that has no route was meant for this provider.
    fn recognises(&self, head: &Head<'_>) -> bool;

    /// Words the answer to a path that does not exist.
    fn not_found(&self, head: &Head<'_>, moment: &Moment) -> Reply;
}

/// One provider's way of speaking.
pub(crate) trait Dialect: Provider {
    /// The route of a path. SDKs build paths in many ways, so routes are found by their ends.
    fn route(&self, head: &Head<'_>) -> Option<Route>;

    /// Understands a request, or words the refusal that the provider would send.
    fn read(
        &self,
        route: Route,
        head: &Head<'_>,
        body: &[u8],
        moment: &Moment,
    ) -> Result<Request, Reply>;

    /// Words a healthy answer, whole or as a stream.
    fn answer(&self, exchange: &Exchange<'_>, answer: &Answer) -> Reply;

    /// Words an error response.
    fn error(&self, exchange: &Exchange<'_>, kind: ErrorKind) -> Reply;

    /// Words an error event inside a stream.
    fn stream_error(&self, exchange: &Exchange<'_>, kind: StreamErrorKind) -> Bytes;

    /// Words the answer to a model that does not exist.
    fn unknown_model(&self, exchange: &Exchange<'_>) -> Reply;

    /// Words the answer to a body that is too large.
    fn too_large(&self, moment: &Moment) -> Reply;
}

/// Who a request was meant for.
pub(crate) enum Found {
    /// A route of a dialect.
    Served(&'static dyn Dialect, Route),
    /// A provider, but no route that is served.
    Unserved(&'static dyn Provider),
}

/// The head of a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Head<'a> {
    /// The HTTP method.
    pub(crate) method: &'a str,
    /// The path, with empty segments left out.
    pub(crate) path: &'a str,
    /// The headers.
    pub(crate) headers: &'a Headers,
}

/// When a request is answered, and where its chance comes from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    /// The attempt.
    pub(crate) attempt: u64,
    /// The lane's draws.
    pub(crate) draws: Draws,
    /// Wall time since 1970-01-01 UTC.
    pub(crate) wall: Duration,
}

/// A request with its fate.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Exchange<'a> {
    /// The request.
    pub(crate) request: &'a Request,
    /// Its fate.
    pub(crate) decision: &'a Decision,
    /// When, and where chance comes from.
    pub(crate) moment: Moment,
}

/// An answer in a provider's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reply {
    /// The HTTP status.
    pub(crate) status: u16,
    /// The headers, in the provider's order; Content-Length and Date are the wire's.
    pub(crate) headers: Vec<(&'static str, String)>,
    /// The body.
    pub(crate) body: ReplyBody,
}

/// The body of a [`Reply`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ReplyBody {
    /// All at once, under its Content-Length.
    Whole(Bytes),
    /// Event by event, chunked.
    Stream(Vec<Event>),
}

/// One event of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    /// The bytes, framed as the provider frames them.
    pub(crate) bytes: Bytes,
    /// Whether it carries text of the answer.
    pub(crate) text: bool,
}

/// Every dialect that is served.
static SERVED: [&dyn Dialect; 2] = [&anthropic::Anthropic, &openai::OpenAi];

/// The providers that are recognised, but not served yet.
static UNSERVED: [&dyn Provider; 2] = [&unserved::Azure, &unserved::Google];

/// Who a request was meant for.
pub(crate) fn find(head: &Head<'_>) -> Found {
    // Azure's paths end like OpenAI's, so it is asked first.
    if let Some(&provider) = UNSERVED.iter().find(|provider| provider.recognises(head)) {
        return Found::Unserved(provider);
    }
    for dialect in SERVED {
        if let Some(route) = dialect.route(head) {
            return Found::Served(dialect, route);
        }
    }
    let recognised = SERVED.iter().find(|dialect| dialect.recognises(head));
    Found::Unserved(recognised.map_or(&openai::OpenAi, |&dialect| dialect))
}

impl Moment {
    /// An id of letters from an alphabet.
    fn id(&self, what: &str, alphabet: &[u8], length: u64) -> String {
        let letters = u64::try_from(alphabet.len()).unwrap_or(1);
        (0..length)
            .map(|index| {
                let draw = self.draws.draw(what, Purpose::Id, self.attempt, index);
                let letter = usize::try_from(draw % letters).unwrap_or(0);
                char::from(alphabet[letter])
            })
            .collect()
    }

    /// An id of letters and digits.
    fn alphanumeric(&self, what: &str, length: u64) -> String {
        self.id(what, b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789", length)
    }

    /// An id of hexadecimal digits.
    fn hex(&self, what: &str, length: u64) -> String {
        self.id(what, b"0123456789abcdef", length)
    }

    /// The id that Cloudflare, in front of both providers, gives a request.
    fn cf_ray(&self) -> String {
        format!("{}-LHR", self.hex("cf-ray", 16))
    }
}

impl Reply {
    /// An answer with a JSON or text body.
    fn whole(status: u16, headers: Vec<(&'static str, String)>, body: impl Into<Bytes>) -> Self {
        Self { status, headers, body: ReplyBody::Whole(body.into()) }
    }
}

impl Event {
    fn text(bytes: impl Into<Bytes>) -> Self {
        Self { bytes: bytes.into(), text: true }
    }

    fn other(bytes: impl Into<Bytes>) -> Self {
        Self { bytes: bytes.into(), text: false }
    }
}

/// The headers in which a wait is announced, seconds rounded up to whole ones.
fn retry_after(decision: &Decision, wall: Duration) -> Vec<(&'static str, String)> {
    use crate::action::HintForm;

    let Some((after, form)) = decision.action.hint() else { return Vec::new() };
    let whole_seconds = after.0.as_nanos().div_ceil(1_000_000_000);
    match form {
        HintForm::Date => vec![("retry-after", http_date(wall + after.0))],
        HintForm::Milliseconds => {
            vec![("retry-after-ms", whole_millis(after.0).to_string())]
        }
        HintForm::Seconds => vec![("retry-after", whole_seconds.to_string())],
    }
}

/// The page that Cloudflare, in front of both providers, shows for a status of its own.
fn cloudflare_page(moment: &Moment, status: u16, title: &str) -> Reply {
    let headers = vec![
        ("content-type", "text/html".to_owned()),
        ("server", "cloudflare".to_owned()),
        ("cf-ray", moment.cf_ray()),
    ];
    let body = format!(
        "<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n<center><h1>{title}</h1>\
         </center>\r\n<hr><center>cloudflare</center>\r\n</body>\r\n</html>\r\n"
    );
    Reply::whole(status, headers, body)
}

/// The date of an HTTP header.
pub(crate) fn http_date(wall: Duration) -> String {
    httpdate::fmt_http_date(std::time::UNIX_EPOCH + wall)
}

/// JSON with an indent of its own; the providers' styles differ, and so do their lengths.
fn indented(value: &Value, indent: &[u8]) -> String {
    use serde::Serialize;

    let mut bytes = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(indent);
    let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, formatter);
    value.serialize(&mut serializer).expect("a JSON value is writable to memory");
    String::from_utf8(bytes).expect("serde_json writes UTF-8")
}

/// What a message's content says: a string, or a list of parts. What is no text, such as an image
/// or the call of a tool, speaks by its JSON, so that two of them are two messages.
fn content_text(content: &Value) -> String {
    said_by(content, &|part| without_cache_control(part).to_string())
}

/// What of a message's content is text to the tokenizer: texts, the input of tools and what they
/// returned; images and sounds are counted by other rules, and not here.
fn counted_text(content: &Value) -> String {
    said_by(content, &|part| match part.get("type").and_then(Value::as_str) {
        Some("tool_use") => {
            let name = part.get("name").and_then(Value::as_str).unwrap_or_default();
            let input = part.get("input").map(Value::to_string).unwrap_or_default();
            format!("{name}\n{input}")
        }
        Some("tool_result") => part.get("content").map(counted_text).unwrap_or_default(),
        _ => String::new(),
    })
}

/// The text of a content, with `other` for the parts that are none.
fn said_by(content: &Value, other: &dyn Fn(&Value) -> String) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => {
            let texts = parts.iter().map(|part| match part {
                Value::String(text) => text.clone(),
                Value::Array(_) => said_by(part, other),
                part => match (part.get("type").and_then(Value::as_str), part.get("text")) {
                    (
                        None | Some("text" | "input_text" | "output_text"),
                        Some(Value::String(text)),
                    ) => text.clone(),
                    _ => other(part),
                },
            });
            texts.filter(|text| !text.is_empty()).collect::<Vec<_>>().join("\n")
        }
        _ => String::new(),
    }
}

/// The same value without the marks that say what to cache: they move from attempt to attempt, and
/// say nothing to the model.
fn without_cache_control(value: &Value) -> Value {
    match value {
        Value::Array(items) => items.iter().map(without_cache_control).collect(),
        Value::Object(fields) => {
            let fields = fields.iter().filter(|(key, _)| *key != "cache_control");
            let fields = fields.map(|(key, value)| (key.clone(), without_cache_control(value)));
            Value::Object(fields.collect())
        }
        other => other.clone(),
    }
}

/// The token of an `Authorization: Bearer` header.
fn bearer(headers: &Headers) -> Option<&str> {
    let (scheme, token) = headers.get("authorization")?.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_no_text_is_part_of_the_conversation() {
        let image = |url: &str| json!({ "type": "image_url", "image_url": { "url": url } });
        let result = |text: &str| json!({ "type": "tool_result", "tool_use_id": "t", "content": [{ "type": "text", "text": text }] });
        let asks = |part: Value| content_text(&json!([{ "type": "text", "text": "hi" }, part]));
        assert_ne!(asks(image("a")), asks(image("b")));
        assert_ne!(asks(result("a")), asks(result("b")));
        let cached = json!({
            "type": "image_url", "image_url": { "url": "a" }, "cache_control": { "type": "ephemeral" },
        });
        assert_eq!(asks(cached), asks(image("a")));
        assert_eq!(
            content_text(&json!("hi")),
            content_text(&json!([{ "type": "text", "text": "hi" }]))
        );
    }

    #[test]
    fn the_texts_of_tools_are_counted_and_images_are_not() {
        for (part, text) in [
            (json!({ "type": "text", "text": "hi" }), "hi"),
            (
                json!({ "type": "tool_use", "id": "t", "name": "f", "input": { "x": 1 } }),
                "f\n{\"x\":1}",
            ),
            (json!({ "type": "tool_result", "content": "sunny" }), "sunny"),
            (
                json!({ "type": "tool_result", "content": [{ "type": "text", "text": "sunny" }] }),
                "sunny",
            ),
            (json!({ "type": "image", "source": { "data": "AAAA" } }), ""),
            (json!({ "type": "input_audio", "input_audio": { "data": "AAAA" } }), ""),
        ] {
            assert_eq!(counted_text(&json!([part])), text);
        }
    }

    #[test]
    fn a_path_belongs_to_the_provider_that_has_it() {
        let whose = |path: &str, header: &str| {
            let headers = Headers(vec![(header.to_owned(), "Bearer k".to_owned())]);
            match find(&Head { method: "POST", path, headers: &headers }) {
                Found::Served(dialect, route) => (dialect.name(), Some(route)),
                Found::Unserved(provider) => (provider.name(), None),
            }
        };
        let bearer = "authorization";
        let messages = (ProviderName::Anthropic, Some(Route::AnthropicMessages));
        let chat = (ProviderName::OpenAi, Some(Route::OpenAiChat));
        for (path, header, expected) in [
            ("/v1/messages", bearer, messages),
            ("/messages", bearer, messages),
            ("/anthropic/v1/messages", bearer, messages),
            ("/v1/threads/x/messages", bearer, (ProviderName::OpenAi, None)),
            ("/v1/chat/completions", bearer, chat),
            ("/v1beta/openai/chat/completions", bearer, (ProviderName::Google, None)),
            ("/openai/v1/chat/completions", bearer, (ProviderName::Azure, None)),
            ("/v1/message", "x-api-key", (ProviderName::Anthropic, None)),
        ] {
            assert_eq!(whose(path, header), expected, "{path}");
        }
    }
}
