//! The decision for a request, and its record in the log.

use std::sync::Arc;

use slarouter_config::Model;
use slarouter_core::{
    AnyPolicy, AuditDraw, Candidate, Context, Decision, DecisionId, ModelSpec, Reason, Saving, Timestamp, told_usd,
};
use slarouter_learner::Snapshot;
use slarouter_protocol::outline::Outline;
use slarouter_protocol::request::AnswerLength;
use slarouter_store::{DecisionRecord, Entry, Payer, TraceId};
use slarouter_text::Conversation;
use tokio::time::Instant;

use super::eligible::Excluded;
use super::estimate::estimate;
use super::fallible::{Choice, choose};
use crate::admission::auth::Caller;
use crate::admission::limits::{self, Hold};
use crate::apart::apart;
use crate::app::App;
use crate::error::ApiError;
use crate::lookup::{Target, model, unknown};
use crate::sessions::Session;

/// What a decision is made from.
pub(crate) struct DecisionInput<'a> {
    /// The model or route that was asked for.
    pub(crate) name: &'a str,
    /// What that name means to the caller.
    pub(crate) target: &'a Target<'a>,
    /// Models that are not to be chosen.
    pub(crate) excluded: Vec<Excluded>,
    pub(crate) outline: Outline<'a>,
    /// Whether what is learnt of the answers counts for a route.
    pub(crate) routes: bool,
    /// How long the answer may be.
    pub(crate) answer: AnswerLength,
    /// The conversation that the request goes on with.
    pub(crate) session: Option<&'a Session>,
    /// The id that the application gives the answer.
    pub(crate) trace: Option<TraceId>,
}

/// A decision that has been logged.
pub(crate) struct Decided {
    /// When it was made: the prices of that moment count.
    pub(crate) time: Timestamp,
    pub(crate) route: Arc<str>,
    /// Who is billed.
    pub(crate) payer: Payer,
    pub(crate) decision: Decision,
    /// Tokens of the request, estimated.
    pub(crate) input_tokens: f64,
    /// Whether it was drawn for audit.
    pub(crate) audited: bool,
    /// USD that a satisfied answer is worth, where the policy has such a price.
    pub(crate) satisfaction_price: Option<f64>,
    /// What was wrong with the learning when it was made.
    pub(crate) degraded: Option<&'static str>,
    /// Models of the route that were not to be chosen.
    pub(crate) excluded: Vec<Excluded>,
    /// The id of the application's own that is kept with it.
    pub(crate) trace: Option<TraceId>,
    /// What the caller's limits hold for it until its outcome is known.
    pub(crate) hold: Option<Hold>,
}

/// What all ways to decide look at.
struct Basis<'a> {
    app: &'a App,
    snapshot: &'a Snapshot,
    context: Context<'a>,
    time: Timestamp,
}

/// What a way to decide came to.
struct Chosen {
    route: Arc<str>,
    decision: Decision,
    audit: AuditDraw,
    /// The learnt state could not be used.
    failed: bool,
}

/// Makes the decision and logs it. That the learning is in trouble fails no request.
pub(crate) async fn decide(
    app: &App,
    caller: &Caller,
    id: DecisionId,
    input: DecisionInput<'_>,
) -> Result<Decided, ApiError> {
    let Outline { messages, tools } = &input.outline;
    let conversation = apart(messages.len(), || Conversation::from_messages(messages, *tools))
        .map_err(|error| ApiError::invalid("messages", "invalid_messages", error.to_string()))?;
    let input_tokens = f64::from(conversation.input_tokens());
    let hold = match &*caller.meters {
        [] => None,
        meters => {
            let most = estimate(app, input.target, input_tokens, input.answer);
            Some(limits::admit(&app.journal, app.clock.now(), meters, &most)?)
        }
    };
    // Nobody decides on a pinned request, so it does not wait for a slow encoder.
    let free_only = matches!(input.target, Target::Model(_));
    let mut features = app.features.of(&conversation, free_only, &app.metrics).await;
    let snapshot = app.published.load();
    let mut degraded = app.trouble();
    let time = app.clock.now();
    let excluded: Vec<&str> = input.excluded.iter().map(|excluded| &*excluded.model).collect();
    let context = Context { features: &features, input_tokens, excluded: &excluded };
    let basis = Basis { app, snapshot: &snapshot, context, time };
    let Chosen { route, decision, audit, failed } = match input.target {
        Target::Route(route) => basis.routed(id, route, &input)?,
        Target::Model(model) if input.routes => basis.pinned(model),
        Target::Model(model) => basis.lone(model),
    };
    if failed {
        degraded = Some("state");
        // They may be what is wrong.
        features.clear();
    }
    if let Some(reason) = degraded {
        app.metrics.degraded(reason);
    }
    if audit.drawn {
        app.metrics.drawn(&route);
    }
    for Excluded { model, why } in &input.excluded {
        app.metrics.excluded(&route, model, why.as_str());
    }
    let satisfaction_price = snapshot.routes.get(&route).and_then(|router| match router.policy() {
        AnyPolicy::Certified(policy) => Some(policy.satisfaction_price()),
        _ => None,
    });
    let fallback = snapshot.routes.get(&route).and_then(|router| {
        let spec = router.spec();
        decision.place(&spec.zoo.models()[spec.fallback()].name)
    });
    let payer = caller.payer(&route);
    let messages = app.config.store.keep_prompts.then(|| input.outline.messages.into_owned());
    let prompt = messages.and_then(|messages| app.prompts.seal(id, messages));
    let record = DecisionRecord {
        id,
        time,
        route: route.clone(),
        decision: decision.clone(),
        features,
        feature_version: app.features.id().version,
        input_tokens,
        state_seq: snapshot.seq,
        prompt,
        audit,
        payer: payer.clone(),
        // Where the client named the model there was nothing to save.
        fallback: fallback.filter(|_| decision.reason != Reason::Pinned),
        trace: input.trace.clone(),
    };
    app.journal.log(Entry::Decision(record));
    let (audited, excluded, trace) = (audit.drawn, input.excluded, input.trace);
    Ok(Decided {
        time,
        route,
        payer,
        decision,
        input_tokens,
        audited,
        satisfaction_price,
        degraded,
        excluded,
        trace,
        hold,
    })
}

