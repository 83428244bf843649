//! Plays a timeline on a connection, byte by byte.
//!
//! Hyper reads requests, and we write the answers. A cut body, a reset, a length that is not kept:
//! hyper rightly refuses to send such things. And what it does send it only takes in hand: it
//! cannot say how much of an answer a client got, nor, once bytes stand behind a request, that the
//! client has left. So each request's handler passes its timeline to the connection's task, which
//! takes the stream back from hyper, plays the timeline, and returns the stream for the next
//! request.

use std::{
    future::{Future as _, poll_fn},
    io::{self, Write as _},
    ops::Range,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use axum::body::Body;
use bytes::{Buf as _, Bytes, BytesMut};
use http::{HeaderMap, Response, Version, header, request::Parts};
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

/// What a request says of the form of its answer, whatever the answer is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Manner {
    /// HTTP/1.0: there are no chunks, and a connection stays open only if that is asked for.
    old: bool,
    /// The answer to a HEAD: its body is announced and not sent.
    bodiless: bool,
    /// The connection serves another request afterwards.
    stays: bool,
}

/// A timeline that is to be played.
#[derive(Debug)]
pub(crate) struct Takeover {
    timeline: Timeline,
    /// None for what is no attempt.
    recorder: Option<Recorder>,
    manner: Manner,
}

/// A stream that notes when the first byte of each request is read.
#[derive(Debug)]
pub(crate) struct Stamped<S> {
    stream: S,
    stamps: Arc<Stamps>,
    /// What was read and belongs to a later request.
    ahead: BytesMut,
    /// When a head that has begun must be whole.
    overdue: Option<Pin<Box<Sleep>>>,
}

#[derive(Debug)]
struct Stamps {
    clock: Clock,
    request: Mutex<Begun>,
}

/// What is known of the request that is being read.
#[derive(Clone, Copy, Debug, Default)]
struct Begun {
    first_byte_at: Option<Duration>,
    /// Whether its head has begun and is not whole.
    in_head: bool,
}

/// Bytes that go out together, and which of them are body.
#[derive(Debug, Default)]
struct Frame {
    bytes: Vec<u8>,
    body: Range<usize>,
    /// How many events it holds.
    events: u64,
    /// Whether the answer is whole with it.
    last: bool,
}

/// How a body's end is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    Chunked,
    /// By the end of the connection, for those who know no chunks.
    Closing,
    Length(usize),
}

/// How long a reset waits for the bytes before it to arrive; without it they would be discarded
/// with the connection. Loopback needs microseconds.
const RESET_GRACE: Duration = Duration::from_millis(20);

/// The most bytes that are given to the system at once, and so the most by which the journal can
/// overstate what a client got while the rest was refused.
const WRITE_BYTES_MAX: usize = 64 << 10;

/// How much of later requests is kept while an answer is delayed. Nothing more is read then: the
/// client waits to be read, as it would at any busy server.
const AHEAD_BYTES_MAX: usize = 1 << 20;

/// How much is read and thrown away, and for how long, after an answer that ends a connection.
/// A connection that is closed over unread bytes is reset, and a reset takes the answer with it
/// ([RFC 9112 §9.6](https://www.rfc-editor.org/rfc/rfc9112#section-9.6)).
const LINGER_BYTES_MAX: usize = 8 << 20;
const LINGER: Duration = Duration::from_secs(1);

/// How long a head may take from its first byte on. A connection on which nothing has begun may stay
/// as long as it likes: providers close idle ones too, but nobody here asked for that fault.
const HEAD_MAX: Duration = Duration::from_secs(30);

/// Wraps a stream, and gives what its requests' handlers need to know.
pub(crate) fn stamp<S>(
    stream: S,
    number: u64,
    clock: Clock,
) -> (Stamped<S>, Connection, mpsc::Receiver<Takeover>) {
    let stamps = Arc::new(Stamps { clock, request: Mutex::default() });
    let (takeover, taken) = mpsc::channel(1);
    let connection = Connection { number, stamps: Arc::clone(&stamps), takeover };
    (Stamped { stream, stamps, ahead: BytesMut::new(), overdue: None }, connection, taken)
}

