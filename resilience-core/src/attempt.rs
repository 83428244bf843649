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
        let report = (self.clock.now(), event);
        {
            let mut reports = self.progress.lock();
            // Of a run of tokens only the latest matters, so the list stays short.
            let again = report.1 == Event::Token
                && reports.len() > 1
                && reports.iter().rev().take(2).all(|(_, event)| *event == Event::Token);
            if again {
                reports.pop_back();
            }
            reports.push_back(report);
        }
        self.progress.notify.notify_one();
    }
}

/// What a transport has reported and the call has not yet heard.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    reports: Mutex<VecDeque<(Nanos, Event)>>,
    notify: Notify,
}

impl Progress {
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
