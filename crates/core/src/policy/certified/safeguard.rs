//! First, do no harm: how far the policy may leave the fallback.

use serde::{Deserialize, Serialize};

use super::predictor::sigmoid;
use super::residual::{Memory, Residual};
use crate::Candidate;

/// a, the answers that may be lost without any evidence that they can be made good: so many, and this share of those in the window.
/// Without an allowance nothing could ever be tried. It is small, as a fallback that is little above α has no more to give away: one that
/// is half a per cent above it would miss every fifth window of 10,000 requests if 0.4 % of them were given away.
const ALLOWANCE: f64 = 5.0;
const ALLOWANCE_GROWTH: f64 = 0.001;
/// The plan gives way to the fallback from this share of the allowance on.
const FIRM: f64 = 0.5;
/// What corrects what is predicted of each model where it is chosen, r_m.
const OWN: Memory = Memory { labels: 2_000.0, trust: 16.0 };
/// Labels before which looking at a bound costs nothing: a mean is as uncertain then as before the first label.
const FIRST_LOOK: f64 = 5.0;

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
/// K = (T + R)(p_F − α) − L − w √(Σ_m (n_m d_m)² + n_m v + ((T + R − n) d_F)²)   the least surplus, by what is known of the models
/// P = G − w U_T + R max(0, p_F − α − w d_F)                            the least surplus, by the account
/// share of the plan = (a + max(−V, K, P)) / (a/2), within [0, 1]
/// ```
///
/// p_F is the mean of ŝ_F over all prompts plus r_F, over the same time: what the predictions of then were off by, the residuals of then
/// tell. d_m is the doubt about a model's mean, measured downwards in log-odds, as a few good labels say little of the bad ones. K and P
/// are looked at after every label, so luck at any time would open them: w grows with what the labels of the window tell, see [`caution`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Safeguard {
    /// T
    requests: f64,
    /// That of the fallback has no requests, and the loss of those that went on to another model.
    ventures: Vec<Venture>,
    share: f64,
    /// Per model, Σ ŝ_m over all prompts and their number. Both fade when a label of the model comes, as r_m does, which they go with.
    predicted: Vec<Residual>,
}

/// The same in version 2 of the state. Of predictions for all prompts nothing is known.
#[derive(Deserialize)]
pub(super) struct SecondSafeguard {
    requests: f64,
    ventures: Vec<Venture>,
    share: f64,
}

impl From<SecondSafeguard> for Safeguard {
    fn from(SecondSafeguard { requests, ventures, share }: SecondSafeguard) -> Self {
        let predicted = vec![Residual::default(); ventures.len()];
        Self { requests, ventures, share, predicted }
    }
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
    /// The standard normal quantile of the assurance: standard deviations of a bound at one time.
    pub(super) z: f64,
    /// Labels of the fallback that its mean is known from, and how many of these are older than the window.
    pub(super) labels: (f64, f64),
    /// R
    pub(super) rest: f64,
    /// Per model, predicted mean satisfaction for the average prompt, and how far off it may be: see `Certified::doubts`.
    pub(super) levels: &'a [f64],
    pub(super) doubt: &'a [f64],
    /// v, the variance of a residual.
    pub(super) variance: f64,
    /// G − w U_T; −∞ without labels.
    pub(super) proven: f64,
}

/// w: standard deviations of a bound that is looked at after every label, where z would do at one time that is fixed beforehand. What it
/// bounds is known from `labels` labels, of which so many are older than the window that is looked at.
///
/// w² = z² + ln((n + 5)/(n₀ + 5)). It grows as the boundary of a normal mixture does (Robbins 1970; Howard et al. 2021): to look again
/// counts as far as more is known since, and to look ten times at the same labels as once. At one look it is exact, and for all looks
/// still a little too narrow. A z below 0 is for an assurance of less than one half.
pub(super) fn caution(z: f64, labels: (f64, f64)) -> f64 {
    let (known, before) = (labels.0 + FIRST_LOOK, labels.1.min(labels.0) + FIRST_LOOK);
    (z * z.abs() + libm::log(known / before)).max(0.0).sqrt()
}

impl Safeguard {
    pub(super) fn new(models: usize) -> Self {
        let predicted = vec![Residual::default(); models];
        Self { requests: 0.0, ventures: vec![Venture::default(); models], share: 1.0, predicted }
    }

    /// p_m, what is known of the mean of the model at `model` over all prompts; `None` before the first one.
    pub(super) fn level(&self, model: usize) -> Option<f64> {
        let predicted = self.predicted[model];
        (!predicted.is_empty()).then(|| predicted.plain() + self.ventures[model].bias.mean(OWN))
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
        for (predicted, candidate) in self.predicted.iter_mut().zip(candidates) {
            predicted.note(candidate.satisfaction);
        }
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
        self.predicted[model].fade(OWN);
    }

    /// The predictions that the residuals were of are no more, or other labels are to correct them from now on.
    pub(super) fn forget_residuals(&mut self) {
        for venture in &mut self.ventures {
            venture.bias = Residual::default();
        }
        self.predicted.fill(Residual::default());
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
        let old = |place: &Option<usize>| place.map(|place| self.predicted[place]).unwrap_or_default();
        self.predicted = places.iter().map(old).collect();
        (self.ventures[fallback].requests, self.ventures[fallback].loss) = (0.0, 0.0);
    }

