//! How each provider speaks: routes, bodies, headers, events, errors.
//!
//! A dialect reads a request into what the engine understands, and words what the engine decided.
//! It decides nothing itself. Adding one is a folder, a line in [`SERVED`], and its routes in
//! [`Route`].

pub(crate) mod anthropic;
pub(crate) mod azure;
pub(crate) mod bedrock;
mod case;
mod chat;
pub(crate) mod cohere;
pub(crate) mod gemini;
pub(crate) mod mistral;
pub(crate) mod ollama;
pub(crate) mod openai;
pub(crate) mod openrouter;
mod script;
mod template;
mod vector;

use std::{borrow::Cow, fmt, time::Duration};

use bytes::Bytes;
use serde::Serialize;
use serde_json::Value;

pub(crate) use case::{Body, Case, Refusal};
pub use case::{Place, Provenance};
pub(crate) use script::Script;

use crate::{
    action::{Action, ErrorKind, HintForm, Slow},
    answer::Answer,
    draw::{Draws, Purpose},
    engine::Decision,
    plan::{Latency, ProviderName, Route},
    quota::whole_millis,
    request::{Headers, Request},
    units::{Delay, Span},
};

/// Headers with their values, in the provider's order.
pub(crate) type Fields = Vec<(&'static str, Cow<'static, str>)>;

/// One provider's way of speaking.
pub(crate) trait Dialect: fmt::Debug + Sync {
    /// Whose it is.
    fn name(&self) -> ProviderName;

