//! The adapters: does every attempt go out once, through what was found ready, and is its end understood?

#![expect(clippy::unwrap_used, reason = "a test that cannot go on may say so")]

mod http2;
mod reqwest;
mod script;
mod tower;
