//! What truncating costs, beside one tokenisation and beside counting again after each message that goes.
//!
//! `truncating` is there to catch a fit that counts a message twice, or forgets what was counted.
//! The last lines are the two promises: a first fit costs one tokenisation and next to nothing more, and far less than counting again.

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{BatchSize, Bencher, BenchmarkId, Criterion};
use resilience_core::truncate::{self, Fit};
use resilience_core::{Message, OpenAiTokens, TokenCounter, Window};

#[path = "../../benches/shared/rounds.rs"]
mod rounds;

/// English of 20 words, about 25 tokens.
const PROMPT: &str = "Please summarise the following report for a reader who has five minutes, and name the three decisions that cannot wait.";

const COUNTER: OpenAiTokens = OpenAiTokens::O200k;

/// A conversation of so many messages and about 128,000 tokens, never counted before.
fn history(messages: usize) -> Vec<Message> {
    let words = 128_000 / messages;
    let turn = |index: usize| {
        let text = format!("{index} {}", &PROMPT[7..].repeat(words / 22 + 1));
        if index % 2 == 1 { Message::user(text) } else { Message::assistant(text) }
    };
    std::iter::once(Message::system("be brief")).chain((1..messages).map(turn)).collect()
}

fn half() -> Window {
    Window { tokens: 64_000, ..Window::default() }
}

/// The least that any truncation must do.
fn tokenise(messages: &[Message]) -> u64 {
    messages.iter().map(|message| COUNTER.count(&message.text)).sum()
}

/// What is found in the wild: drop the oldest, count all that is left, look again.
fn recounting(messages: &[Message], budget: u64) -> u64 {
    let mut kept = messages;
    loop {
        let tokens = tokenise(kept);
        if tokens <= budget {
            return tokens;
        }
        kept = &kept[1..];
    }
}

fn fit(messages: &[Message]) -> Fit {
    truncate::fit(messages, &half(), &COUNTER).expect("the last turn fits")
}

fn truncating(c: &mut Criterion) {
    let mut group = c.benchmark_group("truncating 128k tokens");
    for messages in [20, 200, 2_000] {
        let anew = |b: &mut Bencher<'_>, run: &dyn Fn(&[Message]) -> u64| {
            b.iter_batched(|| history(messages), |history| run(&history), BatchSize::LargeInput);
        };
        group.bench_function(BenchmarkId::new("one tokenisation", messages), |b| {
            anew(b, &tokenise);
        });
        group.bench_function(BenchmarkId::new("a first fit", messages), |b| {
            anew(b, &|history| fit(history).tokens);
        });
        let known = history(messages);
        group.bench_function(BenchmarkId::new("a fit again", messages), |b| b.iter(|| fit(&known)));
    }
    group.finish();
}

/// The two promises, by rounds that take turns.
fn promises() {
    let fitted = |messages| move |_| time(&history(messages), |history| fit(history).tokens);
    let tokenised = |_| time(&history(2_000), tokenise);
    rounds::compare("truncation/a first fit", 21, 1, fitted(2_000), tokenised);
    // Of fewer messages, for this is quadratic in their number.
    let recounted = |_| time(&history(500), |history| recounting(history, half().budget()));
    rounds::compare("truncation/counting again", 3, 1, fitted(500), recounted);
}

/// How long a run takes on a conversation that nobody has counted before.
#[expect(clippy::disallowed_methods, reason = "a bench reads the clock")]
fn time(history: &[Message], run: impl Fn(&[Message]) -> u64) -> Duration {
    let begun = Instant::now();
    black_box(run(black_box(history)));
    begun.elapsed()
}

fn main() {
    let mut criterion =
        Criterion::default().sample_size(20).measurement_time(Duration::from_secs(3));
    criterion = criterion.configure_from_args();
    truncating(&mut criterion);
    criterion.final_summary();
    // With `--test`, each bench runs once; a comparison of single runs says nothing.
    if std::env::args().any(|argument| argument == "--bench") {
        promises();
    }
}
