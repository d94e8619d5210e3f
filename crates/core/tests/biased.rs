//! Ratings that depend on satisfaction, with audits and without, and a rater who means harm.
//!
//! `make tables` prints the rows of docs/guarantees.md.
//!
//! All streams are seeded. Where a count over runs is asserted, the bound is that of a binomial law and stated with it.
#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

#[path = "common/route.rs"]
#[expect(dead_code, reason = "not every test file makes its routes in every way")]
mod route;
#[path = "common/users.rs"]
mod users;

use route::models;
use slarouter_core::PolicySpec;
use users::{Crowd, PRICES, Poisoner, Run, Stream};

const ALPHA: f64 = 0.8;
const RUNS: u64 = 20;
/// Misses at an assurance of 0.95 in 20 runs are at most Binomial(20, 0.05), which exceeds 8 with probability below 4e-7.
const MISSES: usize = 8;
/// Of 20 runs that each keep α with probability 0.9, fewer than 12 do with probability below 8e-5.
const KEPT: usize = 12;

fn stream(happy: f64, unhappy: f64, audit_rate: f64) -> Stream {
    let mut spec = route::spec(models(&PRICES), ALPHA, PolicySpec::parse("certified").unwrap());
    (spec.audit_rate, spec.feedback_window_ms) = (audit_rate, u64::MAX);
    Stream { spec, requests: 12_000, happy, unhappy, crowd: None, poisoner: None }
}

#[expect(clippy::print_stdout, reason = "shown by --nocapture")]
fn runs(name: &str, stream: &Stream) -> Vec<Run> {
    let runs: Vec<Run> = (0..RUNS).map(|seed| show(name, stream.run(seed))).collect();
    let (kept, missed) = (count(&runs, |run| run.realised >= ALPHA), count(&runs, |run| run.missed));
    let (cost, realised) = (mean(&runs, |run| run.cost), mean(&runs, |run| run.realised));
    let offset = runs.iter().map(Run::offset).sum::<Option<f64>>().map(|sum| sum / RUNS as f64);
    println!("| {name} | {kept} ({realised:.2} realised) | {missed} | {cost:.2} | {offset:.2?} |");
    runs
}

#[expect(clippy::print_stdout, reason = "shown by --nocapture")]
fn show(name: &str, run: Run) -> Run {
    println!(
        "{name:<30} realised {:.3}, cost {:.3}, mix {:?}, ratings {}, audits {}, offset {:.2?}, certificate {:.3} to {:.3}{}",
        run.realised,
        run.cost,
        run.mix,
        run.ratings,
        run.audits,
        run.offset(),
        run.certificate.lower,
        run.certificate.upper,
        if run.missed { ", missed" } else { "" }
    );
    run
}

fn mean(runs: &[Run], of: impl Fn(&Run) -> f64) -> f64 {
    runs.iter().map(of).sum::<f64>() / runs.len() as f64
}

fn count(runs: &[Run], of: impl Fn(&Run) -> bool) -> usize {
    runs.iter().filter(|run| of(run)).count()
}

/// What a run with audits owes, whatever the users do.
fn keeps_its_word(name: &str, runs: &[Run]) {
    let (kept, missed) = (count(runs, |run| run.realised >= ALPHA), count(runs, |run| run.missed));
    assert!(kept >= KEPT, "{name}: α kept in {kept} runs only");
    assert!(missed <= MISSES, "{name}: the certificate missed in {missed} runs");
    assert!(mean(runs, |run| run.realised) >= ALPHA);
}

/// The dissatisfied rate ten times as often.
#[test]
fn complaints_cost_less_with_audits() {
    let (happy, unhappy) = (0.02, 0.2);
    let believed = runs("complaints", &stream(happy, unhappy, 0.0));
    let audited = runs("complaints, audits", &stream(happy, unhappy, 0.02));
    let alone = runs("audits alone", &stream(0.0, 0.0, 0.02));

    // Believed, they look like a route far below α: safe, at the price of the most expensive model, and the certificate is of those who rate.
    assert_eq!(count(&believed, |run| run.realised >= ALPHA), RUNS as usize);
    assert!(mean(&believed, |run| run.cost) > 0.9);
    assert_eq!(count(&believed, |run| run.missed), RUNS as usize, "the bias is too small to test anything");

    keeps_its_word("complaints, audits", &audited);
    assert!(mean(&audited, |run| run.cost) < 0.6 * mean(&believed, |run| run.cost));
    // The ratings, corrected, are worth something beyond the audits.
    assert!(mean(&audited, |run| run.cost) < mean(&alone, |run| run.cost));
    let truth = (happy / unhappy).ln();
    for run in &audited {
        let offset = run.offset().unwrap();
        assert!((offset - truth).abs() < 0.9, "{offset} instead of {truth}");
    }
    assert!((mean(&audited, |run| run.offset().unwrap()) - truth).abs() < 0.3);
}

