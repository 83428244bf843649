//! Understanding a Messages request.

use serde_json::Value;

use crate::{
    action::ErrorKind,
    dialect::{Head, Refusal, bearer, content_text, counted_text},
    models,
    plan::Route,
    request::{Conversation, Request, Wishes},
    tokens::Tokenizer,
};

/// The request, or the refusal: key, then version, then syntax, then the parameters.
pub(super) fn request(route: Route, head: &Head<'_>, body: &[u8]) -> Result<Request, Refusal> {
    if head.method != "POST" {
        return Err(Refusal::new(ErrorKind::BadRequest, "method"));
    }
    let key = head.headers.get("x-api-key").filter(|key| !key.is_empty());
    let Some(key) = key.or_else(|| bearer(head.headers)) else {
        return Err(Refusal::new(ErrorKind::Authentication, "missing-key"));
    };
    let versions: Vec<&str> = head.headers.all("anthropic-version").collect();
    let samples = match versions.as_slice() {
        [] => return Err(invalid("anthropic-version: header is required")),
        ["2023-06-01"] => true,
        ["2026-10-21"] => false,
        versions => {
            let versions = versions.join(", ");
            let message = format!("anthropic-version: \"{versions}\" is not a valid version");
            return Err(invalid(&message));
        }
    };
    let body: Value = serde_json::from_slice(body).map_err(|mistake| malformed_json(&mistake))?;
    for field in ["model", "max_tokens", "messages"] {
        if body.get(field).is_none_or(Value::is_null) {
            return Err(invalid(&format!("{field}: Field required")));
        }
    }
    let Some(model) = body.get("model").and_then(Value::as_str) else {
        return Err(invalid("model: Input should be a valid string"));
    };
    let model = model.to_owned();
    let output_tokens_max = output_tokens_max(&model, &body)?;
    let Some(messages) = body.get("messages").and_then(Value::as_array) else {
        return Err(invalid("messages: Input should be a valid list"));
    };
    if messages.is_empty() {
        return Err(invalid("messages: at least one message is required"));
    }
    for (index, message) in messages.iter().enumerate() {
        if !message.is_object() {
            let message = format!("messages.{index}: Input does not match the expected shape.");
            return Err(invalid(&message));
        }
        for field in ["role", "content"] {
            if message.get(field).is_none() {
                let message = format!("messages.{index}.{field}: Field required");
                return Err(invalid(&message));
            }
        }
        let optional = index + 1 == messages.len()
            && message.get("role").and_then(Value::as_str) == Some("assistant");
        match message.get("content") {
            Some(Value::String(text)) if text.is_empty() && !optional => {
                let message = format!(
                    "messages.{index}: all messages must have non-empty content except for the \
                     optional final assistant message"
                );
                return Err(invalid(&message));
            }
            Some(Value::Array(blocks)) if blocks.iter().any(is_empty_text) => {
                let message = "messages: text content blocks must be non-empty";
                return Err(invalid(message));
            }
            _ => {}
        }
    }
    if let Some(name) = SAMPLING.iter().find(|name| !samples && body.get(**name).is_some()) {
        let message = format!("{name}: Extra inputs are not permitted");
        return Err(invalid(&message));
    }
    let streaming = match body.get("stream") {
        None | Some(Value::Null) => false,
        Some(Value::Bool(streaming)) => *streaming,
        Some(_) => return Err(invalid("stream: Input should be a valid boolean")),
    };
    let system = body.get("system").map(|system| ("system", content_text(system)));
    let turns = messages.iter().map(|message| {
        let role = message.get("role").and_then(Value::as_str).unwrap_or("user");
        (role, content_text(message.get("content").unwrap_or(&Value::Null)))
    });
    let conversation = Conversation::new(system.into_iter().chain(turns));
    let input_tokens = input_tokens(&model, messages, &body);
    Ok(Request {
        route,
        key: key.to_owned(),
        headers: head.headers.clone(),
        connection: 0,
        streaming,
        conversation,
        input_tokens,
        output_tokens_max: Some(output_tokens_max),
        wishes: Wishes::default(),
        model,
        body,
    })
}

/// A request that cannot be understood.
fn invalid(message: &str) -> Refusal {
    Refusal::new(ErrorKind::BadRequest, "invalid").word("message", message)
}

fn malformed_json(mistake: &serde_json::Error) -> Refusal {
    let reason = mistake.to_string();
    let reason = reason.split(" at line ").next().unwrap_or(&reason);
    Refusal::new(ErrorKind::BadRequest, "malformed-json")
        .word("reason", reason)
        .word("line", mistake.line().to_string())
        .word("column", mistake.column().to_string())
        .word("char", mistake.column().saturating_sub(1).to_string())
}

/// What a client may no longer choose since version `2026-10-21`, not even by its default.
const SAMPLING: [&str; 3] = ["temperature", "top_p", "top_k"];

/// The most tokens of the answer, which the model must be able to write.
fn output_tokens_max(model: &str, body: &Value) -> Result<u64, Refusal> {
    let given = body.get("max_tokens").unwrap_or(&Value::Null);
    let most = models::facts(model).and_then(|facts| facts.max_output_tokens);
    let message = match (given.as_u64(), most) {
        (Some(0), _) => "max_tokens: must be greater than or equal to 1".to_owned(),
        (Some(tokens), Some(most)) if tokens > most => format!(
            "max_tokens: {tokens} > {most}, which is the maximum allowed number of output tokens \
             for {model}"
        ),
        (Some(tokens), _) => return Ok(tokens),
        (None, _) if given.is_i64() => "max_tokens: must be greater than or equal to 1".to_owned(),
        (None, _) => "max_tokens: Input should be a valid integer".to_owned(),
    };
    Err(invalid(&message))
}

/// Whether a block is a text that says nothing.
fn is_empty_text(block: &Value) -> bool {
    block.get("type").and_then(Value::as_str) == Some("text")
        && block.get("text").and_then(Value::as_str).is_some_and(str::is_empty)
}

/// An estimate, since the tokenizer is not public: a plain question costs 7 more than its text.
fn input_tokens(model: &str, messages: &[Value], body: &Value) -> u64 {
    let tokenizer = Tokenizer::of(model);
    let spoken = messages
        .iter()
        .map(|message| {
            3 + tokenizer.count(&counted_text(message.get("content").unwrap_or(&Value::Null)))
        })
        .fold(4, u64::saturating_add);
    let system = body.get("system").map_or(0, |system| tokenizer.count(&counted_text(system)));
    let tools = body.get("tools").map_or(0, |tools| tokenizer.count(&tools.to_string()));
    spoken.saturating_add(system).saturating_add(tools)
}
