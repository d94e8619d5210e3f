//! First, do no harm: how far the policy may leave the fallback.

use serde::{Deserialize, Serialize};

use super::predictor::sigmoid;
use super::residual::{Memory, Residual};
use crate::Candidate;

/// a, the answers that may be lost without any evidence that they can be made good: so many, and this share of those in the window.
/// Without an allowance nothing could ever be tried.
const ALLOWANCE: f64 = 8.0;
const ALLOWANCE_GROWTH: f64 = 0.003;
/// The plan gives way to the fallback from this share of the allowance on.
const FIRM: f64 = 0.5;
/// What corrects what is predicted of each model where it is chosen, r_m.
const OWN: Memory = Memory { labels: 1_000.0, trust: 16.0 };

/// Keeps what may have been lost by leaving the fallback within what can be made good.
///
/// A conservative bandit (Wu et al. 2016; Kazerouni et al. 2017): whatever else is chosen, the surplus that the window can still
/// end with, if the fallback serves all the rest, is to stay above −a. That the fallback keeps α by itself is the operator's word and
/// the condition of the promise, so its own answers never count as lost. With T answers in the window so far and R to come, of
/// which n_m went to model m instead of the fallback F (n together):
///
/// ```text
/// L = Σ_m Σ (ŝ_F − ŝ_m) + n_m (r_F − r_m)                              what they are believed to have lost
/// V = L + z √(Σ_m (n_m d_m)² + n_m v + (n d_F)²)                       the most that is plausible
/// K = (T + R)(p_F − α) − L − z √(Σ_m (n_m d_m)² + n_m v + ((T + R − n) d_F)²)   the least surplus, by what is known of the models
/// P = G − z U_T + R max(0, p_F − α − z d_F)                            the least surplus, by the account
/// share of the plan = (a + max(−V, K, P)) / (a/2), within [0, 1]
/// ```
///
/// p_m and d_m are mean and doubt of a model over all prompts; d_m is measured downwards in log-odds, as a few good labels say little
/// of the bad ones. Each bound holds by itself with the assurance, at one time that is fixed beforehand.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Safeguard {
    /// T
    requests: f64,
    /// That of the fallback has no requests, and the loss of those that went on to another model.
    ventures: Vec<Venture>,
    share: f64,
}

/// What was left to one model instead of the fallback.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Venture {
    /// n_m
    requests: f64,
    /// Σ (ŝ_F − ŝ_m)
    loss: f64,
    /// r_m
    bias: Residual,
}

/// What is known when the share is measured.
pub(super) struct Scales<'a> {
    /// Place of F.
    pub(super) fallback: usize,
    pub(super) alpha: f64,
    /// Standard deviations of a bound.
    pub(super) z: f64,
    /// R
    pub(super) rest: f64,
    /// Per model, predicted mean satisfaction over prompts and its standard deviation.
    pub(super) levels: &'a [f64],
    pub(super) doubt: &'a [f64],
    /// v, the variance of a residual.
    pub(super) variance: f64,
    /// G − z U_T; −∞ without labels.
    pub(super) proven: f64,
}

impl Safeguard {
    pub(super) fn new(models: usize) -> Self {
        Self { requests: 0.0, ventures: vec![Venture::default(); models], share: 1.0 }
    }

    /// Share of the plan in a decision; the rest is the fallback's.
    pub(super) fn share(&self) -> f64 {
        self.share
    }

    /// A new window has begun: what was left to models counts no longer, what is known of them stays.
    pub(super) fn restart(&mut self) {
        self.requests = 0.0;
        for venture in &mut self.ventures {
            (venture.requests, venture.loss) = (0.0, 0.0);
        }
    }

    /// Takes note of a decision. A window that rolls over the last `span` answers forgets as many.
    pub(super) fn decided(&mut self, candidates: &[Candidate], chosen: usize, fallback: usize, span: Option<u64>) {
        // Decided just before a model came or went: its places are those of another zoo.
        if candidates.len() != self.ventures.len() {
            return;
        }
        if let Some(span) = span.map(|span| span as f64).filter(|span| self.requests >= *span) {
            let kept = 1.0 - 1.0 / span;
            self.requests *= kept;
            for venture in &mut self.ventures {
                (venture.requests, venture.loss) = (venture.requests * kept, venture.loss * kept);
            }
        }
        self.requests += 1.0;
        if chosen != fallback {
            let venture = &mut self.ventures[chosen];
            venture.requests += 1.0;
            venture.loss += candidates[fallback].satisfaction - candidates[chosen].satisfaction;
        }
    }

    /// Another model than the chosen one answered: `new` is predicted of it, and `old` of the other. Which models they are is not known
    /// here, and whatever the second lost is lost to the window.
    pub(super) fn rerouted(&mut self, fallback: usize, old: f64, new: f64) {
        self.ventures[fallback].loss += old - new;
    }

