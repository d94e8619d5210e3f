//! Reasoning that came from another protocol.

use crate::fields::{Fields, Refusal, elements};
use crate::print::list;
use crate::seal::{MARK, is_ours};

/// What the ids of reasoning items begin with that came from another protocol. Such items are taken out again when a client
/// sends them back; OpenAI knows no items but its own.
pub(super) const FOREIGN_REASONING: &str = "rs_slarouter_";

/// The input without reasoning of other protocols; `None` if there is none of it. Some clients keep the id of an item and some only
/// its seal.
pub(crate) fn without_foreign_reasoning(input: &str) -> Option<String> {
    let found = |mark: &str| memchr::memmem::find(input.as_bytes(), mark.as_bytes());
    found(FOREIGN_REASONING).or_else(|| found(MARK))?;
    let is_foreign = |item: &str| {
        let mut fields = Fields::parse(item, "").ok();
        let mut text = |name| fields.as_mut().and_then(|fields| fields.text(name).ok().flatten());
        text("type").as_deref() == Some("reasoning")
            && (text("id").is_some_and(|id| id.starts_with(FOREIGN_REASONING))
                || text("encrypted_content").is_some_and(|seal| is_ours(&seal)))
    };
    let items = elements(input, "").ok()?;
    let own: Vec<_> = items.iter().filter(|(item, _)| !is_foreign(item)).map(|(item, _)| (*item).to_owned()).collect();
    (own.len() < items.len()).then(|| list(&own))
}

/// Refuses an input that refers to items which one provider keeps.
pub(crate) fn without_references(input: &str) -> Result<(), Refusal> {
    if memchr::memmem::find(input.as_bytes(), b"item_reference").is_none() {
        return Ok(());
    }
    let is_reference = |item: &str| {
        let kind = Fields::parse(item, "").ok().and_then(|mut fields| fields.text("type").ok().flatten());
        kind.as_deref() == Some("item_reference")
    };
    let items = elements(input, "input").unwrap_or_default();
    match items.into_iter().find(|(item, _)| is_reference(item)) {
        Some((_, place)) => Err(reference(place)),
        None => Ok(()),
    }
}

/// The refusal of a reference to an item.
pub(super) fn reference(place: String) -> Refusal {
    let what = "refers to an item that is not known here, or not any more: send the items themselves. For the AI SDK, set `store: false` \
                in the provider options `openai`, or use `.chat()`";
    Refusal::new(place, what)
}
