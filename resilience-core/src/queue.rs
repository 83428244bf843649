//! Who goes next when a quota is short: first come, first served.
//!
//! The queue is a state machine without a clock of its own.
//! [`Queue::enqueue`] gives a ticket; [`Queue::poll`] grants tickets at the front while they fit and answers with the one instant at which it must be polled again; [`Queue::take`] takes a grant away as a [`Reservation`], which must be settled; [`Queue::cancel`] returns a ticket and everything it holds.
//! Only the front of the queue needs a timer: [`Queue::pop_news`] names the tickets whose situation somebody else's call has changed.

use std::collections::{BTreeMap, BTreeSet};

use crate::class::Dimension;
use crate::limiter::{Cost, Limit, Limiter, Pace, Quota, QuotaMistake, Refusal, SendMark};
use crate::mistake::Mistakes;
use crate::reservation::Reservation;
use crate::time::Nanos;

mod tail;

use tail::Tail;

/// A line in front of a [`Limiter`]: first come, first served within a [`Priority`].
///
/// A large request at the front holds up small ones behind it; the other way round it would starve.
/// [`Quota::overtakes_max`] lets a bounded number of small ones pass.
///
/// Joining, taking and leaving cost the logarithm of the line's length.
/// A deadline makes joining, and [`Queue::turn_at`] always, look at everybody in line once after the line has been upset: by somebody who left, a refund, a change of the limits or a newcomer of a higher priority.
#[derive(Clone, Debug)]
pub struct Queue {
    limiter: Limiter,
    overtakes_max: u32,
    waiting: BTreeMap<Ticket, Waiter>,
    granted: BTreeMap<Ticket, Grant>,
    /// Who will never be admitted, or not in time, since something has changed.
    turned_away: BTreeMap<Ticket, Refusal>,
    /// How long each class of newcomers would wait.
    tails: BTreeMap<Priority, Tail>,
    news: BTreeSet<Ticket>,
    tickets: u64,
    /// How many members of the line have been looked at one by one.
    #[cfg(test)]
    looked: usize,
}

#[derive(Clone, Copy, Debug)]
struct Waiter {
    cost: Cost,
    deadline: Nanos,
    /// How many have overtaken it since it came to the front.
    overtaken: u32,
}

#[derive(Clone, Copy, Debug)]
struct Grant {
    cost: Cost,
    at: Nanos,
    mark: SendMark,
}

impl Queue {
    /// An empty line in front of a rested limiter.
    pub fn new(quota: &Quota) -> Result<Self, Mistakes<QuotaMistake>> {
        Ok(Self {
            limiter: Limiter::new(quota)?,
            overtakes_max: quota.overtakes_max,
            waiting: BTreeMap::new(),
            granted: BTreeMap::new(),
            turned_away: BTreeMap::new(),
            tails: BTreeMap::new(),
            news: BTreeSet::new(),
            tickets: 0,
            #[cfg(test)]
            looked: 0,
        })
    }

    /// Joins the line, or fails at once if the turn would come at `deadline` or later.
    ///
    /// [`Queue::take`] tells whether the turn has come already.
    pub fn enqueue(&mut self, cost: Cost, deadline: Nanos, now: Nanos) -> Result<Ticket, Refusal> {
        self.enqueue_as(Priority::default(), cost, deadline, now)
    }

    /// As [`Queue::enqueue`], before everybody of a lower priority.
    pub fn enqueue_as(
        &mut self,
        priority: Priority,
        cost: Cost,
        deadline: Nanos,
        now: Nanos,
    ) -> Result<Ticket, Refusal> {
        self.serve(now);
        self.limiter.fits(cost)?;
        if deadline < Nanos::MAX {
            let in_time = |at: Nanos| at <= now || at < deadline;
            // A tail that somebody has left names an instant that is too late, if it is wrong.
            if !in_time(self.turn_after(priority, cost, now)?) {
                let ready_at = self.turn_at_as(priority, cost, now)?;
                if !in_time(ready_at) {
                    return Err(Refusal::TooLate { ready_at });
                }
            }
        }
        if self.waiting.is_empty() {
            self.tails.clear();
        }
        self.tickets += 1;
        let ticket = Ticket { priority, number: self.tickets };
        self.tails.retain(|class, _| *class <= priority);
        if let Some(tail) = self.tails.get_mut(&priority) {
            tail.join(cost, now);
        }
        self.waiting.insert(ticket, Waiter { cost, deadline, overtaken: 0 });
        self.serve(now);
        // The newcomer looks for itself.
        self.news.remove(&ticket);
        Ok(ticket)
    }

