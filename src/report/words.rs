//! Findings in words.

use std::{fmt, time::Duration};

use mock_server::{plan::ProviderName, units::Money};

use crate::{
    scenario::{Bounds, Count, FormulaJitter, Outcome},
    verdict::{Exit, Finding, SeenOutcome, SharedThing, Spending, Status, Violation},
};

/// A span in seconds, with the digits that a person reads.
pub(super) fn seconds(span: Duration) -> String {
    let seconds = span.as_secs_f64();
    match span.as_secs() {
        0 => format!("{seconds:.3} s"),
        1..10 => format!("{seconds:.2} s"),
        10..1_000 => format!("{seconds:.1} s"),
        _ => format!("{seconds:.0} s"),
    }
}

/// A count with its noun.
pub(super) fn counted(count: u64, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

/// What a run was billed, and what of it arrived.
pub(super) fn spent(spending: &Spending) -> String {
    let Spending { billed, delivered } = spending;
    let amount = |input: u64, output: u64, cost: Option<Money>| {
        let cost = cost.map(|cost| format!(", {cost},")).unwrap_or_default();
        format!("{} in and {output} out{cost}", counted(input, "token"))
    };
    let all = amount(billed.input_tokens, billed.output_tokens, billed.cost);
    let attempts = counted(billed.attempts, "attempt");
    let unpriced = match billed.unpriced {
        1.. if billed.cost.is_some() => format!(" ({} without a price)", billed.unpriced),
        _ => String::new(),
    };
    let input = billed.input_tokens.saturating_sub(delivered.input_tokens);
    let output = billed.output_tokens.saturating_sub(delivered.output_tokens);
    let wasted = if input == 0 && output == 0 {
        "all of it arrived".to_owned()
    } else {
        let cost = billed.cost.map(|cost| cost.minus(delivered.cost.unwrap_or_default()));
        let lost = counted(billed.attempts.saturating_sub(delivered.attempts), "attempt");
        format!("{} on {lost} that brought no whole answer", amount(input, output, cost))
    };
    format!("billed {all} for {attempts}{unpriced}; {wasted}")
}

/// A status as it stands in front of a line.
pub(super) fn status(status: Option<Status>) -> &'static str {
    match status {
        Some(Status::Fail) => "FAIL",
        Some(Status::Inconclusive) => "????",
        Some(Status::Pass) => "PASS",
        None => "n/a ",
    }
}

/// Everything that goes against a claim, or that it held.
pub(super) fn finding(finding: &Finding) -> String {
    if finding.violations.is_empty() {
        return format!("held, exercised {}", times(finding.exercised));
    }
    // What qualifies the others comes last, however many they are.
    let qualifies = |violation: &&Violation| {
        matches!(violation, Violation::Ambiguous | Violation::Starved { .. })
    };
    let seen = finding.violations.iter().filter(|violation| !qualifies(violation));
    let mut parts: Vec<String> = seen.clone().take(SHOWN_MAX).map(ToString::to_string).collect();
    match seen.count().saturating_sub(SHOWN_MAX) {
        0 => {}
        more => parts.push(format!("and {more} more like these")),
    }
    parts.extend(finding.violations.iter().filter(qualifies).map(ToString::to_string));
    parts.join("; ")
}

/// How many violations of one claim are told before the rest is counted.
const SHOWN_MAX: usize = 3;

