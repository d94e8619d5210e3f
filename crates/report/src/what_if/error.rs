//! Why there is no answer.

use slarouter_store::StoreError;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum WhatIfError {
    /// The log cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The question makes no sense, or not of this log.
    #[error("{message}")]
    Question {
        /// The key of the question.
        key: &'static str,
        /// What is wrong with it, and what would do.
        message: String,
    },
    /// No log can answer it: only a simulation can.
    #[error("{0}")]
    Simulation(String),
}

impl WhatIfError {
    pub(super) fn question(key: &'static str, message: impl Into<String>) -> Self {
        Self::Question { key, message: message.into() }
    }
}
