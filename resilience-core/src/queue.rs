//! Who goes next when a quota is short: first come, first served.
//!
//! The queue is a state machine without a clock of its own.
//! [`Queue::enqueue`] gives a ticket; [`Queue::poll`] grants tickets at the front while they fit and answers with the one instant at which it must be polled again; [`Queue::claim`] takes a grant away; [`Queue::cancel`] returns a ticket and everything it holds.
//! Only the front of the queue needs a timer: [`Queue::pop_news`] names the tickets whose situation somebody else's call has changed.

use std::collections::{BTreeMap, VecDeque};

use crate::limiter::{Cost, Limiter, Quota, QuotaMistake, Refusal};
use crate::time::Nanos;

/// A first-come, first-served line in front of a [`Limiter`].
///
/// A large request at the front holds up small ones behind it; the other way round it would starve.
#[derive(Clone, Debug)]
pub struct Queue {
    limiter: Limiter,
    waiting: VecDeque<(Ticket, Cost)>,
    granted: BTreeMap<Ticket, Cost>,
    /// The limiter as it will be when all who wait have been admitted, and when that is.
    tail: Option<(Limiter, Nanos)>,
    news: VecDeque<Ticket>,
    tickets: u64,
}

impl Queue {
    /// An empty line in front of a rested limiter.
    pub fn new(quota: &Quota) -> Result<Self, Vec<QuotaMistake>> {
        Ok(Self {
            limiter: Limiter::new(quota)?,
            waiting: VecDeque::new(),
            granted: BTreeMap::new(),
            tail: None,
            news: VecDeque::new(),
            tickets: 0,
        })
    }

    /// Joins the line, or fails at once if the turn would come at `deadline` or later.
    ///
    /// [`Queue::claim`] tells whether the turn has come already.
    pub fn enqueue(&mut self, cost: Cost, deadline: Nanos, now: Nanos) -> Result<Ticket, Refusal> {
        let ready_at = self.turn_at(cost, now)?;
        if ready_at > now && ready_at >= deadline {
            return Err(Refusal::TooLate { ready_at });
        }
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        if let Some((tail, at)) = &mut self.tail {
            tail.admit(cost, ready_at).expect("the tail has room at the instant it named");
            *at = ready_at;
        }
        self.waiting.push_back((ticket, cost));
        self.settle(now);
        // The newcomer looks for itself.
        self.news.retain(|news| *news != ticket);
        Ok(ticket)
    }

    /// When a newcomer's turn would come, if nobody cancels and nothing is paused further.
    pub fn turn_at(&mut self, cost: Cost, now: Nanos) -> Result<Nanos, Refusal> {
        self.settle(now);
        if self.waiting.is_empty() {
            self.tail = None;
            return self.limiter.ready_at(cost, now);
        }
        if self.tail.is_none() {
            let mut tail = self.limiter.clone();
            let mut at = now;
            for (_, cost) in &self.waiting {
                at = tail.ready_at(*cost, at).expect("whoever waits fits");
                tail.admit(*cost, at).expect("the tail has room at the instant it named");
            }
            self.tail = Some((tail, at));
        }
        let (tail, at) = self.tail.as_mut().expect("it was built above");
        tail.ready_at(cost, now.max(*at))
    }

    /// Grants tickets at the front while they fit; answers when to poll next, or `None` if nobody waits.
    pub fn poll(&mut self, now: Nanos) -> Option<Nanos> {
        self.settle(now);
        self.wake_at(now)
    }

    /// Takes the grant of a ticket, or says what the ticket is waiting for.
    ///
    /// A claimed ticket is used up; what it cost is given back only by [`Queue::give_back`].
    pub fn claim(&mut self, ticket: Ticket, now: Nanos) -> Claim {
        self.settle(now);
        if self.granted.remove(&ticket).is_some() {
            self.news.retain(|news| *news != ticket);
            return Claim::Granted;
        }
        match self.waiting.iter().position(|(waiting, _)| *waiting == ticket) {
            Some(0) => match self.wake_at(now) {
                Some(until) => Claim::Front { until },
                None => Claim::Unknown,
            },
            Some(_) => Claim::Behind,
            None => Claim::Unknown,
        }
    }

    /// Leaves the line, or hands back a grant that was not claimed; the next in line moves up.
    pub fn cancel(&mut self, ticket: Ticket, now: Nanos) {
        self.news.retain(|news| *news != ticket);
        self.tail = None;
        let was_front = self.waiting.front().is_some_and(|(front, _)| *front == ticket);
        let grant = self.granted.remove(&ticket);
        if let Some(cost) = grant {
            self.limiter.give_back(cost, now);
        } else {
            self.waiting.retain(|(waiting, _)| *waiting != ticket);
        }
        self.settle(now);
        if was_front || grant.is_some() {
            self.tell_front();
        }
    }

    /// Gives back what a claimed ticket had paid for a request that was never sent.
    pub fn give_back(&mut self, cost: Cost, now: Nanos) {
        self.tail = None;
        self.limiter.give_back(cost, now);
        self.settle(now);
        self.tell_front();
    }

    /// Admits nobody before `until`; of several pauses the latest holds.
    pub fn pause_until(&mut self, until: Nanos) {
        self.tail = None;
        self.limiter.pause_until(until);
    }

    /// A ticket that somebody else's call has granted or brought to the front, each told once.
    pub fn pop_news(&mut self) -> Option<Ticket> {
        self.news.pop_front()
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// The limiter behind the line.
    pub fn limiter_mut(&mut self) -> &mut Limiter {
        &mut self.limiter
    }

    fn settle(&mut self, now: Nanos) {
        let mut moved = false;
        while let Some((ticket, cost)) = self.waiting.front().copied() {
            if self.limiter.admit(cost, now).is_err() {
                break;
            }
            self.waiting.pop_front();
            self.granted.insert(ticket, cost);
            self.news.push_back(ticket);
            moved = true;
        }
        if moved {
            self.tell_front();
        }
    }

    fn tell_front(&mut self) {
        if let Some((front, _)) = self.waiting.front()
            && !self.news.contains(front)
        {
            self.news.push_back(*front);
        }
    }

    fn wake_at(&mut self, now: Nanos) -> Option<Nanos> {
        let (_, cost) = self.waiting.front()?;
        Some(self.limiter.ready_at(*cost, now).expect("whoever waits fits"))
    }
}

/// A place in the line.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Ticket(u64);

/// What became of a ticket.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Claim {
    /// Others are before it; news will come.
    Behind,
    /// It is next.
    Front {
        /// When to look again.
        until: Nanos,
    },
    /// Its turn has come, and is now taken.
    Granted,
    /// It was claimed or cancelled before.
    Unknown,
}
