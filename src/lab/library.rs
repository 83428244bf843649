//! The strategies and worlds that the lab knows by name.

use std::sync::LazyLock;

use indexmap::IndexMap;

use crate::scenario::{Scenario, Source, Strategy};

/// Every built-in strategy, by name.
pub fn strategies() -> &'static IndexMap<String, Strategy> {
    static STRATEGIES: LazyLock<IndexMap<String, Strategy>> = LazyLock::new(|| {
        let source = Source::from_bytes("strategies.yaml".to_owned(), STRATEGIES_TEXT.as_bytes());
        Strategy::read(&source).expect("the built-in strategies have no mistake")
    });
    &STRATEGIES
}

/// Every built-in world, by the name that is its id.
pub fn worlds() -> &'static [Scenario] {
    static WORLDS: LazyLock<Vec<Scenario>> = LazyLock::new(|| {
        let read = |(name, text): &(&str, &str)| {
            let source = Source::from_bytes(format!("{name}.yaml"), text.as_bytes());
            // As if the file were played: the same seed meets the same luck.
            let address = format!("worlds/{name}");
            Scenario::read(name, &address, source).expect("the built-in worlds have no mistake")
        };
        WORLD_TEXTS.iter().map(read).collect()
    });
    &WORLDS
}

/// The strategies as they are written, to be copied.
pub const STRATEGIES_TEXT: &str = include_str!("strategies.yaml");

/// The worlds as they are written, from the mildest to the most confusing.
const WORLD_TEXTS: [(&str, &str); 11] = [
    ("quota", include_str!("../../worlds/quota.yaml")),
    ("quota-charged", include_str!("../../worlds/quota-charged.yaml")),
    ("outage", include_str!("../../worlds/outage.yaml")),
    ("silence", include_str!("../../worlds/silence.yaml")),
    ("brownout", include_str!("../../worlds/brownout.yaml")),
    ("flapping", include_str!("../../worlds/flapping.yaml")),
    ("correlated", include_str!("../../worlds/correlated.yaml")),
    ("collapse", include_str!("../../worlds/collapse.yaml")),
    ("queue", include_str!("../../worlds/queue.yaml")),
    ("closed-loop", include_str!("../../worlds/closed-loop.yaml")),
    ("llm-rl-1", include_str!("../../worlds/llm-rl-1.yaml")),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        lab::World,
        scenario::{Factor, Suite},
    };

    #[test]
    fn every_world_can_be_played_and_every_strategy_says_what_it_is() {
        for scenario in worlds() {
            World::new(scenario, Factor { millis: 1_000 }).unwrap();
            assert!(scenario.document.about.is_some(), "{}", scenario.id);
        }
        for (name, strategy) in strategies() {
            assert!(!strategy.about.is_empty(), "{name}");
        }
    }

    #[test]
    fn every_file_of_a_world_is_built_in_and_meets_the_same_luck() {
        let files = Suite::read(&["worlds".into()]).unwrap().scenarios;
        assert_eq!(files.len(), worlds().len());
        for file in &files {
            let built_in = worlds().iter().find(|world| world.id == file.id).unwrap();
            assert_eq!(built_in.address, file.address);
        }
    }
}
