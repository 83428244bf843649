//! Clients that call a server which fails a share of all attempts, whatever the load.
//!
//! The model of [Brooker, 2022](https://brooker.co.za/blog/2022/02/28/retries.html): no queue and no overload, so that a policy's retries show by themselves.

use std::time::Duration;

use resilience_core::{Backoff, BudgetSettings, Class, Nanos, parts::Budget};

use super::{Cell, Setup};
use crate::lab::{Agenda, Chance, span, statistics::number};

/// Some clients with a policy, each with a state of its own.
#[derive(Clone, Debug)]
pub(super) struct Traffic {
    /// What tells it apart from other traffic.
    pub(super) labels: Vec<(&'static str, String)>,
    pub(super) clients: u32,
    /// The mean time from one call of a client to the next.
    pub(super) gap: Duration,
    /// When the last call may begin.
    pub(super) until: Nanos,
    /// The mean of the exponential time that a message takes one way.
    pub(super) leg: Duration,
    /// The share of attempts that fails.
    pub(super) failing: f64,
    pub(super) policy: Policy,
    /// How long a retry waits.
    pub(super) backoff: Backoff,
    /// Whether a client has one call at a time, the next of which waits for the end of this one.
    pub(super) serial: bool,
}

/// When a failed attempt is repeated.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Policy {
    /// While there is more than one token; a call brings so many millionths of one with its first attempt, and a retry takes a whole one.
    Adaptive { tokens_max: u32, deposit_ppm: u32 },
    /// So often, unless more failures than such a share of all calls have been seen.
    Breaker { retries: u32, failing: f64 },
    /// Whenever the client core's budget pays for it.
    Budget(BudgetSettings),
    /// So often.
    Retries(u32),
}

/// What came of one run.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Tally {
    first_tries: u64,
    attempts: u64,
    successes: u64,
}

/// What came of all runs of some traffic.
#[derive(Clone, Debug)]
pub(super) struct Outcome {
    pub(super) traffic: Traffic,
    pub(super) first_tries: Vec<f64>,
    pub(super) attempts: Vec<f64>,
    pub(super) amplification: Vec<f64>,
    pub(super) success: Vec<f64>,
}

/// What a client has learnt.
#[derive(Debug)]
struct Client {
    policy: Policy,
    /// In millionths: tenths in binary would make a whole token of some ten deposits and not of others.
    tokens_ppm: u64,
    calls: u32,
    failures: u32,
    budget: Option<Budget>,
}

/// What happens to a client.
#[derive(Debug)]
enum Event {
    Begins,
    /// An attempt is answered, after so many retries of its call.
    Answered {
        retries: u32,
        next_at: Nanos,
    },
}

impl Traffic {
    /// Plays one run to the end of its last call.
    pub(super) fn play(&self, chance: &mut Chance) -> Tally {
        let mut tally = Tally::default();
        // What one client does is nothing to another.
        for _ in 0..self.clients {
            self.play_one(&mut tally, chance);
        }
        tally
    }

    fn play_one(&self, tally: &mut Tally, chance: &mut Chance) {
        let mut client = Client::new(self.policy);
        let mut agenda = Agenda::new();
        agenda.add(Nanos::ZERO + chance.exponential_span(self.leg), Event::Begins);
        while let Some((now, event)) = agenda.pop() {
            match event {
                Event::Begins => {
                    tally.first_tries += 1;
                    client.begins(now);
                    let next_at = now + chance.exponential_span(self.gap);
                    let answered = Event::Answered { retries: 0, next_at };
                    agenda.add(now + self.round_trip(chance), answered);
                    if !self.serial && next_at <= self.until {
                        agenda.add(next_at, Event::Begins);
                    }
                }
                Event::Answered { retries, next_at } => {
                    tally.attempts += 1;
                    let failed = chance.happens(self.failing);
                    if failed && client.retries(retries, now) {
                        let retries = retries.saturating_add(1);
                        let sent = now + self.backoff.delay(retries, None, chance.draw());
                        let answered = Event::Answered { retries, next_at };
                        agenda.add(sent + self.round_trip(chance), answered);
                        continue;
                    }
                    tally.successes += u64::from(!failed);
                    if self.serial && now.max(next_at) <= self.until {
                        agenda.add(now.max(next_at), Event::Begins);
                    }
                }
            }
        }
    }

    fn round_trip(&self, chance: &mut Chance) -> Duration {
        chance.exponential_span(self.leg) + chance.exponential_span(self.leg)
    }
}

impl Client {
    fn new(policy: Policy) -> Self {
        let tokens_ppm = match policy {
            Policy::Adaptive { tokens_max, .. } => u64::from(tokens_max) * TOKEN_PPM,
            Policy::Breaker { .. } | Policy::Budget(_) | Policy::Retries(_) => 0,
        };
        let budget = if let Policy::Budget(settings) = policy {
            Some(Budget::new(settings).expect("models know what a budget may be"))
        } else {
            None
        };
        Self { policy, tokens_ppm, calls: 0, failures: 0, budget }
    }

    /// A call sends its first attempt.
    fn begins(&mut self, now: Nanos) {
        self.calls += 1;
        if let Policy::Adaptive { tokens_max, deposit_ppm } = self.policy {
            let most = u64::from(tokens_max) * TOKEN_PPM;
            self.tokens_ppm = most.min(self.tokens_ppm + u64::from(deposit_ppm));
        }
        if let Some(budget) = &mut self.budget {
            budget.began(now);
        }
    }

