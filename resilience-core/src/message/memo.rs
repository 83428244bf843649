//! Counts that were made before.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// What a message's texts came to, by counter; it travels with clones and is no part of what a message is.
#[derive(Clone, Default)]
pub(super) struct Memo(Arc<Mutex<Vec<Remembered>>>);

struct Remembered {
    counter: u64,
    fingerprint: u64,
    tokens: u64,
}

impl Memo {
    /// The count of this content by this counter, made now unless it has been made before.
    pub(super) fn remember(
        &self,
        counter: u64,
        fingerprint: u64,
        count: impl FnOnce() -> u64,
    ) -> u64 {
        let known =
            |entry: &&Remembered| entry.counter == counter && entry.fingerprint == fingerprint;
        if let Some(entry) = self.lock().iter().find(known) {
            return entry.tokens;
        }
        // Counted without the lock: two that count the same at once do no harm.
        let tokens = count();
        let mut entries = self.lock();
        if entries.len() >= ENTRIES_MAX {
            entries.remove(0);
        }
        entries.push(Remembered { counter, fingerprint, tokens });
        tokens
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Remembered>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Eq for Memo {}

impl PartialEq for Memo {
    /// Always: what was counted does not change what is said.
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl fmt::Debug for Memo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Memo")
    }
}

/// As many counters as a chain of targets is likely to have.
const ENTRIES_MAX: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_counter_counts_a_content_once_and_the_oldest_is_forgotten() {
        let memo = Memo::default();
        for counter in 0..5 {
            assert_eq!(memo.remember(counter, 7, || counter), counter);
            assert_eq!(memo.clone().remember(counter, 7, || unreachable!()), counter);
        }
        assert_eq!(memo.remember(4, 8, || 80), 80, "another content");
        assert_eq!(memo.remember(0, 7, || 100), 100, "forgotten");
    }
}
