//! The paths, and what each asks of its callers.

mod admin;
mod answers;
mod audits;
mod body;
mod browser;
pub(crate) mod coding;
mod count;
mod dashboard;
mod decisions;
pub(crate) mod feedback;
mod fields;
pub(crate) mod forget;
mod guard;
pub(crate) mod head;
mod marks;
mod models;
mod openapi;
pub(crate) mod paths;
mod report;
pub(crate) mod route;
pub(crate) mod series;
mod table;
mod what_if;

use std::sync::atomic::Ordering;
use std::sync::{Arc, LazyLock};

use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::{StatusCode, header};
use slarouter_config::Scope;
use tokio::time::Instant;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::chat::DEGRADED;
use crate::metrics::LogState;
use browser::Leave;
use feedback::products;
use guard::{ADMIN, RATING, VIEWING, guarded, neighbours};
use openapi::Description;

/// The paths to ask at.
fn inference() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(answers::completions))
        .routes(routes!(answers::responses))
        .routes(routes!(answers::compact))
        .routes(routes!(answers::messages))
        .routes(routes!(count::count_tokens))
        .routes(routes!(answers::text_completions))
        .routes(routes!(answers::embeddings))
        .routes(routes!(route::route))
        .routes(routes!(route::outcomes))
}

/// The paths for any key.
fn listing() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(models::list)).routes(routes!(models::retrieve))
}

fn rating() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(feedback::feedback))
}

/// Ratings in the forms of other products.
fn relaying() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(products::whole)).routes(routes!(products::mirrored))
}

fn auditing() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(audits::list))
}

/// The administrator's paths.
fn administration() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(admin::list, admin::create))
        .routes(routes!(admin::rotate))
        .routes(routes!(admin::revoke))
        .routes(routes!(admin::reload))
        .routes(routes!(admin::health))
        .routes(routes!(admin::alerts))
        .routes(routes!(forget::forget))
}

fn viewing() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(metrics))
}

/// What the playground asks at.
fn playing() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(answers::completions)).routes(routes!(feedback::feedback))
}

/// What was decided: for the same eyes as the metrics, but never without a key where there is one.
fn looking() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(decisions::list))
        .routes(routes!(decisions::explain))
        .routes(routes!(series::series))
        .routes(routes!(report::get))
        .routes(routes!(what_if::ask))
}

/// The paths for all.
fn open() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(root)).routes(routes!(healthz)).routes(routes!(readyz)).routes(routes!(openapi))
}

/// The description of all paths, made from the router's own parts.
fn description() -> utoipa::openapi::OpenApi {
    let parts =
        [inference(), rating(), relaying(), auditing(), listing(), open(), viewing(), looking(), administration()];
    let whole = OpenApiRouter::with_openapi(Description::openapi());
    let mut whole = parts.into_iter().fold(whole, OpenApiRouter::merge).into_openapi();
    // The router's mark for a name that may hold slashes is none of OpenAPI's.
    let paths = std::mem::take(&mut whole.paths.paths);
    whole.paths.paths = paths.into_iter().map(|(path, item)| (path.replace("{*", "{"), item)).collect();
    whole
}

/// The paths of the public listener.
pub(crate) fn public(app: Arc<App>) -> Router {
    // A preflight is of a method that the path does not take, so what refuses that has to lie within.
    let leave = |paths, origins| {
        let paths = Router::from(paths).method_not_allowed_fallback(paths::wrong_method);
        OpenApiRouter::from(paths.layer(from_fn_with_state(Leave { app: app.clone(), origins }, browser::cors)))
    };
    let parts = [
        leave(guarded(&app, inference(), &[Scope::Inference]), |config| &config.server.cors_origins),
        leave(guarded(&app, rating(), RATING), |config| &config.browser.origins),
        guarded(&app, relaying(), RATING).layer(from_fn(products::with_basic)),
        guarded(&app, auditing(), &[Scope::Audit]),
        leave(guarded(&app, listing(), &[]), |config| &config.server.cors_origins),
    ];
    let mut paths = parts.into_iter().fold(open(), OpenApiRouter::merge);
    if app.config.server.admin_listen.is_none() {
        let metrics =
            if app.config.server.allow_unauthenticated_metrics { viewing() } else { guarded(&app, viewing(), VIEWING) };
        paths = paths.merge(metrics).merge(guarded(&app, looking(), VIEWING));
        paths = paths.merge(guarded(&app, administration(), ADMIN));
    }
    Router::from(paths)
        .fallback(paths::not_found)
        .method_not_allowed_fallback(paths::wrong_method)
        .layer(from_fn(paths::readable))
        .layer(from_fn_with_state(app.clone(), head::check))
        .with_state(app)
}

