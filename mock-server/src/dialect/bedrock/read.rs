//! Understanding a Converse request.

use serde_json::Value;

use super::{Family, Operation, SIGNED, operation, percent_decoded};
use crate::{
    action::ErrorKind,
    dialect::{Head, Refusal, bearer, content_text},
    models,
    plan::Route,
    request::{Conversation, Format, Headers, Request, TOOL_CALLS, Tool, ToolChoice, Wishes},
    tokens::Tokenizer,
};

/// The request, or the refusal: operation, then key, then syntax, then the constraints of the
/// service, then those of the model.
pub(super) fn request(route: Route, head: &Head<'_>, body: &[u8]) -> Result<Request, Refusal> {
    let found = operation(head.path).filter(|_| head.method == "POST");
    let Some((model, operation)) = found else {
        return Err(Refusal::new(ErrorKind::NotFound, "operation"));
    };
    let model = percent_decoded(model);
    let key = key(head.headers)?;
    let body: Value = match body {
        b"" => Value::Object(serde_json::Map::new()),
        body => serde_json::from_slice(body)
            .map_err(|_| serialization("Unable to parse the request body as JSON"))?,
    };
    let parsed = match operation {
        Operation::Converse | Operation::ConverseStream => converse(&model, &body)?,
        Operation::CountTokens => to_count(&model, &body)?,
    };
    Ok(Request {
        route,
        model,
        key,
        headers: head.headers.clone(),
        body,
        streaming: operation == Operation::ConverseStream,
        conversation: parsed.conversation,
        input_tokens: parsed.input_tokens,
        output_tokens_max: parsed.output_tokens_max,
        wishes: parsed.wishes,
        connection: 0,
    })
}

/// What the body of a request says.
struct Parsed {
    conversation: Conversation,
    input_tokens: u64,
    output_tokens_max: Option<u64>,
    wishes: Wishes,
}

/// The access key id of a signature, or a bearer token.
fn key(headers: &Headers) -> Result<String, Refusal> {
    let Some(authorization) = headers.get("authorization").filter(|value| !value.is_empty()) else {
        return Err(Refusal::new(ErrorKind::Authentication, "missing-key"));
    };
    if let Some(token) = bearer(headers) {
        return Ok(token.to_owned());
    }
    let incomplete = |reason: String| {
        Refusal::new(ErrorKind::Authentication, "incomplete-signature").word("reason", reason)
    };
    let Some(parts) = authorization.strip_prefix(SIGNED) else {
        let scheme = authorization.split(' ').next().unwrap_or_default();
        return Err(incomplete(format!(
            "'{scheme}' not a valid key=value pair (missing equal-sign) in Authorization header: \
             '{authorization}'."
        )));
    };
    let part = |name: &str| {
        let mut parts = parts.split(',').map(str::trim);
        parts
            .find_map(|part| part.strip_prefix(name)?.strip_prefix('='))
            .filter(|part| !part.is_empty())
    };
    let missing: Vec<String> = ["Credential", "Signature", "SignedHeaders"]
        .iter()
        .filter(|name| part(name).is_none())
        .map(|name| format!("Authorization header requires '{name}' parameter."))
        .collect();
    if !missing.is_empty() {
        let missing = missing.join(" ");
        return Err(incomplete(format!("{missing} Authorization={authorization}")));
    }
    let id = part("Credential").and_then(|credential| credential.split('/').next());
    Ok(id.unwrap_or_default().to_owned())
}

/// A request to count the tokens of another one.
fn to_count(model: &str, body: &Value) -> Result<Parsed, Refusal> {
    let input = member(body, "input", Shape::Structure)?;
    if let Some(input) = input
        && let Some(body) = member(input, "converse", Shape::Structure)?
    {
        return converse(model, body);
    }
    let invoke = input.map(|input| member(input, "invokeModel", Shape::Structure)).transpose()?;
    let Some(body) = invoke.flatten() else {
        return Err(violation("Value null at 'input'", "Member must not be null"));
    };
    let Some(Value::String(encoded)) = member(body, "body", Shape::Text)? else {
        return Err(violation("Value null at 'input.invokeModel.body'", "Member must not be null"));
    };
    // Four letters of Base64 are three of JSON, and four of those are a token.
    let input_tokens = u64::try_from(encoded.len() / 4 * 3).unwrap_or(u64::MAX).div_ceil(4);
    Ok(Parsed {
        conversation: Conversation::new([("user", encoded.clone())]),
        input_tokens,
        output_tokens_max: None,
        wishes: Wishes::default(),
    })
}

