//! The provider part of a scenario, compiled: nothing left to parse, nothing that can be wrong.
//!
//! The plan knows what the provider does and when, and refuses to know where that was written;
//! whoever compiles a plan keeps the table from a rule or step to its place in the file.

use std::{borrow::Cow, fmt, marker::PhantomData, ops::Deref, time::Duration};

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::{
    action::{Action, Dimension},
    quota::Tier,
    units::{Delay, Length, Ordinals, Portion, Price, Rate, Share, Span, TaskStep},
};

/// What one lane's provider does.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// The provider in health.
    pub provider: Provider,
    /// What happens before any request.
    pub connections: Vec<ConnectionRule>,
    /// What it does to requests, tried in order.
    pub rules: Vec<Rule>,
    /// What tells the lanes of its server apart, where a request does not name one.
    pub lanes: LaneKey,
    /// Where it stops.
    pub limits: Limits,
}

/// "When this request, do that."
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Rule {
    /// Which requests match; a match is a hit.
    pub when: When,
    /// Which hits the rule acts on.
    pub pick: Pick,
    /// Where hits are counted and where a script's position is kept.
    pub per: Scope,
    /// What it does.
    pub act: Act,
    /// The name of a draw shared with other rules; by default the rule draws for itself.
    pub draw: Option<String>,
}

/// What a rule does when it acts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum Act {
    /// One action, each time.
    Fault(Action),
    /// Actions in order; `times` is unrolled by the reader.
    Script {
        /// The steps, at least one.
        steps: Vec<Action>,
        /// What follows the last step.
        then: Then,
    },
}

/// Which hits of a rule it acts on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Pick {
    /// Every one.
    Always,
    /// Each with this chance.
    Chance(Share),
    /// The n-th, 2n-th, 3n-th and so on; n is at least 1.
    Every(u64),
    /// k of every n, in a drawn order.
    Exactly(Portion),
    /// Those in a range.
    Hits(Ordinals),
}

/// The conditions of a rule; all of them must hold, and none means every request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct When {
    /// The route, such as `openai.chat` or `anthropic.messages`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route: Option<Route>,
    /// The provider, such as `openai`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider: Option<ProviderName>,
    /// The model asked for; `*` stands for any text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The key used; `*` stands for any text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Header values by header name; `*` stands for any text.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub header: IndexMap<String, String>,
    /// Body values by path, such as `messages.0.role`; `*` stands for any text.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub body: IndexMap<String, String>,
    /// Whether the request asks for a stream.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub streaming: Option<bool>,
    /// From when on, counted from the lane's first request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<Span>,
    /// Until when, not included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Span>,
}

