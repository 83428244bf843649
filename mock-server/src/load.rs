//! What a provider's load does to its answers: requests wait for a worker, or slow each other down.
//!
//! A provider that is slower the more it has to do can stay down after what brought it down is gone ([Metastable Failures in Distributed Systems](https://sigops.org/s/conferences/hotos/2021/papers/hotos21-s11-bronson.pdf)).
//! What a client has given up is worked off all the same: nobody tells the worker.

use std::{cmp::Reverse, collections::BinaryHeap, time::Duration};

use crate::plan;

/// The requests that a provider has accepted and not finished.
#[derive(Clone, Debug)]
pub(crate) struct Load {
    plan: plan::Load,
    /// When each worker is free again; as many as there are.
    workers: BinaryHeap<Reverse<Duration>>,
    /// When each request that waits for a worker begins.
    begins: BinaryHeap<Reverse<Duration>>,
    /// When each request ends.
    ends: BinaryHeap<Reverse<Duration>>,
}

impl Load {
    /// One that has nothing to do.
    pub(crate) fn new(plan: plan::Load) -> Self {
        let workers = (0..plan.workers.unwrap_or(0)).map(|_| Reverse(Duration::ZERO)).collect();
        Self { plan, workers, begins: BinaryHeap::new(), ends: BinaryHeap::new() }
    }

    /// Whether one more request finds no place in the line.
    pub(crate) fn is_full(&mut self, now: Duration) -> bool {
        let Some(queue) = self.plan.queue else { return false };
        forget(&mut self.begins, now);
        let is_free = self.workers.peek().is_some_and(|Reverse(free)| *free <= now);
        !is_free && self.begins.len() >= usize::try_from(queue).unwrap_or(usize::MAX)
    }

    /// Accepts a request that takes so long by itself; answers how much later that makes its answer.
    pub(crate) fn accept(&mut self, service: Duration, now: Duration) -> Duration {
        if self.plan == plan::Load::default() {
            return Duration::ZERO;
        }
        let slowdown = self.plan.slowdown.map_or(Duration::ZERO, |slowdown| {
            forget(&mut self.ends, now);
            let under_way = u32::try_from(self.ends.len() + 1).unwrap_or(u32::MAX);
            slowdown.0.saturating_mul(under_way)
        });
        let begin = self.workers.pop().map_or(now, |Reverse(free)| free.max(now));
        let end = begin.saturating_add(service).saturating_add(slowdown);
        if self.plan.workers.is_some() {
            self.workers.push(Reverse(end));
        }
        if begin > now && self.plan.queue.is_some() {
            self.begins.push(Reverse(begin));
        }
        if self.plan.slowdown.is_some() {
            self.ends.push(Reverse(end));
        }
        begin.saturating_sub(now).saturating_add(slowdown)
    }
}

/// Takes out what is over.
fn forget(times: &mut BinaryHeap<Reverse<Duration>>, now: Duration) {
    while times.peek().is_some_and(|Reverse(at)| *at <= now) {
        times.pop();
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn load(plan: Value) -> Load {
        Load::new(serde_json::from_value(plan).unwrap())
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn without_a_plan_nothing_waits() {
        let mut load = load(json!({}));
        for _ in 0..1_000 {
            assert!(!load.is_full(SECOND));
            assert_eq!(load.accept(SECOND, SECOND), Duration::ZERO);
        }
    }

    #[test]
    fn requests_wait_for_a_worker_in_their_order() {
        let mut load = load(json!({ "workers": 2 }));
        let waits = [1, 1, 1, 1, 1].map(|at| load.accept(SECOND * 3, SECOND * at));
        assert_eq!(waits, [0, 0, 3, 3, 6].map(|seconds| SECOND * seconds));
        // The last one begins at 7 s and is done at 10 s; the other worker is free at 7 s.
        assert_eq!(load.accept(SECOND, SECOND * 8), Duration::ZERO);
        assert_eq!(load.accept(SECOND, SECOND * 8), SECOND);
    }

    #[test]
    fn each_request_under_way_slows_the_next_one_down() {
        let mut load = load(json!({ "slowdown": "10ms" }));
        let ten = Duration::from_millis(10);
        assert_eq!([0, 0, 0].map(|_| load.accept(SECOND, SECOND)), [ten, ten * 2, ten * 3]);
        // They end at 2.01 s, 2.02 s and 2.03 s.
        assert_eq!(load.accept(SECOND, SECOND * 2 + ten * 2), ten * 2);
    }

    #[test]
    fn a_full_line_takes_nobody_until_somebody_begins() {
        let mut load = load(json!({ "workers": 1, "queue": 1 }));
        assert!(!load.is_full(SECOND));
        load.accept(SECOND, SECOND);
        assert!(!load.is_full(SECOND));
        load.accept(SECOND, SECOND);
        assert!(load.is_full(SECOND));
        assert!(load.is_full(Duration::from_nanos(1_999_999_999)));
        assert!(!load.is_full(SECOND * 2));
    }
}
