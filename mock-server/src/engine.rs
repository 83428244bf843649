//! Decides what happens to each request of a lane.
//!
//! The engine is a plain state machine: it is told of a request and the time since the server
//! began to listen, and answers with a decision. It waits for nothing, reads no clock, and knows
//! no wire; the same requests at the same times meet the same fate, whatever runs around it.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use crate::{
    action::{Action, ContextLength, Hinted, RateLimited, Refused},
    catalog, dialect,
    draw::{Draws, Purpose},
    identity::{Evidence, Identity, Served},
    journal::RuleHit,
    load::Load,
    models,
    plan::{Act, Model, Pick, Plan, Rule, Scope, Service, Then, matches},
    quota::{Ask, Level, Limited, Quotas},
    request::{Fingerprint, Request},
};

/// The rules, quotas and calls of one lane.
///
/// [`decide`](Self::decide) must be called once for each request, in the order of arrival, and
/// [`ended`](Self::ended) once when its attempt is over.
#[derive(Debug)]
pub struct Engine {
    plan: Arc<Plan>,
    draws: Draws,
    started: Option<Duration>,
    rules: Vec<RuleState>,
    identity: Identity,
    quotas: Quotas,
    load: Load,
    in_flight: u32,
    attempts: u64,
}

/// What happens to one request, and every number that its answer needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The attempt, counted from 1 in its lane.
    pub attempt: u64,
    /// The call it belongs to, counted from 1 in its lane.
    pub call: u64,
    /// Why it belongs to that call.
    pub evidence: Evidence,
    /// The rule that acted.
    pub rule: Option<RuleHit>,
    /// What the provider does.
    pub action: Action,
    /// The limit that refuses it, if one does.
    pub limited: Option<Limited>,
    /// The limits after an admitted request, for the headers of its answer.
    pub levels: Vec<Level>,
    /// The window that the input was measured against.
    pub window: u64,
    /// The most output tokens that its answer may have: the request's limit, the model's, or what
    /// the window has left; none if nothing limits it.
    pub output_max: Option<u64>,
    /// Whether the scenario's models do not include the one asked for.
    pub unknown_model: bool,
}

/// How far a rule got, as the end of a run tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RuleReport {
    /// How many requests matched.
    pub hits: u64,
    /// On how many it acted.
    pub acted: u64,
    /// How many scopes played its script to the last step.
    pub completed: u64,
}

#[derive(Debug, Default)]
struct RuleState {
    lane: Progress,
    calls: BTreeMap<u64, Progress>,
    hits: u64,
    acted: u64,
    completed: u64,
}

/// Where a rule stands in one scope.
#[derive(Clone, Copy, Debug, Default)]
struct Progress {
    hits: u64,
    /// How many steps of the script were played, repetitions counted.
    played: u64,
}

impl Decision {
    /// What a rule's action comes to for a request that is the first of its lane.
    pub(crate) fn example(request: &Request, action: &Action) -> Self {
        let bounds = Bounds::of(request, None);
        let mut decision = Self {
            attempt: 1,
            call: 1,
            evidence: Evidence::First,
            rule: Some(RuleHit { rule: 0, hit: 1, step: None, beyond: false }),
            action: action.clone(),
            limited: None,
            levels: Vec::new(),
            window: bounds.window,
            output_max: bounds.output_max(request),
            unknown_model: false,
        };
        settle(request, &mut decision);
        decision
    }
}

impl Engine {
    /// An engine at the start of its run.
    pub fn new(plan: Arc<Plan>, draws: Draws) -> Self {
        let rules = plan.rules.iter().map(|_| RuleState::default()).collect();
        let quotas = Quotas::new(plan.provider.quota.clone(), Duration::ZERO);
        let load = Load::new(plan.provider.load);
        Self {
            plan,
            draws,
            started: None,
            rules,
            identity: Identity::default(),
            quotas,
            load,
            in_flight: 0,
            attempts: 0,
        }
    }

