//! Quotas by provider tier, as far as they are known.
//!
//! Providers change these tables without notice; what an account really has stands in its limit headers, which [`crate::parts::Limiter::set_limit`] takes in.
//! The numbers were collected in 2026: OpenAI's from recorded headers and its [rate limit guide](https://platform.openai.com/docs/guides/rate-limits), Anthropic's from its [2025 table](https://docs.anthropic.com/en/api/rate-limits), Azure's rule from its [quota page](https://learn.microsoft.com/azure/ai-services/openai/how-to/quota), Gemini's from public error bodies.

use std::time::Duration;

use crate::class::Dimension;
use crate::limiter::{Guarantee, Limit, Oversize, Quota};

/// What an account has paid for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Tier {
    /// Anthropic's usage tiers 1 to 4; 0 is access without one.
    Anthropic(u8),
    /// An Azure deployment with so many tokens a minute.
    ///
    /// It comes with six requests a minute for each thousand tokens, counted in windows of one to ten seconds.
    Azure {
        /// Tokens a minute.
        tokens: u64,
    },
    /// Gemini without a bill: the lowest numbers that were seen.
    GeminiFree,
    /// OpenAI's usage tiers 1 to 5.
    OpenAi(u8),
    /// The lowest limits that OpenAI's headers have shown for a model, where its tiers are not known.
    OpenAiLowest,
}

impl Tier {
    /// The quota of a model, or `None` where it is not known.
    ///
    /// A dated snapshot of an OpenAI model counts as the model, and an Azure deployment may have any name.
    pub fn quota(self, model: &str) -> Option<Quota> {
        match self {
            Self::Anthropic(tier) => {
                let limits = match tier {
                    0 => vec![Limit::per_minute(Dimension::Rpm, 5)],
                    1 => anthropic(50, 30_000, 8_000),
                    2 => anthropic(1_000, 450_000, 90_000),
                    3 => anthropic(2_000, 800_000, 160_000),
                    4 => anthropic(4_000, 2_000_000, 400_000),
                    _ => return None,
                };
                model.starts_with("claude").then(|| Quota { limits, ..Quota::default() })
            }
            Self::Azure { tokens } => (tokens > 0).then(|| azure(tokens)),
            Self::GeminiFree => Some(windows(match model {
                "gemini-2.5-flash" => vec![
                    Limit::per_minute(Dimension::Rpm, 10),
                    Limit::per_day(Dimension::Rpd, 20),
                    Limit::per_minute(Dimension::Itpm, 250_000),
                ],
                "gemini-2.5-pro" => vec![
                    Limit::per_minute(Dimension::Rpm, 2),
                    Limit::per_minute(Dimension::Itpm, 125_000),
                ],
                _ => return None,
            })),
            Self::OpenAi(tier) => {
                let row = OPENAI_BY_TIER
                    .iter()
                    .find(|(of, name, _)| *of == tier && is_snapshot(model, name))?;
                Some(row.2.quota())
            }
            Self::OpenAiLowest => {
                let row = OPENAI_LOWEST.iter().find(|(name, _)| is_snapshot(model, name))?;
                Some(row.1.quota())
            }
        }
    }
}

/// Requests and tokens, as OpenAI names them: the requests by whichever period is the tighter.
#[derive(Clone, Copy, Debug)]
enum Rate {
    Day(u64, u64),
    Minute(u64, u64),
}

impl Rate {
    fn quota(self) -> Quota {
        let (requests, tokens) = match self {
            Self::Day(requests, tokens) => (Limit::per_day(Dimension::Rpd, requests), tokens),
            Self::Minute(requests, tokens) => (Limit::per_minute(Dimension::Rpm, requests), tokens),
        };
        let limits = vec![requests, Limit::per_minute(Dimension::Tpm, tokens)];
        Quota { limits, ..Quota::default() }
    }
}

fn anthropic(requests: u64, input: u64, output: u64) -> Vec<Limit> {
    vec![
        Limit::per_minute(Dimension::Rpm, requests),
        Limit::per_minute(Dimension::Itpm, input),
        Limit::per_minute(Dimension::Otpm, output),
    ]
}

fn azure(tokens: u64) -> Quota {
    let requests = (tokens.saturating_mul(6) / 1_000).max(1);
    // A minute's requests are spread over the shortest windows in which they may be counted.
    let within = |secs: u64| {
        let tokens = (requests.saturating_mul(secs) / 60).max(1);
        let period = Duration::from_secs(secs);
        Limit { dimension: Dimension::Rpm, tokens, burst: tokens.div_ceil(10), period }
    };
    windows(vec![
        Limit::per_minute(Dimension::Rpm, requests),
        within(10),
        within(1),
        Limit::per_minute(Dimension::Tpm, tokens),
    ])
}

