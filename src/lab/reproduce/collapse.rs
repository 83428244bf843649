//! A server that slows down under load, and clients that ask again before it has answered.
//!
//! After a short spike it does nothing but work that nobody waits for any more, and the repeated requests keep it there; backoff lets it out.

use std::{fmt, time::Duration};

use resilience_core::Nanos;

use super::{Anchor, Cell, Claim, Parameter, Reproduction, Setup, Tolerance};
use crate::lab::{Agenda, Chance, span, statistics::quantile};

/// The spike and the ramp, with and without backoff.
pub(super) const ANCHOR: Anchor = Anchor {
    name: "collapse",
    title: "after a spike of 5 s a server stays down without backoff, and recovers with it",
    source: "Marc Brooker, simple_collapse_sim, 2023, https://github.com/mbrooker/simulator_example",
    parameters: &[
        Parameter {
            name: "network-s",
            about: "mean delay of a message each way, in s",
            default: &[0.1],
            least: 0.0,
            most: 1e3,
            whole: false,
        },
        Parameter {
            name: "service-s",
            about: "how many s a request takes on an idle server",
            default: &[1.0],
            least: 1e-3,
            most: 1e3,
            whole: false,
        },
        Parameter {
            name: "slowdown-s",
            about: "how many s more for each request that is in service, its own included",
            default: &[0.01],
            least: 0.0,
            most: 1.0,
            whole: false,
        },
        Parameter {
            name: "timeout-s",
            about: "how many s the client waits for an answer",
            default: &[3.0],
            least: 1e-3,
            most: 1e6,
            whole: false,
        },
        Parameter {
            name: "attempts",
            about: "how often a request is sent at most",
            default: &[3.0],
            least: 1.0,
            most: 10.0,
            whole: true,
        },
        Parameter {
            name: "backoff-s",
            about: "the longest wait before each retry in s, with backoff; the last holds for all further ones",
            default: &[20.0, 40.0],
            least: 0.0,
            most: 1e4,
            whole: false,
        },
        Parameter {
            name: "seconds",
            about: "how long a run takes",
            default: &[80.0],
            least: 1.0,
            most: 1e4,
            whole: false,
        },
        Parameter {
            name: "rate",
            about: "requests per second apart from the spike",
            default: &[40.0],
            least: 0.01,
            most: 1e4,
            whole: false,
        },
        Parameter {
            name: "spike-rate",
            about: "requests per second in the spike",
            default: &[80.0],
            least: 0.01,
            most: 1e4,
            whole: false,
        },
        Parameter {
            name: "spike",
            about: "when the spike begins and ends, in s",
            default: &[20.0, 25.0],
            least: 0.0,
            most: 1e5,
            whole: false,
        },
        Parameter {
            name: "ramp-rate",
            about: "requests per second at the top of the ramp",
            default: &[80.0],
            least: 0.01,
            most: 1e4,
            whole: false,
        },
        Parameter {
            name: "ramp-slope",
            about: "by how many requests per second the ramp's rate changes each second",
            default: &[1.6],
            least: 0.0,
            most: 1e4,
            whole: false,
        },
        Parameter {
            name: "ramp-top-s",
            about: "when the ramp is at its top, in s",
            default: &[25.0],
            least: 0.0,
            most: 1e5,
            whole: false,
        },
        Parameter {
            name: "window-from",
            about: "when the windows begin in which is counted, in s",
            default: &[5.0, 20.0, 30.0, 50.0],
            least: 0.0,
            most: 1e5,
            whole: false,
        },
        Parameter {
            name: "window-until",
            about: "when they end, in s; claims are about the last one",
            default: &[20.0, 25.0, 50.0, 79.0],
            least: 0.0,
            most: 1e5,
            whole: false,
        },
        Parameter {
            name: "steady-rate",
            about: "constant rates at which the server is compared with the formula",
            default: &[20.0, 40.0, 60.0],
            least: 0.01,
            most: 1e4,
            whole: false,
        },
        Parameter {
            name: "steady-s",
            about: "how many s of constant rate",
            default: &[400.0],
            least: 1.0,
            most: 1e4,
            whole: false,
        },
    ],
    // Many, because a quarter of them escapes, and the claim is about the median.
    runs: 100,
    run: |setup| compare(setup, !setup.settings.are_changed()),
};

