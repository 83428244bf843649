//! Asks a provider in memory, in virtual time, and reads what came over the wire.

use std::{fs, path::Path, sync::Arc, time::Duration};

use mock_server::{
    action::Action,
    clock::Clock,
    draw::Draws,
    journal::Entry,
    lane::Lane,
    memory::{self, MemoryConnector},
    plan::{Act, Pick, Plan, Provider, Rule, Scope, When},
    server,
};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// An answer as it came over the wire.
#[derive(Clone, Debug)]
pub(crate) struct Got {
    /// The HTTP status.
    pub(crate) status: u16,
    /// The headers, in order, names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    /// The body, without its chunks.
    pub(crate) body: Vec<u8>,
    /// The journal of the lane.
    pub(crate) journal: Vec<Entry>,
}

impl Got {
    /// The first value of a header; empty if it is not there.
    pub(crate) fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str()).unwrap_or_default()
    }

    /// The body as text.
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("the body is UTF-8")
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    /// What stands behind `data: ` in each line of an event stream.
    pub(crate) fn data(&self) -> Vec<&str> {
        self.text().lines().filter_map(|line| line.strip_prefix("data: ")).collect()
    }
}

/// A healthy provider.
pub(crate) fn healthy() -> Plan {
    Plan::default()
}

/// A provider with settings, such as `{"quota": {"requests": "3/min"}}`.
pub(crate) fn provider(settings: Value) -> Plan {
    let provider: Provider = serde_json::from_value(settings).expect("the settings are right");
    Plan { provider, ..Plan::default() }
}

/// A provider that does one thing to every request, such as `{"overloaded": {}}`.
pub(crate) fn fault(action: Value) -> Plan {
    let action: Action = serde_json::from_value(action).expect("the action is right");
    let rule = Rule {
        when: When::default(),
        pick: Pick::Always,
        per: Scope::Lane,
        act: Act::Fault(action),
        draw: None,
    };
    Plan { rules: vec![rule], ..Plan::default() }
}

/// A request as bytes; `headers` are lines without their ends.
pub(crate) fn request(method: &str, path: &str, headers: &[&str], body: &str) -> Vec<u8> {
    let mut text = format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\n");
    for header in headers {
        text.push_str(header);
        text.push_str("\r\n");
    }
    if !body.is_empty() || method == "POST" {
        let length = body.len().to_string();
        text.push_str("content-type: application/json\r\ncontent-length: ");
        text.push_str(&length);
        text.push_str("\r\n");
    }
    text += "connection: close\r\n\r\n";
    text += body;
    text.into_bytes()
}

/// The answer to one request.
pub(crate) fn ask(plan: Plan, request: &[u8]) -> Got {
    ask_all(plan, &[request.to_vec()]).remove(0)
}

/// The answers to requests, one after the other, each on a connection of its own.
pub(crate) fn ask_all(plan: Plan, requests: &[Vec<u8>]) -> Vec<Got> {
    converse(plan, |got| Some((Duration::ZERO, requests.get(got.len())?.clone())))
}

/// The answers to requests of which each may depend on the answers before it, and comes after a
/// pause.
pub(crate) fn converse(
    plan: Plan,
    mut next: impl FnMut(&[Got]) -> Option<(Duration, Vec<u8>)>,
) -> Vec<Got> {
    serve(plan, async |connector, lane| {
        let mut answers = Vec::new();
        while let Some((pause, request)) = next(&answers) {
            if !pause.is_zero() {
                lane.clock().sleep_until(lane.clock().now() + pause).await;
            }
            answers.push(exchange(&connector, &lane, &request).await);
        }
        answers
    })
}

/// The answer to one request of a test that has its own order of things.
pub(crate) async fn exchange(connector: &MemoryConnector, lane: &Lane, request: &[u8]) -> Got {
    let mut stream = connector.connect().expect("the door is open");
    stream.write_all(request).await.expect("the request is taken");
    let mut bytes = Vec::new();
    // A connection that is broken on purpose has still said what it said.
    let _broken = stream.read_to_end(&mut bytes).await;
    parse(&bytes, lane.journal().entries().to_vec())
}

/// Serves a provider in virtual time for as long as a test lasts.
pub(crate) fn serve<T>(plan: Plan, test: impl AsyncFnOnce(MemoryConnector, Lane) -> T) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .expect("a runtime starts");
    runtime.block_on(async {
        let (listener, connector) = memory::listen();
        let lane = Lane::new(Arc::new(plan), Draws::new(1), Clock::simulated());
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let world = lane.clone();
        let server = tokio::spawn(async move {
            let stopped = async { drop(stopped.await) };
            server::run(listener, world, axum::Router::new(), stopped).await
        });
        let result = test(connector, lane).await;
        drop(stop);
        server.await.expect("the server does not panic").expect("the server ends well");
        result
    })
}

/// A recorded payload of `tests/fixtures`.
pub(crate) fn fixture(provider: &str, case: &str) -> Value {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(provider);
    let path = folder.join(format!("{case}.json"));
    let text =
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The keys of a value in their order, with the shape of what they hold, so that two answers that
/// differ in texts and numbers only look the same.
pub(crate) fn shape(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(_) => "bool".to_owned(),
        Value::Number(_) => "number".to_owned(),
        Value::String(_) => "string".to_owned(),
        Value::Array(items) => format!("[{}]", items.first().map(shape).unwrap_or_default()),
        Value::Object(fields) => {
            let fields = fields.iter().map(|(key, value)| format!("{key}:{}", shape(value)));
            format!("{{{}}}", fields.collect::<Vec<_>>().join(","))
        }
    }
}

fn parse(bytes: &[u8], journal: Vec<Entry>) -> Got {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
    let Some(end) = end else {
        return Got { status: 0, headers: Vec::new(), body: Vec::new(), journal };
    };
    let head = String::from_utf8_lossy(&bytes[..end]);
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok()).unwrap_or(0);
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let mut body = bytes[end + 4..].to_vec();
    if headers.iter().any(|(name, value)| name == "transfer-encoding" && value == "chunked") {
        body = unchunked(&body);
    }
    Got { status, headers, body, journal }
}

/// A body without its chunk sizes, as far as it goes.
fn unchunked(mut rest: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(line) = rest.windows(2).position(|two| two == b"\r\n") {
        let size = std::str::from_utf8(&rest[..line]).ok();
        let Some(size) = size.and_then(|size| usize::from_str_radix(size, 16).ok()) else { break };
        let chunk = rest.get(line + 2..).unwrap_or_default();
        body.extend_from_slice(&chunk[..size.min(chunk.len())]);
        rest = chunk.get(size + 2..).unwrap_or_default();
    }
    body
}
