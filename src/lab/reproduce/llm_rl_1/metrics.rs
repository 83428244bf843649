//! What a run comes to, measured on the requests of its middle.

use std::{ops::Range, time::Duration};

use resilience_core::Nanos;

use super::{
    constants::Constants,
    play::{End, Record, Request},
};
use crate::lab::statistics::{number, quantile};

/// Every metric of a run, by its name in exports; none if the run has no value for it, and those of the outage only where there is one.
pub(super) fn metrics(
    record: &Record,
    constants: &Constants,
    outage: bool,
) -> Vec<(&'static str, Option<f64>)> {
    let cohort = Part::of(&record.requests, &constants.cohort);
    let seconds = constants.cohort.end.since(constants.cohort.start).as_secs_f64();
    let attempts = cohort.sum(|request| request.attempts);
    let mut latencies: Vec<f64> = cohort.latencies().map(|after| after.as_secs_f64()).collect();
    latencies.sort_unstable_by(f64::total_cmp);
    let good = number(latencies.len());
    let good_tokens: u64 = cohort.good().map(|request| request.cost).sum();
    let tokens_per_s = number(constants.tokens.0) / 1e6;
    let some = |value: f64| value.is_finite().then_some(value);
    let refused = |count: fn(&Request) -> u32| some(cohort.sum(count) / attempts);
    let ended = |end| some(number(cohort.count(|seen| seen == end)) / cohort.size());
    let mut metrics = vec![
        ("amplification", some(attempts / cohort.size())),
        ("calls_per_success", some(attempts / good.max(1.0))),
        ("success", cohort.success()),
        ("goodput_rps", some(good / seconds)),
        ("tok_goodput_frac", some(number(good_tokens) / (tokens_per_s * seconds))),
        ("rate429", refused(|request| request.limited)),
        ("rate503", refused(|request| request.unavailable)),
        ("late_per_request", ended(End::Late)),
        ("shed_per_request", ended(End::Shed)),
        ("exhausted_per_request", ended(End::Exhausted)),
        ("no_time_per_request", ended(End::NoTime)),
        ("budget_denied_per_request", ended(End::BudgetDenied)),
        ("p50", quantile(&latencies, 0.5)),
        ("p90", quantile(&latencies, 0.9)),
        ("p99", quantile(&latencies, 0.99)),
        ("mean_latency", some(latencies.iter().sum::<f64>() / good)),
    ];
    if outage {
        let Range { start, end } = constants.outage;
        let after = |from: u64, until: u64| {
            end + Duration::from_secs(from)..end + Duration::from_secs(until)
        };
        let success = |arrived| Part::of(cohort.requests, &arrived).success();
        let peak = record.after_outage.iter().max().copied().map(number);
        metrics.extend([
            ("success_arrived_in_outage", success(start..end)),
            ("success_arrived_0_60s_after", success(after(0, 60))),
            ("success_arrived_120_240s_after", success(after(120, 240))),
            ("peak_calls_1s_in_60s_after_outage", peak),
        ]);
    }
    metrics
}

/// The requests that arrived in some interval.
struct Part<'a> {
    requests: &'a [Request],
}

impl<'a> Part<'a> {
    /// A part of requests that stand in the order of their arrival.
    fn of(requests: &'a [Request], arrived: &Range<Nanos>) -> Self {
        let before = |at: Nanos| requests.partition_point(|request| request.arrived < at);
        let (from, until) = (before(arrived.start), before(arrived.end));
        Self { requests: &requests[from..until.max(from)] }
    }

    fn size(&self) -> f64 {
        number(self.requests.len())
    }

    fn sum(&self, count: fn(&Request) -> u32) -> f64 {
        number(self.requests.iter().map(|request| u64::from(count(request))).sum::<u64>())
    }

    fn count(&self, wanted: impl Fn(End) -> bool) -> usize {
        self.requests.iter().filter(|request| request.end.is_some_and(&wanted)).count()
    }

