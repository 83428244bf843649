//! What the provider does about one request: the healthy answer, or one fault.
//!
//! This is the one place where a fault is defined.
//! Its name, settings and texts here are the scenario language, the schema, and the documentation;
//! a dialect decides only how its provider words an [`ErrorKind`].

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::units::{Share, Span};

/// One step of a script, or the fault of a rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(title = "fault")]
pub enum Action {
    /// The healthy answer, with a text or length of its own.
    Answer(Answer),
    /// 401: the key is refused.
    Authentication(Plain),
    /// 502 from a proxy in front of the provider.
    BadGateway(Hinted),
    /// 400: the request is refused as invalid.
    BadRequest(Plain),
    /// 400: the request is refused by the provider's content policy.
    ContentPolicy(Plain),
    /// 400: the input, really counted, is longer than the model's window.
    ContextLength(ContextLength),
    /// A stream that ends in the middle, without the provider's last event.
    CutStream(CutStream),
    /// 504 from a proxy in front of the provider.
    GatewayTimeout(Hinted),
    /// The request is read, and no byte is ever answered.
    Hang(Plain),
    /// 429 for a spent quota: waiting does not help.
    InsufficientQuota(Plain),
    /// The provider is overloaded: 529 where the provider knows it, its own 503 elsewhere.
    Overloaded(Hinted),
    /// 429: too many requests or tokens, with the provider's limit headers.
    RateLimited(RateLimited),
    /// The connection is reset (a RST) before any byte is answered.
    Reset(Plain),
    /// 500: the provider failed.
    ServerError(Hinted),
    /// The healthy answer, but slow.
    Slow(Slow),
    /// An error event of the provider in the middle of a stream that began with a 200.
    StreamError(StreamError),
    /// A JSON answer that ends before its Content-Length is reached.
    Truncated(Truncated),
    /// 503: the provider is not available.
    Unavailable(Hinted),
}

/// Settings of a fault that has nothing to set but how often a script repeats it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Plain {
    /// How many times in a row a script plays this step.
    pub times: Times,
}

/// Settings of an error that may tell the client when to come back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Hinted {
    /// How many times in a row a script plays this step.
    pub times: Times,
    /// The wait announced in the Retry-After header; no header if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<Span>,
    /// How the wait is written.
    pub hint: HintForm,
}

/// Settings of `answer`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Answer {
    /// How many times in a row a script plays this step.
    pub times: Times,
    /// The text of the answer, between its marks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// About how many tokens the answer has.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100_000))]
    pub tokens: Option<u32>,
}

/// Settings of `context-length`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct ContextLength {
    /// How many times in a row a script plays this step.
    pub times: Times,
    /// The model's window for this request; a request that fits is not acted on.
    /// If left out, the window is one token smaller than whatever the input is.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100_000_000))]
    pub window: Option<u64>,
}

/// Settings of `cut-stream`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct CutStream {
    /// How many times in a row a script plays this step.
    pub times: Times,
    /// How many events with text are sent before the cut; at least one event is held back.
    #[schemars(range(min = 0, max = 100_000))]
    pub after: u32,
    /// How the connection ends.
    pub end: CutEnd,
}

/// How a cut stream ends on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CutEnd {
    /// The connection is closed (a FIN) inside the chunked body.
    #[default]
    Close,
    /// The body ends as HTTP wants it; only the provider's last event is missing.
    Quietly,
    /// The connection is reset (a RST) once the events have been sent.
    Reset,
}

/// Settings of `rate-limited`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct RateLimited {
    /// How many times in a row a script plays this step.
    pub times: Times,
    /// The wait announced in the Retry-After header, the limit headers and the text.
    /// If left out, nothing announces one; OpenAI then says `slow_down`, its only 429 that tells
    /// no time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<Span>,
    /// How the wait is written.
    pub hint: HintForm,
    /// Which limit was hit.
    pub limit: Dimension,
}

/// How a Retry-After is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum HintForm {
    /// An HTTP date, such as `Wed, 21 Oct 2026 07:28:00 GMT`.
    Date,
    /// `retry-after-ms`, in milliseconds.
    Milliseconds,
    /// Seconds, whole if they can be ([RFC 9110 §10.2.3](https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3)).
    #[default]
    Seconds,
}

