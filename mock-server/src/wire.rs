//! Plays a timeline on a connection: through hyper where HTTP can say it, over the bare
//! connection where it cannot.
//!
//! A cut body, a reset, a length that is not kept: hyper rightly refuses to send such things.
//! So the service hands the timeline to the connection's task, which takes the bytes back from
//! hyper and writes the rest itself.

use std::{
    convert::Infallible,
    future::Future,
    io,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response};
use http_body_util::BodyExt as _;
use hyper::body::{Frame, SizeHint};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf},
    sync::mpsc,
    time::Sleep,
};

use crate::{
    clock::Clock,
    dialect::http_date,
    door::Stream,
    journal::EndKind,
    lane::Recorder,
    timeline::{End, Head, Piece, Timeline},
};

/// What a request's handler knows of the connection it came on.
#[derive(Clone, Debug)]
pub(crate) struct Connection {
    /// The connection, counted from 1 in its lane.
    pub(crate) number: u64,
    stamps: Arc<Stamps>,
    takeover: mpsc::Sender<Takeover>,
}

/// A timeline that is played over the bare connection.
#[derive(Debug)]
pub(crate) struct Takeover {
    timeline: Timeline,
    recorder: Recorder,
}

/// A stream that notes when the first byte of each request is read.
#[derive(Debug)]
pub(crate) struct Stamped<S> {
    stream: S,
    stamps: Arc<Stamps>,
}

#[derive(Debug)]
struct Stamps {
    clock: Clock,
    first_byte_at: Mutex<Option<Duration>>,
}

/// How long a reset waits for the bytes before it to arrive; without it they would be discarded
/// with the connection. Loopback needs microseconds.
const RESET_GRACE: Duration = Duration::from_millis(20);

/// Wraps a stream, and gives what its requests' handlers need to know.
pub(crate) fn stamp<S>(
    stream: S,
    number: u64,
    clock: Clock,
) -> (Stamped<S>, Connection, mpsc::Receiver<Takeover>) {
    let stamps = Arc::new(Stamps { clock, first_byte_at: Mutex::new(None) });
    let (takeover, taken) = mpsc::channel(1);
    let connection = Connection { number, stamps: Arc::clone(&stamps), takeover };
    (Stamped { stream, stamps }, connection, taken)
}

impl Connection {
    /// When the first byte of the request at hand was read. Must be called once it was read whole,
    /// because the next byte to come is taken for the first of the next request.
    pub(crate) fn request_read(&self, now: Duration) -> Duration {
        let mut first = self.stamps.first_byte_at.lock().unwrap_or_else(PoisonError::into_inner);
        first.take().unwrap_or(now)
    }

    /// Answers with a timeline, from here or from the connection's task.
    pub(crate) async fn play(&self, timeline: Timeline, mut recorder: Recorder) -> Response<Body> {
        let clock = self.stamps.clock;
        let by_hyper = matches!(timeline.end, End::Complete | End::Hang);
        let Some(head) = timeline.head.as_ref().filter(|_| by_hyper) else {
            if !by_hyper {
                let takeover = Takeover { timeline, recorder };
                // The task is gone only if the connection is, and then nobody waits for an answer.
                let _gone = self.takeover.send(takeover).await.is_err();
                return std::future::pending().await;
            }
            // Dropped, with the recorder, when the client leaves.
            std::future::pending::<Infallible>().await;
            unreachable!("a pending future never ends; {recorder:?}");
        };
        if !timeline.head_after.is_zero() {
            clock.sleep_until(clock.now() + timeline.head_after).await;
        }
        let mut response = Response::new(Body::empty());
        *response.status_mut() =
            http::StatusCode::from_u16(head.status).expect("a dialect's status has three digits");
        for (name, value) in &head.headers {
            let value = HeaderValue::from_str(value).expect("a dialect's header is visible ASCII");
            response.headers_mut().append(HeaderName::from_static(name), value);
        }
        let date = http_date(clock.wall(clock.now()));
        let date = HeaderValue::from_str(&date).expect("a date is visible ASCII");
        response.headers_mut().insert(http::header::DATE, date);
        recorder.head(head.status);
        let body = Paced {
            clock,
            length: head.content_length,
            pieces: timeline.pieces.into_iter(),
            next: None,
            hangs: timeline.end == End::Hang,
            recorder,
        };
        response.map(|_| Body::new(body.map_err(|never| match never {})))
    }
}

