//! What clients learn from refusals: a concurrency, a rate, and when not to ask at all.

use std::collections::VecDeque;
use std::time::Duration;

use proptest::prelude::*;
use resilience_core::parts::{Aimd, Cubic, Limiter, Shedder};
use resilience_core::{
    AimdMistake, AimdSettings, Class, Cost, Dimension, Draws, Limit, Nanos, Phase, Purpose, Quota,
    ShedMistake, ShedSettings,
};

const REFUSED: Class = Class::RateLimited { dimension: None };

fn at(millis: u64) -> Nanos {
    Nanos::from(Duration::from_millis(millis))
}

fn aimd(settings: AimdSettings) -> Aimd {
    Aimd::new(settings).expect("the settings are sound")
}

fn shedder(multiplier_ppm: u32, window: Duration) -> Shedder {
    Shedder::new(ShedSettings { multiplier_ppm, window }).expect("the settings are sound")
}

/// A window without a refusal, in full use.
fn clean_window(aimd: &mut Aimd, now: Nanos) {
    for _ in 0..aimd.limit() {
        aimd.ended(Ok(()), aimd.limit(), now, now);
    }
}

#[test]
fn what_asks_for_less_traffic_is_one_list() {
    for class in [
        REFUSED,
        Class::Overloaded,
        Class::RampLimited,
        Class::Timeout { phase: Phase::FirstToken },
    ] {
        assert!(class.slows_down(), "{class}");
    }
    for class in [
        Class::QuotaExhausted,
        Class::Server,
        Class::Timeout { phase: Phase::Attempt },
        Class::Timeout { phase: Phase::Idle },
    ] {
        assert!(!class.slows_down(), "{class}");
    }
}

#[test]
fn a_limit_that_nobody_uses_does_not_grow() {
    let mut aimd = aimd(AimdSettings::default());
    for _ in 0..1_000 {
        aimd.ended(Ok(()), 3, at(0), at(0));
    }
    assert_eq!(aimd.limit(), 8);
    clean_window(&mut aimd, at(0));
    assert_eq!(aimd.limit(), 9);
}

/// What was under way when the limit fell was sent under the old one.
#[test]
fn a_burst_of_refusals_is_one_refusal() {
    let mut aimd = aimd(AimdSettings { limit_initial: 64, ..AimdSettings::default() });
    for wait in 0..10 {
        aimd.ended(Err(REFUSED), 64, at(0), at(5_000 + 2_000 * wait));
    }
    assert_eq!(aimd.limit(), 45);
    aimd.ended(Err(REFUSED), 45, at(5_001), at(30_000));
    assert_eq!(aimd.limit(), 32);
    // Sent afterwards, but within the second.
    aimd.ended(Err(REFUSED), 45, at(30_001), at(30_999));
    assert_eq!(aimd.limit(), 32);
}

/// P54: an answer of 4000 tokens takes a hundred times as long as one of 40, and neither says anything about the load.
#[test]
fn how_long_answers_take_changes_no_limit() {
    let limits = |took: u64| -> Vec<u32> {
        let mut aimd = aimd(AimdSettings::default());
        let answers = (0..400_u64).map(|index| {
            // Refused at the same instants; only the time that the good answers took differs.
            let (sent_at, now) = (at(10_000 * index), at(10_000 * index + 5_000));
            if index % 50 == 49 {
                aimd.ended(Err(REFUSED), aimd.limit(), sent_at, now);
            } else {
                aimd.ended(
                    Ok(()),
                    aimd.limit(),
                    now.saturating_sub(Duration::from_millis(took)),
                    now,
                );
            }
            aimd.limit()
        });
        answers.collect()
    };
    assert_eq!(limits(10), limits(120_000));
    assert!(limits(10).iter().any(|limit| *limit > 10));
}

/// P12: with a state for each call, every call begins without what the others have learnt.
#[test]
fn what_one_call_learns_the_next_one_keeps() {
    let mut cubic = Cubic::new(at(0));
    for answer in 1..=20 {
        assert_eq!(cubic.admit(at(100 * answer)), Ok(()));
        cubic.ended(Ok(()), at(100 * answer));
    }
    assert_eq!(cubic.rate_milli(), None);
    // One call is refused, and the next must wait.
    cubic.ended(Err(REFUSED), at(2_050));
    assert!(cubic.admit(at(2_050)).is_err());
    assert!(cubic.rate_milli().is_some_and(|rate| rate < 10_000));
}

/// P10: five tokens for a retry from a bucket with room for one is a wait without end.
#[test]
fn after_any_number_of_refusals_a_send_is_admitted() {
    let mut cubic = Cubic::new(at(0));
    for refusal in 0..100 {
        cubic.ended(Err(REFUSED), at(10 * refusal));
    }
    assert_eq!((cubic.rate_milli(), cubic.burst_milli()), (Some(500), Some(1_000)));
    let mut now = at(1_000);
    let asked = (0..10).find(|_| match cubic.admit(now) {
        Ok(()) => true,
        Err(wait) => {
            assert!(wait > Duration::ZERO);
            now = now + wait;
            false
        }
    });
    assert!(asked.is_some());
    assert!(now <= at(3_001));
}

