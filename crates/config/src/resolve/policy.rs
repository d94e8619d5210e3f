//! `routes.<name>.policy` and what belongs to it.

use std::sync::Arc;

use slarouter_core::policy::{CertifiedParams, HIGHEST_FLOOR, Window};
use slarouter_core::{PolicySpec, Zoo};
use toml::Spanned;

use super::window::{DEFAULT_WINDOW, parse_window};
use crate::problems::Problems;
use crate::raw::{self, Number, Text};
use crate::values::{Env, number, share, text};

/// Policies by name, with the parameters of `[routes.<name>.slarouter]`.
pub(super) fn policy(
    name: Option<&Text>,
    params: Option<Spanned<raw::SlaRouter>>,
    env: Env<'_>,
    problems: &mut Problems<'_>,
) -> Option<PolicySpec> {
    let mut chosen = match name {
        None => PolicySpec::Certified(CertifiedParams::default()),
        Some(name) => {
            let parsed = PolicySpec::parse(&text(name, env, problems)?);
            let unknown = "unknown policy: use certified, slarouter, random, cheapest, most-expensive or fixed:<model>";
            parsed.map_err(|_| problems.add(Some(name.span()), unknown)).ok()?
        }
    };
    let Some(params) = params else { return Some(chosen) };
    let PolicySpec::SlaRouter(held) = &mut chosen else {
        problems.add(Some(params.span()), "parameters of policy slarouter, but another policy is chosen");
        return Some(chosen);
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
    Some(chosen)
}

/// The parameters of the default policy, but for its fallback, and whether it is only observed.
pub(super) fn certified(
    sla: &raw::Sla,
    (exploration, exploration_floor): (Option<Number>, Option<Number>),
    env: Env<'_>,
    problems: &mut Problems<'_>,
) -> CertifiedParams {
    let defaults = CertifiedParams::default();
    let explored = |share: f64| (0.0..=1.0).contains(&share);
    let floor = |share: f64| (0.0..=HIGHEST_FLOOR).contains(&share);
    CertifiedParams {
        assurance: share(sla.assurance.clone(), defaults.assurance, problems),
        window: sla
            .window
            .as_ref()
            .and_then(|written| certified_window(written, env, problems))
            .unwrap_or(DEFAULT_WINDOW),
        exploration: number(exploration, defaults.exploration, explored, "from 0 to 1", problems),
        exploration_floor: number(exploration_floor, defaults.exploration_floor, floor, "from 0 to 0.05", problems),
        fallback: None,
        observe: false,
    }
}

fn certified_window(value: &Text, env: Env<'_>, problems: &mut Problems<'_>) -> Option<Window> {
    parse_window(&text(value, env, problems)?).map_err(|what| problems.add(Some(value.span()), what)).ok()
}

/// The model with the highest list price, of those whose price is known, if any is.
pub(super) fn most_expensive<'a>(zoo: &'a Zoo, unpriced: &[Arc<str>]) -> &'a str {
    let known = zoo.models().iter().filter(|model| !unpriced.contains(&model.name));
    let most_expensive =
        known.reduce(|held, next| if next.price.blended() > held.price.blended() { next } else { held });
    &most_expensive.unwrap_or(&zoo.models()[0]).name
}
