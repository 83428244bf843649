//! Wording a Chat Completions answer.

mod plain;

use std::{ops::Range, time::Duration};

use serde::Serialize;
use serde_json::{Value, json};

use super::{DONE, dated, flag, framed, pretty, reasons};
use crate::{
    answer::{Answer, Choice, Finish, Text, ToolCall},
    dialect::{
        ALPHANUMERIC, Event, Exchange, Moment, ReplyBody, Script, case::escaped, field,
        script::Wording, template::Template,
    },
    draw::{Purpose, scale},
    request::ToolChoice,
    tokens::Tokenizer,
};

/// A whole answer, its fields in OpenAI's order.
#[derive(Serialize)]
pub(in crate::dialect) struct Completion<'a> {
    id: String,
    object: &'static str,
    created: u64,
    model: String,
    choices: Vec<Whole<'a>>,
    usage: &'a Usage,
    service_tier: &'a str,
    system_fingerprint: Option<&'static str>,
}

/// A whole choice.
#[derive(Serialize)]
struct Whole<'a> {
    index: usize,
    message: Message<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    logprobs: Option<Value>,
    finish_reason: &'static str,
}

/// What a whole choice says.
#[derive(Serialize)]
struct Message<'a> {
    role: &'static str,
    content: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    function_call: Option<Value>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<Value>,
    refusal: Option<&'a str>,
    annotations: [(); 0],
}

/// An event of a streamed answer, its fields in OpenAI's order.
#[derive(Serialize)]
pub(in crate::dialect) struct Chunk<'a> {
    id: &'a str,
    object: &'static str,
    created: u64,
    model: &'a str,
    service_tier: &'a str,
    system_fingerprint: Option<&'static str>,
    choices: Vec<Part>,
    /// Left out unless it is asked for, and then null until the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Counted<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    obfuscation: Option<String>,
}

/// What a stream counts: null until its end.
#[derive(Serialize)]
#[serde(untagged)]
enum Counted<'a> {
    All(&'a Usage),
    NotYet(()),
}

/// A part of a streamed choice.
#[derive(Serialize)]
struct Part {
    index: usize,
    delta: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    logprobs: Option<Value>,
    finish_reason: Option<&'static str>,
}

/// What was read and written.
#[derive(Serialize)]
pub(in crate::dialect) struct Usage {
    prompt_tokens: u64,
    completion_tokens: u64,
    total_tokens: u64,
    prompt_tokens_details: PromptTokens,
    completion_tokens_details: CompletionTokens,
}

/// What of the tokens that were read is counted apart.
#[derive(Serialize)]
struct PromptTokens {
    cached_tokens: u64,
    audio_tokens: u64,
}

/// What of the tokens that were written is counted apart.
#[derive(Serialize)]
#[expect(clippy::struct_field_names, reason = "the names are OpenAI's")]
struct CompletionTokens {
    reasoning_tokens: u64,
    audio_tokens: u64,
    accepted_prediction_tokens: u64,
    rejected_prediction_tokens: u64,
}

/// One choice as it is worded.
#[derive(Default)]
struct Turn<'a> {
    text: Text,
    refusal: &'a str,
    calls: &'a [ToolCall],
    finish: &'static str,
}

/// One piece of a streamed choice.
enum Step {
    /// A piece of the text; it waits to be worded.
    Piece(Range<usize>),
    /// A chunk of its own.
    Said(Said),
}

/// What a chunk says of its choice.
struct Said {
    delta: Value,
    /// The text whose tokens the chunk tells the chances of.
    text: Option<String>,
    finish: Option<&'static str>,
    /// Whether it carries a part of the answer.
    is_text: bool,
}

/// What the chunks of one stream have in common.
struct Stream<'a> {
    id: String,
    created: u64,
    model: String,
    service_tier: &'a str,
    system_fingerprint: Option<&'static str>,
    /// Whether its last chunk tells the usage.
    counts: bool,
    /// Where the padding of its chunks comes from, unless the client wants none.
    padded: Option<Moment>,
}

/// The answer, whole or as a stream.
pub(super) fn body(exchange: &Exchange<'_>, answer: &Answer, model: &str) -> ReplyBody {
    let usage = usage(exchange, answer, model);
    if exchange.request.streaming {
        ReplyBody::Stream(stream(exchange, &turns(exchange, answer), &usage, model))
    } else if let Some(body) = plain::body(exchange, answer, &usage, model) {
        body
    } else {
        pretty(&whole_of(exchange, &turns(exchange, answer), &usage, model), "\n")
    }
}

