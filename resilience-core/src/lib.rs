//! What a client of a language model does about failures: wait, retry, shorten, fall back, or stop.
//!
//! Model providers fail in a few dozen ways, and most of them want another answer: a `429` may mean "in two seconds", "tomorrow" or "pay your bill", a `400` may be mended by a shorter conversation, and a `200` may carry an error half-way down its stream.
//! This crate knows what they mean and decides what to do; sending is yours.
//!
//! # One target, with retries
//!
//! A transport is a closure that makes one attempt and says how it went.
//! This one is refused twice; the client keeps the server's hint and asks a third time.
//!
//! ```
//! # #[cfg(feature = "tokio")] {
//! use resilience_core::{
//!     Answer, Client, Message, Policy, Provider, Request, Target, classify,
//! };
//!
//! # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?.block_on(async {
//! let target = Target::new(Provider::OpenAi, "gpt-4o-mini");
//! let client = Client::new(Policy::default(), [target], 7)?;
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
//! # }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Over an HTTP client, the closure sends a request and hands what came back to [`classify::response`]; the module `reqwest` has that ready made, with that client's own hidden retries off.
//!
//! # A chain
//!
//! Targets are asked in order: an outage, a spent quota or a refused key moves the call on, a mistake of its own ends it.
//! Each has its own window, tokenizer, quota and breaker, and the answer says who gave it.
//!
//! ```
//! # #[cfg(feature = "tokio")] {
//! use resilience_core::{
//!     Answer, Class, Client, Failure, Message, Policy, Provider, Quota, Request, Target,
//! };
//!
//! # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?.block_on(async {
//! let targets = [
//!     Target {
//!         quota: Some(Quota::per_minute(500, 200_000)),
//!         ..Target::new(Provider::OpenAi, "gpt-4o-mini")
//!     },
//!     Target::new(Provider::Anthropic, "claude-haiku-4-5"),
//! ];
//! let client = Client::new(Policy::default(), targets, 7)?;
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
//! # }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Only the limiter
//!
//! A quota of several dimensions, all or nothing, first come, first served.
//! The permit is settled with what the answer did cost; dropped, it stays charged.
//!
//! ```
//! # #[cfg(feature = "tokio")] {
//! use resilience_core::{Cost, Quota, Throttle};
//!
//! # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?.block_on(async {
//! // Whatever window of a minute the provider counts in, it never sees more than this.
//! let quota = Quota::per_minute(500, 30_000).strict(Cost::request(2_000, 500));
//! let throttle = Throttle::new(&quota)?;
//!
//! let permit = throttle.acquire(Cost::request(1_200, 500)).await?;
//! // ... the request, and its answer to the last event ...
//! permit.settle(Cost::request(1_187, 231)); // Credited only where the provider does so: `charges_actual`.
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! For the same quota in many processes there is the module `fleet`, on Redis or Valkey.
//!
//! # How a call goes
//!
//! 1. **Which target?** The first of the chain that can be asked: not resting, its breaker closed, its quota with room soon enough, and, for a fallback, the conversation short enough or shortened.
//!    The first target gets the conversation as it is; if it finds it too long, it says so, and gets a shorter one.
//!    If none can, the call waits for the soonest, or stops at once if that is past its deadline.
//! 2. **Its turn.** Every attempt takes its cost from the target's [`Quota`], a retry too, in the order of arrival.
//! 3. **The attempt**, under the time limits of its phase ([`Timeouts`]); for a stream, until its first content everything can still be taken back (`Client::stream`).
//! 4. **What was it?** [`classify`] answers three questions: what went wrong ([`Class`]), was it processed ([`Sent`]), whose doing was it ([`Blame`]).
//!    [`Class::treatment`] is the one table from there to what may follow.
//! 5. **What now?** In this order: final for everybody, content already seen, out of attempts; a shorter conversation if that helps; another target if this one is done for or asks for too long a wait; past the deadline; out of budget; and otherwise a wait, as long as the server asks or as the [`Backoff`] draws, and again from 1.
//!
//! Whatever happens is in the [`Trace`], which comes with the answer and with the error.
//!
//! # Defaults, and why
//!
//! | setting | default | because |
//! | --- | --- | --- |
//! | [`Backoff`] | 1 s to 60 s, doubling, full jitter | five retries outlast an outage of a minute; full jitter spreads clients best for the same work |
//! | [`Retry::retries_max`] | 5 on each target, [`Policy::attempts_max`] 18 in all | the deadline, not the count, should end a call; three targets with all their retries |
//! | [`Retry::hint_max`] | 60 s, never cut short | a longer hint is an outage: another target, or an error that says for how long |
//! | [`Retry::spread`] | a tenth of the hint, 100 ms to 5 s, upward only | those who got the same hint do not come back as one |
//! | [`Timeouts`] | connect 5 s, first token 60 s, idle 30 s, attempt 120 s, call 600 s | a model may think for a minute, and no longer in silence |
//! | [`Fallback::wait_max`] | 5 s | a short rate limit is cheaper than another model's answer |
//! | [`BudgetSettings`] | 10 % of calls, 1/s, up to 100 | a total outage must not multiply the load; see [`BudgetSettings::default`] |
//! | [`BreakerSettings`] | half of at least 20 in a minute, 10 s to 120 s | it ignores rate limits and callers' mistakes |
//! | [`Policy::hedge`], [`Policy::adaptive_concurrency`], [`Policy::adaptive_rate`], [`Policy::shed`] | off | each costs something that only you can weigh |
//! | [`Window`] | 128,000 tokens whatever the model, 2,000 of them for the answer, 100 free | set it: it is used when a conversation falls back, and after a refusal |
//!
//! # How it is built
//!
//! Every decision is a plain function or a state machine that is handed the time ([`Nanos`]) and the draw.
//! [`Call`] is one call over all its targets, a [`Pool`] holds what calls share: [`Call::poll`] says what to do, [`Call::handle`] is told what happened.
//! Only the shells around them, `Client`, `Throttle` and `Fleet`, read a clock and wait, through tokio's, so that a paused clock governs them: an hour of outage is tested in milliseconds.
//! Chance is looked up by address, never consumed: the same seed and the same events give the same trace.
//!
//! # Features
//!
//! | feature | brings |
//! | --- | --- |
//! | `tokio` (default) | the shells: `Client`, `Throttle` |
//! | `tokens` (default) | real token counts for OpenAI models |
//! | `reqwest` | attempts over that HTTP client |
//! | `tower` | calls as a layer over a service |
//! | `redis` | `fleet`: one quota for many processes |
//! | `metrics`, `tracing` | `telemetry`: counters, histograms and spans |
//!
//! Without any feature the crate has no runtime, no clock and no HTTP client.

