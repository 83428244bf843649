//! AWS Bedrock.

use serde_json::{Value, json};

use crate::play::{Got, ask, ask_all, fault, fixture, healthy, provider, request, shape};

const SIGNED: &str = "authorization: AWS4-HMAC-SHA256 \
    Credential=AKIDEXAMPLE/20260819/us-east-1/bedrock/aws4_request, \
    SignedHeaders=host;x-amz-date, Signature=abc123";

const NOVA: &str = "us.amazon.nova-2-lite-v1:0";
const CLAUDE: &str = "us.anthropic.claude-haiku-4-5-20251001-v1:0";

/// A request to a model, as boto3 writes its path.
fn post(model: &str, operation: &str, body: &Value) -> Vec<u8> {
    let model = model.replace(':', "%3A").replace('/', "%2F");
    request("POST", &format!("/model/{model}/{operation}"), &[SIGNED], &body.to_string())
}

fn hello() -> Value {
    json!({ "messages": [{ "role": "user", "content": [{ "text": "Hello" }] }] })
}

fn converse(model: &str) -> Vec<u8> {
    post(model, "converse", &hello())
}

/// The events of a stream: their names and payloads.
fn events(got: &Got) -> Vec<(String, Value)> {
    let mut rest = got.body.as_slice();
    let mut events = Vec::new();
    while !rest.is_empty() {
        let number = |at: usize| {
            let bytes = rest[at..at + 4].iter();
            bytes.fold(0_u32, |number, byte| (number << 8) | u32::from(*byte))
        };
        let size = |at: usize| usize::try_from(number(at)).expect("a frame fits into memory");
        let (total, head) = (size(0), size(4));
        assert_eq!(number(8), crc32fast::hash(&rest[..8]));
        assert_eq!(number(total - 4), crc32fast::hash(&rest[..total - 4]));
        // The first header names the event: its own name, the type of its value, two bytes of
        // length, the value, and the length of the next header's name.
        let name = &rest[12..12 + head];
        let name = &name[1 + usize::from(name[0]) + 3..];
        let name = name.split(|byte| *byte == b'\r').next().unwrap_or_default();
        let payload = serde_json::from_slice(&rest[12 + head..total - 4]);
        let payload = payload.expect("a payload is JSON");
        events.push((String::from_utf8_lossy(name).into_owned(), payload));
        rest = &rest[total..];
    }
    events
}

/// The names of events, each run of the same name once.
fn sequence<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut names: Vec<&str> = names.collect();
    names.dedup();
    names
}

/// Whether an answer has the status and every header of the recorded one.
fn is_recorded_but_for_its_body(got: &Got, case: &str) {
    let recorded = fixture("bedrock", case);
    assert_eq!(i64::from(got.status), recorded["status"], "{case}");
    for (name, value) in recorded["headers"].as_object().expect("a recording has headers") {
        let own = got.header(name);
        match name.as_str() {
            "date" | "content-length" => {}
            "x-amzn-requestid" => assert_eq!(own.len(), 36, "{case}: {own}"),
            _ => assert_eq!(json!(own), *value, "{case}: {name}"),
        }
    }
}

/// Whether an answer is the recorded one: status, every header of it, and the body to the byte.
fn is_recorded(got: &Got, case: &str, replaced: &[(&str, &str)]) {
    is_recorded_but_for_its_body(got, case);
    if let Some(body) = fixture("bedrock", case)["body_text"].as_str() {
        let mut body = body.to_owned();
        for (from, to) in replaced {
            assert!(body.contains(from), "{case} does not say {from}");
            body = body.replace(from, to);
        }
        assert_eq!(got.text(), body, "{case}");
    }
}

