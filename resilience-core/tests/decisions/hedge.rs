//! When a second request is sent, and what is known of each request in the end.

use std::time::Duration;

use proptest::prelude::*;
use resilience_core::parts::{Fate, Hedge, Hedger, Hindrance, NoHedge, Race, RaceVerdict, Sample};
use resilience_core::{
    Class, HedgeDelay, HedgeMistake, HedgeSettings, Nanos, Phase, Policy, Usage,
};

const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn at(millis: u64) -> Nanos {
    Nanos::from(Duration::from_millis(millis))
}

/// After 100 ms, and always paid for.
fn eager(hedges_max: u32) -> Hedger {
    let settings = HedgeSettings {
        delay: HedgeDelay::Fixed(millis(100)),
        hedges_max,
        budget_ppm: 1_000_000,
        ..HedgeSettings::default()
    };
    Hedger::new(settings).expect("the settings are sound")
}

fn begin(hedger: &mut Hedger, now: Nanos) -> Race {
    let mut race = Race::default();
    race.sent(now);
    hedger.began(now);
    race
}

/// Sends the hedge that is due.
fn hedge(hedger: &mut Hedger, race: &mut Race, now: Nanos) -> usize {
    match hedger.decide(race, None, now) {
        Hedge::Send(paid) => hedger.send(race, paid, now),
        other => panic!("{other:?}"),
    }
}

#[test]
fn hedges_are_off_by_default() {
    assert_eq!(Policy::default().hedge, None);
}

#[test]
fn a_hedge_is_due_when_the_latest_request_is_late() {
    let mut hedger = eager(2);
    let mut race = begin(&mut hedger, at(0));
    hedger.began(at(0));
    assert_eq!(hedger.decide(&race, None, at(99)), Hedge::Wait { until: at(100) });
    hedge(&mut hedger, &mut race, at(120));
    assert_eq!(hedger.decide(&race, None, at(120)), Hedge::Wait { until: at(220) });
    hedge(&mut hedger, &mut race, at(220));
    assert_eq!(hedger.decide(&race, None, at(900)), Hedge::Withhold(NoHedge::HedgesMax));
}

#[test]
fn what_is_late_is_learnt() {
    let mut hedger = Hedger::new(HedgeSettings::default()).expect("the settings are sound");
    let race = begin(&mut hedger, at(0));
    for took in 0..49 {
        hedger.observe(Sample::Exactly(millis(200 + took)));
        // However many were given up: they show only how long is not enough.
        hedger.observe(Sample::AtLeast(millis(1)));
    }
    assert_eq!(hedger.decide(&race, None, at(900)), Hedge::Withhold(NoHedge::Unmeasured));
    hedger.observe(Sample::Exactly(millis(249)));
    assert_eq!(hedger.delay(), Some(millis(247)));
}

#[test]
fn a_hedge_that_was_not_sent_is_not_paid() {
    let mut hedger = eager(1);
    let race = begin(&mut hedger, at(0));
    let Hedge::Send(paid) = hedger.decide(&race, None, at(100)) else { panic!("it is due") };
    assert_eq!(hedger.decide(&race, None, at(100)), Hedge::Withhold(NoHedge::Budget));
    hedger.refund(paid, at(100));
    assert!(matches!(hedger.decide(&race, None, at(100)), Hedge::Send(_)));
}

/// P47: a loser that is dropped leaves no line and no observation, so that bills are a surprise and hedges multiply.
#[test]
fn a_dropped_loser_is_on_the_bill_and_in_the_statistics() {
    let mut hedger = eager(1);
    let mut race = begin(&mut hedger, at(0));
    let hedge = hedge(&mut hedger, &mut race, at(100));
    assert_eq!(race.succeeded(hedge, None, at(150)), Some(Sample::Exactly(millis(50))));
    let losers: Vec<_> = race.running().collect();
    assert_eq!(losers, [0]);
    assert_eq!(race.cancelled(0, None, at(150)), Some(Sample::AtLeast(millis(150))));
    let fates: Vec<_> = race.ledger().iter().map(|entrant| entrant.fate).collect();
    assert_eq!(fates, [Fate::LoseUnknown, Fate::Win]);
}

/// P47: were only winners observed, ten slow requests that lost to quick hedges would never have been.
#[test]
fn losers_keep_the_delay_from_shrinking() {
    let settings = HedgeSettings {
        delay: HedgeDelay::Quantile { ppm: 900_000, samples_min: 10, delay_min: millis(1) },
        ..HedgeSettings::default()
    };
    let mut hedger = Hedger::new(settings).expect("the settings are sound");
    for _ in 0..80 {
        hedger.observe(Sample::Exactly(millis(50)));
    }
    for _ in 0..20 {
        hedger.observe(Sample::AtLeast(millis(400)));
    }
    assert_eq!(hedger.delay(), Some(millis(400)));
}

#[test]
fn an_early_error_says_nothing_about_first_tokens() {
    let mut race = Race::default();
    for class in [Class::Server, Class::Timeout { phase: Phase::FirstToken }, Class::Network] {
        let place = race.sent(at(0));
        let seen = race.failed(place, class, at(10));
        let expected = match class {
            Class::Timeout { .. } => Some(Sample::AtLeast(millis(10))),
            _ => None,
        };
        assert_eq!(seen, expected, "{class}");
    }
    let fates: Vec<_> = race.ledger().iter().map(|entrant| entrant.fate).collect();
    let free = Fate::LoseKnown(Usage::default());
    assert_eq!(fates, [free, Fate::LoseUnknown, Fate::LoseUnknown]);
}

