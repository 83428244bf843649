//! Judging the waits between the attempts of a call.

use std::time::Duration;

use mock_server::action::HintForm;

use super::{Call, Finding, Place, Precision, Status, Violation, likelihood};
use crate::scenario::{BuiltIn, Formula, FormulaJitter};

/// Below this a formula is called broken: a correct client is blamed once in a million runs.
const LIKELIHOOD_MIN: f64 = 1e-6;

/// The fewest waits from which a formula can be told from its look-alikes at all.
const SAMPLES_MIN: usize = 5;

/// Whether nobody came back earlier than the server asked.
pub(super) fn at_least_retry_after(
    calls: &[Call<'_>],
    precision: Precision,
    place: Place,
) -> Finding {
    let mut exercised = 0;
    let mut violations = Vec::new();
    for call in calls {
        for (attempt, next) in call.again() {
            let Some((asked, form)) = attempt.claimed.retry_after else { continue };
            let Some(waited) = attempt.wait_until(next) else { continue };
            let asked = Duration::from_nanos(asked);
            let error = match form {
                // A date has no fractions of a second.
                HintForm::Date => precision.error + Duration::from_secs(1),
                HintForm::Milliseconds | HintForm::Seconds => precision.error,
            };
            // What cannot be measured is not judged.
            if asked <= error {
                continue;
            }
            exercised += 1;
            if waited + error < asked {
                let (call, attempt) = (call.id, next.claimed.attempt);
                violations.push(Violation::Early { call, attempt, waited, asked, error });
            }
        }
    }
    Finding::of("early-retry", place, exercised, violations)
}

/// Whether the waits that the server did not ask for follow a formula.
pub(super) fn backoff(
    calls: &[Call<'_>],
    formula: Formula,
    precision: Precision,
    place: Place,
) -> Finding {
    let mut samples = Vec::new();
    let mut unsure = false;
    let mut exercised = 0;
    let mut violations = Vec::new();
    for call in calls {
        for (attempt, next) in call.again() {
            if !attempt.is_backed_off_from() {
                continue;
            }
            let Some(waited) = attempt.wait_until(next) else { continue };
            let retry = call
                .attempts
                .iter()
                .take_while(|earlier| earlier.claimed.attempt < attempt.claimed.attempt)
                .filter(|earlier| earlier.same_target(attempt))
                .count();
            let most = envelope(formula, retry);
            let least = match formula.jitter {
                FormulaJitter::Equal => most / 2,
                FormulaJitter::Full => Duration::ZERO,
                FormulaJitter::None => most,
                FormulaJitter::Quarter => most.saturating_sub(most / 4),
            };
            exercised += 1;
            let early = waited + precision.error < least;
            let late = waited > most + precision.slack;
            unsure |= late && precision.starved;
            if early || late && !precision.starved {
                let (call, attempt) = (call.id, next.claimed.attempt);
                violations.push(Violation::OffEnvelope { call, attempt, waited, least, most });
            }
            if formula.jitter != FormulaJitter::None {
                let width = (most.saturating_sub(least)).as_secs_f64().max(1e-9);
                let low = waited.saturating_sub(precision.slack).saturating_sub(least);
                let high = waited.saturating_sub(least);
                samples.push((low.as_secs_f64() / width, high.as_secs_f64() / width));
            }
        }
    }
    let likelihood = likelihood::uniform(&samples);
    if likelihood < LIKELIHOOD_MIN {
        let (samples, one_in) = (samples.len(), 1.0 / likelihood.max(f64::MIN_POSITIVE));
        violations.push(Violation::Unlikely { formula, samples, one_in });
    }
    let few = formula.jitter != FormulaJitter::None && (1..SAMPLES_MIN).contains(&samples.len());
    let mut finding = Finding::of("off-formula", place, exercised, violations);
    if finding.status == Status::Pass && unsure {
        finding.code = BuiltIn::Starved.name();
        finding.status = Status::Inconclusive;
        finding.violations.push(Violation::Starved { slack: precision.slack });
        return finding;
    }
    if finding.status == Status::Pass && few {
        finding.status = Status::Inconclusive;
        let what = "fewer than five waits, too few to tell one formula from another";
        finding.violations.push(Violation::NotExercised { what });
    }
    finding
}

/// The longest wait before retry `retry` + 1.
fn envelope(formula: Formula, retry: usize) -> Duration {
    let doubled = u32::try_from(retry).ok().and_then(|retry| 2_u32.checked_pow(retry));
    let grown = doubled.and_then(|factor| formula.base.0.checked_mul(factor));
    grown.unwrap_or(formula.cap.0).min(formula.cap.0)
}
