//! `GET /admin/report`: what the log says of a period, for the person who signs.

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use http::header;
use slarouter_report::{Format, ReportError, period, report};
use slarouter_store::StoreError;
use tokio::runtime::Handle;
use tokio::task::spawn_blocking;

use crate::api::decisions::unreadable;
use crate::api::fields;
use crate::app::App;
use crate::error::ApiError;

const NAMES: &[&str] = &["from", "to", "format"];
/// The page has its style in itself, and no script.
const POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// What is asked for, as it was written.
#[derive(Debug, PartialEq, Eq)]
struct Asked {
    from: String,
    to: Option<String>,
    format: &'static str,
}

/// Reports on a period, for the person who signs
///
/// The same as `slarouter report` writes. It reads the log three times, so a long one takes a while; one report is made at a time.
#[utoipa::path(
    get, path = "/admin/report", tag = "Administration",
    params(
        ("from" = String, Query, description = "The first day, as `2026-11-01`, or a month, as `2026-11`"),
        ("to" = Option<String>, Query, description = "The first day that is no longer in it, or a month likewise; the end of the month of `from` if left out"),
        ("format" = Option<String>, Query, description = "`html`, `md` or `json`"),
    ),
    responses((status = 200, body = String), (status = "4XX", body = crate::api::openapi::ErrorBody)),
)]
pub(crate) async fn get(State(app): State<Arc<App>>, RawQuery(query): RawQuery) -> Response {
    let written = async {
        let asked = parse(query.as_deref().unwrap_or_default())?;
        Ok::<_, ApiError>((asked.format, write(&app, &asked).await?))
    };
    match written.await {
        Ok((format, text)) => {
            let kind = format!("{}; charset=utf-8", of(format).1);
            let policy = (header::CONTENT_SECURITY_POLICY, POLICY.to_owned());
            let sniffing = (header::X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned());
            ([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "no-store".to_owned()), policy, sniffing], text)
                .into_response()
        }
        Err(error) => error.into_response(),
    }
}

/// A format by its name, with its type.
fn of(format: &str) -> (Format, &'static str) {
    match format {
        "md" => (Format::Markdown, "text/markdown"),
        "json" => (Format::Json, "application/json"),
        _ => (Format::Html, "text/html"),
    }
}

async fn write(app: &App, asked: &Asked) -> Result<String, ApiError> {
    let calendar = app.store.calendar().await.map_err(unreadable)?;
    let period = period(&calendar, &asked.from, asked.to.as_deref())
        .map_err(|error| ApiError::invalid(error.name(), "invalid_parameter", error.to_string()))?;
    // What was asked a moment ago is in it.
    app.store.flush().await.map_err(unreadable)?;
    let _turn = app.replaying.lock().await;
    let (store, until, format) = (app.store.clone(), *app.store.committed().borrow(), of(asked.format).0);
    // It computes for as long as it reads, which no request is to wait for.
    let runtime = Handle::current();
    let made = spawn_blocking(move || runtime.block_on(report(store.as_ref(), period, until))?.write(format)).await;
    match made {
        Ok(Ok(text)) => Ok(text),
        Ok(Err(ReportError::Store(error @ StoreError::Gone { .. }))) => Err(unreadable(error)),
        Ok(Err(error)) => {
            tracing::error!(%error, "a report cannot be made");
            Err(ApiError::unavailable("log_unreadable", format!("the log cannot be read: {error}")))
        }
        Err(_) => Err(ApiError::internal()),
    }
}

fn parse(query: &str) -> Result<Asked, ApiError> {
    let (mut from, mut to, mut format) = (None, None, "html");
    for (name, value) in fields::parameters(query, NAMES)? {
        match name {
            "from" => from = Some(value),
            "to" => to = Some(value),
            _ => {
                format = ["html", "md", "json"].into_iter().find(|known| *known == value).ok_or_else(|| {
                    ApiError::invalid("format", "invalid_parameter", "`format` must be `html`, `md` or `json`")
                })?;
            }
        }
    }
    let missing = "`from` is missing: the first day of the report, as in 2026-11-01, or a month, as in 2026-11";
    let from = from.ok_or_else(|| ApiError::invalid("from", "missing_required_parameter", missing))?;
    Ok(Asked { from, to, format })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_read_and_mistakes_named() {
        let asked = |to: Option<&str>, format| Asked { from: "2026-11".to_owned(), to: to.map(str::to_owned), format };
        assert_eq!(parse("from=2026-11").unwrap(), asked(None, "html"));
        assert_eq!(parse("to=2026%2D12&from=2026-11&format=md").unwrap(), asked(Some("2026-12"), "md"));
        assert_eq!(parse("from=2026-11&to=").unwrap(), asked(None, "html"), "as a form sends it");
        for (query, param) in [("", "from"), ("to=2026-11", "from"), ("from=2026-11&format=pdf", "format")] {
            assert_eq!(parse(query).unwrap_err().param, Some(param), "{query}");
        }
    }
}
