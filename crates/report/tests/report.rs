//! Reports on logs of which the truth is known.
#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

use std::sync::Arc;

use jiff::tz::TimeZone;
use slarouter_core::{
    Alpha, AuditDraw, Candidate, Decision, DecisionId, ModelSpec, PolicySpec, Price, Rater, Rating, Reason, RouteSpec,
    Source, Timestamp, Zoo,
};
use slarouter_learner::{FeaturesId, LoggedRoute};
use slarouter_report::{Format, Report, Terms, Verdict, report};
use slarouter_store::{Calendar, DecisionRecord, Entry, FeedbackRecord, OutcomeRecord, Payer, Store, open};
use tempfile::TempDir;

const HOUR: u64 = 3_600_000;

fn berlin() -> Calendar {
    Calendar::new(TimeZone::get("Europe/Berlin").unwrap())
}

fn moment(date: &str) -> Timestamp {
    berlin().parse(date).unwrap()
}

struct Log {
    store: Arc<dyn Store>,
    next: u128,
    /// What is planned of `small`, where the route is only observed.
    planned: Option<f64>,
}

impl Log {
    async fn new(folder: &TempDir) -> Self {
        let store = open(&format!("sqlite://{}", folder.path().join("log.db").display())).await.unwrap();
        Self { store, next: 1, planned: None }
    }

    async fn configure(&self, time: Timestamp, alpha: f64, large: f64) {
        let model = |name: &str, price| ModelSpec::new(name, Price { input: price, output: price });
        let zoo = Zoo::new(vec![model("small", 0.1), model("large", large)]).unwrap();
        let spec = RouteSpec::new(Alpha::new(alpha).unwrap(), zoo, PolicySpec::parse("certified").unwrap());
        let features = FeaturesId { encoder: "hashed".to_owned(), version: 1, dim: 1 };
        let logged = LoggedRoute { spec, features, warm_start: None, unpriced: vec![] };
        self.store.configure(time, "default", &logged.json().unwrap()).await.unwrap();
    }

    /// A request that cost 1 USD, where 4 are predicted of `large`; rated so.
    async fn serve(&mut self, time: Timestamp, key: &str, rating: Option<f64>) {
        let id = DecisionId(self.next);
        self.next += 1;
        let planned =
            |model: &str| self.planned.map_or(0.0, |small| if model == "small" { small } else { 1.0 - small });
        let candidate = |model: &str, cost, probability| Candidate {
            model: model.into(),
            cost,
            probability,
            satisfaction: 0.9,
            planned: planned(model),
            ..Candidate::default()
        };
        let record = DecisionRecord {
            id,
            time,
            route: "default".into(),
            decision: Decision {
                candidates: vec![candidate("small", 1.0, 0.75), candidate("large", 4.0, 0.25)],
                chosen: 0,
                reason: Reason::Exploit,
            },
            features: vec![1.0],
            feature_version: 1,
            input_tokens: 1.0,
            state_seq: 0,
            prompt: None,
            audit: AuditDraw { rate: 1.0, drawn: true },
            payer: Payer { key: Some(key.into()), tenant: None },
            fallback: Some(1),
            trace: None,
        };
        self.store.log(Entry::Decision(record)).unwrap();
        let outcome = OutcomeRecord {
            decision: id,
            time,
            model: "small".into(),
            status: 200,
            ok: true,
            streamed: false,
            attempts: 1,
            input_tokens: Some(1.0),
            cached_tokens: None,
            cache_write_tokens: None,
            output_tokens: Some(1.0),
            reasoning_tokens: None,
            cost: 1.0,
            latency_ms: 1.0,
            ttft_ms: None,
            error: None,
        };
        self.store.log(Entry::Outcome(outcome)).unwrap();
        if let Some(value) = rating {
            let rating = Some(Rating::new(value).unwrap());
            let (source, rater) = (Source::User, Rater(0));
            let said = FeedbackRecord { decision: id, time, source, rater, rating, comment: None };
            self.store.rate(said, u64::MAX).await.unwrap();
        }
    }

    async fn report(&self, from: &str, to: &str) -> Report {
        self.store.flush().await.unwrap();
        while self.store.roll_up(&berlin(), vec![]).await.unwrap().more {}
        let until = *self.store.committed().borrow();
        report(self.store.as_ref(), moment(from)..moment(to), until).await.unwrap()
    }
}

