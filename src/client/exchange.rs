//! One attempt over HTTP/1.1: connect, send, read, and say what went wrong.

use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use resilience_core::{
    Answer, Attempt, Failure, Request,
    classify::{self, Transport},
};

use super::{
    Connect,
    codec::{self, Codec, Event, Text},
    sse::Decoder,
};

/// Sends attempts, and keeps connections for the next ones.
pub(super) struct Exchange<C> {
    connect: C,
    streaming: bool,
    idle: Mutex<Vec<http1::SendRequest<Full<Bytes>>>>,
}

/// The header in which a caller names its call to whoever judges it.
const CALL_HEADER: &str = "x-brownout-call";

/// The longest body that is read of an answer.
const BODY_BYTES_MAX: usize = 16 << 20;

/// The most connections that are kept.
const IDLE_MAX: usize = 1_024;

impl<C: Connect> Exchange<C> {
    pub(super) fn new(connect: C, streaming: bool) -> Self {
        Self { connect, streaming, idle: Mutex::default() }
    }

    /// Makes one attempt, and learns from the headers of its answer if it is to listen to them.
    pub(super) fn send(
        &self,
        attempt: Attempt,
        request: &Request,
        listens: bool,
    ) -> impl Future<Output = Result<Answer<String>, Failure>> + Send {
        let codec = codec::of(attempt.target().provider);
        let request = Request { output_max: attempt.output_max, ..request.clone() };
        let body = codec.body(attempt.model(), &attempt.messages, &request);
        async move {
            attempt.connecting();
            let mut sender = self.connection().await?;
            attempt.connected();
            let request = http_request(codec, attempt.call, body.to_string())?;
            let response = sender.send_request(request).await.map_err(|error| reset(&error))?;
            if listens && response.status().is_success() {
                attempt.headers(&fields(response.headers()));
            }
            let text = if response.status().is_success() && self.streaming {
                read_stream(codec, response, &attempt).await
            } else {
                read_whole(codec, response, &attempt).await
            }?;
            self.keep(sender);
            Ok(Answer { value: text.text, usage: text.usage })
        }
    }

    /// A kept connection, or a new one.
    async fn connection(&self) -> Result<http1::SendRequest<Full<Bytes>>, Failure> {
        while let Some(kept) = self.take() {
            if kept.is_ready() {
                return Ok(kept);
            }
        }
        let refused =
            |message: &dyn ToString| classify::transport(Transport::Connect, &message.to_string());
        let stream = self.connect.connect().await.map_err(|error| refused(&error))?;
        let (sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|error| refused(&error))?;
        // Its end is seen by whoever uses the sender.
        drop(tokio::spawn(async move { connection.await.is_ok() }));
        Ok(sender)
    }

    fn take(&self) -> Option<http1::SendRequest<Full<Bytes>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    fn keep(&self, sender: http1::SendRequest<Full<Bytes>>) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < IDLE_MAX && !sender.is_closed() {
            idle.push(sender);
        }
    }
}

fn http_request(
    codec: &dyn Codec,
    call: u64,
    body: String,
) -> Result<http::Request<Full<Bytes>>, Failure> {
    let mut request = http::Request::post(codec.path())
        .header("host", "127.0.0.1")
        .header("content-type", "application/json")
        .header("user-agent", concat!("brownout/", env!("CARGO_PKG_VERSION")))
        .header(CALL_HEADER, call.to_string());
    for (name, value) in codec.headers() {
        request = request.header(*name, *value);
    }
    request
        .body(Full::new(Bytes::from(body)))
        .map_err(|error| classify::transport(Transport::Connect, &error.to_string()))
}

/// Reads an answer that comes at once, or the error that it is.
async fn read_whole(
    codec: &dyn Codec,
    response: http::Response<Incoming>,
    attempt: &Attempt,
) -> Result<Text, Failure> {
    let (head, body) = response.into_parts();
    let body = http_body_util::Limited::new(body, BODY_BYTES_MAX).collect().await;
    let body = body.map_err(|error| classify::transport(Transport::Reset, &error.to_string()))?;
    let body = body.to_bytes();
    if head.status.is_success()
        && let Some(text) = serde_json::from_slice(&body).ok().and_then(|body| codec.answer(&body))
    {
        attempt.token();
        return Ok(text);
    }
    let provider = attempt.target().provider;
    Err(classify::response(provider, head.status.as_u16(), &fields(&head.headers), &body, None))
}

/// The header fields that are text.
fn fields(headers: &http::HeaderMap) -> Vec<(&str, &str)> {
    headers.iter().filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?))).collect()
}

/// Reads a stream to its last event; one that ends before it is no answer.
async fn read_stream(
    codec: &dyn Codec,
    response: http::Response<Incoming>,
    attempt: &Attempt,
) -> Result<Text, Failure> {
    let cut = |message: &str| {
        // Nothing has reached the application: it is handed whole answers only.
        classify::transport(Transport::StreamCut { committed: false }, message)
    };
    let mut body = response.into_body();
    let mut decoder = Decoder::default();
    let mut text = Text { text: String::new(), usage: None };
    let mut ended = false;
    // Read to the end of the body even after the last event, so that the connection can be kept.
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| cut(&error.to_string()))?;
        let Ok(bytes) = frame.into_data() else { continue };
        let events = decoder.feed(&bytes).ok_or_else(|| cut("an event has no end"))?;
        for event in events {
            match codec.event(&event.name, &event.data) {
                Event::End => ended = true,
                Event::Error(failure) => return Err(*failure),
                Event::Finished | Event::Other => attempt.token(),
                Event::Text(piece) => {
                    attempt.token();
                    text.text.push_str(&piece);
                }
                Event::Usage(usage) => text.usage = Some(usage),
            }
        }
        if text.text.len() > BODY_BYTES_MAX {
            return Err(cut("the answer has no end"));
        }
    }
    if ended { Ok(text) } else { Err(cut("the stream ended without its last event")) }
}

fn reset(error: &hyper::Error) -> Failure {
    classify::transport(Transport::Reset, &error.to_string())
}
