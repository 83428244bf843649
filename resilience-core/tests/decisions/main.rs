//! The crate seen from outside: decisions on real payloads, calls in virtual time, and what always holds.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on may say so")]

mod adaptive;
mod backoff;
mod breaker;
mod budget;
mod call;
mod classification;
#[cfg(feature = "tokio")]
mod client;
mod contract;
mod diamond;
mod fallback;
mod hedge;
mod hedging;
mod hints;
mod ledger;
mod limits;
mod overflow;
#[cfg(all(feature = "tokio", not(loom)))]
mod peers;
mod play;
mod quota;
mod regressions;
mod settling;
mod shared;
mod stream;
#[cfg(all(feature = "metrics", feature = "tracing"))]
mod telemetry;
#[cfg(feature = "tokio")]
mod throttle;
mod truncation;
mod windows;
mod world;
