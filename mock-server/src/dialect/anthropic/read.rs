//! Understanding a request to Anthropic.

use serde_json::Value;

use super::content;
use crate::{
    action::ErrorKind,
    dialect::{Head, Refusal, bearer},
    models,
    plan::{Route, Service},
    request::{Conversation, Format, Request, Tool, ToolChoice, Wishes},
};

/// The request, or the refusal: key, then version, then syntax, then the parameters.
pub(super) fn request(route: Route, head: &Head<'_>, body: &[u8]) -> Result<Request, Refusal> {
    let lists = route.service() == Service::List;
    if head.method != if lists { "GET" } else { "POST" } {
        return Err(Refusal::new(ErrorKind::BadRequest, "method"));
    }
    let headers = head.headers;
    let browser = headers.get("origin").is_some();
    if browser && headers.get("anthropic-dangerous-direct-browser-access").is_none() {
        return Err(Refusal::new(ErrorKind::Authentication, "browser"));
    }
    let key = headers.get("x-api-key").filter(|key| !key.is_empty());
    let Some(key) = key.or_else(|| bearer(headers)) else {
        return Err(Refusal::new(ErrorKind::Authentication, "missing-key"));
    };
    let version = Version::read(head)?;
    let mut request = Request { key: key.to_owned(), ..Request::unknown(route, headers.clone()) };
    if lists {
        let last = head.path.rsplit('/').next().unwrap_or_default();
        request.model = if last == "models" { String::new() } else { last.to_owned() };
        return Ok(request);
    }
    let body: Value = serde_json::from_slice(body).map_err(|mistake| malformed_json(&mistake))?;
    let Some(fields) = body.as_object() else {
        return Err(invalid("Input should be a valid dictionary or object to extract fields from"));
    };
    let counts = route.service() == Service::Count;
    let (required, known) =
        if counts { (&REQUIRED[..2], &KNOWN_TO_COUNT[..]) } else { (&REQUIRED[..], &KNOWN[..]) };
    for field in required {
        if fields.get(*field).is_none_or(Value::is_null) {
            return Err(invalid(&format!("{field}: Field required")));
        }
    }
    let Some(model) = body.get("model").and_then(Value::as_str) else {
        return Err(invalid("model: Input should be a valid string"));
    };
    if model.is_empty() {
        return Err(invalid("model: String should have at least 1 character"));
    }
    model.clone_into(&mut request.model);
    // What is on trial is announced by a header, and unknown to us.
    let trial = headers.get("anthropic-beta").is_some();
    let unknown = fields.keys().find(|field| !known.contains(&field.as_str()));
    if let Some(field) = unknown.filter(|_| !trial) {
        return Err(invalid(&format!("{field}: Extra inputs are not permitted")));
    }
    if !counts {
        request.output_tokens_max = Some(output_tokens_max(model, &body)?);
    }
    let turns = content::turns(&body, version)?;
    sampling(&body, version)?;
    request.streaming = match body.get("stream") {
        None | Some(Value::Null) => false,
        Some(Value::Bool(streaming)) => *streaming,
        Some(_) => return Err(invalid("stream: Input should be a valid boolean")),
    };
    request.wishes = wishes(&request, &body)?;
    request.conversation = Conversation::new(turns);
    request.input_tokens = content::input_tokens(model, &body, &request.wishes.tool_choice);
    request.body = body;
    Ok(request)
}

/// The versions of the API, the older first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Version {
    /// `2023-06-01`.
    First,
    /// `2026-10-21`: no sampling, and stricter about what stands in whose turn.
    Second,
}

impl Version {
    fn read(head: &Head<'_>) -> Result<Self, Refusal> {
        let refused = |message: &str| {
            Err(Refusal::new(ErrorKind::BadRequest, "version").word("message", message))
        };
        let versions: Vec<&str> = head.headers.all("anthropic-version").collect();
        match versions.as_slice() {
            [] => refused("header is required"),
            ["2023-06-01"] => Ok(Self::First),
            ["2026-10-21"] => Ok(Self::Second),
            versions => refused(&format!("\"{}\" is not a valid version", versions.join(", "))),
        }
    }
}