    /// The same, with the wall time at which its own begins: it decides where the days and minutes
    /// of a quota end.
    #[must_use]
    pub fn with_wall(mut self, wall_at_zero: Duration) -> Self {
        self.quotas = Quotas::new(self.plan.provider.quota.clone(), wall_at_zero);
        self
    }

    /// The draws of this lane.
    pub fn draws(&self) -> Draws {
        self.draws
    }

    /// What happens to a request.
    pub fn decide(&mut self, request: &Request, now: Duration) -> Decision {
        let (call, evidence) = self.identity.assign(request);
        self.decide_for(request, call, evidence, now)
    }

    /// What happens to a request of which it is known, and how, to which call it belongs.
    ///
    /// A lane has either all of its calls named so, or none: what is named is not remembered.
    pub fn decide_for(
        &mut self,
        request: &Request,
        call: u64,
        evidence: Evidence,
        now: Duration,
    ) -> Decision {
        let started = *self.started.get_or_insert(now);
        let elapsed = now.saturating_sub(started);
        self.attempts += 1;
        self.in_flight += 1;
        let bounds = self.bounds(request);
        let mut decision = Decision {
            attempt: self.attempts,
            call,
            evidence,
            rule: None,
            action: Action::Answer(crate::action::Answer::default()),
            limited: None,
            levels: Vec::new(),
            window: bounds.window,
            output_max: bounds.output_max(request),
            unknown_model: bounds.unknown,
        };
        let plan = Arc::clone(&self.plan);
        for (index, rule) in plan.rules.iter().enumerate() {
            let Some((hit, action)) = self.meet(index, rule, request, call, elapsed) else {
                continue;
            };
            // What the provider refuses by itself never comes to the rule: it loses no step.
            if is_admitted(action) && !self.admit(request, &mut decision, bounds, now) {
                return decision;
            }
            self.commit(index, rule, call);
            decision.rule = Some(hit);
            decision.action = action.clone();
            settle(request, &mut decision);
            return decision;
        }
        self.admit(request, &mut decision, bounds, now);
        decision
    }

    /// Takes on the answer to an admitted request, which takes so long by itself; answers how much
    /// longer the load makes it.
    pub fn accept(&mut self, service: Duration, now: Duration) -> Duration {
        self.load.accept(service, now)
    }

    /// Tells how an attempt of a call was served, and how many output tokens were generated for it;
    /// its call may go on, or is answered.
    pub fn ended(
        &mut self,
        attempt: u64,
        call: u64,
        served: Served,
        generated: u64,
        now: Duration,
    ) {
        self.in_flight = self.in_flight.saturating_sub(1);
        self.quotas.settle(attempt, generated, now);
        self.identity.ended(call, served);
    }

    /// Counts a request that its provider refuses as it stands: no rule and no quota sees it, but
    /// it is an attempt of a call, and sending it again is a retry.
    pub fn refuse(&mut self, request: &Request, now: Duration) -> Decision {
        self.started.get_or_insert(now);
        self.attempts += 1;
        self.in_flight += 1;
        let (call, evidence) = self.identity.assign(request);
        let bounds = self.bounds(request);
        Decision {
            attempt: self.attempts,
            call,
            evidence,
            rule: None,
            action: Action::Answer(crate::action::Answer::default()),
            limited: None,
            levels: Vec::new(),
            window: bounds.window,
            output_max: bounds.output_max(request),
            unknown_model: false,
        }
    }

    /// Tells that a connection is closed.
    pub fn disconnected(&mut self, connection: u64) {
        self.identity.disconnected(connection);
    }

    /// How an attempt that no dialect serves is counted: it has a number, and nothing else.
    pub fn count_unserved(&mut self, now: Duration) -> u64 {
        self.started.get_or_insert(now);
        self.attempts += 1;
        self.attempts
    }

    /// When the lane's first request came.
    pub fn started(&self) -> Option<Duration> {
        self.started
    }

