//! Which provider's way of speaking an answer is read in.

use std::fmt;

/// A provider whose errors and limit headers are known.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Provider {
    /// Anthropic's Messages API.
    Anthropic,
    /// OpenAI models on Azure.
    Azure,
    /// Amazon Bedrock's Converse API.
    Bedrock,
    /// Cohere's API, version 1 or 2.
    Cohere,
    /// Google's Gemini, by its own API or by Vertex.
    Gemini,
    /// Any other: read by status, and by whatever is common to most.
    Generic,
    /// Mistral's La Plateforme.
    Mistral,
    /// An Ollama server, by either of its APIs.
    Ollama,
    /// OpenAI's own API, and those that copy it faithfully.
    OpenAi,
    /// OpenRouter, which passes other providers' errors on.
    OpenRouter,
}

impl Provider {
    /// Every provider, in the order of their names.
    pub const ALL: [Self; 10] = [
        Self::Anthropic,
        Self::Azure,
        Self::Bedrock,
        Self::Cohere,
        Self::Gemini,
        Self::Generic,
        Self::Mistral,
        Self::Ollama,
        Self::OpenAi,
        Self::OpenRouter,
    ];

    /// The name in lower case, as it stands before a model: `openai`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Anthropic => "anthropic",
            Self::Azure => "azure",
            Self::Bedrock => "bedrock",
            Self::Cohere => "cohere",
            Self::Gemini => "gemini",
            Self::Generic => "generic",
            Self::Mistral => "mistral",
            Self::Ollama => "ollama",
            Self::OpenAi => "openai",
            Self::OpenRouter => "openrouter",
        }
    }
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
