//! Arithmetic whose order never changes, so that the same numbers give the same bits everywhere.

/// 1/(1 + e⁻ᶻ).
#[must_use]
pub fn sigmoid(z: f64) -> f64 {
    1.0 / (1.0 + libm::exp(-z))
}

/// The sum of the products of two vectors of one length; 0 if either is empty. Eight running sums: the compiler can vectorise them.
#[must_use]
pub fn dot<B: Copy + Into<f64>>(a: &[f64], b: &[B]) -> f64 {
    let mut sums = [0.0; 8];
    let (a, b) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest: f64 = a.remainder().iter().zip(b.remainder()).map(|(a, &b)| a * b.into()).sum();
    for (a, b) in a.zip(b) {
        for i in 0..8 {
            sums[i] += a[i] * b[i].into();
        }
    }
    sums.iter().sum::<f64>() + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_by_hand() {
        let a: Vec<f64> = (1..=11).map(f64::from).collect();
        let b: Vec<f32> = (1..=11).map(|x| x as f32).collect();
        // The sum of the first eleven squares: 11 · 12 · 23 / 6.
        assert_eq!((dot(&a, &b), dot(&a, &a)), (506.0, 506.0));
        assert_eq!((dot::<f64>(&[], &[]), sigmoid(0.0)), (0.0, 0.5));
    }
}
