//! From the file as written to settings: variables, defaults, references, limits.
//!
//! Every mistake is noted and a default put in its place, so that the rest is checked too. Messages quote the file, never
//! the value of a variable.

mod features;
mod keys;
mod latency;
mod model;
mod prices;
mod route;
mod server;
mod telemetry;
mod upstream;
mod window;

use std::collections::BTreeMap;
use std::sync::Arc;

use slarouter_core::{ModelSpec, Price, Timestamp};

use crate::price::PriceTable;
use crate::problems::Problems;
use crate::raw;
use crate::settings::{Config, Model, Route};
use crate::values::{Env, check_name, number};
use route::Feedback;

const DAY_MS: f64 = 86_400_000.0;
/// Ratings of one named rater that count per route and day.
const RATER_LIMIT: u64 = 100;
/// How much of the ratings of a model one named rater may be.
const RATER_SHARE: f64 = 0.1;

/// The settings; to be used only if `problems` stays empty.
pub(crate) fn resolve(raw: raw::File, env: Env<'_>, problems: &mut Problems<'_>) -> Config {
    let server = server::server(raw.server, env, problems);
    let store = server::store(raw.store, env, problems);
    let upstream = upstream::upstream(raw.upstream, env, problems);
    let browser = keys::browser(&raw.feedback, env, problems);
    let window = raw.feedback.window_days;
    let days = number(window, 30.0, |days| days > 0.0 && days <= 36_500.0, "above 0 and at most 36500", problems);
    let feedback_window_ms = (days * DAY_MS).max(1.0) as u64;
    let mut feedback = Feedback {
        window_ms: feedback_window_ms,
        audit_rate: number(raw.feedback.audit_rate, 0.0, |rate| (0.0..=1.0).contains(&rate), "from 0 to 1", problems),
        rater_limit: raw.feedback.rater_limit.unwrap_or(RATER_LIMIT),
        rater_share: number(
            raw.feedback.rater_share,
            RATER_SHARE,
            |share| (0.0..=1.0).contains(&share),
            "from 0 to 1",
            problems,
        ),
        failures_count: raw.feedback.failures_count,
        unpriced: Vec::new(),
    };

    let features = features::features(raw.features, env, problems);
    let telemetry = telemetry::telemetry(raw.telemetry, env, problems);
    if raw.models.is_empty() {
        problems.absent(None, "there is no model: add at least one [[models]]");
    }
    let mut models: Vec<Model> = Vec::new();
    let mut specs: Vec<ModelSpec> = Vec::new();
    let mut unpriced = Vec::new();
    for entry in raw.models {
        let entry = entry.into_inner();
        let place = entry.name.span();
        let Some((model, prior, unknown)) = model::model(entry, env, problems) else {
            problems.incomplete = true;
            continue;
        };
        if specs.iter().any(|other| other.name == model.name) {
            problems.add(Some(place), "another model has this name: give each one of its own");
            continue;
        }
        unpriced.extend(unknown);
        specs.push(ModelSpec { name: model.name.clone(), price: Price::default(), prior });
        models.push(model);
    }
    let known: Vec<_> = models.iter().map(|model| model.prices.clone()).filter(PriceTable::is_known).collect();
    if let (true, [place, ..]) = (known.is_empty(), &*unpriced) {
        let what = "no model has a known price, so that there is none to take for it: give the price of one at least, 0 if it \
                    costs nothing";
        problems.absent(Some(place.clone()), what);
    }
    for (model, spec) in models.iter_mut().zip(&mut specs) {
        if !model.prices.is_known() {
            model.prices = PriceTable::unknown(&known);
            feedback.unpriced.push(model.name.clone());
        }
        spec.price = model.prices.at(Timestamp(0)).list();
    }

    if raw.routes.is_empty() {
        problems.absent(None, "there is no route: add [routes.default]");
    }
    let mut names: Vec<Arc<str>> = Vec::new();
    let mut routes: BTreeMap<Arc<str>, Route> = BTreeMap::new();
    for (name, mut entry) in raw.routes {
        check_name(&name, "a route's", problems);
        let tenants = std::mem::take(&mut entry.get_mut().tenants);
        let held = entry.into_inner();
        let name: Arc<str> = name.into_inner().into();
        for (tenant, differs) in tenants {
            check_name(&tenant, "a tenant's", problems);
            let key = format!("{name}/{}", tenant.get_ref()).into();
            if let Some(resolved) = route::route(route::of_tenant(&held, differs), &specs, &feedback, env, problems) {
                routes.insert(key, resolved);
            }
        }
        if let Some(resolved) = route::route(held, &specs, &feedback, env, problems) {
            routes.insert(name.clone(), resolved);
        }
        names.push(name);
    }
    let default_route: Arc<str> = match &*names {
        [only] => only.clone(),
        _ => "default".into(),
    };
    if !names.is_empty() && !names.contains(&default_route) {
        problems.absent(None, "with several routes, one must be called default: it is what model \"auto\" means");
    }
    let keys = keys::keys(raw.keys, &models, &routes, env, problems);
    let tenants = keys::tenants(raw.tenants, problems);
    Config {
        server,
        store,
        upstream,
        feedback_window_ms,
        browser,
        features,
        telemetry,
        keys,
        tenants,
        models,
        routes,
        default_route,
        file: None,
    }
}
