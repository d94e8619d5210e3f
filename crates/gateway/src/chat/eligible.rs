//! Which models can be asked a request at all, and which of them now.

use slarouter_config::Model;
use slarouter_protocol::request::Request;
use slarouter_protocol::{Endpoint, ModelProtocol, Refusal};
use tokio::time::Instant;

use crate::app::App;
use crate::error::ApiError;
use crate::lookup::{Target, model};

/// The models of the target that cannot be asked this, as their protocol lacks something that is in the request. Refuses a
/// request that none can be asked.
pub(super) fn incapable<'a>(app: &'a App, request: &Request, target: &Target<'a>) -> Result<Vec<&'a str>, ApiError> {
    let endpoint = request.endpoint();
    let cannot = |model: &Model| -> Option<Refusal> {
        if endpoint.upstream_path(model.protocol).is_none() {
            return Some(Refusal::new("model", "names a model whose provider has nothing like this"));
        }
        // What passes as it is need not be looked at.
        if endpoint.passes(model.protocol) { None } else { request.upstream_body(model.upstream()).err() }
    };
    let models: Vec<&Model> = match target {
        Target::Model(model) => vec![model],
        Target::Route(_) if !endpoint.routes() => {
            let message = "`model` must name a model here: `auto` is for chat completions, responses and messages";
            return Err(ApiError::invalid("model", "routing_not_supported", message));
        }
        Target::Route(route) => {
            kept_elsewhere(request)?;
            let zoo = app.config.routes.get(route).map(|route| route.spec.zoo.models()).unwrap_or_default();
            zoo.iter().filter_map(|spec| model(app, &spec.name)).collect()
        }
    };
    // What can be carried depends on the protocol alone, and large requests are not to be written once per model.
    let mut judged: Vec<(ModelProtocol, Option<Refusal>)> = Vec::new();
    let mut incapable = Vec::new();
    let mut why = None;
    for model in &models {
        if !judged.iter().any(|(protocol, _)| *protocol == model.protocol) {
            judged.push((model.protocol, cannot(model)));
        }
        let refusal = judged.iter().find(|(protocol, _)| *protocol == model.protocol);
        if let Some((_, Some(refusal))) = refusal {
            incapable.push(&*model.name);
            why.get_or_insert_with(|| refusal.clone());
        }
    }
    match why {
        Some(refusal) if incapable.len() == models.len() => Err(refusal.into()),
        _ => Ok(incapable),
    }
}

/// The models that are not to be chosen: those that are `incapable` of this request, and of the others those that are not available, as long as
/// that leaves any.
pub(crate) fn excluded<'a>(app: &'a App, target: &Target<'a>, incapable: &[&'a str]) -> Vec<&'a str> {
    let mut excluded = incapable.to_vec();
    let Target::Route(route) = target else { return excluded };
    let zoo = app.config.routes.get(route).map(|route| route.spec.zoo.models()).unwrap_or_default();
    let now = Instant::now();
    excluded.extend(zoo.iter().map(|model| &*model.name).filter(|name| !app.health.is_available(name, now)));
    if zoo.iter().all(|model| excluded.contains(&&*model.name)) {
        excluded.truncate(incapable.len());
    }
    excluded
}

/// Refuses, for a route, what one provider alone can look up.
fn kept_elsewhere(request: &Request) -> Result<(), Refusal> {
    let kept = ["previous_response_id", "conversation"].into_iter().find(|name| request.member(name).is_some());
    match kept.filter(|_| request.endpoint() == Endpoint::Responses) {
        None => Ok(()),
        Some(name) => {
            let what = "names what one provider keeps, so that no other model could answer: send the whole conversation \
                        as `input`, or name the model, with the provider's own id (`x-slarouter-upstream-id`)";
            Err(Refusal::new(name, what))
        }
    }
}
