//! How many attempts not to send at all, while the target refuses most of them.

use std::collections::VecDeque;
use std::time::Duration;

use thiserror::Error;

use crate::backoff::PPM;
use crate::class::{Class, Counts};
use crate::mistake::Mistakes;
use crate::policy::ATTEMPT_TIMEOUT;
use crate::time::{Nanos, whole_nanos};

/// Client-side throttling after [the SRE book](https://sre.google/sre-book/handling-overload/): as long as attempts exceed *K* times what is accepted, the excess is refused here.
///
/// With *R* attempts and *A* accepted ones in the window, an attempt is refused with probability max(0, (*R* − *K* · *A*) / (*R* + 1)).
/// What is refused here counts as an attempt too, so that some always reach the target and find out that it is well again.
///
/// # Order of calls
///
/// [`Shedder::admit`] before each send, and [`Shedder::ended`] for each attempt that was admitted.
/// An attempt counts when it is asked for, not when it ends: counted at its end, a burst would find the window empty.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Shedder {
    settings: ShedSettings,
    /// The oldest first; of those without attempts there are none.
    slots: VecDeque<Slot>,
    requests: u64,
    accepts: u64,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Slot {
    number: u64,
    requests: u64,
    accepts: u64,
}

impl Shedder {
    /// One that has seen nothing, or everything that is wrong with its settings.
    pub fn new(settings: ShedSettings) -> Result<Self, Mistakes<ShedMistake>> {
        Mistakes::none_in(settings.mistakes())?;
        Ok(Self { settings, slots: VecDeque::new(), requests: 0, accepts: 0 })
    }

    /// Whether an attempt is sent; it counts in either case.
    pub fn admit(&mut self, draw: u64, now: Nanos) -> Result<(), Shed> {
        self.slot(now);
        let (excess, of) = self.odds();
        // The draw is a fraction of 2^64; compared crosswise, nothing is rounded.
        let shed = u128::from(draw) * of < excess << 64;
        let chance_ppm = u32::try_from(excess * u128::from(PPM) / of).unwrap_or(u32::MAX);
        self.requests += 1;
        self.slot(now).requests += 1;
        if shed { Err(Shed { chance_ppm }) } else { Ok(()) }
    }

    /// An attempt that was admitted is over.
    ///
    /// The target accepted it unless it was refused for lack of capacity, or did not get through: a request that is wrong is accepted work too.
    pub fn ended(&mut self, result: Result<(), Class>, now: Nanos) {
        let accepted = match result {
            Ok(()) => true,
            Err(class) => class.treatment().counts == Counts::Neutral && !class.slows_down(),
        };
        if accepted {
            self.accepts += 1;
            self.slot(now).accepts += 1;
        }
    }

    /// The probability with which an attempt would be refused now, in millionths, rounded down.
    pub fn chance_ppm(&mut self, now: Nanos) -> u32 {
        self.slot(now);
        let (excess, of) = self.odds();
        u32::try_from(excess * u128::from(PPM) / of).unwrap_or(u32::MAX)
    }

    /// Attempts in the window, those that were refused here included, and how many of them the target accepted.
    pub fn counts(&mut self, now: Nanos) -> (u64, u64) {
        self.slot(now);
        (self.requests, self.accepts)
    }

    /// The probability as a fraction, both parts in millionths of an attempt.
    fn odds(&self) -> (u128, u128) {
        let requests = u128::from(self.requests) * u128::from(PPM);
        let covered = u128::from(self.accepts) * u128::from(self.settings.multiplier_ppm);
        (requests.saturating_sub(covered), requests + u128::from(PPM))
    }

    /// Forgets what has left the window, and begins a slot for this instant unless there is one.
    fn slot(&mut self, now: Nanos) -> &mut Slot {
        let width = whole_nanos(self.settings.window).div_ceil(SLOTS);
        let number = now.get() / width;
        // A clock that goes back keeps to the latest slot.
        let number = self.slots.back().map_or(number, |latest| number.max(latest.number));
        while let Some(oldest) = self.slots.front().copied()
            && number - oldest.number > SLOTS
        {
            self.slots.pop_front();
            self.requests -= oldest.requests;
            self.accepts -= oldest.accepts;
        }
        if self.slots.back().is_none_or(|latest| latest.number < number) {
            self.slots.push_back(Slot { number, requests: 0, accepts: 0 });
        }
        self.slots.back_mut().expect("there is one for this instant")
    }
}

/// When a [`Shedder`] begins to refuse.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ShedSettings {
    /// How many times as much as is accepted may be asked for, in millionths.
    ///
    /// Two lets the target refuse as many as it accepts, and so notices quickly that it accepts more.
    pub multiplier_ppm: u32,
    /// Over which time attempts are counted; longer than any answer takes, or its attempt is forgotten before it.
    pub window: Duration,
}

impl ShedSettings {
    /// Everything that is wrong with the settings.
    pub fn mistakes(&self) -> Vec<ShedMistake> {
        let Self { multiplier_ppm, window } = *self;
        let mut mistakes = Vec::new();
        if u64::from(multiplier_ppm) < PPM {
            mistakes.push(ShedMistake::MultiplierBelowOne { multiplier_ppm });
        }
        if window.is_zero() {
            mistakes.push(ShedMistake::NoWindow);
        }
        mistakes
    }
}

impl Default for ShedSettings {
    /// The book's: twice what is accepted, over two minutes.
    fn default() -> Self {
        Self {
            multiplier_ppm: 2_000_000,
            // As long as an attempt may take, so that none is forgotten before its answer.
            window: ATTEMPT_TIMEOUT,
        }
    }
}

/// An attempt is refused here, because the target would most likely refuse it.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("the target refuses too much, and {chance_ppm} in a million attempts are not sent")]
pub struct Shed {
    /// How probable that was, in millionths.
    pub chance_ppm: u32,
}

/// What is wrong with [`ShedSettings`].
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum ShedMistake {
    /// Attempts would be refused although all are accepted.
    #[error("multiplier {multiplier_ppm} ppm is below one")]
    MultiplierBelowOne {
        /// The multiplier.
        multiplier_ppm: u32,
    },
    /// Nothing would be remembered.
    #[error("the window is zero")]
    NoWindow,
}

/// Into how many slots the window is divided; beside the current one so many are remembered, so that it is never too short.
const SLOTS: u64 = 60;
