//! From the file as written to settings: variables, defaults, references, limits.
//!
//! Every mistake is noted and a default put in its place, so that the rest is checked too. Messages quote the file, never
//! the value of a variable.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::{Range, RangeInclusive};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;
use slarouter_core::policy::{CertifiedParams, Window};
use slarouter_core::{Alpha, ModelSpec, PolicySpec, Price, RouteSpec, Timestamp, Zoo};

use super::features::features;
use super::raw::{self, Count, Number, Text};
use super::substitute::{Sources, substitute};
use super::{
    Config, LogFormat, Model, ModelProtocol, Problems, Route, Server, StoreConfig, Tls, UpstreamConfig, window,
};
use crate::price::PriceTable;

const DAY_MS: f64 = 86_400_000.0;
/// Timers take no less than a millisecond and, so that sums cannot overflow, no more than three years.
const SECONDS: RangeInclusive<f64> = 1e-3..=1e8;
/// A byte at least, a tebibyte at most: beyond it a limit is none, and the runtime's own counters overflow.
const COUNTS: RangeInclusive<u64> = 1..=1 << 40;
const MOST_CONCURRENCY: usize = 1 << 20;
/// Ratings of one named rater that count per route and day.
const RATER_LIMIT: u64 = 100;
/// How much of the ratings of a model one named rater may be.
const RATER_SHARE: f64 = 0.1;

/// What all routes have in common.
struct Feedback {
    window_ms: u64,
    audit_rate: f64,
    rater_limit: u64,
    rater_share: f64,
    failures_count: bool,
    /// Models whose price nobody knows.
    unpriced: Vec<Arc<str>>,
}

pub(super) type Env<'a> = &'a dyn Sources;

