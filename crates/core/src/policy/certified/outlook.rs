//! How far ahead of its target the window is, and how sure that is.

use serde::{Deserialize, Serialize};

use super::residual::{FIRST_VARIANCE, Memory, Residual, change};
use crate::Standing;

/// What is remembered of residuals over the windows. One label's worth of trust keeps the first few from looking certain.
const LONG: Memory = Memory { labels: 2_000.0, trust: 1.0 };
/// Standard deviation of the mean residual from window to window in steady traffic, beyond what the shares of the models explain: the
/// predictions go on changing.
const WANDER: f64 = 0.008;

/// What the labels have said of the predictions, over all windows and before the present one.
///
/// Model by model: a window in which nearly all answers were the fallback's says nothing of the others, which the next window may rely on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct History {
    residuals: Vec<Residual>,
    squares: Residual,
    /// Answers of the present window.
    answers: Vec<f64>,
    before: Before,
}

/// What was known when the window began. All 0 in the first one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Before {
    residuals: Vec<Residual>,
    squares: Residual,
    /// In the window before: shares of the models, all answers, and those labelled.
    shares: Vec<f64>,
    answers: f64,
    labelled: f64,
}

/// What is believed of the window.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outlook {
    /// T
    pub(super) served: f64,
    /// n + n₀
    pub(super) known: f64,
    /// n
    labels: f64,
    /// φ̂
    pub(super) rate: f64,
    /// G
    pub(super) surplus: f64,
    /// v
    pub(super) variance: f64,
}

impl History {
    pub(super) fn new(models: usize) -> Self {
        let residuals = vec![Residual::default(); models];
        let before = Before { residuals: residuals.clone(), shares: vec![0.0; models], ..Before::default() };
        Self { residuals, squares: Residual::default(), answers: vec![0.0; models], before }
    }

    /// Whether anything is known from windows before this one.
    pub(super) fn has_past(&self) -> bool {
        !self.before.squares.is_empty()
    }

    /// The model at `chosen` of `models` was chosen. One of another zoo counts for nothing.
    pub(super) fn decided(&mut self, chosen: usize, models: usize) {
        if models == self.answers.len() {
            self.answers[chosen] += 1.0;
        }
    }

    /// Labels' worth that is remembered of the model at `model`, and how much of it is older than the window.
    pub(super) fn labels(&self, model: usize) -> (f64, f64) {
        (self.residuals[model].weight(), self.before.residuals[model].weight())
    }

    /// A first label of the model at `model` came, by this much above what had been predicted when the decision was made.
    pub(super) fn add(&mut self, model: usize, residual: f64) {
        self.residuals[model].add(LONG, residual);
        self.squares.add(LONG, residual * residual);
    }

    /// A new window begins, after one that ended as `last`.
    pub(super) fn begin(&mut self, last: &Standing) {
        self.before = Before {
            residuals: self.residuals.clone(),
            squares: self.squares,
            shares: self.shares(),
            answers: last.requests as f64,
            labelled: last.labels as f64,
        };
        self.answers.fill(0.0);
    }

    /// The zoo has changed; `places` are the old places of the new models. Of a new one, nothing is known.
    pub(super) fn reconfigure(&mut self, places: &[Option<usize>]) {
        fn moved<T: Copy + Default>(values: &mut Vec<T>, places: &[Option<usize>]) {
            let old = |place: &Option<usize>| place.map(|place| values[place]).unwrap_or_default();
            *values = places.iter().map(old).collect();
        }
        moved(&mut self.residuals, places);
        moved(&mut self.answers, places);
        moved(&mut self.before.residuals, places);
        moved(&mut self.before.shares, places);
    }

    /// Share of each model in the answers of the window; before the first one, in those of the window before.
    fn shares(&self) -> Vec<f64> {
        let total: f64 = self.answers.iter().sum();
        if total > 0.0 { self.answers.iter().map(|n| n / total).collect() } else { self.before.shares.clone() }
    }

    /// n₀, and r₀ of the models in the shares that they have in the window. What r₀ and the mean residual of `labels` labels since,
    /// `residual`, differ by beyond chance counts as variance between then and now.
    fn past(&self, labels: f64, residual: f64, variance: f64) -> (f64, f64) {
        if !self.has_past() {
            return (0.0, 0.0);
        }
        let (mut error, mut mean) = (0.0, 0.0);
        for (share, known) in self.shares().into_iter().zip(&self.before.residuals) {
            error += share * share / (known.weight() + LONG.trust);
            mean += share * known.mean(LONG);
        }
        let known = variance * error + WANDER * WANDER;
        let between = if labels > 0.0 { change(residual - mean, known + variance / labels) } else { 0.0 };
        (variance / (known + between), mean)
    }
}

impl Outlook {
    /// By what is in the account of the window and what was known before it.
    pub(super) fn new(history: &History, standing: &Standing, alpha: f64) -> Self {
        let (before, served, labels) = (&history.before, standing.requests as f64, standing.labels as f64);
        let residual = standing.estimate - standing.predicted;
        let past = before.squares.weight();
        let variance = (standing.squared_residual * labels + before.squares.mean(LONG) * past + FIRST_VARIANCE)
            / (labels + past + 1.0);
        let (worth, before_mean) = history.past(labels, residual, variance);
        let known = labels + worth;
        let mean = if known > 0.0 { (labels * residual + worth * before_mean) / known } else { 0.0 };
        let answers = served + before.answers;
        let rate = if answers > 0.0 { (labels + before.labelled) / answers } else { 0.0 };
        Self {
            served,
            known,
            labels,
            rate: rate.min(1.0),
            surplus: served * (standing.predicted + mean - alpha),
            variance,
        }
    }

