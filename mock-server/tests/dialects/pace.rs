//! Does a stream keep its gaps, whatever made one of its events late?

use std::time::Duration;

use mock_server::{journal::Entry, lane::Lane};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::play::{provider, request, serve};

/// A stream of so many tokens with so long a gap between two, from a client that begins to read
/// after a while; how long the answer took.
fn took(tokens: u32, gap: &str, patience: Duration) -> Duration {
    let plan = provider(json!({
        "latency": { "first-token": "1s", "between-tokens": gap },
        // The marks around the words are two of the tokens.
        "answers": { "tokens": (tokens - 2).to_string() },
    }));
    let body = json!({
        "model": "gpt-4o-mini", "stream": true, "messages": [{ "role": "user", "content": "hi" }],
    });
    let asked = request(
        "POST",
        "/v1/chat/completions",
        &["authorization: Bearer sk-test"],
        &body.to_string(),
    );
    serve(plan, async |connector, lane: Lane| {
        let mut stream = connector.connect().unwrap();
        stream.write_all(&asked).await.unwrap();
        lane.clock().sleep_until(lane.clock().now() + patience).await;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        let journal = lane.journal();
        let times = journal.entries().iter().filter_map(|entry| match entry {
            Entry::Claimed(claimed) => Some(claimed.at),
            Entry::Ended(ended) => Some(ended.at),
            _ => None,
        });
        let times: Vec<u64> = times.collect();
        Duration::from_nanos(times[1] - times[0])
    })
}

#[test]
fn what_a_timer_is_late_does_not_add_up() {
    // The timers of the machine count whole milliseconds, and wake late rather than early.
    let exact = Duration::from_secs(1) + Duration::from_micros(1_500) * 99;
    let took = took(100, "1500us", Duration::ZERO);
    assert!(exact <= took && took <= exact + Duration::from_millis(1), "{took:?}");
}

#[test]
fn a_client_that_reads_late_gets_the_rest_in_time() {
    // More than the connection holds is written after eight seconds, when the client reads.
    let patience = Duration::from_secs(8);
    let exact = Duration::from_secs(1) + Duration::from_millis(20) * 399;
    assert_eq!(took(400, "20ms", patience), exact);
    // A model does not wait for its readers: what is late is sent at once.
    assert_eq!(took(300, "20ms", patience), patience);
}
