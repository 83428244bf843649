//! The limits that the provider enforces, as real ones: what headers and texts say is what is
//! enforced, and an announced wait is exact.
//!
//! A limit is counted as its provider counts it: as a bucket that refills continuously, in windows
//! that follow each other, or in every span of its period. It is charged when a request is
//! admitted, and settled when the attempt ends with what was really generated. All arithmetic is
//! in integers.

mod account;
mod bucket;
mod fixed;
mod habit;
mod level;
mod limited;
mod meter;
mod sliding;
mod tier;

#[cfg(test)]
mod properties;

use std::{collections::BTreeMap, time::Duration};

use foldhash::fast::RandomState;
use indexmap::{Equivalent, IndexMap};

pub use level::Level;
pub(crate) use level::whole_millis;
pub use limited::Limited;
pub use tier::{Allowance, Tier, check};

use account::{Account, Cost};
use habit::Habit;
use meter::Moment;

use crate::{
    plan::{OutputCharge, Per, ProviderName, Quota},
    request::Fingerprint,
};

/// The limits of a lane, one set for each group of requests that shares them.
#[derive(Clone, Debug)]
pub struct Quotas {
    quota: Quota,
    /// The wall time at which the engine's begins; it decides where days and minutes end.
    wall_at_zero: Duration,
    accounts: IndexMap<Group, Account, RandomState>,
    held: BTreeMap<u64, Held>,
    /// The latest time that was told: an earlier one changes nothing.
    latest: Duration,
}

/// What a request asks of a quota.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// The attempt, which is settled when it ends.
    pub attempt: u64,
    /// Whose request it is.
    pub provider: ProviderName,
    /// The organisation that the request names; all who name none are one.
    pub organisation: &'a str,
    /// The key.
    pub key: Fingerprint,
    /// The model.
    pub model: &'a str,
    /// The tokens of its input.
    pub input_tokens: u64,
    /// The most output tokens that it asks for.
    pub output_tokens_max: Option<u64>,
    /// The most output tokens that its model writes.
    pub model_output_max: Option<u64>,
}

/// Whose requests share their limits.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Group {
    provider: ProviderName,
    organisation: Option<String>,
    key: Option<Fingerprint>,
    model: Option<String>,
}

/// The same as a request names it; it must have the same hash.
#[derive(Clone, Copy, Debug, Hash)]
struct Named<'a> {
    provider: ProviderName,
    organisation: Option<&'a str>,
    key: Option<Fingerprint>,
    model: Option<&'a str>,
}

/// What an admitted attempt took.
#[derive(Clone, Debug)]
struct Held {
    /// The account, by its place; none is ever taken away.
    account: usize,
    cost: Cost,
    taken: Moment,
}

impl Quotas {
    /// Limits of which nothing is used, from a wall time on.
    pub fn new(quota: Quota, wall_at_zero: Duration) -> Self {
        let (accounts, held) = (IndexMap::default(), BTreeMap::new());
        Self { quota, wall_at_zero, accounts, held, latest: Duration::ZERO }
    }

    /// Charges a request to all limits or to none, and tells the levels after it.
    ///
    /// An attempt that is admitted must be [settled](Self::settle) when it ends.
    pub fn admit(&mut self, ask: &Ask<'_>, now: Duration) -> Result<Vec<Level>, Limited> {
        let moment = self.moment(now);
        let cost = self.cost(ask);
        let named = Named::of(ask, self.quota.per);
        let index = self.accounts.get_index_of(&named).unwrap_or_else(|| {
            let account = Account::new(&self.quota, ask.provider, ask.model, moment);
            self.accounts.insert_full(named.group(), account).0
        });
        let account = &mut self.accounts[index];
        account.admit(cost, moment)?;
        self.held.insert(ask.attempt, Held { account: index, cost, taken: moment });
        Ok(account.levels())
    }

    /// Settles an attempt with the tokens that were generated; one that was not admitted has
    /// nothing to settle, and no attempt is settled twice.
    pub fn settle(&mut self, attempt: u64, generated: u64, now: Duration) {
        let moment = self.moment(now);
        let Some(Held { account, cost, taken }) = self.held.remove(&attempt) else { return };
        self.accounts[account].settle(cost, generated, taken, moment);
    }

    /// The levels of a request's limits as they stand; none if no request has met them yet.
    pub fn levels(&mut self, ask: &Ask<'_>, now: Duration) -> Vec<Level> {
        let moment = self.moment(now);
        let account = self.accounts.get_mut(&Named::of(ask, self.quota.per));
        account.map_or_else(Vec::new, |account| {
            account.advance(moment);
            account.levels()
        })
    }

