//! A client under judgement that says how each of its calls ended.
//!
//! The server sees requests; only the application knows what it made of the answers.
//! A command that [`brownout run`] judges may post that to `$BROWNOUT_URL/_brownout/outcome`: here an [`Observer`] does, which is told of every call's end by the client itself.
//! The call is named in a header of each attempt, so that the harness need not guess which requests belong together.
//!
//! ```text
//! cargo build --example outcome
//! brownout run scenarios/limits/two-429s-then-fine.yaml -- target/debug/examples/outcome
//! ```
//!
//! [`brownout run`]: https://docs.rs/brownout

#![expect(clippy::print_stderr, clippy::print_stdout, reason = "a program says what it got")]

use std::env;
use std::error::Error;
use std::process::ExitCode;
use std::sync::Arc;

use resilience_core::classify::{Transport, transport};
use resilience_core::{
    Answer, Attempt, CallError, Client, Ended, Failure, Finish, Message, Observer, Policy,
    Provider, Request, Success, Target, reqwest,
};
use serde_json::json;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

#[tokio::main(flavor = "current_thread")]
pub(crate) async fn main() -> ExitCode {
    match run().await {
        Ok(Ok(success)) => {
            println!("{}", success.value);
            ExitCode::SUCCESS
        }
        Ok(Err(error)) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// One call, and the post about it.
async fn run() -> Result<Result<Success<String>, CallError>, Box<dyn Error>> {
    let http = reqwest::client().build()?;
    let base = env::var("OPENAI_BASE_URL")?;
    let key = env::var("OPENAI_API_KEY")?;
    let outcomes = format!("{}/_brownout/outcome", env::var("BROWNOUT_URL")?);

    // An observer is called on the task of the call and must not wait, so somebody else posts.
    let (sender, mut ended) = unbounded_channel();
    let target = Target::new(Provider::OpenAi, "gpt-4o-mini");
    let client = Client::new(Policy::default(), [target], u64::from(std::process::id()))?
        .observed_by(Arc::new(Reporter(sender)));

    let request = Request::new([Message::user("Say hello.")]);
    let answered = client.call(&request, |attempt| ask(attempt, &http, &base, &key)).await;
    // With the client its reporter goes, and the line ends after the last call in it.
    drop(client);
    while let Some((call, success)) = ended.recv().await {
        let outcome = json!({ "call": call.to_string(), "success": success });
        http.post(&outcomes).json(&outcome).send().await?.error_for_status()?;
    }
    Ok(answered)
}

/// Passes on which calls ended, and whether they were served.
struct Reporter(UnboundedSender<(u64, bool)>);

impl Observer for Reporter {
    fn ended(&self, ended: &Ended<'_>) {
        let served = matches!(ended.finish, Finish::Served { .. });
        // A program that no longer listens does not want to know.
        let _ = self.0.send((ended.call, served));
    }
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
    let request = request.header("x-brownout-call", attempt.call.to_string());
    let answer = reqwest::send(&attempt, request).await?.json().await?;
    match answer["choices"][0]["message"]["content"].as_str() {
        Some(text) => Ok(Answer::new(text.to_owned())),
        None => Err(transport(Transport::Decode, "an answer without a text")),
    }
}
