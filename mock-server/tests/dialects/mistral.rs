//! Mistral.

use serde_json::{Value, json};

use crate::{
    play::{Got, ask, ask_all, fault, fixture, healthy, provider, request, shape},
    recording::{events, has_headers, same, survives_every_value},
};

const KEY: &str = "authorization: Bearer mistral-test";
const LIMITS: [&str; 4] = [
    "x-ratelimit-limit-req-minute",
    "x-ratelimit-remaining-req-minute",
    "x-ratelimit-limit-tokens-minute",
    "x-ratelimit-remaining-tokens-minute",
];

fn post(path: &str, body: &Value) -> Vec<u8> {
    request("POST", &format!("/mistral{path}"), &[KEY], &body.to_string())
}

fn chat(more: &Value) -> Vec<u8> {
    let mut body = json!({
        "model": "mistral-small-latest",
        "messages": [{ "role": "user", "content": "What is the capital of France?" }],
    });
    for (name, value) in more.as_object().expect("more fields") {
        body[name] = value.clone();
    }
    post("/v1/chat/completions", &body)
}

fn tools() -> Value {
    json!([{ "type": "function", "function": {
        "name": "get_weather",
        "parameters": { "type": "object", "properties": { "city": { "type": "string" } } },
    } }])
}

fn id(got: &Got) -> &str {
    got.header("mistral-correlation-id")
}

#[test]
fn every_recorded_failure_is_played_letter_by_letter() {
    let recorded_id = "01a01a71-adef-761b-9fa0-bffc7640e912";
    let small = ("mistral-medium-3.5", "mistral-small-latest");
    for (case, action, replaced, with_id) in [
        ("err_400_invalid_model", json!({ "not-found": {} }), vec![small], false),
        ("err_401_invalid_key", json!({ "authentication": {} }), vec![], false),
        (
            "err_401_unauthorized_legacy",
            json!({ "authentication": { "case": "unauthorized" } }),
            vec![],
            true,
        ),
        ("err_404_route", json!({ "not-found": { "case": "route" } }), vec![], true),
        ("err_429_capacity", json!({ "overloaded": {} }), vec![], false),
        ("err_429_rate_limit", json!({ "rate-limited": { "retry-after": "2s" } }), vec![], false),
        (
            "err_429_rate_limit_legacy",
            json!({ "rate-limited": { "retry-after": "2s", "case": "requests" } }),
            vec![],
            false,
        ),
        ("err_500_internal", json!({ "server-error": {} }), vec![], false),
        ("err_503_unavailable", json!({ "unavailable": {} }), vec![], false),
    ] {
        let got = ask(fault(action), &chat(&json!({})));
        let mut replaced = replaced.clone();
        if with_id {
            replaced.push((recorded_id, id(&got)));
        }
        let limits = [&LIMITS[..], &["x-ratelimit-limit-second"]].concat();
        same(&got, "mistral", case, &replaced, &limits);
        assert_eq!(id(&got).len(), 36);
        assert_eq!(id(&got), got.header("x-kong-request-id"));
    }
}

#[test]
fn a_prompt_that_is_too_long_is_told_in_numbers() {
    let plan = provider(json!({ "models": { "mistral-small-latest": { "window": 5 } } }));
    let got = ask(plan, &chat(&json!({})));
    let replaced = [("159202", "12"), ("131072", "5")];
    same(&got, "mistral", "err_400_context_length", &replaced, &[]);
}

#[test]
fn a_model_that_is_not_listed_is_invalid() {
    let plan = provider(json!({ "models": { "codestral-*": {} } }));
    let got = ask(plan, &chat(&json!({})));
    let replaced = [("mistral-medium-3.5", "mistral-small-latest")];
    same(&got, "mistral", "err_400_invalid_model", &replaced, &[]);
}

#[test]
fn a_request_without_a_key_and_a_path_that_is_nothing_are_refused_by_the_gateway() {
    let got = ask(healthy(), &request("POST", "/mistral/v1/chat/completions", &[], "{}"));
    same(&got, "mistral", "err_401_invalid_key", &[], &[]);
    let got = ask(healthy(), &post("/v1/chat/completion", &json!({})));
    let replaced = [("01a01a71-adef-761b-9fa0-bffc7640e912", id(&got))];
    same(&got, "mistral", "err_404_route", &replaced, &[]);
}

