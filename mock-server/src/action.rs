//! What the provider does about one request: the healthy answer, or one fault.
//!
//! This is the one place where a fault is defined.
//! Its name, settings and texts here are the scenario language, the schema, and the documentation;
//! a dialect decides only how its provider words an [`ErrorKind`].

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::units::{Length, Share, Span};

/// One step of a script, or the fault of a rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(title = "fault")]
pub enum Action {
    /// The healthy answer, with a text or length of its own.
    Answer(Answer),
    /// 401, or what the provider answers instead: the key is refused.
    Authentication(Refused),
    /// 502 from a proxy in front of the provider.
    BadGateway(Hinted),
    /// 400: the request is refused as invalid.
    BadRequest(Refused),
    /// 499: the provider says that the request was cancelled.
    Cancelled(Hinted),
    /// 409: the request collides with another one.
    Conflict(Hinted),
    /// The request or its answer is refused by the provider's content policy, with an error or
    /// with a 200, as the provider does it.
    ContentPolicy(Refused),
    /// 400: the input, really counted, is longer than the model's window.
    ContextLength(ContextLength),
    /// A stream that ends in the middle, without the provider's last event.
    CutStream(CutStream),
    /// 504 from a proxy in front of the provider.
    GatewayTimeout(Hinted),
    /// The request is read, and no byte is ever answered.
    Hang(Plain),
    /// A spent quota, 429 or what the provider answers instead: waiting does not help.
    InsufficientQuota(Refused),
    /// 404: the model, or what else was asked for, does not exist.
    NotFound(Refused),
    /// The provider is overloaded: 529 where the provider knows it, its own 503 elsewhere.
    Overloaded(Hinted),
    /// 403: the key is good, but may not do this.
    Permission(Refused),
    /// 429: too many requests or tokens, with the provider's limit headers.
    RateLimited(RateLimited),
    /// 408: the provider waited too long, for the request or for its own model.
    RequestTimeout(Hinted),
    /// 413, or what the provider answers instead: the body has too many bytes.
    RequestTooLarge(Refused),
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

/// Settings of an error that repeating the request does not mend.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Refused {
    /// How many times in a row a script plays this step.
    pub times: Times,
    /// Which of the provider's errors of this kind; `brownout catalog` lists them. The usual one
    /// if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub case: Option<String>,
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
    /// Which of the provider's errors of this kind; `brownout catalog` lists them. The usual one
    /// if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub case: Option<String>,
}

/// Settings of `answer`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Answer {
    /// How many times in a row a script plays this step.
    pub times: Times,
    /// The call of a tool, with arguments that satisfy its schema.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub call: Option<String>,
    /// The text of the answer, between its marks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// About how many tokens the answer has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens: Option<Length>,
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
    /// Which of the provider's errors of this kind; `brownout catalog` lists them. The usual one
    /// if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub case: Option<String>,
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
    /// Which of the provider's errors of this kind; `brownout catalog` lists them. The usual one
    /// if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub case: Option<String>,
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
    /// Requests at the same time.
    Concurrency,
    /// Tokens of the input.
    InputTokens,
    /// Tokens of the output.
    OutputTokens,
    /// Requests.
    #[default]
    Requests,
    /// Tokens, of input and output together.
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
    pub error: ErrorKind,
    /// Which of the provider's errors of this kind; `brownout catalog` lists them. The usual one
    /// if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub case: Option<String>,
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
    /// The request was cancelled, says the provider.
    Cancelled,
    /// The request collides with another one.
    Conflict,
    /// The content is refused.
    ContentPolicy,
    /// The input does not fit the model's window.
    ContextLength,
    /// A proxy got no answer in time.
    GatewayTimeout,
    /// The quota is spent.
    InsufficientQuota,
    /// The model, or what else was asked for, does not exist.
    NotFound,
    /// The provider is overloaded.
    Overloaded,
    /// The key may not do this.
    Permission,
    /// Too many requests or tokens.
    RateLimited,
    /// The provider waited too long.
    RequestTimeout,
    /// The body has too many bytes.
    RequestTooLarge,
    /// The provider failed.
    ServerError,
    /// The provider is not available.
    Unavailable,
}

impl Action {
    /// The action that serves an error of a kind, with a wait where one can be announced.
    pub fn example(kind: ErrorKind, retry_after: Option<Span>) -> Self {
        let refused = Refused::default();
        let hinted = Hinted { retry_after, ..Hinted::default() };
        match kind {
            ErrorKind::Authentication => Self::Authentication(refused),
            ErrorKind::BadGateway => Self::BadGateway(hinted),
            ErrorKind::BadRequest => Self::BadRequest(refused),
            ErrorKind::Cancelled => Self::Cancelled(hinted),
            ErrorKind::Conflict => Self::Conflict(hinted),
            ErrorKind::ContentPolicy => Self::ContentPolicy(refused),
            ErrorKind::ContextLength => Self::ContextLength(ContextLength::default()),
            ErrorKind::GatewayTimeout => Self::GatewayTimeout(hinted),
            ErrorKind::InsufficientQuota => Self::InsufficientQuota(refused),
            ErrorKind::NotFound => Self::NotFound(refused),
            ErrorKind::Overloaded => Self::Overloaded(hinted),
            ErrorKind::Permission => Self::Permission(refused),
            ErrorKind::RateLimited => {
                Self::RateLimited(RateLimited { retry_after, ..RateLimited::default() })
            }
            ErrorKind::RequestTimeout => Self::RequestTimeout(hinted),
            ErrorKind::RequestTooLarge => Self::RequestTooLarge(refused),
            ErrorKind::ServerError => Self::ServerError(hinted),
            ErrorKind::Unavailable => Self::Unavailable(hinted),
        }
    }

