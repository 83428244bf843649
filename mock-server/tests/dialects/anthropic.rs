//! Anthropic.

use mock_server::plan::Plan;
use serde_json::{Value, json};

use crate::play::{Got, ask, ask_all, fault, fixture, healthy, provider, request, shape};

const KEY: &str = "x-api-key: sk-ant-test";
const FIRST: &str = "anthropic-version: 2023-06-01";
const SECOND: &str = "anthropic-version: 2026-10-21";
const HAIKU: &str = "claude-haiku-4-5-20251001";

/// A request for a message.
fn message(fields: Value) -> Vec<u8> {
    sent("/v1/messages", &[KEY, FIRST], &whole(fields))
}

/// The fields of a message, with those that every message has.
fn whole(fields: Value) -> Value {
    let mut body = json!({
        "model": HAIKU,
        "max_tokens": 50,
        "messages": [{ "role": "user", "content": "hi" }],
    });
    let Value::Object(fields) = fields else { panic!("{fields} are no fields") };
    for (name, value) in fields {
        body[name] = value;
    }
    body
}

fn sent(path: &str, headers: &[&str], body: &Value) -> Vec<u8> {
    request("POST", path, headers, &body.to_string())
}

/// Compares an answer with what was recorded: status, body but for ids and the numbers given, and
/// the names of the headers.
#[track_caller]
fn is_as_recorded(case: &str, got: &Got, numbers: &[(&str, &str)]) {
    let recorded = fixture("anthropic", case);
    assert_eq!(i64::from(got.status), recorded["status"], "{case}: {}", got.text());
    let mut body = recorded["body_text"].as_str().unwrap().to_owned();
    for (theirs, ours) in numbers {
        assert!(body.contains(theirs), "{case} does not say `{theirs}`");
        body = body.replace(theirs, ours);
    }
    assert_eq!(without_ids(got.text()), without_ids(&body), "{case}");
    has_headers(case, got, &recorded);
    assert_eq!(
        got.header("x-should-retry"),
        recorded["headers"]["x-should-retry"].as_str().unwrap_or_default(),
        "{case}"
    );
}

#[track_caller]
fn has_headers(case: &str, got: &Got, recorded: &Value) {
    let names = recorded["headers"].as_object().unwrap().keys();
    let optional = |name: &&String| {
        name.contains("ratelimit") || ["date", "retry-after"].contains(&name.as_str())
    };
    let missing: Vec<&String> = names
        .filter(|name| !optional(name) && !got.headers.iter().any(|(ours, _)| ours == *name))
        .collect();
    assert!(missing.is_empty(), "{case} lacks {missing:?}");
}

fn without_ids(text: &str) -> String {
    let is_id = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words = text.split_inclusive(|c| !is_id(c)).map(|word| {
        let (id, rest) = word.split_at(word.trim_end_matches(|c| !is_id(c)).len());
        if id.starts_with("req_") { format!("<request>{rest}") } else { word.to_owned() }
    });
    words.collect()
}

/// The types of a stream's events, each named as its data says.
fn events(got: &Got) -> Vec<String> {
    let names = got.text().lines().filter_map(|line| line.strip_prefix("event: "));
    let names: Vec<String> = names.map(str::to_owned).collect();
    let types: Vec<String> = got
        .data()
        .iter()
        .map(|data| serde_json::from_str::<Value>(data).unwrap()["type"].as_str().unwrap().into())
        .collect();
    assert_eq!(names, types);
    names
}

/// The data of a stream's events of one type.
fn data(got: &Got, kind: &str) -> Vec<Value> {
    let all = got.data().into_iter().map(|data| serde_json::from_str::<Value>(data).unwrap());
    all.filter(|data| data["type"] == kind).collect()
}

