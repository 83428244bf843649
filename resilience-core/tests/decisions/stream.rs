//! Answers that come piece by piece: retried until their first content, and never afterwards.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::{Stream, StreamExt as _, stream};
use proptest::prelude::*;
use resilience_core::{
    Answer, Attempt, CallError, Class, Client, Ended, Entry, Failure, Finish, Observer, Phase,
    Piece, Policy, Provider, Retry, StopReason, Target, Usage, What,
};

use crate::play::{exact, hello, secs};

type Pieces = Pin<Box<dyn Stream<Item = Result<Piece<String>, Failure>>>>;

/// What a provider sends: after so long, this.
#[derive(Clone, Debug)]
enum Beat {
    Content(u64),
    Cut,
    End,
    Error,
    Hang,
    Preamble,
}

/// The stream of one attempt; each of its pieces says whose it is.
fn played(attempt: u32, beats: &[Beat]) -> Pieces {
    let beats = beats.to_vec();
    let pieces =
        stream::iter(beats.into_iter().enumerate()).then(move |(index, beat)| async move {
            let name = format!("{attempt}.{index}");
            match beat {
                Beat::Content(seconds) => {
                    pass(secs(seconds)).await;
                    Some(Ok(Piece::Content(name)))
                }
                Beat::Cut => None,
                Beat::End => Some(Ok(Piece::End(name, Some(Usage { input: 3, output: 5 })))),
                Beat::Error => Some(Err(Failure::new(Class::Overloaded, "overloaded"))),
                Beat::Hang => std::future::pending().await,
                Beat::Preamble => Some(Ok(Piece::Preamble(name))),
            }
        });
    Box::pin(pieces.take_while(|piece| std::future::ready(piece.is_some())).map(Option::unwrap))
}

async fn pass(span: Duration) {
    #[expect(clippy::disallowed_methods, reason = "a transport that takes its time")]
    tokio::time::sleep(span).await;
}

fn client(policy: &Policy) -> Client {
    Client::new(policy.clone(), [Target::new(Provider::OpenAi, "gpt-4o-mini")], 1).unwrap()
}

/// What the caller saw, and how it ended.
async fn read(client: &Client, attempts: &[Vec<Beat>]) -> (Vec<String>, Option<CallError>) {
    let open = async |attempt: Attempt| {
        let number = attempt.number;
        let index = usize::try_from(number).unwrap() - 1;
        Ok(played(number, attempts.get(index).unwrap_or(&attempts[attempts.len() - 1])))
    };
    let mut streaming = match client.stream(&hello(), open).await {
        Ok(streaming) => streaming,
        Err(error) => return (Vec::new(), Some(error)),
    };
    let mut seen = Vec::new();
    loop {
        match streaming.next().await {
            Some(Ok(piece)) => seen.push(piece),
            Some(Err(error)) => {
                assert!(streaming.next().await.is_none(), "an error is the last item");
                return (seen, Some(error));
            }
            None => {
                assert_eq!(streaming.usage(), Some(Usage { input: 3, output: 5 }));
                assert!(matches!(streaming.trace().finish(), Some(Finish::Served { .. })));
                return (seen, None);
            }
        }
    }
}

/// P32, P34, P35: the first error of a stream comes after its 200, and a second preamble must not reach the caller.
#[tokio::test(start_paused = true)]
async fn what_fails_before_content_is_retried_and_leaves_no_trace_in_the_stream() {
    let failing = [Beat::Error, Beat::Cut, Beat::Hang].map(|end| vec![Beat::Preamble, end]);
    for fails in failing {
        let answers = [fails, vec![Beat::Preamble, Beat::Content(1), Beat::Content(1), Beat::End]];
        let (seen, error) = read(&client(&exact()), &answers).await;
        assert!(error.is_none(), "{error:?}");
        assert_eq!(seen, ["2.0", "2.1", "2.2", "2.3"]);
    }
}

#[tokio::test(start_paused = true)]
async fn what_fails_after_content_is_not_repeated() {
    for (end, class) in [
        (Beat::Error, Class::Overloaded),
        (Beat::Cut, Class::StreamInterrupted { committed: true }),
        (Beat::Hang, Class::Timeout { phase: Phase::Idle }),
    ] {
        let answers = [vec![Beat::Preamble, Beat::Content(1), end]];
        let (seen, error) = read(&client(&exact()), &answers).await;
        let error = error.unwrap();
        assert_eq!(seen, ["1.0", "1.1"]);
        assert_eq!((error.why, error.attempts()), (StopReason::Committed, 1));
        assert_eq!(error.last().unwrap().class, class);
    }
}

/// A stream has its limits: to the first content, between pieces, and as a whole.
#[tokio::test(start_paused = true)]
async fn a_stream_that_never_ends_is_ended() {
    let policy = Policy { retry: Retry { retries_max: 0, ..exact().retry }, ..exact() };
    let endless = vec![vec![Beat::Content(25); 100]];
    let (seen, error) = read(&client(&policy), &endless).await;
    // Once content was seen, an attempt has as long as its call: ten minutes, less the last gap.
    assert_eq!(seen.len(), 24);
    let error = error.unwrap();
    assert_eq!((error.why, error.last().unwrap().class), (StopReason::Committed, Class::Cancelled));
    let slow = vec![vec![Beat::Hang], vec![Beat::Preamble, Beat::Hang]];
    let (seen, error) = read(&client(&policy), &slow).await;
    assert!(seen.is_empty());
    assert_eq!(error.unwrap().last().unwrap().class, Class::Timeout { phase: Phase::FirstToken });
    let (_, error) = read(&client(&policy), &[vec![Beat::Hang]]).await;
    assert_eq!(error.unwrap().last().unwrap().class, Class::Timeout { phase: Phase::FirstToken });
    let (seen, error) = read(&client(&policy), &[vec![Beat::Preamble; 300]]).await;
    assert_eq!((seen.len(), error.unwrap().last().unwrap().class), (0, Class::Decode));
}

