//! When a target is so ill that it should not be asked at all.
//!
//! A breaker looks at how the latest attempts on one target ended, and at nothing else: it does not know why a request is sent, nor where it goes instead.
//! Whose fault a failure is, [`Class::treatment`] says; a caller's mistake or a rate limit never opens a breaker.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use thiserror::Error;

use crate::backoff::{Backoff, Jitter, PPM};
use crate::class::{Class, Counts};
use crate::draw::scale;
use crate::mistake::Mistakes;
use crate::policy::ATTEMPT_TIMEOUT;
use crate::time::{Nanos, whole_nanos};

/// A circuit breaker: closed while the target is well, open while it is not, and half open to find out.
///
/// # Order of calls
///
/// 1. [`Breaker::admit`] before an attempt is sent; a rejection says when to ask again, and nothing is sent.
///    [`Breaker::ready_at`] may be asked earlier and promises nothing.
/// 2. [`Breaker::settle`] when the attempt is over, or [`Breaker::cancel`] when it was not sent or given up.
///
/// A pass that is dropped instead counts for nothing; if it was a trial, its place is free again after [`BreakerSettings::trial_timeout`].
///
/// A pass knows in which generation it was given; every change of state begins another, and a result of an older one changes nothing.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Breaker {
    settings: BreakerSettings,
    generation: u64,
    state: State,
    /// How often it has opened since it was last closed.
    openings: u32,
}

impl Breaker {
    /// A closed breaker that has seen nothing, or everything that is wrong with its settings.
    pub fn new(settings: BreakerSettings) -> Result<Self, Mistakes<BreakerMistake>> {
        Mistakes::none_in(settings.mistakes())?;
        Ok(Self { settings, generation: 0, state: State::closed(), openings: 0 })
    }

    /// Lets an attempt pass, or says how long to stay away.
    ///
    /// A rejection while half open names the time when the oldest trial is given up; its result may free the way earlier.
    pub fn admit(&mut self, now: Nanos) -> Result<Pass, Rejection> {
        let ready_at = self.ready_at(now);
        if ready_at > now {
            return Err(Rejection { retry_in: ready_at.since(now) });
        }
        // ## Open => HalfOpen
        if let State::Open { .. } = self.state {
            self.enter(State::HalfOpen(Trials::default()));
        }
        let generation = self.generation;
        let trial = match &mut self.state {
            State::HalfOpen(trials) => Some(trials.begin(self.settings.trial_timeout, now)),
            State::Closed(_) | State::Open { .. } => None,
        };
        Ok(Pass { generation, trial })
    }

    /// When an attempt would be let pass if nothing happened until then: `now` or later.
    pub fn ready_at(&self, now: Nanos) -> Nanos {
        match &self.state {
            State::Closed(_) => now,
            State::HalfOpen(trials) => trials.ready_at(&self.settings, now),
            State::Open { until } => now.max(*until),
        }
    }

    /// An attempt that was let pass is over; `draw` is used if the breaker opens.
    #[expect(clippy::needless_pass_by_value, reason = "by move, so that it is settled once")]
    pub fn settle(&mut self, pass: Pass, result: Result<(), Class>, draw: u64, now: Nanos) {
        if pass.generation != self.generation {
            return;
        }
        let weight = self.settings.weight(result);
        match &mut self.state {
            State::Closed(window) => {
                let Some(weight) = weight else { return };
                window.push(weight, &self.settings, now);
                // ## Closed => (Closed | Open)
                if window.is_ill(&self.settings) {
                    self.open(draw, now);
                }
            }
            State::HalfOpen(trials) => {
                if let Some(trial) = pass.trial {
                    trials.under_way.remove(&trial);
                }
                // ## HalfOpen => (HalfOpen | Closed | Open)
                match weight {
                    None => {}
                    Some(0) => trials.successes = trials.successes.saturating_add(1),
                    Some(weight) => trials.failures_ppm += weight,
                }
                if trials.failures_ppm >= PPM {
                    self.open(draw, now);
                } else if trials.successes >= self.settings.trials {
                    self.openings = 0;
                    self.enter(State::closed());
                }
            }
            State::Open { .. } => {}
        }
    }

    /// An attempt that was let pass was not sent, or was given up: it says nothing about the target.
    pub fn cancel(&mut self, pass: Pass, now: Nanos) {
        // A neutral result opens nothing, so that no draw is needed.
        self.settle(pass, Err(Class::Cancelled), 0, now);
    }

    /// The state at an instant.
    pub fn state(&self, now: Nanos) -> BreakerState {
        match self.state {
            State::Closed(_) => BreakerState::Closed,
            State::HalfOpen(_) => BreakerState::HalfOpen,
            State::Open { until } if until <= now => BreakerState::HalfOpen,
            State::Open { until } => BreakerState::Open { until },
        }
    }

    /// What the window of a closed breaker holds at an instant; `None` if it is not closed.
    pub fn tally(&self, now: Nanos) -> Option<Tally> {
        match &self.state {
            State::Closed(window) => Some(window.tally(&self.settings, now)),
            State::HalfOpen(_) | State::Open { .. } => None,
        }
    }

