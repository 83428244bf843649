//! Wording OpenRouter's healthy answers.

use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};

use super::{EVENTS, generation, headers, price, read, resolved, upstream};
use crate::{
    answer::{Answer, Choice, Finish},
    dialect::{
        Event, EventKind, Exchange, Reply, ReplyBody, Script, case::escaped, script::Wording,
        template::Template, vector::Vector,
    },
    models,
    plan::Route,
};

/// The answer, whole or as a stream.
pub(super) fn reply(exchange: &Exchange<'_>, answer: &Answer) -> Reply {
    let request = exchange.request;
    if request.route == Route::OpenRouterModels {
        return Reply::whole(200, headers(exchange, "application/json", None), models());
    }
    let id = Some(generation(&exchange.moment));
    if request.streaming && request.route != Route::OpenRouterEmbeddings {
        let body = ReplyBody::Stream(stream(exchange, answer));
        return Reply { status: 200, headers: headers(exchange, EVENTS, id), body };
    }
    let body = match request.route {
        Route::OpenRouterEmbeddings => embeddings(exchange),
        _ => whole(exchange, answer),
    };
    Reply::whole(200, headers(exchange, "application/json", id), body)
}

fn whole(exchange: &Exchange<'_>, answer: &Answer) -> String {
    let chats = exchange.request.route == Route::OpenRouterChat;
    let choices = answer.choices.iter().enumerate().map(|(index, choice)| {
        let (reason, native) = finish(exchange, choice);
        if !chats {
            return json!({
                "index": index,
                "logprobs": null,
                "finish_reason": reason,
                "native_finish_reason": native,
                "text": choice.text.as_str(),
                "reasoning": thought(answer, index),
            });
        }
        let mut message = json!({
            "role": "assistant",
            "content": choice.text.as_str(),
            "refusal": null,
            "reasoning": thought(answer, index),
        });
        if let Value::String(thought) = thought(answer, index) {
            message["reasoning_details"] = details(&thought);
        }
        if !choice.calls.is_empty() {
            let calls = choice.calls.iter().enumerate();
            let calls = calls.map(|(place, call)| {
                let mut whole = tool_call(exchange, index, place, &call.name);
                whole["function"]["arguments"] = call.arguments.to_string().into();
                whole
            });
            message["tool_calls"] = calls.collect();
        }
        json!({
            "index": index,
            "logprobs": null,
            "finish_reason": reason,
            "native_finish_reason": native,
            "message": message,
        })
    });
    let model = &exchange.request.model;
    let body = json!({
        "id": generation(&exchange.moment),
        "object": if chats { "chat.completion" } else { "text_completion" },
        "created": exchange.moment.wall.as_secs(),
        "model": resolved(model),
        "provider": upstream(model),
        "system_fingerprint": null,
        "service_tier": null,
        "choices": choices.collect::<Vec<_>>(),
    });
    // The spaces kept the connection alive while the answer was written.
    format!("{KEPT_ALIVE}{KEPT_ALIVE}{}", with_usage(&body, exchange, answer))
}

