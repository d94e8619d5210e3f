//! An interval on a scale, beside what is promised.

use slarouter_core::{Certificate, told_percent};

use crate::state::Badge;

/// Share of the scale that is left of everything that counts.
const MARGIN: f64 = 0.05;

/// An interval on a scale from `low` to 100 %. Places are percent of its width.
#[derive(Clone, Debug, PartialEq)]
pub struct Gauge {
    /// The class of its colours, as that of the state.
    pub tone: &'static str,
    /// What it shows, for those who do not see it.
    pub label: String,
    /// Where the scale begins.
    pub low: String,
    /// Where the interval begins, and how wide it is.
    pub from: String,
    /// Its width.
    pub width: String,
    /// The estimate, where there is enough evidence to show one.
    pub point: Option<String>,
    /// What is promised.
    pub target: String,
}

impl Gauge {
    /// The certificate of an SLA beside α, in the colours of its state.
    #[must_use]
    pub fn of(certificate: &Certificate, alpha: f64, badge: Badge, shows_estimate: bool) -> Self {
        let Certificate { estimate, lower, upper, .. } = *certificate;
        let low = ((lower.min(alpha) - MARGIN).max(0.0) * 10.0).floor() / 10.0;
        let place = |value: f64| ((value - low) / (1.0 - low) * 100.0).clamp(0.0, 100.0);
        let told = |place: f64| format!("{place:.2}");
        Self {
            tone: badge.tone,
            label: format!(
                "Between {} and {}; {} are promised",
                told_percent(lower),
                told_percent(upper),
                told_percent(alpha)
            ),
            low: format!("{:.0} %", low * 100.0),
            from: told(place(lower)),
            width: told((place(upper) - place(lower)).max(0.3)),
            point: shows_estimate.then(|| told(place(estimate))),
            target: told(place(alpha)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scale_begins_below_all_that_counts() {
        let gauge = |lower, upper| {
            let certificate = Certificate { requests: 1, labels: 1, estimate: 0.9, lower, upper };
            Gauge::of(&certificate, 0.9, Badge::good("holds"), true)
        };
        let narrow = gauge(0.875, 0.925);
        assert_eq!((&*narrow.low, &*narrow.from, &*narrow.width, &*narrow.target), ("80 %", "37.50", "25.00", "50.00"));
        assert_eq!(narrow.label, "Between 87.5 % and 92.5 %; 90.0 % are promised");
        let all = gauge(0.0, 1.0);
        assert_eq!((&*all.low, &*all.from, &*all.width), ("0 %", "0.00", "100.00"));
        assert_eq!(gauge(1.0, 1.0).width, "0.30", "it is seen however narrow it is");
    }
}
