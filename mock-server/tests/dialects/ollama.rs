//! Ollama.

use serde_json::{Value, json};

use crate::{
    play::{Got, ask, fault, fixture, healthy, provider, request, shape},
    recording::{events, same, survives_every_value},
};

fn post(path: &str, body: &Value) -> Vec<u8> {
    request("POST", path, &[], &body.to_string())
}

fn asked(path: &str, model: &str, more: &Value) -> Vec<u8> {
    let mut body = json!({
        "model": model,
        "messages": [{ "role": "user", "content": "Tell me a joke about OpenTelemetry" }],
        "prompt": "Tell me a joke about OpenTelemetry",
    });
    for (name, value) in more.as_object().expect("more fields") {
        body[name] = value.clone();
    }
    post(path, &body)
}

fn chat(more: &Value) -> Vec<u8> {
    asked("/api/chat", "llama3", more)
}

fn compatible(more: &Value) -> Vec<u8> {
    asked("/ollama/v1/chat/completions", "gpt-oss:120b", more)
}

/// The lines of an answer.
fn lines(got: &Got) -> Vec<Value> {
    got.text().lines().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect()
}

fn error(got: &Got) -> String {
    got.json()["error"].as_str().expect("an error is a text").to_owned()
}

#[test]
fn every_recorded_failure_is_played_letter_by_letter() {
    let whole = json!({ "stream": false });
    for (case, action) in
        [("err_500", json!({ "server-error": {} })), ("err_503_busy", json!({ "overloaded": {} }))]
    {
        for request in [chat(&json!({})), chat(&whole)] {
            same(&ask(fault(action.clone()), &request), "ollama", case, &[], &[]);
        }
    }
    let refused = json!({ "authentication": {} });
    same(&ask(fault(refused), &compatible(&json!({}))), "ollama", "openai_err_401_cloud", &[], &[]);
    let got = ask(fault(json!({ "context-length": { "window": 5 } })), &compatible(&json!({})));
    let body = got.text().to_owned();
    let reference = body.split("(ref: ").nth(1).and_then(|rest| rest.get(..36)).unwrap_or_default();
    let replaced = [("1119046", "12"), ("96164522-08b2-4cbf-886e-e5a38961a688", reference)];
    same(&got, "ollama", "openai_err_400_context_cloud", &replaced, &[]);
    let embed = post("/api/embed", &json!({ "model": "nomic-embed-text", "input": "hi" }));
    let got = ask(fault(json!({ "context-length": {} })), &embed);
    same(&got, "ollama", "err_400_context_embed", &[], &[]);
}

