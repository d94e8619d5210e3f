//! `GET /admin/decisions`: what was decided, page by page or as one table; and one decision explained.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt, stream};
use http::{StatusCode, header};
use serde_json::{Value, json};
use slarouter_core::{Reason, told_usd};
use slarouter_learner::{Explanation, LearningError};
use slarouter_store::{Calendar, DecisionLine, DecisionQuery, StoreError, TraceId};

use crate::api::{fields, table};
use crate::app::App;
use crate::clock::{parse_id, public_id};
use crate::error::ApiError;
use crate::prompts::PromptKeys;

const LIMIT: usize = 50;
const MOST: usize = 500;
/// Lines of a table.
const MOST_LINES: usize = 100_000;
const NAMES: [&str; 6] = ["before", "limit", "route", "model", "reason", "format"];
const COLUMNS: [&str; 14] = [
    "id",
    "seq",
    "time",
    "route",
    "reason",
    "chosen",
    "model",
    "predicted_satisfaction",
    "predicted_cost_usd",
    "status",
    "cost_usd",
    "latency_ms",
    "rating",
    "trace_id",
];
/// Events that are replayed for the state of a decision's moment: about a second of a core.
const MOST_EVENTS: u64 = 20_000;

/// Which decisions are listed, and in which form.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) query: DecisionQuery,
    csv: bool,
}

/// Lists decisions, newest first
///
/// With `format=csv` they are one table, which is made while it is sent.
#[utoipa::path(
    get, path = "/admin/decisions", tag = "Administration",
    params(
        ("before" = Option<u64>, Query, description = "`next` of the page before"),
        ("limit" = Option<usize>, Query, description = "At most so many, 50 if left out, 500 at most; of a table 100000, and so if left out"),
        ("route" = Option<String>, Query, description = "Those of this route alone"),
        ("model" = Option<String>, Query, description = "Those that this model answered, or was to"),
        ("reason" = Option<String>, Query, description = "`exploit`, `explore`, `fallback`, `pinned` or `affinity`"),
        ("format" = Option<String>, Query, description = "`json` or `csv`"),
    ),
    responses((status = 200, body = Object), (status = "4XX", body = crate::api::openapi::ErrorBody)),
)]
pub(crate) async fn list(State(app): State<Arc<App>>, RawQuery(query): RawQuery) -> Response {
    let listed = async {
        let Asked { query, csv } = parse(query.as_deref().unwrap_or_default())?;
        if csv {
            return Ok(listing(app, query));
        }
        let page = app.store.decisions(query).await.map_err(unreadable)?;
        let data: Vec<Value> = page.lines.iter().map(line).collect();
        Ok::<_, ApiError>(respond(Ok(json!({ "object": "list", "data": data, "next": page.next }))))
    };
    listed.await.unwrap_or_else(IntoResponse::into_response)
}

/// The list as a table. No page of it is read before the one before has gone out, so a long one takes no more room than a short one.
fn listing(app: Arc<App>, query: DecisionQuery) -> Response {
    let head = stream::once(std::future::ready(Ok(table::head(COLUMNS))));
    let pages = stream::try_unfold(Some(query), move |query| piece(app.clone(), query));
    table::answer(Body::from_stream(head.chain(pages)))
}

/// What is left of a list to be sent.
type Rest = Option<DecisionQuery>;

/// The next lines of the list, if there are any, and what is left after them.
async fn piece(app: Arc<App>, mut rest: Rest) -> Result<Option<(Vec<u8>, Rest)>, StoreError> {
    let calendar = app.calendar();
    while let Some(query) = rest.take() {
        let page = app.store.decisions(DecisionQuery { limit: query.limit.min(MOST), ..query.clone() }).await;
        let page = page.inspect_err(|error| tracing::error!(%error, "a table of decisions ends early"))?;
        let limit = query.limit - page.lines.len();
        let before = page.next.filter(|_| limit > 0);
        rest = before.map(|before| DecisionQuery { before: Some(before), limit, ..query });
        if !page.lines.is_empty() {
            return Ok(Some((table::lines(page.lines.iter().map(|line| cells(line, &calendar))), rest)));
        }
    }
    Ok(None)
}

fn cells(line: &DecisionLine, calendar: &Calendar) -> [String; COLUMNS.len()] {
    [
        public_id(line.id),
        line.seq.to_string(),
        calendar.moment(line.time),
        table::text(&line.route),
        line.reason.as_str().to_owned(),
        table::text(&line.chosen),
        table::text(&line.model),
        line.satisfaction.to_string(),
        told_usd(line.predicted_cost).to_string(),
        table::known(line.status),
        table::known(line.cost.map(told_usd)),
        table::known(line.latency_ms),
        table::known(line.rating),
        line.trace.as_ref().map(|trace| table::text(trace.as_str())).unwrap_or_default(),
    ]
}

/// Explains one decision
///
/// What was known, what came of it, what would have had to be otherwise; and whether it is made again exactly from the log.
#[utoipa::path(
    get, path = "/admin/decisions/{id}", tag = "Administration",
    params(("id" = String, Path, description = "The `id` of an answer, or of the list")),
    responses((status = 200, body = Object), (status = "4XX", body = crate::api::openapi::ErrorBody)),
)]
pub(crate) async fn explain(State(app): State<Arc<App>>, Path(id): Path<String>) -> Response {
    respond(explained(&app, &id).await.map(|explanation| describe(&explanation)))
}