    fn moment(&mut self, now: Duration) -> Moment {
        self.latest = self.latest.max(now);
        Moment { now: self.latest, wall: self.wall_at_zero.saturating_add(self.latest) }
    }

    fn cost(&self, ask: &Ask<'_>) -> Cost {
        let charge = self.quota.output.unwrap_or(Habit::of(ask.provider).output);
        let unsaid = match charge {
            // Bedrock sets the model's most aside for a request that asks for no limit.
            OutputCharge::Reserved => ask.model_output_max.unwrap_or(OUTPUT_UNSAID),
            _ => OUTPUT_UNSAID,
        };
        Cost { input: ask.input_tokens, output_max: ask.output_tokens_max.unwrap_or(unsaid) }
    }
}

impl<'a> Named<'a> {
    fn of(ask: &Ask<'a>, per: Per) -> Self {
        let (key, model) = match per {
            Per::Key => (Some(ask.key), None),
            Per::KeyAndModel => (Some(ask.key), Some(ask.model)),
            Per::Model => (None, Some(ask.model)),
            Per::Organisation => (None, None),
        };
        let organisation = (per == Per::Organisation).then_some(ask.organisation);
        Self { provider: ask.provider, organisation, key, model }
    }

    fn group(self) -> Group {
        Group {
            provider: self.provider,
            organisation: self.organisation.map(str::to_owned),
            key: self.key,
            model: self.model.map(str::to_owned),
        }
    }
}

impl Equivalent<Group> for Named<'_> {
    fn equivalent(&self, group: &Group) -> bool {
        self.provider == group.provider
            && self.organisation == group.organisation.as_deref()
            && self.key == group.key
            && self.model == group.model.as_deref()
    }
}