#[test]
fn the_schema_complains_of_everything_at_once() {
    let got = ask(healthy(), &chat(&json!({ "store": false, "max_completion_tokens": 8_192 })));
    same(&got, "mistral", "err_422_extra_forbidden", &[], &[]);
    let got =
        ask(healthy(), &post("/v1/chat/completions", &json!({ "model": "mistral-small-latest" })));
    same(&got, "mistral", "err_422_missing_field", &[], &[]);
    let user = json!([{ "role": "user", "content": "hi" }]);
    for (more, kind, place) in [
        (json!({ "temperature": 3 }), "less_than_equal", json!(["body", "temperature"])),
        (json!({ "stream": "maybe" }), "bool_parsing", json!(["body", "stream"])),
        (json!({ "max_tokens": 1.5 }), "int_from_float", json!(["body", "max_tokens"])),
        (json!({ "max_tokens": -1 }), "greater_than_equal", json!(["body", "max_tokens"])),
        (json!({ "n": 0 }), "greater_than_equal", json!(["body", "n"])),
        (json!({ "model": 7 }), "string_type", json!(["body", "model"])),
        (json!({ "messages": "hi" }), "list_type", json!(["body", "messages"])),
        (json!({ "messages": [7] }), "model_attributes_type", json!(["body", "messages", 0])),
        (
            json!({ "messages": [{ "role": "boss", "content": "hi" }] }),
            "union_tag_invalid",
            json!(["body", "messages", 0]),
        ),
        (
            json!({ "messages": [{ "role": "user" }] }),
            "missing",
            json!(["body", "messages", 0, "user", "content"]),
        ),
        (
            json!({ "messages": [{ "role": "user", "content": "hi", "name": "me" }] }),
            "extra_forbidden",
            json!(["body", "messages", 0, "user", "name"]),
        ),
        (
            json!({ "stream_options": { "include_usage": true }, "messages": user }),
            "extra_forbidden",
            json!(["body", "stream_options", "include_usage"]),
        ),
    ] {
        let got = ask(healthy(), &chat(&more));
        let first = &got.json()["detail"][0];
        assert_eq!((got.status, &first["type"], &first["loc"]), (422, &json!(kind), &place));
    }
}

#[test]
fn what_is_no_request_at_all_is_refused() {
    let deep = "[".repeat(10_000);
    for body in ["{", "", "7", "[]", "nul", "{\"model\":1e999}", &deep] {
        let got = ask(healthy(), &request("POST", "/mistral/v1/chat/completions", &[KEY], body));
        assert_eq!(got.status, 422, "{body}");
        assert!(got.json()["detail"].is_array());
    }
    let got = ask(healthy(), &request("GET", "/mistral/v1/chat/completions", &[KEY], ""));
    assert_eq!(got.status, 405);
}

#[test]
fn a_conversation_out_of_order_is_refused_in_the_models_words() {
    let call = |id: &str| json!({ "id": id, "function": { "name": "f", "arguments": "{}" } });
    let user = json!({ "role": "user", "content": "hi" });
    let calls = |id| json!({ "role": "assistant", "content": "", "tool_calls": [call(id)] });
    let tool = |id: &str| json!({ "role": "tool", "tool_call_id": id, "content": "sunny" });
    let assistant = json!({ "role": "assistant", "content": "yes" });
    for (messages, message, code) in [
        (json!([]), "Conversation must have at least one message", "3230"),
        (
            json!([user, calls("abcdefghi"), tool("abcdefghi"), user]),
            "Unexpected role 'user' after role 'tool'",
            "3230",
        ),
        (
            json!([user, assistant]),
            "Expected last role User or Tool (or Assistant with prefix True) for serving but got \
             assistant",
            "3230",
        ),
        (
            json!([user, calls("call_0fypS1hVX"), tool("call_0fypS1hVX")]),
            "Tool call id was call_0fypS1hVX but must be a-z, A-Z, 0-9, with a length of 9.",
            "3280",
        ),
        (
            json!([user, calls("abcdefghi"), tool("abcdefghi"), tool("abcdefghi")]),
            "Not the same number of function calls and responses",
            "3230",
        ),
    ] {
        let got = ask(healthy(), &chat(&json!({ "messages": messages })));
        assert_eq!((got.status, &got.json()["message"]), (400, &json!(message)));
        assert_eq!(got.json()["code"], code);
    }
    let fine = json!([user, calls("abcdefghi"), tool("abcdefghi")]);
    assert_eq!(ask(healthy(), &chat(&json!({ "messages": fine }))).status, 200);
}

