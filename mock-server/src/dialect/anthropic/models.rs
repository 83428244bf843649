//! Anthropic's list of models, newest first.

use serde_json::{Map, Value, json};

use super::healthy_headers;
use crate::{
    dialect::{Exchange, Reply},
    models,
};

/// The list, a page at a time, or the one model that is asked for.
pub(super) fn reply(exchange: &Exchange<'_>) -> Reply {
    let headers = healthy_headers(&exchange.moment, "application/json");
    let request = exchange.request;
    let latest = request.headers.get("anthropic-version") == Some("2026-10-21");
    let body = if request.model.is_empty() {
        page(request.headers.target(), latest)
    } else {
        let known = MODELS.iter().find(|model| is(model, &request.model));
        known.map_or_else(
            || entry(&Model(&request.model, &request.model, "2026-01-01"), latest),
            |model| entry(model, latest),
        )
    };
    Reply::whole(200, headers, body.to_string())
}

/// A part of the list, as the query asks for it.
fn page(target: &str, latest: bool) -> Value {
    let query = target.split_once('?').map_or("", |(_, query)| query);
    let given =
        |name: &str| query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
    let place =
        |name: &str| given(name).and_then(|id| MODELS.iter().position(|model| is(model, id)));
    let limit = given("limit").and_then(|limit| limit.parse::<usize>().ok()).unwrap_or(20);
    let (first, end) = match (place("after_id"), place("before_id")) {
        (Some(after), _) => (after + 1, (after + 1).saturating_add(limit)),
        (None, Some(before)) => (before.saturating_sub(limit), before),
        (None, None) => (0, limit),
    };
    let end = end.min(MODELS.len());
    let shown = &MODELS[first.min(end)..end];
    let more = if given("before_id").is_some() { first > 0 } else { end < MODELS.len() };
    json!({
        "data": shown.iter().map(|model| entry(model, latest)).collect::<Vec<_>>(),
        "has_more": more,
        "first_id": shown.first().map(|model| model.0),
        "last_id": shown.last().map(|model| model.0),
    })
}

/// One model; version `2026-10-21` tells its limits too.
fn entry(model: &Model<'_>, latest: bool) -> Value {
    let Model(id, name, created) = *model;
    let mut entry = Map::new();
    entry.insert("type".to_owned(), json!("model"));
    entry.insert("id".to_owned(), json!(id));
    entry.insert("display_name".to_owned(), json!(name));
    entry.insert("created_at".to_owned(), json!(format!("{created}T00:00:00Z")));
    if latest {
        let facts = models::facts(id);
        entry.insert("lifecycle".to_owned(), json!("active"));
        entry.insert(
            "max_input_tokens".to_owned(),
            json!(facts.map(|facts| facts.max_input_tokens.unwrap_or(facts.context_window))),
        );
        entry.insert(
            "max_tokens".to_owned(),
            json!(facts.and_then(|facts| facts.max_output_tokens)),
        );
    }
    Value::Object(entry)
}

/// Whether a name, dated or not, is a model's.
fn is(model: &Model<'_>, name: &str) -> bool {
    model.0 == name || model.0.strip_prefix(name).is_some_and(|date| date.starts_with("-20"))
}

/// Id, name for people, and day of publication.
struct Model<'a>(&'a str, &'a str, &'a str);

/// Entries of 2025 as recorded by posit-dev/chatlas; the dates of 2026 are estimates.
static MODELS: [Model<'static>; 11] = [
    Model("claude-opus-5", "Claude Opus 5", "2026-07-16"),
    Model("claude-sonnet-5", "Claude Sonnet 5", "2026-06-30"),
    Model("claude-opus-4-7", "Claude Opus 4.7", "2026-04-14"),
    Model("claude-sonnet-4-6", "Claude Sonnet 4.6", "2026-02-17"),
    Model("claude-opus-4-6", "Claude Opus 4.6", "2026-02-04"),
    Model("claude-opus-4-5-20251101", "Claude Opus 4.5", "2025-11-24"),
    Model("claude-haiku-4-5-20251001", "Claude Haiku 4.5", "2025-10-15"),
    Model("claude-sonnet-4-5-20250929", "Claude Sonnet 4.5", "2025-09-29"),
    Model("claude-opus-4-1-20250805", "Claude Opus 4.1", "2025-08-05"),
    Model("claude-opus-4-20250514", "Claude Opus 4", "2025-05-22"),
    Model("claude-sonnet-4-20250514", "Claude Sonnet 4", "2025-05-22"),
];
