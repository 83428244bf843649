//! [Gemini's errors](https://ai.google.dev/gemini-api/docs/troubleshooting): a [`google.rpc.Status`](https://cloud.google.com/apis/design/errors) whose details are the stable part.

use super::row::{Row, Then};
use crate::class::{Class, Missing};

pub(super) const ROWS: &[Row] = &[
    Row::code(&[], &["API_KEY_INVALID"], Then::Is(Class::Auth)),
    Row::code(&[], &["SERVICE_DISABLED"], Then::Is(Class::Permission)),
    // It still comes with a `retryDelay` under a minute, which means nothing.
    Row::details(&[], &["PerDay"], Then::Is(Class::QuotaExhausted)),
    Row::kind(&[], &["RESOURCE_EXHAUSTED"], Then::RateLimit),
    Row::kind(&[], &["UNAVAILABLE"], Then::Is(Class::Overloaded)),
    Row::kind(&[], &["INTERNAL", "DEADLINE_EXCEEDED"], Then::Is(Class::Server)),
    // We did not cancel: who does, reports so itself and needs no answer.
    Row::kind(&[], &["CANCELLED"], Then::Is(Class::Network)),
    Row::kind(&[], &["FAILED_PRECONDITION"], Then::Is(Class::Permission))
        .saying(&["location is not supported"]),
    Row::kind(&[], &["UNAUTHENTICATED"], Then::Is(Class::Auth)),
    Row::opening(&[404], &["models/"], Then::Is(Class::NotFound(Missing::Model))),
    Row::opening(
        &[403],
        &["your api key was reported as leaked", "method doesn't allow unregistered callers"],
        Then::Is(Class::Auth),
    ),
    Row::opening(&[400], &["request payload size exceeds"], Then::Is(Class::RequestTooLarge)),
    Row::opening(&[400], &["the input token count"], Then::Overflow)
        .saying(&["exceeds the maximum number of tokens"]),
];
