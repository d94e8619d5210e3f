//! Tools, as a request offers them.

use crate::fields::Refusal;

/// A function that the model may call.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Tool {
    pub(crate) name: String,
    pub(crate) description: Option<String>,
    /// A raw JSON schema: the order of its properties is the order in which models fill them in.
    pub(crate) schema: Option<String>,
    pub(crate) strict: Option<bool>,
    /// Anthropic's mark, raw, that its cache is to keep all up to here.
    pub(crate) cache: Option<String>,
    /// What it was before it became a function, if it was something else.
    pub(crate) origin: Option<Disguise>,
}

/// A tool of the responses protocol that other protocols have as a function, under a name of its own: calls of it are changed back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Disguise {
    /// The function.
    pub(crate) function: String,
    /// The group that the tool is in.
    pub(crate) namespace: Option<String>,
    pub(crate) name: String,
    /// Whether it takes a text instead of JSON.
    pub(crate) takes_text: bool,
}

/// An entry of a request's tools.
#[derive(Debug)]
pub(crate) enum Offer {
    Tools(Vec<Tool>),
    /// One that only its provider can run, and the words to refuse it in.
    Foreign(Refusal),
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Choice {
    Auto,
    None,
    /// At least one tool has to be called, whichever it is.
    Required,
    Named(String),
}
