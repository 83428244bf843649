//! What a server tells of itself under `/_brownout/`: health, journal, reset, and where an
//! application posts its outcomes.

use axum::{
    Extension, Json, Router,
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header},
    middleware::{self, Next},
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use serde::Deserialize;

use crate::lanes::{LaneName, LaneRefusal, Lanes};

/// Where it all stands.
const ROOT: &str = "/_brownout";

/// The routes that every server has, those of its owner beside them, and nothing else.
///
/// Each request carries the name of the lane that it speaks of as an extension.
pub(crate) fn router(lanes: Lanes, own: Router) -> Router {
    let routes = Router::new()
        .route("/health", get(async || "ok\n"))
        .route("/journal", get(journal))
        .route("/lanes", get(list))
        .route("/outcome", post(outcome))
        .route("/reset", post(reset))
        .with_state(lanes)
        .merge(own)
        .fallback(async || (StatusCode::NOT_FOUND, "there is no such page here\n"));
    Router::new().nest(ROOT, routes).layer(middleware::from_fn(guard))
}

/// The address of a page of the server itself, if a tidy path without its lane is that of one.
pub(crate) fn own(path: &str, query: &str) -> Option<Uri> {
    let rest = path.strip_prefix(ROOT)?;
    if !rest.is_empty() && !rest.starts_with('/') {
        return None;
    }
    let mark = if query.is_empty() { "" } else { "?" };
    format!("{path}{mark}{query}").parse().ok()
}

/// Tells in plain text, which no client takes for its provider's, why a request gets no lane.
pub(crate) fn refused(refusal: LaneRefusal) -> Response {
    let status = StatusCode::from_u16(refusal.status()).unwrap_or(StatusCode::BAD_REQUEST);
    (status, format!("{refusal}\n")).into_response()
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

/// The journal of a lane so far, one JSON object a line.
async fn journal(State(lanes): State<Lanes>, Extension(name): Extension<LaneName>) -> Response {
    let Some(lane) = lanes.find(&name) else { return unknown(&name) };
    let journal = lane.journal();
    let mut text = String::new();
    for entry in journal.entries() {
        text += &serde_json::to_string(entry).expect("a journal entry is writable as JSON");
        text.push('\n');
    }
    ([(header::CONTENT_TYPE, "application/jsonl")], text).into_response()
}

/// How each lane stands, and how many requests got none.
async fn list(State(lanes): State<Lanes>) -> Json<serde_json::Value> {
    let default = lanes.default_lane();
    let refused = default.lane_refusals().map_or(0, |(_, count)| count);
    Json(serde_json::json!({
        "lanes": lanes.counts(),
        "lanes-max": default.plan().limits.lanes_max,
        "refused": refused,
    }))
}

/// The answer to a question about a lane that there is not.
pub(crate) fn unknown(name: &LaneName) -> Response {
    let message = format!("there is no lane `{name}`: its first request makes it\n");
    (StatusCode::NOT_FOUND, message).into_response()
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

async fn outcome(
    State(lanes): State<Lanes>,
    Extension(name): Extension<LaneName>,
    Json(posted): Json<Posted>,
) -> Response {
    match lanes.open(&name) {
        Ok(lane) => {
            lane.post_outcome(posted.call, posted.success, None);
            StatusCode::NO_CONTENT.into_response()
        }
        Err(refusal) => refused(refusal),
    }
}

/// Takes a lane back to its beginning; one that has never begun is there already.
async fn reset(State(lanes): State<Lanes>, Extension(name): Extension<LaneName>) -> StatusCode {
    if let Some(lane) = lanes.find(&name) {
        lane.reset();
    }
    StatusCode::NO_CONTENT
}
