//! Wording a healthy Chat Completions answer.

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::{application_headers, flag, limit_headers, reasons};
use crate::{
    answer::{Answer, Choice, Finish},
    dialect::{Event, Exchange, Reply, ReplyBody, indented},
    draw::{Purpose, scale},
    models,
};

/// The answer, whole or as a stream.
pub(super) fn reply(exchange: &Exchange<'_>, answer: &Answer) -> Reply {
    let streaming = exchange.request.streaming;
    let content_type =
        if streaming { "text/event-stream; charset=utf-8" } else { "application/json" };
    let mut headers = application_headers(&exchange.moment, content_type);
    headers.push(("x-openai-proxy-wasm", "v0.1".to_owned()));
    headers.extend(limit_headers(&exchange.decision.levels));
    let body = if streaming {
        ReplyBody::Stream(stream(exchange, answer))
    } else {
        ReplyBody::Whole(Bytes::from(whole(exchange, answer)))
    };
    Reply { status: 200, headers, body }
}

fn whole(exchange: &Exchange<'_>, answer: &Answer) -> String {
    let mut choice = json!({
        "index": 0,
        "message": {
            "role": "assistant",
            "content": answer.choices.first().map(Choice::text),
            "refusal": null,
            "annotations": [],
        },
    });
    finish(&mut choice, exchange, finish_reason(answer));
    let body = json!({
        "id": id(exchange),
        "object": "chat.completion",
        "created": exchange.moment.wall.as_secs(),
        "model": dated(&exchange.request.model),
        "choices": [choice],
        "usage": usage(exchange, answer),
        "service_tier": "default",
        "system_fingerprint": fingerprint(exchange),
    });
    indented(&body, b"  ") + "\n"
}

fn stream(exchange: &Exchange<'_>, answer: &Answer) -> Vec<Event> {
    let usage_wanted = flag(&exchange.request.body, "/stream_options/include_usage");
    let mut index = 0;
    let mut event = |delta: Option<Value>, reason: Value, usage: Option<Value>| {
        index += 1;
        let choices = delta.map(|delta| {
            let mut choice = json!({ "index": 0, "delta": delta });
            finish(&mut choice, exchange, reason);
            choice
        });
        let mut chunk = json!({
            "id": id(exchange),
            "object": "chat.completion.chunk",
            "created": exchange.moment.wall.as_secs(),
            "model": dated(&exchange.request.model),
            "service_tier": "default",
            "system_fingerprint": fingerprint(exchange),
            "choices": choices.into_iter().collect::<Vec<_>>(),
        });
        let fields = chunk.as_object_mut().expect("a chunk is an object");
        if usage_wanted {
            fields.insert("usage".to_owned(), usage.unwrap_or(Value::Null));
        }
        obfuscate(fields, exchange, index);
        Bytes::from(format!("data: {chunk}\n\n"))
    };
    let opening = json!({ "role": "assistant", "content": "", "refusal": null });
    let mut events = vec![Event::other(event(Some(opening), Value::Null, None))];
    for piece in answer.choices.iter().flat_map(|choice| &choice.pieces) {
        let delta = json!({ "content": piece });
        events.push(Event::text(event(Some(delta), Value::Null, None)));
    }
    events.push(Event::other(event(Some(json!({})), finish_reason(answer), None)));
    if usage_wanted {
        let usage = usage(exchange, answer);
        events.push(Event::other(event(None, Value::Null, Some(usage))));
    }
    events.push(Event::other("data: [DONE]\n\n"));
    events
}

/// The end of a choice; the gpt-5 family leaves out `logprobs`.
fn finish(choice: &mut Value, exchange: &Exchange<'_>, reason: Value) {
    let fields = choice.as_object_mut().expect("a choice is an object");
    if !exchange.request.model.starts_with("gpt-5") {
        fields.insert("logprobs".to_owned(), Value::Null);
    }
    fields.insert("finish_reason".to_owned(), reason);
}

fn finish_reason(answer: &Answer) -> Value {
    match answer.choices.first().map(|choice| &choice.finish) {
        Some(Finish::Length) => json!("length"),
        Some(Finish::ToolCalls) => json!("tool_calls"),
        _ => json!("stop"),
    }
}

fn usage(exchange: &Exchange<'_>, answer: &Answer) -> Value {
    let (input, output) = (exchange.request.input_tokens, answer.output_tokens());
    // What a reasoning model spends before its text was recorded as 7 tokens, and none reasoned.
    let output = if reasons(&exchange.request.model) { output + 7 } else { output };
    json!({
        "prompt_tokens": input,
        "completion_tokens": output,
        "total_tokens": input.saturating_add(output),
        "prompt_tokens_details": { "cached_tokens": 0, "audio_tokens": 0 },
        "completion_tokens_details": {
            "reasoning_tokens": 0,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    })
}

/// The padding that hides the length of a token from those who watch the wire.
fn obfuscate(fields: &mut Map<String, Value>, exchange: &Exchange<'_>, index: u64) {
    let options = exchange.request.body.pointer("/stream_options/include_obfuscation");
    if options.and_then(Value::as_bool) == Some(false) {
        return;
    }
    let moment = &exchange.moment;
    let draw = moment.draws.draw("obfuscation", Purpose::Padding, moment.attempt, index);
    let padding = moment.alphanumeric(&format!("obfuscation {index}"), scale(draw, 15));
    fields.insert("obfuscation".to_owned(), padding.into());
}

fn id(exchange: &Exchange<'_>) -> String {
    format!("chatcmpl-{}", exchange.moment.alphanumeric("completion", 29))
}

fn fingerprint(exchange: &Exchange<'_>) -> Value {
    if exchange.request.model.starts_with("gpt-5") {
        return Value::Null;
    }
    json!("fp_ff5f7093b3")
}

/// The dated name that an answer carries when its alias was asked for.
fn dated(model: &str) -> String {
    let exact = models::facts(model).and_then(|facts| facts.resolved_model.as_deref());
    match exact {
        // A dated name that was asked for is echoed.
        Some(dated) if dated.starts_with(model) => dated.to_owned(),
        _ => match model {
            "gpt-4o" => "gpt-4o-2024-08-06".to_owned(),
            "gpt-4o-mini" => "gpt-4o-mini-2024-07-18".to_owned(),
            other => other.to_owned(),
        },
    }
}
