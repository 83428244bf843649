//! What an attempt is billed: the tokens that were read and written for it, and their price.
//!
//! A provider that takes a request bills its input, and the output that it has generated when the
//! answer ends, whoever ends it: a client that leaves does not get back what was written for it.
//! What is refused costs nothing, and so does what is never begun.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    answer::{Answer, ToolCall},
    dialect::Pace,
    plan::{Prices, Provider, matches},
    request::Request,
    tokens::Tokenizer,
    units::Money,
};

/// What an answer comes to, by the time at which it ends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Bill {
    /// The tokens of the request.
    input: u64,
    /// The tokens of the whole answer.
    output: u64,
    /// Those of them that are thought and not shown: they are written before the first part.
    hidden: u64,
    /// When each part of the answer is there, counted from the claim.
    due: Vec<Duration>,
    /// How many of them are written before a fault ends the answer.
    kept: usize,
    /// The texts of the parts, if they are known one by one.
    texts: Vec<String>,
    tokenizer: Option<Tokenizer>,
    prices: Option<Prices>,
}

/// What one attempt was billed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Billed {
    /// The tokens that were read.
    pub input_tokens: u64,
    /// The tokens that were written, whether or not they arrived.
    pub output_tokens: u64,
    /// What they cost; none if the scenario has no price for the model, or nothing was billed.
    #[serde(default, rename = "cost_picodollars", skip_serializing_if = "Option::is_none")]
    pub cost: Option<Money>,
}

impl Bill {
    /// The bill of an answer that is streamed; `due` says when each event with text is sent.
    pub(crate) fn stream(
        request: &Request,
        answer: Answer,
        provider: &Provider,
        due: Vec<Duration>,
    ) -> Self {
        let mut bill = Self::of(request, &answer, provider);
        let texts: Vec<String> = parts(answer).into_iter().map(|(_, text)| text).collect();
        // Which event is whose is only known if each part has one.
        if texts.len() == due.len() {
            bill.texts = texts;
        }
        bill.kept = due.len();
        Self { due, ..bill }
    }

    /// The bill of an answer that is sent when all of it is there, so long after the claim.
    pub(crate) fn whole(
        request: &Request,
        answer: Answer,
        provider: &Provider,
        pace: Pace,
        sent: Duration,
    ) -> Self {
        let mut bill = Self::of(request, &answer, provider);
        let mut at = Duration::ZERO;
        let mut spoken = 0;
        for (index, text) in parts(answer) {
            while spoken <= index {
                at += pace.gap(u64::try_from(spoken).unwrap_or(u64::MAX));
                spoken += 1;
            }
            bill.due.push(at.min(sent));
            bill.texts.push(text);
        }
        bill.kept = bill.due.len();
        bill
    }

    fn of(request: &Request, answer: &Answer, provider: &Provider) -> Self {
        if !request.route.service().is_metered() {
            return Self::default();
        }
        Self {
            input: request.input_tokens,
            output: answer.output_tokens(),
            hidden: if answer.reasoning.is_empty() { answer.reasoning_tokens } else { 0 },
            tokenizer: Some(Tokenizer::of(&request.model)),
            prices: price(provider, &request.model),
            ..Self::default()
        }
    }

    /// The same bill for an answer that ends after so many of its parts.
    pub(crate) fn cut(&mut self, kept: usize) {
        self.kept = self.kept.min(kept);
    }

    /// The same bill for an answer that is begun so much later.
    pub(crate) fn delay(&mut self, later: Duration) {
        for due in &mut self.due {
            *due += later;
        }
    }

    /// What is billed if the answer ends so long after the claim.
    pub(crate) fn at(&self, elapsed: Duration) -> Billed {
        let done = self.due.partition_point(|due| *due <= elapsed).min(self.kept);
        let output_tokens = self.generated(done);
        let nothing = self.input == 0 && output_tokens == 0;
        let prices = self.prices.filter(|_| !nothing);
        let cost = prices.map(|prices| prices.of(self.input, output_tokens));
        Billed { input_tokens: self.input, output_tokens, cost }
    }

    /// The tokens of the first parts, so that all parts together have those of the whole answer.
    fn generated(&self, done: usize) -> u64 {
        if done == self.due.len() {
            return self.output;
        } else if done == 0 {
            return 0;
        }
        let (part, whole) = if self.texts.is_empty() {
            (u128::try_from(done), u128::try_from(self.due.len()))
        } else {
            let tokens = self.tokens_of_texts();
            let sum = |tokens: &[u64]| tokens.iter().copied().map(u128::from).sum();
            (Ok(sum(&tokens[..done])), Ok(sum(&tokens)))
        };
        let (part, whole) = (part.unwrap_or(0), whole.unwrap_or(1).max(1));
        let shown = self.output.saturating_sub(self.hidden);
        let tokens = (part * u128::from(shown)).div_ceil(whole);
        self.hidden.saturating_add(u64::try_from(tokens).unwrap_or(shown)).min(self.output)
    }

