//! `/admin/forget`: what is known of a person, and how it goes.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::IntoResponse;
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use slarouter_core::Timestamp;
use slarouter_store::{Forgotten, Store, StoreError, rater};
use utoipa::ToSchema;

use crate::api::fields;
use crate::app::App;
use crate::error::ApiError;

/// The longest name of a rater, as feedback takes it.
const MAX_NAME: usize = 256;

/// Who is to be forgotten.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Person {
    /// The name that feedback gave as `rater`.
    rater: String,
    /// Whether anything is deleted; false only counts what there is.
    #[serde(default)]
    delete: bool,
}

/// Counts, and deletes, what the log holds of a rater
///
/// The rater's words, and the messages of the answers that the rater rated, go at once; the rater's number goes when the window for feedback of
/// all of them is over. Ratings stay, and what was learnt from them.
#[utoipa::path(
    post, path = "/admin/forget", tag = "Administration", request_body = Person,
    responses(
        (status = 200, body = Object),
        (status = 202, description = "Noted, for whichever gateway holds the log", body = Object),
        (status = "4XX", body = crate::api::openapi::ErrorBody),
    ),
)]
pub(crate) async fn forget(State(app): State<Arc<App>>, headers: HeaderMap, body: Bytes) -> Response {
    let done = async {
        let Person { rater, delete } = fields::json(&headers, &body)?;
        if rater.is_empty() || rater.len() > MAX_NAME {
            let message = format!("`rater` must be the name that feedback gave, of 1 to {MAX_NAME} bytes");
            return Err(ApiError::invalid("rater", "invalid_rater", message));
        }
        let found = person(app.store.as_ref(), &rater, app.clock.now(), delete).await;
        found.map_err(|error| ApiError::unavailable("store_unavailable", error.to_string()))
    };
    match done.await {
        Ok(found) if found["noted"] == true => (StatusCode::ACCEPTED, Json(found)).into_response(),
        Ok(found) => Json(found).into_response(),
        Err(error) => error.into_response(),
    }
}

/// What there is of a rater, and whether it was deleted.
///
/// # Errors
/// [`StoreError`] if the log cannot be read or written.
pub async fn person(store: &dyn Store, name: &str, now: Timestamp, delete: bool) -> Result<Value, StoreError> {
    let Forgotten { feedback, comments, prompts, waiting, is_noted } = store.forget(rater(name), now, delete).await?;
    let deleted = delete && !is_noted;
    if deleted {
        tracing::info!(feedback, comments, prompts, "a rater was forgotten");
    }
    Ok(
        json!({ "feedback": feedback, "comments": comments, "prompts": prompts, "waiting": waiting, "deleted": deleted, "noted": is_noted }),
    )
}
