//! Wording a healthy Messages answer.

use bytes::Bytes;
use serde_json::{Value, json};

use super::{edge_headers, limit_headers};
use crate::{
    answer::{Answer, Choice, Finish},
    dialect::{Event, Exchange, Reply, ReplyBody},
    draw::{Purpose, scale},
    models,
};

/// The answer, whole or as a stream.
pub(super) fn reply(exchange: &Exchange<'_>, answer: &Answer) -> Reply {
    let moment = &exchange.moment;
    let streaming = exchange.request.streaming;
    let content_type =
        if streaming { "text/event-stream; charset=utf-8" } else { "application/json" };
    let mut headers = edge_headers(moment, content_type);
    if streaming {
        headers.push(("cache-control", "no-cache".to_owned()));
    }
    headers.extend(limit_headers(&exchange.decision.levels, None, moment));
    let body = if streaming {
        ReplyBody::Stream(stream(exchange, answer))
    } else {
        ReplyBody::Whole(Bytes::from(whole(exchange, answer).to_string()))
    };
    Reply { status: 200, headers, body }
}

fn whole(exchange: &Exchange<'_>, answer: &Answer) -> Value {
    let content = json!([{ "type": "text", "text": answer.choices.first().map(Choice::text) }]);
    message(exchange, &content, &stop_reason(answer), answer.output_tokens())
}

fn stream(exchange: &Exchange<'_>, answer: &Answer) -> Vec<Event> {
    let mut index = 0;
    let mut event = |name: &str, data: &Value| {
        index += 1;
        let moment = &exchange.moment;
        let draw = moment.draws.draw("padding", Purpose::Padding, moment.attempt, index);
        let spaces = usize::try_from(scale(draw, 15)).unwrap_or(0);
        // Every event is padded before its last brace, to hide the length of its text.
        let data = data.to_string();
        let data = data.strip_suffix('}').unwrap_or(&data);
        Bytes::from(format!("event: {name}\ndata: {data}{}}}\n\n", " ".repeat(spaces)))
    };
    let start = json!({
        "type": "message_start",
        "message": message(exchange, &json!([]), &Value::Null, 1),
    });
    let block = json!({
        "type": "content_block_start",
        "index": 0,
        "content_block": { "type": "text", "text": "" },
    });
    let mut events = vec![
        Event::other(event("message_start", &start)),
        Event::other(event("content_block_start", &block)),
        Event::other("event: ping\ndata: {\"type\": \"ping\"}\n\n"),
    ];
    for piece in answer.choices.iter().flat_map(|choice| &choice.pieces) {
        let delta = json!({
            "type": "content_block_delta",
            "index": 0,
            "delta": { "type": "text_delta", "text": piece },
        });
        events.push(Event::text(event("content_block_delta", &delta)));
    }
    let stop = json!({ "type": "content_block_stop", "index": 0 });
    events.push(Event::other(event("content_block_stop", &stop)));
    let end = json!({
        "type": "message_delta",
        "delta": {
            "stop_reason": stop_reason(answer), "stop_sequence": null, "stop_details": null,
        },
        "usage": {
            "input_tokens": exchange.request.input_tokens,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "output_tokens": answer.output_tokens(),
        },
    });
    events.push(Event::other(event("message_delta", &end)));
    events.push(Event::other(event("message_stop", &json!({ "type": "message_stop" }))));
    events
}

/// A message with its keys in the order of 2026.
fn message(exchange: &Exchange<'_>, content: &Value, stop_reason: &Value, output: u64) -> Value {
    json!({
        "model": dated(&exchange.request.model),
        "id": format!("msg_011C{}", exchange.moment.alphanumeric("message", 20)),
        "type": "message",
        "role": "assistant",
        "content": content,
        "stop_reason": stop_reason,
        "stop_sequence": null,
        "stop_details": null,
        "usage": {
            "input_tokens": exchange.request.input_tokens,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "cache_creation": { "ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0 },
            "output_tokens": output,
            "service_tier": "standard",
            "inference_geo": "not_available",
        },
    })
}

fn stop_reason(answer: &Answer) -> Value {
    match answer.choices.first().map(|choice| &choice.finish) {
        Some(Finish::Length) => json!("max_tokens"),
        Some(Finish::ToolCalls) => json!("tool_use"),
        _ => json!("end_turn"),
    }
}

/// The dated name that an answer carries when its alias was asked for.
fn dated(model: &str) -> &str {
    let dated = models::facts(model).and_then(|facts| facts.resolved_model.as_deref());
    dated.filter(|dated| dated.starts_with(model)).unwrap_or(model)
}