    /// When a newcomer's turn would come, if nobody leaves, nothing is paused further, and permits are released in time.
    pub fn turn_at(&mut self, cost: Cost, now: Nanos) -> Result<Nanos, Refusal> {
        self.turn_at_as(Priority::default(), cost, now)
    }

    /// As [`Queue::turn_at`], for a newcomer of a priority.
    pub fn turn_at_as(
        &mut self,
        priority: Priority,
        cost: Cost,
        now: Nanos,
    ) -> Result<Nanos, Refusal> {
        self.serve(now);
        if self.tails.get(&priority).is_some_and(|tail| !tail.exact) {
            self.tails.remove(&priority);
        }
        self.turn_after(priority, cost, now)
    }

    /// Takes `cost` at once if nobody waits and it fits, or says when that would be.
    pub fn try_take(&mut self, cost: Cost, now: Nanos) -> Result<Reservation, Refusal> {
        self.serve(now);
        if self.waiting.is_empty() {
            self.limiter.admit(cost, now)?;
            self.tails.clear();
            return Ok(Reservation::new(cost, self.limiter.at(), self.limiter.mark()));
        }
        let until = self.turn_at(cost, now)?;
        // Whoever waits for a permit keeps everybody waiting.
        let until = if self.limiter.is_occupied() { Nanos::MAX } else { until };
        Err(Refusal::Wait { until })
    }

    /// Grants tickets at the front while they fit; answers when to poll next, or `None` if nobody waits.
    pub fn poll(&mut self, now: Nanos) -> Option<Nanos> {
        self.serve(now);
        self.wake_at(now)
    }

    /// Takes the grant of a ticket, or says what the ticket is waiting for.
    ///
    /// A ticket whose grant was taken is used up; what it holds is settled with its reservation.
    /// A ticket whose turn will come at its deadline or later is refused at once, and out of the line.
    pub fn take(&mut self, ticket: Ticket, now: Nanos) -> Taken {
        let taken = self.look(ticket, now);
        let Some(Waiter { deadline, .. }) = self.waiting.get(&ticket).copied() else {
            return taken;
        };
        // Nobody waits for what will come too late.
        let ready_at = match taken {
            Taken::Front { until } if until < Nanos::MAX => until.max(now),
            _ => now,
        };
        if ready_at < deadline {
            return taken;
        }
        self.cancel(ticket, now);
        Taken::Refused(Refusal::TooLate { ready_at })
    }

    /// Leaves the line, or hands back a grant that was not taken; the next in line moves up.
    pub fn cancel(&mut self, ticket: Ticket, now: Nanos) {
        self.news.remove(&ticket);
        self.turned_away.remove(&ticket);
        let was_front = self.front() == Some(ticket);
        if let Some(Grant { cost, at, .. }) = self.granted.remove(&ticket) {
            self.limiter.refund(cost, Some(at), now);
            self.limiter.release();
            self.eased(now);
        } else if self.waiting.remove(&ticket).is_some() {
            self.loosen();
            self.serve(now);
            if was_front {
                self.tell_front();
            }
        }
    }

