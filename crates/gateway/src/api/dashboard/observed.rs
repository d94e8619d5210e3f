//! What a route that is only observed would have given, in words.

use slarouter_core::{told_count, told_money, told_percent};
use slarouter_pages::{ObservedCard, Tile};
use slarouter_store::Observed;

/// The card on the page of a route. `fallback` is what serves; `still` says whether the route is observed now, or was within the range.
pub(super) fn card(found: &Observed, fallback: &str, still: bool) -> ObservedCard {
    ObservedCard { title: title(still), sentence: sentence(found, fallback), tiles: tiles(found, fallback) }
}

/// The same at a glance.
pub(super) fn glance(found: &Observed) -> String {
    let interval = found.saved_interval_usd.map(|(low, high)| (low / found.baseline_usd, high / found.baseline_usd));
    with_interval(found.saved_usd / found.baseline_usd, interval, told_percent)
}

fn title(still: bool) -> &'static str {
    if still { "If it were switched on" } else { "While it was only observed" }
}

fn sentence(found: &Observed, fallback: &str) -> String {
    let saved = with_interval(found.saved_usd, found.saved_interval_usd, told_money);
    let satisfied = with_interval(found.satisfaction, found.satisfaction_interval, told_percent);
    let sure = match (found.saved_interval_usd, found.satisfaction_interval) {
        (Some(_), Some(_)) => "The intervals hold with about 95 %.",
        (Some(_), None) => {
            "The interval holds with about 95 %; how sure the satisfaction is cannot be said before other models were rated 50 times."
        }
        _ => "How sure that is cannot be said yet: other models have answered too little.",
    };
    format!(
        "The plan would have saved {saved} of the {} that {fallback} alone would have cost, and {satisfied} of its answers would have \
         satisfied. {sure}",
        told_money(found.baseline_usd)
    )
}

fn tiles(found: &Observed, fallback: &str) -> Vec<Tile> {
    let counted = |count: i64| told_count(count.max(0).cast_unsigned());
    let satisfied = with_interval(found.satisfaction, found.satisfaction_interval, told_percent);
    vec![
        Tile { name: "Would save", value: glance(found), note: format!("of what {fallback} alone would have cost") },
        Tile {
            name: "Would satisfy",
            value: satisfied,
            note: format!(
                "by predictions, corrected by {} ratings, {} of other models",
                counted(found.labels),
                counted(found.tried)
            ),
        },
        Tile {
            name: "Rests on",
            value: counted(found.requests),
            note: format!(
                "requests that were observed; for {} of what was planned the answer could have been drawn, for the rest predictions \
                 alone speak",
                told_percent(found.supported)
            ),
        },
    ]
}

/// A figure and the interval that it is in, if that is known.
fn with_interval(value: f64, interval: Option<(f64, f64)>, told: fn(f64) -> String) -> String {
    let interval = interval.map(|(low, high)| format!(" [{}, {}]", told(low), told(high))).unwrap_or_default();
    format!("{}{interval}", told(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_is_not_said() {
        let found = Observed {
            requests: 12_000,
            baseline_usd: 200.0,
            saved_usd: 50.0,
            saved_interval_usd: Some((40.0, 60.0)),
            satisfaction: 0.921,
            satisfaction_interval: Some((0.904, 0.938)),
            labels: 410,
            tried: 75,
            supported: 1.0,
        };
        let begins = "The plan would have saved $50.00 [$40.00, $60.00] of the $200.00 that large alone would have cost, and 92.1 % \
                      [90.4 %, 93.8 %] of its answers would have satisfied. The intervals hold";
        assert!(sentence(&found, "large").starts_with(begins), "{}", sentence(&found, "large"));
        assert_eq!(glance(&found), "25.0 % [20.0 %, 30.0 %]");
        let less = Observed { satisfaction_interval: None, ..found };
        assert!(sentence(&less, "large").contains("92.1 % of its answers"), "{}", sentence(&less, "large"));
        assert!(sentence(&less, "large").ends_with("before other models were rated 50 times."));
        let least = Observed { saved_interval_usd: None, ..less };
        assert!(sentence(&least, "large").ends_with("other models have answered too little."));
        assert_eq!(glance(&least), "25.0 %");
    }
}
