//! Coverage and width of what a log says of other policies, in simulations in which the truth is known.
//!
//! A run counts as a miss if the truth ever lies outside of the interval, at any look; counted by itself for satisfaction, cost and the
//! differences of both to what ran. The bound on the misses is that of `certificate.rs`: a correct evaluation exceeds 4 of 8 with a
//! probability below 2e-5. `make tables` prints the rows of docs/what-if.md.
#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

#[path = "common/logged.rs"]
mod logged;
#[path = "common/misses.rs"]
mod misses;

use logged::{ASSURANCE, World, evaluated};
use misses::{most_misses, number_of_runs};
use slarouter_core::Candidate;
use slarouter_core::what_if::{Estimate, Evaluated, Evaluation, Heard, Logged, Target, Verdict};

fn targets() -> Vec<(&'static str, Target)> {
    vec![
        ("what ran", Target::Ran),
        ("without `small`", Target::Without("small".into())),
        ("λ = 30", Target::AtPrice(30.0)),
        ("always `middle`", Target::Always("middle".into())),
        ("the cheapest", Target::AtPrice(0.0)),
    ]
}

/// What one target came to over all runs.
#[derive(Clone, Copy, Default)]
struct Tally {
    misses: [usize; 4],
    width: f64,
    difference: f64,
    /// Half-width of the cost, as a share of it.
    cost: f64,
    effective: f64,
}

fn numbers(result: &Evaluated) -> [Estimate; 4] {
    [result.satisfaction, result.satisfaction_difference, result.cost.unwrap(), result.cost_difference.unwrap()]
}

/// Looks at a growing log, and whether each truth lies within at every look.
fn looks(world: &World<'_>, seed: u64, looks: usize, tallies: &mut [Tally]) {
    let requests = world.run(seed);
    let targets: Vec<_> = targets().into_iter().map(|(_, target)| target).collect();
    let mut missed = vec![[false; 4]; targets.len()];
    let mut truths = vec![[0.0; 4]; targets.len()];
    let mut growing = Evaluation::new(ASSURANCE, targets.len(), 1);
    for (place, request) in requests.iter().enumerate() {
        let count = place + 1;
        let probabilities: Vec<_> = targets.iter().map(|target| target.probabilities(&request.candidates)).collect();
        for (truth, target) in truths.iter_mut().zip(&probabilities) {
            truth.iter_mut().zip(request.truth(target)).for_each(|(sum, one)| *sum += one);
        }
        growing.add(&request.logged(usize::MAX), &probabilities);
        if count % (requests.len() / looks) != 0 {
            continue;
        }
        // What is still to come is not in the log yet.
        let results = if world.delay > 0 { evaluated(&requests[..count], &targets) } else { growing.clone() }.results();
        for (target, result) in results.iter().enumerate() {
            for (kind, told) in numbers(result).into_iter().enumerate() {
                let truth = truths[target][kind] / count as f64;
                missed[target][kind] |= truth < told.lower - 1e-9 || truth > told.upper + 1e-9;
            }
            if count == requests.len() {
                tallies[target].width += result.satisfaction.half_width();
                tallies[target].difference += result.satisfaction_difference.half_width();
                let cost = result.cost.unwrap();
                tallies[target].cost += cost.half_width() / cost.estimate;
                tallies[target].effective += result.effective_labels;
            }
        }
    }
    for (tally, missed) in tallies.iter_mut().zip(missed) {
        tally.misses.iter_mut().zip(missed).for_each(|(misses, missed)| *misses += usize::from(missed));
    }
}

#[expect(clippy::print_stdout, reason = "shown by --nocapture")]
fn covers(name: &str, world: &World<'_>) {
    let runs = number_of_runs(8);
    let mut tallies = vec![Tally::default(); targets().len()];
    // A log with late labels is evaluated anew at each look.
    let count = if world.delay > 0 { 10 } else { 40 };
    (0..runs).for_each(|seed| looks(world, seed, count, &mut tallies));
    for ((target, _), tally) in targets().iter().zip(tallies) {
        let mean = |sum: f64| sum / runs as f64;
        let misses = tally.misses.map(|misses| misses.to_string()).join("; ");
        let (width, difference, cost) = (mean(tally.width), mean(tally.difference), 100.0 * mean(tally.cost));
        let effective = mean(tally.effective);
        println!(
            "| {name}, {target} | {misses} of {runs} | {effective:.0} | {width:.3} | {difference:.3} | {cost:.1} % |"
        );
        assert!(tally.misses.iter().all(|&misses| misses <= most_misses(runs)), "{name}, {target}: {misses}");
    }
}