/// What Converse is told.
fn converse(model: &str, body: &Value) -> Result<Parsed, Refusal> {
    if !body.is_object() {
        return Err(not_expected(body));
    }
    let none = Vec::new();
    let messages = list(body, "messages")?.unwrap_or(&none);
    let system = list(body, "system")?.unwrap_or(&none);
    let config = member(body, "inferenceConfig", Shape::Structure)?;
    let tool_config = member(body, "toolConfig", Shape::Structure)?;
    let mut violations = Violations::default();
    for (index, message) in messages.iter().enumerate() {
        violations.check_message(index, message)?;
    }
    for (index, block) in system.iter().enumerate() {
        if let Some(Value::String(text)) = member(block, "text", Shape::Text)? {
            let path = format!("system.{}.member.text", index + 1);
            violations.check_length(&path, text, text.len(), 1, usize::MAX);
        }
    }
    let (output_tokens_max, stops) = violations.check_config(config)?;
    let (tools, tool_choice) = violations.check_tools(tool_config)?;
    violations.into_result()?;
    check_conversation(model, messages, tool_config)?;
    let most = models::facts(model).and_then(|facts| facts.max_output_tokens);
    if let Some(most) = most.filter(|most| output_tokens_max.is_some_and(|tokens| tokens > *most)) {
        return Err(invalid("max-tokens").word("most", most.to_string()));
    }
    let wishes = Wishes {
        stops,
        tools,
        tool_choice,
        parallel_tools: body
            .pointer("/additionalModelRequestFields/tool_choice/disable_parallel_tool_use")
            != Some(&Value::Bool(true)),
        format: format(body)?,
        reasons: reasons(body),
        ..Wishes::default()
    };
    Ok(Parsed {
        conversation: conversation(system, messages),
        input_tokens: input_tokens(model, system, messages, tool_config),
        output_tokens_max,
        wishes,
    })
}

/// What breaks a constraint of the service; all of it is told at once.
#[derive(Default)]
struct Violations(Vec<String>);

impl Violations {
    fn add(&mut self, value: &str, constraint: &str) {
        self.0.push(format!("{value} failed to satisfy constraint: {constraint}"));
    }

    fn into_result(self) -> Result<(), Refusal> {
        let errors = match self.0.len() {
            0 => return Ok(()),
            1 => "1 validation error".to_owned(),
            count => format!("{count} validation errors"),
        };
        let message = format!("{errors} detected: {}", self.0.join("; "));
        Err(invalid("validation").word("message", message))
    }

    fn check_length(&mut self, path: &str, shown: &str, length: usize, least: usize, most: usize) {
        let value = format!("Value '{shown}' at '{path}'");
        if length < least {
            let constraint = format!("Member must have length greater than or equal to {least}");
            self.add(&value, &constraint);
        } else if length > most {
            let constraint = format!("Member must have length less than or equal to {most}");
            self.add(&value, &constraint);
        }
    }

    fn check_message(&mut self, index: usize, message: &Value) -> Result<(), Refusal> {
        let path = |member: &str| format!("messages.{}.member.{member}", index + 1);
        match member(message, "role", Shape::Text)?.and_then(Value::as_str) {
            Some("user" | "assistant") => {}
            Some(role) => self.add(
                &format!("Value '{role}' at '{}'", path("role")),
                "Member must satisfy enum value set: [user, assistant]",
            ),
            None => {
                self.add(&format!("Value null at '{}'", path("role")), "Member must not be null");
            }
        }
        let Some(blocks) = list(message, "content")? else {
            self.add(&format!("Value null at '{}'", path("content")), "Member must not be null");
            return Ok(());
        };
        for (index, block) in blocks.iter().enumerate() {
            let path = |member: &str| path(&format!("content.{}.member.{member}", index + 1));
            member(block, "text", Shape::Text)?;
            for (kind, fields) in [
                ("toolUse", &["toolUseId", "name", "input"][..]),
                ("toolResult", &["toolUseId", "content"][..]),
            ] {
                let Some(tool) = member(block, kind, Shape::Structure)? else { continue };
                for field in fields {
                    if tool.get(field).is_none_or(Value::is_null) {
                        let path = path(&format!("{kind}.{field}"));
                        self.add(&format!("Value null at '{path}'"), "Member must not be null");
                    }
                }
                member(tool, "toolUseId", Shape::Text)?;
                if kind == "toolResult" {
                    list(tool, "content")?;
                } else if let Some(Value::String(name)) = member(tool, "name", Shape::Text)? {
                    self.check_tool_name(&path("toolUse.name"), name);
                }
            }
        }
        Ok(())
    }

