//! Ratings that depend on satisfaction, with audits and without, and a rater who means harm.
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
use users::{PRICES, Run, Stream};

const ALPHA: f64 = 0.8;
const RUNS: u64 = 20;
/// Misses at an assurance of 0.95 in 20 runs are at most Binomial(20, 0.05), which exceeds 8 with probability below 4e-7.
const MISSES: usize = 8;
/// Of 20 runs that each keep α with probability 0.9, fewer than 12 do with probability below 8e-5.
const KEPT: usize = 12;

fn stream(happy: f64, unhappy: f64, audit_rate: f64) -> Stream {
    let mut spec = route::spec(models(&PRICES), ALPHA, PolicySpec::parse("certified").unwrap());
    (spec.audit_rate, spec.feedback_window_ms) = (audit_rate, u64::MAX);
    Stream { spec, requests: 12_000, happy, unhappy, poisoner: None }
}

fn runs(name: &str, stream: &Stream) -> Vec<Run> {
    (0..RUNS).map(|seed| show(name, stream.run(seed))).collect()
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

    // Believed, they look like a route far below α: safe, at the price of the dearest model, and the certificate is of those who rate.
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

/// One rater with a name rates every answer of the best bargain down, for ever: from the first request on, or once the route
/// has a day of experience. 4,000 requests and 800 honest ratings a day.
#[test]
fn a_poisoner_moves_the_mix_no_further_than_the_limit_allows() {
    const BARGAIN: usize = 2;
    let with = |rater_limit, from: Option<u64>| {
        let mut stream = stream(0.2, 0.2, 0.0);
        (stream.spec.rater_limit, stream.poisoner) = (rater_limit, from.map(|from| (BARGAIN, from)));
        let name = format!("limit {rater_limit}, from {from:?}");
        let runs: Vec<Run> = (0..8).map(|seed| show(&name, stream.run(seed))).collect();
        assert!(mean(&runs, |run| run.realised) >= ALPHA, "{name}: what he does costs money, not satisfaction");
        (mean(&runs, |run| run.mix[BARGAIN] as f64 / 6_000.0), mean(&runs, |run| run.cost))
    };
    let (share, cost) = with(0, None);
    assert!(share > 0.3, "there is something to lose");
    for (limit, from) in [(2, 0), (20, 4_000)] {
        let (unlimited, _) = with(0, Some(from));
        assert!(unlimited < 0.02, "without a limit he drives it out: {unlimited}");
        let (limited, paid) = with(limit, Some(from));
        assert!(limited > 0.6 * share, "limit {limit}: {limited} instead of {share}");
        assert!(paid < 1.25 * cost, "limit {limit}: {paid} instead of {cost}");
    }
}
