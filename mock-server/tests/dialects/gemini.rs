//! Google Gemini.

use mock_server::{journal::Entry, plan::Plan};
use serde_json::{Value, json};

use crate::play::{Got, ask, ask_all, fault, fixture, healthy, provider, request, shape};

const KEY: &str = "x-goog-api-key: test-key";
const FLASH: &str = "/v1beta/models/gemini-2.5-flash";

/// A request to generate content.
fn generate(fields: Value) -> Vec<u8> {
    sent(&format!("{FLASH}:generateContent"), fields)
}

/// The same for a stream of events.
fn stream(fields: Value) -> Vec<u8> {
    sent(&format!("{FLASH}:streamGenerateContent?alt=sse"), fields)
}

/// A request with contents, and with the fields given.
fn sent(path: &str, fields: Value) -> Vec<u8> {
    let mut body = json!({ "contents": [{ "role": "user", "parts": [{ "text": "hi" }] }] });
    let Value::Object(fields) = fields else { panic!("{fields} are no fields") };
    for (name, value) in fields {
        body[name] = value;
    }
    request("POST", path, &[KEY], &body.to_string())
}

/// Compares an answer with what was recorded: status, body but for the numbers given, and the names
/// of the headers.
#[track_caller]
fn is_as_recorded(case: &str, got: &Got, numbers: &[(&str, &str)]) {
    let recorded = fixture("gemini", case);
    assert_eq!(i64::from(got.status), recorded["status"], "{case}: {}", got.text());
    let mut body = recorded["body_text"].as_str().unwrap().to_owned();
    for (theirs, ours) in numbers {
        assert!(body.contains(theirs), "{case} does not say `{theirs}`");
        body = body.replace(theirs, ours);
    }
    assert_eq!(got.text(), body, "{case}");
    has_headers(case, got, &recorded);
}

#[track_caller]
fn has_headers(case: &str, got: &Got, recorded: &Value) {
    let names = recorded["headers"].as_object().unwrap();
    for (name, value) in names.iter().filter(|(name, _)| *name != "date") {
        assert!(got.headers.iter().any(|(ours, _)| ours == name), "{case} lacks {name}");
        if !["content-length", "server-timing"].contains(&name.as_str()) {
            assert_eq!(got.header(name), value, "{case}");
        }
    }
    // Recorded of no answer at all.
    for name in ["request-id", "x-request-id", "retry-after"] {
        assert_eq!(got.header(name), "", "{case}");
    }
}

/// The lines of a recorded stream, as one text.
fn recorded_stream(case: &str) -> String {
    let recorded = fixture("gemini", case);
    let lines = recorded["sse"].as_array().unwrap().iter();
    let lines: Vec<&str> = lines.filter_map(Value::as_str).collect();
    lines.join(recorded["sse_eol"].as_str().unwrap())
}

/// The frames of a stream of events.
fn frames(got: &Got) -> Vec<Value> {
    assert!(got.text().ends_with("\r\n\r\n"), "{}", got.text());
    let frames = got.text().split("\r\n\r\n").filter(|frame| !frame.is_empty());
    frames
        .map(|frame| serde_json::from_str(frame.strip_prefix("data: ").unwrap()).unwrap())
        .collect()
}

#[test]
fn every_fault_is_worded_as_recorded() {
    let location = ("<GOOGLE_CLOUD_LOCATION>", "global");
    let flahs = ("gemini-3.6-flahs", "gemini-2.5-flash");
    for (case, action, numbers) in [
        ("err_400_api_key_invalid", json!({ "authentication": {} }), vec![]),
        ("err_400_key_expired", json!({ "authentication": { "case": "expired-key" } }), vec![]),
        (
            "err_400_invalid_argument",
            json!({ "bad-request": { "case": "invalid-argument" } }),
            vec![],
        ),
        ("err_400_malformed_json", json!({ "bad-request": { "case": "malformed-json" } }), vec![]),
        ("err_400_location", json!({ "permission": { "case": "location" } }), vec![]),
        ("err_400_payload_size", json!({ "request-too-large": {} }), vec![]),
        ("err_403_missing_key", json!({ "authentication": { "case": "missing-key" } }), vec![]),
        ("err_403_key_leaked", json!({ "permission": {} }), vec![]),
        (
            "err_403_service_disabled",
            json!({ "permission": { "case": "service-disabled" } }),
            vec![],
        ),
        ("err_404_model_not_found", json!({ "not-found": {} }), vec![flahs]),
        (
            "err_429_quota_free_rpm",
            json!({ "rate-limited": { "retry-after": "6s" } }),
            vec![("27.483721634s", "6s"), ("27s", "6s")],
        ),
        (
            "err_429_quota_paid_tier",
            json!({ "rate-limited": { "retry-after": "2500ms", "limit": "input-tokens", "case": "paid-tier" } }),
            vec![location, ("48.939935699s", "2.5s"), ("48s", "2s"), ("1000000", "30000")],
        ),
        (
            "err_429_quota_free_tokens_2025",
            json!({ "rate-limited": { "retry-after": "2s", "limit": "tokens", "case": "free-tier-2025" } }),
            vec![("gemini-2.5-pro", "gemini-2.5-flash"), ("49s", "2s"), ("125000", "30000")],
        ),
        ("err_429_quota_free_rpd", json!({ "insufficient-quota": {} }), vec![]),
        (
            "err_429_resource_exhausted_plain",
            json!({ "rate-limited": { "case": "plain" } }),
            vec![],
        ),
        ("err_429_vertex", json!({ "rate-limited": { "case": "vertex" } }), vec![]),
        ("err_499_cancelled", json!({ "cancelled": {} }), vec![]),
        ("err_500_internal", json!({ "server-error": {} }), vec![]),
        ("err_500_internal_2", json!({ "server-error": { "case": "encountered" } }), vec![]),
        ("err_503_overloaded", json!({ "overloaded": {} }), vec![]),
        ("err_503_high_demand", json!({ "overloaded": { "case": "high-demand" } }), vec![]),
        ("err_503_high_demand", json!({ "unavailable": {} }), vec![]),
        ("err_504_deadline", json!({ "gateway-timeout": {} }), vec![]),
    ] {
        is_as_recorded(case, &ask(fault(action), &generate(json!({}))), &numbers);
    }
}

