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

    /// Waits for the end of an attempt, as long as there is a server to tell of it.
    fn ended(&self, attempt: usize) -> Ended {
        loop {
            assert!(!self.is_gone(), "the server is gone");
            if let Some(ended) = self.ends().get(attempt - 1) {
                return *ended;
            }
            std::thread::yield_now();
        }
    }

    fn claims(&self) -> usize {
        let journal = self.lane.journal();
        journal.entries().iter().filter(|entry| matches!(entry, Entry::Claimed(_))).count()
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
    let ended = served.ended(1);
    assert_eq!((ended.end, ended.head_at), (EndKind::ClientLeft, None));
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

/// Reads one answer that has a length, and nothing behind it.
fn read_answer(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0; 1];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let length = head.split("content-length: ").nth(1).unwrap().lines().next().unwrap();
    let length: u64 = length.parse().unwrap();
    io::copy(&mut stream.take(length), &mut io::sink()).unwrap();
    head
}

#[test]
fn a_connection_serves_one_request_after_another() {
    let served = serve("");
    let mut stream = TcpStream::connect(served.address).unwrap();
    let first = request("POST", "/v1/chat/completions", "authorization: Bearer k\r\n", PLAIN);
    stream.write_all(&first).unwrap();
    read_answer(&mut stream);
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
    assert_eq!(served.claims(), 1);
    stream.set_read_timeout(None).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    assert!(text.starts_with("HTTP/1.1 200"));
    assert_eq!(served.claims(), 2);
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

/// Bytes that stand behind a request must not hide that the client has left.
#[test]
fn a_client_that_leaves_is_noticed_whatever_it_sent_behind_its_request() {
    for fault in ["hang", "{ slow: { first-token: 1h } }"] {
        for behind in [b"\r\n".to_vec(), chat(PLAIN), vec![b'x'; 100_000]] {
            let served = serve(&format!("rules:\n  - fault: {fault}"));
            let mut stream = TcpStream::connect(served.address).unwrap();
            stream.write_all(&[chat(PLAIN), behind].concat()).unwrap();
            while served.claims() == 0 {
                assert!(!served.is_gone(), "the server is gone");
                std::thread::yield_now();
            }
            drop(stream);
            let ended = served.ended(1);
            assert_eq!((ended.end, ended.head_at), (EndKind::ClientLeft, None), "{fault}");
        }
    }
}

#[test]
fn a_connection_stays_open_after_a_delayed_answer() {
    let served = serve("provider: { latency: { first-token: 30ms } }");
    let mut stream = TcpStream::connect(served.address).unwrap();
    let keeping = request("POST", "/v1/chat/completions", "authorization: Bearer k\r\n", PLAIN);
    // The second request stands behind the first while that waits, with a line break between them.
    stream.write_all(&[keeping.clone(), b"\r\n".to_vec(), keeping].concat()).unwrap();
    for _ in 0..2 {
        assert!(read_answer(&mut stream).starts_with("HTTP/1.1 200"));
    }
    stream.write_all(&chat(PLAIN)).unwrap();
    let mut rest = String::new();
    stream.read_to_string(&mut rest).unwrap();
    assert!(rest.starts_with("HTTP/1.1 200") && rest.contains("connection: close\r\n"), "{rest}");
    assert_eq!(served.ends().iter().filter(|ended| ended.end == EndKind::Complete).count(), 3);
}

/// An answer of some 24 MB does not fit into what lies between a server and a client that reads
/// nothing.
#[test]
fn what_a_client_did_not_take_was_not_sent() {
    let whole = serve("provider: { answers: { tokens: 100_000 } }");
    let got = whole.send(&chat(STREAM));
    let sent = whole.ended(1);
    assert_eq!(sent.end, EndKind::Complete);
    assert_eq!(u64::try_from(got.body.matches("data: ").count()).unwrap(), sent.events);

    let served = serve("provider: { answers: { tokens: 100_000 } }");
    let mut stream = TcpStream::connect(served.address).unwrap();
    stream.write_all(&chat(STREAM)).unwrap();
    stream.read_exact(&mut [0; 10]).unwrap();
    drop(stream);
    let left = served.ended(1);
    assert_eq!(left.end, EndKind::ClientLeft);
    assert!(left.body_bytes < sent.body_bytes, "{} of {}", left.body_bytes, sent.body_bytes);
}

/// Nothing can be said of a request that never came: it is no attempt, and nobody refused it.
#[test]
fn a_request_that_never_arrives_whole_is_no_attempt() {
    let served = serve("");
    let half = request("POST", "/v1/chat/completions", "authorization: Bearer k\r\n", PLAIN);
    let mut stream = TcpStream::connect(served.address).unwrap();
    stream.write_all(&half[..half.len() - 5]).unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    assert_eq!(text, "");
    let chunked = "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer k\r\n\
                   transfer-encoding: chunked\r\n\r\nno number\r\n";
    let got = served.send(chunked.as_bytes());
    assert!(got.head.starts_with("HTTP/1.1 400"), "{}", got.head);
    assert!(!got.body.contains("error"), "{}", got.body);
    assert_eq!(served.claims(), 0);
}

#[test]
fn a_body_that_is_too_large_is_refused_before_it_is_sent() {
    let served = serve("");
    let head = "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer k\r\n";
    let announced = format!("{head}content-length: 40000000\r\n\r\n");
    let mut stream = TcpStream::connect(served.address).unwrap();
    stream.write_all(announced.as_bytes()).unwrap();
    // Not a byte of it was sent.
    assert!(read_answer(&mut stream).starts_with("HTTP/1.1 413"));
    // A client that sends first and reads then gets its answer too.
    let mut stream = TcpStream::connect(served.address).unwrap();
    stream.write_all(announced.as_bytes()).unwrap();
    stream.write_all(&vec![b' '; 4 << 20]).unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    assert!(text.starts_with("HTTP/1.1 413") && text.contains("connection: close"), "{text}");
    assert_eq!((served.claims(), served.ended(2).end), (2, EndKind::Complete));
}

#[test]
fn an_error_event_ends_the_connection_and_comes_before_the_finish() {
    let served = serve("rules:\n  - fault: { stream-error: { after: 90_000 } }");
    for (path, headers) in [
        ("/v1/chat/completions", "authorization: Bearer k\r\n"),
        ("/v1/messages", "x-api-key: k\r\nanthropic-version: 2023-06-01\r\n"),
    ] {
        let model = if path == "/v1/messages" { "claude-haiku-4-5" } else { "gpt-4o-mini" };
        let body = format!(
            r#"{{"model":"{model}","max_tokens":500,"stream":true,"messages":[{{"role":"user","content":"hi"}}]}}"#
        );
        // The client would keep the connection; nothing but its end lets this return.
        let got = served.send(&request("POST", path, headers, &body));
        assert!(got.error.is_none() && got.body.ends_with("0\r\n\r\n"), "{}", got.body);
        assert!(got.body.contains("overloaded"), "{}", got.body);
        for finish in ["\"stop\"", "content_block_stop", "message_delta", "[DONE]"] {
            assert!(!got.body.contains(finish), "{finish} in {}", got.body);
        }
    }
}

#[test]
fn an_old_client_gets_no_chunks() {
    let served = serve("provider: { latency: { between-tokens: 1ms } }");
    let modern = String::from_utf8(chat(STREAM)).unwrap();
    let got = served.send(modern.replace("HTTP/1.1", "HTTP/1.0").as_bytes());
    assert!(got.head.starts_with("HTTP/1.0 200") && !got.head.contains("chunked"), "{}", got.head);
    assert!(got.body.starts_with("data: ") && got.body.ends_with("data: [DONE]\n\n"));
    assert_eq!(served.ended(1).end, EndKind::Complete);
    assert_eq!(served.ended(1).body_bytes, u64::try_from(got.body.len()).unwrap());
}

#[test]
fn a_head_is_answered_without_its_body_and_completely() {
    let served = serve("");
    let headers = "authorization: Bearer k\r\nconnection: close\r\n";
    let got = served.send(&request("HEAD", "/v1/chat/completions", headers, ""));
    assert!(got.head.starts_with("HTTP/1.1 405") && got.head.contains("content-length: "));
    assert_eq!((got.body.as_str(), served.ended(1).end), ("", EndKind::Complete));
    assert_eq!(served.ended(1).body_bytes, 0);
}

#[test]
fn a_half_closed_client_gets_an_answer_that_is_not_delayed() {
    let served = serve("");
    let mut stream = TcpStream::connect(served.address).unwrap();
    stream.write_all(&chat(PLAIN)).unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    assert!(text.starts_with("HTTP/1.1 200"), "{text}");
}

/// The server's own pages are for those on this machine, and never a provider's.
#[test]
fn the_servers_own_pages_are_guarded_and_no_attempts() {
    let served =
        serve("connections:\n  - when: { from: 0s }\n    fault: { accept-late: { after: 1ms } }");
    let get = |path: &str, headers: &str| {
        let text = format!("GET {path} HTTP/1.1\r\nconnection: close\r\n{headers}\r\n");
        served.send(text.as_bytes()).head.split(' ').nth(1).map(str::to_owned).unwrap()
    };
    for (path, headers, status) in [
        ("/_brownout/health", "host: 127.0.0.1:80\r\n", "200"),
        ("//_brownout//health?x=1", "host: LocalHost\r\n", "200"),
        ("/_brownout/health", "host: [::1]:80\r\norigin: http://localhost:3000\r\n", "200"),
        ("/_brownout", "host: localhost\r\n", "404"),
        ("/_brownout/", "host: localhost\r\n", "404"),
        ("/_brownout/nothing", "host: localhost\r\n", "404"),
        ("//_brownout/nothing", "host: localhost\r\n", "404"),
        ("/_brownout/health", "host: evil.example\r\n", "403"),
        ("/_brownout/nothing", "host: evil.example\r\n", "403"),
        ("/_brownout", "host: evil.example\r\n", "403"),
        ("/_brownout/health", "host: localhost\r\norigin: https://evil.example\r\n", "403"),
        ("/_brownout/health", "host: localhost\r\norigin: null\r\n", "403"),
        ("/_brownout/health", "host: localhost\r\nsec-fetch-site: cross-site\r\n", "403"),
    ] {
        assert_eq!(get(path, headers), status, "{path} {headers}");
    }
    assert_eq!(served.claims(), 0);
    assert_eq!(get("/_brownouts", "host: localhost\r\n"), "404");
    assert_eq!(served.claims(), 1);
}

/// A request with a head of any bytes.
fn raw(path: &[u8], headers: &[u8]) -> Vec<u8> {
    let tail = format!("content-length: {}\r\n\r\n{PLAIN}", PLAIN.len());
    let head = b"authorization: Bearer k\r\nhost: x\r\nconnection: close\r\n";
    [b"POST ", path, b" HTTP/1.1\r\n", &head[..], headers, tail.as_bytes()].concat()
}

/// What is no request that a provider would read is answered in HTTP's own words, and forgotten.
#[test]
fn hostile_heads_are_bounded_and_leave_the_server_as_it_was() {
    let served = serve("");
    let chat = b"/v1/chat/completions";
    let many = |count: usize| -> Vec<u8> {
        (0..count).flat_map(|n| format!("x-{n}: y\r\n").into_bytes()).collect()
    };
    let long = |length: usize| [b"x-long: ", &vec![b'y'; length][..], b"\r\n"].concat();
    let path = |length: usize| [b"/", &vec![b'p'; length][..]].concat();
    for (what, request, statuses) in [
        ("90 headers", raw(chat, &many(90)), &["200"][..]),
        ("10,000 headers", raw(chat, &many(10_000)), &["431"]),
        ("a header of 100 KB", raw(chat, &long(100_000)), &["200"]),
        ("a header of 2 MB", raw(chat, &long(2_000_000)), &["431"]),
        ("no UTF-8 in a header", raw(chat, b"x-odd: \xff\xfe\r\n"), &["200"]),
        ("no UTF-8 in a lane's name", raw(chat, b"x-brownout-lane: \xff\r\n"), &["400"]),
        ("a NUL in a header", raw(chat, b"x-odd: a\0b\r\n"), &["400"]),
        ("no UTF-8 in a path", raw(b"/v1/\xff\xfe", b""), &["400", "404"]),
        ("no UTF-8 behind percents", raw(b"/v1/%ff%fe", b""), &["404"]),
        ("no UTF-8 in a lane's path", raw(b"/lane/\xff/v1/models", b""), &["400"]),
        ("a path of 60 KB", raw(&path(60_000), b""), &["404"]),
        ("a path of 1 MB", raw(&path(1_000_000), b""), &["414", "431"]),
        ("another protocol", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), &["", "400"]),
    ] {
        let mut stream = TcpStream::connect(served.address).unwrap();
        let mut read = Vec::new();
        // The server may have answered, and closed, before it was sent everything.
        let _closed = stream.write_all(&request).is_err();
        let _reset = stream.read_to_end(&mut read).is_err();
        let text = String::from_utf8_lossy(&read);
        let status = text.split(' ').nth(1).unwrap_or_default();
        let lost = read.is_empty() && request.len() > 1_000_000;
        assert!(lost || statuses.contains(&status), "{what}: `{text:.80}`");
        assert!(served.send(&self::chat(PLAIN)).head.starts_with("HTTP/1.1 200"), "{what}");
    }
}

