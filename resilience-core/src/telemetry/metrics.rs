//! Numbers from traces.

use std::time::Duration;

use metrics::{
    Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
};

use crate::class::{Class, Retries};
use crate::failure::Failure;
use crate::observe::{Ended, Observer};
use crate::outcome::Usage;
use crate::target::Target;
use crate::time::Nanos;
use crate::trace::{Entry, Finish, Trace, What};

/// Counts what calls do, through whatever recorder the program has installed for the `metrics` facade.
///
/// A call is counted when it has ended, from its trace; only the number of attempts in flight is kept up as they come and go.
/// The names and labels are listed in [the module's table](crate::telemetry).
///
/// ```
/// use std::sync::Arc;
///
/// use resilience_core::telemetry::MetricsObserver;
/// use resilience_core::{
///     Answer, Client, Message, Policy, Provider, Request, Target,
/// };
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?.block_on(async {
/// let target = Target::new(Provider::OpenAi, "gpt-4o-mini");
/// let client =
///     Client::new(Policy::default(), [target], 7)?.observed_by(Arc::new(MetricsObserver));
/// let request = Request::new([Message::user("Hello")]);
///
/// // llm_attempts_total{target="openai/gpt-4o-mini",kind="first",outcome="answered"} 1
/// client.call(&request, async |_| Ok(Answer::new("Hi"))).await?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct MetricsObserver;

impl MetricsObserver {
    /// Tells the installed recorder what each name means and in which unit it is.
    ///
    /// Once, after the recorder was installed; what is described before is lost.
    pub fn describe() {
        for (name, about) in COUNTERS {
            describe_counter!(name, Unit::Count, about);
        }
        for (name, about) in SPANS_OF_TIME {
            describe_histogram!(name, Unit::Seconds, about);
        }
        describe_gauge!(IN_FLIGHT, Unit::Count, "attempts that are with a target");
    }
}

impl Observer for MetricsObserver {
    fn entry(&self, _call: u64, entry: &Entry, targets: &[Target]) {
        match entry.what {
            What::AttemptStarted { target, .. } => {
                gauge!(IN_FLIGHT, "target" => name(targets, target)).increment(1.0);
            }
            What::AttemptEnded { target, .. } => {
                gauge!(IN_FLIGHT, "target" => name(targets, target)).decrement(1.0);
            }
            _ => {}
        }
    }

    fn ended(&self, ended: &Ended<'_>) {
        let Ended { finish, trace, targets, .. } = *ended;
        let name = |target| name(targets, target);
        let mut starts = Vec::new();
        for (index, entry) in trace.entries.iter().enumerate() {
            match &entry.what {
                What::AttemptStarted { attempt, target, hedge, .. } => {
                    let kind = kind(&starts, *attempt, *target, *hedge);
                    starts.push(Start { attempt: *attempt, target: *target, at: entry.at, kind });
                }
                What::AttemptEnded { attempt, target, failure, usage } => {
                    if let Some(Usage { input, output }) = *usage {
                        for (direction, tokens) in [("input", input), ("output", output)] {
                            counter!(TOKENS, "target" => name(*target), "direction" => direction)
                                .increment(tokens);
                        }
                    }
                    let outcome =
                        failure.as_ref().map_or("answered", |failure| failure.class.name());
                    let Some(start) = starts.iter().find(|start| start.attempt == *attempt) else {
                        continue;
                    };
                    counter!(ATTEMPTS, "target" => name(*target), "kind" => start.kind, "outcome" => outcome)
                        .increment(1);
                    histogram!(ATTEMPT_SECONDS, "target" => name(*target), "outcome" => outcome)
                        .record(entry.at.since(start.at));
                    let failed = failure.as_ref().map(|failure| (start, failure));
                    if let Some(reason) = failed.and_then(|(start, failure)| {
                        why_not_retried(trace, index, start, failure, finish)
                    }) {
                        counter!(NOT_SENT, "target" => name(*target), "reason" => reason)
                            .increment(1);
                    }
                }
                What::FellBack { from, to, why } => {
                    let (from, to) = (name(*from), name(*to));
                    counter!(FALLBACKS, "from" => from, "to" => to, "reason" => why.name())
                        .increment(1);
                }
                What::FirstToken { attempt } => {
                    if let Some(start) = starts.iter().find(|start| start.attempt == *attempt) {
                        histogram!(FIRST_TOKEN_SECONDS, "target" => name(start.target))
                            .record(entry.at.since(start.at));
                    }
                }
                What::Queued { target } => {
                    histogram!(QUEUE_SECONDS, "target" => name(*target))
                        .record(until_next(trace, index));
                }
                What::Skipped { target, why } => {
                    counter!(SKIPS, "target" => name(*target), "reason" => why.name()).increment(1);
                }
                What::OutputLowered { target, .. } => {
                    counter!(OUTPUT_LOWERED, "target" => name(*target)).increment(1);
                }
                What::Truncated { target, dropped, cut, .. } => {
                    counter!(TRUNCATIONS, "target" => name(*target)).increment(1);
                    for (change, count) in [("dropped", dropped.len()), ("cut", cut.len())] {
                        let count = u64::try_from(count).unwrap_or(u64::MAX);
                        counter!(TRUNCATED_MESSAGES, "target" => name(*target), "change" => change)
                            .increment(count);
                    }
                }
                What::WaitBegun { why, .. } => {
                    histogram!(WAIT_SECONDS, "reason" => why.name())
                        .record(until_next(trace, index));
                }
                What::Finished(finish) => {
                    let outcome = outcome(*finish);
                    counter!(CALLS, "outcome" => outcome).increment(1);
                    histogram!(CALL_SECONDS, "outcome" => outcome)
                        .record(entry.at.since(trace.begun));
                }
                What::Committed { .. } | What::Connected { .. } => {}
            }
        }
    }
}

/// An attempt, as it was sent.
struct Start {
    attempt: u32,
    target: usize,
    at: Nanos,
    kind: &'static str,
}

fn kind(earlier: &[Start], attempt: u32, target: usize, hedge: bool) -> &'static str {
    match hedge {
        true => HEDGE,
        false if attempt == 1 => "first",
        false if earlier.iter().any(|start| start.target == target) => "retry",
        false => "fallback",
    }
}

/// Why the failed attempt that ended with this entry was not followed by another on its target; `None` if it was.
fn why_not_retried(
    trace: &Trace,
    ended: usize,
    start: &Start,
    failure: &Failure,
    finish: Finish,
) -> Option<&'static str> {
    // What we gave up on had no retry to lose.
    if failure.class == Class::Cancelled {
        return None;
    }
    let after = || trace.entries[ended..].iter().map(|entry| &entry.what);
    let retried = after().any(|what| {
        matches!(what, What::AttemptStarted { target, hedge: false, .. } if *target == start.target)
    });
    if retried {
        return None;
    }
    let committed = trace.entries[..ended]
        .iter()
        .any(|entry| matches!(entry.what, What::Committed { attempt } if attempt == start.attempt));
    let left = after().find_map(|what| match what {
        What::FellBack { from, why, .. } if *from == start.target => Some(why.name()),
        _ => None,
    });
    Some(match finish {
        _ if committed => "committed",
        _ if failure.retries() == Retries::No => "final",
        _ if start.kind == HEDGE => "hedged",
        Finish::Stopped { why, .. } => left.unwrap_or(why.name()),
        Finish::Served { .. } => left.unwrap_or("hedged"),
    })
}

