//! Reads requests from a connection, one after the other, and notes when each begins.
//!
//! What a request is, the parts beneath decide by its bytes; this one waits for the bytes, and only
//! as long as it is worth it.

mod chunks;
mod head;

use std::{io, time::Duration};

use bytes::{Buf as _, BytesMut};
use http::StatusCode;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

pub(crate) use head::RequestHead;

use chunks::{ChunkMistake, Chunks};
use head::Framing;

use crate::{clock::Clock, dialect::http_date, door::Stream};

/// A connection, and what was read of it and not used.
#[derive(Debug)]
pub(crate) struct Stamped<S> {
    pub(crate) stream: S,
    pub(crate) clock: Clock,
    /// The request at hand, and those that came behind it.
    pub(crate) ahead: BytesMut,
    /// Room for what is to be written, empty between two answers.
    pub(crate) spare: Vec<u8>,
    /// The date as a head has it, and which second it is.
    date: (u64, String),
    /// When the first byte of the request at hand was read.
    first_byte_at: Option<Duration>,
}

/// The body of a request that was read.
#[derive(Debug)]
pub(crate) enum Body {
    /// So many of the bytes that were read and not used.
    Ahead(usize),
    /// What was in its chunks.
    Apart(Vec<u8>),
}

/// Why a body cannot be read to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyMistake {
    /// The client left, or broke the connection.
    Left,
    /// Its framing is no HTTP.
    Malformed,
    /// It is longer than it may be.
    TooLong,
}

/// How long a head may take from its first byte on. A connection on which nothing has begun may stay
/// as long as it likes: providers close idle ones too, but nobody here asked for that fault.
const HEAD_MAX: Duration = Duration::from_secs(30);

/// The longest head: a hundred headers of 4 KiB each, and as much again for the target and the rest.
const HEAD_BYTES_MAX: usize = 408 << 10;

/// How much is read at once, at least: more than most requests have.
const READ_BYTES: usize = 8 << 10;

/// How much room is held for what a client says while its answer is written, as long as it says
/// nothing.
const OVERHEARD_BYTES: usize = 64;

/// How much room a connection keeps between two requests, for each direction.
pub(crate) const KEPT_BYTES: usize = 64 << 10;

impl<S> Stamped<S> {
    /// A connection of which nothing was read.
    pub(crate) fn new(stream: S, clock: Clock) -> Self {
        Self {
            stream,
            clock,
            ahead: BytesMut::new(),
            spare: Vec::new(),
            date: (0, http_date(Duration::ZERO)),
            first_byte_at: None,
        }
    }

    /// A wall time as a head has it, which is written once a second.
    pub(crate) fn date(&mut self, wall: Duration) -> &str {
        if self.date.0 != wall.as_secs() {
            self.date = (wall.as_secs(), http_date(wall));
        }
        &self.date.1
    }

    /// When the first byte of the request at hand was read, if there is one.
    pub(crate) fn first_byte_at(&self) -> Option<Duration> {
        self.first_byte_at
    }

    /// The bytes of a body.
    pub(crate) fn bytes<'a>(&'a self, body: &'a Body) -> &'a [u8] {
        match body {
            Body::Ahead(length) => &self.ahead[..*length],
            Body::Apart(bytes) => bytes,
        }
    }

    /// Forgets a body, and the request that it belongs to.
    pub(crate) fn used(&mut self, body: &Body) {
        if let Body::Ahead(length) = body {
            self.ahead.advance(*length);
        }
        self.first_byte_at = None;
        if self.ahead.is_empty() && self.ahead.capacity() > KEPT_BYTES {
            self.ahead = BytesMut::new();
        }
    }

    /// Leaves out line breaks, which belong to no request
    /// ([RFC 9112 §2.2](https://www.rfc-editor.org/rfc/rfc9112#section-2.2)), and notes whether one
    /// has begun.
    fn begin(&mut self) {
        if self.first_byte_at.is_some() {
            return;
        }
        while self.ahead.starts_with(b"\r\n") {
            self.ahead.advance(2);
        }
        if self.ahead.iter().any(|byte| !matches!(byte, b'\r' | b'\n')) {
            self.first_byte_at = Some(self.clock.now());
        }
    }
}

