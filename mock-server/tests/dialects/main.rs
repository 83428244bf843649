//! Is what each dialect says what its provider says? One module a provider.
//!
//! `tests/fixtures/<provider>` holds recorded and quoted payloads; every file names its source.

mod mistral;
mod ollama;
mod openai;
mod openrouter;
mod play;
mod quotas;
mod recording;