#[test]
fn a_whole_answer_has_the_recorded_shape_and_counts() {
    let got = ask(healthy(), &chat(&json!({ "stream": false, "safe_prompt": true })));
    let recorded = fixture("mistral", "chat_ok");
    assert_eq!(shape(&got.json()), shape(&recorded["body"]));
    has_headers(&got, "mistral", "chat_ok", &LIMITS);
    let usage = &got.json()["usage"];
    // 1 at the beginning, 3 around the message, 30 letters.
    assert_eq!(usage["prompt_tokens"], 12);
    let total =
        usage["prompt_tokens"].as_u64().unwrap() + usage["completion_tokens"].as_u64().unwrap();
    assert_eq!(usage["total_tokens"], total);
    assert_eq!(got.header("x-ratelimit-tokens-query-cost"), total.to_string());
    assert_eq!(got.json()["id"].as_str().unwrap().len(), 32);
}

#[test]
fn a_stream_has_the_recorded_chunks() {
    let got = ask(healthy(), &chat(&json!({ "stream": true })));
    has_headers(&got, "mistral", "chat_stream_ok", &[]);
    let mut shapes: Vec<String> = got.data()[..got.data().len() - 1]
        .iter()
        .map(|data| shape(&serde_json::from_str(data).unwrap()))
        .collect();
    shapes.dedup();
    let recorded: Vec<String> = events("mistral", "chat_stream_ok").iter().map(shape).collect();
    assert_eq!(shapes, recorded);
    assert_eq!(got.data().last(), Some(&"[DONE]"));
    assert!(!got.data()[got.data().len() - 3].contains("usage"));
}

#[test]
fn embeddings_are_vectors_of_the_models_length() {
    let body = json!({ "model": "mistral-embed", "input": ["Ruby is great", "Rust too"] });
    let got = ask(healthy(), &post("/v1/embeddings", &body));
    let recorded = fixture("mistral", "embeddings_ok");
    assert_eq!(shape(&got.json()), shape(&recorded["body"]));
    has_headers(&got, "mistral", "embeddings_ok", &LIMITS);
    assert_eq!(got.json()["data"][1]["embedding"].as_array().unwrap().len(), 1_024);
    let one = json!({ "model": "mistral-embed", "input": "Ruby is great" });
    let one = ask(healthy(), &post("/v1/embeddings", &one));
    assert_eq!(one.json()["usage"]["prompt_tokens"], recorded["body"]["usage"]["prompt_tokens"]);
    assert_eq!(one.json()["data"][0], got.json()["data"][0]);
}

#[test]
fn limits_are_told_after_every_request() {
    let plan = provider(json!({ "quota": { "requests": "2/min", "tokens": "1000/min" } }));
    let requests = [chat(&json!({})), chat(&json!({})), chat(&json!({}))];
    let answers = ask_all(plan, &requests);
    let limits = |got: &Got| LIMITS.map(|name| got.header(name).to_owned());
    assert_eq!(limits(&answers[0])[..2], ["2", "1"]);
    assert_eq!(answers[2].status, 429);
    assert_eq!(limits(&answers[2])[..2], ["2", "0"]);
    assert_eq!(limits(&answers[2])[2], "1000");
    assert_eq!(answers[2].header("retry-after"), "60");
    same(&answers[2], "mistral", "err_429_rate_limit", &[], &[]);
}

#[test]
fn tools_and_models_are_taken() {
    let got = ask(healthy(), &chat(&json!({ "tools": tools(), "tool_choice": "any" })));
    assert_eq!(got.status, 200);
    let list = ask(healthy(), &request("GET", "/mistral/v1/models", &[KEY], ""));
    assert_eq!(list.json()["data"][0]["id"], "mistral-large-latest");
    assert_eq!(list.json()["data"][0]["max_context_length"], 262_144);
    let one = ask(healthy(), &request("GET", "/mistral/v1/models/codestral-latest", &[KEY], ""));
    assert_eq!(one.json()["capabilities"]["completion_fim"], true, "{}", one.text());
    let listed = provider(json!({ "models": { "codestral-latest": {} } }));
    let list = ask(listed, &request("GET", "/mistral/v1/models", &[KEY], ""));
    assert_eq!(list.status, 200);
}

#[test]
fn the_gap_in_a_text_is_filled() {
    let body = json!({ "model": "codestral-latest", "prompt": "def f(", "suffix": "return x" });
    let got = ask(healthy(), &post("/v1/fim/completions", &body));
    assert_eq!(shape(&got.json()), shape(&fixture("mistral", "chat_ok")["body"]));
}

#[test]
fn its_client_is_known_by_its_name_where_no_path_says_so() {
    let agent = "user-agent: mistral-client-python/3.7.0";
    let body = r#"{"model":"mistral-small-latest"}"#;
    let got = ask(healthy(), &request("POST", "/v1/chat/completions", &[KEY, agent], body));
    assert_eq!(got.status, 422);
    let other = ask(healthy(), &request("POST", "/v1/chat/completions", &[KEY], body));
    assert_eq!(other.status, 400);
}

