//! Wording a healthy Messages answer.

use std::time::Duration;

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::{healthy_headers, limit_headers};
use crate::{
    answer::{Answer, Choice, Finish, Text, ToolCall},
    dialect::{
        Event, EventKind, Exchange, Fields, Moment, Reply, ReplyBody, Script, case::escaped,
        script::Wording, template::Template,
    },
    draw::{Purpose, scale},
    models,
};

/// The answer, whole or as a stream.
pub(super) fn reply(exchange: &Exchange<'_>, answer: &Answer) -> Reply {
    let body = if exchange.request.streaming {
        ReplyBody::Stream(stream(exchange, answer))
    } else {
        ReplyBody::Whole(Bytes::from(whole(exchange, answer).to_string()))
    };
    Reply { status: 200, headers: headers(exchange), body }
}

/// The tokens of a request that is not answered.
pub(super) fn count(exchange: &Exchange<'_>) -> Reply {
    let headers = healthy_headers(&exchange.moment, "application/json");
    let body = json!({ "input_tokens": exchange.request.input_tokens });
    Reply::whole(200, headers, body.to_string())
}

/// The headers of an answer, whole or as a stream.
pub(super) fn headers(exchange: &Exchange<'_>) -> Fields {
    let moment = &exchange.moment;
    let streaming = exchange.request.streaming;
    let content_type =
        if streaming { "text/event-stream; charset=utf-8" } else { "application/json" };
    let mut headers = healthy_headers(moment, content_type);
    if streaming {
        headers.push(("cache-control", "no-cache".into()));
    }
    headers.extend(limit_headers(&exchange.decision.levels, None, moment));
    headers
}

fn whole(exchange: &Exchange<'_>, answer: &Answer) -> Value {
    let mut content = Vec::new();
    if !answer.reasoning.is_empty() {
        let thinking = answer.reasoning.as_str();
        let signature = signature(exchange);
        content.push(json!({ "type": "thinking", "thinking": thinking, "signature": signature }));
    }
    if let Some(choice) = answer.choices.first() {
        if has_text(choice) {
            content.push(json!({ "type": "text", "text": choice.text.as_str() }));
        }
        for (index, call) in choice.calls.iter().enumerate() {
            content.push(tool_use(exchange, index, call, &call.arguments));
        }
    }
    let [reason, sequence] = stop(answer);
    message(
        exchange,
        &json!(content),
        [reason, sequence, Value::Null],
        [answer.output_tokens(), answer.reasoning_tokens],
    )
}

/// An answer that only calls tools has no text; any other has one, be it empty.
fn has_text(choice: &Choice) -> bool {
    !choice.text.is_empty() || choice.calls.is_empty()
}

fn stream(exchange: &Exchange<'_>, answer: &Answer) -> Script {
    let mut sse = Sse::new(exchange);
    sse.start(1);
    if !answer.reasoning.is_empty() {
        sse.begin(&json!({ "type": "thinking", "thinking": "", "signature": "" }));
        let delta = |piece: &str| json!({ "type": "thinking_delta", "thinking": piece });
        sse.texts(&answer.reasoning, delta);
        let signature = signature(exchange);
        sse.delta(&json!({ "type": "signature_delta", "signature": signature }));
        sse.end();
    }
    if let Some(choice) = answer.choices.first() {
        if has_text(choice) {
            sse.begin(&json!({ "type": "text", "text": "" }));
            sse.texts(&choice.text, |piece| json!({ "type": "text_delta", "text": piece }));
            sse.end();
        }
        for (index, call) in choice.calls.iter().enumerate() {
            sse.begin(&tool_use(exchange, index, call, &json!({})));
            // Recorded: the first fragment is empty, and the only one if there are no arguments.
            let none = call.arguments.as_object().is_some_and(Map::is_empty);
            let first = json!({ "type": "input_json_delta", "partial_json": "" });
            if none {
                sse.text(&first);
            } else {
                sse.delta(&first);
                for piece in call.pieces() {
                    sse.text(&json!({ "type": "input_json_delta", "partial_json": piece }));
                }
            }
            sse.end();
        }
    }
    let [reason, sequence] = stop(answer);
    let tokens = [answer.output_tokens(), answer.reasoning_tokens];
    sse.finish([reason, sequence, Value::Null], tokens);
    sse.script
}

