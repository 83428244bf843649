//! A refusal as whoever asked understands it: in spans, not in instants of a clock of ours.

use std::time::Duration;

use thiserror::Error;

use super::Refusal;
use crate::class::Dimension;
use crate::time::Nanos;

/// Why a quota has no room for a request, told from the moment of the refusal.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum NoRoom {
    /// Waiting does not help: one request is larger than the burst, or than the limit.
    #[error("a request that costs {cost} exceeds the burst of {capacity} {dimension}")]
    Never {
        /// The dimension that is too small.
        dimension: Dimension,
        /// What the request asks of it.
        cost: u64,
        /// The most that it admits at once.
        capacity: u64,
    },
    /// Not at once, or not in time for the caller's patience.
    #[error("{}", not_yet(*.retry_in))]
    NotYet {
        /// How long until there would be room if nobody else asked; `None` if others must end first, of which nobody knows the time.
        retry_in: Option<Duration>,
    },
}

impl NoRoom {
    /// A refusal, seen at `now`.
    pub fn of(refusal: Refusal, now: Nanos) -> Self {
        match refusal {
            Refusal::NeverFits { dimension, cost, capacity } => {
                Self::Never { dimension, cost, capacity }
            }
            Refusal::TooLate { ready_at: at } | Refusal::Wait { until: at } => {
                Self::not_before(at, now)
            }
        }
    }

    /// Room at an instant; one that has passed, or never comes, says nothing.
    pub(crate) fn not_before(at: Nanos, now: Nanos) -> Self {
        let known = at > now && at < Nanos::MAX;
        Self::NotYet { retry_in: known.then(|| at.since(now)) }
    }
}

fn not_yet(retry_in: Option<Duration>) -> String {
    let Some(span) = retry_in else {
        return "the quota has no room before others have ended".to_owned();
    };
    // People read milliseconds; rounded up, so that nobody comes early.
    let millis = u64::try_from(span.as_nanos().div_ceil(NANOS_PER_MILLI));
    format!("the quota has room in {:?}", millis.map_or(span, Duration::from_millis))
}

const NANOS_PER_MILLI: u128 = 1_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_told_in_spans() {
        let now = Nanos::from(Duration::from_secs(1_000_000));
        let soon = now + Duration::from_secs(53);
        let never = Refusal::NeverFits { dimension: Dimension::Tpm, cost: 2_009, capacity: 1_000 };
        let unknown = "the quota has no room before others have ended";
        for (refusal, words) in [
            (never, "a request that costs 2009 exceeds the burst of 1000 tokens per minute"),
            (Refusal::Wait { until: soon }, "the quota has room in 53s"),
            (
                Refusal::TooLate { ready_at: soon + Duration::from_nanos(1) },
                "the quota has room in 53.001s",
            ),
            (Refusal::Wait { until: Nanos::MAX }, unknown),
            (Refusal::TooLate { ready_at: now }, unknown),
        ] {
            assert_eq!(NoRoom::of(refusal, now).to_string(), words);
        }
    }
}
