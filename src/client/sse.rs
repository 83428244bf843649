//! Server-sent events, as the [WHATWG](https://html.spec.whatwg.org/multipage/server-sent-events.html)
//! defines them: lines end in LF, CR or CRLF, an event ends at an empty line, and what is not ended
//! is no event.

/// Turns bytes into events, however they are cut.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    line: Vec<u8>,
    after_cr: bool,
    name: String,
    data: Option<String>,
}

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SseEvent {
    /// Its type; empty if none was given.
    pub(super) name: String,
    /// Its data, lines joined by LF.
    pub(super) data: String,
}

/// The longest event: no provider sends a megabyte at once, and memory has an end.
const EVENT_BYTES_MAX: usize = 1 << 20;

impl Decoder {
    /// The events that a part of the stream completes, or none if an event is endless.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Option<Vec<SseEvent>> {
        let mut events = Vec::new();
        for &byte in bytes {
            let after_cr = std::mem::replace(&mut self.after_cr, byte == b'\r');
            match byte {
                b'\n' if after_cr => {}
                b'\n' | b'\r' => events.extend(self.end_line()),
                byte => {
                    self.line.push(byte);
                    let kept = self.data.as_ref().map_or(0, String::len);
                    if self.line.len() + kept > EVENT_BYTES_MAX {
                        return None;
                    }
                }
            }
        }
        Some(events)
    }

    fn end_line(&mut self) -> Option<SseEvent> {
        let line = std::mem::take(&mut self.line);
        let line = String::from_utf8_lossy(&line);
        if line.is_empty() {
            let name = std::mem::take(&mut self.name);
            return self.data.take().map(|data| SseEvent { name, data });
        }
        let (field, value) = line.split_once(':').unwrap_or((&line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "data" => match &mut self.data {
                Some(data) => {
                    data.push('\n');
                    data.push_str(value);
                }
                None => self.data = Some(value.to_owned()),
            },
            "event" => value.clone_into(&mut self.name),
            // Comments, ids, retry times, and whatever else may come.
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decode(parts: &[&[u8]]) -> Vec<(String, String)> {
        let mut decoder = Decoder::default();
        let events = parts.iter().flat_map(|part| decoder.feed(part).unwrap());
        events.map(|event| (event.name, event.data)).collect()
    }

    #[test]
    fn events_are_read_in_every_legal_form() {
        let event = |name: &str, data: &str| (name.to_owned(), data.to_owned());
        for (text, expected) in [
            ("data: a\n\n", vec![event("", "a")]),
            ("event: ping\r\ndata:b\r\n\r\n", vec![event("ping", "b")]),
            ("data: a\rdata: b\r\r", vec![event("", "a\nb")]),
            (": a comment\n\ndata: x\n\n", vec![event("", "x")]),
            ("data: cut in ha", vec![]),
            ("data: no end\n", vec![]),
            ("event: nothing\n\ndata: y\n\n", vec![event("", "y")]),
            ("data\n\n", vec![event("", "")]),
        ] {
            assert_eq!(decode(&[text.as_bytes()]), expected, "{text:?}");
        }
    }

    #[test]
    fn an_endless_event_is_refused() {
        let mut decoder = Decoder::default();
        assert!(decoder.feed(&vec![b'x'; EVENT_BYTES_MAX + 1]).is_none());
    }

    proptest! {
        /// Where the bytes are cut changes nothing.
        #[test]
        fn cuts_do_not_matter(text in "(data: ?[a-zé]{0,9}(\r\n|\n|\r)|\n|event: e\r\n){0,12}", cut in 0..200_usize) {
            let bytes = text.as_bytes();
            let cut = cut.min(bytes.len());
            prop_assert_eq!(decode(&[&bytes[..cut], &bytes[cut..]]), decode(&[bytes]));
        }
    }
}
