//! What a limit says, in its text and in its headers, is one story.

use serde_json::Value;

use crate::wire::{request, serve};

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
