//! What the accounts of each provider may do, by usage tier and model.
//!
//! Providers change these numbers without notice. Those that were seen in recorded headers and
//! bodies are as seen, the others as documented when they were collected, in 2025 and 2026.

use std::{fmt, str::FromStr};

use crate::{
    action::Dimension,
    plan::ProviderName,
    units::{Period, Rate, UnitMistake},
    written_as_text,
};

/// A usage tier of a provider, such as `openai/1` or `gemini/free`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tier {
    provider: ProviderName,
    name: &'static str,
}

/// What a tier allows a family of models.
#[derive(Clone, Copy, Debug)]
pub struct Allowance {
    tier: Tier,
    /// How the names of the models begin.
    models: &'static str,
    requests: &'static [Rate],
    tokens: &'static [Rate],
    input: &'static [Rate],
    output: &'static [Rate],
    source: &'static str,
}

impl Tier {
    /// Whose tier it is.
    pub fn provider(self) -> ProviderName {
        self.provider
    }

    /// What it allows a model: the row whose name is longest; none if no row is the model's.
    pub fn limits(self, model: &str) -> Option<&'static Allowance> {
        let mine = ALLOWANCES.iter().filter(|row| row.tier == self);
        mine.filter(|row| row.is_for(model)).max_by_key(|row| row.models.len())
    }

    /// Every tier, in the order of their names.
    pub fn all() -> impl Iterator<Item = Self> {
        let mut tiers = Vec::new();
        for row in ALLOWANCES {
            if !tiers.contains(&row.tier) {
                tiers.push(row.tier);
            }
        }
        tiers.into_iter()
    }
}

impl Allowance {
    /// The limits on a dimension, none if it is not limited.
    pub fn rates(&self, dimension: Dimension) -> &'static [Rate] {
        match dimension {
            Dimension::Concurrency => &[],
            Dimension::InputTokens => self.input,
            Dimension::OutputTokens => self.output,
            Dimension::Requests => self.requests,
            Dimension::Tokens => self.tokens,
        }
    }

    /// Where the numbers are known from.
    pub fn source(&self) -> &'static str {
        self.source
    }

    /// Whether a model is of the family: `gpt-4` is not `gpt-4o`.
    fn is_for(&self, model: &str) -> bool {
        if let Some(suffix) = self.models.strip_prefix('*') {
            return model.ends_with(suffix);
        }
        let rest = model.strip_prefix(self.models);
        rest.is_some_and(|rest| {
            self.models.is_empty() || rest.is_empty() || rest.starts_with(['-', ':', '@'])
        })
    }
}

impl FromStr for Tier {
    type Err = UnitMistake;

    fn from_str(text: &str) -> Result<Self, UnitMistake> {
        if let Some(tier) = Self::all().find(|tier| tier.to_string() == text) {
            return Ok(tier);
        }
        let provider = text.split('/').next().unwrap_or_default();
        let of_provider = || Self::all().filter(|tier| tier.provider.name() == provider);
        let known: Vec<String> = match of_provider().next() {
            Some(_) => of_provider().map(|tier| format!("`{tier}`")).collect(),
            None => Self::all().map(|tier| format!("`{tier}`")).collect(),
        };
        let help = format!("the known tiers are {}", known.join(", "));
        Err(UnitMistake { message: "is no known tier", help })
    }
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.provider.name(), self.name)
    }
}

written_as_text! {
    /// Checks a text against a format of a quota; `None` if there is no such format.
    pub fn check, otherwise crate::units::check;
    Tier, "tier";
}

/// The limits of one row, with the source of the rows around it.
macro_rules! allowances {
    ($($provider:ident, $source:literal {
        $($tier:literal $models:literal: $($dimension:ident $rates:tt),+;)+
    })+) => {
        &[$($(Allowance {
            $($dimension: &$rates,)+
            ..row(ProviderName::$provider, $tier, $models, $source)
        },)+)+]
    };
}

