//! What a request that passes says of how much its model is to reason.

use crate::endpoint::Protocol;
use crate::fields::Fields;
use crate::json::{Edit, Object};

/// A place that a model which cannot be told how much to reason would be refused for.
pub(super) struct Wish {
    pub(super) member: &'static str,
    pub(super) place: &'static str,
    /// The member's value without it; `None` where nothing is left.
    pub(super) without: Option<Vec<u8>>,
}

/// The places in a request of this protocol, of which `member` gives the members that are not null.
pub(super) fn wishes<'a>(protocol: Protocol, member: impl Fn(&str) -> Option<&'a str>) -> Vec<Wish> {
    let whole = |name: &'static str| member(name).map(|_| Wish { member: name, place: name, without: None });
    let found = match protocol {
        Protocol::Chat => [whole("reasoning_effort"), None],
        Protocol::Responses => {
            let sealed = |included: &&str| included.replace(' ', "") == r#"["reasoning.encrypted_content"]"#;
            [whole("reasoning"), member("include").filter(sealed).and_then(|_| whole("include"))]
        }
        Protocol::Messages => {
            let kind = |raw: &str| Fields::parse(raw, "").ok()?.text("type").ok()?;
            let thinks = |raw: &&str| kind(raw).as_deref() != Some("disabled");
            [
                member("thinking").filter(thinks).and_then(|_| whole("thinking")),
                member("output_config").and_then(effort),
            ]
        }
    };
    found.into_iter().flatten().collect()
}

fn effort(config: &str) -> Option<Wish> {
    let json = config.as_bytes();
    let object = Object::scan(json).ok()?;
    object.get_some(json, "effort")?;
    let mut without = Vec::new();
    object.splice(json, &[("effort", Edit::Remove)], &mut without);
    let empty = !without.contains(&b':');
    Some(Wish { member: "output_config", place: "output_config.effort", without: (!empty).then_some(without) })
}
