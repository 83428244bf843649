//! Wording Azure's healthy answers: OpenAI's, with what the filters found, in one line and in the
//! order of the alphabet.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::{behind, cases::untyped, openai, uuid};
use crate::{
    action::Dimension,
    answer::{Answer, Choice, Finish, Text},
    dialect::{Event, Exchange, Fields, Reply, ReplyBody, Script},
    plan::Route,
    quota::Level,
};

/// The answer, whole or as a stream.
pub(super) fn reply(exchange: &Exchange<'_>, answer: &Answer) -> Reply {
    let model = behind(&exchange.request.model);
    let body = match exchange.request.route {
        Route::AzureCompletions => completion(exchange, answer, model),
        Route::AzureEmbeddings => whole(openai::embeddings::whole(exchange, model)),
        // The newer API is OpenAI's own, letter by letter.
        Route::AzureResponses => openai::responses::body(exchange, answer, model),
        _ => chat(exchange, answer, model, &harmless(true)),
    };
    Reply { status: 200, headers: headers(exchange), body }
}

/// A whole answer, or a stream, of which the filter let nothing through.
pub(super) fn filtered(exchange: &Exchange<'_>) -> ReplyBody {
    let model = behind(&exchange.request.model);
    let answer = nothing();
    if exchange.request.streaming {
        let mut script = Script::from([Event::other(framed(&prompt_frame()))]);
        script.append(cut(exchange, &answer, model));
        return ReplyBody::Stream(script);
    }
    let mut body = openai::chat::whole(exchange, &answer, model);
    adorn(&mut body, &violent());
    // Recorded: the message may have no content at all.
    body["choices"][0]["message"] = json!({ "role": "assistant" });
    body["choices"][0]["finish_reason"] = "content_filter".into();
    whole(body)
}

/// The end of a stream that the filter cut.
pub(super) fn filtered_event(exchange: &Exchange<'_>) -> ReplyBody {
    let mut script = cut(exchange, &nothing(), behind(&exchange.request.model));
    // The opening was sent when the stream began.
    script.next_bytes(Duration::ZERO);
    ReplyBody::Stream(script)
}

/// The headers of a 200.
pub(super) fn headers(exchange: &Exchange<'_>) -> Fields {
    let streaming = exchange.request.streaming;
    let content_type =
        if streaming { "text/event-stream; charset=utf-8" } else { "application/json" };
    let model = &exchange.request.model;
    let mut headers = vec![("content-type", content_type.into())];
    headers.extend(untyped(exchange));
    let session = exchange.moment.hex("session", 12);
    headers.extend([
        ("azureai-fe-is-streaming", if streaming { "True" } else { "False" }.into()),
        ("azureml-model-session", format!("d20260330170902-{session}").into()),
        ("skip-error-remapping", "true".into()),
        ("x-accel-buffering", "no".into()),
        ("x-ms-deployment-name", text(model).into()),
        ("x-ms-is-spilled-over", "false".into()),
        ("x-ms-rai-invoked", "true".into()),
        ("x-ms-served-model", openai::dated(behind(model)).into()),
        ("x-request-id", uuid(&exchange.moment, "request").into()),
    ]);
    headers.extend(limits(&exchange.decision.levels, model));
    headers
}

/// A name as a header can carry it.
fn text(name: &str) -> String {
    name.chars().filter(char::is_ascii_graphic).collect()
}

