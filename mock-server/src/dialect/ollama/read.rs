//! Understanding a request to Ollama: syntax, types, model, and what the model can.

use serde_json::Value;

use super::{golang, is_v1, library};
use crate::{
    action::ErrorKind,
    dialect::{Head, Refusal, bearer, case, chat},
    plan::Route,
    request::{Conversation, Format, Request},
    tokens::Tokenizer,
};

/// The request, or the refusal.
pub(super) fn request(route: Route, head: &Head<'_>, body: &[u8]) -> Result<Request, Refusal> {
    let gets = matches!(
        route,
        Route::OllamaModels | Route::OllamaPs | Route::OllamaVersion | Route::OllamaV1Models
    );
    if !(head.method == "POST" && !gets || ["GET", "HEAD"].contains(&head.method) && gets) {
        return Err(Refusal::new(ErrorKind::BadRequest, "method"));
    }
    let mut request = Request::unknown(route, head.headers.clone());
    // A local server asks for none; the cloud's, or a proxy's, still tells clients apart.
    bearer(head.headers).unwrap_or_default().clone_into(&mut request.key);
    if gets {
        if let Some((_, model)) = head.path.split_once("/v1/models/") {
            model.clone_into(&mut request.model);
        }
        return Ok(request);
    }
    let Some(body) = golang::parsed(body).map_err(|text| refused("malformed-json", &text))? else {
        return Err(refused("missing-body", ""));
    };
    check_types(route, &body)?;
    text(&body, "model").clone_into(&mut request.model);
    if route == Route::OllamaShow && request.model.is_empty() {
        text(&body, "name").clone_into(&mut request.model);
    }
    match route {
        Route::OllamaV1Chat => compatible_chat(&mut request, &body)?,
        Route::OllamaV1Completions => compatible_completion(&mut request, &body)?,
        Route::OllamaEmbed | Route::OllamaV1Embeddings => embed(&mut request, &body)?,
        Route::OllamaEmbeddings => {
            named(&request)?;
            says(&mut request, text(&body, "prompt").to_owned());
        }
        Route::OllamaShow => named(&request)?,
        Route::OllamaGenerate => generate(&mut request, &body)?,
        _ => native_chat(&mut request, &body)?,
    }
    request.body = body;
    Ok(request)
}

/// Whether a request only loads a model into memory, or, if it is to be kept for no time, takes it
/// out: the word for it.
pub(super) fn loads(route: Route, body: &Value) -> Option<&'static str> {
    let silent = match route {
        Route::OllamaChat => {
            body.get("messages").and_then(Value::as_array).is_none_or(Vec::is_empty)
        }
        Route::OllamaGenerate => text(body, "prompt").is_empty(),
        _ => false,
    };
    let kept = match body.get("keep_alive") {
        Some(Value::Number(number)) => number.as_f64() != Some(0.0),
        Some(Value::String(text)) => !["0", "0s", "0m", "0h", "0ms"].contains(&text.as_str()),
        _ => true,
    };
    silent.then_some(if kept { "load" } else { "unload" })
}

/// The texts to embed.
pub(super) fn inputs(body: &Value) -> Vec<String> {
    match body.get("input") {
        Some(Value::Array(items)) => {
            items.iter().filter_map(Value::as_str).map(str::to_owned).collect()
        }
        input => chat::texts(input),
    }
}

fn refused(case: &'static str, text: &str) -> Refusal {
    let text = golang::written(&case::escaped(text));
    Refusal::new(ErrorKind::BadRequest, case).word("text", text)
}

fn text<'a>(body: &'a Value, field: &str) -> &'a str {
    body.get(field).and_then(Value::as_str).unwrap_or_default()
}

fn named(request: &Request) -> Result<(), Refusal> {
    if request.model.is_empty() { Err(refused("model-required", "")) } else { Ok(()) }
}

/// A prompt without a conversation around it.
fn says(request: &mut Request, said: String) {
    request.input_tokens = Tokenizer::of(&request.model).count(&said).saturating_add(1);
    request.conversation = Conversation::new([("user", said)]);
}

