//! Rules: what they match, which hits they act on, and what they do.

use mock_server::{
    action::Action,
    plan::{Act, Pick, Rule, Scope, When},
};

use super::Checker;
use crate::scenario::{
    diagnostic::quote,
    document::{Client, RuleEntry},
    tree::Step,
};

/// The most steps of a script, repetitions not counted.
const STEPS_MAX: usize = 10_000;

impl Checker<'_> {
    pub(super) fn rule(
        &mut self,
        index: usize,
        entry: &RuleEntry,
        client: &Client,
    ) -> Option<Rule> {
        let path = [Step::Key("rules"), Step::Index(index)];
        let within = |key: &'static str| [path[0], path[1], Step::Key(key)];
        self.when(&path, &entry.when);
        let picks: Vec<(&'static str, Pick)> = [
            ("hits", entry.hits.map(Pick::Hits)),
            ("every", entry.every.map(Pick::Every)),
            ("exactly", entry.exactly.map(Pick::Exactly)),
            ("chance", entry.chance.map(Pick::Chance)),
        ]
        .into_iter()
        .filter_map(|(key, pick)| Some((key, pick?)))
        .collect();
        let keys: Vec<_> = picks.iter().map(|(key, _)| within(key).to_vec()).collect();
        self.only_one(&keys, "this already says which hits");
        if entry.chance.is_some_and(|chance| chance.ppm == 0) {
            let message = "a chance of 0% never acts".to_owned();
            self.at(&within("chance"), message, "let it be larger, or remove the rule");
        }
        if entry.draw.is_some() && entry.chance.is_none() && entry.exactly.is_none() {
            let message = "`draw` names a draw that is not taken".to_owned();
            self.at_key(&within("draw"), message, "give the rule a `chance`, or leave `draw` out");
        }
        let act = match (&entry.fault, &entry.script) {
            (Some(fault), None) => {
                self.fault(&within("fault"), fault, &entry.when, client);
                if entry.then.is_some() {
                    let message = "`then` has no script to follow".to_owned();
                    self.at_key(
                        &within("then"),
                        message,
                        "a fault acts each time; leave `then` out",
                    );
                }
                Act::Fault(fault.clone())
            }
            (None, Some(steps)) => {
                self.script(&within("script"), steps, &entry.when, client);
                let then = entry.then.unwrap_or_default();
                Act::Script { steps: steps.clone(), then }
            }
            (None, None) => {
                let message = "this rule does nothing".to_owned();
                self.at_key(&path, message, "give it a `fault` or a `script`");
                return None;
            }
            (Some(_), Some(_)) => {
                let message = "`script` cannot stand beside `fault`".to_owned();
                let help = "make the fault a step, or a rule of its own";
                self.at_key(&within("script"), message, help);
                return None;
            }
        };
        let per = entry.per.unwrap_or(match act {
            Act::Fault(_) => Scope::Lane,
            Act::Script { .. } => Scope::Call,
        });
        let pick = picks.first().map_or(Pick::Always, |(_, pick)| *pick);
        let (when, draw) = (entry.when.clone(), entry.draw.clone());
        Some(Rule { when, pick, per, act, draw })
    }

    fn when(&mut self, rule: &[Step<'_>; 2], when: &When) {
        let within = |key: &'static str| [rule[0], rule[1], Step::Key("when"), Step::Key(key)];
        self.window(&[rule[0], rule[1], Step::Key("when")], when.from, when.until);
        for (key, pattern) in [("model", &when.model), ("key", &when.key)] {
            if pattern.as_ref().is_some_and(String::is_empty) {
                let message = format!("the empty `{key}` matches no request");
                self.at(&within(key), message, "write a pattern, such as `\"*\"` for any text");
            }
        }
        for name in when.header.keys().filter(|name| !is_token(name)) {
            let path = [&within("header")[..], &[Step::Key(name)]].concat();
            let message = match name.as_str() {
                "" => "a header has no name".to_owned(),
                name => format!("no request has a header called {}", quote(name)),
            };
            self.at_key(&path, message, "name it with letters, digits and `-`");
        }
        if when.body.contains_key("") {
            let path = [&within("body")[..], &[Step::Key("")]].concat();
            let message = "an empty path leads nowhere in the body".to_owned();
            self.at_key(&path, message, "write it like `messages.0.role`");
        }
        if let (Some(route), Some(provider)) = (when.route, when.provider)
            && route.provider() != provider
        {
            let message =
                format!("no request to `{}` is one to `{}`", route.name(), provider.name());
            self.at(&within("provider"), message, "leave `provider` out; the route says it");
        }
    }

    fn fault(&mut self, path: &[Step<'_>], fault: &Action, when: &When, client: &Client) {
        if let Action::Answer(_) = fault {
            let help = "make it a step of a `script`, or set `provider: { answers: … }`";
            self.at(path, "`answer` is no fault".to_owned(), help);
        }
        if fault.times() != 1 {
            let help = "leave `times` out, or write it in a `script`";
            self.at(path, "`times` repeats a step, and a fault acts each time".to_owned(), help);
        }
        self.action(path, fault, when, client);
    }

    fn script(&mut self, path: &[Step<'_>; 3], steps: &[Action], when: &When, client: &Client) {
        if steps.is_empty() {
            let help = "list its steps, such as `- rate-limited`";
            self.at_key(path, "the script has no step".to_owned(), help);
        }
        if steps.len() > STEPS_MAX {
            let message = format!("{} steps are more than {STEPS_MAX}", steps.len());
            self.at_key(path, message, "repeat steps with `times`");
        }
        for (index, step) in steps.iter().enumerate() {
            let path = [path[0], path[1], path[2], Step::Index(index)];
            self.action(&path, step, when, client);
        }
    }
}

/// Whether a text is a token, as the names of headers are
/// ([RFC 9110 §5.6.2](https://www.rfc-editor.org/rfc/rfc9110#section-5.6.2)).
fn is_token(text: &str) -> bool {
    let of_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(of_token)
}
