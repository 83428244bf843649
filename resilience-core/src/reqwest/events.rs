//! An answer as [server-sent events](https://html.spec.whatwg.org/multipage/server-sent-events.html), each read by a closure.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use ::reqwest::Body;
use futures_core::Stream;
use http_body::Body as _;

use super::{ANSWER_BYTES_MAX, chain};
use crate::classify::{Transport, transport};
use crate::failure::Failure;
use crate::stream::Piece;

/// The pieces of an answer, as its events arrive.
pub struct Events<T> {
    body: Body,
    lines: Lines,
    read: Box<Read<T>>,
    /// Whether content was handed on.
    committed: bool,
    over: bool,
}

/// What becomes of one event.
type Read<T> = dyn FnMut(&str) -> Result<Option<Piece<T>>, Failure> + Send;

impl<T> Events<T> {
    pub(super) fn new(body: Body, read: Box<Read<T>>) -> Self {
        Self { body, lines: Lines::default(), read, committed: false, over: false }
    }

    fn fail(&mut self, failure: Failure) -> Poll<Option<<Self as Stream>::Item>> {
        self.over = true;
        Poll::Ready(Some(Err(failure)))
    }
}

impl<T> Stream for Events<T> {
    type Item = Result<Piece<T>, Failure>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        while !this.over {
            if let Some(data) = this.lines.next_event() {
                match (this.read)(&data) {
                    Ok(None) => {}
                    Ok(Some(piece)) => {
                        this.committed |= matches!(piece, Piece::Content(_));
                        this.over = matches!(piece, Piece::End(..));
                        return Poll::Ready(Some(Ok(piece)));
                    }
                    Err(failure) => return this.fail(failure),
                }
                continue;
            }
            match ready!(Pin::new(&mut this.body).poll_frame(cx)) {
                Some(Ok(frame)) => {
                    if let Ok(bytes) = frame.into_data() {
                        this.lines.feed(&bytes);
                    }
                    if this.lines.held() > ANSWER_BYTES_MAX {
                        let message = format!("an event is longer than {ANSWER_BYTES_MAX} bytes");
                        return this.fail(transport(Transport::Decode, &message));
                    }
                }
                Some(Err(error)) => {
                    let cut = Transport::StreamCut { committed: this.committed };
                    return this.fail(transport(cut, &chain(&error.without_url())));
                }
                // Whether the last event had come is known to whoever asked for the pieces.
                None => this.over = true,
            }
        }
        Poll::Ready(None)
    }
}

impl<T> fmt::Debug for Events<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").field("over", &self.over).finish_non_exhaustive()
    }
}

/// Bytes on their way to becoming events: lines may end in CR, LF or both, and be cut anywhere.
#[derive(Debug, Default)]
struct Lines {
    bytes: Vec<u8>,
    /// What of `bytes` has become lines.
    start: usize,
    /// How far `bytes` have been searched for the end of a line.
    searched: usize,
    /// Whether the last line ended in a CR, so that an LF belongs to it.
    after_cr: bool,
    begun: bool,
    /// The data of the event that is not whole yet.
    data: Option<String>,
}

impl Lines {
    fn feed(&mut self, bytes: &[u8]) {
        self.bytes.drain(..self.start);
        self.searched -= self.start;
        self.start = 0;
        self.bytes.extend_from_slice(bytes);
    }

    /// How many bytes are held for an event that is not whole.
    fn held(&self) -> usize {
        self.bytes.len() - self.start + self.data.as_ref().map_or(0, String::len)
    }

    /// The data of the next event that has any and is whole; what the end of the body leaves is no event.
    fn next_event(&mut self) -> Option<String> {
        loop {
            let line = self.next_line()?;
            if line.is_empty() {
                if let Some(data) = self.data.take() {
                    return Some(data);
                }
                continue;
            }
            let (field, value) = line.split_once(':').unwrap_or((&line, ""));
            if field == "data" {
                let value = value.strip_prefix(' ').unwrap_or(value);
                match &mut self.data {
                    Some(data) => {
                        data.push('\n');
                        data.push_str(value);
                    }
                    None => self.data = Some(value.to_owned()),
                }
            }
        }
    }

    fn next_line(&mut self) -> Option<String> {
        if self.after_cr
            && let Some(next) = self.bytes.get(self.start)
        {
            self.after_cr = false;
            self.start += usize::from(*next == b'\n');
            self.searched = self.searched.max(self.start);
        }
        let is_end = |byte: &u8| matches!(byte, b'\n' | b'\r');
        let Some(length) = self.bytes[self.searched..].iter().position(is_end) else {
            self.searched = self.bytes.len();
            return None;
        };
        let end = self.searched + length;
        let mut line = String::from_utf8_lossy(&self.bytes[self.start..end]).into_owned();
        if !self.begun && line.starts_with('\u{feff}') {
            line.remove(0);
        }
        self.begun = true;
        self.after_cr = self.bytes[end] == b'\r';
        self.start = end + 1;
        self.searched = self.start;
        Some(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(parts: &[&[u8]]) -> Vec<String> {
        let mut lines = Lines::default();
        let mut events = Vec::new();
        for part in parts {
            lines.feed(part);
            events.extend(std::iter::from_fn(|| lines.next_event()));
        }
        events
    }

    const STREAM: &str = "\u{feff}: hello\r\n\r\nevent: a\r\ndata: {\"ä\":1}\r\n\r\ndata:two\r\ndata:  lines\nid: 7\n\ndata\r\rdata: [DONE]\n\ndata: cut";

    #[test]
    fn events_are_the_same_wherever_the_bytes_are_cut() {
        let whole = events(&[STREAM.as_bytes()]);
        assert_eq!(whole, ["{\"ä\":1}", "two\n lines", "", "[DONE]"]);
        let bytes: Vec<&[u8]> = STREAM.as_bytes().chunks(1).collect();
        assert_eq!(events(&bytes), whole);
        for cut in 0..=STREAM.len() {
            let (head, tail) = STREAM.as_bytes().split_at(cut);
            assert_eq!(events(&[head, tail]), whole, "cut at {cut}");
        }
    }

    /// A long event that comes a byte at a time is searched once, not once a byte.
    #[test]
    fn a_byte_is_searched_once() {
        let mut lines = Lines::default();
        lines.feed(b"data: ");
        assert_eq!(lines.next_event(), None);
        for fed in 7..100 {
            lines.feed(b"x");
            assert_eq!(lines.next_event(), None);
            assert_eq!((lines.searched, lines.held()), (fed, fed));
        }
    }
}
