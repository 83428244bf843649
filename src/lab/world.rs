//! A scenario as a world that strategies meet.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use mock_server::{
    action::Action,
    offline::Offline,
    plan::{Act, Rule},
    request::Request as Read,
    units::{Period, Rate, Span},
};
use resilience_core::{Request, Target};
use thiserror::Error;

use crate::{
    client::{Workload, limits, spoken},
    scenario::{Client, Factor, Scenario, Strategy},
};

/// A provider in trouble with its clients' work, at a load.
#[derive(Clone, Debug)]
pub struct World {
    scenario: Scenario,
    load: Factor,
    outages: Vec<(Duration, Duration)>,
    said: Arc<Said>,
}

/// What is said in a world, by its length: read and counted once for all runs.
#[derive(Debug, Default)]
struct Said {
    asked: Mutex<BTreeMap<u64, Request>>,
    /// By provider and model, too.
    read: Mutex<BTreeMap<(String, u64), Arc<Read>>>,
}

/// Why a scenario is no world.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum NoWorld {
    /// It has faults that need connections.
    #[error("`{id}` has `connections`, and a world has none; play it with `brownout run`")]
    Connections {
        /// The scenario.
        id: String,
    },
    /// It has too many prompts.
    #[error(
        "`{id}` has prompts of {lengths} lengths, and a world of {LENGTHS_MAX} at most; narrow the range"
    )]
    Lengths {
        /// The scenario.
        id: String,
        /// How many lengths.
        lengths: u64,
    },
    /// Its answers are streams.
    #[error("`{id}` streams its answers, and those of a world come whole; leave `streaming` out")]
    Streaming {
        /// The scenario.
        id: String,
    },
}

impl World {
    /// A scenario at a load, or why it is no world.
    pub fn new(scenario: &Scenario, load: Factor) -> Result<Self, NoWorld> {
        let id = || scenario.id.clone();
        let client = &scenario.document.client;
        if client.streaming {
            return Err(NoWorld::Streaming { id: id() });
        }
        if !scenario.plan.connections.is_empty() {
            return Err(NoWorld::Connections { id: id() });
        }
        let lengths = client.prompt.tokens.map_or(1, |tokens| tokens.most - tokens.least + 1);
        if lengths > LENGTHS_MAX {
            return Err(NoWorld::Lengths { id: id(), lengths });
        }
        let outages = outages(&scenario.plan.rules);
        Ok(Self { scenario: scenario.clone(), load, outages, said: Arc::default() })
    }

    /// The scenario that it is made of.
    pub fn scenario(&self) -> &Scenario {
        &self.scenario
    }

    /// By how much the scenario's load is multiplied.
    pub fn load(&self) -> Factor {
        self.load
    }

    /// Its name: that of the scenario, with the load if it is another one than is written.
    pub fn name(&self) -> String {
        let id = &self.scenario.id;
        if self.load.millis == 1_000 { id.clone() } else { format!("{id} at {}", self.load) }
    }

    /// When the provider is in trouble: spans that neither meet nor overlap.
    pub fn outages(&self) -> &[(Duration, Duration)] {
        &self.outages
    }

    /// Its client's work and settings, coped with by a strategy.
    pub(crate) fn client(&self, strategy: &Strategy) -> Client {
        let mut client = self.scenario.document.client.clone();
        client.set_strategy(strategy);
        client.limits = limits(&client.limits, &self.scenario.plan.provider.quota);
        client
    }

