//! How many retries there may be in proportion to everything else.
//!
//! Retries multiply an outage: three attempts per call are three times the load, just when the target can bear it least.
//! A budget is shared by all calls to a target and bounds what they add together; how often one call may retry is another question.
//! It decides by counting; it neither waits nor knows why a call stops.

use std::time::Duration;

use thiserror::Error;

use crate::backoff::PPM;
use crate::class::Class;
use crate::mistake::Mistakes;
use crate::time::{Nanos, whole_nanos};

/// What the retries of all calls to a target may use up together.
///
/// # Order of calls
///
/// 1. [`Budget::began`] when the first attempt of a call is sent.
/// 2. [`Budget::ended`] for each attempt, with what was paid for it: nothing for a first attempt, the [`Withdrawal`] for a retry.
/// 3. [`Budget::check`] may be asked before a wait; it promises nothing.
/// 4. [`Budget::withdraw`] when a retry *is sent*, not when it is planned: a retry that is given up for a deadline costs nothing.
///    It looks and takes in one step, so whoever holds the lock around it cannot overdraw.
///    [`Budget::refund`] must follow if the send did not happen; otherwise 2 again.
/// 5. [`Budget::call_ended`] once per call that began, after its last attempt ended.
///
/// A re-send that the server has attested not to have touched ([`crate::Retries::AtOnce`]) is free, and hedges have a budget of their own.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Budget {
    settings: BudgetSettings,
    /// In the smallest unit of the mode: billionths of a retry, thousandths of a gRPC token, AWS tokens.
    level: u64,
    at: Nanos,
    /// Calls that began and have not ended.
    active: u64,
    /// Retries that were sent and have not ended.
    retrying: u64,
}

impl Budget {
    /// A budget with its initial balance, or everything that is wrong with its settings.
    pub fn new(settings: BudgetSettings) -> Result<Self, Mistakes<BudgetMistake>> {
        Mistakes::none_in(settings.mistakes())?;
        let level = settings.initial();
        Ok(Self { settings, level, at: Nanos::ZERO, active: 0, retrying: 0 })
    }

    /// A call's first attempt is sent.
    pub fn began(&mut self, now: Nanos) {
        self.advance(now);
        self.active += 1;
        if let BudgetSettings::Ratio { ratio_ppm, .. } = self.settings {
            self.put(u64::from(ratio_ppm) * UNITS_PER_PPM);
        }
    }

    /// Whether a retry after such a failure could be paid at this moment, or when; takes nothing.
    pub fn check(&mut self, class: Class, now: Nanos) -> Result<(), Empty> {
        self.price(class, now).map(drop)
    }

    /// Pays for a retry that is sent now, after such a failure, or says when it could be paid and takes nothing.
    pub fn withdraw(&mut self, class: Class, now: Nanos) -> Result<Withdrawal, Empty> {
        let price = self.price(class, now)?;
        self.level -= price;
        self.retrying += 1;
        Ok(Withdrawal { paid: price })
    }

    /// Takes back a withdrawal whose retry was not sent after all.
    #[expect(clippy::needless_pass_by_value, reason = "by move, so that it is settled once")]
    pub fn refund(&mut self, withdrawal: Withdrawal, now: Nanos) {
        self.advance(now);
        self.retrying = self.retrying.saturating_sub(1);
        self.put(withdrawal.paid);
    }

    /// An attempt is over, and this is what was paid for it.
    pub fn ended(&mut self, result: Result<(), Class>, withdrawal: Option<Withdrawal>, now: Nanos) {
        self.advance(now);
        if withdrawal.is_some() {
            self.retrying = self.retrying.saturating_sub(1);
        }
        match (self.settings, result) {
            (BudgetSettings::Grpc { token_ratio_milli, .. }, Ok(())) => {
                self.put(u64::from(token_ratio_milli));
            }
            (BudgetSettings::Grpc { .. }, Err(class)) if class.retryable() => {
                self.level = self.level.saturating_sub(MILLI);
            }
            (BudgetSettings::Aws { success_gain, .. }, Ok(())) => {
                // A retry that succeeds gets back what it paid, and no more.
                self.put(withdrawal.map_or(u64::from(success_gain), |withdrawal| withdrawal.paid));
            }
            _ => {}
        }
    }

