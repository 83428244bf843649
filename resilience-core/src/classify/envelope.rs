//! What an error body says, whatever shape it has.

use serde_json::{Map, Value};

/// The parts of an error body that rows look at.
#[derive(Debug, Default)]
pub(super) struct Envelope {
    /// The code; a number is read as its digits.
    pub(super) code: Option<String>,
    /// The type.
    pub(super) kind: Option<String>,
    /// The message, or the text of a body that is not JSON.
    pub(super) message: String,
    /// What the error says for machines beside its code: `name=value`, one a line.
    pub(super) details: String,
    /// How long to stay away, in Google's [`RetryInfo`](https://github.com/googleapis/googleapis/blob/master/google/rpc/error_details.proto).
    pub(super) retry_delay: Option<String>,
    /// Header fields that OpenRouter puts into the body.
    pub(super) headers: Vec<(String, String)>,
    /// The provider's name for the request.
    pub(super) request_id: Option<String>,
    /// Whether this is an answer by which the model or a filter refuses.
    pub(super) refused: bool,
    /// A status that the body itself gives.
    status: Option<u16>,
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

    /// The same error with the exception's name that AWS sends beside the body.
    ///
    /// A header has more behind a colon, and an event stream begins with a small letter.
    pub(super) fn with_exception(mut self, name: &str) -> Self {
        let name = name.split(':').next().unwrap_or_default().trim_ascii();
        let mut chars = name.chars();
        if let Some(first) = chars.next() {
            self.code = Some(first.to_ascii_uppercase().to_string() + chars.as_str());
        }
        self
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
        if !envelope.names_an_error()
            && let Some(reason) = refusal(root)
        {
            envelope.refused = true;
            envelope.code = Some(reason.to_owned());
        }
        envelope
    }

    fn of_error(error: &Map<String, Value>) -> Self {
        let mut envelope = Self {
            code: word(error, "code"),
            kind: word(error, "type"),
            message: word(error, "message").unwrap_or_default(),
            request_id: word(error, "request_id"),
            status: number(error, "status"),
            ..Self::default()
        };
        match error.get("details") {
            // Anthropic keeps its codes one level down.
            Some(Value::Object(detail)) => {
                envelope.code = envelope.code.or_else(|| word(detail, "error_code"));
            }
            Some(Value::Array(details)) => envelope.add_google(details),
            _ => {}
        }
        if let Some(inner) = error.get("innererror").and_then(Value::as_object) {
            envelope.code = envelope.code.or_else(|| word(inner, "code"));
        }
        // Google's code is the status, and its status the type.
        if let Some(Value::String(status)) = error.get("status") {
            envelope.kind = Some(status.clone());
            envelope.status = number(error, "code");
            envelope.code = envelope.code.filter(|code| {
                number(error, "code").is_none_or(|number| *code != number.to_string())
            });
        }
        if let Some(metadata) = error.get("metadata").and_then(Value::as_object) {
            envelope.add_openrouter(metadata);
        }
        envelope
    }

    /// The `details` of a [`google.rpc.Status`](https://github.com/googleapis/googleapis/blob/master/google/rpc/error_details.proto).
    fn add_google(&mut self, details: &[Value]) {
        for detail in details.iter().filter_map(Value::as_object) {
            if let Some(reason) = word(detail, "reason") {
                self.code = Some(reason);
            }
            if let Some(delay) = word(detail, "retryDelay") {
                self.retry_delay = Some(delay);
            }
            let limit = detail.get("metadata").and_then(|metadata| metadata.get("quota_limit"));
            let violations = detail.get("violations").and_then(Value::as_array);
            let ids = violations.into_iter().flatten().filter_map(|broken| broken.get("quotaId"));
            for id in limit.into_iter().chain(ids).filter_map(Value::as_str) {
                self.details.push_str("quota=");
                self.details.push_str(id);
                self.details.push('\n');
            }
        }
    }

    /// What OpenRouter adds: why it refused, what a provider said, and headers that a stream cannot have.
    fn add_openrouter(&mut self, metadata: &Map<String, Value>) {
        if metadata.get("reasons").is_some_and(Value::is_array) {
            self.details.push_str("metadata.reasons\n");
        }
        if let Some(raw) = word(metadata, "raw") {
            self.message.push_str(": ");
            self.message.push_str(&raw);
        }
        if let Some(headers) = metadata.get("headers").and_then(Value::as_object) {
            let fields = headers.iter().map(|(name, _)| (name.clone(), word(headers, name)));
            self.headers = fields.filter_map(|(name, value)| Some((name, value?))).collect();
        }
    }

