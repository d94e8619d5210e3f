//! `/dashboard` on the operator's listener: pages for people, who show a key once. They work without scripts.

mod calibration;
mod charts;
mod decisions;
mod href;
mod live;
mod observed;
mod overview;
mod page;
mod playground;
mod routes;
mod standing;
mod tables;
mod tiles;
mod visit;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn_with_state, map_response};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http::{HeaderName, HeaderValue, StatusCode, Uri, header};

use crate::app::App;
pub(super) use playground::players;
pub(super) use visit::onlookers;

/// A year: the address of a file holds its hash.
const FOR_EVER: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");
/// Nothing from elsewhere, nothing inline, in nobody's frame.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'self'; \
     base-uri 'none'; frame-ancestors 'none'",
);

/// The pages, for those who may look, and the way in and out.
pub(super) fn paths(app: &Arc<App>) -> Router<Arc<App>> {
    let inside = Router::new()
        .route("/dashboard", get(overview::overview))
        .route("/dashboard/routes/{route}", get(routes::route))
        .route("/dashboard/decisions", get(decisions::list))
        .route("/dashboard/decisions/{id}", get(decisions::one))
        .route("/dashboard/playground", get(playground::playground))
        .layer(from_fn_with_state(app.clone(), visit::admit));
    let shown = Router::new()
        .route("/admin/stream", get(live::stream))
        .route("/admin/routes/{route}/models.csv", get(tables::of_models))
        .route("/admin/routes/{route}/signals.csv", get(tables::of_signals))
        .route("/admin/routes/{route}/upstreams.csv", get(tables::of_upstreams))
        .route("/admin/routes/{route}/calibration.csv", get(tables::of_calibration))
        .route("/admin/routes/{route}/marks.csv", get(tables::of_marks))
        .route("/admin/decisions/{id}/candidates.csv", get(tables::of_candidates))
        .route("/admin/decisions/{id}/feedback.csv", get(tables::of_feedback));
    inside
        .merge(shown.layer(from_fn_with_state(app.clone(), onlookers)))
        .route("/dashboard/login", get(visit::login_page).post(visit::login))
        .route("/dashboard/logout", post(visit::logout))
        .route("/dashboard/assets/{*file}", get(asset))
        .layer(DefaultBodyLimit::max(visit::MOST_FORM_BYTES))
        .layer(map_response(guarded))
}

/// What tells the browser to load nothing from elsewhere, to keep nothing, and to tell nobody.
async fn guarded(mut response: Response) -> Response {
    let headers = response.headers_mut();
    let mut say = |name: HeaderName, value: HeaderValue| {
        headers.entry(name).or_insert(value);
    };
    say(header::CONTENT_SECURITY_POLICY, POLICY);
    say(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    // With `no-referrer` browsers name no Origin for a form either, and its own page could not be told from another.
    say(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    say(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

async fn asset(uri: Uri) -> Response {
    match slarouter_pages::asset(uri.path()) {
        Some(asset) => {
            ([(header::CONTENT_TYPE, asset.kind)], [(header::CACHE_CONTROL, FOR_EVER)], asset.bytes).into_response()
        }
        None => StatusCode::NOT_FOUND.into_response(),
    }
}
