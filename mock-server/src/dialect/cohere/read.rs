//! Understanding the requests of both versions.

use serde_json::{Map, Value, json};

use super::{embed, list};
use crate::{
    action::ErrorKind,
    dialect::{Head, Refusal, bearer, content_text, counted_text},
    models,
    plan::Route,
    request::{Conversation, Format, Request, TOOL_CALLS, Tool, ToolChoice, Wishes},
    tokens::Tokenizer,
};

/// The request, or the refusal: key, then syntax, then types, then the parameters.
pub(super) fn request(route: Route, head: &Head<'_>, body: &[u8]) -> Result<Request, Refusal> {
    let method = if route == Route::CohereModels { "GET" } else { "POST" };
    if head.method != method {
        return Err(Refusal::new(ErrorKind::BadRequest, "method"));
    }
    let Some(key) = bearer(head.headers) else {
        return Err(Refusal::new(ErrorKind::Authentication, "missing-key"));
    };
    let mut request =
        Request { key: key.to_owned(), ..Request::unknown(route, head.headers.clone()) };
    if route == Route::CohereModels {
        let model = list::model(head.path).unwrap_or_default();
        if !model.is_empty() && !list::knows(model) {
            return Err(Refusal::new(ErrorKind::NotFound, "model").word("model", model));
        }
        model.clone_into(&mut request.model);
        return Ok(request);
    }
    request.body =
        serde_json::from_slice(body).map_err(|mistake| malformed_json(body, &mistake))?;
    check_types(&request.body)?;
    match route {
        Route::CohereEmbed | Route::CohereEmbedV1 => read_embed(&mut request)?,
        Route::CohereChatV1 => read_first_chat(&mut request)?,
        _ => read_chat(&mut request)?,
    }
    Ok(request)
}

/// What the provider puts around a conversation.
pub(super) struct Template {
    /// Tokens that nobody is billed for.
    pub(super) tokens: u64,
    /// How many of them are remembered from one request to the next.
    pub(super) cached: u64,
    /// Characters.
    pub(super) chars: u64,
}

impl Template {
    /// The template of a request.
    ///
    /// Recorded: 495 tokens and 2,559 characters more than the texts, 1,403 with a tool, of which
    /// 448 and 1,376 were cached; a system message is 29 more.
    pub(super) fn of(body: &Value) -> Self {
        let mut messages = items(body, "messages");
        let has_system = messages.any(|message| role(message) == "system")
            || body.get("preamble").is_some_and(Value::is_string);
        let system = if has_system { 29 } else { 0 };
        if items(body, "tools").next().is_some() {
            Self { tokens: 1_403 + system, cached: 1_376, chars: 6_653 }
        } else {
            Self { tokens: 495 + system, cached: 448, chars: 2_559 }
        }
    }
}

/// Reads a request of `/v2/chat`.
fn read_chat(request: &mut Request) -> Result<(), Refusal> {
    let body = &request.body;
    request.model = required_model(body)?;
    if items(body, "messages").next().is_none() {
        return Err(empty_message());
    }
    check_messages(body)?;
    request.wishes = Wishes {
        tools: tools(body)?,
        tool_choice: match body.get("tool_choice").and_then(Value::as_str) {
            None => ToolChoice::Auto,
            Some("REQUIRED") => ToolChoice::Required,
            Some("NONE") => ToolChoice::None,
            Some(other) => {
                let message = format!(
                    "invalid request: tool_choice must be one of 'REQUIRED' or 'NONE', got \
                     '{other}'."
                );
                return Err(invalid(&message));
            }
        },
        format: format(body, "json_schema")?,
        reasons: reasons(&request.model, body),
        ..Wishes::default()
    };
    let tokenizer = Tokenizer::of(&request.model);
    let spoken = items(body, "messages").map(|message| {
        let content = message.get("content").unwrap_or(&Value::Null);
        let calls = message.get("tool_calls").map(Value::to_string).unwrap_or_default();
        tokenizer.count(&counted_text(content)) + tokenizer.count(&calls)
    });
    let spoken = spoken.map(|tokens| tokens + AROUND_A_MESSAGE);
    request.input_tokens = spoken.fold(tool_tokens(body, tokenizer), u64::saturating_add);
    request.conversation = Conversation::new(items(body, "messages").map(turn));
    read_settings(request)
}