/// Makes the routes, each with its provider, what it is for and its name, from one list.
macro_rules! routes {
    ($($(#[$doc:meta])* $variant:ident: $provider:ident, $service:ident, $name:literal;)*) => {
        /// The routes that are served.
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
            JsonSchema,
        )]
        pub enum Route {
            $($(#[$doc])* #[serde(rename = $name)] $variant,)*
        }

        impl Route {
            /// Every route, in the order of their names.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Whose route it is.
            pub fn provider(self) -> ProviderName {
                match self {
                    $(Self::$variant => ProviderName::$provider,)*
                }
            }

            /// What it is for.
            pub fn service(self) -> Service {
                match self {
                    $(Self::$variant => Service::$service,)*
                }
            }

            /// The route's name in the scenario language.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }
        }
    };
}

routes! {
    /// Anthropic's token counting.
    AnthropicCountTokens: Anthropic, Count, "anthropic.count-tokens";
    /// Anthropic's Messages.
    AnthropicMessages: Anthropic, Generate, "anthropic.messages";
    /// Anthropic's list of models.
    AnthropicModels: Anthropic, List, "anthropic.models";
    /// Azure's Chat Completions.
    AzureChat: Azure, Generate, "azure.chat";
    /// Azure's legacy Completions.
    AzureCompletions: Azure, Generate, "azure.completions";
    /// Azure's Embeddings.
    AzureEmbeddings: Azure, Embed, "azure.embeddings";
    /// Azure's Responses.
    AzureResponses: Azure, Generate, "azure.responses";
    /// Bedrock's Converse.
    BedrockConverse: Bedrock, Generate, "bedrock.converse";
    /// Bedrock's token counting.
    BedrockCountTokens: Bedrock, Count, "bedrock.count-tokens";
    /// Cohere's Chat.
    CohereChat: Cohere, Generate, "cohere.chat";
    /// Cohere's Chat, version 1.
    CohereChatV1: Cohere, Generate, "cohere.chat-v1";
    /// Cohere's Embed.
    CohereEmbed: Cohere, Embed, "cohere.embed";
    /// Cohere's Embed, version 1.
    CohereEmbedV1: Cohere, Embed, "cohere.embed-v1";
    /// Cohere's list of models.
    CohereModels: Cohere, List, "cohere.models";
    /// Gemini's token counting.
    GeminiCountTokens: Gemini, Count, "gemini.count-tokens";
    /// Gemini's embeddings.
    GeminiEmbed: Gemini, Embed, "gemini.embed";
    /// Gemini's content generation.
    GeminiGenerate: Gemini, Generate, "gemini.generate";
    /// Gemini's list of models.
    GeminiModels: Gemini, List, "gemini.models";
    /// Mistral's Chat Completions.
    MistralChat: Mistral, Generate, "mistral.chat";
    /// Mistral's Embeddings.
    MistralEmbeddings: Mistral, Embed, "mistral.embeddings";
    /// Mistral's completion in the middle of a text.
    MistralFim: Mistral, Generate, "mistral.fim";
    /// Mistral's list of models.
    MistralModels: Mistral, List, "mistral.models";
    /// Ollama's Chat.
    OllamaChat: Ollama, Generate, "ollama.chat";
    /// Ollama's embeddings.
    OllamaEmbed: Ollama, Embed, "ollama.embed";
    /// Ollama's embedding of one prompt, as it was before.
    OllamaEmbeddings: Ollama, Embed, "ollama.embeddings";
    /// Ollama's text completion.
    OllamaGenerate: Ollama, Generate, "ollama.generate";
    /// Ollama's list of models.
    OllamaModels: Ollama, List, "ollama.models";
    /// Ollama's list of the models in memory.
    OllamaPs: Ollama, List, "ollama.ps";
    /// What Ollama tells of one model.
    OllamaShow: Ollama, List, "ollama.show";
    /// Chat Completions in OpenAI's form.
    OllamaV1Chat: Ollama, Generate, "ollama.v1-chat";
    /// Completions in OpenAI's form.
    OllamaV1Completions: Ollama, Generate, "ollama.v1-completions";
    /// Embeddings in OpenAI's form.
    OllamaV1Embeddings: Ollama, Embed, "ollama.v1-embeddings";
    /// The list of models in OpenAI's form.
    OllamaV1Models: Ollama, List, "ollama.v1-models";
    /// Ollama's version.
    OllamaVersion: Ollama, List, "ollama.version";
    /// OpenAI's Chat Completions.
    OpenAiChat: OpenAi, Generate, "openai.chat";
    /// OpenAI's legacy Completions.
    OpenAiCompletions: OpenAi, Generate, "openai.completions";
    /// OpenAI's Embeddings.
    OpenAiEmbeddings: OpenAi, Embed, "openai.embeddings";
    /// OpenAI's list of models.
    OpenAiModels: OpenAi, List, "openai.models";
    /// OpenAI's Responses.
    OpenAiResponses: OpenAi, Generate, "openai.responses";
    /// OpenRouter's Chat Completions.
    OpenRouterChat: OpenRouter, Generate, "openrouter.chat";
    /// OpenRouter's Completions.
    OpenRouterCompletions: OpenRouter, Generate, "openrouter.completions";
    /// OpenRouter's Embeddings.
    OpenRouterEmbeddings: OpenRouter, Embed, "openrouter.embeddings";
    /// OpenRouter's list of models.
    OpenRouterModels: OpenRouter, List, "openrouter.models";
}

/// What a route is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// It counts the tokens of a request.
    Count,
    /// It turns texts into vectors.
    Embed,
    /// It writes a text or calls a tool: its answers carry marks.
    Generate,
    /// It lists the models.
    List,
}

/// The providers that are spoken or recognised.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum ProviderName {
    /// Anthropic.
    Anthropic,
    /// Azure OpenAI.
    Azure,
    /// AWS Bedrock.
    Bedrock,
    /// Cohere.
    Cohere,
    /// Google's Gemini.
    Gemini,
    /// Mistral.
    Mistral,
    /// Ollama.
    Ollama,
    /// OpenAI.
    OpenAi,
    /// OpenRouter.
    OpenRouter,
}

