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
fn anthropic_refuses_in_its_own_words() {
    let model = "claude-haiku-4-5";
    let small = |window| format!("provider: {{ models: {{ {model}: {{ window: {window} }} }} }}");
    is_as_recorded("anthropic-err_401_invalid_key", &fault("authentication"), &anthropic(""), &[]);
    is_as_recorded(
        "anthropic-err_401_missing_key",
        "",
        &request(
            "POST",
            "/v1/messages",
            "anthropic-version: 2023-06-01\r\nconnection: close\r\n",
            "{}",
        ),
        &[],
    );
    is_as_recorded(
        "anthropic-err_400_missing_version",
        "",
        &request("POST", "/v1/messages", "x-api-key: k\r\nconnection: close\r\n", "{}"),
        &[],
    );
    is_as_recorded(
        "anthropic-err_400_bad_version",
        "",
        &request(
            "POST",
            "/v1/messages",
            &format!("{ANTHROPIC}anthropic-version: 2023-06-01\r\n"),
            "{}",
        ),
        &[],
    );
    is_as_recorded("anthropic-err_400_max_tokens_missing", "", &message(model, ""), &[]);
    is_as_recorded(
        "anthropic-err_400_context_length",
        &small(7),
        &anthropic(""),
        &[("3333404", "8"), ("200000", "7")],
    );
    is_as_recorded(
        "anthropic-err_400_input_plus_max_tokens",
        &small(50),
        &anthropic(""),
        &[("143653", "8"), ("64000", "50"), ("200000", "50")],
    );
    is_as_recorded(
        "anthropic-err_400_content_filter_output",
        &fault("content-policy"),
        &anthropic(""),
        &[],
    );
    is_as_recorded(
        "anthropic-err_400_credit_balance",
        &fault("insufficient-quota"),
        &anthropic(""),
        &[],
    );
    is_as_recorded(
        "anthropic-err_404_route",
        "",
        &request("POST", "/v1/message", ANTHROPIC, "{}"),
        &[],
    );
    is_as_recorded(
        "anthropic-err_404_model_not_found",
        "provider: { models: { claude-opus-5: {} } }",
        &anthropic(""),
        &[("claude-sonet-4-5", model)],
    );
    is_as_recorded(
        "anthropic-err_429_requests",
        &fault("{ rate-limited: { retry-after: 12s } }"),
        &anthropic(""),
        &[("claude-opus-4-6", model)],
    );
    is_as_recorded("anthropic-err_500_api_error", &fault("server-error"), &anthropic(""), &[]);
    is_as_recorded("anthropic-err_504_timeout", &fault("gateway-timeout"), &anthropic(""), &[]);
    is_as_recorded("anthropic-err_529_overloaded", &fault("overloaded"), &anthropic(""), &[]);
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
    let google = "/v1beta/models/gemini-3.6-flahs:generateContent";
    is_as_recorded(
        "gemini-err_404_model_not_found",
        "",
        &request("POST", google, "x-goog-api-key: k\r\nconnection: close\r\n", "{}"),
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
    has_the_recorded_shape("anthropic-message_ok", &anthropic(""));
    has_the_recorded_shape("anthropic-message_stream_ok", &anthropic(r#","stream":true"#));
}