    /// A call that began is over; it no longer counts as active.
    pub fn call_ended(&mut self) {
        self.active = self.active.saturating_sub(1);
    }

    /// Continues under other settings.
    ///
    /// Within a mode the balance keeps its share of the capacity, as [gRPC](https://github.com/grpc/proposal/blob/master/A6-client-retries.md) does it; another mode begins anew.
    /// Calls and retries under way are not forgotten.
    pub fn change(
        &mut self,
        settings: BudgetSettings,
        now: Nanos,
    ) -> Result<(), Mistakes<BudgetMistake>> {
        let fresh = Self::new(settings)?;
        self.advance(now);
        let (old, new) = (self.settings.capacity(), settings.capacity());
        let same = std::mem::discriminant(&self.settings) == std::mem::discriminant(&settings);
        self.level = if same && old > 0 { share(self.level, new, old) } else { fresh.level };
        self.settings = settings;
        Ok(())
    }

    /// The balance, in the unit of the mode.
    ///
    /// Billionths of a retry for [`BudgetSettings::Ratio`], thousandths of a token for [`BudgetSettings::Grpc`], tokens for [`BudgetSettings::Aws`], and zero for [`BudgetSettings::Share`], which keeps no balance.
    pub fn balance(&mut self, now: Nanos) -> u64 {
        self.advance(now);
        self.level
    }

    /// The most that the balance can be, in the unit of [`Budget::balance`].
    pub fn capacity(&self) -> u64 {
        self.settings.capacity()
    }

    /// Calls that began and have not ended, those that wait before a retry included.
    pub const fn active(&self) -> u64 {
        self.active
    }

    /// Retries that were sent and have not ended.
    pub const fn retrying(&self) -> u64 {
        self.retrying
    }

    /// What a retry costs now, if it is allowed.
    fn price(&mut self, class: Class, now: Nanos) -> Result<u64, Empty> {
        self.advance(now);
        let never = Err(Empty { retry_in: None });
        match self.settings {
            BudgetSettings::Grpc { tokens_max_milli, .. } => {
                // Doubled, because half of an odd maximum is no whole number.
                if self.level * 2 > u64::from(tokens_max_milli) { Ok(0) } else { never }
            }
            BudgetSettings::Aws { .. } => {
                let cost = u64::from(self.settings.cost(class));
                if cost <= self.level { Ok(cost) } else { never }
            }
            BudgetSettings::Ratio { retries_per_sec_min, .. } => {
                match (RETRY.saturating_sub(self.level), u64::from(retries_per_sec_min)) {
                    (0, _) => Ok(RETRY),
                    (_, 0) => never,
                    (short, rate) => {
                        let retry_in = Duration::from_nanos(short.div_ceil(rate));
                        Err(Empty { retry_in: Some(retry_in) })
                    }
                }
            }
            BudgetSettings::Share { retries_min, share_ppm } => {
                let most = share(self.active, u64::from(share_ppm), PPM);
                if self.retrying < most.max(u64::from(retries_min)) { Ok(0) } else { never }
            }
        }
    }

    /// Lets in what time has earned; an earlier instant changes nothing.
    fn advance(&mut self, now: Nanos) {
        let Some(elapsed) = now.checked_since(self.at) else { return };
        self.at = now;
        if let BudgetSettings::Ratio { retries_per_sec_min, .. } = self.settings {
            // A retry per second is a unit per nanosecond.
            self.put(whole_nanos(elapsed).saturating_mul(u64::from(retries_per_sec_min)));
        }
    }

    fn put(&mut self, units: u64) {
        self.level = self.level.saturating_add(units).min(self.settings.capacity());
    }
}