    /// The scenario in which a strategy meets it over sockets: its client's settings are the strategy's, and its work is the load's.
    pub(crate) fn played(&self, strategy: &Strategy) -> Scenario {
        let mut scenario = self.scenario.clone();
        let mut client = self.client(strategy);
        if let Some(arrivals) = &mut client.arrivals {
            arrivals.rate = at_load(arrivals.rate, self.load);
        } else {
            let concurrency = u64::from(client.concurrency.unwrap_or(1));
            let scaled = (concurrency * u64::from(self.load.millis)).div_ceil(1_000).max(1);
            client.concurrency = Some(u32::try_from(scaled).unwrap_or(u32::MAX));
        }
        // A command's usual limit is for a few calls; these take as long as their world does, and then wait for the last answers.
        let limit = client.arrivals.map_or(IN_TURN_LIMIT, |arrivals| 2 * arrivals.r#for.0 + LAST);
        scenario.document.time_limit.get_or_insert(Span(limit));
        scenario.document.client = client;
        scenario
    }

    /// The request of a call, which stands for all that are as long.
    pub(crate) fn request(&self, workload: &Workload, call: u64, tokens: u64) -> Request {
        let mut asked = self.said.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.entry(tokens).or_insert_with(|| workload.request(call)).clone()
    }

    /// A request as a target's provider reads it, which stands for all that are as long.
    ///
    /// # Panics
    ///
    /// If the provider would refuse it as it stands: that the built-in client is understood is a promise.
    pub(crate) fn read(&self, target: &Target, request: &Request, tokens: u64) -> Arc<Read> {
        let key = (format!("{}/{}", target.provider, target.model), tokens);
        let mut read = self.said.read.lock().unwrap_or_else(PoisonError::into_inner);
        let read = read.entry(key).or_insert_with(|| {
            let spoken = spoken(target, request);
            let read = Offline::read(spoken.path, &spoken.headers, spoken.body.as_bytes());
            Arc::new(
                read.expect("every provider that it speaks to understands the built-in client"),
            )
        });
        Arc::clone(read)
    }

    /// The work of its clients.
    pub(crate) fn workload(&self, client: &Client, seed: u64) -> Workload {
        Workload::new(client, seed).at_load(self.load)
    }
}

/// When rules that end do harm, as spans that neither meet nor overlap.
fn outages(rules: &[Rule]) -> Vec<(Duration, Duration)> {
    let harmful = |rule: &&Rule| match &rule.act {
        Act::Fault(action) => !matches!(action, Action::Answer(_)),
        Act::Script { .. } => false,
    };
    let windows = rules.iter().filter(harmful).filter_map(|rule| {
        let from = rule.when.from.map_or(Duration::ZERO, |from| from.0);
        Some((from, rule.when.until?.0))
    });
    let mut windows: Vec<(Duration, Duration)> = windows.collect();
    windows.sort_unstable();
    let mut outages: Vec<(Duration, Duration)> = Vec::new();
    for (from, until) in windows {
        match outages.last_mut() {
            Some((_, end)) if from <= *end => *end = until.max(*end),
            _ => outages.push((from, until)),
        }
    }
    outages
}

/// So many times a rate, to within one call a day.
fn at_load(rate: Rate, load: Factor) -> Rate {
    if load.millis == 1_000 {
        return rate;
    }
    let days = u128::from(DAY / rate.period().as_secs());
    let count = u128::from(rate.count) * days * u128::from(load.millis) / 1_000;
    Rate { count: u64::try_from(count).unwrap_or(u64::MAX).max(1), per: Period::Day }
}

/// The seconds of a day.
const DAY: u64 = 86_400;

/// How long a client whose calls come one after another may take over sockets, unless its world says otherwise.
const IN_TURN_LIMIT: Duration = Duration::from_secs(600);

/// How long calls that come at a rate may take after the last one has come, beside once more the time in which they came.
const LAST: Duration = Duration::from_secs(60);

/// The most different lengths of a world's prompts: each is read once by each of its providers.
const LENGTHS_MAX: u64 = 10_000;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::{client::Begins, scenario::Source};

    fn world(client: &str, millis: u32) -> World {
        let text = format!("brownout: 1\nname: a world\nclient: {client}\n");
        let source = Source::from_bytes("world.yaml".to_owned(), text.as_bytes());
        World::new(&Scenario::read("world", "world", source).unwrap(), Factor { millis }).unwrap()
    }

    #[test]
    fn over_sockets_as_many_calls_come_as_in_the_simulation() {
        for client in [
            "{ arrivals: { rate: 90/min, for: 2min } }",
            "{ arrivals: { rate: 7/s, for: 30s, spread: random } }",
            "{ calls: 20, concurrency: 3 }",
        ] {
            let begins = |workload: Workload| match workload.begins() {
                Begins::At(times) => (times.count(), 0),
                Begins::InTurn { calls, concurrency } => {
                    (usize::try_from(calls).unwrap(), concurrency)
                }
            };
            let mut seen = BTreeSet::new();
            for millis in [1_000, 1_500, 2_000] {
                let world = world(client, millis);
                let strategy = Strategy::default();
                let played = world.played(&strategy).document.client;
                let simulated = begins(world.workload(&world.client(&strategy), 7));
                assert_eq!(begins(Workload::new(&played, 7)), simulated, "{client} at {millis}");
                seen.insert(simulated);
            }
            assert_eq!(seen.len(), 3, "the load matters");
        }
    }

    #[test]
    fn a_run_over_sockets_may_take_as_long_as_its_calls() {
        let limit =
            |client: &str| world(client, 1_000).played(&Strategy::default()).time_limit(true);
        assert_eq!(limit("{ arrivals: { rate: 1/s, for: 5min } }"), Duration::from_secs(660));
        assert_eq!(limit("{ calls: 20 }"), Duration::from_secs(600));
    }
}
