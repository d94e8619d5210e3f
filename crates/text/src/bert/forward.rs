//! The arithmetic of a BERT encoder, in f32.
//!
//! Several texts go through together without padding: their tokens are rows of one matrix for all linear layers, and only the
//! attention is done text by text.

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};

use super::weights::{Linear, Model, Norm};

/// Mean of the last layer over the tokens of each text, scaled to length 1: `hidden` values per text.
pub(super) fn embed(model: &Model, texts: &[Vec<u32>]) -> Vec<Vec<f32>> {
    let hidden = model.hidden;
    let tokens: usize = texts.iter().map(Vec::len).sum();
    let mut x = Vec::with_capacity(tokens * hidden);
    for text in texts {
        for (place, id) in text.iter().enumerate() {
            let row = |table: &[f32], at: usize| at * hidden..(at + 1) * hidden.min(table.len());
            let (word, position) = (row(&model.words, *id as usize), row(&model.positions, place));
            let sum = model.words[word].iter().zip(&model.positions[position]).zip(&model.kind);
            x.extend(sum.map(|((a, b), c)| a + b + c));
        }
    }
    model.embedding_norm.apply(&mut x, hidden, model.epsilon);

    let inner = model.layers.first().map_or(0, |layer| layer.up.outputs);
    let (mut q, mut k, mut v) = (buffer(tokens, hidden), buffer(tokens, hidden), buffer(tokens, hidden));
    let (mut mixed, mut out, mut wide) = (buffer(tokens, hidden), buffer(tokens, hidden), buffer(tokens, inner));
    for layer in &model.layers {
        layer.query.apply(&x, &mut q);
        layer.key.apply(&x, &mut k);
        layer.value.apply(&x, &mut v);
        let mut from = 0;
        for text in texts {
            let part = from * hidden..(from + text.len()) * hidden;
            let shape = Shape { tokens: text.len(), hidden, heads: model.heads };
            shape.attend(&q[part.clone()], &k[part.clone()], &v[part.clone()], &mut mixed[part]);
            from += text.len();
        }
        layer.mix.apply(&mixed, &mut out);
        add(&mut x, &out);
        layer.mix_norm.apply(&mut x, hidden, model.epsilon);
        layer.up.apply(&x, &mut wide);
        wide.iter_mut().for_each(|value| *value = gelu(*value));
        layer.down.apply(&wide, &mut out);
        add(&mut x, &out);
        layer.down_norm.apply(&mut x, hidden, model.epsilon);
    }

    let mut rows = x.chunks_exact(hidden);
    let mean = |text: &Vec<u32>| {
        let mut sum = vec![0.0; hidden];
        rows.by_ref().take(text.len()).for_each(|row| add(&mut sum, row));
        crate::features::normalise(&mut sum);
        sum
    };
    texts.iter().map(mean).collect()
}

fn buffer(rows: usize, columns: usize) -> Vec<f32> {
    vec![0.0; rows * columns]
}

fn add(to: &mut [f32], from: &[f32]) {
    to.iter_mut().zip(from).for_each(|(to, from)| *to += from);
}

impl Linear {
    fn apply(&self, x: &[f32], out: &mut [f32]) {
        let rows = x.len() / self.inputs;
        out.chunks_exact_mut(self.outputs).for_each(|row| row.copy_from_slice(&self.bias));
        matmul(
            MatMut::from_row_major_slice_mut(out, rows, self.outputs),
            Accum::Add,
            MatRef::from_row_major_slice(x, rows, self.inputs),
            MatRef::from_row_major_slice(&self.weight, self.outputs, self.inputs).transpose(),
            1.0,
            Par::Seq,
        );
    }
}

struct Shape {
    tokens: usize,
    hidden: usize,
    heads: usize,
}

