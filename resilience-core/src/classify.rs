//! From what a provider answered, or a transport reported, to a [`Failure`].
//!
//! One rule for all providers: code first, type second, message last, then the status.
//! What each provider means by them is data, one table in a file per provider; a new provider is a new file, and a line wherever the compiler then asks for one.
//! The body may be JSON, text, a page of HTML or nothing: a 429 without JSON is still a 429.

use std::time::SystemTime;

use crate::class::{Class, Dimension, Missing, Phase, Sent};
use crate::classify::envelope::Envelope;
use crate::classify::row::{Signs, Then};
use crate::failure::{Failure, RequestId, one_line};
use crate::hint::{self, Signals};
use crate::limiter::Cost;
use crate::provider::Provider;

mod envelope;
mod row;
mod window;

mod anthropic;
mod azure;
mod bedrock;
mod cohere;
mod common;
mod gemini;
mod generic;
mod mistral;
mod ollama;
mod openai;
mod openrouter;

/// An answer as it came off the wire.
#[derive(Clone, Copy, Debug)]
pub struct Reply<'a> {
    /// The HTTP status.
    pub status: u16,
    /// The header fields; names in any case.
    pub headers: &'a [(&'a str, &'a str)],
    /// The body, or as much of it as was read.
    pub body: &'a [u8],
    /// The local wall clock, for dates in an answer without a `Date` of its own; with `None` such dates are lost, and with them a wait that the server has asked for.
    pub wall: Option<SystemTime>,
    /// What the request cost, if the sender counted it; it makes the wait on a token limit exact.
    pub cost: Option<Cost>,
}

/// The failure in an HTTP answer whose sender did not count tokens; [`reply`] takes everything.
///
/// `wall` is the local wall clock; with `None` a wait that the server asked for as a date is lost if the answer has no `Date` of its own.
///
/// # Examples
///
/// ```
/// use resilience_core::{Class, Provider, classify};
///
/// let body = br#"{"error":{"type":"insufficient_quota","code":"insufficient_quota","message":"no credit"}}"#;
/// let failure = classify::response(Provider::OpenAi, 429, &[], body, None);
///
/// assert_eq!(failure.class, Class::QuotaExhausted);
/// assert!(!failure.class.retryable());
/// ```
pub fn response(
    provider: Provider,
    status: u16,
    headers: &[(&str, &str)],
    body: &[u8],
    wall: Option<SystemTime>,
) -> Failure {
    reply(provider, &Reply { status, headers, body, wall, cost: None })
}

/// The failure in an HTTP answer.
///
/// A 2xx is judged by the error in its body; without one, it is an answer that could not be read.
/// A 499 says that somebody between us and the provider hung up; a sender that gave up itself reports [`Transport::Cancelled`], whatever is answered then.
pub fn reply(provider: Provider, reply: &Reply<'_>) -> Failure {
    let exception = hint::header(reply.headers, "x-amzn-errortype");
    let envelope = Envelope::read(reply.body).with_exception(exception.unwrap_or_default());
    if !(200..300).contains(&reply.status) {
        return failure_of(provider, reply.status, &envelope, reply);
    }
    let mut failure = match inside(provider, &envelope, reply) {
        Some(failure) => failure,
        None => noted(Failure::new(Class::Decode, &envelope.message), provider, &envelope, reply),
    };
    failure.status = Some(reply.status);
    failure
}

/// The failure that a body or an event of a stream hides behind a 2xx, or `None` if it is what was asked for.
///
/// An error is judged as if it had come with the status that its type usually has; the 2xx says nothing.
/// A refusal, by the model or by a filter before it, is a failure as well.
/// What is not JSON hides nothing.
///
/// # Examples
///
/// ```
/// use resilience_core::{Class, Provider, classify};
///
/// let chunk = br#"{"error":{"code":503,"message":"The model is overloaded.","status":"UNAVAILABLE"}}"#;
/// let failure = classify::hidden(Provider::Gemini, chunk).expect("an error");
///
/// assert_eq!(failure.class, Class::Overloaded);
/// assert_eq!(classify::hidden(Provider::Gemini, br#"{"candidates":[]}"#), None);
/// ```
pub fn hidden(provider: Provider, payload: &[u8]) -> Option<Failure> {
    inside(provider, &Envelope::read(payload), &BARE)
}

