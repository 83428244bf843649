//! One process of a fleet: who is next, whether to ask the server, and what to do while it is down.
//!
//! A state machine without a clock.
//! [`Member::join`] gives a ticket; [`Member::poll`] says what its holder is to do; [`Member::handle`] is told what came of a question; [`Member::leave`] gives a ticket up.
//! Whoever changes the line wakes [`Member::front`]: nobody else has anything to do but to wait.
//!
//! There is nothing between waiting and admitted: a unit leaves its lease in the poll that admits, so a waiter that is dropped holds none.

use std::collections::VecDeque;

use thiserror::Error;

use crate::class::{Class, Dimension, LocalReject};
use crate::draw::scale;
use crate::failure::Failure;
use crate::limiter::{Cost, Limit, NoRoom};
use crate::time::{Nanos, whole_nanos};

use super::lease::{Demand, Purse};
use super::settings::FleetSettings;
use super::shape::{Shape, Share};
use super::store::StoreError;
use super::{Grantor, Health};

/// The state of one process.
#[derive(Debug)]
pub(crate) struct Member {
    settings: FleetSettings,
    shapes: Vec<Shape>,
    waiting: VecDeque<(Ticket, Vec<u64>)>,
    tickets: u64,
    purse: Purse,
    demand: Demand,
    asking: Option<Asking>,
    asks: u64,
    /// Before then the server would refuse the front again.
    not_before: Nanos,
    /// The run of the server that answered last.
    run: Option<String>,
    /// What was spent of the local share and the server has not been told.
    owed: Vec<u64>,
    outage: Option<Outage>,
}

#[derive(Clone, Copy, Debug)]
struct Asking {
    id: u64,
    since: Nanos,
}

#[derive(Debug)]
struct Outage {
    cause: StoreError,
    since: Nanos,
    probe_at: Nanos,
    /// Until when the local share may be spent on the word of the last failure.
    evidence_until: Nanos,
    /// The last who waited for the question that failed.
    heard_by: Ticket,
    /// Empty where the policy or the cause leaves no share.
    shares: Vec<Share>,
}

impl Member {
    /// A member that has asked nothing yet; the settings have been checked.
    pub(crate) fn new(settings: FleetSettings) -> Self {
        let dimensions = settings.quota.limits.len();
        Self {
            shapes: settings.shapes(),
            waiting: VecDeque::new(),
            tickets: 0,
            purse: Purse::default(),
            demand: Demand::new(dimensions, settings.lease_ttl),
            asking: None,
            asks: 0,
            not_before: Nanos::ZERO,
            run: None,
            owed: vec![0; dimensions],
            outage: None,
            settings,
        }
    }

    /// Joins the line at its end; fails if no wait can help.
    pub(crate) fn join(&mut self, cost: Cost) -> Result<Ticket, FleetError> {
        let mut tokens = Vec::with_capacity(self.limits().len());
        for &Limit { dimension, burst, .. } in self.limits() {
            let cost = cost.on(dimension);
            if cost > burst {
                return Err(NoRoom::Never { dimension, cost, capacity: burst }.into());
            }
            tokens.push(cost);
        }
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        self.waiting.push_back((ticket, tokens));
        Ok(ticket)
    }

    /// What the holder of `ticket` is to do; its place is given up once that is neither to ask nor to wait.
    pub(crate) fn poll(&mut self, ticket: Ticket, deadline: Nanos, now: Nanos) -> Step {
        let step = self.look(ticket, deadline, now);
        match step {
            // The next in line knows the refusal as well as this one did.
            Step::Admitted(_) => self.waiting.retain(|(waiting, _)| *waiting != ticket),
            Step::Failed(_) => self.leave(ticket),
            Step::Ask(_) | Step::Wait { .. } => {}
        }
        step
    }

