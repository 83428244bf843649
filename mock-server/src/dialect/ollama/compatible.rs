//! Wording the answers of `/v1/*`, in OpenAI's form.

use serde_json::{Value, json};

use super::{golang, library, native, read};
use crate::{
    answer::{Answer, Choice, Finish, Text},
    dialect::{
        Event, Exchange, Fields, Reply, ReplyBody, Script, case::escaped, script::Wording,
        template::Template, vector::Vector,
    },
    draw::{Purpose, scale},
    plan::Route,
};

/// The answer, whole or as a stream.
pub(super) fn reply(exchange: &Exchange<'_>, answer: &Answer) -> Reply {
    let request = exchange.request;
    if request.streaming {
        let body = ReplyBody::Stream(stream(exchange, answer));
        return Reply { status: 200, headers: content_type("text/event-stream"), body };
    }
    let body = match request.route {
        Route::OllamaV1Embeddings => embeddings(exchange),
        Route::OllamaV1Completions => completion(exchange, answer),
        _ => whole(exchange, answer),
    };
    let text = golang::written(&body.to_string()) + "\n";
    Reply::whole(200, content_type("application/json"), text)
}

fn content_type(name: &str) -> Fields {
    vec![("content-type", name.to_owned().into())]
}

fn whole(exchange: &Exchange<'_>, answer: &Answer) -> Value {
    let choice = answer.choices.first();
    let text = choice.map_or("", |choice| &choice.text);
    let mut message = json!({ "role": "assistant", "content": text });
    if !answer.reasoning.is_empty() {
        message["reasoning"] = answer.reasoning.as_str().into();
    }
    let calls = tool_calls(exchange, choice);
    if !calls.is_null() {
        message["tool_calls"] = calls;
    }
    json!({
        "id": id(exchange, "chatcmpl"),
        "object": "chat.completion",
        "created": exchange.moment.wall.as_secs(),
        "model": exchange.request.model,
        "system_fingerprint": "fp_ollama",
        "choices": [{ "index": 0, "message": message, "finish_reason": finish_reason(choice) }],
        "usage": usage(exchange, answer),
    })
}

fn completion(exchange: &Exchange<'_>, answer: &Answer) -> Value {
    let choice = answer.choices.first();
    let text = choice.map_or("", |choice| &choice.text);
    json!({
        "id": id(exchange, "cmpl"),
        "object": "text_completion",
        "created": exchange.moment.wall.as_secs(),
        "model": exchange.request.model,
        "system_fingerprint": "fp_ollama",
        "choices": [{ "text": text, "index": 0, "finish_reason": finish_reason(choice) }],
        "usage": usage(exchange, answer),
    })
}

/// Recorded: only the first chunk has a role, and two without text end it.
fn stream(exchange: &Exchange<'_>, answer: &Answer) -> Script {
    let choice = answer.choices.first();
    let chats = exchange.request.route == Route::OllamaV1Chat;
    let mut first = true;
    let delta = |first: bool, content: &str, more: Option<(&str, Value)>| {
        let mut delta = if first {
            json!({ "role": "assistant", "content": content })
        } else {
            json!({ "content": content })
        };
        if let Some((name, value)) = more {
            delta[name] = value;
        }
        delta
    };
    let mut script = Script::default();
    let text = choice.map(|choice| &choice.text);
    let mut say = |text: &Text, word: &dyn Fn(bool, &str) -> String| {
        let template = Template::new([["", "x"]], |[piece]| word(false, piece));
        let wording =
            Wording::new(move |piece, _, _| template.filled([&golang::written(&escaped(piece))]));
        for (number, piece) in (0..).zip(text.ranges()) {
            if std::mem::take(&mut first) {
                script.push(Event::text(word(true, &text[piece])));
            } else {
                script.piece(&wording, text, piece, number);
            }
        }
    };
    if chats {
        say(&answer.reasoning, &|first, thought| {
            let delta = delta(first, "", Some(("reasoning", json!(thought))));
            chunk(exchange, &delta, &Value::Null)
        });
    }
    if let Some(text) = text {
        say(text, &|first, piece| {
            if chats {
                chunk(exchange, &delta(first, piece, None), &Value::Null)
            } else {
                text_chunk(exchange, piece, &Value::Null)
            }
        });
    }
    let reason = finish_reason(choice);
    if chats {
        let calls = tool_calls(exchange, choice);
        if !calls.is_null() {
            let delta = delta(std::mem::take(&mut first), "", Some(("tool_calls", calls)));
            script.push(Event::text(chunk(exchange, &delta, &Value::Null)));
        }
        script.push(Event::other(chunk(exchange, &delta(first, "", None), &Value::Null)));
        script.push(Event::other(chunk(exchange, &json!({}), &reason)));
    } else {
        script.push(Event::other(text_chunk(exchange, "", &reason)));
    }
    let wanted = exchange.request.body.pointer("/stream_options/include_usage");
    if wanted == Some(&Value::Bool(true)) {
        let mut last = if chats { empty_chunk(exchange) } else { empty_text_chunk(exchange) };
        last["choices"] = json!([]);
        last["usage"] = usage(exchange, answer);
        script.push(Event::other(event(&last)));
    }
    script.push(Event::other("data: [DONE]\n\n"));
    script
}

