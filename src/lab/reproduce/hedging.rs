//! What a second request beside a late one gains, and what it costs.
//!
//! The formulas are solved numerically; beside them the shipped [`Hedger`] decides about calls whose latencies are drawn.

use resilience_core::{
    HedgeDelay, HedgeSettings, Nanos,
    parts::{Hedge, Hedger, Race},
};
use statrs::distribution::{ContinuousCDF as _, LogNormal};

use super::{Anchor, Cell, Claim, Parameter, Reproduction, Setup, Tolerance};
use crate::lab::{
    Chance, span,
    statistics::{Summary, number, quantile},
};

/// The hedged request, and the fan-out that makes it worth its price.
pub(super) const ANCHOR: Anchor = Anchor {
    name: "hedging",
    title: "hedged requests cut the tail for a few more requests",
    source: "Dean and Barroso, The Tail at Scale, CACM 56 (2), 2013",
    parameters: &[
        Parameter {
            name: "median",
            about: "seconds, the median latency",
            default: &[2.0],
            least: 1e-3,
            most: 100.0,
            whole: false,
        },
        Parameter {
            name: "sigma",
            about: "the standard deviation of the logarithm of the latency",
            default: &[0.5, 1.0],
            least: 0.01,
            most: 2.0,
            whole: false,
        },
        Parameter {
            name: "late",
            about: "the quantile of the latency after which a hedge is sent",
            default: &[0.95],
            least: 0.01,
            most: 0.999,
            whole: false,
        },
        Parameter {
            name: "calls",
            about: "calls in each run",
            default: &[200_000.0],
            least: 1_000.0,
            most: 1e6,
            whole: true,
        },
        Parameter {
            name: "servers",
            about: "servers that one request of a user asks at once; as many numbers as `slow` has",
            default: &[100.0, 2_000.0],
            least: 1.0,
            most: 1e6,
            whole: true,
        },
        Parameter {
            name: "slow",
            about: "the share of answers that are slow, for each number of servers",
            default: &[0.01, 0.0001],
            least: 0.0,
            most: 1.0,
            whole: false,
        },
        Parameter {
            name: "requests",
            about: "requests of users in each run, each of which asks all servers",
            default: &[1_000.0],
            least: 1.0,
            most: 1e6,
            whole: true,
        },
    ],
    runs: 20,
    run: |setup| reproduce(setup, Case::latency),
};

/// One distribution of latencies, and when a hedge is sent.
#[derive(Clone, Debug)]
struct Case {
    median: f64,
    sigma: f64,
    /// Seconds.
    delay: f64,
    distribution: LogNormal,
}

/// What one run gave.
#[derive(Clone, Copy, Debug)]
struct Outcome {
    /// The latency at each of [`SHARES`], in seconds: without and with hedges.
    plain: [f64; 2],
    hedged: [f64; 2],
    /// Hedges in proportion to calls.
    extra: f64,
}

/// How a hedge's latency is drawn.
type Second = fn(&Case, &mut Chance) -> f64;

impl Case {
    fn new(median: f64, sigma: f64, late: f64) -> Self {
        let distribution = LogNormal::new(median.ln(), sigma).expect("parameters in range");
        Self { median, sigma, delay: distribution.inverse_cdf(late), distribution }
    }

    fn latency(&self, chance: &mut Chance) -> f64 {
        chance.log_normal(self.median, self.sigma)
    }

    /// The probability that a call takes longer.
    fn survival(&self, seconds: f64, hedged: bool) -> f64 {
        let first = self.distribution.sf(seconds);
        if hedged && seconds >= self.delay {
            first * self.distribution.sf(seconds - self.delay)
        } else {
            first
        }
    }

    /// The latency that a share of the calls does not exceed, by halving.
    fn solved(&self, share: f64, hedged: bool) -> f64 {
        let (mut least, mut most) = (0.0, self.distribution.inverse_cdf(share));
        for _ in 0..200 {
            let middle = f64::midpoint(least, most);
            if self.survival(middle, hedged) > 1.0 - share {
                least = middle;
            } else {
                most = middle;
            }
        }
        f64::midpoint(least, most)
    }

