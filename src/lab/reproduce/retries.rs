//! Retries, a token bucket and a circuit breaker before a server that fails a share of all attempts.
//!
//! [Brooker, 2022](https://brooker.co.za/blog/2022/02/28/retries.html), in the variant of its program: its text pays tokens for successes and caps the retries of a call.

use std::time::Duration;

use resilience_core::{Backoff, BudgetSettings, Nanos};

use super::{
    Anchor, Claim, Parameter, Reproduction, Settings, Setup, Tolerance,
    failing_server::{Outcome, Policy, Traffic, millionths},
};
use crate::lab::{span, statistics::Summary};

/// The published result.
pub(super) const ANCHOR: Anchor = Anchor {
    name: "retries",
    title: "a token bucket bounds what retries add to a load, and a breaker stops them early",
    source: "Brooker, \"Fixing retries with token buckets and circuit breakers\", 2022; closed forms",
    parameters: &[
        Parameter {
            name: "failing",
            about: "the share of attempts that fails",
            default: &[0.001, 0.01, 0.02, 0.05, 0.075, 0.1, 0.2, 0.3, 0.4, 0.5],
            ..SHARE
        },
        Parameter {
            name: "clients",
            about: "clients, each with a state of its own",
            ..count(&[100.0])
        },
        Parameter { name: "rate", about: "calls per second of each client", ..positive(&[10.0]) },
        Parameter { name: "seconds", about: "for how long calls begin", ..positive(&[10.0]) },
        Parameter {
            name: "leg",
            about: "mean time of a message one way, in ms",
            ..positive(&[10.0])
        },
        Parameter {
            name: "retries",
            about: "retries of a call, where they are counted",
            ..count(&[3.0])
        },
        Parameter { name: "tokens", about: "tokens at most and at first", ..count(&[5.0]) },
        Parameter {
            name: "deposit",
            about: "tokens that a call brings",
            default: &[0.1],
            least: 1e-6,
            ..SHARE
        },
        Parameter {
            name: "trip",
            about: "failures per call above which the breaker retries nothing",
            default: &[0.1],
            ..SHARE
        },
        Parameter {
            name: "shared-clients",
            about: "clients that share a total rate",
            ..count(&[10.0, 100.0, 1_000.0])
        },
        Parameter {
            name: "shared-rate",
            about: "calls per second of all of them",
            ..positive(&[100.0])
        },
        Parameter {
            name: "shared-failing",
            about: "the share of their attempts that fails",
            default: &[0.5],
            ..SHARE
        },
    ],
    runs: 100,
    run: |setup| reproduce(setup, traffic(setup.settings)),
};

const SHARE: Parameter =
    Parameter { name: "", about: "", default: &[], least: 0.0, most: 1.0, whole: false };

const fn count(default: &'static [f64]) -> Parameter {
    Parameter { least: 1.0, most: 10_000.0, whole: true, default, ..SHARE }
}

const fn positive(default: &'static [f64]) -> Parameter {
    Parameter { least: 1e-3, most: 1e4, default, ..SHARE }
}

/// The policies under these settings: those of the program, and the client core's budget with the figures of the token bucket.
fn policies(settings: &Settings) -> [Policy; 5] {
    let (retries, tokens) = (settings.whole("retries"), settings.whole("tokens"));
    let deposit_ppm = millionths(settings.one("deposit"));
    [
        Policy::Retries(0),
        Policy::Retries(retries),
        Policy::Adaptive { tokens_max: tokens, deposit_ppm },
        Policy::Breaker { retries, failing: settings.one("trip") },
        Policy::Budget(BudgetSettings::Ratio {
            ratio_ppm: deposit_ppm,
            retries_per_sec_min: 0,
            retries_max: tokens,
            retries_initial: tokens,
        }),
    ]
}

