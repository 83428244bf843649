//! The built-in client against the server in one process, on a clock that never waits.
//!
//! Both ends live on one paused runtime: a paused clock beside a real socket would jump over the
//! waits for it.

use std::{io, sync::Arc, time::Duration};

use mock_server::{
    clock::Clock,
    lane::Lane,
    lanes::Lanes,
    memory::{self, MemoryConnector, MemoryStream},
    server,
};

use super::{PlayError, Record, draws, post};
use crate::{
    client::{self, Connect},
    scenario::Scenario,
    verdict::{Application, Precision},
};

/// What a virtual time is measured with: exactly.
const PRECISION: Precision =
    Precision { error: Duration::ZERO, slack: Duration::from_millis(1), starved: false };

/// Plays a scenario in virtual time; takes as long as the machine needs to compute it.
pub(super) fn play(scenario: &Scenario, seed: u64) -> Result<Vec<Record>, PlayError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .map_err(PlayError::Listen)?;
    let wall = super::probe::Stopwatch::start();
    runtime.block_on(async {
        let clock = Clock::simulated();
        let lane = Lane::new(Arc::clone(&scenario.plan), draws(scenario, seed), clock);
        let lanes = Lanes::new(lane);
        let (listener, connector) = memory::listen();
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let server =
            tokio::spawn(server::run(listener, lanes.clone(), axum::Router::new(), async {
                // Told, or dropped: both mean stop.
                let _told = stopped.await.is_ok();
            }));
        let client = client::play(
            &scenario.document.client,
            client_seed(scenario, seed),
            connector,
            move || clock.now(),
        );
        let limit = scenario.time_limit(false);
        let (reports, over_time) = tokio::select! {
            biased;
            reports = client => (Some(reports), false),
            () = clock.sleep_until(limit) => (None, true),
        };
        if let Some(reports) = reports {
            post(&lanes, &reports.map_err(PlayError::Settings)?);
        }
        drop(stop);
        match server.await {
            Ok(over) => over.map_err(PlayError::Listen)?,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
        let application = Application::BuiltIn { over_time };
        Ok(Record::of_all(&lanes, seed, &application, PRECISION, wall.elapsed()))
    })
}

/// The client's own seed: another one than the server's, so that neither can know the other's luck.
pub(crate) fn client_seed(scenario: &Scenario, seed: u64) -> u64 {
    use mock_server::draw::Purpose;

    draws(scenario, seed).draw("client", Purpose::Id, 0, 0)
}

impl Connect for MemoryConnector {
    type Stream = MemoryStream;

    async fn connect(&self) -> io::Result<MemoryStream> {
        Self::connect(self)
    }
}
