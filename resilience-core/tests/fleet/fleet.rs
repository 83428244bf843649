//! One process against its server: round trips, keys, stalls, and those who leave.

use std::sync::Arc;
use std::time::Duration;

use resilience_core::fleet::{
    Fleet, FleetError, FleetSettings, Grantor, Health, StoreError, WhenDown,
};
use resilience_core::{Cost, Dimension, Guarantee, Limit, NoRoom, Quota};

use crate::server::Server;

fn one() -> Cost {
    Cost::request(0, 0)
}

fn quota(tokens: u64, burst: u64, period: Duration) -> Quota {
    let mut quota = Quota { guarantee: Guarantee::STRICT, ..Quota::default() };
    quota.limits = vec![Limit { dimension: Dimension::Rpm, tokens, burst, period }];
    quota
}

/// The timeout is for servers that stall, and a slow machine is none.
fn patient(name: &str, quota: Quota) -> FleetSettings {
    let timeout = Duration::from_secs(10);
    FleetSettings { timeout, lease_ttl: 2 * timeout, ..FleetSettings::new(name, quota) }
}

/// A quota that refills faster than any round trip: 400 units in each millisecond.
fn plenty() -> FleetSettings {
    let quota = quota(12_000_000, 2_000_000, Duration::from_secs(5));
    patient("plenty", quota)
}

#[tokio::test]
async fn an_admission_without_a_lease_is_one_round_trip() {
    let server = Server::start();
    let settings = FleetSettings { lease_share_ppm: 0, ..plenty() };
    let fleet = Fleet::new(&server.url(), settings).unwrap();
    fleet.acquire(one()).await.unwrap();
    let before = server.script_calls();
    for _ in 0..200 {
        fleet.acquire(one()).await.unwrap();
    }
    assert_eq!(server.script_calls() - before, 200);
}

#[tokio::test]
async fn leases_save_nearly_all_round_trips() {
    let server = Server::start();
    let fleet = Fleet::new(&server.url(), plenty()).unwrap();
    fleet.acquire(one()).await.unwrap();
    let before = server.script_calls();
    for _ in 0..2_000 {
        fleet.acquire(one()).await.unwrap();
    }
    let calls = server.script_calls() - before;
    assert!(calls <= 100, "{calls} round trips for 2000 admissions");
}

/// Those who wait stand in a line of their own; only its front asks.
#[tokio::test]
async fn a_crowd_asks_no_more_often_than_it_is_admitted_or_refused() {
    let server = Server::start();
    let settings = FleetSettings {
        lease_share_ppm: 0,
        ..patient("crowd", quota(20_000, 100, Duration::from_secs(1)))
    };
    let fleet = Arc::new(Fleet::new(&server.url(), settings).unwrap());
    let crowd: Vec<_> = (0..100)
        .map(|_| {
            let fleet = Arc::clone(&fleet);
            tokio::spawn(async move { fleet.acquire(one()).await.unwrap().at })
        })
        .collect();
    let mut instants = Vec::new();
    for one in crowd {
        instants.push(one.await.unwrap());
    }
    assert!(instants.is_sorted(), "first come, first served");
    let calls = server.script_calls();
    // One refusal for each admission, and the first call of all, which loads the script.
    assert!(calls <= 201 + 1, "{calls} questions for 100 admissions");
}

#[tokio::test]
async fn whoever_leaves_the_line_takes_nothing_along_and_wakes_the_next() {
    let server = Server::start();
    let settings = patient("leave", quota(1_000, 1, Duration::from_secs(1)));
    let fleet = Arc::new(Fleet::new(&server.url(), settings).unwrap());
    for _ in 0..20 {
        let first = tokio::spawn({
            let fleet = Arc::clone(&fleet);
            async move { fleet.acquire(one()).await }
        });
        tokio::task::yield_now().await;
        let second = tokio::spawn({
            let fleet = Arc::clone(&fleet);
            async move { fleet.acquire(one()).await }
        });
        tokio::task::yield_now().await;
        first.abort();
        second.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_wait_beyond_the_patience_is_not_begun() {
    let server = Server::start();
    let settings = patient("patience", quota(10, 1, Duration::from_secs(86_400)));
    let fleet = Fleet::new(&server.url(), settings).unwrap();
    // The bucket starts empty, and its first unit is hours away.
    let late = fleet.acquire_within(one(), Duration::from_secs(600)).await;
    assert!(matches!(late, Err(FleetError::NoRoom(NoRoom::NotYet { .. }))), "{late:?}");
    let late = fleet.acquire_within(one(), Duration::ZERO).await;
    assert!(matches!(late, Err(FleetError::NoRoom(NoRoom::NotYet { .. }))), "{late:?}");
    let never = fleet.acquire(Cost { requests: 2, ..Cost::default() }).await.unwrap_err();
    assert_eq!(
        never.to_string(),
        "a request that costs 2 exceeds the burst of 1 requests per minute"
    );
}

#[tokio::test]
async fn a_stalled_server_denies_and_comes_back() {
    let server = Server::start();
    let settings = FleetSettings {
        lease_share_ppm: 0,
        timeout: Duration::from_millis(100),
        probe_every: Duration::from_millis(50),
        ..plenty()
    };
    let fleet = Fleet::new(&server.url(), settings).unwrap();
    while fleet.acquire(one()).await.is_err() {}
    server.stall();
    for _ in 0..5 {
        let denied = fleet.acquire(one()).await;
        assert!(matches!(denied, Err(FleetError::Down(StoreError::Silent { .. }))), "{denied:?}");
    }
    assert!(matches!(fleet.health(), Health::Down { local: false, .. }));
    server.go_on();
    while fleet.acquire(one()).await.is_err() {
        tokio::task::yield_now().await;
    }
    assert!(matches!(fleet.health(), Health::Up));
}

#[tokio::test]
async fn a_share_goes_on_where_nothing_ever_answered() {
    let when_down = WhenDown::LocalShare { ppm: 500_000 };
    let fleet = Fleet::new(&nobody(), FleetSettings { when_down, ..plenty() }).unwrap();
    for _ in 0..100 {
        assert_eq!(fleet.acquire(one()).await.unwrap().by, Grantor::LocalShare);
    }
    assert!(matches!(fleet.health(), Health::Down { local: true, .. }));
}

#[tokio::test]
async fn the_key_of_a_rested_quota_goes_away() {
    let server = Server::start();
    let mut connection = server.connect();
    let key = "fleet:{rests}";
    let settings =
        |keep| FleetSettings { keep, ..patient("rests", quota(1_000, 10, Duration::from_secs(1))) };
    let keep = Duration::from_secs(600);
    Fleet::new(&server.url(), settings(keep)).unwrap().acquire(one()).await.unwrap();
    let left: u64 = redis::cmd("PTTL").arg(key).query(&mut connection).unwrap();
    // 990 refill in a second and the lease's twenty; ten are there in less than a third of one.
    assert!(0 < left && left <= 600_000 + 300, "{left} ms");

    Fleet::new(&server.url(), settings(Duration::ZERO)).unwrap().acquire(one()).await.unwrap();
    while redis::cmd("EXISTS").arg(key).query::<bool>(&mut connection).unwrap() {}
    let keys: Vec<String> = redis::cmd("KEYS").arg("*").query(&mut connection).unwrap();
    assert!(keys.is_empty(), "{keys:?}");
}

/// An address at which nobody listens: the port of a listener that has gone.
pub(crate) fn nobody() -> String {
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    format!("redis://{gone}")
}