    /// How far each rule got, in their order.
    pub fn reports(&self) -> Vec<RuleReport> {
        let reports = self.rules.iter();
        reports
            .map(|state| RuleReport {
                hits: state.hits,
                acted: state.acted,
                completed: state.completed,
            })
            .collect()
    }

    /// What one rule would do about a request: nothing, if it does not match or does not act.
    fn meet<'a>(
        &mut self,
        index: usize,
        rule: &'a Rule,
        request: &Request,
        call: u64,
        elapsed: Duration,
    ) -> Option<(RuleHit, &'a Action)> {
        let in_time = rule.when.from.is_none_or(|from| from.0 <= elapsed)
            && rule.when.until.is_none_or(|until| elapsed < until.0);
        if !in_time || !request.meets(&rule.when) {
            return None;
        }
        let state = self.rules.get_mut(index).expect("one state for each rule");
        state.hits += 1;
        let progress = match rule.per {
            Scope::Call => state.calls.entry(call).or_default(),
            Scope::Lane => &mut state.lane,
        };
        progress.hits += 1;
        let hit = progress.hits;
        let subject = match (&rule.draw, rule.per) {
            (Some(name), Scope::Lane) => format!("draw {name}"),
            (Some(name), Scope::Call) => format!("draw {name} call {call}"),
            (None, Scope::Lane) => format!("rule {index}"),
            (None, Scope::Call) => format!("rule {index} call {call}"),
        };
        if !picks(rule.pick, self.draws, &subject, hit) {
            return None;
        }
        let (step, beyond, action) = match &rule.act {
            Act::Fault(action) => (None, false, action),
            Act::Script { steps, then } => {
                let length: u64 = steps.iter().map(|step| u64::from(step.times())).sum();
                let position = match then {
                    Then::Cycle => progress.played % length,
                    Then::RepeatLast => progress.played.min(length - 1),
                    Then::Fail | Then::Healthy => progress.played,
                };
                match step_at(steps, position) {
                    Some((step, action)) => (Some(step), false, action),
                    None if *then == Then::Fail => (None, true, &BEYOND),
                    None => return None,
                }
            }
        };
        // A step that the request cannot meet waits for one that can.
        if !strikes(action, request) {
            return None;
        }
        Some((RuleHit { rule: index, hit, step, beyond }, action))
    }

    /// Notes that a rule has acted.
    fn commit(&mut self, index: usize, rule: &Rule, call: u64) {
        let state = self.rules.get_mut(index).expect("one state for each rule");
        state.acted += 1;
        let Act::Script { steps, .. } = &rule.act else { return };
        let progress = match rule.per {
            Scope::Call => state.calls.entry(call).or_default(),
            Scope::Lane => &mut state.lane,
        };
        progress.played += 1;
        let length = steps.iter().map(|step| u64::from(step.times())).sum::<u64>();
        if progress.played == length {
            state.completed += 1;
        }
    }

    /// The checks of a healthy provider, in OpenAI's order: model, rate, capacity, context. Tells
    /// whether it takes the request; if not, the decision says why. What the provider has no words
    /// for, it does not check: Ollama has no quota.
    fn admit(
        &mut self,
        request: &Request,
        decision: &mut Decision,
        bounds: Bounds,
        now: Duration,
    ) -> bool {
        if decision.unknown_model {
            return false;
        }
        let service = request.route.service();
        if !service.is_metered() {
            return true;
        }
        let can_say = |action: &Action| catalog::knows(request.route, action);
        let provider = &self.plan.provider;
        let limited = Action::RateLimited(RateLimited::default());
        if provider.quota.limits_something() && can_say(&limited) {
            let ask = Ask {
                attempt: decision.attempt,
                provider: request.route.provider(),
                organisation: request.headers.get("openai-organization").unwrap_or_default(),
                key: Fingerprint::of(&request.key),
                model: &request.model,
                input_tokens: request.input_tokens,
                output_tokens_max: match service {
                    Service::Generate => request.output_tokens_max,
                    Service::Count | Service::Embed | Service::List => Some(0),
                },
                model_output_max: bounds.output,
            };
            match self.quotas.admit(&ask, now) {
                Ok(levels) => decision.levels = levels,
                Err(limited) => {
                    let retry_after = limited.wait.map(crate::units::Span);
                    let limit = limited.level.dimension;
                    let settings = RateLimited { retry_after, limit, ..RateLimited::default() };
                    decision.action = Action::RateLimited(settings);
                    decision.levels = self.quotas.levels(&ask, now);
                    decision.limited = Some(limited);
                    return false;
                }
            }
        }
        let overloaded = Action::Overloaded(Hinted::default());
        let is_full = provider.capacity.is_some_and(|capacity| self.in_flight > capacity)
            || self.load.is_full(now);
        if is_full && can_say(&overloaded) {
            decision.action = overloaded;
            return false;
        }
        let too_long = Action::ContextLength(ContextLength::default());
        if !bounds.fit(request) && can_say(&too_long) {
            decision.action = too_long;
            return false;
        }
        true
    }

    /// What a model takes and gives, as the scenario says or as it really is.
    fn bounds(&self, request: &Request) -> Bounds {
        let listed = &self.plan.provider.models;
        let model = listed.get(&request.model).or_else(|| {
            listed.iter().find(|(name, _)| matches(name, &request.model)).map(|(_, model)| model)
        });
        // A list of models names none. What is longer than any name would be repeated in every
        // event of a stream.
        let unlisted = !listed.is_empty() && !request.model.is_empty();
        let unknown = model.is_none() && (unlisted || request.model.len() > MODEL_BYTES_MAX);
        Bounds { unknown, ..Bounds::of(request, model) }
    }
}

