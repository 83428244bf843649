//! Understanding a Messages request.

use serde_json::Value;

use super::error;
use crate::{
    dialect::{Head, Moment, Reply, bearer, content_text},
    plan::Route,
    request::{Conversation, Request},
    tokens::Tokenizer,
};

/// The request, or the refusal: key, then version, then syntax, then the parameters.
pub(super) fn request(
    route: Route,
    head: &Head<'_>,
    body: &[u8],
    moment: &Moment,
) -> Result<Request, Reply> {
    if head.method != "POST" {
        return Err(error::method(moment));
    }
    let key = head.headers.get("x-api-key").filter(|key| !key.is_empty());
    let Some(key) = key.or_else(|| bearer(head.headers)) else {
        return Err(error::missing_key(moment));
    };
    let versions: Vec<&str> = head.headers.all("anthropic-version").collect();
    match versions.as_slice() {
        [] => return Err(error::invalid(moment, "anthropic-version: header is required")),
        ["2023-06-01" | "2026-10-21"] => {}
        versions => {
            let versions = versions.join(", ");
            let message = format!("anthropic-version: \"{versions}\" is not a valid version");
            return Err(error::invalid(moment, &message));
        }
    }
    let body: Value =
        serde_json::from_slice(body).map_err(|mistake| error::malformed_json(moment, &mistake))?;
    for field in ["model", "max_tokens", "messages"] {
        if body.get(field).is_none_or(Value::is_null) {
            return Err(error::invalid(moment, &format!("{field}: Field required")));
        }
    }
    let Some(model) = body.get("model").and_then(Value::as_str) else {
        return Err(error::invalid(moment, "model: Input should be a valid string"));
    };
    let model = model.to_owned();
    let Some(output_tokens_max) = body.get("max_tokens").and_then(Value::as_u64) else {
        return Err(error::invalid(moment, "max_tokens: Input should be a valid integer"));
    };
    let Some(messages) = body.get("messages").and_then(Value::as_array) else {
        return Err(error::invalid(moment, "messages: Input should be a valid list"));
    };
    if messages.is_empty() {
        return Err(error::invalid(moment, "messages: at least one message is required"));
    }
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
        streaming: body.get("stream").and_then(Value::as_bool).unwrap_or(false),
        conversation,
        input_tokens,
        output_tokens_max: Some(output_tokens_max),
        model,
        body,
    })
}

/// An estimate, since the tokenizer is not public: a plain question costs 7 more than its text.
fn input_tokens(model: &str, messages: &[Value], body: &Value) -> u64 {
    let tokenizer = Tokenizer::of(model);
    let spoken: u64 = messages
        .iter()
        .map(|message| {
            3 + tokenizer.count(&content_text(message.get("content").unwrap_or(&Value::Null)))
        })
        .sum();
    let system = body.get("system").map_or(0, |system| tokenizer.count(&content_text(system)));
    let tools = body.get("tools").map_or(0, |tools| tokenizer.count(&tools.to_string()));
    4 + spoken + system + tools
}