impl Shape {
    fn attend(&self, q: &[f32], k: &[f32], v: &[f32], out: &mut [f32]) {
        let Self { tokens, hidden, heads } = *self;
        let width = hidden / heads;
        let scale = 1.0 / (width as f32).sqrt();
        let mut scores = buffer(tokens, tokens);
        let whole = |x| MatRef::from_row_major_slice(x, tokens, hidden);
        for head in 0..heads {
            let part = |x| whole(x).subcols(head * width, width);
            let score = MatMut::from_row_major_slice_mut(&mut scores, tokens, tokens);
            matmul(score, Accum::Replace, part(q), part(k).transpose(), scale, Par::Seq);
            scores.chunks_exact_mut(tokens).for_each(softmax);
            let mixed = MatMut::from_row_major_slice_mut(out, tokens, hidden).subcols_mut(head * width, width);
            let score = MatRef::from_row_major_slice(&scores, tokens, tokens);
            matmul(mixed, Accum::Replace, score, part(v), 1.0, Par::Seq);
        }
    }
}

impl Norm {
    fn apply(&self, x: &mut [f32], hidden: usize, epsilon: f32) {
        for row in x.chunks_exact_mut(hidden) {
            let mean = sum(row) / hidden as f32;
            row.iter_mut().for_each(|value| *value -= mean);
            let variance = sum_of_squares(row) / hidden as f32;
            let scale = 1.0 / (variance + epsilon).sqrt();
            for ((value, weight), bias) in row.iter_mut().zip(&self.weight).zip(&self.bias) {
                *value = *value * scale * weight + bias;
            }
        }
    }
}

/// Eight running sums, so that the compiler may use vector registers.
fn sum(values: &[f32]) -> f32 {
    let (eights, rest) = values.as_chunks::<8>();
    let mut sums = [0.0; 8];
    eights.iter().for_each(|eight| add(&mut sums, eight));
    sums.iter().sum::<f32>() + rest.iter().sum::<f32>()
}

fn sum_of_squares(values: &[f32]) -> f32 {
    let (eights, rest) = values.as_chunks::<8>();
    let mut sums = [0.0; 8];
    eights.iter().for_each(|eight| sums.iter_mut().zip(eight).for_each(|(sum, x)| *sum += x * x));
    sums.iter().sum::<f32>() + rest.iter().map(|x| x * x).sum::<f32>()
}

fn softmax(values: &mut [f32]) {
    let largest = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    values.iter_mut().for_each(|value| *value = exp(*value - largest));
    let scale = 1.0 / sum(values);
    values.iter_mut().for_each(|value| *value *= scale);
}

/// x·Φ(x), with the error function of Abramowitz and Stegun, 7.1.26 (error below 2·10⁻⁷).
fn gelu(x: f32) -> f32 {
    let z = x.abs() * std::f32::consts::FRAC_1_SQRT_2;
    let t = 1.0 / (1.0 + 0.327_591_1 * z);
    let y = t * (0.254_829_6 + t * (-0.284_496_72 + t * (1.421_413_8 + t * (-1.453_152_1 + t * 1.061_405_4))));
    let erf = (1.0 - y * exp(-z * z)).copysign(x);
    0.5 * x * (1.0 + erf)
}

/// eˣ without branches, so that loops over it are vectorised; relative error below 3·10⁻⁷. 0 below -87.
fn exp(x: f32) -> f32 {
    // Adding it rounds to a whole number, which then stands in the lowest bits.
    const ROUND: f32 = 12_582_912.0;
    let x = x.clamp(-87.0, 88.0);
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let whole = shifted - ROUND;
    let r = x - whole * 0.693_359_4 + whole * 2.121_944_4e-4;
    let p = 0.5 + r * (0.166_666_67 + r * (0.041_666_67 + r * (0.008_333_34 + r * 0.001_388_9)));
    let scale = f32::from_bits((shifted.to_bits() << 23).wrapping_add(127 << 23));
    (1.0 + r + r * r * p) * scale
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exponential_and_gelu_are_exact_enough() {
        let mut x = -80.0_f32;
        while x < 80.0 {
            let exact = libm::exp(f64::from(x));
            assert!((f64::from(exp(x)) / exact - 1.0).abs() < 1e-6, "{x}");
            let exact = f64::from(x) * 0.5 * libm::erfc(-f64::from(x) / std::f64::consts::SQRT_2);
            assert!((f64::from(gelu(x)) - exact).abs() < 1e-6 * (1.0 + f64::from(x.abs())), "{x}");
            x += 0.037;
        }
        assert_eq!(exp(0.0), 1.0);
    }
}
