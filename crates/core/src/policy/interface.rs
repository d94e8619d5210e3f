//! What every policy can do.

use super::certified::Predictor;
use crate::ledger::Change;
use crate::{Candidate, Certificate, Decision, RouteSpec, Source, Timestamp, Zoo};

/// What a policy decides from.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// Checked features of the prompt.
    pub features: &'a [f32],
    /// Places in the zoo that may be chosen; never empty, ascending.
    pub allowed: &'a [usize],
    /// The satisfaction target.
    pub alpha: f64,
}

/// A decision's label that came, changed or went.
#[derive(Clone, Copy, Debug)]
pub struct Label<'a> {
    /// Whose word it is.
    pub source: Source,
    /// Place in the zoo of the model that answered; `None` if it has left the zoo.
    pub model: Option<usize>,
    /// The features that the decision was made from; empty where they are of another version.
    pub features: &'a [f32],
    /// The label before and after.
    pub change: Change,
    /// The same as the model's head is to learn it, from what it was taught before. It differs from `change` after the model
    /// was out of the zoo, and is `None` where there is nothing to learn: no such model, or features of another version.
    pub lesson: Option<Change>,
    /// The satisfaction target.
    pub alpha: f64,
    /// When the decision was made.
    pub decided_at: Timestamp,
    /// The satisfaction that was predicted of the model then chosen.
    pub predicted: f64,
    /// What stands as the prediction of the answer: `predicted`, or what [`Policy::judged`] made of it.
    pub standing: f64,
    /// The verdict that made it so.
    pub verdict: Option<f64>,
}

/// A judge's verdict on the answer of a decision.
#[derive(Clone, Copy, Debug)]
pub struct Judged {
    /// When the decision was made.
    pub decided_at: Timestamp,
    /// The satisfaction that was predicted of the model then chosen.
    pub predicted: f64,
    /// In \[0, 1\]; 1 if the answer satisfies.
    pub verdict: f64,
    /// The labels that there are already, by users and by auditors.
    pub labels: [Option<f64>; 2],
}

/// What is believed of a model's mean satisfaction over prompts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Believed {
    /// The mean, in \[0, 1\].
    pub mean: f64,
    /// One standard deviation of it.
    pub doubt: f64,
}

impl Believed {
    /// Standard deviations within which a mean is plausible.
    const PLAUSIBLE: f64 = 2.0;

    /// The lowest mean that is plausible.
    #[must_use]
    pub fn lower(self) -> f64 {
        (self.mean - Self::PLAUSIBLE * self.doubt).clamp(0.0, 1.0)
    }

    /// The highest mean that is plausible.
    #[must_use]
    pub fn upper(self) -> f64 {
        (self.mean + Self::PLAUSIBLE * self.doubt).clamp(0.0, 1.0)
    }
}