#[test]
fn a_wrong_request_is_refused_as_recorded() {
    let path = format!("{FLASH}:generateContent");
    for (case, request, numbers) in [
        ("err_403_missing_key", request("POST", &path, &[], "{}"), vec![]),
        ("err_400_contents_required", request("POST", &path, &[KEY], "{}"), vec![]),
        ("err_400_unknown_field", generate(json!({ "stream": true })), vec![]),
        (
            "err_400_malformed_json",
            request("POST", &path, &[KEY], "{\"contents\": ["),
            vec![(
                "Expected an object key or }.",
                "Unexpected end of string. Expected , or ] after array value.",
            )],
        ),
        ("err_404_route_html", request("POST", "/v1beta/foo", &[KEY], "{}"), vec![]),
        ("err_404_route_html", request("GET", &path, &[KEY], ""), vec![("/v1beta/foo", &path)]),
    ] {
        is_as_recorded(case, &ask(healthy(), &request), &numbers);
    }
    let tiny = provider(json!({ "models": { "gemini-2.5-flash": { "window": 1 } } }));
    is_as_recorded(
        "err_400_context_length",
        &ask(tiny, &generate(json!({}))),
        &[("1250074", "2"), ("1048576", "1")],
    );
    let others = provider(json!({ "models": { "gemini-3-pro": {} } }));
    let embed = request(
        "POST",
        "/v1/models/nobody:batchEmbedContents",
        &[KEY],
        r#"{"requests":[{"content":{"parts":[{"text":"a"}]}}]}"#,
    );
    is_as_recorded(
        "err_404_model_not_found",
        &ask(others, &embed),
        &[("gemini-3.6-flahs", "nobody"), ("v1beta", "v1"), ("generateContent", "embedContent")],
    );
}

/// What Gemini says of a request; empty if it takes it.
fn refusal(model: &str, fields: &Value) -> String {
    let got = ask(healthy(), &sent(&format!("/v1/models/{model}:generateContent"), fields.clone()));
    if got.status == 200 {
        String::new()
    } else {
        got.json()["error"]["message"].as_str().unwrap().into()
    }
}

