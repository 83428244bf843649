#![doc = include_str!("../README.md")]

pub mod cli;
pub mod client;
pub mod harness;
pub mod lab;
pub mod report;
pub mod scenario;
pub mod verdict;
