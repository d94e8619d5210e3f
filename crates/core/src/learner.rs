//! The owner of a route's state: applies events, hands out snapshots.

use serde::{Deserialize, Serialize};

use crate::policy::{Judged, Label};
use crate::router::check_features;
use crate::verdicts::Verdicts;
use crate::{
    Account, Agreement, AnyPolicy, Change, CostModel, Decision, Feedback, Ledger, ObserveError, Outcome, Policy,
    PolicySpec, Rater, Reason, Receipt, RouteSpec, Router, Source, SpecError, Timestamp,
};

/// Learns from the events of one route, in the order of its log.
///
/// State is a pure function of those events: the same events give the same state, bit for bit. A refused event changes
/// nothing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Learner<P = AnyPolicy> {
    router: Router<P>,
    ledger: Ledger,
    verdicts: Verdicts,
}

/// [`Learner`] as versions 1 and 2 of the state have it.
#[derive(Deserialize)]
pub(crate) struct SavedLearner<P> {
    router: Router<P>,
    ledger: Ledger,
}

impl Learner<AnyPolicy> {
    /// A route without history, for features of length `dim` and version `feature_version`.
    ///
    /// # Errors
    /// [`SpecError`] if the policy's parameters are out of range or it names an unknown model.
    pub fn new(spec: RouteSpec, dim: usize, feature_version: u32) -> Result<Self, SpecError> {
        spec.check()?;
        let policy = AnyPolicy::new(&spec, dim);
        Ok(Self::with_policy(spec, policy, dim, feature_version))
    }

    /// Goes on observing: whoever saved the state of a route that is [observed](RouteSpec::is_observed) notes that beside it, as the
    /// state does not hold it. Nothing for a policy that cannot be observed.
    pub fn observe_on(&mut self) {
        if let (PolicySpec::Certified(params), AnyPolicy::Certified(policy)) =
            (&mut self.router.spec.policy, &mut self.router.policy)
        {
            params.observe = true;
            policy.observe_on();
        }
    }

    /// Tells the configuration what only the policy has saved.
    pub(crate) fn complete(mut self) -> Self {
        if let (PolicySpec::Certified(params), AnyPolicy::Certified(policy)) =
            (&mut self.router.spec.policy, &mut self.router.policy)
        {
            params.exploration_floor = policy.complete();
        }
        self
    }

    /// Takes a new α, zoo, prices or policy into force. What was learnt about models that stay is kept; a policy of
    /// another kind starts afresh; account and ledger go on.
    ///
    /// # Errors
    /// As [`Learner::new`]; the old configuration then stays in force.
    pub fn reconfigure(&mut self, spec: RouteSpec) -> Result<(), SpecError> {
        spec.check()?;
        let fresh = AnyPolicy::new(&spec, self.router.dim);
        let same_kind = std::mem::discriminant(&fresh) == std::mem::discriminant(&self.router.policy);
        let old = std::mem::replace(&mut self.router.spec, spec);
        if same_kind {
            self.router.policy.reconfigured(&old.zoo, &self.router.spec);
        } else {
            self.router.policy = fresh;
            self.ledger.forget_lessons();
            self.verdicts.begin();
        }
        self.ledger.set_window(self.router.spec.feedback_window_ms);
        self.ledger.set_rater_limit(self.router.spec.rater_limit, self.router.spec.rater_share);
        Ok(())
    }
}

impl<P> SavedLearner<P> {
    /// The same route with the form that its policy has now. There were no verdicts.
    pub(crate) fn with<Q>(self, convert: impl FnOnce(P) -> Q) -> Learner<Q> {
        let Router { spec, dim, feature_version, costs, account, policy } = self.router;
        let policy = convert(policy);
        let router = Router { spec, dim, feature_version, costs, account, policy };
        Learner { router, ledger: self.ledger, verdicts: Verdicts::default() }
    }
}

