//! From a document to a plan, and everything that the types cannot forbid.

mod actions;
mod client;
mod expectations;
mod provider;
mod rules;
mod shadow;

use std::{
    cmp::Ordering,
    sync::{Arc, LazyLock},
};

use indexmap::IndexMap;
use mock_server::{
    plan::{ConnectionAct, ConnectionRule, LaneKey, Limits, Plan, Rule},
    units::Span,
};
use schemars::schema_for;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::client::limits;

use super::{
    Scenario,
    decode::decode,
    diagnostic::Diagnostic,
    document::{BuiltIn, ConnectionEntry, Document, check_format},
    shape::{self, Mistake},
    source::Source,
    strategy::{Strategy, StrategyFile},
    tree::{self, Node, Step},
};

/// The version of the language that this program speaks.
const VERSION: u32 = 1;

/// The most rules of a scenario.
const RULES_MAX: usize = 1_000;

/// The schema of the language, made from its types.
static SCHEMA: LazyLock<Value> = LazyLock::new(|| schema_for!(Document).to_value());

/// Reads a scenario, or tells everything that is wrong with it.
pub(super) fn scenario(
    id: &str,
    address: &str,
    source: Source,
) -> Result<Scenario, Vec<Diagnostic>> {
    let (root, mut document): (Node, Document) = typed(&source, &SCHEMA)?;
    let mut checker = Checker { tree: &root, diagnostics: Vec::new() };
    let plan = checker.document(&document);
    if !checker.diagnostics.is_empty() {
        return Err(checker.diagnostics);
    }
    document.client.limits = limits(&document.client.limits, &plan.provider.quota);
    Ok(Scenario {
        id: id.to_owned(),
        address: address.to_owned(),
        source: Arc::new(source),
        document,
        plan: Arc::new(plan),
        tree: Arc::new(root),
    })
}

/// Reads strategies, each under its name, or tells everything that is wrong with them.
pub(super) fn strategies(source: &Source) -> Result<IndexMap<String, Strategy>, Vec<Diagnostic>> {
    static SCHEMA: LazyLock<Value> = LazyLock::new(|| schema_for!(StrategyFile).to_value());
    let (root, file): (Node, StrategyFile) = typed(source, &SCHEMA)?;
    let mut checker = Checker { tree: &root, diagnostics: Vec::new() };
    checker.version(file.brownout);
    for (name, strategy) in &file.strategies {
        checker.strategy(strategy, &[Step::Key("strategies"), Step::Key(name)]);
    }
    if checker.diagnostics.is_empty() { Ok(file.strategies) } else { Err(checker.diagnostics) }
}

/// A text as a value of a type, with its tree; or every structural mistake in it.
fn typed<T: DeserializeOwned>(
    source: &Source,
    schema: &Value,
) -> Result<(Node, T), Vec<Diagnostic>> {
    let parsed = tree::parse(source);
    let mut diagnostics = parsed.diagnostics;
    let Some(root) = parsed.root else { return Err(diagnostics) };
    let formats = |format: &str, text: &str| {
        check_format(format, text).map(|checked| {
            checked.map_err(|mistake| Mistake {
                message: mistake.message.to_owned(),
                help: Some(mistake.help),
            })
        })
    };
    diagnostics.extend(shape::check(&root, schema, &formats));
    if !diagnostics.is_empty() {
        return Err(diagnostics);
    }
    let value = decode(&root).map_err(|diagnostic| vec![diagnostic])?;
    Ok((root, value))
}

/// Collects what is wrong with the meaning of a document.
struct Checker<'a> {
    tree: &'a Node,
    diagnostics: Vec<Diagnostic>,
}

