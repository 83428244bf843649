//! Client and provider together, as only the provider's journal can tell: quotas, amplification, recovery.

use std::{fmt::Write as _, sync::Arc, time::Duration};

use mock_server::{
    action::ErrorKind,
    journal::{Claimed, Ended},
};
use proptest::prelude::*;
use resilience_core::{
    CallError, Client, Cost, Message, Policy, Provider, Quota, Request, StopReason, Success,
    Target, Timeouts,
};
use tokio::task::JoinSet;

use crate::world::{World, attempts, in_virtual_time, scenario, send};

/// How one call went.
struct Called {
    began: Duration,
    ended: Duration,
    result: Result<Success<String>, CallError>,
}

/// Makes a call at each of these times, whatever has become of the earlier ones; in the order in which they began.
async fn arrive(
    world: World,
    client: Client,
    calls: impl IntoIterator<Item = (Duration, Request)>,
) -> Vec<Called> {
    let client = Arc::new(client);
    let World { connector, clock } = world;
    let mut under_way = JoinSet::new();
    for (began, request) in calls {
        clock.sleep_until(began).await;
        let (client, connector) = (Arc::clone(&client), connector.clone());
        under_way.spawn(async move {
            let result = client.call(&request, |attempt| send(connector.clone(), attempt)).await;
            Called { began, ended: clock.now(), result }
        });
    }
    let mut calls = under_way.join_all().await;
    calls.sort_by_key(|call| call.began);
    calls
}

/// A question of so many words, and a short answer.
fn question(words: usize) -> Request {
    let mut request = Request::new(vec![Message::user("word ".repeat(words))]);
    request.output_max = Some(ANSWER);
    request
}

/// What the provider could have counted of an attempt: a request, and its tokens.
fn used((claimed, _): &(&Claimed, &Ended)) -> (u64, u64) {
    (1, claimed.input_tokens + claimed.output_tokens_max.unwrap_or(0))
}

/// What is the most that any window holds, by the provider's clock?
fn busiest(attempts: &[(&Claimed, &Ended)], window: Duration) -> (u64, u64) {
    let window = u64::try_from(window.as_nanos()).unwrap();
    let held = |first: usize| {
        let begun = attempts[first].0.at;
        let within =
            attempts[first..].iter().take_while(|(claimed, _)| claimed.at < begun + window);
        within.map(used).fold((0, 0), |sum, used| (sum.0 + used.0, sum.1 + used.1))
    };
    (0..attempts.len())
        .map(held)
        .fold((0, 0), |most, held| (most.0.max(held.0), most.1.max(held.1)))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// However calls come, in a flood or in drops, the provider never has to refuse one.
    ///
    /// Of a strict quota no window may hold more than the provider's limit, wherever it begins: that is judged by the journal's times, not by the provider's buckets.
    #[test]
    fn property_63_a_client_that_keeps_its_limits_is_never_refused(
        requests in 10..80u64,
        tokens in 2_000..20_000u64,
        margin_percent in 5..30u64,
        strict: bool,
        charges_actual: bool,
        calls in prop::collection::vec((prop_oneof![Just(0), 0..500u64, 0..30_000u64], 1..300usize), 1..60),
        seed: u64,
    ) {
        let provider = scenario(&format!(
            "brownout: 1\nname: limits\nprovider:\n  quota: {{ requests: {requests}/min, tokens: {tokens}/min }}\n  latency: {{ first-token: 700ms }}\nrules: []\n",
        ));
        let within = |limit: u64| limit * (100 - margin_percent) / 100;
        let quota = Quota::per_minute(within(requests), within(tokens));
        let quota = Quota { charges_actual: charges_actual && !strict, ..quota };
        let largest = Cost::request(400, ANSWER);
        let quota = if strict { quota.strict(largest) } else { quota };
        let policy = Policy {
            // Whoever comes last waits for all the others.
            timeouts: Timeouts { call: Duration::from_secs(86_400), ..Timeouts::default() },
            ..Policy::default()
        };
        let target = Target { quota: Some(quota), ..Target::new(Provider::OpenAi, "gpt-4o-mini") };
        let client = Client::new(policy, vec![target], seed).unwrap();
        let mut at = Duration::ZERO;
        let arrivals: Vec<_> = calls.iter().map(|&(gap, words)| {
            at += Duration::from_millis(gap);
            (at, question(words))
        }).collect();
        let (called, journal) =
            in_virtual_time(&provider, seed, async |world| arrive(world, client, arrivals).await);
        let attempts = attempts(&journal);
        let refused = attempts.iter().find(|(claimed, _)| claimed.error == Some(ErrorKind::RateLimited));
        prop_assert!(refused.is_none(), "{:?}", refused);
        for call in &called {
            prop_assert!(call.result.is_ok(), "{:?}", call.result);
        }
        prop_assert_eq!(attempts.len(), calls.len(), "each was sent once");
        if strict {
            let (requests_seen, tokens_seen) = busiest(&attempts, Duration::from_secs(60));
            prop_assert!(requests_seen <= within(requests), "{} of {}", requests_seen, within(requests));
            prop_assert!(tokens_seen <= within(tokens), "{} of {}", tokens_seen, within(tokens));
        }
    }

    /// While nothing works, the provider sees each call once, and retries only as the budget earns them: one for ten calls, one a second, and a hundred to begin with.
    #[test]
    fn property_64_the_provider_sees_no_more_than_calls_and_budget_pay_for(
        fault in prop::sample::select(vec!["bad-gateway", "overloaded", "reset", "server-error", "unavailable: {}"]),
        per_sec in 2..40u32,
        secs in 5..30u32,
        seed: u64,
    ) {
        let provider = scenario(&format!(
            "brownout: 1\nname: dark\nrules:\n  - when: {{ provider: openai }}\n    fault: {{ {} }}\n",
            if fault.contains(':') { fault.to_owned() } else { format!("{fault}: {{}}") },
        ));
        // The breaker would leave the budget nothing to do.
        let policy = Policy { breaker: None, ..Policy::default() };
        let target = Target::new(Provider::OpenAi, "gpt-4o-mini");
        let client = Client::new(policy, vec![target], seed).unwrap();
        let arrivals: Vec<_> = (0..per_sec * secs)
            .map(|index| (Duration::from_secs(1) * index / per_sec, question(3)))
            .collect();
        let calls = u64::from(per_sec * secs);
        let (called, journal) =
            in_virtual_time(&provider, seed, async |world| arrive(world, client, arrivals).await);
        let attempts = attempts(&journal);
        prop_assert!(called.iter().all(|call| call.result.is_err()));
        let last = attempts.last().map_or(0, |(claimed, _)| claimed.at.div_ceil(1_000_000_000));
        let sends = u64::try_from(attempts.len()).unwrap();
        let paid_for = calls + calls / 10 + last + 100;
        prop_assert!(calls <= sends && sends <= paid_for, "{} sends for {} calls", sends, calls);
        // Nobody was merely slow to ask: what did not go out was not paid for.
        let broke = |call: &Called| matches!(&call.result, Err(error) if error.why == StopReason::Budget);
        if calls > 200 {
            prop_assert!(called.iter().any(broke), "{} sends for {} calls", sends, calls);
        }
    }
}

