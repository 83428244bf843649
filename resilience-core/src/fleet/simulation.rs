//! Members of a fleet, a model of the server, and whatever may happen to them, without time or network.
//!
//! The model is the one that the script is compared with on a real server.

use std::time::Duration;

use proptest::prelude::*;

use super::Grantor;
use super::member::{Ask, FleetError, Member, Outcome, Step};
use super::settings::{FleetSettings, WhenDown};
use super::store::StoreError;
use crate::class::Dimension;
use crate::limiter::{Cost, Limit, Quota};
use crate::time::Nanos;

#[path = "../../tests/fleet/model.rs"]
mod model;

use model::{Demand, Model, Reply};

const PERIOD: Duration = Duration::from_secs(2);
const LIMIT: u64 = 40;
const MEMBERS: usize = 4;

fn settings(when_down: WhenDown) -> FleetSettings {
    let mut quota = Quota::per_minute(1, 1);
    quota.limits =
        vec![Limit { dimension: Dimension::Rpm, tokens: LIMIT, burst: 20, period: PERIOD }];
    FleetSettings {
        lease_ttl: Duration::from_millis(500),
        lease_share_ppm: 500_000,
        timeout: Duration::from_millis(100),
        probe_every: Duration::from_millis(100),
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
    /// The cost of whoever is in front.
    joined: u64,
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
    /// What a member has under way moves on: to the server, or back.
    Carry(usize),
    /// Whoever is first in a member's line goes away.
    Leave(usize),
    Kill,
    Start,
}

impl World {
    fn new(when_down: WhenDown) -> Self {
        let settings = settings(when_down);
        let member = || Member::new(settings.clone());
        let seat = |_| Seat { member: member(), letter: None, joined: 0 };
        let members = (0..MEMBERS).map(seat).collect();
        let (server, now) = (Some(Model::default()), Nanos::ZERO);
        Self { settings, now, members, server, run: 1, used: Vec::new() }
    }

    fn play(&mut self, event: Event) {
        match event {
            Event::Pass(millis) => self.now = self.now + Duration::from_millis(millis),
            Event::Spend(member, each) => self.spend(member, each),
            Event::Carry(member) => self.carry(member),
            Event::Leave(member) => {
                let Seat { member, .. } = &mut self.members[member];
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
                *joined = each;
                member.join(cost(each)).unwrap()
            };
            match member.poll(front, Nanos::MAX, self.now) {
                Step::Admitted(by) => self.used.push((self.now, *joined, by)),
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

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        3 => (0..120u64).prop_map(Event::Pass),
        1 => (0..2_000u64).prop_map(Event::Pass),
        8 => (0..MEMBERS, 1..4u64).prop_map(|(member, each)| Event::Spend(member, each)),
        8 => (0..MEMBERS).prop_map(Event::Carry),
        1 => (0..MEMBERS).prop_map(Event::Leave),
    ]
}

/// Events of a fleet whose server is killed and started now and then.
fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![40 => event(), 1 => Just(Event::Kill), 2 => Just(Event::Start)];
    prop::collection::vec(event, 1..400)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

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

/// The proof's worst case: a lease is kept as long as it may be, then used with the next burst.
#[test]
fn property_18_a_lease_kept_to_its_end_exceeds_no_window() {
    let mut world = World::new(WhenDown::Deny);
    let lease = |world: &mut World, member| {
        world.spend(member, 1);
        world.carry(member);
        world.carry(member);
    };
    lease(&mut world, 0);
    world.now = Nanos::from(PERIOD * 4);
    let mut last = 0;
    for step in 0..2_000 {
        world.now = world.now + Duration::from_millis(5);
        lease(&mut world, step % MEMBERS);
        if step % 50 > 40 {
            world.spend(step % MEMBERS, 1);
        }
        last = world.used.len();
    }
    assert!(last > 80, "{last} used: the schedule must reach the limit to mean anything");
    assert!(world.fullest_window() <= LIMIT);
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
    assert!(matches!(late, Step::Failed(FleetError::TooLate)), "{late:?}");
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
