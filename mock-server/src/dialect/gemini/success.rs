//! Wording what Gemini generates.

use std::io;

use bytes::Bytes;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::{JSON, Target, headers, imitation, read};
use crate::{
    answer::{Answer, Choice, Finish, Text, ToolCall},
    dialect::{Event, Exchange, Fields, Reply, ReplyBody, Script, indented, script::Wording},
};

/// The answer, whole or as a stream.
pub(super) fn reply(exchange: &Exchange<'_>, answer: &Answer) -> Reply {
    let body = if exchange.request.streaming {
        ReplyBody::Stream(stream(exchange, answer))
    } else {
        body(exchange, &[whole(exchange, answer)])
    };
    Reply { status: 200, headers: head(exchange), body }
}

/// The tokens of a request that is not answered.
pub(super) fn count(exchange: &Exchange<'_>) -> Reply {
    let request = exchange.request;
    let body = json!({
        "totalTokens": request.input_tokens,
        "promptTokensDetails": modalities(exchange),
    });
    Reply::whole(200, headers(JSON), indented(&body, b"  ") + "\n")
}

/// The headers of an answer, in whatever form it is wanted.
pub(super) fn head(exchange: &Exchange<'_>) -> Fields {
    let request = exchange.request;
    let target = Target::of(&request.headers);
    if request.streaming && target.imitates {
        headers("text/event-stream")
    } else if request.streaming && target.events {
        let mut headers = headers("text/event-stream");
        headers.insert(1, ("content-disposition", "attachment".into()));
        headers
    } else {
        let mut headers = headers(JSON);
        headers.push(("x-gemini-service-tier", "standard".into()));
        headers
    }
}

/// What is said, in the form that is wanted: one object, a list of them, or events.
pub(super) fn body(exchange: &Exchange<'_>, said: &[Value]) -> ReplyBody {
    if let Some(filtered) = imitation::filtered(exchange) {
        return filtered;
    }
    let request = exchange.request;
    let pretty = |value: &Value| indented(value, b"  ") + "\n";
    if !request.streaming {
        return ReplyBody::Whole(Bytes::from(said.iter().map(pretty).collect::<String>()));
    }
    let form = Form::of(exchange);
    let events = (0..).zip(said).map(|(number, value)| Event::text(form.written(value, number)));
    ReplyBody::Stream(events.chain(form.end()).into())
}

/// The form of a stream.
#[derive(Clone, Copy)]
enum Form {
    /// Events.
    Events,
    /// One list, element by element.
    List,
}

impl Form {
    fn of(exchange: &Exchange<'_>) -> Self {
        if Target::of(&exchange.request.headers).events { Self::Events } else { Self::List }
    }

    /// A response, the first of which is number 0.
    fn written(self, value: &Value, number: u64) -> String {
        match self {
            Self::Events => frame(value),
            Self::List => {
                let before = if number == 0 { "[" } else { ",\n" };
                format!("{before}{}\n", indented(value, b"  "))
            }
        }
    }

    /// What comes after the last response.
    fn end(self) -> Option<Event> {
        match self {
            Self::Events => None,
            Self::List => Some(Event::other("]")),
        }
    }
}

fn whole(exchange: &Exchange<'_>, answer: &Answer) -> Value {
    let mut candidates = Vec::new();
    for (index, choice) in answer.choices.iter().enumerate() {
        let mut parts = Vec::new();
        if index == 0 && !answer.reasoning.is_empty() {
            parts.push(json!({ "text": answer.reasoning.as_str(), "thought": true }));
        }
        if !choice.text.is_empty() {
            parts.push(json!({ "text": choice.text.as_str() }));
        }
        let calls = choice.calls.iter().enumerate();
        parts.extend(calls.map(|(number, call)| called(exchange, index, number, call)));
        let mut candidate = candidate(exchange, index, &parts, Some(choice));
        if is_early(&exchange.request.model) {
            candidate["avgLogprobs"] = json!(-0.07);
        }
        candidates.push(candidate);
    }
    response(exchange, answer, &candidates, true)
}

/// An answer about a token at a time; the last piece of each candidate says why it ends.
fn stream(exchange: &Exchange<'_>, answer: &Answer) -> Script {
    let form = Form::of(exchange);
    let mut stream = Stream { exchange, answer, form, script: Script::default(), number: 0 };
    let thought = |piece: &str| json!({ "text": piece, "thought": true });
    let said = |piece: &str| json!({ "text": piece });
    stream.texts(0, &answer.reasoning, usize::MAX, thought);
    for (index, choice) in answer.choices.iter().enumerate() {
        let calls = choice.calls.iter().enumerate();
        let mut calls: Vec<Value> =
            calls.map(|(number, call)| called(exchange, index, number, call)).collect();
        let pieces = choice.text.pieces().count();
        let kept = if calls.is_empty() { pieces.saturating_sub(1) } else { pieces };
        stream.texts(index, &choice.text, kept, said);
        let last = calls.pop().unwrap_or_else(|| said(choice.text.pieces().last().unwrap_or("")));
        for call in calls {
            stream.say(index, call, None);
        }
        stream.say(index, last, Some(choice));
    }
    if let Some(end) = form.end() {
        stream.script.push(end);
    }
    stream.script
}

/// The responses of one stream, as they are written.
struct Stream<'a> {
    exchange: &'a Exchange<'a>,
    answer: &'a Answer,
    form: Form,
    script: Script,
    /// The number of the next response.
    number: u64,
}

