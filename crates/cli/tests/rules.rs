//! The rules for Prometheus under its own tool: each alert fires, stays silent and resolves, whatever α is.
//!
//! Needs `promtool`, which `make setup-test` puts into `target/tools`.
#![expect(clippy::unwrap_used, reason = "a helper of tests may fail loudly")]

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Minutes of peace before and after what an alert is for.
const PEACE: u64 = 90;
const TARGETS: [f64; 3] = [0.8, 0.9, 0.99];

/// The values of a series, one a minute.
enum Course {
    /// A gauge: in peace, and in trouble.
    Gauge(f64, f64),
    /// A counter: what it gains in a minute of peace, and of trouble.
    Counter(f64, f64),
    /// The time of something that keeps happening in peace, and does not in trouble.
    Last,
}

/// What has to happen for an alert.
struct Case {
    alert: &'static str,
    /// Minutes until it fires, at the latest.
    within: u64,
    /// Minutes of peace until it has resolved, at the latest.
    resolves: u64,
    series: Vec<(String, Course)>,
}

fn tool() -> PathBuf {
    let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/tools/promtool");
    if tools.exists() { tools } else { "promtool".into() }
}

fn rules() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/prometheus/slarouter.rules.yml").canonicalize().unwrap()
}

fn run(arguments: &[&str], file: &Path) -> (bool, String) {
    // `make setup-test` fetches promtool.
    let output = Command::new(tool()).args(arguments).arg(file).output().unwrap();
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    (output.status.success(), said)
}

/// Of a file of tests whose rules are looked at every so many minutes.
fn beginning(minutes: u64) -> String {
    format!("rule_files: ['{}']\nevaluation_interval: {minutes}m\ntests:\n", rules().display())
}

fn passes(name: &str, text: &str) {
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&file, text).unwrap();
    let (passed, said) = run(&["test", "rules"], &file);
    assert!(passed, "{said}");
}

const LABELS: &str = r#"job="slarouter",instance="a""#;

fn series(name: &str, labels: &str) -> String {
    let comma = if labels.is_empty() { "" } else { "," };
    format!("slarouter_{name}{{{LABELS}{comma}{labels}}}")
}

fn of_route(name: &str, labels: &str) -> String {
    let comma = if labels.is_empty() { "" } else { "," };
    series(name, &format!("route=\"default\"{comma}{labels}"))
}

/// A series that has one value throughout.
fn steady(name: String, value: f64) -> (String, Course) {
    (name, Course::Gauge(value, value))
}

/// A burn rate or the like: just below `threshold` in peace, and just above it in trouble.
fn beyond(name: String, threshold: f64) -> (String, Course) {
    (name, Course::Gauge(0.97 * threshold, 1.03 * threshold))
}

fn status(word: &str) -> (String, Course) {
    (of_route("sla_status", &format!("status=\"{word}\"")), Course::Gauge(0.0, 1.0))
}

