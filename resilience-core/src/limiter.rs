//! Several limits at once: a request is admitted by all of them, or changes none.
//!
//! The limiter decides and never waits; who must wait, and in which order, is [`crate::queue`]'s business.

use thiserror::Error;

use crate::bucket::{Bucket, TOKENS_MAX};
use crate::class::Dimension;
use crate::mistake::Mistakes;
use crate::time::Nanos;

mod log;
mod meter;
mod no_room;
mod quota;
mod ramp;

pub use no_room::NoRoom;
pub use quota::{Cost, Guarantee, Limit, Oversize, Quota, QuotaMistake};
pub use ramp::Pace;

use meter::{Columns, Meter, SHARE_FULL};
use ramp::{REQUEST_MILLI, Ramp};

/// The meters of a [`Quota`], its permits, and the pause that a server may have asked for.
///
/// Two limiters are equal if they will answer alike.
#[derive(Clone, Debug)]
pub struct Limiter {
    meters: Vec<Meter>,
    oversize: Oversize,
    charges_actual: bool,
    pace: Option<Bucket>,
    ramp: Option<Ramp>,
    permits: Option<u32>,
    in_flight: u32,
    paused_until: Nanos,
    /// The latest instant that it was told.
    at: Nanos,
    admitted: SendMark,
    /// The last cost that had to wait, and until when: nothing but a change can alter that answer.
    refused: Refused,
}

impl Limiter {
    /// A rested limiter.
    pub fn new(quota: &Quota) -> Result<Self, Mistakes<QuotaMistake>> {
        Mistakes::none_in(quota.mistakes())?;
        let Quota { guarantee, oversize, concurrency, charges_actual, .. } = *quota;
        let meter = |limit: &Limit| Meter::new(*limit, guarantee, oversize);
        Ok(Self {
            meters: quota.limits.iter().map(meter).collect(),
            oversize,
            charges_actual,
            pace: None,
            ramp: None,
            permits: concurrency,
            in_flight: 0,
            paused_until: Nanos::ZERO,
            at: Nanos::ZERO,
            admitted: SendMark::default(),
            refused: Refused::default(),
        })
    }

    /// Takes `cost` from every dimension, and a permit, or says when that could succeed and takes nothing.
    ///
    /// The instant in [`Refusal::Wait`] is exact: absent other calls, the same cost is refused one nanosecond before it and admitted at it.
    /// It is [`Nanos::MAX`] if a permit is missing, since nobody knows when one is released.
    /// It is not a reservation; whoever has slept until then asks again.
    #[inline]
    pub fn admit(&mut self, cost: Cost, now: Nanos) -> Result<(), Refusal> {
        if now < self.refused.until && self.refused.cost == cost {
            return Err(Refusal::Wait { until: self.refused.until });
        }
        let columns = Columns::of(cost);
        if !self.advance_for(&columns, now)? {
            let until = self.earliest(cost);
            self.refused = Refused { cost, until };
            return Err(Refusal::Wait { until });
        }
        for meter in &mut self.meters {
            meter.take(columns.on(meter.column));
        }
        if let Some(pace) = &mut self.pace {
            pace.take(REQUEST_MILLI);
        }
        self.in_flight = self.in_flight.saturating_add(1);
        self.admitted.count(cost);
        self.refused = Refused::default();
        Ok(())
    }

    /// The earliest instant, `now` or later, at which `cost` would be admitted if nobody else asked; [`Nanos::MAX`] if a permit is missing.
    pub fn ready_at(&mut self, cost: Cost, now: Nanos) -> Result<Nanos, Refusal> {
        if self.advance_for(&Columns::of(cost), now)? {
            return Ok(now);
        }
        let Refused { cost: asked, until } = self.refused;
        Ok(if asked == cost && until > self.at { until } else { self.earliest(cost) })
    }

    /// Gives back what was admitted for a request that was never sent; its permit is [`Limiter::release`]'s business.
    pub fn give_back(&mut self, cost: Cost, now: Nanos) {
        self.refund(cost, None, now);
    }