/// Every policy at every share of failures, and at every number of clients that share a rate.
fn traffic(settings: &Settings) -> Vec<Traffic> {
    let shared_rate = settings.one("shared-rate");
    let own = settings.all_whole("clients").into_iter().flat_map(|clients| {
        settings.all("failing").iter().map(move |failing| (clients, settings.one("rate"), *failing))
    });
    let shared = settings.all_whole("shared-clients").into_iter().flat_map(|clients| {
        let rate = shared_rate / f64::from(clients);
        settings.all("shared-failing").iter().map(move |failing| (clients, rate, *failing))
    });
    let cases = own.chain(shared);
    let of_all = cases.flat_map(|(clients, rate, failing)| {
        policies(settings).map(|policy| Traffic {
            labels: labels(policy.name(), clients, rate, failing),
            clients,
            gap: span(1.0 / rate),
            until: Nanos::from(span(settings.one("seconds"))),
            leg: span(settings.one("leg") / 1e3),
            failing,
            policy,
            backoff: Backoff::fixed(Duration::ZERO),
            serial: false,
        })
    });
    of_all.collect()
}

fn labels(policy: &str, clients: u32, rate: f64, failing: f64) -> Vec<(&'static str, String)> {
    vec![
        ("policy", policy.to_owned()),
        ("clients", clients.to_string()),
        ("calls_per_s", rate.to_string()),
        ("failing", failing.to_string()),
    ]
}

fn reproduce(setup: &Setup<'_>, traffic: Vec<Traffic>) -> Reproduction {
    let outcomes = Outcome::of(setup, traffic);
    let cells = outcomes.iter().flat_map(Outcome::cells).collect();
    let claims = if setup.settings.are_changed() { Vec::new() } else { Found(&outcomes).claims() };
    let notes = [
        "token bucket and breaker are the program's: it spends no last token, and the breaker counts all calls of a client's life",
        "`budget` is `resilience_core::parts::Budget` with the figures of the token bucket",
    ];
    Reproduction { claims, cells, notes: notes.map(str::to_owned).into() }
}

/// What was found, to be compared with what was published.
struct Found<'a>(&'a [Outcome]);

impl Found<'_> {
    fn claims(&self) -> Vec<Claim> {
        let groups = [self.closed_forms(), self.token_bucket(), self.breaker(), self.shared()];
        groups.into_iter().flatten().collect()
    }

    fn closed_forms(&self) -> Vec<Claim> {
        let forms = [
            self.closed_form("none", "success", |f| 1.0 - f),
            self.closed_form("retries", "amplification", |f| 1.0 + f + f * f + f * f * f),
            self.closed_form("retries", "success", |f| 1.0 - f.powi(4)),
        ];
        let mut claims: Vec<Claim> = forms.into_iter().flatten().collect();
        claims.push(Claim::close_together(&claims));
        claims
    }

    /// A metric is within 4 standard errors of its form at every share of failures, and nowhere off by more than 1 %.
    fn closed_form(&self, policy: &str, metric: &str, form: fn(f64) -> f64) -> Vec<Claim> {
        let mut claims = Vec::new();
        let mut worst = 0.0_f64;
        for &failing in ANCHOR.parameters[0].default {
            let outcome = self.own(policy, failing);
            let published = form(failing);
            let mut ours = Summary::of(&outcome.amplification);
            if metric == "success" {
                ours = Summary::of(&outcome.success);
                ours.error = ours.error.max(outcome.proportion_error(published));
            }
            worst = worst.max((ours.mean / published - 1.0).abs());
            claims.push(Claim {
                what: format!("{metric}, {policy}, {failing} failing"),
                published,
                ours,
                tolerance: Tolerance::Errors { most: 4.0, published: 0.0 },
            });
        }
        claims.push(Claim::below(format!("{metric}, {policy}: largest share off"), 0.01, worst));
        claims
    }

    /// Where the tokens run out, they and the deposits are all that is retried; where they do not, nothing is lost.
    fn token_bucket(&self) -> Vec<Claim> {
        let mut claims = Vec::new();
        for policy in ["adaptive", "budget"] {
            for failing in [0.3, 0.4, 0.5] {
                let outcome = self.own(policy, failing);
                let calls = Summary::of(&outcome.first_tries).mean / f64::from(OWN_CLIENTS);
                let amplification = 1.1 + 4.0 / calls;
                for (metric, published, values) in [
                    ("amplification", amplification, &outcome.amplification),
                    ("success", (1.0 - failing) * amplification, &outcome.success),
                ] {
                    claims.push(Claim {
                        what: format!("{metric}, {policy}, {failing} failing"),
                        published,
                        ours: Summary::of(values),
                        tolerance: Tolerance::Relative(0.01),
                    });
                }
            }
        }
        for failing in [0.001, 0.01, 0.02, 0.05] {
            claims.push(Claim {
                what: format!("success, adaptive, {failing} failing: as with retries"),
                published: 1.0 - f64::powi(failing, 4),
                ours: Summary::of(&self.own("adaptive", failing).success),
                tolerance: Tolerance::Absolute(0.005),
            });
        }
        claims
    }

    /// It stops retries where everything fails, and begins to at half of what it is set to.
    fn breaker(&self) -> Vec<Claim> {
        let ill = self.own("breaker", 0.5);
        let early = |policy| Summary::of(&self.own(policy, 0.05).success);
        let z = early("retries").z(&early("breaker"));
        vec![
            Claim::below(
                "amplification, breaker, 0.5 failing",
                1.01,
                Summary::of(&ill.amplification).mean,
            ),
            Claim {
                what: "success, breaker, 0.5 failing: as with none".to_owned(),
                published: 0.5,
                ours: Summary::of(&ill.success),
                tolerance: Tolerance::Absolute(0.01),
            },
            Claim::above(
                "success, 0.05 failing: retries above breaker, in standard errors",
                5.0,
                z,
            ),
        ]
    }

    /// The more clients share a rate, the more the first tokens of each weigh; a breaker stays shut.
    fn shared(&self) -> Vec<Claim> {
        let of = |policy, clients| {
            let rate = SHARED_RATE / f64::from(clients);
            Summary::of(&self.of(policy, clients, rate, 0.5).amplification)
        };
        let mut claims = Vec::new();
        for [few, many] in [[10, 100], [100, 1_000]] {
            let z = of("adaptive", many).z(&of("adaptive", few));
            let what =
                format!("amplification, adaptive: {many} clients above {few}, in standard errors");
            claims.push(Claim::above(what, 5.0, z));
        }
        for clients in [10, 100, 1_000] {
            let what = format!("amplification, breaker, {clients} clients");
            claims.push(Claim::below(what, 1.01, of("breaker", clients).mean));
        }
        claims
    }

    fn own(&self, policy: &str, failing: f64) -> &Outcome {
        self.of(policy, OWN_CLIENTS, OWN_RATE, failing)
    }

    fn of(&self, policy: &str, clients: u32, rate: f64, failing: f64) -> &Outcome {
        let labels = labels(policy, clients, rate, failing);
        let found = self.0.iter().find(|outcome| outcome.traffic.labels == labels);
        found.expect("the published cases are run unless settings are changed")
    }
}

