//! The tests of the whole, in the order in which a newcomer would ask.

#![expect(clippy::unwrap_used, reason = "the helpers of tests fail as tests do")]

mod program;
mod world;

/// Does the lab tell where reality agrees with its simulation?
mod bench_real;
/// Does each report of the lab say what was found, whatever things are called?
mod bench_reports;
/// Do the benches say what they measured, and does each have its place in their report?
mod benches;
/// Does the claim in each bundled file's name hold?
mod bundled;
/// Is every wrong client found out, and every right one left alone?
mod clients;
/// Exit codes, streams, and what is left behind.
mod command_line;
/// Is this the message we meant?
mod diagnostics;
/// Does the lab tell people and programs what it measured, and the same on any machine?
mod lab;
/// Are the lanes of a server worlds of their own?
mod lanes;
/// Are the providers' words their own?
mod limits;
/// What is an attempt billed, whoever ends it?
mod money;
/// Is what an application says of itself heard, and held against it?
mod outcomes;
/// Does every promise have its test, and every test its planted defect?
mod properties;
/// Whatever the provider does, what must always hold?
mod simulation;
/// Does `bench tune` find what is best, prove it, and say so in every form?
mod tune;
/// Does the judge convict the guilty, and only them?
mod verdict;
/// What do client and provider owe each other?
mod whole;
/// What does a foreign client see on the wire?
mod wire;
