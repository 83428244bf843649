//! Understanding a request to Gemini.

use serde_json::{Map, Value};

use super::{
    Method, Target,
    field::{self, Form, field, list, text},
};
use crate::{
    action::ErrorKind,
    dialect::{Head, MISTAKES_MAX, Refusal, bearer, case::escaped, content_text, indented},
    models,
    plan::Route,
    request::{Conversation, Format, Request, TOOL_CALLS, Tool, ToolChoice, Wishes},
    tokens::Tokenizer,
};

/// The request, or the refusal: key, then syntax, then the form of every field, then what they say.
pub(super) fn request(route: Route, head: &Head<'_>, body: &[u8]) -> Result<Request, Refusal> {
    let target = Target::of(head.headers);
    let lists = route == Route::GeminiModels;
    if head.method != if lists { "GET" } else { "POST" } || target.model.is_empty() && !lists {
        return Err(Refusal::new(ErrorKind::NotFound, "route"));
    }
    let key = key(head).ok_or_else(|| Refusal::new(ErrorKind::Authentication, "missing-key"))?;
    let mut request = Request {
        model: target.model.to_owned(),
        key,
        ..Request::unknown(route, head.headers.clone())
    };
    if lists {
        return Ok(request);
    }
    let text = String::from_utf8_lossy(body);
    let body: Value = if text.trim().is_empty() {
        Value::Object(Map::new())
    } else {
        serde_json::from_str(&text).map_err(|mistake| malformed_json(&text, &mistake))?
    };
    let form = match target.method {
        Some(Method::BatchEmbed) => &field::BATCH_EMBED,
        Some(Method::Embed) => &field::EMBED,
        Some(Method::Count) => &field::COUNT,
        _ => &field::GENERATE,
    };
    fitting(&body, form)?;
    match target.method {
        Some(Method::BatchEmbed) => read_batch(&mut request, &body)?,
        Some(Method::Embed) => read_embed(&mut request, &body)?,
        Some(Method::Count) => {
            let inner = field(&body, "generateContentRequest").unwrap_or(&body);
            read_contents(&mut request, inner, "CountTokensRequest")?;
        }
        _ => {
            read_contents(&mut request, &body, "GenerateContentRequest")?;
            read_config(&mut request, &body)?;
            request.streaming = target.method == Some(Method::Stream);
        }
    }
    request.body = body;
    Ok(request)
}

/// The key: of a header, of the query, or a token.
fn key(head: &Head<'_>) -> Option<String> {
    let of_header = head.headers.get("x-goog-api-key");
    let of_query = head.query.split('&').find_map(|pair| pair.strip_prefix("key="));
    let key = of_header.or(of_query).or_else(|| bearer(head.headers));
    key.filter(|key| !key.is_empty()).map(str::to_owned)
}

/// A request that says what cannot be.
fn invalid(message: &str) -> Refusal {
    Refusal::new(ErrorKind::BadRequest, "invalid").word("message", message)
}

/// A value of a field that cannot be.
fn invalid_field(place: &str, why: &str) -> Refusal {
    invalid(&format!("* {place}: {why}\n"))
}

/// Checks that every field is known, and of its type.
fn fitting(body: &Value, form: &Form) -> Result<(), Refusal> {
    if !body.is_object() {
        let message = "Invalid JSON payload received. Unknown name \"\": Root element must be a \
                       message.";
        return Err(invalid(message));
    }
    let found = field::violations(body, form);
    if found.is_empty() {
        return Ok(());
    }
    let messages: Vec<&str> = found.iter().map(field::Violation::message).collect();
    let details: Value = found.iter().map(field::Violation::detail).collect();
    let details = indented(&details, b"  ").replace('\n', "\n        ");
    let refusal = Refusal::new(ErrorKind::BadRequest, "fields");
    Err(refusal.word("message", escaped(&messages.join("\n"))).word("violations", details))
}

