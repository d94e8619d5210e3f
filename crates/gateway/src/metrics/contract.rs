//! Names, types, units and labels are what docs/metrics.md says, no more and no less.

use std::collections::{BTreeMap, BTreeSet};

use slarouter_core::{
    Alpha, Context, DecisionId, Feedback, Learner, ModelSpec, PolicySpec, Price, Rater, Rating, RouteSpec, Router, Zoo,
    decision_rng,
};
use slarouter_store::Totals;
use slarouter_testkit::{documented, exposition};

use super::*;

/// A route that has learnt from one rating and one audit.
pub(super) fn learnt(policy: &str) -> Router {
    let price = Price { input: 1.0, output: 1.0 };
    let zoo = Zoo::new(vec![ModelSpec { name: "m".into(), price, prior: None }]).unwrap();
    let spec = RouteSpec::new(Alpha::new(0.9).unwrap(), zoo, PolicySpec::parse(policy).unwrap());
    let spec = RouteSpec { feedback_window_ms: 1_000, audit_rate: 0.5, ..spec };
    let mut learner = Learner::new(spec, 1, 1).unwrap();
    for (n, source) in [(1, Source::User), (2, Source::Audit)] {
        let (id, at) = (DecisionId(u128::from(n)), Timestamp(n));
        let context = Context { features: &[1.0], input_tokens: 1.0, excluded: &[] };
        let decision = learner.router().decide(&context, &mut decision_rng(1, id)).unwrap();
        learner.decided(&decision, at);
        let feedback = Feedback {
            decision: id,
            decided_at: at,
            model: "m",
            reason: decision.reason,
            features: &[1.0],
            predicted: decision.choice().satisfaction,
            source,
            rater: Rater(0),
            rating: Some(Rating::new(1.0).unwrap()),
            order: n,
        };
        learner.observe(&feedback, at).unwrap();
    }
    learner.router().clone()
}

/// A whole answer of model m.
fn outcome() -> OutcomeRecord {
    OutcomeRecord {
        decision: DecisionId(1),
        time: Timestamp(0),
        model: "m".into(),
        status: 200,
        ok: true,
        streamed: false,
        attempts: 1,
        input_tokens: Some(20.0),
        cached_tokens: Some(5.0),
        cache_write_tokens: None,
        output_tokens: Some(7.0),
        reasoning_tokens: None,
        cost: 0.1,
        latency_ms: 100.0,
        ttft_ms: Some(20.0),
        error: None,
    }
}

#[test]
fn every_metric_is_documented_and_every_documented_metric_is_there() {
    let metrics = Metrics::new();
    let served = outcome();
    let payer = Payer { key: Some("k".into()), tenant: None };
    metrics.served(&Served { route: "r", payer: &payer, decision: "explore", most_expensive: 0.2, outcome: &served });
    let rated = Totals { ratings: 1, rating_micro: 1_000_000, ..Totals::default() };
    metrics.recent(&[Row { names: vec!["r".into(), "m".into()], totals: rated }]);
    metrics.failure("m", "timeout");
    metrics.called("m");
    metrics.retry_refused("m");
    metrics.rerouted("r", "m", "n");
    metrics.excluded("r", "m", "unsupported");
    metrics.degraded("store");
    metrics.drawn("r");
    metrics.feedback(Source::User, Receipt::Recorded);
    metrics.feedback(Source::Audit, Receipt::Recorded);
    metrics.without_features("timeout");
    metrics.unlogged();
    metrics.configured(Timestamp(1));
    metrics.reloaded(true);
    metrics.checked("m", true);
    metrics.hedged("m", "won");
    metrics.price_known("m", true);
    metrics.unpriced("m");
    metrics.span_counts().add("exported", 1);
    let routes = [("certified".into(), learnt("certified")), ("queue".into(), learnt("slarouter"))];
    let snapshot =
        Snapshot { routes: routes.into(), set_aside: [("certified".into(), 1)].into(), ..Snapshot::default() };
    let text = metrics.render(&snapshot, &LogState::default(), [("m", 0)]);

    let scraped = exposition(&text);
    let shown: BTreeMap<String, (String, BTreeSet<String>)> =
        scraped.iter().map(|(name, metric)| (name.clone(), (metric.kind.clone(), metric.labels.clone()))).collect();
    assert_eq!(shown, documented(include_str!("../../../../docs/metrics.md")), "left: shown, right: docs/metrics.md");
    for (name, metric) in &scraped {
        assert_eq!(metric.unit.as_deref() == Some("seconds"), name.contains("_seconds"), "{name}: its unit");
    }
}
