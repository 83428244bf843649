//! What is told to whoever watches: do the numbers and the spans say what the traces say, and nothing else?

use std::collections::{BTreeMap, BTreeSet};
use std::future::pending;
use std::pin::pin;
use std::sync::{Arc, Mutex, Once};
use std::time::Duration;

use futures_util::future::{Either, join_all, select};
use metrics::{
    Counter, CounterFn, Gauge, GaugeFn, Histogram, HistogramFn, Key, KeyName, Metadata,
    SharedString, Unit,
};
use proptest::prelude::*;
use resilience_core::hint::{Hint, Source};
use resilience_core::telemetry::MetricsObserver;
use resilience_core::{
    Answer, Attempt, BudgetSettings, Class, Client, Ended, Failure, Finish, HedgeDelay,
    HedgeSettings, Message, Observer, Piece, Policy, Quota, Request, Retries, Target, Timeouts,
    Trace, Usage, What,
};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;

use crate::play::{LIMITED, TOO_LONG, exact, secs, target};

/// What a person might say, and what a key looks like; neither belongs where anybody reads along.
const SAID: &str = "swordfish";
const KEY: &str = "sk-proj-0123456789abcdef";

// ## What happens

/// What a transport makes of one attempt.
#[derive(Clone, Copy, Debug)]
struct Fate {
    after: Duration,
    class: Option<Class>,
    hint: Option<Duration>,
    token: bool,
    commits: bool,
}

const ANSWERED: Fate =
    Fate { after: Duration::ZERO, class: None, hint: None, token: false, commits: false };

fn failed(class: Class) -> Fate {
    Fate { class: Some(class), ..ANSWERED }
}

fn hinted(after: u64) -> Fate {
    Fate { hint: Some(secs(after)), ..failed(LIMITED) }
}

fn fate() -> impl Strategy<Value = Fate> {
    let class = prop_oneof![
        2 => Just(None),
        3 => prop::sample::select(vec![
            Class::Server, LIMITED, Class::Connect, Class::NotProcessed, Class::Decode,
        ]).prop_map(Some),
        1 => prop::sample::select(vec![
            Class::Auth, Class::InvalidRequest, Class::Cancelled, TOO_LONG,
        ]).prop_map(Some),
    ];
    let hint = prop_oneof![2 => Just(None), 1 => (0..90u64).prop_map(|after| Some(secs(after)))];
    (0..200_000u64, class, hint, prop::bool::ANY, prop::bool::weighted(0.1)).prop_map(
        |(ms, class, hint, token, commits)| Fate {
            after: Duration::from_millis(ms >> (ms % 16)),
            class,
            hint,
            token,
            commits,
        },
    )
}

async fn pass(span: Duration) {
    #[expect(clippy::disallowed_methods, reason = "a transport that takes its time")]
    tokio::time::sleep(span).await;
}

/// Logs from within its attempt, also when it is dropped.
struct Chatty {
    call: u64,
    attempt: u32,
}

impl Chatty {
    fn chat(&self) {
        let Self { call, attempt } = self;
        tracing::info!(of_call = call, of_attempt = attempt, "chat");
    }
}

impl Drop for Chatty {
    fn drop(&mut self) {
        self.chat();
    }
}

/// Says something at once, before anybody polls: an attempt may be given up on before that.
fn send(fate: Fate, attempt: Attempt) -> impl Future<Output = Result<Answer<()>, Failure>> {
    let chatty = Chatty { call: attempt.call, attempt: attempt.number };
    chatty.chat();
    meet(fate, attempt, chatty)
}

async fn meet(fate: Fate, attempt: Attempt, chatty: Chatty) -> Result<Answer<()>, Failure> {
    if fate.token {
        attempt.connected();
        attempt.token();
    }
    pass(fate.after).await;
    chatty.chat();
    if fate.commits && !attempt.commit() {
        pending::<()>().await;
    }
    let Some(class) = fate.class else {
        return Ok(Answer { value: (), usage: Some(Usage { input: 10, output: 3 }) });
    };
    let mut failure = Failure::new(class, &format!("{SAID} with key {KEY}"));
    failure.hint = fate.hint.map(|after| Hint { after, source: Source::RetryAfter });
    Err(failure)
}

