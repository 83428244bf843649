//! Wording a legacy Completions answer.

use serde_json::{Map, Value, json};

use super::{DONE, dated, flag, framed, pretty};
use crate::{
    answer::{Answer, Choice, Finish},
    dialect::{Event, Exchange, ReplyBody, Script, script::Wording},
    tokens::Tokenizer,
};

/// The answer, whole or as a stream.
pub(super) fn body(exchange: &Exchange<'_>, answer: &Answer, model: &str) -> ReplyBody {
    if exchange.request.streaming {
        let mut script = chunks(exchange, answer, model, |chunk, _| framed(&chunk));
        script.push(Event::other(DONE));
        ReplyBody::Stream(script)
    } else {
        pretty(&whole(exchange, answer, model), "\n")
    }
}

/// A whole answer.
pub(in crate::dialect) fn whole(exchange: &Exchange<'_>, answer: &Answer, model: &str) -> Value {
    let choices = answer.choices.iter().enumerate().map(|(index, written)| {
        let text = format!("{}{}", echoed(exchange, index), written.text.as_str());
        let chances = chances(exchange, model, &text, 0);
        choice(&text, index, &chances, Some(finish_reason(written)))
    });
    json!({
        "id": id(exchange),
        "object": "text_completion",
        "created": exchange.moment.wall.as_secs(),
        "model": dated(model),
        "choices": choices.collect::<Vec<_>>(),
        "usage": usage(exchange, answer),
    })
}

/// The chunks of a streamed answer, each written when it is due; `write` is told whether a chunk
/// carries a part of the answer.
pub(in crate::dialect) fn chunks(
    exchange: &Exchange<'_>,
    answer: &Answer,
    model: &str,
    write: impl Fn(Value, bool) -> String,
) -> Script {
    let usage_wanted = flag(&exchange.request.body, "/stream_options/include_usage");
    let (id, model_name) = (id(exchange), dated(model));
    let chunk = |choices: &[Value], usage: Value| {
        let mut chunk = json!({
            "id": id,
            "object": "text_completion",
            "created": exchange.moment.wall.as_secs(),
            "choices": choices,
            "model": model_name,
        });
        if usage_wanted {
            chunk["usage"] = usage;
        }
        chunk
    };
    let part = |text: &str, index: usize, chances: &Value| {
        write(chunk(&[choice(text, index, chances, None)], Value::Null), true)
    };
    let tells_chances = exchange.request.body.get("logprobs").and_then(Value::as_u64).is_some();
    let mut script = Script::default();
    let mut choices: Vec<_> =
        answer.choices.iter().map(|choice| (&choice.text, choice.text.ranges(), None, 0)).collect();
    let rounds = answer.choices.iter().map(|choice| choice.text.pieces().count()).max();
    for round in 0..rounds.unwrap_or(0) {
        for (index, (text, pieces, wording, offset)) in choices.iter_mut().enumerate() {
            let Some(piece) = pieces.next() else { continue };
            let before = if round == 0 { echoed(exchange, index) } else { String::new() };
            if before.is_empty() && !tells_chances {
                let wording = wording.get_or_insert_with(|| {
                    Wording::around(|piece| part(piece, index, &Value::Null))
                });
                script.piece(wording, text, piece, u64::try_from(round).unwrap_or(u64::MAX));
                continue;
            }
            let said = before + &text[piece];
            let chances = chances(exchange, model, &said, *offset);
            *offset += said.chars().count();
            script.push(Event::text(part(&said, index, &chances)));
        }
    }
    for (index, written) in answer.choices.iter().enumerate() {
        let last = choice("", index, &Value::Null, Some(finish_reason(written)));
        script.push(Event::other(write(chunk(&[last], Value::Null), false)));
    }
    if usage_wanted {
        script.push(Event::other(write(chunk(&[], usage(exchange, answer)), false)));
    }
    script
}

fn choice(text: &str, index: usize, chances: &Value, reason: Option<&str>) -> Value {
    json!({ "text": text, "index": index, "logprobs": chances, "finish_reason": reason })
}

/// The prompt that a choice answers, if it is to be repeated before the answer.
fn echoed(exchange: &Exchange<'_>, index: usize) -> String {
    let body = &exchange.request.body;
    if !flag(body, "/echo") {
        return String::new();
    }
    match body.get("prompt") {
        Some(Value::String(prompt)) => prompt.clone(),
        Some(Value::Array(prompts)) => {
            let each = body.get("n").and_then(Value::as_u64).unwrap_or(1);
            let each = usize::try_from(each).unwrap_or(1).max(1);
            let prompt = prompts.get(index / each).and_then(Value::as_str);
            prompt.unwrap_or_default().to_owned()
        }
        _ => String::new(),
    }
}

/// How likely each token of a text was, as legacy completions tell it; null if nobody asks.
fn chances(exchange: &Exchange<'_>, model: &str, said: &str, from: usize) -> Value {
    let most = exchange.request.body.get("logprobs").and_then(Value::as_u64);
    let Some(most) = most else { return Value::Null };
    let (mut tokens, mut chances, mut top, mut offsets) = (vec![], vec![], vec![], vec![]);
    let mut offset = from;
    for (bytes, rank) in Tokenizer::of(model).tokens(said).iter().zip(0_i32..) {
        let token = String::from_utf8_lossy(bytes).into_owned();
        offsets.push(offset);
        offset += token.chars().count();
        let chance = -f64::from(rank % 7 + 1) / 64.0;
        chances.push(chance);
        if most > 0 {
            top.push(Value::Object(Map::from_iter([(token.clone(), chance.into())])));
        }
        tokens.push(token);
    }
    json!({
        "tokens": tokens,
        "token_logprobs": chances,
        "top_logprobs": if most > 0 { Value::from(top) } else { Value::Null },
        "text_offset": offsets,
    })
}

fn finish_reason(choice: &Choice) -> &'static str {
    match choice.finish {
        Finish::Length => "length",
        Finish::Stop | Finish::StopSequence(_) | Finish::ToolCalls => "stop",
    }
}

fn usage(exchange: &Exchange<'_>, answer: &Answer) -> Value {
    let (input, output) = (exchange.request.input_tokens, answer.output_tokens());
    json!({
        "prompt_tokens": input,
        "completion_tokens": output,
        "total_tokens": input.saturating_add(output),
    })
}

fn id(exchange: &Exchange<'_>) -> String {
    format!("cmpl-{}", exchange.moment.alphanumeric("completion", 29))
}
