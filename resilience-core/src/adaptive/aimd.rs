//! How many attempts may be under way at a time.

use std::time::Duration;

use thiserror::Error;

use crate::backoff::PPM;
use crate::class::Class;
use crate::mistake::Mistakes;
use crate::time::Nanos;

/// A limit on concurrency that grows by addition and shrinks by multiplication ([TCP's congestion avoidance](https://www.rfc-editor.org/rfc/rfc5681)).
///
/// It only says the limit; who keeps it, acquires before a send and releases when the answer has ended.
/// A lower limit takes nothing from those that are under way.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Aimd {
    settings: AimdSettings,
    limit: u32,
    /// Successes in the current window; it is clean while none of its attempts is refused.
    clean: u32,
    decreased_at: Option<Nanos>,
}

impl Aimd {
    /// The initial limit, or everything that is wrong with the settings.
    pub fn new(settings: AimdSettings) -> Result<Self, Mistakes<AimdMistake>> {
        Mistakes::none_in(settings.mistakes())?;
        Ok(Self { settings, limit: settings.limit_initial, clean: 0, decreased_at: None })
    }

    /// The most attempts that may be under way.
    pub const fn limit(&self) -> u32 {
        self.limit
    }

    /// An attempt that was sent at `sent_at` is over; `in_flight` counts the attempts under way, this one included.
    ///
    /// A window is as many successes as the limit, each while at least half of the limit was in use: a limit that nobody needs proves nothing and does not grow.
    /// A refusal of what was sent before the last decrease is old news, as is one within [`AimdSettings::epoch`] of it.
    pub fn ended(&mut self, result: Result<(), Class>, in_flight: u32, sent_at: Nanos, now: Nanos) {
        match result {
            Ok(()) => {
                if in_flight >= self.limit.div_ceil(2) {
                    self.clean = self.clean.saturating_add(1);
                }
                if self.clean >= self.limit {
                    self.clean = 0;
                    self.limit =
                        self.limit.saturating_add(self.settings.add).min(self.settings.limit_max);
                }
            }
            Err(class) if class.slows_down() => {
                self.clean = 0;
                let news = self
                    .decreased_at
                    .is_none_or(|at| sent_at >= at && now.since(at) >= self.settings.epoch);
                if news {
                    self.decreased_at = Some(now);
                    self.limit = self.settings.decreased(self.limit);
                }
            }
            Err(_) => {}
        }
    }
}

/// Between which limits an [`Aimd`] moves, and how fast.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct AimdSettings {
    /// The lowest limit.
    pub limit_min: u32,
    /// The highest.
    pub limit_max: u32,
    /// The first.
    pub limit_initial: u32,
    /// What a clean window adds.
    pub add: u32,
    /// What a refusal leaves, in millionths of the limit, rounded up, and always less than there was.
    pub beta_ppm: u32,
    /// The shortest time between two decreases.
    pub epoch: Duration,
}

impl AimdSettings {
    /// Everything that is wrong with the settings.
    pub fn mistakes(&self) -> Vec<AimdMistake> {
        let Self { limit_min, limit_max, limit_initial, add, beta_ppm, epoch: _ } = *self;
        let mut mistakes = Vec::new();
        if u64::from(beta_ppm) >= PPM {
            mistakes.push(AimdMistake::NoDecrease { beta_ppm });
        }
        if limit_min > limit_initial || limit_initial > limit_max {
            mistakes.push(AimdMistake::OutOfOrder { limit_min, limit_initial, limit_max });
        }
        for (name, number) in [("add", add), ("limit_min", limit_min)] {
            if number == 0 {
                mistakes.push(AimdMistake::Zero { name });
            }
        }
        mistakes
    }

    fn decreased(&self, limit: u32) -> u32 {
        let share = (u64::from(limit) * u64::from(self.beta_ppm)).div_ceil(PPM);
        // Rounding up alone would leave a small limit where it is.
        let share = u32::try_from(share).unwrap_or(limit).min(limit - 1);
        share.max(self.limit_min)
    }
}

impl Default for AimdSettings {
    /// From 4 to 64, beginning at 8; one more after each clean window, 0.7 after a refusal, at most one decrease a second.
    ///
    /// The range is a choice of ours; 0.7 is the factor of [CUBIC](https://www.rfc-editor.org/rfc/rfc9438).
    fn default() -> Self {
        Self {
            limit_min: 4,
            limit_max: 64,
            limit_initial: 8,
            add: 1,
            beta_ppm: 700_000,
            epoch: Duration::from_secs(1),
        }
    }
}

/// What is wrong with [`AimdSettings`].
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum AimdMistake {
    /// A refusal would not lower the limit.
    #[error("beta_ppm {beta_ppm} does not lower the limit")]
    NoDecrease {
        /// The factor.
        beta_ppm: u32,
    },
    /// The limits are not in order.
    #[error("the concurrency limits {limit_min}, {limit_initial} and {limit_max} are not in order")]
    OutOfOrder {
        /// The lowest.
        limit_min: u32,
        /// The first.
        limit_initial: u32,
        /// The highest.
        limit_max: u32,
    },
    /// A setting that makes no sense as nothing.
    #[error("{name} is zero")]
    Zero {
        /// The setting.
        name: &'static str,
    },
}
