//! A mock LLM provider that fails on cue.
//!
//! A [`Plan`](plan::Plan) says what the provider does. An [`Engine`](engine::Engine) decides from
//! it, request by request; a dialect words the decision as OpenAI or Anthropic would; the wire
//! plays it, and breaks what is to break: a reset is a RST, a truncated body falls short of its
//! Content-Length, a mid-stream error is the provider's own event. Every attempt is in the
//! [`Journal`](journal::Journal) before its first byte goes out.
//!
//! The same server runs on a socket and in memory, where a paused clock makes hours pass in
//! milliseconds. It judges nobody: whoever reads the journal does.
//!
//! ```
//! use std::sync::Arc;
//! use mock_server::{clock::Clock, draw::Draws, lane::Lane, memory, plan::Plan, server};
//!
//! # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build()?;
//! # runtime.block_on(async {
//! let (listener, connector) = memory::listen();
//! let lane = Lane::new(Arc::new(Plan::default()), Draws::new(1), Clock::simulated());
//! let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
//! let server = tokio::spawn(server::run(listener, lane.clone(), Default::default(), async {
//!     let _ = stopped.await;
//! }));
//! let connection = connector.connect()?; // speak HTTP over it
//! # drop(connection);
//! drop(stop);
//! server.await??;
//! assert!(lane.journal().entries().is_empty());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # }).unwrap();
//! # Ok::<(), std::io::Error>(())
//! ```

pub mod plan;

pub mod action;
pub mod units;

pub mod catalog;
pub mod engine;

pub mod answer;
pub mod bill;
pub mod draw;
pub mod identity;
pub mod models;
pub mod quota;
pub mod request;
pub mod tokens;

pub mod journal;

mod dialect;
mod load;
mod schema;
mod timeline;

pub mod clock;
pub mod door;
pub mod lane;
pub mod lanes;
pub mod memory;
pub mod offline;
pub mod server;

mod admin;
mod intake;
mod wire;
