//! The body of `/v1/feedback`.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::{Map, Value};
use slarouter_core::{DecisionId, Rater, Rating, Source};
use slarouter_store::{TraceId, rater};

use super::rating::{TAKEN, rating};
use crate::api::fields;
use crate::clock::parse_id;
use crate::error::ApiError;
use crate::words::cut;

/// All that are read; some have several names.
const FIELDS: [&str; 9] = ["id", "inference_id", "trace_id", "rating", "value", "score", "rater", "source", "comment"];
/// Names of one field.
const RATINGS: [&str; 3] = ["rating", "value", "score"];
pub(super) const MAX_COMMENT: usize = 8_192;
const MAX_RATER: usize = 256;
/// Bytes of a member's name that a message repeats.
const SHOWN: usize = 64;

/// A word on an answer.
pub(crate) struct Given {
    pub(crate) about: About,
    pub(crate) source: Source,
    pub(crate) rater: Rater,
    /// `None` withdraws.
    pub(crate) rating: Option<Rating>,
    pub(crate) comment: Option<String>,
}

/// Which answer a word is about.
#[derive(Clone)]
pub(crate) enum About {
    /// That with an id of ours, which stands beside it as the client wrote it.
    Decision(DecisionId, String),
    /// That with an id of the application's own.
    Trace(TraceId),
}

/// The members of an object, each of which stands there once: of two ratings nobody knows which is meant.
struct Fields(Map<String, Value>);

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Once;
        impl<'de> Visitor<'de> for Once {
            type Value = Map<String, Value>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
                let mut object = Map::new();
                while let Some((name, value)) = members.next_entry::<String, Value>()? {
                    if object.contains_key(&name) {
                        let shown = cut(&name, SHOWN);
                        return Err(A::Error::custom(format_args!("`{shown}` stands there twice: give it once")));
                    }
                    object.insert(name, value);
                }
                Ok(object)
            }
        }
        deserializer.deserialize_map(Once).map(Self)
    }
}

pub(crate) fn parse(body: &[u8]) -> Result<Given, ApiError> {
    let Fields(object) = serde_json::from_slice(fields::short(body)?)
        .map_err(|error| ApiError::invalid("", "invalid_json", format!("the body is no JSON object: {error}")))?;
    if let Some(name) = object.keys().find(|name| !FIELDS.contains(&name.as_str())) {
        return Err(fields::unknown(name, &FIELDS));
    }
    let source = match object.get("source") {
        None | Some(Value::Null) => Source::User,
        Some(word) => word
            .as_str()
            .and_then(Source::parse)
            // The gateway's own judge alone speaks for a judge: what it says must not depend on what people say.
            .filter(|source| *source != Source::Judge)
            .ok_or_else(|| ApiError::invalid("source", "invalid_source", "`source` must be \"user\" or \"audit\""))?,
    };
    Ok(Given {
        about: about(&object)?,
        rating: share(&object)?,
        source,
        rater: text(&object, "rater", MAX_RATER)?.map_or(Rater(0), |name| rater(&name)),
        comment: text(&object, "comment", MAX_COMMENT)?,
    })
}

/// The id of the application's own that the text at this place is.
///
/// # Errors
/// 400 that says what one is made of.
pub(super) fn trace_id(place: &str, text: &str) -> Result<TraceId, ApiError> {
    TraceId::new(text).ok_or_else(|| {
        let most = TraceId::MOST;
        let message = format!("`{place}` must be 1 to {most} letters, digits and characters of -_.:/+=@~");
        ApiError { place: Some(place.to_owned()), ..ApiError::invalid("", "invalid_trace_id", message) }
    })
}

