//! One failed attempt, as a value.

use std::error::Error;
use std::fmt;
use std::ops::Deref;

use crate::class::{Blame, Class, LocalReject, Retries, Sent};
use crate::hint::{Hint, Left};
use crate::limiter::{NoRoom, Refusal};
use crate::truncate::CannotFit;

/// Why an attempt failed, with everything that decides what happens next.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Failure {
    /// What went wrong.
    pub class: Class,
    /// Whether the request may have been processed.
    pub sent: Sent,
    /// Whose doing it was.
    pub blame: Blame,
    /// How long the server asked us to stay away.
    pub hint: Option<Hint>,
    /// What the limit headers say is left; nothing if they say nothing, or if the quota is spent anyway.
    pub observed: Left,
    /// The server's own word on whether a retry makes sense (`x-should-retry`, `grpc-retry-pushback-ms`).
    pub should_retry: Option<bool>,
    /// The HTTP status, if there was one that meant the failure.
    pub status: Option<u16>,
    /// The provider's code, or else its type, for this error.
    pub code: Option<Box<str>>,
    /// The provider's message, or ours, cut to [`MESSAGE_CHARS_MAX`].
    pub message: Box<str>,
    /// The provider's name for the request, for a support ticket.
    pub request_id: Option<RequestId>,
}

impl Failure {
    /// A failure of this class, sent and blamed as the class usually is.
    pub fn new(class: Class, message: &str) -> Self {
        let treatment = class.treatment();
        Self {
            class,
            sent: treatment.sent,
            blame: treatment.blame,
            hint: None,
            observed: Left::default(),
            should_retry: None,
            status: None,
            code: None,
            message: one_line(message),
            request_id: None,
        }
    }

    /// The same, found where there is no status of its own.
    pub(crate) fn without_status(mut self) -> Self {
        self.status = None;
        self
    }

    /// How often the same target may be asked again.
    ///
    /// A server that says `x-should-retry: false` is believed; one that says `true` does not overrule the class.
    pub fn retries(&self) -> Retries {
        match self.should_retry {
            Some(false) => Retries::No,
            Some(true) | None => self.class.treatment().retries,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.class)?;
        match (self.status, &self.code) {
            (Some(status), Some(code)) => write!(f, " ({status} {code})")?,
            (Some(status), None) => write!(f, " ({status})")?,
            (None, Some(code)) => write!(f, " ({code})")?,
            (None, None) => {}
        }
        if self.message.is_empty() { Ok(()) } else { write!(f, ": {}", self.message) }
    }
}

impl Error for Failure {}

/// What a quota of one's own refuses is a failure that nobody but us can be blamed for, and that no retry mends.
impl From<NoRoom> for Failure {
    fn from(no_room: NoRoom) -> Self {
        let reject = match no_room {
            NoRoom::Never { .. } => LocalReject::NeverFits,
            NoRoom::NotYet { .. } => LocalReject::LimiterTooLate,
        };
        Self::new(Class::Local(reject), &no_room.to_string())
    }
}

/// As for [`NoRoom`].
impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        let reject = match refusal {
            Refusal::NeverFits { .. } => LocalReject::NeverFits,
            Refusal::TooLate { .. } | Refusal::Wait { .. } => LocalReject::LimiterTooLate,
        };
        Self::new(Class::Local(reject), &refusal.to_string())
    }
}

impl From<CannotFit> for Failure {
    fn from(cannot_fit: CannotFit) -> Self {
        Self::new(Class::Local(LocalReject::WindowTooSmall), &cannot_fit.to_string())
    }
}

/// A provider's name for a request; a string, as thin as a pointer, because a [`Failure`] is returned by value.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RequestId(Box<Box<str>>);

impl RequestId {
    /// The name, in one line of at most [`MESSAGE_CHARS_MAX`] characters.
    pub fn new(name: &str) -> Self {
        Self(Box::new(one_line(name)))
    }
}

impl Deref for RequestId {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

/// One line of at most [`MESSAGE_CHARS_MAX`] characters, with white space folded.
pub(crate) fn one_line(text: &str) -> Box<str> {
    let mut kept = String::new();
    let mut left = MESSAGE_CHARS_MAX;
    for word in text.split_whitespace() {
        if !kept.is_empty() && left > 0 {
            kept.push(' ');
            left -= 1;
        }
        for char in word.chars() {
            if left == 0 {
                kept.push('…');
                return kept.into();
            }
            kept.push(char);
            left -= 1;
        }
    }
    kept.into()
}

/// How much of a message is kept.
/// The longest provider messages seen are about this long; a page of HTML is not worth more.
pub const MESSAGE_CHARS_MAX: usize = 500;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::class::Dimension;
    use crate::time::Nanos;

    /// P31: what our own side refuses must not set off retries.
    #[test]
    fn what_we_refuse_ourselves_is_our_own_doing_and_final() {
        let never = Refusal::NeverFits { dimension: Dimension::Tpm, cost: 9, capacity: 5 };
        for (failure, reject) in [
            (Failure::from(never), LocalReject::NeverFits),
            (Failure::from(Refusal::Wait { until: Nanos::MAX }), LocalReject::LimiterTooLate),
            (Failure::from(NoRoom::of(never, Nanos::ZERO)), LocalReject::NeverFits),
            (Failure::from(NoRoom::NotYet { retry_in: None }), LocalReject::LimiterTooLate),
            (Failure::from(CannotFit { needed: 9, budget: 5 }), LocalReject::WindowTooSmall),
        ] {
            assert_eq!(failure.class, Class::Local(reject));
            assert_eq!((failure.sent, failure.blame), (Sent::No, Blame::Local));
            assert_eq!(failure.retries(), Retries::No);
        }
    }

    #[test]
    fn a_failure_reads_as_one_line() {
        let mut failure = Failure::new(Class::Overloaded, "Overloaded\n  for now");
        assert_eq!(failure.to_string(), "overloaded: Overloaded for now");
        failure.status = Some(529);
        failure.code = Some("overloaded_error".into());
        assert_eq!(failure.to_string(), "overloaded (529 overloaded_error): Overloaded for now");
    }

    #[test]
    fn a_message_is_cut_on_a_character() {
        let long = "ä".repeat(MESSAGE_CHARS_MAX + 10);
        assert_eq!(one_line(&long).chars().count(), MESSAGE_CHARS_MAX + 1);
        assert!(one_line(&long).ends_with('…'));
        assert_eq!(one_line(&"ä".repeat(MESSAGE_CHARS_MAX)).chars().count(), MESSAGE_CHARS_MAX);
        // Between two words as well.
        for len in 1..10 {
            let words = format!("{} ", "a".repeat(len)).repeat(MESSAGE_CHARS_MAX);
            assert_eq!(one_line(&words).chars().count(), MESSAGE_CHARS_MAX + 1);
        }
    }

    #[test]
    fn a_server_may_forbid_a_retry_but_not_demand_one() {
        let mut failure = Failure::new(Class::Server, "");
        failure.should_retry = Some(false);
        assert_eq!(failure.retries(), Retries::No);
        let mut failure = Failure::new(Class::QuotaExhausted, "");
        failure.should_retry = Some(true);
        assert_eq!(failure.retries(), Retries::No);
    }
}