    /// The tokens of each text. A space between two words is part of the second word's token.
    fn tokens_of_texts(&self) -> Vec<u64> {
        let tokenizer = self.tokenizer.unwrap_or(Tokenizer::Estimate);
        let mut ahead = String::new();
        let texts = self.texts.iter().map(|text| {
            let text = std::mem::take(&mut ahead) + text;
            let said = text.trim_end();
            text[said.len()..].clone_into(&mut ahead);
            tokenizer.count(said)
        });
        texts.collect()
    }
}

impl Billed {
    /// Whether there is nothing to pay.
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

impl Prices {
    /// What so many tokens cost.
    pub fn of(&self, input: u64, output: u64) -> Money {
        let part = |tokens: u64, picodollars: u64| tokens.saturating_mul(picodollars);
        let input = part(input, self.input.picodollars);
        Money { picodollars: input.saturating_add(part(output, self.output.picodollars)) }
    }
}

/// The scenario's prices for a model.
pub(crate) fn price(provider: &Provider, model: &str) -> Option<Prices> {
    let mut prices = provider.prices.iter();
    prices.find(|(pattern, _)| matches(pattern, model)).map(|(_, prices)| *prices)
}

/// The parts of an answer in the order in which they are written, each with the token at which it
/// comes: thoughts, then texts and the arguments of tools, those of several choices side by side.
fn parts(answer: Answer) -> Vec<(usize, String)> {
    let thoughts = answer.reasoning.len();
    let mut parts: Vec<(usize, String)> = answer.reasoning.into_iter().enumerate().collect();
    for choice in answer.choices {
        let arguments: Vec<String> = choice.calls.iter().flat_map(ToolCall::pieces).collect();
        parts.extend((thoughts..).zip(choice.pieces.into_iter().chain(arguments)));
    }
    parts.sort_by_key(|(index, _)| *index);
    parts
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bill(output: u64, texts: &[&str], due: &[u64]) -> Bill {
        Bill {
            input: 10,
            output,
            hidden: 0,
            due: due.iter().map(|&millis| Duration::from_millis(millis)).collect(),
            kept: due.len(),
            texts: texts.iter().map(|&text| text.to_owned()).collect(),
            tokenizer: Some(Tokenizer::O200k),
            prices: Some(Prices {
                input: "$2.50/M".parse().unwrap(),
                output: "$10/M".parse().unwrap(),
            }),
        }
    }

    #[test]
    fn what_was_written_when_it_ended_is_billed() {
        // One, three and two tokens.
        let mut bill = bill(6, &["Hello ", "tiktoken ", "is."], &[100, 200, 200]);
        assert_eq!(bill.tokens_of_texts(), [1, 3, 2]);
        let at = |bill: &Bill, millis| bill.at(Duration::from_millis(millis)).output_tokens;
        assert_eq!([0, 99, 100, 199, 200].map(|millis| at(&bill, millis)), [0, 0, 1, 1, 6]);
        let cost = bill.at(Duration::from_secs(1)).cost.unwrap();
        assert_eq!(cost.to_string(), "$0.000085");
        bill.cut(1);
        assert_eq!(at(&bill, 1_000), 1);
        bill.output = 12;
        assert_eq!(at(&bill, 1_000), 2);
        // What is thought and not shown is there before the first word.
        (bill.output, bill.hidden) = (106, 100);
        assert_eq!([99, 100].map(|millis| at(&bill, millis)), [0, 101]);
    }

    #[test]
    fn a_bill_of_nothing_has_no_cost() {
        assert!(Bill::default().at(Duration::from_secs(1)).is_nothing());
        let free = Bill { input: 0, ..bill(5, &[], &[100]) };
        assert!(free.at(Duration::ZERO).is_nothing());
        assert_eq!(free.at(Duration::from_millis(100)).cost.unwrap().to_string(), "$0.00005");
    }

    proptest! {
        #[test]
        fn the_billed_output_grows_with_what_was_written_and_never_exceeds_the_answer(
            output in 0..10_000_u64,
            texts in prop::collection::vec("[a-z ]{0,12}", 0..30),
            named: bool,
            gaps in prop::collection::vec(0..1_000_u64, 30),
            cut in 0..40_usize,
            hidden in 0..20_000_u64,
        ) {
            let mut due = gaps;
            due.truncate(texts.len());
            for index in 1..due.len() {
                due[index] += due[index - 1];
            }
            let names: Vec<&str> = texts.iter().map(String::as_str).collect();
            let mut bill = bill(output, if named { &names } else { &[] }, &due);
            bill.cut(cut);
            bill.hidden = hidden;
            let ends = [0].iter().chain(&due).map(|&millis| Duration::from_millis(millis));
            let billed: Vec<u64> = ends.map(|end| bill.at(end).output_tokens).collect();
            prop_assert!(billed.is_sorted(), "{billed:?}");
            prop_assert!(billed.iter().all(|&tokens| tokens <= output));
            if cut >= due.len() {
                prop_assert_eq!(billed.last(), Some(&output));
            }
        }
    }
}
