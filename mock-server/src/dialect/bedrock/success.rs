//! Wording a healthy Converse answer, and the number of a request's tokens.

use bytes::Bytes;
use serde_json::{Value, json};

use super::{Family, frame, headers};
use crate::{
    answer::{Answer, Choice, Finish, ToolCall},
    dialect::{Event, Exchange, Fields, Reply, ReplyBody},
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
    Reasoning { pieces: Vec<String>, signature: String },
    /// What it says.
    Text(Vec<String>),
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

    fn stream(&self, exchange: &Exchange<'_>) -> Vec<Event> {
        let family = Family::of(&exchange.request.model);
        let mut padded = Padded { exchange, index: 0 };
        let start = padded.event("messageStart", |p| json!({ "p": p, "role": "assistant" }));
        let mut events = vec![Event::other(start)];
        for (index, block) in self.blocks.iter().enumerate() {
            if let Block::ToolUse { call, id } = block {
                let tool = json!({ "toolUse": { "name": call.name, "toolUseId": id } });
                events.push(Event::other(padded.event(
                    "contentBlockStart",
                    |p| json!({ "contentBlockIndex": index, "p": p, "start": tool }),
                )));
            }
            for delta in block.deltas(family) {
                events.push(Event::text(padded.event(
                    "contentBlockDelta",
                    |p| json!({ "contentBlockIndex": index, "delta": delta, "p": p }),
                )));
            }
            if let Block::Reasoning { signature, .. } = block {
                let delta = json!({ "reasoningContent": { "signature": signature } });
                events.push(Event::other(padded.event(
                    "contentBlockDelta",
                    |p| json!({ "contentBlockIndex": index, "delta": delta, "p": p }),
                )));
            }
            events.push(Event::other(
                padded.event("contentBlockStop", |p| json!({ "contentBlockIndex": index, "p": p })),
            ));
        }
        events.push(Event::other(
            padded.event("messageStop", |p| json!({ "p": p, "stopReason": self.stop_reason })),
        ));
        events.push(Event::other(padded.event("metadata", |p| {
            let mut body = json!({ "metrics": { "latencyMs": latency_ms(exchange) }, "p": p });
            self.add_trace(&mut body);
            body["usage"] = self.usage(exchange);
            body
        })));
        events
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
            Self::Reasoning { pieces, signature } => json!({
                "reasoningContent": {
                    "reasoningText": { "signature": signature, "text": pieces.concat() },
                },
            }),
            Self::Text(pieces) => json!({ "text": pieces.concat() }),
            Self::ToolUse { call, id } => json!({
                "toolUse": { "input": call.arguments, "name": call.name, "toolUseId": id },
            }),
        }
    }

    /// The block as a stream sends it.
    fn deltas(&self, family: Family) -> Vec<Value> {
        let said = |pieces: &[String], delta: fn(&str) -> Value| {
            pieces.iter().map(|piece| delta(piece)).collect()
        };
        match self {
            Self::Reasoning { pieces, .. } => {
                said(pieces, |piece| json!({ "reasoningContent": { "text": piece } }))
            }
            Self::Text(pieces) => said(pieces, |piece| json!({ "text": piece })),
            Self::ToolUse { call, .. } => {
                // Recorded: Nova sends the input of a tool at once.
                let pieces = match family {
                    Family::Claude => call.pieces(),
                    _ => vec![call.arguments.to_string()],
                };
                said(&pieces, |piece| json!({ "toolUse": { "input": piece } }))
            }
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
        let moment = &self.exchange.moment;
        self.index += 1;
        let draw = moment.draws.draw("padding", Purpose::Padding, moment.attempt, self.index);
        let most = u64::try_from(PADDING.len()).unwrap_or(0);
        let length = usize::try_from(1 + scale(draw, most - 1)).unwrap_or(1);
        frame::event(name, &payload(&PADDING[..length]).to_string())
    }
}

/// What an answer consists of, in the order in which it was written.
fn blocks(exchange: &Exchange<'_>, answer: &Answer) -> Vec<Block> {
    let mut blocks = Vec::new();
    if !answer.reasoning.is_empty() {
        let signature = exchange.moment.alphanumeric("signature", 240);
        blocks.push(Block::Reasoning { pieces: answer.reasoning.clone(), signature });
    }
    // Converse writes one answer.
    let Some(Choice { pieces, calls, .. }) = answer.choices.first() else { return blocks };
    if !pieces.is_empty() || calls.is_empty() {
        blocks.push(Block::Text(pieces.clone()));
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
            pieces: vec!["I ".to_owned(), "look.".to_owned()],
            calls: vec![ToolCall { name: "weather".to_owned(), arguments }],
            finish: Finish::ToolCalls,
            output_tokens: 7,
        };
        let reasoning = vec!["Hm ".to_owned(), "hm.".to_owned()];
        let answer =
            Answer { reasoning, reasoning_tokens: 3, choices: vec![choice], ..Answer::default() };
        reply(&exchange, &answer)
    }

    /// The payloads of a stream, without their padding.
    fn payloads(reply: &Reply) -> Vec<Value> {
        let ReplyBody::Stream(events) = &reply.body else { panic!("it is no stream") };
        let payload = |event: &Event| {
            let start = event.bytes.iter().position(|byte| *byte == b'{').unwrap();
            let json = &event.bytes[start..event.bytes.len() - 4];
            let mut payload: Value = serde_json::from_slice(json).unwrap();
            payload.as_object_mut().unwrap().shift_remove("p");
            payload
        };
        events.iter().map(payload).collect()
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
