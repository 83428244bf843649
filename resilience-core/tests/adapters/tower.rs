//! The contract of a tower service, above and below, under a paused clock.

use std::collections::VecDeque;
use std::future::{Future as _, Ready, pending, ready};
use std::io;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use resilience_core::tower::{ResilienceLayer, ResilienceService};
use resilience_core::{
    Answer, Attempt, CallError, Class, Client, Failure, Message, Policy, Provider, Quota, Request,
    Success, Target,
};
use tower::{Layer as _, Service, ServiceExt as _};

/// What a service below does, for the tests to look at and to steer.
#[derive(Default)]
struct Below {
    /// How often some instance was asked whether it is ready.
    polls: AtomicUsize,
    state: Mutex<State>,
}

impl Below {
    /// Is busy no longer, and wakes whoever waits for that.
    fn rest(&self) {
        let waiting = {
            let mut state = self.state.lock().unwrap();
            state.busy = false;
            std::mem::take(&mut state.wakers)
        };
        waiting.into_iter().for_each(Waker::wake);
    }
}

#[derive(Default)]
struct State {
    instances: usize,
    /// What became ready, and what was called with what.
    log: Vec<String>,
    script: VecDeque<Step>,
    /// Nobody becomes ready while this is so.
    busy: bool,
    /// How many readiness polls fail.
    broken: usize,
    wakers: Vec<Waker>,
    dropped: usize,
}

#[derive(Clone, Copy)]
enum Step {
    Answer,
    Fail(Class),
    Hang,
}

/// An instance, which panics if it is called without having been found ready.
struct Instance {
    below: Arc<Below>,
    number: usize,
    ready: bool,
}

impl Instance {
    fn of(below: &Arc<Below>) -> Self {
        let mut state = below.state.lock().unwrap();
        state.instances += 1;
        Self { below: Arc::clone(below), number: state.instances, ready: false }
    }
}

impl Clone for Instance {
    fn clone(&self) -> Self {
        Self::of(&self.below)
    }
}

/// A failure below, as an error that only `read` understands.
#[derive(Debug)]
struct Broken(Class);

type Outcome = Pin<Box<dyn Future<Output = Result<String, Broken>> + Send>>;

impl Service<String> for Instance {
    type Response = String;
    type Error = Broken;
    type Future = Outcome;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        self.below.polls.fetch_add(1, Ordering::Relaxed);
        let mut state = self.below.state.lock().unwrap();
        if state.busy {
            state.wakers.push(cx.waker().clone());
            return Poll::Pending;
        }
        if state.broken > 0 {
            state.broken -= 1;
            return Poll::Ready(Err(Broken(Class::Connect)));
        }
        state.log.push(format!("{} ready", self.number));
        self.ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, asked: String) -> Outcome {
        assert!(std::mem::take(&mut self.ready), "called without having been found ready");
        let mut state = self.below.state.lock().unwrap();
        state.log.push(format!("{} {asked}", self.number));
        let step = state.script.pop_front().unwrap_or(Step::Answer);
        let flight = Flight(Arc::clone(&self.below));
        Box::pin(async move {
            let _flight = flight;
            match step {
                Step::Answer => Ok(format!("answer to {asked}")),
                Step::Fail(class) => Err(Broken(class)),
                Step::Hang => pending().await,
            }
        })
    }
}

/// Counts the requests below that are over, answered or not.
struct Flight(Arc<Below>);

impl Drop for Flight {
    fn drop(&mut self) {
        self.0.state.lock().unwrap().dropped += 1;
    }
}

type Ask = fn(&String) -> Request;
type Write = fn(&String, &Attempt) -> String;
type Read = fn(Attempt, Result<String, Broken>) -> Ready<Result<Answer<String>, Failure>>;

fn openai() -> Target {
    Target::new(Provider::OpenAi, "gpt")
}

fn service(
    below: &Arc<Below>,
    targets: &[Target],
) -> ResilienceService<Instance, Ask, Write, Read> {
    let client = Client::new(Policy::default(), targets.to_vec(), 1).unwrap();
    let layer: ResilienceLayer<Ask, Write, Read> = ResilienceLayer::new(
        client,
        |question| Request::new([Message::user(question.as_str())]),
        |question, attempt| format!("{question} ({})", attempt.model()),
        |_attempt, answered| {
            ready(answered.map(Answer::new).map_err(|Broken(class)| Failure::new(class, "no")))
        },
    );
    layer.layer(Instance::of(below))
}

fn below(script: &[Step]) -> Arc<Below> {
    let below = Arc::new(Below::default());
    below.state.lock().unwrap().script.extend(script);
    below
}

async fn ask(
    service: ResilienceService<Instance, Ask, Write, Read>,
) -> Result<Success<String>, CallError> {
    service.oneshot("Who?".to_owned()).await
}

/// Counts how often a task is woken.
#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// P39: readiness lost by a clone, and a retry that does not ask for it again.
#[tokio::test(start_paused = true)]
async fn each_attempt_goes_to_the_very_instance_that_was_found_ready() {
    let below = below(&[Step::Fail(Class::Server), Step::Fail(Class::Overloaded)]);
    let success = ask(service(&below, &[openai()])).await.unwrap();
    assert_eq!((success.value.as_str(), success.attempts), ("answer to Who? (gpt)", 3));
    let log = below.state.lock().unwrap().log.clone();
    let instances: Vec<_> = log.iter().map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(log.len(), 6);
    // The first to be asked was the layered one itself, and no other was called in its place.
    assert_eq!(instances[..2], ["1", "1"]);
    assert!(instances.chunks(2).all(|pair| pair[0] == pair[1]), "{log:?}");
    assert_eq!(below.polls.load(Ordering::Relaxed), 3);
}

