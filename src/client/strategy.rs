//! A strategy's words as the decisions of the core: what the scenario language and the lab say is what ships.

use std::time::Duration;

use mock_server::{
    plan::{self, ProviderName},
    units::{Rate, Share, Span},
};
use resilience_core::{
    AimdSettings, Backoff, BreakerSettings, BudgetSettings, Dimension, Failure, Fallback,
    HedgeDelay, HedgeSettings, Jitter, Limit, Policy, Provider, Quota, Retry, ShedSettings, Spread,
    Target, Timeouts, hint::Left,
};

use crate::scenario::{self, Budget, Factor, HedgeAfter, Hints, State, Strategy};

/// The policy; whatever the strategy does not say is the core's default, except that what it does not name it does not have.
pub(crate) fn policy(strategy: &Strategy) -> Policy {
    let default = Policy::default();
    let hint_max = or(strategy.hint_max, default.retry.hint_max);
    Policy {
        retry: Retry {
            retries_max: strategy.retries.unwrap_or(default.retry.retries_max),
            backoff: backoff(&strategy.backoff, default.retry.backoff),
            hint_max,
            spread: spread(&strategy.hint_spread, default.retry.spread),
        },
        timeouts: timeouts(strategy, default.timeouts),
        fallback: Fallback {
            wait_max: or(strategy.fall_back_beyond, default.fallback.wait_max),
            cooldown: or(strategy.cooldown, default.fallback.cooldown),
            ..default.fallback
        },
        budget: strategy.budget.map(budget),
        breaker: strategy.breaker.map(breaker),
        adaptive_concurrency: strategy.adaptive_concurrency.map(adaptive_concurrency),
        adaptive_rate: strategy.adaptive_rate,
        shed: strategy.throttle.map(throttle),
        hedge: strategy.hedge.map(hedge),
        attempts_max: strategy.attempts.unwrap_or(default.attempts_max),
    }
}

/// The targets of one of so many clients, in order of preference; those that share nothing have an equal part of the limits.
pub(crate) fn targets(strategy: &Strategy, clients: u32) -> Vec<Target> {
    let parts = match strategy.state {
        State::Own => u64::from(clients.max(1)),
        State::Shared => 1,
    };
    let quota = quota(&strategy.limits, parts);
    let target = |provider: ProviderName, model: &str| {
        let provider = match provider {
            ProviderName::Anthropic => Provider::Anthropic,
            ProviderName::Azure => Provider::Azure,
            ProviderName::Bedrock => Provider::Bedrock,
            ProviderName::Cohere => Provider::Cohere,
            ProviderName::Gemini => Provider::Gemini,
            ProviderName::Mistral => Provider::Mistral,
            ProviderName::Ollama => Provider::Ollama,
            ProviderName::OpenAi => Provider::OpenAi,
            ProviderName::OpenRouter => Provider::OpenRouter,
        };
        Target { quota: quota.clone(), ..Target::new(provider, model) }
    };
    if strategy.targets.is_empty() {
        return vec![target(ProviderName::OpenAi, "gpt-4o-mini")];
    }
    strategy.targets.iter().map(|name| target(name.provider, &name.model)).collect()
}

/// The limits that a client keeps, where some are said to be the provider's own: so much of them.
pub(crate) fn limits(words: &scenario::Limits, provider: &plan::Quota) -> scenario::Limits {
    let Some(share) = words.as_provider else { return *words };
    let part = |rates: &[Rate]| {
        let rate = rates.first()?;
        let count = u128::from(rate.count) * u128::from(share.ppm) / 1_000_000;
        Some(Rate { count: u64::try_from(count).unwrap_or(u64::MAX).max(1), ..*rate })
    };
    scenario::Limits {
        requests: words.requests.or_else(|| part(&provider.requests)),
        tokens: words.tokens.or_else(|| part(&provider.tokens)),
        concurrency: words.concurrency.or(provider.concurrency),
        ..*words
    }
}

