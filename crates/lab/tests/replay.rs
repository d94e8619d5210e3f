//! Whole replays over a small generated data set.
#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

use std::fmt::Write as _;
use std::sync::{Arc, Mutex};

use slarouter_core::policy::{Label, View};
use slarouter_core::{Alpha, AnyPolicy, Candidate, Decision, Learner, Policy, PolicySpec, RouteSpec, Timestamp, Zoo};
use slarouter_lab::{Dataset, Fallback, Order, Replay, ReplayError, Selection};
use slarouter_text::{DIM, VERSION};

const ROWS: usize = 600;
const MODELS: [(&str, f64); 3] = [("small", 1e-5), ("middle", 1e-4), ("large", 1e-3)];

/// Easy and hard prompts, told apart by their words; the hard ones need the large model.
fn score(row: usize, model: usize) -> f64 {
    let luck = (row * 7919 % 100) as f64;
    let chance = if row.is_multiple_of(3) { [10.0, 40.0, 95.0] } else { [80.0, 90.0, 95.0] };
    f64::from(u8::from(luck < chance[model]))
}

fn data(score: impl Fn(usize, usize) -> f64) -> Dataset {
    let mut text = "prompt_id,prompt".to_owned();
    for (model, _) in MODELS {
        write!(text, ",score:{model},cost:{model}").unwrap();
    }
    for row in 0..ROWS {
        let kind = if row.is_multiple_of(3) { "Prove the theorem" } else { "Say hello to guest" };
        write!(text, "\n{row},{kind} number {row}").unwrap();
        for (model, (_, cost)) in MODELS.iter().enumerate() {
            write!(text, ",{},{cost}", score(row, model)).unwrap();
        }
    }
    let file = tempfile::Builder::new().suffix(".csv").tempfile().unwrap();
    std::fs::write(file.path(), text).unwrap();
    Dataset::load(file.path(), &Selection::default()).unwrap()
}

fn replay<'a>(data: &'a Dataset, policy: &str, feedback_rate: f64) -> Replay<'a> {
    Replay {
        data,
        alpha: Alpha::new(0.8).unwrap(),
        feedback_rate,
        policy: PolicySpec::parse(policy).unwrap(),
        seeds: 3,
        fallback: Fallback::default(),
        order: Order::Shuffled,
        limit: None,
    }
}

#[track_caller]
fn close(got: f64, wanted: f64) {
    assert!((got - wanted).abs() < 1e-9, "{got} is not {wanted}");
}

#[test]
fn golden() {
    let data = data(score);
    let report = replay(&data, "slarouter", 0.5).run(|_| ()).unwrap();
    let mean = &report.mean;
    let figures = [mean.satisfaction, mean.cost, mean.labels, mean.explored, mean.running_min, mean.share["large"]];
    let golden = [0.792222222222, 0.00035985, 315.333333333, 11.6666666667, 0.59281654866, 0.351111111111];
    for (got, wanted) in figures.into_iter().zip(golden) {
        assert!((got - wanted).abs() <= 1e-6 * wanted, "{figures:?} is not {golden:?}");
    }
}

#[test]
fn fixed_policies_get_what_their_model_gets() {
    let data = data(score);
    for (policy, model) in [("cheapest", 0), ("most-expensive", 2), ("fixed:middle", 1)] {
        let run = replay(&data, policy, 0.2).run_seed(0).unwrap();
        let (satisfaction, cost) = data.means(model);
        close(run.satisfaction, satisfaction);
        close(run.cost, cost);
        assert_eq!(run.share[MODELS[model].0], 1.0);
        assert_eq!(run.explored, 0);
    }
}

#[test]
fn seeds_decide_everything() {
    let data = data(score);
    let replay = replay(&data, "slarouter", 0.2);
    assert_eq!(replay.run_seed(1).unwrap(), replay.run_seed(1).unwrap());
    assert_ne!(replay.run_seed(1).unwrap().share, replay.run_seed(2).unwrap().share);
    let seeds: Vec<_> = replay.run(|_| ()).unwrap().runs.iter().map(|run| run.seed).collect();
    assert_eq!(seeds, [0, 1, 2]);
}

#[test]
fn the_feedback_rate_is_kept() {
    let data = data(score);
    let labels = |rate| replay(&data, "slarouter", rate).run_seed(0).unwrap().labels;
    assert_eq!((labels(0.0), labels(1.0)), (0, ROWS as u64));
    // Binomial(600, 0.2): six standard deviations are 59.
    assert!(labels(0.2).abs_diff(120) < 59, "{}", labels(0.2));
}

#[test]
fn the_limit_cuts_after_the_shuffle() {
    let data = data(|row, _| f64::from(u8::from(row < 50)));
    let run = |order| Replay { order, limit: Some(50), ..replay(&data, "cheapest", 0.0) }.run_seed(0).unwrap();
    close(run(Order::Source).satisfaction, 1.0);
    close(run(Order::Source).running_min, 1.0);
    assert!(run(Order::Shuffled).satisfaction < 0.5);
}

#[test]
fn the_running_minimum_looks_at_the_last_four_fifths() {
    // 0 to 119 fail, the rest satisfy: the running mean is lowest at its first look, after request 120.
    let late = data(|row, _| f64::from(u8::from(row >= 120)));
    let run = |data: &Dataset| Replay { order: Order::Source, ..replay(data, "cheapest", 0.0) }.run_seed(0).unwrap();
    close(run(&late).running_min, 0.0);
    let dip = data(|row, _| f64::from(u8::from(!(200..400).contains(&row))));
    close(run(&dip).running_min, 0.5);
}

