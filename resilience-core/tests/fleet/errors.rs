//! What a person reads who has set it up wrongly.

use std::error::Error;
use std::time::Duration;

use resilience_core::fleet::{Fleet, FleetError, FleetSettings, WhenDown};
use resilience_core::{Cost, Dimension, Limit, Quota};

use crate::fleet::nobody;
use crate::server::Server;

fn settings() -> FleetSettings {
    let mut quota = Quota::per_minute(1, 1);
    quota.limits = vec![Limit {
        dimension: Dimension::Rpm,
        tokens: 1_000,
        burst: 10,
        period: Duration::from_secs(1),
    }];
    let patient = Duration::from_secs(10);
    FleetSettings { timeout: patient, lease_ttl: patient * 2, ..FleetSettings::new("words", quota) }
}

async fn words(url: &str, settings: FleetSettings) -> String {
    let fleet = Fleet::new(url, settings).unwrap();
    let error = fleet.acquire(Cost::request(0, 0)).await.unwrap_err();
    assert!(matches!(error, FleetError::Down(_)), "{error:?}");
    let mut words = vec![error.to_string()];
    let mut cause = error.source();
    while let Some(error) = cause {
        words.push(error.to_string());
        cause = error.source();
    }
    words.join(": ")
}

#[test]
fn an_address_that_is_none_is_named_without_its_password() {
    for url in ["http://me:secret@host", "redis://me:secret@host:port", "", "host"] {
        let mistakes = Fleet::new(url, settings()).unwrap_err();
        let words = mistakes[0].to_string();
        let shown = if url.contains('@') { "…@host" } else { url };
        assert!(words.contains(shown), "{words}");
        assert!(words.contains("redis://127.0.0.1:6379"), "{words}");
        assert!(!words.contains("secret"), "{words}");
    }
    let spoiled = FleetSettings { name: String::new(), ..settings() };
    assert_eq!(Fleet::new("", spoiled).unwrap_err().len(), 2, "all mistakes at once");
}

#[tokio::test]
async fn a_port_without_a_server_is_named() {
    let url = nobody();
    let words = words(&url, settings()).await;
    let address = url.strip_prefix("redis://").unwrap();
    assert!(words.contains(&format!("`{address}` cannot be reached: ")), "{words}");
    assert!(words.to_lowercase().contains("refused"), "{words}");
}

/// Denied under both policies: a server that is there may be granting to others.
#[tokio::test]
async fn a_key_of_somebody_elses_is_named_with_the_way_out() {
    let server = Server::start();
    let mut connection = server.connect();
    let share = WhenDown::LocalShare { ppm: 1_000_000 };
    for when_down in [WhenDown::Deny, share] {
        for spoil in [["SET", "fleet:{words}", "text", ""], ["HSET", "fleet:{words}", "other", "1"]]
        {
            let () = redis::cmd("FLUSHALL").query(&mut connection).unwrap();
            let mut command = redis::cmd(spoil[0]);
            for part in spoil[1..].iter().filter(|part| !part.is_empty()) {
                command.arg(part);
            }
            let () = command.query(&mut connection).unwrap();
            let words = words(&server.url(), FleetSettings { when_down, ..settings() }).await;
            assert!(words.contains("the key `fleet:{words}`"), "{words}");
            assert!(words.contains("delete it, or give the fleet another name"), "{words}");
        }
    }
}

#[tokio::test]
async fn a_wrong_password_is_the_servers_own_words() {
    let server = Server::start();
    let url = server.url().replace("//", "//:secret@");
    let () = redis::cmd("CONFIG")
        .arg(("SET", "requirepass", "other"))
        .query(&mut server.connect())
        .unwrap();
    let share = WhenDown::LocalShare { ppm: 1_000_000 };
    let words = words(&url, FleetSettings { when_down: share, ..settings() }).await;
    assert!(words.contains("answered") && !words.contains("secret"), "{words}");
}
