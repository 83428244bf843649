//! What does a foreign client see on the wire? A raw socket, real time, loopback.

use std::{
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    sync::Arc,
    thread::JoinHandle,
    time::Duration,
};

use brownout::scenario::{Scenario, Source};
use mock_server::{
    clock::Clock,
    door::TcpDoor,
    draw::Draws,
    journal::{EndKind, Ended, Entry},
    lane::Lane,
    server,
};
use tokio::{net::TcpListener, sync::oneshot};

/// A server of one scenario, gone when it is dropped.
pub(crate) struct Served {
    pub(crate) address: SocketAddr,
    pub(crate) lane: Lane,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Serves rules, or more of a scenario.
pub(crate) fn serve(text: &str) -> Served {
    let text = format!("brownout: 1\nname: on the wire\n{text}\n");
    let scenario = Scenario::read("wire", "wire", Source::new("wire.yaml", text)).unwrap();
    let (ready, wait) = std::sync::mpsc::channel();
    let (stop, stopped) = oneshot::channel();
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let door = TcpDoor::new(listener).unwrap();
            let lane = Lane::new(Arc::clone(&scenario.plan), Draws::new(1), Clock::real());
            ready.send((door.address(), lane.clone())).unwrap();
            let stopped = async { drop(stopped.await) };
            server::run(door, lane, axum::Router::new(), stopped).await.unwrap();
        });
    });
    let (address, lane) = wait.recv().unwrap();
    Served { address, lane, stop: Some(stop), thread: Some(thread) }
}

/// What came back: head, body, and how it ended.
pub(crate) struct Got {
    pub(crate) head: String,
    pub(crate) body: String,
    /// The error that ended it, if it was no plain end.
    pub(crate) error: Option<io::Error>,
}

impl Served {
    /// Sends bytes, and reads until the other side ends it.
    pub(crate) fn send(&self, bytes: &[u8]) -> Got {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.write_all(bytes).unwrap();
        let mut read = Vec::new();
        let error = stream.read_to_end(&mut read).err();
        let text = String::from_utf8(read).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        Got { head: head.to_owned(), body: body.to_owned(), error }
    }