#[test]
fn a_stream_has_windows_with_an_sla_of_their_own() {
    let data = data(score);
    let stream = Order::Stream { window: 250, windows: 4 };
    let streamed = Replay { order: stream, ..replay(&data, "certified", 0.5) };
    let report = streamed.run(|_| ()).unwrap();
    assert_eq!((report.rows, report.windows.len()), (1_000, 4));
    for run in &report.runs {
        close(run.windows.iter().map(|window| window.satisfaction).sum::<f64>() / 4.0, run.satisfaction);
        close(run.windows.iter().map(|window| window.cost).sum::<f64>() / 4.0, run.cost);
        // The certificate speaks of the last window alone.
        let (last, certificate) = (run.windows[3].satisfaction, run.certificate.unwrap());
        assert!((certificate.lower..=certificate.upper).contains(&last) && certificate.labels < 200, "{certificate:?}");
    }
    close(report.windows.iter().map(|window| window.kept).sum::<f64>() / 4.0, report.mean.kept);
    // Rows come back: more requests than rows, and not each row as often as the others.
    close(Replay { order: stream, ..replay(&data, "cheapest", 0.0) }.run(|_| ()).unwrap().mean.share["small"], 1.0);
    let pass = replay(&data, "certified", 0.5).run(|_| ()).unwrap();
    assert!(pass.windows.is_empty() && pass.runs.iter().all(|run| run.windows.len() == 1), "one window is the run");
}

#[test]
fn what_cannot_run_is_refused() {
    let data = data(score);
    let error = |replay: Replay<'_>| replay.run(|_| ()).unwrap_err();
    assert!(matches!(error(replay(&data, "slarouter", 1.5)), ReplayError::FeedbackRate(_)));
    assert!(matches!(error(replay(&data, "slarouter", f64::NAN)), ReplayError::FeedbackRate(_)));
    assert!(matches!(error(Replay { seeds: 0, ..replay(&data, "random", 0.1) }), ReplayError::Nothing));
    assert!(matches!(error(Replay { limit: Some(0), ..replay(&data, "random", 0.1) }), ReplayError::Nothing));
    assert!(matches!(error(replay(&data, "fixed:nobody", 0.1)), ReplayError::Spec(_)));
    let nobody = Fallback::Named("nobody".to_owned());
    assert!(matches!(error(Replay { fallback: nobody, ..replay(&data, "certified", 0.1) }), ReplayError::Spec(_)));
    let empty = Order::Stream { window: 0, windows: 3 };
    assert!(matches!(error(Replay { order: empty, ..replay(&data, "random", 0.1) }), ReplayError::Nothing));
}

#[test]
fn the_report_has_the_promised_fields() {
    let data = data(score);
    let report = serde_json::to_value(replay(&data, "slarouter", 0.2).run(|_| ()).unwrap()).unwrap();
    let has = |value: &serde_json::Value, keys: &[&str]| keys.iter().all(|key| value.get(key).is_some());
    assert!(has(&report, &["data", "rows", "models", "alpha", "feedback_rate", "policy", "seeds", "runs", "mean"]));
    let run = ["satisfaction", "cost", "labels", "explored", "running_min", "share"];
    assert!(has(&report["runs"][0], &run) && has(&report["mean"], &run) && report["runs"][0]["seed"] == 0);
    assert!(has(&report["references"], &["mixture_cost", "oracle_cost", "oracle_satisfaction"]));
}

/// What a policy was told: per decision, the choice and whether its label was seen.
type Log = Arc<Mutex<Vec<(usize, bool)>>>;

/// Passes everything on, and takes notes.
struct Spy {
    inner: AnyPolicy,
    log: Log,
}

impl Policy for Spy {
    fn judge(&self, view: &View<'_>, candidates: &mut [Candidate]) -> usize {
        self.inner.judge(view, candidates)
    }
    fn decided(&mut self, decision: &Decision, at: Timestamp) {
        self.log.lock().unwrap().push((decision.chosen, false));
        self.inner.decided(decision, at);
    }
    fn labelled(&mut self, label: &Label<'_>) {
        self.log.lock().unwrap().last_mut().unwrap().1 = true;
        self.inner.labelled(label);
    }
    fn reconfigured(&mut self, old: &Zoo, spec: &RouteSpec) {
        self.inner.reconfigured(old, spec);
    }
    fn reset_features(&mut self, dim: usize, zoo: &Zoo) {
        self.inner.reset_features(dim, zoo);
    }
}

fn spied(data: &Dataset) -> Vec<(usize, bool)> {
    let replay = Replay { order: Order::Source, ..replay(data, "slarouter", 0.3) };
    let spec = RouteSpec::new(replay.alpha, data.zoo.clone(), replay.policy.clone());
    let inner = Learner::new(spec, DIM, VERSION).unwrap().router().policy().clone();
    let log = Log::default();
    replay.run_with(4, Spy { inner, log: log.clone() }).unwrap();
    std::mem::take(&mut *log.lock().unwrap())
}

#[test]
fn scores_that_were_not_seen_change_no_decision() {
    let log = spied(&data(score));
    assert!((0..MODELS.len()).all(|model| log.iter().any(|(chosen, _)| *chosen == model)), "every model has its turn");
    let seen = |row: usize, model: usize| log[row] == (model, true);
    let unseen_flipped = data(|row, model| if seen(row, model) { score(row, model) } else { 1.0 - score(row, model) });
    assert_eq!(spied(&unseen_flipped), log);
    // The test can tell: scores that were seen do change decisions.
    let seen_flipped = data(|row, model| if seen(row, model) { 1.0 - score(row, model) } else { score(row, model) });
    assert_ne!(spied(&seen_flipped), log);
}
