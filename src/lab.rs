//! The strategy lab: which retry and limiter settings should we ship?
//!
//! Strategies meet worlds in virtual time, without sockets and without HTTP, on the decisions that ship.
//! Whatever is published about such strategies is reproduced first ([`reproduce`]), so that the lab's own figures deserve trust.

mod agenda;
mod chance;
mod crew;
pub mod metric;
pub mod reproduce;
pub mod results;
pub mod statistics;

pub use agenda::Agenda;
pub use chance::{Chance, span};
pub use crew::{Crew, Progress};