    /// Settles a reservation whose request used `actual` in the end.
    ///
    /// What was used beyond the reservation is charged whether it is there or not, so that the level may fall below zero.
    /// What was not used is credited if [`Quota::charges_actual`] says that the provider does so; otherwise it stays charged.
    /// If nobody knows what was used, [`Queue::keep`] is the answer.
    #[expect(clippy::needless_pass_by_value, reason = "it is settled by being moved here")]
    pub fn settle(&mut self, reservation: Reservation, actual: Cost, now: Nanos) {
        let reserved = reservation.cost();
        if actual != reserved {
            self.limiter.true_up(reserved, actual, reservation.at(), now);
            self.tails.clear();
        }
        self.release(now);
    }

    /// Settles a reservation whose request was certainly not processed: all of it is given back.
    #[expect(clippy::needless_pass_by_value, reason = "it is settled by being moved here")]
    pub fn refund(&mut self, reservation: Reservation, now: Nanos) {
        self.limiter.refund(reservation.cost(), Some(reservation.at()), now);
        self.loosen();
        self.release(now);
    }

    /// Settles a reservation whose request may have used anything: all of it stays charged.
    pub fn keep(&mut self, reservation: Reservation, now: Nanos) {
        drop(reservation);
        self.release(now);
    }

    /// Admits nobody before `until`; of several pauses the latest holds.
    ///
    /// Whoever cannot wait that long is turned away at once.
    pub fn pause_until(&mut self, until: Nanos) {
        self.tails.clear();
        self.limiter.pause_until(until);
        self.turn_away(|waiter, _| {
            let too_late = waiter.deadline <= until && waiter.deadline < Nanos::MAX;
            too_late.then_some(Refusal::TooLate { ready_at: until })
        });
    }

    /// Learns from an answer how much the provider has left; see [`Limiter::observe`].
    pub fn observe(
        &mut self,
        dimension: Dimension,
        remaining: Option<u64>,
        sent: SendMark,
        now: Nanos,
    ) {
        if remaining.is_some() {
            self.serve(now);
            self.limiter.observe(dimension, remaining, sent, now);
            self.tails.clear();
        }
    }

    /// Changes a limit; see [`Limiter::set_limit`]. Whoever does not fit any more is turned away.
    pub fn set_limit(&mut self, dimension: Dimension, tokens: u64, now: Nanos) {
        self.serve(now);
        self.limiter.set_limit(dimension, tokens, now);
        self.changed(now);
    }

    /// Replaces a limit; see [`Limiter::replace_limit`]. Whoever does not fit any more is turned away.
    pub fn replace_limit(&mut self, limit: Limit, now: Nanos) -> Result<(), QuotaMistake> {
        self.serve(now);
        self.limiter.replace_limit(limit, now)?;
        self.changed(now);
        Ok(())
    }

    /// Changes the number of permits; see [`Limiter::set_concurrency`].
    pub fn set_concurrency(&mut self, permits: Option<u32>, now: Nanos) {
        self.serve(now);
        self.limiter.set_concurrency(permits);
        self.changed(now);
    }

    /// Halves all rates, which then grow back; see [`Limiter::slow_down`].
    pub fn slow_down(&mut self, sent_at: Nanos, now: Nanos) {
        self.serve(now);
        self.limiter.slow_down(sent_at, now);
        self.changed(now);
    }

    /// Keeps to a further rate; see [`Limiter::set_pace`].
    pub fn set_pace(&mut self, pace: Option<Pace>, now: Nanos) {
        self.serve(now);
        self.limiter.set_pace(pace, now);
        self.changed(now);
    }

