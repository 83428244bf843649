//! What a server tells of itself under `/_brownout/`: health, journal, reset, and where an
//! application posts its outcomes.

use axum::{
    Json, Router,
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header},
    middleware::{self, Next},
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use serde::Deserialize;

use crate::{lane::Lane, server::tidy};

/// Where it all stands.
const ROOT: &str = "/_brownout";

/// The routes that every server has, those of its owner beside them, and nothing else.
pub(crate) fn router(lane: Lane, own: Router) -> Router {
    let routes = Router::new()
        .route("/health", get(async || "ok\n"))
        .route("/journal", get(journal))
        .route("/outcome", post(outcome))
        .route("/reset", post(reset))
        .with_state(lane)
        .merge(own)
        .fallback(async || (StatusCode::NOT_FOUND, "there is no such page here\n"));
    Router::new().nest(ROOT, routes).layer(middleware::from_fn(guard))
}

/// The tidy form of a path that is meant for the server itself; a slash too many does not make a
/// request to a provider of it.
pub(crate) fn own(uri: &Uri) -> Option<Uri> {
    let path = tidy(uri.path());
    let rest = path.strip_prefix(ROOT)?;
    if !rest.is_empty() && !rest.starts_with('/') {
        return None;
    }
    let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    format!("{path}{query}").parse().ok()
}

/// Refuses requests that a web page could have made: the Host must be a loopback name, and the
/// page, if the browser names it, must have come from one.
///
/// A page that a developer visits can send requests to any local port, and by rebinding its own
/// name to 127.0.0.1 it can read the answers too; it cannot choose the Host header, nor leave out
/// the [Origin](https://www.rfc-editor.org/rfc/rfc6454#section-7) of a POST or the
/// [Fetch metadata](https://www.w3.org/TR/fetch-metadata/) of anything.
async fn guard(request: Request, next: Next) -> Response {
    if is_from_here(request.headers()) {
        return next.run(request).await;
    }
    let message = "the admin interface answers to loopback names only\n";
    (StatusCode::FORBIDDEN, message).into_response()
}

/// Whether no page of another site can have sent this.
fn is_from_here(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).map(|value: &HeaderValue| value.as_bytes());
    let text = |name| text(name).map(String::from_utf8_lossy);
    let by_name = text(header::HOST).is_some_and(|host| is_loopback(&host));
    let by_page = text(header::ORIGIN).is_none_or(|origin| {
        origin.split_once("://").is_some_and(|(_, authority)| is_loopback(authority))
    });
    let site = text(HeaderName::from_static("sec-fetch-site"));
    by_name && by_page && site.is_none_or(|site| !site.eq_ignore_ascii_case("cross-site"))
}

/// Whether a host, with or without its port, is this machine by a name that cannot be rebound.
fn is_loopback(authority: &str) -> bool {
    let name = match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or(rest),
        None => authority.split(':').next().unwrap_or(authority),
    };
    ["127.0.0.1", "localhost", "::1"].iter().any(|known| name.eq_ignore_ascii_case(known))
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
