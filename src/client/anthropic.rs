//! Speaking to Anthropic's Messages.

use resilience_core::{Message, Provider, Request, Role, Usage, classify};
use serde_json::{Value, json};

use super::codec::{Codec, Event, Text};

/// Messages.
pub(super) struct Messages;

impl Codec for Messages {
    fn path(&self) -> &'static str {
        "/v1/messages"
    }

    fn headers(&self) -> &'static [(&'static str, &'static str)] {
        &[("x-api-key", "sk-ant-brownout-built-in-client"), ("anthropic-version", "2023-06-01")]
    }

    fn body(&self, model: &str, messages: &[Message], request: &Request) -> Value {
        let system: Vec<&str> = messages
            .iter()
            .filter(|message| message.role == Role::System)
            .map(|message| message.text.as_str())
            .collect();
        let spoken: Vec<Value> = messages
            .iter()
            .filter(|message| message.role != Role::System)
            .map(|message| {
                let role = if message.role == Role::Assistant { "assistant" } else { "user" };
                json!({ "role": role, "content": message.text })
            })
            .collect();
        // The field is required; the API knows no default.
        let most = request.output_max.unwrap_or(1_024);
        let mut body = json!({ "model": model, "max_tokens": most, "messages": spoken });
        if !system.is_empty() {
            body["system"] = system.join("\n").into();
        }
        if request.stream {
            body["stream"] = true.into();
        }
        body
    }

    fn answer(&self, body: &Value) -> Option<Text> {
        let text = body.pointer("/content/0/text")?.as_str()?.to_owned();
        let tokens = |name| body.pointer(name).and_then(Value::as_u64);
        let usage = tokens("/usage/input_tokens").zip(tokens("/usage/output_tokens"));
        Some(Text { text, usage: usage.map(|(input, output)| Usage { input, output }) })
    }

    fn event(&self, name: &str, data: &str) -> Event {
        let data_of = || serde_json::from_str::<Value>(data).unwrap_or_default();
        match name {
            "content_block_delta" => match data_of().pointer("/delta/text").and_then(Value::as_str)
            {
                Some(text) => Event::Text(text.to_owned()),
                None => Event::Other,
            },
            "error" => {
                let failure = classify::stream_error(Provider::Anthropic, data.as_bytes());
                Event::Error(Box::new(failure))
            }
            "message_delta" => {
                let data = data_of();
                let tokens = |name| data.pointer(name).and_then(Value::as_u64);
                match tokens("/usage/input_tokens").zip(tokens("/usage/output_tokens")) {
                    Some((input, output)) => Event::Usage(Usage { input, output }),
                    None => Event::Finished,
                }
            }
            "message_stop" => Event::End,
            _ => Event::Other,
        }
    }
}
