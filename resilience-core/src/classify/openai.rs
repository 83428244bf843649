//! [OpenAI's error codes](https://platform.openai.com/docs/guides/error-codes), and what bodies in public issue trackers add to them.

use super::row::{Row, Then};
use crate::class::{Class, Missing};

/// What a code alone decides, here and at gateways that copy it.
pub(super) const CODES: &[Row] = &[
    Row::code(&[], &["context_length_exceeded"], Then::Overflow),
    Row::code(&[], POLICY_CODES, Then::Is(Class::ContentPolicy)),
    Row::code(&[403], &["model_not_found"], Then::Is(Class::Permission)),
    Row::code(&[], &["model_not_found"], Then::Is(Class::NotFound(Missing::Model))),
    Row::code(&[], QUOTA_CODES, Then::Is(Class::QuotaExhausted)),
    Row::code(&[], AUTH_CODES, Then::Is(Class::Auth)),
    Row::code(&[], &["unsupported_country_region_territory"], Then::Is(Class::Permission)),
    Row::code(&[400], INVALID_CODES, Then::Is(Class::InvalidRequest)),
    // The same code and type as an ordinary limit: only the message tells that no wait will help.
    Row::code(&[], &["rate_limit_exceeded"], Then::TooLargeForLimit).saying(&["request too large"]),
    Row::code(&[], &["rate_limit_exceeded"], Then::RateLimit),
    Row::code(&[], &["slow_down"], Then::Is(Class::RampLimited)),
    Row::code(&[], &["server_is_overloaded"], Then::Is(Class::Overloaded)),
];

pub(super) const ROWS: &[Row] = &[
    Row::kind(&[], &["insufficient_quota", "billing_not_active"], Then::Is(Class::QuotaExhausted)),
    Row::kind(&[], &["request_forbidden"], Then::Is(Class::Permission)),
    Row::opening(&[400], OVERFLOW_OPENINGS, Then::Overflow),
    Row::message(&[500, 503], &["currently overloaded"], Then::Is(Class::Overloaded)),
    Row::opening(&[429], &["you exceeded your current quota"], Then::Is(Class::QuotaExhausted)),
];

pub(super) const AUTH_CODES: &[&str] =
    &["account_deactivated", "invalid_api_key", "mismatched_organization", "no_organization"];

pub(super) const POLICY_CODES: &[&str] =
    &["bio_policy", "content_filter", "content_policy_violation", "cyber_policy", "invalid_prompt"];

pub(super) const QUOTA_CODES: &[&str] = &[
    "billing_hard_limit_reached",
    "billing_not_active",
    "credit_balance_exhausted",
    "insufficient_quota",
    "organization_spend_limit_exceeded",
    "organization_usage_limit_exceeded",
    "project_spend_limit_exceeded",
];

/// What is wrong with a request has a code of its own; what the message quotes from the request then proves nothing.
pub(super) const INVALID_CODES: &[&str] = &[
    "array_above_max_length",
    "decimal_above_max_value",
    "decimal_below_min_value",
    "empty_array",
    "integer_above_max_value",
    "integer_below_min_value",
    "invalid_type",
    "invalid_value",
    "missing_required_parameter",
    "string_above_max_length",
    "unknown_parameter",
    "unsupported_parameter",
    "unsupported_value",
];

/// How the completions and embeddings endpoints begin, which send no code.
pub(super) const OVERFLOW_OPENINGS: &[&str] = &[
    "input tokens exceed the configured limit",
    "this model's maximum context length is",
    "your input exceeds the context window",
];
