//! Understanding a request to OpenRouter: key, syntax, what is asked, of whom.

use serde_json::Value;

use crate::{
    action::ErrorKind,
    dialect::{Head, Refusal, bearer, chat},
    plan::Route,
    request::{Conversation, Request},
    tokens::Tokenizer,
};

/// The request, or the refusal.
pub(super) fn request(route: Route, head: &Head<'_>, body: &[u8]) -> Result<Request, Refusal> {
    let lists = route == Route::OpenRouterModels;
    if head.method != if lists { "GET" } else { "POST" } {
        return Err(invalid("method"));
    }
    let mut request = Request::unknown(route, head.headers.clone());
    request.key = chat::key(head);
    if lists {
        // The list is public.
        return Ok(request);
    }
    if bearer(head.headers).is_none() {
        return Err(Refusal::new(ErrorKind::Authentication, "missing-header"));
    }
    let body: Value = serde_json::from_slice(body).map_err(|_| invalid("malformed-json"))?;
    check_types(&body)?;
    let mut models = body.get("models").and_then(Value::as_array).into_iter().flatten();
    let model = body.get("model").and_then(Value::as_str).filter(|model| !model.is_empty());
    // Of several the first is tried first.
    let Some(model) = model.or_else(|| models.find_map(Value::as_str)) else {
        return Err(invalid("no-model"));
    };
    model.clone_into(&mut request.model);
    let tokenizer = Tokenizer::of(model);
    match (route, body.get("messages").and_then(Value::as_array), body.get("prompt")) {
        (Route::OpenRouterEmbeddings, _, _) => {
            let texts = inputs(&body);
            chat::few(&texts)?;
            if texts.is_empty() {
                return Err(mistyped("input", "string", body.get("input")));
            }
            let tokens = texts.iter().map(|text| tokenizer.count(text));
            request.input_tokens = tokens.fold(0, u64::saturating_add);
            request.conversation = Conversation::new([("user", texts.join("\n"))]);
        }
        (Route::OpenRouterChat, Some(messages), _) if !messages.is_empty() => {
            // OpenAI's rule, 3 + Σ (3 + the role + what is said); it counts for everybody alike.
            request.input_tokens =
                chat::input_tokens(tokenizer, messages, body.get("tools"), (3, 4));
            request.conversation = chat::conversation(messages);
        }
        (Route::OpenRouterChat | Route::OpenRouterCompletions, _, Some(Value::String(prompt))) => {
            request.input_tokens = tokenizer.count(prompt);
            request.conversation = Conversation::new([("user", prompt.clone())]);
        }
        _ => return Err(invalid("no-input")),
    }
    request.wishes = chat::wishes(&body);
    // It passes on no wish for several answers.
    request.wishes.choices = 1;
    request.wishes.reasons = reasons(&request.model, &body);
    request.streaming = body.get("stream") == Some(&Value::Bool(true));
    request.output_tokens_max = ["max_completion_tokens", "max_tokens"]
        .iter()
        .find_map(|name| body.get(*name)?.as_u64())
        .filter(|most| *most > 0);
    request.body = body;
    Ok(request)
}

/// The texts to embed.
pub(super) fn inputs(body: &Value) -> Vec<String> {
    chat::texts(body.get("input"))
}

fn invalid(case: &'static str) -> Refusal {
    Refusal::new(ErrorKind::BadRequest, case)
}

fn mistyped(param: &str, expected: &str, found: Option<&Value>) -> Refusal {
    let found = match found {
        None => "undefined",
        Some(Value::Null) => "null",
        Some(Value::Bool(_)) => "boolean",
        Some(Value::Number(_)) => "number",
        Some(Value::String(_)) => "string",
        Some(Value::Array(_)) => "array",
        Some(Value::Object(_)) => "object",
    };
    invalid("invalid-input").word("param", param).word("expected", expected).word("found", found)
}

/// The first field that holds what it may not.
fn check_types(body: &Value) -> Result<(), Refusal> {
    let Some(fields) = body.as_object() else {
        return Err(mistyped("body", "object", Some(body)));
    };
    for (name, value) in fields {
        let (expected, fits) = match name.as_str() {
            "model" => ("string", value.is_string()),
            "messages" | "models" | "tools" => ("array", value.is_array()),
            "stream" => ("boolean", value.is_boolean()),
            "max_tokens" | "max_completion_tokens" | "temperature" | "top_p" => {
                ("number", value.is_number())
            }
            _ => continue,
        };
        if !fits && !value.is_null() {
            return Err(mistyped(name, expected, Some(value)));
        }
        if name != "messages" {
            continue;
        }
        for (index, message) in value.as_array().into_iter().flatten().enumerate() {
            if !message.is_object() {
                return Err(mistyped(&format!("messages.{index}"), "object", Some(message)));
            }
            if !message.get("role").is_some_and(Value::is_string) {
                let param = format!("messages.{index}.role");
                return Err(mistyped(&param, "string", message.get("role")));
            }
        }
    }
    Ok(())
}

/// Whether thoughts are to be shown: those that think always do, others when they are asked to.
fn reasons(model: &str, body: &Value) -> bool {
    let bare = model.split_once('/').map_or(model, |(_, name)| name);
    let families = ["deepseek-r1", "gpt-5", "gpt-oss", "o1", "o3", "o4", "magistral", "qwq"];
    let thinks =
        families.iter().any(|family| bare.starts_with(family)) || bare.ends_with(":thinking");
    let wanted = body.get("reasoning");
    let said = |name: &str| wanted.and_then(|wanted| wanted.get(name));
    let no = Some(&Value::Bool(false));
    if said("exclude") == Some(&Value::Bool(true))
        || said("enabled") == no
        || said("effort").and_then(Value::as_str) == Some("none")
        || body.get("include_reasoning") == no
    {
        return false;
    }
    let asked = ["enabled", "effort", "max_tokens"].iter().any(|name| said(name).is_some());
    let effort = body.get("reasoning_effort").and_then(Value::as_str);
    let effort = effort.is_some_and(|effort| effort != "none");
    thinks || asked || effort || body.get("include_reasoning") == Some(&Value::Bool(true))
}