impl<P: Policy> Learner<P> {
    /// A route with a policy of the caller's own; `spec.policy` is not looked at.
    pub fn with_policy(spec: RouteSpec, policy: P, dim: usize, feature_version: u32) -> Self {
        let mut ledger = Ledger::new(spec.feedback_window_ms);
        ledger.set_rater_limit(spec.rater_limit, spec.rater_share);
        let router =
            Router { spec, dim, feature_version, costs: CostModel::default(), account: Account::default(), policy };
        Self { router, ledger, verdicts: Verdicts::default() }
    }

    /// What decisions are made from.
    #[must_use]
    pub fn router(&self) -> &Router<P> {
        &self.router
    }

    pub(crate) fn router_mut(&mut self) -> &mut Router<P> {
        &mut self.router
    }

    /// Totals so far.
    #[must_use]
    pub fn account(&self) -> &Account {
        &self.router.account
    }

    /// The ratings in force.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// How often its judge and people say the same, over all answers that both have judged.
    #[must_use]
    pub fn agreement(&self) -> Agreement {
        self.verdicts.agreement()
    }

    /// Makes the route use features of another length or version. Heads learnt on the old ones are dropped, as their
    /// weights mean nothing now; returns whether that happened.
    pub fn use_features(&mut self, dim: usize, version: u32) -> bool {
        if self.router.features() == (dim, version) {
            return false;
        }
        self.router.policy.reset_features(dim, &self.router.spec.zoo);
        self.ledger.forget_lessons();
        (self.router.dim, self.router.feature_version) = (dim, version);
        true
    }

    /// Takes note of a decision made at `at`; one that was pinned changes nothing.
    pub fn decided(&mut self, decision: &Decision, at: Timestamp) {
        if decision.reason != Reason::Pinned {
            self.verdicts.decided(at);
            self.router.account.decided(decision);
            self.router.policy.decided(decision, at);
        }
    }

    /// Another model than the chosen one answers a decision made at `at`. `old` and `new` are what was predicted of the two; from
    /// here on [`Feedback::predicted`] of the decision is `new`. Only before its first label, at most once, and not for one
    /// that was pinned.
    pub fn rerouted(&mut self, at: Timestamp, old: f64, new: f64) {
        self.router.policy.rerouted(at, old.clamp(0.0, 1.0), new.clamp(0.0, 1.0));
    }

    /// A decision made at `at` got no whole answer, by no fault of its user's; `predicted` is what was predicted of the model
    /// that was to answer. By [`RouteSpec::failures_count`] it counts as one that did not satisfy, or no longer counts. Only
    /// before its first label, after which none may follow, and not for one that was pinned.
    pub fn failed(&mut self, at: Timestamp, predicted: f64) {
        self.router.policy.failed(at, predicted.clamp(0.0, 1.0), self.router.spec.failures_count);
    }

    /// Takes note of how a call ended: cost and answer length.
    ///
    /// # Errors
    /// [`ObserveError`] if the cost or a token count is negative, or beyond the limits of [`CostModel`].
    pub fn finished(&mut self, outcome: &Outcome<'_>) -> Result<(), ObserveError> {
        if !(0.0..=CostModel::MAX_COST).contains(&outcome.cost) {
            return Err(ObserveError::Cost(outcome.cost));
        }
        for (tokens, most) in
            [(outcome.input_tokens, CostModel::MAX_INPUT_TOKENS), (outcome.output_tokens, CostModel::MAX_OUTPUT_TOKENS)]
        {
            if let Some(tokens) = tokens.filter(|tokens| !(0.0..=most).contains(tokens)) {
                return Err(ObserveError::Tokens(tokens));
            }
        }
        // The length of an answer is a fact about the model, whoever chose it; a cut answer says nothing of its length.
        if let (true, Some(tokens)) = (outcome.ok, outcome.output_tokens) {
            self.router.costs.observe(outcome.model, tokens);
        }
        if !outcome.pinned {
            self.router.account.finished(outcome);
        }
        Ok(())
    }

