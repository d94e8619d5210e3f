//! What all pages have.

use std::sync::Arc;

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use slarouter_config::{Scope, utc};
use slarouter_core::Timestamp;
use slarouter_pages::{Frame, Problem, Template};

use crate::admission::auth::Caller;
use crate::error::ApiError;

/// One who may look.
#[derive(Clone)]
pub(super) struct Visitor {
    pub(super) caller: Arc<Caller>,
    /// Whether there is a session to end.
    pub(super) logged_in: bool,
}

/// A page.
pub(super) fn page(status: StatusCode, page: &impl Template) -> Response {
    match page.render() {
        Ok(html) => {
            let kind = HeaderValue::from_static("text/html; charset=utf-8");
            (status, [(header::CONTENT_TYPE, kind)], html).into_response()
        }
        Err(error) => {
            tracing::error!(%error, "a page of the dashboard cannot be made");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// What surrounds a page for those who may look.
pub(super) fn frame<'a>(visitor: &Visitor, place: &'static str, title: &'a str) -> Frame<'a> {
    Frame { title, place, inside: true, logged_in: visitor.logged_in, may_ask: visitor.caller.has(Scope::Inference) }
}

/// What is wrong, as a page.
pub(super) fn problem(visitor: &Visitor, error: &ApiError) -> Response {
    let what = if error.status == StatusCode::NOT_FOUND { "There is nothing here" } else { "This cannot be shown" };
    page(error.status, &Problem { frame: frame(visitor, "", what), what, mend: &error.message })
}

/// A time for people, in UTC.
pub(super) fn shown(time_ms: u64) -> String {
    utc(Timestamp(time_ms)).replace('T', " ").replace('Z', "")
}
