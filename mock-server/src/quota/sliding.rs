//! A limit of which every span of one period may hold no more than so many.

use std::{collections::VecDeque, time::Duration};

/// What was taken in the last period, and when.
#[derive(Clone, Debug)]
pub(super) struct Sliding {
    limit: u64,
    period: Duration,
    /// Oldest first, no two of the same time.
    log: VecDeque<(Duration, u128)>,
    used: u128,
    at: Duration,
}

impl Sliding {
    /// A limit of which nothing is used.
    pub(super) fn new(limit: u64, period: Duration, now: Duration) -> Self {
        Self { limit, period, log: VecDeque::new(), used: 0, at: now }
    }

    /// Lets time go on; it never goes back.
    pub(super) fn advance(&mut self, now: Duration) {
        self.at = self.at.max(now);
        while let Some(&(taken, amount)) = self.log.front()
            && taken.saturating_add(self.period) <= self.at
        {
            self.used = self.used.saturating_sub(amount);
            self.log.pop_front();
        }
    }

    /// How long until so many are left, if nothing else comes; at most as many as the limit.
    pub(super) fn wait(&self, need: u64) -> Duration {
        let room = u128::from(self.limit.saturating_sub(need));
        let mut used = self.used;
        if used <= room {
            return Duration::ZERO;
        }
        let freed = self.log.iter().find(|(_, amount)| {
            used = used.saturating_sub(*amount);
            used <= room
        });
        // With everything freed there is room for whatever the limit lets through.
        let taken = freed.map_or(self.at, |(taken, _)| *taken);
        taken.saturating_add(self.period).saturating_sub(self.at)
    }

    /// Takes so many, also when there are fewer.
    pub(super) fn charge(&mut self, amount: u64) {
        if amount == 0 {
            return;
        }
        let amount = u128::from(amount);
        self.used = self.used.saturating_add(amount);
        match self.log.back_mut() {
            Some((taken, same)) if *taken == self.at => *same = same.saturating_add(amount),
            _ => self.log.push_back((self.at, amount)),
        }
    }

    /// Puts so many back that were taken at a time, unless that is longer ago than the period.
    pub(super) fn refund(&mut self, amount: u64, taken: Duration) {
        let Ok(index) = self.log.binary_search_by_key(&taken, |(taken, _)| *taken) else { return };
        let Some((_, held)) = self.log.get_mut(index) else { return };
        let back = u128::from(amount).min(*held);
        *held -= back;
        self.used = self.used.saturating_sub(back);
    }

    /// How many are left.
    pub(super) fn remaining(&self) -> u64 {
        self.limit.saturating_sub(self.used())
    }

    /// How many the last period used.
    pub(super) fn used(&self) -> u64 {
        u64::try_from(self.used).unwrap_or(u64::MAX)
    }

    /// How long until nothing is used.
    pub(super) fn reset(&self) -> Duration {
        let last = self.log.iter().rev().find(|(_, amount)| *amount > 0);
        last.map_or(Duration::ZERO, |(taken, _)| {
            taken.saturating_add(self.period).saturating_sub(self.at)
        })
    }
}
