//! [Mistral's errors](https://docs.mistral.ai/api/): a flat object with a code of digits, or the `detail` of its web framework.

use super::row::{Row, Then};
use crate::class::{Class, Missing};

pub(super) const ROWS: &[Row] = &[
    Row::code(&[], &["3051"], Then::Overflow),
    Row::code(&[], &["1500"], Then::Is(Class::NotFound(Missing::Model))),
    Row::code(&[], &["1300"], Then::RateLimit),
    Row::code(&[], &["3505"], Then::Is(Class::Overloaded)),
    Row::code(&[], &["1000"], Then::Is(Class::Server)),
    Row::kind(&[], &["invalid_model"], Then::Is(Class::NotFound(Missing::Model))),
    Row::kind(&[], &["rate_limited"], Then::RateLimit),
    Row::kind(&[], &["service_tier_capacity_exceeded"], Then::Is(Class::Overloaded)),
    Row::kind(&[], &["internal_server_error"], Then::Is(Class::Server)),
    // Until 2025 without the code.
    Row::opening(&[400], &["prompt contains "], Then::Overflow)
        .saying(&["too large for model with "]),
];
