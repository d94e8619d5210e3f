//! An interval for the rate of labelling that holds at every time at once.

/// From `labels` out of `requests`, with error probability at most `error` over all times: the values at which the mixture of
/// likelihood ratios with a Beta(½, ½) prior is below 1/error (Robbins 1970; Ville's inequality).
///
/// Both ends come from Newton's method on a concave function, started outside the interval, where every step stays outside: it
/// can be stopped at any time. Some 200 ns.
pub(crate) fn interval(labels: u64, requests: u64, error: f64) -> (f64, f64) {
    let (n, rest) = (labels as f64, requests.saturating_sub(labels) as f64);
    if n + rest <= 0.0 {
        return (0.0, 1.0);
    }
    let mixture = libm::lgamma(n + 0.5) + libm::lgamma(rest + 0.5)
        - libm::lgamma(n + rest + 1.0)
        - libm::log(std::f64::consts::PI);
    // The slack covers the rounding of the logarithms of Γ.
    let least = mixture + libm::log(error) - 1e-14 * (1.0 + mixture.abs());
    (lower_end(n, rest, least), 1.0 - lower_end(rest, n, least))
}

/// The smaller root of n ln q + rest ln(1 − q) = least.
fn lower_end(n: f64, rest: f64, least: f64) -> f64 {
    if n <= 0.0 {
        return 0.0;
    }
    // In x = ln q the left side is concave, and n x alone lies above it.
    let mut x = (least / n).min(-f64::MIN_POSITIVE);
    for _ in 0..30 {
        let q = libm::exp(x);
        let missing = least - n * x - rest * libm::log1p(-q);
        let slope = n - rest * q / (1.0 - q);
        let step = missing / slope;
        if step.is_nan() || step <= 1e-12 || slope <= 0.0 {
            break;
        }
        x += step;
    }
    libm::exp(x)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// At the ends the evidence against the rate is 1/error, worked out the long way.
    #[test]
    fn ends_where_the_evidence_suffices() {
        for (labels, requests) in [(1, 10), (5, 5), (40, 200), (900, 1_000), (2_000, 100_000), (20, 3_000_000)] {
            let error = 1e-3;
            let (low, high) = interval(labels, requests, error);
            let (n, rest) = (labels as f64, (requests - labels) as f64);
            let log_beta = libm::lgamma(n + 0.5) + libm::lgamma(rest + 0.5) - libm::lgamma(n + rest + 1.0);
            let evidence =
                |q: f64| log_beta - libm::log(std::f64::consts::PI) - n * libm::log(q) - rest * libm::log1p(-q);
            assert!(low < n / (n + rest) && (high > n / (n + rest) || high == 1.0));
            assert!((evidence(low) + libm::log(error)).abs() < 1e-6, "{labels} of {requests}: {low}");
            assert!(high == 1.0 || (evidence(high) + libm::log(error)).abs() < 1e-6, "{labels} of {requests}: {high}");
        }
        assert_eq!(interval(0, 0, 0.1), (0.0, 1.0));
        assert_eq!(interval(0, 100, 0.1).0, 0.0);
        assert!(interval(0, 100, 0.1).1 < 0.1);
    }
}