/// Where a rule's hits are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// Each call meets the rule afresh.
    Call,
    /// All requests of the lane share it.
    Lane,
}

/// What tells lanes apart, where a request names none in its path or header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LaneKey {
    /// Nothing: whoever names no lane has the default one.
    #[default]
    ByAddress,
    /// The key: each has a lane of its own, named by its fingerprint.
    ByKey,
}

/// What follows the last step of a script.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Then {
    /// The script starts over.
    Cycle,
    /// A further request is a finding; it is refused as invalid, which no client should repeat.
    Fail,
    /// The script is over: the healthy answer, unless a later rule acts.
    #[default]
    Healthy,
    /// The last step again.
    RepeatLast,
}

/// The provider in health.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Provider {
    /// The limits it enforces.
    pub quota: Quota,
    /// How long its answers take.
    pub latency: Latency,
    /// What its load does to its answers; nothing if left out.
    #[serde(skip_serializing_if = "Load::is_none")]
    pub load: Load,
    /// The models it knows, by name or pattern; if any are listed, all others are unknown.
    pub models: IndexMap<String, Model>,
    /// What tokens cost, by model name or pattern; the first that matches holds.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub prices: IndexMap<String, Prices>,
    /// What it answers.
    pub answers: Answers,
    /// How many requests it works on at a time; one more is answered as overloaded.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100_000))]
    pub capacity: Option<u32>,
}

/// The limits that the provider enforces.
///
/// Each dimension has one rate, or a list of rates over different periods, such as
/// `[500/min, 10_000/day]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Quota {
    /// A usage tier of a provider, such as `openai/1`, with its limits by model; the keys beside
    /// it replace what they name. One, or a list with one for each provider.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub tier: OneOrMore<Tier>,
    /// Requests, such as `60/min`.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub requests: OneOrMore<Rate>,
    /// Tokens, such as `90_000/min`: of the input, and of the output as `output` says.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub tokens: OneOrMore<Rate>,
    /// Tokens of the input, such as `30_000/min`.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub input_tokens: OneOrMore<Rate>,
    /// Tokens of the output, such as `8_000/min`.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub output_tokens: OneOrMore<Rate>,
    /// Requests at the same time.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100_000))]
    pub concurrency: Option<u32>,
    /// Whose requests share these limits; those of one key and model if left out.
    pub per: Per,
    /// How a limit is counted; as the provider does if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window: Option<Window>,
    /// What a refused request costs; nothing if left out.
    pub rejected: Rejected,
    /// How the output is charged; as the provider does if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<OutputCharge>,
}

/// Whose requests share a limit, always of one provider.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Per {
    /// Those of a key, whatever the model.
    Key,
    /// Those of a key for a model.
    #[default]
    KeyAndModel,
    /// Those for a model, whatever the key.
    Model,
    /// All of an organisation: the one that `OpenAI-Organization` names, or all who name none.
    Organisation,
}

