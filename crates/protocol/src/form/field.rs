//! Names of the fields that not every protocol has.

use crate::endpoint::Protocol;

/// Fields that not every protocol has.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Field {
    Stop,
    Format,
    Verbosity,
    Metadata,
    Tier,
    Effort,
    Temperature,
    TopP,
    TopK,
}

// === impl Field ===

impl Field {
    /// What a request of this protocol calls it.
    pub(super) fn name(self, origin: Protocol) -> &'static str {
        match (self, origin) {
            (Self::Stop, Protocol::Messages) => "stop_sequences",
            (Self::Stop, _) => "stop",
            (Self::Format, Protocol::Chat) => "response_format",
            (Self::Format, Protocol::Responses) => "text.format",
            (Self::Format, Protocol::Messages) => "output_config.format",
            (Self::Verbosity, Protocol::Responses) => "text.verbosity",
            (Self::Verbosity, _) => "verbosity",
            (Self::Metadata, _) => "metadata",
            (Self::Tier, _) => "service_tier",
            (Self::Effort, Protocol::Chat) => "reasoning_effort",
            (Self::Effort, Protocol::Responses) => "reasoning.effort",
            (Self::Effort, Protocol::Messages) => "thinking",
            (Self::Temperature, _) => "temperature",
            (Self::TopP, _) => "top_p",
            (Self::TopK, _) => "top_k",
        }
    }
}