    fn is_gone(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    fn ends(&self) -> Vec<Ended> {
        let journal = self.lane.journal();
        let ends = journal.entries().iter().filter_map(|entry| match entry {
            Entry::Ended(ended) => Some(*ended),
            _ => None,
        });
        ends.collect()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        drop(self.stop.take());
        let joined = self.thread.take().unwrap().join();
        assert!(joined.is_ok() || std::thread::panicking());
    }
}

/// A Chat Completions request; the connection is to be closed after its answer.
pub(crate) fn chat(body: &str) -> Vec<u8> {
    request(
        "POST",
        "/v1/chat/completions",
        "authorization: Bearer sk-test\r\nconnection: close\r\n",
        body,
    )
}

pub(crate) fn request(method: &str, path: &str, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "{method} {path} HTTP/1.1\r\nhost: x\r\n{headers}content-length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

const PLAIN: &str = r#"{"model":"gpt-4o-mini","messages":[{"role":"user","content":"hi"}]}"#;
const STREAM: &str =
    r#"{"model":"gpt-4o-mini","messages":[{"role":"user","content":"hi"}],"stream":true}"#;

/// `ECONNRESET` on Linux and macOS alike, by its portable name.
fn is_reset(error: Option<&io::Error>) -> bool {
    error.is_some_and(|error| error.kind() == io::ErrorKind::ConnectionReset)
}

#[test]
fn a_healthy_answer_is_whole_and_counted() {
    let served = serve("");
    let got = served.send(&chat(PLAIN));
    assert!(got.head.starts_with("HTTP/1.1 200 OK"), "{}", got.head);
    assert!(got.head.contains(&format!("content-length: {}", got.body.len())), "{}", got.head);
    let body: serde_json::Value = serde_json::from_str(&got.body).unwrap();
    // 3 + (3 + "user" + "hi"), as OpenAI counts.
    assert_eq!(body["usage"]["prompt_tokens"], 8);
    assert_eq!(served.ends()[0].end, EndKind::Complete);
    assert_eq!(served.ends()[0].body_bytes, u64::try_from(got.body.len()).unwrap());
}

#[test]
fn a_reset_is_a_rst_and_not_an_end() {
    let served = serve("rules:\n  - fault: reset");
    let got = served.send(&chat(PLAIN));
    assert!(is_reset(got.error.as_ref()), "{:?}", got.error);
    assert!(got.head.is_empty());
    assert_eq!((served.ends()[0].end, served.ends()[0].status), (EndKind::Reset, None));
}

#[test]
fn a_truncated_body_falls_short_of_its_content_length_and_ends_with_a_fin() {
    let served = serve("rules:\n  - fault: { truncated: { keep: 50% } }");
    let got = served.send(&chat(PLAIN));
    assert!(got.error.is_none(), "{:?}", got.error);
    let promised = got.head.split("content-length: ").nth(1).unwrap();
    let promised: usize = promised.lines().next().unwrap().parse().unwrap();
    assert_eq!(got.body.len(), promised / 2);
    assert_eq!(served.ends()[0].end, EndKind::Closed);
    assert_eq!(served.ends()[0].body_bytes, u64::try_from(got.body.len()).unwrap());
}

#[test]
fn a_cut_stream_has_its_events_and_no_last_chunk() {
    for (end, terminated, reset) in
        [("close", false, false), ("quietly", true, false), ("reset", false, true)]
    {
        let served =
            serve(&format!("rules:\n  - fault: {{ cut-stream: {{ after: 4, end: {end} }} }}"));
        let got = served.send(&chat(STREAM));
        assert_eq!(is_reset(got.error.as_ref()), reset, "{end}: {:?}", got.error);
        assert_eq!(got.body.matches("\"delta\":{\"content\":").count(), 4, "{end}: {}", got.body);
        assert_eq!(got.body.ends_with("0\r\n\r\n"), terminated, "{end}: {}", got.body);
        assert!(!got.body.contains("[DONE]") && !got.body.contains("\"finish_reason\":\"stop\""));
        // The opening event, and four with text.
        assert_eq!(served.ends()[0].events, 5);
    }
}

#[test]
fn an_error_event_follows_a_200_and_nothing_follows_it() {
    let served = serve("rules:\n  - fault: { stream-error: { after: 2, error: server-error } }");
    let got = served.send(&chat(STREAM));
    assert!(got.head.starts_with("HTTP/1.1 200 OK"));
    let events: Vec<&str> = got.body.lines().filter(|line| line.starts_with("data: ")).collect();
    assert_eq!(events.len(), 4);
    assert!(
        events[3].contains("\"error\":{\"message\":\"The server had an error"),
        "{}",
        events[3]
    );
}

#[test]
fn a_hang_reads_the_request_and_answers_no_byte() {
    let served = serve("rules:\n  - fault: hang");
    let mut stream = TcpStream::connect(served.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    stream.write_all(&chat(PLAIN)).unwrap();
    let silence = stream.read(&mut [0; 1]).unwrap_err().kind();
    assert!(matches!(silence, io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut));
    // It was claimed, and is under way until we leave.
    assert_eq!(served.lane.journal().entries().len(), 1);
    drop(stream);
    while served.ends().is_empty() {
        assert!(!served.is_gone(), "the server is gone");
        std::thread::yield_now();
    }
    assert_eq!((served.ends()[0].end, served.ends()[0].head_at), (EndKind::ClientLeft, None));
}

/// Whoever has read a byte of an answer finds its attempt in the journal.
#[test]
fn an_attempt_is_in_the_journal_before_its_first_byte_goes_out() {
    let served = serve("");
    for attempt in 1..=50 {
        let mut stream = TcpStream::connect(served.address).unwrap();
        stream.write_all(&chat(STREAM)).unwrap();
        stream.read_exact(&mut [0; 1]).unwrap();
        let journal = served.lane.journal();
        let claimed = journal.entries().iter().filter(|entry| matches!(entry, Entry::Claimed(_)));
        assert_eq!(claimed.count(), attempt);
    }
}

#[test]
fn a_connection_serves_one_request_after_another() {
    let served = serve("");
    let mut stream = TcpStream::connect(served.address).unwrap();
    let first = request("POST", "/v1/chat/completions", "authorization: Bearer k\r\n", PLAIN);
    stream.write_all(&first).unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0; 1];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let length = head.split("content-length: ").nth(1).unwrap().lines().next().unwrap();
    let length: u64 = length.parse().unwrap();
    io::copy(&mut (&mut stream).take(length), &mut io::sink()).unwrap();
    stream.write_all(&chat(PLAIN)).unwrap();
    let mut rest = String::new();
    stream.read_to_string(&mut rest).unwrap();
    assert!(rest.starts_with("HTTP/1.1 200 OK"));
    let journal = served.lane.journal();
    let connections = journal.entries().iter().filter_map(|entry| match entry {
        Entry::Claimed(claimed) => Some((claimed.attempt, claimed.connection)),
        _ => None,
    });
    assert_eq!(connections.collect::<Vec<_>>(), [(1, 1), (2, 1)]);
}

#[test]
fn waits_are_announced_in_the_form_that_was_asked_for() {
    for (hint, header) in [
        ("retry-after: 2s", "retry-after: 2\r\n"),
        ("retry-after: 1500ms", "retry-after-ms: 1500\r\n"),
        ("retry-after: 2s, hint: milliseconds", "retry-after-ms: 2000\r\n"),
        ("retry-after: 2s, hint: date", " GMT\r\n"),
    ] {
        let served = serve(&format!("rules:\n  - fault: {{ rate-limited: {{ {hint} }} }}"));
        let got = served.send(&chat(PLAIN));
        assert!(got.head.contains("x-ratelimit-remaining-requests: 0"), "{}", got.head);
        assert!(format!("{}\r\n", got.head).contains(header), "{hint}: {}", got.head);
    }
}

/// While nothing listens, a connection is refused by the machine; afterwards the port is back.
/// The window is longer than a second because a handshake that the closing port interrupts is tried
/// again only then.
#[test]
fn a_refused_connection_finds_nobody_listening() {
    let served = serve("connections:\n  - when: { from: 50ms, until: 3s }\n    fault: refuse");
    assert!(served.send(&chat(PLAIN)).head.starts_with("HTTP/1.1 200"));
    let until = |refused: bool| loop {
        let connected = TcpStream::connect(served.address);
        match connected.map_err(|error| error.kind()) {
            Err(io::ErrorKind::ConnectionRefused) if refused => break,
            Ok(_) if !refused => break,
            _ => assert!(!served.is_gone(), "the server is gone"),
        }
    };
    until(true);
    until(false);
    assert!(served.send(&chat(PLAIN)).head.starts_with("HTTP/1.1 200"));
    let journal = served.lane.journal();
    let refusals = journal.entries().iter().filter(|entry| matches!(entry, Entry::Connection(_)));
    assert_eq!(refusals.count(), 1);
}

#[test]
fn a_late_accept_reads_nothing_for_a_while() {
    let served =
        serve("connections:\n  - when: { nth: 2 }\n    fault: { accept-late: { after: 300ms } }");
    assert!(served.send(&chat(PLAIN)).head.starts_with("HTTP/1.1 200"));
    let mut stream = TcpStream::connect(served.address).unwrap();
    stream.write_all(&chat(PLAIN)).unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let silence = stream.read(&mut [0; 1]).unwrap_err().kind();
    assert!(matches!(silence, io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut));
    // Not even the request was read, so there is nothing to claim.
    let claims = |served: &Served| {
        let journal = served.lane.journal();
        journal.entries().iter().filter(|entry| matches!(entry, Entry::Claimed(_))).count()
    };
    assert_eq!(claims(&served), 1);
    stream.set_read_timeout(None).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    assert!(text.starts_with("HTTP/1.1 200"));
    assert_eq!(claims(&served), 2);
}

/// What the provider refuses by itself is a call like any other: sending it again is a retry.
#[test]
fn a_request_without_a_key_belongs_to_a_call() {
    let served = serve("");
    let keyless = request("POST", "/v1/chat/completions", "connection: close\r\n", PLAIN);
    for _ in 0..2 {
        assert!(served.send(&keyless).head.starts_with("HTTP/1.1 401"));
    }
    let journal = served.lane.journal();
    let claims = journal.entries().iter().filter_map(|entry| match entry {
        Entry::Claimed(claimed) => Some((claimed.call, claimed.error)),
        _ => None,
    });
    let refused = (Some(1), Some(mock_server::action::ErrorKind::Authentication));
    assert_eq!(claims.collect::<Vec<_>>(), [refused, refused]);
}

/// Whatever comes, the answer has the provider's shape, and the server goes on.
#[test]
fn hostile_requests_are_answered_in_the_providers_shape() {
    let served = serve("");
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    for body in [
        "",
        "{",
        "null",
        "[]",
        "\u{0}",
        &deep,
        r#"{"model":7}"#,
        r#"{"model":"m","messages":"all"}"#,
    ] {
        let got = served.send(&chat(body));
        assert!(got.head.starts_with("HTTP/1.1 400"), "{body:.20}: {}", got.head);
        assert!(
            got.body.contains("\"type\": \"invalid_request_error\""),
            "{body:.20}: {}",
            got.body
        );
    }
    let mut bytes = chat(PLAIN);
    let last = bytes.len() - 3;
    bytes[last] = 0xff;
    assert!(served.send(&bytes).head.starts_with("HTTP/1.1 400"));
    assert!(served.send(b"\x16\x03\x01\x02\x00\x01").head.is_empty() || served.ends().len() > 1);
    assert!(served.send(&chat(PLAIN)).head.starts_with("HTTP/1.1 200"));
}