/// Keeps what the metrics are made of.
#[derive(Default)]
struct Kept(Mutex<Vec<(Trace, Option<Usage>)>>);

impl Observer for Kept {
    fn ended(&self, ended: &Ended<'_>) {
        self.0.lock().unwrap().push((ended.trace.clone(), ended.usage));
    }
}

/// Calls that begin half a second apart, each with the patience of its caller.
#[derive(Clone, Debug)]
struct World {
    policy: Policy,
    targets: Vec<Target>,
    patience: Vec<Duration>,
}

struct Seen {
    ended: Vec<(Trace, Option<Usage>)>,
    numbers: Numbers,
    spans: Vec<SeenSpan>,
    events: Vec<SeenEvent>,
}

impl World {
    fn play(&self, fate: impl Fn(u64, u32, usize) -> Fate) -> Seen {
        let recorder = Recorder::default();
        let kept = Arc::new(Kept::default());
        let log = Log::default();
        let observer: Arc<dyn Observer> = Arc::<Kept>::clone(&kept);
        let client = Client::new(self.policy.clone(), self.targets.clone(), 1)
            .unwrap()
            .observed_by(observer)
            .observed_by(Arc::new(MetricsObserver));
        let said = (0..40).map(|turn| Message::user(format!("{SAID} {turn}")));
        let request = Request::new(said.collect::<Vec<_>>());
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        let run = || {
            runtime.unwrap().block_on(join_all(self.patience.iter().enumerate().map(
                async |(index, patience)| {
                    let id = u64::try_from(index).unwrap();
                    pass(Duration::from_millis(500 * id)).await;
                    let call = pin!(client.call_at(id, &request, |attempt| {
                        send(fate(id, attempt.number, attempt.target_index()), attempt)
                    }));
                    if let Either::Left((Ok(success), _)) =
                        select(call, pin!(pass(*patience))).await
                    {
                        assert!(success.trace.finish().is_some());
                    }
                },
            )));
        };
        let subscriber = tracing_subscriber::registry().with(log.clone());
        metrics::with_local_recorder(&recorder, || {
            everybody_listens();
            tracing::subscriber::with_default(subscriber, run);
        });
        let numbers = recorder.0.lock().unwrap().clone();
        let (spans, events) = {
            let inside = log.0.lock().unwrap();
            (inside.spans.clone(), inside.events.clone())
        };
        Seen { ended: std::mem::take(&mut *kept.0.lock().unwrap()), numbers, spans, events }
    }
}

fn world() -> impl Strategy<Value = World> {
    let quota = prop_oneof![Just(None), (1..30u64).prop_map(Some)];
    let hedge = prop_oneof![Just(None), (0..20u64).prop_map(Some)];
    let patience = prop::collection::vec(prop_oneof![(0..60u64), Just(10_000)], 1..12);
    (1..4usize, quota, hedge, 1..700u64, 1..12u32, patience).prop_map(
        |(targets, quota, hedge, call_secs, attempts_max, patience)| {
            let hedge = hedge.map(|after| HedgeSettings {
                delay: HedgeDelay::Fixed(secs(after)),
                hedges_max: 2,
                budget_ppm: 1_000_000,
                saved_max: 10,
            });
            let timeouts = Timeouts { call: secs(call_secs), ..Timeouts::default() };
            let targets = (0..targets).map(|index| {
                let mut target = target(NAMES[index], KEY);
                target.credential = format!("{KEY}-{index}");
                target.quota = quota.map(|requests| Quota::per_minute(requests, 1_000_000));
                target
            });
            World {
                policy: Policy { attempts_max, timeouts, hedge, ..Policy::default() },
                targets: targets.collect(),
                patience: patience.into_iter().map(secs).collect(),
            }
        },
    )
}

const NAMES: [&str; 3] = ["a", "b", "c"];

// ## Numbers