pub(super) fn times(count: u64) -> String {
    match count {
        1 => "once".to_owned(),
        2 => "twice".to_owned(),
        count => format!("{count} times"),
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ambiguous => f.write_str(
                "but several calls may have asked the same: let each send a header \
                 `x-brownout-call` with a name of its own, or ask something different",
            ),
            Self::Amplified { attempts, calls, at_most } => {
                let (attempts, calls) = (counted(*attempts, "attempt"), counted(*calls, "call"));
                write!(f, "{attempts} were sent for {calls}; at most {at_most} was expected")
            }
            Self::Attempts { call, seen, asked } => {
                match call {
                    Some(call) => write!(f, "call {call}")?,
                    None => f.write_str("the run")?,
                }
                write!(f, " had {}; {} expected", counted(*seen, "attempt"), bound(*asked))
            }
            Self::BeyondScript { call, attempt } => {
                write!(f, "call {call} sent #{attempt} after the script had ended")
            }
            Self::CommandFailed { exit } => write!(f, "the command {}", ended(*exit)),
            Self::CutAccepted { call, attempt } => {
                write!(
                    f,
                    "the answer of #{attempt} was cut, and call {call} took it for a whole one"
                )
            }
            Self::Early { call, attempt, waited, asked, error } => {
                let early = asked.saturating_sub(*waited);
                write!(
                    f,
                    "call {call} sent #{attempt} after {}, and was asked to wait {}: early by {}",
                    seconds(*waited),
                    seconds(*asked),
                    seconds(early),
                )?;
                if !error.is_zero() {
                    write!(f, " (measured to {})", seconds(*error))?;
                }
                Ok(())
            }
            Self::ConnectionLimit { most, hits } => {
                let times = times(*hits);
                write!(
                    f,
                    "{times} the server had {most} connections open, and let further ones wait"
                )
            }
            Self::JournalFull { entries } => {
                write!(f, "the journal is full at {entries} entries; what came after is unknown")
            }
            Self::LaneRefused { why, requests } => {
                write!(f, "{} got no lane: {why}", counted(*requests, "request"))
            }
            Self::NoBackoff { call, waits } => {
                let waits: Vec<String> = waits.iter().take(6).map(|&wait| seconds(wait)).collect();
                write!(
                    f,
                    "call {call} came back after {}: the waits neither grow nor vary",
                    waits.join(", ")
                )
            }
            Self::NoRequest => f.write_str("no request came"),
            Self::NotExercised { what } => write!(f, "{what}"),
            Self::OffEnvelope { call, attempt, waited, least, most } => {
                let (waited, most) = (seconds(*waited), seconds(*most));
                let least = seconds(*least);
                write!(
                    f,
                    "call {call} sent #{attempt} after {waited}; between {least} and {most} was expected"
                )
            }
            Self::Order { call, seen, asked } => {
                write!(f, "call {call} tried {}; {} was expected", path(seen), path(asked))
            }
            Self::Outcome { call, asked, seen } => outcome(f, *call, *asked, *seen),
            Self::OverTime { limit } => {
                write!(f, "still running after {}, and ended then", seconds(*limit))
            }
            Self::Peak { at, seen, mean_millis, asked } => {
                let mean = f64::from(u32::try_from(*mean_millis).unwrap_or(u32::MAX)) / 1_000.0;
                write!(
                    f,
                    "{} came in the second from {}; the mean is {mean:.1}/s, and at most {asked} was expected",
                    counted(*seen, "attempt"),
                    seconds(*at),
                )
            }
            Self::Retried { call, error, times, .. } => {
                let why = if error.is_final() {
                    "is final for its key"
                } else {
                    "was not to be repeated"
                };
                write!(f, "call {call} was sent {times} times; `{}` {why}", error.name())
            }
            Self::RuleNeverActed { hits: 0 } => f.write_str("no request matched this rule"),
            Self::RuleNeverActed { hits } => {
                write!(f, "{} matched, and the rule acted on none", counted(*hits, "request"))
            }
            Self::ScriptUnfinished { acted } => {
                write!(f, "no call came to the last step; {} played", counted(*acted, "step"))
            }
            Self::Share { of, seen, all, asked } => {
                let share = percent(*seen, *all);
                match of {
                    SharedThing::ServedBy(provider) => write!(
                        f,
                        "{seen} of {all} answers ({share}) came from {}",
                        provider.name(),
                    )?,
                    SharedThing::Success => {
                        write!(f, "{seen} of {} ({share}) succeeded", counted(*all, "call"))?;
                    }
                }
                write!(f, "; at least {} was expected", asked.at_least)
            }
            Self::Starved { slack } => {
                write!(f, "the machine was busy: times are known only to {}", seconds(*slack))
            }
            Self::Time { seen, asked, .. } => {
                write!(f, "the run took {}; {} was expected", seconds(*seen), span_bound(*asked))
            }
            Self::Unbounded { call, provider, seen } => {
                write!(f, "call {call} was sent {seen} times to {}", provider.name())
            }
            Self::Unlikely { formula, samples, one_in } => {
                let jitter = match formula.jitter {
                    FormulaJitter::Equal => "equal",
                    FormulaJitter::Full => "full",
                    FormulaJitter::None => "no",
                    FormulaJitter::Quarter => "a quarter's",
                };
                write!(
                    f,
                    "{samples} waits are not drawn with {jitter} jitter from {} to {}: by chance \
                     they would look like this once in {one_in:.0e} runs",
                    formula.base, formula.cap,
                )
            }
            Self::Unserved { attempt, method, path, provider } => {
                write!(
                    f,
                    "#{attempt} asked {} for `{method} {path}`, which is not served",
                    provider.name()
                )
            }
        }
    }
}

fn outcome(
    f: &mut fmt::Formatter<'_>,
    call: Option<u64>,
    asked: Outcome,
    seen: SeenOutcome,
) -> fmt::Result {
    match call {
        Some(call) => write!(f, "call {call}")?,
        None => f.write_str("the application")?,
    }
    f.write_str(match (seen, asked) {
        (SeenOutcome::Failure, _) => " failed; success was expected",
        (SeenOutcome::Success, _) => " got a whole answer; failure was expected",
        (SeenOutcome::Untrue, _) => " is said to have succeeded, and was never sent an answer",
        (SeenOutcome::Unknown, _) => {
            " got a cut answer, and nothing shows what it made of it; let it print its answer, exit \
             with an error, or post an outcome"
        }
    })
}

fn bound(count: Count) -> String {
    match (count.exactly, count.at_least, count.at_most) {
        (Some(exactly), _, _) => format!("exactly {exactly}"),
        (_, Some(least), Some(most)) => format!("{least} to {most}"),
        (_, Some(least), None) => format!("at least {least}"),
        (_, None, Some(most)) => format!("at most {most}"),
        (_, None, None) => "nothing".to_owned(),
    }
}

fn span_bound(bounds: Bounds) -> String {
    match (bounds.at_least, bounds.at_most) {
        (Some(least), Some(most)) => format!("{least} to {most}"),
        (Some(least), None) => format!("at least {least}"),
        (None, Some(most)) => format!("at most {most}"),
        (None, None) => "nothing".to_owned(),
    }
}

fn ended(exit: Exit) -> String {
    match exit {
        Exit::Code(code) => format!("ended with exit code {code}"),
        Exit::OverTime => "was ended at the time limit".to_owned(),
        Exit::Signal(signal) => format!("was ended by signal {signal}"),
    }
}

fn path(providers: &[ProviderName]) -> String {
    providers.iter().map(|provider| provider.name()).collect::<Vec<_>>().join(" → ")
}

fn percent(seen: u64, all: u64) -> String {
    let tenths = u128::from(seen) * 1_000 / u128::from(all.max(1));
    format!("{}.{}%", tenths / 10, tenths % 10)
}
