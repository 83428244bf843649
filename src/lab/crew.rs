//! Threads that share out the runs of an experiment.

use std::{
    num::NonZeroUsize,
    sync::atomic::{AtomicU64, AtomicUsize, Ordering},
    thread,
};

/// So many threads, each of which takes the next job when it has done one.
///
/// What a job gives depends on its number alone, and the results come in the order of the jobs: nobody can tell how many threads there were.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crew {
    threads: NonZeroUsize,
}

/// How far the work is; whoever shows it looks at it from another thread.
#[derive(Debug, Default)]
pub struct Progress {
    planned: AtomicU64,
    done: AtomicU64,
}

impl Crew {
    /// So many threads.
    pub fn new(threads: NonZeroUsize) -> Self {
        Self { threads }
    }

    /// As many threads as the machine lets run at a time.
    pub fn of_this_machine() -> Self {
        Self { threads: thread::available_parallelism().unwrap_or(NonZeroUsize::MIN) }
    }

    /// Does the jobs with the numbers from 0.
    ///
    /// # Panics
    ///
    /// If a job does.
    pub fn work<T: Send>(
        self,
        jobs: usize,
        job: impl Fn(usize) -> T + Sync,
        progress: &Progress,
    ) -> Vec<T> {
        progress.planned.fetch_add(u64::try_from(jobs).unwrap_or(u64::MAX), Ordering::Relaxed);
        let next = AtomicUsize::new(0);
        let shift = || {
            let mut results = Vec::new();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= jobs {
                    return results;
                }
                results.push((number, job(number)));
                progress.done.fetch_add(1, Ordering::Relaxed);
            }
        };
        let mut results = thread::scope(|scope| {
            let others = (1..self.threads.get().min(jobs)).map(|_| scope.spawn(shift));
            let others: Vec<_> = others.collect();
            let mut results = shift();
            for other in others {
                match other.join() {
                    Ok(more) => results.extend(more),
                    Err(panic) => std::panic::resume_unwind(panic),
                }
            }
            results
        });
        results.sort_unstable_by_key(|(number, _)| *number);
        results.into_iter().map(|(_, result)| result).collect()
    }
}

impl Progress {
    /// How many jobs are done, and how many are planned so far.
    pub fn counts(&self) -> (u64, u64) {
        (self.done.load(Ordering::Relaxed), self.planned.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_the_order_of_the_jobs_whatever_the_crew() {
        let squares: Vec<usize> = (0..100).map(|number| number * number).collect();
        for threads in [1, 2, 7] {
            let crew = Crew::new(NonZeroUsize::new(threads).unwrap());
            let progress = Progress::default();
            assert_eq!(crew.work(100, |number| number * number, &progress), squares);
            assert_eq!(progress.counts(), (100, 100));
        }
        assert!(Crew::of_this_machine().work(0, |number| number, &Progress::default()).is_empty());
    }

    #[test]
    #[should_panic(expected = "the third")]
    fn a_job_that_panics_is_not_lost() {
        let crew = Crew::new(NonZeroUsize::new(2).unwrap());
        crew.work(8, |number| assert!(number != 3, "the third"), &Progress::default());
    }
}