/// Server, network and patience; everything is in seconds.
#[derive(Clone, Debug)]
struct World {
    network: f64,
    service: f64,
    slowdown: f64,
    timeout: f64,
    attempts: u32,
    length: f64,
    windows: Vec<(f64, f64)>,
}

/// One run: who comes when, and how long they wait before they ask again.
#[derive(Clone, Debug)]
struct Case {
    load: Load,
    /// The longest waits before the retries; empty if there are none.
    backoff: Vec<f64>,
}

/// How many requests come per second.
#[derive(Clone, Copy, Debug)]
enum Load {
    /// More and more up to an instant, then less and less.
    Ramp { most: f64, slope: f64, at: f64 },
    /// More for a while.
    Spike { usual: f64, spike: f64, from: f64, until: f64 },
    /// Always the same.
    Steady(f64),
}

impl Load {
    fn at(self, now: f64) -> f64 {
        match self {
            Self::Ramp { most, slope, at } => most - slope * (now - at).abs(),
            Self::Spike { spike, from, until, .. } if from <= now && now <= until => spike,
            Self::Spike { usual, .. } => usual,
            Self::Steady(rate) => rate,
        }
    }
}

impl fmt::Display for Load {
    fn fmt(&self, text: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ramp { .. } => text.write_str("ramp"),
            Self::Spike { .. } => text.write_str("spike"),
            Self::Steady(rate) => write!(text, "{rate}/s"),
        }
    }
}

impl Case {
    fn policy(&self) -> &'static str {
        if self.backoff.is_empty() { "no backoff" } else { "backoff + jitter" }
    }

    /// How long to wait before a retry, counted from 1.
    fn wait(&self, retry: u32, chance: &mut Chance) -> f64 {
        let index = usize::try_from(retry - 1).unwrap_or(usize::MAX);
        let most = self.backoff.get(index).or(self.backoff.last());
        most.map_or(0.0, |most| chance.uniform(0.0, *most))
    }
}

/// What happened in one window.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Tally {
    starts: u32,
    successes: u32,
    retries: u32,
    timeouts: u32,
    /// Requests that the server began to serve.
    served: u32,
    /// How long these took together.
    busy: f64,
}

/// One attempt of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Attempt {
    request: usize,
    number: u32,
}

#[derive(Clone, Copy, Debug)]
enum Event {
    /// The client has the server's answer.
    Answer(Attempt),
    /// A request comes up.
    Arrive,
    /// The server is done with it.
    Done(Attempt),
    /// The server begins with it.
    Reach(Attempt),
    /// The client sends it.
    Send(Attempt),
    /// The client waits no longer.
    TimeOut(Attempt),
}

/// A run under way.
#[derive(Debug)]
struct Play<'a> {
    world: &'a World,
    case: &'a Case,
    agenda: Agenda<Event>,
    arrivals: Chance,
    chance: Chance,
    /// For each request the attempt whose answer counts; none once there is one, or while it rests.
    awaited: Vec<Option<u32>>,
    in_service: u32,
    tallies: Vec<Tally>,
}

impl World {
    fn of(setup: &Setup<'_>) -> Self {
        let settings = setup.settings;
        let until = settings.all("window-until").iter().copied();
        Self {
            network: settings.one("network-s"),
            service: settings.one("service-s"),
            slowdown: settings.one("slowdown-s"),
            timeout: settings.one("timeout-s"),
            attempts: settings.whole("attempts"),
            length: settings.one("seconds"),
            windows: settings.all("window-from").iter().copied().zip(until).collect(),
        }
    }

