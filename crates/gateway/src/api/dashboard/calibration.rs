//! Whether predictions are right: beside what they predicted.

use slarouter_core::{RouteSpec, Source, told_count, told_percent};
use slarouter_pages::TenthRow;
use slarouter_store::{StoreError, TENTHS, Tenth};

use crate::app::App;

/// What had been predicted of the answers that were rated of late; where there are audits it is they that count.
pub(super) async fn tenths(app: &App, route: &str, spec: &RouteSpec) -> Result<[Tenth; TENTHS], StoreError> {
    let source = if spec.audit_rate > 0.0 { Source::Audit } else { Source::User };
    app.store.calibration(route, source).await
}

/// The tenths of the range of predictions, those without a rating as well; nothing at all, if nobody has rated.
pub(super) fn rows(tenths: &[Tenth; TENTHS]) -> Vec<TenthRow> {
    if tenths.iter().all(|tenth| tenth.ratings == 0) {
        return Vec::new();
    }
    tenths.iter().enumerate().map(|(place, tenth)| row(place, tenth)).collect()
}

fn row(place: usize, tenth: &Tenth) -> TenthRow {
    let name = format!("{} to {} %", place * 100 / TENTHS, (place + 1) * 100 / TENTHS);
    let ratings = told_count(tenth.ratings);
    if tenth.ratings == 0 {
        let none = || "–".to_owned();
        let (width, mark) = ("0".to_owned(), "-1".to_owned());
        return TenthRow { tenth: name, ratings, predicted: none(), rated: none(), width, mark };
    }
    let n = tenth.ratings as f64;
    let (predicted, rated) = (tenth.predicted / n, tenth.rated / n);
    let (low, high) = wilson(rated, n);
    TenthRow {
        tenth: name,
        ratings,
        predicted: told_percent(predicted),
        rated: format!("{} ({:.1} to {:.1})", told_percent(rated), low * 100.0, high * 100.0),
        width: format!("{:.1}", rated * 100.0),
        mark: format!("{:.1}", predicted * 100.0),
    }
}

/// Wilson's interval of 95 % for a share of so many.
pub(super) fn wilson(share: f64, n: f64) -> (f64, f64) {
    const SQUARE: f64 = 1.959_964 * 1.959_964;
    let middle = (share + SQUARE / (2.0 * n)) / (1.0 + SQUARE / n);
    let half = (SQUARE * (share * (1.0 - share) / n + SQUARE / (4.0 * n * n))).sqrt() / (1.0 + SQUARE / n);
    (middle - half, middle + half)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_few_may_be_far_from_it() {
        let near = |(low, high): (f64, f64), a: f64, b: f64| (low - a).abs() < 5e-4 && (high - b).abs() < 5e-4;
        assert!(near(wilson(0.9, 100.0), 0.826, 0.945) && near(wilson(1.0, 10.0), 0.722, 1.0));
    }

    #[test]
    fn each_tenth_has_its_row_and_an_empty_one_says_nothing() {
        let mut tenths = [Tenth::default(); TENTHS];
        assert!(rows(&tenths).is_empty());
        tenths[9] = Tenth { ratings: 100, predicted: 95.0, rated: 90.0 };
        let rows = rows(&tenths);
        assert_eq!((rows.len(), rows[0].tenth.as_str(), rows[0].rated.as_str()), (10, "0 to 10 %", "–"));
        let last = &rows[9];
        assert_eq!(
            (last.tenth.as_str(), last.predicted.as_str(), last.mark.as_str()),
            ("90 to 100 %", "95.0 %", "95.0")
        );
        assert_eq!((last.rated.as_str(), last.width.as_str()), ("90.0 % (82.6 to 94.5)", "90.0"));
    }
}
