//! Whole comparisons over small generated data sets.
#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

use std::fmt::Write as _;
use std::path::Path;

use slarouter_core::{Alpha, PolicySpec};
use slarouter_lab::{
    CellReport, CompareError, Comparison, Dataset, Fresh, Order, Plan, Progress, Replay, Rival, Selection, ZooKind,
};

const MODELS: [(&str, f64); 3] = [("small", 1e-5), ("middle", 1e-4), ("large", 1e-3)];

/// Easy and hard prompts, told apart by their words: two in three are easy, and the small model can do those.
fn write_data(folder: &Path, name: &str, rows: usize, chances: [[f64; 3]; 2]) {
    let mut text = "prompt_id,prompt".to_owned();
    for (model, _) in MODELS {
        write!(text, ",score:{model},cost:{model}").unwrap();
    }
    for row in 0..rows {
        let hard = row.is_multiple_of(3);
        let kind = if hard { "Prove the theorem" } else { "Say hello to guest" };
        write!(text, "\n{row},{kind} number {row}").unwrap();
        for (model, (_, cost)) in MODELS.iter().enumerate() {
            // A low-discrepancy sequence per model: the frequencies are the chances.
            let luck = ((row * 7_919 + model * 31) % 1_000) as f64 / 1_000.0;
            write!(text, ",{},{cost}", u8::from(luck < chances[usize::from(hard)][model])).unwrap();
        }
    }
    std::fs::write(folder.join(format!("{name}.csv")), text).unwrap();
}

const EASY_HARD: [[f64; 3]; 2] = [[0.95, 0.96, 0.97], [0.10, 0.30, 0.95]];

fn plan(folder: &Path, rivals: &[&str]) -> Plan {
    Plan {
        rivals: rivals.iter().map(|name| Rival::parse(name).unwrap()).collect(),
        fractions: vec![0.8],
        rates: vec![0.5],
        seeds: 3,
        orders: vec![Order::Shuffled],
        zoos: vec![ZooKind::Operator],
        threads: 2,
        ..Plan::full(folder.to_owned())
    }
}

fn run(plan: &Plan) -> Comparison {
    plan.run(|_| ()).unwrap()
}

fn only(comparison: &Comparison) -> &CellReport {
    assert_eq!(comparison.cells.len(), 1);
    &comparison.cells[0]
}

#[track_caller]
fn close(got: f64, wanted: f64) {
    assert!((got - wanted).abs() < 1e-9, "{got} is not {wanted}");
}

#[test]
fn threads_change_nothing() {
    let folder = tempfile::tempdir().unwrap();
    write_data(folder.path(), "a", 400, EASY_HARD);
    write_data(folder.path(), "b", 300, EASY_HARD);
    let names: Vec<String> = Rival::standard().iter().map(ToString::to_string).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let base = Plan { orders: vec![Order::Shuffled, Order::Source], ..plan(folder.path(), &names) };
    let [one, five] = [1, 5].map(|threads| run(&Plan { threads, ..base.clone() }));
    assert_eq!(one, five);
    assert_eq!(one.markdown("linucb"), five.markdown("linucb"));
    assert!(one.cells.len() == 4 && one.cells.iter().all(|cell| cell.standings.len() == names.len()));
}

#[test]
fn a_second_run_takes_results_over_and_writes_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let out = tempfile::tempdir().unwrap();
    write_data(folder.path(), "a", 300, EASY_HARD);
    let plan = Plan { keep: Some(out.path().into()), ..plan(folder.path(), &["slarouter", "linucb", "knn"]) };
    let bytes = |plan: &Plan, steps: &mut Vec<Progress>| {
        plan.run(|progress| steps.push(progress)).unwrap().write(out.path(), "linucb").unwrap();
        ["results.jsonl", "report.md", "report.json", "plots/cost-kept-a-operator-shuffled.svg"]
            .map(|name| std::fs::read(out.path().join(name)).unwrap())
    };
    let is_work = |step: &Progress| step.stage != "reading";
    let (mut first, mut second) = (Vec::new(), Vec::new());
    let wanted = bytes(&plan, &mut first);
    assert_eq!(bytes(&plan, &mut second), wanted);
    assert!(first.iter().any(is_work) && !second.iter().any(is_work), "{second:?}");

    // A line cut short by a power cut is made again, and so is what is asked for.
    let results = out.path().join("results.jsonl");
    std::fs::write(&results, &wanted[0][..wanted[0].len() - 40]).unwrap();
    let mut third = Vec::new();
    assert_eq!(bytes(&plan, &mut third), wanted);
    assert_eq!(third.iter().filter(|step| is_work(step)).count(), 1);
    let mut fourth = Vec::new();
    let fresh = Plan { fresh: Fresh::Of(vec![Rival::parse("linucb").unwrap()]), ..plan.clone() };
    assert_eq!(bytes(&fresh, &mut fourth), wanted);
    assert_eq!(fourth.iter().filter(|step| is_work(step)).count(), 1);

    // Other data under the same name are no longer the same.
    write_data(folder.path(), "a", 301, EASY_HARD);
    let mut fifth = Vec::new();
    assert_ne!(bytes(&plan, &mut fifth)[1], wanted[1]);
    assert!(fifth.iter().any(is_work));
}

