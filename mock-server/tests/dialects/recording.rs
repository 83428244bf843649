//! Compares an answer with a recorded one.

use serde_json::Value;

use crate::play::{Got, fixture};

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
