//! Reasoning that came from another protocol.

use crate::fields::{Fields, elements};
use crate::print::list;

/// What the ids of reasoning items begin with that came from another protocol. Such items are taken out again when a client
/// sends them back; OpenAI knows no items but its own.
pub(super) const FOREIGN_REASONING: &str = "rs_slarouter_";

/// The input without reasoning of other protocols; `None` if there is none of it.
pub(crate) fn without_foreign_reasoning(input: &str) -> Option<String> {
    memchr::memmem::find(input.as_bytes(), FOREIGN_REASONING.as_bytes())?;
    let is_foreign = |item: &str| {
        let mut fields = Fields::parse(item, "").ok();
        let mut text = |name| fields.as_mut().and_then(|fields| fields.text(name).ok().flatten());
        text("type").as_deref() == Some("reasoning") && text("id").is_some_and(|id| id.starts_with(FOREIGN_REASONING))
    };
    let items = elements(input, "").ok()?;
    let own: Vec<_> = items.iter().filter(|(item, _)| !is_foreign(item)).map(|(item, _)| (*item).to_owned()).collect();
    (own.len() < items.len()).then(|| list(&own))
}