/// How long it took until something else happened: a wait or a stand in line, as it really was.
fn until_next(trace: &Trace, index: usize) -> Duration {
    match trace.entries[index..] {
        [Entry { at, .. }, Entry { at: next, .. }, ..] => next.since(at),
        _ => Duration::ZERO,
    }
}

fn outcome(finish: Finish) -> &'static str {
    match finish {
        Finish::Served { .. } => "served",
        Finish::Stopped { why, .. } => why.name(),
    }
}

fn name(targets: &[Target], target: usize) -> String {
    targets.get(target).map_or_else(String::new, |target| target.name.clone())
}

const COUNTERS: [(&str, &str); 9] = [
    (ATTEMPTS, "attempts that were sent, by how they ended"),
    (CALLS, "calls that have ended, by how they ended"),
    (FALLBACKS, "calls that went on with another target"),
    (NOT_SENT, "failed attempts that were not followed by a retry, by the reason"),
    (OUTPUT_LOWERED, "answers whose limit was lowered, so that a conversation can stay whole"),
    (SKIPS, "targets that were passed over without being asked"),
    (TOKENS, "tokens that providers charged"),
    (TRUNCATED_MESSAGES, "messages that were dropped or cut to make conversations fit"),
    (TRUNCATIONS, "conversations that were shortened"),
];

const SPANS_OF_TIME: [(&str, &str); 5] = [
    (ATTEMPT_SECONDS, "how long attempts took"),
    (CALL_SECONDS, "how long calls took, waits and retries included"),
    (FIRST_TOKEN_SECONDS, "how long a target took to its first content"),
    (QUEUE_SECONDS, "how long calls stood in the line of our own quota"),
    (WAIT_SECONDS, "how long calls waited before they went on"),
];

const ATTEMPTS: &str = "llm_attempts_total";
const ATTEMPT_SECONDS: &str = "llm_attempt_seconds";
const CALLS: &str = "llm_calls_total";
const CALL_SECONDS: &str = "llm_call_seconds";
const FALLBACKS: &str = "llm_fallbacks_total";
const FIRST_TOKEN_SECONDS: &str = "llm_first_token_seconds";
const HEDGE: &str = "hedge";
const IN_FLIGHT: &str = "llm_attempts_in_flight";
const NOT_SENT: &str = "llm_retries_not_sent_total";
const OUTPUT_LOWERED: &str = "llm_output_lowered_total";
const QUEUE_SECONDS: &str = "llm_queue_seconds";
const SKIPS: &str = "llm_skips_total";
const TOKENS: &str = "llm_tokens_total";
const TRUNCATED_MESSAGES: &str = "llm_truncated_messages_total";
const TRUNCATIONS: &str = "llm_truncations_total";
const WAIT_SECONDS: &str = "llm_wait_seconds";