    /// The error is the whole body: OpenAI's `error` events, Mistral's objects, Azure's gateway, a bare `detail`.
    fn flat(root: &Map<String, Value>) -> Self {
        let text = |name| root.get(name).and_then(Value::as_str);
        let message = ["message", "detail", "error_description"]
            .iter()
            .find_map(|name| word(root, name))
            .or_else(|| first_detail(root))
            .unwrap_or_default();
        let status =
            ["statusCode", "status", "raw_status_code"].iter().find_map(|name| number(root, name));
        let status = status.filter(|status| *status >= 400);
        let failed = text("type") == Some("error") || finish_reason(root) == Some("error");
        // Events of a stream have codes, too, but no message.
        let code = word(root, "code").filter(|_| !message.is_empty());
        let code = code
            .or_else(|| status.map(|status| status.to_string()))
            .or_else(|| text("__type").map(|name| after_hash(name).to_owned()));
        let kind = if failed {
            Some("error".to_owned())
        } else {
            let typed = code.is_some() || text("object") == Some("error");
            word(root, "error_type").or_else(|| typed.then(|| word(root, "type")).flatten())
        };
        Self { code, kind, message, status, ..Self::default() }
    }
}

/// The word by which an answer says that it is a refusal, if it is one.
fn refusal(root: &Map<String, Value>) -> Option<&str> {
    // In an Anthropic stream it stands in the last delta.
    let stop = root.get("stop_reason").or_else(|| root.get("delta")?.get("stop_reason"));
    let stop = stop.and_then(Value::as_str).filter(|reason| *reason == "refusal");
    let blocked = || root.get("promptFeedback")?.get("blockReason")?.as_str();
    let filtered = || {
        let reason = root.get("candidates")?.get(0)?.get("finishReason")?.as_str()?;
        FILTERED.contains(&reason).then_some(reason)
    };
    stop.or_else(blocked).or_else(filtered)
}

/// The finish reason of a completion, or of the last piece of a stream.
fn finish_reason(root: &Map<String, Value>) -> Option<&str> {
    root.get("choices")?.get(0)?.get("finish_reason")?.as_str()
}

/// The first complaint of a web framework's list: `{"detail":[{"msg":"Field required"}]}`.
fn first_detail(root: &Map<String, Value>) -> Option<String> {
    word(root.get("detail")?.get(0)?.as_object()?, "msg")
}

/// AWS's JSON protocols put a namespace before the name.
fn after_hash(name: &str) -> &str {
    name.rsplit_once('#').map_or(name, |(_, name)| name)
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

/// Gemini's [finish reasons](https://ai.google.dev/api/generate-content#FinishReason) that a filter is behind.
const FILTERED: [&str; 6] =
    ["BLOCKLIST", "IMAGE_SAFETY", "PROHIBITED_CONTENT", "RECITATION", "SAFETY", "SPII"];

/// The status that a code or type has when it comes as an HTTP error, for those that also come inside a stream.
const USUAL_STATUS: [(&str, u16); 40] = [
    ("CANCELLED", 499),
    ("DEADLINE_EXCEEDED", 504),
    ("FAILED_PRECONDITION", 400),
    ("INTERNAL", 500),
    ("INVALID_ARGUMENT", 400),
    ("NOT_FOUND", 404),
    ("PERMISSION_DENIED", 403),
    ("RESOURCE_EXHAUSTED", 429),
    ("TOO_MANY_TOKENS", 400),
    ("ThrottlingException", 429),
    ("UNAUTHENTICATED", 401),
    ("UNAVAILABLE", 503),
    ("api_error", 500),
    ("authentication_error", 401),
    ("billing_error", 402),
    ("billing_not_active", 429),
    ("conflict_error", 409),
    ("content_filter", 400),
    ("content_policy_violation", 400),
    ("context_length_exceeded", 400),
    ("credit_balance_exhausted", 429),
    ("insufficient_quota", 429),
    ("internal_server_error", 500),
    ("invalid_api_key", 401),
    ("invalid_model", 400),
    ("invalid_prompt", 400),
    ("invalid_request_error", 400),
    ("model_not_found", 404),
    ("not_found_error", 404),
    ("overloaded_error", 529),
    ("permission_error", 403),
    ("rate_limit_error", 429),
    ("rate_limit_exceeded", 429),
    ("rate_limited", 429),
    ("request_too_large", 413),
    ("server_error", 500),
    ("server_is_overloaded", 503),
    ("service_tier_capacity_exceeded", 429),
    ("slow_down", 429),
    ("timeout_error", 504),
];

/// How much of a body is read; an error that does not fit is read as text.
const BODY_BYTES_MAX: usize = 1 << 20;