    /// Returns the permit of a request that is over, once for each that was admitted.
    pub fn release(&mut self) {
        self.refused = Refused::default();
        self.in_flight = self.in_flight.saturating_sub(1);
    }

    /// Admits nobody before `until`; of several pauses the latest holds.
    pub fn pause_until(&mut self, until: Nanos) {
        self.refused = Refused::default();
        self.paused_until = self.paused_until.max(until);
    }

    /// Learns from an answer how much the provider has left of a dimension; `sent` is the mark of the request that was answered.
    ///
    /// What was admitted after that request is taken off, and the result only ever tightens: an answer that comes late, or out of order, cannot open what a newer one has closed, and one that says nothing changes nothing.
    /// A provider that rounds (Anthropic, to the nearest thousand tokens) is met by subtracting half the step beforehand.
    pub fn observe(
        &mut self,
        dimension: Dimension,
        remaining: Option<u64>,
        sent: SendMark,
        now: Nanos,
    ) {
        let Some(remaining) = remaining else { return };
        self.advance(now);
        let since = self.admitted.since(sent, dimension);
        let left = remaining.saturating_sub(since);
        self.meters_of(dimension).for_each(|meter| meter.tighten(left));
    }

    /// What has been admitted so far: the mark of a request that is sent now.
    pub const fn mark(&self) -> SendMark {
        self.admitted
    }

    /// The first limit of a dimension, as it stands now; `None` if it is not limited.
    pub fn limit(&self, dimension: Dimension) -> Option<Limit> {
        self.meters.iter().map(|meter| meter.limit).find(|limit| limit.dimension == dimension)
    }

    /// Admits so many tokens per period from now on, on the first limit of a dimension; its burst changes in proportion.
    ///
    /// What is available stays, as far as it still fits; numbers out of range count as the nearest in range.
    pub fn set_limit(&mut self, dimension: Dimension, tokens: u64, now: Nanos) {
        let Some(meter) = self.meters_of(dimension).next() else { return };
        let (limit, guarantee) = (meter.limit, meter.guarantee());
        let tokens = tokens.clamp(1, TOKENS_MAX);
        let burst = u128::from(limit.burst) * u128::from(tokens) / u128::from(limit.tokens);
        let burst = u64::try_from(burst).unwrap_or(TOKENS_MAX).clamp(1, tokens);
        let mut limit = Limit { tokens, burst, ..limit };
        if limit.mistake(guarantee).is_some() {
            // A log had no use for its burst, and has outgrown itself.
            limit.burst = tokens / 2;
        }
        let replaced = self.replace_limit(limit, now);
        debug_assert_eq!(replaced, Ok(()), "the numbers were brought into range");
    }

    /// Puts a limit in the place of the first one that counts the same dimension, or says what is wrong with it.
    ///
    /// What is available stays, in tokens and rounded down, as far as it fits; a dimension that was not limited stays so.
    pub fn replace_limit(&mut self, limit: Limit, now: Nanos) -> Result<(), QuotaMistake> {
        self.advance(now);
        let (oversize, share) = (self.oversize, self.share());
        let Some(meter) = self.meters_of(limit.dimension).next() else { return Ok(()) };
        if let Some(mistake) = limit.mistake(meter.guarantee()) {
            return Err(mistake);
        }
        meter.reshape(limit, oversize, share);
        Ok(())
    }

    /// Admits so many requests at once from now on, at least one; `None` for any number.
    ///
    /// Nothing that is under way is cut short: a lower number is reached as requests end.
    pub fn set_concurrency(&mut self, permits: Option<u32>) {
        self.refused = Refused::default();
        self.permits = permits.map(|permits| permits.max(1));
    }

    /// Halves all rates because the provider asked for less traffic; every fifteen minutes they grow by half, until they are what they were.
    ///
    /// `sent_at` is when the refused request was admitted: one that is not from after the last halving knows nothing of it and changes nothing.
    /// Bursts and the [`Pace`] are left alone, and no rate falls below one token a period.
    pub fn slow_down(&mut self, sent_at: Nanos, now: Nanos) {
        self.advance(now);
        if self.ramp.is_some_and(|ramp| sent_at <= ramp.halved_at) {
            return;
        }
        self.ramp = Some(Ramp::halved(self.ramp, self.at));
        self.share_out();
    }

