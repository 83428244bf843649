//! The async shell: carries out what a [`Call`](crate::Call) decides.
//!
//! It reads the clock and waits through tokio only, so that a paused clock governs it.
//! What is locked is unlocked before anything waits, and before anybody is told.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::Waker;

use futures_core::Stream;

use crate::attempt::Attempt;
use crate::clock::Clock;
use crate::draw::Draws;
use crate::drive::{Drive, Landed};
use crate::failure::Failure;
use crate::message::Request;
use crate::mistake::Mistakes;
use crate::observe::Observer;
use crate::outcome::{Answer, CallError, Success};
use crate::policy::{Policy, PolicyMistake};
use crate::pool::{Pool, Seat};
use crate::stream::{Opened, Piece, Streaming};
use crate::target::Target;

/// Sends calls to targets by a policy; all calls of a client share its limits and what it has learnt.
///
/// Calls may run at the same time; a clone is the same client.
/// Dropping the future of a call ends the call and gives back its place in any line.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
    observers: Arc<[Arc<dyn Observer>]>,
}

struct Inner {
    policy: Arc<Policy>,
    targets: Arc<[Target]>,
    shared: Mutex<Shared>,
    clock: OnceLock<Clock>,
    calls: AtomicU64,
}

/// What the calls of a client share.
pub(crate) struct Shared {
    pub(crate) pool: Pool,
    /// Who is to be woken when the pool has news of a seat.
    pub(crate) seats: BTreeMap<Seat, Waker>,
}

impl Client {
    /// A client with rested targets, or everything that is wrong with its policy and targets.
    ///
    /// The seed fixes every draw; a client that need not be reproduced takes any number that others don't.
    pub fn new(
        policy: Policy,
        targets: impl Into<Arc<[Target]>>,
        seed: u64,
    ) -> Result<Self, Mistakes<PolicyMistake>> {
        let pool = Pool::new(&policy, targets, Draws::new(seed))?;
        let inner = Inner {
            policy: Arc::new(policy),
            targets: Arc::clone(pool.targets()),
            shared: Mutex::new(Shared { pool, seats: BTreeMap::new() }),
            clock: OnceLock::new(),
            calls: AtomicU64::new(0),
        };
        Ok(Self { inner: Arc::new(inner), observers: Arc::new([]) })
    }

    /// The same client, telling one more observer what the calls made through this clone do.
    #[must_use]
    pub fn observed_by(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observers = self.observers.iter().cloned().chain([observer]).collect();
        self
    }

    /// The policy.
    pub fn policy(&self) -> &Arc<Policy> {
        &self.inner.policy
    }

    /// The targets, in order of preference.
    pub fn targets(&self) -> &Arc<[Target]> {
        &self.inner.targets
    }

    /// Makes a call, with the next free number as its id.
    ///
    /// `send` makes one attempt: it turns [`Attempt::messages`] into a request to [`Attempt::target`], and the answer into a value or a [`Failure`] (see [`crate::classify`]).
    /// Its future is dropped when the attempt takes too long, or when another attempt was first.
    pub async fn call<T, F>(
        &self,
        request: &Request,
        send: impl FnMut(Attempt) -> F,
    ) -> Result<Success<T>, CallError>
    where
        F: Future<Output = Result<Answer<T>, Failure>>,
    {
        self.call_at(self.next_id(), request, send).await
    }

    /// Makes a call under an id of the caller's choosing, which is the address of its draws: the same seed and id meet the same luck, whatever runs beside them.
    pub async fn call_at<T, F>(
        &self,
        id: u64,
        request: &Request,
        send: impl FnMut(Attempt) -> F,
    ) -> Result<Success<T>, CallError>
    where
        F: Future<Output = Result<Answer<T>, Failure>>,
    {
        let mut drive = Drive::new(self, id, request);
        let landed = |answer: &Answer<T>| Landed::Answered(answer.usage);
        let (_, answer) = drive.run(send, landed).await?;
        Ok(drive.success(answer.value))
    }

    /// Makes a call whose answer comes piece by piece, with the next free number as its id.
    ///
    /// `send` opens one stream; its pieces say which of them are content.
    /// Until the first piece of content everything is retried as in [`Client::call`], and what came before it is kept back, so that the caller sees one stream and never the beginnings of two.
    /// From then on nothing is repeated: a stream that breaks ends with [`crate::StopReason::Committed`].
    /// The quota's permits, the call's deadline and the idle timeout hold to the end of the stream.
    pub async fn stream<T, S, F>(
        &self,
        request: &Request,
        mut send: impl FnMut(Attempt) -> F,
    ) -> Result<Streaming<S, T>, CallError>
    where
        F: Future<Output = Result<S, Failure>>,
        S: Stream<Item = Result<Piece<T>, Failure>> + Unpin,
    {
        let request = request.clone().streaming();
        let mut drive = Drive::new(self, self.next_id(), &request);
        let open = |attempt: Attempt| {
            let opening = send(attempt.clone());
            async move { Opened::read(opening.await?, &attempt).await }
        };
        let (attempt, opened) = drive.run(open, |_| Landed::Opened).await?;
        Ok(Streaming::new(drive, attempt, opened))
    }

    fn next_id(&self) -> u64 {
        self.inner.calls.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn observers(&self) -> &[Arc<dyn Observer>] {
        &self.observers
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Shared> {
        // A panic elsewhere left the pool between two of its methods, where it is whole.
        self.inner.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The clock starts with the first call, inside the runtime that governs it.
    pub(crate) fn clock(&self) -> Clock {
        *self.inner.clock.get_or_init(Clock::start)
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { policy, targets, .. } = &*self.inner;
        f.debug_struct("Client")
            .field("policy", policy)
            .field("targets", targets)
            .finish_non_exhaustive()
    }
}

impl Shared {
    /// Those whom the last step concerns.
    pub(crate) fn news(&mut self) -> Vec<Waker> {
        let mut wakers = Vec::new();
        while let Some(seat) = self.pool.pop_news() {
            wakers.extend(self.seats.get(&seat).cloned());
        }
        wakers
    }
}