/// The events of one stream, as they are written.
pub(super) struct Sse<'a> {
    exchange: &'a Exchange<'a>,
    /// What is written so far.
    pub(super) script: Script,
    /// The number of the block that is open, or of the next one.
    pub(super) block: usize,
    padded: u64,
    texts: u64,
}

impl<'a> Sse<'a> {
    /// A stream of which nothing is written.
    pub(super) fn new(exchange: &'a Exchange<'a>) -> Self {
        Self { exchange, script: Script::default(), block: 0, padded: 0, texts: 0 }
    }

    /// The beginning of a message, with the tokens that are written when it is sent.
    pub(super) fn start(&mut self, tokens: u64) {
        let nothing = [Value::Null, Value::Null, Value::Null];
        let start = message(self.exchange, &json!([]), nothing, [tokens, 0]);
        self.other("message_start", &json!({ "type": "message_start", "message": start }));
    }

    /// An event that carries nothing of the answer.
    fn other(&mut self, name: &str, data: &Value) {
        let bytes = self.padded(name, data);
        self.script.push(Event::other(bytes));
    }

    /// The beginning of a block.
    fn begin(&mut self, block: &Value) {
        let index = self.block;
        self.other(
            "content_block_start",
            &json!({ "type": "content_block_start", "index": index, "content_block": block }),
        );
        // Recorded: an answer that takes its time has a ping after the beginning of its first
        // block.
        let pace = &self.exchange.pace;
        if index == 0 && pace.gap(0) + pace.gap(1) > Duration::ZERO {
            self.script.push(Event::other(PING));
        }
    }

    /// A part of a block that is a part of the answer, and the pings in the silence before it.
    fn text(&mut self, delta: &Value) {
        self.silence();
        let bytes = self.padded("content_block_delta", &self.fragment(delta));
        self.script.push(Event::text(bytes));
    }

    /// A text as parts of a block, and the pings in the silence before each.
    fn texts(&mut self, text: &Text, delta: impl Fn(&str) -> Value) {
        let template = Template::new([["", "x"]; 2], |[piece, padding]| {
            event("content_block_delta", &self.fragment(&delta(piece)), padding)
        });
        let moment = self.exchange.moment;
        let wording = Wording::new(move |piece, number, _| {
            template.filled([&escaped(piece), padding(&moment, number)])
        });
        for piece in text.ranges() {
            self.silence();
            self.padded += 1;
            self.script.piece(&wording, text, piece, self.padded);
        }
    }

    /// The pings before the next part.
    fn silence(&mut self) {
        for _ in 0..self.exchange.pace.beats(self.texts, PING_EVERY) {
            self.script.push(Event { bytes: PING.into(), kind: EventKind::Beat(PING_EVERY) });
        }
        self.texts += 1;
    }

    /// A part of a block that goes with the one before it.
    fn delta(&mut self, delta: &Value) {
        self.other("content_block_delta", &self.fragment(delta));
    }

    fn fragment(&self, delta: &Value) -> Value {
        json!({ "type": "content_block_delta", "index": self.block, "delta": delta })
    }

    /// The end of a block.
    pub(super) fn end(&mut self) {
        let stop = json!({ "type": "content_block_stop", "index": self.block });
        self.other("content_block_stop", &stop);
        self.block += 1;
    }

    /// Why the message ends, what it cost, and that it is over.
    pub(super) fn finish(&mut self, stop: [Value; 3], tokens: [u64; 2]) {
        let [stop_reason, stop_sequence, stop_details] = stop;
        let usage = usage(self.exchange, tokens, false);
        let end = json!({
            "type": "message_delta",
            "delta": {
                "stop_reason": stop_reason,
                "stop_sequence": stop_sequence,
                "stop_details": stop_details,
            },
            "usage": usage,
        });
        self.other("message_delta", &end);
        self.other("message_stop", &json!({ "type": "message_stop" }));
    }