/// The satisfied rate ten times as often.
#[test]
fn flattery_breaks_the_target_without_audits_only() {
    let (happy, unhappy) = (0.2, 0.02);
    let believed = runs("flattery", &stream(happy, unhappy, 0.0));
    assert_eq!(count(&believed, |run| run.realised >= ALPHA - 0.1), 0, "what cannot be promised is documented as such");
    let audited = runs("flattery, audits", &stream(happy, unhappy, 0.02));
    keeps_its_word("flattery, audits", &audited);
    let truth = (happy / unhappy).ln();
    // Some 40 of the dissatisfied rate in a run: the offset is known to ±0.3 in each, and a little too large with the prior it starts from.
    assert!((mean(&audited, |run| run.offset().unwrap()) - truth).abs() < 0.5);
}

/// Labels that are all the same tell nothing apart, and must do no harm.
#[test]
fn labels_that_are_all_the_same_do_no_harm_with_audits() {
    let down = runs("thumbs down only, audits", &stream(0.0, 0.2, 0.02));
    let up = runs("thumbs up only, audits", &stream(0.2, 0.0, 0.02));
    let alone = runs("audits alone", &stream(0.0, 0.0, 0.02));
    keeps_its_word("down", &down);
    keeps_its_word("up", &up);
    let cost = |runs: &[Run]| mean(runs, |run| run.cost);
    assert!(cost(&down) < 1.1 * cost(&alone), "{} against {}", cost(&down), cost(&alone));
    assert!(cost(&up) < 1.1 * cost(&alone), "{} against {}", cost(&up), cost(&alone));
    // Without audits: the certificate is of those who rate, and the fallback serves, as nothing tells the models apart.
    let believed = runs("thumbs down only", &stream(0.0, 0.2, 0.0));
    assert!(believed.iter().all(|run| run.certificate.lower < 0.05 && run.missed));
    assert!(cost(&believed) > 1.3 * cost(&down), "{} against {}", cost(&believed), cost(&down));
}

/// The model with the best bargain.
const BARGAIN: usize = 2;
/// The default of the gateway.
const SHARE: f64 = 0.1;

/// 4,000 requests and 800 honest ratings a day, for three days. Eight runs.
fn rated(rater_limit: u64, rater_share: f64, crowd: Option<Crowd>, poisoner: Option<Poisoner>) -> Vec<Run> {
    let mut stream = Stream { crowd, poisoner, ..stream(0.2, 0.2, 0.0) };
    (stream.spec.rater_limit, stream.spec.rater_share) = (rater_limit, rater_share);
    let name = format!("limit {rater_limit}, share {rater_share}, {poisoner:?}");
    (0..8).map(|seed| show(&name, stream.run(seed))).collect()
}

/// A liar under one name, among users without any.
fn liar(from: u64) -> Option<Poisoner> {
    Some(Poisoner { model: BARGAIN, from, names: 1 })
}

/// The bargain's share of the second half.
fn bargain(run: &Run) -> f64 {
    run.mix[BARGAIN] as f64 / 6_000.0
}

/// From the first request on, or once the route has a day of experience.
#[test]
fn a_poisoner_moves_the_mix_no_further_than_the_limit_allows() {
    let honest = rated(0, 0.0, None, None);
    let (share, cost) = (mean(&honest, bargain), mean(&honest, |run| run.cost));
    assert!(share > 0.3, "there is something to lose");
    for (from, limits) in [(0, [0, 2]), (4_000, [0, 20])] {
        let unlimited = mean(&rated(0, 0.0, None, liar(from)), bargain);
        assert!(unlimited < 0.02, "without a limit he drives it out: {unlimited}");
        for limit in limits {
            let runs = rated(limit, SHARE, None, liar(from));
            let (limited, paid) = (mean(&runs, bargain), mean(&runs, |run| run.cost));
            assert!(limited > share - 0.15, "limit {limit} from {from}: {limited} instead of {share}");
            assert!(runs.iter().all(|run| bargain(run) > 0.1), "limit {limit} from {from}: driven out of one run");
            assert!(paid < 1.25 * cost, "limit {limit} from {from}: {paid} instead of {cost}");
            let realised = mean(&runs, |run| run.realised);
            assert!(realised >= ALPHA, "what he does costs money, not satisfaction: {realised}");
        }
    }
}

