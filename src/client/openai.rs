//! Speaking to OpenAI's Chat Completions.

use resilience_core::{Message, Provider, Request, Role, Usage, classify};
use serde_json::{Value, json};

use super::codec::{Codec, Event, Text};

/// Chat Completions.
pub(super) struct Chat;

impl Codec for Chat {
    fn path(&self) -> &'static str {
        "/v1/chat/completions"
    }

    fn headers(&self) -> &'static [(&'static str, &'static str)] {
        &[("authorization", "Bearer sk-brownout-built-in-client")]
    }

    fn body(&self, model: &str, messages: &[Message], request: &Request) -> Value {
        let messages: Vec<Value> = messages
            .iter()
            .map(|message| json!({ "role": role(message.role), "content": message.text }))
            .collect();
        let mut body = json!({ "model": model, "messages": messages });
        if let Some(most) = request.output_max {
            body["max_completion_tokens"] = most.into();
        }
        if request.stream {
            body["stream"] = true.into();
            body["stream_options"] = json!({ "include_usage": true });
        }
        body
    }

    fn answer(&self, body: &Value) -> Option<Text> {
        let text = body.pointer("/choices/0/message/content")?.as_str()?.to_owned();
        Some(Text { text, usage: usage(body) })
    }

    fn event(&self, _: &str, data: &str) -> Event {
        if data == "[DONE]" {
            return Event::End;
        }
        let Ok(chunk) = serde_json::from_str::<Value>(data) else { return Event::Other };
        if chunk.get("error").is_some_and(|error| !error.is_null()) {
            let failure = classify::stream_error(Provider::OpenAi, data.as_bytes());
            return Event::Error(Box::new(failure));
        }
        if let Some(usage) = usage(&chunk) {
            return Event::Usage(usage);
        }
        if chunk.pointer("/choices/0/finish_reason").is_some_and(Value::is_string) {
            return Event::Finished;
        }
        match chunk.pointer("/choices/0/delta/content").and_then(Value::as_str) {
            Some(text) if !text.is_empty() => Event::Text(text.to_owned()),
            _ => Event::Other,
        }
    }
}

fn role(role: Role) -> &'static str {
    match role {
        Role::Assistant => "assistant",
        Role::System => "system",
        Role::Tool => "tool",
        Role::User => "user",
    }
}

fn usage(body: &Value) -> Option<Usage> {
    let tokens = |name| body.pointer(name).and_then(Value::as_u64);
    Some(Usage {
        input: tokens("/usage/prompt_tokens")?,
        output: tokens("/usage/completion_tokens")?,
    })
}
