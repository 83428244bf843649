//! Takes the chunks of a body apart
//! ([RFC 9112 §7.1](https://www.rfc-editor.org/rfc/rfc9112#section-7.1)).

/// A body in chunks, as far as it was read.
#[derive(Debug, Default)]
pub(crate) struct Chunks {
    /// What was in the chunks.
    pub(crate) body: Vec<u8>,
    place: Place,
    /// What is left of the chunk.
    left: u64,
    /// How many bytes stood behind the lengths of the chunks so far.
    extension_bytes: usize,
    /// What stands behind the last chunk, the empty line included.
    trailer: Vec<u8>,
}

/// What the next byte belongs to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    /// The first digit of a chunk's length.
    #[default]
    Start,
    Length,
    /// The white space behind a length.
    Space,
    Extension,
    /// The line feed behind a length and what follows it.
    LengthFeed,
    Bytes,
    /// The line break behind a chunk.
    BytesReturn,
    BytesFeed,
    Trailer,
    End,
}

/// Why a body in chunks is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ChunkMistake {
    /// It is not what the RFC says, or says more around its chunks than anybody needs.
    Malformed,
    /// More is in its chunks than may be.
    TooLong,
}

/// The most bytes of all extensions, and the most of the trailer.
const ASIDE_BYTES_MAX: usize = 16 << 10;

/// The most trailers.
const TRAILERS_MAX: usize = 100;

impl Chunks {
    /// Whether the last chunk and all behind it were read.
    pub(crate) fn are_whole(&self) -> bool {
        self.place == Place::End
    }

    /// Takes bytes up to the end of the body, of which at most so many are kept, and tells how many
    /// it took.
    pub(crate) fn take(&mut self, bytes: &[u8], most: usize) -> Result<usize, ChunkMistake> {
        let mut taken = 0;
        while let Some(&byte) = bytes.get(taken).filter(|_| !self.are_whole()) {
            if self.place == Place::Bytes {
                taken += self.bytes(&bytes[taken..], most)?;
            } else {
                self.place = self.next(byte)?;
                taken += 1;
            }
        }
        Ok(taken)
    }

    /// What follows a byte that is in no chunk.
    fn next(&mut self, byte: u8) -> Result<Place, ChunkMistake> {
        match (self.place, byte) {
            (Place::Start | Place::Length, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                let digit = char::from(byte).to_digit(16).map_or(0, u64::from);
                let left = self.left.checked_mul(16).ok_or(ChunkMistake::Malformed)?;
                self.left = left + digit;
                // Zeros before a length do not make it longer, and must come to an end, too.
                self.aside(Place::Length)
            }
            (Place::Length | Place::Space, b' ' | b'\t') => self.aside(Place::Space),
            (Place::Length | Place::Space | Place::Extension, b'\r') => Ok(Place::LengthFeed),
            (Place::Extension, b'\n') => Err(ChunkMistake::Malformed),
            (Place::Length | Place::Space, b';') | (Place::Extension, _) => {
                self.aside(Place::Extension)
            }
            (Place::LengthFeed, b'\n') if self.left == 0 => Ok(Place::Trailer),
            (Place::LengthFeed, b'\n') => Ok(Place::Bytes),
            (Place::BytesReturn, b'\r') => Ok(Place::BytesFeed),
            (Place::BytesFeed, b'\n') => Ok(Place::Start),
            (Place::Trailer, byte) => self.trailer(byte),
            _ => Err(ChunkMistake::Malformed),
        }
    }

    /// Counts a byte that says nothing, and goes on.
    fn aside(&mut self, next: Place) -> Result<Place, ChunkMistake> {
        self.extension_bytes += usize::from(next != Place::Length || self.left == 0);
        if self.extension_bytes > ASIDE_BYTES_MAX {
            return Err(ChunkMistake::Malformed);
        }
        Ok(next)
    }

    /// What is in a chunk.
    fn bytes(&mut self, bytes: &[u8], most: usize) -> Result<usize, ChunkMistake> {
        let left = usize::try_from(self.left).unwrap_or(usize::MAX);
        let part = &bytes[..bytes.len().min(left)];
        if part.len() > most - self.body.len() {
            return Err(ChunkMistake::TooLong);
        }
        self.body.extend_from_slice(part);
        self.left -= u64::try_from(part.len()).unwrap_or(self.left);
        if self.left == 0 {
            self.place = Place::BytesReturn;
        }
        Ok(part.len())
    }

