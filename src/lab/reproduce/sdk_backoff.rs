//! How the official client libraries of OpenAI and Anthropic come back after a failure.
//!
//! Their formula is the shipped [`Backoff::sdk`], and their rules are played to a whole shipped [`Call`], attempt by attempt.

use std::time::{Duration, SystemTime};

use resilience_core::{
    Action, Backoff, Call, Draws, Event, Failure, Message, Nanos, Phase, Policy, Pool, Provider,
    Request, Retry, Spread, Target,
    classify::{self, Transport},
};

use super::{Anchor, Cell, Claim, Parameter, Reproduction, Setup, Tolerance};
use crate::lab::{
    Chance, span,
    statistics::{Summary, number},
};

/// The formula and the rules around it.
pub(super) const ANCHOR: Anchor = Anchor {
    name: "sdk-backoff",
    title: "what the SDKs of OpenAI and Anthropic wait before a retry",
    source: "openai-python and anthropic-sdk-python, _base_client.py (2024 to mid-2026): _calculate_retry_timeout, _parse_retry_after_header, _should_retry",
    parameters: &[
        Parameter {
            name: "base",
            about: "seconds before the first retry, at most",
            default: &[0.5],
            least: 1e-3,
            most: 1e3,
            whole: false,
        },
        Parameter {
            name: "cap",
            about: "seconds before any retry, at most",
            default: &[8.0],
            least: 1e-3,
            most: 1e3,
            whole: false,
        },
        Parameter {
            name: "growth",
            about: "by what the longest wait grows from retry to retry",
            default: &[2.0],
            least: 1.0,
            most: 100.0,
            whole: false,
        },
        Parameter {
            name: "retries",
            about: "retries of one call",
            default: &[2.0],
            least: 0.0,
            most: 10.0,
            whole: true,
        },
        Parameter {
            name: "hint-max",
            about: "seconds of the longest hint that is waited out",
            default: &[60.0],
            least: 0.0,
            most: 200.0,
            whole: false,
        },
        Parameter {
            name: "hint-max-later",
            about: "the same for OpenAI's SDK since mid-2026",
            default: &[120.0],
            least: 1.0,
            most: 200.0,
            whole: false,
        },
        Parameter {
            name: "windows",
            about: "retries whose waits are looked at, the first few of which a call ever makes",
            default: &[7.0],
            least: 1.0,
            most: 100.0,
            whole: true,
        },
        Parameter {
            name: "draws",
            about: "waits that are drawn in each run before each retry",
            default: &[10_000.0],
            least: 1.0,
            most: 1e7,
            whole: true,
        },
    ],
    runs: 20,
    run: |setup| {
        let policy = policy(setup);
        let mut shown = formula(setup, &policy.retry.backoff);
        shown.claims.extend(rules(setup, &policy));
        shown.notes.extend(DIFFERENCES.map(str::to_owned));
        shown
    },
};

/// The shipped policy of that name, with the parameters in it and nothing beside it that ends a call.
fn policy(setup: &Setup<'_>) -> Policy {
    let settings = setup.settings;
    let cap = span(settings.one("cap"));
    let backoff = Backoff {
        base: span(settings.one("base")).min(cap),
        cap,
        multiplier_ppm: format!("{:.0}", settings.one("growth") * 1e6).parse().unwrap_or(1_000_000),
        ..Backoff::sdk()
    };
    let retry = Retry {
        retries_max: settings.whole("retries"),
        backoff,
        hint_max: span(settings.one("hint-max")),
        spread: Spread::NONE,
    };
    Policy { retry, budget: None, breaker: None, ..Policy::default() }
}

/// Range and mean of the waits, as shares of their window `min(cap, base · growth^k)`.
fn formula(setup: &Setup<'_>, backoff: &Backoff) -> Reproduction {
    let settings = setup.settings;
    let (base, cap) = (settings.one("base"), settings.one("cap"));
    let growth = settings.one("growth");
    let retries: Vec<u32> = (1..=settings.whole("windows")).collect();
    let draws = settings.whole("draws");
    let means = setup.runs(&retries, |&retry, run| {
        let mut chance = Chance::new(setup.seed, run, retry.into());
        let window = backoff.envelope(retry).as_secs_f64();
        let sum: f64 = (0..draws)
            .map(|_| backoff.delay(retry, None, chance.draw()).as_secs_f64() / window)
            .sum();
        sum / f64::from(draws)
    });
    let mut shown = Reproduction::default();
    for (retry, means) in retries.into_iter().zip(means) {
        let window = cap.min(base * growth.powf(f64::from(retry - 1)));
        let wait = |draw| backoff.delay(retry, None, draw).as_secs_f64();
        let at_most = format!("s, longest wait before retry {retry}");
        shown.claims.push(Claim::exact(at_most, window, wait(u64::MAX)));
        let at_least = format!("s, shortest wait before retry {retry}");
        shown.claims.push(Claim::exact(at_least, window * (1.0 - JITTER), wait(0)));
        shown.claims.push(Claim {
            what: format!("mean share of the window, retry {retry}"),
            published: 1.0 - JITTER / 2.0,
            ours: Summary::of(&means),
            tolerance: Tolerance::Absolute(errors(draws, means.len())),
        });
        let labels = vec![("retry", retry.to_string())];
        shown.cells.push(Cell { labels, metric: "share of the window", values: means });
    }
    shown
}

