//! The figures of a route.

use slarouter_core::policy::Window;
use slarouter_core::{Account, Certificate, Thrift, told_count, told_money, told_percent};
use slarouter_pages::{Tile, budget};
use slarouter_store::{Totals, saving};

use super::calibration::wilson;
use super::standing::Standing;
use crate::api::series::Late;

/// What a route saves of late against its fallback alone, and what stands in the way where that is little.
fn thrift(thrift: &Thrift) -> Tile {
    let note = match thrift.obstacle {
        Some(obstacle) => {
            format!("of what the fallback alone would cost: {}. {}.", obstacle.cause(), capital(obstacle.remedy()))
        }
        None => "of what the fallback alone was predicted to cost for the last thousand or so requests".to_owned(),
    };
    Tile { name: "Saved of late", value: told_percent(thrift.saving), note }
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// What is known of a route at any moment.
pub(super) fn tiles(standing: &Standing<'_>) -> Vec<Tile> {
    let (router, account) = (standing.router, standing.router.account());
    let mut tiles = vec![Tile { name: "Objective", value: told_percent(router.alpha()), note: objective(standing) }];
    if let Some(certificate) = &standing.certificate {
        tiles.extend(evidence(standing, certificate));
    }
    tiles.extend(standing.thrift.as_ref().map(thrift));
    tiles.push(explored(account));
    tiles
}

fn objective(standing: &Standing<'_>) -> String {
    let Some((assurance, window)) = standing.certified() else {
        return "of the answers are to satisfy; this policy does not certify it".to_owned();
    };
    let window = match window {
        Window::Run => "over the whole run".to_owned(),
        Window::Requests(count) => format!("over the last {} requests", told_count(count)),
        Window::Period(ms) => format!("in every {} hours", told_count(ms / 3_600_000)),
    };
    format!("of the answers are to satisfy, {window}, with {} assurance", told_percent(assurance))
}

fn evidence(standing: &Standing<'_>, certificate: &Certificate) -> [Tile; 2] {
    let Certificate { requests, labels, estimate, lower, upper } = *certificate;
    let alpha = standing.router.alpha();
    let between = format!("between {:.1} and {}", lower * 100.0, told_percent(upper));
    let ratings = format!("{} ratings", told_count(labels));
    if !standing.is_telling() {
        let note = format!("{between} so far, by {ratings}: too few for a point");
        let reserve = "shown once there is enough evidence".to_owned();
        return [("Satisfaction", note), ("Reserve", reserve)].map(|(name, note)| Tile {
            name,
            value: "–".to_owned(),
            note,
        });
    }
    let ((points, share), (least, _), (most, _)) =
        (budget(estimate, alpha), budget(lower, alpha), budget(upper, alpha));
    let answers = (estimate - alpha) * requests as f64;
    let note = format!(
        "from {least} to {most}; {share} of what may fail, about {answers:+.0} answers. The policy spends what is not needed: \
         a small reserve that is proven costs least"
    );
    [
        Tile { name: "Satisfaction", value: told_percent(estimate), note: format!("{between}, by {ratings}") },
        Tile { name: "Reserve", value: format!("{points} points"), note },
    ]
}

fn explored(account: &Account) -> Tile {
    let share = if account.requests > 0 { account.explored as f64 / account.requests as f64 } else { 0.0 };
    let note = "of the requests were drawn away from the best choice, to learn or to mix".to_owned();
    Tile { name: "Drawn", value: told_percent(share), note }
}

/// What a route cost within a range, in blocks of time, and what of that was saved against its fallback alone: as the chart of the cost.
pub(super) fn costs(blocks: &[Totals], fallback: &str) -> Vec<Tile> {
    let mut all = Totals::default();
    blocks.iter().for_each(|block| all += *block);
    let requests = all.requests.max(0).cast_unsigned();
    let each = if requests > 0 { told_money(all.cost_usd() / requests as f64) } else { "nothing".to_owned() };
    let note = format!("{each} per request, {} requests within the range below", told_count(requests));
    let mut tiles = vec![Tile { name: "Cost", value: told_money(all.cost_usd()), note }];
    tiles.extend(saved(blocks).map(|value| {
        let found = saving(blocks);
        let sure = match found.interval {
            Some(interval) => {
                format!("; between {} and {} with about 95 %", told_money(interval.0), told_money(interval.1))
            }
            None => format!("; {fallback} was drawn in too few stretches of time to say how sure that is"),
        };
        let (usd, baseline) = (told_money(found.usd), told_money(all.baseline_usd()));
        Tile {
            name: "Saved",
            value,
            note: format!("{usd} of the {baseline} that {fallback} alone would have cost{sure}"),
        }
    }));
    tiles
}

/// The share of the fallback's cost that was saved, and its interval; `None` where it costs nothing.
pub(super) fn saved(blocks: &[Totals]) -> Option<String> {
    let baseline: f64 = blocks.iter().map(Totals::baseline_usd).sum();
    let found = saving(blocks);
    let share = |usd: f64| format!("{:.1}", usd / baseline * 100.0);
    let between = found.interval.map(|(low, high)| format!(" [{}, {}]", share(low), share(high))).unwrap_or_default();
    (baseline > 0.0).then(|| format!("{}{between} %", share(found.usd)))
}

/// What those who rated said of the answers of the last hour, and of the last thousand or so.
pub(super) fn rated(late: &Late) -> Tile {
    let told = |totals: &Totals, of: &str| match totals.satisfaction() {
        Some(mean) => {
            let (low, high) = wilson(mean, totals.ratings as f64);
            let between = format!("{:.1} to {}", low * 100.0, told_percent(high));
            let ratings = told_count(totals.ratings.max(0).cast_unsigned());
            format!("{} of those who rated {of} ({between}; {ratings} ratings)", told_percent(mean))
        }
        None => format!("nobody has rated {of}"),
    };
    let of = format!("the last {} answers", told_count(late.thousand.requests.max(0).cast_unsigned()));
    Tile {
        name: "Rated of late",
        value: late.hour.satisfaction().map_or_else(|| "–".to_owned(), told_percent),
        note: format!(
            "{}; {}. The certificate corrects for who rates",
            told(&late.hour, "answers of the last hour"),
            told(&late.thousand, &of)
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_saved_is_told_of_the_fallback_with_its_interval() {
        let block =
            Totals { requests: 10, cost_nano: 3_000_000_000, baseline_nano: 4_000_000_000, ..Totals::default() };
        assert_eq!(saved(&[block; 2]).unwrap(), "25.0 %");
        assert_eq!(saved(&[Totals { baseline_nano: 0, ..block }]), None);
        let [cost, unsure] = &costs(&[block; 2], "large")[..] else { panic!("two tiles") };
        assert_eq!(
            (cost.value.as_str(), cost.note.as_str()),
            ("$6.00", "$0.30 per request, 20 requests within the range below")
        );
        assert!(
            unsure.note.starts_with("$2.00 of the $8.00 that large alone would have cost; large was drawn"),
            "{unsure:?}"
        );
        let drawn = Totals { supported: 10, checked: 1, ..block };
        let blocks: Vec<_> = (0..8).map(|n| Totals { correction_nano: (n % 2) * 1_000_000, ..drawn }).collect();
        let sure = &costs(&blocks, "large")[1];
        assert!(
            sure.value.starts_with("25.0 [25.0, 25.0") && sure.note.contains("; between $8.00 and $8.01 with"),
            "{sure:?}"
        );
    }
}
