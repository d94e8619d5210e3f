//! One word or a list of them, each as its own piece of the body: what a product sends beside them may be a whole conversation.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::api::fields;
use crate::error::ApiError;

/// Words in one body: each waits for the disk.
const MOST: usize = 100;

/// The words of a body, and whether they stand in a list.
#[derive(Debug)]
pub(super) struct Items<'a> {
    pub(super) listed: bool,
    pub(super) words: Vec<&'a RawValue>,
}

/// A list of at most [`MOST`] values.
pub(super) struct List<'a>(pub(super) Vec<&'a RawValue>);

impl<'de: 'a, 'a> Deserialize<'de> for List<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bounded;
        impl<'de> Visitor<'de> for Bounded {
            type Value = List<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<List<'de>, A::Error> {
                let mut values = Vec::new();
                while let Some(value) = seq.next_element()? {
                    if values.len() == MOST {
                        return Err(A::Error::custom(format_args!(
                            "there are more than {MOST} words in it: send fewer at once"
                        )));
                    }
                    values.push(value);
                }
                Ok(List(values))
            }
        }
        deserializer.deserialize_seq(Bounded)
    }
}

impl<'a> Items<'a> {
    /// Takes a body apart.
    ///
    /// # Errors
    /// 400 for what is no JSON, or has too many words.
    pub(super) fn of(body: &'a [u8]) -> Result<Self, ApiError> {
        if body.trim_ascii_start().first() == Some(&b'[') {
            let List(words) = read(body)?;
            return Ok(Self { listed: true, words });
        }
        Ok(Self { listed: false, words: vec![read(body)?] })
    }
}

/// Reads a body, or a piece of one.
///
/// # Errors
/// 400 with what is wrong.
pub(super) fn read<'a, T: Deserialize<'a>>(json: &'a [u8]) -> Result<T, ApiError> {
    serde_json::from_slice(json).map_err(|error| fields::unread(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_one_word_or_a_bounded_list() {
        let of = |body: &str| {
            Items::of(body.as_bytes()).map(|items| (items.listed, items.words.len())).map_err(|error| error.message)
        };
        assert_eq!(of(r#"{"a":[1]}"#), Ok((false, 1)));
        assert_eq!(of(" [] "), Ok((true, 0)));
        let list = |length: usize| format!("[{}]", vec!["{}"; length].join(","));
        assert_eq!(of(&list(MOST)), Ok((true, MOST)));
        assert!(of(&list(MOST + 1)).unwrap_err().contains("more than 100 words"));
        for wrong in ["", "{", "[1,", "nothing"] {
            assert!(of(wrong).is_err(), "{wrong}");
        }
    }
}
