//! What a request costs over loopback, beside a bare axum route that returns the same bytes.
//!
//! Both servers run in this process on a thread of their own and are asked in the same run, one
//! request after the other over one connection; the ratio of the two is the figure to watch.
//! It is there to catch an allocation, a lock or a copy too many on the way of a request.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    sync::{Arc, mpsc},
    time::Duration,
};

use axum::{Router, http::header, routing::post};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use mock_server::{clock::Clock, door::TcpDoor, draw::Draws, lane::Lane, plan::Plan, server};

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

    /// Asks once, and gives the body.
    fn ask(&mut self) -> Vec<u8> {
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
                return text[head + 4..head + 4 + length].to_vec();
            }
        }
    }
}

/// Runs a server on a thread of its own until the process ends.
fn spawn<F: Future<Output = ()>>(
    serve: impl FnOnce(std::net::TcpListener) -> F + Send + 'static,
) -> SocketAddr {
    let (ready, wait) = mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("a runtime can be built");
        let listener =
            std::net::TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        listener.set_nonblocking(true).expect("a listener takes the option");
        ready.send(listener.local_addr().expect("it is bound")).expect("somebody waits");
        runtime.block_on(serve(listener));
    });
    wait.recv().expect("the thread sends its address")
}

fn requests(c: &mut Criterion) {
    let ours = spawn(async |listener| {
        let listener = tokio::net::TcpListener::from_std(listener).expect("it does not block");
        let door = TcpDoor::new(listener).expect("it is bound");
        let lane = Lane::new(Arc::new(Plan::default()), Draws::new(1), Clock::real());
        server::run(door, lane, Router::new(), std::future::pending()).await.expect("it listens");
    });
    let answer = Client::new(ours).ask();
    let bare = spawn(async |listener| {
        let listener = tokio::net::TcpListener::from_std(listener).expect("it does not block");
        let route = post(async move |body: axum::body::Bytes| {
            // It reads the request as we must, and says the same bytes.
            let parsed: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
            std::hint::black_box(&parsed);
            ([(header::CONTENT_TYPE, "application/json")], answer.clone())
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
    let (mut bare, mut ours) = (Client::new(bare), Client::new(ours));
    let mut group = c.benchmark_group("loopback");
    group.throughput(Throughput::Elements(1));
    group.bench_function("bare axum", |b| b.iter(|| bare.ask()));
    group.bench_function("brownout, journal on", |b| b.iter(|| ours.ask()));
    group.finish();
    tell(&mut bare, &mut ours);
}

/// The ratio of the two, from blocks that take turns, so that a busy machine is busy for both.
#[expect(clippy::disallowed_methods, reason = "a bench measures")]
#[expect(clippy::print_stdout, reason = "the ratio is what the bench is for")]
fn tell(bare: &mut Client, ours: &mut Client) {
    let block = |client: &mut Client| {
        let started = std::time::Instant::now();
        for _ in 0..200 {
            std::hint::black_box(client.ask());
        }
        started.elapsed().as_secs_f64()
    };
    let mut ratios: Vec<f64> = (0..31)
        .map(|_| {
            let bare = block(bare);
            block(ours) / bare
        })
        .collect();
    ratios.sort_by(f64::total_cmp);
    let (least, median, most) = (ratios[3], ratios[15], ratios[27]);
    println!("loopback/ratio to bare axum: {median:.2} (80% of blocks {least:.2} to {most:.2})");
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(30).measurement_time(Duration::from_secs(4));
    targets = requests
}
criterion_main!(benches);
