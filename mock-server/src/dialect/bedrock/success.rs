//! Wording a healthy Converse answer, and the number of a request's tokens.

use bytes::Bytes;
use serde_json::{Value, json};

use super::{Family, frame, headers};
use crate::{
    answer::{Answer, Choice, Finish, Text, ToolCall},
    dialect::{
        Event, Exchange, Fields, Moment, Reply, ReplyBody, Script, case::escaped, script::Wording,
        template::Template,
    },
    draw::{Purpose, scale},
    plan::{Route, Service},
};

/// The answer, whole or as a stream.
pub(super) fn reply(exchange: &Exchange<'_>, answer: &Answer) -> Reply {
    let headers = answer_headers(exchange);
    if exchange.request.route.service() == Service::Count {
        let body = json!({ "inputTokens": exchange.request.input_tokens });
        return Reply::whole(200, headers, body.to_string());
    }
    let said = Said {
        blocks: blocks(exchange, answer),
        stop_reason: stop_reason(answer),
        stop_sequence: stop_sequence(exchange, answer),
        output_tokens: answer.output_tokens(),
        trace: None,
    };
    Reply { status: 200, headers, body: said.body(exchange) }
}

/// The headers of an answer, whole or as a stream.
pub(super) fn answer_headers(exchange: &Exchange<'_>) -> Fields {
    let streaming = exchange.request.streaming && exchange.request.route == Route::BedrockConverse;
    let content_type =
        if streaming { "application/vnd.amazon.eventstream" } else { "application/json" };
    headers(&exchange.moment, content_type)
}

/// An assistant's turn with what Bedrock says of it.
pub(super) struct Said {
    /// What it consists of.
    pub(super) blocks: Vec<Block>,
    /// Why it ends.
    pub(super) stop_reason: &'static str,
    /// The text at which it ends, if the request asks for it.
    pub(super) stop_sequence: Option<String>,
    /// Its tokens.
    pub(super) output_tokens: u64,
    /// What a guardrail did.
    pub(super) trace: Option<Value>,
}

/// A part of an assistant's turn.
pub(super) enum Block {
    /// What it thinks.
    Reasoning { text: Text, signature: String },
    /// What it says.
    Text(Text),
    /// A tool that it calls.
    ToolUse { call: ToolCall, id: String },
}

impl Said {
    /// The body of the answer that says it.
    pub(super) fn body(&self, exchange: &Exchange<'_>) -> ReplyBody {
        if exchange.request.streaming {
            ReplyBody::Stream(self.stream(exchange))
        } else {
            ReplyBody::Whole(Bytes::from(self.whole(exchange).to_string()))
        }
    }

    fn whole(&self, exchange: &Exchange<'_>) -> Value {
        let content: Vec<Value> = self.blocks.iter().map(Block::whole).collect();
        let mut body = json!({});
        self.add_response_fields(&mut body);
        body["metrics"] = json!({ "latencyMs": latency_ms(exchange) });
        body["output"] = json!({ "message": { "content": content, "role": "assistant" } });
        body["stopReason"] = self.stop_reason.into();
        self.add_trace(&mut body);
        body["usage"] = self.usage(exchange);
        body
    }

    fn stream(&self, exchange: &Exchange<'_>) -> Script {
        let family = Family::of(&exchange.request.model);
        let mut padded = Padded { exchange, index: 0 };
        let start = padded.event("messageStart", |p| json!({ "p": p, "role": "assistant" }));
        let mut script = Script::from([Event::other(start)]);
        for (index, block) in self.blocks.iter().enumerate() {
            let delta = |delta: Value, p: &str| json!({ "contentBlockIndex": index, "delta": delta, "p": p });
            match block {
                Block::Reasoning { text, .. } => {
                    let thought = |piece: &str| json!({ "reasoningContent": { "text": piece } });
                    padded.texts(&mut script, text, |piece, p| delta(thought(piece), p));
                }
                Block::Text(text) => {
                    let said = |piece: &str| json!({ "text": piece });
                    padded.texts(&mut script, text, |piece, p| delta(said(piece), p));
                }
                Block::ToolUse { call, id } => {
                    let tool = json!({ "toolUse": { "name": call.name, "toolUseId": id } });
                    script.push(Event::other(padded.event(
                        "contentBlockStart",
                        |p| json!({ "contentBlockIndex": index, "p": p, "start": tool }),
                    )));
                    // Recorded: Nova sends the input of a tool at once.
                    let pieces = match family {
                        Family::Claude => call.pieces(),
                        _ => vec![call.arguments.to_string()],
                    };
                    for piece in pieces {
                        let input = json!({ "toolUse": { "input": piece } });
                        let event = padded.event("contentBlockDelta", |p| delta(input, p));
                        script.push(Event::text(event));
                    }
                }
            }
            if let Block::Reasoning { signature, .. } = block {
                let delta = json!({ "reasoningContent": { "signature": signature } });
                script.push(Event::other(padded.event(
                    "contentBlockDelta",
                    |p| json!({ "contentBlockIndex": index, "delta": delta, "p": p }),
                )));
            }
            script.push(Event::other(
                padded.event("contentBlockStop", |p| json!({ "contentBlockIndex": index, "p": p })),
            ));
        }
        script.push(Event::other(
            padded.event("messageStop", |p| json!({ "p": p, "stopReason": self.stop_reason })),
        ));
        script.push(Event::other(padded.event("metadata", |p| {
            let mut body = json!({ "metrics": { "latencyMs": latency_ms(exchange) }, "p": p });
            self.add_trace(&mut body);
            body["usage"] = self.usage(exchange);
            body
        })));
        script
    }