/// How a limit is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Window {
    /// As a bucket that holds one period's worth and refills continuously.
    Bucket,
    /// In windows that follow each other by the wall clock; a day ends at midnight.
    Fixed,
    /// In every span of one period.
    Sliding,
}

/// What a refused request costs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Rejected {
    /// It counts among the requests; tokens it costs none.
    Charged,
    /// Nothing.
    #[default]
    Free,
}

/// How the output of a request is charged to `tokens` and `output-tokens`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OutputCharge {
    /// When the attempt ends, with what was generated.
    Generated,
    /// `tokens` counts the input only.
    None,
    /// At once, with the most that the request asks for, however much is generated.
    Requested,
    /// At once, with the most that the request asks for; what was not generated is given back.
    Reserved,
}

/// One value, or a list of them: none means that the key was left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OneOrMore<T>(pub Vec<T>);

/// How long the provider's healthy answers take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Latency {
    /// The time before the answer, or before the first token of a stream.
    pub first_token: Delay,
    /// The time between two tokens.
    pub between_tokens: Delay,
}

/// What a provider's load does to its answers: whatever it accepts is worked off, also if the client
/// has left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Load {
    /// How many requests it works on at a time; the others wait in line.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100_000))]
    pub workers: Option<u32>,
    /// The most requests that wait in line; one more is answered as overloaded.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub queue: Option<u32>,
    /// How much longer an answer takes for each request that is under way, itself included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slowdown: Option<Span>,
}

impl Load {
    /// Whether it does nothing.
    fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

/// What the provider knows of one model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Model {
    /// The window in tokens; the model's real one if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100_000_000))]
    pub window: Option<u64>,
    /// The most output tokens of one answer; the model's real most if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100_000_000))]
    pub output: Option<u64>,
}

/// What the tokens of a model cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Prices {
    /// What is read, such as `$2.50/M`.
    pub input: Price,
    /// What is written, thoughts included, such as `$10/M`.
    pub output: Price,
}

/// What the provider answers in health, in one of these ways; if none is given, plausible words.
///
/// A request that insists on a tool or on JSON gets it, whatever is said here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Answers {
    /// The call of a tool, with arguments that satisfy its schema.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub call: Option<String>,
    /// Whether the answer repeats the last user message.
    pub echo: bool,
    /// An agent's task, answered step by step as the conversation goes on: such as
    /// `[call search, call write_file, answer]`. After its last step it answers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1_000))]
    pub task: Vec<TaskStep>,
    /// A fixed text, between the marks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// About how many tokens an answer has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens: Option<Length>,
}

/// What happens to connections, before any request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ConnectionRule {
    /// From when on, counted from the lane's first request.
    pub from: Option<Duration>,
    /// Until when, not included.
    pub until: Option<Duration>,
    /// Which connections of the lane, counted from 1.
    pub nth: Option<Ordinals>,
    /// What happens to them.
    pub act: ConnectionAct,
}

/// What happens to a connection before any request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ConnectionAct {
    /// It is accepted, but nothing is read from it for a while.
    AcceptLate(AcceptLate),
    /// It is refused: nothing listens.
    Refuse,
}

/// Settings of `accept-late`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct AcceptLate {
    /// How late.
    pub after: Span,
}

/// Where a server stops; reaching a limit is reported by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Limits {
    /// The longest request body, in bytes.
    pub body_bytes_max: usize,
    /// The most connections at a time.
    pub connections_max: usize,
    /// The most journal entries of a lane.
    pub journal_entries_max: usize,
    /// The most lanes of a server, the default one included.
    pub lanes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            // Anthropic's limit for a Messages body, the largest documented one that we serve.
            body_bytes_max: 32 << 20,
            connections_max: 4_096,
            // About a gigabyte of journal in memory.
            journal_entries_max: 1_000_000,
            // A large suite's tests, each with a lane of its own; an idle one is a few kilobytes.
            lanes_max: 1_000,
        }
    }
}