    /// Learns from a rating or an audit, in whatever order they come; what does not change the label of its decision changes
    /// nothing. Ratings of pinned requests, and those beyond [`RouteSpec::rater_limit`] or [`RouteSpec::rater_share`], are
    /// acknowledged but not learnt from. That an audited decision was drawn for audit is for the caller to see to. Audits stay
    /// out of the [`Account`].
    ///
    /// # Errors
    /// [`ObserveError`] if the features are not finite or of another length. An empty slice is accepted, for decisions made
    /// from features of another version: such a label counts in queue and account, and no head learns from it.
    pub fn observe(&mut self, feedback: &Feedback<'_>, now: Timestamp) -> Result<Receipt, ObserveError> {
        self.observe_change(feedback, now).map(|(receipt, _)| receipt)
    }

    /// [`Learner::observe`], and how the label of its decision changed: `None` where nothing was learnt.
    ///
    /// # Errors
    /// As [`Learner::observe`].
    pub fn observe_change(
        &mut self,
        feedback: &Feedback<'_>,
        now: Timestamp,
    ) -> Result<(Receipt, Option<Change>), ObserveError> {
        if !feedback.features.is_empty() {
            check_features(feedback.features, self.router.dim)?;
        }
        if !feedback.predicted.is_finite() {
            return Err(ObserveError::Predicted(feedback.predicted));
        }
        if feedback.source == Source::Judge {
            return Ok((self.judged(feedback, now), None));
        }
        let (receipt, change) = self.ledger.apply(feedback, now);
        let change = change.filter(|_| feedback.reason != Reason::Pinned);
        let (key, predicted) = ((feedback.decided_at, feedback.decision), feedback.predicted.clamp(0.0, 1.0));
        self.verdicts.close(self.ledger.close(now));
        if let Some(change) = change {
            if feedback.source == Source::User {
                self.router.account.labelled(feedback.model, change);
            }
            let model = self.router.spec.zoo.position(feedback.model);
            let can_teach = model.is_some() && !feedback.features.is_empty();
            let verdict = self.verdicts.of(key).and_then(|entry| Some((entry.verdict, entry.standing?)));
            self.router.policy.labelled(&Label {
                source: feedback.source,
                model,
                features: feedback.features,
                change,
                lesson: self.ledger.lesson(feedback, change, can_teach),
                alpha: self.router.spec.alpha.get(),
                decided_at: feedback.decided_at,
                predicted,
                standing: verdict.map_or(predicted, |(_, standing)| standing),
                verdict: verdict.map(|(verdict, _)| verdict),
            });
        }
        // Where a judge is the auditor, it stands beside people as it does elsewhere; also where the label stays what it was.
        if let (Source::Audit, Rater::JUDGE, Some(rating)) = (feedback.source, feedback.rater, feedback.rating)
            && receipt == Receipt::Recorded
            && self.verdicts.of(key).is_none()
        {
            self.verdicts.enter(key, rating.get(), None);
        }
        self.verdicts.compare(key, self.ledger.people(key));
        Ok((receipt, change))
    }

    /// Takes a verdict that is no label. The first on a decision holds.
    fn judged(&mut self, feedback: &Feedback<'_>, now: Timestamp) -> Receipt {
        let (key, horizon) = ((feedback.decided_at, feedback.decision), self.ledger.close(now));
        self.verdicts.close(horizon);
        if feedback.decided_at < horizon {
            return Receipt::Expired;
        }
        let Some(verdict) = feedback.rating.filter(|_| self.verdicts.of(key).is_none()) else {
            return Receipt::Duplicate;
        };
        if feedback.reason == Reason::Pinned || !self.verdicts.speak_of(feedback.decided_at) {
            return Receipt::Recorded;
        }
        let (decided_at, predicted) = (feedback.decided_at, feedback.predicted.clamp(0.0, 1.0));
        let labels = self.ledger.labels(key);
        let standing = self.router.policy.judged(&Judged { decided_at, predicted, verdict: verdict.get(), labels });
        self.verdicts.enter(key, verdict.get(), standing);
        self.verdicts.compare(key, self.ledger.people(key));
        Receipt::Recorded
    }
}
