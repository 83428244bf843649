//! Which settings are tried.

use std::{collections::BTreeSet, sync::LazyLock};

use mock_server::draw::{Draws, Purpose, scale};
use schemars::schema_for;
use serde_json::{Map, Value};
use thiserror::Error;

use super::sheet;
use crate::{
    lab::World,
    scenario::{Diagnostic, Strategy},
};

/// A strategy, and the words of it that may be set to other values.
#[derive(Clone, Debug)]
pub struct Space {
    /// The strategy's words, to which the others are set.
    words: Value,
    dials: Vec<Dial>,
}

/// One word with its values.
#[derive(Clone, Debug, PartialEq)]
pub struct Dial {
    /// The words that lead to it, with dots between them, such as `backoff.base`.
    pub path: String,
    /// What it may be set to, in an order in which neighbours are alike.
    pub values: Vec<Value>,
    /// Whether it may also stay as it is: not if somebody said what it may be.
    pub may_stay: bool,
}

/// A value for each dial, by its place from 1; 0 leaves the word as it is.
pub(super) type Choice = Vec<usize>;

/// Values for one word, as somebody wants them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vary {
    /// The word.
    pub path: String,
    /// Its values, as they would be written.
    pub values: Vec<String>,
}

/// Why words cannot be varied as asked.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum VaryMistake {
    /// The language has no such word.
    #[error("a strategy has no word `{path}` to vary; it has {known}")]
    Unknown {
        /// What was asked for.
        path: String,
        /// What there is.
        known: String,
    },
    /// A word is varied twice.
    #[error("`{path}` is varied twice; put all its values into one list")]
    Twice {
        /// The word.
        path: String,
    },
    /// The language refuses a value.
    #[error("`{path}` cannot be `{value}`: {why}")]
    Refused {
        /// The word.
        path: String,
        /// What was asked for.
        value: String,
        /// What the language says.
        why: String,
    },
}

impl Space {
    /// Words of a strategy that are usually worth trying in some worlds, with others as they are asked for.
    pub fn new(strategy: &Strategy, worlds: &[World], vary: &[Vary]) -> Result<Self, VaryMistake> {
        let limited = worlds.iter().any(|w| w.scenario().plan.provider.quota.limits_something());
        let budget = sheet::words(strategy)
            .get("budget")
            .and_then(Value::as_object)
            .and_then(|kinds| kinds.keys().next().cloned());
        let budget = format!("budget.{}.", budget.as_deref().unwrap_or("ratio"));
        let is_meant = |path: &str| match path.split_once('.').map_or(path, |(word, _)| word) {
            "budget" => path.starts_with(&budget),
            "hedge" => strategy.hedge.is_some() || strategy.targets.len() > 1,
            "limits" => limited || strategy.limits.as_provider.is_some(),
            _ => true,
        };
        let usual = USUAL.iter().filter(|(path, _)| is_meant(path));
        let mut dials: Vec<Dial> = usual
            .map(|(path, values)| Dial {
                path: (*path).to_owned(),
                values: values.split(' ').map(typed).collect(),
                may_stay: true,
            })
            .collect();
        for (index, wanted) in vary.iter().enumerate() {
            let path = wanted.path.clone();
            if !WORDS.contains(&path) {
                let known = WORDS.iter().map(|word| format!("`{word}`"));
                let known = known.collect::<Vec<_>>().join(", ");
                return Err(VaryMistake::Unknown { path, known });
            }
            if vary[..index].iter().any(|other| other.path == path) {
                return Err(VaryMistake::Twice { path });
            }
            let values = wanted.values.iter().map(|value| typed(value)).collect();
            let dial = Dial { path, values, may_stay: false };
            match dials.iter_mut().find(|other| other.path == dial.path) {
                Some(usual) => *usual = dial,
                None => dials.push(dial),
            }
        }
        let mut space = Self { words: sheet::words(strategy), dials };
        space.check()?;
        for dial in &mut space.dials {
            if dial.may_stay {
                // What the strategy says already would be tried twice.
                let said = at(&space.words, &dial.path);
                dial.values.retain(|value| Some(value) != said);
            }
        }
        Ok(space)
    }

    /// Its words with their values.
    pub fn dials(&self) -> &[Dial] {
        &self.dials
    }

    /// The strategy as it is.
    pub(super) fn as_it_is(&self) -> Choice {
        vec![0; self.dials.len()]
    }