    /// Whether a request that has no route was meant for this provider.
    fn recognises(&self, head: &Head<'_>) -> bool;

    /// The `not-found` that a path which does not exist is answered with.
    fn not_found(&self, head: &Head<'_>) -> &'static str;

    /// The route of a path. SDKs build paths in many ways, so routes are found by their ends.
    fn route(&self, head: &Head<'_>) -> Option<Route>;

    /// Whether a path that other providers have too is its own without its name before it.
    fn claims(&self, _: &Head<'_>) -> bool {
        true
    }

    /// The route that most requests go to.
    fn main_route(&self) -> Route;

    /// A model that is served on a route, for the catalogue.
    fn example_model(&self, route: Route) -> &'static str;

    /// Understands a request, or says why the provider refuses it.
    fn read(&self, route: Route, head: &Head<'_>, body: &[u8]) -> Result<Request, Refusal>;

    /// Words a healthy answer, whole or as a stream.
    fn answer(&self, exchange: &Exchange<'_>, answer: &Answer) -> Reply;

    /// Every failure, the usual one of each kind first.
    fn cases(&self) -> &'static [Case];

    /// The name of the usual failure where it depends on the numbers of the request.
    fn usual(&self, kind: ErrorKind, place: Place, exchange: &Exchange<'_>)
    -> Option<&'static str>;

    /// What a placeholder stands for in this provider's texts, such as its form of a request id;
    /// none if it is the same for all, see [`Exchange::word`].
    fn word(&self, name: &str, exchange: &Exchange<'_>) -> Option<String>;

    /// The headers of an error in which the decision's wait is announced.
    fn hint(&self, exchange: &Exchange<'_>) -> Fields {
        retry_after(exchange.decision, exchange.moment.wall)
    }

    /// The wait that an error really announces, and how: what whoever reads it has to keep. Headers
    /// that announce none say none, whatever the decision knows.
    fn announced(&self, exchange: &Exchange<'_>) -> Option<(Span, HintForm)> {
        let hint = exchange.decision.action.hint();
        hint.filter(|_| !self.hint(exchange).is_empty())
    }

    /// How many tokens of the input must fit into the model's window at once. Of several texts that
    /// are read each for itself it is the longest.
    fn needed(&self, request: &Request) -> u64 {
        request.input_tokens
    }

    /// Whether the output that is asked for must fit into the window beside the input.
    fn shares_window(&self) -> bool {
        false
    }

    /// The refusal of a model that does not exist.
    fn unknown_model(&self, _: &Exchange<'_>) -> Refusal {
        Refusal::new(ErrorKind::NotFound, "model")
    }
}

/// Who a request was meant for.
pub(crate) enum Found {
    /// A route of a dialect.
    Served(&'static dyn Dialect, Route),
    /// A provider, but no route that is served.
    Unserved(&'static dyn Dialect),
}

/// The head of a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Head<'a> {
    /// The HTTP method.
    pub(crate) method: &'a str,
    /// The path, with empty segments left out.
    pub(crate) path: &'a str,
    /// What stands behind the question mark; empty if nothing does.
    pub(crate) query: &'a str,
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
    /// What placeholders stand for, as a refusal says it.
    pub(crate) words: &'a [(&'static str, String)],
    /// How long the tokens of its answer take.
    pub(crate) pace: Pace,
}

/// How long each token of one answer takes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    first: Delay,
    between: Delay,
    draws: Draws,
    attempt: u64,
}

/// An answer in a provider's words.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    /// The HTTP status.
    pub(crate) status: u16,
    /// The headers, in the provider's order; Content-Length and Date are the wire's.
    pub(crate) headers: Fields,
    /// The body.
    pub(crate) body: ReplyBody,
}

/// The body of a [`Reply`].
#[derive(Clone, Debug)]
pub(crate) enum ReplyBody {
    /// All at once, under its Content-Length.
    Whole(Bytes),
    /// Event by event, chunked.
    Stream(Script),
}

/// One event of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    /// The bytes, framed as the provider frames them.
    pub(crate) bytes: Bytes,
    /// When it is sent.
    pub(crate) kind: EventKind,
}

/// When an event of a stream is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EventKind {
    /// So long after the event before it: a sign of life in the silence before the next token.
    Beat(Duration),
    /// With the event before it.
    Other,
    /// When the next token is there: it carries a part of the answer.
    Text,
}

/// Every dialect that is served, those first whose paths could be taken for another's.
static SERVED: [&dyn Dialect; 9] = [
    &bedrock::Bedrock,
    &gemini::Gemini,
    &anthropic::Anthropic,
    &cohere::Cohere,
    &azure::Azure,
    &mistral::Mistral,
    &ollama::Ollama,
    &openrouter::OpenRouter,
    &openai::OpenAi,
];

/// Every dialect that is served.
pub(crate) fn served() -> impl Iterator<Item = &'static dyn Dialect> {
    SERVED.into_iter()
}

/// A provider's dialect.
pub(crate) fn of(provider: ProviderName) -> Option<&'static dyn Dialect> {
    served().find(|dialect| dialect.name() == provider)
}

/// Who a request was meant for.
///
/// Where several providers have the same paths, the base URL says whose they are: a path that
/// begins with a provider's name, such as `/mistral/v1/chat/completions`, is that provider's.
pub(crate) fn find(head: &Head<'_>) -> Found {
    let (first, rest) = head.path.trim_start_matches('/').split_once('/').unwrap_or_default();
    // `/openai/deployments` is a path of Azure's.
    let named = SERVED.iter().find(|dialect| dialect.name().name() == first && first != "openai");
    if let Some(&dialect) = named {
        let rest = format!("/{rest}");
        return match dialect.route(&Head { path: &rest, ..*head }) {
            Some(route) => Found::Served(dialect, route),
            None => Found::Unserved(dialect),
        };
    }
    for dialect in SERVED.into_iter().filter(|dialect| dialect.claims(head)) {
        if let Some(route) = dialect.route(head) {
            return Found::Served(dialect, route);
        }
    }
    let recognised = SERVED.iter().find(|dialect| dialect.recognises(head));
    Found::Unserved(recognised.map_or(&openai::OpenAi, |&dialect| dialect))
}

