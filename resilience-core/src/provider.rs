//! Which provider's way of speaking an answer is read in.

use std::fmt;

/// A provider whose errors and limit headers are known.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Provider {
    /// Anthropic's Messages API.
    Anthropic,
    /// OpenAI models on Azure.
    Azure,
    /// Any other: read by status, and by whatever is common to most.
    Generic,
    /// OpenAI's own API, and those that copy it faithfully.
    OpenAi,
}

impl Provider {
    /// The name in lower case, as it stands before a model: `openai`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Anthropic => "anthropic",
            Self::Azure => "azure",
            Self::Generic => "generic",
            Self::OpenAi => "openai",
        }
    }
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
