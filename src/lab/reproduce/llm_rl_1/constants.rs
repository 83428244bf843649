//! What the model takes for granted, all of it settable.

use std::{ops::Range, time::Duration};

use resilience_core::Nanos;

use crate::lab::{
    reproduce::{Parameter, Settings},
    span,
};

/// The constants of one experiment; only load, outage and penalty differ from case to case.
#[derive(Clone, Debug)]
pub(super) struct Constants {
    /// Millionths of a request that the quota refills in a second, and the requests that it holds.
    pub(super) requests: (u64, u64),
    /// Millionths of a token that the quota refills in a second, and the tokens that it holds.
    pub(super) tokens: (u64, u64),
    pub(super) outage: Range<Nanos>,
    /// Requests that a 429 costs where it costs any.
    pub(super) penalty: u64,
    /// How long a 429 or 503 takes.
    pub(super) refusal_delay: Duration,
    /// Of the time that an answer takes: its median in seconds, and the standard deviation of its logarithm.
    pub(super) latency: (f64, f64),
    /// The longest way to the provider, in nanoseconds.
    pub(super) network_nanos: u64,
    /// Arrivals per second at a load of one.
    pub(super) arrivals_per_s: f64,
    /// No request arrives from here on.
    pub(super) horizon: Nanos,
    /// So many requests at once instead of arrivals, if any.
    pub(super) burst: u32,
    pub(super) clients: u32,
    /// The cheapest and the dearest request.
    pub(super) cost: (u64, u64),
    /// After its arrival.
    pub(super) deadline: Duration,
    /// The most attempts of a request; none if there is no limit.
    pub(super) attempts: Option<u32>,
    pub(super) retry: RetryConstants,
    pub(super) limiter: LimiterConstants,
    pub(super) budget: BudgetConstants,
    pub(super) throttle: ThrottleConstants,
    /// When the requests arrive that are measured.
    pub(super) cohort: Range<Nanos>,
}

/// How long retries wait.
#[derive(Clone, Debug)]
pub(super) struct RetryConstants {
    pub(super) fixed: Duration,
    pub(super) base: Duration,
    pub(super) cap: Duration,
    pub(super) sdk_base: Duration,
    pub(super) sdk_cap: Duration,
    /// The longest Retry-After that an SDK believes.
    pub(super) hint: Duration,
}

/// What the limiters allow.
#[derive(Clone, Debug)]
pub(super) struct LimiterConstants {
    /// The longest wait, where there is one.
    pub(super) wait: Duration,
    /// The share of the rates that the careful one uses, in millionths.
    pub(super) eta_ppm: u64,
}

/// A client's retry budget.
#[derive(Clone, Debug)]
pub(super) struct BudgetConstants {
    pub(super) ratio_ppm: u32,
    pub(super) initial: u32,
    pub(super) capacity: u32,
}

/// When a client sheds.
#[derive(Clone, Debug)]
pub(super) struct ThrottleConstants {
    pub(super) multiplier_ppm: u32,
    pub(super) window: Duration,
}

impl Constants {
    /// What the settings say.
    pub(super) fn of(settings: &Settings) -> Self {
        let one = |name| settings.one(name);
        let whole = |name| u64::from(settings.whole(name));
        let seconds = |name| span(one(name));
        let at = |name| Nanos::from(seconds(name));
        let (least, most) = (whole("cost-least"), whole("cost-most"));
        let capacity = settings.whole("budget-capacity");
        Self {
            requests: (micros(one("requests-per-second")), whole("requests-capacity")),
            tokens: (micros(one("tokens-per-second")), whole("tokens-capacity")),
            outage: at("outage-from")..at("outage-until"),
            penalty: whole("penalty"),
            refusal_delay: seconds("refusal-delay"),
            latency: (one("latency-median"), one("latency-sigma")),
            network_nanos: at("network-delay").get(),
            arrivals_per_s: one("arrivals-per-second"),
            horizon: at("duration"),
            burst: settings.whole("burst"),
            clients: settings.whole("clients"),
            cost: (least.min(most), least.max(most)),
            deadline: seconds("deadline"),
            attempts: Some(settings.whole("attempts")).filter(|&attempts| attempts > 0),
            retry: RetryConstants {
                fixed: seconds("fixed-delay"),
                base: seconds("backoff-base"),
                cap: seconds("backoff-cap"),
                sdk_base: seconds("sdk-base"),
                sdk_cap: seconds("sdk-cap"),
                hint: seconds("sdk-hint"),
            },
            limiter: LimiterConstants {
                wait: seconds("limiter-wait"),
                eta_ppm: micros(one("limiter-eta")),
            },
            budget: BudgetConstants {
                ratio_ppm: narrow(micros(one("budget-ratio"))),
                initial: settings.whole("budget-initial").min(capacity),
                capacity,
            },
            throttle: ThrottleConstants {
                multiplier_ppm: narrow(micros(one("throttle-k"))),
                window: seconds("throttle-window"),
            },
            cohort: at("cohort-from")..at("cohort-until"),
        }
    }
}

