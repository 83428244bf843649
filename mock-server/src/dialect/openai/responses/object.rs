//! The object that an answer of the Responses API is, as far as it got.

use serde_json::{Map, Value, json};

use super::super::{chat, dated, reasons};
use crate::{answer::Answer, dialect::Exchange};

/// How far an answer got.
pub(super) struct State {
    /// Its status.
    pub(super) status: &'static str,
    /// The items that are there.
    pub(super) output: Vec<Value>,
    /// What was read and written; null until the end.
    pub(super) usage: Value,
    /// Why it failed; null if it did not.
    pub(super) error: Value,
}

impl State {
    /// An answer of which nothing is there yet.
    pub(super) fn started() -> Self {
        Self { status: "in_progress", output: Vec::new(), usage: Value::Null, error: Value::Null }
    }
}

/// The object that an answer is. Whole ones name who pays, streamed ones tell of moderation: so
/// they are recorded.
pub(super) fn object(exchange: &Exchange<'_>, state: &State, model: &str) -> Value {
    let body = &exchange.request.body;
    let given = |name: &str| body.get(name).filter(|value| !value.is_null()).cloned();
    let or = |name: &str, value: Value| given(name).unwrap_or(value);
    let decimal = |name: &str, usual: f64| or(name, usual.into()).as_f64().unwrap_or(usual);
    let streaming = exchange.request.streaming;
    let is_over = matches!(state.status, "completed" | "incomplete");
    let created = exchange.moment.wall.as_secs();
    let mut fields = Map::new();
    let mut set = |name: &str, value: Value| drop(fields.insert(name.to_owned(), value));
    set("id", id(exchange).into());
    set("object", "response".into());
    set("created_at", created.into());
    set("status", state.status.into());
    set("background", or("background", false.into()));
    if !streaming {
        set("billing", json!({ "payer": "developer" }));
    }
    set("completed_at", if state.status == "completed" { created.into() } else { Value::Null });
    set("error", state.error.clone());
    set("frequency_penalty", decimal("frequency_penalty", 0.0).into());
    let reason = (state.status == "incomplete").then(|| json!({ "reason": "max_output_tokens" }));
    set("incomplete_details", json!(reason));
    set("instructions", or("instructions", Value::Null));
    set("max_output_tokens", or("max_output_tokens", Value::Null));
    set("max_tool_calls", or("max_tool_calls", Value::Null));
    set("model", dated(model).into());
    if streaming {
        set("moderation", Value::Null);
    }
    set("output", state.output.clone().into());
    set("parallel_tool_calls", or("parallel_tool_calls", true.into()));
    set("presence_penalty", decimal("presence_penalty", 0.0).into());
    set("previous_response_id", or("previous_response_id", Value::Null));
    set("prompt_cache_key", or("prompt_cache_key", Value::Null));
    let kept = if streaming { "in_memory".into() } else { Value::Null };
    set("prompt_cache_retention", or("prompt_cache_retention", kept));
    set("reasoning", reasoning(body, model));
    set("safety_identifier", or("safety_identifier", Value::Null));
    let tier = if is_over { chat::service_tier(exchange) } else { "auto" };
    set("service_tier", tier.into());
    set("store", or("store", true.into()));
    set("temperature", decimal("temperature", 1.0).into());
    set("text", text(body));
    set("tool_choice", or("tool_choice", "auto".into()));
    set("tools", tools(body));
    set("top_logprobs", or("top_logprobs", 0.into()));
    set("top_p", decimal("top_p", 1.0).into());
    set("truncation", or("truncation", "disabled".into()));
    set("usage", state.usage.clone());
    set("user", or("user", Value::Null));
    set("metadata", or("metadata", json!({})));
    Value::Object(fields)
}

/// The id of a response. Its last two digits say how far an agent's task has got if it calls tools,
/// so that a conversation that goes on by nothing but this id goes on with the task.
fn id(exchange: &Exchange<'_>) -> String {
    let turns = u8::try_from(exchange.request.conversation.tool_turns + 1).unwrap_or(u8::MAX);
    format!("resp_{}{turns:02x}", exchange.moment.hex("response", 48))
}

/// How many turns of an agent's task lie before what follows a response of ours.
pub(in crate::dialect::openai) fn tool_turns(previous: &str) -> u64 {
    let ours = previous.strip_prefix("resp_").filter(|id| id.len() == 50 && id.is_ascii());
    ours.and_then(|id| u64::from_str_radix(&id[48..], 16).ok()).unwrap_or(0)
}

fn reasoning(body: &Value, model: &str) -> Value {
    let given = |name: &str| body.pointer(&format!("/reasoning/{name}")).cloned();
    let usual = match model {
        _ if !reasons(model) => Value::Null,
        _ if model.starts_with("gpt-5.") => "none".into(),
        _ => "medium".into(),
    };
    json!({
        "effort": given("effort").unwrap_or(usual),
        "summary": given("summary").unwrap_or(Value::Null),
    })
}

fn text(body: &Value) -> Value {
    let usual = json!({ "type": "text" });
    let format = match body.pointer("/text/format") {
        Some(format) if format["type"] == "json_schema" => json!({
            "type": "json_schema",
            "description": format["description"],
            "name": format["name"],
            "schema": format["schema"],
            "strict": format.get("strict").cloned().unwrap_or(true.into()),
        }),
        Some(format) if !format.is_null() => format.clone(),
        _ => usual,
    };
    let verbosity = body.pointer("/text/verbosity").cloned().unwrap_or("medium".into());
    json!({ "format": format, "verbosity": verbosity })
}

/// The tools as the provider understood them: functions in its own order, strict unless not.
fn tools(body: &Value) -> Value {
    let tools = body.get("tools").and_then(Value::as_array).into_iter().flatten();
    let tools = tools.map(|tool| {
        if tool["type"] != "function" {
            return tool.clone();
        }
        json!({
            "type": "function",
            "description": tool["description"],
            "name": tool["name"],
            "parameters": tool["parameters"],
            "strict": tool.get("strict").filter(|it| !it.is_null()).cloned().unwrap_or(true.into()),
        })
    });
    tools.collect()
}

/// What was read and written; what stands around a text was recorded as one token, and as four of
/// the models that think.
pub(super) fn usage(exchange: &Exchange<'_>, answer: &Answer, model: &str) -> Value {
    let request = exchange.request;
    let around = if reasons(model) { 4 } else { 1 };
    let first = answer.choices.first().map_or(0, |choice| choice.output_tokens);
    let written = first.saturating_add(chat::thoughts(answer));
    let most = request.output_tokens_max.unwrap_or(u64::MAX).max(first);
    let output = written.saturating_add(around).min(most);
    json!({
        "input_tokens": request.input_tokens,
        "input_tokens_details": { "cached_tokens": 0 },
        "output_tokens": output,
        "output_tokens_details": { "reasoning_tokens": chat::thoughts(answer).min(output) },
        "total_tokens": request.input_tokens.saturating_add(output),
    })
}
