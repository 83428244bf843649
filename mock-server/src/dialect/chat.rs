//! What the dialects that took OpenAI's form have in common: messages, tools and choices.

use serde_json::Value;

use super::{bearer, content_text, counted_text};
use crate::{
    action::ErrorKind,
    dialect::{Head, Refusal},
    request::{Conversation, Format, TOOL_CALLS, Tool, ToolChoice, Wishes},
    tokens::Tokenizer,
};

/// The messages without their dialect.
pub(super) fn conversation(messages: &[Value]) -> Conversation {
    Conversation::new(messages.iter().map(|message| (role(message), said(message, content_text))))
}

/// What a request wants of its answer, said as OpenAI's clients say it.
pub(super) fn wishes(body: &Value) -> Wishes {
    let wanted = body.get("n").and_then(Value::as_u64).unwrap_or(1);
    Wishes {
        choices: u32::try_from(wanted.clamp(1, CHOICES_MAX)).unwrap_or(1),
        stops: texts(body.get("stop")),
        tools: tools(body.get("tools")),
        tool_choice: tool_choice(body.get("tool_choice")),
        parallel_tools: body.get("parallel_tool_calls") != Some(&Value::Bool(false)),
        format: format(body.get("response_format")),
        reasons: false,
    }
}

/// The texts of a string or a list of them; empty ones say nothing.
pub(super) fn texts(value: Option<&Value>) -> Vec<String> {
    let texts = match value {
        Some(Value::String(text)) => vec![text.clone()],
        Some(Value::Array(items)) => {
            items.iter().filter_map(Value::as_str).map(str::to_owned).collect()
        }
        _ => Vec::new(),
    };
    texts.into_iter().filter(|text| !text.is_empty()).collect()
}

/// The functions among the tools.
pub(super) fn tools(tools: Option<&Value>) -> Vec<Tool> {
    let tools = tools.and_then(Value::as_array).into_iter().flatten();
    let tools = tools.filter_map(|tool| {
        let function = tool.get("function")?;
        let name = function.get("name")?.as_str()?.to_owned();
        Some(Tool { name, schema: function.get("parameters").cloned().unwrap_or(Value::Null) })
    });
    tools.collect()
}

/// An estimate of the prompt: so many tokens before all of it, so many around each message, and
/// the tools as they stand.
pub(super) fn input_tokens(
    tokenizer: Tokenizer,
    messages: &[Value],
    tools: Option<&Value>,
    (first, each): (u64, u64),
) -> u64 {
    let messages = messages.iter().map(|message| {
        let text = tokenizer.count(&said(message, counted_text));
        each.saturating_add(text)
    });
    let tools = tools.filter(|tools| tools.as_array().is_some_and(|tools| !tools.is_empty()));
    let tools = tools.map_or(0, |tools| tokenizer.count(&tools.to_string()));
    messages.fold(first.saturating_add(tools), u64::saturating_add)
}

/// The key of a request that needs one.
pub(super) fn key(head: &Head<'_>) -> String {
    bearer(head.headers).unwrap_or_default().to_owned()
}

/// Refuses more texts than would be turned into vectors at once: who publishes no number of them
/// refuses such a body by its size.
pub(super) fn few(texts: &[String]) -> Result<(), Refusal> {
    if texts.len() > TEXTS_MAX {
        return Err(Refusal::new(ErrorKind::RequestTooLarge, "body"));
    }
    Ok(())
}

/// The most texts of one request for vectors: OpenAI's limit.
const TEXTS_MAX: usize = 2_048;

/// The most answers beside each other; OpenAI's limit, of the others none is published.
const CHOICES_MAX: u64 = 128;

fn role(message: &Value) -> &str {
    let calls = message.get("tool_calls").and_then(Value::as_array);
    match message.get("role").and_then(Value::as_str) {
        Some("assistant") if calls.is_some_and(|calls| !calls.is_empty()) => TOOL_CALLS,
        Some("function") => "tool",
        Some(role) => role,
        None => "user",
    }
}

/// All that a message says: its content and the tools that it calls.
fn said(message: &Value, content: fn(&Value) -> String) -> String {
    let mut text = content(message.get("content").unwrap_or(&Value::Null));
    let calls = message.get("tool_calls").and_then(Value::as_array).into_iter().flatten();
    for function in calls.filter_map(|call| call.get("function")) {
        let name = function.get("name").and_then(Value::as_str).unwrap_or_default();
        let arguments = match function.get("arguments") {
            Some(Value::String(text)) => text.clone(),
            Some(arguments) => arguments.to_string(),
            None => String::new(),
        };
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(name);
        text.push('\n');
        text.push_str(&arguments);
    }
    text
}

