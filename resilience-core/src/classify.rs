//! From what a provider answered, or a transport reported, to a [`Failure`].
//!
//! One rule for all providers: code first, type second, message last, then the status.
//! What each provider means by them is data, one table per provider; a new provider is a new table.
//! The body may be JSON, text, a page of HTML or nothing: a 429 without JSON is still a 429.

use std::time::SystemTime;

use crate::class::{Class, Missing, Phase, Sent};
use crate::classify::envelope::Envelope;
use crate::classify::rows::{ROWS_OF_ALL, Row, Then};
use crate::failure::{Failure, cut};
use crate::hint::{self, Signals};
use crate::limiter::Cost;
use crate::provider::Provider;

mod envelope;
mod rows;

/// An answer as it came off the wire.
#[derive(Clone, Copy, Debug)]
pub struct Reply<'a> {
    /// The HTTP status.
    pub status: u16,
    /// The header fields; names in any case.
    pub headers: &'a [(&'a str, &'a str)],
    /// The body, or as much of it as was read.
    pub body: &'a [u8],
    /// The local wall clock, for dates in an answer without a `Date` of its own.
    pub wall: Option<SystemTime>,
    /// What the request cost, if the sender counted it; it makes the wait on a token limit exact.
    pub cost: Option<Cost>,
}

/// The failure in an HTTP answer whose sender did not count tokens; [`reply`] takes everything.
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
pub fn reply(provider: Provider, reply: &Reply<'_>) -> Failure {
    let Reply { status, headers, body, wall, cost } = *reply;
    let envelope = Envelope::read(body);
    if (200..300).contains(&status) {
        let class = if envelope.refused {
            Class::ContentPolicy
        } else if envelope.names_an_error() {
            return stream_failure(provider, &envelope, headers);
        } else {
            Class::Decode
        };
        let mut failure = Failure::new(class, &envelope.message);
        failure.status = Some(status);
        return failure;
    }
    let should_retry = hint::should_retry(headers);
    let class = class_of(provider, status, &envelope, should_retry);
    let mut failure = failure_of(class, &envelope, headers);
    failure.status = Some(status);
    failure.should_retry = should_retry;
    failure.hint = hint::read(&Signals {
        provider,
        headers,
        message: &envelope.message,
        limited: matches!(class, Class::RateLimited { .. } | Class::RampLimited),
        wall,
        cost,
    });
    failure
}

/// The failure in an error event of a stream that began with a 200.
///
/// It is judged as if it had come with the status that its type usually has; the 200 says nothing.
pub fn stream_error(provider: Provider, payload: &[u8]) -> Failure {
    stream_failure(provider, &Envelope::read(payload), &[])
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

fn stream_failure(provider: Provider, envelope: &Envelope, headers: &[(&str, &str)]) -> Failure {
    let status = envelope.usual_status();
    let class = class_of(provider, status, envelope, None);
    let mut failure = failure_of(class, envelope, headers);
    failure.hint = hint::read(&Signals {
        provider,
        headers,
        message: &envelope.message,
        limited: matches!(class, Class::RateLimited { .. } | Class::RampLimited),
        wall: None,
        cost: None,
    });
    failure
}

fn failure_of(class: Class, envelope: &Envelope, headers: &[(&str, &str)]) -> Failure {
    let mut failure = Failure::new(class, &envelope.message);
    failure.sent = Sent::Yes;
    failure.code = envelope.code.as_deref().or(envelope.kind.as_deref()).map(cut);
    failure.request_id = envelope
        .request_id
        .as_deref()
        .or_else(|| REQUEST_IDS.iter().find_map(|name| hint::header(headers, name)))
        .map(cut);
    failure
}

fn class_of(
    provider: Provider,
    status: u16,
    envelope: &Envelope,
    should_retry: Option<bool>,
) -> Class {
    let message = envelope.message.to_ascii_lowercase();
    let signs = rows::Signs {
        status,
        code: envelope.code.as_deref().unwrap_or_default(),
        kind: envelope.kind.as_deref().unwrap_or_default(),
        message: &message,
    };
    let row = rows::of(provider).iter().chain(ROWS_OF_ALL).find(|row| row.matches(&signs));
    let then = row.map_or_else(|| status_default(status, should_retry), |row: &Row| row.then);
    match then {
        Then::Is(class) => class,
        Then::Overflow => {
            let (limit, requested) = envelope::window_numbers(&message);
            Class::ContextOverflow { limit, requested }
        }
        Then::RateLimit => match hint::limit_text(&message) {
            Some(numbers) if numbers.requested > numbers.limit => Class::RequestExceedsLimit {
                limit: Some(numbers.limit),
                requested: Some(numbers.requested),
            },
            _ => Class::RateLimited { dimension: hint::dimension(&message) },
        },
        Then::TooLargeForLimit => {
            let numbers = hint::limit_text(&message);
            Class::RequestExceedsLimit {
                limit: numbers.map(|numbers| numbers.limit),
                requested: numbers.map(|numbers| numbers.requested),
            }
        }
    }
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

/// Where providers name the request, each in its own header.
const REQUEST_IDS: [&str; 4] = ["x-request-id", "request-id", "apim-request-id", "cf-ray"];
