//! A Redis of our own: on a free port, without a file, gone with its test.

use std::net::{Ipv4Addr, TcpListener};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

/// A server that this test started.
pub(crate) struct Server {
    port: u16,
    child: Child,
}

impl Server {
    /// Starts a server and waits until it answers, or says how to get one.
    pub(crate) fn start() -> Self {
        // Somebody else may take the port between our look and its start; then there is another.
        loop {
            let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            let port = free.local_addr().unwrap().port();
            drop(free);
            let mut server = Self { port, child: spawn(port) };
            if server.answers() {
                return server;
            }
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// A connection for the test's own questions.
    pub(crate) fn connect(&self) -> redis::Connection {
        redis::Client::open(self.url()).unwrap().get_connection().unwrap()
    }

    /// Ends it as a crash would: nothing is saved, nobody is told.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts it again where it was, with nothing in it.
    pub(crate) fn restart(&mut self) {
        // Until the last connections to it are gone, the port may still be refused.
        loop {
            self.child = spawn(self.port);
            if self.answers() {
                return;
            }
        }
    }

    /// Stops it without closing anything, as a machine that swaps would.
    pub(crate) fn stall(&self) {
        self.signal(Signal::STOP);
    }

    pub(crate) fn go_on(&self) {
        self.signal(Signal::CONT);
    }

    /// How often the script was called.
    pub(crate) fn script_calls(&self) -> u64 {
        let stats: String =
            redis::cmd("INFO").arg("commandstats").query(&mut self.connect()).unwrap();
        let line = stats.lines().find_map(|line| line.strip_prefix("cmdstat_evalsha:calls="));
        line.map_or(0, |line| line.split(',').next().unwrap().parse().unwrap())
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Whether it answers; it does not if it has ended.
    fn answers(&mut self) -> bool {
        loop {
            let client = redis::Client::open(self.url()).unwrap();
            if let Ok(mut connection) = client.get_connection() {
                // Another server may have the port: only one without a past is ours.
                let pid: Option<String> = redis::cmd("INFO")
                    .arg("server")
                    .query::<String>(&mut connection)
                    .ok()
                    .and_then(|info| {
                        Some(info.split_once("process_id:")?.1.lines().next()?.to_owned())
                    });
                if let Some(pid) = pid {
                    return pid == self.child.id().to_string();
                }
            }
            if self.child.try_wait().unwrap().is_some() {
                return false;
            }
            std::thread::yield_now();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Also one that is stalled, and also while the test panics.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn spawn(port: u16) -> Child {
    let start = |program: &str| {
        Command::new(program)
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
            .args(["--save", "", "--appendonly", "no", "--daemonize", "no"])
            .current_dir(std::env::temp_dir())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
    };
    start("redis-server")
        .or_else(|_| start("valkey-server"))
        .expect("neither `redis-server` nor `valkey-server` was found; install one of them")
}
