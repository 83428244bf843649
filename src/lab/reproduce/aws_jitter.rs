//! Exponential backoff and jitter: clients that contend for one row with optimistic locking.
//!
//! [Brooker, 2015](https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/).
//! Each client reads the version of the row and writes with it; the write fails if the version has changed meanwhile, and the client comes back later.
//! How much later is decided by [`Backoff`] as it ships, for every strategy.

use std::time::Duration;

use resilience_core::{Backoff, Jitter, Nanos};

use super::{Anchor, Cell, Claim, Parameter, Reproduction, Settings, Setup, Tolerance};
use crate::lab::{
    Agenda, Chance, span,
    statistics::{Summary, number, quantile},
};

/// The published result.
pub(super) const ANCHOR: Anchor = Anchor {
    name: "aws-jitter",
    title: "jitter saves most of the calls of clients that contend for a row",
    source: "Brooker, \"Exponential Backoff And Jitter\", AWS Architecture Blog, 2015; figures of 2000 runs",
    parameters: &[
        Parameter {
            name: "clients",
            about: "clients that want to write the row once, all from the same moment",
            default: &[50.0, 100.0],
            least: 1.0,
            most: 2_000.0,
            whole: true,
        },
        Parameter {
            name: "base",
            about: "half of the first window, in ms",
            ..milliseconds(&[5.0])
        },
        Parameter { name: "cap", about: "the longest backoff, in ms", ..milliseconds(&[2_000.0]) },
        Parameter { name: "leg", about: "mean delay of a message, in ms", ..milliseconds(&[10.0]) },
        Parameter {
            name: "leg-deviation",
            about: "its standard deviation before the absolute value is taken, in ms",
            ..milliseconds(&[2.0])
        },
    ],
    runs: 1_000,
    run: |setup| reproduce(setup, &cases(setup.settings)),
};

const fn milliseconds(default: &'static [f64]) -> Parameter {
    Parameter { name: "", about: "", default, least: 0.0, most: 1e6, whole: false }
}

/// A way of spreading retries, by its name in the post's program.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Strategy {
    None,
    Expo,
    Full,
    Equal,
    Decorr,
}

/// Some clients with a strategy.
#[derive(Clone, Copy, Debug)]
struct Case {
    clients: u32,
    strategy: Strategy,
    backoff: Backoff,
    leg_ms: f64,
    leg_deviation_ms: f64,
}

/// What came of one race for the row.
#[derive(Clone, Debug, Default)]
struct Race {
    /// Writes that reached the server.
    calls: u64,
    /// When each client had its answer, in ascending order.
    completions_ms: Vec<f64>,
    /// The most failures of one client.
    failures_max: u32,
}

/// A client on its way to a successful write.
#[derive(Clone, Copy, Debug, Default)]
struct Client {
    failures: u32,
    waited: Option<Duration>,
}

/// What reaches the server.
#[derive(Clone, Copy, Debug)]
enum Message {
    Read { client: usize },
    Write { client: usize, version: u32 },
}

impl Strategy {
    const ALL: [Self; 5] = [Self::None, Self::Expo, Self::Full, Self::Equal, Self::Decorr];

    fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Expo => "expo",
            Self::Full => "full",
            Self::Equal => "equal",
            Self::Decorr => "decorr",
        }
    }

    /// The strategy as the client core has it.
    fn backoff(self, base: Duration, cap: Duration) -> Backoff {
        let jitter = match self {
            Self::None => return Backoff::fixed(Duration::ZERO),
            Self::Expo => Jitter::None,
            Self::Full => Jitter::Full,
            Self::Equal => Jitter::Equal,
            Self::Decorr => Jitter::Decorrelated,
        };
        // The post's program counts a failure before it computes the window: the first one is twice the base.
        let base = if self == Self::Decorr { base } else { base * 2 };
        Backoff { base, cap, multiplier_ppm: 2_000_000, jitter }
    }

    fn cell(self, clients: String, metric: &'static str, values: Vec<f64>) -> Cell {
        let labels = vec![("clients", clients), ("strategy", self.name().to_owned())];
        Cell { labels, metric, values }
    }
}

