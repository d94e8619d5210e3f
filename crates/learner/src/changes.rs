//! What a route's configuration says otherwise than before, in words for whoever reads figures.

use slarouter_core::{ModelSpec, RouteSpec};

/// A phrase for each difference that figures depend on; one for all others.
#[must_use]
pub fn changes(old: &RouteSpec, new: &RouteSpec) -> Vec<String> {
    let mut told = Vec::new();
    let (was, is) = (old.alpha.get(), new.alpha.get());
    if was.to_bits() != is.to_bits() {
        told.push(format!("target from {was} to {is}: its evidence begins anew"));
    }
    for model in new.zoo.models() {
        match named(old, model) {
            None => told.push(format!("model {} added", model.name)),
            Some(before) if before.price != model.price => told.push(format!(
                "price of {} from {}/{} to {}/{} USD per million tokens, input/output",
                model.name, before.price.input, before.price.output, model.price.input, model.price.output
            )),
            Some(_) => {}
        }
    }
    let gone = old.zoo.models().iter().filter(|model| named(new, model).is_none());
    told.extend(gone.map(|model| format!("model {} removed", model.name)));
    let baseline = |spec: &RouteSpec| spec.zoo.models()[spec.fallback()].name.clone();
    if baseline(old) != baseline(new) {
        told.push(format!("fallback from {} to {}", baseline(old), baseline(new)));
    }
    if old.is_observed() != new.is_observed() {
        let what = if new.is_observed() { "only observed" } else { "no longer only observed" };
        told.push(format!("{what}: its evidence begins anew"));
    }
    if told.is_empty() {
        told.push("configuration changed".to_owned());
    }
    told
}

fn named<'a>(spec: &'a RouteSpec, model: &ModelSpec) -> Option<&'a ModelSpec> {
    spec.zoo.models().iter().find(|other| other.name == model.name)
}
