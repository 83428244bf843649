//! Cohere.

use serde_json::{Value, json};

use crate::play::{Got, ask, ask_all, fault, fixture, healthy, provider, request, shape};

const KEY: &str = "authorization: Bearer co-test-key";

fn post(path: &str, body: &Value) -> Vec<u8> {
    request("POST", path, &[KEY], &body.to_string())
}

fn chat(more: Value) -> Vec<u8> {
    let mut body = json!({
        "model": "command-a-03-2025",
        "messages": [{ "role": "user", "content": "Count from 1 to 3" }],
    });
    let Value::Object(more) = more else { panic!("{more} is no object") };
    for (key, value) in more {
        body[key] = value;
    }
    post("/v2/chat", &body)
}

fn embed(more: Value) -> Vec<u8> {
    let mut body = fixture("cohere", "embed_ok")["request_body"].clone();
    let Value::Object(more) = more else { panic!("{more} is no object") };
    for (key, value) in more {
        body[key] = value;
    }
    post("/v2/embed", &body)
}

/// Whether an answer has the status and every header of the recorded one.
fn has_headers(got: &Got, case: &str) {
    let recorded = fixture("cohere", case);
    assert_eq!(i64::from(got.status), recorded["status"], "{case}");
    for (name, value) in recorded["headers"].as_object().expect("a recording has headers") {
        let own = got.header(name);
        match name.as_str() {
            "date" | "content-length" => {}
            "x-debug-trace-id" => assert_eq!(own.len(), 32, "{case}: {own}"),
            "num-chars" | "num-tokens" | "x-envoy-upstream-service-time" => {
                assert!(own.parse::<u64>().is_ok(), "{case}: {name}: {own}");
            }
            _ => assert_eq!(json!(own), *value, "{case}: {name}"),
        }
    }
}

/// Whether a failure is the recorded one, but for its id.
fn is_recorded(got: &Got, case: &str, replaced: &[(&str, &str)]) {
    has_headers(got, case);
    let recorded = fixture("cohere", case);
    let id = got.json()["id"].as_str().unwrap_or_default().to_owned();
    assert_eq!(id.len(), 36, "{case}: {id}");
    let recorded_id = recorded["body"]["id"].as_str().unwrap_or_default();
    let body = recorded["body_text"].as_str().unwrap_or_default();
    let mut body = body.replace(recorded_id, &id);
    for (from, to) in replaced {
        assert!(body.contains(from), "{case} does not say {from}");
        body = body.replace(from, to);
    }
    assert_eq!(got.text(), body, "{case}");
}

/// The events of a stream: their names and data.
fn events(got: &Got) -> Vec<(String, Value)> {
    let frames = got.text().split("\n\n").filter(|frame| !frame.is_empty());
    let frames = frames.map(|frame| match frame.split_once('\n') {
        Some((event, data)) => {
            let data = serde_json::from_str(data.trim_start_matches("data: "));
            (event.trim_start_matches("event: "), data.expect("the data are JSON"))
        }
        None => (frame, Value::Null),
    });
    frames.map(|(name, data)| (name.to_owned(), data)).collect()
}

/// The events of a recording.
fn recorded_events(case: &str) -> Vec<(String, Value)> {
    let recorded = fixture("cohere", case);
    let lines = recorded["sse"].as_array().expect("a recorded stream has lines").iter();
    let text: Vec<&str> = lines.filter_map(Value::as_str).collect();
    let body = text.join("\n").into_bytes();
    events(&Got { status: 200, headers: Vec::new(), body, journal: Vec::new() })
}

/// The names of events, each run of the same name once.
fn sequence(events: &[(String, Value)]) -> Vec<&str> {
    let mut names: Vec<&str> = events.iter().map(|(name, _)| name.as_str()).collect();
    names.dedup();
    names
}

