//! A provider without a wire: the same decisions and the same words, for simulations.
//!
//! What a client would read is told as data; only what is asked for is worded. Answers come whole:
//! a simulation has no streams.

use std::{borrow::Cow, collections::BTreeMap, sync::Arc, time::Duration};

use crate::{
    action::Action,
    answer::Answer,
    bill::price,
    clock::Clock,
    dialect::{self, Exchange, Found, Head, Moment, Pace, ReplyBody},
    draw::{Draws, Purpose, scale},
    engine::{Decision, Engine},
    identity::{Evidence, Served},
    plan::Plan,
    request::{Headers, Request},
    timeline,
    units::Money,
};

/// One lane's provider.
///
/// [`take`](Self::take) must be called once for each attempt, in the order of arrival, and
/// [`ended`](Self::ended) once when it is over.
#[derive(Debug)]
pub struct Offline {
    plan: Arc<Plan>,
    draws: Draws,
    engine: Engine,
    clock: Clock,
    /// The tokens of fixed texts, by model and text.
    fixed: BTreeMap<(String, String), u64>,
}

/// What becomes of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// What the provider decided.
    pub decision: Decision,
    /// What the client gets.
    pub outcome: Outcome,
}

/// What a client gets of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The whole answer, so long after its request.
    Answer {
        /// How long after it.
        after: Duration,
        /// The tokens that are written for it; an estimate where plausible words are answered.
        output_tokens: u64,
    },
    /// An answer that breaks off, so long after its request.
    Broken {
        /// How long after it.
        after: Duration,
        /// The tokens that were written for it all the same.
        output_tokens: u64,
    },
    /// An error, at once.
    Error,
    /// Nothing, ever.
    Hang,
    /// A reset, at once.
    Reset,
}