    /// How often the state has changed; a result counts only in the generation of its [`Pass`].
    pub const fn generation(&self) -> u64 {
        self.generation
    }

    fn open(&mut self, draw: u64, now: Nanos) {
        self.openings = self.openings.saturating_add(1);
        let until = now + self.settings.open_for(self.openings, draw);
        self.enter(State::Open { until });
    }

    fn enter(&mut self, state: State) {
        self.state = state;
        self.generation += 1;
    }
}

/// When a [`Breaker`] opens, for how long, and what closes it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct BreakerSettings {
    /// The most outcomes that are remembered.
    pub outcomes_max: u32,
    /// For how long an outcome is remembered; [`Duration::MAX`] for as long as there is room.
    pub remember: Duration,
    /// The fewest outcomes to judge by.
    pub outcomes_min: u32,
    /// The share of failures, in millionths of the outcomes remembered, at which it opens.
    pub failure_ppm: u32,
    /// What a weak failure counts, in millionths of a failure.
    pub weak_ppm: u32,
    /// How long it is open the first time; each further time twice as long.
    pub open_min: Duration,
    /// The longest that it is open, before jitter.
    pub open_max: Duration,
    /// How much longer than that a draw may make it, in millionths, so that clients do not come back as one.
    pub jitter_ppm: u32,
    /// How many attempts a half-open breaker lets pass, and how many of them must succeed to close it.
    pub trials: u32,
    /// How long a trial may take until its place goes to another.
    ///
    /// Its result counts even later, as long as the breaker is still half open.
    pub trial_timeout: Duration,
}

impl BreakerSettings {
    /// Everything that is wrong with the settings.
    pub fn mistakes(&self) -> Vec<BreakerMistake> {
        let Self { outcomes_max, outcomes_min, failure_ppm, weak_ppm, open_min, open_max, .. } =
            *self;
        let mut mistakes = Vec::new();
        for (name, ppm) in [("failure_ppm", failure_ppm), ("weak_ppm", weak_ppm)] {
            if u64::from(ppm) > PPM {
                mistakes.push(BreakerMistake::AboveWhole { name, ppm });
            }
        }
        if outcomes_min > outcomes_max {
            mistakes.push(BreakerMistake::NeverOpens { outcomes_min, outcomes_max });
        }
        if open_min > open_max {
            mistakes.push(BreakerMistake::OpenReversed { open_min, open_max });
        }
        let zeros = [
            ("outcomes_max", outcomes_max == 0),
            ("outcomes_min", outcomes_min == 0),
            ("remember", self.remember.is_zero()),
            ("failure_ppm", failure_ppm == 0),
            ("open_min", open_min.is_zero()),
            ("trials", self.trials == 0),
            ("trial_timeout", self.trial_timeout.is_zero()),
        ];
        let zeros = zeros.into_iter().filter(|(_, zero)| *zero);
        mistakes.extend(zeros.map(|(name, _)| BreakerMistake::Zero { name }));
        mistakes
    }

    /// What a result weighs, in millionths of a failure; `None` if it does not count.
    fn weight(&self, result: Result<(), Class>) -> Option<u64> {
        match result.map_err(|class| class.treatment().counts) {
            Ok(()) => Some(0),
            Err(Counts::Failure) => Some(PPM),
            Err(Counts::Neutral) => None,
            // One that weighs nothing is still no success.
            Err(Counts::Weak) => (self.weak_ppm > 0).then_some(u64::from(self.weak_ppm)),
        }
    }

    /// How long the breaker stays open the `opening`th time.
    fn open_for(&self, opening: u32, draw: u64) -> Duration {
        let backoff = Backoff {
            base: self.open_min,
            cap: self.open_max,
            multiplier_ppm: 2 * PPM,
            jitter: Jitter::None,
        };
        let open = whole_nanos(backoff.envelope(opening));
        let most = u128::from(open) * u128::from(self.jitter_ppm) / u128::from(PPM);
        let jitter = scale(draw, u64::try_from(most).unwrap_or(u64::MAX));
        Duration::from_nanos(open.saturating_add(jitter))
    }
}

impl Default for BreakerSettings {
    /// Opens when half of at least 20 attempts failed in a minute, for 10 s to 120 s and up to a fifth longer; three trials of up to two minutes close it.
    ///
    /// Twenty is what [Hystrix](https://github.com/Netflix/Hystrix/wiki/Configuration) asks for; the rest is a choice of ours.
    fn default() -> Self {
        Self {
            outcomes_max: 100,
            remember: Duration::from_secs(60),
            outcomes_min: 20,
            failure_ppm: 500_000,
            weak_ppm: 500_000,
            open_min: Duration::from_secs(10),
            open_max: Duration::from_secs(120),
            jitter_ppm: 200_000,
            trials: 3,
            // A trial is an attempt, and may take as long.
            trial_timeout: ATTEMPT_TIMEOUT,
        }
    }
}

/// What a [`Breaker`] does with attempts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum BreakerState {
    /// It lets all pass.
    Closed,
    /// It lets some pass, on trial.
    HalfOpen,
    /// It lets none pass.
    Open {
        /// When trials begin.
        until: Nanos,
    },
}

