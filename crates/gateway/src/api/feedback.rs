//! `POST /v1/feedback`.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use http::StatusCode;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use slarouter_config::Scope;
use slarouter_core::{DecisionId, Rater, Rating, Source};
use slarouter_store::{FeedbackRecord, StoreError};

use crate::admission::auth::Caller;
use crate::admission::limits::{self, Estimate};
use crate::api::fields;
use crate::app::App;
use crate::clock::{parse_id, public_id};
use crate::error::ApiError;

/// All that are read; two have two names.
const FIELDS: [&str; 7] = ["id", "inference_id", "rating", "value", "rater", "source", "comment"];
const MAX_COMMENT: usize = 8_192;
const MAX_RATER: usize = 256;

/// Rates an answer
///
/// Durable before the answer, and taken at any time after the decision.
#[utoipa::path(
    post, path = "/v1/feedback", tag = "Decisions",
    request_body = crate::api::openapi::FeedbackBody,
    responses(
        (status = 202, body = crate::api::openapi::FeedbackReceipt),
        (status = "4XX", body = crate::api::openapi::ErrorBody),
        (status = 503, body = crate::api::openapi::ErrorBody),
    ),
)]
pub(crate) async fn feedback(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Arc<Caller>>,
    body: Bytes,
) -> Response {
    match record(&app, &caller, &body).await {
        Ok(response) => response,
        Err(error) => error.into_response(),
    }
}

async fn record(app: &App, caller: &Caller, body: &[u8]) -> Result<Response, ApiError> {
    // A rating counts as a request of its key.
    drop(limits::admit(&app.journal, app.clock.now(), &caller.meters, &Estimate::default())?);
    let given = parse(body)?;
    let (scope, what) = match given.source {
        Source::Audit => (Scope::Audit, "audits need"),
        Source::User => (Scope::Feedback, "a rating without `\"source\": \"audit\"` needs"),
    };
    if !caller.has(scope) {
        let message = format!("{what} a key with the scope `{scope}`");
        return Err(ApiError::invalid("source", "insufficient_scope", message).with_status(StatusCode::FORBIDDEN));
    }
    if let Some(only) = caller.decision {
        // Nor can a page be many raters.
        let wrong = if only != given.decision {
            "id"
        } else if given.rater != Rater(0) {
            "rater"
        } else {
            ""
        };
        if !wrong.is_empty() {
            let message = "a feedback token is for the one answer that it came with, without a `rater`";
            return Err(ApiError::invalid(wrong, "token_mismatch", message).with_status(StatusCode::FORBIDDEN));
        }
    }
    let decision = given.decision;
    if given.source == Source::User {
        app.raters.admit(caller.tenant.as_deref(), given.rater, app.config.rater_per_minute, app.clock.now())?;
    }
    if !is_reached(app, caller, decision).await.map_err(|error| refusal(decision, error))? {
        return Err(refusal(decision, StoreError::UnknownDecision));
    }
    let record = FeedbackRecord {
        decision,
        time: app.clock.now(),
        source: given.source,
        rater: given.rater,
        rating: given.rating,
        comment: given.comment,
    };
    let id = public_id(decision);
    let rated = app.store.rate(record, app.config.feedback_window_ms).await;
    let receipt = rated.map_err(|error| refusal(decision, error))?;
    app.metrics.feedback(given.source, receipt);
    tracing::info!(request_id = id, source = given.source.as_str(), receipt = receipt.as_str(), "feedback");
    Ok((StatusCode::ACCEPTED, Json(json!({ "id": given.id, "status": receipt.as_str() }))).into_response())
}

/// Whether the decision is one of those that the caller may speak of. One that is not in the log is the store's to refuse.
async fn is_reached(app: &App, caller: &Caller, id: DecisionId) -> Result<bool, StoreError> {
    if caller.tenant.is_none() {
        return Ok(true);
    }
    let held = app.find(id).await?;
    Ok(held.is_none_or(|held| caller.reaches(&held.record.route)))
}

fn refusal(decision: DecisionId, error: StoreError) -> ApiError {
    let id = public_id(decision);
    match error {
        StoreError::UnknownDecision => {
            let message = format!("no decision {id} is known here: give the `id` of a response of this gateway");
            ApiError::invalid("id", "decision_not_found", message).with_status(StatusCode::NOT_FOUND)
        }
        StoreError::NotDrawn => {
            let message = format!(
                "{id} was not drawn for audit, and an audit of one's own choice would bias the sample: audit answers with the \
                 header x-slarouter-audit, or those of GET /v1/audits, or leave out `source`"
            );
            ApiError::invalid("source", "not_drawn", message).with_status(StatusCode::CONFLICT)
        }
        StoreError::Rated => {
            let message = format!("{id} has as many ratings, and changes of them, as one answer may have");
            ApiError::limited("too_many_ratings", message, None)
        }
        other => {
            tracing::error!(request_id = id, error = %other, "feedback not recorded");
            ApiError::unavailable("store_unavailable", "the feedback could not be made durable: send it again")
        }
    }
}