/// How many sets of limits, budgets and breakers so many clients have.
pub(crate) fn pools(strategy: &Strategy, clients: u32) -> u32 {
    match strategy.state {
        State::Own => clients.max(1),
        State::Shared => 1,
    }
}

/// A failure as a client sees it that makes this of hints: one that does not read them does not know them.
pub(crate) fn heard(strategy: &Strategy, mut failure: Failure) -> Failure {
    let deaf = match strategy.hints {
        Hints::Ignore => true,
        Hints::Obey => false,
        Hints::ObeyShort => {
            let most = or(strategy.hint_max, Retry::default().hint_max);
            failure.hint.is_some_and(|hint| hint.after > most)
        }
    };
    if deaf {
        failure.hint = None;
    }
    if strategy.hints == Hints::Ignore {
        failure.observed = Left::default();
    }
    failure
}

fn backoff(words: &scenario::Backoff, default: Backoff) -> Backoff {
    Backoff {
        base: or(words.base, default.base),
        cap: or(words.cap, default.cap),
        multiplier_ppm: words
            .multiplier
            .map_or(default.multiplier_ppm, |factor| u64::from(factor.millis) * 1_000),
        jitter: match words.jitter {
            Some(scenario::Jitter::Decorrelated) => Jitter::Decorrelated,
            Some(scenario::Jitter::Equal) => Jitter::Equal,
            Some(scenario::Jitter::Full) | None => Jitter::Full,
            Some(scenario::Jitter::None) => Jitter::None,
            Some(scenario::Jitter::Quarter) => Jitter::Quarter,
        },
    }
}

fn spread(words: &scenario::HintSpread, default: Spread) -> Spread {
    // The core divides, so that it needs no fraction; a share that is no whole part is the next smaller one.
    let divisor = words.share.map(|share| match share.ppm {
        0 => 0,
        ppm => 1_000_000_u32.div_ceil(ppm),
    });
    let none = divisor == Some(0);
    let least = if none { Duration::ZERO } else { default.least };
    let most = if none { Duration::ZERO } else { default.most };
    let least = or(words.at_least, least);
    Spread {
        divisor: divisor.unwrap_or(default.divisor),
        least,
        most: or(words.at_most, most.max(least)),
    }
}

fn timeouts(strategy: &Strategy, default: Timeouts) -> Timeouts {
    let words = strategy.timeouts;
    Timeouts {
        connect: or(words.connect, default.connect),
        first_token: or(words.first_token, default.first_token),
        idle: or(words.idle, default.idle),
        attempt: or(words.attempt, default.attempt),
        queue: or(strategy.limits.queue, default.queue),
        call: or(words.call, default.call),
        ..default
    }
}

fn budget(words: Budget) -> BudgetSettings {
    match words {
        Budget::Aws(words) => {
            // The classic numbers: https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html.
            let (capacity, retry_cost) = (words.capacity.unwrap_or(500), words.cost.unwrap_or(5));
            BudgetSettings::Aws {
                capacity,
                initial: capacity,
                retry_cost,
                timeout_cost: words.timeout_cost.unwrap_or(10),
                rate_limited_cost: words.limited_cost.unwrap_or(retry_cost),
                success_gain: 1,
            }
        }
        Budget::Concurrent(words) => BudgetSettings::Share {
            // Envoy's defaults.
            retries_min: words.at_least.unwrap_or(3),
            share_ppm: ppm(words.share, 200_000),
        },
        Budget::Grpc(words) => BudgetSettings::Grpc {
            // What the proposal shows as its example.
            tokens_max_milli: words.tokens.unwrap_or(10) * 1_000,
            token_ratio_milli: ppm(words.ratio, 100_000) / 1_000,
        },
        Budget::Ratio(words) => {
            let retries_max = words.saved.unwrap_or(100);
            BudgetSettings::Ratio {
                ratio_ppm: ppm(words.share, 100_000),
                retries_per_sec_min: words.per_second.unwrap_or(1),
                retries_max,
                retries_initial: words.initial.unwrap_or(retries_max),
            }
        }
    }
}