/// What a limit counts.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Dimension {
    /// Requests in a minute.
    #[default]
    Requests,
    /// Tokens in a minute.
    Tokens,
}

/// Settings of `slow`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Slow {
    /// How many times in a row a script plays this step.
    pub times: Times,
    /// The silence before the answer, or before the first token of a stream.
    pub first_token: Span,
    /// The silence between two tokens of a stream.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub between_tokens: Option<Span>,
}

/// Settings of `stream-error`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct StreamError {
    /// How many times in a row a script plays this step.
    pub times: Times,
    /// How many events with text are sent before the error.
    #[schemars(range(min = 0, max = 100_000))]
    pub after: u32,
    /// What the error event says.
    pub error: StreamErrorKind,
}

/// The errors that providers send inside a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum StreamErrorKind {
    /// The provider is overloaded.
    #[default]
    Overloaded,
    /// The limit was hit while streaming.
    RateLimited,
    /// The provider failed.
    ServerError,
}

/// Settings of `truncated`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Truncated {
    /// How many times in a row a script plays this step.
    pub times: Times,
    /// How much of the body is sent; at least one byte is held back.
    pub keep: Share,
}

/// How many times in a row a script plays a step, 1 to 10,000.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(inline, extend("minimum" = 1, "maximum" = 10_000))]
pub struct Times(pub u32);

/// What an error response means, whatever its provider calls it.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum ErrorKind {
    /// The key is refused or missing.
    Authentication,
    /// A proxy got no good answer.
    BadGateway,
    /// The request is invalid.
    BadRequest,
    /// The content is refused.
    ContentPolicy,
    /// The input does not fit the model's window.
    ContextLength,
    /// A proxy got no answer in time.
    GatewayTimeout,
    /// The quota is spent.
    InsufficientQuota,
    /// The provider is overloaded.
    Overloaded,
    /// Too many requests or tokens.
    RateLimited,
    /// The provider failed.
    ServerError,
    /// The provider is not available.
    Unavailable,
}

impl Action {
    /// The action's name in the scenario language.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Answer(_) => "answer",
            Self::Authentication(_) => "authentication",
            Self::BadGateway(_) => "bad-gateway",
            Self::BadRequest(_) => "bad-request",
            Self::ContentPolicy(_) => "content-policy",
            Self::ContextLength(_) => "context-length",
            Self::CutStream(_) => "cut-stream",
            Self::GatewayTimeout(_) => "gateway-timeout",
            Self::Hang(_) => "hang",
            Self::InsufficientQuota(_) => "insufficient-quota",
            Self::Overloaded(_) => "overloaded",
            Self::RateLimited(_) => "rate-limited",
            Self::Reset(_) => "reset",
            Self::ServerError(_) => "server-error",
            Self::Slow(_) => "slow",
            Self::StreamError(_) => "stream-error",
            Self::Truncated(_) => "truncated",
            Self::Unavailable(_) => "unavailable",
        }
    }

    /// How many times in a row a script plays it.
    pub fn times(&self) -> u32 {
        match self {
            Self::Answer(settings) => settings.times,
            Self::Authentication(settings)
            | Self::BadRequest(settings)
            | Self::ContentPolicy(settings)
            | Self::Hang(settings)
            | Self::InsufficientQuota(settings)
            | Self::Reset(settings) => settings.times,
            Self::BadGateway(settings)
            | Self::GatewayTimeout(settings)
            | Self::Overloaded(settings)
            | Self::ServerError(settings)
            | Self::Unavailable(settings) => settings.times,
            Self::ContextLength(settings) => settings.times,
            Self::CutStream(settings) => settings.times,
            Self::RateLimited(settings) => settings.times,
            Self::Slow(settings) => settings.times,
            Self::StreamError(settings) => settings.times,
            Self::Truncated(settings) => settings.times,
        }
        .0
    }

    /// The error response it is, if it is one.
    pub fn error(&self) -> Option<ErrorKind> {
        Some(match self {
            Self::Authentication(_) => ErrorKind::Authentication,
            Self::BadGateway(_) => ErrorKind::BadGateway,
            Self::BadRequest(_) => ErrorKind::BadRequest,
            Self::ContentPolicy(_) => ErrorKind::ContentPolicy,
            Self::ContextLength(_) => ErrorKind::ContextLength,
            Self::GatewayTimeout(_) => ErrorKind::GatewayTimeout,
            Self::InsufficientQuota(_) => ErrorKind::InsufficientQuota,
            Self::Overloaded(_) => ErrorKind::Overloaded,
            Self::RateLimited(_) => ErrorKind::RateLimited,
            Self::ServerError(_) => ErrorKind::ServerError,
            Self::Unavailable(_) => ErrorKind::Unavailable,
            Self::Answer(_)
            | Self::CutStream(_)
            | Self::Hang(_)
            | Self::Reset(_)
            | Self::Slow(_)
            | Self::StreamError(_)
            | Self::Truncated(_) => return None,
        })
    }

    /// The wait it announces, and how.
    pub fn hint(&self) -> Option<(Span, HintForm)> {
        match self {
            Self::BadGateway(settings)
            | Self::GatewayTimeout(settings)
            | Self::Overloaded(settings)
            | Self::ServerError(settings)
            | Self::Unavailable(settings) => {
                settings.retry_after.map(|after| (after, settings.hint))
            }
            Self::RateLimited(settings) => settings.retry_after.map(|after| (after, settings.hint)),
            _ => None,
        }
    }

    /// Whether the wire can carry it in answer to a request that does or does not stream.
    ///
    /// A stream has no Content-Length to fall short of, and a JSON answer has no events to cut:
    /// a rule whose action the request cannot meet does not act on it.
    pub fn suits(&self, streaming: bool) -> bool {
        match self {
            Self::CutStream(_) | Self::StreamError(_) => streaming,
            Self::Truncated(_) => !streaming,
            _ => true,
        }
    }
}

