//! Understanding a Chat Completions request.

use serde_json::Value;

use super::{error, reasons};
use crate::{
    dialect::{Head, Moment, Reply, bearer, content_text, counted_text},
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
    for (index, message) in messages.iter().enumerate() {
        if !message.is_object() {
            return Err(error::not_an_object(moment, &format!("messages[{index}]"), message));
        }
        if message.get("role").is_none() {
            return Err(error::missing_parameter(moment, &format!("messages[{index}].role")));
        }
    }
    let streaming = match body.get("stream") {
        None | Some(Value::Null) => false,
        Some(Value::Bool(streaming)) => *streaming,
        Some(other) => return Err(error::not_a_boolean(moment, "stream", other)),
    };
    let output_tokens_max = output_tokens_max(&model, &body, moment)?;
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
        model,
        body,
    })
}

/// The most tokens of the answer, by its new name or its old one.
fn output_tokens_max(model: &str, body: &Value, moment: &Moment) -> Result<Option<u64>, Reply> {
    let given = |name: &str| body.get(name).filter(|value| !value.is_null());
    if reasons(model) && given("max_tokens").is_some() {
        return Err(error::unsupported_max_tokens(moment));
    }
    let mut most = None;
    for name in ["max_completion_tokens", "max_tokens"] {
        let Some(value) = given(name) else { continue };
        match value.as_u64() {
            Some(0) => return Err(error::below_one(moment, name, value)),
            Some(tokens) => most = most.or(Some(tokens)),
            None if value.as_i64().is_some() => {
                return Err(error::below_one(moment, name, value));
            }
            None => return Err(error::not_an_integer(moment, name, value)),
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
