//! Compares an answer with a recorded one.

use serde_json::{Value, json};

use crate::play::{Got, ask_all, fixture, healthy, request};

/// Headers that the world around a recording put there, or that only stand where limits are set.
const NOISE: [&str; 4] = ["date", "content-length", "transfer-encoding", "connection"];

/// The answer has the recording's status, its header names but for `without`, and its body letter
/// by letter once each `replaced` text of the recording is another.
pub(crate) fn same(
    got: &Got,
    provider: &str,
    case: &str,
    replaced: &[(&str, &str)],
    without: &[&str],
) {
    let recorded = fixture(provider, case);
    assert_eq!(i64::from(got.status), recorded["status"], "{case}");
    has_headers(got, provider, case, without);
    let mut body = recorded["body_text"].as_str().expect("the fixture is whole").to_owned();
    for (old, new) in replaced {
        assert!(body.contains(old), "{case} does not say {old}");
        body = body.replace(old, new);
    }
    assert_eq!(got.text(), body, "{case}");
}

/// Every header name of the recording is there.
pub(crate) fn has_headers(got: &Got, provider: &str, case: &str, without: &[&str]) {
    let recorded = fixture(provider, case);
    for name in recorded["headers"].as_object().expect("the fixture is whole").keys() {
        let expected = !NOISE.contains(&name.as_str()) && !without.contains(&name.as_str());
        let found = got.headers.iter().any(|(known, _)| known == name);
        assert!(found || !expected, "{case} has {name}: {:?}", got.headers);
    }
}

/// The data of the events of a recorded stream.
pub(crate) fn events(provider: &str, case: &str) -> Vec<Value> {
    let recorded = fixture(provider, case);
    let lines = recorded["sse"].as_array().expect("the fixture is whole");
    let data = lines.iter().filter_map(|line| line.as_str()?.strip_prefix("data: "));
    data.filter(|data| *data != "[DONE]")
        .map(|data| serde_json::from_str(data).expect("the fixture is whole"))
        .collect()
}

/// Whatever stands in a field of a request or of its first message, it is answered as HTTP wants it
/// and in JSON, or refused.
pub(crate) fn survives_every_value(path: &str, header: &str, body: &Value) {
    let deep = (0..100).fold(json!([]), |deep, _| json!([deep]));
    let huge = json!(f64::MAX);
    let values = [
        json!(null),
        json!(true),
        json!(-1),
        json!(u64::MAX),
        huge,
        json!(""),
        json!("é\u{0}<"),
        json!([]),
        json!([null, 7, "x", {}]),
        json!({}),
        json!({ "type": [], "function": { "name": 7 } }),
        deep,
    ];
    let mut bodies = Vec::new();
    for value in &values {
        bodies.push(value.clone());
        for name in body.as_object().expect("a body is an object").keys() {
            let mut body = body.clone();
            body[name] = value.clone();
            bodies.push(body);
        }
        for name in ["role", "content", "tool_calls", "tool_call_id", "prefix"] {
            let mut body = body.clone();
            if let Some(message) = body.pointer_mut("/messages/0") {
                message[name] = value.clone();
                bodies.push(body);
            }
        }
    }
    let requests = bodies.iter().map(|body| request("POST", path, &[header], &body.to_string()));
    for (got, body) in ask_all(healthy(), &requests.collect::<Vec<_>>()).iter().zip(&bodies) {
        assert!((200..600).contains(&got.status), "{path} breaks on {body}");
        assert!(!got.body.is_empty(), "{path} says nothing to {body}");
    }
}
