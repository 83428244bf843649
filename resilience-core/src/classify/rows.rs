//! What each provider means by its codes, types and messages.
//!
//! Rows are tried in order.
//! In each table those with a code come first, then those with a type, then those with a message only; among equals the more specific stands first.

use crate::class::{Class, Missing, Phase};
use crate::provider::Provider;

/// One line of a provider's table: if all conditions hold, this is what it is.
#[derive(Debug)]
pub(super) struct Row {
    /// Any of these, or any at all.
    pub(super) statuses: &'static [u16],
    /// Any of these codes.
    pub(super) codes: &'static [&'static str],
    /// Any of these types.
    pub(super) kinds: &'static [&'static str],
    /// Any of these in the message, in lower case.
    pub(super) messages: &'static [&'static str],
    pub(super) then: Then,
}

/// What a row means; some meanings take numbers from the message.
#[derive(Clone, Copy, Debug)]
pub(super) enum Then {
    Is(Class),
    Overflow,
    RateLimit,
    TooLargeForLimit,
}

/// What a row looks at.
pub(super) struct Signs<'a> {
    pub(super) status: u16,
    pub(super) code: &'a str,
    pub(super) kind: &'a str,
    pub(super) message: &'a str,
}

impl Row {
    const ANY: Self =
        Self { statuses: &[], codes: &[], kinds: &[], messages: &[], then: Then::RateLimit };

    const fn code(statuses: &'static [u16], codes: &'static [&'static str], then: Then) -> Self {
        Self { statuses, codes, then, ..Self::ANY }
    }

    const fn kind(statuses: &'static [u16], kinds: &'static [&'static str], then: Then) -> Self {
        Self { statuses, kinds, then, ..Self::ANY }
    }

    const fn message(
        statuses: &'static [u16],
        messages: &'static [&'static str],
        then: Then,
    ) -> Self {
        Self { statuses, messages, then, ..Self::ANY }
    }

    const fn saying(mut self, messages: &'static [&'static str]) -> Self {
        self.messages = messages;
        self
    }

    pub(super) fn matches(&self, signs: &Signs<'_>) -> bool {
        let any = |list: &[&str], word| list.is_empty() || list.contains(word);
        (self.statuses.is_empty() || self.statuses.contains(&signs.status))
            && any(self.codes, &signs.code)
            && any(self.kinds, &signs.kind)
            && (self.messages.is_empty()
                || self.messages.iter().any(|words| signs.message.contains(words)))
    }
}

/// The table of a provider.
pub(super) const fn of(provider: Provider) -> &'static [Row] {
    match provider {
        Provider::Anthropic => ANTHROPIC,
        Provider::Azure => AZURE,
        Provider::Generic => GENERIC,
        Provider::OpenAi => OPENAI,
    }
}

