//! What a run cost, and how much of that arrived.

use mock_server::{bill::Billed, units::Money};

use super::{Attempt, Call};

/// What the attempts of a run were billed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spending {
    /// All of them.
    pub billed: Spent,
    /// Those whose answers were sent whole.
    pub delivered: Spent,
}

/// What some attempts were billed together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    /// How many there were, also those that cost nothing.
    pub attempts: u64,
    /// The tokens that were read for them.
    pub input_tokens: u64,
    /// The tokens that were written for them.
    pub output_tokens: u64,
    /// What the tokens cost, as far as the scenario has a price for their models; none if it has
    /// none at all.
    pub cost: Option<Money>,
    /// How many attempts have tokens without a price.
    pub unpriced: u64,
}

impl Spending {
    /// What the attempts of calls, and those that belong to none, were billed.
    pub fn of(calls: &[Call<'_>], strays: &[Attempt<'_>]) -> Self {
        let mut spending = Self::default();
        for attempt in calls.iter().flat_map(|call| &call.attempts).chain(strays) {
            let billed = attempt.ended.map(|ended| ended.billed).unwrap_or_default();
            spending.billed.add(billed);
            if attempt.is_answered() {
                spending.delivered.add(billed);
            }
        }
        spending
    }

    /// The spendings of several runs together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            billed: self.billed.plus(other.billed),
            delivered: self.delivered.plus(other.delivered),
        }
    }

    /// Whether there is nothing to tell.
    pub fn is_nothing(&self) -> bool {
        self.billed.input_tokens == 0 && self.billed.output_tokens == 0
    }
}

impl Spent {
    fn add(&mut self, billed: Billed) {
        let free = billed.input_tokens == 0 && billed.output_tokens == 0;
        *self = self.plus(Self {
            attempts: 1,
            input_tokens: billed.input_tokens,
            output_tokens: billed.output_tokens,
            cost: billed.cost,
            unpriced: u64::from(!free && billed.cost.is_none()),
        });
    }

    fn plus(self, other: Self) -> Self {
        let cost = match (self.cost, other.cost) {
            (Some(cost), Some(other)) => Some(cost.plus(other)),
            (cost, other) => cost.or(other),
        };
        Self {
            attempts: self.attempts.saturating_add(other.attempts),
            input_tokens: self.input_tokens.saturating_add(other.input_tokens),
            output_tokens: self.output_tokens.saturating_add(other.output_tokens),
            cost,
            unpriced: self.unpriced.saturating_add(other.unpriced),
        }
    }
}