    /// The same with clients that wait for ever, counted in one window after a while of getting there.
    fn patient(&self, length: f64) -> Self {
        let windows = vec![(length / 10.0, length)];
        Self { timeout: 2.0 * length, length, windows, ..self.clone() }
    }

    /// How long a request takes at this rate in the long run, as a fluid: infinite if it takes ever longer.
    fn latency(&self, rate: f64) -> f64 {
        let spare = 1.0 - self.slowdown * rate;
        if spare > 0.0 { self.service / spare } else { f64::INFINITY }
    }

    /// The rate at which answers begin to come too late.
    fn rate_max(&self) -> f64 {
        let longest = self.timeout - 2.0 * self.network;
        (1.0 - self.service / longest) / self.slowdown
    }

    /// What happened in each window.
    fn play(&self, case: &Case, seed: u64, run: u64) -> Vec<Tally> {
        let mut play = Play {
            world: self,
            case,
            agenda: Agenda::new(),
            // Apart, so that the same requests come whatever becomes of them.
            arrivals: Chance::new(seed, run, 0),
            chance: Chance::new(seed, run, 1),
            awaited: Vec::new(),
            in_service: 0,
            tallies: vec![Tally::default(); self.windows.len()],
        };
        play.arrive_after(0.0);
        let end = Nanos::from(span(self.length));
        while let Some((at, event)) = play.agenda.pop()
            && at <= end
        {
            play.handle(event, at);
        }
        play.tallies
    }
}

impl Play<'_> {
    fn handle(&mut self, event: Event, at: Nanos) {
        let now = Duration::from(at).as_secs_f64();
        match event {
            Event::Answer(attempt) => {
                if self.is_awaited(attempt) {
                    self.awaited[attempt.request] = None;
                    self.count(now, |tally| tally.successes += 1);
                }
            }
            Event::Arrive => {
                let request = self.awaited.len();
                self.awaited.push(None);
                self.count(now, |tally| tally.starts += 1);
                self.send(Attempt { request, number: 1 }, at);
                self.arrive_after(now);
            }
            Event::Done(attempt) => {
                self.in_service -= 1;
                let delay = self.chance.exponential(self.world.network);
                self.agenda.add(at + span(delay), Event::Answer(attempt));
            }
            Event::Reach(attempt) => {
                // The server does not know whether anybody still waits.
                self.in_service += 1;
                let World { service, slowdown, .. } = *self.world;
                let takes = service + slowdown * f64::from(self.in_service);
                self.count(now, |tally| {
                    tally.served += 1;
                    tally.busy += takes;
                });
                self.agenda.add(at + span(takes), Event::Done(attempt));
            }
            Event::Send(attempt) => {
                self.count(now, |tally| tally.retries += 1);
                self.send(attempt, at);
            }
            Event::TimeOut(attempt) => self.time_out(attempt, at),
        }
    }

    fn send(&mut self, attempt: Attempt, at: Nanos) {
        self.awaited[attempt.request] = Some(attempt.number);
        let delay = self.chance.exponential(self.world.network);
        self.agenda.add(at + span(delay), Event::Reach(attempt));
        self.agenda.add(at + span(self.world.timeout), Event::TimeOut(attempt));
    }

    fn time_out(&mut self, attempt: Attempt, at: Nanos) {
        if !self.is_awaited(attempt) {
            return;
        }
        self.count(Duration::from(at).as_secs_f64(), |tally| tally.timeouts += 1);
        self.awaited[attempt.request] = None;
        if attempt.number < self.world.attempts {
            let wait = span(self.case.wait(attempt.number, &mut self.chance));
            let next = Attempt { number: attempt.number + 1, ..attempt };
            self.agenda.add(at + wait, Event::Send(next));
        }
    }

    fn is_awaited(&self, attempt: Attempt) -> bool {
        self.awaited[attempt.request] == Some(attempt.number)
    }

    /// The next request comes after a gap that is drawn with the rate of this moment; none once it is nothing.
    fn arrive_after(&mut self, now: f64) {
        let rate = self.case.load.at(now);
        if rate > 0.0 {
            let gap = self.arrivals.exponential(1.0 / rate);
            self.agenda.add(Nanos::from(span(now + gap)), Event::Arrive);
        }
    }

    fn count(&mut self, now: f64, add: impl Fn(&mut Tally)) {
        for ((from, until), tally) in self.world.windows.iter().zip(&mut self.tallies) {
            if *from <= now && now < *until {
                add(tally);
            }
        }
    }
}

