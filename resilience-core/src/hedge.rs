//! When a second attempt is sent although the first has not failed.
//!
//! An answer that takes unusually long to begin is often stuck, and another attempt then answers sooner than the first ([The Tail at Scale](https://research.google/pubs/the-tail-at-scale/)).
//! A hedge is a full request: it is charged to every quota and billed, won or lost.
//! So it is off by default, rare by its own budget, and never sent while the target or a quota is short of breath.

mod samples;

use std::time::Duration;

use thiserror::Error;

use self::samples::Samples;
use crate::backoff::PPM;
use crate::budget::{Budget, BudgetSettings, Withdrawal};
use crate::class::{Class, Phase};
use crate::mistake::Mistakes;
use crate::race::{Race, Sample};
use crate::time::Nanos;

/// Decides about the hedges of all calls to a target, and learns from their races.
///
/// # Order of calls
///
/// 1. [`Hedger::began`] when the first attempt of a call is sent, after [`Race::sent`].
/// 2. [`Hedger::decide`] while the race runs: at once, again at the instant that it names, and after every event.
/// 3. [`Hedger::send`] when the hedge is sent, or [`Hedger::refund`] if it was not.
/// 4. [`Hedger::observe`] with every [`Sample`] that the race hands out, those of cancelled losers above all: without them only quick answers would be seen, and ever more hedges sent.
#[derive(Clone, Debug)]
pub struct Hedger {
    settings: HedgeSettings,
    budget: Budget,
    samples: Samples,
}

impl Hedger {
    /// A hedger that has seen nothing, or everything that is wrong with its settings.
    pub fn new(settings: HedgeSettings) -> Result<Self, Mistakes<HedgeMistake>> {
        Mistakes::none_in(settings.mistakes())?;
        let budget = BudgetSettings::Ratio {
            ratio_ppm: settings.budget_ppm,
            retries_per_sec_min: 0,
            retries_max: settings.saved_max,
            // None is owed before the first call, so that the share holds from the beginning.
            retries_initial: 0,
        };
        let budget = Budget::new(budget).expect("neither the share nor what can be saved is zero");
        Ok(Self { settings, budget, samples: Samples::default() })
    }

    /// The first attempt of a call is sent; it earns its share of a hedge.
    pub fn began(&mut self, now: Nanos) {
        self.budget.began(now);
        self.budget.call_ended();
    }

    /// Whether this race gets a hedge now; a hedge that it gets is paid for.
    pub fn decide(&mut self, race: &Race, hindrance: Option<Hindrance>, now: Nanos) -> Hedge {
        let Some(latest) = race.latest_sent_at().filter(|_| race.is_open()) else {
            return Hedge::Withhold(NoHedge::Over);
        };
        if race.hedges() >= u64::from(self.settings.hedges_max) {
            return Hedge::Withhold(NoHedge::HedgesMax);
        }
        let Some(delay) = self.delay() else { return Hedge::Withhold(NoHedge::Unmeasured) };
        let until = latest + delay;
        if now < until {
            return Hedge::Wait { until };
        }
        if let Some(hindrance) = hindrance {
            return Hedge::Withhold(NoHedge::Hindered(hindrance));
        }
        let slow = Class::Timeout { phase: Phase::FirstToken };
        match self.budget.withdraw(slow, now) {
            Ok(withdrawal) => Hedge::Send(withdrawal),
            Err(_) => Hedge::Withhold(NoHedge::Budget),
        }
    }

    /// The hedge is sent: it enters the race, and this is its place there.
    pub fn send(&mut self, race: &mut Race, withdrawal: Withdrawal, now: Nanos) -> usize {
        // Whatever becomes of it, it stays paid.
        self.budget.ended(Ok(()), Some(withdrawal), now);
        race.sent(now)
    }

    /// The hedge was not sent after all.
    pub fn refund(&mut self, withdrawal: Withdrawal, now: Nanos) {
        self.budget.refund(withdrawal, now);
    }

    /// Learns how long a first token took, or took at least.
    pub fn observe(&mut self, sample: Sample) {
        self.samples.push(sample);
    }

    /// How long after the latest send a hedge is due; `None` as long as too few first tokens were seen.
    pub fn delay(&mut self) -> Option<Duration> {
        match self.settings.delay {
            HedgeDelay::Fixed(delay) => Some(delay),
            HedgeDelay::Quantile { ppm, samples_min, delay_min } => {
                let enough = self.samples.exact() >= u64::from(samples_min);
                let quantile = if enough { self.samples.quantile(ppm) } else { None };
                quantile.map(|quantile| quantile.max(delay_min))
            }
        }
    }
}

