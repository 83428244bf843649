//! Plays a timeline on a connection, byte by byte.
//!
//! A cut body, a reset, a length that is not kept: a library for HTTP rightly refuses to send such
//! things. And what it does send it only takes in hand: it cannot say how much of an answer a client
//! got, nor, once bytes stand behind a request, that the client has left. So every answer is written
//! here, and every request is read in [`intake`](crate::intake).

use std::{
    future::poll_fn,
    io::{self, Write as _},
    ops::Range,
    pin::Pin,
    time::Duration,
};

use http::{StatusCode, header, response};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::{
    dialect::http_date,
    door::Stream,
    intake::{KEPT_BYTES, RequestHead, Stamped},
    journal::EndKind,
    lane::Recorder,
    timeline::{End, Head, Piece, Timeline},
};

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
pub(crate) struct Play {
    pub(crate) timeline: Timeline,
    /// None for what is no attempt.
    pub(crate) recorder: Option<Recorder>,
    pub(crate) manner: Manner,
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

impl Manner {
    /// What the head of a request says.
    pub(crate) fn of(head: &RequestHead) -> Self {
        Self { old: head.old, bodiless: head.method == http::Method::HEAD, stays: head.stays }
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

impl Play {
    /// Plays the timeline, and tells whether the connection stays open for another request.
    pub(crate) async fn over<S: Stream>(self, stamped: &mut Stamped<S>) -> bool {
        let Self { mut timeline, mut recorder, manner } = self;
        // Whoever reads the head must not think that another request may follow.
        let manner = if timeline.end == End::Last { manner.closing() } else { manner };
        let clock = stamped.clock;
        let framing = timeline.head.as_ref().map(|head| manner.framing(head));
        // An error means that the client has left; dropping the recorder says so.
        if write(&mut timeline, &mut recorder, manner, stamped).await.is_err() {
            return false;
        }
        match timeline.end {
            End::Complete if manner.stays && framing != Some(Framing::Closing) => {
                return true;
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
        false
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
    let clock = stamped.clock;
    // A piece is due from the claim on, so that one that is late delays no other.
    let claimed_at = recorder.as_ref().map_or_else(|| clock.now(), Recorder::claimed_at);
    let mut at = timeline.head_after;
    if !at.is_zero() {
        stamped.wait_until(claimed_at + at).await?;
    }
    let now = clock.now();
    if let Some(recorder) = recorder {
        recorder.head(head.status, now);
    }
    let whole = matches!(timeline.end, End::Complete | End::Last);
    let framing = manner.framing(&head);
    // What is empty is text.
    let mut text = String::from_utf8(std::mem::take(&mut stamped.spare)).unwrap_or_default();
    write_head(&mut text, &head, framing, manner, stamped.date(clock.wall(now)));
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
                frame.bytes = std::mem::take(&mut stamped.spare);
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
        frame.bytes = std::mem::take(&mut stamped.spare);
    }
}

/// The bytes of an answer that is sent whole, on a connection that stays open.
pub(crate) fn whole(head: &Head, body: &[u8], wall: Duration) -> Vec<u8> {
    let manner = Manner { old: false, bodiless: false, stays: true };
    let mut text = String::new();
    write_head(&mut text, head, Framing::Length(body.len()), manner, &http_date(wall));
    let mut bytes = text.into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

/// Sends a page of our own, which is no attempt, and tells whether the connection stays open.
pub(crate) async fn page<S: Stream>(
    head: &response::Parts,
    body: &[u8],
    manner: Manner,
    stamped: &mut Stamped<S>,
) -> bool {
    let mut text = String::new();
    write_status(&mut text, head.status, manner);
    let mut bytes = text.into_bytes();
    let has_body = !matches!(head.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    // What has no body has no length of one, either.
    let said = head.headers.iter().filter(|(name, _)| has_body || *name != header::CONTENT_LENGTH);
    for (name, value) in said {
        for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
            bytes.extend_from_slice(part);
        }
    }
    if has_body && !head.headers.contains_key(header::CONTENT_LENGTH) {
        bytes.extend_from_slice(format!("content-length: {}\r\n", body.len()).as_bytes());
    }
    bytes.extend_from_slice(connection(manner).as_bytes());
    bytes.extend_from_slice(b"\r\n");
    if has_body && !manner.bodiless {
        bytes.extend_from_slice(body);
    }
    let sent = stamped.send(Frame { bytes, ..Frame::default() }, &mut None).await;
    if sent.is_ok() && !manner.stays {
        stamped.close().await;
    }
    sent.is_ok() && manner.stays
}

/// Refuses what is no request, and ends the connection: nobody can say where the next one begins.
pub(crate) async fn refuse<S: Stream>(status: StatusCode, stamped: &mut Stamped<S>) {
    let manner = Manner { old: false, bodiless: false, stays: false };
    let mut text = String::new();
    write_status(&mut text, status, manner);
    text.push_str("connection: close\r\ncontent-length: 0\r\n\r\n");
    let bytes = text.into_bytes();
    if stamped.send(Frame { bytes, ..Frame::default() }, &mut None).await.is_ok() {
        stamped.close().await;
    }
}

/// Writes the first line of an answer.
fn write_status(text: &mut String, status: StatusCode, manner: Manner) {
    let version = if manner.old { "HTTP/1.0" } else { "HTTP/1.1" };
    let reason = status.canonical_reason().unwrap_or_default();
    text.reserve(HEAD_BYTES);
    for part in [version, " ", status.as_str(), " ", reason, "\r\n"] {
        text.push_str(part);
    }
}

/// What an answer says of the connection; nothing if it does what its version does.
fn connection(manner: Manner) -> &'static str {
    match (manner.old, manner.stays) {
        (false, false) => "connection: close\r\n",
        (true, true) => "connection: keep-alive\r\n",
        (false, true) | (true, false) => "",
    }
}

/// Writes a head as it stands on the wire.
fn write_head(text: &mut String, head: &Head, framing: Framing, manner: Manner, date: &str) {
    let manner = if framing == Framing::Closing { manner.closing() } else { manner };
    write_status(text, StatusCode::from_u16(head.status).unwrap_or_default(), manner);
    for (name, value) in &head.headers {
        text.push_str(name);
        text.push_str(": ");
        // Some repeat what the client sent, which must not end the line.
        if value.bytes().fold(true, |plain, byte| plain & (b' '..=b'~').contains(&byte)) {
            text.push_str(value);
        } else {
            text.extend(value.chars().map(|letter| if letter.is_control() { ' ' } else { letter }));
        }
        text.push_str("\r\n");
    }
    for part in ["date: ", date, "\r\n", connection(manner)] {
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
}

/// About as many bytes as a head has, with a short body behind it; it grows if one has more.
const HEAD_BYTES: usize = 2_048;

/// At most as many bytes as the framing of a chunk takes, with that of the one that ends a body.
const CHUNK_BYTES: usize = 32;

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
        let Frame { mut bytes, .. } = frame;
        if bytes.capacity() <= KEPT_BYTES {
            bytes.clear();
            self.spare = bytes;
        }
        self.stream.flush().await
    }

    /// Waits until a reading of the clock, or finds that the client has left.
    async fn wait_until(&mut self, at: Duration) -> io::Result<()> {
        // Whoever waits holds next to no room.
        self.spare = Vec::new();
        let mut sleep = std::pin::pin!(self.clock.sleep_until(at));
        loop {
            let room = self.ahead.len() < AHEAD_BYTES_MAX;
            tokio::select! {
                biased;
                read = self.overhear(), if room => {
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
        let mut ignored = vec![0; 1_024];
        while let Ok(1..) = self.stream.read(&mut ignored).await {}
    }

    /// Closes the connection so that what was sent arrives.
    async fn close(&mut self) {
        if self.stream.shutdown().await.is_err() {
            return;
        }
        let clock = self.clock;
        let mut over = std::pin::pin!(clock.sleep_until(clock.now() + LINGER));
        // Not in the future, which would be larger by it all the time.
        let mut ignored = vec![0; 4_096];
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
