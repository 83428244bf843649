//! What a failure is, and what that alone permits.
//!
//! Three questions are kept apart: what went wrong ([`Class`]), whether the request may have been processed ([`Sent`]), and whose doing it was ([`Blame`]).
//! [`Class::treatment`] is the one table from class to consequence; whoever retries, falls back or cools a target asks it and keeps no list of its own.

use std::fmt;

/// What went wrong with an attempt.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Class {
    /// The credential was not accepted.
    Auth,
    /// The caller gave up, or its own deadline passed.
    Cancelled,
    /// Something else was changing the same resource (409).
    Conflict,
    /// No connection came about.
    Connect,
    /// The provider will not deal with this content.
    ContentPolicy,
    /// The conversation does not fit the model's window.
    ContextOverflow {
        /// The window in tokens, if the answer names it.
        limit: Option<u64>,
        /// The tokens that the provider counted, if the answer names them.
        requested: Option<u64>,
    },
    /// The answer could not be read.
    Decode,
    /// The request is wrong, and will be as wrong the next time.
    InvalidRequest,
    /// Our own side declined; nothing was sent.
    Local(LocalReject),
    /// The connection broke after the request was written.
    Network,
    /// The model or the resource is not there.
    NotFound(Missing),
    /// The server attests that it did not touch the request.
    NotProcessed,
    /// The provider has no capacity at the moment (503, 529).
    Overloaded,
    /// The credential is known, but may not do this.
    Permission,
    /// Money or a long-term allowance is used up.
    QuotaExhausted,
    /// Traffic grew faster than the provider admits.
    RampLimited,
    /// A rate limit was reached.
    RateLimited {
        /// The limit in question, if the answer names it.
        dimension: Option<Dimension>,
    },
    /// One request asks for more than a whole period's limit, so that no wait helps.
    RequestExceedsLimit {
        /// The limit, if the answer names it.
        limit: Option<u64>,
        /// What the request would cost, if the answer says so.
        requested: Option<u64>,
    },
    /// The request has too many bytes (413).
    RequestTooLarge,
    /// The provider failed (5xx).
    Server,
    /// A stream ended before its last event.
    StreamInterrupted {
        /// Whether the caller had already seen some of it.
        committed: bool,
    },
    /// A phase of the attempt took too long.
    Timeout {
        /// The phase.
        phase: Phase,
    },
    /// The server did not want to risk a replayed request (425).
    TooEarly,
}

impl Class {
    /// Everything that follows from the class alone.
    ///
    /// A server's `x-should-retry: false`, spent retries and the deadline may forbid what the class permits; nothing permits what it forbids.
    pub const fn treatment(self) -> Treatment {
        use Blame::{Caller, Credential, Local, Network, Target};
        use Cools::{Key, Nothing, Outage};
        use Counts::{Failure, Neutral, Weak};
        use MovesOn::{LargerWindow, Never, Next, OtherCredential};
        use Retries::{AtOnce, No, Once, Usual};
        use Sent::{Maybe, Yes};

        match self {
            Self::Auth | Self::QuotaExhausted => {
                Treatment::new(No, OtherCredential, Key, Neutral, Yes, Credential)
            }
            Self::Cancelled => Treatment::new(No, Never, Nothing, Neutral, Maybe, Caller),
            Self::Conflict | Self::TooEarly => {
                Treatment::new(Usual, Never, Nothing, Neutral, Yes, Target)
            }
            Self::Connect => Treatment::new(Usual, Next, Outage, Failure, Sent::No, Network),
            Self::ContextOverflow { .. } => {
                Treatment::new(No, LargerWindow, Nothing, Neutral, Yes, Caller)
            }
            Self::Decode => Treatment::new(Once, Next, Outage, Weak, Yes, Target),
            Self::ContentPolicy | Self::InvalidRequest | Self::NotFound(Missing::Resource) => {
                Treatment::new(No, Never, Nothing, Neutral, Yes, Caller)
            }
            Self::Local(_) => Treatment::new(No, Next, Nothing, Neutral, Sent::No, Local),
            Self::Network => Treatment::new(Usual, Next, Outage, Failure, Maybe, Network),
            Self::NotFound(Missing::Model) => {
                Treatment::new(No, Next, Nothing, Neutral, Yes, Target)
            }
            Self::NotProcessed => Treatment::new(AtOnce, Next, Outage, Neutral, Sent::No, Target),
            Self::Overloaded | Self::Server => {
                Treatment::new(Usual, Next, Outage, Failure, Yes, Target)
            }
            Self::Permission => {
                Treatment::new(No, OtherCredential, Nothing, Neutral, Yes, Credential)
            }
            Self::RampLimited | Self::RateLimited { .. } => {
                Treatment::new(Usual, Next, Outage, Neutral, Yes, Credential)
            }
            Self::RequestExceedsLimit { .. } | Self::RequestTooLarge => {
                Treatment::new(No, Next, Nothing, Neutral, Yes, Caller)
            }
            Self::StreamInterrupted { committed: false } => {
                Treatment::new(Usual, Next, Outage, Failure, Yes, Network)
            }
            Self::StreamInterrupted { committed: true } => {
                Treatment::new(No, Never, Nothing, Failure, Yes, Network)
            }
            // The call's own deadline says nothing about the target.
            Self::Timeout { phase: Phase::Call } => {
                Treatment::new(Usual, Next, Outage, Neutral, Maybe, Target)
            }
            Self::Timeout { .. } => Treatment::new(Usual, Next, Outage, Failure, Maybe, Target),
        }
    }