/// Four standard errors of the mean of so many uniform draws.
fn errors(draws: u32, runs: usize) -> f64 {
    4.0 * JITTER / (12.0 * f64::from(draws) * number(runs)).sqrt()
}

/// What a call does whose attempts all fail alike.
fn rules(setup: &Setup<'_>, policy: &Policy) -> Vec<Claim> {
    let retries = f64::from(policy.retry.retries_max);
    let mut claims = Vec::new();
    for (what, failure, retried) in failures() {
        let expected = if retried { retries } else { 0.0 };
        let ours = number(waits(policy, &failure, setup.seed).len());
        claims.push(Claim::exact(format!("retries after {what}"), expected, ours));
    }
    let window = policy.retry.backoff.envelope(1).as_secs_f64();
    for (what, headers, seconds) in HINTS {
        let waits = waits(policy, &answer(429, headers), setup.seed);
        // There is no first wait if retries are switched off, or if the hint is too long.
        let Some(wait) = waits.first().map(Duration::as_secs_f64) else { continue };
        let what = format!("s, wait after {what}");
        claims.push(match seconds {
            Some(seconds) => Claim::exact(what, seconds, wait),
            // The middle of the formula's range, and half of it to both sides.
            None => Claim {
                tolerance: Tolerance::Absolute(window * JITTER / 2.0),
                ..Claim::exact(what, window * (1.0 - JITTER / 2.0), wait)
            },
        });
    }
    claims.extend(later_rules(setup, policy));
    claims
}

/// What OpenAI's SDK does since mid-2026: it waits out longer hints, and ends at those that are longer still.
fn later_rules(setup: &Setup<'_>, policy: &Policy) -> Vec<Claim> {
    let longest = setup.settings.one("hint-max-later");
    let retry = Retry { hint_max: span(longest), ..policy.retry };
    let later = Policy { retry, ..policy.clone() };
    let (kept, beyond) = (longest.to_string(), (longest + 1.0).to_string());
    let waits = |headers: &[(&str, &str)]| waits(&later, &answer(429, headers), setup.seed);
    let first = waits(&[("retry-after", &kept)]).first().map(Duration::as_secs_f64);
    let refused = waits(&[("retry-after", &beyond)]);
    let wanted = waits(&[("retry-after", &beyond), ("x-should-retry", "true")]);
    let none = |what: &str, waits: &[Duration]| {
        Claim::exact(format!("later SDK: retries after {what}"), 0.0, number(waits.len()))
    };
    let mut claims = vec![
        none("a longer retry-after", &refused),
        none("a longer retry-after with x-should-retry: true", &wanted),
    ];
    let kept = "later SDK: s, wait after the longest retry-after";
    claims.extend(first.map(|wait| Claim::exact(kept, longest, wait)));
    claims
}

/// Failures, and whether the SDKs try again.
fn failures() -> Vec<(String, Failure, bool)> {
    let statuses = [
        (400, false),
        (401, false),
        (403, false),
        (404, false),
        (408, true),
        (409, true),
        (422, false),
        (429, true),
        (500, true),
        (502, true),
        (503, true),
        (504, true),
        (529, true),
    ];
    let mut failures: Vec<_> = statuses
        .into_iter()
        .map(|(status, retried)| (format!("a {status}"), answer(status, &[]), retried))
        .collect();
    let unwanted = "a 500 with x-should-retry: false".to_owned();
    failures.push((unwanted, answer(500, &[("x-should-retry", "false")]), false));
    for (what, fault) in [
        ("a connection that is refused", Transport::Connect),
        ("a connection that breaks", Transport::Reset),
        ("a timeout", Transport::Timeout(Phase::Attempt)),
    ] {
        failures.push((what.to_owned(), classify::transport(fault, what), true));
    }
    failures
}

/// A failure as it comes off the wire, at a fixed time of the world.
fn answer(status: u16, headers: &[(&str, &str)]) -> Failure {
    let wall = SystemTime::UNIX_EPOCH + Duration::from_secs(WALL);
    classify::response(Provider::OpenAi, status, headers, b"", Some(wall))
}

