//! Wording a healthy chat answer, in both versions.

use bytes::Bytes;
use serde_json::{Value, json};

use super::{application_headers, read::Template};
use crate::{
    answer::{Answer, Choice, Finish, Text, ToolCall},
    dialect::{Event, Exchange, Reply, ReplyBody, Script, script::Wording},
    plan::Route,
    tokens::Tokenizer,
};

/// The answer, whole or as a stream.
pub(super) fn reply(exchange: &Exchange<'_>, answer: &Answer) -> Reply {
    let nothing =
        Choice { text: Text::default(), calls: Vec::new(), finish: Finish::Stop, output_tokens: 0 };
    // Cohere writes one answer.
    let choice = answer.choices.first().unwrap_or(&nothing);
    let template = Template::of(&exchange.request.body);
    let plan = plan(answer, choice);
    let written = Written { exchange, answer, choice, plan, template };
    let is_first = exchange.request.route == Route::CohereChatV1;
    let (content_type, body) = match (exchange.request.streaming, is_first) {
        (false, false) => ("application/json", whole(&written.whole())),
        (false, true) => ("application/json", whole(&written.first_whole())),
        (true, false) => ("text/event-stream", ReplyBody::Stream(written.stream())),
        (true, true) => ("application/stream+json", ReplyBody::Stream(written.first_stream())),
    };
    let mut headers = application_headers(exchange, content_type);
    if !exchange.request.streaming {
        let input = exchange.request.input_tokens;
        // A token is about four characters, as wherever no tokenizer is public.
        let chars = written.template.chars.saturating_add(input.saturating_mul(4));
        headers.push(("num-chars", chars.to_string().into()));
        headers
            .push(("num-tokens", input.saturating_add(written.output_tokens()).to_string().into()));
    }
    Reply { status: 200, headers, body }
}

fn whole(body: &Value) -> ReplyBody {
    ReplyBody::Whole(Bytes::from(body.to_string()))
}

/// The answer that an exchange gets.
struct Written<'a> {
    exchange: &'a Exchange<'a>,
    answer: &'a Answer,
    choice: &'a Choice,
    /// What is said before a tool's call, if the answer itself says nothing.
    plan: Text,
    template: Template,
}

