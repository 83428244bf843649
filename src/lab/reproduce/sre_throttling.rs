//! A client that throttles itself, on the client core's own [`Shedder`].
//!
//! A service that is asked too much spends itself on refusing; this client sends no more than a multiple of what is accepted, and refuses the rest on its own.

use resilience_core::{Class, Nanos, ShedSettings, parts::Shedder};

use super::{Anchor, Cell, Claim, Parameter, Reproduction, Setup, Tolerance};
use crate::lab::{Chance, span};

/// Adaptive throttling in its long run.
pub(super) const ANCHOR: Anchor = Anchor {
    name: "sre-throttling",
    title: "a throttled client sends K times what is accepted, however much more it is asked for",
    source: "Site Reliability Engineering, O'Reilly 2016, chapter 21, https://sre.google/sre-book/handling-overload/",
    parameters: &[
        Parameter {
            name: "rate",
            about: "calls per second that the application wants to make",
            default: &[150.0, 300.0, 1_000.0],
            least: 0.1,
            most: 1e4,
            whole: false,
        },
        Parameter {
            name: "multiplier-percent",
            about: "K: how many percent of what is accepted may be sent",
            default: &[200.0, 110.0],
            least: 100.0,
            most: 1e5,
            whole: true,
        },
        Parameter {
            name: "window-s",
            about: "over how many s the client counts",
            default: &[120.0],
            least: 0.1,
            most: 1e5,
            whole: false,
        },
        Parameter {
            name: "capacity",
            about: "calls that the backend accepts per second",
            default: &[100.0],
            least: 0.1,
            most: 1e5,
            whole: false,
        },
        Parameter {
            name: "burst",
            about: "calls that it accepts at once after a rest",
            default: &[100.0],
            least: 1.0,
            most: 1e6,
            whole: false,
        },
        Parameter {
            name: "seconds",
            about: "how long a run takes",
            default: &[1_200.0],
            least: 1.0,
            most: 1e5,
            whole: false,
        },
        Parameter {
            name: "ignored-s",
            about: "how many s at its beginning are not counted",
            default: &[300.0],
            least: 0.0,
            most: 1e5,
            whole: false,
        },
    ],
    runs: 20,
    run: |setup| compare(setup, Class::Overloaded),
};

/// One client and its backend; rates are per second, times in seconds.
#[derive(Clone, Copy, Debug)]
struct Case {
    rate: f64,
    multiplier_percent: u32,
    window: f64,
    capacity: f64,
    burst: f64,
    length: f64,
    ignored: f64,
}

/// What happened after the beginning.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Tally {
    calls: u32,
    sent: u32,
    accepted: u32,
}

/// A bucket that answers at once.
#[derive(Clone, Copy, Debug)]
struct Backend {
    level: f64,
    at: f64,
}

impl Case {
    fn multiplier(&self) -> f64 {
        f64::from(self.multiplier_percent) / 100.0
    }

    /// What is sent for each call that is accepted, and the share that is refused by the client, in the long run.
    fn expected(&self) -> (f64, f64) {
        let most = self.multiplier() * self.capacity;
        if self.rate <= most {
            // Below the capacity nothing is refused at all.
            ((self.rate / self.capacity).max(1.0), 0.0)
        } else {
            (self.multiplier(), 1.0 - most / self.rate)
        }
    }

    fn play(&self, refusal: Class, mut chance: Chance) -> Tally {
        let settings = ShedSettings {
            multiplier_ppm: self.multiplier_percent * PPM_PER_PERCENT,
            window: span(self.window),
        };
        let mut shedder = Shedder::new(settings).expect("the parameters' ranges are sound");
        let mut backend = Backend { level: self.burst, at: 0.0 };
        let (mut tally, mut now) = (Tally::default(), 0.0);
        loop {
            now += chance.exponential(1.0 / self.rate);
            if now >= self.length {
                return tally;
            }
            let at = Nanos::from(span(now));
            let sent = shedder.admit(chance.draw(), at).is_ok();
            let accepted = sent && backend.accepts(self, now);
            if sent {
                shedder.ended(if accepted { Ok(()) } else { Err(refusal) }, at);
            }
            if now >= self.ignored {
                tally.calls += 1;
                tally.sent += u32::from(sent);
                tally.accepted += u32::from(accepted);
            }
        }
    }
}

