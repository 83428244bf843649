//! Members of a fleet, a model of the server, and whatever may happen to them, without time or network.
//!
//! The model is the one that the script is compared with on a real server.

use std::collections::VecDeque;
use std::time::Duration;

use proptest::prelude::*;

use super::Grantor;
use super::member::{Ask, FleetError, Member, Outcome, Step};
use super::settings::{FleetSettings, WhenDown};
use super::store::StoreError;
use crate::class::Dimension;
use crate::limiter::{Cost, Guarantee, Limit, NoRoom, Quota};
use crate::time::Nanos;

#[path = "../../tests/fleet/model.rs"]
mod model;

use model::{Demand, Model, Reply};

const PERIOD: Duration = Duration::from_secs(2);
const LIMIT: u64 = 80;
const MEMBERS: usize = 4;

fn settings(when_down: WhenDown) -> FleetSettings {
    let mut quota = Quota { guarantee: Guarantee::STRICT, ..Quota::default() };
    quota.limits =
        vec![Limit { dimension: Dimension::Rpm, tokens: LIMIT, burst: 20, period: PERIOD }];
    FleetSettings {
        lease_ttl: Duration::from_millis(210),
        lease_share_ppm: 500_000,
        timeout: Duration::from_millis(200),
        probe_every: Duration::from_millis(300),
        when_down,
        ..FleetSettings::new("simulated", quota)
    }
}

fn cost(requests: u64) -> Cost {
    Cost { requests, ..Cost::default() }
}

/// What is under way between a member and the server.
enum Letter {
    Question(Ask),
    Answer(Ask, Outcome),
}

struct Seat {
    member: Member,
    letter: Option<Letter>,
    /// The costs of those who wait.
    joined: VecDeque<u64>,
}

struct World {
    settings: FleetSettings,
    now: Nanos,
    members: Vec<Seat>,
    server: Option<Model>,
    run: u64,
    /// When how much was used.
    used: Vec<(Nanos, u64, Grantor)>,
}

#[derive(Clone, Copy, Debug)]
enum Event {
    /// Somebody else's turn for so many milliseconds.
    Pass(u64),
    /// A member admits as many as it can, each of so much.
    Spend(usize, u64),
    /// So many more join a member's line.
    Crowd(usize, u64),
    /// Everybody is busy for so many rounds of so many milliseconds: all of it, spending only, or not at all.
    Busy(u64, u64, [Zeal; MEMBERS]),
    /// What a member has under way moves on: to the server, or back.
    Carry(usize),
    /// Whoever is first in a member's line goes away.
    Leave(usize),
    Kill,
    Start,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Zeal {
    Full,
    /// Spends and asks, but its letters lie about.
    Deaf,
    /// Hears, and spends nothing.
    Idle,
}

impl World {
    fn new(when_down: WhenDown) -> Self {
        let settings = settings(when_down);
        let member = || Member::new(settings.clone());
        let seat = |_| Seat { member: member(), letter: None, joined: VecDeque::new() };
        let members = (0..MEMBERS).map(seat).collect();
        let (server, now) = (Some(Model::default()), Nanos::ZERO);
        Self { settings, now, members, server, run: 1, used: Vec::new() }
    }

    fn play(&mut self, event: Event) {
        match event {
            Event::Pass(millis) => self.now = self.now + Duration::from_millis(millis),
            Event::Spend(member, each) => self.spend(member, each),
            Event::Carry(member) => self.carry(member),
            Event::Crowd(member, many) => {
                let Seat { member, joined, .. } = &mut self.members[member];
                for _ in 0..many {
                    member.join(cost(1)).unwrap();
                    joined.push_back(1);
                }
            }
            Event::Busy(rounds, millis, zeals) => {
                for _ in 0..rounds {
                    for (member, zeal) in zeals.into_iter().enumerate() {
                        if zeal != Zeal::Idle {
                            self.spend(member, 1);
                        }
                        if zeal != Zeal::Deaf {
                            self.carry(member);
                            self.carry(member);
                        }
                        if zeal == Zeal::Full {
                            self.spend(member, 1);
                        }
                    }
                    self.now = self.now + Duration::from_millis(millis);
                }
            }
            Event::Leave(member) => {
                let Seat { member, joined, .. } = &mut self.members[member];
                joined.pop_front();
                if let Some(front) = member.front() {
                    member.leave(front);
                }
            }
            Event::Kill => {
                self.server = None;
                for Seat { letter, .. } in &mut self.members {
                    // What has not arrived yet, and what was answered, breaks with the connection.
                    *letter = letter.take().map(|letter| match letter {
                        Letter::Question(ask) | Letter::Answer(ask, _) => {
                            Letter::Answer(ask, Outcome::Failed(gone()))
                        }
                    });
                }
            }
            Event::Start if self.server.is_none() => {
                self.run += 1;
                self.server = Some(Model::default());
            }
            Event::Start => {}
        }
    }