/// What is no JSON, shown where reading it failed.
fn malformed_json(text: &str, mistake: &serde_json::Error) -> Refusal {
    let reason = mistake.to_string();
    let expected = [
        ("key must be a string", "Expected an object key or }."),
        ("while parsing an object", "Expected , or } after key:value pair."),
        ("while parsing a list", "Expected , or ] after array value."),
        ("`,` or `}`", "Expected , or } after key:value pair."),
        ("`,` or `]`", "Expected , or ] after array value."),
        ("`:`", "Expected : between key:value pair."),
        ("escape", "Invalid escape sequence."),
        ("trailing characters", "Parsing terminated before end of input."),
        ("recursion limit", "Message too deep. Max recursion depth reached for key ''"),
        ("string", "Closing quote expected in string."),
    ];
    let expected = expected.into_iter().find(|(part, _)| reason.contains(part));
    let expected = expected.map_or("Expected a value.", |(_, expected)| expected);
    let ends = if mistake.is_eof() { "Unexpected end of string. " } else { "" };
    // Google's parser shows twenty letters on each side of the place.
    let line = text.lines().nth(mistake.line().saturating_sub(1)).unwrap_or_default();
    let letters: Vec<char> = line.chars().collect();
    let before = if mistake.is_eof() { mistake.column() } else { mistake.column().max(1) - 1 };
    let place = before.min(letters.len());
    let first = place.saturating_sub(20);
    let shown: String = letters[first..(place + 20).min(letters.len())].iter().collect();
    let message = format!("{ends}{expected}\n{shown}\n{}^", " ".repeat(place - first));
    Refusal::new(ErrorKind::BadRequest, "malformed-json").word("message", message)
}

/// What a request says: contents, instructions and tools, and what all that costs.
fn read_contents(request: &mut Request, body: &Value, name: &str) -> Result<(), Refusal> {
    let contents = list(body, "contents");
    if contents.is_empty() {
        return Err(invalid_field(&format!("{name}.contents"), "contents is not specified"));
    }
    let mut wrong = Vec::new();
    for (index, content) in contents.iter().enumerate() {
        if wrong.len() >= MISTAKES_MAX {
            break;
        }
        let place = format!("* {name}.contents[{index}].parts");
        let parts = list(content, "parts");
        if parts.is_empty() {
            wrong.push(format!("{place}: contents.parts must not be empty.\n"));
        }
        for (number, part) in parts.iter().take(MISTAKES_MAX).enumerate() {
            if !DATA.iter().any(|name| field(part, name).is_some()) {
                wrong.push(format!(
                    "{place}[{number}].data: required oneof field 'data' must have one initialized \
                     field\n"
                ));
            }
        }
    }
    if !wrong.is_empty() {
        return Err(invalid(&wrong.concat()));
    }
    if contents.iter().any(|content| !ROLES.contains(&text(content, "role"))) {
        return Err(invalid("Please use a valid role: user, model."));
    }
    called(request, contents)?;
    let system = field(body, "systemInstruction");
    let turns = contents.iter().map(|content| (speaker(content), said(content)));
    let system = system.map(|system| ("system", said(system)));
    request.conversation = Conversation::new(system.into_iter().chain(turns));
    request.input_tokens = tokens(&request.model, body);
    Ok(())
}

/// Checks that calls of functions are answered, one for one, and signed where they must be.
fn called(request: &Request, contents: &[Value]) -> Result<(), Refusal> {
    let count = |content: &Value, name: &str| {
        list(content, "parts").iter().filter(|part| field(part, name).is_some()).count()
    };
    for pair in contents.windows(2) {
        let [turn, answer] = pair else { continue };
        let calls = count(turn, "functionCall");
        if calls > 0 && count(answer, "functionResponse") != calls {
            return Err(invalid(
                "Please ensure that the number of function response parts is equal to the number \
                 of function call parts of the function call turn.",
            ));
        }
    }
    if !request.model.starts_with("gemini-3") {
        return Ok(());
    }
    // Of the turn that is not over yet, each step's first call must be signed.
    let asked = contents.iter().rposition(|content| {
        text(content, "role") != "model" && count(content, "functionResponse") == 0
    });
    for (index, content) in contents.iter().enumerate().skip(asked.map_or(0, |asked| asked + 1)) {
        let mut calls =
            list(content, "parts").iter().filter(|p| field(p, "functionCall").is_some());
        let Some(first) = calls.next() else { continue };
        if text(first, "thoughtSignature").is_empty() {
            let name = field(first, "functionCall").map_or("", |call| text(call, "name"));
            return Err(invalid(&format!(
                "Function call is missing a thought_signature in functionCall parts. This is \
                 required for tools to work correctly, and missing thought_signature may lead to \
                 degraded model performance. Additional data, function call `default_api:{name}` , \
                 position {}. Please refer to \
                 https://ai.google.dev/gemini-api/docs/thought-signatures for more details.",
                index + 1
            )));
        }
    }
    Ok(())
}

