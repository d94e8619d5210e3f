//! From the file as written to settings: defaults, references, limits.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use slarouter_core::{Alpha, ModelSpec, PolicySpec, Price, RouteSpec, Zoo};

use super::raw::{self, Count, Number, Text};
use super::substitute::substitute;
use super::{Config, Model, Problems, Route, Server, StoreConfig, UpstreamConfig};

const DAY_MS: f64 = 86_400_000.0;

type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

/// `None` if so much is wrong that there is nothing to return; all problems are in `problems`.
pub(super) fn resolve(raw: raw::File, env: Env<'_>, problems: &mut Problems<'_>) -> Option<Config> {
    let server = server(raw.server, env, problems);
    let url = raw.store.url.as_ref().map_or("sqlite://slarouter.db".to_owned(), |url| text(url, env, problems));
    let store = StoreConfig {
        url,
        keep_prompts: raw.store.keep_prompts,
        snapshot_every: count(raw.store.snapshot_every, 10_000, problems),
        queue: count(raw.store.queue, 65_536, problems) as usize,
    };
    let upstream = UpstreamConfig {
        connect_timeout: seconds(raw.upstream.connect_timeout_s, 5.0, problems),
        response_timeout: seconds(raw.upstream.response_timeout_s, 120.0, problems),
        idle_timeout: seconds(raw.upstream.idle_timeout_s, 60.0, problems),
        max_response_bytes: count(raw.upstream.max_response_bytes, 64 << 20, problems) as usize,
        max_attempts: count(raw.upstream.max_attempts, 3, problems).try_into().unwrap_or(u32::MAX),
    };
    let window = seconds(raw.feedback.window_days, 30.0, problems).as_secs_f64() * DAY_MS;

    if raw.models.is_empty() {
        problems.add(None, "there is no model: add at least one [[models]]");
    }
    let mut models: Vec<Model> = Vec::new();
    let mut specs: Vec<ModelSpec> = Vec::new();
    for entry in raw.models {
        let span = entry.span();
        let (model, prior) = model(entry.into_inner(), env, problems);
        if specs.iter().any(|other| other.name == model.name) {
            problems.add(Some(span), format!("model {:?} is there twice: give each a name of its own", model.name));
            continue;
        }
        specs.push(ModelSpec { name: model.name.clone(), price: model.price, prior });
        models.push(model);
    }
    if raw.routes.is_empty() {
        problems.add(None, "there is no route: add [routes.default]");
    }
    let mut routes: BTreeMap<Arc<str>, Route> = BTreeMap::new();
    for (name, entry) in raw.routes {
        let valid = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
        if name.get_ref().is_empty() || !name.get_ref().chars().all(valid) {
            problems.add(Some(name.span()), "a route's name has lower-case letters, digits, - and _ only");
        }
        if let Some(route) = route(entry.into_inner(), &specs, window as u64, problems) {
            routes.insert(Arc::from(name.into_inner()), route);
        }
    }
    let default_route = match routes.first_key_value() {
        Some((only, _)) if routes.len() == 1 => only.clone(),
        _ => "default".into(),
    };
    if routes.len() > 1 && !routes.contains_key(&default_route) {
        problems.add(None, "with several routes, one must be called default: it is what model \"auto\" means");
    }
    let feedback_window_ms = window as u64;
    Some(Config { server: server?, store, upstream, feedback_window_ms, models, routes, default_route })
}

fn server(raw: raw::Server, env: Env<'_>, problems: &mut Problems<'_>) -> Option<Server> {
    let listen = match &raw.listen {
        Some(listen) => address(listen, env, problems)?,
        None => SocketAddr::from(([127, 0, 0, 1], 8080)),
    };
    let api_keys: Vec<_> = raw.api_keys.iter().map(|key| text(key, env, problems)).collect();
    for (key, place) in api_keys.iter().zip(&raw.api_keys) {
        if key.len() < 16 {
            problems.add(Some(place.span()), "a client key must have at least 16 characters");
        }
    }
    if !listen.ip().is_loopback() && api_keys.is_empty() && !raw.allow_unauthenticated {
        let place = raw.listen.as_ref().map(Text::span);
        let what =
            "anybody who reaches this address could spend your money: set api_keys, or allow_unauthenticated = true";
        problems.add(place, what);
    }
    Some(Server {
        listen,
        admin_listen: raw.admin_listen.as_ref().and_then(|listen| address(listen, env, problems)),
        api_keys: api_keys.into_iter().map(Into::into).collect(),
        max_body_bytes: count(raw.max_body_bytes, 16 << 20, problems) as usize,
        request_timeout: seconds(raw.request_timeout_s, 600.0, problems),
        header_timeout: seconds(raw.header_timeout_s, 10.0, problems),
        shutdown_grace: seconds(raw.shutdown_grace_s, 30.0, problems),
        max_connections: count(raw.max_connections, 10_000, problems) as usize,
        seed: raw.seed.unwrap_or(0),
    })
}