#[test]
fn every_failure_is_worded_as_recorded() {
    let case = |kind: &str, case: &str| json!({ kind: { "case": case } });
    let model = ("'nonexistent'", "'command-a-03-2025'");
    let removed = ("'command-r'", "'command-a-03-2025'");
    let key = ("***********", "***********");
    for (name, action, replaced) in [
        ("err_401_invalid_key", json!({ "authentication": {} }), &[key][..]),
        ("err_401_no_key", case("authentication", "missing-key"), &[]),
        ("err_402_billing", json!({ "insufficient-quota": {} }), &[]),
        ("err_404_model_not_found", json!({ "not-found": {} }), &[model]),
        ("err_404_model_removed", case("not-found", "model-removed"), &[removed]),
        ("err_422_unprocessable", case("bad-request", "unprocessable"), &[]),
        ("err_429_trial_month", case("rate-limited", "trial-month"), &[]),
        ("err_429_trial_month", case("insufficient-quota", "trial-month"), &[]),
        ("err_429_trial_rpm", json!({ "rate-limited": {} }), &[]),
        // 40 requests a minute ask for 1.5 s.
        ("err_429_trial_rpm", json!({ "rate-limited": { "retry-after": "1500ms" } }), &[]),
        ("err_429_trial_tokens", json!({ "rate-limited": { "limit": "tokens" } }), &[]),
        ("err_499_cancelled", json!({ "cancelled": {} }), &[]),
        ("err_503_unavailable", json!({ "unavailable": {} }), &[]),
        ("err_400_invalid_request", case("bad-request", "empty-message"), &[]),
    ] {
        is_recorded(&ask(fault(action), &chat(json!({}))), name, replaced);
    }
    let internal = ask(fault(json!({ "server-error": {} })), &chat(json!({})));
    is_recorded(&internal, "err_500_internal", &[]);
    let id = internal.json()["id"].as_str().unwrap().to_owned();
    assert!(internal.json()["message"].as_str().unwrap().ends_with(&id));
}

#[test]
fn a_long_prompt_is_refused_with_the_numbers() {
    let window = json!({ "context-length": { "window": 2 } });
    let got = ask(fault(window), &chat(json!({})));
    is_recorded(&got, "err_400_too_many_tokens", &[("25836", "6"), ("288000", "2")]);
    // Recorded: the limit is above the window that is documented.
    let long = "word ".repeat(231_000);
    let long = json!({ "messages": [{ "role": "user", "content": long }] });
    let got = ask(healthy(), &chat(long));
    is_recorded(&got, "err_400_too_many_tokens", &[("25836", "753")]);
}