#[test]
fn what_is_wrong_is_named_with_its_place() {
    let config = |config: Value| json!({ "generationConfig": config });
    let part = |part: Value| json!({ "contents": [{ "parts": [part] }] });
    let tools = json!([{ "functionDeclarations": [{ "name": "f" }] }]);
    for (fields, expected) in [
        (json!({}), ""),
        (
            json!({ "system_instruction": { "parts": { "text": "be \
                 brief" } }, "safetySettings": [{ "category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE" }] }),
            "",
        ),
        (
            config(
                json!({ "maxOutputTokens": 5, "topK": 40.0, "candidateCount": 2, "stop_sequences": ["x"] }),
            ),
            "Invalid value at 'generation_config.top_k' (TYPE_INT32), 40.0",
        ),
        (
            config(json!({ "maxTokens": 5 })),
            "Invalid JSON payload received. Unknown name \"maxTokens\" at 'generation_config': \
                 Cannot find field.",
        ),
        (
            config(json!({ "temperature": 3 })),
            "* GenerateContentRequest.generation_config.temperature: temperature must be in \
                 the range [0.0, 2.0].\n",
        ),
        (
            config(json!({ "maxOutputTokens": 100_000 })),
            "Unable to submit request because it has a maxOutputTokens value of 100000 but the \
                 supported range is from 1 (inclusive) to 65537 (exclusive). Update the value \
                 and try again.",
        ),
        (
            config(json!({ "candidateCount": 9 })),
            "* GenerateContentRequest.generation_config.candidate_count: candidate_count must \
                 be in the range [1, 8].\n",
        ),
        (
            config(json!({ "responseMimeType": "image/png" })),
            "* GenerateContentRequest.generation_config.response_mime_type: allowed mimetypes \
                 are `text/plain`, `application/json`, `application/xml`, `application/yaml` \
                 and `text/x.enum`.\n",
        ),
        (
            json!({ "contents": [] }),
            "* GenerateContentRequest.contents: contents is not specified\n",
        ),
        (
            json!({ "contents": [{ "role": "user" }] }),
            "* GenerateContentRequest.contents[0].parts: contents.parts must not be empty.\n",
        ),
        (
            part(json!({})),
            "* GenerateContentRequest.contents[0].parts[0].data: required oneof field 'data' \
                 must have one initialized field\n",
        ),
        (part(json!({ "inlineData": { "mimeType": "image/png", "data": "AAAA" } })), ""),
        (
            json!({ "contents": [{ "role": "assistant", "parts": [{ "text": "hi" }] }] }),
            "Please use a valid role: user, model.",
        ),
        (json!({ "tools": tools }), ""),
        (
            json!({ "tools": tools, "generationConfig": { "responseMimeType": "application/json" } }),
            "Function calling with a response mime type: 'application/json' is unsupported",
        ),
        (
            json!({ "toolConfig": { "functionCallingConfig": { "mode": "ANY" } } }),
            "Function calling config is set without function_declarations.",
        ),
        (
            json!({ "toolConfig": { "functionCallingConfig": { "mode": "MUST" } } }),
            "Invalid value at 'tool_config.function_calling_config.mode' \
                 (type.googleapis.com/google.ai.generativelanguage.v1beta.FunctionCallingConfig.Mode), \"MUST\"",
        ),
    ] {
        assert_eq!(refusal("gemini-2.5-flash", &fields), expected, "{fields}");
    }
    // Two mistakes, two violations, each with its place.
    let got = ask(healthy(), &generate(json!({ "stream": true, "generationConfig": { "n": 1 } })));
    let error = &got.json()["error"];
    assert_eq!(error["message"].as_str().unwrap().lines().count(), 2);
    let violations = &error["details"][0]["fieldViolations"];
    assert_eq!(violations[0]["field"], Value::Null);
    assert_eq!(violations[1]["field"], "generation_config");
}

#[test]
fn a_call_must_be_answered_and_signed() {
    let call = |signature: &str| json!({ "functionCall": { "name": "f", "args": {} }, "thoughtSignature": signature });
    let answer = json!({ "functionResponse": { "name": "f", "response": { "a": 1 } } });
    let talk = |call: Value, answers: &[Value]| {
        json!({ "contents": [
            { "role": "user", "parts": [{ "text": "hi" }] },
            { "role": "model", "parts": [call] },
            { "role": "user", "parts": answers },
        ] })
    };
    let number = "Please ensure that the number of function response parts is equal to the \
         number of \
                  function call parts of the function call turn.";
    let unsigned = "Function call is missing a thought_signature in functionCall parts. This is \
                    required for tools to work correctly, and missing thought_signature may lead to \
                    degraded model performance. Additional data, function call `default_api:f` , \
                    position 2. Please refer to \
                    https://ai.google.dev/gemini-api/docs/thought-signatures for more details.";
    for (model, fields, expected) in [
        ("gemini-2.5-flash", talk(call(""), std::slice::from_ref(&answer)), ""),
        ("gemini-2.5-flash", talk(call(""), &[answer.clone(), answer.clone()]), number),
        ("gemini-3-pro-preview", talk(call("c2ln"), std::slice::from_ref(&answer)), ""),
        ("gemini-3-pro-preview", talk(call(""), std::slice::from_ref(&answer)), unsigned),
    ] {
        assert_eq!(refusal(model, &fields), expected, "{model}");
    }
}

/// Nothing that a client sends is more than a 400.
#[test]
fn a_hostile_body_is_refused() {
    let deep = "[".repeat(100_000);
    let nested = format!(
        r#"{{"tools":[{{"functionDeclarations":[{{"name":"f","parameters":{}{{}}{}}}]}}]}}"#,
        r#"{"items":"#.repeat(100),
        "}".repeat(100)
    );
    for body in [
        "null",
        "[]",
        "4",
        "\"hi\"",
        "{",
        "{\"a\"",
        "{\"contents\": [1, 2",
        "\u{0}",
        &deep,
        &nested,
        r#"{"contents":"hi"}"#,
        r#"{"contents":[[[]]]}"#,
        r#"{"contents":[{"parts":"hi"}]}"#,
        r#"{"contents":[{"parts":[{"text":{}}]}]}"#,
        r#"{"contents":{"parts":{"text":"a"}},"generationConfig":{"maxOutputTokens":1e99}}"#,
        r#"{"contents":{"parts":{"text":"a"}},"generationConfig":{"maxOutputTokens":-5}}"#,
        r#"{"contents":{"parts":{"text":"a"}},"tools":[[]]}"#,
        r#"{"contents":{"parts":{"text":"a"}},"tools":[{"functionDeclarations":{}}]}"#,
    ] {
        let got =
            ask(healthy(), &request("POST", &format!("{FLASH}:generateContent"), &[KEY], body));
        let start: String = body.chars().take(60).collect();
        assert_eq!(got.status, 400, "{start}: {}", got.text());
        assert_eq!(got.json()["error"]["status"], "INVALID_ARGUMENT", "{start}");
    }
}