#[test]
fn every_fault_is_worded_as_recorded() {
    let opus = ("claude-opus-4-6", HAIKU);
    for (case, action, numbers) in [
        ("err_401_invalid_key", json!({ "authentication": {} }), vec![]),
        ("err_401_oauth_not_allowed", json!({ "authentication": { "case": "oauth" } }), vec![]),
        ("err_400_content_filter_output", json!({ "content-policy": {} }), vec![]),
        ("err_400_credit_balance", json!({ "insufficient-quota": {} }), vec![]),
        ("err_402_billing", json!({ "insufficient-quota": { "case": "billing" } }), vec![]),
        ("err_429_spend_limit", json!({ "insufficient-quota": { "case": "spend-limit" } }), vec![]),
        ("err_400_effort_unsupported", json!({ "bad-request": { "case": "effort" } }), vec![]),
        (
            "err_400_image_dimensions",
            json!({ "bad-request": { "case": "image-dimensions" } }),
            vec![],
        ),
        ("err_400_shape_2024", json!({ "bad-request": { "case": "shape-2024" } }), vec![]),
        (
            "err_400_org_disabled",
            json!({ "permission": { "case": "organization-disabled" } }),
            vec![],
        ),
        ("err_403_permission_docs", json!({ "permission": {} }), vec![]),
        ("err_403_permission", json!({ "permission": { "case": "scope" } }), vec![]),
        ("err_403_forbidden_edge", json!({ "permission": { "case": "region" } }), vec![]),
        ("err_404_model_not_found", json!({ "not-found": {} }), vec![("claude-sonet-4-5", HAIKU)]),
        ("err_409_conflict", json!({ "conflict": {} }), vec![]),
        ("err_413_request_too_large", json!({ "request-too-large": {} }), vec![]),
        (
            "err_413_request_too_large_api",
            json!({ "request-too-large": { "case": "request" } }),
            vec![],
        ),
        ("err_429_requests", json!({ "rate-limited": { "retry-after": "12s" } }), vec![opus]),
        (
            "err_429_input_tokens",
            json!({ "rate-limited": { "retry-after": "2s", "limit": "input-tokens" } }),
            vec![opus],
        ),
        (
            "err_429_output_tokens",
            json!({ "rate-limited": { "retry-after": "2s", "limit": "output-tokens" } }),
            vec![opus, ("8,000", "30,000")],
        ),
        (
            "err_429_input_tokens_2025",
            json!({ "rate-limited": { "retry-after": "2s", "limit": "input-tokens", "case": "limit-2025" } }),
            vec![("20,000", "30,000")],
        ),
        (
            "err_429_acceleration",
            json!({ "rate-limited": { "case": "acceleration" } }),
            vec![("claude-3-haiku-20240307", HAIKU)],
        ),
        ("err_500_api_error", json!({ "server-error": {} }), vec![]),
        ("err_502_html", json!({ "bad-gateway": {} }), vec![]),
        ("err_503_upstream", json!({ "unavailable": {} }), vec![]),
        ("err_504_timeout", json!({ "gateway-timeout": {} }), vec![]),
        ("err_529_overloaded", json!({ "overloaded": {} }), vec![]),
        ("err_529_overloaded_2024", json!({ "overloaded": { "case": "overloaded-2024" } }), vec![]),
    ] {
        is_as_recorded(case, &ask(fault(action), &message(json!({}))), &numbers);
    }
}

#[test]
fn a_wrong_request_is_refused_as_recorded() {
    let said = |content: Value| json!([{ "role": "user", "content": content }]);
    let sonnet = json!({ "model": "claude-3-5-sonnet-20241022", "max_tokens": 100_000 });
    let no_limit = json!({ "model": HAIKU, "messages": said(json!("hi")) });
    let call = json!([{ "type": "tool_use", "id": "toolu_01A09q90qw90lq917835lq9", "name": "f", "input": {} }]);
    let empty =
        json!([{ "role": "assistant", "content": "" }, { "role": "user", "content": "hi" }]);
    for (case, request, numbers) in [
        ("err_401_missing_key", sent("/v1/messages", &[FIRST], &json!({})), vec![]),
        ("err_400_missing_version", sent("/v1/messages", &[KEY], &json!({})), vec![]),
        ("err_400_bad_version", sent("/v1/messages", &[KEY, FIRST, FIRST], &json!({})), vec![]),
        ("err_405_method", request("GET", "/v1/messages", &[KEY, FIRST], ""), vec![]),
        ("err_404_route", sent("/v1/message", &[KEY, FIRST], &json!({})), vec![]),
        ("err_400_max_tokens_missing", sent("/v1/messages", &[KEY, FIRST], &no_limit), vec![]),
        ("err_400_max_tokens_too_large", message(sonnet), vec![]),
        (
            "err_400_malformed_json",
            request("POST", "/v1/messages", &[KEY, FIRST], "{\"model\": "),
            vec![
                ("no low surrogate in string", "EOF while parsing a value"),
                ("203558", "10"),
                ("203557", "9"),
            ],
        ),
        (
            "err_400_empty_text_block",
            message(json!({ "messages": said(json!([{ "type": "text", "text": "" }])) })),
            vec![],
        ),
        (
            "err_400_empty_content",
            message(json!({ "messages": empty })),
            vec![("messages.11", "messages.0")],
        ),
        (
            "err_400_tool_use_without_result",
            message(json!({ "messages": [
                { "role": "user", "content": "hi" },
                { "role": "assistant", "content": "hello" },
                { "role": "assistant", "content": call },
                { "role": "user", "content": "and?" },
            ] })),
            vec![],
        ),
        (
            "err_400_effort_unsupported",
            message(json!({ "output_config": { "effort": "xhigh" } })),
            vec![],
        ),
    ] {
        is_as_recorded(case, &ask(healthy(), &request), &numbers);
    }
    let models = |window: u64| provider(json!({ "models": { HAIKU: { "window": window } } }));
    is_as_recorded(
        "err_400_context_length",
        &ask(models(7), &message(json!({}))),
        &[("3333404", "8"), ("200000", "7")],
    );
    is_as_recorded(
        "err_400_input_plus_max_tokens",
        &ask(models(50), &message(json!({}))),
        &[("143653", "8"), ("64000", "50"), ("200000", "50")],
    );
}

