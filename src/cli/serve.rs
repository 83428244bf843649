//! `brownout serve`.

use std::{
    collections::BTreeMap,
    io::Write as _,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::{
    Extension, Json, Router,
    body::Bytes,
    extract::State,
    http::StatusCode,
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use mock_server::{
    clock::Clock,
    door::TcpDoor,
    lane::Lane,
    lanes::{LaneName, Lanes},
    server,
};

use super::{CliError, Ending, SEED, Serve};
use crate::{
    harness::{Record, draws, provider_urls},
    report::scenario_json,
    scenario::{Scenario, Source, Style, Suite, render},
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
    let door = TcpDoor::listen(address).map_err(listen)?;
    let root = format!("http://{}", door.address());
    let lane = Lane::new(Arc::clone(&scenario.plan), draws(&scenario, seed), Clock::real());
    mock_server::tokens::warm_up();
    announce(&scenario, seed, &root).map_err(CliError::Output)?;
    let lanes = Lanes::new(lane);
    let desk =
        Desk { lanes: lanes.clone(), scenario, own: Mutex::default(), seed, fixed: serve.seed };
    let admin = Router::new()
        .route("/scenario", post(place))
        .route("/verdict", get(verdict))
        .with_state(Arc::new(desk));
    // Ctrl-C ends the program, and with it this.
    server::run(door, lanes, admin, std::future::pending()).await.map_err(listen)?;
    Ok(Ending::Held)
}

/// What is known of each lane: which scenario it plays.
struct Desk {
    lanes: Lanes,
    /// What is played by lanes that have none of their own.
    scenario: Scenario,
    own: Mutex<BTreeMap<LaneName, Arc<Scenario>>>,
    /// The seed of `scenario`.
    seed: u64,
    /// The seed that was asked for, which outweighs those in scenarios.
    fixed: Option<u64>,
}

impl Desk {
    /// Has to be held while a lane and its scenario are looked at together.
    fn own(&self) -> MutexGuard<'_, BTreeMap<LaneName, Arc<Scenario>>> {
        self.own.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The seed of a lane's scenario.
    fn seed_of(&self, scenario: &Scenario) -> u64 {
        self.fixed.or(scenario.document.seed).unwrap_or(SEED)
    }
}

/// Gives a lane a scenario of its own, and a beginning; or tells every mistake in it.
async fn place(
    State(desk): State<Arc<Desk>>,
    Extension(name): Extension<LaneName>,
    text: Bytes,
) -> Response {
    let source = Source::from_bytes("scenario.yaml", &text);
    // The lane's name is part of its draws, and nothing else tells two of these apart.
    let scenario = match Scenario::read(&format!("lane/{name}"), "lane", source.clone()) {
        Ok(scenario) => scenario,
        Err(diagnostics) => {
            let mut told = Vec::new();
            let style = Style { colour: false, width: 100 };
            render(&diagnostics, &source, style, &mut told).expect("memory takes every byte");
            return (StatusCode::UNPROCESSABLE_ENTITY, told).into_response();
        }
    };
    let mut own = desk.own();
    let draws = draws(&scenario, desk.seed_of(&scenario));
    match desk.lanes.place(&name, Arc::clone(&scenario.plan), draws) {
        Ok(_) => {
            own.insert(name, Arc::new(scenario));
            StatusCode::NO_CONTENT.into_response()
        }
        Err(refusal) => {
            let status = StatusCode::from_u16(refusal.status()).unwrap_or(StatusCode::CONFLICT);
            (status, format!("{refusal}\n")).into_response()
        }
    }
}

/// What a lane's journal comes to so far.
async fn verdict(State(desk): State<Arc<Desk>>, Extension(name): Extension<LaneName>) -> Response {
    let (lane, own) = {
        let own = desk.own();
        (desk.lanes.find(&name), own.get(&name).cloned())
    };
    let Some(lane) = lane else {
        let message = format!("there is no lane `{name}`: its first request makes it\n");
        return (StatusCode::NOT_FOUND, message).into_response();
    };
    let (scenario, seed) = match &own {
        Some(own) => (own.as_ref(), desk.seed_of(own)),
        None => (&desk.scenario, desk.seed),
    };
    let record = Record::of(name, &lane, seed, Application::Unseen, PRECISION, Duration::ZERO);
    let verdict = record.judge(scenario);
    Json(scenario_json(scenario, &record, &verdict)).into_response()
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
    for (provider, variable, url) in provider_urls(root) {
        let variable = variable.map(|name| format!("{name}=")).unwrap_or_default();
        writeln!(stdout, "  {provider:<10} {variable}{url}")?;
    }
    writeln!(stdout)?;
    for (what, method) in [
        ("health", "GET "),
        ("journal", "GET "),
        ("verdict", "GET "),
        ("outcome", "POST"),
        ("reset", "POST"),
        ("lanes", "GET "),
    ] {
        writeln!(stdout, "  {what:<10} {method} {root}/_brownout/{what}")?;
    }
    writeln!(stdout)?;
    if scenario.plan.connections.is_empty() {
        writeln!(
            stdout,
            "  lane       {root}/lane/NAME in front of any path is a world of its own"
        )?;
        writeln!(stdout, "  scenario   POST {root}/lane/NAME/_brownout/scenario")?;
    } else {
        writeln!(stdout, "  its `connections` hold for the whole port: there are no lanes")?;
    }
    writeln!(stdout, "\nCtrl-C ends it")?;
    stdout.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_healthy_scenario_has_no_mistake() {
        assert!(Scenario::read("healthy", "healthy", Source::new("healthy.yaml", HEALTHY)).is_ok());
    }
}
