//! What a provider puts around the texts of a request.

use super::{ImageRule, TokenCounter, ToolRule, bare};
use crate::message::{Message, Part, Role, ToolSchema};
use crate::provider::Provider;

/// What costs tokens beside the texts, in tokens.
///
/// OpenAI's numbers are its [cookbook's](https://github.com/openai/openai-cookbook/blob/main/examples/How_to_count_tokens_with_tiktoken.ipynb), confirmed by recorded usage for plain text; all others are estimates.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Framing {
    /// Each message, its role included.
    pub per_message: u64,
    /// Each message of the model's, beyond that.
    pub per_assistant: u64,
    /// A speaker's name, beside the name itself.
    pub per_name: u64,
    /// Each call of a tool, beside name and arguments.
    pub per_call: u64,
    /// Each request: what begins the answer.
    pub per_request: u64,
    /// Pictures.
    pub images: ImageRule,
    /// The tools that a request offers.
    pub tools: ToolRule,
    /// Whether recorded usage confirms the count of plain text; tools, calls and pictures are estimates all the same.
    pub exact: bool,
}

impl Framing {
    /// The framing of a model.
    pub fn of(provider: Provider, model: &str) -> Self {
        let model = bare(model);
        let images = ImageRule::of(provider, model);
        // Clouds write more before the name: `us.anthropic.claude-…`.
        if provider == Provider::Anthropic || model.contains("claude") {
            // One plain message costs 7 beside its text; tools bring a system prompt of their own.
            let tools = ToolRule::Json { per_request: 346, per_tool: 12 };
            return Self { images, tools, ..Self::default() };
        }
        if model.contains("gemini") {
            return Self { per_message: 0, per_request: 0, images, ..Self::default() };
        }
        let is = |prefixes: &[&str]| prefixes.iter().any(|prefix| model.starts_with(prefix));
        if is(&["o1", "o3", "o4", "gpt-5"]) {
            let tools = ToolRule::Functions { per_function: 7 };
            return Self {
                per_assistant: 2,
                per_request: 2,
                images,
                tools,
                exact: true,
                ..Self::default()
            };
        }
        if is(&["gpt-3.5", "gpt-35", "gpt-4", "chatgpt-"]) {
            let newer = is(&["gpt-4o", "gpt-4.", "chatgpt-"]);
            let tools = ToolRule::Functions { per_function: if newer { 7 } else { 10 } };
            return Self { images, tools, exact: true, ..Self::default() };
        }
        Self { images, ..Self::default() }
    }

    /// What a message costs beside its texts.
    pub(crate) fn around(&self, message: &Message) -> u64 {
        let assistant = if message.role == Role::Assistant { self.per_assistant } else { 0 };
        let name = if message.name.is_some() { self.per_name } else { 0 };
        let calls = message.calls.iter().map(|_| self.per_call);
        let parts = message.parts.iter().map(|part| match *part {
            Part::Image { width, height, detail, .. } => self.images.tokens(width, height, detail),
            Part::Other { tokens, .. } => tokens,
        });
        [self.per_message, assistant, name]
            .into_iter()
            .chain(calls)
            .chain(parts)
            .fold(0, u64::saturating_add)
    }

    /// What a request costs beside its messages.
    pub(crate) fn fixed(&self, tools: &[ToolSchema], counter: &dyn TokenCounter) -> u64 {
        self.per_request.saturating_add(self.tools.tokens(tools, counter))
    }
}

impl Default for Framing {
    /// OpenAI's numbers, as an estimate for whoever has published none.
    fn default() -> Self {
        Self {
            per_message: 4, // Three, and one for the role.
            per_assistant: 0,
            per_name: 1,
            per_call: 8, // About what recorded conversations show.
            per_request: 3,
            images: ImageRule::Flat(1_600),
            tools: ToolRule::Json { per_request: 12, per_tool: 10 },
            exact: false,
        }
    }
}

#[cfg(all(test, feature = "tokens"))]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::tokens::OpenAiTokens;

    fn tokens(model: &str, messages: &[Message], tools: &[ToolSchema]) -> u64 {
        let counter = OpenAiTokens::of_model(model).expect("a model of OpenAI's");
        let framing = Framing::of(Provider::OpenAi, model);
        let messages = messages.iter().map(|message| message.tokens(&counter, &framing));
        messages.fold(framing.fixed(tools, &counter), u64::saturating_add)
    }

    /// The conversations of OpenAI's cookbook, with the usage that its API reported.
    #[test]
    fn the_cookbooks_conversations_come_out() {
        let named = |name, text| Message::system(text).named(name);
        let messages = [
            Message::system(
                "You are a helpful, pattern-following assistant that translates corporate jargon into plain English.",
            ),
            named("example_user", "New synergies will help drive top-line growth."),
            named("example_assistant", "Things working well together will increase revenue."),
            named(
                "example_user",
                "Let's circle back when we have more bandwidth to touch base on opportunities for increased leverage.",
            ),
            named(
                "example_assistant",
                "Let's talk later when we're less busy about how to do better.",
            ),
            Message::user(
                "This late pivot means we don't have time to boil the ocean for the client deliverable.",
            ),
        ];
        for (model, usage) in
            [("gpt-3.5-turbo", 129), ("gpt-4", 129), ("gpt-4o", 124), ("gpt-4o-mini", 124)]
        {
            assert_eq!(tokens(model, &messages, &[]), usage, "{model}");
        }
    }

    #[test]
    fn the_cookbooks_tools_come_out() {
        let messages = [
            Message::system(
                "You are a helpful assistant that can answer to questions about the weather.",
            ),
            Message::user("What's the weather like in San Francisco?"),
        ];
        let tool = ToolSchema {
            name: "get_current_weather".to_owned(),
            description: "Get the current weather in a given location".to_owned(),
            parameters: json!({
                "type": "object",
                "properties": {
                    "location": {
                        "type": "string",
                        "description": "The city and state, e.g. San Francisco, CA",
                    },
                    "unit": {
                        "type": "string",
                        "description": "The unit of temperature to return",
                        "enum": ["celsius", "fahrenheit"],
                    },
                },
                "required": ["location"],
            }),
        };
        let tools = [tool];
        for (model, usage) in
            [("gpt-3.5-turbo", 105), ("gpt-4", 105), ("gpt-4o", 101), ("gpt-4o-mini", 101)]
        {
            assert_eq!(tokens(model, &messages, &tools), usage, "{model}");
        }
    }

    #[test]
    fn a_reasoning_model_counts_its_own_turns_dearer() {
        let counter = OpenAiTokens::O200k;
        let messages = [Message::user("Hi"), Message::assistant("Hi"), Message::user("Hi")];
        let total = |model| {
            let framing = Framing::of(Provider::OpenAi, model);
            assert!(framing.exact);
            messages.iter().map(|message| message.tokens(&counter, &framing)).sum::<u64>()
                + framing.fixed(&[], &counter)
        };
        assert_eq!((total("gpt-4o"), total("gpt-5-mini")), (18, 19));
    }
}
