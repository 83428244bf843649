//! Understanding a request to Mistral: key, syntax, schema, and the order of the messages.

use serde_json::{Value, json};

use crate::{
    action::ErrorKind,
    dialect::{Head, Refusal, bearer, chat},
    plan::Route,
    request::{Conversation, Request},
    tokens::Tokenizer,
};

/// The request, or the refusal.
pub(super) fn request(route: Route, head: &Head<'_>, body: &[u8]) -> Result<Request, Refusal> {
    let lists = route == Route::MistralModels;
    if head.method != if lists { "GET" } else { "POST" } {
        return Err(Refusal::new(ErrorKind::BadRequest, "method"));
    }
    if bearer(head.headers).is_none() {
        return Err(Refusal::new(ErrorKind::Authentication, "invalid-key"));
    }
    let mut request = Request::unknown(route, head.headers.clone());
    request.key = chat::key(head);
    if lists {
        model_of(head.path).unwrap_or_default().clone_into(&mut request.model);
        return Ok(request);
    }
    let body = parsed(body)?;
    Schema::of(route).check(&body)?;
    text(&body, "model").clone_into(&mut request.model);
    request.streaming = body.get("stream").is_some_and(truth);
    request.output_tokens_max = body.get("max_tokens").and_then(integer);
    let tokenizer = Tokenizer::of(&request.model);
    match route {
        Route::MistralEmbeddings => {
            let texts = inputs(&body);
            // One token begins each text; recorded for one.
            let tokens = texts.iter().map(|text| tokenizer.count(text).saturating_add(1));
            request.input_tokens = tokens.fold(0, u64::saturating_add);
            request.conversation = Conversation::new([("user", texts.join("\n"))]);
        }
        Route::MistralFim => {
            let said = format!("{}{}", text(&body, "prompt"), text(&body, "suffix"));
            request.input_tokens = tokenizer.count(&said).saturating_add(3);
            request.conversation = Conversation::new([("user", said)]);
            request.wishes.stops = chat::texts(body.get("stop"));
        }
        _ => {
            let messages = body.get("messages").and_then(Value::as_array);
            let messages = messages.map(Vec::as_slice).unwrap_or_default();
            check_order(messages)?;
            // `<s>`, and `[INST]` with `[/INST]` or `</s>`; the rest is estimated.
            request.input_tokens =
                chat::input_tokens(tokenizer, messages, body.get("tools"), (1, 3));
            request.conversation = chat::conversation(messages);
            request.wishes = chat::wishes(&body);
            request.wishes.reasons = reasons(&request.model, &body);
        }
    }
    request.body = body;
    Ok(request)
}

/// The model that a path of the list ends with, empty for the list itself; none if it is another
/// path.
pub(super) fn model_of(path: &str) -> Option<&str> {
    // The base URL may stand before it.
    let (_, rest) = path.split_once("/models")?;
    match rest.strip_prefix('/') {
        Some(model) => (!model.contains('/')).then_some(model),
        None => rest.is_empty().then_some(""),
    }
}

/// The texts to embed.
pub(super) fn inputs(body: &Value) -> Vec<String> {
    chat::texts(body.get("input"))
}

fn text<'a>(body: &'a Value, field: &str) -> &'a str {
    body.get(field).and_then(Value::as_str).unwrap_or_default()
}

/// Whether the model thinks before it speaks: Magistral always does, others when they are told to.
fn reasons(model: &str, body: &Value) -> bool {
    let told = |field: &str, word: &str| body.get(field).and_then(Value::as_str) == Some(word);
    let silent = body.get("prompt_mode").is_some_and(Value::is_null);
    (model.starts_with("magistral") && !silent)
        || told("prompt_mode", "reasoning")
        || told("reasoning_effort", "high")
}

fn parsed(body: &[u8]) -> Result<Value, Refusal> {
    if body.is_empty() {
        let complaint = json!({
            "type": "missing", "loc": ["body"], "msg": "Field required", "input": null,
        });
        return Err(refused("missing-field", &[complaint]));
    }
    serde_json::from_slice(body).map_err(|error| {
        // The place is a number of letters; a mistake in the first line is the common one.
        let place = error.column().saturating_sub(1);
        refused(
            "malformed-json",
            &[json!({
                "type": "json_invalid",
                "loc": ["body", place],
                "msg": "JSON decode error",
                "input": {},
                "ctx": { "error": "Expecting value" },
            })],
        )
    })
}

/// The complaints of the schema.
fn refused(case: &'static str, complaints: &[Value]) -> Refusal {
    let complaints = complaints.iter().map(Value::to_string).collect::<Vec<_>>().join(",");
    Refusal::new(ErrorKind::BadRequest, case).word("complaints", complaints)
}