    fn check_tool_name(&mut self, path: &str, name: &str) {
        self.check_length(path, name, name.chars().count(), 1, 64);
        let letter = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-');
        if !name.chars().all(letter) {
            self.add(
                &format!("Value '{name}' at '{path}'"),
                "Member must satisfy regular expression pattern: [a-zA-Z0-9_-]+",
            );
        }
    }

    /// The most output tokens, and where to stop.
    fn check_config(
        &mut self,
        config: Option<&Value>,
    ) -> Result<(Option<u64>, Vec<String>), Refusal> {
        let Some(config) = config else { return Ok((None, Vec::new())) };
        let most = match config.get("maxTokens").filter(|value| !value.is_null()) {
            None => None,
            Some(Value::Number(number)) => {
                let tokens = number.as_u64();
                if tokens.is_none_or(|tokens| tokens == 0) {
                    self.add(
                        &format!("Value '{number}' at 'inferenceConfig.maxTokens'"),
                        "Member must have value greater than or equal to 1",
                    );
                }
                tokens
            }
            Some(other) => return Err(not_convertible(other, "an Integer")),
        };
        for name in ["temperature", "topP"] {
            match config.get(name).filter(|value| !value.is_null()) {
                None => {}
                Some(Value::Number(number)) => {
                    let value = format!("Value '{number}' at 'inferenceConfig.{name}'");
                    let number = number.as_f64().unwrap_or_default();
                    if number < 0.0 {
                        self.add(&value, "Member must have value greater than or equal to 0");
                    } else if number > 1.0 {
                        self.add(&value, "Member must have value less than or equal to 1");
                    }
                }
                Some(other) => return Err(not_convertible(other, "a Float")),
            }
        }
        let mut stops = Vec::new();
        for (index, stop) in list(config, "stopSequences")?.into_iter().flatten().enumerate() {
            let Value::String(stop) = stop else { return Err(not_convertible(stop, "a String")) };
            let path = format!("inferenceConfig.stopSequences.{}.member", index + 1);
            self.check_length(&path, stop, stop.len(), 1, usize::MAX);
            stops.push(stop.clone());
        }
        Ok((most, stops))
    }

    /// The tools, and whether they are to be called.
    fn check_tools(&mut self, config: Option<&Value>) -> Result<(Vec<Tool>, ToolChoice), Refusal> {
        let Some(config) = config else { return Ok((Vec::new(), ToolChoice::Auto)) };
        let listed = list(config, "tools")?;
        match listed {
            None => self.add("Value null at 'toolConfig.tools'", "Member must not be null"),
            Some(tools) if tools.is_empty() => self.add(
                "Value '[]' at 'toolConfig.tools'",
                "Member must have length greater than or equal to 1",
            ),
            Some(_) => {}
        }
        let mut tools = Vec::new();
        for (index, tool) in listed.into_iter().flatten().enumerate() {
            let Some(spec) = member(tool, "toolSpec", Shape::Structure)? else { continue };
            let path = format!("toolConfig.tools.{}.member.toolSpec", index + 1);
            let name = member(spec, "name", Shape::Text)?.and_then(Value::as_str);
            match name {
                Some(name) => self.check_tool_name(&format!("{path}.name"), name),
                None => {
                    self.add(&format!("Value null at '{path}.name'"), "Member must not be null");
                }
            }
            let schema = member(spec, "inputSchema", Shape::Structure)?;
            if schema.is_none() {
                self.add(&format!("Value null at '{path}.inputSchema'"), "Member must not be null");
            }
            let schema = schema.and_then(|schema| schema.get("json")).cloned().unwrap_or_default();
            tools.push(Tool { name: name.unwrap_or_default().to_owned(), schema });
        }
        let Some(choice) = member(config, "toolChoice", Shape::Structure)? else {
            return Ok((tools, ToolChoice::Auto));
        };
        let tool = member(choice, "tool", Shape::Structure)?;
        let choice = match tool.map(|tool| member(tool, "name", Shape::Text)).transpose()? {
            Some(Some(Value::String(name))) => ToolChoice::Named(name.clone()),
            Some(_) => {
                let value = "Value null at 'toolConfig.toolChoice.tool.name'";
                self.add(value, "Member must not be null");
                ToolChoice::Required
            }
            None if choice.get("any").is_some_and(Value::is_object) => ToolChoice::Required,
            None => ToolChoice::Auto,
        };
        Ok((tools, choice))
    }
}