/// The limits; the resets are in milliseconds, the periods in seconds.
fn limits(levels: &[Level], model: &str) -> Fields {
    let mut headers = Vec::new();
    for (counts, names) in [
        (
            &[Dimension::Requests][..],
            [
                "x-ratelimit-limit-requests",
                "x-ratelimit-remaining-requests",
                "x-ratelimit-renewalperiod-requests",
                "x-ratelimit-reset-requests",
            ],
        ),
        (
            &[Dimension::Tokens, Dimension::InputTokens, Dimension::OutputTokens],
            [
                "x-ratelimit-limit-tokens",
                "x-ratelimit-remaining-tokens",
                "x-ratelimit-renewalperiod-tokens",
                "x-ratelimit-reset-tokens",
            ],
        ),
    ] {
        let of_these = levels.iter().filter(|level| counts.contains(&level.dimension));
        let Some(level) = openai::tightest(of_these) else { continue };
        let [limit, remaining, period, reset] = names;
        headers.push((limit, level.limit.to_string().into()));
        headers.push((remaining, level.remaining.to_string().into()));
        headers.push((period, level.period.as_secs().to_string().into()));
        headers.push((reset, level.reset.as_millis().to_string().into()));
    }
    if !headers.is_empty() {
        headers.insert(0, ("x-ratelimit-abusepenalty-active", "False".into()));
        headers.insert(1, ("x-ratelimit-key", text(model).into()));
    }
    headers
}

fn chat(exchange: &Exchange<'_>, answer: &Answer, model: &str, found: &Value) -> ReplyBody {
    if exchange.request.streaming {
        let filtered = is_asynchronous(exchange);
        let mut script = Script::from([Event::other(framed(&prompt_frame()))]);
        script.append(openai::chat::chunks(exchange, answer, model, |chunk, is_text| {
            let mut chunk = json!(chunk);
            let results = if is_text && !filtered { piece() } else { json!({}) };
            if chunk["choices"] == json!([]) {
                chunk["latency_checkpoint"] = latency(exchange, answer);
            }
            adorn_chunk(&mut chunk, &results);
            framed(&chunk)
        }));
        if filtered {
            let said = answer.choices.iter().map(|choice| choice.text.chars().count()).sum();
            script.push(Event::other(framed(&verdict(said))));
        }
        script.push(Event::other(DONE));
        return ReplyBody::Stream(script);
    }
    let mut body = openai::chat::whole(exchange, answer, model);
    adorn(&mut body, found);
    whole(body)
}

fn completion(exchange: &Exchange<'_>, answer: &Answer, model: &str) -> ReplyBody {
    if exchange.request.streaming {
        let mut script = Script::from([Event::other(framed(&prompt_frame()))]);
        script.append(openai::completions::chunks(
            exchange,
            answer,
            model,
            |mut chunk, is_text| {
                adorn_chunk(&mut chunk, &if is_text { piece() } else { json!({}) });
                framed(&chunk)
            },
        ));
        script.push(Event::other(DONE));
        return ReplyBody::Stream(script);
    }
    let mut body = openai::completions::whole(exchange, answer, model);
    adorn(&mut body, &harmless(true));
    whole(body)
}

/// What a stream says of which the filter let nothing through, but for what was found in the prompt.
fn cut(exchange: &Exchange<'_>, answer: &Answer, model: &str) -> Script {
    let mut script = openai::chat::chunks(exchange, answer, model, |chunk, _| {
        let mut chunk = json!(chunk);
        let is_last = chunk.pointer("/choices/0/finish_reason").is_some_and(Value::is_string);
        if is_last {
            chunk["choices"][0]["finish_reason"] = "content_filter".into();
        }
        adorn_chunk(&mut chunk, &if is_last { violent() } else { json!({}) });
        framed(&chunk)
    });
    script.push(Event::other(DONE));
    script
}

/// An answer without a word.
fn nothing() -> Answer {
    let choice =
        Choice { text: Text::default(), calls: Vec::new(), finish: Finish::Stop, output_tokens: 0 };
    Answer { choices: vec![choice], ..Answer::default() }
}

/// Whether the filter of a deployment runs beside its answers, which its name then says: nothing
/// of a request does.
fn is_asynchronous(exchange: &Exchange<'_>) -> bool {
    exchange.request.model.contains("async")
}

/// What the filter found in a prompt, before the first word of a stream.
fn prompt_frame() -> Value {
    json!({
        "choices": [],
        "created": 0,
        "id": "",
        "model": "",
        "object": "",
        "prompt_filter_results": prompt_results(),
    })
}

