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
#[derive(Clone, Debug, Default)]
pub(crate) struct Bill {
    /// The tokens of the request.
    input: u64,
    /// The tokens of the whole answer.
    output: u64,
    /// Those of them that are thought and not shown: they are written before the first part.
    hidden: u64,
    /// Its parts.
    parts: Parts,
    /// How many of them are written before a fault ends the answer.
    kept: usize,
    /// How much later than at the claim the answer is begun.
    delayed: Duration,
    tokenizer: Option<Tokenizer>,
    prices: Option<Prices>,
}

/// The parts of an answer, each of which is there at its time.
#[derive(Clone, Debug, Default)]
enum Parts {
    /// Those of an answer that is streamed: so many, each in an event of its own.
    Events { answer: Answer, pace: Pace, count: usize },
    /// There are none.
    #[default]
    None,
    /// Those of an answer that is sent when all of them are there, so long after the claim.
    Whole { answer: Answer, pace: Pace, sent: Duration },
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
    /// The bill of an answer that is streamed; so many events carry a part of it.
    pub(crate) fn stream(
        request: &Request,
        answer: Answer,
        provider: &Provider,
        pace: Pace,
        count: usize,
    ) -> Self {
        let bill = Self::of(request, &answer, provider);
        Self { parts: Parts::Events { answer, pace, count }, kept: usize::MAX, ..bill }
    }

    /// The bill of an answer that is sent when all of it is there, so long after the claim.
    pub(crate) fn whole(
        request: &Request,
        answer: Answer,
        provider: &Provider,
        pace: Pace,
        sent: Duration,
    ) -> Self {
        let bill = Self::of(request, &answer, provider);
        Self { parts: Parts::Whole { answer, pace, sent }, kept: usize::MAX, ..bill }
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
        self.delayed += later;
    }

    /// What is billed if the answer ends so long after the claim.
    pub(crate) fn at(&self, elapsed: Duration) -> Billed {
        let done = elapsed.checked_sub(self.delayed).map(|elapsed| self.parts.done(elapsed));
        let output_tokens = match done {
            Some(Some((done, parts))) => self.generated(done.min(self.kept), parts),
            Some(None) => self.output,
            None => 0,
        };
        let nothing = self.input == 0 && output_tokens == 0;
        let prices = self.prices.filter(|_| !nothing);
        let cost = prices.map(|prices| prices.of(self.input, output_tokens));
        Billed { input_tokens: self.input, output_tokens, cost }
    }

    /// The tokens of the first parts, so that all parts together have those of the whole answer.
    fn generated(&self, done: usize, parts: usize) -> u64 {
        if done == parts {
            return self.output;
        } else if done == 0 {
            return 0;
        }
        let texts = self.parts.texts();
        // Which event is whose is only known if each part has one.
        let (part, whole) = if texts.len() == parts {
            let tokens = self.tokens_of(&texts);
            let sum = |tokens: &[u64]| tokens.iter().copied().map(u128::from).sum();
            (Ok(sum(&tokens[..done])), Ok(sum(&tokens)))
        } else {
            (u128::try_from(done), u128::try_from(parts))
        };
        let (part, whole) = (part.unwrap_or(0), whole.unwrap_or(1).max(1));
        let shown = self.output.saturating_sub(self.hidden);
        let tokens = (part * u128::from(shown)).div_ceil(whole);
        self.hidden.saturating_add(u64::try_from(tokens).unwrap_or(shown)).min(self.output)
    }

    /// The tokens of each text. A space between two words is part of the second word's token.
    fn tokens_of(&self, texts: &[String]) -> Vec<u64> {
        let tokenizer = self.tokenizer.unwrap_or(Tokenizer::Estimate);
        let mut ahead = String::new();
        let texts = texts.iter().map(|text| {
            let text = std::mem::take(&mut ahead) + text;
            let said = text.trim_end();
            text[said.len()..].clone_into(&mut ahead);
            tokenizer.count(said)
        });
        texts.collect()
    }
}

impl Parts {
    /// How many of them are there so long after the claim, and of how many; none if an answer was
    /// sent whole, which is the rule and need not be counted.
    fn done(&self, elapsed: Duration) -> Option<(usize, usize)> {
        match self {
            Self::Events { pace, count, .. } => {
                let mut at = Duration::ZERO;
                let due = (0..*count).take_while(|&token| {
                    at += gap(*pace, token);
                    at <= elapsed
                });
                Some((due.count(), *count))
            }
            Self::Whole { sent, .. } if *sent <= elapsed => None,
            Self::Whole { answer, pace, .. } => {
                let tokens: Vec<usize> =
                    parts(answer).into_iter().map(|(token, _)| token).collect();
                let mut at = Duration::ZERO;
                let mut spoken = 0;
                let due = tokens.iter().take_while(|token| {
                    while spoken <= **token {
                        at += gap(*pace, spoken);
                        spoken += 1;
                    }
                    at <= elapsed
                });
                Some((due.count(), tokens.len()))
            }
            Self::None => None,
        }
    }