#[test]
fn runs_are_those_of_replay() {
    let folder = tempfile::tempdir().unwrap();
    write_data(folder.path(), "a", 500, EASY_HARD);
    let comparison = run(&plan(folder.path(), &["slarouter"]));
    let cell = only(&comparison);
    let data =
        Dataset::load(&folder.path().join("a.csv"), &Selection { bar: Some(0.5), ..Selection::default() }).unwrap();
    let replay = Replay {
        data: &data,
        alpha: Alpha::new(cell.alpha).unwrap(),
        feedback_rate: 0.5,
        policy: PolicySpec::parse("slarouter").unwrap(),
        seeds: 3,
        ordered: false,
        limit: None,
    };
    let report = replay.run(|_| ()).unwrap();
    for (pass, run) in cell.standings[0].passes.iter().zip(&report.runs) {
        close(pass.satisfaction, run.satisfaction);
        close(pass.cost, run.cost);
        assert_eq!((pass.labels, pass.explored), (run.labels, run.explored));
    }
    close(cell.standings[0].figures.cost_mixture, report.mean.cost / report.references.mixture_cost);
    close(cell.standings[0].figures.kept, report.mean.kept);
}

#[test]
fn alpha_lies_between_the_cheapest_and_the_best() {
    let folder = tempfile::tempdir().unwrap();
    write_data(folder.path(), "a", 300, EASY_HARD);
    let comparison = run(&plan(folder.path(), &["cheapest", "most-expensive", "best-single"]));
    let cell = only(&comparison);
    let [low, high, best] = [0, 1, 2].map(|place| cell.standings[place].figures.satisfaction);
    close(cell.alpha, low + 0.8 * (high - low));
    close(best, high);
    assert_eq!(cell.standings.iter().map(|s| s.figures.kept).collect::<Vec<_>>(), [0.0, 1.0, 1.0]);
    close(cell.standings[0].figures.shortfall, cell.alpha - low);
    assert!(cell.starved, "150 expected labels");
}

/// The stream has a perfect cue, so that a learner can stay near the cheapest mixture and well below the most expensive model. Bounds with
/// room: the figures are deterministic, and a rule that does not learn lands on the cheapest (shortfall 0.2) or the most expensive (cost 2.3).
#[test]
fn every_learner_learns() {
    let folder = tempfile::tempdir().unwrap();
    write_data(folder.path(), "a", 3_000, EASY_HARD);
    let names = ["slarouter", "messplus", "egreedy", "linucb", "thompson", "threshold", "knn", "carrot"];
    let comparison = run(&Plan { seeds: 2, rates: vec![1.0], ..plan(folder.path(), &names) });
    let cell = only(&comparison);
    let full = cell.full_information_cost.unwrap() / cell.mixture_cost;
    assert!(full < 0.6, "the cue is worth more than {full}");
    for standing in &cell.standings {
        let figures = &standing.figures;
        assert!(figures.shortfall < 0.03, "{}: shortfall {}", standing.name, figures.shortfall);
        assert!(figures.cost_mixture < 1.35, "{}: cost {} × mixture", standing.name, figures.cost_mixture);
    }
    // Who trains on the first tenth pays for all models there and has no other labels.
    let trained = cell.standing("carrot").unwrap();
    close(trained.figures.labels, 300.0 * 3.0);
    assert!(trained.figures.exploration_bill > 0.1);
}