/// The clients of the published curves.
const OWN_CLIENTS: u32 = 100;

/// Calls per second of each of them.
const OWN_RATE: f64 = 10.0;

/// Calls per second of all clients that share a rate.
const SHARED_RATE: f64 = 100.0;

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
    fn off(runs: u32, change: impl Fn(&mut Traffic)) -> Vec<String> {
        let claims = shown(runs, 2, change).claims;
        claims.into_iter().filter(|claim| !claim.holds()).map(|claim| claim.what).collect()
    }

    #[test]
    fn policies_show_what_was_published() {
        assert_eq!(off(5, |_| {}), [""; 0]);
    }

    #[test]
    fn a_wrong_policy_is_noticed() {
        let check = |name: &str, expected: usize, change: fn(&mut Policy)| {
            let off = off(2, |traffic| change(&mut traffic.policy));
            assert!(off.len() >= expected, "{name}: {off:?}");
        };
        check("a fourth retry", 3, |policy| {
            if let Policy::Retries(retries @ 3) = policy {
                *retries = 4;
            }
        });
        check("deposits of a fifth", 6, |policy| {
            if let Policy::Adaptive { deposit_ppm, .. } = policy {
                *deposit_ppm = 200_000;
            }
        });
        check("a breaker that never trips", 6, |policy| {
            if let Policy::Breaker { failing, .. } = policy {
                *failing = f64::INFINITY;
            }
        });
        check("a token bucket that begins empty", 6, |policy| {
            if let Policy::Adaptive { tokens_max, .. } = policy {
                *tokens_max = 1;
            }
        });
    }

    #[test]
    fn the_number_of_threads_changes_nothing() {
        assert_eq!(shown(2, 1, |_| {}), shown(2, 3, |_| {}));
    }
}
