//! One run: everything that happens, in the order of time.

use std::time::Duration;

use resilience_core::{Class, Nanos, parts::Budget};

use super::{
    bucket::Bucket,
    constants::Constants,
    gate::Gate,
    provider::{Provider, Reply},
    strategy::{Pause, Strategy},
};
use crate::lab::{Agenda, Chance, span};

/// What is run: a strategy under a load.
#[derive(Clone, Copy, Debug)]
pub(super) struct Case {
    pub(super) strategy: Strategy,
    pub(super) load: f64,
    pub(super) outage: bool,
    pub(super) penalty: bool,
}

/// A request with what became of it.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) arrived: Nanos,
    pub(super) client: usize,
    pub(super) cost: u64,
    pub(super) attempts: u32,
    /// Attempts that were answered with 429.
    pub(super) limited: u32,
    /// Attempts that were answered with 503.
    pub(super) unavailable: u32,
    /// The Retry-After of the latest refusal, in seconds.
    hint: Option<u64>,
    /// The delay before the latest retry.
    previous: Option<Duration>,
    pub(super) end: Option<End>,
}

/// How a request ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum End {
    /// The budget had no retry for it.
    BudgetDenied,
    /// It had no attempt left.
    Exhausted,
    /// It was answered, but past its deadline.
    Late,
    /// The next attempt would not have left before its deadline.
    NoTime,
    /// It was answered, so long after its arrival.
    Ok(Duration),
    /// A limiter or a throttle turned it away.
    Shed,
}

/// What a run leaves behind.
#[derive(Debug)]
pub(super) struct Record {
    /// In the order of their arrival.
    pub(super) requests: Vec<Request>,
    /// Attempts that reached the provider in each second after the outage.
    pub(super) after_outage: [u32; 60],
    /// What must hold in every run, and did not.
    pub(super) broken: Vec<&'static str>,
}

/// Plays a case with this luck.
pub(super) fn play(constants: &Constants, case: &Case, chance: Chance) -> Record {
    let mut world = World::new(constants, case, chance);
    world.burst();
    let mut arrival = world.arrival_after(Nanos::ZERO);
    loop {
        match (arrival, world.agenda.next_at()) {
            (Some(at), next) if next.is_none_or(|next| at <= next) => {
                let client = world.chance.below(u64::from(constants.clients));
                world.arrive(usize::try_from(client).expect("32 bits"), at);
                arrival = world.arrival_after(at);
            }
            _ => match world.agenda.pop() {
                Some((now, (event, number))) => {
                    world.happen(event, usize::try_from(number).expect("32 bits"), now);
                }
                None => return world.record(),
            },
        }
    }
}

/// Provider and clients, and what is between them.
struct World<'a> {
    constants: &'a Constants,
    /// Seconds between arrivals in the mean.
    gap: f64,
    chance: Chance,
    /// Events with the numbers of their requests, which are kept short: most of the work is putting them in order.
    agenda: Agenda<(Event, u32)>,
    provider: Provider,
    pause: Option<Pause>,
    gate: Gate,
    budgets: Vec<Budget>,
    requests: Vec<Request>,
    after_outage: [u32; 60],
    broken: Vec<&'static str>,
}

/// What may happen to a request.
#[derive(Clone, Copy, Debug)]
enum Event {
    /// A success is back.
    Accepted,
    /// A retry is due.
    Due,
    /// An attempt reaches the provider.
    Reached,
    /// A refusal is back.
    Refused,
}

impl<'a> World<'a> {
    fn new(constants: &'a Constants, case: &Case, chance: Chance) -> Self {
        let Case { strategy, load, outage, penalty } = *case;
        let bucket = |(micros_per_s, capacity)| Bucket::full(micros_per_s, capacity, 1);
        Self {
            constants,
            gap: (load * constants.arrivals_per_s).recip(),
            chance,
            agenda: Agenda::new(),
            provider: Provider::new(
                bucket(constants.requests),
                bucket(constants.tokens),
                outage.then(|| constants.outage.clone()),
                if penalty { constants.penalty } else { 0 },
            ),
            pause: strategy.pause(&constants.retry),
            gate: strategy.gate(constants),
            budgets: strategy.budgets(constants),
            requests: Vec::new(),
            after_outage: [0; 60],
            broken: Vec::new(),
        }
    }

    /// The requests that come all at once, if they do: to one client after the other.
    fn burst(&mut self) {
        let clients = (0..self.constants.clients).cycle();
        for client in clients.take(usize::try_from(self.constants.burst).expect("32 bits")) {
            self.arrive(usize::try_from(client).expect("32 bits"), Nanos::ZERO);
        }
    }

    /// When the next request arrives after one at `now`, if any does.
    fn arrival_after(&mut self, now: Nanos) -> Option<Nanos> {
        if self.constants.burst > 0 {
            return None;
        }
        let at = now + self.chance.exponential_span(Duration::from_secs_f64(self.gap));
        (at < self.constants.horizon).then_some(at)
    }

    fn arrive(&mut self, client: usize, now: Nanos) {
        let (least, most) = self.constants.cost;
        let cost = least + self.chance.below(most - least + 1);
        if let Some(budget) = self.budgets.get_mut(client) {
            budget.began(now);
        }
        let number = self.requests.len();
        self.requests.push(Request::new(client, cost, now));
        self.go(number, now);
    }

    fn happen(&mut self, event: Event, number: usize, now: Nanos) {
        match event {
            Event::Accepted => self.gate.ended(self.requests[number].client, Ok(()), now),
            Event::Due => self.go(number, now),
            Event::Reached => self.reach(number, now),
            Event::Refused => self.refuse(number, now),
        }
    }

