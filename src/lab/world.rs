//! A scenario as a world that strategies meet.

use std::time::Duration;

use mock_server::action::Action;
use mock_server::plan::{Act, Rule};
use thiserror::Error;

use crate::{
    client::{Workload, limits},
    scenario::{Client, Factor, Scenario, Strategy},
};

/// A provider in trouble with its clients' work, at a load.
#[derive(Clone, Debug)]
pub struct World {
    scenario: Scenario,
    load: Factor,
    outages: Vec<(Duration, Duration)>,
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
        Ok(Self { scenario: scenario.clone(), load, outages })
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

/// The most different lengths of a world's prompts: each is read once by each of its providers.
const LENGTHS_MAX: u64 = 10_000;