#[test]
fn an_answer_has_the_keys_that_were_recorded() {
    let recorded = fixture("gemini", "generate_max_tokens_ok");
    let got = ask(healthy(), &generate(json!({ "generationConfig": { "maxOutputTokens": 5 } })));
    assert_eq!(shape(&got.json()), shape(&recorded["body"]));
    assert_eq!(got.json()["candidates"][0]["finishReason"], "MAX_TOKENS");
    has_headers("generate_max_tokens_ok", &got, &recorded);
    assert!(
        got.text().starts_with("{\n  \"candidates\": [\n    {\n") && got.text().ends_with("}\n")
    );
    let got = ask(healthy(), &generate(fixture("gemini", "generate_ok")["request_body"].clone()));
    has_headers("generate_ok", &got, &fixture("gemini", "generate_ok"));
    let usage = &got.json()["usageMetadata"];
    // As recorded: "What's 2 + 2?" is 10.
    assert_eq!(usage["promptTokenCount"], 10);
    let sum = usage["promptTokenCount"].as_u64().unwrap()
        + usage["candidatesTokenCount"].as_u64().unwrap();
    assert_eq!(usage["totalTokenCount"], sum);
    assert_eq!(got.json()["responseId"].as_str().unwrap().len(), 23);
    let image = json!({ "contents": [{ "parts": [{ "text": "hi" }, { "inlineData": { "mimeType": "image/png", "data": "AAAA" } }] }] });
    let usage = ask(healthy(), &generate(image)).json()["usageMetadata"].clone();
    assert_eq!(
        usage["promptTokensDetails"],
        json!([{ "modality": "TEXT", "tokenCount": 2 }, { "modality": "IMAGE", "tokenCount": 258 }])
    );
}

#[test]
fn a_stream_has_the_frames_that_were_recorded() {
    let text = provider(json!({ "answers": { "text": "1, 2, 3" } }));
    let got = ask(text.clone(), &stream(json!({})));
    let recorded = recorded_stream("stream_error_midstream_data_frame");
    let first: Value =
        serde_json::from_str(recorded.lines().next().unwrap().strip_prefix("data: ").unwrap())
            .unwrap();
    let frames = frames(&got);
    assert_eq!(shape(&frames[0]), shape(&first));
    let last = recorded_stream("stream_ok");
    let mut last: Value =
        serde_json::from_str(last.lines().next().unwrap().strip_prefix("data: ").unwrap()).unwrap();
    last["usageMetadata"].as_object_mut().unwrap().shift_remove("thoughtsTokenCount");
    assert_eq!(shape(frames.last().unwrap()), shape(&last));
    has_headers("stream_ok", &got, &fixture("gemini", "stream_ok"));
    // A space after a colon, none after a comma.
    assert!(
        got.text().starts_with("data: {\"candidates\": [{\"content\": {\"parts\": [{\"text\": \"")
    );
    assert!(got.text().contains(
        "\"role\": \"model\"},\"index\": 0}],\"usageMetadata\": {\"promptTokenCount\": 2,"
    ));
    // An early model, frame by frame.
    let early = sent("/v1beta/models/gemini-2.0-flash:streamGenerateContent?alt=sse", json!({}));
    let got = ask(text, &early);
    let recorded = recorded_stream("stream_multi_ok");
    let theirs: Vec<Value> = recorded
        .lines()
        .filter_map(|line| serde_json::from_str(line.strip_prefix("data: ")?).ok())
        .collect();
    let ours = self::frames(&got);
    assert_eq!(shape(&ours[0]), shape(&theirs[0]));
    assert_eq!(shape(ours.last().unwrap()), shape(&theirs[1]));
}

#[test]
fn a_stream_without_events_is_a_list() {
    let path = format!("{FLASH}:streamGenerateContent");
    let got = ask(healthy(), &sent(&path, json!({})));
    assert_eq!(got.header("content-type"), "application/json; charset=UTF-8");
    let frames = got.json();
    assert!(frames.as_array().unwrap().len() > 3);
    assert!(got.text().starts_with("[{\n  \"candidates\"") && got.text().contains("\n}\n,\n{\n"));
    for (plan, request) in [
        (fault(json!({ "overloaded": {} })), sent(&path, json!({}))),
        (healthy(), request("POST", &path, &[], "{}")),
    ] {
        let got = ask(plan, &request);
        assert!(got.text().starts_with("[{\n  \"error\": {\n") && got.text().ends_with("\n}\n]"));
        assert_eq!(got.json()[0]["error"]["code"], got.status);
    }
    // The error is an element like any other.
    for after in [0, 2] {
        let plan = fault(json!({ "stream-error": { "after": after } }));
        let got = ask(plan, &sent(&path, json!({})));
        assert_eq!(got.json()[after]["error"]["code"], 503);
    }
}

