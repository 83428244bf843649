//! A conversation, as far as its length and its order matter.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use self::memo::Memo;
use crate::target::Window;
use crate::tokens::{Framing, TokenCounter};

mod memo;

/// One message of a conversation.
///
/// Its fields may be changed at will; what has been counted of it is remembered by what it says, never by where it lies.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// What is said.
    pub text: String,
    /// The speaker's own name, where several share a role.
    pub name: Option<String>,
    /// What is shown beside the text.
    pub parts: Vec<Part>,
    /// The tools that an assistant's message calls.
    pub calls: Vec<ToolCall>,
    /// The id of the call that a tool's message answers.
    pub answers: Option<String>,
    /// Never dropped, whatever its age.
    pub pinned: bool,
    /// Where its text may be cut, as a last resort; `None` keeps it whole.
    pub cuttable: Option<Cut>,
    memo: Memo,
}

impl Message {
    /// A plain message.
    pub fn new(role: Role, text: impl Into<String>) -> Self {
        Self {
            role,
            text: text.into(),
            name: None,
            parts: Vec::new(),
            calls: Vec::new(),
            answers: None,
            pinned: false,
            cuttable: None,
            memo: Memo::default(),
        }
    }

    /// A plain message of the person.
    pub fn user(text: impl Into<String>) -> Self {
        Self::new(Role::User, text)
    }

    /// A plain message of the model.
    pub fn assistant(text: impl Into<String>) -> Self {
        Self::new(Role::Assistant, text)
    }

    /// A plain message of the application.
    pub fn system(text: impl Into<String>) -> Self {
        Self::new(Role::System, text)
    }

    /// A tool's answer to the call of that id.
    pub fn tool(answers: impl Into<String>, text: impl Into<String>) -> Self {
        Self { answers: Some(answers.into()), ..Self::new(Role::Tool, text) }
    }

    /// The same message, calling one more tool.
    #[must_use]
    pub fn with_call(
        mut self,
        id: impl Into<String>,
        name: impl Into<String>,
        arguments: impl Into<String>,
    ) -> Self {
        self.calls.push(ToolCall { id: id.into(), name: name.into(), arguments: arguments.into() });
        self
    }

    /// The same message, showing one more thing.
    #[must_use]
    pub fn with_part(mut self, part: Part) -> Self {
        self.parts.push(part);
        self
    }

    /// The same message, under the speaker's own name.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// The same message, never dropped.
    #[must_use]
    pub fn pinned(mut self) -> Self {
        self.pinned = true;
        self
    }

    /// The same message, whose text may be cut there if nothing else helps.
    #[must_use]
    pub fn cuttable(mut self, cut: Cut) -> Self {
        self.cuttable = Some(cut);
        self
    }

    /// Its tokens: the text, the name, the parts, the tool calls, and what a message costs by itself.
    ///
    /// The texts are counted once for each counter that has a [`key`](TokenCounter::key), also if the message is cloned; later the count is looked up.
    pub fn tokens(&self, counter: &dyn TokenCounter, framing: &Framing) -> u64 {
        let count = || self.texts().map(|text| counter.count(text)).fold(0, u64::saturating_add);
        let texts = match counter.key() {
            Some(key) => self.memo.remember(key, self.fingerprint(), count),
            None => count(),
        };
        texts.saturating_add(framing.around(self))
    }

    /// Puts a shorter text in place; clones keep their own, and what was counted of it.
    pub(crate) fn shorten(&mut self, text: &str) {
        text.clone_into(&mut self.text);
        self.memo = Memo::default();
    }

    /// About how many bytes it has in a request's body.
    pub(crate) fn bytes(&self) -> u64 {
        let texts = self.texts().map(|text| u64::try_from(text.len()).unwrap_or(u64::MAX));
        let parts = self.parts.iter().map(|part| part.bytes());
        texts.chain(parts).fold(MESSAGE_BYTES, u64::saturating_add)
    }

    /// Whether it answers a tool call, under whichever role it travels.
    pub(crate) fn is_result(&self) -> bool {
        self.role == Role::Tool || self.answers.is_some()
    }

