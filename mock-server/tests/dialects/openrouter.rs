//! OpenRouter.

use serde_json::{Value, json};

use crate::{
    play::{Got, ask, ask_all, fault, fixture, healthy, provider, request, shape},
    recording::{events, has_headers, same, survives_every_value},
};

const KEY: &str = "authorization: Bearer sk-or-test";
const PATH: &str = "/api/v1/chat/completions";
const MODEL: &str = "anthropic/claude-haiku-4.5";

fn asked(path: &str, model: &str, more: &Value) -> Vec<u8> {
    let mut body = json!({
        "model": model,
        "messages": [{ "role": "user", "content": "Count from 1 to 3" }],
    });
    for (name, value) in more.as_object().expect("more fields") {
        body[name] = value.clone();
    }
    request("POST", path, &[KEY], &body.to_string())
}

fn chat(more: &Value) -> Vec<u8> {
    asked(PATH, MODEL, more)
}

/// The chunks of a stream.
fn chunks(got: &Got) -> Vec<Value> {
    let data = got.data();
    let data = data.iter().filter(|data| **data != "[DONE]");
    data.map(|data| serde_json::from_str(data).expect("a chunk is JSON")).collect()
}

#[test]
fn every_recorded_failure_is_played_letter_by_letter() {
    let gemini = "google/gemini-2.0-flash-exp:free";
    for (case, model, action, replaced) in [
        (
            "err_400_invalid_model",
            "foo/bar",
            json!({ "not-found": { "case": "model-id" } }),
            vec![],
        ),
        ("err_401_missing_auth", MODEL, json!({ "authentication": {} }), vec![]),
        (
            "err_401_no_auth",
            MODEL,
            json!({ "authentication": { "case": "no-credentials" } }),
            vec![],
        ),
        ("err_401_user_not_found", MODEL, json!({ "authentication": { "case": "user" } }), vec![]),
        ("err_402_insufficient", MODEL, json!({ "insufficient-quota": {} }), vec![]),
        (
            "err_402_max_tokens",
            MODEL,
            json!({ "insufficient-quota": { "case": "max-tokens" } }),
            vec![],
        ),
        (
            "err_403_moderation",
            "openai/gpt-4o",
            json!({ "content-policy": {} }),
            vec![("…", "Count from 1 to 3")],
        ),
        ("err_404_no_endpoints", "foo/bar", json!({ "not-found": {} }), vec![]),
        ("err_429_provider", gemini, json!({ "rate-limited": {} }), vec![]),
        (
            "err_429_free_per_min",
            gemini,
            // 3 s is what a limit of 20 a minute asks for; the clock starts at 2026-01-01.
            json!({ "rate-limited": { "retry-after": "3s" } }),
            vec![("1780944420000", "1767225603000")],
        ),
        (
            "err_429_free_per_day",
            gemini,
            json!({ "rate-limited": { "retry-after": "1728s" } }),
            vec![("1780963200000", "1767227328000")],
        ),
        (
            "err_502_provider",
            MODEL,
            json!({ "bad-gateway": {} }),
            vec![("Anthropic", "Amazon Bedrock")],
        ),
        ("err_503_no_provider", MODEL, json!({ "unavailable": {} }), vec![]),
    ] {
        let got = ask(fault(action), &asked(PATH, model, &json!({})));
        same(&got, "openrouter", case, &replaced, &[]);
    }
}

#[test]
fn a_prompt_that_is_too_long_is_told_in_numbers() {
    let plan = || provider(json!({ "models": { MODEL: { "window": 10 } } }));
    let replaced = [("200000", "10"), ("2500021", "12")];
    let got = ask(plan(), &chat(&json!({})));
    same(&got, "openrouter", "err_400_context_length", &replaced, &[]);
    let got = ask(plan(), &chat(&json!({ "max_tokens": 5 })));
    let message = got.json()["error"]["message"].to_string();
    assert!(message.contains("17 tokens (12 of text input, 5 in the output)"), "{message}");
}