    /// Plays so many calls, one after another, each with the shipped decision whether it gets a hedge.
    fn play(&self, calls: u32, second: Second, mut chance: Chance) -> Outcome {
        let settings = HedgeSettings {
            delay: HedgeDelay::Fixed(span(self.delay)),
            hedges_max: 1,
            // A hedge for whoever is late: the formula knows no budget.
            budget_ppm: 1_000_000,
            saved_max: u32::MAX,
        };
        let mut judge = Hedger::new(settings).expect("the settings are sound");
        let (mut now, mut extra) = (Nanos::ZERO, 0);
        let (mut plain, mut hedged) = (Vec::new(), Vec::new());
        for _ in 0..calls {
            let (latency, began) = (self.latency(&mut chance), now);
            let mut race = Race::default();
            let first = race.sent(now);
            judge.began(now);
            let mut answered_at = now + span(latency);
            let (mut winner, mut loser) = (first, None);
            if let Hedge::Wait { until } = judge.decide(&race, None, now)
                && until < answered_at
                && let Hedge::Send(paid) = judge.decide(&race, None, until)
            {
                let place = judge.send(&mut race, paid, until);
                let hedge_at = until + span(second(self, &mut chance));
                loser = Some(place);
                if hedge_at < answered_at {
                    (winner, loser) = (place, Some(first));
                    answered_at = hedge_at;
                }
                extra += 1;
            }
            now = answered_at;
            let samples = [
                race.succeeded(winner, None, now),
                loser.and_then(|loser| race.cancelled(loser, None, now)),
            ];
            samples.into_iter().flatten().for_each(|sample| judge.observe(sample));
            plain.push(latency);
            hedged.push(now.since(began).as_secs_f64());
        }
        let at = |mut latencies: Vec<f64>| {
            latencies.sort_unstable_by(f64::total_cmp);
            SHARES.map(|(share, ..)| quantile(&latencies, share).unwrap_or(f64::NAN))
        };
        let extra = f64::from(extra) / f64::from(calls);
        Outcome { plain: at(plain), hedged: at(hedged), extra }
    }
}

fn reproduce(setup: &Setup<'_>, second: Second) -> Reproduction {
    let mut shown = hedges(setup, second);
    fan_out(setup, &mut shown);
    shown.notes.extend(NOTES.map(str::to_owned));
    shown
}

fn hedges(setup: &Setup<'_>, second: Second) -> Reproduction {
    let settings = setup.settings;
    let (median, late) = (settings.one("median"), settings.one("late"));
    let sigmas = settings.all("sigma").iter();
    let cases: Vec<_> = sigmas.map(|&sigma| Case::new(median, sigma, late)).collect();
    let calls = settings.whole("calls");
    let outcomes =
        setup.runs(&cases, |case, run| case.play(calls, second, Chance::new(setup.seed, run, 0)));
    let mut shown = Reproduction::default();
    for (case, outcomes) in cases.iter().zip(outcomes) {
        let labels =
            |hedge: &str| vec![("sigma", case.sigma.to_string()), ("hedge", hedge.to_owned())];
        for (hedge, with) in [("none", false), ("late", true)] {
            for (index, (share, metric, tolerance)) in SHARES.into_iter().enumerate() {
                let of =
                    |outcome: &Outcome| (if with { outcome.hedged } else { outcome.plain })[index];
                let values: Vec<f64> = outcomes.iter().map(of).collect();
                shown.claims.push(Claim {
                    what: format!("{metric}, sigma {}, hedge {hedge}", case.sigma),
                    published: case.solved(share, with),
                    ours: Summary::of(&values),
                    tolerance: Tolerance::Relative(tolerance),
                });
                shown.cells.push(Cell { labels: labels(hedge), metric, values });
            }
        }
        let values: Vec<f64> = outcomes.iter().map(|outcome| outcome.extra).collect();
        shown.claims.push(Claim {
            what: format!("extra requests per call, sigma {}", case.sigma),
            published: 1.0 - late,
            ours: Summary::of(&values),
            tolerance: Tolerance::Absolute(
                3.0 * error(late, f64::from(calls) * number(values.len())),
            ),
        });
        shown.cells.push(Cell {
            labels: labels("late"),
            metric: "extra requests per call",
            values,
        });
    }
    shown
}

/// How many requests of users meet at least one slow server.
fn fan_out(setup: &Setup<'_>, shown: &mut Reproduction) {
    let settings = setup.settings;
    let servers = settings.all_whole("servers").into_iter();
    let cases: Vec<(u32, f64)> = servers.zip(settings.all("slow").iter().copied()).collect();
    let requests = settings.whole("requests");
    let shares = setup.runs(&cases, |&(servers, slow), run| {
        let mut chance = Chance::new(setup.seed, run, 1);
        let hit = (0..requests).filter(|_| (0..servers).any(|_| chance.happens(slow))).count();
        number(hit) / f64::from(requests)
    });
    for (index, ((servers, slow), values)) in cases.into_iter().zip(shares).enumerate() {
        let formula = 1.0 - (1.0 - slow).powf(f64::from(servers));
        let what = format!("share that meets a slow one of {servers} servers, {slow} slow");
        if !settings.are_changed() {
            let tolerance = Tolerance::Absolute(0.000_5);
            let claim = Claim::exact(format!("{what}: the formula"), FAN_OUTS[index], formula);
            shown.claims.push(Claim { tolerance, ..claim });
        }
        let most = 4.0 * error(formula, f64::from(requests) * number(values.len()));
        shown.claims.push(Claim {
            what,
            published: formula,
            ours: Summary::of(&values),
            tolerance: Tolerance::Absolute(most),
        });
        let labels = vec![("servers", servers.to_string()), ("slow", slow.to_string())];
        shown.cells.push(Cell { labels, metric: "share that meets a slow server", values });
    }
}

