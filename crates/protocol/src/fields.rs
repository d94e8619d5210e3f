//! The members of a JSON object, taken out one by one, so that what nobody took can be told by name.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::dropped::Dropped;

/// Characters of a value that a refusal repeats.
const SHOWN: usize = 64;

/// Why a request cannot be carried over to another protocol.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// Where in the request, as in `messages[2].content[0].type`.
    pub param: String,
    /// What is wrong with it, and what to do.
    pub message: String,
}

/// An object whose members are still to be read. Values keep their bytes until they are.
#[derive(Debug)]
pub(crate) struct Fields<'a> {
    place: String,
    members: Vec<(String, &'a RawValue)>,
}

struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

// === impl Refusal ===

impl Refusal {
    /// A refusal of what stands at `place`, empty for the whole body; `what` follows the name of the place.
    pub fn new(place: impl Into<String>, what: impl fmt::Display) -> Self {
        let param = place.into();
        let message = if param.is_empty() { format!("the body {what}") } else { format!("`{param}` {what}") };
        Self { param, message }
    }

    /// A refusal of what has no counterpart, with its raw value.
    pub(crate) fn not_carried(place: impl Into<String>, value: &str) -> Self {
        let shown: String = value.chars().take(SHOWN).collect();
        let dots = if shown.len() < value.len() { "\u{2026}" } else { "" };
        Self::new(place, format_args!("= {shown}{dots} {NOT_CARRIED}"))
    }
}

// === impl Fields ===

impl<'a> Fields<'a> {
    /// Reads an object; `place` is where it stands in the whole, empty for the whole itself.
    pub(crate) fn parse(json: &'a str, place: impl Into<String>) -> Result<Self, Refusal> {
        let place = place.into();
        match serde_json::from_str::<Members<'a>>(json) {
            Ok(Members(members)) => Ok(Self { place, members }),
            Err(_) => Err(Refusal::new(place, "must be an object")),
        }
    }

    /// The place of a member.
    pub(crate) fn at(&self, name: &str) -> String {
        if self.place.is_empty() { name.to_owned() } else { format!("{}.{name}", self.place) }
    }

    /// Takes a member; of several the last counts, and `null` is as left out.
    pub(crate) fn take(&mut self, name: &str) -> Option<&'a str> {
        let mut last = None;
        self.members.retain(|(held, value)| {
            let found = held == name;
            if found {
                last = Some(value.get());
            }
            !found
        });
        last.filter(|value| *value != "null")
    }

    /// As [`Self::take`], of a type.
    fn typed<T: serde::Deserialize<'a>>(&mut self, name: &str, expected: &str) -> Result<Option<T>, Refusal> {
        self.take(name)
            .map(|raw| serde_json::from_str(raw))
            .transpose()
            .map_err(|_| Refusal::new(self.at(name), format_args!("must be {expected}")))
    }

    pub(crate) fn text(&mut self, name: &str) -> Result<Option<String>, Refusal> {
        self.typed(name, "a string")
    }

    /// The text of a string, or any other value as it is written: some servers send arguments as an object instead of as its text.
    pub(crate) fn text_or_raw(&mut self, name: &str) -> Option<String> {
        self.take(name).map(|raw| string(raw).map_or_else(|| raw.to_owned(), Cow::into_owned))
    }

    /// A string that has to be there.
    pub(crate) fn required(&mut self, name: &str) -> Result<String, Refusal> {
        self.text(name)?.ok_or_else(|| Refusal::new(self.at(name), "is missing"))
    }

    pub(crate) fn flag(&mut self, name: &str) -> Result<Option<bool>, Refusal> {
        self.typed(name, "a boolean")
    }

    pub(crate) fn count(&mut self, name: &str) -> Result<Option<u64>, Refusal> {
        self.typed(name, "a whole number, not negative")
    }

    /// A number as it is spelled.
    pub(crate) fn number(&mut self, name: &str) -> Result<Option<String>, Refusal> {
        let Some(raw) = self.take(name) else { return Ok(None) };
        match serde_json::from_str::<f64>(raw) {
            Ok(_) => Ok(Some(raw.to_owned())),
            Err(_) => Err(Refusal::new(self.at(name), "must be a number")),
        }
    }

    pub(crate) fn object(&mut self, name: &str) -> Result<Option<Fields<'a>>, Refusal> {
        let place = self.at(name);
        self.take(name).map(|raw| Fields::parse(raw, place)).transpose()
    }

    /// The elements of an array, each with its place; none if it is left out.
    pub(crate) fn array(&mut self, name: &str) -> Result<Vec<(&'a str, String)>, Refusal> {
        let place = self.at(name);
        self.take(name).map_or(Ok(Vec::new()), |raw| elements(raw, &place))
    }

    /// Takes members that do not change the answer, whatever they say.
    pub(crate) fn hints(&mut self, names: &[&str]) {
        self.members.retain(|(held, _)| !names.contains(&held.as_str()));
    }

    /// Takes a member that says what would hold without it anyway.
    pub(crate) fn neutral(&mut self, name: &str, values: &[&str]) {
        self.members
            .retain(|(held, value)| !(held == name && (values.contains(&value.get()) || value.get() == "null")));
    }

    /// Refuses members that change what the answer means.
    pub(crate) fn refuse(&self, names: &[&str]) -> Result<(), Refusal> {
        let found = |(name, value): &&(String, &RawValue)| names.contains(&name.as_str()) && value.get() != "null";
        match self.members.iter().find(found) {
            None => Ok(()),
            Some((name, value)) => Err(Refusal::not_carried(self.at(name), value.get())),
        }
    }

    /// Takes note of what is left and has no counterpart.
    pub(crate) fn drop_rest(self, dropped: &mut Dropped) {
        for (name, _) in self.members.iter().filter(|(_, value)| value.get() != "null") {
            dropped.note(&self.at(name));
        }
    }
}

