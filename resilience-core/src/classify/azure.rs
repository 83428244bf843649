//! [Azure's gateway](https://learn.microsoft.com/azure/ai-foundry/openai/reference) in front of OpenAI's engine.

use super::openai::{INVALID_CODES, OVERFLOW_OPENINGS, POLICY_CODES};
use super::row::{Row, Then};
use crate::class::{Class, Missing, Phase};

pub(super) const ROWS: &[Row] = &[
    Row::code(&[], &["context_length_exceeded"], Then::Overflow),
    Row::code(&[], &["ResponsibleAIPolicyViolation"], Then::Is(Class::ContentPolicy)),
    Row::code(&[], POLICY_CODES, Then::Is(Class::ContentPolicy)),
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
    Row::opening(&[400], OVERFLOW_OPENINGS, Then::Overflow),
    Row::message(&[429], &["during peak load"], Then::Is(Class::Overloaded)),
    Row::message(&[503], &["currently overloaded"], Then::Is(Class::Overloaded)),
];
