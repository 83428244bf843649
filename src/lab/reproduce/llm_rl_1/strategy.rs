//! What clients do: when they send, and when they send again.

use std::time::Duration;

use resilience_core::{Backoff, BudgetSettings, Jitter, parts::Budget};

use super::{
    constants::{Constants, RetryConstants},
    gate::Gate,
};

/// One way of behaving, by its name in exports.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Strategy {
    pub(super) name: &'static str,
    retries: Option<Retries>,
    passage: Passage,
}

/// How long a retry waits.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Retries {
    Decorrelated,
    Equal,
    Exponential,
    Fixed,
    Full,
    FullAfterHint,
    Sdk,
}

/// What attempts or retries must pass.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Passage {
    Budget,
    Free,
    Limiter { split: bool, patient: bool, careful: bool },
    Throttle,
}

/// The delays of retries.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pause {
    backoff: Backoff,
    hint: Hint,
}

/// What is done with a Retry-After.
#[derive(Clone, Copy, Debug)]
enum Hint {
    /// The drawn delay comes on top of it.
    Added,
    Ignored,
    /// It is obeyed to the second, if it is not longer than this.
    Obeyed(Duration),
}

impl Strategy {
    /// How its retries wait; none if there are no retries.
    pub(super) fn pause(&self, constants: &RetryConstants) -> Option<Pause> {
        let RetryConstants { fixed, base, cap, sdk_base, sdk_cap, hint } = *constants;
        let drawn = |jitter| Backoff { base, cap, jitter, ..Backoff::default() };
        let ignoring = |backoff| Pause { backoff, hint: Hint::Ignored };
        Some(match self.retries? {
            Retries::Decorrelated => ignoring(drawn(Jitter::Decorrelated)),
            Retries::Equal => ignoring(drawn(Jitter::Equal)),
            Retries::Exponential => ignoring(drawn(Jitter::None)),
            Retries::Fixed => ignoring(Backoff::fixed(fixed)),
            Retries::Full => ignoring(drawn(Jitter::Full)),
            Retries::FullAfterHint => Pause { backoff: drawn(Jitter::Full), hint: Hint::Added },
            Retries::Sdk => Pause {
                backoff: Backoff { base: sdk_base, cap: sdk_cap, ..Backoff::sdk() },
                hint: Hint::Obeyed(hint),
            },
        })
    }

    /// What its attempts pass before they leave.
    pub(super) fn gate(&self, constants: &Constants) -> Gate {
        match self.passage {
            Passage::Budget | Passage::Free => Gate::Open,
            Passage::Limiter { split, patient, careful } => {
                Gate::limiters(constants, split, patient, careful)
            }
            Passage::Throttle => Gate::throttles(constants),
        }
    }

    /// A retry budget for each client, or none.
    pub(super) fn budgets(&self, constants: &Constants) -> Vec<Budget> {
        if self.passage != Passage::Budget {
            return Vec::new();
        }
        let budget = Budget::new(BudgetSettings::Ratio {
            ratio_ppm: constants.budget.ratio_ppm,
            retries_per_sec_min: 0,
            retries_max: constants.budget.capacity,
            retries_initial: constants.budget.initial,
        });
        let budget = budget.expect("the parameters' ranges are narrower than the budget's");
        (0..constants.clients).map(|_| budget.clone()).collect()
    }
}

impl Pause {
    /// How long to wait before the retry-th retry; `previous` is the delay before the last one.
    pub(super) fn delay(
        &self,
        retry: u32,
        previous: Option<Duration>,
        hint: Option<Duration>,
        draw: u64,
    ) -> Duration {
        let drawn = self.backoff.delay(retry, previous, draw);
        match (self.hint, hint) {
            (Hint::Added, Some(hint)) => hint + drawn,
            (Hint::Obeyed(most), Some(hint)) if !hint.is_zero() && hint <= most => hint,
            _ => drawn,
        }
    }
}

const fn strategy(name: &'static str, retries: Retries, passage: Passage) -> Strategy {
    Strategy { name, retries: Some(retries), passage }
}

const fn limiter(name: &'static str, split: bool, patient: bool, careful: bool) -> Strategy {
    strategy(name, Retries::Full, Passage::Limiter { split, patient, careful })
}

/// All of them, in the order of their numbers.
pub(super) const STRATEGIES: [Strategy; 14] = [
    Strategy { name: "none", retries: None, passage: Passage::Free },
    strategy("fixed", Retries::Fixed, Passage::Free),
    strategy("expo", Retries::Exponential, Passage::Free),
    strategy("full", Retries::Full, Passage::Free),
    strategy("equal", Retries::Equal, Passage::Free),
    strategy("decorr", Retries::Decorrelated, Passage::Free),
    strategy("full_ra", Retries::FullAfterHint, Passage::Free),
    strategy("sdk_ra", Retries::Sdk, Passage::Free),
    limiter("limiter_shared_w10", false, false, false),
    limiter("limiter_split_w10", true, false, false),
    limiter("limiter_naive", false, true, false),
    limiter("limiter_shared_w10_eta095", false, false, true),
    strategy("budget10", Retries::Full, Passage::Budget),
    strategy("sre_k2", Retries::Full, Passage::Throttle),
];
