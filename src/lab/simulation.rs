//! One run: a strategy in a world, event by event, without sockets and without HTTP.
//!
//! Calls are the client core's own state machines, and their pools; the provider is the server's own engine.
//! What lies between them in reality (bytes, connections, a scheduler) is an agenda here, so that an hour with a million calls takes a second.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use resilience_core::{
    Action, Call, Draws, Event, Finish, Nanos, Policy, Pool, Request, Seat, Trace,
};

use super::{
    provider::{Flight, Provider},
    tally::Tally,
    wheel::Wheel,
    world::World,
};
use crate::{
    client::{self, Begins, Workload, heard, pool_seed, pools},
    harness::{client_seed, draws},
    scenario::{Client, Hints, Strategy},
};

/// What a run left.
#[derive(Debug)]
pub(super) struct Run {
    /// What was counted.
    pub(super) tally: Tally,
    /// What each call did, by its number; empty unless it was asked for.
    #[cfg_attr(not(test), expect(dead_code, reason = "only a comparison looks at single calls"))]
    pub(super) traces: BTreeMap<u64, Trace>,
}

/// Plays a strategy in a world, and keeps what each call did if `traced`.
pub(super) fn simulate(world: &World, strategy: &Strategy, seed: u64, traced: bool) -> Run {
    let client = world.client(strategy);
    let mut simulation = Simulation::new(world, &client, seed);
    simulation.traced = traced;
    simulation.run();
    Run { tally: simulation.tally, traces: simulation.traces }
}

struct Simulation {
    world: World,
    /// The time of the world, which starts with the run.
    now: Nanos,
    agenda: Wheel<Happening>,
    workload: Workload,
    strategy: Strategy,
    policy: Arc<Policy>,
    pools: Vec<Shared>,
    provider: Provider,
    /// The calls that are under way, each in its slot.
    slots: Vec<Slot>,
    free: Vec<usize>,
    /// Who holds which place in which pool's lines.
    seats: BTreeMap<(usize, Seat), usize>,
    /// Calls that must be polled at this instant.
    ready: VecDeque<usize>,
    /// Requests by the length of their conversation.
    requests: BTreeMap<u64, Request>,
    arrivals: Option<Box<dyn Iterator<Item = Duration> + Send>>,
    /// How many calls are still to begin, each when an earlier one has ended.
    in_turn: u64,
    /// The last call that began.
    call: u64,
    time_limit: Nanos,
    tally: Tally,
    traced: bool,
    traces: BTreeMap<u64, Trace>,
}

/// What is to happen.
#[derive(Clone, Copy, Debug)]
enum Happening {
    /// The end of an attempt reaches its client.
    Lands { slot: u32, epoch: u32, attempt: u32 },
    /// A call that comes at a rate begins.
    Begins,
    /// It is the turn of the next call, if there is one left.
    Turns,
    /// A call asked to be polled; it has been polled since if its turn is another one.
    Wakes { slot: u32, turn: u32 },
}

/// What the calls of one process share.
struct Shared {
    pool: Pool,
    /// When its first call began: its own clock starts there.
    origin: Option<Nanos>,
}

struct Slot {
    active: Option<Active>,
    /// How many calls this slot has had.
    epoch: u32,
    /// How often a call in this slot was polled; it may begin anew, since nothing waits for so long.
    turn: u32,
}

struct Active {
    call: Call,
    number: u64,
    client: u32,
    pool: usize,
    /// The length of its conversation.
    tokens: u64,
    began: Duration,
    flights: Vec<Flight>,
    seat: Option<Seat>,
}

