//! The fleet against a real server, which each test starts for itself.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on may say so")]

mod errors;
mod fleet;
mod model;
mod processes;
mod script;
mod server;
