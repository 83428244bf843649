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
fn a_fixed_backoff_is_always_the_same() {
    let backoff = Backoff::fixed(Duration::from_secs(3));
    for retry in [1, 2, 70, u32::MAX] {
        assert_eq!(backoff.delay(retry, None, 5), Duration::from_secs(3));
    }
}

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

/// The mean within three sigma of the middle, and the Kolmogorov-Smirnov distance below its 1 % bound.
#[test]
fn property_04_full_jitter_is_uniform() {
    let backoff = Backoff::default();
    let draws = Draws::new(11);
    let mut delays: Vec<_> = (0..10_000)
        .map(|call| backoff.delay(1, None, draws.draw(call, Purpose::Backoff, 1)).as_secs_f64())
        .collect();
    let count = 10_000_f64;
    let mean = delays.iter().sum::<f64>() / count;
    // The standard deviation of the uniform distribution on a second is 1/√12.
    assert!((mean - 0.5).abs() < 3.0 / 12_f64.sqrt() / count.sqrt(), "{mean}");
    delays.sort_by(f64::total_cmp);
    let mut rank = 0.0;
    let mut distance = 0_f64;
    for delay in delays {
        distance = distance.max((delay - rank / count).abs());
        rank += 1.0;
        distance = distance.max((rank / count - delay).abs());
    }
    assert!(distance < 1.63 / count.sqrt(), "{distance}");
}

/// P22, P23: a generator that is cloned for each call gives all of them the same delays; jitter that is small beside its delay keeps them in a wave.
#[test]
fn property_05_calls_wait_independently_and_a_seed_repeats_itself() {
    let backoff = Backoff::default();
    let sequence = |seed, call| -> Vec<_> {
        let draws = Draws::new(seed);
        (1..=6)
            .map(|n| backoff.delay(n, None, draws.draw(call, Purpose::Backoff, n.into())))
            .collect()
    };
    assert_eq!(sequence(1, 1), sequence(1, 1));
    let all: std::collections::BTreeSet<_> =
        (0..100).flat_map(|seed| (0..100).map(move |call| sequence(seed, call))).collect();
    assert_eq!(all.len(), 10_000, "two calls waited alike");
    // A hundred calls that failed together come back spread over the whole second, not in one wave.
    let mut tenths: Vec<_> = (0..100).map(|call| sequence(1, call)[0].as_millis() / 100).collect();
    tenths.sort_unstable();
    tenths.dedup();
    assert_eq!(tenths.len(), 10);
}

proptest! {
    /// P21: jitter that is added after the cap exceeds it.
    #[test]
    fn property_01_no_delay_exceeds_the_cap(backoff in any_backoff(), retry: u32, draw: u64, previous: Option<Duration>) {
        let delay = backoff.delay(retry, previous, draw);
        prop_assert!(delay <= backoff.cap);
    }

    /// P20: powers, sums and draws at the ends of their ranges.
    #[test]
    fn property_01_extremes_do_not_panic(retry: u32, draw: u64, jitter in jitter(), multiplier_ppm: u64) {
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
    fn property_02_the_envelope_never_shrinks(backoff in any_backoff(), retry in 1..200u32) {
        prop_assert!(backoff.envelope(retry) <= backoff.envelope(retry + 1));
    }

    #[test]
    fn property_02_the_envelope_is_base_times_two_to_the_n(base in 1..u64::MAX / 2, cap: u64, retry in 1..200u32) {
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
    fn property_03_each_jitter_keeps_to_its_range(
        base: u64, more: u64, retry in 1..80u32, previous: u64, draw: u64,
    ) {
        // Written out here, in wider numbers, so that the ranges are not judged by themselves.
        let cap = base.saturating_add(more);
        let envelope = match 1_u128.checked_shl(retry - 1) {
            Some(power) if power < 1 << 64 => (u128::from(base) * power).min(u128::from(cap)),
            _ if base == 0 => 0,
            _ => u128::from(cap),
        };
        let thrice = (3 * u128::from(previous)).clamp(u128::from(base), u128::from(cap));
        let ranges = [
            (Jitter::None, envelope, envelope),
            (Jitter::Full, 0, envelope),
            (Jitter::Equal, envelope / 2, envelope),
            (Jitter::Quarter, envelope - envelope.div_ceil(4), envelope),
            (Jitter::Decorrelated, u128::from(base), thrice),
        ];
        for (jitter, least, most) in ranges {
            let [base, cap] = [base, cap].map(Duration::from_nanos);
            let backoff = Backoff { base, cap, multiplier_ppm: 2_000_000, jitter };
            let previous = Some(Duration::from_nanos(previous));
            let delay = backoff.delay(retry, previous, draw);
            prop_assert!((least..=most).contains(&delay.as_nanos()), "{jitter:?}: {delay:?} not in {least}..={most}");
            prop_assert!(backoff.bounds(retry, previous).contains(&delay));
        }
    }

    #[test]
    fn the_bounds_are_reached(backoff in any_backoff(), retry in 1..100u32) {
        prop_assert_eq!(backoff.delay(retry, None, 0), *backoff.bounds(retry, None).start());
        prop_assert_eq!(backoff.delay(retry, None, u64::MAX), *backoff.bounds(retry, None).end());
    }
}