/// The settings; to be used only if `problems` stays empty.
pub(super) fn resolve(raw: raw::File, env: Env<'_>, problems: &mut Problems<'_>) -> Config {
    let server = server(raw.server, env, problems);
    let store = store(raw.store, env, problems);
    let upstream = upstream(raw.upstream, env, problems);
    let browser = super::keys::browser(&raw.feedback, env, problems);
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

    let features = features(raw.features, env, problems);
    let telemetry = super::telemetry::telemetry(raw.telemetry, env, problems);
    if raw.models.is_empty() {
        problems.absent(None, "there is no model: add at least one [[models]]");
    }
    let mut models: Vec<Model> = Vec::new();
    let mut specs: Vec<ModelSpec> = Vec::new();
    let mut unpriced = Vec::new();
    for entry in raw.models {
        let entry = entry.into_inner();
        let place = entry.name.span();
        let Some((model, prior, unknown)) = model(entry, env, problems) else {
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
        let route = entry.into_inner();
        let name: Arc<str> = name.into_inner().into();
        for (tenant, differs) in tenants {
            check_name(&tenant, "a tenant's", problems);
            let key = format!("{name}/{}", tenant.get_ref()).into();
            if let Some(resolved) = self::route(of_tenant(&route, differs), &specs, &feedback, env, problems) {
                routes.insert(key, resolved);
            }
        }
        if let Some(resolved) = self::route(route, &specs, &feedback, env, problems) {
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
    let keys = super::keys::keys(raw.keys, &models, &routes, env, problems);
    let tenants = super::keys::tenants(raw.tenants, problems);
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

fn upstream(raw: raw::Upstream, env: Env<'_>, problems: &mut Problems<'_>) -> UpstreamConfig {
    let held = UpstreamConfig::default();
    let hedge = raw.hedge.map(|hedge| super::latency::hedge(hedge, env, problems));
    let mut time = |given: Option<Number>, held: Duration| seconds(given, held.as_secs_f64(), problems);
    let response_timeout = time(raw.response_timeout_s, held.response_timeout);
    let times = UpstreamConfig {
        connect_timeout: time(raw.connect_timeout_s, held.connect_timeout),
        response_timeout,
        first_token_timeout: time(raw.first_token_timeout_s, response_timeout),
        idle_timeout: time(raw.idle_timeout_s, held.idle_timeout),
        backoff: time(raw.backoff_s, held.backoff),
        retry_after_max: time(raw.retry_after_max_s, held.retry_after_max),
        breaker_open: time(raw.breaker_open_s, held.breaker_open),
        queue_timeout: time(raw.queue_timeout_s, held.queue_timeout),
        hedge,
        ..held
    };
    let share = |share: f64| (0.0..=1.0).contains(&share);
    let positive = |share: f64| share > 0.0 && share <= 1.0;
    UpstreamConfig {
        max_response_bytes: count(raw.max_response_bytes, times.max_response_bytes as u64, problems) as usize,
        max_stream_bytes: count(raw.max_stream_bytes, times.max_stream_bytes as u64, problems) as usize,
        max_attempts: count(raw.max_attempts, times.max_attempts.into(), problems).try_into().unwrap_or(u32::MAX),
        retries: raw.retries.unwrap_or(times.retries),
        retry_budget: number(raw.retry_budget, times.retry_budget, share, "from 0 to 1", problems),
        breaker_failures: raw.breaker_failures.unwrap_or(times.breaker_failures),
        breaker_rate: number(raw.breaker_rate, times.breaker_rate, positive, "above 0 and at most 1", problems),
        ..times
    }
}

fn check_name(name: &Text, whose: &str, problems: &mut Problems<'_>) {
    let valid = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
    if name.get_ref().is_empty() || !name.get_ref().chars().all(valid) {
        problems.add(Some(name.span()), format!("{whose} name has lower-case letters, digits, - and _ only"));
    }
}

/// The route as its tenant has it.
fn of_tenant(route: &raw::Route, tenant: raw::Tenant) -> raw::Route {
    let held = route.clone();
    raw::Route {
        models: tenant.models.unwrap_or(held.models),
        fallback: tenant.fallback.or(held.fallback),
        sla: tenant.sla.unwrap_or(held.sla),
        slarouter: if tenant.policy.is_some() { None } else { held.slarouter },
        policy: tenant.policy.or(held.policy),
        exploration: tenant.exploration.or(held.exploration),
        alone: tenant.alone.or(held.alone),
        warm_start: held.warm_start,
        affinity: held.affinity,
        tenants: BTreeMap::new(),
    }
}

fn server(raw: raw::Server, env: Env<'_>, problems: &mut Problems<'_>) -> Server {
    let standard = SocketAddr::from(([127, 0, 0, 1], 8080));
    let listen = raw.listen.as_ref().map_or(Some(standard), |listen| address(listen, env, problems));
    let admin_listen = raw.admin_listen.as_ref().and_then(|admin| address(admin, env, problems));
    if let (Some(place), Some(admin)) = (&raw.admin_listen, admin_listen)
        && Some(admin) == listen
        && admin.port() != 0
    {
        problems.add(Some(place.span()), "admin_listen is the address of listen: choose another, or leave it out");
    }
    let mut keys = |keys: &[Text], whose| {
        let key = |key: &Text| super::keys::secret(key, whose, env, problems);
        keys.iter().filter_map(key).collect::<Vec<_>>()
    };
    let api_keys = keys(&raw.api_keys, "a client");
    let admin_keys = keys(&raw.admin_keys, "an admin");
    let tls = raw.tls.as_ref().and_then(|tls| {
        Some(Tls {
            cert: text(&tls.cert, env, problems)?.into(),
            key: text(&tls.key, env, problems)?.into(),
            client_ca: tls.client_ca.as_ref().and_then(|path| text(path, env, problems)).map(Into::into),
        })
    });
    let log_format = raw.log_format.as_ref().and_then(|word| match text(word, env, problems).as_deref() {
        Some("json") => Some(LogFormat::Json),
        Some("text") => Some(LogFormat::Text),
        Some("auto") | None => None,
        Some(_) => {
            problems.add(Some(word.span()), "log_format must be \"auto\", \"json\" or \"text\"");
            None
        }
    });
    Server {
        tls,
        max_header_bytes: header_bytes(raw.max_header_bytes, problems),
        listen: listen.unwrap_or(standard),
        admin_listen,
        api_keys,
        admin_keys,
        allow_unauthenticated: raw.allow_unauthenticated,
        max_body_bytes: count(raw.max_body_bytes, 16 << 20, problems) as usize,
        request_timeout: seconds(raw.request_timeout_s, 600.0, problems),
        header_timeout: seconds(raw.header_timeout_s, 10.0, problems),
        shutdown_delay: Duration::from_secs_f64(number(
            raw.shutdown_delay_s,
            0.0,
            |value| (0.0..=*SECONDS.end()).contains(&value),
            "a time from 0 to 100000000 seconds",
            problems,
        )),
        shutdown_grace: seconds(raw.shutdown_grace_s, 30.0, problems),
        max_connections: count(raw.max_connections, 10_000, problems) as usize,
        seed: raw.seed.unwrap_or(0),
        log_format,
    }
}

/// hyper takes no less than 8 KiB, and HTTP/2 no more than 32 bits.
fn header_bytes(value: Option<Count>, problems: &mut Problems<'_>) -> usize {
    let place = value.as_ref().map(|value| value.span());
    let bytes = count(value, 64 << 10, problems);
    if !(8 << 10..=16 << 20).contains(&bytes) {
        problems.add(place, "max_header_bytes must be from 8192 to 16777216");
    }
    bytes as usize
}

fn store(raw: raw::Store, env: Env<'_>, problems: &mut Problems<'_>) -> StoreConfig {
    let mut url = "sqlite://slarouter.db".to_owned();
    if let Some(place) = &raw.url
        && let Some(given) = text(place, env, problems)
    {
        // What the store itself would refuse at the start; in memory nothing would outlive the process.
        if given.strip_prefix("sqlite://").is_none_or(|path| path.is_empty() || path == ":memory:") {
            problems.add(Some(place.span()), "url must be sqlite://<path of a file>");
        }
        url = given;
    }
    StoreConfig {
        url,
        keep_prompts: raw.keep_prompts,
        snapshot_every: count(raw.snapshot_every, 10_000, problems),
        queue: count(raw.queue, 65_536, problems) as usize,
    }
}

/// The model and its prior; `None` if it has no name to go by.
fn model(
    raw: raw::Model,
    env: Env<'_>,
    problems: &mut Problems<'_>,
) -> Option<(Model, Option<f64>, Option<Range<usize>>)> {
    let name = text(&raw.name, env, problems);
    if let Some(name) = &name {
        if name.is_empty() || name == "auto" || name.starts_with("auto:") {
            problems.add(Some(raw.name.span()), "a model's name must not be empty, \"auto\", or begin with \"auto:\"");
        } else if !printable(name) {
            // It is sent in a header.
            problems.add(Some(raw.name.span()), "a model's name must be printable ASCII");
        }
    }
    let protocol = raw.protocol.as_ref().map_or(Some(ModelProtocol::default()), |word| {
        let protocol = ModelProtocol::parse(&text(word, env, problems)?);
        if protocol.is_none() {
            let what = "protocol must be openai-chat, openai-responses, anthropic or gemini-openai";
            problems.add(Some(word.span()), what);
        }
        protocol
    });
    let base_url = base_url(&raw.base_url, env, problems);
    let check = raw.health_check.zip(base_url.as_deref());
    let health_check = check.and_then(|(check, base_url)| super::latency::health_check(check, base_url, env, problems));
    let upstream_model = match &raw.upstream_model {
        Some(name) => text(name, env, problems),
        None => name.clone(),
    };
    let api_key = raw.api_key.as_ref().and_then(|key| api_key(key, env, problems));
    let price_place = raw.price.span();
    let prices = super::prices::table(raw.price, problems);
    let prior = raw.prior.map(|prior| share(Some(prior), 0.5, problems));
    let name = name?;
    let model = Model {
        protocol: protocol.unwrap_or_default(),
        base_url: base_url.unwrap_or_default(),
        upstream_model: upstream_model.unwrap_or_default(),
        api_key,
        health_check,
        max_concurrency: raw.max_concurrency.map(|most| {
            // Above what a semaphore can hold, a limit is none.
            usize::try_from(count(Some(most), 1, problems)).unwrap_or(usize::MAX).min(MOST_CONCURRENCY)
        }),
        max_output_tokens: count(raw.max_output_tokens, 4_096, problems),
        prices: prices.as_ref().ok().cloned().flatten().unwrap_or_else(|| PriceTable::unknown(&[])),
        name: name.into(),
    };
    Some((model, prior, prices.is_ok_and(|known| known.is_none()).then_some(price_place)))
}

fn route(
    raw: raw::Route,
    specs: &[ModelSpec],
    feedback: &Feedback,
    env: Env<'_>,
    problems: &mut Problems<'_>,
) -> Option<Route> {
    let alone = raw.alone.unwrap_or(false);
    let warm_start = raw.warm_start.as_ref().and_then(|path| text(path, env, problems)).map(PathBuf::from);
    if let (Some(path), Some(true)) = (&raw.warm_start, warm_start.as_ref().map(|path| path.as_os_str().is_empty())) {
        problems.add(Some(path.span()), "warm_start must be the path of a file that `slarouter train` has written");
    }
    let affinity = raw.affinity.as_ref().is_none_or(|word| match text(word, env, problems).as_deref() {
        Some("conversation") | None => true,
        Some("none") => false,
        Some(_) => {
            problems.add(Some(word.span()), "affinity must be \"conversation\" or \"none\"");
            true
        }
    });
    let list_place = raw.models.span();
    let mut zoo: Vec<ModelSpec> = Vec::new();
    // A name that stands for no model is reported once, here, and not again where it is used below.
    let mut all_known = true;
    for name in raw.models.get_ref() {
        let value = text(name, env, problems);
        match value.as_ref().and_then(|value| specs.iter().find(|spec| *spec.name == **value)) {
            Some(spec) if zoo.iter().any(|held| held.name == spec.name) => {
                problems.add(Some(name.span()), "this model is in the list twice");
            }
            Some(spec) => zoo.push(spec.clone()),
            None => {
                all_known = false;
                if value.is_some() {
                    let what = format!("there is no model {:?}: add it as [[models]], or take it out", name.get_ref());
                    problems.absent(Some(name.span()), what);
                }
            }
        }
    }
    if raw.models.get_ref().is_empty() {
        problems.absent(Some(list_place.clone()), "a route needs at least one model");
    }
    let place = raw.sla.satisfaction.span();
    let alpha = Alpha::new(*raw.sla.satisfaction.get_ref());
    let alpha = alpha.map_err(|error| problems.add(Some(place), error.to_string())).ok();
    let defaults = CertifiedParams::default();
    let mut certified = CertifiedParams {
        assurance: share(raw.sla.assurance, defaults.assurance, problems),
        window: raw.sla.window.as_ref().and_then(|window| self::window(window, env, problems)).unwrap_or_default(),
        exploration: number(
            raw.exploration,
            defaults.exploration,
            |share| (0.0..=1.0).contains(&share),
            "from 0 to 1",
            problems,
        ),
        fallback: None,
    };
    let policy = policy(raw.policy.as_ref(), raw.slarouter, env, problems);
    if let (Some(place), Some(PolicySpec::Fixed(model))) = (&raw.policy, &policy)
        && all_known
        && !zoo.iter().any(|spec| *spec.name == **model)
    {
        let what = format!("policy {:?}: there is no such model in the route", place.get_ref());
        problems.absent(Some(place.span()), what);
    }
    if let (Some(place), Some(PolicySpec::Dearest)) = (&raw.policy, &policy)
        && let Some(unknown) = zoo.iter().find(|spec| feedback.unpriced.contains(&spec.name))
    {
        let what =
            format!("policy dearest compares prices, and nobody knows that of {:?}: use fixed:<model>", unknown.name);
        problems.add(Some(place.span()), what);
    }
    if let Some(name) = &raw.fallback
        && let Some(value) = text(name, env, problems)
    {
        if all_known && !zoo.iter().any(|spec| *spec.name == *value) {
            problems.absent(Some(name.span()), "fallback must be one of the route's models");
        }
        certified.fallback = Some(value);
    }

    let spec = || {
        let zoo = Zoo::new(zoo)?;
        let Some((alpha, mut policy)) = alpha.zip(policy) else { return Ok(None) };
        if let PolicySpec::Certified(params) = &mut policy {
            // Named even where the file leaves it out, so that the log says which model served.
            certified.fallback.get_or_insert_with(|| dearest(&zoo, &feedback.unpriced).to_string());
            *params = certified;
        }
        let Feedback { window_ms: feedback_window_ms, audit_rate, rater_limit, rater_share, failures_count, .. } =
            *feedback;
        let spec = RouteSpec {
            alpha,
            zoo,
            policy,
            feedback_window_ms,
            audit_rate,
            rater_limit,
            rater_share,
            alone,
            failures_count,
        };
        spec.check()?;
        Ok(Some(Route { spec, warm_start, affinity }))
    };
    let made: Result<_, slarouter_core::SpecError> = spec();
    // All that the core refuses has been reported above in the file's terms. Should it refuse more, the core is asked.
    if let Err(error) = &made
        && problems.found.is_empty()
    {
        problems.add(Some(list_place), error.to_string());
    }
    made.ok().flatten()
}

/// The model with the highest list price, of those whose price is known, if any is.
fn dearest<'a>(zoo: &'a Zoo, unpriced: &[Arc<str>]) -> &'a str {
    let known = zoo.models().iter().filter(|model| !unpriced.contains(&model.name));
    let dearest = known.reduce(|held, next| if next.price.blended() > held.price.blended() { next } else { held });
    &dearest.unwrap_or(&zoo.models()[0]).name
}

fn policy(
    name: Option<&Text>,
    params: Option<toml::Spanned<raw::SlaRouter>>,
    env: Env<'_>,
    problems: &mut Problems<'_>,
) -> Option<PolicySpec> {
    let mut policy = match name {
        None => PolicySpec::Certified(CertifiedParams::default()),
        Some(name) => {
            let parsed = PolicySpec::parse(&text(name, env, problems)?);
            let unknown = "unknown policy: use certified, slarouter, random, cheapest, dearest or fixed:<model>";
            parsed.map_err(|_| problems.add(Some(name.span()), unknown)).ok()?
        }
    };
    let Some(params) = params else { return Some(policy) };
    let PolicySpec::SlaRouter(held) = &mut policy else {
        problems.add(Some(params.span()), "parameters of policy slarouter, but another policy is chosen");
        return Some(policy);
    };
    let params = params.into_inner();
    let sound = |value: f64| value.is_finite() && value >= 0.0;
    for (given, held) in
        [(params.v, &mut held.v), (params.c, &mut held.c), (params.initial_queue, &mut held.initial_queue)]
    {
        *held = number(given, *held, sound, "finite and not negative", problems);
    }
    let positive = |value: f64| value.is_finite() && value > 0.0;
    held.learning_rate = number(params.learning_rate, held.learning_rate, positive, "finite and positive", problems);
    Some(policy)
}

fn window(value: &Text, env: Env<'_>, problems: &mut Problems<'_>) -> Option<Window> {
    let window = window::parse(&text(value, env, problems)?);
    if window.is_none() {
        let what =
            "window must be \"run\", \"<n> requests\" with n from 16, or a duration, as in \"1 day\" or \"12 hours\"";
        problems.add(Some(value.span()), what);
    }
    window
}

pub(super) fn base_url(value: &Text, env: Env<'_>, problems: &mut Problems<'_>) -> Option<String> {
    let url = text(value, env, problems)?;
    if let Err(what) = check_url(&url) {
        problems.add(Some(value.span()), what);
    }
    Some(url)
}

pub(super) fn api_key(value: &Text, env: Env<'_>, problems: &mut Problems<'_>) -> Option<SecretString> {
    let key = text(value, env, problems)?;
    if key.is_empty() || !printable(&key) {
        problems.add(Some(value.span()), "api_key must be printable ASCII, not empty; leave it out if there is none");
    }
    Some(key.into())
}

/// # Errors
/// What is wrong with it.
fn check_url(text: &str) -> Result<(), &'static str> {
    let form = "base_url must be http(s)://host[:port]/path, usually ending in /v1";
    let url = reqwest::Url::parse(text).map_err(|_| form)?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("base_url must hold no user or password: it is shown in logs; use api_key");
    }
    let whole = matches!(url.scheme(), "http" | "https") && url.query().is_none() && url.fragment().is_none();
    if whole { Ok(()) } else { Err(form) }
}