/// Reads a request of `/v1/chat`.
fn read_first_chat(request: &mut Request) -> Result<(), Refusal> {
    let body = &request.body;
    let model = body.get("model").and_then(Value::as_str).filter(|model| !model.is_empty());
    model.unwrap_or("command-a-03-2025").clone_into(&mut request.model);
    let message = body.get("message").and_then(Value::as_str).unwrap_or_default();
    let results = body.get("tool_results").filter(|_| items(body, "tool_results").next().is_some());
    if message.is_empty() && results.is_none() {
        return Err(empty_message());
    }
    let mut turns = Vec::new();
    if let Some(preamble) = body.get("preamble").and_then(Value::as_str) {
        turns.push(("system", preamble.to_owned()));
    }
    for (index, turn) in items(body, "chat_history").enumerate() {
        turns.push(first_turn(index, turn)?);
    }
    turns.push(match results {
        Some(results) => ("tool", results.to_string()),
        None => ("user", message.to_owned()),
    });
    request.wishes = Wishes {
        tools: first_tools(body),
        // Results are there to be spoken of.
        tool_choice: if results.is_some() { ToolChoice::None } else { ToolChoice::Auto },
        format: format(body, "schema")?,
        ..Wishes::default()
    };
    let tokenizer = Tokenizer::of(&request.model);
    let spoken = turns.iter().map(|(_, text)| tokenizer.count(text) + AROUND_A_MESSAGE);
    request.input_tokens = spoken.fold(tool_tokens(body, tokenizer), u64::saturating_add);
    request.conversation = Conversation::new(turns);
    read_settings(request)
}

/// Reads what both versions of Chat have in common.
fn read_settings(request: &mut Request) -> Result<(), Refusal> {
    let body = &request.body;
    for (name, range) in [
        ("temperature", "0 and 1.0"),
        ("frequency_penalty", "0 and 1"),
        ("presence_penalty", "0 and 1"),
    ] {
        let number = body.get(name).and_then(Value::as_f64);
        if number.is_some_and(|number| !(0.0..=1.0).contains(&number)) {
            let message = format!("invalid request: {name} must be between {range} inclusive.");
            return Err(invalid(&message));
        }
    }
    let penalises = |name: &str| body.get(name).and_then(Value::as_f64).is_some_and(|by| by > 0.0);
    if penalises("frequency_penalty") && penalises("presence_penalty") {
        let message =
            "invalid request: cannot specify both frequency_penalty and presence_penalty.";
        return Err(invalid(message));
    }
    let stops = items(body, "stop_sequences").filter_map(Value::as_str).map(str::to_owned);
    request.wishes.stops = stops.collect();
    let stops = request.wishes.stops.len();
    if stops > 5 {
        let message = format!(
            "invalid request: number of stop_sequences must be at most 5 - received {stops}"
        );
        return Err(invalid(&message));
    }
    request.output_tokens_max = match body.get("max_tokens").filter(|value| !value.is_null()) {
        None => None,
        Some(value) => {
            let Some(tokens) = value.as_u64().filter(|tokens| *tokens > 0) else {
                let message = "invalid request: max_tokens must be greater than or equal to 1.";
                return Err(invalid(message));
            };
            // What the model cannot write is not refused, but cut.
            let most = models::facts(&request.model).and_then(|facts| facts.max_output_tokens);
            Some(tokens.min(most.unwrap_or(u64::MAX)))
        }
    };
    request.streaming = body.get("stream").and_then(Value::as_bool).unwrap_or(false);
    Ok(())
}

