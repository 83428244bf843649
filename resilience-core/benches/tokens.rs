//! What counting tokens costs, beside tiktoken-rs and beside counting everything again.
//!
//! `tokens` is there to catch a counter that reads a text twice; `hostile` one that turns quadratic on what strangers write, or reads on when the limit is passed; `conversation` a message that forgets its count.
//! The estimate stands beside the least that a count by reading can cost: one pass over the characters.

use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, Throughput};
use resilience_core::{
    Calibrated, Estimate, Framing, Message, OpenAiTokens, Provider, TokenCounter,
};
use tiktoken_rs::CoreBPE;

/// English of 20 words, about 25 tokens.
const PROMPT: &str = "Please summarise the following report for a reader who has five minutes, and name the three decisions that cannot wait.";

const COUNTER: OpenAiTokens = OpenAiTokens::O200k;

fn tiktoken() -> &'static CoreBPE {
    tiktoken_rs::o200k_base_singleton()
}

fn prompts(c: &mut Criterion) {
    let mut group = c.benchmark_group("tokens");
    group.throughput(Throughput::Elements(1));
    let calibrated = Calibrated::new(Arc::new(Estimate));
    let counters: [(&str, &dyn TokenCounter); 3] =
        [("o200k", &COUNTER), ("estimate", &Estimate), ("calibrated", &calibrated)];
    for (name, counter) in counters {
        group.bench_function(name, |b| b.iter(|| counter.count(black_box(PROMPT))));
    }
    group.bench_function("tiktoken-rs", |b| {
        b.iter(|| tiktoken().count_ordinary(black_box(PROMPT)));
    });
    group.bench_function("one pass", |b| b.iter(|| black_box(PROMPT).chars().count()));
    group.finish();
}

/// Texts of 100 kB that tokenizers have choked on, and one that none does.
fn texts() -> [(&'static str, String); 5] {
    let text = |piece: &str| piece.repeat(100_000 / piece.len());
    [
        ("one word", text("a")),
        ("dashes", text("-")),
        ("CJK", text("漢字")),
        ("spaces", text(" ")),
        ("prose", text(PROMPT)),
    ]
}

fn hostile(c: &mut Criterion) {
    let mut group = c.benchmark_group("hostile");
    for (name, text) in texts() {
        group.throughput(Throughput::Bytes(u64::try_from(text.len()).expect("a length")));
        group.bench_function(name, |b| b.iter(|| COUNTER.count(black_box(&text))));
        group.bench_function(format!("{name}, tiktoken-rs"), |b| {
            b.iter(|| tiktoken().count_ordinary(black_box(&text)));
        });
        group.bench_function(format!("{name}, up to 1,000 tokens"), |b| {
            b.iter(|| COUNTER.count_up_to(black_box(&text), 1_000));
        });
    }
    group.finish();
}

fn conversations(c: &mut Criterion) {
    let mut group = c.benchmark_group("conversation");
    let messages: Vec<_> = (0..200).map(|turn| Message::user(format!("{turn} {PROMPT}"))).collect();
    let framing = Framing::of(Provider::OpenAi, "gpt-4o-mini");
    group.bench_function("again", |b| {
        b.iter(|| {
            let messages = black_box(&messages).iter();
            messages.map(|message| message.tokens(&COUNTER, &framing)).sum::<u64>()
        });
    });
    group.bench_function("again, every text", |b| {
        b.iter(|| {
            let messages = black_box(&messages).iter();
            messages.map(|message| COUNTER.count(&message.text)).sum::<u64>()
        });
    });
    group.finish();
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    prompts(&mut criterion);
    hostile(&mut criterion);
    conversations(&mut criterion);
    criterion.final_summary();
}
