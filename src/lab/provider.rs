//! The provider of a simulated world, as a client sees it: outcomes without the bytes between them.
//!
//! What an error says is worded by its dialect and understood by the client core once for each kind; only the numbers in it are filled in later.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use mock_server::{
    action::{Action, Dimension as Counted},
    engine::Decision,
    identity::Served,
    offline::{Offline, Outcome, Taken},
    quota::Level,
};
use resilience_core::{
    Dimension, Failure, Provider as Spoken, Request, Target, Usage,
    classify::{self, Transport},
    hint::{self, Hint, Observed, Source},
};

use super::World;

/// One world's provider, and what its clients make of its answers.
#[derive(Debug)]
pub(super) struct Provider {
    world: World,
    offline: Offline,
    targets: Arc<[Target]>,
    /// Requests as the provider reads them, by target and length.
    requests: BTreeMap<(usize, u64), Arc<mock_server::request::Request>>,
    /// What clients understand of an error, by target and kind.
    failures: BTreeMap<(usize, Kind), Failure>,
    /// Whether clients look at what limits have left.
    observed: bool,
}

/// An attempt that is with the provider.
#[derive(Debug)]
pub(super) struct Flight {
    /// Its number in its call.
    pub(super) attempt: u32,
    /// Where it was sent.
    pub(super) target: usize,
    /// When it was sent.
    pub(super) sent: Duration,
    /// When its end is seen; none if it has none.
    pub(super) ends: Option<Duration>,
    decision: Decision,
    outcome: Outcome,
    input_tokens: u64,
}

/// How an attempt ended.
#[derive(Debug)]
pub(super) struct Landed {
    /// What the client understands.
    pub(super) result: Result<Usage, Failure>,
    /// What limits have left, if the client looks at it.
    pub(super) observed: Vec<Observed>,
    /// What is billed for it.
    pub(super) billed: Usage,
    /// Whether it was refused for a rate limit.
    pub(super) limited: bool,
}

/// Errors that are worded alike but for the numbers of a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    /// A rate limit that the provider enforces.
    Limited(Counted, Duration),
    /// The load is too much.
    Overloaded,
    /// What a rule plays, by its place and that of its step.
    Rule(usize, Option<usize>),
}

impl Provider {
    /// A world's provider at the start of its run.
    pub(super) fn new(
        world: &World,
        draws: mock_server::draw::Draws,
        targets: &Arc<[Target]>,
    ) -> Self {
        let offline = Offline::new(Arc::clone(&world.scenario().plan), draws);
        Self {
            world: world.clone(),
            offline,
            targets: Arc::clone(targets),
            requests: BTreeMap::new(),
            failures: BTreeMap::new(),
            observed: false,
        }
    }

    /// The same, whose clients look at what its limits have left.
    pub(super) fn observed(self, observed: bool) -> Self {
        Self { observed, ..self }
    }

    /// Takes an attempt of a call; `tokens` says how long its conversation is, and is the same for all that are as long.
    pub(super) fn take(
        &mut self,
        (call, attempt): (u64, u32),
        target: usize,
        (request, tokens): (&Request, u64),
        now: Duration,
    ) -> Flight {
        let (world, targets) = (&self.world, &self.targets);
        let read = self.requests.entry((target, tokens));
        let read = read.or_insert_with(|| world.read(&targets[target], request, tokens));
        let Taken { decision, outcome } = self.offline.take(read, call, now);
        let ends = match outcome {
            Outcome::Answer { after, .. } | Outcome::Broken { after, .. } => Some(now + after),
            Outcome::Error | Outcome::Reset => Some(now),
            Outcome::Hang => None,
        };
        let input_tokens = read.input_tokens;
        Flight { attempt, target, sent: now, ends, decision, outcome, input_tokens }
    }

    /// The end of an attempt reaches its client.
    pub(super) fn land(&mut self, flight: &Flight, tokens: u64, now: Duration) -> Landed {
        let Flight { target, decision, outcome, input_tokens, .. } = flight;
        let reset = || classify::transport(Transport::Reset, "connection reset");
        let nothing = Usage::default();
        let (served, generated, result, billed) = match *outcome {
            Outcome::Answer { output_tokens, .. } => {
                let usage = Usage { input: *input_tokens, output: output_tokens };
                (Served::Answer, output_tokens, Ok(usage), usage)
            }
            Outcome::Broken { output_tokens, .. } => {
                let usage = Usage { input: *input_tokens, output: output_tokens };
                (Served::Broken, output_tokens, Err(reset()), usage)
            }
            Outcome::Error => {
                let failure = self.failure(*target, tokens, decision, flight.sent);
                let kind = decision.action.error();
                (kind.map_or(Served::Broken, Served::Error), 0, Err(failure), nothing)
            }
            Outcome::Hang | Outcome::Reset => (Served::Broken, 0, Err(reset()), nothing),
        };
        self.offline.ended(decision, served, generated, now);
        let observed = if self.observed && result.is_ok() {
            self.left(*target, tokens, decision, flight.sent)
        } else {
            Vec::new()
        };
        let limited = matches!(decision.action, Action::RateLimited(_));
        Landed { result, observed, billed, limited }
    }