    /// Whether the same request may be sent to the same target again.
    pub const fn retryable(self) -> bool {
        !matches!(self.treatment().retries, Retries::No)
    }

    /// Which other targets may be asked instead.
    pub const fn moves_on(self) -> MovesOn {
        self.treatment().moves_on
    }

    /// Whether a shorter conversation, or a shorter answer, may succeed on the same target.
    pub const fn truncates(self) -> bool {
        matches!(
            self,
            Self::ContextOverflow { .. } | Self::RequestExceedsLimit { .. } | Self::RequestTooLarge
        )
    }

    /// Whether it asks for less traffic, so that whoever adapts slows down.
    ///
    /// A first token that is late counts, a long answer does not: how long an answer takes depends on its length.
    pub const fn slows_down(self) -> bool {
        matches!(
            self,
            Self::Overloaded
                | Self::RampLimited
                | Self::RateLimited { .. }
                | Self::Timeout { phase: Phase::FirstToken }
        )
    }

    /// Whether no further attempt can help, here or elsewhere.
    pub const fn ends_the_call(self) -> bool {
        !self.retryable() && !self.truncates() && matches!(self.moves_on(), MovesOn::Never)
    }

    /// A name in kebab case, fit for a report or a scenario.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auth => "auth",
            Self::Cancelled => "cancelled",
            Self::Conflict => "conflict",
            Self::Connect => "connect",
            Self::ContentPolicy => "content-policy",
            Self::ContextOverflow { .. } => "context-overflow",
            Self::Decode => "decode",
            Self::InvalidRequest => "invalid-request",
            Self::Local(_) => "local",
            Self::Network => "network",
            Self::NotFound(Missing::Model) => "model-not-found",
            Self::NotFound(Missing::Resource) => "not-found",
            Self::NotProcessed => "not-processed",
            Self::Overloaded => "overloaded",
            Self::Permission => "permission",
            Self::QuotaExhausted => "quota-exhausted",
            Self::RampLimited => "ramp-limited",
            Self::RateLimited { .. } => "rate-limited",
            Self::RequestExceedsLimit { .. } => "request-exceeds-limit",
            Self::RequestTooLarge => "request-too-large",
            Self::Server => "server-error",
            Self::StreamInterrupted { .. } => "stream-interrupted",
            Self::Timeout { .. } => "timeout",
            Self::TooEarly => "too-early",
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RateLimited { dimension: Some(dimension) } => {
                write!(f, "rate-limited on {dimension}")
            }
            Self::Timeout { phase } => write!(f, "{phase} timeout"),
            class => f.write_str(class.name()),
        }
    }
}

/// What follows from a [`Class`]: one line of the table.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Treatment {
    /// Whether the same target may be asked again.
    pub retries: Retries,
    /// Which other targets may be asked instead.
    pub moves_on: MovesOn,
    /// What should rest once the call has left the target.
    pub cools: Cools,
    /// What it counts for in a breaker's window.
    pub counts: Counts,
    /// Whether such a failure usually means that the request was processed.
    pub sent: Sent,
    /// Whose doing such a failure usually is.
    pub blame: Blame,
}

impl Treatment {
    const fn new(
        retries: Retries,
        moves_on: MovesOn,
        cools: Cools,
        counts: Counts,
        sent: Sent,
        blame: Blame,
    ) -> Self {
        Self { retries, moves_on, cools, counts, sent, blame }
    }
}