fn native_chat(request: &mut Request, body: &Value) -> Result<(), Refusal> {
    named(request)?;
    let messages = body.get("messages").and_then(Value::as_array);
    let messages = messages.map(Vec::as_slice).unwrap_or_default();
    request.conversation = chat::conversation(messages);
    request.input_tokens =
        chat::input_tokens(Tokenizer::of(&request.model), messages, body.get("tools"), TEMPLATE);
    options(request, body)?;
    request.wishes.tools = chat::tools(body.get("tools"));
    if !request.wishes.tools.is_empty() && library::lacks_tools(&request.model) {
        let model = library::whole_name(&request.model);
        let text = format!("registry.ollama.ai/library/{model} does not support tools");
        return Err(refused("no-tools", &text));
    }
    Ok(())
}

fn generate(request: &mut Request, body: &Value) -> Result<(), Refusal> {
    if request.model.is_empty() {
        return Err(Refusal::new(ErrorKind::NotFound, "model").word("model-name", ""));
    }
    let prompt = text(body, "prompt");
    let raw = body.get("raw") == Some(&Value::Bool(true));
    let given = |field: &str| {
        body.get(field).is_some_and(|value| !value.is_null() && value.as_str() != Some(""))
    };
    if raw && ["template", "system", "context"].into_iter().any(given) {
        return Err(refused("raw", ""));
    }
    let said = [text(body, "system"), prompt, text(body, "suffix")].concat();
    let before = body.get("context").and_then(Value::as_array).map_or(0, Vec::len);
    let around = if raw { 0 } else { TEMPLATE.0 + TEMPLATE.1 };
    request.input_tokens = Tokenizer::of(&request.model)
        .count(&said)
        .saturating_add(around)
        .saturating_add(u64::try_from(before).unwrap_or(0));
    let turns = [("system", text(body, "system").to_owned()), ("user", prompt.to_owned())];
    request.conversation = Conversation::new(
        turns.into_iter().filter(|(role, said)| *role == "user" || !said.is_empty()),
    );
    options(request, body)
}

/// What both native routes that write have in common.
fn options(request: &mut Request, body: &Value) -> Result<(), Refusal> {
    if let Some(Value::String(span)) = body.get("keep_alive") {
        check_span(span)?;
    }
    let thinks = match body.get("think") {
        None | Some(Value::Null) => library::thinks(&request.model),
        Some(Value::Bool(thinks)) => *thinks,
        Some(Value::String(level)) => match level.as_str() {
            "high" | "medium" | "low" => true,
            other => {
                let text = format!(
                    "invalid think value: {other:?} (must be \"high\", \"medium\", \"low\", true, or false)"
                );
                return Err(refused("think", &text));
            }
        },
        Some(_) => return Err(refused("think", "think must be a boolean or string")),
    };
    let asked = body.get("think").is_some_and(|think| !think.is_null());
    if asked && thinks && library::lacks_thinking(&request.model) {
        let text = format!("{:?} does not support thinking", request.model);
        return Err(refused("no-thinking", &text));
    }
    request.wishes.reasons = thinks;
    request.wishes.format = match body.get("format") {
        None | Some(Value::Null) => Format::Text,
        Some(Value::String(word)) => match word.as_str() {
            "" => Format::Text,
            "json" => Format::Json,
            _ => return Err(invalid_format(body)),
        },
        Some(schema @ Value::Object(_)) => Format::Schema(schema.clone()),
        Some(_) => return Err(invalid_format(body)),
    };
    let option = |name: &str| body.get("options").and_then(|options| options.get(name));
    for name in ["num_predict", "num_ctx", "seed", "top_k", "num_keep", "repeat_last_n"] {
        if option(name).is_some_and(|value| !value.is_number() && !value.is_null()) {
            let text = format!("option {name:?} must be of type integer");
            return Err(refused("option", &text));
        }
    }
    for name in ["temperature", "top_p", "min_p", "repeat_penalty"] {
        if option(name).is_some_and(|value| !value.is_number() && !value.is_null()) {
            let text = format!("option {name:?} must be of type float32");
            return Err(refused("option", &text));
        }
    }
    match option("stop") {
        None | Some(Value::Null) => {}
        Some(Value::Array(stops)) if stops.iter().all(Value::is_string) => {
            request.wishes.stops = chat::texts(option("stop"));
        }
        Some(Value::Array(_)) => {
            return Err(refused("option", "option \"stop\" must be of an array of strings"));
        }
        Some(_) => return Err(refused("option", "option \"stop\" must be of type array")),
    }
    // Less than one means as many as it takes.
    request.output_tokens_max =
        option("num_predict").and_then(Value::as_u64).filter(|tokens| *tokens > 0);
    let whole = body.get("stream") == Some(&Value::Bool(false));
    let silent = loads(request.route, body).is_some();
    if silent {
        request.output_tokens_max = Some(0);
    }
    request.streaming = !(whole || silent);
    Ok(())
}