    /// A label of the model at `model` came, or changed, by this much above what was predicted or said.
    pub(super) fn labelled(&mut self, model: usize, residual: f64) {
        self.ventures[model].bias.add(OWN, residual);
    }

    /// The predictions that the residuals were of are no more, or other labels are to correct them from now on.
    pub(super) fn forget_residuals(&mut self) {
        for venture in &mut self.ventures {
            venture.bias = Residual::default();
        }
    }

    /// Measures the share of the plan anew. O(models).
    pub(super) fn measure(&mut self, scales: &Scales<'_>) {
        let allowance = ALLOWANCE + ALLOWANCE_GROWTH * self.requests;
        let least = self.least_surplus(scales);
        self.share = ((allowance + least) / (FIRM * allowance)).clamp(0.0, 1.0);
    }

    /// The zoo or the fallback has changed; `places` are the old places of the new models. What a model that has left may have lost is
    /// forgotten with it, and so is what the fallback lost before it became the one to compare with.
    pub(super) fn reconfigure(&mut self, places: &[Option<usize>], fallback: usize) {
        let old = |place: &Option<usize>| place.map(|place| self.ventures[place]).unwrap_or_default();
        self.ventures = places.iter().map(old).collect();
        (self.ventures[fallback].requests, self.ventures[fallback].loss) = (0.0, 0.0);
    }

    /// max(−V, K, P)
    fn least_surplus(&self, scales: &Scales<'_>) -> f64 {
        let Scales { fallback, z, rest, .. } = *scales;
        let bias = |model: usize| self.ventures[model].bias.mean(OWN);
        let (mut loss, mut variance, mut ventured) = (self.ventures[fallback].loss, 0.0, 0.0);
        for (model, venture) in self.ventures.iter().enumerate().filter(|(_, venture)| venture.requests > 0.0) {
            let n = venture.requests;
            loss += venture.loss + n * (bias(fallback) - bias(model));
            let spread = n * scales.doubt_below(model);
            variance += spread * spread + n * scales.variance;
            ventured += n;
        }
        let doubt = scales.doubt_below(fallback);
        let bound = |requests: f64| z * (variance + (requests * doubt) * (requests * doubt)).sqrt();
        let (lead, all) = (scales.levels[fallback] - scales.alpha, self.requests + rest);
        let known = all * lead - loss - bound(all - ventured);
        let proven = scales.proven + rest * (lead - z * doubt).max(0.0);
        (-loss - bound(ventured)).max(known).max(proven)
    }
}

