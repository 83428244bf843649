//! A provider and a client with settings of its own, in one process and on a clock that never waits.

use std::sync::Arc;

use brownout::{
    harness::draws,
    scenario::{Scenario, Source},
};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{client::conn::http1, header::HOST};
use hyper_util::rt::TokioIo;
use mock_server::{
    clock::Clock,
    journal::{Claimed, Ended, Entry},
    lane::Lane,
    memory::{self, MemoryConnector},
    server,
};
use resilience_core::{
    Answer, Attempt, Failure, Usage,
    classify::{self, Transport},
};
use serde_json::{Value, json};

/// Both ends of the wire.
pub(crate) struct World {
    pub(crate) connector: MemoryConnector,
    pub(crate) clock: Clock,
}

/// A scenario from its text, which must be sound.
pub(crate) fn scenario(text: &str) -> Scenario {
    let source = Source::new("world.yaml", text.to_owned());
    Scenario::read("world", "world", source)
        .unwrap_or_else(|diagnostics| panic!("{diagnostics:?} in\n{text}"))
}

/// Lets a client loose on a scenario's provider: what it came back with, and the provider's journal.
pub(crate) fn in_virtual_time<T>(
    scenario: &Scenario,
    seed: u64,
    client: impl AsyncFnOnce(World) -> T,
) -> (T, Vec<Entry>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async {
        let clock = Clock::simulated();
        let lane = Lane::new(Arc::clone(&scenario.plan), draws(scenario, seed), clock);
        let (listener, connector) = memory::listen();
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let server =
            tokio::spawn(server::run(listener, lane.clone(), axum::Router::new(), async {
                let _told = stopped.await.is_ok();
            }));
        let came_back = client(World { connector, clock }).await;
        drop(stop);
        server.await.unwrap().unwrap();
        let journal = lane.journal();
        assert!(!journal.is_full());
        (came_back, journal.entries().to_vec())
    })
}

/// The attempts that the provider saw, in their order, each with its end.
pub(crate) fn attempts(entries: &[Entry]) -> Vec<(&Claimed, &Ended)> {
    let claimed = entries.iter().filter_map(|entry| match entry {
        Entry::Claimed(claimed) => Some(claimed.as_ref()),
        Entry::Connection(_) | Entry::Ended(_) | Entry::Outcome(_) => None,
    });
    let end = |attempt| {
        let ends = entries.iter().filter_map(|entry| match entry {
            Entry::Ended(ended) => Some(ended),
            Entry::Claimed(_) | Entry::Connection(_) | Entry::Outcome(_) => None,
        });
        ends.clone().find(|ended| ended.attempt == attempt).unwrap()
    };
    claimed.map(|claimed| (claimed, end(claimed.attempt))).collect()
}

/// Makes one attempt as a careful application would write it: a connection of its own, and every header read.
pub(crate) async fn send(
    connector: MemoryConnector,
    attempt: Attempt,
) -> Result<Answer<String>, Failure> {
    let failed =
        |transport, error: &dyn ToString| classify::transport(transport, &error.to_string());
    attempt.connecting();
    let stream = connector.connect().map_err(|error| failed(Transport::Connect, &error))?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| failed(Transport::Connect, &error))?;
    drop(tokio::spawn(async move { connection.await.is_ok() }));
    attempt.connected();
    let messages: Vec<Value> = attempt
        .messages
        .iter()
        .map(|message| json!({ "role": "user", "content": message.text }))
        .collect();
    let mut body = json!({ "model": attempt.model(), "messages": messages });
    if let Some(most) = attempt.output_max {
        body["max_completion_tokens"] = most.into();
    }
    let request = http::Request::post("/v1/chat/completions")
        .header(HOST, "localhost")
        .header("authorization", "Bearer sk-world")
        .header("content-type", "application/json")
        .header("x-brownout-call", attempt.call.to_string())
        .body(Full::new(Bytes::from(body.to_string())))
        .unwrap();
    let response =
        sender.send_request(request).await.map_err(|error| failed(Transport::Reset, &error))?;
    let (head, body) = response.into_parts();
    let body = body.collect().await.map_err(|error| failed(Transport::Reset, &error))?.to_bytes();
    let headers: Vec<(&str, &str)> = head
        .headers
        .iter()
        .filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)))
        .collect();
    attempt.headers(&headers);
    if head.status.is_success()
        && let Ok(answer) = serde_json::from_slice::<Value>(&body)
        && let Some(text) = answer.pointer("/choices/0/message/content").and_then(Value::as_str)
    {
        let tokens = |name| answer.pointer(name).and_then(Value::as_u64);
        let usage = tokens("/usage/prompt_tokens").zip(tokens("/usage/completion_tokens"));
        let usage = usage.map(|(input, output)| Usage { input, output });
        return Ok(Answer { value: text.to_owned(), usage });
    }
    let (provider, status) = (attempt.target().provider, head.status.as_u16());
    Err(classify::response(provider, status, &headers, &body, None))
}