    /// Keeps to a further rate that is not limited to whole requests; `None` for no such rate.
    pub fn set_pace(&mut self, pace: Option<Pace>, now: Nanos) {
        self.advance(now);
        self.pace = pace.map(|pace| {
            let mut bucket = self.pace.unwrap_or_else(|| pace.bucket());
            bucket.advance(self.at);
            pace.reshape(&mut bucket);
            bucket
        });
    }

    /// How many tokens or requests of a dimension could pass at `now`, or `None` if it is not limited.
    pub fn available(&mut self, dimension: Dimension, now: Nanos) -> Option<u64> {
        self.advance(now);
        self.meters_of(dimension).map(|meter| meter.available()).min()
    }

    /// How many requests are under way.
    pub const fn in_flight(&self) -> u32 {
        self.in_flight
    }

    /// Whether every permit is taken.
    pub const fn is_occupied(&self) -> bool {
        matches!(self.permits, Some(permits) if self.in_flight >= permits)
    }

    /// Whether `cost` can ever be admitted.
    pub fn fits(&self, cost: Cost) -> Result<(), Refusal> {
        let columns = Columns::of(cost);
        self.meters.iter().try_for_each(|meter| match columns.on(meter.column) {
            cost if cost > meter.cost_max => Err(meter.never_fits(cost)),
            _ => Ok(()),
        })
    }

    /// As [`Limiter::give_back`], for a charge whose instant is known.
    pub(crate) fn refund(&mut self, cost: Cost, charged_at: Option<Nanos>, now: Nanos) {
        self.advance(now);
        for meter in &mut self.meters {
            meter.give_back(cost.on(meter.limit.dimension), charged_at);
        }
        if let Some(pace) = &mut self.pace {
            pace.give_back(REQUEST_MILLI);
        }
    }

    /// Charges what was used beyond what had been reserved at `charged_at`, even into debt; credits what was not used, where the provider does.
    pub(crate) fn true_up(&mut self, reserved: Cost, actual: Cost, charged_at: Nanos, now: Nanos) {
        self.advance(now);
        for meter in &mut self.meters {
            let dimension = meter.limit.dimension;
            let (reserved, actual) = (reserved.on(dimension), actual.on(dimension));
            if actual > reserved {
                meter.take(actual - reserved);
            } else if self.charges_actual {
                meter.give_back(reserved - actual, Some(charged_at));
            }
        }
    }

    /// The same limiter with a permit for everybody: when somebody's turn comes if nobody is slow.
    pub(crate) fn without_permits(&self) -> Self {
        Self { permits: None, refused: Refused::default(), ..self.clone() }
    }

    /// When it was last told the time.
    pub(crate) const fn at(&self) -> Nanos {
        self.at
    }

    /// Brings everything up to `now`, and says whether `cost` could be taken at once.
    #[inline]
    fn advance_for(&mut self, columns: &Columns, now: Nanos) -> Result<bool, Refusal> {
        if self.ramp.is_some_and(|ramp| ramp.grows_at <= now) {
            self.grow(now);
        }
        self.at = self.at.max(now);
        let mut there = self.paused_until <= self.at && !self.is_occupied();
        for meter in &mut self.meters {
            let cost = columns.on(meter.column);
            if cost > meter.cost_max {
                return Err(meter.never_fits(cost));
            }
            meter.advance(self.at);
            there &= meter.has(cost);
        }
        if let Some(pace) = &mut self.pace {
            pace.advance(self.at);
            there &= pace.has(REQUEST_MILLI);
        }
        Ok(there)
    }

    /// Brings everything up to `now`; what follows may change any answer.
    fn advance(&mut self, now: Nanos) {
        self.refused = Refused::default();
        self.grow(now);
        self.at = self.at.max(now);
        self.meters.iter_mut().for_each(|meter| meter.advance(self.at));
        if let Some(pace) = &mut self.pace {
            pace.advance(self.at);
        }
    }