impl Connection {
    /// When the first byte of the request at hand was read. Must be called once it was read whole,
    /// because the next byte to come is taken for the first of the next request.
    pub(crate) fn request_read(&self, now: Duration) -> Duration {
        self.stamps.request().first_byte_at.take().unwrap_or(now)
    }

    /// The head of the request at hand was read, and its body may take its time.
    pub(crate) fn head_read(&self) {
        self.stamps.request().in_head = false;
    }

    /// Has a timeline played by the connection's task, which ends this future by dropping it.
    pub(crate) async fn play(
        &self,
        timeline: Timeline,
        recorder: Option<Recorder>,
        manner: Manner,
    ) -> Response<Body> {
        let takeover = Takeover { timeline, recorder, manner };
        // The task is gone only if the connection is, and then nobody waits for an answer.
        let _gone = self.takeover.send(takeover).await.is_err();
        std::future::pending().await
    }
}

impl Stamps {
    fn request(&self) -> MutexGuard<'_, Begun> {
        self.request.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Manner {
    /// What the head of a request says.
    pub(crate) fn of(parts: &Parts) -> Self {
        let old = parts.version == Version::HTTP_10;
        let stays = if old {
            asks(&parts.headers, "keep-alive") && !asks(&parts.headers, "close")
        } else {
            !asks(&parts.headers, "close")
        };
        Self { old, bodiless: parts.method == http::Method::HEAD, stays }
    }

    /// The same, but the connection is closed after the answer.
    pub(crate) fn closing(self) -> Self {
        Self { stays: false, ..self }
    }

    fn framing(self, head: &Head) -> Framing {
        match head.content_length {
            Some(length) => Framing::Length(length),
            None if self.old => Framing::Closing,
            None => Framing::Chunked,
        }
    }
}

impl Takeover {
    /// Plays the timeline over a connection that hyper no longer uses, and gives the connection
    /// back if it stays open.
    pub(crate) async fn play<S: Stream>(self, mut stamped: Stamped<S>) -> Option<Stamped<S>> {
        let Self { mut timeline, mut recorder, manner } = self;
        // Whoever reads the head must not think that another request may follow.
        let manner = if timeline.end == End::Last { manner.closing() } else { manner };
        let clock = stamped.stamps.clock;
        let framing = timeline.head.as_ref().map(|head| manner.framing(head));
        // An error means that the client has left; dropping the recorder says so.
        write(&mut timeline, &mut recorder, manner, &mut stamped).await.ok()?;
        match timeline.end {
            End::Complete if manner.stays && framing != Some(Framing::Closing) => {
                return Some(stamped);
            }
            End::Close => {
                if let Some(recorder) = &mut recorder {
                    recorder.end(EndKind::Closed);
                }
                stamped.close().await;
            }
            End::Complete | End::Last => stamped.close().await,
            End::Hang => stamped.left().await,
            End::Reset => {
                if framing.is_some() {
                    clock.sleep_until(clock.now() + RESET_GRACE).await;
                }
                if let Some(recorder) = &mut recorder {
                    recorder.end(EndKind::Reset);
                }
                stamped.stream.reset();
            }
        }
        None
    }
}

/// Writes head and pieces as the timeline says.
async fn write<S: Stream>(
    timeline: &mut Timeline,
    recorder: &mut Option<Recorder>,
    manner: Manner,
    stamped: &mut Stamped<S>,
) -> io::Result<()> {
    let Some(head) = timeline.head.take() else { return Ok(()) };
    let clock = stamped.stamps.clock;
    // A piece is due from the claim on, so that one that is late delays no other.
    let claimed_at = recorder.as_ref().map_or_else(|| clock.now(), Recorder::claimed_at);
    let mut at = timeline.head_after;
    if !at.is_zero() {
        stamped.wait_until(claimed_at + at).await?;
    }
    if let Some(recorder) = recorder {
        recorder.head(head.status);
    }
    let whole = matches!(timeline.end, End::Complete | End::Last);
    let framing = manner.framing(&head);
    let text = head_text(&head, framing, manner, clock.wall(clock.now()));
    drop(head);
    let mut frame = Frame { bytes: text.into_bytes(), ..Frame::default() };
    let mut pieces = timeline.pieces();
    loop {
        let piece = if manner.bodiless { None } else { pieces.next() };
        let last = piece.as_ref().is_none_or(|piece| piece.last);
        if let Some(piece) = piece {
            if piece.due > at {
                stamped.send(std::mem::take(&mut frame), recorder).await?;
                stamped.wait_until(claimed_at + piece.due).await?;
                at = piece.due;
            }
            frame.push(&piece, framing);
        }
        // What follows the last event goes out with it, since a client may take that for the end.
        if last {
            frame.last = whole;
            if whole && framing == Framing::Chunked && !manner.bodiless {
                frame.bytes.extend_from_slice(b"0\r\n\r\n");
            }
        }
        stamped.send(std::mem::take(&mut frame), recorder).await?;
        if last {
            return Ok(());
        }
    }
}

/// The bytes of an answer that is sent whole, on a connection that stays open.
pub(crate) fn whole(head: &Head, body: &[u8], wall: Duration) -> Vec<u8> {
    let manner = Manner { old: false, bodiless: false, stays: true };
    let mut bytes = head_text(head, Framing::Length(body.len()), manner, wall).into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

/// A head as it stands on the wire.
fn head_text(head: &Head, framing: Framing, manner: Manner, wall: Duration) -> String {
    let status = http::StatusCode::from_u16(head.status).unwrap_or_default();
    let version = if manner.old { "HTTP/1.0" } else { "HTTP/1.1" };
    let connection = match (manner.old, manner.stays) {
        (false, false) => "connection: close\r\n",
        (true, true) if framing != Framing::Closing => "connection: keep-alive\r\n",
        (false, true) | (true, _) => "",
    };
    let mut text = String::with_capacity(HEAD_BYTES);
    let reason = status.canonical_reason().unwrap_or_default();
    for part in [version, " ", &head.status.to_string(), " ", reason, "\r\n"] {
        text.push_str(part);
    }
    for (name, value) in &head.headers {
        text.push_str(name);
        text.push_str(": ");
        // Some repeat what the client sent, which must not end the line.
        text.extend(value.chars().map(|letter| if letter.is_control() { ' ' } else { letter }));
        text.push_str("\r\n");
    }
    for part in ["date: ", &http_date(wall), "\r\n", connection] {
        text.push_str(part);
    }
    match framing {
        Framing::Chunked => text.push_str("transfer-encoding: chunked\r\n"),
        Framing::Closing => {}
        Framing::Length(length) => {
            for part in ["content-length: ", &length.to_string(), "\r\n"] {
                text.push_str(part);
            }
        }
    }
    text.push_str("\r\n");
    text
}

/// About as many bytes as a head has; it grows if one has more.
const HEAD_BYTES: usize = 1_024;

/// At most as many bytes as the framing of a chunk takes, with that of the one that ends a body.
const CHUNK_BYTES: usize = 32;

/// Whether a `Connection` header holds a word.
fn asks(headers: &HeaderMap, word: &str) -> bool {
    let values = headers.get_all(header::CONNECTION).iter().filter_map(|value| value.to_str().ok());
    let mut words = values.flat_map(|value| value.split(','));
    words.any(|other| other.trim().eq_ignore_ascii_case(word))
}

impl Frame {
    /// Adds a piece of the body.
    fn push(&mut self, piece: &Piece, framing: Framing) {
        let chunked = framing == Framing::Chunked;
        self.bytes.reserve(piece.bytes.len() + CHUNK_BYTES);
        if chunked {
            // To write into memory does not fail.
            let _whole = write!(self.bytes, "{:x}\r\n", piece.bytes.len()).is_ok();
        }
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&piece.bytes);
        self.body = start..self.bytes.len();
        if chunked {
            self.bytes.extend_from_slice(b"\r\n");
        }
        self.events = u64::from(piece.event);
    }

    /// How many of some bytes are body.
    fn body_in(&self, bytes: Range<usize>) -> u64 {
        let (start, end) = (bytes.start.max(self.body.start), bytes.end.min(self.body.end));
        u64::try_from(end.saturating_sub(start)).unwrap_or(u64::MAX)
    }
}

impl<S> Stamped<S> {
    /// The same stream, with bytes that were read from it and not used.
    pub(crate) fn unread(mut self, bytes: &Bytes) -> Self {
        if !bytes.is_empty() {
            let later = std::mem::replace(&mut self.ahead, BytesMut::from(&bytes[..]));
            self.ahead.extend_from_slice(&later);
        }
        self
    }
}

impl<S: Stream> Stamped<S> {
    /// Writes a frame, and has recorded what the system took of it.
    async fn send(&mut self, frame: Frame, recorder: &mut Option<Recorder>) -> io::Result<()> {
        let mut start = 0;
        while start < frame.bytes.len() {
            let end = frame.bytes.len().min(start + WRITE_BYTES_MAX);
            let bytes = &frame.bytes[start..end];
            let ends = end == frame.bytes.len();
            let stream = &mut self.stream;
            let written = poll_fn(|cx| {
                let mut write = || Pin::new(&mut *stream).poll_write(cx, bytes);
                match recorder {
                    Some(recorder) if ends && frame.last => {
                        let body = frame.body_in(start..end);
                        recorder.finish(write, bytes.len(), body, frame.events)
                    }
                    _ => write(),
                }
            });
            let written = written.await?;
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            let whole = start + written == frame.bytes.len();
            if let Some(recorder) = recorder {
                let body = frame.body_in(start..start + written);
                recorder.sent(body, if whole { frame.events } else { 0 });
            }
            start += written;
        }
        self.stream.flush().await
    }

