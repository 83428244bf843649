//! From the journal's lines to calls with their attempts.

use std::{collections::BTreeMap, time::Duration};

use mock_server::{
    action::ErrorKind,
    identity::Evidence,
    journal::{Claimed, EndKind, Ended, Entry},
};

/// One call: all its attempts, on all targets, in the order in which they came.
#[derive(Clone, Debug)]
pub struct Call<'a> {
    /// The call, counted from 1.
    pub id: u64,
    /// Its attempts, at least one.
    pub attempts: Vec<Attempt<'a>>,
}

/// One HTTP request with its end.
#[derive(Clone, Copy, Debug)]
pub struct Attempt<'a> {
    /// What was decided.
    pub claimed: &'a Claimed,
    /// How it ended; none if it was under way when the run was over.
    pub ended: Option<&'a Ended>,
}

/// The calls of a journal, and the attempts that belong to none.
pub fn calls(entries: &[Entry]) -> (Vec<Call<'_>>, Vec<Attempt<'_>>) {
    let mut ends = BTreeMap::new();
    for entry in entries {
        if let Entry::Ended(ended) = entry {
            ends.insert(ended.attempt, ended);
        }
    }
    let mut calls: BTreeMap<u64, Call<'_>> = BTreeMap::new();
    let mut strays = Vec::new();
    for entry in entries {
        let Entry::Claimed(claimed) = entry else { continue };
        let attempt = Attempt { claimed, ended: ends.get(&claimed.attempt).copied() };
        match claimed.call {
            Some(id) => {
                let call = calls.entry(id).or_insert_with(|| Call { id, attempts: Vec::new() });
                call.attempts.push(attempt);
            }
            None => strays.push(attempt),
        }
    }
    (calls.into_values().collect(), strays)
}

impl<'a> Call<'a> {
    /// The last attempt.
    pub fn last(&self) -> &Attempt<'a> {
        self.attempts.last().expect("a call has at least one attempt")
    }

    /// When its first byte came.
    pub fn began_at(&self) -> u64 {
        self.attempts.first().map_or(0, |attempt| attempt.claimed.first_byte_at)
    }

    /// Whether it is certain, among all calls of the run, that its attempts are one call's.
    ///
    /// A conversation that comes again after it was answered is asked by several calls, and then
    /// it tells none of their attempts apart.
    pub fn is_certain(&self, calls: &[Call<'_>]) -> bool {
        let tied_by =
            |wanted| self.attempts.iter().any(|attempt| attempt.claimed.evidence == Some(wanted));
        let asks_the_same =
            |other: &Call<'_>| other.id != self.id && other.conversation() == self.conversation();
        let shared = tied_by(Evidence::Conversation) && calls.iter().any(asks_the_same);
        !tied_by(Evidence::Ambiguous) && !shared
    }

    fn conversation(&self) -> u64 {
        self.last().claimed.conversation
    }

    /// The attempt after each one that was sent to the same target.
    pub fn again<'c>(&'c self) -> impl Iterator<Item = (&'c Attempt<'a>, &'c Attempt<'a>)> {
        self.attempts.iter().enumerate().filter_map(|(index, attempt)| {
            let next = self.attempts[index + 1..].iter().find(|next| attempt.same_target(next))?;
            Some((attempt, next))
        })
    }
}

impl Attempt<'_> {
    /// Whether another attempt went to the same provider with the same key.
    pub fn same_key(&self, other: &Attempt<'_>) -> bool {
        self.claimed.provider == other.claimed.provider && self.claimed.key == other.claimed.key
    }

    /// Whether another attempt went to the same provider and model with the same key.
    pub fn same_target(&self, other: &Attempt<'_>) -> bool {
        self.same_key(other) && self.claimed.model == other.claimed.model
    }

    /// Whether a whole healthy answer was sent.
    pub fn is_answered(&self) -> bool {
        matches!(self.claimed.action.as_str(), "answer" | "slow")
            && self.claimed.error.is_none()
            && self.ended.is_some_and(|ended| ended.end == EndKind::Complete)
    }

    /// Whether an answer was begun with a 200 and never came to its end.
    pub fn is_damaged(&self) -> bool {
        self.ended.is_some_and(|ended| ended.status == Some(200)) && !self.is_answered()
    }

    /// Whether a client that comes back after it owes a wait of its own choosing: nobody told it
    /// how long, and it is not the request that has to change.
    pub fn is_backed_off_from(&self) -> bool {
        let is_final = self.claimed.error.is_some_and(ErrorKind::is_final);
        self.claimed.retry_after.is_none() && !self.is_answered() && !is_final
    }

    /// Whether the client gave up on it: then its own timeout sets the pace of what follows.
    pub fn is_abandoned(&self) -> bool {
        self.ended.is_some_and(|ended| ended.end == EndKind::ClientLeft)
    }

    /// When the client could first know of the answer, or of there being none.
    pub fn told_at(&self) -> Option<u64> {
        let ended = self.ended?;
        // A cut stream is known to be cut at its end, not at its head.
        if self.is_damaged() { Some(ended.at) } else { Some(ended.head_at.unwrap_or(ended.at)) }
    }

    /// How long the client stayed away between this attempt and a later one. The wait begins when
    /// we begin to answer, which is before the client can know, and so is never measured short.
    pub fn wait_until(&self, next: &Attempt<'_>) -> Option<Duration> {
        let told_at = self.told_at()?;
        Some(Duration::from_nanos(next.claimed.first_byte_at.saturating_sub(told_at)))
    }
}
