//! What all pages have.

use std::sync::Arc;

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use slarouter_config::Scope;
use slarouter_pages::{Frame, Problem, Template};
use slarouter_store::Calendar;

use crate::admission::auth::Caller;
use crate::error::ApiError;

/// One who may look.
#[derive(Clone)]
pub(super) struct Visitor {
    pub(super) caller: Arc<Caller>,
    /// Whether there is a session to end.
    pub(super) logged_in: bool,
    /// Whose time is shown.
    pub(super) calendar: Calendar,
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
pub(super) fn frame<'a>(visitor: &'a Visitor, place: &'static str, title: &'a str) -> Frame<'a> {
    let Visitor { caller, logged_in, calendar } = visitor;
    let (logged_in, may_ask, zone) = (*logged_in, caller.has(Scope::Inference), calendar.name());
    Frame { title, place, zone, inside: true, logged_in, may_ask }
}

/// What is wrong, as a page.
pub(super) fn problem(visitor: &Visitor, error: &ApiError) -> Response {
    let what = if error.status == StatusCode::NOT_FOUND { "There is nothing here" } else { "This cannot be shown" };
    page(error.status, &Problem { frame: frame(visitor, "", what), what, mend: &error.message })
}

/// A span of time: `840 ms`, `12.3 s`.
pub(super) fn took(ms: f64) -> String {
    if ms < 10_000.0 { format!("{ms:.0} ms") } else { format!("{:.1} s", ms / 1_000.0) }
}