/// The longest name of a model; Amazon's, which are the longest, have 2,048 at most.
const MODEL_BYTES_MAX: usize = 2_048;

/// What a model takes and gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Bounds {
    /// Whether the scenario lists models, and not this one.
    unknown: bool,
    /// The window in tokens.
    window: u64,
    /// Whether the output asked for must fit into the window beside the input.
    shared: bool,
    /// The most output tokens of an answer.
    output: Option<u64>,
}

impl Bounds {
    fn of(request: &Request, model: Option<&Model>) -> Self {
        let facts = models::facts(&request.model);
        let input_alone = facts.and_then(|facts| facts.max_input_tokens);
        let real = input_alone.or(facts.map(|facts| facts.context_window)).unwrap_or(WINDOW);
        // Where a model has a limit of its own for the input, nothing else is measured.
        let dialect = dialect::of(request.route.provider());
        let shared = dialect.is_some_and(dialect::Dialect::shares_window) && input_alone.is_none();
        Self {
            unknown: false,
            window: model.and_then(|model| model.window).unwrap_or(real),
            shared,
            output: model
                .and_then(|model| model.output)
                .or(facts.and_then(|facts| facts.max_output_tokens)),
        }
    }

    /// Whether a request fits into the window.
    fn fit(&self, request: &Request) -> bool {
        let dialect = dialect::of(request.route.provider());
        let needed = dialect.map_or(request.input_tokens, |dialect| dialect.needed(request));
        let output = request.output_tokens_max.filter(|_| self.shared).unwrap_or(0);
        needed.saturating_add(output) <= self.window
    }

    /// The most output tokens of the answer to a request.
    fn output_max(&self, request: &Request) -> Option<u64> {
        let left = self.shared.then(|| self.window.saturating_sub(request.input_tokens).max(1));
        [request.output_tokens_max, self.output, left].into_iter().flatten().min()
    }
}

/// The smallest window of the models that are sold today, for those that are unknown.
const WINDOW: u64 = 128_000;

/// The answer to a request after `then: fail`: an error that no client can mistake for success.
static BEYOND: Action = Action::BadRequest(Refused { times: crate::action::Times(1), case: None });

/// Whether an action is done to a request that the provider has taken, and not instead of taking it.
fn is_admitted(action: &Action) -> bool {
    matches!(
        action,
        Action::Answer(_)
            | Action::CutStream(_)
            | Action::Slow(_)
            | Action::StreamError(_)
            | Action::Truncated(_)
    )
}

