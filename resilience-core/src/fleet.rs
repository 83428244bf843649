//! One quota for many processes, kept on Redis or Valkey.
//!
//! A provider counts per credential, not per process: four workers with a limit of 60 each are refused as soon as they are busy together.
//! A [`Fleet`] counts them together.
//! Use it when several processes share a credential and none of them can be given a fixed part of it; a single process is served better by a [`crate::Throttle`], which asks nobody.
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use resilience_core::fleet::{Fleet, FleetSettings, WhenDown};
//! use resilience_core::{Cost, Quota};
//!
//! # async fn work() -> Result<(), Box<dyn std::error::Error>> {
//! // No window holds more than this; the largest request is one of 8,000 tokens.
//! let quota = Quota::per_minute(500, 200_000).strict(Cost::request(6_000, 2_000));
//! let settings = FleetSettings {
//!     when_down: WhenDown::LocalShare { ppm: 250_000 }, // One of four processes.
//!     seed: u64::from(std::process::id()),
//!     ..FleetSettings::new("openai:gpt-4o-mini", quota)
//! };
//! let fleet = Fleet::new("redis://127.0.0.1:6379", settings)?;
//!
//! fleet.acquire_within(Cost::request(1_200, 300), Duration::from_secs(30)).await?;
//! // Send the request now: what was granted is for now, not for later.
//! # Ok(())
//! # }
//! ```
//!
//! # How it works
//!
//! The server keeps one bucket for each limit, all in one hash, and one script takes from all of them or from none.
//! The script goes by the server's clock, so that the clocks of the processes do not matter.
//! A key that is missing starts empty: the first request after a deployment waits for one refill, and so does the first after [`FleetSettings::keep`] without any.
//!
//! **Leases.** A busy process takes the units of several requests at once and spends them without asking, for at most [`FleetSettings::lease_ttl`].
//! It asks for what its line needs or what it spent in the time of the last lease, at most for [`FleetSettings::lease_share_ppm`] of the burst; the server gives what the next request needs and up to half of the rest, so that leases shrink when the quota gets short.
//! What is not spent in time lapses.
//! There is no giving back: by the time it arrived the bucket may have filled up without it, and the units would be a burst beyond the burst.
//!
//! **The line.** Inside a process, first come is first served, and only the front asks.
//! A refusal says how long to wait, and each process adds a draw of its own, so that they do not come back together.
//! Between processes there is no line: a request that needs much of the burst may be overtaken by smaller ones of other processes.
//! A waiting future can be dropped at any time: it holds nothing, the next moves up, and a lease that arrives for it is there for the next.
//!
//! # What is guaranteed
//!
//! With [`Guarantee::Strict`](crate::Guarantee::Strict), all processes together use at most *L* in every window of *P*, where an instant of use is [`Admission::at`].
//!
//! Let *B* be the burst, *T* the lease ttl plus the jitter of [`Guarantee::Strict`](crate::Guarantee::Strict); the bucket refills at *r* = (*L* − *B*) / (*P* + *T*).
//! Let a unit be used at *u*, having been asked for at *s* and granted by the server at *g*.
//! The script ran after the question was sent, *s* ≤ *g*, and its answer had come before the use, *g* ≤ *u*; the process's own monotonic clock is read at the use and refuses *u* ≥ *s* + ttl.
//! Hence *u* − ttl < *g* ≤ *u*: a process that was paused, or got the answer late, finds its lease lapsed.
//! Whatever is used in [*t*, *t* + *P*] and arrives there up to the jitter late was granted in (*t* − *T*, *t* + *P*].
//! That span is *P* + *T* long, and a bucket grants at most *B* + *r* · (*P* + *T*) = *L* in it. ∎
//!
//! No better refill exists in general: units granted over *P* + ttl can all be used within *P*.
//! On top of that the refill is spread over another thousandth, for clocks that run at different speeds, and every rounding is downwards.
//!
//! # When the server is down
//!
//! A round trip that fails, or takes longer than [`FleetSettings::timeout`], is an outage until another succeeds; one is tried every [`FleetSettings::probe_every`] as long as there is demand.
//! Leases are good until they lapse.
//!
//! - [`WhenDown::Deny`] fails at once, with the cause.
//! - [`WhenDown::LocalShare`] goes on with a fixed part of each limit. [`Fleet::health`] and [`Admission::by`] tell, and so does a warning with the feature `tracing`.
//!
//! A server that is there and refuses (a wrong password, a key of somebody else's) is denied under both policies.
//!
//! *A server that is killed, with or without its data, changes no guarantee.*
//! Say that it is gone from *k* to *b*.
//! It grants nothing in between, and what its bucket held at *k* is lost.
//! A member spends its share only after a question of its own has failed on a fresh connection, hence after *k*.
//! The share starts empty and refills at the member's part of *r*, up to its part of the burst; as the parts sum to one at most, all members together spend no more than one bucket that was emptied at *k*.
//! None does so longer than *D* = 2 · (probe interval + timeout) after the question that failed was put, and the server was gone after that instant: so not after *b* + *D*.
//! A bucket without a past, or with one that another run of the server has left, starts empty, and not before *D* after its first question.
//! So whatever the instant, one bucket at most is filling; each starts empty, and the proof above goes through with all of them in the place of one. ∎
//!
//! *A server that stalls and comes back, or that only some members cannot reach, is not gone.*
//! Then the shares come on top of what it grants to the others: together at most *L* + Σ shares · (*L* − *B*) in a window, below 2 *L*.
//! What was spent that way is charged when the member is back.
//! Where that is too much, choose [`WhenDown::Deny`], whose bound never changes.
//!
//! # What it takes for granted
//!
//! - The server's clock is slewed, not set: one that is put forward refills as if the time had passed. One that is put back is waited for, or, if it is far back, starts the bucket empty.
//! - A machine that is suspended as a whole may stop its monotonic clock, and a lease with it.
//! - The server may call `INFO` from a script, which tells its runs apart; `ACL SETUSER … +info +time` where that is restricted.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::clock::Clock;
use crate::draw::{Draws, Purpose};
use crate::limiter::Cost;
use crate::mistake::Mistakes;
use crate::time::Nanos;

