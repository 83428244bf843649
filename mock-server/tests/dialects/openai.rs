//! OpenAI.

use serde_json::json;

use crate::play::{ask, fault, fixture, request};

const KEY: &str = "authorization: Bearer sk-test";

fn chat(more: &str) -> Vec<u8> {
    let body =
        format!(r#"{{"model":"gpt-4o-mini","messages":[{{"role":"user","content":"hi"}}]{more}}}"#);
    request("POST", "/v1/chat/completions", &[KEY], &body)
}

#[test]
fn an_unknown_key_is_refused_as_recorded() {
    let recorded = fixture("openai", "err_401_invalid_api_key_chat");
    let got = ask(fault(json!({ "authentication": {} })), &chat(""));
    assert_eq!(i64::from(got.status), recorded["status"]);
    let body = recorded["body_text"].as_str().unwrap();
    let body = body.replace("bad-key-**********test", "sk-test");
    assert_eq!(got.text(), body);
}
