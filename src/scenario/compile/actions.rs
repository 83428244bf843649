//! One action: settings that contradict each other, and requests that it cannot happen to.

use std::{collections::BTreeSet, time::Duration};

use mock_server::{
    action::{Action, HintForm},
    catalog::{self, Place},
    plan::{Route, When},
    units::Span,
};

use super::Checker;
use crate::scenario::{
    diagnostic::{Diagnostic, quote, quote_all},
    document::Client,
    tree::Step,
};

impl Checker<'_> {
    /// A fault, or a step of a script.
    pub(super) fn action(
        &mut self,
        path: &[Step<'_>],
        action: &Action,
        when: &When,
        client: &Client,
    ) {
        let within =
            |key: &'static str| [path, &[Step::Key(action.name()), Step::Key(key)]].concat();
        if let Action::Answer(answer) = action {
            let given = [
                ("call", answer.call.is_some()),
                ("text", answer.text.is_some()),
                ("tokens", answer.tokens.is_some()),
            ];
            let given = given.into_iter().filter(|(_, given)| *given).map(|(key, _)| within(key));
            self.only_one(&given.collect::<Vec<_>>(), "this already says what is answered");
        }
        match action.hint() {
            None if self.tree.at(&within("hint")).is_some() => {
                let message = "`hint` has no wait to announce".to_owned();
                let help = "set `retry-after`, or leave `hint` out";
                self.at_key(&within("hint"), message, help);
            }
            Some((wait, _)) if wait.0.is_zero() => {
                let message = "a `retry-after` of 0s asks for no wait".to_owned();
                let help = "let it be longer, or leave it out for an error without a hint";
                self.at(&within("retry-after"), message, help);
            }
            Some((wait, HintForm::Date)) if wait < DATED_MIN => {
                let message =
                    format!("a date has whole seconds, too coarse to judge a wait of {wait}");
                let help = "let it be at least `2s`, or write `hint: milliseconds`";
                self.at(&within("retry-after"), message, help);
            }
            _ => {}
        }
        self.suits(path, action, when, client);
        self.known(path, action, when);
    }

    /// Whether any provider whose requests match answers with the error.
    fn known(&mut self, path: &[Step<'_>], action: &Action, when: &When) {
        let mut matching = routes(when).peekable();
        if matching.peek().is_none() || matching.any(|route| catalog::knows(route, action)) {
            return;
        }
        let within = [path, &[Step::Key(action.name()), Step::Key("case")]].concat();
        let (kind, place) = match action {
            Action::StreamError(error) => (Some(error.error), Place::Stream),
            action => (action.error(), Place::Answer),
        };
        let cases: BTreeSet<&str> = catalog::entries()
            .filter(|entry| Some(entry.kind()) == kind && entry.place() == place)
            .filter(|entry| entry.routes().any(|route| routes(when).any(|other| other == route)))
            .map(|entry| entry.case())
            .collect();
        let whose = match (when.route, when.provider) {
            (Some(route), _) => format!("`{}`", route.name()),
            (None, Some(provider)) => format!("`{}`", provider.name()),
            (None, None) => "any provider".to_owned(),
        };
        match action.case() {
            Some(case) if !cases.is_empty() => {
                let message =
                    format!("no `{}` of {whose} is called {}", action.name(), quote(case));
                let cases = quote_all(cases, "or");
                let help = format!("write {cases}, or leave it out for the usual one");
                self.at(&within, message, &help);
            }
            _ => {
                let message = match action {
                    Action::StreamError(error) => {
                        format!("{whose} sends no `{}` inside a stream", error.error.name())
                    }
                    action => format!("{whose} knows no `{}`", action.name()),
                };
                let message = message.replace("any provider sends no", "no provider sends");
                let help = "`brownout catalog` lists what each provider fails with";
                self.at(path, message, help);
            }
        }
    }

    /// Whether any request that matches can meet the action on the wire.
    fn suits(&mut self, path: &[Step<'_>], action: &Action, when: &When, client: &Client) {
        let cannot = |streaming: bool| {
            let kind = if streaming { "a stream" } else { "an answer that is no stream" };
            format!("`{}` cannot happen to {kind}", action.name())
        };
        if let Some(streaming) = when.streaming
            && !action.suits(streaming)
        {
            let help = "change `streaming`, or choose another fault";
            self.at(path, cannot(streaming), help);
        } else if client.only && !action.suits(client.streaming) {
            // A command may stream or not; only the built-in client is known.
            let key = if client.streaming { "streaming" } else { "only" };
            let note = self.tree.key_place(&[Step::Key("client"), Step::Key(key)]);
            let (says, help) = if client.streaming {
                ("only this client runs, and it asks for streams", "leave it out")
            } else {
                ("only this client runs, and it asks for no streams", "write `streaming: true`")
            };
            let diagnostic = Diagnostic::new(cannot(client.streaming), self.tree.place(path))
                .note(note, says)
                .help(format!("{help} under `client`, or choose another fault"));
            self.diagnostics.push(diagnostic);
        }
    }
}

/// The routes of the requests that may meet the conditions.
pub(super) fn routes(when: &When) -> impl Iterator<Item = Route> + use<> {
    let (only, provider) = (when.route, when.provider);
    Route::ALL.iter().copied().filter(move |route| {
        only.is_none_or(|only| only == *route)
            && provider.is_none_or(|provider| provider == route.provider())
    })
}

/// The shortest wait that a date can announce: of one second, rounding leaves nothing.
const DATED_MIN: Span = Span(Duration::from_secs(2));