/// The failure that a decision asks for: the named one, or the usual one of its kind.
///
/// None if the provider does not know it; the engine sees to it that no rule asks for that.
pub(crate) fn case(
    dialect: &dyn Dialect,
    exchange: &Exchange<'_>,
    kind: ErrorKind,
    place: Place,
    name: Option<&str>,
) -> Option<&'static Case> {
    let name = name.or_else(|| dialect.usual(kind, place, exchange));
    let route = exchange.request.route;
    let known = || {
        let cases = dialect.cases().iter();
        cases.filter(|case| case.kind == kind && case.place == place && case.serves(route))
    };
    name.and_then(|name| known().find(|case| case.name == name)).or_else(|| known().next())
}

/// Words the answer to a path that does not exist.
pub(crate) fn not_found(dialect: &dyn Dialect, head: &Head<'_>, moment: &Moment) -> Reply {
    let case = dialect.not_found(head);
    let request = Request::unknown(dialect.main_route(), head.headers.clone());
    let words = [("method", head.method.to_owned()), ("path", head.path.to_owned())];
    let exchange = Exchange {
        request: &request,
        decision: &Decision::example(&request, &Action::example(ErrorKind::NotFound, None)),
        moment: *moment,
        words: &words,
        pace: Pace::new(Latency::default(), None, moment.draws, moment.attempt),
    };
    self::case(dialect, &exchange, ErrorKind::NotFound, Place::Answer, Some(case))
        .expect("every dialect knows what is not found")
        .reply(dialect, &exchange)
}

impl Exchange<'_> {
    /// What a placeholder stands for that means the same to every provider.
    fn word(&self, name: &str) -> Option<String> {
        let Self { request, decision, .. } = self;
        let number = |number: u64| Some(number.to_string());
        let output = request.output_tokens_max.unwrap_or(0);
        match name {
            "input" => number(request.input_tokens),
            "key" => Some(request.key.clone()),
            "limit" => number(decision.limited?.level.limit),
            "model" => Some(request.model.clone()),
            "output" => number(output),
            "remaining" => number(decision.limited?.level.remaining),
            "requested" => number(decision.limited?.requested),
            "total" => number(request.input_tokens.saturating_add(output)),
            "used" => number(decision.limited?.used),
            "window" => number(decision.window),
            _ => None,
        }
    }
}

impl Pace {
    /// The pace of one attempt's answer; a fault may slow it down.
    pub(crate) fn new(latency: Latency, slow: Option<&Slow>, draws: Draws, attempt: u64) -> Self {
        let (first, between) = match slow {
            Some(slow) => (slow.first_token.into(), slow.between_tokens.unwrap_or_default().into()),
            None => (latency.first_token, latency.between_tokens),
        };
        Self { first, between, draws, attempt }
    }

    /// The silence before a token; the first is number 0.
    pub(crate) fn gap(&self, token: u64) -> Duration {
        let delay = if token == 0 { self.first } else { self.between };
        delay.fixed().unwrap_or_else(|| {
            delay.pick(self.draws.draw("latency", Purpose::Latency, self.attempt, token))
        })
    }

    /// Whether all tokens are there with the first, so that nobody has to count them.
    pub(crate) fn bursts(&self) -> bool {
        self.between.fixed() == Some(Duration::ZERO)
    }

    /// How long a whole answer of so many tokens takes.
    pub(crate) fn whole(&self, tokens: u64) -> Duration {
        let first = self.gap(0);
        let more = tokens.saturating_sub(1);
        let between = match self.between.fixed() {
            Some(gap) => gap.saturating_mul(u32::try_from(more).unwrap_or(u32::MAX)),
            None => (1..=more).map(|token| self.gap(token)).sum(),
        };
        first.saturating_add(between)
    }

    /// How many signs of life fall into the silence before a token.
    pub(crate) fn beats(&self, token: u64, every: Duration) -> usize {
        let gap = self.gap(token).as_nanos().saturating_sub(1);
        usize::try_from(gap / every.as_nanos().max(1)).unwrap_or(0)
    }
}