    fn look(&mut self, ticket: Ticket, deadline: Nanos, now: Nanos) -> Step {
        let front = match self.waiting.front() {
            Some((front, cost)) if *front == ticket => cost.clone(),
            _ if now >= deadline => return too_late(Nanos::MAX, now),
            _ => return Step::Wait { until: deadline },
        };
        if self.purse.spend(&front, now) {
            self.demand.note(&front, now);
            return Step::Admitted(Grantor::Server);
        }
        let Some(outage) = &mut self.outage else {
            // ## Up => (Up | Down)
            if now >= deadline || self.not_before >= deadline {
                return too_late(self.not_before, now);
            }
            if self.asking.is_some() {
                return Step::Wait { until: deadline };
            }
            if now < self.not_before {
                return Step::Wait { until: self.not_before };
            }
            return self.ask(&front, now);
        };
        // ## Down => (Down | Up)
        // Whoever waited for the question that failed has the answer; another would be one more timeout for him.
        let heard = outage.shares.is_empty() && ticket <= outage.heard_by;
        if self.asking.is_none() && now >= outage.probe_at && !heard {
            return self.ask(&front, now);
        }
        if outage.shares.is_empty() {
            return match self.asking {
                Some(_) if now < deadline && !heard => Step::Wait { until: deadline },
                _ => Step::Failed(FleetError::Down(outage.cause.clone())),
            };
        }
        let believed = now < outage.evidence_until;
        let mut ready_at = if believed { now } else { Nanos::MAX };
        for (dimension, share) in outage.shares.iter_mut().enumerate() {
            share.advance(now);
            let Some(wait) = share.wait(front[dimension]) else {
                let Limit { dimension: name, burst, .. } = self.settings.quota.limits[dimension];
                return Step::Failed(FleetError::ShareTooSmall {
                    dimension: name,
                    cost: front[dimension],
                    burst,
                    cause: outage.cause.clone(),
                });
            };
            ready_at = ready_at.max(now + wait);
        }
        if ready_at <= now {
            for (dimension, share) in outage.shares.iter_mut().enumerate() {
                share.take(front[dimension]);
                self.owed[dimension] = self.owed[dimension].saturating_add(front[dimension]);
            }
            return Step::Admitted(Grantor::LocalShare);
        }
        if now >= deadline {
            return too_late(ready_at, now);
        }
        // With a question on its way its answer wakes the front, else it is time for one.
        let next_probe = if self.asking.is_some() { Nanos::MAX } else { outage.probe_at };
        Step::Wait { until: ready_at.min(next_probe).min(deadline) }
    }

    fn ask(&mut self, front: &[u64], now: Nanos) -> Step {
        self.asks += 1;
        self.asking = Some(Asking { id: self.asks, since: now });
        let mut want: Vec<u64> = self.demand.expect(now).collect();
        for (dimension, want) in want.iter_mut().enumerate() {
            let line = self.waiting.iter().take(LINE_MAX).map(|(_, cost)| cost[dimension]);
            let most = u128::from(self.settings.quota.limits[dimension].burst)
                * u128::from(self.settings.lease_share_ppm)
                / 1_000_000;
            let most = u64::try_from(most).expect("a share is no larger than the whole");
            let line = line.fold(0, u64::saturating_add);
            *want = line.max(*want).min(most).max(front[dimension]);
        }
        let known_run = self.run.clone();
        Step::Ask(Ask {
            id: self.asks,
            need: front.to_vec(),
            want,
            owed: self.owed.clone(),
            known_run,
        })
    }

    /// Takes note of what came of the question `ask`; of any other than the last one asked, nothing.
    pub(crate) fn handle(&mut self, ask: &Ask, outcome: Outcome, draw: u64, now: Nanos) {
        let Some(Asking { since, .. }) = self.asking.take_if(|asking| asking.id == ask.id) else {
            return;
        };
        let run = match outcome {
            Outcome::Failed(cause) => return self.fail(cause, since, now),
            Outcome::Granted { run, tokens } => {
                self.not_before = Nanos::ZERO;
                self.purse.put(tokens, since, self.settings.lease_ttl);
                run
            }
            Outcome::Refused { run, wait } => {
                // Upwards only: whoever comes early is refused again.
                let spread = (whole_nanos(wait) / 4 + SPREAD_MIN).min(SPREAD_MAX);
                self.not_before = now + wait + std::time::Duration::from_nanos(scale(draw, spread));
                run
            }
        };
        for (owed, told) in self.owed.iter_mut().zip(&ask.owed) {
            *owed = owed.saturating_sub(*told);
        }
        self.run = Some(run);
        self.outage = None;
    }

    fn fail(&mut self, cause: StoreError, asked_at: Nanos, now: Nanos) {
        let evidence_until = asked_at + self.settings.evidence();
        let before = self.outage.take();
        let shares = match (&before, self.settings.local_share_ppm()) {
            (_, None) => Vec::new(),
            // A server that is there and refuses is not down: others may be spending what it grants.
            (_, Some(_)) if cause.is_refusal() => Vec::new(),
            // While the word of the last failure held, no server can have granted anything.
            (Some(outage), _) if now < outage.evidence_until && !outage.shares.is_empty() => {
                outage.shares.clone()
            }
            (_, Some(ppm)) => {
                self.shapes.iter().map(|shape| Share::empty(*shape, ppm, now)).collect()
            }
        };
        self.not_before = Nanos::ZERO;
        self.outage = Some(Outage {
            cause,
            since: before.map_or(now, |outage| outage.since),
            probe_at: now + self.settings.probe_every,
            evidence_until,
            heard_by: Ticket(self.tickets),
            shares,
        });
    }

