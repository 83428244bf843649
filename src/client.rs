//! The built-in client: a small application that makes calls and copes.
//!
//! What it decides comes from `resilience-core`, and how it speaks from its own codecs; from the
//! server it takes nothing, or a mistake made twice would cancel itself out.
//! The connector is the only thing that differs between virtual and real time.

mod anthropic;
mod codec;
mod exchange;
mod openai;
mod sse;
mod strategy;
mod workload;

use std::{future::Future, io, sync::Arc, time::Duration};

use resilience_core::{CallError, Client as Core, Mistakes, PolicyMistake, Success};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    task::JoinSet,
};

pub(crate) use codec::spoken;
pub(crate) use strategy::{heard, limits, policy, pools, targets};
pub(crate) use workload::{Begins, Workload, pool_seed};

use crate::scenario::{self, Hints, Strategy};
use exchange::Exchange;

/// Opens connections to the provider.
pub trait Connect: Clone + Send + Sync + 'static {
    /// What it opens.
    type Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static;

    /// Opens one.
    fn connect(&self) -> impl Future<Output = io::Result<Self::Stream>> + Send;
}

/// How one call went, as the client saw it.
#[derive(Debug)]
pub struct CallReport {
    /// The call's name, as it stood in the header of its attempts.
    pub name: String,
    /// When it began.
    pub began: Duration,
    /// The answer's text, or everything that went wrong.
    pub result: Result<Success<String>, CallError>,
}

/// Makes the calls of a scenario, and tells how each went.
///
/// `now` is the clock of the run. Calls are begun as the scenario says: so many at a time, or at
/// a rate whatever becomes of the earlier ones.
pub async fn play<C: Connect>(
    settings: &scenario::Client,
    seed: u64,
    connect: C,
    now: impl Fn() -> Duration + Clone + Send + 'static,
) -> Result<Vec<CallReport>, Mistakes<PolicyMistake>> {
    let (workload, strategy) = (Workload::new(settings, seed), settings.strategy());
    let clients = workload.clients();
    let core = |pool: u32| {
        let targets = targets(&strategy, clients);
        Core::new(policy(&strategy), targets, pool_seed(seed, u64::from(pool)))
    };
    let cores = (0..pools(&strategy, clients)).map(core).collect::<Result<Vec<_>, _>>()?;
    let begins = workload.begins();
    let player = Arc::new(Player {
        cores,
        exchange: Exchange::new(connect, settings.streaming),
        workload,
        strategy,
    });
    let mut reports = Vec::new();
    let mut under_way = JoinSet::new();
    let mut collect = |joined: Result<CallReport, tokio::task::JoinError>| match joined {
        Ok(report) => reports.push(report),
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_) => {}
    };
    let begun = now();
    match begins {
        Begins::At(times) => {
            for (call, at) in (1..).zip(times) {
                sleep(begun.saturating_add(at).saturating_sub(now())).await;
                let (player, now) = (Arc::clone(&player), now.clone());
                under_way.spawn(async move { player.call(call, now()).await });
            }
        }
        Begins::InTurn { calls, concurrency } => {
            for call in 1..=calls {
                while under_way.len() >= concurrency {
                    under_way.join_next().await.into_iter().for_each(&mut collect);
                }
                let (player, now) = (Arc::clone(&player), now.clone());
                under_way.spawn(async move {
                    let report = player.call(call, now()).await;
                    let think = player.workload.think(call);
                    if call < calls && !think.is_zero() {
                        sleep(think).await;
                    }
                    report
                });
            }
        }
    }
    while let Some(joined) = under_way.join_next().await {
        collect(joined);
    }
    reports.sort_by_key(|report| report.began);
    Ok(reports)
}

struct Player<C: Connect> {
    /// One for all clients, or one for each.
    cores: Vec<Core>,
    exchange: Exchange<C>,
    workload: Workload,
    strategy: Strategy,
}

impl<C: Connect> Player<C> {
    async fn call(&self, call: u64, began: Duration) -> CallReport {
        let request = self.workload.request(call);
        let name = call.to_string();
        let client = usize::try_from(self.workload.client_of(call)).unwrap_or_default();
        let core = &self.cores[client % self.cores.len()];
        let send = |attempt| {
            let sent = self.exchange.send(attempt, &request, self.strategy.hints != Hints::Ignore);
            async { sent.await.map_err(|failure| heard(&self.strategy, failure)) }
        };
        let result = core.call_at(call, &request, send).await;
        CallReport { name, began, result }
    }
}

#[expect(clippy::disallowed_methods, reason = "the client's driver waits for the next arrival")]
async fn sleep(span: Duration) {
    tokio::time::sleep(span).await;
}
