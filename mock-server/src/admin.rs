//! What a server tells of itself under `/_brownout/`: health, journal, reset, and where an
//! application posts its outcomes.

use axum::{
    Json, Router,
    extract::{Request, State},
    http::{StatusCode, header},
    middleware::Next,
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use serde::Deserialize;

use crate::lane::Lane;

/// The routes that every server has.
pub(crate) fn routes(lane: Lane) -> Router {
    Router::new()
        .route("/health", get(async || "ok\n"))
        .route("/journal", get(journal))
        .route("/outcome", post(outcome))
        .route("/reset", post(reset))
        .with_state(lane)
}

/// Refuses requests that a web page could have made: the Host must be a loopback name.
///
/// A page that a developer visits can send requests to any local port, and by rebinding its own
/// name to 127.0.0.1 it can read the answers too; it cannot choose the Host header.
pub(crate) async fn guard(request: Request, next: Next) -> Response {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    let name = host.map(|host| match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or(rest),
        None => host.split(':').next().unwrap_or(host),
    });
    if !matches!(name, Some("127.0.0.1" | "localhost" | "::1")) {
        let message = "the admin interface answers to loopback names only\n";
        return (StatusCode::FORBIDDEN, message).into_response();
    }
    next.run(request).await
}

/// The journal so far, one JSON object a line.
async fn journal(State(lane): State<Lane>) -> Response {
    let journal = lane.journal();
    let mut text = String::new();
    for entry in journal.entries() {
        text += &serde_json::to_string(entry).expect("a journal entry is writable as JSON");
        text.push('\n');
    }
    ([(header::CONTENT_TYPE, "application/jsonl")], text).into_response()
}

/// What an application says of a call that has ended for it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Posted {
    /// The call's name in its header; left out, the whole run is meant.
    call: Option<String>,
    /// Whether the application got what it wanted.
    success: bool,
}

async fn outcome(State(lane): State<Lane>, Json(posted): Json<Posted>) -> StatusCode {
    lane.post_outcome(posted.call, posted.success, None);
    StatusCode::NO_CONTENT
}

async fn reset(State(lane): State<Lane>) -> StatusCode {
    lane.reset();
    StatusCode::NO_CONTENT
}
