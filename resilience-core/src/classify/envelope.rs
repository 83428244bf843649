//! What an error body says, whatever shape it has.

use serde_json::{Map, Value};

use crate::hint::integer;

/// The parts of an error body that rows look at.
#[derive(Debug, Default)]
pub(super) struct Envelope {
    /// The code; a number is read as its digits.
    pub(super) code: Option<String>,
    /// The type.
    pub(super) kind: Option<String>,
    /// The message, or the text of a body that is not JSON.
    pub(super) message: String,
    pub(super) request_id: Option<String>,
    /// A status that the body itself gives.
    status: Option<u16>,
    /// Whether this is an answer by which the model refuses.
    pub(super) refused: bool,
}

impl Envelope {
    /// Reads a body of any kind; what is not there stays empty.
    pub(super) fn read(body: &[u8]) -> Self {
        let body = body.get(..BODY_BYTES_MAX).unwrap_or(body);
        match serde_json::from_slice::<Value>(body) {
            Ok(Value::Object(root)) => Self::of_object(&root),
            // Gemini wraps the errors of its streams in a list.
            Ok(Value::Array(list)) => match list.first() {
                Some(Value::Object(root)) => Self::of_object(root),
                _ => Self::default(),
            },
            Ok(Value::String(text)) => Self { message: text, ..Self::default() },
            Ok(Value::Null | Value::Bool(_) | Value::Number(_)) => Self::default(),
            Err(_) => Self { message: plain(&String::from_utf8_lossy(body)), ..Self::default() },
        }
    }

    /// Whether a body that came with a 2xx is an error all the same.
    pub(super) fn names_an_error(&self) -> bool {
        self.code.is_some() || self.kind.is_some()
    }

    /// The status that an error of this code or type comes with when it comes alone.
    pub(super) fn usual_status(&self) -> u16 {
        let known = |word: &Option<String>| {
            let word = word.as_deref()?;
            USUAL_STATUS.iter().find(|(name, _)| *name == word).map(|(_, status)| *status)
        };
        // A number in the body is a status if it can be one.
        let number = || self.code.as_deref()?.parse().ok().filter(|code| (400..600).contains(code));
        known(&self.code)
            .or_else(|| known(&self.kind))
            .or(self.status)
            .or_else(number)
            .unwrap_or(500)
    }

    fn of_object(root: &Map<String, Value>) -> Self {
        let response = root.get("response").and_then(Value::as_object);
        let error = root
            .get("error")
            .filter(|error| !error.is_null())
            .or_else(|| response?.get("error").filter(|error| !error.is_null()));
        let mut envelope = match error {
            Some(Value::Object(error)) => Self::of_error(error),
            // Ollama and many gateways: the error is a sentence.
            Some(Value::String(text)) => {
                Self { kind: Some("error".to_owned()), message: text.clone(), ..Self::default() }
            }
            _ => Self::flat(root),
        };
        envelope.request_id = word(root, "request_id").or(envelope.request_id);
        envelope.refused = root.get("stop_reason").and_then(Value::as_str) == Some("refusal");
        envelope
    }

    fn of_error(error: &Map<String, Value>) -> Self {
        // Anthropic keeps its codes one level down.
        let detail = error.get("details").and_then(Value::as_object);
        Self {
            code: word(error, "code").or_else(|| word(detail?, "error_code")),
            kind: word(error, "type"),
            message: word(error, "message").unwrap_or_default(),
            request_id: word(error, "request_id"),
            status: number(error, "status"),
            refused: false,
        }
    }

    /// The error is the whole body: OpenAI's `error` events, Azure's gateway, a bare `detail`.
    fn flat(root: &Map<String, Value>) -> Self {
        let event = root.get("type").and_then(Value::as_str) == Some("error");
        let status = number(root, "statusCode").or_else(|| number(root, "status"));
        let code = word(root, "code").or_else(|| status.map(|status| status.to_string()));
        let message = ["message", "detail", "error_description"]
            .iter()
            .find_map(|name| word(root, name))
            .unwrap_or_default();
        let kind = if event {
            Some("error".to_owned())
        } else {
            word(root, "error_type")
                .or_else(|| code.is_some().then(|| word(root, "type")).flatten())
        };
        Self { code, kind, message, status, ..Self::default() }
    }
}

/// A string, or a number as one.
fn word(object: &Map<String, Value>, name: &str) -> Option<String> {
    match object.get(name)? {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn number(object: &Map<String, Value>, name: &str) -> Option<u16> {
    object.get(name)?.as_u64().and_then(|number| u16::try_from(number).ok())
}

/// The title of a page of HTML, or the text itself.
fn plain(text: &str) -> String {
    let lower = text.to_ascii_lowercase();
    let title = lower.find("<title>").and_then(|from| {
        let from = from + "<title>".len();
        let to = lower[from..].find("</title>")? + from;
        Some(text[from..to].to_owned())
    });
    title.unwrap_or_else(|| text.trim().to_owned())
}

/// The window, and what was asked of it, as an overflow message names them.
///
/// The message is in lower case.
pub(super) fn window_numbers(message: &str) -> (Option<u64>, Option<u64>) {
    let after = |words: &str| {
        let (_, rest) = message.split_once(words)?;
        integer(rest.trim_start()).map(|(number, _)| number)
    };
    // Anthropic adds up: "143653 + 64000 > 200000".
    let sum = after("exceed context limit:").and_then(|input| {
        let (_, rest) = message.split_once(" + ")?;
        integer(rest).map(|(output, _)| input.saturating_add(output))
    });
    let limit = ["maximum context length is ", "configured limit of ", " > "]
        .iter()
        .find_map(|words| after(words));
    let requested = sum.or_else(|| REQUESTED.iter().find_map(|words| after(words)));
    (limit, requested)
}

/// What stands before the tokens asked for.
const REQUESTED: [&str; 4] =
    ["resulted in ", "you requested ", "requested about ", "prompt is too long: "];

/// The status that a code or type has when it comes as an HTTP error, for those that also come inside a stream.
const USUAL_STATUS: [(&str, u16); 22] = [
    ("api_error", 500),
    ("authentication_error", 401),
    ("billing_error", 402),
    ("billing_not_active", 429),
    ("content_filter", 400),
    ("content_policy_violation", 400),
    ("context_length_exceeded", 400),
    ("credit_balance_exhausted", 429),
    ("insufficient_quota", 429),
    ("invalid_api_key", 401),
    ("invalid_prompt", 400),
    ("invalid_request_error", 400),
    ("not_found_error", 404),
    ("overloaded_error", 529),
    ("permission_error", 403),
    ("rate_limit_error", 429),
    ("rate_limit_exceeded", 429),
    ("request_too_large", 413),
    ("server_error", 500),
    ("server_is_overloaded", 503),
    ("slow_down", 429),
    ("timeout_error", 504),
];

/// How much of a body is read; an error that does not fit is read as text.
const BODY_BYTES_MAX: usize = 1 << 20;