/// Everything that is known; the row of an empty name is for every other model.
static ALLOWANCES: &[Allowance] = allowances! {
    Anthropic, "https://docs.anthropic.com/en/api/rate-limits in 2025; tiers 2 and 4, recorded" {
        "none" "": requests [min(5)];
        "1" "": requests [min(50)], input [min(30_000)], output [min(8_000)];
        "2" "": requests [min(1_000)], input [min(450_000)], output [min(90_000)];
        "3" "": requests [min(2_000)], input [min(800_000)], output [min(160_000)];
        "4" "": requests [min(4_000)], input [min(2_000_000)], output [min(400_000)];
    }
    Anthropic, "https://platform.claude.com/docs/en/api/rate-limits in 2026; recorded" {
        "scale" "": requests [min(4_000)], input [min(4_000_000)], output [min(800_000)];
    }
    Cohere, "headers of a trial key, recorded; https://docs.cohere.com/docs/rate-limits" {
        "trial" "": requests [min(20)], tokens [min(100_000)];
        "trial" "embed": requests [min(100)];
        "production" "": requests [min(500)];
        "production" "embed": requests [min(2_000)];
    }
    Gemini, "values in public error bodies; https://ai.google.dev/gemini-api/docs/rate-limits" {
        "free" "": requests [min(10), day(250)], input [min(250_000)];
        "free" "gemini-2.0-flash": requests [min(15), day(200)], input [min(1_000_000)];
        "free" "gemini-2.5-flash": requests [min(10), day(250)], input [min(250_000)];
        "free" "gemini-2.5-flash-lite": requests [min(15), day(1_000)], input [min(250_000)];
        "free" "gemini-2.5-pro": requests [min(5), day(100)], input [min(250_000)];
        "1" "": requests [min(1_000), day(10_000)], input [min(1_000_000)];
        "1" "gemini-2.0-flash": requests [min(2_000)], input [min(4_000_000)];
        "1" "gemini-2.5-flash": requests [min(1_000), day(10_000)], input [min(1_000_000)];
        "1" "gemini-2.5-pro": requests [min(150), day(10_000)], input [min(2_000_000)];
    }
    Mistral, "headers of 2026, recorded" {
        "1" "": requests [min(100)], tokens [min(100_000)];
        "1" "mistral-embed": requests [min(360)], tokens [min(100_000)];
    }
    OpenAi, "https://platform.openai.com/docs/guides/rate-limits; headers, recorded" {
        "free" "": requests [min(3), day(200)], tokens [min(40_000)];
        "1" "": requests [min(500)], tokens [min(30_000)];
        "1" "davinci-002": requests [min(3_000)], tokens [min(250_000)];
        "1" "gpt-3.5-turbo": requests [min(500), day(10_000)], tokens [min(200_000)];
        "1" "gpt-4": requests [min(500), day(10_000)], tokens [min(10_000)];
        "1" "gpt-4.1-mini": requests [min(500)], tokens [min(200_000)];
        "1" "gpt-4.1-nano": requests [min(500)], tokens [min(200_000)];
        "1" "gpt-4o-mini": requests [min(500), day(10_000)], tokens [min(200_000)];
        "1" "gpt-5": requests [min(500)], tokens [min(500_000)];
        "1" "gpt-5-nano": requests [min(500)], tokens [min(200_000)];
        "1" "gpt-5.4": requests [min(500)], tokens [min(500_000)];
        "1" "text-embedding": requests [min(3_000)], tokens [min(1_000_000)];
        "2" "": requests [min(5_000)], tokens [min(450_000)];
        "2" "gpt-3.5-turbo": requests [min(3_500)], tokens [min(2_000_000)];
        "2" "gpt-4": requests [min(5_000)], tokens [min(40_000)];
        "2" "gpt-4.1-mini": requests [min(5_000)], tokens [min(2_000_000)];
        "2" "gpt-4.1-nano": requests [min(5_000)], tokens [min(2_000_000)];
        "2" "gpt-4o-mini": requests [min(5_000)], tokens [min(2_000_000)];
        "2" "gpt-5": requests [min(5_000)], tokens [min(1_000_000)];
        "2" "gpt-5-mini": requests [min(5_000)], tokens [min(2_000_000)];
        "2" "gpt-5-nano": requests [min(5_000)], tokens [min(2_000_000)];
        "2" "gpt-5.4": requests [min(5_000)], tokens [min(1_000_000)];
        "2" "text-embedding": requests [min(5_000)], tokens [min(1_000_000)];
        "3" "": requests [min(5_000)], tokens [min(800_000)];
        "3" "gpt-3.5-turbo": requests [min(3_500)], tokens [min(4_000_000)];
        "3" "gpt-4": requests [min(5_000)], tokens [min(80_000)];
        "3" "gpt-4.1-mini": requests [min(5_000)], tokens [min(4_000_000)];
        "3" "gpt-4.1-nano": requests [min(5_000)], tokens [min(4_000_000)];
        "3" "gpt-4o-mini": requests [min(5_000)], tokens [min(4_000_000)];
        "3" "gpt-5": requests [min(5_000)], tokens [min(2_000_000)];
        "3" "gpt-5-mini": requests [min(5_000)], tokens [min(4_000_000)];
        "3" "gpt-5-nano": requests [min(5_000)], tokens [min(4_000_000)];
        "3" "text-embedding": requests [min(5_000)], tokens [min(5_000_000)];
        "4" "": requests [min(10_000)], tokens [min(2_000_000)];
        "4" "gpt-3.5-turbo": requests [min(10_000)], tokens [min(10_000_000)];
        "4" "gpt-4": requests [min(10_000)], tokens [min(300_000)];
        "4" "gpt-4.1-mini": requests [min(10_000)], tokens [min(10_000_000)];
        "4" "gpt-4.1-nano": requests [min(10_000)], tokens [min(10_000_000)];
        "4" "gpt-4o-mini": requests [min(10_000)], tokens [min(10_000_000)];
        "4" "gpt-5": requests [min(10_000)], tokens [min(4_000_000)];
        "4" "gpt-5-mini": requests [min(10_000)], tokens [min(10_000_000)];
        "4" "gpt-5-nano": requests [min(10_000)], tokens [min(10_000_000)];
        "4" "text-embedding": requests [min(10_000)], tokens [min(5_000_000)];
        "5" "": requests [min(10_000)], tokens [min(30_000_000)];
        "5" "gpt-3.5-turbo": requests [min(10_000)], tokens [min(50_000_000)];
        "5" "gpt-4": requests [min(10_000)], tokens [min(1_000_000)];
        "5" "gpt-4.1-mini": requests [min(30_000)], tokens [min(150_000_000)];
        "5" "gpt-4.1-nano": requests [min(30_000)], tokens [min(150_000_000)];
        "5" "gpt-4o-mini": requests [min(30_000)], tokens [min(150_000_000)];
        "5" "gpt-5": requests [min(15_000)], tokens [min(40_000_000)];
        "5" "gpt-5-mini": requests [min(30_000)], tokens [min(180_000_000)];
        "5" "gpt-5-nano": requests [min(30_000)], tokens [min(180_000_000)];
        "5" "gpt-5.4": requests [min(15_000)], tokens [min(40_000_000)];
        "5" "text-embedding": requests [min(10_000)], tokens [min(10_000_000)];
    }
    OpenRouter, "error bodies quoted in public issues" {
        "free" "*:free": requests [min(20), day(50)];
        "paid" "*:free": requests [min(20), day(1_000)];
    }
};

