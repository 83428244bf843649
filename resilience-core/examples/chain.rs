//! A chain: OpenAI is asked first, Claude when OpenAI cannot serve, and the answer comes as a stream.
//!
//! ```text
//! cargo run -p resilience-core --features reqwest --example chain
//! ```
//!
//! It reads `OPENAI_BASE_URL`, `OPENAI_API_KEY`, `ANTHROPIC_BASE_URL` and `ANTHROPIC_API_KEY`, as the SDKs do, and therefore runs under the harness, which sets them:
//!
//! ```text
//! brownout run scenarios/fallback -- target/debug/examples/chain
//! ```

#![expect(clippy::print_stderr, clippy::print_stdout, reason = "an example shows what it got")]

use std::env;
use std::error::Error;
use std::io::{Write as _, stdout};
use std::process::ExitCode;

use resilience_core::reqwest::{self, Events};
use resilience_core::{
    Attempt, Client, Failure, Message, Piece, Policy, Provider, Quota, Request, Role, Target,
    Usage, classify,
};
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
    let transport = Transport::from_environment()?;
    let targets = [
        // A limit that is kept on our side need not be refused on theirs.
        Target {
            quota: Some(Quota::per_minute(500, 200_000)),
            ..Target::new(Provider::OpenAi, "gpt-4o-mini")
        },
        Target::new(Provider::Anthropic, "claude-haiku-4-5"),
    ];
    let seed = u64::from(std::process::id());
    let client = Client::new(Policy::default(), targets, seed)?;

    let request =
        Request::new([Message::system("You answer in one sentence."), Message::user("Say hello.")]);
    let mut answer = client.stream(&request, |attempt| transport.open(attempt)).await?;
    while let Some(text) = answer.next().await {
        print!("{}", text?);
        stdout().flush()?;
    }
    println!("\n{} answered, for {:?}", client.targets()[answer.target()].name, answer.usage());
    Ok(())
}

/// How both providers are reached.
struct Transport {
    http: ::reqwest::Client,
    openai: (String, String),
    anthropic: (String, String),
}

impl Transport {
    fn from_environment() -> Result<Self, Box<dyn Error>> {
        let or = |name, usual: &str| env::var(name).unwrap_or_else(|_| usual.to_owned());
        Ok(Self {
            http: reqwest::client().build()?,
            openai: (
                or("OPENAI_BASE_URL", "https://api.openai.com/v1"),
                env::var("OPENAI_API_KEY")?,
            ),
            anthropic: (
                or("ANTHROPIC_BASE_URL", "https://api.anthropic.com"),
                env::var("ANTHROPIC_API_KEY")?,
            ),
        })
    }

    /// Opens one stream, in the words of the attempt's provider.
    async fn open(&self, attempt: Attempt) -> Result<Events<String>, Failure> {
        let (request, read): (_, Read) = match attempt.target().provider {
            Provider::Anthropic => (self.ask_anthropic(&attempt), anthropic),
            _ => (self.ask_openai(&attempt), openai),
        };
        reqwest::send(&attempt, request).await?.events(read).await
    }

    fn ask_openai(&self, attempt: &Attempt) -> ::reqwest::RequestBuilder {
        let (base, key) = &self.openai;
        let body = json!({
            "model": attempt.model(),
            "messages": attempt.messages.iter().map(message).collect::<Vec<_>>(),
            "stream": true,
            "stream_options": { "include_usage": true },
        });
        self.http.post(format!("{base}/chat/completions")).bearer_auth(key).json(&body)
    }

    fn ask_anthropic(&self, attempt: &Attempt) -> ::reqwest::RequestBuilder {
        let (base, key) = &self.anthropic;
        let (system, spoken): (Vec<_>, Vec<_>) =
            attempt.messages.iter().partition(|message| message.role == Role::System);
        let system: Vec<_> = system.into_iter().map(|message| message.text.as_str()).collect();
        let body = json!({
            "model": attempt.model(),
            "max_tokens": attempt.target().window.output,
            "system": system.join("\n"),
            "messages": spoken.into_iter().map(message).collect::<Vec<_>>(),
            "stream": true,
        });
        let request = self.http.post(format!("{base}/v1/messages"));
        request.header("x-api-key", key).header("anthropic-version", "2023-06-01").json(&body)
    }
}

/// A plain message, which both providers write alike.
fn message(message: &Message) -> Value {
    let role = match message.role {
        Role::Assistant => "assistant",
        Role::System => "system",
        Role::Tool => "tool",
        Role::User => "user",
    };
    json!({ "role": role, "content": message.text })
}

/// What one event means.
type Read = fn(&str) -> Result<Option<Piece<String>>, Failure>;

/// The chunks of a chat completion end with `[DONE]`, and the last one before it has the usage.
///
/// What it cost is told in a chunk of its own, which therefore is taken for the end.
fn openai(data: &str) -> Result<Option<Piece<String>>, Failure> {
    if data == "[DONE]" {
        return Ok(Some(Piece::End(String::new(), None)));
    }
    let chunk = json_of(data)?;
    if chunk.get("error").is_some_and(|error| !error.is_null()) {
        return Err(classify::stream_error(Provider::OpenAi, data.as_bytes()));
    }
    if let (Some(input), Some(output)) =
        (chunk["usage"]["prompt_tokens"].as_u64(), chunk["usage"]["completion_tokens"].as_u64())
    {
        return Ok(Some(Piece::End(String::new(), Some(Usage { input, output }))));
    }
    Ok(match chunk["choices"][0]["delta"]["content"].as_str() {
        Some("") | None => None,
        Some(text) => Some(Piece::Content(text.to_owned())),
    })
}

/// The events of a message say by their type what they are.
fn anthropic(data: &str) -> Result<Option<Piece<String>>, Failure> {
    let event = json_of(data)?;
    match event["type"].as_str() {
        Some("error") => Err(classify::stream_error(Provider::Anthropic, data.as_bytes())),
        Some("message_stop") => Ok(Some(Piece::End(String::new(), None))),
        Some("content_block_delta") => {
            let text = event["delta"]["text"].as_str();
            Ok(text.map(|text| Piece::Content(text.to_owned())))
        }
        _ => Ok(None),
    }
}

fn json_of(data: &str) -> Result<Value, Failure> {
    serde_json::from_str(data)
        .map_err(|error| classify::transport(classify::Transport::Decode, &error.to_string()))
}
