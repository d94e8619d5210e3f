//! What one configuration says otherwise than another.
//!
//! The structs are taken apart whole, so that a new key has to say whether it is told. Secrets and URLs are told by their name alone.

use secrecy::SecretString;
use slarouter_core::policy::CertifiedParams;
use slarouter_core::{PolicySpec, RouteSpec};

use crate::grants::Grants;
use crate::settings::{
    BrowserFeedback, ClientKey, Config, Model, Route, Server, StoreConfig, UpstreamConfig, same_secret,
};

impl Config {
    /// What `new` says otherwise, a phrase each, in the order of the file; of keys that are read at the start only, nothing.
    #[must_use]
    pub fn changes(&self, new: &Self) -> Vec<String> {
        let Self {
            server,
            store,
            upstream,
            rater_per_minute,
            score_names,
            checks,
            judge,
            browser,
            keys,
            tenants,
            models,
            routes,
            default_route,
            ..
        } = self;
        let mut told = section("server", &server_keys(server, &new.server));
        told.extend(section("store", &store_keys(store, &new.store)));
        told.extend(section("upstream", &upstream_keys(upstream, &new.upstream)));
        told.extend(section("feedback", &browser_keys(browser, &new.browser)));
        let same = self.alerts.len() == new.alerts.len() && self.alerts.iter().zip(&new.alerts).all(|(a, b)| a.is(b));
        told.extend(marked(&[("alerts", !same)]));
        let words = [
            ("rater_per_minute", *rater_per_minute != new.rater_per_minute),
            ("score_names", *score_names != new.score_names),
            ("checks", *checks != new.checks),
            ("judge", *judge != new.judge),
        ];
        told.extend(section("feedback", &words));
        let key = |key: &ClientKey| (key.name.to_string(), key.clone());
        told.extend(entries("key", keys.iter().map(key), new.keys.iter().map(key), key_changes));
        let tenant = |(name, limits): (&String, &crate::Limits)| (name.clone(), *limits);
        let limits = |old: &crate::Limits, new: &crate::Limits| marked(&[("limits", old != new)]);
        told.extend(entries("tenant", tenants.iter().map(tenant), new.tenants.iter().map(tenant), limits));
        let model = |model: &Model| (model.name.to_string(), model.clone());
        told.extend(entries("model", models.iter().map(model), new.models.iter().map(model), model_changes));
        let route = |(name, route): (&std::sync::Arc<str>, &Route)| (name.to_string(), route.clone());
        told.extend(entries("route", routes.iter().map(route), new.routes.iter().map(route), route_changes));
        if *default_route != new.default_route {
            told.push(format!("model auto means route {}", new.default_route));
        }
        told
    }
}

fn marked(keys: &[(&str, bool)]) -> Vec<String> {
    keys.iter().filter(|(_, differs)| *differs).map(|(key, _)| (*key).to_owned()).collect()
}

fn section(name: &str, keys: &[(&str, bool)]) -> Vec<String> {
    marked(keys).into_iter().map(|key| format!("{name}.{key}")).collect()
}

/// Named things: which are new, which are gone, and what differs of the others.
fn entries<T>(
    what: &str,
    old: impl Iterator<Item = (String, T)>,
    new: impl Iterator<Item = (String, T)>,
    differences: impl Fn(&T, &T) -> Vec<String>,
) -> Vec<String> {
    let mut held: Vec<(String, T)> = old.collect();
    let mut told = Vec::new();
    for (name, new) in new {
        let Some(place) = held.iter().position(|(held, _)| *held == name) else {
            told.push(format!("{what} {name} added"));
            continue;
        };
        let (_, old) = held.remove(place);
        let differences = differences(&old, &new);
        if !differences.is_empty() {
            told.push(format!("{what} {name}: {}", differences.join(", ")));
        }
    }
    told.extend(held.iter().map(|(name, _)| format!("{what} {name} removed")));
    told
}

