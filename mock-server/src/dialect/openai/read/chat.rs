//! Understanding a Chat Completions request.

use std::borrow::Cow;

use serde_json::Value;

use super::{Parameters, Understood, function_name, invalid, missing, wrong_type, wrong_value};
use crate::{
    dialect::{
        Refusal, content_text, field,
        openai::{count, reasons},
    },
    models,
    request::{Conversation, Format, TOOL_CALLS, Tool, ToolChoice, Wishes},
};

/// What a chat may say of itself; `data_sources` is Azure's.
const KNOWN: &[&str] = &[
    "audio",
    "data_sources",
    "frequency_penalty",
    "function_call",
    "functions",
    "logit_bias",
    "logprobs",
    "max_completion_tokens",
    "max_tokens",
    "messages",
    "metadata",
    "modalities",
    "model",
    "moderation",
    "n",
    "parallel_tool_calls",
    "prediction",
    "presence_penalty",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "reasoning_effort",
    "response_format",
    "safety_identifier",
    "seed",
    "service_tier",
    "stop",
    "store",
    "stream",
    "stream_options",
    "temperature",
    "tool_choice",
    "tools",
    "top_logprobs",
    "top_p",
    "user",
    "verbosity",
    "web_search_options",
];

const ROLES: &[&str] = &["system", "assistant", "user", "function", "tool", "developer"];

const PARTS: &[&str] = &["text", "image_url", "input_audio", "refusal", "audio", "file"];

const EFFORTS: &[&str] = &["none", "minimal", "low", "medium", "high", "xhigh"];

/// What a body says; `model` is the one by whose rules it is read.
pub(super) fn read(model: &str, body: &Parameters<'_>) -> Result<Understood, Refusal> {
    let messages = messages(model, body)?;
    body.only(KNOWN)?;
    let streaming = body.streaming()?;
    let output_tokens_max = output_tokens_max(model, body)?;
    let choices = body.integer("n", 1, 128)?.unwrap_or(1);
    let stops = body.stops()?;
    sampling(model, body)?;
    let (tools, tool_choice) = tools(body)?;
    let format = format(body)?;
    if format == Format::Json && !messages.iter().any(says_json) {
        return Err(invalid("json-unsaid"));
    }
    let effort = body.choice("reasoning_effort", EFFORTS)?;
    let wishes = Wishes {
        choices: u32::try_from(choices).unwrap_or(1),
        stops,
        tools,
        tool_choice,
        parallel_tools: !body.given("parallel_tool_calls").is_some_and(|value| value == false)
            && body.given("functions").is_none(),
        format,
        reasons: reasons(model) && effort != Some("none"),
    };
    let turns = messages.iter().map(|message| {
        let calls =
            ["tool_calls", "function_call"].into_iter().any(|it| given(message, it).is_some());
        let role = match role(message) {
            "assistant" if calls => TOOL_CALLS,
            "function" => "tool",
            role => role,
        };
        (role, said(message))
    });
    let conversation = Conversation::new(turns);
    let turns = messages.iter().map(|message| (role(message), count::message(model, message)));
    let input_tokens = count::conversation(model, turns)
        .saturating_add(count::tools(model, body.values))
        .saturating_add(schema_tokens(model, body));
    Ok(Understood { streaming, conversation, input_tokens, output_tokens_max, wishes })
}

/// The messages, each of which must be one.
fn messages<'a>(model: &str, body: &Parameters<'a>) -> Result<&'a Vec<Value>, Refusal> {
    let given = field(body.values, "messages");
    let list = given.and_then(Value::as_array);
    let (Some(messages), Some(list)) = (body.objects("messages")?, list) else {
        // What is null was given, but is no list.
        return Err(match given {
            Some(null) => wrong_type("messages", "an array of objects", null),
            None => missing("messages"),
        });
    };
    if messages.is_empty() {
        return Err(invalid("empty-array").word("param", "messages"));
    }
    // The calls that wait for what they return, and who made them.
    let mut waiting: Vec<&str> = Vec::new();
    for (index, message) in messages.iter().enumerate() {
        let role = message.required("role")?;
        if !ROLES.contains(&role) {
            return Err(wrong_value(&message.path("role"), role, ROLES));
        }
        if role == "system" && (model.starts_with("o1-mini") || model.starts_with("o1-preview")) {
            return Err(invalid("unsupported-role").word("param", message.path("role")));
        }
        if role == "tool" {
            let id = message.required("tool_call_id")?;
            let Some(place) = waiting.iter().position(|call| *call == id) else {
                return Err(invalid("answer-uncalled").word("index", index.to_string()));
            };
            waiting.remove(place);
        } else if !waiting.is_empty() {
            let ids = waiting.join(", ");
            let index = index.to_string();
            return Err(invalid("calls-unanswered").word("ids", ids).word("index", index));
        }
        let calls = message.objects("tool_calls")?.unwrap_or_default();
        for call in &calls {
            waiting.push(call.required("id")?);
            if let Some(function) = call.within("function")? {
                function.required("name")?;
                function.required("arguments")?;
            }
        }
        content(role, !calls.is_empty(), message)?;
    }
    if !waiting.is_empty() {
        let index = messages.len().to_string();
        return Err(invalid("calls-unanswered")
            .word("ids", waiting.join(", "))
            .word("index", index));
    }
    Ok(list)
}

