//! A decision whatever happens: when the learnt state cannot be used, the operator's fallback serves.

use std::panic::{AssertUnwindSafe, catch_unwind};

use slarouter_config::Route;
use slarouter_core::{
    AuditDraw, Candidate, Context, Decision, DecisionId, PolicySpec, Reason, RouteSpec, Saving, decision_rng,
};
use slarouter_learner::Snapshot;

use crate::app::App;

/// What was decided, and what was wrong.
pub(super) struct Choice {
    pub(super) decision: Decision,
    pub(super) audit: AuditDraw,
    /// The learnt state could not be used.
    pub(super) failed: bool,
}

/// Decides by the snapshot, or without it.
pub(super) fn choose(
    app: &App,
    snapshot: &Snapshot,
    (route, settings): (&str, &Route),
    id: DecisionId,
    context: &Context<'_>,
    savings: &[Saving<'_>],
) -> Choice {
    let seed = app.config.server.seed;
    let learnt = || {
        let router = snapshot.routes.get(route).ok_or("the learner does not know the route")?;
        let mut rng = decision_rng(seed, id);
        let decision = router.decide_with(context, savings, &mut rng).map_err(|error| error.to_string())?;
        let audit = router.draw_audit(seed, id, &decision);
        Ok::<_, String>((decision, audit))
    };
    // It only reads, so nothing is left half done by a panic.
    let error = match catch_unwind(AssertUnwindSafe(learnt)) {
        Ok(Ok((decision, audit))) => return Choice { decision, audit, failed: false },
        Ok(Err(error)) => error,
        Err(_) => "the decision panicked".to_owned(),
    };
    tracing::error!(route, error, "no decision can be made from what was learnt: the fallback serves");
    let spec = app.config.spec_at(settings, app.clock.now());
    Choice { decision: fallback(&spec, context), audit: AuditDraw::default(), failed: true }
}

/// The fallback of the configuration, the most expensive model if there is none, or another one if that cannot be asked.
fn fallback(spec: &RouteSpec, context: &Context<'_>) -> Decision {
    let named = match &spec.policy {
        PolicySpec::Certified(params) => params.fallback.as_deref(),
        PolicySpec::Fixed(model) => Some(model.as_str()),
        _ => None,
    };
    let models = spec.zoo.models();
    let eligible = |place: &usize| !context.excluded.contains(&&*models[*place].name);
    let preferred = named.and_then(|name| spec.zoo.position(name)).unwrap_or_else(|| spec.zoo.by_price(true));
    let chosen = Some(preferred).filter(eligible).or_else(|| (0..models.len()).find(eligible)).unwrap_or(preferred);
    let candidate = |(place, model): (usize, &slarouter_core::ModelSpec)| Candidate {
        model: model.name.clone(),
        probability: if place == chosen { 1.0 } else { 0.0 },
        satisfaction: 0.5,
        cost: model.price.cost(context.input_tokens, 0.0),
        ..Candidate::default()
    };
    Decision { candidates: models.iter().enumerate().map(candidate).collect(), chosen, reason: Reason::Fallback }
}
