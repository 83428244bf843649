//! What stands in Anthropic's messages: the blocks, whose turn they belong to, what they cost.

use serde_json::Value;

use super::read::{Version, invalid};
use crate::{
    dialect::{Refusal, content_text, counted_text},
    request::{TOOL_CALLS, ToolChoice},
    tokens::Tokenizer,
};

/// The turns of a request as (role, text), the system's first, or why they are refused.
pub(super) fn turns(body: &Value, version: Version) -> Result<Vec<(&str, String)>, Refusal> {
    let mut turns = Vec::new();
    if let Some(system) = system(body)? {
        turns.push(("system", content_text(system)));
    }
    let Some(messages) = body.get("messages").and_then(Value::as_array) else {
        return Err(invalid("messages: Input should be a valid list"));
    };
    if messages.is_empty() {
        return Err(invalid("messages: at least one message is required"));
    }
    for (index, message) in messages.iter().enumerate() {
        let last = index + 1 == messages.len();
        let role = role(index, message)?;
        let content = message.get("content").unwrap_or(&Value::Null);
        let role = match content {
            Value::String(text) if text.is_empty() && !(last && role == "assistant") => {
                return Err(empty(index));
            }
            Value::String(_) => role,
            Value::Array(blocks) if blocks.is_empty() && !(last && role == "assistant") => {
                return Err(empty(index));
            }
            Value::Array(blocks) => {
                for (number, block) in blocks.iter().enumerate() {
                    self::block(&format!("messages.{index}.content.{number}"), block)?;
                    placed(index, number, role, block, version)?;
                }
                speaker(role, blocks)
            }
            _ => {
                let message = format!("messages.{index}.content: Input should be a valid list");
                return Err(invalid(&message));
            }
        };
        turns.push((role, content_text(content)));
    }
    answered(messages)?;
    let said = messages.last().filter(|message| kind(message, "role") == "assistant");
    let said = said.and_then(|message| message.get("content")).map(content_text);
    if said.is_some_and(|text| text.ends_with(char::is_whitespace)) {
        return Err(invalid(
            "messages: final assistant content cannot end with trailing whitespace",
        ));
    }
    Ok(turns)
}

/// The tokens of a request: an estimate, since the tokenizer is not public.
///
/// Recorded: a plain question costs 7 more than its text, and tools come with instructions of
/// hundreds. An image costs about 1,600 (documented for one of the largest side).
pub(super) fn input_tokens(model: &str, body: &Value, choice: &ToolChoice) -> u64 {
    let tokenizer = Tokenizer::of(model);
    let count = |content: &Value| tokenizer.count(&counted_text(content));
    let messages = body.get("messages").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let spoken = messages.iter().map(|message| {
        let content = message.get("content").unwrap_or(&Value::Null);
        (3 + count(content)).saturating_add(images(content).saturating_mul(1_600))
    });
    let mut tokens = spoken.fold(4, u64::saturating_add);
    tokens = tokens.saturating_add(body.get("system").map_or(0, count));
    let tools = body.get("tools").filter(|tools| tools.as_array().is_some_and(|t| !t.is_empty()));
    if let Some(tools) = tools {
        // Documented by model, and close to what was recorded of Haiku 4.5.
        let forced = matches!(choice, ToolChoice::Required | ToolChoice::Named(_));
        let instructions = match (model.starts_with("claude-haiku-4-5"), forced) {
            (true, false) => 496,
            (true, true) => 588,
            (false, false) => 346,
            (false, true) => 313,
        };
        tokens = tokens.saturating_add(instructions + tokenizer.count(&tools.to_string()));
    }
    tokens
}

/// The images of a content, those that a tool returned included.
fn images(content: &Value) -> u64 {
    let Some(blocks) = content.as_array() else { return 0 };
    let images = blocks.iter().map(|block| match kind(block, "type") {
        "image" => 1,
        "tool_result" => block.get("content").map_or(0, images),
        _ => 0,
    });
    images.sum()
}

/// The instructions before the messages, if there are any.
fn system(body: &Value) -> Result<Option<&Value>, Refusal> {
    match body.get("system") {
        None | Some(Value::Null) => Ok(None),
        Some(system @ Value::String(_)) => Ok(Some(system)),
        Some(system @ Value::Array(blocks)) => {
            for (index, block) in blocks.iter().enumerate() {
                match (kind(block, "type"), block.get("text")) {
                    ("text", Some(Value::String(text))) if text.is_empty() => {
                        return Err(invalid("system: text content blocks must be non-empty"));
                    }
                    ("text", Some(Value::String(_))) => {}
                    ("text", Some(_)) => {
                        let place = format!("system.{index}.text: Input should be a valid string");
                        return Err(invalid(&place));
                    }
                    ("text", None) => {
                        return Err(invalid(&format!("system.{index}.text: Field required")));
                    }
                    _ if block.get("type").is_none() => {
                        return Err(invalid(&format!("system.{index}.type: Field required")));
                    }
                    _ => {
                        let place = format!("system.{index}.type: Input should be 'text'");
                        return Err(invalid(&place));
                    }
                }
            }
            Ok(Some(system))
        }
        Some(_) => Err(invalid("system: Input should be a valid list")),
    }
}

