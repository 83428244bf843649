//! The shell under a paused clock: does it do what the core said, and wait that long?

use std::cell::{Cell, RefCell};
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use resilience_core::{
    Answer, Attempt, Backoff, CallError, Class, Client, Failure, Fallback, Finish, Jitter, Message,
    Phase, Policy, PolicyMistake, Provider, Quota, Request, Retry, Spread, StopReason, Target,
    Timeouts, classify,
};
use tokio::time::{Instant, advance};

/// Seconds since the test began.
struct Stopwatch(Instant);

impl Stopwatch {
    #[expect(clippy::disallowed_methods, reason = "a test measures what the shell waited")]
    fn start() -> Self {
        Self(Instant::now())
    }

    fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

async fn pass(span: Duration) {
    #[expect(clippy::disallowed_methods, reason = "a transport that takes its time")]
    tokio::time::sleep(span).await;
}

fn exact() -> Policy {
    let backoff = Backoff { jitter: Jitter::None, ..Backoff::default() };
    Policy {
        retry: Retry { backoff, spread: Spread::NONE, ..Retry::default() },
        ..Policy::default()
    }
}

fn client(policy: &Policy, targets: &[Target]) -> Client {
    Client::new(policy.clone(), targets.to_vec(), 1).unwrap()
}

fn openai() -> Target {
    Target::new(Provider::OpenAi, "gpt-4o-mini")
}

fn claude() -> Target {
    Target::new(Provider::Anthropic, "claude-haiku-4-5")
}

fn hello() -> Request {
    Request::new([Message::user("hello")])
}

fn server_error<T>() -> Result<Answer<T>, Failure> {
    Err(Failure::new(Class::Server, "no"))
}

#[tokio::test(start_paused = true)]
async fn waits_are_as_long_as_the_core_says() {
    let client = client(&exact(), &[openai()]);
    let watch = Stopwatch::start();
    let starts = RefCell::new(Vec::new());
    let error = client
        .call(&hello(), async |_: Attempt| {
            starts.borrow_mut().push(watch.elapsed().as_secs());
            pass(Duration::from_secs(1)).await;
            server_error::<()>()
        })
        .await
        .unwrap_err();
    // Each attempt takes a second; the waits between them double.
    assert_eq!(*starts.borrow(), [0, 2, 5, 10, 19, 36]);
    assert_eq!(error.why, StopReason::Exhausted);
    assert_eq!(error.attempts(), 6);
}

#[tokio::test(start_paused = true)]
async fn a_server_hint_is_never_undercut() {
    let policy = Policy { retry: Retry { spread: Spread::default(), ..exact().retry }, ..exact() };
    let client = client(&policy, &[openai()]);
    let watch = Stopwatch::start();
    let success = client
        .call(&hello(), async |attempt: Attempt| {
            if attempt.number < 3 {
                let headers = [("retry-after", "2")];
                return Err(classify::response(Provider::OpenAi, 429, &headers, b"", None));
            }
            Ok(Answer::new(attempt.number))
        })
        .await
        .unwrap();
    assert_eq!(success.value, 3);
    let waited = watch.elapsed();
    let spread = Duration::from_millis(200);
    assert!(Duration::from_secs(4) <= waited && waited <= Duration::from_secs(4) + 2 * spread);
}

#[tokio::test(start_paused = true)]
async fn the_same_id_meets_the_same_luck() {
    let waits = async |seed, id| {
        let client = Client::new(Policy::default(), [openai()], seed).unwrap();
        // Another call beside it changes nothing.
        let request = hello();
        let beside = client.call_at(77, &request, async |_| server_error::<()>());
        let call = client.call_at(id, &request, async |_| server_error::<()>());
        let (_, error) = tokio::join!(beside, call);
        error.unwrap_err().trace.waits().map(|(wait, _)| wait).collect::<Vec<_>>()
    };
    let once = waits(1, 5).await;
    assert_eq!(once.len(), 5);
    assert_eq!(once, waits(1, 5).await);
    assert_ne!(once, waits(1, 6).await);
    assert_ne!(once, waits(2, 5).await);
}

#[tokio::test(start_paused = true)]
async fn a_hanging_attempt_is_cut_where_its_phase_ends() {
    for (stage, seconds, phase) in [
        (0, 120, Some(Phase::Attempt)),
        (1, 5, None),
        (2, 61, Some(Phase::FirstToken)),
        (3, 32, Some(Phase::Idle)),
    ] {
        let policy = Policy { retry: Retry { retries_max: 0, ..exact().retry }, ..exact() };
        let client = client(&policy, &[openai()]);
        let watch = Stopwatch::start();
        let error = client
            .call(&hello().streaming(), async |attempt: Attempt| {
                if stage > 0 {
                    attempt.connecting();
                }
                if stage > 1 {
                    pass(Duration::from_secs(1)).await;
                    attempt.connected();
                }
                if stage > 2 {
                    pass(Duration::from_secs(1)).await;
                    attempt.token();
                }
                pending::<Result<Answer<()>, Failure>>().await
            })
            .await
            .unwrap_err();
        assert_eq!(watch.elapsed(), Duration::from_secs(seconds), "stage {stage}");
        let class = error.last().unwrap().class;
        assert_eq!(class, phase.map_or(Class::Connect, |phase| Class::Timeout { phase }));
    }
}

/// A stream that keeps talking is limited by its gaps, not by its length so far.
#[tokio::test(start_paused = true)]
async fn tokens_keep_a_stream_alive() {
    let client = client(&exact(), &[openai()]);
    let success = client
        .call(&hello().streaming(), async |attempt: Attempt| {
            attempt.connecting();
            attempt.connected();
            for _ in 0..4 {
                pass(Duration::from_secs(29)).await;
                attempt.token();
            }
            Ok(Answer::new(attempt.number))
        })
        .await
        .unwrap();
    assert_eq!(success.value, 1);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_the_caller_has_seen_is_not_repeated() {
    let client = client(&exact(), &[openai(), claude()]);
    let sends = Cell::new(0);
    let error = client
        .call(&hello().streaming(), async |attempt: Attempt| {
            sends.set(sends.get() + 1);
            attempt.connected();
            attempt.token();
            assert!(attempt.commit());
            let payload =
                br#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#;
            Err::<Answer<()>, _>(classify::stream_error(Provider::Anthropic, payload))
        })
        .await
        .unwrap_err();
    assert_eq!(sends.get(), 1);
    assert_eq!(error.why, StopReason::Committed);
}

#[tokio::test(start_paused = true)]
async fn the_deadline_ends_an_attempt_and_keeps_its_error() {
    let timeouts = Timeouts { call: Duration::from_secs(10), ..Timeouts::default() };
    let client = client(&Policy { timeouts, ..exact() }, &[openai()]);
    let watch = Stopwatch::start();
    let error = client
        .call(&hello(), async |attempt: Attempt| {
            assert!(attempt.time_left <= Duration::from_secs(10));
            if attempt.number == 1 { server_error::<()>() } else { pending().await }
        })
        .await
        .unwrap_err();
    assert_eq!(watch.elapsed(), Duration::from_secs(10));
    assert_eq!(error.why, StopReason::Deadline);
    let classes: Vec<_> =
        error.trace.attempts().map(|(.., failure)| failure.unwrap().class).collect();
    assert_eq!(classes, [Class::Server, Class::Cancelled]);
}

#[tokio::test(start_paused = true)]
async fn one_error_names_every_target() {
    let policy = Policy { retry: Retry { retries_max: 1, ..exact().retry }, ..exact() };
    let mut other = openai();
    other.name = "openai/same-key".to_owned();
    let client = client(&policy, &[openai(), other, claude()]);
    let error = client
        .call(&hello(), async |attempt: Attempt| match attempt.target().provider {
            Provider::OpenAi => {
                let body = br#"{"error":{"message":"You exceeded your current quota","code":"insufficient_quota"}}"#;
                Err::<Answer<()>, _>(classify::response(Provider::OpenAi, 429, &[], body, None))
            }
            _ => server_error(),
        })
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "out of retries after 3 attempts: \
         `openai/gpt-4o-mini` quota-exhausted (429 insufficient_quota): You exceeded your current quota; \
         `openai/same-key` was passed over: it uses the same key; \
         `anthropic/claude-haiku-4-5` server-error: no"
    );
}

#[tokio::test(start_paused = true)]
async fn a_success_says_who_served_it() {
    let client = client(&exact(), &[openai(), claude()]);
    let success = client
        .call(&hello(), async |attempt: Attempt| match attempt.target_index() {
            0 => Err(Failure::new(Class::Auth, "no such key")),
            _ => Ok(Answer::new(attempt.model().to_owned())),
        })
        .await
        .unwrap();
    assert_eq!(success.value, "claude-haiku-4-5");
    assert_eq!((success.target, success.attempts), (1, 2));
    assert_eq!(success.trace.finish(), Some(Finish::Served { target: 1, attempt: 2 }));
}

/// Three requests a minute and a burst of three: the calls of one minute go through, the others in step.
#[tokio::test(start_paused = true)]
async fn calls_wait_in_line_for_the_quota() {
    let mut target = openai();
    target.quota = Some(Quota::per_minute(3, 1_000_000));
    let client = Arc::new(client(&exact(), &[target]));
    let watch = Arc::new(Stopwatch::start());
    // On tasks of their own, so that the futures must be `Send`.
    let tasks: Vec<_> = (0..6)
        .map(|id| {
            let (client, watch) = (Arc::clone(&client), Arc::clone(&watch));
            tokio::spawn(async move {
                let sent = |_: Attempt| {
                    let at = watch.elapsed().as_secs();
                    async move {
                        // Longer than a turn: the next in line must not depend on anybody's end.
                        pass(Duration::from_secs(50)).await;
                        Ok(Answer::new(at))
                    }
                };
                client.call_at(id, &hello(), sent).await.unwrap().value
            })
        })
        .collect();
    let mut starts = Vec::new();
    for task in tasks {
        starts.push(task.await.unwrap());
    }
    assert_eq!(starts, [0, 0, 0, 20, 40, 60]);
}

/// A call that is dropped in line must not keep its place, nor one that was granted while it was dropped.
#[tokio::test(start_paused = true)]
async fn a_dropped_call_gives_its_place_back() {
    let mut target = openai();
    target.quota = Some(Quota::per_minute(1, 1_000_000));
    let client = Arc::new(client(&exact(), &[target]));
    let watch = Stopwatch::start();
    let at_once = async |_: Attempt| Ok(Answer::new(()));
    client.call(&hello(), at_once).await.unwrap();
    let impatient = {
        let client = Arc::clone(&client);
        tokio::spawn(async move {
            client.call(&hello(), |_| async { Ok(Answer::new(())) }).await.map(|_| ())
        })
    };
    tokio::task::yield_now().await;
    advance(Duration::from_secs(30)).await;
    impatient.abort();
    assert!(impatient.await.unwrap_err().is_cancelled());
    client.call(&hello(), at_once).await.unwrap();
    assert_eq!(watch.elapsed(), Duration::from_secs(60));
}

#[tokio::test(start_paused = true)]
async fn a_line_that_is_too_long_is_not_joined() {
    let mut target = openai();
    target.quota = Some(Quota::per_minute(1, 1_000_000));
    let timeouts = Timeouts { call: Duration::from_secs(30), ..Timeouts::default() };
    let client = client(&Policy { timeouts, ..exact() }, &[target]);
    let watch = Stopwatch::start();
    let at_once = async |_: Attempt| Ok(Answer::new(()));
    client.call(&hello(), at_once).await.unwrap();
    let error = client.call(&hello(), at_once).await.unwrap_err();
    assert_eq!(error.why, StopReason::Deadline);
    assert_eq!(error.retry_in, Some(Duration::from_secs(60)));
    assert_eq!(watch.elapsed(), Duration::ZERO);
}

/// The given-up target is asked again once its rest is over.
#[tokio::test(start_paused = true)]
async fn a_rested_target_serves_again() {
    let fallback = Fallback { cooldown: Duration::from_secs(30), ..Fallback::default() };
    let retry = Retry { retries_max: 0, ..exact().retry };
    let client = client(&Policy { fallback, retry, ..exact() }, &[openai(), claude()]);
    let watch = Stopwatch::start();
    let mut served = Vec::new();
    for _ in 0..4 {
        let success = client
            .call(&hello(), async |attempt: Attempt| match attempt.target_index() {
                0 if watch.elapsed() < Duration::from_secs(15) => server_error(),
                target => Ok(Answer::new(target)),
            })
            .await
            .unwrap();
        served.push((success.value, success.attempts));
        pass(Duration::from_secs(10)).await;
    }
    assert_eq!(served, [(1, 2), (1, 1), (1, 1), (0, 1)]);
}

#[test]
fn a_client_tells_every_mistake() {
    let policy = Policy { attempts_max: 0, ..Policy::default() };
    let mistakes = Client::new(policy, Vec::new(), 1).unwrap_err();
    assert_eq!(*mistakes, [PolicyMistake::NoAttempts, PolicyMistake::NoTargets]);
}

#[test]
fn an_error_is_small_enough_to_return() {
    assert!(size_of::<CallError>() <= 128);
    assert!(size_of::<Failure>() <= 128);
}
