//! A failure that outlasts its cause.
//!
//! A database without any room to spare is cut off for a while; what piled up makes it slow, slow answers are asked for again, and the repeated queries keep it slow.

use std::collections::VecDeque;

use super::{Anchor, Cell, Claim, Parameter, Reproduction, Setup, Tolerance};
use crate::lab::Chance;

/// The worked example, and what turns its failure into recovery.
pub(super) const ANCHOR: Anchor = Anchor {
    name: "metastable",
    title: "after an outage of 10 s a database stays down for good, because everybody asks again",
    source: "Bronson, Aghayev, Charapko and Zhu, Metastable Failures in Distributed Systems, HotOS 2021, https://doi.org/10.1145/3458336.3465286; the shape also in Huang et al., Metastable Failures in the Wild, OSDI 2022",
    parameters: &[
        Parameter {
            name: "capacity",
            about: "queries that the database answers per second",
            default: &[300.0],
            least: 1.0,
            most: 1e5,
            whole: false,
        },
        Parameter {
            name: "rate",
            about: "queries of the application per second, retries not counted",
            default: &[280.0],
            least: 0.1,
            most: 1e5,
            whole: false,
        },
        Parameter {
            name: "timeout-s",
            about: "how many s a try may take, and when the next is sent",
            default: &[1.0],
            least: 1e-3,
            most: 1e4,
            whole: false,
        },
        Parameter {
            name: "retries",
            about: "how often a query is sent again at most, by the client that does so",
            default: &[1.0],
            least: 1.0,
            most: 10.0,
            whole: true,
        },
        Parameter {
            name: "cancel",
            about: "1 if the database drops a query whose client waits no longer, 0 if not",
            default: &[0.0],
            least: 0.0,
            most: 1.0,
            whole: true,
        },
        Parameter {
            name: "seconds",
            about: "how long a run takes",
            default: &[400.0],
            least: 1.0,
            most: 1e4,
            whole: false,
        },
        Parameter {
            name: "outage-at",
            about: "when the outage begins, in s",
            default: &[100.0],
            least: 0.0,
            most: 1e5,
            whole: false,
        },
        Parameter {
            name: "outage-s",
            about: "how many s it takes",
            default: &[10.0],
            least: 0.0,
            most: 1e4,
            whole: false,
        },
        Parameter {
            name: "outage-share",
            about: "which share of the messages it holds up",
            default: &[1.0],
            least: 0.0,
            most: 1.0,
            whole: false,
        },
        Parameter {
            name: "window",
            about: "from when until when first tries are judged, in s",
            default: &[300.0, 390.0],
            least: 0.0,
            most: 1e5,
            whole: false,
        },
        Parameter {
            name: "sweep",
            about: "rates among which the boundary of recovery is sought",
            default: &[
                100.0, 110.0, 120.0, 130.0, 135.0, 140.0, 145.0, 150.0, 155.0, 160.0, 170.0, 180.0,
                200.0, 240.0,
            ],
            least: 0.1,
            most: 1e5,
            whole: false,
        },
        Parameter {
            name: "shorter-s",
            about: "how many s the shorter outage takes",
            default: &[0.5],
            least: 0.0,
            most: 1e4,
            whole: false,
        },
        Parameter {
            name: "weaker-share",
            about: "which share of the messages the weaker outage holds up",
            default: &[0.05],
            least: 0.0,
            most: 1.0,
            whole: false,
        },
        Parameter {
            name: "lower-rate",
            about: "the lower rate",
            default: &[120.0],
            least: 0.1,
            most: 1e5,
            whole: false,
        },
    ],
    runs: 20,
    run: |setup| compare(setup, !setup.settings.are_changed()),
};

/// One combination of load, trigger and client; everything is in seconds.
#[derive(Clone, Copy, Debug)]
struct Case {
    capacity: f64,
    rate: f64,
    timeout: f64,
    retries: u32,
    cancel: bool,
    length: f64,
    outage_at: f64,
    outage: f64,
    share: f64,
    window: (f64, f64),
}

