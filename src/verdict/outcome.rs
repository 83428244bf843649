//! What did the application see?
//!
//! The server knows what it sent, not what became of it. The application's exit, the outcomes it
//! posts, and the marks of answers in its output tell the rest; what they leave open stays unknown.

use std::collections::BTreeMap;

use mock_server::journal::{Entry, PostedOutcome};

use super::{
    Application, Attempt, Call, CommandEnd, Exit, Finding, Place, SeenOutcome, Status, Violation,
};
use crate::scenario::Outcome;

/// How often the two words of a mark stood in an output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MarkCount {
    /// The mark.
    pub mark: String,
    /// The word before the answer.
    pub begins: u64,
    /// The word after the answer.
    pub ends: u64,
}

/// What each call came to for the application, as far as it is known; posted outcomes first.
pub(super) fn of_calls(
    calls: &[Call<'_>],
    entries: &[Entry],
    application: &Application,
) -> BTreeMap<u64, SeenOutcome> {
    let posted = posted(entries);
    let by_name: BTreeMap<&str, &PostedOutcome> =
        posted.iter().filter_map(|outcome| Some((outcome.call.as_deref()?, *outcome))).collect();
    let seen = |call: &Call<'_>| {
        let name = call.attempts.iter().find_map(|attempt| attempt.claimed.call_name.as_deref());
        match name.and_then(|name| by_name.get(name)) {
            // Nobody has been given an answer that was never sent.
            Some(posted) if posted.success && !call.attempts.iter().any(Attempt::is_answered) => {
                SeenOutcome::Untrue
            }
            Some(posted) if posted.success => SeenOutcome::Success,
            Some(_) => SeenOutcome::Failure,
            None => guessed(call, application),
        }
    };
    calls.iter().map(|call| (call.id, seen(call))).collect()
}

/// The outcomes that were posted.
pub(super) fn posted(entries: &[Entry]) -> Vec<&PostedOutcome> {
    let outcomes = entries.iter().filter_map(|entry| match entry {
        Entry::Outcome(outcome) => Some(outcome),
        _ => None,
    });
    outcomes.collect()
}

/// What a call must have come to, if nobody says.
fn guessed(call: &Call<'_>, application: &Application) -> SeenOutcome {
    let last = call.last();
    if last.is_answered() {
        return SeenOutcome::Success;
    }
    if !last.is_damaged() {
        return SeenOutcome::Failure;
    }
    match application {
        // An error exit says that the damage was noticed, and so does the missing mark of an
        // application that shows its other answers.
        Application::Command(CommandEnd { exit: Exit::Code(code), .. }) if *code != 0 => {
            SeenOutcome::Failure
        }
        _ => SeenOutcome::Unknown,
    }
}

/// Whether the application got what is expected.
pub(super) fn judge(
    expected: Outcome,
    calls: &[Call<'_>],
    entries: &[Entry],
    application: &Application,
    place: Place,
) -> Finding {
    let whole_run = posted(entries).into_iter().rfind(|outcome| outcome.call.is_none());
    // An application that says it failed has taken nothing for an answer.
    let mut violations = match whole_run {
        Some(outcome) if !outcome.success => Vec::new(),
        _ => cut_answers(calls, application),
    };
    let cut: Vec<u64> = violations.iter().filter_map(Violation::call).collect();
    let exit = match application {
        Application::Command(end) => Some(end.exit),
        Application::BuiltIn { .. } | Application::Unseen => None,
    };
    let mut unknown = false;
    let mut exercised = 0;
    let asked = expected;
    let mut compare = |call: Option<u64>, seen: SeenOutcome| {
        exercised += 1;
        match (expected, seen) {
            (Outcome::Success, SeenOutcome::Success) | (Outcome::Failure, SeenOutcome::Failure) => {
            }
            (_, SeenOutcome::Unknown) => {
                unknown = true;
                violations.push(Violation::Outcome { call, asked, seen });
            }
            (_, seen) => violations.push(Violation::Outcome { call, asked, seen }),
        }
    };
    match (whole_run, exit) {
        (Some(outcome), _) => {
            let seen = if outcome.success { SeenOutcome::Success } else { SeenOutcome::Failure };
            compare(None, seen);
        }
        (None, Some(Exit::Code(code))) if code != 0 => compare(None, SeenOutcome::Failure),
        (None, Some(Exit::Signal(_) | Exit::OverTime)) => compare(None, SeenOutcome::Failure),
        (None, _) => {
            for (call, seen) in of_calls(calls, entries, application) {
                // A cut answer that was shown as a whole one has been told of already.
                if !cut.contains(&call) {
                    let doubtful = doubtful(calls, call, application);
                    compare(Some(call), if doubtful { SeenOutcome::Unknown } else { seen });
                }
            }
        }
    }
    // A call whose every connection was refused is in no journal line but its outcome.
    if whole_run.is_none() {
        let known: Vec<&str> = calls
            .iter()
            .filter_map(|call| {
                call.attempts.iter().find_map(|attempt| attempt.claimed.call_name.as_deref())
            })
            .collect();
        let unseen = posted(entries).into_iter();
        for outcome in unseen
            .filter(|outcome| outcome.call.as_deref().is_some_and(|name| !known.contains(&name)))
        {
            let seen = if outcome.success { SeenOutcome::Success } else { SeenOutcome::Failure };
            compare(None, seen);
        }
    }
    let only_unknown = violations.iter().all(|violation| {
        matches!(violation, Violation::Outcome { seen: SeenOutcome::Unknown, .. })
    });
    if unknown && only_unknown {
        let mut finding = Finding::of("outcome-unknown", place, exercised, violations);
        finding.status = Status::Inconclusive;
        return finding;
    }
    Finding::of("wrong-outcome", place, exercised, violations)
}

/// Whether a call's later attempts may be another call's, and what it showed before was cut.
fn doubtful(calls: &[Call<'_>], id: u64, application: &Application) -> bool {
    let Application::Command(end) = application else { return false };
    let Some(call) = calls.iter().find(|call| call.id == id && !call.is_certain(calls)) else {
        return false;
    };
    let (_, earlier) = call.attempts.split_last().expect("a call has at least one attempt");
    earlier.iter().filter(|attempt| attempt.is_damaged()).any(|attempt| {
        let mark = attempt.claimed.mark.as_deref();
        let shown = end.marks.iter().find(|count| Some(count.mark.as_str()) == mark);
        shown.is_some_and(|count| count.ends < count.begins)
    })
}

/// Answers that the application shows although they were cut: their first word without their last.
fn cut_answers(calls: &[Call<'_>], application: &Application) -> Vec<Violation> {
    let Application::Command(end) = application else { return Vec::new() };
    let shown: BTreeMap<&str, &MarkCount> =
        end.marks.iter().map(|count| (count.mark.as_str(), count)).collect();
    let mut violations = Vec::new();
    for call in calls {
        // A stream may be shown as it comes, and begun anew; only a call that ends with a cut
        // answer, and a command that ends without an error, say that this is all there is.
        let attempt = call.last();
        let mark = attempt.claimed.mark.as_deref().and_then(|mark| shown.get(mark));
        let kept = mark.is_some_and(|count| count.ends < count.begins);
        if attempt.is_damaged() && kept && end.exit == Exit::Code(0) {
            let attempt = attempt.claimed.attempt;
            violations.push(Violation::CutAccepted { call: call.id, attempt });
        }
    }
    violations
}