pub(crate) struct Given {
    /// As the client wrote it.
    id: String,
    pub(crate) decision: DecisionId,
    source: Source,
    rater: Rater,
    pub(crate) rating: Option<Rating>,
    comment: Option<String>,
}

pub(crate) fn parse(body: &[u8]) -> Result<Given, ApiError> {
    let object: Map<String, Value> = serde_json::from_slice(fields::short(body)?)
        .map_err(|error| ApiError::invalid("", "invalid_json", format!("the body is no JSON object: {error}")))?;
    if let Some(name) = object.keys().find(|name| !FIELDS.contains(&name.as_str())) {
        return Err(fields::unknown(name, &FIELDS));
    }
    let id = object.get("id").or_else(|| object.get("inference_id"));
    let id = id.ok_or_else(|| ApiError::invalid("id", "missing_field", "`id` is missing: the `id` of the response"))?;
    let (id, decision) = id.as_str().and_then(|id| Some((id.to_owned(), parse_id(id)?))).ok_or_else(|| {
        ApiError::invalid("id", "invalid_id", format!("`id` must be the id of a response of this gateway, not {id}"))
    })?;
    let rating = match (object.get("rating"), object.get("value")) {
        (Some(rating), None) => rating,
        // A client that fills in what it does not know withdraws nothing.
        (None, Some(Value::Null)) => {
            let message = "`value` must not be null: `\"rating\": null` withdraws";
            return Err(ApiError::invalid("value", "invalid_rating", message));
        }
        (None, Some(value)) => value,
        (Some(_), Some(_)) => {
            let message = "`rating` and `value` are two names of one field: give one of them";
            return Err(ApiError::invalid("value", "invalid_rating", message));
        }
        (None, None) => {
            let message = "`rating` is missing: \"up\", \"down\", or null to withdraw";
            return Err(ApiError::invalid("rating", "missing_field", message));
        }
    };
    let rating = match rating {
        Value::Null => None,
        Value::Bool(up) => Some(f64::from(u8::from(*up))),
        Value::String(word) if word == "up" => Some(1.0),
        Value::String(word) if word == "down" => Some(0.0),
        Value::Number(number) => Some(number.as_f64().unwrap_or(f64::NAN)),
        _ => Some(f64::NAN),
    };
    let rating = rating.map(Rating::new).transpose().map_err(|_| {
        let message = "`rating` must be \"up\", \"down\", true, false, a number from 0 to 1, or null to withdraw";
        ApiError::invalid("rating", "invalid_rating", message)
    })?;
    let source = match object.get("source") {
        None | Some(Value::Null) => Source::User,
        Some(word) => word
            .as_str()
            .and_then(Source::parse)
            .ok_or_else(|| ApiError::invalid("source", "invalid_source", "`source` must be \"user\" or \"audit\""))?,
    };
    let rater = text(&object, "rater", MAX_RATER)?.map_or(Rater(0), |name| {
        let digest: [u8; 32] = Sha256::digest(name.as_bytes()).into();
        let [a, b, c, d, e, f, g, h, ..] = digest;
        Rater(u64::from_le_bytes([a, b, c, d, e, f, g, h]))
    });
    Ok(Given { id, decision, source, rater, rating, comment: text(&object, "comment", MAX_COMMENT)? })
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
    use crate::clock::Clock;

    #[test]
    fn every_form_of_rating() {
        let id = public_id(Clock::default().new_id());
        let rating = |field: &str| {
            parse(format!(r#"{{"id":"{id}",{field}}}"#).as_bytes()).map(|given| given.rating.map(Rating::get))
        };
        for (field, expected) in [
            (r#""rating":"up""#, Some(1.0)),
            (r#""rating":"down""#, Some(0.0)),
            (r#""rating":true"#, Some(1.0)),
            (r#""value":false"#, Some(0.0)),
            (r#""rating":0.25"#, Some(0.25)),
            (r#""rating":null"#, None),
        ] {
            assert_eq!(rating(field).unwrap(), expected, "{field}");
        }
        for wrong in [r#""rating":"good""#, r#""rating":2"#, r#""rating":-0.1"#, r#""rating":[]"#, r#""comment":"""#] {
            assert_eq!(rating(wrong).unwrap_err().param, Some("rating"), "{wrong}");
        }
        // A rating that is not one withdraws none.
        for wrong in [
            r#""score":1.0,"value":null"#,
            r#""value":null"#,
            r#""rating":null,"value":1"#,
            r#""rating":1,"value":null"#,
        ] {
            assert!(rating(wrong).is_err(), "{wrong}");
        }
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
