//! Do two thousand streams keep their gaps, and what does a stream cost that waits?
//!
//! It is there to catch a timer for each stream that is late with all of them, and a buffer that
//! each of them holds while it waits. The baseline is a task of tokio's that sleeps and writes.
//! Each server has a process to itself, with one thread; the clients are another process, so that
//! the machine's second core is theirs. How late an event is, is what the client sees: from when it
//! should have come, counted from the moment at which its request was sent, until it was read.
//!
//! Both tell their processor time, since a machine on which none is free makes events late, whoever
//! sends them.

use std::{
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};

use axum::Router;
use hdrhistogram::Histogram;
use mock_server::{
    clock::Clock,
    door::TcpDoor,
    draw::Draws,
    lane::Lane,
    plan::{Plan, Provider},
    server, tokens,
};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    time::Instant,
};

#[path = "../../benches/shared/figure.rs"]
mod figure;

/// How many streams run at the same time.
const STREAMS: usize = 2_000;

/// The time to the first token: long enough for all streams to be open.
const FIRST: Duration = Duration::from_secs(4);

/// The time between two requests.
const OPENING: Duration = Duration::from_millis(1);

/// The time between two tokens.
const GAP: Duration = Duration::from_millis(50);

/// How many words an answer has beside its marks.
const WORDS: u32 = 98;

/// How many events with text it has: the words and the two marks.
const EVENTS: u32 = WORDS + 2;

/// Names what this process is to be, if it is not the first.
const ROLE: &str = "BROWNOUT_BENCH_ROLE";

fn main() {
    let role = std::env::var(ROLE).unwrap_or_default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime can be built");
    match role.as_str() {
        "" => compare(),
        "ours" => runtime.block_on(serve(async |listener| {
            let door = TcpDoor::new(listener).expect("it is bound");
            let settings = json!({
                "latency": { "first-token": "4s", "between-tokens": "50ms" },
                "answers": { "tokens": WORDS.to_string() },
            });
            let provider: Provider =
                serde_json::from_value(settings).expect("the settings are right");
            let plan = Plan { provider, ..Plan::default() };
            let lane = Lane::new(Arc::new(plan), Draws::new(1), Clock::real());
            tokens::warm_up();
            server::run(door, lane, Router::new(), std::future::pending()).await.ok();
        })),
        "bare" => runtime.block_on(serve(async |listener| {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(write(stream));
            }
        })),
        address => runtime.block_on(clients(address.parse().expect("the server has an address"))),
    }
}

/// This program in another role, and the lines that it tells.
fn play(role: &str) -> impl Iterator<Item = String> {
    let program = std::env::current_exe().expect("the bench has a path");
    let mut command = Command::new(program);
    let child = command.env(ROLE, role).stdout(Stdio::piped()).spawn();
    let mut child = child.expect("the bench runs itself");
    let output = child.stdout.take().expect("it is piped");
    let ended = std::iter::once_with(move || {
        assert!(child.wait().expect("a child ends").success(), "every stream was read to its end");
        None
    });
    let told = BufReader::new(output).lines().map(|line| Some(line.expect("it writes text")));
    told.chain(ended).flatten()
}

/// Measures both servers, each in a process of its own, and tells them side by side.
#[expect(clippy::print_stdout, reason = "the figures are what the bench is for")]
fn compare() {
    let [ours, bare] = ["ours", "bare"].map(|role| {
        let figures = play(role).map(|line| {
            let (name, figure) = line.split_once(": ").expect("a figure has a name");
            (name.to_owned(), figure.parse::<f64>().expect("a figure is a number"))
        });
        figures.collect::<Vec<_>>()
    });
    println!("{STREAMS} streams, their events {GAP:?} apart:");
    for ((name, ours), (_, bare)) in ours.into_iter().zip(bare) {
        let unit = if name.starts_with("memory") { "KiB" } else { "us" };
        figure::tell(&format!("streams/{name}"), [ours, bare], unit, ours / bare, None);
    }
}

/// Serves until the clients, which are yet another process, have read every stream.
#[expect(clippy::print_stdout, reason = "the first process reads it")]
async fn serve(server: impl AsyncFnOnce(TcpListener)) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
    let address = listener.local_addr().expect("it is bound");
    let clients = tokio::task::spawn_blocking(move || {
        let before = resident();
        let mut open = None;
        for told in play(&address.to_string()) {
            if told == "open" {
                open = spent();
                let held = resident().saturating_sub(before);
                let each = held / u64::try_from(STREAMS).unwrap_or(1);
                println!("memory of one that waits: {:.1}", kib(each));
            } else {
                println!("{told}");
            }
        }
        tell_spent("the server", open);
    });
    tokio::select! {
        () = server(listener) => panic!("a server goes on until the clients are done"),
        read = clients => read.expect("nobody panics"),
    }
}