fn server_keys(old: &Server, new: &Server) -> Vec<(&'static str, bool)> {
    let Server {
        listen: _,
        admin_listen: _,
        tls: _,
        max_connections: _,
        max_body_bytes_at_once: _,
        log_format: _,
        time_zone: _,
        api_keys,
        admin_keys,
        allow_unauthenticated,
        allow_unauthenticated_metrics,
        max_header_bytes,
        max_body_bytes,
        request_timeout,
        header_timeout,
        body_timeout,
        idle_timeout,
        ping_interval,
        max_connections_per_address,
        shutdown_delay,
        shutdown_grace,
        cors_origins,
        seed,
    } = old;
    let same = |old: &[secrecy::SecretString], new: &[secrecy::SecretString]| {
        old.len() == new.len() && old.iter().zip(new).all(|(old, new)| same_secret(Some(old), Some(new)))
    };
    vec![
        ("api_keys", !same(api_keys, &new.api_keys)),
        ("admin_keys", !same(admin_keys, &new.admin_keys)),
        ("allow_unauthenticated", *allow_unauthenticated != new.allow_unauthenticated),
        ("allow_unauthenticated_metrics", *allow_unauthenticated_metrics != new.allow_unauthenticated_metrics),
        ("max_body_bytes", *max_body_bytes != new.max_body_bytes),
        ("max_header_bytes", *max_header_bytes != new.max_header_bytes),
        ("request_timeout_s", *request_timeout != new.request_timeout),
        ("header_timeout_s", *header_timeout != new.header_timeout),
        ("body_timeout_s", *body_timeout != new.body_timeout),
        ("idle_timeout_s", *idle_timeout != new.idle_timeout),
        ("ping_interval_s", *ping_interval != new.ping_interval),
        ("max_connections_per_address", *max_connections_per_address != new.max_connections_per_address),
        ("shutdown_delay_s", *shutdown_delay != new.shutdown_delay),
        ("shutdown_grace_s", *shutdown_grace != new.shutdown_grace),
        ("cors_origins", *cors_origins != new.cors_origins),
        ("seed", *seed != new.seed),
    ]
}

fn store_keys(old: &StoreConfig, new: &StoreConfig) -> Vec<(&'static str, bool)> {
    let StoreConfig { url: _, snapshot_every: _, queue: _, spool_bytes: _, keep_prompts, prompt_keys, retention } = old;
    let same = |(one, other): (&SecretString, &SecretString)| same_secret(Some(one), Some(other));
    let same_keys = prompt_keys.len() == new.prompt_keys.len() && prompt_keys.iter().zip(&new.prompt_keys).all(same);
    vec![
        ("keep_prompts", *keep_prompts != new.keep_prompts),
        ("prompt_keys", !same_keys),
        ("retention", *retention != new.retention),
    ]
}

fn upstream_keys(old: &UpstreamConfig, new: &UpstreamConfig) -> Vec<(&'static str, bool)> {
    let UpstreamConfig {
        connect_timeout,
        response_timeout,
        first_token_timeout,
        idle_timeout,
        max_response_bytes,
        max_stream_bytes,
        max_attempts,
        retries,
        backoff,
        retry_budget,
        retry_after_max,
        breaker_failures,
        breaker_rate,
        breaker_open,
        queue_timeout,
        hedge,
    } = old;
    vec![
        ("connect_timeout_s", *connect_timeout != new.connect_timeout),
        ("response_timeout_s", *response_timeout != new.response_timeout),
        ("first_token_timeout_s", *first_token_timeout != new.first_token_timeout),
        ("idle_timeout_s", *idle_timeout != new.idle_timeout),
        ("max_response_bytes", *max_response_bytes != new.max_response_bytes),
        ("max_stream_bytes", *max_stream_bytes != new.max_stream_bytes),
        ("max_attempts", *max_attempts != new.max_attempts),
        ("retries", *retries != new.retries),
        ("backoff_s", *backoff != new.backoff),
        ("retry_budget", *retry_budget != new.retry_budget),
        ("retry_after_max_s", *retry_after_max != new.retry_after_max),
        ("breaker_failures", *breaker_failures != new.breaker_failures),
        ("breaker_rate", *breaker_rate != new.breaker_rate),
        ("breaker_open_s", *breaker_open != new.breaker_open),
        ("queue_timeout_s", *queue_timeout != new.queue_timeout),
        ("hedge", *hedge != new.hedge),
    ]
}

fn browser_keys(old: &BrowserFeedback, new: &BrowserFeedback) -> Vec<(&'static str, bool)> {
    let BrowserFeedback { secret, lifetime, origins } = old;
    vec![
        ("token_secret", !same_secret(secret.as_ref(), new.secret.as_ref())),
        ("token_lifetime_s", *lifetime != new.lifetime),
        ("cors_origins", *origins != new.origins),
    ]
}

