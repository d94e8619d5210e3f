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

/// z such that a standard normal variable stays below it with this probability; 0 below a half. Abramowitz and Stegun 26.2.23, off by
/// less than 0.00045.
pub(crate) fn normal_quantile(probability: f64) -> f64 {
    let tail = (1.0 - probability).clamp(f64::MIN_POSITIVE, 0.5);
    let t = (-2.0 * libm::log(tail)).sqrt();
    let (above, below) =
        (2.515_517 + t * (0.802_853 + t * 0.010_328), 1.0 + t * (1.432_788 + t * (0.189_269 + t * 0.001_308)));
    (t - above / below).max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_of_the_normal_law() {
        for (probability, z) in [(0.5, 0.0), (0.8, 0.841_621), (0.9, 1.281_552), (0.95, 1.644_854), (0.999, 3.090_232)]
        {
            assert!(
                (normal_quantile(probability) - z).abs() < 4.5e-4,
                "{probability}: {}",
                normal_quantile(probability)
            );
        }
        assert_eq!(normal_quantile(0.1), 0.0);
    }

    #[test]
    fn products_by_hand() {
        let a: Vec<f64> = (1..=11).map(f64::from).collect();
        let b: Vec<f32> = (1..=11).map(|x| x as f32).collect();
        // The sum of the first eleven squares: 11 · 12 · 23 / 6.
        assert_eq!((dot(&a, &b), dot(&a, &a)), (506.0, 506.0));
        assert_eq!((dot::<f64>(&[], &[]), sigmoid(0.0)), (0.0, 0.5));
    }
}
