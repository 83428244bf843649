//! Is what each dialect says what its provider says? One module a provider.
//!
//! `tests/fixtures/<provider>` holds recorded and quoted payloads; every file names its source.

#![expect(clippy::unwrap_used, reason = "the helpers of tests fail as tests do")]

mod anthropic;
mod azure;
mod bedrock;
mod cohere;
mod gemini;
mod hostile;
mod likeness;
mod mistral;
mod ollama;
mod openai;
mod openrouter;
mod pace;
mod play;
mod quotas;
mod recording;
