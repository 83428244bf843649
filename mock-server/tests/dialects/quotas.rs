//! Do headers, body and Retry-After say the same, and is it what the engine enforces?
//!
//! Beside the provider runs a quota that is told the same requests at the same times: what goes
//! over the wire must be its numbers.

use std::time::Duration;

use mock_server::{
    clock::VIRTUAL_EPOCH,
    journal::{Claimed, Entry},
    plan::{Plan, Quota},
    quota::{Ask, Level, Limited, Quotas},
};
use proptest::prelude::*;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;

use crate::play::{Got, ask, ask_all, converse, exchange, fault, provider, request, serve};

/// One request of a history: the pause before it, and how long its question is.
type Step = (Duration, usize);

fn openai(words: usize) -> Vec<u8> {
    let content = "hi ".repeat(words);
    let body = json!({"model": "gpt-4o", "messages": [{"role": "user", "content": content}]});
    request("POST", "/v1/chat/completions", &["authorization: Bearer sk-test"], &body.to_string())
}

fn anthropic(words: usize) -> Vec<u8> {
    let content = "hi ".repeat(words);
    let body = json!({
        "model": "claude-haiku-4-5", "max_tokens": 100,
        "messages": [{"role": "user", "content": content}],
    });
    let headers = ["x-api-key: sk-ant-test", "anthropic-version: 2023-06-01"];
    request("POST", "/v1/messages", &headers, &body.to_string())
}

fn seconds(got: &Got) -> Option<u64> {
    got.header("retry-after").parse().ok()
}

/// The answers to a client that obeys: it waits as it is told, and asks again.
fn obey(quota: &Value, ask: fn(usize) -> Vec<u8>, steps: &[Step]) -> Vec<Got> {
    let mut steps = steps.iter();
    let mut last = 0;
    converse(provider(json!({ "quota": quota })), |got| {
        let told = got.last().filter(|got| got.status == 429).and_then(seconds);
        if let Some(told) = told {
            return Some((Duration::from_secs(told), ask(last)));
        }
        let (pause, words) = *steps.next()?;
        last = words;
        Some((pause, ask(words)))
    })
}

/// What the quota beside the provider says of each answer.
fn shadow(quota: &Value, answers: &[Got]) -> Vec<(Duration, Result<Vec<Level>, Limited>)> {
    let quota: Quota = serde_json::from_value(quota.clone()).expect("the quota is right");
    let mut quotas = Quotas::new(quota, VIRTUAL_EPOCH);
    let journal = &answers.last().expect("there is an answer").journal;
    let mut told = Vec::new();
    for entry in journal {
        match entry {
            Entry::Claimed(claimed) => {
                let Claimed { attempt, key, ref model, input_tokens, .. } = **claimed;
                let ask = Ask {
                    attempt,
                    provider: claimed.provider,
                    organisation: "",
                    key,
                    model,
                    input_tokens,
                    output_tokens_max: claimed.output_tokens_max,
                    model_output_max: None,
                };
                let at = Duration::from_nanos(claimed.at);
                told.push((at, quotas.admit(&ask, at)));
            }
            Entry::Ended(ended) => {
                let answer = &answers[told.len() - 1];
                let usage = &answer.json()["usage"];
                let generated = usage["completion_tokens"].as_u64();
                let generated = generated.or_else(|| usage["output_tokens"].as_u64());
                let at = Duration::from_nanos(ended.at);
                quotas.settle(ended.attempt, generated.unwrap_or(0), at);
            }
            _ => {}
        }
    }
    told
}

/// A span as Go prints it.
fn go(text: &str) -> Duration {
    let mut rest = text;
    let mut nanos = 0.0;
    while !rest.is_empty() {
        let digits =
            rest.find(|letter: char| letter.is_ascii_alphabetic()).expect("a number has a unit");
        let unit = rest[digits..].find(|letter: char| !letter.is_ascii_alphabetic());
        let unit = unit.map_or(rest.len(), |unit| digits + unit);
        let scale = match &rest[digits..unit] {
            "h" => 3_600e9,
            "m" => 60e9,
            "s" => 1e9,
            "ms" => 1e6,
            other => panic!("{other} in {text}"),
        };
        nanos += rest[..digits].parse::<f64>().expect("a span begins with a number") * scale;
        rest = &rest[unit..];
    }
    Duration::from_micros(format!("{:.0}", nanos / 1_000.0).parse().expect("a span is a number"))
}

fn whole_millis(span: Duration) -> Duration {
    Duration::from_nanos(
        u64::try_from(span.as_nanos().div_ceil(1_000_000)).expect("it is short") * 1_000_000,
    )
}

