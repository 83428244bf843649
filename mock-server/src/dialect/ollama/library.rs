//! The models that are there, and what they can.

use std::time::Duration;

use serde_json::{Value, json};

use super::golang;
use crate::{
    dialect::{Exchange, Reply},
    models,
    plan::Route,
};

/// The answer of a route that tells of models.
pub(super) fn reply(exchange: &Exchange<'_>) -> Reply {
    let model = exchange.request.model.as_str();
    let (content_type, body) = match exchange.request.route {
        Route::OllamaVersion => (NATIVE, json!({ "version": "0.14.2" })),
        Route::OllamaPs => (NATIVE, json!({ "models": [running(exchange, &MODELS[0])] })),
        Route::OllamaShow => (NATIVE, shown(exchange, known(model))),
        Route::OllamaV1Models if model.is_empty() => {
            let list = MODELS.iter().map(|known| card(exchange, &whole_name(known.name)));
            (COMPATIBLE, json!({ "object": "list", "data": list.collect::<Vec<_>>() }))
        }
        Route::OllamaV1Models => (COMPATIBLE, card(exchange, model)),
        _ => {
            let list = MODELS.iter().map(|known| listed(exchange, known));
            (NATIVE, json!({ "models": list.collect::<Vec<_>>() }))
        }
    };
    let mut text = golang::written(&body.to_string());
    if content_type == COMPATIBLE {
        text.push('\n');
    }
    Reply::whole(200, vec![("content-type", content_type.into())], text)
}

/// A moment as Go prints it, in UTC and as precise as it needs to be.
pub(super) fn time(wall: Duration) -> String {
    let seconds = i64::try_from(wall.as_secs()).unwrap_or(i64::MAX);
    let nanos = i32::try_from(wall.subsec_nanos()).unwrap_or(0);
    jiff::Timestamp::new(seconds, nanos).map(|at| at.to_string()).unwrap_or_default()
}

/// Whether a model thinks unless it is told not to.
pub(super) fn thinks(model: &str) -> bool {
    ["deepseek-r1", "gpt-oss", "magistral", "qwen3", "qwq", "deepseek-v3.1"]
        .iter()
        .any(|family| model.starts_with(family))
}

/// Whether a model is known not to think; of others nobody knows.
pub(super) fn lacks_thinking(model: &str) -> bool {
    is_one_of(model, &["codellama", "gemma", "gemma2", "gemma3", "llama2", "llama3", "llama3.1"])
        || is_one_of(model, &["llama3.2", "llama3.3", "mistral", "mixtral", "phi3", "qwen2.5"])
}

/// Whether a model is known to call no tools; of others nobody knows.
pub(super) fn lacks_tools(model: &str) -> bool {
    is_one_of(model, &["codellama", "gemma", "gemma2", "gemma3", "llama2", "llama3", "phi3"])
}

/// A name with the tag that it has if it says none.
pub(super) fn whole_name(model: &str) -> String {
    if model.contains(':') { model.to_owned() } else { format!("{model}:latest") }
}

/// How long the vectors of a model are.
pub(super) fn dimensions(model: &str) -> u64 {
    match model.split(':').next().unwrap_or_default() {
        "all-minilm" => 384,
        "bge-m3" | "mxbai-embed-large" | "snowflake-arctic-embed" => 1_024,
        "embeddinggemma" | "nomic-embed-text" => 768,
        // As wide as a model of seven billion weights.
        _ => 4_096,
    }
}

fn is_one_of(model: &str, families: &[&str]) -> bool {
    let family = model.split(':').next().unwrap_or_default();
    families.contains(&family)
}

/// What is known of a model that was pulled.
#[derive(Clone, Copy, Debug)]
struct Pulled {
    name: &'static str,
    family: &'static str,
    bytes: u64,
    weights: &'static str,
}

fn known(model: &str) -> Pulled {
    let found = MODELS.iter().find(|known| whole_name(known.name) == whole_name(model));
    found.copied().unwrap_or(MODELS[0])
}

fn listed(exchange: &Exchange<'_>, model: &Pulled) -> Value {
    let name = whole_name(model.name);
    json!({
        "name": name,
        "model": name,
        "modified_at": time(pulled_at(exchange)),
        "size": model.bytes,
        "digest": digest(exchange, model),
        "details": details(model),
    })
}

fn running(exchange: &Exchange<'_>, model: &Pulled) -> Value {
    let name = whole_name(model.name);
    json!({
        "name": name,
        "model": name,
        "size": model.bytes * 2,
        "digest": digest(exchange, model),
        "details": details(model),
        // A model is kept for five minutes after its last request.
        "expires_at": time(exchange.moment.wall + Duration::from_secs(300)),
        "size_vram": model.bytes * 2,
        "context_length": 4_096,
    })
}

fn shown(exchange: &Exchange<'_>, model: Pulled) -> Value {
    let window = models::facts(model.name).map_or(131_072, |facts| facts.context_window);
    let family = model.family;
    let capabilities: &[&str] = match model.name {
        name if name.contains("embed") => &["embedding"],
        name if thinks(name) => &["completion", "tools", "thinking"],
        name if lacks_tools(name) => &["completion"],
        _ => &["completion", "tools"],
    };
    let mut facts = serde_json::Map::new();
    facts.insert("general.architecture".to_owned(), json!(family));
    facts.insert("general.file_type".to_owned(), json!(15));
    facts.insert(format!("{family}.context_length"), json!(window));
    facts.insert(format!("{family}.embedding_length"), json!(dimensions(model.name)));
    json!({
        "license": "MIT",
        "modelfile": format!("FROM {}\n", model.name),
        "parameters": "",
        "template": "{{ .Prompt }}",
        "details": details(&model),
        "model_info": facts,
        "capabilities": capabilities,
        "modified_at": time(pulled_at(exchange)),
    })
}

fn details(model: &Pulled) -> Value {
    json!({
        "parent_model": "",
        "format": "gguf",
        "family": model.family,
        "families": [model.family],
        "parameter_size": model.weights,
        "quantization_level": "Q4_K_M",
    })
}

fn card(exchange: &Exchange<'_>, name: &str) -> Value {
    json!({
        "id": name,
        "object": "model",
        "created": pulled_at(exchange).as_secs(),
        "owned_by": "library",
    })
}

/// A week before anybody asks.
fn pulled_at(exchange: &Exchange<'_>) -> Duration {
    exchange.moment.wall.saturating_sub(Duration::from_secs(604_800))
}

/// The same for a model in the whole run.
fn digest(exchange: &Exchange<'_>, model: &Pulled) -> String {
    let moment = crate::dialect::Moment { attempt: 0, ..exchange.moment };
    moment.hex(&format!("digest {}", model.name), 64)
}

const NATIVE: &str = "application/json; charset=utf-8";
const COMPATIBLE: &str = "application/json";

/// What was pulled, the last first.
const MODELS: [Pulled; 6] = [
    Pulled { name: "llama3.2", family: "llama", bytes: 2_019_393_189, weights: "3.2B" },
    Pulled { name: "llama3", family: "llama", bytes: 4_661_224_676, weights: "8.0B" },
    Pulled { name: "qwen3", family: "qwen3", bytes: 5_225_388_164, weights: "8.2B" },
    Pulled { name: "gpt-oss:20b", family: "gptoss", bytes: 13_793_441_244, weights: "20.9B" },
    Pulled { name: "deepseek-r1", family: "qwen3", bytes: 5_225_376_047, weights: "8.2B" },
    Pulled { name: "nomic-embed-text", family: "nomic-bert", bytes: 274_302_450, weights: "137M" },
];