    /// The strategy of a choice, or what contradicts itself in it.
    pub(super) fn strategy(&self, choice: &Choice) -> Result<Strategy, Vec<Diagnostic>> {
        let mut words = self.words.clone();
        let mut changes = Vec::new();
        for (path, value) in self.changes(choice) {
            set(&mut words, path, value);
            changes.push(path);
        }
        let mut strategy = sheet::read(&words)?;
        if !changes.is_empty() {
            strategy.about = format!("tuned: {}", changes.join(", "));
        }
        Ok(strategy)
    }

    /// What a choice sets, word by word.
    pub(super) fn changes<'a>(
        &'a self,
        choice: &'a Choice,
    ) -> impl Iterator<Item = (&'a str, &'a Value)> {
        let chosen = self.dials.iter().zip(choice);
        chosen.filter_map(|(dial, &place)| {
            Some((dial.path.as_str(), dial.values.get(place.checked_sub(1)?)?))
        })
    }

    /// A choice by luck: every other one sets all words, the others a few.
    pub(super) fn draw(&self, draws: Draws, number: u64) -> Choice {
        let draw = |index, most| {
            let place = scale(draws.draw("candidate", Purpose::Id, number, index), most);
            usize::try_from(place).unwrap_or(usize::MAX)
        };
        let few = number % 2 == 1;
        let most = u64::try_from(self.dials.len()).unwrap_or(u64::MAX);
        // Three of all in the mean: far enough to see what words do together.
        let is_set = |index| !few || draw(2 * index, most.saturating_sub(1)) < CHANGES_MEAN;
        let dials = (0..).zip(&self.dials);
        dials
            .map(|(index, dial)| {
                let values = u64::try_from(dial.values.len()).unwrap_or(u64::MAX);
                match (dial.may_stay, is_set(index)) {
                    (true, false) => 0,
                    (true, true) => draw(2 * index + 1, values),
                    (false, _) => draw(2 * index + 1, values.saturating_sub(1)) + 1,
                }
            })
            .collect()
    }

    /// What differs from a choice in one word: first what takes a change back, then the values beside each, then the other ones.
    pub(super) fn neighbours(&self, choice: &Choice) -> Vec<Choice> {
        let mut all = Vec::new();
        for (index, (dial, &place)) in self.dials.iter().zip(choice).enumerate() {
            let least = usize::from(!dial.may_stay);
            for other in least..=dial.values.len() {
                if other == place {
                    continue;
                }
                let order = match other {
                    0 => 0,
                    _ if place == 0 || other.abs_diff(place) == 1 => 1,
                    _ => 2,
                };
                let mut neighbour = choice.clone();
                neighbour[index] = other;
                all.push((order, neighbour));
            }
        }
        all.sort_by_key(|(order, _)| *order);
        all.into_iter().map(|(_, neighbour)| neighbour).collect()
    }

    /// Finds values that were asked for and cannot be, whatever the other words are.
    fn check(&self) -> Result<(), VaryMistake> {
        let with = |changes: &[(&str, &Value)]| {
            let mut words = self.words.clone();
            for (path, value) in changes {
                set(&mut words, path, value);
            }
            sheet::read(&words)
        };
        for dial in self.dials.iter().filter(|dial| !dial.may_stay) {
            for value in &dial.values {
                let here = (dial.path.as_str(), value);
                let Err(wrong) = with(&[here]) else { continue };
                // What contradicts the strategy may be right beside another value of another word.
                let others = self.dials.iter().filter(|other| other.path != dial.path);
                let mut others =
                    others.flat_map(|other| other.values.iter().map(|v| (other.path.as_str(), v)));
                if others.any(|other| with(&[other, here]).is_ok()) {
                    continue;
                }
                let why = wrong.first().map_or_else(String::new, |wrong| match &wrong.help {
                    Some(help) => format!("{}; {help}", wrong.message),
                    None => wrong.message.clone(),
                });
                let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                return Err(VaryMistake::Refused { path: dial.path.clone(), value, why });
            }
        }
        Ok(())
    }
}

impl Vary {
    /// A word with its values, as `backoff.base=250ms,1s`.
    pub fn read(text: &str) -> Result<Self, String> {
        let split = text.split_once('=').map(|(path, values)| {
            let values = values.split(',').map(|value| value.trim().to_owned());
            Self { path: path.trim().to_owned(), values: values.collect() }
        });
        split.filter(|vary| vary.values.iter().all(|value| !value.is_empty())).ok_or_else(|| {
            "a word is varied with its values, such as `backoff.base=250ms,1s`".to_owned()
        })
    }
}