/// Enough answers and labels to believe predictions by.
fn told(target: f64) -> Vec<(String, Course)> {
    vec![
        steady(of_route("satisfaction_target_ratio", ""), target),
        steady(of_route("labelled_decisions", ""), 50.0),
        (of_route("requests_total", r#"decision="exploit""#), Course::Counter(2.0, 2.0)),
    ]
}

fn predicted(window: &str) -> String {
    of_route("sla_predicted_burn_rate", &format!("window=\"{window}\""))
}

fn evidenced(window: &str, bound: &str) -> String {
    of_route("sla_burn_rate", &format!("window=\"{window}\",bound=\"{bound}\""))
}

fn case(alert: &'static str, within: u64, resolves: u64, series: Vec<(String, Course)>) -> Case {
    Case { alert, within, resolves, series }
}

/// Those that depend on α.
fn of_targets(target: f64) -> Vec<Case> {
    let budget = 1.0 - target;
    let threshold = |share: f64, usual: f64| usual.min(share / budget);
    let with = |series: Vec<(String, Course)>| told(target).into_iter().chain(series).collect();
    let (fast, slow) = (threshold(0.6, 14.4), threshold(0.4, 6.0));
    let fallback = of_route("fallback_satisfaction", r#"bound="upper""#);
    vec![
        case("SLAPredictedFastBurn", 4, 2, with(vec![beyond(predicted("1h"), fast), beyond(predicted("5m"), fast)])),
        case("SLAPredictedBurn", 17, 2, with(vec![beyond(predicted("6h"), slow), beyond(predicted("30m"), slow)])),
        case("SLAPredictedDrop", 17, 2, with(vec![beyond(predicted("1h"), (budget + 0.1) / budget)])),
        case(
            "SLAEvidencedBurn",
            62,
            2,
            with(vec![beyond(evidenced("1d", "lower"), threshold(0.3, 3.0)), beyond(evidenced("6h", "estimate"), 1.0)]),
        ),
        case(
            "SLAExhausts",
            62,
            2,
            with(vec![
                (of_route("sla_exhaustion_seconds", ""), Course::Gauge(300_000.0, 250_000.0)),
                steady(of_route("sla_status", r#"status="insufficient""#), 0.0),
                steady(fallback.clone(), target - 0.001),
            ]),
        ),
        case("FallbackMisses", 62, 2, with(vec![(fallback, Course::Gauge(target + 0.001, target - 0.001))])),
    ]
}

/// Those that say the same whatever α is.
fn of_words() -> Vec<Case> {
    let no_more = vec![(series("log_seq", ""), Course::Gauge(1.0, f64::NAN))];
    vec![
        case("SLABroken", 12, 2, vec![status("broken")]),
        case("SLAUnreachable", 17, 2, vec![status("unreachable")]),
        case("SLAUnproven", 4_330, 10, vec![status("unproven"), steady(status("at_risk").0, 0.0)]),
        case("SLAStale", 12, 2, vec![status("stale")]),
        case(
            "NoLabels",
            1_465,
            10,
            vec![
                (of_route("requests_total", r#"decision="exploit""#), Course::Counter(1.0, 1.0)),
                (of_route("last_label_timestamp_seconds", ""), Course::Last),
            ],
        ),
        case(
            "AuditsBehind",
            60,
            1_440,
            vec![
                (of_route("audits_drawn_total", ""), Course::Counter(0.1, 1.0)),
                (series("audits_given_total", r#"receipt="recorded""#), Course::Counter(0.1, 0.1)),
            ],
        ),
        case(
            "SavingLittle",
            1_450,
            10,
            vec![(of_route("saving_little", r#"reason="headroom""#), Course::Gauge(0.0, 1.0))],
        ),
        case("NoMetrics", 12, 2, no_more),
        case(
            "LearnerLag",
            7,
            2,
            vec![
                steady(series("log_seq", ""), 20_000.0),
                (series("learner_seq", ""), Course::Gauge(10_000.0, 9_999.0)),
            ],
        ),
        case("StateOld", 3, 2, vec![(series("state_age_seconds", ""), Course::Gauge(0.4, 61.0))]),
        case("DatabaseSetBack", 2, 12, vec![(series("log_set_back_total", ""), Course::Counter(0.0, 1.0))]),
        case("Unlogged", 7, 12, vec![(series("unlogged_total", ""), Course::Counter(0.0, 1.0))]),
        case("Spooled", 7, 2, vec![(series("spooled_records", ""), Course::Gauge(0.0, 1.0))]),
        case("Degraded", 7, 12, vec![(series("degraded_total", r#"reason="store""#), Course::Counter(0.0, 1.0))]),
        case("UnreadableRows", 7, 2, vec![(series("unreadable_rows", ""), Course::Gauge(0.0, 1.0))]),
        case("ModelDown", 7, 2, vec![(series("circuit_state", r#"model="m""#), Course::Gauge(1.0, 2.0))]),
        case(
            "ReloadFailed",
            7,
            62,
            vec![(series("config_reloads_total", r#"result="failure""#), Course::Counter(0.0, 1.0))],
        ),
    ]
}

/// The values of peace, trouble and peace in the notation of promtool, in which `axn` are n + 1 values.
fn notation(course: &Course, trouble: u64, after: u64) -> String {
    let (first, second, third) = (PEACE - 1, trouble - 1, after - 1);
    match *course {
        Course::Gauge(_, bad) if bad.is_nan() => format!("1x{first} _x{trouble} 1x{third}"),
        Course::Gauge(good, bad) => format!("{good}x{first} {bad}x{second} {good}x{third}"),
        Course::Counter(good, bad) => {
            let (begun, ended) = (good * PEACE as f64, good * PEACE as f64 + bad * trouble as f64);
            format!("0+{good}x{first} {begun}+{bad}x{second} {ended}+{good}x{third}")
        }
        Course::Last => {
            let (last, again) = (first * 60, (PEACE + trouble) * 60);
            format!("0+60x{first} {last}x{second} {again}+60x{third}")
        }
    }
}

/// A test of promtool: silent at the end of the first peace, firing at the end of the trouble, resolved at the end.
fn write_test(text: &mut String, case: &Case, target: Option<f64>) {
    let Case { alert, within, resolves, series } = case;
    writeln!(text, "  - name: {alert} {target:?}\n    interval: 1m\n    input_series:").unwrap();
    for (name, course) in series {
        let values = notation(course, *within, resolves + 10);
        writeln!(text, "      - series: '{name}'\n        values: '{values}'").unwrap();
    }
    writeln!(text, "    promql_expr_test:").unwrap();
    let firing = format!("count(ALERTS{{alertname=\"{alert}\", alertstate=\"firing\"}})");
    for (at, fires) in [(PEACE - 1, false), (PEACE + within - 1, true), (PEACE + within + resolves, false)] {
        writeln!(text, "      - expr: '{firing}'\n        eval_time: {at}m").unwrap();
        if fires {
            writeln!(text, "        exp_samples: [{{ labels: '{{}}', value: 1 }}]").unwrap();
        }
    }
}

fn cases() -> Vec<(Case, Option<f64>)> {
    let of_targets =
        TARGETS.into_iter().flat_map(|target| of_targets(target).into_iter().map(move |case| (case, Some(target))));
    of_targets.chain(of_words().into_iter().map(|case| (case, None))).collect()
}

#[test]
fn prometheus_takes_the_rules() {
    let (taken, said) = run(&["check", "rules"], &rules());
    assert!(taken, "{said}");
}

#[test]
fn each_alert_fires_and_is_silent_and_resolves() {
    // Those that take days are looked at less often.
    for (minutes, name) in [(1, "minutes.yml"), (5, "days.yml")] {
        let mut text = beginning(minutes);
        for (case, target) in cases().iter().filter(|(case, _)| (case.within > 1_000) == (minutes > 1)) {
            write_test(&mut text, case, *target);
        }
        passes(name, &text);
    }
}

#[test]
fn no_alert_is_without_a_test_or_a_runbook() {
    let (rules, runbook) = (std::fs::read_to_string(rules()).unwrap(), include_str!("../../../docs/alerts.md"));
    let alerts: Vec<_> = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert!(alerts.len() > 15);
    let tested = cases();
    for alert in alerts {
        assert!(tested.iter().any(|(case, _)| case.alert == alert), "{alert} has no test");
        assert!(runbook.contains(&format!("\n### {alert}\n")), "{alert} has no heading in docs/alerts.md");
        let anchor = format!("runbook_url: docs/alerts.md#{}\n", alert.to_lowercase());
        assert!(rules.contains(&anchor), "{alert} does not name its runbook");
    }
}

/// Without evidence nothing is said: few labels, or few answers, silence predictions as bad as can be.
#[test]
fn predictions_without_evidence_fire_nothing() {
    let mut text = beginning(1);
    for (labels, answers) in [(49, 2.0), (50, 0.1)] {
        writeln!(text, "  - interval: 1m\n    input_series:").unwrap();
        let windows = ["5m", "30m", "1h", "6h"].map(|window| (predicted(window), "100x120".to_owned()));
        let told = [
            (of_route("satisfaction_target_ratio", ""), "0.99x120".to_owned()),
            (of_route("labelled_decisions", ""), format!("{labels}x120")),
            (of_route("requests_total", r#"decision="exploit""#), format!("0+{answers}x120")),
            (series("log_seq", ""), "1x120".to_owned()),
        ];
        for (name, values) in windows.into_iter().chain(told) {
            writeln!(text, "      - series: '{name}'\n        values: '{values}'").unwrap();
        }
        writeln!(text, "    promql_expr_test:\n      - expr: 'count(ALERTS)'\n        eval_time: 120m").unwrap();
    }
    passes("silent.yml", &text);
}