/// Fills in the numbers of a rule's action.
fn settle(request: &Request, decision: &mut Decision) {
    let input = request.input_tokens;
    match &decision.action {
        Action::RateLimited(settings) => {
            let wait = settings.retry_after.map(|after| after.0);
            decision.limited = Some(Limited::scripted(settings.limit, wait, input));
        }
        Action::ContextLength(settings) => {
            decision.window = settings.window.unwrap_or(input.saturating_sub(1)).max(1);
        }
        _ => {}
    }
}

/// Whether a rule acts on its n-th hit.
fn picks(pick: Pick, draws: Draws, subject: &str, hit: u64) -> bool {
    match pick {
        Pick::Always => true,
        Pick::Chance(share) => share.takes(draws.draw(subject, Purpose::Chance, hit, 0)),
        Pick::Every(n) => hit.is_multiple_of(n.max(1)),
        Pick::Exactly(portion) => {
            // A shuffled deck: a hit acts if its card is among the k lowest of its n.
            let of = u64::from(portion.of);
            let (deck, place) = ((hit - 1) / of, (hit - 1) % of);
            let card = |place| (draws.draw(subject, Purpose::Deck, deck, place), place);
            let mine = card(place);
            let lower = (0..of).filter(|&other| card(other) < mine).count();
            u32::try_from(lower).is_ok_and(|lower| lower < portion.count)
        }
        Pick::Hits(ordinals) => ordinals.contains(hit),
    }
}

/// The step that is played at a position, repetitions counted.
fn step_at(steps: &[Action], position: u64) -> Option<(usize, &Action)> {
    let mut end = 0;
    steps.iter().enumerate().find(|(_, step)| {
        end += u64::from(step.times());
        position < end
    })
}