#[test]
fn a_broken_stream_ends_with_the_error_as_recorded() {
    for (case, action) in [
        ("stream_error_midstream", json!({ "stream-error": { "after": 1 } })),
        (
            "stream_error_midstream_499",
            json!({ "stream-error": { "after": 1, "error": "cancelled" } }),
        ),
    ] {
        let got = ask(fault(action), &stream(json!({})));
        let recorded = recorded_stream(case);
        let theirs = recorded.split_once("\r\n\r\n").unwrap().1;
        assert_eq!(got.text().split_once("\r\n\r\n").unwrap().1, theirs, "{case}");
        // It comes in a read of its own, or clients take it for a part of the frame before it.
        let ends = got.journal.iter().filter_map(|entry| match entry {
            Entry::Ended(ended) => Some(ended.at - ended.head_at.unwrap()),
            _ => None,
        });
        assert_eq!(ends.collect::<Vec<_>>(), [100_000_000], "{case}");
    }
    let framed = json!({ "stream-error": { "after": 1, "case": "data-frame" } });
    let got = ask(fault(framed), &stream(json!({})));
    let theirs = recorded_stream("stream_error_midstream_data_frame");
    let error =
        |text: &str| serde_json::from_str::<Value>(text.split("data: ").nth(2).unwrap()).unwrap();
    assert_eq!(error(got.text()), error(&theirs));
    assert!(got.text().ends_with("}}\r\n\r\n"));
}

/// The answer to a fault that HTTP takes for a success.
#[track_caller]
fn is_blocked(case: &str, name: &str, numbers: &[(&str, &str)]) {
    let plan = fault(json!({ "content-policy": { "case": name } }));
    let got = ask(plan, &generate(json!({})));
    let recorded = fixture("gemini", case);
    let mut body = recorded["body_text"].as_str().unwrap().to_owned();
    for (theirs, ours) in numbers {
        body = body.replace(theirs, ours);
    }
    let id = |text: &str| {
        text.split("\"responseId\": \"").nth(1).map_or(String::new(), |id| id[..23].to_owned())
    };
    body = body.replace(&id(&body), &id(got.text()));
    assert_eq!((got.status, got.text()), (200, &*body), "{case}");
}

#[test]
fn what_is_blocked_is_a_success_without_text() {
    is_blocked("prompt_blocked_safety_ok", "prompt", &[]);
    is_blocked("prompt_blocked_prohibited_ok", "prompt-prohibited", &[("13", "2")]);
    let blocked = fault(json!({ "content-policy": { "case": "output" } }));
    let path = "/v1beta/models/gemini-1.5-flash:generateContent";
    let got = ask(blocked, &sent(path, json!({}))).json();
    let recorded = fixture("gemini", "generate_safety_ok")["body"].clone();
    assert_eq!(got["candidates"], recorded["candidates"]);
    assert_eq!(shape(&got), shape(&recorded));
    let plan = |name: &str| fault(json!({ "content-policy": { "case": name } }));
    let got = ask(plan("prompt"), &stream(json!({})));
    assert_eq!(got.text(), recorded_stream("stream_prompt_blocked_ok"));
    let amid = fault(json!({ "stream-error": { "after": 1, "error": "content-policy" } }));
    let frames = frames(&ask(amid, &stream(json!({}))));
    let recorded = recorded_stream("stream_safety_finish_ok");
    let theirs = recorded.split("\r\n\r\n").nth(1).unwrap().strip_prefix("data: ").unwrap();
    let theirs: Value = serde_json::from_str(theirs).unwrap();
    assert_eq!(frames[1]["candidates"], theirs["candidates"]);
    assert_eq!(shape(&frames[1]), shape(&theirs));
    let other = ask(plan("other"), &generate(json!({}))).json();
    assert_eq!(other["candidates"][0]["finishReason"], "OTHER");
}

#[test]
fn a_wait_is_announced_where_google_announces_it() {
    let asked = |action: Value| ask(fault(action), &generate(json!({})));
    let in_body = asked(json!({ "rate-limited": { "retry-after": "2s" } }));
    assert_eq!(in_body.header("retry-after"), "");
    assert_eq!(in_body.json()["error"]["details"][2]["retryDelay"], "2s");
    let plain = asked(json!({ "rate-limited": { "retry-after": "2s", "case": "plain" } }));
    assert_eq!(plain.header("retry-after"), "2");
    // What is judged is what a client can read: the whole seconds.
    let told = |got: &Got| {
        let claims = got.journal.iter().find_map(|entry| match entry {
            Entry::Claimed(claimed) => Some(claimed.retry_after),
            _ => None,
        });
        claims.flatten().map(|(nanos, _)| nanos)
    };
    assert_eq!(told(&in_body), Some(2_000_000_000));
    let broken = asked(json!({ "rate-limited": { "retry-after": "2900ms" } }));
    assert_eq!(broken.json()["error"]["details"][2]["retryDelay"], "2s");
    assert_eq!(told(&broken), Some(2_000_000_000));
    assert_eq!(told(&asked(json!({ "rate-limited": { "retry-after": "900ms" } }))), None);
    let overloaded = asked(json!({ "overloaded": { "retry-after": "2s" } }));
    assert_eq!(overloaded.header("retry-after"), "2");
}

