//! What counting and truncating cost.
//!
//! `counting` is there to catch a counter that reads a text twice, or turns quadratic on hostile ones; `truncating` a fit that counts a message twice.
//! The ratios at the end are the two promises: a fit costs one tokenisation and next to nothing more, and far less than counting again after each message that goes.

use std::hint::black_box;
use std::time::Duration;

use criterion::{BatchSize, Bencher, BenchmarkId, Criterion, Throughput};
use resilience_core::truncate::{self, Fit};
use resilience_core::{Calibrated, Estimate, Message, OpenAiTokens, TokenCounter, Window};

/// English of 20 words, about 25 tokens.
const PROMPT: &str = "Please summarise the following report for a reader who has five minutes, and name the three decisions that cannot wait.";

const COUNTER: OpenAiTokens = OpenAiTokens::O200k;

fn counting(c: &mut Criterion) {
    let mut group = c.benchmark_group("counting");
    let calibrated = Calibrated::new(std::sync::Arc::new(Estimate));
    let counters: [(&str, &dyn TokenCounter); 3] =
        [("o200k", &COUNTER), ("estimate", &Estimate), ("calibrated", &calibrated)];
    for (name, counter) in counters {
        group.throughput(Throughput::Elements(1));
        group.bench_function(BenchmarkId::new("20 words", name), |b| {
            b.iter(|| counter.count(black_box(PROMPT)));
        });
    }
    group.sample_size(10).measurement_time(Duration::from_secs(2));
    for (name, text) in hostile() {
        group.throughput(Throughput::Bytes(u64::try_from(text.len()).expect("a length")));
        group.bench_function(BenchmarkId::new("1 MB", name), |b| {
            b.iter(|| COUNTER.count(black_box(&text)));
        });
        group.bench_function(BenchmarkId::new("1 MB up to 1,000 tokens", name), |b| {
            b.iter(|| COUNTER.count_up_to(black_box(&text), 1_000));
        });
    }
    group.finish();
}

fn hostile() -> [(&'static str, String); 5] {
    let megabyte = |piece: &str| piece.repeat(1_000_000 / piece.len());
    [
        ("one word", megabyte("a")),
        ("dashes", megabyte("-")),
        ("CJK", megabyte("漢字")),
        ("spaces", megabyte(" ")),
        ("prose", megabyte(PROMPT)),
    ]
}

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
fn recounting(messages: &[Message], budget: u64) -> usize {
    let mut kept = messages;
    while tokenise(kept) > budget {
        kept = &kept[1..];
    }
    kept.len()
}

fn fit(messages: &[Message]) -> Fit {
    truncate::fit(messages, &half(), &COUNTER).expect("the last turn fits")
}

fn truncating(c: &mut Criterion) {
    let mut group = c.benchmark_group("truncating 128k tokens");
    group.sample_size(20).measurement_time(Duration::from_secs(3));
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

/// The best of a few runs, each on what `make` makes for it: the machine may be busy, but never too fast.
#[expect(clippy::disallowed_methods, reason = "a bench reads the clock")]
fn best<T>(runs: u32, make: impl Fn() -> T, run: impl Fn(T) -> usize) -> Duration {
    let time = |_| {
        let input = make();
        let begun = std::time::Instant::now();
        black_box(run(input));
        begun.elapsed()
    };
    (0..runs).map(time).min().expect("one run at least")
}

#[expect(clippy::print_stdout, reason = "the ratios are what the bench is run for")]
fn ratios() {
    let many = || history(2_000);
    let once = best(20, many, |history| usize::try_from(tokenise(&history)).unwrap_or(0));
    let fitted = best(20, many, |history| fit(&history).kept.len());
    let again = best(1, many, |history| recounting(&history, half().budget()));
    let percent = |part: Duration, whole: Duration| part.as_nanos() * 100 / whole.as_nanos().max(1);
    println!("one tokenisation of 128k tokens in 2,000 messages: {once:?}");
    println!("a first fit: {fitted:?}, {} % of it (at most 120)", percent(fitted, once));
    println!(
        "counting again after each dropped message: {again:?}, {} times a fit (at least 50)",
        percent(again, fitted) / 100
    );
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    counting(&mut criterion);
    truncating(&mut criterion);
    criterion.final_summary();
    // With `--test`, each bench runs once; ratios of single runs say nothing.
    if std::env::args().any(|argument| argument == "--bench") {
        ratios();
    }
}
