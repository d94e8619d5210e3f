//! The tables of the pages as CSV, with the numbers themselves in place of their texts.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use slarouter_core::{ModelSpec, Timestamp, told_text, told_usd};
use slarouter_learner::{ExplainedCandidate, Word};
use tokio::time::Instant;

use super::routes::{Standing, no_such_route, signals};
use crate::api::decisions::explained;
use crate::api::table::{answer, head, known, lines};
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

/// What is watched of a route.
pub(super) async fn of_signals(State(app): State<Arc<App>>, Path(route): Path<String>) -> Response {
    let snapshot = app.published.load();
    let standing = Standing::of(&snapshot, &route).filter(|_| app.config.routes.contains_key(&*route));
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

fn text(words: &str) -> String {
    told_text(words).into_owned()
}