impl Service {
    /// Whether its requests are charged to quotas.
    pub fn is_metered(self) -> bool {
        match self {
            Self::Embed | Self::Generate => true,
            Self::Count | Self::List => false,
        }
    }
}

impl ProviderName {
    /// Every provider, in the order of their names.
    pub const ALL: [Self; 9] = [
        Self::Anthropic,
        Self::Azure,
        Self::Bedrock,
        Self::Cohere,
        Self::Gemini,
        Self::Mistral,
        Self::Ollama,
        Self::OpenAi,
        Self::OpenRouter,
    ];

    /// The provider's name in the scenario language.
    pub fn name(self) -> &'static str {
        match self {
            Self::Anthropic => "anthropic",
            Self::Azure => "azure",
            Self::Bedrock => "bedrock",
            Self::Cohere => "cohere",
            Self::Gemini => "gemini",
            Self::Mistral => "mistral",
            Self::Ollama => "ollama",
            Self::OpenAi => "openai",
            Self::OpenRouter => "openrouter",
        }
    }
}

impl Quota {
    /// The limits on a dimension, as they are written; requests at the same time have no rate.
    pub fn rates(&self, dimension: Dimension) -> &[Rate] {
        match dimension {
            Dimension::Concurrency => &[],
            Dimension::InputTokens => &self.input_tokens,
            Dimension::OutputTokens => &self.output_tokens,
            Dimension::Requests => &self.requests,
            Dimension::Tokens => &self.tokens,
        }
    }

    /// Whether it limits anything.
    pub fn limits_something(&self) -> bool {
        let rates = [&self.requests, &self.tokens, &self.input_tokens, &self.output_tokens];
        self.concurrency.is_some()
            || !self.tier.is_empty()
            || rates.iter().any(|rates| !rates.is_empty())
    }
}

impl<T> Default for OneOrMore<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Deref for OneOrMore<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<T: Serialize> Serialize for OneOrMore<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.as_slice() {
            [one] => one.serialize(serializer),
            more => more.serialize(serializer),
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for OneOrMore<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> de::Visitor<'de> for Visitor<T> {
            type Value = OneOrMore<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("one value or a list of them")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
                T::deserialize(de::value::StrDeserializer::new(text))
                    .map(|one| OneOrMore(vec![one]))
            }

            fn visit_seq<A: de::SeqAccess<'de>>(
                self,
                mut items: A,
            ) -> Result<Self::Value, A::Error> {
                let mut more = Vec::new();
                while let Some(item) = items.next_element()? {
                    more.push(item);
                }
                Ok(OneOrMore(more))
            }
        }

        deserializer.deserialize_any(Visitor(PhantomData))
    }
}

impl<T: JsonSchema> JsonSchema for OneOrMore<T> {
    fn schema_name() -> Cow<'static, str> {
        format!("OneOrMore{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let one = generator.subschema_for::<T>();
        let list = schemars::json_schema!({
            "type": "array", "items": one.clone(), "minItems": 1, "maxItems": 9,
        });
        schemars::json_schema!({ "anyOf": [one, list] })
    }
}

/// Whether a text matches a pattern in which `*` stands for any text, also none.
pub fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        match rest.find(part) {
            Some(start) => rest = &rest[start + part.len()..],
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_text() {
        for (pattern, text, expected) in [
            ("gpt-4o", "gpt-4o", true),
            ("gpt-4o", "gpt-4o-mini", false),
            ("gpt-4o*", "gpt-4o-mini", true),
            ("*", "", true),
            ("*mini", "gpt-4o-mini", true),
            ("a*a", "a", false),
            ("a*b*c", "a--b--c", true),
            ("a*b*c", "a--c--b", false),
            ("", "", true),
            ("", "x", false),
            ("*é*", "café au lait", true),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} on {text}");
        }
    }
}