/// Millionths, for numbers whose range a parameter has checked.
fn micros(number: f64) -> u64 {
    u64::try_from(span(number / 1e3).as_nanos()).unwrap_or(u64::MAX)
}

fn narrow(millionths: u64) -> u32 {
    u32::try_from(millionths).unwrap_or(u32::MAX)
}

const fn real(
    name: &'static str,
    about: &'static str,
    default: &'static [f64],
    range: (f64, f64),
) -> Parameter {
    Parameter { name, about, default, least: range.0, most: range.1, whole: false }
}

const fn whole(
    name: &'static str,
    about: &'static str,
    default: &'static [f64],
    range: (f64, f64),
) -> Parameter {
    Parameter { name, about, default, least: range.0, most: range.1, whole: true }
}

/// Every constant with its default; the first four span the grid.
pub(super) const PARAMETERS: &[Parameter] = &[
    whole(
        "strategies",
        "strategies by their numbers, in the order of their rows",
        ALL,
        (1.0, 14.0),
    ),
    real("load", "arrivals as a share of what the token quota admits", LOADS, (1e-3, 1e3)),
    whole("outage", "1 with the outage, 0 without", BOTH, (0.0, 1.0)),
    whole("pen", "1 if a 429 costs requests, 0 if it is free", BOTH, (0.0, 1.0)),
    real("requests-per-second", "refill of the request quota", &[10.0], RATE),
    whole("requests-capacity", "requests that the quota holds", &[100.0], (1.0, 1e9)),
    real("tokens-per-second", "refill of the token quota", &[9_000.0], RATE),
    whole("tokens-capacity", "tokens that the quota holds", &[90_000.0], (1.0, 1e9)),
    real("outage-from", "when the outage begins, in s", &[400.0], SPAN),
    real("outage-until", "when the outage ends, in s", &[460.0], SPAN),
    whole("penalty", "requests that a 429 costs where it costs any", &[1.0], (0.0, 1e9)),
    real("refusal-delay", "how long a 429 or 503 takes, in s", &[0.05], (1e-3, SPAN.1)),
    real("latency-median", "median time to an answer, in s", &[2.0], SPAN),
    real("latency-sigma", "standard deviation of its logarithm", &[0.5], (0.0, 10.0)),
    real("network-delay", "longest way to the provider, in s", &[0.1], SPAN),
    real("arrivals-per-second", "arrivals at a load of 1", &[9.0], (1e-6, 1e6)),
    real("duration", "no request arrives from then on, in s", &[1_000.0], SPAN),
    whole("burst", "so many requests at 0 s instead of arrivals; 0 for none", &[0.0], (0.0, 1e7)),
    whole("clients", "clients that share the quota", &[50.0], (1.0, 1e6)),
    whole("cost-least", "tokens of the cheapest request", &[200.0], (0.0, 1e9)),
    whole("cost-most", "tokens of the dearest request", &[1_800.0], (0.0, 1e9)),
    real("deadline", "of a request after its arrival, in s", &[60.0], (1e-3, SPAN.1)),
    whole("attempts", "most attempts of a request; 0 for any number", &[6.0], (0.0, 1e9)),
    real("fixed-delay", "delay of `fixed`, in s", &[1.0], SPAN),
    real("backoff-base", "window of the first retry, in s", &[1.0], SPAN),
    real("backoff-cap", "largest window, in s", &[30.0], SPAN),
    real("sdk-base", "first delay of an SDK, in s", &[0.5], SPAN),
    real("sdk-cap", "longest delay of an SDK, in s", &[8.0], SPAN),
    real("sdk-hint", "longest Retry-After that an SDK obeys, in s", &[60.0], SPAN),
    real("limiter-wait", "longest wait in a limiter with such a rule, in s", &[10.0], SPAN),
    real("limiter-eta", "share of the rates that the careful limiter uses", &[0.95], (1e-3, 1e3)),
    real("budget-ratio", "retries that a request earns", &[0.1], (1e-6, 1e3)),
    whole("budget-initial", "retries at the start", &[1.0], (0.0, 1e6)),
    whole("budget-capacity", "most retries saved up", &[10.0], (1.0, 1e6)),
    real("throttle-k", "attempts per accepted one that a client allows itself", &[2.0], (1.0, 1e3)),
    real("throttle-window", "how long a client remembers, in s", &[120.0], (1e-3, SPAN.1)),
    real("cohort-from", "first arrival that is measured, in s", &[100.0], SPAN),
    real("cohort-until", "no later arrival is measured, in s", &[900.0], SPAN),
];

const ALL: &[f64] = &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 11.0, 12.0, 13.0, 14.0];
const LOADS: &[f64] = &[0.8, 1.2, 1.5, 2.0];
const BOTH: &[f64] = &[0.0, 1.0];

/// What may flow in per second: above a millionth, which is the smallest rate that is counted.
const RATE: (f64, f64) = (1e-6, 1e6);

/// Spans and instants in seconds: up to some months of virtual time.
const SPAN: (f64, f64) = (0.0, 1e7);