/// Reads a request of `/v2/embed` or `/v1/embed`.
fn read_embed(request: &mut Request) -> Result<(), Refusal> {
    let body = &request.body;
    request.model = match request.route {
        Route::CohereEmbedV1 if body.get("model").is_none() => "embed-english-v3.0".to_owned(),
        _ => required_model(body)?,
    };
    let inputs = embed::inputs(body);
    if inputs.is_empty() {
        let message = "invalid request: at least one of texts, images or inputs must be provided.";
        return Err(invalid(message));
    }
    if inputs.len() > 96 {
        let texts = inputs.len();
        let message =
            format!("invalid request: total number of texts must be at most 96 - received {texts}");
        return Err(invalid(&message));
    }
    let kind = body.get("input_type").and_then(Value::as_str);
    let kinds = ["search_document", "search_query", "classification", "clustering", "image"];
    if !request.model.contains("v2") && !kind.is_some_and(|kind| kinds.contains(&kind)) {
        let message = "invalid request: valid input_type must be provided with the provided model";
        return Err(invalid(message));
    }
    if items(body, "images").next().is_some() && kind != Some("image") {
        return Err(invalid("invalid request: images must be used with input_type=image"));
    }
    let forms = ["float", "int8", "uint8", "binary", "ubinary", "base64"];
    let is_known = |form: &&Value| form.as_str().is_some_and(|form| forms.contains(&form));
    if let Some(form) = items(body, "embedding_types").find(|form| !is_known(form)) {
        let message = format!(
            "invalid request: embedding_types must be one of 'float', 'int8', 'uint8', 'binary', \
             'ubinary', 'base64', got {form}."
        );
        return Err(invalid(&message));
    }
    let dimensions = body.get("output_dimension").filter(|value| !value.is_null());
    if dimensions.is_some_and(|value| ![256, 512, 1_024, 1_536].iter().any(|one| value == one)) {
        let message = "invalid request: output_dimension must be one of 256, 512, 1024, 1536.";
        return Err(invalid(message));
    }
    let tokenizer = Tokenizer::of(&request.model);
    // What is too long is cut, unless the request says otherwise.
    let most = match body.get("truncate").and_then(Value::as_str) {
        Some("NONE") => u64::MAX,
        _ => models::facts(&request.model).map_or(u64::MAX, |facts| facts.context_window),
    };
    // An image has tokens of its own.
    let texts = inputs.iter().filter(|input| !input.is_image);
    let tokens = texts.map(|input| tokenizer.count(&input.said).min(most));
    request.input_tokens = tokens.fold(0, u64::saturating_add);
    let said: Vec<String> = inputs.into_iter().map(|input| input.said).collect();
    request.conversation = Conversation::new([("user", said.join("\n"))]);
    Ok(())
}

/// A turn with a role that says whether it calls tools.
fn turn(message: &Value) -> (&str, String) {
    let mut text = content_text(message.get("content").unwrap_or(&Value::Null));
    for key in ["tool_plan", "tool_calls", "tool_call_id"] {
        match message.get(key) {
            None | Some(Value::Null) => {}
            Some(Value::String(said)) => text.push_str(said),
            Some(value) => text.push_str(&value.to_string()),
        }
    }
    match role(message) {
        "assistant" if items(message, "tool_calls").next().is_some() => (TOOL_CALLS, text),
        role => (role, text),
    }
}

/// A turn of version 1.
fn first_turn(index: usize, turn: &Value) -> Result<(&'static str, String), Refusal> {
    let calls = items(turn, "tool_calls").next().is_some();
    let role = match role(turn).to_ascii_uppercase().as_str() {
        "CHATBOT" if calls => TOOL_CALLS,
        "CHATBOT" => "assistant",
        "SYSTEM" => "system",
        "TOOL" => "tool",
        "USER" => "user",
        _ => {
            let message = format!(
                "invalid request: Invalid role in chat_history at index {index}. Role must be one \
                 of the following: User, Chatbot, System, Tool"
            );
            return Err(invalid(&message));
        }
    };
    let said = |key: &str| match turn.get(key) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(said)) => said.clone(),
        Some(value) => value.to_string(),
    };
    let text = said("message") + &said("tool_calls") + &said("tool_results");
    if text.is_empty() {
        return Err(invalid("invalid request: all elements in history must have a message."));
    }
    Ok((role, text))
}