impl Simulation {
    fn new(world: &World, settings: &Client, seed: u64) -> Self {
        let scenario = world.scenario();
        let strategy = settings.strategy();
        let client_seed = client_seed(scenario, seed);
        let workload = world.workload(settings, client_seed);
        let clients = workload.clients();
        let policy = client::policy(&strategy);
        let targets: Arc<[_]> = client::targets(&strategy, clients).into();
        let pool = |index: u32| {
            let draws = Draws::new(pool_seed(client_seed, u64::from(index)));
            let pool = Pool::new(&policy, Arc::clone(&targets), draws)
                .expect("what a scenario or strategy says was checked when it was read");
            Shared { pool, origin: None }
        };
        let pools: Vec<Shared> = (0..pools(&strategy, clients)).map(pool).collect();
        // Only a line learns from what limits have left.
        let lined = targets.iter().any(|target| target.quota.is_some())
            || policy.adaptive_rate
            || policy.adaptive_concurrency.is_some();
        let provider = Provider::new(world, draws(scenario, seed), &targets)
            .observed(lined && strategy.hints != Hints::Ignore);
        let mut simulation = Self {
            world: world.clone(),
            now: Nanos::ZERO,
            agenda: Wheel::new(),
            strategy,
            policy: Arc::new(policy),
            pools,
            provider,
            slots: Vec::new(),
            free: Vec::new(),
            seats: BTreeMap::new(),
            ready: VecDeque::new(),
            requests: BTreeMap::new(),
            arrivals: None,
            in_turn: 0,
            call: 0,
            time_limit: scenario.time_limit(false).into(),
            tally: Tally::new(clients),
            traced: false,
            traces: BTreeMap::new(),
            workload,
        };
        match simulation.workload.begins() {
            Begins::At(times) => {
                simulation.arrivals = Some(times);
                simulation.next_arrival();
            }
            Begins::InTurn { calls, concurrency } => {
                simulation.in_turn = calls;
                (0..concurrency).for_each(|_| simulation.plan(Nanos::ZERO, Happening::Turns));
            }
        }
        simulation
    }

    fn run(&mut self) {
        while let Some((millis, happening)) = self.agenda.pop() {
            let now = Nanos::new(millis.saturating_mul(TICK));
            if now > self.time_limit {
                break;
            }
            self.now = now;
            match happening {
                Happening::Begins => {
                    let slot = self.begin();
                    self.next_arrival();
                    self.drive(slot);
                }
                Happening::Lands { slot, epoch, attempt } => {
                    let slot = index(slot);
                    let Slot { active: Some(active), epoch: now, .. } = &mut self.slots[slot]
                    else {
                        continue;
                    };
                    let flights = &mut active.flights;
                    let landed = flights.iter().position(|flight| flight.attempt == attempt);
                    let Some(place) = landed.filter(|_| *now == epoch) else { continue };
                    let flight = active.flights.swap_remove(place);
                    self.land(slot, &flight);
                    self.drive(slot);
                }
                Happening::Turns if self.in_turn > 0 => {
                    self.in_turn -= 1;
                    let slot = self.begin();
                    self.drive(slot);
                }
                Happening::Wakes { slot, turn } if self.slots[index(slot)].turn == turn => {
                    self.drive(index(slot));
                }
                Happening::Turns | Happening::Wakes { .. } => continue,
            }
            while let Some(slot) = self.ready.pop_front() {
                self.drive(slot);
            }
        }
    }

    /// Puts something on the agenda, at the next millisecond; what comes over the wire comes after the timers of its millisecond.
    fn plan(&mut self, at: Nanos, happening: Happening) {
        let late = matches!(happening, Happening::Lands { .. });
        self.agenda.add(ticks(at.max(self.now)), happening, late);
    }

    /// Puts the next call that comes at a rate on the agenda.
    fn next_arrival(&mut self) {
        if let Some(at) = self.arrivals.as_mut().and_then(Iterator::next) {
            self.plan(at.into(), Happening::Begins);
        }
    }