impl Backend {
    fn accepts(&mut self, case: &Case, now: f64) -> bool {
        self.level = (self.level + case.capacity * (now - self.at)).min(case.burst);
        self.at = now;
        let accepted = self.level >= 1.0;
        if accepted {
            self.level -= 1.0;
        }
        accepted
    }
}

/// Plays all combinations with a backend that refuses in this way.
fn compare(setup: &Setup<'_>, refusal: Class) -> Reproduction {
    let settings = setup.settings;
    let mut cases = Vec::new();
    for multiplier_percent in settings.all_whole("multiplier-percent") {
        for &rate in settings.all("rate") {
            cases.push(Case {
                rate,
                multiplier_percent,
                window: settings.one("window-s"),
                capacity: settings.one("capacity"),
                burst: settings.one("burst"),
                length: settings.one("seconds"),
                ignored: settings.one("ignored-s"),
            });
        }
    }
    let runs = setup.runs(&cases, |case, run| {
        // Every case of a run meets the same luck.
        case.play(refusal, Chance::new(setup.seed, run, 0))
    });
    let mut shown = Reproduction::default();
    for (case, tallies) in cases.iter().zip(runs) {
        let (rate, multiplier) = (case.rate, case.multiplier());
        let of = |metric: fn(&Tally) -> f64| -> Vec<f64> { tallies.iter().map(metric).collect() };
        let sent = of(|tally| f64::from(tally.sent) / f64::from(tally.accepted));
        let refused =
            of(|tally| f64::from(tally.sent - tally.accepted) / f64::from(tally.accepted));
        let local = of(|tally| 1.0 - f64::from(tally.sent) / f64::from(tally.calls));
        let (sent_expected, local_expected) = case.expected();
        let near = Tolerance::Relative(0.02);
        for (metric, expected, values) in [
            ("sent per accept", sent_expected, &sent),
            ("locally refused share", local_expected, &local),
        ] {
            let what = format!("{metric}, {rate}/s, K = {multiplier}");
            shown.claims.push(Claim::of_runs(what, expected, values, near));
        }
        let labels = vec![("rate", rate.to_string()), ("multiplier", multiplier.to_string())];
        let cell = |metric, values| Cell { labels: labels.clone(), metric, values };
        shown.cells.extend([
            cell("sent_per_accept", sent),
            cell("refused_per_accept", refused),
            cell("local_share", local),
        ]);
    }
    shown.notes.push(
        "the client is `resilience_core::parts::Shedder` as it ships: its window has 60 slots, so that it reaches back a sixtieth farther than it is long, at most"
            .to_owned(),
    );
    shown.notes.push(
        "the book names clients with sporadic traffic as the weak case: a window that is nearly empty says little about the backend"
            .to_owned(),
    );
    shown.notes.push(
        "the backend refuses K - 1 calls for each that it accepts: one each at K = 2, one in ten at K = 1.1"
            .to_owned(),
    );
    shown
}

const PPM_PER_PERCENT: u32 = 10_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::reproduce::{broken, shown};

    const SHORT: [(&str, &str); 2] = [("seconds", "480"), ("ignored-s", "240")];

    #[test]
    fn the_shipped_shedder_settles_where_the_book_says() {
        let shown = shown(&ANCHOR, 2, 2, &SHORT);
        assert_eq!(shown.claims.len(), 12);
        assert_eq!(broken(&shown), [""; 0]);
    }

    #[test]
    fn a_refusal_that_counts_as_accepted_is_noticed() {
        let wrong = Anchor { run: |setup| compare(setup, Class::InvalidRequest), ..ANCHOR };
        assert!(!shown(&wrong, 2, 2, &SHORT).holds());
    }

    /// A window that is much too short forgets what it needs to know.
    #[test]
    fn a_window_without_memory_is_noticed() {
        let given = [SHORT[0], SHORT[1], ("window-s", "0.1")];
        assert!(!shown(&ANCHOR, 2, 2, &given).holds());
    }

    #[test]
    fn the_number_of_threads_changes_nothing() {
        let given = [("seconds", "20"), ("ignored-s", "0")];
        assert_eq!(shown(&ANCHOR, 4, 1, &given), shown(&ANCHOR, 4, 3, &given));
    }
}
