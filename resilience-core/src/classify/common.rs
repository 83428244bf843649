//! What holds whoever says it.

use super::row::{Row, Then};
use crate::class::{Class, Missing};

/// Tried after the provider's own table.
pub(super) const ROWS: &[Row] = &[
    Row::kind(&[], &["overloaded_error"], Then::Is(Class::Overloaded)),
    Row::kind(&[404], &["model_not_found"], Then::Is(Class::NotFound(Missing::Model))),
    Row::message(
        &[404],
        &["the model ", "model not found", "no such model"],
        Then::Is(Class::NotFound(Missing::Model)),
    ),
];