/// The paths of the operator's listener, if there is one.
pub(crate) fn operator(app: Arc<App>) -> Router {
    Router::from(guarded(&app, administration(), ADMIN))
        .merge(Router::from(looking()).layer(from_fn_with_state(app.clone(), dashboard::onlookers)))
        .merge(
            Router::from(playing())
                .layer(DefaultBodyLimit::disable())
                .layer(from_fn_with_state(app.clone(), dashboard::players)),
        )
        .merge(dashboard::paths(&app))
        .route("/metrics", get(metrics).layer(from_fn_with_state(app.clone(), neighbours)))
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .fallback(paths::not_found)
        .method_not_allowed_fallback(paths::wrong_method)
        .layer(from_fn(paths::readable))
        .layer(from_fn_with_state(app.clone(), head::check))
        .with_state(app)
}

/// What this is, for people and for clients that only look whether somebody is there
#[utoipa::path(get, path = "/", tag = "Operation", responses((status = 200, body = String)))]
async fn root() -> String {
    format!("SLARouter. {}\n", paths::BASE_URLS)
}

/// Whether the process lives
#[utoipa::path(get, path = "/healthz", tag = "Operation", responses((status = 200, body = String)))]
async fn healthz() -> &'static str {
    "ok"
}

/// Whether it takes requests
#[utoipa::path(
    get, path = "/readyz", tag = "Operation",
    responses((status = 200, description = "`ready`, or `degraded: ` and what is in trouble", body = String), (status = 503, description = "It shuts down", body = String)),
)]
async fn readyz(State(app): State<Arc<App>>) -> Response {
    if app.draining.load(Ordering::Relaxed) {
        return (StatusCode::SERVICE_UNAVAILABLE, "draining").into_response();
    }
    // Requests are answered all the same, so it stays 200: no replica would do better.
    match app.trouble() {
        Some(trouble) => ([(DEGRADED, trouble)], format!("degraded: {trouble}")).into_response(),
        None => match &app.published.load().unreadable {
            unreadable if unreadable.count > 0 => {
                format!("degraded: rows of the log cannot be read: {unreadable}; see slarouter doctor").into_response()
            }
            _ => "ready".into_response(),
        },
    }
}

/// Metrics for Prometheus, on the operator's listener if there is one
///
/// On the public listener they need a key with the scope `view` or `admin`.
#[utoipa::path(
    get, path = "/metrics", tag = "Operation",
    responses((status = 200, description = "OpenMetrics", body = String), (status = "4XX", body = crate::api::openapi::ErrorBody)),
)]
async fn metrics(State(app): State<Arc<App>>) -> Response {
    let snapshot = app.published.load();
    let committed = *app.store.committed().borrow();
    let now = app.clock.now();
    app.metrics.rated_of_late(&app.last_hour.rows(now));
    let log = LogState {
        now,
        committed,
        dropped: app.store.dropped(),
        kept: app.store.kept(),
        is_holder: app.store.role().borrow().is_holder(),
        gateways: app.auth.meters.gateways(),
        set_back: app.store.set_back(),
        state_age: app.state_age(),
        stale: app.is_stale(&snapshot),
    };
    let text = app.metrics.render(
        &snapshot,
        &log,
        app.health.circuits(Instant::now()).map(|(model, circuit)| (model, circuit as i64)),
    );
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], text).into_response()
}

static DOCUMENT: LazyLock<String> = LazyLock::new(|| {
    let document = description();
    // A description of plain data cannot fail to print.
    document.to_json().unwrap_or_default()
});

/// This description
#[utoipa::path(get, path = "/openapi.json", tag = "Operation", responses((status = 200, body = Object)))]
async fn openapi() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], DOCUMENT.as_str()).into_response()
}
