//! The provider: a quota of requests, a quota of tokens, and an outage.

use std::ops::Range;

use resilience_core::Nanos;

use super::bucket::Bucket;

/// Answers each attempt at once; how long the answer takes is not its business.
///
/// The quota that the client core keeps is not used here: a provider that shared the limiter of its clients would cancel its mistakes.
#[derive(Clone, Debug)]
pub(super) struct Provider {
    requests: Bucket,
    tokens: Bucket,
    outage: Option<Range<Nanos>>,
    penalty: u64,
    accepted: u64,
    accepted_tokens: u64,
}

/// What becomes of an attempt.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Reply {
    /// It is answered, some time later.
    Accepted,
    /// 429: the quota is used up.
    Limited {
        /// Whole seconds of Retry-After.
        retry_after: u64,
    },
    /// 503, and no hint.
    Unavailable,
}

impl Provider {
    /// A rested one; `penalty` requests are charged for each 429.
    pub(super) fn new(
        requests: Bucket,
        tokens: Bucket,
        outage: Option<Range<Nanos>>,
        penalty: u64,
    ) -> Self {
        Self { requests, tokens, outage, penalty, accepted: 0, accepted_tokens: 0 }
    }

    /// Decides about an attempt that costs so many tokens.
    pub(super) fn answer(&mut self, cost: u64, now: Nanos) -> Reply {
        self.requests.advance(now);
        self.tokens.advance(now);
        if self.outage.as_ref().is_some_and(|outage| outage.contains(&now)) {
            return Reply::Unavailable;
        }
        if self.requests.has(1) && self.tokens.has(cost) {
            self.requests.take(1);
            self.tokens.take(cost);
            self.accepted += 1;
            self.accepted_tokens += cost;
            return Reply::Accepted;
        }
        let retry_after = self.requests.seconds_until(1).max(self.tokens.seconds_until(cost));
        self.requests.drain(self.penalty);
        Reply::Limited { retry_after }
    }

    /// Whether no more has been accepted so far than capacities and refill allow.
    pub(super) fn has_kept_its_quota(&self) -> bool {
        self.requests.has_given(self.accepted) && self.tokens.has_given(self.accepted_tokens)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn provider(penalty: u64) -> Provider {
        let (requests, tokens) =
            (Bucket::full(10_000_000, 3, 1), Bucket::full(9_000_000_000, 5_000, 1));
        let outage = Nanos::new(400)..Nanos::new(460);
        Provider::new(requests, tokens, Some(outage), penalty)
    }

    #[test]
    fn a_refusal_costs_nothing_and_says_when_to_come_back() {
        let mut provider = provider(0);
        assert_eq!(provider.answer(4_000, Nanos::ZERO), Reply::Accepted);
        // 1 000 are left, and 14 500 flow in a second and a half.
        assert_eq!(provider.answer(14_500, Nanos::ZERO), Reply::Limited { retry_after: 2 });
        assert_eq!(provider.answer(10_000, Nanos::ZERO), Reply::Limited { retry_after: 1 });
        for _ in 0..2 {
            assert_eq!(provider.answer(1, Nanos::ZERO), Reply::Accepted);
        }
        assert_eq!(provider.answer(1, Nanos::ZERO), Reply::Limited { retry_after: 1 });
        assert_eq!(provider.answer(1, Nanos::new(100_000_000)), Reply::Accepted);
        assert!(provider.has_kept_its_quota());
    }

    #[test]
    fn a_penalty_takes_what_is_there_after_the_hint_was_made() {
        let mut provider = provider(1);
        for level_before in [3, 2, 1, 0] {
            assert!(
                provider.requests.has(level_before) && !provider.requests.has(level_before + 1)
            );
            let hint = Reply::Limited { retry_after: 1 };
            assert_eq!(provider.answer(9_000, Nanos::ZERO), hint, "{level_before}");
        }
        assert_eq!(provider.answer(1, Nanos::ZERO), Reply::Limited { retry_after: 1 });
        assert_eq!(provider.answer(1, Nanos::new(99_999_999)), Reply::Limited { retry_after: 1 });
        assert_eq!(provider.answer(1, Nanos::ZERO + Duration::from_millis(300)), Reply::Accepted);
    }

    #[test]
    fn an_outage_begins_and_ends_on_time_and_charges_nothing() {
        let mut provider = provider(1);
        for (at, reply) in [
            (399, Reply::Accepted),
            (400, Reply::Unavailable),
            (459, Reply::Unavailable),
            (460, Reply::Accepted),
        ] {
            assert_eq!(provider.answer(1, Nanos::new(at)), reply, "{at}");
        }
        assert_eq!(provider.accepted, 2);
    }
}
