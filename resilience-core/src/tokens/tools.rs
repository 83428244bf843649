//! What the tools of a request cost.

use serde_json::Value;

use super::TokenCounter;
use crate::message::ToolSchema;

/// A provider's rule for the tools that a request offers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ToolRule {
    /// As OpenAI rewrites functions for its models: found out from outside by its [cookbook](https://github.com/openai/openai-cookbook/blob/main/examples/How_to_count_tokens_with_tiktoken.ipynb), right for flat schemas.
    Functions {
        /// For each function.
        per_function: u64,
    },
    /// The text of the JSON: an estimate, for want of a published rule.
    Json {
        /// Once for a request that has tools.
        per_request: u64,
        /// For each tool.
        per_tool: u64,
    },
}

impl ToolRule {
    /// The tokens of all tools together; nothing without tools.
    pub fn tokens(self, tools: &[ToolSchema], counter: &dyn TokenCounter) -> u64 {
        if tools.is_empty() {
            return 0;
        }
        match self {
            Self::Functions { per_function } => tools
                .iter()
                .map(|tool| function(tool, counter).saturating_add(per_function))
                .fold(FUNCTIONS_END, u64::saturating_add),
            Self::Json { per_request, per_tool } => tools
                .iter()
                .map(|tool| {
                    [&tool.name, &tool.description, &tool.parameters.to_string()]
                        .map(|text| counter.count(text))
                        .into_iter()
                        .fold(per_tool, u64::saturating_add)
                })
                .fold(per_request, u64::saturating_add),
        }
    }
}

/// One function: its line, and a line for each of its parameters.
fn function(tool: &ToolSchema, counter: &dyn TokenCounter) -> u64 {
    let head = counter.count(&format!("{}:{}", tool.name, sentence(&tool.description)));
    let Some(Value::Object(properties)) = tool.parameters.get("properties") else {
        // Not the schema of an object, so the published rule has nothing to say.
        let schema = tool.parameters.as_object().is_none_or(|schema| !schema.is_empty());
        let rest = if schema { counter.count(&tool.parameters.to_string()) } else { 0 };
        return head.saturating_add(rest);
    };
    if properties.is_empty() {
        return head;
    }
    properties
        .iter()
        .map(|(name, property)| self::property(name, property, counter))
        .fold(head.saturating_add(PROPERTIES_BEGIN), u64::saturating_add)
}

fn property(name: &str, property: &Value, counter: &dyn TokenCounter) -> u64 {
    let text = |key| property.get(key).and_then(Value::as_str).unwrap_or_default();
    let line = format!("{name}:{}:{}", text("type"), sentence(text("description")));
    let mut tokens = counter.count(&line).saturating_add(PER_PROPERTY);
    if let Some(Value::Array(items)) = property.get("enum") {
        // The begin of a list replaces as much of the line, so that it counts negative.
        tokens = tokens.saturating_sub(PER_ITEM);
        for item in items {
            let tokens_of = match item {
                Value::String(item) => counter.count(item),
                item => counter.count(&item.to_string()),
            };
            tokens = tokens.saturating_add(PER_ITEM).saturating_add(tokens_of);
        }
    }
    // The rule knows no nesting: what lies deeper counts as the JSON that it is.
    for key in ["items", "properties", "anyOf", "oneOf", "allOf"] {
        if let Some(nested) = property.get(key) {
            tokens = tokens.saturating_add(counter.count(&nested.to_string()));
        }
    }
    tokens
}

fn sentence(text: &str) -> &str {
    text.strip_suffix('.').unwrap_or(text)
}

const FUNCTIONS_END: u64 = 12;
const PROPERTIES_BEGIN: u64 = 3;
const PER_PROPERTY: u64 = 3;
const PER_ITEM: u64 = 3;
