//! [Anthropic's errors](https://docs.anthropic.com/en/api/errors); half of them share one type, so the message decides.

use super::row::{Row, Then};
use crate::class::{Class, Missing};

pub(super) const ROWS: &[Row] = &[
    Row::code(&[], &["enforced_spend_limit_reached"], Then::Is(Class::QuotaExhausted)),
    Row::kind(&[], &["overloaded_error"], Then::Is(Class::Overloaded)),
    Row::kind(&[], &["rate_limit_error"], Then::Is(Class::RampLimited))
        .saying(&["maximum usage increase rate", "acceleration limit"]),
    Row::kind(&[], &["rate_limit_error"], Then::Is(Class::QuotaExhausted)).saying(&[
        "usage threshold",
        "spend limit",
        "usage limit",
    ]),
    // A limit that time lifts says when; only a spent allowance comes without a word on it.
    Row::kind(&[429], &["rate_limit_error"], Then::Is(Class::QuotaExhausted)).without_hint(),
    Row::kind(&[], &["rate_limit_error"], Then::RateLimit),
    Row::kind(&[], &["authentication_error"], Then::Is(Class::Auth)),
    Row::kind(&[], &["billing_error"], Then::Is(Class::QuotaExhausted)),
    Row::kind(&[], &["permission_error", "forbidden"], Then::Is(Class::Permission)),
    Row::kind(&[], &["not_found_error"], Then::Is(Class::NotFound(Missing::Model)))
        .beginning(&["model:"]),
    Row::kind(&[], &["not_found_error"], Then::Is(Class::NotFound(Missing::Resource))),
    Row::kind(&[], &["conflict_error"], Then::Is(Class::Conflict)),
    Row::kind(&[], &["request_too_large"], Then::Is(Class::RequestTooLarge)),
    Row::kind(&[], &["api_error", "timeout_error"], Then::Is(Class::Server)),
    Row::opening(
        &[400],
        &["prompt is too long", "input length and `max_tokens` exceed context limit"],
        Then::Overflow,
    ),
    Row::opening(
        &[400],
        &["your credit balance is too low", "you have reached your specified"],
        Then::Is(Class::QuotaExhausted),
    ),
    Row::opening(
        &[400],
        &["this workspace", "workspace", "you have reached", "your organization", "your workspace"],
        Then::Is(Class::QuotaExhausted),
    )
    .saying(&["spend limit", "usage limit"]),
    Row::opening(&[400, 403], &["this organization has been disabled"], Then::Is(Class::Auth)),
    Row::opening(
        &[400],
        &["output blocked by content filtering policy"],
        Then::Is(Class::ContentPolicy),
    ),
];