fn printable(text: &str) -> bool {
    text.bytes().all(|byte| (b' '..=b'~').contains(&byte))
}

/// The string with its variables filled in; `None` if that failed.
pub(super) fn text(value: &Text, env: Env<'_>, problems: &mut Problems<'_>) -> Option<String> {
    substitute(value.get_ref(), env).map_err(|what| problems.add(Some(value.span()), what)).ok()
}

fn address(value: &Text, env: Env<'_>, problems: &mut Problems<'_>) -> Option<SocketAddr> {
    let address = text(value, env, problems)?.parse();
    address.map_err(|_| problems.add(Some(value.span()), "not an address: write ip:port, as in 127.0.0.1:8080")).ok()
}

pub(super) fn count(value: Option<Count>, default: u64, problems: &mut Problems<'_>) -> u64 {
    let Some(value) = value else { return default };
    if !COUNTS.contains(value.get_ref()) {
        let what = format!("must be from {} to {}, not {}", COUNTS.start(), COUNTS.end(), value.get_ref());
        problems.add(Some(value.span()), what);
        return default;
    }
    value.into_inner()
}

pub(super) fn seconds(value: Option<Number>, default: f64, problems: &mut Problems<'_>) -> Duration {
    let must = "a time from 0.001 to 100000000 seconds";
    Duration::from_secs_f64(number(value, default, |value| SECONDS.contains(&value), must, problems))
}

fn share(value: Option<Number>, default: f64, problems: &mut Problems<'_>) -> f64 {
    number(value, default, |value| value > 0.0 && value < 1.0, "strictly between 0 and 1", problems)
}

pub(super) fn number(
    value: Option<Number>,
    default: f64,
    sound: impl Fn(f64) -> bool,
    must: &str,
    problems: &mut Problems<'_>,
) -> f64 {
    let Some(value) = value else { return default };
    if !sound(*value.get_ref()) {
        problems.add(Some(value.span()), format!("must be {must}, not {}", value.get_ref()));
        return default;
    }
    value.into_inner()
}
