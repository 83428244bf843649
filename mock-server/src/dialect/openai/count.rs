//! What a request costs: OpenAI's own rules.
//!
//! The rule for plain text was checked on recordings: it is exact for gpt-3.5-turbo, gpt-4,
//! gpt-4o and gpt-4.1. What tools cost is what OpenAI's cookbook says of it:
//! <https://github.com/openai/openai-cookbook/blob/main/examples/How_to_count_tokens_with_tiktoken.ipynb>.

use serde_json::Value;

use super::{Api, reasons};
use crate::{
    dialect::{counted_text, field},
    request::Request,
    tokens::Tokenizer,
};

/// The input of a conversation: 3 + Σ (3 + tokens of the role + tokens of the content).
///
/// Of the families that think first it is one less, and two more for each turn of the assistant.
pub(super) fn conversation<'a>(model: &str, turns: impl Iterator<Item = (&'a str, u64)>) -> u64 {
    let tokenizer = Tokenizer::of(model);
    let reasons = reasons(model);
    let turns = turns.map(|(role, content)| {
        let reread = if reasons && role == "assistant" { 2 } else { 0 };
        content.saturating_add(3 + tokenizer.count(role) + reread)
    });
    let total = turns.fold(3, u64::saturating_add);
    if reasons { total - 1 } else { total }
}

/// What one message of a chat says: its content, its author's name, and the tools it calls.
pub(super) fn message(model: &str, message: &Value) -> u64 {
    let tokenizer = Tokenizer::of(model);
    let content = field(message, "content").unwrap_or(&Value::Null);
    let text = match content {
        Value::String(text) => tokenizer.count(text),
        content => tokenizer.count(&counted_text(content)),
    };
    let mut tokens = text.saturating_add(images(content));
    if let Some(name) = field(message, "name").and_then(Value::as_str) {
        tokens = tokens.saturating_add(1 + tokenizer.count(name));
    }
    let calls = field(message, "tool_calls").and_then(Value::as_array).into_iter().flatten();
    let calls = calls.filter_map(|call| call.get("function"));
    for call in calls.chain(field(message, "function_call")) {
        let part = |name: &str| call.get(name).and_then(Value::as_str).unwrap_or_default();
        let call = tokenizer.count(part("name")) + tokenizer.count(part("arguments"));
        // Each is set apart from the next.
        tokens = tokens.saturating_add(call + 3);
    }
    tokens
}

/// What the tools of a request cost, in any of the forms in which they are offered.
pub(super) fn tools(model: &str, body: &Value) -> u64 {
    let tokenizer = Tokenizer::of(model);
    let lists = ["tools", "functions"].into_iter().filter_map(|name| field(body, name)?.as_array());
    let functions: Vec<&Value> =
        lists.flatten().map(|tool| tool.get("function").unwrap_or(tool)).collect();
    if functions.is_empty() {
        return 0;
    }
    let opening = if tokenizer == Tokenizer::Cl100k { 10 } else { 7 };
    functions
        .iter()
        .map(|function| opening + one_tool(tokenizer, function))
        .fold(12, u64::saturating_add)
}

fn one_tool(tokenizer: Tokenizer, function: &Value) -> u64 {
    let text = |value: &Value, name: &str| {
        let text = value.get(name).and_then(Value::as_str).unwrap_or_default();
        text.strip_suffix('.').unwrap_or(text).to_owned()
    };
    let line = format!("{}:{}", text(function, "name"), text(function, "description"));
    let mut tokens = tokenizer.count(&line);
    let properties = function.pointer("/parameters/properties").and_then(Value::as_object);
    let Some(properties) = properties.filter(|properties| !properties.is_empty()) else {
        return tokens;
    };
    tokens += 3;
    for (name, property) in properties {
        tokens += 3;
        if let Some(values) = property.get("enum").and_then(Value::as_array) {
            let values = values.iter().map(|value| {
                let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                3 + tokenizer.count(&text)
            });
            tokens = values.fold(tokens.saturating_sub(3), u64::saturating_add);
        }
        let line = format!("{name}:{}:{}", text(property, "type"), text(property, "description"));
        tokens = tokens.saturating_add(tokenizer.count(&line));
    }
    tokens
}

