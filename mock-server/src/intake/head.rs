//! The head of a request: what stands before its body, and how the end of that is told.
//!
//! Only what no two readers can take differently is a head. If the end of a message is told in two
//! ways, or in one that some overlook, a second request may be hidden in it that only one of them
//! sees ([RFC 9112 §11.2](https://www.rfc-editor.org/rfc/rfc9112#section-11.2)).

use std::mem::MaybeUninit;

use http::{Method, StatusCode, Uri};

use crate::request::Headers;

/// The head of a request, as it came over the wire.
#[derive(Debug)]
pub(crate) struct RequestHead {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) headers: Headers,
    pub(crate) framing: Framing,
    /// HTTP/1.0: there are no chunks, and a connection stays open only if that is asked for.
    pub(crate) old: bool,
    /// Whether the client would send another request over the connection.
    pub(crate) stays: bool,
    /// Whether the client waits to be asked for the body.
    pub(crate) waits: bool,
}

/// How the end of a request's body is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    Chunked,
    /// By its length; 0 if nothing is said of a body.
    Length(u64),
}

/// The most headers of a request.
const HEADERS_MAX: usize = 100;

/// The longest target;
/// [RFC 9110 §4.1](https://www.rfc-editor.org/rfc/rfc9110#section-4.1) asks for 8,000 bytes at
/// least.
const TARGET_BYTES_MAX: usize = 65_534;

impl RequestHead {
    /// The head at the beginning of some bytes, with its length; none if more is to come. What is
    /// no head is refused with a status.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Option<(Self, usize)>, StatusCode> {
        let mut fields = [const { MaybeUninit::uninit() }; HEADERS_MAX];
        let mut request = httparse::Request::new(&mut []);
        let length = match request.parse_with_uninit_headers(bytes, &mut fields) {
            Ok(httparse::Status::Complete(length)) => length,
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(httparse::Error::TooManyHeaders) => {
                return Err(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
            }
            Err(_) => return Err(StatusCode::BAD_REQUEST),
        };
        if has_bare_feed(&bytes[..length]) {
            return Err(StatusCode::BAD_REQUEST);
        }
        let target = request.path.unwrap_or_default();
        if target.len() > TARGET_BYTES_MAX {
            return Err(StatusCode::URI_TOO_LONG);
        }
        let uri = Uri::try_from(target).map_err(|_| StatusCode::BAD_REQUEST)?;
        let method = Method::from_bytes(request.method.unwrap_or_default().as_bytes());
        let method = method.map_err(|_| StatusCode::BAD_REQUEST)?;
        let old = request.version == Some(0);
        let mut said = Said::default();
        for field in &*request.headers {
            said.take(field.name, field.value)?;
        }
        let framing = said.framing(old)?;
        let fields = request.headers.iter();
        let head = Self {
            method,
            uri,
            headers: fields
                .map(|field| (field.name, String::from_utf8_lossy(field.value)))
                .collect(),
            framing,
            old,
            stays: !said.closes && (said.keeps || !old),
            waits: said.waits && !old && framing != Framing::Length(0),
        };
        Ok(Some((head, length)))
    }
}

/// What the headers say of the message itself.
#[derive(Debug, Default)]
struct Said {
    length: Option<u64>,
    codings: Codings,
    closes: bool,
    keeps: bool,
    waits: bool,
}

/// What the transfer codings come to, in their order.
#[derive(Clone, Copy, Debug, Default)]
enum Codings {
    /// Chunks, and nothing else.
    Chunked,
    #[default]
    None,
    /// Others, so far.
    Others,
    /// Others, and chunks around them.
    OthersChunked,
    /// Chunks, and others or more chunks around them.
    Wrong,
}

impl Codings {
    /// The same with one more around them.
    fn and(self, coding: &[u8]) -> Self {
        match (self, coding.eq_ignore_ascii_case(b"chunked")) {
            (Self::None, true) => Self::Chunked,
            (Self::Others, true) => Self::OthersChunked,
            (Self::None | Self::Others, false) => Self::Others,
            (Self::Chunked | Self::OthersChunked | Self::Wrong, _) => Self::Wrong,
        }
    }
}

