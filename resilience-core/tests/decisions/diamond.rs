//! Targets that share a model or a key, so that several ways lead to one provider.

use resilience_core::{Class, Nanos, Policy, PolicyMistake, StopReason, Target};

use crate::play::{asked, exact, failing, hello, play, pool_of, stopped, target};

/// P53: two ways to one provider are no cycle; each target is asked its share, and the call ends.
#[test]
fn two_ways_to_one_provider_are_no_cycle() {
    let twin =
        |name: &str, key: &str| Target { model: "shared-model".to_owned(), ..target(name, key) };
    let mut pool =
        pool_of(vec![twin("direct", "ours"), twin("gateway", "theirs"), twin("again", "ours")])
            .unwrap();
    // One attempt more than they have retries for would be there for a way round.
    let policy = Policy { attempts_max: 19, ..exact() };
    let (finish, trace) =
        play(&policy, &mut pool, Nanos::ZERO, hello(), |_| failing(Class::Server));
    assert_eq!(stopped(finish).0, StopReason::Exhausted);
    assert_eq!(asked(&trace), [[0; 6], [1; 6], [2; 6]].concat());
}

/// What would be a cycle in a graph can only be a name that is there twice, and is refused as that.
#[test]
fn a_target_that_is_there_twice_is_refused_by_name() {
    let mistakes = pool_of(vec![target("a", "k"), target("b", "k"), target("a", "l")]).unwrap_err();
    assert_eq!(*mistakes, [PolicyMistake::DuplicateTarget { name: "a".to_owned() }]);
}
