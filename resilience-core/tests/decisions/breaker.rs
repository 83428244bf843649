//! The circuit breaker against its specification, and the ways in which others get stuck or fooled.

use std::time::Duration;

use proptest::prelude::*;
use resilience_core::parts::{Breaker, BreakerState, Pass, Rejection, Tally};
use resilience_core::{
    BreakerMistake, BreakerSettings, Class, Counts, LocalReject, Missing, Nanos, Phase,
};

fn settings() -> BreakerSettings {
    BreakerSettings {
        outcomes_max: 10,
        remember: secs(60),
        outcomes_min: 4,
        failure_ppm: 500_000,
        weak_ppm: 500_000,
        open_min: secs(10),
        open_max: secs(60),
        jitter_ppm: 200_000,
        trials: 2,
        trial_timeout: secs(30),
    }
}

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn at(secs: u64) -> Nanos {
    Nanos::from(Duration::from_secs(secs))
}

fn breaker() -> Breaker {
    Breaker::new(settings()).expect("the settings are sound")
}

fn pass(breaker: &mut Breaker, now: Nanos) -> Pass {
    breaker.admit(now).expect("there is room")
}

fn end(breaker: &mut Breaker, result: Result<(), Class>, now: Nanos) {
    let pass = pass(breaker, now);
    breaker.settle(pass, result, 0, now);
}

/// Open from zero to ten seconds.
fn opened() -> Breaker {
    let mut breaker = breaker();
    for _ in 0..4 {
        end(&mut breaker, Err(Class::Server), Nanos::ZERO);
    }
    assert_eq!(breaker.state(Nanos::ZERO), BreakerState::Open { until: at(10) });
    breaker
}

#[test]
fn it_opens_at_the_failure_rate_but_not_before_the_minimum() {
    let mut breaker = breaker();
    for result in [Err(Class::Server), Err(Class::Connect), Ok(())] {
        end(&mut breaker, result, Nanos::ZERO);
        assert_eq!(breaker.state(Nanos::ZERO), BreakerState::Closed);
    }
    end(&mut breaker, Ok(()), Nanos::ZERO);
    assert_eq!(breaker.state(Nanos::ZERO), BreakerState::Open { until: at(10) });
}

#[test]
fn it_closes_when_every_trial_has_succeeded_and_then_begins_anew() {
    let mut breaker = opened();
    end(&mut breaker, Ok(()), at(10));
    assert_eq!(breaker.state(at(10)), BreakerState::HalfOpen);
    end(&mut breaker, Ok(()), at(10));
    assert_eq!(breaker.state(at(10)), BreakerState::Closed);
    assert_eq!(breaker.tally(at(10)), Some(Tally::default()));
}

#[test]
fn two_answers_that_cannot_be_read_are_one_failure() {
    let mut breaker = opened();
    end(&mut breaker, Err(Class::Decode), at(10));
    assert_eq!(breaker.state(at(10)), BreakerState::HalfOpen);
    end(&mut breaker, Err(Class::Decode), at(10));
    assert_eq!(breaker.state(at(10)), BreakerState::Open { until: at(30) });
}

/// P36: a trial whose permit is never returned leaves others half open for ever.
#[test]
fn a_lost_trial_gives_its_place_up_in_time() {
    let mut breaker = opened();
    drop([pass(&mut breaker, at(10)), pass(&mut breaker, at(20))]);
    assert_eq!(breaker.admit(at(20)), Err(Rejection { retry_in: secs(20) }));
    assert_eq!(breaker.ready_at(at(20)), at(40));
    let trial = pass(&mut breaker, at(40));
    assert_eq!(breaker.admit(at(40)), Err(Rejection { retry_in: secs(10) }));
    breaker.settle(trial, Ok(()), 0, at(41));
    end(&mut breaker, Ok(()), at(50));
    assert_eq!(breaker.state(at(50)), BreakerState::Closed);
}

#[test]
fn a_trial_that_takes_longer_than_its_place_lasts_still_counts() {
    let mut breaker = opened();
    let slow = [pass(&mut breaker, at(10)), pass(&mut breaker, at(10))];
    for slow in slow {
        breaker.settle(slow, Ok(()), 0, at(100));
    }
    assert_eq!(breaker.state(at(100)), BreakerState::Closed);
}