/// What the request wants of its answer.
fn read_config(request: &mut Request, body: &Value) -> Result<(), Refusal> {
    let config = field(body, "generationConfig").unwrap_or(&Value::Null);
    let place = |name: &str| format!("GenerateContentRequest.generation_config.{name}");
    let number = |name: &str| field(config, name).and_then(whole);
    let mut wishes = Wishes::default();
    match number("candidateCount") {
        None => {}
        Some(count @ 1..=8) => wishes.choices = u32::try_from(count).unwrap_or(1),
        Some(_) => {
            let why = "candidate_count must be in the range [1, 8].";
            return Err(invalid_field(&place("candidate_count"), why));
        }
    }
    if let Some(given) = field(config, "temperature").and_then(Value::as_f64)
        && !(0.0..=2.0).contains(&given)
    {
        let why = "temperature must be in the range [0.0, 2.0].";
        return Err(invalid_field(&place("temperature"), why));
    }
    let most = models::facts(&request.model).and_then(|facts| facts.max_output_tokens);
    let most = most.map_or(65_537, |most| most.saturating_add(1));
    request.output_tokens_max = match number("maxOutputTokens") {
        None => None,
        Some(given) => {
            let fits = u64::try_from(given).ok().filter(|given| (1..most).contains(given));
            let Some(given) = fits else {
                return Err(invalid(&format!(
                    "Unable to submit request because it has a maxOutputTokens value of {given} \
                     but the supported range is from 1 (inclusive) to {most} (exclusive). Update \
                     the value and try again."
                )));
            };
            Some(given)
        }
    };
    let stops = list(config, "stopSequences");
    if stops.len() > 5 {
        let why = "at most 5 stop sequences are allowed.";
        return Err(invalid_field(&place("stop_sequences"), why));
    }
    wishes.stops = stops.iter().filter_map(Value::as_str).map(str::to_owned).collect();
    wishes.stops.retain(|stop| !stop.is_empty());
    read_tools(&mut wishes, body)?;
    let schema = ["responseJsonSchema", "_responseJsonSchema"];
    let schema = schema.iter().find_map(|name| field(config, name).cloned());
    let schema = schema.or_else(|| field(config, "responseSchema").map(json_schema));
    wishes.format = match (text(config, "responseMimeType"), schema) {
        ("application/json", Some(schema)) => Format::Schema(schema),
        ("application/json", None) => Format::Json,
        ("" | "text/plain" | "application/xml" | "application/yaml" | "text/x.enum", _) => {
            Format::Text
        }
        _ => {
            let why = "allowed mimetypes are `text/plain`, `application/json`, `application/xml`, \
                       `application/yaml` and `text/x.enum`.";
            return Err(invalid_field(&place("response_mime_type"), why));
        }
    };
    if wishes.format != Format::Text
        && !wishes.tools.is_empty()
        && !request.model.starts_with("gemini-3")
    {
        return Err(invalid(
            "Function calling with a response mime type: 'application/json' is unsupported",
        ));
    }
    let thinking = field(config, "thinkingConfig").unwrap_or(&Value::Null);
    let shown = field(thinking, "includeThoughts") == Some(&Value::Bool(true));
    wishes.reasons = shown && field(thinking, "thinkingBudget").and_then(whole) != Some(0);
    request.wishes = wishes;
    Ok(())
}