impl Case {
    /// Lets the clients race until each has written.
    fn race(&self, chance: &mut Chance) -> Race {
        let mut race = Race::default();
        let count = usize::try_from(self.clients).unwrap_or(usize::MAX);
        let mut clients = vec![Client::default(); count];
        let mut agenda = Agenda::new();
        let mut version = 0;
        for client in 0..count {
            agenda.add(Nanos::ZERO + self.leg(chance), Message::Read { client });
        }
        while let Some((now, message)) = agenda.pop() {
            match message {
                Message::Read { client } => {
                    let answered = now + self.leg(chance);
                    agenda.add(answered + self.leg(chance), Message::Write { client, version });
                }
                Message::Write { client, version: read } => {
                    race.calls += 1;
                    let answered = now + self.leg(chance);
                    if read == version {
                        version += 1;
                        race.completions_ms.push(Duration::from(answered).as_secs_f64() * 1e3);
                        continue;
                    }
                    let loser = &mut clients[client];
                    loser.failures += 1;
                    race.failures_max = race.failures_max.max(loser.failures);
                    let wait = self.backoff.delay(loser.failures, loser.waited, chance.draw());
                    loser.waited = Some(wait);
                    agenda.add(answered + self.leg(chance) + wait, Message::Read { client });
                }
            }
        }
        race.completions_ms.sort_unstable_by(f64::total_cmp);
        race
    }

    /// How long a message takes one way.
    fn leg(&self, chance: &mut Chance) -> Duration {
        span((self.leg_ms + self.leg_deviation_ms * chance.normal()).abs() / 1e3)
    }
}

/// What the races of a case came to.
#[derive(Debug)]
struct Measured {
    case: Case,
    /// Of each race.
    calls: Vec<f64>,
    /// Of each race: when the last client had its answer.
    times_ms: Vec<f64>,
    races: Vec<Race>,
}

impl Measured {
    fn new(case: Case, races: Vec<Race>) -> Self {
        let calls = races.iter().map(|race| number(race.calls)).collect();
        let last = |race: &Race| race.completions_ms.last().copied().unwrap_or(f64::NAN);
        Self { case, calls, times_ms: races.iter().map(last).collect(), races }
    }

    fn cells(&self) -> Vec<Cell> {
        let share = |ascending: &[f64], share| quantile(ascending, share).unwrap_or(f64::NAN);
        let of_each = |measure: &dyn Fn(&Race) -> f64| self.races.iter().map(measure).collect();
        let mut pooled: Vec<f64> =
            self.races.iter().flat_map(|race| &race.completions_ms).copied().collect();
        let mut times = self.times_ms.clone();
        pooled.sort_unstable_by(f64::total_cmp);
        times.sort_unstable_by(f64::total_cmp);
        let clients = self.case.clients.to_string();
        let cell = |metric, values| self.case.strategy.cell(clients.clone(), metric, values);
        vec![
            cell("calls", self.calls.clone()),
            cell("time_ms", self.times_ms.clone()),
            cell("failures_max", of_each(&|race| f64::from(race.failures_max))),
            cell("client_p50_ms", of_each(&|race| share(&race.completions_ms, 0.5))),
            cell("client_p99_ms", of_each(&|race| share(&race.completions_ms, 0.99))),
            cell("pooled_client_p50_ms", vec![share(&pooled, 0.5)]),
            cell("pooled_client_p99_ms", vec![share(&pooled, 0.99)]),
            cell("run_p50_ms", vec![share(&times, 0.5)]),
            cell("run_p95_ms", vec![share(&times, 0.95)]),
        ]
    }
}

/// All strategies with all numbers of clients.
fn cases(settings: &Settings) -> Vec<Case> {
    let milliseconds = |name: &str| span(settings.one(name) / 1e3);
    let (base, cap) = (milliseconds("base"), milliseconds("cap"));
    let case = |clients| {
        Strategy::ALL.map(|strategy| Case {
            clients,
            strategy,
            backoff: strategy.backoff(base, cap),
            leg_ms: settings.one("leg"),
            leg_deviation_ms: settings.one("leg-deviation"),
        })
    };
    settings.all_whole("clients").into_iter().flat_map(case).collect()
}