/// What the models want of a conversation.
fn check_conversation(
    model: &str,
    messages: &[Value],
    tool_config: Option<&Value>,
) -> Result<(), Refusal> {
    let family = Family::of(model);
    let mut expected = "user";
    let mut called: Vec<&str> = Vec::new();
    if messages.is_empty() {
        return Err(invalid("starts-with-user"));
    }
    for (index, message) in messages.iter().enumerate() {
        let role = role(message);
        if role != expected {
            let case = if index == 0 { "starts-with-user" } else { "alternates" };
            return Err(invalid(case));
        }
        expected = if role == "user" { "assistant" } else { "user" };
        let blocks = blocks(message);
        if blocks.is_empty() {
            return Err(invalid("empty-content").word("index", index.to_string()));
        }
        for (place, block) in blocks.iter().enumerate() {
            let text = block.get("text").and_then(Value::as_str);
            if text.is_some_and(|text| text.trim().is_empty()) {
                return Err(invalid("blank-text")
                    .word("index", index.to_string())
                    .word("block", place.to_string()));
            }
            for (kind, supported) in [("video", family == Family::Nova), ("audio", false)] {
                if block.get(kind).is_some() && !supported {
                    return Err(invalid("unsupported-block").word("block", kind));
                }
            }
        }
        let ids = |kind: &str| -> Vec<&str> {
            let of = blocks.iter().filter_map(|block| block.get(kind)?.get("toolUseId")?.as_str());
            of.collect()
        };
        let (calls, results) = (ids("toolUse"), ids("toolResult"));
        if tool_config.is_none() && !(calls.is_empty() && results.is_empty()) {
            return Err(invalid("tool-config"));
        }
        if role == "user" {
            let missing: Vec<&str> =
                called.iter().copied().filter(|id| !results.contains(id)).collect();
            if !missing.is_empty() {
                return Err(invalid("tool-results-missing")
                    .word("index", index.to_string())
                    .word("ids", missing.join(", ")));
            }
            if results.len() > called.len() {
                return Err(invalid("tool-results-exceed").word("index", index.to_string()));
            }
        }
        called = calls;
    }
    // Only Claude goes on with a turn of its own.
    if expected == "user" && family != Family::Claude {
        return Err(invalid("ends-with-user"));
    }
    Ok(())
}

/// The turns, with roles that say what brings back a tool's results.
fn conversation(system: &[Value], messages: &[Value]) -> Conversation {
    let system = (!system.is_empty()).then(|| {
        let text: Vec<String> =
            system.iter().map(|block| said(std::slice::from_ref(block))).collect();
        ("system", text.join("\n"))
    });
    let turns = messages.iter().map(|message| {
        let blocks = blocks(message);
        let has = |kind: &str| blocks.iter().any(|block| block.get(kind).is_some());
        let only = |kind: &str| blocks.iter().all(|block| block.get(kind).is_some());
        let role = match role(message) {
            "assistant" if has("toolUse") => TOOL_CALLS,
            "assistant" => "assistant",
            _ if only("toolResult") => "tool",
            _ => "user",
        };
        (role, said(blocks))
    });
    Conversation::new(system.into_iter().chain(turns))
}

/// What blocks say; marks for the cache say nothing.
fn said(blocks: &[Value]) -> String {
    let said = blocks.iter().filter(|block| block.get("cachePoint").is_none());
    content_text(&said.cloned().collect())
}

/// An estimate, since no tokenizer is public: what the recordings cost beyond their texts.
///
/// Recorded: Nova 2 says 53 for a question of 4 tokens and 925 with a tool, Nova 1 says 13 for one
/// of 8. Claude's numbers are those of Anthropic's own interface.
fn input_tokens(
    model: &str,
    system: &[Value],
    messages: &[Value],
    tool_config: Option<&Value>,
) -> u64 {
    let tokenizer = Tokenizer::of(model);
    let (turn, once, with_tools) = match Family::of(model) {
        Family::Claude => (3, 4, 346),
        Family::Nova if model.contains("nova-2") => (4, 45, 814),
        Family::Llama => (5, 6, 150),
        Family::Nova | Family::Other => (4, 1, 330),
    };
    let spoken = messages.iter().map(|message| {
        let text = counted(blocks(message));
        turn + tokenizer.count(&text)
    });
    let system = tokenizer.count(&counted(system));
    let tools = tool_config.and_then(|config| config.get("tools"));
    let tools = tools.map_or(0, |tools| with_tools + tokenizer.count(&tools.to_string()));
    spoken.fold(once + system + tools, u64::saturating_add)
}