fn model(raw: raw::Model, env: Env<'_>, problems: &mut Problems<'_>) -> (Model, Option<f64>) {
    let name = text(&raw.name, env, problems);
    if name.is_empty() || name == "auto" || name.starts_with("auto:") {
        problems.add(Some(raw.name.span()), "a model's name must not be empty, \"auto\", or begin with \"auto:\"");
    }
    if let Some(provider) = raw.provider.filter(|provider| provider.get_ref() != "openai") {
        problems.add(Some(provider.span()), "provider must be \"openai\": any server that speaks its protocol");
    }
    let base_url = text(&raw.base_url, env, problems);
    let valid = reqwest::Url::parse(&base_url)
        .is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.host().is_some() && url.query().is_none());
    if !valid {
        problems.add(Some(raw.base_url.span()), "base_url must be http(s)://host[:port]/path, usually ending in /v1");
    }
    let span = raw.price.span();
    let price = raw.price.into_inner();
    for value in [Some(price.input), Some(price.output), price.cached_input].into_iter().flatten() {
        if !(value.is_finite() && value >= 0.0) {
            problems.add(Some(span.clone()), format!("the price {value} must be finite and not negative"));
        }
    }
    let prior = raw.prior.as_ref().and_then(|prior| {
        let value = *prior.get_ref();
        let sound = value > 0.0 && value < 1.0;
        if !sound {
            problems.add(Some(prior.span()), format!("prior must lie strictly between 0 and 1, not {value}"));
        }
        sound.then_some(value)
    });
    let model = Model {
        upstream_model: raw.upstream_model.map_or_else(|| name.clone(), |name| text(&name, env, problems)),
        api_key: raw.api_key.map(|key| text(&key, env, problems).into()),
        price: Price { input: price.input, output: price.output },
        cached_input: price.cached_input,
        name: name.into(),
        base_url,
    };
    (model, prior)
}

fn route(raw: raw::Route, specs: &[ModelSpec], window_ms: u64, problems: &mut Problems<'_>) -> Option<Route> {
    let before = problems.found.len();
    let mut zoo: Vec<ModelSpec> = Vec::new();
    for name in &raw.models {
        match specs.iter().find(|spec| *spec.name == **name.get_ref()) {
            Some(spec) if zoo.contains(spec) => problems.add(Some(name.span()), "this model is in the list twice"),
            Some(spec) => zoo.push(spec.clone()),
            None => problems.add(Some(name.span()), format!("there is no model {:?}", name.get_ref())),
        }
    }
    let place = raw.sla.satisfaction.span();
    let alpha = Alpha::new(*raw.sla.satisfaction.get_ref());
    let alpha = alpha.map_err(|error| problems.add(Some(place.clone()), error.to_string())).ok();
    let assurance = raw.sla.assurance.map_or(0.95, |assurance| {
        let value = *assurance.get_ref();
        if !(value > 0.0 && value < 1.0) {
            problems.add(Some(assurance.span()), format!("assurance must lie strictly between 0 and 1, not {value}"));
        }
        value
    });
    let mut policy =
        raw.policy.as_ref().map_or(PolicySpec::parse("slarouter"), |policy| PolicySpec::parse(policy.get_ref()));
    if let (Some(params), Ok(PolicySpec::SlaRouter(held))) = (&raw.slarouter, &mut policy) {
        *held = *params.get_ref();
    } else if let Some(params) = &raw.slarouter {
        problems.add(Some(params.span()), "parameters of slarouter, but another policy is chosen");
    }
    let policy_place = raw.policy.as_ref().map(Text::span).or(raw.slarouter.as_ref().map(raw_span)).unwrap_or(place);
    let policy = policy.map_err(|error| problems.add(Some(policy_place.clone()), error.to_string())).ok();
    let fallback = match raw.fallback {
        Some(name) if zoo.iter().any(|spec| *spec.name == **name.get_ref()) => Some(name.into_inner().into()),
        Some(name) => {
            problems.add(Some(name.span()), "fallback must be one of the route's models");
            None
        }
        None => zoo.iter().max_by(|a, b| a.price.blended().total_cmp(&b.price.blended())).map(|spec| spec.name.clone()),
    };
    if problems.found.len() > before {
        return None;
    }
    let zoo = Zoo::new(zoo).map_err(|error| problems.add(Some(policy_place.clone()), error.to_string())).ok()?;
    let spec = RouteSpec { alpha: alpha?, zoo, policy: policy?, feedback_window_ms: window_ms };
    spec.check().map_err(|error| problems.add(Some(policy_place), error.to_string())).ok()?;
    Some(Route { spec, fallback: fallback?, assurance })
}

fn raw_span<T>(value: &toml::Spanned<T>) -> std::ops::Range<usize> {
    value.span()
}

fn text(value: &Text, env: Env<'_>, problems: &mut Problems<'_>) -> String {
    substitute(value.get_ref(), env).unwrap_or_else(|what| {
        problems.add(Some(value.span()), what);
        String::new()
    })
}

fn address(value: &Text, env: Env<'_>, problems: &mut Problems<'_>) -> Option<SocketAddr> {
    let address = text(value, env, problems).parse();
    address.map_err(|_| problems.add(Some(value.span()), "not an address: write ip:port, as in 127.0.0.1:8080")).ok()
}

fn count(value: Option<Count>, default: u64, problems: &mut Problems<'_>) -> u64 {
    let Some(value) = value else { return default };
    if *value.get_ref() == 0 {
        problems.add(Some(value.span()), "must be at least 1");
    }
    value.into_inner()
}

/// A positive number; for times, of seconds. A century bounds it, so that sums cannot overflow.
fn seconds(value: Option<Number>, default: f64, problems: &mut Problems<'_>) -> Duration {
    let (number, span) = value.map_or((default, None), |value| (*value.get_ref(), Some(value.span())));
    if number.is_finite() && number > 0.0 && number < 3.2e9 {
        return Duration::from_secs_f64(number);
    }
    problems.add(span, format!("must be a positive number, not {number}"));
    Duration::from_secs_f64(default)
}
