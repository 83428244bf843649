//! What a call did, and when: data first, text never.

use std::time::Duration;

use crate::class::Sent;
use crate::failure::Failure;
use crate::hint::Hint;
use crate::limiter::Refusal;
use crate::outcome::Usage;
use crate::pool::{CoolReason, Cooling};
use crate::time::Nanos;
use crate::truncate::CannotFit;

/// Everything that one call did, in order.
///
/// Targets are named by their place in the pool, attempts by their number from 1.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Trace {
    /// The call.
    pub call: u64,
    /// When it began.
    pub begun: Nanos,
    /// What happened.
    pub entries: Vec<Entry>,
    /// Whether only the end is noted.
    muted: bool,
}

impl Trace {
    pub(crate) fn new(call: u64, begun: Nanos) -> Self {
        Self { call, begun, entries: Vec::new(), muted: false }
    }

    pub(crate) fn push(&mut self, what: What, at: Nanos) {
        if !self.muted || matches!(what, What::Finished(_)) {
            self.entries.push(Entry { at, what });
        }
    }

    pub(crate) fn mute(&mut self) {
        self.muted = true;
    }

    /// How each attempt ended: its number, its target, and its failure if it failed.
    pub fn attempts(&self) -> impl DoubleEndedIterator<Item = (u32, usize, Option<&Failure>)> {
        self.entries.iter().filter_map(|entry| match &entry.what {
            What::AttemptEnded { attempt, target, failure, .. } => {
                Some((*attempt, *target, failure.as_ref()))
            }
            _ => None,
        })
    }

    /// What all attempts cost together, those that lost or were dropped included.
    pub fn bill(&self) -> Bill {
        let mut bill = Bill::default();
        for entry in &self.entries {
            match &entry.what {
                What::AttemptEnded { usage: Some(usage), .. } => {
                    bill.usage.input = bill.usage.input.saturating_add(usage.input);
                    bill.usage.output = bill.usage.output.saturating_add(usage.output);
                }
                What::AttemptEnded { failure, usage: None, .. } => {
                    // What never left, and what was answered with an error, costs nothing.
                    let free = failure.as_ref().is_some_and(|failure| {
                        failure.sent == Sent::No
                            || failure.status.is_some_and(|status| status >= 400)
                    });
                    bill.unknown += u32::from(!free);
                }
                _ => {}
            }
        }
        bill
    }

    /// The waits that were begun, each with its reason.
    pub fn waits(&self) -> impl Iterator<Item = (Duration, Wait)> {
        self.entries.iter().filter_map(|entry| match entry.what {
            What::WaitBegun { until, why, .. } => Some((until.since(entry.at), why)),
            _ => None,
        })
    }

    /// How the call ended, once it has.
    pub fn finish(&self) -> Option<Finish> {
        match self.entries.last()?.what {
            What::Finished(finish) => Some(finish),
            _ => None,
        }
    }
}

/// What a call cost.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Bill {
    /// What providers said they charge.
    pub usage: Usage,
    /// How many attempts may have been charged without a word: answers without usage, cut streams, hedges that lost.
    pub unknown: u32,
}

/// One thing that happened.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Entry {
    /// When.
    pub at: Nanos,
    /// What.
    pub what: What,
}

/// What happened.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum What {
    /// An attempt ended.
    AttemptEnded {
        /// Its number.
        attempt: u32,
        /// Where it was sent.
        target: usize,
        /// Why it failed; `None` if it was answered.
        failure: Option<Failure>,
        /// What it cost, if the provider said so.
        usage: Option<Usage>,
    },
    /// An attempt was handed to the transport.
    AttemptStarted {
        /// Its number.
        attempt: u32,
        /// Where it was sent.
        target: usize,
        /// How many messages it carries.
        messages: usize,
        /// Whether it was sent beside another that was late.
        hedge: bool,
    },
    /// The first content reached the caller: from here on, nothing is repeated.
    Committed {
        /// The attempt.
        attempt: u32,
    },
    /// The transport got a connection.
    Connected {
        /// The attempt.
        attempt: u32,
    },
    /// Another target is asked.
    FellBack {
        /// The target that was left.
        from: usize,
        /// The target that is asked instead.
        to: usize,
        /// Why it was left.
        why: Leave,
    },
    /// The call ended; always the last entry, and there once.
    Finished(Finish),
    /// The first content arrived.
    FirstToken {
        /// The attempt.
        attempt: u32,
    },
    /// The answer's limit was lowered for a target, so that the conversation can stay whole.
    OutputLowered {
        /// The target.
        target: usize,
        /// The most tokens that the answer may have there.
        output_max: u64,
    },
    /// The call joined the line of a target's quota.
    Queued {
        /// The target.
        target: usize,
    },
    /// A target was passed over without being asked.
    Skipped {
        /// The target.
        target: usize,
        /// Why.
        why: Skip,
    },
    /// The conversation was shortened for a target.
    Truncated {
        /// The target.
        target: usize,
        /// The messages that were dropped, by their index in the caller's conversation.
        dropped: Vec<usize>,
        /// The kept messages whose text was cut, by their index in the caller's conversation, each with the bytes that are gone.
        cut: Vec<(usize, usize)>,
        /// The tokens of the request before.
        tokens_before: u64,
        /// The tokens of the request after.
        tokens: u64,
    },
    /// A wait was begun.
    WaitBegun {
        /// The target that will be asked afterwards, as things stand.
        target: usize,
        /// When it ends.
        until: Nanos,
        /// Why.
        why: Wait,
    },
}