/// For each name and labels, how often and how much.
type Numbers = BTreeMap<(String, BTreeMap<String, String>), (u64, f64)>;

#[derive(Clone, Default)]
struct Recorder(Arc<Mutex<Numbers>>);

struct Cell {
    key: (String, BTreeMap<String, String>),
    recorder: Recorder,
}

impl Cell {
    fn new(recorder: &Recorder, key: &Key) -> Arc<Self> {
        let labels = key.labels().map(|label| (label.key().to_owned(), label.value().to_owned()));
        let key = (key.name().to_owned(), labels.collect());
        Arc::new(Self { key, recorder: recorder.clone() })
    }

    fn add(&self, count: u64, value: f64) {
        let mut numbers = self.recorder.0.lock().unwrap();
        let (counted, sum) = numbers.entry(self.key.clone()).or_default();
        *counted += count;
        *sum += value;
    }
}

impl CounterFn for Cell {
    fn increment(&self, value: u64) {
        self.add(value, 0.0);
    }

    fn absolute(&self, _value: u64) {
        unreachable!("counters are counted up");
    }
}

impl GaugeFn for Cell {
    fn increment(&self, value: f64) {
        self.add(1, value);
    }

    fn decrement(&self, value: f64) {
        self.add(0, -value);
    }

    fn set(&self, _value: f64) {
        unreachable!("gauges go up and down");
    }
}

impl HistogramFn for Cell {
    fn record(&self, value: f64) {
        self.add(1, value);
    }
}

impl metrics::Recorder for Recorder {
    fn describe_counter(&self, name: KeyName, _unit: Option<Unit>, _about: SharedString) {
        self.0.lock().unwrap().insert((name.as_str().to_owned(), BTreeMap::new()), (0, 0.0));
    }

    fn describe_gauge(&self, name: KeyName, unit: Option<Unit>, about: SharedString) {
        self.describe_counter(name, unit, about);
    }

    fn describe_histogram(&self, name: KeyName, unit: Option<Unit>, about: SharedString) {
        self.describe_counter(name, unit, about);
    }

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(Cell::new(self, key))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(Cell::new(self, key))
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(Cell::new(self, key))
    }
}

/// How often in all series of this name that have these labels.
fn count(numbers: &Numbers, name: &str, labels: &[(&str, &str)]) -> u64 {
    numbers
        .iter()
        .filter(|((of, has), _)| {
            of == name
                && labels.iter().all(|(label, value)| has.get(*label).is_some_and(|is| is == value))
        })
        .map(|(_, (count, _))| count)
        .sum()
}

fn times(traces: &[(Trace, Option<Usage>)], is: impl Fn(&What) -> bool) -> u64 {
    let entries = traces.iter().flat_map(|(trace, _)| &trace.entries);
    u64::try_from(entries.filter(|entry| is(&entry.what)).count()).unwrap()
}

/// The failed attempts of a trace that were not followed by a retry, counted backwards.
fn not_retried(trace: &Trace) -> u64 {
    let mut asked_later = BTreeSet::new();
    let mut not_retried = 0;
    for entry in trace.entries.iter().rev() {
        match &entry.what {
            What::AttemptStarted { target, hedge: false, .. } => {
                asked_later.insert(*target);
            }
            What::AttemptEnded { target, failure: Some(failure), .. }
                if failure.class != Class::Cancelled && !asked_later.contains(target) =>
            {
                not_retried += 1;
            }
            _ => {}
        }
    }
    not_retried
}

const REASONS: [&str; 13] = [
    "abandoned",
    "attempts-max",
    "budget",
    "busy",
    "committed",
    "deadline",
    "exhausted",
    "final",
    "hedged",
    "hint-beyond-cap",
    "hint-too-long",
    "shed",
    "too-late",
];