#[test]
fn every_mistake_of_a_hedge_is_named() {
    assert_eq!(HedgeSettings::default().mistakes(), []);
    let settings = HedgeSettings {
        delay: HedgeDelay::Quantile { ppm: 1_000_001, samples_min: 513, delay_min: millis(0) },
        hedges_max: 0,
        budget_ppm: 0,
        saved_max: 0,
    };
    assert_eq!(
        settings.mistakes(),
        [
            HedgeMistake::Zero { name: "budget_ppm" },
            HedgeMistake::AboveWhole { name: "the quantile", ppm: 1_000_001 },
            HedgeMistake::TooManySamples { samples_min: 513 },
            HedgeMistake::Zero { name: "hedges_max" },
            HedgeMistake::Zero { name: "saved_max" },
        ]
    );
}

fn hindrance() -> impl Strategy<Value = Option<Hindrance>> {
    prop_oneof![
        3 => Just(None),
        1 => Just(Some(Hindrance::BreakerOpen)),
        1 => Just(Some(Hindrance::LimiterWaits)),
        1 => Just(Some(Hindrance::Paused)),
    ]
}

/// How a request in a race ends.
#[derive(Clone, Copy, Debug)]
enum End {
    Cancelled,
    Failed(Class),
    Succeeded,
}

fn ends() -> impl Strategy<Value = Vec<(usize, End)>> {
    let end = prop_oneof![
        1 => Just(End::Cancelled),
        2 => Just(End::Failed(Class::Server)),
        2 => Just(End::Failed(Class::Network)),
        2 => Just(End::Succeeded),
    ];
    prop::collection::vec((0..6usize, end), 0..20)
}

proptest! {
    #[test]
    fn property_48_hedges_are_few_late_and_unhindered(
        hedges_max in 1..4u32,
        budget_ppm in 1..=200_000u32,
        calls in prop::collection::vec(prop::collection::vec((0..150u64, hindrance()), 0..8), 1..80),
    ) {
        let settings = HedgeSettings {
            delay: HedgeDelay::Fixed(millis(100)),
            hedges_max,
            budget_ppm,
            ..HedgeSettings::default()
        };
        let mut hedger = Hedger::new(settings).expect("the settings are sound");
        let (mut begun, mut hedges, mut now) = (0_u64, 0_u64, Nanos::ZERO);
        for asked in calls {
            let mut race = begin(&mut hedger, now);
            begun += 1;
            for (wait, hindrance) in asked {
                now = now + millis(wait);
                let latest = race.ledger().last().expect("one was sent").sent_at;
                if let Hedge::Send(paid) = hedger.decide(&race, hindrance, now) {
                    prop_assert_eq!(hindrance, None);
                    prop_assert!(now.since(latest) >= millis(100));
                    hedger.send(&mut race, paid, now);
                    hedges += 1;
                }
            }
            prop_assert!(race.ledger().len() <= 1 + usize::try_from(hedges_max).unwrap());
            // Exact: not one hedge ahead of its share.
            prop_assert!(hedges * 1_000_000 <= begun * u64::from(budget_ppm));
        }
    }

    #[test]
    fn property_49_the_first_success_wins_and_every_send_has_its_line(
        sends in 1..6usize,
        ends in ends(),
    ) {
        let mut race = Race::default();
        for place in 0..sends {
            prop_assert_eq!(race.sent(at(0)), place);
        }
        let mut over = Vec::new();
        let mut first = None;
        for (place, end) in ends {
            let news = place < sends && !over.contains(&place);
            let seen = match end {
                End::Cancelled => race.cancelled(place, None, at(5)),
                End::Failed(class) => race.failed(place, class, at(5)),
                End::Succeeded => race.succeeded(place, None, at(5)),
            };
            if news {
                over.push(place);
                if let End::Succeeded = end {
                    first = first.or(Some(place));
                    prop_assert_eq!(seen, Some(Sample::Exactly(millis(5))));
                }
            } else {
                prop_assert_eq!(seen, None);
            }
            prop_assert_eq!(race.winner(), first);
            prop_assert_eq!(race.verdict().is_some_and(|_| over.len() < sends), false);
        }
        let rest: Vec<_> = race.running().collect();
        prop_assert_eq!(rest.len() + over.len(), sends);
        for place in rest {
            prop_assert_eq!(race.verdict(), None);
            let usage = Usage { input: 1, output: 2 };
            prop_assert!(race.cancelled(place, Some(usage), at(9)).is_some());
            prop_assert_eq!(race.ledger()[place].fate, Fate::LoseKnown(usage));
        }
        prop_assert_eq!(race.ledger().len(), sends);
        prop_assert!(race.ledger().iter().all(|entrant| entrant.fate != Fate::Running));
        match race.verdict() {
            Some(RaceVerdict::Won { place }) => prop_assert_eq!(Some(place), first),
            Some(RaceVerdict::AllFailed { .. }) | None => prop_assert_eq!(first, None),
        }
    }
}
