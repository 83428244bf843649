//! An answer that comes piece by piece, and is retried until its first content.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;

use crate::attempt::Attempt;
use crate::call::{Action, Event};
use crate::class::Class;
use crate::classify::{Transport, transport};
use crate::drive::Drive;
use crate::failure::Failure;
use crate::outcome::{CallError, Usage};
use crate::trace::Trace;

/// One event of a stream, and what it means for a call.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Piece<T> {
    /// Something that the caller wants to see: once it has, nothing is repeated.
    Content(T),
    /// The provider's last event; without it a stream is cut, not finished.
    End(T, Option<Usage>),
    /// What comes before content (`message_start`, a role): kept back, and forgotten if its attempt fails.
    Preamble(T),
}

/// A stream that has begun to reach its caller.
///
/// Dropping it ends the call, and gives the quota's permits back.
#[must_use = "a stream that is dropped is abandoned"]
pub struct Streaming<S, T> {
    drive: Drive,
    attempt: u32,
    /// `None` once it is over, for whatever reason.
    stream: Option<S>,
    pieces: VecDeque<T>,
}

impl<S, T> Streaming<S, T>
where
    S: Stream<Item = Result<Piece<T>, Failure>> + Unpin,
{
    pub(crate) fn new(drive: Drive, attempt: u32, opened: Opened<S, T>) -> Self {
        let Opened { stream, preamble, first } = opened;
        let mut streaming = Self { drive, attempt, stream: Some(stream), pieces: preamble };
        match first {
            Piece::Content(value) | Piece::Preamble(value) => streaming.pieces.push_back(value),
            Piece::End(value, usage) => streaming.end(value, usage),
        }
        streaming
    }

    /// The next piece; `None` after the last one.
    ///
    /// An error is the last item: the stream broke, went silent for too long, or ran into the call's deadline.
    pub async fn next(&mut self) -> Option<Result<T, CallError>> {
        poll_fn(|cx| self.poll_piece(cx)).await
    }

    /// What the answer cost, once it is whole and if the provider said so.
    pub fn usage(&self) -> Option<Usage> {
        self.drive.usage()
    }

    /// Everything that happened so far; after an error, the error has it.
    pub fn trace(&self) -> &Trace {
        self.drive.trace()
    }

    /// The target that answers, by its place in the list of targets.
    pub fn target(&self) -> usize {
        self.drive.served_by()
    }

    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<T, CallError>>> {
        loop {
            if let Some(piece) = self.pieces.pop_front() {
                return Poll::Ready(Some(Ok(piece)));
            }
            let Some(stream) = &mut self.stream else { return Poll::Ready(None) };
            // What has arrived counts, however long the caller took to ask for it.
            match self.drive.within(self.attempt, || Pin::new(stream).poll_next(cx)) {
                Poll::Ready(Some(Ok(Piece::End(value, usage)))) => {
                    self.end(value, usage);
                    continue;
                }
                Poll::Ready(Some(Ok(Piece::Content(value) | Piece::Preamble(value)))) => {
                    self.drive.handle(self.attempt, Event::Token);
                    self.pieces.push_back(value);
                }
                Poll::Ready(Some(Err(failure))) => {
                    self.drive.handle(self.attempt, Event::Failed(failure));
                }
                Poll::Ready(None) => {
                    let cut = Transport::StreamCut { committed: true };
                    let failure = transport(cut, "the stream ended without its last event");
                    self.drive.handle(self.attempt, Event::Failed(failure));
                }
                Poll::Pending => {}
            }
            let action = self.drive.step(cx.waker());
            self.drive.tell();
            match action {
                Action::Done(finish) => {
                    self.stream = None;
                    self.pieces.clear();
                    return Poll::Ready(Some(Err(self.drive.error(finish))));
                }
                Action::Drop { .. } => {}
                Action::Acquire { until, .. }
                | Action::Attend { until }
                | Action::Wait { until, .. } => {
                    if self.pieces.is_empty() && self.drive.poll_timer(until, cx).is_pending() {
                        return Poll::Pending;
                    }
                }
                Action::Send { .. } => unreachable!("nothing is sent after content was seen"),
            }
        }
    }

    fn end(&mut self, value: T, usage: Option<Usage>) {
        self.drive.answered(self.attempt, usage);
        self.stream = None;
        self.pieces.push_back(value);
    }
}

impl<S, T> Stream for Streaming<S, T>
where
    S: Stream<Item = Result<Piece<T>, Failure>> + Unpin,
    T: Unpin,
{
    type Item = Result<T, CallError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().poll_piece(cx)
    }
}

impl<S, T> std::fmt::Debug for Streaming<S, T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Streaming").field("attempt", &self.attempt).finish_non_exhaustive()
    }
}

/// A stream as far as its first content.
pub(crate) struct Opened<S, T> {
    stream: S,
    preamble: VecDeque<T>,
    /// The first content, or the end of a stream without any.
    first: Piece<T>,
}

impl<S, T> Opened<S, T>
where
    S: Stream<Item = Result<Piece<T>, Failure>> + Unpin,
{
    /// Reads on to the first content: what fails before it may be retried.
    pub(crate) async fn read(mut stream: S, attempt: &Attempt) -> Result<Self, Failure> {
        attempt.connected();
        let mut preamble = VecDeque::new();
        loop {
            match poll_fn(|cx| Pin::new(&mut stream).poll_next(cx)).await {
                Some(Ok(Piece::Preamble(_))) if preamble.len() == PREAMBLE_MAX => {
                    let message = format!("no content in the first {PREAMBLE_MAX} events");
                    return Err(Failure::new(Class::Decode, &message));
                }
                Some(Ok(Piece::Preamble(value))) => preamble.push_back(value),
                Some(Ok(first)) => return Ok(Self { stream, preamble, first }),
                Some(Err(failure)) => return Err(failure),
                None => {
                    let cut = Transport::StreamCut { committed: false };
                    return Err(transport(cut, "the stream ended before any content"));
                }
            }
        }
    }
}

/// How many events may precede the first content; providers send one to three.
const PREAMBLE_MAX: usize = 200;