    /// Whether a failed attempt is repeated once more, after so many retries.
    fn retries(&mut self, retries: u32, now: Nanos) -> bool {
        self.failures = self.failures.saturating_add(1);
        match self.policy {
            Policy::Adaptive { .. } if self.tokens_ppm > TOKEN_PPM => {
                self.tokens_ppm -= TOKEN_PPM;
                true
            }
            Policy::Adaptive { .. } => false,
            Policy::Breaker { retries: most, failing } => {
                f64::from(self.failures) <= failing * f64::from(self.calls) && retries < most
            }
            // A withdrawal that is dropped stays paid, as it must: this budget gives nothing back.
            Policy::Budget(_) => {
                let budget = self.budget.as_mut().expect("a client with this policy has one");
                budget.withdraw(Class::Server, now).is_ok()
            }
            Policy::Retries(most) => retries < most,
        }
    }
}

impl Policy {
    /// Its name in tables.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Adaptive { .. } => "adaptive",
            Self::Breaker { .. } => "breaker",
            Self::Budget(_) => "budget",
            Self::Retries(0) => "none",
            Self::Retries(_) => "retries",
        }
    }
}

impl Outcome {
    /// Runs all traffic.
    pub(super) fn of(setup: &Setup<'_>, traffic: Vec<Traffic>) -> Vec<Self> {
        let cases: Vec<(u64, &Traffic)> = (0..).zip(&traffic).collect();
        let runs = setup.runs(&cases, |(subject, traffic), run| {
            traffic.play(&mut Chance::new(setup.seed, run, *subject))
        });
        traffic.into_iter().zip(runs).map(|(traffic, runs)| Self::new(traffic, &runs)).collect()
    }

    fn new(traffic: Traffic, tallies: &[Tally]) -> Self {
        let each = |measure: &dyn Fn(&Tally) -> f64| tallies.iter().map(measure).collect();
        let per_call = |count: u64, tally: &Tally| number(count) / number(tally.first_tries);
        Self {
            traffic,
            first_tries: each(&|tally| number(tally.first_tries)),
            attempts: each(&|tally| number(tally.attempts)),
            amplification: each(&|tally| per_call(tally.attempts, tally)),
            success: each(&|tally| per_call(tally.successes, tally)),
        }
    }

    /// The standard error of a proportion of all calls that is known exactly.
    ///
    /// The runs alone say too little where the rarer case is met a few times or never.
    pub(super) fn proportion_error(&self, proportion: f64) -> f64 {
        (proportion * (1.0 - proportion) / self.first_tries.iter().sum::<f64>()).sqrt()
    }

    /// Everything that was measured.
    pub(super) fn cells(&self) -> Vec<Cell> {
        let metrics = [
            ("first_tries", &self.first_tries),
            ("attempts", &self.attempts),
            ("amplification", &self.amplification),
            ("success", &self.success),
        ];
        let cell = |(metric, values): (&'static str, &Vec<f64>)| Cell {
            labels: self.traffic.labels.clone(),
            metric,
            values: values.clone(),
        };
        metrics.map(cell).into()
    }
}

/// A share in millionths.
pub(super) fn millionths(share: f64) -> u32 {
    // A second has as many microseconds.
    u32::try_from(span(share).as_micros()).unwrap_or(u32::MAX)
}

/// One token, in millionths.
const TOKEN_PPM: u64 = 1_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn traffic(policy: Policy, failing: f64, serial: bool) -> Traffic {
        Traffic {
            labels: Vec::new(),
            clients: 20,
            gap: Duration::from_millis(100),
            until: Nanos::from(Duration::from_secs(10)),
            leg: Duration::from_millis(10),
            failing,
            policy,
            backoff: Backoff::fixed(Duration::ZERO),
            serial,
        }
    }

    #[test]
    fn every_call_is_sent_once_and_as_often_more_as_its_policy_says() {
        for serial in [false, true] {
            let play = |policy, failing| {
                let tally = traffic(policy, failing, serial).play(&mut Chance::new(1, 0, 0));
                assert!(tally.first_tries > 1_000, "{tally:?}");
                (tally.attempts, tally.successes, tally.first_tries)
            };
            let (attempts, successes, calls) = play(Policy::Retries(3), 1.0);
            assert_eq!((attempts, successes), (4 * calls, 0));
            let (attempts, successes, calls) = play(Policy::Retries(3), 0.0);
            assert_eq!((attempts, successes), (calls, calls));
            let (attempts, _, calls) = play(Policy::Breaker { retries: 3, failing: 0.1 }, 1.0);
            assert_eq!(attempts, calls);
        }
    }

    /// Retries stop at one token: a full bucket of five pays for four, and every tenth call for another.
    #[test]
    fn a_token_bucket_keeps_its_last_token() {
        let policy = Policy::Adaptive { tokens_max: 5, deposit_ppm: 0 };
        let tally = traffic(policy, 1.0, false).play(&mut Chance::new(1, 0, 0));
        assert_eq!(tally.attempts - tally.first_tries, 20 * 4);
        let settings = BudgetSettings::Ratio {
            ratio_ppm: 1,
            retries_per_sec_min: 0,
            retries_max: 5,
            retries_initial: 5,
        };
        let tally = traffic(Policy::Budget(settings), 1.0, false).play(&mut Chance::new(1, 0, 0));
        assert_eq!(tally.attempts - tally.first_tries, 20 * 5, "the shipped budget spends it all");
    }

    #[test]
    fn a_serial_client_waits_for_its_call() {
        let slow = |serial| {
            let backoff = Backoff { cap: Duration::MAX, ..Backoff::fixed(Duration::from_secs(1)) };
            let traffic = Traffic { backoff, ..traffic(Policy::Retries(1), 1.0, serial) };
            traffic.play(&mut Chance::new(1, 0, 0)).first_tries
        };
        // Each call takes a second and two round trips, of which less than ten fit.
        assert!(slow(true) <= 20 * 10, "{}", slow(true));
        assert!(slow(false) > 20 * 80, "{}", slow(false));
    }
}