#[test]
fn a_quota_is_named_by_what_it_counts() {
    let quota = |quota: Value| provider(json!({ "quota": quota }));
    let violation = |plan: Plan, times: usize| {
        let got = ask_all(plan, &vec![generate(json!({})); times]).pop().unwrap();
        assert_eq!(got.status, 429, "{}", got.text());
        got.json()["error"].clone()
    };
    for (plan, times, id, value, retry) in [
        (
            quota(json!({ "requests": "3/min" })),
            4,
            "GenerateRequestsPerMinutePerProjectPerModel-FreeTier",
            "3",
            json!("60s"),
        ),
        (
            quota(json!({ "requests": "2/day" })),
            3,
            "GenerateRequestsPerDayPerProjectPerModel-FreeTier",
            "2",
            json!("28800s"),
        ),
        (
            quota(json!({ "tokens": "2/min" })),
            2,
            "GenerateContentInputTokensPerModelPerMinute-FreeTier",
            "2",
            json!("60s"),
        ),
        // It never fits: no wait helps.
        (
            quota(json!({ "tokens": "1/min" })),
            1,
            "GenerateContentInputTokensPerModelPerMinute-FreeTier",
            "1",
            Value::Null,
        ),
    ] {
        let error = violation(plan, times);
        let violated = &error["details"][1]["violations"][0];
        assert_eq!((&violated["quotaId"], &violated["quotaValue"]), (&json!(id), &json!(value)));
        assert_eq!(error["details"][2]["retryDelay"], retry, "{id}");
        let says = error["message"].as_str().unwrap().contains("Please retry in");
        assert_eq!(says, retry != Value::Null, "{id}");
    }
}

#[test]
fn tokens_are_counted_as_recorded() {
    let recorded = fixture("gemini", "count_tokens_ok");
    let path = recorded["path"].as_str().unwrap();
    let body = recorded["request_body"].to_string();
    let got = ask(healthy(), &request("POST", path, &[KEY], &body));
    is_as_recorded("count_tokens_ok", &got, &[]);
    for (model, text, count) in [
        ("gemini-2.0-flash", "What is the capital of France?", 7),
        ("gemini-2.5-flash", "Count from 1 to 3", 8),
        ("gemini-2.5-flash", "What's 2 + 2?", 10),
    ] {
        let fields = json!({ "contents": [{ "parts": [{ "text": text }] }] });
        let got = ask(healthy(), &sent(&format!("/v1/models/{model}:countTokens"), fields));
        assert_eq!(got.json()["totalTokens"], count, "{text}");
    }
}

