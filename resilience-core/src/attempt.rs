//! One attempt, as the transport sees it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::call::Event;
use crate::clock::Clock;
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

    /// Reports that content has reached the caller: from here on, nothing is repeated.
    pub fn committed(&self) {
        self.report(Event::Committed);
    }

    fn report(&self, event: Event) {
        self.progress.report(event, self.clock.now());
    }
}

/// What a transport has reported and the call has not yet heard.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    reports: Mutex<VecDeque<(Nanos, Event)>>,
    notify: Notify,
}

impl Progress {
    /// Takes a report, and wakes whoever waits for one.
    fn report(&self, event: Event, at: Nanos) {
        {
            let mut reports = self.lock();
            // Of a run of tokens the first and the latest matter, so the list stays short.
            let is_token =
                |at: usize| reports.get(at).is_some_and(|(_, event)| *event == Event::Token);
            let len = reports.len();
            if event == Event::Token && len > 1 && is_token(len - 1) && is_token(len - 2) {
                reports.pop_back();
            }
            reports.push_back((at, event));
        }
        self.notify.notify_one();
    }

    /// Waits until something has been reported.
    pub(crate) async fn reported(&self) {
        self.notify.notified().await;
    }

    /// What has been reported since the last time.
    pub(crate) fn take(&self) -> VecDeque<(Nanos, Event)> {
        std::mem::take(&mut *self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<(Nanos, Event)>> {
        self.reports.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A transport may report a token a microsecond while the call has no time to listen.
    #[test]
    fn a_run_of_tokens_is_kept_as_its_first_and_its_latest() {
        let progress = Progress::default();
        progress.report(Event::Connected, Nanos::ZERO);
        for at in 1..1_000 {
            progress.report(Event::Token, Nanos::new(at));
        }
        progress.report(Event::Committed, Nanos::new(1_000));
        let reports: Vec<_> = progress.take().into_iter().map(|(at, _)| at.get()).collect();
        assert_eq!(reports, [0, 1, 999, 1_000]);
    }
}