/// P11: a retry that only sleeps for its token, and never takes it, is sent above the rate.
#[test]
fn who_has_waited_still_pays() {
    let mut cubic = Cubic::new(at(0));
    cubic.ended(Err(REFUSED), at(0));
    let (mut sent, mut now) = (0, at(0));
    while now < at(60_000) {
        match cubic.admit(now) {
            Ok(()) => sent += 1,
            Err(wait) => now = now + wait,
        }
    }
    // Half a request per second for a minute.
    assert!((29..=30).contains(&sent), "{sent}");
}

/// P48: counted when they end, a thousand requests at once find an empty window and all go out.
#[test]
fn a_request_counts_before_its_answer() {
    let mut shedder = shedder(2_000_000, Duration::from_secs(120));
    let draws = Draws::new(3);
    let admitted: Vec<_> = (0..1_000)
        .filter(|call| shedder.admit(draws.draw(*call, Purpose::Backoff, 0), at(0)).is_ok())
        .collect();
    assert_eq!(shedder.counts(at(0)), (1_000, 0));
    // With nothing accepted the chances to be sent are 1, 1/2, 1/3, …: about seven of a thousand.
    assert!((2..=15).contains(&admitted.len()), "{admitted:?}");
}

#[test]
fn while_half_is_accepted_nothing_is_shed() {
    let mut shedder = shedder(2_000_000, Duration::from_secs(120));
    for second in 0..1_000 {
        shedder.ended(Ok(()), at(second * 1_000));
        for _ in 0..2 {
            assert_eq!(shedder.admit(0, at(second * 1_000)), Ok(()));
        }
    }
}

#[test]
fn only_a_lack_of_capacity_is_no_acceptance() {
    let mut shedder = shedder(2_000_000, Duration::from_secs(120));
    for class in [Class::InvalidRequest, Class::Cancelled, Class::QuotaExhausted] {
        shedder.ended(Err(class), at(0));
    }
    assert_eq!(shedder.counts(at(0)), (0, 3));
    for class in [REFUSED, Class::Overloaded, Class::Connect, Class::RampLimited] {
        shedder.ended(Err(class), at(0));
    }
    assert_eq!(shedder.counts(at(0)), (0, 3));
}

/// The closed forms of the book: a target that takes 100 a second is sent min(G / 100, K) requests per accepted one.
#[test]
fn as_many_are_refused_as_the_book_says() {
    for (per_second, multiplier_ppm, sent_per_accept, shed_share) in [
        (150_u64, 2_000_000, 1.5, 0.0),
        (300, 2_000_000, 2.0, 1.0 / 3.0),
        (300, 1_100_000, 1.1, 1.0 - 1.1 / 3.0),
    ] {
        let mut shedder = shedder(multiplier_ppm, Duration::from_secs(120));
        let limit = Limit { burst: 100, ..Limit::per_minute(Dimension::Rpm, 6_000) };
        let mut target = Limiter::new(&Quota { limits: vec![limit], ..Quota::default() }).unwrap();
        let draws = Draws::new(5);
        let (mut asked, mut sent, mut accepted) = (0_u32, 0_u32, 0_u32);
        for index in 0..per_second * 600 {
            let now = Nanos::new(index * 1_000_000_000 / per_second);
            let shed = shedder.admit(draws.draw(index, Purpose::Backoff, 0), now).is_err();
            let accepts = !shed && target.admit(Cost::request(0, 0), now).is_ok();
            if !shed {
                shedder.ended(if accepts { Ok(()) } else { Err(Class::Overloaded) }, now);
            }
            if now >= at(300_000) {
                asked += 1;
                sent += u32::from(!shed);
                accepted += u32::from(accepts);
            }
        }
        let ratio = f64::from(sent) / f64::from(accepted);
        assert!((ratio / sent_per_accept - 1.0).abs() < 0.02, "{per_second}: {ratio}");
        let share = f64::from(asked - sent) / f64::from(asked);
        assert!((share - shed_share).abs() < 0.02, "{per_second}: {share}");
    }
}

#[test]
fn every_mistake_of_what_adapts_is_named() {
    assert_eq!(AimdSettings::default().mistakes(), []);
    assert_eq!(ShedSettings::default().mistakes(), []);
    let aimd = AimdSettings {
        limit_min: 0,
        add: 0,
        beta_ppm: 1_000_000,
        limit_max: 7,
        ..AimdSettings::default()
    };
    assert_eq!(
        aimd.mistakes(),
        [
            AimdMistake::NoDecrease { beta_ppm: 1_000_000 },
            AimdMistake::OutOfOrder { limit_min: 0, limit_initial: 8, limit_max: 7 },
            AimdMistake::Zero { name: "add" },
            AimdMistake::Zero { name: "limit_min" },
        ]
    );
    let sre = ShedSettings { multiplier_ppm: 999_999, window: Duration::ZERO };
    assert_eq!(
        sre.mistakes(),
        [ShedMistake::MultiplierBelowOne { multiplier_ppm: 999_999 }, ShedMistake::NoWindow]
    );
}

