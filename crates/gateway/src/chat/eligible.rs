//! Which models can be asked a request at all, and which of them now.

use std::fmt;
use std::sync::Arc;

use slarouter_config::Model;
use slarouter_core::ModelSpec;
use slarouter_protocol::request::Request;
use slarouter_protocol::{Endpoint, Refusal};
use tokio::time::Instant;

use crate::app::App;
use crate::error::ApiError;
use crate::lookup::{Target, model};
use crate::sessions::Session;
use crate::upstream::Asked;

/// Excluded models that are told by name; of any more only the count is.
const LISTED: usize = 8;

/// A model that is not to be chosen for a request.
#[derive(Clone, Debug)]
pub(crate) struct Excluded {
    pub(crate) model: Arc<str>,
    pub(crate) why: Exclusion,
}

/// Why a model is not to be chosen.
#[derive(Clone, Debug)]
pub(crate) enum Exclusion {
    /// Its protocol lacks what stands at this place of the request.
    Unsupported(String),
    /// It cannot take the request, for this reason.
    Unfit(&'static str),
    /// Its circuit is open, or its provider has asked to be left alone.
    Circuit,
}

/// Who compacts a conversation, where a route was asked: a model of it that can, the conversation's own before the others.
///
/// # Errors
/// If there is none.
pub(super) fn compactor<'a>(
    app: &'a App,
    request: &Request,
    target: Target<'a>,
    session: Option<&Session>,
) -> Result<Target<'a>, ApiError> {
    if !matches!((&target, request.endpoint()), (Target::Route(_), Endpoint::Compact)) {
        return Ok(target);
    }
    request.is_self_contained()?;
    let now = Instant::now();
    let models = zoo(app, &target).iter().filter_map(|spec| model(app, &spec.name));
    let able = models.filter(|model| Endpoint::Compact.upstream_path(model.protocol).is_some());
    let rank = |model: &&Model| {
        let is_its_own = session.is_some_and(|session| session.model == model.name);
        (!app.health.is_available(&model.name, now), !is_its_own)
    };
    able.min_by_key(rank).map(Target::Model).ok_or_else(|| {
        let message = "`model` is a route without a model of the protocol `openai-responses`: no other can compact, nor read what it has \
                       compacted. Have the client compact by itself, as it does with providers that are not OpenAI";
        ApiError::invalid("model", "compaction_not_supported", message)
    })
}

/// Whether a request of this endpoint is translated for any model of the target.
pub(super) fn translates(app: &App, endpoint: Endpoint, target: &Target<'_>) -> bool {
    let models = zoo(app, target).iter().filter_map(|spec| model(app, &spec.name));
    let named = if let Target::Model(model) = target { Some(*model) } else { None };
    models.chain(named).any(|model| !endpoint.passes(model.protocol))
}

/// The models of the target that cannot be asked this, as their protocol lacks something that is in the request. Refuses a
/// request that none can be asked.
pub(super) fn incapable(app: &App, request: &Request, target: &Target<'_>) -> Result<Vec<Excluded>, ApiError> {
    let endpoint = request.endpoint();
    let cannot = |model: &Model| -> Option<Refusal> {
        if endpoint.upstream_path(model.protocol).is_none() {
            let what = match endpoint {
                Endpoint::Compact => {
                    "must name a model of the protocol `openai-responses`: no other can compact, nor read what it has compacted"
                }
                _ => "names a model whose provider has nothing like this",
            };
            return Some(Refusal::new("model", what));
        }
        request.fits(model.protocol).err()
    };
    let models: Vec<&Model> = match target {
        Target::Model(model) => vec![model],
        Target::Route(_) if !endpoint.routes() => {
            let message = "`model` must name a model here: `auto` is for chat completions, responses and messages";
            return Err(ApiError::invalid("model", "routing_not_supported", message));
        }
        Target::Route(_) => {
            request.is_self_contained()?;
            zoo(app, target).iter().filter_map(|spec| model(app, &spec.name)).collect()
        }
    };
    let mut incapable = Vec::new();
    let mut why = None;
    for model in &models {
        if let Some(refusal) = cannot(model) {
            incapable.push(Excluded { model: model.name.clone(), why: Exclusion::Unsupported(refusal.param.clone()) });
            why.get_or_insert(refusal);
        }
    }
    match why {
        Some(refusal) if incapable.len() == models.len() => Err(refusal.into()),
        _ => Ok(incapable),
    }
}

/// The models of a route that cannot take the request, as far as that is known, beside those that are `incapable` anyway. A model that
/// is named is asked all the same.
pub(super) fn unfit(app: &App, asked: &Asked<'_>, target: &Target<'_>, incapable: &[Excluded]) -> Vec<Excluded> {
    let now = Instant::now();
    let misfit = |model: &ModelSpec| {
        let reason = app.health.of(&model.name)?.misfit(asked, now)?;
        Some(Excluded { model: model.name.clone(), why: Exclusion::Unfit(reason) })
    };
    zoo(app, target).iter().filter(|model| !is_among(incapable, &model.name)).filter_map(misfit).collect()
}

/// The models that are not to be chosen: those that are `incapable` of this request, and of the others those that are `unfit` for it, and
/// then those that are not available, as long as each leaves any.
pub(crate) fn excluded(app: &App, target: &Target<'_>, incapable: &[Excluded], unfit: &[Excluded]) -> Vec<Excluded> {
    let zoo = zoo(app, target);
    let now = Instant::now();
    let resting = zoo.iter().filter(|model| !app.health.is_available(&model.name, now));
    let resting: Vec<_> =
        resting.map(|model| Excluded { model: model.name.clone(), why: Exclusion::Circuit }).collect();
    let mut excluded = incapable.to_vec();
    for group in [unfit, &resting] {
        let before = excluded.len();
        let more: Vec<_> = group.iter().filter(|one| !is_among(&excluded, &one.model)).cloned().collect();
        excluded.extend(more);
        if excluded.len() == zoo.len() {
            excluded.truncate(before);
        }
    }
    excluded
}

/// The models of a route; none where a model is named.
fn zoo<'a>(app: &'a App, target: &Target<'_>) -> &'a [ModelSpec] {
    let Target::Route(route) = target else { return &[] };
    app.config.routes.get(route).map(|route| route.spec.zoo.models()).unwrap_or_default()
}

/// Whether a model is excluded.
pub(crate) fn is_among(excluded: &[Excluded], model: &str) -> bool {
    excluded.iter().any(|excluded| &*excluded.model == model)
}

/// The excluded models and why, as a header and the log have it.
pub(crate) fn listed(excluded: &[Excluded]) -> String {
    let shown: Vec<String> = excluded.iter().take(LISTED).map(Excluded::to_string).collect();
    let more = excluded.len().saturating_sub(LISTED);
    if more == 0 { shown.join(", ") } else { format!("{}, and {more} more", shown.join(", ")) }
}

// === impl Exclusion ===

impl Exclusion {
    /// The reason in one word.
    pub(crate) fn as_str(&self) -> &'static str {
        match self {
            Self::Unsupported(_) => "unsupported",
            Self::Unfit(reason) => reason,
            Self::Circuit => "circuit",
        }
    }
}

// === impl Excluded ===

impl fmt::Display for Excluded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.model, self.why.as_str())?;
        match &self.why {
            Exclusion::Unsupported(place) => write!(f, " {place}"),
            Exclusion::Unfit(_) | Exclusion::Circuit => Ok(()),
        }
    }
}