#[test]
fn covers_whatever_the_rate_and_the_exploration() {
    for (rate, exploration) in [(1.0, 0.2), (0.2, 0.2), (0.2, 0.05), (0.05, 0.2)] {
        let world = World { rate: &|_| rate, exploration, ..World::default() };
        covers(&format!("φ = {rate}, ε = {exploration}"), &world);
    }
}

#[test]
fn covers_while_models_drift() {
    covers("`small` gets worse", &World { drift: 0.4, ..World::default() });
}

#[test]
fn covers_while_the_rate_drifts() {
    covers("φ rises from 0.05 to 0.35", &World { rate: &|x| 0.05 + 0.3 * x, requests: 6_000, ..World::default() });
    covers("φ falls from 0.35 to 0.05", &World { rate: &|x| 0.35 - 0.3 * x, requests: 6_000, ..World::default() });
}

#[test]
fn covers_when_labels_come_late() {
    covers("labels up to 500 late", &World { delay: 500, ..World::default() });
}

#[test]
fn covers_by_audits() {
    covers("audits, π = 0.1", &World { audits: true, rate: &|_| 0.1, ..World::default() });
}

#[test]
fn covers_where_failures_count() {
    covers("a tenth fails", &World { failures: 0.1, ..World::default() });
}

/// Of what ran nothing differs from what ran, and this is known without a label.
#[test]
fn what_ran_is_no_different_from_what_ran() {
    let requests = World { rate: &|_| 0.0, ..World::default() }.run(1);
    let results = evaluated(&requests, &[Target::Ran]).results();
    let nothing = Estimate { estimate: 0.0, lower: 0.0, upper: 0.0 };
    assert_eq!((results[0].satisfaction_difference, results[0].cost_difference), (nothing, Some(nothing)));
    assert_eq!(results[0].verdict(), Verdict::Same);
    let Estimate { lower, upper, .. } = results[0].satisfaction;
    assert!(lower == 0.0 && upper > 1.0 - 1e-9 && results[0].labels == 0, "{results:?}");
}

fn candidate(model: &str, probability: f64, satisfaction: f64, cost: f64) -> Candidate {
    Candidate { model: model.into(), probability, satisfaction, cost, ..Candidate::default() }
}

/// By hand: three labels of four, drawn with ½, ½ and ¼.
#[test]
fn point_estimates_by_hand() {
    let target = vec![1.0, 0.0];
    let mut evaluation = Evaluation::new(0.95, 1, 1);
    for (probability, chosen, heard) in [
        (0.5, 0, Heard::Label(1.0)),
        (0.5, 1, Heard::Label(1.0)),
        (0.25, 0, Heard::Label(0.5)),
        (0.25, 1, Heard::Nothing),
    ] {
        let candidates = [candidate("a", probability, 0.75, 1.0), candidate("b", 1.0 - probability, 0.25, 2.0)];
        let cost = Some(if chosen == 0 { 1.5 } else { 2.0 });
        let logged = Logged { candidates: &candidates, chosen, audit_rate: None, heard, cost };
        assert!(evaluation.add(&logged, std::slice::from_ref(&target)));
    }
    let result = &evaluation.results()[0];
    assert_eq!((result.labels, result.largest_weight), (3, 4.0));
    // Weights 2, 0 and 4; rewards 2·1 and 4·½.
    let near = |found: f64, expected: f64| assert!((found - expected).abs() < 1e-12, "{found} is not {expected}");
    near(result.ips.unwrap(), 4.0 / 3.0);
    near(result.snips.unwrap(), 4.0 / 6.0);
    near(result.effective_labels, 36.0 / 20.0);
    // ¾, and a mean correction of (2·¼ − 4·¼)/3.
    near(result.satisfaction.estimate, 0.75 - 1.0 / 6.0);
    // 1, and (2·½ + 4·½)/4.
    near(result.cost.unwrap().estimate, 1.75);
}