/// What Anthropic says of a request; empty if it takes it.
fn refusal(headers: &[&str], body: &Value) -> String {
    let got = ask(healthy(), &sent("/v1/messages", headers, body));
    if got.status == 200 {
        String::new()
    } else {
        got.json()["error"]["message"].as_str().unwrap().into()
    }
}

#[test]
fn what_is_wrong_is_named_with_its_place() {
    let block = |block: Value| json!({ "messages": [{ "role": "user", "content": [block] }] });
    let tool = |name: &str| json!({ "name": name, "input_schema": { "type": "object" } });
    let thinking = |budget: Value| json!({ "max_tokens": 2_000, "thinking": { "type": "enabled", "budget_tokens": budget } });
    for (fields, expected) in [
        (json!({}), ""),
        (json!({ "temperature": 0.5, "top_k": 3, "top_p": 1, "metadata": { "user_id": "u" } }), ""),
        (json!({ "temperature": 2 }), "temperature: range: 0..1"),
        (json!({ "max_tokens": "many" }), "max_tokens: Input should be a valid integer"),
        (json!({ "max_tokens": -1 }), "max_tokens: must be greater than or equal to 1"),
        (json!({ "model": 4 }), "model: Input should be a valid string"),
        (json!({ "n": 2 }), "n: Extra inputs are not permitted"),
        (json!({ "stream": "yes" }), "stream: Input should be a valid boolean"),
        (json!({ "messages": "hi" }), "messages: Input should be a valid list"),
        (json!({ "messages": [] }), "messages: at least one message is required"),
        (json!({ "messages": ["hi"] }), "messages.0: Input does not match the expected shape."),
        (json!({ "messages": [{ "role": "user" }] }), "messages.0.content: Field required"),
        (
            json!({ "messages": [{ "role": "bot", "content": "hi" }] }),
            "messages.0.role: Input should be 'user' or 'assistant'",
        ),
        (block(json!({ "text": "hi" })), "messages.0.content.0.type: Field required"),
        (block(json!({ "type": "text" })), "messages.0.content.0.text.text: Field required"),
        (
            block(json!({ "type": "tool_use", "id": "t", "name": "f", "input": "x" })),
            "messages.0.content.0.tool_use.input: Input should be a valid dictionary",
        ),
        (
            block(json!({ "type": "image", "source": { "type": "base64", "data": "AAAA" } })),
            "messages.0.content.0.image.source.base64.media_type: Field required",
        ),
        (
            block(
                json!({ "type": "image", "source": { "type": "url", "url": "https://x/y.png" } }),
            ),
            "",
        ),
        (block(json!({ "type": "document", "source": { "type": "text", "data": "x" } })), ""),
        (
            block(json!({ "type": "tool_result", "tool_use_id": "t" })),
            "messages.0.content.0: unexpected `tool_use_id` found in `tool_result` blocks: t. \
                 Each `tool_result` block must have a corresponding `tool_use` block in the \
                 previous message.",
        ),
        (json!({ "system": 4 }), "system: Input should be a valid list"),
        (
            json!({ "system": [{ "type": "text", "text": "be \
                 brief", "cache_control": { "type": "ephemeral" } }] }),
            "",
        ),
        (json!({ "tools": [{ "name": "f" }] }), "tools.0.custom.input_schema: Field required"),
        (
            json!({ "tools": [tool("f g")] }),
            "tools.0.custom.name: String should match pattern '^[a-zA-Z0-9_-]{1,128}$'",
        ),
        (json!({ "tools": [tool("f"), tool("f")] }), "tools: Tool names must be unique."),
        (json!({ "tools": [{ "type": "web_search_20250305", "name": "web_search" }] }), ""),
        (
            json!({ "tool_choice": { "type": "any" } }),
            "tool_choice may only be specified while providing tools.",
        ),
        (
            json!({ "tools": [tool("f")], "tool_choice": { "type": "tool", "name": "g" } }),
            "Tool 'g' not found in provided tools",
        ),
        (
            json!({ "stop_sequences": [" "] }),
            "stop_sequences: each stop sequence must contain non-whitespace",
        ),
        (thinking(json!(1_024)), ""),
        (
            thinking(json!(1_000)),
            "thinking.enabled.budget_tokens: Input should be greater than or equal to 1024",
        ),
        (thinking(Value::Null), "thinking.enabled.budget_tokens: Field required"),
        (
            json!({ "output_config": { "format": { "type": "json_schema", "schema": { "type": "object" } } } }),
            "",
        ),
        (
            json!({ "output_config": { "format": { "type": "json_schema" } } }),
            "output_config.format.schema: Field required",
        ),
    ] {
        assert_eq!(refusal(&[KEY, FIRST], &whole(fields.clone())), expected, "{fields}");
    }
}