fn whole_seconds(span: Duration) -> u64 {
    u64::try_from(span.as_nanos().div_ceil(1_000_000_000)).expect("it is short")
}

/// OpenAI's headers have the numbers of a level; what is left of a reset's millisecond is cut.
fn shows(got: &Got, level: &Level) {
    let name = format!("{:?}", level.dimension).to_lowercase();
    let header = |what: &str| got.header(&format!("x-ratelimit-{what}-{name}")).to_owned();
    assert_eq!(header("limit"), level.limit.to_string());
    assert_eq!(header("remaining"), level.remaining.to_string());
    let cut = level.reset.as_nanos() / 1_000_000;
    assert_eq!(go(&header("reset")).as_nanos() / 1_000_000, cut);
}

fn check_openai(got: &Got, told: &Result<Vec<Level>, Limited>) {
    let limited = match told {
        Ok(levels) => {
            assert_eq!(got.status, 200, "{}", got.text());
            return levels.iter().for_each(|level| shows(got, level));
        }
        Err(limited) => limited,
    };
    let Limited { level, used, requested, wait } = *limited;
    assert_eq!(got.status, 429);
    let message =
        got.json()["error"]["message"].as_str().expect("an error has a message").to_owned();
    let Some(wait) = wait else {
        let numbers = format!("Limit {}, Requested {requested}.", level.limit);
        assert!(
            message.starts_with("Request too large") && message.contains(&numbers),
            "{message}"
        );
        return assert_eq!(got.header("retry-after"), "");
    };
    let numbers = format!("Limit {}, Used {used}, Requested {requested}. ", level.limit);
    let (_, rest) = message.split_once(&numbers).unwrap_or_else(|| panic!("{message}: {numbers}"));
    let told = rest.strip_prefix("Please try again in ").expect("a wait is told");
    let told = go(told.split(". ").next().unwrap_or(told));
    assert_eq!(told, whole_millis(wait));
    assert_eq!(seconds(got), Some(whole_seconds(told)));
    if !got.header("retry-after-ms").is_empty() {
        assert_eq!(got.header("retry-after-ms"), told.as_millis().to_string());
    }
    // The arithmetic of the provider, which knows no parts of a request: less than one of them off.
    let missing = u128::from(used + requested - level.limit);
    let unit = level.period.as_nanos() / u128::from(level.limit);
    let computed = missing * level.period.as_nanos() / u128::from(level.limit);
    assert!(wait.as_nanos() <= computed + 1 && computed <= wait.as_nanos() + unit + 1);
    assert_eq!(level.remaining, level.limit - used);
    shows(got, &level);
}

fn check_anthropic(got: &Got, at: Duration, told: &Result<Vec<Level>, Limited>) {
    let instant = |span: Duration| {
        let second = i64::try_from(whole_seconds(VIRTUAL_EPOCH + at + span)).expect("it is a date");
        jiff::Timestamp::from_second(second).expect("it is a date").to_string()
    };
    let header = |name: &str, what: &str| {
        got.header(&format!("anthropic-ratelimit-{name}-{what}")).to_owned()
    };
    match told {
        Ok(levels) => {
            assert_eq!(got.status, 200, "{}", got.text());
            let requests = &levels[0];
            assert_eq!(header("requests", "limit"), requests.limit.to_string());
            assert_eq!(header("requests", "remaining"), requests.remaining.to_string());
            assert_eq!(header("requests", "reset"), instant(requests.reset));
        }
        Err(Limited { level, wait, .. }) => {
            assert_eq!(got.status, 429);
            assert_eq!(seconds(got), wait.map(whole_seconds));
            let message =
                got.json()["error"]["message"].as_str().expect("an error has a message").to_owned();
            let names = format!("rate limit of {} ", level.limit);
            assert!(message.contains(&names), "{message}: {names}");
            // The limit that refuses is shown as used up.
            let shown = ["requests", "input-tokens", "output-tokens", "tokens"];
            let spent = shown.into_iter().find(|name| {
                header(name, "limit") == level.limit.to_string() && header(name, "remaining") == "0"
            });
            let spent = spent.unwrap_or_else(|| panic!("{:?}", got.headers));
            assert_eq!(header(spent, "reset"), instant(level.reset));
        }
    }
}

/// Who waits as told is not refused again, and whatever fits is refused but once.
fn is_never_refused_twice(answers: &[Got]) {
    for pair in answers.windows(2) {
        if pair[0].status == 429 && seconds(&pair[0]).is_some() {
            assert_eq!(pair[1].status, 200, "{}", pair[1].text());
        }
    }
}