/// One stretch of trouble: how long it is quiet before, how long it lasts, and what it is.
fn trouble() -> impl Strategy<Value = (u64, u64, String)> {
    let fault = prop_oneof![
        Just("bad-gateway: {}".to_owned()),
        Just("hang: {}".to_owned()),
        Just("overloaded: {}".to_owned()),
        Just("reset: {}".to_owned()),
        Just("server-error: {}".to_owned()),
        Just("truncated: {}".to_owned()),
        (1..60u32).prop_map(|wait| format!("rate-limited: {{ retry-after: {wait}s }}")),
        (1..60u32).prop_map(|wait| format!("unavailable: {{ retry-after: {wait}s }}")),
    ];
    (0..30u64, 1..150u64, fault)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    /// However the provider was ill, and for how long: once it is well, every new call is served, and soon as many are served as come.
    #[test]
    fn property_66_when_faults_stop_every_call_is_served_again(
        troubles in prop::collection::vec(trouble(), 1..4),
        models in 1..3usize,
        seed: u64,
    ) {
        let mut well = 0;
        let mut rules = String::new();
        for (quiet, lasts, fault) in troubles {
            let from = well + quiet;
            well = from + lasts;
            writeln!(rules, "  - when: {{ from: {from}s, until: {well}s }}").unwrap();
            writeln!(rules, "    fault: {{ {fault} }}").unwrap();
        }
        let provider = scenario(&format!(
            "brownout: 1\nname: ill\nprovider: {{ latency: {{ first-token: {ANSWER_SECS}s }} }}\nrules:\n{rules}",
        ));
        let targets: Vec<_> = ["gpt-4o-mini", "gpt-4o"][..models]
            .iter()
            .map(|model| Target::new(Provider::OpenAi, model))
            .collect();
        let policy = Policy {
            timeouts: Timeouts { attempt: Duration::from_secs(20), ..Timeouts::default() },
            ..Policy::default()
        };
        let client = Client::new(policy, targets, seed).unwrap();
        let recovered = well + RECOVERY_SECS;
        let end = recovered + WINDOW_SECS;
        let arrivals: Vec<_> =
            (0..end).map(|secs| (Duration::from_secs(secs), question(3))).collect();
        let (called, _) =
            in_virtual_time(&provider, seed, async |world| arrive(world, client, arrivals).await);
        for call in called.iter().filter(|call| call.began.as_secs() >= well) {
            prop_assert!(call.result.is_ok(), "began at {:?}: {:?}", call.began, call.result);
        }
        let within = |at: Duration| (recovered..end).contains(&at.as_secs());
        let came = called.iter().filter(|call| within(call.began)).count();
        let served = called.iter().filter(|call| call.result.is_ok() && within(call.ended)).count();
        prop_assert!(served * 100 >= came * 95, "{} of {}", served, came);
        // It is served as if nothing had been: at once, and at the first attempt.
        for call in called.iter().filter(|call| within(call.began)) {
            let attempts = call.result.as_ref().map_or(0, |success| success.attempts);
            prop_assert_eq!((call.ended, attempts), (call.began + Duration::from_secs(ANSWER_SECS), 1));
        }
    }
}

/// The most tokens of an answer.
const ANSWER: u64 = 50;

/// Three calls at a time, as a breaker lets pass that is never sure, are too few for one a second.
const ANSWER_SECS: u64 = 4;

/// The last attempt that fails, the longest that a breaker then stays open, with its jitter, and the trials.
const RECOVERY_SECS: u64 = 20 + 144 + 2 * ANSWER_SECS;

/// How long the goodput is watched.
const WINDOW_SECS: u64 = 60;