impl Said {
    fn take(&mut self, name: &str, value: &[u8]) -> Result<(), StatusCode> {
        // Most names are ruled out by their length.
        match name.len() {
            6 if name.eq_ignore_ascii_case("expect") => {
                self.waits |= value.eq_ignore_ascii_case(b"100-continue");
            }
            10 if name.eq_ignore_ascii_case("connection") => {
                for word in words(value) {
                    self.closes |= word.eq_ignore_ascii_case(b"close");
                    self.keeps |= word.eq_ignore_ascii_case(b"keep-alive");
                }
            }
            14 if name.eq_ignore_ascii_case("content-length") => {
                let length = number(value).ok_or(StatusCode::BAD_REQUEST)?;
                // The same length twice is one; two lengths are none.
                if self.length.replace(length).is_some_and(|before| before != length) {
                    return Err(StatusCode::BAD_REQUEST);
                }
            }
            17 if name.eq_ignore_ascii_case("transfer-encoding") => {
                self.codings = words(value).fold(self.codings, Codings::and);
            }
            _ => {}
        }
        Ok(())
    }

    /// How the end of the body is told, if it is told in one way
    /// ([RFC 9112 §6.3](https://www.rfc-editor.org/rfc/rfc9112#section-6.3)).
    fn framing(&self, old: bool) -> Result<Framing, StatusCode> {
        match (self.length, self.codings) {
            (length, Codings::None) => Ok(Framing::Length(length.unwrap_or(0))),
            // Who speaks HTTP/1.0 knows no codings, and a length beside them is another end.
            (None, Codings::Chunked) if !old => Ok(Framing::Chunked),
            (None, Codings::OthersChunked) if !old => Err(StatusCode::NOT_IMPLEMENTED),
            _ => Err(StatusCode::BAD_REQUEST),
        }
    }
}

/// The members of a list, without the white space around them; an empty one is a member, too.
fn words(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    list.split(|&byte| byte == b',').map(<[u8]>::trim_ascii)
}

/// Digits, and nothing else: a sign, a space or a second number is read differently by others.
fn number(digits: &[u8]) -> Option<u64> {
    let plain = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    plain.then(|| std::str::from_utf8(digits).ok()?.parse().ok()).flatten()
}