/// The decision of this id, explained.
pub(crate) async fn explained(app: &App, id: &str) -> Result<Explanation, ApiError> {
    let unknown = || {
        let message = "no decision of that id is known here: take the `id` of an answer or of the list";
        ApiError::invalid("id", "decision_not_found", message).with_status(StatusCode::NOT_FOUND)
    };
    let id = parse_id(id).ok_or_else(unknown)?;
    // What was decided a moment ago may not be on disk yet.
    app.store.flush().await.map_err(unreadable)?;
    // One at a time: each may replay a part of the log, and those who wait are people.
    let _turn = app.replaying.lock().await;
    let found = slarouter_learner::explain(app.store.as_ref(), id, app.config.server.seed, MOST_EVENTS).await;
    match found {
        Ok(explanation) => explanation.map(|explanation| opened(&app.prompts, explanation)).ok_or_else(unknown),
        Err(LearningError::Store(error)) => Err(unreadable(error)),
        Err(error) => {
            tracing::error!(%error, "a decision cannot be explained");
            Err(ApiError::unavailable("log_unreadable", format!("the log cannot be read: {error}")))
        }
    }
}

/// With what a judge said as it was; what there is no key for stays sealed.
fn opened(keys: &PromptKeys, mut explanation: Explanation) -> Explanation {
    for comment in explanation.feedback.iter_mut().filter_map(|word| word.comment.as_mut()) {
        if let Ok(said) = keys.open(explanation.id, comment) {
            *comment = said;
        }
    }
    explanation
}

/// An explanation as programs get it.
pub(crate) fn describe(explanation: &Explanation) -> Value {
    let mut value = json!(explanation);
    value["id"] = public_id(explanation.id).into();
    value
}

fn line(line: &DecisionLine) -> Value {
    json!({
        "id": public_id(line.id), "seq": line.seq, "time_ms": line.time.0, "route": &*line.route,
        "reason": line.reason.as_str(), "chosen": &*line.chosen, "model": &*line.model,
        "predicted_satisfaction": line.satisfaction, "predicted_cost_usd": told_usd(line.predicted_cost),
        "status": line.status, "cost_usd": line.cost.map(told_usd), "latency_ms": line.latency_ms, "rating": line.rating,
        "trace_id": line.trace.as_ref().map(TraceId::as_str),
    })
}

/// Reads the parameters of the list.
pub(crate) fn parse(query: &str) -> Result<Asked, ApiError> {
    let (mut read, mut csv, mut limit) = (DecisionQuery::default(), false, None);
    for (name, value) in fields::parameters(query, &NAMES)? {
        let refuse = |message: String| ApiError::invalid(name, "invalid_parameter", message);
        match name {
            "before" => {
                let before = value.parse().map_err(|_| refuse("`before` must be a `next` of this list".to_owned()))?;
                read.before = Some(before);
            }
            "limit" => limit = Some(value.parse().unwrap_or(0)),
            "route" => read.route = Some(value.into()),
            "model" => read.model = Some(value.into()),
            "format" => match &*value {
                "csv" => csv = true,
                "json" => csv = false,
                _ => return Err(refuse("`format` must be `json` or `csv`".to_owned())),
            },
            _ => {
                let words = "`exploit`, `explore`, `fallback`, `pinned` or `affinity`";
                read.reason = Some(Reason::parse(&value).ok_or_else(|| refuse(format!("`reason` must be {words}")))?);
            }
        }
    }
    let (usual, most) = if csv { (MOST_LINES, MOST_LINES) } else { (LIMIT, MOST) };
    read.limit = limit.unwrap_or(usual);
    if !(1..=most).contains(&read.limit) {
        let message = format!("`limit` must be a number from 1 to {most}");
        return Err(ApiError::invalid("limit", "invalid_parameter", message));
    }
    Ok(Asked { query: read, csv })
}

pub(crate) fn unreadable(error: StoreError) -> ApiError {
    if let StoreError::Gone { .. } = error {
        return ApiError::invalid("from", "gone", error.to_string()).with_status(StatusCode::GONE);
    }
    tracing::error!(%error, "decisions not read");
    ApiError::unavailable("store_unavailable", "the log could not be read: ask again")
}

fn respond(result: Result<Value, ApiError>) -> Response {
    match result {
        Ok(body) => ([(header::CACHE_CONTROL, "no-store")], Json(body)).into_response(),
        Err(error) => error.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_read_and_mistakes_named() {
        let asked = |query: DecisionQuery| Asked { query, csv: false };
        let read = parse("route=a%2Fb&model=gpt+4&reason=explore&limit=7&before=9").unwrap();
        let expected = DecisionQuery {
            before: Some(9),
            route: Some("a/b".into()),
            model: Some("gpt 4".into()),
            reason: Some(Reason::Explore),
            limit: 7,
        };
        assert_eq!(read, asked(expected));
        let empty = DecisionQuery { limit: LIMIT, ..DecisionQuery::default() };
        assert_eq!(parse("route=&model=&reason=&before=").unwrap(), asked(empty), "as a form sends it");
        let whole = DecisionQuery { limit: MOST_LINES, ..DecisionQuery::default() };
        assert_eq!(parse("format=csv").unwrap(), Asked { query: whole, csv: true });
        assert_eq!(parse("limit=501&format=csv").unwrap().query.limit, 501);
        for (query, param) in [
            ("limit=0", "limit"),
            ("limit=501", "limit"),
            ("limit=x", "limit"),
            ("limit=100001&format=csv", "limit"),
            ("format=xml", "format"),
            ("before=-1", "before"),
            ("before=chatcmpl-1", "before"),
            ("reason=best", "reason"),
        ] {
            assert_eq!(parse(query).unwrap_err().param, Some(param), "{query}");
        }
        assert_eq!(parse("modl=a").unwrap_err().message, "unknown field `modl`: did you mean `model`?");
    }
}
