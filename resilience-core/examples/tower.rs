//! The same client as a tower layer, over reqwest's own service, with a limit on what is under way.
//!
//! ```text
//! cargo run -p resilience-core --features reqwest,tower --example tower
//! ```
//!
//! It reads `OPENAI_BASE_URL` and `OPENAI_API_KEY`, as the SDKs do, and therefore runs under the harness, which sets them:
//!
//! ```text
//! brownout run scenarios/errors -- target/debug/examples/tower
//! ```

#![expect(clippy::print_stderr, clippy::print_stdout, reason = "an example shows what it got")]

use std::env;
use std::error::Error;
use std::process::ExitCode;

use ::reqwest::Url;
use resilience_core::tower::ResilienceLayer;
use resilience_core::{
    Answer, Attempt, Client, Message, Policy, Provider, Request, Target, reqwest,
};
use serde_json::{Value, json};
use tower::{ServiceBuilder, ServiceExt as _};

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
    let url: Url = format!("{base}/chat/completions").parse()?;

    let target = Target::new(Provider::OpenAi, "gpt-4o-mini");
    let seed = u64::from(std::process::id());
    let client = Client::new(Policy::default(), [target], seed)?;

    let writer = http.clone();
    let layer = ResilienceLayer::new(
        client,
        |question: &&str| Request::new([Message::user(*question)]),
        move |_: &&str, attempt: &Attempt| {
            let body = json!({
                "model": attempt.model(),
                "messages": [{ "role": "user", "content": attempt.messages[0].text }],
            });
            let request = writer.post(url.clone()).bearer_auth(&key);
            request.json(&body).build().expect("a URL with a JSON body makes a request")
        },
        async |attempt: Attempt, answered| {
            let answer: Value = reqwest::receive(&attempt, answered).await?.json().await?;
            Ok(Answer::new(answer["choices"][0]["message"]["content"].to_string()))
        },
    );
    // Each attempt takes a place among the four, and gives it back before the wait for the next.
    let service = ServiceBuilder::new().layer(layer).concurrency_limit(4).service(http);

    let success = service.oneshot("Say hello.").await?;
    println!("{} after {} attempts", success.value, success.attempts);
    Ok(())
}
