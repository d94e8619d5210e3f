//! Questions to logs of which the truth is known.
#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

use std::sync::Arc;

use slarouter_core::what_if::{Refusal, Verdict};
use slarouter_core::{
    Alpha, AuditDraw, Candidate, Decision, DecisionId, ModelSpec, PolicySpec, Price, Rater, Rating, Reason, RouteSpec,
    Source, Timestamp, Zoo,
};
use slarouter_learner::{FeaturesId, LoggedRoute};
use slarouter_report::{NewPrice, Question, WhatIf, WhatIfError, plot, what_if};
use slarouter_store::{DecisionRecord, Entry, FeedbackRecord, OutcomeRecord, Payer, Store, open};
use tempfile::TempDir;

/// USD that `small` and `large` are predicted to cost, and do.
const COSTS: [f64; 2] = [1.0, 4.0];

struct Log {
    store: Arc<dyn Store>,
    next: u64,
}

impl Log {
    async fn new(folder: &TempDir) -> Self {
        let store = open(&format!("sqlite://{}", folder.path().join("log.db").display())).await.unwrap();
        let log = Self { store, next: 1 };
        let model = |name: &str, price| ModelSpec::new(name, Price { input: price, output: price });
        let zoo = Zoo::new(vec![model("small", 1.0), model("<large>", 4.0)]).unwrap();
        let spec = RouteSpec::new(Alpha::new(0.9).unwrap(), zoo, PolicySpec::parse("certified").unwrap());
        let features = FeaturesId { encoder: "hashed".to_owned(), version: 1, dim: 1 };
        let logged = LoggedRoute { spec, features, warm_start: None, unpriced: vec![] };
        log.store.configure(Timestamp(0), "default", &logged.json().unwrap()).await.unwrap();
        log
    }

    /// A decision between the two, drawn with ¾ and ¼, of half a million input and half a million output tokens.
    fn decide(&mut self, chosen: usize, reason: Reason, ok: bool) -> DecisionId {
        let (id, time) = (DecisionId(self.next.into()), Timestamp(self.next));
        self.next += 1;
        let candidate = |place: usize, probability, satisfaction| Candidate {
            model: ["small", "<large>"][place].into(),
            cost: COSTS[place],
            probability,
            satisfaction,
            score: COSTS[place] - 10.0 * satisfaction,
            ..Candidate::default()
        };
        let candidates = vec![candidate(0, 0.75, 0.625), candidate(1, 0.25, 0.875)];
        let record = DecisionRecord {
            id,
            time,
            route: "default".into(),
            decision: Decision { candidates, chosen, reason },
            features: vec![1.0],
            feature_version: 1,
            input_tokens: 5e5,
            state_seq: 0,
            prompt: None,
            audit: AuditDraw::default(),
            payer: Payer::default(),
            fallback: Some(1),
            trace: None,
        };
        self.store.log(Entry::Decision(record)).unwrap();
        let outcome = OutcomeRecord {
            decision: id,
            time,
            model: ["small", "<large>"][chosen].into(),
            status: if ok { 200 } else { 502 },
            ok,
            streamed: false,
            attempts: 1,
            input_tokens: Some(5e5),
            cached_tokens: None,
            cache_write_tokens: None,
            output_tokens: Some(5e5),
            reasoning_tokens: None,
            cost: COSTS[chosen],
            latency_ms: 1.0,
            ttft_ms: None,
            error: None,
        };
        self.store.log(Entry::Outcome(outcome)).unwrap();
        id
    }

    async fn rate(&self, decision: DecisionId, value: f64) {
        let rating = Some(Rating::new(value).unwrap());
        let (time, source, rater) = (Timestamp(self.next), Source::User, Rater(0));
        let said = FeedbackRecord { decision, time, source, rater, rating, comment: None };
        self.store.rate(said, u64::MAX).await.unwrap();
    }

    /// So many times sixteen rated decisions, four of which `large` answered: it satisfies each time, and `small` in half of the cases.
    async fn drawn(&mut self, times: usize) {
        for n in 0..16 * times {
            let chosen = usize::from(n % 4 == 3);
            let id = self.decide(chosen, if chosen == 0 { Reason::Exploit } else { Reason::Explore }, true);
            self.rate(id, if chosen == 1 || n % 8 < 4 { 1.0 } else { 0.0 }).await;
        }
    }

    async fn ask(&self, question: &Question) -> Result<WhatIf, WhatIfError> {
        self.store.flush().await.unwrap();
        what_if(self.store.as_ref(), question, *self.store.committed().borrow()).await
    }
}

fn near(found: f64, expected: f64) {
    assert!((found - expected).abs() < 1e-9, "{found} is not {expected}");
}

#[tokio::test]
async fn the_frontier_of_a_log_is_its_truth() {
    let folder = TempDir::new().unwrap();
    let mut log = Log::new(&folder).await;
    log.drawn(100).await;
    let answer = log.ask(&Question::default()).await.unwrap();
    assert_eq!((answer.requests, answer.labels_by, answer.alpha, &*answer.route), (1_600, "ratings", 0.9, "default"));
    let [small, large] = answer.models.as_slice() else { panic!("{:?}", answer.models) };
    for (point, satisfaction, cost) in [(small, 0.5, 1.0), (large, 1.0, 4.0), (&answer.ran, 0.625, 1.75)] {
        let told = &point.evaluated;
        near(told.ips.unwrap(), satisfaction);
        near(told.satisfaction.estimate, satisfaction);
        near(told.cost.unwrap().estimate, cost);
        assert!(told.satisfaction.half_width() < 0.25 && told.satisfaction.lower <= satisfaction, "{told:?}");
    }
    assert_eq!((small.verdict, large.verdict, answer.ran.verdict), (Verdict::Worse, Verdict::Better, Verdict::Same));
    // ¼ more of satisfaction is predicted for 3 USD more: from 12 USD on `large` is chosen.
    assert_eq!(answer.frontier.len(), 21);
    for point in &answer.frontier {
        let alone = if point.price_usd.unwrap() < 12.0 { small } else { large };
        assert_eq!(point.evaluated.satisfaction, alone.evaluated.satisfaction);
    }
    assert!(answer.asked.is_none());
    log.store.close().await;
}