fn key_changes(old: &ClientKey, new: &ClientKey) -> Vec<String> {
    let ClientKey { name: _, key, grants } = old;
    let Grants { scopes, tenant, models, limits } = grants;
    marked(&[
        ("key", !same_secret(Some(key), Some(&new.key))),
        ("scopes", *scopes != new.grants.scopes),
        ("tenant", *tenant != new.grants.tenant),
        ("models", *models != new.grants.models),
        ("limits", *limits != new.grants.limits),
    ])
}

fn model_changes(old: &Model, new: &Model) -> Vec<String> {
    let Model {
        name: _,
        protocol,
        base_url,
        upstream_model,
        api_key,
        max_concurrency,
        health_check,
        max_output_tokens,
        prices,
        takes,
    } = old;
    marked(&[
        ("protocol", *protocol != new.protocol),
        ("base_url", *base_url != new.base_url),
        ("upstream_model", *upstream_model != new.upstream_model),
        ("api_key", !same_secret(api_key.as_ref(), new.api_key.as_ref())),
        ("max_output_tokens", *max_output_tokens != new.max_output_tokens),
        ("max_concurrency", *max_concurrency != new.max_concurrency),
        ("health_check", *health_check != new.health_check),
        ("price", *prices != new.prices),
        ("takes", *takes != new.takes),
    ])
}

fn route_changes(old: &Route, new: &Route) -> Vec<String> {
    let Route { spec, warm_start, affinity } = old;
    let RouteSpec {
        alpha,
        zoo,
        policy,
        feedback_window_ms,
        audit_rate,
        rater_limit,
        rater_share,
        alone,
        failures_count,
    } = spec;
    let then = &new.spec;
    let mut told = Vec::new();
    let names = |zoo: &slarouter_core::Zoo| zoo.models().iter().map(|model| model.name.clone()).collect::<Vec<_>>();
    let priors = |zoo: &slarouter_core::Zoo| zoo.models().iter().map(|model| model.prior).collect::<Vec<_>>();
    let (had, has) = (names(zoo), names(&then.zoo));
    if had != has {
        told.push(format!("models {} → {}", had.join(", "), has.join(", ")));
    } else if priors(zoo) != priors(&then.zoo) {
        told.push("prior".to_owned());
    }
    let satisfaction = (alpha.get(), then.alpha.get());
    if satisfaction.0 != satisfaction.1 {
        told.push(format!("satisfaction {} → {}", satisfaction.0, satisfaction.1));
    }
    let promise = policy_changes(policy, &then.policy, &mut told) || satisfaction.0 != satisfaction.1;
    told.extend(marked(&[
        ("alone", *alone != then.alone),
        ("affinity", *affinity != new.affinity),
        ("warm_start", *warm_start != new.warm_start),
        ("feedback.window_days", *feedback_window_ms != then.feedback_window_ms),
        ("feedback.audit_rate", *audit_rate != then.audit_rate),
        ("feedback.rater_limit", *rater_limit != then.rater_limit),
        ("feedback.rater_share", *rater_share != then.rater_share),
        ("feedback.failures_count", *failures_count != then.failures_count),
    ]));
    if promise && matches!(then.policy, PolicySpec::Certified(_)) {
        told.push("its certificate begins anew".to_owned());
    }
    told
}

