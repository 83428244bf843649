// `hints: obey-short` is not in the policy: set `hint` of a `Failure` to `None` where it is beyond `hint_max`.
// `limits` are not in the policy: they are the `quota` of each `Target`.
// `targets` are not in the policy: they are what a `Client` is made with.
// `state: own` is not in the policy: it is a `Client` for each process.
fn policy() -> resilience_core::Policy {
    use std::time::Duration;

    use resilience_core::{
        AimdSettings,
        Backoff,
        BreakerSettings,
        BudgetSettings,
        Fallback,
        HedgeDelay,
        HedgeSettings,
        Jitter,
        Policy,
        Retry,
        ShedSettings,
        Spread,
        Timeouts,
    };

    Policy {
        retry: Retry {
            retries_max: 3,
            backoff: Backoff {
                base: Duration::from_millis(250),
                cap: Duration::from_secs(8),
                multiplier_ppm: 1_500_000,
                jitter: Jitter::Equal,
            },
            hint_max: Duration::from_secs(30),
            spread: Spread {
                divisor: 2,
                least: Duration::from_millis(100),
                most: Duration::from_secs(5),
            },
        },
        timeouts: Timeouts {
            attempt: Duration::from_secs(20),
            queue: Duration::from_secs(10),
            call: Duration::from_secs(90),
            ..Timeouts::default()
        },
        fallback: Fallback {
            wait_max: Duration::from_secs(5),
            cooldown: Duration::from_secs(10),
            ..Fallback::default()
        },
        budget: Some(BudgetSettings::Ratio {
            ratio_ppm: 200_000,
            retries_per_sec_min: 1,
            retries_max: 30,
            retries_initial: 30,
        }),
        breaker: Some(BreakerSettings {
            outcomes_max: 100,
            remember: Duration::from_secs(60),
            outcomes_min: 20,
            failure_ppm: 300_000,
            open_min: Duration::from_secs(5),
            open_max: Duration::from_secs(120),
            trials: 3,
            ..BreakerSettings::default()
        }),
        adaptive_concurrency: Some(AimdSettings {
            limit_min: 4,
            limit_max: 64,
            limit_initial: 16,
            beta_ppm: 700_000,
            ..AimdSettings::default()
        }),
        shed: Some(ShedSettings {
            multiplier_ppm: 1_500_000,
            window: Duration::from_secs(120),
        }),
        hedge: Some(HedgeSettings {
            delay: HedgeDelay::Quantile {
                ppm: 900_000,
                samples_min: 50,
                delay_min: Duration::from_millis(100),
            },
            hedges_max: 1,
            budget_ppm: 20_000,
            ..HedgeSettings::default()
        }),
        attempts_max: 6,
        ..Policy::default()
    }
}