#[test]
fn what_the_api_refuses_it_refuses_in_its_own_words() {
    let refused = |path: &str, headers: &[&str], body: &str| {
        ask(healthy(), &request("POST", path, headers, body))
    };
    is_recorded(&refused("/v2/chat", &[], "{"), "err_401_no_key", &[]);
    let broken = refused("/v2/chat", &[KEY], r#"{"model": x}"#);
    let words = "invalid json syntax: invalid character 'x' looking for beginning of value";
    assert_eq!((broken.status, &broken.json()["message"]), (400, &json!(words)));
    let message = |text: &str| json!({ "messages": text });
    is_recorded(&ask(healthy(), &chat(message("hi"))), "err_422_unprocessable", &[]);
    let nobody = json!({ "messages": [] });
    is_recorded(&ask(healthy(), &chat(nobody)), "err_400_invalid_request", &[]);
    let user = json!({ "role": "user", "content": "hi" });
    let call = json!({ "role": "assistant", "tool_calls": [{
        "id": "f_1", "type": "function", "function": { "name": "f", "arguments": "{}" },
    }] });
    let tool = |id: Value| json!({ "role": "tool", "tool_call_id": id, "content": "1" });
    let named =
        |name: &str| json!({ "tools": [{ "type": "function", "function": { "name": name } }] });
    let said = |messages: Value| json!({ "messages": messages });
    for (more, status, words) in [
        (json!({ "model": null }), 400, "a model parameter is required for this endpoint."),
        (
            json!({ "temperature": 2 }),
            400,
            "invalid request: temperature must be between 0 and 1.0 inclusive.",
        ),
        (
            json!({ "frequency_penalty": 0.5, "presence_penalty": 0.5 }),
            400,
            "invalid request: cannot specify both frequency_penalty and presence_penalty.",
        ),
        (
            json!({ "max_tokens": "9" }),
            422,
            "invalid type: parameter max_tokens is of type string but should be of type integer",
        ),
        (
            json!({ "stream": "yes" }),
            422,
            "invalid type: parameter stream is of type string but should be of type boolean",
        ),
        (
            said(json!(["hi"])),
            422,
            "invalid type: parameter messages[0] is of type string but should be of type object",
        ),
        (
            said(json!([{ "role": "robot", "content": "hi" }])),
            400,
            "invalid request: Invalid role in messages at index 0. Role must be one of the following: user, assistant, system, tool",
        ),
        (
            said(json!([user, { "role": "assistant", "content": "" }])),
            400,
            "message must not be empty in a turn",
        ),
        (
            said(json!([user, call, tool(Value::Null)])),
            400,
            "tool call id must be provided with tool message",
        ),
        (
            said(json!([user, call, tool(json!("f_2"))])),
            400,
            "tool call id not found in previous tool calls",
        ),
        (said(json!([user, call, call])), 400, "cannot have duplicate tool ids"),
        (
            named("1st"),
            400,
            "invalid request: tool names can only contain certain characters (A-Za-z0-9_) and can't begin with a digit (provided name: '1st').",
        ),
        (
            json!({ "response_format": { "type": "json_object" }, "documents": ["a"] }),
            400,
            "invalid request: response_format is not supported with RAG.",
        ),
        (
            json!({ "response_format": { "type": "json_object", "json_schema": [] } }),
            400,
            "schema must be an object",
        ),
        (
            json!({ "stop_sequences": ["a", "b", "c", "d", "e", "f"] }),
            400,
            "invalid request: number of stop_sequences must be at most 5 - received 6",
        ),
    ] {
        let got = ask(healthy(), &chat(more));
        assert_eq!((got.status, &got.json()["message"]), (status, &json!(words)));
    }
    for (more, words) in [
        (
            json!({ "texts": vec!["a"; 97] }),
            "invalid request: total number of texts must be at most 96 - received 97",
        ),
        (
            json!({ "input_type": null }),
            "invalid request: valid input_type must be provided with the provided model",
        ),
        (
            json!({ "images": ["data:image/png;base64,AAAA"] }),
            "invalid request: images must be used with input_type=image",
        ),
        (
            json!({ "output_dimension": 7 }),
            "invalid request: output_dimension must be one of 256, 512, 1024, 1536.",
        ),
    ] {
        let got = ask(healthy(), &embed(more));
        assert_eq!((got.status, &got.json()["message"]), (400, &json!(words)));
    }
    let plan = provider(json!({ "models": { "embed-*": {} } }));
    let got = ask(plan, &chat(json!({ "model": "nonexistent" })));
    is_recorded(&got, "err_404_model_not_found", &[]);
}

#[test]
fn an_answer_has_the_recorded_keys_in_their_order() {
    let recorded = fixture("cohere", "chat_ok");
    let got = ask(healthy(), &post("/v2/chat", &recorded["request_body"]));
    has_headers(&got, "chat_ok");
    assert_eq!(shape(&got.json()), shape(&recorded["body"]));
    let (usage, recorded) = (&got.json()["usage"], &recorded["body"]["usage"]);
    let output = |usage: &Value| {
        usage["tokens"]["output_tokens"].as_i64().unwrap()
            - usage["billed_units"]["output_tokens"].as_i64().unwrap()
    };
    assert_eq!(output(usage), output(recorded));
    let input = |usage: &Value| {
        usage["tokens"]["input_tokens"].as_i64().unwrap()
            - usage["billed_units"]["input_tokens"].as_i64().unwrap()
    };
    assert_eq!(input(usage), input(recorded));
    assert_eq!(usage["cached_tokens"], recorded["cached_tokens"]);
    // 7 where 8 were recorded: no tokenizer is public.
    assert_eq!(usage["billed_units"]["input_tokens"], 7);
}

#[test]
fn a_stream_has_the_recorded_events() {
    let recorded = fixture("cohere", "chat_stream_ok");
    let got = ask(healthy(), &post("/v2/chat", &recorded["request_body"]));
    has_headers(&got, "chat_stream_ok");
    let (own, recorded) = (events(&got), recorded_events("chat_stream_ok"));
    assert_eq!(sequence(&own), sequence(&recorded));
    for (name, data) in &own {
        let (_, same) = recorded.iter().find(|(known, _)| known == name).unwrap();
        assert_eq!(shape(data), shape(same), "{name}");
    }
    assert!(got.text().ends_with("\n\ndata: [DONE]\n\n"));
    let text =
        own.iter().filter_map(|(_, data)| data["delta"]["message"]["content"]["text"].as_str());
    let whole = ask(healthy(), &chat(json!({}))).json();
    assert_eq!(whole["message"]["content"][0]["text"], text.collect::<String>());
}

#[test]
fn a_tool_is_called_as_recorded() {
    let recorded = fixture("cohere", "chat_tool_calls_ok");
    let mut body = recorded["request_body"].clone();
    body["tool_choice"] = "REQUIRED".into();
    let got = ask(healthy(), &post("/v2/chat", &body));
    has_headers(&got, "chat_tool_calls_ok");
    assert_eq!(shape(&got.json()), shape(&recorded["body"]));
    assert_eq!(got.json()["message"]["tool_plan"], "I will use the content_returning tool.");
    let call = &got.json()["message"]["tool_calls"][0];
    assert_eq!(shape(call), shape(&recorded["body"]["message"]["tool_calls"][0]));
    let id = call["id"].as_str().unwrap();
    assert!(id.starts_with("content_returning_") && id.len() == 30, "{id}");
    assert_eq!(got.json()["finish_reason"], "TOOL_CALL");
    assert_eq!(got.json()["message"].get("content"), None);
    let arguments: Value =
        serde_json::from_str(call["function"]["arguments"].as_str().unwrap()).unwrap();
    assert!(arguments["query"].is_string());

    body["stream"] = true.into();
    let streamed = events(&ask(healthy(), &post("/v2/chat", &body)));
    let part = |data: &Value| {
        let arguments = data["delta"]["message"]["tool_calls"]["function"]["arguments"].as_str();
        arguments.map(str::to_owned)
    };
    let parts: String = streamed.iter().filter_map(|(_, data)| part(data)).collect();
    assert_eq!(serde_json::from_str::<Value>(&parts).unwrap(), arguments);
    let start = streamed.iter().find(|(name, _)| name == "tool-call-start").unwrap();
    let stream = recorded_events("chat_stream_tool_calls_ok");
    let same = stream.iter().find(|(name, _)| name == "tool-call-start").unwrap();
    assert_eq!(shape(&start.1), shape(&same.1));
    assert_eq!(
        sequence(&streamed),
        [
            "message-start",
            "tool-plan-delta",
            "tool-call-start",
            "tool-call-delta",
            "tool-call-end",
            "message-end",
            "data: [DONE]",
        ]
    );
}

#[test]
fn limits_stops_schemas_and_thoughts_are_kept() {
    let cut = ask(healthy(), &chat(json!({ "max_tokens": 2 }))).json();
    assert_eq!(cut["finish_reason"], "MAX_TOKENS");
    let schema = json!({
        "type": "object",
        "properties": { "age": { "type": "integer" } },
        "required": ["age"],
    });
    let format = json!({ "type": "json_object", "json_schema": schema });
    let made = ask(healthy(), &chat(json!({ "response_format": format }))).json();
    let text = made["message"]["content"][0]["text"].as_str().unwrap();
    let text: Value = serde_json::from_str(text).unwrap();
    assert!(text["age"].is_i64(), "{text}");
    let thinks = json!({ "thinking": { "type": "enabled" } });
    let thought = ask(healthy(), &chat(thinks)).json();
    assert_eq!(thought["message"]["content"][0]["type"], "thinking");
    assert_eq!(thought["message"]["content"][1]["type"], "text");
    let stop = json!({ "messages": [{ "role": "user", "content": "a stop b" }], "stop_sequences": ["stop"] });
    let echo = provider(json!({ "answers": { "echo": true } }));
    let stopped = ask(echo, &chat(stop)).json();
    assert_eq!(stopped["finish_reason"], "STOP_SEQUENCE");
    assert!(!stopped["message"]["content"][0]["text"].as_str().unwrap().contains("stop"));
}

#[test]
fn texts_are_embedded_in_every_form() {
    let got = ask(healthy(), &embed(json!({})));
    has_headers(
        &ask(provider(json!({ "quota": { "requests": "100/min" } })), &embed(json!({}))),
        "embed_ok",
    );
    assert_eq!(shape(&got.json()), shape(&fixture("cohere", "embed_ok")["body"]));
    assert_eq!(got.header("num-chars"), "34");
    assert_eq!(got.json()["embeddings"]["float"][0].as_array().unwrap().len(), 1_024);
    let kinds = json!(["float", "int8", "uint8", "binary", "ubinary", "base64"]);
    let more =
        json!({ "texts": ["a", "b", "a"], "embedding_types": kinds, "output_dimension": 256 });
    let got = ask(healthy(), &embed(more)).json();
    let of = |kind: &str| got["embeddings"][kind].as_array().unwrap().clone();
    for (kind, length) in
        [("float", 256), ("int8", 256), ("uint8", 256), ("binary", 32), ("ubinary", 32)]
    {
        let vectors = of(kind);
        assert_eq!(vectors.len(), 3, "{kind}");
        assert_eq!(vectors[0].as_array().unwrap().len(), length, "{kind}");
        assert_eq!(vectors[0], vectors[2], "{kind}");
        assert_ne!(vectors[0], vectors[1], "{kind}");
    }
    // 256 floats are 1,024 bytes.
    assert_eq!(of("base64")[0].as_str().unwrap().len(), 1_368);
    for (byte, unsigned) in
        of("int8")[0].as_array().unwrap().iter().zip(of("uint8")[0].as_array().unwrap())
    {
        assert_eq!(byte.as_i64().unwrap() + 128, unsigned.as_i64().unwrap());
    }
}

#[test]
fn many_short_texts_fit_a_small_window() {
    let texts = json!({ "model": "embed-english-v3.0", "texts": vec!["a few words of text"; 96] });
    let texts = |truncate: &str| {
        let mut texts = texts.clone();
        texts["truncate"] = truncate.into();
        texts["output_dimension"] = Value::Null;
        texts
    };
    assert_eq!(ask(healthy(), &embed(texts("END"))).status, 200);
    assert_eq!(ask(healthy(), &embed(texts("NONE"))).status, 200);
    let long = |truncate: &str| {
        json!({
            "model": "embed-english-v3.0",
            "texts": ["word ".repeat(600)],
            "truncate": truncate,
            "output_dimension": null,
        })
    };
    let cut = ask(healthy(), &embed(long("END")));
    assert_eq!(cut.json()["meta"]["billed_units"]["input_tokens"], 512);
    let refused = ask(healthy(), &embed(long("NONE")));
    is_recorded(&refused, "err_400_too_many_tokens", &[("25836", "238"), ("288000", "512")]);
}

#[test]
fn a_trial_key_sees_its_limit_shrink() {
    let plan = provider(json!({ "quota": { "requests": "2/min" } }));
    let got = ask_all(plan, &[chat(json!({})), chat(json!({})), chat(json!({}))]);
    let left = |got: &Got| got.header("x-trial-endpoint-call-remaining").to_owned();
    assert_eq!(got.iter().map(left).collect::<Vec<_>>(), ["1", "0", "0"]);
    is_recorded(
        &Got {
            headers: got[2]
                .headers
                .iter()
                .map(|(name, value)| {
                    let value = if name == "x-trial-endpoint-call-limit" { "40" } else { value };
                    (name.clone(), value.to_owned())
                })
                .collect(),
            ..got[2].clone()
        },
        "err_429_trial_rpm",
        &[("limited to 40", "limited to 2")],
    );
    assert_eq!(got[2].header("x-trial-endpoint-call-limit"), "2");
    assert_eq!(got[2].header("retry-after"), "");
}

#[test]
fn an_error_ends_a_stream_with_its_reason() {
    let failing = || fault(json!({ "stream-error": { "error": "server-error" } }));
    let got = events(&ask(failing(), &chat(json!({ "stream": true }))));
    let (name, data) = got.last().unwrap();
    assert_eq!(name, "message-end");
    assert_eq!(
        data["delta"],
        json!({ "error": "internal server error", "finish_reason": "ERROR" })
    );
    let first = post("/v1/chat", &json!({ "message": "hi", "stream": true }));
    let got = ask(failing(), &first);
    let last: Value = serde_json::from_str(got.text().lines().last().unwrap()).unwrap();
    assert_eq!(
        (&last["event_type"], &last["finish_reason"]),
        (&json!("stream-end"), &json!("ERROR"))
    );
}

#[test]
fn version_1_is_spoken_too() {
    let history = json!([
        { "role": "SYSTEM", "message": "Be brief." },
        { "role": "USER", "message": "Hello" },
        { "role": "CHATBOT", "message": "Hi" },
    ]);
    let mut body = json!({ "message": "How are you?", "chat_history": history });
    let whole = ask(healthy(), &post("/v1/chat", &body)).json();
    assert_eq!(whole["chat_history"].as_array().unwrap().len(), 5);
    assert_eq!(whole["chat_history"][4]["message"], whole["text"]);
    assert_eq!(
        (&whole["finish_reason"], &whole["meta"]["api_version"]["version"]),
        (&json!("COMPLETE"), &json!("1"))
    );
    body["stream"] = true.into();
    let got = ask(healthy(), &post("/v1/chat", &body));
    assert_eq!(got.header("content-type"), "application/stream+json");
    let lines: Vec<Value> =
        got.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let text: String = lines
        .iter()
        .filter(|line| line["event_type"] == "text-generation")
        .map(|line| line["text"].as_str().unwrap())
        .collect();
    assert_eq!(whole["text"], text);
    let last = lines.last().unwrap();
    assert_eq!((&last["is_finished"], &last["response"]["text"]), (&json!(true), &json!(text)));
    body["tools"] = json!([{
        "name": "sales", "description": "sales of a day",
        "parameter_definitions": { "day": { "type": "str", "required": true } },
    }]);
    body["stream"] = false.into();
    let calls = provider(json!({ "answers": { "call": "sales" } }));
    let called = ask(calls, &post("/v1/chat", &body)).json();
    assert!(called["tool_calls"][0]["parameters"]["day"].is_string(), "{called}");
    let odd = json!({ "message": "hi", "chat_history": [{ "role": "me", "message": "x" }] });
    let words = "invalid request: Invalid role in chat_history at index 0. Role must be one of the following: User, Chatbot, System, Tool";
    assert_eq!(ask(healthy(), &post("/v1/chat", &odd)).json()["message"], words);
    let texts = json!({ "texts": ["a"], "input_type": "clustering" });
    let floats = ask(healthy(), &post("/v1/embed", &texts)).json();
    assert_eq!(floats["response_type"], "embeddings_floats");
    assert_eq!(floats["embeddings"][0].as_array().unwrap().len(), 1_024);
}

#[test]
fn models_are_listed_to_whom_they_belong() {
    let sdk = [KEY, "x-fern-sdk-name: cohere"];
    let plan = provider(json!({ "models": { "command-a-03-2025": {} } }));
    let list = ask(plan, &request("GET", "/v1/models", &sdk, "")).json();
    assert_eq!(list["models"][0]["name"], "command-a-03-2025");
    let one = request("GET", "/cohere/v1/models/embed-v4.0", &[KEY], "");
    assert_eq!(ask(healthy(), &one).json()["endpoints"], json!(["embed"]));
    let none = request("GET", "/cohere/v1/models/nonexistent", &[KEY], "");
    is_recorded(&ask(healthy(), &none), "err_404_model_not_found", &[]);
    let other = ask(healthy(), &request("GET", "/v1/models", &[KEY], ""));
    assert_eq!(other.header("via"), "");
}

#[test]
fn no_body_makes_the_reader_panic() {
    let deep = format!("{}1{}", "[".repeat(5_000), "]".repeat(5_000));
    let hostile = [
        json!([]),
        json!(1),
        json!({ "message": {}, "messages": 3 }),
        json!({ "model": "m", "messages": [{ "role": 1, "content": 2 }] }),
        json!({ "model": "m", "messages": [{ "role": "user", "content": "x", "tool_calls": [1] }] }),
        json!({ "model": "m", "messages": [{ "role": "user", "content": "x" }], "max_tokens": -1 }),
        json!({ "model": "m", "messages": [{ "role": "user", "content": "x" }], "tools": [{}] }),
    ];
    let bodies = hostile.iter().map(Value::to_string).chain([deep, "\u{0}é".to_owned()]);
    for body in bodies {
        for path in ["/v2/chat", "/v1/chat", "/v2/embed", "/v1/embed"] {
            let status = ask(healthy(), &request("POST", path, &[KEY], &body)).status;
            assert!(matches!(status, 400 | 422), "{path}: {body}: {status}");
        }
    }
}

#[test]
fn a_wait_that_nobody_is_told_of_is_not_in_the_journal() {
    let plan = provider(json!({ "quota": { "requests": "1/min" } }));
    let refused = ask_all(plan, &[chat(json!({})), chat(json!({}))]).remove(1);
    assert_eq!((refused.status, refused.header("retry-after")), (429, ""));
    let told = refused.journal.iter().filter_map(|entry| match entry {
        mock_server::journal::Entry::Claimed(claimed) => claimed.retry_after,
        _ => None,
    });
    assert_eq!(told.count(), 0);
}
