//! The default policy: the cheapest mix that keeps the SLA with a stated certainty.

mod belief;
mod choice;
mod drift;
pub(super) mod grounds;
mod observed;
mod outlook;
mod pace;
mod params;
mod predictor;
mod residual;
mod safeguard;
pub(super) mod saved;
mod spending;
mod steering;
#[cfg(test)]
mod tests;
mod trust;

use serde::{Deserialize, Serialize};

use super::{Believed, Judged, Label, Policy, PolicySpec, View};
use crate::numeric::normal_quantile;
use crate::{
    Candidate, Certificate, Decision, Reliability, RouteSpec, SatisfactionAccount, Source, Standing, Timestamp, Zoo,
};
use drift::Drift;
use outlook::{History, Outlook};
use pace::{Horizon, Pace};
pub use params::{CertifiedParams, HIGHEST_FLOOR, Window};
pub use predictor::Predictor;
use predictor::clamped;
use residual::{Correction, Memory, Residual};
use safeguard::{Safeguard, Scales, caution};
use spending::Spending;
use steering::{Demand, Steering};

/// Labels before anything but the fallback serves on purpose.
const FIRST_LABELS: u64 = 3;
/// U in standard errors of the account, as a multiple of z, those that the assurance asks for at one time: by so many its surplus G
/// is to exceed zero. 1 would do if the normal approximation and the tracking were perfect. 2.2 at an assurance of 0.95.
const MARGIN: f64 = 1.34;
/// The account's residuals are taken for no less uncertain, in its proof, than this share of what predictions that know nothing would
/// leave at α: a few good labels say little of their own variance.
const LEAST_VARIANCE: f64 = 0.8;
/// Horizons over which the traffic may get as hard as its drift so far lets expect; the surplus is to last as long. A reserve that
/// nothing but drift asks for: steady traffic has none.
const FORESIGHT: f64 = 40.0;
/// What corrects the demand, r̄.
const SLOW: Memory = Memory { labels: 300.0, trust: 50.0 };

/// A doubly robust account of satisfaction, Bayesian predictors, and a price of satisfaction that follows from both.
///
/// ```text
/// ŝ_m(x)   averaged Bayesian logistic predictors plus the mean residual of recent labels
/// G, U     surplus Σ(s − α) by the account of the window and by what earlier ones taught, and the margin that makes sure of it
/// λ        smallest price at which the mean ŝ of argmin ĉ − λŝ, over recent requests, meets α − r̄ + ε + (aU − G)/H, or at least
///          nearly α
/// m        argmin ĉ_m(x) − λ ŝ_m(x), drawn between the two prices next to λ;
///          another model with a probability that grows with its expected improvement and falls with its regret
/// ```
///
/// In plain words and with what each part buys: `docs/policy.md`. What is promised: `docs/guarantees.md`. A decision takes
/// O(models · features), a label O(features²) and a solution for λ.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Certified {
    params: CertifiedParams,
    alpha: f64,
    fallback: usize,
    predictor: Predictor,
    account: SatisfactionAccount,
    standing: Standing,
    steering: Steering,
    correction: Correction,
    slow: Residual,
    /// Start of the period that the account speaks of, for calendar windows.
    period: u64,
    /// How unsteady the traffic is.
    drift: Drift,
    /// Predicted mean satisfaction of each model over prompts, as of the last solution.
    levels: Vec<f64>,
    safeguard: Safeguard,
    pace: Pace,
    history: History,
    spending: Spending,
    /// That of the parameters, which do not save it.
    exploration_floor: f64,
    /// What a judge's verdicts are worth as predictions.
    reliability: Reliability,
}

impl Certified {
    pub(crate) fn new(params: CertifiedParams, spec: &RouteSpec, dim: usize) -> Self {
        let (mut account, zoo) = (SatisfactionAccount::new(params.assurance, params.span()), &spec.zoo);
        account.set_audit_rate(Some(spec.audit_rate));
        let mut predictor = Predictor::new(zoo, dim);
        predictor.correct_ratings(account.audit_rate().is_some());
        Self {
            alpha: spec.alpha.get(),
            fallback: params.fallback(zoo),
            levels: predictor.levels(),
            safeguard: Safeguard::new(zoo.models().len()),
            pace: Pace::default(),
            history: History::new(zoo.models().len()),
            spending: Spending::default(),
            reliability: Reliability::default(),
            predictor,
            standing: account.standing(),
            account,
            steering: Steering::new(zoo.models().len()),
            correction: Correction::default(),
            slow: Residual::default(),
            period: 0,
            drift: Drift::default(),
            exploration_floor: params.exploration_floor,
            params,
        }
    }

