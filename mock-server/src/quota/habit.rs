//! How each provider counts, where a scenario leaves it open.

use crate::plan::{OutputCharge, ProviderName, Window};

/// How a provider counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Habit {
    /// What a period is.
    pub(super) window: Window,
    /// How the output is charged.
    pub(super) output: OutputCharge,
    /// Whether the requests of a minute must also be spread over it, ten seconds by ten.
    pub(super) slices: bool,
}

impl Habit {
    /// The habit of a provider.
    #[expect(clippy::match_same_arms, reason = "each has a source of its own")]
    pub(super) fn of(provider: ProviderName) -> Self {
        use {OutputCharge as Charge, ProviderName as Name};

        let habit = |window, output| Self { window, output, slices: false };
        match provider {
            // https://docs.claude.com/en/api/rate-limits: a bucket that is continuously
            // replenished; output is counted as it is generated.
            Name::Anthropic => habit(Window::Bucket, Charge::Generated),
            // https://learn.microsoft.com/azure/ai-services/openai/how-to/quota: `max_tokens`
            // counts from the start, and requests in windows of one or ten seconds. Recorded:
            // its headers are a bucket's, `reset = used / limit × period`.
            Name::Azure => Self { slices: true, ..habit(Window::Bucket, Charge::Requested) },
            // https://docs.aws.amazon.com/bedrock/latest/userguide/quotas-token-burndown.html:
            // `max_tokens` is set aside, and what was not generated is given back.
            Name::Bedrock => habit(Window::Bucket, Charge::Reserved),
            // Unknown; after its neighbours.
            Name::Cohere | Name::Ollama => habit(Window::Bucket, Charge::Generated),
            // https://ai.google.dev/gemini-api/docs/rate-limits: input tokens, and days that end
            // at midnight Pacific time; minutes end with the clock's.
            Name::Gemini => habit(Window::Fixed, Charge::None),
            // Recorded: `x-ratelimit-tokens-query-cost` is input and output together; its gateway
            // counts the clock's minutes.
            Name::Mistral => habit(Window::Fixed, Charge::Generated),
            // Recorded: what an answer takes from the tokens is its input, since 2025.
            Name::OpenAi => habit(Window::Bucket, Charge::None),
            // Recorded: `X-RateLimit-Reset` is the clock's next minute, or midnight UTC.
            Name::OpenRouter => habit(Window::Fixed, Charge::Generated),
        }
    }
}