/// A request that cannot be understood.
pub(super) fn invalid(message: &str) -> Refusal {
    Refusal::new(ErrorKind::BadRequest, "invalid").word("message", message)
}

fn malformed_json(mistake: &serde_json::Error) -> Refusal {
    let reason = mistake.to_string();
    let reason = reason.split(" at line ").next().unwrap_or(&reason);
    Refusal::new(ErrorKind::BadRequest, "malformed-json")
        .word("reason", reason)
        .word("line", mistake.line().to_string())
        .word("column", mistake.column().to_string())
        .word("char", mistake.column().saturating_sub(1).to_string())
}

/// The most tokens of the answer, which the model must be able to write.
fn output_tokens_max(model: &str, body: &Value) -> Result<u64, Refusal> {
    let given = body.get("max_tokens").unwrap_or(&Value::Null);
    let most = models::facts(model).and_then(|facts| facts.max_output_tokens);
    let message = match (given.as_u64(), most) {
        (Some(0), _) => "max_tokens: must be greater than or equal to 1".to_owned(),
        (Some(tokens), Some(most)) if tokens > most => format!(
            "max_tokens: {tokens} > {most}, which is the maximum allowed number of output tokens \
             for {model}"
        ),
        (Some(tokens), _) => return Ok(tokens),
        (None, _) if given.is_i64() => "max_tokens: must be greater than or equal to 1".to_owned(),
        (None, _) => "max_tokens: Input should be a valid integer".to_owned(),
    };
    Err(invalid(&message))
}

/// Checks what a client may no longer choose since version `2026-10-21`, not even by its default.
fn sampling(body: &Value, version: Version) -> Result<(), Refusal> {
    for name in ["temperature", "top_p", "top_k"] {
        let given = match body.get(name) {
            None => continue,
            Some(Value::Null) if version == Version::First => continue,
            Some(given) => given,
        };
        if version == Version::Second {
            return Err(invalid(&format!("{name}: Extra inputs are not permitted")));
        }
        match (name, given.as_f64()) {
            ("top_k", _) if given.as_u64().is_some() => {}
            ("top_k", _) => return Err(invalid("top_k: Input should be a valid integer")),
            (_, None) => return Err(invalid(&format!("{name}: Input should be a valid number"))),
            (_, Some(number)) if !(0.0..=1.0).contains(&number) => {
                return Err(invalid(&format!("{name}: range: 0..1")));
            }
            _ => {}
        }
    }
    Ok(())
}

/// What the request wants of its answer, beyond its length.
fn wishes(request: &Request, body: &Value) -> Result<Wishes, Refusal> {
    let tools = tools(body)?;
    let (tool_choice, parallel_tools) = tool_choice(body, &tools)?;
    let reasons = thinking(request, body)?;
    if reasons && matches!(tool_choice, ToolChoice::Required | ToolChoice::Named(_)) {
        return Err(invalid("Thinking may not be enabled when tool_choice forces tool use."));
    }
    Ok(Wishes {
        stops: stops(body)?,
        tools,
        tool_choice,
        parallel_tools,
        format: format(request, body)?,
        reasons,
        ..Wishes::default()
    })
}

fn stops(body: &Value) -> Result<Vec<String>, Refusal> {
    let list = match body.get("stop_sequences") {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Array(list)) => list,
        Some(_) => return Err(invalid("stop_sequences: Input should be a valid list")),
    };
    let stop = |(index, stop): (usize, &Value)| match stop.as_str() {
        Some(stop) if !stop.trim().is_empty() => Ok(stop.to_owned()),
        Some(_) => Err(invalid("stop_sequences: each stop sequence must contain non-whitespace")),
        None => Err(invalid(&format!("stop_sequences.{index}: Input should be a valid string"))),
    };
    list.iter().enumerate().map(stop).collect()
}

