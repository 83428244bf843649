//! Many clients on one quota: a bucket that each of them adapts, beside backoff.

use std::time::Duration;

use resilience_core::{Backoff, Nanos};

use super::{Anchor, Cell, Claim, Parameter, Reproduction, Settings, Setup, gcra::Gcra};
use crate::lab::{Agenda, Chance, span, statistics::Summary};

use bucket::{Bucket, Rules};

mod bucket;

/// The direction of what is published; its workload is not.
pub(super) const ANCHOR: Anchor = Anchor {
    name: "atb",
    title: "an adaptive token bucket in each client saves most 429s",
    source: "Farkiani, Liu, Crowley, Rethinking HTTP API Rate Limiting: A Client-Side Approach, arXiv 2510.04516, 2025",
    parameters: &[
        whole("clients", "clients of one quota", &[100.0], 1e5),
        whole("requests", "requests of each client, one after another", &[20.0], 1e5),
        whole("quota", "requests per minute that all clients share", &[60.0], 1e6),
        whole("burst", "requests that the quota admits at once after a rest", &[60.0], 1e6),
        positive("answer", "seconds until an answer", &[0.1], 1e3),
        positive("start", "seconds within which the clients begin", &[1.0], 1e3),
        whole("size", "ATB: tokens that a client's bucket holds", &[40.0], 1e6),
        whole("tokens", "ATB: tokens that it begins with", &[1.0], 1e6),
        positive("rate", "ATB: tokens per minute that it begins with", &[40.0], 1e6),
        factor("rise", "ATB: the factor of a success", &[1.2]),
        positive("step", "ATB: tokens per second that a success adds at the least", &[0.01], 100.0),
        factor("fall", "ATB: the divisor of a failure", &[2.0]),
        positive("floor", "ATB: tokens per second that are always left", &[0.01], 100.0),
        positive("sleep-least", "baseline: seconds of the shortest sleep", &[0.1], 100.0),
        positive(
            "sleep-from",
            "baseline: seconds of a client's longest sleep, at least",
            &[30.0],
            1e4,
        ),
        positive(
            "sleep-to",
            "baseline: seconds of a client's longest sleep, at most",
            &[34.0],
            1e4,
        ),
    ],
    runs: 20,
    run: |setup| reproduce(setup, Arm::ALL),
};

/// How a client comes back after a 429.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Arm {
    /// With its adaptive bucket.
    Atb,
    /// After a sleep that doubles, as in the paper.
    Baseline,
    /// By the shipped formula of the SDKs, however often.
    Sdk,
}

/// The state of one client.
#[derive(Clone, Debug)]
struct Client {
    left: u32,
    failures: u32,
    pace: Pace,
    chance: Chance,
}

/// What an arm remembers.
#[derive(Clone, Debug)]
enum Pace {
    Atb(Bucket),
    Baseline { least: f64, most: f64 },
    Sdk,
}

/// What happens to a client.
#[derive(Clone, Copy, Debug)]
enum Event {
    /// It wants to send.
    Ready,
    /// It hears whether it was admitted.
    Answered { admitted: bool },
}

/// What one run gave.
#[derive(Clone, Copy, Debug)]
struct Outcome {
    refusals: u32,
    /// When the last request of all was answered, in seconds.
    completion: f64,
}

impl Arm {
    const ALL: [Self; 3] = [Self::Atb, Self::Baseline, Self::Sdk];

    const fn name(self) -> &'static str {
        match self {
            Self::Atb => "atb",
            Self::Baseline => "baseline",
            Self::Sdk => "sdk",
        }
    }

    /// Plays all clients of this arm against one quota.
    fn play(self, settings: &Settings, seed: u64, run: u64) -> Outcome {
        let interval = MINUTE / u64::from(settings.whole("quota"));
        let mut quota = Gcra::new(interval, settings.whole("burst"));
        let (answer, start) = (span(settings.one("answer")), settings.one("start"));
        let (mut clients, mut agenda) = (Vec::new(), Agenda::new());
        for number in 0..settings.whole("clients") {
            let mut chance = Chance::new(seed, run, number.into());
            let at = Nanos::from(span(chance.uniform(0.0, start)));
            agenda.add(at, (clients.len(), Event::Ready));
            clients.push(self.client(settings, chance, at));
        }
        let mut outcome = Outcome { refusals: 0, completion: 0.0 };
        while let Some((now, (number, event))) = agenda.pop() {
            let client: &mut Client = &mut clients[number];
            let wait = match event {
                Event::Ready => client.wait(now),
                Event::Answered { admitted } => client.answered(admitted, now),
            };
            if client.left == 0 {
                outcome.completion = Duration::from(now).as_secs_f64();
            } else if wait > Duration::ZERO || matches!(event, Event::Answered { .. }) {
                agenda.add(now + wait, (number, Event::Ready));
            } else {
                let admitted = quota.admit(1, now);
                outcome.refusals += u32::from(!admitted);
                agenda.add(now + answer, (number, Event::Answered { admitted }));
            }
        }
        outcome
    }

    fn client(self, settings: &Settings, mut chance: Chance, now: Nanos) -> Client {
        let pace = match self {
            Self::Atb => Pace::Atb(Bucket::new(Rules::of(settings), settings, now)),
            Self::Baseline => Pace::Baseline {
                least: settings.one("sleep-least"),
                most: chance.uniform(settings.one("sleep-from"), settings.one("sleep-to")),
            },
            Self::Sdk => Pace::Sdk,
        };
        Client { left: settings.whole("requests"), failures: 0, pace, chance }
    }
}

