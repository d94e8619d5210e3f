//! Which protocols there are, where requests come in, and where they go.

/// The shape of requests, answers, streams and errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// OpenAI chat completions.
    Chat,
    /// OpenAI responses.
    Responses,
    /// Anthropic messages.
    Messages,
}

/// Where a request came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// `/v1/chat/completions`
    Chat,
    /// `/v1/responses`
    Responses,
    /// `/v1/messages`
    Messages,
    /// `/v1/responses/compact`, for models of that protocol alone, of which none is decided on.
    Compact,
    /// `/v1/completions`, for named models alone.
    Completions,
    /// `/v1/embeddings`, for named models alone.
    Embeddings,
}

/// `models.protocol`: what a provider speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ModelProtocol {
    /// OpenAI chat completions, at `/chat/completions`.
    #[default]
    OpenaiChat,
    /// OpenAI responses, at `/responses`.
    OpenaiResponses,
    /// Anthropic messages, at `/messages`, with the key in `x-api-key`.
    Anthropic,
    /// Google's Gemini API in the form of OpenAI chat completions.
    GeminiOpenai,
}

/// What the writer of a request has to know of the model that it goes to.
#[derive(Clone, Copy, Debug)]
pub struct Upstream<'a> {
    /// What its provider speaks.
    pub dialect: ModelProtocol,
    /// The provider's name for the model.
    pub model: &'a str,
    /// Whether it can be told how much to reason.
    pub reasons: bool,
    /// Most tokens of an answer where the request does not say and the protocol wants to know, as Anthropic's does.
    pub max_output_tokens: u64,
}

// === impl Protocol ===

impl Protocol {
    /// What may stand between any two events of a stream and says only that it is still under way.
    pub fn ping(self) -> &'static str {
        match self {
            // Comments, which readers of streams pass over.
            Self::Chat | Self::Responses => ": ping\n\n",
            // Anthropic's own.
            Self::Messages => "event: ping\ndata: {\"type\": \"ping\"}\n\n",
        }
    }
}

// === impl Endpoint ===

impl Endpoint {
    /// The endpoint that a path belongs to; others take OpenAI's shapes.
    pub fn of_path(path: &str) -> Self {
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
    pub fn protocol(self) -> Protocol {
        match self {
            Self::Chat | Self::Completions | Self::Embeddings => Protocol::Chat,
            Self::Responses | Self::Compact => Protocol::Responses,
            Self::Messages => Protocol::Messages,
        }
    }

    /// Whether a policy may choose the model.
    pub fn routes(self) -> bool {
        matches!(self, Self::Chat | Self::Responses | Self::Messages)
    }

    /// Whether its answers may come as streams.
    pub fn streams(self) -> bool {
        !matches!(self, Self::Compact | Self::Embeddings)
    }

    /// The member of a request that has the question.
    pub fn question(self) -> &'static str {
        match self {
            Self::Chat | Self::Messages => "messages",
            Self::Responses | Self::Compact | Self::Embeddings => "input",
            Self::Completions => "prompt",
        }
    }

    /// What clients expect ids of its answers to begin with.
    pub fn id_prefix(self) -> &'static str {
        match self {
            Self::Chat => "chatcmpl-",
            Self::Responses | Self::Compact => "resp_",
            Self::Messages => "msg_",
            Self::Completions => "cmpl-",
            Self::Embeddings => "embd-",
        }
    }

    /// The path at an upstream of this protocol, after its base URL; `None` if such an upstream has no such thing.
    pub fn upstream_path(self, upstream: ModelProtocol) -> Option<&'static str> {
        match (self, upstream.wire()) {
            (Self::Completions | Self::Embeddings, Protocol::Messages) => None,
            (Self::Compact, Protocol::Responses) => Some("responses/compact"),
            (Self::Compact, _) => None,
            (Self::Completions, _) => Some("completions"),
            (Self::Embeddings, _) => Some("embeddings"),
            (_, Protocol::Chat) => Some("chat/completions"),
            (_, Protocol::Responses) => Some("responses"),
            (_, Protocol::Messages) => Some("messages"),
        }
    }

    /// Whether requests and answers pass as they are, as both sides speak one protocol.
    pub fn passes(self, upstream: ModelProtocol) -> bool {
        !self.routes() || self.protocol() == upstream.wire()
    }
}

// === impl ModelProtocol ===

impl ModelProtocol {
    /// Reads the word of the configuration; `None` if there is no such protocol.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "openai-chat" => Some(Self::OpenaiChat),
            "openai-responses" => Some(Self::OpenaiResponses),
            "anthropic" => Some(Self::Anthropic),
            "gemini-openai" => Some(Self::GeminiOpenai),
            _ => None,
        }
    }

    /// The shape of what it takes and gives.
    pub fn wire(self) -> Protocol {
        match self {
            Self::OpenaiChat | Self::GeminiOpenai => Protocol::Chat,
            Self::OpenaiResponses => Protocol::Responses,
            Self::Anthropic => Protocol::Messages,
        }
    }
}
