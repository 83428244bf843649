//! A conversation, as far as its length and its order matter.

use std::sync::Arc;

use crate::target::Window;
use crate::tokens::TokenCounter;

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

/// One message of a conversation.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// What is said.
    pub text: String,
    /// The tools that an assistant's message calls.
    pub calls: Vec<ToolCall>,
    /// The id of the call that a tool's message answers.
    pub answers: Option<String>,
    /// Never dropped, whatever its age.
    pub pinned: bool,
}

impl Message {
    /// A plain message.
    pub fn new(role: Role, text: impl Into<String>) -> Self {
        Self { role, text: text.into(), calls: Vec::new(), answers: None, pinned: false }
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
    pub fn with_call(mut self, id: impl Into<String>, text: impl Into<String>) -> Self {
        self.calls.push(ToolCall { id: id.into(), text: text.into() });
        self
    }

    /// Its tokens: the text, its tool calls, and what each message costs by itself.
    pub fn tokens(&self, counter: &dyn TokenCounter, per_message: u64) -> u64 {
        self.calls
            .iter()
            .map(|call| counter.count(&call.text))
            .fold(per_message.saturating_add(counter.count(&self.text)), u64::saturating_add)
    }
}

/// A model's call of a tool.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ToolCall {
    /// What the tool's answer refers to.
    pub id: String,
    /// Name and arguments, as far as they cost tokens.
    pub text: String,
}

/// What the caller wants, whoever serves it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Request {
    /// The conversation, oldest message first.
    pub messages: Arc<[Message]>,
    /// The most tokens the answer may have; without it, the target's own reserve.
    pub output_max: Option<u64>,
    /// Whether the answer comes piece by piece, so that the first piece and the gaps have time limits of their own.
    pub stream: bool,
}

impl Request {
    /// A conversation to be answered in one piece.
    pub fn new(messages: impl Into<Arc<[Message]>>) -> Self {
        Self { messages: messages.into(), output_max: None, stream: false }
    }

    /// The same request, answered piece by piece.
    #[must_use]
    pub fn streaming(mut self) -> Self {
        self.stream = true;
        self
    }

    /// The window, with this request's output in place of the target's own.
    pub(crate) fn window_in(&self, window: Window) -> Window {
        Window { output: self.output_max.unwrap_or(window.output), ..window }
    }
}