/// [OpenAI's error codes](https://platform.openai.com/docs/guides/error-codes), and what bodies in public issue trackers add to them.
const OPENAI: &[Row] = &[
    Row::code(&[], &["context_length_exceeded"], Then::Overflow),
    Row::code(
        &[],
        &["content_policy_violation", "content_filter", "invalid_prompt"],
        Then::Is(Class::ContentPolicy),
    ),
    Row::code(&[403], &["model_not_found"], Then::Is(Class::Permission)),
    Row::code(&[], &["model_not_found"], Then::Is(Class::NotFound(Missing::Model))),
    Row::code(
        &[],
        &[
            "insufficient_quota",
            "billing_not_active",
            "billing_hard_limit_reached",
            "credit_balance_exhausted",
            "organization_spend_limit_exceeded",
            "project_spend_limit_exceeded",
            "organization_usage_limit_exceeded",
        ],
        Then::Is(Class::QuotaExhausted),
    ),
    Row::code(
        &[],
        &["invalid_api_key", "mismatched_organization", "no_organization", "account_deactivated"],
        Then::Is(Class::Auth),
    ),
    Row::code(&[], &["unsupported_country_region_territory"], Then::Is(Class::Permission)),
    Row::code(&[400], INVALID_CODES, Then::Is(Class::InvalidRequest)),
    // The same code and type as an ordinary limit: only the message tells that no wait will help.
    Row::code(&[], &["rate_limit_exceeded"], Then::TooLargeForLimit).saying(&["request too large"]),
    Row::code(&[], &["rate_limit_exceeded"], Then::RateLimit),
    Row::code(&[], &["slow_down"], Then::Is(Class::RampLimited)),
    Row::code(&[], &["server_is_overloaded"], Then::Is(Class::Overloaded)),
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

/// What is wrong with a request has a code of its own; what the message quotes from the request then proves nothing.
const INVALID_CODES: &[&str] = &[
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

/// Azure's own gateway in front of OpenAI's engine; [`ROWS_OF_ALL`] holds what the engine says.
const AZURE: &[Row] = &[
    Row::code(&[], &["context_length_exceeded"], Then::Overflow),
    Row::code(
        &[],
        &["content_filter", "content_policy_violation", "ResponsibleAIPolicyViolation"],
        Then::Is(Class::ContentPolicy),
    ),
    Row::code(
        &[],
        &["DeploymentNotFound", "model_not_found"],
        Then::Is(Class::NotFound(Missing::Model)),
    ),
    Row::code(&[], &["PermissionDenied"], Then::Is(Class::Permission)),
    Row::code(&[], &["Timeout"], Then::Is(Class::Timeout { phase: Phase::Attempt })),
    Row::code(&[400], INVALID_CODES, Then::Is(Class::InvalidRequest)),
    Row::code(&[], &["insufficient_quota"], Then::Is(Class::QuotaExhausted)),
    Row::code(&[], &["429", "too_many_requests"], Then::Is(Class::Overloaded))
        .saying(&["during peak load"]),
    Row::code(&[], &["429", "too_many_requests", "RateLimitReached"], Then::RateLimit),
    Row::code(&[], &["ServiceUnavailable"], Then::Is(Class::Server)),
    Row::message(
        &[400],
        &["maximum context length is", "exceeds the context window"],
        Then::Overflow,
    ),
    Row::message(&[429], &["during peak load"], Then::Is(Class::Overloaded)),
    Row::message(&[503], &["currently overloaded"], Then::Is(Class::Overloaded)),
];

/// [Anthropic's errors](https://docs.anthropic.com/en/api/errors); half of them share one type, so the message decides.
const ANTHROPIC: &[Row] = &[
    Row::code(&[], &["enforced_spend_limit_reached"], Then::Is(Class::QuotaExhausted)),
    Row::kind(&[], &["overloaded_error"], Then::Is(Class::Overloaded)),
    Row::kind(&[], &["rate_limit_error"], Then::Is(Class::RampLimited))
        .saying(&["maximum usage increase rate", "acceleration limit"]),
    Row::kind(&[], &["rate_limit_error"], Then::Is(Class::QuotaExhausted)).saying(&[
        "usage threshold",
        "spend limit",
        "usage limit",
    ]),
    Row::kind(&[], &["rate_limit_error"], Then::RateLimit),
    Row::kind(&[], &["authentication_error"], Then::Is(Class::Auth)),
    Row::kind(&[], &["billing_error"], Then::Is(Class::QuotaExhausted)),
    Row::kind(&[], &["permission_error", "forbidden"], Then::Is(Class::Permission)),
    Row::kind(&[], &["not_found_error"], Then::Is(Class::NotFound(Missing::Model)))
        .saying(&["model:"]),
    Row::kind(&[], &["not_found_error"], Then::Is(Class::NotFound(Missing::Resource))),
    Row::kind(&[], &["conflict_error"], Then::Is(Class::Conflict)),
    Row::kind(&[], &["request_too_large"], Then::Is(Class::RequestTooLarge)),
    Row::kind(&[], &["api_error", "timeout_error"], Then::Is(Class::Server)),
    Row::message(&[400], &["prompt is too long", "exceed context limit"], Then::Overflow),
    Row::message(
        &[400],
        &["credit balance is too low", "spend limit", "specified api usage limits"],
        Then::Is(Class::QuotaExhausted),
    ),
    Row::message(&[400, 403], &["organization has been disabled"], Then::Is(Class::Auth)),
    Row::message(&[400], &["blocked by content filtering policy"], Then::Is(Class::ContentPolicy)),
];

/// Gateways mostly speak OpenAI's language.
const GENERIC: &[Row] = OPENAI;

/// What holds whoever says it.
pub(super) const ROWS_OF_ALL: &[Row] = &[
    Row::kind(&[], &["overloaded_error"], Then::Is(Class::Overloaded)),
    Row::kind(&[404], &["model_not_found"], Then::Is(Class::NotFound(Missing::Model))),
    Row::message(
        &[404],
        &["the model ", "model not found", "no such model"],
        Then::Is(Class::NotFound(Missing::Model)),
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    /// A message that comes before a code would decide in its place.
    #[test]
    fn codes_stand_before_types_and_types_before_messages() {
        for table in [OPENAI, AZURE, ANTHROPIC, GENERIC, ROWS_OF_ALL] {
            let levels = table.iter().map(|row| {
                if !row.codes.is_empty() {
                    0
                } else if !row.kinds.is_empty() {
                    1
                } else {
                    2
                }
            });
            assert!(levels.is_sorted());
        }
    }

    #[test]
    fn messages_are_matched_in_lower_case() {
        for row in [OPENAI, AZURE, ANTHROPIC, ROWS_OF_ALL].into_iter().flatten() {
            for words in row.messages {
                assert_eq!(*words, words.to_lowercase());
            }
        }
    }
}
