//! Attempts over [`reqwest`](https://docs.rs/reqwest): an HTTP client that makes exactly one request an attempt, and what its answers and errors mean.
//!
//! [`client()`] has everything off that would multiply or outlast an attempt.
//! [`send`] makes the request, and classifies whatever is not a 2xx; [`Received`] is a 2xx whose body is still to be read, as JSON or as a stream of events.
//!
//! reqwest comes without TLS; for `https` URLs an application chooses one, as in `reqwest = { version = "0.13", features = ["rustls"] }`.
//!
//! ```no_run
//! use resilience_core::{
//!     Answer, Client, Message, Policy, Provider, Request, Target, classify, reqwest,
//! };
//! use serde_json::json;
//!
//! # async fn ask(key: &str) -> Result<(), Box<dyn std::error::Error>> {
//! let http = reqwest::client().build()?;
//! let target = Target::new(Provider::OpenAi, "gpt-4o-mini");
//! let client = Client::new(Policy::default(), [target], 7)?;
//! let request = Request::new([Message::user("Hello")]);
//!
//! let success = client
//!     .call(&request, async |attempt| {
//!         let body = json!({
//!             "model": attempt.model(),
//!             "messages": [{ "role": "user", "content": attempt.messages[0].text }],
//!         });
//!         let url = "https://api.openai.com/v1/chat/completions";
//!         let answer = reqwest::send(&attempt, http.post(url).bearer_auth(key).json(&body)).await?;
//!         let answer = answer.json().await?;
//!         match answer["choices"][0]["message"]["content"].as_str() {
//!             Some(text) => Ok(Answer::new(text.to_owned())),
//!             None => Err(classify::transport(classify::Transport::Decode, "no text")),
//!         }
//!     })
//!     .await?;
//! println!("{}", success.value);
//! # Ok(())
//! # }
//! ```

use std::error::Error as _;
use std::io;
use std::time::SystemTime;

use ::reqwest::{Client, ClientBuilder, Error, RequestBuilder, Response, redirect, retry};
use serde_json::Value;

use crate::attempt::Attempt;
use crate::class::{Class, Phase, Sent};
use crate::classify::{self, Transport, transport};
use crate::failure::Failure;
use crate::policy::Timeouts;
use crate::provider::Provider;
use crate::stream::Piece;

mod events;

pub use events::Events;

/// A builder of an HTTP client whose attempts are ours alone to repeat and to end.
///
/// - Its own retries are off: by default [reqwest repeats](https://docs.rs/reqwest/0.13/reqwest/retry/) what an HTTP/2 server refused to look at, beneath whoever counts.
///   [`Class::NotProcessed`] is what remains of it.
/// - It follows no redirect: the answer to a POST that was turned into a GET is nobody's answer, and a key must not travel.
/// - It has no time limit for the whole, because the [`crate::Policy`] has one; only the connect timeout is kept here, where connections are made, and is as long as [`Timeouts::default`]'s.
///
/// Everything else may be set as usual.
pub fn client() -> ClientBuilder {
    Client::builder()
        .retry(retry::never())
        .redirect(redirect::Policy::none())
        .connect_timeout(Timeouts::default().connect)
}

/// Makes the request of one attempt, and reads the head of its answer.
///
/// A failure is classified by the answer if there is one, of which at most [`ERROR_BYTES_MAX`] are read, and otherwise by how the connection ended.
/// Its message never has the URL in it, because some providers take their keys there.
pub async fn send(attempt: &Attempt, request: RequestBuilder) -> Result<Received, Failure> {
    receive(attempt, request.send().await).await
}

/// What [`send`] makes of an answer, for a request that was sent in another way, such as through a tower service.
pub async fn receive(
    attempt: &Attempt,
    answered: Result<Response, Error>,
) -> Result<Received, Failure> {
    let response = answered.map_err(|error| unanswered(&error.without_url()))?;
    attempt.connected();
    let mut received = Received { response, provider: attempt.target().provider };
    if received.response.status().is_success() {
        attempt.headers(&received.headers());
        return Ok(received);
    }
    let mut body = Vec::new();
    // The status says enough: a body that is too long or breaks off changes little.
    while body.len() < ERROR_BYTES_MAX
        && let Ok(Some(chunk)) = received.response.chunk().await
    {
        let room = ERROR_BYTES_MAX - body.len();
        body.extend_from_slice(chunk.get(..room).unwrap_or(&chunk));
    }
    Err(received.classify(&body))
}

/// An answer with a 2xx, whose body is still to be read.
///
/// Dropping it closes the connection, unless the body was read to its end.
#[derive(Debug)]
pub struct Received {
    response: Response,
    provider: Provider,
}