#[test]
fn every_failure_is_worded_as_recorded() {
    let expired = json!({ "authentication": { "case": "expired-token" } });
    let signature = json!({ "authentication": { "case": "bad-signature" } });
    let access = json!({ "permission": { "case": "not-authorized" } });
    let day = json!({ "rate-limited": { "case": "tokens-per-day" } });
    let ready = json!({ "unavailable": { "case": "model-not-ready" } });
    let model_error = json!({ "server-error": { "case": "model-error" } });
    let on_demand = json!({ "bad-request": { "case": "on-demand-unsupported" } });
    for (case, action, model, replaced) in [
        ("err_400_context_length_nova", json!({ "context-length": {} }), NOVA, &[][..]),
        (
            "err_400_context_length_claude",
            json!({ "context-length": { "window": 5 } }),
            CLAUDE,
            &[("207848", "9"), ("200000", "5")][..],
        ),
        ("err_400_input_too_long", json!({ "context-length": {} }), "mistral.large", &[]),
        ("err_400_invalid_model", json!({ "not-found": { "case": "model" } }), NOVA, &[]),
        (
            "err_400_on_demand_unsupported",
            on_demand,
            "m.x",
            &[("anthropic.claude-sonnet-4-5-20250929-v1:0", "m.x")],
        ),
        (
            "err_400_unsupported_block",
            json!({ "bad-request": { "case": "unsupported-block" } }),
            NOVA,
            &[],
        ),
        ("err_403_access_denied_model", json!({ "permission": {} }), NOVA, &[]),
        ("err_403_bad_signature", signature, NOVA, &[]),
        ("err_403_expired_token", expired, NOVA, &[]),
        ("err_403_not_authorized", access, "amazon.nova-lite-v1:0", &[]),
        ("err_403_unrecognized_client", json!({ "authentication": {} }), NOVA, &[]),
        ("err_404_resource", json!({ "not-found": {} }), NOVA, &[]),
        ("err_408_model_timeout", json!({ "request-timeout": {} }), NOVA, &[]),
        ("err_424_model_error", model_error, "amazon.nova-lite-v1:0", &[]),
        ("err_429_model_not_ready", ready, NOVA, &[]),
        ("err_429_throttle_requests", json!({ "rate-limited": {} }), NOVA, &[]),
        ("err_429_throttle_tokens", json!({ "rate-limited": { "limit": "tokens" } }), NOVA, &[]),
        ("err_429_throttle_tokens_day", day, NOVA, &[]),
        ("err_500_internal", json!({ "server-error": {} }), NOVA, &[]),
        ("err_503_unavailable", json!({ "unavailable": {} }), NOVA, &[]),
    ] {
        is_recorded(&ask(fault(action), &converse(model)), case, replaced);
    }
}

#[test]
fn a_request_without_a_key_is_refused_before_it_is_read() {
    let bare = request("POST", "/model/m/converse", &[], "{");
    is_recorded(&ask(healthy(), &bare), "err_403_missing_auth", &[]);
    let unsigned = ["authorization: AWS4-HMAC-SHA256 Credential=AKID/x"];
    let got = ask(healthy(), &request("POST", "/model/m/converse", &unsigned, "{}"));
    assert_eq!(got.status, 403);
    assert_eq!(
        got.json()["message"],
        "Authorization header requires 'Signature' parameter. Authorization header requires \
         'SignedHeaders' parameter. Authorization=AWS4-HMAC-SHA256 Credential=AKID/x"
    );
}

#[test]
fn a_key_is_an_access_key_id_or_a_bearer_token() {
    let refused = |key: &str| {
        let rule = json!({ "when": { "key": key } });
        let mut plan = fault(json!({ "permission": {} }));
        plan.rules[0].when = serde_json::from_value(rule["when"].clone()).unwrap();
        plan
    };
    let bearer = ["authorization: Bearer bedrock-api-key-1"];
    let bearer = request("POST", "/model/m/converse", &bearer, &hello().to_string());
    for (key, request, status) in [
        ("AKIDEXAMPLE", converse("m"), 403),
        ("abc123", converse("m"), 200),
        ("bedrock-api-key-1", bearer, 403),
    ] {
        assert_eq!(ask(refused(key), &request).status, status, "{key}");
    }
}

