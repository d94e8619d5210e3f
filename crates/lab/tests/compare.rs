//! Whole comparisons over small generated data sets.
#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

use std::fmt::Write as _;
use std::path::Path;

use slarouter_core::{Alpha, PolicySpec};
use slarouter_lab::{
    CellReport, CompareError, Comparison, Dataset, Fallback, Fresh, Margin, Order, Plan, Progress, Replay, Rival,
    Selection, ZooKind,
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
        fallback: Fallback::default(),
        order: Order::Shuffled,
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

/// Two of three prompts are easy. The fallback is `large`, the best; α is four fifths of the way from `small` to it.
#[test]
fn harm_is_counted_where_the_fallback_keeps_alpha() {
    let folder = tempfile::tempdir().unwrap();
    write_data(folder.path(), "a", 300, EASY_HARD);
    let base = plan(folder.path(), &["cheapest", "best-single"]);
    let of = |plan: &Plan| -> Vec<_> {
        let rows = run(plan).harm().into_iter();
        rows.map(|row| (row.name, row.margin, row.cells, row.keeps, row.kept)).collect()
    };
    let rows = |margin, cells: usize| {
        vec![("cheapest".to_owned(), margin, cells, 0, 0.0), ("best-single".to_owned(), margin, cells, cells, 1.0)]
    };
    assert_eq!(of(&Plan { rates: vec![0.5, 1.0], ..base.clone() }), rows(Margin::Ample, 2));
    // The gap between the ends is some 0.28: at f = 0.98 a fiftieth of it is left.
    let both = of(&Plan { fractions: vec![0.8, 0.98], ..base.clone() });
    assert_eq!(both, [rows(Margin::Ample, 1), rows(Margin::Close, 1)].concat());
    // A fallback that is below α promises nothing.
    assert_eq!(of(&Plan { fallback: Fallback::Named("small".to_owned()), ..base.clone() }), []);
    assert_eq!(of(&Plan { fallback: Fallback::MostExpensive, ..base }), rows(Margin::Ample, 1));
}

#[test]
fn a_stream_is_judged_window_by_window() {
    let folder = tempfile::tempdir().unwrap();
    write_data(folder.path(), "a", 300, EASY_HARD);
    let stream = Order::Stream { window: 100, windows: 8 };
    let comparison = run(&Plan { orders: vec![stream], ..plan(folder.path(), &["cheapest", "certified"]) });
    let cell = only(&comparison);
    assert_eq!((cell.rows, cell.order.to_string()), (800, "8 windows of 100 requests".to_owned()));
    let [cheapest, certified] = [0, 1].map(|place| &cell.standings[place]);
    let windows: Vec<f64> = cheapest.passes.iter().flat_map(|pass| &pass.windows).map(|w| w.satisfaction).collect();
    assert_eq!(windows.len(), 3 * 8);
    let kept = windows.iter().filter(|window| **window >= cell.alpha).count() as f64 / 24.0;
    let short = windows.iter().map(|window| (cell.alpha - window).max(0.0)).sum::<f64>() / 24.0;
    close(cheapest.figures.kept, kept);
    close(cheapest.figures.shortfall, short);
    // Fewer than 3,000 requests follow the first window.
    assert_eq!(cheapest.figures.lowest_stretch, None);

    let streams = comparison.streams();
    assert_eq!(streams.iter().map(|stream| &*stream.name).collect::<Vec<_>>(), ["cheapest", "certified"]);
    assert!(streams.iter().all(|stream| !stream.tight && stream.windows.len() == 8));
    let mean = |from: usize| {
        let late = windows.chunks(8).flat_map(|run| &run[from..]).collect::<Vec<_>>();
        late.iter().map(|window| **window - cell.alpha).sum::<f64>() / late.len() as f64
    };
    close(streams[0].steady.unwrap().surplus, mean(5));
    close(streams[0].windows.iter().map(|window| window.surplus).sum::<f64>() / 8.0, mean(0));
    // The certificate speaks of the window that is running, and is looked at in all of them.
    let passes = &certified.passes;
    assert!(passes.iter().all(|pass| pass.looks == 80 && pass.covered >= 76), "{passes:?}");
    let text = comparison.markdown("certified");
    assert!(
        text.contains("## Windows of `certified`: operator's zoo, 8 windows of 100 requests, φ = 0.5, f ≤ 0.8"),
        "{text}"
    );
}

#[test]
fn the_lowest_stretch_is_looked_for_after_the_first_window() {
    let folder = tempfile::tempdir().unwrap();
    write_data(folder.path(), "a", 300, [[0.0; 3], [1.0; 3]]);
    let stream = Order::Stream { window: 3_000, windows: 2 };
    let comparison = run(&Plan { orders: vec![stream], ..plan(folder.path(), &["cheapest"]) });
    let standing = &only(&comparison).standings[0];
    // The second window is the only stretch of 3,000 after the first.
    let lowest = standing.passes.iter().map(|pass| pass.windows[1].satisfaction).fold(1.0, f64::min);
    close(standing.figures.lowest_stretch.unwrap(), lowest);
}

#[test]
fn fallback_and_assurance_are_those_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let out = tempfile::tempdir().unwrap();
    // The most expensive model is the worst.
    write_data(folder.path(), "a", 400, [[0.8, 0.9, 0.3]; 2]);
    let mut base = Plan { keep: Some(out.path().into()), ..plan(folder.path(), &["certified"]) };
    let share = |plan: &Plan| only(&run(plan)).standings.iter().map(|s| s.figures.satisfaction).collect::<Vec<_>>();
    let best = share(&base);
    let wrong = Plan { fallback: Fallback::MostExpensive, ..base.clone() };
    // Kept results of one fallback are not taken for those of another.
    assert!(share(&wrong)[0] < best[0] - 0.01, "{:?} {best:?}", share(&wrong));
    assert_eq!(share(&Plan { fallback: Fallback::Named("middle".to_owned()), ..base.clone() }), best);
    let unknown = Plan { fallback: Fallback::Named("huge".to_owned()), ..base.clone() };
    assert!(unknown.run(|_| ()).unwrap_err().to_string().contains("\"huge\" is not in the zoo"));

    base.sweep(&[0.5, 0.95, 0.99]).unwrap();
    let names: Vec<_> = base.rivals.iter().map(ToString::to_string).collect();
    assert_eq!(names, ["certified:assurance=0.5", "certified", "certified:assurance=0.99"]);
    let comparison = run(&base);
    let standings = &only(&comparison).standings;
    close(standings[1].figures.satisfaction, best[0]);
    // A certificate that promises more reaches less far.
    let lower = |place: usize| standings[place].points.last().unwrap().lower.unwrap();
    assert!(lower(0) > lower(1) && lower(1) > lower(2), "{} {} {}", lower(0), lower(1), lower(2));
    for bad in [0.0, 1.0, f64::NAN] {
        let text = base.sweep(&[bad]).unwrap_err().to_string();
        assert!(text.starts_with("an assurance must be strictly between 0 and 1"), "{text}");
    }
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
    for (window, windows) in [(0, 5), (5, 0)] {
        assert!(nothing(Plan { orders: vec![Order::Stream { window, windows }], ..good.clone() }));
    }
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
    assert_eq!(Rival::parse("certified:assurance=0.95"), Rival::parse("certified"));
    let floored = Rival::parse("certified:exploration_floor=0.005").unwrap();
    assert_eq!(floored.to_string(), "certified:exploration_floor=0.005");
    assert_eq!(Rival::parse("certified:exploration_floor=0"), Rival::parse("certified"));
    for wrong in ["0.06", "-0.1", "NaN", "much"] {
        let error = Rival::parse(&format!("certified:exploration_floor={wrong}")).unwrap_err();
        assert!(error.contains("write a number from 0 to 0.05"), "{error}");
    }
    assert!(Rival::parse("certified:assurance=1").unwrap_err().contains("certified:assurance=0.9"));
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