/// A value as YAML takes it: a number, a truth, or a text.
fn typed(text: &str) -> Value {
    match text {
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        _ => text.parse::<u64>().map_or_else(|_| Value::from(text), Value::from),
    }
}

/// The value of a word, if it is said.
fn at<'a>(words: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').try_fold(words, |words, word| words.get(word))
}

/// Says a word, with those that lead to it.
fn set(words: &mut Value, path: &str, value: &Value) {
    let mut place = words;
    for (depth, word) in path.split('.').enumerate() {
        if !place.is_object() {
            *place = Value::Object(Map::new());
        }
        let Some(map) = place.as_object_mut() else { return };
        // A budget is of one kind: another one takes its place.
        if depth == 1 && path.starts_with("budget.") {
            map.retain(|kind, _| kind == word);
        }
        place = map.entry(word).or_insert(Value::Null);
    }
    *place = value.clone();
}

/// Every word of a strategy that has a value, in the order of the alphabet.
static WORDS: LazyLock<BTreeSet<String>> = LazyLock::new(|| {
    let schema = schema_for!(Strategy).to_value();
    let mut words = BTreeSet::new();
    collect(&schema, &schema, "", &mut words);
    // What it is called, and whom it asks: the application's.
    words.remove("about");
    words.remove("targets");
    words
});

/// Collects the words under a schema; whether it had any.
fn collect(root: &Value, schema: &Value, path: &str, words: &mut BTreeSet<String>) -> bool {
    if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
        let target = root.pointer(reference.trim_start_matches('#'));
        return target.is_some_and(|target| collect(root, target, path, words));
    }
    let mut any = false;
    for key in ["anyOf", "oneOf"] {
        for branch in schema.get(key).and_then(Value::as_array).into_iter().flatten() {
            any |= collect(root, branch, path, words);
        }
    }
    for (word, inner) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
        let path = if path.is_empty() { word.clone() } else { format!("{path}.{word}") };
        if !collect(root, inner, &path, words) {
            words.insert(path);
        }
        any = true;
    }
    any
}

/// How many words a choice sets that sets only a few, in the mean.
const CHANGES_MEAN: usize = 3;

