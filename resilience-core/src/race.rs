//! One call's attempts side by side, and what became of each.
//!
//! An attempt that loses was still sent and may be billed, so each has its line here until the end.

use std::time::Duration;

use crate::class::{Class, Sent};
use crate::outcome::Usage;
use crate::time::Nanos;

/// The attempts of a call that run side by side: the first to *succeed* wins.
///
/// # Order of calls
///
/// 1. [`Race::sent`] for each attempt; the first is the original, the others are hedges.
/// 2. [`Race::succeeded`] at an attempt's first content, or its answer if it does not stream; or [`Race::failed`].
/// 3. After the first success every attempt in [`Race::running`] is cancelled, and [`Race::cancelled`] told, before the call returns; [`Race::verdict`] says nothing earlier.
///
/// An attempt that has an end keeps it; what is said about it later changes nothing.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Race {
    ledger: Vec<Entrant>,
    failed_last: Option<(usize, Class)>,
}

impl Race {
    /// An attempt is sent; this is its place in the ledger.
    pub fn sent(&mut self, now: Nanos) -> usize {
        self.ledger.push(Entrant { sent_at: now, fate: Fate::Running });
        self.ledger.len() - 1
    }

    /// An attempt has its first content or its answer; it wins unless another has.
    ///
    /// A success that comes second is a loser like any other; `usage` is what it cost, if that is known.
    pub fn succeeded(&mut self, place: usize, usage: Option<Usage>, now: Nanos) -> Option<Sample> {
        let fate = if self.winner().is_none() { Fate::Win } else { Fate::lose(usage) };
        self.end(place, fate, now).map(Sample::Exactly)
    }

    /// An attempt has failed; the others run on.
    pub fn failed(&mut self, place: usize, class: Class, now: Nanos) -> Option<Sample> {
        // What was not processed, or answered with an error, costs nothing; of the rest nobody knows.
        let fate = match class.treatment().sent {
            Sent::No | Sent::Yes => Fate::LoseKnown(Usage::default()),
            Sent::Maybe => Fate::LoseUnknown,
        };
        let took = self.end(place, fate, now)?;
        self.failed_last = Some((place, class));
        // An early error says nothing about when a first token would have come; a timeout does.
        matches!(class, Class::Timeout { .. }).then_some(Sample::AtLeast(took))
    }

    /// An attempt was given up, and `usage` is what it is known to have cost.
    pub fn cancelled(&mut self, place: usize, usage: Option<Usage>, now: Nanos) -> Option<Sample> {
        self.end(place, Fate::lose(usage), now).map(Sample::AtLeast)
    }

    /// Every attempt, in the order in which they were sent.
    pub fn ledger(&self) -> &[Entrant] {
        &self.ledger
    }

    /// The place of the attempt that won.
    pub fn winner(&self) -> Option<usize> {
        self.ledger.iter().position(|entrant| entrant.fate == Fate::Win)
    }

    /// The places of the attempts that have no end yet; once there is a winner, those to cancel.
    pub fn running(&self) -> impl Iterator<Item = usize> {
        let running = self.ledger.iter().enumerate().filter(|(_, entrant)| entrant.is_running());
        running.map(|(place, _)| place)
    }

    /// How the race ended; `None` while any attempt still runs, or if all were given up.
    pub fn verdict(&self) -> Option<RaceVerdict> {
        if self.ledger.iter().any(Entrant::is_running) {
            return None;
        }
        match (self.winner(), self.failed_last) {
            (Some(place), _) => Some(RaceVerdict::Won { place }),
            (None, Some((place, class))) => Some(RaceVerdict::AllFailed { place, class }),
            (None, None) => None,
        }
    }

    /// Whether something runs and nothing has won.
    pub(crate) fn is_open(&self) -> bool {
        self.winner().is_none() && self.ledger.iter().any(Entrant::is_running)
    }

    /// When the latest attempt was sent.
    pub(crate) fn latest_sent_at(&self) -> Option<Nanos> {
        self.ledger.last().map(|entrant| entrant.sent_at)
    }

    /// How many attempts there are beyond the first.
    pub(crate) fn hedges(&self) -> u64 {
        u64::try_from(self.ledger.len().saturating_sub(1)).unwrap_or(u64::MAX)
    }

    /// Ends an attempt that runs, and says how long it took.
    fn end(&mut self, place: usize, fate: Fate, now: Nanos) -> Option<Duration> {
        let entrant = self.ledger.get_mut(place).filter(|entrant| entrant.is_running())?;
        entrant.fate = fate;
        Some(now.since(entrant.sent_at))
    }
}

/// One line of the ledger: an attempt that was sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Entrant {
    /// When.
    pub sent_at: Nanos,
    /// What became of it.
    pub fate: Fate,
}

impl Entrant {
    fn is_running(&self) -> bool {
        self.fate == Fate::Running
    }
}

/// What became of an attempt in a [`Race`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fate {
    /// It lost, and this is what it cost.
    LoseKnown(Usage),
    /// It lost; it may well be billed, and nobody said for how much.
    LoseUnknown,
    /// It has no end yet.
    Running,
    /// It was the first to succeed.
    Win,
}

impl Fate {
    fn lose(usage: Option<Usage>) -> Self {
        usage.map_or(Self::LoseUnknown, Self::LoseKnown)
    }
}

/// How a [`Race`] ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RaceVerdict {
    /// Nothing succeeded.
    AllFailed {
        /// The attempt that failed last.
        place: usize,
        /// How.
        class: Class,
    },
    /// An attempt succeeded.
    Won {
        /// Its place in the ledger.
        place: usize,
    },
}

/// How long a first token took; to be told to [`crate::parts::Hedger::observe`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use = "a hedger that sees only winners believes that everything is quick"]
pub enum Sample {
    /// It was not there after so long, and then nobody waited for it any more.
    AtLeast(Duration),
    /// It was there after so long.
    Exactly(Duration),
}

impl Sample {
    /// The length that is known.
    pub const fn length(self) -> Duration {
        match self {
            Self::AtLeast(length) | Self::Exactly(length) => length,
        }
    }
}

/// By length; of the same length the exact one first, because the other took at least as long.
impl Ord for Sample {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        let key = |of: &Self| (of.length(), matches!(of, Self::AtLeast(_)));
        key(self).cmp(&key(other))
    }
}

impl PartialOrd for Sample {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