/// P37: a success from before the outage closes the circuit of others while the trial is still under way.
#[test]
fn an_answer_from_before_the_outage_changes_nothing() {
    let mut breaker = breaker();
    let stale: Vec<_> = (0..6).map(|_| pass(&mut breaker, Nanos::ZERO)).collect();
    for _ in 0..4 {
        end(&mut breaker, Err(Class::Server), Nanos::ZERO);
    }
    let trial = pass(&mut breaker, at(10));
    let before = breaker.clone();
    for (index, stale) in stale.into_iter().enumerate() {
        let result = if index % 2 == 0 { Ok(()) } else { Err(Class::Server) };
        breaker.settle(stale, result, 0, at(11));
        assert_eq!(breaker, before);
    }
    breaker.settle(trial, Err(Class::Server), 0, at(12));
    assert_eq!(breaker.state(at(12)), BreakerState::Open { until: at(32) });
}

/// P38: when the time is up, all that waited rush in.
#[test]
fn a_crowd_meets_as_many_trials_as_there_are_places() {
    let mut breaker = opened();
    let passed: Vec<_> = (0..1_000).filter_map(|_| breaker.admit(at(10)).ok()).collect();
    assert_eq!(passed.len(), 2);
    assert!(passed.iter().all(Pass::is_trial));
}

/// Every class, so that a new one must be given its column.
#[test]
fn property_46_what_is_not_the_targets_fault_changes_no_count() {
    for class in [
        Class::Auth,
        Class::Cancelled,
        Class::Conflict,
        Class::ContentPolicy,
        Class::ContextOverflow { limit: None, requested: None },
        Class::InvalidRequest,
        Class::Local(LocalReject::LimiterTooLate),
        Class::NotFound(Missing::Model),
        Class::NotFound(Missing::Resource),
        Class::NotProcessed,
        Class::Permission,
        Class::QuotaExhausted,
        Class::RampLimited,
        Class::RateLimited { dimension: None },
        Class::RequestExceedsLimit { limit: None, requested: None },
        Class::RequestTooLarge,
        Class::Timeout { phase: Phase::Call },
        Class::TooEarly,
    ] {
        assert_eq!(class.treatment().counts, Counts::Neutral, "{class}");
        let mut closed = breaker();
        end(&mut closed, Err(Class::Server), Nanos::ZERO);
        let before = closed.clone();
        end(&mut closed, Err(class), Nanos::ZERO);
        assert_eq!(closed, before, "{class}");
        let mut half_open = opened();
        end(&mut half_open, Err(class), at(10));
        let places = (0..3).filter(|_| half_open.admit(at(10)).is_ok()).count();
        assert_eq!((half_open.state(at(10)), places), (BreakerState::HalfOpen, 2), "{class}");
    }
    for class in [
        Class::Connect,
        Class::Network,
        Class::Overloaded,
        Class::Server,
        Class::StreamInterrupted { committed: false },
        Class::StreamInterrupted { committed: true },
        Class::Timeout { phase: Phase::FirstToken },
    ] {
        assert_eq!(class.treatment().counts, Counts::Failure, "{class}");
    }
}

#[test]
fn every_mistake_of_a_breaker_is_named() {
    assert_eq!(BreakerSettings::default().mistakes(), []);
    let wrong = BreakerSettings {
        outcomes_min: 11,
        failure_ppm: 1_000_001,
        open_min: secs(61),
        trials: 0,
        ..settings()
    };
    assert_eq!(
        wrong.mistakes(),
        [
            BreakerMistake::AboveWhole { name: "failure_ppm", ppm: 1_000_001 },
            BreakerMistake::NeverOpens { outcomes_min: 11, outcomes_max: 10 },
            BreakerMistake::OpenReversed { open_min: secs(61), open_max: secs(60) },
            BreakerMistake::Zero { name: "trials" },
        ]
    );
}

/// What is done to a breaker; passes are chosen by number, modulo how many there are.
#[derive(Clone, Copy, Debug)]
enum Step {
    Admit,
    Cancel(usize),
    Lose(usize),
    Settle(usize, Result<(), Class>, u64),
    Wait(u64),
}

fn result() -> impl Strategy<Value = Result<(), Class>> {
    prop_oneof![
        4 => Just(Ok(())),
        4 => Just(Err(Class::Server)),
        1 => Just(Err(Class::Decode)),
        1 => Just(Err(Class::RateLimited { dimension: None })),
        1 => Just(Err(Class::InvalidRequest)),
    ]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => Just(Step::Admit),
        1 => any::<usize>().prop_map(Step::Cancel),
        1 => any::<usize>().prop_map(Step::Lose),
        5 => (any::<usize>(), result(), any::<u64>()).prop_map(|(i, r, d)| Step::Settle(i, r, d)),
        2 => (0..20_u64).prop_map(Step::Wait),
    ];
    prop::collection::vec(step, 1..150)
}