impl ErrorKind {
    /// Every kind, in the order of their names.
    pub const ALL: [Self; 11] = [
        Self::Authentication,
        Self::BadGateway,
        Self::BadRequest,
        Self::ContentPolicy,
        Self::ContextLength,
        Self::GatewayTimeout,
        Self::InsufficientQuota,
        Self::Overloaded,
        Self::RateLimited,
        Self::ServerError,
        Self::Unavailable,
    ];

    /// The kind's name, the same as that of the action which serves it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Authentication => "authentication",
            Self::BadGateway => "bad-gateway",
            Self::BadRequest => "bad-request",
            Self::ContentPolicy => "content-policy",
            Self::ContextLength => "context-length",
            Self::GatewayTimeout => "gateway-timeout",
            Self::InsufficientQuota => "insufficient-quota",
            Self::Overloaded => "overloaded",
            Self::RateLimited => "rate-limited",
            Self::ServerError => "server-error",
            Self::Unavailable => "unavailable",
        }
    }

    /// Whether sending the same request again with the same key is pointless.
    pub fn is_final(self) -> bool {
        match self {
            Self::Authentication
            | Self::BadRequest
            | Self::ContentPolicy
            | Self::ContextLength
            | Self::InsufficientQuota => true,
            Self::BadGateway
            | Self::GatewayTimeout
            | Self::Overloaded
            | Self::RateLimited
            | Self::ServerError
            | Self::Unavailable => false,
        }
    }
}

impl Default for CutStream {
    fn default() -> Self {
        Self { times: Times::default(), after: 3, end: CutEnd::Close }
    }
}

impl Default for Slow {
    fn default() -> Self {
        // Long enough to be felt, short enough for every default timeout.
        let first_token = Span(std::time::Duration::from_secs(5));
        Self { times: Times::default(), first_token, between_tokens: None }
    }
}

impl Default for StreamError {
    fn default() -> Self {
        Self { times: Times::default(), after: 3, error: StreamErrorKind::Overloaded }
    }
}

impl Default for Truncated {
    fn default() -> Self {
        Self { times: Times::default(), keep: Share { ppm: 500_000 } }
    }
}

impl Default for Times {
    fn default() -> Self {
        Self(1)
    }
}
