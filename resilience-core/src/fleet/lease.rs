//! Units that this member may spend without asking, until they lapse.

use std::collections::VecDeque;
use std::time::Duration;

use crate::time::Nanos;

/// What was granted at once, and until when it may be used.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Lease {
    /// Tokens left of each dimension.
    pub(crate) left: Vec<u64>,
    /// The first instant at which it may no longer be used.
    pub(crate) lapses_at: Nanos,
}

/// All leases of a member.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Purse {
    leases: VecDeque<Lease>,
}

impl Purse {
    /// Adds what was granted in answer to a question asked at `asked_at`.
    ///
    /// The server granted it later than that, so it lapses here no later than it does there.
    pub(crate) fn put(&mut self, tokens: Vec<u64>, asked_at: Nanos, ttl: Duration) {
        self.leases.push_back(Lease { left: tokens, lapses_at: asked_at + ttl });
    }

    /// Takes `cost` if all dimensions have it, the units that lapse first before the others; otherwise takes nothing.
    pub(crate) fn spend(&mut self, cost: &[u64], now: Nanos) -> bool {
        self.leases.retain(|lease| now < lease.lapses_at);
        let covered = cost.iter().enumerate().all(|(dimension, cost)| {
            let left = self.leases.iter().map(|lease| lease.left[dimension]);
            left.fold(0, u64::saturating_add) >= *cost
        });
        if !covered {
            return false;
        }
        for (dimension, cost) in cost.iter().enumerate() {
            let mut due = *cost;
            for lease in &mut self.leases {
                let part = due.min(lease.left[dimension]);
                lease.left[dimension] -= part;
                due -= part;
            }
        }
        self.leases.retain(|lease| lease.left.iter().any(|left| *left > 0));
        true
    }
}

/// How much this member spends in the time of one lease, as far as it knows.
///
/// The larger of what it spent in the last span and has spent in this one: a member that has just begun doubles its leases, one that rests asks for no more than it needs.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Demand {
    span: Duration,
    since: Nanos,
    last: Vec<u64>,
    this: Vec<u64>,
}

impl Demand {
    /// Of a member that has spent nothing, in spans of `span`.
    pub(crate) fn new(dimensions: usize, span: Duration) -> Self {
        Self { span, since: Nanos::ZERO, last: vec![0; dimensions], this: vec![0; dimensions] }
    }

    /// Notes that `cost` was spent.
    pub(crate) fn note(&mut self, cost: &[u64], now: Nanos) {
        self.turn(now);
        for (this, cost) in self.this.iter_mut().zip(cost) {
            *this = this.saturating_add(*cost);
        }
    }

    /// What may be spent of each dimension in the time of the next lease.
    pub(crate) fn expect(&mut self, now: Nanos) -> impl Iterator<Item = u64> {
        self.turn(now);
        self.last.iter().zip(&self.this).map(|(last, this)| *last.max(this))
    }

    fn turn(&mut self, now: Nanos) {
        let elapsed = now.since(self.since);
        if elapsed < self.span {
            return;
        }
        let rested = elapsed >= self.span.saturating_mul(2);
        let nothing = vec![0; self.this.len()];
        let this = std::mem::replace(&mut self.this, nothing.clone());
        self.last = if rested { nothing } else { this };
        self.since = now;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TTL: Duration = Duration::from_nanos(100);

    /// The instant at which a lease lapses is already too late.
    #[test]
    fn a_lapsed_lease_is_never_used() {
        let mut purse = Purse::default();
        purse.put(vec![2], Nanos::new(1_000), TTL);
        assert!(purse.spend(&[1], Nanos::new(1_099)));
        assert!(!purse.spend(&[1], Nanos::new(1_100)));
    }

    #[test]
    fn demand_doubles_and_fades() {
        let mut demand = Demand::new(1, TTL);
        let mut expected = |spent, at| {
            demand.note(&[spent], Nanos::new(at));
            demand.expect(Nanos::new(at)).collect::<Vec<_>>()
        };
        assert_eq!(expected(1, 0), [1]);
        assert_eq!(expected(1, 10), [2]);
        assert_eq!(expected(2, 20), [4]);
        assert_eq!(expected(0, 100), [4], "the last span still counts");
        assert_eq!(expected(0, 200), [0], "a rest does not");
    }

    proptest! {
        /// Nothing is minted, nothing is lost before it lapses, and a refusal takes nothing.
        #[test]
        fn what_is_spent_was_granted_and_had_not_lapsed(
            steps in prop::collection::vec((0..60u64, any::<bool>(), 0..9u64, 0..9u64), 1..60),
        ) {
            let mut purse = Purse::default();
            // The naive purse: one entry for each token.
            let mut tokens: [Vec<Nanos>; 2] = [Vec::new(), Vec::new()];
            let mut now = Nanos::ZERO;
            for (later, grant, first, second) in steps {
                now = now + Duration::from_nanos(later);
                let amounts = [first, second];
                if grant {
                    purse.put(amounts.to_vec(), now, TTL);
                    for (tokens, amount) in tokens.iter_mut().zip(amounts) {
                        tokens.extend((0..amount).map(|_| now + TTL));
                    }
                } else {
                    for tokens in &mut tokens {
                        tokens.retain(|lapses_at| now < *lapses_at);
                    }
                    let enough = |(tokens, amount): (&Vec<Nanos>, u64)| {
                        u64::try_from(tokens.len()).unwrap() >= amount
                    };
                    let fits = tokens.iter().zip(amounts).all(enough);
                    if fits {
                        for (tokens, amount) in tokens.iter_mut().zip(amounts) {
                            tokens.drain(..usize::try_from(amount).unwrap());
                        }
                    }
                    prop_assert_eq!(purse.spend(&amounts, now), fits);
                }
            }
        }
    }
}
