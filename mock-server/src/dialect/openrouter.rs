//! OpenRouter, as recorded from `openrouter.ai` in June 2026.
//!
//! It speaks OpenAI's form, and shows that others stand behind it: who answered, why in their own
//! words, and what it cost. While they think it sends signs of life, before the JSON as well.

mod error;
mod price;
mod read;
mod success;

use super::{Case, Dialect, Exchange, Fields, Head, Moment, Place, Refusal, Reply, has};
use crate::{
    action::ErrorKind,
    answer::Answer,
    plan::{ProviderName, Route},
    request::Request,
};

/// OpenRouter.
#[derive(Debug)]
pub(crate) struct OpenRouter;

impl Dialect for OpenRouter {
    fn name(&self) -> ProviderName {
        ProviderName::OpenRouter
    }

    fn recognises(&self, head: &Head<'_>) -> bool {
        head.path.starts_with("/api/v1/")
    }

    fn not_found(&self, _: &Head<'_>) -> &'static str {
        "path"
    }

    fn route(&self, head: &Head<'_>) -> Option<Route> {
        let path = head.path;
        if path.ends_with("/chat/completions") {
            Some(Route::OpenRouterChat)
        } else if path.ends_with("/completions") {
            Some(Route::OpenRouterCompletions)
        } else if path.ends_with("/embeddings") {
            Some(Route::OpenRouterEmbeddings)
        } else {
            path.ends_with("/models").then_some(Route::OpenRouterModels)
        }
    }

    fn claims(&self, head: &Head<'_>) -> bool {
        has(head.path, b"/api/v1/")
    }

    fn main_route(&self) -> Route {
        Route::OpenRouterChat
    }

    fn example_model(&self, route: Route) -> &'static str {
        match route {
            Route::OpenRouterEmbeddings => "openai/text-embedding-3-small",
            _ => "anthropic/claude-haiku-4.5",
        }
    }

    fn read(&self, route: Route, head: &Head<'_>, body: &[u8]) -> Result<Request, Refusal> {
        read::request(route, head, body)
    }

    fn answer(&self, exchange: &Exchange<'_>, answer: &Answer) -> Reply {
        success::reply(exchange, answer)
    }

    fn shares_window(&self) -> bool {
        true
    }

    fn cases(&self) -> &'static [Case] {
        error::CASES
    }

    fn usual(
        &self,
        kind: ErrorKind,
        place: Place,
        exchange: &Exchange<'_>,
    ) -> Option<&'static str> {
        error::usual(kind, place, exchange)
    }

    fn word(&self, name: &str, exchange: &Exchange<'_>) -> Option<String> {
        error::word(name, exchange)
    }

    fn unknown_model(&self, _: &Exchange<'_>) -> Refusal {
        Refusal::new(ErrorKind::NotFound, "model-id")
    }
}

/// The headers that everything has; an answer has the id of its generation.
fn headers(
    exchange: &Exchange<'_>,
    content_type: &'static str,
    generation: Option<String>,
) -> Fields {
    let mut headers =
        vec![("content-type", content_type.into()), ("access-control-allow-origin", "*".into())];
    if content_type == EVENTS {
        headers.push(("cache-control", "no-cache".into()));
    }
    headers.extend(generation.map(|id| ("x-generation-id", id.into())));
    headers.extend([
        ("access-control-expose-headers", "X-Generation-Id,cf-ray".into()),
        ("referrer-policy", "no-referrer, strict-origin-when-cross-origin".into()),
        ("x-content-type-options", "nosniff".into()),
        ("server", "cloudflare".into()),
        ("cf-ray", exchange.moment.cf_ray().into()),
    ]);
    headers
}

/// The id of a generation, which has its time in it.
fn generation(moment: &Moment) -> String {
    format!("gen-{}-{}", moment.wall.as_secs(), moment.alphanumeric("generation", 20))
}

/// Who answers for a model.
fn upstream(model: &str) -> &'static str {
    match model.split('/').next().unwrap_or_default() {
        "anthropic" => "Amazon Bedrock",
        "cohere" => "Cohere",
        "deepseek" => "DeepSeek",
        "google" => "Google",
        "mistralai" => "Mistral",
        "openai" => "OpenAI",
        "x-ai" => "xAI",
        _ => "Together",
    }
}

/// The exact name that an answer carries; recorded for one.
fn resolved(model: &str) -> &str {
    match model {
        "anthropic/claude-haiku-4.5" => "anthropic/claude-4.5-haiku-20251001",
        other => other,
    }
}

/// What a stream of events is.
const EVENTS: &str = "text/event-stream";