mod lease;
mod member;
mod settings;
mod shape;
#[cfg(test)]
mod simulation;
mod store;

pub use member::FleetError;
use member::{Ask, Member, Outcome, Step, Ticket};
pub use settings::{FleetMistake, FleetSettings, SPAN_MAX, WhenDown};
use store::Store;
pub use store::StoreError;

/// A quota that processes share through a server.
///
/// One value for each process and quota; tasks share it.
/// It connects when it is first asked, and again whenever it must; all its waiting is on the runtime that it is used on.
#[derive(Debug)]
pub struct Fleet {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    line: Mutex<Line>,
    store: Store,
    draws: Draws,
    clock: OnceLock<Clock>,
}

#[derive(Debug)]
struct Line {
    member: Member,
    waiting: BTreeMap<Ticket, Arc<Notify>>,
}

impl Fleet {
    /// A member of the fleet of `settings` on the server at `url`, or everything that is wrong with them.
    ///
    /// An address looks like `redis://127.0.0.1:6379`, `redis://user:password@host:port/database` or `unix:///path`.
    pub fn new(url: &str, settings: FleetSettings) -> Result<Self, Mistakes<FleetMistake>> {
        let mut mistakes = settings.mistakes();
        if !mistakes.is_empty() {
            mistakes.extend(Store::check(url).err());
            return Err(mistakes.into());
        }
        let store = Store::new(url, &settings).map_err(|mistake| vec![mistake])?;
        let draws = Draws::new(settings.seed);
        let line = Line { member: Member::new(settings), waiting: BTreeMap::new() };
        let shared = Shared { line: Mutex::new(line), store, draws, clock: OnceLock::new() };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Waits for the turn and takes `cost`.
    pub async fn acquire(&self, cost: Cost) -> Result<Admission, FleetError> {
        self.acquire_until(cost, Nanos::MAX).await
    }

    /// As [`Fleet::acquire`], but fails when the turn has not come within `patience`, and at once when that is known before.
    ///
    /// A patience below a round trip is served only from a lease.
    pub async fn acquire_within(
        &self,
        cost: Cost,
        patience: Duration,
    ) -> Result<Admission, FleetError> {
        let deadline = self.shared.clock().now() + patience;
        self.acquire_until(cost, deadline).await
    }

    /// Whether the server answers, as far as this process knows: the outcome of the last round trip.
    pub fn health(&self) -> Health {
        let now = self.shared.clock().now();
        self.shared.lock().member.health(now)
    }

    async fn acquire_until(&self, cost: Cost, deadline: Nanos) -> Result<Admission, FleetError> {
        let clock = self.shared.clock();
        let notify = Arc::new(Notify::new());
        let place = {
            let mut line = self.shared.lock();
            let ticket = line.member.join(cost)?;
            line.waiting.insert(ticket, Arc::clone(&notify));
            Place { shared: &self.shared, ticket }
        };
        loop {
            // The clock is read under the lock: what is spent has not lapsed at the instant that is reported.
            let (step, now) = {
                let mut line = self.shared.lock();
                let now = clock.now();
                (line.member.poll(place.ticket, deadline, now), now)
            };
            let until = match step {
                Step::Admitted(by) => return Ok(Admission { at: clock.instant(now), by }),
                Step::Failed(error) => return Err(error),
                Step::Ask(ask) => {
                    // A task of its own, so that an answer is heard even when nobody waits for it any more.
                    tokio::spawn(put(Arc::clone(&self.shared), ask));
                    continue;
                }
                Step::Wait { until } => until,
            };
            if until == Nanos::MAX {
                notify.notified().await;
            } else {
                tokio::select! {
                    () = notify.notified() => {}
                    () = clock.sleep_until(until) => {}
                }
            }
        }
    }
}

/// Puts a question and has the member handle what comes of it.
async fn put(shared: Arc<Shared>, ask: Ask) {
    let mut answer = Answer { shared: &shared, ask: &ask, outcome: None };
    answer.outcome = Some(shared.store.ask(&ask).await);
}

/// What came of a question; dropped without an answer, because a runtime ends, it is a failure like any other.
struct Answer<'a> {
    shared: &'a Shared,
    ask: &'a Ask,
    outcome: Option<Outcome>,
}

