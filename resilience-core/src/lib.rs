//! What a client of a language model does about failures: wait, retry, shorten, fall back, or stop.
//!
//! Every decision is a plain function or a state machine that is handed the time and the draw.
//! Nothing here knows an HTTP client, a terminal or a file, and nothing but the shell, [`Client`], reads a clock or waits.
//! Adapters are features, off by default: `reqwest` for attempts over that HTTP client, `tower` for calls as a layer over a service.
//!
//! # One target, with retries
//!
//! A transport is a closure that makes one attempt and says how it went.
//! This one is refused twice; the client keeps the server's hint and asks a third time.
//!
//! ```
//! use resilience_core::{
//!     Answer, Client, Message, Policy, Provider, Request, Target, classify,
//! };
//!
//! # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?.block_on(async {
//! let target = Target::new(Provider::OpenAi, "gpt-4o-mini");
//! let client = Client::new(Policy::default(), [target], 7).expect("the policy is sound");
//! let request = Request::new([Message::user("Hello")]);
//!
//! let success = client
//!     .call(&request, async |attempt| match attempt.number {
//!         3 => Ok(Answer::new("Hi")),
//!         _ => Err(classify::response(
//!             attempt.target().provider,
//!             429,
//!             &[("retry-after", "2")],
//!             b"slow down",
//!             None,
//!         )),
//!     })
//!     .await?;
//!
//! assert_eq!(success.value, "Hi");
//! assert_eq!(success.attempts, 3);
//! assert!(success.trace.waits().all(|(wait, _)| wait.as_secs() >= 2));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # A chain
//!
//! Targets are asked in order: an outage, a spent quota or a refused key moves the call on, a mistake of its own ends it.
//!
//! ```
//! use resilience_core::{
//!     Answer, Class, Client, Failure, Message, Policy, Provider, Request, Target,
//! };
//!
//! # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?.block_on(async {
//! let targets = [
//!     Target::new(Provider::OpenAi, "gpt-4o-mini"),
//!     Target::new(Provider::Anthropic, "claude-haiku-4-5"),
//! ];
//! let client = Client::new(Policy::default(), targets, 7).expect("the policy is sound");
//! let request = Request::new([Message::user("Hello")]);
//!
//! let success = client
//!     .call(&request, async |attempt| match attempt.target().provider {
//!         Provider::OpenAi => Err(Failure::new(Class::QuotaExhausted, "out of credit")),
//!         _ => Ok(Answer::new("Hi")),
//!     })
//!     .await?;
//!
//! assert_eq!(client.targets()[success.target].name, "anthropic/claude-haiku-4-5");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Without tokio
//!
//! [`Call`] is the same decisions without the shell: [`Call::poll`] says what to do, [`Call::handle`] is told what happened, and a [`Pool`] holds what calls share.

mod draw;
mod time;

mod class;
pub mod classify;
mod failure;
pub mod hint;
mod provider;

mod backoff;
mod breaker;
mod budget;

mod bucket;
mod limiter;
mod line;
mod queue;
mod reservation;
mod sync;
mod tier;

mod adaptive;
mod hedge;
mod race;

mod message;
mod tokens;
pub mod truncate;

mod call;
mod outcome;
mod policy;
mod pool;
mod target;
mod trace;

#[cfg(feature = "tokio")]
mod attempt;
#[cfg(feature = "tokio")]
mod client;
#[cfg(feature = "tokio")]
mod clock;
#[cfg(feature = "tokio")]
mod drive;
#[cfg(feature = "redis")]
pub mod fleet;
#[cfg(feature = "tokio")]
mod observe;
#[cfg(feature = "tokio")]
mod stream;
#[cfg(feature = "tokio")]
mod throttle;

#[cfg(feature = "reqwest")]
pub mod reqwest;
#[cfg(feature = "tower")]
pub mod tower;

pub use adaptive::aimd::{Aimd, AimdMistake, AimdSettings};
pub use adaptive::cubic::Cubic;
pub use adaptive::shed::{Shed, SreMistake, SreSettings, SreThrottle};
#[cfg(feature = "tokio")]
pub use attempt::Attempt;
pub use backoff::{Backoff, Jitter};
pub use breaker::{Breaker, BreakerMistake, BreakerSettings, BreakerState, Pass, Rejection, Tally};
pub use bucket::{Bucket, TOKENS_MAX};
pub use budget::{Budget, BudgetMistake, BudgetSettings, Empty, Withdrawal};
pub use call::{Action, Call, Event};
pub use class::{
    Blame, Class, Cools, Counts, Dimension, LocalReject, Missing, MovesOn, Phase, Retries, Sent,
    Treatment,
};
#[cfg(feature = "tokio")]
pub use client::Client;
pub use draw::{Draws, Purpose, scale};
pub use failure::{Failure, MESSAGE_CHARS_MAX, RequestId};
pub use hedge::{Hedge, HedgeDelay, HedgeMistake, HedgeSettings, Hedger, Hindrance, NoHedge};
pub use limiter::{
    Cost, Guarantee, Limit, Limiter, Oversize, Pace, Quota, QuotaMistake, Refusal, SendMark,
};
pub use line::Line;
pub use message::{Cut, Detail, Message, Part, Request, Role, ToolCall, ToolSchema};
#[cfg(feature = "tokio")]
pub use observe::{Ended, Observer};
pub use outcome::{Answer, CallError, Hop, Success, Usage};
pub use policy::{Fallback, Policy, PolicyMistake, Retry, Spread, Timeouts};
pub use pool::{CoolReason, Cooling, Pool, Seat};
pub use provider::Provider;
pub use queue::{Claim, Priority, Queue, Taken, Ticket};
pub use race::{Entrant, Fate, Observation, Race, RaceVerdict};
pub use reservation::Reservation;
#[cfg(feature = "tokio")]
pub use stream::{Piece, Streaming};
pub use target::{Target, Window};
#[cfg(feature = "tokio")]
pub use throttle::{Permit, Throttle, Unsettled};
pub use tier::Tier;
pub use time::Nanos;
#[cfg(feature = "tokens")]
pub use tokens::OpenAiTokens;
pub use tokens::{Calibrated, Estimate, Framing, ImageRule, TokenCounter, ToolRule, counter};
pub use trace::{Entry, Finish, Leave, Skip, StopReason, Trace, Wait, What};