/// How long a call waits before each retry, every attempt of which fails at once and in the same way.
fn waits(policy: &Policy, failure: &Failure, seed: u64) -> Vec<Duration> {
    let target = Target::new(Provider::OpenAi, "gpt-4o-mini");
    let mut pool = Pool::new(policy, [target], Draws::new(seed)).expect("parameters in range");
    let request = Request::new([Message::user("Hello")]);
    let (mut call, mut now) = (Call::new(1, request, policy.clone(), Nanos::ZERO), Nanos::ZERO);
    let mut waits = Vec::new();
    loop {
        match call.poll(&mut pool, now) {
            Action::Done(_) => return waits,
            Action::Drop { .. } => {}
            Action::Send { attempt, .. } => {
                call.handle(attempt, Event::Failed(failure.clone()), &mut pool, now);
            }
            Action::Wait { until, .. } => {
                waits.push(until.since(now));
                now = until;
            }
            Action::Acquire { until, .. } | Action::Attend { until } => now = until,
        }
    }
}

/// The share of its window by which a wait is shortened at most.
const JITTER: f64 = 0.25;

/// What the world's clock shows: Wed, 21 Oct 2026 07:28:00 GMT.
const WALL: u64 = 1_792_567_680;

/// Header fields.
type Headers = &'static [(&'static str, &'static str)];

/// Headers, and for how many seconds they ask; `None` where the formula holds.
const HINTS: [(&str, Headers, Option<f64>); 8] = [
    (
        "retry-after-ms beside retry-after",
        &[("retry-after", "7"), ("retry-after-ms", "1500")],
        Some(1.5),
    ),
    ("retry-after in seconds", &[("retry-after", "7")], Some(7.0)),
    ("retry-after in parts of a second", &[("retry-after", "0.25")], Some(0.25)),
    ("retry-after as a date", &[("retry-after", "Wed, 21 Oct 2026 07:28:03 GMT")], Some(3.0)),
    ("the longest retry-after", &[("retry-after", "60")], Some(60.0)),
    ("a retry-after of 0", &[("retry-after", "0")], None),
    ("a negative retry-after", &[("retry-after", "-3")], None),
    ("a retry-after that is no number", &[("retry-after", "soon")], None),
];

/// Where the shipped client differs on purpose.
const DIFFERENCES: [&str; 4] = [
    "A hint beyond the limit is compared with the later SDK only: earlier ones come back by the formula, early; the shipped client moves to another target or ends the call, and never comes back early.",
    "`x-should-retry: true` on a final failure is not compared: the SDKs retry whatever it comes with; the shipped client does not repeat what its class forbids.",
    "The shipped client adds a spread to hints, so that those who got the same one do not come back as one; here it is switched off, as the SDKs have none.",
    "The jitter of a quarter is no parameter: the shipped formula has no other.",
];

#[cfg(test)]
mod tests {
    use resilience_core::Jitter;

    use super::*;
    use crate::lab::reproduce::shown;

    const FEW: [(&str, &str); 1] = [("draws", "500")];

    #[test]
    fn the_shipped_formula_and_the_shipped_call_are_those_of_the_sdks() {
        let shown = shown(&ANCHOR, 4, 1, &FEW);
        let broken: Vec<_> = shown.claims.iter().filter(|claim| !claim.holds()).collect();
        assert!(broken.is_empty(), "{broken:#?}");
        assert_eq!(shown.claims.len(), 3 * 7 + 17 + 8 + 3);
    }

    #[test]
    fn the_published_parameters_are_those_of_the_shipped_formula() {
        fn compared(setup: &Setup<'_>) -> Reproduction {
            assert_eq!(policy(setup).retry, Retry { spread: Spread::NONE, ..Retry::sdk() });
            Reproduction::default()
        }
        shown(&Anchor { run: compared, ..ANCHOR }, 1, 1, &[]);
    }

    #[test]
    fn another_jitter_is_noticed() {
        fn full(setup: &Setup<'_>) -> Reproduction {
            formula(setup, &Backoff { jitter: Jitter::Full, ..Backoff::sdk() })
        }
        fn slow(setup: &Setup<'_>) -> Reproduction {
            formula(setup, &Backoff { base: Duration::from_secs(1), ..Backoff::sdk() })
        }
        for run in [full, slow] {
            assert!(!shown(&Anchor { run, ..ANCHOR }, 4, 1, &FEW).holds());
        }
    }

    #[test]
    fn other_rules_are_noticed() {
        fn spread(setup: &Setup<'_>) -> Reproduction {
            let mut policy = policy(setup);
            policy.retry.spread = Spread::default();
            Reproduction { claims: rules(setup, &policy), ..Reproduction::default() }
        }
        assert!(!shown(&Anchor { run: spread, ..ANCHOR }, 1, 1, &FEW).holds());
    }

    #[test]
    fn the_number_of_threads_changes_nothing() {
        assert_eq!(shown(&ANCHOR, 3, 1, &FEW), shown(&ANCHOR, 3, 3, &FEW));
    }
}
