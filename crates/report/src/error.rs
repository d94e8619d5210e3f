//! Why there is no report.

use slarouter_store::StoreError;

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReportError {
    /// The log cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The page cannot be written.
    #[error("the report cannot be written: {0}")]
    Page(#[from] askama::Error),
    /// Nor can the JSON.
    #[error("the report cannot be written: {0}")]
    Json(#[from] serde_json::Error),
}