impl<S: Stream> Stamped<S> {
    /// The head of the next request, if it comes whole and in time; or the status with which it is
    /// refused.
    pub(crate) async fn head(&mut self) -> Result<Option<RequestHead>, StatusCode> {
        let mut seen = 0;
        let mut overdue = None;
        loop {
            self.begin();
            // What has been read in part is not read again before its end may be there: it may come
            // byte by byte.
            let worth_it =
                if seen == 0 { !self.ahead.is_empty() } else { may_end(&self.ahead, seen) };
            if worth_it && let Some((head, length)) = RequestHead::parse(&self.ahead)? {
                self.ahead.advance(length);
                return Ok(Some(head));
            }
            if self.ahead.len() >= HEAD_BYTES_MAX {
                return Err(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
            }
            seen = self.ahead.len();
            let clock = self.clock;
            let read = match self.first_byte_at {
                None => self.read().await,
                Some(at) => {
                    let overdue =
                        overdue.get_or_insert_with(|| Box::pin(clock.sleep_until(at + HEAD_MAX)));
                    tokio::select! {
                        biased;
                        read = self.read() => read,
                        () = overdue => return Ok(None),
                    }
                }
            };
            if !matches!(read, Ok(1..)) {
                return Ok(None);
            }
        }
    }

    /// The whole body of the request whose head was read, unless it is announced or found to be too
    /// long.
    pub(crate) async fn body(
        &mut self,
        head: &RequestHead,
        most: usize,
    ) -> Result<Body, BodyMistake> {
        let length = match head.framing {
            Framing::Chunked => None,
            Framing::Length(length) => {
                let length = usize::try_from(length).ok().filter(|length| *length <= most);
                Some(length.ok_or(BodyMistake::TooLong)?)
            }
        };
        if head.waits {
            self.stream.write_all(CONTINUE).await.map_err(left)?;
            self.stream.flush().await.map_err(left)?;
        }
        if let Some(length) = length {
            while self.ahead.len() < length {
                self.read_on().await?;
            }
            return Ok(Body::Ahead(length));
        }
        let mut chunks = Chunks::default();
        loop {
            let taken = chunks.take(&self.ahead, most).map_err(|mistake| match mistake {
                ChunkMistake::Malformed => BodyMistake::Malformed,
                ChunkMistake::TooLong => BodyMistake::TooLong,
            })?;
            self.ahead.advance(taken);
            if chunks.are_whole() {
                return Ok(Body::Apart(chunks.body));
            }
            self.read_on().await?;
        }
    }

    /// Reads what has arrived, and tells how much; nothing if the client says no more.
    pub(crate) async fn read(&mut self) -> io::Result<usize> {
        // Twice as much each time, so that a long body is not moved about.
        let room = self.ahead.capacity() - self.ahead.len();
        if room < READ_BYTES / 2 {
            self.ahead.reserve(READ_BYTES.max(self.ahead.len()));
        }
        self.stream.read_buf(&mut self.ahead).await
    }

    /// Reads what arrives while an answer is written. Most clients say nothing then, and an answer
    /// may take long: next to no room is held for them.
    pub(crate) async fn overhear(&mut self) -> io::Result<usize> {
        if !self.ahead.is_empty() {
            return self.read().await;
        }
        if self.ahead.capacity() > OVERHEARD_BYTES {
            self.ahead = BytesMut::with_capacity(OVERHEARD_BYTES);
        }
        self.stream.read_buf(&mut self.ahead).await
    }

    async fn read_on(&mut self) -> Result<(), BodyMistake> {
        match self.read().await {
            Ok(1..) => Ok(()),
            Ok(0) | Err(_) => Err(BodyMistake::Left),
        }
    }
}

/// What asks a client for the body that it holds back.
const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// Whether an empty line may be among the bytes behind those that were seen.
fn may_end(bytes: &[u8], seen: usize) -> bool {
    let new = &bytes[seen.saturating_sub(3)..];
    let mut feeds = new.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
    feeds.any(|(at, _)| matches!(&new[at + 1..], [b'\n', ..] | [b'\r', b'\n', ..]))
}

fn left(_: io::Error) -> BodyMistake {
    BodyMistake::Left
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;
    use crate::memory::{self, MemoryStream};

    /// A connection, and the client's end of it.
    async fn connect() -> (Stamped<MemoryStream>, MemoryStream) {
        let (mut listener, connector) = memory::listen();
        let client = connector.connect().unwrap();
        (Stamped::new(listener.accept().await, Clock::simulated()), client)
    }

    async fn body(stamped: &mut Stamped<MemoryStream>, most: usize) -> Result<String, BodyMistake> {
        let head = stamped.head().await.unwrap().unwrap();
        let body = stamped.body(&head, most).await?;
        let text = String::from_utf8(stamped.bytes(&body).to_vec()).unwrap();
        stamped.used(&body);
        Ok(text)
    }

    const LENGTH: &[u8] = b"POST / HTTP/1.1\r\ncontent-length: 5\r\n\r\nhello";
    const CHUNKED: &[u8] =
        b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n5\r\nworld\r\n0\r\n\r\n";

    #[tokio::test(start_paused = true)]
    async fn requests_behind_each_other_are_read_one_after_the_other() {
        for piece in [1, 7, 1_000] {
            let (mut stamped, mut client) = connect().await;
            let all = [LENGTH, b"\r\n\r\n", CHUNKED, LENGTH, CHUNKED].concat();
            let writer = tokio::spawn(async move {
                for piece in all.chunks(piece) {
                    client.write_all(piece).await.unwrap();
                    tokio::task::yield_now().await;
                }
            });
            for expected in ["hello", "world", "hello", "world"] {
                assert_eq!(body(&mut stamped, 5).await.as_deref(), Ok(expected), "{piece}");
            }
            writer.await.unwrap();
            assert!(stamped.head().await.unwrap().is_none());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_begins_with_its_first_byte_and_not_with_a_line_break() {
        let (mut stamped, mut client) = connect().await;
        let clock = stamped.clock;
        let second = Duration::from_secs(1);
        let writer = tokio::spawn(async move {
            for (after, bytes) in [(1, &b"\r\n"[..]), (2, &LENGTH[..3]), (3, &LENGTH[3..])] {
                clock.sleep_until(second * after).await;
                client.write_all(bytes).await.unwrap();
            }
            client
        });
        assert!(stamped.head().await.unwrap().is_some());
        assert_eq!((stamped.first_byte_at(), clock.now()), (Some(second * 2), second * 3));
        drop(writer.await.unwrap());
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_is_too_long_is_not_waited_for() {
        for head in [
            "content-length: 6\r\nexpect: 100-continue\r\n\r\n",
            "transfer-encoding: chunked\r\n\r\n6\r\nhello!",
        ] {
            let (mut stamped, mut client) = connect().await;
            client.write_all(format!("POST / HTTP/1.1\r\n{head}").as_bytes()).await.unwrap();
            assert_eq!(body(&mut stamped, 5).await, Err(BodyMistake::TooLong), "{head}");
            drop(stamped);
            // It was not asked for, either.
            assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_waits_is_asked_for_its_body_once() {
        let (mut stamped, mut client) = connect().await;
        let head = b"POST / HTTP/1.1\r\ncontent-length: 5\r\nexpect: 100-continue\r\n\r\n";
        let client = tokio::spawn(async move {
            client.write_all(head).await.unwrap();
            let mut asked = vec![0; CONTINUE.len()];
            client.read_exact(&mut asked).await.unwrap();
            assert_eq!(asked, CONTINUE);
            client.write_all(b"hello").await.unwrap();
            let mut rest = Vec::new();
            client.read_to_end(&mut rest).await.unwrap();
            rest
        });
        assert_eq!(body(&mut stamped, 5).await.as_deref(), Ok("hello"));
        drop(stamped);
        assert_eq!(client.await.unwrap(), b"");
    }

    #[tokio::test(start_paused = true)]
    async fn what_ends_before_its_end_is_no_request() {
        for text in [&LENGTH[..LENGTH.len() - 1], &CHUNKED[..CHUNKED.len() - 1]] {
            let (mut stamped, mut client) = connect().await;
            client.write_all(text).await.unwrap();
            drop(client);
            assert_eq!(body(&mut stamped, 5).await, Err(BodyMistake::Left));
        }
        let (mut stamped, mut client) = connect().await;
        client.write_all(&LENGTH[..20]).await.unwrap();
        drop(client);
        assert!(stamped.head().await.unwrap().is_none());
    }
}