#[test]
fn the_second_version_takes_no_sampling_and_fewer_blocks() {
    let bearer = "authorization: Bearer sk-ant-test";
    let document = json!({ "type": "document", "source": { "type": "text", "data": "x" } });
    let cited =
        json!([{ "type": "text", "text": "hi", "citations": [{ "type": "char_location" }] }]);
    for (fields, expected) in [
        (json!({}), ""),
        (json!({ "temperature": 1 }), "temperature: Extra inputs are not permitted"),
        (json!({ "top_k": null }), "top_k: Extra inputs are not permitted"),
        (
            json!({ "messages": [
                { "role": "user", "content": [document] },
                { "role": "assistant", "content": [document] },
            ] }),
            "messages.1.content.0: `document` blocks are not permitted in assistant messages",
        ),
        (
            json!({ "messages": [{ "role": "user", "content": cited }] }),
            "messages.0.content.0.text.citations: Extra inputs are not permitted",
        ),
    ] {
        assert_eq!(refusal(&[bearer, SECOND], &whole(fields.clone())), expected, "{fields}");
        let before = refusal(&[bearer, FIRST], &whole(fields.clone()));
        assert_eq!(before, "", "{fields}");
    }
}

/// Nothing that a client sends is more than a 400.
#[test]
fn a_hostile_body_is_refused() {
    let deep = "[".repeat(100_000);
    let deep_block = format!(
        r#"{{"model":"m","max_tokens":1,"messages":{}1{}}}"#,
        "[".repeat(120),
        "]".repeat(120)
    );
    for body in [
        "",
        "null",
        "[]",
        "4",
        "\"hi\"",
        &deep,
        &deep_block,
        r#"{"model":"","max_tokens":1,"messages":[]}"#,
        r#"{"model":"m","max_tokens":1e400,"messages":[]}"#,
        r#"{"model":"m","max_tokens":18446744073709551616,"messages":[{"role":"user","content":"hi"}]}"#,
        r#"{"model":"m","max_tokens":1,"messages":[{"role":"user","content":[[[]]]}]}"#,
        r#"{"model":"m","max_tokens":1,"messages":[{"role":"user","content":{"type":"text"}}]}"#,
        r#"{"model":"m","max_tokens":1,"messages":[{"role":"user","content":"a"}],"tools":{"name":"f"}}"#,
        r#"{"model":"m","max_tokens":1,"messages":[{"role":"user","content":"a"}],"tools":[4]}"#,
        r#"{"model":"m","max_tokens":1,"messages":[{"role":"user","content":"a"}],"thinking":4}"#,
        "\u{0}\u{1}",
    ] {
        let got = ask(healthy(), &request("POST", "/v1/messages", &[KEY, FIRST], body));
        let start: String = body.chars().take(60).collect();
        assert_eq!(got.status, 400, "{start}: {}", got.text());
        assert_eq!(got.json()["error"]["type"], "invalid_request_error", "{start}");
    }
}