    /// Where the account stands, without a promise.
    #[must_use]
    pub fn standing(&self) -> Standing {
        self.standing
    }

    /// USD that a satisfied answer is worth now: the mean of the two prices that are chosen by. 0 before there is evidence.
    #[must_use]
    pub fn satisfaction_price(&self) -> f64 {
        let (low, high, share) = self.steering.prices();
        (1.0 - share) * low + share * high
    }

    /// Learnt ln(φ₁/φ₀), where the satisfied rate with probability φ₁ and the others with φ₀; `None` without audits, as then
    /// nothing can be known of it.
    #[must_use]
    pub fn rating_bias(&self) -> Option<f64> {
        self.account.audit_rate().map(|_| self.predictor.offset())
    }

    /// Tells the parameters, which have been loaded, what they do not save; returns the floor of exploration.
    pub(crate) fn complete(&mut self) -> f64 {
        self.params.exploration_floor = self.exploration_floor;
        self.exploration_floor
    }

    /// Asks the steering for a new price λ.
    fn solve(&mut self) {
        self.standing = self.account.standing();
        self.levels = self.predictor.levels();
        if self.predictor.labels() >= FIRST_LABELS {
            let demand = self.demand();
            self.steering.solve(&demand, &self.wariness(&demand), &self.trust());
        }
    }

    /// What is believed of the window.
    fn outlook(&self) -> Outlook {
        Outlook::new(&self.history, &self.standing, self.alpha)
    }

    /// What the account asks for.
    fn demand(&self) -> Demand {
        let outlook = self.outlook();
        let level = self.alpha - self.slow.mean(SLOW) + self.steering.loss().max(0.0);
        let horizon = self.pace.horizon(self.params.window, outlook.served, self.history.has_past());
        let margin = self.margin(&outlook, &horizon);
        let surplus = if self.params.observe {
            Self::observed_surplus(margin, horizon.usual, outlook.served)
        } else {
            outlook.surplus
        };
        Demand {
            level,
            least: level + self.spending.least(),
            surplus,
            margin,
            horizon: horizon.usual,
            longest: horizon.longest,
            slack: self.predictor.doubt().iter().copied().fold(1.0, f64::min),
        }
    }

    /// U, the surplus that makes sure of the SLA at the end that is looked to.
    fn margin(&self, outlook: &Outlook, horizon: &Horizon) -> f64 {
        // 40 ω²/φ̂.
        let drift = if outlook.rate > 0.0 { FORESIGHT * self.drift.excess() / outlook.rate } else { 0.0 };
        let luck = outlook.variance * (outlook.unknown(horizon.end) + horizon.near);
        MARGIN * normal_quantile(self.params.assurance) * (luck + drift * horizon.usual).sqrt()
    }

    /// Measures anew how far the fallback may be left.
    fn measure(&mut self) {
        let (outlook, z) = (self.outlook(), normal_quantile(self.params.assurance));
        let served = outlook.served;
        let variance = outlook.variance.max(LEAST_VARIANCE * self.alpha * (1.0 - self.alpha));
        let proven = if outlook.known > 0.0 {
            outlook.surplus - caution(z, outlook.evidence()) * (variance * outlook.unknown(served)).sqrt()
        } else {
            f64::NEG_INFINITY
        };
        self.safeguard.measure(&Scales {
            fallback: self.fallback,
            alpha: self.alpha,
            z,
            labels: self.history.labels(self.fallback),
            rest: self.pace.rest(self.params.window, served),
            levels: &self.levels,
            doubt: &self.doubts(),
            variance,
            proven,
        });
    }