/// A number, also one that stands in a string: Pydantic takes both.
fn integer(value: &Value) -> Option<u64> {
    match value {
        Value::String(text) => text.trim().parse().ok(),
        value => value.as_u64(),
    }
}

/// A boolean in any of the forms that Pydantic takes.
fn truth(value: &Value) -> bool {
    match value {
        Value::Bool(truth) => *truth,
        Value::Number(number) => number.as_u64() == Some(1),
        Value::String(text) => is_yes(text),
        _ => false,
    }
}

fn is_yes(text: &str) -> bool {
    ["1", "true", "t", "yes", "y", "on"].contains(&text.to_ascii_lowercase().as_str())
}

fn is_no(text: &str) -> bool {
    ["0", "false", "f", "no", "n", "off"].contains(&text.to_ascii_lowercase().as_str())
}

/// What a route takes: its fields in the order in which they are checked.
struct Schema {
    required: &'static [&'static str],
    fields: &'static [(&'static str, Kind)],
}

/// What may stand in a field.
#[derive(Clone, Copy)]
enum Kind {
    Any,
    Bool,
    /// At least so many.
    Integer(u64),
    Messages,
    /// From 0 to so many tenths.
    Number(u32),
    /// Known, but nothing may stand in it
    /// ([quoted](https://github.com/dnakov/anon-kode/issues/53)).
    StreamOptions,
    Text,
    Tools,
}

impl Schema {
    fn of(route: Route) -> Self {
        match route {
            Route::MistralEmbeddings => {
                Self { required: &["model", "input"], fields: EMBEDDING_FIELDS }
            }
            Route::MistralFim => Self { required: &["model", "prompt"], fields: FIM_FIELDS },
            _ => Self { required: &["model", "messages"], fields: CHAT_FIELDS },
        }
    }

    /// Collects every complaint: the fields in their order, then what does not belong.
    fn check(&self, body: &Value) -> Result<(), Refusal> {
        let Some(given) = body.as_object() else {
            let complaint = json!({
                "type": "model_attributes_type",
                "loc": ["body"],
                "msg": "Input should be a valid dictionary or object to extract fields from",
                "input": body,
            });
            return Err(refused("invalid-field", &[complaint]));
        };
        let mut complaints = Vec::new();
        for (name, kind) in self.fields {
            let required = self.required.contains(name);
            match given.get(*name) {
                None if required => complaints.push(json!({
                    "type": "missing", "loc": ["body", name], "msg": "Field required",
                    "input": body,
                })),
                None => {}
                Some(Value::Null) if !required => {}
                Some(value) => kind.check(&[json!(name)], value, &mut complaints),
            }
        }
        for (name, value) in given {
            if !self.fields.iter().any(|(known, _)| known == name) {
                complaints.push(forbidden(&[json!(name)], value));
            }
        }
        let case = match complaints.first().and_then(|first| first.get("type")?.as_str()) {
            None => return Ok(()),
            Some("missing") => "missing-field",
            Some("extra_forbidden") => "extra-field",
            Some(_) => "invalid-field",
        };
        Err(refused(case, &complaints))
    }
}