    /// Gives a place up; the next in line may need less, so what was said of the front is forgotten.
    pub(crate) fn leave(&mut self, ticket: Ticket) {
        if self.front() == Some(ticket) {
            self.not_before = Nanos::ZERO;
        }
        self.waiting.retain(|(waiting, _)| *waiting != ticket);
    }

    /// Who is next.
    pub(crate) fn front(&self) -> Option<Ticket> {
        self.waiting.front().map(|(ticket, _)| *ticket)
    }

    /// Whether the server answers, as far as this member knows.
    pub(crate) fn health(&self, now: Nanos) -> Health {
        match &self.outage {
            None => Health::Up,
            Some(Outage { cause, since, shares, .. }) => Health::Down {
                cause: cause.clone(),
                elapsed: now.since(*since),
                local: !shares.is_empty(),
            },
        }
    }

    fn limits(&self) -> &[Limit] {
        &self.settings.quota.limits
    }
}

/// A place in the line of one process.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Ticket(u64);

/// What the holder of a ticket is to do.
#[derive(Debug)]
pub(crate) enum Step {
    /// Go ahead.
    Admitted(Grantor),
    /// Put this question to the server, and poll again at once.
    Ask(Ask),
    /// Give up.
    Failed(FleetError),
    /// Poll again at `until`, or when woken.
    Wait {
        /// [`Nanos::MAX`] is only when woken.
        until: Nanos,
    },
}

/// A question to the server.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Ask {
    /// The how-manieth.
    pub(crate) id: u64,
    /// What must be granted of each dimension.
    pub(crate) need: Vec<u64>,
    /// What a lease would like of each.
    pub(crate) want: Vec<u64>,
    /// What is to be charged of each.
    pub(crate) owed: Vec<u64>,
    /// Only to this run of the server is it owed.
    pub(crate) known_run: Option<String>,
}

/// What came of a question.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// The server could not be asked, or made no sense.
    Failed(StoreError),
    /// A lease.
    Granted {
        /// The server's run.
        run: String,
        /// So many tokens of each dimension.
        tokens: Vec<u64>,
    },
    /// There is not enough.
    Refused {
        /// The server's run.
        run: String,
        /// For how long.
        wait: std::time::Duration,
    },
}

/// Why a fleet admits somebody not at all.
#[derive(Clone, Debug, Error)]
pub enum FleetError {
    /// The server cannot be asked, and the policy is to refuse.
    #[error("the fleet's quota cannot be asked for")]
    Down(#[source] StoreError),
    /// Never, or only after the caller's patience has ended.
    #[error(transparent)]
    NoRoom(#[from] NoRoom),
    /// The server is down, and one request is larger than the local share of the burst.
    #[error(
        "a request that costs {cost} exceeds the local share of a burst of {burst} {dimension}"
    )]
    ShareTooSmall {
        /// The dimension that is too small.
        dimension: Dimension,
        /// What the request asks of it.
        cost: u64,
        /// The whole burst.
        burst: u64,
        /// Why the share is all there is.
        #[source]
        cause: StoreError,
    },
}

/// In a transport, what the fleet refuses is a failure that no retry mends: `fleet.acquire_within(cost, attempt.time_left).await?`.
impl From<FleetError> for Failure {
    fn from(error: FleetError) -> Self {
        let reject = match error {
            FleetError::Down(_) => LocalReject::LimiterDown,
            FleetError::NoRoom(no_room) => return no_room.into(),
            FleetError::ShareTooSmall { .. } => LocalReject::NeverFits,
        };
        Self::new(Class::Local(reject), &error.to_string())
    }
}

/// Nobody waits for what will come only after the deadline.
fn too_late(ready_at: Nanos, now: Nanos) -> Step {
    Step::Failed(NoRoom::not_before(ready_at, now).into())
}

/// How many of those who wait a lease is asked for; a limit, so that a long line costs no time.
const LINE_MAX: usize = 64;

/// The least room for the spread of members that were refused together: 1 ms, a few round trips.
const SPREAD_MIN: u64 = 1_000_000;

/// The most: 1 s, after which a quota of tokens per day would idle for nothing.
const SPREAD_MAX: u64 = 1_000_000_000;