fn stream(exchange: &Exchange<'_>, answer: &Answer) -> Script {
    let comment = |after| Event {
        bytes: Bytes::from_static(b": OPENROUTER PROCESSING\n\n"),
        kind: EventKind::Beat(after),
    };
    // The first says at once that the request was taken.
    let beats = exchange.pace.beats(0, COMMENT_EVERY);
    let beats = std::iter::repeat_n(comment(COMMENT_EVERY), beats);
    let mut script = Script::from([comment(Duration::ZERO)].into_iter().chain(beats));
    let chats = exchange.request.route == Route::OpenRouterChat;
    let thought = Template::new([["", "x"]; 2], |[thought, detail]| {
        let mut delta = delta("");
        delta["reasoning"] = (*thought).into();
        delta["reasoning_details"] = details(detail);
        event(&chunk(exchange, 0, &delta, None))
    });
    let wording = Wording::new(move |piece, _, _| {
        let piece = escaped(piece);
        thought.filled([&piece, &piece])
    });
    script.pieces(&wording, &answer.reasoning);
    for (index, choice) in answer.choices.iter().enumerate() {
        let wording = Wording::around(|piece| {
            event(&if chats {
                chunk(exchange, index, &delta(piece), None)
            } else {
                text_chunk(exchange, index, piece, None)
            })
        });
        script.pieces(&wording, &choice.text);
        for (place, call) in choice.calls.iter().enumerate() {
            let mut opening = delta("");
            opening["tool_calls"] = json!([tool_call(exchange, index, place, &call.name)]);
            script.push(Event::text(event(&chunk(exchange, index, &opening, None))));
            for piece in call.pieces() {
                let mut more = delta("");
                let function = json!({ "arguments": piece });
                more["tool_calls"] =
                    json!([{ "index": place, "type": "function", "function": function }]);
                script.push(Event::text(event(&chunk(exchange, index, &more, None))));
            }
        }
    }
    for (index, choice) in answer.choices.iter().enumerate() {
        let end = Some(finish(exchange, choice));
        let mut last = if chats {
            chunk(exchange, index, &delta(""), end)
        } else {
            text_chunk(exchange, index, "", end)
        };
        script.push(Event::other(event(&last)));
        if index + 1 == answer.choices.len() {
            // Recorded: the usage comes in a chunk that says the finish reason once more.
            let choices = last["choices"].take();
            let fields = last.as_object_mut().expect("a chunk is an object");
            fields.shift_remove("choices");
            fields.insert("service_tier".to_owned(), Value::Null);
            fields.insert("choices".to_owned(), choices);
            let text = with_usage(&last, exchange, answer);
            script.push(Event::other(format!("data: {text}\n\n")));
        }
    }
    script.push(Event::other("data: [DONE]\n\n"));
    script
}

fn event(chunk: &Value) -> String {
    format!("data: {chunk}\n\n")
}

/// The two reasons of an end: OpenAI's word, and that of who answered.
type Reasons = (&'static str, &'static str);

fn chunk(exchange: &Exchange<'_>, index: usize, delta: &Value, end: Option<Reasons>) -> Value {
    let mut chunk = empty_chunk(exchange, "chat.completion.chunk");
    chunk["choices"] = json!([{
        "index": index,
        "delta": delta,
        "finish_reason": end.map(|(reason, _)| reason),
        "native_finish_reason": end.map(|(_, native)| native),
    }]);
    chunk
}

fn text_chunk(exchange: &Exchange<'_>, index: usize, text: &str, end: Option<Reasons>) -> Value {
    let mut chunk = empty_chunk(exchange, "text_completion");
    chunk["choices"] = json!([{
        "index": index,
        "text": text,
        "finish_reason": end.map(|(reason, _)| reason),
        "native_finish_reason": end.map(|(_, native)| native),
    }]);
    chunk
}

fn empty_chunk(exchange: &Exchange<'_>, object: &str) -> Value {
    let model = &exchange.request.model;
    json!({
        "id": generation(&exchange.moment),
        "object": object,
        "created": exchange.moment.wall.as_secs(),
        "model": resolved(model),
        "provider": upstream(model),
        "choices": [],
    })
}

fn delta(content: &str) -> Value {
    json!({ "content": content, "role": "assistant" })
}

/// What was thought; it stands before the first choice.
fn thought(answer: &Answer, index: usize) -> Value {
    if index == 0 && !answer.reasoning.is_empty() {
        answer.reasoning.as_str().into()
    } else {
        Value::Null
    }
}

fn details(thought: &str) -> Value {
    json!([{ "type": "reasoning.text", "text": thought, "format": "unknown", "index": 0 }])
}

/// The beginning of a call, with the id that who answered gave it.
fn tool_call(exchange: &Exchange<'_>, choice: usize, place: usize, name: &str) -> Value {
    let moment = &exchange.moment;
    let what = format!("tool {choice} {place}");
    let id = if exchange.request.model.starts_with("anthropic/") {
        format!("toolu_bdrk_01{}", moment.alphanumeric(&what, 22))
    } else {
        format!("call_{}", moment.alphanumeric(&what, 24))
    };
    let function = json!({ "name": name, "arguments": "" });
    json!({ "index": place, "id": id, "type": "function", "function": function })
}

