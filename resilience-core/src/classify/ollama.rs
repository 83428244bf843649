//! [Ollama's errors](https://github.com/ollama/ollama/blob/main/docs/api.md): a sentence, or OpenAI's envelope around it.

use super::row::{Row, Then};
use crate::class::{Class, Missing};

pub(super) const ROWS: &[Row] = &[
    // In the middle of a stream there is no status either.
    Row::opening(
        &[400, 500],
        &["prompt too long; exceeded max context length", "the input length exceeds the context"],
        Then::Overflow,
    ),
    Row::opening(&[404], &["model "], Then::Is(Class::NotFound(Missing::Model)))
        .saying(&["not found"]),
    Row::opening(&[500, 503], &["server busy"], Then::Is(Class::Overloaded)),
];