#[test]
fn an_answer_has_the_recorded_keys_in_their_order() {
    let recorded = fixture("bedrock", "converse_ok");
    let got = ask(healthy(), &post(NOVA, "converse", &recorded["request_body"]));
    is_recorded_but_for_its_body(&got, "converse_ok");
    assert_eq!(shape(&got.json()), shape(&recorded["body"]));
    assert!(!got.text().contains("\": ") && !got.text().contains(", \""), "{}", got.text());
    let body = got.json();
    assert_eq!(body["stopReason"], "end_turn");
    assert_eq!(body["usage"]["inputTokens"], recorded["body"]["usage"]["inputTokens"]);
    let total = body["usage"]["inputTokens"].as_u64().unwrap()
        + body["usage"]["outputTokens"].as_u64().unwrap();
    assert_eq!(body["usage"]["totalTokens"], total);
}

#[test]
fn an_output_limit_ends_the_answer() {
    let mut body = hello();
    body["inferenceConfig"] = json!({ "maxTokens": 3 });
    let got = ask(healthy(), &post(NOVA, "converse", &body)).json();
    assert_eq!(got["stopReason"], "max_tokens");
    assert!(got["usage"]["outputTokens"].as_u64().unwrap() <= 3);
}

#[test]
fn a_tool_is_called_as_recorded() {
    let recorded = fixture("bedrock", "converse_tool_use_ok");
    let calls = || provider(json!({ "answers": { "call": "best_language_to_learn" } }));
    let got = ask(calls(), &post(NOVA, "converse", &recorded["request_body"]));
    is_recorded_but_for_its_body(&got, "converse_tool_use_ok");
    assert_eq!(shape(&got.json()), shape(&recorded["body"]));
    let tool = &got.json()["output"]["message"]["content"][0]["toolUse"];
    assert_eq!((&tool["name"], &tool["input"]), (&json!("best_language_to_learn"), &json!({})));
    assert_eq!(tool["toolUseId"].as_str().unwrap().len(), 30);
    assert_eq!(got.json()["stopReason"], "tool_use");
    assert_eq!(got.json()["usage"]["inputTokens"], recorded["body"]["usage"]["inputTokens"]);

    let streamed = ask(calls(), &post(NOVA, "converse-stream", &recorded["request_body"]));
    let recorded = fixture("bedrock", "converse_stream_tool_use_ok");
    let recorded = recorded["events"].as_array().unwrap();
    let name = |event: &Value| event["headers"][":event-type"].as_str().unwrap().to_owned();
    let start = recorded.iter().position(|event| name(event) == "contentBlockStart").unwrap();
    // What it calls, without what it says first.
    let recorded = [&recorded[..1], &recorded[start..start + 3], &recorded[recorded.len() - 2..]];
    for (own, recorded) in events(&streamed).iter().zip(recorded.concat()) {
        assert_eq!(own.0, name(&recorded));
        let later = own.0 == "metadata" || own.0 == "contentBlockDelta";
        assert!(later || shape(&own.1) == shape(&recorded["payload"]), "{own:?}");
    }
}

#[test]
fn an_answer_ends_at_a_stop_sequence() {
    let mut body = hello();
    body["messages"][0]["content"][0]["text"] = "one stop two".into();
    body["inferenceConfig"] = json!({ "stopSequences": ["stop"] });
    let plan = || provider(json!({ "answers": { "echo": true } }));
    let got = ask(plan(), &post(CLAUDE, "converse", &body)).json();
    assert_eq!(got["stopReason"], "stop_sequence");
    assert_eq!(got.get("additionalModelResponseFields"), None);
    body["additionalModelResponseFieldPaths"] = json!(["/stop_sequence"]);
    let got = ask(plan(), &post(CLAUDE, "converse", &body)).json();
    assert_eq!(got["additionalModelResponseFields"], json!({ "stop_sequence": "stop" }));
}

#[test]
fn no_body_makes_the_reader_panic() {
    let deep = format!("{}1{}", "[".repeat(5_000), "]".repeat(5_000));
    let hostile = [
        json!(null),
        json!({ "messages": [null] }),
        json!({ "messages": [{ "role": "user", "content": [1, [], null] }] }),
        json!({ "messages": [{ "role": "user", "content": [{ "toolResult": { "content": 1 } }] }] }),
        json!({ "messages": [], "toolConfig": { "tools": [{}, 1], "toolChoice": [] } }),
        json!({ "messages": [], "inferenceConfig": { "maxTokens": 1e300, "stopSequences": [1] } }),
        json!({ "input": { "converse": 1 } }),
    ];
    let bodies = hostile.iter().map(Value::to_string).chain([deep, "\u{0}é".to_owned()]);
    for body in bodies {
        for operation in ["converse", "converse-stream", "count-tokens"] {
            let path = format!("/model/m/{operation}");
            let got = ask(healthy(), &request("POST", &path, &[SIGNED], &body));
            assert_eq!(got.status, 400, "{operation}: {body}");
        }
    }
}