/// What a filter that runs beside the answer found, when it found it: a choice without a delta.
fn verdict(said: usize) -> Value {
    json!({
        "choices": [{
            "content_filter_offsets": {
                "check_offset": 0,
                "start_offset": 0,
                "end_offset": said,
            },
            "content_filter_results": harmless(false),
            "finish_reason": null,
            "index": 0,
        }],
        "created": 0,
        "id": "",
        "model": "",
        "object": "",
    })
}

fn prompt_results() -> Value {
    let mut results = harmless(false);
    results["jailbreak"] = json!({ "detected": false, "filtered": false });
    results.sort_all_objects();
    // The index stands first, against the order of everything else.
    json!([{ "prompt_index": 0, "content_filter_results": results }])
}

/// The results of a filter that found nothing; of an answer also whose property it may be.
fn harmless(answer: bool) -> Value {
    let safe = || json!({ "filtered": false, "severity": "safe" });
    let mut results = Map::new();
    results.insert("hate".to_owned(), safe());
    if answer {
        for name in ["protected_material_code", "protected_material_text"] {
            results.insert(name.to_owned(), json!({ "detected": false, "filtered": false }));
        }
    }
    for name in ["self_harm", "sexual", "violence"] {
        results.insert(name.to_owned(), safe());
    }
    Value::Object(results)
}

/// The results of a filter that cut the answer.
fn violent() -> Value {
    let mut results = harmless(false);
    results["violence"] = json!({ "filtered": true, "severity": "medium" });
    results
}

/// What is known of a piece of an answer.
fn piece() -> Value {
    json!({ "protected_material_text": { "detected": false, "filtered": false } })
}

/// Adds to a whole answer what the filters found.
fn adorn(body: &mut Value, found: &Value) {
    adorn_choices(body, found);
    if let Some(fields) = body.as_object_mut() {
        // Recorded: whole answers have no tier.
        fields.shift_remove("service_tier");
        fields.insert("prompt_filter_results".to_owned(), prompt_results());
    }
    sort(body);
}

fn adorn_chunk(chunk: &mut Value, found: &Value) {
    adorn_choices(chunk, found);
    sort(chunk);
}

fn adorn_choices(body: &mut Value, found: &Value) {
    for choice in body["choices"].as_array_mut().into_iter().flatten() {
        choice["content_filter_results"] = found.clone();
        if choice.get("logprobs").is_none() {
            choice["logprobs"] = Value::Null;
        }
    }
}

/// Puts fields in the order of the alphabet, but leaves what a filter says of prompts alone.
fn sort(body: &mut Value) {
    let prompts = body.get("prompt_filter_results").cloned();
    body.sort_all_objects();
    if let Some(prompts) = prompts {
        body["prompt_filter_results"] = prompts;
    }
}

/// How long what took: the numbers of an answer without any wait.
fn latency(exchange: &Exchange<'_>, answer: &Answer) -> Value {
    let pieces =
        answer.choices.iter().map(|choice| choice.text.pieces().count()).max().unwrap_or(0);
    let millis = |span: Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
    let first = millis(exchange.pace.gap(0));
    let rest: Duration =
        (1..u64::try_from(pieces).unwrap_or(0)).map(|token| exchange.pace.gap(token)).sum();
    let (between, total) = (millis(exchange.pace.gap(1)), first + millis(rest));
    json!({
        "engine_tbt_ms": between,
        "engine_ttft_ms": first,
        "engine_ttlt_ms": total,
        "pre_inference_ms": 0,
        "service_tbt_ms": between,
        "service_ttft_ms": first,
        "service_ttlt_ms": total,
        "total_duration_ms": total,
        "user_visible_ttft_ms": first,
    })
}

fn whole(mut body: Value) -> ReplyBody {
    sort(&mut body);
    ReplyBody::Whole(format!("{body}\n").into())
}

fn framed(frame: &Value) -> String {
    format!("data: {frame}\n\n")
}

/// What ends a stream.
const DONE: &str = "data: [DONE]\n\n";