impl Stream<'_> {
    /// A part of a candidate; `ends` is the choice whose end it says.
    fn say(&mut self, index: usize, part: Value, ends: Option<&Choice>) {
        let text = self.written(index, part, ends, self.number);
        self.script.push(Event::text(text));
        self.number += 1;
    }

    /// The first pieces of a text, each as a part.
    fn texts(&mut self, index: usize, text: &Text, most: usize, part: impl Fn(&str) -> Value) {
        let wording = Wording::around(|piece| self.written(index, part(piece), None, 1));
        for piece in text.ranges().take(most) {
            if self.number == 0 {
                // The first response begins a list, and is like no other.
                self.say(index, part(&text[piece]), None);
            } else {
                self.script.piece(&wording, text, piece, self.number);
                self.number += 1;
            }
        }
    }

    fn written(&self, index: usize, part: Value, ends: Option<&Choice>, number: u64) -> String {
        let last = ends.is_some() && index + 1 == self.answer.choices.len();
        let candidate = candidate(self.exchange, index, &[part], ends);
        self.form.written(&response(self.exchange, self.answer, &[candidate], last), number)
    }
}

/// One candidate; `ends` is the choice whose end it says.
fn candidate(
    exchange: &Exchange<'_>,
    index: usize,
    parts: &[Value],
    ends: Option<&Choice>,
) -> Value {
    let mut candidate = Map::new();
    candidate.insert("content".to_owned(), json!({ "parts": parts, "role": "model" }));
    if let Some(choice) = ends {
        let reason = if choice.finish == Finish::Length { "MAX_TOKENS" } else { "STOP" };
        candidate.insert("finishReason".to_owned(), json!(reason));
    }
    // Recorded: the first candidate of an early model has no index.
    if index > 0 || !is_early(&exchange.request.model) {
        candidate.insert("index".to_owned(), json!(index));
    }
    if ends.is_some_and(|choice| !choice.calls.is_empty()) && !is_early(&exchange.request.model) {
        let message = "Model generated function call(s).";
        candidate.insert("finishMessage".to_owned(), json!(message));
    }
    Value::Object(candidate)
}

/// A part that calls a function; the first of an answer is signed.
fn called(exchange: &Exchange<'_>, index: usize, number: usize, call: &ToolCall) -> Value {
    let model = &exchange.request.model;
    let mut function = json!({ "name": call.name, "args": call.arguments });
    if model.starts_with("gemini-3") {
        let alphabet = b"abcdefghijklmnopqrstuvwxyz0123456789";
        function["id"] = json!(exchange.moment.id(&format!("call {index} {number}"), alphabet, 8));
    }
    let mut part = json!({ "functionCall": function });
    if number == 0 && !is_early(model) {
        let signature = exchange.moment.alphanumeric(&format!("signature {index}"), 398);
        part["thoughtSignature"] = json!(format!("Ci{signature}"));
    }
    part
}

/// A response: candidates, costs and whose it is.
fn response(exchange: &Exchange<'_>, answer: &Answer, candidates: &[Value], last: bool) -> Value {
    let written = answer.choices.iter().map(|choice| choice.output_tokens);
    let written = written.fold(0, u64::saturating_add);
    let written = last.then_some(written);
    json!({
        "candidates": candidates,
        "usageMetadata": usage(exchange, written, answer.reasoning_tokens),
        "modelVersion": exchange.request.model,
        "responseId": response_id(exchange),
    })
}

/// What a response costs: the whole is the sum of what was read, written and thought.
pub(super) fn usage(exchange: &Exchange<'_>, written: Option<u64>, thought: u64) -> Value {
    let prompt = exchange.request.input_tokens;
    let early = is_early(&exchange.request.model);
    let mut usage = Map::new();
    let mut put = |name: &str, value: Value| {
        usage.insert(name.to_owned(), value);
    };
    put("promptTokenCount", json!(prompt));
    if let Some(written) = written {
        put("candidatesTokenCount", json!(written));
    }
    let total = prompt.saturating_add(written.unwrap_or(0)).saturating_add(thought);
    put("totalTokenCount", json!(total));
    put("promptTokensDetails", modalities(exchange));
    if let (true, Some(written)) = (early, written) {
        put("candidatesTokensDetails", json!([{ "modality": "TEXT", "tokenCount": written }]));
    }
    if thought > 0 {
        put("thoughtsTokenCount", json!(thought));
    }
    if !early {
        put("serviceTier", json!("standard"));
    }
    Value::Object(usage)
}

/// What of the input is text, and what images.
fn modalities(exchange: &Exchange<'_>) -> Value {
    let request = exchange.request;
    let images = read::image_tokens(&request.body);
    let text = request.input_tokens.saturating_sub(images);
    let mut details = vec![json!({ "modality": "TEXT", "tokenCount": text })];
    if images > 0 {
        details.push(json!({ "modality": "IMAGE", "tokenCount": images }));
    }
    json!(details)
}

/// The id of a response.
pub(super) fn response_id(exchange: &Exchange<'_>) -> String {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    exchange.moment.id("response", alphabet, 23)
}

/// Whether a model is from before 2.5: it does not think, and tells other things of its answers.
pub(super) fn is_early(model: &str) -> bool {
    model.starts_with("gemini-1") || model.starts_with("gemini-2.0")
}

/// A value as an event, with Google's line ends.
pub(super) fn frame(value: &Value) -> String {
    let mut bytes = Vec::new();
    let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, OneLine);
    value.serialize(&mut serializer).expect("a JSON value is writable to memory");
    let line = String::from_utf8(bytes).expect("serde_json writes UTF-8");
    format!("data: {line}\r\n\r\n")
}

/// Google's JSON on one line: a space after a colon, none after a comma.
struct OneLine;

impl serde_json::ser::Formatter for OneLine {
    fn begin_object_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b": ")
    }
}