/// What was seen in one run.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Seen {
    /// Which share of the queries of the window was answered in time.
    success: f64,
    /// Tries sent per second in the window.
    offered: f64,
    /// How long after the outage the database had nothing left to do for the first time; none if it always had.
    drained: Option<f64>,
}

/// One try of one query.
#[derive(Clone, Copy, Debug)]
struct Try {
    query: usize,
    sent_at: f64,
    /// How often the query may be sent again after it.
    retries: u32,
}

/// A try that its client waits for.
#[derive(Clone, Copy, Debug)]
struct Watch {
    until: f64,
    sent: Try,
    /// Its number among all tries.
    number: usize,
}

/// A run under way.
#[derive(Clone, Debug)]
struct Play<'a> {
    case: &'a Case,
    /// When the database is through with all that has reached it.
    idle_at: f64,
    drained: Option<f64>,
    /// When each try is answered: never, if it has not reached the database or is dropped there.
    answers: Vec<f64>,
    /// For each query when it was first sent, and whether it was answered in time.
    queries: Vec<(f64, bool)>,
    /// What the outage holds up.
    held: Vec<(Try, usize)>,
    /// All wait equally long, so that they are in the order of their ends, too.
    watched: VecDeque<Watch>,
    chance: Chance,
    offered: u32,
}

impl Case {
    fn of(setup: &Setup<'_>) -> Self {
        let settings = setup.settings;
        let window = settings.all("window");
        Self {
            capacity: settings.one("capacity"),
            rate: settings.one("rate"),
            timeout: settings.one("timeout-s"),
            retries: settings.whole("retries"),
            cancel: settings.whole("cancel") == 1,
            length: settings.one("seconds"),
            outage_at: settings.one("outage-at"),
            outage: settings.one("outage-s"),
            share: settings.one("outage-share"),
            window: (window[0], window.last().copied().unwrap_or(window[0])),
        }
    }

    fn labels(&self) -> Vec<(&'static str, String)> {
        vec![
            ("rate", self.rate.to_string()),
            ("retries", self.retries.to_string()),
            ("outage_s", self.outage.to_string()),
            ("share", self.share.to_string()),
        ]
    }

    fn outage_until(&self) -> f64 {
        self.outage_at + self.outage
    }

    fn play(&self, seed: u64, run: u64) -> Seen {
        let mut arrivals = Chance::new(seed, run, 0);
        let mut play = Play {
            case: self,
            idle_at: 0.0,
            drained: None,
            answers: Vec::new(),
            queries: Vec::new(),
            held: Vec::new(),
            watched: VecDeque::new(),
            chance: Chance::new(seed, run, 1),
            offered: 0,
        };
        let mut next = arrivals.exponential(1.0 / self.rate);
        loop {
            if next >= self.length {
                next = f64::INFINITY;
            }
            let expires = play.watched.front().map_or(f64::INFINITY, |watch| watch.until);
            if !play.held.is_empty() && self.outage_until() <= next.min(expires) {
                play.release();
            } else if next < expires {
                let query = play.queries.len();
                play.queries.push((next, false));
                play.send(Try { query, sent_at: next, retries: self.retries });
                next += arrivals.exponential(1.0 / self.rate);
            } else if expires.is_finite() {
                play.expire();
            } else {
                return play.seen();
            }
        }
    }
}