/// Limits that are counted in windows, with small bursts; a large request is paid for afterwards.
fn windows(limits: Vec<Limit>) -> Quota {
    let smooth = |limit: Limit| {
        if limit.burst == limit.tokens { limit.with_smooth_burst(1) } else { limit }
    };
    Quota {
        limits: limits.into_iter().map(smooth).collect(),
        guarantee: Guarantee::Strict { jitter: Duration::ZERO },
        oversize: Oversize::Debt,
        ..Quota::default()
    }
}

/// Whether a model is the named one, or a dated snapshot of it.
fn is_snapshot(model: &str, name: &str) -> bool {
    model.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with("-20"))
}

const OPENAI_BY_TIER: [(u8, &str, Rate); 6] = [
    (1, "gpt-4o", Rate::Minute(500, 30_000)),
    (2, "gpt-4o", Rate::Minute(5_000, 450_000)),
    (3, "gpt-4o", Rate::Minute(5_000, 800_000)),
    (4, "gpt-4o", Rate::Minute(10_000, 2_000_000)),
    (5, "gpt-4o", Rate::Minute(10_000, 30_000_000)),
    (1, "gpt-4o-mini", Rate::Day(10_000, 200_000)),
];

const OPENAI_LOWEST: [(&str, Rate); 11] = [
    ("davinci-002", Rate::Minute(3_000, 250_000)),
    ("gpt-3.5-turbo", Rate::Day(200, 40_000)),
    ("gpt-4", Rate::Day(10_000, 10_000)),
    ("gpt-4.1", Rate::Minute(500, 30_000)),
    ("gpt-4.1-nano", Rate::Minute(500, 200_000)),
    ("gpt-4o", Rate::Minute(500, 30_000)),
    ("gpt-4o-mini", Rate::Day(10_000, 200_000)),
    ("gpt-5", Rate::Minute(500, 500_000)),
    ("gpt-5-nano", Rate::Minute(500, 200_000)),
    ("gpt-5.4", Rate::Minute(500, 500_000)),
    ("text-embedding-3-small", Rate::Minute(3_000, 1_000_000)),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(tier: Tier, model: &str) -> Option<Vec<(Dimension, u64)>> {
        let quota = tier.quota(model)?;
        assert_eq!(quota.mistakes(), [], "{tier:?} {model}");
        Some(quota.limits.iter().map(|limit| (limit.dimension, limit.tokens)).collect())
    }

    #[test]
    fn a_tier_is_known_or_it_is_not() {
        use Dimension::{Itpm, Otpm, Rpd, Rpm, Tpm};

        for (tier, model, expected) in [
            (Tier::OpenAi(2), "gpt-4o-2024-08-06", Some(vec![(Rpm, 5_000), (Tpm, 450_000)])),
            (Tier::OpenAi(1), "gpt-4o-mini", Some(vec![(Rpd, 10_000), (Tpm, 200_000)])),
            (Tier::OpenAi(2), "gpt-4o-mini", None),
            (Tier::OpenAi(6), "gpt-4o", None),
            (Tier::OpenAiLowest, "gpt-4.1", Some(vec![(Rpm, 500), (Tpm, 30_000)])),
            (Tier::OpenAiLowest, "gpt-4.1-mini", None),
            (
                Tier::Anthropic(3),
                "claude-haiku-4-5",
                Some(vec![(Rpm, 2_000), (Itpm, 800_000), (Otpm, 160_000)]),
            ),
            (Tier::Anthropic(0), "claude-haiku-4-5", Some(vec![(Rpm, 5)])),
            (Tier::Anthropic(1), "gpt-4o", None),
            (Tier::GeminiFree, "gemini-2.5-pro", Some(vec![(Rpm, 2), (Itpm, 125_000)])),
            (Tier::GeminiFree, "gemini-2.5-flash-lite", None),
            (
                Tier::Azure { tokens: 120_000 },
                "mine",
                Some(vec![(Rpm, 720), (Rpm, 120), (Rpm, 12), (Tpm, 120_000)]),
            ),
            (Tier::Azure { tokens: 0 }, "mine", None),
        ] {
            assert_eq!(numbers(tier, model), expected, "{tier:?} {model}");
        }
    }

    #[test]
    fn every_row_can_be_kept() {
        for (tier, model, _) in OPENAI_BY_TIER {
            assert!(numbers(Tier::OpenAi(tier), model).is_some());
        }
        for (model, _) in OPENAI_LOWEST {
            assert!(numbers(Tier::OpenAiLowest, model).is_some());
        }
        for tokens in [1, 999, 1_000, 50_000, 1_000_000, 300_000_000] {
            assert!(numbers(Tier::Azure { tokens }, "mine").is_some());
        }
        assert!(numbers(Tier::GeminiFree, "gemini-2.5-flash").is_some());
    }
}