    /// Lets rates grow at the instants at which they do, with all that flowed in before.
    fn grow(&mut self, now: Nanos) {
        while let Some(ramp) = self.ramp
            && ramp.grows_at <= now
        {
            self.meters.iter_mut().for_each(|meter| meter.advance(ramp.grows_at));
            self.ramp = ramp.grown();
            self.share_out();
        }
    }

    fn share(&self) -> u64 {
        self.ramp.map_or(SHARE_FULL, |ramp| ramp.share)
    }

    fn share_out(&mut self) {
        let share = self.share();
        self.meters.iter_mut().for_each(|meter| meter.set_share(share));
    }

    /// When `cost` could be taken, seen from the last instant that was told.
    #[cold]
    fn earliest(&self, cost: Cost) -> Nanos {
        if self.is_occupied() {
            return Nanos::MAX;
        }
        let mut until = self.at.max(self.paused_until);
        if let Some(pace) = &self.pace {
            until = until.max(pace.ready_at(REQUEST_MILLI));
        }
        let ready = |meters: &[Meter]| {
            let ready = |meter: &Meter| meter.ready_at(cost.on(meter.limit.dimension));
            meters.iter().map(ready).max().unwrap_or(Nanos::ZERO)
        };
        if self.ramp.is_none() {
            return until.max(ready(&self.meters));
        }
        // The rates change on the way, a bounded number of times.
        let mut later = self.clone();
        loop {
            let ready = ready(&later.meters);
            match later.ramp {
                Some(ramp) if ready > ramp.grows_at => later.grow(ramp.grows_at),
                _ => return until.max(ready),
            }
        }
    }

    fn meters_of(&mut self, dimension: Dimension) -> impl Iterator<Item = &mut Meter> {
        self.meters.iter_mut().filter(move |meter| meter.limit.dimension == dimension)
    }
}

impl PartialEq for Limiter {
    fn eq(&self, other: &Self) -> bool {
        let answers = |limiter: &Self| {
            let Self { pace, ramp, permits, in_flight, paused_until, at, .. } = *limiter;
            (pace, ramp, permits, in_flight, paused_until, at)
        };
        self.meters == other.meters && answers(self) == answers(other)
    }
}

impl Eq for Limiter {}

/// How much had been admitted when a request was sent; what has been since is not yet in its answer's numbers.
///
/// The sums wrap: what has been admitted between a request and its answer is far below 64 bits.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct SendMark {
    requests: u64,
    input: u64,
    output: u64,
}

impl SendMark {
    #[inline]
    fn count(&mut self, cost: Cost) {
        self.requests = self.requests.wrapping_add(cost.requests);
        self.input = self.input.wrapping_add(cost.input);
        self.output = self.output.wrapping_add(cost.output);
    }

    /// What a dimension has admitted since an earlier mark.
    fn since(self, earlier: Self, dimension: Dimension) -> u64 {
        let since = Cost {
            requests: self.requests.wrapping_sub(earlier.requests),
            input: self.input.wrapping_sub(earlier.input),
            output: self.output.wrapping_sub(earlier.output),
        };
        since.on(dimension)
    }
}

/// The answer to whoever asked last and had to wait; [`Nanos::ZERO`] if nobody had.
#[derive(Clone, Copy, Debug, Default)]
struct Refused {
    cost: Cost,
    until: Nanos,
}

/// Why a request is not admitted now, in instants of the clock that the limiter is told; [`NoRoom`] has spans.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum Refusal {
    /// Waiting does not help: one request is larger than the burst, or than the limit.
    #[error("a request that costs {cost} exceeds the burst of {capacity} {dimension}")]
    NeverFits {
        /// The dimension that is too small.
        dimension: Dimension,
        /// What the request asks of it.
        cost: u64,
        /// The most that it admits at once.
        capacity: u64,
    },
    /// The request would be admitted only after its deadline.
    #[error("the quota has no room before the deadline")]
    TooLate {
        /// When it would have been admitted.
        ready_at: Nanos,
    },
    /// There is not enough room yet.
    #[error("the quota has no room yet")]
    Wait {
        /// When to ask again.
        until: Nanos,
    },
}
