//! `brownout serve`.

use std::{
    io::Write as _,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use axum::{Json, Router, routing::get};
use mock_server::{clock::Clock, door::TcpDoor, lane::Lane, server};
use tokio::net::TcpListener;

use super::{CliError, Ending, SEED, Serve};
use crate::{
    harness::{Record, draws, provider_urls},
    report::scenario_json,
    scenario::{Scenario, Source, Suite},
    verdict::{Application, Precision},
};

/// What is served if no scenario is given.
const HEALTHY: &str = "brownout: 1\nname: a healthy provider\n";

/// What times are worth while nothing probes the machine: a busy moment of a shared one.
const PRECISION: Precision = Precision {
    error: Duration::from_millis(1),
    slack: Duration::from_millis(250),
    starved: false,
};

pub(super) async fn execute(serve: &Serve) -> Result<Ending, CliError> {
    let scenario = scenario(serve)?;
    let seed = serve.seed.or(scenario.document.seed).unwrap_or(SEED);
    let listen = |source| CliError::Listen { port: serve.port, source };
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, serve.port));
    let listener = TcpListener::bind(address).await.map_err(listen)?;
    let door = TcpDoor::new(listener).map_err(listen)?;
    let root = format!("http://{}", door.address());
    let lane = Lane::new(Arc::clone(&scenario.plan), draws(&scenario, seed), Clock::real());
    mock_server::tokens::warm_up();
    announce(&scenario, seed, &root).map_err(CliError::Output)?;
    let admin = Router::new().route(
        "/verdict",
        get({
            let lane = lane.clone();
            async move || Json(verdict(&scenario, &lane, seed))
        }),
    );
    // Ctrl-C ends the program, and with it this.
    server::run(door, lane, admin, std::future::pending()).await.map_err(listen)?;
    Ok(Ending::Held)
}

fn scenario(serve: &Serve) -> Result<Scenario, CliError> {
    let Some(path) = &serve.scenario else {
        let source = Source::new("healthy.yaml", HEALTHY);
        return Ok(Scenario::read("healthy", "healthy", source)
            .expect("the healthy scenario is checked by a test"));
    };
    let suite = Suite::read(std::slice::from_ref(path))?;
    match <[Scenario; 1]>::try_from(suite.scenarios) {
        Ok([scenario]) => Ok(scenario),
        Err(scenarios) => {
            let why =
                format!("{} scenarios are at `{}`; name one file", scenarios.len(), path.display());
            Err(CliError::NothingToRun(why))
        }
    }
}

/// Says where everything is.
fn announce(scenario: &Scenario, seed: u64, root: &str) -> std::io::Result<()> {
    let mut stdout = anstream::stdout().lock();
    let version = env!("CARGO_PKG_VERSION");
    writeln!(stdout, "brownout {version}  seed {seed:#x}  {}\n", scenario.document.name)?;
    for (provider, variable, url, served) in provider_urls(root) {
        let note = if served { "" } else { "  (not served yet: answers 404)" };
        writeln!(stdout, "  {provider:<10} {variable}={url}{note}")?;
    }
    writeln!(stdout)?;
    for (what, method) in [
        ("health", "GET "),
        ("journal", "GET "),
        ("verdict", "GET "),
        ("outcome", "POST"),
        ("reset", "POST"),
    ] {
        writeln!(stdout, "  {what:<10} {method} {root}/_brownout/{what}")?;
    }
    writeln!(stdout, "\nCtrl-C ends it")?;
    stdout.flush()
}

/// What the lane's journal comes to so far.
fn verdict(scenario: &Scenario, lane: &Lane, seed: u64) -> serde_json::Value {
    let journal = lane.journal();
    let record = Record {
        seed,
        entries: journal.entries().to_vec(),
        rules: lane.rule_reports(),
        journal_full: journal.is_full(),
        connection_limit_hits: lane.connection_limit_hits(),
        application: Application::Unseen,
        precision: PRECISION,
        took: Duration::ZERO,
    };
    let verdict = record.judge(scenario);
    scenario_json(scenario, &record, &verdict)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_healthy_scenario_has_no_mistake() {
        assert!(Scenario::read("healthy", "healthy", Source::new("healthy.yaml", HEALTHY)).is_ok());
    }
}