fn about(object: &Map<String, Value>) -> Result<About, ApiError> {
    // A client that fills in what it does not know names nothing.
    let named = |name: &str| object.get(name).filter(|value| !value.is_null());
    let id = match (named("id"), named("inference_id")) {
        (Some(_), Some(_)) => {
            let message = "`id` and `inference_id` are two names of one field: give one of them";
            return Err(ApiError::invalid("inference_id", "invalid_id", message));
        }
        (id, other) => id.or(other),
    };
    match (id, named("trace_id")) {
        (Some(_), Some(_)) => {
            let message = "`id` and `trace_id` both say which answer is meant: give one of them";
            Err(ApiError::invalid("trace_id", "invalid_trace_id", message))
        }
        (None, Some(trace)) => Ok(About::Trace(trace_id("trace_id", trace.as_str().unwrap_or_default())?)),
        (None, None) => {
            let message = "`id` is missing: the `id` of the response, or `trace_id`, the id that you gave it";
            Err(ApiError::invalid("id", "missing_field", message))
        }
        (Some(id), None) => {
            let known = id.as_str().and_then(|text| Some(About::Decision(parse_id(text)?, text.to_owned())));
            known.ok_or_else(|| {
                let message = format!(
                    "`id` must be the id of a response of this gateway, not {id}: an id of your own is a `trace_id`"
                );
                ApiError::invalid("id", "invalid_id", message)
            })
        }
    }
}

fn share(object: &Map<String, Value>) -> Result<Option<Rating>, ApiError> {
    let mut given = RATINGS.into_iter().filter_map(|name| Some((name, object.get(name)?)));
    let Some((name, value)) = given.next() else {
        let message = format!("`rating` is missing: {TAKEN}; or null to withdraw");
        return Err(ApiError::invalid("rating", "missing_field", message));
    };
    let refuse = |name, message: String| Err(ApiError::invalid(name, "invalid_rating", message));
    if let Some((other, _)) = given.next() {
        return refuse(other, format!("`{name}` and `{other}` are two names of one field: give one of them"));
    }
    match value {
        Value::Null if name == RATINGS[0] => Ok(None),
        // A client that fills in what it does not know withdraws nothing.
        Value::Null => refuse(name, format!("`{name}` must not be null: `\"rating\": null` withdraws")),
        value => match rating(value) {
            Some(rating) => Ok(Some(rating)),
            None => refuse(name, format!("`{name}` must be {TAKEN}; or `rating` null to withdraw")),
        },
    }
}