    fn spend(&mut self, member: usize, each: u64) {
        for _ in 0..64 {
            let Seat { member, letter, joined } = &mut self.members[member];
            let front = if let Some(front) = member.front() {
                front
            } else {
                joined.push_back(each);
                member.join(cost(each)).unwrap()
            };
            match member.poll(front, Nanos::MAX, self.now) {
                Step::Admitted(by) => {
                    let cost = joined.pop_front().expect("whoever is admitted has joined");
                    self.used.push((self.now, cost, by));
                }
                Step::Ask(ask) => {
                    assert!(letter.is_none(), "only one question at a time");
                    *letter = Some(Letter::Question(ask));
                }
                Step::Failed(FleetError::Down(_)) | Step::Wait { .. } => return,
                Step::Failed(error) => panic!("{error}"),
            }
        }
    }

    fn carry(&mut self, member: usize) {
        let Seat { member, letter, .. } = &mut self.members[member];
        match letter.take() {
            None => {}
            Some(Letter::Answer(ask, outcome)) => member.handle(&ask, outcome, 0, self.now),
            Some(Letter::Question(ask)) => {
                let outcome = match &mut self.server {
                    None => Outcome::Failed(gone()),
                    Some(model) => serve(model, &self.settings, &ask, self.run, self.now),
                };
                *letter = Some(Letter::Answer(ask, outcome));
            }
        }
    }

