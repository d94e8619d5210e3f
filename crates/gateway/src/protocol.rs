//! The protocols that clients and upstreams speak, and the translations between them.
//!
//! Where both sides speak the same one, `wire/` passes the bytes on. Where they differ, a *reader* of the one makes the common
//! [`form`] of it and a *writer* of the other writes that down: one of each per protocol, for requests, answers and streams.
//! Nothing is dropped in silence: what the other side cannot carry is a [`Refusal`] that names the field. Left out are only
//! hints that do not change the answer (cache markers, image detail) and reasoning that another model has sealed.

pub(crate) mod bridge;
pub(crate) mod chat;
pub(crate) mod fault;
pub(crate) mod fields;
pub(crate) mod form;
pub(crate) mod messages;
pub(crate) mod outline;
pub(crate) mod print;
pub(crate) mod responses;
#[cfg(test)]
mod roundtrip;
pub(crate) mod stream;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod usage_tests;

pub(crate) use fields::Refusal;

use crate::config::ModelProtocol;

/// The shape of requests, answers, streams and errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// OpenAI chat completions.
    Chat,
    /// OpenAI responses.
    Responses,
    /// Anthropic messages.
    Messages,
}

/// Where a request came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Endpoint {
    /// `/v1/chat/completions`
    Chat,
    /// `/v1/responses`
    Responses,
    /// `/v1/messages`
    Messages,
    /// `/v1/completions`, for named models alone.
    Completions,
    /// `/v1/embeddings`, for named models alone.
    Embeddings,
}

// === impl Endpoint ===

impl Endpoint {
    /// The endpoint that a path belongs to; others take OpenAI's shapes.
    pub(crate) fn of_path(path: &str) -> Self {
        let below = |top: &str| path.strip_prefix(top).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        if below("/v1/messages") {
            Self::Messages
        } else if below("/v1/responses") {
            Self::Responses
        } else {
            Self::Chat
        }
    }

    /// What its answers and errors look like.
    pub(crate) fn protocol(self) -> Protocol {
        match self {
            Self::Chat | Self::Completions | Self::Embeddings => Protocol::Chat,
            Self::Responses => Protocol::Responses,
            Self::Messages => Protocol::Messages,
        }
    }

    /// Whether a policy may choose the model.
    pub(crate) fn routes(self) -> bool {
        matches!(self, Self::Chat | Self::Responses | Self::Messages)
    }

    /// The member that the model is asked with.
    pub(crate) fn question(self) -> &'static str {
        match self {
            Self::Chat | Self::Messages => "messages",
            Self::Responses | Self::Embeddings => "input",
            Self::Completions => "prompt",
        }
    }

    /// What clients expect ids of its answers to begin with.
    pub(crate) fn id_prefix(self) -> &'static str {
        match self {
            Self::Chat => "chatcmpl-",
            Self::Responses => "resp_",
            Self::Messages => "msg_",
            Self::Completions => "cmpl-",
            Self::Embeddings => "embd-",
        }
    }

    /// The path at an upstream of this protocol, after its base URL; `None` if such an upstream has no such thing.
    pub(crate) fn upstream_path(self, upstream: ModelProtocol) -> Option<&'static str> {
        match (self, upstream.wire()) {
            (Self::Completions | Self::Embeddings, Protocol::Messages) => None,
            (Self::Completions, _) => Some("completions"),
            (Self::Embeddings, _) => Some("embeddings"),
            (_, Protocol::Chat) => Some("chat/completions"),
            (_, Protocol::Responses) => Some("responses"),
            (_, Protocol::Messages) => Some("messages"),
        }
    }

    /// Whether the bytes pass as they are.
    pub(crate) fn passes(self, upstream: ModelProtocol) -> bool {
        !self.routes() || self.protocol() == upstream.wire()
    }
}

// === impl ModelProtocol ===

impl ModelProtocol {
    /// The shape it speaks.
    pub(crate) fn wire(self) -> Protocol {
        match self {
            Self::OpenaiChat | Self::GeminiOpenai => Protocol::Chat,
            Self::OpenaiResponses => Protocol::Responses,
            Self::Anthropic => Protocol::Messages,
        }
    }
}
