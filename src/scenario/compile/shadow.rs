//! Rules behind others that leave them nothing to act on.

use mock_server::{
    action::Action,
    catalog,
    plan::{Act, Pick, Route, Rule, Then, When, matches},
    units::{Ordinals, Portion, Share},
};

use super::{Checker, actions::routes};
use crate::scenario::{diagnostic::Diagnostic, tree::Step};

impl Checker<'_> {
    /// A rule behind one that takes all of its requests first can never act.
    pub(super) fn shadowed(&mut self, rules: &[Rule]) {
        for (later, rule) in rules.iter().enumerate() {
            if let Some(earlier) = rules[..later].iter().position(|earlier| takes(earlier, rule)) {
                let place = |index| self.tree.key_place(&[Step::Key("rules"), Step::Index(index)]);
                let diagnostic = Diagnostic::new("this rule can never act", place(later))
                    .note(place(earlier), "takes its requests first")
                    .help("merge the two, or let the first match less");
                self.diagnostics.push(diagnostic);
            }
        }
    }
}

/// Whether a rule acts on every request that a later one could act on.
fn takes(earlier: &Rule, later: &Rule) -> bool {
    let acts = |streaming: bool| {
        earlier.when.streaming.is_none_or(|only| only == streaming)
            && match &earlier.act {
                Act::Fault(fault) => meets_all(fault, &later.when, streaming),
                Act::Script { then: Then::Healthy, .. } => false,
                Act::Script { steps, .. } => {
                    steps.iter().all(|step| meets_all(step, &later.when, streaming))
                }
            }
    };
    let could_act = |streaming: bool| {
        later.when.streaming.is_none_or(|only| only == streaming)
            && match &later.act {
                Act::Fault(fault) => fault.suits(streaming),
                Act::Script { steps, .. } => steps.iter().any(|step| step.suits(streaming)),
            }
    };
    picks_all(earlier.pick)
        && implies(&later.when, &earlier.when)
        && [true, false].into_iter().filter(|streaming| could_act(*streaming)).all(acts)
}

/// Whether a rule acts on every hit.
fn picks_all(pick: Pick) -> bool {
    match pick {
        Pick::Always | Pick::Every(1) | Pick::Hits(Ordinals { first: 1, last: None }) => true,
        Pick::Chance(chance) => chance == Share::ALL,
        Pick::Exactly(Portion { count, of }) => count == of,
        Pick::Every(_) | Pick::Hits(_) => false,
    }
}

/// Whether an action meets every request that meets the conditions, and does or does not stream.
fn meets_all(action: &Action, when: &When, streaming: bool) -> bool {
    let known = routes(when).all(|route| catalog::knows(route, action));
    match action {
        // A request that fits the window is not acted on.
        Action::ContextLength(settings) => known && settings.window.is_none(),
        action => known && action.suits(streaming),
    }
}

/// Whether every request that meets the first conditions meets the second as well, apart from
/// whether it streams.
fn implies(narrow: &When, wide: &When) -> bool {
    let provider = narrow.provider.or(narrow.route.map(Route::provider));
    let header = |name: &str| {
        narrow.header.iter().find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, p)| p)
    };
    wide.route.is_none_or(|route| narrow.route == Some(route))
        && wide.provider.is_none_or(|wide| provider == Some(wide))
        && covers(wide.model.as_ref(), narrow.model.as_ref())
        && covers(wide.key.as_ref(), narrow.key.as_ref())
        && wide.header.iter().all(|(name, pattern)| covers(Some(pattern), header(name)))
        && wide.body.iter().all(|(path, pattern)| covers(Some(pattern), narrow.body.get(path)))
        && wide.from.is_none_or(|from| from <= narrow.from.unwrap_or_default())
        && wide.until.is_none_or(|until| narrow.until.is_some_and(|narrow| narrow <= until))
}

/// Whether a pattern matches all that another one matches.
///
/// A `*` of the narrow pattern is met only by a `*` of the wide one, and so is what it stands for.
fn covers(wide: Option<&String>, narrow: Option<&String>) -> bool {
    match (wide, narrow) {
        (None, _) => true,
        (Some(wide), Some(narrow)) => matches(wide, narrow),
        (Some(_), None) => false,
    }
}

#[cfg(test)]
mod tests {
    use mock_server::{plan::ProviderName, units::Span};

    use super::*;

    fn when(set: impl FnOnce(&mut When)) -> When {
        let mut when = When::default();
        set(&mut when);
        when
    }

    #[test]
    fn conditions_imply_those_that_are_wider() {
        let second = |seconds| Some(Span(std::time::Duration::from_secs(seconds)));
        let openai = when(|when| when.provider = Some(ProviderName::OpenAi));
        let chat = when(|when| when.route = Some(Route::OpenAiChat));
        let early = when(|when| (when.from, when.until) = (second(1), second(2)));
        let long = when(|when| (when.from, when.until) = (second(0), second(9)));
        let mini = when(|when| when.model = Some("gpt-4o-*".to_owned()));
        let gpt = when(|when| when.model = Some("gpt*".to_owned()));
        let upper = when(|when| drop(when.header.insert("X-A".to_owned(), "1".to_owned())));
        let lower = when(|when| drop(when.header.insert("x-a".to_owned(), "*".to_owned())));
        let all = When::default();
        for (narrow, wide) in [(&chat, &openai), (&early, &long), (&mini, &gpt), (&upper, &lower)] {
            assert!(implies(narrow, wide) && implies(narrow, &all), "{narrow:?} {wide:?}");
            assert!(implies(narrow, narrow), "{narrow:?}");
            assert!(!implies(wide, narrow) && !implies(&all, wide), "{wide:?} {narrow:?}");
        }
    }
}