/// Who speaks in a message.
fn role(index: usize, message: &Value) -> Result<&str, Refusal> {
    if !message.is_object() {
        let message = format!("messages.{index}: Input does not match the expected shape.");
        return Err(invalid(&message));
    }
    for field in ["role", "content"] {
        if message.get(field).is_none_or(Value::is_null) {
            return Err(invalid(&format!("messages.{index}.{field}: Field required")));
        }
    }
    match kind(message, "role") {
        role @ ("user" | "assistant") => Ok(role),
        "system" => Err(invalid(
            "messages: Unexpected role \"system\". The Messages API accepts a top-level `system` \
             parameter, not \"system\" as an input message role.",
        )),
        _ => {
            let message = format!("messages.{index}.role: Input should be 'user' or 'assistant'");
            Err(invalid(&message))
        }
    }
}

/// Checks a block by itself; `path` is its place.
fn block(path: &str, block: &Value) -> Result<(), Refusal> {
    let Some(kind) = block.get("type") else {
        return Err(invalid(&format!("{path}.type: Field required")));
    };
    let known = kind.as_str().and_then(|kind| BLOCKS.iter().find(|(name, _)| *name == kind));
    let Some((kind, fields)) = known else {
        let kind = kind.as_str().map_or_else(|| kind.to_string(), str::to_owned);
        let tags: Vec<String> = BLOCKS.iter().map(|(name, _)| format!("'{name}'")).collect();
        return Err(invalid(&format!(
            "{path}: Input tag '{kind}' found using 'type' does not match any of the expected \
             tags: {}",
            tags.join(", ")
        )));
    };
    for (name, expected) in *fields {
        let message = match (block.get(name), expected) {
            (None | Some(Value::Null), _) => "Field required",
            (Some(Value::String(_)), Type::Text) | (Some(Value::Object(_)), Type::Object) => {
                continue;
            }
            (Some(_), Type::Text) => "Input should be a valid string",
            (Some(_), Type::Object) => "Input should be a valid dictionary",
        };
        return Err(invalid(&format!("{path}.{kind}.{name}: {message}")));
    }
    match *kind {
        "text" if block.get("text").and_then(Value::as_str).is_some_and(str::is_empty) => {
            Err(invalid("messages: text content blocks must be non-empty"))
        }
        "image" => image(path, block.get("source").unwrap_or(&Value::Null)),
        "tool_result" => match block.get("content") {
            Some(Value::Array(blocks)) => {
                let path = format!("{path}.tool_result.content");
                let mut blocks = blocks.iter().enumerate();
                blocks.try_for_each(|(index, block)| self::block(&format!("{path}.{index}"), block))
            }
            _ => Ok(()),
        },
        _ => Ok(()),
    }
}

/// Checks where an image comes from.
fn image(path: &str, source: &Value) -> Result<(), Refusal> {
    let path = format!("{path}.image.source");
    let required = match kind(source, "type") {
        "base64" => ["media_type", "data"].as_slice(),
        "url" => &["url"],
        "file" => &["file_id"],
        "" => return Err(invalid(&format!("{path}.type: Field required"))),
        other => {
            return Err(invalid(&format!(
                "{path}: Input tag '{other}' found using 'type' does not match any of the expected \
                 tags: 'base64', 'file', 'url'"
            )));
        }
    };
    for field in required {
        if source.get(field).and_then(Value::as_str).is_none() {
            let kind = kind(source, "type");
            return Err(invalid(&format!("{path}.{kind}.{field}: Field required")));
        }
    }
    let media = kind(source, "media_type");
    if !media.is_empty() && !["image/jpeg", "image/png", "image/gif", "image/webp"].contains(&media)
    {
        return Err(invalid(&format!(
            "{path}.base64.media_type: Input should be 'image/jpeg', 'image/png', 'image/gif' or \
             'image/webp'"
        )));
    }
    Ok(())
}

