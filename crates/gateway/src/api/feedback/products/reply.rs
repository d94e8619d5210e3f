//! What senders are told.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde_json::{Value, json};

use crate::api::feedback::Recorded;
use crate::clock::public_id;
use crate::error::ApiError;

/// In which form a sender is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// As by `/v1/feedback`.
    One,
    /// As by Langfuse for a list of scores: 202 where all are taken, and else 207 with counts and errors.
    List,
    /// As by Langfuse's ingestion: what became of each event.
    Ingestion,
}

/// An answer in the making.
pub(super) struct Reply {
    form: Form,
    accepted: Vec<Value>,
    ignored: usize,
    rejected: Vec<(Value, ApiError)>,
    words: usize,
}

impl Reply {
    pub(super) fn new(form: Form) -> Self {
        Self { form, accepted: Vec::new(), ignored: 0, rejected: Vec::new(), words: 0 }
    }

    /// Adds what became of the next word; `id` is that of its sender.
    pub(super) fn add(&mut self, id: Option<String>, entered: Result<Option<Recorded>, ApiError>) {
        let place = id.map_or_else(|| json!(self.words), Value::String);
        self.words += 1;
        match entered {
            Ok(Some(recorded)) if self.form == Form::One => {
                let (id, status) = (public_id(recorded.decision), recorded.receipt.as_str());
                self.accepted.push(json!({ "id": id, "status": status }));
            }
            Ok(Some(_)) => self.accepted.push(json!({ "id": place, "status": 201 })),
            Ok(None) => {
                self.ignored += 1;
                if self.form == Form::Ingestion {
                    self.accepted.push(json!({ "id": place, "status": 201 }));
                }
            }
            Err(error) => self.rejected.push((place, error)),
        }
    }

    /// # Errors
    /// What is wrong with the only word of a body.
    pub(super) fn finish(mut self) -> Result<Response, ApiError> {
        if self.form == Form::One {
            if let Some((_, error)) = self.rejected.pop() {
                return Err(error);
            }
            let said = self.accepted.pop().unwrap_or_else(|| json!({ "status": "ignored" }));
            return Ok((StatusCode::ACCEPTED, Json(said)).into_response());
        }
        let error = |(place, error): &(Value, ApiError)| {
            let status = error.status.as_u16();
            json!({ "id": place, "status": status, "message": error.message, "error": error.code })
        };
        let errors: Vec<Value> = self.rejected.iter().map(error).collect();
        let (accepted, ignored) = (self.accepted.len(), self.ignored);
        let (status, said) = match self.form {
            Form::Ingestion => (StatusCode::MULTI_STATUS, json!({ "successes": self.accepted, "errors": errors })),
            _ if errors.is_empty() => {
                (StatusCode::ACCEPTED, json!({ "message": "Accepted", "accepted": accepted, "ignored": ignored }))
            }
            _ => {
                let said =
                    json!({ "accepted": accepted, "ignored": ignored, "rejected": errors.len(), "errors": errors });
                (StatusCode::MULTI_STATUS, said)
            }
        };
        Ok((status, Json(said)).into_response())
    }
}
