//! What reqwest would repeat by itself: requests that an HTTP/2 server attests not to have looked at.
//!
//! The few [frames](https://www.rfc-editor.org/rfc/rfc9113#name-frame-definitions) it takes are written by hand, because no server library refuses on purpose.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use resilience_core::reqwest::{client, send};
use resilience_core::{Answer, Attempt, CallError, Class, Sent};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::reqwest::{eager, hello};

/// How a server declines.
#[derive(Clone, Copy)]
enum Decline {
    /// The connection ends before this stream.
    GoAway,
    RefuseStream,
}

/// Declines whatever comes; the first value is where, the second how many requests came.
async fn declining(how: Decline) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let requests = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&requests);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(decline(stream, how, Arc::clone(&count)));
        }
    });
    (url, requests)
}

async fn decline(
    mut stream: TcpStream,
    how: Decline,
    requests: Arc<AtomicUsize>,
) -> io::Result<()> {
    let mut preface = [0; 24];
    stream.read_exact(&mut preface).await?;
    assert_eq!(&preface, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    stream.write_all(&[0, 0, 0, SETTINGS, 0, 0, 0, 0, 0]).await?;
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).await?;
        // The length, the type, the flags, the stream.
        let (length, kind, stream_id) = (&head[..3], head[3], &head[5..]);
        let length = length.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte));
        stream.read_exact(&mut vec![0; length]).await?;
        if kind != HEADERS {
            continue;
        }
        requests.fetch_add(1, Ordering::Relaxed);
        let answer = match how {
            // The last stream that was looked at is 0, which is none; the error is 0 as well.
            Decline::GoAway => [&[0, 0, 8, GOAWAY, 0, 0, 0, 0, 0][..], &[0; 8]].concat(),
            Decline::RefuseStream => {
                let reason = [0, 0, 0, REFUSED_STREAM];
                [&[0, 0, 4, RST_STREAM, 0], stream_id, &reason].concat()
            }
        };
        stream.write_all(&answer).await?;
    }
}

async fn declined(how: Decline, retries_max: u32) -> (CallError, usize) {
    let (url, requests) = declining(how).await;
    let http = client().no_proxy().http2_prior_knowledge().build().unwrap();
    let transport = async |attempt: Attempt| {
        send(&attempt, http.get(&url)).await?.bytes().await.map(Answer::new)
    };
    let error = eager(retries_max).call(&hello(), transport).await.unwrap_err();
    (error, requests.load(Ordering::Relaxed))
}

/// P29, P55: a request that was refused unseen is repeated by us or by nobody.
#[tokio::test]
async fn a_refused_stream_is_one_request_an_attempt() {
    is_one_request_an_attempt(Decline::RefuseStream).await;
}

/// P29, P55: the same for a connection that is shut down in the request's face.
#[tokio::test]
async fn a_server_that_goes_away_gets_one_request_an_attempt() {
    is_one_request_an_attempt(Decline::GoAway).await;
}

async fn is_one_request_an_attempt(how: Decline) {
    for retries in 0..3 {
        let (error, requests) = declined(how, retries).await;
        let failure = error.last().unwrap();
        assert_eq!((failure.class, failure.sent), (Class::NotProcessed, Sent::No), "{failure}");
        assert_eq!(requests, error.attempts());
    }
}

const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const REFUSED_STREAM: u8 = 7;
