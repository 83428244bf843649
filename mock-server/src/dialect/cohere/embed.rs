//! Wording embeddings.

use serde_json::{Value, json};

use super::application_headers;
use crate::{
    dialect::{Exchange, Reply, content_text, vector::Vector},
    models,
    plan::Route,
    request::Request,
    tokens::Tokenizer,
};

/// The vectors of the texts, in the forms that were asked for.
pub(super) fn reply(exchange: &Exchange<'_>) -> Reply {
    let request = exchange.request;
    let is_first = request.route == Route::CohereEmbedV1;
    let inputs = inputs(&request.body);
    let dimensions = dimensions(&request.model, &request.body);
    let vector = |input: &Input<'_>| Vector::of(&request.model, &input.said, dimensions);
    let vectors: Vec<Vector> = inputs.iter().map(vector).collect();
    let kinds = kinds(&request.body);
    // Version 1 has a form of its own, if none is asked for.
    let embeddings = match kinds.as_slice() {
        [] if is_first => vectors.iter().map(Vector::floats).collect(),
        [] => by_kind(&vectors, &["float"]),
        kinds => by_kind(&vectors, kinds),
    };
    let response = if embeddings.is_object() { "embeddings_by_type" } else { "embeddings_floats" };
    let texts: Vec<&str> = inputs.iter().filter_map(|input| input.text).collect();
    let mut body = json!({ "id": exchange.moment.uuid("answer"), "texts": texts });
    let mut billed = json!({ "input_tokens": request.input_tokens, "image_tokens": 0 });
    let images = inputs.iter().filter(|input| input.is_image).count();
    if images > 0 {
        let image = json!({ "width": 400, "height": 400, "format": "png", "bit_depth": 24 });
        body["images"] = vec![image; images].into();
        billed["images"] = images.into();
    }
    body["embeddings"] = embeddings;
    let version = if is_first { "1" } else { "2" };
    body["meta"] = json!({ "api_version": { "version": version }, "billed_units": billed });
    body["response_type"] = response.into();
    let chars: usize = inputs.iter().map(|input| input.said.chars().count()).sum();
    let mut headers = application_headers(exchange, "application/json");
    headers.push(("num-chars", chars.to_string().into()));
    headers.push(("num-tokens", request.input_tokens.to_string().into()));
    Reply::whole(200, headers, body.to_string())
}

/// The tokens of the longest text, if it is to be refused rather than cut.
pub(super) fn needed(request: &Request) -> u64 {
    let truncate = request.body.get("truncate").and_then(Value::as_str);
    let tokenizer = Tokenizer::of(&request.model);
    let inputs = inputs(&request.body).into_iter().filter(|_| truncate == Some("NONE"));
    inputs.map(|input| tokenizer.count(&input.said)).max().unwrap_or(0)
}

/// One thing to embed.
pub(super) struct Input<'a> {
    /// The text, if it is nothing else.
    text: Option<&'a str>,
    /// Whether it is an image.
    pub(super) is_image: bool,
    /// All that it says.
    pub(super) said: String,
}

/// What is to be embedded: texts, images, or mixtures of both.
pub(super) fn inputs(body: &Value) -> Vec<Input<'_>> {
    let list = |name: &str| body.get(name).and_then(Value::as_array).into_iter().flatten();
    let strings = |name: &str| list(name).filter_map(Value::as_str);
    let texts = strings("texts").map(|text| Input {
        text: Some(text),
        is_image: false,
        said: text.to_owned(),
    });
    let images =
        strings("images").map(|url| Input { text: None, is_image: true, said: url.to_owned() });
    let mixed = list("inputs").map(|input| {
        let content = input.get("content").unwrap_or(&Value::Null);
        Input { text: None, is_image: false, said: content_text(content) }
    });
    texts.chain(images).chain(mixed).collect()
}

/// The forms that are asked for, in their order.
fn kinds(body: &Value) -> Vec<&str> {
    let kinds = body.get("embedding_types").and_then(Value::as_array);
    kinds.into_iter().flatten().filter_map(Value::as_str).collect()
}

/// How long the vectors of a model are, unless the request says it.
fn dimensions(model: &str, body: &Value) -> u64 {
    let usual = match models::facts(model).and_then(|facts| facts.dimensions) {
        Some(dimensions) => dimensions,
        None if model.contains("light") => 384,
        None => 1_024,
    };
    body.get("output_dimension").and_then(Value::as_u64).unwrap_or(usual)
}

fn by_kind(vectors: &[Vector], kinds: &[&str]) -> Value {
    let forms = kinds.iter().map(|kind| {
        let form: Vec<Value> = vectors.iter().map(|vector| form(vector, kind)).collect();
        ((*kind).to_owned(), Value::Array(form))
    });
    Value::Object(forms.collect())
}

/// A vector in one form.
fn form(vector: &Vector, kind: &str) -> Value {
    match kind {
        "base64" => vector.base64().into(),
        // The unsigned byte less 128.
        "binary" => vector.bits().map(|byte| i16::from(byte) - 128).collect(),
        "int8" => vector.bytes().collect(),
        "ubinary" => vector.bits().collect(),
        "uint8" => vector.bytes().map(|byte| i16::from(byte) + 128).collect(),
        _ => vector.floats(),
    }
}
