//! The frames of an AWS event stream.
//!
//! A frame is its length, the length of its headers, a checksum of the two, the headers, the
//! payload, and a checksum of everything before it; numbers are big-endian.
//! See [the encoding](https://smithy.io/2.0/aws/amazon-eventstream.html).

use bytes::{BufMut as _, Bytes, BytesMut};

/// The frame of an event.
pub(super) fn event(name: &str, payload: &str) -> Bytes {
    frame([(":event-type", name), CONTENT_TYPE, (":message-type", "event")], payload)
}

/// The frame of an error: its client raises it, and reads no further.
pub(super) fn exception(name: &str, payload: &str) -> Bytes {
    frame([(":exception-type", name), CONTENT_TYPE, (":message-type", "exception")], payload)
}

fn frame(headers: [(&str, &str); 3], payload: &str) -> Bytes {
    let mut head = BytesMut::new();
    for (name, value) in headers {
        head.put_u8(u8::try_from(name.len()).expect("a header's name is a short word of ours"));
        head.put_slice(name.as_bytes());
        head.put_u8(STRING);
        head.put_u16(u16::try_from(value.len()).expect("a header's value is a short word of ours"));
        head.put_slice(value.as_bytes());
    }
    let length = |bytes: usize| u32::try_from(bytes).expect("an answer's event is far below 4 GiB");
    let mut frame = BytesMut::with_capacity(head.len() + payload.len() + AROUND);
    frame.put_u32(length(head.len() + payload.len() + AROUND));
    frame.put_u32(length(head.len()));
    let checksum = crc32fast::hash(&frame);
    frame.put_u32(checksum);
    frame.put_slice(&head);
    frame.put_slice(payload.as_bytes());
    let checksum = crc32fast::hash(&frame);
    frame.put_u32(checksum);
    frame.freeze()
}

/// What each payload is.
const CONTENT_TYPE: (&str, &str) = (":content-type", "application/json");

/// The type of a header whose value is a text.
const STRING: u8 = 7;

/// Two lengths and two checksums.
const AROUND: usize = 16;

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    /// Every stream of `tests/fixtures/bedrock`, two of them recorded.
    const STREAMS: [&str; 5] = [
        include_str!("../../../tests/fixtures/bedrock/converse_stream_ok.json"),
        include_str!("../../../tests/fixtures/bedrock/converse_stream_tool_use_ok.json"),
        include_str!("../../../tests/fixtures/bedrock/converse_stream_exception_internal.json"),
        include_str!(
            "../../../tests/fixtures/bedrock/converse_stream_exception_model_stream_error.json"
        ),
        include_str!("../../../tests/fixtures/bedrock/converse_stream_exception_throttling.json"),
    ];

    #[test]
    fn frames_are_the_recorded_bytes() {
        for stream in STREAMS {
            let stream: Value = serde_json::from_str(stream).unwrap();
            let mut bytes = Vec::new();
            for recorded in stream["events"].as_array().unwrap() {
                let payload = recorded["payload"].to_string();
                let headers = &recorded["headers"];
                bytes.extend(match headers[":event-type"].as_str() {
                    Some(name) => event(name, &payload),
                    None => exception(headers[":exception-type"].as_str().unwrap(), &payload),
                });
            }
            let recorded = decoded(stream["body_b64"].as_str().unwrap());
            assert_eq!(bytes, recorded, "{}", stream["case"]);
        }
    }

    /// Base64 as [RFC 4648](https://www.rfc-editor.org/rfc/rfc4648#section-4) has it.
    fn decoded(text: &str) -> Vec<u8> {
        const LETTERS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let mut bytes = Vec::new();
        let (mut bits, mut count) = (0_u32, 0);
        for letter in text.chars().filter(|letter| *letter != '=') {
            let value = LETTERS.find(letter).expect("a letter of Base64");
            bits = (bits << 6) | u32::try_from(value).unwrap();
            count += 6;
            if count >= 8 {
                count -= 8;
                bytes.push(u8::try_from(bits >> count & 0xff).unwrap());
            }
        }
        bytes
    }
}