/// The standard error of a share that is known exactly, in so many trials.
fn error(share: f64, trials: f64) -> f64 {
    (share * (1.0 - share) / trials).sqrt()
}

/// Shares of calls, with the name of the latency that they do not exceed, and how near to its formula it must be.
const SHARES: [(f64, &str, f64); 2] = [(0.99, "p99 s", 0.01), (0.999, "p99.9 s", 0.03)];

/// The article's 63 % of 100 servers with 1 % slow answers, and 18 % of 2000 with 0.01 %, to a tenth.
const FAN_OUTS: [f64; 2] = [0.634, 0.181];

/// What cannot be recomputed, and what a hedge costs.
const NOTES: [&str; 3] = [
    "Not reproducible, because the latencies behind it are not published: 1000 keys from 100 servers with a hedge after 10 ms, p99.9 from 1800 to 74 ms for 2 % more requests.",
    "Not reproducible, for the same reason: tied requests, median 16 % and p99.9 about 40 % shorter.",
    "A hedge is a whole second request, and is charged to request and token quotas as such.",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::reproduce::shown;

    const FEW: [(&str, &str); 2] = [("calls", "40000"), ("requests", "200")];

    #[test]
    fn the_shipped_hedger_does_what_the_formulas_say() {
        let shown = shown(&ANCHOR, 10, 2, &FEW);
        // The tolerances are for ten times as many calls, so that quantiles come out less sure.
        for claim in &shown.claims {
            let lenient = match claim.tolerance {
                Tolerance::Relative(most) => Tolerance::Relative(3.0 * most),
                exact => exact,
            };
            assert!(Claim { tolerance: lenient, ..claim.clone() }.holds(), "{claim:?}");
        }
        assert_eq!(shown.claims.len(), 2 * 5 + 2);
    }

    /// By hand: at the delay itself a hedge has changed nothing yet, and half of all are as fast as the median.
    #[test]
    fn the_formulas_are_solved() {
        let case = Case::new(2.0, 0.5, 0.95);
        assert!((case.delay - 2.0 * (1.644_853_6_f64 * 0.5).exp()).abs() < 1e-6);
        assert!((case.solved(0.5, false) - 2.0).abs() < 1e-9);
        assert!((case.solved(0.95, true) - case.delay).abs() < 1e-9);
        let p99 = case.solved(0.99, true);
        let survival = case.distribution.sf(p99) * case.distribution.sf(p99 - case.delay);
        assert!((survival - 0.01).abs() < 1e-9 && p99 < case.solved(0.99, false), "{p99}");
    }

    #[test]
    fn the_published_fan_outs_come_out() {
        let requests = [("requests", "1000")];
        let shown = shown(
            &Anchor {
                run: |setup| {
                    let mut shown = Reproduction::default();
                    fan_out(setup, &mut shown);
                    shown
                },
                ..ANCHOR
            },
            2,
            2,
            &requests,
        );
        assert_eq!(shown.claims.len(), 4);
        assert!(shown.holds(), "{:?}", shown.claims);
    }

    /// A hedge that is answered by the same slow server gains nothing.
    #[test]
    fn latencies_that_depend_on_each_other_are_noticed() {
        let wrong = Anchor { run: |setup| hedges(setup, |case, _| 3.0 * case.delay), ..ANCHOR };
        let shown = shown(&wrong, 3, 2, &FEW);
        let p99 = shown.claims.iter().find(|claim| claim.what == "p99 s, sigma 1, hedge late");
        assert!(p99.is_some_and(|claim| claim.difference() > 0.1), "{p99:?}");
    }

    #[test]
    fn the_number_of_threads_changes_nothing() {
        let few = [("calls", "1000"), ("requests", "20")];
        assert_eq!(shown(&ANCHOR, 3, 1, &few), shown(&ANCHOR, 3, 3, &few));
    }
}
