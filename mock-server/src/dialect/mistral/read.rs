//! Understanding a request to Mistral: key, syntax, schema, and the order of the messages.

use serde_json::{Value, json};

use super::schema::{Schema, integer, refused, truth};
use crate::{
    action::ErrorKind,
    dialect::{Head, Refusal, bearer, chat},
    plan::Route,
    request::{Conversation, Request},
    tokens::Tokenizer,
};

/// The request, or the refusal.
pub(super) fn request(route: Route, head: &Head<'_>, body: &[u8]) -> Result<Request, Refusal> {
    let lists = route == Route::MistralModels;
    if head.method != if lists { "GET" } else { "POST" } {
        return Err(Refusal::new(ErrorKind::BadRequest, "method"));
    }
    if bearer(head.headers).is_none() {
        return Err(Refusal::new(ErrorKind::Authentication, "invalid-key"));
    }
    let mut request = Request::unknown(route, head.headers.clone());
    request.key = chat::key(head);
    if lists {
        model_of(head.path).unwrap_or_default().clone_into(&mut request.model);
        return Ok(request);
    }
    let body = parsed(body)?;
    Schema::of(route).check(&body)?;
    text(&body, "model").clone_into(&mut request.model);
    request.streaming = body.get("stream").is_some_and(truth);
    request.output_tokens_max = body.get("max_tokens").and_then(integer);
    let tokenizer = Tokenizer::of(&request.model);
    match route {
        Route::MistralEmbeddings => {
            let texts = inputs(&body);
            chat::few(&texts)?;
            // One token begins each text; recorded for one.
            let tokens = texts.iter().map(|text| tokenizer.count(text).saturating_add(1));
            request.input_tokens = tokens.fold(0, u64::saturating_add);
            request.conversation = Conversation::new([("user", texts.join("\n"))]);
        }
        Route::MistralFim => {
            let said = format!("{}{}", text(&body, "prompt"), text(&body, "suffix"));
            request.input_tokens = tokenizer.count(&said).saturating_add(3);
            request.conversation = Conversation::new([("user", said)]);
            request.wishes.stops = chat::texts(body.get("stop"));
        }
        _ => {
            let messages = body.get("messages").and_then(Value::as_array);
            let messages = messages.map(Vec::as_slice).unwrap_or_default();
            check_order(messages)?;
            // `<s>`, and `[INST]` with `[/INST]` or `</s>`; the rest is estimated.
            request.input_tokens =
                chat::input_tokens(tokenizer, messages, body.get("tools"), (1, 3));
            request.conversation = chat::conversation(messages);
            request.wishes = chat::wishes(&body);
            request.wishes.reasons = reasons(&request.model, &body);
        }
    }
    request.body = body;
    Ok(request)
}

/// The model that a path of the list ends with, empty for the list itself; none if it is another
/// path.
pub(super) fn model_of(path: &str) -> Option<&str> {
    // The base URL may stand before it.
    let (_, rest) = path.split_once("/models")?;
    match rest.strip_prefix('/') {
        Some(model) => (!model.contains('/')).then_some(model),
        None => rest.is_empty().then_some(""),
    }
}

/// The texts to embed.
pub(super) fn inputs(body: &Value) -> Vec<String> {
    chat::texts(body.get("input"))
}

fn text<'a>(body: &'a Value, field: &str) -> &'a str {
    body.get(field).and_then(Value::as_str).unwrap_or_default()
}

/// Whether the model thinks before it speaks: Magistral always does, others when they are told to.
fn reasons(model: &str, body: &Value) -> bool {
    let told = |field: &str, word: &str| body.get(field).and_then(Value::as_str) == Some(word);
    let silent = body.get("prompt_mode").is_some_and(Value::is_null);
    (model.starts_with("magistral") && !silent)
        || told("prompt_mode", "reasoning")
        || told("reasoning_effort", "high")
}

fn parsed(body: &[u8]) -> Result<Value, Refusal> {
    if body.is_empty() {
        let complaint = json!({
            "type": "missing", "loc": ["body"], "msg": "Field required", "input": null,
        });
        return Err(refused("missing-field", &[complaint]));
    }
    serde_json::from_slice(body).map_err(|error| {
        // The place is a number of letters; a mistake in the first line is the common one.
        let place = error.column().saturating_sub(1);
        refused(
            "malformed-json",
            &[json!({
                "type": "json_invalid",
                "loc": ["body", place],
                "msg": "JSON decode error",
                "input": {},
                "ctx": { "error": "Expecting value" },
            })],
        )
    })
}

/// What Mistral's own library asks of a conversation
/// ([`mistral-common`](https://github.com/mistralai/mistral-common), its request validator).
fn check_order(messages: &[Value]) -> Result<(), Refusal> {
    let order = |message: String| {
        Err(Refusal::new(ErrorKind::BadRequest, "message-order").word("complaint", message))
    };
    let role = |message: &Value| {
        message.get("role").and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let calls = |message: &Value| {
        let calls = message.get("tool_calls").and_then(Value::as_array);
        calls.cloned().unwrap_or_default()
    };
    let Some(last) = messages.last() else {
        return order("Conversation must have at least one message".to_owned());
    };
    for two in messages.windows(2) {
        let (before, after) = (role(&two[0]), role(&two[1]));
        let expected: &[&str] = match before.as_str() {
            "tool" => &["assistant", "tool"],
            "assistant" => &["assistant", "tool", "user"],
            _ => &["assistant", "system", "user"],
        };
        if !expected.contains(&after.as_str()) {
            return order(format!("Unexpected role '{after}' after role '{before}'"));
        }
    }
    let prefix = last.get("prefix") == Some(&Value::Bool(true));
    if !(["user", "tool"].contains(&role(last).as_str()) || prefix) {
        return order(format!(
            "Expected last role User or Tool (or Assistant with prefix True) for serving but got {}",
            role(last)
        ));
    }
    let ids = messages.iter().flat_map(|message| {
        let called = calls(message);
        let called = called.iter().map(|call| call.get("id").cloned()).collect::<Vec<_>>();
        let answered = message.get("tool_call_id").cloned();
        called.into_iter().flatten().chain(answered)
    });
    for id in ids {
        let Some(id) = id.as_str() else { continue };
        let letters = id.bytes().all(|letter| letter.is_ascii_alphanumeric());
        if !letters || id.len() != 9 {
            let refusal = Refusal::new(ErrorKind::BadRequest, "tool-call-id");
            return Err(refusal.word("tool-call-id", id));
        }
    }
    let mut open = 0;
    for message in messages {
        match role(message).as_str() {
            "tool" => open -= 1_i64,
            _ if open != 0 => break,
            _ => open = i64::try_from(calls(message).len()).unwrap_or(i64::MAX),
        }
    }
    if open != 0 {
        return order("Not the same number of function calls and responses".to_owned());
    }
    Ok(())
}
