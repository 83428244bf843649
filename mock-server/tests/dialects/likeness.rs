//! What we send, beside what was recorded or quoted in public.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::play::{Got, fixture};

/// Compares an answer with a payload, byte for byte but for ids; `numbers` are the texts of the
/// payload that our request cannot reproduce, with ours.
#[track_caller]
pub(crate) fn is_as_recorded(provider: &str, case: &str, got: &Got, numbers: &[(&str, &str)]) {
    let recorded = fixture(provider, case);
    assert_eq!(i64::from(got.status), recorded["status"], "{case}: {}", got.text());
    let mut body = recorded["body_text"].as_str().unwrap().to_owned();
    for (theirs, ours) in numbers {
        assert!(body.contains(theirs), "{case} does not say `{theirs}`: {body}");
        body = body.replace(theirs, ours);
    }
    assert_eq!(without_ids(got.text()), without_ids(&body), "{case}");
    has_the_recorded_headers(&recorded, case, got, &["ratelimit"]);
}

/// Checks that an answer has every header of a payload but those whose names hold a word.
#[track_caller]
pub(crate) fn has_the_recorded_headers(recorded: &Value, case: &str, got: &Got, but: &[&str]) {
    let ours: BTreeSet<&str> = got.headers.iter().map(|(name, _)| name.as_str()).collect();
    let theirs = recorded["headers"].as_object().unwrap().keys();
    let missing: Vec<&String> = theirs
        .filter(|name| !but.iter().any(|word| name.contains(word)))
        // What a server in between counted, and whose account it was.
        .filter(|name| !name.contains("envoy") && *name != "openai-project")
        .filter(|name| !ours.contains(name.as_str()))
        .collect();
    assert!(missing.is_empty(), "{case} lacks {missing:?} in {:?}", got.headers);
    // Types of content are compared whole: clients read them.
    if let Some(theirs) = recorded["headers"].get("content-type").and_then(Value::as_str) {
        assert_eq!(got.header("content-type"), theirs, "{case}");
    }
}

/// A text with every id in it replaced by its shape.
pub(crate) fn without_ids(text: &str) -> String {
    let is_id = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let words = text.split_inclusive(|c| !is_id(c)).map(|word| {
        let (id, rest) = word.split_at(word.trim_end_matches(|c| !is_id(c)).len());
        let hex = |id: &str| id.bytes().all(|byte| byte.is_ascii_hexdigit());
        let is_uuid = id.len() == 36 && id.split('-').all(hex) && id.contains('-');
        match () {
            () if id.starts_with("req_") => format!("<request id>{rest}"),
            () if id.len() == 32 && hex(id) => format!("<32 hex digits>{rest}"),
            () if is_uuid => format!("<uuid>{rest}"),
            () => word.to_owned(),
        }
    });
    words.collect()
}

/// The keys of a value in their order, with those of all that it holds; whether something is null
/// or a text is the answer's own.
pub(crate) fn keys(value: &Value) -> String {
    match value {
        Value::Object(fields) => {
            let fields = fields.iter().map(|(key, value)| format!("{key}:{}", keys(value)));
            format!("{{{}}}", fields.collect::<Vec<_>>().join(","))
        }
        Value::Array(items) => format!("[{}]", items.first().map(keys).unwrap_or_default()),
        Value::Number(_) => "number".to_owned(),
        _ => "_".to_owned(),
    }
}

/// The lines of a recorded stream.
pub(crate) fn lines(recorded: &Value) -> Vec<&str> {
    recorded["sse"].as_array().unwrap().iter().filter_map(Value::as_str).collect()
}

/// The events of a stream by their keys, runs of equal ones made one.
pub(crate) fn events<'a>(lines: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let mut shapes = Vec::new();
    for line in lines {
        let shape = match line.strip_prefix("data: ").map(serde_json::from_str::<Value>) {
            Some(Ok(data)) => keys(&data),
            _ if line.starts_with("event: ") => continue,
            _ => line.to_owned(),
        };
        if !shape.is_empty() && shapes.last() != Some(&shape) {
            shapes.push(shape);
        }
    }
    shapes
}
