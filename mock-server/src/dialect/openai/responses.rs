//! Wording an answer of the Responses API: an object, or the events that build it.

mod object;

pub(super) use object::tool_turns;

use std::{collections::BTreeMap, time::Duration};

use serde_json::{Map, Value, json};

use object::{State, object, usage};

use super::{chat, error, pretty, reasons};
use crate::{
    answer::{Answer, Finish, Text, ToolCall},
    dialect::{
        Event, EventKind, Exchange, ReplyBody, Script, case::escaped, script::Wording,
        template::Template,
    },
    tokens::Tokenizer,
};

/// How a stream says that it fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// One event whose fields stand beside its type; SDKs hand it out as any other.
    Flat,
    /// One event with the error as an object, and `response.failed` after it.
    Nested,
    /// `response.failed` alone.
    Silent,
}

/// What a stream says when it fails; the message may have placeholders.
#[derive(Clone, Copy, Debug)]
pub(super) struct Failure {
    pub(super) message: &'static str,
    pub(super) kind: &'static str,
    pub(super) code: Option<&'static str>,
    pub(super) form: Form,
}

/// An item of the output.
enum Item<'a> {
    Call { id: String, call_id: String, call: &'a ToolCall },
    Message { id: String, text: Text, refuses: bool },
    Reasoning { id: String, summary: Text },
}

/// The events of one stream.
struct Stream<'a> {
    exchange: &'a Exchange<'a>,
    script: Script,
    /// The number of the next event.
    number: u64,
    /// How many tokens were told.
    tokens: u64,
}

/// The answer, whole or as a stream.
pub(in crate::dialect) fn body(exchange: &Exchange<'_>, answer: &Answer, model: &str) -> ReplyBody {
    let items = items(exchange, answer, model);
    reply(exchange, answer, &items, model)
}

/// A whole answer, or a stream, in which the model refuses.
pub(super) fn refusal(exchange: &Exchange<'_>) -> ReplyBody {
    let model = exchange.request.model.as_str();
    let text = "I'm sorry, but I can't assist with that request.";
    let item = Item::Message { id: item_id(exchange, "msg", 0), text: text.into(), refuses: true };
    let choice = crate::answer::Choice {
        text: Text::default(),
        calls: Vec::new(),
        finish: Finish::Stop,
        output_tokens: Tokenizer::of(model).count(text),
    };
    let answer = Answer { choices: vec![choice], ..Answer::default() };
    reply(exchange, &answer, &[item], model)
}

/// The end of a stream that fails.
pub(super) fn failed(exchange: &Exchange<'_>, failure: &Failure) -> ReplyBody {
    let model = exchange.request.model.as_str();
    let sent = exchange.words.iter().find(|(name, _)| *name == "events");
    let sent = sent.and_then(|(_, number)| number.parse().ok()).unwrap_or(2);
    let message = error::said(exchange, failure.message);
    let Failure { kind, code, .. } = *failure;
    let nested = || {
        let error = json!({ "type": kind, "code": code, "message": message, "param": null });
        frame("error", &Map::from_iter([("error".to_owned(), error)]), sent)
    };
    let ended = |number| {
        let error = json!({ "code": code, "message": message });
        let state = State { status: "failed", error, ..State::started() };
        let response = object(exchange, &state, model);
        frame("response.failed", &Map::from_iter([("response".to_owned(), response)]), number)
    };
    let text = match failure.form {
        Form::Flat => {
            // Its fields stand in the order of the API's description, the number last.
            let error = json!({ "type": "error", "code": code, "message": message, "param": null, "sequence_number": sent });
            format!("event: error\ndata: {error}\n\n")
        }
        Form::Nested => nested() + &ended(sent + 1),
        Form::Silent => ended(sent),
    };
    ReplyBody::Whole(text.into())
}

fn reply(exchange: &Exchange<'_>, answer: &Answer, items: &[Item<'_>], model: &str) -> ReplyBody {
    let cut = answer.choices.first().is_some_and(|choice| choice.finish == Finish::Length);
    let last = items.len().saturating_sub(1);
    let status = |index: usize| if cut && index == last { "incomplete" } else { "completed" };
    let output = items.iter().enumerate().map(|(index, item)| item.whole(exchange, status(index)));
    let state = State {
        status: if cut { "incomplete" } else { "completed" },
        output: output.collect(),
        usage: usage(exchange, answer, model),
        error: Value::Null,
    };
    if !exchange.request.streaming {
        return pretty(&object(exchange, &state, model), "");
    }
    let mut stream = Stream { exchange, script: Script::default(), number: 0, tokens: 0 };
    for name in ["response.created", "response.in_progress"] {
        stream.say(name, json!({ "response": object(exchange, &State::started(), model) }));
    }
    for (index, item) in items.iter().enumerate() {
        stream.item(index, item, status(index));
    }
    let name = if cut { "response.incomplete" } else { "response.completed" };
    stream.say(name, json!({ "response": object(exchange, &state, model) }));
    ReplyBody::Stream(stream.script)
}