/// The functions that the client offers, and whether they are to be called.
fn read_tools(wishes: &mut Wishes, body: &Value) -> Result<(), Refusal> {
    for (index, tool) in list(body, "tools").iter().enumerate() {
        for (number, declared) in list(tool, "functionDeclarations").iter().enumerate() {
            let name = text(declared, "name");
            let allowed = |c: char| c.is_ascii_alphanumeric() || "_.:-".contains(c);
            let begins = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
            if !begins || name.len() > 64 || !name.chars().all(allowed) {
                return Err(invalid_field(
                    &format!(
                        "GenerateContentRequest.tools[{index}].function_declarations[{number}].name"
                    ),
                    "Invalid function name. Must start with a letter or an underscore. Must be \
                     alphanumeric (a-z, A-Z, 0-9), underscores (_), dots (.), colons (:), or \
                     dashes (-), with a maximum length of 64.",
                ));
            }
            let schema = field(declared, "parametersJsonSchema").cloned();
            let schema = schema.or_else(|| field(declared, "parameters").map(json_schema));
            let schema = schema.unwrap_or_default();
            wishes.tools.push(Tool { name: name.to_owned(), schema });
        }
    }
    let config = field(body, "toolConfig").and_then(|c| field(c, "functionCallingConfig"));
    let Some(config) = config else { return Ok(()) };
    if wishes.tools.is_empty() && text(config, "mode") == "ANY" {
        return Err(invalid("Function calling config is set without function_declarations."));
    }
    let allowed = list(config, "allowedFunctionNames");
    wishes.tool_choice = match text(config, "mode") {
        "ANY" => {
            if !allowed.is_empty() {
                wishes.tools.retain(|tool| allowed.iter().any(|name| *name == *tool.name));
            }
            match (allowed, wishes.tools.as_slice()) {
                ([_], [tool]) => ToolChoice::Named(tool.name.clone()),
                _ => ToolChoice::Required,
            }
        }
        "NONE" => ToolChoice::None,
        _ if !allowed.is_empty() && text(config, "mode") != "VALIDATED" => {
            return Err(invalid("Allowed function names should be set only when the mode is ANY."));
        }
        _ => ToolChoice::Auto,
    };
    Ok(())
}

/// A content to embed.
fn read_embed(request: &mut Request, body: &Value) -> Result<(), Refusal> {
    let Some(content) = field(body, "content") else {
        return Err(invalid_field("EmbedContentRequest.content", "content is not specified"));
    };
    let wanted = field(body, "outputDimensionality").and_then(whole);
    if wanted.is_some_and(|wanted| !(1..=3_072).contains(&wanted)) {
        return Err(invalid_field(
            "EmbedContentRequest.output_dimensionality",
            "output_dimensionality must be in the range [1, 3072].",
        ));
    }
    request.conversation = Conversation::new([("user", said(content))]);
    request.input_tokens = content_tokens(Tokenizer::of(&request.model), content);
    Ok(())
}

/// Several contents to embed.
fn read_batch(request: &mut Request, body: &Value) -> Result<(), Refusal> {
    let requests = list(body, "requests");
    if requests.is_empty() {
        let place = "BatchEmbedContentsRequest.requests";
        return Err(invalid_field(place, "requests is not specified"));
    }
    if requests.len() > 100 {
        // Quoted in langchain-ai/langchainjs#4491.
        let place = "BatchEmbedContentsRequest.requests";
        return Err(invalid_field(place, "at most 100 requests can be in one batch"));
    }
    let mut all = (Vec::new(), 0_u64);
    for single in requests {
        read_embed(request, single)?;
        all.0.push(("user", said(field(single, "content").unwrap_or(&Value::Null))));
        all.1 = all.1.saturating_add(request.input_tokens);
    }
    request.conversation = Conversation::new(all.0);
    request.input_tokens = all.1;
    Ok(())
}

