//! One question to OpenAI, asked again as the client's policy says.
//!
//! ```text
//! cargo run -p resilience-core --features reqwest --example retry
//! ```
//!
//! It reads `OPENAI_BASE_URL` and `OPENAI_API_KEY`, as the SDKs do, and therefore runs under the harness, which sets them:
//!
//! ```text
//! brownout run scenarios/limits -- target/debug/examples/retry
//! ```

#![expect(clippy::print_stderr, clippy::print_stdout, reason = "an example shows what it got")]

use std::env;
use std::error::Error;
use std::process::ExitCode;

use resilience_core::classify::{Transport, transport};
use resilience_core::{
    Answer, Attempt, Client, Failure, Message, Policy, Provider, Request, Target, reqwest,
};
use serde_json::json;

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
    let http = reqwest::client().build()?;
    let base = env::var("OPENAI_BASE_URL").unwrap_or("https://api.openai.com/v1".to_owned());
    let key = env::var("OPENAI_API_KEY")?;

    let target = Target::new(Provider::OpenAi, "gpt-4o-mini");
    // The seed makes the jitter ours alone; a number that no other process has.
    let seed = u64::from(std::process::id());
    let client = Client::new(Policy::default(), [target], seed)?;

    let request = Request::new([Message::user("Say hello.")]);
    let success = client.call(&request, |attempt| ask(attempt, &http, &base, &key)).await?;
    println!("{}", success.value);
    for (wait, why) in success.trace.waits() {
        println!("waited {wait:?} for {why:?}");
    }
    Ok(())
}

/// One attempt.
async fn ask(
    attempt: Attempt,
    http: &::reqwest::Client,
    base: &str,
    key: &str,
) -> Result<Answer<String>, Failure> {
    let body = json!({
        "model": attempt.model(),
        "messages": [{ "role": "user", "content": attempt.messages[0].text }],
    });
    let request = http.post(format!("{base}/chat/completions")).bearer_auth(key).json(&body);
    let answer = reqwest::send(&attempt, request).await?.json().await?;
    match answer["choices"][0]["message"]["content"].as_str() {
        Some(text) => Ok(Answer::new(text.to_owned())),
        None => Err(transport(Transport::Decode, "an answer without a text")),
    }
}