#[test]
fn what_is_wrong_is_refused() {
    let raw = |body: &str| request("POST", PATH, &[KEY], body);
    same(
        &ask(healthy(), &request("POST", PATH, &[], "{}")),
        "openrouter",
        "err_401_missing_auth",
        &[],
        &[],
    );
    let deep = "[".repeat(10_000);
    for (request, status, text) in [
        (raw("{"), 400, "Invalid JSON body"),
        (raw(&deep), 400, "Invalid JSON body"),
        (raw("7"), 400, "body: Invalid input: expected object, received number"),
        (raw("{}"), 400, "No models provided"),
        (raw(r#"{"model":"a/b"}"#), 400, "Input required: specify \"prompt\" or \"messages\""),
        (
            chat(&json!({ "max_tokens": "5" })),
            400,
            "max_tokens: Invalid input: expected number, received string",
        ),
        (
            chat(&json!({ "messages": [{}] })),
            400,
            "messages.0.role: Invalid input: expected string, received undefined",
        ),
        (request("GET", PATH, &[KEY], ""), 405, "Method Not Allowed"),
        (request("POST", "/api/v1/unknown", &[KEY], "{}"), 404, "Not Found"),
    ] {
        let got = ask(healthy(), &request);
        let error = &got.json()["error"];
        assert_eq!((got.status, &error["message"]), (status, &json!(text)));
        assert_eq!(error["code"], status);
    }
}

#[test]
fn a_model_that_is_not_listed_is_no_model() {
    let plan = provider(json!({ "models": { "openai/*": {} } }));
    let got = ask(plan, &asked(PATH, "foo/bar", &json!({})));
    same(&got, "openrouter", "err_400_invalid_model", &[], &[]);
}

#[test]
fn a_whole_answer_has_spaces_before_it_and_what_it_cost_in_it() {
    let got = ask(healthy(), &chat(&json!({})));
    let recorded = fixture("openrouter", "chat_ok");
    has_headers(&got, "openrouter", "chat_ok", &[]);
    assert_eq!(shape(&got.json()), shape(&recorded["body"]));
    assert!(got.text().starts_with("\n         \n\n         \n{\"id\":\"gen-1767225600-"));
    assert_eq!(got.header("x-generation-id"), got.json()["id"]);
    assert_eq!(got.json()["model"], recorded["body"]["model"]);
    // 3 before all of it, 4 around the message, 17 letters; a millionth of a dollar each.
    assert!(got.text().contains("\"upstream_inference_prompt_cost\":0.000012,"), "{}", got.text());
    let usage = &got.json()["usage"];
    let cost = 12 + 5 * usage["completion_tokens"].as_u64().unwrap();
    assert!(
        got.text().contains(&format!("\"cost\":{}", format!("0.{cost:06}").trim_end_matches('0')))
    );
}

#[test]
fn a_stream_has_the_recorded_chunks() {
    let slow = provider(json!({ "latency": { "first-token": "2s" } }));
    let got = ask(slow, &chat(&json!({ "stream": true })));
    has_headers(&got, "openrouter", "chat_stream_ok", &[]);
    // One at once, and one for each 400 ms of silence.
    let comments =
        got.text().lines().take_while(|line| !line.starts_with("data")).collect::<Vec<_>>();
    assert_eq!(comments, [": OPENROUTER PROCESSING", ""].repeat(5));
    let mut shapes: Vec<String> = chunks(&got).iter().map(shape).collect();
    shapes.dedup();
    let recorded: Vec<String> = events("openrouter", "chat_stream_ok").iter().map(shape).collect();
    assert_eq!(shapes, recorded);
    let reasons =
        chunks(&got).iter().filter(|chunk| chunk["choices"][0]["finish_reason"] == "stop").count();
    assert_eq!(reasons, 2);
    assert_eq!(got.data().last(), Some(&"[DONE]"));
}

#[test]
fn a_stream_that_breaks_says_so_in_its_last_chunk() {
    let broken = json!({ "stream-error": { "after": 1, "error": "server-error" } });
    let got = ask(fault(broken), &chat(&json!({ "stream": true })));
    let mut recorded = events("openrouter", "stream_error_midstream").pop().unwrap();
    let last = chunks(&got).pop().unwrap();
    for name in ["id", "created"] {
        recorded[name] = last[name].clone();
    }
    assert_eq!((last.to_string(), chunks(&got).len()), (recorded.to_string(), 2));
}

#[test]
fn who_answers_gives_its_own_reason() {
    for (model, upstream, reason) in [
        (MODEL, "Amazon Bedrock", "end_turn"),
        ("google/gemini-2.5-flash", "Google", "STOP"),
        ("openai/gpt-4o-mini", "OpenAI", "stop"),
    ] {
        let got =
            ask(healthy(), &asked("/openrouter/api/v1/chat/completions", model, &json!({}))).json();
        assert_eq!(got["provider"], upstream);
        assert_eq!(got["choices"][0]["native_finish_reason"], reason);
    }
    let free =
        asked(PATH, "deepseek/deepseek-r1:free", &json!({ "reasoning": { "exclude": true } }));
    let got = ask(healthy(), &free);
    assert!(got.text().contains("\"cost\":0,"), "{}", got.text());
    assert_eq!(got.json()["choices"][0]["message"]["reasoning"], Value::Null);
}

#[test]
fn the_limit_of_free_models_is_told_when_it_is_hit() {
    let plan = provider(json!({ "quota": { "requests": "2/min" } }));
    let answers = ask_all(plan, &[chat(&json!({})), chat(&json!({})), chat(&json!({}))]);
    let last = &answers[2];
    let headers = &last.json()["error"]["metadata"]["headers"];
    assert_eq!((last.status, &headers["X-RateLimit-Limit"]), (429, &json!("2")));
    assert_eq!(headers["X-RateLimit-Reset"], last.header("x-ratelimit-reset"));
    assert_eq!(last.header("retry-after"), "60");
}

#[test]
fn models_and_vectors_are_told() {
    let list = ask(healthy(), &request("GET", "/api/v1/models", &[], ""));
    assert_eq!(list.json()["data"][0]["pricing"]["completion"], "0.000005");
    assert_eq!(list.json()["data"][0]["context_length"], 200_000);
    let body = json!({ "input": ["hi", "ho"], "dimensions": 8, "messages": null });
    let got = ask(healthy(), &asked("/api/v1/embeddings", "openai/text-embedding-3-small", &body));
    assert_eq!(got.json()["data"][1]["embedding"].as_array().unwrap().len(), 8);
    let body = json!({ "messages": null, "prompt": "Once" });
    let got = ask(healthy(), &asked("/api/v1/completions", MODEL, &body));
    assert_eq!(got.json()["object"], "text_completion");
    assert!(got.json()["choices"][0]["text"].is_string());
}

#[test]
fn no_value_in_a_request_breaks_it() {
    let everything = json!({
        "model": MODEL, "messages": [{ "role": "user", "content": "hi" }], "prompt": "hi",
        "stream": true, "tools": [], "tool_choice": "auto", "response_format": {}, "stop": "x",
        "max_tokens": 5, "reasoning": { "effort": "low" }, "models": [MODEL], "input": "a",
        "dimensions": 8, "encoding_format": "base64", "include_reasoning": true,
    });
    for path in [PATH, "/api/v1/completions", "/api/v1/embeddings"] {
        survives_every_value(path, KEY, &everything);
    }
}

#[test]
fn wishes_are_granted() {
    let parameters = json!({ "type": "object", "properties": { "city": { "type": "string" } } });
    let tools = json!([{ "type": "function", "function": { "name": "get_weather", "parameters": parameters } }]);
    let called = json!({ "tools": tools, "tool_choice": "required" });
    let choice = &ask(healthy(), &chat(&called)).json()["choices"][0];
    assert_eq!(choice["finish_reason"], "tool_calls");
    assert_eq!(choice["native_finish_reason"], "tool_use");
    assert_eq!(choice["message"]["tool_calls"][0]["function"]["name"], "get_weather");
    let thinks = json!({ "reasoning": { "effort": "high" } });
    let got = ask(healthy(), &chat(&thinks)).json();
    assert!(got["choices"][0]["message"]["reasoning"].is_string());
    let tokens = &got["usage"]["completion_tokens_details"]["reasoning_tokens"];
    assert!(tokens.as_u64().unwrap() > 0);
    let stopped = ask(healthy(), &chat(&json!({ "stop": [" "] }))).json();
    assert_eq!(stopped["choices"][0]["native_finish_reason"], "stop_sequence");
}
