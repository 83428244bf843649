//! Settings as code for `resilience-core`.

use std::{
    fmt::{self, Write as _},
    time::Duration,
};

use resilience_core::{BudgetSettings, HedgeDelay, Jitter, Policy};

use crate::{
    client::policy,
    scenario::{Hints, State, Strategy},
};

/// A function that makes the policy, with every setting that is not the default's, and a comment for what a policy does not say.
pub fn code(strategy: &Strategy) -> String {
    let mut policy = String::new();
    write(strategy, &mut policy).expect("a string takes everything");
    let is_used = |name: &&str| {
        policy.contains(&format!("{name} {{")) || policy.contains(&format!("{name}::"))
    };
    let used = TYPES.into_iter().filter(is_used).flat_map(|name| ["        ", name, ",\n"]);
    let used = used.collect::<String>();
    let comments: String =
        comments(strategy).into_iter().flat_map(|line| ["// ", line, "\n"]).collect();
    let policy = grouped(&policy);
    format!(
        "{comments}fn policy() -> resilience_core::Policy {{\n    use std::time::Duration;\n\n    \
         use resilience_core::{{\n{used}    }};\n\n{policy}}}\n"
    )
}

fn write(strategy: &Strategy, out: &mut String) -> fmt::Result {
    let default = Policy::default();
    let Policy {
        retry,
        timeouts,
        fallback,
        budget,
        breaker,
        adaptive_concurrency,
        adaptive_rate,
        shed,
        hedge,
        attempts_max,
    } = policy(strategy);
    writeln!(out, "    Policy {{")?;
    writeln!(out, "        retry: Retry {{")?;
    writeln!(out, "            retries_max: {},", retry.retries_max)?;
    writeln!(out, "            backoff: Backoff {{")?;
    writeln!(out, "                base: {},", span(retry.backoff.base))?;
    writeln!(out, "                cap: {},", span(retry.backoff.cap))?;
    writeln!(out, "                multiplier_ppm: {},", retry.backoff.multiplier_ppm)?;
    let jitter = match retry.backoff.jitter {
        Jitter::Decorrelated => "Decorrelated",
        Jitter::Equal => "Equal",
        Jitter::Full => "Full",
        Jitter::None => "None",
        Jitter::Quarter => "Quarter",
    };
    writeln!(out, "                jitter: Jitter::{jitter},\n            }},")?;
    writeln!(out, "            hint_max: {},", span(retry.hint_max))?;
    writeln!(out, "            spread: Spread {{")?;
    writeln!(out, "                divisor: {},", retry.spread.divisor)?;
    writeln!(out, "                least: {},", span(retry.spread.least))?;
    writeln!(out, "                most: {},", span(retry.spread.most))?;
    writeln!(out, "            }},\n        }},")?;
    if timeouts != default.timeouts {
        writeln!(out, "        timeouts: Timeouts {{")?;
        let usual = default.timeouts;
        for (name, value, usual) in [
            ("connect", timeouts.connect, usual.connect),
            ("first_token", timeouts.first_token, usual.first_token),
            ("idle", timeouts.idle, usual.idle),
            ("attempt", timeouts.attempt, usual.attempt),
            ("queue", timeouts.queue, usual.queue),
            ("call", timeouts.call, usual.call),
        ] {
            if value != usual {
                writeln!(out, "            {name}: {},", span(value))?;
            }
        }
        writeln!(out, "            ..Timeouts::default()\n        }},")?;
    }
    if fallback != default.fallback {
        writeln!(out, "        fallback: Fallback {{")?;
        writeln!(out, "            wait_max: {},", span(fallback.wait_max))?;
        writeln!(out, "            cooldown: {},", span(fallback.cooldown))?;
        writeln!(out, "            ..Fallback::default()\n        }},")?;
    }
    match budget {
        None => writeln!(out, "        budget: None,")?,
        Some(budget) => {
            let (kind, fields) = budget_fields(budget);
            writeln!(out, "        budget: Some(BudgetSettings::{kind} {{")?;
            for (name, value) in fields {
                writeln!(out, "            {name}: {value},")?;
            }
            writeln!(out, "        }}),")?;
        }
    }
    match breaker {
        None => writeln!(out, "        breaker: None,")?,
        Some(breaker) => {
            writeln!(out, "        breaker: Some(BreakerSettings {{")?;
            writeln!(out, "            outcomes_max: {},", breaker.outcomes_max)?;
            writeln!(out, "            remember: {},", span(breaker.remember))?;
            writeln!(out, "            outcomes_min: {},", breaker.outcomes_min)?;
            writeln!(out, "            failure_ppm: {},", breaker.failure_ppm)?;
            writeln!(out, "            open_min: {},", span(breaker.open_min))?;
            writeln!(out, "            open_max: {},", span(breaker.open_max))?;
            writeln!(out, "            trials: {},", breaker.trials)?;
            writeln!(out, "            ..BreakerSettings::default()\n        }}),")?;
        }
    }
    if let Some(limit) = adaptive_concurrency {
        writeln!(out, "        adaptive_concurrency: Some(AimdSettings {{")?;
        writeln!(out, "            limit_min: {},", limit.limit_min)?;
        writeln!(out, "            limit_max: {},", limit.limit_max)?;
        writeln!(out, "            limit_initial: {},", limit.limit_initial)?;
        writeln!(out, "            beta_ppm: {},", limit.beta_ppm)?;
        writeln!(out, "            ..AimdSettings::default()\n        }}),")?;
    }
    if adaptive_rate {
        writeln!(out, "        adaptive_rate: true,")?;
    }
    if let Some(shed) = shed {
        writeln!(out, "        shed: Some(ShedSettings {{")?;
        writeln!(out, "            multiplier_ppm: {},", shed.multiplier_ppm)?;
        writeln!(out, "            window: {},\n        }}),", span(shed.window))?;
    }
    if let Some(hedge) = hedge {
        writeln!(out, "        hedge: Some(HedgeSettings {{")?;
        match hedge.delay {
            HedgeDelay::Fixed(delay) => {
                writeln!(out, "            delay: HedgeDelay::Fixed({}),", span(delay))?;
            }
            HedgeDelay::Quantile { ppm, samples_min, delay_min } => {
                writeln!(out, "            delay: HedgeDelay::Quantile {{")?;
                writeln!(out, "                ppm: {ppm},")?;
                writeln!(out, "                samples_min: {samples_min},")?;
                writeln!(out, "                delay_min: {},", span(delay_min))?;
                writeln!(out, "            }},")?;
            }
        }
        writeln!(out, "            hedges_max: {},", hedge.hedges_max)?;
        writeln!(out, "            budget_ppm: {},", hedge.budget_ppm)?;
        writeln!(out, "            ..HedgeSettings::default()\n        }}),")?;
    }
    if attempts_max != default.attempts_max {
        writeln!(out, "        attempts_max: {attempts_max},")?;
    }
    writeln!(out, "        ..Policy::default()\n    }}")
}

