//! A request that a limit refuses, with the numbers that text and headers tell.

use std::time::Duration;

use super::{
    Level,
    level::{nanos, whole_millis},
};
use crate::action::Dimension;

/// A request that a limit refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limited {
    /// The limit as it stands.
    pub level: Level,
    /// How many are used; of a scripted refusal it may be more than there are.
    pub used: u64,
    /// What the request would have cost.
    pub requested: u64,
    /// When it would be admitted, if nothing else came; none if it never fits, or if it waits for
    /// another request to end.
    pub wait: Option<Duration>,
}

impl Limited {
    /// Whether the request is larger than the limit, so that no wait helps.
    pub fn never_fits(&self) -> bool {
        self.wait.is_none() && self.level.dimension != Dimension::Concurrency
    }

    /// The wait as it is printed: in whole milliseconds, and never less than what it stands for.
    pub fn printed_wait(&self) -> Option<Duration> {
        self.wait.map(|wait| Duration::from_millis(whole_millis(wait)))
    }

    /// The numbers of a scripted refusal: a limit that is used up and asks for this wait.
    ///
    /// The wait is what the provider's own arithmetic makes of them,
    /// `(used + requested - limit) / limit × period`, so that text, headers and Retry-After agree:
    /// 2 s is what a limit of 30 requests a minute asks for when it is used up. A wait that no
    /// limit asks for after one request too many is told by several too many.
    pub fn scripted(dimension: Dimension, wait: Option<Duration>, tokens: u64) -> Self {
        // What the smallest paid accounts have; 500 requests a minute ask for 120 ms.
        let (requests, paid) = (500, 30_000);
        let wait = wait.unwrap_or(Duration::from_millis(120));
        let minute = Duration::from_secs(60);
        let period = if wait <= minute { minute } else { Duration::from_secs(86_400) };
        let (millis, whole) = (whole_millis(wait), whole_millis(period));
        // What is missing, as a part of the limit, in lowest terms.
        let common = common_divisor(millis, whole);
        let (missing, of) = (millis / common, whole / common);
        let least = match dimension {
            Dimension::Concurrency | Dimension::Requests if missing == 0 => requests,
            Dimension::Concurrency | Dimension::Requests => 1,
            Dimension::InputTokens | Dimension::OutputTokens | Dimension::Tokens => {
                tokens.max(paid)
            }
        };
        let times = least.div_ceil(of);
        let (missing, limit) = (missing.saturating_mul(times), of.saturating_mul(times));
        let requested = match dimension {
            Dimension::Concurrency | Dimension::Requests => 1,
            Dimension::InputTokens | Dimension::OutputTokens | Dimension::Tokens => {
                tokens.max(missing).clamp(1, limit)
            }
        };
        let used = limit.saturating_add(missing).saturating_sub(requested);
        // Fewer are left than were asked for, or nothing would be refused.
        let remaining = limit.saturating_sub(used).min(requested - 1);
        let filled = u128::from(used) * period.as_nanos() / u128::from(limit);
        let level = Level { dimension, limit, period, remaining, reset: nanos(filled) };
        Self { level, used, requested, wait: Some(wait) }
    }
}

/// The greatest number that divides both; the second is not zero.
fn common_divisor(mut a: u64, mut b: u64) -> u64 {
    while a != 0 {
        (a, b) = (b % a, a);
    }
    b
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scripted_refusal_agrees_with_itself() {
        let two = Limited::scripted(Dimension::Requests, Some(Duration::from_secs(2)), 9);
        assert_eq!((two.level.limit, two.level.remaining, two.requested), (30, 0, 1));
        assert_eq!(two.level.period, Duration::from_secs(60));
        let tokens = Limited::scripted(Dimension::Tokens, Some(Duration::from_secs(2)), 9);
        assert_eq!(
            (tokens.level.limit, tokens.level.remaining, tokens.requested),
            (30_000, 0, 1_000)
        );
        let days = Limited::scripted(Dimension::Requests, Some(Duration::from_secs(432)), 9);
        assert_eq!((days.level.limit, days.level.period), (200, Duration::from_secs(86_400)));
    }

    /// As OpenAI computes it: what is announced is what the printed numbers give.
    #[test]
    fn a_scripted_wait_is_the_arithmetic_of_its_numbers() {
        let waits = [0, 1, 120, 643, 644, 1_500, 7_000, 13_001, 59_999, 60_000, 61_000, 5_400_000];
        let days = [86_400_000, 129_600_000, 259_200_000, 604_800_000];
        for millis in waits.into_iter().chain(days) {
            for dimension in [Dimension::Requests, Dimension::Tokens] {
                for tokens in [0, 9, 29_999, 70_000] {
                    let wait = Duration::from_millis(millis);
                    let limited = Limited::scripted(dimension, Some(wait), tokens);
                    let Limited { level, used, requested, .. } = limited;
                    let missing = u128::from(used + requested - level.limit);
                    let wait = missing * level.period.as_nanos();
                    assert_eq!(wait % u128::from(level.limit), 0, "{limited:?}");
                    let printed = limited.printed_wait().unwrap();
                    assert_eq!(wait / u128::from(level.limit), printed.as_nanos(), "{limited:?}");
                    assert!(level.remaining < requested && requested <= level.limit);
                }
            }
        }
        let odd = Limited::scripted(Dimension::Requests, Some(Duration::from_nanos(1)), 9);
        assert_eq!(odd.printed_wait(), Some(Duration::from_millis(1)));
    }
}
