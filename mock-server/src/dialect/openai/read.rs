//! Understanding a request: the gateway's checks, then those of the application.

mod chat;
mod prompt;
mod responses;

use std::rc::Rc;

use serde_json::Value;

use super::{Api, models};
use crate::{
    action::ErrorKind,
    dialect::{Head, Refusal, bearer, field},
    plan::Route,
    request::{Conversation, Request, Wishes},
};

/// A request whose key is good and whose body is JSON.
pub(in crate::dialect) struct Asked<'a> {
    /// Where it was sent.
    pub(in crate::dialect) route: Route,
    /// The model that its sender names.
    pub(in crate::dialect) model: String,
    /// The model by whose rules it is read; of a deployment the one behind it.
    pub(in crate::dialect) rules: &'a str,
    /// The key.
    pub(in crate::dialect) key: String,
    /// The head.
    pub(in crate::dialect) head: &'a Head<'a>,
    /// The body.
    pub(in crate::dialect) body: Value,
}

/// What the application makes of a body.
struct Understood {
    streaming: bool,
    conversation: Conversation,
    input_tokens: u64,
    output_tokens_max: Option<u64>,
    wishes: Wishes,
}

/// The parameters of a body, or of an object in it.
#[derive(Clone, Debug)]
struct Parameters<'a> {
    values: &'a Value,
    /// Where they stand, as errors name it; empty for the body.
    path: Rc<str>,
    /// Their place in the list that stands there.
    index: Option<usize>,
}

/// The request, or the refusal: method, key, syntax, model, then the parameters.
pub(super) fn request(route: Route, head: &Head<'_>, body: &[u8]) -> Result<Request, Refusal> {
    let api = Api::of(route);
    let method = if api == Api::Models { "GET" } else { "POST" };
    if head.method != method {
        return Err(invalid("method").word("allowed", method));
    }
    let key = key(head).ok_or_else(|| Refusal::new(ErrorKind::Authentication, "missing-key"))?;
    if api == Api::Models {
        let (_, last) = head.path.rsplit_once('/').unwrap_or_default();
        let model = if last == "models" { String::new() } else { last.to_owned() };
        if !model.is_empty() && !models::exists(&model) {
            return Err(Refusal::new(ErrorKind::NotFound, "model").word("model", model));
        }
        return Ok(Request { model, key, ..Request::unknown(route, head.headers.clone()) });
    }
    let body = json(body)?;
    let model = field(&body, "model").and_then(Value::as_str).unwrap_or_default().to_owned();
    if model.is_empty() {
        return Err(match api {
            Api::Responses => missing("model"),
            _ => invalid("missing-model"),
        });
    }
    fits(api, &model)?;
    let rules = model.clone();
    understand(Asked { route, model, rules: &rules, key, head, body })
}

/// The body as JSON.
pub(in crate::dialect) fn json(body: &[u8]) -> Result<Value, Refusal> {
    serde_json::from_slice(body).map_err(|_| invalid("malformed-json"))
}

/// The checks of the application, which are the same whoever serves the model.
pub(in crate::dialect) fn understand(asked: Asked<'_>) -> Result<Request, Refusal> {
    let Asked { route, model, rules, key, head, body } = asked;
    let parameters = Parameters { values: &body, path: Rc::default(), index: None };
    let Understood { streaming, conversation, input_tokens, output_tokens_max, wishes } =
        match Api::of(route) {
            Api::Chat => chat::read(rules, &parameters)?,
            Api::Completions => prompt::completion(rules, &parameters)?,
            Api::Embeddings => prompt::embedding(rules, &parameters)?,
            Api::Models => Understood::nothing(),
            Api::Responses => responses::read(rules, &parameters)?,
        };
    Ok(Request {
        route,
        key,
        headers: head.headers.clone(),
        connection: 0,
        streaming,
        conversation,
        input_tokens,
        output_tokens_max,
        wishes,
        model,
        body,
    })
}

/// Whether a model is served where it is asked for.
fn fits(api: Api, model: &str) -> Result<(), Refusal> {
    let completes = ["davinci-002", "babbage-002"].contains(&model) || model.ends_with("-instruct");
    let chats = !completes && (model.starts_with("gpt-") || super::reasons(model));
    match api {
        Api::Chat if completes => Err(Refusal::new(ErrorKind::NotFound, "no-chat-model")),
        Api::Completions if chats => Err(Refusal::new(ErrorKind::NotFound, "chat-model")),
        _ => Ok(()),
    }
}

