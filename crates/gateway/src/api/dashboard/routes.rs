//! One route.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use http::StatusCode;
use slarouter_core::{Agreement, Policy, Timestamp, told_count, told_money, told_percent};
use slarouter_learner::Snapshot;
use slarouter_pages::{Badge, MarkRow, ModelRow, RouteView, Signal, UpstreamRow};
use slarouter_store::{Calendar, Point};
use tokio::time::Instant;

use super::page::{Visitor, frame, page, problem, took};
use super::standing::Standing;
use super::{calibration, charts, href, observed, tiles};
use crate::alerts::AlertLine;
use crate::api::marks::{Mark, marks};
use crate::api::series::{self, RANGES};
use crate::app::App;
use crate::error::ApiError;
use crate::upstream::Circuit;

/// Events that the learner may be behind without anybody noticing.
const BEHIND: u64 = 2_000;

/// One route.
pub(super) async fn route(
    State(app): State<Arc<App>>,
    Extension(visitor): Extension<Visitor>,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
) -> Response {
    let asked = query.as_deref().and_then(|query| query.strip_prefix("range=")).unwrap_or(series::USUAL);
    let (points, range) = match points(&app, &name, asked).await {
        Ok(found) => found,
        Err(error) => return problem(&visitor, &error),
    };
    let snapshot = app.published.load();
    let Some(standing) = Standing::of(&snapshot, &name, app.clock.now()) else {
        return problem(&visitor, &no_such_route());
    };
    // Without these the rest is shown all the same.
    let late = series::late(&app, &name).await.ok();
    let tenths = calibration::tenths(&app, &name, standing.router.spec()).await.unwrap_or_default();
    let marks = marks(&app, &name, range).await;
    let blocks: Vec<_> = points.iter().map(|point| point.totals).collect();
    let mut tiles = tiles::tiles(&standing);
    tiles.extend(tiles::costs(&blocks, standing.fallback()));
    tiles.extend(late.as_ref().map(tiles::rated));
    let view = RouteView {
        frame: frame(&visitor, "overview", &name),
        name: &name,
        badge: standing.badge(),
        sentence: standing.sentence(),
        tiles,
        gauge: standing.gauge(),
        observed: slarouter_store::observed(&blocks)
            .map(|found| observed::card(&found, standing.fallback(), standing.router.spec().is_observed())),
        ranges: RANGES
            .map(|(range, _)| (range, format!("{}?range={range}", href::route(&name)), range == asked))
            .into(),
        series_href: href::series(&name, asked),
        charts: charts::charts(&points, standing.fallback(), &visitor.calendar),
        marks: marks.into_iter().map(|mark| self::mark(mark, &visitor.calendar)).collect(),
        calibration: calibration::rows(&tenths),
        models: models(&name, &standing),
        upstreams: upstreams(&app, &standing),
        signals: signals(&app, &snapshot, &name, &standing),
        tables_href: href::tables(&name),
        range: asked,
        decisions_href: href::decisions(&[("route", &name)]),
    };
    page(StatusCode::OK, &view)
}

/// What became of a route within the range of this name.
async fn points(app: &App, route: &str, range: &str) -> Result<(Vec<Point>, (Timestamp, Timestamp)), ApiError> {
    if !app.config.routes.contains_key(route) {
        return Err(no_such_route());
    }
    let Some((from, to)) = series::range(range, app.clock.now()) else {
        return Err(no_such_range());
    };
    Ok((series::within(app, route, (from, to)).await?, (from, to)))
}

fn mark(mark: Mark, calendar: &Calendar) -> MarkRow {
    MarkRow { time: calendar.told(Timestamp(mark.time_ms)), kind: mark.kind, what: mark.what }
}

pub(super) fn no_such_range() -> ApiError {
    let message = "There is no such range: choose one of those on the page of the route.";
    ApiError::invalid("range", "invalid_parameter", message)
}

pub(super) fn no_such_route() -> ApiError {
    let message = "No route of that name is configured. The overview lists those that are.";
    ApiError::invalid("", "route_not_found", message).with_status(StatusCode::NOT_FOUND)
}