impl Takeover {
    /// Plays the timeline over a connection that hyper no longer uses, and ends it.
    pub(crate) async fn play<S: Stream>(self, stamped: Stamped<S>) {
        let Self { timeline, mut recorder } = self;
        let Stamped { mut stream, stamps } = stamped;
        // An error means that the client has left; dropping the recorder says so.
        if write(&timeline, &mut recorder, &mut stream, stamps.clock).await.is_err() {
            return;
        }
        match timeline.end {
            End::Reset => {
                if timeline.head.is_some() {
                    stamps.clock.sleep_until(stamps.clock.now() + RESET_GRACE).await;
                }
                recorder.end(EndKind::Reset);
                stream.reset();
            }
            End::Close | End::Complete | End::Hang => {
                recorder.end(EndKind::Closed);
                let _left = stream.shutdown().await.is_err();
            }
        }
    }
}

/// Writes head and pieces as the timeline says, with HTTP/1.1 framing of our own.
async fn write<S: Stream>(
    timeline: &Timeline,
    recorder: &mut Recorder,
    stream: &mut S,
    clock: Clock,
) -> io::Result<()> {
    let Some(head) = &timeline.head else { return Ok(()) };
    wait(stream, clock, timeline.head_after).await?;
    recorder.head(head.status);
    let text = head_text(head, clock.wall(clock.now()));
    stream.write_all(text.as_bytes()).await?;
    for piece in &timeline.pieces {
        wait(stream, clock, piece.after).await?;
        recorder.piece(piece.bytes.len(), piece.event);
        if head.content_length.is_some() {
            stream.write_all(&piece.bytes).await?;
        } else {
            let mut chunk = format!("{:x}\r\n", piece.bytes.len()).into_bytes();
            chunk.extend_from_slice(&piece.bytes);
            chunk.extend_from_slice(b"\r\n");
            stream.write_all(&chunk).await?;
        }
        stream.flush().await?;
    }
    Ok(())
}

/// A head as it stands on the wire.
fn head_text(head: &Head, wall: Duration) -> String {
    let status = http::StatusCode::from_u16(head.status).unwrap_or_default();
    let reason = status.canonical_reason().unwrap_or_default();
    let framing = match head.content_length {
        Some(length) => format!("content-length: {length}"),
        None => "transfer-encoding: chunked".to_owned(),
    };
    let headers = head.headers.iter().map(|(name, value)| format!("{name}: {value}"));
    let lines = [format!("HTTP/1.1 {} {reason}", head.status)].into_iter().chain(headers);
    let lines = lines.chain([format!("date: {}", http_date(wall)), framing]);
    lines.map(|line| line + "\r\n").collect::<String>() + "\r\n"
}

/// Waits, or finds that the client has left.
async fn wait<S: Stream>(stream: &mut S, clock: Clock, span: Duration) -> io::Result<()> {
    if span.is_zero() {
        return Ok(());
    }
    let mut sleep = std::pin::pin!(clock.sleep_until(clock.now() + span));
    let mut ignored = [0; 1_024];
    loop {
        tokio::select! {
            biased;
            read = stream.read(&mut ignored) => {
                if read? == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            }
            () = &mut sleep => return Ok(()),
        }
    }
}

/// A body that waits before each piece.
#[derive(Debug)]
struct Paced {
    clock: Clock,
    length: Option<usize>,
    pieces: std::vec::IntoIter<Piece>,
    next: Option<(Piece, Pin<Box<Sleep>>)>,
    hangs: bool,
    recorder: Recorder,
}

impl Paced {
    /// A piece is about to go out; with the last one the attempt is over.
    fn send(&mut self, piece: Piece) -> Frame<Bytes> {
        self.recorder.piece(piece.bytes.len(), piece.event);
        if self.pieces.len() == 0 && !self.hangs {
            self.recorder.end(EndKind::Complete);
        }
        Frame::data(piece.bytes)
    }
}

impl hyper::body::Body for Paced {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.next.is_none() {
            match self.pieces.next() {
                None if self.hangs => return Poll::Pending,
                None => {
                    self.recorder.end(EndKind::Complete);
                    return Poll::Ready(None);
                }
                Some(piece) if piece.after.is_zero() => {
                    return Poll::Ready(Some(Ok(self.send(piece))));
                }
                Some(piece) => {
                    let at = self.clock.now() + piece.after;
                    let sleep = Box::pin(self.clock.sleep_until(at));
                    self.next = Some((piece, sleep));
                }
            }
        }
        if let Some((_, sleep)) = &mut self.next {
            ready!(sleep.as_mut().poll(cx));
        }
        let (piece, _) = self.next.take().expect("a piece is waited for");
        Poll::Ready(Some(Ok(self.send(piece))))
    }

    fn size_hint(&self) -> SizeHint {
        match self.length.and_then(|length| u64::try_from(length).ok()) {
            Some(length) => SizeHint::with_exact(length),
            None => SizeHint::default(),
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Stamped<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if buffer.filled().len() > before {
            let stamps = &self.stamps;
            let mut first = stamps.first_byte_at.lock().unwrap_or_else(PoisonError::into_inner);
            first.get_or_insert_with(|| stamps.clock.now());
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Stamped<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
