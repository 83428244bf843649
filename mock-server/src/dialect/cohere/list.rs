//! The models of Cohere.

use serde_json::{Value, json};

use super::application_headers;
use crate::{
    dialect::{Exchange, Reply},
    models,
};

/// The model that a path of the list names; empty if it is all of them.
pub(super) fn model(path: &str) -> Option<&str> {
    if path.ends_with("/v1/models") {
        return Some("");
    }
    let (list, model) = path.rsplit_once('/')?;
    list.ends_with("/v1/models").then_some(model)
}

/// Whether there is such a model.
pub(super) fn knows(model: &str) -> bool {
    MODELS.iter().any(|(name, _)| *name == model)
}

/// The list, or one model of it.
pub(super) fn reply(exchange: &Exchange<'_>) -> Reply {
    let headers = application_headers(exchange, "application/json");
    let wanted = &exchange.request.model;
    let body = if let Some((name, endpoints)) = MODELS.iter().find(|(name, _)| name == wanted) {
        facts(name, endpoints)
    } else {
        let models = MODELS.iter().map(|(name, endpoints)| facts(name, endpoints));
        json!({ "models": models.collect::<Vec<_>>() })
    };
    Reply::whole(200, headers, body.to_string())
}

/// What is said of one model, in the order of the documentation.
fn facts(name: &str, endpoints: &[&str]) -> Value {
    let window = models::facts(name).map_or(128_000, |facts| facts.context_window);
    let tokenizers = "https://storage.googleapis.com/cohere-public/tokenizers";
    json!({
        "name": name,
        "is_deprecated": false,
        "endpoints": endpoints,
        "finetuned": false,
        "context_length": window,
        "tokenizer_url": format!("{tokenizers}/{name}.json"),
        "default_endpoints": [],
    })
}

/// The models that are served in 2026, with what each can do.
const MODELS: &[(&str, &[&str])] = &[
    ("command-a-03-2025", &["generate", "chat", "summarize"]),
    ("command-a-reasoning-08-2025", &["chat"]),
    ("command-a-vision-07-2025", &["chat"]),
    ("command-a-translate-08-2025", &["chat"]),
    ("command-r7b-12-2024", &["chat", "summarize"]),
    ("command-r-plus-08-2024", &["generate", "chat", "summarize"]),
    ("command-r-08-2024", &["generate", "chat", "summarize"]),
    ("embed-v4.0", &["embed"]),
    ("embed-english-v3.0", &["embed", "classify"]),
    ("embed-english-light-v3.0", &["embed", "classify"]),
    ("embed-multilingual-v3.0", &["embed", "classify"]),
    ("embed-multilingual-light-v3.0", &["embed", "classify"]),
    ("rerank-v3.5", &["rerank"]),
];
