//! Four processes hammer one quota, and together keep it in every window.
//!
//! Each worker is this test binary again, told by a variable of its environment to run [`the_worker_of_the_other_tests`].
//! It writes a line for each admission; the instant in it is [`Admission::at`], that of the decision, so that a worker that is set aside between a decision and its line makes no window look fuller than it was.
//! `Instant` is `CLOCK_MONOTONIC`, which all processes of a machine share but the standard library does not tell; the worker measures the offset, says how far off it may be, and the windows are shortened by that.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use resilience_core::fleet::{
    Admission, Fleet, FleetError, FleetSettings, Grantor, Health, WhenDown,
};
use resilience_core::{Cost, Dimension, Guarantee, Limit, Quota};
use rustix::time::{ClockId, clock_gettime};

use crate::server::Server;

const PERIOD: Duration = Duration::from_secs(2);
const LIMIT: usize = 200;
const WORKERS: usize = 4;

/// Half of the limit is burst, so that whoever hands out a second one is far beyond it.
fn settings(when_down: WhenDown, seed: u64) -> FleetSettings {
    let mut quota = Quota { guarantee: Guarantee::STRICT, ..Quota::default() };
    quota.limits = vec![Limit {
        dimension: Dimension::Rpm,
        tokens: LIMIT.try_into().unwrap(),
        burst: 100,
        period: PERIOD,
    }];
    FleetSettings {
        lease_ttl: Duration::from_millis(300),
        timeout: Duration::from_millis(100),
        probe_every: Duration::from_millis(100),
        when_down,
        seed,
        ..FleetSettings::new("four", quota)
    }
}

/// No server can be killed without noise while a worker takes part; without the variable this is nothing.
#[test]
fn the_worker_of_the_other_tests() {
    let Ok(task) = std::env::var(TASK) else { return };
    let [url, policy, seed] = task.split(' ').collect::<Vec<_>>().try_into().unwrap();
    let when_down = match policy {
        "deny" => WhenDown::Deny,
        _ => WhenDown::LocalShare { ppm: 250_000 },
    };
    let fleet = Fleet::new(url, settings(when_down, seed.parse().unwrap())).unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    std::thread::spawn({
        let stop = Arc::clone(&stop);
        move || {
            // The parent closes our input, on purpose or by its death.
            drop(std::io::stdin().read_to_end(&mut Vec::new()));
            stop.store(true, Ordering::Relaxed);
        }
    });
    let (origin, nanos, error) = offset();
    say(&format!("error {error}"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let patience = Duration::from_millis(200);
        while !stop.load(Ordering::Relaxed) {
            match fleet.acquire_within(Cost::request(0, 0), patience).await {
                Ok(Admission { at, by }) => {
                    // An instant before the origin is one of the first, read a moment earlier.
                    let at = match at.checked_duration_since(origin) {
                        Some(later) => nanos + later.as_nanos(),
                        None => nanos - origin.duration_since(at).as_nanos(),
                    };
                    let by = if by == Grantor::Server { "server" } else { "local" };
                    say(&format!("at {at} {by}"));
                }
                Err(FleetError::Down(_)) => {
                    assert!(matches!(fleet.health(), Health::Down { local: false, .. }));
                    say("down");
                    tokio::task::yield_now().await;
                }
                Err(FleetError::NoRoom(_)) => {}
                Err(error) => panic!("{error}"),
            }
        }
    });
}

/// An instant, the same in nanoseconds since boot, and by how much that may be too late.
#[expect(clippy::disallowed_methods, reason = "the worker compares two faces of one clock")]
fn offset() -> (Instant, u128, u128) {
    let measure = |_| {
        let before = Instant::now();
        let boot = clock_gettime(ClockId::Monotonic);
        let error = before.elapsed().as_nanos();
        let boot = Duration::new(boot.tv_sec.try_into().unwrap(), boot.tv_nsec.try_into().unwrap());
        (before, boot.as_nanos(), error)
    };
    (0..100).map(measure).min_by_key(|(_, _, error)| *error).unwrap()
}

fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    // A parent that has gone hears nothing.
    drop(writeln!(out, "\n{MARK}{line}").and_then(|()| out.flush()));
}

/// What marks a worker's line among those of the test harness.
const MARK: &str = "worker: ";
/// The variable that makes a worker: address, policy, seed.
const TASK: &str = "FLEET_WORKER";

/// The workers and what they have said.
struct Workers {
    children: Vec<Child>,
    lines: Receiver<Line>,
    admitted: Vec<(u128, Grantor)>,
    downs: Vec<usize>,
    error: u128,
}

enum Line {
    Admitted(u128, Grantor),
    Down(usize),
    Error(u128),
}

impl Workers {
    fn start(server: &Server, policy: &str) -> Self {
        let (tell, lines) = channel();
        let children = (0..WORKERS)
            .map(|worker| {
                let mut child = Command::new(std::env::current_exe().unwrap())
                    .args(["processes::the_worker_of_the_other_tests", "--exact", "--nocapture"])
                    .env(TASK, format!("{} {policy} {worker}", server.url()))
                    .stdin(Stdio::piped())
                    .stdout(Stdio::piped())
                    .spawn()
                    .unwrap();
                let output = child.stdout.take().unwrap();
                let tell: Sender<Line> = tell.clone();
                std::thread::spawn(move || {
                    for line in BufReader::new(output).lines() {
                        if let Some(line) = parse(&line.unwrap(), worker) {
                            drop(tell.send(line));
                        }
                    }
                });
                child
            })
            .collect();
        Self { children, lines, admitted: Vec::new(), downs: vec![0; WORKERS], error: 0 }
    }

