//! Wording the answers of `/api/*`: an object, or a line for each piece and one with the counters.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::{golang, library, read};
use crate::{
    answer::{Answer, Choice, Finish},
    dialect::{
        Event, Exchange, Reply, ReplyBody, Script, case::escaped, script::Wording,
        template::Template, vector::Vector,
    },
    draw::{Purpose, scale},
    plan::Route,
};

/// The answer, whole or as a stream.
pub(super) fn reply(exchange: &Exchange<'_>, answer: &Answer) -> Reply {
    let request = exchange.request;
    let body = match request.route {
        Route::OllamaEmbed => embed(exchange),
        Route::OllamaEmbeddings => embeddings(exchange),
        route => match read::loads(route, &request.body) {
            Some(word) => loaded(exchange, word),
            None if request.streaming => {
                let headers = vec![("content-type", "application/x-ndjson".into())];
                let body = ReplyBody::Stream(stream(exchange, answer));
                return Reply { status: 200, headers, body };
            }
            None => whole(exchange, answer),
        },
    };
    let headers = vec![("content-type", "application/json; charset=utf-8".into())];
    Reply::whole(200, headers, golang::written(&body.to_string()))
}

/// A model was loaded into memory, or taken out.
fn loaded(exchange: &Exchange<'_>, word: &str) -> Value {
    let mut line = Line::new(exchange, exchange.moment.wall);
    line.say(String::new(), String::new(), Value::Null);
    line.end(word);
    Value::Object(line.fields)
}

fn whole(exchange: &Exchange<'_>, answer: &Answer) -> Value {
    let choice = answer.choices.first();
    let texts =
        choice.map_or(0, |choice| choice.text.pieces().count()) + answer.reasoning.pieces().count();
    let waited = (0..count(texts)).map(|token| exchange.pace.gap(token)).sum::<Duration>();
    let mut line = Line::new(exchange, exchange.moment.wall + waited);
    let text = choice.map(|choice| choice.text.to_string()).unwrap_or_default();
    line.say(text, answer.reasoning.to_string(), tool_calls(exchange, choice));
    line.end(done_reason(choice));
    line.count(answer, waited);
    Value::Object(line.fields)
}

fn stream(exchange: &Exchange<'_>, answer: &Answer) -> Script {
    let choice = answer.choices.first();
    let mut script = Script::default();
    script.pieces(&wording(exchange, |thought| (String::new(), thought)), &answer.reasoning);
    if let Some(choice) = choice {
        script.pieces(&wording(exchange, |text| (text, String::new())), &choice.text);
    }
    let calls = tool_calls(exchange, choice);
    let said = script.texts() + usize::from(!calls.is_null());
    let waited = (0..count(said)).map(|token| exchange.pace.gap(token)).sum::<Duration>();
    if !calls.is_null() {
        let mut line = Line::new(exchange, exchange.moment.wall + waited);
        line.say(String::new(), String::new(), calls);
        line.fields.insert("done".to_owned(), json!(false));
        script.push(Event::text(line.text()));
    }
    let mut line = Line::new(exchange, exchange.moment.wall + waited);
    line.say(String::new(), String::new(), Value::Null);
    line.end(done_reason(choice));
    line.count(answer, waited);
    script.push(Event::other(line.text()));
    script
}

/// How the line with a piece of a text is worded, which is said or thought; it tells its time.
fn wording(exchange: &Exchange<'_>, say: impl Fn(String) -> (String, String)) -> Wording {
    // Nothing that is thought would be left out.
    let template = Template::new([["", "x"], ["y", "x"]], |[time, piece]| {
        let mut line = Line::new(exchange, exchange.moment.wall);
        let (text, thought) = say((*piece).to_owned());
        line.say(text, thought, Value::Null);
        line.fields.insert("created_at".to_owned(), json!(time));
        line.fields.insert("done".to_owned(), json!(false));
        line.text()
    });
    let wall = exchange.moment.wall;
    Wording::new(move |piece, _, due| {
        template.filled([&library::time(wall + due), &golang::written(&escaped(piece))])
    })
}

/// One object of an answer; both routes order their fields in their own way.
struct Line<'a> {
    exchange: &'a Exchange<'a>,
    fields: Map<String, Value>,
}