impl Received {
    /// The value of a header field, if it is there and is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.response.headers().get(name)?.to_str().ok()
    }

    /// The whole body, whatever it is.
    ///
    /// Fails as [`Class::Network`] if it is cut short, and as [`Class::Decode`] beyond [`ANSWER_BYTES_MAX`].
    pub async fn bytes(mut self) -> Result<Vec<u8>, Failure> {
        self.read().await
    }

    /// The whole body as JSON.
    ///
    /// Fails as [`Received::bytes`] does, as [`Class::Decode`] if the body is not JSON, and as whatever it says if it is an error or a refusal in spite of its status.
    pub async fn json(mut self) -> Result<Value, Failure> {
        let body = self.read().await?;
        let failure = self.classify(&body);
        if failure.class != Class::Decode {
            return Err(failure);
        }
        serde_json::from_slice(&body).map_err(|_| failure)
    }

    /// The body as server-sent events, for [`crate::Client::stream`].
    ///
    /// `read` is handed the data of each event, and says which piece of the answer it is: `None` for what nobody needs, and for an error event the failure ([`classify::stream_error`]).
    /// It must say [`Piece::End`] at the provider's last event; without it the stream is cut, not finished.
    ///
    /// Fails as [`Received::json`] does if the answer says of itself that it is something other than a stream.
    pub async fn events<T>(
        mut self,
        read: impl FnMut(&str) -> Result<Option<Piece<T>>, Failure> + Send + 'static,
    ) -> Result<Events<T>, Failure> {
        let kind = self.header("content-type").unwrap_or(EVENT_STREAM).trim_start();
        if kind
            .get(..EVENT_STREAM.len())
            .is_some_and(|kind| kind.eq_ignore_ascii_case(EVENT_STREAM))
        {
            return Ok(Events::new(self.response.into(), Box::new(read)));
        }
        let body = self.read().await?;
        Err(self.classify(&body))
    }

    /// The body to its end.
    async fn read(&mut self) -> Result<Vec<u8>, Failure> {
        let mut body = Vec::new();
        while let Some(chunk) = self.response.chunk().await.map_err(broken_off)? {
            body.extend_from_slice(&chunk);
            if body.len() > ANSWER_BYTES_MAX {
                let message = format!("the answer is longer than {ANSWER_BYTES_MAX} bytes");
                return Err(transport(Transport::Decode, &message));
            }
        }
        Ok(body)
    }

    /// The failure in this answer, which for a 2xx without one is that it cannot be read.
    fn classify(&self, body: &[u8]) -> Failure {
        let status = self.response.status().as_u16();
        classify::response(self.provider, status, &self.headers(), body, Some(wall()))
    }

    /// The header fields that are text.
    fn headers(&self) -> Vec<(&str, &str)> {
        let fields = self.response.headers().iter();
        fields.filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?))).collect()
    }
}

/// The failure of a request that got no answer.
fn unanswered(error: &Error) -> Failure {
    let message = chain(error);
    if error.is_builder() {
        let mut failure = Failure::new(Class::InvalidRequest, &message);
        failure.sent = Sent::No;
        return failure;
    }
    let fault = match (error.is_connect(), error.is_timeout()) {
        (true, true) => Transport::Timeout(Phase::Connect),
        (true, false) => Transport::Connect,
        (false, true) => Transport::Timeout(Phase::Attempt),
        (false, false) if NOT_PROCESSED.iter().any(|words| message.contains(words)) => {
            Transport::NotProcessed
        }
        (false, false) => Transport::Reset,
    };
    transport(fault, &message)
}

/// The failure of an answer whose body broke off: whoever began to answer had the request.
fn broken_off(error: Error) -> Failure {
    let error = error.without_url();
    let mut cause = error.source();
    let mut unreadable = false;
    while let Some(source) = cause {
        let io = source.downcast_ref::<io::Error>();
        // What a decompressor calls its input when it is nonsense.
        unreadable |= io.is_some_and(|io| io.kind() == io::ErrorKind::InvalidData);
        cause = source.source();
    }
    let fault = match (error.is_timeout(), unreadable) {
        (true, _) => Transport::Timeout(Phase::Attempt),
        (false, true) => Transport::Decode,
        (false, false) => Transport::Reset,
    };
    let mut failure = transport(fault, &chain(&error));
    failure.sent = Sent::Yes;
    failure
}

/// An error with its sources, in one line.
fn chain(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(source) = cause {
        text.push_str(": ");
        text.push_str(&source.to_string());
        cause = source.source();
    }
    text
}

/// The local wall clock, for dates in an answer without a `Date` of its own.
fn wall() -> SystemTime {
    #[expect(clippy::disallowed_methods, reason = "the transport reads the clock for the core")]
    SystemTime::now()
}

/// How h2 says `REFUSED_STREAM`, and `GOAWAY` without an error: the two that reqwest would have repeated by itself.
/// The words are all there is of them without a dependency on its very version of h2; in other words they are a broken connection, which is retried as well.
const NOT_PROCESSED: [&str; 2] = [
    "refused stream before processing any application logic",
    "connection error received: not a result of an error",
];

/// What a stream of events calls itself.
const EVENT_STREAM: &str = "text/event-stream";

/// How much of an error's body is read; the longest that providers send are pages of HTML of a few kilobytes.
pub const ERROR_BYTES_MAX: usize = 64 << 10;

/// How long an answer, or one event of a stream, may be; more than any model says at once, images included.
pub const ANSWER_BYTES_MAX: usize = 32 << 20;
