//! Ollama, as recorded from a server of 2024 and from its cloud in August 2026.
//!
//! `/api/*` is its own: lines of JSON, streamed unless the request says no, and no key.
//! `/v1/*` is OpenAI's form. It is written in Go, and its complaints about JSON are Go's.
//! A local server has no limits and no keys: those failures are its cloud's.

mod compatible;
mod error;
mod golang;
mod library;
mod native;
mod read;

use super::{Case, Dialect, Exchange, Head, Moment, Place, Refusal, Reply};
use crate::{
    action::ErrorKind,
    answer::Answer,
    plan::{ProviderName, Route},
    request::Request,
};

/// Ollama.
#[derive(Debug)]
pub(crate) struct Ollama;

impl Dialect for Ollama {
    fn name(&self) -> ProviderName {
        ProviderName::Ollama
    }

    fn recognises(&self, head: &Head<'_>) -> bool {
        let agent = head.headers.get("user-agent").unwrap_or_default();
        let native = head.path.starts_with("/api/") && !head.path.starts_with("/api/v1/");
        native || agent.starts_with("ollama-") || agent.starts_with("ollama/")
    }

    fn not_found(&self, _: &Head<'_>) -> &'static str {
        "path"
    }

    fn route(&self, head: &Head<'_>) -> Option<Route> {
        let found = PATHS.iter().find(|(path, _)| head.path.ends_with(path));
        let models = || head.path.contains("/v1/models").then_some(Route::OllamaV1Models);
        found.map(|(_, route)| *route).or_else(models)
    }

    fn claims(&self, head: &Head<'_>) -> bool {
        let own = PATHS.iter().filter(|(path, _)| path.starts_with("/api"));
        own.map(|(path, _)| path).any(|path| head.path.ends_with(path)) || self.recognises(head)
    }

    fn main_route(&self) -> Route {
        Route::OllamaChat
    }

    fn example_model(&self, route: Route) -> &'static str {
        match route {
            Route::OllamaEmbed | Route::OllamaEmbeddings | Route::OllamaV1Embeddings => {
                "nomic-embed-text"
            }
            _ => "llama3.2",
        }
    }

    fn read(&self, route: Route, head: &Head<'_>, body: &[u8]) -> Result<Request, Refusal> {
        read::request(route, head, body)
    }

    fn answer(&self, exchange: &Exchange<'_>, answer: &Answer) -> Reply {
        match exchange.request.route {
            Route::OllamaV1Chat | Route::OllamaV1Completions | Route::OllamaV1Embeddings => {
                compatible::reply(exchange, answer)
            }
            Route::OllamaModels
            | Route::OllamaPs
            | Route::OllamaShow
            | Route::OllamaVersion
            | Route::OllamaV1Models => library::reply(exchange),
            _ => native::reply(exchange, answer),
        }
    }

    fn cases(&self) -> &'static [Case] {
        error::CASES
    }

    fn usual(&self, _: ErrorKind, _: Place, _: &Exchange<'_>) -> Option<&'static str> {
        None
    }

    fn word(&self, name: &str, exchange: &Exchange<'_>) -> Option<String> {
        error::word(name, exchange)
    }
}

/// Where each route is found.
const PATHS: [(&str, Route); 11] = [
    ("/api/chat", Route::OllamaChat),
    ("/api/generate", Route::OllamaGenerate),
    ("/api/embed", Route::OllamaEmbed),
    ("/api/embeddings", Route::OllamaEmbeddings),
    ("/api/tags", Route::OllamaModels),
    ("/api/ps", Route::OllamaPs),
    ("/api/show", Route::OllamaShow),
    ("/api/version", Route::OllamaVersion),
    ("/v1/chat/completions", Route::OllamaV1Chat),
    ("/v1/completions", Route::OllamaV1Completions),
    ("/v1/embeddings", Route::OllamaV1Embeddings),
];

/// The routes in OpenAI's form.
const V1: &[Route] = &[
    Route::OllamaV1Chat,
    Route::OllamaV1Completions,
    Route::OllamaV1Embeddings,
    Route::OllamaV1Models,
];

/// Whether a route is in OpenAI's form.
fn is_v1(route: Route) -> bool {
    V1.contains(&route)
}

/// An id in the form of a UUID.
fn uuid(moment: &Moment, what: &str) -> String {
    let id = moment.hex(what, 30);
    let variant = moment.id(what, b"89ab", 1);
    format!("{}-{}-4{}-{variant}{}-{}", &id[..8], &id[8..12], &id[12..15], &id[15..18], &id[18..30])
}