#[tokio::test]
async fn each_month_is_judged_by_its_own_answers() {
    let folder = TempDir::new().unwrap();
    let mut log = Log::new(&folder).await;
    log.configure(moment("2026-01"), 0.8, 1.0).await;
    // Good in February, bad in March, and hardly rated in April. The first hour of a month of Berlin is in the last one of UTC.
    for n in 0..600 {
        log.serve(Timestamp(moment("2026-02").0 + n * HOUR), "ci", Some(if n % 20 > 0 { 1.0 } else { 0.0 })).await;
        log.serve(Timestamp(moment("2026-03").0 + n * HOUR), "ci", Some((n % 2) as f64)).await;
        log.serve(Timestamp(moment("2026-04").0 + n * HOUR), "web", (n < 5).then_some(1.0)).await;
    }
    log.configure(Timestamp(moment("2026-04").0 + 700 * HOUR), 0.7, 2.0).await;
    let report = log.report("2026-02", "2026-05").await;
    let told: Vec<_> = report
        .months
        .iter()
        .map(|month| (month.name.as_str(), month.routes[0].verdict, month.routes[0].requests, month.routes[0].ratings))
        .collect();
    assert_eq!(
        told,
        [
            ("2026-02", Verdict::Kept, 600, 600),
            ("2026-03", Verdict::Broken, 600, 600),
            ("2026-04", Verdict::NotDecided, 600, 5)
        ]
    );
    let [february, .., april] = &report.months[..] else { panic!("three months") };
    assert_eq!((&*february.bills[0].key, february.bills[0].cost_usd, &*april.bills[0].key), ("ci", 600.0, "web"));
    assert_eq!((february.days.len(), &*february.days[0].date, february.days[0].requests), (25, "2026-02-01", 24));
    let route = &february.routes[0];
    assert_eq!((route.baseline.as_deref(), route.saved_usd, route.saved_interval_usd), (Some("large"), 1_800.0, None));
    let what: Vec<_> =
        report.incidents.iter().map(|incident| (incident.date.as_str(), incident.what.as_str())).collect();
    assert_eq!(
        what,
        [
            ("2026-04-30", "target from 0.8 to 0.7: its evidence begins anew"),
            ("2026-04-30", "price of large from 1/1 to 2/2 USD per million tokens, input/output")
        ]
    );
    log.store.close().await;
}

#[tokio::test]
async fn what_a_route_would_have_given_while_it_was_observed_is_in_the_report() {
    let folder = TempDir::new().unwrap();
    let mut log = Log::new(&folder).await;
    log.configure(moment("2026-01"), 0.8, 1.0).await;
    log.serve(moment("2026-02"), "ci", None).await;
    let unobserved = log.report("2026-02", "2026-03").await;
    assert!(unobserved.months[0].routes[0].observed.is_none());
    assert!(!unobserved.write(Format::Markdown).unwrap().contains("Only observed"));
    log.planned = Some(0.5);
    for n in 0..40 {
        log.serve(Timestamp(moment("2026-02").0 + n * HOUR), "ci", Some(1.0)).await;
    }
    let found = log.report("2026-02", "2026-03").await.months[0].routes[0].observed.unwrap();
    // Half of the plan costs 1 and the other half 4, and 1 was charged, as predicted. Where answers are drawn for audit users do not count.
    assert_eq!((found.requests, found.baseline_usd, found.saved_usd), (40, 160.0, 60.0));
    assert!((found.satisfaction - 0.9).abs() < 1e-12, "{found:?}");
    assert_eq!((found.labels, found.saved_interval_usd), (0, None));
    let text = log.report("2026-02", "2026-03").await.write(Format::Markdown).unwrap();
    let told = "Only observed for 40 requests: switched on, it would have saved $60.00 (too little was tried to say how sure) of the $160.00 \
                that always large costs, and 90.0 % (too little was tried to say how sure) of its answers would have satisfied (0 labels, 0 of \
                other models).";
    assert!(text.contains(told), "{text}");
    log.store.close().await;
}

#[tokio::test]
async fn what_came_later_changes_no_report_and_what_was_changed_shows() {
    let folder = TempDir::new().unwrap();
    let mut log = Log::new(&folder).await;
    log.configure(moment("2026-01"), 0.8, 1.0).await;
    for n in 0..50 {
        log.serve(Timestamp(moment("2026-02").0 + n * HOUR), "ci", Some(1.0)).await;
    }
    let before = log.report("2026-02", "2026-03").await;
    log.serve(moment("2026-02-07"), "ci", Some(0.0)).await;
    let again = report(log.store.as_ref(), before.terms.period(), before.terms.log_seq).await.unwrap();
    let later = log.report("2026-02", "2026-03").await;
    for format in [Format::Html, Format::Markdown, Format::Json] {
        let text = before.write(format).unwrap();
        assert_eq!(Terms::of(&text), Some(before.terms.clone()), "{format:?}");
        assert_eq!(again.write(format).unwrap(), text);
        assert_ne!(later.write(format).unwrap(), text);
    }
    assert_ne!(later.log_sha256, before.log_sha256);
    assert_eq!(Terms::of("<!-- slarouter-report {} -->"), None);
    log.store.close().await;
}

#[tokio::test]
async fn a_page_needs_nothing_else_and_names_are_text() {
    let folder = TempDir::new().unwrap();
    let mut log = Log::new(&folder).await;
    log.configure(moment("2026-01"), 0.8, 1.0).await;
    // Unrated: a single answer that is rated is all that there is to know.
    log.serve(moment("2026-02"), "<script>alert(1)</script>|", None).await;
    let report = log.report("2026-02", "2026-03").await;
    let html = report.write(Format::Html).unwrap();
    assert!(html.contains("&#60;script&#62;") || html.contains("&lt;script&gt;"), "{html}");
    for foreign in ["<script", "http://", "https://", "src=", "@import", "url("] {
        assert!(!html.contains(foreign), "{foreign} in {html}");
    }
    assert!(html.contains("<svg") && html.contains("@media print") && html.contains("Not decided"));
    let markdown = report.write(Format::Markdown).unwrap();
    assert!(markdown.contains("| <script>alert(1)</script>\\| |  | 1 | $1.00 |"), "{markdown}");
    log.store.close().await;
}