    /// An event with spaces before its last brace, which hide the length of its text.
    fn padded(&mut self, name: &str, data: &Value) -> String {
        self.padded += 1;
        event(name, data, padding(&self.exchange.moment, self.padded))
    }
}

/// An event with something before its last brace.
fn event(name: &str, data: &Value, padding: &str) -> String {
    let data = data.to_string();
    let data = data.strip_suffix('}').unwrap_or(&data);
    format!("event: {name}\ndata: {data}{padding}}}\n\n")
}

/// The spaces of an event, counted from 1.
fn padding(moment: &Moment, number: u64) -> &'static str {
    const SPACES: &str = "               ";
    let most = u64::try_from(SPACES.len()).unwrap_or(0);
    let draw = moment.draws.draw("padding", Purpose::Padding, moment.attempt, number);
    &SPACES[..usize::try_from(scale(draw, most)).unwrap_or(0)]
}

/// A sign of life, the only event with a space after its colon.
const PING: &str = "event: ping\ndata: {\"type\": \"ping\"}\n\n";

/// How often there is one while nothing else is sent; nobody published it.
const PING_EVERY: Duration = Duration::from_secs(15);

/// A message with its keys in the order of 2026; `stop` is reason, sequence and details, `tokens`
/// those of the output and those that were thought.
pub(super) fn message(
    exchange: &Exchange<'_>,
    content: &Value,
    stop: [Value; 3],
    tokens: [u64; 2],
) -> Value {
    let [stop_reason, stop_sequence, stop_details] = stop;
    json!({
        "model": dated(&exchange.request.model),
        "id": format!("msg_01{}", exchange.moment.base58("message", 22)),
        "type": "message",
        "role": "assistant",
        "content": content,
        "stop_reason": stop_reason,
        "stop_sequence": stop_sequence,
        "stop_details": stop_details,
        "usage": usage(exchange, tokens, true),
    })
}

/// What a message costs; the end of a stream leaves out what its beginning said.
fn usage(exchange: &Exchange<'_>, [output, thought]: [u64; 2], whole: bool) -> Value {
    let mut usage = json!({
        "input_tokens": exchange.request.input_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
    });
    if whole {
        usage["cache_creation"] =
            json!({ "ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0 });
    }
    usage["output_tokens"] = json!(output);
    // Recorded in August 2026: Sonnet 5 tells what it thought, Haiku 4.5 does not.
    let tells = models::facts(&exchange.request.model)
        .is_some_and(|facts| facts.context_window >= 1_000_000);
    if tells {
        usage["output_tokens_details"] = json!({ "thinking_tokens": thought });
    }
    if whole {
        usage["service_tier"] = json!("standard");
        usage["inference_geo"] = json!(if tells { "global" } else { "not_available" });
    }
    usage
}

fn tool_use(exchange: &Exchange<'_>, index: usize, call: &ToolCall, input: &Value) -> Value {
    json!({
        "type": "tool_use",
        "id": format!("toolu_01{}", exchange.moment.base58(&format!("tool {index}"), 22)),
        "name": call.name,
        "input": input,
        "caller": { "type": "direct" },
    })
}

/// What a client gives back with a thought, so that nobody can make one up.
fn signature(exchange: &Exchange<'_>) -> String {
    format!("Eu{}", exchange.moment.alphanumeric("signature", 342))
}

/// Why an answer ends, and at which of the texts it was to end at.
fn stop(answer: &Answer) -> [Value; 2] {
    match answer.choices.first().map(|choice| &choice.finish) {
        Some(Finish::Length) => [json!("max_tokens"), Value::Null],
        Some(Finish::StopSequence(text)) => [json!("stop_sequence"), json!(text)],
        Some(Finish::ToolCalls) => [json!("tool_use"), Value::Null],
        Some(Finish::Stop) | None => [json!("end_turn"), Value::Null],
    }
}

/// The dated name that an answer carries when its alias was asked for.
fn dated(model: &str) -> &str {
    let dated = models::facts(model).and_then(|facts| facts.resolved_model.as_deref());
    dated.filter(|dated| dated.starts_with(model)).unwrap_or(model)
}
