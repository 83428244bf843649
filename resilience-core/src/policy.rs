//! What a client may do about failures, as plain numbers.

use std::time::Duration;

use thiserror::Error;

use crate::adaptive::aimd::{AimdMistake, AimdSettings};
use crate::adaptive::shed::{ShedMistake, ShedSettings};
use crate::backoff::{Backoff, PPM};
use crate::breaker::{BreakerMistake, BreakerSettings};
use crate::budget::{BudgetMistake, BudgetSettings};
use crate::draw::scale;
use crate::hedge::{HedgeMistake, HedgeSettings};
use crate::limiter::{Quota, QuotaMistake};
use crate::target::Target;
use crate::time::whole_nanos;

/// Everything that a client decides by.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Policy {
    /// How one target is asked again.
    pub retry: Retry,
    /// How long each phase may take.
    pub timeouts: Timeouts,
    /// When another target is asked instead.
    pub fallback: Fallback,
    /// What the retries of all calls may add together; `None` for no bound beside each call's own.
    pub budget: Option<BudgetSettings>,
    /// When a target is too ill to be asked at all; `None` to find out anew with each call.
    pub breaker: Option<BreakerSettings>,
    /// How many attempts may be under way on one target at a time, learnt from its refusals; `None` for as many as its quota says.
    pub adaptive_concurrency: Option<AimdSettings>,
    /// Whether each target's rate follows its refusals, as in the AWS SDKs' adaptive mode.
    pub adaptive_rate: bool,
    /// When a target refuses so much that some attempts are not even sent; `None` for never.
    pub shed: Option<ShedSettings>,
    /// When a second attempt is sent beside one that is late; `None` for never.
    pub hedge: Option<HedgeSettings>,
    /// The most attempts of one call, over all targets.
    pub attempts_max: u32,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            retry: Retry::default(),
            timeouts: Timeouts::default(),
            fallback: Fallback::default(),
            budget: Some(BudgetSettings::default()),
            breaker: Some(BreakerSettings::default()),
            // Quotas say what is admitted; these are for those who don't know it.
            adaptive_concurrency: None,
            adaptive_rate: false,
            shed: None,
            // A hedge is billed whether it wins or not: whoever wants it says so.
            hedge: None,
            // Three targets with all their retries.
            attempts_max: 18,
        }
    }
}

impl Policy {
    /// Everything that is wrong with it, not only the first thing.
    pub fn mistakes(&self) -> Vec<PolicyMistake> {
        let mut mistakes = Vec::new();
        let Backoff { base, cap, multiplier_ppm, jitter: _ } = self.retry.backoff;
        if base > cap {
            mistakes.push(PolicyMistake::BaseAboveCap { base, cap });
        }
        if multiplier_ppm < PPM {
            mistakes.push(PolicyMistake::MultiplierBelowOne { multiplier_ppm });
        }
        if self.retry.spread.least > self.retry.spread.most {
            let Spread { least, most, .. } = self.retry.spread;
            mistakes.push(PolicyMistake::SpreadReversed { least, most });
        }
        let budget = self.budget.iter().flat_map(BudgetSettings::mistakes);
        mistakes.extend(budget.map(PolicyMistake::Budget));
        let breaker = self.breaker.iter().flat_map(BreakerSettings::mistakes);
        mistakes.extend(breaker.map(PolicyMistake::Breaker));
        let hedge = self.hedge.iter().flat_map(HedgeSettings::mistakes);
        mistakes.extend(hedge.map(PolicyMistake::Hedge));
        let concurrency = self.adaptive_concurrency.iter().flat_map(AimdSettings::mistakes);
        mistakes.extend(concurrency.map(PolicyMistake::Concurrency));
        let shed = self.shed.iter().flat_map(ShedSettings::mistakes);
        mistakes.extend(shed.map(PolicyMistake::Shed));
        if self.attempts_max == 0 {
            mistakes.push(PolicyMistake::NoAttempts);
        }
        let Timeouts { connect, first_token, idle, attempt, attempt_min, queue: _, call } =
            self.timeouts;
        if attempt_min > attempt.min(call) {
            mistakes
                .push(PolicyMistake::AttemptMinTooLong { attempt_min, most: attempt.min(call) });
        }
        for (name, span) in [
            ("connect", connect),
            ("first_token", first_token),
            ("idle", idle),
            ("attempt", attempt),
            ("call", call),
        ] {
            if span.is_zero() {
                mistakes.push(PolicyMistake::ZeroTimeout { name });
            }
        }
        mistakes
    }
}

