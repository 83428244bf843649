//! Azure OpenAI.

use mock_server::plan::Plan;
use serde_json::{Value, json};

use crate::{
    likeness::{events, has_the_recorded_headers, is_as_recorded, keys, lines},
    play::{Got, ask, fault, fixture, healthy, provider, request},
};

const KEY: &str = "api-key: 0123456789abcdef";

/// A request to an operation of a deployment.
fn post(deployment: &str, operation: &str, body: &Value) -> Vec<u8> {
    let path =
        format!("/openai/deployments/{deployment}/{operation}?api-version=2024-05-01-preview");
    request("POST", &path, &[KEY], &body.to_string())
}

fn chat(more: &Value) -> Vec<u8> {
    let mut body = json!({ "messages": [{ "role": "user", "content": "hi" }] });
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    post("gpt-4o", "chat/completions", &body)
}

fn limited() -> Plan {
    provider(json!({ "quota": { "requests": "120/min", "tokens": "120_000/min" } }))
}

#[test]
fn faults_are_worded_as_recorded() {
    for (case, action, numbers) in [
        ("err_401_invalid_key", json!({ "authentication": {} }), &[][..]),
        ("err_401_aad_token", json!({ "authentication": { "case": "token" } }), &[]),
        ("err_401_permission_denied", json!({ "permission": { "case": "data-action" } }), &[]),
        ("err_403_network", json!({ "permission": {} }), &[]),
        ("err_400_content_filter", json!({ "content-policy": {} }), &[]),
        (
            "err_400_content_filter_no_inner",
            json!({ "content-policy": { "case": "prompt-bare" } }),
            &[],
        ),
        ("err_408_timeout", json!({ "request-timeout": {} }), &[]),
        (
            "err_429_call_rate",
            json!({ "rate-limited": { "retry-after": "9s" } }),
            &[("2023-07-01-preview", "2024-05-01-preview")],
        ),
        (
            "err_429_token_rate",
            json!({ "rate-limited": { "retry-after": "55s", "limit": "tokens" } }),
            &[],
        ),
        (
            "err_429_token_rate_2025",
            json!({ "rate-limited": { "retry-after": "45s", "limit": "tokens", "case": "tier-rate" } }),
            &[
                ("gpt-4.1-nano", "gpt-4o"),
                ("Sweden Central", "East US 2"),
                ("2023-05-15", "2024-05-01-preview"),
            ],
        ),
        ("err_429_peak_load", json!({ "overloaded": { "retry-after": "20s" } }), &[]),
        (
            "err_429_ai_services",
            json!({ "rate-limited": { "retry-after": "1s", "case": "foundry" } }),
            &[("grok-4-1-fast-non-reasoning", "gpt-4o"), ("westeurope", "eastus2")],
        ),
        ("err_500_apim", json!({ "server-error": { "case": "gateway" } }), &[]),
        ("err_500_server_error", json!({ "server-error": {} }), &[]),
        ("err_503_unavailable", json!({ "unavailable": {} }), &[]),
    ] {
        is_as_recorded("azure", case, &ask(fault(action), &chat(&json!({}))), numbers);
    }
}

#[test]
fn what_is_wrong_is_refused_as_recorded() {
    let body = json!({ "messages": [{ "role": "user", "content": "hi" }] }).to_string();
    let elsewhere = provider(json!({ "models": { "gpt-5": {} } }));
    let small = provider(json!({ "models": { "gpt-4o": { "window": 7 } } }));
    let chat_at = |path: &str, key: &str| request("POST", path, &[key], &body);
    let path = "/openai/deployments/gpt-4o/chat/completions";
    for (case, plan, bytes, numbers) in [
        ("err_404_deployment_not_found", elsewhere, chat(&json!({})), &[][..]),
        ("err_404_resource_not_found", healthy(), chat_at(path, KEY), &[]),
        (
            "err_404_resource_not_found",
            healthy(),
            chat_at(&format!("{path}?api-version=soon"), KEY),
            &[],
        ),
        (
            "err_404_resource_not_found",
            healthy(),
            chat_at("/openai/deployments/gpt-4o/chat/completionz?api-version=2024-10-21", KEY),
            &[],
        ),
        (
            "err_401_aad_token",
            healthy(),
            chat_at(&format!("{path}?api-version=2024-10-21"), "x-key: k"),
            &[],
        ),
        ("err_400_context_length", small, chat(&json!({})), &[("8192", "7"), ("9216", "8")]),
    ] {
        let got = ask(plan, &bytes);
        is_as_recorded("azure", case, &got, numbers);
        if case == "err_404_deployment_not_found" {
            assert_eq!(got.header("content-type"), "");
        }
    }
}

