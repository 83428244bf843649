//! What an attempt passes before it leaves.

use std::time::Duration;

use resilience_core::{
    Class, Cost, Dimension, Guarantee, Limit, Nanos, Oversize, Quota, ShedSettings,
    parts::{Limiter, Shedder},
};

use super::{bucket::Bucket, constants::Constants};

/// The limiters or throttles of all clients.
#[derive(Clone, Debug)]
pub(super) enum Gate {
    /// One for all clients, or one for each.
    Limiters(Vec<Reservations>),
    /// Everybody leaves at once.
    Open,
    /// One for each client.
    Throttles(Vec<Shedder>),
}

/// A limiter that hands out departures ahead of time, and turns away whoever would wait too long.
///
/// The client core's limiter is asked in the future: where it has room first, the attempt leaves, and nobody who asks later leaves before it.
/// Requests and tokens have one each, because a request above the capacity waits for what it is above it, too; the core's own rule for that case is another.
#[derive(Clone, Debug)]
pub(super) struct Reservations {
    requests: Lane,
    tokens: Lane,
    last: Nanos,
    wait: Option<Duration>,
}

/// One dimension of a limiter, with the proof that it keeps its word.
#[derive(Clone, Debug)]
struct Lane {
    limiter: Limiter,
    dimension: Dimension,
    /// By how much a token is dearer than in an undivided limiter.
    parts: u64,
    limit: Limit,
    /// The same limit in other words, from which everything is taken that leaves.
    proof: Bucket,
}

impl Gate {
    /// Limiters with the provider's quotas.
    ///
    /// `split` gives a part to each client, `patient` ones let everybody wait until the deadline, `careful` ones use a share of the rates.
    pub(super) fn limiters(
        constants: &Constants,
        split: bool,
        patient: bool,
        careful: bool,
    ) -> Self {
        let parts = if split { constants.clients } else { 1 };
        let eta_ppm = if careful { constants.limiter.eta_ppm } else { MILLION };
        let lane = |(micros_per_s, capacity): (u64, u64), dimension| {
            let micros_per_s = micros_per_s.saturating_mul(eta_ppm) / MILLION;
            Lane::new(micros_per_s.max(1), capacity, u64::from(parts), dimension)
        };
        let reservations = Reservations {
            requests: lane(constants.requests, Dimension::Rpm),
            tokens: lane(constants.tokens, Dimension::Tpm),
            last: Nanos::ZERO,
            wait: (!patient).then_some(constants.limiter.wait),
        };
        Self::Limiters((0..parts).map(|_| reservations.clone()).collect())
    }

    /// Throttles that have seen nothing.
    pub(super) fn throttles(constants: &Constants) -> Self {
        let shedder = Shedder::new(ShedSettings {
            multiplier_ppm: constants.throttle.multiplier_ppm,
            window: constants.throttle.window,
        });
        let shedder = shedder.expect("the parameters' ranges are narrower than the shedder's");
        Self::Throttles((0..constants.clients).map(|_| shedder.clone()).collect())
    }

    /// Whether nothing is decided here.
    pub(super) fn is_open(&self) -> bool {
        matches!(self, Self::Open)
    }

    /// Whether it wants to know how attempts end.
    pub(super) fn learns(&self) -> bool {
        matches!(self, Self::Throttles(_))
    }

    /// When an attempt leaves; `None` if it is shed.
    pub(super) fn pass(
        &mut self,
        client: usize,
        cost: u64,
        deadline: Nanos,
        draw: impl FnOnce() -> u64,
        now: Nanos,
    ) -> Option<Nanos> {
        match self {
            Self::Limiters(limiters) => {
                let own = client % limiters.len();
                limiters[own].departure(cost, deadline, now)
            }
            Self::Open => Some(now),
            Self::Throttles(throttles) => throttles[client].admit(draw(), now).ok().map(|()| now),
        }
    }

    /// An attempt that had passed is over.
    pub(super) fn ended(&mut self, client: usize, result: Result<(), Class>, now: Nanos) {
        if let Self::Throttles(throttles) = self {
            throttles[client].ended(result, now);
        }
    }

    /// Whether no limiter has let through more than its capacity and its refill, in whatever interval.
    pub(super) fn has_kept_its_quota(&self) -> bool {
        let Self::Limiters(limiters) = self else { return true };
        limiters.iter().all(|limiter| {
            !limiter.requests.proof.is_overdrawn() && !limiter.tokens.proof.is_overdrawn()
        })
    }
}

impl Reservations {
    fn departure(&mut self, cost: u64, deadline: Nanos, now: Nanos) -> Option<Nanos> {
        let from = now.max(self.last);
        let leave = self.requests.room_at(1, from)?.max(self.tokens.room_at(cost, from)?);
        if leave >= deadline || self.wait.is_some_and(|wait| leave.since(now) > wait) {
            return None;
        }
        self.requests.take(1, leave);
        self.tokens.take(cost, leave);
        self.last = leave;
        Some(leave)
    }
}

impl Lane {
    fn new(micros_per_s: u64, capacity: u64, parts: u64, dimension: Dimension) -> Self {
        // A millionth of a token per second is a token in this period, so that any rate is whole.
        let period = Duration::from_secs(MILLION);
        // What takes longer than that to refill, over eleven days, is as good as that.
        let burst = capacity.min(micros_per_s);
        let limit = Limit { dimension, tokens: micros_per_s, burst, period };
        let limiter = Limiter::new(&Quota {
            limits: vec![limit],
            guarantee: Guarantee::Burst,
            oversize: Oversize::Debt,
            ..Quota::default()
        });
        let limiter = limiter.expect("the parameters' ranges are narrower than the limiter's");
        let proof = Bucket::full(micros_per_s, capacity, parts);
        Self { limiter, dimension, parts, limit, proof }
    }

    /// When so much could leave, not before `from`; `None` if never.
    fn room_at(&mut self, amount: u64, from: Nanos) -> Option<Nanos> {
        let at = self.limiter.ready_at(self.cost(amount), from).ok()?;
        // The limiter admits what is above its capacity as soon as it is full.
        let above = self.cost(amount).on(self.dimension).saturating_sub(self.limit.burst);
        let nanos = u128::from(above) * PERIOD_NANOS;
        let wait = u64::try_from(nanos.div_ceil(u128::from(self.limit.tokens))).ok()?;
        Some(at + Duration::from_nanos(wait))
    }

    fn take(&mut self, amount: u64, at: Nanos) {
        let taken = self.limiter.admit(self.cost(amount), at);
        debug_assert_eq!(taken, Ok(()), "there is room from then on");
        self.proof.advance(at);
        // The bound says nothing of what is above the capacity by itself.
        if self.proof.holds(amount) {
            self.proof.take(amount);
        }
    }

    fn cost(&self, amount: u64) -> Cost {
        let scaled = amount * self.parts;
        match self.dimension {
            Dimension::Rpm => Cost { requests: scaled, ..Cost::default() },
            _ => Cost { input: scaled, ..Cost::default() },
        }
    }
}

/// In millionths, one.
const MILLION: u64 = 1_000_000;

/// Nanoseconds in the period of the limits.
const PERIOD_NANOS: u128 = 1_000_000_000_000_000;