#[test]
fn what_is_wrong_is_refused_in_the_words_of_go() {
    let raw = |body: &str| request("POST", "/api/chat", &[], body);
    let got = ask(healthy(), &raw("{\"model\":\"llama3\",}"));
    same(&got, "ollama", "err_400_bad_json", &[], &[]);
    same(&ask(healthy(), &raw("")), "ollama", "err_400_missing_body", &[], &[]);
    same(&ask(healthy(), &raw("{}")), "ollama", "err_400_model_required", &[], &[]);
    let deep = "[".repeat(20_000);
    for (request, status, text) in [
        (raw("{"), 400, "unexpected EOF"),
        (raw(&deep), 400, "exceeded max depth"),
        (raw("7"), 400, "json: cannot unmarshal number into Go value of type api.ChatRequest"),
        (
            chat(&json!({ "messages": "hi" })),
            400,
            "json: cannot unmarshal string into Go struct field ChatRequest.messages of type \
             []api.Message",
        ),
        (
            chat(&json!({ "messages": [{ "role": 7 }] })),
            400,
            "json: cannot unmarshal number into Go struct field ChatRequest.messages.role of type \
             string",
        ),
        (
            chat(&json!({ "options": { "num_predict": "ten" } })),
            400,
            "option \"num_predict\" must be of type integer",
        ),
        (
            chat(&json!({ "options": { "stop": "END" } })),
            400,
            "option \"stop\" must be of type array",
        ),
        (chat(&json!({ "think": true })), 400, "\"llama3\" does not support thinking"),
        (
            chat(&json!({ "tools": [{ "type": "function", "function": { "name": "f" } }] })),
            400,
            "registry.ollama.ai/library/llama3:latest does not support tools",
        ),
        (chat(&json!({ "keep_alive": "5" })), 400, "time: missing unit in duration \"5\""),
        (chat(&json!({ "keep_alive": "soon" })), 400, "time: invalid duration \"soon\""),
        (
            chat(&json!({ "format": "<yaml>" })),
            500,
            "invalid format: \"\\\"<yaml>\\\"\"; expected \"json\" or a valid JSON Schema object",
        ),
        (post("/api/embed", &json!({ "model": "m", "input": 7 })), 400, "invalid input type"),
        (post("/api/generate", &json!({ "prompt": "hi" })), 404, "model '' not found"),
    ] {
        let got = ask(healthy(), &request);
        assert_eq!((got.status, error(&got).as_str()), (status, text));
    }
    let got = ask(healthy(), &chat(&json!({ "format": "<yaml>" })));
    assert!(got.text().contains("\\u003cyaml\\u003e"), "{}", got.text());
    let got = ask(healthy(), &request("GET", "/api/chat", &[], ""));
    assert_eq!((got.status, got.text()), (405, "405 method not allowed"));
    let got = ask(healthy(), &request("GET", "/ollama/api/unknown", &[], ""));
    assert_eq!((got.status, got.text()), (404, "404 page not found"));
}