/// Plays everything; what is only said of the published parameters is claimed only with `statements`.
fn compare(setup: &Setup<'_>, statements: bool) -> Reproduction {
    let settings = setup.settings;
    let world = World::of(setup);
    let spike = settings.all("spike");
    let loads = [
        Load::Spike {
            usual: settings.one("rate"),
            spike: settings.one("spike-rate"),
            from: spike[0],
            until: spike.last().copied().unwrap_or(spike[0]),
        },
        Load::Ramp {
            most: settings.one("ramp-rate"),
            slope: settings.one("ramp-slope"),
            at: settings.one("ramp-top-s"),
        },
        Load::Steady(settings.one("rate")),
    ];
    let waits = settings.all("backoff-s");
    let cases: Vec<Case> = loads
        .into_iter()
        .flat_map(|load| [Vec::new(), waits.to_vec()].map(|backoff| Case { load, backoff }))
        .collect();
    let mut shown = Reproduction::default();
    let runs = setup.runs(&cases, |case, run| world.play(case, setup.seed, run));
    for (case, runs) in cases.iter().zip(&runs) {
        show(&world, case, runs, &mut shown);
        if statements {
            claim(&world, case, runs, &mut shown);
        }
    }
    compare_steady(setup, &world, &mut shown);

    let most = world.rate_max();
    let least = most / f64::from(world.attempts);
    if statements {
        for (what, published, ours) in [
            ("rate in /s at which timeouts set in, by the formula", 64.3, most),
            ("rate in /s above which a collapse cannot be left, by the formula", 21.4, least),
        ] {
            let claim = Claim::exact(what, published, ours);
            shown.claims.push(Claim { tolerance: Tolerance::Absolute(0.05), ..claim });
        }
    }
    shown.notes.push(format!(
        "between {least:.1}/s and {most:.1}/s the server does well, but once every attempt times out it gets {} times as much, and stays down",
        world.attempts,
    ));
    shown.notes.push(format!(
        "a request counts in its own slowdown, which makes latency and concurrency {:.0} % greater than the fluid formula",
        100.0 * world.slowdown,
    ));
    shown
}

fn show(world: &World, case: &Case, runs: &[Vec<Tally>], shown: &mut Reproduction) {
    for (index, (from, until)) in world.windows.iter().enumerate() {
        let labels = vec![
            ("load", case.load.to_string()),
            ("policy", case.policy().to_owned()),
            ("window_s", format!("{from}..{until}")),
        ];
        let cell = |metric, of: fn(&Tally) -> u32| {
            let values = runs.iter().map(|tallies| of(&tallies[index]).into()).collect();
            Cell { labels: labels.clone(), metric, values }
        };
        shown.cells.extend([
            cell("starts", |tally| tally.starts),
            cell("successes", |tally| tally.successes),
            cell("retries", |tally| tally.retries),
            cell("timeouts", |tally| tally.timeouts),
        ]);
    }
}