/// What of blocks is text to a tokenizer.
fn counted(blocks: &[Value]) -> String {
    let text = |block: &Value| -> String {
        if let Some(text) = block.get("text").and_then(Value::as_str) {
            return text.to_owned();
        }
        if let Some(call) = block.get("toolUse") {
            let name = call.get("name").and_then(Value::as_str).unwrap_or_default();
            let input = call.get("input").map(Value::to_string).unwrap_or_default();
            return format!("{name}\n{input}");
        }
        let thought = block.pointer("/reasoningContent/reasoningText/text").and_then(Value::as_str);
        if let Some(thought) = thought {
            return thought.to_owned();
        }
        let results = block.pointer("/toolResult/content").and_then(Value::as_array);
        let results = results.into_iter().flatten().map(|result| match result.get("text") {
            Some(Value::String(text)) => text.clone(),
            _ => result.get("json").map(Value::to_string).unwrap_or_default(),
        });
        results.collect::<Vec<_>>().join("\n")
    };
    blocks.iter().map(text).filter(|text| !text.is_empty()).collect::<Vec<_>>().join("\n")
}

/// The form of the text that is asked for; a schema comes as JSON in a string.
fn format(body: &Value) -> Result<Format, Refusal> {
    let schema = body.pointer("/outputConfig/textFormat/structure/jsonSchema/schema");
    match schema {
        None | Some(Value::Null) => Ok(Format::Text),
        Some(Value::String(schema)) => serde_json::from_str(schema).map(Format::Schema).map_err(|_| {
            let message = "The schema provided in outputConfig.textFormat.structure.jsonSchema is \
                           not valid JSON. Correct the schema and try again.";
            invalid("validation").word("message", message)
        }),
        Some(other) => Err(not_convertible(other, "a String")),
    }
}

/// Whether the model is to think: Claude, Nova and the others are told by fields of their own.
fn reasons(body: &Value) -> bool {
    let fields = body.get("additionalModelRequestFields");
    let fields = fields.unwrap_or(&Value::Null);
    let kinds = ["/thinking/type", "/reasoning_config/type", "/reasoningConfig/type"];
    let kind = |path: &&str| fields.pointer(path).and_then(Value::as_str);
    kinds.iter().filter_map(kind).any(|kind| matches!(kind, "adaptive" | "enabled"))
}

fn role(message: &Value) -> &str {
    message.get("role").and_then(Value::as_str).unwrap_or_default()
}

fn blocks(message: &Value) -> &[Value] {
    message.get("content").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// What a member must be to be read at all.
#[derive(Clone, Copy)]
enum Shape {
    /// An object.
    Structure,
    /// A string.
    Text,
}

/// A member of a structure, if it is there.
fn member<'a>(parent: &'a Value, name: &str, shape: Shape) -> Result<Option<&'a Value>, Refusal> {
    let Value::Object(members) = parent else { return Err(not_expected(parent)) };
    match (members.get(name), shape) {
        (None | Some(Value::Null), _) => Ok(None),
        (Some(value @ Value::Object(_)), Shape::Structure)
        | (Some(value @ Value::String(_)), Shape::Text) => Ok(Some(value)),
        (Some(value), Shape::Structure) => Err(not_expected(value)),
        (Some(value), Shape::Text) => Err(not_convertible(value, "a String")),
    }
}

/// A list in a structure, if it is there.
fn list<'a>(parent: &'a Value, name: &str) -> Result<Option<&'a Vec<Value>>, Refusal> {
    let Value::Object(members) = parent else { return Err(not_expected(parent)) };
    match members.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Array(items)) => Ok(Some(items)),
        Some(other) => Err(not_expected(other)),
    }
}

fn invalid(case: &'static str) -> Refusal {
    Refusal::new(ErrorKind::BadRequest, case)
}

fn violation(value: &str, constraint: &str) -> Refusal {
    let message =
        format!("1 validation error detected: {value} failed to satisfy constraint: {constraint}");
    invalid("validation").word("message", message)
}

fn serialization(reason: &str) -> Refusal {
    invalid("serialization").word("reason", reason)
}

/// A structure or list where another one belongs.
fn not_expected(found: &Value) -> Refusal {
    serialization(match found {
        Value::Array(_) => "Start of list found where not expected",
        Value::Object(_) => "Start of structure or map found where not expected.",
        _ => "Unexpected field type",
    })
}

/// A value that is no list or structure where one of another type belongs.
fn not_convertible(found: &Value, to: &str) -> Refusal {
    let token = match found {
        Value::Array(_) | Value::Object(_) => return not_expected(found),
        Value::Null => "NULL_VALUE",
        Value::Bool(true) => "TRUE_VALUE",
        Value::Bool(false) => "FALSE_VALUE",
        Value::Number(_) => "NUMBER_VALUE",
        Value::String(_) => "STRING_VALUE",
    };
    serialization(&format!("{token} can not be converted to {to}"))
}
