//! From a document to a plan, and everything that the types cannot forbid.

use std::sync::{Arc, LazyLock};

use mock_server::{
    action::{Action, ErrorKind},
    plan::{
        Act, ConnectionAct, ConnectionRule, Limits, Pick, Plan, ProviderName, Rule, Scope, Then,
        When,
    },
};
use serde_json::Value;

use super::{
    Scenario,
    decode::decode,
    diagnostic::{Diagnostic, quote},
    document::{self, Client, Count, Document, Expectation, RuleEntry, check_format},
    shape::{self, Mistake},
    source::Source,
    tree::{self, Node, Step},
};

/// The version of the language that this program speaks.
const VERSION: u32 = 1;

/// The most rules of a scenario.
const RULES_MAX: usize = 1_000;

/// The most steps of a script, repetitions not counted.
const STEPS_MAX: usize = 10_000;

/// The schema of the language, made from its types.
static SCHEMA: LazyLock<Value> = LazyLock::new(|| schemars::schema_for!(Document).to_value());

/// Reads a scenario, or tells everything that is wrong with it.
pub(super) fn scenario(
    id: &str,
    address: &str,
    source: Source,
) -> Result<Scenario, Vec<Diagnostic>> {
    let parsed = tree::parse(&source);
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
    diagnostics.extend(shape::check(&root, &SCHEMA, &formats));
    if !diagnostics.is_empty() {
        return Err(diagnostics);
    }
    let document: Document = decode(&root).map_err(|diagnostic| vec![diagnostic])?;
    let mut checker = Checker { tree: &root, diagnostics };
    let plan = checker.document(&document);
    if !checker.diagnostics.is_empty() {
        return Err(checker.diagnostics);
    }
    Ok(Scenario {
        id: id.to_owned(),
        address: address.to_owned(),
        source: Arc::new(source),
        document,
        plan: Arc::new(plan),
        tree: Arc::new(root),
    })
}

/// Collects what is wrong with the meaning of a document.
struct Checker<'a> {
    tree: &'a Node,
    diagnostics: Vec<Diagnostic>,
}