/// The items of an answer: what was thought, what is said, what is called.
fn items<'a>(exchange: &Exchange<'_>, answer: &'a Answer, model: &str) -> Vec<Item<'a>> {
    let mut items = Vec::new();
    if reasons(model) && (answer.reasoning_tokens > 0 || !answer.reasoning.is_empty()) {
        let wanted = exchange.request.body.pointer("/reasoning/summary");
        let shown = wanted.is_some_and(|wanted| !wanted.is_null());
        let summary = if shown { answer.reasoning.clone() } else { Text::default() };
        items.push(Item::Reasoning { id: item_id(exchange, "rs", 0), summary });
    }
    let Some(choice) = answer.choices.first() else { return items };
    if !choice.text.is_empty() || choice.calls.is_empty() {
        let id = item_id(exchange, "msg", items.len());
        items.push(Item::Message { id, text: choice.text.clone(), refuses: false });
    }
    for (index, call) in choice.calls.iter().enumerate() {
        let id = item_id(exchange, "fc", items.len());
        let call_id = exchange.moment.alphanumeric(&format!("call 0 {index}"), 24);
        items.push(Item::Call { id, call_id: format!("call_{call_id}"), call });
    }
    items
}

fn item_id(exchange: &Exchange<'_>, prefix: &str, index: usize) -> String {
    format!("{prefix}_{}", exchange.moment.hex(&format!("item {index}"), 50))
}

impl Item<'_> {
    /// The item as it begins.
    fn empty(&self, exchange: &Exchange<'_>) -> Value {
        match self {
            Self::Call { id, call_id, call } => call_item(id, "in_progress", "", call_id, call),
            Self::Message { id, .. } => message_item(id, "in_progress", &json!([])),
            Self::Reasoning { id, .. } => reasoning_item(exchange, id, &json!([])),
        }
    }

    /// The item as it ends.
    fn whole(&self, exchange: &Exchange<'_>, status: &str) -> Value {
        match self {
            Self::Call { id, call_id, call } => {
                call_item(id, status, &call.arguments.to_string(), call_id, call)
            }
            Self::Message { id, text, refuses } => {
                message_item(id, status, &json!([part(text, *refuses)]))
            }
            Self::Reasoning { id, summary } => {
                let summary =
                    if summary.is_empty() { json!([]) } else { json!([summary_part(summary)]) };
                reasoning_item(exchange, id, &summary)
            }
        }
    }
}

fn call_item(id: &str, status: &str, arguments: &str, call_id: &str, call: &ToolCall) -> Value {
    json!({
        "id": id,
        "type": "function_call",
        "status": status,
        "arguments": arguments,
        "call_id": call_id,
        "name": call.name,
    })
}

fn message_item(id: &str, status: &str, content: &Value) -> Value {
    json!({ "id": id, "type": "message", "status": status, "content": content, "role": "assistant" })
}

/// Thoughts; who keeps them is given them sealed.
fn reasoning_item(exchange: &Exchange<'_>, id: &str, summary: &Value) -> Value {
    let wanted = exchange.request.body.get("include").and_then(Value::as_array);
    let is_sealed =
        wanted.is_some_and(|it| it.iter().any(|it| it == "reasoning.encrypted_content"));
    if is_sealed {
        let sealed = format!("gAAAAAB{}==", exchange.moment.alphanumeric("thoughts", 357));
        return json!({
            "id": id,
            "type": "reasoning",
            "content": [],
            "encrypted_content": sealed,
            "summary": summary,
        });
    }
    json!({ "id": id, "type": "reasoning", "summary": summary })
}

fn part(text: &str, refuses: bool) -> Value {
    if refuses {
        json!({ "type": "refusal", "refusal": text })
    } else {
        json!({ "type": "output_text", "annotations": [], "logprobs": [], "text": text })
    }
}

fn summary_part(text: &str) -> Value {
    json!({ "type": "summary_text", "text": text })
}

