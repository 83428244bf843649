//! How long a server asks its clients to stay away.
//!
//! Providers say so in a dozen ways, from `retry-after-ms` to a sentence in the error message.
//! [`read`] understands each of them, ranks them in one fixed order, and turns every date into a span at once, so that no later step needs the wall clock.
//! Whether a hint is obeyed, and up to which length, is the policy's decision.

use std::time::{Duration, SystemTime};

use crate::class::Dimension;
use crate::limiter::Cost;
use crate::provider::Provider;

mod grammar;
mod limits;
mod observed;
mod rooms;
mod text;

pub use observed::{Left, Observed, observed};
pub(crate) use text::{dimension, integer, limit_text};

/// A span to stay away for, and where the server said so.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Hint {
    /// The span, from the moment the answer was read.
    pub after: Duration,
    /// Which form it was given in.
    pub source: Source,
}

/// The forms of a hint, most trusted first.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Source {
    /// `retry-after-ms`, in milliseconds.
    RetryAfterMs,
    /// `x-ms-retry-after-ms`, in milliseconds.
    MsRetryAfterMs,
    /// `x-amz-retry-after`, in milliseconds.
    AmzRetryAfter,
    /// `Retry-After`: seconds, whole or not, or a date ([RFC 9110 §10.2.3](https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3)).
    RetryAfter,
    /// `grpc-retry-pushback-ms`, in milliseconds ([gRFC A6](https://github.com/grpc/proposal/blob/master/A6-client-retries.md#pushback)).
    GrpcPushback,
    /// Google's [`RetryInfo`](https://github.com/googleapis/googleapis/blob/master/google/rpc/error_details.proto), or the message beside it if that is longer.
    RetryInfo,
    /// The limit headers or the numbers of the message: until there is room again in this dimension.
    Limits(Dimension),
    /// The message: "Please try again in 634ms".
    Message,
}

/// Everything in an answer that a hint can stand in.
#[derive(Clone, Copy, Debug)]
pub struct Signals<'a> {
    /// Whose headers these are.
    pub provider: Provider,
    /// The header fields; names in any case.
    pub headers: &'a [(&'a str, &'a str)],
    /// The error message.
    pub message: &'a str,
    /// The `retryDelay` of Google's `RetryInfo`, as it stands in the body: `39s`.
    pub retry_delay: Option<&'a str>,
    /// Whether the answer is a rate limit.
    ///
    /// Limit headers come with every answer; only a rate limit says that one of them was reached.
    pub limited: bool,
    /// The local wall clock, for dates in an answer without a `Date` of its own; with `None` such dates give no hint.
    pub wall: Option<SystemTime>,
    /// What the request cost, if the sender counted it.
    pub cost: Option<Cost>,
}

impl Signals<'_> {
    /// The first field of that name, trimmed.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        header(self.headers, name)
    }

    /// The server's clock if it told us, otherwise ours.
    fn clock(&self) -> Option<SystemTime> {
        self.header("date").and_then(|date| httpdate::parse_http_date(date).ok()).or(self.wall)
    }
}

/// The hint of an answer.
///
/// The first form, in the order of [`Source`], with a value above zero wins: Azure has been seen to send `retry-after: 1` beside `retry-after-ms: 0`.
/// If every form present says zero, so does the hint, and a plain backoff applies.
/// A negative or unreadable value counts as absent; a date in the past is zero.
pub fn read(signals: &Signals<'_>) -> Option<Hint> {
    let millis = |name| signals.header(name).and_then(|value| grammar::delta(value, 1_000_000));
    let explicit = [
        (Source::RetryAfterMs, millis("retry-after-ms")),
        (Source::MsRetryAfterMs, millis("x-ms-retry-after-ms")),
        (Source::AmzRetryAfter, millis("x-amz-retry-after")),
        (Source::RetryAfter, retry_after(signals)),
        (
            Source::GrpcPushback,
            signals.header("grpc-retry-pushback-ms").and_then(grammar::pushback),
        ),
        (Source::RetryInfo, retry_info(signals)),
    ];
    let mut hints = explicit
        .into_iter()
        .filter_map(|(source, after)| Some(Hint { after: after?, source }))
        .chain(limits::wait(signals))
        .chain(
            text::text_hint(signals.message).map(|after| Hint { after, source: Source::Message }),
        )
        .map(|hint| Hint { after: hint.after.min(AFTER_MAX), ..hint });
    let first = hints.next()?;
    if first.after > Duration::ZERO {
        return Some(first);
    }
    Some(hints.find(|hint| hint.after > Duration::ZERO).unwrap_or(first))
}

/// The server's own word on whether to retry, from `x-should-retry`, or from a gRPC pushback that is negative or unreadable.
///
/// A word against a retry outweighs one for it.
pub fn should_retry(headers: &[(&str, &str)]) -> Option<bool> {
    let pushback = header(headers, "grpc-retry-pushback-ms");
    if pushback.is_some_and(|value| grammar::pushback(value).is_none()) {
        return Some(false);
    }
    match header(headers, "x-should-retry")? {
        word if word.eq_ignore_ascii_case("true") => Some(true),
        word if word.eq_ignore_ascii_case("false") => Some(false),
        _ => None,
    }
}

/// Whether the headers ask for a wait or tell of Anthropic's limits.
pub(crate) fn hinted(headers: &[(&str, &str)]) -> bool {
    headers.iter().any(|(name, _)| {
        let begins = |prefix: &str| {
            name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
        };
        begins("retry-after") || begins("anthropic-ratelimit-")
    })
}

/// The first field of that name, trimmed.
pub(crate) fn header<'a>(headers: &[(&str, &'a str)], name: &str) -> Option<&'a str> {
    headers
        .iter()
        .find(|(field, _)| field.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim_ascii())
}

fn retry_after(signals: &Signals<'_>) -> Option<Duration> {
    let value = signals.header("retry-after")?;
    grammar::delta(value, 1_000_000_000).or_else(|| {
        let date = httpdate::parse_http_date(value).ok()?;
        Some(date.duration_since(signals.clock()?).unwrap_or(Duration::ZERO))
    })
}

/// The larger of Google's two: `retryDelay` is often cut to whole seconds, the message is not.
fn retry_info(signals: &Signals<'_>) -> Option<Duration> {
    // A span of protobuf is one of Go's with a single unit.
    let delay = grammar::go_duration(signals.retry_delay?)?;
    Some(delay.max(text::text_hint(signals.message).unwrap_or_default()))
}

/// The longest hint: what a [`Nanos`](crate::Nanos) can count.
const AFTER_MAX: Duration = Duration::from_nanos(u64::MAX);