    /// Begins a call.
    fn begin(&mut self) -> usize {
        self.call += 1;
        let (number, now) = (self.call, Duration::from(self.now));
        let client = self.workload.client_of(number);
        self.tally.call(client, now);
        let tokens = self.workload.tokens(number);
        let (world, workload) = (&self.world, &self.workload);
        let request = self.requests.entry(tokens);
        let request = request.or_insert_with(|| world.request(workload, number, tokens));
        let pool = usize::try_from(client).unwrap_or(usize::MAX) % self.pools.len();
        let local = self.pools[pool].begin(self.now);
        let mut call = Call::new(number, request.clone(), Arc::clone(&self.policy), local);
        if !self.traced {
            call = call.untraced();
        }
        let active = Active {
            call,
            number,
            client,
            pool,
            tokens,
            began: now,
            flights: Vec::new(),
            seat: None,
        };
        if let Some(slot) = self.free.pop() {
            let held = &mut self.slots[slot];
            held.active = Some(active);
            held.epoch = held.epoch.wrapping_add(1);
            slot
        } else {
            self.slots.push(Slot { active: Some(active), epoch: 0, turn: 0 });
            self.slots.len() - 1
        }
    }

    /// Polls a call until it waits for something, or is over.
    fn drive(&mut self, slot: usize) {
        let now = self.now;
        loop {
            let Slot { active: Some(active), turn, epoch } = &mut self.slots[slot] else { return };
            *turn = turn.wrapping_add(1);
            let (turn, epoch) = (*turn, *epoch);
            let held = u32::try_from(slot).expect("fewer calls than 2^32 are under way");
            let shared = &mut self.pools[active.pool];
            let local = shared.local(now);
            let action = active.call.poll(&mut shared.pool, local);
            let seat = match action {
                Action::Acquire { seat, .. } => Some(seat),
                _ => None,
            };
            if active.seat != seat {
                if let Some(left) = active.seat.take() {
                    self.seats.remove(&(active.pool, left));
                }
                if let Some(seat) = seat {
                    self.seats.insert((active.pool, seat), slot);
                }
                active.seat = seat;
            }
            while let Some(news) = shared.pool.pop_news() {
                if let Some(&other) = self.seats.get(&(active.pool, news))
                    && other != slot
                {
                    self.ready.push_back(other);
                }
            }
            match action {
                Action::Acquire { until, .. } | Action::Wait { until, .. } => {
                    let until = shared.world(until);
                    self.plan(until, Happening::Wakes { slot: held, turn });
                    return;
                }
                Action::Attend { until } => {
                    let until = shared.world(until);
                    // Nobody needs to be woken before the end of an attempt that is known to come first.
                    let ends = active.flights.iter().filter_map(|flight| flight.ends).min();
                    if ends.is_none_or(|ends| ticks(until) <= ticks(ends.into())) {
                        self.plan(until, Happening::Wakes { slot: held, turn });
                    }
                    return;
                }
                Action::Done(finish) => return self.end(slot, finish),
                Action::Drop { attempt } => {
                    let flights = &mut active.flights;
                    let index = flights.iter().position(|flight| flight.attempt == attempt);
                    if let Some(index) = index {
                        let flight = flights.swap_remove(index);
                        self.leave(&flight);
                    }
                }
                Action::Send { attempt, target, output_max: _, messages: _, ends: _ } => {
                    self.tally.attempt(now.into());
                    let request = &self.requests[&active.tokens];
                    let who = (active.number, attempt);
                    let said = (request, active.tokens);
                    let flight = self.provider.take(who, target, said, now.into());
                    let ends = flight.ends;
                    active.flights.push(flight);
                    // Not even a refusal is heard before others have sent what they send at this instant.
                    if let Some(ends) = ends {
                        self.plan(ends.into(), Happening::Lands { slot: held, epoch, attempt });
                    }
                }
            }
        }
    }