/// P39: a clone of a ready service.
#[tokio::test(start_paused = true)]
async fn a_clone_does_not_believe_itself_ready() {
    let below = below(&[]);
    let mut original = service(&below, &[openai()]);
    original.ready().await.unwrap();
    // The contract lets `call` panic here; ours looks for an instance that is ready.
    let success = original.clone().call("Who?".to_owned()).await.unwrap();
    assert_eq!(success.attempts, 1);
    // And a readiness is good for one call.
    original.call("Who?".to_owned()).await.unwrap();
    original.call("Who?".to_owned()).await.unwrap();
}

/// P40: a service that wakes its own task until it is ready.
#[tokio::test(start_paused = true)]
async fn a_service_that_is_not_ready_is_asked_once_and_wakes_nobody() {
    let below = below(&[]);
    below.state.lock().unwrap().busy = true;
    let mut service = service(&below, &[openai()]);
    let count = Arc::new(Wakes::default());
    let waker = Waker::from(Arc::clone(&count));
    let mut cx = Context::from_waker(&waker);
    assert!(service.poll_ready(&mut cx).is_pending());
    assert_eq!(below.polls.load(Ordering::Relaxed), 1);
    assert_eq!(count.0.load(Ordering::Relaxed), 0);

    below.rest();
    assert_eq!(count.0.load(Ordering::Relaxed), 1, "the service below wakes the caller");
    assert!(service.poll_ready(&mut cx).is_ready());
    service.call("Who?".to_owned()).await.unwrap();
}

/// P40: the same within a call, where the retry finds the service busy.
#[tokio::test(start_paused = true)]
async fn a_retry_waits_for_readiness_without_spinning() {
    let below = below(&[Step::Fail(Class::Server)]);
    let mut service = service(&below, &[openai()]);
    service.ready().await.unwrap();
    below.state.lock().unwrap().busy = true;
    // A task of its own, so that nothing else has it polled.
    let call = tokio::spawn(service.call("Who?".to_owned()));
    pass(Duration::from_secs(10)).await;
    assert_eq!(below.polls.load(Ordering::Relaxed), 2, "one poll for each attempt");
    below.rest();
    assert_eq!(call.await.unwrap().unwrap().attempts, 2);
}

#[tokio::test(start_paused = true)]
async fn being_ready_costs_no_quota() {
    let below = below(&[]);
    let quota = Quota::per_minute(60, 1_000_000);
    let mut service = service(&below, &[Target { quota: Some(quota), ..openai() }]);
    for _ in 0..1_000 {
        service.ready().await.unwrap();
    }
    let success = service.call("Who?".to_owned()).await.unwrap();
    assert_eq!(success.trace.waits().count(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_is_written_follows_the_target() {
    let below = below(&[Step::Fail(Class::QuotaExhausted)]);
    let claude = Target::new(Provider::Anthropic, "claude");
    let success = ask(service(&below, &[openai(), claude])).await.unwrap();
    assert_eq!((success.value.as_str(), success.target), ("answer to Who? (claude)", 1));
}

#[tokio::test(start_paused = true)]
async fn a_readiness_that_fails_is_an_attempt_that_fails() {
    let below = below(&[]);
    // The caller's own poll, and the attempt's.
    below.state.lock().unwrap().broken = 2;
    let success = ask(service(&below, &[openai()])).await.unwrap();
    assert_eq!(success.attempts, 2);
    let (.., failure) = success.trace.attempts().next().unwrap();
    assert_eq!(failure.unwrap().class, Class::Connect);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_dropped_drops_its_request() {
    let below = below(&[Step::Hang]);
    let mut service = service(&below, &[openai()]);
    service.ready().await.unwrap();
    {
        let mut call = pin!(service.call("Who?".to_owned()));
        let mut cx = Context::from_waker(Waker::noop());
        assert!(call.as_mut().poll(&mut cx).is_pending());
        assert_eq!(below.state.lock().unwrap().dropped, 0);
    }
    assert_eq!(below.state.lock().unwrap().dropped, 1);
}

/// A service and its future go to other tasks, and take closures with state and errors of any kind.
#[tokio::test(start_paused = true)]
async fn a_service_may_be_spawned() {
    let greeting = "Hello".to_owned();
    let client = Client::new(Policy::default(), [openai()], 1).unwrap();
    let layer = ResilienceLayer::new(
        client,
        |(): &()| Request::new([Message::user("x")]),
        move |(): &(), _: &Attempt| greeting.clone(),
        |_, answered: Result<usize, io::Error>| {
            ready(answered.map(Answer::new).map_err(|_| Failure::new(Class::Network, "no")))
        },
    );
    let length = tower::service_fn(|asked: String| ready(Ok(asked.len())));
    let task = tokio::spawn(layer.layer(length).oneshot(()));
    assert_eq!(task.await.unwrap().unwrap().value, 5);
}

async fn pass(span: Duration) {
    #[expect(clippy::disallowed_methods, reason = "somebody takes their time")]
    tokio::time::sleep(span).await;
}