impl Client {
    /// How long it keeps itself from sending; nothing if it sends now.
    fn wait(&mut self, now: Nanos) -> Duration {
        match &mut self.pace {
            Pace::Atb(bucket) => bucket.take(now).err().unwrap_or_default(),
            Pace::Baseline { .. } | Pace::Sdk => Duration::ZERO,
        }
    }

    /// Takes an answer, and says how long it sleeps.
    fn answered(&mut self, admitted: bool, now: Nanos) -> Duration {
        if admitted {
            self.left -= 1;
            self.failures = 0;
        } else {
            self.failures += 1;
        }
        match &mut self.pace {
            Pace::Atb(bucket) => {
                bucket.learn(admitted, now);
                Duration::ZERO
            }
            Pace::Baseline { .. } | Pace::Sdk if admitted => Duration::ZERO,
            Pace::Baseline { least, most } => {
                let doubled = 2.0_f64.powf(self.failures.into()) - 1.0;
                span(self.chance.uniform(*least, doubled.min(*most).max(*least)))
            }
            Pace::Sdk => Backoff::sdk().delay(self.failures, None, self.chance.draw()),
        }
    }
}

fn reproduce(setup: &Setup<'_>, arms: [Arm; 3]) -> Reproduction {
    let settings = setup.settings;
    let outcomes = setup.runs(&arms, |arm, run| arm.play(settings, setup.seed, run));
    let mut shown =
        Reproduction { notes: NOTES.map(str::to_owned).to_vec(), ..Reproduction::default() };
    let mut summaries = Vec::new();
    for (arm, outcomes) in Arm::ALL.into_iter().zip(outcomes) {
        let labels = vec![("arm", arm.name().to_owned())];
        let refusals: Vec<f64> = outcomes.iter().map(|run| run.refusals.into()).collect();
        let completion: Vec<f64> = outcomes.iter().map(|run| run.completion).collect();
        summaries.push((Summary::of(&refusals), Summary::of(&completion)));
        shown.cells.push(Cell { labels: labels.clone(), metric: "429s", values: refusals });
        shown.cells.push(Cell { labels, metric: "completion s", values: completion });
    }
    // Another load, or another bucket, has no published direction.
    if let [(atb, atb_done), (baseline, baseline_done), _] = summaries[..]
        && !settings.are_changed()
    {
        let saved = 1.0 - atb.mean / baseline.mean;
        let longer = atb_done.mean / baseline_done.mean;
        shown.claims = vec![
            Claim::above(
                "429s of the baseline above ATB's, in standard errors",
                5.0,
                baseline.z(&atb),
            ),
            Claim::above("share of 429s that ATB saves: far fewer", 0.5, saved),
            Claim::below("share of 429s that ATB saves: up to 97.3 %", 0.973, saved),
            Claim::above("completion, ATB to baseline: longer", 1.0, longer),
            Claim::below("completion, ATB to baseline: moderately", 1.5, longer),
        ];
    }
    shown
}

/// Whole numbers from one.
const fn whole(
    name: &'static str,
    about: &'static str,
    default: &'static [f64],
    most: f64,
) -> Parameter {
    Parameter { name, about, default, least: 1.0, most, whole: true }
}

/// Numbers above zero.
const fn positive(
    name: &'static str,
    about: &'static str,
    default: &'static [f64],
    most: f64,
) -> Parameter {
    Parameter { name, about, default, least: 1e-3, most, whole: false }
}

/// Factors of one or more.
const fn factor(name: &'static str, about: &'static str, default: &'static [f64]) -> Parameter {
    Parameter { name, about, default, least: 1.0, most: 100.0, whole: false }
}

/// Nanoseconds.
const MINUTE: u64 = 60_000_000_000;

/// What the comparison rests on.
const NOTES: [&str; 3] = [
    "Only the direction is compared: the traces behind the published shares are not part of this model. Clients, requests, quota and the bounds for `far` and `moderately` are ours.",
    "The quota is one bucket for all clients; a client handles one request at a time and repeats it until it succeeds.",
    "The arm `sdk` waits by the shipped `Backoff::sdk()`, without its limit on retries; nothing is published about it.",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::reproduce::shown;

    #[test]
    fn a_bucket_in_each_client_saves_most_refusals() {
        let shown = shown(&ANCHOR, 3, 2, &[]);
        assert!(shown.holds(), "{:#?}", shown.claims);
        assert_eq!(shown.claims.len(), 5);
    }

    /// Each request is admitted once, and no faster than the quota lets it.
    #[test]
    fn every_request_is_admitted_in_the_end() {
        let settings = ANCHOR.settings(&[]).unwrap();
        for arm in Arm::ALL {
            let outcome = arm.play(&settings, 1, 0);
            // A burst of 60 of 2000, and one a second.
            assert!(outcome.completion >= 1_940.0, "{arm:?}: {outcome:?}");
        }
    }

    #[test]
    fn arms_in_each_others_place_are_noticed() {
        fn swapped(setup: &Setup<'_>) -> Reproduction {
            reproduce(setup, [Arm::Baseline, Arm::Atb, Arm::Sdk])
        }
        fn same(setup: &Setup<'_>) -> Reproduction {
            reproduce(setup, [Arm::Sdk; 3])
        }
        for run in [swapped, same] {
            assert!(!shown(&Anchor { run, ..ANCHOR }, 2, 2, &[]).holds());
        }
    }

    #[test]
    fn the_number_of_threads_changes_nothing() {
        let few = [("clients", "10"), ("requests", "5"), ("burst", "3")];
        let one = shown(&ANCHOR, 3, 1, &few);
        assert_eq!(one, shown(&ANCHOR, 3, 3, &few));
        assert!(one.claims.is_empty());
    }
}