/// What is said of members that have no counterpart.
pub(crate) const NOT_CARRIED: &str = "cannot be carried over to the model's protocol: leave it out, or choose a model \
                                      that speaks the protocol of this request";

/// The elements of an array, each with its place.
pub(crate) fn elements<'a>(json: &'a str, place: &str) -> Result<Vec<(&'a str, String)>, Refusal> {
    let elements: Vec<&'a RawValue> =
        serde_json::from_str(json).map_err(|_| Refusal::new(place, "must be an array"))?;
    Ok(elements.iter().enumerate().map(|(index, raw)| (raw.get(), format!("{place}[{index}]"))).collect())
}

/// The text of a JSON string; `None` for anything else.
pub(crate) fn string(json: &str) -> Option<Cow<'_, str>> {
    json.starts_with('"').then(|| serde_json::from_str::<String>(json).ok().map(Cow::Owned))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_takes_is_told_by_name() {
        let mut fields = Fields::parse(r#"{"a":1,"b":null,"c":{"d":[true,{"e":"x"}]},"n":1,"a":2}"#, "").unwrap();
        assert_eq!(fields.count("a").unwrap(), Some(2), "the last counts");
        fields.neutral("n", &["1"]);
        let mut inner = fields.object("c").unwrap().unwrap();
        let list = inner.array("d").unwrap();
        assert_eq!(list[1].1, "c.d[1]");
        let mut dropped = Dropped::default();
        for rest in [inner, fields] {
            rest.drop_rest(&mut dropped);
        }
        assert!(dropped.is_empty(), "{dropped}");
        let deep = Fields::parse(list[1].0, list[1].1.clone()).unwrap();
        let refusal = deep.refuse(&["d", "e"]).unwrap_err();
        assert!(refusal.message.starts_with("`c.d[1].e` = \"x\" cannot be carried over"), "{refusal}");
        deep.drop_rest(&mut dropped);
        assert_eq!(dropped.to_string(), "c.d[1].e");
    }

    #[test]
    fn wrong_types_are_named() {
        let mut fields = Fields::parse(r#"{"t":7,"f":"x","c":-1,"n":"1","o":[],"a":{}}"#, "at").unwrap();
        assert_eq!(fields.text("t").unwrap_err().message, "`at.t` must be a string");
        assert_eq!(fields.flag("f").unwrap_err().param, "at.f");
        assert_eq!(fields.count("c").unwrap_err().param, "at.c");
        assert_eq!(fields.number("n").unwrap_err().param, "at.n");
        assert_eq!(fields.object("o").unwrap_err().message, "`at.o` must be an object");
        assert_eq!(fields.array("a").unwrap_err().message, "`at.a` must be an array");
        assert_eq!(fields.required("t").unwrap_err().message, "`at.t` is missing");
        assert_eq!(Fields::parse("[1]", "").unwrap_err().message, "the body must be an object");
    }
}
