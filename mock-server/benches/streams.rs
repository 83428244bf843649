//! Do two thousand streams keep their gaps, and what does a stream cost that waits?
//!
//! The server has this process to itself, with one thread; the clients are another process, so that
//! the machine's second core is theirs. How late an event is, is what the client sees: from when it
//! should have come, counted from the moment at which its request was sent, until it was read.
//!
//! Both say how much of a processor they took while events were sent, and how long they waited for
//! one: a machine that does other things at the same time makes events late, whoever sends them.

use std::{
    io::{BufRead as _, BufReader},
    net::{Ipv4Addr, SocketAddr},
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
    net::TcpStream,
    time::Instant,
};

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

/// Names the server's address to the process of the clients.
const CLIENTS: &str = "BROWNOUT_BENCH_CLIENTS";

#[expect(clippy::print_stdout, reason = "the figures are what the bench is for")]
fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime can be built");
    if let Ok(address) = std::env::var(CLIENTS) {
        let address = address.parse().expect("the bench passes an address");
        return runtime.block_on(clients(address));
    }
    runtime.block_on(async {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let door = TcpDoor::listen(address).expect("loopback has a free port");
        let address = door.address();
        let settings = json!({
            "latency": { "first-token": "4s", "between-tokens": "50ms" },
            "answers": { "tokens": WORDS.to_string() },
        });
        let provider: Provider = serde_json::from_value(settings).expect("the settings are right");
        let plan = Plan { provider, ..Plan::default() };
        let lane = Lane::new(Arc::new(plan), Draws::new(1), Clock::real());
        tokens::warm_up();
        tokio::spawn(server::run(door, lane, Router::new(), std::future::pending()));
        let clients = tokio::task::spawn_blocking(move || {
            let before = resident();
            let program = std::env::current_exe().expect("the bench has a path");
            let mut command = Command::new(program);
            let mut child = command
                .env(CLIENTS, address.to_string())
                .stdout(Stdio::piped())
                .spawn()
                .expect("the bench runs itself");
            let mut open = None;
            let output = child.stdout.take().expect("it is piped");
            for told in BufReader::new(output).lines() {
                let told = told.expect("the clients write text");
                if told == "open" {
                    open = Load::now();
                    let held = resident().saturating_sub(before);
                    let each = held / u64::try_from(STREAMS).unwrap_or(1);
                    println!("streams/memory of one that waits: {:.1} KiB", kib(each));
                } else {
                    println!("{told}");
                }
            }
            let ended = child.wait().expect("the clients end").success();
            if let (Some(open), Some(end)) = (open, Load::now()) {
                println!("streams/server: {}", open.until(&end));
            }
            ended
        });
        assert!(clients.await.expect("nobody panics"), "every stream was read to its end");
    });
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
    let open = Load::now();
    let mut late =
        Histogram::<u64>::new_with_bounds(1, 60_000_000, 3).expect("the bounds are right");
    let mut events = 0_u64;
    while let Some(read) = streams.join_next().await {
        for lateness in read.expect("no stream panics") {
            events += 1;
            late.saturating_record(u64::try_from(lateness.as_micros()).unwrap_or(u64::MAX));
        }
    }
    let at = |quantile: f64| Duration::from_micros(late.value_at_quantile(quantile));
    println!(
        "streams/lateness of {events} events of {STREAMS} streams, {GAP:?} apart: p50 {:?}, p90 {:?}, \
         p99 {:?}, p99.9 {:?}, most {:?}",
        at(0.5),
        at(0.9),
        at(0.99),
        at(0.999),
        Duration::from_micros(late.max()),
    );
    if let (Some(open), Some(end)) = (open, Load::now()) {
        println!("streams/clients: {}", open.until(&end));
    }
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
    // The words and the two marks.
    assert_eq!(late.len(), usize::try_from(WORDS).unwrap_or(0) + 2, "every event has come");
    late
}

/// What the first thread of this process, which does all the work, has had of the processors.
struct Load {
    at: Instant,
    took: Duration,
    /// How long it was ready and no processor was free.
    waited: Duration,
}

impl Load {
    /// None where no `/proc` tells it.
    #[expect(clippy::disallowed_methods, reason = "a bench measures")]
    fn now() -> Option<Self> {
        let text = std::fs::read_to_string("/proc/self/schedstat").ok()?;
        let mut spans = text.split(' ').map(|nanos| nanos.parse().map(Duration::from_nanos));
        let (took, waited) = (spans.next()?.ok()?, spans.next()?.ok()?);
        Some(Self { at: Instant::now(), took, waited })
    }

    /// What it had until later, in words.
    fn until(&self, end: &Self) -> String {
        let elapsed = end.at.saturating_duration_since(self.at).as_secs_f64();
        let share = |from: Duration, to: Duration| (to - from).as_secs_f64() / elapsed * 100.0;
        let (took, waited) = (share(self.took, end.took), share(self.waited, end.waited));
        let events = f64::from(u32::try_from(STREAMS).unwrap_or(u32::MAX)) * f64::from(WORDS + 2);
        let each = (end.took - self.took).as_secs_f64() / events * 1e6;
        format!(
            "{each:.1} us of processor time for each event, {took:.0} % of a processor, and {waited:.0} % \
             of the time none was free"
        )
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