/// How often, and how soon, a class of failures may be retried on its target.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Retries {
    /// Without a wait, twice in a call; after that as [`Retries::Usual`].
    AtOnce,
    /// Not at all.
    No,
    /// A single time, after a backoff.
    Once,
    /// As often as the policy says, after a hint or a backoff.
    Usual,
}

/// Where a call may turn when it is done with a target.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum MovesOn {
    /// To a target with a larger window: the request is too long for this one.
    LargerWindow,
    /// Nowhere: every target would say the same.
    Never,
    /// To the next target.
    Next,
    /// To the next target that uses another credential.
    OtherCredential,
}

/// What rests, for all calls, after a call has given up on a target.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Cools {
    /// Every target that uses the credential.
    Key,
    /// Nothing: the target is healthy.
    Nothing,
    /// The target.
    Outage,
}

/// What a class of failures says about the health of a target.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Counts {
    /// The target, or the way to it, failed.
    Failure,
    /// Nothing: a fault of the caller's, a limit of the credential's, or a decision of our own.
    Neutral,
    /// Something is wrong, though the target answered.
    Weak,
}

/// Whether the server may have processed the request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Sent {
    /// It was written, and nobody knows.
    Maybe,
    /// Certainly not: it never left, or the server says so.
    No,
    /// The server answered.
    Yes,
}

/// Whose doing a failure is; nobody else's health should suffer for it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Blame {
    /// The request.
    Caller,
    /// The key, its limits or its bill.
    Credential,
    /// Ourselves.
    Local,
    /// What lies between.
    Network,
    /// The provider.
    Target,
}

/// Why our own side declined to send.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum LocalReject {
    /// Whoever keeps the quota cannot be asked.
    LimiterDown,
    /// The quota would admit it only after the call's deadline.
    LimiterTooLate,
    /// The quota can never admit it.
    NeverFits,
    /// The conversation cannot be made short enough.
    WindowTooSmall,
}

/// What a 404 could not find.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Missing {
    /// The model: another target may have one.
    Model,
    /// The route or the object: the caller asked for the wrong thing.
    Resource,
}

/// A part of an attempt that has its own time limit.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Phase {
    /// The attempt as a whole.
    Attempt,
    /// The call as a whole.
    Call,
    /// Until there is a connection.
    Connect,
    /// From the connection to the first content.
    FirstToken,
    /// Between one piece of content and the next.
    Idle,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Attempt => "attempt",
            Self::Call => "call",
            Self::Connect => "connect",
            Self::FirstToken => "first-token",
            Self::Idle => "idle",
        })
    }
}

/// What a limit counts, and over which period.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Dimension {
    /// Input tokens per minute.
    Itpm,
    /// Output tokens per minute.
    Otpm,
    /// Requests per day.
    Rpd,
    /// Requests per minute.
    Rpm,
    /// Tokens per day.
    Tpd,
    /// Tokens per minute, input and output together.
    Tpm,
}

impl fmt::Display for Dimension {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Itpm => "input tokens per minute",
            Self::Otpm => "output tokens per minute",
            Self::Rpd => "requests per day",
            Self::Rpm => "requests per minute",
            Self::Tpd => "tokens per day",
            Self::Tpm => "tokens per minute",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_must_never_be_retried_is_not() {
        for class in [
            Class::Auth,
            Class::Cancelled,
            Class::ContentPolicy,
            Class::ContextOverflow { limit: None, requested: None },
            Class::InvalidRequest,
            Class::Local(LocalReject::NeverFits),
            Class::NotFound(Missing::Model),
            Class::NotFound(Missing::Resource),
            Class::Permission,
            Class::QuotaExhausted,
            Class::RequestExceedsLimit { limit: None, requested: None },
            Class::RequestTooLarge,
            Class::StreamInterrupted { committed: true },
        ] {
            assert!(!class.retryable(), "{class}");
        }
    }

    #[test]
    fn a_callers_mistake_ends_the_call() {
        for class in [
            Class::Cancelled,
            Class::ContentPolicy,
            Class::InvalidRequest,
            Class::NotFound(Missing::Resource),
            Class::StreamInterrupted { committed: true },
        ] {
            assert!(class.ends_the_call(), "{class}");
        }
        assert!(!Class::ContextOverflow { limit: None, requested: None }.ends_the_call());
        assert!(!Class::Auth.ends_the_call());
    }

    #[test]
    fn a_spent_quota_needs_another_key() {
        assert_eq!(Class::QuotaExhausted.moves_on(), MovesOn::OtherCredential);
        assert_eq!(Class::Auth.moves_on(), MovesOn::OtherCredential);
    }
}
