//! Gemini's embeddings: vectors of length one, the same for the same text.

use serde_json::{Value, json};

use super::{JSON, Method, Target, field, headers, read};
use crate::dialect::{Exchange, Reply, indented, vector::Vector};

/// One vector, or one for each content of a batch.
pub(super) fn reply(exchange: &Exchange<'_>) -> Reply {
    let request = exchange.request;
    let batch = Target::of(&request.headers).method == Some(Method::BatchEmbed);
    let body = if batch {
        let requests = field::list(&request.body, "requests").iter();
        let embeddings: Vec<Value> = requests.map(|single| embedding(exchange, single)).collect();
        json!({ "embeddings": embeddings })
    } else {
        json!({ "embedding": embedding(exchange, &request.body) })
    };
    Reply::whole(200, headers(JSON), indented(&body, b"  ") + "\n")
}

fn embedding(exchange: &Exchange<'_>, request: &Value) -> Value {
    let text = field::field(request, "content").map(read::said).unwrap_or_default();
    let wanted = field::field(request, "outputDimensionality").and_then(Value::as_u64);
    let dimensions = match exchange.request.model.as_str() {
        "text-embedding-004" => 768,
        _ => 3_072,
    };
    let dimensions = wanted.unwrap_or(dimensions).min(dimensions);
    json!({ "values": Vector::of(&exchange.request.model, &text, dimensions).floats() })
}
