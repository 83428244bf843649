//! Loopback, in real time: what is on the wire, and what becomes of what comes back.

use std::time::Duration;

use resilience_core::reqwest::{ERROR_BYTES_MAX, Received, client, send};
use resilience_core::{
    Answer, Attempt, Backoff, CallError, Class, Client, Dimension, Failure, Jitter, Limit, Message,
    Phase, Piece, Policy, Provider, Quota, Request, Retry, Sent, Spread, StopReason, Success,
    Target, Timeouts, Usage, classify,
};
use serde_json::{Value, json};

use crate::script::{Reply, Script, answer};

const GOOD: &str = r#"{"choices":[{"message":{"content":"Hi"}}]}"#;
const LIMITED: &str =
    r#"{"error":{"message":"Rate limit reached","type":"requests","code":"rate_limit_exceeded"}}"#;

/// Retries at once, so that no test waits for anything but a hint.
pub(crate) fn eager(retries_max: u32) -> Client {
    let backoff = Backoff {
        base: Duration::ZERO,
        cap: Duration::ZERO,
        jitter: Jitter::None,
        ..Backoff::default()
    };
    let retry = Retry { retries_max, backoff, spread: Spread::NONE, ..Retry::default() };
    let target = Target::new(Provider::OpenAi, "gpt-4o-mini");
    Client::new(Policy { retry, ..Policy::default() }, [target], 1).unwrap()
}

pub(crate) fn hello() -> Request {
    Request::new([Message::user("hello")])
}

/// One call to a URL, with so many retries; what it reads is JSON.
async fn ask(url: &str, retries_max: u32) -> Result<Success<Value>, CallError> {
    let http = client().no_proxy().build().unwrap();
    let transport = async |attempt: Attempt| {
        let body = json!({ "model": attempt.model() });
        let received = send(&attempt, http.post(url).bearer_auth("sk-secret").json(&body)).await?;
        received.json().await.map(Answer::new)
    };
    eager(retries_max).call(&hello(), transport).await
}

/// How a single attempt fails, and how many requests it took.
async fn failure_of(reply: Reply) -> (Failure, usize) {
    let script = Script::play([reply]).await;
    let error = ask(&script.url, 0).await.unwrap_err();
    (error.last().unwrap().clone(), script.requests().len())
}

