//! A server that answers the requests it gets with the next bytes of a script, and counts them.

use std::io;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// What becomes of one request.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// These bytes; the connection stays.
    Bytes(String),
    /// The connection ends without a byte.
    Close,
    /// These bytes, then the end of the connection.
    Cut(String),
    /// The connection is reset.
    Reset,
}

/// The server, for as long as the test's runtime lives.
pub(crate) struct Script {
    pub(crate) url: String,
    seen: Arc<Mutex<Seen>>,
}

#[derive(Debug, Default)]
struct Seen {
    requests: Vec<String>,
    connections: usize,
}

impl Script {
    /// Plays one reply a request, over all connections; the last one again and again.
    pub(crate) async fn play(replies: impl Into<Vec<Reply>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/v1/chat/completions", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Seen::default()));
        let replies: Arc<[Reply]> = replies.into().into();
        let journal = Arc::clone(&seen);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                journal.lock().unwrap().connections += 1;
                // How a client leaves is not what these tests ask.
                tokio::spawn(converse(stream, Arc::clone(&replies), Arc::clone(&journal)));
            }
        });
        Self { url, seen }
    }

    /// The requests that arrived whole, each with its body.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.seen.lock().unwrap().requests.clone()
    }

    /// How many connections were opened.
    pub(crate) fn connections(&self) -> usize {
        self.seen.lock().unwrap().connections
    }
}

/// A whole answer.
pub(crate) fn answer(status: &str, headers: &str, body: &str) -> Reply {
    let length = body.len();
    Reply::Bytes(format!("HTTP/1.1 {status}\r\n{headers}content-length: {length}\r\n\r\n{body}"))
}

async fn converse(
    mut stream: TcpStream,
    replies: Arc<[Reply]>,
    seen: Arc<Mutex<Seen>>,
) -> io::Result<()> {
    let mut bytes = Vec::new();
    loop {
        while !is_whole(&bytes) {
            if stream.read_buf(&mut bytes).await? == 0 {
                return Ok(());
            }
        }
        let reply = {
            let mut seen = seen.lock().unwrap();
            seen.requests.push(String::from_utf8(std::mem::take(&mut bytes)).unwrap());
            let last = replies.len() - 1;
            replies[(seen.requests.len() - 1).min(last)].clone()
        };
        match reply {
            Reply::Bytes(text) => stream.write_all(text.as_bytes()).await?,
            Reply::Close => return Ok(()),
            Reply::Cut(text) => return stream.write_all(text.as_bytes()).await,
            Reply::Reset => return stream.set_zero_linger(),
        }
    }
}

/// Whether these bytes are a head with as much of a body as it announces.
fn is_whole(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes).to_ascii_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    body.len() >= length.map_or(0, |length| length.parse().unwrap())
}
