//! One attempt, as the transport sees it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;

use crate::call::Event;
use crate::clock::Clock;
use crate::hint;
use crate::message::Message;
use crate::target::Target;
use crate::time::Nanos;

/// One attempt, as the transport sees it.
///
/// A transport *may* report how far it got; each report starts the time limit of the next phase.
/// One that reports nothing has only the attempt's own limit.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// The call's id.
    pub call: u64,
    /// The attempt's number in the call, from 1.
    pub number: u32,
    /// The conversation to send, shortened if it had to be.
    pub messages: Arc<[Message]>,
    /// The most tokens that the answer may have: the request's own limit, or less if the target has no room for it.
    pub output_max: Option<u64>,
    /// How long the attempt may take as a whole.
    pub time_left: Duration,
    pub(crate) target: usize,
    pub(crate) targets: Arc<[Target]>,
    pub(crate) progress: Arc<Progress>,
    pub(crate) clock: Clock,
}

impl Attempt {
    /// Where to send it.
    pub fn target(&self) -> &Target {
        &self.targets[self.target]
    }

    /// The target's place in the list of targets.
    pub fn target_index(&self) -> usize {
        self.target
    }

    /// The model to ask, as its provider names it.
    pub fn model(&self) -> &str {
        &self.target().model
    }

    /// Reports that a connection is being looked for: the connect timeout begins.
    ///
    /// Only for a transport that sees its connection come about, and reports it with [`Attempt::connected`] before it writes the request: whatever ends in between counts as never sent.
    pub fn connecting(&self) {
        self.report(Event::Connecting);
    }

    /// Reports a connection: for a stream, the first-token timeout begins.
    pub fn connected(&self) {
        self.report(Event::Connected);
    }

    /// Reports a piece of content: the idle timeout begins anew.
    pub fn token(&self) {
        self.report(Event::Token);
    }

    /// Reports the headers of an answer, good or bad: what they say about the provider's limits makes our own quota more careful.
    ///
    /// A [`Failure`](crate::Failure) of [`classify`](crate::classify) has read its headers already.
    pub fn headers(&self, headers: &[(&str, &str)]) {
        let observed = hint::observed(self.target().provider, headers, None);
        if !observed.is_empty() {
            self.report(Event::Limits(observed));
        }
    }

    /// Asks whether content may be handed to the caller, and commits the call to this attempt if it may.
    ///
    /// From here on, nothing is repeated, and no other attempt of the call gets the same permission.
    /// `false` means that the attempt is over, or that another one was first: its content must not reach the caller.
    #[must_use = "content of an attempt that lost must not reach the caller"]
    pub fn commit(&self) -> bool {
        self.progress.commit(self.number, self.clock.now())
    }

    fn report(&self, event: Event) {
        self.progress.report(self.number, event, self.clock.now());
    }
}

/// What the transports of a call have reported and the call has not yet heard, and which of them may speak to the caller.
#[derive(Debug, Default)]
pub(crate) struct Progress(Mutex<Reports>);

/// The inside of a [`Progress`].
#[derive(Debug, Default)]
pub(crate) struct Reports {
    pub(crate) unheard: VecDeque<(u32, Nanos, Event)>,
    /// The attempts that are out.
    pub(crate) out: Vec<u32>,
    committed: Option<u32>,
    /// Who is to be woken by the next report.
    pub(crate) waker: Option<Waker>,
}

impl Progress {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Reports> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a report, and wakes whoever waits for one.
    fn report(&self, attempt: u32, event: Event, at: Nanos) {
        let waker = {
            let mut reports = self.lock();
            reports.push(attempt, event, at);
            reports.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// The permission and its report are one step, so that the call cannot give up on the attempt in between.
    fn commit(&self, attempt: u32, at: Nanos) -> bool {
        let waker = {
            let mut reports = self.lock();
            if reports.committed == Some(attempt) {
                return true;
            }
            if reports.committed.is_some() || !reports.out.contains(&attempt) {
                return false;
            }
            reports.committed = Some(attempt);
            reports.push(attempt, Event::Committed, at);
            reports.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
        true
    }
}

impl Reports {
    fn push(&mut self, attempt: u32, event: Event, at: Nanos) {
        // Of a run of tokens the first and the latest matter, so the list stays short.
        let len = self.unheard.len();
        let is_token = |at: usize| {
            self.unheard
                .get(at)
                .is_some_and(|(of, _, event)| *of == attempt && *event == Event::Token)
        };
        if event == Event::Token && len > 1 && is_token(len - 1) && is_token(len - 2) {
            self.unheard.pop_back();
        }
        self.unheard.push_back((attempt, at, event));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A transport may report a token a microsecond while the call has no time to listen.
    #[test]
    fn a_run_of_tokens_is_kept_as_its_first_and_its_latest() {
        let progress = Progress::default();
        progress.report(1, Event::Connected, Nanos::ZERO);
        for at in 1..1_000 {
            progress.report(1, Event::Token, Nanos::new(at));
        }
        progress.report(2, Event::Token, Nanos::new(1_000));
        let reports: Vec<_> = progress.lock().unheard.iter().map(|(_, at, _)| at.get()).collect();
        assert_eq!(reports, [0, 1, 999, 1_000]);
    }

    /// P34: two answers of one call must not both reach the caller.
    #[test]
    fn one_attempt_speaks_and_only_while_it_is_out() {
        let progress = Progress::default();
        assert!(!progress.commit(1, Nanos::ZERO), "not sent yet");
        progress.lock().out = vec![1, 2];
        assert!(progress.commit(2, Nanos::ZERO));
        assert!(progress.commit(2, Nanos::ZERO), "asked again");
        assert!(!progress.commit(1, Nanos::ZERO), "another one was first");
        assert_eq!(progress.lock().unheard.len(), 1);
    }
}
