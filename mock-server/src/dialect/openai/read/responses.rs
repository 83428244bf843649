//! Understanding a Responses request.

use serde_json::Value;

use super::{Parameters, Understood, function_name, invalid, missing, wrong_type, wrong_value};
use crate::{
    dialect::{
        Refusal, content_text, counted_text,
        openai::{count, reasons},
    },
    request::{Conversation, Format, TOOL_CALLS, Tool, ToolChoice, Wishes},
    tokens::Tokenizer,
};

const KNOWN: &[&str] = &[
    "background",
    "context_management",
    "conversation",
    "include",
    "input",
    "instructions",
    "max_output_tokens",
    "max_tool_calls",
    "metadata",
    "model",
    "moderation",
    "parallel_tool_calls",
    "previous_response_id",
    "prompt",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "reasoning",
    "safety_identifier",
    "service_tier",
    "store",
    "stream",
    "stream_options",
    "temperature",
    "text",
    "tool_choice",
    "tools",
    "top_logprobs",
    "top_p",
    "truncation",
    "user",
];

/// What a chat calls by another name.
const MOVED: &[(&str, &str)] = &[
    ("messages", "input"),
    ("max_tokens", "max_output_tokens"),
    ("max_completion_tokens", "max_output_tokens"),
    ("response_format", "text.format"),
    ("reasoning_effort", "reasoning.effort"),
];

const ROLES: &[&str] = &["assistant", "system", "developer", "user"];

const PARTS: &[&str] = &[
    "input_text",
    "input_image",
    "output_text",
    "refusal",
    "input_file",
    "computer_screenshot",
    "summary_text",
    "input_audio",
];

/// The least output limit that is taken.
const OUTPUT_TOKENS_MIN: u64 = 16;

