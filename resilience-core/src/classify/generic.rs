//! Gateways, which mostly speak OpenAI's language but put a sentence of their own before it.

use super::row::{Row, Then};
use crate::class::Class;

pub(super) const ROWS: &[Row] = &[
    // Gemini says "you exceeded your current quota" of a minute, too.
    Row::details(&[], &["PerDay"], Then::Is(Class::QuotaExhausted)),
    Row::details(&[], &["PerMinute"], Then::RateLimit),
    Row::kind(&[], &["insufficient_quota", "billing_not_active"], Then::Is(Class::QuotaExhausted)),
    Row::kind(&[], &["request_forbidden"], Then::Is(Class::Permission)),
    Row::message(
        &[400],
        &[
            "maximum context length is",
            "exceeds the context window",
            "input tokens exceed the configured limit",
        ],
        Then::Overflow,
    ),
    Row::message(&[500, 503], &["currently overloaded"], Then::Is(Class::Overloaded)),
    Row::message(&[429], &["exceeded your current quota"], Then::Is(Class::QuotaExhausted)),
];