    fn add_response_fields(&self, body: &mut Value) {
        if let Some(stop) = &self.stop_sequence {
            body["additionalModelResponseFields"] = json!({ "stop_sequence": stop });
        }
    }

    fn add_trace(&self, body: &mut Value) {
        if let Some(trace) = &self.trace {
            body["trace"] = trace.clone();
        }
    }

    fn usage(&self, exchange: &Exchange<'_>) -> Value {
        let (input, output) = (exchange.request.input_tokens, self.output_tokens);
        json!({
            "inputTokens": input,
            "outputTokens": output,
            "serverToolUsage": {},
            "totalTokens": input.saturating_add(output),
        })
    }
}

impl Block {
    /// The block of a whole answer.
    fn whole(&self) -> Value {
        match self {
            Self::Reasoning { text, signature } => json!({
                "reasoningContent": {
                    "reasoningText": { "signature": signature, "text": text.as_str() },
                },
            }),
            Self::Text(text) => json!({ "text": text.as_str() }),
            Self::ToolUse { call, id } => json!({
                "toolUse": { "input": call.arguments, "name": call.name, "toolUseId": id },
            }),
        }
    }
}

/// Makes the events of one stream, each padded to hide the length of its text.
struct Padded<'a> {
    exchange: &'a Exchange<'a>,
    index: u64,
}

impl Padded<'_> {
    fn event(&mut self, name: &str, payload: impl FnOnce(&str) -> Value) -> Bytes {
        self.index += 1;
        let padding = padding(&self.exchange.moment, self.index);
        frame::event(name, &payload(padding).to_string())
    }

    /// The events with the pieces of a text.
    fn texts(&mut self, script: &mut Script, text: &Text, payload: impl Fn(&str, &str) -> Value) {
        let template = Template::new([["", "x"]; 2], |[piece, p]| payload(piece, p).to_string());
        let moment = self.exchange.moment;
        let wording = Wording::new(move |piece, number, _| {
            let payload = template.filled([&escaped(piece), padding(&moment, number)]);
            frame::event("contentBlockDelta", &payload)
        });
        for piece in text.ranges() {
            self.index += 1;
            script.piece(&wording, text, piece, self.index);
        }
    }
}

/// The padding of an event, counted from 1.
fn padding(moment: &Moment, number: u64) -> &'static str {
    let draw = moment.draws.draw("padding", Purpose::Padding, moment.attempt, number);
    let most = u64::try_from(PADDING.len()).unwrap_or(0);
    &PADDING[..usize::try_from(1 + scale(draw, most - 1)).unwrap_or(1)]
}

/// What an answer consists of, in the order in which it was written.
fn blocks(exchange: &Exchange<'_>, answer: &Answer) -> Vec<Block> {
    let mut blocks = Vec::new();
    if !answer.reasoning.is_empty() {
        let signature = exchange.moment.alphanumeric("signature", 240);
        blocks.push(Block::Reasoning { text: answer.reasoning.clone(), signature });
    }
    // Converse writes one answer.
    let Some(Choice { text, calls, .. }) = answer.choices.first() else { return blocks };
    if !text.is_empty() || calls.is_empty() {
        blocks.push(Block::Text(text.clone()));
    }
    for (index, call) in calls.iter().enumerate() {
        let id = exchange.moment.alphanumeric(&format!("tool {index}"), 22);
        blocks.push(Block::ToolUse { call: call.clone(), id: format!("tooluse_{id}") });
    }
    blocks
}

fn stop_reason(answer: &Answer) -> &'static str {
    match answer.choices.first().map(|choice| &choice.finish) {
        Some(Finish::Length) => "max_tokens",
        Some(Finish::StopSequence(_)) => "stop_sequence",
        Some(Finish::ToolCalls) => "tool_use",
        Some(Finish::Stop) | None => "end_turn",
    }
}

/// The text at which an answer ends, for a request that wants to see it.
fn stop_sequence(exchange: &Exchange<'_>, answer: &Answer) -> Option<String> {
    let paths = exchange.request.body.get("additionalModelResponseFieldPaths")?.as_array()?;
    let asked = paths.iter().any(|path| path == "/stop_sequence");
    match answer.choices.first().map(|choice| &choice.finish) {
        Some(Finish::StopSequence(stop)) if asked => Some(stop.clone()),
        _ => None,
    }
}