/// What a policy does not say, and where it belongs instead.
fn comments(strategy: &Strategy) -> Vec<&'static str> {
    let mut comments = Vec::new();
    match strategy.hints {
        Hints::Obey => {}
        Hints::Ignore => comments.push(
            "`hints: ignore` is not in the policy: hand over each `Failure` with `hint` set to `None`.",
        ),
        Hints::ObeyShort => comments.push(
            "`hints: obey-short` is not in the policy: set `hint` of a `Failure` to `None` where it is beyond `hint_max`.",
        ),
    }
    let limits = strategy.limits;
    let limited = limits.as_provider.is_some()
        || limits.requests.is_some()
        || limits.tokens.is_some()
        || limits.concurrency.is_some();
    if limited {
        comments.push("`limits` are not in the policy: they are the `quota` of each `Target`.");
    }
    if !strategy.targets.is_empty() {
        comments.push("`targets` are not in the policy: they are what a `Client` is made with.");
    }
    if strategy.state == State::Own {
        comments.push("`state: own` is not in the policy: it is a `Client` for each process.");
    }
    comments
}

/// A kind of budget with its settings, as they are called in code.
fn budget_fields(budget: BudgetSettings) -> (&'static str, Vec<(&'static str, u32)>) {
    match budget {
        BudgetSettings::Aws {
            capacity,
            initial,
            retry_cost,
            timeout_cost,
            rate_limited_cost,
            success_gain,
        } => (
            "Aws",
            vec![
                ("capacity", capacity),
                ("initial", initial),
                ("retry_cost", retry_cost),
                ("timeout_cost", timeout_cost),
                ("rate_limited_cost", rate_limited_cost),
                ("success_gain", success_gain),
            ],
        ),
        BudgetSettings::Grpc { tokens_max_milli, token_ratio_milli } => (
            "Grpc",
            vec![("tokens_max_milli", tokens_max_milli), ("token_ratio_milli", token_ratio_milli)],
        ),
        BudgetSettings::Ratio { ratio_ppm, retries_per_sec_min, retries_max, retries_initial } => (
            "Ratio",
            vec![
                ("ratio_ppm", ratio_ppm),
                ("retries_per_sec_min", retries_per_sec_min),
                ("retries_max", retries_max),
                ("retries_initial", retries_initial),
            ],
        ),
        BudgetSettings::Share { retries_min, share_ppm } => {
            ("Share", vec![("retries_min", retries_min), ("share_ppm", share_ppm)])
        }
    }
}

/// Code whose long numbers have their digits in groups of three.
fn grouped(code: &str) -> String {
    let mut grouped = String::new();
    for (place, c) in code.char_indices() {
        grouped.push(c);
        let digits =
            |text: &str| text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let left = digits(&code[place + c.len_utf8()..]);
        if c.is_ascii_digit() && left > 0 && left.is_multiple_of(3) {
            grouped.push('_');
        }
    }
    grouped
}

/// A span as code, in the greatest unit that is exact.
fn span(span: Duration) -> String {
    match span {
        Duration::MAX => "Duration::MAX".to_owned(),
        _ if span.subsec_nanos() == 0 => format!("Duration::from_secs({})", span.as_secs()),
        _ if span.as_nanos().is_multiple_of(1_000_000) => {
            format!("Duration::from_millis({})", span.as_millis())
        }
        _ => format!("Duration::from_nanos({})", span.as_nanos()),
    }
}

/// The types that code may name.
const TYPES: [&str; 13] = [
    "AimdSettings",
    "Backoff",
    "BreakerSettings",
    "BudgetSettings",
    "Fallback",
    "HedgeDelay",
    "HedgeSettings",
    "Jitter",
    "Policy",
    "Retry",
    "ShedSettings",
    "Spread",
    "Timeouts",
];

#[cfg(test)]
mod tests {
    use super::*;

    /// The golden code itself, compiled.
    mod golden {
        include!("../../../tests/reports/tune-policy.rs");

        pub(super) fn value() -> resilience_core::Policy {
            policy()
        }
    }

    #[test]
    fn the_code_that_is_written_compiles_to_the_policy_that_was_played() {
        let strategy = super::super::tests::strategy();
        assert_eq!(code(&strategy), include_str!("../../../tests/reports/tune-policy.rs"));
        assert_eq!(golden::value(), policy(&strategy));
    }
}
