//! `models.takes` as it is written.

use serde::Deserialize;
use toml::Spanned;

/// Words, each with its place.
type Words = Spanned<Vec<Spanned<String>>>;

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(crate) struct Takes {
    pub(crate) context_tokens: Option<Spanned<u64>>,
    pub(crate) output_tokens: Option<Spanned<u64>>,
    pub(crate) input: Option<Words>,
    pub(crate) output: Option<Words>,
    pub(crate) tools: Option<bool>,
    pub(crate) schema: Option<bool>,
    pub(crate) reasoning: Option<bool>,
    pub(crate) developer_role: Option<bool>,
    pub(crate) max_completion_tokens: Option<bool>,
}