impl Play<'_> {
    fn send(&mut self, sent: Try) {
        let Case { outage_at, share, timeout, window: (from, until), .. } = *self.case;
        let number = self.answers.len();
        self.answers.push(f64::INFINITY);
        self.offered += u32::from(from <= sent.sent_at && sent.sent_at < until);
        self.watched.push_back(Watch { until: sent.sent_at + timeout, sent, number });
        let out = outage_at <= sent.sent_at && sent.sent_at < self.case.outage_until();
        if out && self.chance.happens(share) {
            self.held.push((sent, number));
        } else {
            self.reach(sent, number, sent.sent_at);
        }
    }

    /// A try reaches the database, which takes them in their order.
    fn reach(&mut self, sent: Try, number: usize, now: f64) {
        if self.idle_at <= now && now > self.case.outage_until() && self.drained.is_none() {
            self.drained = Some((self.idle_at - self.case.outage_until()).max(0.0));
        }
        let begins = self.idle_at.max(now);
        if self.case.cancel && begins > sent.sent_at + self.case.timeout {
            return;
        }
        self.idle_at = begins + 1.0 / self.case.capacity;
        self.answers[number] = self.idle_at;
    }

    /// The outage is over.
    fn release(&mut self) {
        let until = self.case.outage_until();
        for (sent, number) in std::mem::take(&mut self.held) {
            self.reach(sent, number, until);
        }
    }

    /// A try has been waited for long enough: it was answered, or another one is sent.
    fn expire(&mut self) {
        let Some(Watch { until, sent, number }) = self.watched.pop_front() else { return };
        if self.answers[number] <= until {
            self.queries[sent.query].1 = true;
        } else if let Some(retries) = sent.retries.checked_sub(1) {
            self.send(Try { sent_at: until, retries, ..sent });
        }
    }

    fn seen(&self) -> Seen {
        let (from, until) = self.case.window;
        let judged = self.queries.iter().filter(|(at, _)| from <= *at && *at < until);
        let (all, well) = judged.fold((0_u32, 0_u32), |(all, well), (_, answered)| {
            (all + 1, well + u32::from(*answered))
        });
        Seen {
            success: f64::from(well) / f64::from(all),
            offered: f64::from(self.offered) / (until - from),
            drained: self.drained,
        }
    }
}

/// Plays everything; what is only said of the published parameters is claimed only with `statements`.
fn compare(setup: &Setup<'_>, statements: bool) -> Reproduction {
    let settings = setup.settings;
    let published = Case::of(setup);
    let patient = Case { retries: 0, ..published };
    let shorter = Case { outage: settings.one("shorter-s"), ..published };
    let weaker = Case { share: settings.one("weaker-share"), ..published };
    let lower = Case { rate: settings.one("lower-rate"), ..published };
    let mut cases = vec![published, patient, shorter, weaker, lower];
    let mut rates = settings.all("sweep").to_vec();
    rates.sort_unstable_by(f64::total_cmp);
    let swept = cases.len();
    cases.extend(rates.iter().map(|&rate| Case { rate, ..published }));
    let runs = setup.runs(&cases, |case, run| case.play(setup.seed, run));

    let mut shown = Reproduction::default();
    if statements {
        let named = [
            ("", Tolerance::Below, 0.01),
            (" without retry", Tolerance::Absolute(1e-9), 1.0),
            (" after a shorter outage", Tolerance::Above, RECOVERED),
            (" after a weaker outage", Tolerance::Above, RECOVERED),
            (" with a lower load", Tolerance::Above, RECOVERED),
        ];
        let (from, until) = published.window;
        for ((which, tolerance, figure), seen) in named.into_iter().zip(&runs) {
            let what = format!("success in {from}..{until} s{which}");
            let values: Vec<f64> = seen.iter().map(|seen| seen.success).collect();
            shown.claims.push(Claim::of_runs(what, figure, &values, tolerance));
        }
        let offered: Vec<f64> = runs[0].iter().map(|seen| seen.offered).collect();
        let tries = published.rate * f64::from(1 + published.retries);
        let near = Tolerance::Relative(0.02);
        let what = "tries per second while the database is down";
        shown.claims.push(Claim::of_runs(what, tries, &offered, near));
    }
    let drains = patient.rate * patient.outage / (patient.capacity - patient.rate);
    let watched = patient.length - patient.outage_until();
    // Only where everything is held up and served, and there is time for it to be worked off in every run.
    if 0.0 < drains && 2.0 * drains < watched && patient.share >= 1.0 && !patient.cancel {
        let drained: Vec<f64> = runs[1].iter().filter_map(|seen| seen.drained).collect();
        let errors = Tolerance::Errors { most: 3.0, published: 0.0 };
        let what = "s until the backlog is worked off without retry";
        shown.claims.push(Claim::of_runs(what, drains, &drained, errors));
    }

    let amplified = published.capacity / f64::from(1 + published.retries);
    let boundaries = boundaries(&rates, &runs[swept..]);
    if statements {
        let what = "rate below which the retrying client recovers, capacity / amplification";
        let near = Tolerance::Absolute(10.0);
        shown.claims.push(Claim::of_runs(what, amplified, &boundaries, near));
    }
    shown.notes = notes(&published, amplified);
    shown.cells.push(Cell {
        labels: Case { rate: f64::NAN, ..published }
            .labels()
            .into_iter()
            .map(|(name, value)| (name, if name == "rate" { "all".to_owned() } else { value }))
            .collect(),
        metric: "boundary_per_s",
        values: boundaries,
    });
    for (case, seen) in cases.iter().zip(&runs) {
        let cell = |metric, values| Cell { labels: case.labels(), metric, values };
        shown.cells.extend([
            cell("success", seen.iter().map(|seen| seen.success).collect()),
            cell("offered_per_s", seen.iter().map(|seen| seen.offered).collect()),
            cell("drained_s", seen.iter().filter_map(|seen| seen.drained).collect()),
        ]);
    }
    shown
}

