//! Is what each dialect says what its provider says? One module a provider.
//!
//! `tests/fixtures/<provider>` holds recorded and quoted payloads; every file names its source.

mod anthropic;
mod gemini;
mod openai;
mod play;