/// The tokens of a request.
///
/// Recorded: models since 2.5 count one more than the text has, earlier ones do not.
fn tokens(model: &str, body: &Value) -> u64 {
    let tokenizer = Tokenizer::of(model);
    let count = |content: &Value| content_tokens(tokenizer, content);
    let contents = list(body, "contents").iter().map(count).fold(0, u64::saturating_add);
    let system = field(body, "systemInstruction").map_or(0, count);
    let tools = list(body, "tools").iter().flat_map(|tool| list(tool, "functionDeclarations"));
    let tools = tools.map(|tool| tokenizer.count(&tool.to_string()));
    let start = u64::from(!super::success::is_early(model));
    tools.fold(contents.saturating_add(system).saturating_add(start), u64::saturating_add)
}

fn content_tokens(tokenizer: Tokenizer, content: &Value) -> u64 {
    let parts = list(content, "parts").iter().map(|part| {
        let spoken = tokenizer.count(text(part, "text"));
        let structured = ["functionCall", "functionResponse"].iter();
        let structured = structured.filter_map(|name| field(part, name));
        let structured = structured.map(|value| tokenizer.count(&value.to_string()));
        structured.fold(spoken, u64::saturating_add)
    });
    parts.fold(images(content).saturating_mul(IMAGE), u64::saturating_add)
}

/// The tokens of all images of a request, which its answer tells apart.
pub(super) fn image_tokens(body: &Value) -> u64 {
    let body = field(body, "generateContentRequest").unwrap_or(body);
    list(body, "contents").iter().map(images).sum::<u64>().saturating_mul(IMAGE)
}

/// The images, or whatever else is no text, of a content.
fn images(content: &Value) -> u64 {
    let is_image =
        |part: &&Value| ["inlineData", "fileData"].iter().any(|n| field(part, n).is_some());
    u64::try_from(list(content, "parts").iter().filter(is_image).count()).unwrap_or(u64::MAX)
}

/// What an image costs (documented for one whose sides are at most 384 pixels).
const IMAGE: u64 = 258;

/// What a content says, its thoughts left out.
pub(super) fn said(content: &Value) -> String {
    let parts = list(content, "parts").iter();
    let spoken = parts.filter(|part| field(part, "thought") != Some(&Value::Bool(true)));
    content_text(&spoken.cloned().collect())
}

/// Who a content belongs to, whatever its role is called.
fn speaker(content: &Value) -> &'static str {
    let parts = list(content, "parts");
    let model = text(content, "role") == "model";
    if model && parts.iter().any(|part| field(part, "functionCall").is_some()) {
        TOOL_CALLS
    } else if model {
        "assistant"
    } else if parts.iter().all(|part| field(part, "functionResponse").is_some()) {
        "tool"
    } else {
        "user"
    }
}

/// A schema of Gemini's in the words of JSON Schema.
fn json_schema(schema: &Value) -> Value {
    let Some(fields) = schema.as_object() else { return schema.clone() };
    let translated = fields.iter().map(|(name, value)| {
        let value = match (name.as_str(), value) {
            ("type", Value::String(kind)) => Value::String(kind.to_ascii_lowercase()),
            ("properties", Value::Object(properties)) => {
                let properties = properties.iter();
                properties.map(|(name, schema)| (name.clone(), json_schema(schema))).collect()
            }
            ("items", schema) => json_schema(schema),
            ("anyOf" | "any_of", Value::Array(schemas)) => {
                schemas.iter().map(json_schema).collect()
            }
            (_, value) => value.clone(),
        };
        (camel(name), value)
    });
    Value::Object(translated.collect())
}

/// A name in camel case, which it may already be.
fn camel(name: &str) -> String {
    let mut words = name.split('_');
    let mut camel = words.next().unwrap_or_default().to_owned();
    for word in words {
        let mut letters = word.chars();
        camel.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        camel.push_str(letters.as_str());
    }
    camel
}

/// A whole number, which may be written as a text.
fn whole(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.parse().ok())
}

/// The roles of a content; it may be left out.
const ROLES: [&str; 4] = ["", "function", "model", "user"];

/// The fields of a part of which one must be there.
const DATA: [&str; 9] = [
    "text",
    "inlineData",
    "functionCall",
    "functionResponse",
    "fileData",
    "executableCode",
    "codeExecutionResult",
    "toolCall",
    "toolResponse",
];