fn any_settings() -> impl Strategy<Value = BreakerSettings> {
    (1..8u32, 0..8u32, 1..40u64, 1..=10u32, 1..=4u32, 1..40u64).prop_map(
        |(min, more, remember, tenths, trials, trial_timeout)| BreakerSettings {
            outcomes_max: min + more,
            outcomes_min: min,
            remember: secs(remember),
            failure_ppm: tenths * 100_000,
            trials,
            trial_timeout: secs(trial_timeout),
            ..settings()
        },
    )
}

/// The specification, kept as simply as it can be: all that ever happened, and no sums.
struct Spec {
    settings: BreakerSettings,
    state: SpecState,
    changes: u64,
    openings: u32,
}

enum SpecState {
    Closed { outcomes: Vec<(Nanos, u64)> },
    HalfOpen { trials: Vec<SpecTrial> },
    Open { until: Nanos },
}

struct SpecTrial {
    began: Nanos,
    ended: bool,
    /// What its result weighs, if there is one that counts.
    weight: Option<u64>,
}

/// What the specification knows of a pass.
struct SpecPass {
    changes: u64,
    trial: Option<usize>,
}

impl Spec {
    fn new(settings: BreakerSettings) -> Self {
        let state = SpecState::Closed { outcomes: Vec::new() };
        Self { settings, state, changes: 0, openings: 0 }
    }

    fn enter(&mut self, state: SpecState) {
        self.state = state;
        self.changes += 1;
    }

    fn under_way(&self, trials: &[SpecTrial], now: Nanos) -> usize {
        let alive =
            |trial: &&SpecTrial| !trial.ended && now < trial.began + self.settings.trial_timeout;
        trials.iter().filter(alive).count()
    }

    fn has_place(&self, trials: &[SpecTrial], now: Nanos) -> bool {
        let succeeded = trials.iter().filter(|trial| trial.weight == Some(0)).count();
        let places = usize::try_from(self.settings.trials).unwrap();
        self.under_way(trials, now) + succeeded < places
    }

    fn admit(&mut self, now: Nanos) -> Result<SpecPass, Duration> {
        match &mut self.state {
            SpecState::Closed { .. } => return Ok(SpecPass { changes: self.changes, trial: None }),
            SpecState::Open { until } if now < *until => return Err(until.since(now)),
            SpecState::Open { .. } => self.enter(SpecState::HalfOpen { trials: Vec::new() }),
            SpecState::HalfOpen { .. } => {}
        }
        let SpecState::HalfOpen { trials } = &self.state else { unreachable!("just made so") };
        if !self.has_place(trials, now) {
            // Time alone makes a place at the end of some trial.
            let ends = trials.iter().map(|trial| trial.began + self.settings.trial_timeout);
            let ready_at = ends.filter(|end| self.has_place(trials, *end)).min();
            return Err(ready_at.expect("all trials end").since(now));
        }
        let SpecState::HalfOpen { trials } = &mut self.state else { unreachable!("it was") };
        trials.push(SpecTrial { began: now, ended: false, weight: None });
        Ok(SpecPass { changes: self.changes, trial: Some(trials.len() - 1) })
    }

    /// Takes the implementation's word for how long it is open, and checks that it may.
    fn settle(&mut self, pass: &SpecPass, weight: Option<u64>, now: Nanos, actual: BreakerState) {
        if pass.changes != self.changes {
            return;
        }
        let settings = self.settings;
        let opens = match &mut self.state {
            SpecState::Closed { outcomes } => {
                let Some(weight) = weight else { return };
                outcomes.push((now, weight));
                let tally = naive_tally(outcomes, &settings, now);
                tally.outcomes >= u64::from(settings.outcomes_min)
                    && tally.failures_ppm >= tally.outcomes * u64::from(settings.failure_ppm)
            }
            SpecState::HalfOpen { trials } => {
                let trial = &mut trials[pass.trial.expect("it is of this generation")];
                (trial.ended, trial.weight) = (true, weight);
                let weights = || trials.iter().filter_map(|trial| trial.weight);
                let succeeded = weights().filter(|weight| *weight == 0).count();
                let ill = weights().sum::<u64>() >= 1_000_000;
                if !ill && succeeded >= usize::try_from(settings.trials).unwrap() {
                    self.openings = 0;
                    self.enter(SpecState::Closed { outcomes: Vec::new() });
                }
                ill
            }
            SpecState::Open { .. } => unreachable!("no pass has this generation"),
        };
        if opens {
            let doubled = settings.open_min * 2_u32.pow(self.openings.min(10));
            let open = settings.open_max.min(doubled);
            let BreakerState::Open { until } = actual else { panic!("{actual:?} is not open") };
            let length = until.since(now);
            assert!(open <= length && length <= open + open / 5, "{length:?} is not {open:?}");
            self.openings += 1;
            self.enter(SpecState::Open { until });
        }
    }