/// How a [`Budget`] counts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum BudgetSettings {
    /// The [retry quota of the AWS SDKs](https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html): tokens that retries cost and successes give back.
    Aws {
        /// The most tokens.
        capacity: u32,
        /// The first tokens.
        initial: u32,
        /// What a retry costs.
        retry_cost: u32,
        /// What a retry after a timeout costs.
        timeout_cost: u32,
        /// What a retry after a rate limit costs.
        rate_limited_cost: u32,
        /// What a first attempt that succeeds earns; a retry that succeeds gets its cost back instead.
        success_gain: u32,
    },
    /// [gRPC's retry throttling](https://github.com/grpc/proposal/blob/master/A6-client-retries.md): a retryable failure costs a token, a success earns a part of one, and retries are sent while more than half are left.
    ///
    /// A retry itself costs nothing, so nothing is refunded.
    Grpc {
        /// The most tokens, and the first, in thousandths.
        tokens_max_milli: u32,
        /// What a success earns, in thousandths of a token.
        token_ratio_milli: u32,
    },
    /// A share of the calls, and some per second.
    Ratio {
        /// Retries that a call earns when its first attempt is sent, in millionths.
        ratio_ppm: u32,
        /// Retries that each second earns, so that a client with little traffic can retry too.
        retries_per_sec_min: u32,
        /// The most retries that can be saved up.
        retries_max: u32,
        /// Retries at the start.
        retries_initial: u32,
    },
    /// [Envoy's retry budget](https://www.envoyproxy.io/docs/envoy/latest/api-v3/config/cluster/v3/circuit_breaker.proto): so many retries at the same time, in proportion to the calls under way.
    ///
    /// A call is active from its first attempt to its end, its backoffs included; a retry from its send to its end.
    Share {
        /// So many retries are always allowed at the same time.
        retries_min: u32,
        /// Retries allowed for each active call, in millionths, rounded down over all of them.
        share_ppm: u32,
    },
}

impl BudgetSettings {
    /// The AWS SDKs until 2026: 500 tokens, 5 per retry, 10 after a timeout.
    pub const fn aws_classic() -> Self {
        Self::Aws {
            capacity: 500,
            initial: 500,
            retry_cost: 5,
            timeout_cost: 10,
            rate_limited_cost: 5,
            success_gain: 1,
        }
    }

    /// The AWS SDKs since 2026: 500 tokens, 14 per retry, 5 after a rate limit.
    pub const fn aws_2026() -> Self {
        Self::Aws {
            capacity: 500,
            initial: 500,
            retry_cost: 14,
            timeout_cost: 14,
            rate_limited_cost: 5,
            success_gain: 1,
        }
    }

    /// Everything that is wrong with the settings.
    pub fn mistakes(&self) -> Vec<BudgetMistake> {
        let mut mistakes = Vec::new();
        match *self {
            Self::Grpc { tokens_max_milli, token_ratio_milli } => {
                if tokens_max_milli == 0 {
                    mistakes.push(BudgetMistake::NoCapacity);
                }
                if token_ratio_milli == 0 {
                    mistakes.push(BudgetMistake::NeverRefills);
                }
            }
            Self::Aws {
                capacity, initial, retry_cost, timeout_cost, rate_limited_cost, ..
            } => {
                let costs = [
                    ("retry_cost", retry_cost),
                    ("timeout_cost", timeout_cost),
                    ("rate_limited_cost", rate_limited_cost),
                ];
                for (name, cost) in costs {
                    if cost > capacity {
                        mistakes.push(BudgetMistake::CostAboveCapacity { name, cost, capacity });
                    }
                }
                if initial > capacity {
                    mistakes.push(BudgetMistake::InitialAboveCapacity { initial, capacity });
                }
            }
            Self::Ratio { ratio_ppm, retries_per_sec_min, retries_max, retries_initial } => {
                if retries_max == 0 {
                    mistakes.push(BudgetMistake::NoCapacity);
                }
                if ratio_ppm == 0 && retries_per_sec_min == 0 {
                    mistakes.push(BudgetMistake::NeverRefills);
                }
                if retries_initial > retries_max {
                    mistakes.push(BudgetMistake::InitialAboveCapacity {
                        initial: retries_initial,
                        capacity: retries_max,
                    });
                }
            }
            Self::Share { retries_min, share_ppm } => {
                if retries_min == 0 && share_ppm == 0 {
                    mistakes.push(BudgetMistake::NoCapacity);
                }
            }
        }
        mistakes
    }

