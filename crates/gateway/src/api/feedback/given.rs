//! The body of `/v1/feedback`.

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use slarouter_core::{DecisionId, Rater, Rating, Source};
use slarouter_store::TraceId;

use super::rating::{TAKEN, rating};
use crate::api::fields;
use crate::clock::parse_id;
use crate::error::ApiError;

/// All that are read; some have several names.
const FIELDS: [&str; 9] = ["id", "inference_id", "trace_id", "rating", "value", "score", "rater", "source", "comment"];
/// Names of one field.
const RATINGS: [&str; 3] = ["rating", "value", "score"];
pub(super) const MAX_COMMENT: usize = 8_192;
const MAX_RATER: usize = 256;

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

pub(crate) fn parse(body: &[u8]) -> Result<Given, ApiError> {
    let object: Map<String, Value> = serde_json::from_slice(fields::short(body)?)
        .map_err(|error| ApiError::invalid("", "invalid_json", format!("the body is no JSON object: {error}")))?;
    if let Some(name) = object.keys().find(|name| !FIELDS.contains(&name.as_str())) {
        return Err(fields::unknown(name, &FIELDS));
    }
    let source = match object.get("source") {
        None | Some(Value::Null) => Source::User,
        Some(word) => word
            .as_str()
            .and_then(Source::parse)
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

/// Who rates, by any name.
fn rater(name: &str) -> Rater {
    let digest: [u8; 32] = Sha256::digest(name.as_bytes()).into();
    let [a, b, c, d, e, f, g, h, ..] = digest;
    Rater(u64::from_le_bytes([a, b, c, d, e, f, g, h]))
}

/// The id of the application's own that this text is.
///
/// # Errors
/// 400 that says what one is made of.
pub(super) fn trace_id(text: &str) -> Result<TraceId, ApiError> {
    TraceId::new(text).ok_or_else(|| {
        let most = TraceId::MOST;
        let message = format!("`trace_id` must be 1 to {most} letters, digits and characters of -_.:/+=@~");
        ApiError::invalid("trace_id", "invalid_trace_id", message)
    })
}

fn about(object: &Map<String, Value>) -> Result<About, ApiError> {
    let id = object.get("id").or_else(|| object.get("inference_id"));
    match (id, object.get("trace_id")) {
        (Some(_), Some(_)) => {
            let message = "`id` and `trace_id` both say which answer is meant: give one of them";
            Err(ApiError::invalid("trace_id", "invalid_trace_id", message))
        }
        (None, Some(trace)) => Ok(About::Trace(trace_id(trace.as_str().unwrap_or_default())?)),
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
        for wrong in [r#""trace_id":"a b""#, r#""trace_id":7"#, r#""trace_id":null"#, r#""trace_id":"""#] {
            let error = about(wrong).map(|_| ()).unwrap_err();
            assert_eq!((error.code, error.param), ("invalid_trace_id", Some("trace_id")), "{wrong}");
        }
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