#[test]
fn an_answer_has_the_keys_that_were_recorded() {
    let recorded = fixture("anthropic", "message_ok");
    let got = ask(healthy(), &message(recorded["request_body"].clone()));
    assert_eq!(shape(&got.json()), shape(&recorded["body"]));
    has_headers("message_ok", &got, &recorded);
    let got = ask(healthy(), &message(json!({ "model": "claude-haiku-4-5" })));
    assert_eq!(got.json()["model"], HAIKU);
    let id = got.json()["id"].as_str().unwrap().to_owned();
    assert!(id.starts_with("msg_01") && id.len() == 28, "{id}");
    assert_eq!(got.header("request-id").len(), 28);
    let got = ask(healthy(), &message(json!({ "max_tokens": 3 })));
    assert_eq!(got.json()["stop_reason"], "max_tokens");
    // The newest models tell what they thought.
    let recorded = fixture("anthropic", "message_stop_sequence_ok");
    let got = ask(healthy(), &message(json!({ "model": "claude-sonnet-5" })));
    assert_eq!(shape(&got.json()["usage"]), shape(&recorded["body"]["usage"]));
}

#[test]
fn a_stream_has_the_events_that_were_recorded() {
    let recorded = fixture("anthropic", "message_stream_ok");
    let slow = json!({ "answers": { "text": "Hello" }, "latency": { "first-token": "300ms" } });
    let streamed = message(json!({ "stream": true }));
    let got = ask(provider(slow), &streamed);
    has_headers("message_stream_ok", &got, &recorded);
    let lines = recorded["sse"].as_array().unwrap().iter().filter_map(Value::as_str);
    let theirs: Vec<&str> = lines.filter_map(|line| line.strip_prefix("event: ")).collect();
    let mut ours = events(&got);
    ours.dedup();
    assert_eq!(ours, theirs);
    // Key by key, but for the texts.
    let lines = recorded["sse"].as_array().unwrap().iter().filter_map(Value::as_str);
    for line in lines.filter_map(|line| line.strip_prefix("data: ")) {
        let theirs: Value = serde_json::from_str(line).unwrap();
        let ours = data(&got, theirs["type"].as_str().unwrap());
        assert_eq!(shape(&ours[0]), shape(&theirs), "{line}");
    }
    assert!(got.text().contains("data: {\"type\": \"ping\"}\n\n"));
    // An answer at once has no time for a ping, a long silence has time for more.
    let at_once = ask(healthy(), &streamed);
    assert!(!events(&at_once).contains(&"ping".to_owned()));
    let silence = provider(json!({ "latency": { "first-token": "50s" } }));
    assert_eq!(data(&ask(silence, &streamed), "ping").len(), 4);
}

#[test]
fn a_broken_stream_ends_with_the_error_as_recorded() {
    let streamed = message(json!({ "stream": true }));
    for (case, action) in [
        ("stream_error_overloaded_midstream", json!({ "stream-error": { "after": 1 } })),
        (
            "stream_error_api_error",
            json!({ "stream-error": { "after": 1, "error": "server-error" } }),
        ),
        ("stream_error_overloaded_first_event", json!({ "overloaded": { "case": "first-event" } })),
    ] {
        let got = ask(fault(action), &streamed);
        assert_eq!(got.status, 200, "{case}");
        assert_eq!(got.header("content-type"), "text/event-stream; charset=utf-8");
        let lines = fixture("anthropic", case)["sse"].clone();
        let lines: Vec<&str> = lines.as_array().unwrap().iter().filter_map(Value::as_str).collect();
        let at = lines.iter().position(|line| *line == "event: error").unwrap();
        let theirs = format!("{}\n{}\n\n", lines[at], lines[at + 1]);
        let ours = &got.text()[got.text().find("event: error").unwrap()..];
        assert_eq!(without_ids(ours), without_ids(&theirs), "{case}");
        let texts = lines.iter().filter(|line| line.contains("text_delta")).count();
        assert_eq!(data(&got, "content_block_delta").len(), texts, "{case}");
    }
}

