//! Names, types, units and labels are what docs/metrics.md says, no more and no less.

use std::collections::{BTreeMap, BTreeSet};

use slarouter_core::{
    Agreement, Alpha, Context, DecisionId, Feedback, Learner, ModelSpec, Obstacle, PolicySpec, Price, Rater, Rating,
    Recent, RouteSpec, Router, Thrift, Zoo, decision_rng,
};
use slarouter_store::Totals;
use slarouter_testkit::{Metric, documented, exposition};

use super::*;

/// A route that has learnt from one rating and one audit, and how it has done of late.
pub(super) fn learnt(policy: &str) -> (Router, Recent) {
    let price = Price { input: 1.0, output: 1.0 };
    let zoo = Zoo::new(vec![ModelSpec { name: "m".into(), price, prior: None }]).unwrap();
    let spec = RouteSpec::new(Alpha::new(0.9).unwrap(), zoo, PolicySpec::parse(policy).unwrap());
    let spec = RouteSpec { feedback_window_ms: 1_000, audit_rate: 0.5, ..spec };
    let mut recent = Recent::new(&spec);
    let mut learner = Learner::new(spec, 1, 1).unwrap();
    for (n, source) in [(1, Source::User), (2, Source::Audit)] {
        let (id, at) = (DecisionId(u128::from(n)), Timestamp(n));
        let context = Context { features: &[1.0], input_tokens: 1.0, excluded: &[] };
        let decision = learner.router().decide(&context, &mut decision_rng(1, id)).unwrap();
        learner.decided(&decision, at);
        recent.decided(&decision, at);
        let feedback = Feedback {
            decision: id,
            decided_at: at,
            model: "m",
            reason: decision.reason,
            features: &[1.0],
            predicted: decision.choice().satisfaction,
            source,
            rater: Rater(0),
            rating: Some(Rating::new(0.0).unwrap()),
            order: n,
        };
        let (_, change) = learner.observe_change(&feedback, at).unwrap();
        recent.labelled(&feedback, at, change.unwrap());
    }
    (learner.router().clone(), recent)
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

/// What a scrape shows when everything has happened.
fn scraped() -> BTreeMap<String, Metric> {
    let metrics = Metrics::new();
    let served = outcome();
    let payer = Payer { key: Some("k".into()), tenant: None };
    metrics.served(&Served { route: "r", payer: &payer, decision: "explore", most_expensive: 0.2, outcome: &served });
    let rated = Totals { ratings: 1, rating_micro: 1_000_000, ..Totals::default() };
    metrics.rated_of_late(&[Row { names: vec!["r".into(), "m".into()], totals: rated }]);
    metrics.rated_last(&[("r", rated)]);
    let plan = Totals { observed: 1, explored: 1, plan_tried: 60, ..Totals::default() };
    metrics.observed_of_late(&[("r", slarouter_store::observed(&[plan; 9]).unwrap())]);
    metrics.failure("m", "timeout");
    metrics.called("m");
    metrics.retry_refused("m");
    metrics.rerouted("r", "m", "n");
    metrics.excluded("r", "m", "unsupported");
    metrics.degraded("store");
    metrics.drawn("r");
    metrics.feedback(Source::User, Receipt::Recorded);
    metrics.feedback(Source::Audit, Receipt::Recorded);
    metrics.verdict("approved");
    metrics.without_features("timeout");
    metrics.unlogged();
    metrics.configured(Timestamp(1));
    metrics.reloaded(true);
    metrics.checked("m", true);
    metrics.hedged("m", "won");
    metrics.price_known("m", true);
    metrics.unpriced("m");
    metrics.span_counts().add("exported", 1);
    let (certified, recent) = learnt("certified");
    let snapshot = Snapshot {
        routes: [("certified".into(), certified), ("queue".into(), learnt("slarouter").0)].into(),
        recent: [("certified".into(), recent.into())].into(),
        thrift: [("certified".into(), Thrift { saving: 0.0, obstacle: Some(Obstacle::Headroom) })].into(),
        set_aside: [("certified".into(), 1)].into(),
        agreements: [("certified".into(), Agreement { compared: 10, agreed: 9 })].into(),
        ..Snapshot::default()
    };
    exposition(&metrics.render(&snapshot, &LogState { now: Timestamp(3), ..LogState::default() }, [("m", 0)]))
}

#[test]
fn every_metric_is_documented_and_every_documented_metric_is_there() {
    let scraped = scraped();
    let shown: BTreeMap<String, (String, BTreeSet<String>)> =
        scraped.iter().map(|(name, metric)| (name.clone(), (metric.kind.clone(), metric.labels.clone()))).collect();
    assert_eq!(shown, documented(include_str!("../../../../docs/metrics.md")), "left: shown, right: docs/metrics.md");
    for (name, metric) in &scraped {
        assert_eq!(metric.unit.as_deref() == Some("seconds"), name.contains("_seconds"), "{name}: its unit");
    }
}

/// An alert on a series that nobody emits is silent for ever.
#[test]
fn rules_and_dashboards_select_what_is_there() {
    let scraped = scraped();
    for (file, text) in [
        ("slarouter.rules.yml", include_str!("../../../../deploy/prometheus/slarouter.rules.yml").to_owned()),
        ("slarouter.json", include_str!("../../../../deploy/grafana/slarouter.json").replace("\\\"", "\"")),
    ] {
        let selected = selected(&text);
        assert!(selected.len() > 15, "{file}: {selected:?}");
        for (name, selector) in selected {
            let family = ["_bucket", "_count", "_sum"].iter().find_map(|part| name.strip_suffix(part)).unwrap_or(&name);
            let metric = scraped.get(&name).or_else(|| scraped.get(family));
            let metric = metric.unwrap_or_else(|| panic!("{file}: nobody emits {name}"));
            let Some((label, value)) = selector.split_once(['=', '!']) else { continue };
            assert!(metric.labels.contains(label), "{file}: {name} has no label {label}");
            let is_there = metric.series.iter().any(|series| series.contains(&selector));
            assert!(is_there || !value.starts_with('"'), "{file}: no {name} has {selector}");
        }
    }
}

/// The metrics of ours that queries select, with each selector; those by the labels that a scrape adds, and by variables, are left out.
fn selected(text: &str) -> BTreeSet<(String, String)> {
    let mut selected = BTreeSet::new();
    for (at, _) in text.match_indices("slarouter_") {
        let (name, rest) =
            text[at..].split_at(text[at..].find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(0));
        let selectors = rest.strip_prefix('{').and_then(|rest| Some(rest.split_once('}')?.0)).unwrap_or_default();
        let added = |selector: &&str| selector.starts_with("job") || selector.starts_with("instance");
        for selector in selectors.split(',').map(str::trim).filter(|selector| !added(selector)) {
            selected.insert((name.to_owned(), selector.to_owned()));
        }
    }
    selected
}