    /// What came of the labels so far no longer says how far off predictions are.
    fn forget_residuals(&mut self) {
        (self.correction, self.slow) = (Correction::default(), Residual::default());
        self.history = History::new(self.levels.len());
        self.safeguard.forget_residuals();
    }

    /// What would be predicted now of a labelled answer, without and with correction. A label that comes late says nothing of
    /// mistakes that have been corrected since.
    fn would_predict(&self, label: &Label<'_>) -> (f64, f64) {
        let correction = self.correction.mean();
        let predicted = match label.model {
            Some(model) if label.lesson.is_some() => {
                self.predictor.predict(&self.predictor.prepare(label.features, Source::Audit))[model]
            }
            _ => label.predicted - correction,
        };
        (predicted, clamped(predicted + correction))
    }
}

impl Policy for Certified {
    fn judge(&self, view: &View<'_>, candidates: &mut [Candidate]) -> usize {
        let best = self.plan(view, candidates);
        let best = self.guard(view, candidates, best);
        if self.params.observe { self.observe(view, candidates) } else { best }
    }

    fn decided(&mut self, decision: &Decision, at: Timestamp) {
        if let Window::Period(length) = self.params.window
            && at.0 / length > self.period
        {
            let before = if at.0 / length == self.period + 1 { self.standing.requests } else { 0 };
            self.period = at.0 / length;
            let start = Timestamp(self.period * length);
            self.history.begin(&self.account.standing());
            self.account.restart(start);
            self.standing = self.account.standing();
            self.pace.begin(start, before);
            self.safeguard.restart();
        }
        let predicted = decision.choice().satisfaction;
        self.reliability.decided(at);
        self.account.answered(at, predicted);
        self.spending.decided(predicted + self.slow.mean(SLOW), self.alpha);
        self.pace.decided(at);
        self.history.decided(decision.chosen, decision.candidates.len());
        let span = if let Window::Requests(count) = self.params.window { Some(count) } else { None };
        self.safeguard.decided(&decision.candidates, decision.chosen, self.fallback, span);
        // What is steered is the plan, also where it is only observed.
        let weight: fn(&Candidate) -> f64 = if decision.is_observed() { |c| c.planned } else { |c| c.probability };
        let draw = |value: fn(&Candidate) -> f64| decision.candidates.iter().map(|c| weight(c) * value(c)).sum();
        let expected = (draw(|c| c.cost), draw(|c| c.satisfaction));
        let (satisfaction, cost) = decision.candidates.iter().map(|c| (c.satisfaction, c.cost)).unzip();
        if self.steering.decided(satisfaction, cost, expected) {
            self.solve();
        }
        self.measure();
    }

    fn rerouted(&mut self, at: Timestamp, old: f64, new: f64) {
        // The steering looks at the account again within a few decisions.
        self.account.rerouted(at, old, new);
        if self.account.speaks_of(at) {
            self.safeguard.rerouted(self.fallback, old, new);
            self.measure();
        }
    }

    fn failed(&mut self, at: Timestamp, predicted: f64, counts: bool) {
        if counts {
            // What is known needs no prediction.
            self.account.rerouted(at, predicted, 0.0);
        } else {
            self.account.failed(at, predicted);
        }
    }

    fn labelled(&mut self, label: &Label<'_>) {
        let audit = label.source == Source::Audit;
        let enter = if audit { SatisfactionAccount::audited } else { SatisfactionAccount::labelled };
        enter(&mut self.account, label.decided_at, label.standing, label.change.old, label.change.new);
        // Where there are audits they alone say how far off the predictions are.
        let trusted = audit == self.account.audit_rate().is_some();
        if let Some(verdict) = label.verdict.filter(|_| trusted) {
            self.reliability.compared(verdict, label.change.old, label.change.new);
        }
        if let Some(new) = label.change.new.filter(|_| trusted) {
            let (predicted, corrected) = self.would_predict(label);
            // A changed label enters the running means by its difference, as if the first had been right.
            self.correction.add(new - label.change.old.unwrap_or(predicted));
            self.slow.add(SLOW, new - label.change.old.unwrap_or(corrected));
            if let (Some(model), None) = (label.model, label.change.old) {
                self.history.add(model, new - label.standing);
                self.drift.add(model, new);
            }
            if let Some(model) = label.model {
                self.safeguard.labelled(model, new - label.change.old.unwrap_or(label.predicted));
            }
        }
        if let (Some(model), Some(lesson)) = (label.model, label.lesson) {
            let prompt = self.predictor.prepare(label.features, label.source);
            self.predictor.learn(&prompt, model, lesson);
        }
        self.solve();
        self.measure();
    }

