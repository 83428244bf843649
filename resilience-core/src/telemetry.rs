//! What calls do, told to whoever watches: numbers for a dashboard, spans for a log.
//!
//! Both are off unless their feature is on, and both go through a facade: which exporter or subscriber is behind it, the program decides.
//! Whoever wants something else writes an [`crate::Observer`], which is handed the trace itself.
//!
//! # Numbers
//!
//! With the feature `metrics`, `MetricsObserver` counts what the traces of calls say.
//!
//! ```
//! # #[cfg(feature = "metrics")] {
//! use std::sync::Arc;
//!
//! use resilience_core::telemetry::MetricsObserver;
//! use resilience_core::{Client, Policy, Provider, Target};
//!
//! // After the program has installed its recorder, once:
//! MetricsObserver::describe();
//!
//! let target = Target::new(Provider::OpenAi, "gpt-4o-mini");
//! let client =
//!     Client::new(Policy::default(), [target], 7)?.observed_by(Arc::new(MetricsObserver));
//! # drop(client);
//! # }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | name | kind, unit | labels | question |
//! | --- | --- | --- | --- |
//! | `llm_calls_total` | counter | `outcome` | How do calls end? |
//! | `llm_call_seconds` | histogram, s | `outcome` | How long does a caller wait, everything included? |
//! | `llm_attempts_total` | counter | `target`, `kind`, `outcome` | What is sent where, why, and how does it end? |
//! | `llm_attempt_seconds` | histogram, s | `target`, `outcome` | How long does a target take? |
//! | `llm_attempts_in_flight` | gauge | `target` | How much is with a target right now? |
//! | `llm_first_token_seconds` | histogram, s | `target` | How long until a target says its first word? |
//! | `llm_retries_not_sent_total` | counter | `target`, `reason` | Why was a failed attempt not retried? |
//! | `llm_fallbacks_total` | counter | `from`, `to`, `reason` | Which target takes over from which, and why? |
//! | `llm_skips_total` | counter | `target`, `reason` | Which targets are passed over without being asked? |
//! | `llm_wait_seconds` | histogram, s | `reason` | How long do calls wait, and for what? |
//! | `llm_queue_seconds` | histogram, s | `target` | How long do calls stand in the line of our own quota? |
//! | `llm_tokens_total` | counter | `target`, `direction` | What is paid for? |
//! | `llm_truncations_total` | counter | `target` | How often is a conversation shortened? |
//! | `llm_truncated_messages_total` | counter | `target`, `change` | How many messages does that cost? |
//! | `llm_output_lowered_total` | counter | `target` | How often must an answer be shorter, so that the conversation can stay whole? |
//!
//! Every label comes from a closed set, so that the number of series is known beforehand; no id, message or address is ever one:
//!
//! - `target`, `from`, `to`: the names of the client's targets.
//! - `kind`: `first`; `retry` (a target that the call had asked before); `fallback` (one that it had not); `hedge` (beside another attempt that is late).
//! - `outcome` of a call: `served`, or [`StopReason::name`]; of an attempt: `answered`, or [`Class::name`].
//! - `reason` of a fallback: [`Leave::name`]; of a skip: [`Skip::name`]; of a wait: [`Wait::name`].
//! - `direction`: `input` or `output`; `change`: `dropped` or `cut`.
//!
//! ## Why a retry was not sent
//!
//! Each attempt that failed is either followed by a retry, a later attempt on the same target that is no hedge, or counted exactly once in `llm_retries_not_sent_total`.
//! Attempts that the client itself gave up on (`cancelled`) had no retry to lose and are neither.
//! The first of these reasons that applies is counted:
//!
//! 1. `committed`: the caller had seen some of the answer.
//! 2. `final`: the failure is none that a retry could mend.
//! 3. `hedged`: it was a hedge; the attempt that it ran beside decides what comes next.
//! 4. [`Leave::name`]: the call went on elsewhere, for this reason.
//! 5. [`StopReason::name`]: the call stopped, for this reason.
//! 6. `hedged`: a hedge was still out, and answered.
//!
//! A rising `budget` says that retries are held back to protect a target in trouble; `exhausted`, that they do not help; `deadline` and `too-late`, that calls are given too little time for them.
//!
//! # Spans
//!
//! With the feature `tracing`, each call is a span `llm.call` and each attempt a span `llm.attempt` inside it.
//! The transport's future is polled inside its attempt's span, so that whatever an HTTP client logs lands there, also when attempts run side by side.
//!
//! ```
//! # #[cfg(feature = "tracing")] {
//! use resilience_core::{Answer, Client, Message, Policy, Provider, Request, Target};
//!
//! // Any subscriber will do; this one prints.
//! let subscriber = tracing_subscriber::fmt().with_max_level(tracing::Level::INFO).finish();
//!
//! # let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
//! # let _guard =
//! tracing::subscriber::set_default(subscriber);
//! # runtime.block_on(async {
//! let target = Target::new(Provider::OpenAi, "gpt-4o-mini");
//! let client = Client::new(Policy::default(), [target], 7)?;
//! let request = Request::new([Message::user("Hello")]);
//! client
//!     .call(&request, async |_| {
//!         tracing::info!("in the attempt's span");
//!         Ok(Answer::new("Hi"))
//!     })
//!     .await?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | span | from the start | at the end |
//! | --- | --- | --- |
//! | `llm.call` | `call`: its id | `target` that served it, `outcome` |
//! | `llm.attempt` | `attempt`: its number, `target`, `hedge` | `outcome` |
//!
//! A failure that a retry may mend is told at the level of information, one that somebody must look at as a warning, and so is a call that stopped; everything else in the trace is for debugging.
//! What a provider said is told for debugging only, cut, and with long words shortened, because they may be keys; nothing of a conversation is ever told.
//! Without a subscriber, all of this costs the reading of one atomic for each step of a call.
//!
//! [`Class::name`]: crate::Class::name
//! [`Leave::name`]: crate::Leave::name
//! [`Skip::name`]: crate::Skip::name
//! [`StopReason::name`]: crate::StopReason::name
//! [`Wait::name`]: crate::Wait::name

#[cfg(feature = "metrics")]
mod metrics;
#[cfg(not(feature = "tracing"))]
mod silent;
#[cfg(feature = "tracing")]
mod spans;

#[cfg(feature = "metrics")]
pub use metrics::MetricsObserver;
#[cfg(not(feature = "tracing"))]
pub(crate) use silent::{InSpan, Spans};
#[cfg(feature = "tracing")]
pub(crate) use spans::{InSpan, Spans};
