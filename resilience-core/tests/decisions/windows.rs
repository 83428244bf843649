//! What any window of time admits, and exactly when the next request passes.

use std::time::Duration;

use proptest::prelude::*;
use resilience_core::parts::Limiter;
use resilience_core::{
    Cost, Dimension, Guarantee, Limit, Nanos, Oversize, Pace, Quota, QuotaMistake, Refusal,
};

const MINUTE: Duration = Duration::from_secs(60);
const NANO: Duration = Duration::from_nanos(1);

fn at(secs: u64) -> Nanos {
    Nanos::from(Duration::from_secs(secs))
}

fn tokens(count: u64) -> Cost {
    Cost::request(count, 0)
}

fn one() -> Cost {
    tokens(0)
}

fn quota(limits: &[Limit]) -> Quota {
    Quota { limits: limits.to_vec(), ..Quota::default() }
}

fn strict(limits: &[Limit]) -> Quota {
    Quota { guarantee: Guarantee::Strict { jitter: Duration::ZERO }, ..quota(limits) }
}

fn tpm(limit: u64, burst: u64) -> Limit {
    Limit { burst, ..Limit::per_minute(Dimension::Tpm, limit) }
}

fn rpm(limit: u64, burst: u64) -> Limit {
    Limit { burst, ..Limit::per_minute(Dimension::Rpm, limit) }
}

/// Asks for each cost after a pause; when what was admitted.
fn admissions(limiter: &mut Limiter, asks: &[(u64, u64)]) -> Vec<(Nanos, u64)> {
    let mut now = Nanos::ZERO;
    let mut admitted = Vec::new();
    for (cost, pass) in asks {
        now = now + Duration::from_millis(*pass);
        if limiter.admit(tokens(*cost), now).is_ok() {
            admitted.push((now, *cost));
        }
    }
    admitted
}

/// Admits as many as it can, each as soon as it can, before `end`.
fn saturate(limiter: &mut Limiter, cost: Cost, end: Nanos) -> Vec<Nanos> {
    let mut now = Nanos::ZERO;
    let mut admitted = Vec::new();
    while now < end {
        match limiter.admit(cost, now) {
            Ok(()) => admitted.push(now),
            Err(Refusal::Wait { until }) => now = until,
            Err(other) => panic!("{other}"),
        }
    }
    admitted
}

fn asks() -> impl Strategy<Value = Vec<(u64, u64)>> {
    prop::collection::vec((1..20u64, 0..3_000u64), 1..60)
}

/// P7: a burst of a whole window lets almost twice the limit through in the first minute.
#[test]
fn a_strict_minute_never_holds_119_of_60() {
    let in_first_minute =
        |quota: &Quota| saturate(&mut Limiter::new(quota).unwrap(), one(), at(60)).len();
    let classic = quota(&[Limit::per_minute(Dimension::Rpm, 60)]);
    assert_eq!(in_first_minute(&classic), 119);
    assert_eq!(in_first_minute(&classic.clone().strict(one())), 60);
    // Above the size of a log, a bucket with a small burst does it.
    let larger = quota(&[Limit::per_minute(Dimension::Rpm, 6_000)]).strict(one());
    assert_eq!(larger.limits[0].burst, 200);
    assert_eq!(in_first_minute(&larger), 5_999);
}

/// Three a minute need no burst kept back: the log loses nothing.
#[test]
fn a_small_strict_limit_keeps_its_whole_rate() {
    let quota = strict(&[Limit::per_minute(Dimension::Rpm, 3)]);
    let admitted = saturate(&mut Limiter::new(&quota).unwrap(), one(), at(180));
    assert_eq!(admitted, [0, 0, 0, 60, 60, 60, 120, 120, 120].map(at));
}

/// 60 000 a minute, kept as 1000 a second.
#[test]
fn a_quantised_limit_is_a_second_limit() {
    let second = Limit {
        dimension: Dimension::Rpm,
        tokens: 1_000,
        burst: 100,
        period: Duration::from_secs(1),
    };
    let quota = strict(&[rpm(60_000, 2_000), second]);
    let admitted = saturate(&mut Limiter::new(&quota).unwrap(), one(), at(120));
    for (window, most) in [(Duration::from_secs(1), 1_000), (MINUTE, 60_000)] {
        let mut from = 0;
        for (to, now) in admitted.iter().enumerate() {
            while now.since(admitted[from]) >= window {
                from += 1;
            }
            assert!(to - from < most, "{} in {window:?}", to - from + 1);
        }
    }
    // It is not by standing still that it keeps them.
    assert!(admitted.len() > 100_000, "{}", admitted.len());
}

