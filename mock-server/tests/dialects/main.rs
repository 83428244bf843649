//! Is what each dialect says what its provider says? One module a provider.
//!
//! `tests/fixtures/<provider>` holds recorded and quoted payloads; every file names its source.

mod azure;
mod likeness;
mod openai;
mod play;
mod quotas;