/// Runs the cases, and compares what they give with what was published.
fn reproduce(setup: &Setup<'_>, cases: &[Case]) -> Reproduction {
    let results = setup.runs(cases, |case, run| {
        let ordinal = Strategy::ALL.iter().take_while(|known| **known != case.strategy).count();
        let ordinal = u64::try_from(ordinal).unwrap_or(u64::MAX);
        let subject = u64::from(case.clients) * 8 + ordinal;
        case.race(&mut Chance::new(setup.seed, run, subject))
    });
    let pairs = cases.iter().zip(results);
    let results: Vec<Measured> = pairs.map(|(case, races)| Measured::new(*case, races)).collect();
    let mut shown = Reproduction::default();
    shown.cells.extend(results.iter().flat_map(Measured::cells));
    shown.notes.push(
        "every wait is `resilience_core::Backoff`'s; its jitter is drawn in whole nanoseconds"
            .to_owned(),
    );
    exponents(&results, &mut shown);
    if !setup.settings.are_changed() {
        shown.claims = claims(&results);
        if setup.runs < ANCHOR.runs {
            shown.notes.push(format!(
                "it takes some {} runs to tell the times of full and decorr apart",
                ANCHOR.runs
            ));
        }
    }
    shown
}

/// How the work grows with the clients, wherever there are twice as many.
fn exponents(results: &[Measured], shown: &mut Reproduction) {
    for [few, many] in doubled(results) {
        let clients = format!("{} to {}", few[0].case.clients, many[0].case.clients);
        let mut said = Vec::new();
        for (few, many) in few.iter().zip(many) {
            let strategy = few.case.strategy;
            let exponent = (Summary::of(&many.calls).mean / Summary::of(&few.calls).mean).log2();
            said.push(format!("{exponent:.2} ({})", strategy.name()));
            shown.cells.push(strategy.cell(clients.clone(), "calls_exponent", vec![exponent]));
        }
        let said = said.join(", ");
        shown.notes.push(format!("from {clients} clients, calls grow to the power of {said}"));
    }
}

/// What is measured of some clients, and of twice as many, strategy by strategy.
fn doubled(results: &[Measured]) -> impl Iterator<Item = [&[Measured]; 2]> {
    let of_clients = || results.chunks(Strategy::ALL.len());
    of_clients().flat_map(move |few| {
        let twice = move |many: &&[Measured]| many[0].case.clients == 2 * few[0].case.clients;
        of_clients().filter(twice).map(move |many| [few, many])
    })
}

/// The published figures beside ours.
fn claims(results: &[Measured]) -> Vec<Claim> {
    let mut claims = Vec::new();
    for (clients, strategy, published) in PUBLISHED {
        let [calls, calls_deviation, time, time_deviation] = published;
        let measured = found(results, clients, strategy);
        let of = format!("{clients} clients, {}", strategy.name());
        claims.push(Claim {
            what: format!("calls, {of}"),
            published: calls,
            ours: Summary::of(&measured.calls),
            tolerance: Tolerance::Relative(0.02),
        });
        for (metric, values, mean, deviation) in [
            ("calls", &measured.calls, calls, calls_deviation),
            ("time in ms", &measured.times_ms, time, time_deviation),
        ] {
            let published = Summary::published(mean, deviation, RUNS);
            let tolerance = Tolerance::Errors { most: 4.0, published: published.error };
            let what = format!("{metric}, {of}");
            claims.push(Claim { what, published: mean, ours: Summary::of(values), tolerance });
        }
    }
    claims.push(Claim::close_together(&claims));
    let of_hundred = |strategy| found(results, 100, strategy);
    let mut ordered = |metric: &str, order: [Strategy; 5], values: fn(&Measured) -> &[f64]| {
        for pair in order.windows(2) {
            let [more, less] = [pair[0], pair[1]].map(of_hundred);
            let z = Summary::of(values(more)).z(&Summary::of(values(less)));
            let [more, less] = [pair[0].name(), pair[1].name()];
            let what = format!("{metric}, 100 clients: {more} above {less}, in standard errors");
            claims.push(Claim::above(what, 5.0, z));
        }
    };
    let [none, expo, full, equal, decorr] = Strategy::ALL;
    ordered("calls", [none, expo, decorr, equal, full], |measured| &measured.calls);
    ordered("time", [expo, equal, full, decorr, none], |measured| &measured.times_ms);
    let calls = |strategy| Summary::of(&of_hundred(strategy).calls);
    for (than, share) in [(expo, 0.429), (none, 0.329)] {
        claims.push(Claim {
            what: format!("calls, 100 clients: full as a share of {}", than.name()),
            published: share,
            ours: calls(full).share_of(&calls(than)),
            tolerance: Tolerance::Relative(0.01),
        });
    }
    claims
}