    /// Waits until a reading of the clock, or finds that the client has left.
    async fn wait_until(&mut self, at: Duration) -> io::Result<()> {
        let mut sleep = std::pin::pin!(self.stamps.clock.sleep_until(at));
        loop {
            let room = self.ahead.len() < AHEAD_BYTES_MAX;
            tokio::select! {
                biased;
                read = self.stream.read_buf(&mut self.ahead), if room => {
                    if read? == 0 {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                }
                () = &mut sleep => return Ok(()),
            }
        }
    }

    /// Waits until the client has left, whatever it sends until then.
    async fn left(&mut self) {
        let mut ignored = [0; 1_024];
        while let Ok(1..) = self.stream.read(&mut ignored).await {}
    }

    /// Closes the connection so that what was sent arrives.
    async fn close(&mut self) {
        if self.stream.shutdown().await.is_err() {
            return;
        }
        let clock = self.stamps.clock;
        let mut over = std::pin::pin!(clock.sleep_until(clock.now() + LINGER));
        let mut ignored = [0; 4_096];
        let mut room = LINGER_BYTES_MAX;
        while room > 0 {
            tokio::select! {
                biased;
                () = &mut over => return,
                read = self.stream.read(&mut ignored) => match read {
                    Ok(0) | Err(_) => return,
                    Ok(count) => room = room.saturating_sub(count),
                }
            }
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
        let polled = if self.ahead.is_empty() {
            Pin::new(&mut self.stream).poll_read(cx, buffer)
        } else {
            let count = self.ahead.len().min(buffer.remaining());
            buffer.put_slice(&self.ahead[..count]);
            self.ahead.advance(count);
            Poll::Ready(Ok(()))
        };
        // A line break behind a body belongs to no request
        // ([RFC 9112 §2.2](https://www.rfc-editor.org/rfc/rfc9112#section-2.2)).
        let begins = |byte: &u8| !matches!(byte, b'\r' | b'\n');
        let now = self.stamps.clock.now();
        let mut request = self.stamps.request();
        if request.first_byte_at.is_none() && buffer.filled()[before..].iter().any(begins) {
            *request = Begun { first_byte_at: Some(now), in_head: true };
        }
        let Begun { first_byte_at, in_head } = *request;
        drop(request);
        let Some(began) = first_byte_at.filter(|_| in_head && polled.is_pending()) else {
            if !in_head {
                self.overdue = None;
            }
            return polled;
        };
        let clock = self.stamps.clock;
        let overdue =
            self.overdue.get_or_insert_with(|| Box::pin(clock.sleep_until(began + HEAD_MAX)));
        overdue.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
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
