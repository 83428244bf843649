//! The strategy lab: which retry and limiter settings should we ship?
//!
//! Strategies meet worlds in virtual time, without sockets and without HTTP, on the decisions that ship.
//! Whatever is published about such strategies is reproduced first ([`reproduce`]), so that the lab's own figures deserve trust.

mod agenda;
pub mod agreement;
mod chance;
pub mod comparison;
mod crew;
mod experiment;
pub mod library;
pub mod metric;
mod provider;
mod real;
pub mod reproduce;
pub mod results;
mod simulation;
pub mod statistics;
mod tally;
pub mod tune;
mod wheel;
mod world;

pub use agenda::Agenda;
pub use chance::{Chance, span};
pub use crew::{Crew, Progress};
pub use experiment::Experiment;
pub use real::figures as real_figures;
pub use world::{NoWorld, World};
