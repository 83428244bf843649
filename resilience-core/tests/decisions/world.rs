//! Many calls on shared targets that fail at random, without a runtime: what holds for each of them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use resilience_core::hint::{Hint, Source};
use resilience_core::parts::BreakerState;
use resilience_core::{
    Action, AimdSettings, BreakerSettings, BudgetSettings, Call, Class, CoolReason, Draws, Entry,
    Event, Failure, Fallback, Finish, HedgeDelay, HedgeSettings, Missing, Nanos, Phase, Policy,
    Pool, Quota, Retries, Retry, Seat, ShedSettings, Timeouts, Trace, Wait, What,
};

use crate::play::{LIMITED, TOO_LONG, at, long_request, secs, target};

/// What the world does to one attempt: after so long, this.
#[derive(Clone, Debug)]
struct Fate {
    after: Duration,
    class: Option<Class>,
    hint: Option<Duration>,
    should_retry: Option<bool>,
    tokens: u8,
    commits: bool,
}

fn fate() -> impl Strategy<Value = Fate> {
    let class = prop_oneof![
        2 => Just(None),
        3 => prop::sample::select(vec![
            Class::Server, Class::Overloaded, LIMITED, Class::Connect, Class::Network,
            Class::NotProcessed, Class::Decode, Class::Conflict,
            Class::StreamInterrupted { committed: false },
            Class::Timeout { phase: Phase::Attempt },
        ]).prop_map(Some),
        1 => prop::sample::select(vec![
            Class::Auth, Class::QuotaExhausted, Class::Permission, TOO_LONG,
            Class::NotFound(Missing::Model), Class::InvalidRequest, Class::ContentPolicy,
        ]).prop_map(Some),
    ];
    let hint = prop_oneof![2 => Just(None), 1 => (0..90_000u64).prop_map(|ms| Some(Duration::from_millis(ms)))];
    let should_retry = prop::sample::select(vec![None, None, None, Some(true), Some(false)]);
    (0..200_000u64, class, hint, should_retry, 0..4u8, prop::bool::weighted(0.1)).prop_map(
        |(ms, class, hint, should_retry, tokens, commits)| Fate {
            after: Duration::from_millis(ms >> (ms % 16)),
            class,
            hint,
            should_retry,
            tokens,
            commits,
        },
    )
}

/// A world of many calls on shared targets, in virtual time, without a runtime.
struct World {
    pool: Pool,
    calls: Vec<Call>,
    /// When each call wants to be polled; absent once it has ended.
    alarms: BTreeMap<usize, Nanos>,
    /// What will happen to the attempts that are out, by call and number.
    pending: BTreeMap<(usize, u32), (Nanos, Event)>,
    seats: BTreeMap<Seat, usize>,
    fates: Vec<Fate>,
    sends: Vec<(Nanos, usize, usize)>,
    /// From when until when a server wanted a target left alone.
    pauses: Vec<(usize, Nanos, Nanos)>,
}

impl World {
    fn run(&mut self) {
        let mut now = Nanos::ZERO;
        for _ in 0..100_000 {
            let event = self.pending.iter().map(|(out, (at, _))| (*at, Some(out.1), out.0)).min();
            let alarm = self.alarms.iter().map(|(call, at)| (*at, None, *call)).min();
            // At the same instant a limit comes before an answer.
            let Some((at, attempt, call)) = event.into_iter().chain(alarm).min() else { return };
            now = now.max(at);
            if let Some(attempt) = attempt {
                let (_, event) = self.pending.remove(&(call, attempt)).unwrap();
                if let Event::Failed(Failure { class, hint: Some(hint), .. }) = &event
                    && class.retryable()
                {
                    let (_, _, target) =
                        *self.sends.iter().rfind(|(_, sender, _)| *sender == call).unwrap();
                    self.pauses.push((target, now, now + hint.after));
                }
                self.calls[call].handle(attempt, event, &mut self.pool, now);
            }
            self.poll(call, now);
            while let Some(seat) = self.pool.pop_news() {
                if let Some(call) = self.seats.get(&seat).copied() {
                    self.poll(call, now);
                }
            }
        }
        panic!("a world that does not end");
    }