#[test]
fn a_strict_quota_must_leave_something_to_refill() {
    let whole = Limit::per_minute(Dimension::Tpm, 1_000);
    let mistake = QuotaMistake::BurstIsLimit { dimension: Dimension::Tpm, tokens: 1_000 };
    assert_eq!(strict(&[whole]).mistakes(), [mistake]);
    assert_eq!(strict(&[whole.with_smooth_burst(1)]).mistakes(), []);
    assert_eq!(whole.with_smooth_burst(1).burst, 33);
    assert_eq!(whole.with_smooth_burst(400).burst, 400);
    assert_eq!(whole.with_smooth_burst(4_000).burst, 1_000);
    let nobody = Quota { concurrency: Some(0), ..Quota::default() };
    assert_eq!(nobody.mistakes(), [QuotaMistake::NoPermits]);
}

/// P9: a shortfall of less than a nanosecond is no wait of zero.
#[test]
fn property_21_whoever_waits_waits_a_nanosecond_at_least() {
    for limit in [3, 7, 11, 59, 997, 1_000_003] {
        let mut limiter = Limiter::new(&quota(&[tpm(limit, 3)])).unwrap();
        let mut now = Nanos::ZERO;
        for _ in 0..200 {
            match limiter.admit(tokens(1), now) {
                Ok(()) => {}
                Err(Refusal::Wait { until }) => {
                    assert!(until > now);
                    now = until;
                }
                Err(other) => panic!("{other}"),
            }
        }
    }
}

#[test]
fn property_24_more_than_a_burst_is_refused_or_owed_and_never_waits_for_ever() {
    let mut rejects = Limiter::new(&quota(&[tpm(60, 10)])).unwrap();
    let never =
        |capacity, cost| Err(Refusal::NeverFits { dimension: Dimension::Tpm, cost, capacity });
    assert_eq!(rejects.admit(tokens(11), Nanos::ZERO), never(10, 11));
    let debt = Quota { oversize: Oversize::Debt, ..quota(&[tpm(60, 10)]) };
    let mut owes = Limiter::new(&debt).unwrap();
    assert_eq!(owes.admit(tokens(61), Nanos::ZERO), never(60, 61));
    owes.admit(tokens(1), Nanos::ZERO).unwrap();
    // Only a full bucket will do, and one nanosecond earlier it is not.
    let wait = Err(Refusal::Wait { until: at(1) });
    assert_eq!(owes.admit(tokens(40), Nanos::ZERO), wait);
    assert_eq!(owes.admit(tokens(40), at(1).saturating_sub(NANO)), wait);
    owes.admit(tokens(40), at(1)).unwrap();
    // Ten less forty: thirty seconds of debt, and one more for the next token.
    assert_eq!(owes.available(Dimension::Tpm, at(31)), Some(0));
    assert_eq!(owes.admit(tokens(1), at(31)), Err(Refusal::Wait { until: at(32) }));
}

/// OpenAI's rule: half, and at most half as much again every fifteen minutes.
#[test]
fn a_slowed_rate_grows_back_in_steps() {
    let mut limiter = Limiter::new(&quota(&[tpm(6_000, 1)])).unwrap();
    let rate = |limiter: &mut Limiter, now: Nanos| {
        while limiter.admit(tokens(1), now).is_ok() {}
        let Ok(until) = limiter.ready_at(tokens(1), now) else { panic!("it fits") };
        until.since(now)
    };
    let micros = |limiter: &mut Limiter, secs| rate(limiter, at(secs)).as_micros();
    assert_eq!(micros(&mut limiter, 0), 10_000);
    limiter.slow_down(at(1), at(2));
    assert_eq!(micros(&mut limiter, 2), 20_000);
    // A request from before the halving knows nothing of it.
    limiter.slow_down(at(1), at(3));
    assert_eq!(micros(&mut limiter, 3), 20_000);
    limiter.slow_down(at(3), at(4));
    assert_eq!(micros(&mut limiter, 4), 40_000);
    // A quarter, then three and nine halves of a quarter each, then everything.
    assert_eq!(micros(&mut limiter, 903), 40_000);
    assert_eq!(micros(&mut limiter, 904), 26_666);
    assert_eq!(micros(&mut limiter, 1_804), 17_777);
    assert_eq!(micros(&mut limiter, 2_704), 11_853);
    assert_eq!(micros(&mut limiter, 3_604), 10_000);
}