    /// Labels' worth that is known, and how much of it is older than the window: n + n₀ and n₀.
    pub(super) fn evidence(&self) -> (f64, f64) {
        (self.known, self.known - self.labels)
    }

    /// Variance of what is not known of the satisfaction of the first `answers` answers of the window, in units of v: m answers without
    /// a label vary by themselves, and their mean residual is known from n + n₀ labels. Without labels the predictions must do.
    pub(super) fn unknown(&self, answers: f64) -> f64 {
        let to_come = self.rate * (answers - self.served).max(0.0);
        let (known, unseen) = (self.known + to_come, (answers - self.labels - to_come).max(0.0));
        if known > 0.0 { unseen * (unseen / known + 1.0) } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standing(requests: u64, labels: u64, residual: f64) -> Standing {
        let estimate = 0.8 + residual;
        let label_rate = labels as f64 / requests as f64;
        Standing {
            requests,
            labels,
            predicted: 0.8,
            residual,
            squared_residual: 0.2,
            label_rate,
            estimate,
            standard_error: 0.0,
        }
    }

    /// A window of 1,000 answers and 100 labels, of which the model at 1 gave `others`, after `n` labels of the model at 0 with residuals of
    /// mean `mean`.
    fn after(n: u32, mean: f64, others: u32, residual: f64) -> Outlook {
        let mut history = History::new(2);
        (0..n).for_each(|i| history.add(0, if i % 2 == 0 { mean + 0.45 } else { mean - 0.45 }));
        history.begin(&standing(10_000, 1_000, 0.0));
        (0..1_000).for_each(|i| history.decided(usize::from(i < others), 2));
        Outlook::new(&history, &standing(1_000, 100, residual), 0.75)
    }

    #[test]
    fn a_first_window_knows_what_its_own_labels_say() {
        let outlook = Outlook::new(&History::new(1), &standing(1_000, 100, 0.02), 0.75);
        assert!((outlook.surplus - 70.0).abs() < 1e-9, "1,000 · (0.8 + 0.02 − 0.75)");
        // As the doubly robust account has it: T (1 − φ)/φ.
        assert!((outlook.unknown(1_000.0) - 1_000.0 * 0.9 / 0.1).abs() < 1e-6);
        assert!((outlook.unknown(4_000.0) - 4_000.0 * 0.9 / 0.1).abs() < 1e-6, "labels go on coming");
    }

    #[test]
    fn what_was_known_before_makes_it_surer() {
        let outlook = after(900, 0.0, 0, 0.02);
        // 900 labels count for 725, as old ones are forgotten, and those for 0.2/(0.2/725 + 0.008²) = 590, as residuals wander.
        assert!((outlook.known - 690.0).abs() < 4.0, "{outlook:?}");
        assert!((outlook.surplus - (50.0 + 20.0 * 100.0 / 690.0)).abs() < 0.1, "{outlook:?}");
        assert!((outlook.unknown(1_000.0) - 900.0 * (900.0 / outlook.known + 1.0)).abs() < 1e-6, "{outlook:?}");
    }

    #[test]
    fn what_is_known_of_one_model_says_nothing_of_another() {
        let half = after(900, 0.0, 500, 0.0);
        // The variance of half the answers, of which one label's worth is known, is v/4.
        assert!(half.known < 105.0, "{half:?}");
        assert!(half.known < after(900, 0.0, 100, 0.0).known, "a tenth is not as bad");
    }

    #[test]
    fn a_change_makes_the_past_worth_little() {
        // The standard error of the difference is 0.05: 0.1 may be chance, 0.25 is not.
        assert!((after(900, 0.0, 0, -0.1).known - after(900, 0.0, 0, 0.0).known).abs() < 1e-9);
        let changed = after(900, 0.0, 0, -0.25);
        assert!(changed.known < 110.0, "{changed:?}");
        assert!((changed.surplus + 200.0).abs() < 25.0, "nearly as if nothing had been known: {changed:?}");
    }

    #[test]
    fn nothing_is_known_of_a_window_without_a_past_or_a_label() {
        let empty = Standing {
            requests: 0,
            labels: 0,
            predicted: 0.0,
            residual: 0.0,
            squared_residual: 1.0,
            label_rate: 0.0,
            estimate: 0.5,
            standard_error: 0.5,
        };
        let outlook = Outlook::new(&History::new(1), &empty, 0.75);
        assert_eq!((outlook.surplus, outlook.known, outlook.unknown(400.0), outlook.rate), (0.0, 0.0, 0.0, 0.0));
        assert!((outlook.variance - 0.2).abs() < 1e-12);
    }

    #[test]
    fn models_take_what_is_known_of_them_to_new_places() {
        let mut history = History::new(2);
        (0..9).for_each(|_| history.add(1, 0.5));
        history.decided(1, 2);
        history.decided(0, 5);
        history.begin(&standing(10, 9, 0.0));
        let (known, fresh) = (history.residuals[1], Residual::default());
        history.reconfigure(&[Some(1), None, Some(0)]);
        assert_eq!((&history.residuals, &history.answers), (&vec![known, fresh, fresh], &vec![0.0; 3]));
        assert_eq!((&history.before.residuals, history.shares()), (&vec![known, fresh, fresh], vec![1.0, 0.0, 0.0]));
    }
}
