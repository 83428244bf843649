//! The house rules: what every program owes its provider, whatever it is for.

use std::time::Duration;

use mock_server::action::ErrorKind;

use super::{Attempt, Call, Finding, Place, Precision, Violation, waits};

/// More attempts than this on one provider are no retry policy: three layers of three make 27 at
/// worst, and nobody means that.
const ATTEMPTS_MAX: u64 = 12;

/// The fewest waits from which sameness is no accident: four draws from a second fall within five
/// milliseconds of each other less than once in a million times.
const WAITS_MIN: usize = 4;

/// The findings of all house rules; one that had nothing to judge passes, because a program owes
/// nothing to a situation that never came.
pub(super) fn judge(calls: &[Call<'_>], precision: Precision) -> Vec<Finding> {
    let mut findings = vec![
        waits::at_least_retry_after(calls, precision, Place::House),
        not_retried(calls, &ErrorKind::ALL, Place::House),
        bounded(calls),
        backs_off(calls),
    ];
    findings.retain(|finding| finding.exercised > 0);
    findings
}

/// Whether no final error of these kinds was answered by the same request with the same key.
pub(super) fn not_retried(calls: &[Call<'_>], kinds: &[ErrorKind], place: Place) -> Finding {
    let mut exercised = 0;
    let mut violations = Vec::new();
    for call in calls {
        let mut told = false;
        for (index, attempt) in call.attempts.iter().enumerate() {
            let claimed = attempt.claimed;
            let Some(error) = claimed.error else { continue };
            // A house rule forbids only what is final; an expectation may name any error.
            if !kinds.contains(&error) || (place == Place::House && !error.is_final()) {
                continue;
            }
            exercised += 1;
            let again: Vec<_> = call.attempts[index + 1..]
                .iter()
                .filter(|next| match error {
                    // The key is what was refused, whatever model it is used for.
                    ErrorKind::Authentication | ErrorKind::InsufficientQuota => {
                        attempt.same_key(next)
                    }
                    // A request that asks for less room is another one.
                    ErrorKind::ContextLength => {
                        attempt.same_target(next) && room(next) >= room(attempt)
                    }
                    _ => attempt.same_target(next),
                })
                .collect();
            if let (Some(next), false) = (again.first(), told) {
                told = true;
                let times = u64::try_from(again.len()).unwrap_or(u64::MAX) + 1;
                let attempt = next.claimed.attempt;
                violations.push(Violation::Retried { call: call.id, error, attempt, times });
            }
        }
    }
    Finding::of("retried-final", place, exercised, violations)
}

/// The tokens that a request needs in the window.
fn room(attempt: &Attempt<'_>) -> u64 {
    let claimed = attempt.claimed;
    claimed.input_tokens.saturating_add(claimed.output_tokens_max.unwrap_or(0))
}

/// Whether the attempts of each call on each provider are bounded.
fn bounded(calls: &[Call<'_>]) -> Finding {
    let mut violations = Vec::new();
    for call in calls {
        let first = call.attempts.iter().map(|attempt| (attempt, attempt.claimed.provider));
        for (attempt, provider) in first {
            let same = call.attempts.iter().filter(|other| attempt.same_target(other));
            let (count, is_first) = same.fold((0_u64, true), |(count, is_first), other| {
                (count + 1, is_first && other.claimed.attempt >= attempt.claimed.attempt)
            });
            if is_first && count > ATTEMPTS_MAX {
                violations.push(Violation::Unbounded { call: call.id, provider, seen: count });
            }
        }
    }
    let exercised = u64::try_from(calls.len()).unwrap_or(u64::MAX);
    Finding::of("unbounded-attempts", Place::House, exercised, violations)
}

/// Whether the waits that nobody asked for grow or are jittered.
fn backs_off(calls: &[Call<'_>]) -> Finding {
    let mut exercised = 0;
    let mut violations = Vec::new();
    for call in calls {
        let waits: Vec<Duration> = call
            .again()
            .filter(|(attempt, _)| attempt.is_backed_off_from() && !attempt.is_abandoned())
            .filter_map(|(attempt, next)| attempt.wait_until(next))
            .collect();
        if waits.len() < WAITS_MIN {
            continue;
        }
        exercised += 1;
        // On a busy machine a few waits of a client that does not wait are long; where there are
        // enough of them, the longest prove nothing, and those that are left still grow or vary.
        let mut sorted = waits.clone();
        sorted.sort_unstable();
        let doubtful = (sorted.len() / 3).min(sorted.len().saturating_sub(WAITS_MIN));
        sorted.truncate(sorted.len() - doubtful);
        let (least, most) = (sorted[0], sorted[sorted.len() - 1]);
        // Waits of a few milliseconds each are none, however they differ.
        let same = (most / 50).max(Duration::from_millis(5));
        if most.saturating_sub(least) <= same || most < Duration::from_millis(20) {
            violations.push(Violation::NoBackoff { call: call.id, waits });
        }
    }
    Finding::of("no-backoff", Place::House, exercised, violations)
}