mod draw;
mod mistake;
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
pub mod parts;
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
pub mod telemetry;
#[cfg(feature = "tokio")]
mod throttle;

#[cfg(feature = "reqwest")]
pub mod reqwest;
#[cfg(feature = "tower")]
pub mod tower;

pub use adaptive::aimd::{AimdMistake, AimdSettings};
pub use adaptive::shed::{ShedMistake, ShedSettings};
#[cfg(feature = "tokio")]
pub use attempt::Attempt;
pub use backoff::{Backoff, Jitter};
pub use breaker::{BreakerMistake, BreakerSettings};
pub use bucket::TOKENS_MAX;
pub use budget::{BudgetMistake, BudgetSettings};
pub use call::{Action, Call, Event};
pub use class::{
    Blame, Class, Cools, Counts, Dimension, LocalReject, Missing, MovesOn, Phase, Retries, Sent,
    Treatment,
};
#[cfg(feature = "tokio")]
pub use client::Client;
pub use draw::{Draws, Purpose};
pub use failure::{Failure, MESSAGE_CHARS_MAX, RequestId};
pub use hedge::{HedgeDelay, HedgeMistake, HedgeSettings};
pub use limiter::{Cost, Guarantee, Limit, NoRoom, Oversize, Pace, Quota, QuotaMistake, Refusal};
pub use message::{Cut, Detail, Message, Part, Request, Role, ToolCall, ToolSchema};
pub use mistake::Mistakes;
#[cfg(feature = "tokio")]
pub use observe::{Ended, Observer};
pub use outcome::{Answer, CallError, Hop, Success, Usage};
pub use policy::{Fallback, Policy, PolicyMistake, Retry, Spread, Timeouts};
pub use pool::{CoolReason, Cooling, Pool, Seat};
pub use provider::Provider;
pub use queue::Priority;
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
pub use trace::{Bill, Entry, Finish, Leave, Skip, StopReason, Trace, Wait, What};