fn finish(exchange: &Exchange<'_>, choice: &Choice) -> Reasons {
    let vendor = exchange.request.model.split('/').next().unwrap_or_default();
    match (&choice.finish, vendor) {
        (Finish::Length, "anthropic") => ("length", "max_tokens"),
        (Finish::Length, "google") => ("length", "MAX_TOKENS"),
        (Finish::Length, _) => ("length", "length"),
        (Finish::StopSequence(_), "anthropic") => ("stop", "stop_sequence"),
        (Finish::Stop, "anthropic") => ("stop", "end_turn"),
        (Finish::Stop | Finish::StopSequence(_), "google") => ("stop", "STOP"),
        (Finish::Stop | Finish::StopSequence(_), _) => ("stop", "stop"),
        (Finish::ToolCalls, "anthropic") => ("tool_calls", "tool_use"),
        (Finish::ToolCalls, "google") => ("tool_calls", "STOP"),
        (Finish::ToolCalls, _) => ("tool_calls", "tool_calls"),
    }
}

/// An object with the usage at its end; the costs are letters that no number type keeps.
fn with_usage(body: &Value, exchange: &Exchange<'_>, answer: &Answer) -> String {
    let request = exchange.request;
    let (input, output) = (request.input_tokens, answer.output_tokens());
    let (each_in, each_out) = price::per_token(&request.model);
    let (cost_in, cost_out) = (input.saturating_mul(each_in), output.saturating_mul(each_out));
    let [cost, cost_in, cost_out] =
        [cost_in.saturating_add(cost_out), cost_in, cost_out].map(price::dollars);
    let body = body.to_string();
    let open = body.strip_suffix('}').unwrap_or(&body);
    let (total, reasoning) = (input.saturating_add(output), answer.reasoning_tokens);
    format!(
        "{open},\"usage\":{{\"prompt_tokens\":{input},\"completion_tokens\":{output},\
         \"total_tokens\":{total},\"cost\":{cost},\"is_byok\":false,\"prompt_tokens_details\":\
         {{\"cached_tokens\":0,\"cache_write_tokens\":0,\"audio_tokens\":0,\"video_tokens\":0}},\
         \"cost_details\":{{\"upstream_inference_cost\":{cost},\
         \"upstream_inference_prompt_cost\":{cost_in},\
         \"upstream_inference_completions_cost\":{cost_out}}},\"completion_tokens_details\":\
         {{\"reasoning_tokens\":{reasoning},\"image_tokens\":0,\"audio_tokens\":0}}}}}}"
    )
}

fn embeddings(exchange: &Exchange<'_>) -> String {
    let request = exchange.request;
    let whole = if request.model.contains("3-large") { 3_072 } else { 1_536 };
    let wanted = request.body.get("dimensions").and_then(Value::as_u64);
    let dimensions = wanted.filter(|wanted| *wanted > 0).map_or(whole, |wanted| wanted.min(whole));
    let packed = request.body.get("encoding_format").and_then(Value::as_str) == Some("base64");
    let texts = read::inputs(&request.body);
    let data = texts.iter().enumerate().map(|(index, text)| {
        let vector = Vector::of(&request.model, text, dimensions);
        let vector = if packed { json!(vector.base64()) } else { vector.floats() };
        json!({ "object": "embedding", "embedding": vector, "index": index })
    });
    let body = json!({
        "object": "list",
        "data": data.collect::<Vec<_>>(),
        "model": request.model,
        "provider": upstream(&request.model),
        "id": generation(&exchange.moment),
    });
    let body = body.to_string();
    let open = body.strip_suffix('}').unwrap_or(&body);
    let tokens = request.input_tokens;
    let cost = price::dollars(tokens.saturating_mul(price::per_token(&request.model).0));
    format!(
        "{open},\"usage\":{{\"prompt_tokens\":{tokens},\"total_tokens\":{tokens},\"cost\":{cost}}}}}"
    )
}