/// The failure in an error event of a stream that began with a 200.
///
/// It is judged as if it had come with the status that its type usually has; the 200 says nothing.
/// Gemini's errors stand in the stream without the `data:` of an event: what begins with a brace is the payload.
pub fn stream_error(provider: Provider, payload: &[u8]) -> Failure {
    let envelope = Envelope::read(payload);
    failure_of(provider, envelope.usual_status(), &envelope, &BARE).without_status()
}

/// The failure in a frame of an event stream that is an exception by its headers.
///
/// `name` is the value of `:exception-type` ([event stream encoding](https://smithy.io/2.0/aws/amazon-eventstream.html)); the payload has the message.
pub fn stream_exception(provider: Provider, name: &str, payload: &[u8]) -> Failure {
    let envelope = Envelope::read(payload).with_exception(name);
    failure_of(provider, envelope.usual_status(), &envelope, &BARE).without_status()
}

/// A failure that no HTTP answer tells of.
pub fn transport(fault: Transport, message: &str) -> Failure {
    let class = match fault {
        // No time was lost in the provider: the network did not get us there.
        Transport::Connect | Transport::Timeout(Phase::Connect) => Class::Connect,
        Transport::Cancelled | Transport::Timeout(Phase::Call) => Class::Cancelled,
        Transport::Decode => Class::Decode,
        Transport::NotProcessed => Class::NotProcessed,
        Transport::Reset => Class::Network,
        Transport::StreamCut { committed } => Class::StreamInterrupted { committed },
        Transport::Timeout(phase) => Class::Timeout { phase },
    };
    Failure::new(class, message)
}

/// What a transport can report in place of an answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Transport {
    /// The caller gave up.
    Cancelled,
    /// Refused, not resolved, or failed in the TLS handshake: nothing was written.
    Connect,
    /// A 2xx that cannot be read.
    Decode,
    /// The server attests that it did not look: HTTP/2 `REFUSED_STREAM`, or `GOAWAY` below this stream.
    NotProcessed,
    /// The connection broke after the request was written.
    Reset,
    /// A stream ended without its last event.
    StreamCut {
        /// Whether the caller had already seen some of it.
        committed: bool,
    },
    /// A phase took too long.
    Timeout(Phase),
}

/// The failure in an answer that came with a 2xx.
fn inside(provider: Provider, envelope: &Envelope, reply: &Reply<'_>) -> Option<Failure> {
    if envelope.refused {
        let mut failure = Failure::new(Class::ContentPolicy, &envelope.message);
        failure.code = envelope.code.as_deref().map(one_line);
        return Some(noted(failure, provider, envelope, reply));
    }
    let failure = || failure_of(provider, envelope.usual_status(), envelope, reply);
    envelope.names_an_error().then(|| failure().without_status())
}

fn failure_of(provider: Provider, status: u16, envelope: &Envelope, reply: &Reply<'_>) -> Failure {
    let headers = headers(envelope, reply);
    let message = envelope.message.to_ascii_lowercase();
    let should_retry = hint::should_retry(&headers);
    let signs = Signs {
        status,
        code: envelope.code.as_deref().unwrap_or_default(),
        kind: envelope.kind.as_deref().unwrap_or_default(),
        details: &envelope.details,
        message: &message,
        hinted: (!headers.is_empty()).then(|| hint::hinted(&headers)),
    };
    let row = row::find(provider, &signs);
    let then = row.map_or_else(|| status_default(status, should_retry), |row| row.then);
    let class = class_of(then, &signs);

    let mut failure = Failure::new(class, &envelope.message);
    failure.sent = Sent::Yes;
    failure.blame = row.and_then(|row| row.blame).unwrap_or(failure.blame);
    failure.status = Some(status);
    failure.should_retry = should_retry;
    failure.code = envelope.code.as_deref().or(envelope.kind.as_deref()).map(one_line);
    // Where no wait helps, none is worth knowing, whatever the headers say.
    if !matches!(class, Class::QuotaExhausted | Class::RequestExceedsLimit { .. }) {
        failure.hint = hint::read(&Signals {
            provider,
            headers: &headers,
            message: &envelope.message,
            retry_delay: envelope.retry_delay.as_deref(),
            limited: matches!(class, Class::RateLimited { .. } | Class::RampLimited),
            wall: reply.wall,
            cost: reply.cost,
        });
    }
    noted(failure, provider, envelope, reply)
}