/// In each run, the middle between the highest rate up to which all recover and the next; a run without either is left out.
fn boundaries(rates: &[f64], swept: &[Vec<Seen>]) -> Vec<f64> {
    let runs = swept.first().map_or(0, Vec::len);
    let boundary = |run: usize| {
        let down = swept.iter().position(|seen| seen[run].success < RECOVERED)?;
        let below = rates.get(down.checked_sub(1)?)?;
        Some(f64::midpoint(*below, rates[down]))
    };
    (0..runs).filter_map(boundary).collect()
}

/// Why the boundary lies where it does.
fn notes(case: &Case, amplified: f64) -> Vec<String> {
    let Case { capacity, timeout, outage, outage_at, retries, window: (from, _), .. } = *case;
    let tries = f64::from(1 + retries);
    // First tries of the whole outage, and the retries of those that were sent early enough in it.
    let held: f64 = (0..=retries).map(|retry| (outage - timeout * f64::from(retry)).max(0.0)).sum();
    let left = from - outage_at - outage;
    let in_time = capacity * left / (held + tries * left);
    vec![
        format!(
            "while every answer is late, {tries} tries are sent for each query: the database gains on them only below {capacity} / {tries} = {amplified:.0} queries per second, and above it stays down for good",
        ),
        format!(
            "just below, it takes long: {held:.0} s worth of queries are held up, and are worked off {left:.0} s after the outage only below {in_time:.1} queries per second",
        ),
        "shorter outage: what it holds up is worked off before anybody's patience ends; weaker: most answers still come in time; lower load: there is room for every retry".to_owned(),
    ]
}

/// From which success on it has recovered.
const RECOVERED: f64 = 0.99;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::reproduce::{broken, shown};

    /// Makes all claims whatever the parameters.
    const JUDGED: Anchor = Anchor { run: |setup| compare(setup, true), ..ANCHOR };

    const FEW: (&str, &str) = ("sweep", "120,135,145,160,200");

    #[test]
    fn every_claim_holds() {
        let shown = shown(&JUDGED, 5, 2, &[]);
        assert_eq!(shown.claims.len(), 8);
        assert_eq!(broken(&shown), [""; 0]);
    }

    #[test]
    fn a_database_that_drops_what_nobody_waits_for_is_noticed() {
        let broken = broken(&shown(&JUDGED, 2, 2, &[FEW, ("cancel", "1")]));
        assert!(broken.iter().any(|what| what.starts_with("success in 300..390 s:")), "{broken:?}");
    }

    #[test]
    fn an_outage_that_holds_nothing_up_is_noticed() {
        let broken = broken(&shown(&JUDGED, 2, 2, &[FEW, ("outage-share", "0")]));
        assert!(broken.iter().any(|what| what.starts_with("success in 300..390 s:")), "{broken:?}");
    }

    #[test]
    fn the_number_of_threads_changes_nothing() {
        let short =
            [("rate", "100"), ("seconds", "140"), ("window", "120,139"), ("sweep", "20,200")];
        assert_eq!(shown(&JUDGED, 4, 1, &short), shown(&JUDGED, 4, 3, &short));
    }
}