    fn good(&self) -> impl Iterator<Item = &Request> {
        self.requests.iter().filter(|request| matches!(request.end, Some(End::Ok(_))))
    }

    fn latencies(&self) -> impl Iterator<Item = Duration> {
        self.requests.iter().filter_map(|request| match request.end {
            Some(End::Ok(after)) => Some(after),
            _ => None,
        })
    }

    /// The share of requests that succeed; none if there are no requests.
    fn success(&self) -> Option<f64> {
        (!self.requests.is_empty()).then(|| number(self.latencies().count()) / self.size())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::reproduce::llm_rl_1::ANCHOR;

    fn request(arrived_s: u64, attempts: u32, end: End) -> Request {
        let limited = attempts - u32::from(matches!(end, End::Ok(_) | End::Late));
        let arrived = Nanos::from(Duration::from_secs(arrived_s));
        let mut request = Request::new(0, 900, arrived);
        (request.attempts, request.limited, request.end) = (attempts, limited, Some(end));
        request
    }

    #[test]
    fn only_requests_of_the_cohort_count_but_the_peak_is_everybodys() {
        let constants = Constants::of(&ANCHOR.settings(&[]).unwrap());
        let ok = |seconds| End::Ok(Duration::from_secs(seconds));
        let mut record = Record {
            requests: vec![
                request(99, 6, End::Exhausted),
                request(100, 1, ok(1)),
                request(430, 3, ok(9)),
                request(459, 2, End::Late),
                request(460, 0, End::Shed),
                request(580, 2, ok(2)),
                request(899, 2, End::NoTime),
                request(900, 6, End::Exhausted),
            ],
            after_outage: [0; 60],
            broken: Vec::new(),
        };
        record.after_outage[59] = 7;
        let seen = metrics(&record, &constants, true);
        for (name, expected) in [
            ("amplification", 10.0 / 6.0),
            ("calls_per_success", 10.0 / 3.0),
            ("success", 0.5),
            ("goodput_rps", 3.0 / 800.0),
            ("tok_goodput_frac", 2_700.0 / 7_200_000.0),
            ("rate429", 0.6),
            ("rate503", 0.0),
            ("late_per_request", 1.0 / 6.0),
            ("shed_per_request", 1.0 / 6.0),
            ("exhausted_per_request", 0.0),
            ("no_time_per_request", 1.0 / 6.0),
            ("budget_denied_per_request", 0.0),
            ("p50", 2.0),
            ("p90", 9.0),
            ("p99", 9.0),
            ("mean_latency", 4.0),
            ("success_arrived_in_outage", 0.5),
            ("success_arrived_0_60s_after", 0.0),
            ("success_arrived_120_240s_after", 1.0),
            ("peak_calls_1s_in_60s_after_outage", 7.0),
        ] {
            let value = seen.iter().find(|(seen, _)| *seen == name).and_then(|(_, value)| *value);
            assert!((value.unwrap() - expected).abs() < 1e-12, "{name}: {value:?}");
        }
        assert_eq!((seen.len(), metrics(&record, &constants, false).len()), (20, 16));
    }

    #[test]
    fn what_a_run_cannot_say_is_missing() {
        let constants = Constants::of(&ANCHOR.settings(&[]).unwrap());
        let requests = vec![request(200, 0, End::Shed)];
        let record = Record { requests, after_outage: [0; 60], broken: Vec::new() };
        let missing = metrics(&record, &constants, true);
        let missing: Vec<_> =
            missing.iter().filter(|(_, value)| value.is_none()).map(|(name, _)| *name).collect();
        let rates = ["rate429", "rate503", "p50", "p90", "p99", "mean_latency"];
        let parts = [
            "success_arrived_in_outage",
            "success_arrived_0_60s_after",
            "success_arrived_120_240s_after",
        ];
        assert_eq!(missing, [&rates[..], &parts].concat());
    }
}