/// The answer's own header fields, and after them those that its body quotes.
fn headers<'a>(envelope: &'a Envelope, reply: &Reply<'a>) -> Vec<(&'a str, &'a str)> {
    let quoted = envelope.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    reply.headers.iter().copied().chain(quoted).collect()
}

/// The failure with what is worth knowing beside it: the request's name, and what is left of the limits.
fn noted(
    mut failure: Failure,
    provider: Provider,
    envelope: &Envelope,
    reply: &Reply<'_>,
) -> Failure {
    let headers = headers(envelope, reply);
    let named = || REQUEST_IDS.iter().find_map(|name| hint::header(&headers, name));
    failure.request_id = envelope.request_id.as_deref().or_else(named).map(RequestId::new);
    // What is left of a minute's limit says nothing about a spent allowance.
    if failure.class != Class::QuotaExhausted {
        failure.observed = hint::observed(provider, &headers, reply.wall).into();
    }
    failure
}

fn class_of(then: Then, signs: &Signs<'_>) -> Class {
    let numbers = || hint::limit_text(signs.message);
    match then {
        Then::Is(class) => class,
        Then::Overflow => {
            let (limit, requested) = window::numbers(signs.message);
            Class::ContextOverflow { limit, requested }
        }
        Then::RateLimit => match numbers() {
            Some(numbers) if numbers.requested > numbers.limit => Class::RequestExceedsLimit {
                limit: Some(numbers.limit),
                requested: Some(numbers.requested),
            },
            _ => Class::RateLimited {
                dimension: quota(signs.details).or_else(|| hint::dimension(signs.message)),
            },
        },
        Then::TooLargeForLimit => Class::RequestExceedsLimit {
            limit: numbers().map(|numbers| numbers.limit),
            requested: numbers().map(|numbers| numbers.requested),
        },
    }
}

/// What a quota of Google's counts, by its id: `GenerateContentInputTokensPerModelPerMinute-FreeTier`.
fn quota(details: &str) -> Option<Dimension> {
    let id = details.lines().find(|line| line.starts_with("quota="))?;
    QUOTAS.iter().find(|(words, _)| id.contains(words)).map(|(_, dimension)| *dimension)
}

/// What a status means when nothing else in the answer is known.
fn status_default(status: u16, should_retry: Option<bool>) -> Then {
    Then::Is(match status {
        401 => Class::Auth,
        402 => Class::QuotaExhausted,
        403 => Class::Permission,
        404 => Class::NotFound(Missing::Resource),
        408 => Class::Timeout { phase: Phase::Attempt },
        409 => Class::Conflict,
        413 => Class::RequestTooLarge,
        425 => Class::TooEarly,
        429 => return Then::RateLimit,
        // Somebody between us and the provider hung up.
        499 => Class::Network,
        529 => Class::Overloaded,
        400 | 405 | 422 | 501 | 505 => Class::InvalidRequest,
        500.. => Class::Server,
        // Nobody has told us what this status means, so the server's word counts.
        _ if should_retry == Some(true) => Class::Server,
        _ => Class::InvalidRequest,
    })
}

/// A payload of a stream has nothing around it.
const BARE: Reply<'static> = Reply { status: 200, headers: &[], body: &[], wall: None, cost: None };

/// The more specific words first: an input token is a token.
const QUOTAS: [(&str, Dimension); 4] = [
    ("InputToken", Dimension::Itpm),
    ("OutputToken", Dimension::Otpm),
    ("Token", Dimension::Tpm),
    ("Requests", Dimension::Rpm),
];

/// Where providers name the request, each in its own header.
const REQUEST_IDS: [&str; 8] = [
    "x-request-id",
    "request-id",
    "apim-request-id",
    "x-amzn-requestid",
    "mistral-correlation-id",
    "x-debug-trace-id",
    "x-generation-id",
    "cf-ray",
];