/// How one target is asked again.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Retry {
    /// The most retries on one target; attempts are one more.
    pub retries_max: u32,
    /// How long to wait when the server does not say.
    pub backoff: Backoff,
    /// The longest hint that is waited out; beyond it the call moves on or ends, but never comes back early.
    pub hint_max: Duration,
    /// How far beyond a hint a wait reaches.
    pub spread: Spread,
}

impl Retry {
    /// What the official OpenAI and Anthropic SDKs do: two retries, from 0.5 s to 8 s.
    pub fn sdk() -> Self {
        Self { retries_max: 2, backoff: Backoff::sdk(), ..Self::default() }
    }
}

impl Default for Retry {
    /// Five retries from 1 s to 60 s, and hints of up to 60 s, so that an outage of a minute is outlasted.
    fn default() -> Self {
        Self {
            retries_max: 5,
            backoff: Backoff::default(),
            hint_max: Duration::from_secs(60),
            spread: Spread::default(),
        }
    }
}

/// How far beyond a hint a wait may reach, so that those who got the same hint do not come back as one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Spread {
    /// The hint is divided by this; zero means no share of it.
    pub divisor: u32,
    /// Never less than this.
    pub least: Duration,
    /// Never more than this.
    pub most: Duration,
}

impl Spread {
    /// No spread at all: every wait ends with its hint.
    pub const NONE: Self = Self { divisor: 0, least: Duration::ZERO, most: Duration::ZERO };

    /// The widest that a wait on `hint` reaches beyond it.
    pub fn of(&self, hint: Duration) -> Duration {
        let share = hint.checked_div(self.divisor).unwrap_or_default();
        share.max(self.least).min(self.most)
    }

    /// How far beyond `hint` this draw reaches.
    pub fn draw(&self, hint: Duration, draw: u64) -> Duration {
        Duration::from_nanos(scale(draw, whole_nanos(self.of(hint))))
    }
}

impl Default for Spread {
    /// A tenth, between 100 ms and 5 s; a choice of ours, wide enough for some hundred clients on one key.
    fn default() -> Self {
        Self { divisor: 10, least: Duration::from_millis(100), most: Duration::from_secs(5) }
    }
}

/// How long each phase may take.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Timeouts {
    /// To get a connection.
    pub connect: Duration,
    /// From the connection to the first content of a stream.
    pub first_token: Duration,
    /// Between two pieces of a stream.
    pub idle: Duration,
    /// One attempt as a whole; for a stream, until its first content has reached the caller.
    pub attempt: Duration,
    /// What an attempt needs at the least: none is begun with less time left to the call.
    pub attempt_min: Duration,
    /// How long an attempt may wait in the line of a target's quota: whoever would wait longer does not join it, and the target counts as busy.
    ///
    /// [`Duration::MAX`] for as long as the call has time; zero to take what is free at once, or nothing.
    pub queue: Duration,
    /// The call as a whole, with its waits and all its targets.
    pub call: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            // Room for a lost packet or two, each of which costs a second or more to send again.
            connect: Duration::from_secs(5),
            // A model that reasons may think that long before its first word; a choice of ours.
            first_token: Duration::from_secs(60),
            // A model that has begun to speak does not stop for long; a choice of ours.
            idle: Duration::from_secs(30),
            attempt: ATTEMPT_TIMEOUT,
            // Nothing is known about how fast a target can be.
            attempt_min: Duration::ZERO,
            // A long line is no failure; whoever is in a hurry says so.
            queue: Duration::MAX,
            // What the official SDKs of OpenAI and Anthropic give one request, here with all its retries.
            call: Duration::from_secs(600),
        }
    }
}

/// When another target is asked instead.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Fallback {
    /// The longest wait for a target while another one is ready.
    pub wait_max: Duration,
    /// How long a target rests after an outage has used up a call's retries.
    ///
    /// A target without alternatives never rests for an outage: its retries keep their own pace.
    pub cooldown: Duration,
    /// How long the targets of a refused or spent key rest while others are there.
    pub cooldown_credential: Duration,
    /// Whether content that one target will not deal with is offered to the next.
    ///
    /// Off by default: what one provider's policy forbids should not reach another by accident.
    pub on_content_policy: bool,
}

