//! A log that holds every kind of row, and strings and numbers of every kind.

use std::sync::Arc;

use slarouter_core::{
    AuditDraw, Candidate, Certificate, Decision, DecisionId, Rater, Rating, Reason, Source, Timestamp,
};
use slarouter_store::{
    Calendar, DecisionRecord, Entry, FeedbackRecord, OutcomeRecord, Payer, RouteCertificate, Store, TraceId, open,
};
use tempfile::TempDir;

pub(crate) const DAY: u64 = 86_400_000;
/// What no reader and no writer may fall over.
pub(crate) const HOSTILE: &str = "=cmd|' /C calc'!A0 \"q\" 'q', ;\r\n\t\0 \u{202e}é😀 --; DROP TABLE decisions";

/// A store in a folder of its own.
pub(crate) struct Log {
    pub(crate) folder: TempDir,
    pub(crate) url: String,
    pub(crate) store: Arc<dyn Store>,
}

impl Log {
    pub(crate) async fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let url = format!("sqlite://{}", folder.path().join("log.db").display());
        let store = open(&url).await.unwrap();
        Self { folder, url, store }
    }

    pub(crate) fn log(&self, decision: &DecisionRecord) {
        self.store.log(Entry::Decision(decision.clone())).unwrap();
    }

    pub(crate) async fn rate(&self, id: u128, rater: u64, rating: Option<f64>, source: Source) {
        let feedback = FeedbackRecord {
            decision: DecisionId(id),
            time: Timestamp(3 * DAY),
            source,
            rater: Rater(rater),
            rating: rating.map(|rating| Rating::new(rating).unwrap()),
            comment: Some(HOSTILE.to_owned()),
        };
        self.store.rate(feedback, 100 * DAY).await.unwrap();
    }

    /// Configurations, decisions of three routes and days, and all that can become of them. The last numbers are the ids of decisions.
    pub(crate) async fn filled() -> (Self, Vec<u128>) {
        let log = Self::new().await;
        log.store.configure(Timestamp(1), "default", r#"{"alpha":0.9}"#).await.unwrap();
        log.store.configure(Timestamp(2), "a/b", r#"{"alpha":0.5}"#).await.unwrap();
        log.store.configure(Timestamp(DAY), "default", r#"{"alpha":0.8}"#).await.unwrap();
        let plain = decision(7, "default", DAY + 5);
        let early = DecisionRecord { state_seq: 2, features: vec![], ..decision(8, "default", DAY + 6) };
        let mut hostile = decision(u128::MAX, "a/b", 2 * DAY);
        hostile.prompt = Some(HOSTILE.repeat(1_000));
        hostile.trace = TraceId::new("run_a.b:c/d+e=@~");
        hostile.payer = Payer { key: Some(HOSTILE.into()), tenant: Some("b".into()) };
        hostile.decision.candidates[0].model = HOSTILE.into();
        hostile.decision.candidates[1].planned = 1.0;
        hostile.audit = AuditDraw { rate: 0.25, drawn: true };
        hostile.features = vec![f32::MAX, -0.0, f32::MIN_POSITIVE];
        let mut pinned = decision(9, "", 0);
        (pinned.decision.reason, pinned.fallback) = (Reason::Pinned, None);
        let decisions = [plain, early, hostile, pinned];
        decisions.iter().for_each(|decision| log.log(decision));
        log.store.log(Entry::Reroute { decision: DecisionId(7), model: "small".into() }).unwrap();
        let failed = OutcomeRecord { ok: false, status: 502, error: Some(HOSTILE.into()), ..outcome(7) };
        for outcome in [failed, outcome(7), OutcomeRecord { cost: f64::MIN_POSITIVE, ..outcome(u128::MAX) }] {
            log.store.log(Entry::Outcome(outcome)).unwrap();
        }
        log.rate(8, 1, Some(0.0), Source::User).await;
        log.rate(8, 1, Some(1.0), Source::User).await;
        log.rate(8, u64::MAX, Some(0.1 + 0.2), Source::User).await;
        log.rate(8, 2, Some(0.5), Source::User).await;
        log.rate(8, 2, None, Source::User).await;
        log.rate(u128::MAX, 0, Some(1.0), Source::Audit).await;
        let certificate = Certificate { requests: 9, labels: 3, lower: 0.1, estimate: 0.5, upper: 0.9 };
        let certificate = RouteCertificate { route: "default".into(), time: Timestamp(DAY), alpha: 0.8, certificate };
        log.store.roll_up(&Calendar::default(), vec![certificate]).await.unwrap();
        (log, decisions.iter().map(|decision| decision.id.0).collect())
    }
}

/// A decision between two models, of which the second was drawn.
pub(crate) fn decision(id: u128, route: &str, time: u64) -> DecisionRecord {
    let candidate = |model: &str, probability: f64, saving: f64| Candidate {
        model: model.into(),
        probability,
        satisfaction: 0.1 + 0.2,
        cost: 1e-7 / 3.0,
        score: -f64::MIN_POSITIVE / 2.0,
        saving,
        excluded: saving > 0.0,
        planned: 0.0,
    };
    let candidates = vec![candidate("small", 1.0 / 3.0, 1e-9), candidate("large", 2.0 / 3.0, 0.0)];
    DecisionRecord {
        id: DecisionId(id),
        time: Timestamp(time),
        route: route.into(),
        decision: Decision { candidates, chosen: 1, reason: Reason::Explore },
        features: vec![0.5; 3],
        feature_version: u32::MAX,
        input_tokens: 0.1 + 0.7,
        state_seq: 3,
        prompt: None,
        audit: AuditDraw::default(),
        payer: Payer::default(),
        fallback: Some(0),
        trace: None,
    }
}

pub(crate) fn outcome(id: u128) -> OutcomeRecord {
    OutcomeRecord {
        decision: DecisionId(id),
        // No tool reads this time.
        time: Timestamp(u64::MAX),
        model: "large".into(),
        status: 200,
        ok: true,
        streamed: true,
        attempts: 2,
        input_tokens: Some(17.0),
        cached_tokens: None,
        cache_write_tokens: Some(0.0),
        output_tokens: Some(0.1 + 0.2),
        reasoning_tokens: None,
        cost: 1e-9 / 7.0,
        latency_ms: 12.5,
        ttft_ms: None,
        error: None,
    }
}