    fn poll(&mut self, call: usize, now: Nanos) {
        self.seats.retain(|_, sitting| *sitting != call);
        let action = self.calls[call].poll(&mut self.pool, now);
        match action {
            Action::Acquire { seat, until } => {
                self.seats.insert(seat, call);
                self.alarms.insert(call, until);
            }
            Action::Attend { until, .. } | Action::Wait { until, .. } => {
                assert!(until > now, "a poll that asks for itself");
                self.alarms.insert(call, until);
            }
            Action::Done(_) => {
                self.alarms.remove(&call);
                assert!(!self.pending.keys().any(|(of, _)| *of == call), "done and still out");
            }
            Action::Drop { attempt } => {
                self.pending.remove(&(call, attempt)).expect("dropped once, while it was out");
                self.poll(call, now);
            }
            Action::Send { attempt, target, .. } => {
                let breaker = self.pool.breaker(target).map(|breaker| breaker.state(now));
                assert!(!matches!(breaker, Some(BreakerState::Open { .. })), "sent past a breaker");
                let cooling = self.pool.cooling(target, now);
                let paused = cooling.is_some_and(|cooling| cooling.why == CoolReason::Hint);
                assert!(!paused, "sent into a pause");
                self.sends.push((now, call, target));
                let fate = self.fates[self.sends.len() % self.fates.len()].clone();
                for _ in 0..fate.tokens {
                    self.calls[call].handle(attempt, Event::Token, &mut self.pool, now);
                }
                if fate.commits {
                    self.calls[call].handle(attempt, Event::Committed, &mut self.pool, now);
                }
                let event = fate.class.map_or(Event::Answered { usage: None }, |class| {
                    let mut failure = Failure::new(class, "as fated");
                    failure.hint =
                        fate.hint.map(|after| Hint { after, source: Source::RetryAfter });
                    failure.should_retry = fate.should_retry;
                    Event::Failed(failure)
                });
                self.pending.insert((call, attempt), (now + fate.after, event));
                self.poll(call, now);
            }
        }
    }
}

fn world(
    fates: Vec<Fate>,
    calls: u64,
    targets: usize,
    quota: Option<u64>,
    policy: &Policy,
    seed: u64,
) -> World {
    let policy = Arc::new(policy.clone());
    let targets: Vec<_> = (0..targets)
        .map(|index| {
            let mut target = target(&format!("t{index}"), &format!("k{}", index / 2));
            target.quota = quota.map(|requests| Quota::per_minute(requests, 1_000_000));
            target
        })
        .collect();
    let calls: Vec<_> = (0..calls)
        .map(|id| Call::new(id, long_request().streaming(), Arc::clone(&policy), at(id / 2)))
        .collect();
    World {
        pool: Pool::new(&policy, targets, Draws::new(seed)).unwrap(),
        alarms: (0..calls.len()).map(|call| (call, at(u64::try_from(call).unwrap() / 2))).collect(),
        calls,
        pending: BTreeMap::new(),
        seats: BTreeMap::new(),
        fates,
        sends: Vec::new(),
        pauses: Vec::new(),
    }
}

/// Holds for every call, whatever happened to it.
fn check(trace: &Trace, policy: &Policy) {
    let deadline = trace.begun + policy.timeouts.call;
    let entries = &trace.entries;
    let count = |is: fn(&What) -> bool| entries.iter().filter(|entry| is(&entry.what)).count();
    let started = count(|what| matches!(what, What::AttemptStarted { .. }));
    assert_eq!(started, count(|what| matches!(what, What::AttemptEnded { .. })));
    assert_eq!(count(|what| matches!(what, What::Finished(_))), 1);
    assert!(trace.finish().is_some(), "the finish comes last");
    assert!(started <= usize::try_from(policy.attempts_max).unwrap());
    assert!(entries.is_sorted_by_key(|entry| entry.at));
    assert!(entries.last().unwrap().at <= deadline);
    let hedges = count(|what| matches!(what, What::AttemptStarted { hedge: true, .. }));
    for entry in entries {
        match &entry.what {
            What::WaitBegun { until, why, .. } => {
                assert!(*until < deadline, "a wait past the deadline");
                // While a hedge was still out, a part of the hint has passed.
                if let Wait::Hint { hint, .. } = why
                    && hedges == 0
                {
                    assert!(*until >= entry.at + hint.after, "earlier than asked");
                    assert!(hint.after <= policy.retry.hint_max, "longer than granted");
                    let most = entry.at + hint.after + policy.retry.spread.of(hint.after);
                    assert!(*until <= most, "later than the spread");
                }
            }
            What::AttemptStarted { .. } => assert!(entry.at < deadline, "sent past the deadline"),
            _ => {}
        }
    }
    let attempts: Vec<_> = trace.attempts().collect();
    // Those that run side by side end in any order.
    for pair in attempts.windows(2).take_while(|_| hedges == 0) {
        let (_, target, failure) = pair[0];
        let (_, next, _) = pair[1];
        let failure = failure.expect("an answer ends the call");
        assert!(!failure.class.ends_the_call(), "{failure} and yet another attempt");
        let overflow = failure.class.truncates();
        let again = failure.retries() != Retries::No;
        assert!(next != target || again || overflow, "{failure} retried on the same target");
    }
    // A hedge goes to whoever is ready at once, and passes over others without a word.
    if let Some(Finish::Served { target: server, .. }) = trace.finish()
        && hedges == 0
    {
        for better in 0..server {
            let asked = attempts.iter().any(|(_, target, _)| *target == better);
            let skipped = |entry: &Entry| matches!(entry.what, What::Skipped { target, .. } if target == better);
            assert!(asked || entries.iter().any(skipped), "passed over without a word");
        }
    }
    for target in 0..4 {
        let sends = attempts.iter().filter(|(_, asked, _)| *asked == target).count();
        // One first, its retries, one after truncation, two that were not processed, and hedges of others.
        assert!(sends <= 4 + usize::try_from(policy.retry.retries_max).unwrap() + hedges);
    }
}

