//! The tables of the pages as CSV, with the numbers themselves in place of their texts.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Path, RawQuery, State};
use axum::response::{IntoResponse, Response};
use slarouter_core::{ModelSpec, Timestamp, told_usd};
use slarouter_learner::{ExplainedCandidate, Word};
use slarouter_store::{TENTHS, Tenth};
use tokio::time::Instant;

use super::calibration;
use super::routes::{no_such_range, no_such_route, signals};
use super::standing::Standing;
use crate::api::decisions::{explained, unreadable};
use crate::api::marks::{Mark, marks};
use crate::api::series;
use crate::api::table::{answer, head, known, lines, text};
use crate::app::App;

/// The models of a route.
pub(super) async fn of_models(State(app): State<Arc<App>>, Path(route): Path<String>) -> Response {
    let snapshot = app.published.load();
    let Some(router) = snapshot.routes.get(&*route).filter(|_| app.config.routes.contains_key(&*route)) else {
        return no_such_route().into_response();
    };
    let circuits: BTreeMap<_, _> = app.health.circuits(Instant::now()).collect();
    let row = |model: &ModelSpec| {
        let own = router.account().models.get(&model.name).cloned().unwrap_or_default();
        [
            text(&model.name),
            own.requests.to_string(),
            own.labels.to_string(),
            own.satisfied.to_string(),
            told_usd(own.cost).to_string(),
            known(circuits.get(&*model.name).map(|circuit| circuit.as_str())),
        ]
    };
    let head = head(["model", "requests", "ratings", "satisfied", "cost_usd", "circuit"]);
    answer([head, lines(router.zoo().models().iter().map(row))].concat())
}

/// How the upstreams of a route's models are doing: medians and 95th percentiles of their times, and failures among the calls of late.
pub(super) async fn of_upstreams(State(app): State<Arc<App>>, Path(route): Path<String>) -> Response {
    let Some(settings) = app.config.routes.get(&*route) else { return no_such_route().into_response() };
    let now = Instant::now();
    let circuits: BTreeMap<_, _> = app.health.circuits(now).collect();
    let row = |model: &ModelSpec| {
        let health = app.health.of(&model.name)?;
        let ms = |streamed, share| {
            let time = health.quantile(streamed, share);
            known(time.map(|time| told_usd(time.as_secs_f64() * 1e3)))
        };
        let (failed, calls) = health.failed_of_late();
        Some([
            text(&model.name),
            ms(false, 0.5),
            ms(false, 0.95),
            ms(true, 0.5),
            ms(true, 0.95),
            failed.to_string(),
            calls.to_string(),
            known(circuits.get(&*model.name).map(|circuit| circuit.as_str())),
        ])
    };
    let head = head([
        "model",
        "whole_median_ms",
        "whole_p95_ms",
        "stream_median_ms",
        "stream_p95_ms",
        "failed",
        "calls",
        "circuit",
    ]);
    answer([head, lines(settings.spec.zoo.models().iter().filter_map(row))].concat())
}

/// What had been predicted of the answers that were rated of late, by tenths.
pub(super) async fn of_calibration(State(app): State<Arc<App>>, Path(route): Path<String>) -> Response {
    let Some(settings) = app.config.routes.get(&*route) else { return no_such_route().into_response() };
    let tenths = match calibration::tenths(&app, &route, &settings.spec).await {
        Ok(tenths) => tenths,
        Err(error) => return unreadable(error).into_response(),
    };
    let row = |(place, tenth): (usize, &Tenth)| {
        let mean = |sum: f64| known((tenth.ratings > 0).then(|| sum / tenth.ratings as f64));
        let from = place as f64 / TENTHS as f64;
        [from.to_string(), tenth.ratings.to_string(), mean(tenth.predicted), mean(tenth.rated)]
    };
    answer(
        [head(["predicted_from", "ratings", "predicted", "rated"]), lines(tenths.iter().enumerate().map(row))].concat(),
    )
}

/// What changed of a route within a range.
pub(super) async fn of_marks(
    State(app): State<Arc<App>>,
    Path(route): Path<String>,
    RawQuery(query): RawQuery,
) -> Response {
    if !app.config.routes.contains_key(&*route) {
        return no_such_route().into_response();
    }
    let asked = query.as_deref().and_then(|query| query.strip_prefix("range=")).unwrap_or(series::USUAL);
    let Some(range) = series::range(asked, app.clock.now()) else { return no_such_range().into_response() };
    let calendar = app.calendar();
    let row = |mark: Mark| [calendar.moment(Timestamp(mark.time_ms)), mark.kind.to_owned(), text(&mark.what)];
    answer([head(["time", "kind", "what"]), lines(marks(&app, &route, range).await.into_iter().map(row))].concat())
}

/// What is watched of a route.
pub(super) async fn of_signals(State(app): State<Arc<App>>, Path(route): Path<String>) -> Response {
    let snapshot = app.published.load();
    let standing = Standing::of(&snapshot, &route, app.clock.now()).filter(|_| app.config.routes.contains_key(&*route));
    let Some(standing) = standing else { return no_such_route().into_response() };
    let watched = signals(&app, &snapshot, &route, &standing);
    let rows = watched.iter().map(|signal| [text(signal.name), text(&signal.now), signal.badge.word.to_owned()]);
    answer([head(["what", "now", "state"]), lines(rows)].concat())
}

/// The candidates of a decision.
pub(super) async fn of_candidates(State(app): State<Arc<App>>, Path(id): Path<String>) -> Response {
    let explanation = match explained(&app, &id).await {
        Ok(explanation) => explanation,
        Err(error) => return error.into_response(),
    };
    let row = |candidate: &ExplainedCandidate| {
        [
            text(&candidate.model),
            (candidate.model == explanation.chosen).to_string(),
            candidate.excluded.to_string(),
            candidate.probability.to_string(),
            candidate.satisfaction.to_string(),
            known(candidate.satisfaction_error),
            candidate.cost_usd.to_string(),
            known(candidate.would_win.and_then(|would| would.satisfaction)),
            known(candidate.would_win.and_then(|would| would.cost_usd)),
        ]
    };
    let head = head([
        "model",
        "chosen",
        "excluded",
        "probability",
        "satisfaction",
        "satisfaction_error",
        "cost_usd",
        "would_win_at_satisfaction",
        "would_win_at_cost_usd",
    ]);
    answer([head, lines(explanation.candidates.iter().map(row))].concat())
}

/// All words on a decision.
pub(super) async fn of_feedback(State(app): State<Arc<App>>, Path(id): Path<String>) -> Response {
    let explanation = match explained(&app, &id).await {
        Ok(explanation) => explanation,
        Err(error) => return error.into_response(),
    };
    let calendar = app.calendar();
    let row = |word: &Word| {
        [
            calendar.moment(Timestamp(word.time_ms)),
            word.source.to_owned(),
            known(word.rating),
            word.receipt.to_owned(),
            text(word.comment.as_deref().unwrap_or_default()),
        ]
    };
    let head = head(["time", "source", "rating", "receipt", "comment"]);
    answer([head, lines(explanation.feedback.iter().map(row))].concat())
}