    /// max(−V, K, P)
    fn least_surplus(&self, scales: &Scales<'_>) -> f64 {
        let Scales { fallback, z, rest, .. } = *scales;
        let w = caution(z, scales.labels);
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
        let bound = |requests: f64| (variance + (requests * doubt) * (requests * doubt)).sqrt();
        let level = self.level(fallback).unwrap_or(scales.levels[fallback]);
        let (lead, all) = (level - scales.alpha, self.requests + rest);
        let known = all * lead - loss - w * bound(all - ventured);
        let proven = scales.proven + rest * (lead - w * doubt).max(0.0);
        (-loss - z * bound(ventured)).max(known).max(proven)
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
        let (labels, proven) = ((0.0, 0.0), f64::NEG_INFINITY);
        Scales { fallback: 1, alpha: 0.8, z: 2.0, labels, rest, levels, doubt, variance: 0.0, proven }
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
        // 0.2 is lost each time: a/2 is left to lose up to request 13, and none of a = 5 + 0.001 T from request 27 on.
        assert_eq!((shares[0], shares[12], shares[26]), (1.0, 1.0, 0.0), "{shares:?}");
        assert!(shares.windows(2).all(|pair| pair[1] <= pair[0]), "{shares:?}");
        let loss = 20.0 * 0.2;
        let mut twenty = Safeguard::new(2);
        (0..20).for_each(|_| twenty.decided(&candidates([0.6, 0.8]), 0, 1, None));
        twenty.measure(&unknown);
        let allowance = 5.0 + 0.001 * 20.0;
        assert!((twenty.share() - (allowance - loss) / (0.5 * allowance)).abs() < 1e-9, "{}", twenty.share());
        // The fallback's own answers lose nothing, and a new window owes nothing.
        (0..500).for_each(|_| twenty.decided(&candidates([0.6, 0.8]), 1, 1, None));
        twenty.measure(&unknown);
        assert!((twenty.share() - (5.52 - loss) / (0.5 * 5.52)).abs() < 1e-9, "{}", twenty.share());
        twenty.restart();
        twenty.measure(&unknown);
        assert_eq!(twenty.share(), 1.0);
    }

    #[test]
    fn a_lead_that_is_known_makes_room_and_one_that_is_not_makes_none() {
        let after = |lead: f64, doubt: [f64; 2], rest: f64| {
            let mut safeguard = Safeguard::new(2);
            let predicted = candidates([0.6 + lead, 0.8 + lead]);
            (0..200).for_each(|n| safeguard.decided(&predicted, usize::from(n % 2 == 0), 1, None));
            safeguard.measure(&scales(&[0.6 + lead, 0.8 + lead], &doubt, rest));
            safeguard.share()
        };
        assert_eq!(after(0.0, [0.0, 0.0], 0.0), 0.0, "20 answers are lost and 5.2 are allowed");
        assert_eq!(after(0.1, [0.0, 0.0], 0.0), 1.0, "the lead of 200 makes them good");
        assert_eq!(after(0.1, [0.0, 0.1], 0.0), 0.0, "it may be none at all");
        assert!((after(0.08, [0.0, 0.0], 0.0) - 1.2 / 2.6).abs() < 1e-9, "16 of the 20 are made good");
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

    #[test]
    fn a_look_costs_as_much_as_was_learnt_since_the_last_one() {
        let close = |got: f64, wanted: f64| assert!((got - wanted).abs() < 1e-12, "{got} is not {wanted}");
        close(caution(1.6, (0.0, 0.0)), 1.6);
        close(caution(1.6, (900.0, 900.0)), 1.6);
        close(caution(1.6, (45.0, 0.0)), (1.6_f64 * 1.6 + 10.0_f64.ln()).sqrt());
        close(caution(0.0, (95.0, 45.0)), 2.0_f64.ln().sqrt());
        close(caution(1.6, (90.0, 100.0)), 1.6);
        assert!(caution(-1.0, (45.0, 0.0)) < caution(0.0, (45.0, 0.0)));
    }

    /// Predictions that learn hold what the residuals of earlier ones have said already.
    #[test]
    fn what_a_model_is_known_for_counts_each_label_once() {
        let mut safeguard = Safeguard::new(2);
        assert_eq!(safeguard.level(1), None);
        for n in 0..4_000 {
            // Predicted too low by 0.2 at first, and then as it is: 0.8.
            let predicted = if n < 2_000 { 0.6 } else { 0.8 };
            safeguard.decided(&candidates([0.5, predicted]), 1, 1, None);
            if n % 10 == 0 {
                safeguard.labelled(1, 0.8 - predicted);
            }
        }
        let level = safeguard.level(1).unwrap();
        // 16 labels' worth of belief that predictions are right is 0.004 here.
        assert!((level - 0.8).abs() < 0.006, "{level}");
        safeguard.forget_residuals();
        assert_eq!(safeguard.level(1), None);
    }

    /// After a few good labels a mean of 0.95 ± 0.05 may well be 0.75.
    #[test]
    fn doubt_is_larger_below() {
        let scales = scales(&[0.95, 0.5], &[0.05, 0.05], 0.0);
        assert!(scales.doubt_below(0) > 0.08, "{}", scales.doubt_below(0));
        assert!((scales.doubt_below(1) - 0.05).abs() < 0.003, "{}", scales.doubt_below(1));
    }
}
