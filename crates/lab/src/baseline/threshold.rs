//! A two-model threshold router in the manner of RouteLLM.

use slarouter_core::{dot, sigmoid};

use super::trained::Trained;
use crate::course::Course;
use crate::reference::logistic::{Design, Folds};

/// Sends a prompt to the strong model if the predicted probability that only the strong one satisfies reaches a threshold.
///
/// Source: Ong et al., "RouteLLM: learning to route LLMs with preference data", arXiv 2406.18665: a win-rate predictor between a weak and a
/// strong model and a threshold calibrated on held-out prompts. Weak is the model with the lowest list price, strong the one that did
/// best on the first tenth of the run. The predictor is a logistic regression on the features of `slarouter`, the label 1 where the
/// strong model scored higher; the threshold sends the fewest prompts to the strong model that reach α on the same tenth,
/// out-of-fold. If none does, the strong model answers everything.
pub(crate) struct Threshold {
    weak: usize,
    strong: usize,
    /// Per request.
    win_rates: Vec<f64>,
}

impl Trained for Threshold {
    fn train(course: &Course<'_>, train: usize) -> Self {
        let (data, rows) = (course.data, &course.rows);
        let weak = data.zoo.by_price(false);
        let total = |model: usize| rows[..train].iter().map(|&row| data.score(row, model)).sum::<f64>();
        let mut strong = weak;
        for model in 0..data.models() {
            if total(model) > total(strong) {
                strong = model;
            }
        }
        let design = Design::new(data.dim(), rows[..train].iter().map(|&row| data.features(row)));
        let folds = Folds::new(&design);
        let wins = |t: usize| f64::from(u8::from(data.score(rows[t], strong) > data.score(rows[t], weak)));
        let fitted = folds.cross_fit(wins);
        let weights = folds.fit(wins, fitted.l2);
        let mut x = vec![0.0; data.dim() + 1];
        let mut win_rates = fitted.predictions;
        for &row in &rows[train..] {
            design.standardise(data.features(row), &mut x);
            win_rates.push(sigmoid(dot(&weights, &x)));
        }
        Self { weak, strong, win_rates }
    }

    fn choices(&self, course: &Course<'_>, train: usize, alpha: f64) -> Vec<usize> {
        let score = |t: usize, model: usize| course.data.score(course.rows[t], model);
        let mut order: Vec<usize> = (0..train).collect();
        order.sort_by(|&a, &b| self.win_rates[b].total_cmp(&self.win_rates[a]));
        let mut satisfaction: f64 = (0..train).map(|t| score(t, self.weak)).sum();
        let enough = alpha * train as f64;
        let mut threshold = if satisfaction >= enough { f64::INFINITY } else { f64::NEG_INFINITY };
        for &t in &order {
            if satisfaction >= enough {
                break;
            }
            satisfaction += score(t, self.strong) - score(t, self.weak);
            if satisfaction >= enough {
                threshold = self.win_rates[t];
            }
        }
        self.win_rates.iter().map(|&rate| if rate >= threshold { self.strong } else { self.weak }).collect()
    }
}
