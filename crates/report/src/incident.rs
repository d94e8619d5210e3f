//! What whoever reads figures should know.

use std::sync::Arc;

use serde::Serialize;

/// Something that whoever reads the figures should know.
#[derive(Clone, Debug, Serialize)]
pub struct Incident {
    /// As `2026-11-29`.
    pub date: String,
    /// The route; empty for all.
    pub route: Arc<str>,
    /// In words.
    pub what: String,
}
