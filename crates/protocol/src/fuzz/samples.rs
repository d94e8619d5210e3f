//! What an input chooses from.

use crate::endpoint::{Endpoint, ModelProtocol, Upstream};

pub(super) const ENDPOINTS: [Endpoint; 6] = [
    Endpoint::Chat,
    Endpoint::Responses,
    Endpoint::Messages,
    Endpoint::Completions,
    Endpoint::Embeddings,
    Endpoint::Compact,
];
pub(super) const UPSTREAMS: [ModelProtocol; 4] =
    [ModelProtocol::OpenaiChat, ModelProtocol::OpenaiResponses, ModelProtocol::Anthropic, ModelProtocol::GeminiOpenai];
pub(super) const MODEL: &str = "up/model \"x\"";
pub(super) const ID: &str = "chatcmpl-01890a5d-ac96-774b-bcce-b302099a8057";

/// The endpoint that a byte stands for.
pub fn endpoint(byte: u8) -> Endpoint {
    ENDPOINTS[usize::from(byte) % ENDPOINTS.len()]
}

pub(super) fn model(dialect: ModelProtocol) -> Upstream<'static> {
    Upstream { dialect, model: MODEL, reasons: true, max_output_tokens: 4_096 }
}