    fn capacity(&self) -> u64 {
        match *self {
            Self::Grpc { tokens_max_milli, .. } => u64::from(tokens_max_milli),
            Self::Aws { capacity, .. } => u64::from(capacity),
            Self::Ratio { retries_max, .. } => u64::from(retries_max) * RETRY,
            Self::Share { .. } => 0,
        }
    }

    fn initial(&self) -> u64 {
        match *self {
            Self::Aws { initial, .. } => u64::from(initial),
            Self::Ratio { retries_initial, .. } => u64::from(retries_initial) * RETRY,
            Self::Grpc { .. } | Self::Share { .. } => self.capacity(),
        }
    }

    /// What a retry after such a failure costs in tokens of a [`BudgetSettings::Aws`].
    const fn cost(&self, class: Class) -> u32 {
        match *self {
            Self::Aws { retry_cost, timeout_cost, rate_limited_cost, .. } => match class {
                Class::RampLimited | Class::RateLimited { .. } => rate_limited_cost,
                Class::Timeout { .. } => timeout_cost,
                _ => retry_cost,
            },
            Self::Grpc { .. } | Self::Ratio { .. } | Self::Share { .. } => 0,
        }
    }
}

impl Default for BudgetSettings {
    /// A retry for every ten calls and one per second, up to a hundred.
    ///
    /// Ten percent is the budget of [the SRE book](https://sre.google/sre-book/handling-overload/), a hundred what AWS's 500 tokens are worth.
    /// It starts full: a process that has just begun must be able to outlast an outage too.
    fn default() -> Self {
        Self::Ratio {
            ratio_ppm: 100_000,
            retries_per_sec_min: 1,
            retries_max: 100,
            retries_initial: 100,
        }
    }
}

/// A retry that was paid for; settled by [`Budget::ended`], or by [`Budget::refund`] if it was not sent.
///
/// Dropped, it stays paid, and under [`BudgetSettings::Share`] its retry counts as under way for ever.
#[derive(Debug, Eq, PartialEq)]
#[must_use = "a retry that was paid for must be settled"]
pub struct Withdrawal {
    paid: u64,
}

/// The budget cannot pay for a retry.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("the retry budget is spent")]
pub struct Empty {
    /// How long until time alone has earned a retry; `None` if only the end of other attempts can help.
    pub retry_in: Option<Duration>,
}

/// What is wrong with [`BudgetSettings`].
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum BudgetMistake {
    /// A retry that even a full budget cannot pay for would never be sent.
    #[error("{name} {cost} is above the capacity of {capacity}")]
    CostAboveCapacity {
        /// The cost.
        name: &'static str,
        /// Its tokens.
        cost: u32,
        /// The most tokens there can be.
        capacity: u32,
    },
    /// More at the start than there can be.
    #[error("the budget begins with {initial}, above its capacity of {capacity}")]
    InitialAboveCapacity {
        /// At the start.
        initial: u32,
        /// At most.
        capacity: u32,
    },
    /// What is spent never comes back.
    #[error("nothing refills the retry budget")]
    NeverRefills,
    /// No retry would ever be allowed.
    #[error("the retry budget has no room for a retry")]
    NoCapacity,
}

/// `of · numerator / denominator`, rounded down.
fn share(of: u64, numerator: u64, denominator: u64) -> u64 {
    let share = u128::from(of) * u128::from(numerator) / u128::from(denominator);
    u64::try_from(share).unwrap_or(u64::MAX)
}

/// One retry, in the units of a ratio: so small that a millionth of a retry and a retry per second are whole numbers.
const RETRY: u64 = 1_000_000_000;

/// A millionth of a retry.
const UNITS_PER_PPM: u64 = RETRY / PPM;

/// One gRPC token.
const MILLI: u64 = 1_000;
