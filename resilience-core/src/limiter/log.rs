//! What passed in the last period, one entry each: the strict form for small limits.

use std::collections::VecDeque;

use crate::time::Nanos;

/// A sliding window that remembers each charge until it is a period old.
///
/// No window of a period, open at its end, ever holds more than the limit, and nothing of the limit is lost to that promise.
/// A strict bucket keeps the same promise in constant space, at the price of its burst.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Log {
    tokens: u64,
    /// How long a charge counts, in nanoseconds.
    span: u64,
    charges: VecDeque<(Nanos, u64)>,
    used: u64,
    at: Nanos,
}

impl Log {
    pub(super) const fn new(tokens: u64, span: u64) -> Self {
        Self { tokens, span, charges: VecDeque::new(), used: 0, at: Nanos::ZERO }
    }

    /// Forgets what is a period old at `now`; an earlier instant changes nothing.
    pub(super) fn advance(&mut self, now: Nanos) {
        self.at = self.at.max(now);
        while let Some((at, cost)) = self.charges.front() {
            if self.ends(*at) > self.at {
                break;
            }
            self.used -= cost;
            self.charges.pop_front();
        }
    }

    pub(super) fn has(&self, cost: u64) -> bool {
        self.used.saturating_add(cost) <= self.tokens
    }

    /// The earliest instant at which `cost` fits; never, if it is above the limit.
    pub(super) fn ready_at(&self, cost: u64) -> Nanos {
        if cost > self.tokens {
            return Nanos::MAX;
        }
        let mut excess = self.used.saturating_add(cost).saturating_sub(self.tokens);
        let mut ready_at = self.at;
        for (at, cost) in &self.charges {
            if excess == 0 {
                break;
            }
            excess = excess.saturating_sub(*cost);
            ready_at = self.ends(*at);
        }
        ready_at
    }

    /// Charges `cost`, whether it fits or not.
    pub(super) fn take(&mut self, cost: u64) {
        // A cost beyond all bounds could not be summed; the limit is far below.
        let cost = cost.min(COST_MAX - self.used.min(COST_MAX));
        if cost == 0 {
            return;
        }
        self.used += cost;
        match self.charges.back_mut() {
            Some((at, last)) if *at == self.at => *last += cost,
            _ => self.charges.push_back((self.at, cost)),
        }
        if self.charges.len() > ENTRIES_MAX {
            // Two become one that counts until the later of them ends: too long, never too short.
            let (_, oldest) = self.charges.pop_front().expect("there are more than a few");
            self.charges.front_mut().expect("there are more than a few").1 += oldest;
        }
    }

    /// Takes a charge back, as far as it still counts; one whose instant is not known is looked for from the oldest on, which frees nothing too early.
    pub(super) fn give_back(&mut self, cost: u64, charged_at: Option<Nanos>) {
        let mut left = cost;
        for (at, charged) in &mut self.charges {
            if charged_at.is_none_or(|charged_at| charged_at == *at) {
                let taken = left.min(*charged);
                *charged -= taken;
                self.used -= taken;
                left -= taken;
            }
        }
        self.charges.retain(|(_, charged)| *charged > 0);
    }

    /// Leaves room for no more than so many tokens.
    pub(super) fn tighten(&mut self, tokens: u64) {
        self.take(self.available().saturating_sub(tokens));
    }

    pub(super) const fn set_tokens(&mut self, tokens: u64) {
        self.tokens = tokens;
    }

    pub(super) const fn set_span(&mut self, span: u64) {
        self.span = span;
    }

    pub(super) const fn at(&self) -> Nanos {
        self.at
    }

    pub(super) const fn available(&self) -> u64 {
        self.tokens.saturating_sub(self.used)
    }

    fn ends(&self, at: Nanos) -> Nanos {
        Nanos::new(at.get().saturating_add(self.span))
    }
}

/// The largest limit of which each charge is remembered; above it, a strict limit is a bucket.
pub(super) const TOKENS_LOGGED_MAX: u64 = 64;

/// More entries than this are merged; only a limit that was raised later can have so many.
const ENTRIES_MAX: usize = 128;

/// What a log can sum up without overflow.
const COST_MAX: u64 = u64::MAX / 2;