impl<'a> Line<'a> {
    fn new(exchange: &'a Exchange<'a>, at: Duration) -> Self {
        let mut fields = Map::new();
        fields.insert("model".to_owned(), json!(exchange.request.model));
        fields.insert("created_at".to_owned(), json!(library::time(at)));
        Self { exchange, fields }
    }

    fn generates(&self) -> bool {
        self.exchange.request.route == Route::OllamaGenerate
    }

    fn say(&mut self, text: String, thought: String, calls: Value) {
        if self.generates() {
            self.fields.insert("response".to_owned(), text.into());
            if !thought.is_empty() {
                self.fields.insert("thinking".to_owned(), thought.into());
            }
            return;
        }
        let mut message = json!({ "role": "assistant", "content": text });
        if !thought.is_empty() {
            message["thinking"] = thought.into();
        }
        if !calls.is_null() {
            message["tool_calls"] = calls;
        }
        self.fields.insert("message".to_owned(), message);
    }

    fn end(&mut self, reason: &str) {
        let fields = [("done_reason", json!(reason)), ("done", json!(true))];
        let [reason, done] = fields.map(|(name, value)| (name.to_owned(), value));
        if self.generates() {
            self.fields.extend([done, reason]);
        } else {
            self.fields.extend([reason, done]);
        }
    }

    /// The counters; what takes no time here takes some on a real machine.
    fn count(&mut self, answer: &Answer, waited: Duration) {
        let Self { exchange, .. } = self;
        let (request, moment) = (exchange.request, &exchange.moment);
        let output = answer.choices.first().map_or(0, |choice| choice.output_tokens);
        let output = output.saturating_add(answer.reasoning_tokens);
        if request.route == Route::OllamaGenerate && request.body.get("raw") != Some(&json!(true)) {
            let context = context(exchange, request.input_tokens.saturating_add(output));
            self.fields.insert("context".to_owned(), context);
        }
        let draw = |what| moment.draws.draw(what, Purpose::Id, moment.attempt, 0);
        let first = nanos(exchange.pace.gap(0));
        let load = 1_000_000 + scale(draw("load"), 60_000_000);
        let prompt = first.max(request.input_tokens.saturating_mul(1_500_000));
        let eval =
            (nanos(waited) - first.min(nanos(waited))).max(output.saturating_mul(30_000_000));
        let total = load.saturating_add(prompt).saturating_add(eval);
        for (name, value) in [
            ("total_duration", total.saturating_add(scale(draw("rest"), 5_000_000))),
            ("load_duration", load),
            ("prompt_eval_count", request.input_tokens),
            ("prompt_eval_duration", prompt),
            ("eval_count", output),
            ("eval_duration", eval),
        ] {
            // Go leaves out what is zero.
            if value > 0 {
                self.fields.insert(name.to_owned(), value.into());
            }
        }
    }

    fn text(self) -> String {
        golang::written(&Value::Object(self.fields).to_string()) + "\n"
    }
}

/// The tokens of prompt and answer, as numbers of a vocabulary.
fn context(exchange: &Exchange<'_>, tokens: u64) -> Value {
    let moment = &exchange.moment;
    // What a request brings with it comes back at the beginning.
    let before = exchange.request.body.get("context").and_then(Value::as_array);
    let before = before.cloned().unwrap_or_default();
    let more = tokens.min(CONTEXT_MAX).saturating_sub(count(before.len()));
    let tokens = (0..more).map(|index| {
        let draw = moment.draws.draw("context", Purpose::Id, moment.attempt, index);
        json!(scale(draw, 128_000))
    });
    before.into_iter().chain(tokens).collect()
}

/// The calls of a choice; null if it calls nothing.
fn tool_calls(exchange: &Exchange<'_>, choice: Option<&Choice>) -> Value {
    let calls = choice.map(|choice| choice.calls.as_slice()).unwrap_or_default();
    if calls.is_empty() {
        return Value::Null;
    }
    let calls = calls.iter().enumerate().map(|(index, call)| {
        json!({
            "id": tool_call_id(exchange, index),
            "function": { "index": index, "name": call.name, "arguments": call.arguments },
        })
    });
    calls.collect()
}

/// The id of a call; the same on both sides of the server.
pub(super) fn tool_call_id(exchange: &Exchange<'_>, index: usize) -> String {
    let alphabet = b"abcdefghijklmnopqrstuvwxyz0123456789";
    format!("call_{}", exchange.moment.id(&format!("tool {index}"), alphabet, 8))
}

