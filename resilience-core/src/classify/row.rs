//! One line of a provider's table: what its codes, types and messages mean.
//!
//! Rows are tried in order.
//! In each table those with a code come first, then those with a type, then those with a message only; among equals the more specific stands first.
//! A message often quotes the request, so a row that knows how the provider's sentence begins says so, and is not fooled by the same words further on.

use super::{
    anthropic, azure, bedrock, cohere, common, gemini, generic, mistral, ollama, openai, openrouter,
};
use crate::class::{Blame, Class};
use crate::provider::Provider;

/// If all conditions hold, this is what it is; an empty condition always holds.
#[derive(Debug)]
pub(super) struct Row {
    /// Any of these, or any at all.
    statuses: &'static [u16],
    /// Any of these codes.
    codes: &'static [&'static str],
    /// Any of these types.
    kinds: &'static [&'static str],
    /// Any of these in what the error says for machines beside its code.
    details: &'static [&'static str],
    /// The message, in lower case, begins with any of these.
    openings: &'static [&'static str],
    /// Any of these in the message, in lower case.
    messages: &'static [&'static str],
    /// Only for an answer whose headers neither ask for a wait nor tell of limits.
    without_hint: bool,
    /// What it is.
    pub(super) then: Then,
    /// Whose doing it is, if not whose it usually is.
    pub(super) blame: Option<Blame>,
}

/// What a row means; some meanings take numbers from the message.
#[derive(Clone, Copy, Debug)]
pub(super) enum Then {
    Is(Class),
    Overflow,
    RateLimit,
    TooLargeForLimit,
}

/// What a row looks at.
pub(super) struct Signs<'a> {
    pub(super) status: u16,
    pub(super) code: &'a str,
    pub(super) kind: &'a str,
    pub(super) details: &'a str,
    pub(super) message: &'a str,
    /// Whether the headers ask for a wait or tell of limits, if there are any headers.
    pub(super) hinted: Option<bool>,
}

impl Row {
    const ANY: Self = Self {
        statuses: &[],
        codes: &[],
        kinds: &[],
        details: &[],
        openings: &[],
        messages: &[],
        without_hint: false,
        then: Then::RateLimit,
        blame: None,
    };

    pub(super) const fn code(
        statuses: &'static [u16],
        codes: &'static [&'static str],
        then: Then,
    ) -> Self {
        Self { statuses, codes, then, ..Self::ANY }
    }

    pub(super) const fn details(
        statuses: &'static [u16],
        details: &'static [&'static str],
        then: Then,
    ) -> Self {
        Self { statuses, details, then, ..Self::ANY }
    }

    pub(super) const fn kind(
        statuses: &'static [u16],
        kinds: &'static [&'static str],
        then: Then,
    ) -> Self {
        Self { statuses, kinds, then, ..Self::ANY }
    }

    /// By how the message begins.
    pub(super) const fn opening(
        statuses: &'static [u16],
        openings: &'static [&'static str],
        then: Then,
    ) -> Self {
        Self { statuses, openings, then, ..Self::ANY }
    }

    /// By words anywhere in the message.
    pub(super) const fn message(
        statuses: &'static [u16],
        messages: &'static [&'static str],
        then: Then,
    ) -> Self {
        Self { statuses, messages, then, ..Self::ANY }
    }

    pub(super) const fn saying(mut self, messages: &'static [&'static str]) -> Self {
        self.messages = messages;
        self
    }

    pub(super) const fn beginning(mut self, openings: &'static [&'static str]) -> Self {
        self.openings = openings;
        self
    }

    pub(super) const fn without_hint(mut self) -> Self {
        self.without_hint = true;
        self
    }

    pub(super) const fn blaming(mut self, blame: Blame) -> Self {
        self.blame = Some(blame);
        self
    }

    pub(super) fn matches(&self, signs: &Signs<'_>) -> bool {
        let is = |list: &[&str], word| list.is_empty() || list.contains(word);
        let any = |list: &[&str], holds: &dyn Fn(&str) -> bool| {
            list.is_empty() || list.iter().any(|words| holds(words))
        };
        (self.statuses.is_empty() || self.statuses.contains(&signs.status))
            && is(self.codes, &signs.code)
            && is(self.kinds, &signs.kind)
            && (!self.without_hint || signs.hinted == Some(false))
            && any(self.details, &|words| signs.details.contains(words))
            && any(self.openings, &|words| signs.message.starts_with(words))
            && any(self.messages, &|words| signs.message.contains(words))
    }
}

/// The table of a provider, without what all have in common.
const fn table(provider: Provider) -> &'static [Row] {
    match provider {
        Provider::Anthropic => anthropic::ROWS,
        Provider::Azure => azure::ROWS,
        Provider::Bedrock => bedrock::ROWS,
        Provider::Cohere => cohere::ROWS,
        Provider::Gemini => gemini::ROWS,
        Provider::Generic => generic::ROWS,
        Provider::Mistral => mistral::ROWS,
        Provider::Ollama => ollama::ROWS,
        Provider::OpenAi => openai::ROWS,
        Provider::OpenRouter => openrouter::ROWS,
    }
}

/// A provider's own rows in order: codes that it shares with others, then its table.
fn rows(provider: Provider) -> impl Iterator<Item = &'static Row> {
    let shared = match provider {
        Provider::Generic | Provider::OpenAi => openai::CODES,
        _ => &[],
    };
    shared.iter().chain(table(provider))
}

/// The first row of the provider's that matches, or else of the common ones.
pub(super) fn find(provider: Provider, signs: &Signs<'_>) -> Option<&'static Row> {
    rows(provider).chain(common::ROWS).find(|row| row.matches(signs))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tables() -> impl Iterator<Item = Vec<&'static Row>> {
        let own = Provider::ALL.into_iter().map(|provider| rows(provider).collect());
        own.chain([common::ROWS.iter().collect()])
    }

    /// A message that comes before a code would decide in its place.
    #[test]
    fn codes_stand_before_types_and_types_before_messages() {
        for rows in tables() {
            let levels = rows.iter().map(|row| {
                if !row.codes.is_empty() || !row.details.is_empty() {
                    0
                } else if !row.kinds.is_empty() {
                    1
                } else {
                    2
                }
            });
            assert!(levels.is_sorted());
        }
    }

    #[test]
    fn messages_are_matched_in_lower_case() {
        for row in tables().flatten() {
            for words in row.messages.iter().chain(row.openings) {
                assert_eq!(*words, words.to_lowercase());
            }
        }
    }

    /// A row without a condition would hide those after it.
    #[test]
    fn every_row_asks_for_something_beside_the_status() {
        for row in tables().flatten() {
            let asked = [row.codes, row.kinds, row.details, row.openings, row.messages];
            assert!(asked.iter().any(|list| !list.is_empty()), "{row:?}");
        }
    }
}
