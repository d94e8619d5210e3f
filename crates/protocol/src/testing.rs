//! What the tests of all protocols share.

use serde_json::Value;

use crate::dropped::Dropped;
use crate::endpoint::{ModelProtocol, Protocol, Upstream};
use crate::fields::Refusal;
use crate::forms::{read_request, write_request};

/// A model that its provider calls `up`.
pub(crate) fn model(dialect: ModelProtocol) -> Upstream<'static> {
    Upstream { dialect, model: "up", reasons: true, max_output_tokens: 4_096 }
}

/// What becomes of a request.
pub(crate) fn translate(from: Protocol, to: ModelProtocol, body: &Value) -> Result<Value, Refusal> {
    translate_for(from, model(to), body).map(|(written, _)| written)
}

/// What becomes of a request to this model, and what it lost.
pub(crate) fn translate_for(from: Protocol, to: Upstream<'_>, body: &Value) -> Result<(Value, Dropped), Refusal> {
    let request = read_request(from, &body.to_string())?;
    let (written, dropped) = write_request(&request, to)?;
    Ok((serde_json::from_str(&written).unwrap(), dropped))
}

/// What becomes of a member of a request.
#[derive(Clone, Debug)]
pub(crate) enum Fate {
    /// It is in this member of the other request.
    Carried(&'static str, Value),
    /// The other request is the same without it, and nothing is said.
    Silent,
    /// The same, and this is said to be left out.
    Said(&'static str),
    /// The request is refused for this.
    Refused(&'static str),
}

/// Holds the translation of `base` with one member more to its fate.
pub(crate) fn assert_fate(from: Protocol, to: ModelProtocol, base: &Value, (name, value): (&str, &Value), fate: &Fate) {
    let case = format!("{name}: {value} to {to:?}");
    let mut body = base.clone();
    body[name] = value.clone();
    let found = translate_for(from, model(to), &body);
    let (written, said) = match (found, fate) {
        (Err(refusal), Fate::Refused(param)) => return assert_eq!(refusal.param, *param, "{case}: {refusal}"),
        (found, _) => found.unwrap_or_else(|refusal| panic!("{case}: {refusal}")),
    };
    let without = translate(from, to, base).unwrap();
    match fate {
        Fate::Carried(field, expected) => assert_eq!(written[field], *expected, "{case}"),
        Fate::Silent | Fate::Said(_) => assert_eq!(written, without, "{case}"),
        Fate::Refused(param) => panic!("{case} is not refused for {param}: {written}"),
    }
    assert_eq!(said.to_string(), if let Fate::Said(place) = fate { *place } else { "" }, "{case}");
}