const fn row(
    provider: ProviderName,
    name: &'static str,
    models: &'static str,
    source: &'static str,
) -> Allowance {
    let tier = Tier { provider, name };
    Allowance { tier, models, requests: &[], tokens: &[], input: &[], output: &[], source }
}

const fn min(count: u64) -> Rate {
    Rate { count, per: Period::Minute }
}

const fn day(count: u64) -> Rate {
    Rate { count, per: Period::Day }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_tier_knows_the_model_by_its_longest_name() {
        for (tier, model, requests, tokens) in [
            ("openai/1", "gpt-4o", "500/min", "30000/min"),
            ("openai/1", "gpt-4o-mini-2024-07-18", "500/min 10000/day", "200000/min"),
            ("openai/1", "gpt-4-0613", "500/min 10000/day", "10000/min"),
            ("openai/5", "text-embedding-3-small", "10000/min", "10000000/min"),
            ("openrouter/free", "deepseek/deepseek-chat:free", "20/min 50/day", ""),
            ("cohere/trial", "embed-v4.0", "100/min", ""),
        ] {
            let tier: Tier = tier.parse().unwrap();
            let row = tier.limits(model).unwrap();
            let rates = |dimension| {
                let rates = row.rates(dimension).iter().map(ToString::to_string);
                rates.collect::<Vec<_>>().join(" ")
            };
            let found = (rates(Dimension::Requests), rates(Dimension::Tokens));
            assert_eq!(found, (requests.to_owned(), tokens.to_owned()), "{tier} {model}");
        }
        // Who pays for a model has no limit there.
        let free: Tier = "openrouter/free".parse().unwrap();
        assert!(free.limits("openai/gpt-4o").is_none());
    }

    #[test]
    fn no_row_is_there_twice_or_without_a_source() {
        let mut known = BTreeSet::new();
        for row in ALLOWANCES {
            assert!(known.insert((row.tier.to_string(), row.models)), "{row:?}");
            assert!(!row.source().is_empty(), "{row:?}");
        }
    }

    #[test]
    fn an_unknown_tier_is_told_the_known_ones() {
        let mistake = "anthropic/9".parse::<Tier>().unwrap_err();
        assert!(mistake.help.contains("`anthropic/4`"), "{mistake:?}");
        assert!(!mistake.help.contains("openai"), "{mistake:?}");
        assert!("groq".parse::<Tier>().unwrap_err().help.contains("`openai/1`"));
    }
}