fn invalid_format(body: &Value) -> Refusal {
    let found = body.get("format").map(Value::to_string).unwrap_or_default();
    let text =
        format!("invalid format: {found:?}; expected \"json\" or a valid JSON Schema object");
    refused("format", &text)
}

/// A span as Go's `time.ParseDuration` takes it.
fn check_span(span: &str) -> Result<(), Refusal> {
    let digits = span.trim_start_matches(['-', '+']);
    let quoted = format!("{span:?}");
    if digits == "0" {
        return Ok(());
    }
    if digits.is_empty()
        || !digits.starts_with(|letter: char| letter.is_ascii_digit() || letter == '.')
    {
        return Err(refused("keep-alive", &format!("time: invalid duration {quoted}")));
    }
    match digits.trim_start_matches(|letter: char| letter.is_ascii_digit() || letter == '.') {
        "" => Err(refused("keep-alive", &format!("time: missing unit in duration {quoted}"))),
        rest if ["ns", "us", "µs", "ms", "s", "m", "h"]
            .iter()
            .any(|unit| rest.starts_with(unit)) =>
        {
            Ok(())
        }
        rest => {
            let end = rest.find(|letter: char| letter.is_ascii_digit()).unwrap_or(rest.len());
            let text = format!("time: unknown unit {:?} in duration {quoted}", &rest[..end]);
            Err(refused("keep-alive", &text))
        }
    }
}

fn compatible_chat(request: &mut Request, body: &Value) -> Result<(), Refusal> {
    let messages = body.get("messages").and_then(Value::as_array);
    let messages = messages.map(Vec::as_slice).unwrap_or_default();
    if messages.is_empty() {
        return Err(refused("no-messages", "[] is too short - 'messages'"));
    }
    for message in messages {
        let calls = message.get("tool_calls").is_some_and(|calls| !calls.is_null());
        let kind = match message.get("content") {
            Some(Value::String(_)) => continue,
            Some(Value::Array(parts)) => {
                let known = |part: &Value| {
                    matches!(part.get("type").and_then(Value::as_str), Some("text" | "image_url"))
                };
                if parts.iter().all(known) {
                    continue;
                }
                return Err(refused("message-content", "invalid message format"));
            }
            _ if calls => continue,
            None | Some(Value::Null) => "<nil>",
            Some(Value::Bool(_)) => "bool",
            Some(Value::Number(_)) => "float64",
            Some(Value::Object(_)) => "map[string]interface {}",
        };
        let text = format!("invalid message content type: {kind}");
        return Err(refused("message-content", &text));
    }
    named(request)?;
    request.conversation = chat::conversation(messages);
    request.input_tokens =
        chat::input_tokens(Tokenizer::of(&request.model), messages, body.get("tools"), TEMPLATE);
    compatible_options(request, body);
    if !request.wishes.tools.is_empty() && library::lacks_tools(&request.model) {
        let model = library::whole_name(&request.model);
        let text = format!("registry.ollama.ai/library/{model} does not support tools");
        return Err(refused("no-tools", &text));
    }
    let effort = body.get("reasoning_effort").and_then(Value::as_str);
    let effort = effort.or_else(|| body.pointer("/reasoning/effort").and_then(Value::as_str));
    request.wishes.reasons = effort != Some("none")
        && (library::thinks(&request.model)
            || effort.is_some() && !library::lacks_thinking(&request.model));
    Ok(())
}

fn compatible_completion(request: &mut Request, body: &Value) -> Result<(), Refusal> {
    if request.model.is_empty() {
        return Err(Refusal::new(ErrorKind::NotFound, "model").word("model-name", ""));
    }
    says(request, format!("{}{}", text(body, "prompt"), text(body, "suffix")));
    compatible_options(request, body);
    Ok(())
}

