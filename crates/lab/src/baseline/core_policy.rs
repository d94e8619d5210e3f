//! The policies of the core crate, run as the gateway runs them.

use slarouter_core::{
    Certificate, Context, Decision, DecisionId, Feedback, Learner, Outcome, PolicySpec, Rater, Rating, Reason,
    RouteSpec, Source, Timestamp, decision_rng,
};
use slarouter_text::VERSION;

use super::contender::{Asked, Choice, Contender, Request, Setting};
use crate::CompareError;
use crate::terms::on_terms;

/// A [`Learner`] behind the [`Contender`] trait: the same calls in the same order as in [`crate::Replay`].
pub(crate) struct CorePolicy {
    learner: Learner,
    seed: u64,
    decision: Option<Decision>,
}

impl CorePolicy {
    pub(crate) fn new(spec: &PolicySpec, setting: &Setting<'_>) -> Result<Self, CompareError> {
        let policy = on_terms(spec, setting.fallback, setting.order);
        let spec = RouteSpec::new(setting.alpha, setting.zoo.clone(), policy);
        Ok(Self { learner: Learner::new(spec, setting.dim, VERSION)?, seed: setting.seed, decision: None })
    }
}

impl Contender for CorePolicy {
    fn choose(&mut self, request: &Request<'_>) -> Result<Choice, CompareError> {
        let context = Context { features: request.features, input_tokens: request.input_tokens, excluded: &[] };
        let mut rng = decision_rng(self.seed, DecisionId(request.t as u128));
        let decision = self.learner.router().decide(&context, &mut rng)?;
        self.learner.decided(&decision, Timestamp(request.t as u64));
        let choice = Choice { model: decision.chosen, explored: decision.reason == Reason::Explore, asked: Asked::One };
        self.decision = Some(decision);
        Ok(choice)
    }

    fn answered(
        &mut self,
        request: &Request<'_>,
        _: usize,
        output_tokens: Option<f64>,
        cost: f64,
    ) -> Result<(), CompareError> {
        let Some(decision) = &self.decision else { return Ok(()) };
        let model = &decision.choice().model;
        let input_tokens = Some(request.input_tokens);
        self.learner.finished(&Outcome { model, ok: true, input_tokens, output_tokens, cost, pinned: false })?;
        Ok(())
    }

    fn labelled(&mut self, request: &Request<'_>, _: usize, score: f64) -> Result<(), CompareError> {
        let Some(decision) = &self.decision else { return Ok(()) };
        let now = Timestamp(request.t as u64);
        let feedback = Feedback {
            decision: DecisionId(request.t as u128),
            decided_at: now,
            model: &decision.choice().model,
            reason: decision.reason,
            features: request.features,
            predicted: decision.choice().satisfaction,
            source: Source::User,
            rater: Rater(0),
            rating: Some(Rating::new(score)?),
            order: request.t as u64,
        };
        self.learner.observe(&feedback, now)?;
        Ok(())
    }

    fn certificate(&self) -> Option<Certificate> {
        self.learner.router().certificate()
    }
}
