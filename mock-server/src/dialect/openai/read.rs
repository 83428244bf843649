//! Understanding a Chat Completions request.

use serde_json::Value;

use super::reasons;
use crate::{
    action::ErrorKind,
    dialect::{Head, Refusal, bearer, content_text, counted_text},
    plan::Route,
    request::{Conversation, Request, Wishes},
    tokens::Tokenizer,
};

/// The request, or the refusal: key, then syntax, then the parameters.
pub(super) fn request(route: Route, head: &Head<'_>, body: &[u8]) -> Result<Request, Refusal> {
    if head.method != "POST" {
        return Err(invalid("method"));
    }
    let key = key(head).ok_or_else(|| Refusal::new(ErrorKind::Authentication, "missing-key"))?;
    let body: Value = serde_json::from_slice(body).map_err(|_| invalid("malformed-json"))?;
    let Some(model) = body.get("model").and_then(Value::as_str).filter(|model| !model.is_empty())
    else {
        return Err(invalid("missing-model"));
    };
    let model = model.to_owned();
    let Some(messages) = body.get("messages") else {
        return Err(missing("messages"));
    };
    let Some(messages) = messages.as_array() else {
        return Err(wrong_type("messages", "an array of objects", messages));
    };
    if messages.is_empty() {
        return Err(invalid("empty-array").word("param", "messages"));
    }
    for (index, message) in messages.iter().enumerate() {
        if !message.is_object() {
            return Err(wrong_type(&format!("messages[{index}]"), "an object", message));
        }
        if message.get("role").is_none() {
            return Err(missing(&format!("messages[{index}].role")));
        }
    }
    let streaming = match body.get("stream") {
        None | Some(Value::Null) => false,
        Some(Value::Bool(streaming)) => *streaming,
        Some(other) => return Err(wrong_type("stream", "a boolean", other)),
    };
    let output_tokens_max = output_tokens_max(&model, &body)?;
    let turns = messages.iter().map(|message| {
        let role = message.get("role").and_then(Value::as_str).unwrap_or("user");
        (role, said(message, content_text))
    });
    let conversation = Conversation::new(turns);
    let input_tokens = input_tokens(&model, messages, &body);
    Ok(Request {
        route,
        key,
        headers: head.headers.clone(),
        connection: 0,
        streaming,
        conversation,
        input_tokens,
        output_tokens_max,
        wishes: Wishes::default(),
        model,
        body,
    })
}

/// A request that cannot be understood.
fn invalid(case: &'static str) -> Refusal {
    Refusal::new(ErrorKind::BadRequest, case)
}

fn missing(param: &str) -> Refusal {
    invalid("missing-parameter").word("param", param)
}

fn below_one(param: &str, found: &Value) -> Refusal {
    invalid("below-minimum").word("param", param).word("found", found.to_string())
}

fn wrong_type(param: &str, expected: &str, found: &Value) -> Refusal {
    let found = match found {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(number) if number.is_f64() => "a decimal number",
        Value::Number(_) => "an integer",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    };
    invalid("wrong-type").word("param", param).word("expected", expected).word("found", found)
}

/// The most tokens of the answer, by its new name or its old one.
fn output_tokens_max(model: &str, body: &Value) -> Result<Option<u64>, Refusal> {
    let given = |name: &str| body.get(name).filter(|value| !value.is_null());
    if reasons(model) && given("max_tokens").is_some() {
        return Err(invalid("unsupported-max-tokens"));
    }
    let mut most = None;
    for name in ["max_completion_tokens", "max_tokens"] {
        let Some(value) = given(name) else { continue };
        match value.as_u64() {
            Some(0) => return Err(below_one(name, value)),
            Some(tokens) => most = most.or(Some(tokens)),
            None if value.as_i64().is_some() => {
                return Err(below_one(name, value));
            }
            None => return Err(wrong_type(name, "an integer", value)),
        }
    }
    Ok(most)
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

/// All that a message says: its content, the tools it calls, and the call it answers.
fn said(message: &Value, content_text: fn(&Value) -> String) -> String {
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
    let messages = messages
        .iter()
        .map(|message| {
            let role = message.get("role").and_then(Value::as_str).unwrap_or("user");
            3 + tokenizer.count(role) + tokenizer.count(&said(message, counted_text))
        })
        .fold(0, u64::saturating_add);
    // Tools are rendered into the prompt; their JSON is a fair upper estimate of that.
    let tools = body.get("tools").map_or(0, |tools| tokenizer.count(&tools.to_string()));
    let total = messages.saturating_add(tools).saturating_add(3);
    if reasons(model) { total - 1 } else { total }
}
