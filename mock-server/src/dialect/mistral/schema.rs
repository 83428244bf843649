//! What Mistral takes, and what it complains of: every field in turn, and then what does not belong.
//!
//! The words are Pydantic's.

use serde_json::{Value, json};

use crate::{
    action::ErrorKind,
    dialect::{MISTAKES_MAX, Refusal},
    plan::Route,
};

/// What a route takes: its fields in the order in which they are checked.
#[derive(Debug)]
pub(super) struct Schema {
    required: &'static [&'static str],
    fields: &'static [(&'static str, Kind)],
}

/// What may stand in a field.
#[derive(Clone, Copy, Debug)]
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
    /// What a route takes.
    pub(super) fn of(route: Route) -> Self {
        match route {
            Route::MistralEmbeddings => {
                Self { required: &["model", "input"], fields: EMBEDDING_FIELDS }
            }
            Route::MistralFim => Self { required: &["model", "prompt"], fields: FIM_FIELDS },
            _ => Self { required: &["model", "messages"], fields: CHAT_FIELDS },
        }
    }

    /// Collects every complaint: the fields in their order, then what does not belong.
    pub(super) fn check(&self, body: &Value) -> Result<(), Refusal> {
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
            let is_known = self.fields.iter().any(|(known, _)| known == name);
            if !is_known && complaints.len() < MISTAKES_MAX {
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
                for (name, input) in value.as_object().into_iter().flatten().take(MISTAKES_MAX) {
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
                        if complaints.len() >= MISTAKES_MAX {
                            break;
                        }
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
        if complaints.len() >= MISTAKES_MAX {
            break;
        }
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
            if !known.contains(&name.as_str()) && complaints.len() < MISTAKES_MAX {
                complaints.push(forbidden(&of(name), input));
            }
        }
    }
}

/// The complaints of the schema.
pub(super) fn refused(case: &'static str, complaints: &[Value]) -> Refusal {
    let complaints = complaints.iter().map(Value::to_string).collect::<Vec<_>>().join(",");
    Refusal::new(ErrorKind::BadRequest, case).word("complaints", complaints)
}

/// A number, also one that stands in a string: Pydantic takes both.
pub(super) fn integer(value: &Value) -> Option<u64> {
    match value {
        Value::String(text) => text.trim().parse().ok(),
        value => value.as_u64(),
    }
}

/// A boolean in any of the forms that Pydantic takes.
pub(super) fn truth(value: &Value) -> bool {
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
