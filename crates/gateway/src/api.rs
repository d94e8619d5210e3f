//! The paths, and what each asks of its callers.

mod admin;
mod answers;
mod audits;
mod body;
mod browser;
pub(crate) mod coding;
mod count;
mod decisions;
pub(crate) mod feedback;
mod fields;
pub(crate) mod head;
mod models;
mod openapi;
pub(crate) mod paths;
pub(crate) mod route;

use std::sync::atomic::Ordering;
use std::sync::{Arc, LazyLock};

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::{HeaderValue, StatusCode, header};
use slarouter_config::Scope;
use slarouter_protocol::Endpoint;
use tokio::time::Instant;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::admission::auth::{self, Caller};
use crate::admission::{local, token};
use crate::app::App;
use crate::chat::{DEGRADED, Waiting};
use crate::error::ApiError;
use browser::Leave;
use openapi::Description;
use paths::Deployment;

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
}

fn viewing() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(metrics))
}

/// What was decided: for the same eyes as the metrics, but never without a key where there is one.
fn looking() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(decisions::list)).routes(routes!(decisions::explain))
}

/// The paths for all.
fn open() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(root)).routes(routes!(healthz)).routes(routes!(readyz)).routes(routes!(openapi))
}

/// The description of all paths, made from the router's own parts.
fn description() -> utoipa::openapi::OpenApi {
    let parts = [inference(), rating(), auditing(), listing(), open(), viewing(), looking(), administration()];
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
        .layer(from_fn_with_state(app.clone(), head::check))
        .with_state(app)
}

/// The paths of the operator's listener, if there is one.
pub(crate) fn operator(app: Arc<App>) -> Router {
    Router::from(guarded(&app, administration(), ADMIN).merge(guarded(&app, looking(), VIEWING)))
        .route("/metrics", get(metrics).layer(from_fn_with_state(app.clone(), neighbours)))
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .fallback(paths::not_found)
        .method_not_allowed_fallback(paths::wrong_method)
        .layer(from_fn_with_state(app.clone(), head::check))
        .with_state(app)
}

/// What a group of paths asks of its callers.
#[derive(Clone)]
struct Guard {
    app: Arc<App>,
    /// A key needs one of them; none: any known key.
    scopes: &'static [Scope],
}

/// A user rates with the one, an auditor judges with the other.
const RATING: &[Scope] = &[Scope::Feedback, Scope::Audit];
const VIEWING: &[Scope] = &[Scope::View, Scope::Admin];
const ADMIN: &[Scope] = &[Scope::Admin];

fn guarded(app: &Arc<App>, paths: OpenApiRouter<Arc<App>>, scopes: &'static [Scope]) -> OpenApiRouter<Arc<App>> {
    paths
        // The body has been read, within its limits, when the handler sees it.
        .layer(DefaultBodyLimit::disable())
        .layer(from_fn_with_state(Guard { app: app.clone(), scopes }, authenticate))
}

async fn authenticate(State(guard): State<Guard>, mut request: Request, next: Next) -> Response {
    let Guard { app, scopes } = guard;
    let protocol = Endpoint::of_path(request.uri().path()).protocol();
    match admit(&app, &request, scopes) {
        Ok(caller) => request.extensions_mut().insert(caller),
        Err(error) => return error.respond(protocol),
    };
    let (head, body) = request.into_parts();
    match body::read(&app, &head.headers, body).await {
        Ok((body, share)) => {
            let body = match head.extensions.get::<Deployment>() {
                Some(deployment) => deployment.named_in(body),
                None => body,
            };
            let mut response = next.run(Request::from_parts(head, body.into())).await;
            // Where models are still being asked, the body is still needed.
            if let Some(waiting) = response.extensions_mut().remove::<Waiting>() {
                waiting.hold(share);
            }
            response
        }
        Err(error) => {
            let mut response = error.respond(protocol);
            if response.status() == StatusCode::UNSUPPORTED_MEDIA_TYPE {
                response.headers_mut().insert(header::ACCEPT_ENCODING, HeaderValue::from_static(coding::TAKEN));
            }
            response
        }
    }
}

fn admit(app: &App, request: &Request, scopes: &[Scope]) -> Result<Arc<Caller>, ApiError> {
    if scopes == ADMIN && app.auth.is_fresh() {
        if app.auth.may_begin(request.headers()) {
            return Ok(Arc::new(Caller::unlimited()));
        }
        let message = "there is no key yet, and the first one is made with the secret in the file that the gateway's log names: run \
                       `slarouter keys create` on its machine as its user, which sends it, or set server.admin_keys";
        return Err(ApiError::invalid("", "no_admin_key", message).with_status(StatusCode::FORBIDDEN));
    }
    if let (Some(signer), true) = (&app.signer, scopes == RATING)
        && let Some(token) = auth::token(request.headers()).filter(|token| token.starts_with(token::PREFIX.as_bytes()))
    {
        let id = signer.check(token, app.clock.now()).map_err(|error| auth::unauthorized(&error.to_string()))?;
        return Ok(Arc::new(Caller::rater_of(id)));
    }
    be_a_neighbour(app, request)?;
    app.auth.check(request.headers(), scopes, app.clock.now())
}

/// While there is no key, only programs of this machine are served.
async fn neighbours(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    // A listener of the operator's own that others reach is there for them.
    match be_a_neighbour(&app, &request) {
        Err(error) if app.loopback => error.into_response(),
        _ => next.run(request).await,
    }
}

fn be_a_neighbour(app: &App, request: &Request) -> Result<(), ApiError> {
    let foreign = if app.auth.is_local_only() { local::foreign(request) } else { None };
    let Some(why) = foreign else { return Ok(()) };
    let message = format!(
        "there is no key yet, so only programs of the gateway's own machine are served, but {why}: make a key with \
         `slarouter keys create` and send it, or set server.allow_unauthenticated = true"
    );
    Err(ApiError::invalid("", "not_local", message).with_status(StatusCode::FORBIDDEN))
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
    let committed = *app.store.committed().borrow();
    let text = app.metrics.render(
        &app.published.load(),
        committed,
        app.store.dropped(),
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