    fn state(&self, now: Nanos) -> BreakerState {
        match self.state {
            SpecState::Closed { .. } => BreakerState::Closed,
            SpecState::Open { until } if now < until => BreakerState::Open { until },
            SpecState::HalfOpen { .. } | SpecState::Open { .. } => BreakerState::HalfOpen,
        }
    }
}

/// The last so many outcomes, and of these the ones that are not too old.
fn naive_tally(outcomes: &[(Nanos, u64)], settings: &BreakerSettings, now: Nanos) -> Tally {
    let latest = outcomes.iter().rev().take(usize::try_from(settings.outcomes_max).unwrap());
    let young: Vec<_> = latest.filter(|(at, _)| now.since(*at) <= settings.remember).collect();
    Tally {
        outcomes: u64::try_from(young.len()).unwrap(),
        failures_ppm: young.iter().map(|(_, weight)| weight).sum(),
    }
}

fn weight(result: Result<(), Class>) -> Option<u64> {
    match result {
        Ok(()) => Some(0),
        Err(Class::Server) => Some(1_000_000),
        Err(Class::Decode) => Some(500_000),
        Err(_) => None,
    }
}

/// A breaker and its specification, taken through the same steps.
struct Pair {
    breaker: Breaker,
    spec: Spec,
    passes: Vec<(Pass, SpecPass)>,
    now: Nanos,
}

impl Pair {
    fn new(settings: BreakerSettings) -> Self {
        let breaker = Breaker::new(settings).expect("the settings are sound");
        Self { breaker, spec: Spec::new(settings), passes: Vec::new(), now: Nanos::ZERO }
    }

    /// Takes one step with both; they must agree on all that can be seen.
    fn step(&mut self, step: Step) {
        let now = self.now;
        match step {
            Step::Admit => {
                let ready_at = self.breaker.ready_at(now);
                match (self.breaker.admit(now), self.spec.admit(now)) {
                    (Ok(pass), Ok(spec)) => {
                        assert_eq!(ready_at, now);
                        assert_eq!(pass.is_trial(), spec.trial.is_some());
                        self.passes.push((pass, spec));
                    }
                    (Err(Rejection { retry_in }), Err(wait)) => {
                        assert_eq!((retry_in, ready_at), (wait, now + wait));
                    }
                    (one, other) => panic!("{one:?}, but {:?}", other.map(|_| ())),
                }
            }
            Step::Cancel(index) => {
                if let Some((pass, spec)) = self.take(index) {
                    self.breaker.cancel(pass, now);
                    self.spec.settle(&spec, None, now, self.breaker.state(now));
                }
            }
            Step::Lose(index) => drop(self.take(index)),
            Step::Settle(index, result, draw) => {
                if let Some((pass, spec)) = self.take(index) {
                    self.breaker.settle(pass, result, draw, now);
                    self.spec.settle(&spec, weight(result), now, self.breaker.state(now));
                }
            }
            Step::Wait(span) => self.now = now + secs(span),
        }
        assert_eq!(self.breaker.state(self.now), self.spec.state(self.now), "after {step:?}");
        assert_eq!(self.breaker.generation(), self.spec.changes);
    }

    fn take(&mut self, index: usize) -> Option<(Pass, SpecPass)> {
        let index = index.checked_rem(self.passes.len())?;
        Some(self.passes.swap_remove(index))
    }
}