    /// A request sends an attempt, if it may.
    fn go(&mut self, number: usize, now: Nanos) {
        let request = &mut self.requests[number];
        let deadline = request.arrived + self.constants.deadline;
        let draw = || self.chance.draw();
        let Some(leave) = self.gate.pass(request.client, request.cost, deadline, draw, now) else {
            request.end = Some(End::Shed);
            return;
        };
        request.attempts += 1;
        if leave >= deadline {
            self.broken.push("no attempt leaves at or after its deadline");
        }
        if self.constants.attempts.is_some_and(|most| request.attempts > most) {
            self.broken.push("no request has more attempts than allowed");
        }
        let way = self.chance.below(self.constants.network_nanos + 1);
        self.add(leave + Duration::from_nanos(way), Event::Reached, number);
    }

    /// An attempt reaches the provider.
    fn reach(&mut self, number: usize, now: Nanos) {
        let request = &mut self.requests[number];
        let second = now.checked_since(self.constants.outage.end).map(|after| after.as_secs());
        if let Some(second) = second.and_then(|second| usize::try_from(second).ok())
            && let Some(count) = self.after_outage.get_mut(second)
        {
            *count += 1;
        }
        let reply = self.provider.answer(request.cost, now);
        if !self.provider.has_kept_its_quota() {
            self.broken.push("the provider never accepts more than capacity and refill");
        }
        match reply {
            Reply::Accepted => {
                let (median, sigma) = self.constants.latency;
                let answered = now + span(self.chance.log_normal(median, sigma));
                let late = answered > request.arrived + self.constants.deadline;
                let after = answered.since(request.arrived);
                request.end = Some(if late { End::Late } else { End::Ok(after) });
                if self.gate.learns() {
                    self.add(answered, Event::Accepted, number);
                }
                return;
            }
            Reply::Limited { retry_after } => {
                request.limited += 1;
                request.hint = Some(retry_after);
            }
            Reply::Unavailable => {
                request.unavailable += 1;
                request.hint = None;
            }
        }
        let refused = now + self.constants.refusal_delay;
        // Without a budget nothing that happens in between can change what the client does then.
        if self.budgets.is_empty() {
            self.refuse(number, refused);
        } else {
            self.add(refused, Event::Refused, number);
        }
    }

    /// A refusal is back, and the client decides whether and when to try again.
    fn refuse(&mut self, number: usize, now: Nanos) {
        let request = &mut self.requests[number];
        let class = match request.hint {
            Some(_) => Class::RateLimited { dimension: None },
            None => Class::Overloaded,
        };
        self.gate.ended(request.client, Err(class), now);
        let spent = self.constants.attempts.is_some_and(|most| request.attempts >= most);
        let Some(pause) = self.pause.filter(|_| !spent) else {
            request.end = Some(End::Exhausted);
            return;
        };
        let hint = request.hint.map(Duration::from_secs);
        let delay = pause.delay(request.attempts, request.previous, hint, self.chance.draw());
        let due = now + delay;
        if due >= request.arrived + self.constants.deadline {
            request.end = Some(End::NoTime);
            return;
        }
        if let Some(budget) = self.budgets.get_mut(request.client) {
            // A ratio keeps no account of retries under way, so that what is paid needs no settling.
            if budget.withdraw(class, now).is_err() {
                request.end = Some(End::BudgetDenied);
                return;
            }
        }
        request.previous = Some(delay);
        if self.gate.is_open() {
            self.go(number, due);
        } else {
            self.add(due, Event::Due, number);
        }
    }

    fn add(&mut self, at: Nanos, event: Event, number: usize) {
        let number = u32::try_from(number).expect("memory holds fewer requests");
        self.agenda.add(at, (event, number));
    }

    /// What there is at the end, with what must hold of it.
    fn record(self) -> Record {
        let Self { constants, requests, gate, budgets, pause, mut broken, .. } = self;
        let mut check = |holds: bool, what| {
            if !holds {
                broken.push(what);
            }
        };
        let answered = |request: &&Request| matches!(request.end, Some(End::Ok(_) | End::Late));
        let sum = |count: fn(&Request) -> u32| -> u64 {
            requests.iter().map(|request| u64::from(count(request))).sum()
        };
        let attempts = sum(|request| request.attempts);
        let refused = sum(|request| request.limited + request.unavailable);
        let accepted = u64::try_from(requests.iter().filter(answered).count()).unwrap_or(0);
        check(attempts == accepted + refused, "every attempt is answered once");
        check(requests.iter().all(|request| request.end.is_some()), "every request ends");
        check(gate.has_kept_its_quota(), "no limiter lets more through than capacity and refill");
        let once = pause.is_some() || requests.iter().all(|request| request.attempts == 1);
        check(once, "without retries each request has one attempt");
        let mut owed = vec![0_u64; budgets.len()];
        let mut earned = vec![u64::from(constants.budget.initial) * MILLION; budgets.len()];
        for request in requests.iter().filter(|_| !budgets.is_empty()) {
            owed[request.client] += u64::from(request.attempts.saturating_sub(1)) * MILLION;
            earned[request.client] += u64::from(constants.budget.ratio_ppm);
        }
        let paid = owed.iter().zip(&earned).all(|(owed, earned)| owed <= earned);
        check(paid, "no client retries more than its budget has earned");
        Record { requests, after_outage: self.after_outage, broken }
    }
}

impl Request {
    pub(super) fn new(client: usize, cost: u64, arrived: Nanos) -> Self {
        Self {
            arrived,
            client,
            cost,
            attempts: 0,
            limited: 0,
            unavailable: 0,
            hint: None,
            previous: None,
            end: None,
        }
    }
}

/// A retry, in millionths.
const MILLION: u64 = 1_000_000;
