//! Wording Mistral's healthy answers.

use serde_json::{Value, json};

use super::{limit_headers, read, served_headers};
use crate::{
    answer::{Answer, Choice, Finish},
    dialect::{Event, Exchange, Fields, Reply, ReplyBody, Script, script::Wording, vector::Vector},
    models,
    plan::Route,
};

/// The answer, whole or as a stream.
pub(super) fn reply(exchange: &Exchange<'_>, answer: &Answer) -> Reply {
    match exchange.request.route {
        Route::MistralEmbeddings => embeddings(exchange),
        Route::MistralModels => models(exchange),
        _ if exchange.request.streaming => {
            let headers = headers(exchange, "text/event-stream; charset=utf-8", None);
            Reply { status: 200, headers, body: ReplyBody::Stream(stream(exchange, answer)) }
        }
        _ => {
            let cost = exchange.request.input_tokens.saturating_add(answer.output_tokens());
            let headers = headers(exchange, "application/json", Some(cost));
            Reply::whole(200, headers, whole(exchange, answer))
        }
    }
}

/// A filtered answer: nothing but the reason why it ends.
pub(super) fn filtered(exchange: &Exchange<'_>) -> ReplyBody {
    let usage = usage(exchange, 0);
    if exchange.request.streaming {
        let opening = json!({ "role": "assistant", "content": "" });
        return ReplyBody::Stream(Script::from([
            Event::other(chunk(exchange, 0, &opening, &Value::Null, None)),
            Event::other(chunk(
                exchange,
                0,
                &json!({ "content": "" }),
                &json!("error"),
                Some(usage),
            )),
            Event::other("data: [DONE]\n\n"),
        ]));
    }
    let message = json!({ "role": "assistant", "tool_calls": null, "content": "" });
    let choice = json!({ "index": 0, "finish_reason": "error", "message": message });
    ReplyBody::Whole(completion(exchange, usage, &[choice]).to_string().into())
}

fn headers(exchange: &Exchange<'_>, content_type: &'static str, cost: Option<u64>) -> Fields {
    let mut limits = Fields::new();
    if exchange.request.route == Route::MistralChat && cost.is_some() {
        limits.push(("x-max-retry-attempts-reached", "false".into()));
    }
    let mut levels = limit_headers(&exchange.decision.levels);
    // Recorded between the limits of tokens and those of requests.
    let place = levels.iter().position(|(name, _)| name.contains("-req-")).unwrap_or(levels.len());
    if let Some(cost) = cost {
        levels.insert(place, ("x-ratelimit-tokens-query-cost", cost.to_string().into()));
    }
    limits.extend(levels);
    served_headers(&exchange.moment, content_type, limits)
}

fn whole(exchange: &Exchange<'_>, answer: &Answer) -> String {
    let choices = answer.choices.iter().enumerate().map(|(index, choice)| {
        let calls = tool_calls(exchange, index, choice, true);
        let content = match (index, answer.reasoning.as_str()) {
            (0, thought) if !thought.is_empty() => {
                let mut chunks = vec![thinking(thought)];
                if !choice.text.is_empty() {
                    chunks.push(json!({ "type": "text", "text": choice.text.as_str() }));
                }
                Value::Array(chunks)
            }
            _ => choice.text.as_str().into(),
        };
        let message = json!({ "role": "assistant", "tool_calls": calls, "content": content });
        json!({ "index": index, "finish_reason": finish_reason(choice), "message": message })
    });
    let usage = usage(exchange, answer.output_tokens());
    completion(exchange, usage, &choices.collect::<Vec<_>>()).to_string()
}

fn completion(exchange: &Exchange<'_>, mut usage: Value, choices: &[Value]) -> Value {
    usage["prompt_tokens_details"] = json!({ "cached_tokens": 0 });
    usage["service_tier"] = json!("standard");
    json!({
        "id": exchange.moment.hex("completion", 32),
        "created": exchange.moment.wall.as_secs(),
        "model": exchange.request.model,
        "usage": usage,
        "object": "chat.completion",
        "choices": choices,
    })
}

