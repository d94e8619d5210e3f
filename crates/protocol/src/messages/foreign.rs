//! Reasoning of models that speak another protocol.

use crate::fields::{Fields, elements};
use crate::json::{Edit, splice};
use crate::print::list;
use crate::seal::{MARK, is_ours};

/// The messages without blocks of reasoning that carry a seal of ours, which Anthropic would refuse; `None` if there are none of them.
pub(crate) fn without_foreign_reasoning(messages: &str) -> Option<String> {
    memchr::memmem::find(messages.as_bytes(), MARK.as_bytes())?;
    let is_foreign = |block: &str| {
        let mut fields = Fields::parse(block, "").ok();
        let mut text = |name| fields.as_mut().and_then(|fields| fields.text(name).ok().flatten());
        text("type").as_deref() == Some("thinking") && text("signature").is_some_and(|seal| is_ours(&seal))
    };
    let mut kept = Vec::new();
    for (message, _) in elements(messages, "").ok()? {
        let content = Fields::parse(message, "").ok().and_then(|mut fields| fields.take("content"));
        let Some(blocks) = content.and_then(|content| elements(content, "").ok()) else {
            kept.push(message.to_owned());
            continue;
        };
        let own: Vec<_> =
            blocks.iter().filter(|(block, _)| !is_foreign(block)).map(|(block, _)| (*block).to_owned()).collect();
        if own.len() == blocks.len() {
            kept.push(message.to_owned());
        } else if !own.is_empty() {
            let own = list(&own);
            let edited = splice(message.as_bytes(), &[("content", Edit::Set(own.as_bytes()))]).ok()?;
            kept.push(String::from_utf8(edited).ok()?);
        }
    }
    Some(list(&kept))
}
