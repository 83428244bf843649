//! OpenAI.

use mock_server::plan::Plan;
use serde_json::{Value, json};

use crate::{
    likeness::{events, has_the_recorded_headers, is_as_recorded, keys, lines, without_ids},
    play::{Got, ask, ask_all, fault, fixture, healthy, provider, request},
};

const KEY: &str = "authorization: Bearer bad-key-0123456789test";

fn post(path: &str, body: &Value) -> Vec<u8> {
    request("POST", path, &[KEY], &body.to_string())
}

/// A body with more in it.
fn with(mut body: Value, more: &Value) -> Value {
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

fn chat(more: &Value) -> Vec<u8> {
    let body = json!({ "model": "gpt-4o-mini", "messages": [{ "role": "user", "content": "hi" }] });
    post("/v1/chat/completions", &with(body, more))
}

fn responses(more: &Value) -> Vec<u8> {
    post("/v1/responses", &with(json!({ "model": "gpt-4o-mini", "input": "hi" }), more))
}

fn completions(more: &Value) -> Vec<u8> {
    let body = json!({ "model": "davinci-002", "prompt": "Say this is a test" });
    post("/v1/completions", &with(body, more))
}

fn embeddings(more: &Value) -> Vec<u8> {
    let body = json!({ "model": "text-embedding-3-small", "input": "hello world" });
    post("/v1/embeddings", &with(body, more))
}

/// A provider with limits, so that their headers are there.
fn limited() -> Plan {
    provider(json!({ "quota": { "requests": "500/min", "tokens": "30_000/min" } }))
}

fn window(model: &str, window: u64) -> Plan {
    provider(json!({ "models": { model: { "window": window } } }))
}

#[test]
fn faults_are_worded_as_recorded() {
    let none = &json!({});
    let model = &[("gpt-3.5-turbo", "gpt-4o-mini")][..];
    for (case, action, bytes, numbers) in [
        ("err_401_invalid_api_key_chat", json!({ "authentication": {} }), chat(none), &[][..]),
        (
            "err_401_invalid_api_key_completions",
            json!({ "authentication": {} }),
            completions(none),
            &[("sk-wrong****-key", "bad-key-**********test")],
        ),
        (
            "err_401_invalid_api_key_responses",
            json!({ "authentication": {} }),
            responses(none),
            &[("invalid-key", "bad-key-**********test")],
        ),
        (
            "err_401_no_organization",
            json!({ "authentication": { "case": "no-organization" } }),
            chat(none),
            &[],
        ),
        (
            "err_401_mismatched_organization",
            json!({ "authentication": { "case": "mismatched-organization" } }),
            chat(none),
            &[],
        ),
        (
            "err_401_account_deactivated",
            json!({ "authentication": { "case": "account-deactivated" } }),
            chat(none),
            &[],
        ),
        (
            "err_403_unsupported_country",
            json!({ "permission": { "case": "country" } }),
            chat(none),
            &[],
        ),
        ("err_403_project_model_access", json!({ "permission": {} }), chat(none), &[]),
        (
            "err_404_model_deprecated_chat",
            json!({ "not-found": { "case": "deprecated" } }),
            chat(none),
            &[("gpt-3.5-turbo-0613", "gpt-4o-mini")],
        ),
        ("err_400_invalid_prompt_policy", json!({ "content-policy": {} }), chat(none), &[]),
        (
            "err_400_content_policy_violation_images",
            json!({ "content-policy": { "case": "safety-system" } }),
            chat(none),
            &[],
        ),
        (
            "err_400_org_not_verified_stream",
            json!({ "bad-request": { "case": "unverified-organization" } }),
            chat(&json!({ "stream": true })),
            &[],
        ),
        (
            "err_429_insufficient_quota_gateway",
            json!({ "insufficient-quota": {} }),
            chat(none),
            &[],
        ),
        (
            "err_429_insufficient_quota_app",
            json!({ "insufficient-quota": {} }),
            responses(none),
            &[],
        ),
        (
            "err_429_billing_not_active",
            json!({ "insufficient-quota": { "case": "billing-not-active" } }),
            chat(none),
            &[],
        ),
        ("err_429_slow_down", json!({ "rate-limited": {} }), chat(none), &[]),
        (
            "err_429_rate_limit_rpm",
            json!({ "rate-limited": { "retry-after": "20s", "case": "unpaid-limit" } }),
            chat(none),
            model,
        ),
        (
            "err_429_rate_limit_rpd",
            json!({ "rate-limited": { "retry-after": "432s", "case": "unpaid-limit" } }),
            chat(none),
            model,
        ),
        (
            "err_429_rate_limit_tpm",
            json!({ "rate-limited": { "retry-after": "644ms", "limit": "tokens" } }),
            chat(none),
            &[
                ("gpt-4o", "gpt-4o-mini"),
                ("Used 29937, Requested 385", "Used 30000, Requested 322"),
            ],
        ),
        (
            "err_429_rate_limit_responses",
            json!({ "rate-limited": { "retry-after": "14690ms", "limit": "tokens" } }),
            responses(none),
            &[
                ("gpt-4o", "gpt-4o-mini"),
                ("Used 25000, Requested 12345", "Used 30000, Requested 7345"),
            ],
        ),
        ("err_500_server_error", json!({ "server-error": { "case": "sorry" } }), chat(none), &[]),
        ("err_500_server_error_request_id", json!({ "server-error": {} }), chat(none), &[]),
        ("err_502_cf_bad_gateway", json!({ "bad-gateway": {} }), chat(none), &[]),
        ("err_502_cf_html", json!({ "bad-gateway": { "case": "page" } }), chat(none), &[]),
        ("err_503_server_overloaded", json!({ "overloaded": {} }), chat(none), &[]),
        ("err_503_engine_overloaded", json!({ "unavailable": {} }), chat(none), &[]),
        (
            "err_503_model_overloaded_legacy",
            json!({ "unavailable": { "case": "model" } }),
            chat(none),
            &[],
        ),
        ("err_504_cf_gateway_timeout", json!({ "gateway-timeout": {} }), chat(none), &[]),
        ("err_413_request_too_large", json!({ "request-too-large": {} }), chat(none), &[]),
        ("chat_refusal_ok", json!({ "content-policy": { "case": "refusal" } }), chat(none), &[]),
    ] {
        let got = ask(fault(action), &bytes);
        if case == "chat_refusal_ok" {
            let recorded = fixture("openai", case);
            let theirs: Value =
                serde_json::from_str(recorded["body_text"].as_str().unwrap()).unwrap();
            assert_eq!(got.json()["choices"], theirs["choices"]);
            assert_eq!(keys(&got.json()), keys(&theirs));
            continue;
        }
        is_as_recorded("openai", case, &got, numbers);
    }
}

#[test]
fn what_is_wrong_is_refused_as_recorded() {
    let none = &json!({});
    let elsewhere = || provider(json!({ "models": { "gpt-4o": {} } }));
    let nowhere = "/v1/chat/completion";
    let many = "word ".repeat(9_000);
    for (case, plan, bytes, numbers) in [
        (
            "err_401_missing_key",
            healthy(),
            request("POST", "/v1/chat/completions", &[], "{}"),
            &[][..],
        ),
        (
            "err_400_malformed_json",
            healthy(),
            request("POST", "/v1/chat/completions", &[KEY], "{"),
            &[],
        ),
        ("err_400_missing_model", healthy(), post("/v1/chat/completions", none), &[]),
        (
            "err_400_missing_required_parameter",
            healthy(),
            chat(&json!({ "messages": [{ "role": "user", "content": [{ "text": "x" }] }] })),
            &[("messages[5]", "messages[0]")],
        ),
        ("err_400_unknown_parameter", healthy(), chat(&json!({ "quality": 1 })), &[]),
        (
            "err_400_unsupported_parameter_max_tokens",
            healthy(),
            chat(&json!({ "model": "o3-mini", "max_tokens": 9 })),
            &[],
        ),
        (
            "err_400_unsupported_value_temperature",
            healthy(),
            chat(&json!({ "model": "gpt-5", "temperature": 0.2 })),
            &[],
        ),
        (
            "err_400_unsupported_value_system_role",
            healthy(),
            chat(
                &json!({ "model": "o1-mini", "messages": [{ "role": "system", "content": "x" }] }),
            ),
            &[],
        ),
        ("err_400_temperature_responses", healthy(), responses(&json!({ "temperature": -1 })), &[]),
        ("err_400_max_tokens_too_large", healthy(), chat(&json!({ "max_tokens": 24576 })), &[]),
        ("err_400_empty_messages", healthy(), chat(&json!({ "messages": [] })), &[]),
        ("err_404_invalid_url", healthy(), request("POST", nowhere, &[KEY], "{}"), &[]),
        ("err_405_method", healthy(), request("GET", "/v1/chat/completions", &[KEY], ""), &[]),
        (
            "err_404_model_not_found_chat",
            elsewhere(),
            chat(none),
            &[("not-found-TEST_CHAT_MODEL", "gpt-4o-mini")],
        ),
        (
            "err_404_model_not_found_embeddings",
            elsewhere(),
            embeddings(none),
            &[("not-found-model", "text-embedding-3-small")],
        ),
        (
            "err_400_model_not_found_responses",
            elsewhere(),
            responses(none),
            &[("invalid-model", "gpt-4o-mini")],
        ),
        (
            "err_400_context_length_chat",
            window("gpt-4o-mini", 7),
            chat(none),
            &[("128000", "7"), ("204308", "8")],
        ),
        (
            "err_400_context_length_chat_with_completion",
            window("gpt-4o-mini", 7),
            chat(&json!({ "max_tokens": 1000 })),
            &[("8192", "7"), ("8702", "1008"), ("7702", "8")],
        ),
        (
            "err_400_context_length_chat_functions",
            window("gpt-4o-mini", 7),
            chat(&json!({ "max_tokens": 1000, "functions": [{ "name": "f", "parameters": {} }] })),
            // 3 + 4 + 1 for the message; 7 + 12 and the name with its colon for the function.
            &[("8192", "7"), ("8702", "1029"), ("7500", "8"), ("202", "21")],
        ),
        (
            "err_400_context_length_chat_gpt5",
            window("gpt-5", 6),
            chat(&json!({ "model": "gpt-5" })),
            &[("272000", "6"), ("300007", "7")],
        ),
        ("err_400_context_length_responses", window("gpt-4o-mini", 7), responses(none), &[]),
        (
            "err_400_context_length_completions",
            window("davinci-002", 7),
            completions(&json!({ "max_tokens": 3072 })),
            &[("4097", "7"), ("4116", "3077"), ("1044", "5")],
        ),
        (
            "err_400_context_length_embeddings",
            healthy(),
            embeddings(&json!({ "input": ["short", many] })),
            &[("8238", "9001")],
        ),
        (
            "err_429_request_too_large",
            provider(json!({ "quota": { "tokens": "5/min" } })),
            chat(none),
            &[("gpt-4o", "gpt-4o-mini"), ("30000", "5"), ("31538", "8")],
        ),
    ] {
        is_as_recorded("openai", case, &ask(plan, &bytes), numbers);
    }
}

/// Checks an answer against a recorded one: the same keys in the same order, and the headers.
#[track_caller]
fn has_the_recorded_shape(case: &str, got: &Got) {
    let recorded = fixture("openai", case);
    assert_eq!(i64::from(got.status), recorded["status"], "{case}: {}", got.text());
    if let Some(body) = recorded["body_text"].as_str() {
        let theirs: Value = serde_json::from_str(body).unwrap();
        assert_eq!(keys(&got.json()), keys(&theirs), "{case}");
        // The whitespace at the end is the provider's too.
        let end = |text: &str| text.rsplit('}').next().unwrap_or_default().to_owned();
        assert_eq!(end(got.text()), end(body), "{case}");
    } else {
        assert_eq!(events(got.text().lines()), events(lines(&recorded)), "{case}");
    }
    has_the_recorded_headers(&recorded, case, got, &["x-request-id"]);
}

#[test]
fn healthy_answers_have_the_recorded_fields_in_their_order() {
    let stream = json!({ "stream": true });
    let usage = json!({ "stream": true, "stream_options": { "include_usage": true } });
    for (case, bytes) in [
        ("chat_ok", chat(&json!({ "model": "gpt-5", "service_tier": "priority" }))),
        ("chat_length_ok", chat(&json!({ "model": "gpt-4o", "max_tokens": 2 }))),
        (
            "chat_stream_no_usage_ok",
            chat(&with(stream.clone(), &json!({ "model": "gpt-3.5-turbo" }))),
        ),
        ("chat_stream_usage_ok", chat(&with(usage, &json!({ "model": "gpt-5.4" })))),
        ("completions_ok", completions(&json!({}))),
        ("completions_stream_ok", completions(&stream)),
        ("embeddings_float_ok", embeddings(&json!({}))),
        (
            "embeddings_base64_ok",
            embeddings(&json!({ "encoding_format": "base64", "dimensions": 512 })),
        ),
        ("models_list_ok", request("GET", "/v1/models", &[KEY], "")),
        ("responses_ok", responses(&json!({ "model": "gpt-4.1-nano" }))),
    ] {
        has_the_recorded_shape(case, &ask(limited(), &bytes));
    }
}

#[test]
fn an_answer_names_the_dated_model() {
    for (asked, answered) in [
        ("gpt-4o", "gpt-4o-2024-08-06"),
        ("gpt-4o-2024-11-20", "gpt-4o-2024-11-20"),
        ("gpt-4.1-mini", "gpt-4.1-mini-2025-04-14"),
        ("gpt-5", "gpt-5-2025-08-07"),
        ("gpt-5-nano", "gpt-5-nano-2025-08-07"),
        ("gpt-3.5-turbo", "gpt-3.5-turbo-0125"),
        ("somebodys-model", "somebodys-model"),
    ] {
        let got = ask(healthy(), &chat(&json!({ "model": asked })));
        assert_eq!(got.json()["model"], answered);
    }
}

#[test]
fn the_events_of_a_response_are_those_that_were_recorded() {
    let got = ask(healthy(), &responses(&json!({ "stream": true })));
    assert_eq!(got.header("content-type"), "text/event-stream; charset=utf-8");
    let names = |got: &Got| {
        let mut names: Vec<String> = Vec::new();
        for data in got.data() {
            let event: Value = serde_json::from_str(data).unwrap();
            let name = event["type"].as_str().unwrap().to_owned();
            if names.last() != Some(&name) {
                names.push(name);
            }
        }
        names
    };
    let opening = ["response.created", "response.in_progress"];
    let message = [
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
    ];
    assert_eq!(names(&got), [&opening[..], &message, &["response.completed"]].concat());
    // Every number is there, in order, and each event's name is its type.
    for (number, data) in got.data().iter().enumerate() {
        let event: Value = serde_json::from_str(data).unwrap();
        assert_eq!(event["sequence_number"], number);
        assert!(data.starts_with("{\"type\":"), "{data}");
        let name = event["type"].as_str().unwrap();
        assert!(got.text().contains(&format!("event: {name}\ndata: {data}\n\n")), "{name}");
    }
    assert!(!got.text().contains("[DONE]"));
    let cut = ask(healthy(), &responses(&json!({ "stream": true, "max_output_tokens": 16 })));
    assert_eq!(names(&cut).last().unwrap(), "response.incomplete");
    let last: Value = serde_json::from_str(cut.data().last().unwrap()).unwrap();
    assert_eq!(last["response"]["status"], "incomplete");
    assert_eq!(last["response"]["incomplete_details"], json!({ "reason": "max_output_tokens" }));
    assert_eq!(last["response"]["output"][0]["status"], "incomplete");
}

#[test]
fn a_long_silence_of_a_response_is_kept_alive() {
    let slow = provider(json!({ "latency": { "first-token": "50s" } }));
    let recorded = fixture("openai", "responses_stream_keepalive_ok");
    // The tool of the recording, which the model does not call.
    let tools = json!([{
        "type": "function", "name": "test_tool", "description": "d", "parameters": {
            "properties": { "user": { "type": "string" } }, "required": ["user"],
            "type": "object", "additionalProperties": false,
        },
    }]);
    let got = ask(
        slow,
        &responses(&json!({ "model": "gpt-4.1", "stream": true, "store": false, "tools": tools })),
    );
    let beats = got.data().iter().filter(|data| data.contains("keepalive")).count();
    assert_eq!(beats, 2);
    assert_eq!(got.data()[2], r#"{"type":"keepalive","sequence_number":2}"#);
    assert_eq!(events(got.text().lines()), events(lines(&recorded)));
}

#[test]
fn a_response_says_again_what_was_asked() {
    let format = json!({ "format": { "type": "json_schema", "name": "n", "schema": { "type": "object", "properties": {}, "additionalProperties": false } } });
    let got = ask(
        healthy(),
        &responses(&json!({
            "instructions": "be brief", "temperature": 0, "previous_response_id": "resp_1",
            "metadata": { "a": "b" }, "text": format, "max_output_tokens": 400, "store": false,
        })),
    );
    let body = got.json();
    for (name, value) in [
        ("instructions", json!("be brief")),
        ("temperature", json!(0.0)),
        ("previous_response_id", json!("resp_1")),
        ("metadata", json!({ "a": "b" })),
        ("max_output_tokens", json!(400)),
        ("store", json!(false)),
    ] {
        assert_eq!(body[name], value, "{name}");
    }
    assert_eq!(
        keys(&body["text"]["format"]),
        "{type:_,description:_,name:_,schema:{type:_,properties:{},additionalProperties:_},strict:_}"
    );
}

#[test]
fn input_is_counted_by_openais_rules() {
    let input = |got: &Got, name: &str| got.json()["usage"][name].as_u64().unwrap();
    let turns = json!([
        { "role": "system", "content": "be brief" },
        { "role": "user", "content": "hi" },
        { "role": "assistant", "content": "hello" },
        { "role": "user", "content": [{ "type": "text", "text": "hi" }] },
    ]);
    // 3 + (4 + 2) + (4 + 1) + (4 + 1) + (4 + 1); of models that think one less, and two more for
    // what the assistant said.
    for (model, tokens) in [("gpt-4o", 24), ("gpt-3.5-turbo", 24), ("gpt-5", 25), ("o3-mini", 25)] {
        let got = ask(healthy(), &chat(&json!({ "model": model, "messages": turns })));
        assert_eq!(input(&got, "prompt_tokens"), tokens, "{model}");
        let got = ask(
            healthy(),
            &responses(
                &json!({ "model": model, "input": turns.as_array().unwrap().iter().map(|turn| json!({ "role": turn["role"], "content": turn["content"].as_str().unwrap_or("hi") })).collect::<Vec<_>>() }),
            ),
        );
        assert_eq!(input(&got, "input_tokens"), tokens, "{model}");
    }
    for (recorded, bytes, name, tokens) in [
        // Recorded: 14, 8 and 7 tokens.
        (
            "responses_ok",
            responses(
                &json!({ "model": "gpt-4.1-nano", "input": "What is the capital of France?" }),
            ),
            "input_tokens",
            14,
        ),
        (
            "completions_ok",
            completions(&json!({ "prompt": ["Tell me a joke about opentelemetry"] })),
            "prompt_tokens",
            8,
        ),
        (
            "embeddings_float_ok",
            embeddings(&json!({ "input": "Ruby is a programmer's best friend" })),
            "prompt_tokens",
            7,
        ),
        (
            "chat_ok",
            chat(
                &json!({ "model": "gpt-5", "messages": [{ "role": "user", "content": "Say hello" }] }),
            ),
            "prompt_tokens",
            8,
        ),
    ] {
        assert_eq!(input(&ask(healthy(), &bytes), name), tokens, "{recorded}");
    }
}

#[test]
fn embeddings_depend_on_their_text_alone() {
    let got = ask(healthy(), &embeddings(&json!({ "input": ["a", "b", "a"] }))).json();
    assert_eq!(got["data"][0]["embedding"], got["data"][2]["embedding"]);
    assert_ne!(got["data"][0]["embedding"], got["data"][1]["embedding"]);
    assert_eq!(got["data"][1]["index"], 1);
    for (model, more, length) in [
        ("text-embedding-3-small", json!({}), 1536),
        ("text-embedding-3-large", json!({}), 3072),
        ("text-embedding-ada-002", json!({}), 1536),
        ("text-embedding-3-large", json!({ "dimensions": 256 }), 256),
        ("text-embedding-3-small", json!({ "input": [[1, 2, 3]] }), 1536),
    ] {
        let got = ask(healthy(), &embeddings(&with(more, &json!({ "model": model })))).json();
        let vector = got["data"][0]["embedding"].as_array().unwrap();
        assert_eq!(vector.len(), length, "{model}");
        let squares = vector.iter().map(|number| number.as_f64().unwrap().powi(2));
        assert!((squares.sum::<f64>() - 1.0).abs() < 1e-4, "{model}");
    }
    // The two forms are the same numbers: 512 of four bytes are 2,732 letters.
    let got =
        ask(healthy(), &embeddings(&json!({ "encoding_format": "base64", "dimensions": 512 })));
    assert_eq!(got.json()["data"][0]["embedding"].as_str().unwrap().len(), 2_732);
}

/// Each text must fit, not all of them together.
#[test]
fn a_batch_of_texts_may_be_longer_than_the_window() {
    let text = "word ".repeat(5_000);
    let got = ask(healthy(), &embeddings(&json!({ "input": [text, text, text] })));
    assert_eq!(got.status, 200, "{}", got.text());
    assert_eq!(got.json()["data"].as_array().unwrap().len(), 3);
}

#[test]
fn limits_are_told_where_openai_tells_them() {
    let headers = |bytes: &[u8]| {
        let got = ask(limited(), bytes);
        (
            got.header("x-ratelimit-limit-requests").to_owned(),
            got.header("x-ratelimit-reset-requests").to_owned(),
        )
    };
    let (none, some) = ((String::new(), String::new()), ("500".to_owned(), "120ms".to_owned()));
    for (bytes, expected) in [
        (chat(&json!({})), &some),
        (chat(&json!({ "stream": true })), &some),
        (responses(&json!({})), &some),
        (responses(&json!({ "stream": true })), &none),
        (completions(&json!({})), &some),
        (embeddings(&json!({})), &some),
        (request("GET", "/v1/models", &[KEY], ""), &none),
    ] {
        assert_eq!(headers(&bytes), *expected, "{}", String::from_utf8_lossy(&bytes));
    }
}

#[test]
fn a_streamed_response_that_fails_says_so_with_the_next_number() {
    let failing = |case: Value| fault(json!({ "stream-error": case }));
    let stream = &json!({ "stream": true, "model": "gpt-5" });
    for (recorded, action) in [
        ("stream_responses_error_overloaded", json!({ "error": "overloaded", "after": 0 })),
        ("stream_responses_failed_rate_limit", json!({ "error": "rate-limited", "after": 0 })),
        (
            "stream_responses_error_flat",
            json!({ "error": "server-error", "case": "flat", "after": 2 }),
        ),
    ] {
        let theirs = fixture("openai", recorded);
        let got = ask(failing(action), &responses(stream));
        let last = |lines: &[&str]| -> Vec<(String, Value)> {
            let from = lines
                .iter()
                .position(|line| *line == "event: error" || *line == "event: response.failed");
            let lines = lines[from.unwrap()..].iter().filter(|line| !line.is_empty());
            let pairs = lines.collect::<Vec<_>>();
            pairs
                .chunks(2)
                .map(|two| {
                    (
                        two[0].to_string(),
                        serde_json::from_str(two[1].strip_prefix("data: ").unwrap()).unwrap(),
                    )
                })
                .collect()
        };
        let ours = last(&got.text().lines().collect::<Vec<_>>());
        let theirs = last(&lines(&theirs));
        assert_eq!(ours.len(), theirs.len(), "{recorded}");
        for ((our_name, ours), (their_name, theirs)) in ours.iter().zip(&theirs) {
            assert_eq!(our_name, their_name, "{recorded}");
            if ours["error"].is_object() {
                assert_eq!(keys(ours), keys(theirs), "{recorded}");
                assert_eq!(ours["error"]["code"], theirs["error"]["code"], "{recorded}");
            }
            assert_eq!(ours["response"]["error"]["code"], theirs["response"]["error"]["code"]);
            assert_eq!(ours["message"], theirs["message"], "{recorded}");
        }
        for (number, data) in got.data().iter().enumerate() {
            let event: Value = serde_json::from_str(data).unwrap();
            assert_eq!(event["sequence_number"], number, "{recorded}");
        }
    }
}

#[test]
fn a_streamed_chat_ends_as_recorded_when_it_fails() {
    let stream = &json!({ "stream": true });
    let last = |got: &Got| got.data().last().unwrap().to_string();
    let got = ask(
        fault(json!({ "stream-error": { "error": "server-error", "after": 1 } })),
        &chat(stream),
    );
    let theirs = fixture("openai", "stream_chat_error_midstream");
    let theirs = lines(&theirs).into_iter().rfind(|line| !line.is_empty()).unwrap();
    assert_eq!(without_ids(&format!("data: {}", last(&got))), without_ids(theirs));
    let filter = json!({ "stream-error": { "error": "content-policy", "after": 1 } });
    let got = ask(fault(filter), &chat(stream));
    assert_eq!(last(&got), "[DONE]");
    let cut: Value = serde_json::from_str(got.data()[got.data().len() - 2]).unwrap();
    assert_eq!(cut["choices"][0]["finish_reason"], "content_filter");
    let first: Value = serde_json::from_str(got.data()[0]).unwrap();
    assert_eq!(cut["id"], first["id"]);
}

#[test]
fn parameters_that_make_no_sense_are_refused_by_name() {
    let tool = json!({ "type": "function", "function": { "name": "f", "parameters": {} } });
    let call = json!({ "role": "assistant", "tool_calls": [{ "id": "call_1", "type": "function", "function": { "name": "f", "arguments": "{}" } }] });
    let user = json!({ "role": "user", "content": "hi" });
    for (more, message, param) in [
        (
            json!({ "n": 0 }),
            "Invalid 'n': integer below minimum value. Expected a value >= 1, but got 0 instead.",
            "n",
        ),
        (
            json!({ "n": 129 }),
            "Invalid 'n': integer above maximum value. Expected a value <= 128, but got 129 instead.",
            "n",
        ),
        (
            json!({ "temperature": 2.5 }),
            "Invalid 'temperature': decimal above maximum value. Expected a value <= 2, but got 2.5 instead.",
            "temperature",
        ),
        (
            json!({ "temperature": "hot" }),
            "Invalid type for 'temperature': expected a decimal, but got a string instead.",
            "temperature",
        ),
        (
            json!({ "stop": ["a", "b", "c", "d", "e"] }),
            "Invalid 'stop': array too long. Expected an array with maximum length 4, but got an array with length 5 instead.",
            "stop",
        ),
        (
            json!({ "tools": [] }),
            "Invalid 'tools': empty array. Expected an array with minimum length 1, but got an empty array instead.",
            "tools",
        ),
        (
            json!({ "tools": [{ "type": "function", "function": { "name": "a b" } }] }),
            "Invalid 'tools[0].function.name': string does not match pattern. Expected a string that matches the pattern '^[a-zA-Z0-9_-]+$'.",
            "tools[0].function.name",
        ),
        (
            json!({ "tool_choice": "auto" }),
            "Invalid value for 'tool_choice': 'tool_choice' is only allowed when 'tools' are specified.",
            "tool_choice",
        ),
        (
            json!({ "tools": [tool], "tool_choice": "any" }),
            "Invalid value: 'any'. Supported values are: 'none', 'auto', and 'required'.",
            "tool_choice",
        ),
        (
            json!({ "top_logprobs": 2 }),
            "Invalid value for 'top_logprobs': 'top_logprobs' is only allowed when 'logprobs' is specified.",
            "top_logprobs",
        ),
        (
            json!({ "stream_options": {} }),
            "The 'stream_options' parameter is only allowed when 'stream' is enabled.",
            "stream_options",
        ),
        (
            json!({ "response_format": { "type": "object" } }),
            "Invalid value: 'object'. Supported values are: 'json_object', 'json_schema', and 'text'.",
            "response_format.type",
        ),
        (
            json!({ "response_format": { "type": "json_object" } }),
            "'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'.",
            "messages",
        ),
        (
            json!({ "messages": [{ "role": "robot", "content": "hi" }] }),
            "Invalid value: 'robot'. Supported values are: 'system', 'assistant', 'user', 'function', 'tool', and 'developer'.",
            "messages[0].role",
        ),
        (
            json!({ "messages": [{ "role": "user" }] }),
            "Missing required parameter: 'messages[0].content'.",
            "messages[0].content",
        ),
        (
            json!({ "messages": [user, call, user] }),
            "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. The following tool_call_ids did not have response messages: call_1",
            "messages.[2].role",
        ),
        (
            json!({ "messages": [user, { "role": "tool", "tool_call_id": "call_1", "content": "x" }] }),
            "Invalid parameter: messages with role 'tool' must be a response to a preceeding message with 'tool_calls'.",
            "messages.[1].role",
        ),
    ] {
        let got = ask(healthy(), &chat(&more));
        assert_eq!(got.status, 400, "{more}: {}", got.text());
        let body = got.json();
        assert_eq!(
            (&body["error"]["message"], &body["error"]["param"]),
            (&message.into(), &param.into())
        );
    }
    let answered =
        json!([user, call, { "role": "tool", "tool_call_id": "call_1", "content": "x" }]);
    assert_eq!(ask(healthy(), &chat(&json!({ "messages": answered }))).status, 200);
}

#[test]
fn what_is_no_request_is_refused_and_breaks_nothing() {
    let deep = "[".repeat(100_000);
    let values = [
        json!(null),
        json!(true),
        json!(-1),
        json!(1.5),
        json!("x"),
        json!([]),
        json!([null]),
        json!([[[]]]),
        json!({}),
        json!({ "a": {} }),
    ];
    let names = [
        "messages",
        "input",
        "prompt",
        "stream",
        "n",
        "tools",
        "functions",
        "tool_choice",
        "response_format",
        "text",
        "stop",
        "logprobs",
        "model",
        "max_tokens",
        "stream_options",
        "reasoning",
        "dimensions",
        "instructions",
    ];
    let mut requests = Vec::new();
    for (path, body) in [
        (
            "/v1/chat/completions",
            json!({ "model": "gpt-4o", "messages": [{ "role": "user", "content": "hi" }] }),
        ),
        ("/v1/responses", json!({ "model": "gpt-4o", "input": "hi" })),
        ("/v1/completions", json!({ "model": "davinci-002", "prompt": "hi" })),
        ("/v1/embeddings", json!({ "model": "text-embedding-3-small", "input": "hi" })),
    ] {
        for text in ["", "7", "[]", "null", "\"x\"", &deep, "{\"model\":1e999}"] {
            requests.push(request("POST", path, &[KEY], text));
        }
        for name in names {
            requests.extend(
                values.iter().map(|value| post(path, &with(body.clone(), &json!({ name: value })))),
            );
        }
    }
    for (request, got) in requests.iter().zip(ask_all(healthy(), &requests)) {
        let sent = String::from_utf8_lossy(&request[..request.len().min(400)]).into_owned();
        assert!([200, 400, 404].contains(&got.status), "{}: {sent}", got.status);
        if got.status != 200 {
            assert!(got.json()["error"]["message"].is_string(), "{sent}");
        }
    }
}

#[test]
fn paths_are_found_by_their_ends() {
    for path in ["/v1/chat/completions", "/chat/completions", "/v1//chat/completions"] {
        let body = json!({ "model": "gpt-4o", "messages": [{ "role": "user", "content": "hi" }] });
        assert_eq!(ask(healthy(), &post(path, &body)).status, 200, "{path}");
    }
    for path in ["/v1/models", "/models", "/v1/models/gpt-4o", "/v1/models/gpt-4o-2024-08-06"] {
        assert_eq!(ask(healthy(), &request("GET", path, &[KEY], "")).status, 200, "{path}");
    }
    let got = ask(healthy(), &request("GET", "/v1/models/nobody", &[KEY], ""));
    assert_eq!((got.status, &got.json()["error"]["param"]), (404, &json!("model")));
}

#[test]
fn chances_are_told_of_the_models_own_tokens() {
    let asked = json!({ "logprobs": true, "top_logprobs": 3, "max_tokens": 6 });
    let got = ask(healthy(), &chat(&asked)).json();
    let choice = &got["choices"][0];
    let tokens = choice["logprobs"]["content"].as_array().unwrap();
    let said: String = tokens.iter().map(|token| token["token"].as_str().unwrap()).collect();
    assert_eq!(said, choice["message"]["content"].as_str().unwrap());
    for token in tokens {
        assert_eq!(
            keys(token),
            "{token:_,logprob:number,bytes:[number],top_logprobs:[{token:_,logprob:number,bytes:[number]}]}"
        );
        assert_eq!(token["top_logprobs"].as_array().unwrap().len(), 3);
        assert_eq!(token["top_logprobs"][0]["token"], token["token"]);
        assert!(token["logprob"].as_f64().unwrap() <= 0.0);
    }
}

/// A model that calls tools, and what it is offered.
fn calling() -> (Plan, Value) {
    let plan = provider(json!({ "answers": { "task": ["call current_date and current_month"] } }));
    let tool = |name: &str| {
        json!({ "type": "function", "function": {
            "name": name, "description": "Return the current date", "strict": true,
            "parameters": { "properties": {}, "type": "object", "additionalProperties": false, "required": [] },
        } })
    };
    (plan, json!([tool("current_date"), tool("current_month")]))
}

#[test]
fn tools_are_called_as_recorded() {
    let (plan, tools) = calling();
    let more = json!({ "model": "gpt-4.1-nano", "tools": tools });
    let got = ask(plan, &chat(&more));
    let recorded = fixture("openai", "chat_tool_calls_ok");
    let theirs: Value = serde_json::from_str(recorded["body_text"].as_str().unwrap()).unwrap();
    assert_eq!(keys(&got.json()), keys(&theirs));
    let message = &got.json()["choices"][0]["message"];
    assert_eq!(got.json()["choices"][0]["finish_reason"], "tool_calls");
    assert_eq!(message["content"], Value::Null);
    for (call, name) in [(0, "current_date"), (1, "current_month")] {
        let call = &message["tool_calls"][call];
        assert_eq!(call["function"], json!({ "name": name, "arguments": "{}" }));
        assert_eq!(call["id"].as_str().unwrap().len(), "call_yhGyidjUReGGf2WQsn5XKimB".len());
    }
    assert_ne!(message["tool_calls"][0]["id"], message["tool_calls"][1]["id"]);
    // One that is named is called, and the answer stops as any other.
    let named = json!({ "type": "function", "function": { "name": "current_month" } });
    let got = ask(healthy(), &chat(&with(more, &json!({ "tool_choice": named })))).json();
    assert_eq!(got["choices"][0]["message"]["tool_calls"][0]["function"]["name"], "current_month");
    assert_eq!(got["choices"][0]["finish_reason"], "stop");
}

#[test]
fn streamed_calls_arrive_as_recorded() {
    let (plan, tools) = calling();
    let stream = json!({ "stream": true, "stream_options": { "include_usage": true } });
    let more =
        with(json!({ "model": "gpt-5.4", "tools": tools, "parallel_tool_calls": false }), &stream);
    let got = ask(plan, &chat(&more));
    let recorded = fixture("openai", "chat_stream_tool_calls_ok");
    assert_eq!(events(got.text().lines()), events(lines(&recorded)));
    let (plan, tools) = calling();
    let flat: Vec<Value> = tools
        .as_array()
        .unwrap()
        .iter()
        .map(|tool| with(tool["function"].clone(), &json!({ "type": "function" })))
        .collect();
    let more = json!({ "model": "gpt-4.1", "stream": true, "tools": [flat[0]], "parallel_tool_calls": false, "store": false });
    let got = ask(plan, &responses(&more));
    let recorded = fixture("openai", "responses_stream_tool_call_ok");
    assert_eq!(events(got.text().lines()), events(lines(&recorded)));
}

#[test]
fn functions_are_called_in_their_old_form() {
    let plan = || provider(json!({ "answers": { "call": "f" } }));
    let functions = json!([{ "name": "f", "parameters": { "type": "object", "properties": {} } }]);
    let got = ask(plan(), &chat(&json!({ "functions": functions }))).json();
    let choice = &got["choices"][0];
    assert_eq!(choice["message"]["function_call"], json!({ "name": "f", "arguments": "{}" }));
    assert_eq!(choice["finish_reason"], "function_call");
    let got = ask(plan(), &chat(&json!({ "functions": functions, "stream": true })));
    let first: Value = serde_json::from_str(got.data()[0]).unwrap();
    assert_eq!(
        first["choices"][0]["delta"]["function_call"],
        json!({ "name": "f", "arguments": "" })
    );
}

#[test]
fn choices_are_written_side_by_side() {
    let got = ask(healthy(), &chat(&json!({ "n": 3 }))).json();
    let choices = got["choices"].as_array().unwrap();
    let said: Vec<&str> =
        choices.iter().map(|choice| choice["message"]["content"].as_str().unwrap()).collect();
    assert_eq!(said.len(), 3);
    let got = ask(healthy(), &chat(&json!({ "n": 3, "stream": true })));
    let mut streamed = vec![String::new(); 3];
    let mut order = Vec::new();
    for data in got.data() {
        let Ok(chunk) = serde_json::from_str::<Value>(data) else { continue };
        let choice = &chunk["choices"][0];
        let index = usize::try_from(choice["index"].as_u64().unwrap()).unwrap();
        if let Some(piece) = choice["delta"]["content"].as_str() {
            streamed[index].push_str(piece);
            order.push(index);
        }
    }
    assert_eq!(streamed, said);
    assert_eq!(order[..6], [0, 1, 2, 0, 1, 2]);
}

#[test]
fn each_prompt_of_a_completion_is_answered() {
    let got =
        ask(healthy(), &completions(&json!({ "prompt": ["one", "two"], "n": 2, "echo": true })))
            .json();
    let choices = got["choices"].as_array().unwrap();
    assert_eq!(choices.len(), 4);
    for (index, prompt) in ["one", "one", "two", "two"].into_iter().enumerate() {
        assert_eq!(choices[index]["index"], index);
        assert!(choices[index]["text"].as_str().unwrap().starts_with(prompt));
    }
    // 16 tokens, unless more are asked for.
    assert_eq!(choices[0]["finish_reason"], "length");
    assert!(got["usage"]["completion_tokens"].as_u64().unwrap() <= 4 * 16);
}

#[test]
fn thoughts_are_counted_and_shown_to_who_asks() {
    let got = ask(healthy(), &chat(&json!({ "model": "gpt-5" }))).json();
    let thought = got["usage"]["completion_tokens_details"]["reasoning_tokens"].as_u64().unwrap();
    assert!(thought > 0 && thought.is_multiple_of(64), "{thought}");
    let got =
        ask(healthy(), &chat(&json!({ "model": "gpt-5", "reasoning_effort": "none" }))).json();
    assert_eq!(got["usage"]["completion_tokens_details"]["reasoning_tokens"], 0);
    let item = |reasoning: Value| {
        let more = json!({ "model": "gpt-5", "reasoning": reasoning });
        ask(healthy(), &responses(&more)).json()["output"][0].clone()
    };
    assert_eq!(item(json!({ "effort": "low" }))["summary"], json!([]));
    assert_eq!(
        keys(&item(json!({ "summary": "auto" }))),
        "{id:_,type:_,summary:[{type:_,text:_}]}"
    );
    assert_eq!(item(json!({ "effort": "none" }))["type"], "message");
    let sealed = json!({ "model": "gpt-5-nano", "stream": true, "store": false, "include": ["reasoning.encrypted_content"] });
    let got = ask(healthy(), &responses(&sealed));
    let recorded = fixture("openai", "responses_stream_ok");
    let names = |lines: Vec<String>| -> Vec<String> {
        // Of the objects that are as of another month only the items are compared.
        lines.into_iter().filter(|line| !line.contains("response:{id")).collect()
    };
    assert_eq!(names(events(got.text().lines())), names(events(lines(&recorded))));
}

#[test]
fn a_task_goes_on_where_only_the_last_response_is_named() {
    let plan =
        || provider(json!({ "answers": { "task": ["call search", "call fetch", "answer"] } }));
    let tool = |name: &str| json!({ "type": "function", "name": name, "parameters": {} });
    let ask_for = |input: Value, previous: &Value| {
        let body = json!({
            "model": "gpt-4o-mini", "input": input, "previous_response_id": previous,
            "tools": [tool("search"), tool("fetch")],
        });
        ask(plan(), &request("POST", "/v1/responses", &[KEY], &body.to_string())).json()
    };
    let mut answer = ask_for(json!("go"), &Value::Null);
    for expected in ["search", "fetch"] {
        let call = &answer["output"][0];
        assert_eq!((&call["type"], &call["name"]), (&json!("function_call"), &json!(expected)));
        let id = answer["id"].as_str().unwrap();
        assert!(id.len() == 55 && id[5..].bytes().all(|byte| byte.is_ascii_hexdigit()), "{id}");
        let output =
            json!([{ "type": "function_call_output", "call_id": call["call_id"], "output": "x" }]);
        answer = ask_for(output, &answer["id"].clone());
    }
    assert_eq!(answer["output"][0]["type"], "message");
    // What the user says next begins the task again.
    let again = ask_for(json!("go on"), &answer["id"].clone());
    assert_eq!(again["output"][0]["name"], "search");
}