/// Whether a label's value belongs to the set that is documented for it.
fn is_known(name: &str, label: &str, value: &str) -> bool {
    let rests = ["cooling-breaker", "cooling-credential", "cooling-hint", "cooling-outage"];
    match (name, label) {
        (_, "target" | "from" | "to") => NAMES.contains(&value),
        (_, "kind") => ["first", "retry", "fallback", "hedge"].contains(&value),
        (_, "direction") => ["input", "output"].contains(&value),
        (_, "change") => ["dropped", "cut"].contains(&value),
        ("llm_calls_total" | "llm_call_seconds", "outcome") => {
            ["served", "unservable"].contains(&value)
                || REASONS.contains(&value)
                    && !["busy", "hedged", "hint-too-long", "too-late"].contains(&value)
        }
        (_, "outcome") => [
            "answered",
            "auth",
            "cancelled",
            "connect",
            "context-overflow",
            "decode",
            "invalid-request",
            "not-processed",
            "rate-limited",
            "server-error",
            "timeout",
        ]
        .contains(&value),
        ("llm_retries_not_sent_total", "reason") => REASONS.contains(&value),
        ("llm_fallbacks_total", "reason") => {
            ["budget", "busy", "exhausted", "final", "hint-too-long", "shed", "too-late"]
                .contains(&value)
        }
        ("llm_skips_total", "reason") => {
            rests.contains(&value)
                || ["cannot-fit", "quota", "same-credential", "same-window", "shed"]
                    .contains(&value)
        }
        ("llm_wait_seconds", "reason") => {
            rests.contains(&value) || ["backoff", "hint"].contains(&value)
        }
        _ => false,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn numbers_say_what_the_traces_say(
        world in world(), fates in prop::collection::vec(fate(), 1..40),
    ) {
        let len = u64::try_from(fates.len()).unwrap();
        let fate = |id: u64, attempt: u32, _: usize| {
            fates[usize::try_from((id * 7 + u64::from(attempt)) % len).unwrap()]
        };
        let Seen { ended, numbers, .. } = world.play(fate);
        let count = |name: &str, labels: &[(&str, &str)]| count(&numbers, name, labels);
        let times = |is: fn(&What) -> bool| times(&ended, is);

        let calls = u64::try_from(world.patience.len()).unwrap();
        let dropped = calls - u64::try_from(ended.len()).unwrap();
        prop_assert!(dropped <= 1, "only a call that was never polled leaves nothing");
        prop_assert_eq!(count("llm_calls_total", &[]), calls - dropped);
        prop_assert_eq!(count("llm_call_seconds", &[]), calls - dropped);
        let served = |what: &What| matches!(what, What::Finished(Finish::Served { .. }));
        prop_assert_eq!(count("llm_calls_total", &[("outcome", "served")]), times(served));

        for (index, name) in NAMES.iter().enumerate() {
            let attempts = ended.iter().flat_map(|(trace, _)| trace.attempts());
            let of = attempts.filter(|(_, target, _)| *target == index).count();
            let of = u64::try_from(of).unwrap();
            prop_assert_eq!(count("llm_attempts_total", &[("target", name)]), of);
            prop_assert_eq!(count("llm_attempt_seconds", &[("target", name)]), of);
            prop_assert_eq!(count("llm_attempts_in_flight", &[("target", name)]), of);
        }
        for ((name, _), (_, sum)) in &numbers {
            prop_assert!(name != "llm_attempts_in_flight" || sum.abs() < 0.5, "nothing is out");
        }
        let first = ended.iter().filter(|(trace, _)| trace.attempts().next().is_some()).count();
        let kind = |kind| count("llm_attempts_total", &[("kind", kind)]);
        prop_assert_eq!(kind("first"), u64::try_from(first).unwrap());
        prop_assert_eq!(
            kind("hedge"),
            times(|what| matches!(what, What::AttemptStarted { hedge: true, .. }))
        );

        let not_sent: u64 = ended.iter().map(|(trace, _)| not_retried(trace)).sum();
        prop_assert_eq!(count("llm_retries_not_sent_total", &[]), not_sent);

        prop_assert_eq!(
            count("llm_fallbacks_total", &[]),
            times(|what| matches!(what, What::FellBack { .. }))
        );
        prop_assert_eq!(
            count("llm_skips_total", &[]),
            times(|what| matches!(what, What::Skipped { .. }))
        );
        prop_assert_eq!(
            count("llm_wait_seconds", &[]),
            times(|what| matches!(what, What::WaitBegun { .. }))
        );
        prop_assert_eq!(
            count("llm_queue_seconds", &[]),
            times(|what| matches!(what, What::Queued { .. }))
        );
        prop_assert_eq!(
            count("llm_first_token_seconds", &[]),
            times(|what| matches!(what, What::FirstToken { .. }))
        );
        prop_assert_eq!(
            count("llm_truncations_total", &[]),
            times(|what| matches!(what, What::Truncated { .. }))
        );
        let charged = ended.iter().filter_map(|(_, usage)| *usage);
        prop_assert_eq!(
            count("llm_tokens_total", &[]),
            charged.map(|Usage { input, output }| input + output).sum::<u64>()
        );
        for (name, labels) in numbers.keys() {
            for (label, value) in labels {
                prop_assert!(is_known(name, label, value), "{name}: {label}={value}");
            }
        }
    }
}

/// Why the failed attempts were not retried, by target and reason.
fn reasons(seen: &Seen) -> BTreeMap<(&str, &str), u64> {
    seen.numbers
        .iter()
        .filter(|((name, _), _)| name == "llm_retries_not_sent_total")
        .map(|((_, labels), (count, _))| ((&*labels["target"], &*labels["reason"]), *count))
        .collect()
}

fn hedging() -> Policy {
    let hedge = HedgeSettings {
        delay: HedgeDelay::Fixed(secs(2)),
        hedges_max: 1,
        budget_ppm: 1_000_000,
        saved_max: 10,
    };
    Policy { hedge: Some(hedge), breaker: None, ..exact() }
}

/// One row for each reason there is: targets, the policy, the fates, and what is counted.
#[test]
fn why_a_retry_was_not_sent_is_a_named_counter() {
    let check = |policy: &Policy,
                 names: &[&str],
                 fate: &dyn Fn(u64, u32, usize) -> Fate,
                 patience: &[u64],
                 expected: &[(&str, &str)]| {
        let world = World {
            policy: policy.clone(),
            targets: names.iter().map(|name| target(name, name)).collect(),
            patience: patience.iter().copied().map(secs).collect(),
        };
        let seen = world.play(fate);
        let expected: BTreeMap<_, _> = expected.iter().map(|key| (*key, 1)).collect();
        let finishes: Vec<_> = seen.ended.iter().map(|(trace, _)| trace.finish()).collect();
        assert_eq!(reasons(&seen), expected, "{finishes:?}");
    };
    let short = Timeouts { call: secs(10), ..Timeouts::default() };
    let short = Policy { timeouts: short, ..exact() };
    let few = Policy { attempts_max: 2, ..exact() };
    let budget = BudgetSettings::Ratio {
        ratio_ppm: 100_000,
        retries_per_sec_min: 0,
        retries_max: 100,
        retries_initial: 0,
    };
    let poor = Policy { budget: Some(budget), ..exact() };
    let late = secs(3);
    let usual: &[u64] = &[10_000];

    check(&exact(), &["a"], &|_, _, _| failed(Class::Server), usual, &[("a", "exhausted")]);
    check(&exact(), &["a"], &|_, _, _| failed(Class::Auth), usual, &[("a", "final")]);
    check(&exact(), &["a"], &|_, _, _| failed(Class::InvalidRequest), usual, &[("a", "final")]);
    check(&exact(), &["a"], &|_, _, _| hinted(86_400), usual, &[("a", "hint-beyond-cap")]);
    check(&few, &["a"], &|_, _, _| failed(Class::Server), usual, &[("a", "attempts-max")]);
    check(&short, &["a"], &|_, _, _| hinted(20), usual, &[("a", "deadline")]);
    check(&poor, &["a"], &|_, _, _| failed(Class::Server), usual, &[("a", "budget")]);
    // Whatever breaks it: what the caller has seen comes first.
    for class in [Class::Server, Class::Auth] {
        let breaks = |_: u64, _: u32, _: usize| Fate { commits: true, ..failed(class) };
        check(&exact(), &["a"], &breaks, usual, &[("a", "committed")]);
    }
    // The caller leaves while the retry is being waited for.
    check(&exact(), &["a"], &|_, _, _| hinted(30), &[5], &[("a", "abandoned")]);

    let b_answers = |fate: Fate| move |_: u64, _: u32, at: usize| [fate, ANSWERED][at];
    check(&exact(), &["a", "b"], &b_answers(hinted(55)), usual, &[("a", "hint-too-long")]);
    check(&short, &["a", "b"], &b_answers(hinted(20)), usual, &[("a", "too-late")]);
    check(&poor, &["a", "b"], &b_answers(failed(Class::Server)), usual, &[("a", "budget")]);
    // The second call learns, while the first waits, that the target wants to be left alone.
    let busy = |id: u64, _: u32, at: usize| match (id, at) {
        (0, 0) => failed(Class::Server),
        (1, 0) => hinted(55),
        _ => ANSWERED,
    };
    let expected = [("a", "busy"), ("a", "hint-too-long")];
    check(&exact(), &["a", "b"], &busy, &[10_000, 10_000], &expected);

    // The first fails while its hedge is out, and the hedge answers.
    let lost = |_: u64, _: u32, at: usize| match at {
        0 => Fate { after: late, ..failed(Class::Server) },
        _ => Fate { after: 2 * late, ..ANSWERED },
    };
    check(&hedging(), &["a", "b"], &lost, usual, &[("a", "hedged")]);
    // The hedge fails, and the first answers.
    let lost = |_: u64, _: u32, at: usize| match at {
        0 => Fate { after: 3 * late, ..ANSWERED },
        _ => failed(Class::Server),
    };
    check(&hedging(), &["a", "b"], &lost, usual, &[("b", "hedged")]);
    // Both fail, and it is the first one's failure that a retry would have followed.
    let both = |_: u64, _: u32, at: usize| match at {
        0 => Fate { after: 3 * late, ..failed(Class::Server) },
        _ => failed(Class::Server),
    };
    let twice = Policy { attempts_max: 2, ..hedging() };
    check(&twice, &["a", "b"], &both, usual, &[("a", "attempts-max"), ("b", "hedged")]);
    // The one that is given up on had no retry to lose.
    let lost = |_: u64, _: u32, at: usize| match at {
        0 => Fate { after: 9 * late, ..ANSWERED },
        _ => ANSWERED,
    };
    check(&hedging(), &["a", "b"], &lost, usual, &[]);
}

#[test]
fn waits_are_measured_as_they_were() {
    let world = World {
        policy: exact(),
        targets: vec![target("a", "a")],
        patience: vec![secs(5), secs(10_000)],
    };
    let seen = world.play(|id, _, _| [hinted(30), ANSWERED][usize::try_from(id).unwrap()]);
    // The first caller leaves after five of thirty seconds; the other one comes half a second later and waits for the rest.
    let waits: f64 = (seen.numbers.iter())
        .filter(|((name, _), _)| name == "llm_wait_seconds")
        .map(|(_, (_, sum))| sum)
        .sum();
    assert!((waits - 34.5).abs() < 0.01, "{waits}");
}

#[test]
fn whatever_is_counted_is_described_and_the_other_way_round() {
    let described = Recorder::default();
    metrics::with_local_recorder(&described, MetricsObserver::describe);
    let described: BTreeSet<_> =
        described.0.lock().unwrap().keys().map(|(name, _)| name.clone()).collect();
    let documented = include_str!("../../src/telemetry.rs");
    let documented: BTreeSet<_> = documented
        .lines()
        .filter_map(|line| line.strip_prefix("//! | `llm_")?.split_once('`'))
        .map(|(name, _)| format!("llm_{name}"))
        .collect();
    assert_eq!(described, documented);
    let world = World {
        policy: exact(),
        targets: vec![target("a", "a"), target("b", "b")],
        patience: vec![secs(10_000); 3],
    };
    let seen = world.play(|_, _, at| [failed(Class::Server), ANSWERED][at]);
    for (name, _) in seen.numbers.keys() {
        assert!(described.contains(name), "{name}");
    }
}

// ## Spans

#[derive(Clone, Debug)]
struct SeenSpan {
    id: u64,
    name: &'static str,
    parent: Option<u64>,
    fields: BTreeMap<&'static str, String>,
}

#[derive(Clone, Debug)]
struct SeenEvent {
    level: Level,
    within: Option<u64>,
    fields: BTreeMap<&'static str, String>,
}

#[derive(Default)]
struct Inside {
    spans: Vec<SeenSpan>,
    events: Vec<SeenEvent>,
}

/// Keeps every span and event.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Inside>>);

struct Fields<'a>(&'a mut BTreeMap<&'static str, String>);

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.0.insert(field.name(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name(), value.to_owned());
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Log {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let span = context.span(id).unwrap();
        let mut fields = BTreeMap::new();
        attributes.record(&mut Fields(&mut fields));
        let mut inside = self.0.lock().unwrap();
        // The registry uses ids again; ours are places in the list.
        let parent = span.parent().and_then(|parent| parent.extensions().get::<u64>().copied());
        let place = u64::try_from(inside.spans.len()).unwrap();
        span.extensions_mut().insert(place);
        inside.spans.push(SeenSpan {
            id: place,
            name: attributes.metadata().name(),
            parent,
            fields,
        });
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let span = context.span(id).unwrap();
        let place = *span.extensions().get::<u64>().unwrap();
        let mut inside = self.0.lock().unwrap();
        let seen = inside.spans.iter_mut().find(|seen| seen.id == place).unwrap();
        values.record(&mut Fields(&mut seen.fields));
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = BTreeMap::new();
        event.record(&mut Fields(&mut fields));
        let span = context.event_span(event);
        let within = span.and_then(|span| span.extensions().get::<u64>().copied());
        let level = *event.metadata().level();
        self.0.lock().unwrap().events.push(SeenEvent { level, within, fields });
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn each_call_and_attempt_is_a_span_and_transports_log_into_theirs(
        world in world(), fates in prop::collection::vec(fate(), 1..40),
    ) {
        let len = u64::try_from(fates.len()).unwrap();
        let Seen { ended, spans, events, .. } = world.play(|id, attempt, _| {
            fates[usize::try_from((id * 7 + u64::from(attempt)) % len).unwrap()]
        });
        let named = |name| spans.iter().filter(move |span| span.name == name);
        prop_assert_eq!(named("llm.call").count(), ended.len());
        let mut attempts = 0;
        for (trace, _) in &ended {
            let id = trace.call.to_string();
            let mut calls = named("llm.call").filter(|span| span.fields["call"] == id);
            let call = calls.next().unwrap();
            prop_assert!(calls.next().is_none(), "a call has one span");
            let (outcome, target) = match trace.finish().unwrap() {
                Finish::Served { target, .. } => ("served", Some(NAMES[target])),
                Finish::Stopped { why, .. } => (why.name(), None),
            };
            prop_assert_eq!(&call.fields["outcome"], outcome);
            prop_assert_eq!(call.fields.get("target").map(String::as_str), target);
            for (number, target, failure) in trace.attempts() {
                attempts += 1;
                let number = number.to_string();
                let mut spans = named("llm.attempt").filter(|span| {
                    span.parent == Some(call.id) && span.fields["attempt"] == number
                });
                let span = spans.next().unwrap();
                prop_assert!(spans.next().is_none(), "an attempt has one span");
                prop_assert_eq!(&span.fields["target"], NAMES[target]);
                let outcome = failure.map_or("answered", |failure| failure.class.name());
                prop_assert_eq!(&span.fields["outcome"], outcome);
                let hedged = trace.entries.iter().any(|entry| {
                    let What::AttemptStarted { attempt, hedge, .. } = entry.what else {
                        return false;
                    };
                    hedge && attempt.to_string() == number
                });
                prop_assert_eq!(&span.fields["hedge"], &hedged.to_string());
                // What the transport said, when it began and when it was dropped at least, it said here.
                let said_by = |event: &&SeenEvent| {
                    event.fields.get("of_call") == Some(&id)
                        && event.fields.get("of_attempt") == Some(&number)
                };
                prop_assert!(events.iter().filter(said_by).count() >= 2);
                prop_assert!(events.iter().filter(said_by).all(|event| event.within == Some(span.id)));
            }
        }
        prop_assert_eq!(named("llm.attempt").count(), attempts);
        prop_assert!(named("llm.call").all(|span| span.parent.is_none()), "calls are no parts of others");
        for event in &events {
            prop_assert!(event.within.is_some(), "{event:?}");
        }
        check_secrets(&spans, &events)?;
    }
}

fn check_secrets(spans: &[SeenSpan], events: &[SeenEvent]) -> Result<(), TestCaseError> {
    for value in spans.iter().flat_map(|span| span.fields.values()) {
        prop_assert!(!value.contains(SAID) && !value.contains("sk-"), "{value}");
    }
    for event in events {
        for value in event.fields.values() {
            prop_assert!(!value.contains(KEY), "{event:?}");
            prop_assert!(!value.contains(SAID) || event.level >= Level::DEBUG, "{event:?}");
        }
    }
    Ok(())
}

/// Without a global subscriber, a test that has none may be the first to reach a span, and tracing would remember for all threads that nobody wants it.
fn everybody_listens() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        tracing::subscriber::set_global_default(tracing_subscriber::registry()).unwrap();
    });
}