/// Whether a line ends without a carriage return, as some readers let it.
fn has_bare_feed(bytes: &[u8]) -> bool {
    // Counted, so that many bytes are looked at together.
    let bare = bytes.windows(2).filter(|pair| pair[1] == b'\n' && pair[0] != b'\r');
    bytes.first() == Some(&b'\n') || bare.count() > 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Option<(RequestHead, usize)>, u16> {
        RequestHead::parse(text.as_bytes()).map_err(|status| status.as_u16())
    }

    /// What a request with these header lines says of itself.
    fn head(version: &str, lines: &[&str]) -> Result<RequestHead, u16> {
        let lines: String = lines.iter().flat_map(|line| [*line, "\r\n"]).collect();
        let text = format!("POST /v1/x?y=z HTTP/{version}\r\n{lines}\r\nrest");
        let (head, length) = parse(&text)?.expect("the head is whole");
        assert_eq!(&text[length..], "rest");
        Ok(head)
    }

    #[test]
    fn the_end_of_a_body_is_told_in_one_way_or_not_at_all() {
        use Framing::{Chunked, Length};
        for (lines, expected) in [
            (&[][..], Ok(Length(0))),
            (&["content-length: 7"], Ok(Length(7))),
            (&["Content-Length:\t007 "], Ok(Length(7))),
            (&["content-length: 7", "content-length: 7"], Ok(Length(7))),
            (&["content-length: 7", "content-length: 8"], Err(400)),
            (&["content-length: 7, 7"], Err(400)),
            (&["content-length: +7"], Err(400)),
            (&["content-length: -7"], Err(400)),
            (&["content-length: 7 7"], Err(400)),
            (&["content-length: 0x7"], Err(400)),
            (&["content-length:"], Err(400)),
            (&["content-length: 18446744073709551616"], Err(400)),
            (&["transfer-encoding: chunked"], Ok(Chunked)),
            (&["Transfer-Encoding:  CHUNKED "], Ok(Chunked)),
            (&["transfer-encoding: chunked", "content-length: 7"], Err(400)),
            (&["content-length: 7", "transfer-encoding: chunked"], Err(400)),
            (&["content-length: 7", "transfer-encoding: identity"], Err(400)),
            (&["transfer-encoding: identity"], Err(400)),
            (&["transfer-encoding:"], Err(400)),
            (&["transfer-encoding: xchunked"], Err(400)),
            (&["transfer-encoding: chunked, gzip"], Err(400)),
            (&["transfer-encoding: chunked, chunked"], Err(400)),
            (&["transfer-encoding: chunked", "transfer-encoding: chunked"], Err(400)),
            (&["transfer-encoding: chunked", "transfer-encoding: gzip"], Err(400)),
            (&["transfer-encoding: gzip, chunked"], Err(501)),
            (&["transfer-encoding: gzip", "transfer-encoding: chunked"], Err(501)),
        ] {
            assert_eq!(head("1.1", lines).map(|head| head.framing), expected, "{lines:?}");
        }
        assert_eq!(head("1.0", &["transfer-encoding: chunked"]).unwrap_err(), 400);
        assert_eq!(head("1.0", &["content-length: 7"]).unwrap().framing, Length(7));
    }

    #[test]
    fn a_line_that_another_reader_would_take_differently_is_refused() {
        for text in [
            "GET / HTTP/1.1\nhost: x\r\n\r\n",
            "GET / HTTP/1.1\r\nhost: x\n\r\n",
            "GET / HTTP/1.1\r\nhost: x\r\n\n",
            "\nGET / HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\r\nx: a\r\n b\r\n\r\n",
            "GET / HTTP/1.1\r\n x: a\r\n\r\n",
            "GET / HTTP/1.1\r\nx : a\r\n\r\n",
            "GET / HTTP/1.1\r\n: a\r\n\r\n",
            "GET / HTTP/1.1\r\nx\r\n\r\n",
            "GET / HTTP/1.1\r\nx: a\rb\r\n\r\n",
            "GET / HTTP/1.1\r\nx: a\0b\r\n\r\n",
            "GET  / HTTP/1.1\r\n\r\n",
            "GET /a b HTTP/1.1\r\n\r\n",
            " GET / HTTP/1.1\r\n\r\n",
            "GET /\r\n\r\n",
            "G(T / HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.2\r\n\r\n",
            "PRI * HTTP/2.0\r\n\r\n",
        ] {
            assert_eq!(parse(text).unwrap_err(), 400, "{text:?}");
        }
    }

    #[test]
    fn a_head_has_a_limit_to_its_headers_and_its_target() {
        let many = |count: usize| "x: y\r\n".repeat(count);
        let text = |target: usize, headers: usize| {
            format!("GET /{} HTTP/1.1\r\n{}\r\n", "p".repeat(target - 1), many(headers))
        };
        assert!(parse(&text(TARGET_BYTES_MAX, HEADERS_MAX)).unwrap().is_some());
        assert_eq!(parse(&text(1, HEADERS_MAX + 1)).unwrap_err(), 431);
        assert_eq!(parse(&text(TARGET_BYTES_MAX + 1, 0)).unwrap_err(), 414);
    }

    #[test]
    fn a_connection_stays_as_its_version_and_its_words_say() {
        for (version, lines, stays) in [
            ("1.1", &[][..], true),
            ("1.1", &["connection: close"], false),
            ("1.1", &["connection: x,  CLOSE"], false),
            ("1.1", &["connection: close", "connection: keep-alive"], false),
            ("1.0", &[], false),
            ("1.0", &["connection: Keep-Alive"], true),
            ("1.0", &["connection: keep-alive, close"], false),
        ] {
            assert_eq!(head(version, lines).unwrap().stays, stays, "{version} {lines:?}");
        }
    }

    #[test]
    fn a_client_waits_only_with_a_body_and_only_if_it_speaks_1_1() {
        let (expect, length) = ("expect: 100-Continue", "content-length: 7");
        assert!(head("1.1", &[expect, length]).unwrap().waits);
        assert!(head("1.1", &[expect, "transfer-encoding: chunked"]).unwrap().waits);
        for (version, lines) in
            [("1.1", &[expect][..]), ("1.1", &["expect: x", length]), ("1.0", &[expect, length])]
        {
            assert!(!head(version, lines).unwrap().waits, "{version} {lines:?}");
        }
    }

    #[test]
    fn a_head_in_part_is_none_yet() {
        let text = "\r\n\r\nGET /a?b HTTP/1.1\r\nX-Odd: \u{e4} \r\n\r\n";
        for end in 0..text.len() {
            if text.is_char_boundary(end) {
                assert!(parse(&text[..end]).unwrap().is_none(), "{end}");
            }
        }
        let (head, length) = parse(text).unwrap().unwrap();
        assert_eq!((length, head.uri.query()), (text.len(), Some("b")));
        assert_eq!(head.headers.get("x-odd"), Some("\u{e4}"));
    }
}