/// Whether an action can be done to a request: its provider knows the error, the wire carries it,
/// and the input is too long for a window that was set.
fn strikes(action: &Action, request: &Request) -> bool {
    let too_long = match action {
        Action::ContextLength(settings) => {
            settings.window.is_none_or(|window| request.input_tokens > window)
        }
        _ => true,
    };
    let known = catalog::knows(request.route, action);
    too_long && known && action.suits(request.streaming)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        action::ErrorKind,
        plan::{Provider, Route, When},
        request::{Conversation, Headers, Wishes},
        units::{Ordinals, Portion, Share, Span},
    };

    const SECOND: Duration = Duration::from_secs(1);

    fn request(text: &str) -> Request {
        Request {
            route: Route::OpenAiChat,
            model: "gpt-4o-mini".to_owned(),
            key: "sk-test".to_owned(),
            headers: Headers::default(),
            body: Value::Null,
            streaming: false,
            conversation: Conversation::new([("user", text.to_owned())]),
            input_tokens: 10,
            output_tokens_max: None,
            wishes: Wishes::default(),
            connection: 0,
        }
    }

    fn action(json: Value) -> Action {
        serde_json::from_value(json).unwrap()
    }

    fn fault(json: Value) -> Rule {
        Rule {
            when: When::default(),
            pick: Pick::Always,
            per: Scope::Lane,
            act: Act::Fault(action(json)),
            draw: None,
        }
    }

    fn script(steps: &[Value], then: Then, per: Scope) -> Rule {
        let steps = steps.iter().cloned().map(action).collect();
        Rule { per, act: Act::Script { steps, then }, ..fault(json!({"hang": {}})) }
    }

    fn engine(rules: Vec<Rule>) -> Engine {
        Engine::new(Arc::new(Plan { rules, ..Plan::default() }), Draws::new(1))
    }

    /// The names of the actions that identical failing requests meet, one a second.
    fn play(engine: &mut Engine, count: u32, text: &str) -> Vec<&'static str> {
        (0..count)
            .map(|n| {
                let decision = engine.decide(&request(text), SECOND * n);
                let name = decision.action.name();
                engine.ended(decision.attempt, decision.call, Served::Broken, 0, SECOND * n);
                name
            })
            .collect()
    }

    #[test]
    fn a_script_is_played_in_order_and_then_does_what_it_says() {
        let steps = [json!({"rate-limited": {"times": 2}}), json!({"server-error": {}})];
        for (then, expected) in [
            (Then::Healthy, ["rate-limited", "rate-limited", "server-error", "answer", "answer"]),
            (
                Then::RepeatLast,
                ["rate-limited", "rate-limited", "server-error", "server-error", "server-error"],
            ),
            (
                Then::Cycle,
                ["rate-limited", "rate-limited", "server-error", "rate-limited", "rate-limited"],
            ),
            (
                Then::Fail,
                ["rate-limited", "rate-limited", "server-error", "bad-request", "bad-request"],
            ),
        ] {
            let mut engine = engine(vec![script(&steps, then, Scope::Lane)]);
            assert_eq!(play(&mut engine, 5, "hi"), expected, "{then:?}");
        }
    }

    #[test]
    fn each_call_meets_its_script_afresh() {
        let steps = [json!({"rate-limited": {}})];
        let mut engine = engine(vec![script(&steps, Then::Healthy, Scope::Call)]);
        assert_eq!(play(&mut engine, 2, "one"), ["rate-limited", "answer"]);
        assert_eq!(play(&mut engine, 2, "two"), ["rate-limited", "answer"]);
        assert_eq!(engine.reports(), [RuleReport { hits: 4, acted: 2, completed: 2 }]);
    }

    #[test]
    fn a_rule_that_does_not_act_lets_the_next_one_try() {
        let hits = |text: &str| Pick::Hits(text.parse::<Ordinals>().unwrap());
        let first = Rule { pick: hits("2"), ..fault(json!({"overloaded": {}})) };
        let second = Rule { pick: hits("2.."), ..fault(json!({"unavailable": {}})) };
        let mut engine = engine(vec![first, second]);
        // The second rule meets only what the first lets through: its hits are 1st, 3rd, 4th.
        assert_eq!(
            play(&mut engine, 4, "hi"),
            ["answer", "overloaded", "unavailable", "unavailable"]
        );
    }

    #[test]
    fn a_window_counts_from_the_first_request() {
        let when =
            When { from: Some(Span(SECOND)), until: Some(Span(SECOND * 3)), ..When::default() };
        let mut engine = engine(vec![Rule { when, ..fault(json!({"hang": {}})) }]);
        let late = SECOND * 100;
        let names: Vec<_> = (0..4)
            .map(|n| engine.decide(&request("hi"), late + SECOND * n).action.name())
            .collect();
        assert_eq!(names, ["answer", "hang", "hang", "answer"]);
    }

    #[test]
    fn an_action_waits_for_a_request_that_it_suits() {
        let steps = [json!({"cut-stream": {}}), json!({"rate-limited": {}})];
        let mut engine = engine(vec![script(&steps, Then::Healthy, Scope::Lane)]);
        assert_eq!(engine.decide(&request("a"), SECOND).action.name(), "answer");
        let stream = Request { streaming: true, ..request("b") };
        assert_eq!(engine.decide(&stream, SECOND).action.name(), "cut-stream");
        assert_eq!(engine.decide(&request("c"), SECOND).action.name(), "rate-limited");
    }

    #[test]
    fn a_context_error_counts_the_input_against_the_window() {
        let mut engine = engine(vec![fault(json!({"context-length": {"window": 50}}))]);
        assert_eq!(engine.decide(&request("short"), SECOND).action.name(), "answer");
        let long = Request { input_tokens: 51, ..request("long") };
        let decision = engine.decide(&long, SECOND);
        assert_eq!((decision.action.name(), decision.window), ("context-length", 50));
    }

    #[test]
    fn the_healthy_provider_refuses_what_it_cannot_do() {
        let provider = |json: Value| Plan {
            provider: serde_json::from_value::<Provider>(json).unwrap(),
            ..Plan::default()
        };
        let decide = |plan: Plan, request: &Request| {
            let mut engine = Engine::new(Arc::new(plan), Draws::new(1));
            engine.decide(&self::request("other"), SECOND);
            engine.decide(request, SECOND)
        };
        let limited = decide(provider(json!({"quota": {"requests": "1/min"}})), &request("a"));
        assert_eq!(limited.action.error(), Some(ErrorKind::RateLimited));
        assert_eq!(limited.limited.unwrap().wait, Some(SECOND * 60));
        let busy = decide(provider(json!({"capacity": 1})), &request("a"));
        assert_eq!(busy.action.error(), Some(ErrorKind::Overloaded));
        let small = provider(json!({"models": {"gpt-4o*": {"window": 9}}}));
        let long = decide(small, &request("a"));
        assert_eq!((long.action.error(), long.window), (Some(ErrorKind::ContextLength), 9));
        let other = decide(provider(json!({"models": {"gpt-5": {}}})), &request("a"));
        assert!(other.unknown_model);
        let plain = Plan { provider: Provider::default(), ..Plan::default() };
        assert_eq!(decide(plain, &request("a")).window, 128_000);
    }

    #[test]
    fn a_window_holds_what_its_provider_measures() {
        let models = json!({
            "gpt-4o": {"window": 100}, "gpt-5": {"window": 100}, "claude-haiku-4-5": {"window": 100},
            "small": {"window": 100, "output": 30},
        });
        let provider: Provider = serde_json::from_value(json!({"models": models})).unwrap();
        let plan = Arc::new(Plan { provider, ..Plan::default() });
        let openai = Route::OpenAiChat;
        // What is asked for, whether it is refused, and the most that an answer may have.
        for (route, model, input, asked, refused, most) in [
            (openai, "gpt-4o", 80, Some(20), false, Some(20)),
            (openai, "gpt-4o", 80, Some(21), true, Some(20)),
            (openai, "gpt-4o", 80, None, false, Some(20)),
            (openai, "small", 10, None, false, Some(30)),
            (openai, "small", 10, Some(7), false, Some(7)),
            (Route::AnthropicMessages, "claude-haiku-4-5", 80, Some(21), true, Some(20)),
            // A limit of its own for the input: the output has room elsewhere.
            (openai, "gpt-5", 100, Some(500), false, Some(500)),
            (openai, "gpt-5", 101, Some(1), true, Some(1)),
        ] {
            let mut engine = Engine::new(Arc::clone(&plan), Draws::new(1));
            let request = Request {
                route,
                model: model.to_owned(),
                input_tokens: input,
                output_tokens_max: asked,
                ..request("a")
            };
            let decision = engine.decide(&request, SECOND);
            let is_refused = decision.action.error() == Some(ErrorKind::ContextLength);
            assert_eq!((is_refused, decision.output_max), (refused, most), "{model} {asked:?}");
        }
    }

    #[test]
    fn what_the_provider_refuses_by_itself_costs_a_rule_nothing() {
        let rules = vec![script(&[json!({"slow": {}})], Then::Fail, Scope::Lane)];
        let refused = |provider: Value, error: ErrorKind| {
            let provider = serde_json::from_value::<Provider>(provider).unwrap();
            let plan = Plan { rules: rules.clone(), provider, ..Plan::default() };
            let mut engine = Engine::new(Arc::new(plan), Draws::new(1));
            let other = Request { route: Route::AnthropicMessages, ..request("other") };
            let long = Request { input_tokens: 1_000, ..request("long") };
            let decision = engine.decide(&long, SECOND);
            assert_eq!((decision.rule, decision.action.error()), (None, Some(error)));
            let report = RuleReport { hits: 1, acted: 0, completed: 0 };
            assert_eq!(engine.reports(), [report]);
            engine.ended(decision.attempt, decision.call, Served::Error(error), 0, SECOND);
            assert_eq!(engine.decide(&other, SECOND).rule.unwrap().step, Some(0));
        };
        refused(json!({"quota": {"tokens": "999/min"}}), ErrorKind::RateLimited);
        refused(json!({"models": {"*": {"window": 999}}}), ErrorKind::ContextLength);
        // The first request has the only place, so the second is refused.
        let provider = serde_json::from_value::<Provider>(json!({"capacity": 1})).unwrap();
        let steps = [json!({"slow": {}}), json!({"truncated": {}})];
        let rules = vec![script(&steps, Then::Healthy, Scope::Lane)];
        let plan = Plan { provider, rules, ..Plan::default() };
        let mut engine = Engine::new(Arc::new(plan), Draws::new(1));
        let slow = engine.decide(&request("a"), SECOND);
        assert_eq!(slow.action.name(), "slow");
        let busy = engine.decide(&request("b"), SECOND);
        assert_eq!((busy.rule, busy.action.name()), (None, "overloaded"));
        engine.ended(slow.attempt, slow.call, Served::Answer, 0, SECOND);
        let refused = Served::Error(ErrorKind::Overloaded);
        engine.ended(busy.attempt, busy.call, refused, 0, SECOND);
        assert_eq!(engine.decide(&request("b"), SECOND).rule.unwrap().step, Some(1));
    }

    #[test]
    fn a_shared_draw_is_drawn_for_each_call_if_its_rule_is() {
        let rule = Rule {
            pick: Pick::Chance(Share { ppm: 500_000 }),
            per: Scope::Call,
            draw: Some("weather".to_owned()),
            ..fault(json!({"overloaded": {}}))
        };
        let mut engine = engine(vec![rule]);
        let names = (0..40).map(|n| {
            let request = request(&format!("call {n}"));
            engine.decide(&request, SECOND).action.name()
        });
        // Every one of them is the first hit of its call.
        let names: std::collections::BTreeSet<_> = names.collect();
        assert_eq!(names.len(), 2, "{names:?}");
    }

    #[test]
    fn a_deck_deals_exactly_k_of_every_n() {
        let pick = Pick::Exactly("3 of 10".parse::<Portion>().unwrap());
        let mut engine = engine(vec![Rule { pick, ..fault(json!({"hang": {}})) }]);
        let names = play(&mut engine, 100, "hi");
        for deck in names.chunks(10) {
            assert_eq!(deck.iter().filter(|&&name| name == "hang").count(), 3);
        }
    }

    #[test]
    fn rules_that_share_a_draw_act_together() {
        let pick = Pick::Chance(Share { ppm: 500_000 });
        let rule = |provider: &str| Rule {
            pick,
            draw: Some("weather".to_owned()),
            when: serde_json::from_value(json!({ "provider": provider })).unwrap(),
            ..fault(json!({"overloaded": {}}))
        };
        let mut engine = engine(vec![rule("openai"), rule("anthropic")]);
        for _ in 0..50 {
            let openai = engine.decide(&request("a"), SECOND).action;
            let anthropic = Request { route: Route::AnthropicMessages, ..request("a") };
            assert_eq!(openai, engine.decide(&anthropic, SECOND).action);
        }
    }

    proptest! {
        /// Requests that another rule takes do not change this rule's luck.
        #[test]
        fn interleaving_routes_changes_no_decision(order in prop::collection::vec(any::<bool>(), 1..60)) {
            let pick = Pick::Chance(Share { ppm: 300_000 });
            let rule = |provider: &str| Rule {
                pick,
                when: serde_json::from_value(json!({ "provider": provider })).unwrap(),
                ..fault(json!({"overloaded": {}}))
            };
            let rules = vec![rule("openai"), rule("anthropic")];
            let (mut mixed, mut alone) = (engine(rules.clone()), engine(rules));
            for openai in order {
                let route = if openai { Route::OpenAiChat } else { Route::AnthropicMessages };
                let request = Request { route, ..request("a") };
                let decision = mixed.decide(&request, SECOND);
                if openai {
                    prop_assert_eq!(decision.action, alone.decide(&request, SECOND).action);
                }
            }
        }
    }
}