/// A rule that chooses models and learns from labels. Sampling, cost prediction and bookkeeping are done around it.
pub trait Policy: Send + Sync {
    /// Fills in `satisfaction`, `score` and `probability` of every candidate (their `model` and `cost` are set), with
    /// probability 0 outside `view.allowed` and a sum of 1. Returns the place of the best choice.
    fn judge(&self, view: &View<'_>, candidates: &mut [Candidate]) -> usize;

    /// Takes note of a decision that was made at `at`.
    fn decided(&mut self, decision: &Decision, at: Timestamp);

    /// Another model answers a decision made at `at`: its predicted satisfaction is `new` and not `old`.
    fn rerouted(&mut self, _at: Timestamp, _old: f64, _new: f64) {}

    /// A decision made at `at`, with predicted satisfaction `predicted`, got no answer. Where that `counts`, it did not satisfy; else it
    /// is as if it had not been made.
    fn failed(&mut self, _at: Timestamp, _predicted: f64, _counts: bool) {}

    /// Learns.
    fn labelled(&mut self, label: &Label<'_>);

    /// A judge has a verdict on an answer, for the first time and the last. Returns what stands as the prediction of the answer from now on,
    /// also for labels that come later; `None` by policies that have no use for verdicts.
    fn judged(&mut self, _judged: &Judged) -> Option<f64> {
        None
    }

    /// The zoo or the parameters have changed; what was learnt about models that stay is kept.
    fn reconfigured(&mut self, old: &Zoo, spec: &RouteSpec);

    /// Forgets all that was learnt from features, which now have length `dim` and another meaning.
    fn reset_features(&mut self, dim: usize, zoo: &Zoo);

    /// Whether it has no best choice, so that every draw explores, that of the place `judge` returns as well.
    fn only_draws(&self) -> bool {
        false
    }

    /// Place of the one model that may answer now, also in conversations with another one; `None` while there is a choice.
    fn insists_on(&self) -> Option<usize> {
        None
    }

    /// Whether it knows enough to choose by; until then its best choice is a fallback.
    fn has_evidence(&self) -> bool {
        true
    }

    /// Whether what is known says that the zoo can reach α, by policies that ask.
    fn is_feasible(&self) -> Option<bool> {
        None
    }

    /// What is believed of each model of the zoo, by policies that say how sure they are. Microseconds.
    fn believed(&self) -> Option<Vec<Believed>> {
        None
    }

    /// The place in the zoo of the model that serves while nothing better is known, by policies that have one.
    fn fallback(&self) -> Option<usize> {
        None
    }

    /// The virtual queue, where there is one.
    fn queue(&self) -> Option<f64> {
        None
    }

    /// What can be promised of the satisfaction so far, by policies that keep such an account.
    fn certificate(&self) -> Option<Certificate> {
        None
    }

    /// What is known of models, by policies that can share it.
    fn predictor(&self) -> Option<&Predictor> {
        None
    }

    /// Puts another predictor, for the same zoo, in the place of that of [`Policy::predictor`].
    fn set_predictor(&mut self, _predictor: Predictor) {}
}

impl Policy for Box<dyn Policy> {
    fn judge(&self, view: &View<'_>, candidates: &mut [Candidate]) -> usize {
        (**self).judge(view, candidates)
    }
    fn decided(&mut self, decision: &Decision, at: Timestamp) {
        (**self).decided(decision, at);
    }
    fn rerouted(&mut self, at: Timestamp, old: f64, new: f64) {
        (**self).rerouted(at, old, new);
    }
    fn failed(&mut self, at: Timestamp, predicted: f64, counts: bool) {
        (**self).failed(at, predicted, counts);
    }
    fn labelled(&mut self, label: &Label<'_>) {
        (**self).labelled(label);
    }
    fn judged(&mut self, judged: &Judged) -> Option<f64> {
        (**self).judged(judged)
    }
    fn reconfigured(&mut self, old: &Zoo, spec: &RouteSpec) {
        (**self).reconfigured(old, spec);
    }
    fn reset_features(&mut self, dim: usize, zoo: &Zoo) {
        (**self).reset_features(dim, zoo);
    }
    fn only_draws(&self) -> bool {
        (**self).only_draws()
    }
    fn insists_on(&self) -> Option<usize> {
        (**self).insists_on()
    }
    fn has_evidence(&self) -> bool {
        (**self).has_evidence()
    }
    fn is_feasible(&self) -> Option<bool> {
        (**self).is_feasible()
    }
    fn believed(&self) -> Option<Vec<Believed>> {
        (**self).believed()
    }
    fn fallback(&self) -> Option<usize> {
        (**self).fallback()
    }
    fn queue(&self) -> Option<f64> {
        (**self).queue()
    }
    fn certificate(&self) -> Option<Certificate> {
        (**self).certificate()
    }
    fn predictor(&self) -> Option<&Predictor> {
        (**self).predictor()
    }
    fn set_predictor(&mut self, predictor: Predictor) {
        (**self).set_predictor(predictor);
    }
}