impl Scales<'_> {
    /// By how much a model's mean may be lower than predicted, per standard deviation: symmetrical in log-odds, and no less than
    /// the doubt.
    fn doubt_below(&self, model: usize) -> f64 {
        let (p, doubt) = (self.levels[model].clamp(0.02, 0.98), self.doubt[model]);
        if self.z <= 0.0 {
            return doubt;
        }
        let lower = sigmoid(libm::log(p / (1.0 - p)) - self.z * doubt / (p * (1.0 - p)));
        ((p - lower) / self.z).max(doubt)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidates(satisfaction: [f64; 2]) -> Vec<Candidate> {
        satisfaction.map(|satisfaction| Candidate { satisfaction, ..Candidate::default() }).into()
    }

    /// Model 1 is the fallback; nothing but `doubt` is uncertain.
    fn scales<'a>(levels: &'a [f64], doubt: &'a [f64], rest: f64) -> Scales<'a> {
        Scales { fallback: 1, alpha: 0.8, z: 2.0, rest, levels, doubt, variance: 0.0, proven: f64::NEG_INFINITY }
    }

    #[test]
    fn what_is_ventured_is_bounded_by_the_allowance() {
        let mut safeguard = Safeguard::new(2);
        let unknown = scales(&[0.6, 0.8], &[0.0, 0.0], 0.0);
        let mut shares = Vec::new();
        for _ in 0..60 {
            safeguard.measure(&unknown);
            shares.push(safeguard.share());
            safeguard.decided(&candidates([0.6, 0.8]), 0, 1, None);
        }
        // 0.2 is lost each time: a/2 is left to lose up to request 21, and none of a = 8 + 0.003 T from request 41 on.
        assert_eq!((shares[0], shares[20], shares[41]), (1.0, 1.0, 0.0), "{shares:?}");
        assert!(shares.windows(2).all(|pair| pair[1] <= pair[0]), "{shares:?}");
        let loss = 30.0 * 0.2;
        let mut thirty = Safeguard::new(2);
        (0..30).for_each(|_| thirty.decided(&candidates([0.6, 0.8]), 0, 1, None));
        thirty.measure(&unknown);
        let allowance = 8.0 + 0.003 * 30.0;
        assert!((thirty.share() - (allowance - loss) / (0.5 * allowance)).abs() < 1e-9, "{}", thirty.share());
        // The fallback's own answers lose nothing, and a new window owes nothing.
        (0..500).for_each(|_| thirty.decided(&candidates([0.6, 0.8]), 1, 1, None));
        thirty.measure(&unknown);
        assert!((thirty.share() - (9.59 - loss) / (0.5 * 9.59)).abs() < 1e-9, "{}", thirty.share());
        thirty.restart();
        thirty.measure(&unknown);
        assert_eq!(thirty.share(), 1.0);
    }

    #[test]
    fn a_lead_that_is_known_makes_room_and_one_that_is_not_makes_none() {
        let after = |lead: f64, doubt: [f64; 2], rest: f64| {
            let mut safeguard = Safeguard::new(2);
            (0..200).for_each(|n| safeguard.decided(&candidates([0.6, 0.8]), usize::from(n % 2 == 0), 1, None));
            safeguard.measure(&scales(&[0.6, 0.8 + lead], &doubt, rest));
            safeguard.share()
        };
        assert_eq!(after(0.0, [0.0, 0.0], 0.0), 0.0, "20 answers are lost and 8.6 are allowed");
        assert_eq!(after(0.1, [0.0, 0.0], 0.0), 1.0, "the lead of 200 makes them good");
        assert_eq!(after(0.1, [0.0, 0.1], 0.0), 0.0, "it may be none at all");
        assert!((after(0.06, [0.0, 0.0], 0.0) - 0.6 / 4.3).abs() < 1e-9, "12 of the 20 are made good");
        assert_eq!(after(0.06, [0.0, 0.0], 200.0), 1.0, "and what is left of the window can make good the rest");
        assert_eq!(after(0.1, [0.1, 0.0], 0.0), 0.0, "the other model may be worse than it looks");
    }

    #[test]
    fn labels_correct_what_was_believed_and_the_account_can_prove_it() {
        let mut safeguard = Safeguard::new(2);
        (0..200).for_each(|_| safeguard.decided(&candidates([0.8, 0.8]), 0, 1, None));
        let certain = scales(&[0.8, 0.8], &[0.0, 0.0], 0.0);
        safeguard.measure(&certain);
        assert_eq!(safeguard.share(), 1.0, "as good as the fallback");
        (0..16).for_each(|_| safeguard.labelled(0, -0.2));
        safeguard.measure(&certain);
        assert_eq!(safeguard.share(), 0.0, "it was not: half of −0.2, for 200 answers");
        safeguard.measure(&Scales { proven: 0.0, ..certain });
        assert_eq!(safeguard.share(), 1.0, "the account says that nothing is lost");
    }

    #[test]
    fn a_rolling_window_forgets_and_a_changed_zoo_is_followed() {
        let mut safeguard = Safeguard::new(2);
        (0..50).for_each(|_| safeguard.decided(&candidates([0.6, 0.8]), 0, 1, Some(50)));
        (0..500).for_each(|_| safeguard.decided(&candidates([0.6, 0.8]), 1, 1, Some(50)));
        assert!((safeguard.requests - 50.0).abs() < 1.0 && safeguard.ventures[0].requests < 0.01, "{safeguard:?}");
        safeguard.labelled(1, 0.5);
        let held = safeguard.ventures[1];
        safeguard.reconfigure(&[Some(1), None], 0);
        assert_eq!(safeguard.ventures, [held, Venture::default()]);
    }

    #[test]
    fn a_decision_of_another_zoo_counts_for_nothing() {
        let (of_two, of_four) = (candidates([0.6, 0.8]), [candidates([0.6, 0.8]), candidates([0.6, 0.8])].concat());
        for (models, old) in [(1, &of_two), (3, &of_two), (2, &of_four)] {
            let mut safeguard = Safeguard::new(models);
            safeguard.decided(old, old.len() - 1, 0, None);
            safeguard.decided(old, 0, models - 1, Some(1));
            assert_eq!(safeguard, Safeguard::new(models));
        }
    }

    #[test]
    fn who_becomes_the_fallback_has_lost_nothing_and_stays_known() {
        let mut safeguard = Safeguard::new(2);
        (0..200).for_each(|_| safeguard.decided(&candidates([0.6, 0.8]), 0, 1, None));
        safeguard.labelled(0, 0.5);
        let bias = safeguard.ventures[0].bias;
        safeguard.reconfigure(&[Some(0), Some(1)], 0);
        assert_eq!(safeguard.ventures, [Venture { bias, ..Venture::default() }, Venture::default()]);
        safeguard.forget_residuals();
        assert_eq!(safeguard.ventures, [Venture::default(); 2]);
    }

    /// After a few good labels a mean of 0.95 ± 0.05 may well be 0.75.
    #[test]
    fn doubt_is_larger_below() {
        let scales = scales(&[0.95, 0.5], &[0.05, 0.05], 0.0);
        assert!(scales.doubt_below(0) > 0.08, "{}", scales.doubt_below(0));
        assert!((scales.doubt_below(1) - 0.05).abs() < 0.003, "{}", scales.doubt_below(1));
    }
}