#[test]
fn an_embedding_has_length_one_and_belongs_to_its_text() {
    let recorded = fixture("gemini", "batch_embed_ok");
    let path = recorded["path"].as_str().unwrap();
    let got = ask(healthy(), &request("POST", path, &[KEY], &recorded["request_body"].to_string()));
    assert_eq!(shape(&got.json()), shape(&recorded["body"]));
    has_headers("batch_embed_ok", &got, &recorded);
    let values = |value: &Value| -> Vec<f64> {
        value["values"].as_array().unwrap().iter().map(|side| side.as_f64().unwrap()).collect()
    };
    let batch = values(&got.json()["embeddings"][0]);
    assert_eq!(batch.len(), 768);
    let length: f64 = batch.iter().map(|side| side * side).sum();
    assert!((length - 1.0).abs() < 1e-5, "{length}");
    let embed = |text: &str, more: &str| {
        let body = format!(r#"{{"content":{{"parts":[{{"text":"{text}"}}]}}{more}}}"#);
        let path = "/v1beta/models/gemini-embedding-001:embedContent";
        values(&ask(healthy(), &request("POST", path, &[KEY], &body)).json()["embedding"])
    };
    assert_eq!(
        embed("Ruby is a programmer's best friend", r#","outputDimensionality":768"#),
        batch
    );
    assert_eq!(embed("a", "").len(), 3_072);
    assert_ne!(embed("a", ""), embed("b", ""));
}

#[test]
fn the_models_are_listed_a_page_at_a_time() {
    let get = |path: &str| ask(healthy(), &request("GET", path, &[KEY], ""));
    let recorded = fixture("gemini", "models_list_ok");
    let got = get("/v1beta/models?pageSize=2");
    has_headers("models_list_ok", &got, &recorded);
    assert_eq!(got.json()["models"][0], recorded["body"]["models"][1]);
    assert_eq!(got.json()["models"][1], recorded["body"]["models"][2]);
    let mut names = Vec::new();
    let mut path = "/v1beta/models?pageSize=3".to_owned();
    loop {
        let page = get(&path).json();
        names.extend(page["models"].as_array().unwrap().iter().map(|model| model["name"].clone()));
        let Some(token) = page["nextPageToken"].as_str() else { break };
        path = format!("/v1beta/models?pageSize=3&pageToken={}", token.replace('=', "%3D"));
    }
    let whole = get("/v1/models").json();
    assert_eq!(whole["nextPageToken"], Value::Null);
    let all: Vec<Value> =
        whole["models"].as_array().unwrap().iter().map(|model| model["name"].clone()).collect();
    assert_eq!(names, all);
    assert_eq!(get("/v1beta/models/gemini-2.5-pro").json(), recorded["body"]["models"][2]);
    let listed = provider(json!({ "models": { "gemini-2.5-pro": {} } }));
    let got = ask(listed, &request("GET", "/v1beta/models/gemini-9", &[KEY], ""));
    assert_eq!(got.status, 404);
    assert_eq!(
        got.json()["error"]["message"],
        "Model is not found: models/gemini-9 for api version v1beta"
    );
}

#[test]
fn every_path_that_an_sdk_builds_is_served() {
    let body = r#"{"contents":[{"parts":[{"text":"hi"}]}]}"#;
    let key = "authorization: Bearer ya29.token";
    for (path, headers) in [
        ("/v1/models/gemini-2.5-flash:generateContent", vec![KEY]),
        ("/v1beta/models/gemini-2.5-flash:generateContent", vec![KEY]),
        ("/models/gemini-2.5-flash:generateContent", vec![KEY]),
        ("/v1beta/models/gemini-2.5-flash:generateContent?key=k", vec![]),
        ("/v1beta/models/gemini-2.5-flash:streamGenerateContent?key=k&alt=sse", vec![]),
        ("/gemini/v1beta/models/gemini-2.5-flash:countTokens", vec![KEY]),
        (
            "/v1/projects/p/locations/l/publishers/google/models/gemini-2.5-flash:generateContent",
            vec![key],
        ),
    ] {
        assert_eq!(ask(healthy(), &request("POST", path, &headers, body)).status, 200, "{path}");
    }
}

#[test]
fn the_imitation_of_openai_fails_in_lists() {
    let path = "/v1beta/openai/chat/completions";
    let chat = r#"{"model":"gemini-2.5-flash","messages":[{"role":"user","content":"hi"}]}"#;
    let key = "authorization: Bearer test-key";
    let got = ask(healthy(), &request("POST", path, &[key], chat));
    assert_eq!((got.status, &got.json()["object"]), (200, &json!("chat.completion")));
    assert_eq!(got.header("server"), "scaffolding on HTTPServer2");
    for (plan, request, code) in [
        (fault(json!({ "overloaded": {} })), request("POST", path, &[key], chat), 503),
        (healthy(), request("POST", path, &[], chat), 403),
        (healthy(), request("POST", path, &[key], "{"), 400),
        (healthy(), request("POST", "/v1beta/openai/images", &[key], chat), 404),
    ] {
        let got = ask(plan, &request);
        assert_eq!((got.status, &got.json()[0]["error"]["code"]), (code, &json!(code)));
    }
}

/// A tool and the wish that it be called.
fn calling() -> Value {
    let parameters = json!({
        "type": "OBJECT",
        "properties": { "city": { "type": "STRING" }, "days": { "type": "INTEGER" } },
        "required": ["city", "days"],
    });
    json!({
        "tools": [{ "functionDeclarations": [{ "name": "weather", "parameters": parameters }] }],
        "toolConfig": { "functionCallingConfig": { "mode": "ANY" } },
    })
}

#[test]
fn a_function_is_called_as_recorded() {
    let got = ask(healthy(), &stream(calling()));
    let last = frames(&got).pop().unwrap();
    let recorded = recorded_stream("function_call_ok");
    let theirs: Value =
        serde_json::from_str(recorded.lines().next().unwrap().strip_prefix("data: ").unwrap())
            .unwrap();
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let (ours, theirs) = (&last["candidates"][0], &theirs["candidates"][0]);
    assert_eq!(keys(ours), keys(theirs));
    assert_eq!(ours["finishReason"], theirs["finishReason"]);
    assert_eq!(ours["finishMessage"], theirs["finishMessage"]);
    let (ours, theirs) = (&ours["content"]["parts"][0], &theirs["content"]["parts"][0]);
    assert_eq!(keys(ours), keys(theirs));
    assert_eq!(keys(&ours["functionCall"]), keys(&theirs["functionCall"]));
    let args = &ours["functionCall"]["args"];
    assert!(args["city"].is_string() && args["days"].is_i64(), "{args}");
    // Whole, the call is the same; since Gemini 3 it has an id.
    let whole = ask(healthy(), &generate(calling())).json();
    assert_eq!(&whole["candidates"][0]["content"]["parts"][0]["functionCall"]["args"], args);
    let third = sent("/v1/models/gemini-3-pro-preview:generateContent", calling());
    let call =
        &ask(healthy(), &third).json()["candidates"][0]["content"]["parts"][0]["functionCall"];
    assert_eq!(keys(call), ["name", "args", "id"]);
}

#[test]
fn thoughts_are_counted_and_shown_if_asked_for() {
    let fields = json!({ "generationConfig": { "thinkingConfig": { "includeThoughts": true } } });
    let whole = ask(healthy(), &generate(fields.clone())).json();
    let recorded = fixture("gemini", "generate_ok");
    assert_eq!(shape(&whole["usageMetadata"]), shape(&recorded["body"]["usageMetadata"]));
    let count = |name: &str| whole["usageMetadata"][name].as_u64().unwrap();
    let sum =
        count("promptTokenCount") + count("candidatesTokenCount") + count("thoughtsTokenCount");
    assert_eq!(count("totalTokenCount"), sum);
    let parts = &whole["candidates"][0]["content"]["parts"];
    assert_eq!((&parts[0]["thought"], &parts[1]["thought"]), (&json!(true), &Value::Null));
    let thought: String = frames(&ask(healthy(), &stream(fields)))
        .iter()
        .map(|frame| &frame["candidates"][0]["content"]["parts"][0])
        .filter(|part| part["thought"] == true)
        .map(|part| part["text"].as_str().unwrap())
        .collect();
    assert_eq!(parts[0]["text"], thought);
}

#[test]
fn an_answer_is_as_it_is_wanted() {
    let config = |config: Value| json!({ "generationConfig": config });
    let answer = |fields: Value| ask(healthy(), &generate(fields)).json()["candidates"].clone();
    // Several beside each other, each with its number.
    let several = answer(config(json!({ "candidateCount": 3 })));
    let numbers: Vec<&Value> =
        several.as_array().unwrap().iter().map(|one| &one["index"]).collect();
    assert_eq!(numbers, [0, 1, 2]);
    let ends = frames(&ask(healthy(), &stream(config(json!({ "candidateCount": 2 })))));
    let ends = ends.iter().filter(|frame| frame["candidates"][0]["finishReason"] == "STOP");
    assert_eq!(ends.count(), 2);
    // JSON by a schema in either language.
    let properties = json!({ "city": { "type": "string" } });
    let schema = json!({ "type": "object", "properties": properties, "required": ["city"] });
    let theirs = json!({ "type": "OBJECT", "properties": { "city": { "type": "STRING" } }, "required": ["city"] });
    for (name, schema) in [("responseJsonSchema", &schema), ("response_schema", &theirs)] {
        let wanted = config(json!({ "responseMimeType": "application/json", name: schema }));
        let text = answer(wanted)[0]["content"]["parts"][0]["text"].clone();
        let written: Value = serde_json::from_str(text.as_str().unwrap()).unwrap();
        assert!(written["city"].is_string(), "{name}: {written}");
    }
    let fixed = provider(json!({ "answers": { "text": "Dogs are cool" } }));
    let got = ask(fixed, &generate(config(json!({ "stopSequences": ["cool"] })))).json();
    let text = got["candidates"][0]["content"]["parts"][0]["text"].as_str().unwrap();
    assert!(text.ends_with("Dogs are ") && got["candidates"][0]["finishReason"] == "STOP");
}

#[test]
fn what_is_blocked_is_said_to_openais_clients_in_openais_words() {
    let asked = |streaming: bool| {
        let body = json!({
            "model": "gemini-2.5-flash", "stream": streaming,
            "messages": [{ "role": "user", "content": "hi" }],
        });
        let key = "authorization: Bearer test-key";
        request("POST", "/v1beta/openai/chat/completions", &[key], &body.to_string())
    };
    for case in ["prompt", "prompt-prohibited", "output", "other"] {
        let blocked = || fault(json!({ "content-policy": { "case": case } }));
        let whole = ask(blocked(), &asked(false)).json();
        assert_eq!(whole["choices"][0]["finish_reason"], "content_filter", "{case}: {whole}");
        let streamed = ask(blocked(), &asked(true));
        assert_eq!(streamed.header("content-type"), "text/event-stream");
        assert_eq!(streamed.data().last(), Some(&"[DONE]"), "{case}: {}", streamed.text());
    }
    let cut = fault(json!({ "stream-error": { "error": "content-policy", "after": 2 } }));
    let cut = ask(cut, &asked(true));
    assert!(!cut.text().contains("candidates"), "{}", cut.text());
    let data = cut.data();
    let [.., last, "[DONE]"] = data.as_slice() else { panic!("{}", cut.text()) };
    assert!(last.contains("\"finish_reason\":\"content_filter\""), "{last}");
}