    /// Whether it is a turn of the person's.
    ///
    /// A tool's answer may travel under the person's role; it is not the person's turn.
    pub(crate) fn is_turn(&self) -> bool {
        self.role == Role::User && !self.is_result()
    }

    /// Everything that a tokenizer reads.
    fn texts(&self) -> impl Iterator<Item = &str> {
        let calls = self.calls.iter().flat_map(|call| [&*call.name, &*call.arguments]);
        std::iter::once(&*self.text).chain(self.name.as_deref()).chain(calls)
    }

    /// What tells one content from another; far cheaper than a count.
    fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        for text in self.texts() {
            text.hash(&mut hasher);
        }
        hasher.finish()
    }
}

/// Who speaks.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Role {
    /// The model.
    Assistant,
    /// The application, to the model about its task.
    System,
    /// A tool, answering a call of the model's.
    Tool,
    /// The person.
    User,
}

/// What a message shows beside its text.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Part {
    /// A picture, counted by the provider's rule.
    Image {
        /// Its width in pixels.
        width: u32,
        /// Its height in pixels.
        height: u32,
        /// How closely the model should look.
        detail: Detail,
        /// What it takes up in a request's body; 0 for a link.
        bytes: u64,
    },
    /// Anything else, whose tokens the caller knows: a document, a recording.
    Other {
        /// What it costs.
        tokens: u64,
        /// What it takes up in a request's body; 0 for a link.
        bytes: u64,
    },
}

impl Part {
    /// A linked picture at the provider's usual detail.
    pub const fn image(width: u32, height: u32) -> Self {
        Self::Image { width, height, detail: Detail::Auto, bytes: 0 }
    }

    const fn bytes(self) -> u64 {
        match self {
            Self::Image { bytes, .. } | Self::Other { bytes, .. } => bytes,
        }
    }
}

/// How closely a model looks at a picture, in OpenAI's words.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Detail {
    /// As the provider thinks best; counted as [`Detail::High`].
    #[default]
    Auto,
    /// In tiles.
    High,
    /// At a glance.
    Low,
}

/// Where a text is cut that has to become shorter.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Cut {
    /// In its middle: head and tail stay, as befits a log.
    Middle,
    /// At its end: the head stays.
    Tail,
}

/// A model's call of a tool.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ToolCall {
    /// What the tool's answer refers to.
    pub id: String,
    /// The tool.
    pub name: String,
    /// What it is called with, as the model wrote it: usually JSON.
    pub arguments: String,
}

/// A tool that the model may call.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ToolSchema {
    /// What it is called.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// The JSON schema of its arguments.
    pub parameters: serde_json::Value,
}

/// What the caller wants, whoever serves it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Request {
    /// The conversation, oldest message first.
    pub messages: Arc<[Message]>,
    /// The tools that the model may call; they cost tokens in every request.
    pub tools: Arc<[ToolSchema]>,
    /// The most tokens the answer may have; without it, the target's own reserve.
    pub output_max: Option<u64>,
    /// Whether the answer comes piece by piece, so that the first piece and the gaps have time limits of their own.
    pub stream: bool,
}

impl Request {
    /// A conversation to be answered in one piece.
    pub fn new(messages: impl Into<Arc<[Message]>>) -> Self {
        Self { messages: messages.into(), tools: Arc::new([]), output_max: None, stream: false }
    }

    /// The same request, answered piece by piece.
    #[must_use]
    pub fn streaming(mut self) -> Self {
        self.stream = true;
        self
    }

    /// The same request, with tools that the model may call.
    #[must_use]
    pub fn with_tools(mut self, tools: impl Into<Arc<[ToolSchema]>>) -> Self {
        self.tools = tools.into();
        self
    }

    /// The window, with this request's output in place of the target's own.
    pub(crate) fn window_in(&self, window: Window) -> Window {
        Window { output: self.output_max.unwrap_or(window.output), ..window }
    }
}

/// What the JSON of a short message has around its text; a choice of ours.
const MESSAGE_BYTES: u64 = 32;
