//! What happens in a run, counted as it happens.

use std::time::Duration;

use hdrhistogram::Histogram;
use resilience_core::Usage;

use super::{
    metric::{Figures, Metric},
    results::{Moment, SHARES},
    statistics::number,
};

/// The counts of one run.
///
/// It keeps a few numbers for each second and a histogram of latencies, however many calls there are.
#[derive(Clone, Debug)]
pub(super) struct Tally {
    /// When the first call came: from then on a plan's times count.
    origin: Option<Duration>,
    seconds: Vec<Second>,
    /// In microseconds.
    latencies: Histogram<u64>,
    /// For each client its calls, and those that succeeded.
    clients: Vec<(u64, u64)>,
    calls: u64,
    successes: u64,
    attempts: u64,
    limited: u64,
    wasted: u64,
    wasted_cost: f64,
    /// Whether a price was missing.
    unpriced: bool,
    last_arrival: Duration,
}

/// What happened in one second.
#[derive(Clone, Copy, Debug, Default)]
struct Second {
    calls: u32,
    /// Of the calls that came in it, those that succeeded, whenever that was.
    served: u32,
    attempts: u32,
    successes: u32,
    limited: u32,
}

impl Tally {
    /// Nothing has happened to so many clients yet.
    pub(super) fn new(clients: u32) -> Self {
        let clients = vec![(0, 0); usize::try_from(clients).unwrap_or(usize::MAX)];
        Self {
            origin: None,
            seconds: Vec::new(),
            latencies: histogram(),
            clients,
            calls: 0,
            successes: 0,
            attempts: 0,
            limited: 0,
            wasted: 0,
            wasted_cost: 0.0,
            unpriced: false,
            last_arrival: Duration::ZERO,
        }
    }

    /// A call came.
    pub(super) fn call(&mut self, client: u32, now: Duration) {
        self.calls += 1;
        let origin = *self.origin.get_or_insert(now);
        self.last_arrival = now.saturating_sub(origin);
        self.client(client).0 += 1;
        self.second(now).calls += 1;
    }

    /// An attempt reached the provider.
    pub(super) fn attempt(&mut self, now: Duration) {
        self.attempts += 1;
        self.second(now).attempts += 1;
    }

    /// An attempt was refused for a rate limit.
    pub(super) fn limited(&mut self, now: Duration) {
        self.limited += 1;
        self.second(now).limited += 1;
    }

    /// An answer was paid for, and nobody got it.
    pub(super) fn waste(&mut self, usage: Usage, dollars: Option<f64>) {
        self.wasted = self.wasted.saturating_add(usage.input).saturating_add(usage.output);
        match dollars {
            Some(dollars) => self.wasted_cost += dollars,
            None => self.unpriced = true,
        }
    }

    /// A call that came at `began` succeeded.
    pub(super) fn success(&mut self, client: u32, began: Duration, now: Duration) {
        self.successes += 1;
        self.client(client).1 += 1;
        self.second(began).served += 1;
        self.second(now).successes += 1;
        let micros = u64::try_from(now.saturating_sub(began).as_micros()).unwrap_or(u64::MAX);
        self.latencies.saturating_record(micros);
    }

    /// How many calls came, and how many attempts were made for them.
    pub(super) fn counts(&self) -> (u64, u64) {
        (self.calls, self.attempts)
    }

    /// What the run comes to; `span` is how long calls were to come, if they came at a rate.
    pub(super) fn figures(
        &self,
        span: Option<Duration>,
        outages: &[(Duration, Duration)],
    ) -> Figures {
        let mut figures = Figures::default();
        let calls = number(self.calls);
        let span = span.unwrap_or(self.last_arrival).as_secs_f64();
        figures.set(Metric::Amplification, number(self.attempts) / calls);
        figures.set(Metric::Goodput, number(self.successes) / span);
        figures.set(Metric::Success, number(self.successes) / calls);
        figures.set(Metric::Limited, number(self.limited) / number(self.attempts));
        for (metric, share) in
            [(Metric::P50, 0.5), (Metric::P90, 0.9), (Metric::P99, 0.99), (Metric::P999, 0.999)]
        {
            if let Some(latency) = self.latency(share) {
                figures.set(metric, latency);
            }
        }
        figures.set(Metric::WastedTokens, number(self.wasted) / calls);
        if !self.unpriced {
            figures.set(Metric::WastedCost, self.wasted_cost / calls);
        }
        if self.clients.len() > 1 {
            figures.set(Metric::Fairness, self.fairness());
        }
        if let (Some((first, _)), Some((_, last))) = (outages.first(), outages.last()) {
            figures.set(Metric::SuccessInOutage, self.served(outages));
            figures.set(Metric::Recovery, self.recovery(*first, *last));
            figures.set(Metric::Peak, self.peak(*first, *last));
        }
        figures
    }

    /// How the load went over so many seconds, in moments of so many.
    pub(super) fn course(&self, seconds: usize, width: usize) -> Vec<Moment> {
        let width = width.max(1);
        let all = (0..seconds).step_by(width);
        all.map(|at| {
            let end = (at + width).min(seconds);
            let part = self.seconds.get(at.min(self.seconds.len())..end.min(self.seconds.len()));
            let part = part.unwrap_or_default();
            let mean = |count: fn(&Second) -> u32| {
                part.iter().map(|second| f64::from(count(second))).sum::<f64>() / number(end - at)
            };
            Moment {
                at: number(at),
                calls: mean(|second| second.calls),
                attempts: mean(|second| second.attempts),
                successes: mean(|second| second.successes),
                limited: mean(|second| second.limited),
            }
        })
        .collect()
    }