proptest! {
    #[test]
    fn property_42_every_run_is_one_that_the_specification_allows(
        settings in any_settings(),
        steps in steps(),
    ) {
        let mut pair = Pair::new(settings);
        for step in steps {
            pair.step(step);
        }
    }

    /// Failed trials in a row: each opening is twice as long up to the longest, plus what the draw adds; meanwhile nothing is sent.
    #[test]
    fn property_43_it_stays_open_as_long_as_it_should(
        draws in prop::collection::vec(any::<u64>(), 1..12),
        asked in 0..u64::MAX,
    ) {
        let mut breaker = breaker();
        let mut now = Nanos::ZERO;
        for (opening, draw) in (0_u32..).zip(draws) {
            // The first needs the minimum of outcomes, every later one a single trial.
            for _ in 0..if opening == 0 { 4 } else { 1 } {
                let pass = breaker.admit(now).expect("it is not open");
                breaker.settle(pass, Err(Class::Server), draw, now);
            }
            let BreakerState::Open { until } = breaker.state(now) else { panic!("it is not open") };
            let configured = secs(60).min(secs(10) * 2_u32.pow(opening));
            let open = until.since(now);
            prop_assert!(configured <= open && open <= configured + configured / 5);
            let inside = now + Duration::from_nanos(asked % u64::try_from(open.as_nanos()).unwrap());
            prop_assert_eq!(breaker.admit(inside), Err(Rejection { retry_in: until.since(inside) }));
            now = until;
        }
        // A healthy spell makes the next opening the first again.
        for _ in 0..2 {
            end(&mut breaker, Ok(()), now);
        }
        for _ in 0..4 {
            end(&mut breaker, Err(Class::Server), now);
        }
        prop_assert_eq!(breaker.state(now), BreakerState::Open { until: now + secs(10) });
    }

    #[test]
    fn property_44_trials_are_few_and_old_results_change_nothing(
        settings in any_settings(),
        steps in steps(),
        result in result(),
    ) {
        let mut pair = Pair::new(settings);
        for step in steps {
            pair.step(step);
            if let SpecState::HalfOpen { trials } = &pair.spec.state {
                let under_way = pair.spec.under_way(trials, pair.now);
                prop_assert!(under_way <= usize::try_from(settings.trials).unwrap());
            }
            let (changes, now) = (pair.spec.changes, pair.now);
            let old = pair.passes.extract_if(.., |(_, spec)| spec.changes != changes);
            for (stale, _) in old {
                let before = pair.breaker.clone();
                pair.breaker.settle(stale, result, 0, now);
                prop_assert_eq!(&pair.breaker, &before);
            }
        }
    }

    /// Whatever happened, and whatever passes were lost: a healthy target is let through again.
    #[test]
    fn property_45_no_way_leads_to_a_place_without_return(
        settings in any_settings(),
        steps in steps(),
    ) {
        let mut pair = Pair::new(settings);
        for step in steps {
            pair.step(step);
        }
        let Pair { mut breaker, now, .. } = pair;
        if breaker.state(now) == BreakerState::Closed {
            return Ok(());
        }
        let now = now + settings.open_max * 6 / 5 + settings.trial_timeout;
        for _ in 0..settings.trials {
            if breaker.state(now) != BreakerState::Closed {
                end(&mut breaker, Ok(()), now);
            }
        }
        prop_assert_eq!(breaker.state(now), BreakerState::Closed);
    }

    #[test]
    fn property_45_a_cancelled_trial_leaves_no_trace(
        before in 0..2usize,
        cancelled in 1..20usize,
    ) {
        let mut breaker = opened();
        for _ in 0..before {
            end(&mut breaker, Ok(()), at(10));
        }
        for _ in 0..cancelled {
            let pass = pass(&mut breaker, at(10));
            breaker.cancel(pass, at(10));
        }
        let places = (0..3).filter(|_| breaker.admit(at(10)).is_ok()).count();
        prop_assert_eq!(places, 2 - before);
    }

    #[test]
    fn property_47_the_window_holds_what_a_naive_count_finds(
        outcomes_max in 1..20u32,
        remember in 1..30u64,
        ended in prop::collection::vec((0..10u64, 0..3u8), 1..100),
        later in 0..40u64,
    ) {
        // It would take more than all to open it.
        let settings = BreakerSettings {
            outcomes_max,
            outcomes_min: outcomes_max,
            remember: secs(remember),
            failure_ppm: 1_000_000,
            weak_ppm: 999_999,
            ..settings()
        };
        let mut breaker = Breaker::new(settings).expect("the settings are sound");
        let (mut outcomes, mut now) = (Vec::new(), Nanos::ZERO);
        for (wait, kind) in ended {
            now = now + secs(wait);
            let (result, weight) = match kind {
                0 => (Ok(()), Some(0)),
                1 => (Err(Class::Decode), Some(999_999)),
                _ => (Err(Class::InvalidRequest), None),
            };
            end(&mut breaker, result, now);
            outcomes.extend(weight.map(|weight| (now, weight)));
            prop_assert_eq!(breaker.tally(now), Some(naive_tally(&outcomes, &settings, now)));
        }
        now = now + secs(later);
        prop_assert_eq!(breaker.tally(now), Some(naive_tally(&outcomes, &settings, now)));
    }
}
