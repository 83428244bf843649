//! An embedding: a text has the same vector from a model in every run, of the length 1.

use base64::Engine as _;
use serde_json::{Number, Value};

use crate::draw::{Draws, Purpose};

/// The vector of one text.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Vector {
    parts: Vec<i16>,
    floats: Vec<f32>,
}

impl Vector {
    /// The vector that a model gives a text.
    pub(crate) fn of(model: &str, text: &str, dimensions: u64) -> Self {
        let draws = Draws::new(0).of(model).of(text);
        let component = |index| {
            let [low, high, ..] = draws.draw("embedding", Purpose::Text, 0, index).to_le_bytes();
            // No vector is all zeros: it could not be made as long as 1.
            i16::from_le_bytes([low, high]) | 1
        };
        let parts: Vec<i16> = (0..dimensions).map(component).collect();
        let squares = parts.iter().map(|&part| f32::from(part) * f32::from(part));
        let length = squares.sum::<f32>().sqrt();
        let floats = parts.iter().map(|&part| f32::from(part) / length).collect();
        Self { parts, floats }
    }

    /// The components as numbers, with as many digits as they have.
    pub(crate) fn floats(&self) -> Value {
        let number = |part: &f32| {
            let shortest = part.to_string().parse().ok();
            shortest.and_then(Number::from_f64).map_or(Value::Null, Value::Number)
        };
        self.floats.iter().map(number).collect()
    }

    /// The components in a byte each.
    pub(crate) fn bytes(&self) -> impl Iterator<Item = i8> {
        self.parts.iter().map(|part| i8::from_be_bytes([part.to_be_bytes()[0]]))
    }

    /// The signs of the components, eight in a byte, the first in its highest bit.
    pub(crate) fn bits(&self) -> impl Iterator<Item = u8> {
        self.parts.chunks(8).map(|parts| {
            let bits = parts.iter().enumerate();
            bits.fold(0, |byte, (index, &part)| byte | u8::from(part > 0) << (7 - index))
        })
    }

    /// The components as 32-bit floats, little-endian, in Base64
    /// ([RFC 4648](https://www.rfc-editor.org/rfc/rfc4648#section-4)).
    pub(crate) fn base64(&self) -> String {
        let bytes: Vec<u8> = self.floats.iter().flat_map(|part| part.to_le_bytes()).collect();
        base64::engine::general_purpose::STANDARD.encode(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vector(text: &str) -> Vector {
        Vector::of("m", text, 1_024)
    }

    #[test]
    fn a_text_has_one_vector_of_length_1() {
        assert_eq!(vector("a"), vector("a"));
        assert_ne!(vector("a"), vector("b"));
        assert_ne!(vector("a"), Vector::of("n", "a", 1_024));
        let numbers = vector("a").floats();
        let squares = numbers.as_array().unwrap().iter().map(|part| part.as_f64().unwrap().powi(2));
        assert!((squares.sum::<f64>() - 1.0).abs() < 1e-5);
        assert!(numbers[0].to_string().len() < 16, "{}", numbers[0]);
    }

    #[test]
    fn every_form_is_of_the_same_vector() {
        let vector = Vector { parts: vec![-32_767, 1, 255, 257, -1], floats: vec![1.0, -0.5] };
        assert_eq!(vector.bytes().collect::<Vec<_>>(), [-128, 0, 0, 1, -1]);
        assert_eq!(vector.bits().collect::<Vec<_>>(), [0b0111_0000]);
        assert_eq!(vector.base64(), "AACAPwAAAL8=");
    }
}