    /// The action's name in the scenario language.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Answer(_) => "answer",
            Self::Authentication(_) => "authentication",
            Self::BadGateway(_) => "bad-gateway",
            Self::BadRequest(_) => "bad-request",
            Self::Cancelled(_) => "cancelled",
            Self::Conflict(_) => "conflict",
            Self::ContentPolicy(_) => "content-policy",
            Self::ContextLength(_) => "context-length",
            Self::CutStream(_) => "cut-stream",
            Self::GatewayTimeout(_) => "gateway-timeout",
            Self::Hang(_) => "hang",
            Self::InsufficientQuota(_) => "insufficient-quota",
            Self::NotFound(_) => "not-found",
            Self::Overloaded(_) => "overloaded",
            Self::Permission(_) => "permission",
            Self::RateLimited(_) => "rate-limited",
            Self::RequestTimeout(_) => "request-timeout",
            Self::RequestTooLarge(_) => "request-too-large",
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
            | Self::InsufficientQuota(settings)
            | Self::NotFound(settings)
            | Self::Permission(settings)
            | Self::RequestTooLarge(settings) => settings.times,
            Self::Hang(settings) | Self::Reset(settings) => settings.times,
            Self::BadGateway(settings)
            | Self::Cancelled(settings)
            | Self::Conflict(settings)
            | Self::GatewayTimeout(settings)
            | Self::Overloaded(settings)
            | Self::RequestTimeout(settings)
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
            Self::Cancelled(_) => ErrorKind::Cancelled,
            Self::Conflict(_) => ErrorKind::Conflict,
            Self::ContentPolicy(_) => ErrorKind::ContentPolicy,
            Self::ContextLength(_) => ErrorKind::ContextLength,
            Self::GatewayTimeout(_) => ErrorKind::GatewayTimeout,
            Self::InsufficientQuota(_) => ErrorKind::InsufficientQuota,
            Self::NotFound(_) => ErrorKind::NotFound,
            Self::Overloaded(_) => ErrorKind::Overloaded,
            Self::Permission(_) => ErrorKind::Permission,
            Self::RateLimited(_) => ErrorKind::RateLimited,
            Self::RequestTimeout(_) => ErrorKind::RequestTimeout,
            Self::RequestTooLarge(_) => ErrorKind::RequestTooLarge,
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
            | Self::Cancelled(settings)
            | Self::Conflict(settings)
            | Self::GatewayTimeout(settings)
            | Self::Overloaded(settings)
            | Self::RequestTimeout(settings)
            | Self::ServerError(settings)
            | Self::Unavailable(settings) => {
                settings.retry_after.map(|after| (after, settings.hint))
            }
            Self::RateLimited(settings) => settings.retry_after.map(|after| (after, settings.hint)),
            _ => None,
        }
    }

    /// Which of the provider's errors it names; none means the usual one.
    pub fn case(&self) -> Option<&str> {
        match self {
            Self::Authentication(settings)
            | Self::BadRequest(settings)
            | Self::ContentPolicy(settings)
            | Self::InsufficientQuota(settings)
            | Self::NotFound(settings)
            | Self::Permission(settings)
            | Self::RequestTooLarge(settings) => settings.case.as_deref(),
            Self::BadGateway(settings)
            | Self::Cancelled(settings)
            | Self::Conflict(settings)
            | Self::GatewayTimeout(settings)
            | Self::Overloaded(settings)
            | Self::RequestTimeout(settings)
            | Self::ServerError(settings)
            | Self::Unavailable(settings) => settings.case.as_deref(),
            Self::ContextLength(settings) => settings.case.as_deref(),
            Self::RateLimited(settings) => settings.case.as_deref(),
            Self::StreamError(settings) => settings.case.as_deref(),
            Self::Answer(_)
            | Self::CutStream(_)
            | Self::Hang(_)
            | Self::Reset(_)
            | Self::Slow(_)
            | Self::Truncated(_) => None,
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
    pub const ALL: [Self; 17] = [
        Self::Authentication,
        Self::BadGateway,
        Self::BadRequest,
        Self::Cancelled,
        Self::Conflict,
        Self::ContentPolicy,
        Self::ContextLength,
        Self::GatewayTimeout,
        Self::InsufficientQuota,
        Self::NotFound,
        Self::Overloaded,
        Self::Permission,
        Self::RateLimited,
        Self::RequestTimeout,
        Self::RequestTooLarge,
        Self::ServerError,
        Self::Unavailable,
    ];

    /// The kind's name, the same as that of the action which serves it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Authentication => "authentication",
            Self::BadGateway => "bad-gateway",
            Self::BadRequest => "bad-request",
            Self::Cancelled => "cancelled",
            Self::Conflict => "conflict",
            Self::ContentPolicy => "content-policy",
            Self::ContextLength => "context-length",
            Self::GatewayTimeout => "gateway-timeout",
            Self::InsufficientQuota => "insufficient-quota",
            Self::NotFound => "not-found",
            Self::Overloaded => "overloaded",
            Self::Permission => "permission",
            Self::RateLimited => "rate-limited",
            Self::RequestTimeout => "request-timeout",
            Self::RequestTooLarge => "request-too-large",
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
            | Self::InsufficientQuota
            | Self::NotFound
            | Self::Permission
            | Self::RequestTooLarge => true,
            Self::BadGateway
            | Self::Cancelled
            | Self::Conflict
            | Self::GatewayTimeout
            | Self::Overloaded
            | Self::RateLimited
            | Self::RequestTimeout
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
        Self { times: Times::default(), after: 3, error: ErrorKind::Overloaded, case: None }
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