    /// A client leaves before the end of an attempt; answers what is billed for it.
    pub(super) fn leave(&mut self, flight: &Flight, now: Duration) -> Usage {
        let (input, output) = match flight.outcome {
            Outcome::Answer { after, output_tokens } | Outcome::Broken { after, output_tokens } => {
                (
                    flight.input_tokens,
                    self.offline.generated(
                        &flight.decision,
                        output_tokens,
                        after,
                        now.saturating_sub(flight.sent),
                    ),
                )
            }
            Outcome::Error | Outcome::Hang | Outcome::Reset => (0, 0),
        };
        self.offline.ended(&flight.decision, Served::Broken, output, now);
        Usage { input, output }
    }

    /// What so many tokens of a target cost, in dollars; none if nobody knows its price.
    pub(super) fn cost(&self, target: usize, usage: Usage) -> Option<f64> {
        let model = &self.targets[target].model;
        let money = self.offline.cost(model, usage.input, usage.output)?;
        Some(super::statistics::number(money.picodollars) / 1e12)
    }

    /// What the client understands of an error.
    fn failure(
        &mut self,
        target: usize,
        tokens: u64,
        decision: &Decision,
        at: Duration,
    ) -> Failure {
        let kind = match (&decision.rule, &decision.limited) {
            // What it says of the conversation is of this one alone.
            _ if matches!(decision.action, Action::ContextLength(_)) => None,
            (Some(hit), _) if !hit.beyond => Some(Kind::Rule(hit.rule, hit.step)),
            (None, Some(limited)) if limited.wait.is_some() => {
                Some(Kind::Limited(limited.level.dimension, limited.level.period))
            }
            (None, None) if matches!(decision.action, Action::Overloaded(_)) => {
                Some(Kind::Overloaded)
            }
            _ => None,
        };
        let Some(kind) = kind else { return self.understood(target, tokens, decision, at) };
        let mut failure = if let Some(known) = self.failures.get(&(target, kind)) {
            known.clone()
        } else {
            let mut failure = self.understood(target, tokens, decision, at);
            // Nobody reads the texts, and they differ in their numbers.
            failure.message = Box::default();
            failure.request_id = None;
            self.failures.insert((target, kind), failure.clone());
            failure
        };
        if let (Kind::Limited(..), Some(wait)) =
            (kind, decision.limited.and_then(|limited| limited.wait))
        {
            match failure.hint.and_then(|hint| announced(hint.source, wait)) {
                Some(after) => failure.hint = failure.hint.map(|hint| Hint { after, ..hint }),
                None => return self.understood(target, tokens, decision, at),
            }
        }
        if self.observed && !failure.observed.is_empty() {
            failure.observed = self.left(target, tokens, decision, at).into();
        }
        failure
    }

    /// What the client understands of an error, by reading all of it.
    fn understood(&self, target: usize, tokens: u64, decision: &Decision, at: Duration) -> Failure {
        let request = &self.requests[&(target, tokens)];
        let worded = self.offline.word(request, decision, at).expect("an error has words");
        let headers: Vec<(&str, &str)> =
            worded.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let provider = self.targets[target].provider;
        classify::response(provider, worded.status, &headers, &worded.body, None)
    }

    /// What the limit headers of an answer say is left.
    fn left(&self, target: usize, tokens: u64, decision: &Decision, at: Duration) -> Vec<Observed> {
        let provider = self.targets[target].provider;
        if let Some(left) = plain(provider, &decision.levels) {
            return left;
        }
        let request = &self.requests[&(target, tokens)];
        let headers = self.offline.headers(request, decision, at);
        let headers: Vec<(&str, &str)> =
            headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        hint::observed(provider, &headers, None)
    }
}

/// A wait as a form of hint announces it; none for the forms that need the whole answer.
fn announced(source: Source, wait: Duration) -> Option<Duration> {
    let rounded = |unit: u128| {
        let units = u64::try_from(wait.as_nanos().div_ceil(unit)).ok()?;
        Some(Duration::from_nanos(units.checked_mul(u64::try_from(unit).ok()?)?))
    };
    match source {
        Source::RetryAfterMs => rounded(1_000_000),
        Source::RetryAfter => rounded(1_000_000_000),
        _ => None,
    }
}

/// What OpenAI's headers say of limits per minute, without their text; none for anything else.
fn plain(provider: Spoken, levels: &[Level]) -> Option<Vec<Observed>> {
    if provider != Spoken::OpenAi {
        return None;
    }
    let plain = |level: &Level| {
        let dimension = match level.dimension {
            Counted::Requests => Dimension::Rpm,
            Counted::Tokens => Dimension::Tpm,
            Counted::Concurrency | Counted::InputTokens | Counted::OutputTokens => return None,
        };
        let minute = level.period == Duration::from_secs(60);
        minute.then_some(Observed {
            dimension,
            limit: Some(level.limit),
            remaining: level.remaining,
        })
    };
    levels.iter().map(plain).collect()
}