/// The least that a stream takes: a task that sleeps and writes.
#[expect(clippy::disallowed_methods, reason = "a bench measures")]
async fn write(mut stream: TcpStream) {
    stream.set_nodelay(true).expect("a TCP stream takes the option");
    let mut request = [0; 1 << 10];
    let read = stream.read(&mut request).await.expect("the client does not reset");
    assert!(read > 0, "the client asks before it closes");
    let begun = Instant::now();
    let head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
    stream.write_all(head).await.expect("the client reads");
    for number in 0..EVENTS {
        tokio::time::sleep_until(begun + FIRST + GAP * number).await;
        let event = b"data: {\"choices\":[{\"delta\":{\"content\":\" word\"}}]}\n\n";
        stream.write_all(event).await.expect("the client reads");
    }
}

/// Asks for all streams, and tells how late their events are.
#[expect(clippy::disallowed_methods, reason = "a bench measures")]
#[expect(clippy::print_stdout, reason = "the figures are what the bench is for")]
async fn clients(address: SocketAddr) {
    let mut streams = tokio::task::JoinSet::new();
    let began = Instant::now();
    // One after the other: how fast a port lets a crowd in is another question.
    let mut turns = tokio::time::interval(OPENING);
    for _ in 0..STREAMS {
        turns.tick().await;
        let stream = TcpStream::connect(address).await.expect("the server accepts");
        streams.spawn(read(stream));
    }
    // Nothing is sent yet, and every stream waits for its first token.
    tokio::time::sleep_until(began + FIRST - Duration::from_millis(500)).await;
    println!("open");
    let open = spent();
    let mut late =
        Histogram::<u64>::new_with_bounds(1, 60_000_000, 3).expect("the bounds are right");
    while let Some(read) = streams.join_next().await {
        for lateness in read.expect("no stream panics") {
            late.saturating_record(u64::try_from(lateness.as_micros()).unwrap_or(u64::MAX));
        }
    }
    for (name, quantile) in [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999)] {
        println!("lateness, {name}: {}", late.value_at_quantile(quantile));
    }
    println!("lateness, the most: {}", late.max());
    tell_spent("the clients", open);
}

/// Reads one stream to its end; how late each event with text was.
#[expect(clippy::disallowed_methods, reason = "a bench measures")]
async fn read(mut stream: TcpStream) -> Vec<Duration> {
    let body = r#"{"model":"gpt-4o-mini","stream":true,"messages":[{"role":"user","content":"Tell me a story."}]}"#;
    let length = body.len();
    let request = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer k\r\n\
         content-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
    );
    stream.set_nodelay(true).expect("a TCP stream takes the option");
    let sent = Instant::now();
    stream.write_all(request.as_bytes()).await.expect("the server reads");
    let (mut late, mut rest, mut buffer) = (Vec::new(), Vec::new(), vec![0; 4 << 10]);
    loop {
        let count = stream.read(&mut buffer).await.expect("the server does not reset");
        if count == 0 {
            break;
        }
        let now = Instant::now();
        rest.extend_from_slice(&buffer[..count]);
        while let Some(end) = rest.windows(2).position(|two| two == b"\n\n") {
            let event: Vec<u8> = rest.drain(..end + 2).collect();
            let has_text = event.windows(19).any(|part| part == b"\"delta\":{\"content\":");
            if has_text {
                let number = u32::try_from(late.len()).unwrap_or(u32::MAX);
                late.push(now.saturating_duration_since(sent + FIRST + GAP * number));
            }
        }
    }
    assert_eq!(u32::try_from(late.len()), Ok(EVENTS), "every event has come");
    late
}

/// The processor time that the first thread of this process, which does all the work, has had, in
/// microseconds; none where no `/proc` tells it.
fn spent() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/self/schedstat").ok()?;
    Some(text.split(' ').next()?.parse::<f64>().ok()? / 1e3)
}

/// Tells the processor time of an event, from when all streams are open to when all are read.
#[expect(clippy::print_stdout, reason = "the first process reads it")]
fn tell_spent(whose: &str, open: Option<f64>) {
    if let (Some(open), Some(end)) = (open, spent()) {
        let events = f64::from(EVENTS) * f64::from(u32::try_from(STREAMS).unwrap_or(u32::MAX));
        println!("processor time of an event, {whose}: {:.1}", (end - open) / events);
    }
}

/// The memory of this process that is in use, in bytes; 0 where no `/proc` tells it.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or(0) * 1_024
}

fn kib(bytes: u64) -> f64 {
    f64::from(u32::try_from(bytes).unwrap_or(u32::MAX)) / 1_024.0
}