impl Moment {
    /// An id of letters from an alphabet of at most 256.
    fn id(&self, what: &str, alphabet: &[u8], length: u64) -> String {
        self.tagged("", what, alphabet, length)
    }

    /// The same behind a tag.
    fn tagged(&self, tag: &str, what: &str, alphabet: &[u8], length: u64) -> String {
        let length = tag.len().saturating_add(usize::try_from(length).unwrap_or(0));
        let mut id = Vec::with_capacity(length + 8);
        id.extend_from_slice(tag.as_bytes());
        let draws = self.draws.event(what, Purpose::Id, self.attempt);
        let mut index = 0;
        while id.len() < length {
            // Eight letters from one draw.
            let bytes = draws.draw(index).to_le_bytes();
            id.extend(bytes.map(|byte| alphabet[usize::from(byte) * alphabet.len() / 256]));
            index += 1;
        }
        id.truncate(length);
        String::from_utf8(id).expect("tags and alphabets are ASCII")
    }

    /// An id of letters and digits.
    fn alphanumeric(&self, what: &str, length: u64) -> String {
        self.id(what, ALPHANUMERIC, length)
    }

    /// An id of the letters that Bitcoin's addresses are made of: none looks like another.
    fn base58(&self, what: &str, length: u64) -> String {
        self.id(what, b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz", length)
    }

    /// An id of hexadecimal digits.
    fn hex(&self, what: &str, length: u64) -> String {
        self.id(what, HEX, length)
    }

    /// An id of 32 hexadecimal digits in groups, as version 4 of
    /// [RFC 9562](https://www.rfc-editor.org/rfc/rfc9562#section-5.4) has them.
    fn uuid(&self, what: &str) -> String {
        let digits = self.hex(what, 32);
        let variant = self.id(&format!("{what} variant"), b"89ab", 1);
        let [first, second, third] = [&digits[..8], &digits[8..12], &digits[13..16]];
        format!("{first}-{second}-4{third}-{variant}{}-{}", &digits[17..20], &digits[20..])
    }

    /// The id that Cloudflare, in front of both providers, gives a request.
    fn cf_ray(&self) -> String {
        self.hex("cf-ray", 16) + "-LHR"
    }
}

/// Letters and digits.
const ALPHANUMERIC: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// Hexadecimal digits.
const HEX: &[u8; 16] = b"0123456789abcdef";

impl Reply {
    /// An answer with a JSON or text body.
    fn whole(status: u16, headers: Fields, body: impl Into<Bytes>) -> Self {
        Self { status, headers, body: ReplyBody::Whole(body.into()) }
    }
}

impl Event {
    /// An event that carries a part of the answer.
    fn text(bytes: impl Into<Bytes>) -> Self {
        Self { bytes: bytes.into(), kind: EventKind::Text }
    }