/// Checks the content of one message: a text, or parts of which each says what it is.
fn content(role: &str, calls: bool, message: &Parameters<'_>) -> Result<(), Refusal> {
    let path = || message.path("content");
    let may_be_silent = role == "assistant"
        && (calls
            || ["function_call", "refusal", "audio"].iter().any(|it| message.given(it).is_some()));
    match field(message.values, "content") {
        Some(Value::String(_)) => Ok(()),
        Some(Value::Array(_)) => {
            let parts = message.objects("content")?.unwrap_or_default();
            if parts.is_empty() {
                return Err(invalid("empty-array").word("param", path()));
            }
            for part in parts {
                let kind = part.required("type")?;
                if !PARTS.contains(&kind) {
                    return Err(wrong_value(&part.path("type"), kind, PARTS));
                }
                match kind {
                    "text" => drop(part.required("text")?),
                    "image_url" => match part.within("image_url")? {
                        Some(image) => drop(image.required("url")?),
                        None => return Err(missing(&part.path("image_url"))),
                    },
                    "input_audio" => match part.within("input_audio")? {
                        Some(audio) => drop(audio.required("data")?),
                        None => return Err(missing(&part.path("input_audio"))),
                    },
                    "file" if part.within("file")?.is_none() => {
                        return Err(missing(&part.path("file")));
                    }
                    _ => {}
                }
            }
            Ok(())
        }
        None | Some(Value::Null) if may_be_silent => Ok(()),
        None => Err(missing(&path())),
        Some(other) => Err(wrong_type(&path(), "one of a string or array of objects", other)),
    }
}

/// The most tokens of the answer, by its new name or its old one.
fn output_tokens_max(model: &str, body: &Parameters<'_>) -> Result<Option<u64>, Refusal> {
    if reasons(model) && body.given("max_tokens").is_some() {
        return Err(invalid("unsupported-max-tokens"));
    }
    let mut most = None;
    for name in ["max_completion_tokens", "max_tokens"] {
        let Some(tokens) = body.integer(name, 1, u64::MAX)? else { continue };
        // Where the answer has only what the input leaves of the window, the window says so.
        let facts = models::facts(model);
        let limit = facts.and_then(|facts| {
            facts.max_output_tokens.filter(|output| *output < facts.context_window)
        });
        if let Some(limit) = limit.filter(|limit| tokens > *limit) {
            return Err(invalid("max-tokens-too-large")
                .word("param", name)
                .word("found", tokens.to_string())
                .word("most", limit.to_string()));
        }
        most = most.or(Some(tokens));
    }
    Ok(most)
}

/// Checks how the text is drawn; the first families that think let nobody choose.
fn sampling(model: &str, body: &Parameters<'_>) -> Result<(), Refusal> {
    body.sampling()?;
    let fixed = reasons(model) && !model.starts_with("gpt-5.");
    for name in ["temperature", "top_p"] {
        let given = body.given(name).filter(|value| value.as_f64() != Some(1.0));
        if let Some(value) = given.filter(|_| fixed) {
            return Err(invalid("unsupported-value")
                .word("param", name)
                .word("found", value.to_string()));
        }
    }
    body.integer("top_logprobs", 0, 20)?;
    if body.given("top_logprobs").is_some() && !body.flag("logprobs")? {
        return Err(only_with("top_logprobs", "logprobs", "is"));
    }
    Ok(())
}

fn only_with(param: &str, other: &str, are: &str) -> Refusal {
    invalid("only-with").word("param", param).word("other", other).word("are", are)
}

