//! What limit headers say is left, for a limiter to learn from.

use std::ops::Deref;
use std::time::SystemTime;

use super::{Signals, rooms};
use crate::class::Dimension;
use crate::provider::Provider;

/// What an answer's limit headers say is left in one dimension.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Observed {
    /// What is counted.
    pub dimension: Dimension,
    /// How many there are in a period, if the answer says so.
    pub limit: Option<u64>,
    /// How many are left at least: what the provider rounds is taken at its lowest.
    pub remaining: u64,
}

/// What a failed answer says is left, in every dimension that it speaks of; mostly nothing.
///
/// A list to be read, as thin as a pointer: a [`Failure`](crate::Failure) is returned by value.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Left(Option<Box<Box<[Observed]>>>);

impl Deref for Left {
    type Target = [Observed];

    fn deref(&self) -> &[Observed] {
        self.0.as_deref().map_or(&[], |list| list)
    }
}

impl From<Vec<Observed>> for Left {
    fn from(list: Vec<Observed>) -> Self {
        Self((!list.is_empty()).then(|| Box::new(list.into())))
    }
}

/// What the limit headers of an answer, good or bad, say is left.
///
/// A dimension without its header is not in the list: no word is no information.
/// Nor is one whose period is not the dimension's own, such as Mistral's requests per second.
/// Anthropic prints tokens to the nearest thousand, so 500 fewer are taken to be left.
/// `wall` is the local clock, which tells a day's limit from a minute's where the reset is an instant and the answer has no `Date`; with `None` such a limit is taken for one of a minute.
///
/// # Examples
///
/// ```
/// use resilience_core::{Dimension, Provider, hint};
///
/// let headers = [
///     ("anthropic-ratelimit-input-tokens-limit", "30000"),
///     ("anthropic-ratelimit-input-tokens-remaining", "12000"),
/// ];
/// let observed = hint::observed(Provider::Anthropic, &headers, None);
///
/// assert_eq!(observed[0].dimension, Dimension::Itpm);
/// assert_eq!((observed[0].limit, observed[0].remaining), (Some(30_000), 11_500));
/// ```
pub fn observed(
    provider: Provider,
    headers: &[(&str, &str)],
    wall: Option<SystemTime>,
) -> Vec<Observed> {
    let signals = Signals {
        provider,
        headers,
        message: "",
        retry_delay: None,
        limited: false,
        wall,
        cost: None,
    };
    rooms::of(&signals).iter().filter_map(rooms::Room::observed).collect()
}