/// The tools that the client offers; those that Anthropic runs by itself are left out.
fn tools(body: &Value) -> Result<Vec<Tool>, Refusal> {
    let list = match body.get("tools") {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Array(list)) => list,
        Some(_) => return Err(invalid("tools: Input should be a valid list")),
    };
    let mut tools: Vec<Tool> = Vec::new();
    for (index, tool) in list.iter().enumerate() {
        let kind = tool.get("type").and_then(Value::as_str).unwrap_or("custom");
        if kind != "custom" {
            continue;
        }
        let field = |name: &str| tool.get(name).filter(|value| !value.is_null());
        let refused = |message: &str| Err(invalid(&format!("tools.{index}.custom.{message}")));
        if !tool.is_object() {
            return Err(invalid(&format!("tools.{index}: Input should be a valid dictionary")));
        }
        let Some(name) = field("name") else { return refused("name: Field required") };
        let Some(name) = name.as_str() else {
            return refused("name: Input should be a valid string");
        };
        let allowed = |letter: char| letter.is_ascii_alphanumeric() || "_-".contains(letter);
        if !(1..=128).contains(&name.len()) || !name.chars().all(allowed) {
            return refused("name: String should match pattern '^[a-zA-Z0-9_-]{1,128}$'");
        }
        let Some(schema) = field("input_schema") else {
            return refused("input_schema: Field required");
        };
        match schema.get("type") {
            _ if !schema.is_object() => {
                return refused("input_schema: Input should be a valid dictionary");
            }
            None => return refused("input_schema.type: Field required"),
            Some(Value::String(kind)) if kind == "object" => {}
            Some(_) => return refused("input_schema.type: Input should be 'object'"),
        }
        if tools.iter().any(|tool| tool.name == name) {
            return Err(invalid("tools: Tool names must be unique."));
        }
        tools.push(Tool { name: name.to_owned(), schema: schema.clone() });
    }
    Ok(tools)
}

/// Whether tools are to be called, and whether several at once.
fn tool_choice(body: &Value, tools: &[Tool]) -> Result<(ToolChoice, bool), Refusal> {
    let Some(choice) = body.get("tool_choice").filter(|choice| !choice.is_null()) else {
        return Ok((ToolChoice::Auto, true));
    };
    let parallel = choice.get("disable_parallel_tool_use") != Some(&Value::Bool(true));
    let Some(kind) = choice.get("type").and_then(Value::as_str) else {
        return Err(invalid("tool_choice.type: Field required"));
    };
    if body.get("tools").and_then(Value::as_array).is_none_or(Vec::is_empty) {
        return Err(invalid("tool_choice may only be specified while providing tools."));
    }
    let choice = match kind {
        "any" => ToolChoice::Required,
        "auto" => ToolChoice::Auto,
        "none" => ToolChoice::None,
        "tool" => match choice.get("name").and_then(Value::as_str) {
            Some(name) if tools.iter().any(|tool| tool.name == name) => {
                ToolChoice::Named(name.to_owned())
            }
            Some(name) => {
                return Err(invalid(&format!("Tool '{name}' not found in provided tools")));
            }
            None => return Err(invalid("tool_choice.tool.name: Field required")),
        },
        other => {
            return Err(invalid(&format!(
                "tool_choice: Input tag '{other}' found using 'type' does not match any of the \
                 expected tags: 'any', 'auto', 'none', 'tool'"
            )));
        }
    };
    Ok((choice, parallel))
}