    /// A ticket that somebody else's call has granted, turned away or brought to the front, each told once.
    pub fn pop_news(&mut self) -> Option<Ticket> {
        self.news.pop_first()
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// How many requests are under way, or have been granted and not taken yet.
    pub const fn in_flight(&self) -> u32 {
        self.limiter.in_flight()
    }

    /// Whether every permit is taken, so that a newcomer waits for somebody to end.
    pub const fn is_occupied(&self) -> bool {
        self.limiter.is_occupied()
    }

    /// How many tokens or requests of a dimension could pass at `now`, whoever waits; `None` if it is not limited.
    pub fn available(&mut self, dimension: Dimension, now: Nanos) -> Option<u64> {
        self.limiter.available(dimension, now)
    }

    /// The first limit of a dimension, as it stands now; `None` if it is not limited.
    pub fn limit(&self, dimension: Dimension) -> Option<Limit> {
        self.limiter.limit(dimension)
    }

    /// Returns the permit of a reservation that is settled.
    fn release(&mut self, now: Nanos) {
        self.limiter.release();
        self.serve(now);
        self.tell_front();
    }

    fn look(&mut self, ticket: Ticket, now: Nanos) -> Taken {
        self.serve(now);
        if let Some(Grant { cost, at, mark }) = self.granted.remove(&ticket) {
            self.news.remove(&ticket);
            return Taken::Granted(Reservation::new(cost, at, mark));
        }
        if let Some(refusal) = self.turned_away.remove(&ticket) {
            self.news.remove(&ticket);
            return Taken::Refused(refusal);
        }
        if self.front() == Some(ticket) {
            let until = self.wake_at(now).expect("somebody waits at the front");
            return Taken::Front { until };
        }
        if self.waiting.contains_key(&ticket) { Taken::Behind } else { Taken::Unknown }
    }

    fn front(&self) -> Option<Ticket> {
        self.waiting.first_key_value().map(|(ticket, _)| *ticket)
    }

    fn serve(&mut self, now: Nanos) {
        let mut moved = false;
        while let Some((ticket, waiter)) = self.waiting.first_key_value()
            && self.limiter.admit(waiter.cost, now).is_ok()
        {
            let (ticket, cost) = (*ticket, waiter.cost);
            self.grant(ticket, cost);
            moved = true;
        }
        for (ticket, cost) in self.overtakers() {
            if self.limiter.admit(cost, now).is_ok() {
                self.grant(ticket, cost);
                let mut front = self.waiting.first_entry().expect("somebody was overtaken");
                front.get_mut().overtaken += 1;
                moved = true;
                if front.get().overtaken == self.overtakes_max {
                    break;
                }
            }
        }
        if moved {
            self.tell_front();
        }
    }

    /// Those behind the front who may still overtake it, if they fit: as many as are left to do so, and no more are looked at.
    fn overtakers(&self) -> Vec<(Ticket, Cost)> {
        let Some((_, front)) = self.waiting.first_key_value() else { return Vec::new() };
        let left = usize::try_from(self.overtakes_max - front.overtaken).unwrap_or(usize::MAX);
        let behind = self.waiting.iter().skip(1).take(left);
        behind.map(|(ticket, waiter)| (*ticket, waiter.cost)).collect()
    }

    fn grant(&mut self, ticket: Ticket, cost: Cost) {
        self.waiting.remove(&ticket);
        let grant = Grant { cost, at: self.limiter.at(), mark: self.limiter.mark() };
        self.granted.insert(ticket, grant);
        self.news.insert(ticket);
    }

    /// Something was given back.
    fn eased(&mut self, now: Nanos) {
        self.loosen();
        self.serve(now);
        self.tell_front();
    }

    /// The limits have changed.
    fn changed(&mut self, now: Nanos) {
        self.tails.clear();
        self.turn_away(|waiter, limiter| limiter.fits(waiter.cost).err());
        self.serve(now);
        self.tell_front();
    }

    fn turn_away(&mut self, refuses: impl Fn(&Waiter, &Limiter) -> Option<Refusal>) {
        let Self { limiter, waiting, turned_away, news, .. } = self;
        let front = waiting.first_key_value().map(|(ticket, _)| *ticket);
        waiting.retain(|ticket, waiter| {
            let Some(refusal) = refuses(waiter, limiter) else { return true };
            turned_away.insert(*ticket, refusal);
            news.insert(*ticket);
            false
        });
        if front != self.front() {
            self.tell_front();
        }
    }

    /// Has the front look around: something else may have become the faster way.
    pub(crate) fn tell_front(&mut self) {
        self.news.extend(self.front());
    }

    fn wake_at(&mut self, now: Nanos) -> Option<Nanos> {
        let (_, front) = self.waiting.first_key_value()?;
        let cost = front.cost;
        let ready_at =
            |limiter: &mut Limiter, cost| limiter.ready_at(cost, now).expect("whoever waits fits");
        // Who may overtake has no timer of its own, and the front's must serve.
        let soonest = self
            .overtakers()
            .into_iter()
            .map(|(_, cost)| ready_at(&mut self.limiter, cost))
            .min()
            .unwrap_or(Nanos::MAX);
        Some(ready_at(&mut self.limiter, cost).min(soonest))
    }

    /// The tails stay true only as the latest that can be.
    fn loosen(&mut self) {
        self.tails.values_mut().for_each(|tail| tail.exact = false);
    }

    /// When a newcomer's turn would come after all who are before it.
    fn turn_after(&mut self, priority: Priority, cost: Cost, now: Nanos) -> Result<Nanos, Refusal> {
        if self.waiting.is_empty() {
            self.tails.clear();
            if !self.limiter.is_occupied() {
                return self.limiter.ready_at(cost, now);
            }
        }
        let tail = self.tails.entry(priority).or_insert_with(|| {
            let last = Ticket { priority, number: u64::MAX };
            let ahead = self.waiting.range(..=last).map(|(_, waiter)| waiter.cost);
            #[cfg(test)]
            let ahead = ahead.inspect(|_| self.looked += 1);
            Tail::new(&self.limiter, ahead, now)
        });
        tail.ready_at(cost, now)
    }
}

/// A place in the line: first by priority, then by arrival.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Ticket {
    priority: Priority,
    number: u64,
}