impl Stream<'_> {
    /// One event; the fields stand in the order of the alphabet behind its type, its number among
    /// them.
    fn say(&mut self, name: &str, fields: Value) {
        let Value::Object(fields) = fields else { return };
        self.script.push(Event::other(frame(name, &fields, self.number)));
        self.number += 1;
    }

    /// Events with the pieces of a text, padded against those who count their bytes, and the signs
    /// of life between them.
    fn pieces(&mut self, name: &'static str, text: &Text, fields: impl Fn(&str) -> Value) {
        let padded = chat::is_padded(self.exchange).then_some(self.exchange.moment);
        let template = Template::new([["", "x"], ["", "x"], ["0", "1"]], |words| {
            let [piece, padding, number] = words;
            let mut fields = fields(piece);
            if padded.is_some() {
                fields["obfuscation"] = (*padding).into();
            }
            let fields = fields.as_object().expect("the fields are an object");
            frame(name, fields, number.parse().expect("a template's number is one"))
        });
        let wording = Wording::new(move |piece, number, _| {
            let padding = padded.map(|moment| chat::padding(&moment, number));
            let padding = padding.unwrap_or_default();
            template.filled([&escaped(piece), &padding, &number.to_string()])
        });
        for (place, piece) in text.ranges().enumerate() {
            if place > 0 {
                self.silence();
            }
            self.script.piece(&wording, text, piece, self.number);
            self.tokens += 1;
            self.number += 1;
        }
    }

    /// The signs of life before the next token.
    fn silence(&mut self) {
        for _ in 0..self.exchange.pace.beats(self.tokens, KEEPALIVE) {
            let bytes = frame("keepalive", &Map::new(), self.number).into();
            self.script.push(Event { bytes, kind: EventKind::Beat(KEEPALIVE) });
            self.number += 1;
        }
    }

    fn item(&mut self, index: usize, item: &Item<'_>, status: &str) {
        let says = match item {
            Item::Reasoning { summary, .. } => !summary.is_empty(),
            Item::Call { .. } | Item::Message { .. } => true,
        };
        if says {
            self.silence();
        }
        let added = json!({ "item": item.empty(self.exchange), "output_index": index });
        self.say("response.output_item.added", added);
        match item {
            Item::Call { id, call, .. } => self.call(index, id, call),
            Item::Message { id, text, refuses } => self.message(index, id, text, *refuses),
            Item::Reasoning { summary, .. } if summary.is_empty() => {}
            Item::Reasoning { id, summary } => self.summary(index, id, summary),
        }
        let whole = json!({ "item": item.whole(self.exchange, status), "output_index": index });
        self.say("response.output_item.done", whole);
    }

    fn call(&mut self, index: usize, id: &str, call: &ToolCall) {
        for (place, piece) in call.pieces().into_iter().enumerate() {
            if place > 0 {
                self.silence();
            }
            let mut fields = json!({ "delta": piece, "item_id": id, "output_index": index });
            if chat::is_padded(self.exchange) {
                fields["obfuscation"] = chat::padding(&self.exchange.moment, self.number).into();
            }
            let fields = fields.as_object().expect("the fields are an object");
            let name = "response.function_call_arguments.delta";
            self.script.push(Event::text(frame(name, fields, self.number)));
            self.tokens += 1;
            self.number += 1;
        }
        let arguments = call.arguments.to_string();
        let done = json!({ "arguments": arguments, "item_id": id, "output_index": index });
        self.say("response.function_call_arguments.done", done);
    }

    fn message(&mut self, index: usize, id: &str, text: &Text, refuses: bool) {
        let at = |more: Value| {
            let mut fields = json!({ "content_index": 0, "item_id": id, "output_index": index });
            if let (Value::Object(more), Some(fields)) = (more, fields.as_object_mut()) {
                fields.extend(more);
            }
            fields
        };
        self.say("response.content_part.added", at(json!({ "part": part("", refuses) })));
        if refuses {
            self.pieces("response.refusal.delta", text, |piece| at(json!({ "delta": piece })));
        } else {
            let fields = |piece: &str| at(json!({ "delta": piece, "logprobs": [] }));
            self.pieces("response.output_text.delta", text, fields);
        }
        if refuses {
            self.say("response.refusal.done", at(json!({ "refusal": text.as_str() })));
        } else {
            let done = at(json!({ "logprobs": [], "text": text.as_str() }));
            self.say("response.output_text.done", done);
        }
        self.say("response.content_part.done", at(json!({ "part": part(text, refuses) })));
    }

    fn summary(&mut self, index: usize, id: &str, text: &Text) {
        let at = |name: &str, value: Value| {
            let mut fields = json!({ "item_id": id, "output_index": index, "summary_index": 0 });
            fields[name] = value;
            fields
        };
        self.say("response.reasoning_summary_part.added", at("part", summary_part("")));
        let name = "response.reasoning_summary_text.delta";
        self.pieces(name, text, |piece| at("delta", piece.into()));
        let done = at("text", text.as_str().into());
        self.say("response.reasoning_summary_text.done", done);
        let done = at("part", summary_part(text));
        self.say("response.reasoning_summary_part.done", done);
    }
}

/// One event as it goes over the wire: its type first, the rest in the order of the alphabet.
fn frame(name: &str, fields: &Map<String, Value>, number: u64) -> String {
    let mut sorted: BTreeMap<&str, Value> =
        fields.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
    sorted.insert("sequence_number", number.into());
    let mut event = Map::from_iter([("type".to_owned(), Value::from(name))]);
    event.extend(sorted.into_iter().map(|(name, value)| (name.to_owned(), value)));
    format!("event: {name}\ndata: {}\n\n", Value::Object(event))
}

/// How long a stream is silent before it gives a sign of life: one came in a silence of 31 s
/// (posit-dev/chatlas, `tests/_vcr`).
const KEEPALIVE: Duration = Duration::from_secs(20);
