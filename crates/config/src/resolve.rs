//! From the file as written to settings: variables, defaults, references, limits.
//!
//! Every mistake is noted and a default put in its place, so that the rest is checked too. Messages quote the file, never
//! the value of a variable.

mod features;
mod feedback;
mod judge;
mod keys;
mod latency;
mod model;
mod origins;
mod policy;
mod prices;
mod retention;
mod route;
pub(crate) mod server;
mod takes;
mod telemetry;
mod upstream;
mod webhook;
mod window;

use crate::problems::Problems;
use crate::raw;
use crate::settings::Config;
use crate::values::Env;
use route::Common;
pub use route::check_target;
pub use window::{DEFAULT_WINDOW, parse_window};

/// The settings; to be used only if `problems` stays empty.
pub(crate) fn resolve(raw: raw::File, env: Env<'_>, problems: &mut Problems<'_>) -> Config {
    let server = server::server(raw.server, env, problems);
    let upstream = upstream::upstream(raw.upstream, env, problems);
    let browser = feedback::browser(&raw.feedback, env, problems);
    let terms = feedback::terms(&raw.feedback, problems);
    let store = server::store(raw.store, terms.window_ms, env, problems);
    let features = features::features(raw.features, env, problems);
    let telemetry = telemetry::telemetry(raw.telemetry, env, problems);
    let alerts = webhook::webhooks(raw.alerts, env, problems);
    let zoo = model::models(raw.models, env, problems);
    let (feedback_window_ms, rater_per_minute) = (terms.window_ms, feedback::rater_per_minute(&raw.feedback));
    let score_names = feedback::score_names(&raw.feedback);
    let checks = feedback::checks(raw.feedback.checks.as_ref(), env, problems);
    let judge = judge::judge(raw.feedback.judge, &zoo.models, terms.audit_rate, env, problems);
    let common = Common { specs: &zoo.specs, unpriced: &zoo.unpriced, terms };
    let (routes, default_route) = route::routes(raw.routes, &common, env, problems);
    let keys = keys::keys(raw.keys, &zoo.models, &routes, &server, env, problems);
    let tenants = keys::tenants(raw.tenants, problems);
    Config {
        server,
        store,
        upstream,
        feedback_window_ms,
        rater_per_minute,
        score_names,
        checks,
        judge,
        browser,
        features,
        telemetry,
        alerts,
        keys,
        tenants,
        models: zoo.models,
        routes,
        default_route,
        file: None,
    }
}
