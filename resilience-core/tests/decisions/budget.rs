//! What retries may use up together: by ratio, by gRPC's tokens, by AWS's quota, by share.

use std::sync::Mutex;
use std::time::Duration;

use proptest::prelude::*;
use resilience_core::parts::{Budget, Empty, Withdrawal};
use resilience_core::{
    Backoff, BudgetMistake, BudgetSettings, Class, Dimension, Jitter, Nanos, Phase,
};
use serde_json::Value;

const RETRY: u64 = 1_000_000_000;

fn ratio(ratio_ppm: u32, retries_per_sec_min: u32, cap: u32, initial: u32) -> BudgetSettings {
    BudgetSettings::Ratio {
        ratio_ppm,
        retries_per_sec_min,
        retries_max: cap,
        retries_initial: initial,
    }
}

fn budget(settings: BudgetSettings) -> Budget {
    Budget::new(settings).expect("the settings are sound")
}

/// Retries that can be sent one after the other, none of which ends.
fn drain(budget: &mut Budget, now: Nanos) -> u64 {
    let mut sent = 0;
    while let Ok(Withdrawal { .. }) = budget.withdraw(Class::Server, now) {
        sent += 1;
    }
    sent
}

#[test]
fn a_rested_default_pays_for_a_hundred_retries_at_once() {
    let mut budget = budget(BudgetSettings::default());
    assert_eq!(drain(&mut budget, Nanos::ZERO), 100);
    let second = Some(Duration::from_secs(1));
    assert_eq!(budget.withdraw(Class::Server, Nanos::ZERO), Err(Empty { retry_in: second }));
}

/// P15: a fractional ratio that is truncated issues 333, 1000 and 1000 retries for these.
#[test]
fn a_fraction_of_a_retry_is_not_lost() {
    for (ratio_ppm, retries) in [(300_000, 300), (600_000, 600), (900_000, 900)] {
        let mut budget = budget(ratio(ratio_ppm, 0, 2_000, 0));
        for _ in 0..1_000 {
            budget.began(Nanos::ZERO);
        }
        assert_eq!(drain(&mut budget, Nanos::ZERO), retries, "{ratio_ppm} ppm");
    }
}