fn breaker(words: scenario::Breaker) -> BreakerSettings {
    let default = BreakerSettings::default();
    let outcomes_min = words.of.unwrap_or(default.outcomes_min);
    let open_min = or(words.open, default.open_min);
    BreakerSettings {
        outcomes_max: default.outcomes_max.max(outcomes_min),
        remember: or(words.within, default.remember),
        outcomes_min,
        failure_ppm: ppm(words.failures, default.failure_ppm),
        open_min,
        open_max: or(words.open_max, default.open_max.max(open_min)),
        trials: words.trials.unwrap_or(default.trials),
        ..default
    }
}

fn hedge(words: scenario::Hedge) -> HedgeSettings {
    let default = HedgeSettings::default();
    HedgeSettings {
        delay: match words.after {
            None => default.delay,
            Some(HedgeAfter::Span(span)) => HedgeDelay::Fixed(span.0),
            Some(HedgeAfter::Percentile(percent)) => match default.delay {
                HedgeDelay::Quantile { samples_min, delay_min, .. } => {
                    HedgeDelay::Quantile { ppm: percent * 10_000, samples_min, delay_min }
                }
                fixed @ HedgeDelay::Fixed(_) => fixed,
            },
        },
        hedges_max: words.at_most.unwrap_or(default.hedges_max),
        budget_ppm: ppm(words.share, default.budget_ppm),
        ..default
    }
}

fn throttle(words: scenario::Throttle) -> ShedSettings {
    let default = ShedSettings::default();
    let beyond = |factor: Factor| factor.millis.saturating_mul(1_000);
    ShedSettings {
        multiplier_ppm: words.beyond.map_or(default.multiplier_ppm, beyond),
        window: or(words.within, default.window),
    }
}

fn adaptive_concurrency(words: scenario::AdaptiveConcurrency) -> AimdSettings {
    let default = AimdSettings::default();
    let limit_initial = words.initial.unwrap_or_else(|| {
        let least = words.at_least.unwrap_or(default.limit_initial);
        default.limit_initial.max(least).min(words.at_most.unwrap_or(u32::MAX).max(least))
    });
    AimdSettings {
        limit_initial,
        limit_min: words.at_least.unwrap_or(default.limit_min.min(limit_initial)),
        limit_max: words.at_most.unwrap_or(default.limit_max.max(limit_initial)),
        beta_ppm: ppm(words.keep, default.beta_ppm),
        ..default
    }
}

/// The limits that a client keeps by itself, divided into so many parts; the core's dimensions name the usual period, and each limit carries its own.
fn quota(limits: &scenario::Limits, parts: u64) -> Option<Quota> {
    let limit = |dimension, rate: Option<Rate>| {
        rate.map(|rate| {
            let burst = (rate.count / parts).max(1);
            // What does not divide evenly is kept by a longer period, so that the parts together are the whole.
            let period = rate.period().as_nanos() * u128::from(burst) * u128::from(parts);
            let period = period / u128::from(rate.count.max(1));
            let period = Duration::from_nanos(u64::try_from(period).unwrap_or(u64::MAX));
            Limit { dimension, tokens: burst, burst, period }
        })
    };
    let all = [limit(Dimension::Rpm, limits.requests), limit(Dimension::Tpm, limits.tokens)];
    let all: Vec<Limit> = all.into_iter().flatten().collect();
    let some = !all.is_empty() || limits.concurrency.is_some();
    let concurrency = limits
        .concurrency
        .map(|permits| permits.div_ceil(u32::try_from(parts).unwrap_or(u32::MAX)));
    some.then(|| Quota { limits: all, concurrency, ..Quota::default() })
}

fn or(span: Option<Span>, default: Duration) -> Duration {
    span.map_or(default, |span| span.0)
}

fn ppm(share: Option<Share>, default: u32) -> u32 {
    share.map_or(default, |share| share.ppm)
}
