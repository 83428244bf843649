//! A limiter and nothing else: five questions at once, of which no more go out than a limit allows.
//!
//! ```text
//! cargo run -p resilience-core --example limiter
//! ```
//!
//! It reads `OPENAI_BASE_URL` and `OPENAI_API_KEY`, as the SDKs do; a server to try it on is `brownout serve`.

#![expect(clippy::print_stderr, clippy::print_stdout, reason = "an example shows what it got")]

use std::env;
use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use resilience_core::{Cost, Provider, Quota, Throttle, counter};
use serde_json::{Value, json};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Box<dyn Error>> {
    let http = reqwest::Client::new();
    let base = env::var("OPENAI_BASE_URL").unwrap_or("https://api.openai.com/v1".to_owned());
    let key = env::var("OPENAI_API_KEY")?;

    // 600 requests a minute are ten a second; the burst is what may go out before that pace begins.
    let mut quota = Quota::per_minute(600, 100_000);
    quota.limits[0].burst = 2;
    let throttle = Throttle::new(&quota)?;
    let counter = counter(Provider::OpenAi, MODEL);

    let questions = ["one", "two", "three", "four", "five"].map(|word| format!("Say {word}."));
    let asked = questions.iter().map(|question| {
        let (throttle, counter, http, base, key) = (&throttle, &counter, &http, &base, &key);
        async move {
            // What it may cost at the most: the question, and an answer of full length.
            let cost = Cost::request(counter.count(question), OUTPUT_TOKENS_MAX);
            let permit = throttle.acquire_within(cost, Duration::from_secs(30)).await?;
            let messages = [json!({ "role": "user", "content": question })];
            let body = json!({
                "model": MODEL,
                "max_tokens": OUTPUT_TOKENS_MAX,
                "messages": messages,
            });
            let request = http.post(format!("{base}/chat/completions")).bearer_auth(key);
            let answer = request.json(&body).send().await?;
            println!("{question} {}", answer.status());
            let answer: Value = answer.json().await?;
            let tokens = |name| answer["usage"][name].as_u64();
            match (tokens("prompt_tokens"), tokens("completion_tokens")) {
                (Some(input), Some(output)) => permit.settle(Cost::request(input, output)),
                // Nobody knows what an answer without a bill has cost.
                _ => permit.keep(),
            }
            Ok::<(), Box<dyn Error>>(())
        }
    });
    futures_util::future::try_join_all(asked).await?;
    Ok(())
}

const MODEL: &str = "gpt-4o-mini";

/// What each answer is allowed to be.
const OUTPUT_TOKENS_MAX: u64 = 100;
