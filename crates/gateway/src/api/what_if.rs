//! `POST /admin/what-if`: what another target, price or policy, or a model less, would have come to, by the log.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode, header};
use slarouter_report::{Question, WhatIf, WhatIfError, what_if};

use crate::api::decisions::unreadable;
use crate::api::fields;
use crate::app::App;
use crate::error::ApiError;

/// Events of a log that are read while somebody waits; a longer one is for the command.
const MOST_EVENTS: u64 = 1_000_000;

/// What another choice of models would have come to, by the log
///
/// Satisfaction and cost of another α, a model less, another price or another policy, with intervals that hold however often they are looked at.
#[utoipa::path(
    post, path = "/admin/what-if", tag = "Administration", request_body = Object,
    responses((status = 200, body = Object), (status = "4XX", body = crate::api::openapi::ErrorBody)),
)]
pub(crate) async fn ask(State(app): State<Arc<App>>, headers: HeaderMap, body: Bytes) -> Response {
    match answered(&app, &headers, &body).await {
        Ok(answer) => ([(header::CACHE_CONTROL, "no-store")], Json(answer)).into_response(),
        Err(error) => error.into_response(),
    }
}

async fn answered(app: &App, headers: &HeaderMap, body: &[u8]) -> Result<WhatIf, ApiError> {
    let question: Question = fields::json(headers, body)?;
    // What was decided a moment ago may not be on disk yet.
    app.store.flush().await.map_err(unreadable)?;
    let until = *app.store.committed().borrow();
    if until > MOST_EVENTS {
        let message = format!(
            "the log has {until} events, and no more than {MOST_EVENTS} are read here: `slarouter what-if` reads them all, beside a running gateway"
        );
        return Err(ApiError::invalid("", "log_too_long", message).with_status(StatusCode::UNPROCESSABLE_ENTITY));
    }
    // One at a time: each reads the log, and those who wait are people.
    let _turn = app.replaying.lock().await;
    what_if(app.store.as_ref(), &question, until).await.map_err(refusal)
}

fn refusal(error: WhatIfError) -> ApiError {
    match error {
        WhatIfError::Question { key, message } => ApiError::invalid(key, "invalid_parameter", message),
        WhatIfError::Simulation(message) => {
            ApiError::invalid("policy", "not_in_the_log", message).with_status(StatusCode::UNPROCESSABLE_ENTITY)
        }
        WhatIfError::Store(error) => unreadable(error),
    }
}
