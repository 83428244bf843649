//! Runs over loopback sockets, by the wall clock: commands, and the built-in client on request.

use std::{
    env, io,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};

use mock_server::{clock::Clock, door::TcpDoor, lane::Lane, lanes::Lanes, server};
use tokio::{net::TcpStream, sync::oneshot, task::JoinHandle};

use super::{
    CommandLine, PlayError, Record, draws, post,
    probe::{LagProbe, Stopwatch},
    variables,
    virtual_time::client_seed,
};
use crate::{
    client::{self, Connect},
    scenario::Scenario,
    verdict::Application,
};

/// A server on a free port, stopped when it is dropped.
struct Server {
    lanes: Lanes,
    port: u16,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<io::Result<()>>,
}

/// Opens connections to a loopback port.
#[derive(Clone, Copy, Debug)]
struct Loopback {
    port: u16,
}

/// Runs a command against a scenario.
pub(super) async fn command(
    scenario: &Scenario,
    line: &CommandLine,
    seed: u64,
) -> Result<Vec<Record>, PlayError> {
    let wall = Stopwatch::start();
    let server = Server::start(scenario, seed)?;
    let probe = LagProbe::start();
    let root = format!("http://127.0.0.1:{}", server.port);
    let inherited = env::vars_os().map(|(name, _)| name.to_string_lossy().into_owned());
    let variables = variables(&root, seed, &scenario.id, inherited);
    let end = line.run(&variables, scenario.time_limit(true)).await?;
    let precision = probe.finish();
    let played = server.stop().await?;
    let application = Application::Command(end);
    Ok(Record::of_all(&played, seed, &application, precision, wall.elapsed()))
}

/// Runs the built-in client against a scenario.
pub(super) async fn built_in(scenario: &Scenario, seed: u64) -> Result<Vec<Record>, PlayError> {
    let wall = Stopwatch::start();
    let server = Server::start(scenario, seed)?;
    let probe = LagProbe::start();
    let clock = server.lanes.default_lane().clock();
    let connect = Loopback { port: server.port };
    let client =
        client::play(&scenario.document.client, client_seed(scenario, seed), connect, move || {
            clock.now()
        });
    // The built-in client ends by its own timeouts; the limit is the same as in virtual time.
    let limit = scenario.time_limit(false);
    let (reports, over_time) = tokio::select! {
        biased;
        reports = client => (Some(reports), false),
        () = clock.sleep_until(clock.now() + limit) => (None, true),
    };
    if let Some(reports) = reports {
        post(&server.lanes, &reports.map_err(PlayError::Settings)?);
    }
    let precision = probe.finish();
    let lanes = server.stop().await?;
    let application = Application::BuiltIn { over_time };
    Ok(Record::of_all(&lanes, seed, &application, precision, wall.elapsed()))
}

impl Server {
    fn start(scenario: &Scenario, seed: u64) -> Result<Self, PlayError> {
        // Before the client starts, or its first request would wait for them.
        mock_server::tokens::warm_up();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let door = TcpDoor::listen(address).map_err(PlayError::Listen)?;
        let port = door.address().port();
        let lane = Lane::new(Arc::clone(&scenario.plan), draws(scenario, seed), Clock::real());
        let lanes = Lanes::new(lane);
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(server::run(door, lanes.clone(), axum::Router::new(), async {
            // Told, or dropped: both mean stop.
            let _told = stopped.await.is_ok();
        }));
        Ok(Self { lanes, port, stop: Some(stop), task })
    }

    async fn stop(mut self) -> Result<Lanes, PlayError> {
        drop(self.stop.take());
        match self.task.await {
            Ok(served) => served.map_err(PlayError::Listen)?,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
        Ok(self.lanes)
    }
}

impl Connect for Loopback {
    type Stream = TcpStream;

    async fn connect(&self) -> io::Result<TcpStream> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}
