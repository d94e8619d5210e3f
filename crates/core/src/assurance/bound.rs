//! Bounds on the mean satisfaction from a mixture of martingales; `docs/guarantees.md` has the proof.

use super::block::Group;
use super::rate;
use super::sums::CLASSES;

/// Share of the error probability spent on not knowing the rates of labelling.
const RATE_SHARE: f64 = 0.2;
/// λ runs over the powers of 2^(1/2).
const STEP: f64 = 0.5;
/// λ/φ is best near √(2 ln(1/δ) / (labels · mean y²)): this is for some 1,500 labels, and the tails are heavy.
const CENTRE: f64 = 0.2;
/// Half of the prior weight lies within so many powers of two of the centre.
const SPREAD: f64 = 2.0;
/// Values of λ that are looked at.
const TERMS: usize = 13;

pub(super) struct Bounds {
    pub(super) lower: f64,
    pub(super) upper: f64,
}

/// A group with an interval for its rate, as ρ = 1/φ.
struct Rated<'a> {
    group: &'a Group,
    ends: [f64; 2],
}

/// Lower and upper bound, both right at all times at once with probability at least 1 − `error`.
pub(super) fn bounds(groups: &[Group], error: f64) -> Bounds {
    let (mut requests, mut predicted, mut labels, mut satisfied) = (0.0, 0.0, 0.0, 0.0);
    for group in groups {
        requests += group.requests as f64;
        predicted += group.predicted;
        labels += group.sums.labels as f64;
        satisfied += group.sums.satisfied();
    }
    if requests <= 0.0 {
        return Bounds { lower: 0.0, upper: 1.0 };
    }
    // What is labelled is known; the rest lies between 0 and 1.
    let mut lower = satisfied / requests;
    let mut upper = 1.0 - (labels - satisfied) / requests;
    let estimated = groups.iter().any(|group| group.rate.is_none());
    let for_rates = if estimated { RATE_SHARE * error } else { 0.0 };
    let rated: Vec<_> = groups.iter().map(|group| Rated::new(group, for_rates)).collect();
    let needed = -libm::log((error - for_rates) / 2.0);
    if let Some(residual) = least_residual(&rated, false, needed) {
        lower = lower.max((predicted + residual) / requests);
    }
    if let Some(residual) = least_residual(&rated, true, needed) {
        upper = upper.min((predicted - residual) / requests);
    }
    let lower = lower.clamp(0.0, 1.0);
    Bounds { lower, upper: upper.clamp(lower, 1.0) }
}

