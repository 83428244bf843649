//! Where a call can be sent.

use std::sync::Arc;

use crate::limiter::Quota;
use crate::provider::Provider;
use crate::tokens::{Framing, TokenCounter, counter};

/// One provider, model and key.
#[derive(Clone, Debug)]
pub struct Target {
    /// What traces and errors call it; unique among the targets of a client.
    pub name: String,
    /// How its answers are read.
    pub provider: Provider,
    /// The model, as the provider names it.
    pub model: String,
    /// Which key it uses: a name for the key, never the key itself.
    ///
    /// Targets that share a credential share its fate: a spent quota or a refused key rests them all.
    pub credential: String,
    /// How long a conversation it takes.
    pub window: Window,
    /// What counts its tokens.
    pub counter: Arc<dyn TokenCounter>,
    /// The limits that we keep on our side, so that the provider need not refuse us.
    ///
    /// An attempt reserves its input and the most that its answer may have: [`Request::output_max`](crate::Request::output_max), or else [`Window::output`], 2,000 tokens unless told otherwise.
    /// What was reserved and not used stays charged unless [`Quota::charges_actual`] says otherwise.
    pub quota: Option<Quota>,
}

impl Target {
    /// A target named `provider/model`, with the provider's only key, the usual window, the best counter, and no quota.
    pub fn new(provider: Provider, model: &str) -> Self {
        Self {
            name: format!("{provider}/{model}"),
            provider,
            model: model.to_owned(),
            credential: provider.name().to_owned(),
            window: Window::of(provider, model),
            counter: counter(provider, model),
            quota: None,
        }
    }
}

/// The room in a model's context, in tokens.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Window {
    /// Input and output together.
    pub tokens: u64,
    /// What the answer may need: so much is kept free in the window, and reserved of the quota.
    pub output: u64,
    /// What is left free because no count of ours sees everything that a provider adds.
    pub buffer: u64,
    /// What costs tokens beside the texts.
    pub framing: Framing,
    /// Whether the first message after the system's must be the person's.
    pub user_first: bool,
    /// Whether the person and the model must take turns.
    ///
    /// Neither OpenAI nor Anthropic asks for it (Anthropic joins neighbours of one role); many chat templates of open models do.
    pub alternates: bool,
}

impl Window {
    /// The usual size, framed as the model's provider does.
    pub fn of(provider: Provider, model: &str) -> Self {
        Self {
            framing: Framing::of(provider, model),
            user_first: provider == Provider::Anthropic,
            ..Self::default()
        }
    }

    /// The tokens that a request may have, its tools and what begins the answer included.
    pub const fn budget(&self) -> u64 {
        self.tokens.saturating_sub(self.output).saturating_sub(self.buffer)
    }
}

impl Default for Window {
    /// 128,000 tokens, of which 2,000 are for the answer and 100 stay free; framed as OpenAI does; any order of roles.
    fn default() -> Self {
        Self {
            tokens: 128_000,
            // Some fifteen hundred words, more than most answers have; whoever wants longer ones says so.
            output: 2_000,
            // No count sees everything that a provider adds; a choice of ours.
            buffer: 100,
            framing: Framing::default(),
            user_first: false,
            alternates: false,
        }
    }
}
