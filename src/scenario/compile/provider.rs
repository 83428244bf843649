//! What the types cannot say of the provider in health: its quota, its models, its answers.

use indexmap::IndexMap;
use mock_server::{
    action::Dimension,
    plan::{Answers, Model, OutputCharge, Per, Prices, Provider, Quota, matches},
};

use super::Checker;
use crate::scenario::{diagnostic::Diagnostic, tree::Step};

impl Checker<'_> {
    pub(super) fn provider(&mut self, provider: &Provider) {
        self.quota(&provider.quota);
        for (name, model) in &provider.models {
            self.model(name, *model);
        }
        self.prices(&provider.prices);
        self.answers(&provider.answers);
    }

    /// The limits do not contradict each other, and there are some if there is more to say of them.
    fn quota(&mut self, quota: &Quota) {
        let within =
            |key: &'static str| vec![Step::Key("provider"), Step::Key("quota"), Step::Key(key)];
        for (key, dimension) in [
            ("requests", Dimension::Requests),
            ("tokens", Dimension::Tokens),
            ("input-tokens", Dimension::InputTokens),
            ("output-tokens", Dimension::OutputTokens),
        ] {
            let rates = quota.rates(dimension);
            let item = |index| [within(key), vec![Step::Index(index)]].concat();
            for (index, rate) in rates.iter().enumerate() {
                let others = || rates[..index].iter().enumerate();
                if let Some((first, _)) = others().find(|(_, other)| other.per == rate.per) {
                    let message = format!("`{key}` has two limits over one period");
                    self.twice(&item(index), &item(first), message, "keep the smaller one");
                    continue;
                }
                // One period's limit is used up before the shorter one's can be.
                let useless = others().find_map(|(_, other)| {
                    let (short, long) =
                        if rate.period() < other.period() { (rate, other) } else { (other, rate) };
                    (long.count <= short.count).then_some((short, long))
                });
                if let Some((short, long)) = useless {
                    let message = format!("`{short}` is never reached beside `{long}`");
                    let help = "let the longer period allow more, or leave one of the two out";
                    self.at(&item(index), message, help);
                }
            }
        }
        for (index, tier) in quota.tier.iter().enumerate() {
            let item = |index| [within("tier"), vec![Step::Index(index)]].concat();
            let mut others = quota.tier[..index].iter();
            if let Some(first) = others.position(|other| other.provider() == tier.provider()) {
                let message = format!("`{}` has two tiers", tier.provider().name());
                self.twice(&item(index), &item(first), message, "keep one of the two");
            }
        }
        if !quota.tier.is_empty() && matches!(quota.per, Per::Key | Per::Organisation) {
            let message = "a tier has limits for each model".to_owned();
            self.at(&within("per"), message, "write `model` or `key-and-model`, or leave it out");
        }
        if quota.output == Some(OutputCharge::None) && !quota.output_tokens.is_empty() {
            let message =
                "`none` does not charge the output that `output-tokens` limits".to_owned();
            self.at(&within("output"), message, "write `generated`, `requested` or `reserved`");
        }
        if !quota.limits_something() {
            let said = ["per", "window", "rejected", "output"];
            let said = said.into_iter().find(|key| self.tree.at(&within(key)).is_some());
            if let Some(key) = said {
                let message = format!("`{key}` says something of limits, and there are none");
                self.at_key(&within(key), message, "add a limit, such as `requests: 60/min`");
            }
        }
    }

    /// An answer fits into its model's window.
    fn model(&mut self, name: &str, model: Model) {
        if let (Some(window), Some(output)) = (model.window, model.output)
            && window < output
        {
            let path = ["provider", "models", name, "output"].map(Step::Key);
            let message = format!("{output} tokens of output never fit into a window of {window}");
            self.at(&path, message, "let `output` be at most `window`");
        }
    }

    /// A price of models that an earlier one has already.
    fn prices(&mut self, prices: &IndexMap<String, Prices>) {
        let path = |pattern| [Step::Key("provider"), Step::Key("prices"), Step::Key(pattern)];
        for (index, pattern) in prices.keys().enumerate() {
            let mut earlier = prices.keys().take(index);
            let Some(first) = earlier.find(|earlier| matches(earlier, pattern)) else { continue };
            let place = self.tree.key_place(&path(pattern.as_str()));
            let diagnostic = Diagnostic::new("this price is never asked".to_owned(), place)
                .note(self.tree.key_place(&path(first.as_str())), "this one holds first")
                .help("put the narrower pattern before the wider one");
            self.diagnostics.push(diagnostic);
        }
    }

    /// What the provider answers is said in one way.
    fn answers(&mut self, answers: &Answers) {
        let within =
            |key: &'static str| vec![Step::Key("provider"), Step::Key("answers"), Step::Key(key)];
        let given = [
            ("call", answers.call.is_some()),
            ("echo", answers.echo),
            ("task", !answers.task.is_empty()),
            ("text", answers.text.is_some()),
            ("tokens", answers.tokens.is_some()),
        ];
        let given = given.into_iter().filter(|(_, given)| *given).map(|(key, _)| within(key));
        self.only_one(&given.collect::<Vec<_>>(), "this already says what is answered");
    }
}