/// An error as it stands on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Worded {
    /// The HTTP status.
    pub status: u16,
    /// The headers that the provider sends.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Offline {
    /// A provider at the start of its run.
    pub fn new(plan: Arc<Plan>, draws: Draws) -> Self {
        let clock = Clock::simulated();
        let wall = clock.wall(Duration::ZERO);
        let engine = Engine::new(Arc::clone(&plan), draws).with_wall(wall);
        Self { plan, draws, engine, clock, fixed: BTreeMap::new() }
    }

    /// What a request says, as the provider reads it; none if it would be refused as it stands.
    pub fn read(path: &str, headers: &[(&str, &str)], body: &[u8]) -> Option<Request> {
        let headers: Headers = headers.iter().copied().collect();
        let head = Head { method: "POST", path, query: "", headers: &headers };
        match dialect::find(&head) {
            Found::Served(dialect, route) => dialect.read(route, &head, body).ok(),
            Found::Unserved(_) => None,
        }
    }

    /// Decides what happens to an attempt of a call.
    pub fn take(&mut self, request: &Request, call: u64, now: Duration) -> Taken {
        let decision = self.engine.decide_for(request, call, Evidence::Header, now);
        let outcome = match &decision.action {
            action if action.error().is_some() || decision.unknown_model => Outcome::Error,
            Action::Hang(_) => Outcome::Hang,
            Action::Reset(_) => Outcome::Reset,
            action => {
                let broken = matches!(action, Action::Truncated(_));
                let output_tokens = self.output_tokens(request, &decision);
                let service = self.pace(&decision).whole(output_tokens);
                let after = service.saturating_add(self.engine.accept(service, now));
                if broken {
                    Outcome::Broken { after, output_tokens }
                } else {
                    Outcome::Answer { after, output_tokens }
                }
            }
        };
        Taken { decision, outcome }
    }

    /// Words the error of an attempt.
    pub fn word(&self, request: &Request, decision: &Decision, now: Duration) -> Option<Worded> {
        let dialect = dialect::of(request.route.provider())?;
        let moment = self.moment(decision, now);
        let pace = self.pace(decision);
        let exchange = Exchange { request, decision, moment, words: &[], pace };
        let mut timeline = timeline::compose(dialect, &exchange, &self.plan.provider);
        let body = timeline.pieces().flat_map(|piece| piece.bytes).collect();
        let head = timeline.head?;
        let own = |(name, value): (&str, Cow<'_, str>)| (name.to_owned(), value.into_owned());
        Some(Worded {
            status: head.status,
            headers: head.headers.into_iter().map(own).collect(),
            body,
        })
    }

    /// The headers of a healthy answer, which tell what is left of the limits.
    pub fn headers(
        &self,
        request: &Request,
        decision: &Decision,
        now: Duration,
    ) -> Vec<(String, String)> {
        let Some(dialect) = dialect::of(request.route.provider()) else { return Vec::new() };
        let (moment, pace) = (self.moment(decision, now), self.pace(decision));
        let exchange = Exchange { request, decision, moment, words: &[], pace };
        let reply = dialect.answer(&exchange, &Answer::default());
        debug_assert!(matches!(reply.body, ReplyBody::Whole(_)), "a simulation has no streams");
        let own = |(name, value): (&str, Cow<'_, str>)| (name.to_owned(), value.into_owned());
        reply.headers.into_iter().map(own).collect()
    }

    /// An attempt is over, and so many tokens were written for it.
    pub fn ended(&mut self, decision: &Decision, served: Served, generated: u64, now: Duration) {
        self.engine.ended(decision.attempt, decision.call, served, generated, now);
    }

    /// How many of an answer's tokens are written after a part of the time that it takes: those of
    /// an answer that comes all at once at its end, none before it.
    pub fn generated(
        &self,
        decision: &Decision,
        output_tokens: u64,
        after: Duration,
        elapsed: Duration,
    ) -> u64 {
        let pace = self.pace(decision);
        let service = pace.whole(output_tokens);
        let first = pace.gap(0);
        // What the load adds comes before the first token.
        let begun = elapsed.saturating_sub(after.saturating_sub(service)).saturating_sub(first);
        let between = service.saturating_sub(first);
        if elapsed >= after {
            return output_tokens;
        }
        if between.is_zero() || elapsed < after.saturating_sub(between) {
            return 0;
        }
        let part = u128::from(output_tokens) * begun.as_nanos() / between.as_nanos();
        u64::try_from(part).unwrap_or(output_tokens).min(output_tokens)
    }

    /// What tokens cost, if the plan has a price for the model.
    pub fn cost(&self, model: &str, input_tokens: u64, output_tokens: u64) -> Option<Money> {
        price(&self.plan.provider, model).map(|prices| prices.of(input_tokens, output_tokens))
    }

    fn moment(&self, decision: &Decision, now: Duration) -> Moment {
        Moment { attempt: decision.attempt, draws: self.draws, wall: self.clock.wall(now) }
    }

    fn pace(&self, decision: &Decision) -> Pace {
        let slow = match &decision.action {
            Action::Slow(slow) => Some(slow),
            _ => None,
        };
        Pace::new(self.plan.provider.latency, slow, self.draws, decision.attempt)
    }

    /// About how many tokens an answer has: exactly so many if its text is fixed, and a token for
    /// each plausible word otherwise.
    fn output_tokens(&mut self, request: &Request, decision: &Decision) -> u64 {
        let own = match &decision.action {
            Action::Answer(own) => Some(own),
            _ => None,
        };
        let answers = &self.plan.provider.answers;
        let text = own.and_then(|own| own.text.as_ref()).or(answers.text.as_ref());
        let most = decision.output_max;
        let Some(text) = text else {
            let length = own.and_then(|own| own.tokens).or(answers.tokens);
            let draw = self.draws.draw("prose", Purpose::Text, decision.attempt, 0);
            // As many words as an answer is written with.
            let words = length.map_or_else(|| 12 + scale(draw, 20), |length| length.pick(draw));
            return words.max(1).min(most.unwrap_or(u64::MAX));
        };
        let key = (request.model.clone(), text.clone());
        let tokens = self.fixed.entry(key).or_insert_with(|| {
            Answer::new(request, None, answers, own, decision.attempt, self.draws).output_tokens()
        });
        (*tokens).min(most.unwrap_or(u64::MAX))
    }
}
