//! A worker that shares its credential's quota with all others: start it several times.
//!
//! ```sh
//! redis-server &
//! cargo run -p resilience-core --features redis --example fleet -- redis://127.0.0.1:6379
//! ```

use std::time::Duration;

use resilience_core::fleet::{Fleet, FleetSettings, Grantor, Health, WhenDown};
use resilience_core::{Cost, Dimension, Guarantee, Limit, Quota};

#[tokio::main(flavor = "current_thread")]
#[expect(clippy::print_stdout, reason = "an example shows what it does")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::args().nth(1).unwrap_or_else(|| "redis://127.0.0.1:6379".to_owned());
    let mut quota = Quota { guarantee: Guarantee::STRICT, ..Quota::default() };
    quota.limits = vec![
        Limit { burst: 6, ..Limit::per_minute(Dimension::Rpm, 60) },
        Limit { burst: 6_000, ..Limit::per_minute(Dimension::Tpm, 60_000) },
    ];
    let settings = FleetSettings {
        // A fifth, if no more than five of these run: a whole request of the burst of six.
        when_down: WhenDown::LocalShare { ppm: 200_000 },
        seed: u64::from(std::process::id()),
        ..FleetSettings::new("example", quota)
    };
    let fleet = Fleet::new(&url, settings)?;
    for request in 1..=20 {
        let cost = Cost::request(700, 300);
        let admission = fleet.acquire_within(cost, Duration::from_secs(60)).await?;
        match (admission.by, fleet.health()) {
            (Grantor::LocalShare, Health::Down { cause, .. }) => {
                println!("request {request}: on our own share, for {cause}");
            }
            _ => println!("request {request}: granted"),
        }
    }
    Ok(())
}