/// What is tried unless somebody wants something else: around and beyond what popular clients do, coarse since neighbours differ less than runs do.
const USUAL: [(&str, &str); 25] = [
    ("retries", "0 1 2 3 5 8"),
    ("attempts", "2 4 6 10"),
    ("backoff.base", "100ms 250ms 500ms 1s 2s 4s"),
    ("backoff.cap", "4s 8s 20s 60s"),
    ("backoff.multiplier", "1.5x 2x 3x"),
    ("backoff.jitter", "none quarter equal full decorrelated"),
    ("hints", "ignore obey-short obey"),
    ("hint-max", "10s 60s 120s"),
    ("hint-spread.share", "0% 10% 50% 100%"),
    ("budget.aws.capacity", "50 100 500"),
    ("budget.aws.cost", "5 10 20"),
    ("budget.concurrent.share", "5% 10% 20% 50%"),
    ("budget.grpc.tokens", "10 50 100"),
    ("budget.grpc.ratio", "5% 10% 20%"),
    ("budget.ratio.share", "2% 5% 10% 20% 50%"),
    ("budget.ratio.saved", "10 30 100"),
    ("breaker.failures", "30% 50% 70%"),
    ("breaker.open", "2s 5s 10s 30s"),
    ("throttle.beyond", "1.2x 1.5x 2x 3x"),
    ("hedge.after", "p90 p95 p99"),
    ("hedge.share", "2% 5% 10%"),
    ("limits.as-provider", "80% 90% 95% 100%"),
    ("limits.queue", "5s 10s 30s 60s"),
    ("timeouts.attempt", "10s 20s 30s 60s 120s"),
    ("state", "own shared"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::library;

    fn strategy(json: &str) -> Strategy {
        serde_json::from_str(json).unwrap()
    }

    fn vary(texts: &[&str]) -> Vec<Vary> {
        texts.iter().map(|text| Vary::read(text).unwrap()).collect()
    }

    #[test]
    fn every_usual_value_is_one_that_the_language_takes() {
        for (path, values) in USUAL {
            assert!(WORDS.contains(path), "{path}");
            for value in values.split(' ') {
                let mut words = Value::Object(Map::new());
                set(&mut words, path, &typed(value));
                let read = sheet::read(&words).unwrap_or_else(|wrong| panic!("{path}: {wrong:?}"));
                let again = sheet::words(&read);
                let usual = sheet::words(&Strategy::default());
                assert!(again != usual || read == Strategy::default(), "{path}={value}");
            }
        }
    }

    #[test]
    fn a_choice_sets_words_and_leaves_the_others() {
        let start = strategy(r#"{ "retries": 2, "backoff": { "base": "500ms" } }"#);
        let vary = vary(&["retries=1,4", "budget.aws.cost=7"]);
        let space = Space::new(&start, &[], &vary).unwrap();
        assert_eq!(space.strategy(&space.as_it_is()).unwrap(), start);
        let mut choice = space.as_it_is();
        for (path, place) in [("retries", 2), ("budget.aws.cost", 1)] {
            let index = space.dials().iter().position(|dial| dial.path == path).unwrap();
            choice[index] = place;
        }
        let about = "tuned: retries, budget.aws.cost";
        let expected = strategy(&format!(
            r#"{{ "about": "{about}", "retries": 4, "backoff": {{ "base": "500ms" }},
                 "budget": {{ "aws": {{ "cost": 7 }} }} }}"#
        ));
        assert_eq!(space.strategy(&choice).unwrap(), expected);
    }

    #[test]
    fn another_kind_of_budget_takes_the_place_of_the_first() {
        let start = strategy(r#"{ "budget": { "aws": { "cost": 3 } } }"#);
        let space = Space::new(&start, &[], &vary(&["budget.ratio.share=5%"])).unwrap();
        let mut choice = space.as_it_is();
        *choice.last_mut().unwrap() = 1;
        let words = sheet::words(&space.strategy(&choice).unwrap());
        assert_eq!(words["budget"], serde_json::json!({ "ratio": { "share": "5%" } }));
    }

    #[test]
    fn what_cannot_be_varied_is_told_with_the_way_out() {
        let start = library::strategies()["full-jitter"].clone();
        let refused = |texts: &[&str]| {
            Space::new(&start, &[], &vary(texts)).map(|_| ()).unwrap_err().to_string()
        };
        let unknown = refused(&["backoff.bse=1s"]);
        assert!(
            unknown.starts_with("a strategy has no word `backoff.bse` to vary; it has "),
            "{unknown}"
        );
        assert!(unknown.contains("`backoff.base`, ") && unknown.contains("`budget.aws.cost`, "));
        assert!(!unknown.contains("`about`") && !unknown.contains("`backoff`,"), "{unknown}");
        assert_eq!(
            refused(&["retries=1", "retries=2"]),
            "`retries` is varied twice; put all its values into one list"
        );
        for (text, start) in [
            ("backoff.base=250", "`backoff.base` cannot be `250`: "),
            ("backoff.base=fast", "`backoff.base` cannot be `fast`: "),
            ("retries=101", "`retries` cannot be `101`: "),
            ("backoff.jitter=some", "`backoff.jitter` cannot be `some`: "),
            (
                "timeouts.call=0s",
                "`timeouts.call` cannot be `0s`: the `call` timeout of 0s is over",
            ),
            (
                "backoff.base=2h",
                "`backoff.base` cannot be `2h`: backoff base 2h is longer than its cap",
            ),
        ] {
            let said = refused(&[text]);
            assert!(said.starts_with(start), "{said}");
        }
        // Beside a longer cap it can be.
        assert!(Space::new(&start, &[], &vary(&["backoff.base=40s", "backoff.cap=90s"])).is_ok());
        for text in ["retries", "retries=", "retries=1,,2"] {
            assert!(Vary::read(text).unwrap_err().starts_with("a word is varied"), "{text}");
        }
    }

    #[test]
    fn neighbours_differ_in_one_word_and_what_takes_a_change_back_comes_first() {
        let start = strategy("{}");
        let space = Space::new(&start, &[], &[]).unwrap();
        let choice = space.draw(Draws::new(7), 0);
        let neighbours = space.neighbours(&choice);
        for neighbour in &neighbours {
            let differing = neighbour.iter().zip(&choice).filter(|(one, other)| one != other);
            assert_eq!(differing.count(), 1);
        }
        let changes = space.changes(&choice).count();
        assert!(changes > 5, "{changes}");
        for neighbour in &neighbours[..changes] {
            assert_eq!(space.changes(neighbour).count(), changes - 1);
        }
    }
}
