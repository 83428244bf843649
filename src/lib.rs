//! A mock LLM provider that fails on cue, and a harness that judges how a client copes.

pub mod cli;
pub mod client;
pub mod harness;
pub mod report;
pub mod scenario;
pub mod verdict;