#[test]
fn trained_routers_do_not_look_ahead() {
    let rivals = ["threshold", "knn", "carrot"];
    let shares = |later: [[f64; 3]; 2]| {
        let folder = tempfile::tempdir().unwrap();
        write_data(folder.path(), "a", 600, EASY_HARD);
        // The same first tenth, other scores after it. α changes with the scores, so only a target that both meet alike is compared.
        let path = folder.path().join("a.csv");
        let text = std::fs::read_to_string(&path).unwrap();
        write_data(folder.path(), "b", 600, later);
        let other = std::fs::read_to_string(folder.path().join("b.csv")).unwrap();
        let mixed: Vec<&str> = text.lines().take(61).chain(other.lines().skip(61)).collect();
        std::fs::write(&path, mixed.join("\n")).unwrap();
        std::fs::remove_file(folder.path().join("b.csv")).unwrap();
        let source = Plan { orders: vec![Order::Source], fractions: vec![0.0], ..plan(folder.path(), &rivals) };
        let comparison = run(&source);
        only(&comparison).standings.iter().map(|s| (s.passes[0].cost * 1e9).round() as u64).collect::<Vec<_>>()
    };
    // At f = 0 the cheapest model is enough on the first tenth, whatever comes later scores.
    assert_eq!(shares(EASY_HARD), shares([[0.90, 0.96, 0.97], [0.10, 0.30, 0.95]]));
}

#[test]
fn what_cannot_run_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let good = plan(folder.path(), &["cheapest"]);
    let error = |plan: Plan| plan.run(|_| ()).unwrap_err().to_string();
    assert!(error(good.clone()).contains("no *.csv"), "an empty folder");
    write_data(folder.path(), "a", 30, EASY_HARD);
    let missing = Plan { folder: folder.path().join("nowhere"), ..good.clone() };
    let text = error(missing);
    assert!(text.contains("nowhere") && text.ends_with("name one with --data"), "{text}");
    let text = error(Plan { datasets: Some(vec!["b".to_owned()]), ..good.clone() });
    assert!(text.starts_with("there is no data set \"b\"") && text.ends_with("it has a"), "{text}");
    for bad in [-0.1, 1.5, f64::NAN] {
        let text = error(Plan { fractions: vec![bad], ..good.clone() });
        assert!(text.starts_with("a fraction must be between 0 and 1"), "{text}");
        let text = error(Plan { rates: vec![bad], ..good.clone() });
        assert!(text.starts_with("a feedback rate must be between 0 and 1"), "{text}");
    }
    let nothing = |plan: Plan| matches!(plan.run(|_| ()).unwrap_err(), CompareError::Nothing(_));
    assert!(nothing(Plan { seeds: 0, ..good.clone() }) && nothing(Plan { rivals: Vec::new(), ..good.clone() }));
    assert!(
        nothing(Plan { most_rows: 0, ..good.clone() }) && nothing(Plan { datasets: Some(Vec::new()), ..good.clone() })
    );
    let text = error(Plan { rivals: vec![Rival::parse("fixed:nobody").unwrap()], ..good.clone() });
    assert!(text.contains("nobody"), "{text}");
    let file = folder.path().join("a.csv");
    let text = error(Plan { keep: Some(file), ..good });
    assert!(text.ends_with("name another folder with --out"), "{text}");
}

#[test]
fn names() {
    for rival in Rival::standard() {
        assert_eq!(Rival::parse(&rival.to_string()), Ok(rival));
    }
    assert_eq!(Rival::parse("slarouter:V=1"), Rival::parse("slarouter"));
    let refused = |name: &str| Rival::parse(name).unwrap_err();
    assert!(refused("slarouter:V=x").contains("slarouter:V=10") && refused("slarouter:V=-1").contains("no V"));
    assert!(refused("linucp").contains("linucb") && refused("linucp").contains("unknown policy"));
}

#[test]
fn thinning_is_the_same_for_all_and_keeps_the_order() {
    let folder = tempfile::tempdir().unwrap();
    write_data(folder.path(), "a", 400, EASY_HARD);
    let cut = Plan { most_rows: 100, ..plan(folder.path(), &["most-expensive"]) };
    let comparison = run(&cut);
    let cell = only(&comparison);
    assert_eq!(cell.rows, 100);
    // All runs have the same rows, so a fixed policy has the same satisfaction in each.
    let first = cell.standings[0].passes[0].satisfaction;
    cell.standings[0].passes.iter().for_each(|pass| close(pass.satisfaction, first));
}
