//! One rating of a body, whichever product says it.

use serde_json::Value;
use serde_json::value::RawValue;
use slarouter_core::{Rater, Rating, Source};

use crate::api::feedback::given::{About, Given, MAX_COMMENT, trace_id};
use crate::api::feedback::rating::{TAKEN, rating};
use crate::error::ApiError;
use crate::words::cut;

/// Bytes of a value that may be a rating.
const LONGEST: usize = 64;

/// A word of a body, as far as it could be read.
pub(super) struct Word {
    /// By which its sender knows it.
    pub(super) id: Option<String>,
    /// `None` for one that says nothing of satisfaction.
    pub(super) given: Result<Option<Given>, ApiError>,
}

/// The rating that a value at this place is.
pub(super) fn thumb(place: &str, value: Option<&RawValue>) -> Result<Rating, ApiError> {
    let read = |raw: &RawValue| rating(&serde_json::from_str::<Value>(raw.get()).ok()?);
    value.filter(|raw| raw.get().len() <= LONGEST).and_then(read).ok_or_else(|| {
        let error = ApiError::invalid("", "invalid_rating", format!("`{place}` must be {TAKEN}"));
        ApiError { place: Some(place.to_owned()), ..error }
    })
}

/// A user's word on the answer that was asked for with the id at this place; without a rating it is taken back.
pub(super) fn given(
    place: &str,
    trace: Option<&str>,
    rating: Option<Rating>,
    comment: Option<String>,
) -> Result<Given, ApiError> {
    let Some(trace) = trace else {
        let error =
            ApiError::invalid("", "missing_field", format!("`{place}` is missing: it says which answer is meant"));
        return Err(ApiError { place: Some(place.to_owned()), ..error });
    };
    let comment = comment.map(|comment| cut(&comment, MAX_COMMENT).to_owned()).filter(|comment| !comment.is_empty());
    let trace = trace_id(place, trace)?;
    Ok(Given { about: About::Trace(trace), source: Source::User, rater: Rater(0), rating, comment })
}