/// Who goes before whom, whoever came first; 0 goes before 1, and the default is in the middle.
///
/// A higher priority that never pauses starves a lower one.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Priority(pub u8);

impl Default for Priority {
    fn default() -> Self {
        Self(128)
    }
}

/// What became of a ticket, for [`Queue::take`].
#[derive(Debug, Eq, PartialEq)]
#[must_use = "a grant that is not settled keeps its permit"]
pub enum Taken {
    /// Others are before it; news will come.
    Behind,
    /// It is next.
    Front {
        /// When to look again; [`Nanos::MAX`] if it waits for a permit, of which there will be news.
        until: Nanos,
    },
    /// Its turn has come, and this is what it holds.
    Granted(Reservation),
    /// A change has made its turn impossible, or too late; it is out of the line.
    Refused(Refusal),
    /// It was taken or cancelled before.
    Unknown,
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    fn one() -> Cost {
        Cost::request(0, 0)
    }

    /// What is looked at one by one is counted; everything else is a search in a tree.
    #[test]
    fn a_long_line_costs_each_of_its_members_little() {
        const MEMBERS: u64 = 2_000;
        let mut queue = Queue::new(&Quota::per_minute(1, 1_000)).expect("it is sound");
        let soon = Nanos::new(u64::MAX - 1);
        let mut tickets = Vec::new();
        for _ in 0..MEMBERS {
            tickets.push(queue.enqueue(one(), soon, Nanos::ZERO).expect("there is time"));
        }
        // Every second leaves, and somebody joins in its place.
        for ticket in tickets.iter().step_by(2) {
            queue.cancel(*ticket, Nanos::ZERO);
            queue.enqueue(one(), soon, Nanos::ZERO).expect("there is time");
        }
        // Nobody was refused, so nobody had to be looked at again.
        assert!(queue.looked <= 1, "{}", queue.looked);
        let mut told = 0;
        let mut now = Nanos::ZERO;
        while let Some(wake) = queue.poll(now) {
            while let Some(ticket) = queue.pop_news() {
                told += 1;
                assert_ne!(queue.take(ticket, now), Taken::Unknown);
            }
            now = wake;
        }
        assert!(told <= 3 * MEMBERS, "{told}");
    }