/// How long the model took: at least what the scenario makes its first token take.
fn latency_ms(exchange: &Exchange<'_>) -> u64 {
    let moment = &exchange.moment;
    let draw = moment.draws.draw("processing", Purpose::Id, moment.attempt, 0);
    let first = u64::try_from(exchange.pace.gap(0).as_millis()).unwrap_or(u64::MAX);
    first.saturating_add(300 + scale(draw, 400))
}

/// What padding is cut from.
const PADDING: &str = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        action::{Action, ErrorKind},
        dialect::{Moment, Pace},
        draw::Draws,
        engine::Decision,
        plan::Latency,
        request::{Headers, Request},
    };

    /// An answer that thinks, says something and calls a tool, as one model words it.
    fn worded(model: &str, streaming: bool) -> Reply {
        let request = Request {
            model: model.to_owned(),
            streaming,
            input_tokens: 10,
            ..Request::unknown(Route::BedrockConverse, Headers::default())
        };
        let draws = Draws::new(1);
        let exchange = Exchange {
            request: &request,
            decision: &Decision::example(&request, &Action::example(ErrorKind::ServerError, None)),
            moment: Moment { attempt: 1, draws, wall: Duration::ZERO },
            words: &[],
            pace: Pace::new(Latency::default(), None, draws, 1),
        };
        let arguments = json!({ "city": "Oslo", "days": [1, 2] });
        let choice = Choice {
            text: "I look.".into(),
            calls: vec![ToolCall { name: "weather".to_owned(), arguments }],
            finish: Finish::ToolCalls,
            output_tokens: 7,
        };
        let reasoning = "Hm hm.".into();
        let answer =
            Answer { reasoning, reasoning_tokens: 3, choices: vec![choice], ..Answer::default() };
        reply(&exchange, &answer)
    }

    /// The payloads of a stream, without their padding.
    fn payloads(reply: &Reply) -> Vec<Value> {
        let ReplyBody::Stream(script) = &reply.body else { panic!("it is no stream") };
        let mut script = script.clone();
        let payload = |event: Bytes| {
            let start = event.iter().position(|byte| *byte == b'{').unwrap();
            let json = &event[start..event.len() - 4];
            let mut payload: Value = serde_json::from_slice(json).unwrap();
            payload.as_object_mut().unwrap().shift_remove("p");
            payload
        };
        std::iter::from_fn(|| (!script.is_empty()).then(|| script.next_bytes(Duration::ZERO)))
            .map(payload)
            .collect()
    }

    #[test]
    fn thoughts_texts_and_tools_are_blocks_of_a_message() {
        let ReplyBody::Whole(body) = worded("anthropic.claude", false).body else {
            panic!("it is a stream")
        };
        let body: Value = serde_json::from_slice(&body).unwrap();
        let blocks = &body["output"]["message"]["content"];
        assert_eq!(blocks[0]["reasoningContent"]["reasoningText"]["text"], "Hm hm.");
        assert_eq!(blocks[1], json!({ "text": "I look." }));
        let tool = &blocks[2]["toolUse"];
        assert_eq!(tool["input"], json!({ "city": "Oslo", "days": [1, 2] }));
        let id = tool["toolUseId"].as_str().unwrap();
        assert!(id.starts_with("tooluse_") && id.len() == 30, "{id}");
        assert_eq!(body["stopReason"], "tool_use");
        assert_eq!(
            (&body["usage"]["outputTokens"], &body["usage"]["totalTokens"]),
            (&json!(10), &json!(20))
        );
    }

    #[test]
    fn a_stream_has_the_blocks_of_the_whole_answer() {
        let claude = payloads(&worded("anthropic.claude", true));
        let nova = payloads(&worded("amazon.nova-lite-v1:0", true));
        let delta =
            |index: usize, delta: Value| json!({ "contentBlockIndex": index, "delta": delta });
        assert_eq!(claude[1], delta(0, json!({ "reasoningContent": { "text": "Hm " } })));
        assert!(claude[3]["delta"]["reasoningContent"]["signature"].is_string());
        assert_eq!(
            claude[5..8],
            [
                delta(1, json!({ "text": "I " })),
                delta(1, json!({ "text": "look." })),
                json!({ "contentBlockIndex": 1 }),
            ]
        );
        assert_eq!(claude[8]["start"]["toolUse"]["name"], "weather");
        let input = |payloads: &[Value]| -> Vec<String> {
            let inputs = payloads.iter().map(|payload| &payload["delta"]["toolUse"]["input"]);
            inputs.filter_map(|input| input.as_str().map(str::to_owned)).collect()
        };
        let whole = r#"{"city":"Oslo","days":[1,2]}"#;
        assert!(input(&claude).len() > 1);
        assert_eq!(input(&claude).concat(), whole);
        assert_eq!(input(&nova), [whole]);
        assert_eq!(nova[nova.len() - 2], json!({ "stopReason": "tool_use" }));
    }
}