    fn judged(&mut self, judged: &Judged) -> Option<f64> {
        let Judged { decided_at, predicted, verdict, labels: [rating, audit] } = *judged;
        let standing = self.reliability.revised(decided_at, predicted, verdict);
        self.account.judged(decided_at, predicted, standing, rating, audit);
        let trusted = if self.account.audit_rate().is_some() { audit } else { rating };
        self.reliability.compared(verdict, None, trusted);
        // The steering looks at the account again within a few decisions.
        self.standing = self.account.standing();
        self.measure();
        Some(standing)
    }

    fn reconfigured(&mut self, old: &Zoo, spec: &RouteSpec) {
        let PolicySpec::Certified(params) = &spec.policy else { return };
        if params.window != self.params.window {
            // Periods are numbered by their length.
            (self.period, self.pace) = (0, Pace::default());
        }
        let promise = |params: &CertifiedParams, alpha| (params.window, params.assurance, params.observe, alpha);
        if promise(params, spec.alpha.get()) != promise(&self.params, self.alpha) {
            // Another promise, or another one who answers: its account starts now.
            self.history.begin(&self.account.standing());
            self.account = self.account.renewed(params.assurance, params.span());
            self.standing = self.account.standing();
            self.safeguard.restart();
        }
        let audited = self.account.audit_rate().is_some();
        self.account.set_audit_rate(Some(spec.audit_rate));
        if audited != self.account.audit_rate().is_some() {
            self.predictor.correct_ratings(!audited);
            self.forget_residuals();
        }
        self.params = params.clone();
        self.exploration_floor = params.exploration_floor;
        self.alpha = spec.alpha.get();
        let places: Vec<_> = spec.zoo.models().iter().map(|model| old.position(&model.name)).collect();
        let before = std::mem::replace(&mut self.fallback, params.fallback(&spec.zoo));
        if places[self.fallback] != Some(before) {
            // What was lost by leaving the one before says nothing of this one.
            self.safeguard.restart();
        }
        self.predictor.reconfigure(old, &spec.zoo);
        self.steering.reconfigure(&places);
        self.drift.reconfigure(&places);
        self.history.reconfigure(&places);
        self.safeguard.reconfigure(&places, self.fallback);
        self.levels = self.predictor.levels();
    }

    fn reset_features(&mut self, dim: usize, zoo: &Zoo) {
        self.predictor = Predictor::new(zoo, dim);
        self.predictor.correct_ratings(self.account.audit_rate().is_some());
        // Those of the predictions that were.
        self.forget_residuals();
        let places: Vec<_> = (0..zoo.models().len()).map(Some).collect();
        self.steering.reconfigure(&places);
        self.levels = self.predictor.levels();
    }

    fn insists_on(&self) -> Option<usize> {
        (self.safeguard.share() <= 0.0).then_some(self.fallback)
    }

    fn has_evidence(&self) -> bool {
        self.can_plan() && !self.params.observe
    }

    fn is_feasible(&self) -> Option<bool> {
        Some(self.steering.is_feasible())
    }

    fn believed(&self) -> Option<Vec<Believed>> {
        let bias = self.slow.mean(SLOW);
        let models = self.predictor.levels().into_iter().zip(self.predictor.doubt());
        Some(models.map(|(level, &doubt)| Believed { mean: (level + bias).clamp(0.0, 1.0), doubt }).collect())
    }

    fn fallback(&self) -> Option<usize> {
        Some(self.fallback)
    }

    fn certificate(&self) -> Option<Certificate> {
        Some(self.account.certificate())
    }

    fn predictor(&self) -> Option<&Predictor> {
        Some(&self.predictor)
    }

    fn set_predictor(&mut self, predictor: Predictor) {
        self.predictor = predictor;
        if self.account.audit_rate().is_some() {
            self.predictor.expect_bias();
        }
    }
}