    /// Tells a call how one of its attempts ended.
    fn land(&mut self, slot: usize, flight: &Flight) {
        let Some(active) = &mut self.slots[slot].active else { return };
        let (now, attempt) = (self.now, flight.attempt);
        let landed = self.provider.land(flight, active.tokens, now.into());
        if landed.limited {
            self.tally.limited(now.into());
        }
        let shared = &mut self.pools[active.pool];
        let (local, pool) = (shared.local(now), &mut shared.pool);
        if !landed.observed.is_empty() {
            active.call.handle(attempt, Event::Limits(landed.observed), pool, local);
        }
        let event = match landed.result {
            Ok(usage) => Event::Answered { usage: Some(usage) },
            Err(failure) => {
                if landed.billed.input > 0 || landed.billed.output > 0 {
                    let cost = self.provider.cost(flight.target, landed.billed);
                    self.tally.waste(landed.billed, cost);
                }
                Event::Failed(heard(&self.strategy, failure))
            }
        };
        active.call.handle(attempt, event, pool, local);
    }

    /// An attempt is given up by its client: what was written for it is paid, and read by nobody.
    fn leave(&mut self, flight: &Flight) {
        let billed = self.provider.leave(flight, self.now.into());
        if billed.input > 0 || billed.output > 0 {
            let cost = self.provider.cost(flight.target, billed);
            self.tally.waste(billed, cost);
        }
    }

    /// A call is over.
    fn end(&mut self, slot: usize, finish: Finish) {
        let Some(active) = &mut self.slots[slot].active else { return };
        let Active { number, client, began, .. } = *active;
        if self.traced {
            self.traces.insert(number, active.call.take_trace());
        }
        for flight in std::mem::take(&mut active.flights) {
            self.leave(&flight);
        }
        // Dropped where it is: a call is large, and there are many.
        self.slots[slot].active = None;
        self.free.push(slot);
        if let Finish::Served { .. } = finish {
            self.tally.success(client, began, self.now.into());
        }
        if self.in_turn > 0 {
            let at = self.now + self.workload.think(number);
            self.plan(at, Happening::Turns);
        }
    }
}

impl Shared {
    /// A call begins; the time of its clock.
    fn begin(&mut self, now: Nanos) -> Nanos {
        self.origin.get_or_insert(now);
        self.local(now)
    }

    /// The time of its clock at a time of the world.
    fn local(&self, now: Nanos) -> Nanos {
        Nanos::from(now.since(self.origin.unwrap_or(now)))
    }

    /// The time of the world at a time of its clock.
    fn world(&self, local: Nanos) -> Nanos {
        self.origin.unwrap_or_default() + Duration::from(local)
    }
}

fn index(slot: u32) -> usize {
    usize::try_from(slot).expect("a slot is a place in memory")
}

/// The first millisecond from this instant on at which a timer can go off.
fn ticks(at: Nanos) -> u64 {
    at.get().div_ceil(TICK)
}

/// How fine a runtime's timers are, in nanoseconds; tokio's are as coarse as this.
const TICK: u64 = 1_000_000;

#[cfg(test)]
mod tests {
    use mock_server::{clock::Clock, lane::Lane, lanes::Lanes, memory, server};
    use resilience_core::{Failure, Usage, What};

    use super::*;
    use crate::scenario::{Factor, Scenario, Source};

    fn world(text: &str) -> World {
        let source = Source::from_bytes("world.yaml".to_owned(), text.as_bytes());
        let scenario = Scenario::read("world", "world", source).expect("a world without a mistake");
        World::new(&scenario, Factor { millis: 1_000 }).unwrap()
    }

    fn strategy(json: &str) -> Strategy {
        serde_json::from_str(json).expect("a strategy without a mistake")
    }