/// When hedges are sent, and how many.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct HedgeSettings {
    /// How long the latest attempt of a call must have been without a first token.
    pub delay: HedgeDelay,
    /// The most hedges of one call; whoever wants none says so with [`Policy::hedge`](crate::Policy::hedge).
    pub hedges_max: u32,
    /// The most hedges in proportion to calls, in millionths.
    pub budget_ppm: u32,
    /// The most hedges that can be saved up.
    pub saved_max: u32,
}

impl HedgeSettings {
    /// Everything that is wrong with the settings.
    pub fn mistakes(&self) -> Vec<HedgeMistake> {
        let mut mistakes = Vec::new();
        let mut check = |name, ppm: u32| {
            if ppm == 0 {
                mistakes.push(HedgeMistake::Zero { name });
            } else if u64::from(ppm) > PPM {
                mistakes.push(HedgeMistake::AboveWhole { name, ppm });
            }
        };
        check("budget_ppm", self.budget_ppm);
        if let HedgeDelay::Quantile { ppm, .. } = self.delay {
            check("the quantile", ppm);
        }
        let samples_min = match self.delay {
            HedgeDelay::Fixed(_) => 1,
            HedgeDelay::Quantile { samples_min, .. } => samples_min,
        };
        if usize::try_from(samples_min).unwrap_or(usize::MAX) > samples::SAMPLES_MAX {
            mistakes.push(HedgeMistake::TooManySamples { samples_min });
        }
        for (name, number) in [
            ("hedges_max", self.hedges_max),
            ("samples_min", samples_min),
            ("saved_max", self.saved_max),
        ] {
            if number == 0 {
                mistakes.push(HedgeMistake::Zero { name });
            }
        }
        mistakes
    }
}

impl Default for HedgeSettings {
    /// One hedge a call after the 95th percentile of at least 50 first tokens, for 5 % of calls, ten of them at once.
    ///
    /// Just the slowest 5 % then get a hedge, as the paper proposes; below 50 samples that percentile would be a matter of two or three.
    fn default() -> Self {
        Self {
            delay: HedgeDelay::Quantile {
                ppm: 950_000,
                samples_min: 50,
                // Below that nobody who reads the answer would notice.
                delay_min: Duration::from_millis(100),
            },
            // The second hedge gains far less than the first and costs as much.
            hedges_max: 1,
            // As many as are later than the quantile says; more means that all are late, which a hedge does not mend.
            budget_ppm: 50_000,
            // What two hundred calls earn: enough for a slow moment, too few for a bad hour; a choice of ours.
            saved_max: 10,
        }
    }
}

/// How long to wait for a first token before a hedge.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum HedgeDelay {
    /// So long.
    Fixed(Duration),
    /// As long as most of the latest 512 first tokens took.
    Quantile {
        /// Which share of them, in millionths.
        ppm: u32,
        /// How many must have been seen; at most 512.
        samples_min: u32,
        /// Never less than this.
        delay_min: Duration,
    },
}

/// What a [`Hedger`] decides.
#[derive(Debug, Eq, PartialEq)]
pub enum Hedge {
    /// Send one, now; it is paid for.
    Send(Withdrawal),
    /// It is too early.
    Wait {
        /// When to ask again.
        until: Nanos,
    },
    /// None, unless something changes.
    Withhold(NoHedge),
}

/// Why there is no hedge.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum NoHedge {
    /// Hedges are a small share of calls, and that share is spent.
    Budget,
    /// The call has had as many as it may.
    HedgesMax,
    /// It would be unwise.
    Hindered(Hindrance),
    /// Nothing is under way, or something has won.
    Over,
    /// Too few first tokens were seen to know what is late.
    Unmeasured,
}

/// Why another attempt would be unwise at the moment.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Hindrance {
    /// The target is ill.
    BreakerOpen,
    /// The quota has no room at once.
    LimiterWaits,
    /// The server has asked for a pause.
    Paused,
}

/// What is wrong with [`HedgeSettings`].
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum HedgeMistake {
    /// A share of more than one.
    #[error("{name} of a hedge, {ppm} ppm, is above one million")]
    AboveWhole {
        /// The setting.
        name: &'static str,
        /// Its value.
        ppm: u32,
    },
    /// More samples are needed than are kept.
    #[error("samples_min {samples_min} is more than are kept")]
    TooManySamples {
        /// The setting.
        samples_min: u32,
    },
    /// A setting that makes no sense as nothing.
    #[error("{name} of a hedge is zero")]
    Zero {
        /// The setting.
        name: &'static str,
    },
}
