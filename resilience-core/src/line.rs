//! A queue that threads or tasks share: who waits is woken when its turn may have come.
//!
//! The line knows no clock and no runtime; [`crate::Throttle`] is its shell on tokio.
//! `tests/loom` checks it in every interleaving: `RUSTFLAGS="--cfg loom" cargo test -p resilience-core --no-default-features --test loom --release --target-dir target/loom`.

use std::collections::BTreeMap;
use std::sync::PoisonError;
use std::task::Waker;

use crate::limiter::{Quota, QuotaMistake};
use crate::mistake::Mistakes;
use crate::queue::{Queue, Taken, Ticket};
use crate::sync::{Mutex, MutexGuard};
use crate::time::Nanos;

/// A [`Queue`] behind a lock, with the wakers of those who wait.
///
/// A task joins by [`Line::with`] and [`Queue::enqueue`], polls its ticket until it is granted or refused, and leaves by [`Line::leave`] if it gives up before.
/// It must be polled when it is woken, and at the instant that [`Taken::Front`] names.
#[derive(Debug)]
pub struct Line {
    shared: Mutex<Shared>,
}

#[derive(Debug)]
struct Shared {
    queue: Queue,
    wakers: BTreeMap<Ticket, Waker>,
}

impl Line {
    /// An empty line in front of a rested quota, or everything that is wrong with it.
    pub fn new(quota: &Quota) -> Result<Self, Mistakes<QuotaMistake>> {
        let shared = Shared { queue: Queue::new(quota)?, wakers: BTreeMap::new() };
        Ok(Self { shared: Mutex::new(shared) })
    }

    /// Does something with the queue, and wakes those whom it concerns.
    pub fn with<T>(&self, step: impl FnOnce(&mut Queue) -> T) -> T {
        let (done, news) = {
            let mut shared = self.lock();
            let done = step(&mut shared.queue);
            (done, shared.news())
        };
        // A waker may run anything, so it is called when the lock is free.
        news.into_iter().for_each(Waker::wake);
        done
    }

    /// Takes the grant of a ticket, or remembers whom to wake when there is news of it.
    ///
    /// Whoever drops the ticket before it is granted or refused calls [`Line::leave`].
    pub fn poll(&self, ticket: Ticket, waker: &Waker, now: Nanos) -> Taken {
        let (taken, news, replaced) = {
            let mut shared = self.lock();
            let taken = shared.queue.take(ticket, now);
            // In one step with the look at the ticket, so that no news falls between the two.
            let replaced = match taken {
                Taken::Behind | Taken::Front { .. } => shared.wakers.insert(ticket, waker.clone()),
                _ => shared.wakers.remove(&ticket),
            };
            (taken, shared.news(), replaced)
        };
        drop(replaced);
        news.into_iter().for_each(Waker::wake);
        taken
    }

    /// Leaves the line; an unclaimed grant goes to the next.
    pub fn leave(&self, ticket: Ticket, now: Nanos) {
        let (news, forgotten) = {
            let mut shared = self.lock();
            let forgotten = shared.wakers.remove(&ticket);
            shared.queue.cancel(ticket, now);
            (shared.news(), forgotten)
        };
        drop(forgotten);
        news.into_iter().for_each(Waker::wake);
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        // A panic elsewhere left the queue between two of its methods, where it is whole.
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    /// The wakers of those whom the last step concerns.
    fn news(&mut self) -> Vec<Waker> {
        let Self { queue, wakers } = self;
        std::iter::from_fn(|| queue.pop_news())
            .filter_map(|ticket| wakers.remove(&ticket))
            .collect()
    }
}