fn found(results: &[Measured], clients: u32, strategy: Strategy) -> &Measured {
    let wanted = |measured: &&Measured| {
        measured.case.clients == clients && measured.case.strategy == strategy
    };
    results.iter().find(wanted).expect("the published cases are run unless settings are changed")
}

/// Clients and strategy; mean and standard deviation of the calls; the same of the time in ms.
const PUBLISHED: [(u32, Strategy, [f64; 4]); 10] = [
    (50, Strategy::None, [689.906, 17.417, 1140.12, 43.60]),
    (50, Strategy::Expo, [623.255, 29.698, 36416.44, 3299.75]),
    (50, Strategy::Full, [332.577, 4.768, 2890.49, 556.56]),
    (50, Strategy::Equal, [347.379, 6.226, 4243.33, 551.57]),
    (50, Strategy::Decorr, [374.629, 12.643, 2204.90, 509.15]),
    (100, Strategy::None, [2422.424, 32.126, 2027.47, 43.28]),
    (100, Strategy::Expo, [1855.889, 55.839, 63438.81, 3608.30]),
    (100, Strategy::Full, [796.131, 7.030, 4921.82, 555.95]),
    (100, Strategy::Equal, [811.987, 7.610, 6614.47, 648.77]),
    (100, Strategy::Decorr, [1001.989, 28.366, 4600.83, 682.65]),
];

/// How many runs the published figures are made of.
const RUNS: usize = 2_000;

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use super::*;
    use crate::lab::{Crew, Progress};

    fn shown(runs: u32, threads: usize, change: impl Fn(&mut Case)) -> Reproduction {
        let settings = ANCHOR.settings(&[]).unwrap();
        let mut cases = cases(&settings);
        cases.iter_mut().for_each(change);
        let (crew, progress) =
            (Crew::new(NonZeroUsize::new(threads).unwrap()), Progress::default());
        let setup = Setup { seed: 1, runs, crew, settings: &settings, progress: &progress };
        reproduce(&setup, &cases)
    }

    /// What does not hold after some runs of cases that are changed like this.
    fn off(runs: u32, change: impl Fn(&mut Case)) -> Vec<String> {
        let claims = shown(runs, 2, change).claims;
        claims.into_iter().filter(|claim| !claim.holds()).map(|claim| claim.what).collect()
    }

    /// At so few runs the times of full and decorr are the one order that may be too close.
    #[test]
    fn the_shipped_backoff_shows_what_was_published() {
        let close = "time, 100 clients: full above decorr, in standard errors";
        assert_eq!(off(60, |_| {}), [close]);
    }

    #[test]
    fn a_wrong_model_is_noticed() {
        let check = |name: &str, change: fn(&mut Case)| {
            let off = off(20, change);
            assert!(off.len() >= 3, "{name}: {off:?}");
        };
        check("the first window is the base", |case| {
            if case.strategy != Strategy::Decorr {
                case.backoff.base /= 2;
            }
        });
        check("equal jitter is full", |case| {
            if case.strategy == Strategy::Equal {
                case.backoff.jitter = Jitter::Full;
            }
        });
        check("decorrelated jitter begins near zero", |case| {
            if case.strategy == Strategy::Decorr {
                case.backoff.base /= 100;
            }
        });
        check("a message takes twice as long", |case| case.leg_ms *= 2.0);
    }

    #[test]
    fn reads_do_not_count_as_calls() {
        let settings = ANCHOR.settings(&[("clients".to_owned(), "1".to_owned())]).unwrap();
        let race = cases(&settings)[0].race(&mut Chance::new(1, 0, 0));
        assert_eq!((race.calls, race.failures_max, race.completions_ms.len()), (1, 0, 1));
        // Four messages on the way.
        assert!((30.0..50.0).contains(&race.completions_ms[0]), "{race:?}");
    }

    #[test]
    fn the_number_of_threads_changes_nothing() {
        assert_eq!(shown(3, 1, |_| {}), shown(3, 3, |_| {}));
    }
}