    /// The same strategy in the same world with the whole stack between them: codecs, HTTP, connections, tasks.
    fn over_http(world: &World, strategy: &Strategy, seed: u64) -> BTreeMap<u64, Trace> {
        let scenario = world.scenario();
        let client = world.client(strategy);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let clock = Clock::simulated();
            let lane = Lane::new(Arc::clone(&scenario.plan), draws(scenario, seed), clock);
            let (listener, connector) = memory::listen();
            let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
            let router = axum::Router::new();
            let server = tokio::spawn(server::run(listener, Lanes::new(lane), router, async {
                let _told = stopped.await.is_ok();
            }));
            let seed = client_seed(scenario, seed);
            let reports =
                client::play(&client, seed, connector, move || clock.now()).await.unwrap();
            drop(stop);
            server.await.unwrap().unwrap();
            let traces = reports.into_iter().map(|report| match report.result {
                Ok(success) => success.trace,
                Err(error) => error.trace,
            });
            traces.map(|trace| (trace.call, trace)).collect()
        })
    }

    /// What a call did, without what only happens where there are connections, without the texts of errors, and without the tokens of an attempt's own mark, of which the simulation knows only about how many there are.
    fn essence(trace: &Trace) -> Vec<(Nanos, What)> {
        let entries = trace.entries.iter().filter_map(|entry| {
            let what = match &entry.what {
                What::Connected { .. } | What::FirstToken { .. } => return None,
                What::AttemptEnded { attempt, target, failure: None, usage: Some(usage) } => {
                    assert!((8..=24).contains(&usage.output), "{usage:?}");
                    let usage = Some(Usage { output: 0, ..*usage });
                    What::AttemptEnded { attempt: *attempt, target: *target, failure: None, usage }
                }
                What::AttemptEnded { attempt, target, failure: Some(failure), usage } => {
                    let failure = Failure {
                        message: Box::default(),
                        request_id: None,
                        observed: resilience_core::hint::Left::default(),
                        ..failure.clone()
                    };
                    let (attempt, target, usage) = (*attempt, *target, *usage);
                    What::AttemptEnded { attempt, target, failure: Some(failure), usage }
                }
                other => other.clone(),
            };
            Some((entry.at, what))
        });
        entries.collect()
    }

    /// The seeds are such that no two attempts come to the provider in the same millisecond: who is first then is the scheduler's doing.
    #[track_caller]
    fn agrees(world: &World, strategy: &Strategy, seeds: &[u64]) {
        for &seed in seeds {
            let simulated = simulate(world, strategy, seed, true).traces;
            let real = over_http(world, strategy, seed);
            assert!(!simulated.is_empty());
            assert!(simulated.keys().eq(real.keys()), "the same calls");
            let differ = real.iter().filter_map(|(call, trace)| {
                let (ours, theirs) = (essence(&simulated[call]), essence(trace));
                let same = ours.iter().zip(&theirs).take_while(|(ours, theirs)| ours == theirs);
                let same = same.count();
                let (ours, theirs) = (ours.get(same).cloned(), theirs.get(same).cloned());
                let at = ours.iter().chain(&theirs).map(|(at, _)| *at).min()?;
                Some((at, *call, ours, theirs))
            });
            // The earliest difference is the cause of the others.
            let first = differ.min_by_key(|(at, ..)| *at);
            assert_eq!(first, None, "when, which call, ours, theirs; seed {seed}, {strategy:?}");
        }
    }

    const QUOTA: &str = "
brownout: 1
name: less than is asked for
provider:
  quota: { requests: 12/min, tokens: 20_000/min }
  latency: { first-token: 400ms p99 2s }
  answers: { text: fine }
client:
  clients: 4
  arrivals: { rate: 24/min, for: 90s, spread: random }
  prompt: { tokens: 20..900 }
  output-tokens: 40
";

    const OUTAGE: &str = "
brownout: 1
name: the first provider goes dark, and the second one stumbles
provider:
  latency: { first-token: 200ms..900ms }
  answers: { text: fine }