/// Checks each message, and that the results of tools belong to calls.
fn check_messages(body: &Value) -> Result<(), Refusal> {
    let mut ids: Vec<&str> = Vec::new();
    for (index, message) in items(body, "messages").enumerate() {
        let role = role(message);
        if !["assistant", "system", "tool", "user"].contains(&role) {
            let message = format!(
                "invalid request: Invalid role in messages at index {index}. Role must be one of \
                 the following: user, assistant, system, tool"
            );
            return Err(invalid(&message));
        }
        for call in items(message, "tool_calls") {
            if call.get("type").and_then(Value::as_str) != Some("function") {
                return Err(invalid("tool call must be of type function"));
            }
            let id = call.get("id").and_then(Value::as_str).unwrap_or_default();
            if ids.contains(&id) {
                return Err(invalid("cannot have duplicate tool ids"));
            }
            ids.push(id);
        }
        if role == "tool" {
            match message.get("tool_call_id").and_then(Value::as_str) {
                None => return Err(invalid("tool call id must be provided with tool message")),
                Some(id) if !ids.contains(&id) => {
                    return Err(invalid("tool call id not found in previous tool calls"));
                }
                Some(_) => continue,
            }
        }
        let is_empty = match message.get("content") {
            None | Some(Value::Null) => true,
            Some(Value::String(text)) => text.is_empty(),
            Some(Value::Array(parts)) => parts.is_empty(),
            Some(other) => {
                return Err(wrong_type(&format!("messages[{index}].content"), other, "array"));
            }
        };
        if is_empty && items(message, "tool_calls").next().is_none() {
            return Err(match role {
                "user" => empty_message(),
                _ => invalid("message must not be empty in a turn"),
            });
        }
    }
    Ok(())
}

/// Checks the types of the parameters, before anything is read of them.
fn check_types(body: &Value) -> Result<(), Refusal> {
    let Value::Object(fields) = body else { return Err(wrong_type("body", body, "object")) };
    for (name, value) in fields.iter().filter(|(_, value)| !value.is_null()) {
        let is = |names: &[&str]| names.contains(&name.as_str());
        let (is_right, expected) = match () {
            () if is(STRINGS) => (value.is_string(), "string"),
            () if is(LISTS_OF_OBJECTS) || is(LISTS_OF_STRINGS) => (value.is_array(), "array"),
            () if is(OBJECTS) => (value.is_object(), "object"),
            () if is(NUMBERS) => (value.is_number(), "number"),
            () if name == "max_tokens" => (value.is_u64() || value.is_i64(), "integer"),
            () if name == "stream" => (value.is_boolean(), "boolean"),
            () => (true, ""),
        };
        if !is_right {
            return Err(wrong_type(name, value, expected));
        }
        for (index, item) in items(body, name).enumerate() {
            let (is_right, expected) = match () {
                () if is(LISTS_OF_OBJECTS) => (item.is_object(), "object"),
                () if is(LISTS_OF_STRINGS) => (item.is_string(), "string"),
                () => (true, ""),
            };
            if !is_right {
                return Err(wrong_type(&format!("{name}[{index}]"), item, expected));
            }
        }
    }
    Ok(())
}

const STRINGS: &[&str] = &["model", "message", "preamble", "tool_choice", "input_type", "truncate"];
const LISTS_OF_OBJECTS: &[&str] = &["messages", "tools", "chat_history", "inputs", "tool_results"];
const LISTS_OF_STRINGS: &[&str] = &["texts", "images", "stop_sequences", "embedding_types"];
const OBJECTS: &[&str] = &["response_format", "thinking"];
const NUMBERS: &[&str] = &["temperature", "frequency_penalty", "presence_penalty"];

fn required_model(body: &Value) -> Result<String, Refusal> {
    match body.get("model").and_then(Value::as_str) {
        Some(model) if !model.is_empty() => Ok(model.to_owned()),
        _ => Err(Refusal::new(ErrorKind::BadRequest, "missing-model")),
    }
}

/// The tools of version 2, whose names Cohere is particular about.
fn tools(body: &Value) -> Result<Vec<Tool>, Refusal> {
    let tools = items(body, "tools").map(|tool| {
        let function = tool.get("function").unwrap_or(&Value::Null);
        let name = function.get("name").and_then(Value::as_str).unwrap_or_default();
        let letter = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
        let begins = name.starts_with(|first: char| !first.is_ascii_digit());
        if !begins || !name.chars().all(letter) {
            let message = format!(
                "invalid request: tool names can only contain certain characters (A-Za-z0-9_) and \
                 can't begin with a digit (provided name: '{name}')."
            );
            return Err(invalid(&message));
        }
        let schema = function.get("parameters").cloned().unwrap_or_default();
        Ok(Tool { name: name.to_owned(), schema })
    });
    tools.collect()
}

