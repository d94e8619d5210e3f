//! `[routes.<name>]` and its tenants.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use slarouter_core::policy::{CertifiedParams, Window};
use slarouter_core::{Alpha, ModelSpec, PolicySpec, RouteSpec, Zoo};

use super::window;
use crate::problems::Problems;
use crate::raw::{self, Text};
use crate::settings::Route;
use crate::values::{Env, number, share, text};

/// What all routes have in common.
pub(super) struct Feedback {
    pub(super) window_ms: u64,
    pub(super) audit_rate: f64,
    pub(super) rater_limit: u64,
    pub(super) rater_share: f64,
    pub(super) failures_count: bool,
    /// Models whose price nobody knows.
    pub(super) unpriced: Vec<Arc<str>>,
}

/// The route as its tenant has it.
pub(super) fn of_tenant(route: &raw::Route, tenant: raw::Tenant) -> raw::Route {
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

pub(super) fn route(
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
    let alpha = alpha(*raw.sla.satisfaction.get_ref()).map_err(|what| problems.add(Some(place), what)).ok();
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

/// # Errors
/// What is wrong with it. A target of 1 is out of reach at the first answer that does not satisfy, and no evidence can prove it:
/// the policy would do nothing but serve the model of the highest prediction.
fn alpha(target: f64) -> Result<Alpha, String> {
    if target == 1.0 {
        let what = "satisfaction = 1 cannot be kept: one answer that does not satisfy breaks it, and until then the most satisfying \
                    model serves at any price: write the share that is enough, as in 0.95; to be served by one model \
                    always, say so with policy = \"fixed:<model>\"";
        return Err(what.to_owned());
    }
    let percent = (2.0..100.0).contains(&target).then(|| (target * 100.0).round() / 1e4);
    let mend = percent.map(|share| format!(": write {share} for {target} %")).unwrap_or_default();
    Alpha::new(target).map_err(|error| format!("{error}{mend}"))
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
