//! Understanding what comes as a prompt: a legacy Completions request, an Embeddings request.

use serde_json::Value;

use super::{Parameters, Understood, invalid, missing, wrong_type};
use crate::{
    dialect::{Refusal, openai::count},
    request::{Conversation, Wishes},
};

const COMPLETION: &[&str] = &[
    "best_of",
    "echo",
    "frequency_penalty",
    "logit_bias",
    "logprobs",
    "max_tokens",
    "model",
    "n",
    "presence_penalty",
    "prompt",
    "seed",
    "stop",
    "stream",
    "stream_options",
    "suffix",
    "temperature",
    "top_p",
    "user",
];

const EMBEDDING: &[&str] = &["dimensions", "encoding_format", "input", "model", "user"];

/// The output limit of a completion that sets none.
const COMPLETION_TOKENS: u64 = 16;

/// What a completion says. A list of prompts is answered prompt by prompt.
pub(super) fn completion(model: &str, body: &Parameters<'_>) -> Result<Understood, Refusal> {
    body.only(COMPLETION)?;
    let streaming = body.streaming()?;
    let output_tokens_max = body.integer("max_tokens", 0, u64::MAX)?.unwrap_or(COMPLETION_TOKENS);
    let choices = body.integer("n", 1, 128)?.unwrap_or(1);
    body.integer("best_of", 1, 20)?;
    body.integer("logprobs", 0, 5)?;
    body.flag("echo")?;
    body.text("suffix")?;
    body.sampling()?;
    let stops = body.stops()?;
    // Without a prompt a document begins anew.
    let none = Value::String("<|endoftext|>".to_owned());
    let prompt = body.given("prompt").unwrap_or(&none);
    if !is_prompt(prompt) {
        return Err(wrong_type(
            "prompt",
            "one of a string, array of strings, or array of tokens",
            prompt,
        ));
    }
    let counts = count::prompts(model, prompt);
    let prompts = u64::try_from(counts.len().max(1)).unwrap_or(u64::MAX);
    let wishes = Wishes {
        choices: u32::try_from(choices.saturating_mul(prompts)).unwrap_or(u32::MAX).min(2048),
        stops,
        ..Wishes::default()
    };
    Ok(Understood {
        streaming,
        conversation: Conversation::new([("user", text(prompt))]),
        input_tokens: counts.into_iter().fold(0, u64::saturating_add),
        output_tokens_max: Some(output_tokens_max),
        wishes,
    })
}

/// What an embedding says.
pub(super) fn embedding(model: &str, body: &Parameters<'_>) -> Result<Understood, Refusal> {
    body.only(EMBEDDING)?;
    body.choice("encoding_format", &["float", "base64"])?;
    let dimensions = body.integer("dimensions", 1, most_dimensions(model))?;
    if dimensions.is_some() && model.starts_with("text-embedding-ada") {
        return Err(invalid("dimensions"));
    }
    let Some(input) = body.given("input") else { return Err(missing("input")) };
    let is_empty = match input {
        Value::String(text) => text.is_empty(),
        // As many as are taken at a time.
        Value::Array(items) => {
            items.is_empty()
                || items.len() > 2048 && !items[0].is_number()
                || items.iter().any(|item| item == "" || item == &Value::Array(Vec::new()))
        }
        _ => true,
    };
    if is_empty || !is_prompt(input) {
        return Err(invalid("input"));
    }
    Ok(Understood {
        conversation: Conversation::new([("user", text(input))]),
        input_tokens: count::prompts(model, input).into_iter().fold(0, u64::saturating_add),
        ..Understood::nothing()
    })
}

/// The dimensions of a model's vectors.
fn most_dimensions(model: &str) -> u64 {
    crate::dialect::openai::embeddings::dimensions(model)
}

/// A text, texts, tokens, or lists of tokens.
fn is_prompt(prompt: &Value) -> bool {
    let is_tokens =
        |value: &Value| value.as_array().is_some_and(|tokens| tokens.iter().all(Value::is_u64));
    match prompt {
        Value::String(_) => true,
        Value::Array(items) => {
            items.iter().all(Value::is_string) || is_tokens(prompt) || items.iter().all(is_tokens)
        }
        _ => false,
    }
}

/// What a prompt says; tokens speak by their numbers.
fn text(prompt: &Value) -> String {
    match prompt {
        Value::String(text) => text.clone(),
        Value::Array(items) => {
            let texts = items.iter().map(|item| match item {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            });
            texts.collect::<Vec<_>>().join("\n")
        }
        other => other.to_string(),
    }
}