/// Leave to send one attempt; settled by [`Breaker::settle`] or [`Breaker::cancel`].
#[derive(Debug, Eq, PartialEq)]
#[must_use = "what came of the attempt must be told to the breaker"]
pub struct Pass {
    generation: u64,
    /// Its number among the trials of its generation.
    trial: Option<u64>,
}

impl Pass {
    /// Whether it was given by a half-open breaker.
    pub const fn is_trial(&self) -> bool {
        self.trial.is_some()
    }
}

/// The breaker lets nothing pass at the moment.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("the circuit breaker is open for {retry_in:?}")]
pub struct Rejection {
    /// When to ask again.
    pub retry_in: Duration,
}

/// What the window of a breaker holds.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Tally {
    /// Outcomes that count.
    pub outcomes: u64,
    /// The failures among them, in millionths of a failure.
    pub failures_ppm: u64,
}

/// What is wrong with [`BreakerSettings`].
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum BreakerMistake {
    /// A share of more than one.
    #[error("{name} {ppm} is above one million")]
    AboveWhole {
        /// The setting.
        name: &'static str,
        /// Its value.
        ppm: u32,
    },
    /// More outcomes are needed than are remembered.
    #[error("the breaker judges by {outcomes_min} outcomes, but remembers {outcomes_max}")]
    NeverOpens {
        /// Outcomes needed.
        outcomes_min: u32,
        /// Outcomes remembered.
        outcomes_max: u32,
    },
    /// The shortest open time is longer than the longest.
    #[error("open_min {open_min:?} is longer than open_max {open_max:?}")]
    OpenReversed {
        /// The shortest.
        open_min: Duration,
        /// The longest.
        open_max: Duration,
    },
    /// A setting that makes no sense as nothing.
    #[error("{name} is zero")]
    Zero {
        /// The setting.
        name: &'static str,
    },
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum State {
    Closed(Outcomes),
    HalfOpen(Trials),
    Open { until: Nanos },
}

impl State {
    fn closed() -> Self {
        Self::Closed(Outcomes::default())
    }
}

/// The window: when attempts ended, and what they weigh, the oldest first.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
struct Outcomes {
    latest: VecDeque<(Nanos, u64)>,
    failures_ppm: u64,
}

impl Outcomes {
    fn push(&mut self, weight: u64, settings: &BreakerSettings, now: Nanos) {
        // A clock that goes back does not put outcomes out of order.
        let now = self.latest.back().map_or(now, |(at, _)| now.max(*at));
        self.latest.push_back((now, weight));
        self.failures_ppm += weight;
        let room = usize::try_from(settings.outcomes_max).unwrap_or(usize::MAX);
        while let Some((at, weight)) = self.latest.front().copied()
            && (self.latest.len() > room || settings.forgets(at, now))
        {
            self.latest.pop_front();
            self.failures_ppm -= weight;
        }
    }

    /// Judges what is there after a push, so that nothing in it is too old.
    fn is_ill(&self, settings: &BreakerSettings) -> bool {
        let outcomes = count(self.latest.len());
        outcomes >= u64::from(settings.outcomes_min)
            && self.failures_ppm >= outcomes * u64::from(settings.failure_ppm)
    }

    fn tally(&self, settings: &BreakerSettings, now: Nanos) -> Tally {
        let old = self.latest.iter().take_while(|(at, _)| settings.forgets(*at, now));
        let (old, old_ppm) = old.fold((0, 0), |(old, ppm), (_, weight)| (old + 1, ppm + weight));
        Tally {
            outcomes: count(self.latest.len()) - old,
            failures_ppm: self.failures_ppm - old_ppm,
        }
    }
}

impl BreakerSettings {
    /// Whether an outcome is too old; one that is exactly as old as is remembered still counts.
    fn forgets(&self, at: Nanos, now: Nanos) -> bool {
        now.since(at) > self.remember
    }
}

/// What a half-open breaker has found out.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
struct Trials {
    /// When each began.
    under_way: BTreeMap<u64, Nanos>,
    begun: u64,
    successes: u32,
    failures_ppm: u64,
}

impl Trials {
    /// Begins one, for which [`Trials::ready_at`] has said that there is a place.
    fn begin(&mut self, timeout: Duration, now: Nanos) -> u64 {
        self.under_way.retain(|_, at| *at + timeout > now);
        let trial = self.begun;
        self.begun += 1;
        self.under_way.insert(trial, now);
        trial
    }

    /// When there is a place: as many trials at a time as successes are still missing.
    fn ready_at(&self, settings: &BreakerSettings, now: Nanos) -> Nanos {
        let missing = settings.trials.saturating_sub(self.successes);
        let ends = self.under_way.values().map(|at| *at + settings.trial_timeout);
        let mut ends: Vec<_> = ends.filter(|end| *end > now).collect();
        ends.sort_unstable();
        // With one more under way than there are places, as many must end.
        let full = count(ends.len()).checked_sub(u64::from(missing));
        let first = full.and_then(|over| usize::try_from(over).ok());
        first.and_then(|over| ends.get(over)).map_or(now, |end| *end)
    }
}

fn count(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}