impl Kind {
    fn check(self, place: &[Value], value: &Value, complaints: &mut Vec<Value>) {
        let mut complain = |kind: &str, message: String| {
            complaints.push(complaint(kind, place, &message, value));
        };
        match self {
            Self::Any => {}
            Self::Bool => match value {
                Value::Bool(_) => {}
                Value::String(text) if is_yes(text) || is_no(text) => {}
                Value::Number(number) if number.as_u64().is_some_and(|bit| bit <= 1) => {}
                Value::String(_) | Value::Number(_) => complain(
                    "bool_parsing",
                    "Input should be a valid boolean, unable to interpret input".to_owned(),
                ),
                _ => complain("bool_type", "Input should be a valid boolean".to_owned()),
            },
            Self::Integer(least) => match value {
                Value::Number(number) if number.is_f64() => complain(
                    "int_from_float",
                    "Input should be a valid integer, got a number with a fractional part"
                        .to_owned(),
                ),
                Value::String(text) if text.trim().parse::<i64>().is_err() => complain(
                    "int_parsing",
                    "Input should be a valid integer, unable to parse string as an integer"
                        .to_owned(),
                ),
                Value::Number(_) | Value::String(_) => {
                    if integer(value).is_none_or(|number| number < least) {
                        let message = format!("Input should be greater than or equal to {least}");
                        let mut complaint = complaint("greater_than_equal", place, &message, value);
                        complaint["ctx"] = json!({ "ge": least });
                        complaints.push(complaint);
                    }
                }
                _ => complain("int_type", "Input should be a valid integer".to_owned()),
            },
            Self::Messages => check_messages(place, value, complaints),
            Self::Number(tenths) => {
                let most = f64::from(tenths) / 10.0;
                match value.as_f64() {
                    None => complain("float_type", "Input should be a valid number".to_owned()),
                    Some(number) if number < 0.0 => {
                        let message = "Input should be greater than or equal to 0";
                        let mut complaint = complaint("greater_than_equal", place, message, value);
                        complaint["ctx"] = json!({ "ge": 0.0 });
                        complaints.push(complaint);
                    }
                    Some(number) if number > most => {
                        let message = format!("Input should be less than or equal to {most}");
                        let mut complaint = complaint("less_than_equal", place, &message, value);
                        complaint["ctx"] = json!({ "le": most });
                        complaints.push(complaint);
                    }
                    Some(_) => {}
                }
            }
            Self::StreamOptions => {
                for (name, input) in value.as_object().into_iter().flatten() {
                    complaints.push(forbidden(&[place, &[json!(name)]].concat(), input));
                }
            }
            Self::Text => {
                if !value.is_string() {
                    complain("string_type", "Input should be a valid string".to_owned());
                }
            }
            Self::Tools => match value.as_array() {
                None => complain("list_type", "Input should be a valid list".to_owned()),
                Some(tools) => {
                    for (index, tool) in tools.iter().enumerate() {
                        let place = [place, &[json!(index), json!("function")]].concat();
                        if tool.get("function").is_none() && tool.get("type").is_none() {
                            complaints.push(complaint("missing", &place, "Field required", tool));
                        }
                    }
                }
            },
        }
    }
}

fn complaint(kind: &str, place: &[Value], message: &str, input: &Value) -> Value {
    let place = [&[json!("body")], place].concat();
    json!({ "type": kind, "loc": place, "msg": message, "input": input })
}

fn forbidden(place: &[Value], input: &Value) -> Value {
    complaint("extra_forbidden", place, "Extra inputs are not permitted", input)
}

fn check_messages(place: &[Value], value: &Value, complaints: &mut Vec<Value>) {
    let Some(messages) = value.as_array() else {
        complaints.push(complaint("list_type", place, "Input should be a valid list", value));
        return;
    };
    for (index, message) in messages.iter().enumerate() {
        let place = [place, &[json!(index)]].concat();
        if !message.is_object() {
            let text = "Input should be a valid dictionary or object to extract fields from";
            complaints.push(complaint("model_attributes_type", &place, text, message));
            continue;
        }
        let Some(role) = message.get("role") else {
            let text = "Unable to extract tag using discriminator 'role'";
            let mut complaint = complaint("union_tag_not_found", &place, text, message);
            complaint["ctx"] = json!({ "discriminator": "'role'" });
            complaints.push(complaint);
            continue;
        };
        let tag = role.as_str().map_or_else(|| role.to_string(), str::to_owned);
        if !ROLES.contains(&tag.as_str()) {
            let expected = "'assistant', 'system', 'tool', 'user'";
            let text = format!(
                "Input tag '{tag}' found using 'role' does not match any of the expected tags: \
                 {expected}"
            );
            let mut complaint = complaint("union_tag_invalid", &place, &text, message);
            complaint["ctx"] =
                json!({ "discriminator": "'role'", "tag": tag, "expected_tags": expected });
            complaints.push(complaint);
            continue;
        }
        let known: &[&str] = match tag.as_str() {
            "assistant" => &["role", "content", "tool_calls", "prefix"],
            "tool" => &["role", "content", "tool_call_id", "name"],
            _ => &["role", "content"],
        };
        let place = [place, vec![json!(tag)]].concat();
        let of = |name: &str| [place.as_slice(), &[json!(name)]].concat();
        match message.get("content") {
            None if tag != "assistant" => {
                complaints.push(complaint("missing", &of("content"), "Field required", message));
            }
            None | Some(Value::Null | Value::String(_) | Value::Array(_)) => {}
            Some(other) => {
                let place = [of("content"), vec![json!("str")]].concat();
                let text = "Input should be a valid string";
                complaints.push(complaint("string_type", &place, text, other));
            }
        }
        for (name, input) in message.as_object().into_iter().flatten() {
            if !known.contains(&name.as_str()) {
                complaints.push(forbidden(&of(name), input));
            }
        }
    }
}