    /// What each part says.
    fn texts(&self) -> Vec<String> {
        match self {
            Self::Events { answer, .. } | Self::Whole { answer, .. } => {
                parts(answer).into_iter().map(|(_, text)| text).collect()
            }
            Self::None => Vec::new(),
        }
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

/// The silence before a token; the first is number 0.
fn gap(pace: Pace, token: usize) -> Duration {
    pace.gap(u64::try_from(token).unwrap_or(u64::MAX))
}

/// The scenario's prices for a model.
pub(crate) fn price(provider: &Provider, model: &str) -> Option<Prices> {
    let mut prices = provider.prices.iter();
    prices.find(|(pattern, _)| matches(pattern, model)).map(|(_, prices)| *prices)
}

/// The parts of an answer in the order in which they are written, each with the token at which it
/// comes: thoughts, then texts and the arguments of tools, those of several choices side by side.
fn parts(answer: &Answer) -> Vec<(usize, String)> {
    let thoughts = answer.reasoning.pieces().map(str::to_owned);
    let mut parts: Vec<(usize, String)> = thoughts.enumerate().collect();
    let thoughts = parts.len();
    for choice in &answer.choices {
        let arguments: Vec<String> = choice.calls.iter().flat_map(ToolCall::pieces).collect();
        let texts = choice.text.pieces().map(str::to_owned);
        parts.extend((thoughts..).zip(texts.chain(arguments)));
    }
    parts.sort_by_key(|(index, _)| *index);
    parts
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        answer::{Choice, Finish, Text},
        draw::Draws,
        plan::Latency,
        units::Span,
    };

    /// The bill of a stream whose tokens have a tenth of a second each.
    fn bill(output: u64, text: &str, count: usize) -> Bill {
        let choice = Choice {
            text: text.into(),
            calls: vec![],
            finish: Finish::Stop,
            output_tokens: output,
        };
        let answer = Answer { choices: vec![choice], ..Answer::default() };
        let tenth = Span(Duration::from_millis(100)).into();
        let latency = Latency { first_token: tenth, between_tokens: tenth };
        Bill {
            input: 10,
            output,
            hidden: 0,
            parts: Parts::Events {
                answer,
                pace: Pace::new(latency, None, Draws::new(1), 1),
                count,
            },
            kept: usize::MAX,
            delayed: Duration::ZERO,
            tokenizer: Some(Tokenizer::O200k),
            prices: Some(Prices {
                input: "$2.50/M".parse().unwrap(),
                output: "$10/M".parse().unwrap(),
            }),
        }
    }

    /// The same answer, sent when all of it is there.
    fn sent_whole(bill: Bill, sent: Duration) -> Bill {
        let Parts::Events { answer, pace, .. } = bill.parts else { panic!("it is a stream") };
        Bill { parts: Parts::Whole { answer, pace, sent }, ..bill }
    }

    #[test]
    fn what_was_written_when_it_ended_is_billed() {
        // One, three and two tokens.
        let text = "Hello tiktoken is.";
        let mut bill = bill(6, text, 3);
        assert_eq!(bill.tokens_of(&bill.parts.texts()), [1, 3, 2]);
        let at = |bill: &Bill, millis| bill.at(Duration::from_millis(millis)).output_tokens;
        let ends = [0, 99, 100, 199, 200, 299, 300];
        let written = [0, 0, 1, 1, 4, 4, 6];
        assert_eq!(ends.map(|millis| at(&bill, millis)), written);
        let whole = sent_whole(bill.clone(), Duration::from_millis(300));
        assert_eq!(ends.map(|millis| at(&whole, millis)), written);
        let cost = bill.at(Duration::from_secs(1)).cost.unwrap();
        assert_eq!(cost.to_string(), "$0.000085");
        bill.cut(1);
        assert_eq!(at(&bill, 1_000), 1);
        bill.output = 12;
        assert_eq!(at(&bill, 1_000), 2);
        let mut later = bill.clone();
        later.delay(Duration::from_millis(50));
        assert_eq!([149, 150].map(|millis| at(&later, millis)), [0, 2]);
        // What is thought and not shown is there before the first word.
        (bill.output, bill.hidden) = (106, 100);
        assert_eq!([99, 100].map(|millis| at(&bill, millis)), [0, 101]);
    }

    #[test]
    fn parts_that_no_events_are_known_of_count_alike() {
        let bill = bill(6, "Hello tiktoken is.", 2);
        assert_eq!(
            [99, 100, 200].map(|at| bill.at(Duration::from_millis(at)).output_tokens),
            [0, 3, 6]
        );
    }

    #[test]
    fn a_bill_of_nothing_has_no_cost() {
        assert!(Bill::default().at(Duration::from_secs(1)).is_nothing());
        let free = Bill { input: 0, ..bill(5, "Hello", 1) };
        assert!(free.at(Duration::ZERO).is_nothing());
        assert_eq!(free.at(Duration::from_millis(100)).cost.unwrap().to_string(), "$0.00005");
    }

    proptest! {
        #[test]
        fn the_billed_output_grows_with_what_was_written_and_never_exceeds_the_answer(
            output in 0..10_000_u64,
            text in "[a-z ]{0,120}",
            count in prop::option::of(0..30_usize),
            whole: bool,
            cut in 0..40_usize,
            hidden in 0..20_000_u64,
        ) {
            let pieces = Text::from(text.as_str()).pieces().count();
            let count = count.unwrap_or(pieces);
            let mut bill = bill(output, &text, count);
            bill.hidden = hidden;
            if whole {
                bill = sent_whole(bill, Duration::from_secs(100));
            } else {
                bill.cut(cut);
            }
            let ends = (0..250).map(|tenths| Duration::from_millis(50 * tenths)).chain([Duration::from_secs(200)]);
            let billed: Vec<u64> = ends.map(|end| bill.at(end).output_tokens).collect();
            prop_assert!(billed.is_sorted(), "{billed:?}");
            prop_assert!(billed.iter().all(|&tokens| tokens <= output));
            if whole || cut >= count {
                prop_assert_eq!(billed.last(), Some(&output));
            }
        }
    }
}