    /// The most that is used in any window of the period, both ends included.
    fn fullest_window(&self) -> u64 {
        let window = |(first, _, _): &(Nanos, u64, Grantor)| {
            let inside = |at: Nanos| *first <= at && at <= *first + PERIOD;
            self.used.iter().filter(|(at, _, _)| inside(*at)).map(|(_, cost, _)| cost).sum()
        };
        self.used.iter().map(window).max().unwrap_or_default()
    }
}

fn gone() -> StoreError {
    StoreError::Silent { server: "gone".into(), timeout: Duration::ZERO }
}

fn serve(model: &mut Model, settings: &FleetSettings, ask: &Ask, run: u64, now: Nanos) -> Outcome {
    let shape = settings.shapes()[0];
    let demand = Demand {
        field: "Rpm".into(),
        unit: shape.unit.into(),
        rate: shape.rate.into(),
        full: shape.full.into(),
        need: ask.need[0].into(),
        want: ask.want[0].into(),
        owed: ask.owed[0].into(),
    };
    let known = ask.known_run.as_ref().map(|run| run.parse().unwrap());
    let hold = settings.hold_micros().into();
    let run_name = run.to_string();
    match model.admit(&[demand], hold, known, run, i128::from(now.get() / 1_000)) {
        Reply::Granted(tokens) => Outcome::Granted {
            run: run_name,
            tokens: tokens.into_iter().map(|tokens| tokens.try_into().unwrap()).collect(),
        },
        Reply::Refused { wait, .. } => Outcome::Refused {
            run: run_name,
            wait: Duration::from_micros(wait.try_into().unwrap()),
        },
    }
}

/// Events of a fleet that is mostly busy, and whose server is killed and started now and then.
fn events() -> impl Strategy<Value = Vec<Event>> {
    let zeal = prop_oneof![4 => Just(Zeal::Full), 2 => Just(Zeal::Deaf), 1 => Just(Zeal::Idle)];
    let zeals = prop::array::uniform4(zeal);
    let member = 0..MEMBERS;
    let event = prop_oneof![
        1 => (0..120u64).prop_map(Event::Pass),
        1 => (0..2_000u64).prop_map(Event::Pass),
        2 => (member.clone(), 1..4u64).prop_map(|(member, each)| Event::Spend(member, each)),
        2 => member.clone().prop_map(Event::Carry),
        2 => (member.clone(), 1..20u64).prop_map(|(member, many)| Event::Crowd(member, many)),
        1 => member.prop_map(Event::Leave),
        8 => (1..30u64, 5..50u64, zeals).prop_map(|(rounds, millis, zeals)| {
            Event::Busy(rounds, millis, zeals)
        }),
        2 => Just(Event::Kill),
        3 => Just(Event::Start),
    ];
    prop::collection::vec(event, 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever is delayed, dropped, killed or restarted, and whatever the policy.
    /// P7: a full burst, and the refill of its window on top.
    #[test]
    fn property_18_no_window_of_use_exceeds_the_limit(events in events(), share: bool) {
        let shares = WhenDown::LocalShare { ppm: 250_000 };
        let mut world = World::new(if share { shares } else { WhenDown::Deny });
        for event in events {
            world.play(event);
        }
        let fullest = world.fullest_window();
        prop_assert!(fullest <= LIMIT, "{fullest} of {LIMIT}: {:?}", world.used);
    }
}

/// The worst case of the proof, in which the bound is reached: whatever is granted is kept to the end of its lease, then used with all that comes after.
#[test]
fn property_18_leases_that_are_kept_to_their_end_reach_the_limit_and_no_more() {
    let mut world = World::new(WhenDown::Deny);
    let take = |world: &mut World, member, cost| {
        world.spend(member, cost);
        world.carry(member);
        world.carry(member);
    };
    take(&mut world, 0, 20);
    world.now = Nanos::from(PERIOD * 4);
    // The whole burst, and what flows in until its lease lapses.
    world.spend(0, 20);
    take(&mut world, 0, 20);
    world.now = world.now + Duration::from_millis(209);
    take(&mut world, 1, 5);
    world.spend(0, 1);
    world.spend(1, 1);
    // And all that flows in afterwards, as soon as it does.
    for _ in 0..PERIOD.as_millis() {
        world.now = world.now + Duration::from_millis(1);
        take(&mut world, 2, 1);
        world.spend(2, 1);
    }
    let fullest = world.fullest_window();
    assert!((LIMIT - 2..=LIMIT).contains(&fullest), "{fullest} of {LIMIT}");
}

/// A lease is as old as its question, however long the answer took.
#[test]
fn property_18_an_answer_that_comes_late_has_lapsed() {
    let mut world = World::new(WhenDown::Deny);
    world.spend(0, 1);
    world.carry(0);
    world.carry(0);
    world.now = Nanos::from(PERIOD);
    world.spend(0, 1);
    world.carry(0);
    world.now = world.now + world.settings.lease_ttl;
    world.carry(0);
    world.spend(0, 1);
    assert!(world.used.is_empty(), "{:?}", world.used);
}

/// Those who have not heard yet that the server is back spend their shares; until the last has, it grants nothing.
#[test]
fn property_18_a_server_that_is_back_grants_nothing_while_shares_are_spent() {
    let mut world = World::new(WhenDown::LocalShare { ppm: 250_000 });
    world.play(Event::Kill);
    let (deaf, others) = ([Zeal::Deaf; MEMBERS], [Zeal::Full, Zeal::Deaf, Zeal::Deaf, Zeal::Deaf]);
    world.play(Event::Busy(1, 1, [Zeal::Full; MEMBERS]));
    for _ in 0..3 {
        // Everybody hears of a failure, and puts the next question when it is time to.
        world.play(Event::Busy(300, 1, deaf));
        world.play(Event::Busy(1, 1, [Zeal::Full; MEMBERS]));
    }
    world.play(Event::Start);
    world.play(Event::Busy(3_000, 1, others));
    let by = |grantor| world.used.iter().filter(move |(_, _, by)| *by == grantor);
    let last_share = by(Grantor::LocalShare).map(|(at, _, _)| *at).max().unwrap();
    let first_grant = by(Grantor::Server).map(|(at, _, _)| *at).min().unwrap();
    assert!(last_share < first_grant, "{last_share:?} {first_grant:?}");
}

#[test]
fn property_29_whoever_leaves_takes_no_units_along() {
    let mut world = World::new(WhenDown::Deny);
    world.spend(0, 1);
    world.carry(0);
    world.carry(0);
    world.now = Nanos::from(PERIOD * 4);
    let Seat { member, .. } = &mut world.members[0];
    let first = member.front().unwrap();
    let second = member.join(cost(1)).unwrap();
    assert!(matches!(member.poll(second, Nanos::MAX, world.now), Step::Wait { .. }));
    let Step::Ask(ask) = member.poll(first, Nanos::MAX, world.now) else { panic!("not asked") };
    member.leave(first);
    assert_eq!(member.front(), Some(second));
    let granted = Outcome::Granted { run: "1".into(), tokens: vec![1] };
    member.handle(&ask, granted, 0, world.now);
    let step = member.poll(second, Nanos::MAX, world.now);
    assert!(matches!(step, Step::Admitted(Grantor::Server)), "{step:?}");
}

/// A refusal was about whoever was in front; one who needs less asks for himself.
#[test]
fn property_29_the_next_in_line_is_not_held_up_by_a_refusal_of_another() {
    let mut world = World::new(WhenDown::Deny);
    let Seat { member, .. } = &mut world.members[0];
    let large = member.join(cost(20)).unwrap();
    let small = member.join(cost(1)).unwrap();
    let Step::Ask(ask) = member.poll(large, Nanos::MAX, world.now) else { panic!("not asked") };
    let wait = Duration::from_secs(60);
    member.handle(&ask, Outcome::Refused { run: "1".into(), wait }, 0, world.now);
    assert!(matches!(member.poll(large, Nanos::MAX, world.now), Step::Wait { .. }));
    let late = member.poll(large, Nanos::ZERO + wait, world.now);
    assert!(matches!(late, Step::Failed(FleetError::NoRoom(NoRoom::NotYet { .. }))), "{late:?}");
    assert!(matches!(member.poll(small, Nanos::MAX, world.now), Step::Ask(_)));
}

/// A member that comes back early is refused again; one that waits a quarter longer is not.
#[test]
fn the_draw_only_ever_lengthens_a_wait() {
    for (draw, most) in [(0, 40_000), (u64::MAX, 40_000 + 10_000 + 1_000)] {
        let mut member = Member::new(settings(WhenDown::Deny));
        let ticket = member.join(cost(1)).unwrap();
        let Step::Ask(ask) = member.poll(ticket, Nanos::MAX, Nanos::ZERO) else {
            panic!("not asked")
        };
        let wait = Duration::from_millis(40);
        member.handle(&ask, Outcome::Refused { run: "1".into(), wait }, draw, Nanos::ZERO);
        let step = member.poll(ticket, Nanos::MAX, Nanos::ZERO);
        let Step::Wait { until } = step else { panic!("{step:?}") };
        assert_eq!(until.get() / 1_000, most);
    }
}

/// While the server is gone the share goes on only as long as the last failure is fresh.
#[test]
fn an_old_failure_is_no_reason_to_spend_the_share() {
    let mut world = World::new(WhenDown::LocalShare { ppm: 250_000 });
    world.play(Event::Kill);
    let fail = |world: &mut World| {
        for _ in 0..10 {
            world.spend(0, 1);
            world.carry(0);
            world.carry(0);
            world.now = world.now + world.settings.evidence() / 4;
        }
    };
    fail(&mut world);
    let before = world.used.len();
    assert!(before > 0, "a share that is not spent proves nothing");
    world.now = world.now + world.settings.evidence() * 5;
    world.spend(0, 1);
    assert_eq!(world.used.len(), before, "the word was too old");
    fail(&mut world);
    assert!(world.used.len() > before, "a new failure is");
    assert!(world.used.iter().all(|(_, _, by)| *by == Grantor::LocalShare));
}
