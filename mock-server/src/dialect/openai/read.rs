//! Understanding a Chat Completions request.

use serde_json::Value;

use super::{error, flag, reasons};
use crate::{
    dialect::{Head, Moment, Reply, bearer, content_text},
    plan::Route,
    request::{Conversation, Request},
    tokens::Tokenizer,
};

/// The request, or the refusal: key, then syntax, then the parameters.
pub(super) fn request(
    route: Route,
    head: &Head<'_>,
    body: &[u8],
    moment: &Moment,
) -> Result<Request, Reply> {
    if head.method != "POST" {
        return Err(error::method(moment));
    }
    let key = key(head).ok_or_else(|| error::missing_key(moment))?;
    let body: Value = serde_json::from_slice(body).map_err(|_| error::malformed_json(moment))?;
    let Some(model) = body.get("model").and_then(Value::as_str).filter(|model| !model.is_empty())
    else {
        return Err(error::missing_model(moment));
    };
    let model = model.to_owned();
    let Some(messages) = body.get("messages") else {
        return Err(error::missing_parameter(moment, "messages"));
    };
    let Some(messages) = messages.as_array() else {
        return Err(error::not_an_array(moment, "messages", messages));
    };
    if messages.is_empty() {
        return Err(error::empty_array(moment, "messages"));
    }
    let turns = messages.iter().map(|message| {
        let role = message.get("role").and_then(Value::as_str).unwrap_or("user");
        (role, said(message))
    });
    let conversation = Conversation::new(turns);
    let input_tokens = input_tokens(&model, messages, &body);
    let output_tokens_max = ["max_completion_tokens", "max_tokens"]
        .iter()
        .find_map(|name| body.get(*name).and_then(Value::as_u64));
    Ok(Request {
        route,
        key,
        headers: head.headers.clone(),
        streaming: flag(&body, "/stream"),
        conversation,
        input_tokens,
        output_tokens_max,
        model,
        body,
    })
}

/// The key of a Bearer header, or the password of a Basic one.
fn key(head: &Head<'_>) -> Option<String> {
    if let Some(token) = bearer(head.headers) {
        return Some(token.to_owned());
    }
    let (scheme, credentials) = head.headers.get("authorization")?.split_once(' ')?;
    // The credentials are taken as they stand: which key it is matters only to tell keys apart.
    let credentials = credentials.trim();
    (scheme.eq_ignore_ascii_case("basic") && !credentials.is_empty())
        .then(|| credentials.to_owned())
}

/// All that a message says: its text, the tools it calls, and the call it answers.
fn said(message: &Value) -> String {
    let mut text = content_text(message.get("content").unwrap_or(&Value::Null));
    for key in ["tool_calls", "tool_call_id"] {
        if let Some(value) = message.get(key) {
            text.push_str(&value.to_string());
        }
    }
    text
}

/// OpenAI's own rule, exact for plain text on the models it was checked on:
/// 3 + Σ (3 + tokens of the role + tokens of the content).
fn input_tokens(model: &str, messages: &[Value], body: &Value) -> u64 {
    let tokenizer = Tokenizer::of(model);
    let messages: u64 = messages
        .iter()
        .map(|message| {
            let role = message.get("role").and_then(Value::as_str).unwrap_or("user");
            3 + tokenizer.count(role) + tokenizer.count(&said(message))
        })
        .sum();
    // Tools are rendered into the prompt; their JSON is a fair upper estimate of that.
    let tools = body.get("tools").map_or(0, |tools| tokenizer.count(&tools.to_string()));
    let total = 3 + messages + tools;
    if reasons(model) { total - 1 } else { total }
}