/// A whole answer, by the model whose rules are those of the request's.
pub(in crate::dialect) fn whole(exchange: &Exchange<'_>, answer: &Answer, model: &str) -> Value {
    let usage = usage(exchange, answer, model);
    json!(whole_of(exchange, &turns(exchange, answer), &usage, model))
}

/// The chunks of a streamed answer, each written when it is due; `write` is told whether a chunk
/// carries a part of the answer.
pub(in crate::dialect) fn chunks(
    exchange: &Exchange<'_>,
    answer: &Answer,
    model: &str,
    write: impl Fn(&Chunk<'_>, bool) -> String,
) -> Script {
    script(exchange, &turns(exchange, answer), &usage(exchange, answer, model), model, write)
}

/// A whole answer, or a stream, in which the model refuses.
pub(super) fn refusal(exchange: &Exchange<'_>) -> ReplyBody {
    let refusal = "I'm very sorry, but I can't assist with that.";
    made(exchange, Turn { refusal, finish: "stop", ..Turn::default() })
}

/// A whole answer, or a stream, of which a filter let nothing through.
pub(in crate::dialect) fn filtered(exchange: &Exchange<'_>) -> ReplyBody {
    made(exchange, Turn { finish: "content_filter", ..Turn::default() })
}

/// The end of a stream that a filter cut.
pub(in crate::dialect) fn filtered_event(exchange: &Exchange<'_>) -> ReplyBody {
    let turn = Turn { finish: "content_filter", ..Turn::default() };
    let model = exchange.request.model.as_str();
    let usage = usage(exchange, &Answer::default(), model);
    let mut events = Vec::new();
    let mut script = stream(exchange, &[turn], &usage, model);
    while let Some(kind) = script.next_kind() {
        events.push(Event { bytes: script.next_bytes(Duration::ZERO), kind });
    }
    let last = events.pop();
    events.drain(..1);
    events.truncate(1);
    events.extend(last);
    ReplyBody::Stream(events.into())
}

fn made(exchange: &Exchange<'_>, turn: Turn<'_>) -> ReplyBody {
    let model = exchange.request.model.as_str();
    let output_tokens = Tokenizer::of(model).count(turn.refusal);
    let choice =
        Choice { text: Text::default(), calls: Vec::new(), finish: Finish::Stop, output_tokens };
    let answer = Answer { choices: vec![choice], ..Answer::default() };
    let usage = usage(exchange, &answer, model);
    if exchange.request.streaming {
        ReplyBody::Stream(stream(exchange, &[turn], &usage, model))
    } else {
        pretty(&whole_of(exchange, &[turn], &usage, model), "\n")
    }
}

fn turns<'a>(exchange: &Exchange<'_>, answer: &'a Answer) -> Vec<Turn<'a>> {
    let turn = |choice: &'a Choice| Turn {
        text: choice.text.clone(),
        refusal: "",
        calls: &choice.calls,
        finish: finish_reason(exchange, &choice.finish),
    };
    answer.choices.iter().map(turn).collect()
}

fn whole_of<'a>(
    exchange: &'a Exchange<'_>,
    turns: &[Turn<'a>],
    usage: &'a Usage,
    model: &str,
) -> Completion<'a> {
    let choices = turns.iter().enumerate().map(|(index, turn)| {
        let text = turn.text.to_string();
        let is_silent =
            turn.text.is_empty() && (!turn.calls.is_empty() || !turn.refusal.is_empty());
        let calls = turn.calls.iter().enumerate();
        let mut calls: Vec<Value> = calls
            .map(|(call, tool)| opened(exchange, (index, call), tool, &tool.arguments.to_string()))
            .collect();
        let mut function_call = None;
        if is_legacy(exchange) {
            function_call = calls.first().map(|call| call["function"].clone());
            calls.clear();
        }
        let said = (!is_silent).then_some(text.as_str());
        let logprobs = logprobs(exchange, model, said);
        let message = Message {
            role: "assistant",
            content: (!is_silent).then_some(text),
            function_call,
            tool_calls: calls,
            refusal: Some(turn.refusal).filter(|refusal| !refusal.is_empty()),
            annotations: [],
        };
        Whole { index, message, logprobs, finish_reason: turn.finish }
    });
    Completion {
        id: id(exchange),
        object: "chat.completion",
        created: exchange.moment.wall.as_secs(),
        model: dated(model),
        choices: choices.collect(),
        usage,
        service_tier: service_tier(exchange),
        system_fingerprint: fingerprint(model),
    }
}

