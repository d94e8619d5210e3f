//! Bodies as the description of the interface shows them; the paths are described at their handlers.

use serde_json::Value;
use utoipa::{OpenApi, ToSchema};

/// What the description says of the whole; the paths come from the router.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "SLARouter",
        description = "An LLM gateway that keeps a satisfaction SLA at least cost. The bodies of \
        OpenAI's and Anthropic's endpoints are theirs; here stands what the gateway reads of them."
    ),
    components(schemas(ErrorBody, AnthropicErrorBody))
)]
pub(crate) struct Description;

/// A request to a model, in OpenAI's chat protocol: all other members go on as they are.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes a body that is read as bytes")]
pub(crate) struct ChatBody {
    /// `auto`, `auto:<route>`, or a model's name.
    model: String,
    messages: Vec<Value>,
    stream: Option<bool>,
    tools: Option<Vec<Value>>,
}

/// A request to a model, in OpenAI's responses protocol: all other members go on as they are.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes a body that is read as bytes")]
pub(crate) struct ResponsesBody {
    /// `auto`, `auto:<route>`, or a model's name.
    model: String,
    /// Text, or a list of items.
    input: Value,
    instructions: Option<String>,
    stream: Option<bool>,
    tools: Option<Vec<Value>>,
}

/// A request to a model, in Anthropic's protocol: all other members go on as they are.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes a body that is read as bytes")]
pub(crate) struct MessagesBody {
    /// `auto`, `auto:<route>`, or a model's name.
    model: String,
    messages: Vec<Value>,
    max_tokens: u64,
    /// Text, or a list of blocks.
    system: Option<Value>,
    stream: Option<bool>,
    tools: Option<Vec<Value>>,
}

/// A request to a named model, in OpenAI's completions protocol: all other members go on as they are.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes a body that is read as bytes")]
pub(crate) struct CompletionsBody {
    /// A model's name.
    model: String,
    prompt: Value,
    stream: Option<bool>,
}

/// A request to a named model, in OpenAI's embeddings protocol: all other members go on as they are.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes a body that is read as bytes")]
pub(crate) struct EmbeddingsBody {
    /// A model's name.
    model: String,
    input: Value,
}

/// A rating of an answer.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes a body that is read by hand, with aliases")]
pub(crate) struct FeedbackBody {
    /// The `id` of the answer; `inference_id` is taken too.
    id: Option<String>,
    /// In the place of `id`: the id that the application gave the answer.
    trace_id: Option<String>,
    /// `up`, `down`, a boolean, a number from 0 to 1, -1, or null to withdraw; `value` and `score` are taken too.
    rating: Value,
    /// Who rates: one rating per answer and rater.
    rater: Option<String>,
    /// `user` if left out, or `audit`, by a trusted judge and for answers drawn for audit only.
    source: Option<String>,
    comment: Option<String>,
}

/// That a rating is on disk.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes a body that is written by hand")]
pub(crate) struct FeedbackReceipt {
    /// As it was given; that of the answer that was found by a `trace_id`.
    id: String,
    /// As it was given.
    trace_id: Option<String>,
    /// `recorded`, `duplicate`, `replaced`, `withdrawn` or `expired`.
    status: String,
}

/// A model or a route, in OpenAI's shape.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes a body that is written by hand")]
pub(crate) struct ModelBody {
    id: String,
    /// Always `model`.
    object: String,
    /// Seconds since 1970.
    created: u64,
    owned_by: String,
    /// Always `model`, as Anthropic has it.
    r#type: String,
    /// The `id`, as Anthropic has it.
    display_name: String,
    /// As `created`, in RFC 3339.
    created_at: String,
    /// Tokens of question and answer together, where that is known; of a route, the most that one of its models takes.
    context_length: Option<u64>,
    /// Tokens of an answer, likewise.
    max_output_tokens: Option<u64>,
    /// `text`, `image`, `audio`, `file`, `video`, where that is known.
    input_modalities: Option<Vec<String>>,
    /// `text`, `image`, `audio`, where that is known.
    output_modalities: Option<Vec<String>>,
    /// Of a model: whether the operator knows its price. Where not, no answer says what it cost.
    price_known: Option<bool>,
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "describes a body that is written by hand")]
pub(crate) struct ModelList {
    /// Always `list`.
    object: String,
    data: Vec<ModelBody>,
    /// Always false: there is one page.
    has_more: bool,
    first_id: Option<String>,
    last_id: Option<String>,
}

/// An answer that waits for an auditor.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes a body that is written by hand")]
pub(crate) struct PendingAnswer {
    /// To be given back with the audit, as feedback with `source` `audit`.
    id: String,
    /// When it was decided, in milliseconds since 1970.
    created_ms: u64,
    route: String,
    /// The model that answered.
    model: String,
    /// HTTP status that the client got.
    status: u16,
    /// Whether it was delivered whole.
    ok: bool,
    /// Probability with which it was drawn.
    audit_rate: f64,
    /// The question, where prompts are kept.
    messages: Option<Value>,
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "describes a body that is written by hand")]
pub(crate) struct AuditList {
    /// Always `list`.
    object: String,
    data: Vec<PendingAnswer>,
    has_more: bool,
    /// Numbers of rows of the log that belong here and cannot be read.
    unreadable: Vec<u64>,
}

/// What is predicted of a model.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes a body that is written by hand")]
pub(crate) struct Candidate {
    model: String,
    /// With which it would be chosen.
    probability: f64,
    predicted_satisfaction: f64,
    predicted_cost_usd: f64,
    /// Why it was not to be chosen: `unsupported` or `circuit`; null where it was.
    excluded: Option<String>,
}

/// An error in OpenAI's shape.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes a body that is written by hand")]
pub(crate) struct ErrorBody {
    error: ErrorObject,
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "describes a body that is written by hand")]
pub(crate) struct ErrorObject {
    message: String,
    r#type: String,
    /// The field at fault.
    param: Option<String>,
    code: Option<String>,
}

/// An error in Anthropic's shape.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes a body that is written by hand")]
pub(crate) struct AnthropicErrorBody {
    /// Always `error`.
    r#type: String,
    error: AnthropicErrorObject,
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "describes a body that is written by hand")]
pub(crate) struct AnthropicErrorObject {
    r#type: String,
    message: String,
}