    /// A byte behind the last chunk: headers, which nobody reads, and an empty line.
    fn trailer(&mut self, byte: u8) -> Result<Place, ChunkMistake> {
        self.trailer.push(byte);
        if byte == b'\n' && !self.trailer.ends_with(b"\r\n") || self.trailer.len() > ASIDE_BYTES_MAX
        {
            return Err(ChunkMistake::Malformed);
        }
        if self.trailer == b"\r\n" {
            return Ok(Place::End);
        } else if !self.trailer.ends_with(b"\r\n\r\n") {
            return Ok(Place::Trailer);
        }
        let mut fields = [httparse::EMPTY_HEADER; TRAILERS_MAX];
        match httparse::parse_headers(&self.trailer, &mut fields) {
            Ok(httparse::Status::Complete((length, _))) if length == self.trailer.len() => {
                Ok(Place::End)
            }
            _ => Err(ChunkMistake::Malformed),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What some bytes come to, and how many were left.
    fn take(text: &str) -> Result<(String, usize), ChunkMistake> {
        let mut chunks = Chunks::default();
        let taken = chunks.take(text.as_bytes(), 10)?;
        assert!(chunks.are_whole(), "{text:?}");
        Ok((String::from_utf8(chunks.body).unwrap(), text.len() - taken))
    }

    #[test]
    fn what_is_in_chunks_is_taken_out_and_nothing_behind_them() {
        let said = |text: &str, left| Ok((text.to_owned(), left));
        for (text, expected) in [
            ("0\r\n\r\n", said("", 0)),
            ("5\r\nhello\r\n0\r\n\r\nGET", said("hello", 3)),
            ("A\r\nhellohello\r\n0\r\n\r\n", said("hellohello", 0)),
            ("2\r\nhe\r\n0003\r\nllo\r\n000\r\n\r\n", said("hello", 0)),
            ("5;a=b;c\r\nhello\r\n0;d\r\n\r\n", said("hello", 0)),
            ("5 \t\r\nhello\r\n0\r\n\r\n", said("hello", 0)),
            ("5\r\nhello\r\n0\r\nx: y\r\nz: \r\n\r\n!", said("hello", 1)),
            ("5\r\n\r\n0\r\n\r\n0\r\n\r\n", said("\r\n0\r\n", 0)),
        ] {
            assert_eq!(take(text), expected, "{text:?}");
        }
    }

    #[test]
    fn what_others_would_take_differently_is_malformed() {
        for text in [
            "\r\n",
            ";a\r\n",
            " 5\r\n",
            "-5\r\n",
            "+5\r\n",
            "0x5\r\n",
            "5_0\r\n",
            "5 5\r\n",
            "5\n",
            "5\rx",
            "5;a\nb\r\n",
            "5\r\nhelloX",
            "5\r\nhello\n",
            "5\r\nhello\rX",
            "10000000000000000\r\n",
            "0\r\n\n",
            "0\r\nx: y\n\r\n",
            "0\r\nx\r\n\r\n",
            "0\r\n x: y\r\n\r\n",
            "0\r\nx: y\r\n z\r\n\r\n",
        ] {
            assert_eq!(take(text), Err(ChunkMistake::Malformed), "{text:?}");
        }
    }

    #[test]
    fn everything_around_the_chunks_has_a_limit_and_so_has_what_is_in_them() {
        assert_eq!(take("6\r\nhello!\r\n5\r\nhello"), Err(ChunkMistake::TooLong));
        let long = "a".repeat(ASIDE_BYTES_MAX + 1);
        for text in [
            format!("5;{long}"),
            format!("5{}", " ".repeat(ASIDE_BYTES_MAX + 1)),
            "0".repeat(ASIDE_BYTES_MAX + 1),
            "1;aaa\r\n \r\n".repeat(ASIDE_BYTES_MAX / 4 + 1),
            format!("0\r\nx: {long}"),
            format!("0\r\n{}\r\n", "x: y\r\n".repeat(TRAILERS_MAX + 1)),
        ] {
            let taken = Chunks::default().take(text.as_bytes(), usize::MAX);
            assert_eq!(taken, Err(ChunkMistake::Malformed), "{text:.20}");
        }
    }

    proptest! {
        #[test]
        fn a_body_is_the_same_however_it_arrives(
            parts in prop::collection::vec("[a-z\r\n0;]{1,40}", 0..8),
            cuts in prop::collection::vec(1..9_usize, 1..400),
        ) {
            let chunks = parts.iter().map(|part| format!("{:x}\r\n{part}\r\n", part.len()));
            let text = chunks.collect::<String>() + "0\r\nx: y\r\n\r\n";
            let (mut chunks, mut at) = (Chunks::default(), 0);
            for length in cuts.iter().cycle() {
                let piece = &text.as_bytes()[at..text.len().min(at + length)];
                prop_assert_eq!(chunks.take(piece, usize::MAX), Ok(piece.len()));
                at += piece.len();
                if at == text.len() {
                    break;
                }
                prop_assert!(!chunks.are_whole());
            }
            prop_assert!(chunks.are_whole());
            prop_assert_eq!(String::from_utf8(chunks.body).unwrap(), parts.concat());
        }
    }
}
