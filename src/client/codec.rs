//! What the client's codecs have in common: a request to write, an answer to read.

use resilience_core::{Failure, Provider, Request, Target, Usage};
use serde_json::Value;

use super::{anthropic, openai};

/// How one provider is spoken to.
pub(super) trait Codec: Sync {
    /// The path of a request.
    fn path(&self) -> &'static str;

    /// The headers of a request beside the common ones.
    fn headers(&self) -> &'static [(&'static str, &'static str)];

    /// The body of a request.
    fn body(&self, model: &str, messages: &[resilience_core::Message], request: &Request) -> Value;

    /// Reads a whole answer.
    fn answer(&self, body: &Value) -> Option<Text>;

    /// Reads one event of a stream.
    fn event(&self, name: &str, data: &str) -> Event;
}

/// A text with what it cost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Text {
    /// The text.
    pub(super) text: String,
    /// The tokens that the provider charged.
    pub(super) usage: Option<Usage>,
}

/// What an event of a stream says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// The stream is over, and whole.
    End,
    /// The provider failed in the middle.
    Error(Box<Failure>),
    /// The answer has been written to its end; only formalities follow.
    Finished,
    /// Nothing that matters here.
    Other,
    /// A piece of text.
    Text(String),
    /// What it cost.
    Usage(Usage),
}

/// A request as it goes over the wire, but for the headers that carry no meaning to the provider.
pub(crate) struct Spoken {
    /// The path.
    pub(crate) path: &'static str,
    /// The headers.
    pub(crate) headers: Vec<(&'static str, &'static str)>,
    /// The body.
    pub(crate) body: String,
}

/// What a request to a target looks like.
pub(crate) fn spoken(target: &Target, request: &Request) -> Spoken {
    let codec = of(target.provider);
    let mut headers = vec![("content-type", "application/json")];
    headers.extend(codec.headers());
    let body = codec.body(&target.model, &request.messages, request).to_string();
    Spoken { path: codec.path(), headers, body }
}

/// The codec of a provider; only those that the scenario language can name are asked for.
pub(super) fn of(provider: Provider) -> &'static dyn Codec {
    match provider {
        Provider::Anthropic => &anthropic::Messages,
        _ => &openai::Chat,
    }
}