#[test]
fn a_refusal_is_a_success_that_says_why() {
    let refusal = fault(json!({ "content-policy": { "case": "refusal" } }));
    let recorded = fixture("anthropic", "message_refusal_ok");
    let got = ask(refusal.clone(), &message(json!({})));
    assert_eq!(got.status, 200);
    assert_eq!(shape(&got.json()), shape(&recorded["body"]));
    assert_eq!(got.json()["stop_details"], recorded["body"]["stop_details"]);
    let streamed = message(json!({ "stream": true }));
    assert_eq!(
        events(&ask(refusal, &streamed)),
        ["message_start", "message_delta", "message_stop"]
    );
    let amid = fault(json!({ "stream-error": { "after": 1, "error": "content-policy" } }));
    let got = ask(amid, &streamed);
    let recorded = fixture("anthropic", "stream_refusal_ok");
    let lines = recorded["sse"].as_array().unwrap().iter().filter_map(Value::as_str);
    let theirs: Vec<&str> = lines.filter_map(|line| line.strip_prefix("event: ")).collect();
    let theirs: Vec<&str> = theirs.into_iter().filter(|event| *event != "ping").collect();
    assert_eq!(events(&got), theirs);
    assert_eq!(data(&got, "message_delta")[0]["delta"]["stop_reason"], "refusal");
}

/// The limit headers of an answer, without their prefix, as (name, value).
fn limits(got: &Got) -> Vec<(String, String)> {
    let named = got.headers.iter().filter_map(|(name, value)| {
        Some((name.strip_prefix("anthropic-ratelimit-")?.to_owned(), value.clone()))
    });
    named.collect()
}

#[test]
fn limits_are_told_with_their_sum() {
    let plan = || provider(json!({ "quota": { "requests": "5/min", "tokens": "10_000/min" } }));
    let all = ask_all(plan(), &vec![message(json!({})); 6]);
    let told = limits(&all[0]);
    let value = |name: &str| told.iter().find(|(told, _)| told == name).unwrap().1.clone();
    for (name, expected) in [
        ("requests-limit", "5"),
        ("requests-remaining", "4"),
        ("input-tokens-limit", "10000"),
        ("input-tokens-remaining", "9000"),
        ("output-tokens-limit", "2000"),
        ("output-tokens-remaining", "2000"),
        ("tokens-limit", "12000"),
        ("tokens-remaining", "11000"),
    ] {
        assert_eq!(value(name), expected, "{name}");
    }
    assert!(value("requests-reset").ends_with('Z'));
    assert_eq!(told.len(), 12);
    let refused = &all[5];
    assert_eq!((refused.status, refused.header("retry-after")), (429, "12"));
    assert!(refused.text().contains("rate limit of 5 requests per minute"));
    let remaining = limits(refused).into_iter().find(|(name, _)| name == "requests-remaining");
    assert_eq!(remaining.unwrap().1, "0");
    // Nothing limited, nothing told; and never of a count.
    assert!(limits(&ask(healthy(), &message(json!({})))).is_empty());
}