impl Checker<'_> {
    fn document(&mut self, document: &Document) -> Plan {
        self.version(document.brownout);
        if document.name.trim().is_empty() {
            let help = "say what the scenario claims, in one line";
            self.at(&[Step::Key("name")], "the name is empty".to_owned(), help);
        }
        if document.time_limit.is_some_and(|limit| limit.0.is_zero()) {
            let message = "a time limit of 0s leaves no time".to_owned();
            self.at(&[Step::Key("time-limit")], message, "give the client some, or leave it out");
        }
        self.provider(&document.provider);
        if document.rules.len() > RULES_MAX {
            let message = format!("{} rules are more than {RULES_MAX}", document.rules.len());
            self.at(&[Step::Key("rules")], message, "split the scenario");
        }
        let rules: Vec<Rule> = (0..)
            .zip(&document.rules)
            .filter_map(|(index, rule)| self.rule(index, rule, &document.client))
            .collect();
        if rules.len() == document.rules.len() {
            self.shadowed(&rules);
        }
        let connections = (0..).zip(&document.connections);
        let connections = connections.map(|(index, entry)| self.connection(index, entry)).collect();
        self.client(&document.client);
        let expected = document.expect.as_deref().unwrap_or_default();
        for (index, expectation) in expected.iter().enumerate() {
            self.expectation(index, expectation, document, &rules);
        }
        self.expected_twice(expected);
        if document.expect.as_ref().is_some_and(Vec::is_empty) {
            let help = "name what should hold, or leave `expect` out for the house rules";
            self.at(&[Step::Key("expect")], "nothing is expected".to_owned(), help);
        }
        self.allowed(&document.allow);
        self.lanes(document);
        let (provider, lanes) = (document.provider.clone(), document.lanes);
        Plan { provider, connections, rules, lanes, limits: Limits::default() }
    }

    /// The version of the language is one that this program speaks.
    fn version(&mut self, version: u32) {
        if version != VERSION {
            let message = format!("there is no version {version} of the language");
            self.at(&[Step::Key("brownout")], message, "write `brownout: 1`");
        }
    }

    /// A port that refuses connections refuses those of all lanes.
    fn lanes(&mut self, document: &Document) {
        if document.lanes == LaneKey::ByKey && !document.connections.is_empty() {
            let place = self.tree.key_place(&[Step::Key("lanes")]);
            let message = "lanes share their port, and `connections` hold for all of it".to_owned();
            let diagnostic = Diagnostic::new(message, place)
                .note(self.tree.key_place(&[Step::Key("connections")]), "these are no lane's own")
                .help("leave one of them out");
            self.diagnostics.push(diagnostic);
        }
    }

    /// Findings are allowed once each.
    fn allowed(&mut self, allowed: &[BuiltIn]) {
        for (index, finding) in allowed.iter().enumerate() {
            if let Some(first) = allowed[..index].iter().position(|other| other == finding) {
                let item = |index| [Step::Key("allow"), Step::Index(index)];
                let message = format!("`{}` is allowed twice", finding.name());
                self.twice(&item(index), &item(first), message, "keep one of the two");
            }
        }
    }

    fn connection(&mut self, index: usize, entry: &ConnectionEntry) -> ConnectionRule {
        let path = [Step::Key("connections"), Step::Index(index), Step::Key("when")];
        let within = |key: &'static str| [path[0], path[1], path[2], Step::Key(key)];
        let when = entry.when;
        self.window(&path, when.from, when.until);
        if entry.fault == ConnectionAct::Refuse {
            if when.nth.is_some() {
                let message = "a refused connection cannot be counted: nothing listens".to_owned();
                self.at_key(&within("nth"), message, "give a window with `from` and `until`");
            } else if when.from.is_none_or(|from| from.0.is_zero()) {
                // The window counts from the first request, and no request would come.
                let message = "every connection is refused before the first request".to_owned();
                self.at_key(
                    &path[..2],
                    message,
                    "let it begin later, such as `when: { from: 1s }`",
                );
            }
        }
        ConnectionRule {
            from: when.from.map(|span| span.0),
            until: when.until.map(|span| span.0),
            nth: when.nth,
            act: entry.fault,
        }
    }

    /// A window of time that has no moment in it, under the path of its map.
    fn window(&mut self, path: &[Step<'_>], from: Option<Span>, until: Option<Span>) {
        let Some(until) = until else { return };
        let from = from.unwrap_or_default();
        let message = match until.cmp(&from) {
            Ordering::Equal => format!("the window ends at {until}, as soon as it begins"),
            Ordering::Greater => return,
            Ordering::Less => format!("the window ends at {until}, before it begins at {from}"),
        };
        let help = if from.0.is_zero() {
            "let `until` be later than `0s`, or leave it out"
        } else {
            "let `until` be later than `from`"
        };
        self.at(&[path, &[Step::Key("until")]].concat(), message, help);
    }

    /// Keys of one map that exclude each other: every one behind the first is a mistake.
    fn only_one(&mut self, paths: &[Vec<Step<'_>>], note: &str) {
        let mut ordered: Vec<_> =
            paths.iter().map(|path| (self.tree.key_place(path), path.last())).collect();
        ordered.sort_by_key(|(place, _)| place.start);
        let [(first, Some(Step::Key(key))), others @ ..] = ordered.as_slice() else { return };
        for (place, other) in others {
            let Some(Step::Key(other)) = other else { continue };
            let diagnostic =
                Diagnostic::new(format!("`{other}` cannot stand beside `{key}`"), place.clone())
                    .note(first.clone(), note)
                    .help("choose one of them");
            self.diagnostics.push(diagnostic);
        }
    }

    /// A value that has been given before.
    fn twice(&mut self, path: &[Step<'_>], first: &[Step<'_>], message: String, help: &str) {
        let diagnostic = Diagnostic::new(message, self.tree.key_place(path))
            .note(self.tree.key_place(first), "first here")
            .help(help);
        self.diagnostics.push(diagnostic);
    }

    /// A mistake in a value.
    fn at(&mut self, path: &[Step<'_>], message: String, help: &str) {
        let diagnostic = Diagnostic::new(message, self.tree.place(path)).help(help);
        self.diagnostics.push(diagnostic);
    }

    /// A mistake that the key stands for better than its value.
    fn at_key(&mut self, path: &[Step<'_>], message: String, help: &str) {
        let diagnostic = Diagnostic::new(message, self.tree.key_place(path)).help(help);
        self.diagnostics.push(diagnostic);
    }
}