    /// Listens until `enough` says so.
    fn listen_until(&mut self, enough: impl Fn(&Self) -> bool) {
        while !enough(self) {
            let line = self.lines.recv().expect("a worker has ended before it was told to");
            self.hear(&line);
        }
    }

    fn hear(&mut self, line: &Line) {
        match *line {
            Line::Admitted(at, by) => self.admitted.push((at, by)),
            Line::Down(worker) => self.downs[worker] += 1,
            Line::Error(error) => self.error = self.error.max(error),
        }
    }

    fn by(&self, grantor: Grantor) -> usize {
        self.admitted.iter().filter(|(_, by)| *by == grantor).count()
    }

    /// Tells all to stop, hears them out, and finds the fullest window of the period.
    fn fullest_window(mut self) -> usize {
        for child in &mut self.children {
            drop(child.stdin.take());
        }
        while let Ok(line) = self.lines.recv() {
            self.hear(&line);
        }
        for child in &mut self.children {
            assert!(child.wait().unwrap().success(), "a worker panicked");
        }
        fullest(self.admitted.iter().map(|(at, _)| *at), PERIOD.as_nanos() - self.error)
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        for child in &mut self.children {
            drop(child.kill());
            drop(child.wait());
        }
    }
}

fn parse(line: &str, worker: usize) -> Option<Line> {
    let words: Vec<_> = line.strip_prefix(MARK)?.split(' ').collect();
    Some(match *words.as_slice() {
        ["at", at, "server"] => Line::Admitted(at.parse().unwrap(), Grantor::Server),
        ["at", at, "local"] => Line::Admitted(at.parse().unwrap(), Grantor::LocalShare),
        ["down"] => Line::Down(worker),
        ["error", error] => Line::Error(error.parse().unwrap()),
        _ => panic!("no worker says {line:?}"),
    })
}

/// The most instants in any window of `span` nanoseconds, both ends included.
fn fullest(instants: impl Iterator<Item = u128>, span: u128) -> usize {
    let mut instants: Vec<_> = instants.collect();
    instants.sort_unstable();
    let mut first = 0;
    let mut most = 0;
    for (last, at) in instants.iter().enumerate() {
        while instants[first] + span < *at {
            first += 1;
        }
        most = most.max(last - first + 1);
    }
    most
}

/// As if nobody had asked for long: the bucket is full, as a rested fleet finds it.
fn rest(server: &Server) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let fleet = Fleet::new(&server.url(), settings(WhenDown::Deny, 9)).unwrap();
    runtime.block_on(fleet.acquire(Cost::request(0, 0))).unwrap();
    let mut connection = server.connect();
    let field = format!("Rpm/{}", PERIOD.as_nanos());
    let bucket: String =
        redis::cmd("HGET").arg("fleet:{four}").arg(&field).query(&mut connection).unwrap();
    let [_, unit, at] = bucket.split('/').collect::<Vec<_>>().try_into().unwrap();
    let full = unit.parse::<u64>().unwrap() * 100;
    let bucket = format!("{full}/{unit}/{at}");
    let () =
        redis::cmd("HSET").arg(("fleet:{four}", field, bucket)).query(&mut connection).unwrap();
}

/// P12: the state of a limiter that is not shared.
#[test]
fn four_processes_keep_one_quota_and_use_it() {
    let server = Server::start();
    rest(&server);
    let mut workers = Workers::start(&server, "deny");
    // Counted, not timed: however slow the machine, it takes until a window holds more than half of the quota.
    let share = LIMIT * 55 / 100;
    workers.listen_until(|workers| {
        let at = workers.admitted.iter().map(|(at, _)| *at);
        workers.admitted.len() >= 2 * LIMIT && fullest(at, PERIOD.as_nanos()) >= share
    });
    let fullest = workers.fullest_window();
    assert!(share <= fullest && fullest <= LIMIT, "{fullest} of {LIMIT} in one period");
}

/// The burst is spent, the server is killed, forgets it, and comes back.
#[test]
fn a_server_that_dies_lets_nobody_exceed_the_quota_when_the_rest_is_denied() {
    let mut server = Server::start();
    rest(&server);
    let mut workers = Workers::start(&server, "deny");
    workers.listen_until(|workers| workers.admitted.len() >= 100);
    server.kill();
    workers.listen_until(|workers| workers.downs.iter().all(|downs| *downs > 0));
    server.restart();
    let before = workers.admitted.len();
    workers.listen_until(|workers| workers.admitted.len() >= before + LIMIT);
    let fullest = workers.fullest_window();
    assert!(fullest <= LIMIT, "{fullest} of {LIMIT} in one period");
}

#[test]
fn a_server_that_dies_lets_nobody_exceed_the_quota_when_shares_go_on() {
    let mut server = Server::start();
    rest(&server);
    let mut workers = Workers::start(&server, "share");
    workers.listen_until(|workers| workers.admitted.len() >= 100);
    server.kill();
    workers.listen_until(|workers| workers.by(Grantor::LocalShare) >= 20);
    server.restart();
    let before = workers.by(Grantor::Server);
    workers.listen_until(|workers| workers.by(Grantor::Server) >= before + LIMIT);
    let fullest = workers.fullest_window();
    assert!(fullest <= LIMIT, "{fullest} of {LIMIT} in one period");
}