fn models(route: &str, standing: &Standing<'_>) -> Vec<ModelRow> {
    let account = standing.router.account();
    let row = |model: &slarouter_core::ModelSpec| {
        let own = account.models.get(&model.name).cloned().unwrap_or_default();
        let share = if account.requests > 0 { own.requests as f64 / account.requests as f64 } else { 0.0 };
        ModelRow {
            name: model.name.to_string(),
            href: href::decisions(&[("route", route), ("model", &model.name)]),
            is_fallback: standing.fallback() == &*model.name,
            share: told_percent(share),
            width: format!("{:.1}", share * 100.0),
            ratings: if own.labels > 0 {
                format!("{:.0} of {}", own.satisfied, told_count(own.labels))
            } else {
                "–".to_owned()
            },
            cost: told_money(own.cost),
            cost_each: if own.requests > 0 { told_money(own.cost / own.requests as f64) } else { "–".to_owned() },
        }
    };
    standing.router.zoo().models().iter().map(row).collect()
}

fn upstreams(app: &App, standing: &Standing<'_>) -> Vec<UpstreamRow> {
    let is_ours = |name: &str| standing.router.zoo().position(name).is_some();
    let row = |(name, circuit, trouble): (&str, Circuit, Option<String>)| {
        let health = app.health.of(name)?;
        let times = |streamed| {
            let of = |share| health.quantile(streamed, share).map(|time| took(time.as_secs_f64() * 1e3));
            of(0.5).zip(of(0.95)).map_or_else(|| "–".to_owned(), |(half, most)| format!("{half}, {most}"))
        };
        let (failed, calls) = health.failed_of_late();
        Some(UpstreamRow {
            model: name.to_owned(),
            whole: times(false),
            streamed: times(true),
            failed: if calls > 0 { format!("{failed} of {calls}") } else { "–".to_owned() },
            circuit: match circuit {
                Circuit::Closed => Badge::good("answers"),
                Circuit::HalfOpen => Badge::warn("being probed"),
                Circuit::Open => Badge::bad("left alone"),
            },
            trouble,
        })
    };
    app.health.view(Instant::now()).filter(|(name, ..)| is_ours(name)).filter_map(row).collect()
}

/// The alerts of a route that are pending or fire.
fn alerts(app: &App, route: &str) -> Vec<Signal> {
    let own = app.alerts.lines(app.clock.now()).into_iter().filter(|alert| alert.route.as_deref() == Some(route));
    let calendar = app.calendar();
    let signal = |alert: AlertLine| Signal {
        name: alert.name,
        now: format!("{} (since {})", alert.summary, calendar.told(alert.since)),
        badge: match (alert.fires, alert.severity) {
            (false, _) => Badge::calm("pending"),
            (true, "critical") => Badge::bad("fires"),
            (true, _) => Badge::warn("fires"),
        },
    };
    let signals: Vec<_> = own.map(signal).collect();
    if signals.is_empty() {
        let now = "none fires, and none is about to".to_owned();
        return vec![Signal { name: "Alerts", now, badge: Badge::good("quiet") }];
    }
    signals
}

/// How often judge and people say the same.
fn agreement(held: &Agreement) -> Option<Signal> {
    let (share, (lower, upper)) = (held.share()?, held.interval(0.95));
    let now = format!(
        "the same of {} ({:.1} to {:.1}) of the {} answers that both have judged",
        told_percent(share),
        lower * 100.0,
        upper * 100.0,
        told_count(held.compared)
    );
    Some(Signal { name: "Judge and people", now, badge: Badge::calm("compared") })
}

pub(super) fn signals(app: &App, snapshot: &Snapshot, route: &str, standing: &Standing<'_>) -> Vec<Signal> {
    let mut signals = alerts(app, route);
    let behind = app.store.committed().borrow().saturating_sub(snapshot.seq);
    signals.extend([
        Signal {
            name: "Learner",
            now: format!("{} of the log's events not read yet", told_count(behind)),
            badge: if behind > BEHIND { Badge::warn("behind") } else { Badge::good("up to date") },
        },
        Signal {
            name: "Log",
            now: format!("{} entries lost", told_count(app.store.dropped())),
            badge: if app.store.is_failing() { Badge::bad("cannot be written") } else { Badge::good("written") },
        },
    ]);
    if let Some(feasible) = standing.router.policy().is_feasible() {
        signals.push(Signal {
            name: "Reach of the models",
            now: "by what is predicted of them".to_owned(),
            badge: if feasible { Badge::good("can meet the target") } else { Badge::bad("cannot meet the target") },
        });
    }
    signals.extend(snapshot.agreements.get(route).and_then(agreement));
    let aside = snapshot.set_aside.get(route).copied().unwrap_or_default();
    signals.push(Signal {
        name: "Ratings set aside",
        now: format!("{} beyond the limit or the share of their rater", told_count(aside)),
        badge: if aside > 0 { Badge::warn("some raters rate very often") } else { Badge::good("none") },
    });
    signals
}