#[test]
fn tokens_are_counted_as_recorded() {
    let count = |plan: Plan, content: Value| {
        let body = json!({ "model": HAIKU, "messages": [{ "role": "user", "content": content }] });
        let got = ask(plan, &sent("/v1/messages/count_tokens", &[KEY, FIRST], &body));
        assert_eq!(got.status, 200, "{}", got.text());
        got
    };
    let recorded = fixture("anthropic", "count_tokens_ok");
    let got =
        count(healthy(), json!([{ "type": "text", "text": "What is the capital of France?" }]));
    has_headers("count_tokens_ok", &got, &recorded);
    // The estimate is one token off: the tokenizer is not public.
    assert_eq!(got.text(), r#"{"input_tokens":15}"#);
    assert_eq!(count(healthy(), json!("Hello!")).text(), r#"{"input_tokens":9}"#);
    let image = json!([{ "type": "image", "source": { "type": "url", "url": "https://x/y.png" } }]);
    assert_eq!(count(healthy(), image).text(), r#"{"input_tokens":1607}"#);
    let body = whole(json!({}));
    let got = ask(healthy(), &sent("/v1/messages/count_tokens", &[KEY, FIRST], &body));
    assert_eq!(got.json()["error"]["message"], "max_tokens: Extra inputs are not permitted");
    // Recorded of a tool without parameters: 543.
    let tool = json!([{ "name": "pelican_name_generator", "description": "", "input_schema": { "properties": {}, "type": "object" } }]);
    let said = json!([{ "role": "user", "content": "Generate one name for a pet pelican" }]);
    let got = ask(healthy(), &message(json!({ "tools": tool, "messages": said })));
    assert_eq!(got.json()["usage"]["input_tokens"], 538);
}

#[test]
fn the_models_are_listed_a_page_at_a_time() {
    let get =
        |path: &str, version: &str| ask(healthy(), &request("GET", path, &[KEY, version], ""));
    let recorded = fixture("anthropic", "models_list_ok");
    let got = get("/v1/models?limit=3", FIRST);
    assert_eq!(shape(&got.json()), shape(&recorded["body"]));
    has_headers("models_list_ok", &got, &recorded);
    let mut seen = Vec::new();
    let mut path = "/v1/models?limit=4".to_owned();
    loop {
        let page = get(&path, FIRST).json();
        let ids = page["data"].as_array().unwrap().iter().map(|model| model["id"].clone());
        seen.extend(ids);
        if page["has_more"] == false {
            break;
        }
        path = format!("/v1/models?limit=4&after_id={}", page["last_id"].as_str().unwrap());
    }
    let whole = get("/v1/models", FIRST).json();
    let ids: Vec<Value> =
        whole["data"].as_array().unwrap().iter().map(|model| model["id"].clone()).collect();
    assert_eq!(seen, ids);
    assert!(ids.iter().any(|id| *id == HAIKU));
    let one = get("/v1/models/claude-haiku-4-5", SECOND).json();
    assert_eq!(one["id"], HAIKU);
    assert_eq!((&one["lifecycle"], &one["max_tokens"]), (&json!("active"), &json!(64_000)));
    let listed = provider(json!({ "models": { HAIKU: {} } }));
    let got = ask(listed, &request("GET", "/v1/models/claude-9", &[KEY, FIRST], ""));
    assert_eq!((got.status, &got.json()["error"]["message"]), (404, &json!("model: claude-9")));
}

#[test]
fn every_path_that_an_sdk_builds_is_served() {
    for path in [
        "/v1/messages",
        "/messages",
        "/v1/v1/messages",
        "/v1//v1/messages",
        "/v1/messages?beta=true",
    ] {
        assert_eq!(
            ask(healthy(), &sent(path, &[KEY, FIRST], &whole(json!({})))).status,
            200,
            "{path}"
        );
    }
}

/// A request that must call a tool.
fn calling(more: Value) -> Vec<u8> {
    let schema = json!({
        "type": "object",
        "properties": { "name": { "type": "string" }, "age": { "type": "integer" } },
        "required": ["name", "age"],
    });
    let mut fields = json!({
        "max_tokens": 4_096,
        "tools": [{ "name": "person", "input_schema": schema }],
        "tool_choice": { "type": "tool", "name": "person" },
    });
    let Value::Object(more) = more else { panic!("{more} are no fields") };
    for (name, value) in more {
        fields[name] = value;
    }
    message(fields)
}

#[test]
fn a_tool_is_called_as_recorded() {
    let got = ask(healthy(), &calling(json!({})));
    let recorded = fixture("anthropic", "message_tool_use_ok");
    let (ours, theirs) = (got.json(), &recorded["body"]);
    assert_eq!(ours["stop_reason"], "tool_use");
    let call = &ours["content"][0];
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    // What was recorded since says who calls.
    assert_eq!(keys(call), [keys(&theirs["content"][0]), vec!["caller".to_owned()]].concat());
    assert!(call["id"].as_str().unwrap().starts_with("toolu_01"));
    assert!(call["input"]["age"].is_i64() && call["input"]["name"].is_string());
    // Streamed, the same input comes in fragments, the first of them empty.
    let got = ask(healthy(), &calling(json!({ "stream": true })));
    let start = &data(&got, "content_block_start")[0]["content_block"];
    assert_eq!((&start["input"], &start["id"]), (&json!({}), &call["id"]));
    let fragments: Vec<String> = data(&got, "content_block_delta")
        .iter()
        .map(|event| event["delta"]["partial_json"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(fragments[0], "");
    let input: Value = serde_json::from_str(&fragments.concat()).unwrap();
    assert_eq!(input, call["input"]);
    assert_eq!(data(&got, "message_delta")[0]["delta"]["stop_reason"], "tool_use");
    // Without arguments the empty fragment is the only one.
    let bare =
        json!([{ "name": "person", "input_schema": { "type": "object", "properties": {} } }]);
    let got = ask(healthy(), &calling(json!({ "stream": true, "tools": bare })));
    let recorded = fixture("anthropic", "message_stream_tool_use_ok");
    let lines = recorded["sse"].as_array().unwrap().iter().filter_map(Value::as_str);
    let theirs: Vec<&str> = lines.filter_map(|line| line.strip_prefix("event: ")).collect();
    let theirs: Vec<&str> = theirs.into_iter().filter(|event| *event != "ping").collect();
    assert_eq!(events(&got), theirs);
    let lines = recorded["sse"].as_array().unwrap().iter().filter_map(Value::as_str);
    for line in lines.filter_map(|line| line.strip_prefix("data: ")) {
        let theirs: Value = serde_json::from_str(line).unwrap();
        let ours = data(&got, theirs["type"].as_str().unwrap());
        assert!(ours.first().is_none_or(|ours| shape(ours) == shape(&theirs)), "{line}");
    }
}

#[test]
fn a_thought_comes_signed_before_the_text() {
    let thinking = json!({ "type": "enabled", "budget_tokens": 1_024 });
    let fields =
        |stream: bool| json!({ "max_tokens": 4_096, "thinking": thinking, "stream": stream });
    let whole = ask(healthy(), &message(fields(false))).json();
    let kinds: Vec<&Value> =
        whole["content"].as_array().unwrap().iter().map(|block| &block["type"]).collect();
    assert_eq!(kinds, ["thinking", "text"]);
    let got = ask(healthy(), &message(fields(true)));
    let recorded = fixture("anthropic", "message_stream_thinking_ok");
    let kinds = |texts: Vec<Value>| {
        let mut kinds: Vec<String> = texts
            .iter()
            .map(|event| {
                let kind = event["delta"]["type"].as_str();
                format!("{}{}", kind.unwrap_or(event["type"].as_str().unwrap()), event["index"])
            })
            .collect();
        kinds.dedup();
        kinds
    };
    let all = |lines: Vec<&str>| {
        let values = lines.iter().map(|line| serde_json::from_str::<Value>(line).unwrap());
        kinds(values.filter(|value| value["type"] != "ping").collect())
    };
    let lines = recorded["sse"].as_array().unwrap().iter().filter_map(Value::as_str);
    let theirs = lines.filter_map(|line| line.strip_prefix("data: ")).collect();
    assert_eq!(all(got.data()), all(theirs));
    let thought: String = data(&got, "content_block_delta")
        .iter()
        .filter_map(|event| event["delta"]["thinking"].as_str().map(str::to_owned))
        .collect();
    assert_eq!(whole["content"][0]["thinking"], thought);
    // A thought that is not to be shown is not.
    let hidden = json!({ "type": "adaptive", "display": "omitted" });
    let got = ask(healthy(), &message(json!({ "max_tokens": 4_096, "thinking": hidden })));
    assert_eq!(got.json()["content"][0]["type"], "text");
}

#[test]
fn an_answer_ends_where_it_is_told_to() {
    let fixed = provider(json!({ "answers": { "text": "Dogs are cool" } }));
    let fields = json!({ "stop_sequences": ["cool"], "model": "claude-sonnet-5" });
    let got = ask(fixed.clone(), &message(fields)).json();
    let recorded = fixture("anthropic", "message_stop_sequence_ok");
    assert_eq!(shape(&got), shape(&recorded["body"]));
    assert_eq!(got["stop_sequence"], "cool");
    assert!(got["content"][0]["text"].as_str().unwrap().ends_with("Dogs are "));
    let got = ask(fixed, &message(json!({ "stop_sequences": ["cool"], "stream": true })));
    let end = &data(&got, "message_delta")[0]["delta"];
    assert_eq!(
        (&end["stop_reason"], &end["stop_sequence"]),
        (&json!("stop_sequence"), &json!("cool"))
    );
}

#[test]
fn json_is_written_by_its_schema() {
    let schema = json!({
        "type": "object",
        "properties": { "city": { "type": "string" } },
        "required": ["city"],
        "additionalProperties": false,
    });
    let format = json!({ "format": { "type": "json_schema", "schema": schema } });
    let got =
        ask(healthy(), &message(json!({ "output_config": format, "max_tokens": 1_000 }))).json();
    let written: Value = serde_json::from_str(got["content"][0]["text"].as_str().unwrap()).unwrap();
    assert!(written["city"].is_string());
}