/// The key of a Bearer header, or the password of a Basic one.
fn key(head: &Head<'_>) -> Option<String> {
    if let Some(token) = bearer(head.headers) {
        return Some(token.to_owned());
    }
    let (scheme, credentials) = head.headers.get("authorization")?.split_once(' ')?;
    // The credentials are taken as they stand: which key it is matters only to tell keys apart.
    let credentials = credentials.trim();
    (scheme.eq_ignore_ascii_case("basic") && !credentials.is_empty())
        .then(|| credentials.to_owned())
}

/// A request that cannot be understood.
fn invalid(case: &'static str) -> Refusal {
    Refusal::new(ErrorKind::BadRequest, case)
}

fn missing(param: &str) -> Refusal {
    invalid("missing-parameter").word("param", param)
}

fn wrong_type(param: &str, expected: &str, found: &Value) -> Refusal {
    let found = match found {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(number) if number.is_f64() => "a decimal number",
        Value::Number(_) => "an integer",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    };
    invalid("wrong-type").word("param", param).word("expected", expected).word("found", found)
}

fn wrong_value(param: &str, found: &str, supported: &[&str]) -> Refusal {
    let names: Vec<String> = supported.iter().map(|name| format!("'{name}'")).collect();
    let supported = match names.split_last() {
        Some((last, [only])) => format!("{only} and {last}"),
        Some((last, rest)) if !rest.is_empty() => format!("{}, and {last}", rest.join(", ")),
        _ => names.join(""),
    };
    invalid("wrong-value").word("param", param).word("found", found).word("supported", supported)
}

impl Understood {
    /// What a request for a list says.
    fn nothing() -> Self {
        Self {
            streaming: false,
            conversation: Conversation::default(),
            input_tokens: 0,
            output_tokens_max: None,
            wishes: Wishes::default(),
        }
    }
}

impl<'a> Parameters<'a> {
    /// Where a parameter stands, as errors name it.
    fn path(&self, name: &str) -> String {
        match self.index {
            Some(index) => format!("{}[{index}].{name}", self.path),
            None if self.path.is_empty() => name.to_owned(),
            None => format!("{}.{name}", self.path),
        }
    }

