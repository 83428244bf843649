//! What backoff is for: before a server that fails whatever the load, it moves work in time and removes none, unless clients wait for their own calls.
//!
//! [Brooker, 2022](https://brooker.co.za/blog/2022/08/11/backoff.html).
//! The waits are decided by [`Backoff`] as it ships.

use std::time::Duration;

use resilience_core::{Backoff, Jitter, Nanos};

use super::{
    Anchor, Claim, Parameter, Reproduction, Settings, Setup, Tolerance,
    failing_server::{Outcome, Policy, Traffic, millionths},
};
use crate::lab::{span, statistics::Summary};

/// The published result.
pub(super) const ANCHOR: Anchor = Anchor {
    name: "backoff",
    title: "backoff saves work only where clients wait for their own calls",
    source: "Brooker, \"What is backoff for?\", 2022; invariance, order and closed forms",
    parameters: &[
        Parameter {
            name: "failing",
            about: "the share of attempts that fails",
            default: &FAILING,
            most: 1.0,
            ..POSITIVE
        },
        Parameter {
            name: "base",
            about: "the wait before the first retry, in s; each further one doubles",
            default: &BASES,
            ..POSITIVE
        },
        Parameter {
            name: "clients",
            about: "clients, each with a state of its own",
            default: &[100.0],
            least: 1.0,
            whole: true,
            ..POSITIVE
        },
        Parameter {
            name: "rate",
            about: "calls per second of each client, if none waits for another",
            default: &[10.0],
            least: 1e-3,
            ..POSITIVE
        },
        Parameter {
            name: "seconds",
            about: "for how long calls begin",
            default: &[10.0],
            ..POSITIVE
        },
        Parameter {
            name: "leg",
            about: "mean time of a message one way, in ms",
            default: &[10.0],
            ..POSITIVE
        },
        Parameter {
            name: "retries",
            about: "retries of a call, where they are counted",
            default: &[3.0],
            whole: true,
            most: 100.0,
            ..POSITIVE
        },
        Parameter {
            name: "tokens",
            about: "tokens at most and at first, where they are spent",
            default: &[5.0],
            whole: true,
            ..POSITIVE
        },
        Parameter {
            name: "deposit",
            about: "tokens that a call brings",
            default: &[0.1],
            most: 1.0,
            ..POSITIVE
        },
    ],
    runs: 40,
    run: |setup| reproduce(setup, traffic(setup.settings)),
};

const POSITIVE: Parameter =
    Parameter { name: "", about: "", default: &[], least: 0.0, most: 1e4, whole: false };

/// Every share of failures, with and without backoff: unbounded clients with both policies, serial ones with counted retries.
fn traffic(settings: &Settings) -> Vec<Traffic> {
    let retries = Policy::Retries(settings.whole("retries"));
    let adaptive = Policy::Adaptive {
        tokens_max: settings.whole("tokens"),
        deposit_ppm: millionths(settings.one("deposit")),
    };
    let mut traffic = Vec::new();
    for clients in settings.all_whole("clients") {
        for &base in settings.all("base") {
            for &failing in settings.all("failing") {
                for (serial, policy) in [(false, retries), (false, adaptive), (true, retries)] {
                    let mut labels = labels(policy.name(), serial, base, failing);
                    labels.push(("clients", clients.to_string()));
                    traffic.push(Traffic {
                        labels,
                        clients,
                        gap: span(1.0 / settings.one("rate")),
                        until: Nanos::from(span(settings.one("seconds"))),
                        leg: span(settings.one("leg") / 1e3),
                        failing,
                        policy,
                        backoff: Backoff {
                            base: span(base),
                            cap: Duration::MAX,
                            multiplier_ppm: 2_000_000,
                            jitter: Jitter::None,
                        },
                        serial,
                    });
                }
            }
        }
    }
    traffic
}

fn labels(policy: &str, serial: bool, base: f64, failing: f64) -> Vec<(&'static str, String)> {
    let kind = if serial { "serial" } else { "unbounded" };
    vec![
        ("client", kind.to_owned()),
        ("policy", policy.to_owned()),
        ("base_s", base.to_string()),
        ("failing", failing.to_string()),
    ]
}

