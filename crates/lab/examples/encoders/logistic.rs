//! Logistic regression with a ridge, by Newton's method, and its figures of merit.

use slarouter_core::sigmoid;

/// Weights, the intercept last.
pub(crate) struct Logistic {
    weights: Vec<f64>,
}

/// Steps at most; five are usual.
const STEPS: usize = 12;

impl Logistic {
    /// Fits `labels` (0 or 1) on `rows`. `ridge` is the precision of the prior on every weight; the intercept has hardly any.
    pub(crate) fn fit(rows: &[&[f32]], labels: &[f64], ridge: f64) -> Self {
        let dim = rows.first().map_or(0, |row| row.len()) + 1;
        let mut weights = vec![0.0; dim];
        let prior = |i: usize| if i + 1 == dim { 0.01 } else { ridge };
        let mut inputs = vec![0.0; dim];
        for _ in 0..STEPS {
            let mut gradient: Vec<f64> = weights.iter().enumerate().map(|(i, w)| -prior(i) * w).collect();
            let mut hessian = vec![0.0; dim * dim];
            for (row, label) in rows.iter().zip(labels) {
                inputs.iter_mut().zip(row.iter().chain([&1.0])).for_each(|(to, from)| *to = f64::from(*from));
                let p = sigmoid(inputs.iter().zip(&weights).map(|(x, w)| x * w).sum());
                let curvature = p * (1.0 - p);
                for (i, x) in inputs.iter().enumerate().filter(|(_, x)| **x != 0.0) {
                    gradient[i] += (label - p) * x;
                    let scaled = curvature * x;
                    let line = &mut hessian[i * dim..i * dim + i + 1];
                    line.iter_mut().zip(&inputs).for_each(|(h, y)| *h += scaled * y);
                }
            }
            (0..dim).for_each(|i| hessian[i * dim + i] += prior(i));
            let step = solve(&mut hessian, gradient);
            let size = step.iter().map(|x| x * x).sum::<f64>().sqrt();
            // Separable labels make long steps; the prior ends them, but not in one.
            let brake = if size > 20.0 { 20.0 / size } else { 1.0 };
            weights.iter_mut().zip(&step).for_each(|(w, s)| *w += brake * s);
            if size < 1e-4 {
                break;
            }
        }
        Self { weights }
    }

    /// Probability of a 1.
    pub(crate) fn predict(&self, row: &[f32]) -> f64 {
        let sum: f64 = row.iter().chain([&1.0]).zip(&self.weights).map(|(x, w)| f64::from(*x) * w).sum();
        sigmoid(sum)
    }
}

/// Solves with the lower triangle of a positive definite matrix, by Cholesky, in place.
fn solve(matrix: &mut [f64], mut vector: Vec<f64>) -> Vec<f64> {
    let n = vector.len();
    for i in 0..n {
        let (above, rest) = matrix.split_at_mut(i * n);
        let line = &mut rest[..=i];
        for j in 0..=i {
            let other = if j < i { &above[j * n..j * n + j] } else { &[] };
            let dot: f64 = if j < i {
                other.iter().zip(&line[..j]).map(|(a, b)| a * b).sum()
            } else {
                line[..j].iter().map(|a| a * a).sum()
            };
            line[j] = if j < i { (line[j] - dot) / above[j * n + j] } else { (line[j] - dot).max(1e-12).sqrt() };
        }
        let dot: f64 = line[..i].iter().zip(&vector).map(|(a, b)| a * b).sum();
        vector[i] = (vector[i] - dot) / line[i];
    }
    for i in (0..n).rev() {
        vector[i] /= matrix[i * n + i];
        let value = vector[i];
        let (line, vector) = (&matrix[i * n..i * n + i], &mut vector[..i]);
        vector.iter_mut().zip(line).for_each(|(v, a)| *v -= a * value);
    }
    vector
}

/// The ridge of `choices` with the best log-loss in `folds` folds.
pub(crate) fn cross_validate(rows: &[&[f32]], labels: &[f64], choices: &[f64], folds: usize) -> f64 {
    let loss = |ridge: f64| -> f64 {
        let split = |fold: usize, inside: bool| {
            let chosen = move |i: &usize| (i % folds == fold) == inside;
            let places: Vec<usize> = (0..rows.len()).filter(chosen).collect();
            let part: Vec<&[f32]> = places.iter().map(|i| rows[*i]).collect();
            (part, places.iter().map(|i| labels[*i]).collect::<Vec<f64>>())
        };
        let one = |fold: usize| {
            let ((train, train_labels), (test, test_labels)) = (split(fold, false), split(fold, true));
            let fitted = Logistic::fit(&train, &train_labels, ridge);
            let predicted: Vec<f64> = test.iter().map(|row| fitted.predict(row)).collect();
            log_loss(&predicted, &test_labels) * test.len() as f64
        };
        (0..folds).map(one).sum()
    };
    let scored = choices.iter().map(|ridge| (*ridge, loss(*ridge)));
    scored.min_by(|a, b| a.1.total_cmp(&b.1)).map_or(1.0, |best| best.0)
}

/// Mean negative log-likelihood in nats; predictions are held 10⁻⁶ from 0 and 1.
pub(crate) fn log_loss(predicted: &[f64], labels: &[f64]) -> f64 {
    let one = |(p, y): (&f64, &f64)| {
        let p = p.clamp(1e-6, 1.0 - 1e-6);
        -(y * p.ln() + (1.0 - y) * (1.0 - p).ln())
    };
    predicted.iter().zip(labels).map(one).sum::<f64>() / predicted.len() as f64
}

/// Area under the ROC curve; ties count half. `None` if all labels are the same.
pub(crate) fn auc(predicted: &[f64], labels: &[f64]) -> Option<f64> {
    let mut order: Vec<usize> = (0..predicted.len()).collect();
    order.sort_by(|a, b| predicted[*a].total_cmp(&predicted[*b]));
    let positives = labels.iter().filter(|y| **y > 0.5).count() as f64;
    let negatives = labels.len() as f64 - positives;
    let mut rank = 1.0;
    let mut sum = 0.0;
    for tied in order.chunk_by(|a, b| predicted[*a] == predicted[*b]) {
        let mean_rank = rank + (tied.len() as f64 - 1.0) / 2.0;
        sum += mean_rank * tied.iter().filter(|i| labels[**i] > 0.5).count() as f64;
        rank += tied.len() as f64;
    }
    (positives > 0.0 && negatives > 0.0).then(|| (sum - positives * (positives + 1.0) / 2.0) / (positives * negatives))
}