fn tool_choice(choice: Option<&Value>) -> ToolChoice {
    match choice {
        Some(Value::String(word)) => match word.as_str() {
            "any" | "required" => ToolChoice::Required,
            "none" => ToolChoice::None,
            _ => ToolChoice::Auto,
        },
        Some(named) => match named.pointer("/function/name").and_then(Value::as_str) {
            Some(name) => ToolChoice::Named(name.to_owned()),
            None => ToolChoice::Auto,
        },
        None => ToolChoice::Auto,
    }
}

fn format(wanted: Option<&Value>) -> Format {
    let Some(wanted) = wanted else { return Format::Text };
    match wanted.get("type").and_then(Value::as_str) {
        Some("json_object") => Format::Json,
        Some("json_schema") => match wanted.pointer("/json_schema/schema") {
            Some(schema) => Format::Schema(schema.clone()),
            None => Format::Json,
        },
        _ => Format::Text,
    }
}

/// What a dialect makes of an answer that is written by hand, so that it need not be one that
/// anything writes today.
#[cfg(test)]
pub(super) fn rendered(
    dialect: &dyn super::Dialect,
    (method, path): (&str, &str),
    body: &Value,
    answer: &crate::answer::Answer,
) -> String {
    use std::time::Duration;

    use super::{Exchange, Moment, Pace, ReplyBody};
    use crate::{action::Action, engine::Decision, plan::Latency, request::Headers};

    let headers = Headers::from_iter([("authorization", "Bearer test")]);
    let head = Head { method, path, query: "", headers: &headers };
    let route = dialect.route(&head).expect("the path is one of its own");
    let request = dialect.read(route, &head, body.to_string().as_bytes()).expect("it is taken");
    let draws = crate::draw::Draws::new(1);
    let healthy = Action::Answer(crate::action::Answer::default());
    let exchange = Exchange {
        request: &request,
        decision: &Decision::example(&request, &healthy),
        moment: Moment { attempt: 1, draws, wall: Duration::from_secs(1_780_000_000) },
        words: &[],
        pace: Pace::new(Latency::default(), None, draws, 1),
    };
    let bytes = match dialect.answer(&exchange, answer).body {
        ReplyBody::Whole(bytes) => bytes.to_vec(),
        ReplyBody::Stream(script) => script.bytes().to_vec(),
    };
    String::from_utf8(bytes).expect("a body is UTF-8")
}

/// An answer in which everything happens: a thought, a text that was cut, and two calls beside it.
#[cfg(test)]
pub(super) fn everything() -> crate::answer::Answer {
    use serde_json::json;

    use crate::answer::{Answer, Choice, Finish, Text, ToolCall};

    let call = |city: &str| ToolCall {
        name: "get_weather".to_owned(),
        arguments: json!({ "city": city }),
    };
    let text = Choice {
        text: "Hello there".into(),
        calls: Vec::new(),
        finish: Finish::Length,
        output_tokens: 2,
    };
    let calls = Choice {
        text: Text::default(),
        calls: vec![call("Paris"), call("Rome")],
        finish: Finish::ToolCalls,
        output_tokens: 20,
    };
    Answer {
        reasoning: "Just think.".into(),
        reasoning_tokens: 4,
        choices: vec![text, calls],
        mark: None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn wishes_are_read_in_every_form() {
        let named = json!({ "type": "function", "function": { "name": "f" } });
        for (choice, expected) in [
            (json!("auto"), ToolChoice::Auto),
            (json!("any"), ToolChoice::Required),
            (json!("required"), ToolChoice::Required),
            (json!("none"), ToolChoice::None),
            (named, ToolChoice::Named("f".to_owned())),
            (json!(7), ToolChoice::Auto),
        ] {
            assert_eq!(wishes(&json!({ "tool_choice": choice })).tool_choice, expected);
        }
        let schema = json!({ "type": "object" });
        let wanted =
            json!({ "type": "json_schema", "json_schema": { "name": "x", "schema": schema } });
        assert_eq!(
            wishes(&json!({ "response_format": wanted })).format,
            Format::Schema(schema.clone())
        );
        let asked = wishes(&json!({
            "n": 3, "stop": "END", "parallel_tool_calls": false,
            "tools": [{ "type": "function", "function": { "name": "f", "parameters": schema } }],
        }));
        assert_eq!((asked.choices, asked.parallel_tools), (3, false));
        assert_eq!(asked.stops, ["END"]);
        assert_eq!(asked.tools, [Tool { name: "f".to_owned(), schema }]);
        assert_eq!(wishes(&json!({ "n": u64::MAX })).choices, 128);
    }

    #[test]
    fn a_turn_that_calls_tools_is_told_from_one_that_speaks() {
        let call = json!({ "id": "abcdefghi", "function": { "name": "f", "arguments": "{}" } });
        let turns = conversation(&[
            json!({ "role": "user", "content": "hi" }),
            json!({ "role": "assistant", "content": "", "tool_calls": [call] }),
            json!({ "role": "tool", "tool_call_id": "abcdefghi", "content": "sunny" }),
        ]);
        assert_eq!((&*turns.last_user, turns.tool_turns), ("hi", 1));
    }
}