/// The chunks of all choices, taking turns; the last of all has the usage.
fn stream(exchange: &Exchange<'_>, answer: &Answer) -> Script {
    let mut script = Script::default();
    for index in 0..answer.choices.len() {
        let opening = json!({ "role": "assistant", "content": "" });
        script.push(Event::other(chunk(exchange, index, &opening, &Value::Null, None)));
    }
    let said = |index: usize, content: &Value| {
        chunk(exchange, index, &json!({ "content": content }), &Value::Null, None)
    };
    script.pieces(&Wording::around(|piece| said(0, &json!([thinking(piece)]))), &answer.reasoning);
    let mut choices: Vec<_> = answer
        .choices
        .iter()
        .enumerate()
        .map(|(index, choice)| {
            let wording = Wording::around(|piece| said(index, &json!(piece)));
            (wording, &choice.text, (0..).zip(choice.text.ranges()))
        })
        .collect();
    let longest = answer.choices.iter().map(|choice| choice.text.pieces().count()).max();
    for _ in 0..longest.unwrap_or(0) {
        for (wording, text, pieces) in &mut choices {
            if let Some((number, piece)) = pieces.next() {
                script.piece(wording, text, piece, number);
            }
        }
    }
    for (index, choice) in answer.choices.iter().enumerate() {
        let last = index + 1 == answer.choices.len();
        let usage = last.then(|| usage(exchange, answer.output_tokens()));
        let calls = tool_calls(exchange, index, choice, false);
        let reason = finish_reason(choice);
        // Calls come whole, in the chunk that ends the choice.
        script.push(if calls.is_null() {
            Event::other(chunk(exchange, index, &json!({ "content": "" }), &reason, usage))
        } else {
            let delta = json!({ "content": null, "tool_calls": calls });
            Event::text(chunk(exchange, index, &delta, &reason, usage))
        });
    }
    script.push(Event::other("data: [DONE]\n\n"));
    script
}

fn chunk(
    exchange: &Exchange<'_>,
    index: usize,
    delta: &Value,
    reason: &Value,
    usage: Option<Value>,
) -> String {
    let mut chunk = json!({
        "id": exchange.moment.hex("completion", 32),
        "object": "chat.completion.chunk",
        "created": exchange.moment.wall.as_secs(),
        "model": exchange.request.model,
        "choices": [{ "index": index, "delta": delta, "finish_reason": reason }],
    });
    if let Some(usage) = usage {
        chunk["usage"] = usage;
    }
    format!("data: {chunk}\n\n")
}

/// The calls of a choice; null if it calls nothing. Streams leave out what kind of tool it is.
fn tool_calls(exchange: &Exchange<'_>, choice: usize, said: &Choice, whole: bool) -> Value {
    if said.calls.is_empty() {
        return Value::Null;
    }
    let calls = said.calls.iter().enumerate().map(|(index, call)| {
        let id = exchange.moment.alphanumeric(&format!("tool {choice} {index}"), 9);
        let function = json!({ "name": call.name, "arguments": call.arguments.to_string() });
        if whole {
            json!({ "id": id, "type": "function", "function": function, "index": index })
        } else {
            json!({ "id": id, "function": function, "index": index })
        }
    });
    calls.collect()
}

fn thinking(text: &str) -> Value {
    json!({ "type": "thinking", "thinking": [{ "type": "text", "text": text }] })
}

fn finish_reason(choice: &Choice) -> Value {
    match choice.finish {
        Finish::Length => json!("length"),
        Finish::Stop | Finish::StopSequence(_) => json!("stop"),
        Finish::ToolCalls => json!("tool_calls"),
    }
}

fn usage(exchange: &Exchange<'_>, output: u64) -> Value {
    let input = exchange.request.input_tokens;
    json!({
        "prompt_tokens": input,
        "total_tokens": input.saturating_add(output),
        "completion_tokens": output,
    })
}

fn embeddings(exchange: &Exchange<'_>) -> Reply {
    let request = exchange.request;
    let whole = match request.model.as_str() {
        "codestral-embed" | "codestral-embed-2505" => 1_536,
        _ => 1_024,
    };
    let wanted = request.body.get("output_dimension").and_then(Value::as_u64);
    let dimensions = wanted.unwrap_or(whole).min(3_072);
    let texts = read::inputs(&request.body);
    let data = texts.iter().enumerate().map(|(index, text)| {
        let vector = Vector::of(&request.model, text, dimensions);
        json!({ "object": "embedding", "embedding": vector.floats(), "index": index })
    });
    let body = json!({
        "id": exchange.moment.hex("completion", 32),
        "object": "list",
        "data": data.collect::<Vec<_>>(),
        "model": request.model,
        "usage": {
            "prompt_audio_seconds": null,
            "prompt_tokens": request.input_tokens,
            "total_tokens": request.input_tokens,
            "completion_tokens": 0,
            "request_count": null,
            "prompt_tokens_details": null,
            "completion_tokens_details": null,
            "service_tier": null,
            "prompt_token_details": null,
        },
    });
    let headers = headers(exchange, "application/json", Some(request.input_tokens));
    Reply::whole(200, headers, body.to_string())
}

