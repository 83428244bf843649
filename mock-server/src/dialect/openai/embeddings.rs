//! Wording embeddings: vectors of length one that depend on nothing but model and text.

use serde_json::{Value, json};

use super::pretty;
use crate::dialect::{Exchange, ReplyBody, vector::Vector};

/// The answer.
pub(super) fn body(exchange: &Exchange<'_>, model: &str) -> ReplyBody {
    pretty(&whole(exchange, model), "\n")
}

/// The answer, before it is written.
pub(in crate::dialect) fn whole(exchange: &Exchange<'_>, model: &str) -> Value {
    let body = &exchange.request.body;
    let length = body.get("dimensions").and_then(Value::as_u64);
    let length = length.unwrap_or_else(|| dimensions(model));
    let encoded = body.get("encoding_format").and_then(Value::as_str) == Some("base64");
    let input = body.get("input").unwrap_or(&Value::Null);
    let items = inputs(input).into_iter().enumerate().map(|(index, text)| {
        let vector = Vector::of(model, &text, length);
        if encoded {
            // Recorded: the order of the two forms differs.
            json!({ "object": "embedding", "index": index, "embedding": vector.base64() })
        } else {
            json!({ "object": "embedding", "embedding": vector.floats(), "index": index })
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
pub(in crate::dialect) fn dimensions(model: &str) -> u64 {
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