/// The largest Y known to lie below Σ y (below −Σ y if `mirrored`), unless there is none.
fn least_residual(rated: &[Rated<'_>], mirrored: bool, needed: f64) -> Option<f64> {
    let [rho_high, rho_low] = rated.first()?.ends;
    let limit = rated.iter().map(|rated| rated.limit()).fold(f64::INFINITY, f64::min);
    if !(rho_high.is_finite() && limit > 0.0) {
        return None;
    }
    // Terms may be left out at will, since that only lowers the sum. Those near the best λ decide it.
    let variance: f64 = rated.iter().map(Rated::variance).sum();
    let best = libm::sqrt(2.0 * needed / variance.max(1e-12)).min(limit).min(64.0);
    let middle = libm::floor(libm::log2(best) / STEP) as i32;
    let mut terms = [(0.0, 0.0); TERMS];
    let mut count = 0;
    for k in (middle - TERMS as i32 / 2..).take(TERMS) {
        let lambda = libm::exp2(f64::from(k) * STEP);
        if lambda >= limit {
            break;
        }
        let falls: [f64; CLASSES] = std::array::from_fn(|class| libm::expm1(-lambda * edge(class)));
        let gain: f64 = rated.iter().map(|rated| rated.gain(lambda, &falls, mirrored)).sum();
        if gain.is_finite() {
            // The weight of λ is a fixed function of λ/φ of the first group. Its rate is known to lie in an interval; as
            // the function has one peak, its least value there is at an end.
            let weight = weight(lambda * rho_high, STEP).min(weight(lambda * rho_low, STEP));
            terms[count] = (lambda, libm::log(weight) + gain);
            count += 1;
        }
    }
    root(&terms[..count], needed)
}

/// The root Y of Σ exp(−λ Y + c) = e^needed.
///
/// The logarithm of the sum is convex and falls: from the left of the root Newton's method never passes it, so every step is
/// a bound.
pub(crate) fn root(terms: &[(f64, f64)], needed: f64) -> Option<f64> {
    let alone = terms.iter().map(|(lambda, c)| (c - needed) / lambda);
    let mut y = alone.reduce(f64::max)?;
    for _ in 0..8 {
        let (mut sum, mut slope) = (0.0, 0.0);
        for (lambda, c) in terms {
            let term = libm::exp(c - lambda * y - needed);
            sum += term;
            slope += lambda * term;
        }
        let step = libm::log(sum) * sum / slope;
        if step.is_nan() || step <= 1e-9 * (1.0 + y.abs()) {
            break;
        }
        y += step;
    }
    Some(y - 1e-12 * (1.0 + y.abs()))
}

/// Weight of λ = φ·`theta`: a Cauchy density in log θ, summing to at most 1 over the grid wherever the grid lies.
pub(crate) fn weight(theta: f64, step: f64) -> f64 {
    let distance = libm::log2(theta / CENTRE) / SPREAD;
    // The sum of a function with one peak is at most its integral over the step plus its largest value.
    1.0 / ((1.0 + distance * distance) * (std::f64::consts::PI * SPREAD / step + 1.0))
}

/// The largest |y| of a class.
fn edge(class: usize) -> f64 {
    (class + 1) as f64 / CLASSES as f64
}

impl<'a> Rated<'a> {
    fn new(group: &'a Group, for_rates: f64) -> Self {
        let (low, high) = match group.rate {
            Some(rate) => (rate, rate),
            None => rate::interval(group.sums.labels.max(0) as u64, group.requests, for_rates * group.share),
        };
        Self { group, ends: [1.0 / low, 1.0 / high] }
    }

    /// λ has to stay below this: 1 − e^−λ < φ.
    fn limit(&self) -> f64 {
        -libm::log1p(-1.0 / self.ends[0])
    }

    /// Variance of Σ y/φ over the labels, roughly.
    fn variance(&self) -> f64 {
        let rho = 0.5 * (self.ends[0] + self.ends[1]);
        (rho * rho - rho) * self.group.sums.squared_residual()
    }

    /// The least Σ h(y) over the labels that the interval of the rate allows.
    ///
    /// h, and the bound below, is concave in ρ, so the least value is at an end.
    fn gain(&self, lambda: f64, falls: &[f64; CLASSES], mirrored: bool) -> f64 {
        let sums = &self.group.sums;
        let residual = if mirrored { -sums.residual() } else { sums.residual() };
        let (down, up) = (sums.squares(mirrored), sums.squares(!mirrored));
        let up: f64 = up.iter().sum();
        let gain = |rho: f64| {
            // For y > 0: h(y) ≥ a y + h''(0) y²/2. For −r ≤ y < 0: h(y) ≥ a y − b y² with equality at −r. Both since h''' ≥ 0.
            let a = lambda * rho;
            let mut gain = a * residual - 0.5 * lambda * lambda * (rho * rho - rho) * up;
            for (class, (fall, square)) in falls.iter().zip(down).enumerate() {
                if square > 0.0 {
                    let edge = edge(class);
                    gain += (libm::log1p(rho * fall) + a * edge) / (edge * edge) * square;
                }
            }
            gain
        };
        gain(self.ends[0]).min(if self.group.rate.is_some() { f64::INFINITY } else { gain(self.ends[1]) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::assurance::block::Block;
    use crate::{SatisfactionAccount, Span, Timestamp};

    /// The bound on the sum of h never lies above it, for any label, rate and λ; and at the edges of the classes it is h.
    #[test]
    fn lies_below_the_logarithm() {
        for rate in [0.01_f64, 0.2, 0.7, 1.0] {
            for share in [0.01_f64, 0.3, 0.9, 0.999] {
                let lambda = -libm::log1p(-(rate * share).min(0.999));
                for step in -40..=40 {
                    let y = f64::from(step) / 40.0;
                    let mut block = Block::new(Timestamp(0), Some(rate));
                    block.audits.change((-y).max(0.0), None, Some(y.max(0.0)));
                    block.requests = 1;
                    let groups = crate::assurance::block::groups(&[block].into(), 0, 1);
                    let rated = Rated::new(&groups[0], 0.0);
                    let falls = std::array::from_fn(|class| libm::expm1(-lambda * edge(class)));
                    for mirrored in [false, true] {
                        let z = groups[0].sums.residual() * if mirrored { -1.0 } else { 1.0 };
                        let h = libm::log1p(libm::expm1(lambda * z) / rate);
                        let gain = rated.gain(lambda, &falls, mirrored);
                        assert!(gain <= h + 1e-9, "{rate} {lambda} {y}: {gain} above {h}");
                        if [-10, -20, -30, -40].contains(&step) && !mirrored {
                            assert!((gain - h).abs() < 1e-9, "{rate} {lambda} {y}: {gain} is not {h}");
                        }
                    }
                }
            }
        }
    }

    /// The weights sum to at most 1 wherever the grid lies.
    #[test]
    fn weights_sum_to_at_most_one() {
        for shift in 0..20 {
            let weights = (-4_000..4_000)
                .map(|k| weight(libm::exp2(STEP * (f64::from(k) / 4.0 + f64::from(shift) / 20.0)), STEP));
            let sum: f64 = weights.step_by(4).sum();
            assert!((0.9..=1.0).contains(&sum), "{sum}");
        }
    }

    /// A rate of audits that is known gives a narrower interval than the same labels with a rate that is not.
    #[test]
    fn knowing_the_rate_helps() {
        let mut audited = SatisfactionAccount::new(0.95, Span::Open);
        audited.set_audit_rate(Some(0.1));
        let mut rated = SatisfactionAccount::new(0.95, Span::Open);
        for t in 0..5_000 {
            for account in [&mut audited, &mut rated] {
                account.answered(Timestamp(t), 0.5);
            }
            if t % 10 == 0 {
                let label = Some(if t % 20 == 0 { 1.0 } else { 0.0 });
                audited.audited(Timestamp(t), 0.5, None, label);
                rated.labelled(Timestamp(t), 0.5, None, label);
            }
        }
        let (known, unknown) = (audited.certificate(), rated.certificate());
        assert!(unknown.lower < known.lower && known.upper < unknown.upper, "{known:?} {unknown:?}");
    }
}
