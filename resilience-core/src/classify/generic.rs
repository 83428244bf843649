//! Gateways, which mostly speak OpenAI's language but put a sentence of their own before it.

use super::openai::{AUTH_CODES, INVALID_CODES, POLICY_CODES, QUOTA_CODES};
use super::row::{Row, Then};
use crate::class::{Class, Missing};

pub(super) const ROWS: &[Row] = &[
    Row::code(&[], &["context_length_exceeded"], Then::Overflow),
    Row::code(&[], POLICY_CODES, Then::Is(Class::ContentPolicy)),
    Row::code(&[403], &["model_not_found"], Then::Is(Class::Permission)),
    Row::code(&[], &["model_not_found"], Then::Is(Class::NotFound(Missing::Model))),
    Row::code(&[], QUOTA_CODES, Then::Is(Class::QuotaExhausted)),
    Row::code(&[], AUTH_CODES, Then::Is(Class::Auth)),
    Row::code(&[], &["unsupported_country_region_territory"], Then::Is(Class::Permission)),
    Row::code(&[400], INVALID_CODES, Then::Is(Class::InvalidRequest)),
    Row::code(&[], &["rate_limit_exceeded"], Then::TooLargeForLimit).saying(&["request too large"]),
    Row::code(&[], &["rate_limit_exceeded"], Then::RateLimit),
    Row::code(&[], &["slow_down"], Then::Is(Class::RampLimited)),
    Row::code(&[], &["server_is_overloaded"], Then::Is(Class::Overloaded)),
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
