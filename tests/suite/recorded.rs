//! Are the providers' words their own? What we send, beside what was recorded or quoted in public.
//!
//! Each file in `tests/recorded` names its source. Ids differ from request to request, so they are
//! compared by shape; everything else is compared byte for byte.

use std::{collections::BTreeSet, fs};

use serde_json::Value;

use crate::{
    program::root,
    wire::{request, serve},
};

const OPENAI: &str = "authorization: Bearer bad-key-0123456789test\r\nconnection: close\r\n";
const ANTHROPIC: &str = "x-api-key: k\r\nanthropic-version: 2023-06-01\r\nconnection: close\r\n";

/// A request to one provider.
fn chat(model: &str, more: &str) -> Vec<u8> {
    let body =
        format!(r#"{{"model":"{model}","messages":[{{"role":"user","content":"hi"}}]{more}}}"#);
    request("POST", "/v1/chat/completions", OPENAI, &body)
}

fn message(model: &str, more: &str) -> Vec<u8> {
    let body =
        format!(r#"{{"model":"{model}","messages":[{{"role":"user","content":"hi"}}]{more}}}"#);
    request("POST", "/v1/messages", ANTHROPIC, &body)
}

fn openai(more: &str) -> Vec<u8> {
    chat("gpt-4o-mini", more)
}

fn anthropic(more: &str) -> Vec<u8> {
    message("claude-haiku-4-5", &format!(r#","max_tokens":50{more}"#))
}

fn fault(fault: &str) -> String {
    format!("rules:\n  - fault: {fault}")
}

/// Compares an answer with what was recorded; `numbers` are the numbers of the recorded text that
/// our request cannot reproduce, with ours.
#[track_caller]
fn is_as_recorded(case: &str, scenario: &str, request: &[u8], numbers: &[(&str, &str)]) {
    let path = root().join("tests/recorded").join(format!("{case}.json"));
    let recorded: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    let got = serve(scenario).send(request);
    let status = format!("HTTP/1.1 {}", recorded["status"]);
    assert!(got.head.starts_with(&status), "{case}: {}", got.head);
    let mut body = recorded["body"].as_str().unwrap().to_owned();
    for (theirs, ours) in numbers {
        assert!(body.contains(theirs), "{case} does not say `{theirs}`");
        body = body.replace(theirs, ours);
    }
    assert_eq!(without_ids(&got.body), without_ids(&body), "{case}");
    let ours: BTreeSet<&str> =
        got.head.lines().skip(1).filter_map(|line| Some(line.split_once(':')?.0)).collect();
    let optional = |name: &&str| {
        !name.contains("ratelimit") && *name != "retry-after" && *name != "openai-organization"
    };
    let theirs = recorded["headers"].as_array().unwrap().iter().filter_map(Value::as_str);
    let missing: Vec<&str> = theirs.filter(optional).filter(|name| !ours.contains(name)).collect();
    assert!(missing.is_empty(), "{case} lacks {missing:?} in {}", got.head);
}

/// A text with every id of a request replaced by its shape.
fn without_ids(text: &str) -> String {
    let is_id = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words = text.split_inclusive(|c| !is_id(c)).map(|word| {
        let (id, rest) = word.split_at(word.trim_end_matches(|c| !is_id(c)).len());
        let hex = id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
        match (id.starts_with("req_"), hex) {
            (true, _) => format!("<request id>{rest}"),
            (_, true) => format!("<32 hex digits>{rest}"),
            _ => word.to_owned(),
        }
    });
    words.collect()
}

#[test]
fn openai_refuses_in_its_own_words() {
    let tiny = "provider: { models: { gpt-4o-mini: { window: 7 } } }";
    let model = "gpt-4o-mini";
    is_as_recorded(
        "openai-err_401_invalid_api_key_chat",
        &fault("authentication"),
        &openai(""),
        &[],
    );
    is_as_recorded(
        "openai-err_401_missing_key",
        "",
        &request("POST", "/v1/chat/completions", "connection: close\r\n", "{}"),
        &[],
    );
    is_as_recorded(
        "openai-err_400_malformed_json",
        "",
        &request("POST", "/v1/chat/completions", OPENAI, "{"),
        &[],
    );
    is_as_recorded(
        "openai-err_400_missing_required_parameter",
        "",
        &request("POST", "/v1/chat/completions", OPENAI, r#"{"model":"m"}"#),
        &[("messages[5].content[0].type", "messages")],
    );
    is_as_recorded(
        "openai-err_404_invalid_url",
        "",
        &request("POST", "/v1/chat/completion", OPENAI, ""),
        &[],
    );
    is_as_recorded(
        "openai-err_404_model_not_found_chat",
        "provider: { models: { gpt-4o: {} } }",
        &openai(""),
        &[("not-found-TEST_CHAT_MODEL", model)],
    );
    is_as_recorded(
        "openai-err_405_method",
        "",
        &request("GET", "/v1/chat/completions", OPENAI, ""),
        &[],
    );
    is_as_recorded(
        "openai-err_400_context_length_chat",
        tiny,
        &openai(""),
        &[("128000", "7"), ("204308", "8")],
    );
    is_as_recorded(
        "openai-err_400_context_length_chat_with_completion",
        tiny,
        &openai(r#","max_tokens":1000"#),
        &[("8192", "7"), ("8702", "1008"), ("7702", "8")],
    );
    is_as_recorded(
        "openai-err_400_invalid_prompt_policy",
        &fault("content-policy"),
        &openai(""),
        &[],
    );
    is_as_recorded(
        "openai-err_429_insufficient_quota_gateway",
        &fault("insufficient-quota"),
        &openai(""),
        &[],
    );
    is_as_recorded("openai-err_429_slow_down", &fault("rate-limited"), &openai(""), &[]);
    is_as_recorded(
        "openai-err_500_server_error_request_id",
        &fault("server-error"),
        &openai(""),
        &[],
    );
    is_as_recorded("openai-err_502_cf_bad_gateway", &fault("bad-gateway"), &openai(""), &[]);
    is_as_recorded("openai-err_503_server_overloaded", &fault("overloaded"), &openai(""), &[]);
    is_as_recorded("openai-err_503_engine_overloaded", &fault("unavailable"), &openai(""), &[]);
    let suffix = " You can increase your rate limit by adding a payment method to your account at https://platform.openai.com/account/billing.";
    is_as_recorded(
        "openai-err_429_rate_limit_rpm",
        &fault("{ rate-limited: { retry-after: 20s } }"),
        &openai(""),
        &[("gpt-3.5-turbo", model), (suffix, "")],
    );
    is_as_recorded(
        "openai-err_429_rate_limit_tpm",
        &fault("{ rate-limited: { retry-after: 644ms, limit: tokens } }"),
        &openai(""),
        &[("gpt-4o", model), ("Used 29937, Requested 385", "Used 30000, Requested 322")],
    );
}

#[test]
fn providers_that_are_not_served_yet_answer_in_their_404_shape() {
    let azure = "/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21";
    is_as_recorded(
        "azure-err_404_resource_not_found",
        "",
        &request("POST", azure, "api-key: k\r\nconnection: close\r\n", "{}"),
        &[],
    );
}

/// The keys of an object, in order, with those of its objects.
fn shape(value: &Value) -> String {
    match value {
        Value::Object(fields) => {
            let fields = fields.iter().map(|(key, value)| format!("{key}:{}", shape(value)));
            format!("{{{}}}", fields.collect::<Vec<_>>().join(","))
        }
        Value::Array(items) => format!("[{}]", items.first().map(shape).unwrap_or_default()),
        // What is null here may be a text there.
        _ => "_".to_owned(),
    }
}

#[track_caller]
fn has_the_recorded_shape(case: &str, request: &[u8]) {
    let path = root().join("tests/recorded").join(format!("{case}.json"));
    let recorded: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    let got = serve("").send(request);
    assert!(got.head.starts_with("HTTP/1.1 200"), "{}", got.head);
    if let Some(body) = recorded["body"].as_str() {
        let parse = |text: &str| shape(&serde_json::from_str(text).unwrap());
        assert_eq!(parse(&got.body), parse(body), "{case}");
    } else {
        let lines = recorded["sse"].as_array().unwrap().iter().filter_map(Value::as_str);
        assert_eq!(events(got.body.lines()), events(lines), "{case}");
    }
}

/// The events of a stream by shape, runs of equal ones made one.
fn events<'a>(lines: impl Iterator<Item = &'a str>) -> Vec<String> {
    let lines = lines.filter(|line| line.starts_with("data: ") || line.starts_with("event: "));
    let mut shapes: Vec<String> = lines
        .map(|line| match line.strip_prefix("data: ").map(serde_json::from_str) {
            Some(Ok(data)) => shape(&data),
            _ => line.to_owned(),
        })
        .collect();
    // A stream has as many pieces as its text: an event and its data line stand for all of them.
    let mut index = 2;
    while index + 1 < shapes.len() {
        if shapes[index] == shapes[index - 1] {
            shapes.remove(index);
        } else if shapes[index..=index + 1] == shapes[index - 2..index] {
            shapes.drain(index..=index + 1);
        } else {
            index += 1;
        }
    }
    shapes
}

#[test]
fn answers_have_the_fields_that_were_recorded_in_their_order() {
    has_the_recorded_shape("openai-chat_ok", &chat("gpt-5", ""));
    has_the_recorded_shape(
        "openai-chat_stream_usage_ok",
        &chat("gpt-5.4", r#","stream":true,"stream_options":{"include_usage":true}"#),
    );
}

/// What a limit says, in its text and in its headers, is one story.
#[test]
fn a_limit_announces_one_wait() {
    let spent = |quota: &str, fault: &str, bytes: &[u8]| {
        let served = serve(&format!("provider: {{ quota: {{ {quota} }} }}\n{fault}"));
        let first = served.send(bytes);
        if fault.is_empty() { served.send(bytes) } else { first }
    };
    for (quota, unit) in [
        ("requests: 1/s", "requests per second (RPS): Limit 1, Used 1, Requested 1."),
        ("requests: 1/min", "requests per min (RPM): Limit 1, Used 1, Requested 1."),
        ("requests: 1/h", "requests per hour (RPH): Limit 1, Used 1, Requested 1."),
        ("requests: 1/day", "requests per day (RPD): Limit 1, Used 1, Requested 1."),
        ("tokens: 8/min", "tokens per min (TPM): Limit 8, Used 8, Requested 8."),
    ] {
        let got = spent(quota, "", &openai(""));
        assert!(got.head.starts_with("HTTP/1.1 429") && got.body.contains(unit), "{}", got.body);
    }
    for (quota, unit) in [
        ("requests: 1/s", "1 requests per second"),
        ("requests: 1/h", "1 requests per hour"),
        ("tokens: 8/day", "8 input tokens per day"),
    ] {
        let got = spent(quota, "", &anthropic(""));
        assert!(got.head.starts_with("HTTP/1.1 429") && got.body.contains(unit), "{}", got.body);
    }
    let got = spent("", &fault("{ rate-limited: { retry-after: 1500ms } }"), &openai(""));
    assert!(got.body.contains("Limit 40, Used 40, Requested 1. Please try again in 1.5s."));
    assert!(got.head.contains("retry-after: 2\r\nretry-after-ms: 1500\r\n"), "{}", got.head);
}

#[test]
fn anthropic_tells_all_its_limits_and_waits_in_whole_seconds() {
    let names = ["requests", "input-tokens", "output-tokens", "tokens"];
    for (limit, exhausted) in [("requests", "requests"), ("tokens", "input-tokens")] {
        let fault =
            fault(&format!("{{ rate-limited: {{ retry-after: 1500ms, limit: {limit} }} }}"));
        let got = serve(&fault).send(&anthropic(""));
        assert!(got.head.contains("\r\nretry-after: 2\r\n"), "{}", got.head);
        assert!(!got.head.contains("retry-after-ms"), "{}", got.head);
        for name in names {
            for part in ["limit", "remaining", "reset"] {
                let header = format!("\r\nanthropic-ratelimit-{name}-{part}: ");
                assert!(got.head.contains(&header), "{header} in {}", got.head);
            }
            let none = format!("anthropic-ratelimit-{name}-remaining: 0\r\n");
            assert_eq!(got.head.contains(&none), name == exhausted, "{none} in {}", got.head);
        }
    }
    let asked = fault("{ rate-limited: { retry-after: 1500ms, hint: milliseconds } }");
    assert!(serve(&asked).send(&anthropic("")).head.contains("\r\nretry-after-ms: 1500\r\n"));
}

#[test]
fn openai_refuses_parameters_that_make_no_sense() {
    let served = serve("");
    let of = |model: &str, more: &str| served.send(&chat(model, more));
    for (more, text, code) in [
        (
            r#","max_tokens":0"#,
            "Invalid 'max_tokens': integer below minimum value. Expected a value >= 1, but got 0 instead.",
            "integer_below_min_value",
        ),
        (
            r#","max_completion_tokens":-1"#,
            "Invalid 'max_completion_tokens': integer below minimum value. Expected a value >= 1, but got -1 instead.",
            "integer_below_min_value",
        ),
        (
            r#","max_tokens":"many""#,
            "Invalid type for 'max_tokens': expected an integer, but got a string instead.",
            "invalid_type",
        ),
        (
            r#","max_tokens":1.5"#,
            "Invalid type for 'max_tokens': expected an integer, but got a decimal number instead.",
            "invalid_type",
        ),
        (
            r#","stream":"yes""#,
            "Invalid type for 'stream': expected a boolean, but got a string instead.",
            "invalid_type",
        ),
        (
            r#","messages":[7]"#,
            "Invalid type for 'messages[0]': expected an object, but got an integer instead.",
            "invalid_type",
        ),
        (
            r#","messages":[{"content":"hi"}]"#,
            "Missing required parameter: 'messages[0].role'.",
            "missing_required_parameter",
        ),
    ] {
        let got = of("gpt-4o-mini", more);
        assert!(got.head.starts_with("HTTP/1.1 400"), "{more}: {}", got.head);
        assert!(got.head.contains("openai-processing-ms"), "{more}: {}", got.head);
        let body: Value = serde_json::from_str(&got.body).unwrap();
        assert_eq!(
            (&body["error"]["message"], &body["error"]["code"]),
            (&text.into(), &code.into())
        );
    }
    let text = "Unsupported parameter: 'max_tokens' is not supported with this model. Use \
                'max_completion_tokens' instead.";
    for model in ["gpt-5", "o3-mini"] {
        assert!(of(model, r#","max_tokens":9"#).body.contains(text));
        assert!(of(model, r#","max_completion_tokens":9"#).head.starts_with("HTTP/1.1 200"));
    }
    assert!(of("gpt-4o-mini", r#","max_tokens":null,"stream":null"#).head.contains(" 200 "));
}

#[test]
fn anthropic_refuses_parameters_that_make_no_sense() {
    let served = serve("");
    let model = "claude-haiku-4-5";
    for (more, text) in [
        (r#","max_tokens":0"#, "max_tokens: must be greater than or equal to 1"),
        (r#","max_tokens":-3"#, "max_tokens: must be greater than or equal to 1"),
        (
            r#","max_tokens":64001"#,
            "max_tokens: 64001 > 64000, which is the maximum allowed number of output tokens for claude-haiku-4-5",
        ),
        (r#","max_tokens":9,"stream":1"#, "stream: Input should be a valid boolean"),
        (
            r#","max_tokens":9,"messages":["x"]"#,
            "messages.0: Input does not match the expected shape.",
        ),
        (r#","max_tokens":9,"messages":[{"role":"user"}]"#, "messages.0.content: Field required"),
        (
            r#","max_tokens":9,"messages":[{"role":"user","content":""}]"#,
            "messages.0: all messages must have non-empty content except for the optional final assistant message",
        ),
        (
            r#","max_tokens":9,"messages":[{"role":"user","content":[{"type":"text","text":""}]}]"#,
            "messages: text content blocks must be non-empty",
        ),
    ] {
        let got = served.send(&message(model, more));
        assert!(got.head.starts_with("HTTP/1.1 400"), "{more}: {}", got.head);
        let body: Value = serde_json::from_str(&got.body).unwrap();
        assert_eq!(body["error"]["message"], text, "{more}");
    }
    for name in ["temperature", "top_p", "top_k"] {
        let bytes = String::from_utf8(anthropic(&format!(r#","{name}":1"#))).unwrap();
        assert!(served.send(bytes.as_bytes()).head.starts_with("HTTP/1.1 200"));
        let got = served.send(bytes.replace("2023-06-01", "2026-10-21").as_bytes());
        assert!(got.head.starts_with("HTTP/1.1 400") && got.body.contains(name), "{}", got.body);
    }
}
