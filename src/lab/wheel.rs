//! An agenda whose cost does not grow with what stands in it: events in the order of milliseconds.
//!
//! A heap looks at more of its events the more there are, and of ten thousand clients there are many.
//! Here each of the coming 65,536 milliseconds has a list of its own ([Hashed and Hierarchical Timing Wheels](https://doi.org/10.1145/41457.37504)); what comes later waits in a heap.

use resilience_core::Nanos;

use super::Agenda;

/// Events that are to come, each in its millisecond: there those that are early come first, and those of one kind in the order in which they were added.
#[derive(Debug)]
pub(super) struct Wheel<E> {
    /// The millisecond whose events are being taken.
    now: u64,
    /// The lists of the coming milliseconds, by their number modulo how many there are.
    spokes: Vec<Spoke>,
    /// One bit for each list that is not empty.
    filled: Vec<u64>,
    nodes: Vec<Node<E>>,
    /// The first of the nodes that are free.
    free: u32,
    /// What comes later, with whether it is late in its millisecond.
    far: Agenda<(E, bool)>,
}

/// The events of one millisecond: the first and the last of those that come early in it, and of those that come late.
#[derive(Clone, Copy, Debug)]
struct Spoke {
    early: (u32, u32),
    late: (u32, u32),
}

#[derive(Debug)]
struct Node<E> {
    event: E,
    next: u32,
}

impl<E: Copy> Wheel<E> {
    /// An empty one, at the beginning of time.
    pub(super) fn new() -> Self {
        Self {
            now: 0,
            spokes: vec![Spoke { early: (NONE, NONE), late: (NONE, NONE) }; SPOKES],
            filled: vec![0; SPOKES / 64],
            nodes: Vec::new(),
            free: NONE,
            far: Agenda::new(),
        }
    }

    /// Adds an event to a millisecond, which is not over.
    pub(super) fn add(&mut self, millis: u64, event: E, late: bool) {
        let millis = millis.max(self.now);
        if millis - self.now >= SPAN {
            self.far.add(Nanos::new(millis), (event, late));
        } else {
            self.insert(millis, event, late);
        }
    }

    /// Takes the next event with its millisecond; `None` once everything has happened.
    pub(super) fn pop(&mut self) -> Option<(u64, E)> {
        loop {
            if let Some(event) = self.take() {
                return Some((self.now, event));
            }
            let next = self.next().or_else(|| self.far.next_at().map(Nanos::get))?;
            self.now = next;
            while let Some(at) = self.far.next_at()
                && at.get() - self.now < SPAN
                && let Some((at, (event, late))) = self.far.pop()
            {
                self.insert(at.get(), event, late);
            }
        }
    }

    /// Takes the next event of this millisecond.
    fn take(&mut self) -> Option<E> {
        let place = spoke(self.now);
        let Spoke { early, late } = &mut self.spokes[place];
        let list = if early.0 == NONE { late } else { early };
        if list.0 == NONE {
            return None;
        }
        let taken = list.0;
        let node = &mut self.nodes[index(taken)];
        list.0 = std::mem::replace(&mut node.next, self.free);
        self.free = taken;
        let event = node.event;
        let Spoke { early, late } = self.spokes[place];
        if early.0 == NONE && late.0 == NONE {
            self.filled[place / 64] &= !(1 << (place % 64));
        }
        Some(event)
    }

    fn insert(&mut self, millis: u64, event: E, late: bool) {
        let added = if self.free == NONE {
            let added =
                u32::try_from(self.nodes.len()).expect("fewer events than 2^32 are to come");
            self.nodes.push(Node { event, next: NONE });
            added
        } else {
            let added = self.free;
            let node = &mut self.nodes[index(added)];
            self.free = std::mem::replace(&mut node.next, NONE);
            node.event = event;
            added
        };
        let place = spoke(millis);
        self.filled[place / 64] |= 1 << (place % 64);
        let list = if late { &mut self.spokes[place].late } else { &mut self.spokes[place].early };
        if list.0 == NONE {
            list.0 = added;
        } else {
            self.nodes[index(list.1)].next = added;
        }
        list.1 = added;
    }

    /// The next millisecond on the wheel that has an event.
    fn next(&self) -> Option<u64> {
        let start = spoke(self.now);
        // This one's word is looked at twice: from here on first, and up to here last.
        (0..=self.filled.len()).find_map(|step| {
            let word = (start / 64 + step) % self.filled.len();
            let bits = match step {
                0 => self.filled[word] & (u64::MAX << (start % 64)),
                _ if word == start / 64 => self.filled[word] & !(u64::MAX << (start % 64)),
                _ => self.filled[word],
            };
            let bit = usize::try_from(bits.trailing_zeros()).unwrap_or(64);
            (bits != 0).then(|| {
                let ahead = (word * 64 + bit + SPOKES - start) % SPOKES;
                self.now + u64::try_from(ahead).unwrap_or(u64::MAX)
            })
        })
    }
}

/// The list of a millisecond.
fn spoke(millis: u64) -> usize {
    usize::try_from(millis % SPAN).unwrap_or_default()
}

fn index(node: u32) -> usize {
    usize::try_from(node).unwrap_or(usize::MAX)
}

/// How many milliseconds are on the wheel: more than the minute for which most waits are capped.
const SPOKES: usize = 65_536;
/// The same, to reckon with.
const SPAN: u64 = 65_536;
/// No node.
const NONE: u32 = u32::MAX;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Beside a heap of the same events, added before the first and while they are taken.
        #[test]
        fn events_come_in_the_order_of_a_heap(
            first in prop::collection::vec((0..200_000_u64, any::<bool>()), 1..60),
            more in prop::collection::vec((0..200_000_u64, any::<bool>()), 0..60),
        ) {
            let (mut wheel, mut heap) = (Wheel::new(), Agenda::new());
            let add = |wheel: &mut Wheel<usize>, heap: &mut Agenda<usize>, at: u64, late: bool, event| {
                wheel.add(at, event, late);
                heap.add(Nanos::new(at * 2 + u64::from(late)), event);
            };
            for (event, &(at, late)) in first.iter().enumerate() {
                add(&mut wheel, &mut heap, at, late, event);
            }
            let mut more = more.into_iter().enumerate();
            while let Some((at, event)) = heap.pop() {
                let now = at.get() / 2;
                prop_assert_eq!(wheel.pop(), Some((now, event)));
                if let Some((index, (after, late))) = more.next() {
                    // Nothing is early in a millisecond of which the late ones are being taken.
                    add(&mut wheel, &mut heap, now + 1 + after, late, 1_000 + index);
                }
            }
            prop_assert_eq!(wheel.pop(), None);
        }
    }
}
