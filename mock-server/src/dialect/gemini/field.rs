//! The fields of Gemini's requests: what Google's front end knows, and how it refuses the rest.
//!
//! It reads JSON into messages of a fixed form, in camel case or snake case, and tells all that
//! does not fit at once.

use serde_json::{Value, json};

use crate::dialect::MISTAKES_MAX;

/// The form of a value.
#[derive(Clone, Copy, Debug)]
pub(super) enum Form {
    /// Whatever it is.
    Any,
    /// True or false.
    Bool,
    /// One of the values of an enumeration, with its name.
    Choice(&'static str, &'static [&'static str]),
    /// A number with a decimal point.
    Float,
    /// A whole number of 32 bits.
    Int,
    /// Names of the author's choice, each with a value of this form.
    Map(&'static Form),
    /// Fields, by name in snake case.
    Message(&'static [(&'static str, Form)]),
    /// A list, or a single element in its place.
    Repeated(&'static Form),
    /// The schema of a value.
    Schema,
    /// Text.
    Text,
}

/// The value of a field, by its name in camel case, in either spelling.
pub(super) fn field<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    let found = value.get(name).or_else(|| value.get(snake(name)));
    found.filter(|value| !value.is_null())
}

/// The text of a field; empty if there is none.
pub(super) fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    field(value, name).and_then(Value::as_str).unwrap_or_default()
}

/// The elements of a repeated field, which may be a single one.
pub(super) fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    match field(value, name) {
        Some(Value::Array(list)) => list,
        Some(single) => std::slice::from_ref(single),
        None => &[],
    }
}

/// Something that does not fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Violation {
    /// Where: the path of the message that should hold it; empty at the top.
    field: String,
    /// What.
    description: String,
}

impl Violation {
    /// The violation as it stands in the details of an error.
    pub(super) fn detail(&self) -> Value {
        if self.field.is_empty() {
            json!({ "description": self.description })
        } else {
            json!({ "field": self.field, "description": self.description })
        }
    }

    /// The violation as it stands in its message.
    pub(super) fn message(&self) -> &str {
        &self.description
    }
}

/// Everything in a value that does not fit its form.
pub(super) fn violations(value: &Value, form: &Form) -> Vec<Violation> {
    let mut found = Vec::new();
    check(value, form, "", &mut found);
    found
}

fn check(value: &Value, form: &Form, path: &str, found: &mut Vec<Violation>) {
    if found.len() >= MISTAKES_MAX {
        return;
    }
    let wrong = |kind: &str| Violation {
        field: path.to_owned(),
        description: format!("Invalid value at '{path}' ({kind}), {value}"),
    };
    let fits = match (form, value) {
        (Form::Any, _) | (_, Value::Null) => true,
        (Form::Schema, _) => return check(value, &Form::Message(SCHEMA), path, found),
        (Form::Repeated(element), Value::Array(elements)) => {
            for (index, value) in elements.iter().enumerate() {
                check(value, element, &format!("{path}[{index}]"), found);
            }
            true
        }
        (Form::Repeated(element), _) => return check(value, element, path, found),
        (_, Value::Array(_)) => {
            let (parent, name) = path.rsplit_once('.').unwrap_or(("", path));
            return found.push(unknown(
                name,
                parent,
                "Proto field is not repeating, cannot start list.",
            ));
        }
        (Form::Message(fields), Value::Object(given)) => {
            for (name, value) in given {
                let known = snake(name);
                match fields.iter().find(|(field, _)| *field == known) {
                    Some((field, form)) => check(value, form, &joined(path, field), found),
                    None => found.push(unknown(name, path, "Cannot find field.")),
                }
            }
            true
        }
        (Form::Map(form), Value::Object(given)) => {
            for (index, value) in given.values().enumerate() {
                check(value, form, &format!("{path}[{index}].value"), found);
            }
            true
        }
        (Form::Message(_) | Form::Map(_), _) => false,
        (Form::Bool, value) => value.is_boolean(),
        (Form::Choice(_, values), Value::String(text)) => values.contains(&text.as_str()),
        (Form::Choice(..), value) => value.is_u64(),
        (Form::Float, Value::String(text)) => text.parse::<f64>().is_ok(),
        (Form::Float, value) => value.is_number(),
        (Form::Int, Value::String(text)) => text.parse::<i32>().is_ok(),
        (Form::Int, value) => value.as_i64().is_some_and(|number| i32::try_from(number).is_ok()),
        (Form::Text, value) => value.is_string(),
    };
    if !fits {
        found.push(match form {
            Form::Bool => wrong("TYPE_BOOL"),
            Form::Choice(name, _) => {
                wrong(&format!("type.googleapis.com/google.ai.generativelanguage.v1beta.{name}"))
            }
            Form::Float => wrong("TYPE_FLOAT"),
            Form::Int => wrong("TYPE_INT32"),
            Form::Text => wrong("TYPE_STRING"),
            _ => wrong("Map"),
        });
    }
}