/// Whether the policy promises another thing now.
fn policy_changes(old: &PolicySpec, new: &PolicySpec, told: &mut Vec<String>) -> bool {
    let (PolicySpec::Certified(held), PolicySpec::Certified(then)) = (old, new) else {
        if old != new {
            let same = old.to_string() == new.to_string();
            told.push(if same { format!("parameters of policy {old}") } else { format!("policy {old} → {new}") });
        }
        return old != new;
    };
    let CertifiedParams { assurance, fallback, exploration, exploration_floor, window, observe } = held;
    let shown = |fallback: &Option<String>| fallback.clone().unwrap_or_default();
    for (key, old, new) in [
        ("assurance", assurance.to_string(), then.assurance.to_string()),
        ("window", window.to_string(), then.window.to_string()),
        ("fallback", shown(fallback), shown(&then.fallback)),
        ("exploration", exploration.to_string(), then.exploration.to_string()),
        ("exploration_floor", exploration_floor.to_string(), then.exploration_floor.to_string()),
        ("observe", observe.to_string(), then.observe.to_string()),
    ] {
        if old != new {
            told.push(format!("{key} {old} → {new}"));
        }
    }
    (*assurance, *window, *observe) != (then.assurance, then.window, then.observe)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEFORE: &str = "[server]\napi_keys = [\"sixteen-letters-1\"]\n[tenants.acme]\nusd_per_day = 1\n\
        [[models]]\nname = \"small\"\nbase_url = \"http://h/v1\"\nprice = { input = 1, output = 1 }\n\
        [[models]]\nname = \"large\"\nbase_url = \"http://h/v1\"\nprice = { input = 9, output = 9 }\n\
        [routes.default]\nmodels = [\"small\", \"large\"]\nsla = { satisfaction = 0.9 }\n";

    fn told(edits: &[(&str, &str)]) -> Vec<String> {
        let parse = |text: &str| Config::parse(text, &|_: &str| None).unwrap();
        let mut after = BEFORE.to_owned();
        for (old, new) in edits {
            assert!(after.contains(old), "{old}");
            after = after.replacen(old, new, 1);
        }
        parse(BEFORE).changes(&parse(&after))
    }

    #[test]
    fn the_same_has_no_changes() {
        assert_eq!(told(&[]), Vec::<String>::new());
        // What is read at the start only is refused elsewhere.
        assert_eq!(
            told(&[("[server]\n", "[server]\nmax_connections = 7\nmax_connections_per_address = 5000\n")]),
            Vec::<String>::new()
        );
    }

    #[test]
    fn what_differs_is_named_and_no_secret_shown() {
        let all = told(&[
            ("sixteen-letters-1", "sixteen-letters-2"),
            (
                "[server]\n",
                "[upstream]\nretries = 3\nhedge = { quantile = 0.9 }\n[store]\nkeep_prompts = true\n[server]\nseed = 5\n",
            ),
            ("usd_per_day = 1", "usd_per_day = 2"),
            ("http://h/v1", "http://secret-host/v1"),
            ("input = 9", "input = 8"),
            (
                "[routes.default]\n",
                "[[models]]\nname = \"mid\"\nbase_url = \"http://h/v1\"\nprice = { input = 2, output = 2 }\n[routes.default]\n",
            ),
            ("models = [\"small\", \"large\"]", "models = [\"small\", \"mid\", \"large\"]\nexploration = 0.1"),
        ]);
        let expected = [
            "server.api_keys",
            "server.seed",
            "store.keep_prompts",
            "upstream.retries",
            "upstream.hedge",
            "tenant acme: limits",
            "model small: base_url",
            "model large: price",
            "model mid added",
            "route default: models small, large → small, mid, large, exploration 0.05 → 0.1",
        ];
        assert_eq!(all, expected);
    }

    #[test]
    fn another_promise_says_that_its_certificate_begins_anew() {
        let sla = "satisfaction = 0.9";
        for (new, expected) in [
            ("satisfaction = 0.95", "satisfaction 0.9 → 0.95, its certificate begins anew"),
            ("satisfaction = 0.9, assurance = 0.9", "assurance 0.95 → 0.9, its certificate begins anew"),
            ("satisfaction = 0.9 }\nobserve = true #", "observe false → true, its certificate begins anew"),
            ("satisfaction = 0.9, window = \"1 day\"", "window 20000 requests → 1 days, its certificate begins anew"),
        ] {
            assert_eq!(told(&[(sla, new)]), [format!("route default: {expected}")]);
        }
        let policy = |name: &str| told(&[("[routes.default]\n", &format!("[routes.default]\npolicy = \"{name}\"\n"))]);
        assert_eq!(policy("random"), ["route default: policy certified → random"]);
        let fallback = told(&[("[routes.default]\n", "[routes.default]\nfallback = \"small\"\n")]);
        assert_eq!(fallback, ["route default: fallback large → small"]);
        let renamed = told(&[("routes.default", "routes.chat")]);
        assert_eq!(renamed, ["route chat added", "route default removed", "model auto means route chat"]);
    }
}