rules:
  - { when: { provider: openai, from: 10s, until: 25s }, fault: hang }
  - { when: { provider: openai, from: 25s, until: 30s }, fault: reset }
  - { when: { provider: openai, from: 30s, until: 32s }, fault: { unavailable: { retry-after: 3s } } }
  - { when: { provider: anthropic }, chance: 10%, fault: overloaded }
  - { when: { provider: openai }, chance: 5%, fault: truncated }
client:
  clients: 3
  arrivals: { rate: 4/s, for: 45s, spread: random }
  targets: [openai/gpt-4o-mini, anthropic/claude-haiku-4-5]
  timeouts: { attempt: 3s, call: 40s }
";

    const LOAD: &str = "
brownout: 1
name: slower with every request
provider:
  latency: { first-token: 300ms..500ms }
  load: { workers: 1, slowdown: 30ms, queue: 6 }
  answers: { text: fine }
client:
  clients: 2
  arrivals: { rate: 3/s, for: 20s, spread: random }
  timeouts: { attempt: 2s, call: 30s }
";

    const TURNS: &str = "
brownout: 1
name: some at a time
provider:
  latency: { first-token: 100ms..700ms }
  answers: { text: fine }
rules: [{ chance: 20%, fault: server-error }]
client: { clients: 5, calls: 80, concurrency: 7, think: 50ms..400ms }
";

    #[test]
    fn attempts_agree_with_the_whole_stack_in_every_world() {
        for text in [QUOTA, OUTAGE, LOAD, TURNS] {
            let world = world(text);
            agrees(&world, &strategy("{}"), &[1, 2]);
            let deaf =
                r#"{ "hints": "ignore", "retries": 3, "backoff": { "jitter": "decorrelated" } }"#;
            agrees(&world, &strategy(deaf), &[1, 2]);
        }
    }

    #[test]
    fn attempts_agree_with_the_whole_stack_under_every_strategy() {
        for text in [
            r#"{ "budget": { "ratio": { "share": "10%", "saved": 5 } }, "state": "own" }"#,
            r#"{ "budget": { "aws": {} }, "breaker": { "of": 5, "open": "2s" } }"#,
            r#"{ "hedge": { "after": "650ms", "share": "50%" } }"#,
            r#"{ "throttle": { "beyond": "1.2x" } }"#,
            r#"{ "limits": { "requests": "12/min", "tokens": "20_000/min", "queue": "10s" } }"#,
            r#"{ "limits": { "requests": "40/min", "concurrency": 3 }, "state": "own" }"#,
            r#"{ "adaptive-rate": true }"#,
            r#"{ "adaptive-concurrency": { "initial": 2 } }"#,
            r#"{ "hints": "obey-short", "hint-max": "1s", "hint-spread": { "share": "0%" } }"#,
        ] {
            let strategy = strategy(text);
            for text in [QUOTA, OUTAGE, LOAD] {
                // All who wait for a breaker come at one instant, and who is first is the scheduler's doing.
                if strategy.breaker.is_none() || text != LOAD {
                    agrees(&world(text), &strategy, &[1]);
                }
            }
        }
    }

    /// Over a wire even the fastest refusal comes after whatever leaves at the same instant: calls that wait for one hint come together, and are refused together.
    #[test]
    fn who_waits_for_the_same_instant_sends_before_anyone_is_refused() {
        let world = world(
            "
brownout: 1
name: nobody is served
rules: [{ fault: { rate-limited: { retry-after: 2s } } }]
client: { arrivals: { rate: 10/s, for: 1s } }
",
        );
        let strategy = strategy(r#"{ "hint-spread": { "share": "0%" } }"#);
        let traces = simulate(&world, &strategy, 1, true).traces;
        let sent = |entry: &&resilience_core::Entry| {
            entry.at == Nanos::new(2_000_000_000)
                && matches!(entry.what, What::AttemptStarted { .. })
        };
        let sent = traces.values().flat_map(|trace| &trace.entries).filter(sent).count();
        assert_eq!(sent, 10);
    }
}