/// Policies and quotas in every combination, at sizes that make them matter.
fn any_policy() -> impl Strategy<Value = Policy> {
    let budget = prop::sample::select(vec![
        None,
        Some(BudgetSettings::default()),
        Some(BudgetSettings::Share { retries_min: 1, share_ppm: 200_000 }),
        Some(BudgetSettings::aws_classic()),
        Some(BudgetSettings::Grpc { tokens_max_milli: 5_000, token_ratio_milli: 100 }),
    ]);
    let breaker = BreakerSettings {
        outcomes_min: 2,
        outcomes_max: 4,
        trials: 1,
        open_min: secs(2),
        open_max: secs(8),
        trial_timeout: secs(10),
        ..BreakerSettings::default()
    };
    let breaker = prop::sample::select(vec![None, Some(breaker)]);
    let hedge = prop_oneof![Just(None), (0..4u64).prop_map(Some)].prop_map(|delay| {
        delay.map(|delay| HedgeSettings {
            delay: HedgeDelay::Fixed(secs(delay)),
            hedges_max: 2,
            budget_ppm: 1_000_000,
            saved_max: 10,
        })
    });
    let spans = prop::sample::select(vec![0, 1, 5, 60]);
    let switches = (any::<bool>(), any::<bool>(), any::<bool>());
    (budget, breaker, hedge, spans.clone(), spans, 0..4u32, switches).prop_map(
        |(budget, breaker, hedge, hint_max, wait_max, retries_max, (adapts, paced, sheds))| {
            let default = Policy::default();
            Policy {
                budget,
                breaker,
                hedge,
                retry: Retry { hint_max: secs(hint_max), retries_max, ..default.retry },
                fallback: Fallback { wait_max: secs(wait_max), ..default.fallback },
                adaptive_concurrency: adapts.then(AimdSettings::default),
                adaptive_rate: paced,
                shed: sheds.then(ShedSettings::default),
                timeouts: Timeouts { attempt_min: secs(wait_max / 5), ..default.timeouts },
                ..default
            }
        },
    )
}