fn unknown(name: &str, path: &str, why: &str) -> Violation {
    let place = if path.is_empty() { String::new() } else { format!(" at '{path}'") };
    // A name is quoted by whoever prints the message.
    let description =
        format!("Invalid JSON payload received. Unknown name \"{name}\"{place}: {why}");
    Violation { field: path.to_owned(), description }
}

fn joined(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

/// A name in snake case, which it may already be.
fn snake(name: &str) -> String {
    let mut snake = String::with_capacity(name.len() + 4);
    for letter in name.chars() {
        if letter.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}

/// A request to generate content; names from google-genai 3.4 and the reference of the API.
pub(super) static GENERATE: Form = Form::Message(GENERATE_FIELDS);

/// A request to count tokens.
pub(super) static COUNT: Form = Form::Message(&[
    ("model", Form::Text),
    ("contents", CONTENTS),
    ("generate_content_request", Form::Message(GENERATE_FIELDS)),
]);

/// A request to embed one content.
pub(super) static EMBED: Form = Form::Message(EMBED_FIELDS);

/// A request to embed several.
pub(super) static BATCH_EMBED: Form = Form::Message(&[
    ("model", Form::Text),
    ("requests", Form::Repeated(&Form::Message(EMBED_FIELDS))),
]);

const GENERATE_FIELDS: &[(&str, Form)] = &[
    ("model", Form::Text),
    ("contents", CONTENTS),
    ("system_instruction", CONTENT),
    ("tools", Form::Repeated(&Form::Message(TOOL))),
    ("tool_config", Form::Message(TOOL_CONFIG)),
    ("safety_settings", Form::Repeated(&Form::Message(SAFETY_SETTING))),
    ("generation_config", Form::Message(GENERATION_CONFIG)),
    ("cached_content", Form::Text),
    ("continuation_token", Form::Text),
    ("labels", Form::Map(&Form::Text)),
    ("service_tier", Form::Text),
    ("store", Form::Bool),
];

const EMBED_FIELDS: &[(&str, Form)] = &[
    ("model", Form::Text),
    ("content", CONTENT),
    ("embed_content_config", Form::Any),
    ("output_dimensionality", Form::Int),
    ("task_type", Form::Text),
    ("title", Form::Text),
];

const CONTENTS: Form = Form::Repeated(&CONTENT);

const CONTENT: Form =
    Form::Message(&[("parts", Form::Repeated(&Form::Message(PART))), ("role", Form::Text)]);

const PART: &[(&str, Form)] = &[
    ("audio_metadata", Form::Any),
    ("audio_transcription", Form::Any),
    ("code_execution_result", Form::Any),
    ("document_metadata", Form::Any),
    ("executable_code", Form::Any),
    ("file_data", Form::Message(&[("file_uri", Form::Text), ("mime_type", Form::Text)])),
    (
        "function_call",
        Form::Message(&[
            ("args", Form::Map(&Form::Any)),
            ("id", Form::Text),
            ("name", Form::Text),
            ("partial_args", Form::Any),
            ("will_continue", Form::Bool),
        ]),
    ),
    (
        "function_response",
        Form::Message(&[
            ("id", Form::Text),
            ("name", Form::Text),
            ("parts", Form::Any),
            ("response", Form::Map(&Form::Any)),
            ("scheduling", Form::Text),
            ("will_continue", Form::Bool),
        ]),
    ),
    ("inline_data", Form::Message(&[("data", Form::Text), ("mime_type", Form::Text)])),
    ("media_processing", Form::Any),
    ("media_resolution", Form::Any),
    ("part_metadata", Form::Any),
    ("speech_metadata", Form::Any),
    ("spreadsheet_metadata", Form::Any),
    ("text", Form::Text),
    ("thought", Form::Bool),
    ("thought_signature", Form::Text),
    ("tool_call", Form::Any),
    ("tool_response", Form::Any),
    ("video_metadata", Form::Any),
];

const TOOL: &[(&str, Form)] = &[
    ("code_execution", Form::Any),
    ("computer_use", Form::Any),
    ("file_search", Form::Any),
    ("function_declarations", Form::Repeated(&Form::Message(FUNCTION_DECLARATION))),
    ("google_maps", Form::Any),
    ("google_search", Form::Any),
    ("google_search_retrieval", Form::Any),
    ("mcp_servers", Form::Any),
    ("url_context", Form::Any),
];

const FUNCTION_DECLARATION: &[(&str, Form)] = &[
    ("behavior", Form::Text),
    ("description", Form::Text),
    ("name", Form::Text),
    ("parameters", Form::Schema),
    ("parameters_json_schema", Form::Any),
    ("response", Form::Schema),
    ("response_json_schema", Form::Any),
];

const TOOL_CONFIG: &[(&str, Form)] = &[
    (
        "function_calling_config",
        Form::Message(&[
            ("allowed_function_names", Form::Repeated(&Form::Text)),
            (
                "mode",
                Form::Choice(
                    "FunctionCallingConfig.Mode",
                    &["MODE_UNSPECIFIED", "AUTO", "ANY", "NONE", "VALIDATED"],
                ),
            ),
        ]),
    ),
    ("include_server_side_tool_invocations", Form::Bool),
    ("retrieval_config", Form::Any),
];

const SAFETY_SETTING: &[(&str, Form)] = &[
    (
        "category",
        Form::Choice(
            "HarmCategory",
            &[
                "HARM_CATEGORY_CIVIC_INTEGRITY",
                "HARM_CATEGORY_DANGEROUS",
                "HARM_CATEGORY_DANGEROUS_CONTENT",
                "HARM_CATEGORY_HARASSMENT",
                "HARM_CATEGORY_HATE_SPEECH",
                "HARM_CATEGORY_SEXUALLY_EXPLICIT",
                "HARM_CATEGORY_UNSPECIFIED",
            ],
        ),
    ),
    (
        "threshold",
        Form::Choice(
            "SafetySetting.HarmBlockThreshold",
            &[
                "BLOCK_LOW_AND_ABOVE",
                "BLOCK_MEDIUM_AND_ABOVE",
                "BLOCK_NONE",
                "BLOCK_ONLY_HIGH",
                "HARM_BLOCK_THRESHOLD_UNSPECIFIED",
                "OFF",
            ],
        ),
    ),
];

const GENERATION_CONFIG: &[(&str, Form)] = &[
    ("_response_json_schema", Form::Any),
    ("audio_transcription_config", Form::Any),
    ("candidate_count", Form::Int),
    ("enable_enhanced_civic_answers", Form::Bool),
    ("frequency_penalty", Form::Float),
    ("image_config", Form::Any),
    ("logprobs", Form::Int),
    ("max_output_tokens", Form::Int),
    ("media_resolution", Form::Text),
    ("presence_penalty", Form::Float),
    ("response_json_schema", Form::Any),
    ("response_logprobs", Form::Bool),
    ("response_mime_type", Form::Text),
    ("response_modalities", Form::Repeated(&Form::Text)),
    ("response_schema", Form::Schema),
    ("seed", Form::Int),
    ("speech_config", Form::Any),
    ("stop_sequences", Form::Repeated(&Form::Text)),
    ("temperature", Form::Float),
    (
        "thinking_config",
        Form::Message(&[
            ("include_thoughts", Form::Bool),
            ("thinking_budget", Form::Int),
            ("thinking_level", Form::Text),
        ]),
    ),
    ("top_k", Form::Int),
    ("top_p", Form::Float),
];

/// Less than JSON Schema: what a schema may say to Gemini.
const SCHEMA: &[(&str, Form)] = &[
    ("any_of", Form::Repeated(&Form::Schema)),
    ("default", Form::Any),
    ("description", Form::Text),
    ("enum", Form::Repeated(&Form::Text)),
    ("example", Form::Any),
    ("format", Form::Text),
    ("items", Form::Schema),
    ("max_items", Form::Any),
    ("max_length", Form::Any),
    ("max_properties", Form::Any),
    ("maximum", Form::Any),
    ("min_items", Form::Any),
    ("min_length", Form::Any),
    ("min_properties", Form::Any),
    ("minimum", Form::Any),
    ("nullable", Form::Bool),
    ("pattern", Form::Text),
    ("properties", Form::Map(&Form::Schema)),
    ("property_ordering", Form::Repeated(&Form::Text)),
    ("required", Form::Repeated(&Form::Text)),
    ("title", Form::Text),
    ("type", Form::Text),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_does_not_fit_is_told_at_once() {
        let messages = |body: Value| {
            let found = violations(&body, &GENERATE);
            found.iter().map(|found| found.message().to_owned()).collect::<Vec<_>>()
        };
        let declared = |parameters: Value| json!({ "tools": [{ "functionDeclarations": [{ "name": "f", "parameters": parameters }] }] });
        let unknown = |name: &str, place: &str, why: &str| {
            format!("Invalid JSON payload received. Unknown name \"{name}\"{place}: {why}")
        };
        let nowhere = "Cannot find field.";
        for (body, expected) in [
            (json!({ "contents": [], "generation_config": { "maxOutputTokens": 5 } }), vec![]),
            (json!({ "contents": { "parts": { "text": "one of each" } } }), vec![]),
            (
                json!({ "stream": true, "generationConfig": { "topJ": 1 } }),
                vec![
                    unknown("stream", "", nowhere),
                    unknown("topJ", " at 'generation_config'", nowhere),
                ],
            ),
            // Both as quoted in zed-industries/zed#44875 and #53919.
            (
                declared(json!({ "properties": { "a": { "anyOf": [{ "const": 1 }] } } })),
                vec![unknown(
                    "const",
                    " at 'tools[0].function_declarations[0].parameters.properties[0].value.any_of[0]'",
                    nowhere,
                )],
            ),
            (
                declared(json!({ "properties": { "a": { "type": ["string", "null"] } } })),
                vec![unknown(
                    "type",
                    " at 'tools[0].function_declarations[0].parameters.properties[0].value'",
                    "Proto field is not repeating, cannot start list.",
                )],
            ),
            (
                json!({ "generationConfig": { "temperature": "hot" } }),
                vec![
                    "Invalid value at 'generation_config.temperature' (TYPE_FLOAT), \"hot\"".into(),
                ],
            ),
            (json!({ "contents": "hi" }), vec!["Invalid value at 'contents' (Map), \"hi\"".into()]),
        ] {
            assert_eq!(messages(body.clone()), expected, "{body}");
        }
    }
}