/// Checks what version `2026-10-21` forbids in whose turn.
fn placed(
    index: usize,
    number: usize,
    role: &str,
    block: &Value,
    version: Version,
) -> Result<(), Refusal> {
    let path = format!("messages.{index}.content.{number}");
    if version == Version::First {
        return Ok(());
    }
    let cited = block.get("citations").and_then(Value::as_array).is_some_and(|c| !c.is_empty());
    match (role, kind(block, "type")) {
        ("assistant", "document") => Err(invalid(&format!(
            "{path}: `document` blocks are not permitted in assistant messages"
        ))),
        ("user", "text") if cited => {
            Err(invalid(&format!("{path}.text.citations: Extra inputs are not permitted")))
        }
        _ => Ok(()),
    }
}

/// Checks that each call of a tool is answered at once, and that nothing else is.
fn answered(messages: &[Value]) -> Result<(), Refusal> {
    let mut called: Vec<&str> = Vec::new();
    for (index, message) in messages.iter().enumerate() {
        let results = ids(message, "tool_result", "tool_use_id");
        if let Some((number, id)) = results.iter().find(|(_, id)| !called.contains(id)) {
            return Err(invalid(&format!(
                "messages.{index}.content.{number}: unexpected `tool_use_id` found in \
                 `tool_result` blocks: {id}. Each `tool_result` block must have a corresponding \
                 `tool_use` block in the previous message."
            )));
        }
        let open: Vec<&str> = called
            .iter()
            .filter(|id| !results.iter().any(|(_, result)| result == *id))
            .copied()
            .collect();
        if !open.is_empty() {
            return Err(unanswered(index - 1, &open));
        }
        called = ids(message, "tool_use", "id").into_iter().map(|(_, id)| id).collect();
    }
    if called.is_empty() { Ok(()) } else { Err(unanswered(messages.len() - 1, &called)) }
}

fn unanswered(index: usize, ids: &[&str]) -> Refusal {
    invalid(&format!(
        "messages.{index}: `tool_use` ids were found without `tool_result` blocks immediately \
         after: {}. Each `tool_use` block must have a corresponding `tool_result` block in the \
         next message.",
        ids.join(", ")
    ))
}

/// The ids of a message's blocks of one type, with their numbers.
fn ids<'a>(message: &'a Value, wanted: &str, field: &str) -> Vec<(usize, &'a str)> {
    let blocks = message.get("content").and_then(Value::as_array);
    let blocks = blocks.into_iter().flatten().enumerate();
    blocks
        .filter(|(_, block)| kind(block, "type") == wanted)
        .map(|(number, block)| (number, kind(block, field)))
        .collect()
}

/// Who a turn belongs to, whatever its role is called.
fn speaker<'a>(role: &'a str, blocks: &[Value]) -> &'a str {
    let has = |wanted: &str| blocks.iter().any(|block| kind(block, "type") == wanted);
    let only =
        !blocks.is_empty() && blocks.iter().all(|block| kind(block, "type") == "tool_result");
    match role {
        "assistant" if has("tool_use") => TOOL_CALLS,
        "user" if only => "tool",
        role => role,
    }
}

fn empty(index: usize) -> Refusal {
    invalid(&format!(
        "messages.{index}: all messages must have non-empty content except for the optional final \
         assistant message"
    ))
}

/// A text of an object; empty if there is none.
fn kind<'a>(value: &'a Value, field: &str) -> &'a str {
    value.get(field).and_then(Value::as_str).unwrap_or_default()
}

/// What a field of a block holds.
#[derive(Clone, Copy)]
enum Type {
    Object,
    Text,
}

/// The blocks that are known, with the fields that they must have.
static BLOCKS: [(&str, &[(&str, Type)]); 15] = [
    ("bash_code_execution_tool_result", &[("tool_use_id", Type::Text)]),
    ("code_execution_tool_result", &[("tool_use_id", Type::Text)]),
    ("compaction", &[]),
    ("container_upload", &[("file_id", Type::Text)]),
    ("document", &[("source", Type::Object)]),
    ("image", &[("source", Type::Object)]),
    ("redacted_thinking", &[("data", Type::Text)]),
    ("search_result", &[("source", Type::Text)]),
    ("server_tool_use", &[("id", Type::Text), ("name", Type::Text), ("input", Type::Object)]),
    ("text", &[("text", Type::Text)]),
    ("text_editor_code_execution_tool_result", &[("tool_use_id", Type::Text)]),
    ("thinking", &[("signature", Type::Text), ("thinking", Type::Text)]),
    ("tool_result", &[("tool_use_id", Type::Text)]),
    ("tool_use", &[("id", Type::Text), ("name", Type::Text), ("input", Type::Object)]),
    ("web_search_tool_result", &[("tool_use_id", Type::Text)]),
];