/// The tools of version 1, whose parameters are no JSON schema yet.
fn first_tools(body: &Value) -> Vec<Tool> {
    let tools = items(body, "tools").map(|tool| {
        let name = tool.get("name").and_then(Value::as_str).unwrap_or_default();
        let mut properties = Map::new();
        let mut required = Vec::new();
        let definitions = tool.get("parameter_definitions").and_then(Value::as_object);
        for (name, definition) in definitions.into_iter().flatten() {
            let kind = definition.get("type").and_then(Value::as_str).unwrap_or("str");
            let kind = match kind.to_ascii_lowercase().as_str() {
                "int" | "integer" => "integer",
                "float" | "number" => "number",
                "bool" | "boolean" => "boolean",
                kind if kind.starts_with("list") => "array",
                kind if kind.starts_with("dict") => "object",
                _ => "string",
            };
            properties.insert(name.clone(), json!({ "type": kind }));
            if definition.get("required").and_then(Value::as_bool) == Some(true) {
                required.push(name.as_str());
            }
        }
        let schema = json!({ "type": "object", "properties": properties, "required": required });
        Tool { name: name.to_owned(), schema }
    });
    tools.collect()
}

/// The form of the text; its schema has another name in each version.
fn format(body: &Value, schema: &str) -> Result<Format, Refusal> {
    let Some(format) = body.get("response_format").filter(|format| !format.is_null()) else {
        return Ok(Format::Text);
    };
    match format.get("type").and_then(Value::as_str) {
        Some("text") => return Ok(Format::Text),
        Some("json_object") => {}
        _ => {
            let message =
                "invalid request: response_format.type must be one of 'text' or 'json_object'.";
            return Err(invalid(message));
        }
    }
    if items(body, "documents").next().is_some() {
        return Err(invalid("invalid request: response_format is not supported with RAG."));
    }
    match format.get(schema).or_else(|| format.get("schema")) {
        None | Some(Value::Null) => Ok(Format::Json),
        Some(schema @ Value::Object(_)) => Ok(Format::Schema(schema.clone())),
        Some(_) => Err(invalid("schema must be an object")),
    }
}

/// Whether the model is to think: some do unless they are told not to.
fn reasons(model: &str, body: &Value) -> bool {
    match body.pointer("/thinking/type").and_then(Value::as_str) {
        Some(kind) => kind == "enabled",
        None => model.contains("reasoning"),
    }
}

fn tool_tokens(body: &Value, tokenizer: Tokenizer) -> u64 {
    body.get("tools").map_or(0, |tools| tokenizer.count(&tools.to_string()))
}

/// The items of a list, none if it is no list.
fn items<'a>(parent: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
    parent.get(name).and_then(Value::as_array).into_iter().flatten()
}

fn role(message: &Value) -> &str {
    message.get("role").and_then(Value::as_str).unwrap_or_default()
}

fn empty_message() -> Refusal {
    Refusal::new(ErrorKind::BadRequest, "empty-message")
}

/// A request that the API refuses, with the text of the refusal.
fn invalid(message: &str) -> Refusal {
    Refusal::new(ErrorKind::BadRequest, "invalid").word("message", message)
}

fn wrong_type(param: &str, found: &Value, expected: &str) -> Refusal {
    let found = match found {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    Refusal::new(ErrorKind::BadRequest, "unprocessable")
        .word("param", param)
        .word("found", found)
        .word("expected", expected)
}

/// A body that is no JSON, in the words of Go's parser.
fn malformed_json(body: &[u8], mistake: &serde_json::Error) -> Refusal {
    let line = body.split(|byte| *byte == b'\n').nth(mistake.line().saturating_sub(1));
    let wrong = line.and_then(|line| line.get(mistake.column().saturating_sub(1)));
    let reason = match wrong {
        Some(letter) if letter.is_ascii_graphic() && !mistake.is_eof() => {
            let letter = char::from(*letter);
            format!("invalid character '{letter}' looking for beginning of value")
        }
        _ => "unexpected end of JSON input".to_owned(),
    };
    Refusal::new(ErrorKind::BadRequest, "malformed-json").word("reason", reason)
}

/// Recorded: a question of 13 characters is billed as 8 tokens, one of 17 as 7.
const AROUND_A_MESSAGE: u64 = 3;
