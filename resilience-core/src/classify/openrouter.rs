//! [OpenRouter's errors](https://openrouter.ai/docs/api-reference/errors): the code is the status, and what a provider behind it said stands in `metadata`.

use super::openai::{OVERFLOW_OPENINGS, POLICY_CODES};
use super::row::{Row, Then};
use crate::class::{Blame, Class, Missing};

pub(super) const ROWS: &[Row] = &[
    Row::code(&[], &["context_length_exceeded"], Then::Overflow),
    Row::code(&[], POLICY_CODES, Then::Is(Class::ContentPolicy)),
    Row::code(&[], &["rate_limit_exceeded"], Then::RateLimit),
    Row::details(&[403], &["metadata.reasons"], Then::Is(Class::ContentPolicy)),
    // Our key is within its limits; the provider's own is not.
    Row::opening(&[429], &["provider returned error"], Then::RateLimit).blaming(Blame::Target),
    Row::opening(&[400], &["provider returned error"], Then::Overflow).saying(&[
        "maximum context length is",
        "prompt is too long",
        "exceeds the maximum number of tokens",
    ]),
    Row::opening(
        &[500, 502, 503, 504, 524, 529],
        &["provider returned error"],
        Then::Is(Class::Server),
    )
    .blaming(Blame::Target),
    Row::opening(&[400], &["this endpoint's maximum context length is"], Then::Overflow),
    Row::opening(&[400], OVERFLOW_OPENINGS, Then::Overflow),
    Row::opening(
        &[429],
        &["rate limit exceeded: free-models-per-day"],
        Then::Is(Class::QuotaExhausted),
    ),
    Row::opening(&[404], &["no endpoints found"], Then::Is(Class::NotFound(Missing::Model))),
    Row::message(&[400], &[" is not a valid model id"], Then::Is(Class::NotFound(Missing::Model))),
];