/// Whoever stands before a server may see another end of a request than it does, and take what is
/// behind that for a part of it.
#[test]
fn a_request_that_is_hidden_in_another_is_never_served() {
    let served = serve("");
    let hidden = "GET /v1/models HTTP/1.1\r\nhost: x\r\nauthorization: Bearer k\r\n\r\n";
    let length = hidden.len();
    let chunks = format!("{length:x}\r\n{hidden}\r\n0\r\n\r\n");
    for (headers, body) in [
        (format!("content-length: {length}\r\ntransfer-encoding: chunked\r\n"), "0\r\n\r\n"),
        ("transfer-encoding: chunked\r\ncontent-length: 4\r\n".to_owned(), chunks.as_str()),
        (format!("content-length: 0\r\ncontent-length: {length}\r\n"), ""),
        (format!("content-length: 0, {length}\r\n"), ""),
        (format!("content-length: {length}\r\ntransfer-encoding: xchunked\r\n"), "0\r\n\r\n"),
        ("transfer-encoding: chunked, chunked\r\n".to_owned(), "0\r\n\r\n"),
        ("transfer-encoding:\r\n chunked\r\n".to_owned(), "0\r\n\r\n"),
        ("transfer-encoding : chunked\r\n".to_owned(), "0\r\n\r\n"),
        ("x: y\ntransfer-encoding: chunked\r\n".to_owned(), "0\r\n\r\n"),
        ("transfer-encoding: chunked\r\n".to_owned(), "0\n\r\n\r\n"),
        ("transfer-encoding: chunked\r\n".to_owned(), "1\r\n \n0\r\n\r\n"),
    ] {
        let text = format!("POST /v1/x HTTP/1.1\r\nhost: x\r\n{headers}\r\n{body}{hidden}");
        let got = served.send(text.as_bytes());
        assert!(got.head.starts_with("HTTP/1.1 400"), "{headers}{body}: {}", got.head);
        assert!(!got.body.contains("HTTP/1.1"), "{headers}{body}: {}", got.body);
    }
    assert_eq!(served.claims(), 0);
}