#[tokio::test]
async fn a_target_is_met_by_the_cheapest_mix() {
    let folder = TempDir::new().unwrap();
    let mut log = Log::new(&folder).await;
    log.drawn(100).await;
    let asked = log.ask(&Question { alpha: Some(0.75), ..Question::default() }).await.unwrap().asked.unwrap();
    // Half of each.
    near(asked.evaluated.satisfaction.estimate, 0.75);
    near(asked.evaluated.cost.unwrap().estimate, 2.5);
    assert_eq!((&*asked.name, asked.verdict), ("α = 0.75", Verdict::Better));
    let too_much = log.ask(&Question { policy: Some("fixed:small".to_owned()), ..Question::default() }).await.unwrap();
    assert_eq!((too_much.frontier.len(), too_much.asked.unwrap().verdict), (0, Verdict::Worse));
    let without =
        log.ask(&Question { without: Some("small".into()), ..Question::default() }).await.unwrap().asked.unwrap();
    near(without.evaluated.satisfaction.estimate, 1.0);
    near(without.evaluated.cost_difference.unwrap().estimate, 2.25);
    log.store.close().await;
}

#[tokio::test]
async fn another_price_is_that_of_the_tokens_and_may_change_choices() {
    let folder = TempDir::new().unwrap();
    let mut log = Log::new(&folder).await;
    log.drawn(20).await;
    let price = |model: &str, usd: f64| Question {
        price: Some(NewPrice { model: model.into(), input: usd, output: usd }),
        ..Question::default()
    };
    let dearer = log.ask(&price("small", 2.0)).await.unwrap();
    // Scores are −5.25 and −4.75: half a dollar more changes the order.
    let (ran, asked) = (dearer.ran.evaluated, dearer.asked.unwrap());
    near(ran.cost.unwrap().estimate, 0.75 * 2.0 + 0.25 * 4.0);
    near(asked.evaluated.cost.unwrap().estimate, 4.0);
    assert_eq!(asked.name, "small at 2/2 USD");
    let cheaper = log.ask(&price("<large>", 3.8)).await.unwrap();
    // And twenty cents less does not.
    let asked = cheaper.asked.unwrap().evaluated;
    near(asked.cost.unwrap().estimate, 0.75 + 0.25 * 3.8);
    assert_eq!((asked.satisfaction_difference.lower, asked.satisfaction_difference.upper), (0.0, 0.0));
    log.store.close().await;
}

#[tokio::test]
async fn what_was_not_drawn_is_counted_apart() {
    let folder = TempDir::new().unwrap();
    let mut log = Log::new(&folder).await;
    log.drawn(1).await;
    log.decide(0, Reason::Pinned, true);
    log.decide(1, Reason::Affinity, true);
    log.decide(1, Reason::Affinity, true);
    log.decide(0, Reason::Fallback, false);
    log.decide(0, Reason::Fallback, true);
    let answer = log.ask(&Question::default()).await.unwrap();
    assert_eq!((answer.requests, answer.unanswered, answer.stayed, answer.pinned), (17, 1, 2, 1));
    assert_eq!(answer.ran.evaluated.labels, 16);
    // One of eighteen counts nowhere.
    let refusals = &answer.models[1].refusals[..];
    assert!(matches!(refusals, [Refusal::Unanswered { .. }, Refusal::Wide { .. }]), "{refusals:?}");
    let drawing = plot(&answer);
    assert!(drawing.starts_with("<svg ") && drawing.ends_with("</svg>\n") && !drawing.contains("NaN"), "{drawing}");
    log.store.close().await;
}

#[tokio::test]
async fn names_are_text_in_a_drawing() {
    let folder = TempDir::new().unwrap();
    let mut log = Log::new(&folder).await;
    log.drawn(100).await;
    let drawing = plot(&log.ask(&Question { alpha: Some(0.75), ..Question::default() }).await.unwrap());
    assert!(drawing.contains("&lt;large&gt;") && !drawing.contains("<large>"), "{drawing}");
    assert!(drawing.contains(">α = 0.75<") && drawing.contains("class=\"ran\""), "{drawing}");
    log.store.close().await;
}

#[tokio::test]
async fn what_the_log_does_not_have_is_said() {
    let folder = TempDir::new().unwrap();
    let mut log = Log::new(&folder).await;
    let error = log.ask(&Question::default()).await.unwrap_err();
    assert!(error.to_string().contains("nothing was drawn"), "{error}");
    log.drawn(1).await;
    for (question, said) in [
        (Question { route: Some("other".into()), ..Question::default() }, "it has default"),
        (Question { without: Some("medium".into()), ..Question::default() }, "it has small, <large>"),
        (Question { from: Some("2026-11".to_owned()), ..Question::default() }, "nothing was drawn"),
        (Question { policy: Some("fixed:new".to_owned()), ..Question::default() }, "no answer of it is in the log"),
    ] {
        let error = log.ask(&question).await.unwrap_err();
        assert!(error.to_string().contains(said), "{error}");
    }
    log.store.close().await;
}
