//! The state of a moment made again from the log, and a decision made again from it.

use serde::Serialize;
use slarouter_core::policy::Grounds;
use slarouter_core::{AnyPolicy, Certificate, Context, Decision, Reason, Router, decision_rng, told_count, told_usd};
use slarouter_store::{DecisionRecord, Store, StoredDecision};

use crate::learning::{Learning, LearningError};

/// Whether a decision is made again exactly from the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "result")]
pub enum Replay {
    /// It is, to the last bit.
    Same,
    /// It is another one.
    Differs {
        /// What differs, and what may be the reason.
        what: String,
    },
    /// The state of that moment is out of reach.
    Unreachable {
        /// Why.
        why: String,
    },
}

/// What the state of a decision's moment knew beside what its candidates say.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Then {
    /// USD that a satisfied answer was worth: the mean of the two prices drawn between.
    pub satisfaction_price_usd: f64,
    /// Mean satisfaction asked of the next answers.
    pub demand: f64,
    /// Estimated surplus of satisfied answers over what α asks for.
    pub reserve: f64,
    /// The surplus that would have made sure of α.
    pub wanted_reserve: f64,
    /// Share of the draw that the safeguard left to the fallback alone.
    pub safeguarded: f64,
    /// What could be promised of the satisfaction up to then.
    pub certificate: Option<Certificate>,
}

/// What came of making it again.
pub(super) struct Remade {
    pub(super) replay: Replay,
    pub(super) then: Option<Then>,
    /// λ that the candidates were ranked at, in USD, if it is the same decision.
    pub(super) price: Option<f64>,
    /// Standard deviation of each candidate's predicted satisfaction.
    pub(super) errors: Option<Vec<f64>>,
}

impl Remade {
    fn unreachable(why: impl Into<String>) -> Self {
        Self { replay: Replay::Unreachable { why: why.into() }, then: None, price: None, errors: None }
    }
}

/// Makes the decision again, from the newest saved state before it and the events since.
pub(super) async fn remake(
    store: &dyn Store,
    stored: &StoredDecision,
    seed: u64,
    most_events: u64,
) -> Result<Remade, LearningError> {
    let record = &stored.record;
    if record.route.is_empty() {
        return Ok(Remade::unreachable("the client named a model of no route: there was nothing to decide"));
    }
    if stored.archived {
        return Ok(Remade::unreachable("its details are gone, as store.retention.details says: what stays is shown"));
    }
    let saved = store.load_snapshots_until(record.state_seq).await?;
    // One that is damaged or of another release is none: the log has it all.
    let mut learning = Learning::restore(saved).unwrap_or_else(|_| Learning::empty());
    let missing = record.state_seq - learning.seq();
    if missing > most_events {
        return Ok(Remade::unreachable(format!(
            "the nearest saved state is {} events older, and no more than {} are replayed here: `slarouter explain` replays all",
            told_count(missing),
            told_count(most_events)
        )));
    }
    let from = learning.seq();
    learning.catch_up_to(store, record.state_seq).await?;
    // Asked last: what went while it was read is missing too.
    if from < store.held().await?.shortened_to {
        return Ok(Remade::unreachable(
            "the log before it was shortened (store.retention), and no saved state of then is kept",
        ));
    }
    match learning.snapshot().routes.get(&record.route) {
        Some(router) => Ok(with(router, record, seed)),
        None => Ok(Remade::unreachable("the log knew no such route when it was made")),
    }
}

fn with(router: &Router, record: &DecisionRecord, seed: u64) -> Remade {
    let again = again(router, record, seed);
    let replay = match again {
        Some(again) => compared(&record.decision, &again),
        None => Replay::Differs { what: "it cannot be made from that state".to_owned() },
    };
    let AnyPolicy::Certified(policy) = router.policy() else {
        return Remade { replay, then: None, price: None, errors: None };
    };
    let fits = record.features.is_empty() || router.features() == (record.features.len(), record.feature_version);
    let Grounds { satisfaction_price, ranking_price, demand, reserve, wanted_reserve, safeguarded, errors } =
        policy.grounds(if fits { &record.features } else { &[] });
    let same_zoo =
        record.decision.candidates.iter().map(|c| &c.model).eq(router.zoo().models().iter().map(|m| &m.name));
    let then = Then {
        satisfaction_price_usd: told_usd(satisfaction_price),
        demand,
        reserve,
        wanted_reserve,
        safeguarded,
        certificate: router.certificate(),
    };
    let price = (replay == Replay::Same).then_some(ranking_price);
    Remade { replay, then: Some(then), price, errors: Some(errors).filter(|_| same_zoo) }
}

/// The decision once more: by the same calls as the first time.
fn again(router: &Router, record: &DecisionRecord, seed: u64) -> Option<Decision> {
    let logged = &record.decision;
    let excluded: Vec<&str> = logged.candidates.iter().filter(|c| c.excluded).map(|c| &*c.model).collect();
    let context = Context { features: &record.features, input_tokens: record.input_tokens, excluded: &excluded };
    let model = &logged.choice().model;
    if logged.reason == Reason::Pinned {
        return router.pinned(model, &context);
    }
    let decided = router.decide_with(&context, &logged.savings(), &mut decision_rng(seed, record.id)).ok()?;
    if logged.reason == Reason::Affinity { router.stay(&decided, model, &excluded) } else { Some(decided) }
}

fn compared(logged: &Decision, again: &Decision) -> Replay {
    if logged == again {
        return Replay::Same;
    }
    let what = if logged.candidates == again.candidates {
        let model = &again.choice().model;
        format!("the draw gives {model}: server.seed was another then")
    } else {
        "the candidates have other figures: the learnt state could not be used then, or another release decided"
            .to_owned()
    };
    Replay::Differs { what }
}
