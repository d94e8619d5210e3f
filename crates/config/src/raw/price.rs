//! `models.price` as it is written: one price, a list with dates, or the word that nobody knows it.

use std::fmt;

use serde::Deserialize;
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};
use toml::Spanned;

use crate::date::Date;

/// A price as it is written.
pub(crate) enum Written {
    Unknown,
    Always(Box<Price>),
    Dated(Vec<Spanned<Price>>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(crate) struct Price {
    pub(crate) input: f64,
    pub(crate) output: f64,
    pub(crate) cached_input: Option<f64>,
    pub(crate) cache_write: Option<f64>,
    pub(crate) cache_write_1h: Option<f64>,
    pub(crate) reasoning: Option<f64>,
    pub(crate) audio_input: Option<f64>,
    pub(crate) audio_output: Option<f64>,
    pub(crate) image_input: Option<f64>,
    pub(crate) image_output: Option<f64>,
    pub(crate) long: Option<Long>,
    pub(crate) from: Option<Spanned<Date>>,
}

/// The prices of a long question.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(crate) struct Long {
    pub(crate) above: u64,
    pub(crate) input: f64,
    pub(crate) output: f64,
}

impl<'de> Deserialize<'de> for Written {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Written;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a table of prices, a list of such tables, or \"unknown\"")
            }

            fn visit_str<E: Error>(self, word: &str) -> Result<Written, E> {
                match word {
                    "unknown" => Ok(Written::Unknown),
                    _ => Err(E::custom("a price is a table of USD per million tokens, a list of such, or \"unknown\"")),
                }
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Written, A::Error> {
                Price::deserialize(MapAccessDeserializer::new(map)).map(|price| Written::Always(Box::new(price)))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Written, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(list)).map(Written::Dated)
            }
        }
        deserializer.deserialize_any(Reader)
    }
}