fn text(object: &Map<String, Value>, name: &'static str, limit: usize) -> Result<Option<String>, ApiError> {
    match object.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.len() <= limit => Ok(Some(text.clone())),
        Some(_) => {
            let message = format!("`{name}` must be a string of at most {limit} bytes");
            Err(ApiError::invalid(name, "invalid_field", message))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Clock, public_id};

    #[test]
    fn a_rating_has_three_names_and_is_withdrawn_by_one() {
        let id = public_id(Clock::default().new_id());
        let rating = |field: &str| {
            parse(format!(r#"{{"id":"{id}",{field}}}"#).as_bytes()).map(|given| given.rating.map(Rating::get))
        };
        for (field, expected) in [
            (r#""rating":"up""#, Some(1.0)),
            (r#""value":"thumbs_down""#, Some(0.0)),
            (r#""score":0.25"#, Some(0.25)),
            (r#""rating":null"#, None),
        ] {
            assert_eq!(rating(field).unwrap(), expected, "{field}");
        }
        for (wrong, param) in [
            (r#""rating":"good""#, "rating"),
            (r#""value":2"#, "value"),
            (r#""score":-0.1"#, "score"),
            (r#""comment":"""#, "rating"),
            // A rating that is not one withdraws none.
            (r#""score":1.0,"value":null"#, "score"),
            (r#""value":null"#, "value"),
            (r#""score":null"#, "score"),
            (r#""rating":null,"value":1"#, "value"),
            (r#""rating":1,"score":1"#, "score"),
        ] {
            let error = rating(wrong).unwrap_err();
            assert_eq!(error.param, Some(param), "{wrong}");
        }
        assert!(rating(r#""rating":5"#).unwrap_err().message.contains("a number from 0 to 1, or -1"));
    }

    #[test]
    fn an_answer_is_named_by_our_id_or_by_the_applications_own() {
        let id = public_id(Clock::default().new_id());
        let about = |field: &str| parse(format!(r#"{{"rating":1,{field}}}"#).as_bytes()).map(|given| given.about);
        assert!(matches!(about(&format!(r#""id":"{id}""#)), Ok(About::Decision(_, written)) if written == id));
        let own = about(r#""trace_id":"run-7""#).unwrap();
        assert!(matches!(own, About::Trace(trace) if trace.as_str() == "run-7"));
        for wrong in [r#""trace_id":"a b""#, r#""trace_id":7"#, r#""trace_id":"""#] {
            let error = about(wrong).map(|_| ()).unwrap_err();
            assert_eq!((error.code, error.place.as_deref()), ("invalid_trace_id", Some("trace_id")), "{wrong}");
        }
        // What a client leaves null it does not know.
        let filled = format!(r#""id":"{id}","inference_id":null,"trace_id":null"#);
        assert!(matches!(about(&filled), Ok(About::Decision(..))));
        assert!(matches!(about(r#""id":null,"trace_id":"run-7""#), Ok(About::Trace(_))));
        let nothing = about(r#""id":null,"trace_id":null"#).map(|_| ()).unwrap_err();
        assert_eq!((nothing.code, nothing.param), ("missing_field", Some("id")));
        let twice = about(&format!(r#""id":"{id}","inference_id":"{id}""#)).map(|_| ()).unwrap_err();
        assert_eq!((twice.code, twice.param), ("invalid_id", Some("inference_id")));
        let both = about(&format!(r#""id":"{id}","trace_id":"a""#)).map(|_| ()).unwrap_err();
        assert!(both.message.contains("give one of them"), "{}", both.message);
        let foreign = about(r#""id":"run-7""#).map(|_| ()).unwrap_err();
        assert!(foreign.message.contains("an id of your own is a `trace_id`"), "{}", foreign.message);
    }

    #[test]
    fn whose_word_it_is() {
        let id = public_id(Clock::default().new_id());
        let source = |field: &str| parse(format!(r#"{{"id":"{id}","rating":1{field}}}"#).as_bytes()).unwrap().source;
        assert_eq!(source(""), Source::User);
        assert_eq!(source(r#","source":null"#), Source::User);
        assert_eq!(source(r#","source":"user""#), Source::User);
        assert_eq!(source(r#","source":"audit""#), Source::Audit);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let id = public_id(Clock::default().new_id());
        let error = |body: &str| parse(body.as_bytes()).map(|_| ()).unwrap_err();
        assert_eq!(error("[]").code, "invalid_json");
        assert_eq!(error("{").code, "invalid_json");
        for twice in [r#""rating":"up","rating":"down""#, r#""rating":"up","id":"chatcmpl-2""#] {
            let wrong = error(&format!(r#"{{"id":"{id}",{twice}}}"#));
            assert!(wrong.code == "invalid_json" && wrong.message.contains("stands there twice"), "{}", wrong.message);
        }
        assert_eq!(error(r#"{"rating":"up"}"#).param, Some("id"));
        assert_eq!(error(r#"{"id":"chatcmpl-1","rating":"up"}"#).code, "invalid_id");
        assert_eq!(error(&format!(r#"{{"id":"{id}","rating":"up","rater":7}}"#)).param, Some("rater"));
        for wrong in ["\"judge\"", "1", "\"\"", "[]"] {
            assert_eq!(error(&format!(r#"{{"id":"{id}","rating":"up","source":{wrong}}}"#)).param, Some("source"));
        }
        for (slip, meant) in
            [("raterr", "rater"), ("ratign", "rating"), ("comments", "comment"), ("inferenceid", "inference_id")]
        {
            let wrong = error(&format!(r#"{{"id":"{id}","rating":"up","{slip}":"x"}}"#));
            assert_eq!((wrong.code, wrong.place.as_deref()), ("unknown_field", Some(slip)));
            assert_eq!(wrong.message, format!("unknown field `{slip}`: did you mean `{meant}`?"));
        }
        assert_eq!(error(&format!(r#"{{"id":"{id}","rating":"up","tags":[]}}"#)).code, "unknown_field");
        let long = "x".repeat(MAX_COMMENT + 1);
        assert_eq!(error(&format!(r#"{{"id":"{id}","rating":"up","comment":"{long}"}}"#)).param, Some("comment"));
    }
}
