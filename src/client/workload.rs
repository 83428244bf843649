//! What the built-in client does, from the words of the scenario.

use std::time::Duration;

use mock_server::{
    plan::ProviderName,
    units::{Rate, Span},
};
use resilience_core::{
    Backoff, Dimension, Fallback, Jitter, Limit, Message, Policy, Provider, Quota, Request, Retry,
    Target, Timeouts,
};

use crate::scenario;

/// The policy; whatever the scenario does not say is the core's default.
pub(super) fn policy(settings: &scenario::Client) -> Policy {
    let default = Policy::default();
    let or = |span: Option<Span>, default: Duration| span.map_or(default, |span| span.0);
    let backoff = Backoff {
        base: or(settings.backoff.base, default.retry.backoff.base),
        cap: or(settings.backoff.cap, default.retry.backoff.cap),
        jitter: match settings.backoff.jitter {
            Some(scenario::Jitter::Equal) => Jitter::Equal,
            Some(scenario::Jitter::None) => Jitter::None,
            Some(scenario::Jitter::Full) | None => Jitter::Full,
        },
        ..default.retry.backoff
    };
    let timeouts = settings.timeouts;
    Policy {
        retry: Retry {
            retries_max: settings.retries.unwrap_or(default.retry.retries_max),
            backoff,
            hint_max: or(settings.hint_max, default.retry.hint_max),
            ..default.retry
        },
        timeouts: Timeouts {
            connect: or(timeouts.connect, default.timeouts.connect),
            first_token: or(timeouts.first_token, default.timeouts.first_token),
            idle: or(timeouts.idle, default.timeouts.idle),
            attempt: or(timeouts.attempt, default.timeouts.attempt),
            call: or(timeouts.call, default.timeouts.call),
            ..default.timeouts
        },
        fallback: Fallback {
            wait_max: or(settings.fall_back_beyond, default.fallback.wait_max),
            cooldown: or(settings.cooldown, default.fallback.cooldown),
            ..default.fallback
        },
        // A scenario has no words for these yet, and its claims are about what it says.
        budget: None,
        breaker: None,
        ..default
    }
}

/// The targets, in order of preference.
pub(super) fn targets(settings: &scenario::Client) -> Vec<Target> {
    let quota = quota(&settings.limits);
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
    if settings.targets.is_empty() {
        return vec![target(ProviderName::OpenAi, "gpt-4o-mini")];
    }
    settings.targets.iter().map(|name| target(name.provider, &name.model)).collect()
}

/// The limits that the client keeps by itself; the core's dimensions name the usual period, and
/// each limit carries its own.
fn quota(limits: &scenario::Limits) -> Option<Quota> {
    let limit = |dimension, rate: Option<Rate>| {
        rate.map(|rate| Limit {
            dimension,
            tokens: rate.count,
            burst: rate.count,
            period: rate.period(),
        })
    };
    let limits = [limit(Dimension::Rpm, limits.requests), limit(Dimension::Tpm, limits.tokens)];
    let limits: Vec<Limit> = limits.into_iter().flatten().collect();
    (!limits.is_empty()).then_some(Quota { limits, ..Quota::default() })
}

/// The calls with their numbers and, if they come at a rate, the time at which each comes.
pub(super) fn arrivals(
    settings: &scenario::Client,
) -> Box<dyn Iterator<Item = (u64, Option<Duration>)> + Send> {
    let Some(arrivals) = settings.arrivals else {
        let calls = u64::from(settings.calls.unwrap_or(1));
        return Box::new((1..=calls).map(|call| (call, None)));
    };
    let (interval, span) = (arrivals.rate.interval(), arrivals.r#for.0);
    let times = (0_u32..).map(move |index| interval * index).take_while(move |&at| at < span);
    Box::new((1..).zip(times.map(Some)))
}

/// How many calls are under way at a time.
pub(super) fn concurrency(settings: &scenario::Client) -> usize {
    settings.concurrency.and_then(|count| usize::try_from(count).ok()).unwrap_or(1)
}

/// The request of a call; no two calls ask the same.
pub(super) fn request(settings: &scenario::Client, call: u64) -> Request {
    let turns = settings.prompt.turns.unwrap_or(1).max(1);
    let words = settings.prompt.tokens.unwrap_or(20) / u64::from(turns);
    // A common English word with its space is one token to every tokenizer that we know.
    let filler = " word".repeat(usize::try_from(words).unwrap_or(usize::MAX >> 8));
    let mut messages = vec![Message::system("You are a careful assistant.")];
    for turn in 1..=turns {
        // The last turn is the user's, and they alternate.
        let users = (turns - turn).is_multiple_of(2);
        let text = match (users, turn == turns) {
            (true, true) => format!("Question {call}:{filler}?"),
            (true, false) => format!("Earlier question {turn} of {call}:{filler}?"),
            (false, _) => format!("Earlier answer {turn} of {call}:{filler}."),
        };
        messages.push(if users { Message::user(text) } else { Message::assistant(text) });
    }
    let mut request = Request::new(messages);
    request.output_max = Some(settings.output_tokens.unwrap_or(500));
    if settings.streaming { request.streaming() } else { request }
}

#[cfg(test)]
mod tests {
    use resilience_core::Role;

    use super::*;

    fn settings(yaml: serde_json::Value) -> scenario::Client {
        serde_json::from_value(yaml).unwrap()
    }

    #[test]
    fn arrivals_come_at_their_rate_and_end() {
        let settings =
            settings(serde_json::json!({ "arrivals": { "rate": "20/s", "for": "3min" } }));
        let calls: Vec<_> = arrivals(&settings).collect();
        assert_eq!(calls.len(), 3_600);
        assert_eq!(calls[20], (21, Some(Duration::from_secs(1))));
    }

    #[test]
    fn a_conversation_ends_with_the_user_and_has_its_size() {
        let settings = settings(serde_json::json!({ "prompt": { "tokens": 600, "turns": 4 } }));
        let request = request(&settings, 7);
        let roles: Vec<Role> = request.messages.iter().map(|message| message.role).collect();
        assert_eq!(roles, [Role::System, Role::Assistant, Role::User, Role::Assistant, Role::User]);
        let target = &targets(&settings)[0];
        let tokens: u64 =
            request.messages.iter().map(|message| target.counter.count(&message.text)).sum();
        assert!((600..=700).contains(&tokens), "{tokens}");
    }
}