/// What is said of the last window.
fn claim(world: &World, case: &Case, runs: &[Vec<Tally>], shown: &mut Reproduction) {
    let Some((from, until)) = world.windows.last() else { return };
    let share = |tallies: &Vec<Tally>| {
        let last = tallies.last().copied().unwrap_or_default();
        f64::from(last.successes) / f64::from(last.starts)
    };
    let mut shares: Vec<f64> = runs.iter().map(share).collect();
    let (load, policy) = (case.load, case.policy());
    let what = format!("successes per start in {from}..{until} s, {load}, {policy}");
    match load {
        Load::Ramp { .. } => {}
        Load::Spike { .. } if case.backoff.is_empty() => {
            shares.sort_unstable_by(f64::total_cmp);
            let median = quantile(&shares, 0.5).unwrap_or(f64::NAN);
            shown.claims.push(Claim::below(format!("{what}, median run"), 0.01, median));
            let up = shares.iter().filter(|share| **share >= 0.01).count();
            shown.notes.push(format!(
                "the spike is only just enough: in {up} of {} runs the server, by luck, does not stay down; in the others not one start in a hundred succeeds at the end",
                shares.len(),
            ));
        }
        Load::Spike { .. } => {
            shown.claims.push(Claim::of_runs(what, 0.95, &shares, Tolerance::Above));
        }
        Load::Steady(_) => {
            shown.claims.push(Claim::of_runs(what, 0.99, &shares, Tolerance::Above));
        }
    }
}

/// Compares server and formula without timeouts, at constant rates.
fn compare_steady(setup: &Setup<'_>, world: &World, shown: &mut Reproduction) {
    let length = setup.settings.one("steady-s");
    let patient = world.patient(length);
    let rates = setup.settings.all("steady-rate");
    let cases: Vec<Case> = rates
        .iter()
        .filter(|rate| world.latency(**rate).is_finite())
        .map(|rate| Case { load: Load::Steady(*rate), backoff: Vec::new() })
        .collect();
    let runs = setup.runs(&cases, |case, run| patient.play(case, setup.seed, run));
    for (case, runs) in cases.iter().zip(&runs) {
        let Load::Steady(rate) = case.load else { continue };
        let of = |metric: fn(&Tally, f64) -> f64| -> Vec<f64> {
            runs.iter().map(|tallies| metric(&tallies[0], 0.9 * length)).collect()
        };
        let latency = of(|tally, _| tally.busy / f64::from(tally.served));
        let busy = of(|tally, seconds| tally.busy / seconds);
        let expected = world.latency(rate);
        for (metric, expected, values) in
            [("latency_s", expected, latency), ("concurrency", rate * expected, busy)]
        {
            let what = format!("{metric}, {rate}/s without timeouts");
            let near = Tolerance::Relative(0.02);
            shown.claims.push(Claim::of_runs(what, expected, &values, near));
            let labels = vec![
                ("load", case.load.to_string()),
                ("policy", "no timeout".to_owned()),
                ("window_s", format!("{}..{length}", length / 10.0)),
            ];
            shown.cells.push(Cell { labels, metric, values });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::reproduce::{broken, shown};

    /// Makes all claims, although the steady part is shorter than published.
    const REDUCED: Anchor = Anchor { run: |setup| compare(setup, true), ..ANCHOR };

    const SHORT: (&str, &str) = ("steady-s", "200");

    #[test]
    fn every_claim_holds() {
        let shown = shown(&REDUCED, 10, 2, &[SHORT]);
        assert_eq!(shown.claims.len(), 12);
        assert_eq!(broken(&shown), [""; 0]);
    }

    #[test]
    fn a_client_that_never_asks_again_is_noticed() {
        let broken = broken(&shown(&REDUCED, 4, 2, &[SHORT, ("attempts", "1")]));
        assert!(broken.iter().any(|what| what.contains("spike, no backoff")), "{broken:?}");
    }

    #[test]
    fn backoff_that_is_too_short_is_noticed() {
        let broken = broken(&shown(&REDUCED, 4, 2, &[SHORT, ("backoff-s", "0.1")]));
        assert!(broken.iter().any(|what| what.contains("spike, backoff + jitter")), "{broken:?}");
    }

    #[test]
    fn the_number_of_threads_changes_nothing() {
        let short =
            [("steady-s", "5"), ("seconds", "30"), ("window-from", "5"), ("window-until", "29")];
        assert_eq!(shown(&REDUCED, 4, 1, &short), shown(&REDUCED, 4, 3, &short));
    }
}