    /// The latencies of successes, to be added to those of other runs.
    pub(super) fn latencies(&self) -> &Histogram<u64> {
        &self.latencies
    }

    /// A quantile of the successes' latencies, in seconds.
    fn latency(&self, share: f64) -> Option<f64> {
        seconds_at(&self.latencies, share)
    }

    /// The share of calls that came in some spans and succeeded.
    fn served(&self, spans: &[(Duration, Duration)]) -> f64 {
        let (mut calls, mut served) = (0.0, 0.0);
        for (at, second) in (0..).zip(&self.seconds) {
            let at = Duration::from_secs(at);
            if spans.iter().any(|(from, until)| *from <= at && at < *until) {
                calls += f64::from(second.calls);
                served += f64::from(second.served);
            }
        }
        served / calls
    }

    /// How long after the end of the last outage calls succeed as often as before the first one: the first second from which on those of ten seconds do, within a twentieth; if none does, all the time that calls came.
    fn recovery(&self, first: Duration, last: Duration) -> f64 {
        let before = self.served(&[(Duration::ZERO, first)]);
        let usual = if before.is_finite() { before } else { 1.0 };
        let end = whole_seconds(last);
        let window = |from: usize| {
            let part = self.seconds.get(from..from + RECOVERED_FOR)?;
            let calls: f64 = part.iter().map(|second| f64::from(second.calls)).sum();
            let served: f64 = part.iter().map(|second| f64::from(second.served)).sum();
            (calls > 0.0).then_some(served / calls)
        };
        let recovered = |from: &usize| window(*from).is_some_and(|share| share >= 0.95 * usual);
        let over = whole_seconds(self.last_arrival).max(end);
        number((end..over).find(recovered).unwrap_or(over) - end)
    }

    /// The busiest second of the minute after the last outage, in attempts, against the mean before the first one.
    fn peak(&self, first: Duration, last: Duration) -> f64 {
        let (first, end) = (whole_seconds(first), whole_seconds(last));
        let attempts = |from: usize, until: usize| {
            let part = self.seconds.get(from..until.min(self.seconds.len())).unwrap_or_default();
            part.iter().map(|second| f64::from(second.attempts)).collect::<Vec<f64>>()
        };
        let before = attempts(0, first);
        let mean = before.iter().sum::<f64>() / number(before.len());
        attempts(end, end + 60).into_iter().fold(0.0, f64::max) / mean
    }

    /// Jain's index of the clients' shares of success: 1 if all are equal, 1/n if one has everything ([Jain, Chiu and Hawe](https://arxiv.org/abs/cs/9809099)).
    fn fairness(&self) -> f64 {
        let shares = self.clients.iter().filter(|(calls, _)| *calls > 0);
        let shares: Vec<f64> =
            shares.map(|(calls, served)| number(*served) / number(*calls)).collect();
        let (sum, squares) = shares
            .iter()
            .fold((0.0, 0.0), |(sum, squares), share| (sum + share, squares + share * share));
        // Whoever serves nobody treats all alike.
        if squares == 0.0 { 1.0 } else { sum * sum / (number(shares.len()) * squares) }
    }

    fn client(&mut self, client: u32) -> &mut (u64, u64) {
        let client = usize::try_from(client).unwrap_or(usize::MAX);
        self.clients.get_mut(client).expect("there are as many clients as were said")
    }

    fn second(&mut self, at: Duration) -> &mut Second {
        let at = at.saturating_sub(self.origin.unwrap_or(at));
        let index = whole_seconds(at).min(SECONDS_MAX);
        if index >= self.seconds.len() {
            self.seconds.resize(index + 1, Second::default());
        }
        &mut self.seconds[index]
    }
}

/// The latencies of several runs together, at [`SHARES`], in seconds; empty if nothing succeeded.
pub(super) fn latencies<'a>(runs: impl Iterator<Item = &'a Histogram<u64>>) -> Vec<(f64, f64)> {
    let mut all = histogram();
    for run in runs {
        all.add(run).expect("all histograms have the same bounds");
    }
    SHARES.iter().filter_map(|share| Some((*share, seconds_at(&all, *share)?))).collect()
}

/// Latencies in microseconds, to three digits; what is longer than a week counts as a week.
fn histogram() -> Histogram<u64> {
    Histogram::new_with_max(604_800_000_000, 3).expect("these are bounds that it can have")
}

fn seconds_at(histogram: &Histogram<u64>, share: f64) -> Option<f64> {
    let some = !histogram.is_empty();
    some.then(|| number(histogram.value_at_quantile(share)) / 1e6)
}

fn whole_seconds(at: Duration) -> usize {
    usize::try_from(at.as_secs()).unwrap_or(usize::MAX)
}

/// For how many seconds calls must succeed again before a world has recovered.
const RECOVERED_FOR: usize = 10;

/// The last second that is counted by itself: a week.
const SECONDS_MAX: usize = 604_800;
