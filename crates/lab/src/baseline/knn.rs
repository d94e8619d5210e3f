//! A k-nearest-neighbour router.

use super::trained::{Forecast, Trained};
use crate::course::Course;

/// Neighbours, as in RouterBench; fewer where fewer are there.
const NEIGHBOURS: usize = 40;

/// Predicts score and cost of each model by their means over the nearest labelled prompts.
///
/// Source: Hu et al., "RouterBench: a benchmark for multi-LLM routing system", arXiv 2403.12031 (KNN router): k = 40, cosine similarity, the
/// choice maximises λ·score − cost. The labelled prompts are the first tenth of the run; λ is calibrated on them, each predicted
/// from the others.
pub(crate) struct Knn(Forecast);

impl Trained for Knn {
    fn train(course: &Course<'_>, train: usize) -> Self {
        let data = course.data;
        let models = data.models();
        let mut forecast = Forecast::new(course.rows.len(), models);
        let unit: Vec<f32> = course.rows[..train].iter().flat_map(|&row| normalised(data.features(row))).collect();
        let mut near: Vec<(f32, usize)> = Vec::with_capacity(train);
        for (t, &row) in course.rows.iter().enumerate() {
            // The prompt's own length changes no order.
            let x = data.features(row);
            near.clear();
            near.extend(
                unit.chunks_exact(data.dim()).enumerate().filter(|(i, _)| *i != t).map(|(i, u)| (-dot(u, x), i)),
            );
            let k = NEIGHBOURS.min(near.len());
            if k == 0 {
                continue;
            }
            // Equal prompts are told apart by their place, so that the choice of neighbours is unique.
            near.select_nth_unstable_by(k - 1, |a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
            near[..k].sort_unstable_by_key(|&(_, i)| i);
            for model in 0..models {
                let mean = |value: &dyn Fn(usize) -> f64| {
                    near[..k].iter().map(|&(_, i)| value(course.rows[i])).sum::<f64>() / k as f64
                };
                forecast.satisfaction[t * models + model] = mean(&|row| data.score(row, model));
                forecast.cost[t * models + model] = mean(&|row| data.cost(row, model));
            }
        }
        Self(forecast)
    }

    fn choices(&self, course: &Course<'_>, train: usize, alpha: f64) -> Vec<usize> {
        self.0.choices(course, train, alpha)
    }
}

fn normalised(x: &[f32]) -> impl Iterator<Item = f32> + '_ {
    let norm = dot(x, x).sqrt().max(f32::MIN_POSITIVE);
    x.iter().map(move |x| x / norm)
}

/// Sixteen running sums, which the compiler can vectorise.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0; 16];
    for (a, b) in a.chunks_exact(16).zip(b.chunks_exact(16)) {
        for i in 0..16 {
            sums[i] += a[i] * b[i];
        }
    }
    let rest = a.len() / 16 * 16;
    sums.iter().sum::<f32>() + a[rest..].iter().zip(&b[rest..]).map(|(a, b)| a * b).sum::<f32>()
}
