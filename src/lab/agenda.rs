//! What happens next: the events of a simulation in the order of their time.

use std::{
    cmp::{Ordering, Reverse},
    collections::BinaryHeap,
};

use resilience_core::Nanos;

/// Events that are to come, each at its time; those of one time in the order in which they were added.
#[derive(Clone, Debug)]
pub struct Agenda<E> {
    entries: BinaryHeap<Reverse<Entry<E>>>,
    added: u64,
}

#[derive(Clone, Debug)]
struct Entry<E> {
    at: Nanos,
    order: u64,
    event: E,
}

impl<E> Agenda<E> {
    /// An empty one.
    pub fn new() -> Self {
        Self { entries: BinaryHeap::new(), added: 0 }
    }

    /// Adds an event.
    pub fn add(&mut self, at: Nanos, event: E) {
        self.added += 1;
        self.entries.push(Reverse(Entry { at, order: self.added, event }));
    }

    /// When the next event is; `None` if there is none.
    pub fn next_at(&self) -> Option<Nanos> {
        self.entries.peek().map(|Reverse(entry)| entry.at)
    }

    /// Takes the next event with its time; `None` once everything has happened.
    pub fn pop(&mut self) -> Option<(Nanos, E)> {
        self.entries.pop().map(|Reverse(entry)| (entry.at, entry.event))
    }

    /// How many events are to come.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing is to come.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

impl<E> Default for Agenda<E> {
    fn default() -> Self {
        Self::new()
    }
}

impl<E> Eq for Entry<E> {}

impl<E> PartialEq for Entry<E> {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.order) == (other.at, other.order)
    }
}

impl<E> Ord for Entry<E> {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}

impl<E> PartialOrd for Entry<E> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_by_time_and_those_of_one_time_as_they_were_added() {
        let mut agenda = Agenda::new();
        for (at, event) in [(5, "c"), (1, "a"), (5, "d"), (2, "b")] {
            agenda.add(Nanos::new(at), event);
        }
        assert_eq!((agenda.len(), agenda.next_at()), (4, Some(Nanos::new(1))));
        let order: Vec<_> = std::iter::from_fn(|| agenda.pop()).collect();
        assert_eq!(order.iter().map(|(_, event)| *event).collect::<String>(), "abcd");
        assert!(agenda.is_empty());
    }
}