fn chunk(exchange: &Exchange<'_>, delta: &Value, reason: &Value) -> String {
    let mut chunk = empty_chunk(exchange);
    chunk["choices"] = json!([{ "index": 0, "delta": delta, "finish_reason": reason }]);
    event(&chunk)
}

fn empty_chunk(exchange: &Exchange<'_>) -> Value {
    json!({
        "id": id(exchange, "chatcmpl"),
        "object": "chat.completion.chunk",
        "created": exchange.moment.wall.as_secs(),
        "model": exchange.request.model,
        "system_fingerprint": "fp_ollama",
        "choices": [],
    })
}

fn text_chunk(exchange: &Exchange<'_>, text: &str, reason: &Value) -> String {
    let mut chunk = empty_text_chunk(exchange);
    chunk["choices"] = json!([{ "text": text, "index": 0, "finish_reason": reason }]);
    event(&chunk)
}

fn empty_text_chunk(exchange: &Exchange<'_>) -> Value {
    json!({
        "id": id(exchange, "cmpl"),
        "object": "text_completion",
        "created": exchange.moment.wall.as_secs(),
        "choices": [],
        "model": exchange.request.model,
        "system_fingerprint": "fp_ollama",
    })
}

fn event(chunk: &Value) -> String {
    format!("data: {}\n\n", golang::written(&chunk.to_string()))
}

/// The calls of a choice; null if it calls nothing.
fn tool_calls(exchange: &Exchange<'_>, choice: Option<&Choice>) -> Value {
    let calls = choice.map(|choice| choice.calls.as_slice()).unwrap_or_default();
    if calls.is_empty() {
        return Value::Null;
    }
    let calls = calls.iter().enumerate().map(|(index, call)| {
        json!({
            "id": native::tool_call_id(exchange, index),
            "index": index,
            "type": "function",
            "function": { "name": call.name, "arguments": call.arguments.to_string() },
        })
    });
    calls.collect()
}

fn finish_reason(choice: Option<&Choice>) -> Value {
    match choice.map(|choice| &choice.finish) {
        Some(Finish::ToolCalls) => json!("tool_calls"),
        _ => json!(native::done_reason(choice)),
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

fn id(exchange: &Exchange<'_>, kind: &str) -> String {
    let moment = &exchange.moment;
    let draw = moment.draws.draw("completion", Purpose::Id, moment.attempt, 0);
    format!("{kind}-{}", scale(draw, 998))
}

fn embeddings(exchange: &Exchange<'_>) -> Value {
    let request = exchange.request;
    let whole = library::dimensions(&request.model);
    let wanted = request.body.get("dimensions").and_then(Value::as_u64);
    let dimensions = wanted.filter(|wanted| *wanted > 0).map_or(whole, |wanted| wanted.min(whole));
    let format = request.body.get("encoding_format").and_then(Value::as_str);
    let packed = format.is_some_and(|format| format.eq_ignore_ascii_case("base64"));
    let texts = read::inputs(&request.body);
    let data = texts.iter().enumerate().map(|(index, text)| {
        let vector = Vector::of(&request.model, text, dimensions);
        let vector = if packed { json!(vector.base64()) } else { vector.floats() };
        json!({ "object": "embedding", "embedding": vector, "index": index })
    });
    json!({
        "object": "list",
        "data": data.collect::<Vec<_>>(),
        "model": request.model,
        "usage": { "prompt_tokens": request.input_tokens, "total_tokens": request.input_tokens },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::chat;
    use crate::dialect::ollama::Ollama;

    fn rendered(streaming: bool) -> String {
        let body = json!({
            "model": "qwen3", "stream": streaming, "stream_options": { "include_usage": true },
            "messages": [{ "role": "user", "content": "hi" }],
        });
        let mut answer = chat::everything();
        answer.choices.remove(0);
        chat::rendered(&Ollama, ("POST", "/v1/chat/completions"), &body, &answer)
    }

    #[test]
    fn thoughts_and_calls_stand_in_the_message() {
        let body: Value = serde_json::from_str(&rendered(false)).unwrap();
        let choice = &body["choices"][0];
        assert_eq!(choice["message"]["reasoning"], "Just think.");
        assert_eq!(
            choice["message"]["tool_calls"][1]["function"]["arguments"],
            r#"{"city":"Rome"}"#
        );
        assert_eq!(choice["finish_reason"], "tool_calls");
    }

    #[test]
    fn calls_are_streamed_whole_before_the_end() {
        let text = rendered(true);
        let data = text.lines().filter_map(|line| line.strip_prefix("data: "));
        let chunks: Vec<Value> = data.filter_map(|data| serde_json::from_str(data).ok()).collect();
        assert_eq!(chunks.len(), 6);
        assert_eq!(chunks[0]["choices"][0]["delta"]["role"], "assistant");
        assert_eq!(
            chunks[1]["choices"][0]["delta"],
            json!({ "content": "", "reasoning": "think." })
        );
        let calls = &chunks[2]["choices"][0]["delta"]["tool_calls"];
        assert_eq!((calls[0]["index"].as_u64(), calls[1]["index"].as_u64()), (Some(0), Some(1)));
        assert_eq!(chunks[4]["choices"][0]["finish_reason"], "tool_calls");
        assert_eq!(chunks[5]["usage"]["completion_tokens"], 24);
    }
}