/// P14: of threads that look at the same balance, both took it.
#[test]
fn property_13_threads_withdraw_no_more_than_there_is() {
    let shared = Mutex::new(budget(ratio(1_000_000, 0, 1_000, 0)));
    for _ in 0..10 {
        shared.lock().unwrap().began(Nanos::ZERO);
    }
    let granted: usize = std::thread::scope(|scope| {
        let take = || (0..10).filter(|_| withdraws(&shared)).count();
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(take)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(granted, 10);
    assert_eq!(shared.into_inner().unwrap().balance(Nanos::ZERO), 0);
}

fn withdraws(shared: &Mutex<Budget>) -> bool {
    shared.lock().unwrap().withdraw(Class::Server, Nanos::ZERO).is_ok()
}

#[test]
fn asking_takes_nothing() {
    let mut budget = budget(ratio(0, 1, 1, 1));
    for _ in 0..3 {
        assert!(budget.check(Class::Server, Nanos::ZERO).is_ok());
    }
    assert_eq!(budget.balance(Nanos::ZERO), RETRY);
}

#[test]
fn the_wait_for_a_retry_is_exact() {
    let mut budget = budget(ratio(100_000, 3, 10, 0));
    budget.began(Nanos::ZERO);
    let Err(Empty { retry_in: Some(wait) }) = budget.withdraw(Class::Server, Nanos::ZERO) else {
        panic!("a tenth of a retry paid for one");
    };
    assert_eq!(wait, Duration::from_nanos(300_000_000));
    let nano = Duration::from_nanos(1);
    assert!(budget.check(Class::Server, Nanos::from(wait).saturating_sub(nano)).is_err());
    assert!(budget.check(Class::Server, Nanos::from(wait)).is_ok());
}

#[test]
fn a_retry_that_was_not_sent_costs_nothing() {
    for settings in [
        BudgetSettings::default(),
        BudgetSettings::aws_2026(),
        BudgetSettings::Grpc { tokens_max_milli: 10_000, token_ratio_milli: 100 },
        BudgetSettings::Share { retries_min: 1, share_ppm: 0 },
    ] {
        let mut budget = budget(settings);
        let before = budget.clone();
        let withdrawal = budget.withdraw(Class::Server, Nanos::ZERO).expect("it is full");
        budget.refund(withdrawal, Nanos::ZERO);
        assert_eq!(budget, before);
    }
}

#[test]
fn a_share_counts_calls_that_wait_and_retries_that_run() {
    let mut budget = budget(BudgetSettings::Share { retries_min: 3, share_ppm: 200_000 });
    for _ in 0..20 {
        budget.began(Nanos::ZERO);
        // The first attempt is over; the call waits, and is as active as before.
        budget.ended(Err(Class::Server), None, Nanos::ZERO);
    }
    let mut sent: Vec<_> = (0..4)
        .map(|_| budget.withdraw(Class::Server, Nanos::ZERO).expect("a fifth of twenty is four"))
        .collect();
    assert_eq!(budget.withdraw(Class::Server, Nanos::ZERO), Err(Empty { retry_in: None }));
    budget.ended(Err(Class::Server), sent.pop(), Nanos::ZERO);
    assert!(budget.check(Class::Server, Nanos::ZERO).is_ok());
    for _ in 0..19 {
        budget.call_ended();
    }
    // As calls end the share shrinks, but never below its floor.
    assert!(budget.check(Class::Server, Nanos::ZERO).is_err());
    budget.ended(Ok(()), sent.pop(), Nanos::ZERO);
    assert!(budget.check(Class::Server, Nanos::ZERO).is_ok());
}

#[test]
fn every_mistake_is_named() {
    assert_eq!(
        ratio(0, 0, 0, 1).mistakes(),
        [
            BudgetMistake::NoCapacity,
            BudgetMistake::NeverRefills,
            BudgetMistake::InitialAboveCapacity { initial: 1, capacity: 0 },
        ]
    );
    assert_eq!(
        BudgetSettings::Grpc { tokens_max_milli: 0, token_ratio_milli: 0 }.mistakes(),
        [BudgetMistake::NoCapacity, BudgetMistake::NeverRefills]
    );
    let share = BudgetSettings::Share { retries_min: 0, share_ppm: 0 };
    assert_eq!(share.mistakes(), [BudgetMistake::NoCapacity]);
    for settings in [BudgetSettings::default(), BudgetSettings::aws_classic()] {
        assert_eq!(settings.mistakes(), []);
    }
}

/// P10: a cost above all that there can ever be waits for ever.
#[test]
fn a_retry_that_no_balance_could_pay_for_is_refused_as_a_setting() {
    let settings = BudgetSettings::Aws {
        capacity: 1,
        initial: 1,
        retry_cost: 5,
        timeout_cost: 10,
        rate_limited_cost: 1,
        success_gain: 1,
    };
    let mistakes = [("retry_cost", 5), ("timeout_cost", 10)]
        .map(|(name, cost)| BudgetMistake::CostAboveCapacity { name, cost, capacity: 1 });
    assert_eq!(Budget::new(settings), Err(mistakes.to_vec().into()));
}

fn vectors() -> Value {
    serde_json::from_str(include_str!("../fixtures/retry_vectors.json")).unwrap()
}

fn milli(value: &Value) -> u64 {
    nanos(value) / 1_000_000
}

/// Billionths of a number: exact for every decimal in the vectors.
fn nanos(value: &Value) -> u64 {
    let nanos = Duration::from_secs_f64(value.as_f64().expect("a number")).as_nanos();
    u64::try_from(nanos).unwrap()
}

/// The throttle tests of gRPC's own core, both parts.
#[test]
fn grpc_meets_its_own_vectors() {
    let vectors = &vectors()["grpc_throttle"];
    let settings = |of: &Value| BudgetSettings::Grpc {
        tokens_max_milli: u32::try_from(milli(&of["max"])).unwrap(),
        token_ratio_milli: u32::try_from(milli(&of["ratio"])).unwrap(),
    };
    let replacement = &vectors["replacement"];
    for (first, seq) in
        [(&vectors["basic"], &vectors["basic"]["seq"]), (&replacement["old"], &replacement["seq"])]
    {
        let mut budget = budget(settings(first));
        for row in seq.as_array().unwrap() {
            match row[0].as_str().unwrap() {
                "S" => budget.ended(Ok(()), None, Nanos::ZERO),
                "F" | "F old" => budget.ended(Err(Class::Server), None, Nanos::ZERO),
                _ => budget.change(settings(&replacement["new"]), Nanos::ZERO).unwrap(),
            }
            assert_eq!(budget.balance(Nanos::ZERO), milli(&row[1]), "{row}");
            if let Some(allowed) = row[2].as_bool() {
                assert_eq!(budget.check(Class::Server, Nanos::ZERO).is_ok(), allowed, "{row}");
            }
        }
    }
}

#[test]
fn grpc_counts_only_what_it_would_retry() {
    let settings = BudgetSettings::Grpc { tokens_max_milli: 4_000, token_ratio_milli: 100 };
    let mut budget = budget(settings);
    for class in [Class::InvalidRequest, Class::Cancelled, Class::Auth] {
        budget.ended(Err(class), None, Nanos::ZERO);
    }
    assert_eq!(budget.balance(Nanos::ZERO), 4_000);
}

#[test]
fn a_timeout_costs_what_its_variant_says() {
    let timeout = Class::Timeout { phase: Phase::FirstToken };
    for (settings, left) in
        [(BudgetSettings::aws_classic(), 490), (BudgetSettings::aws_2026(), 486)]
    {
        let mut budget = budget(settings);
        let paid = budget.withdraw(timeout, Nanos::ZERO).expect("it is full");
        assert_eq!(budget.balance(Nanos::ZERO), left);
        budget.ended(Ok(()), Some(paid), Nanos::ZERO);
        assert_eq!(budget.balance(Nanos::ZERO), 500);
    }
}

#[test]
fn aws_classic_meets_its_vectors() {
    replay_aws(&vectors()["aws_standard_classic"], BudgetSettings::aws_classic(), 1_000);
}

#[test]
fn aws_2026_meets_its_vectors() {
    replay_aws(&vectors()["aws_standard_2026"], BudgetSettings::aws_2026(), 50);
}

/// When everything fails, 500 tokens are so many retries and no more.
#[test]
fn aws_outages_are_met_with_as_many_retries_as_tokens_buy() {
    for (settings, retries) in
        [(BudgetSettings::aws_classic(), 100), (BudgetSettings::aws_2026(), 35)]
    {
        assert_eq!(drain(&mut budget(settings), Nanos::ZERO), retries);
    }
}

fn replay_aws(vectors: &Value, settings: BudgetSettings, base_milli: u64) {
    for case in vectors["cases"].as_array().unwrap() {
        let BudgetSettings::Aws {
            capacity,
            initial: _,
            retry_cost,
            timeout_cost,
            rate_limited_cost,
            success_gain,
        } = settings
        else {
            panic!("AWS's is a quota");
        };
        let initial = u32::try_from(case["tokens"].as_u64().unwrap()).unwrap();
        let mut budget = budget(BudgetSettings::Aws {
            capacity,
            initial,
            retry_cost,
            timeout_cost,
            rate_limited_cost,
            success_gain,
        });
        if let Some(threads) = case["threads"].as_array() {
            let mut calls = [AwsCall::default(), AwsCall::default()];
            // The only order that gives the balances of both threads.
            for (thread, row) in [(0, 0), (0, 1), (1, 0), (1, 1), (0, 2)] {
                calls[thread].step(&mut budget, case, &threads[thread][row], base_milli);
            }
            assert_eq!(Some(budget.balance(Nanos::ZERO)), case["final_quota"].as_u64());
        } else {
            let mut call = AwsCall::default();
            for row in case["seq"].as_array().unwrap() {
                call.step(&mut budget, case, row, base_milli);
            }
        }
    }
}

/// One call of an AWS client, between two answers.
#[derive(Default)]
struct AwsCall {
    retries: u32,
    paid: Option<Withdrawal>,
}

impl AwsCall {
    fn step(&mut self, budget: &mut Budget, case: &Value, row: &Value, base_milli: u64) {
        let name = &case["name"];
        let throttled = row["error_code"] == "Throttling";
        let class = if throttled {
            Class::RateLimited { dimension: Some(Dimension::Rpm) }
        } else {
            Class::Server
        };
        let succeeded = row["status"] == 200;
        if self.retries == 0 {
            budget.began(Nanos::ZERO);
        }
        let result = if succeeded { Ok(()) } else { Err(class) };
        budget.ended(result, self.paid.take(), Nanos::ZERO);
        let happened = if succeeded {
            "success"
        } else if u64::from(self.retries) + 1 >= case["max_attempts"].as_u64().unwrap_or(3) {
            "max_attempts_exceeded"
        } else if let Ok(paid) = budget.withdraw(class, Nanos::ZERO) {
            self.paid = Some(paid);
            "retry"
        } else {
            "retry_quota_exceeded"
        };
        assert_eq!(row["expect"], happened, "{name}: {row}");
        assert_eq!(Some(budget.balance(Nanos::ZERO)), row["quota"].as_u64(), "{name}: {row}");
        if happened == "retry" {
            self.retries += 1;
            if !row["delay_s"].is_null() {
                let delay = aws_delay(case, row, self.retries, throttled, base_milli);
                assert_eq!(delay, Duration::from_nanos(nanos(&row["delay_s"])), "{name}: {row}");
            }
        } else {
            budget.call_ended();
            self.retries = 0;
        }
    }
}

/// The delay with the draw at its upper end, which AWS's vectors fix at one.
fn aws_delay(case: &Value, row: &Value, retry: u32, throttled: bool, base_milli: u64) -> Duration {
    let base = match &case["base_s"] {
        Value::Null if throttled => Duration::from_secs(1),
        Value::Null => Duration::from_millis(base_milli),
        base => Duration::from_nanos(nanos(base)),
    };
    let cap = match &case["max_backoff"] {
        Value::Null => Duration::from_secs(20),
        cap => Duration::from_nanos(nanos(cap)),
    };
    let backoff = Backoff { base, cap, multiplier_ppm: 2_000_000, jitter: Jitter::Full };
    let delay = backoff.delay(retry, None, u64::MAX);
    let hint = row["x_amz_retry_after"].as_str().and_then(|header| header.parse().ok());
    hint.map_or(delay, |milli| {
        Duration::from_millis(milli).clamp(delay, delay + Duration::from_secs(5))
    })
}

/// What happens to a budget, in any order.
#[derive(Clone, Copy, Debug)]
enum Step {
    Began,
    Refund,
    Retry,
    Succeeded,
    Wait(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => Just(Step::Began),
        1 => Just(Step::Refund),
        4 => Just(Step::Retry),
        1 => Just(Step::Succeeded),
        2 => (0..3_000_000_000u64).prop_map(Step::Wait),
    ];
    prop::collection::vec(step, 1..200)
}

fn any_ratio() -> impl Strategy<Value = BudgetSettings> {
    (0..=2_000_000u32, 0..=20u32, 1..=50u32, 0..=50u32)
        .prop_map(|(ppm, per_sec, cap, initial)| ratio(ppm.max(1), per_sec, cap, initial.min(cap)))
}

proptest! {
    /// Kept by hand in wider numbers, the balance is the same at every step, and never below zero or above the cap.
    #[test]
    fn property_13_the_balance_is_what_came_in_less_what_went_out(
        settings in any_ratio(),
        steps in steps(),
    ) {
        let BudgetSettings::Ratio { ratio_ppm, retries_per_sec_min, retries_max, retries_initial } = settings else {
            unreachable!("it is a ratio");
        };
        let retry = i128::from(RETRY);
        let cap = i128::from(retries_max) * retry;
        let mut budget = budget(settings);
        let mut paid = Vec::new();
        let mut expected = i128::from(retries_initial) * retry;
        let mut now = Nanos::ZERO;
        for step in steps {
            match step {
                Step::Began => {
                    budget.began(now);
                    expected = cap.min(expected + i128::from(ratio_ppm) * 1_000);
                }
                Step::Refund => if let Some(withdrawal) = paid.pop() {
                    budget.refund(withdrawal, now);
                    expected = cap.min(expected + retry);
                },
                Step::Retry => {
                    let withdrawal = budget.withdraw(Class::Server, now);
                    prop_assert_eq!(withdrawal.is_ok(), expected >= retry);
                    if let Ok(withdrawal) = withdrawal {
                        paid.push(withdrawal);
                        expected -= retry;
                    }
                }
                Step::Succeeded => budget.ended(Ok(()), paid.pop(), now),
                Step::Wait(nanos) => {
                    now = now + Duration::from_nanos(nanos);
                    expected = cap.min(expected + i128::from(retries_per_sec_min) * i128::from(nanos));
                }
            }
            prop_assert!((0..=cap).contains(&expected));
            prop_assert_eq!(i128::from(budget.balance(now)), expected);
        }
    }

    /// Between any two moments, retries stay within the share of the calls, the share of the time and one full budget.
    #[test]
    fn property_14_no_window_sees_more_retries_than_its_calls_and_time_earn(
        settings in any_ratio(),
        steps in steps(),
    ) {
        let BudgetSettings::Ratio { ratio_ppm, retries_per_sec_min, retries_max, .. } = settings else {
            unreachable!("it is a ratio");
        };
        let mut budget = budget(settings);
        let mut now = Nanos::ZERO;
        // So far: calls, retries, time.
        let mut so_far = vec![(0_u128, 0_u128, 0_u128)];
        for step in steps {
            let (mut calls, mut retries, _) = so_far[so_far.len() - 1];
            match step {
                Step::Began => { budget.began(now); calls += 1; }
                Step::Retry => retries += u128::from(budget.withdraw(Class::Server, now).is_ok()),
                Step::Wait(nanos) => now = now + Duration::from_nanos(nanos),
                Step::Refund | Step::Succeeded => budget.ended(Ok(()), None, now),
            }
            so_far.push((calls, retries, u128::from(now.get())));
        }
        for (index, until) in so_far.iter().enumerate() {
            for since in &so_far[..index] {
                let earned = (until.0 - since.0) * u128::from(ratio_ppm) * 1_000
                    + (until.2 - since.2) * u128::from(retries_per_sec_min)
                    + u128::from(retries_max) * u128::from(RETRY);
                prop_assert!((until.1 - since.1) * u128::from(RETRY) <= earned);
            }
        }
    }

    #[test]
    fn property_16_grpc_retries_while_more_than_half_is_left(
        // Half tokens too, so that the threshold is often met exactly.
        tokens_max_milli in prop_oneof![(1..=40u32).prop_map(|halves| halves * 500), 1..=20_001u32],
        token_ratio_milli in prop_oneof![(1..=6u32).prop_map(|halves| halves * 500), 1..=3_000u32],
        results in prop::collection::vec(any::<bool>(), 0..60),
    ) {
        let mut budget = budget(BudgetSettings::Grpc { tokens_max_milli, token_ratio_milli });
        let (max, ratio) = (i64::from(tokens_max_milli), i64::from(token_ratio_milli));
        let mut tokens = max;
        for succeeded in results {
            let result = if succeeded { Ok(()) } else { Err(Class::Overloaded) };
            budget.ended(result, None, Nanos::ZERO);
            tokens = (tokens + if succeeded { ratio } else { -1_000 }).clamp(0, max);
            prop_assert_eq!(budget.check(Class::Server, Nanos::ZERO).is_ok(), 2 * tokens > max);
        }
    }

    #[test]
    fn no_numbers_make_a_budget_panic(
        numbers: [u32; 6],
        mode in 0..4u8,
        at: [u64; 4],
    ) {
        let [a, b, c, d, e, f] = numbers;
        let settings = match mode {
            0 => BudgetSettings::Grpc { tokens_max_milli: a, token_ratio_milli: b },
            1 => BudgetSettings::Aws {
                capacity: a, initial: b, retry_cost: c, timeout_cost: d, rate_limited_cost: e, success_gain: f,
            },
            2 => ratio(a, b, c, d),
            _ => BudgetSettings::Share { retries_min: a, share_ppm: b },
        };
        if let Ok(mut budget) = Budget::new(settings) {
            budget.began(Nanos::new(at[0]));
            let paid = budget.withdraw(Class::Server, Nanos::new(at[1])).ok();
            budget.ended(Ok(()), paid, Nanos::new(at[2]));
            budget.change(settings, Nanos::new(at[3])).expect("they were sound before");
            budget.call_ended();
            budget.call_ended();
        }
    }
}