/// Teams, by name: of how many, and who of them rates.
const TEAMS: [(&str, Crowd); 7] = [
    ("1", |_| 1),
    ("2", |u| 1 + (2.0 * u) as u64),
    ("3, one says two thirds", |u| 1 + (4.5 * u - 2.0).max(0.0) as u64),
    ("5", |u| 1 + (5.0 * u) as u64),
    ("5, one says a half", |u| 1 + (8.0 * u - 3.0).max(0.0) as u64),
    ("20", |u| 1 + (20.0 * u) as u64),
    ("20, one says a half", |u| 1 + (38.0 * u - 18.0).max(0.0) as u64),
];

/// The share of the ratings that was set aside.
fn aside(run: &Run) -> f64 {
    run.learner.ledger().set_aside() as f64 / run.ratings as f64
}

#[test]
fn a_team_learns_however_small() {
    for (name, crowd) in TEAMS {
        let (free, runs) = (rated(0, 0.0, Some(crowd), None), rated(0, SHARE, Some(crowd), None));
        let (cost, realised) =
            (mean(&runs, |run| run.cost) / mean(&free, |run| run.cost), mean(&runs, |run| run.realised));
        // Whoever says far more than the others is cut, which costs labels.
        let (dearer, most) = if name.contains("one says") { (1.5, 0.55) } else { (1.15, 0.1) };
        assert!(realised >= ALPHA && cost < dearer, "team of {name}: {realised} at {cost} times the cost");
        assert!(mean(&runs, aside) < most, "team of {name}: {} set aside", mean(&runs, aside));
    }
}

#[test]
#[ignore = "prints rows of docs/guarantees.md: make tables"]
fn table() {
    let of = |runs: &[Run]| {
        let least = runs.iter().map(bargain).fold(1.0, f64::min);
        format!("{:.0} % ({:.0} %)", 100.0 * mean(runs, bargain), 100.0 * least)
    };
    println!("| ratings per day, share | from the first request | from the second day |\n| --- | --- | --- |");
    println!("| nobody lies | {} | |", of(&rated(0, 0.0, None, None)));
    for (limit, share) in [
        (0, 0.0),
        (2, 0.0),
        (5, 0.0),
        (20, 0.0),
        (50, 0.0),
        (0, 0.05),
        (2, SHARE),
        (5, SHARE),
        (20, SHARE),
        (50, SHARE),
        (0, SHARE),
    ] {
        let cells = [0, 4_000].map(|from| of(&rated(limit, share, None, liar(from))));
        println!("| {limit}, {share} | {} | {} |", cells[0], cells[1]);
    }
    println!("\n| names | the bargain's share |\n| --- | --- |");
    for names in [1, 2, 5, 20] {
        let runs = rated(0, SHARE, None, Some(Poisoner { model: BARGAIN, from: 4_000, names }));
        println!("| {names} | {:.0} % |", 100.0 * mean(&runs, bargain));
    }
    println!(
        "\n| team | set aside | cost | the same without the share | with a liar, the bargain's share |\n| --- | --- | --- | --- | --- |"
    );
    for (name, crowd) in TEAMS {
        let (runs, free) = (rated(0, SHARE, Some(crowd), None), rated(0, 0.0, Some(crowd), None));
        let aside = mean(&runs, aside);
        let cost = |runs: &[Run]| mean(runs, |run| run.cost);
        let lied = mean(&rated(0, SHARE, Some(crowd), liar(4_000)), bargain);
        println!(
            "| {name} | {:.0} % | {:.3} | {:.3} | {:.0} % |",
            100.0 * aside,
            cost(&runs),
            cost(&free),
            100.0 * lied
        );
    }
}
