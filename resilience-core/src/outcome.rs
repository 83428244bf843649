//! What a call hands back, good or bad; its trace travels with both.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::failure::Failure;
use crate::pool::CoolReason;
use crate::target::Target;
use crate::trace::{Skip, StopReason, Trace, What};

/// What a transport got for one attempt.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Answer<T> {
    /// The answer.
    pub value: T,
    /// What it cost, if the provider said so.
    pub usage: Option<Usage>,
}

impl<T> Answer<T> {
    /// An answer whose cost is unknown.
    pub const fn new(value: T) -> Self {
        Self { value, usage: None }
    }
}

/// The tokens that a provider charged.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Usage {
    /// Tokens sent.
    pub input: u64,
    /// Tokens received.
    pub output: u64,
}

/// A served call.
#[derive(Clone, Debug)]
pub struct Success<T> {
    /// The answer.
    pub value: T,
    /// What it cost, if the provider said so.
    pub usage: Option<Usage>,
    /// The target that answered, by its place in the pool: a fallback is told from a first choice.
    pub target: usize,
    /// How many attempts were made.
    pub attempts: u32,
    /// Everything that happened.
    pub trace: Trace,
}

/// A call that was not served: why it stopped, and what every target had to say.
#[derive(Clone, Debug)]
pub struct CallError {
    /// Why no further attempt was made.
    pub why: StopReason,
    /// How long the server, or our own quota, would have had us wait.
    pub retry_in: Option<Duration>,
    /// Everything that happened.
    pub trace: Trace,
    /// What the trace's targets are.
    pub targets: Arc<[Target]>,
}

impl CallError {
    /// The failure of the last attempt, if one was made.
    pub fn last(&self) -> Option<&Failure> {
        self.trace.attempts().rev().find_map(|(.., failure)| failure)
    }

    /// How many attempts were made.
    pub fn attempts(&self) -> usize {
        self.trace.attempts().count()
    }

    /// For each target that was asked or passed over, in the pool's order: the attempts it got, and the last that came of them.
    pub fn hops(&self) -> Vec<Hop<'_>> {
        let hop = |index: usize, target| {
            let failures = || self.trace.attempts().filter(|(_, asked, _)| *asked == index);
            let last = failures().rev().find_map(|(.., failure)| failure);
            let skip = self.trace.entries.iter().rev().find_map(|entry| match &entry.what {
                What::Skipped { target, why } if *target == index => Some(why),
                _ => None,
            });
            (last.is_some() || skip.is_some()).then(|| Hop {
                target,
                attempts: failures().count(),
                last,
                skip,
            })
        };
        self.targets.iter().enumerate().filter_map(|(index, target)| hop(index, target)).collect()
    }
}

/// What one target contributed to a [`CallError`].
#[derive(Clone, Copy, Debug)]
pub struct Hop<'a> {
    /// The target.
    pub target: &'a Target,
    /// The attempts that it got.
    pub attempts: usize,
    /// Its last failure, if it was asked.
    pub last: Option<&'a Failure>,
    /// Why it was passed over, if it was.
    pub skip: Option<&'a Skip>,
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let attempts = self.attempts();
        let plural = if attempts == 1 { "" } else { "s" };
        write!(f, "{} after {attempts} attempt{plural}", self.why)?;
        if let Some(retry_in) = self.retry_in {
            write!(f, ", retry in {retry_in:?}")?;
        }
        for (index, hop) in self.hops().into_iter().enumerate() {
            write!(f, "{} `{}` ", if index == 0 { ":" } else { ";" }, hop.target.name)?;
            match (hop.last, hop.skip) {
                (Some(failure), _) => write!(f, "{failure}")?,
                (None, Some(skip)) => write!(f, "was passed over: {skip}")?,
                (None, None) => {}
            }
        }
        Ok(())
    }
}

// The failures are part of the message; as sources they would be said twice.
impl Error for CallError {}

impl fmt::Display for StopReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Abandoned => "dropped by the caller",
            Self::AttemptsMax => "out of attempts",
            Self::Budget => "out of budget",
            Self::Committed => "answer broken off",
            Self::Deadline => "out of time",
            Self::Exhausted => "out of retries",
            Self::Final => "not retryable",
            Self::HintBeyondCap => "told to stay away too long",
            Self::Shed => "not sent because the target refuses too much",
            Self::Unservable => "no target can serve it",
        })
    }
}

impl fmt::Display for Skip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CannotFit(cannot_fit) => write!(f, "{cannot_fit}"),
            Self::Cooling(cooling) => f.write_str(match cooling.why {
                CoolReason::Breaker => "too many attempts failed there",
                CoolReason::Credential => "its key was refused or spent a short while ago",
                CoolReason::Hint => "the server asked for a pause",
                CoolReason::Outage => "it failed a short while ago",
            }),
            Self::Quota(refusal) => write!(f, "{refusal}"),
            Self::SameCredential => f.write_str("it uses the same key"),
            Self::SameWindow => f.write_str("its window is no larger"),
            Self::Shed => f.write_str("it refuses too much"),
        }
    }
}