#[test]
fn a_stream_is_framed_and_ordered_as_recorded() {
    let recorded = fixture("bedrock", "converse_stream_ok");
    let got = ask(healthy(), &post(NOVA, "converse-stream", &hello()));
    is_recorded(&got, "converse_stream_ok", &[]);
    let events = events(&got);
    let recorded: Vec<(&str, &Value)> = recorded["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| (event["headers"][":event-type"].as_str().unwrap(), &event["payload"]))
        .collect();
    assert_eq!(
        sequence(events.iter().map(|(name, _)| name.as_str())),
        sequence(recorded.iter().map(|(name, _)| *name))
    );
    for (name, payload) in &events {
        let (_, same) = recorded.iter().find(|(known, _)| known == name).unwrap();
        assert_eq!(shape(payload), shape(same), "{name}");
        let padding = payload["p"].as_str().unwrap();
        let letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
        assert!(!padding.is_empty() && letters.starts_with(padding), "{padding}");
    }
    let texts = events.iter().filter_map(|(_, payload)| payload["delta"]["text"].as_str());
    let text = texts.collect::<String>();
    let whole = ask(healthy(), &converse(NOVA)).json();
    assert_eq!(whole["output"]["message"]["content"][0]["text"], text);
    assert_eq!(events.last().unwrap().1["usage"], whole["usage"]);
}

#[test]
fn an_error_inside_a_stream_is_an_exception_frame() {
    for (case, action, model) in [
        (
            "converse_stream_exception_internal",
            json!({ "error": "server-error" }),
            "amazon.nova-micro-v1:0",
        ),
        (
            "converse_stream_exception_model_stream_error",
            json!({ "error": "context-length" }),
            "amazon.nova-micro-v1:0",
        ),
        ("converse_stream_exception_throttling", json!({ "error": "rate-limited" }), CLAUDE),
    ] {
        let got = ask(
            fault(json!({ "stream-error": action })),
            &post(model, "converse-stream", &hello()),
        );
        let recorded = fixture("bedrock", case);
        let last = recorded["events"].as_array().unwrap().last().unwrap();
        let (name, payload) = events(&got).pop().unwrap();
        assert_eq!(last["headers"][":exception-type"], name);
        assert_eq!(last["payload"], payload, "{case}");
        // The frame is the last of the recording, byte for byte.
        let frame = last["payload"].to_string();
        assert!(got.body[..got.body.len() - 4].ends_with(frame.as_bytes()), "{case}");
    }
}

#[test]
fn a_guardrail_answers_with_200() {
    let mut traced = hello();
    traced["guardrailConfig"] =
        json!({ "guardrailIdentifier": "g", "guardrailVersion": "1", "trace": "enabled" });
    let plan = || fault(json!({ "content-policy": {} }));
    let whole = ask(plan(), &post(NOVA, "converse", &traced));
    assert_eq!((whole.status, &whole.json()["stopReason"]), (200, &json!("guardrail_intervened")));
    assert!(whole.json()["trace"]["guardrail"].is_object());
    let streamed = ask(plan(), &post(NOVA, "converse-stream", &hello()));
    assert_eq!(streamed.header("content-type"), "application/vnd.amazon.eventstream");
    let events = events(&streamed);
    let stop = events.iter().find(|(name, _)| name == "messageStop").unwrap();
    assert_eq!(stop.1["stopReason"], "guardrail_intervened");
    assert!(events.last().unwrap().1.get("trace").is_none());
}

#[test]
fn what_the_service_refuses_it_refuses_in_its_own_words() {
    let user = json!({ "role": "user", "content": [{ "text": "hi" }] });
    let assistant = json!({ "role": "assistant", "content": [{ "text": "yes" }] });
    let call = json!({ "role": "assistant", "content": [{ "toolUse": {
        "toolUseId": "t1", "name": "f", "input": {},
    } }] });
    let result = |id: &str| {
        json!({ "role": "user", "content": [{ "toolResult": {
        "toolUseId": id, "content": [{ "text": "1" }],
    } }] })
    };
    let tools =
        json!({ "tools": [{ "toolSpec": { "name": "f", "inputSchema": { "json": {} } } }] });
    let said = |messages: Value| json!({ "messages": messages });
    let config = |config: Value| json!({ "messages": [user], "inferenceConfig": config });
    let tool = |config: Value| json!({ "messages": [user], "toolConfig": config });
    for (body, message) in [
        (
            json!({}),
            "A conversation must start with a user message. Try again with a conversation that starts with a user message.",
        ),
        (
            said(json!([assistant])),
            "A conversation must start with a user message. Try again with a conversation that starts with a user message.",
        ),
        (
            said(json!([user, user])),
            "A conversation must alternate between user and assistant roles. Make sure the conversation alternates between user and assistant roles and try again.",
        ),
        (
            said(json!([user, assistant])),
            "A conversation must end with a user message. Try again with a conversation that ends with a user message.",
        ),
        (
            said(json!([{ "role": "user", "content": [] }])),
            "The content field in the Message object at messages.0 is empty. Add a ContentBlock object to the content field and try again.",
        ),
        (
            said(json!([{ "role": "user", "content": [{ "text": " " }] }])),
            "The text field in the ContentBlock object at messages.0.content.0 is blank. Add text to the text field, and try again.",
        ),
        (
            said(json!([{ "role": "user", "content": [{ "audio": {} }] }])),
            "This model doesn't support the audio content block that you provided. Update the content block and try again.",
        ),
        (
            said(json!([{ "role": "system", "content": [{ "text": "x" }] }])),
            "1 validation error detected: Value 'system' at 'messages.1.member.role' failed to satisfy constraint: Member must satisfy enum value set: [user, assistant]",
        ),
        (
            said(json!([{}])),
            "2 validation errors detected: Value null at 'messages.1.member.role' failed to satisfy constraint: Member must not be null; Value null at 'messages.1.member.content' failed to satisfy constraint: Member must not be null",
        ),
        (
            said(json!([user, call, result("t1")])),
            "The toolConfig field must be defined when using toolUse and toolResult content blocks.",
        ),
        (
            json!({ "messages": [user, call, result("t2")], "toolConfig": tools }),
            "Expected toolResult blocks at messages.2.content for the following Ids: t1",
        ),
        (
            json!({ "messages": [result("t1")], "toolConfig": tools }),
            "The number of toolResult blocks at messages.0.content exceeds the number of toolUse blocks of previous turn.",
        ),
        (
            config(json!({ "maxTokens": 0 })),
            "1 validation error detected: Value '0' at 'inferenceConfig.maxTokens' failed to satisfy constraint: Member must have value greater than or equal to 1",
        ),
        (
            config(json!({ "temperature": 1.5 })),
            "1 validation error detected: Value '1.5' at 'inferenceConfig.temperature' failed to satisfy constraint: Member must have value less than or equal to 1",
        ),
        (
            config(json!({ "maxTokens": 65_000 })),
            "The maximum tokens you requested exceeds the model limit of 64000. Try again with a maximum tokens value that is lower than 64000.",
        ),
        (
            tool(json!({ "tools": [] })),
            "1 validation error detected: Value '[]' at 'toolConfig.tools' failed to satisfy constraint: Member must have length greater than or equal to 1",
        ),
        (
            tool(json!({ "tools": [{ "toolSpec": { "name": "a b", "inputSchema": {} } }] })),
            "1 validation error detected: Value 'a b' at 'toolConfig.tools.1.member.toolSpec.name' failed to satisfy constraint: Member must satisfy regular expression pattern: [a-zA-Z0-9_-]+",
        ),
    ] {
        let got = ask(healthy(), &post(NOVA, "converse", &body));
        assert_eq!(
            (got.status, got.text()),
            (400, json!({ "message": message }).to_string().as_str())
        );
        let kind = "ValidationException:http://internal.amazon.com/coral/com.amazon.bedrock/";
        assert_eq!(got.header("x-amzn-errortype"), kind);
    }
}

#[test]
fn what_has_the_wrong_type_is_no_request() {
    let types = |body: Value| ask(healthy(), &post(NOVA, "converse", &body));
    for (body, reason) in [
        (json!([]), "Start of list found where not expected"),
        (json!(7), "Unexpected field type"),
        (json!({ "messages": {} }), "Start of structure or map found where not expected."),
        (json!({ "messages": ["hi"] }), "Unexpected field type"),
        (json!({ "messages": [{ "role": "user", "content": "hi" }] }), "Unexpected field type"),
        (
            json!({ "messages": [{ "role": 1, "content": [] }] }),
            "NUMBER_VALUE can not be converted to a String",
        ),
        (
            json!({ "inferenceConfig": { "maxTokens": "9" } }),
            "STRING_VALUE can not be converted to an Integer",
        ),
        (
            json!({ "toolConfig": { "tools": [{ "toolSpec": { "name": true } }] } }),
            "TRUE_VALUE can not be converted to a String",
        ),
    ] {
        let got = types(body);
        assert_eq!(
            (got.status, got.text()),
            (400, json!({ "Message": reason }).to_string().as_str())
        );
        let kind =
            "SerializationException:http://internal.amazon.com/coral/com.amazon.coral.service/";
        assert_eq!(got.header("x-amzn-errortype"), kind);
    }
}

#[test]
fn tokens_are_counted_as_a_request_would_cost() {
    let messages = json!([{ "role": "user", "content": [{ "text": "What's 2 + 2?" }] }]);
    let count = |model: &str, input: Value| {
        let got = ask(healthy(), &post(model, "count-tokens", &json!({ "input": input })));
        assert_eq!(got.status, 200, "{}", got.text());
        got.json()["inputTokens"].as_u64().unwrap()
    };
    assert_eq!(count(NOVA, json!({ "converse": { "messages": messages } })), 53);
    assert_eq!(count(CLAUDE, json!({ "converse": { "messages": messages } })), 11);
    // 32 letters are 24 bytes.
    assert_eq!(count(CLAUDE, json!({ "invokeModel": { "body": "A".repeat(32) } })), 6);
    let nothing = ask(healthy(), &post(NOVA, "count-tokens", &json!({})));
    assert_eq!(nothing.status, 400);
}

#[test]
fn a_quota_throttles_without_a_hint() {
    let plan = provider(json!({ "quota": { "requests": "1/min" } }));
    let got = ask_all(plan, &[converse(NOVA), converse(NOVA), converse(CLAUDE)]);
    assert_eq!([got[0].status, got[1].status, got[2].status], [200, 429, 200]);
    is_recorded(&got[1], "err_429_throttle_requests", &[]);
    assert_eq!(got[1].header("retry-after"), "");
    let told = json!({ "rate-limited": { "retry-after": "2s", "hint": "milliseconds" } });
    assert_eq!(ask(fault(told), &converse(NOVA)).header("x-amz-retry-after"), "2000");
}

#[test]
fn a_path_that_does_not_exist_is_an_unknown_operation() {
    let body = "{\"Output\":{\"__type\":\"com.amazon.coral.service#UnknownOperationException\"},\"Version\":\"1.0\"}";
    for request in [
        request("POST", "/model/m/nothing", &[SIGNED], "{}"),
        request("GET", "/model/m/converse", &[SIGNED], ""),
        request("POST", "/nothing", &[SIGNED], "{}"),
    ] {
        let got = ask(healthy(), &request);
        assert_eq!((got.status, got.text()), (404, body));
    }
}

#[test]
fn an_unknown_model_is_refused_as_recorded() {
    let plan = provider(json!({ "models": { "us.amazon.*": {} } }));
    let got = ask(plan.clone(), &converse("does-not-exist-model-v1:0"));
    is_recorded(&got, "err_400_invalid_model", &[]);
    assert_eq!(ask(plan, &converse(NOVA)).status, 200);
}