/// A body may come in any number of pieces, and is never longer than the limit.
#[test]
fn a_body_that_trickles_in_is_read_to_its_end_or_its_limit() {
    let served = serve("");
    let head = "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer k\r\n\
                connection: close\r\n";
    // A request in chunks of a byte, and white space before it in many small writes.
    let mut stream = TcpStream::connect(served.address).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.write_all(format!("{head}transfer-encoding: chunked\r\n\r\n").as_bytes()).unwrap();
    for _ in 0..2_000 {
        let chunk = [b"800\r\n", &[b' '; 0x800][..], b"\r\n"].concat();
        stream.write_all(&chunk).unwrap();
    }
    for byte in PLAIN.bytes() {
        stream.write_all(&[b"1\r\n", &[byte][..], b"\r\n"].concat()).unwrap();
    }
    stream.write_all(b"0\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    assert!(text.starts_with("HTTP/1.1 200"), "{text:.80}");
    // One that says nothing of its length, and does not end.
    let mut stream = TcpStream::connect(served.address).unwrap();
    stream.write_all(format!("{head}transfer-encoding: chunked\r\n\r\n").as_bytes()).unwrap();
    let chunk = [b"100000\r\n", &vec![b' '; 1 << 20][..], b"\r\n"].concat();
    let mut sent = 0;
    while sent < 64 && stream.write_all(&chunk).is_ok() {
        sent += 1;
    }
    assert_eq!(served.ended(2).status, Some(413));
    assert!(sent < 64, "all of it was taken");
    assert!(served.send(&chat(PLAIN)).head.starts_with("HTTP/1.1 200"));
}
