//! How long until there is room again, from what a provider says about its limits.
//!
//! The printed *reset* is not that wait: it is the time until the bucket is full.
//! Room for this request comes sooner, after `(cost − remaining) · period / limit`, and the dimension that takes longest decides.

use std::time::Duration;

use super::rooms::{self, Room, usual_period};
use super::text::{dimension, limit_text};
use super::{Hint, Signals, Source};

/// The wait on the binding dimension of a rate limit.
pub(super) fn wait(signals: &Signals<'_>) -> Option<Hint> {
    if !signals.limited {
        return None;
    }
    let mut known = rooms::of(signals);
    let named = dimension(signals.message);
    // The message speaks of one dimension, with the numbers of this very request.
    if let (Some(numbers), Some(dimension)) = (limit_text(signals.message), named) {
        known.retain(|room| room.dimension != dimension);
        known.push(Room {
            dimension,
            limit: Some(numbers.limit),
            remaining: numbers.limit.saturating_sub(numbers.used),
            requested: Some(numbers.requested),
            reset: None,
            period: usual_period(dimension),
            at_once: false,
        });
    }
    let longest = known
        .into_iter()
        .filter_map(|room| Some((room.wait(signals.cost, named)?, room.dimension)))
        .max_by_key(|(after, _)| *after)?;
    let (after, dimension) = longest;
    (after > Duration::ZERO).then_some(Hint { after, source: Source::Limits(dimension) })
}