impl Drop for Answer<'_> {
    fn drop(&mut self) {
        let Self { shared, ask, .. } = self;
        let silent = || Outcome::Failed(shared.store.silent());
        let outcome = self.outcome.take().unwrap_or_else(silent);
        let draw = shared.draws.draw(ask.id, Purpose::Spread, 0);
        let now = shared.clock().now();
        let mut line = shared.lock();
        let before = line.member.health(now);
        line.member.handle(ask, outcome, draw, now);
        let after = line.member.health(now);
        line.tell_front();
        drop(line);
        tell(&before, &after);
    }
}

/// Logs, with the feature `tracing`, that the server is gone or back; once for each change.
#[cfg_attr(not(feature = "tracing"), expect(unused_variables, reason = "nobody listens"))]
fn tell(before: &Health, after: &Health) {
    #[cfg(feature = "tracing")]
    match (before, after) {
        (Health::Up, Health::Down { cause, local, .. }) => {
            tracing::warn!(%cause, local, "the fleet's server cannot be asked");
        }
        (Health::Down { .. }, Health::Up) => tracing::info!("the fleet's server answers again"),
        (Health::Down { .. }, Health::Down { .. }) | (Health::Up, Health::Up) => {}
    }
}

impl Shared {
    fn clock(&self) -> Clock {
        *self.clock.get_or_init(Clock::start)
    }

    fn lock(&self) -> MutexGuard<'_, Line> {
        // A panic elsewhere left the line between two of its methods, where it is whole.
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Line {
    fn tell_front(&self) {
        let front = self.member.front().and_then(|front| self.waiting.get(&front));
        if let Some(notify) = front {
            notify.notify_one();
        }
    }
}

/// A place in the line; dropped, it is left, and the next is told.
struct Place<'a> {
    shared: &'a Shared,
    ticket: Ticket,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut line = self.shared.lock();
        line.waiting.remove(&self.ticket);
        line.member.leave(self.ticket);
        line.tell_front();
    }
}

/// Leave to send one request, now.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Admission {
    /// The instant at which the units were used up: what the guarantee counts.
    pub at: Instant,
    /// Who granted them.
    pub by: Grantor,
}

/// Who grants units.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Grantor {
    /// This member's own share, while the server was down.
    LocalShare,
    /// The server, by a lease.
    Server,
}

/// Whether the server answers.
#[derive(Clone, Debug)]
pub enum Health {
    /// The last round trip failed.
    Down {
        /// Why.
        cause: StoreError,
        /// How long ago the first failure in a row was.
        elapsed: Duration,
        /// Whether the local share is spent meanwhile.
        local: bool,
    },
    /// The last round trip succeeded, or there was none yet.
    Up,
}
