//! The policy of arXiv 2606.19376.

mod params;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::interface::{Label, Policy, View};
use super::spec::PolicySpec;
use crate::{Candidate, Decision, LogisticHead, ModelSpec, RouteSpec, Source, Timestamp, VirtualQueue, Zoo};
pub use params::SlaRouterParams;

/// Virtual queue, decaying uniform exploration, drift-plus-penalty choice, one logistic head per model.
///
/// ```text
/// with probability p_t = min(1, c·t^(−1/4)):  m uniform over the zoo
/// otherwise:                                  m = argmin V·ĉ_m(x) + Q·(α − ŝ_m(x))
/// on a label s of model m:                    Q ← max(0, Q + α − s);  w_m ← w_m + η (s − ŝ_m(x)) x
/// ```
///
/// Costs are scaled to \[0, 1\] by the largest prediction seen so far. A decision takes O(models · features). An
/// independent implementation from the abstract and second-hand notes of the paper. Kept as published: what improves on
/// it is another policy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SlaRouter {
    params: SlaRouterParams,
    dim: usize,
    requests: u64,
    peak_cost: f64,
    queue: VirtualQueue,
    /// In zoo order.
    heads: Vec<LogisticHead>,
    /// Heads of models that have left the zoo, for when they come back.
    retired: BTreeMap<Arc<str>, LogisticHead>,
}

impl SlaRouter {
    pub(crate) fn new(params: SlaRouterParams, zoo: &Zoo, dim: usize) -> Self {
        Self {
            params,
            dim,
            requests: 0,
            peak_cost: 0.0,
            queue: VirtualQueue::new(params.initial_queue),
            heads: zoo.models().iter().map(|model| fresh_head(model, dim)).collect(),
            retired: BTreeMap::new(),
        }
    }

    /// p_t of the next decision. The fourth root is two square roots, which IEEE 754 rounds the same everywhere.
    #[must_use]
    pub fn exploration(&self) -> f64 {
        let t = (self.requests + 1) as f64;
        (self.params.c / t.sqrt().sqrt()).min(1.0)
    }
}

impl Policy for SlaRouter {
    fn judge(&self, view: &View<'_>, candidates: &mut [Candidate]) -> usize {
        let peak = candidates.iter().fold(self.peak_cost, |peak, c| peak.max(c.cost));
        for (candidate, head) in candidates.iter_mut().zip(&self.heads) {
            let scaled = if peak > 0.0 { candidate.cost / peak } else { 0.0 };
            candidate.satisfaction = head.predict(view.features);
            candidate.score = self.params.v * scaled + self.queue.get() * (view.alpha - candidate.satisfaction);
            candidate.probability = 0.0;
        }
        let mut best = view.allowed[0];
        for &i in view.allowed {
            let (a, b) = (&candidates[i], &candidates[best]);
            if (a.score, a.cost) < (b.score, b.cost) {
                best = i;
            }
        }
        let explore = self.exploration();
        for &i in view.allowed {
            candidates[i].probability = explore / view.allowed.len() as f64;
        }
        candidates[best].probability += 1.0 - explore;
        best
    }

    fn decided(&mut self, decision: &Decision, _: Timestamp) {
        self.requests += 1;
        self.peak_cost = decision.candidates.iter().fold(self.peak_cost, |peak, c| peak.max(c.cost));
    }

    fn labelled(&mut self, label: &Label<'_>) {
        // As published: the paper knows no audits.
        if label.source == Source::Audit {
            return;
        }
        self.queue.update(label.alpha, label.change);
        let head = label.model.and_then(|model| self.heads.get_mut(model));
        let Some((head, lesson)) = head.zip(label.lesson) else { return };
        let rate = self.params.learning_rate;
        match (lesson.old, lesson.new) {
            (None, Some(s)) => head.learn(label.features, s, rate),
            (Some(old), Some(new)) => head.relabel(label.features, old, new, rate),
            (Some(old), None) => head.unlearn(label.features, old, rate),
            (None, None) => {}
        }
    }

    fn reconfigured(&mut self, old: &Zoo, spec: &RouteSpec) {
        if let PolicySpec::SlaRouter(params) = &spec.policy {
            self.params = *params;
        }
        let leaving = std::mem::take(&mut self.heads);
        self.retired.extend(old.models().iter().map(|model| model.name.clone()).zip(leaving));
        self.heads = spec
            .zoo
            .models()
            .iter()
            .map(|model| self.retired.remove(&model.name).unwrap_or_else(|| fresh_head(model, self.dim)))
            .collect();
    }

    fn reset_features(&mut self, dim: usize, zoo: &Zoo) {
        self.dim = dim;
        self.retired.clear();
        self.heads = zoo.models().iter().map(|model| fresh_head(model, dim)).collect();
    }

    fn queue(&self) -> Option<f64> {
        Some(self.queue.get())
    }
}

fn fresh_head(model: &ModelSpec, dim: usize) -> LogisticHead {
    LogisticHead::new(dim, model.prior.unwrap_or(0.5))
}