#[test]
fn an_answer_that_is_filtered_says_so_in_its_finish_reason() {
    for streaming in [false, true] {
        let got =
            ask(fault(json!({ "content-policy": {} })), &chat(&json!({ "stream": streaming })));
        assert_eq!(got.status, 200);
        assert!(got.text().contains(r#""finish_reason":"error""#), "{}", got.text());
    }
}

#[test]
fn an_error_in_a_stream_is_its_last_event() {
    let broken = json!({ "stream-error": { "after": 2, "error": "server-error" } });
    let got = ask(fault(broken), &chat(&json!({ "stream": true })));
    assert_eq!(got.data().len(), 4);
    let last: Value = serde_json::from_str(got.data()[3]).unwrap();
    assert_eq!((&last["object"], &last["code"]), (&json!("error"), &json!("1000")));
}

#[test]
fn no_value_in_a_request_breaks_it() {
    let everything = json!({
        "model": "mistral-small-latest", "messages": [{ "role": "user", "content": "hi" }],
        "stream": true, "n": 1, "stop": "x", "tools": tools(), "tool_choice": "auto",
        "response_format": { "type": "text" }, "max_tokens": 5, "temperature": 1,
        "prompt_mode": "reasoning", "parallel_tool_calls": true, "stream_options": {},
    });
    survives_every_value("/mistral/v1/chat/completions", KEY, &everything);
    let body = json!({ "model": "codestral-latest", "prompt": "a", "suffix": "b", "stop": [] });
    survives_every_value("/mistral/v1/fim/completions", KEY, &body);
    let body = json!({ "model": "mistral-embed", "input": "a", "output_dimension": 8 });
    survives_every_value("/mistral/v1/embeddings", KEY, &body);
}

#[test]
fn wishes_are_granted() {
    let called = chat(&json!({ "tools": tools(), "tool_choice": "any" }));
    let choice = &ask(healthy(), &called).json()["choices"][0];
    assert_eq!(choice["finish_reason"], "tool_calls");
    let call = &choice["message"]["tool_calls"][0];
    assert_eq!(call["function"]["name"], "get_weather");
    assert_eq!(call["id"].as_str().map(str::len), Some(9));
    let recorded = fixture("mistral", "chat_tool_calls_ok")["body"]["choices"][0].clone();
    assert_eq!(shape(choice), shape(&recorded));
    let many = ask(healthy(), &chat(&json!({ "n": 3 }))).json();
    let indexes = many["choices"].as_array().unwrap().iter().map(|choice| choice["index"].as_u64());
    assert_eq!(indexes.collect::<Vec<_>>(), [Some(0), Some(1), Some(2)]);
    let stopped = ask(healthy(), &chat(&json!({ "stop": [" "] }))).json();
    let text = stopped["choices"][0]["message"]["content"].as_str().unwrap().to_owned();
    assert!(!text.contains(' '), "{text}");
    let schema = json!({ "type": "object", "properties": { "age": { "type": "integer" } }, "required": ["age"] });
    let format = json!({ "type": "json_schema", "json_schema": { "name": "x", "schema": schema } });
    let formed = ask(healthy(), &chat(&json!({ "response_format": format }))).json();
    let text = formed["choices"][0]["message"]["content"].as_str().unwrap().to_owned();
    assert!(serde_json::from_str::<Value>(&text).unwrap()["age"].is_i64(), "{text}");
    let thinks = ask(healthy(), &chat(&json!({ "model": "magistral-medium-latest" }))).json();
    assert_eq!(thinks["choices"][0]["message"]["content"][0]["type"], "thinking");
}

#[test]
fn a_streamed_call_has_the_recorded_chunk() {
    let called = chat(&json!({ "tools": tools(), "tool_choice": "any", "stream": true }));
    let got = ask(healthy(), &called);
    let data = got.data();
    let mut last: Value = serde_json::from_str(data[data.len() - 2]).unwrap();
    // The index came after the recording, and the probabilities have left since.
    let call = last.pointer_mut("/choices/0/delta/tool_calls/0").unwrap();
    assert_eq!(call.as_object_mut().unwrap().shift_remove("index"), Some(json!(0)));
    let mut recorded = events("mistral", "chat_stream_tool_calls_ok").pop().unwrap();
    recorded["choices"][0].as_object_mut().unwrap().shift_remove("logprobs");
    assert_eq!(shape(&last), shape(&recorded));
}