/// What the images of a content cost: 85 tokens at low detail, else what a picture of 1024 × 1024
/// does, for nobody fetches it to see how large it is
/// (<https://platform.openai.com/docs/guides/images-vision>).
pub(super) fn images(content: &Value) -> u64 {
    let parts = content.as_array().into_iter().flatten();
    let images = parts.filter_map(|part| match part.get("type").and_then(Value::as_str) {
        Some("image_url") => Some(part.pointer("/image_url/detail")),
        Some("input_image") => Some(part.get("detail")),
        _ => None,
    });
    images
        .map(|detail| if detail.and_then(Value::as_str) == Some("low") { 85 } else { 765 })
        .fold(0, u64::saturating_add)
}

/// The tokens of each prompt of a completion, or of each input of an embedding: texts are counted,
/// tokens are there already.
pub(super) fn prompts(model: &str, prompt: &Value) -> Vec<u64> {
    let tokenizer = Tokenizer::of(model);
    let length = |list: &Vec<Value>| u64::try_from(list.len()).unwrap_or(u64::MAX);
    match prompt {
        Value::String(text) => vec![tokenizer.count(text)],
        Value::Array(items) if items.iter().all(Value::is_number) => vec![length(items)],
        Value::Array(items) => items
            .iter()
            .map(|item| match item {
                Value::String(text) => tokenizer.count(text),
                Value::Array(tokens) => length(tokens),
                _ => 0,
            })
            .collect(),
        _ => Vec::new(),
    }
}

/// The tokens of the longest prompt or input, which is what must fit; of everything else, of all
/// of it.
pub(in crate::dialect) fn longest(request: &Request) -> u64 {
    let prompt = match Api::of(request.route) {
        Api::Completions => "prompt",
        Api::Embeddings => "input",
        Api::Chat | Api::Models | Api::Responses => return request.input_tokens,
    };
    let prompt = request.body.get(prompt).unwrap_or(&Value::Null);
    prompts(&request.model, prompt).into_iter().max().unwrap_or(request.input_tokens)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Of a recording in which two tools without arguments are offered.
    #[test]
    fn tools_cost_what_the_cookbook_says() {
        let tool = |name: &str, description: &str| {
            json!({ "type": "function", "function": {
                "name": name, "description": description,
                "parameters": { "type": "object", "properties": {
                    "location": { "type": "string", "description": "The city and state, e.g. San Francisco, CA" },
                    "unit": { "type": "string", "description": "The unit of temperature to return", "enum": ["celsius", "fahrenheit"] },
                }},
            }})
        };
        // The cookbook's own example, which it checks against the API: 101 tokens with gpt-4o.
        let body = json!({ "tools": [tool("get_current_weather", "Get the current weather in a given location")] });
        let messages = [
            json!({ "role": "system", "content": "You are a helpful assistant that can answer to questions about the weather." }),
            json!({ "role": "user", "content": "What's the weather like in San Francisco?" }),
        ];
        for (model, expected) in
            [("gpt-4o", 101), ("gpt-4o-mini", 101), ("gpt-4", 105), ("gpt-3.5-turbo", 105)]
        {
            let turns =
                messages.iter().map(|turn| (turn["role"].as_str().unwrap(), message(model, turn)));
            let counted = conversation(model, turns) + tools(model, &body);
            assert_eq!(counted, expected, "{model}");
        }
    }

    #[test]
    fn models_that_think_reread_what_they_said() {
        let turns = [("user", 1), ("assistant", 2), ("user", 3)];
        assert_eq!(conversation("gpt-4o", turns.into_iter()), 3 + 4 + 1 + 4 + 2 + 4 + 3);
        assert_eq!(conversation("gpt-5", turns.into_iter()), 3 + 4 + 1 + 4 + 2 + 4 + 3 + 2 - 1);
    }
}