fn compatible_options(request: &mut Request, body: &Value) {
    request.wishes = chat::wishes(body);
    // It knows neither several answers nor a choice of tools.
    request.wishes.choices = 1;
    request.wishes.tool_choice = crate::request::ToolChoice::Auto;
    request.streaming = body.get("stream") == Some(&Value::Bool(true));
    let most = body.get("max_tokens").and_then(Value::as_u64);
    request.output_tokens_max = most.filter(|tokens| *tokens > 0);
}

fn embed(request: &mut Request, body: &Value) -> Result<(), Refusal> {
    let wrong = match body.get("input") {
        Some(Value::Array(items)) => !items.iter().all(Value::is_string),
        Some(Value::String(_)) => false,
        None | Some(Value::Null) => request.route == Route::OllamaV1Embeddings,
        Some(_) => true,
    };
    if wrong && is_v1(request.route) {
        return Err(refused("input-type", "invalid input"));
    }
    if request.model.is_empty() {
        return Err(Refusal::new(ErrorKind::NotFound, "model").word("model-name", ""));
    }
    if wrong {
        return Err(refused("input-type", "invalid input type"));
    }
    let tokenizer = Tokenizer::of(&request.model);
    let texts = inputs(body);
    chat::few(&texts)?;
    // Two more around each text: its beginning and its end.
    let tokens = texts.iter().map(|text| tokenizer.count(text).saturating_add(2));
    request.input_tokens = tokens.fold(0, u64::saturating_add);
    request.conversation = Conversation::new([("user", texts.join("\n"))]);
    Ok(())
}

/// Checks what stands in each field, in the order of the document: the first mistake counts.
fn check_types(route: Route, body: &Value) -> Result<(), Refusal> {
    let (name, package) = match route {
        Route::OllamaChat => ("ChatRequest", "api"),
        Route::OllamaGenerate => ("GenerateRequest", "api"),
        Route::OllamaEmbed => ("EmbedRequest", "api"),
        Route::OllamaEmbeddings => ("EmbeddingRequest", "api"),
        Route::OllamaShow => ("ShowRequest", "api"),
        Route::OllamaV1Completions => ("CompletionRequest", "openai"),
        Route::OllamaV1Embeddings => ("EmbedRequest", "openai"),
        _ => ("ChatCompletionRequest", "openai"),
    };
    let Some(fields) = body.as_object() else {
        let kind = golang::kind(body);
        let text = format!("json: cannot unmarshal {kind} into Go value of type {package}.{name}");
        return Err(refused("wrong-type", &text));
    };
    let mistaken = |value: &Value, field: &str, expected: &str| {
        let kind = golang::kind(value);
        let text = format!(
            "json: cannot unmarshal {kind} into Go struct field {name}.{field} of type {expected}"
        );
        refused("wrong-type", &text)
    };
    for (field, value) in fields {
        let expected = match field.as_str() {
            "model" | "prompt" | "suffix" | "system" | "template" | "name" => "string",
            "stream" | "raw" | "truncate" => "bool",
            "messages" if is_v1(route) => "[]openai.Message",
            "messages" => "[]api.Message",
            "tools" if is_v1(route) => "[]api.Tool",
            "tools" => "api.Tools",
            "options" => "map[string]interface {}",
            "max_tokens" | "dimensions" => "int",
            "context" => "[]int",
            _ => continue,
        };
        let fits = match expected {
            "string" => value.is_string(),
            "bool" => value.is_boolean(),
            "int" => value.is_i64() || value.is_u64(),
            "map[string]interface {}" => value.is_object(),
            _ => value.is_array(),
        };
        if !fits && !value.is_null() {
            return Err(mistaken(value, field, expected));
        }
        if field != "messages" {
            continue;
        }
        for message in value.as_array().into_iter().flatten() {
            let Some(parts) = message.as_object() else {
                return Err(mistaken(message, field, expected.trim_start_matches("[]")));
            };
            for (part, value) in parts {
                let fits = match part.as_str() {
                    "role" => value.is_string(),
                    "content" => is_v1(route) || value.is_string(),
                    _ => true,
                };
                if !fits && !value.is_null() {
                    return Err(mistaken(value, &format!("messages.{part}"), "string"));
                }
            }
        }
    }
    Ok(())
}

/// What Llama's template puts before the answer, and around each message.
const TEMPLATE: (u64, u64) = (5, 5);