#[test]
fn a_model_that_is_not_listed_is_not_found() {
    let listed = || provider(json!({ "models": { "llama3": {} } }));
    let got = ask(listed(), &asked("/api/chat", "nonexistent-model:latest", &json!({})));
    same(&got, "ollama", "err_404_model", &[], &[]);
    let path = "/ollama/v1/chat/completions";
    let got = ask(listed(), &asked(path, "nonexistent", &json!({})));
    same(&got, "ollama", "openai_err_404_model", &[], &[]);
    let got = ask(listed(), &asked("/api/chat", "a\"<b", &json!({})));
    assert_eq!(got.text(), r#"{"error":"model 'a\"\u003cb' not found"}"#);
}

#[test]
fn a_chat_streams_lines_unless_told_not_to() {
    let got = ask(healthy(), &chat(&json!({})));
    assert_eq!(got.header("content-type"), "application/x-ndjson");
    let mut shapes: Vec<String> = lines(&got).iter().map(shape).collect();
    shapes.dedup();
    let recorded = fixture("ollama", "chat_stream_ok");
    let recorded = recorded["ndjson"].as_array().unwrap().iter();
    let mut recorded: Vec<String> = recorded
        .filter_map(|line| serde_json::from_str(line.as_str()?).ok())
        .map(|line: Value| shape(&line))
        .collect();
    recorded.dedup();
    assert_eq!(shapes, recorded);
    let got = ask(healthy(), &chat(&json!({ "stream": false })));
    assert_eq!(got.header("content-type"), "application/json; charset=utf-8");
    assert_eq!(shape(&got.json()), shape(&fixture("ollama", "chat_ok")["body"]));
    // 5 at the beginning, 5 around the message, 34 letters.
    assert_eq!(got.json()["prompt_eval_count"], 19);
}

#[test]
fn a_generation_has_the_recorded_shape_and_a_context() {
    let got = ask(healthy(), &asked("/api/generate", "llama3", &json!({ "stream": false })));
    assert_eq!(shape(&got.json()), shape(&fixture("ollama", "generate_ok")["body"]));
    let raw = json!({ "stream": false, "raw": true });
    let got = ask(healthy(), &asked("/api/generate", "llama3", &raw));
    assert_eq!(got.json().get("context"), None);
}

#[test]
fn durations_add_up_and_times_go_on() {
    let latency = json!({ "latency": { "first-token": "2s", "between-tokens": "100ms" } });
    let got = ask(provider(latency), &chat(&json!({})));
    let lines = lines(&got);
    let last = lines.last().unwrap();
    let span = |name: &str| last[name].as_u64().unwrap();
    assert_eq!(span("prompt_eval_duration"), 2_000_000_000);
    let spoken = u64::try_from(lines.len()).unwrap() - 2;
    assert!(span("eval_duration") >= spoken * 100_000_000);
    let parts = ["load_duration", "prompt_eval_duration", "eval_duration"].map(span);
    assert!(span("total_duration") >= parts.iter().sum());
    let times: Vec<&str> = lines.iter().map(|line| line["created_at"].as_str().unwrap()).collect();
    assert_eq!(
        times[..3],
        ["2026-01-01T00:00:02Z", "2026-01-01T00:00:02.1Z", "2026-01-01T00:00:02.2Z"]
    );
}

#[test]
fn a_limit_of_tokens_is_the_reason_of_its_end() {
    let limited = json!({ "stream": false, "options": { "num_predict": 10 } });
    let got = ask(healthy(), &chat(&limited));
    assert_eq!(got.json()["done_reason"], "length");
    assert!(got.json()["eval_count"].as_u64().unwrap() <= 10);
    let endless = json!({ "stream": false, "options": { "num_predict": -1 } });
    assert_eq!(ask(healthy(), &chat(&endless)).json()["done_reason"], "stop");
}

#[test]
fn nothing_to_say_loads_a_model_and_no_time_unloads_it() {
    for (path, said) in
        [("/api/chat", json!({ "messages": [] })), ("/api/generate", json!({ "prompt": "" }))]
    {
        for (kept, reason) in [(json!("5m"), "load"), (json!(0), "unload"), (json!("0s"), "unload")]
        {
            let mut body = json!({ "model": "llama3", "keep_alive": kept });
            body.as_object_mut().unwrap().extend(said.as_object().unwrap().clone());
            let got = ask(healthy(), &post(path, &body)).json();
            assert_eq!((&got["done_reason"], &got["done"]), (&json!(reason), &json!(true)));
            assert_eq!(got.get("eval_count"), None);
        }
    }
}

#[test]
fn an_error_in_a_stream_is_its_last_line() {
    let broken = json!({ "stream-error": { "after": 1, "error": "server-error" } });
    let got = ask(fault(broken), &chat(&json!({})));
    let recorded = fixture("ollama", "stream_error_midstream");
    let got: Vec<&str> = got.text().lines().collect();
    assert_eq!((got.len(), &json!(got[1])), (2, &recorded["ndjson"][1]));
}

#[test]
fn the_compatible_answers_have_the_recorded_shape() {
    let got = ask(healthy(), &asked("/ollama/v1/chat/completions", "llama3.2", &json!({})));
    let mut recorded = fixture("ollama", "openai_chat_ok")["body"].clone();
    recorded["choices"][0]["message"].as_object_mut().unwrap().remove("reasoning");
    assert_eq!(shape(&got.json()), shape(&recorded));
    assert!(got.text().ends_with("}\n"));
    let streaming = json!({ "stream": true, "stream_options": { "include_usage": true } });
    let got = ask(healthy(), &asked("/ollama/v1/chat/completions", "llama3.2", &streaming));
    let data = got.data();
    let chunks = data[..data.len() - 1].iter().map(|data| serde_json::from_str(data).unwrap());
    let mut shapes: Vec<String> = chunks.map(|chunk: Value| shape(&chunk)).collect();
    shapes.dedup();
    let recorded = events("ollama", "openai_chat_stream_ok");
    let spoken =
        recorded.iter().filter(|chunk| chunk.pointer("/choices/0/delta/reasoning").is_none());
    let mut recorded: Vec<String> = spoken.map(shape).collect();
    recorded.dedup();
    // The recorded one thinks first, so that its first word is not its first chunk.
    assert_eq!(shapes[1..], recorded);
    assert!(shapes[0].contains("role"));
}

#[test]
fn vectors_come_one_for_each_text() {
    let body = json!({ "model": "nomic-embed-text", "input": ["one", "two"] });
    let many = ask(healthy(), &post("/api/embed", &body)).json();
    assert_eq!(many["embeddings"].as_array().unwrap().len(), 2);
    assert_eq!(many["embeddings"][0].as_array().unwrap().len(), 768);
    let body = json!({ "model": "nomic-embed-text", "prompt": "one" });
    let one = ask(healthy(), &post("/api/embeddings", &body)).json();
    assert_eq!(one["embedding"], many["embeddings"][0]);
    let body = json!({ "model": "nomic-embed-text", "input": "two", "dimensions": 64 });
    let two = ask(healthy(), &post("/ollama/v1/embeddings", &body)).json();
    assert_eq!(two["data"][0]["embedding"].as_array().unwrap().len(), 64);
    let none = ask(healthy(), &post("/api/embed", &json!({ "model": "m", "input": [] }))).json();
    assert_eq!(none, json!({ "model": "m", "embeddings": [] }));
}

#[test]
fn the_library_is_told_in_every_form() {
    let get = |path: &str| ask(healthy(), &request("GET", path, &[], "")).json();
    assert_eq!(get("/api/tags")["models"][0]["name"], "llama3.2:latest");
    assert_eq!(get("/api/ps")["models"][0]["size_vram"], 4_038_786_378_u64);
    assert!(get("/api/version")["version"].is_string());
    assert_eq!(get("/ollama/v1/models")["data"][0]["id"], "llama3.2:latest");
    assert_eq!(get("/ollama/v1/models/qwen3")["owned_by"], "library");
    let shown = ask(healthy(), &post("/api/show", &json!({ "model": "qwen3" }))).json();
    assert_eq!(shown["capabilities"], json!(["completion", "tools", "thinking"]));
    let listed = provider(json!({ "models": { "llama3": {} } }));
    let missing = ask(listed, &post("/api/show", &json!({ "model": "qwen3" })));
    assert_eq!((missing.status, error(&missing).as_str()), (404, "model 'qwen3' not found"));
}

#[test]
fn no_value_in_a_request_breaks_it() {
    let everything = json!({
        "model": "llama3.2", "messages": [{ "role": "user", "content": "hi" }], "prompt": "hi",
        "stream": true, "tools": [], "format": "json", "think": false, "keep_alive": "5m",
        "options": { "num_predict": 5, "stop": ["x"] }, "context": [1], "raw": false, "input": "a",
        "dimensions": 8, "stop": "x", "max_tokens": 5, "reasoning_effort": "low", "name": "a",
        "stream_options": { "include_usage": true }, "suffix": "", "system": "",
    });
    for path in [
        "/api/chat",
        "/api/generate",
        "/api/embed",
        "/api/embeddings",
        "/api/show",
        "/ollama/v1/chat/completions",
        "/ollama/v1/completions",
        "/ollama/v1/embeddings",
    ] {
        survives_every_value(path, "x-key: none", &everything);
    }
}

#[test]
fn wishes_are_granted() {
    let schema = json!({ "type": "object", "properties": { "age": { "type": "integer" } }, "required": ["age"] });
    let formed = ask(healthy(), &chat(&json!({ "stream": false, "format": schema }))).json();
    let text = formed["message"]["content"].as_str().unwrap().to_owned();
    assert!(serde_json::from_str::<Value>(&text).unwrap()["age"].is_i64(), "{text}");
    let stopped = json!({ "stream": false, "options": { "stop": [" "] } });
    let text = ask(healthy(), &chat(&stopped)).json()["message"]["content"].to_string();
    assert!(!text.contains(' '), "{text}");
    let thinking = |think: Value| {
        let body = json!({ "stream": false, "think": think });
        ask(healthy(), &asked("/api/chat", "qwen3", &body)).json()["message"].clone()
    };
    assert!(thinking(json!(null))["thinking"].is_string());
    assert_eq!(thinking(json!(false)).get("thinking"), None);
    let got = ask(healthy(), &asked("/ollama/v1/chat/completions", "gpt-oss:120b", &json!({})));
    assert_eq!(shape(&got.json()), shape(&fixture("ollama", "openai_chat_ok")["body"]));
}