proptest! {
    /// No way through the settings goes round in circles, leaves anything behind, or comes back too early.
    #[test]
    fn whatever_the_policy_a_call_ends_and_leaves_nothing_behind(
        fates in prop::collection::vec(fate(), 1..20),
        calls in 1..12u64,
        targets in 1..4usize,
        permits in prop_oneof![Just(None), (1..3u32).prop_map(Some)],
        policy in any_policy(),
        seed: u64,
    ) {
        let mut world = world(fates, calls, targets, Some(20), &policy, seed);
        if let Some(permits) = permits {
            let targets: Vec<_> = world.pool.targets().iter().cloned().map(|mut target| {
                target.quota = Some(Quota { concurrency: Some(permits), ..Quota::default() });
                target
            }).collect();
            world.pool = Pool::new(&policy, targets, Draws::new(seed)).unwrap();
        }
        world.run();
        for call in &world.calls {
            prop_assert!(call.trace().finish().is_some());
        }
        for target in 0..targets {
            if let Some(queue) = world.pool.queue_mut(target) {
                prop_assert_eq!((queue.in_flight(), queue.len()), (0, 0));
            }
        }
        if let Some(budget) = world.pool.budget_mut() {
            prop_assert_eq!((budget.active(), budget.retrying()), (0, 0));
        }
    }

    #[test]
    fn a_call_always_ends_within_its_limits(
        fates in prop::collection::vec(fate(), 1..40),
        calls in 1..24u64,
        targets in 1..4usize,
        quota in prop_oneof![Just(None), (1..30u64).prop_map(Some)],
        call_secs in 1..700u64,
        attempts_max in 1..20u32,
        hedge in prop_oneof![Just(None), (0..20_000u64).prop_map(Some)],
    ) {
        let timeouts = Timeouts { call: secs(call_secs), ..Timeouts::default() };
        let hedge = hedge.map(|ms| HedgeSettings {
            delay: HedgeDelay::Fixed(Duration::from_millis(ms)),
            hedges_max: 2,
            budget_ppm: 1_000_000,
            saved_max: 10,
        });
        let policy = Policy { timeouts, attempts_max, hedge, ..Policy::default() };
        let mut world = world(fates, calls, targets, quota, &policy, 3);
        world.run();
        for call in &world.calls {
            check(call.trace(), &policy);
        }
        // Every send is in a trace, and every attempt of a trace was sent.
        let attempts: usize = world.calls.iter().map(|call| call.trace().attempts().count()).sum();
        prop_assert_eq!(world.sends.len(), attempts);
        // Nothing is left behind in a line.
        for target in 0..targets {
            if let Some(queue) = world.pool.queue_mut(target) {
                prop_assert!(queue.is_empty());
            }
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_traces(
        fates in prop::collection::vec(fate(), 1..20),
        calls in 1..10u64,
        seed: u64,
    ) {
        let traces = || {
            let mut world = world(fates.clone(), calls, 3, Some(20), &Policy::default(), seed);
            world.run();
            world.calls.iter_mut().map(Call::take_trace).collect::<Vec<_>>()
        };
        prop_assert_eq!(traces(), traces());
    }

    /// Whichever call heard it, the others keep it too.
    #[test]
    fn nobody_comes_back_before_a_hint_has_passed(
        fates in prop::collection::vec(fate(), 1..30),
        calls in 1..20u64,
        targets in 1..4usize,
        quota in prop_oneof![Just(None), (1..30u64).prop_map(Some)],
    ) {
        let mut world = world(fates, calls, targets, quota, &Policy::default(), 3);
        world.run();
        for (target, from, until) in &world.pauses {
            for (at, _, sent_to) in &world.sends {
                // At the very instant of the answer, a send may have come first.
                prop_assert!(sent_to != target || at <= from || at >= until);
            }
        }
    }

    /// No client exceeds the quota that was set for it, whatever fails how.
    #[test]
    fn sends_stay_within_the_quota(
        fates in prop::collection::vec(fate(), 1..20),
        calls in 1..30u64,
        requests in 1..10u64,
    ) {
        let mut fates = fates;
        for fate in &mut fates {
            // What was not sent is given back, and would not reach the provider's count.
            if matches!(fate.class, Some(Class::Connect | Class::NotProcessed)) {
                fate.class = Some(Class::Server);
            }
        }
        let mut world = world(fates, calls, 1, Some(requests), &Policy::default(), 3);
        world.run();
        for (first, (from, ..)) in world.sends.iter().enumerate() {
            for (count, (to, ..)) in world.sends[first..].iter().enumerate() {
                let refill = to.since(*from).as_nanos() * u128::from(requests) / secs(60).as_nanos();
                prop_assert!(u128::try_from(count).unwrap() < u128::from(requests) + refill);
            }
        }
    }
}

/// A thousand clients behind one quota: the machine is cheap, and nobody starves.
#[test]
fn a_thousand_calls_share_a_quota_in_virtual_time() {
    let answered = Fate {
        after: secs(1),
        class: None,
        hint: None,
        should_retry: None,
        tokens: 0,
        commits: false,
    };
    let timeouts = Timeouts { call: secs(3_000), ..Timeouts::default() };
    let policy = Policy { timeouts, ..Policy::default() };
    let mut world = world(vec![answered], 1_000, 1, Some(60), &policy, 3);
    world.run();
    assert_eq!(world.sends.len(), 1_000);
    assert!(world.sends.is_sorted(), "first come, first served");
    let served = world
        .calls
        .iter()
        .filter(|call| matches!(call.trace().finish(), Some(Finish::Served { attempt: 1, .. })));
    assert_eq!(served.count(), 1_000);
}