/// The output that is charged to a request that asks for no limit; OpenAI counted so many.
const OUTPUT_UNSAID: u64 = 16;

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::action::Dimension;

    fn quotas(quota: Value) -> Quotas {
        let quota = serde_json::from_value(quota).unwrap();
        Quotas::new(quota, crate::clock::VIRTUAL_EPOCH)
    }

    /// Who asks, in one line.
    #[derive(Clone, Copy)]
    struct Who(ProviderName, &'static str, &'static str, &'static str);

    const ME: Who = Who(ProviderName::OpenAi, "", "k", "gpt-4o");

    impl Who {
        fn admit(
            self,
            quotas: &mut Quotas,
            attempt: u64,
            tokens: (u64, Option<u64>),
            now: Duration,
        ) -> Result<Vec<Level>, Limited> {
            let Self(provider, organisation, key, model) = self;
            let key = Fingerprint::of(key);
            let (input_tokens, output_tokens_max) = tokens;
            let model_output_max = Some(100);
            let ask = Ask {
                attempt,
                provider,
                organisation,
                key,
                model,
                input_tokens,
                output_tokens_max,
                model_output_max,
            };
            quotas.admit(&ask, now)
        }
    }

    fn remaining(levels: &[Level]) -> Vec<u64> {
        levels.iter().map(|level| level.remaining).collect()
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn the_announced_wait_is_the_providers_own_arithmetic() {
        // Recorded: 3 requests a minute, all used, ask for 20 s.
        let mut quotas = quotas(json!({"requests": "3/min"}));
        for attempt in 1..=3 {
            ME.admit(&mut quotas, attempt, (1, None), Duration::ZERO).unwrap();
        }
        let limited = ME.admit(&mut quotas, 4, (1, None), Duration::ZERO).unwrap_err();
        assert_eq!(limited.wait, Some(SECOND * 20));
        assert_eq!((limited.level.remaining, limited.used, limited.requested), (0, 3, 1));
        assert_eq!(limited.level.reset, SECOND * 60);
    }

    #[test]
    fn a_refused_request_costs_no_dimension() {
        let mut quotas = quotas(json!({"requests": "10/min", "tokens": "100/min"}));
        let levels = ME.admit(&mut quotas, 1, (80, None), Duration::ZERO).unwrap();
        assert_eq!(remaining(&levels), [9, 20]);
        let limited = ME.admit(&mut quotas, 2, (50, None), Duration::ZERO).unwrap_err();
        assert_eq!(limited.level.dimension, Dimension::Tokens);
        assert_eq!(limited.wait, Some(SECOND * 18));
        let levels = ME.admit(&mut quotas, 3, (20, None), Duration::ZERO).unwrap();
        assert_eq!(remaining(&levels), [8, 0]);
    }

    #[test]
    fn a_refusal_that_is_charged_counts_among_the_requests() {
        for (window, wait) in [("bucket", 20), ("fixed", 60), ("sliding", 60)] {
            let quota = json!({"requests": "3/min", "tokens": "9/min", "rejected": "charged", "window": window});
            let mut quotas = quotas(quota);
            ME.admit(&mut quotas, 1, (9, None), Duration::ZERO).unwrap();
            for attempt in 2..=3 {
                let limited = ME.admit(&mut quotas, attempt, (1, None), Duration::ZERO);
                assert!(limited.is_err(), "{window}");
            }
            // Nothing but refusals used up the requests.
            let limited = ME.admit(&mut quotas, 4, (0, None), Duration::ZERO).unwrap_err();
            assert_eq!(limited.level.dimension, Dimension::Requests, "{window}");
            assert_eq!(limited.wait, Some(SECOND * wait), "{window}");
        }
    }

    #[test]
    fn what_never_fits_has_no_wait() {
        let mut quotas = quotas(json!({"tokens": "100/min"}));
        let limited = ME.admit(&mut quotas, 1, (101, None), Duration::ZERO).unwrap_err();
        assert_eq!(limited.wait, None);
        assert!(limited.never_fits());
    }

    #[test]
    fn those_who_share_a_limit_are_those_that_the_quota_names() {
        use ProviderName::{Anthropic, OpenAi};
        let others = [
            Who(OpenAi, "", "other", "gpt-4o"),
            Who(OpenAi, "", "k", "gpt-5"),
            Who(OpenAi, "org-2", "other", "gpt-5"),
            Who(Anthropic, "", "k", "gpt-4o"),
        ];
        for (per, shared) in [
            ("key-and-model", [false, false, false, false]),
            ("key", [false, true, false, false]),
            ("model", [true, false, false, false]),
            ("organisation", [true, true, false, false]),
        ] {
            for (other, shared) in others.into_iter().zip(shared) {
                let mut quotas = quotas(json!({"requests": "1/min", "per": per}));
                ME.admit(&mut quotas, 1, (1, None), Duration::ZERO).unwrap();
                let second = other.admit(&mut quotas, 2, (1, None), Duration::ZERO);
                assert_eq!(second.is_err(), shared, "{per}: {} {}", other.2, other.3);
            }
        }
    }

    /// Each way to charge 10 tokens of input and at most 50 of output, of which 30 are generated.
    #[test]
    fn the_output_is_charged_as_the_quota_says() {
        for (output, admitted, settled) in [
            ("none", [90, 100], [90, 70]),
            ("generated", [90, 100], [60, 70]),
            ("requested", [40, 50], [40, 50]),
            ("reserved", [40, 50], [60, 70]),
        ] {
            for window in ["bucket", "fixed", "sliding"] {
                let quota = json!({
                    "tokens": "100/day", "output-tokens": "100/day", "output": output, "window": window,
                });
                let mut quotas = quotas(quota);
                let levels = ME.admit(&mut quotas, 1, (10, Some(50)), SECOND).unwrap();
                assert_eq!(remaining(&levels), admitted, "{output} {window}");
                quotas.settle(1, 30, SECOND);
                quotas.settle(1, 30, SECOND);
                let levels = ME.admit(&mut quotas, 2, (0, Some(0)), SECOND).unwrap();
                assert_eq!(remaining(&levels), settled, "{output} {window}");
            }
        }
    }

    /// What an earlier window lost is not given to a later one.
    #[test]
    fn what_is_given_back_is_given_to_the_window_it_was_taken_from() {
        for window in ["bucket", "fixed", "sliding"] {
            let quota = json!({"output-tokens": "100/min", "output": "reserved", "window": window});
            let mut quotas = quotas(quota);
            ME.admit(&mut quotas, 1, (1, Some(60)), Duration::ZERO).unwrap();
            ME.admit(&mut quotas, 2, (1, Some(60)), SECOND * 60).unwrap();
            quotas.settle(1, 0, SECOND * 60);
            let levels = ME.admit(&mut quotas, 3, (1, Some(0)), SECOND * 60).unwrap();
            assert_eq!(remaining(&levels), [40], "{window}");
        }
    }

    #[test]
    fn a_clock_that_goes_back_gives_nothing_and_takes_nothing() {
        for window in ["bucket", "fixed", "sliding"] {
            let mut quotas = quotas(json!({"requests": "2/min", "window": window}));
            for attempt in 1..=2 {
                ME.admit(&mut quotas, attempt, (1, None), SECOND * 60).unwrap();
            }
            assert!(ME.admit(&mut quotas, 3, (1, None), SECOND).is_err(), "{window}");
            assert!(ME.admit(&mut quotas, 4, (1, None), SECOND * 61).is_err(), "{window}");
            assert!(ME.admit(&mut quotas, 5, (1, None), SECOND * 120).is_ok(), "{window}");
        }
    }

    #[test]
    fn an_answer_that_took_more_than_there_was_is_owed() {
        let mut quotas = quotas(json!({"output-tokens": "60/min", "output": "generated"}));
        ME.admit(&mut quotas, 1, (1, None), Duration::ZERO).unwrap();
        quotas.settle(1, 90, Duration::ZERO);
        let limited = ME.admit(&mut quotas, 2, (1, None), Duration::ZERO).unwrap_err();
        // Thirty are owed, and one is needed to begin.
        assert_eq!(limited.wait, Some(SECOND * 31));
        assert_eq!((limited.level.remaining, limited.used), (0, 90));
        assert!(ME.admit(&mut quotas, 3, (1, None), SECOND * 31).is_ok());
    }

    #[test]
    fn the_tightest_of_several_periods_comes_first() {
        let mut quotas = quotas(json!({"tier": "openai/1"}));
        let mini = Who(ProviderName::OpenAi, "", "k", "gpt-4o-mini");
        let levels = mini.admit(&mut quotas, 1, (1, None), Duration::ZERO).unwrap();
        let shown = levels.iter().map(|level| (level.limit, level.period_name(), level.reset));
        // Recorded: 10000 requests a day, of which one is used, are full again after 8.64s.
        let day = (10_000, "day", Duration::from_millis(8_640));
        let minute = (500, "minute", Duration::from_millis(120));
        let tokens = (200_000, "minute", Duration::from_micros(300));
        assert_eq!(shown.collect::<Vec<_>>(), [day, minute, tokens]);
    }

    #[test]
    fn what_a_scenario_says_replaces_what_its_tier_says() {
        let mut quotas = quotas(json!({"tier": ["anthropic/1", "openai/2"], "requests": "7/min"}));
        let claude = Who(ProviderName::Anthropic, "", "k", "claude-haiku-4-5");
        let limits = |levels: Vec<Level>| {
            levels.iter().map(|level| (level.dimension, level.limit)).collect::<Vec<_>>()
        };
        let levels = claude.admit(&mut quotas, 1, (1, None), Duration::ZERO).unwrap();
        let (input, output) = (Dimension::InputTokens, Dimension::OutputTokens);
        let requests = (Dimension::Requests, 7);
        assert_eq!(limits(levels), [requests, (input, 30_000), (output, 8_000)]);
        let levels = ME.admit(&mut quotas, 2, (1, None), Duration::ZERO).unwrap();
        assert_eq!(limits(levels), [requests, (Dimension::Tokens, 450_000)]);
    }

    #[test]
    fn azure_spreads_the_requests_of_a_minute_over_it() {
        let mut quotas = quotas(json!({"requests": "60/min"}));
        let azure = Who(ProviderName::Azure, "", "k", "gpt-4o");
        let mut now = SECOND * 3;
        for attempt in 1..=10 {
            azure.admit(&mut quotas, attempt, (1, None), now).unwrap();
        }
        let limited = azure.admit(&mut quotas, 11, (1, None), now).unwrap_err();
        assert_eq!(limited.wait, Some(SECOND * 7));
        now += SECOND * 7;
        assert!(azure.admit(&mut quotas, 12, (1, None), now).is_ok());
    }

    #[test]
    fn a_day_of_gemini_ends_at_midnight_in_california() {
        let mut quotas = quotas(json!({"requests": "1/day"}));
        let gemini = Who(ProviderName::Gemini, "", "k", "gemini-2.5-flash");
        gemini.admit(&mut quotas, 1, (1, None), Duration::ZERO).unwrap();
        let limited = gemini.admit(&mut quotas, 2, (1, None), Duration::ZERO).unwrap_err();
        // Virtual time begins at midnight UTC.
        assert_eq!(limited.wait, Some(SECOND * 8 * 3_600));
    }

    #[test]
    fn a_place_is_free_when_its_attempt_ends() {
        let mut quotas = quotas(json!({"concurrency": 2}));
        for attempt in 1..=2 {
            let levels = ME.admit(&mut quotas, attempt, (1, None), SECOND).unwrap();
            assert_eq!(remaining(&levels), [2 - attempt]);
        }
        let limited = ME.admit(&mut quotas, 3, (1, None), SECOND).unwrap_err();
        assert_eq!((limited.level.dimension, limited.used), (Dimension::Concurrency, 2));
        assert!(limited.wait.is_none() && !limited.never_fits());
        // The refused attempt had no place to give back.
        quotas.settle(3, 0, SECOND);
        assert!(ME.admit(&mut quotas, 4, (1, None), SECOND).is_err());
        quotas.settle(1, 0, SECOND);
        assert!(ME.admit(&mut quotas, 5, (1, None), SECOND).is_ok());
    }
}