#[tokio::test]
async fn a_429_is_waited_out_and_the_answer_taken() {
    let limited = answer("429 Too Many Requests", "retry-after-ms: 30\r\n", LIMITED);
    let script = Script::play([limited, answer("200 OK", "", GOOD)]).await;
    let success = ask(&script.url, 5).await.unwrap();
    assert_eq!(success.value["choices"][0]["message"]["content"], "Hi");
    assert_eq!(success.attempts, 2);
    assert!(success.trace.waits().all(|(wait, _)| wait == Duration::from_millis(30)));
    let requests = script.requests();
    assert_eq!(requests.len(), 2);
    assert!(requests[0].starts_with("POST /v1/chat/completions HTTP/1.1\r\n"));
    assert!(requests[0].ends_with(r#"{"model":"gpt-4o-mini"}"#));
    // The error's body was read to its end, so that its connection serves again.
    assert_eq!(script.connections(), 1);
}

/// Others with the same key have used up what our own quota still thought was there.
#[tokio::test]
async fn the_headers_of_a_good_answer_make_the_quota_more_careful() {
    for (left, why) in [("1", None), ("0", Some(StopReason::Deadline))] {
        let headers =
            format!("x-ratelimit-limit-requests: 2\r\nx-ratelimit-remaining-requests: {left}\r\n");
        let script = Script::play([answer("200 OK", &headers, GOOD)]).await;
        let limits = vec![Limit::per_minute(Dimension::Rpm, 2)];
        let target = Target {
            quota: Some(Quota { limits, ..Quota::default() }),
            ..Target::new(Provider::OpenAi, "gpt-4o-mini")
        };
        // A turn takes half a minute: a call that has to wait for one ends at once.
        let timeouts = Timeouts { call: Duration::from_secs(20), ..Timeouts::default() };
        let policy = Policy { timeouts, ..Policy::default() };
        let judged = Client::new(policy, [target], 1).unwrap();
        let http = client().no_proxy().build().unwrap();
        let transport = async |attempt: Attempt| {
            let received = send(&attempt, http.post(&script.url)).await?;
            received.json().await.map(Answer::new)
        };
        judged.call(&hello(), transport).await.unwrap();
        let second = judged.call(&hello(), transport).await;
        assert_eq!(second.err().map(|error| error.why), why, "{left} left");
    }
}

/// P29: a retry beneath the retries.
#[tokio::test]
async fn a_401_is_one_request() {
    let body = r#"{"error":{"message":"Incorrect API key provided","type":"invalid_request_error","code":"invalid_api_key"}}"#;
    let script = Script::play([answer("401 Unauthorized", "x-request-id: r1\r\n", body)]).await;
    let error = ask(&script.url, 5).await.unwrap_err();
    assert_eq!(error.why, StopReason::Final);
    let failure = error.last().unwrap();
    assert_eq!((failure.class, failure.status), (Class::Auth, Some(401)));
    assert_eq!(failure.request_id.as_deref(), Some("r1"));
    assert_eq!(script.requests().len(), 1);
}

/// P29, P55: what the HTTP client repeats by itself is in nobody's count.
#[tokio::test]
async fn each_attempt_is_one_request_however_the_connection_ends() {
    for reply in [Reply::Close, Reply::Reset] {
        let script = Script::play([reply.clone()]).await;
        let error = ask(&script.url, 2).await.unwrap_err();
        assert_eq!(error.attempts(), 3, "{reply:?}");
        assert_eq!(script.requests().len(), 3, "{reply:?}");
        let failure = error.last().unwrap();
        assert_eq!((failure.class, failure.sent), (Class::Network, Sent::Maybe), "{reply:?}");
    }
}

/// P29, P55: an idle connection that the server closes under the second request.
#[tokio::test]
async fn a_kept_connection_that_closes_is_one_request_an_attempt() {
    let limited = answer("429 Too Many Requests", "", LIMITED);
    let script = Script::play([limited, Reply::Close, answer("200 OK", "", GOOD)]).await;
    let success = ask(&script.url, 5).await.unwrap();
    assert_eq!(success.attempts, 3);
    assert_eq!(script.requests().len(), 3);
    assert_eq!(script.connections(), 2);
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = Script::play([answer("200 OK", "", GOOD)]).await;
    let headers = format!("location: {}\r\n", elsewhere.url);
    let (failure, requests) = failure_of(answer("307 Temporary Redirect", &headers, "")).await;
    assert_eq!((failure.class, failure.status), (Class::InvalidRequest, Some(307)));
    assert_eq!((requests, elsewhere.requests().len()), (1, 0));
}

#[tokio::test]
async fn a_body_cut_short_is_a_broken_connection() {
    let head = "HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{\"choices\":";
    let (failure, _) = failure_of(Reply::Cut(head.to_owned())).await;
    // Whoever began to answer had the request.
    assert_eq!((failure.class, failure.sent), (Class::Network, Sent::Yes));
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n{\"cho";
    let (failure, _) = failure_of(Reply::Cut(chunked.to_owned())).await;
    assert_eq!(failure.class, Class::Network);
}

#[tokio::test]
async fn an_error_cut_short_is_still_what_its_status_says() {
    let head = "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 1000\r\n\r\nno healthy";
    let (failure, _) = failure_of(Reply::Cut(head.to_owned())).await;
    assert_eq!((failure.class, failure.status), (Class::Server, Some(503)));
    assert_eq!(&*failure.message, "no healthy");
}

/// P49: a 429 without JSON.
#[tokio::test]
async fn a_429_in_html_is_a_rate_limit() {
    let page = "<html><head><title>Slow down</title></head></html>";
    let reply = answer("429 Too Many Requests", "retry-after: 7\r\n", page);
    let (failure, _) = failure_of(reply).await;
    assert_eq!(failure.class, Class::RateLimited { dimension: None });
    assert_eq!(failure.hint.unwrap().after, Duration::from_secs(7));
    assert_eq!(&*failure.message, "Slow down");
}

/// An endless error must not fill the memory, nor be waited for.
#[tokio::test]
async fn of_an_error_so_much_is_read_and_no_more() {
    let page = "x".repeat(ERROR_BYTES_MAX + 1);
    let text = format!("HTTP/1.1 500 Oops\r\ncontent-length: 999999999\r\n\r\n{page}");
    // The connection stays open, and nothing more comes.
    let (failure, _) = failure_of(Reply::Bytes(text)).await;
    assert_eq!((failure.class, failure.status), (Class::Server, Some(500)));
}

#[tokio::test]
async fn a_200_is_an_answer_only_if_it_says_so() {
    let page = answer("200 OK", "content-type: text/html\r\n", "<title>Welcome</title>");
    assert_eq!(failure_of(page).await.0.class, Class::Decode);
    let half = answer("200 OK", "", r#"{"choices":["#);
    assert_eq!(failure_of(half).await.0.class, Class::Decode);
    let error = r#"{"error":{"type":"insufficient_quota","code":"insufficient_quota","message":"no credit"}}"#;
    assert_eq!(failure_of(answer("200 OK", "", error)).await.0.class, Class::QuotaExhausted);
}

#[tokio::test]
async fn nobody_there_is_no_connection_and_the_message_keeps_the_key() {
    let script = Script::play([Reply::Close]).await;
    // Port 1 of this machine is nobody's.
    let url = "http://127.0.0.1:1/v1/models/m:generateContent?key=sk-secret";
    let error = ask(url, 0).await.unwrap_err();
    let failure = error.last().unwrap();
    assert_eq!((failure.class, failure.sent), (Class::Connect, Sent::No));
    assert!(failure.message.contains("refused"), "{failure}");
    assert!(!error.to_string().contains("sk-secret"), "{error}");
    let error = ask(&format!("{}?key=sk-secret", script.url), 0).await.unwrap_err();
    assert!(!error.to_string().contains("sk-secret"), "{error}");
}

#[tokio::test]
async fn a_request_that_cannot_be_built_is_not_sent_again() {
    let error = ask("no url", 5).await.unwrap_err();
    assert_eq!(error.attempts(), 1);
    let failure = error.last().unwrap();
    assert_eq!((failure.class, failure.sent), (Class::InvalidRequest, Sent::No));
}

#[tokio::test]
async fn a_time_limit_of_the_request_is_a_timeout() {
    // The head alone, and then silence.
    let head = "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n";
    for text in ["", head] {
        let script = Script::play([Reply::Bytes(text.to_owned())]).await;
        let http = client().no_proxy().build().unwrap();
        let transport = async |attempt: Attempt| {
            let request = http.get(&script.url).timeout(Duration::from_millis(20));
            send(&attempt, request).await?.bytes().await.map(Answer::new)
        };
        let error = eager(0).call(&hello(), transport).await.unwrap_err();
        assert_eq!(error.last().unwrap().class, Class::Timeout { phase: Phase::Attempt });
    }
}

/// Reads OpenAI's stream of chunks.
async fn chunks(received: Received) -> Result<resilience_core::reqwest::Events<String>, Failure> {
    let read = |data: &str| {
        if data == "[DONE]" {
            return Ok(Some(Piece::End(String::new(), Some(Usage { input: 1, output: 2 }))));
        }
        let value: Value = serde_json::from_str(data).unwrap();
        if value.get("error").is_some() {
            return Err(classify::stream_error(Provider::OpenAi, data.as_bytes()));
        }
        let delta = &value["choices"][0]["delta"];
        Ok(match delta["content"].as_str() {
            Some("") | None => Some(Piece::Preamble(String::new())),
            Some(text) => Some(Piece::Content(text.to_owned())),
        })
    };
    received.events(read).await
}

/// One streamed call: its whole text, or how it failed.
async fn listen(script: &Script, retries_max: u32) -> (String, Option<CallError>) {
    let http = client().no_proxy().build().unwrap();
    let client = eager(retries_max);
    let transport =
        async |attempt: Attempt| chunks(send(&attempt, http.post(&script.url)).await?).await;
    let mut text = String::new();
    match client.stream(&hello(), transport).await {
        Err(error) => (text, Some(error)),
        Ok(mut pieces) => {
            while let Some(piece) = pieces.next().await {
                match piece {
                    Ok(piece) => text.push_str(&piece),
                    Err(error) => return (text, Some(error)),
                }
            }
            assert_eq!(pieces.usage(), Some(Usage { input: 1, output: 2 }));
            (text, None)
        }
    }
}

fn chunk(text: &str) -> String {
    let body = json!({ "choices": [{ "delta": { "content": text } }] });
    format!("data: {body}\n\n")
}

fn stream(events: &[&str], ending: &str) -> Reply {
    let body = events.concat();
    let length = body.len();
    Reply::Cut(format!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n{length:x}\r\n{body}\r\n{ending}"
    ))
}

const LAST_CHUNK: &str = "0\r\n\r\n";

#[tokio::test]
async fn a_stream_comes_whole_after_one_that_broke_before_its_content() {
    let (role, a, b) = (chunk(""), chunk("Hello, "), chunk("world"));
    let replies = [
        stream(&[&role], ""),
        stream(&[&role, "data: {\"error\":{\"code\":\"server_error\"}}\n\n"], LAST_CHUNK),
        stream(&[&role, &a, ": alive\n\n", &b, "data: [DONE]\n\n"], LAST_CHUNK),
    ];
    let script = Script::play(replies).await;
    let (text, error) = listen(&script, 5).await;
    assert_eq!((text.as_str(), error.map(|error| error.to_string())), ("Hello, world", None));
    assert_eq!(script.requests().len(), 3);
}

/// P34: a stream that breaks after content is not begun anew.
#[tokio::test]
async fn a_stream_that_breaks_after_content_ends_the_call() {
    let a = chunk("Hello");
    for ending in ["", LAST_CHUNK] {
        let script = Script::play([stream(&[&a], ending)]).await;
        let (text, error) = listen(&script, 5).await;
        let error = error.unwrap();
        assert_eq!((text.as_str(), error.why), ("Hello", StopReason::Committed));
        let class = Class::StreamInterrupted { committed: true };
        assert_eq!(error.last().unwrap().class, class, "{ending:?}");
        assert_eq!(script.requests().len(), 1);
    }
}

/// P32: an error under a 200, in place of a stream.
#[tokio::test]
async fn an_answer_that_is_no_stream_is_read_for_what_it_says() {
    let error = r#"{"error":{"message":"x","type":"server_error","code":"server_is_overloaded"}}"#;
    let reply = answer("200 OK", "content-type: application/json\r\n", error);
    let script = Script::play([reply]).await;
    let (_, failed) = listen(&script, 0).await;
    assert_eq!(failed.unwrap().last().unwrap().class, Class::Overloaded);
}