impl Written<'_> {
    /// What is said.
    fn text(&self) -> &Text {
        if self.plan.is_empty() { &self.choice.text } else { &self.plan }
    }

    fn output_tokens(&self) -> u64 {
        let plan = Tokenizer::of(&self.exchange.request.model).count(&self.plan);
        self.answer.output_tokens().saturating_add(plan)
    }

    fn whole(&self) -> Value {
        let (text, calls) = (self.text(), &self.choice.calls);
        let mut message = json!({ "role": "assistant" });
        // Recorded: what is said before a tool's call is a plan.
        if !calls.is_empty() && !text.is_empty() {
            message["tool_plan"] = text.as_str().into();
        }
        if !calls.is_empty() {
            let calls = calls.iter().enumerate();
            let calls =
                calls.map(|(index, call)| self.tool_call(index, call, &call.arguments.to_string()));
            message["tool_calls"] = calls.collect();
        }
        let mut content = Vec::new();
        if !self.answer.reasoning.is_empty() {
            content.push(json!({ "type": "thinking", "thinking": self.answer.reasoning.as_str() }));
        }
        if calls.is_empty() {
            content.push(json!({ "type": "text", "text": text.as_str() }));
        }
        if !content.is_empty() {
            message["content"] = content.into();
        }
        json!({
            "id": self.exchange.moment.uuid("answer"),
            "message": message,
            "finish_reason": finish_reason(self.choice),
            "usage": self.usage(),
        })
    }

    fn stream(&self) -> Script {
        let start = json!({
            "id": self.exchange.moment.uuid("answer"),
            "type": "message-start",
            "delta": {
                "message": {
                    "role": "assistant",
                    "content": [],
                    "tool_plan": "",
                    "tool_calls": [],
                    "citations": [],
                },
            },
        });
        let mut script = Script::from([Event::other(event(&start))]);
        let (text, calls) = (self.text(), &self.choice.calls);
        let mut blocks = Vec::new();
        if !self.answer.reasoning.is_empty() {
            blocks.push(("thinking", &self.answer.reasoning));
        }
        if calls.is_empty() {
            blocks.push(("text", text));
        }
        for (index, (kind, said)) in blocks.into_iter().enumerate() {
            let start = json!({ "content": { "type": kind, kind: "" } });
            script.push(Event::other(delta("content-start", index, &start)));
            let part = |piece: &str| json!({ "content": { kind: piece } });
            let wording = Wording::around(|piece| delta("content-delta", index, &part(piece)));
            script.pieces(&wording, said);
            let end = json!({ "type": "content-end", "index": index });
            script.push(Event::other(event(&end)));
        }
        if !calls.is_empty() {
            let wording = Wording::around(|piece| {
                let message = json!({ "tool_plan": piece });
                event(&json!({ "type": "tool-plan-delta", "delta": { "message": message } }))
            });
            script.pieces(&wording, text);
        }
        for (index, call) in calls.iter().enumerate() {
            let start = json!({ "tool_calls": self.tool_call(index, call, "") });
            script.push(Event::other(delta("tool-call-start", index, &start)));
            // Recorded: a tool without arguments has no deltas.
            let is_bare = call.arguments.as_object().is_none_or(serde_json::Map::is_empty);
            for piece in call.pieces().into_iter().filter(|_| !is_bare) {
                let part = json!({ "tool_calls": { "function": { "arguments": piece } } });
                script.push(Event::text(delta("tool-call-delta", index, &part)));
            }
            let end = json!({ "type": "tool-call-end", "index": index });
            script.push(Event::other(event(&end)));
        }
        let end = json!({ "finish_reason": finish_reason(self.choice), "usage": self.usage() });
        script.push(Event::other(event(&json!({ "type": "message-end", "delta": end }))));
        script.push(Event::other("data: [DONE]\n\n"));
        script
    }

    fn first_whole(&self) -> Value {
        let body = &self.exchange.request.body;
        let text = self.text().as_str();
        let calls = self.choice.calls.iter();
        let calls: Vec<Value> =
            calls.map(|call| json!({ "name": call.name, "parameters": call.arguments })).collect();
        let history = body.get("chat_history").and_then(Value::as_array);
        let mut history = history.cloned().unwrap_or_default();
        history.push(json!({ "role": "USER", "message": body.get("message") }));
        let mut turn = json!({ "role": "CHATBOT", "message": text });
        if !calls.is_empty() {
            turn["tool_calls"] = calls.clone().into();
        }
        history.push(turn);
        let moment = &self.exchange.moment;
        let mut whole = json!({
            "response_id": moment.uuid("response"),
            "text": text,
            "generation_id": moment.uuid("answer"),
            "chat_history": history,
            "finish_reason": first_finish_reason(self.choice),
        });
        let mut meta = json!({ "api_version": { "version": "1" } });
        for (key, value) in self.usage().as_object().into_iter().flatten() {
            meta[key] = value.clone();
        }
        whole["meta"] = meta;
        if !calls.is_empty() {
            whole["tool_calls"] = calls.into();
        }
        whole
    }

    fn first_stream(&self) -> Script {
        let id = self.exchange.moment.uuid("answer");
        let start = json!({ "event_type": "stream-start", "generation_id": id });
        let mut script = Script::from([Event::other(line(false, &start))]);
        let chunk = |delta: Value| {
            line(false, &json!({ "event_type": "tool-calls-chunk", "tool_call_delta": delta }))
        };
        let calls = &self.choice.calls;
        let wording = Wording::around(|piece| {
            if calls.is_empty() {
                line(false, &json!({ "event_type": "text-generation", "text": piece }))
            } else {
                chunk(json!({ "text": piece }))
            }
        });
        script.pieces(&wording, self.text());
        for (index, call) in calls.iter().enumerate() {
            script.push(Event::other(chunk(json!({ "name": call.name, "index": index }))));
            for piece in call.pieces() {
                script.push(Event::text(chunk(json!({ "index": index, "parameters": piece }))));
            }
        }
        let response = self.first_whole();
        if !calls.is_empty() {
            let called = json!({
                "event_type": "tool-calls-generation",
                "text": response["text"],
                "tool_calls": response["tool_calls"],
            });
            script.push(Event::other(line(false, &called)));
        }
        let end = json!({
            "event_type": "stream-end",
            "response": response,
            "finish_reason": first_finish_reason(self.choice),
        });
        script.push(Event::other(line(true, &end)));
        script
    }

    fn tool_call(&self, index: usize, call: &ToolCall, arguments: &str) -> Value {
        let letters = b"abcdefghijklmnopqrstuvwxyz0123456789";
        let id = self.exchange.moment.id(&format!("tool {index}"), letters, 12);
        json!({
            "id": format!("{}_{id}", call.name),
            "type": "function",
            "function": { "name": call.name, "arguments": arguments },
        })
    }

    /// What is billed, and what the template around it makes of it.
    fn usage(&self) -> Value {
        let (input, output) = (self.exchange.request.input_tokens, self.output_tokens());
        // Recorded: so many tokens more, for the marks around a text or the form of a call.
        let around = if self.choice.calls.is_empty() { 3 } else { 30 };
        json!({
            "billed_units": { "input_tokens": input, "output_tokens": output },
            "tokens": {
                "input_tokens": input.saturating_add(self.template.tokens),
                "output_tokens": output.saturating_add(around),
            },
            "cached_tokens": self.template.cached,
        })
    }
}

/// What a model says that calls a tool and neither thinks nor speaks first.
///
/// Recorded: a plan that names the tool, such as "I will use the `weather` tool to find …".
fn plan(answer: &Answer, choice: &Choice) -> Text {
    let Some(call) = choice.calls.first() else { return Text::default() };
    if !(answer.reasoning.is_empty() && choice.text.is_empty()) {
        return Text::default();
    }
    format!("I will use the {} tool.", call.name).into()
}

/// One event of a version-2 stream; its name is its type.
pub(super) fn event(data: &Value) -> String {
    let name = data.get("type").and_then(Value::as_str).unwrap_or_default();
    format!("event: {name}\ndata: {data}\n\n")
}

/// One line of a version-1 stream.
pub(super) fn line(is_finished: bool, fields: &Value) -> String {
    let mut line = json!({ "is_finished": is_finished });
    for (key, value) in fields.as_object().into_iter().flatten() {
        line[key] = value.clone();
    }
    format!("{line}\n")
}

/// An event with a part of a message.
fn delta(name: &str, index: usize, message: &Value) -> String {
    event(&json!({ "type": name, "index": index, "delta": { "message": message } }))
}

fn finish_reason(choice: &Choice) -> &'static str {
    match choice.finish {
        Finish::Length => "MAX_TOKENS",
        Finish::Stop => "COMPLETE",
        Finish::StopSequence(_) => "STOP_SEQUENCE",
        Finish::ToolCalls => "TOOL_CALL",
    }
}

/// Version 1 has no reason of its own for the call of a tool.
fn first_finish_reason(choice: &Choice) -> &'static str {
    match choice.finish {
        Finish::ToolCalls => "COMPLETE",
        _ => finish_reason(choice),
    }
}
