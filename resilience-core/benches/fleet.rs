//! What an admission costs that processes share through Redis, beside asking the server each time.
//!
//! `one task` is there to catch a lease that is not used, and so a round trip too many; `64 tasks` a line that lets only one of them ask.
//! The baseline is what is found in the wild: a counter of the minute, one `INCR` and one `EXPIRE` in one round trip for each request.
//! The server is this bench's own; without one it says so and measures nothing.

#![expect(clippy::disallowed_methods, reason = "a bench reads the clock")]

use std::hint::black_box;
use std::net::{Ipv4Addr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput};
use redis::aio::MultiplexedConnection;
use resilience_core::fleet::{Fleet, FleetSettings};
use resilience_core::{Cost, Quota};
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;

/// A server on a free port, without a file, gone with this value.
struct Server {
    child: Child,
    url: String,
}

impl Server {
    /// The server, or nothing where none is installed.
    fn start() -> Option<Self> {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port");
        let port = free.local_addr().expect("it is bound").port();
        drop(free);
        let spawn = |program: &str| {
            Command::new(program)
                .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
                .args(["--save", "", "--appendonly", "no", "--daemonize", "no"])
                .current_dir(std::env::temp_dir())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
        };
        let child = spawn("redis-server").or_else(|_| spawn("valkey-server")).ok()?;
        let mut server = Self { child, url: format!("redis://127.0.0.1:{port}") };
        let client = redis::Client::open(server.url.clone()).expect("the address is sound");
        while client.get_connection().is_err() {
            let ended = server.child.try_wait().expect("it is our own child");
            assert!(ended.is_none(), "the server ended with {ended:?}");
            std::thread::yield_now();
        }
        Some(server)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// What asks for permission, request by request.
trait Shared: Clone + Send + 'static {
    /// Waits until one request may go.
    fn admit(&mut self) -> impl Future<Output = ()> + Send;
}

impl Shared for Arc<Fleet> {
    async fn admit(&mut self) {
        self.acquire(Cost::request(700, 300)).await.expect("the server answers");
    }
}

impl Shared for MultiplexedConnection {
    async fn admit(&mut self) {
        let key = "requests:minute";
        let mut commands = redis::pipe();
        commands.atomic().incr(key, 1).expire(key, 60).ignore();
        let (counted,): (u64,) = commands.query_async(self).await.expect("the server answers");
        black_box(counted);
    }
}

/// How long so many requests take, of tasks that ask at the same time.
fn time(runtime: &Runtime, tasks: u64, requests: u64, shared: &impl Shared) -> Duration {
    runtime.block_on(async {
        let begun = Instant::now();
        let mut running = JoinSet::new();
        for task in 0..tasks {
            let mut shared = shared.clone();
            let share = requests / tasks + u64::from(task < requests % tasks);
            running.spawn(async move {
                for _ in 0..share {
                    shared.admit().await;
                }
            });
        }
        running.join_all().await;
        begun.elapsed()
    })
}

fn admissions(c: &mut Criterion, server: &Server) {
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime needs nothing");
    let client = redis::Client::open(server.url.clone()).expect("the address is sound");
    let connection = runtime.block_on(client.get_multiplexed_async_connection());
    let connection = connection.expect("the server answers");
    let settings = FleetSettings {
        // On a busy machine, an answer that is late is no outage.
        timeout: Duration::from_millis(900),
        ..FleetSettings::new("bench", Quota::per_minute(1 << 36, 1 << 46))
    };
    let fleet = Arc::new(Fleet::new(&server.url, settings).expect("the settings are sound"));
    let mut group = c.benchmark_group("fleet");
    group.throughput(Throughput::Elements(1));
    for (name, tasks) in [("one task", 1), ("64 tasks", 64)] {
        group.bench_function(name, |b| b.iter_custom(|n| time(&runtime, tasks, n, &fleet)));
        group.bench_function(format!("{name}, INCR"), |b| {
            b.iter_custom(|n| time(&runtime, tasks, n, &connection));
        });
    }
    group.finish();
}

#[expect(clippy::print_stdout, reason = "whoever reads the report is told why there is nothing")]
fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let Some(server) = Server::start() else {
        println!("skipped: neither `redis-server` nor `valkey-server` was found");
        return;
    };
    admissions(&mut criterion, &server);
    criterion.final_summary();
}
