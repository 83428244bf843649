//! Gemini's embeddings: vectors of length one, the same for the same text.

use serde_json::{Value, json};

use super::{JSON, Method, Target, field, headers, read};
use crate::{
    dialect::{Exchange, Reply, indented},
    draw::{Purpose, scale},
};

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
    let values = vector(exchange, &text, wanted.unwrap_or(dimensions).min(dimensions));
    json!({ "values": values })
}

/// A vector of length one, with nine digits behind the point.
fn vector(exchange: &Exchange<'_>, text: &str, dimensions: u64) -> Vec<Value> {
    let side = |index| {
        let draw = exchange.moment.draws.draw(text, Purpose::Text, 0, index);
        i128::from(scale(draw, 2_000_000)) - 1_000_000
    };
    let sides: Vec<i128> = (0..dimensions).map(side).collect();
    let square: u128 = sides.iter().map(|side| side.unsigned_abs().pow(2)).sum();
    // A billion lengths, so that what is left after the division is the digits.
    let length = (square * 1_000_000).isqrt().max(1);
    let digits = sides.into_iter().map(|side| {
        let digits = side.unsigned_abs() * 1_000_000_000_000 / length;
        let sign = if side < 0 { "-" } else { "" };
        let (whole, rest) = (digits / 1_000_000_000, digits % 1_000_000_000);
        serde_json::from_str(&format!("{sign}{whole}.{rest:09}")).unwrap_or(Value::Null)
    });
    digits.collect()
}