    /// A parameter; null is none.
    fn given(&self, name: &str) -> Option<&'a Value> {
        field(self.values, name).filter(|value| !value.is_null())
    }

    /// An object among the parameters.
    fn within(&self, name: &str) -> Result<Option<Self>, Refusal> {
        let Some(values) = self.given(name) else { return Ok(None) };
        let path = self.path(name);
        if values.is_object() {
            Ok(Some(Self { values, path: path.into(), index: None }))
        } else {
            Err(wrong_type(&path, "an object", values))
        }
    }

    /// The objects of a list among the parameters.
    fn objects(&self, name: &str) -> Result<Option<Vec<Self>>, Refusal> {
        let Some(list) = self.given(name) else { return Ok(None) };
        let path: Rc<str> = self.path(name).into();
        let Some(items) = list.as_array() else {
            return Err(wrong_type(&path, "an array of objects", list));
        };
        let objects = items.iter().enumerate().map(|(index, values)| {
            if values.is_object() {
                Ok(Self { values, path: Rc::clone(&path), index: Some(index) })
            } else {
                Err(wrong_type(&format!("{path}[{index}]"), "an object", values))
            }
        });
        objects.collect::<Result<_, _>>().map(Some)
    }

    /// Whether something is wanted; not if nothing is said.
    fn flag(&self, name: &str) -> Result<bool, Refusal> {
        match self.given(name) {
            None => Ok(false),
            Some(Value::Bool(wanted)) => Ok(*wanted),
            Some(other) => Err(wrong_type(&self.path(name), "a boolean", other)),
        }
    }

    fn text(&self, name: &str) -> Result<Option<&'a str>, Refusal> {
        match self.given(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(wrong_type(&self.path(name), "a string", other)),
        }
    }

    /// A text that must be there.
    fn required(&self, name: &str) -> Result<&'a str, Refusal> {
        self.text(name)?.ok_or_else(|| missing(&self.path(name)))
    }

    /// A text that must be one of a few.
    fn choice(&self, name: &str, supported: &[&str]) -> Result<Option<&'a str>, Refusal> {
        match self.text(name)? {
            Some(found) if !supported.contains(&found) => {
                Err(wrong_value(&self.path(name), found, supported))
            }
            found => Ok(found),
        }
    }

    fn integer(&self, name: &str, least: u64, most: u64) -> Result<Option<u64>, Refusal> {
        let Some(value) = self.given(name) else { return Ok(None) };
        let out =
            |case| invalid(case).word("param", self.path(name)).word("found", value.to_string());
        match value.as_u64() {
            Some(number) if number < least => {
                Err(out("below-minimum").word("least", least.to_string()))
            }
            Some(number) if number > most => {
                Err(out("above-maximum").word("most", most.to_string()))
            }
            Some(number) => Ok(Some(number)),
            None if value.is_i64() => Err(out("below-minimum").word("least", least.to_string())),
            None => Err(wrong_type(&self.path(name), "an integer", value)),
        }
    }

    /// Checks a number that may be broken.
    fn decimal(&self, name: &str, least: i32, most: i32) -> Result<(), Refusal> {
        let Some(value) = self.given(name) else { return Ok(()) };
        let out =
            |case| invalid(case).word("param", self.path(name)).word("found", value.to_string());
        match value.as_f64() {
            Some(number) if number < f64::from(least) => {
                Err(out("decimal-below-min-value").word("least", least.to_string()))
            }
            Some(number) if number > f64::from(most) => {
                Err(out("decimal-above-max-value").word("most", most.to_string()))
            }
            Some(_) => Ok(()),
            None => Err(wrong_type(&self.path(name), "a decimal", value)),
        }
    }

    /// Refuses the first parameter that is not among the known ones.
    fn only(&self, known: &[&str]) -> Result<(), Refusal> {
        let names = self.values.as_object().into_iter().flat_map(|values| values.keys());
        let mut unknown = names.filter(|name| !known.contains(&name.as_str()));
        match unknown.next() {
            Some(name) => Err(invalid("unknown-parameter").word("param", self.path(name))),
            None => Ok(()),
        }
    }

    /// The numbers that say how a text is drawn.
    fn sampling(&self) -> Result<(), Refusal> {
        self.decimal("temperature", 0, 2)?;
        self.decimal("top_p", 0, 1)?;
        self.decimal("frequency_penalty", -2, 2)?;
        self.decimal("presence_penalty", -2, 2)
    }

    /// Whether a stream is wanted; its options say nothing without one.
    fn streaming(&self) -> Result<bool, Refusal> {
        let streaming = self.flag("stream")?;
        if let Some(options) = self.within("stream_options")? {
            options.flag("include_usage")?;
            options.flag("include_obfuscation")?;
            if !streaming {
                return Err(invalid("stream-options"));
            }
        }
        Ok(streaming)
    }

    /// The texts at which an answer ends, four at most.
    fn stops(&self) -> Result<Vec<String>, Refusal> {
        let path = || self.path("stop");
        match self.given("stop") {
            None => Ok(Vec::new()),
            Some(Value::String(stop)) => Ok(vec![stop.clone()]),
            Some(Value::Array(stops)) if stops.len() > 4 => Err(invalid("long-array")
                .word("param", path())
                .word("most", "4")
                .word("found", stops.len().to_string())),
            Some(Value::Array(stops)) => {
                let texts = stops.iter().enumerate().map(|(index, stop)| match stop {
                    Value::String(text) => Ok(text.clone()),
                    other => Err(wrong_type(&format!("{}[{index}]", path()), "a string", other)),
                });
                texts.collect()
            }
            Some(other) => Err(wrong_type(&path(), "one of a string or array of strings", other)),
        }
    }
}

/// The name of a function, which has few letters to choose from.
fn function_name<'a>(function: &Parameters<'a>) -> Result<&'a str, Refusal> {
    let name = function.required("name")?;
    let plain = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-');
    if name.is_empty() || !name.chars().all(plain) {
        return Err(invalid("pattern").word("param", function.path("name")));
    }
    Ok(name)
}
