//! What holds for every backoff.

use std::time::Duration;

use proptest::prelude::*;
use resilience_core::{Backoff, Draws, Jitter, Purpose};

const JITTERS: [Jitter; 5] =
    [Jitter::Decorrelated, Jitter::Equal, Jitter::Full, Jitter::None, Jitter::Quarter];

fn jitter() -> impl Strategy<Value = Jitter> {
    prop::sample::select(JITTERS.to_vec())
}

fn any_backoff() -> impl Strategy<Value = Backoff> {
    let span = || {
        any::<(u64, u32)>().prop_map(|(secs, nanos)| {
            // Every order of magnitude, not only the huge ones.
            Duration::new(secs >> (nanos % 64), nanos % 1_000_000_000)
        })
    };
    let multiplier = prop_oneof![Just(2_000_000), Just(1_000_000), 1_100_000..=10_000_000u64];
    (span(), span(), multiplier, jitter()).prop_map(|(a, b, multiplier_ppm, jitter)| Backoff {
        base: a.min(b),
        cap: a.max(b),
        multiplier_ppm,
        jitter,
    })
}

#[test]
fn the_default_doubles_from_a_second_to_a_minute() {
    let backoff = Backoff::default();
    let envelope: Vec<_> = (1..=8).map(|retry| backoff.envelope(retry).as_secs()).collect();
    assert_eq!(envelope, [1, 2, 4, 8, 16, 32, 60, 60]);
    assert_eq!(backoff.bounds(1, None), Duration::ZERO..=Duration::from_secs(1));
    assert_eq!(backoff.delay(3, None, u64::MAX), Duration::from_secs(4));
    assert_eq!(backoff.delay(3, None, 0), Duration::ZERO);
}

/// The figures of the SDKs' own tests: 0.5, 1, 2, … 8 s.
#[test]
fn the_sdk_preset_meets_the_sdks() {
    let backoff = Backoff::sdk();
    for (retry, secs) in [(1, 0.5), (2, 1.0), (3, 2.0), (5, 8.0), (1_104, 8.0)] {
        let most = Duration::from_secs_f64(secs);
        assert_eq!(backoff.bounds(retry, None), most * 3 / 4..=most, "retry {retry}");
    }
}

#[test]
fn another_multiplier_is_as_exact() {
    let backoff = Backoff {
        base: Duration::from_secs(1),
        cap: Duration::from_secs(100),
        multiplier_ppm: 1_500_000,
        jitter: Jitter::None,
    };
    let delays: Vec<_> = (1..=5).map(|retry| backoff.delay(retry, None, 0).as_micros()).collect();
    assert_eq!(delays, [1_000_000, 1_500_000, 2_250_000, 3_375_000, 5_062_500]);
}

/// Full jitter fills its range evenly: ten bins of ten thousand draws, each within five sigma.
#[test]
fn full_jitter_is_uniform() {
    let backoff = Backoff::default();
    let draws = Draws::new(11);
    let mut bins = [0_u32; 10];
    for call in 0..10_000 {
        let delay = backoff.delay(1, None, draws.draw(call, Purpose::Backoff, 1));
        bins[usize::try_from(delay.as_millis() / 100).unwrap().min(9)] += 1;
    }
    assert!(bins.iter().all(|bin| (850..=1_150).contains(bin)), "{bins:?}");
}

/// A cloned generator gave three sequences identical delays.
#[test]
fn two_calls_wait_differently_and_one_call_repeats_itself() {
    let backoff = Backoff::default();
    let sequence = |seed, call| -> Vec<_> {
        let draws = Draws::new(seed);
        (1..=6)
            .map(|n| backoff.delay(n, None, draws.draw(call, Purpose::Backoff, n.into())))
            .collect()
    };
    assert_eq!(sequence(1, 1), sequence(1, 1));
    assert_ne!(sequence(1, 1), sequence(1, 2));
    assert_ne!(sequence(1, 1), sequence(2, 1));
}

proptest! {
    #[test]
    fn no_delay_exceeds_the_cap(backoff in any_backoff(), retry: u32, draw: u64, previous: Option<Duration>) {
        let delay = backoff.delay(retry, previous, draw);
        prop_assert!(delay <= backoff.cap);
    }

    #[test]
    fn extremes_do_not_panic(retry: u32, draw: u64, jitter in jitter(), multiplier_ppm: u64) {
        for (base, cap) in [
            (Duration::ZERO, Duration::ZERO),
            (Duration::ZERO, Duration::MAX),
            (Duration::MAX, Duration::MAX),
            (Duration::MAX, Duration::ZERO),
        ] {
            let backoff = Backoff { base, cap, multiplier_ppm, jitter };
            backoff.delay(retry, Some(Duration::MAX), draw);
            backoff.bounds(retry, None);
        }
    }

    #[test]
    fn the_envelope_never_shrinks(backoff in any_backoff(), retry in 1..200u32) {
        prop_assert!(backoff.envelope(retry) <= backoff.envelope(retry + 1));
    }

    #[test]
    fn doubling_is_base_times_two_to_the_n(base in 1..u64::MAX / 2, cap: u64, retry in 1..200u32) {
        let cap = cap.max(base);
        let backoff = Backoff {
            base: Duration::from_nanos(base),
            cap: Duration::from_nanos(cap),
            multiplier_ppm: 2_000_000,
            jitter: Jitter::None,
        };
        let exact = u128::from(base).checked_shl(retry - 1).filter(|_| retry < 64).unwrap_or(u128::MAX);
        prop_assert_eq!(backoff.envelope(retry).as_nanos(), exact.min(u128::from(cap)));
    }

    #[test]
    fn every_delay_is_within_its_bounds(backoff in any_backoff(), retry: u32, draw: u64, previous: Option<Duration>) {
        let bounds = backoff.bounds(retry, previous);
        let delay = backoff.delay(retry, previous, draw);
        prop_assert!(bounds.contains(&delay), "{:?} not in {:?}", delay, bounds);
    }

    #[test]
    fn the_bounds_are_reached(backoff in any_backoff(), retry in 1..100u32) {
        prop_assert_eq!(backoff.delay(retry, None, 0), *backoff.bounds(retry, None).start());
        prop_assert_eq!(backoff.delay(retry, None, u64::MAX), *backoff.bounds(retry, None).end());
    }
}