#[tokio::test(start_paused = true)]
async fn an_answer_without_content_is_an_answer() {
    let (seen, error) = read(&client(&exact()), &[vec![Beat::Preamble, Beat::End]]).await;
    assert!(error.is_none());
    assert_eq!(seen, ["1.0", "1.1"]);
}

/// The gaps of the provider count, not those of a caller who reads slowly.
#[tokio::test(start_paused = true)]
async fn a_slow_reader_is_not_a_slow_provider() {
    let client = client(&exact());
    let beats = [Beat::Content(0), Beat::Content(0), Beat::End];
    let open = async |attempt: Attempt| Ok(played(attempt.number, &beats));
    let mut streaming = client.stream(&hello(), open).await.unwrap();
    let mut seen = 0;
    while let Some(piece) = streaming.next().await {
        piece.unwrap();
        seen += 1;
        pass(secs(35)).await;
    }
    assert_eq!(seen, 3);
}

/// Keeps what it is told.
#[derive(Default)]
struct Witness {
    entries: Mutex<Vec<What>>,
    ends: Mutex<Vec<(u64, What, Option<Usage>)>>,
}

impl Observer for Witness {
    fn entry(&self, _: u64, entry: &Entry, targets: &[Target]) {
        assert_eq!(targets.len(), 1);
        self.entries.lock().unwrap().push(entry.what.clone());
    }

    fn ended(&self, ended: &Ended<'_>) {
        let what = What::Finished(ended.finish);
        assert_eq!(ended.trace.entries.last().unwrap().what, what);
        self.ends.lock().unwrap().push((ended.call, what, ended.usage));
    }
}

fn stopped(why: StopReason) -> What {
    What::Finished(Finish::Stopped { why, retry_in: None })
}

#[tokio::test(start_paused = true)]
async fn property_54_each_call_ends_once_and_each_attempt_that_started_ended() {
    let witness = Arc::new(Witness::default());
    let client = client(&exact()).observed_by(Arc::<Witness>::clone(&witness));
    let usage = Some(Usage { input: 1, output: 2 });
    client.call(&hello(), async |_| Ok(Answer { value: (), usage })).await.unwrap();
    let fails = async |_| Err::<Answer<()>, _>(Failure::new(Class::Server, "no"));
    client.call(&hello(), fails).await.unwrap_err();
    let hangs = |_| std::future::pending::<Result<Answer<()>, Failure>>();
    let request = hello();
    tokio::select! {
        biased;
        _ = client.call(&request, hangs) => unreachable!("it hangs"),
        () = pass(secs(1)) => {}
    }
    let beats = [Beat::Content(0), Beat::Content(0), Beat::End];
    let open = async |attempt: Attempt| Ok(played(attempt.number, &beats));
    // One is read to its end, one is dropped half-way.
    let mut streaming = client.stream(&hello(), open).await.unwrap();
    while streaming.next().await.is_some() {}
    drop(streaming);
    drop(client.stream(&hello(), open).await.unwrap());
    let served = |attempt| What::Finished(Finish::Served { target: 0, attempt });
    assert_eq!(
        *witness.ends.lock().unwrap(),
        [
            (0, served(1), usage),
            (1, stopped(StopReason::Exhausted), None),
            (2, stopped(StopReason::Abandoned), None),
            (3, served(1), Some(Usage { input: 3, output: 5 })),
            (4, stopped(StopReason::Abandoned), None),
        ]
    );
    let entries = witness.entries.lock().unwrap();
    let count = |is: fn(&What) -> bool| entries.iter().filter(|what| is(what)).count();
    assert_eq!(count(|what| matches!(what, What::AttemptStarted { .. })), 10);
    assert_eq!(count(|what| matches!(what, What::AttemptEnded { .. })), 10);
    assert_eq!(count(|what| matches!(what, What::Finished(_))), 5);
}

fn beat() -> impl Strategy<Value = Beat> {
    prop_oneof![
        3 => Just(Beat::Preamble),
        3 => (0..40u64).prop_map(Beat::Content),
        1 => Just(Beat::Cut),
        1 => Just(Beat::End),
        1 => Just(Beat::Error),
        1 => Just(Beat::Hang),
    ]
}

proptest! {
    #[test]
    fn property_53_the_caller_sees_the_beginning_of_exactly_one_stream(
        attempts in prop::collection::vec(prop::collection::vec(beat(), 0..6), 1..8),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        let (seen, error) = runtime.block_on(read(&client(&exact()), &attempts));
        let owners: std::collections::BTreeSet<_> =
            seen.iter().map(|piece| piece.split_once('.').unwrap().0).collect();
        prop_assert!(owners.len() <= 1, "{seen:?}");
        for (index, piece) in seen.iter().enumerate() {
            prop_assert_eq!(piece.split_once('.').unwrap().1, index.to_string());
        }
        if let Some(error) = error {
            // Once something was seen, that attempt was the last.
            if let Some(owner) = owners.first() {
                prop_assert_eq!(error.attempts().to_string(), *owner);
                prop_assert_eq!(error.why, StopReason::Committed);
            }
        } else {
            prop_assert!(!seen.is_empty());
        }
    }
}