    /// An event that goes out with the one before it.
    fn other(bytes: impl Into<Bytes>) -> Self {
        Self { bytes: bytes.into(), kind: EventKind::Other }
    }
}

/// The headers in which a wait is announced, seconds rounded up to whole ones.
fn retry_after(decision: &Decision, wall: Duration) -> Fields {
    let Some((after, form)) = decision.action.hint() else { return Vec::new() };
    let whole_seconds = after.0.as_nanos().div_ceil(1_000_000_000);
    match form {
        HintForm::Date => vec![("retry-after", http_date(wall + after.0).into())],
        HintForm::Milliseconds => {
            vec![("retry-after-ms", whole_millis(after.0).to_string().into())]
        }
        HintForm::Seconds => vec![("retry-after", whole_seconds.to_string().into())],
    }
}

/// The most mistakes of one request that are told, where a provider tells them all.
const MISTAKES_MAX: usize = 1_000;

/// The page that Cloudflare shows for a status of its own; `{{title}}` is an example of the row's.
const CLOUDFLARE_PAGE: Body = Body::Text(
    "<html>\r\n<head><title>{{title}}</title></head>\r\n<body>\r\n<center><h1>{{title}}</h1>\
     </center>\r\n<hr><center>cloudflare</center>\r\n</body>\r\n</html>\r\n",
);

/// The headers of such a page.
fn cloudflare_page(exchange: &Exchange<'_>) -> Fields {
    vec![
        ("content-type", "text/html".into()),
        ("server", "cloudflare".into()),
        ("cf-ray", exchange.moment.cf_ray().into()),
    ]
}

/// The date of an HTTP header.
pub(crate) fn http_date(wall: Duration) -> String {
    httpdate::fmt_http_date(std::time::UNIX_EPOCH + wall)
}

/// JSON with an indent of its own; the providers' styles differ, and so do their lengths.
fn indented(value: &impl Serialize, indent: &[u8]) -> String {
    let mut bytes = Vec::with_capacity(1_024);
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

/// A field of a JSON object.
///
/// Few objects have so many that a hash is made sooner than their names are compared.
fn field<'a>(object: &'a Value, name: &str) -> Option<&'a Value> {
    let fields = object.as_object()?;
    if fields.len() > FIELDS_FEW {
        return fields.get(name);
    }
    fields.iter().find(|(known, _)| *known == name).map(|(_, value)| value)
}

/// How many fields are few.
const FIELDS_FEW: usize = 16;

/// Whether a path has some part. A search in it that is prepared, as that of the standard library,
/// takes longer for a path that is short.
fn has<const N: usize>(path: &str, part: &[u8; N]) -> bool {
    path.as_bytes().windows(N).any(|window| window == part)
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
            let headers = Headers::from_iter([(header, "Bearer k")]);
            match find(&Head { method: "POST", path, query: "", headers: &headers }) {
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
            (
                "/v1beta/openai/chat/completions",
                bearer,
                (ProviderName::Gemini, Some(Route::GeminiGenerate)),
            ),
            ("/v1beta/openai/embeddings", bearer, (ProviderName::Gemini, None)),
            ("/v1beta/models", bearer, (ProviderName::Gemini, Some(Route::GeminiModels))),
            (
                "/models/m:generateContent",
                bearer,
                (ProviderName::Gemini, Some(Route::GeminiGenerate)),
            ),
            ("/v1/models", "x-goog-api-key", (ProviderName::Gemini, Some(Route::GeminiModels))),
            ("/v1/models", "x-api-key", (ProviderName::Anthropic, Some(Route::AnthropicModels))),
            ("/v1/v1/messages", bearer, messages),
            (
                "/v1/messages/count_tokens",
                bearer,
                (ProviderName::Anthropic, Some(Route::AnthropicCountTokens)),
            ),
            ("/openai/v1/chat/completions", bearer, (ProviderName::Azure, Some(Route::AzureChat))),
            ("/openai/v1/models", bearer, (ProviderName::Azure, None)),
            ("/v1/message", "x-api-key", (ProviderName::Anthropic, None)),
            (
                "/mistral/v1/embeddings",
                bearer,
                (ProviderName::Mistral, Some(Route::MistralEmbeddings)),
            ),
            ("/mistral/v1/completions", bearer, (ProviderName::Mistral, None)),
            ("/api/chat", bearer, (ProviderName::Ollama, Some(Route::OllamaChat))),
            ("/api/pull", bearer, (ProviderName::Ollama, None)),
            ("/ollama/v1/models/x", bearer, (ProviderName::Ollama, Some(Route::OllamaV1Models))),
            (
                "/api/v1/chat/completions",
                bearer,
                (ProviderName::OpenRouter, Some(Route::OpenRouterChat)),
            ),
            (
                "/openrouter/models",
                bearer,
                (ProviderName::OpenRouter, Some(Route::OpenRouterModels)),
            ),
            ("/api/v1/key", bearer, (ProviderName::OpenRouter, None)),
        ] {
            assert_eq!(whose(path, header), expected, "{path}");
        }
    }
}