impl Default for Fallback {
    fn default() -> Self {
        Self {
            // A short rate limit is cheaper than another model's answer; a choice of ours.
            wait_max: Duration::from_secs(5),
            // Half of what a call's own retries outlast, so that a target that is well again is soon found out.
            cooldown: Duration::from_secs(30),
            // Somebody has to pay a bill or change a key, which takes minutes.
            cooldown_credential: Duration::from_secs(300),
            on_content_policy: false,
        }
    }
}

/// What is wrong with a [`Policy`], or with the targets that it is to act on.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum PolicyMistake {
    /// No attempt would ever be begun.
    #[error("an attempt needs {attempt_min:?}, and may take no longer than {most:?}")]
    AttemptMinTooLong {
        /// What an attempt needs.
        attempt_min: Duration,
        /// What it may take.
        most: Duration,
    },
    /// The first delay is longer than the longest.
    #[error("backoff base {base:?} is longer than its cap {cap:?}")]
    BaseAboveCap {
        /// The base.
        base: Duration,
        /// The cap.
        cap: Duration,
    },
    /// The breaker makes no sense.
    #[error("the breaker cannot be built: {0}")]
    Breaker(BreakerMistake),
    /// The retry budget makes no sense.
    #[error("the retry budget cannot be kept: {0}")]
    Budget(BudgetMistake),
    /// The adaptive limit on concurrency makes no sense.
    #[error("the concurrency cannot adapt: {0}")]
    Concurrency(AimdMistake),
    /// Two targets could not be told apart.
    #[error("two targets are called `{name}`")]
    DuplicateTarget {
        /// The name.
        name: String,
    },
    /// The hedges make no sense.
    #[error("hedges cannot be sent: {0}")]
    Hedge(HedgeMistake),
    /// Delays would shrink from retry to retry.
    #[error("backoff multiplier {multiplier_ppm} ppm is below one")]
    MultiplierBelowOne {
        /// The multiplier.
        multiplier_ppm: u64,
    },
    /// No attempt is allowed.
    #[error("attempts_max is 0, so nothing would ever be sent")]
    NoAttempts,
    /// There is nowhere to send anything.
    #[error("there is no target")]
    NoTargets,
    /// A target's quota makes no sense.
    #[error("the quota of `{target}` cannot be kept: {mistake}")]
    Quota {
        /// The target.
        target: String,
        /// What is wrong with it.
        mistake: QuotaMistake,
    },
    /// The shedder makes no sense.
    #[error("attempts cannot be shed: {0}")]
    Shed(ShedMistake),
    /// The spread has its ends reversed.
    #[error("the spread is at least {least:?} but at most {most:?}")]
    SpreadReversed {
        /// The lower end.
        least: Duration,
        /// The upper end.
        most: Duration,
    },
    /// The answer and the buffer leave no room for a conversation.
    #[error("the window of `{target}` has no room beside its output and buffer")]
    WindowTooSmall {
        /// The target.
        target: String,
    },
    /// A phase would be over before it began.
    #[error("the {name} timeout is zero")]
    ZeroTimeout {
        /// The phase.
        name: &'static str,
    },
}

/// What is wrong with a list of targets.
pub(crate) fn target_mistakes(targets: &[Target]) -> Vec<PolicyMistake> {
    let mut mistakes = Vec::new();
    if targets.is_empty() {
        mistakes.push(PolicyMistake::NoTargets);
    }
    for (index, target) in targets.iter().enumerate() {
        if targets[..index].iter().any(|other| other.name == target.name) {
            mistakes.push(PolicyMistake::DuplicateTarget { name: target.name.clone() });
        }
        if target.window.budget() == 0 {
            mistakes.push(PolicyMistake::WindowTooSmall { target: target.name.clone() });
        }
        let quota = target.quota.iter().flat_map(Quota::mistakes);
        mistakes.extend(
            quota.map(|mistake| PolicyMistake::Quota { target: target.name.clone(), mistake }),
        );
    }
    mistakes
}

/// How long an attempt may take by default: a long answer at some twenty tokens a second; a choice of ours.
///
/// Whatever must outlast an attempt is as long: the window of a shedder, and the trials of a breaker.
pub(crate) const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(120);