/// What a stream logs while it is read belongs to its attempt, not to whoever reads it.
#[test]
fn a_stream_is_read_inside_its_attempts_span() {
    let log = Log::default();
    let client = Client::new(exact(), vec![target("a", "a")], 1).unwrap();
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    everybody_listens();
    tracing::subscriber::with_default(tracing_subscriber::registry().with(log.clone()), || {
        runtime.unwrap().block_on(async {
            let request = Request::new([Message::user("hello")]);
            let pieces = async |_: Attempt| {
                let mut left = 3;
                Ok(futures_util::stream::poll_fn(move |_| {
                    tracing::info!(left, "piece");
                    left -= 1;
                    std::task::Poll::Ready(Some(Ok(match left {
                        0 => Piece::End((), None),
                        _ => Piece::Content(()),
                    })))
                }))
            };
            let mut stream = client.stream(&request, pieces).await.unwrap();
            while let Some(piece) = stream.next().await {
                piece.unwrap();
            }
        });
    });
    let inside = log.0.lock().unwrap();
    let attempt = inside.spans.iter().find(|span| span.name == "llm.attempt").unwrap();
    assert_eq!(attempt.fields["outcome"], "answered");
    let mut pieces = inside.events.iter().filter(|event| event.fields.contains_key("left"));
    assert!(pieces.all(|event| event.within == Some(attempt.id)));
    let pieces = inside.events.iter().filter(|event| event.fields.contains_key("left"));
    assert_eq!(pieces.count(), 3);
}

/// Whoever is called at night reads warnings: what no retry can mend, and calls that stopped.
#[test]
fn what_somebody_must_look_at_is_a_warning() {
    for class in [Class::Server, Class::Auth, LIMITED, Class::InvalidRequest] {
        let world = World {
            policy: exact(),
            targets: vec![target("a", "a"), target("b", "b")],
            patience: vec![secs(10_000)],
        };
        let seen = world.play(|_, _, at| [failed(class), ANSWERED][at]);
        let warnings: Vec<_> =
            seen.events.iter().filter(|event| event.level == Level::WARN).collect();
        let moves_on = class != Class::InvalidRequest;
        let failure = Failure::new(class, "");
        let expected = usize::from(failure.retries() == Retries::No) + usize::from(!moves_on);
        assert_eq!(warnings.len(), expected, "{warnings:?}");
    }
}
