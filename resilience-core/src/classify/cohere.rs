//! [Cohere's errors](https://docs.cohere.com/reference/errors): a sentence and an id, so mostly the status decides.

use super::row::{Row, Then};
use crate::class::{Class, Missing};

pub(super) const ROWS: &[Row] = &[
    Row::kind(&[], &["TOO_MANY_TOKENS"], Then::Overflow),
    Row::opening(&[400], &["too many tokens: size limit exceeded"], Then::Overflow),
    Row::message(&[429], &["calls / month"], Then::Is(Class::QuotaExhausted)),
    Row::opening(&[404], &["model '"], Then::Is(Class::NotFound(Missing::Model))),
];
