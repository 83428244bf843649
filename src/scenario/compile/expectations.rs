//! What should hold: expectations that could not fail, could not hold, or say nothing new.

use mock_server::{
    action::ErrorKind,
    plan::{Act, ProviderName, Rule},
    units::Span,
};

use super::Checker;
use crate::scenario::{
    document::{Count, Document, Expectation, Peak, ShareIn, Waits},
    tree::Step,
};

impl Checker<'_> {
    pub(super) fn expectation(
        &mut self,
        index: usize,
        expectation: &Expectation,
        document: &Document,
        rules: &[Rule],
    ) {
        let path = [Step::Key("expect"), Step::Index(index), Step::Key(expectation.name())];
        match expectation {
            Expectation::Attempts(count) | Expectation::TotalAttempts(count) => {
                self.count(&path, *count);
            }
            Expectation::NotRetried(kind) => {
                if !can_serve(*kind, document, rules) {
                    let message = format!("nothing in this scenario answers `{}`", kind.name());
                    self.at(&path, message, "add a rule that does, or drop the expectation");
                }
            }
            Expectation::Order(providers) => {
                if providers.len() < 2 {
                    let message = "an order has at least two providers".to_owned();
                    self.at(&path, message, "write it like `order: [openai, anthropic]`");
                }
                let item = |index| [path[0], path[1], path[2], Step::Index(index)];
                for (index, provider) in providers.iter().enumerate() {
                    if let Some(first) = providers[..index].iter().position(|one| one == provider) {
                        let message = format!("`{}` stands in the order twice", provider.name());
                        let help = "name each provider once, where a call first tries it";
                        self.twice(&item(index), &item(first), message, help);
                    }
                }
            }
            Expectation::ServedBy(shares) => {
                if shares.is_empty() {
                    let help = "write it like `served-by: { anthropic: { at-least: 95% } }`";
                    self.at_key(&path, "no provider is named".to_owned(), help);
                }
                for (provider, share) in shares {
                    let path = [path[0], path[1], path[2], Step::Key(provider.name())];
                    self.share(&path, share);
                }
            }
            Expectation::Success(share) => self.share(&path, share),
            Expectation::TotalTime(bounds) => match (bounds.at_least, bounds.at_most) {
                (None, None) => {
                    let message = "no bound is given".to_owned();
                    self.at_key(&path, message, "give `at-least` or `at-most`");
                }
                (Some(least), Some(most)) if most < least => {
                    let message = format!("nothing is at least {least} and at most {most}");
                    self.at(&path, message, "let `at-most` be longer");
                }
                _ => {}
            },
            Expectation::Waits(Waits::Backoff(formula)) if formula.cap < formula.base => {
                let (base, cap) = (formula.base, formula.cap);
                let message = format!("backoff base {base} is longer than its cap {cap}");
                self.at(&path, message, "let the cap be at least the base");
            }
            Expectation::Peak(peak) if peak.r#for.0.is_zero() => {
                let message = "a window of 0s has no busiest second".to_owned();
                let path = [path[0], path[1], path[2], Step::Key("for")];
                self.at(&path, message, "let `for` be at least `1s`");
            }
            Expectation::Amplification(_)
            | Expectation::Outcome(_)
            | Expectation::Peak(_)
            | Expectation::Waits(_) => {}
        }
    }

    /// Expectations that say the same again, or something else about the same.
    pub(super) fn expected_twice(&mut self, expected: &[Expectation]) {
        let mut seen: Vec<(Claim, usize)> = Vec::new();
        for (index, expectation) in expected.iter().enumerate() {
            for claim in claims(expectation) {
                let Some((_, first)) = seen.iter().find(|(one, _)| *one == claim) else {
                    seen.push((claim, index));
                    continue;
                };
                let name = expectation.name();
                let path = |index| {
                    let mut path = vec![Step::Key("expect"), Step::Index(index), Step::Key(name)];
                    if let Claim::ServedBy(provider, ..) = claim {
                        path.push(Step::Key(provider.name()));
                    }
                    path
                };
                let (message, help) = match claim {
                    Claim::NotRetried(kind) => (
                        format!("`not-retried: {}` is expected twice", kind.name()),
                        "keep one of the two",
                    ),
                    Claim::Bounds(_) => (
                        format!("`{name}` is expected twice"),
                        "keep one of the two; it can have both bounds",
                    ),
                    Claim::Kind(_) => {
                        (format!("`{name}` is expected twice"), "keep one of the two")
                    }
                    Claim::Waits(_) => {
                        ("the same waits are expected twice".to_owned(), "keep one of the two")
                    }
                    Claim::Peak(..) | Claim::ServedBy(..) | Claim::Success(..) => (
                        format!("`{name}` is expected twice in the same window"),
                        "keep one of the two, or give them different windows",
                    ),
                };
                self.twice(&path(index), &path(*first), message, help);
            }
        }
    }

    fn count(&mut self, path: &[Step<'_>], count: Count) {
        let Count { exactly, at_least, at_most } = count;
        let problem = match (exactly, at_least, at_most) {
            (None, None, None) => {
                Some(("no bound is given".to_owned(), "give `exactly`, `at-least` or `at-most`"))
            }
            (Some(_), Some(_), _) | (Some(_), _, Some(_)) => Some((
                "`exactly` leaves nothing for another bound to say".to_owned(),
                "drop the other bound",
            )),
            (_, Some(0), None) => {
                Some(("`at-least: 0` cannot fail".to_owned(), "expect at least 1, or drop it"))
            }
            (_, Some(least), Some(most)) if most < least => Some((
                format!("nothing is at least {least} and at most {most}"),
                "let `at-most` be larger",
            )),
            _ => None,
        };
        if let Some((message, help)) = problem {
            self.at_key(path, message, help);
        }
    }

    fn share(&mut self, path: &[Step<'_>], share: &ShareIn) {
        if share.at_least.ppm == 0 {
            self.at(path, "`at-least: 0%` cannot fail".to_owned(), "expect more, or drop it");
        }
        self.window(path, share.from, share.until);
    }
}

/// What an expectation is about; two about the same contradict or repeat each other.
#[derive(Clone, Copy, PartialEq)]
enum Claim {
    /// A number of the run, by its key.
    Bounds(&'static str),
    /// Something that a run has one of, by its key.
    Kind(&'static str),
    NotRetried(ErrorKind),
    Peak(Span, Span),
    ServedBy(ProviderName, Option<Span>, Option<Span>),
    Success(Option<Span>, Option<Span>),
    /// Whether the waits are those of a formula.
    Waits(bool),
}

fn claims(expectation: &Expectation) -> Vec<Claim> {
    match expectation {
        Expectation::Attempts(_) | Expectation::TotalAttempts(_) | Expectation::TotalTime(_) => {
            vec![Claim::Bounds(expectation.name())]
        }
        Expectation::Amplification(_) | Expectation::Order(_) | Expectation::Outcome(_) => {
            vec![Claim::Kind(expectation.name())]
        }
        Expectation::NotRetried(kind) => vec![Claim::NotRetried(*kind)],
        Expectation::Peak(Peak { from, r#for, .. }) => vec![Claim::Peak(*from, *r#for)],
        Expectation::ServedBy(shares) => shares
            .iter()
            .map(|(provider, share)| Claim::ServedBy(*provider, share.from, share.until))
            .collect(),
        Expectation::Success(share) => vec![Claim::Success(share.from, share.until)],
        Expectation::Waits(waits) => vec![Claim::Waits(matches!(waits, Waits::Backoff(_)))],
    }
}

/// Whether a rule, or the provider in health, can answer with an error.
fn can_serve(kind: ErrorKind, document: &Document, rules: &[Rule]) -> bool {
    let scripted = rules.iter().any(|rule| match &rule.act {
        Act::Fault(action) => action.error() == Some(kind),
        Act::Script { steps, .. } => steps.iter().any(|step| step.error() == Some(kind)),
    });
    let provider = &document.provider;
    let by_itself = match kind {
        ErrorKind::ContextLength => true,
        ErrorKind::NotFound => !provider.models.is_empty(),
        ErrorKind::Overloaded => provider.capacity.is_some(),
        ErrorKind::RateLimited => provider.quota.limits_something(),
        _ => false,
    };
    scripted || by_itself
}