/// What Mistral's own library asks of a conversation
/// ([`mistral-common`](https://github.com/mistralai/mistral-common), its request validator).
fn check_order(messages: &[Value]) -> Result<(), Refusal> {
    let order = |message: String| {
        Err(Refusal::new(ErrorKind::BadRequest, "message-order").word("complaint", message))
    };
    let role = |message: &Value| {
        message.get("role").and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let calls = |message: &Value| {
        let calls = message.get("tool_calls").and_then(Value::as_array);
        calls.cloned().unwrap_or_default()
    };
    let Some(last) = messages.last() else {
        return order("Conversation must have at least one message".to_owned());
    };
    for two in messages.windows(2) {
        let (before, after) = (role(&two[0]), role(&two[1]));
        let expected: &[&str] = match before.as_str() {
            "tool" => &["assistant", "tool"],
            "assistant" => &["assistant", "tool", "user"],
            _ => &["assistant", "system", "user"],
        };
        if !expected.contains(&after.as_str()) {
            return order(format!("Unexpected role '{after}' after role '{before}'"));
        }
    }
    let prefix = last.get("prefix") == Some(&Value::Bool(true));
    if !(["user", "tool"].contains(&role(last).as_str()) || prefix) {
        return order(format!(
            "Expected last role User or Tool (or Assistant with prefix True) for serving but got {}",
            role(last)
        ));
    }
    let ids = messages.iter().flat_map(|message| {
        let called = calls(message);
        let called = called.iter().map(|call| call.get("id").cloned()).collect::<Vec<_>>();
        let answered = message.get("tool_call_id").cloned();
        called.into_iter().flatten().chain(answered)
    });
    for id in ids {
        let Some(id) = id.as_str() else { continue };
        let letters = id.bytes().all(|letter| letter.is_ascii_alphanumeric());
        if !letters || id.len() != 9 {
            let refusal = Refusal::new(ErrorKind::BadRequest, "tool-call-id");
            return Err(refusal.word("tool-call-id", id));
        }
    }
    let mut open = 0;
    for message in messages {
        match role(message).as_str() {
            "tool" => open -= 1_i64,
            _ if open != 0 => break,
            _ => open = i64::try_from(calls(message).len()).unwrap_or(i64::MAX),
        }
    }
    if open != 0 {
        return order("Not the same number of function calls and responses".to_owned());
    }
    Ok(())
}

const ROLES: [&str; 4] = ["assistant", "system", "tool", "user"];

/// The fields of a chat; names and order as in `mistralai` 3.7.0.
const CHAT_FIELDS: &[(&str, Kind)] = &[
    ("model", Kind::Text),
    ("temperature", Kind::Number(15)),
    ("top_p", Kind::Number(10)),
    ("max_tokens", Kind::Integer(0)),
    ("stream", Kind::Bool),
    ("stop", Kind::Any),
    ("random_seed", Kind::Integer(0)),
    ("metadata", Kind::Any),
    ("messages", Kind::Messages),
    ("response_format", Kind::Any),
    ("tools", Kind::Tools),
    ("tool_choice", Kind::Any),
    ("presence_penalty", Kind::Any),
    ("frequency_penalty", Kind::Any),
    ("min_tokens", Kind::Integer(0)),
    ("repetition_penalty", Kind::Any),
    ("top_k", Kind::Any),
    ("logprobs", Kind::Bool),
    ("top_logprobs", Kind::Integer(0)),
    ("prompt_logprobs", Kind::Bool),
    ("top_prompt_logprobs", Kind::Integer(0)),
    ("n", Kind::Integer(1)),
    ("prediction", Kind::Any),
    ("parallel_tool_calls", Kind::Bool),
    ("reasoning_effort", Kind::Any),
    ("prompt_mode", Kind::Any),
    ("guardrails", Kind::Any),
    ("prompt_cache_key", Kind::Text),
    ("service_tier", Kind::Any),
    ("safe_prompt", Kind::Bool),
    ("stream_options", Kind::StreamOptions),
];

/// The fields of a completion in the middle.
const FIM_FIELDS: &[(&str, Kind)] = &[
    ("model", Kind::Text),
    ("temperature", Kind::Number(15)),
    ("top_p", Kind::Number(10)),
    ("max_tokens", Kind::Integer(0)),
    ("stream", Kind::Bool),
    ("stop", Kind::Any),
    ("random_seed", Kind::Integer(0)),
    ("metadata", Kind::Any),
    ("prompt", Kind::Text),
    ("suffix", Kind::Text),
    ("min_tokens", Kind::Integer(0)),
    ("prompt_cache_key", Kind::Text),
];

/// The fields of an embedding.
const EMBEDDING_FIELDS: &[(&str, Kind)] = &[
    ("model", Kind::Text),
    ("input", Kind::Any),
    ("metadata", Kind::Any),
    ("output_dimension", Kind::Integer(1)),
    ("output_dtype", Kind::Any),
    ("encoding_format", Kind::Any),
];