/// The tools, in their new form or the old one, and whether they must be called.
fn tools(body: &Parameters<'_>) -> Result<(Vec<Tool>, ToolChoice), Refusal> {
    let mut tools = Vec::new();
    for name in ["tools", "functions"] {
        let Some(offered) = body.objects(name)? else { continue };
        if offered.is_empty() {
            return Err(invalid("empty-array").word("param", name));
        }
        for tool in offered {
            let function = match (name, tool.text("type")?) {
                ("functions", _) => Some(tool),
                (_, Some("function")) => {
                    Some(tool.within("function")?.ok_or_else(|| missing(&tool.path("function")))?)
                }
                (_, Some("custom")) => tool.within("custom")?,
                (_, Some(other)) => {
                    return Err(wrong_value(&tool.path("type"), other, &["function", "custom"]));
                }
                (_, None) => return Err(missing(&tool.path("type"))),
            };
            let Some(function) = function else { continue };
            let name = function_name(&function)?.to_owned();
            let schema = function.within("parameters")?;
            tools.push(Tool { name, schema: schema.map_or(Value::Null, |it| it.values.clone()) });
        }
    }
    for name in ["tool_choice", "parallel_tool_calls"] {
        if body.given(name).is_some() && body.given("tools").is_none() {
            return Err(only_with(name, "tools", "are"));
        }
    }
    body.flag("parallel_tool_calls")?;
    let (name, choice) = match body.given("tool_choice") {
        Some(choice) => ("tool_choice", Some(choice)),
        None => ("function_call", body.given("function_call")),
    };
    let choice = match choice {
        None => ToolChoice::Auto,
        Some(Value::String(choice)) => match choice.as_str() {
            "auto" => ToolChoice::Auto,
            "none" => ToolChoice::None,
            "required" => ToolChoice::Required,
            other => return Err(wrong_value(name, other, &["none", "auto", "required"])),
        },
        Some(Value::Object(choice)) => match (choice.get("type"), choice.get("mode")) {
            (Some(kind), mode) if kind == "allowed_tools" => match mode.and_then(Value::as_str) {
                Some("required") => ToolChoice::Required,
                _ => ToolChoice::Auto,
            },
            _ => {
                let places = ["function", "custom"].into_iter().filter_map(|it| choice.get(it));
                let names = places.filter_map(|function| function.get("name"));
                let wanted = names.chain(choice.get("name")).find_map(Value::as_str);
                let known: Vec<&str> = tools.iter().map(|tool| tool.name.as_str()).collect();
                match wanted {
                    Some(wanted) if known.contains(&wanted) => ToolChoice::Named(wanted.to_owned()),
                    Some(wanted) => {
                        return Err(wrong_value(&format!("{name}.function.name"), wanted, &known));
                    }
                    None => return Err(missing(&format!("{name}.function"))),
                }
            }
        },
        Some(other) => {
            return Err(wrong_type(name, "one of a string or object", other));
        }
    };
    Ok((tools, choice))
}

/// The form of the text.
fn format(body: &Parameters<'_>) -> Result<Format, Refusal> {
    let Some(format) = body.within("response_format")? else { return Ok(Format::Text) };
    match format.required("type")? {
        "text" => Ok(Format::Text),
        "json_object" => Ok(Format::Json),
        "json_schema" => {
            let schema = format
                .within("json_schema")?
                .ok_or_else(|| missing(&format.path("json_schema")))?;
            function_name(&schema)?;
            let schema = schema.within("schema")?;
            Ok(schema.map_or(Format::Json, |schema| Format::Schema(schema.values.clone())))
        }
        other => {
            Err(wrong_value(&format.path("type"), other, &["json_object", "json_schema", "text"]))
        }
    }
}

fn says_json(message: &Value) -> bool {
    said(message).to_ascii_lowercase().contains("json")
}

/// All that a message says: its content, the tools it calls, and the call it answers.
fn said(message: &Value) -> Cow<'_, str> {
    let mut text = match field(message, "content") {
        Some(Value::String(text)) => Cow::from(text),
        content => content_text(content.unwrap_or(&Value::Null)).into(),
    };
    for key in ["tool_calls", "function_call", "tool_call_id"] {
        if let Some(value) = given(message, key) {
            text.to_mut().push_str(&value.to_string());
        }
    }
    text
}

/// Who says a message.
fn role(message: &Value) -> &str {
    field(message, "role").and_then(Value::as_str).unwrap_or("user")
}

/// What a message has; null is nothing.
fn given<'a>(message: &'a Value, name: &str) -> Option<&'a Value> {
    field(message, name).filter(|value| !value.is_null())
}

/// What a schema for the answer costs: it is rendered into the prompt, and its JSON is a fair
/// estimate of that.
fn schema_tokens(model: &str, body: &Parameters<'_>) -> u64 {
    let format = field(body.values, "response_format");
    let schema = format.and_then(|format| format.pointer("/json_schema/schema"));
    schema.map_or(0, |schema| crate::tokens::Tokenizer::of(model).count(&schema.to_string()))
}