fn any_aimd() -> impl Strategy<Value = AimdSettings> {
    (1..10u32, 0..20u32, 0..40u32, 1..5u32, 0..1_000_000u32, 0..5_000u64).prop_map(
        |(min, initial, max, add, beta_ppm, epoch)| AimdSettings {
            limit_min: min,
            limit_initial: min + initial,
            limit_max: min + initial + max,
            add,
            beta_ppm,
            epoch: Duration::from_millis(epoch),
        },
    )
}

/// An answer: how long ago its request was sent, how long after the one before it came, and whether it was a refusal.
type Answer = (u64, u64, bool);

fn answers() -> impl Strategy<Value = Vec<Answer>> {
    prop::collection::vec((0..3_000u64, 0..1_500u64, prop::bool::weighted(0.2)), 0..300)
}

proptest! {
    #[test]
    fn property_40_the_limit_stays_in_its_range_and_falls_once_per_epoch(
        settings in any_aimd(),
        answers in answers(),
    ) {
        let mut aimd = aimd(settings);
        let (mut now, mut fell_at) = (at(3_000), None::<Nanos>);
        for (age, wait, refused) in answers {
            now = now + Duration::from_millis(wait);
            let before = aimd.limit();
            let sent_at = now.saturating_sub(Duration::from_millis(age));
            aimd.ended(if refused { Err(REFUSED) } else { Ok(()) }, before, sent_at, now);
            let after = aimd.limit();
            prop_assert!((settings.limit_min..=settings.limit_max).contains(&after));
            let news = fell_at.is_none_or(|at| sent_at >= at && now.since(at) >= settings.epoch);
            if refused && news {
                let share = u64::from(before) * u64::from(settings.beta_ppm);
                let most = u32::try_from(share.div_ceil(1_000_000)).unwrap();
                prop_assert!(after <= most.max(settings.limit_min));
                prop_assert!(after < before || after == settings.limit_min);
                fell_at = Some(now);
            } else {
                prop_assert!(after >= before);
                prop_assert!(after <= before.saturating_add(settings.add));
            }
        }
    }

    #[test]
    fn property_40_clean_windows_add_up(settings in any_aimd(), windows in 0..60u32) {
        let mut aimd = aimd(settings);
        for _ in 0..windows {
            clean_window(&mut aimd, at(0));
        }
        prop_assert_eq!(aimd.limit(), settings.limit_max.min(settings.limit_initial + windows * settings.add));
    }

    /// In whole numbers, against a list of everything that happened.
    #[test]
    fn the_odds_are_exact_and_the_window_is_never_too_short(
        happened in prop::collection::vec((0..5_000u64, any::<bool>(), any::<u64>()), 1..200),
        multiplier_ppm in 1_000_000..3_000_000u32,
    ) {
        let mut shedder = shedder(multiplier_ppm, Duration::from_secs(60));
        let mut log = VecDeque::new();
        let mut now = at(0);
        for (wait, accepted, draw) in happened {
            now = now + Duration::from_millis(wait);
            // A slot is a second; beside the current one sixty are remembered.
            let slot = now.get() / 1_000_000_000;
            log.retain(|(at, _)| slot - at <= 60);
            if accepted {
                shedder.ended(Ok(()), now);
                log.push_back((slot, true));
                continue;
            }
            let accepts = log.iter().filter(|(_, accept)| *accept).count();
            let requests = u128::try_from(log.len() - accepts).unwrap();
            let covered = u128::try_from(accepts).unwrap() * u128::from(multiplier_ppm);
            let excess = (requests * 1_000_000).saturating_sub(covered);
            let shed = u128::from(draw) * (requests + 1) * 1_000_000 < excess << 64;
            prop_assert_eq!(shedder.admit(draw, now).is_err(), shed);
            log.push_back((slot, false));
        }
    }

    #[test]
    fn no_answers_make_anything_panic(times: [u64; 6], draw: u64, kinds: [bool; 6], window: Option<Duration>) {
        let mut aimd = aimd(AimdSettings::default());
        let mut cubic = Cubic::new(Nanos::new(times[0]));
        let window = window.filter(|window| !window.is_zero()).unwrap_or(Duration::MAX);
        let mut shedder = shedder(1_000_000, window);
        for (time, refused) in times.into_iter().zip(kinds) {
            let now = Nanos::new(time);
            let result = if refused { Err(REFUSED) } else { Ok(()) };
            aimd.ended(result, u32::MAX, Nanos::new(draw), now);
            cubic.ended(result, now);
            let _ = cubic.admit(now);
            shedder.ended(result, now);
            let _ = shedder.admit(draw, now);
        }
    }
}
