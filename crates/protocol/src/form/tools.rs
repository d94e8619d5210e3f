//! Tools, as a request offers them.

use super::CommonRequest;
use crate::fields::Refusal;

/// A function that the model may call.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Tool {
    pub(crate) name: String,
    pub(crate) description: Option<String>,
    /// A raw JSON schema: the order of its properties is the order in which models fill them in.
    pub(crate) schema: Option<String>,
    pub(crate) strict: Option<bool>,
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

impl CommonRequest {
    /// Takes the tools that were offered. Those that only their provider can run are left out beside others; alone they are what
    /// the request is about, and are refused.
    pub(crate) fn offer(&mut self, offers: impl IntoIterator<Item = Offer>) -> Result<(), Refusal> {
        let mut foreign = Vec::new();
        for offer in offers {
            match offer {
                Offer::Tools(tools) => self.tools.extend(tools),
                Offer::Foreign(refusal) => foreign.push(refusal),
            }
        }
        if self.tools.is_empty() && !foreign.is_empty() {
            return Err(foreign.swap_remove(0));
        }
        for refusal in foreign {
            self.dropped.note(&refusal.param);
        }
        Ok(())
    }
}