/// The events of a stream, framed, with the one that ends it.
fn stream(exchange: &Exchange<'_>, turns: &[Turn<'_>], usage: &Usage, model: &str) -> Script {
    let mut script = script(exchange, turns, usage, model, |chunk, _| framed(chunk));
    script.push(Event::other(DONE));
    script
}

fn script(
    exchange: &Exchange<'_>,
    turns: &[Turn<'_>],
    usage: &Usage,
    model: &str,
    write: impl Fn(&Chunk<'_>, bool) -> String,
) -> Script {
    let stream = Stream::of(exchange, model);
    let mut script = Script::default();
    let mut number = 0;
    let mut steps: Vec<_> = turns
        .iter()
        .enumerate()
        .map(|(index, turn)| (turn, steps(exchange, index, turn).into_iter(), None))
        .collect();
    let rounds = steps.iter().map(|(_, steps, _)| steps.len()).max().unwrap_or(0);
    // Choices are written side by side, and so they arrive.
    for _ in 0..rounds {
        for (index, (turn, steps, wording)) in steps.iter_mut().enumerate() {
            let Some(step) = steps.next() else { continue };
            number += 1;
            match step {
                Step::Piece(piece) => {
                    let logprobs = || logprobs(exchange, model, None);
                    let wording =
                        wording.get_or_insert_with(|| stream.wording(index, &logprobs, &write));
                    script.piece(wording, &turn.text, piece, number);
                }
                Step::Said(Said { delta, text, finish, is_text }) => {
                    let logprobs = logprobs(exchange, model, text.as_deref());
                    let part = Part { index, delta, logprobs, finish_reason: finish };
                    let text = write(&stream.chunk(vec![part], None, number), is_text);
                    script.push(if is_text { Event::text(text) } else { Event::other(text) });
                }
            }
        }
    }
    if stream.counts {
        let last = stream.chunk(Vec::new(), Some(usage), number + 1);
        script.push(Event::other(write(&last, false)));
    }
    script
}

impl<'a> Stream<'a> {
    fn of(exchange: &'a Exchange<'a>, model: &str) -> Self {
        Self {
            id: id(exchange),
            created: exchange.moment.wall.as_secs(),
            model: dated(model),
            service_tier: service_tier(exchange),
            system_fingerprint: fingerprint(model),
            counts: flag(&exchange.request.body, "/stream_options/include_usage"),
            padded: is_padded(exchange).then_some(exchange.moment),
        }
    }

    /// A chunk with the padding of its number, counted from 1.
    fn chunk<'c>(&'c self, choices: Vec<Part>, usage: Option<&'c Usage>, number: u64) -> Chunk<'c> {
        Chunk {
            id: &self.id,
            object: "chat.completion.chunk",
            created: self.created,
            model: &self.model,
            service_tier: self.service_tier,
            system_fingerprint: self.system_fingerprint,
            choices,
            usage: self.counts.then_some(usage.map_or(Counted::NotYet(()), Counted::All)),
            obfuscation: self.padded.map(|moment| padding(&moment, number)),
        }
    }

    /// How the chunk is worded that carries a piece of a choice's text.
    fn wording(
        &self,
        index: usize,
        logprobs: &dyn Fn() -> Option<Value>,
        write: &impl Fn(&Chunk<'_>, bool) -> String,
    ) -> Wording {
        let template = Template::new([["", "x"]; 2], |[piece, padding]| {
            let delta = json!({ "content": piece });
            let part = Part { index, delta, logprobs: logprobs(), finish_reason: None };
            let padding = self.padded.map(|_| (*padding).to_owned());
            let chunk = Chunk { obfuscation: padding, ..self.chunk(vec![part], None, 0) };
            write(&chunk, true)
        });
        let padded = self.padded;
        Wording::new(move |piece, number, _| {
            let padding = padded.map(|moment| padding(&moment, number)).unwrap_or_default();
            template.filled([&escaped(piece), &padding])
        })
    }
}

/// What a choice says, piece by piece.
fn steps(exchange: &Exchange<'_>, index: usize, turn: &Turn<'_>) -> Vec<Step> {
    let part = |delta: Value, text: Option<&str>| {
        Step::Said(Said { delta, text: text.map(str::to_owned), finish: None, is_text: true })
    };
    let other = |delta: Value| Step::Said(Said { delta, text: None, finish: None, is_text: false });
    let is_silent = turn.text.is_empty() && (!turn.calls.is_empty() || !turn.refusal.is_empty());
    let legacy = is_legacy(exchange);
    let opening = |call: usize, tool: &ToolCall| {
        let mut opened = opened(exchange, (index, call), tool, "");
        if legacy {
            return json!({ "function_call": opened["function"] });
        }
        let fields = opened.as_object_mut().expect("a call is an object");
        fields.shift_insert(0, "index".to_owned(), call.into());
        json!({ "tool_calls": [opened] })
    };
    let mut first =
        json!({ "role": "assistant", "content": if is_silent { Value::Null } else { "".into() } });
    let mut calls = turn.calls.iter().enumerate().peekable();
    let mut steps = Vec::new();
    let fields = first.as_object_mut().expect("a delta is an object");
    if turn.text.is_empty()
        && let Some((call, tool)) = calls.peek()
        && let Value::Object(opened) = opening(*call, tool)
    {
        fields.extend(opened);
    }
    fields.insert("refusal".to_owned(), Value::Null);
    steps.push(other(first));
    if wants_logprobs(exchange) {
        let pieces = turn.text.pieces();
        steps.extend(pieces.map(|piece| part(json!({ "content": piece }), Some(piece))));
    } else {
        steps.extend(turn.text.ranges().map(Step::Piece));
    }
    let words = turn.refusal.split_inclusive(' ');
    steps.extend(words.map(|word| part(json!({ "refusal": word }), None)));
    for (call, tool) in calls {
        if call > 0 || !turn.text.is_empty() {
            steps.push(other(opening(call, tool)));
        }
        steps.extend(tool.pieces().into_iter().map(|piece| {
            let arguments = json!({ "arguments": piece });
            part(
                if legacy {
                    json!({ "function_call": arguments })
                } else {
                    json!({ "tool_calls": [{ "index": call, "function": arguments }] })
                },
                None,
            )
        }));
    }
    let finish = Some(turn.finish);
    steps.push(Step::Said(Said { delta: json!({}), text: None, finish, is_text: false }));
    steps
}

/// The call of a tool, by its place: the choice, and the how-manieth of its calls.
fn opened(
    exchange: &Exchange<'_>,
    (choice, call): (usize, usize),
    tool: &ToolCall,
    arguments: &str,
) -> Value {
    let id = exchange.moment.alphanumeric(&format!("call {choice} {call}"), 24);
    json!({
        "id": format!("call_{id}"),
        "type": "function",
        "function": { "name": tool.name, "arguments": arguments },
    })
}

/// The chances of what a choice says; null if nobody asks for them, and left out by the gpt-5 family.
fn logprobs(exchange: &Exchange<'_>, model: &str, said: Option<&str>) -> Option<Value> {
    match said.filter(|_| wants_logprobs(exchange)) {
        Some(said) => Some(json!({ "content": chances(exchange, model, said), "refusal": null })),
        None => no_logprobs(model),
    }
}

fn wants_logprobs(exchange: &Exchange<'_>) -> bool {
    flag(&exchange.request.body, "/logprobs")
}

fn no_logprobs(model: &str) -> Option<Value> {
    (!model.starts_with("gpt-5")).then_some(Value::Null)
}

/// How likely each token of a text was, with the likeliest others beside it.
fn chances(exchange: &Exchange<'_>, model: &str, said: &str) -> Vec<Value> {
    let most = exchange.request.body.get("top_logprobs").and_then(Value::as_u64).unwrap_or(0);
    let draws = exchange.moment.draws;
    let chance = |index: u64, rank: u64| -> f64 {
        let draw = draws.draw(said, Purpose::Text, index, rank);
        // The likeliest is nearly certain, and each next one is far behind.
        let parts = i32::try_from(scale(draw, 200_000) + rank * 2_000_000).unwrap_or(i32::MAX);
        -f64::from(parts) / 1_000_000.0
    };
    let tokens = Tokenizer::of(model).tokens(said);
    let chances = tokens.iter().zip(0_u64..).map(|(bytes, index)| {
        let others = OTHERS.iter().map(|other| other.as_bytes()).filter(|other| other != bytes);
        let ranked = std::iter::once(bytes.as_slice()).chain(others);
        let top: Vec<Value> =
            ranked.zip(0..most).map(|(bytes, rank)| likely(bytes, chance(index, rank))).collect();
        let mut token = likely(bytes, chance(index, 0));
        token["top_logprobs"] = top.into();
        token
    });
    chances.collect()
}

/// A token with its chance; what is no text by itself is written as bytes.
fn likely(bytes: &[u8], chance: f64) -> Value {
    let token = std::str::from_utf8(bytes).map_or_else(
        |_| bytes.iter().fold("bytes:".to_owned(), |text, byte| format!("{text}\\x{byte:02x}")),
        str::to_owned,
    );
    json!({ "token": token, "logprob": chance, "bytes": bytes })
}

fn finish_reason(exchange: &Exchange<'_>, finish: &Finish) -> &'static str {
    match finish {
        Finish::Length => "length",
        // Who is told which tool to call does not stop for it.
        Finish::ToolCalls
            if matches!(exchange.request.wishes.tool_choice, ToolChoice::Named(_)) =>
        {
            "stop"
        }
        Finish::ToolCalls if is_legacy(exchange) => "function_call",
        Finish::ToolCalls => "tool_calls",
        Finish::Stop | Finish::StopSequence(_) => "stop",
    }
}

/// Whether tools are offered in their old form, as functions.
fn is_legacy(exchange: &Exchange<'_>) -> bool {
    let body = &exchange.request.body;
    field(body, "functions").is_some() && field(body, "tools").is_none()
}

/// What was read and written.
pub(in crate::dialect) fn usage(exchange: &Exchange<'_>, answer: &Answer, model: &str) -> Usage {
    let request = exchange.request;
    let choices = u64::try_from(answer.choices.len()).unwrap_or(1);
    // What a reasoning model spends before its text was recorded as 7 tokens, and none reasoned.
    let opening = if reasons(model) { 7 } else { 0 };
    let written: u64 = answer.choices.iter().map(|choice| choice.output_tokens).sum();
    let thought = thoughts(answer);
    let output = written.saturating_add(thought).saturating_add(opening * choices);
    let most = request.output_tokens_max.map_or(u64::MAX, |most| most.saturating_mul(choices));
    let output = output.min(most.max(written));
    Usage {
        prompt_tokens: request.input_tokens,
        completion_tokens: output,
        total_tokens: request.input_tokens.saturating_add(output),
        prompt_tokens_details: PromptTokens { cached_tokens: 0, audio_tokens: 0 },
        completion_tokens_details: CompletionTokens {
            reasoning_tokens: thought.min(output),
            audio_tokens: 0,
            accepted_prediction_tokens: 0,
            rejected_prediction_tokens: 0,
        },
    }
}

/// The tokens of what was thought: they are counted by 64.
pub(super) fn thoughts(answer: &Answer) -> u64 {
    answer.reasoning_tokens.checked_next_multiple_of(64).unwrap_or(u64::MAX)
}

/// Whether padding hides the length of a token from those who watch the wire.
pub(super) fn is_padded(exchange: &Exchange<'_>) -> bool {
    let options = exchange.request.body.pointer("/stream_options/include_obfuscation");
    options.and_then(Value::as_bool) != Some(false)
}

/// Up to fifteen letters.
pub(super) fn padding(moment: &Moment, number: u64) -> String {
    let draw = moment.draws.draw("obfuscation", Purpose::Padding, moment.attempt, number);
    moment.alphanumeric(&format!("obfuscation {number}"), scale(draw, 15))
}

fn id(exchange: &Exchange<'_>) -> String {
    exchange.moment.tagged("chatcmpl-", "completion", ALPHANUMERIC, 29)
}

/// The tier that a request asks for, if it asks for one by name.
pub(super) fn service_tier<'a>(exchange: &'a Exchange<'_>) -> &'a str {
    match field(&exchange.request.body, "service_tier").and_then(Value::as_str) {
        Some(tier) if tier != "auto" => tier,
        _ => "default",
    }
}

fn fingerprint(model: &str) -> Option<&'static str> {
    (!model.starts_with("gpt-5")).then_some("fp_ff5f7093b3")
}

/// What else could have been said; any frequent tokens do.
const OTHERS: [&str; 24] = [
    " the", ",", ".", " a", " and", " of", " to", " in", " is", " that", " it", " for", " on",
    " with", " as", " was", " at", " by", " an", " be", " this", " are", " or", " from",
];