#[test]
fn what_could_not_be_drawn_is_between_nothing_and_all() {
    let mut evaluation = Evaluation::new(0.95, 1, 1);
    for n in 0..4_000 {
        let share = if n % 4 == 0 { 0.0 } else { 0.5 };
        let candidates = [candidate("a", share, 0.5, 1.0), candidate("b", 1.0 - share, 0.5, 1.0)];
        let chosen = usize::from(n % 8 < 4);
        let chosen = if share == 0.0 { 1 } else { chosen };
        let logged =
            Logged { candidates: &candidates, chosen, audit_rate: None, heard: Heard::Label(0.5), cost: Some(1.0) };
        assert!(evaluation.add(&logged, &[vec![1.0, 0.0]]));
    }
    let result = &evaluation.results()[0];
    assert_eq!(result.unsupported, 0.25);
    let Estimate { estimate, lower, upper } = result.satisfaction;
    // Three quarters are known to be 0.5, but for what the draw leaves open.
    assert!(
        (estimate - 0.5).abs() < 1e-12 && lower < 0.375 && lower > 0.36 && upper > 0.625 && upper < 0.64,
        "{result:?}"
    );
    assert_eq!(result.refusals().len(), 2);
}

/// Rows with impossible numbers are refused and change nothing; so is a log without any.
#[test]
fn damaged_rows_are_left_out() {
    let good = [candidate("a", 0.5, 0.5, 1.0), candidate("b", 0.5, 0.5, 1.0)];
    let logged = Logged { candidates: &good, chosen: 0, audit_rate: None, heard: Heard::Label(1.0), cost: Some(1.0) };
    let target = [vec![0.0, 1.0]];
    let mut evaluation = Evaluation::new(0.95, 1, 1);
    assert!(evaluation.results().is_empty());
    for spoil in [
        |c: &mut [Candidate]| c[0].probability = 0.0,
        |c: &mut [Candidate]| c[1].probability = f64::NAN,
        |c: &mut [Candidate]| c[0].satisfaction = 1.5,
        |c: &mut [Candidate]| c[1].cost = -1.0,
        |c: &mut [Candidate]| c[1].cost = f64::INFINITY,
    ] {
        let mut bad = good.clone();
        spoil(&mut bad);
        assert!(!evaluation.add(&Logged { candidates: &bad, ..logged }, &target));
    }
    for bad in [
        Logged { chosen: 2, ..logged },
        Logged { heard: Heard::Label(f64::NAN), ..logged },
        Logged { audit_rate: Some(0.0), ..logged },
        Logged { cost: Some(f64::NAN), ..logged },
    ] {
        assert!(!evaluation.add(&bad, &target));
    }
    assert!(!evaluation.add(&logged, &[vec![1.0]]));
    assert!(evaluation.results().is_empty() && evaluation.requests() == 0);
    assert!(evaluation.add(&logged, &target));
    assert_eq!(evaluation.results().len(), 1);
}

/// What a request costs beyond eight times its prediction is in no estimate, and said.
#[test]
fn costs_beyond_all_predictions_are_cut_off() {
    let candidates = [candidate("a", 1.0, 0.5, 1.0)];
    let mut evaluation = Evaluation::new(0.95, 1, 1);
    for cost in [1.0, 1.0, 10.0] {
        let logged =
            Logged { candidates: &candidates, chosen: 0, audit_rate: None, heard: Heard::Nothing, cost: Some(cost) };
        evaluation.add(&logged, &[vec![1.0]]);
    }
    assert!((evaluation.cut_off() - 2.0 / 12.0).abs() < 1e-12);
    assert!((evaluation.results()[0].cost.unwrap().estimate - 10.0 / 3.0).abs() < 1e-12);
}