#[test]
fn every_form_of_the_path_and_the_key_is_served() {
    let body = json!({ "model": "gpt-4o", "messages": [{ "role": "user", "content": "hi" }] });
    let body = body.to_string();
    for path in [
        "/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21",
        "/openai/deployments/gpt-4o/chat/completions?api-version=2025-04-01-preview",
        "/openai/v1/chat/completions",
        "/openai/v1/chat/completions?api-version=preview",
        "/models/chat/completions?api-version=2024-05-01-preview",
    ] {
        for key in [KEY, "authorization: Bearer token"] {
            let got = ask(healthy(), &request("POST", path, &[key], &body));
            assert_eq!(got.status, 200, "{path}: {}", got.text());
            assert_eq!(got.header("x-ms-deployment-name"), "gpt-4o", "{path}");
        }
    }
}

#[track_caller]
fn has_the_recorded_shape(case: &str, got: &Got) {
    let recorded = fixture("azure", case);
    assert_eq!(got.status, 200, "{case}: {}", got.text());
    if let Some(body) = recorded["body_text"].as_str() {
        let theirs: Value = serde_json::from_str(body).unwrap();
        assert_eq!(keys(&got.json()), keys(&theirs), "{case}");
        // One line, without a space between anything.
        assert!(got.text().ends_with("}\n") && !got.text().contains("\": "), "{}", got.text());
    } else {
        assert_eq!(events(got.text().lines()), events(lines(&recorded)), "{case}");
    }
    has_the_recorded_headers(&recorded, case, got, &[]);
}

#[test]
fn healthy_answers_have_the_recorded_fields_in_their_order() {
    has_the_recorded_shape("chat_ok", &ask(limited(), &chat(&json!({}))));
    let body = json!({
        "messages": [{ "role": "user", "content": "hi" }],
        "stream": true, "stream_options": { "include_usage": true },
    });
    let bytes = post("gpt-5.2_2025-12-11", "chat/completions", &body);
    let got = ask(limited(), &bytes);
    has_the_recorded_shape("chat_stream_ok", &got);
    let last: Value = serde_json::from_str(got.data()[got.data().len() - 2]).unwrap();
    assert_eq!(last["model"], "gpt-5.2-2025-12-11");
    assert_eq!(got.header("x-ms-served-model"), "gpt-5.2-2025-12-11");
}

#[test]
fn the_deployment_says_which_model_answers_and_the_body_does_not() {
    let body = json!({ "model": "gpt-4", "messages": [{ "role": "user", "content": "hi" }] });
    for (deployment, model) in [
        ("gpt-4.1-mini", "gpt-4.1-mini-2025-04-14"),
        ("gpt-4o-mini_eu", "gpt-4o-mini-2024-07-18"),
        ("my-team", "gpt-4o-2024-08-06"),
    ] {
        let got = ask(healthy(), &post(deployment, "chat/completions", &body));
        assert_eq!(got.json()["model"], model, "{deployment}");
        // 3 + (3 + 1 + 1): the tokenizer is the model's.
        assert_eq!(got.json()["usage"]["prompt_tokens"], 8, "{deployment}");
    }
}

