//! What holds of every quota, whatever is asked of it and when.

use std::{collections::BTreeSet, time::Duration};

use proptest::prelude::*;

use super::{Ask, Level, Limited, Quotas};
use crate::{
    action::Dimension,
    plan::{OneOrMore, OutputCharge, Per, ProviderName, Quota, Rejected, Window},
    request::Fingerprint,
    units::{Period, Rate},
};

const NANOSECOND: Duration = Duration::from_nanos(1);
const MINUTE: Duration = Duration::from_secs(60);

/// One client in front of a quota, and its clock.
#[derive(Clone, Debug)]
struct World {
    quotas: Quotas,
    attempt: u64,
    now: Duration,
}

/// One request, what its answer is, and the pause before it.
#[derive(Clone, Copy, Debug)]
struct Sent {
    pause: Duration,
    input: u64,
    output_max: Option<u64>,
    generated: u64,
}

impl World {
    fn new(quota: Quota, wall_at_zero: Duration) -> Self {
        Self { quotas: Quotas::new(quota, wall_at_zero), attempt: 0, now: Duration::ZERO }
    }

    fn admit(&mut self, input: u64, output_max: Option<u64>) -> Result<Vec<Level>, Limited> {
        self.attempt += 1;
        let ask = Ask {
            attempt: self.attempt,
            provider: ProviderName::OpenAi,
            organisation: "",
            key: Fingerprint::of("k"),
            model: "m",
            input_tokens: input,
            output_tokens_max: output_max,
            model_output_max: None,
        };
        self.quotas.admit(&ask, self.now)
    }

    /// The levels, as a look that costs nothing shows them.
    fn levels(&self) -> Vec<Level> {
        let account = self.quotas.accounts.values().next();
        account.map(super::Account::levels).unwrap_or_default()
    }

    /// Sends a request and, if it is admitted, ends it at once.
    fn send(&mut self, sent: Sent) -> Result<Vec<Level>, Limited> {
        let levels = self.admit(sent.input, sent.output_max)?;
        self.quotas.settle(self.attempt, sent.generated, self.now);
        Ok(levels)
    }

    /// What would happen to a request at another time.
    fn would(&self, sent: Sent, now: Duration) -> Result<Vec<Level>, Limited> {
        Self { now, ..self.clone() }.admit(sent.input, sent.output_max)
    }
}

fn per(count: u64, per: Period) -> OneOrMore<Rate> {
    OneOrMore(vec![Rate { count, per }])
}

fn window() -> impl Strategy<Value = Window> {
    prop::sample::select(vec![Window::Bucket, Window::Fixed, Window::Sliding])
}

/// Several limits at once, of every kind.
fn quota() -> impl Strategy<Value = Quota> {
    let output = prop::sample::select(vec![
        OutputCharge::Generated,
        OutputCharge::None,
        OutputCharge::Requested,
        OutputCharge::Reserved,
    ]);
    let rejected = prop::sample::select(vec![Rejected::Charged, Rejected::Free]);
    let some = |most: u64| prop::option::of(1..most);
    let limits = (some(6), some(40), some(900), some(900), some(900));
    (limits, window(), output, rejected).prop_map(|(limits, window, output, rejected)| {
        let (second, minute, tokens, input, output_tokens) = limits;
        let rate = |per| move |count| Rate { count, per };
        let one =
            |count: Option<u64>| OneOrMore(count.map(rate(Period::Minute)).into_iter().collect());
        let second = second.map(rate(Period::Second)).into_iter();
        Quota {
            requests: OneOrMore(second.chain(minute.map(rate(Period::Minute))).collect()),
            tokens: one(tokens),
            input_tokens: one(input),
            output_tokens: one(output_tokens),
            window: Some(window),
            output: Some(output),
            rejected,
            per: Per::Key,
            ..Quota::default()
        }
    })
}

fn sent() -> impl Strategy<Value = Sent> {
    // Short pauses and long ones, and none.
    let pause = prop_oneof![Just(0), 0..2_000_000_000_u64, 0..90_000_000_000_u64];
    (pause, 0..700_u64, prop::option::of(0..500_u64), 0..600_u64).prop_map(
        |(pause, input, output_max, generated)| {
            let pause = Duration::from_nanos(pause);
            Sent { pause, input, output_max, generated }
        },
    )
}

fn history() -> impl Strategy<Value = Vec<Sent>> {
    prop::collection::vec(sent(), 1..50)
}

/// Whether two times are in one window of a minute; a bucket has no end.
fn shares_a_window(window: Window, wall: Duration, start: Duration, at: Duration) -> bool {
    match window {
        Window::Bucket => true,
        Window::Fixed => {
            let minute = |at: Duration| (wall + at).as_secs() / 60;
            minute(start) == minute(at)
        }
        Window::Sliding => at.saturating_sub(start) < MINUTE,
    }
}