impl Checker<'_> {
    fn document(&mut self, document: &Document) -> Plan {
        if document.brownout != VERSION {
            let message = format!("there is no version {} of the language", document.brownout);
            self.at(&[Step::Key("brownout")], message, "write `brownout: 1`");
        }
        if document.name.trim().is_empty() {
            let help = "say what the scenario claims, in one line";
            self.at(&[Step::Key("name")], "the name is empty".to_owned(), help);
        }
        if document.rules.len() > RULES_MAX {
            let message = format!("{} rules are more than {RULES_MAX}", document.rules.len());
            self.at(&[Step::Key("rules")], message, "split the scenario");
        }
        let rules: Vec<Rule> =
            (0..).zip(&document.rules).filter_map(|(index, rule)| self.rule(index, rule)).collect();
        if rules.len() == document.rules.len() {
            self.shadowed(&rules);
        }
        let connections = (0..).zip(&document.connections);
        let connections = connections.map(|(index, entry)| self.connection(index, entry)).collect();
        self.client(&document.client);
        for (index, expectation) in document.expect.iter().flatten().enumerate() {
            self.expectation(index, expectation, document, &rules);
        }
        if document.expect.as_ref().is_some_and(Vec::is_empty) {
            let help = "name what should hold, or leave `expect` out for the house rules";
            self.at(&[Step::Key("expect")], "nothing is expected".to_owned(), help);
        }
        let provider = document.provider.clone();
        Plan { provider, connections, rules, limits: Limits::default() }
    }

    fn rule(&mut self, index: usize, entry: &RuleEntry) -> Option<Rule> {
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
        if let [(first, _), (second, _), ..] = picks[..] {
            let message = format!("`{second}` cannot stand beside `{first}`");
            let note = self.tree.key_place(&within(first));
            let diagnostic = Diagnostic::new(message, self.tree.key_place(&within(second)))
                .note(note, "this already says which hits")
                .help("choose one of them");
            self.diagnostics.push(diagnostic);
        }
        if entry.draw.is_some() && entry.chance.is_none() && entry.exactly.is_none() {
            let message = "`draw` names a draw that is not taken".to_owned();
            self.at_key(&within("draw"), message, "give the rule a `chance`, or leave `draw` out");
        }
        let act = match (&entry.fault, &entry.script) {
            (Some(fault), None) => {
                self.fault(&within("fault"), fault, &entry.when);
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
                self.script(&within("script"), steps, &entry.when);
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
        if let (Some(from), Some(until)) = (when.from, when.until)
            && until <= from
        {
            let message = format!("the window ends at {until}, before it begins at {from}");
            self.at(&within("until"), message, "let `until` be later than `from`");
        }
        if let (Some(route), Some(provider)) = (when.route, when.provider)
            && route.provider() != provider
        {
            let message =
                format!("no request to `{}` is one to `{}`", route.name(), provider.name());
            self.at(&within("provider"), message, "leave `provider` out; the route says it");
        }
        if let Some(provider) = when.provider {
            self.served(&within("provider"), provider);
        }
    }

    fn served(&mut self, path: &[Step<'_>], provider: ProviderName) {
        if matches!(provider, ProviderName::Azure | ProviderName::Google) {
            let message = format!("`{}` is not served yet", provider.name());
            self.at(path, message, "write `openai` or `anthropic`");
        }
    }

    fn fault(&mut self, path: &[Step<'_>], fault: &Action, when: &When) {
        if let Action::Answer(_) = fault {
            let help = "make it a step of a `script`, or set `provider: { answers: … }`";
            self.at(path, "`answer` is no fault".to_owned(), help);
        }
        if fault.times() != 1 {
            let help = "leave `times` out, or write it in a `script`";
            self.at(path, "`times` repeats a step, and a fault acts each time".to_owned(), help);
        }
        self.suits(path, fault, when);
    }

    fn script(&mut self, path: &[Step<'_>; 3], steps: &[Action], when: &When) {
        if steps.is_empty() {
            let help = "list its steps, such as `- rate-limited`";
            self.at_key(path, "the script has no step".to_owned(), help);
        }
        if steps.len() > STEPS_MAX {
            let message = format!("{} steps are more than {STEPS_MAX}", steps.len());
            self.at_key(path, message, "repeat steps with `times`");
        }
        for (index, step) in steps.iter().enumerate() {
            self.suits(&[path[0], path[1], path[2], Step::Index(index)], step, when);
        }
    }

    /// Whether any request that matches can meet the action on the wire.
    fn suits(&mut self, path: &[Step<'_>], action: &Action, when: &When) {
        if when.streaming.is_some_and(|streaming| !action.suits(streaming)) {
            let (name, kind) = match when.streaming {
                Some(true) => (action.name(), "a stream"),
                _ => (action.name(), "an answer that is no stream"),
            };
            let message = format!("`{name}` cannot happen to {kind}");
            self.at(path, message, "change `streaming`, or choose another fault");
        }
    }

    /// A rule behind one that takes every request first can never act.
    fn shadowed(&mut self, rules: &[Rule]) {
        for (later, rule) in rules.iter().enumerate() {
            let takes_all = |earlier: &&(usize, &Rule)| {
                let (_, earlier) = earlier;
                let always = earlier.pick == Pick::Always;
                let fault = matches!(&earlier.act, Act::Fault(fault)
                    if fault.suits(true) && fault.suits(false)
                        && !matches!(fault, Action::ContextLength(settings) if settings.window.is_some()));
                let endless = matches!(&earlier.act, Act::Script { then, steps }
                    if *then != Then::Healthy && steps.iter().all(|step| step.suits(true) && step.suits(false)));
                always
                    && (fault || endless)
                    && (earlier.when == rule.when || earlier.when == When::default())
            };
            let before: Vec<_> = rules[..later].iter().enumerate().collect();
            if let Some((earlier, _)) = before.iter().find(takes_all) {
                let place = |index| self.tree.key_place(&[Step::Key("rules"), Step::Index(index)]);
                let diagnostic = Diagnostic::new("this rule can never act", place(later))
                    .note(place(*earlier), "takes every request first")
                    .help("merge the two, or let the first match less");
                self.diagnostics.push(diagnostic);
            }
        }
    }

    fn connection(&mut self, index: usize, entry: &document::ConnectionEntry) -> ConnectionRule {
        let path = [Step::Key("connections"), Step::Index(index), Step::Key("when")];
        let within = |key: &'static str| [path[0], path[1], path[2], Step::Key(key)];
        let when = entry.when;
        if let (Some(from), Some(until)) = (when.from, when.until)
            && until <= from
        {
            let message = format!("the window ends at {until}, before it begins at {from}");
            self.at(&within("until"), message, "let `until` be later than `from`");
        }
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

    fn client(&mut self, client: &Client) {
        let within = |key: &'static str| [Step::Key("client"), Step::Key(key)];
        if client.arrivals.is_some() {
            for (key, given) in
                [("calls", client.calls.is_some()), ("concurrency", client.concurrency.is_some())]
            {
                if given {
                    let message = format!("`{key}` cannot stand beside `arrivals`");
                    let diagnostic = Diagnostic::new(message, self.tree.key_place(&within(key)))
                        .note(
                            self.tree.key_place(&within("arrivals")),
                            "this says how many calls come, and when",
                        )
                        .help("choose one of them");
                    self.diagnostics.push(diagnostic);
                }
            }
        }
        if let Some(arrivals) = client.arrivals {
            let calls = arrivals.r#for.0.as_nanos() / arrivals.rate.interval().as_nanos().max(1);
            if calls > 1_000_000 {
                let message = format!("{calls} calls are more than 1000000");
                self.at(&within("arrivals"), message, "lower the rate or the time");
            }
        }
        if let (Some(base), Some(cap)) = (client.backoff.base, client.backoff.cap)
            && cap < base
        {
            let message = format!("backoff base {base} is longer than its cap {cap}");
            let path = [Step::Key("client"), Step::Key("backoff"), Step::Key("base")];
            self.at(&path, message, "let the cap be at least the base");
        }
        for (index, target) in client.targets.iter().enumerate() {
            if let Some(first) = client.targets[..index].iter().position(|other| other == target) {
                let place = |index| {
                    self.tree.place(&[
                        Step::Key("client"),
                        Step::Key("targets"),
                        Step::Index(index),
                    ])
                };
                let message = format!("target {} is listed twice", quote(&target.to_string()));
                let diagnostic = Diagnostic::new(message, place(index))
                    .note(place(first), "first here")
                    .help("a call falls back to another target, not to the same one");
                self.diagnostics.push(diagnostic);
            }
        }
    }

    fn expectation(
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
                for (place, provider) in providers.iter().enumerate() {
                    self.served(&[path[0], path[1], path[2], Step::Index(place)], *provider);
                }
            }
            Expectation::ServedBy(shares) => {
                if shares.is_empty() {
                    let help = "write it like `served-by: { anthropic: { at-least: 95% } }`";
                    self.at_key(&path, "no provider is named".to_owned(), help);
                }
                for (provider, share) in shares {
                    let path = [path[0], path[1], path[2], Step::Key(provider.name())];
                    self.served(&path, *provider);
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
            Expectation::Waits(document::Waits::Backoff(formula)) if formula.cap < formula.base => {
                let (base, cap) = (formula.base, formula.cap);
                let message = format!("backoff base {base} is longer than its cap {cap}");
                self.at(&path, message, "let the cap be at least the base");
            }
            Expectation::Amplification(_)
            | Expectation::Outcome(_)
            | Expectation::Peak(_)
            | Expectation::Waits(_) => {}
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

    fn share(&mut self, path: &[Step<'_>], share: &document::ShareIn) {
        if share.at_least.ppm == 0 {
            self.at(path, "`at-least: 0%` cannot fail".to_owned(), "expect more, or drop it");
        }
        if let (Some(from), Some(until)) = (share.from, share.until)
            && until <= from
        {
            let message = format!("the window ends at {until}, before it begins at {from}");
            self.at(path, message, "let `until` be later than `from`");
        }
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

/// Whether a rule, or the provider in health, can answer with an error.
fn can_serve(kind: ErrorKind, document: &Document, rules: &[Rule]) -> bool {
    let scripted = rules.iter().any(|rule| match &rule.act {
        Act::Fault(action) => action.error() == Some(kind),
        Act::Script { steps, .. } => steps.iter().any(|step| step.error() == Some(kind)),
    });
    let provider = &document.provider;
    let by_itself = match kind {
        ErrorKind::ContextLength => true,
        ErrorKind::Overloaded => provider.capacity.is_some(),
        ErrorKind::RateLimited => {
            provider.quota.requests.is_some() || provider.quota.tokens.is_some()
        }
        _ => false,
    };
    scripted || by_itself
}