    #[derive(Clone, Debug)]
    enum Step {
        Cancel(usize),
        Enqueue { input: u64, patience: u64 },
        Pass(u64),
        Pause(u64),
        Refund(usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (0..500u64, prop_oneof![Just(u64::MAX), 1..120_000u64])
                .prop_map(|(input, patience)| Step::Enqueue { input, patience }),
            4 => (0..10_000u64).prop_map(Step::Pass),
            1 => any::<usize>().prop_map(Step::Cancel),
            1 => any::<usize>().prop_map(Step::Refund),
            1 => (0..5_000u64).prop_map(Step::Pause),
        ]
    }

    proptest! {
        /// First come, first served; nobody who could go is kept; and what the line holds is to the nanosecond what it would hold had those who left never come.
        #[test]
        fn property_29_who_leaves_is_as_if_it_had_never_come(steps in prop::collection::vec(step(), 1..80)) {
            let quota = Quota::per_minute(30, 500);
            let mut queue = Queue::new(&quota).unwrap();
            // The same admissions on a bare limiter: what the line costs, and nothing else.
            let mut bare = Limiter::new(&quota).unwrap();
            let mut now = Nanos::ZERO;
            let mut waiting: Vec<(Ticket, Cost, Nanos)> = Vec::new();
            let mut held: Vec<Reservation> = Vec::new();
            for step in steps {
                match step {
                    Step::Enqueue { input, patience } => {
                        let cost = Cost::request(input, 0);
                        let deadline = now + Duration::from_millis(patience);
                        let turn = queue.turn_at(cost, now).unwrap();
                        match queue.enqueue(cost, deadline, now) {
                            Ok(ticket) => {
                                prop_assert!(turn == now || turn < deadline);
                                waiting.push((ticket, cost, deadline));
                            }
                            Err(refusal) => {
                                prop_assert_eq!(refusal, Refusal::TooLate { ready_at: turn });
                                prop_assert!(turn >= deadline);
                            }
                        }
                    }
                    Step::Cancel(pick) if !waiting.is_empty() => {
                        // It may have been granted just before it leaves.
                        now = now + Duration::from_millis(u64::try_from(pick % 5_000).unwrap());
                        queue.poll(now);
                        let (ticket, ..) = waiting.remove(pick % waiting.len());
                        queue.cancel(ticket, now);
                    }
                    Step::Refund(pick) if !held.is_empty() => {
                        let reservation = held.remove(pick % held.len());
                        bare.give_back(reservation.cost(), now);
                        bare.release();
                        queue.refund(reservation, now);
                    }
                    Step::Pass(millis) => now = now + Duration::from_millis(millis),
                    Step::Pause(millis) => {
                        queue.pause_until(now + Duration::from_millis(millis));
                        bare.pause_until(now + Duration::from_millis(millis));
                    }
                    Step::Cancel(_) | Step::Refund(_) => {}
                }
                // Serve whoever can go at this instant, in the order of the line.
                let mut blocked = false;
                let mut still = Vec::new();
                for (ticket, cost, deadline) in waiting {
                    match queue.take(ticket, now) {
                        Taken::Granted(reservation) => {
                            prop_assert!(!blocked, "overtaken");
                            prop_assert_eq!(bare.admit(cost, now), Ok(()));
                            held.push(reservation);
                        }
                        Taken::Front { until } => {
                            blocked = true;
                            prop_assert_eq!(bare.ready_at(cost, now), Ok(until));
                            prop_assert!(until > now);
                            still.push((ticket, cost, deadline));
                        }
                        Taken::Behind => {
                            prop_assert!(blocked, "kept without reason");
                            still.push((ticket, cost, deadline));
                        }
                        // A turn that comes too late turns it away, and nothing else does.
                        Taken::Refused(_) => {
                            prop_assert!(bare.ready_at(cost, now).unwrap() >= deadline, "lost");
                        }
                        Taken::Unknown => prop_assert!(false, "lost"),
                    }
                }
                waiting = still;
                // Both are brought to the same instant before they are compared.
                let _ = (bare.ready_at(one(), now), queue.limiter.ready_at(one(), now));
                prop_assert_eq!(&queue.limiter, &bare);
            }
        }
    }
}