/// What a limit by the minute gains in a time.
fn refilled(window: Window, limit: u64, elapsed: Duration) -> u64 {
    match window {
        Window::Bucket => {
            let filled = u128::from(limit) * elapsed.as_nanos() / MINUTE.as_nanos();
            u64::try_from(filled).expect("the limit is small")
        }
        Window::Fixed | Window::Sliding => 0,
    }
}

/// Where on the clock's minute the engine's time begins.
fn wall() -> impl Strategy<Value = Duration> {
    (0..120_000_000_000_u64).prop_map(Duration::from_nanos)
}

proptest! {
    /// A request that waits exactly as announced is admitted, and not a nanosecond earlier, with
    /// several limits at once and also where a refusal is charged.
    #[test]
    fn the_announced_wait_is_exact(quota in quota(), history in history(), wall in wall()) {
        let mut world = World::new(quota, wall);
        for sent in history {
            world.now += sent.pause;
            let Err(limited) = world.send(sent) else { continue };
            let Some(wait) = limited.wait else {
                prop_assert!(limited.requested > limited.level.limit);
                let later = world.now + Duration::from_secs(1_000_000);
                prop_assert!(world.would(sent, later).is_err());
                continue;
            };
            prop_assert!(wait > Duration::ZERO);
            let then = world.now + wait;
            prop_assert!(world.would(sent, then.saturating_sub(NANOSECOND)).is_err());
            prop_assert!(world.would(sent, then).is_ok());
        }
    }

    /// Whoever waits as announced is not refused twice in a row, however long it goes on.
    #[test]
    fn who_obeys_is_never_refused_twice_in_a_row(
        quota in quota(),
        history in history(),
        wall in wall(),
    ) {
        let mut world = World::new(quota, wall);
        for sent in history {
            world.now += sent.pause;
            let Err(limited) = world.send(sent) else { continue };
            if let Some(wait) = limited.wait {
                world.now += wait;
                prop_assert!(world.send(sent).is_ok());
            }
        }
    }

    /// No window admits more than the quota: of a bucket its capacity and what refilled, of the
    /// others the limit itself.
    #[test]
    fn no_window_admits_more_than_the_quota(
        limit in 1..200_u64,
        window in window(),
        history in prop::collection::vec((0..3_000_000_000_u64, 1..30_u64), 1..200),
        wall in wall(),
    ) {
        let tokens = per(limit, Period::Minute);
        let quota = Quota { tokens, window: Some(window), ..Quota::default() };
        let mut world = World::new(quota, wall);
        let mut admitted = Vec::new();
        for (pause, cost) in history {
            world.now += Duration::from_nanos(pause);
            if world.admit(cost, None).is_ok() {
                admitted.push((world.now, cost));
            }
        }
        for (first, &(start, _)) in admitted.iter().enumerate() {
            let mut sum = 0;
            for &(at, cost) in &admitted[first..] {
                if !shares_a_window(window, wall, start, at) {
                    break;
                }
                sum += cost;
                let most = limit + refilled(window, limit, at.saturating_sub(start));
                prop_assert!(sum <= most, "{sum} of {most} from {start:?} to {at:?}");
            }
        }
    }

    /// Neither does what is given back: in no window more is generated than the quota, however
    /// long the answers take for which it was set aside.
    #[test]
    fn what_is_given_back_breaks_no_window(
        limit in 1..200_u64,
        window in window(),
        history in prop::collection::vec(
            (0..20_000_000_000_u64, 1..100_u64, 0..100_u64, any::<prop::sample::Index>()),
            1..100,
        ),
        wall in wall(),
    ) {
        let quota = Quota {
            output_tokens: per(limit, Period::Minute),
            window: Some(window),
            output: Some(OutputCharge::Reserved),
            ..Quota::default()
        };
        let mut world = World::new(quota, wall);
        let mut open = Vec::new();
        let mut generated = Vec::new();
        for (pause, reserved, share, index) in history {
            world.now += Duration::from_nanos(pause);
            if world.admit(0, Some(reserved)).is_ok() {
                let used = reserved * share / 100;
                open.push((world.attempt, used));
                generated.push((world.now, used));
            }
            if !open.is_empty() && pause % 3 > 0 {
                let (attempt, used) = open.swap_remove(index.index(open.len()));
                world.quotas.settle(attempt, used, world.now);
            }
        }
        for (first, &(start, _)) in generated.iter().enumerate() {
            let mut sum = 0;
            for &(at, used) in &generated[first..] {
                if !shares_a_window(window, wall, start, at) {
                    break;
                }
                sum += used;
                let most = limit + refilled(window, limit, at.saturating_sub(start));
                prop_assert!(sum <= most, "{sum} of {most} from {start:?} to {at:?}");
            }
        }
    }

    /// The level that is shown is the level that is enforced: with r left, exactly r more requests
    /// are admitted now, and a request of exactly as many tokens as are left.
    #[test]
    fn the_level_shown_is_the_level_enforced(
        quota in quota(),
        history in history(),
        wall in wall(),
    ) {
        let requests = Quota {
            tokens: OneOrMore::default(),
            input_tokens: OneOrMore::default(),
            output_tokens: OneOrMore::default(),
            ..quota.clone()
        };
        let tokens = Quota {
            requests: OneOrMore::default(),
            output_tokens: OneOrMore::default(),
            output: Some(OutputCharge::Generated),
            ..quota
        };
        for quota in [requests, tokens] {
            let mut world = World::new(quota, wall);
            for sent in &history {
                world.now += sent.pause;
                let _admitted = world.send(*sent).is_ok();
            }
            let left = |world: &World, dimension| {
                let levels = world.levels().into_iter();
                levels.filter(|level| dimension == level.dimension).map(|level| level.remaining).min()
            };
            let mut requests = world.clone();
            if let Some(left) = left(&world, Dimension::Requests) {
                for _ in 0..left {
                    prop_assert!(requests.admit(0, Some(0)).is_ok());
                }
                prop_assert!(requests.admit(0, Some(0)).is_err());
            }
            let tokens = [Dimension::InputTokens, Dimension::Tokens];
            if let Some(left) = tokens.iter().filter_map(|of| left(&world, *of)).min() {
                prop_assert!(world.clone().admit(left, Some(0)).is_ok());
                prop_assert!(world.clone().admit(left + 1, Some(0)).is_err());
            }
        }
    }

    /// There are never more requests at the same time than there may be, and a place is free as
    /// soon as its attempt ends, and not before.
    #[test]
    fn places_are_neither_exceeded_nor_lost(
        places in 1..5_u32,
        steps in prop::collection::vec((any::<bool>(), any::<prop::sample::Index>()), 1..100),
    ) {
        let quota = Quota { concurrency: Some(places), ..Quota::default() };
        let mut world = World::new(quota, Duration::ZERO);
        let mut open = BTreeSet::new();
        for (begins, index) in steps {
            let full = open.len() == usize::try_from(places).unwrap();
            if begins {
                let admitted = world.admit(1, None);
                prop_assert_eq!(admitted.is_err(), full);
                if let Ok(levels) = admitted {
                    open.insert(world.attempt);
                    let left = u64::from(places) - u64::try_from(open.len()).unwrap();
                    prop_assert_eq!(levels[0].remaining, left);
                }
            } else if world.attempt > 0 {
                // Also an attempt that was refused, or that has ended before.
                let attempt = 1 + u64::try_from(index.index(1_000)).unwrap() % world.attempt;
                world.quotas.settle(attempt, 0, world.now);
                open.remove(&attempt);
            }
        }
        for attempt in open {
            world.quotas.settle(attempt, 0, world.now);
        }
        prop_assert!(world.quotas.held.is_empty());
        for _ in 0..places {
            prop_assert!(world.admit(1, None).is_ok());
        }
    }

    /// A bucket that is looked at a thousand times refills like one that is left alone.
    #[test]
    fn looking_changes_nothing(
        quota in quota(),
        history in history(),
        looks in prop::collection::vec(0..60_000_000_000_u64, 1..40),
        wall in wall(),
    ) {
        let mut world = World::new(quota, wall);
        for sent in history {
            world.now += sent.pause;
            let _admitted = world.send(sent).is_ok();
        }
        let mut watched = world.clone();
        let mut looks: Vec<_> = looks.into_iter().map(Duration::from_nanos).collect();
        looks.sort_unstable();
        // Settling an attempt that never was lets time go on, and no more.
        for look in &looks {
            watched.now = world.now + *look;
            watched.quotas.settle(u64::MAX, 9, watched.now);
            for account in watched.quotas.accounts.values_mut() {
                let wall = wall + watched.now;
                account.advance(super::Moment { now: watched.now, wall });
            }
        }
        world.now = watched.now;
        prop_assert_eq!(world.admit(1, Some(1)), watched.admit(1, Some(1)));
    }

    /// Any time will do, also one that goes back or has no calendar, and any number.
    #[test]
    fn every_question_has_an_answer(
        quota in quota(),
        count in prop_oneof![1..9_u64, Just(u64::MAX)],
        provider in prop::sample::select(ProviderName::ALL.to_vec()),
        asked in prop::collection::vec((any::<u64>(), any::<u64>(), any::<u64>()), 1..20),
    ) {
        let requests = per(count, Period::Day);
        let tokens = per(u64::MAX, Period::Second);
        for quota in [quota.clone(), Quota { requests, tokens, ..quota }] {
            let mut quotas = Quotas::new(quota, Duration::from_secs(1));
            for (attempt, &(secs, input, output)) in (0..).zip(&asked) {
                let ask = Ask {
                    attempt,
                    provider,
                    organisation: "",
                    key: Fingerprint::of("k"),
                    model: "m",
                    input_tokens: input,
                    output_tokens_max: Some(output),
                    model_output_max: None,
                };
                let now = Duration::from_secs(secs);
                if let Err(limited) = quotas.admit(&ask, now) {
                    prop_assert!(limited.level.remaining <= limited.level.limit);
                }
                quotas.settle(attempt, output, now);
            }
        }
    }
}