fn steps(words: usize) -> impl Strategy<Value = Vec<Step>> {
    let pause = prop_oneof![Just(0), 0..3_000_u64, 0..40_000_u64];
    let step = (pause.prop_map(Duration::from_millis), 1..words);
    prop::collection::vec(step, 1..30)
}

fn ways() -> impl Strategy<Value = (&'static str, &'static str)> {
    (
        prop::sample::select(vec!["bucket", "fixed", "sliding"]),
        prop::sample::select(vec!["free", "charged"]),
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn openais_numbers_agree_with_each_other_and_with_the_engine(
        steps in steps(220),
        (window, rejected) in ways(),
        output in prop::sample::select(vec!["none", "generated"]),
    ) {
        // The provider's arithmetic, which the text repeats, is that of a bucket.
        let window = if rejected == "free" { "bucket" } else { window };
        let quota = json!({
            "requests": "7/min", "tokens": "200/min", "window": window, "rejected": rejected,
            "output": output,
        });
        let answers = obey(&quota, openai, &steps);
        is_never_refused_twice(&answers);
        if window == "bucket" && output == "none" {
            for (got, (_, told)) in answers.iter().zip(shadow(&quota, &answers)) {
                check_openai(got, &told);
            }
        }
    }

    #[test]
    fn anthropics_numbers_agree_with_each_other_and_with_the_engine(
        steps in steps(220),
        (window, rejected) in ways(),
    ) {
        let quota = json!({
            "requests": "7/min", "tokens": "200/min", "window": window, "rejected": rejected,
        });
        let answers = obey(&quota, anthropic, &steps);
        is_never_refused_twice(&answers);
        for (got, (at, told)) in answers.iter().zip(shadow(&quota, &answers)) {
            check_anthropic(got, at, &told);
        }
    }
}

#[test]
fn a_place_is_given_back_when_the_client_leaves() {
    let settings = json!({
        "quota": {"concurrency": 2}, "latency": {"first-token": "60s"},
    });
    let statuses = serve(provider(settings), async |connector, lane| {
        let pass = async |seconds| {
            let clock = lane.clock();
            clock.sleep_until(clock.now() + Duration::from_secs(seconds)).await;
        };
        let mut open = Vec::new();
        for _ in 0..2 {
            let mut stream = connector.connect().unwrap();
            stream.write_all(&openai(1)).await.unwrap();
            open.push(stream);
        }
        pass(1).await;
        let refused = exchange(&connector, &lane, &openai(1)).await;
        drop(open);
        pass(1).await;
        let served = exchange(&connector, &lane, &openai(1)).await;
        [refused.status, served.status]
    });
    assert_eq!(statuses, [429, 200]);
}

#[test]
fn what_was_sent_of_a_stream_is_what_it_costs() {
    let cut = json!({"cut-stream": {"after": 4}});
    let settings = json!({
        "quota": {"tokens": "1_000/day", "output": "generated", "window": "fixed"},
        "answers": {"text": "one two three four five six seven eight nine ten"},
    });
    let plan = Plan { rules: fault(cut).rules, ..provider(settings) };
    let body = json!({
        "model": "gpt-4o", "stream": true, "messages": [{"role": "user", "content": "hi "}],
    });
    let headers = ["authorization: Bearer sk-test"];
    let stream = request("POST", "/v1/chat/completions", &headers, &body.to_string());
    let got = ask_all(plan, &[openai(1), stream, openai(1)]);
    let left = |index: usize| -> u64 {
        got[index].header("x-ratelimit-remaining-tokens").parse().unwrap()
    };
    let usage = &got[0].json()["usage"];
    let usage = |name: &str| usage[name].as_u64().unwrap();
    let (input, whole) = (usage("prompt_tokens"), usage("completion_tokens"));
    assert_eq!(left(0), 1_000 - input);
    assert_eq!(left(0) - left(1), whole + input);
    // Four words and the mark before them were sent, of ten between two marks.
    let cut = left(1) - left(2) - input;
    assert!(0 < cut && cut < whole / 2, "{cut} of {whole}");
}

#[test]
fn a_model_that_writes_little_cuts_its_answer() {
    let settings = json!({"models": {"gpt-4o": {"output": 12}}});
    let got = ask(provider(settings), &openai(1)).json();
    assert_eq!(got["choices"][0]["finish_reason"], "length");
    let written = got["usage"]["completion_tokens"].as_u64().unwrap();
    assert!((1..=12).contains(&written), "{written}");
}