/// Why it ends: calling tools is no reason of its own.
pub(super) fn done_reason(choice: Option<&Choice>) -> &'static str {
    match choice.map(|choice| &choice.finish) {
        Some(Finish::Length) => "length",
        _ => "stop",
    }
}

fn embed(exchange: &Exchange<'_>) -> Value {
    let request = exchange.request;
    let whole = library::dimensions(&request.model);
    let wanted = request.body.get("dimensions").and_then(Value::as_u64);
    let dimensions = wanted.filter(|wanted| *wanted > 0).map_or(whole, |wanted| wanted.min(whole));
    let texts = read::inputs(&request.body);
    let vectors = texts.iter().map(|text| Vector::of(&request.model, text, dimensions).floats());
    let moment = &exchange.moment;
    let load =
        1_000_000 + scale(moment.draws.draw("load", Purpose::Id, moment.attempt, 0), 60_000_000);
    let mut body = json!({
        "model": request.model,
        "embeddings": vectors.collect::<Vec<_>>(),
    });
    if !texts.is_empty() {
        body["total_duration"] = json!(load.saturating_add(request.input_tokens * 200_000));
        body["load_duration"] = json!(load);
        body["prompt_eval_count"] = json!(request.input_tokens);
    }
    body
}

fn embeddings(exchange: &Exchange<'_>) -> Value {
    let request = exchange.request;
    let prompt = request.body.get("prompt").and_then(Value::as_str).unwrap_or_default();
    let dimensions = if prompt.is_empty() { 0 } else { library::dimensions(&request.model) };
    let vector = Vector::of(&request.model, prompt, dimensions);
    json!({ "embedding": vector.floats() })
}

fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

/// As much as fits the largest window of the models that it serves.
const CONTEXT_MAX: u64 = 131_072;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::chat;
    use crate::{answer::ToolCall, dialect::ollama::Ollama};

    fn rendered(path: &str, answer: &Answer, streaming: bool) -> Vec<Value> {
        let body = json!({
            "model": "qwen3", "stream": streaming, "prompt": "hi",
            "messages": [{ "role": "user", "content": "hi" }],
        });
        let text = chat::rendered(&Ollama, ("POST", path), &body, answer);
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn calling() -> Answer {
        let mut answer = chat::everything();
        answer.choices.remove(0);
        answer
    }

    #[test]
    fn thoughts_and_calls_stand_in_the_message() {
        let [body] = rendered("/api/chat", &calling(), false).try_into().unwrap();
        assert_eq!(body["message"]["thinking"], "Just think.");
        let call = &body["message"]["tool_calls"][1];
        assert_eq!(call["function"]["arguments"], json!({ "city": "Rome" }));
        assert_eq!(call["function"]["index"], 1);
        assert_eq!((&body["done_reason"], &body["eval_count"]), (&json!("stop"), &json!(24)));
    }

    #[test]
    fn a_line_thinks_speaks_or_calls() {
        let mut answer = chat::everything();
        let call = ToolCall { name: "f".to_owned(), arguments: json!({}) };
        answer.choices[0].calls.push(call);
        let lines = rendered("/api/chat", &answer, true);
        let thoughts = lines.iter().map(|line| line["message"]["thinking"].clone());
        let expected = [json!("Just "), json!("think."), Value::Null, Value::Null];
        assert_eq!(thoughts.take(4).collect::<Vec<_>>(), expected);
        assert_eq!(lines[3]["message"]["content"], "there");
        assert_eq!(lines[4]["message"]["tool_calls"][0]["function"]["name"], "f");
        assert_eq!(lines.len(), 6);
        assert_eq!(lines[5]["done_reason"], "length");
        assert!(lines[..5].iter().all(|line| line["done"] == json!(false)));
    }

    #[test]
    fn the_context_has_the_tokens_of_prompt_and_answer() {
        let lines = rendered("/api/generate", &chat::everything(), true);
        let last = &lines[4];
        let tokens =
            last["prompt_eval_count"].as_u64().unwrap() + last["eval_count"].as_u64().unwrap();
        assert_eq!(count(last["context"].as_array().unwrap().len()), tokens);
        assert_eq!(lines[0]["thinking"], "Just ");
        assert_eq!((&lines[2]["response"], &last["response"]), (&json!("Hello "), &json!("")));
    }
}
