//! `[routes.<name>]` and its tenants.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use slarouter_core::policy::CertifiedParams;
use slarouter_core::{Alpha, ModelSpec, PolicySpec, RouteSpec, SpecError, Zoo};
use toml::Spanned;

use super::feedback::Terms;
use super::policy::{certified, most_expensive, policy};
use crate::problems::Problems;
use crate::raw::{self, Text};
use crate::settings::Route;
use crate::values::{Env, check_name, text};

/// What all routes have in common.
pub(super) struct Common<'a> {
    /// All models.
    pub(super) specs: &'a [ModelSpec],
    /// Models whose price nobody knows.
    pub(super) unpriced: &'a [Arc<str>],
    pub(super) terms: Terms,
}

/// The models of a route.
struct Listed {
    specs: Vec<ModelSpec>,
    /// Whether every name stands for a model. One that does not is reported once, at the list, and not where it is used.
    all_known: bool,
}

/// All routes by name, and which one `auto` means.
pub(super) fn routes(
    raw: BTreeMap<Text, Spanned<raw::Route>>,
    common: &Common<'_>,
    env: Env<'_>,
    problems: &mut Problems<'_>,
) -> (BTreeMap<Arc<str>, Route>, Arc<str>) {
    if raw.is_empty() {
        problems.absent(None, "there is no route: add [routes.default]");
    }
    let mut names: Vec<Arc<str>> = Vec::new();
    let mut routes: BTreeMap<Arc<str>, Route> = BTreeMap::new();
    for (name, mut entry) in raw {
        check_name(&name, "a route's", problems);
        let tenants = std::mem::take(&mut entry.get_mut().tenants);
        let own = entry.into_inner();
        let name: Arc<str> = name.into_inner().into();
        for (tenant, differs) in tenants {
            check_name(&tenant, "a tenant's", problems);
            let key = format!("{name}/{}", tenant.get_ref()).into();
            if let Some(resolved) = route(of_tenant(&own, differs), common, env, problems) {
                routes.insert(key, resolved);
            }
        }
        if let Some(resolved) = route(own, common, env, problems) {
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
    (routes, default_route)
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
        exploration_floor: tenant.exploration_floor.or(held.exploration_floor),
        observe: tenant.observe.or(held.observe),
        alone: tenant.alone.or(held.alone),
        warm_start: held.warm_start,
        affinity: held.affinity,
        tenants: BTreeMap::new(),
    }
}

/// `None` where it cannot be made, which has been reported then.
fn route(raw: raw::Route, common: &Common<'_>, env: Env<'_>, problems: &mut Problems<'_>) -> Option<Route> {
    let alone = raw.alone.unwrap_or(false);
    let warm_start = warm_start_of(raw.warm_start.as_ref(), env, problems);
    let affinity = has_affinity(raw.affinity.as_ref(), env, problems);
    let list_place = raw.models.span();
    let listed = Listed::read(&raw.models, common.specs, env, problems);
    let place = raw.sla.satisfaction.span();
    let alpha = check_target(*raw.sla.satisfaction.get_ref()).map_err(|what| problems.add(Some(place), what)).ok();
    let mut params = certified(&raw.sla, (raw.exploration, raw.exploration_floor), env, problems);
    let chosen = policy(raw.policy.as_ref(), raw.slarouter, env, problems);
    if let Some((place, chosen)) = raw.policy.as_ref().zip(chosen.as_ref()) {
        check_policy(place, chosen, &listed, common, problems);
    }
    params.observe = raw.observe.as_ref().is_some_and(|observe| is_observed(observe, chosen.as_ref(), problems));
    params.fallback = raw.fallback.as_ref().and_then(|name| fallback(name, &listed, env, problems));

    let made = alpha.zip(chosen).map(|(alpha, chosen)| spec(alpha, listed.specs, chosen, params, alone, common));
    match made? {
        Ok(spec) => Some(Route { spec, warm_start, affinity }),
        // All that the core refuses has been reported above in the file's terms. Should it refuse more, the core is asked.
        Err(error) => {
            if problems.found.is_empty() {
                problems.add(Some(list_place), error.to_string());
            }
            None
        }
    }
}

/// Checks a target, as `sla.satisfaction` has it.
///
/// # Errors
/// What is wrong with it. A target of 1 is out of reach at the first answer that does not satisfy, and no evidence can prove it:
/// the policy would do nothing but serve the model of the highest prediction.
pub fn check_target(share: f64) -> Result<Alpha, String> {
    if share == 1.0 {
        let what = "satisfaction = 1 cannot be kept: one answer that does not satisfy breaks it, and until then the most satisfying \
                    model serves at any price: write the share that is enough, as in 0.95; to be served by one model \
                    always, say so with policy = \"fixed:<model>\"";
        return Err(what.to_owned());
    }
    let percent = (2.0..100.0).contains(&share).then(|| (share * 100.0).round() / 1e4);
    let mend = percent.map(|meant| format!(": write {meant} for {share} %")).unwrap_or_default();
    Alpha::new(share).map_err(|error| format!("{error}{mend}"))
}

/// The route as the core has it.
fn spec(
    alpha: Alpha,
    models: Vec<ModelSpec>,
    mut policy: PolicySpec,
    mut params: CertifiedParams,
    alone: bool,
    common: &Common<'_>,
) -> Result<RouteSpec, SpecError> {
    let zoo = Zoo::new(models)?;
    if let PolicySpec::Certified(held) = &mut policy {
        // Named even where the file leaves it out, so that the log says which model served.
        params.fallback.get_or_insert_with(|| most_expensive(&zoo, common.unpriced).to_string());
        *held = params;
    }
    let Terms { window_ms: feedback_window_ms, audit_rate, rater_limit, rater_share, failures_count } = common.terms;
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
    Ok(spec)
}

impl Listed {
    fn read(list: &Spanned<Vec<Text>>, specs: &[ModelSpec], env: Env<'_>, problems: &mut Problems<'_>) -> Self {
        let mut listed = Self { specs: Vec::new(), all_known: true };
        for name in list.get_ref() {
            let value = text(name, env, problems);
            match value.as_ref().and_then(|value| specs.iter().find(|spec| *spec.name == **value)) {
                Some(spec) if listed.holds(&spec.name) => {
                    problems.add(Some(name.span()), "this model is in the list twice");
                }
                Some(spec) => listed.specs.push(spec.clone()),
                None => {
                    listed.all_known = false;
                    if value.is_some() {
                        let name_written = name.get_ref();
                        let what = format!("there is no model {name_written:?}: add it as [[models]], or take it out");
                        problems.absent(Some(name.span()), what);
                    }
                }
            }
        }
        if list.get_ref().is_empty() {
            problems.absent(Some(list.span()), "a route needs at least one model");
        }
        listed
    }

    fn holds(&self, model: &str) -> bool {
        self.specs.iter().any(|spec| *spec.name == *model)
    }

    /// Whether a name surely stands for none of them.
    fn lacks(&self, model: &str) -> bool {
        self.all_known && !self.holds(model)
    }
}

/// Whether the policy can do with the models of the route.
fn check_policy(place: &Text, policy: &PolicySpec, listed: &Listed, common: &Common<'_>, problems: &mut Problems<'_>) {
    match policy {
        PolicySpec::Fixed(model) if listed.lacks(model) => {
            let what = format!("policy {:?}: there is no such model in the route", place.get_ref());
            problems.absent(Some(place.span()), what);
        }
        PolicySpec::MostExpensive => {
            if let Some(unknown) = listed.specs.iter().find(|spec| common.unpriced.contains(&spec.name)) {
                let name = &unknown.name;
                let what = format!(
                    "policy most-expensive compares prices, and nobody knows that of {name:?}: use fixed:<model>"
                );
                problems.add(Some(place.span()), what);
            }
        }
        _ => {}
    }
}

/// Whether the route is only observed, which its policy must be made for.
fn is_observed(observe: &Spanned<bool>, policy: Option<&PolicySpec>, problems: &mut Problems<'_>) -> bool {
    if *observe.get_ref() && policy.is_some_and(|policy| !matches!(policy, PolicySpec::Certified(_))) {
        let what = "observe is for policy certified: another one has no fallback to serve in its place; leave it out, or say observe = false \
                    for the tenant with that policy";
        problems.add(Some(observe.span()), what);
    }
    *observe.get_ref()
}

fn fallback(name: &Text, listed: &Listed, env: Env<'_>, problems: &mut Problems<'_>) -> Option<String> {
    let value = text(name, env, problems)?;
    if listed.lacks(&value) {
        problems.absent(Some(name.span()), "fallback must be one of the route's models");
    }
    Some(value)
}

fn warm_start_of(path: Option<&Text>, env: Env<'_>, problems: &mut Problems<'_>) -> Option<PathBuf> {
    let written = path?;
    let path = text(written, env, problems)?;
    if path.is_empty() {
        problems.add(Some(written.span()), "warm_start must be the path of a file that `slarouter train` has written");
    }
    Some(path.into())
}

fn has_affinity(word: Option<&Text>, env: Env<'_>, problems: &mut Problems<'_>) -> bool {
    word.is_none_or(|word| match text(word, env, problems).as_deref() {
        Some("conversation") | None => true,
        Some("none") => false,
        Some(_) => {
            problems.add(Some(word.span()), "affinity must be \"conversation\" or \"none\"");
            true
        }
    })
}