/// Whether the model is to think, and to show it.
fn thinking(request: &Request, body: &Value) -> Result<bool, Refusal> {
    let Some(thinking) = body.get("thinking").filter(|thinking| !thinking.is_null()) else {
        return Ok(false);
    };
    let Some(kind) = thinking.get("type").and_then(Value::as_str) else {
        return Err(invalid("thinking.type: Field required"));
    };
    match kind {
        "enabled" => {
            let budget = thinking.get("budget_tokens").unwrap_or(&Value::Null);
            let least = "thinking.enabled.budget_tokens: Input should be greater than or equal to \
                         1024";
            match budget.as_u64() {
                Some(0..1_024) => return Err(invalid(least)),
                Some(budget) if request.output_tokens_max.is_some_and(|most| most <= budget) => {
                    return Err(invalid(
                        "`max_tokens` must be greater than `thinking.budget_tokens`. Please \
                         consult our documentation at \
                         https://docs.claude.com/en/docs/build-with-claude/extended-thinking\
                         #max-tokens-and-context-window-size",
                    ));
                }
                Some(_) => {}
                None if budget.is_null() => {
                    return Err(invalid("thinking.enabled.budget_tokens: Field required"));
                }
                None if budget.is_i64() => return Err(invalid(least)),
                None => {
                    return Err(invalid(
                        "thinking.enabled.budget_tokens: Input should be a valid integer",
                    ));
                }
            }
        }
        "adaptive" | "between_tools" => {}
        "disabled" => return Ok(false),
        other => {
            return Err(invalid(&format!(
                "thinking: Input tag '{other}' found using 'type' does not match any of the \
                 expected tags: 'adaptive', 'between_tools', 'disabled', 'enabled'"
            )));
        }
    }
    let given = body.get("temperature").and_then(Value::as_f64);
    if given.is_some_and(|temperature| temperature < 1.0) {
        return Err(invalid("`temperature` may only be set to 1 when thinking is enabled."));
    }
    Ok(thinking.get("display").and_then(Value::as_str) != Some("omitted"))
}

/// The form of the text, and the effort, which stand in one field.
fn format(request: &Request, body: &Value) -> Result<Format, Refusal> {
    let wanted = body.get("output_config").unwrap_or(&Value::Null);
    match wanted.get("effort") {
        None | Some(Value::Null) => {}
        Some(Value::String(effort)) => match effort.as_str() {
            "xhigh" if EFFORTLESS.iter().any(|model| request.model.starts_with(model)) => {
                let refusal = Refusal::new(ErrorKind::BadRequest, "effort");
                return Err(refusal.word("effort", effort.as_str()));
            }
            "low" | "medium" | "high" | "xhigh" | "max" => {}
            _ => return Err(invalid(EFFORTS)),
        },
        Some(_) => return Err(invalid(EFFORTS)),
    }
    // `output_format` is its name from when it was on trial.
    let format = wanted.get("format").or_else(|| body.get("output_format"));
    let Some(format) = format.filter(|format| !format.is_null()) else {
        return Ok(Format::Text);
    };
    if format.get("type").and_then(Value::as_str) != Some("json_schema") {
        return Err(invalid("output_config.format.type: Input should be 'json_schema'"));
    }
    match format.get("schema") {
        Some(schema) if schema.is_object() => Ok(Format::Schema(schema.clone())),
        None | Some(Value::Null) => Err(invalid("output_config.format.schema: Field required")),
        Some(_) => Err(invalid("output_config.format.schema: Input should be a valid dictionary")),
    }
}

const EFFORTS: &str =
    "output_config.effort: Input should be 'low', 'medium', 'high', 'xhigh' or 'max'";

/// The models before Opus 4.7, which do not know the highest effort but one.
const EFFORTLESS: [&str; 6] = [
    "claude-3",
    "claude-haiku-4",
    "claude-opus-4-5",
    "claude-opus-4-6",
    "claude-sonnet-4",
    "claude-opus-4-1",
];

/// What every request has; the first two count for counting too.
const REQUIRED: [&str; 3] = ["model", "messages", "max_tokens"];

/// The fields of a message, from the types of anthropic 0.125 and 2.12.
const KNOWN: [&str; 29] = [
    "billing_policy",
    "cache_control",
    "compaction",
    "container",
    "context_management",
    "diagnostics",
    "fallback_credit_token",
    "fallbacks",
    "inference_geo",
    "max_tokens",
    "mcp_servers",
    "messages",
    "metadata",
    "model",
    "output_config",
    "service_tier",
    "speed",
    "stop_sequences",
    "stream",
    "system",
    "temperature",
    "thinking",
    "thread",
    "tool_choice",
    "tools",
    "top_k",
    "top_p",
    "user_profile_id",
    "workspace_id",
];

/// The fields of a count.
const KNOWN_TO_COUNT: [&str; 13] = [
    "cache_control",
    "context_management",
    "mcp_servers",
    "messages",
    "model",
    "output_config",
    "speed",
    "system",
    "thinking",
    "tool_choice",
    "tools",
    "user_profile_id",
    "workspace_id",
];
