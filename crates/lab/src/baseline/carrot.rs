//! A plug-in router in the manner of CARROT.

use slarouter_core::{dot, sigmoid};

use super::trained::{Forecast, Trained};
use crate::course::Course;
use crate::reference::logistic::{Design, Folds};

/// Ridge penalty of the answer lengths, on standardised features: enough for a hundred labelled prompts.
const LENGTH_PENALTY: f64 = 100.0;

/// Plugs estimates of every model's score and cost into `argmin ĉ − λ·p̂`.
///
/// Source: Somerstep et al., "CARROT: a cost aware rate optimal router", arXiv 2502.03261, which trains a predictor of scores and
/// one of answer lengths on labelled prompts and is optimal for any estimators that are. Here they are a logistic regression per model
/// (penalty by five-fold cross-validation) and a ridge regression of its answer length, on the features of `slarouter`, trained on the
/// first tenth of the run; λ is calibrated on out-of-fold predictions for the same prompts.
pub(crate) struct Carrot(Forecast);

impl Trained for Carrot {
    fn train(course: &Course<'_>, train: usize) -> Self {
        let data = course.data;
        let rows = &course.rows;
        let models = data.models();
        let design = Design::new(data.dim(), rows[..train].iter().map(|&row| data.features(row)));
        let folds = Folds::new(&design);
        let mut forecast = Forecast::new(rows.len(), models);
        let mut x = vec![0.0; data.dim() + 1];
        for model in 0..models {
            let score = |t: usize| data.score(rows[t], model);
            let length = |t: usize| data.output_tokens(rows[t], model).unwrap_or_default();
            let fitted = folds.cross_fit(score);
            let weights = folds.fit(score, fitted.l2);
            let lengths = folds.ridge(length, LENGTH_PENALTY);
            let longest = (0..train).map(length).fold(0.0, f64::max);
            let price = data.zoo.models()[model].price;
            for (t, &row) in rows.iter().enumerate() {
                design.standardise(data.features(row), &mut x);
                let at = t * models + model;
                forecast.satisfaction[at] =
                    fitted.predictions.get(t).copied().unwrap_or_else(|| sigmoid(dot(&weights, &x)));
                forecast.cost[at] = price.cost(data.input_tokens(row), dot(&lengths, &x).clamp(0.0, longest));
            }
        }
        Self(forecast)
    }

    fn choices(&self, course: &Course<'_>, train: usize, alpha: f64) -> Vec<usize> {
        self.0.choices(course, train, alpha)
    }
}