#[test]
fn a_filter_may_cut_an_answer() {
    let filtered = || fault(json!({ "content-policy": { "case": "completion" } }));
    let got = ask(filtered(), &chat(&json!({})));
    let recorded = fixture("azure", "chat_content_filter_finish_ok");
    let theirs: Value = serde_json::from_str(recorded["body_text"].as_str().unwrap()).unwrap();
    assert_eq!((got.status, &got.json()["choices"]), (200, &theirs["choices"]));
    assert_eq!(got.json()["prompt_filter_results"], theirs["prompt_filter_results"]);
    let cut = fault(json!({ "stream-error": { "error": "content-policy", "after": 1 } }));
    let got = ask(cut, &chat(&json!({ "stream": true })));
    let data = got.data();
    assert_eq!(data.last(), Some(&"[DONE]"));
    let last: Value = serde_json::from_str(data[data.len() - 2]).unwrap();
    let theirs = fixture("azure", "chat_stream_content_filter");
    let theirs = lines(&theirs);
    let theirs: Value = serde_json::from_str(theirs[6].strip_prefix("data: ").unwrap()).unwrap();
    assert_eq!(last["choices"], theirs["choices"]);
    let first: Value = serde_json::from_str(data[1]).unwrap();
    assert_eq!(last["id"], first["id"]);
}

#[test]
fn a_filter_may_run_beside_the_answer() {
    let body = json!({ "messages": [{ "role": "user", "content": "hi" }], "stream": true });
    let got = ask(healthy(), &post("gpt-4o-async-filter", "chat/completions", &body));
    let theirs = fixture("azure", "chat_stream_async_filter_ok");
    let theirs = lines(&theirs);
    let last = |lines: &[&str]| keys(&serde_json::from_str(lines[lines.len() - 2]).unwrap());
    let theirs: Vec<&str> = theirs.iter().filter_map(|line| line.strip_prefix("data: ")).collect();
    assert_eq!(last(&got.data()), last(&theirs));
    let said: String = got
        .data()
        .iter()
        .filter_map(|data| {
            let frame: Value = serde_json::from_str(data).ok()?;
            Some(frame.pointer("/choices/0/delta/content")?.as_str()?.to_owned())
        })
        .collect();
    let verdict: Value = serde_json::from_str(got.data()[got.data().len() - 2]).unwrap();
    assert_eq!(verdict["choices"][0]["content_filter_offsets"]["end_offset"], said.chars().count());
}

/// What a limit says, in its text and in its headers, is one story.
#[test]
fn a_limit_announces_one_wait() {
    let got = ask(limited(), &chat(&json!({})));
    for (name, value) in [
        ("x-ratelimit-limit-requests", "120"),
        ("x-ratelimit-remaining-requests", "119"),
        ("x-ratelimit-renewalperiod-requests", "60"),
        ("x-ratelimit-reset-requests", "500"),
        // 8 tokens, and the 16 of an answer that sets no limit, come back in 12 ms.
        ("x-ratelimit-reset-tokens", "12"),
    ] {
        assert_eq!(got.header(name), value, "{name}");
    }
    let spent = provider(json!({ "quota": { "requests": "1/min" } }));
    let got = crate::play::ask_all(spent, &[chat(&json!({})), chat(&json!({}))]).remove(1);
    assert_eq!(got.status, 429);
    assert!(
        got.text().contains("call rate limit") && got.text().contains("retry after 60 seconds")
    );
    for (name, value) in [
        ("retry-after", "60"),
        ("retry-after-ms", "60000"),
        ("x-ratelimit-reset-requests", "60"),
        ("policy-id", "DeploymentRatelimit-Call"),
    ] {
        assert_eq!(got.header(name), value, "{name}");
    }
}

#[test]
fn the_other_operations_are_served() {
    let got =
        ask(healthy(), &post("text-embedding-3-small", "embeddings", &json!({ "input": "hi" })));
    assert_eq!(
        keys(&got.json()),
        "{data:[{embedding:[number],index:number,object:_}],model:_,object:_,usage:{prompt_tokens:number,total_tokens:number}}"
    );
    let got =
        ask(healthy(), &post("gpt-35-turbo-instruct", "completions", &json!({ "prompt": "hi" })));
    assert_eq!(got.json()["object"], "text_completion");
    let body = json!({ "model": "gpt-4o", "input": "hi" }).to_string();
    let got = ask(healthy(), &request("POST", "/openai/v1/responses", &[KEY], &body));
    assert_eq!(got.json()["object"], "response");
}