fn models(exchange: &Exchange<'_>) -> Reply {
    let wanted = exchange.request.model.as_str();
    let body = if wanted.is_empty() {
        let cards = MODELS.iter().map(|model| card(exchange, model));
        json!({ "object": "list", "data": cards.collect::<Vec<_>>() })
    } else {
        card(exchange, wanted)
    };
    Reply::whole(200, headers(exchange, "application/json", None), body.to_string())
}

fn card(exchange: &Exchange<'_>, model: &str) -> Value {
    let window = models::facts(model).map_or(131_072, |facts| facts.context_window);
    let chats = !model.contains("embed");
    let codes = model.starts_with("codestral");
    json!({
        "id": model,
        "object": "model",
        "created": exchange.moment.wall.as_secs(),
        "owned_by": "mistralai",
        "capabilities": {
            "completion_chat": chats,
            "function_calling": chats,
            "reasoning": model.starts_with("magistral"),
            "completion_fim": chats && codes,
            "fine_tuning": false,
            "vision": chats && !codes,
            "ocr": false,
            "classification": false,
            "moderation": false,
            "audio": false,
            "audio_transcription": false,
        },
        "name": model,
        "description": null,
        "max_context_length": window,
        "aliases": [],
        "deprecation": null,
        "deprecation_replacement_model": null,
        "default_model_temperature": 0.3,
        "type": "base",
    })
}

/// The models that are listed.
const MODELS: [&str; 8] = [
    "mistral-large-latest",
    "mistral-medium-latest",
    "mistral-small-latest",
    "magistral-medium-latest",
    "codestral-latest",
    "open-mistral-nemo",
    "mistral-embed",
    "codestral-embed",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::chat;
    use crate::dialect::mistral::Mistral;

    const CHAT: (&str, &str) = ("POST", "/v1/chat/completions");

    fn rendered(streaming: bool) -> String {
        let body = json!({
            "model": "magistral-medium-latest", "stream": streaming, "n": 2,
            "messages": [{ "role": "user", "content": "hi" }],
        });
        chat::rendered(&Mistral, CHAT, &body, &chat::everything())
    }

    #[test]
    fn thoughts_and_calls_stand_in_the_message() {
        let body: Value = serde_json::from_str(&rendered(false)).unwrap();
        let content = json!([
            { "type": "thinking", "thinking": [{ "type": "text", "text": "Just think." }] },
            { "type": "text", "text": "Hello there" },
        ]);
        assert_eq!(body["choices"][0]["message"]["content"], content);
        assert_eq!(body["choices"][0]["finish_reason"], "length");
        let second = &body["choices"][1];
        assert_eq!(second["finish_reason"], "tool_calls");
        let calls = second["message"]["tool_calls"].as_array().unwrap();
        assert_eq!(calls[1]["function"]["arguments"], r#"{"city":"Rome"}"#);
        let ids = calls.iter().map(|call| call["id"].as_str().unwrap()).collect::<Vec<_>>();
        assert!(ids.iter().all(|id| id.len() == 9) && ids[0] != ids[1]);
        assert_eq!(body["usage"]["completion_tokens"], 26);
    }

    #[test]
    fn calls_are_streamed_whole_with_the_end_of_their_choice() {
        let text = rendered(true);
        let chunks: Vec<Value> = text
            .lines()
            .filter_map(|line| serde_json::from_str(line.strip_prefix("data: ")?).ok())
            .collect();
        let deltas: Vec<(u64, String)> = chunks
            .iter()
            .map(|chunk| &chunk["choices"][0])
            .map(|choice| {
                (choice["index"].as_u64().unwrap(), choice["delta"]["content"].to_string())
            })
            .collect();
        let thought = |text: &str| {
            json!([{ "type": "thinking", "thinking": [{ "type": "text", "text": text }] }])
                .to_string()
        };
        let expected = [
            (0, "\"\"".to_owned()),
            (1, "\"\"".to_owned()),
            (0, thought("Just ")),
            (0, thought("think.")),
            (0, "\"Hello \"".to_owned()),
            (0, "\"there\"".to_owned()),
            (0, "\"\"".to_owned()),
            (1, "null".to_owned()),
        ];
        assert_eq!(deltas, expected);
        let last = &chunks[7];
        assert_eq!(last["choices"][0]["delta"]["tool_calls"].as_array().unwrap().len(), 2);
        assert_eq!(last["choices"][0]["finish_reason"], "tool_calls");
        assert_eq!(last["usage"]["total_tokens"], json!(31));
        assert!(chunks[..7].iter().all(|chunk| chunk.get("usage").is_none()));
    }
}
