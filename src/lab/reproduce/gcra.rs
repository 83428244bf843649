//! A token bucket and the generic cell rate algorithm decide alike.
//!
//! The bucket is the client core's [`Limiter`], the other side is written from its definition: one number, the theoretical arrival time, and no level.

use std::time::Duration;

use resilience_core::{Cost, Dimension, Limit, Nanos, Quota, parts::Limiter};

use super::{Anchor, Cell, Claim, Parameter, Reproduction, Setup};
use crate::lab::{Chance, span, statistics::number};

/// The equivalence of the two.
pub(super) const ANCHOR: Anchor = Anchor {
    name: "gcra",
    title: "a token bucket and GCRA admit the same requests",
    source: "Tony Finch, GCRA: leaky buckets without the buckets, https://dotat.at/@/2026-01-15-gcra.html (the proof); ITU-T I.371 (the algorithm)",
    parameters: &[
        Parameter {
            name: "arrivals",
            about: "requests in each run",
            default: &[1e6],
            least: 1.0,
            most: 1e7,
            whole: true,
        },
        Parameter {
            name: "interval",
            about: "nanoseconds in which one unit comes back; few, so that many requests come at the very instant",
            default: &[7.0, 1e6],
            least: 1.0,
            most: 1e9,
            whole: true,
        },
        Parameter {
            name: "burst",
            about: "units that may pass at once after a rest",
            default: &[1.0, 20.0],
            least: 1.0,
            most: 1e6,
            whole: true,
        },
        Parameter {
            name: "load",
            about: "what is asked for in proportion to what comes back",
            default: &[0.5, 2.0],
            least: 0.01,
            most: 100.0,
            whole: false,
        },
    ],
    runs: 3,
    run: |setup| compare(setup, Gcra::admit),
};

/// The generic cell rate algorithm, in nanoseconds that nothing can overflow.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gcra {
    interval: u128,
    burst: u128,
    /// The theoretical arrival time: when everything that was admitted will have come back.
    expected_at: u128,
}

impl Gcra {
    /// A rested one that gets a unit back in so many nanoseconds, and admits so many at once.
    pub(super) fn new(interval: u64, burst: u32) -> Self {
        Self { interval: interval.into(), burst: burst.into(), expected_at: 0 }
    }

    /// Whether so many units are admitted; if not, nothing changes.
    pub(super) fn admit(&mut self, cost: u64, now: Nanos) -> bool {
        let now = u128::from(now.get());
        let expected_at = self.expected_at.max(now) + u128::from(cost) * self.interval;
        let admitted = expected_at - now <= self.burst * self.interval;
        if admitted {
            self.expected_at = expected_at;
        }
        admitted
    }
}

/// One combination of the parameters.
#[derive(Clone, Copy, Debug)]
struct Case {
    arrivals: u32,
    interval: u32,
    burst: u32,
    load: f64,
}

/// What was seen in one run.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    differing: u32,
    admitted: u32,
}

impl Case {
    /// Asks both about the same random requests; costs go from nothing to one unit more than ever fits.
    fn play(&self, rule: fn(&mut Gcra, u64, Nanos) -> bool, mut chance: Chance) -> Tally {
        let Self { arrivals, interval, burst, load } = *self;
        let mut gcra = Gcra::new(interval.into(), burst);
        let (nanos, burst) = (u64::from(interval), u64::from(burst));
        // A period in which a whole burst comes back makes the interval whole.
        let period = Duration::from_nanos(nanos * burst);
        let limit = Limit { dimension: Dimension::Tpm, tokens: burst, burst, period };
        let quota = Quota { limits: vec![limit], ..Quota::default() };
        let mut bucket = Limiter::new(&quota).expect("the parameters' ranges are sound");
        let gap = span(1e-9 * number(burst + 1) / 2.0 * number(nanos) / load);
        let (mut now, mut tally) = (Nanos::ZERO, Tally::default());
        for _ in 0..arrivals {
            now = now + chance.exponential_span(gap);
            let cost = chance.below(burst + 2);
            let admitted = bucket.admit(Cost { input: cost, ..Cost::default() }, now).is_ok();
            tally.admitted += u32::from(admitted);
            tally.differing += u32::from(admitted != rule(&mut gcra, cost, now));
        }
        tally
    }
}

fn compare(setup: &Setup<'_>, rule: fn(&mut Gcra, u64, Nanos) -> bool) -> Reproduction {
    let settings = setup.settings;
    let arrivals = settings.whole("arrivals");
    let mut cases = Vec::new();
    for interval in settings.all_whole("interval") {
        for burst in settings.all_whole("burst") {
            for &load in settings.all("load") {
                cases.push(Case { arrivals, interval, burst, load });
            }
        }
    }
    let tallies = setup.runs(&cases, |case, run| {
        // Every case of a run meets the same luck.
        case.play(rule, Chance::new(setup.seed, run, 0))
    });
    let mut shown = Reproduction::default();
    for (Case { interval, burst, load, .. }, tallies) in cases.into_iter().zip(tallies) {
        let labels = vec![
            ("interval", format!("{interval} ns")),
            ("burst", burst.to_string()),
            ("load", load.to_string()),
        ];
        let differing: Vec<f64> = tallies.iter().map(|tally| tally.differing.into()).collect();
        let admitted = tallies.iter().map(|tally| tally.admitted.into()).collect();
        let what = format!("differing decisions, {interval} ns, burst {burst}, load {load}");
        shown.claims.push(Claim::exact(what, 0.0, differing.iter().sum()));
        let cell = |metric, values| Cell { labels: labels.clone(), metric, values };
        shown.cells.extend([cell("differing", differing), cell("admitted", admitted)]);
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::reproduce::shown;

    const FEW: [(&str, &str); 1] = [("arrivals", "4000")];

    #[test]
    fn the_shipped_limiter_decides_as_gcra_does() {
        let shown = shown(&ANCHOR, 3, 1, &FEW);
        assert!(shown.holds(), "{:?}", shown.claims);
        // Neither side is one that says the same to everybody.
        for cell in shown.cells.iter().filter(|cell| cell.metric == "admitted") {
            assert!(cell.values.iter().all(|&count| 400.0 < count && count < 3_990.0), "{cell:?}");
        }
    }

    /// The note with the proof refuses what just fits; and a unit may come back a nanosecond early.
    #[test]
    fn another_rule_is_noticed() {
        fn strict(gcra: &mut Gcra, cost: u64, now: Nanos) -> bool {
            let before = *gcra;
            let admitted = gcra.admit(cost, now)
                && gcra.expected_at.saturating_sub(now.get().into()) < gcra.burst * gcra.interval;
            if !admitted {
                *gcra = before;
            }
            admitted
        }
        fn early(gcra: &mut Gcra, cost: u64, now: Nanos) -> bool {
            let admitted = gcra.admit(cost, now);
            gcra.expected_at = gcra.expected_at.saturating_sub(1);
            admitted
        }
        for wrong in [
            Anchor { run: |setup| compare(setup, strict), ..ANCHOR },
            Anchor { run: |setup| compare(setup, early), ..ANCHOR },
        ] {
            assert!(!shown(&wrong, 3, 1, &FEW).holds());
        }
    }

    #[test]
    fn the_number_of_threads_changes_nothing() {
        assert_eq!(shown(&ANCHOR, 3, 1, &FEW), shown(&ANCHOR, 3, 3, &FEW));
    }
}