fn models() -> String {
    let cards = MODELS.iter().map(|(model, name)| {
        let facts = models::facts(model);
        let window = facts.map_or(131_072, |facts| facts.context_window);
        let output = facts.and_then(|facts| facts.max_output_tokens);
        // Prices are texts here, so that nobody rounds them.
        let (input_price, output_price) = price::per_token(model);
        json!({
            "id": model,
            "canonical_slug": resolved(model),
            "hugging_face_id": "",
            "name": name,
            "created": 1_760_547_638,
            "description": name,
            "context_length": window,
            "architecture": {
                "modality": "text->text",
                "input_modalities": ["text"],
                "output_modalities": ["text"],
                "tokenizer": "Other",
                "instruct_type": null,
            },
            "pricing": {
                "prompt": price::dollars(input_price),
                "completion": price::dollars(output_price),
                "request": "0",
                "image": "0",
            },
            "top_provider": {
                "context_length": window,
                "max_completion_tokens": output,
                "is_moderated": model.starts_with("openai/"),
            },
            "per_request_limits": null,
            "supported_parameters": [
                "max_tokens", "reasoning", "response_format", "stop", "structured_outputs",
                "temperature", "tool_choice", "tools",
            ],
        })
    });
    json!({ "data": cards.collect::<Vec<_>>() }).to_string()
}

/// The models that are listed, with what people call them.
const MODELS: [(&str, &str); 5] = [
    ("anthropic/claude-haiku-4.5", "Anthropic: Claude Haiku 4.5"),
    ("openai/gpt-4o-mini", "OpenAI: GPT-4o-mini"),
    ("google/gemini-2.5-flash", "Google: Gemini 2.5 Flash"),
    ("mistralai/mistral-small", "Mistral: Mistral Small"),
    ("deepseek/deepseek-r1:free", "DeepSeek: R1 (free)"),
];

/// The sign of life before JSON.
const KEPT_ALIVE: &str = "\n         \n";

/// Five comments were recorded before an answer that took about two seconds.
const COMMENT_EVERY: Duration = Duration::from_millis(400);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::chat;
    use crate::dialect::openrouter::OpenRouter;

    fn rendered(streaming: bool) -> String {
        let body = json!({
            "model": "anthropic/claude-haiku-4.5", "stream": streaming,
            "messages": [{ "role": "user", "content": "hi" }],
        });
        let mut answer = chat::everything();
        answer.choices.remove(0);
        chat::rendered(&OpenRouter, ("POST", "/api/v1/chat/completions"), &body, &answer)
    }

    #[test]
    fn thoughts_and_calls_stand_in_the_message() {
        let body: Value = serde_json::from_str(&rendered(false)).unwrap();
        let choice = &body["choices"][0];
        assert_eq!(choice["message"]["reasoning"], "Just think.");
        assert_eq!(choice["message"]["reasoning_details"][0]["text"], "Just think.");
        assert_eq!(
            choice["message"]["tool_calls"][1]["function"]["arguments"],
            r#"{"city":"Rome"}"#
        );
        assert_eq!(choice["native_finish_reason"], "tool_use");
        assert_eq!(body["usage"]["completion_tokens_details"]["reasoning_tokens"], 4);
    }

    #[test]
    fn the_fragments_of_a_call_are_its_arguments() {
        let text = rendered(true);
        let data = text.lines().filter_map(|line| line.strip_prefix("data: "));
        let chunks: Vec<Value> = data.filter_map(|data| serde_json::from_str(data).ok()).collect();
        let calls = |chunk: &Value| {
            chunk.pointer("/choices/0/delta/tool_calls/0").cloned().unwrap_or_default()
        };
        let second = chunks.iter().map(calls).filter(|call| call["index"] == 1);
        let fragments =
            second.map(|call| call["function"]["arguments"].as_str().unwrap().to_owned());
        assert_eq!(fragments.collect::<String>(), r#"{"city":"Rome"}"#);
        let names = chunks.iter().map(calls).filter(|call| call["id"].is_string());
        assert_eq!(names.count(), 2);
        let reasons =
            chunks.iter().filter(|chunk| chunk["choices"][0]["finish_reason"] == "tool_calls");
        assert_eq!(reasons.count(), 2);
    }
}
