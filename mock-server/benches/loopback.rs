//! What a request costs over loopback, beside a bare axum route that returns the same bytes.
//!
//! Both servers run in this process on a thread of their own and are asked in the same run, one
//! request after the other over one connection. The figure to watch is the ratio of the processor
//! time that their threads spend on a request, so that neither the client nor a busy machine counts.
//! It is there to catch an allocation, a lock or a copy too many on the way of a request.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    sync::{Arc, mpsc},
    time::Duration,
};

use axum::{
    Router,
    http::{HeaderMap, HeaderName},
    routing::post,
};
use mock_server::{
    clock::Clock,
    door::TcpDoor,
    draw::Draws,
    lane::Lane,
    plan::{Plan, Provider},
    server, tokens,
};

#[path = "../../benches/shared/rounds.rs"]
mod rounds;

const BODY: &str = r#"{"model":"gpt-4o-mini","messages":[{"role":"user","content":"What do twenty words cost when a server has to count them all before it may answer even one of them?"}]}"#;

/// One request after another over one connection.
struct Client {
    stream: TcpStream,
    request: Vec<u8>,
    buffer: Vec<u8>,
}

impl Client {
    fn new(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("a server on loopback listens");
        stream.set_nodelay(true).expect("a TCP stream takes the option");
        let length = BODY.len();
        let request = format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer k\r\n\
             content-type: application/json\r\ncontent-length: {length}\r\n\r\n{BODY}"
        );
        Self { stream, request: request.into_bytes(), buffer: vec![0; 64 << 10] }
    }

    /// Asks once, and gives the headers and the body.
    fn ask(&mut self) -> (String, Vec<u8>) {
        self.stream.write_all(&self.request).expect("the server reads");
        let mut read = 0;
        loop {
            read += self.stream.read(&mut self.buffer[read..]).expect("the server answers");
            let text = &self.buffer[..read];
            let Some(head) = text.windows(4).position(|window| window == b"\r\n\r\n") else {
                continue;
            };
            let head_text = String::from_utf8_lossy(&text[..head]);
            let length = head_text
                .lines()
                .find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok())
                .expect("both servers tell the length");
            if read >= head + 4 + length {
                return (head_text.into_owned(), text[head + 4..head + 4 + length].to_vec());
            }
        }
    }
}

/// A server on a thread of its own.
struct Server {
    address: SocketAddr,
    /// Where the kernel tells how long the thread has been on a processor.
    schedule: std::path::PathBuf,
}

impl Server {
    /// The processor time of its thread so far; none where no `/proc` tells it.
    fn spent(&self) -> Option<Duration> {
        let text = std::fs::read_to_string(&self.schedule).ok()?;
        text.split(' ').next()?.parse().ok().map(Duration::from_nanos)
    }

    /// What so many requests of a client cost it.
    fn serve(&self, client: &mut Client, requests: u32) -> Duration {
        let spent = || self.spent().expect("it was told at the beginning");
        let before = spent();
        for _ in 0..requests {
            std::hint::black_box(client.ask());
        }
        spent().saturating_sub(before)
    }
}

/// Runs a server on a thread of its own until the process ends.
fn spawn<F: Future<Output = ()>>(
    serve: impl FnOnce(std::net::TcpListener) -> F + Send + 'static,
) -> Server {
    let (ready, wait) = mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("a runtime can be built");
        let listener =
            std::net::TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        listener.set_nonblocking(true).expect("a listener takes the option");
        let address = listener.local_addr().expect("it is bound");
        let thread = std::fs::read_link("/proc/thread-self").unwrap_or_default();
        let schedule = std::path::Path::new("/proc").join(thread).join("schedstat");
        ready.send(Server { address, schedule }).expect("somebody waits");
        runtime.block_on(serve(listener));
    });
    wait.recv().expect("the thread sends its address")
}

#[expect(clippy::print_stdout, reason = "whoever reads the report is told why there is nothing")]
fn main() {
    let ours = spawn(async |listener| {
        let listener = tokio::net::TcpListener::from_std(listener).expect("it does not block");
        let door = TcpDoor::new(listener).expect("it is bound");
        // Every bucket is kept, and none is ever empty.
        let quota =
            serde_json::json!({ "requests": "900_000_000/min", "tokens": "90_000_000_000/min" });
        let provider: Provider = serde_json::from_value(serde_json::json!({ "quota": quota }))
            .expect("the quota is right");
        let plan = Plan { provider, ..Plan::default() };
        let lane = Lane::new(Arc::new(plan), Draws::new(1), Clock::real());
        tokens::warm_up();
        server::run(door, lane, Router::new(), std::future::pending()).await.expect("it listens");
    });
    let (head, answer) = Client::new(ours.address).ask();
    let headers: HeaderMap = head
        .lines()
        .skip(1)
        .filter_map(|line| {
            let (name, value) = line.split_once(": ")?;
            // The date is hyper's own, as it is usual.
            let ours = !["date", "content-length"].contains(&name);
            ours.then(|| Some((name.parse::<HeaderName>().ok()?, value.parse().ok()?))).flatten()
        })
        .collect();
    let bare = spawn(async |listener| {
        let listener = tokio::net::TcpListener::from_std(listener).expect("it does not block");
        let route = post(async move |body: axum::body::Bytes| {
            // It reads the request as we must, and says the same bytes.
            let parsed: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
            std::hint::black_box(&parsed);
            (headers.clone(), answer.clone())
        });
        let app = Router::new().route("/v1/chat/completions", route);
        loop {
            let accepted = listener.accept().await.expect("it listens");
            accepted.0.set_nodelay(true).expect("a TCP stream takes the option");
            let service = hyper_util::service::TowerToHyperService::new(app.clone());
            let io = hyper_util::rt::TokioIo::new(accepted.0);
            let served = hyper::server::conn::http1::Builder::new().serve_connection(io, service);
            drop(tokio::spawn(async move { served.await.is_ok() }));
        }
    });
    let (mut first, mut second) = (Client::new(bare.address), Client::new(ours.address));
    if bare.spent().and(ours.spent()).is_none() {
        println!("skipped: there is no /proc/thread-self that tells processor time");
        return;
    }
    rounds::compare(
        "loopback/processor time",
        61,
        200,
        |requests| ours.serve(&mut second, requests),
        |requests| bare.serve(&mut first, requests),
    );
}