/// Why a call waits.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Wait {
    /// Before a retry; the server did not say how long.
    Backoff {
        /// The retry on this target, from 1.
        retry: u32,
    },
    /// The target rests, and no other is ready.
    Cooling(Cooling),
    /// Before a retry, as the server asked.
    Hint {
        /// The retry on this target, from 1.
        retry: u32,
        /// What the server asked for.
        hint: Hint,
    },
}

impl Wait {
    /// A name in kebab case, fit for a report; a rest is named by its reason.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Backoff { .. } => "backoff",
            Self::Cooling(Cooling { why, .. }) => cooling_name(why),
            Self::Hint { .. } => "hint",
        }
    }
}

/// Why a target was left for another.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Leave {
    /// The retries of all calls are used up for now.
    Budget,
    /// It rests, or its quota has no room soon enough.
    Busy,
    /// Its retries are used up.
    Exhausted,
    /// Its failure is none that a retry could mend.
    Final,
    /// The server asked for a longer wait than another target's readiness is worth.
    HintTooLong,
    /// It refuses so much that this request was not even sent.
    Shed,
    /// A retry there could not end before the deadline.
    TooLate,
}

impl Leave {
    /// A name in kebab case, fit for a report.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Budget => "budget",
            Self::Busy => "busy",
            Self::Exhausted => "exhausted",
            Self::Final => "final",
            Self::HintTooLong => "hint-too-long",
            Self::Shed => "shed",
            Self::TooLate => "too-late",
        }
    }
}

/// Why a target was passed over.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Skip {
    /// The request is too long for it, and cannot be shortened enough.
    CannotFit(CannotFit),
    /// It rests.
    Cooling(Cooling),
    /// Our quota for it has no room soon enough, or never will.
    Quota(Refusal),
    /// It uses the credential that was refused.
    SameCredential,
    /// Its window is no larger than the one that was too small.
    SameWindow,
    /// It refuses so much that this attempt was not even sent.
    Shed,
}

impl Skip {
    /// A name in kebab case, fit for a report; a rest is named by its reason.
    pub const fn name(self) -> &'static str {
        match self {
            Self::CannotFit(_) => "cannot-fit",
            Self::Cooling(Cooling { why, .. }) => cooling_name(why),
            Self::Quota(_) => "quota",
            Self::SameCredential => "same-credential",
            Self::SameWindow => "same-window",
            Self::Shed => "shed",
        }
    }
}

/// How a call ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Finish {
    /// It was answered.
    Served {
        /// The target that answered.
        target: usize,
        /// The attempt that was answered.
        attempt: u32,
    },
    /// It was not answered.
    Stopped {
        /// Why no further attempt was made.
        why: StopReason,
        /// How long the server, or our own quota, would have had us wait.
        retry_in: Option<Duration>,
    },
}

/// Why a call made no further attempt.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum StopReason {
    /// The caller dropped it.
    Abandoned,
    /// It had all its attempts, over all targets.
    AttemptsMax,
    /// The retries of all calls are used up for now.
    Budget,
    /// An answer broke off after the caller had seen some of it.
    Committed,
    /// The call's deadline is past, or any further wait would end past it.
    Deadline,
    /// Every target's retries are used up.
    Exhausted,
    /// The failure is none that another attempt could mend.
    Final,
    /// The server asked for a longer wait than the policy grants.
    HintBeyondCap,
    /// The target refuses so much that this request was not sent, or not again.
    Shed,
    /// Every target was ruled out before anything was sent.
    Unservable,
}

impl StopReason {
    /// A name in kebab case, fit for a report.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Abandoned => "abandoned",
            Self::AttemptsMax => "attempts-max",
            Self::Budget => "budget",
            Self::Committed => "committed",
            Self::Deadline => "deadline",
            Self::Exhausted => "exhausted",
            Self::Final => "final",
            Self::HintBeyondCap => "hint-beyond-cap",
            Self::Shed => "shed",
            Self::Unservable => "unservable",
        }
    }
}

/// A rest as the reason of something else: the server's wish is not mistaken for a hint to this call.
const fn cooling_name(why: CoolReason) -> &'static str {
    match why {
        CoolReason::Breaker => "cooling-breaker",
        CoolReason::Credential => "cooling-credential",
        CoolReason::Hint => "cooling-hint",
        CoolReason::Outage => "cooling-outage",
    }
}