fn reproduce(setup: &Setup<'_>, traffic: Vec<Traffic>) -> Reproduction {
    let outcomes = Outcome::of(setup, traffic);
    let cells = outcomes.iter().flat_map(Outcome::cells).collect();
    let claims = if setup.settings.are_changed() { Vec::new() } else { claims(&outcomes) };
    let notes = [
        "every wait is `resilience_core::Backoff`'s, without jitter and cap",
        "the token bucket is the program's: it spends no last token, and a call may spend many",
    ];
    Reproduction { claims, cells, notes: notes.map(str::to_owned).into() }
}

/// The published statements beside what was found.
fn claims(outcomes: &[Outcome]) -> Vec<Claim> {
    let found = |policy, serial, base, failing| {
        let labels = labels(policy, serial, base, failing);
        let found = outcomes.iter().find(|outcome| outcome.traffic.labels.starts_with(&labels));
        found.expect("the published cases are run unless settings are changed")
    };
    let [none, some] = BASES;
    let mut claims = Vec::new();
    for policy in ["retries", "adaptive"] {
        for failing in &FAILING[1..] {
            let [without, with] = [none, some]
                .map(|base| Summary::of(&found(policy, false, base, *failing).amplification));
            claims.push(Claim {
                what: format!(
                    "amplification, unbounded, {policy}, {failing} failing: as without backoff"
                ),
                published: without.mean,
                ours: with,
                tolerance: Tolerance::Errors { most: 4.0, published: without.error },
            });
        }
    }
    for &failing in &FAILING {
        claims.push(Claim {
            what: format!("amplification, serial, retries, {failing} failing"),
            published: 1.0 + failing + failing.powi(2) + failing.powi(3),
            ours: Summary::of(&found("retries", true, some, failing).amplification),
            tolerance: Tolerance::Errors { most: 4.0, published: 0.0 },
        });
    }
    claims.push(Claim::close_together(&claims));
    for pair in FAILING.windows(2) {
        let [fewer, more] = [pair[0], pair[1]]
            .map(|failing| Summary::of(&found("retries", true, some, failing).first_tries));
        let what = format!(
            "calls, serial: more at {} failing than at {}, in standard errors",
            pair[0], pair[1]
        );
        claims.push(Claim::above(what, 5.0, fewer.z(&more)));
    }
    let ill = FAILING[FAILING.len() - 1];
    let [serial, unbounded] =
        [true, false].map(|serial| Summary::of(&found("retries", serial, some, ill).attempts));
    let what = format!("attempts, {ill} failing: serial as a share of unbounded");
    claims.push(Claim::below(what, 0.5, serial.share_of(&unbounded).mean));
    claims
}

/// The published shares of attempts that fail.
const FAILING: [f64; 5] = [0.0, 0.1, 0.3, 0.5, 0.75];

/// Without backoff, and with it.
const BASES: [f64; 2] = [0.0, 0.1];

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use super::*;
    use crate::lab::{Crew, Progress};

    fn shown(runs: u32, threads: usize, change: impl Fn(&mut Traffic)) -> Reproduction {
        let settings = ANCHOR.settings(&[]).unwrap();
        let mut traffic = traffic(&settings);
        traffic.iter_mut().for_each(change);
        let crew = Crew::new(NonZeroUsize::new(threads).unwrap());
        let progress = Progress::default();
        reproduce(&Setup { seed: 1, runs, crew, settings: &settings, progress: &progress }, traffic)
    }

    /// What does not hold after some runs of traffic that is changed like this.
    fn off(change: impl Fn(&mut Traffic)) -> Vec<String> {
        let claims = shown(5, 2, change).claims;
        claims.into_iter().filter(|claim| !claim.holds()).map(|claim| claim.what).collect()
    }

    #[test]
    fn backoff_moves_work_and_removes_none_unless_clients_wait() {
        assert_eq!(off(|_| {}), [""; 0]);
    }

    #[test]
    fn a_wrong_model_is_noticed() {
        let check = |name: &str, expected: usize, change: fn(&mut Traffic)| {
            let off = off(change);
            assert!(off.len() >= expected, "{name}: {off:?}");
        };
        check("serial clients do not wait", 4, |traffic| traffic.serial = false);
        check("backoff saves a retry", 5, |traffic| {
            if let Policy::Retries(retries) = &mut traffic.policy
                && !traffic.backoff.base.is_zero()
            {
                *retries -= 1;
            }
        });
    }

    #[test]
    fn the_number_of_threads_changes_nothing() {
        assert_eq!(shown(2, 1, |_| {}), shown(2, 3, |_| {}));
    }
}