impl Basis<'_> {
    /// By the policy of a route. A conversation that goes on stays on its model, if there is no reason to move.
    fn routed(&self, id: DecisionId, route: &Arc<str>, input: &DecisionInput<'_>) -> Result<Chosen, ApiError> {
        let Self { app, snapshot, context, time } = self;
        let settings = app.config.routes.get(route).ok_or_else(|| unknown(input.name))?;
        let router = snapshot.routes.get(route);
        let saving = |spec: &ModelSpec| {
            let session = input.session.filter(|session| session.model == spec.name);
            let cached = session.map(|session| app.sessions.cached(session, context.input_tokens, Instant::now()));
            let (prices, output) = (model(app, &spec.name)?.prices.at(*time), router?.output_tokens(&spec.name));
            Some(prices.saving(context.input_tokens, cached.unwrap_or_default(), output))
        };
        let savings = settings.spec.zoo.models().iter().filter_map(|spec| Some((&*spec.name, saving(spec)?)));
        let savings = savings.filter(|(_, usd)| *usd != 0.0).map(|(model, usd)| Saving { model, usd });
        let savings: Vec<_> = savings.collect();
        let Choice { decision, audit, failed } = choose(app, snapshot, (route, settings), id, context, &savings);
        let router = router.filter(|_| !failed);
        let stays = input.session.and_then(|session| router?.stay(&decision, &session.model, context.excluded));
        Ok(Chosen { route: route.clone(), decision: stays.unwrap_or(decision), audit, failed })
    }

    /// A pinned request belongs to the first route that has its model, the default one before the others; only for its records.
    fn pinned(&self, model: &Model) -> Chosen {
        let Self { app, snapshot, context, .. } = self;
        let routes = std::iter::once(&app.config.default_route).chain(app.config.routes.keys());
        for route in routes {
            let decision = snapshot.routes.get(route).and_then(|router| router.pinned(&model.name, context));
            if let Some(decision) = decision {
                return Chosen { route: route.clone(), decision, audit: AuditDraw::default(), failed: false };
            }
        }
        self.lone(model)
    }

    /// The decision for a model in no route, or for what says nothing of its answers: embeddings, bare completions.
    fn lone(&self, model: &Model) -> Chosen {
        let candidate = Candidate {
            model: model.name.clone(),
            probability: 1.0,
            satisfaction: 0.5,
            cost: model.prices.at(self.time).estimate(self.context.input_tokens, 0.0),
            ..Candidate::default()
        };
        let decision = Decision { candidates: vec![candidate], chosen: 0, reason: Reason::Pinned };
        Chosen { route: "".into(), decision, audit: AuditDraw::default(), failed: false }
    }
}

/// Why a model answers, in one word: what was decided, or that another model took the chosen one's place.
pub(crate) fn word(reason: Reason, rerouted: bool) -> &'static str {
    if rerouted { "rerouted" } else { reason.as_str() }
}

/// The candidates of a decision as clients see them.
pub(crate) fn candidates(decided: &Decided) -> Vec<serde_json::Value> {
    let candidate = |c: &Candidate| {
        let excluded = decided.excluded.iter().find(|excluded| excluded.model == c.model);
        serde_json::json!({
            "model": &*c.model, "probability": c.probability,
            "predicted_satisfaction": c.satisfaction, "predicted_cost_usd": told_usd(c.cost),
            "excluded": excluded.map(|excluded| excluded.why.as_str()),
        })
    };
    decided.decision.candidates.iter().map(candidate).collect()
}