proptest! {
    /// Net of nothing: neither refunds nor credits here.
    #[test]
    fn property_18_no_window_admits_more_than_burst_and_refill(
        limit in 1..200u64,
        burst in 1..200u64,
        owes in any::<bool>(),
        asks in asks(),
    ) {
        let burst = burst.min(limit);
        let oversize = if owes { Oversize::Debt } else { Oversize::Reject };
        let quota = Quota { oversize, ..quota(&[tpm(limit, burst)]) };
        let admitted = admissions(&mut Limiter::new(&quota).unwrap(), &asks);
        let allowance = admitted.iter().map(|(_, cost)| cost.saturating_sub(burst)).max();
        for (first, (from, _)) in admitted.iter().enumerate() {
            let mut sum = 0;
            for (to, cost) in &admitted[first..] {
                sum += cost;
                let refill = to.since(*from).as_nanos() * u128::from(limit) / MINUTE.as_nanos();
                let most = u128::from(burst + allowance.unwrap_or(0)) + refill;
                prop_assert!(u128::from(sum) <= most);
            }
        }
    }

    /// Every sliding window of a period, hence every way in which a server may cut time; also after the network has pushed requests together.
    #[test]
    fn property_18_no_strict_window_holds_more_than_the_limit(
        limit in prop_oneof![1..=64u64, 65..300u64],
        burst in 1..40u64,
        owes in any::<bool>(),
        jitter in prop_oneof![Just(0), 1..5_000u64],
        lateness in prop::collection::vec(0..5_000u64, 60),
        asks in asks(),
    ) {
        let limits = [tpm(limit, burst.min(limit))];
        let oversize = if owes { Oversize::Debt } else { Oversize::Reject };
        let guarantee = Guarantee::Strict { jitter: Duration::from_millis(jitter) };
        let quota = Quota { guarantee, oversize, ..quota(&limits) };
        let mut limiter = Limiter::new(&quota).unwrap();
        let admitted = admissions(&mut limiter, &asks);
        let mut arrived: Vec<_> = admitted
            .iter()
            .zip(lateness)
            .map(|((at, cost), late)| (*at + Duration::from_millis(late.min(jitter)), *cost))
            .collect();
        arrived.sort();
        let allowance = if limit <= 64 {
            0
        } else {
            arrived.iter().map(|(_, cost)| cost.saturating_sub(burst)).max().unwrap_or(0)
        };
        for (first, (from, _)) in arrived.iter().enumerate() {
            let window = arrived[first..].iter().take_while(|(at, _)| at.since(*from) < MINUTE);
            let sum: u64 = window.map(|(_, cost)| cost).sum();
            prop_assert!(sum <= limit + allowance, "{sum} of {limit}");
        }
    }

    /// Nobody idles while something may pass: throughput is the rate.
    #[test]
    fn property_19_a_saturated_limiter_reaches_its_rate(
        limit in 1..2_000u64,
        burst in 1..100u64,
        cost in 1..50u64,
        kept in any::<bool>(),
    ) {
        let burst = burst.max(cost);
        let limit = limit.max(2 * burst);
        let limits = [tpm(limit, burst)];
        let quota = if kept { strict(&limits) } else { quota(&limits) };
        let rate = if kept && limit > 64 { limit - burst } else { limit };
        let admitted = saturate(&mut Limiter::new(&quota).unwrap(), tokens(cost), at(600));
        let sum = cost * u64::try_from(admitted.len()).unwrap();
        // The log admits in whole windows, of which the last may be short of one request.
        let least = if kept && limit <= 64 { 10 * (limit / cost) * cost } else { 10 * rate };
        prop_assert!(sum + cost >= least, "{sum} of {least}");
    }

    /// P3: refused one nanosecond before, admitted at; a wait that was slept counts once.
    #[test]
    fn property_20_a_wait_is_exact(
        limit in 1..5_000u64,
        kept in any::<bool>(),
        slowed in any::<bool>(),
        pace in prop_oneof![Just(None), (1..5_000u64, 0..3_000u64).prop_map(Some)],
        costs in prop::collection::vec(1..500u64, 1..30),
    ) {
        let limits = [tpm(limit.max(501), 500), rpm(limit, 1)];
        let mut limiter = if kept {
            Limiter::new(&strict(&limits[..1]))
        } else {
            Limiter::new(&quota(&limits))
        }.unwrap();
        let pace = pace.map(|(milli_per_second, burst_milli)| Pace { milli_per_second, burst_milli });
        limiter.set_pace(pace, Nanos::ZERO);
        if slowed {
            limiter.slow_down(Nanos::ZERO, Nanos::ZERO);
        }
        let mut now = Nanos::ZERO;
        for cost in costs {
            let cost = tokens(cost);
            if let Err(refusal) = limiter.admit(cost, now) {
                let Refusal::Wait { until } = refusal else { panic!("{refusal}") };
                prop_assert!(until > now);
                prop_assert_eq!(limiter.ready_at(cost, now), Ok(until));
                // Afresh, not from the memory of the last refusal.
                let mut early = limiter.clone();
                early.pause_until(Nanos::ZERO);
                prop_assert_eq!(early.admit(cost, until.saturating_sub(NANO)), Err(Refusal::Wait { until }));
                now = until;
                prop_assert_eq!(limiter.admit(cost, now), Ok(()));
            }
        }
    }

    /// P41: what a clock that goes back is told, it would have been told at the latest instant.
    #[test]
    fn property_23_an_earlier_instant_neither_adds_nor_takes(
        asks in asks(),
        back in 1..100_000_000_000u64,
        kept in any::<bool>(),
    ) {
        let limits = [tpm(60, 40)];
        let quota = if kept { strict(&limits) } else { quota(&limits) };
        let mut limiter = Limiter::new(&quota).unwrap();
        admissions(&mut limiter, &asks);
        let latest = Nanos::new(asks.iter().map(|(_, pass)| pass * 1_000_000).sum());
        let left = limiter.available(Dimension::Tpm, latest);
        let earlier = latest.saturating_sub(Duration::from_nanos(back));
        prop_assert_eq!(limiter.available(Dimension::Tpm, earlier), left);
        prop_assert_eq!(limiter.available(Dimension::Tpm, latest), left);
    }

    /// P2: a refusal deducts nothing, in no dimension, whatever was refused; an admission deducts everywhere.
    #[test]
    fn property_25_a_refusal_changes_no_dimension(
        asks in prop::collection::vec((0..600u64, 0..200u64, 0..3_000u64), 1..60),
    ) {
        let limits = [
            rpm(30, 5),
            Limit::per_minute(Dimension::Itpm, 500),
            Limit::per_minute(Dimension::Otpm, 150),
        ];
        let quota = Quota { concurrency: Some(20), ..quota(&limits) };
        let mut limiter = Limiter::new(&quota).unwrap();
        let mut now = Nanos::ZERO;
        for (input, output, pass) in asks {
            now = now + Duration::from_millis(pass);
            let cost = Cost::request(input, output);
            let left = |limiter: &mut Limiter| {
                limits.map(|limit| limiter.available(limit.dimension, now).unwrap())
            };
            let (before, under_way) = (left(&mut limiter), limiter.in_flight());
            let admitted = limiter.admit(cost, now).is_ok();
            let after = left(&mut limiter);
            if admitted {
                let costs = limits.map(|limit| cost.on(limit.dimension));
                for ((before, after), cost) in before.into_iter().zip(after).zip(costs) {
                    prop_assert_eq!(before - cost, after);
                }
                prop_assert_eq!(limiter.in_flight(), under_way + 1);
            } else {
                prop_assert_eq!(before, after);
                prop_assert_eq!(limiter.in_flight(), under_way);
            }
        }
    }

    /// Several dimensions wait as long as the slowest would alone.
    #[test]
    fn property_26_the_wait_is_the_longest_of_all_dimensions(
        asks in prop::collection::vec((0..500u64, 0..150u64, 0..3_000u64), 1..60),
    ) {
        let limits = [
            rpm(30, 5),
            Limit::per_minute(Dimension::Itpm, 500),
            Limit::per_minute(Dimension::Otpm, 150),
        ];
        let mut all = Limiter::new(&quota(&limits)).unwrap();
        let mut each = limits.map(|limit| Limiter::new(&quota(&[limit])).unwrap());
        let mut now = Nanos::ZERO;
        for (input, output, pass) in asks {
            now = now + Duration::from_millis(pass);
            let cost = Cost::request(input, output);
            let alone = each.each_mut().map(|limiter| limiter.ready_at(cost, now).unwrap());
            let together = all.ready_at(cost, now).unwrap();
            prop_assert_eq!(Some(&together), alone.iter().max());
            if together == now {
                all.admit(cost, now).unwrap();
                for limiter in &mut each {
                    limiter.admit(cost, now).unwrap();
                }
            }
        }
    }

    /// A rate that was halved, several times, comes back at most half as much again at a time.
    #[test]
    fn a_ramp_is_never_outrun(halvings in 1..12u64, limit in 10_000..1_000_000u64) {
        let mut limiter = Limiter::new(&quota(&[tpm(limit, limit)])).unwrap();
        for second in 1..=halvings {
            limiter.slow_down(at(second), at(second));
        }
        // What flows in during each quarter of an hour, seen through one large cost.
        let mut last = None;
        let full = u128::from(limit);
        for step in 0..25u64 {
            let from = at(halvings + 900 * step);
            let left = limiter.available(Dimension::Tpm, from).unwrap();
            limiter.observe(Dimension::Tpm, Some(0), limiter.mark(), from);
            prop_assert!(left <= limit);
            let wait = limiter.ready_at(tokens(limit / 1_000), from).unwrap().since(from);
            let rate = u128::from(limit / 1_000) * MINUTE.as_nanos() / wait.as_nanos();
            if let Some(last) = last {
                // Rates are whole tokens a minute, and rounded down.
                prop_assert!(2 * rate <= 3 * (last + 1) + 2, "{last} then {rate} of {limit}");
                prop_assert!(rate >= last);
            }
            last = Some(rate);
        }
        prop_assert!(last.is_some_and(|last| last + 1 >= full));
    }
}
