//! Wording embeddings: vectors of length one that depend on nothing but model and text.

use std::hash::Hasher as _;

use serde_json::{Value, json};

use super::pretty;
use crate::{
    dialect::{Exchange, ReplyBody},
    draw::{Draws, Purpose, StableHasher},
};

/// The answer.
pub(super) fn body(exchange: &Exchange<'_>, model: &str) -> ReplyBody {
    pretty(&whole(exchange, model), "\n")
}

/// The answer, before it is written.
pub(in crate::dialect) fn whole(exchange: &Exchange<'_>, model: &str) -> Value {
    let body = &exchange.request.body;
    let length = body.get("dimensions").and_then(Value::as_u64);
    let length = length.and_then(|length| usize::try_from(length).ok());
    let length = length.unwrap_or_else(|| dimensions(model));
    let encoded = body.get("encoding_format").and_then(Value::as_str) == Some("base64");
    let input = body.get("input").unwrap_or(&Value::Null);
    let items = inputs(input).into_iter().enumerate().map(|(index, text)| {
        let vector = vector(model, &text, length);
        if encoded {
            let bytes: Vec<u8> = vector.iter().flat_map(|number| number.to_le_bytes()).collect();
            // Recorded: the order of the two forms differs.
            json!({ "object": "embedding", "index": index, "embedding": base64(&bytes) })
        } else {
            let numbers: Vec<f64> = vector.into_iter().map(f64::from).collect();
            json!({ "object": "embedding", "embedding": numbers, "index": index })
        }
    });
    let tokens = exchange.request.input_tokens;
    json!({
        "object": "list",
        "data": items.collect::<Vec<_>>(),
        "model": model,
        "usage": { "prompt_tokens": tokens, "total_tokens": tokens },
    })
}

/// The dimensions of a model's vectors, if nobody asks for fewer.
pub(in crate::dialect) fn dimensions(model: &str) -> usize {
    if model.contains("3-large") { 3072 } else { 1536 }
}

/// Each text of an input; tokens speak by their numbers.
fn inputs(input: &Value) -> Vec<String> {
    match input {
        Value::String(text) => vec![text.clone()],
        Value::Array(items) if items.iter().all(Value::is_number) => vec![input.to_string()],
        Value::Array(items) => items
            .iter()
            .map(|item| item.as_str().map_or_else(|| item.to_string(), str::to_owned))
            .collect(),
        _ => Vec::new(),
    }
}

/// The vector of a text: the same one always, and no other text's.
fn vector(model: &str, text: &str, length: usize) -> Vec<f32> {
    let mut hash = StableHasher::new(0);
    hash.write(model.as_bytes());
    hash.write_u8(0);
    hash.write(text.as_bytes());
    let draws = Draws::new(hash.finish());
    let numbers: Vec<f32> = (0_u64..)
        .take(length)
        .map(|index| {
            let draw = draws.draw("embedding", Purpose::Text, 0, index).to_le_bytes();
            f32::from(i16::from_le_bytes([draw[0], draw[1]]))
        })
        .collect();
    let norm = numbers.iter().map(|number| number * number).sum::<f32>().sqrt();
    numbers.iter().map(|number| if norm > 0.0 { number / norm } else { 1.0 }).collect()
}

/// Base64 as of [RFC 4648 §4](https://www.rfc-editor.org/rfc/rfc4648#section-4), padded.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let byte = |index: usize| u32::from(three.get(index).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for index in 0..4 {
            let letter = usize::try_from(bits >> (18 - 6 * index) & 63).unwrap_or(0);
            let is_there = usize::try_from(index).is_ok_and(|index| index <= three.len());
            text.push(if is_there { char::from(LETTERS[letter]) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_written_as_the_rfc_says() {
        // The test vectors of RFC 4648 §10.
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
    }

    #[test]
    fn a_vector_belongs_to_its_text() {
        let of = |text: &str| vector("text-embedding-3-small", text, 64);
        assert_eq!(of("hi"), of("hi"));
        assert_ne!(of("hi"), of("ho"));
        let length: f32 = of("hi").iter().map(|number| number * number).sum();
        assert!((length - 1.0).abs() < 1e-5, "{length}");
    }
}
