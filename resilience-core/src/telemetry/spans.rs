//! A span for each call and each attempt, and an event for whatever else happens.

use tracing::field::Empty;
use tracing::instrument::Instrumented;
use tracing::level_filters::LevelFilter;
use tracing::{Instrument, Span, debug, info, info_span, warn};

use crate::class::Class;
use crate::failure::Failure;
use crate::target::Target;
use crate::trace::{Entry, Finish, StopReason, What};

/// The spans of one call and of its attempts that are out.
pub(crate) struct Spans {
    call: Span,
    attempts: Vec<(u32, Span)>,
}

/// A future that is polled, and dropped, inside the span of its attempt.
pub(crate) type InSpan<F> = Instrumented<F>;

impl Spans {
    /// The span of a call that begins now, inside whatever span its caller is in.
    pub(crate) fn new(call: u64) -> Self {
        let call = info_span!("llm.call", call, target = Empty, outcome = Empty);
        Self { call, attempts: Vec::new() }
    }

    /// Whether anybody listens.
    pub(crate) fn wanted() -> bool {
        LevelFilter::current() != LevelFilter::OFF
    }

    /// Makes an attempt's future inside the attempt's span, where it is then polled.
    pub(crate) fn carry<F>(&self, attempt: u32, send: impl FnOnce() -> F) -> InSpan<F> {
        let span = self.of(attempt).cloned().unwrap_or_else(Span::none);
        let future = span.in_scope(send);
        future.instrument(span)
    }

    /// Takes a step inside an attempt's span.
    pub(crate) fn within<T>(&self, attempt: u32, step: impl FnOnce() -> T) -> T {
        match self.of(attempt) {
            Some(span) => span.in_scope(step),
            None => step(),
        }
    }

    fn of(&self, attempt: u32) -> Option<&Span> {
        self.attempts.iter().find(|(of, _)| *of == attempt).map(|(_, span)| span)
    }

    /// Takes note of an entry of the call's trace; of each once, in order.
    pub(crate) fn tell(&mut self, entry: &Entry, targets: &[Target]) {
        let name = |target: usize| targets.get(target).map_or("", |target| target.name.as_str());
        match &entry.what {
            What::AttemptStarted { attempt, target, messages, hedge } => {
                let target = name(*target);
                // Inside the call's span if there is one; if a filter takes it away, inside the caller's.
                let span = self.call.in_scope(|| {
                    info_span!("llm.attempt", attempt, target, hedge, outcome = Empty)
                });
                span.in_scope(|| debug!(messages, "attempt started"));
                self.attempts.push((*attempt, span));
            }
            What::AttemptEnded { attempt, failure, .. } => {
                let span = self.of(*attempt).cloned().unwrap_or_else(Span::none);
                self.attempts.retain(|(of, _)| of != attempt);
                let outcome = failure.as_ref().map_or("answered", |failure| failure.class.name());
                span.record("outcome", outcome);
                span.in_scope(|| {
                    if let Some(failure) = failure {
                        tell_failure(failure);
                    } else {
                        debug!("answered");
                    }
                });
            }
            What::Committed { attempt } => self.within(*attempt, || debug!("committed")),
            What::Connected { attempt } => self.within(*attempt, || debug!("connected")),
            What::FirstToken { attempt } => self.within(*attempt, || debug!("first token")),
            What::FellBack { from, to, why } => self.call.in_scope(|| {
                info!(from = name(*from), to = name(*to), reason = why.name(), "fell back");
            }),
            What::Finished(finish) => self.finish(*finish, name),
            What::OutputLowered { target, output_max } => self.call.in_scope(|| {
                debug!(target = name(*target), output_max, "output lowered");
            }),
            What::Queued { target } => {
                self.call.in_scope(|| debug!(target = name(*target), "queued"));
            }
            What::Skipped { target, why } => self.call.in_scope(|| {
                debug!(target = name(*target), reason = why.name(), "skipped");
            }),
            What::Truncated { target, dropped, cut, tokens_before, tokens } => {
                self.call.in_scope(|| {
                    let (dropped, cut) = (dropped.len(), cut.len());
                    debug!(
                        target = name(*target),
                        dropped, cut, tokens_before, tokens, "truncated"
                    );
                });
            }
            What::WaitBegun { target, until, why } => self.call.in_scope(|| {
                let wait = until.since(entry.at);
                debug!(target = name(*target), reason = why.name(), ?wait, "waiting");
            }),
        }
    }

    fn finish<'a>(&self, finish: Finish, name: impl Fn(usize) -> &'a str) {
        match finish {
            Finish::Served { target, attempt } => {
                self.call.record("target", name(target));
                self.call.record("outcome", "served");
                self.call.in_scope(|| debug!(attempt, "served"));
            }
            Finish::Stopped { why, retry_in } => {
                let reason = why.name();
                self.call.record("outcome", reason);
                self.call.in_scope(|| {
                    if why == StopReason::Abandoned {
                        // Whoever dropped it knows.
                        debug!(reason, "stopped");
                    } else {
                        warn!(reason, ?retry_in, "stopped");
                    }
                });
            }
        }
    }
}

/// Loud if somebody must look at it; the provider's own words only for debugging.
fn tell_failure(failure: &Failure) {
    let Failure { class, status, code, message, .. } = failure;
    let reason = class.name();
    if *class == Class::Cancelled {
        debug!(reason, "attempt given up");
    } else if class.retryable() || class.truncates() {
        info!(reason, status, "attempt failed");
    } else {
        warn!(reason, status, "attempt failed");
    }
    let code = code.as_deref().map(guarded);
    debug!(code, said = guarded(message), "what came back");
}

/// A provider's words, fit for a log: cut, and with long words shortened, because a key is one.
fn guarded(text: &str) -> String {
    let mut kept = String::new();
    for word in text.split_whitespace() {
        if kept.len() >= SAID_BYTES_MAX {
            kept.push_str(" …");
            break;
        }
        if !kept.is_empty() {
            kept.push(' ');
        }
        if word.chars().count() <= WORD_CHARS_MAX {
            kept.push_str(word);
        } else {
            kept.extend(word.chars().take(WORD_CHARS_KEPT));
            kept.push('…');
        }
    }
    kept
}

/// After how many bytes no further word of a provider's message is told.
const SAID_BYTES_MAX: usize = 200;
/// The longest word that is told in full: keys are longer, and few English words are.
const WORD_CHARS_MAX: usize = 16;
/// What is left of a longer one: enough for `sk-` and too little for a secret.
const WORD_CHARS_KEPT: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_in_a_providers_message_is_shortened() {
        let said = guarded("Incorrect API key provided: sk-proj-abcdef0123456789.");
        assert_eq!(said, "Incorrect API key provided: sk-…");
    }

    #[test]
    fn a_long_message_is_cut_after_a_word() {
        let said = guarded(&"word ".repeat(1_000));
        assert!(said.ends_with("word …"));
        assert!(said.len() <= SAID_BYTES_MAX + WORD_CHARS_MAX);
    }
}