/// One turn of the input: who speaks, what, and how many tokens that has.
type Turn = (&'static str, String, u64);

/// What a body says; `model` is the one by whose rules it is read.
pub(super) fn read(model: &str, body: &Parameters<'_>) -> Result<Understood, Refusal> {
    if let Some((param, moved)) = MOVED.iter().find(|(name, _)| body.given(name).is_some()) {
        return Err(invalid("moved-parameter").word("param", *param).word("moved", *moved));
    }
    body.only(KNOWN)?;
    let turns = turns(model, body)?;
    let streaming = body.streaming()?;
    let output_tokens_max = body.integer("max_output_tokens", OUTPUT_TOKENS_MIN, u64::MAX)?;
    body.sampling()?;
    body.integer("top_logprobs", 0, 20)?;
    let previous = body.text("previous_response_id")?;
    body.flag("store")?;
    body.choice("truncation", &["auto", "disabled"])?;
    let effort = match body.within("reasoning")? {
        Some(reasoning) => reasoning.text("effort")?,
        None => None,
    };
    let (tools, tool_choice) = tools(body)?;
    let wishes = Wishes {
        tools,
        tool_choice,
        parallel_tools: body.given("parallel_tool_calls").is_none()
            || body.flag("parallel_tool_calls")?,
        format: format(body)?,
        reasons: reasons(model) && effort != Some("none"),
        ..Wishes::default()
    };
    let counted = turns
        .iter()
        .map(|(role, _, tokens)| (if *role == TOOL_CALLS { "assistant" } else { *role }, *tokens));
    let input_tokens = count::conversation(model, counted)
        .saturating_add(count::tools(model, body.values))
        .saturating_add(
            body.values
                .pointer("/text/format/schema")
                .map_or(0, |schema| Tokenizer::of(model).count(&schema.to_string())),
        );
    let is_continued = !turns.iter().any(|(role, ..)| *role == "user");
    let mut conversation = Conversation::new(turns.into_iter().map(|(role, said, _)| (role, said)));
    if let Some(previous) = previous.filter(|_| is_continued) {
        conversation.tool_turns += crate::dialect::openai::responses::tool_turns(previous);
    }
    Ok(Understood { streaming, conversation, input_tokens, output_tokens_max, wishes })
}

/// The turns: the instructions, and a text or a list of items.
fn turns(model: &str, body: &Parameters<'_>) -> Result<Vec<Turn>, Refusal> {
    let tokenizer = Tokenizer::of(model);
    let turn = |role: &'static str, text: &str| (role, text.to_owned(), tokenizer.count(text));
    let mut turns = Vec::new();
    if let Some(instructions) = body.text("instructions")? {
        turns.push(turn("system", instructions));
    }
    let items = match body.given("input") {
        // What is said may be kept by the provider, as a prompt or an earlier answer.
        None => match ["prompt", "previous_response_id", "conversation"]
            .iter()
            .find(|it| body.given(it).is_some())
        {
            Some(_) => return Ok(turns),
            None => return Err(missing("input")),
        },
        Some(Value::String(text)) => {
            turns.push(turn("user", text));
            return Ok(turns);
        }
        Some(Value::Array(_)) => body.objects("input")?.unwrap_or_default(),
        Some(other) => {
            return Err(wrong_type("input", "one of a string or array of input items", other));
        }
    };
    // Calls and outputs belong together, unless the provider keeps what was said before.
    let remembers =
        ["previous_response_id", "conversation"].iter().any(|it| body.given(it).is_some());
    let mut waiting: Vec<&str> = Vec::new();
    for item in &items {
        let kind = item.text("type")?;
        match kind.unwrap_or("message") {
            "message" => turns.push(message(model, item)?),
            "function_call" => {
                waiting.push(item.required("call_id")?);
                let (name, arguments) = (item.required("name")?, item.required("arguments")?);
                let tokens = tokenizer.count(name).saturating_add(tokenizer.count(arguments));
                turns.push((TOOL_CALLS, format!("{name}\n{arguments}"), tokens));
            }
            "function_call_output" => {
                let id = item.required("call_id")?;
                match waiting.iter().position(|call| *call == id) {
                    Some(place) => drop(waiting.remove(place)),
                    None if remembers => {}
                    None => return Err(invalid("output-uncalled").word("id", id)),
                }
                let output = item.given("output").ok_or_else(|| missing(&item.path("output")))?;
                let text = counted_text(output);
                let tokens = tokenizer.count(&text);
                turns.push(("tool", format!("{id}\n{}", content_text(output)), tokens));
            }
            // A model's own thoughts cost nothing once they are thought.
            "reasoning" | "item_reference" => {}
            _ => {
                let text = item.values.to_string();
                turns.push(("assistant", text.clone(), tokenizer.count(&text)));
            }
        }
    }
    match waiting.first() {
        Some(id) => Err(invalid("output-missing").word("id", *id)),
        None => Ok(turns),
    }
}

/// One message.
fn message(model: &str, item: &Parameters<'_>) -> Result<Turn, Refusal> {
    let role = item.required("role")?;
    let Some(role) = ROLES.iter().find(|known| **known == role) else {
        return Err(wrong_value(&item.path("role"), role, ROLES));
    };
    let content = match item.values.get("content") {
        Some(content @ Value::String(_)) => content,
        Some(content @ Value::Array(_)) => {
            for part in item.objects("content")?.unwrap_or_default() {
                let kind = part.required("type")?;
                if !PARTS.contains(&kind) {
                    return Err(wrong_value(&part.path("type"), kind, PARTS));
                }
            }
            content
        }
        None => return Err(missing(&item.path("content"))),
        Some(other) => {
            let path = item.path("content");
            return Err(wrong_type(&path, "one of a string or array of objects", other));
        }
    };
    let tokens = Tokenizer::of(model).count(&counted_text(content));
    Ok((role, content_text(content), tokens.saturating_add(count::images(content))))
}

/// The functions among the tools, and whether one must be called.
fn tools(body: &Parameters<'_>) -> Result<(Vec<Tool>, ToolChoice), Refusal> {
    let mut tools = Vec::new();
    for tool in body.objects("tools")?.unwrap_or_default() {
        // What the provider runs itself, such as a search, is no call of the client's.
        if tool.required("type")? == "function" {
            let name = function_name(&tool)?.to_owned();
            let schema = tool.within("parameters")?;
            tools.push(Tool { name, schema: schema.map_or(Value::Null, |it| it.values.clone()) });
        }
    }
    let choice = match body.given("tool_choice") {
        None => ToolChoice::Auto,
        Some(Value::String(choice)) => match choice.as_str() {
            "auto" => ToolChoice::Auto,
            "none" => ToolChoice::None,
            "required" => ToolChoice::Required,
            other => return Err(wrong_value("tool_choice", other, &["none", "auto", "required"])),
        },
        Some(Value::Object(choice)) => {
            let named = choice.get("name").and_then(Value::as_str);
            match (named, choice.get("mode").and_then(Value::as_str)) {
                (Some(name), _) if tools.iter().any(|tool| tool.name == name) => {
                    ToolChoice::Named(name.to_owned())
                }
                (_, Some("required")) => ToolChoice::Required,
                _ => ToolChoice::Auto,
            }
        }
        Some(other) => {
            return Err(wrong_type("tool_choice", "one of a string or object", other));
        }
    };
    Ok((tools, choice))
}

/// The form of the text.
fn format(body: &Parameters<'_>) -> Result<Format, Refusal> {
    let Some(text) = body.within("text")? else { return Ok(Format::Text) };
    let Some(format) = text.within("format")? else { return Ok(Format::Text) };
    match format.required("type")? {
        "text" => Ok(Format::Text),
        "json_object" => Ok(Format::Json),
        "json_schema" => {
            function_name(&format)?;
            let schema = format.within("schema")?.ok_or_else(|| missing(&format.path("schema")))?;
            Ok(Format::Schema(schema.values.clone()))
        }
        other => {
            Err(wrong_value(&format.path("type"), other, &["json_object", "json_schema", "text"]))
        }
    }
}
